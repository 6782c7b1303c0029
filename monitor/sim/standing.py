"""What people left standing at a simulated venue and what works without them: TWAPs, and the moment
at which all of an account's orders are cancelled unless it is put off again.

A TWAP sends a slice every half minute, immediate-or-cancel and at most three percent from mid; what
a slice misses, later ones make up for, with at most three slices' size. Sources: the venue's pages
on TWAP orders and on scheduled cancels (2026 copies).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from monitor.sim import execution, orders
from monitor.sim.accounts import ZERO
from monitor.sim.occurrences import TwapChanged
from monitor.sim.orders import Place

if TYPE_CHECKING:
    from monitor.sim.accounts import SimAccount
    from monitor.sim.world import SimVenue, World

SLICE_PERIOD_S = 30.0
SLIPPAGE = Decimal("0.03")
CATCH_UP_SLICES = 3
DAY_S = 86_400.0
RUNNING, FINISHED, TERMINATED, FAILED = "activated", "finished", "terminated", "error"


@dataclass(slots=True)
class SimTwap:
    """One TWAP. ``size`` is unsigned base units, ``status`` the venue's word; ``trouble`` says why
    it failed."""

    twap_id: int
    symbol: str
    side: str
    size: Decimal
    minutes: int
    reduce_only: bool
    randomize: bool
    started_s: float
    executed_size: Decimal = ZERO
    executed_notional: Decimal = ZERO
    slices: int = 0
    status: str = RUNNING
    trouble: str = ""
    changed_s: float = 0.0

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1

    @property
    def slices_planned(self) -> int:
        """One at once and one every half minute until the end."""
        return round(self.minutes * 60 / SLICE_PERIOD_S)


def start(place: Place, twap: SimTwap) -> None:
    """Let a TWAP work; its first slice goes out with the venue's next step."""
    account = place.world.account(place.venue, place.address)
    account.twaps[twap.twap_id] = (place.pool, twap)
    _note(place, twap, RUNNING)


def stop(place: Place, twap: SimTwap, status: str, trouble: str = "") -> None:
    """End a TWAP; what it has traded stays."""
    place.world.account(place.venue, place.address).twaps.pop(twap.twap_id, None)
    twap.trouble = trouble
    _note(place, twap, status)


def _note(place: Place, twap: SimTwap, status: str) -> None:
    twap.status, twap.changed_s = status, place.world.now_s
    row = dataclasses.replace(twap)
    place.world.account(place.venue, place.address).twap_history.append(row)
    place.world.emit(TwapChanged(place.venue, place.address, place.pool, row))


def run(world: World, venue: SimVenue) -> None:
    """One step of what stands at a venue."""
    for account in venue.accounts.values():
        for pool, twap in list(account.twaps.values()):
            _work(Place(world, venue.name, account.address, pool, twap.symbol), twap)
        if account.cancel_at_s is not None and world.now_s >= account.cancel_at_s:
            _cancel_all(world, venue, account)


def _work(place: Place, twap: SimTwap) -> None:
    now_s = place.world.now_s
    # After a leap in time one slice stands for all that were missed.
    due = int((now_s - twap.started_s) / SLICE_PERIOD_S) + 1
    if due > twap.slices:
        twap.slices = min(due, twap.slices_planned)
        _slice(place, twap)
    if twap.status == RUNNING and (
        twap.executed_size == twap.size or now_s >= twap.started_s + 60.0 * twap.minutes
    ):
        stop(place, twap, FINISHED)


def _slice(place: Place, twap: SimTwap) -> None:
    market = place.market
    mid = market.mid_price
    if mid is None:
        return
    planned, step = twap.slices_planned, market.size_step
    target = twap.size * twap.slices / planned
    size = min(target - twap.executed_size, CATCH_UP_SLICES * twap.size / planned)
    size = (size / step).to_integral_value(rounding=ROUND_FLOOR) * step
    if twap.reduce_only:
        reducible = -place.position * twap.sign
        if reducible <= 0:
            stop(place, twap, FAILED, "Reduce-only TWAP order would increase position.")
            return
        size = min(size, reducible)
    if size <= 0:
        return
    order = place.new_order(twap.side, size, mid * (1 + twap.sign * SLIPPAGE))
    order.reduce_only, order.is_market, order.tif = twap.reduce_only, True, "Ioc"
    filled, average = orders.take(place, order, twap_id=twap.twap_id)
    twap.executed_size += filled
    twap.executed_notional += filled * average


def fired_today(account: SimAccount, now_s: float) -> int:
    """How often all of an account's orders were cancelled by the clock since midnight UTC."""
    day, fired = account.cancels_fired
    return fired if day == int(now_s // DAY_S) else 0


def _cancel_all(world: World, venue: SimVenue, account: SimAccount) -> None:
    """Stops included, positions and TWAPs not."""
    fired = fired_today(account, world.now_s) + 1
    account.cancels_fired = (int(world.now_s // DAY_S), fired)
    account.cancel_at_s = None
    for name, pool in account.pools.items():
        for order_id in list(pool.orders):
            execution.cancel(world, venue.name, account.address, name, order_id, "scheduledCancel")
