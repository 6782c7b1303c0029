"""Reading recorded files: gaps, regimes, bounds, and mistakes with file, line and field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.backtest.history import HOUR_S, HYPERLIQUID_FROM_S, Settlement
from monitor.core.errors import ConfigError
from tests.backtest.past import (
    START_S,
    every_8h,
    gz,
    read,
    small_past,
    write_funding,
    write_prices,
)


def test_a_candle_stands_at_its_close(tmp_path: Path) -> None:
    """The bar that opens at 23:00 is known at midnight, not before."""
    small_past(tmp_path, 3, price=lambda hour: 100.0 + hour)
    history = read(tmp_path)
    assert history.start_s == START_S
    assert history.closes["AAA"] == [100.0, 101.0, 102.0]


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    """What no row says is None in prices and in funding."""
    write_prices(tmp_path, "AAA", [100.0, None, None, 106.0])
    write_funding(tmp_path, [(0, "AAA", 8, 0.0001), (3, "AAA", 2, -0.02)])
    history = read(tmp_path)
    assert history.closes["AAA"] == [100.0, None, None, 106.0]
    assert history.settlements["binance", "AAA"] == [
        Settlement(0.0001, 8),
        None,
        None,
        Settlement(-0.02, 2),
    ]


def test_a_shrinking_interval_is_a_steeper_rate() -> None:
    """Minus two percent for two hours is four times minus two percent for eight."""
    assert Settlement(-0.02, 2).hourly == pytest.approx(-0.01)
    assert Settlement(-0.02, 8).hourly == pytest.approx(-0.0025)


def test_the_old_regime_of_hyperliquid_is_left_out(tmp_path: Path) -> None:
    """Rows before 2023-07-15 03:00 are dropped and counted, the row on the hour is kept."""
    write_prices(tmp_path, "AAA", [100.0, 101.0])
    write_funding(tmp_path, every_8h(2, "AAA", 0.0001))
    times = (HYPERLIQUID_FROM_S - HOUR_S, HYPERLIQUID_FROM_S, START_S)
    lines = [f"{at},AAA,0.00001" for at in times]
    gz(tmp_path / "funding" / "hyperliquid_1h.csv.gz", ["ts,asset,rate", *lines])
    history = read(tmp_path, "hyperliquid")
    assert sum(one is not None for one in history.settlements["hyperliquid", "AAA"]) == 2
    assert list(history.dropped.values()) == [1]


def test_from_and_to_bound_the_grid(tmp_path: Path) -> None:
    """``from`` is in, ``to`` is out."""
    small_past(tmp_path, 48)
    history = read(tmp_path, from_s=START_S + 10 * HOUR_S, until_s=START_S + 20 * HOUR_S)
    assert history.start_s == START_S + 10 * HOUR_S
    assert history.hours == 10
    with pytest.raises(ConfigError, match="less than two hours"):
        read(tmp_path, from_s=START_S + 47 * HOUR_S, until_s=START_S + 48 * HOUR_S)


def _prices(*rows: str) -> Callable[[Path], None]:
    lines = ["ts,open,high,low,close,volume,src", *rows]
    return lambda folder: gz(folder / "prices" / "BAD_1h.csv.gz", lines)


def _funding(*rows: str) -> Callable[[Path], None]:
    lines = ["ts,asset,interval_h,rate", *rows]
    return lambda folder: gz(folder / "funding" / "binance.csv.gz", lines)


def _cut_short(folder: Path) -> None:
    path = folder / "prices" / "AAA_1h.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])


GOOD = f"{START_S},1,1,1,100,1,1"
MISTAKES = {
    "a price of zero": (_prices(GOOD, f"{START_S + HOUR_S},1,1,1,0,1,1"), "BAD_1h", 3, "close"),
    "a price that is none": (_prices(f"{START_S},1,1,1,nan,1,1"), "BAD_1h", 2, "close"),
    "words for a price": (_prices(f"{START_S},1,1,1,cheap,1,1"), "BAD_1h", 2, "close"),
    "a time off the hour": (_prices(f"{START_S + 7},1,1,1,100,1,1"), "BAD_1h", 2, "ts"),
    "an hour twice": (_prices(GOOD, GOOD.replace(",100,", ",101,")), "BAD_1h", 3, "ts"),
    "a short row": (_prices(GOOD, "1,2"), "BAD_1h", 3, "-"),
    "a rate that is none": (_funding(f"{START_S},AAA,8,inf"), "binance", 2, "rate"),
    "an interval of zero": (_funding(f"{START_S},AAA,0,0.1"), "binance", 2, "interval_h"),
    "half an hour": (_funding(f"{START_S},AAA,0.5,0.1"), "binance", 2, "interval_h"),
    "a missing column": (
        lambda folder: gz(folder / "prices" / "BAD_1h.csv.gz", ["ts,open"]),
        "BAD_1h",
        1,
        "close",
    ),
    "a file cut short": (_cut_short, "AAA_1h", 1, "-"),
    "no funding file": (
        lambda folder: (folder / "funding" / "binance.csv.gz").unlink(),
        "binance",
        1,
        "-",
    ),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_name_file_line_and_field(
    tmp_path: Path, case: tuple[Callable[[Path], None], str, int, str]
) -> None:
    """Each is told where it stands."""
    spoil, name, line, column = case
    small_past(tmp_path, 4)
    spoil(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    problem = caught.value.problems[0]
    assert f"{name}" in problem.where
    assert problem.where.endswith(f".csv.gz:{line}")
    assert problem.field == column


def test_a_folder_without_prices(tmp_path: Path) -> None:
    """Says what it looked for."""
    with pytest.raises(ConfigError, match=r"prices/<ASSET>_1h\.csv\.gz"):
        read(tmp_path)


def test_many_mistakes_end_after_twenty(tmp_path: Path) -> None:
    """A wrong file is not told line by line for ever."""
    small_past(tmp_path, 4)
    _prices(*["x,1,1,1,1,1,1"] * 100)(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    assert len(caught.value.problems) == 20
