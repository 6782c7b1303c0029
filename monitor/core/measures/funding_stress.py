"""Funding stress over the twenty largest assets of all watched venues, whatever the desk holds.

One pass every few seconds fills ``RiskState.stress``; every number behind the index is a measure
that reads from there, so that a person can do the sum again. Unknown is never calm: below the
coverage asked for there is no index. *Pure.*
"""

from __future__ import annotations

from math import fsum
from statistics import median
from typing import NamedTuple

from monitor.core.formulas.funding import HOURS_PER_YEAR
from monitor.core.formulas.funding_stress import (
    WORST,
    AssetFunding,
    MarketFunding,
    combine_venues,
    compute_common_factor,
    compute_dispersion,
    compute_stress_parts,
    compute_stress_points,
    compute_weighted_apr,
    ramp,
    score_asset,
)
from monitor.core.measures.funding import has_say, is_open, stood_still_until
from monitor.core.measures.funding_windows import MarketWindows
from monitor.core.measures.tree import PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import PRESENT, Lack, Why
from monitor.core.state.funding import FundingSeries, StressNow, carry_hours
from monitor.core.state.funding_past import Scores
from monitor.core.state.model import MarketState, RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS

TOP = 3
CADENCE_NS = 5 * SECOND_NS
BUCKET_HOURS, BUCKETS, BUCKETS_MIN = 8, 90, 60
_NONE = FundingSeries()


class Member(NamedTuple):
    """One market of an asset in the universe; ``scores`` or why there are none."""

    market: MarketState
    weight: float
    scores: Scores | Why


Universe = dict[str, list[Member]]
# Markets by asset with their open interest in USD.
Weighed = dict[str, list[tuple[MarketState, float]]]


def series_of(state: RiskState, market: MarketState) -> FundingSeries:
    """The market's settlements; empty where none was told. Not to be changed."""
    return state.funding.get(market.subject, _NONE)


def current_rate(state: RiskState, market: MarketState, hour: int) -> float | None:
    """The newest settlement as it stands in ``hour``, signed fraction per hour."""
    carry = carry_hours(market.funding_interval_s)
    series = series_of(state, market)
    return series.hourly(max(hour, series.newest), max(hour, series.newest), carry)[0]


def market_scores(windows: dict[str, MarketWindows], use: Use, market: MarketState) -> Scores | Why:
    """How unusual the market's funding is for itself, or why that is not known."""
    known = windows.get(market.subject)
    if known is None:
        known = windows[market.subject] = MarketWindows()
    return known.scores(
        series_of(use.state, market),
        use.now // HOUR_NS,
        carry_hours(market.funding_interval_s),
        use.settings.funding_stress.scale_floor,
    )


def weigh(use: Use) -> tuple[Weighed, int, int]:
    """Markets by asset with their open interest in USD, how many there are, and of how many it was
    told. The last known open interest weighs even when it is old: a feed that dies, or a market
    that is paused, must not shrink what it is a share of."""
    assets: Weighed = {}
    count = told = 0
    equal = use.settings.funding_stress.equal_weights
    for venue in use.state.venues.values():
        for market in venue.markets.values():
            if not has_say(use.state, market):
                continue
            count += 1
            price = market.oracle.value or market.mark.value or market.oracle.reference
            base = market.open_interest.value
            if equal:
                base = price = 1.0
            if base is None or price is None:
                continue
            told += 1
            if base > 0.0:
                assets.setdefault(market.asset, []).append((market, base * price))
    return assets, count, told


def largest_assets(use: Use, assets: Weighed) -> list[str]:
    """The universe of the index: the assets with the most open interest, the largest first."""
    sizes = {asset: fsum(weight for _, weight in held) for asset, held in assets.items()}
    ranked = sorted(sizes, key=lambda asset: (-sizes[asset], asset))
    return ranked[: use.settings.funding_stress.universe]


def _universe(node: PortfolioNode, use: Use, assets: Weighed) -> Universe:
    """The largest assets with the scores of their markets. Those that are not open say nothing,
    nor do those of a venue whose oracle stood still while the newest settlement was averaged."""
    majors = use.settings.freshness.majors
    dead = {
        name: stood_still_until(venue, majors, use.now) for name, venue in use.state.venues.items()
    }
    chosen: Universe = {}
    for asset in largest_assets(use, assets):
        members = chosen[asset] = []
        for market, weight in assets[asset]:
            scores = _scores(node, use, market)
            if isinstance(scores, Scores):
                began_ns = scores.hour * HOUR_NS - market.funding_interval_s * SECOND_NS
                if dead[market.venue] > began_ns:
                    scores = Why("its oracle stood still")
            members.append(Member(market, weight, scores))
    return chosen


def _scores(node: PortfolioNode, use: Use, market: MarketState) -> Scores | Why:
    if not is_open(market):
        return Why(f"its status is {market.status.value}")
    return market_scores(node.funding_windows, use, market)


def asset_funding(members: list[tuple[float, Scores]], use: Use) -> AssetFunding:
    """One asset from its markets' (open interest in USD, scores); at least one."""
    return combine_venues(
        [
            MarketFunding(one.rate, one.rate_before, one.z, one.change_z, weight)
            for weight, one in members
        ],
        use.settings.funding_stress,
    )


def compute_stress(node: PortfolioNode, use: Use) -> float:
    """Fill in ``RiskState.stress``, at most once in ``CADENCE_NS`` however many markets settle; the
    number of assets used."""
    memory, hour = use.state.stress, use.now // HOUR_NS
    if memory.now.at_ns and 0 <= use.now - memory.now.at_ns < CADENCE_NS:
        use.wake_at(memory.now.at_ns + CADENCE_NS)
        return float(memory.now.assets)
    assets, count, told = weigh(use)
    universe = _universe(node, use, assets)
    before, found = memory.now, StressNow(at_ns=use.now, why=PRESENT)
    memory.now = found
    found.common, found.common_hour = before.common, before.common_hour
    _fill(found, universe, use, count, told)
    settled = _newest(universe)
    memory.follow_calm(found.worst, settled, use.now, use.settings.funding_stress.calm)
    if found.index is not None:
        memory.note(hour, found.index)
        memory.known_ns = use.now
    # Of eight-hour means: it can only change with them.
    if hour // BUCKET_HOURS != found.common_hour // BUCKET_HOURS and universe:
        found.common, found.common_hour = _common_factor(universe, use, hour), hour
    if use.state.funding:  # else nothing moves before a settlement is told
        use.wake_at(use.now + CADENCE_NS)
    return float(found.assets)


def _newest(universe: Universe) -> int:
    return max(
        (
            one.scores.hour
            for members in universe.values()
            for one in members
            if isinstance(one.scores, Scores)
        ),
        default=0,
    )


def _fill(found: StressNow, universe: Universe, use: Use, count: int, told: int) -> None:
    """The index and all it is made of."""
    anchors = use.settings.funding_stress
    known: dict[str, AssetFunding] = {}
    worst: dict[str, AssetFunding] = {}
    total = used = 0.0
    as_of, expires, observed = use.now, 1 << 62, 0
    missing: tuple[float, str] = (0.0, "")
    for asset, members in universe.items():
        scored = []
        for market, weight, scores in members:
            total += weight
            if not isinstance(scores, Scores):
                missing = max(
                    missing, (weight, f"{market.market} on {market.venue}: {scores.reason}")
                )
                continue
            used += weight
            scored.append((weight, scores))
            as_of = min(as_of, scores.hour * HOUR_NS)
            carry = carry_hours(market.funding_interval_s)
            expires = min(expires, (scores.hour + carry + 1) * HOUR_NS)
            observed = max(observed, series_of(use.state, market).told_ns)
        if scored:
            known[asset] = asset_funding(scored, use)
        worst[asset] = known[asset] if len(scored) == len(members) else WORST
    found.universe, found.assets = len(universe), len(known)
    found.as_of_ns, found.expires_ns, found.observed_ns = as_of, expires, observed
    found.coverage = used / total if total > 0.0 else None
    _fill_context(found, universe, use)
    found.why = _why_not(found, missing[1], use, count, told)
    parts = compute_stress_parts(list(known.values()), anchors)
    if found.why.reason or parts is None:
        if not found.why.reason:
            found.why = Why("no sign of funding a day ago is known", Lack.HISTORY)
        return
    points = compute_stress_points(parts, anchors)
    at_worst = compute_stress_parts(list(worst.values()), anchors)
    if at_worst is not None:
        found.worst = round(compute_stress_points(at_worst, anchors).total, 9)
        found.worst_parts = at_worst
        found.at_worst = tuple(asset for asset, one in worst.items() if one is WORST)
    found.parts, found.points, found.index = parts, points, round(points.total, 9)
    found.ramps = tuple(
        ramp(value, low, high) for value, (low, high, _) in zip(parts, anchors.ramps, strict=True)
    )
    ranked = sorted(
        ((asset, one.apr, score_asset(one, anchors)) for asset, one in known.items()),
        key=lambda row: (-row[2], -row[1], row[0]),
    )
    found.top = tuple(ranked[:TOP])


def _why_not(found: StressNow, missing: str, use: Use, count: int, told: int) -> Why:
    """Why there is no index, with what is missing most; no words where there is one.

    History that is missing counts as being read even where a settlement is too old: that an index
    which was known is no more is told by a rule of its own."""
    anchors = use.settings.funding_stress
    if not count:
        return Why("no market is known")
    if told < use.settings.funding_known_ratio_min * count:
        return Why(f"open interest is known for only {told} of {count} markets")
    if found.coverage is None:
        return Why("no market has open interest")
    if found.coverage < anchors.coverage_min:
        return Why(
            f"funding history of {found.coverage:.0%} of open interest is known, "
            f"{anchors.coverage_min:.0%} is needed ({missing})",
            Lack.HISTORY,
        )
    if found.assets < anchors.assets_min:
        return Why(
            f"funding history of {found.assets} of {anchors.assets_min} assets is known",
            Lack.HISTORY,
        )
    return PRESENT


def _fill_context(found: StressNow, universe: Universe, use: Use) -> None:
    """How venues differ, and who is crowded: these need no history."""
    hour = use.now // HOUR_NS
    weighted: list[tuple[float, float]] = []
    spreads: list[float] = []
    for members in universe.values():
        by_venue: list[float] = []
        for market, weight, _ in members:
            rate = current_rate(use.state, market, hour) if is_open(market) else None
            if rate is not None:
                by_venue.append(rate * HOURS_PER_YEAR)
                weighted.append((weight, rate * HOURS_PER_YEAR))
        spread = compute_dispersion(by_venue)
        if spread is not None:
            spreads.append(spread)
    found.dispersion_apr = median(spreads) if spreads else None
    total = fsum(weight for members in universe.values() for _, weight, _ in members)
    told = fsum(weight for weight, _ in weighted)
    if told >= use.settings.funding_stress.coverage_min * total:
        found.weighted_apr = compute_weighted_apr(weighted)


def _common_factor(universe: Universe, use: Use, hour: int) -> float | None:
    """Share of the first factor of eight-hourly funding over thirty days, one market an asset."""
    last = hour - hour % BUCKET_HOURS - 1
    first = last - BUCKETS * BUCKET_HOURS + 1
    columns: list[list[float | None]] = []
    for members in universe.values():
        market = max(members, key=lambda one: one.weight).market
        carry = carry_hours(market.funding_interval_s)
        rates = series_of(use.state, market).hourly(first, last, carry)
        column: list[float | None] = []
        for start in range(0, len(rates), BUCKET_HOURS):
            known = [one for one in rates[start : start + BUCKET_HOURS] if one is not None]
            half = 2 * len(known) >= BUCKET_HOURS
            column.append(fsum(known) / len(known) if half else None)
        if sum(one is not None for one in column) >= BUCKETS_MIN:
            columns.append(column)
    rows = [row for row in zip(*columns, strict=True) if None not in row]
    if len(rows) < BUCKETS_MIN or len(columns) < use.settings.funding_stress.assets_min:
        return None
    return compute_common_factor(
        [[one for one in column if one is not None] for column in zip(*rows, strict=True)]
    )
