"""What our open orders would add: funding against it, legs added to a hedge, and what a trade may
lose at its stop. *Pure.*

An order adds what is left of it after it has closed a position on the other side; orders of one
side of a market are taken together. What a desk plans elsewhere than in its orders is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import fsum
from typing import NamedTuple

from monitor.core.formulas.funding import annualize_hourly_rate
from monitor.core.formulas.leverage import GAP_FACTOR, GAP_FACTOR_SLOW, SLOW_EXIT_MINUTES
from monitor.core.formulas.trades import LOSS_MAX, compute_loss_ratio, compute_planned_loss
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.book_risk import read_book
from monitor.core.measures.carry import project_rates
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.funding import read_predicted
from monitor.core.measures.prices import margin_price
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, MarketNode, Node, PortfolioNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.state.facts import AccountBit, Lack
from monitor.core.state.model import AccountState, MarketState, RiskState
from monitor.core.types import SECOND_NS, EngineNs, Side, SubjectKind

APR_MAX = 3600.0
# Of what an order adds, the part that lies against the book's net: else it is mostly an entry.
HEDGING_RATIO_MIN = 0.5
# Prices and rates are not followed message by message.
LOOK_NS = 5 * SECOND_NS
_ACCOUNT = (SubjectKind.ACCOUNT,)


class Trade(NamedTuple):
    """One side of one market: what is held of it and what its orders would add.

    ``sign`` is 1 for long; ``held`` and ``added`` are base units, ``>= 0``.
    """

    market: str
    sign: float
    held: float
    added: float


class Stop(NamedTuple):
    """A stop of one side of a market: how far it is, ``>= 0``, and for how much, base units; None
    for all of the position."""

    distance_ratio: float
    size: float | None


def list_trades(account: AccountState) -> list[Trade]:
    """Each side of each market that is held or that an order would add to, by name."""
    sides: dict[float, dict[str, list[float]]] = {1.0: {}, -1.0: {}}
    for order in account.orders.values():
        if not order.reduce_only:
            orders = sides[1.0 if order.side is Side.BUY else -1.0]
            orders.setdefault(order.market, []).append(float(order.size))
    trades = []
    for market in sorted({*account.positions, *sides[1.0], *sides[-1.0]}):
        position = account.positions.get(market)
        size = 0.0 if position is None else position.size
        for sign, orders in sides.items():
            held = max(sign * size, 0.0)
            added = max(fsum(orders.get(market, ())) - max(-sign * size, 0.0), 0.0)
            if held or added:
                trades.append(Trade(market, sign, held, added))
    return trades


def list_stops(account: AccountState, market: str, sign: float, price: float) -> list[Stop]:
    """Triggers that end a position of this side where the price moves against it, nearest first.
    One on the other side of the price takes a profit and is no stop."""
    found = []
    for order in account.orders.values():
        if order.market != market or order.trigger_price is None:
            continue
        ends = order.side is (Side.SELL if sign > 0.0 else Side.BUY)
        distance = sign * (price - float(order.trigger_price)) / price
        if ends and distance >= 0.0:
            # One that is for the whole position may state no size of its own.
            found.append(Stop(distance, float(order.size) or None))
    return sorted(found, key=lambda one: one.distance_ratio)


def cover(at_risk: float, stops: list[Stop]) -> list[tuple[float, float | None]]:
    """(base units, distance of the stop that ends them) of what is at risk, nearest stops first;
    None for what no stop ends."""
    parts: list[tuple[float, float | None]] = []
    left = at_risk
    for stop in stops:
        size = left if stop.size is None else min(stop.size, left)
        if size > 0.0:
            parts.append((size, stop.distance_ratio))
            left -= size
    return [*parts, (left, None)] if left > 0.0 else parts


def gap_factor(venue: str, use: Use) -> float:
    """How much further than its stop a position is closed at worst."""
    settings = use.settings.leverage
    minutes = dict(settings.exit_minutes).get(venue, settings.exit_minutes_default)
    return GAP_FACTOR_SLOW if minutes > SLOW_EXIT_MINUTES else GAP_FACTOR


# ------------------------------------------------------------------------------------ reading


def _trades(node: AccountNode, use: Use) -> list[Trade] | None:
    """None where orders or positions are not known."""
    if not use.fresh(node.account.orders_seen, node.orders_limit, "open orders"):
        return None
    if use.read(node, HOLDINGS) is None:
        return None
    trades = list_trades(node.account)
    if trades:
        use.wake_at(use.now + LOOK_NS)
    return trades


def place_of(node: AccountNode, name: str, use: Use) -> MarketNode | None:
    """A market that has orders: it may never have had a position; None where it is not listed."""
    found = node.markets.get(name)
    if found is None:
        market = use.state.venues[node.account.venue].markets.get(name)
        found = None if market is None else MarketNode(market, use.settings)
    if found is None or not found.market.asset:
        use.absent(f"{name}, which has orders, is not listed")
        return None
    return found


def _book(node: AccountNode, use: Use) -> dict[str, float] | None:
    whole = node.ancestors[-1]
    if not isinstance(whole, PortfolioNode):
        raise TypeError(f"{node.subject} is of no portfolio")
    return read_book(whole, use)


# ------------------------------------------------------------------------------ what orders add


def entry_costs(node: AccountNode, use: Use) -> list[tuple[Trade, float]] | None:
    """Trades that orders would add to, each with its market's predicted funding, fraction per hour;
    None where one is not known."""
    trades = _trades(node, use)
    if trades is None:
        return None
    found = []
    for trade in trades:
        if not trade.added:
            continue
        place = place_of(node, trade.market, use)
        rate = None if place is None else read_predicted(place, use)
        if rate is None:
            return None
        found.append((trade, rate))
    return found


def _entry_funding(node: AccountNode, use: Use) -> float | None:
    """Steepest against any order that adds; 0 where none adds or all would receive."""
    costs = entry_costs(node, use)
    if costs is None:
        return None
    worst = max((trade.sign * annualize_hourly_rate(rate) for trade, rate in costs), default=0.0)
    return min(max(worst, 0.0), APR_MAX)


def hedge_adds(node: AccountNode, use: Use) -> list[tuple[Trade, float]] | None:
    """Trades whose added part lies on the side that the book's net of the asset is not, each with
    its price. An order of more than twice that net is an entry: beside a hedged book, where prices
    alone say which side its net is on, none is a hedge."""
    trades = _trades(node, use)
    if trades is None:
        return None
    adding = [one for one in trades if one.added]
    if not adding:
        return []
    book = _book(node, use)
    if book is None:
        return None
    found = []
    for trade in adding:
        place = place_of(node, trade.market, use)
        price = None if place is None else margin_price(place, use)
        if place is None or price is None:
            return None
        against = -trade.sign * book.get(place.market.asset, 0.0)
        if against >= HEDGING_RATIO_MIN * trade.added * price:
            found.append((trade, price))
    return found


def _hedge_orders(node: AccountNode, use: Use) -> float | None:
    """USD of what would be added as legs of hedges."""
    adds = hedge_adds(node, use)
    return None if adds is None else fsum(trade.added * price for trade, price in adds)


# ---------------------------------------------------------------------------------- planned loss


class PlannedLoss(NamedTuple):
    """What one trade may lose at its stops, USD, and what that is made of.

    ``price`` is quote per base, ``gap`` how many times further than its stop a position is closed,
    ``trip`` a round trip and ``funding`` (> 0 paid) of the planned time as fractions of notional,
    ``parts`` (base units, distance of the stop that ends them as a ratio, None for no stop).
    """

    market: str
    price: float = 0.0
    gap: float = 1.0
    trip: float = 0.0
    funding: float = 0.0
    parts: tuple[tuple[float, float | None], ...] = ()

    def loss_of(self, size: float, distance: float | None) -> float:
        """Of one part, USD."""
        return compute_planned_loss(
            notional_usd=size * self.price,
            stop_distance_ratio=distance,
            gap_factor=self.gap,
            round_trip_ratio=self.trip,
            funding_usd=size * self.price * self.funding,
        )

    @property
    def loss_usd(self) -> float:
        """Of all parts, ``>= 0``."""
        return fsum(self.loss_of(*one) for one in self.parts)


def _trade_loss(
    node: AccountNode, trade: Trade, book: dict[str, float], use: Use
) -> PlannedLoss | None:
    """Only what stays unhedged in the whole book once the orders are filled is at risk."""
    place = place_of(node, trade.market, use)
    price = None if place is None else margin_price(place, use)
    if place is None or price is None:
        return None
    after = trade.sign * book.get(place.market.asset, 0.0) + trade.added * price
    at_risk = min(trade.held + trade.added, max(after, 0.0) / price)
    if at_risk <= 0.0:
        return PlannedLoss(trade.market)
    funding = expected_funding(place, trade.sign, use)
    if funding is None:
        return None
    venue = node.account.venue
    return PlannedLoss(
        trade.market,
        price,
        gap_factor(venue, use),
        use.settings.trades.round_trip(venue),
        funding,
        tuple(cover(at_risk, list_stops(node.account, trade.market, trade.sign, price))),
    )


def expected_funding(place: MarketNode, sign: float, use: Use) -> float | None:
    """What this side pays (> 0) over the planned holding time, fraction of notional."""
    rate = read_predicted(place, use)
    if rate is None:
        return None
    return sign * project_rates(place.market, rate, use.settings.trades.holding_hours, use)


def planned_losses(node: AccountNode, use: Use) -> list[PlannedLoss] | None:
    """Of every trade; None where one is not known, or nothing says what a trade is."""
    if not use.settings.trades.stops_required:
        use.absent(
            f"{NO_SOURCE}`trades.stops_required` is not set: nothing says what is a trade",
            Lack.CHOICE,
        )
        return None
    trades = _trades(node, use)
    book = None if trades is None else _book(node, use)
    if trades is None or book is None:
        return None
    losses = [_trade_loss(node, one, book, use) for one in trades]
    known = [one for one in losses if one is not None]
    return known if len(known) == len(losses) else None


def _planned_loss(node: AccountNode, use: Use) -> float | None:
    losses = planned_losses(node, use)
    equity = None if losses is None else use.read(node.ancestors[-1], EQUITY.name)
    if losses is None:
        return None
    if equity is None:  # that of the whole book, which tells no account when it becomes known
        use.wake_at(use.now + LOOK_NS)
        return None
    worst = max((one.loss_usd for one in losses), default=0.0)
    ratio = compute_loss_ratio(worst, equity) / use.settings.trades.risk_ratio
    return min(ratio, LOSS_MAX)


# ---------------------------------------------------------------------------------- details


def _adding(node: Node, state: RiskState, chosen: Callable[[Trade, MarketState], bool]) -> str:
    """``buy 2 BTC, sell 30 SOL``: what orders would add."""
    if not isinstance(node, AccountNode):
        return ""
    markets = state.venues[node.account.venue].markets
    told = [
        f"{'buy' if one.sign > 0.0 else 'sell'} {one.added:.6g} {one.market}"
        for one in list_trades(node.account)
        if one.added and one.market in markets and chosen(one, markets[one.market])
    ]
    return ", ".join(told)


def _entries_named(node: Node, state: RiskState, _now: EngineNs) -> str:
    return _adding(
        node,
        state,
        lambda trade, market: trade.sign * (market.predicted.value or 0.0) > 0.0,
    )


def _hedges_named(node: Node, state: RiskState, _now: EngineNs) -> str:
    """The orders, and the cross-section that they are sent into."""
    stress = state.stress.now
    told = _adding(node, state, lambda _trade, _market: True)
    if stress.parts is None or stress.points is None:
        return told
    names = ("level", "breadth", "surprise", "change", "flips")
    points = ", ".join(
        f"{name} {points:.3g}" for name, points in zip(names, stress.points, strict=True)
    )
    top = ", ".join(f"{asset} {apr * 100:.3g} %" for asset, apr, _ in stress.top)
    return f"{told}; the cross-section adds {points}; dearest {top}"


def _worst_named(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """Which markets have a side that no stop ends."""
    if not isinstance(node, AccountNode):
        return ""
    bare = [
        one.market
        for one in list_trades(node.account)
        if not any(
            order.market == one.market
            and order.trigger_price is not None
            and order.side is (Side.SELL if one.sign > 0.0 else Side.BUY)
            for order in node.account.orders.values()
        )
    ]
    return f"no trigger at all in {', '.join(bare)}" if bare else ""


def _spec(
    name: str,
    unit: Unit,
    help_text: str,
    *,
    high: float,
    typical: tuple[float, float],
    at_zero: str = "",
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_ACCOUNT,
        unit=unit,
        help=help_text,
        low=0.0,
        high=high,
        cadence_s=1.0,
        at_zero=at_zero,
        typical=typical,
        words=("x",) if unit is Unit.RATIO else (),
    )


# Orders come and go many times a second; what is judged of them is looked at once in one.
_define = partial(define, bits=AccountBit.ORDERS, needs=((Relation.SELF, HOLDINGS),), patient=True)

DEFINITIONS: tuple[Definition, ...] = (
    _define(
        _spec(
            "entry_funding_against_apr",
            Unit.PER_YEAR,
            "Steepest predicted funding, per year, that an open order which adds would pay; 0 "
            "where none adds or all would receive.",
            high=APR_MAX,
            typical=(0.1, 0.5),
        ),
        SubjectKind.ACCOUNT,
        _entry_funding,
        detail=_entries_named,
    ),
    _define(
        _spec(
            "hedge_orders_usd",
            Unit.USD,
            "Value of what open orders would add against the book's net of an asset, USD: new legs "
            "of hedges.",
            high=1e15,
            typical=(0.0, 1e5),
        ),
        SubjectKind.ACCOUNT,
        _hedge_orders,
        detail=_hedges_named,
    ),
    _define(
        _spec(
            "planned_loss_to_limit_ratio",
            Unit.RATIO,
            "Worst loss of one trade at its stops, with gap, costs and funding, over what one may "
            "lose (0.5 % of the book's equity); without a stop all of it is at stake.",
            high=LOSS_MAX,
            typical=(0.5, 2.0),
            at_zero="1000 when equity is gone and something is at risk",
        ),
        SubjectKind.ACCOUNT,
        _planned_loss,
        detail=_worst_named,
    ),
)
