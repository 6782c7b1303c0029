"""Falls, leads, bins and outcomes against examples done by hand."""

from __future__ import annotations

from itertools import pairwise
from math import log, sqrt

import pytest

from monitor.backtest.basket import Basket, Volatility, VolatilityAndFall, make_basket
from monitor.backtest.bootstrap import compare, lift_of
from monitor.backtest.statistics import (
    Fall,
    Span,
    bin_measure,
    find_falls,
    judge_outcome,
    time_state,
    worst_mean,
)
from tests.backtest.past import in_memory


def basket(levels: list[float], gaps: frozenset[int] = frozenset()) -> Basket:
    """A basket of given levels."""
    returns: list[float | None] = [None]
    returns += [log(now / before) for before, now in pairwise(levels)]
    known = [index not in gaps for index in range(len(levels))]
    return Basket(returns, levels, known)


def test_the_basket_is_the_mean_log_return() -> None:
    """Of who has two prices in a row; a gap is no return and no move."""
    made = make_basket(
        in_memory({"AAA": [100.0, 110.0, None, 200.0], "BBB": [100.0, 100.0, None, 50.0]}, {})
    )
    assert made.returns[1] == pytest.approx(log(1.1) / 2)
    assert made.returns[2:] == [None, None]
    assert made.levels[1:] == pytest.approx([sqrt(1.1)] * 3)
    assert made.known == [True, True, False, True]


@pytest.mark.parametrize(
    ("low", "falls"), [(88.0, 1), (88.1, 0)], ids=["twelve percent", "a little less"]
)
def test_a_fall_is_twelve_percent(low: float, falls: int) -> None:
    """From the highest close of 48 hours."""
    found = find_falls(basket([90.0, 100.0, 95.0, low, low]))
    assert len(found) == falls
    if falls:
        assert found[0] == Fall(peak=1, breach=3)


def test_a_slow_fall_is_none() -> None:
    """Twelve percent over 49 closes are not twelve percent over 48."""
    levels = [100.0, *[94.0] * 47, 88.0]
    assert find_falls(basket(levels)) == []
    assert len(find_falls(basket([100.0, *[94.0] * 46, 88.0]))) == 1


def test_breaches_near_each_other_are_one_fall() -> None:
    """A bounce of a day does not make two; four days do."""
    day = [100.0] * 10
    assert len(find_falls(basket([*day, 85.0, *[100.0] * 24, 85.0]))) == 1
    assert len(find_falls(basket([*day, 85.0, *[100.0] * 73, 85.0]))) == 2


def test_what_a_state_was_on_for() -> None:
    """Two falls, one of them led; one episode false; the lead counts to the breach."""
    falls = [Fall(100, 110), Fall(400, 420)]
    known = [True] * 1000
    timing = time_state([Span(20, 28), Span(90, 105), Span(700, 720)], falls, known, 0, 1000)
    assert (timing.episodes, timing.led, timing.falls) == (3, 1, 2)
    assert timing.lead_h == (20,)
    # The first ends 72 hours before the peak, the last has no fall after it.
    assert timing.false_episodes == 2
    assert timing.active_h == 8 + 15 + 20
    assert timing.false_per_month == pytest.approx(2 / (1000 / 730.5))


@pytest.mark.parametrize(
    ("span", "led"),
    [
        (Span(20, 28), 0),
        (Span(20, 29), 1),
        (Span(109, 130), 1),
        (Span(110, 130), 0),
    ],
    ids=["72 h before the peak", "71 h before", "the hour before the breach", "with the breach"],
)
def test_what_leads_a_fall(span: Span, led: int) -> None:
    """Peak at 100, breach at 110; what leads no fall is false."""
    timing = time_state([span], [Fall(100, 110)], [True] * 1000, 0, 1000)
    assert (timing.led, timing.false_episodes) == (led, 1 - led)


def test_bins_close_on_the_left() -> None:
    """A value on an edge belongs above it, the last edge to the last bin; unknown to none."""
    count = 40
    values: list[float | None] = [0.0, 0.5, 0.5 - 1e-12, 1.0, None, *[0.1] * (count - 5)]
    made = bin_measure(values, basket([100.0] * count), (0.0, 0.5, 1.0), 0, 5)
    assert [one.hours for one in made] == [1, 3]
    assert made[0].crash_ratio == 0.0


def test_crash_odds_and_volatility_of_the_next_day() -> None:
    """One hour is followed by a fall of 10 % within 24 hours, the other is not."""
    levels = [100.0, *[100.0] * 23, 90.0, *[90.0] * 30]
    made = bin_measure([1.0] * len(levels), basket(levels), (0.0, 2.0), 0, 1)
    assert made[0].crash_ratio == 1.0
    assert made[0].volatility == pytest.approx(abs(log(0.9)) * sqrt(365.0))
    later = bin_measure([1.0] * len(levels), basket(levels), (0.0, 2.0), 24, 25)
    assert later[0].crash_ratio == 0.0


def test_an_outcome_by_hand() -> None:
    """Deepest fall from the peak, mean of the worst day."""
    equity = [100.0] * 24 + [120.0] * 24 + [90.0] * 24 + [99.0]
    made = judge_outcome(equity, [50.0] * len(equity))
    assert made.drawdown_max_ratio == pytest.approx(0.25)
    assert made.return_ratio == pytest.approx(-0.01)
    assert made.worst_days_ratio == pytest.approx(-0.25)
    assert worst_mean([-0.3, -0.1, *[0.0] * 38]) == pytest.approx(-0.2)


def test_the_sheet_of_volatility() -> None:
    """EWMA from 60 % with one hour of minus four percent: 86.53 %; percentile as printed."""
    state = Volatility(variance=0.6**2 / 8760.0)
    state.take(-0.04)
    assert state.annual == pytest.approx(0.8653, abs=5e-5)


def test_the_plain_trigger() -> None:
    """Quiet for sixty days, then a storm: on at the second hour of it, off a day after."""
    trigger = VolatilityAndFall()
    level, on = 100.0, []
    moves = [0.001, -0.001] * (30 * 24 + 40) + [-0.03, -0.03, -0.03] + [0.0005, -0.0005] * 200
    for move in moves:
        level *= 1.0 + move
        on.append(trigger.take(log(1.0 + move), level, known=True))
    first = on.index(True)
    assert first == (30 * 24 + 40) * 2 + 2
    assert not on[-1]
    assert not trigger.take(None, level, known=False)


def test_holding_less_removes_as_much_as_it_gives_up() -> None:
    """The same book at seven tenths: 0.3 of the tail for 0.3 of the exposure, in every draw."""
    days = [0.01, -0.02, 0.015, -0.03, 0.0, 0.02, -0.01] * 20
    full, part = [1000.0], [1000.0]
    for day in days:
        full += [full[-1]] * 23 + [full[-1] * (1.0 + day)]
        part += [part[-1]] * 23 + [part[-1] * (1.0 + 0.7 * day)]
    made = compare(part, [0.7 * one for one in part], full, full, seed=1, draws=50)
    assert made.tail.value == pytest.approx(0.3)
    assert made.exposure.value == pytest.approx(0.3)
    assert (made.ratio.low, made.ratio.high) == pytest.approx((1.0, 1.0))


def test_an_interval_is_the_same_every_time() -> None:
    """By its seed, and another one by another."""
    path = [1000.0 + 10 * ((7 * at) % 13) for at in range(24 * 60)]
    made = [compare(path, path, path[::-1], path, seed=seed, draws=40) for seed in (1, 1, 2)]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_a_lift_by_hand() -> None:
    """Half of the hours on, three of four crashes in them: odds 1.5 times the usual."""
    hours = 168 * 8
    on = [index % 2 == 0 for index in range(hours)]
    crash: list[bool | None] = [index % 8 in {0, 1, 2, 4} for index in range(hours)]
    ahead: list[float | None] = [0.9 if one else 0.6 for one in on]
    made = lift_of(on, crash, ahead, seed=1, draws=30)
    assert made.crash.value == pytest.approx(1.5)
    assert made.volatility.value == pytest.approx(1.5)
    assert made.crash.low == pytest.approx(1.5)


@pytest.mark.parametrize(("weeks", "claimed"), [(7, False), (8, True)], ids=["seven", "eight"])
def test_few_weeks_claim_no_interval(weeks: int, *, claimed: bool) -> None:
    """One week drawn again and again is always the same week, and no certainty."""
    hours = 168 * weeks
    path = [1000.0 + 10 * ((7 * at) % 13) for at in range(hours + 1)]
    made = compare(path, path, path[::-1], path, seed=1, draws=40)
    assert made.exposure.value is not None
    assert (made.exposure.low is not None) is claimed
    on = [index % 2 == 0 for index in range(hours)]
    lift = lift_of(on, on, [0.9 if one else 0.6 for one in on], seed=1, draws=40)
    assert lift.volatility.value == pytest.approx(1.5)
    assert (lift.volatility.low is not None) is claimed


def test_no_lift_without_hours() -> None:
    """A state that was never on says nothing."""
    made = lift_of([False] * 200, [False] * 200, [0.5] * 200, seed=1, draws=10)
    assert made.crash.value is None
    assert made.crash.low is None
