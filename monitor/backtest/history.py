"""Recorded history on an hourly grid, read from CSV files and checked line by line.

A gap stays a gap: what no row says is None, nothing is interpolated. Times are Unix seconds, UTC;
a candle stands at its *close*, a settlement at its own hour. Rates are fractions per interval, > 0
means longs pay shorts; open interest is in base units.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TextIO

from monitor.core.errors import ConfigError, Problem

HOUR_S = 3600
# Rows of Hyperliquid before this instant (2023-07-15 03:00 UTC) are another funding regime.
HYPERLIQUID_FROM_S = 1_689_390_000
PRICES = "prices"
# Venue: its file under funding/ and hours per interval (0: each row says it).
FUNDING_FILES: dict[str, tuple[str, int]] = {
    "binance": ("funding/binance.csv.gz", 0),
    "bybit": ("funding/bybit.csv.gz", 0),
    "dydx": ("funding/dydx_v3_1h.csv.gz", 1),
    "hyperliquid": ("funding/hyperliquid_1h.csv.gz", 1),
    "kraken": ("funding/kraken_lighter_1h.csv.gz", 1),
    "lighter": ("funding/kraken_lighter_1h.csv.gz", 1),
}
OPEN_INTEREST_FILE = "oi/bybit_2h.csv.gz"
PROBLEMS_MAX = 20
# What stands before the first hour and can still matter: percentiles look back 180 days.
PAST_H = 183 * 24


@dataclass(slots=True, frozen=True)
class Settlement:
    """One funding settlement: signed fraction charged for an interval of so many hours."""

    rate: float
    interval_h: int

    @property
    def hourly(self) -> float:
        """Signed fraction per hour; > 0: longs pay."""
        return self.rate / self.interval_h


@dataclass(slots=True)
class History:
    """Everything on one hourly grid from ``start_s`` on; index ``i`` is ``start_s + i`` hours.

    ``closes`` by asset, ``settlements`` by (venue, asset), ``open_interest`` by asset. ``rows`` and
    ``dropped`` count what was read and what was left out, by file, for the report. ``before`` is
    what stands in front of the first hour, as a starting daemon would read it from its venues.
    """

    start_s: int
    hours: int
    closes: dict[str, list[float | None]]
    settlements: dict[tuple[str, str], list[Settlement | None]]
    open_interest: dict[str, list[float | None]]
    rows: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    before: History | None = None

    def time_s(self, index: int) -> int:
        """Unix seconds of a grid index."""
        return self.start_s + index * HOUR_S

    @property
    def assets(self) -> tuple[str, ...]:
        """Assets with prices, in name order."""
        return tuple(sorted(self.closes))


Row = tuple[int, list[str]]


class _Mistakes:
    """Collects problems with file, line and field; at most a screenful."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, path: Path, line: int, name: str, message: str, found: str | None = None) -> None:
        self.found.append(Problem(where=f"{path}:{line}", field=name, message=message, found=found))
        if len(self.found) >= PROBLEMS_MAX:
            raise ConfigError(self.found)

    def raise_any(self) -> None:
        if self.found:
            raise ConfigError(self.found)


class _Table:
    """One CSV file (gzipped or plain) whose columns are looked up by name."""

    def __init__(self, path: Path, columns: Sequence[str], mistakes: _Mistakes) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.mistakes = mistakes

    def rows(self) -> Iterator[Row]:
        """(line, the columns asked for) of every row that has them."""
        try:
            with _opened(self.path) as text:
                reader = csv.reader(text)
                header = next(reader, [])
                missing = [name for name in self.columns if name not in header]
                if missing:
                    self.mistakes.add(
                        self.path,
                        1,
                        missing[0],
                        "this column is missing.",
                        found=", ".join(header) or "an empty file",
                    )
                    return
                places = [header.index(name) for name in self.columns]
                width = len(header)
                for cells in reader:
                    if len(cells) != width:
                        self.mistakes.add(
                            self.path,
                            reader.line_num,
                            "-",
                            f"has {len(cells)} columns where the header has {width}.",
                        )
                        continue
                    yield reader.line_num, [cells[place] for place in places]
        except (OSError, EOFError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.mistakes.add(self.path, 1, "-", f"cannot be read: {reason}.")

    def hour(self, line: int, text: str) -> int | None:
        """Unix seconds on a full hour, or None with the mistake noted."""
        if text.isdigit() and int(text) % HOUR_S == 0:
            return int(text)
        self.mistakes.add(
            self.path, line, "ts", "must be Unix seconds on a full hour.", found=repr(text)
        )
        return None

    def number(self, line: int, name: str, text: str, *, positive: bool) -> float | None:
        """A finite number, or None with the mistake noted."""
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if isfinite(value) and (value > 0.0 or not positive):
            return value
        what = "a number above zero" if positive else "a finite number"
        self.mistakes.add(self.path, line, name, f"must be {what}.", found=repr(text))
        return None


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


Progress = Callable[[str], None]


def read_history(
    folder: Path,
    venues: Sequence[str],
    *,
    from_s: int | None = None,
    until_s: int | None = None,
    told: Progress = lambda _text: None,
) -> History:
    """Read prices of every asset, funding of ``venues`` and open interest.

    ``from_s`` and ``until_s`` bound the grid (Unix seconds; ``until_s`` is left out).

    Raises:
        ConfigError: With file, line and field of every mistake (the first twenty).
    """
    mistakes = _Mistakes()
    paths = sorted((folder / PRICES).glob("*_1h.csv.gz")) if folder.is_dir() else []
    if not paths:
        mistakes.add(folder, 1, "-", "there are no price files prices/<ASSET>_1h.csv.gz here.")
    mistakes.raise_any()
    rows: dict[str, int] = {}
    dropped: dict[str, int] = {}
    prices = {}
    for path in paths:
        asset = path.name.removesuffix("_1h.csv.gz")
        told(f"reading {path.name}")
        prices[asset] = _prices(path, mistakes)
        rows[f"{PRICES}/{path.name}"] = len(prices[asset])
    funding: dict[tuple[str, str], dict[int, Settlement]] = {}
    for venue in venues:
        told(f"reading funding of {venue}")
        _funding(folder, venue, funding, mistakes, rows, dropped)
    told("reading open interest")
    interest = _open_interest(folder / OPEN_INTEREST_FILE, mistakes, rows)
    mistakes.raise_any()
    assets = set(prices)
    times = [at for table in prices.values() for at in table]
    times += [at for (_, asset), table in funding.items() if asset in assets for at in table]
    start = max(min(times), _up(from_s)) if from_s is not None else min(times)
    end = max(times) + HOUR_S
    if until_s is not None:
        end = min(end, _up(until_s))
    if end - start < 2 * HOUR_S:
        raise ConfigError(f"The history at {folder} holds less than two hours of what was asked.")
    funding = {key: table for key, table in sorted(funding.items()) if key[1] in assets}
    interest = {asset: table for asset, table in sorted(interest.items()) if asset in assets}
    made = _gridded(start, (end - start) // HOUR_S, prices, funding, interest)
    made.rows, made.dropped = rows, dropped
    past_h = min((start - min(times)) // HOUR_S, PAST_H)
    if past_h > 0:
        made.before = _gridded(start - past_h * HOUR_S, past_h, prices, funding, {})
    return made


def _gridded(
    start_s: int,
    hours: int,
    prices: dict[str, dict[int, float]],
    funding: dict[tuple[str, str], dict[int, Settlement]],
    interest: dict[str, dict[int, float]],
) -> History:
    grid = [start_s + index * HOUR_S for index in range(hours)]
    return History(
        start_s=start_s,
        hours=hours,
        closes={asset: [table.get(at) for at in grid] for asset, table in prices.items()},
        settlements={key: [table.get(at) for at in grid] for key, table in funding.items()},
        open_interest={asset: [table.get(at) for at in grid] for asset, table in interest.items()},
    )


def _up(seconds: int) -> int:
    return -(-seconds // HOUR_S) * HOUR_S


def _once(
    table: dict[int, float], at: int, value: float, path: Path, line: int, mistakes: _Mistakes
) -> None:
    if table.get(at, value) != value:
        mistakes.add(path, line, "ts", "this hour stands twice with different values.")
    table[at] = value


def _prices(path: Path, mistakes: _Mistakes) -> dict[int, float]:
    """Close price by the time of the close."""
    table = _Table(path, ("ts", "close"), mistakes)
    found: dict[int, float] = {}
    for line, (ts, close) in table.rows():
        opened = table.hour(line, ts)
        price = table.number(line, "close", close, positive=True)
        if opened is not None and price is not None:
            _once(found, opened + HOUR_S, price, path, line, mistakes)
    return found


def _funding(
    folder: Path,
    venue: str,
    into: dict[tuple[str, str], dict[int, Settlement]],
    mistakes: _Mistakes,
    rows: dict[str, int],
    dropped: dict[str, int],
) -> None:
    name, hours = FUNDING_FILES[venue]
    path = folder / name
    shared = venue in {"kraken", "lighter"}
    columns = ("ts", "asset", "rate", *(() if hours else ("interval_h",)))
    table = _Table(path, (*columns, "venue") if shared else columns, mistakes)
    count = old = 0
    for line, cells in table.rows():
        if shared and cells[-1] != venue:
            continue
        at = table.hour(line, cells[0])
        rate = table.number(line, "rate", cells[2], positive=False)
        interval: float | None = hours
        if not hours:
            interval = table.number(line, "interval_h", cells[3], positive=True)
        if at is None or rate is None or interval is None:
            continue
        if interval != int(interval):
            mistakes.add(path, line, "interval_h", "must be whole hours.", found=repr(cells[3]))
            continue
        if venue == "hyperliquid" and at < HYPERLIQUID_FROM_S:
            old += 1
            continue
        count += 1
        known = into.setdefault((venue, cells[1]), {})
        made = Settlement(rate, int(interval))
        if known.get(at, made) != made:
            mistakes.add(path, line, "ts", "this hour stands twice with different values.")
        known[at] = made
    rows[f"{name} ({venue})"] = count
    if old:
        dropped[f"{name} ({venue}), before 2023-07-15 03:00 UTC"] = old


def _open_interest(
    path: Path, mistakes: _Mistakes, rows: dict[str, int]
) -> dict[str, dict[int, float]]:
    """Base units by asset and time; an absent file is no open interest, which is unknown."""
    found: dict[str, dict[int, float]] = {}
    if not path.exists():
        return found
    table = _Table(path, ("ts", "asset", "oi_base"), mistakes)
    count = 0
    for line, (ts, asset, base) in table.rows():
        at = table.hour(line, ts)
        value = table.number(line, "oi_base", base, positive=False)
        if at is not None and value is not None:
            found.setdefault(asset, {})[at] = value
            count += 1
    rows[OPEN_INTEREST_FILE] = count
    return found
