"""Volatility formulas against every worked number of the sheet *volatility-and-leverage* §1-§4."""

from __future__ import annotations

from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas import volatility as v

CLOSES = (100.0, 101.0, 99.5, 100.2, 98.0, 98.9, 97.5)
RETURNS = v.compute_log_returns(CLOSES)
BAR = v.Bar(100.0, 103.0, 98.0, 101.0)
BARS = (
    BAR,
    v.Bar(101.0, 104.0, 100.0, 103.5),
    v.Bar(103.2, 105.0, 101.0, 101.5),
    v.Bar(101.7, 102.5, 97.0, 98.0),
    v.Bar(98.3, 100.0, 96.5, 99.5),
)
JUMPY = (0.002, -0.001, 0.003, -0.040, 0.002, -0.001, 0.001, 0.002)


@pytest.mark.parametrize(
    ("found", "printed", "half_unit"),
    [
        pytest.param(sqrt(v.HOURS_PER_YEAR), 93.595, 5e-4, id="hours a year"),
        pytest.param(sqrt(v.DAYS_PER_YEAR), 19.105, 5e-4, id="days a year"),
        pytest.param(sqrt(v.MINUTES_PER_YEAR), 724.98, 5e-3, id="minutes a year"),
        pytest.param(v.compute_decay(1.0, 24.0), 0.971532, 5e-7, id="decay of an hour"),
        pytest.param(v.compute_decay(10.0, 60.0), 0.8909, 5e-5, id="decay of ten minutes"),
        pytest.param(RETURNS[0], 0.009950, 5e-7, id="return 1"),
        pytest.param(RETURNS[1], -0.014963, 5e-7, id="return 2"),
        pytest.param(RETURNS[2], 0.007011, 5e-7, id="return 3"),
        pytest.param(RETURNS[3], -0.022201, 5e-7, id="return 4"),
        pytest.param(RETURNS[4], 0.009142, 5e-7, id="return 5"),
        pytest.param(RETURNS[5], -0.014257, 5e-7, id="return 6"),
        pytest.param(sqrt(v.compute_rolling_variance(RETURNS)), 0.0138549, 5e-8, id="zero mean"),
        pytest.param(sqrt(v.compute_sample_variance(RETURNS)), 0.0144562, 5e-8, id="sample"),
        pytest.param(v.compute_ewma_variance(RETURNS, decay=0.94), 1.286395e-4, 5e-11, id="ewma"),
        pytest.param(
            sqrt(v.compute_ewma_variance(RETURNS, decay=0.94)), 0.0113419, 5e-8, id="ewma sigma"
        ),
        pytest.param(v.compute_parkinson_variance(BAR), 8.931032e-4, 5e-11, id="Parkinson"),
        pytest.param(v.compute_garman_klass_variance(BAR), 1.1998573e-3, 5e-11, id="Garman-Klass"),
        pytest.param(
            v.compute_rogers_satchell_variance(BAR), 1.1887759e-3, 5e-11, id="Rogers-Satchell"
        ),
    ],
)
def test_worked_numbers(found: float, printed: float, half_unit: float) -> None:
    """To half a unit in the last printed digit."""
    assert found == pytest.approx(printed, rel=0.0, abs=half_unit)


@pytest.mark.parametrize(
    ("variance", "bars", "percent"),
    [
        pytest.param(v.compute_rolling_variance(RETURNS), v.HOURS_PER_YEAR, 129.67, id="zero mean"),
        pytest.param(v.compute_sample_variance(RETURNS), v.HOURS_PER_YEAR, 135.30, id="sample"),
        pytest.param(
            v.compute_ewma_variance(RETURNS, decay=0.94), v.HOURS_PER_YEAR, 106.15, id="EWMA"
        ),
        pytest.param(v.compute_parkinson_variance(BAR), v.DAYS_PER_YEAR, 57.09, id="Parkinson"),
        pytest.param(
            v.compute_garman_klass_variance(BAR), v.DAYS_PER_YEAR, 66.18, id="Garman-Klass"
        ),
        pytest.param(
            v.compute_rogers_satchell_variance(BAR), v.DAYS_PER_YEAR, 65.87, id="Rogers-Satchell"
        ),
        pytest.param(
            v.compute_yang_zhang_variance(100.2, BARS).variance,
            v.DAYS_PER_YEAR,
            52.64,
            id="Yang-Zhang",
        ),
        pytest.param(
            v.follow_variance(
                0.36 / v.HOURS_PER_YEAR, -0.04, decay=v.compute_decay(1.0, 24.0), elapsed=1.0
            ),
            v.HOURS_PER_YEAR,
            86.53,
            id="one shock of 4 % at 60 %",
        ),
    ],
)
def test_annualised(variance: float, bars: float, percent: float) -> None:
    """The sheet's percentages a year."""
    found = v.annualize_volatility(variance, bars) * 100.0
    assert found == pytest.approx(percent, rel=0.0, abs=5e-3)


def test_yang_zhang_parts() -> None:
    """Each part as the sheet prints it."""
    found = v.compute_yang_zhang_variance(100.2, BARS)
    assert found.weight == pytest.approx(0.119718, rel=0.0, abs=5e-7)
    assert found.overnight == pytest.approx(6.408109e-6, rel=0.0, abs=5e-13)
    assert found.open_close == pytest.approx(6.208083e-4, rel=0.0, abs=5e-11)
    assert found.rogers_satchell == pytest.approx(7.707153e-4, rel=0.0, abs=5e-11)
    assert found.variance == pytest.approx(7.591768e-4, rel=0.0, abs=5e-11)


def test_bipower() -> None:
    """One return of -4 % among small ones is three quarters of all that happened."""
    found = v.compute_jumps(JUMPY)
    assert found.realized == pytest.approx(1.624e-3, rel=0.0, abs=5e-7)
    assert found.bipower == pytest.approx(3.769911e-4, rel=0.0, abs=5e-11)
    assert found.jump == pytest.approx(1.247009e-3, rel=0.0, abs=5e-10)
    assert found.share_ratio == pytest.approx(0.768, rel=0.0, abs=5e-4)
    assert abs(JUMPY[3]) >= 4.0 * found.sigma  # flagged JUMP


def test_percentile() -> None:
    """Equals count half; a histogram agrees where no two values share a bin."""
    history = (0.31, 0.35, 0.38, 0.40, 0.42, 0.45, 0.50, 0.55, 0.62, 0.80)
    assert v.compute_percentile(history, 0.62) == pytest.approx(0.85)
    counts = [0] * v.BINS
    for one in history:
        counts[v.bin_of(one)] += 1
    assert v.compute_binned_percentile(counts, v.bin_of(0.62)) == pytest.approx(0.85)


def test_portfolio() -> None:
    """The sheet's three positions; stress lets longs add up and hedges fail."""
    weights, sigmas = (1.2, -0.5, 0.4), (0.5, 0.7, 0.9)
    rho = ((1.0, 0.85, 0.70), (0.85, 1.0, 0.75), (0.70, 0.75, 1.0))
    found = v.compute_portfolio_volatility(weights, sigmas, rho)
    assert found == pytest.approx(0.6070, rel=0.0, abs=5e-5)
    assert 0.40 / found == pytest.approx(0.6589, rel=0.0, abs=5e-5)
    stressed = v.compute_stressed_volatility(weights, sigmas)
    assert stressed == pytest.approx(sqrt((0.6 + 0.36) ** 2 + 0.35**2))


@pytest.mark.parametrize(
    ("volatility", "index"),
    [
        pytest.param(0.0, 0, id="nothing moves"),
        pytest.param(0.05, 0, id="at the floor"),
        pytest.param(10.0, 399, id="at the top"),
        pytest.param(50.0, 399, id="beyond the top"),
    ],
)
def test_bins_end(volatility: float, index: int) -> None:
    """The ends of the histogram take what lies beyond them."""
    assert v.bin_of(volatility) == index


@given(st.floats(0.0501, 9.99))
def test_a_bin_holds_its_value(volatility: float) -> None:
    """A value lies in its bin, which is 1.3 % wide."""
    low = v.bin_floor(v.bin_of(volatility))
    assert low * (1.0 - 1e-9) <= volatility <= low * 1.0134


@given(st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=60), st.sampled_from([2.0, 24.0]))
def test_started_ewma_is_the_weighted_mean(returns: list[float], half_life: float) -> None:
    """One return at a time gives what weighing all of them at once gives."""
    known = v.Ewma()
    for one in returns:
        known = v.follow_ewma(known, one, elapsed=1.0, half_life=half_life)
    weights = [0.5 ** (age / half_life) for age in range(len(returns) - 1, -1, -1)]
    batch = sum(w * r * r for w, r in zip(weights, returns, strict=True)) / sum(weights)
    assert known.variance == pytest.approx(batch, rel=1e-9, abs=1e-15)
    assert known.fed_ratio == pytest.approx(1.0 - 0.5 ** (len(returns) / half_life))


def test_irregular_ticks_weigh_by_time() -> None:
    """Two half hours with the same variance per time are one hour."""
    start = v.Ewma(variance=1e-4, fed_ratio=1.0)
    halves = start
    for _ in range(2):
        halves = v.follow_ewma(halves, 0.02 * sqrt(0.5), elapsed=0.5, half_life=24.0)
    whole = v.follow_ewma(start, 0.02, elapsed=1.0, half_life=24.0)
    assert halves.variance == pytest.approx(whole.variance)
    assert halves.fed_ratio == pytest.approx(1.0)


def test_covariance_skips_what_one_side_lacks() -> None:
    """Aligned at the newest bar, over the bars both know; a missing bar is no zero return."""
    first = [0.05, 0.01, None, -0.02]
    second = [0.02, 0.03, 0.04]
    found = v.compute_covariance(first, second, half_life=1e12)
    assert found is not None
    both, one, other, count = found
    assert count == 2
    assert both == pytest.approx((0.01 * 0.02 - 0.02 * 0.04) / 2)
    assert (one, other) == pytest.approx(((1e-4 + 4e-4) / 2, (4e-4 + 16e-4) / 2))
    assert v.compute_covariance([None], [0.1], half_life=24.0) is None


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: v.compute_rolling_variance(()), id="rolling"),
        pytest.param(lambda: v.compute_sample_variance((0.1,)), id="sample"),
        pytest.param(lambda: v.compute_ewma_variance((), decay=0.9), id="ewma"),
        pytest.param(lambda: v.compute_yang_zhang_variance(1.0, BARS[:2]), id="Yang-Zhang"),
        pytest.param(lambda: v.compute_jumps((0.1,)), id="bipower"),
        pytest.param(lambda: v.compute_percentile((), 1.0), id="percentile"),
        pytest.param(lambda: v.compute_binned_percentile([0] * 400, 1), id="histogram"),
    ],
)
def test_too_little_data_is_refused(call: object) -> None:
    """Never a number from nothing."""
    with pytest.raises(ValueError, match="needs"):
        call()  # type: ignore[operator]  # a lambda of the table


def test_quiet_market_has_no_jump() -> None:
    """Without any move there is no share of it."""
    assert v.compute_jumps([0.0] * 10).share_ratio == 0.0
    assert v.compute_log_returns((1.0, log(10.0)))[0] == pytest.approx(log(log(10.0)))
