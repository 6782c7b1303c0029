"""Joint chances against the sheet's worked numbers, known values, and what must hold of any."""

from __future__ import annotations

from math import asin, pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.formulas.copula import (
    compute_bivariate_normal,
    compute_joint_normal,
    compute_joint_student,
    compute_two_or_more,
    fit_loadings,
    student_quantile,
)

CHANCES = st.floats(1e-5, 0.5)
RHOS = st.floats(-0.99, 0.99)


@pytest.mark.parametrize(
    ("correlation", "expected", "half_a_unit"),
    [(0.0, 0.0006, 5e-5), (0.3, 0.002288, 5e-7), (0.6, 0.006013, 5e-7)],
)
def test_the_sheets_gaussian_copula(
    correlation: float, expected: float, half_a_unit: float
) -> None:
    """*stress-and-var* section 3: 2 % and 3 %."""
    assert compute_joint_normal(0.02, 0.03, correlation) == pytest.approx(expected, abs=half_a_unit)


def test_the_sheets_student_copula() -> None:
    """The same two by four degrees of freedom: 0.00510, 8.5 times independent."""
    found = compute_joint_student(0.02, 0.03, 0.3)
    assert found == pytest.approx(0.00510, abs=5e-6)
    assert found / 0.0006 == pytest.approx(8.5, abs=0.05)


@pytest.mark.parametrize("rho", [-1.0, -0.9, -0.3, 0.0, 0.5, 0.95, 0.999, 1.0])
def test_the_quadrant_is_known(rho: float) -> None:
    """A quarter and the arc sine over two pi."""
    expected = 0.25 + asin(rho) / (2.0 * pi)
    assert compute_bivariate_normal(0.0, 0.0, rho) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("chance", "expected"), [(0.99, 3.74695), (0.975, 2.77645), (0.9, 1.53321), (0.5, 0.0)]
)
def test_student_quantiles(chance: float, expected: float) -> None:
    """Of any table, both sides."""
    assert student_quantile(chance) == pytest.approx(expected, abs=5e-6)
    assert student_quantile(1.0 - chance) == pytest.approx(-expected, abs=5e-6)


@settings(max_examples=25, deadline=None)
@given(first=CHANCES, second=CHANCES, rho=RHOS)
def test_bounds(first: float, second: float, rho: float) -> None:
    """Never more than the rarer; the heavier tail never less than the Gaussian for rare things."""
    joint = compute_joint_student(first, second, rho)
    assert 0.0 <= joint <= min(first, second)
    assert joint == pytest.approx(compute_joint_student(second, first, rho), abs=1e-12)
    assert compute_joint_student(first, second, min(rho + 0.1, 1.0)) >= joint - 1e-7


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(1.0, 0.01, 0.01), (0.0, 0.5, 0.0), (1.0, 1.0, 1.0)]
)
def test_what_is_certain_leaves_the_other(first: float, second: float, expected: float) -> None:
    """And what is impossible nothing."""
    assert compute_joint_student(first, second, 0.4) == expected


def test_as_one_they_are_as_likely_as_the_rarer() -> None:
    """Correlation 1; opposite, never together."""
    assert compute_joint_student(0.01, 0.02, 1.0) == 0.01
    assert compute_joint_student(0.01, 0.02, -1.0) == pytest.approx(0.0, abs=1e-6)


def test_loadings_give_the_correlations_back() -> None:
    """Of one factor exactly, whatever their signs."""
    true = (0.9, 0.7, -0.6, 0.5)
    matrix = [
        [1.0 if row == column else true[row] * true[column] for column in range(4)]
        for row in range(4)
    ]
    found = fit_loadings(matrix)
    for row in range(4):
        for column in range(row):
            assert found[row] * found[column] == pytest.approx(matrix[row][column], abs=1e-3)


def test_two_against_two_are_still_one_risk() -> None:
    """Two accounts long and two short in one market: either pair goes with the other's rescue, so
    that two or more of 1 % each are nearly as likely as either side."""
    signs = (1.0, 1.0, -1.0, -1.0)
    found = fit_loadings([[one * other for other in signs] for one in signs])
    assert [abs(one) for one in found] == pytest.approx([0.999] * 4, abs=2e-3)
    assert [one * found[0] > 0.0 for one in found] == [one > 0.0 for one in signs]
    two = compute_two_or_more((0.01,) * 4, found)
    assert two == pytest.approx(0.0196, abs=4e-4)


def test_two_of_two_by_one_factor_is_the_joint_chance() -> None:
    """Two roads to one number."""
    joint = compute_joint_student(0.02, 0.03, 0.3)
    loadings = fit_loadings([[1.0, 0.3], [0.3, 1.0]])
    assert compute_two_or_more((0.02, 0.03), loadings) == pytest.approx(joint, rel=0.01)


def test_more_accounts_make_it_likelier_and_independent_ones_rare() -> None:
    """A third of the same kind adds; what is nearly one risk stays nearly as likely as one."""
    two = compute_two_or_more((0.01, 0.01), (0.8, 0.8))
    three = compute_two_or_more((0.01, 0.01, 0.01), (0.8, 0.8, 0.8))
    assert two < three < 0.01 * 1.5
    same = compute_two_or_more((0.01,) * 3, (0.999,) * 3)
    assert same == pytest.approx(0.01, rel=0.1)
