"""How high each source says the chain is, so that a dead channel is told from a halted chain.

Both stuck is a halt and reconnecting would not help; REST moving while a socket's block channel is
silent is a dead channel. *Pure.*
"""

from __future__ import annotations

from monitor.core.types import SECOND_NS, EngineNs

_MOVING_NS = 30 * SECOND_NS


class ChainHeights:
    """The newest heights of the indexer's REST and of the validators."""

    def __init__(self) -> None:
        self._indexer = -1
        self._indexer_moved_at: EngineNs | None = None
        self._validator = -1

    def indexer(self, height: int, now: EngineNs) -> None:
        """The indexer's REST says it has processed this block."""
        if height > self._indexer:
            # The first height proves nothing yet: it takes two to move.
            self._indexer_moved_at = None if self._indexer < 0 else now
            self._indexer = height

    def validator(self, height: int) -> bool:
        """A validator says this height; True if none was higher, so that the highest counts."""
        highest = height >= self._validator
        self._validator = max(self._validator, height)
        return highest

    @property
    def newest(self) -> int | None:
        """The highest block any REST source told; None before the first."""
        height = max(self._indexer, self._validator)
        return height if height >= 0 else None

    def moving(self, now: EngineNs) -> bool:
        """Whether REST saw the chain move within half a minute."""
        moved_at = self._indexer_moved_at
        return moved_at is not None and now - moved_at < _MOVING_NS
