"""Clocks: the only places where the daemon reads time.

``engine_ns`` is wall time at start plus monotonic time since, so a step of the wall clock can
neither hide a dead feed nor fire a false alarm. Deadlines of the network itself (connecting,
sending, one HTTP answer) stay in real seconds, because a network does not run faster in a scaled
world.
"""

from __future__ import annotations

import asyncio
import time

from monitor.core.types import SECOND_NS, EngineNs


class SystemClock:
    """Engine time of a live daemon.

    Args:
        not_before_ns: The newest engine time that was persisted; a wall clock that was set back
            between two runs must not make stored deadlines lie in the future.
    """

    def __init__(self, *, not_before_ns: EngineNs = 0) -> None:
        self._monotonic_at_start_ns = time.monotonic_ns()
        self._offset_ns = max(time.time_ns(), not_before_ns) - self._monotonic_at_start_ns

    def now(self) -> EngineNs:
        """Engine time, nanoseconds; never goes back within a process."""
        return self._offset_ns + time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``; zero or less only yields to the loop."""
        await asyncio.sleep(max(0.0, seconds))

    def wall_offset_s(self) -> float:
        """Wall clock minus engine time, seconds: how far the wall clock was stepped since start."""
        return (time.time_ns() - self.now()) / SECOND_NS


class ScaledClock:
    """Engine time that runs ``speed`` times as fast as the wall, for demos and simulated hours."""

    def __init__(self, speed: float, *, start_ns: EngineNs | None = None) -> None:
        if speed <= 0.0:
            message = f"The speed of a clock must be above zero, not {speed}."
            raise ValueError(message)
        self.speed = speed
        self._start_ns = time.time_ns() if start_ns is None else start_ns
        self._monotonic_at_start_ns = time.monotonic_ns()

    def now(self) -> EngineNs:
        """Engine time, nanoseconds; equals wall time (or ``start_ns``) at construction."""
        elapsed_ns = time.monotonic_ns() - self._monotonic_at_start_ns
        return self._start_ns + int(elapsed_ns * self.speed)

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of engine time, which is ``seconds / speed`` of real time."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)
