"""What happened in a simulated market before the world began, told from seeds of its own.

It is the same whenever it is written, so it is written when first asked for, and once for all
worlds of a process that share it. Settlements go back a month, hourly bars half a year, minute bars
a day. Prices moved as they do in the world: assets with their common factor, and an asset at all
venues alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from monitor.sim.funding import HOUR_S, FundingMeter, FundingRow, as_rate
from monitor.sim.market_spec import MarketSpec
from monitor.sim.prices import DAY_S, YEAR_S, AssetSpec

SETTLED_HOURS = 720
BAR_HOURS = 180 * 24
MINUTES = 24 * 60
JUMPS_PER_DAY = 0.5
JUMP_DEVIATION = 0.01
WORLDS_MARKETS = 128  # pasts that are kept: those of all markets of a few worlds


@dataclass(slots=True)
class Bar:
    """A minute or an hour of trading; prices USD, volume in base units."""

    start_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


@dataclass(frozen=True, slots=True)
class Past:
    """A market's past. ``price`` is what it ends with, at ``start_s``; ``name`` tells markets of
    one world, ``seed``, apart. Nobody may change a row of it: worlds of one seed share them."""

    seed: int
    name: str
    start_s: float
    price: float
    asset: AssetSpec
    market: MarketSpec

    def settlements(self, printed: Decimal) -> tuple[FundingRow, ...]:
        """Of ``SETTLED_HOURS`` hours, oldest first; ``printed`` is the price they show."""
        return _settlements(self, printed)

    def minutes(self) -> tuple[Bar, ...]:
        """Minute bars of a day, oldest first."""
        return _minutes(self)

    def hours(self) -> tuple[Bar, ...]:
        """Hourly bars of ``BAR_HOURS`` hours, oldest first; the last day is that of the minutes."""
        return _hours(self)


@lru_cache(maxsize=WORLDS_MARKETS)
def _settlements(past: Past, printed: Decimal) -> tuple[FundingRow, ...]:
    rng = random.Random(f"{past.seed}/{past.name}/past")  # noqa: S311 - nature, not a secret
    shared = random.Random(f"{past.seed}/{past.asset.name}/settled")  # noqa: S311 - nature
    meter, hour, premium = (
        FundingMeter(past.market.terms),
        int(past.start_s // HOUR_S) * HOUR_S,
        0.0,
    )
    settled: list[FundingRow] = []
    for back in range(SETTLED_HOURS, 0, -1):
        # Who crowds into an asset does so everywhere; venues differ by a fifth of it.
        crowd, own = shared.gauss(0.0, 1.0), rng.gauss(0.0, 1.0)
        premium = premium * 0.9 + 0.00012 * (0.98 * crowd + 0.2 * own)
        time_s = hour - (back - 1) * HOUR_S + rng.uniform(0.002, 0.118)
        rate = meter.rate_hourly(premium, settled=True)
        settled.append(FundingRow(time_s, as_rate(rate), as_rate(premium), printed))
    return tuple(settled)


@lru_cache(maxsize=WORLDS_MARKETS)
def _minutes(past: Past) -> tuple[Bar, ...]:
    return _bars(past, past.price, int(past.start_s // 60) * 60, 60, MINUTES)


@lru_cache(maxsize=WORLDS_MARKETS)
def _hours(past: Past) -> tuple[Bar, ...]:
    newest = fold(past.minutes())
    first = newest[0]
    older = _bars(past, first.open, first.start_s, 3600, BAR_HOURS - len(newest))
    return (*older, *newest)


def _bars(past: Past, price: float, end_s: int, width_s: int, count: int) -> tuple[Bar, ...]:
    """Bars of ``width_s`` that end with ``price`` at ``end_s``, oldest first."""
    spec = past.asset
    rho, sigma = spec.correlation, spec.volatility * math.sqrt(width_s / YEAR_S)
    alone = math.sqrt(1.0 - rho * rho)
    common = _common(past.seed, width_s)
    own = random.Random(f"{past.seed}/{spec.name}/past/{width_s}")  # noqa: S311 - nature
    rng = random.Random(f"{past.seed}/{past.name}/bars/{width_s}")  # noqa: S311 - nature
    bars: list[Bar] = []
    value, usd_per_bar = price, past.market.depth_25bp_usd * 0.05 * (width_s / 60)
    for back in range(count):
        move = sigma * (rho * common[back] + alone * own.gauss(0.0, 1.0))
        if own.random() < JUMPS_PER_DAY * width_s / DAY_S:
            move += own.gauss(0.0, JUMP_DEVIATION)
        opened = value * math.exp(-move)
        high = max(opened, value) * (1.0 + sigma / 4.0)
        low = min(opened, value) * (1.0 - sigma / 4.0)
        volume = usd_per_bar * rng.expovariate(1.0) / value
        trades = rng.randrange(1, 40) * (width_s // 60)
        start_s = end_s - (back + 1) * width_s
        bars.append(Bar(start_s, opened, high, low, value, volume, trades))
        value = opened
    return tuple(bars[::-1])


@lru_cache(maxsize=8)
def _common(seed: int, width_s: int) -> list[float]:
    """What all assets felt, newest first, in standard deviations."""
    rng = random.Random(f"{seed}/past/{width_s}")  # noqa: S311 - nature, not a secret
    return [rng.gauss(0.0, 1.0) for _ in range(max(MINUTES, BAR_HOURS))]


def fold(minutes: Iterable[Bar]) -> list[Bar]:
    """Minutes, oldest first, as the hours they are in."""
    hours: dict[int, Bar] = {}
    for bar in minutes:
        start_s = bar.start_s // 3600 * 3600
        hour = hours.get(start_s)
        if hour is None:
            hours[start_s] = Bar(
                start_s, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades
            )
            continue
        hour.high, hour.low, hour.close = (
            max(hour.high, bar.high),
            min(hour.low, bar.low),
            bar.close,
        )
        hour.volume += bar.volume
        hour.trades += bar.trades
    return list(hours.values())
