"""Six years of prices: what the sheet *volatility-and-leverage* says in section 8 that its trigger
was worth, from our own basket, percentile, falls and judge of states."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitor.backtest.basket import Volatility, make_basket
from monitor.backtest.history import HOUR_S, History, read_history
from monitor.backtest.statistics import Bin, Span, Timing, bin_measure, find_falls, time_state
from tests.shared_data import shared_data

ENTER, LEAVE, LEAVE_HOURS = 0.90, 0.70, 24


@pytest.fixture(scope="module")
def past() -> History:
    """Prices only, from the first to the last."""
    return read_history(shared_data("history"), ())


def index_of(past: History, day: str) -> int:
    """Where a day begins; a candle stands at its close, so its first is one hour later."""
    start_s = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    return (start_s - past.start_s) // HOUR_S + 1


def spans_on(percentiles: list[float | None]) -> list[Span]:
    """On from the 90th percentile, off after 24 hours at or below the 70th; what is not known
    neither turns it on nor lets it leave."""
    spans, begun, low = [], None, 0
    for index, percentile in enumerate(percentiles):
        low = low + 1 if percentile is not None and percentile <= LEAVE else 0
        if begun is None and percentile is not None and percentile >= ENTER:
            begun = index
        elif begun is not None and low >= LEAVE_HOURS:
            spans.append(Span(begun, index))
            begun = None
    if begun is not None:
        spans.append(Span(begun, len(percentiles)))
    return spans


class Judged:
    """The trigger over all years, and crash odds by decile of the volatility."""

    def __init__(self, past: History) -> None:
        basket = make_basket(past)
        first, end = index_of(past, "2020-04-15"), index_of(past, "2026-01-15")
        follower = Volatility()
        percentiles: list[float | None] = []
        volatilities: list[float | None] = []
        for one, known in zip(basket.returns, basket.known, strict=True):
            follower.take(one)
            percentiles.append(follower.percentile if known else None)
            volatilities.append(follower.annual if known else None)
        self.timing: Timing = time_state(
            spans_on(percentiles), find_falls(basket), basket.known, first, end
        )
        ranked = sorted(one for one in volatilities[first:end] if one is not None)
        edges = [ranked[len(ranked) * tenth // 10] for tenth in range(10)] + [ranked[-1]]
        self.deciles: list[Bin] = bin_measure(volatilities, basket, edges, first, end)
        top = [ranked[len(ranked) * 99 // 100], ranked[-1]]
        self.top: Bin = bin_measure(volatilities, basket, top, first, end)[0]


@pytest.fixture(scope="module")
def judged(past: History) -> Judged:
    """All of it, once."""
    return Judged(past)


def test_the_trigger_is_worth_what_the_sheet_says(judged: Judged) -> None:
    """On for 27 of 55 falls, 0.58 false episodes a month, active 27 % of the time."""
    timing = judged.timing
    assert (timing.led, timing.falls) == (27, 55)
    assert timing.false_per_month == pytest.approx(0.58, abs=0.005)
    assert timing.active_ratio == pytest.approx(0.27, abs=0.005)


def test_crashes_come_with_volatility(judged: Judged) -> None:
    """Odds of 10 % within a day: none in the lowest tenth, 10.7 % in the highest, 20 % in the
    highest hundredth."""
    odds = [one.crash_ratio for one in judged.deciles]
    assert odds[0] == pytest.approx(0.0, abs=0.0005)
    assert odds[-1] == pytest.approx(0.107, abs=0.0005)
    assert judged.top.crash_ratio == pytest.approx(0.20, abs=0.005)
