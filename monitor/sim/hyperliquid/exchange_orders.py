"""Orders on the simulated Hyperliquid: the venue's checks in its own words, then the book.

Every order of a batch is judged by itself and gets one status. A refused order is written into the
history under its own status, as the real venue does, so that it can be asked for by client id.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from monitor.sim import orders
from monitor.sim.accounts import ZERO, SimOrder, SimPool
from monitor.sim.faults import FaultKind
from monitor.sim.hyperliquid.account_views import order_margin
from monitor.sim.hyperliquid.actions import OrderWire
from monitor.sim.hyperliquid.desks import SPOT_ASSETS, VENUE, Desk
from monitor.sim.hyperliquid.wire import Json, JsonObject
from monitor.sim.markets import SimMarket
from monitor.sim.orders import Place

MIN_NOTIONAL_USD = Decimal(10)
FAR_RATIO = Decimal("0.95")
ORDERS_MIN, ORDERS_MAX = 1_000, 5_000
VOLUME_PER_ORDER_USD = 5_000_000
POST_ONLY = "Only post-only orders allowed immediately after a network upgrade"
INTEREST_CAPPED = "Order would increase open interest while open interest is capped"
TIER_EXCEEDED = "Order would cause position to exceed margin tier limit at current leverage"


class RejectedError(Exception):
    """One order is refused: the text, and the status under which it is remembered."""

    def __init__(self, text: str, status: str) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(frozen=True, slots=True)
class Wanted:
    """One order, read and placed, not yet judged."""

    desk: Desk
    wire: OrderWire
    place: Place
    order: SimOrder

    @classmethod
    def of(cls, desk: Desk, wire: OrderWire, place: Place) -> Self:
        """The order that ``wire`` asks for, standing nowhere yet."""
        return cls(desk, wire, place, make_order(place, wire))

    @property
    def market(self) -> SimMarket:
        """The market."""
        return self.place.market

    @property
    def tif(self) -> str:
        """How long it works; a trigger order until cancelled."""
        return "Gtc" if self.wire.t.limit is None else self.wire.t.limit.tif


def place_one(
    desk: Desk,
    wire: OrderWire,
    *,
    kind: str = "na",
    parent: int | None = None,
    group: int | None = None,
    priority_rate: Decimal = ZERO,
) -> Json:
    """Judge and place one order; the status that the venue answers with.

    Args:
        desk: Who wants it.
        wire: The order.
        kind: The grouping it came in.
        parent: The order for whose fill it waits.
        group: Those of which one's fill cancels the others.
        priority_rate: What is paid on top for a better place, a fraction of what is traded.
    """
    market = desk.market(wire.a)
    if market is None:
        spot = SPOT_ASSETS <= wire.a < 10 * SPOT_ASSETS
        text = "Order has insufficient spot balance to trade" if spot else "Invalid asset"
        return {"error": f"{text}. asset={wire.a}"}
    place = desk.place(market)
    wanted = Wanted.of(desk, wire, place)
    wanted.order.position_tpsl = kind == "positionTpsl"
    wanted.order.parent_id, wanted.order.group = parent, group
    try:
        judge(wanted)
    except RejectedError as rejected:
        orders.end(place, wanted.order, rejected.status)
        return {"error": f"{rejected.text} asset={wire.a}"}
    return _work(wanted, priority_rate)


def make_order(place: Place, wire: OrderWire) -> SimOrder:
    """The order that ``wire`` asks for, standing nowhere yet."""
    order = place.new_order("buy" if wire.b else "sell", Decimal(wire.s), Decimal(wire.p))
    order.reduce_only, order.client_id = wire.r, wire.c.lower() if wire.c else None
    trigger = wire.t.trigger
    if trigger is not None:
        order.trigger_price = Decimal(trigger.trigger_px)
        order.take_profit = trigger.tpsl == "tp"
        order.trigger_above = wire.b != order.take_profit
        order.is_market = trigger.is_market
    elif wire.t.limit is not None:
        order.tif = wire.t.limit.tif
        order.post_only = order.tif == "Alo"
        order.is_market = order.tif in {"Ioc", "FrontendMarket"}
    return order


# ------------------------------------------------------------------------------------ the checks


def judge(wanted: Wanted) -> None:
    """Every check of the venue, in its order.

    Raises:
        RejectedError: With the first one that fails.
    """
    if not wanted.market.tradable:
        raise RejectedError("Trading is halted.", "rejected")
    if wanted.desk.fault(FaultKind.POST_ONLY) is not None and wanted.tif != "Alo":
        raise RejectedError(f"{POST_ONLY}.", "rejected")
    check_numbers(wanted)
    _check_count(wanted)
    if wanted.wire.r and wanted.order.parent_id is None:
        _check_reduces(wanted)
    _check_value(wanted)
    _check_trigger(wanted)
    _check_touch(wanted)
    if not wanted.wire.r:
        _check_growth(wanted)


def check_numbers(wanted: Wanted) -> None:
    """Whether size and prices are such as the venue takes.

    Raises:
        RejectedError: If not.
    """
    market, order = wanted.market, wanted.order
    if order.size == 0:
        raise RejectedError("Order has zero size.", "rejected")
    if order.size % market.size_step:
        raise RejectedError("Order has invalid size.", "rejected")
    prices = [order.limit_price]
    if order.trigger_price is not None:
        prices.append(order.trigger_price)
    for price in prices:
        if price == 0:
            raise RejectedError("Order has invalid price.", "rejected")
        if not on_tick(market, price):
            raise RejectedError("Price must be divisible by tick size.", "tickRejected")
    reference = market.mark_price
    if abs(order.limit_price - reference) > FAR_RATIO * reference:
        text = "Order price cannot be more than 95% away from the reference price."
        raise RejectedError(text, "oracleRejected")


def on_tick(market: SimMarket, price: Decimal) -> bool:
    """Whether the venue takes ``price``: whole numbers always, else five figures at most and six
    decimals less those of the size."""
    if price == price.to_integral_value():
        return True
    digits = price.normalize().as_tuple()
    decimals = -int(digits.exponent)
    return len(digits.digits) <= 5 and decimals <= market.spec.price_decimals


def _check_count(wanted: Wanted) -> None:
    account = wanted.desk.account
    count = sum(len(pool.orders) for pool in account.pools.values())
    most = min(ORDERS_MAX, ORDERS_MIN + int(account.volume_usd // VOLUME_PER_ORDER_USD))
    special = wanted.wire.r or wanted.order.trigger_price is not None
    if count >= most or (special and count >= ORDERS_MIN):
        raise RejectedError("Too many open orders.", "tooManyOpenOrdersRejected")


def _check_reduces(wanted: Wanted) -> None:
    order, position = wanted.order, wanted.place.position
    if position * order.sign >= 0:
        text = "Reduce only order would increase position."
        raise RejectedError(text, "reduceOnlyRejected")
    # Measured on the venue's test network (2026): what is too much is cut off without a word.
    order.size = order.original_size = min(order.size, abs(position))


def _check_value(wanted: Wanted) -> None:
    order = wanted.order
    if order.size * order.limit_price >= MIN_NOTIONAL_USD:
        return
    closes_all = wanted.wire.r and order.size == abs(wanted.place.position)
    if closes_all and wanted.desk.fault(FaultKind.SMALL_CLOSES_REFUSED) is None:
        return
    raise RejectedError("Order must have minimum value of $10.", "minTradeNtlRejected")


def _check_trigger(wanted: Wanted) -> None:
    order, mark = wanted.order, wanted.market.mark_price
    if order.trigger_price is None or order.parent_id is not None:
        return
    past = mark >= order.trigger_price if order.trigger_above else mark <= order.trigger_price
    if past:
        raise RejectedError("Invalid TP/SL price.", "badTriggerPxRejected")


def _check_touch(wanted: Wanted) -> None:
    top, order = wanted.market.top, wanted.order
    if order.trigger_price is not None or top is None:
        return
    touches = bool(orders.within(wanted.market, order.sign, order.limit_price))
    if wanted.tif == "Alo" and touches:
        text = f"Post only order would have immediately matched, bbo was {_bbo(top)}."
        raise RejectedError(text, "badAloPxRejected")
    if wanted.tif == "Ioc" and not touches:
        text = "Order could not immediately match against any resting orders."
        raise RejectedError(text, "iocCancelRejected")
    if wanted.tif == "FrontendMarket" and not touches:
        text = "No liquidity available for market order."
        raise RejectedError(text, "marketOrderNoLiquidityRejected")


def _bbo(top: tuple[Decimal, Decimal]) -> str:
    bid, ask = top
    return f"{bid.normalize():f}@{ask.normalize():f}"


def _check_growth(wanted: Wanted) -> None:
    """What only an order that may make the position larger must pass."""
    order, market, place = wanted.order, wanted.market, wanted.place
    before = place.position
    after = before + order.sign * order.size
    growth = abs(after) - abs(before)
    if growth <= 0 or order.trigger_price is not None:
        return
    world = place.world
    if world.faults.holds(FaultKind.INTEREST_CAPPED, VENUE, market=market.symbol):
        flips = before * after < 0
        status = "positionFlip" if flips else "positionIncrease"
        raise RejectedError(f"{INTEREST_CAPPED}.", f"{status}AtOpenInterestCapRejected")
    pool, (leverage, isolated) = place.held, place.held.leverage_of(market.symbol)
    mark = market.mark_price
    if leverage > max_leverage_at(market, abs(after) * mark):
        raise RejectedError(f"{TIER_EXCEEDED}.", "perpMaxPositionRejected")
    # A flipped position only needs its new side; an isolated one takes its margin out of the pool.
    larger = abs(after) if before * after < 0 and isolated else growth
    if larger * mark / leverage > free_margin(wanted.desk, pool):
        raise RejectedError("Insufficient margin to place order.", "perpMarginRejected")


def free_margin(desk: Desk, pool: SimPool) -> Decimal:
    """Dollars that could still become initial margin; may be negative."""
    free = pool.cross_equity - pool.initial_margin - order_margin(pool)
    return free + desk.account.spot.get("USDC", ZERO) if desk.account.pooled else free


def max_leverage_at(market: SimMarket, notional_usd: Decimal) -> int:
    """The largest leverage that a position of this value may have."""
    tiers = [tier for tier in market.spec.tiers if notional_usd >= tier.lower_bound_usd]
    return (tiers or market.spec.tiers[:1])[-1].max_leverage


# --------------------------------------------------------------------------------------- the book


def _work(wanted: Wanted, priority_rate: Decimal) -> Json:
    place, order = wanted.place, wanted.order
    if order.trigger_price is not None:
        orders.rest(place, order)
        if order.parent_id is not None:
            return "waitingForFill"
        return {"resting": _named(order)} if order.group is None else "waitingForTrigger"
    filled, average = orders.take(place, order, extra_rate=priority_rate)
    if order.size == 0:
        orders.end(place, order, "filled")
    elif order.is_market:
        orders.end(place, order, "canceled")
    else:
        orders.rest(place, order)
        if order.reduce_only:
            orders.trim_reducers(place, order)
    if not filled:
        return {"resting": _named(order)}
    body: JsonObject = {
        "totalSz": f"{filled.normalize():f}",
        "avgPx": f"{round(average, market_digits(wanted.market)).normalize():f}",
    }
    return {"filled": {**body, **_named(order)}}


def market_digits(market: SimMarket) -> int:
    """Decimals in which an average price is told: one more than the tick."""
    return max(0, -int(market.tick.as_tuple().exponent)) + 1


def _named(order: SimOrder) -> JsonObject:
    named: JsonObject = {"oid": order.order_id}
    if order.client_id is not None:
        named["cloid"] = order.client_id
    return named
