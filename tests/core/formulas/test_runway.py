"""Runways: the sheet's numbers and the ends that must not look fine."""

from __future__ import annotations

import pytest

from monitor.core.events import MarginTier
from monitor.core.formulas.liquidation import compute_liquidation_price
from monitor.core.formulas.runway import (
    RUNWAY_MAX_S,
    compute_barrier_drift,
    compute_funding_runway_s,
    compute_net_runway_s,
)


def test_funding_runway_of_the_sheet() -> None:
    """10 000 of equity, 1 800 of maintenance, 3 USD an hour."""
    seconds = compute_funding_runway_s(
        equity_usd=10_000.0, maintenance_usd=1_800.0, cost_per_hour_usd=3.0
    )
    assert seconds / 3600.0 == pytest.approx(2_733.0, abs=0.5)
    assert seconds / 86_400.0 == pytest.approx(113.9, abs=0.05)


@pytest.mark.parametrize(
    ("equity", "maintenance", "cost", "expected"),
    [
        pytest.param(100.0, 100.0, 1.0, 0.0, id="at maintenance"),
        pytest.param(-5.0, 0.0, -1.0, 0.0, id="equity gone, though funding is received"),
        pytest.param(100.0, 10.0, 0.0, RUNWAY_MAX_S, id="nothing is paid"),
        pytest.param(100.0, 10.0, -1.0, RUNWAY_MAX_S, id="received"),
        pytest.param(1e9, 10.0, 1e-9, RUNWAY_MAX_S, id="too long to tell"),
    ],
)
def test_runway_ends(equity: float, maintenance: float, cost: float, expected: float) -> None:
    """Gone is zero, never long."""
    found = compute_funding_runway_s(
        equity_usd=equity, maintenance_usd=maintenance, cost_per_hour_usd=cost
    )
    assert found == expected


def test_funding_moves_the_barrier() -> None:
    """3.0928 USD an hour; after three days 25 773.20 is 25 995.88, by both ways to reckon."""
    drift = compute_barrier_drift(size=2.0, cost_per_hour_usd=6.0, maintenance_margin_rate=0.03)
    assert drift == pytest.approx(3.0928, abs=5e-5)
    later = compute_liquidation_price(
        size=2.0,
        price=30_000.0,
        equity_usd=10_000.0 - 72 * 6.0,
        other_maintenance_usd=0.0,
        tiers=(MarginTier(0.0, 0.06, 0.03),),
    )
    assert later == pytest.approx(25_995.88, abs=0.005)
    assert 25_773.195876 + 72 * drift == pytest.approx(25_995.88, abs=0.005)


def test_a_paying_short_is_moved_down() -> None:
    """Towards its price, as for a long."""
    assert compute_barrier_drift(size=-2.0, cost_per_hour_usd=6.0, maintenance_margin_rate=0.03) < 0


def test_net_runway() -> None:
    """Negative where collateral cannot arrive in time."""
    assert compute_net_runway_s(runway_s=600.0, reach_s=900.0) == -300.0
