"""What is remembered of the desk's structure: trails of legs, weights, profits and signs by the
hour, reviews. *Pure.*"""

from __future__ import annotations

import msgspec

from monitor.core.events import BucketReview
from monitor.core.types import EngineNs, FillKind

HOURS_KEPT = 720  # thirty days
SIGNAL_HOURS = 4  # three changes


class ForcedFill(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A fill that was no order of ours: when it was told, when it happened, why."""

    told_ns: EngineNs
    time_ns: int
    kind: FillKind


class GoneLeg(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A leg that is closed: its signed size before, as of when that was last stated, and when it
    was first told to be nothing."""

    size: float
    held_ns: EngineNs
    told_ns: EngineNs


class LegTrail(msgspec.Struct):
    """One leg: our own fills of the last hour and forced ones of the last day by their ids, and
    how it was closed, None while it is held or was never seen."""

    own: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict)
    forced: dict[str, ForcedFill] = msgspec.field(default_factory=dict)
    gone: GoneLeg | None = None


class HourlyLevels(msgspec.Struct):
    """A level at the beginning of each hour (hours since 1970), oldest first; hours at which it
    was not known are left out. Thirty days."""

    levels: dict[int, float] = msgspec.field(default_factory=dict)

    def note(self, hour: int, level: float) -> None:
        """The level as ``hour`` began; the first word counts."""
        if hour in self.levels:
            return
        self.levels[hour] = level
        for old in [one for one in self.levels if one < hour - HOURS_KEPT]:
            del self.levels[old]

    def changes(self) -> dict[int, float]:
        """By how much it changed within each hour both ends of which are known."""
        return {
            hour: self.levels[hour + 1] - level
            for hour, level in self.levels.items()
            if hour + 1 in self.levels
        }


class SignalHours(msgspec.Struct):
    """Samples of an asset's signs as hours begin: by the hour since 1970, of each sign by its
    number. As many hours as it takes to see three changes, and one to come."""

    hours: dict[int, dict[int, float]] = msgspec.field(default_factory=dict)

    def has(self, hour: int, number: int) -> bool:
        """Whether the sign was sampled in that hour."""
        return number in self.hours.get(hour, ())

    def note(self, hour: int, number: int, level: float) -> None:
        """A sample; what is too old is forgotten."""
        self.hours.setdefault(hour, {})[number] = level
        for old in [one for one in self.hours if one < hour - SIGNAL_HOURS]:
            del self.hours[old]

    def last(self, hour: int, number: int) -> list[float] | None:
        """The sign's last four samples up to ``hour``, oldest first; None where one is missing."""
        found = [
            self.hours[at][number]
            for at in range(hour - SIGNAL_HOURS + 1, hour + 1)
            if self.has(at, number)
        ]
        return found if len(found) == SIGNAL_HOURS else None


class StructureMemory(msgspec.Struct):
    """``leg_sets``: by ``venue/market``, whose account (alias) is a leg of which set; ``legs``:
    trails by position; ``profits`` by strategy and ``weights`` by bucket; ``held``: what the
    strategies of assets held as the hour began, as (size, price) by position; ``reviews`` by
    bucket; ``signals`` by asset held."""

    leg_sets: dict[str, list[tuple[str, str]]] = msgspec.field(default_factory=dict)
    legs: dict[str, LegTrail] = msgspec.field(default_factory=dict)
    profits: dict[str, HourlyLevels] = msgspec.field(default_factory=dict)
    weights: dict[str, HourlyLevels] = msgspec.field(default_factory=dict)
    held: dict[str, dict[str, tuple[float, float]]] = msgspec.field(default_factory=dict)
    reviews: dict[str, BucketReview] = msgspec.field(default_factory=dict)
    signals: dict[str, SignalHours] = msgspec.field(default_factory=dict)
