"""Worked numbers of the sheets that no other formula's test has: walks, impact, small ones."""

from __future__ import annotations

from math import sqrt

import pytest

from monitor.core.events import MarginTier
from monitor.core.formulas.funding import annualize_hourly_rate
from monitor.core.formulas.funding_stress import ANCHORS
from monitor.core.formulas.liquidation import compute_liquidation_price
from monitor.core.formulas.trades import compute_round_trip
from monitor.core.formulas.walk import Walk, compute_impact_bps, walk_book

BIDS = ((100.0, 50.0), (99.9, 80.0), (99.7, 120.0), (99.4, 200.0), (98.9, 300.0))
MID = 100.05


def test_the_walk_of_the_sheet() -> None:
    """300 into five levels: 99.7533 on average, 29.65 bp from mid."""
    found = walk_book(BIDS, size=300.0, mid=MID)
    assert found.average_price == pytest.approx(99.7533, rel=0, abs=5e-5)
    assert found.slippage_bps == pytest.approx(29.65, rel=0, abs=5e-3)
    assert found.unfilled == 0.0


@pytest.mark.parametrize(
    ("size", "average", "unfilled"),
    [
        pytest.param(50.0, 100.0, 0.0, id="the best level"),
        pytest.param(50.1, (5000.0 + 9.99) / 50.1, 0.0, id="just more"),
        pytest.param(750.0, 74_506.0 / 750.0, 0.0, id="all of it"),
        pytest.param(751.0, 74_506.0 / 750.0, 1.0, id="more than there is: the rest is unknown"),
    ],
)
def test_levels_are_taken_best_first(size: float, average: float, unfilled: float) -> None:
    """Both sides of what a level and the book hold."""
    found = walk_book(BIDS, size=size, mid=MID)
    assert found.average_price == pytest.approx(average)
    assert found.unfilled == pytest.approx(unfilled)


def test_an_empty_book_has_no_price() -> None:
    """Never zero cost."""
    assert walk_book((), size=1.0, mid=MID) == Walk(None, None, 1.0)
    with pytest.raises(ValueError, match="above zero"):
        walk_book(BIDS, size=0.0, mid=MID)


def test_the_impact_of_the_sheet() -> None:
    """3 M of 96 M a day at 80 % a year: 59.2 bp."""
    found = compute_impact_bps(daily_volatility=0.8 / sqrt(365), volume_share=3 / 96)
    assert found == pytest.approx(59.2, rel=0, abs=0.05)


def test_the_hours_that_carry_needs_to_pay_for_a_trade() -> None:
    """41.46 bp there and back at 2e-5 an hour: 207 h."""
    cost = compute_round_trip(
        fee_ratio=0.00045,
        slippage_ratio=0.0006,
        notional_usd=1e6,
        fixed_usd=12.2,
        bridge_ratio=0.0005,
        opportunity_per_year=0.08,
        exit_days=7.0,
    )
    assert cost / 2e-5 == pytest.approx(207.0, rel=0, abs=0.5)


def test_the_floor_of_z_a_year() -> None:
    """3e-6 an hour is 2.6 % a year."""
    assert annualize_hourly_rate(ANCHORS.scale_floor) == pytest.approx(0.026, rel=0, abs=5e-4)


def test_usage_says_little_of_distance() -> None:
    """At a maintenance rate of 1.25 % a usage of one half is 1.27 % from liquidation."""
    found = compute_liquidation_price(
        size=1.0,
        price=100.0,
        equity_usd=2.5,
        other_maintenance_usd=0.0,
        tiers=(MarginTier(0.0, 0.025, 0.0125),),
    )
    assert found is not None
    assert 1.0 - found / 100.0 == pytest.approx(0.0127, rel=0, abs=5e-5)
