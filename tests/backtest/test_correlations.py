"""Correlations followed from hour to hour are those that the engine sums."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from monitor.backtest.correlations import Running
from monitor.core.formulas.volatility import compute_covariance
from monitor.core.measures.book_risk import CORRELATION_HALF_LIFE_HOURS, CORRELATION_HOURS_MIN
from monitor.core.state.series import HISTORY_HOURS, RETURNS_HOURS, HourSeries

FIRST_HOUR = 473_000


def summed(one: HourSeries, other: HourSeries) -> float | None:
    """By hand, over the hours that both have behind them of the last thirty days of each."""
    end = min(one.hour, other.hour)
    first, second = (
        series.list_returns(RETURNS_HOURS)[: RETURNS_HOURS - (series.hour - end)]
        if len(series.list_returns(RETURNS_HOURS)) == RETURNS_HOURS
        else series.list_returns(RETURNS_HOURS)[
            : len(series.list_returns(RETURNS_HOURS)) - (series.hour - end)
        ]
        for series in (one, other)
    )
    kept = RETURNS_HOURS - abs(one.hour - other.hour)
    found = compute_covariance(first[-kept:], second[-kept:], half_life=CORRELATION_HALF_LIFE_HOURS)
    if found is None or found[3] < CORRELATION_HOURS_MIN:
        return None
    both, ours, theirs, _ = found
    return both / (ours * theirs) ** 0.5 if ours * theirs > 0.0 else 0.0


def always(_source: random.Random, _hour: int) -> tuple[bool, bool, int]:
    """Both are known, the second an hour late."""
    return True, True, 1


def gaps(source: random.Random, _hour: int) -> tuple[bool, bool, int]:
    """One row in twenty is missing, of either."""
    return source.random() > 0.05, source.random() > 0.05, 1


def catching_up(source: random.Random, hour: int) -> tuple[bool, bool, int]:
    """The second is late by an hour, in time, or by two, for days at a stretch."""
    return True, source.random() > 0.02, (1, 0, 2)[hour // 97 % 3]


@pytest.mark.parametrize("how", [always, gaps, catching_up], ids=lambda one: one.__name__)
def test_followed_is_what_is_summed(
    how: Callable[[random.Random, int], tuple[bool, bool, int]],
) -> None:
    """Over half again as many hours as count, at every hour."""
    source = random.Random(5)  # noqa: S311 - repeatable
    asset, basket = HourSeries(), HourSeries(keep=HISTORY_HOURS)
    running, late = Running(), []
    seen = 0
    for hour in range(RETURNS_HOURS * 3 // 2):
        move = source.gauss(0.0, 0.01)
        own, others, lag = how(source, hour)
        asset.close(FIRST_HOUR + hour, move + source.gauss(0.0, 0.005) if own else None)
        late.append((FIRST_HOUR + hour, move if others else None))
        while len(late) > lag:
            basket.close(*late.pop(0))
        if basket.hour < 0:
            continue
        found, wanted = running.follow(asset, basket), summed(asset, basket)
        assert (found is None) is (wanted is None), hour
        if found is not None and wanted is not None:
            assert found == pytest.approx(wanted, abs=1e-9), hour
            seen += 1
    assert seen > RETURNS_HOURS


def test_hours_that_were_rewritten_are_summed_anew() -> None:
    """History that comes late changes the past: the version moves, the hour does not."""
    asset, basket = HourSeries(), HourSeries()
    source = random.Random(6)  # noqa: S311 - repeatable
    running = Running()
    for hour in range(100):
        asset.close(FIRST_HOUR + hour, source.gauss(0.0, 0.01))
        basket.close(FIRST_HOUR + hour, source.gauss(0.0, 0.01))
        running.follow(asset, basket)
    before = running.follow(asset, basket)
    other = [source.gauss(0.0, 0.01) for _ in range(100)]
    basket.rewrite(basket.hour, basket.slow, other, [0] * 100, [None] * 100)
    after = running.follow(asset, basket)
    assert after == pytest.approx(summed(asset, basket), abs=1e-12)
    assert after != before


def test_what_rounding_left_of_nothing_is_nothing() -> None:
    """A price that stops moving has no correlation once its last move has gone."""
    asset, basket = HourSeries(), HourSeries()
    source = random.Random(7)  # noqa: S311 - repeatable
    running = Running()
    for hour in range(RETURNS_HOURS + 60):
        asset.close(FIRST_HOUR + hour, source.gauss(0.0, 0.01) if hour < 50 else 0.0)
        basket.close(FIRST_HOUR + hour, source.gauss(0.0, 0.01))
        found = running.follow(asset, basket)
        if hour >= RETURNS_HOURS + 49:
            assert found == 0.0
        elif hour > RETURNS_HOURS:
            assert found != 0.0
