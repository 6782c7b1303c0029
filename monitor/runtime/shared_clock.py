"""One simulated time for two processes, which never outruns either of them.

A world that runs at twenty times the speed turns a pause of the machine of half a second into ten
seconds of silence, and every rule about silence fires. So the simulator leads in small steps, the
daemon follows and says how far it got, and time waits for whoever is behind; while nobody follows
it stands still. Both look at one small mapped file.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from pathlib import Path
from typing import NoReturn

from monitor.core.types import SECOND_NS, EngineNs
from monitor.runtime.sleepers import Pace, Sleepers, turn, wall_ns_of

POLL_S = 0.003  # each look costs some 50 us in two processes
LEAD_S = 2.0  # how far time may be ahead of what the follower has seen
BLOCKED_S = 0.2  # how long to wait before asking whether the follower still lives
_NOW, _SEEN, _PID, _SLOTS = 0, 1, 2, 3
_BYTES = 8 * _SLOTS


class SharedClock:
    """Engine time kept in a file; ``lead`` or ``follow`` it as a task beside whatever uses it.

    Args:
        path: The file; the leader makes it anew, the follower finds it.
        speed: Simulated seconds in a real one, at most.
        start_ns: Engine time to begin at; given by the leader only.
    """

    def __init__(self, path: Path, *, speed: float, start_ns: EngineNs | None = None) -> None:
        if speed <= 0.0:
            message = f"The speed of a clock must be above zero, not {speed}."
            raise ValueError(message)
        self.speed = speed
        if start_ns is not None:
            path.write_bytes(bytes(_BYTES))
        with path.open("r+b") as file:
            self._slots = memoryview(mmap.mmap(file.fileno(), _BYTES)).cast("q")
        if start_ns is not None:
            self._slots[_NOW] = start_ns
        self._sleepers = Sleepers()

    def now(self) -> EngineNs:
        """Engine time, nanoseconds."""
        return self._slots[_NOW]

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of engine time; zero or less only yields to the loop."""
        await self._sleepers.sleep(self.now(), seconds)

    def to_wall_ns(self, engine_ns: EngineNs) -> int:
        """The wall's time of a moment of engine time; see ``wall_ns_of``."""
        return wall_ns_of(engine_ns, self.now(), self.speed)

    def show(self, now_ns: EngineNs) -> None:
        """Let readers of the file see this moment of a time that is moved elsewhere; instead of
        ``lead``."""
        self._slots[_NOW] = now_ns

    async def lead(self) -> NoReturn:
        """Let time pass while somebody follows; the leader's task."""
        slots, pace, behind = self._slots, Pace(), False
        moved_s = time.monotonic()
        while True:
            await asyncio.sleep(0.0 if behind else POLL_S)
            step_ns, behind = pace.step_ns(self.speed), False
            if slots[_PID] and slots[_NOW] + step_ns <= slots[_SEEN] + LEAD_S * SECOND_NS:
                slots[_NOW] += step_ns
                behind = pace.spend(step_ns)
                moved_s = time.monotonic()
                self._sleepers.wake(slots[_NOW])
                await turn()
            elif slots[_PID] and time.monotonic() - moved_s > BLOCKED_S:
                moved_s = time.monotonic()
                if not _lives(slots[_PID]):
                    slots[_PID] = 0

    async def follow(self) -> NoReturn:
        """Live in the leader's time and say how far it was seen; the follower's task."""
        slots = self._slots
        slots[_SEEN] = slots[_NOW]
        slots[_PID] = os.getpid()
        try:
            while True:
                await asyncio.sleep(POLL_S)
                seen_ns = slots[_NOW]
                self._sleepers.wake(seen_ns)
                await turn()
                slots[_SEEN] = seen_ns
        finally:
            if slots[_PID] == os.getpid():
                slots[_PID] = 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
