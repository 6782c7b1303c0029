"""Orders against what the book can take at once: above the cap they are to be sliced. *Pure.*

A slice is at most the allowed share (10 %, ``margin.participation_ratio``) of what rests within
25 bp on the side that the order takes. Source: sheet *exits-and-congestion*, section 2.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from monitor.core.measures.books import UNREACHED
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.liquidity import unwind_seconds
from monitor.core.measures.orders import place_of
from monitor.core.measures.prices import margin_price
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.trade_case import Answer, Case, Found
from monitor.core.measures.tree import AccountNode, MarketNode, Node
from monitor.core.measures.use import Use
from monitor.core.state.facts import AccountBit
from monitor.core.state.model import AccountState, RiskState
from monitor.core.types import SECOND_NS, EngineNs, Side, SubjectKind

SLICES_MAX = 1e6
# Depth and prices are not followed message by message.
LOOK_NS = 5 * SECOND_NS
NAMES_MAX = 3


class Order(NamedTuple):
    """What works in a market: ``size`` in base units, > 0."""

    market: str
    side: Side
    size: float


def _orders(account: AccountState) -> list[Order]:
    """Every open order and trigger; one that states no size of its own is for the position. TWAPs
    are sliced already."""
    found = []
    for order in account.orders.values():
        held = account.positions.get(order.market)
        size = float(order.size) or (0.0 if held is None else abs(held.size))
        if size:
            found.append(Order(order.market, order.side, size))
    return found


def depth_taken(place: MarketNode, side: Side, use: Use) -> float | None:
    """USD within 25 bp on the side that an order takes; None where that is not known."""
    depth = place.market.depth
    if not use.fresh(depth, place.depth_limit, f"depth of {place.market.market}"):
        return None
    usd = depth.ask_usd if side is Side.BUY else depth.bid_usd
    if usd is None:
        use.absent(UNREACHED)
    return usd


def count_slices(usd: float, depth_usd: float, share: float) -> float:
    """An order over the largest slice: above 1 it is to be sliced; ``SLICES_MAX`` at most."""
    cap = depth_usd * share
    return min(usd / cap, SLICES_MAX) if cap > 0.0 else SLICES_MAX


def orders_in_books(node: AccountNode, use: Use) -> list[tuple[Order, float, float]] | None:
    """Every order with its price and the USD within 25 bp on the side that it takes; None where one
    is not known."""
    if not use.fresh(node.account.orders_seen, node.orders_limit, "open orders"):
        return None
    if use.read(node, HOLDINGS) is None:
        return None
    found = []
    for order in _orders(node.account):
        use.wake_at(use.now + LOOK_NS)
        place = place_of(node, order.market, use)
        price = None if place is None else margin_price(place, use)
        if place is None or price is None:
            return None
        depth = depth_taken(place, order.side, use)
        if depth is None:
            return None
        found.append((order, price, depth))
    return found


def _of_slice(node: AccountNode, use: Use) -> float | None:
    """The largest order against its own book."""
    orders, share = orders_in_books(node, use), use.settings.margin.participation_ratio
    if orders is None:
        return None
    return max(
        (count_slices(one.size * price, at, share) for one, price, at in orders), default=0.0
    )


def _largest_named(node: Node, state: RiskState, _now: EngineNs) -> str:
    """``sell 30 BTC, 1,200,000 USD within 25 bp``: the largest orders, by size in USD."""
    if not isinstance(node, AccountNode):
        return ""
    markets = state.venues[node.account.venue].markets
    sized: list[tuple[float, str]] = []
    for order in _orders(node.account):
        market = markets.get(order.market)
        price = None if market is None else market.mark.value or market.oracle.value
        if market is None or price is None:
            continue
        depth = market.depth.ask_usd if order.side is Side.BUY else market.depth.bid_usd
        there = "depth unknown" if depth is None else f"{depth:,.0f} USD within 25 bp"
        verb = "buy" if order.side is Side.BUY else "sell"
        sized.append((order.size * price, f"{verb} {order.size:.6g} {order.market}, {there}"))
    sized.sort(key=lambda one: (-one[0], one[1]))
    return "; ".join(text for _, text in sized[:NAMES_MAX])


def look_at_slices(case: Case, use: Use) -> Found:
    """A trade beyond one slice is to be sliced; one beyond all that rests within 25 bp is refused,
    unless it only reduces."""
    side = Side.BUY if case.asked.sign > 0.0 else Side.SELL
    depth = depth_taken(case.place, side, use)
    if depth is None:
        return None
    share, usd = use.settings.margin.participation_ratio, abs(case.usd)
    cap = depth * share
    text = f"{usd:,.0f} of {cap:,.0f} USD, {share * 100:g} % of what rests within 25 bp"
    slices = count_slices(usd, depth, share)
    if slices <= 1.0:
        return Answer.GO, f"{text}: at once"
    refused = usd > depth and case.opens
    if slices >= SLICES_MAX:
        return (Answer.NO if refused else Answer.LOOK), f"{text}: nothing rests there"
    seconds = unwind_seconds(case.place, usd, use)
    took = "" if seconds is None else f", {seconds / 60.0:,.3g} min at {share * 100:g} % of volume"
    largest = cap / case.price
    sliced = f"{ceil(slices)} slices of at most {largest:.6g}{took}; TWAP or ladder"
    return (Answer.NO if refused else Answer.LOOK), f"{text}: {sliced}"


DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name="order_of_slice_ratio",
            kinds=(SubjectKind.ACCOUNT,),
            unit=Unit.RATIO,
            help=(
                "Largest open order or trigger over one slice: 10 % (or as configured) of what "
                "rests within 25 bp on the side it takes; above 1 it is to be sliced."
            ),
            low=0.0,
            high=SLICES_MAX,
            cadence_s=5.0,
            at_zero="1000000 where nothing rests there; 0 without an order",
            typical=(0.2, 3.0),
            words=("x",),
        ),
        SubjectKind.ACCOUNT,
        _of_slice,
        bits=AccountBit.ORDERS,
        needs=((Relation.SELF, HOLDINGS),),
        patient=True,
        detail=_largest_named,
    ),
)
