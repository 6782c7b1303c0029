"""How unusual a market's funding is for itself: a sliding window over its settlements.

The numbers follow from the risk state alone; what is kept between calls only spares work. *Pure.*
"""

from __future__ import annotations

from typing import NamedTuple

from monitor.core.formulas.funding_stress import (
    ANCHORS,
    CHANGE_HOURS,
    FLIP_HOURS,
    KNOWN_HOURS_MIN,
    WINDOW_HOURS,
    RobustWindow,
    robust_z,
)
from monitor.core.state.facts import PRESENT, Lack, Why
from monitor.core.state.funding import FundingSeries
from monitor.core.state.funding_past import Scores


class _Base(NamedTuple):
    """Windows that end with the newest settlement."""

    revision: int
    carry: int
    newest: int
    sizes: RobustWindow
    changes: RobustWindow


def _size(rate: float | None) -> float | None:
    return None if rate is None else abs(rate)


def _changes(rates: list[float | None]) -> list[float | None]:
    """|change over eight hours| of all but the first eight hours."""
    return [
        None if now is None or before is None else abs(now - before)
        for now, before in zip(rates[CHANGE_HOURS:], rates, strict=False)
    ]


def _windows(series: FundingSeries, last: int, carry: int) -> tuple[RobustWindow, RobustWindow]:
    """Of |rate| and of its change, over the thirty days that end with ``last``."""
    rates = series.hourly(last - WINDOW_HOURS + 1 - CHANGE_HOURS, last, carry)
    sizes = RobustWindow([_size(one) for one in rates[CHANGE_HOURS:]])
    return sizes, RobustWindow(_changes(rates))


def _filling(known: int, what: str) -> Why:
    return Why(f"{known} of {KNOWN_HOURS_MIN} hours of {what} known", Lack.HISTORY)


class MarketWindows:
    """The windows of one market, brought along from hour to hour."""

    __slots__ = ("_asked", "_base", "_scores")

    def __init__(self) -> None:
        self._base: _Base | None = None
        self._asked: tuple[int, int, int, int, float | None] | None = None
        self._scores: Scores | Why = PRESENT

    def scores(
        self, series: FundingSeries, hour: int, carry: int, floor: float = ANCHORS.scale_floor
    ) -> Scores | Why:
        """The scores as of ``hour``, or why there are none."""
        last = series.rates[-1] if series.rates else None
        asked = (hour, series.newest, series.revision, carry, last)
        if asked != self._asked:
            self._asked, self._scores = asked, self._find(series, hour, carry, floor)
        return self._scores

    def _find(self, series: FundingSeries, hour: int, carry: int, floor: float) -> Scores | Why:
        if not series.rates:
            return Why("no settlement was told", Lack.HISTORY)
        hour = max(hour, series.newest)
        if hour - series.newest > carry:
            return Why("the newest settlement is too old")
        base = self._brought_along(series, carry)
        sizes, changes = base.sizes, base.changes
        first = hour - FLIP_HOURS
        rates = series.hourly(first, hour, carry)
        if hour > series.newest:
            later = rates[series.newest - first + 1 :]
            sizes = sizes.extended([_size(one) for one in later])
            changes = changes.extended(_changes(rates)[-len(later) :])
        spread, moved = sizes.spread(), changes.spread()
        if spread is None:
            return _filling(sizes.known, "funding")
        if moved is None:
            return _filling(changes.known, "funding changes")
        rate, eight = rates[-1], rates[-1 - CHANGE_HOURS]
        if rate is None or eight is None:
            return Why("funding of eight hours ago is not known", Lack.HISTORY)
        return Scores(
            rate,
            rates[0],
            robust_z(abs(rate), *spread, floor),
            robust_z(abs(rate - eight), *moved, floor),
            series.newest,
        )

    def _brought_along(self, series: FundingSeries, carry: int) -> _Base:
        """Windows up to the newest settlement; made anew where the past has changed."""
        base, newest = self._base, series.newest
        stale = base is None or base.revision != series.revision or base.carry != carry
        if base is None or stale or not 0 <= newest - base.newest <= FLIP_HOURS:
            sizes, changes = _windows(series, newest, carry)
        else:
            sizes, changes = base.sizes, base.changes
            rates = series.hourly(base.newest + 1 - CHANGE_HOURS, newest, carry)
            for size, change in zip(rates[CHANGE_HOURS:], _changes(rates), strict=True):
                sizes.push(_size(size))
                changes.push(change)
        self._base = _Base(series.revision, carry, newest, sizes, changes)
        return self._base


def scores_of_past(
    series: FundingSeries, first: int, last: int, carry: int, floor: float = ANCHORS.scale_floor
) -> list[Scores | None]:
    """The scores of each past hour ``first`` to ``last``, None where they are not known."""
    sizes, changes = _windows(series, first - 1, carry)
    rates = series.hourly(first - FLIP_HOURS, last, carry)
    moves = _changes(rates)
    found: list[Scores | None] = []
    for place in range(last - first + 1):
        rate, change = rates[place + FLIP_HOURS], moves[place + FLIP_HOURS - CHANGE_HOURS]
        sizes.push(_size(rate))
        changes.push(change)
        spread, moved = sizes.spread(), changes.spread()
        if rate is None or change is None or spread is None or moved is None:
            found.append(None)
            continue
        found.append(
            Scores(
                rate,
                rates[place],
                robust_z(abs(rate), *spread, floor),
                robust_z(change, *moved, floor),
                first + place,
            ),
        )
    return found
