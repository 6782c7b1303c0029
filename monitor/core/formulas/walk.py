"""What it costs to sell into a book, and into a market of which only the volume is known. *Pure.*

Source: the sheet *exits-and-congestion* section 2; the impact is the square-root law (Gatheral).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

BPS = 1e4
IMPACT_COEFFICIENT = 0.8


class Walk(NamedTuple):
    """How an order met a book.

    ``average_price`` is what was filled on average, ``slippage_bps`` its distance from mid; both
    None where nothing was. ``unfilled`` is left in base units: what it would cost is unknown.
    """

    average_price: float | None
    slippage_bps: float | None
    unfilled: float


def walk_book(levels: Iterable[tuple[float, float]], *, size: float, mid: float) -> Walk:
    """Take levels, best first, until ``size`` is filled.

    Args:
        levels: (price, size) of the side that is met, best first; sizes in base units.
        size: To be traded, base units, > 0.
        mid: Between best bid and best ask, > 0.

    Raises:
        ValueError: If ``size`` or ``mid`` is not above zero.
    """
    if not (size > 0.0 and mid > 0.0):
        raise ValueError(f"a walk needs a size and a mid above zero, not {size} and {mid}")
    left, paid = size, 0.0
    for price, offered in levels:
        taken = min(offered, left)
        paid += taken * price
        left -= taken
        if left <= 0.0:
            break
    filled = size - left
    if filled <= 0.0:
        return Walk(None, None, size)
    average = paid / filled
    return Walk(average, abs(average - mid) / mid * BPS, max(left, 0.0))


def compute_impact_bps(
    *, daily_volatility: float, volume_share: float, coefficient: float = IMPACT_COEFFICIENT
) -> float:
    """Price moved by an order without a book to walk, in basis points of its price, >= 0.

    Args:
        daily_volatility: Standard deviation of a day's log return.
        volume_share: Size over the volume of a day, >= 0.
        coefficient: Of the square-root law.
    """
    return coefficient * daily_volatility * sqrt(volume_share) * BPS
