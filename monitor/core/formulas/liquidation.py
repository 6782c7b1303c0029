"""Where positions are liquidated: one market alone, or all markets moving together. *Pure.*

Sign: size > 0 long. A price at or below zero is no price: the market alone cannot liquidate.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.events import MarginTier

# Returned as distance where no move of the market alone can liquidate: a move of +1000 %.
OUT_OF_REACH_RATIO = 10.0


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
