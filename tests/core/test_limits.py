"""Caps from a desk's own hours."""

from __future__ import annotations

import pytest

from monitor.core.limits import (
    CAPPED,
    HOURS_KEPT,
    HOURS_MIN,
    Proposal,
    add_sample,
    propose,
    quantile,
)
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.types import PORTFOLIO, Subject

ACCOUNT = Subject("account:hyperliquid/main")


def hours(*values: float, times: int = 1) -> list[tuple[int, float]]:
    """Values of consecutive hours."""
    return list(enumerate(values * times))


def only(found: tuple[Proposal, ...]) -> Proposal:
    """The one there is."""
    (one,) = found
    return one


@pytest.mark.parametrize(
    ("share", "value"),
    [(0.0, 1.0), (0.5, 3.0), (0.95, 4.8), (1.0, 5.0)],
    ids=["lowest", "median", "between two", "highest"],
)
def test_quantile(share: float, value: float) -> None:
    """Of 1 to 5."""
    assert quantile([5.0, 1.0, 3.0, 2.0, 4.0], share) == pytest.approx(value)


@pytest.mark.parametrize(
    ("count", "limit"), [(HOURS_MIN - 1, None), (HOURS_MIN, 2.5)], ids=["an hour short", "a week"]
)
def test_a_week_must_be_known(count: int, limit: float | None) -> None:
    """A short calm would make a tight cap."""
    one = only(propose({("leverage", PORTFOLIO): hours(2.0, times=count)}))
    assert (one.limit, one.hours) == (limit, count)
    assert one.why == ("" if limit else f"{HOURS_MIN - 1} of {HOURS_MIN} hours known")


def test_a_cap_is_a_quarter_above_what_is_usual_to_two_digits() -> None:
    """And never below it: rounded away."""
    one = only(propose({("leverage", ACCOUNT): hours(1.0, 2.0, 3.0, times=100)}))
    assert (one.median, one.usual, one.worst, one.limit) == (2.0, 3.0, 3.0, 3.8)


def test_of_a_distance_the_low_side_is_capped() -> None:
    """Below the 5th percentile, rounded down."""
    one = only(propose({("liquidation_distance_ratio", ACCOUNT): hours(0.5, 0.3, times=100)}))
    assert (one.usual, one.worst, one.limit) == (0.3, 0.3, 0.24)


def test_nothing_held_is_no_cap_of_zero() -> None:
    """A cap of zero would stop everything."""
    one = only(propose({("leverage", PORTFOLIO): hours(0.0, times=HOURS_MIN)}))
    assert one.limit is None
    assert "nothing was held" in one.why


def test_other_measures_and_subjects_are_left_out() -> None:
    """Only what is capped is proposed."""
    seen = hours(1.0, times=HOURS_MIN)
    assert (
        propose({("equity_usd", PORTFOLIO): seen, ("leverage", Subject("asset:BTC")): seen}) == ()
    )


def test_hours_are_kept_for_thirty_days_and_taken_once() -> None:
    """A second value of an hour is not taken; gaps stay gaps."""
    series: list[tuple[int, float]] = []
    for hour in (0, 0, 5, 4, HOURS_KEPT):
        add_sample(series, hour, float(hour))
    assert series == [(5, 5.0), (HOURS_KEPT, float(HOURS_KEPT))]


def test_every_leverage_that_is_capped_is_proposed_for() -> None:
    """Of each kind of subject that a built-in cap is of."""
    proposed = {(one.measure, kind) for one in CAPPED for kind in one.kinds}
    pairs = (("leverage", "gross"), ("leverage_gross", "gross"), ("leverage_net", "net"))
    for used, cap in pairs:
        for kind in CATALOGUE[used].kinds:
            if kind in CATALOGUE[f"leverage_{cap}_to_cap_ratio"].kinds:
                assert (used, kind) in proposed, f"{used} of a {kind.value}"


def test_what_is_proposed_for_is_a_measure() -> None:
    """Of every kind of subject named."""
    for one in CAPPED:
        assert set(one.kinds) <= set(CATALOGUE[one.measure].kinds), one.measure
