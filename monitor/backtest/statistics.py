"""What a state was worth as a warning, and what a book gained by following it. *Pure.*

A *fall* is a drop of the basket by 12 % or more from the highest of its last 48 hourly closes, the
present one among them; breaches less than 72 hours apart are one fall. A state *leads* a fall when
it was on in some hour from 72 before the peak up to the last one before the breach: one that begins
with the breach warned of nothing. An episode that leads no fall is *false*. With these readings the
volatility trigger of the sheet shows the figures the sheet prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum, sqrt
from statistics import median

from monitor.backtest.basket import HOURS_PER_YEAR, Basket

FALL_RATIO = 0.12
FALL_WITHIN_H = 48
WARNING_H = 72
CRASH_RATIO = 0.10
CRASH_WITHIN_H = 24
MONTH_H = 730.5


@dataclass(slots=True, frozen=True)
class Fall:
    """Grid indices of the highest close before and of the first hour 12 % below it."""

    peak: int
    breach: int


@dataclass(slots=True, frozen=True)
class Span:
    """A state was on from grid index ``start`` to before ``end``."""

    start: int
    end: int


def has_fallen(level: float, high: float, ratio: float) -> bool:
    """Whether ``level`` stands ``ratio`` or more below ``high``, rounding forgiven."""
    return level <= high * (1.0 - ratio) * (1.0 + 1e-12)


def find_falls(basket: Basket) -> list[Fall]:
    """Every fall, in order."""
    found: list[Fall] = []
    last = -WARNING_H - 1
    levels = basket.levels
    for index, level in enumerate(levels):
        if not basket.known[index]:
            continue
        first = max(0, index - FALL_WITHIN_H + 1)
        high = max(levels[first : index + 1])
        if has_fallen(level, high, FALL_RATIO):
            if index - last > WARNING_H:
                found.append(Fall(first + levels[first : index + 1].index(high), index))
            last = index
    return found


@dataclass(slots=True, frozen=True)
class Timing:
    """How a state stood to the falls.

    ``lead_h`` are hours from the state's beginning to the breach, of the falls it was on for.
    """

    hours: int
    active_h: int
    episodes: int
    false_episodes: int
    falls: int
    led: int
    lead_h: tuple[int, ...]

    @property
    def active_ratio(self) -> float:
        """Share of known hours in which the state was on."""
        return self.active_h / self.hours if self.hours else 0.0

    @property
    def false_per_month(self) -> float:
        """False episodes in a month of known hours."""
        return self.false_episodes / (self.hours / MONTH_H) if self.hours else 0.0

    @property
    def lead_h_median(self) -> float | None:
        """Median lead in hours; None where no fall was led."""
        return float(median(self.lead_h)) if self.lead_h else None


def _leads(span: Span, fall: Fall) -> bool:
    """Whether a state was on between 72 hours before the peak and the breach, that one left out."""
    return span.start < fall.breach and span.end > fall.peak - WARNING_H


def time_state(
    spans: Sequence[Span], falls: Sequence[Fall], known: Sequence[bool], first: int, end: int
) -> Timing:
    """Judge a state over the known hours of ``[first, end)``."""
    here = [one for one in spans if one.start < end and one.end > first]
    struck = [one for one in falls if first <= one.breach < end]
    active = sum(sum(known[max(one.start, first) : min(one.end, end)]) for one in here)
    leads: list[int] = []
    for fall in struck:
        begun = [one.start for one in here if _leads(one, fall)]
        if begun:
            leads.append(fall.breach - max(begun))
    false = sum(not any(_leads(one, fall) for fall in falls) for one in here)
    return Timing(
        hours=sum(known[first:end]),
        active_h=active,
        episodes=len(here),
        false_episodes=false,
        falls=len(struck),
        led=len(leads),
        lead_h=tuple(leads),
    )


@dataclass(slots=True, frozen=True)
class Bin:
    """Hours in which a measure stood in ``[low, high)``, what followed, and how many crashed."""

    low: float
    high: float
    hours: int
    crash_ratio: float | None
    volatility: float | None


def bin_measure(
    values: Sequence[float | None],
    basket: Basket,
    edges: Sequence[float],
    first: int,
    end: int,
) -> list[Bin]:
    """Crash odds within 24 hours and volatility of the 24 hours after, by value of a measure.

    Values are rounded to 1e-9 first: many stand exactly on an edge. The last bin holds its upper
    edge too. Hours whose next 24 are not all known are left out.
    """
    crashes, squares, hours = ([0] * (len(edges) - 1) for _ in range(3))
    sums = [0.0] * (len(edges) - 1)
    returns, levels = basket.returns, basket.levels
    for index in range(first, min(end, len(levels) - CRASH_WITHIN_H)):
        value = values[index]
        if value is None or not basket.known[index]:
            continue
        after = range(index + 1, index + CRASH_WITHIN_H + 1)
        value = round(value, 9)
        place = next(
            (
                at
                for at in range(len(edges) - 1)
                if edges[at] <= value < edges[at + 1]
                or (at == len(edges) - 2 and value == edges[-1])
            ),
            None,
        )
        if place is None:
            continue
        hours[place] += 1
        low = min(levels[at] for at in after)
        crashes[place] += has_fallen(low, levels[index], CRASH_RATIO)
        sums[place] += sqrt(fsum((returns[at] or 0.0) ** 2 for at in after) * 365.0)
        squares[place] += 1
    return [
        Bin(
            edges[at],
            edges[at + 1],
            hours[at],
            crashes[at] / hours[at] if hours[at] else None,
            sums[at] / squares[at] if squares[at] else None,
        )
        for at in range(len(edges) - 1)
    ]


@dataclass(slots=True, frozen=True)
class Outcome:
    """What became of a book: ratios of start or of peak equity, per year where it says so."""

    end_usd: float
    return_ratio: float
    drawdown_max_ratio: float
    volatility: float
    worst_days_ratio: float  # mean of the worst 5 % of days, < 0 is a loss
    gross_mean_ratio: float  # mean of gross over equity


def daily(values: Sequence[float]) -> list[float]:
    """Every 24th value: days counted from the beginning."""
    return list(values[::24])


def judge_outcome(equity: Sequence[float], gross: Sequence[float]) -> Outcome:
    """The figures of one equity path, hourly; a path of at least two days."""
    peak = drawdown = 0.0
    for value in equity:
        peak = max(peak, value)
        drawdown = max(drawdown, 1.0 - value / peak if peak > 0.0 else 1.0)
    days = daily_returns(equity)
    mean = fsum(days) / len(days)
    spread = fsum((one - mean) ** 2 for one in days) / max(len(days) - 1, 1)
    shares = [one / value for one, value in zip(gross, equity, strict=True) if value > 0.0]
    return Outcome(
        end_usd=equity[-1],
        return_ratio=equity[-1] / equity[0] - 1.0,
        drawdown_max_ratio=drawdown,
        volatility=sqrt(spread * HOURS_PER_YEAR / 24.0),
        worst_days_ratio=worst_mean(days),
        gross_mean_ratio=fsum(shares) / len(shares) if shares else 0.0,
    )


def daily_returns(equity: Sequence[float]) -> list[float]:
    """Simple returns of days counted from the beginning."""
    ends = daily(equity)
    return [now / before - 1.0 if before > 0.0 else 0.0 for before, now in pairwise(ends)] or [0.0]


def worst_mean(days: Sequence[float], share: float = 0.05) -> float:
    """Mean of the worst ``share`` of days (at least one)."""
    count = max(1, round(len(days) * share))
    return fsum(sorted(days)[:count]) / count
