"""Everything the report and the summary say, as numbers. *Pure.*

Computed once from a run; neither output adds a number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import fsum, sqrt

from monitor.backtest.arms import Arm
from monitor.backtest.basket import Basket
from monitor.backtest.bootstrap import Difference, Lift, compare, lift_of
from monitor.backtest.history import HOUR_S, History
from monitor.backtest.run import ONLY, Result
from monitor.backtest.statistics import (
    CRASH_RATIO,
    CRASH_WITHIN_H,
    Bin,
    Fall,
    Outcome,
    Span,
    Timing,
    bin_measure,
    find_falls,
    has_fallen,
    judge_outcome,
    time_state,
)
from monitor.core.types import PORTFOLIO, Subject

INDEX = "funding_stress_index"
SHARE = "funding_expensive_share_ratio"
INDEX_EDGES = (0.0, 1.0, 10.0, 30.0, 50.0, 60.0, 80.0, 100.0)
SHARE_EDGES = (0.0, 0.05, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0)
SPLIT_S = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
TRIGGER_NAME = "volatility ≥ p85 and a 4 % fall"


@dataclass(slots=True, frozen=True)
class Period:
    """A stretch of the grid: ``first`` to before ``end``, and how people call it."""

    title: str
    first: int
    end: int


@dataclass(slots=True, frozen=True)
class StateFigures:
    """One state over one period. ``funding_on`` and ``funding_off`` are what being long cost, a
    fraction per year, while it was on and off; None where nothing was settled. ``judged_ratio`` is
    the share of the hours in which it could be judged at all."""

    name: str
    period: Period
    timing: Timing
    lift: Lift
    funding_on: float | None
    funding_off: float | None
    judged_ratio: float


@dataclass(slots=True, frozen=True)
class ArmFigures:
    """One arm: net of all cost, before the costs of trading, and against the first arm."""

    arm: Arm
    net: Outcome
    before_costs_usd: float
    difference: Difference | None


@dataclass(slots=True, frozen=True)
class Figures:
    """All numbers of a run."""

    result: Result
    periods: tuple[Period, ...]
    falls: tuple[Fall, ...]
    arms: tuple[ArmFigures, ...]
    states: tuple[StateFigures, ...]
    gauge: str
    bins: dict[str, tuple[Bin, ...]]
    crash_ratio: dict[str, float | None]
    missing_h: int

    def states_of(self, name: str) -> tuple[StateFigures, ...]:
        """One state over every period."""
        return tuple(one for one in self.states if one.name == name)


def compute_figures(result: Result, *, seed: int, draws: int) -> Figures:
    """Judge a run; ``seed`` and ``draws`` are those of the bootstrap."""
    history, basket = result.task.history, result.basket
    periods = _periods(history)
    falls = tuple(find_falls(basket))
    crash, ahead = _next_day(basket)
    cost = _cost_of_long(history, result.task.venues[0])
    states = [
        StateFigures(
            name,
            period,
            time_state(spans, falls, basket.known, period.first, period.end),
            lift_of(
                on[period.first : period.end],
                crash[period.first : period.end],
                ahead[period.first : period.end],
                seed=seed,
                draws=draws,
            ),
            *_cost_while(cost, on, period),
            _judged(blind, period),
        )
        for name, spans, blind in _states(result)
        for on in [_mask(spans, history.hours)]
        for period in periods
    ]
    plain = result.arms[0]
    arms = []
    for arm in result.arms:
        against = None
        if arm is not plain:
            against = compare(
                arm.equity, arm.gross, plain.equity, plain.gross, seed=seed, draws=draws
            )
        made = judge_outcome(arm.equity, arm.gross)
        arms.append(ArmFigures(arm, made, arm.equity[-1] + arm.paid[-1], against))
    gauge = INDEX if _known(result, INDEX) else SHARE
    series = result.measures.get((gauge, PORTFOLIO), [])
    edges = INDEX_EDGES if gauge == INDEX else SHARE_EDGES
    return Figures(
        result=result,
        periods=periods,
        falls=falls,
        arms=tuple(arms),
        states=tuple(states),
        gauge=gauge,
        bins={
            one.title: tuple(bin_measure(series, basket, edges, one.first, one.end))
            for one in (periods if series else ())
        },
        crash_ratio={one.title: _odds(crash[one.first : one.end]) for one in periods},
        missing_h=sum(not known for known in basket.known),
    )


def _periods(history: History) -> tuple[Period, ...]:
    whole = Period("whole period", 0, history.hours)
    split = (SPLIT_S - history.start_s) // HOUR_S
    month = 30 * 24
    if month < split < history.hours - month:
        return (
            whole,
            Period("before 2023", 0, split),
            Period("since 2023", split, history.hours),
        )
    return (whole,)


def _known(result: Result, name: str) -> bool:
    return any(one is not None for one in result.measures.get((name, PORTFOLIO), ()))


def never_judged(result: Result) -> list[str]:
    """Rules about the whole book that could be judged in no hour, in the rulebook's order."""
    return [rule for rule, blind in result.blind.items() if all(blind)]


def _judged(blind: Sequence[int], period: Period) -> float:
    hours = blind[period.first : period.end]
    return 1.0 - sum(hours) / len(hours) if hours else 0.0


def _states(result: Result) -> list[tuple[str, Sequence[Span], Sequence[int]]]:
    """Rules about the whole book that ever fired, or that an arm follows alone, in the rulebook's
    order, and the trigger; each with the hours in which it could not be judged."""
    followed = {arm.name[len(ONLY) :] for arm in result.arms if arm.name.startswith(ONLY)}
    found: list[tuple[str, Sequence[Span], Sequence[int]]] = [
        (rule.id, spans, result.blind[rule.id])
        for rule in result.task.rules.book.rules
        for spans in [result.spans.get((rule.id, Subject(PORTFOLIO)), [])]
        if spans or (rule.id in followed and rule.id in result.blind)
    ]
    return [*found, (TRIGGER_NAME, result.trigger, result.trigger_blind)]


def _mask(spans: Sequence[Span], hours: int) -> list[bool]:
    on = [False] * hours
    for span in spans:
        for place in range(span.start, min(span.end, hours)):
            on[place] = True
    return on


def _next_day(basket: Basket) -> tuple[list[bool | None], list[float | None]]:
    """Of each hour: whether the basket crashes within a day, and how volatile that day is."""
    count = len(basket.levels)
    crash: list[bool | None] = [None] * count
    ahead: list[float | None] = [None] * count
    for index in range(count - CRASH_WITHIN_H):
        if not basket.known[index]:
            continue
        end = index + CRASH_WITHIN_H + 1
        low = min(basket.levels[index + 1 : end])
        crash[index] = has_fallen(low, basket.levels[index], CRASH_RATIO)
        squares = fsum((one or 0.0) ** 2 for one in basket.returns[index + 1 : end])
        ahead[index] = sqrt(squares * 365.0)
    return crash, ahead


def _odds(crash: Sequence[bool | None]) -> float | None:
    known = [one for one in crash if one is not None]
    return sum(known) / len(known) if known else None


def _cost_of_long(history: History, venue: str) -> list[float | None]:
    """What an hour cost who was long every market of a venue alike: the mean of the rates as they
    stand then, fraction per hour; None where none stands."""
    sums, counts = [0.0] * history.hours, [0] * history.hours
    for (name, _), table in history.settlements.items():
        if name != venue:
            continue
        for index, settled in enumerate(table):
            if settled is not None:  # it is of the hours that end with it
                for place in range(max(0, index - settled.interval_h + 1), index + 1):
                    sums[place] += settled.hourly
                    counts[place] += 1
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]


def _cost_while(
    cost: Sequence[float | None], on: Sequence[bool], period: Period
) -> tuple[float | None, float | None]:
    here = range(period.first, period.end)
    paid = [one for place in here if on[place] and (one := cost[place]) is not None]
    else_paid = [one for place in here if not on[place] and (one := cost[place]) is not None]
    year = 8760.0
    return (
        year * fsum(paid) / len(paid) if paid else None,
        year * fsum(else_paid) / len(else_paid) if else_paid else None,
    )
