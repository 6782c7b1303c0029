"""The index over six years of real settlements: what the sheet says history shows, from our own
formulas. Twelve assets of one venue, hour by hour, the removed windows as gaps.

What differs from the sheet's strict columns, and how far it is known why:

What fixes our reading. From 50 upwards as many hours crash as in the sheet, band by band (83, 48,
30), and with its running MAD as well (74, 46, 41). A window of 719 or 721 hours does not keep that,
nor 1.4 or 1.5 for 1.4826, fixed denominators, one of the twelve assets left out or UNI or ARB in.
The index the sheet names for November 2022 (81) and October 2025 (68) comes from these twelve only:
with UNI it is 76 and 63, with ARB or POL 65 in 2025. What is not known, 494 hours (972 with the
running MAD), comes out to the hour; so do the falls led, 9 of 55 (11), and since 2023 the time in
stress, 2.6 %. False episodes are 21 (22), the sheet's 20 (19).

What is left, so, lies elsewhere. With either MAD we have

- 38 hours too many from 50, none of which crashed. As the MAD does not matter, it is level and
  breadth: full in both and nothing else, 50 to the last digit, are 1,075 hours (running MAD:
  1,025), the sheet's 1,001;
- some 700 too few from 1, of which about 34 crashed, and 100 from 10. Of ours below 1, 3,162 stand
  at 0.67, which is 4 flips of 12; of those 736 are from October 2020 to September 2022, and 33 of
  these crashed.

This looks as if, before 2023, one of the twelve had not counted for a time (4 flips of 11 are 1.3).
Which and when was not found: the nearest is no LTC from May 2021 to November 2022, three bands
within 0.4 % and the others as far off as before.

What single choices do to our hours less the sheet's, band by band from 0 (strict):

    as it stands                              +713 -609  -87  -55  +53   +8  -23
    UNI, too                                  +106  +38 -111  -71  +20  +83  -65
    ARB, too                                  +199 -140  -81  -48  +93  +29  -52
    POL, too                                  +276 -188  -95  -39  +65   +4  -23
    flips from 1.25e-6                         +41  +55  -79  -63  +61   +8  -23
    level, breadth, flips of warming assets   +689 -625  -31  -71  +53   +8  -23
    only assets with a price then             -220 +271 -122  -36  +82   -7  +32
    all denominators 12                       +961 -817  -48  -33  +23  -47  -39
    upper median of changes                   +365 -386  +20  -61  +69  -20  +13
    floor of z 2.5e-6, flips from 1.2e-6       -71  +80 -152  +81  +60  +25  -23

None of them gives both columns; nor do the twelve with up to two left out and any of UNI, ARB and
POL added, nor one such set until the end of a quarter and another after it, nor any 3 to 13 of the
twelve and UNI until the end of a month up to September 2021 and the twelve after it (145,800); nor
up to three of the thirteen left out between any two months before 2023 (187,000). What comes near
in hours breaks the crashes or the named days.

Tried before, one by one and 2,808 together: means over venues; the floor added to the MAD; no clip;
changes over 1 to 24 hours; flips on the rate before, on both, either, their mean, with zeros of
either sign or none, carried over small rates, over 8 to 48 hours; rates rounded or an hour late;
other thresholds of breadth. It may be that some settlements were others when the sheet was made;
the recording cannot tell. No constant was moved to come nearer.
"""

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


BANDS = [f"from {one.low}" for one in SHEET]
MISSED = pytest.mark.xfail(strict=True, reason="no reading gives the sheet's bands: see above")


@MISSED
@pytest.mark.parametrize("place", range(len(SHEET)), ids=BANDS)
def test_hours_of_the_sheet(played: Played, place: int) -> None:
    """What is asked for and not reached: as many hours of each band, within 1 %."""
    assert played.bins[place].hours == pytest.approx(SHEET[place].hours, rel=0.01)


@pytest.mark.parametrize(
    "place",
    [*range(len(SHEET) - 1), pytest.param(len(SHEET) - 1, marks=MISSED)],
    ids=BANDS,
)
def test_odds_of_the_sheet(played: Played, place: int) -> None:
    """Odds of a fall of 10 % within a day, within 0.3 points: as asked in every band but the
    highest, where as many hours crashed (below) among fewer."""
    assert played.bins[place].crash == pytest.approx(SHEET[place].crash, abs=0.003)


@pytest.mark.parametrize(
    ("place", "more", "crashed"),
    [
        (0, 713, 661),
        (1, -609, 194),
        (2, -87, 94),
        (3, -55, 63),
        (4, 53, 83),
        (5, 8, 48),
        (6, -23, 30),
    ],
    ids=BANDS,
)
def test_how_far_from_the_sheet(played: Played, place: int, more: int, crashed: int) -> None:
    """Hours more than the sheet's, and how many crashed, to the hour: a change of the formulas is
    seen, towards the sheet or away from it. Of the crashes the sheet says as many, from 50."""
    ours, sheet = played.bins[place], SHEET[place]
    assert ours.hours - sheet.hours == more
    assert round(ours.hours * ours.crash) == crashed
    if sheet.low in {10, 50, 60, 80}:
        assert round(crashed / sheet.hours, 3) == sheet.crash


def test_level_and_breadth_alone(played: Played) -> None:
    """Level and breadth full and nothing else is 50 to the last digit: 1,075 hours, where the sheet
    has 1,001."""
    assert sum(one == 50.0 for one in played.index.values()) == 1_075


@pytest.mark.parametrize("place", range(len(SHEET)), ids=BANDS)
def test_volatility_after(played: Played, place: int) -> None:
    """How volatile the next day is, as near as it came: within 2.5 points."""
    assert played.bins[place].volatility == pytest.approx(SHEET[place].volatility, abs=0.025)


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
