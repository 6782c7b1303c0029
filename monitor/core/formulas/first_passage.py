"""How likely a price is to touch a liquidation price within a horizon, jumps included. *Pure.*

Everything is in log distance to the barrier, so that a long and a short are one problem seen from
two sides. A year has 365 days; volatility is annualized, horizons are seconds.
"""

from __future__ import annotations

from functools import cache
from math import erfc, exp, log, sqrt
from statistics import NormalDist

import msgspec

YEAR_S = 365.0 * 86_400.0
LONGEST_S = 30.0 * 86_400.0
# Moves over one latency that are exceeded once in a thousand.
ONE_SIDED_999 = 3.0902
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23)
_POINTS = 1024  # paths with one jump; half as many with each further one
_COARSE = 128  # for a search, where each step costs as much again
_MOST_JUMPS = 3
_FIRST_POINT = 20  # the first of a low-discrepancy sequence are too regular

Path = tuple[tuple[float, float, float], ...]  # (time as share of T, diffusion, jump) by segment


class Jumps(msgspec.Struct, frozen=True, gc=False):
    """Sudden moves beside the diffusion: how many a year, and their log size (normal).

    ``mean_log`` is signed as the price moves; ``deviation_log`` >= 0.
    """

    per_year: float
    mean_log: float
    deviation_log: float


NO_JUMPS = Jumps(0.0, 0.0, 0.0)


def _cumulative(z: float) -> float:
    return 0.5 * erfc(-z / sqrt(2.0))


def _survival(distance: float, drift: float, volatility: float, years: float) -> float:
    """Chance that a distance > 0 with this drift (log per year) stays above 0."""
    if distance <= 0.0:
        return 0.0
    width = volatility * sqrt(years)
    if width <= 0.0:
        return 1.0 if distance + drift * years > 0.0 else 0.0
    mirrored = _cumulative((drift * years - distance) / width)
    if mirrored > 0.0:
        mirrored *= exp(min(-2.0 * drift * distance / (volatility * volatility), 700.0))
    return max(_cumulative((distance + drift * years) / width) - mirrored, 0.0)


def compute_passage_probability(
    *,
    price: float,
    barrier: float,
    volatility_annualized: float,
    horizon_s: float,
    drift_annualized: float = 0.0,
    jumps: Jumps = NO_JUMPS,
) -> float:
    """Chance in ``[0, 1]`` that the price touches ``barrier`` within the horizon.

    Args:
        price: Now, > 0.
        barrier: Below ``price`` where a fall liquidates (long), above where a rise does; > 0.
        volatility_annualized: Of the diffusion, >= 0.
        horizon_s: Seconds, >= 0.
        drift_annualized: Of the price, fraction per year; 0 for none.
        jumps: Sudden moves beside the diffusion; not compensated in the drift.

    Returns:
        1 where price and barrier are equal. Closed form without jumps; with jumps a fixed set of
        low-discrepancy paths, whose error is below 0.001.
    Source: Borodin & Salminen, *Handbook of Brownian Motion* (first passage); Merton 1976 (jumps);
        Beaglehole et al. 1997 (bridge between two jumps).
    """
    distance = log(price / barrier)
    drift = drift_annualized - 0.5 * volatility_annualized * volatility_annualized
    shift = jumps.mean_log
    if distance < 0.0:
        distance, drift, shift = -distance, -drift, -shift
    mirrored = Jumps(jumps.per_year, shift, jumps.deviation_log)
    years = horizon_s / YEAR_S
    return 1.0 - _jumping_survival(
        distance, drift, volatility_annualized, years, mirrored, points=_POINTS
    )


def compute_quick_passage_probability(
    *, price: float, barrier: float, volatility_annualized: float, horizon_s: float
) -> float:
    """The same by ``2 N(-|b| / (sigma sqrt T))``: no drift, no jumps, for the back of an envelope.
    In ``[0, 1]``; 0 where neither time nor volatility moves the price."""
    width = volatility_annualized * sqrt(horizon_s / YEAR_S)
    if width <= 0.0:
        return 1.0 if price == barrier else 0.0
    return 2.0 * _cumulative(-abs(log(barrier / price)) / width)


def compute_passage_time(
    probability: float,
    *,
    price: float,
    barrier: float,
    volatility_annualized: float,
    jumps: Jumps = NO_JUMPS,
    longest_s: float = LONGEST_S,
) -> float:
    """Smallest horizon in seconds by which the barrier is touched with at least ``probability``
    (0.01 for the "1 % runway"), in ``[0, longest_s]``; ``longest_s`` where it takes longer.

    Found by bisection: the chance grows with the horizon. No drift.
    """
    distance = log(price / barrier)
    drift = -0.5 * volatility_annualized * volatility_annualized
    shift = jumps.mean_log
    if distance < 0.0:
        distance, drift, shift = -distance, -drift, -shift
    mirrored = Jumps(jumps.per_year, shift, jumps.deviation_log)

    def reached(seconds: float) -> bool:
        survival = _jumping_survival(
            distance,
            drift,
            volatility_annualized,
            seconds / YEAR_S,
            mirrored,
            points=_COARSE,
        )
        return 1.0 - survival >= probability

    if distance == 0.0:
        return 0.0
    if not reached(longest_s):
        return longest_s
    low, high = 1.0, longest_s
    if reached(low):
        return 0.0
    while high > low * 1.02:  # two percent of the time is finer than the volatility is known
        middle = sqrt(low * high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def compute_latency_move(*, volatility_annualized: float, latency_s: float) -> float:
    """Relative move that is exceeded once in a thousand (one side) within a latency, ``>= 0``:
    ``3.0902 sigma sqrt(T)``."""
    return ONE_SIDED_999 * volatility_annualized * sqrt(latency_s / YEAR_S)


def compute_least_distance(*, volatility_annualized: float, latency_s: float) -> float:
    """Least liquidation distance for an exit that takes ``latency_s``, as a ratio: half as much
    again as the move of one time in a thousand, and three percent."""
    move = compute_latency_move(volatility_annualized=volatility_annualized, latency_s=latency_s)
    return 1.5 * move + 0.03


# --------------------------------------------------------------------------------------- jumps


def _jumping_survival(
    distance: float, drift: float, volatility: float, years: float, jumps: Jumps, *, points: int
) -> float:
    """By the number of jumps (Poisson): none in closed form, up to three by paths; what has more
    counts as having three."""
    expected = jumps.per_year * years
    chance = exp(-expected)
    survival = chance * _survival(distance, drift, volatility, years)
    if expected <= 0.0:
        return survival
    left = 1.0 - chance
    for count in range(1, _MOST_JUMPS + 1):
        chance *= expected / count
        weight = left if count == _MOST_JUMPS else chance
        paths = _paths(count, points >> (count - 1))
        survival += weight * _survival_over(paths, distance, drift, volatility, years, jumps)
        left -= chance
    return min(max(survival, 0.0), 1.0)


def _survival_over(
    paths: tuple[Path, ...],
    distance: float,
    drift: float,
    volatility: float,
    years: float,
    jumps: Jumps,
) -> float:
    """Mean over paths with a given number of jumps. Between two jumps the path may have touched
    the barrier and come back: the bridge says how likely that is; after the last jump the closed
    form goes on."""
    total, variance_rate = 0.0, volatility * volatility
    mean, deviation = jumps.mean_log, jumps.deviation_log
    for path in paths:
        at, elapsed, weight = distance, 0.0, 1.0
        for share, moved, jumped in path:
            step = share * years - elapsed
            variance = variance_rate * step
            after = at + drift * step + sqrt(variance) * moved
            if after <= 0.0:
                weight = 0.0
                break
            if variance > 0.0:
                weight *= 1.0 - exp(-2.0 * at * after / variance)
            at = after + mean + deviation * jumped
            if at <= 0.0:
                weight = 0.0
                break
            elapsed = share * years
        if weight:
            total += weight * _survival(at, drift, volatility, years - elapsed)
    return total / len(paths)


@cache
def _paths(count: int, points: int) -> tuple[Path, ...]:
    """Halton points as jump times (sorted), diffusion moves and jump sizes; the same every time."""
    normal = NormalDist().inv_cdf
    made = []
    for index in range(_FIRST_POINT, _FIRST_POINT + points):
        numbers = [_radical_inverse(index, base) for base in _PRIMES[: 3 * count]]
        times = sorted(numbers[:count])
        moves = map(normal, numbers[count : 2 * count])
        sizes = map(normal, numbers[2 * count :])
        made.append(tuple(zip(times, moves, sizes, strict=True)))
    return tuple(made)


def _radical_inverse(index: int, base: int) -> float:
    value, share = 0.0, 1.0
    while index:
        share /= base
        index, digit = divmod(index, base)
        value += share * digit
    return value
