"""How high each source says the chain is, so that a dead channel is told from a halted chain.

Both stuck is a halt and reconnecting would not help; REST moving while a socket's block channel is
silent is a dead channel. A height that no chain can have reached is refused wherever it is told:
as the newest of its source it would make everything true look old for ever. *Pure.*
"""

from __future__ import annotations

from monitor.core.errors import DecodeError
from monitor.core.types import SECOND_NS, EngineNs

HEIGHT_JUMP_MAX = 10_000_000  # three months of blocks
FIRST_HEIGHT_MAX = 1_000_000_000  # twenty years of blocks, while no height is known to judge by
_MOVING_NS = 30 * SECOND_NS


class ChainHeights:
    """The newest heights of the indexer's REST and of the validators."""

    def __init__(self) -> None:
        self._indexer = -1
        self._indexer_moved_at: EngineNs | None = None
        self._validator = -1
        self._highest = -1

    def plausible(self, height: int | None, what: str) -> int | None:
        """``height`` itself, of whatever source, if the chain can have it; the highest counts.

        Raises:
            DecodeError: Naming ``what`` and the height.
        """
        if height is None or height <= self._highest:
            return height
        known = self._highest >= 0
        if height > (self._highest + HEIGHT_JUMP_MAX if known else FIRST_HEIGHT_MAX):
            beyond = f"; the chain was last at {self._highest}" if known else ""
            raise DecodeError(f"dYdX {what} is {height}, beyond any block{beyond}.")
        self._highest = height
        return height

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
