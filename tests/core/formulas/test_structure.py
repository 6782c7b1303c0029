"""Hedges, bands, the cost of a cadence and lockstep: the catalogue's numbers and what must hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas.structure import (
    OUTSIDE_MAX,
    compute_annual_deviation,
    compute_best_band,
    compute_drift,
    compute_hedge_mismatch,
    compute_lockstep,
    compute_tail_shares,
)

usd = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        pytest.param((100_000.0, -93_000.0), 0.036, id="3.6 % is fine"),
        pytest.param((100_000.0, -85_000.0), 0.081, id="8.1 % is not"),
        pytest.param((100_000.0, -60_000.0, -40_000.0), 0.0, id="three legs, flat"),
        pytest.param((100_000.0,), 1.0, id="a leg without its twin"),
        pytest.param((100_000.0, 50_000.0), 1.0, id="two legs on one side"),
        pytest.param((), 0.0, id="nothing put on"),
    ],
)
def test_mismatch(legs: tuple[float, ...], expected: float) -> None:
    """|Net| over gross, to the digits of the catalogue."""
    assert compute_hedge_mismatch(legs) == pytest.approx(expected, abs=0.0005)


@given(st.lists(usd, max_size=6), usd)
def test_mismatch_is_a_share(legs: list[float], more: float) -> None:
    """Between flat and naked, whatever the legs; a leg and its exact twin are flat."""
    assert 0.0 <= compute_hedge_mismatch(legs) <= 1.0
    assert compute_hedge_mismatch((more, -more)) == 0.0


@pytest.mark.parametrize(
    ("weight", "target", "low", "high", "over", "under"),
    [
        pytest.param(0.30, 0.30, 0.2, 0.2, 0.0, 0.0, id="at the target"),
        pytest.param(0.36, 0.30, 0.2, 0.2, 1.0, 0.0, id="the upper edge"),
        pytest.param(0.24, 0.30, 0.2, 0.2, 0.0, 1.0, id="the lower edge"),
        pytest.param(0.33, 0.30, 0.2, 0.2, 0.5, 0.0, id="half way"),
        pytest.param(0.249, 0.25, 0.0, 0.5, 0.0, OUTSIDE_MAX, id="contingency, a hair short"),
        pytest.param(0.25, 0.25, 0.0, 0.5, 0.0, 0.0, id="contingency, whole"),
        pytest.param(0.375, 0.25, 0.0, 0.5, 1.0, 0.0, id="contingency, half as much again"),
        pytest.param(0.0, 0.30, 0.2, 0.2, 0.0, 5.0, id="all gone"),
    ],
)
def test_drift(
    weight: float, target: float, low: float, high: float, over: float, under: float
) -> None:
    """1 is an edge; beyond an edge that is the target itself there is no measure."""
    found = compute_drift(weight, target_ratio=target, band_low_ratio=low, band_high_ratio=high)
    assert found.over_ratio == pytest.approx(over)
    assert found.under_ratio == pytest.approx(under)


@pytest.mark.parametrize(
    ("cost", "half_band", "crossings"),
    [
        pytest.param(0.00262, 0.0994, 9.1, id="26.2 bp"),
        pytest.param(0.0005, 0.0572, 27.5, id="5 bp: cheap execution, tighter bands"),
    ],
)
def test_best_band(cost: float, half_band: float, crossings: float) -> None:
    """The catalogue's worked numbers, to half a unit of the last digit printed."""
    found = compute_best_band(cost_ratio=cost, gap_volatility=0.30, volatility=0.60)
    assert found.half_band_ratio == pytest.approx(half_band, abs=0.00005)
    assert found.crossings_per_year == pytest.approx(crossings, abs=0.05)


@given(st.floats(1e-6, 0.1), st.floats(0.01, 3.0), st.floats(0.01, 3.0), st.floats(1.001, 100.0))
def test_dearer_trading_means_wider_bands(
    cost: float, gap: float, volatility: float, times: float
) -> None:
    """By the cube root, and crossed less often; wilder markets mean tighter ones."""
    one = compute_best_band(cost_ratio=cost, gap_volatility=gap, volatility=volatility)
    dear = compute_best_band(cost_ratio=cost * times, gap_volatility=gap, volatility=volatility)
    wild = compute_best_band(cost_ratio=cost, gap_volatility=gap, volatility=volatility * times)
    assert dear.half_band_ratio == pytest.approx(one.half_band_ratio * times ** (1 / 3))
    assert dear.crossings_per_year < one.crossings_per_year
    assert wild.half_band_ratio < one.half_band_ratio


@pytest.mark.parametrize("wrong", ["cost_ratio", "gap_volatility", "volatility"])
def test_no_band_without_cost_or_movement(wrong: str) -> None:
    """Zero is no answer."""
    given_ = {"cost_ratio": 0.001, "gap_volatility": 0.3, "volatility": 0.6, wrong: 0.0}
    with pytest.raises(ValueError, match="above zero"):
        compute_best_band(**given_)


def test_annual_deviation() -> None:
    """Changes of 1 % an hour, up and down, are 93.6 % a year."""
    found = compute_annual_deviation([0.01, -0.01] * 50, per_year=8760.0)
    assert found == pytest.approx(0.936, abs=0.0005)
    with pytest.raises(ValueError, match="needs changes"):
        compute_annual_deviation([], per_year=8760.0)


def hours(*values: float | None) -> dict[int, float]:
    """Profits from hour 0 on; None where not known."""
    return {hour: value for hour, value in enumerate(values) if value is not None}


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param((hours(1, -1, 2, -2), hours(2, -2, 4, -4)), 1.0, id="as one"),
        pytest.param((hours(1, -1, 2, -2), hours(-1, 1, -2, 2)), -1.0, id="against each other"),
        pytest.param((hours(1, -1, 1, -1), hours(1, 1, -1, -1)), 0.0, id="nothing in common"),
        pytest.param((hours(1, -1, 2, -2), hours(0, 0, 0, 0)), 0.0, id="one that never moves"),
        pytest.param(
            (hours(1, -1, 2, -2), hours(1, -1, 2, -2), hours(-1, 1, -2, 2)),
            -1 / 3,
            id="three pairs",
        ),
        pytest.param(
            (hours(1, -1, 9, 2, -2), hours(1, -1, None, 2, -2)), 1.0, id="hours both know"
        ),
    ],
)
def test_lockstep(series: tuple[dict[int, float], ...], expected: float) -> None:
    """Mean over all pairs."""
    found = compute_lockstep(series, hours_min=4)
    assert found.correlation == pytest.approx(expected)


def test_lockstep_of_too_few_hours_is_none() -> None:
    """And says how many there are; one strategy alone is no question."""
    series = (hours(1, -1, 2, -2), hours(1, -1, None, -2))
    assert compute_lockstep(series, hours_min=4) == (None, 3)
    assert compute_lockstep(series, hours_min=3).correlation is not None
    with pytest.raises(ValueError, match="two strategies"):
        compute_lockstep(series[:1], hours_min=1)


# Sheet *stress and VaR*, section 1: twenty profits.
TWENTY = (
    -120.0, -85.0, -60.0, -42.0, -30.0, -22.0, -15.0, -8.0, -3.0, 0.0,
    4.0, 6.0, 9.0, 12.0, 15.0, 20.0, 26.0, 33.0, 45.0, 70.0,
)  # fmt: skip


def test_expected_shortfall_is_the_sheets() -> None:
    """The two worst of twenty at 90 %, whatever their order, and all of it one strategy's."""
    found = compute_tail_shares([hours(*reversed(TWENTY))], tail=0.10, hours_min=20)
    assert (found.shortfall_usd, found.shares, found.hours) == (102.5, (1.0,), 20)
    assert found.worst == (19, 18)


@pytest.mark.parametrize(
    ("series", "shares"),
    [
        pytest.param((hours(-30, 5, 5, 5), hours(-10, 5, 5, 5)), (0.75, 0.25), id="both lose"),
        pytest.param((hours(-30, 5, 5, 5), hours(10, -9, 0, 0)), (1.5, -0.5), id="a hedge earns"),
        pytest.param(
            (hours(-30, None, 5, 5, 5), hours(-10, -99, 5, 5, 5)),
            (0.75, 0.25),
            id="an hour that one does not know",
        ),
    ],
)
def test_shares_of_the_worst_hour(
    series: tuple[dict[int, float], ...], shares: tuple[float, ...]
) -> None:
    """The hour is the worst of all together; the shares are 1 together."""
    found = compute_tail_shares(series, tail=0.025, hours_min=4)
    assert found.shares == pytest.approx(shares)
    assert sum(found.shares or ()) == pytest.approx(1.0)


def test_shares_are_none_where_nothing_is_known_or_lost() -> None:
    """A share of a gain is no share of risk."""
    assert compute_tail_shares([], tail=0.1, hours_min=0).shortfall_usd is None
    few = compute_tail_shares([hours(-1, 2, 3)], tail=0.1, hours_min=4)
    assert (few.shortfall_usd, few.shares, few.hours) == (None, None, 3)
    gains = compute_tail_shares([hours(1, 2), hours(3, 4)], tail=0.1, hours_min=2)
    assert (gains.shortfall_usd, gains.shares) == (-4.0, None)
