"""Every worked number of the sheet on funding: units, venue forms and the expense line."""

from __future__ import annotations

import pytest

from monitor.core.formulas.funding import (
    BUDGET_USED_MAX,
    accrue_continuous,
    annualize_hourly_rate,
    compound_hourly_rate,
    compute_budget_used,
    compute_hourly_cost,
    compute_notional_cap,
    compute_rate_cap_8h,
    follow_velocity,
    half_life_hours,
    persistence_from_correlation,
    project_rate_sum,
    rate_from_continuous,
    rate_from_daily,
    rate_from_interval,
    rate_from_percent,
    rate_from_premium,
    rates_from_factor,
)


def near(value: float, half_digit: float) -> object:
    """Equal to half a unit in the last printed digit."""
    return pytest.approx(value, abs=half_digit, rel=0)


@pytest.mark.parametrize(
    ("rate", "hours", "hourly", "apr", "apy"),
    [
        pytest.param(1e-4, 8, 1.25e-5, 0.1095, 0.1157, id="floor of the exchanges, 8 h"),
        pytest.param(1.25e-5, 1, 1.25e-5, 0.1095, 0.1157, id="floor of Hyperliquid, 1 h"),
        pytest.param(2e-4, 4, 5.0e-5, 0.4380, 0.5496, id="4 h"),
        pytest.param(-3e-4, 8, -3.75e-5, -0.3285, -0.2800, id="negative"),
    ],
)
def test_rates_per_interval(
    rate: float, hours: float, hourly: float, apr: float, apy: float
) -> None:
    """Per hour, simple per year, compounded per year."""
    found = rate_from_interval(rate, hours)
    assert found == near(hourly, 5e-9)
    assert annualize_hourly_rate(found) == near(apr, 5e-5)
    assert compound_hourly_rate(found) == near(apy, 5e-5)


@pytest.mark.parametrize(
    ("rate", "hours", "hourly"),
    [(-0.015, 8, -0.0019), (-0.02, 4, -0.005), (-0.02, 2, -0.01)],
    ids=["8 h", "4 h", "2 h"],
)
def test_an_interval_that_shrinks_under_stress(rate: float, hours: float, hourly: float) -> None:
    """SOL in November 2022: hard-coded eight hours would say a quarter of the truth."""
    assert rate_from_interval(rate, hours) == near(hourly, 5e-5)
    assert annualize_hourly_rate(rate_from_interval(-0.02, 2)) == near(-87.60, 5e-3)
    assert rate_from_interval(-0.02, 2) == 4 * rate_from_interval(-0.02, 8)


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan")])
def test_an_interval_that_is_none_is_refused(hours: float) -> None:
    """Never an infinite rate."""
    with pytest.raises(ValueError, match="interval"):
        rate_from_interval(0.01, hours)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(rate_from_percent(0.0125), 1.25e-4, id="Lighter stream, percent per hour"),
        pytest.param(rate_from_interval(0.001, 8), 1.25e-4, id="Lighter REST, per 8 h"),
        pytest.param(rate_from_continuous(0.0003, 8), 3.75e-5, id="Paradex, per 8 h"),
        pytest.param(rate_from_premium(0.0008), 1e-4, id="dYdX cross: an eighth of the premium"),
        pytest.param(rate_from_premium(0.0, 1e-4), 1.25e-5, id="dYdX isolated: 0.125 bp"),
        pytest.param(rate_from_premium(0.0, 1e-4, 5e-4), 1.25e-5, id="Hyperliquid at rest"),
        pytest.param(rate_from_premium(6e-4, 1e-4, 5e-4), 1.25e-5, id="Hyperliquid, clamp full"),
        pytest.param(rate_from_premium(1e-3, 1e-4, 5e-4), 6.25e-5, id="Hyperliquid above"),
        pytest.param(rate_from_premium(-1e-3, 1e-4, 5e-4), -6.25e-5, id="Hyperliquid below"),
    ],
)
def test_other_forms(found: float, expected: float) -> None:
    """A slip by 100 or by 8 is the likeliest error of unit."""
    assert found == pytest.approx(expected)


def test_the_cap_of_a_venue() -> None:
    """12 % per eight hours at margins of 5 and 3 %."""
    assert compute_rate_cap_8h(0.05, 0.03) == near(0.12, 5e-4)


def test_a_rate_with_velocity() -> None:
    """The skew stays for 29 000 s and the rate keeps moving."""
    found = follow_velocity(
        skew_ratio=0.10, max_velocity_per_day=0.025, rate_per_day=0.0, seconds=29_000
    )
    assert found.velocity_per_day == near(0.0025, 5e-5)
    assert found.rate_per_day == near(0.00083912, 5e-9)
    hourly = rate_from_daily(found.rate_per_day)
    assert hourly == near(3.4963e-5, 5e-10)
    assert annualize_hourly_rate(hourly) == near(0.3063, 5e-5)
    assert found.accrued == near(0.00014082, 5e-9)
    assert found.accrued * 2_000 == near(0.28165, 5e-6)
    assert follow_velocity(
        skew_ratio=9.0, max_velocity_per_day=0.025, rate_per_day=0.0, seconds=1
    ).velocity_per_day == near(0.025, 1e-12)


def test_a_factor_per_second_with_two_sides() -> None:
    """Who pays and who receives feel different rates, and the sums agree."""
    rates = rates_from_factor(
        factor_per_second=1.2e-8, longs_pay=True, long_open_interest=150, short_open_interest=100
    )
    assert rates.longs == near(4.32e-5, 5e-8)
    assert rates.shorts == near(-6.48e-5, 5e-8)
    assert annualize_hourly_rate(rates.longs) == near(0.3784, 5e-5)
    assert annualize_hourly_rate(-rates.shorts) == near(0.5676, 5e-5)
    assert 150 * rates.longs == pytest.approx(-100 * rates.shorts)
    mirrored = rates_from_factor(
        factor_per_second=1.2e-8, longs_pay=False, long_open_interest=100, short_open_interest=150
    )
    assert (mirrored.shorts, mirrored.longs) == (rates.longs, rates.shorts)
    alone = rates_from_factor(
        factor_per_second=1.2e-8, longs_pay=True, long_open_interest=1, short_open_interest=0
    )
    assert alone.shorts == 0.0


def test_funding_that_accrues_every_second() -> None:
    """Paradex: 18 USDC per BTC in eight hours, a minute of half a BTC."""

    def paid(size: float, seconds: float) -> float:
        return accrue_continuous(
            size=size, price=60_000, native_rate=0.0003, quote_period_hours=8, seconds=seconds
        )

    assert paid(1, 28_800) == near(18, 0.5)
    assert paid(0.5, 60) == near(0.01875, 5e-6)
    assert paid(-0.5, 60) == -paid(0.5, 60)


# ------------------------------------------------------------------------- an expense line


def test_projection_falls_back_to_the_floor() -> None:
    """24 hours of 1e-4 over a floor of 1.25e-5, on 120 000 USD."""
    total = project_rate_sum(rate_now=1e-4, baseline=1.25e-5, hours=24, persistence=0.94)
    assert total == near(0.00142802, 5e-9)
    assert total * 120_000 == near(171.36, 5e-3)
    flat = project_rate_sum(rate_now=1e-4, baseline=1.25e-5, hours=24, persistence=1.0)
    assert flat * 120_000 == near(288.00, 5e-3)


@pytest.mark.parametrize("persistence", [-0.01, 1.01, float("nan")])
def test_a_persistence_that_is_no_share_is_refused(persistence: float) -> None:
    """It would project without bound."""
    with pytest.raises(ValueError, match="persistence"):
        project_rate_sum(rate_now=1e-4, baseline=0.0, hours=24, persistence=persistence)


@pytest.mark.parametrize(
    ("correlation", "lag", "persistence", "half_life"),
    [(0.668, 8, 0.951, 14), (0.555, 24, 0.976, 28)],
    ids=["8 h", "24 h"],
)
def test_persistence_from_history(
    correlation: float, lag: float, persistence: float, half_life: float
) -> None:
    """Fast noise on slow memory."""
    found = persistence_from_correlation(correlation, lag)
    assert found == near(persistence, 5e-4)
    assert half_life_hours(found) == near(half_life, 0.5)
    assert half_life_hours(0.97) == near(23, 0.5)


def test_the_worked_book() -> None:
    """Two legs pay and one receives more."""
    costs = [
        compute_hourly_cost(size=sign * 1.0, price=usd, funding_rate_hourly=rate)
        for sign, usd, rate in (
            (1, 120_000, 1.25e-5),
            (-1, 120_000, 4.0e-5),
            (1, 50_000, 6e-5),
        )
    ]
    assert costs == [near(1.50, 5e-3), near(-4.80, 5e-3), near(3.00, 5e-3)]
    net = sum(costs)
    assert net == near(-0.30, 5e-3)
    assert net * 24 == near(-7.20, 5e-3)
    assert net * 8760 == near(-2628, 0.5)
    assert net * 8760 / 290_000 == near(-0.00906, 5e-6)


@pytest.mark.parametrize(
    ("costs", "equity", "used"),
    [
        pytest.param([7_000.0, -9_000.0], 1e6, 0.7, id="what is received pays for nothing else"),
        pytest.param([10_000.0], 1e6, 1.0, id="all of it"),
        pytest.param([-1.0], 0.0, 0.0, id="no cost needs no equity"),
        pytest.param([0.01], 0.0, BUDGET_USED_MAX, id="a cost and no equity"),
        pytest.param([0.01], -5.0, BUDGET_USED_MAX, id="a cost and less than no equity"),
    ],
)
def test_budget(costs: list[float], equity: float, used: float) -> None:
    """1 % of equity in thirty days."""
    assert compute_budget_used(costs_usd=costs, equity_usd=equity, budget=0.01) == (
        pytest.approx(used)
    )


def test_a_cap_on_notional() -> None:
    """100 USD a day at 1e-4 per hour; a rate that costs nothing caps nothing that matters."""
    assert compute_notional_cap(budget_usd_per_day=100, cost_rate_hourly=1e-4) == near(41_667, 0.5)
    at_rest = compute_notional_cap(budget_usd_per_day=100, cost_rate_hourly=-1e-4)
    assert at_rest == compute_notional_cap(budget_usd_per_day=100, cost_rate_hourly=0.0) > 4e6
