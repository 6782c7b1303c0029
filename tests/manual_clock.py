"""The clock of the tests: time passes only when a test says so.

``await clock.advance(30)`` wakes sleepers one deadline after the other, in order, and lets the
loop settle after each, so that what a sleeper starts (another sleep included) happens at its own
time. ``jump`` moves time at once for code that never sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from monitor.core.types import SECOND_NS, EngineNs

START_NS = 1_700_000_000 * SECOND_NS
SETTLE_TURNS = 25  # turns of the loop that a chain of callbacks may need after a wake-up


class ManualClock:
    """A ``core.ports.Clock`` under the test's control."""

    def __init__(self, start_ns: EngineNs = START_NS) -> None:
        self._now_ns = start_ns
        self._sleepers: list[tuple[EngineNs, int, asyncio.Future[None]]] = []
        self._number = 0

    def now(self) -> EngineNs:
        """Engine time, nanoseconds."""
        return self._now_ns

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep on this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has advanced time by ``seconds``."""
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        due_ns = self._now_ns + round(seconds * SECOND_NS)
        heapq.heappush(self._sleepers, (due_ns, self._number, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking every sleeper at its own time, earliest first."""
        end_ns = self._now_ns + round(seconds * SECOND_NS)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now_ns = max(self._now_ns, due_ns)
            future.set_result(None)
            await settle()
        self._now_ns = max(self._now_ns, end_ns)  # what woke may have jumped further
        await settle()

    def jump(self, seconds: float) -> None:
        """Move time without letting anything run; due sleepers wake at the next ``advance``."""
        self._now_ns += round(seconds * SECOND_NS)


async def settle(turns: int = SETTLE_TURNS) -> None:
    """Give every ready callback its turn."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], *, limit_s: float = 5.0) -> None:
    """Let the loop (and real sockets) run until ``condition()`` is true; fails after ``limit_s``.

    For tests over loopback only: it waits for I/O, never for time to pass on a clock.
    """
    turns = int(limit_s / 0.001)
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0.001)
    message = f"{condition} did not come true in {turns} turns of the loop"
    raise AssertionError(message)
