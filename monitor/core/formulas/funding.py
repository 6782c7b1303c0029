"""Funding: what a rate costs a position, and rates in other units. *Pure.*

Rates are signed fractions per hour; > 0 means longs pay shorts.
"""

from __future__ import annotations

HOURS_PER_YEAR = 8760.0
HOURS_PER_DAY = 24.0
DAYS_PER_YEAR = 365.0


def compute_funding_payment(
    *,
    size: float,
    oracle_price: float,
    funding_rate_hourly: float,
) -> float:
    """One hour's payment in USD as the account sees it: > 0 is received.

    Args:
        size: Signed base units, long > 0.
        oracle_price: Quote per base at the settlement; both venues charge on the oracle.
        funding_rate_hourly: Signed fraction per hour.
    Source: dYdX ``x/perpetuals`` (settlement = -size x index delta); Hyperliquid docs, *Funding*.
    """
    return -size * oracle_price * funding_rate_hourly


def compute_projected_funding_cost_24h(
    *,
    size: float,
    oracle_price: float,
    funding_rate_hourly: float,
) -> float:
    """What the next 24 hours would cost in USD at this rate and price: > 0 is paid by us."""
    payment = compute_funding_payment(
        size=size,
        oracle_price=oracle_price,
        funding_rate_hourly=funding_rate_hourly,
    )
    return -HOURS_PER_DAY * payment


def annualize_hourly_rate(funding_rate_hourly: float) -> float:
    """Simple (not compounded) rate per year of 8760 hours, a signed fraction."""
    return funding_rate_hourly * HOURS_PER_YEAR


def annualize_daily_cost(daily_cost_usd: float, exposure_usd: float) -> float:
    """A day's cost as a fraction of what is held, per year of 365 days, signed like the cost; 0.0
    where nothing is held."""
    return DAYS_PER_YEAR * daily_cost_usd / exposure_usd if exposure_usd > 0.0 else 0.0
