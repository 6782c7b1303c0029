"""Orders as people send them to a simulated venue: matched against the book, rested, ended.

The venue's own checks (ticks, margin, post-only, ...) happen before, where its wire protocol lives;
here an order is already good. Every fill goes through ``execution``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from monitor.sim import execution
from monitor.sim.accounts import ZERO, SimOrder, SimPool
from monitor.sim.books import Level

if TYPE_CHECKING:
    from monitor.sim.markets import SimMarket
    from monitor.sim.world import World


@dataclass(frozen=True, slots=True)
class Place:
    """Where an order works: one market in one margin pool of one account."""

    world: World
    venue: str
    address: str
    pool: str
    symbol: str

    @property
    def held(self) -> SimPool:
        """The pool."""
        return self.world.pool(self.venue, self.address, self.pool)

    @property
    def market(self) -> SimMarket:
        """The market."""
        return self.world.market(self.venue, self.symbol)

    @property
    def position(self) -> Decimal:
        """The signed size held, zero where none."""
        held = self.held.positions.get(self.symbol)
        return ZERO if held is None else held.size

    def new_order(self, side: str, size: Decimal, price: Decimal) -> SimOrder:
        """A fresh order that stands nowhere yet."""
        return SimOrder(
            order_id=self.world.next_id(),
            symbol=self.symbol,
            side=side,
            limit_price=price,
            size=size,
            original_size=size,
            created_s=self.world.now_s,
            updated_s=self.world.now_s,
            created_height=self.world.venues[self.venue].height,
        )


def within(market: SimMarket, sign: int, limit: Decimal) -> list[Level]:
    """What an order of this sign (1 buys) can take at ``limit`` or better, best first.

    What was taken since the market last moved is gone, though the printed book still shows it.
    """
    eaten = market.eaten[1] if market.eaten[0] == market.epoch else {}
    side = market.book.asks if sign > 0 else market.book.bids
    reachable = ((p, s) for p, s in side if (p <= limit if sign > 0 else p >= limit))
    left = ((price, size - eaten.get((sign, price), ZERO)) for price, size in reachable)
    return [(price, size) for price, size in left if size > 0]


def eat(market: SimMarket, sign: int, price: Decimal, size: Decimal) -> None:
    """Take ``size`` off one level until the market moves."""
    if market.eaten[0] != market.epoch:
        market.eaten = (market.epoch, {})
    eaten = market.eaten[1]
    eaten[sign, price] = eaten.get((sign, price), ZERO) + size


def take(
    place: Place, order: SimOrder, *, twap_id: int | None = None, extra_rate: Decimal = ZERO
) -> tuple[Decimal, Decimal]:
    """Fill what the book offers within the order's limit, level by level.

    ``extra_rate`` is paid on top of the usual fee, a fraction of what is traded.

    Returns:
        (filled size, average price); (0, 0) when nothing could be had.
    """
    market, filled, paid = place.market, ZERO, ZERO
    for price, offered in within(market, order.sign, order.limit_price):
        size = min(order.size, offered)
        if size == 0:
            break
        leverage, isolated = place.held.leverage_of(place.symbol)
        eat(market, order.sign, price, size)
        execution.fill_part(
            place.world, place.venue, place.address, place.pool, order, price, size,
            taker=True, leverage=leverage, isolated=isolated, twap_id=twap_id,
            extra_rate=extra_rate,
        )  # fmt: skip
        filled += size
        paid += size * price
    return filled, paid / filled if filled else ZERO


def fill_resting(place: Place, order: SimOrder, size: Decimal) -> None:
    """Let somebody else take ``size`` of a resting order, at its own price."""
    leverage, isolated = place.held.leverage_of(place.symbol)
    size = min(size, order.size)
    if order.reduce_only:
        size = min(size, max(ZERO, -place.position * order.sign))
    if size == 0:
        return
    execution.fill_part(
        place.world, place.venue, place.address, place.pool, order, order.limit_price, size,
        taker=False, leverage=leverage, isolated=isolated,
    )  # fmt: skip
    if order.size == 0:
        end(place, order, "filled")
    else:
        order.updated_s = place.world.now_s
        execution.tell(place.world, place.venue, place.address, place.pool, order)


def rest(place: Place, order: SimOrder) -> None:
    """Let an order work."""
    execution.rest(place.world, place.venue, place.address, place.pool, order)


def end(place: Place, order: SimOrder, status: str) -> None:
    """Take an order out of work (or note that it never was) with its last status."""
    execution.end(place.world, place.venue, place.address, place.pool, order, status)


def trim_reducers(place: Place, newest: SimOrder) -> None:
    """Cancel the oldest reduce-only orders that together with ``newest`` exceed the position.

    Measured on the venue's test network (2026): the second order is accepted, the first goes.
    """
    reducers = [
        order
        for order in place.held.orders.values()
        if order.symbol == place.symbol
        and order.reduce_only
        and order.trigger_price is None
        and order.side == newest.side
    ]
    excess = sum((order.size for order in reducers), ZERO) - abs(place.position)
    for order in reducers:
        if excess <= 0 or order.order_id == newest.order_id:
            return
        excess -= order.size
        end(place, order, "reduceOnlyCanceled")
