"""Margin requirements: tiered maintenance, and initial margin that scales with open interest.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.events import MarginTier


def compute_tiered_maintenance(notional_usd: float, tiers: Sequence[MarginTier]) -> float:
    """Maintenance margin in USD of one position, ``>= 0``.

    Args:
        notional_usd: Absolute notional, ``>= 0``.
        tiers: Ascending by lower bound, the first from 0; not empty.
    Source: Hyperliquid docs, *Margin tiers*: n x m_k - D_k with D_k = D_(k-1) + lower_k x
        (m_k - m_(k-1)); with a single tier it is notional x rate, as on dYdX.
    """
    rate, deduction = tier_at(notional_usd, tiers)
    return notional_usd * rate - deduction


def tier_at(notional_usd: float, tiers: Sequence[MarginTier]) -> tuple[float, float]:
    """(maintenance rate, deduction in USD) of the tier in which a notional lies."""
    if len(tiers) == 1:
        return tiers[0].maintenance_margin_rate, 0.0
    rate, deduction = tiers[0].maintenance_margin_rate, 0.0
    for tier in tiers[1:]:
        if notional_usd < tier.lower_bound_usd:
            break
        deduction += tier.lower_bound_usd * (tier.maintenance_margin_rate - rate)
        rate = tier.maintenance_margin_rate
    return rate, deduction


def compute_scaled_initial_rate(
    base_rate: float,
    *,
    open_interest_usd: float,
    lower_cap_usd: float,
    upper_cap_usd: float,
) -> float:
    """Initial margin rate of dYdX at this open interest, in ``[base_rate, 1]``.

    The base rate up to the lower cap, 1 from the upper cap on, linear between; an upper cap of 0
    switches scaling off. Maintenance does not scale.
    Source: v4-chain ``x/perpetuals/types/liquidity_tier.go``.
    """
    if upper_cap_usd <= 0.0 or open_interest_usd <= lower_cap_usd:
        return base_rate
    if open_interest_usd >= upper_cap_usd:
        return 1.0
    share = (open_interest_usd - lower_cap_usd) / (upper_cap_usd - lower_cap_usd)
    return min(base_rate + max(0.0, share) * (1.0 - base_rate), 1.0)


def compute_equity(
    *,
    cash_usd: float,
    positions: Sequence[tuple[float, float]],
    unsettled_funding_usd: float = 0.0,
) -> float:
    """Net collateral of one margin pool in USD, negative when it is under water.

    Args:
        cash_usd: Settled quote balance, may be negative.
        positions: (signed size, price) each; the oracle price on dYdX, the mark on Hyperliquid.
        unsettled_funding_usd: Charged but not yet in ``cash_usd``; > 0 is received.
    Source: dYdX docs *Margin* (equity = Q + sum of size x oracle price).
    """
    return cash_usd + unsettled_funding_usd + sum(size * price for size, price in positions)
