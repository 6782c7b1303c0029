"""Where positions are liquidated: one market alone, all together, or along a shock. *Pure.*

Sign: size > 0 long. A price at or below zero is no price: the market alone cannot liquidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, log

import msgspec

from monitor.core.events import MarginTier
from monitor.core.formulas.margin import compute_tiered_maintenance
from monitor.core.formulas.ratios import compute_margin_usage

# Returned as distance where no move of the market alone can liquidate: a move of +1000 %.
OUT_OF_REACH_RATIO = 10.0
SIGMAS_MAX = 1000.0
SHOCK_PRECISION = 1e-7


def compute_liquidation_price(
    *,
    size: float,
    price: float,
    equity_usd: float,
    other_maintenance_usd: float,
    tiers: Sequence[MarginTier],
) -> float | None:
    """Price of this market at which equity meets maintenance, all other prices held.

    Args:
        size: Signed base units, not 0.
        price: Present margin price, quote per base, > 0.
        equity_usd: Of the whole pool (of the position alone where it is isolated).
        other_maintenance_usd: Maintenance of the pool's other positions; 0 where isolated.
        tiers: Maintenance tiers of this market; each is solved, and the root counts whose own
            notional lies in its tier.

    Returns:
        Quote per base, > 0; None where no positive price liquidates.
    Source: equity + size x (p' - price) = |size| x p' x m - D + others; Hyperliquid docs
        *Liquidations*, dYdX docs *Liquidations*.
    """
    magnitude = abs(size)
    room = equity_usd - size * price - other_maintenance_usd
    deduction, rate = 0.0, 0.0
    for index, tier in enumerate(tiers):
        if index:
            deduction += tier.lower_bound_usd * (tier.maintenance_margin_rate - rate)
        rate = tier.maintenance_margin_rate
        divisor = magnitude * rate - size
        if divisor == 0.0:
            continue
        root = (room + deduction) / divisor
        if root <= 0.0:
            continue
        notional = magnitude * root
        upper = tiers[index + 1].lower_bound_usd if index + 1 < len(tiers) else float("inf")
        if tier.lower_bound_usd <= notional <= upper:
            return root
    return None


def compute_liquidation_distance(
    *,
    price: float,
    liquidation_price: float | None,
    equity_usd: float,
    maintenance_usd: float,
) -> float:
    """Relative move of this market to its liquidation, in ``[0, 10]``.

    0 where the pool is already at or below its maintenance; 10 where no move of this market alone
    (or only one beyond +1000 %) would liquidate.
    """
    if equity_usd <= maintenance_usd:
        return 0.0
    if liquidation_price is None:
        return OUT_OF_REACH_RATIO
    return min(abs(liquidation_price / price - 1.0), OUT_OF_REACH_RATIO)


def compute_uniform_move(
    *,
    equity_usd: float,
    net_notional_usd: float,
    maintenance_usd: float,
) -> float | None:
    """Relative move of *all* prices together at which equity meets maintenance; None where no
    move above -100 % does.

    Signed: a net long pool falls to it (< 0). Single-market prices lie for hedged books, and for
    several longs they are too far away. Maintenance rates are held at their present tiers.
    """
    divisor = net_notional_usd - maintenance_usd
    if divisor == 0.0:
        return None
    move = (maintenance_usd - equity_usd) / divisor
    return move if move > -1.0 else None


def compute_distance_sigmas(distance_ratio: float, volatility_daily: float, *, up: bool) -> float:
    """A liquidation distance in daily sigmas, ``|ln(p'/p)| / sigma``, in ``[0, 1000]``.

    ``up`` where a rise liquidates. 0 where it is liquidated already; 1000 where the price would
    have to fall to nothing, or does not move at all.
    """
    if distance_ratio <= 0.0:
        return 0.0
    if not up and distance_ratio >= 1.0:
        return SIGMAS_MAX
    move = log(1.0 + distance_ratio) if up else -log(1.0 - distance_ratio)
    return min(move / volatility_daily, SIGMAS_MAX) if volatility_daily > 0.0 else SIGMAS_MAX


# ------------------------------------------------------------------------- along a shock direction


class Exposed(msgspec.Struct, frozen=True, gc=False):
    """One position under a shock: signed notional in USD, how many times the shock its price moves
    (``beta``; 0: not at all, < 0: against it), and its maintenance tiers, at least one."""

    notional_usd: float
    beta: float
    tiers: tuple[MarginTier, ...]


def compute_shocked_room(equity_usd: float, book: Sequence[Exposed], move: float) -> float:
    """Equity less maintenance in USD after a shock of ``move``; at or below 0 is liquidation.

    No price falls below zero; maintenance is taken at the tiers of the shocked notionals.
    """
    parts = [equity_usd]
    for one in book:
        factor = max(1.0 + one.beta * move, 0.0)
        parts.append(one.notional_usd * (factor - 1.0))
        parts.append(-compute_tiered_maintenance(abs(one.notional_usd) * factor, one.tiers))
    return fsum(parts)


def compute_shock_distance(equity_usd: float, book: Sequence[Exposed], *, sign: float) -> float:
    """Least ``|x|`` of a shock of that sign at which the pool is liquidated, in ``[0, 10]``.

    0 where it is liquidated already, 10 where no shock up to 10 does it. Up to the shock at which a
    price reaches zero, and from there to the next, room is concave in ``x`` (profits are linear,
    maintenance is convex): it can cross zero only once in between, which bisection finds.
    """
    if compute_shocked_room(equity_usd, book, 0.0) <= 0.0:
        return 0.0
    floors = {-sign / one.beta for one in book if one.beta * sign < 0.0}
    within = sorted(floor for floor in floors if floor < OUT_OF_REACH_RATIO)
    low = 0.0
    for high in (*within, OUT_OF_REACH_RATIO):
        if compute_shocked_room(equity_usd, book, sign * high) <= 0.0:
            return _bisect(equity_usd, book, sign, low, high)
        low = high
    return OUT_OF_REACH_RATIO


def _bisect(
    equity_usd: float, book: Sequence[Exposed], sign: float, low: float, high: float
) -> float:
    while high - low > SHOCK_PRECISION:
        middle = 0.5 * (low + high)
        if compute_shocked_room(equity_usd, book, sign * middle) <= 0.0:
            high = middle
        else:
            low = middle
    return high


def compute_shocked(equity_usd: float, book: Sequence[Exposed], move: float) -> tuple[float, float]:
    """Equity and maintenance in USD after a shock of ``move``; no price falls below zero."""
    required, equity = [], [equity_usd]
    for one in book:
        factor = max(1.0 + one.beta * move, 0.0)
        equity.append(one.notional_usd * (factor - 1.0))
        required.append(compute_tiered_maintenance(abs(one.notional_usd) * factor, one.tiers))
    return fsum(equity), fsum(required)


def compute_stressed_usage(equity_usd: float, book: Sequence[Exposed], move: float) -> float:
    """Maintenance over equity after a shock of ``move``, in ``[0, 10]``; 10 where equity is gone
    but the requirement is not."""
    equity, required = compute_shocked(equity_usd, book, move)
    return compute_margin_usage(required, equity)
