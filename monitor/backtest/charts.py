"""The drawings of the report, each from the figures alone. *Pure.*

A column of pixels stands for many hours. Lines show the last value of each, gauges the highest, so
that no spike is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape

from monitor.backtest.arms import Arm
from monitor.backtest.figures import Figures
from monitor.backtest.history import HOUR_S, History
from monitor.backtest.outputs import instant
from monitor.backtest.run import Result
from monitor.backtest.statistics import Span
from monitor.backtest.svg import (
    RIGHT,
    WIDTH,
    Frame,
    Point,
    drawing,
    log_ticks,
    number,
    round_ticks,
)
from monitor.backtest.words import MINUS, TIMES
from monitor.core.types import PORTFOLIO

COLUMNS = 1040
GAP_SHOWN_H = 48
ROW = 22.0
BAND_LEFT = 250.0
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def columns(hours: int) -> list[tuple[int, int]]:
    """(first, end) of the hours behind each column of pixels."""
    count = min(hours, COLUMNS)
    return [(at * hours // count, (at + 1) * hours // count) for at in range(count)]


def last_known(series: Sequence[float | None], known: Sequence[bool]) -> list[Point]:
    """The last known value of each column; a column with nothing known breaks the line."""
    points: list[Point] = []
    for first, end in columns(len(series)):
        value = next((series[at] for at in range(end - 1, first - 1, -1) if known[at]), None)
        points.append((first, value))
    return points


def highest(series: Sequence[float | None]) -> list[tuple[int, int | None]]:
    """Of each column its first hour, and the hour of its highest known value."""
    found: list[tuple[int, int | None]] = []
    for first, end in columns(len(series)):
        known = [(value, at) for at in range(first, end) if (value := series[at]) is not None]
        found.append((first, max(known, key=lambda one: (one[0], -one[1]))[1] if known else None))
    return found


def time_ticks(history: History) -> list[tuple[int, str]]:
    """Years, or months or days where the period is short."""
    hours = history.hours
    start = datetime.fromtimestamp(history.start_s, tz=UTC)
    made: list[tuple[int, str]] = []
    whole_days = 365 * 24
    step = 1 if hours > 40 * 24 else 0
    if hours > 2.5 * whole_days:
        step = 12
    elif hours > whole_days:
        step = 3
    if not step:
        days = max(1, hours // 24 // 8)
        return [
            (at, f"{_day(history.time_s(at))}")
            for at in range((-start.hour) % 24, hours, 24 * days)
        ]
    year, month = start.year, start.month
    while True:
        at_s = datetime(year, month, 1, tzinfo=UTC).timestamp()
        index = round(at_s - history.start_s) // HOUR_S
        if index >= hours:
            return made
        if index >= 0 and (month - 1) % step == 0:
            made.append((index, str(year) if month == 1 else MONTHS[month - 1]))
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _day(at_s: int) -> str:
    moment = datetime.fromtimestamp(at_s, tz=UTC)
    return f"{moment.day} {MONTHS[moment.month - 1]}"


def gaps(known: Sequence[bool]) -> list[Span]:
    """Long stretches without any price."""
    found: list[Span] = []
    start: int | None = None
    for index, value in enumerate([*known, True]):
        if not value and start is None:
            start = index
        elif value and start is not None:
            if index - start >= GAP_SHOWN_H:
                found.append(Span(start, index))
            start = None
    return found


def _framed(frame: Frame, result: Result) -> Frame:
    for gap in gaps(result.basket.known):
        frame.band(gap.start, gap.end, "gap", "no data: removed from the history")
    return frame


def price_chart(figures: Figures) -> str:
    """The basket on a log scale, with every fall."""
    result = figures.result
    levels = [100.0 * one for one in result.basket.levels]
    frame = Frame(len(levels), min(levels) * 0.92, max(levels) * 1.12, 230.0, log=True)
    frame.value_axis(log_ticks(frame.low, frame.high), lambda one: f"{one:,.0f}")
    frame.time_axis(time_ticks(result.task.history))
    _framed(frame, result).line(last_known(levels, result.basket.known), "price")
    for fall in figures.falls:
        frame.mark(fall.breach, f"fall of 12 % or more: {_when(result, fall.breach)}")
    return frame.svg("Equal-weight basket, log scale, falls marked")


def gauge_chart(
    figures: Figures,
    parts: Sequence[tuple[str, str]],
    limits: Sequence[tuple[float, str]],
) -> str:
    """The stress gauge: its ``parts`` (measure, style) stacked, or one line where it has none."""
    result = figures.result
    series = result.measures.get((figures.gauge, PORTFOLIO), [])
    whole = figures.gauge.endswith("_index")
    frame = Frame(len(series), 0.0, 100.0 if whole else 1.0, 230.0)
    words: Callable[[float], str] = _plain if whole else _percent
    frame.value_axis(round_ticks(frame.low, frame.high, 5), words)
    frame.time_axis(time_ticks(result.task.history))
    _framed(frame, result)
    peaks = highest(series)
    lower: list[Point] = [(at, None if peak is None else 0.0) for at, peak in peaks]
    for name, css in parts:
        values = result.measures[name, PORTFOLIO]
        upper: list[Point] = [
            (
                at,
                None
                if peak is None or below is None or (own := values[peak]) is None
                else below + own,
            )
            for (at, peak), (_, below) in zip(peaks, lower, strict=True)
        ]
        frame.area(lower, upper, css)
        lower = upper
    if not parts:
        top: list[Point] = [(at, None if peak is None else series[peak]) for at, peak in peaks]
        frame.area(lower, top, "part-0")
    for value, text in limits:
        frame.level(value, text)
    return frame.svg(f"{figures.gauge} with its contributions, highest of each column")


def state_chart(result: Result, rows: Sequence[tuple[str, Sequence[Span], str]]) -> str:
    """One row a state, a bar wherever it was on."""
    hours = result.task.history.hours
    height = ROW * len(rows) + 30.0
    base = ROW * len(rows) + 6.0

    def x(index: float) -> float:
        return BAND_LEFT + (WIDTH - BAND_LEFT - RIGHT) * index / max(hours - 1, 1)

    parts = [
        f'<line class="grid" x1="{number(x(at))}" x2="{number(x(at))}" y1="4" y2="{number(base)}"/>'
        f'<text class="time" x="{number(x(at))}" y="{number(base + 16)}">{escape(text)}</text>'
        for at, text in time_ticks(result.task.history)
    ]
    parts += [
        f'<rect class="gap" x="{number(x(gap.start))}" y="4" '
        f'width="{number(x(gap.end) - x(gap.start))}" height="{number(base - 4)}"/>'
        for gap in gaps(result.basket.known)
    ]
    for place, (name, spans, css) in enumerate(rows):
        top = 6.0 + ROW * place
        parts.append(
            f'<text class="row" x="{number(BAND_LEFT - 10)}" y="{number(top + 13)}">'
            f"{escape(name)}</text>"
            f'<line class="grid" x1="{number(BAND_LEFT)}" x2="{number(WIDTH - RIGHT)}" '
            f'y1="{number(top + ROW - 3)}" y2="{number(top + ROW - 3)}"/>'
        )
        for left, right in _merged([(x(one.start), x(min(one.end, hours - 1))) for one in spans]):
            parts.append(
                f'<rect class="state {css}" x="{number(left)}" y="{number(top + 2)}" '
                f'width="{number(max(right - left, 0.7))}" height="{number(ROW - 8)}"/>'
            )
    return drawing("".join(parts), height, "When each rule was firing")


def _merged(bars: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Bars less than half a pixel apart as one: they could not be told apart."""
    made: list[tuple[float, float]] = []
    for left, right in sorted(bars):
        if made and left - made[-1][1] < 0.5:
            made[-1] = (made[-1][0], max(made[-1][1], right))
        else:
            made.append((left, right))
    return made


def gross_chart(result: Result, arms: Sequence[tuple[Arm, str]]) -> str:
    """Gross exposure over equity of some arms."""
    paths = [
        (
            [
                None if value <= 0.0 else one / value
                for one, value in zip(arm.gross, arm.equity, strict=True)
            ],
            css,
        )
        for arm, css in arms
    ]
    top = max((one for path, _ in paths for one in path if one is not None), default=1.0)
    frame = Frame(result.task.history.hours, 0.0, top * 1.05 or 1.0, 190.0)
    frame.value_axis(round_ticks(0.0, frame.high, 4), lambda one: f"{one:.2g}{TIMES}")
    frame.time_axis(time_ticks(result.task.history))
    _framed(frame, result)
    for path, css in paths:
        frame.line(last_known(path, result.basket.known), css)
    return frame.svg("Gross exposure over equity")


def equity_chart(result: Result, arms: Sequence[tuple[Arm, str]]) -> str:
    """Equity on a log scale."""
    values = [one for arm, _ in arms for one in arm.equity if one > 0.0]
    frame = Frame(result.task.history.hours, min(values) * 0.92, max(values) * 1.1, 260.0, log=True)
    frame.value_axis(log_ticks(frame.low, frame.high), _money)
    frame.time_axis(time_ticks(result.task.history))
    _framed(frame, result)
    for arm, css in arms:
        frame.line(last_known(arm.equity, result.basket.known), css)
    return frame.svg("Equity of the arms, log scale, net of all costs")


def drawdown_chart(result: Result, arms: Sequence[tuple[Arm, str]]) -> str:
    """Fall from the running peak, deepest of each column."""
    paths = []
    deepest = 0.05
    for arm, css in arms:
        peak, path = 0.0, []
        for value in arm.equity:
            peak = max(peak, value)
            path.append(1.0 - value / peak if peak > 0.0 else 1.0)
        deepest = max(deepest, *path)
        points: list[Point] = [
            (at, None if worst is None else -path[worst]) for at, worst in highest(path)
        ]
        known = result.basket.known
        points = [
            (at, value if any(known[first:end]) else None)
            for (at, value), (first, end) in zip(points, columns(len(path)), strict=True)
        ]
        paths.append((points, css))
    frame = Frame(result.task.history.hours, -deepest * 1.05, 0.0, 190.0)
    frame.value_axis(round_ticks(frame.low, 0.0, 4), _percent)
    frame.time_axis(time_ticks(result.task.history))
    _framed(frame, result)
    for points, css in paths:
        frame.line(points, css)
    return frame.svg("Drawdown from the running peak")


def bar_cell(share: float) -> str:
    """A small bar in a table cell; ``share`` of its full width."""
    width = 90.0 * min(max(share, 0.0), 1.0)
    return (
        '<svg class="bar" viewBox="0 0 90 10" aria-hidden="true">'
        f'<rect class="bar-fill" width="{number(width)}" height="10" rx="2"/></svg>'
    )


def _when(result: Result, index: int) -> str:
    return instant(result.task.history.time_s(index))


def _plain(value: float) -> str:
    return f"{value:.0f}"


def _percent(value: float) -> str:
    return f"{100.0 * value:.0f} %".replace("-", MINUS)


def _money(value: float) -> str:
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"
