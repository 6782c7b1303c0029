"""Small pieces of SVG: a frame with axes, lines that break at gaps, areas, bands, marks. *Pure.*

Coordinates are pixels of a fixed view box; colours and fonts are classes that the page styles, so
that one drawing suits light and dark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10

WIDTH = 1120.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 16.0, 12.0, 24.0

Point = tuple[float, float | None]


def number(value: float) -> str:
    """A coordinate, short and always the same."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


@dataclass(slots=True)
class Frame:
    """A plot of values over grid indices ``0 … count - 1``; drawn into ``parts``.

    ``low`` and ``high`` bound the values; with ``log`` both are above zero.
    """

    count: int
    low: float
    high: float
    height: float = 190.0
    log: bool = False
    parts: list[str] = field(default_factory=list)

    @property
    def inner_height(self) -> float:
        """Pixels between the lowest and the highest value."""
        return self.height - TOP - BOTTOM

    def x(self, index: float) -> float:
        """Where an hour stands."""
        return LEFT + (WIDTH - LEFT - RIGHT) * index / max(self.count - 1, 1)

    def y(self, value: float) -> float:
        """Where a value stands, held within the frame."""
        if self.log:
            share = (log10(max(value, self.low)) - log10(self.low)) / (
                log10(self.high) - log10(self.low)
            )
        else:
            share = (value - self.low) / (self.high - self.low)
        return TOP + self.inner_height * (1.0 - min(max(share, 0.0), 1.0))

    # ------------------------------------------------------------------------------ drawing

    def line(self, points: Sequence[Point], css: str) -> None:
        """A line through what is known; it breaks where nothing is."""
        runs: list[list[str]] = [[]]
        for index, value in points:
            if value is None:
                runs.append([])
            else:
                runs[-1].append(f"{number(self.x(index))} {number(self.y(value))}")
        path = "".join("M" + "L".join(run) for run in runs if len(run) > 1)
        if path:
            self.parts.append(f'<path class="line {css}" d="{path}"/>')

    def area(self, lower: Sequence[Point], upper: Sequence[Point], css: str) -> None:
        """What lies between two lines over the same indices."""
        run: list[tuple[float, float, float]] = []
        path = ""
        for (index, low), (_, high) in zip(lower, upper, strict=True):
            if low is None or high is None:
                path += self._closed(run)
                run = []
            else:
                run.append((index, low, high))
        path += self._closed(run)
        if path:
            self.parts.append(f'<path class="area {css}" d="{path}"/>')

    def _closed(self, run: Sequence[tuple[float, float, float]]) -> str:
        if len(run) < 2:
            return ""
        there = [f"{number(self.x(at))} {number(self.y(high))}" for at, _, high in run]
        back = [f"{number(self.x(at))} {number(self.y(low))}" for at, low, _ in reversed(run)]
        return "M" + "L".join((*there, *back)) + "Z"

    def band(self, start: float, end: float, css: str, title: str = "") -> None:
        """A stretch of time over the full height."""
        left, right = self.x(start), self.x(min(end, self.count - 1))
        inner = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(
            f'<rect class="{css}" x="{number(left)}" y="{number(TOP)}" '
            f'width="{number(max(right - left, 1.0))}" height="{number(self.inner_height)}">'
            f"{inner}</rect>"
        )

    def mark(self, index: float, title: str) -> None:
        """A small triangle at the top edge."""
        x = self.x(index)
        self.parts.append(
            f'<path class="mark" d="M{number(x - 4)} {number(TOP)}h8l-4 7z">'
            f"<title>{escape(title)}</title></path>"
        )

    def level(self, value: float, text: str) -> None:
        """A dashed line at a value, with its name at the right end."""
        y = number(self.y(value))
        self.parts.append(
            f'<line class="limit" x1="{number(LEFT)}" x2="{number(WIDTH - RIGHT)}" y1="{y}" '
            f'y2="{y}"/><text class="limit-text" x="{number(WIDTH - RIGHT - 4)}" '
            f'y="{number(self.y(value) - 4)}">{escape(text)}</text>'
        )

    def value_axis(self, ticks: Sequence[float], words: Callable[[float], str]) -> None:
        """Thin lines at round values, named at the left."""
        for tick in ticks:
            y = self.y(tick)
            self.parts.append(
                f'<line class="grid" x1="{number(LEFT)}" x2="{number(WIDTH - RIGHT)}" '
                f'y1="{number(y)}" y2="{number(y)}"/><text class="tick" x="{number(LEFT - 8)}" '
                f'y="{number(y + 4)}">{escape(words(tick))}</text>'
            )

    def time_axis(self, ticks: Sequence[tuple[int, str]]) -> None:
        """Names of times below, with a thin line each."""
        base = self.height - BOTTOM
        for index, text in ticks:
            x = number(self.x(index))
            self.parts.append(
                f'<line class="grid" x1="{x}" x2="{x}" y1="{number(TOP)}" y2="{number(base)}"/>'
                f'<text class="time" x="{x}" y="{number(base + 16)}">{escape(text)}</text>'
            )

    def svg(self, label: str) -> str:
        """The finished drawing; ``label`` says what it shows to who cannot see it."""
        return drawing("".join(self.parts), self.height, label)


def drawing(parts: str, height: float, label: str) -> str:
    """An SVG element as wide as the page."""
    return (
        f'<svg viewBox="0 0 {number(WIDTH)} {number(height)}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{parts}</svg>'
    )


def round_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About ``count`` round values within the bounds."""
    span = high - low
    if span <= 0.0:
        return [low]
    step = 10.0 ** floor(log10(span / count))
    for times in (1.0, 2.0, 5.0, 10.0):
        if span / (step * times) <= count:
            step *= times
            break
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within the bounds; the powers alone where that is many."""
    found = [
        times * 10.0**power
        for power in range(floor(log10(low)), ceil(log10(high)) + 1)
        for times in (1.0, 2.0, 5.0)
        if low <= times * 10.0**power <= high
    ]
    if len(found) > 6:
        return [one for one in found if abs(log10(one) - round(log10(one))) < 1e-9]
    return found
