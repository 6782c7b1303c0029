"""The equal-weight basket of a history, its volatility, and the plain trigger made of both. *Pure.*

Formulas as in the risk sheets: log returns of consecutive hourly closes, EWMA with a half-life of
24 hours, percentile against the trailing 180 days (at least 60 of them known), 24/7 years.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import dataclass, field
from math import exp, fsum, log, sqrt

from monitor.backtest.history import History

EWMA_DECAY = 0.5 ** (1.0 / 24.0)
HOURS_PER_YEAR = 8760.0
PERCENTILE_H = 180 * 24
PERCENTILE_H_MIN = 60 * 24
PERCENTILE_ENTER = 0.85
FALL_H = 72
FALL_RATIO = 0.04
CONFIRMATIONS = 2
CLEAR_H = 24


@dataclass(slots=True)
class Basket:
    """Hourly log returns (None across a gap or where no asset has two prices in a row) and levels,
    which start at 1 and stand still across gaps."""

    returns: list[float | None]
    levels: list[float]
    known: list[bool]


def make_basket(history: History) -> Basket:
    """The mean log return of all assets with a price in this hour and the one before."""
    returns: list[float | None] = [None]
    closes = list(history.closes.values())
    for index in range(1, history.hours):
        moves = [
            log(now / before)
            for series in closes
            if (now := series[index]) is not None and (before := series[index - 1]) is not None
        ]
        returns.append(fsum(moves) / len(moves) if moves else None)
    levels, total = [], 0.0
    for one in returns:
        total += one or 0.0
        levels.append(exp(total))
    known = [any(series[index] is not None for series in closes) for index in range(history.hours)]
    return Basket(returns, levels, known)


def make_basket_after(history: History) -> tuple[Basket, Basket]:
    """The basket of what stands before a history, empty where nothing does, and its own: levels of
    both on one scale, 1 at its first hour."""
    past = history.before
    if past is None:
        return Basket([], [], []), make_basket(history)
    count = past.hours
    whole = make_basket(
        History(
            start_s=past.start_s,
            hours=count + history.hours,
            closes={asset: past.closes[asset] + own for asset, own in history.closes.items()},
            settlements={},
            open_interest={},
        )
    )
    levels = [one / whole.levels[count] for one in whole.levels]
    return (
        Basket(whole.returns[:count], levels[:count], whole.known[:count]),
        Basket(whole.returns[count:], levels[count:], whole.known[count:]),
    )


@dataclass(slots=True)
class Volatility:
    """EWMA volatility of the basket, fraction per year, and its percentile; None before warm.

    The 180 days are those of the clock: through an hour without a return the volatility stands as
    it was, and that hour counts among them.
    """

    variance: float | None = None
    history: deque[float] = field(default_factory=deque)
    ranked: list[float] = field(default_factory=list)
    annual: float | None = None
    percentile: float | None = None

    def take(self, log_return: float | None) -> None:
        """One hour more; without a return it changes nothing before the first one."""
        if log_return is not None:
            square = log_return * log_return
            if self.variance is None:
                self.variance = square
            else:
                self.variance = EWMA_DECAY * self.variance + (1.0 - EWMA_DECAY) * square
        if self.variance is None:
            return
        self.annual = sqrt(self.variance * HOURS_PER_YEAR)
        if len(self.ranked) >= PERCENTILE_H_MIN:
            below = bisect_left(self.ranked, self.annual)
            same = bisect_right(self.ranked, self.annual) - below
            self.percentile = (below + 0.5 * same) / len(self.ranked)
        self.history.append(self.annual)
        insort(self.ranked, self.annual)
        if len(self.history) > PERCENTILE_H:
            del self.ranked[bisect_left(self.ranked, self.history.popleft())]


@dataclass(slots=True)
class VolatilityAndFall:
    """The plain baseline: volatility at or above its 85th percentile *and* a basket that stands 4 %
    below its highest close of three days, twice in a row; off after 24 hours without."""

    volatility: Volatility = field(default_factory=Volatility)
    highs: deque[float] = field(default_factory=lambda: deque(maxlen=FALL_H + 1))
    on: bool = False
    agreeing: int = 0
    quiet_h: int = 0

    def take(self, log_return: float | None, level: float, *, known: bool) -> bool:
        """One hour more; whether the trigger is on. What is not known changes nothing."""
        self.volatility.take(log_return)
        if not known:
            self.agreeing = self.quiet_h = 0
            return self.on
        self.highs.append(level)
        percentile = self.volatility.percentile
        if percentile is None:
            return self.on
        fallen = level / max(self.highs) - 1.0 <= -FALL_RATIO
        if percentile >= PERCENTILE_ENTER and fallen:
            self.agreeing += 1
            self.quiet_h = 0
            self.on = self.on or self.agreeing >= CONFIRMATIONS
        else:
            self.agreeing = 0
            self.quiet_h += 1
            if self.quiet_h >= CLEAR_H:
                self.on = False
        return self.on
