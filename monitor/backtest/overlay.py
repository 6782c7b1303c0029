"""Outages laid over the history: when a venue is dark, and when trading after it is dear.

Read from ``outages/outages.csv``. Where sources differ the longer duration counts; a row without
any duration cannot be laid anywhere and is told in the report.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from monitor.core.errors import ConfigError, Problem

OUTAGES_FILE = "outages/outages.csv"
# The name of our venue where the file names its chain.
_SYSTEMS = {"dydx-chain": "dydx"}
_COLUMNS = ("system", "kind", "start_utc", "duration_min", "duration_hi_min")


@dataclass(slots=True, frozen=True)
class Outage:
    """One venue was dark from ``start_s`` to before ``end_s``, Unix seconds."""

    venue: str
    system: str
    kind: str
    start_s: int
    end_s: int


@dataclass(slots=True, frozen=True)
class Overlay:
    """Outages by venue in order of time, and the rows that could not be used."""

    outages: tuple[Outage, ...] = ()
    unused: tuple[str, ...] = ()

    def dark_until(self, venue: str, at_s: float) -> int | None:
        """When the outage of ``venue`` at ``at_s`` ends; None where it is not dark then."""
        ends = [
            one.end_s
            for one in self.outages
            if one.venue == venue and one.start_s <= at_s < one.end_s
        ]
        return max(ends, default=None)

    def congested(self, venue: str, at_s: float, hours: float) -> bool:
        """Whether ``at_s`` lies within ``hours`` after an outage of ``venue`` ended."""
        return any(
            one.venue == venue and one.end_s <= at_s < one.end_s + hours * 3600.0
            for one in self.outages
        )

    def between(self, start_s: int, end_s: int) -> tuple[Outage, ...]:
        """Outages that touch ``[start_s, end_s)``."""
        return tuple(one for one in self.outages if one.start_s < end_s and one.end_s > start_s)


NO_OUTAGES = Overlay()


def read_overlay(folder: Path, depends_on: Mapping[str, Sequence[str]]) -> Overlay:
    """Outages of the venues in ``depends_on`` (venue: systems it stands on, itself included).

    Raises:
        ConfigError: With the line and field of every mistake.
    """
    path = folder / OUTAGES_FILE
    problems: list[Problem] = []
    outages: list[Outage] = []
    unused: list[str] = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The outages at {path} cannot be read: {reason}.") from error
    reader = csv.DictReader(text.splitlines())
    for name in _COLUMNS:
        if name not in (reader.fieldnames or ()):
            raise ConfigError(
                [Problem(where=f"{path}:1", field=name, message="this column is missing.")]
            )
    for row in reader:
        where = f"{path}:{reader.line_num}"
        system = row["system"] or ""
        venues = [
            venue
            for venue, systems in depends_on.items()
            if system in systems or _SYSTEMS.get(system, system) == venue
        ]
        start = _start(row["start_utc"] or "", where, problems)
        minutes = _minutes(row, where, problems)
        if start is None or not venues:
            continue
        if minutes is None:
            unused.append(f"{system} {row['start_utc']} ({row['kind']})")
            continue
        outages += [
            Outage(venue, system, row["kind"] or "", start, start + minutes * 60)
            for venue in venues
        ]
    if problems:
        raise ConfigError(problems)
    return Overlay(tuple(sorted(outages, key=lambda one: (one.start_s, one.venue))), tuple(unused))


def _start(text: str, where: str, problems: list[Problem]) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        problems.append(
            Problem(
                where=where,
                field="start_utc",
                message="must be a time with its zone, such as 2025-07-29T14:10:00Z.",
                found=repr(text),
            )
        )
        return None
    return round(moment.timestamp())


def _minutes(row: Mapping[str, str | None], where: str, problems: list[Problem]) -> int | None:
    found: list[int] = []
    for name in ("duration_min", "duration_hi_min"):
        text = row[name] or ""
        if text.isdigit():
            found.append(int(text))
        elif text:
            problems.append(
                Problem(where=where, field=name, message="must be whole minutes.", found=repr(text))
            )
    return max(found, default=None)
