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
    """Engine time of a live daemon."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def not_before(self, kept_ns: EngineNs) -> None:
        """Begin no earlier than ``kept_ns``, the newest time that was kept; for the start only.

        A wall clock that was set back between two runs must not make kept deadlines lie in the
        future.
        """
        self._offset_ns += max(0, kept_ns - self.now())

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
    """Engine time that runs ``speed`` times as fast as the wall, for demos and simulated hours.

    Args:
        speed: Seconds of engine time in one real second.
        start_ns: Engine time at ``since_ns``; the wall's own when None.
        since_ns: Wall time at which it was ``start_ns``; now when None. Two processes with the same
            three numbers share one time.
    """

    def __init__(
        self, speed: float, *, start_ns: EngineNs | None = None, since_ns: int | None = None
    ) -> None:
        if speed <= 0.0:
            message = f"The speed of a clock must be above zero, not {speed}."
            raise ValueError(message)
        wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        self.speed = speed
        self.since_ns = wall_ns if since_ns is None else since_ns
        self.start_ns = self.since_ns if start_ns is None else start_ns
        self._monotonic_at_start_ns = monotonic_ns - (wall_ns - self.since_ns)

    def now(self) -> EngineNs:
        """Engine time, nanoseconds; was ``start_ns`` when the wall showed ``since_ns``."""
        elapsed_ns = time.monotonic_ns() - self._monotonic_at_start_ns
        return self.start_ns + int(elapsed_ns * self.speed)

    def to_wall_ns(self, engine_ns: EngineNs) -> int:
        """The wall's time of a moment of engine time, for programs that live in wall time."""
        return self.since_ns + round((engine_ns - self.start_ns) / self.speed)

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of engine time, which is ``seconds / speed`` of real time."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)
