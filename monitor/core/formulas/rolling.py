"""Drawdown from the highest equity of a window, flows taken out; and of a plain series. *Pure.*

The running drawdown of ``drawdown.py`` with a peak that forgets. Levels are equities with all
flows since the start taken out, so that the peak of last week can be compared with today's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import fsum, sqrt

import msgspec

from monitor.core.formulas.drawdown import (
    DrawdownMemory,
    Flows,
    follow_drawdown,
    level_of,
    peak_of,
    start_drawdown,
)
from monitor.core.types import EngineNs


def compute_drawdowns(equities: Sequence[float]) -> list[float]:
    """Fall from the running peak at each of them, in ``[0, 1]``; equities > 0, no flows."""
    peak = 0.0
    found = []
    for equity in equities:
        peak = max(peak, equity)
        found.append(1.0 - equity / peak)
    return found


def compute_ulcer_index(equities: Sequence[float]) -> float:
    """Root of the mean squared drawdown: depth and time under water in one number, ``>= 0``.

    Raises:
        ValueError: Without an equity.
    Source: Martin & McCann (1989).
    """
    if not equities:
        raise ValueError("an ulcer index needs equities")
    falls = compute_drawdowns(equities)
    return sqrt(fsum(one * one for one in falls) / len(falls))


class Peaks(msgspec.Struct):
    """Highest levels of the time slots of one window that no later slot surpassed: slots ascend,
    levels fall. O(1) a step on average."""

    slots: list[int] = msgspec.field(default_factory=list)
    levels: list[float] = msgspec.field(default_factory=list)

    def add(self, slot: int, level: float) -> None:
        """A level was reached in ``slot``, which is not before the newest."""
        slots, levels = self.slots, self.levels
        while levels and levels[-1] <= level:
            slots.pop()
            levels.pop()
        if slots and slots[-1] == slot:
            return
        slots.append(slot)
        levels.append(level)

    def lead_with(self, level: float) -> None:
        """``level`` is the highest: forget higher ones, and where none is as high it was reached in
        the newest slot. Rounding is forgiven."""
        slack = 1e-9 * max(abs(level), 1.0)
        newest = self.slots[-1]
        first = sum(one > level + slack for one in self.levels)
        del self.slots[:first], self.levels[:first]
        if not self.levels or self.levels[0] < level - slack:
            self.add(newest, level)

    def drop_before(self, slot: int) -> None:
        """Forget what is older, but not the newest."""
        first = min(bisect_left(self.slots, slot), len(self.slots) - 1)
        if first > 0:
            del self.slots[:first], self.levels[:first]


class Window(msgspec.Struct, frozen=True):
    """How far back a peak counts, and how finely that is forgotten: up to one slot longer."""

    length_ns: int
    slot_ns: int


class RollingMemory(msgspec.Struct):
    """What one window of one subject remembers."""

    drawdown: DrawdownMemory
    peaks: Peaks = msgspec.field(default_factory=Peaks)

    def copy(self) -> RollingMemory:
        """Another of the same, to follow what may not be remembered."""
        peaks = Peaks(list(self.peaks.slots), list(self.peaks.levels))
        return RollingMemory(self.drawdown, peaks)


def follow_rolling(
    memory: RollingMemory | None,
    equity_usd: float,
    flows: Flows,
    *,
    exposed: bool,
    now: EngineNs,
    settling_ns: int,
    window: Window,
) -> tuple[RollingMemory, float]:
    """What to remember from now on, and the fall from the window's highest equity, in ``[0, 1]``.

    The memory handed in is changed and handed back.
    """
    if memory is None:
        memory = RollingMemory(start_drawdown(equity_usd, flows))
    known, peaks = memory.drawdown, memory.peaks
    peaks.drop_before((now - window.length_ns) // window.slot_ns)
    if peaks.levels:
        peak = peak_of(known, peaks.levels[0])
        known = msgspec.structs.replace(known, peak_usd=min(peak, known.peak_usd))
    known, drawdown = follow_drawdown(
        known,
        equity_usd,
        flows,
        exposed=exposed,
        now=now,
        settling_ns=settling_ns,
    )
    ratio = 0.0 if known.ratio is None else known.ratio
    peaks.add(now // window.slot_ns, level_of(known, known.peak_usd * (1.0 - ratio)))
    memory.drawdown = known
    return memory, drawdown
