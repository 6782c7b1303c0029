"""The numbers that dYdX's server gives to the messages of one connection, and the holes in them.

The server reserves the id of a ``subscribed`` reply when the request arrives, so replies come late
and ids have holes for a while; a hole that stays is a lost message. *Pure.*
"""

from __future__ import annotations

from monitor.core.errors import SequenceGap
from monitor.core.types import SECOND_NS, EngineNs

GAP_NS = 10 * SECOND_NS
GAP_MAX = 10_000  # so many ids missing at once is no reordering


class MessageIds:
    """The holes in a connection's message ids."""

    def __init__(self) -> None:
        self.next: int | None = None
        self._missing: dict[int, EngineNs] = {}

    def seen(self, message_id: int, now: EngineNs) -> None:
        """A message came. Raises ``SequenceGap`` if it is absurdly far ahead."""
        expected = self.next
        if expected is None or message_id == expected:
            self.next = message_id + 1
        elif message_id < expected:
            self._missing.pop(message_id, None)
        else:
            if message_id - expected > GAP_MAX:
                raise SequenceGap(f"dYdX message ids jump from {expected - 1} to {message_id}.")
            for skipped in range(expected, message_id):
                self._missing[skipped] = now
            self.next = message_id + 1

    def overdue(self, now: EngineNs) -> int:
        """How many ids have been missing for longer than a reordering takes."""
        return sum(1 for since in self._missing.values() if now - since > GAP_NS)

    def whole(self, excused: int) -> bool:
        """Whether nothing is missing but replies that were asked for."""
        return len(self._missing) <= excused
