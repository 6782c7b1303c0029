"""The working orders that one trip takes away in one account, and those it leaves alone. *Pure.*"""

from __future__ import annotations

import msgspec

from monitor.core.killswitch.book import AccountTruth, WorkingOrder
from monitor.core.killswitch.execution.orders import AssetOf, asset_of, to_cancel
from monitor.core.killswitch.execution.reach import held_back, left_words, reach, share_left
from monitor.core.killswitch.execution.readings import disputed, other_readings
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Latch, Residual, Run
from monitor.core.killswitch.turn import Turn


def to_take_away(
    turn: Turn, latch: Latch, run: Run, truth: AccountTruth
) -> tuple[WorkingOrder, ...]:
    """The working orders that this trip takes away. Where two readings disagree on the side of a
    position, those that increase risk by either of them."""

    def by(reading: AccountTruth) -> tuple[WorkingOrder, ...]:
        return taken_by(turn, latch, run, reading)

    touched_ns = turn.state.touched.get(run.key, 0)
    others = () if turn.book is None else other_readings(turn.book, truth, touched_ns)
    markets = disputed(truth, others)
    left = by(truth)
    for other in others if markets else ():
        as_seen = msgspec.structs.replace(truth, positions=other.positions)
        left += tuple(one for one in by(as_seen) if one.market in markets and one not in left)
    return left


def taken_by(
    turn: Turn, latch: Latch, run: Run, reading: AccountTruth, *, everywhere: bool = False
) -> tuple[WorkingOrder, ...]:
    """What is to go by one reading, each order by the level that the trip may reach where it is;
    with ``everywhere`` as if that were its own."""
    assets = asset_of(turn.book)
    reaches: dict[str, tuple[Level, float]] = {}
    for market in dict.fromkeys(order.market for order in reading.orders):
        level, share = latch.level, latch.target_ratio
        if not everywhere:
            place = _place(reading, market, assets)
            level = reach(turn.policy, latch, **place)
            share = share_left(turn.policy, latch, **place)
        reaches[market] = level, share if level is Level.CUT else 1.0
    return tuple(
        order
        for level, share in sorted(set(reaches.values()))
        for order in to_cancel(
            reading,
            latch.scope,
            level,
            assets,
            share_left=share,
            protective_too=turn.policy.halt_cancels_protective,
            in_the_way=run.in_the_way,
        )
        if reaches[order.market] == (level, share)
    )


def left_alone(turn: Turn, latch: Latch, run: Run) -> tuple[Residual, ...]:
    """Orders that the desk's configuration keeps this trip from cancelling."""
    if run.truth is None:
        return ()
    mine = {order.order_id for order in taken_by(turn, latch, run, run.truth)}
    every = taken_by(turn, latch, run, run.truth, everywhere=True)
    left = [order for order in every if order.order_id not in mine]
    if not left:
        return ()
    assets = asset_of(turn.book)
    rules: set[str] = set()
    for market in {order.market for order in left}:
        rules |= held_back(turn.policy, latch, **_place(run.truth, market, assets))
    return (Residual(reason=f"{len(left)} order(s) to cancel: {left_words(rules)}"),)


def _place(reading: AccountTruth, market: str, assets: AssetOf) -> dict[str, str]:
    return {
        "venue": reading.venue,
        "account": reading.account,
        "asset": assets(reading.venue, market),
        "market": market,
    }
