"""How far a verb that takes minutes has come: one line on standard error, where a person looks."""

from __future__ import annotations

import sys
import time

BAR_WIDTH = 30


class Bar:
    """Progress on standard error, only where a person looks at it.

    Args:
        unit: What is counted, as the line says it.
        per: How many of what ``at`` is told make one of them.
    """

    def __init__(self, unit: str, *, per: int = 1) -> None:
        self._shown = sys.stderr.isatty()
        self._unit, self._per = unit, per
        self._last = -1
        self._began_s: float | None = None

    def say(self, text: str) -> None:
        """A line that the next one replaces."""
        if self._shown:
            self._draw(f"{text} …")

    def at(self, done: int, whole: int) -> None:
        """How much is behind us, and about how long the rest will take."""
        if not self._shown or not 0 <= done <= whole or whole == 0:
            return
        percent = 100 * done // whole
        if percent != self._last:
            self._last = percent
            now_s = time.monotonic()
            self._began_s = now_s if self._began_s is None else self._began_s
            full = BAR_WIDTH * done // whole
            line = "█" * full + "░" * (BAR_WIDTH - full)
            left = time_left(now_s - self._began_s, done, whole)
            of = f"{done // self._per:,} of {whole // self._per:,} {self._unit}"
            self._draw(f"{line} {percent:3d} %  {of}{left}")

    def end(self) -> None:
        """Leave a clean line; the bar comes back with the next ``at``."""
        if self._shown:
            self._last = -1
            self._draw("")

    def _draw(self, text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def time_left(taken_s: float, done: int, whole: int) -> str:
    """In words, from the pace so far; empty before it is known and when nothing is left."""
    if not 0 < done < whole or taken_s < 1.0:
        return ""
    left_s = taken_s * (whole - done) / done
    if left_s >= 90.0:
        return f", about {left_s / 60.0:.0f} min left"
    return f", about {max(left_s, 1.0):.0f} s left"
