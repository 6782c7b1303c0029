"""Settled funding of the last month by the hour, and what the stress index remembers of itself.

A settlement stands at the hour it was charged at; hours without one are unknown here, and whoever
reads carries the last one forward as long as the venue's interval allows. *Pure.*
"""

from __future__ import annotations

from math import isfinite

import msgspec

from monitor.core.formulas.funding_stress import (
    CHANGE_HOURS,
    KNOWN_HOURS_MIN,
    PEAK_DAYS,
    WINDOW_HOURS,
)
from monitor.core.state.facts import Why
from monitor.core.state.funding_past import PastDay, PastFunding
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS, EngineNs

# Thirty days and the day before them, against which the first hours are compared.
KEPT_HOURS = 744
CARRY_HOURS_MAX = 8
CARRY_INTERVALS = 2
# Settlements are stamped seconds around the hour.
STAMP_SLACK_NS = 60 * SECOND_NS


def hour_of(time_ns: int) -> int:
    """The hour (since 1970) that a settlement stamped ``time_ns`` belongs to."""
    return (time_ns + STAMP_SLACK_NS) // HOUR_NS


def carry_hours(interval_s: int) -> int:
    """For how many hours a settlement stands for those after it: two intervals, at most eight
    hours."""
    return max(min(CARRY_HOURS_MAX, CARRY_INTERVALS * interval_s // 3600), 1)


class FundingSeries(msgspec.Struct, omit_defaults=True):
    """One market's settlements, signed fractions per hour, one place per hour.

    ``rates[-1]`` is of hour ``newest``; None where nothing settled. ``revision`` grows whenever an
    hour before the newest is learnt or changes. ``told_ns`` is when a settlement was last told.
    """

    newest: int = 0
    rates: list[float | None] = []
    revision: int = 0
    told_ns: EngineNs = 0

    def put(self, hour: int, rate: float, *, live: bool) -> None:
        """Take in one settlement. Live ones replace what an hour held; history only fills what is
        unknown, and what is older than is kept is dropped."""
        if not isfinite(rate):
            return
        rates = self.rates
        if not rates or hour >= self.newest + KEPT_HOURS:
            self.newest, self.rates = hour, [rate]
            return
        if hour > self.newest:
            rates.extend([None] * (hour - self.newest - 1))
            rates.append(rate)
            self.newest = hour
            del rates[:-KEPT_HOURS]
            return
        place = len(rates) - 1 - (self.newest - hour)
        if place < 0:
            if self.newest - hour >= KEPT_HOURS:
                return
            rates[:0] = [rate, *[None] * (-place - 1)]
        elif rates[place] is None or (live and rates[place] != rate):
            rates[place] = rate
        else:
            return
        self.revision += 1

    def hourly(self, first: int, last: int, carry: int) -> list[float | None]:
        """The rate of each hour ``first`` to ``last``, the last settlement carried forward for at
        most ``carry`` hours; None where unknown."""
        start, count = self.newest - len(self.rates) + 1, last + 1 - first + carry
        before = min(count, max(0, start - first + carry))
        told = [None] * before + self.rates[
            max(0, first - carry - start) : max(0, last + 1 - start)
        ]
        if len(told) == count and None not in told:  # as it is when all is well: nothing to carry
            return told[carry:]
        told += [None] * (count - len(told))
        found: list[float | None] = []
        value, age = None, 0
        for rate in told:
            if rate is not None:
                value, age = rate, 0
            elif value is not None:
                age += 1
                if age > carry:
                    value = None
            found.append(value)
        return found[carry:]

    def settled(self, count: int) -> list[tuple[int, float]]:
        """The newest settlements, newest first, as (hour, rate); fewer where fewer are known."""
        found: list[tuple[int, float]] = []
        for back, rate in enumerate(reversed(self.rates)):
            if rate is not None:
                found.append((self.newest - back, rate))
                if len(found) == count:
                    break
        return found


def with_past(series: FundingSeries, past: PastFunding | None, first: int) -> FundingSeries:
    """A market's settlements from ``first`` on, those of before the last month included."""
    start = series.newest - len(series.rates) + 1
    if past is None or not series.rates or first >= start:
        return series
    return FundingSeries(newest=series.newest, rates=[*past.slice(first, start - 1), *series.rates])


class StressNow(msgspec.Struct, omit_defaults=True):
    """The stress index as last computed, with all that it was made of.

    Args:
        at_ns: When; 0 for never.
        index: 0 to 100, None while it cannot be said; ``why`` says why.
        worst: The same with every asset of which something is unknown at its worst.
        worst_parts: What that is made of, as ``parts``, and in ``at_worst`` the assets.
        parts: Level, breadth, surprise, change, flips as raw values.
        ramps: How far each is from where it begins to count to where it counts in full, 0 to 1.
        points: What each adds.
        coverage: Share of the universe's open interest that was used.
        weighted_apr: Mean APR by open interest, signed.
        dispersion_apr: Median over assets of highest less lowest APR over venues.
        common: Share of the first factor, as of ``common_hour``.
        assets: How many were used, of ``universe``.
        top: (asset, |APR|, points were all assets like it), most first.
        as_of_ns: When the oldest settlement used was charged.
        expires_ns: When the first of them is too old.
        observed_ns: When the newest of them was told.
    """

    at_ns: EngineNs = 0
    index: float | None = None
    worst: float | None = None
    worst_parts: tuple[float, float, float, float, float] | None = None
    at_worst: tuple[str, ...] = ()
    parts: tuple[float, float, float, float, float] | None = None
    ramps: tuple[float, ...] = ()
    points: tuple[float, float, float, float, float] | None = None
    coverage: float | None = None
    weighted_apr: float | None = None
    dispersion_apr: float | None = None
    common: float | None = None
    common_hour: int = 0
    assets: int = 0
    universe: int = 0
    top: tuple[tuple[str, float, float], ...] = ()
    as_of_ns: EngineNs = 0
    expires_ns: EngineNs = 0
    observed_ns: EngineNs = 0
    why: Why = Why("never computed")


class StressMemory(msgspec.Struct, omit_defaults=True):
    """What the stress index remembers.

    Args:
        now: As last computed.
        known_ns: When the index was last known; 0 for never.
        peaks: Highest index by day since 1970, as seen.
        found: The same as found from history, and of how many known hours of funding.
        redo_from, redo_to: Past hours whose index is still to be found, the newest first; 0 for
            none.
        redo_day: The day of them that is being found; None for none.
        looked_ns: When it was last looked at them; 0 for never.
        deep: Settlements of before the last month by market, while they are needed.
        calm_since_ns: Since when the index has been calm without a break, with what is not known
            at its worst; 0 for not.
        calm_hour: The newest hour settled that was counted since.
        calm_settlements: How many hours were.
    """

    now: StressNow = msgspec.field(default_factory=StressNow)
    known_ns: EngineNs = 0
    peaks: dict[int, float] = {}
    found: dict[int, tuple[float, int]] = {}
    redo_from: int = 0
    redo_to: int = 0
    redo_day: PastDay | None = None
    looked_ns: EngineNs = 0
    deep: dict[str, PastFunding] = {}
    calm_since_ns: EngineNs = 0
    calm_hour: int = 0
    calm_settlements: int = 0

    def note(self, hour: int, index: float) -> None:
        """The index was ``index`` in ``hour``; days beyond the window are forgotten."""
        day = hour // 24
        self.peaks[day] = max(self.peaks.get(day, 0.0), index)
        for known in (self.peaks, self.found):
            for old in [one for one in known if one <= day - PEAK_DAYS]:
                del known[old]

    def find(self, day: int, index: float, hours: int) -> None:
        """History says that ``index`` was the highest of a day; what rests on more of it stays."""
        known = self.found.get(day)
        if known is None or known[1] <= hours:
            self.found[day] = (index, hours)

    def learnt(self, first: int, last: int, now_hour: int) -> None:
        """Settlements of the past became known: each hour's index rests on thirty days of them."""
        begin = max(first + KNOWN_HOURS_MIN, now_hour - PEAK_DAYS * 24)
        end = min(last + WINDOW_HOURS + CHANGE_HOURS, now_hour - 1)
        if begin > end:
            return
        self.redo_from = min(self.redo_from, begin) if self.redo_to else begin
        self.redo_to = max(self.redo_to, end)

    def highest(self, now_hour: int) -> dict[int, float]:
        """Highest index by day, of the last ninety of which one is known."""
        days = {day: index for day, (index, _) in self.found.items()}
        for day, index in self.peaks.items():
            days[day] = max(days.get(day, 0.0), index)
        return {day: one for day, one in days.items() if day > now_hour // 24 - PEAK_DAYS}

    def follow_calm(self, worst: float | None, hour: int, now: EngineNs, calm: float) -> None:
        """Count the settlements since the index has been calm, with what is not known at its worst;
        unknown or above starts anew."""
        if worst is None or worst > calm:
            self.calm_since_ns = self.calm_settlements = 0
        elif not self.calm_since_ns:
            self.calm_since_ns, self.calm_hour, self.calm_settlements = now, hour, 0
        elif hour > self.calm_hour:
            self.calm_hour = hour
            self.calm_settlements += 1
