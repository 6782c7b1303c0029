"""One request budget per venue, with a reserve that only the kill path may spend.

A bucket whose tokens return exactly one window after they were spent: in no window, wherever it
begins, is more than the capacity used. (A bucket that refills evenly would allow almost twice the
capacity in its first window, and venues answer that with a ban.) Reads leave the reserve alone, so
a cancel never waits behind them. History has a share of its own: it takes no more than that, so a
start that reads much of it does not blind the daemon, and nothing about the present may take it, so
that it comes to an end however many accounts there are.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from typing import NamedTuple

import msgspec

from monitor.core.errors import ConfigError, TransientFeedError
from monitor.core.ports import Clock, RateBudget
from monitor.core.types import SECOND_NS, EngineNs

WAIT_S_MAX = 60.0
# What was spent within so long is one entry of a ledger, at the time of the newest.
LEDGER_STEP_NS = SECOND_NS // 4
# Of what reads may spend, background reads wait once all of them but history spent this share.
BACKGROUND_RATIO = 0.6
# History may spend this share, and nothing once so much of all is spent: the rest is the truth's.
HISTORY_RATIO = 0.3
HISTORY_WITHIN = 0.8


class Lane(enum.Enum):
    """Who asks: each lane has its own queue and its own ceiling."""

    URGENT = "urgent"  # the kill path alone
    READ = "read"
    BACKGROUND = "background"
    HISTORY = "history"


class Spent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """So much weight was spent at a time by a lane."""

    at_ns: EngineNs
    weight: float
    lane: Lane = Lane.READ


Ledger = tuple[Spent, ...]
"""What was spent, oldest first."""


class Ceiling(NamedTuple):
    """The most that some lanes may have spent within a window."""

    most: float
    lanes: frozenset[Lane]


class RequestBudget:
    """What is left of a venue's request budget; first come, first served in each lane."""

    def __init__(self, rate: RateBudget, clock: Clock) -> None:
        if not 0.0 <= rate.reserve < rate.capacity or rate.window_s <= 0.0:
            message = (
                f"A request budget needs 0 <= reserve < capacity and a window above zero, not "
                f"reserve {rate.reserve:g}, capacity {rate.capacity:g}, window {rate.window_s:g} s."
            )
            raise ConfigError(message)
        self._rate = rate
        self._clock = clock
        self._window_ns = round(rate.window_s * SECOND_NS)
        self._spent: deque[Spent] = deque()
        self._used = 0.0
        self._held_until_ns: EngineNs = 0
        # A lock hands over in order of arrival: that is the whole queue.
        self._lanes = {lane: asyncio.Lock() for lane in Lane}
        reads = rate.capacity - rate.reserve
        everyone, history = frozenset(Lane), frozenset({Lane.HISTORY})
        watching = everyone - {Lane.URGENT}
        self._ceilings: dict[Lane, tuple[Ceiling, ...]] = {
            Lane.URGENT: (Ceiling(rate.capacity, everyone),),
            # A plan waits for lots and ticks: what the kill path spends does not stop the truth.
            Lane.READ: (Ceiling(reads, watching), Ceiling(rate.capacity, everyone)),
            # Nor, for a whole trip, what rules read by the hour; but half the reserve stays free.
            Lane.BACKGROUND: (
                Ceiling(reads * BACKGROUND_RATIO, watching - history),
                Ceiling(reads + rate.reserve / 2.0, everyone),
            ),
            Lane.HISTORY: (
                Ceiling(reads * HISTORY_RATIO, history),
                Ceiling(reads * HISTORY_WITHIN, everyone),
            ),
        }

    async def acquire(
        self, weight: float, *, lane: Lane = Lane.READ, wait_s_max: float = WAIT_S_MAX
    ) -> Spent:
        """Wait until ``weight`` may be spent, and spend it; what was spent is for ``give_back``.

        Args:
            weight: What the request costs, in the venue's own units.
            lane: ``URGENT`` may use the reserve and does not queue behind reads; ``BACKGROUND``
                leaves a part to reads, ``HISTORY`` has a share of its own.
            wait_s_max: Longest wait; all callers of a lane use the same, so none starves.

        Raises:
            TransientFeedError: The wait would be longer than ``wait_s_max``.
            ConfigError: The weight can never be spent.
        """
        ceiling = min(one.most for one in self._ceilings[lane])
        if weight > ceiling:
            message = (
                f"A request of weight {weight:g} can never be sent: the budget allows {ceiling:g} "
                f"in {self._rate.window_s:g} s."
            )
            raise ConfigError(message)
        asked_ns = self._clock.now()
        deadline_ns = asked_ns + round(wait_s_max * SECOND_NS)
        async with self._lanes[lane]:
            while True:
                now = self._clock.now()
                free_at_ns = self._free_at_ns(weight, lane, now)
                if free_at_ns <= now:
                    break
                if free_at_ns > deadline_ns:
                    waited_s = (now - asked_ns) / SECOND_NS
                    wait_s = (free_at_ns - asked_ns) / SECOND_NS
                    message = (
                        f"The request budget is spent or held; the request could leave {wait_s:.1f}"
                        f" s after it was asked for, and may wait {wait_s_max:g} s"
                        f"{f' ({waited_s:.1f} s of it are over)' if waited_s >= 1.0 else ''}."
                    )
                    raise TransientFeedError(message)
                await self._clock.sleep((free_at_ns - now) / SECOND_NS)
            spent = Spent(now, weight, lane)
            self._spent.append(spent)
            self._used += weight
            return spent

    def ledger(self) -> Ledger:
        """What the venue still counts, for the process after this one."""
        self._forget(self._clock.now())
        entries: dict[tuple[int, Lane], Spent] = {}
        for one in self._spent:
            step = one.at_ns // LEDGER_STEP_NS, one.lane
            before = entries.get(step)
            weight = one.weight + (before.weight if before else 0.0)
            entries[step] = Spent(one.at_ns, weight, one.lane)
        return tuple(entries.values())

    def recall(self, ledger: Ledger) -> None:
        """Take over what an earlier process spent; before the first request of this one.

        A time to come counts as now: the clock was set back since.
        """
        now = self._clock.now()
        earlier = [Spent(min(one.at_ns, now), one.weight, one.lane) for one in ledger]
        self._spent.extendleft(sorted(earlier, key=lambda one: one.at_ns, reverse=True))
        self._used += sum(one.weight for one in earlier)
        self._forget(now)

    def give_back(self, spent: Spent) -> None:
        """It never reached the venue. What is over by now, or was given back before, is not owed.

        Of several that are equal, whichever goes is the same.
        """
        if spent in self._spent:
            self._spent.remove(spent)
            self._used -= spent.weight

    def hold_reads(self, seconds: float) -> None:
        """The venue asked for a pause (429): no read leaves before it is over; urgent ones do."""
        until_ns = self._clock.now() + round(seconds * SECOND_NS)
        self._held_until_ns = max(self._held_until_ns, until_ns)

    def used_and_left(self) -> tuple[float, float]:
        """Weight spent within the window that ends now, and what is left of the capacity."""
        self._forget(self._clock.now())
        return self._used, self._rate.capacity - self._used

    def _forget(self, now: EngineNs) -> None:
        spent = self._spent
        while spent and now - spent[0].at_ns >= self._window_ns:
            self._used -= spent.popleft().weight
        if not spent:
            self._used = 0.0  # sums of floats drift; an empty ledger is exactly zero

    def _free_at_ns(self, weight: float, lane: Lane, now: EngineNs) -> EngineNs:
        """The earliest time at which ``weight`` fits under all of a lane's ceilings, if nothing
        else is spent. It is asked again after each wait, since another lane may have come between.
        """
        self._forget(now)
        free_at_ns = now
        for most, lanes in self._ceilings[lane]:
            counted = [one for one in self._spent if one.lane in lanes]
            used = sum(one.weight for one in counted)
            for one in counted:
                if used + weight <= most:
                    break
                used -= one.weight
                free_at_ns = max(free_at_ns, one.at_ns + self._window_ns)
        return free_at_ns if lane is Lane.URGENT else max(free_at_ns, self._held_until_ns)
