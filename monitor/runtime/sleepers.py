"""What clocks have in common whose time is moved by hand, step by step: who sleeps until when, and
what the wall shows at a moment of a time that may stand still.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time

from monitor.core.types import SECOND_NS, EngineNs

TURNS = 3  # of the loop, before a moment counts as seen: what was woken runs, what came is read
STEP_S_MAX = 0.25  # of engine time that passes at once
# A loop that was busy makes up for this much real time, in steps; of a longer pause the rest never
# happened.
CREDIT_S = 0.15


class Pace:
    """How much engine time is due: as much as passed on the wall times ``speed``, less what was
    given out."""

    def __init__(self) -> None:
        self._looked_s = time.monotonic()
        self._due_s = 0.0

    def step_ns(self, speed: float) -> int:
        """The next step, at most ``STEP_S_MAX``; to be ``spend``-ed where it is made."""
        now_s = time.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        self._due_s = min(self._due_s + passed_s * speed, max(CREDIT_S * speed, STEP_S_MAX))
        return round(min(self._due_s, STEP_S_MAX) * SECOND_NS)

    def spend(self, step_ns: int) -> bool:
        """Take a step off what is due; true where a whole one is still due."""
        self._due_s = max(0.0, self._due_s - step_ns / SECOND_NS)
        return self._due_s >= STEP_S_MAX


async def turn() -> None:
    """Let the loop turn until what a moment brought has been dealt with."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Sleepers:
    """Tasks that wait for a moment of engine time."""

    def __init__(self) -> None:
        self._waiting: list[tuple[EngineNs, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def sleep(self, now: EngineNs, seconds: float) -> None:
        """Wait until ``seconds`` after ``now``; zero or less only yields to the loop."""
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = now + round(seconds * SECOND_NS)
        heapq.heappush(self._waiting, (due_ns, next(self._order), woken))
        await woken

    def wake(self, now: EngineNs) -> None:
        """Wake whoever waited for a moment up to ``now``."""
        while self._waiting and self._waiting[0][0] <= now:
            woken = heapq.heappop(self._waiting)[2]
            if not woken.done():
                woken.set_result(None)


def wall_ns_of(engine_ns: EngineNs, now: EngineNs, speed: float) -> int:
    """The wall's time (nanoseconds since the epoch) of a moment of a time that waits.

    What passed is taken to have passed at ``speed``. How long what is to come will take nobody
    knows: it is told as late as without any speed, so that nothing which is promised to last until
    then (an alert in Alertmanager) ends before.
    """
    ahead_ns = engine_ns - now
    return time.time_ns() + (ahead_ns if ahead_ns > 0 else round(ahead_ns / speed))
