"""How a book holds together: hedges, weights in bands, strategies that move as one. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import fsum, sqrt
from typing import NamedTuple

from monitor.core.formulas.funding_stress import correlate

# How far outside a band that allows nothing on one side counts.
OUTSIDE_MAX = 1000.0
ROUNDING = 1e-9
RISK_AVERSION = 2.0


def compute_hedge_mismatch(notionals: Iterable[float]) -> float:
    """|net| over gross of the legs of a hedge, ``[0, 1]``: 0 is flat, 1 is naked; 0 without legs.

    Args:
        notionals: Signed USD of every leg, off-book ones too.
    """
    known = list(notionals)
    gross = fsum(map(abs, known))
    return min(abs(fsum(known)) / gross, 1.0) if gross > 0.0 else 0.0


class Drift(NamedTuple):
    """How far a weight is towards either edge of its band: 1 is the edge, 0 at the target or on
    the other side of it, ``OUTSIDE_MAX`` beyond an edge that is the target itself."""

    over_ratio: float
    under_ratio: float


def compute_drift(
    weight_ratio: float, *, target_ratio: float, band_low_ratio: float, band_high_ratio: float
) -> Drift:
    """Where a weight lies within its band.

    Args:
        weight_ratio: Share that it has.
        target_ratio: Share that it should have, > 0.
        band_low_ratio: Room below the target as a share of it, >= 0.
        band_high_ratio: Room above, likewise.
    """
    gap = weight_ratio / target_ratio - 1.0
    return Drift(_towards(gap, band_high_ratio), _towards(-gap, band_low_ratio))


def _towards(gap: float, room: float) -> float:
    if gap <= ROUNDING:
        return 0.0
    return min(gap / room, OUTSIDE_MAX) if room > 0.0 else OUTSIDE_MAX


class BestBand(NamedTuple):
    """Half-band of a weight at which drift and trading cost least together, and how often it is
    then reached."""

    half_band_ratio: float
    crossings_per_year: float


def compute_best_band(
    *,
    cost_ratio: float,
    gap_volatility: float,
    volatility: float,
    risk_aversion: float = RISK_AVERSION,
) -> BestBand:
    """The half-band ``b* = (3 c w^2 / (g s^2))^(1/3)`` and its crossings a year ``w^2 / b*^2``.

    Args:
        cost_ratio: One-way cost of trading, ``c``, > 0.
        gap_volatility: Volatility a year of the weight against its target, ``w``, > 0.
        volatility: Volatility a year of what is weighed, ``s``, > 0.
        risk_aversion: ``g``.

    Raises:
        ValueError: If one of them is not positive.
    Source: sheet *rules-catalogue*, CADENCE_COST; 26.2 bp, 0.30 and 0.60 give 9.94 %, 9.1 a year.
    """
    if min(cost_ratio, gap_volatility, volatility, risk_aversion) <= 0.0:
        raise ValueError("a best band needs a cost and volatilities above zero")
    variance = gap_volatility**2
    half = (3.0 * cost_ratio * variance / (risk_aversion * volatility**2)) ** (1.0 / 3.0)
    return BestBand(half, variance / half**2)


def compute_annual_deviation(changes: Sequence[float], *, per_year: float) -> float:
    """Standard deviation a year of changes that come ``per_year`` times, drift not taken out.

    Raises:
        ValueError: Without a change.
    """
    if not changes:
        raise ValueError("a deviation needs changes")
    return sqrt(fsum(one * one for one in changes) / len(changes) * per_year)


class Lockstep(NamedTuple):
    """Mean correlation over all pairs; None while ``hours``, the fewest that two share, are too
    few."""

    correlation: float | None
    hours: int


def compute_lockstep(series: Sequence[Mapping[int, float]], *, hours_min: int) -> Lockstep:
    """Mean pairwise correlation of profits by the hour, ``[-1, 1]``.

    Args:
        series: Profit by hour of each strategy, two or more; hours not known are left out, and
            each pair is compared over the hours that both know.
        hours_min: Fewest hours that each pair must share.

    Raises:
        ValueError: With fewer than two series.
    """
    if len(series) < 2:
        raise ValueError("lockstep is between two strategies or more")
    fewest = min(len(one.keys() & other.keys()) for one, other in combinations(series, 2))
    if fewest < hours_min:
        return Lockstep(None, fewest)
    found = correlate_pairs(series)
    return Lockstep(fsum(found) / len(found), fewest)


def correlate_pairs(series: Sequence[Mapping[int, float]]) -> list[float]:
    """Correlation of each two, ``[-1, 1]``, in the order of ``itertools.combinations``; 0 with one
    that never moves."""
    found = []
    for one, other in combinations(series, 2):
        shared = sorted(one.keys() & other.keys())
        pair = correlate([one[hour] for hour in shared], [other[hour] for hour in shared])
        found.append(0.0 if pair is None else min(max(pair, -1.0), 1.0))
    return found


def choose_stressed_hours(returns: Mapping[int, float], *, share: float) -> frozenset[int]:
    """The hours in which the market moved most, either way; of equal ones the later.

    Args:
        returns: Log return of the market by hour; hours not known are left out.
        share: How many of them, in ``(0, 1]``; rounded down.
    """
    ranked = sorted(returns, key=lambda hour: (abs(returns[hour]), hour), reverse=True)
    return frozenset(ranked[: int(len(ranked) * share)])


class TailShares(NamedTuple):
    """Expected shortfall of several together and who makes it.

    ``shortfall_usd`` is the mean loss of the ``worst`` hours (> 0 a loss); ``shares`` are of each
    series, 1 together: below 0 for one that earned in those hours. Both are None where too few of
    ``hours`` are known; ``shares`` also where nothing was lost.
    """

    shortfall_usd: float | None
    shares: tuple[float, ...] | None
    worst: tuple[int, ...]
    hours: int


def compute_tail_shares(
    series: Sequence[Mapping[int, float]], *, tail: float, hours_min: int
) -> TailShares:
    """Historical expected shortfall by the hour, and each one's part of it: its mean loss in the
    hours in which all together lost most (sheet *stress and VaR*, section 1).

    Args:
        series: Profit by hour, USD; hours that one of them does not know are left out.
        tail: Share of the hours that counts as the tail, ``(0, 1)``; at least one hour does.
        hours_min: Fewest hours that all must share.
    """
    shared = sorted(set.intersection(*(set(one) for one in series))) if series else []
    if len(shared) < max(hours_min, 1):
        return TailShares(None, None, (), len(shared))
    together = {hour: fsum(one[hour] for one in series) for hour in shared}
    count = max(1, int(len(shared) * tail))
    worst = tuple(sorted(shared, key=lambda hour: (together[hour], hour))[:count])
    shortfall_usd = -fsum(together[hour] for hour in worst) / count
    if shortfall_usd <= 0.0:
        return TailShares(shortfall_usd, None, worst, len(shared))
    shares = tuple(-fsum(one[hour] for hour in worst) / count / shortfall_usd for one in series)
    return TailShares(shortfall_usd, shares, worst, len(shared))
