"""The engines' correlations, followed from hour to hour instead of summed anew each time. *Pure.*

A sum over the last 720 hours, each weighing a little less than the next, follows from the one an
hour ago: it fades, one product comes, one goes. To a billionth it is what the engine finds by
itself, at a hundredth of the cost; whenever hours are missing or were rewritten it is summed anew,
and once a week besides.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import sqrt

from monitor.core.formulas.volatility import compute_decay
from monitor.core.measures.book_risk import (
    BASKET,
    CORRELATION_HALF_LIFE_HOURS,
    CORRELATION_HOURS_MIN,
)
from monitor.core.measures.tree import Correlation
from monitor.core.state.model import RiskState
from monitor.core.state.series import RETURNS_HOURS, HourSeries

ANEW_EVERY_H = 168
# Sums of squares below this are what rounding left of nothing.
_NOTHING = 1e-16
DECAY = compute_decay(1.0, CORRELATION_HALF_LIFE_HOURS)

Product = tuple[float, float, float]  # of both, of the first and of the second with itself


@dataclass(slots=True)
class Running:
    """One pair. ``products`` are of the hours up to ``end``, oldest first, None where one of the
    two is unknown; the sums weigh the newest 1."""

    end: int = -1
    versions: tuple[int, int] = (-1, -1)
    products: deque[Product | None] = field(default_factory=deque)
    both: float = 0.0
    one: float = 0.0
    other: float = 0.0
    count: int = 0

    def follow(self, first: HourSeries, second: HourSeries) -> float | None:
        """The correlation of two series as they are now; None with too few common hours."""
        end = min(first.hour, second.hour)
        kept = max(RETURNS_HOURS - abs(first.hour - second.hour), 0)
        versions = (first.version, second.version)
        next_one = end == self.end + 1 and versions == (self.versions[0] + 1, self.versions[1] + 1)
        if next_one and len(self.products) <= kept and end % ANEW_EVERY_H:
            self._step(_product(first.return_at(end), second.return_at(end)), kept)
        elif end != self.end or versions != self.versions:
            self._sum(first, second, end, kept)
        self.end, self.versions = end, versions
        if self.one < _NOTHING or self.other < _NOTHING:
            self._sum(first, second, end, kept)
        if self.count < CORRELATION_HOURS_MIN:
            return None
        scale = sqrt(self.one * self.other)
        return min(max(self.both / scale, -1.0), 1.0) if scale > 0.0 else 0.0

    def _step(self, come: Product | None, kept: int) -> None:
        gone = self.products.popleft() if len(self.products) == kept else None
        self.products.append(come)
        if gone is not None:
            weight = DECAY ** (kept - 1)
            self.both -= weight * gone[0]
            self.one -= weight * gone[1]
            self.other -= weight * gone[2]
            self.count -= 1
        self.both, self.one, self.other = self.both * DECAY, self.one * DECAY, self.other * DECAY
        if come is not None:
            self.both += come[0]
            self.one += come[1]
            self.other += come[2]
            self.count += 1

    def _sum(self, first: HourSeries, second: HourSeries, end: int, kept: int) -> None:
        one, other = (
            series.list_returns(RETURNS_HOURS + series.hour - end) for series in (first, second)
        )
        one, other = (
            known[: len(known) - (series.hour - end)]
            for known, series in ((one, first), (other, second))
        )
        count = min(len(one), len(other), kept)
        self.products.clear()
        self.both = self.one = self.other = 0.0
        self.count = 0
        for ours, theirs in zip(one[len(one) - count :], other[len(other) - count :], strict=True):
            self._step(_product(ours, theirs), kept)


def _product(one: float | None, other: float | None) -> Product | None:
    if one is None or other is None:
        return None
    return one * other, one * one, other * other


@dataclass(slots=True)
class Correlations:
    """All pairs that an engine ever asked about; ``found`` is what engines look them up in."""

    found: dict[tuple[str, str], Correlation] = field(default_factory=dict)
    _running: dict[tuple[str, str], Running] = field(default_factory=dict)

    def renew(self, state: RiskState) -> None:
        """Bring every pair up to the hour that ``state`` knows."""
        for pair, known in self.found.items():
            first, second = (_hours(name, state) for name in pair)
            versions = (first.version, second.version)
            if known.versions != versions:
                running = self._running.setdefault(pair, Running())
                self.found[pair] = Correlation(versions, running.follow(first, second))


def _hours(name: str, state: RiskState) -> HourSeries:
    return state.basket if name == BASKET else state.prices[name].hours
