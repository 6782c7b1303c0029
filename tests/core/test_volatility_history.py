"""What six years of recorded prices say about volatility, by the product's own series.

The sheet *volatility-and-leverage* prints the same study (§3 levels, §8 odds). Where ours differs
the test says by how much; nothing is tuned to it.
"""

from __future__ import annotations

import gzip
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from math import exp, fsum, log
from statistics import quantiles
from typing import NamedTuple

import pytest

from monitor.core.formulas.volatility import (
    HOURS_PER_YEAR,
    annualize_volatility,
    compute_binned_percentile,
)
from monitor.core.state.series import FED_RATIO_MIN, PERCENTILE_HOURS_MIN, HourSeries, marked_bin
from tests.shared_data import shared_data

SINCE = int(datetime(2020, 4, 15, tzinfo=UTC).timestamp()) // 3600
DAY, FALL_HOURS = 24, 48
WARNING_HOURS = 72  # a state this long before a fall counts as having warned of it
MONTH_HOURS = 365.25 * 24 / 12


class Study(NamedTuple):
    """By hour since 1970: log level of the basket, its volatility, the percentile of that."""

    levels: dict[int, float]
    volatility: dict[int, float]
    percentile: dict[int, float]


@cache
def closes() -> dict[str, dict[int, float]]:
    """Close by hour of every recorded asset."""
    found = {}
    for path in sorted(shared_data("history/prices").glob("*_1h.csv.gz")):
        with gzip.open(path, "rt", encoding="ascii") as text:
            next(text)
            rows = (line.split(",", 5) for line in text)
            found[path.name.partition("_")[0]] = {int(r[0]) // 3600: float(r[4]) for r in rows}
    return found


def returns_of(prices: dict[int, float]) -> dict[int, float]:
    """Log return of each hour of which the one before is known, too."""
    return {
        hour: log(price / prices[hour - 1]) for hour, price in prices.items() if hour - 1 in prices
    }


def followed(
    returns: dict[int, float], known: Collection[int]
) -> tuple[dict[int, float], dict[int, float]]:
    """Slow volatility and its percentile at each known hour, one hour after the other."""
    hours, volatility, percentile = HourSeries(), {}, {}
    for hour in range(min(known), max(known) + 1):
        hours.close(hour, returns.get(hour))
        if hour in known and hours.slow.fed_ratio >= FED_RATIO_MIN:
            volatility[hour] = annualize_volatility(hours.slow.variance, HOURS_PER_YEAR)
            if hours.known >= PERCENTILE_HOURS_MIN:
                at = marked_bin(hours.slow) - 1
                percentile[hour] = compute_binned_percentile(hours.counts, at)
    return volatility, percentile


@cache
def study() -> Study:
    """The basket of all recorded assets: equal weights, hour by hour."""
    members = [returns_of(prices) for prices in closes().values()]
    returns, levels, total = {}, {}, 0.0
    for hour in sorted({hour for prices in closes().values() for hour in prices}):
        moves = [one[hour] for one in members if hour in one]
        if moves:
            returns[hour] = fsum(moves) / len(moves)
            total += returns[hour]
        levels[hour] = total
    return Study(levels, *followed(returns, levels))


@pytest.mark.parametrize(
    ("asset", "printed"),
    [
        pytest.param("BTC", (23, 34, 47, 63, 84, 101, 143), id="BTC"),
        pytest.param("ETH", (29, 47, 62, 82, 108, 132, 191), id="ETH"),
        pytest.param("SOL", (47, 67, 87, 115, 150, 188, 313), id="SOL"),
    ],
)
def test_typical_levels(asset: str, printed: tuple[int, ...]) -> None:
    """Percentiles 5, 25, 50, 75, 90, 95, 99 of EWMA-24h volatility, in percent a year, to half a
    point (SOL's 95th is 187.4 for 188, and the 99th is moved by a few hours)."""
    prices = closes()[asset]
    volatility, _ = followed(returns_of(prices), prices)
    ranks = quantiles([one for hour, one in volatility.items() if hour >= SINCE], n=100)
    levels = [100.0 * ranks[rank - 1] for rank in (5, 25, 50, 75, 90, 95, 99)]
    slack = (0.55, 0.5, 0.5, 0.5, 0.5, 0.7, 1.5)
    assert [abs(a - b) <= s for a, b, s in zip(levels, printed, slack, strict=True)] == [
        True
    ] * 7, levels


def test_crashes_by_decile_of_volatility() -> None:
    """P(basket 10 % lower at some time in 24 h): 2.5 % of 47 472 hours, 0.0 % in the calmest tenth,
    10.7 % in the wildest, 20 % in the wildest hundredth."""
    at = study()
    hours = [hour for hour in at.levels if hour >= SINCE]
    assert len(hours) == 47_472
    crashed = {}
    for hour in hours:
        ahead = [at.levels[one] for one in range(hour + 1, hour + DAY + 1) if one in at.levels]
        crashed[hour] = bool(ahead) and exp(min(ahead) - at.levels[hour]) - 1.0 <= -0.10
    ranked = sorted(hours, key=lambda hour: at.volatility[hour])
    size = len(ranked)
    deciles = [ranked[size * tenth // 10 : size * (tenth + 1) // 10] for tenth in range(10)]
    odds = [100.0 * sum(crashed[hour] for hour in tenth) / len(tenth) for tenth in deciles]
    top = ranked[-(size // 100) :]
    assert 100.0 * sum(crashed.values()) / size == pytest.approx(2.5, abs=0.05)
    assert odds[0] == 0.0
    assert odds[9] == pytest.approx(10.7, abs=0.05)
    assert 100.0 * sum(crashed[hour] for hour in top) / len(top) == pytest.approx(20.0, abs=0.5)
    assert any(later < earlier for earlier, later in pairwise(odds))  # unevenly


def spells(percentile: dict[int, float]) -> list[tuple[int, int]]:
    """From 0.90 up, until a day in a row at or below 0.70, all of it known."""
    found: list[tuple[int, int]] = []
    begun, calm, last = None, 0, min(percentile)
    for hour, value in percentile.items():
        calm = calm + 1 if value <= 0.70 and hour == last + 1 else int(value <= 0.70)
        last = hour
        if begun is None and value >= 0.90:
            begun = hour
        elif begun is not None and calm >= DAY:
            found.append((begun, hour))
            begun = None
    return [*found, (begun, last + 1)] if begun is not None else found


def falls(levels: dict[int, float]) -> list[tuple[int, int]]:
    """(peak, breach): 12 % below the highest of 48 hours, breaches within 72 hours being one."""
    found, last = [], 0
    for hour, level in levels.items():
        before = [one for one in range(hour - FALL_HOURS, hour + 1) if one in levels]
        peak = max(before, key=lambda one: levels[one])
        if exp(level - levels[peak]) <= 0.88:
            if hour - last > WARNING_HOURS:
                found.append((peak, hour))
            last = hour
    return found


def test_the_percentile_as_a_trigger() -> None:
    """Enter at 0.90, leave at 0.70 for a day. The sheet: on for 27 of 55 falls, 0.58 false episodes
    a month, active 27 % of the time. Ours, by the words of §6 (on at any time from 72 h before the
    peak up to the breach): 33 of 56, 0.51 and 26 %; 27 are those that it was on for before the hour
    of the breach itself within 72 h of it."""
    at = study()
    on = [one for one in spells(at.percentile) if one[1] > SINCE]
    struck = [one for one in falls(at.levels) if one[1] >= SINCE]
    assert len(struck) == 56
    led = sum(
        any(begun <= breach and ended > peak - WARNING_HOURS for begun, ended in on)
        for peak, breach in struck
    )
    before = sum(
        any(begun < breach and ended > breach - WARNING_HOURS for begun, ended in on)
        for _, breach in struck
    )
    false = sum(
        not any(begun <= breach <= ended + WARNING_HOURS for _, breach in struck)
        for begun, ended in on
    )
    hours = [hour for hour in at.levels if hour >= SINCE]
    active = sum(any(begun <= hour < ended for begun, ended in on) for hour in hours)
    assert (led, before) == (33, 27)
    assert false / (len(hours) / MONTH_HOURS) == pytest.approx(0.51, abs=0.02)
    assert active / len(hours) == pytest.approx(0.256, abs=0.005)
