"""Waiting within a command's deadline: what would end after it is not begun."""

from __future__ import annotations

from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS, EngineNs
from monitor.runtime.budget import RequestBudget


class Pause:
    """The waits of one command."""

    def __init__(self, clock: Clock, budget: RequestBudget, *, deadline_ns: EngineNs) -> None:
        self._clock = clock
        self._budget = budget
        self._deadline_ns = deadline_ns

    async def wait(self, seconds: float) -> bool:
        """Wait; False, at once, where the deadline would pass meanwhile."""
        if self._clock.now() + round(seconds * SECOND_NS) >= self._deadline_ns:
            return False
        await self._clock.sleep(seconds)
        return True

    async def limited(self, retry_after_s: float) -> bool:
        """The venue says that the IP address asks too much: reads pause, and so does this."""
        self._budget.hold_reads(retry_after_s)
        return await self.wait(retry_after_s)
