"""Worked numbers of the sheets: a round trip, a loss at the stop, the crash gap, a net drift."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas.leverage import compute_kelly_leverage, compute_trade_size_usd
from monitor.core.formulas.trades import (
    LOSS_MAX,
    compute_crash_gap_loss,
    compute_edge_ratio,
    compute_loss_ratio,
    compute_net_drift,
    compute_persistence,
    compute_planned_loss,
    compute_round_trip,
)


@pytest.mark.parametrize(
    ("exit_days", "basis_points", "half_digit"),
    [
        pytest.param(7.0, 41.46, 0.005, id="capital locked for seven days"),
        pytest.param(25.0 / 1440.0, 26.2, 0.05, id="a fast exit of 25 minutes"),
    ],
)
def test_a_round_trip_of_a_million(
    exit_days: float, basis_points: float, half_digit: float
) -> None:
    """Fee 4.5 bp, slippage 6 bp, gas 0.20 and bridge 12 USD, bridge 5 bp, 8 % a year."""
    found = compute_round_trip(
        fee_ratio=4.5e-4,
        slippage_ratio=6e-4,
        notional_usd=1e6,
        fixed_usd=12.2,
        bridge_ratio=5e-4,
        opportunity_per_year=0.08,
        exit_days=exit_days,
    )
    assert found * 1e4 == pytest.approx(basis_points, abs=half_digit)


def test_the_size_of_the_sheet_loses_what_one_trade_may() -> None:
    """83 333.33 with a stop at 4 % and a gap of one and a half: 5 000, and costs beyond that."""
    size = compute_trade_size_usd(1e6, stop_distance_ratio=0.04)
    assert size == pytest.approx(83_333.33, abs=0.005)
    given_ = {"notional_usd": size, "gap_factor": 1.5, "funding_usd": 0.0}
    plain = compute_planned_loss(stop_distance_ratio=0.04, round_trip_ratio=0.0, **given_)
    assert plain == pytest.approx(5_000.0)
    assert compute_planned_loss(
        stop_distance_ratio=0.04, round_trip_ratio=0.0021, **given_
    ) == pytest.approx(5_175.0)


def test_without_a_stop_all_of_it_is_at_stake_and_received_funding_pays_for_no_loss() -> None:
    """Paid funding adds to the loss."""
    terms = {"notional_usd": 1_000.0, "gap_factor": 2.0, "round_trip_ratio": 0.0}
    assert compute_planned_loss(stop_distance_ratio=None, funding_usd=0.0, **terms) == 1_000.0
    assert compute_planned_loss(stop_distance_ratio=0.1, funding_usd=-50.0, **terms) == 200.0
    assert compute_planned_loss(stop_distance_ratio=0.1, funding_usd=50.0, **terms) == 250.0


@pytest.mark.parametrize(
    ("book", "loss", "sign"),
    [
        pytest.param({"BTC": 100.0, "ETH": 100.0, "SOL": 100.0}, 65.0, -1.0, id="long"),
        pytest.param({"BTC": -100.0}, 15.0, 1.0, id="short"),
        pytest.param({"BTC": 200.0, "SOL": -100.0}, 0.0, -1.0, id="even in this scenario"),
        pytest.param({"BTC": 100.0, "SOL": -100.0}, 15.0, 1.0, id="the gap between two"),
        pytest.param({}, 0.0, -1.0, id="nothing held"),
    ],
)
def test_the_crash_gap(book: dict[str, float], loss: float, sign: float) -> None:
    """BTC 15 %, ETH 20 %, others 30 %, the worse of the two directions."""
    found = compute_crash_gap_loss(book)
    assert found == (pytest.approx(loss, abs=1e-9), sign)


@given(st.dictionaries(st.sampled_from(["BTC", "ETH", "SOL", "X"]), st.floats(-1e9, 1e9)))
def test_turning_the_book_round_loses_as_much(book: dict[str, float]) -> None:
    """Neither direction is forgotten."""
    turned = {asset: -usd for asset, usd in book.items()}
    assert compute_crash_gap_loss(book)[0] == compute_crash_gap_loss(turned)[0] >= 0.0


@pytest.mark.parametrize(
    ("loss", "equity", "ratio"),
    [
        pytest.param(12.0, 100.0, 0.12, id="of equity"),
        pytest.param(1.0, 0.0, LOSS_MAX, id="equity is gone"),
        pytest.param(1.0, -5.0, LOSS_MAX, id="equity is below nothing"),
        pytest.param(0.0, -5.0, 0.0, id="nothing to lose"),
    ],
)
def test_a_loss_over_equity(loss: float, equity: float, ratio: float) -> None:
    """Gone equity is a breach, never fine."""
    assert compute_loss_ratio(loss, equity) == ratio


def test_edge_and_persistence() -> None:
    """An edge is counted in round trips; an unknown settlement did not pay."""
    assert compute_edge_ratio(expected=0.0105, cost=0.0042) == pytest.approx(1.5)
    assert compute_edge_ratio(expected=-1e9, cost=1e-9) == -1000.0
    assert compute_persistence([1e-5] * 17 + [0.0, -1e-5, None, None]) == 17 / 21


def test_net_drift_leaves_the_kelly_of_the_sheet() -> None:
    """30 % net at 80 % volatility is 0.46875; carry and a round trip a week come off before."""
    free = compute_net_drift(
        drift_per_year=0.30, funding_hourly=0.0, round_trip_ratio=0.0, holding_hours=168.0
    )
    assert compute_kelly_leverage(free, 0.80) == pytest.approx(0.46875)
    left = compute_net_drift(
        drift_per_year=0.30, funding_hourly=1.25e-5, round_trip_ratio=0.0021, holding_hours=168.0
    )
    assert left == pytest.approx(0.30 - 0.1095 - 0.1095)
