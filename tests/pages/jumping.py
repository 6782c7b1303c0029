"""Time that passes as fast as the work in it gets done: for whole hours within a unit test.

Whenever the loop has nothing left to do, engine time jumps to the next moment that anybody sleeps
for. Sockets of the loopback deliver at once, so nothing is ever late; a slow machine takes longer
and sees the same.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
import time

from monitor.core.types import SECOND_NS, EngineNs
from tests.killpath.virtual_time import frames_of_threads, threads_work

BUSY_S, BUSY_POLL_S = 15.0, 0.002
POLL_S = 0.05  # while nobody sleeps on the clock: the store's thread, or an end


class JumpingClock:
    """A ``core.ports.Clock`` that jumps; ``loop()`` makes the event loop that lets it."""

    speed = 1e6  # what is measured in real seconds beside it is never late

    def __init__(self, start_ns: EngineNs) -> None:
        self._now_ns = start_ns
        self._sleepers: list[tuple[EngineNs, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> EngineNs:
        """Engine time, nanoseconds."""
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of engine time; zero or less only yields to the loop."""
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = self._now_ns + round(seconds * SECOND_NS)
        heapq.heappush(self._sleepers, (due_ns, next(self._order), woken))
        await woken

    def to_wall_ns(self, engine_ns: EngineNs) -> int:
        """As if engine time were the wall's from now on."""
        return time.time_ns() + engine_ns - self._now_ns

    def loop(self) -> asyncio.AbstractEventLoop:
        """An event loop whose idleness lets this clock jump."""
        return asyncio.SelectorEventLoop(_JumpingSelector(self))

    def jump(self) -> bool:
        """To the next moment somebody sleeps for, and wake them; False where nobody does."""
        while self._sleepers:
            due_ns, _, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue
            self._now_ns = max(self._now_ns, due_ns)
            woken.set_result(None)
            return True
        return False


class _JumpingSelector(selectors.DefaultSelector):
    """Asked to wait, it lets time jump instead."""

    def __init__(self, clock: JumpingClock) -> None:
        super().__init__()
        self._clock = clock
        self._strangers = frozenset(frames_of_threads())  # of the test's surroundings

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        # What a thread (the store's) is busy with is waited for: its answer comes by a socket.
        give_up_s = time.monotonic() + BUSY_S
        while threads_work(self._strangers) and time.monotonic() < give_up_s:
            found = super().select(BUSY_POLL_S)
            if found:
                return found
        found = super().select(0)
        if found or self._clock.jump():
            return found
        return super().select(POLL_S if timeout is None else min(timeout, POLL_S))
