"""The index over six years of real settlements: what the sheet says history shows, from our own
formulas. Twelve assets of one venue, hour by hour, the removed windows as gaps."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from math import exp, log, sqrt
from statistics import fmean
from typing import NamedTuple

import pytest

from monitor.backtest.basket import Basket
from monitor.backtest.statistics import Span, find_falls, time_state
from monitor.core.formulas.funding_stress import (
    CHANGE_HOURS,
    FLIP_HOURS,
    MarketFunding,
    RobustWindow,
    combine_venues,
    compute_stress_parts,
    compute_stress_points,
    robust_z,
)
from monitor.core.state.funding import FundingSeries
from tests.shared_data import shared_data

ASSETS = ("BTC", "ETH", "BNB", "ADA", "AVAX", "SOL", "DOGE", "XRP", "ATOM", "DOT", "LINK", "LTC")
CARRY_HOURS = 8


def hour(day: str) -> int:
    """Hours since 1970 at the beginning of a day."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) // 3600


FIRST, BEGIN, END = hour("2020-01-01"), hour("2020-04-15"), hour("2026-01-15")
REMOVED = ((hour("2022-05-01"), hour("2022-07-01")), (hour("2024-07-15"), hour("2024-09-15")))


def is_removed(at: int) -> bool:
    """Whether the recording leaves this hour out."""
    return any(first <= at < end for first, end in REMOVED)


class Bin(NamedTuple):
    """What the sheet's strict columns say of one band of the index."""

    low: float
    hours: int
    crash: float
    volatility: float


SHEET = (
    Bin(0, 33_214, 0.019, 0.64),
    Bin(1, 6_900, 0.033, 0.71),
    Bin(10, 1_985, 0.047, 0.83),
    Bin(30, 1_905, 0.035, 0.86),
    Bin(50, 1_818, 0.046, 0.98),
    Bin(60, 787, 0.061, 0.91),
    Bin(80, 369, 0.081, 1.15),
)


class Played(NamedTuple):
    """Every hour's index, and for each band of ``SHEET`` hours, crash odds and volatility ahead."""

    index: dict[int, float]
    returns: dict[int, float]
    unknown: int
    bins: tuple[Bin, ...]


def rows(path: str) -> Iterator[dict[str, str]]:
    """Of a recorded table."""
    with gzip.open(shared_data(path), "rt") as file:
        yield from csv.DictReader(file)


def settled() -> dict[str, FundingSeries]:
    """Settlements as fractions per hour; the interval is the row's own."""
    told: dict[str, dict[int, float]] = {asset: {} for asset in ASSETS}
    for row in rows("history/funding/binance.csv.gz"):
        if row["asset"] in told:
            rate = float(row["rate"]) / float(row["interval_h"])
            told[row["asset"]][int(row["ts"]) // 3600] = rate
    made = {}
    for asset, rates in told.items():
        first, last = min(rates), max(rates)
        values = [rates.get(at) for at in range(first, last + 1)]
        made[asset] = FundingSeries(newest=last, rates=values)
    return made


def market_hours(series: FundingSeries) -> list[MarketFunding | None]:
    """One market hour by hour, as the index sees it; None while it is not known or warming."""
    carried = series.hourly(FIRST, END - 1, CARRY_HOURS)
    rates = [None if is_removed(FIRST + place) else rate for place, rate in enumerate(carried)]
    sizes, changes = RobustWindow(), RobustWindow()
    found: list[MarketFunding | None] = []
    for place, rate in enumerate(rates):
        before = rates[place - CHANGE_HOURS] if place >= CHANGE_HOURS else None
        change = None if rate is None or before is None else abs(rate - before)
        sizes.push(None if rate is None else abs(rate))
        changes.push(change)
        spread, moved = sizes.spread(), changes.spread()
        if rate is None or change is None or spread is None or moved is None:
            found.append(None)
            continue
        day_ago = rates[place - FLIP_HOURS] if place >= FLIP_HOURS else None
        z, change_z = robust_z(abs(rate), *spread), robust_z(change, *moved)
        found.append(MarketFunding(rate, day_ago, z, change_z, 1.0))
    return found


def basket_returns() -> dict[int, float]:
    """Mean log return of the assets whose price is known now and an hour ago."""
    closes: dict[str, dict[int, float]] = {}
    for asset in ASSETS:
        closes[asset] = {
            int(row["ts"]) // 3600: log(float(row["close"]))
            for row in rows(f"history/prices/{asset}_1h.csv.gz")
        }
    found = {}
    for at in range(FIRST, END):
        moves = [
            prices[at] - prices[at - 1]
            for prices in closes.values()
            if at in prices and at - 1 in prices
        ]
        if moves:
            found[at] = fmean(moves)
    return found


def ahead(returns: dict[int, float]) -> dict[int, tuple[bool, float | None]]:
    """Of each hour: whether the basket falls 10 % at some time of the next day, and how volatile
    it is then."""
    level, total = {}, 0.0
    for at in sorted(returns):
        total += returns[at]
        level[at] = total
    found = {}
    for at, now in level.items():
        next_day = [one for one in range(at + 1, at + 25) if one in returns]
        if next_day:
            fall = exp(min(level[one] for one in next_day) - now) - 1.0
            squares = [returns[one] ** 2 for one in next_day]
            whole = len(next_day) == 24
            found[at] = (fall <= -0.10, sqrt(365.0 * sum(squares)) if whole else None)
    return found


@pytest.fixture(scope="module")
def played() -> Played:
    """All of it, once."""
    markets = [market_hours(series) for series in settled().values()]
    returns = basket_returns()
    future = ahead(returns)
    index, unknown = {}, 0
    for at in range(BEGIN, END):
        if is_removed(at):
            continue
        known = [one for hours in markets if (one := hours[at - FIRST]) is not None]
        parts = compute_stress_parts([combine_venues([one]) for one in known])
        if parts is None:
            unknown += 1
        else:
            index[at] = round(compute_stress_points(parts).total, 9)
    bins = []
    edges = [*(one.low for one in SHEET), 101.0]
    for low, high in pairwise(edges):
        hours = [at for at, value in index.items() if low <= value < high]
        crashes = [future[at][0] for at in hours if at in future]
        wild = [future[at][1] for at in hours if at in future]
        bins.append(
            Bin(low, len(hours), fmean(crashes), fmean(one for one in wild if one is not None))
        )
    return Played(index, returns, unknown, tuple(bins))


def test_as_many_hours_as_the_sheet(played: Played) -> None:
    """47 472 in all, and twice 247 of warm-up after the removed windows: 240 known changes over
    eight hours."""
    assert len(played.index) + played.unknown == 47_472
    assert played.unknown == 494 == 2 * (240 + 8 - 1)
    assert sum(one.hours for one in SHEET) == len(played.index)


@pytest.mark.xfail(strict=True, reason="no reading of the sheet was found that gives its bands")
def test_bands_are_those_of_the_sheet(played: Played) -> None:
    """What is asked for: hours of each band within 1 %, odds of a crash within 0.3 points.

    Ours: hours up to 8.8 % off (band 1-10), odds 0.6 points in the band from 80. Tried one by one,
    and 2,808 together, against the strict columns and those of the running MAD:

    - who counts: any 7 to 13 of these twelve and UNI; with ARB and POL, with all; only assets with
      a price then, before or after the windows; one or two left out in any set of half-years;
      assets that are still warming in level, breadth and flips; a fixed denominator; zeros as
      missing; means over the venues of an asset;
    - z: floor on the MAD, added to it, of 1e-6 to 1e-5, other constants, no clip; change of signed
      rates, of sizes, over 1 to 24 hours; lower, upper and mean for even medians;
    - flips: no floor, on the rate before, on both, either, their mean or difference; zeros as
      positive, negative or no sign; sign carried over small rates; over 8 to 48 hours;
    - rates rounded or some settled an hour late; other thresholds of breadth, other years.

    The nearest: flips with a floor of 1.25e-6, or whose sign is carried over rates below the floor.
    Either puts the two lowest bands within 0.8 %; above they stay as they are, 6.2 % and 0.6
    points off. The sheet says neither, so neither was taken. What it says of single days, of leads
    and of the years since 2023 comes out (below), and so do the hours that crashed in each band
    from 10 upwards, within four.
    """
    for ours, sheet in zip(played.bins, SHEET, strict=True):
        assert ours.hours == pytest.approx(sheet.hours, rel=0.01)
        assert ours.crash == pytest.approx(sheet.crash, abs=0.003)


def test_bands_stay_as_near_as_they_came(played: Played) -> None:
    """How near we came to the sheet, so that a change of the formulas is seen; it was not asked
    for, and proves nothing about the sheet. From any band upwards within 6.5 %."""
    for place, sheet in enumerate(SHEET[1:], 1):
        ours = sum(one.hours for one in played.bins[place:])
        theirs = sum(one.hours for one in SHEET[place:])
        assert ours == pytest.approx(theirs, rel=0.065 if sheet.low in {1, 80} else 0.02)
    assert played.bins[0].hours == pytest.approx(SHEET[0].hours, rel=0.022)


@pytest.mark.parametrize("place", range(len(SHEET)), ids=[f"from {one.low}" for one in SHEET])
def test_what_came_after(played: Played, place: int) -> None:
    """Odds of a fall of 10 % within a day: as asked in every band but the highest, where as many
    hours crashed among fewer; volatility ahead as near as it came."""
    ours, theirs = played.bins[place], SHEET[place]
    assert ours.crash == pytest.approx(theirs.crash, abs=0.003 if theirs.low < 80 else 0.006)
    assert ours.volatility == pytest.approx(theirs.volatility, abs=0.025)
    if theirs.low >= 10:
        assert ours.hours * ours.crash == pytest.approx(theirs.hours * theirs.crash, abs=4.5)


@pytest.mark.parametrize(
    ("day", "at_hour", "index"),
    [("2022-11-08", 8, 8), ("2022-11-09", 0, 81), ("2025-10-09", 0, 2), ("2025-10-11", 0, 68)],
    ids=["before FTX", "FTX", "before October 2025", "October 2025"],
)
def test_days_the_sheet_names(played: Played, day: str, at_hour: int, index: int) -> None:
    """8 to 81 within a day in November 2022, 2 to 68 in October 2025."""
    assert round(played.index[hour(day) + at_hour]) == index


def stress_spans(index: dict[int, float]) -> list[Span]:
    """In stress from 60 twice, until 30 or less for 24 hours; places count from ``BEGIN``."""
    spans, begun, high, low = [], None, 0, 0
    for place in range(END - BEGIN):
        value = index.get(BEGIN + place)
        high = high + 1 if value is not None and value >= 60.0 else 0
        low = low + 1 if value is not None and value <= 30.0 else 0
        if begun is None and high >= 2:
            begun = place
        elif begun is not None and low >= 24:
            spans.append(Span(begun, place))
            begun = None
    assert begun is None
    return spans


def test_few_falls_are_led(played: Played) -> None:
    """On for 9 of 55 falls, as the sheet says; 0.32 false episodes a month, where it says 0.31;
    since 2023 active 2.6 % of the time."""
    returns = [played.returns.get(at) for at in range(BEGIN, END)]
    levels, total = [], 0.0
    for one in returns:
        total += one or 0.0
        levels.append(exp(total))
    known = [not is_removed(at) for at in range(BEGIN, END)]
    falls = find_falls(Basket(returns, levels, known))
    spans = stress_spans(played.index)
    timing = time_state(spans, falls, known, 0, END - BEGIN)
    assert (timing.led, timing.falls) == (9, 55)
    assert timing.false_per_month == pytest.approx(0.31, abs=0.015)
    late = time_state(spans, falls, known, hour("2023-01-01") - BEGIN, END - BEGIN)
    assert late.active_ratio == pytest.approx(0.026, abs=0.0005)


def test_stress_is_a_gauge_and_no_forecast(played: Played) -> None:
    """It raises the odds two and a half to three and a half times; most falls begin without it."""
    hours = sum(one.hours for one in played.bins)
    falls = [one.hours * one.crash for one in played.bins]
    base = sum(falls) / hours
    assert base == pytest.approx(0.025, abs=0.002)
    for one in played.bins[5:]:
        assert 2.4 <= one.crash / base <= 3.6
    assert sum(falls[:5]) / sum(falls) > 0.9
