"""What the simulated Hyperliquid says about TWAPs: running ones, their past, their slices."""

from __future__ import annotations

from monitor.sim.hyperliquid.account_views import account_of
from monitor.sim.hyperliquid.history_views import fill_view, fills
from monitor.sim.hyperliquid.wire import Json, JsonObject, dollars, ms, number
from monitor.sim.standing import FAILED, SimTwap
from monitor.sim.world import World

HISTORY_ROWS = 2_000


def twap_state(user: str, twap: SimTwap) -> JsonObject:
    """A TWAP and how far it got; its own time is in milliseconds."""
    return {
        "coin": twap.symbol,
        "user": user,
        "side": "B" if twap.side == "buy" else "A",
        "sz": number(twap.size),
        "executedSz": number(twap.executed_size),
        "executedNtl": dollars(twap.executed_notional),
        "minutes": twap.minutes,
        "reduceOnly": twap.reduce_only,
        "randomize": twap.randomize,
        "timestamp": ms(twap.started_s),
    }


def running_twaps(world: World, user: str, dex: str | None) -> list[Json]:
    """[id, state] of what runs, on one dex or (None) on all of them."""
    account = account_of(world, user)
    if account is None:
        return []
    return [
        [twap_id, twap_state(account.address, twap)]
        for twap_id, (pool, twap) in account.twaps.items()
        if dex is None or pool == dex
    ]


def history_row(user: str, twap: SimTwap) -> JsonObject:
    """One change of status; the row's time is in seconds."""
    status: JsonObject = {"status": twap.status}
    if twap.status == FAILED:
        status["description"] = twap.trouble
    return {
        "time": int(twap.changed_s),
        "state": twap_state(user, twap),
        "status": status,
        "twapId": twap.twap_id,
    }


def twap_history(world: World, user: str) -> list[Json]:
    """``twapHistory``: all dexes, newest first."""
    account = account_of(world, user)
    rows = [] if account is None else account.twap_history[-HISTORY_ROWS:]
    return [history_row(user.lower(), twap) for twap in reversed(rows)]


def slice_fills(world: World, user: str, start_ms: int, end_ms: int) -> list[Json]:
    """Fills of TWAPs between two times, newest first."""
    rows = [fill for fill in fills(world, user) if fill.twap_id is not None]
    within = [fill for fill in rows if start_ms <= ms(fill.time_s) <= end_ms][-HISTORY_ROWS:]
    return [{"fill": fill_view(fill), "twapId": fill.twap_id} for fill in reversed(within)]
