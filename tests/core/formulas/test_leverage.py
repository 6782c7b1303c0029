"""Leverage formulas against every worked number of the sheet *volatility-and-leverage* §4-§7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas import leverage as lev
from monitor.core.formulas.rolling import compute_drawdowns, compute_ulcer_index


@pytest.mark.parametrize(
    ("sigma", "percentile", "base", "multiplier", "cap"),
    [
        pytest.param(0.45, 0.40, 1.3333, 1.0000, 1.3333, id="calm"),
        pytest.param(0.62, 0.85, 0.9677, 0.8333, 0.8065, id="raised"),
        pytest.param(0.90, 0.92, 0.6667, 0.6000, 0.4000, id="high"),
        pytest.param(1.20, 0.97, 0.5000, 0.5000, 0.2500, id="extreme"),
    ],
)
def test_cap(sigma: float, percentile: float, base: float, multiplier: float, cap: float) -> None:
    """The sheet's table, to half a unit in the last digit."""
    assert lev.compute_base_leverage(sigma) == pytest.approx(base, rel=0.0, abs=5e-5)
    found = lev.compute_percentile_multiplier(percentile)
    assert found == pytest.approx(multiplier, rel=0.0, abs=5e-5)
    assert lev.compute_base_leverage(sigma) * found == pytest.approx(cap, rel=0.0, abs=5e-5)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        pytest.param(15.0, 1.0, id="a quarter of an hour"),
        pytest.param(15.1, 0.75, id="more"),
        pytest.param(360.0, 0.75, id="six hours"),
        pytest.param(361.0, 0.5, id="more than six hours"),
        pytest.param(1440.0, 0.5, id="a day"),
        pytest.param(1441.0, 0.25, id="more than a day"),
    ],
)
def test_venue_multiplier(minutes: float, expected: float) -> None:
    """Where leaving is slow, less leverage; both sides of every limit."""
    assert lev.compute_venue_multiplier(minutes) == expected


@pytest.mark.parametrize(
    ("percentile", "expected"),
    [
        pytest.param(0.7999, 1.0, id="just below"),
        pytest.param(0.80, 1.0, id="from the 80th"),
        pytest.param(0.9499999, 0.5, id="nearly the 95th"),
        pytest.param(0.95, 0.5, id="the 95th"),
        pytest.param(1.0, 0.5, id="the highest ever"),
    ],
)
def test_multiplier_has_no_step(percentile: float, expected: float) -> None:
    """Continuous at both ends."""
    assert lev.compute_percentile_multiplier(percentile) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("found", "printed", "half_unit"),
    [
        pytest.param(lev.compute_binary_kelly(0.55, 1.2), 0.175, 5e-4, id="binary bet"),
        pytest.param(lev.compute_kelly_leverage(0.30, 0.80), 0.46875, 5e-6, id="continuous"),
        pytest.param(lev.compute_kelly_leverage(0.30, 0.80) / 2, 0.2344, 5e-5, id="half Kelly"),
        pytest.param(lev.compute_ruin_probability(0.7, 1.0), 0.700, 5e-4, id="full Kelly to 0.7"),
        pytest.param(lev.compute_ruin_probability(0.7, 0.5), 0.343, 5e-4, id="half Kelly to 0.7"),
        pytest.param(lev.compute_ruin_probability(0.7, 0.25), 0.0824, 5e-5, id="quarter to 0.7"),
        pytest.param(lev.compute_risk_aversion(0.7, 0.1), 6.4557, 5e-5, id="lambda"),
        pytest.param(lev.compute_constrained_fraction(0.7, 0.1), 0.26825, 5e-6, id="fraction"),
        pytest.param(
            lev.compute_constrained_fraction(0.7, 0.1) * lev.compute_kelly_leverage(0.3, 0.8),
            0.12574,
            5e-6,
            id="risk-constrained leverage",
        ),
        pytest.param(
            lev.compute_trade_size_usd(1e6, stop_distance_ratio=0.04),
            83_333.33,
            5e-3,
            id="max loss per trade",
        ),
        pytest.param(
            lev.compute_touch_probability(0.2, sigma=0.6, leverage=1.0, days=30.0),
            0.195,
            5e-4,
            id="touch -20 % at leverage 1",
        ),
        pytest.param(
            lev.compute_touch_probability(0.2, sigma=0.6, leverage=2.0, days=30.0),
            0.517,
            5e-4,
            id="touch -20 % at leverage 2",
        ),
        pytest.param(
            lev.compute_touch_probability(0.2, sigma=0.6, leverage=3.0, days=30.0),
            0.6654,  # the sheet's 66.6 % comes of sqrt(30 / 365) rounded to 0.287
            5e-5,
            id="touch -20 % at leverage 3",
        ),
        pytest.param(
            lev.compute_drawdown_leverage(0.20, sigma=0.6), 0.50, 5e-3, id="leverage for 20 %"
        ),
        pytest.param(
            compute_ulcer_index((100, 104, 101, 97, 99, 95, 103, 98)),
            0.0482,
            5e-5,
            id="ulcer index",
        ),
    ],
)
def test_worked_numbers(found: float, printed: float, half_unit: float) -> None:
    """To half a unit in the last printed digit."""
    assert found == pytest.approx(printed, rel=0.0, abs=half_unit)


def test_drawdowns() -> None:
    """The sheet's path; its largest fall is 8.65 %."""
    found = compute_drawdowns((100, 104, 101, 97, 99, 95, 103, 98))
    printed = (0.0, 0.0, 0.0288, 0.0673, 0.0481, 0.0865, 0.0096, 0.0577)
    assert found == pytest.approx(printed, rel=0.0, abs=5e-5)
    assert max(found) == pytest.approx(0.0865, rel=0.0, abs=5e-5)


@given(st.floats(0.05, 0.95), st.floats(0.001, 0.9))
def test_constrained_fraction_meets_its_bound(wealth: float, probability: float) -> None:
    """alpha ^ (2/c - 1) = beta."""
    fraction = lev.compute_constrained_fraction(wealth, probability)
    assert lev.compute_ruin_probability(wealth, fraction) == pytest.approx(probability, rel=1e-9)


def test_empirical_constraint_agrees_for_small_returns() -> None:
    """Small symmetric returns with a drift: bisection finds the fraction of the closed form."""
    drift, sigma = 2e-5, 0.002
    returns = [drift + sigma, drift - sigma]
    found = lev.solve_constrained_leverage(
        returns, wealth_ratio=0.7, probability=0.1, leverage_max=50.0
    )
    full = lev.compute_kelly_leverage(drift, sigma)
    assert found == pytest.approx(lev.compute_constrained_fraction(0.7, 0.1) * full, rel=0.01)


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        pytest.param([], 0.0, id="no history"),
        pytest.param([-0.01, 0.005], 0.0, id="no drift"),
        pytest.param([0.01, 0.02], 10.0, id="never loses"),
    ],
)
def test_empirical_constraint_at_its_ends(returns: list[float], expected: float) -> None:
    """Nothing for a losing book; the bound of the search for one that cannot lose."""
    found = lev.solve_constrained_leverage(returns, wealth_ratio=0.7, probability=0.1)
    assert found == expected


def test_a_losing_book_has_no_size() -> None:
    """Drift at or below zero: nothing. Equity gone: nothing. No stop: refused."""
    assert lev.compute_kelly_leverage(-0.1, 0.8) == 0.0
    assert lev.compute_trade_size_usd(-5.0, stop_distance_ratio=0.04) == 0.0
    with pytest.raises(ValueError, match="without a stop"):
        lev.compute_trade_size_usd(1e6, stop_distance_ratio=0.0)
    with pytest.raises(ValueError, match="volatility above 0"):
        lev.compute_kelly_leverage(0.1, 0.0)


def test_the_smallest_cap_binds() -> None:
    """And is named."""
    assert lev.choose_binding({"kelly": 0.13, "volatility": 0.8, "margin": 3.0}) == ("kelly", 0.13)
    with pytest.raises(ValueError, match="no caps"):
        lev.choose_binding({})


@pytest.mark.parametrize(
    ("leverage", "limit", "contradict"),
    [
        pytest.param(3.0, 0.20, True, id="leverage 3 with a 20 % limit"),
        pytest.param(0.499, 0.20, False, id="what the limit allows"),
        pytest.param(0.501, 0.20, True, id="just more"),
        pytest.param(3.0, 1.0, True, id="all may be lost"),
        pytest.param(0.0, 0.20, False, id="no leverage"),
    ],
)
def test_contradictions(leverage: float, limit: float, contradict: bool) -> None:
    """Leverage 3 on BTC-like volatility and a 20 % drawdown limit cannot both be meant."""
    said = lev.find_contradictions(leverage=leverage, drawdown_ratio=limit)
    assert bool(said) is contradict


def test_contradiction_in_words() -> None:
    """The sentence has the chance and the leverage that would do."""
    assert lev.find_contradictions(leverage=3.0, drawdown_ratio=0.20) == (
        "leverage up to 3 contradicts a drawdown limit of 20 %: at 60 % volatility the limit is "
        "touched within 30 days with a chance of 66.5 %; 99 % confidence needs leverage of at "
        "most 0.50"
    )


@pytest.mark.parametrize(
    ("now", "days", "expected"),
    [
        pytest.param(0.5, 0.0, 0.5, id="falls at once"),
        pytest.param(2.0, 0.0, 1.0, id="rises not at once"),
        pytest.param(2.0, 1.0, 1.1, id="a tenth a day"),
        pytest.param(1.05, 1.0, 1.05, id="only as far as it goes"),
        pytest.param(2.0, -1.0, 1.0, id="time never runs back"),
    ],
)
def test_caps_rise_slowly(now: float, days: float, expected: float) -> None:
    """Down at once, up a tenth a day."""
    assert lev.rise_slowly(1.0, now, elapsed_days=days) == pytest.approx(expected)


@given(st.floats(0.0, 5.0), st.integers(1, 50))
def test_rising_does_not_depend_on_how_often(days: float, steps: int) -> None:
    """Looked at once or often, the cap ends at the same place."""
    often = 1.0
    for _ in range(steps):
        often = lev.rise_slowly(often, 9.0, elapsed_days=days / steps)
    assert often == pytest.approx(lev.rise_slowly(1.0, 9.0, elapsed_days=days))
