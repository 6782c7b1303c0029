"""Formulas against worked numbers of the venues and of the risk sheets."""

from __future__ import annotations

import pytest

from monitor.core.events import MarginTier
from monitor.core.formulas.funding import (
    annualize_hourly_rate,
    compute_funding_payment,
    compute_projected_funding_cost_24h,
)
from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    compute_liquidation_distance,
    compute_liquidation_price,
    compute_uniform_move,
)
from monitor.core.formulas.margin import (
    compute_equity,
    compute_scaled_initial_rate,
    compute_tiered_maintenance,
)
from monitor.core.formulas.ratios import (
    compute_deviation,
    compute_difference,
    compute_drawdown,
    compute_leverage,
    compute_margin_usage,
)

TWO_TIERS = (MarginTier(0.0, 0.025, 0.0125), MarginTier(150e6, 0.05, 0.025))


def one(rate: float) -> tuple[MarginTier, ...]:
    """A single tier of that maintenance rate."""
    return (MarginTier(0.0, 2 * rate, rate),)


@pytest.mark.parametrize(
    ("size", "price", "equity", "others", "tiers", "expected"),
    [
        pytest.param(-3, 3000, 1000, 0, one(0.05), 3174.6031746, id="isolated short"),
        pytest.param(-1.5, 3000, 1000, 175, one(0.05), 3380.9523810, id="cross short with others"),
        pytest.param(2, 30_000, 10_000, 0, one(0.03), 25_773.195876, id="cross long"),
        pytest.param(2000, 100_000, 20e6, 0, TWO_TIERS, 91_346.153846, id="root of the upper tier"),
        pytest.param(2, 30_000, 10_000, 0, one(1 / 80), 25_316.455696, id="venue's own example"),
        pytest.param(
            2, 37.8259999, -68.126246 + 2 * 37.8259999, 0, one(1 / 20), 35.8559189474, id="recorded"
        ),
        pytest.param(1, 100, 150, 0, one(0.05), None, id="a long with more cash than price"),
    ],
)
def test_liquidation_price(
    size: float,
    price: float,
    equity: float,
    others: float,
    tiers: tuple[MarginTier, ...],
    expected: float | None,
) -> None:
    """The venues' and the sheets' worked examples, to their last printed digit."""
    found = compute_liquidation_price(
        size=size, price=price, equity_usd=equity, other_maintenance_usd=others, tiers=tiers
    )
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-10))


@pytest.mark.parametrize(
    ("notional", "expected"),
    [
        pytest.param(100e6, 1_250_000.0, id="first tier"),
        pytest.param(150e6, 1_875_000.0, id="continuous at the bound"),
        pytest.param(200e6, 3_125_000.0, id="second tier with its deduction"),
    ],
)
def test_tiered_maintenance(notional: float, expected: float) -> None:
    """The sheet's tier table."""
    assert compute_tiered_maintenance(notional, TWO_TIERS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("open_interest", "lower", "upper", "expected"),
    [
        pytest.param(10e6, 20e6, 50e6, 0.1, id="below the lower cap"),
        pytest.param(20e6, 20e6, 50e6, 0.1, id="at the lower cap"),
        pytest.param(35e6, 20e6, 50e6, 0.55, id="half way"),
        pytest.param(50e6, 20e6, 50e6, 1.0, id="at the upper cap"),
        pytest.param(90e6, 20e6, 50e6, 1.0, id="beyond"),
        pytest.param(90e6, 0.0, 0.0, 0.1, id="an upper cap of zero switches it off"),
    ],
)
def test_initial_rate_scales_with_open_interest(
    open_interest: float, lower: float, upper: float, expected: float
) -> None:
    """Linear between the caps, never below the base rate nor above one."""
    found = compute_scaled_initial_rate(
        0.1, open_interest_usd=open_interest, lower_cap_usd=lower, upper_cap_usd=upper
    )
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cash", "positions", "equity", "free"),
    [
        pytest.param(
            -5742.811799,
            ((-0.007, 2630.88872), (0.1036, 58759.36187)),
            326.241869692,
            20.9475641534,
            id="two positions on borrowed cash",
        ),
        pytest.param(
            90.461932, ((0.003, 2914.962518),), 99.206819554, 98.7695751763, id="one small long"
        ),
    ],
)
def test_dydx_equity_and_free_collateral(
    cash: float, positions: tuple[tuple[float, float], ...], equity: float, free: float
) -> None:
    """Recorded snapshots of the venue, to its last digit."""
    found = compute_equity(cash_usd=cash, positions=positions)
    assert found == pytest.approx(equity, abs=1e-9)
    assert found - sum(abs(s * p) * 0.05 for s, p in positions) == pytest.approx(free, abs=1e-9)


def test_uniform_move_of_the_sheet() -> None:
    """Long 2 BTC and short 20 ETH die together far later than BTC alone."""
    move = compute_uniform_move(
        equity_usd=30_000.0, net_notional_usd=60_000.0, maintenance_usd=0.03 * 180_000
    )
    assert move == pytest.approx(-0.451, abs=5e-4)


def test_uniform_move_out_of_the_world() -> None:
    """No fall of more than everything, no solution where nothing moves equity."""
    assert (
        compute_uniform_move(equity_usd=200.0, net_notional_usd=100.0, maintenance_usd=5.0) is None
    )
    assert compute_uniform_move(equity_usd=200.0, net_notional_usd=0.0, maintenance_usd=0.0) is None


@pytest.mark.parametrize(
    ("liquidation", "equity", "maintenance", "expected"),
    [
        pytest.param(90.0, 100.0, 50.0, 0.1, id="ten per cent away"),
        pytest.param(None, 100.0, 50.0, OUT_OF_REACH_RATIO, id="out of reach"),
        pytest.param(5000.0, 100.0, 50.0, OUT_OF_REACH_RATIO, id="too far to tell"),
        pytest.param(110.0, 50.0, 50.0, 0.0, id="already at maintenance"),
    ],
)
def test_liquidation_distance(
    liquidation: float | None, equity: float, maintenance: float, expected: float
) -> None:
    """Gone is zero, unreachable is the top: neither is absent."""
    found = compute_liquidation_distance(
        price=100.0, liquidation_price=liquidation, equity_usd=equity, maintenance_usd=maintenance
    )
    assert found == pytest.approx(expected)


def test_funding_payment_of_the_sheet() -> None:
    """A long pays a positive rate; the sheet's example to the last digit."""
    paid = compute_funding_payment(size=0.5, oracle_price=89993.8, funding_rate_hourly=0.000002375)
    assert paid == pytest.approx(-0.10686764, abs=5e-9)
    cost = compute_projected_funding_cost_24h(
        size=0.5, oracle_price=89993.8, funding_rate_hourly=0.000002375
    )
    assert cost == pytest.approx(24 * 0.10686764, abs=2e-7)
    assert annualize_hourly_rate(0.0000125) == pytest.approx(0.1095)


@pytest.mark.parametrize(
    ("gross", "equity", "leverage"),
    [
        pytest.param(100.0, 50.0, 2.0, id="two times"),
        pytest.param(0.0, -5.0, 0.0, id="no exposure, no leverage"),
        pytest.param(100.0, 0.0, 1000.0, id="equity gone"),
        pytest.param(100.0, -1.0, 1000.0, id="equity below zero"),
        pytest.param(100.0, 1e-6, 1000.0, id="equity nearly gone"),
    ],
)
def test_leverage_saturates(gross: float, equity: float, leverage: float) -> None:
    """Gone equity is a breach, not a small number."""
    assert compute_leverage(gross, equity) == leverage


@pytest.mark.parametrize(
    ("required", "equity", "usage"),
    [
        pytest.param(50.0, 100.0, 0.5, id="half used"),
        pytest.param(0.0, -5.0, 0.0, id="nothing required"),
        pytest.param(1.0, -5.0, 10.0, id="equity below zero"),
    ],
)
def test_margin_usage_saturates(required: float, equity: float, usage: float) -> None:
    """Likewise."""
    assert compute_margin_usage(required, equity) == usage


@pytest.mark.parametrize(
    ("equity", "peak", "exposed", "expected"),
    [
        pytest.param(90.0, 100.0, True, 0.1, id="ten per cent"),
        pytest.param(110.0, 100.0, True, 0.0, id="above the peak"),
        pytest.param(-10.0, 100.0, True, 1.0, id="gone"),
        pytest.param(-10.0, 0.0, True, 1.0, id="never had any, but is exposed"),
        pytest.param(0.0, 0.0, False, 0.0, id="an empty account"),
    ],
)
def test_drawdown_saturates(equity: float, peak: float, exposed: bool, expected: float) -> None:
    """Likewise."""
    assert compute_drawdown(equity, peak, exposed=exposed) == pytest.approx(expected)


def test_small_ratios() -> None:
    """Deviation is signed, difference is not."""
    assert compute_deviation(99.0, 100.0) == pytest.approx(-0.01)
    assert compute_difference(-100.0, -99.0) == pytest.approx(0.01)
    assert compute_difference(0.0, 0.0) == 0.0
