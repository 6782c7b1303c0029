"""Limits, medians and witnesses of an oracle, both sides of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas.oracles import (
    compute_agreed_deviation,
    compute_divergence_limit,
    compute_reference,
)


@pytest.mark.parametrize(
    ("floor", "threshold", "sigma", "limit"),
    [
        pytest.param(0.01, 0.0, None, 0.01, id="a major"),
        pytest.param(0.025, 0.0, None, 0.025, id="another"),
        pytest.param(0.01, 0.005, 0.0, 0.01, id="twice the threshold is no more"),
        pytest.param(0.01, 0.006, 0.0, 0.012, id="twice the threshold is more"),
        pytest.param(0.01, 0.0, 0.0033, 0.01, id="three sigmas are less"),
        pytest.param(0.01, 0.0, 0.0034, 0.0102, id="three sigmas are more"),
        pytest.param(0.01, 0.006, 0.005, 0.015, id="the largest of the three"),
    ],
)
def test_how_far_an_oracle_may_be_off(
    floor: float, threshold: float, sigma: float | None, limit: float
) -> None:
    """The largest of the three; what is unknown widens nothing."""
    found = compute_divergence_limit(
        floor_ratio=floor, threshold_ratio=threshold, sigma_minute=sigma
    )
    assert found == pytest.approx(limit)


@pytest.mark.parametrize(
    ("prices", "median"),
    [
        pytest.param((), None, id="nobody"),
        pytest.param((100.0, 101.0), None, id="two"),
        pytest.param((100.0, 50.0, 101.0), 100.0, id="three, one of them wrong"),
        pytest.param((100.0, 101.0, 102.0, 50.0), 100.5, id="four: between the middle two"),
    ],
)
def test_a_reference_takes_three(prices: tuple[float, ...], median: float | None) -> None:
    """Of two, one that is wrong would be half of it."""
    assert compute_reference(prices) == median


@pytest.mark.parametrize(
    ("prices", "agreed"),
    [
        pytest.param([], None, id="nobody"),
        pytest.param([("a", 100.0)], None, id="one"),
        pytest.param([("a", 100.0), ("a", 100.0)], None, id="one that says it twice"),
        pytest.param([("a", 100.0), ("b", 100.0)], 0.03, id="two"),
        pytest.param([("a", 100.0), ("b", 103.0)], 0.0, id="one of two is with the oracle"),
        pytest.param([("a", 100.0), ("b", 106.0)], 0.0, id="the oracle is between them"),
        pytest.param([("a", 50.0), ("b", 100.0)], 0.03, id="the nearer of two"),
        pytest.param([("a", 50.0), ("b", 100.0), ("c", 103.0)], 0.03, id="two of three"),
        pytest.param([("a", 103.0), ("a", 100.0), ("b", 100.0)], 0.03, id="by its further face"),
        pytest.param([("a", 206.0), ("b", 206.0)], 0.5, id="below them"),
    ],
)
def test_what_two_witnesses_agree_on(prices: list[tuple[str, float]], agreed: float | None) -> None:
    """Of an oracle at 103."""
    found = compute_agreed_deviation(103.0, prices)
    assert found == (None if agreed is None else pytest.approx(agreed))


PRICES = st.lists(st.tuples(st.sampled_from("abc"), st.floats(1.0, 200.0)), max_size=6)


@given(PRICES, PRICES)
def test_another_witness_hides_none(
    prices: list[tuple[str, float]], more: list[tuple[str, float]]
) -> None:
    """Whoever joins, what two agreed on stands: a source that is lost makes it unknown or less
    known, and never fine (the measure is absent below 3 % while one is silent)."""
    before = compute_agreed_deviation(100.0, prices)
    after = compute_agreed_deviation(100.0, [*prices, *more])
    assert before is None or (after is not None and after >= before)
