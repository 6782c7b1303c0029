"""What is remembered of one asset's price: hours of returns, running variances, a histogram.

Sampled on a grid of minutes of engine time. An hour closes with the sample of the minute in which
the next begins, else with the last before. A return exists only between samples of one source that
are no further apart than the gap allowed (ten minutes, more for coarser recordings): an outage, a
change of source and a price that nobody moves make none. *Pure.*
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import isnan, log, nan
from struct import Struct

import msgspec

from monitor.core.formulas.jumps import is_jump
from monitor.core.formulas.volatility import (
    BINS,
    HOURS_PER_YEAR,
    Ewma,
    annualize_volatility,
    bin_of,
    follow_ewma,
)
from monitor.core.state.facts import SeenFact
from monitor.core.types import SECOND_NS, EngineNs

MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 3_600 * SECOND_NS
HOUR_MINUTES = 60

FAST_HALF_LIFE_MINUTES = 120.0
SLOW_HALF_LIFE_HOURS = 24.0
# An EWMA counts once half of its weight has been fed: after one half-life.
FED_RATIO_MIN = 0.5

HISTORY_HOURS = 180 * 24
# Of so much a percentile can be said.
PERCENTILE_HOURS_MIN = 60 * 24
RETURNS_HOURS = 30 * 24  # of an asset; the basket's members keep the whole history
CLOSES_HOURS = 73  # three days and the hour before
_JUMP = Struct("<If")  # hour since 1970, log return


class HourSeries(msgspec.Struct):
    """Hourly returns up to ``hour`` (hours since 1970; -1 before the first) and what follows.

    ``returns`` are 32-bit floats, NaN where unknown; ``bins`` 16-bit numbers: the histogram bin of
    the slow volatility at each hour plus one, 0 where unknown; ``closes`` prices. All three end
    with ``hour``. The long ones are bytes, so that a snapshot of hundreds of them stays small.
    ``histogram`` says how many of the known bins each is, in 16-bit numbers, empty before the first
    is known; ``known`` is how many there are, ``first`` the oldest hour of which a return was ever
    known; ``version`` grows with every change.
    ``jumps`` are the hours that were one, with their returns, oldest first; of the known hours from
    ``judged_from`` on it was judged whether they were (-1: of none).
    """

    hour: int = -1
    version: int = 0
    first: int = -1
    keep: int = RETURNS_HOURS
    slow: Ewma = Ewma()
    returns: bytearray = msgspec.field(default_factory=bytearray)
    bins: bytearray = msgspec.field(default_factory=bytearray)
    closes: list[float | None] = msgspec.field(default_factory=list)
    histogram: bytearray = msgspec.field(default_factory=bytearray)
    known: int = 0
    jumps: bytes = b""
    judged_from: int = -1

    def __post_init__(self) -> None:
        """What was packed before there was this histogram gets it from its bins."""
        if self.known and not self.histogram:
            self._count(array("H", self.bins))

    @property
    def counts(self) -> Sequence[int]:
        """The histogram: how many of the known bins each is."""
        return array("H", self.histogram)

    def close(self, hour: int, log_return: float | None, price: float | None = None) -> None:
        """``hour`` is over; hours in between are unknown. An hour already closed stays as it is."""
        if hour <= self.hour:
            return
        self.version += 1
        missing = hour - self.hour - 1 if self.hour >= 0 else 0
        for _ in range(min(missing, HISTORY_HOURS)):
            self._push(None, 0, None)
        self.hour = hour
        if log_return is None:
            self._push(None, 0, price)
            return
        if self.first < 0:
            self.first = hour
        if self.judged_from < 0:
            self.judged_from = hour
        if jumped(self.slow, log_return):
            self.jumps = _pack([*self.list_jumps(), (hour, log_return)])
        self.slow = follow_slow(self.slow, log_return)
        self._push(log_return, marked_bin(self.slow), price)

    def return_at(self, hour: int) -> float | None:
        """Of that hour; None where unknown or not kept."""
        start = len(self.returns) - 4 * (self.hour - hour + 1)
        if start < 0 or hour > self.hour:
            return None
        (value,) = array("f", self.returns[start : start + 4])
        return None if isnan(value) else value

    def recent(self, count: int) -> list[float]:
        """The known ones of the last ``count`` hours, oldest first."""
        start = max(len(self.returns) - 4 * count, 0)
        return [one for one in array("f", self.returns[start:]) if not isnan(one)]

    def list_returns(self, count: int = HISTORY_HOURS) -> list[float | None]:
        """Those of the last ``count`` hours, oldest first, ending with ``hour``."""
        start = max(len(self.returns) - 4 * count, 0)
        kept = array("f", self.returns[start:])
        # One unknown makes the sum unknown: most of the time none is, and this is a tenth of it.
        known: list[float | None] = [] if isnan(sum(kept)) else list(kept)
        return known or [None if isnan(one) else one for one in kept]

    def list_bins(self) -> list[int]:
        """Bins plus one, oldest first, ending with ``hour``; 0 where unknown."""
        return list(array("H", self.bins))

    def list_jumps(self) -> list[tuple[int, float]]:
        """Hours of the last half-year that were jumps, with their log returns, oldest first."""
        oldest = self.hour - HISTORY_HOURS + 1
        return [one for one in _JUMP.iter_unpack(self.jumps) if one[0] >= oldest]

    def count_judged(self) -> int:
        """Hours of the last half-year of which it is known whether they were jumps."""
        if self.judged_from < 0:
            return 0
        before = self.judged_from - (self.hour - len(self.bins) // 2 + 1)
        if before <= 0:
            return self.known
        return sum(1 for one in array("H", self.bins[2 * before :]) if one)

    def rewrite(
        self,
        hour: int,
        slow: Ewma,
        returns: Sequence[float | None],
        bins: Sequence[int],
        closes: Sequence[float | None],
        *,
        jumps: Sequence[tuple[int, float]] = (),
        judged_from: int = -1,
    ) -> None:
        """Other values for the hours that end with ``hour``; oldest first, ``bins`` plus one."""
        self.jumps, self.judged_from = _pack(jumps), judged_from
        self.hour, self.slow = hour, slow
        self.version += 1
        oldest = hour - len(returns) + 1
        told = next((index for index, one in enumerate(returns) if one is not None), None)
        self.first = -1 if told is None else oldest + told
        self.returns = bytearray(_floats(returns[-self.keep :]))
        self.closes = list(closes[-CLOSES_HOURS:])
        kept = bins[-HISTORY_HOURS:]
        self.bins = bytearray(array("H", kept).tobytes())
        self._count(kept)

    def _count(self, bins: Sequence[int]) -> None:
        """The histogram anew, of bins plus one."""
        self.histogram, self.known = bytearray(), 0
        for marked in bins:
            self._follow(marked, 1)

    def _push(self, log_return: float | None, marked: int, price: float | None) -> None:
        self.returns += _floats((log_return,))
        del self.returns[: max(len(self.returns) - 4 * self.keep, 0)]
        self.closes.append(price)
        del self.closes[:-CLOSES_HOURS]
        self.bins += array("H", (marked,)).tobytes()
        self._follow(marked, 1)
        if len(self.bins) > 2 * HISTORY_HOURS:
            (oldest,) = array("H", self.bins[:2])
            del self.bins[:2]
            self._follow(oldest, -1)

    def _follow(self, marked: int, by: int) -> None:
        """One more or less (``by``) of a bin plus one; 0 counts for nothing."""
        if marked:
            if not self.histogram:
                self.histogram = bytearray(2 * BINS)
            memoryview(self.histogram).cast("H")[marked - 1] += by
            self.known += by


def follow_slow(slow: Ewma, log_return: float) -> Ewma:
    """The slow EWMA after one more hour."""
    return follow_ewma(slow, log_return, elapsed=1.0, half_life=SLOW_HALF_LIFE_HOURS)


def marked_bin(slow: Ewma) -> int:
    """The bin of a slow volatility plus one; 0 while too little of it was fed."""
    if slow.fed_ratio < FED_RATIO_MIN:
        return 0
    return bin_of(annualize_volatility(slow.variance, HOURS_PER_YEAR)) + 1


def jumped(slow: Ewma, log_return: float) -> bool:
    """Whether an hour was a jump, by the slow EWMA before it; none while too little was fed."""
    return slow.fed_ratio >= FED_RATIO_MIN and is_jump(log_return, slow.variance)


def _pack(jumps: Sequence[tuple[int, float]]) -> bytes:
    return b"".join(_JUMP.pack(*one) for one in jumps)


def _floats(values: Sequence[float | None]) -> bytes:
    return array("f", [nan if one is None else one for one in values]).tobytes()


class PriceSeries(msgspec.Struct):
    """One asset's price on the grid.

    ``venue`` and ``market`` are whose price it is, empty before the first; ``seen`` when it was
    last sampled, ``minute`` in which (-1: none of this source). ``hour_price`` is the price at
    which the running ``hour`` began, None where a gap lies in it.
    """

    asset: str
    venue: str = ""
    market: str = ""
    price: float = 0.0
    minute: int = -1
    hour: int = -1
    hour_price: float | None = None
    seen: SeenFact = msgspec.field(default_factory=SeenFact)
    fast: Ewma = Ewma()
    hours: HourSeries = msgspec.field(default_factory=HourSeries)

    def take_source(self, venue: str, market: str) -> None:
        """Another market's price from now on: the step between the two is no return."""
        self.venue, self.market = venue, market
        self.hour_price = None
        self.minute = -1

    def take(self, price: float, now: EngineNs, gap_minutes: int) -> None:
        """The price in a minute that was not sampled yet."""
        minute = now // MINUTE_NS
        hour = minute // HOUR_MINUTES
        gap = minute - self.minute
        whole = gap <= gap_minutes
        if hour > self.hour:
            boundary = whole and minute == (self.hour + 1) * HOUR_MINUTES
            end = (self.hour + 1) * HOUR_MINUTES - gap_minutes
            # The level at an hour's end is known although a return into it may not be.
            close = price if boundary else self.price if self.minute >= end else None
            self._close_hours(hour, close, whole=whole)
        elif not whole:
            self.hour_price = None
        if whole:
            self.fast = follow_ewma(
                self.fast,
                log(price / self.price),
                elapsed=float(gap),
                half_life=FAST_HALF_LIFE_MINUTES,
            )
        self.price, self.minute, self.seen.seen_ns = price, minute, now

    def running_return(self) -> float | None:
        """Log return of the hour in progress so far; None where a gap lies in it."""
        return None if self.hour_price is None else log(self.price / self.hour_price)

    def _close_hours(self, hour: int, close: float | None, *, whole: bool) -> None:
        """The running hour and those nobody sampled are over; ``whole`` where the next sample
        follows close enough on the last."""
        base = self.hour_price
        if self.hour >= 0:
            told = base is not None and close is not None and whole
            log_return = log(close / base) if told and close and base else None
            self.hours.close(self.hour, log_return, close)
            self.hours.close(hour - 1, None)
        self.hour = hour
        self.hour_price = close if whole else None
