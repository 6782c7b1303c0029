"""Carry that pays: what a hedged pair of perpetuals on two markets is expected to earn beyond what
it costs, and how steadily it did. *Pure.*

Long where funding is low, short where it is high, over the desk's holding time, against a round
trip of both legs. A pair of perpetuals borrows nothing and buys no option. A leg of which anything
is unknown, or that takes long to leave, is no leg.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from monitor.core.formulas.leverage import SLOW_EXIT_MINUTES
from monitor.core.formulas.trades import (
    EDGE_MAX,
    PERSISTENCE_SETTLEMENTS,
    compute_edge_ratio,
    compute_persistence,
)
from monitor.core.measures.carry import project_rates
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import is_closed
from monitor.core.measures.funding import read_predicted
from monitor.core.measures.funding_stress import series_of
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, MarketNode, Node, PositionNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.state.facts import Lack
from monitor.core.state.funding import carry_hours
from monitor.core.state.model import RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS, EngineNs, MarketStatus, SubjectKind

LOOK_NS = 60 * SECOND_NS


class Pair(NamedTuple):
    """One market held long against another held short, a unit each.

    ``expected`` is the funding received over the holding time, ``cost`` a round trip of both legs,
    fractions of a leg.
    """

    long: MarketNode
    short: MarketNode
    expected: float
    cost: float

    @property
    def edge_ratio(self) -> float:
        """What is left of the expected funding, in units of the cost."""
        return compute_edge_ratio(expected=self.expected, cost=self.cost)


def expected_rates(place: MarketNode, use: Use) -> float | None:
    """Sum of the hourly rates of the holding time, > 0 where longs pay."""
    rate = read_predicted(place, use)
    if rate is None:
        return None
    return project_rates(place.market, rate, use.settings.trades.holding_hours, use)


def make_pair(long: MarketNode, short: MarketNode, use: Use) -> Pair | None:
    """Of two markets; None where funding of either is not known."""
    paid, received = expected_rates(long, use), expected_rates(short, use)
    if paid is None or received is None:
        return None
    cost = sum(use.settings.trades.round_trip(one.market.venue) for one in (long, short))
    return Pair(long, short, received - paid, cost)


def best_pair(node: AssetNode, use: Use) -> Pair | None:
    """That with the most left of its funding after costs; None with the reason."""
    if len(node.markets) < 2:
        use.absent(f"{NO_SOURCE}only one watched market of {node.asset}", Lack.CHOICE)
        return None
    pen, _ = use.sides
    best: Pair | None = None
    for long, short in permutations([one for one in node.markets if _is_leg(one, use)], 2):
        pen.begin(use.now)
        pair = make_pair(long, short, pen)
        if pair is not None and (best is None or pair.edge_ratio > best.edge_ratio):
            best = pair
    if best is None:
        use.absent(f"funding of no two markets of {node.asset} that can be left is known")
        return None
    return make_pair(best.long, best.short, use)


def _is_leg(place: MarketNode, use: Use) -> bool:
    settings, market = use.settings.leverage, place.market
    minutes = dict(settings.exit_minutes).get(market.venue, settings.exit_minutes_default)
    return market.status.value is MarketStatus.ACTIVE and minutes <= SLOW_EXIT_MINUTES


def _best_edge(node: AssetNode, use: Use) -> float | None:
    pair = best_pair(node, use)
    return None if pair is None else pair.edge_ratio


def _persistence(node: AssetNode, use: Use) -> float | None:
    pair = best_pair(node, use)
    return None if pair is None else pair_persistence(pair, use)


def pair_persistence(pair: Pair, use: Use) -> float | None:
    """Share of the last settlements, of the slower leg, at which the pair as it is received."""
    found = settlements_of(pair, use)
    return None if found is None else compute_persistence(found)


def settlements_of(pair: Pair, use: Use) -> list[float | None] | None:
    """What the pair received at each of the last settlements of the slower leg, fractions of a leg,
    oldest first; None for one that is not known, and for all where a leg's are too old."""
    step = max(one.market.funding_interval_s for one in (pair.long, pair.short)) // 3600 or 1
    found = []
    for place in (pair.long, pair.short):
        series, carry = (
            series_of(use.state, place.market),
            carry_hours(place.market.funding_interval_s),
        )
        if not series.rates or use.now // HOUR_NS - series.newest > carry:
            use.absent(f"settled funding of {place.market.market} is unknown or too old")
            return None
        use.as_of = min(use.as_of, series.newest * HOUR_NS)
        use.expires = min(use.expires, (series.newest + carry + 1) * HOUR_NS)
        use.observed = min(use.observed, series.told_ns)
        found.append((series, carry))
    last = min(series.newest for series, _ in found)
    first = last - step * (PERSISTENCE_SETTLEMENTS - 1)
    paid, received = (series.hourly(first, last, carry)[::step] for series, carry in found)
    return [
        None if one is None or other is None else other - one
        for one, other in zip(paid, received, strict=True)
    ]


# ------------------------------------------------------------------------------------ pairs held


def _leg_edge(node: PositionNode, use: Use) -> float | None:
    """Of the position with the largest one against it in another market of the asset; as high as
    it goes where there is none: that is no leg."""
    if is_closed(node, use):
        return EDGE_MAX
    use.wake_at(use.now + LOOK_NS)
    twin = twin_of(node, use)
    if twin is None:
        return None
    if twin is node.market:
        return EDGE_MAX
    pair = held_pair(node, twin, use)
    return None if pair is None else pair.edge_ratio


def held_pair(node: PositionNode, twin: MarketNode, use: Use) -> Pair | None:
    """A position and what is held against it in another market, as they are held."""
    legs = (node.market, twin) if node.position.size > 0.0 else (twin, node.market)
    return make_pair(*legs, use)


def twin_of(node: PositionNode, use: Use) -> MarketNode | None:
    """The market of the twin, or its own where there is none; None where that is not known."""
    if use.read(node.owner, HOLDINGS) is None:
        return None
    assets = [one for one in node.related(Relation.ASSET) if isinstance(one, AssetNode)]
    if not assets:
        use.absent(f"which asset {node.market.market.market} is of is not known")
        return None
    largest, twin = 0.0, node.market
    for holder in assets[0].related(Relation.HOLDERS):
        if not isinstance(holder, AccountNode):
            continue
        if use.read(holder, HOLDINGS) is None:
            return None
        for place in assets[0].markets:
            position = holder.account.positions.get(place.market.market)
            if position is None or place.market.venue != holder.account.venue:
                continue
            against = abs(position.size) if position.size * node.position.size < 0.0 else 0.0
            if place is not node.market and against > largest:
                largest, twin = against, place
    return twin


def _told(node: Node, state: RiskState, now: EngineNs) -> str:
    """``long BTC-USD on dydx at 0 %, short BTC on hyperliquid at 88 %``: by the rates predicted."""
    if not isinstance(node, AssetNode):
        return ""
    rates = sorted(
        (place.market.predicted.value, place.subject, place.market)
        for place in node.markets
        if place.market.predicted.value is not None
    )
    if len(rates) < 2:
        return ""
    return ", ".join(
        f"{side} {market.market} on {market.venue} at {rate * 876_000:.3g} %"
        for side, (rate, _, market) in (("long", rates[0]), ("short", rates[-1]))
    )


def _spec(
    name: str,
    kind: SubjectKind,
    help_text: str,
    *,
    low: float,
    high: float,
    typical: tuple[float, float],
    at_zero: str = "",
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=(kind,),
        unit=Unit.RATIO,
        help=help_text,
        low=low,
        high=high,
        cadence_s=60.0,
        at_zero=at_zero,
        typical=typical,
        words=("x",) if high > 1.0 else (),
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        _spec(
            "harvest_edge_ratio",
            SubjectKind.ASSET,
            "Expected funding of the asset's best pair of markets over the holding time, less a "
            "round trip of both legs, in round trips.",
            low=-EDGE_MAX,
            high=EDGE_MAX,
            typical=(-1.0, 2.0),
        ),
        SubjectKind.ASSET,
        _best_edge,
        detail=_told,
    ),
    define(
        _spec(
            "harvest_persistence_ratio",
            SubjectKind.ASSET,
            "Share of the last 21 settlements at which the asset's best pair received; an unknown "
            "one counts as not.",
            low=0.0,
            high=1.0,
            typical=(0.5, 0.9),
        ),
        SubjectKind.ASSET,
        _persistence,
    ),
    define(
        _spec(
            "harvest_leg_edge_ratio",
            SubjectKind.POSITION,
            "The same of a position and the largest against it in another market of its asset, as "
            "they are held.",
            low=-EDGE_MAX,
            high=EDGE_MAX,
            typical=(1.0, -2.0),
            at_zero="1000 once closed, and where nothing is held against it",
        ),
        SubjectKind.POSITION,
        _leg_edge,
        needs=((Relation.ACCOUNT, HOLDINGS),),
    ),
)
