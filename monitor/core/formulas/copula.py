"""How likely several unlikely things are at once, from how likely each is and how they go together.

Gaussian and Student-t with four degrees of freedom, whose extremes come together more often; the
latter is what joint liquidations and outages are judged by. *Pure.*
Source: the sheets *margin-and-liquidation* §4 and *stress-and-var* §3; Demarta & McNeil 2005.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import acos, asin, copysign, cos, erfc, exp, pi, sin, sqrt
from statistics import NormalDist

# A thing that is certain, or impossible, in place of an infinite quantile.
FAR = 1e9
_ANGLES = 32  # steps of the integral over the correlation; even
_SCALES = 24  # steps over the common scale of a Student-t; even
_SCALE_MAX = 8.0
_FACTORS = 48  # steps over the common factor; even
_FACTOR_MAX = 6.0
_LOADING_MAX = 0.999
_ROUNDS = 30

_NORMAL = NormalDist()


def _cumulative(z: float) -> float:
    return 0.5 * erfc(-z / sqrt(2.0))


def _simpson(low: float, high: float, steps: int) -> tuple[tuple[float, float], ...]:
    """(point, weight) of Simpson's rule."""
    width = (high - low) / steps
    return tuple(
        (low + index * width, width / 3.0 * (1.0 if index in {0, steps} else 4.0 - 2.0 * even))
        for index in range(steps + 1)
        for even in (float(index % 2 == 0),)
    )


def compute_bivariate_normal(first: float, second: float, correlation: float) -> float:
    """``P(X <= first, Y <= second)`` of two standard normals with this correlation, in ``[0, 1]``.

    Source: Plackett 1954; the correlation is integrated from 0, as an angle. Error below 1e-7.
    """
    independent = _cumulative(first) * _cumulative(second)
    rho = min(max(correlation, -1.0), 1.0)
    if rho == 0.0 or min(first, second) <= -40.0 or max(first, second) >= 40.0:
        return independent
    squares, product = first * first + second * second, 2.0 * first * second
    total = 0.0
    for angle, weight in _simpson(0.0, asin(rho), _ANGLES):
        off = cos(angle) ** 2
        rise = squares - product * sin(angle)
        if off <= 1e-14:  # at the end there is density only where both are equal
            total += weight * (exp(-0.5 * first * second) if rise <= 1e-12 else 0.0)
        else:
            total += weight * exp(-0.5 * rise / off)
    return min(max(independent + total / (2.0 * pi), 0.0), 1.0)


def compute_joint_normal(first: float, second: float, correlation: float) -> float:
    """Chance of two things at once by the Gaussian copula, from the chance of each."""
    return compute_bivariate_normal(_gaussian(first), _gaussian(second), correlation)


def _gaussian(chance: float) -> float:
    return _NORMAL.inv_cdf(chance) if 0.0 < chance < 1.0 else FAR if chance >= 1.0 else -FAR


def student_quantile(chance: float) -> float:
    """Value that a Student-t with four degrees of freedom does not exceed with this chance; +-1e9
    for 1 and 0. Source: Shaw 2006, closed form for four."""
    if not 0.0 < chance < 1.0:
        return FAR if chance >= 1.0 else -FAR
    root = sqrt(4.0 * chance * (1.0 - chance))
    ratio = cos(acos(min(root, 1.0)) / 3.0) / root
    size = 2.0 * sqrt(max(ratio - 1.0, 0.0))
    return size if chance > 0.5 else -size


@cache
def _scales() -> tuple[tuple[float, float], ...]:
    """(common scale of a Student-t, its weight): the root of a chi-square of four over four.

    Extremes come from small scales: the points are squares, so that most lie there.
    """
    raw = []
    for root, weight in _simpson(0.0, sqrt(_SCALE_MAX), _SCALES):
        point = root * root
        raw.append((point / 2.0, weight * 2.0 * root * point**3 * exp(-0.5 * point * point)))
    total = sum(weight for _, weight in raw)
    return tuple((scale, weight / total) for scale, weight in raw if weight > 0.0)


def compute_joint_student(first: float, second: float, correlation: float) -> float:
    """Chance of two things at once by the Student-t copula with four degrees of freedom.

    Args:
        first: Chance of the one alone, in ``[0, 1]``.
        second: Of the other.
        correlation: In ``[-1, 1]``; even at 0 the joint chance is above the product.

    Returns:
        At most the smaller of the two, at least 0.
    """
    low, high = sorted((first, second))
    if low <= 0.0 or high >= 1.0 or correlation >= 1.0:
        return max(low, 0.0)
    one, other = student_quantile(low), student_quantile(high)
    joint = sum(
        weight * compute_bivariate_normal(one * scale, other * scale, correlation)
        for scale, weight in _scales()
    )
    return min(joint, low)


def fit_loadings(correlations: Sequence[Sequence[float]]) -> list[float]:
    """Loadings on one common factor whose products are nearest to these correlations.

    Args:
        correlations: Symmetric, with 1 on the diagonal, shape ``(n, n)``.

    Returns:
        ``n`` numbers in ``[-0.999, 0.999]``; the sign of all of them together means nothing.
    """
    count = len(correlations)
    # From the signs of what goes with the others most: where as many move against each other as
    # together, all ones are orthogonal to the factor, and would never find it.
    strongest = max(correlations, key=lambda row: sum(map(abs, row)), default=())
    loadings = [copysign(1.0, one) for one in strongest]
    shared = [1.0] * count  # the part of each one's variance that is the factor's
    for _ in range(_ROUNDS):
        moved = [
            sum(
                (shared[row] if row == column else correlations[row][column]) * loadings[column]
                for column in range(count)
            )
            for row in range(count)
        ]
        length = sqrt(sum(one * one for one in moved))
        before = sqrt(sum(one * one for one in loadings))
        if length <= 0.0 or before <= 0.0:
            return [0.0] * count
        root = sqrt(length / before)
        loadings = [min(max(one / length * root, -_LOADING_MAX), _LOADING_MAX) for one in moved]
        shared = [one * one for one in loadings]
    return loadings


def compute_two_or_more(chances: Sequence[float], loadings: Sequence[float]) -> float:
    """Chance that two or more of several things happen, by one common factor (Student-t, four).

    Given the factor they are independent, so that none and exactly one of them are products.
    """
    limits = [student_quantile(one) for one in chances]
    apart = [sqrt(1.0 - one * one) for one in loadings]
    fewer = 0.0
    density: Callable[[float], float] = _NORMAL.pdf
    factors = [
        (point, weight * density(point))
        for point, weight in _simpson(-_FACTOR_MAX, _FACTOR_MAX, _FACTORS)
    ]
    norm = sum(weight for _, weight in factors)
    for scale, share in _scales():
        for factor, weight in factors:
            none, one = 1.0, 0.0
            for limit, loading, rest in zip(limits, loadings, apart, strict=True):
                chance = _cumulative((limit * scale - loading * factor) / rest)
                one = one * (1.0 - chance) + none * chance
                none *= 1.0 - chance
            fewer += share * weight / norm * (none + one)
    return min(max(1.0 - fewer, 0.0), 1.0)
