"""Sudden moves: which hours are one, and what a handful of them says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas.first_passage import compute_passage_probability
from monitor.core.formulas.jumps import (
    DEFAULT,
    DEFAULT_DEVIATION,
    DEFAULT_HOURS,
    HOURS_MIN,
    JumpSet,
    count_jumps,
    is_jump,
    mean_jumps,
)

HALF_YEAR = DEFAULT_HOURS


@pytest.mark.parametrize(
    ("log_return", "sigma", "expected"),
    [
        pytest.param(-0.0601, 0.01, True, id="a fall beyond six sigma"),
        pytest.param(0.0601, 0.01, True, id="a rise beyond six sigma"),
        pytest.param(-0.06, 0.01, False, id="six sigma"),
        pytest.param(0.005, 0.0, True, id="half a percent where nothing ever moved"),
        pytest.param(0.0049, 0.0, False, id="a step of the grid where nothing ever moved"),
    ],
)
def test_what_is_a_jump(log_return: float, sigma: float, expected: bool) -> None:
    """By the variance that was believed before it."""
    assert is_jump(log_return, sigma * sigma) is expected


def test_counted_beside_as_long_of_the_default() -> None:
    """Five falls of 4 % in 180 days and 5.918 of the default's: 10.918 in 360 days, 6.168 % each.
    Their deviation would be 5 %, and is taken as the default's 6 %."""
    found = count_jumps([-0.04] * 5 + [0.03], HALF_YEAR)
    added = 12 * 180 / 365
    assert found.down.per_year == pytest.approx((5 + added) * 365 / 360)
    assert found.down.mean_log == pytest.approx(-(5 * 0.04 + added * 0.08) / (5 + added))
    assert found.down.mean_log == pytest.approx(-0.06168, abs=5e-6)
    assert found.down.deviation_log == DEFAULT_DEVIATION
    assert found.up.per_year == pytest.approx((1 + added) * 365 / 360)
    assert (found.fell, found.rose, found.hours) == (5, 1, HALF_YEAR)


def test_what_was_worse_than_the_default_counts_as_it_was() -> None:
    """Twelve falls of 10 % and one of 38 % in half a year: more of them, larger, and wider."""
    found = count_jumps([-0.10] * 12 + [-0.38], HALF_YEAR).down
    assert found.per_year == pytest.approx((13 + 12 * 180 / 365) * 365 / 360)
    assert found.mean_log == pytest.approx(-0.1085, abs=5e-5)
    assert found.deviation_log == pytest.approx(0.07296, abs=5e-6)


def test_a_quiet_half_year_halves_the_rate_and_leaves_the_size() -> None:
    """That nothing happened is no word about how large it would have been."""
    found = count_jumps([], HALF_YEAR)
    assert found.down.per_year == pytest.approx(6.0)
    assert (found.down.mean_log, found.up.mean_log) == (-0.08, 0.08)
    assert found.down.deviation_log == found.up.deviation_log == DEFAULT_DEVIATION


@pytest.mark.parametrize(("hours", "own"), [(HOURS_MIN - 1, False), (HOURS_MIN, True)])
def test_few_hours_say_nothing(hours: int, own: bool) -> None:
    """Sixty days are asked for."""
    assert (count_jumps([-0.04], hours) != DEFAULT) is own


sizes = st.lists(st.floats(0.01, 0.4), max_size=25)


@given(sizes, st.integers(HOURS_MIN, HALF_YEAR))
def test_a_handful_never_makes_tails_thin(falls: list[float], hours: int) -> None:
    """At least half of the default's variance a year stays, and all that was seen is added; no
    deviation is below the default's."""
    found = count_jumps([-one for one in falls], hours).down

    def variance(jumps: JumpSet) -> float:
        one = jumps.down
        return one.per_year * (one.mean_log**2 + one.deviation_log**2)

    years = (hours + DEFAULT_HOURS) / 8760
    seen = sum(one * one for one in falls) / years
    share = DEFAULT_HOURS / (hours + DEFAULT_HOURS)
    assert found.deviation_log >= DEFAULT_DEVIATION
    assert variance(count_jumps([-one for one in falls], hours)) >= (
        share * variance(DEFAULT) + seen
    ) * (1 - 1e-9)


@given(sizes)
def test_another_fall_of_the_default_s_size_never_lowers_the_chance(falls: list[float]) -> None:
    """Of losing a fifth within a week."""

    def chance(moves: list[float]) -> float:
        return compute_passage_probability(
            price=100.0,
            barrier=80.0,
            volatility_annualized=0.6,
            horizon_s=7 * 86_400.0,
            jumps=count_jumps([-one for one in moves], HALF_YEAR).down,
        )

    assert chance([*falls, max([0.08, *falls])]) >= chance(falls) - 1e-3


def test_of_several_it_is_the_mean_by_weight() -> None:
    """Three quarters of one and a quarter of another; nothing held is the default."""
    calm, wild = count_jumps([], HALF_YEAR), count_jumps([-0.2] * 9, HALF_YEAR)
    found = mean_jumps([(300.0, calm), (100.0, wild)]).down
    for name in ("per_year", "mean_log", "deviation_log"):
        expected = 0.75 * getattr(calm.down, name) + 0.25 * getattr(wild.down, name)
        assert getattr(found, name) == pytest.approx(expected)
    assert mean_jumps([]) == DEFAULT
