"""How long an account lasts if nothing but funding, or nothing but time, works on it. *Pure.*"""

from __future__ import annotations

# Beyond this a runway says nothing: ten years.
RUNWAY_MAX_S = 10.0 * 365.0 * 86_400.0


def compute_funding_runway_s(
    *, equity_usd: float, maintenance_usd: float, cost_per_hour_usd: float
) -> float:
    """Seconds until funding alone has eaten equity down to maintenance, in ``[0, 10 years]``.

    ``cost_per_hour_usd`` > 0 is paid by us. 0 where equity is at or below maintenance already;
    10 years where funding is received or nothing is paid.
    """
    room = equity_usd - maintenance_usd
    if room <= 0.0:
        return 0.0
    if cost_per_hour_usd <= 0.0:
        return RUNWAY_MAX_S
    return min(room / cost_per_hour_usd * 3600.0, RUNWAY_MAX_S)


def compute_barrier_drift(
    *, size: float, cost_per_hour_usd: float, maintenance_margin_rate: float
) -> float:
    """By how much an hour of funding moves the liquidation price, quote per base: up for a long
    that pays, down for a short that pays.

    Args:
        size: Signed base units, not 0.
        cost_per_hour_usd: > 0 is paid by us.
        maintenance_margin_rate: Of the tier in which the position is liquidated.
    Source: the liquidation price is linear in equity, with slope 1 / (|s| m - s).
    """
    return -cost_per_hour_usd / (abs(size) * maintenance_margin_rate - size)


def compute_net_runway_s(*, runway_s: float, reach_s: float) -> float:
    """What is left of a runway once collateral had the time to arrive, seconds; < 0: it cannot
    arrive in time."""
    return runway_s - reach_s
