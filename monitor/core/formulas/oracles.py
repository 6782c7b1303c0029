"""How far a venue's oracle may be from everybody else, and whether it is. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from monitor.core.formulas.ratios import compute_deviation

SOURCES_MIN = 3
# A price network that only speaks of moves beyond its threshold is silent about smaller ones by
# design, and the other side may just have moved as far.
THRESHOLDS = 2.0
SIGMAS = 3.0  # of a minute: prices that are compared were not made in the same second
# From here on it is no matter of limits: liquidations go by a price that nobody trades at.
CONTRADICTED_RATIO = 0.03
WITNESSES = 2


def compute_reference(prices: Sequence[float]) -> float | None:
    """Median of prices > 0; None below three, of which one wrong one would be a third."""
    return median(prices) if len(prices) >= SOURCES_MIN else None


def compute_divergence_limit(
    *, floor_ratio: float, threshold_ratio: float, sigma_minute: float | None
) -> float:
    """Deviation beyond which an oracle is contradicted, fraction of the price.

    Args:
        floor_ratio: What is allowed of any feed: 1 % of majors, 2.5 % of others.
        threshold_ratio: Move that the feed does not speak of; 0 where it tells every one.
        sigma_minute: Standard deviation of a minute's return; None (unknown) widens nothing.
    Source: rules catalogue section 5, ORACLE_DIVERGENCE.
    """
    return max(floor_ratio, THRESHOLDS * threshold_ratio, SIGMAS * (sigma_minute or 0.0))


def compute_agreed_deviation(oracle: float, prices: Iterable[tuple[str, float]]) -> float | None:
    """By how much at least two witnesses have the oracle away from their prices, all on the same
    side, as a fraction >= 0; None below two witnesses.

    Between two that are far apart the oracle is the middle and no outlier: 0.

    Args:
        oracle: The judged price, > 0.
        prices: (witness, price > 0); one with several prices counts once, by the furthest.
    """
    sides: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for witness, price in prices:
        away = compute_deviation(oracle, price)
        for side, sign in zip(sides, (1.0, -1.0), strict=True):
            side[witness] = max(side.get(witness, 0.0), sign * away)
    if len(sides[0]) < WITNESSES:
        return None
    return max(sorted(side.values())[-WITNESSES] for side in sides)
