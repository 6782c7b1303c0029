"""A small recorded past for tests, in the layout of the history folder."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from monitor.backtest.history import HOUR_S, History, Settlement, read_history

# 2024-01-01 00:00 UTC, a Monday.
START_S = 1_704_067_200


def gz(path: Path, lines: Sequence[str]) -> None:
    """A gzipped CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as text:
        text.write("\n".join(lines) + "\n")


def write_prices(folder: Path, asset: str, closes: Sequence[float | None]) -> None:
    """Bars whose closes fall on ``START_S``, an hour later, …; None leaves the row out."""
    rows = ["ts,open,high,low,close,volume,src"]
    for hour, close in enumerate(closes):
        if close is not None:
            opened = START_S + (hour - 1) * HOUR_S
            rows.append(f"{opened},{close},{close},{close},{close},1,1")
    gz(folder / "prices" / f"{asset}_1h.csv.gz", rows)


def write_funding(
    folder: Path, rows: Sequence[tuple[int, str, int, float]], *, venue: str = "binance"
) -> None:
    """(hour, asset, interval, rate) of each settlement."""
    if venue == "hyperliquid":
        lines = ["ts,asset,rate"]
        lines += [f"{START_S + hour * HOUR_S},{asset},{rate}" for hour, asset, _, rate in rows]
        gz(folder / "funding" / "hyperliquid_1h.csv.gz", lines)
        return
    lines = ["ts,asset,interval_h,rate"]
    lines += [
        f"{START_S + hour * HOUR_S},{asset},{interval},{rate}"
        for hour, asset, interval, rate in rows
    ]
    gz(folder / "funding" / f"{venue}.csv.gz", lines)


def every_8h(
    hours: int, asset: str, rate: Callable[[int], float] | float
) -> list[tuple[int, str, int, float]]:
    """Settlements at 0, 8, 16, … hours."""
    return [(hour, asset, 8, rate(hour) if callable(rate) else rate) for hour in range(0, hours, 8)]


def small_past(
    folder: Path,
    hours: int,
    *,
    rate: Callable[[int], float] | float = 0.0001,
    price: Callable[[int], float | None] = lambda hour: 100.0 + hour % 7,
    assets: Sequence[str] = ("AAA", "BBB"),
) -> Path:
    """Assets that move together, with funding on Binance."""
    for asset in assets:
        write_prices(folder, asset, [price(hour) for hour in range(hours)])
    write_funding(folder, [row for asset in assets for row in every_8h(hours, asset, rate)])
    return folder


def in_memory(
    closes: Mapping[str, Sequence[float | None]],
    settlements: Mapping[tuple[str, str], Mapping[int, Settlement]],
) -> History:
    """A history without files."""
    hours = max(len(series) for series in closes.values())
    return History(
        start_s=START_S,
        hours=hours,
        closes={asset: list(series) for asset, series in closes.items()},
        settlements={
            key: [table.get(hour) for hour in range(hours)] for key, table in settlements.items()
        },
        open_interest={},
    )


def read(folder: Path, *venues: str, **bounds: int) -> History:
    """The history as it is read for these venues (Binance where none is named)."""
    return read_history(folder, venues or ("binance",), **bounds)
