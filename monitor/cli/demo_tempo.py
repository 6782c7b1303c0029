"""How fast ``riskd demo`` is seen: at its scenario's pace, slower while something acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from monitor.core.types import SECOND_NS, EngineNs
from monitor.runtime.paced_clock import PacedClock

SLOW = 3.0  # at most, while the kill switch or a person acts
LOOKED_S = 6.0  # of simulated time that one event is looked at
LOOKED_S_MAX = 120.0  # in all: whatever happens, the show ends in time
STEP_S = 0.5


class Tempo:
    """Sets the speed of the demo's clock.

    Args:
        clock: The demo's.
        fixed: The watcher chose a speed, and nothing changes it.
    """

    def __init__(self, clock: PacedClock, *, fixed: bool) -> None:
        self._clock = clock
        self._fixed = fixed
        self._pace = clock.speed
        self._until_ns: EngineNs = 0
        self._left_s = LOOKED_S_MAX
        self.changed: Callable[[float], None] = lambda _speed: None

    def pace(self, speed: float) -> None:
        """What the scenario asks for from here."""
        self._pace = speed
        self._apply()

    def look(self) -> None:
        """Something happens that is worth seeing: slow for a while."""
        self._until_ns = self._clock.now() + round(LOOKED_S * SECOND_NS)
        self._apply()

    async def run(self) -> NoReturn:
        """Go back to the pace when it was looked at for long enough; for ever."""
        while True:
            await self._clock.sleep(STEP_S)
            if self._slow:
                self._left_s -= STEP_S
            self._apply()

    @property
    def _slow(self) -> bool:
        return self._clock.now() < self._until_ns and self._left_s > 0.0

    def _apply(self) -> None:
        if self._fixed:
            return
        speed = min(self._pace, SLOW) if self._slow else self._pace
        if speed != self._clock.speed:
            self._clock.speed = speed
            self.changed(speed)
