"""Funding: every venue's way of quoting it as one unit, and what it costs a position. *Pure.*

Rates are signed fractions per hour; > 0 means longs pay shorts. Source of forms and worked numbers:
the sheet *Funding: one unit, one expense line, one stress index*, sections 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, log
from typing import NamedTuple

HOURS_PER_YEAR = 8760.0
HOURS_PER_DAY = 24.0
DAYS_PER_YEAR = 365.0
SECONDS_PER_HOUR = 3600.0
# Half-life 23 h: between what hourly BTC funding shows at lags of 8 h (0.951) and 24 h (0.976).
PERSISTENCE_HOURLY = 0.97
# A rate below this costs nothing worth a cap: 0.9 % a year.
COST_RATE_FLOOR = 1e-6
BUDGET_USED_MAX = 100.0


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


# ------------------------------------------------------------------------- what venues quote


def rate_from_interval(native_rate: float, interval_hours: float) -> float:
    """Signed fraction per hour from a rate charged once per interval (CEX 8 h or 4 h, dYdX and
    Hyperliquid 1 h). The interval moves under stress, so it is always an argument.

    Raises:
        ValueError: If the interval is not above zero.
    """
    if not interval_hours > 0.0:
        raise ValueError(f"a funding interval of {interval_hours} hours")
    return native_rate / interval_hours


def rate_from_continuous(native_rate: float, quote_period_hours: float) -> float:
    """Signed fraction per hour from a rate that accrues every second and is quoted per period
    (Paradex ``funding_period_hours``, Deribit 8 h, Derive 1 h).

    Raises:
        ValueError: If the period is not above zero.
    """
    return rate_from_interval(native_rate, quote_period_hours)


def rate_from_premium(premium_8h: float, interest_8h: float = 0.0, clamp_8h: float = 0.0) -> float:
    """Signed fraction per hour of the hourly venues, from an average premium over eight hours.

    Args:
        premium_8h: Signed fraction.
        interest_8h: What is owed without any premium.
        clamp_8h: By how much interest may pull a premium towards itself (Hyperliquid 0.0005); 0
            where interest is simply added (dYdX).
    Source: Hyperliquid docs, *Funding*; dYdX chain docs, *Funding*.
    """
    if clamp_8h:
        pull = min(max(interest_8h - premium_8h, -clamp_8h), clamp_8h)
        return (premium_8h + pull) / 8.0
    return (premium_8h + interest_8h) / 8.0


def compute_rate_cap_8h(initial_margin: float, maintenance_margin: float) -> float:
    """Largest |rate| per eight hours on dYdX, from the margin fractions of the market."""
    return 6.0 * (initial_margin - maintenance_margin)


def rate_from_percent(native_percent: float, interval_hours: float = 1.0) -> float:
    """Signed fraction per hour from percent per interval (Lighter's stream: percent per hour).

    Raises:
        ValueError: If the interval is not above zero.
    """
    return rate_from_interval(native_percent / 100.0, interval_hours)


def rate_from_daily(rate_per_day: float) -> float:
    """Signed fraction per hour from a rate per day (Synthetix)."""
    return rate_per_day / HOURS_PER_DAY


def accrue_continuous(
    *, size: float, price: float, native_rate: float, quote_period_hours: float, seconds: float
) -> float:
    """What a continuously funded position is charged over ``seconds`` at a constant rate, in the
    quote currency: > 0 is paid by us.

    Args:
        size: Signed base units, long > 0.
        price: What the venue multiplies by (Paradex: spot), quote per base.
        native_rate: Signed fraction per quote period.
        quote_period_hours: How long the venue's quote period is.
        seconds: How long the position was held.

    Source: Paradex docs, *Funding mechanism*.
    """
    hourly = rate_from_continuous(native_rate, quote_period_hours)
    return size * price * hourly * seconds / SECONDS_PER_HOUR


class VelocityFunding(NamedTuple):
    """Where a funding rate that has a velocity went. ``rate_per_day`` at the end; ``accrued`` as a
    signed fraction of notional between start and end (> 0: longs paid)."""

    velocity_per_day: float
    rate_per_day: float
    accrued: float


def follow_velocity(
    *, skew_ratio: float, max_velocity_per_day: float, rate_per_day: float, seconds: float
) -> VelocityFunding:
    """Funding whose derivative follows the skew: the rate keeps moving while the skew stays.

    Args:
        skew_ratio: Skew over skew scale, signed, clamped to -1..1 here.
        max_velocity_per_day: Change of the daily rate per day at full skew.
        rate_per_day: The rate at the start, signed fraction per day.
        seconds: How long the skew stays.
    Source: Synthetix v3 ``PerpMarket.getCurrentFundingRate``.
    """
    velocity = min(max(skew_ratio, -1.0), 1.0) * max_velocity_per_day
    days = seconds / (HOURS_PER_DAY * SECONDS_PER_HOUR)
    after = rate_per_day + velocity * days
    return VelocityFunding(velocity, after, (rate_per_day + after) / 2.0 * days)


class SideRates(NamedTuple):
    """Funding per hour as each side feels it: > 0 is paid, < 0 received, fractions of notional."""

    longs: float
    shorts: float


def rates_from_factor(
    *,
    factor_per_second: float,
    longs_pay: bool,
    long_open_interest: float,
    short_open_interest: float,
) -> SideRates:
    """Both sides' hourly rates where one side pays a factor per second and the other shares what
    was paid by its open interest (GMX v2). A side without open interest receives nothing.

    Args:
        factor_per_second: Of the paying side, >= 0.
        longs_pay: Which side pays.
        long_open_interest: In any unit, >= 0.
        short_open_interest: In the same unit, >= 0.

    Source: GMX synthetics README, *Funding Fees*.
    """
    paid = factor_per_second * SECONDS_PER_HOUR
    payers, receivers = (
        (long_open_interest, short_open_interest)
        if longs_pay
        else (short_open_interest, long_open_interest)
    )
    received = -paid * payers / receivers if receivers > 0.0 else 0.0
    return SideRates(paid, received) if longs_pay else SideRates(received, paid)


# ------------------------------------------------------------------------- an expense line


def compound_hourly_rate(funding_rate_hourly: float) -> float:
    """Yearly rate with every hour compounded, a signed fraction: for comparing carry only, never
    for thresholds."""
    return float((1.0 + funding_rate_hourly) ** HOURS_PER_YEAR) - 1.0


def compute_hourly_cost(*, size: float, price: float, funding_rate_hourly: float) -> float:
    """What an hour costs in USD at this rate: > 0 is paid by us (the negative of the payment)."""
    return size * price * funding_rate_hourly


def project_rate_sum(
    *,
    rate_now: float,
    baseline: float,
    hours: float,
    persistence: float = PERSISTENCE_HOURLY,
) -> float:
    """Expected sum of the hourly rates of the next ``hours``, the present one first. Funding falls
    back to its baseline, so a flat projection overstates.

    Args:
        rate_now: Signed fraction per hour.
        baseline: Where it falls back to, the venue's floor, signed fraction per hour.
        hours: How many.
        persistence: Share of the distance to the baseline that is left an hour later, 0..1.

    Raises:
        ValueError: If ``persistence`` is no share.
    """
    if not 0.0 <= persistence <= 1.0:
        raise ValueError(f"a persistence of {persistence}")
    # At 1 nothing falls back, and the sum of the geometric series is its number of terms.
    weight = hours if persistence == 1.0 else (1.0 - persistence**hours) / (1.0 - persistence)
    return hours * baseline + (rate_now - baseline) * weight


def persistence_from_correlation(correlation: float, lag_hours: float) -> float:
    """Hourly persistence that gives this autocorrelation at ``lag_hours``; both are shares."""
    return float(correlation ** (1.0 / lag_hours))


def half_life_hours(persistence: float) -> float:
    """After how many hours half the distance to the baseline is left, for 0 < persistence < 1."""
    return log(0.5) / log(persistence)


def compute_budget_used(*, costs_usd: Iterable[float], equity_usd: float, budget: float) -> float:
    """Share of the funding budget that projected costs take: 1 is all of it.

    Args:
        costs_usd: Projected cost of each line over the budget's period, > 0 paid by us; what is
            received on one line is no allowance for another.
        equity_usd: Equity the budget is a share of.
        budget: The budget as a share of equity, > 0.

    Returns:
        ``BUDGET_USED_MAX`` where there is a cost and no equity left to pay it from.
    """
    cost = fsum(max(one, 0.0) for one in costs_usd)
    if cost == 0.0:
        return 0.0
    if equity_usd <= 0.0:
        return BUDGET_USED_MAX
    return min(cost / (equity_usd * budget), BUDGET_USED_MAX)


def compute_notional_cap(
    *, budget_usd_per_day: float, cost_rate_hourly: float, floor: float = COST_RATE_FLOOR
) -> float:
    """Largest notional, USD, of which a day's funding stays within the budget.

    ``cost_rate_hourly`` has our sign (> 0: we pay); at or below ``floor`` the floor counts.
    """
    return budget_usd_per_day / (HOURS_PER_DAY * max(cost_rate_hourly, floor))
