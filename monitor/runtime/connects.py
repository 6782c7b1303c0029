"""How many WebSockets a venue lets one address open in a minute, shared by all its connections.

Ten connections that die together and back off by themselves would exceed it, and the venue answers
that with a ban of the address, which is then blind for longer than the outage was.
"""

from __future__ import annotations

import asyncio
from collections import deque

from monitor.core.errors import ConfigError
from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS, EngineNs

# A second more than the minute that is counted: an attempt reaches the venue later than it leaves.
WINDOW_NS = 61 * SECOND_NS


class ConnectBudget:
    """Attempts to connect within the last minute; first come, first served.

    Args:
        per_minute: How many are allowed; None for any number.
        clock: Whose minutes they are.
    """

    def __init__(self, per_minute: int | None, clock: Clock) -> None:
        if per_minute is not None and per_minute < 1:
            message = f"A venue that allows {per_minute} connections a minute cannot be watched."
            raise ConfigError(message)
        self._clock = clock
        self._per_minute = per_minute
        self._attempts: deque[EngineNs] = deque(maxlen=per_minute)
        self._turn = asyncio.Lock()  # hands over in order of arrival: that is the whole queue

    async def take(self) -> None:
        """Wait until one more attempt may be made, and count it."""
        if self._per_minute is None:
            return
        async with self._turn:
            attempts = self._attempts
            if len(attempts) == self._per_minute:
                wait_ns = attempts[0] + WINDOW_NS - self._clock.now()
                if wait_ns > 0:
                    await self._clock.sleep(wait_ns / SECOND_NS)
            attempts.append(self._clock.now())
