"""A fast simulated time for one process, which never outruns the loop that lives in it.

A clock that is a multiple of the wall turns a pause of the machine into seconds in which a whole
simulated world said nothing, and every rule about silence fires. This one moves in small steps, and
only while the loop gets round to what each of them brings: on a slow machine the same story simply
takes longer.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from monitor.core.types import EngineNs
from monitor.runtime.sleepers import Pace, Sleepers, turn, wall_ns_of

POLL_S = 0.005  # a fraction of what a look at the simulated world costs


class PacedClock:
    """Engine time that ``run`` moves, at most ``speed`` times as fast as the wall.

    Args:
        speed: Simulated seconds in a real one, at most; may be set anew at any moment.
        start_ns: Engine time to begin at.
    """

    def __init__(self, *, speed: float, start_ns: EngineNs) -> None:
        if speed <= 0.0:
            message = f"The speed of a clock must be above zero, not {speed}."
            raise ValueError(message)
        self.speed = speed
        self._now = start_ns
        self._sleepers = Sleepers()

    def now(self) -> EngineNs:
        """Engine time, nanoseconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of engine time; zero or less only yields to the loop."""
        await self._sleepers.sleep(self._now, seconds)

    def to_wall_ns(self, engine_ns: EngineNs) -> int:
        """The wall's time of a moment of engine time; see ``wall_ns_of``."""
        return wall_ns_of(engine_ns, self._now, self.speed)

    async def run(self) -> NoReturn:
        """Let time pass; a task beside whatever lives in it. Without it time stands still."""
        pace, behind = Pace(), False
        while True:
            await asyncio.sleep(0.0 if behind else POLL_S)
            step_ns = pace.step_ns(self.speed)
            self._now += step_ns
            behind = pace.spend(step_ns)
            self._sleepers.wake(self._now)
            await turn()
