"""The notation of a measure over time: ``61 61 _x3 29~ =``, one entry per step. *Pure.*"""

from __future__ import annotations

import re

import msgspec

POINTS_MAX = 200_000
_ENTRY = re.compile(
    r"(?P<value>_|=|[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?P<estimated>~?)(?:x(?P<times>\d+))?"
)


class SeriesError(ValueError):
    """An entry that is none; the text says which and what may stand there."""


class Point(msgspec.Struct, frozen=True, gc=False):
    """A value from one step on. None is absent; ``told`` False repeats the value before as fresh
    and not told anew, so that it confirms nothing."""

    value: float | None
    estimated: bool = False
    told: bool = True


class Series(msgspec.Struct, frozen=True):
    """A measure about a subject: one point per step from the beginning, absent after the last."""

    points: tuple[Point, ...]
    told_at: tuple[int, ...]  # for each point the index of the one that was last told

    def at(self, index: int) -> tuple[Point, int] | None:
        """The point of a step and the step at which it was told; None beyond the end."""
        if not 0 <= index < len(self.points):
            return None
        return self.points[index], self.told_at[index]


def parse_series(text: str) -> Series:
    """The series that a text or a single number stands for.

    Raises:
        SeriesError: If an entry cannot be read, nothing stands there, or it is too long.
    """
    points: list[Point] = []
    told_at: list[int] = []
    for entry in text.split():
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise SeriesError(
                f"{entry!r} is no entry: write a number, _ for absent, = for the same value not "
                "told anew, 61~ for an estimate, each with x and how often: 0.4x12"
            )
        times = int(match["times"] or 1)
        if times < 1 or len(points) + times > POINTS_MAX:
            raise SeriesError(f"{entry!r}: a series has 1 to {POINTS_MAX} steps")
        word = match["value"]
        for _ in range(times):
            if word == "=":
                if not points or points[-1].value is None:
                    raise SeriesError(f"{entry!r}: there is no value before it to repeat")
                points.append(Point(points[-1].value, points[-1].estimated, told=False))
                told_at.append(told_at[-1])
            else:
                value = None if word == "_" else float(word)
                points.append(Point(value, bool(match["estimated"]) and value is not None))
                told_at.append(len(points) - 1)
    if not points:
        raise SeriesError("a series needs at least one entry")
    return Series(tuple(points), tuple(told_at))
