"""What a venue says of itself: its clock and height, its health, how much it may be asked.

*Pure.*
"""

from __future__ import annotations

from monitor.core.events.base import VenueEventBase


class HistoryProgressed(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """How far the reading of one kind of history has come: ``funding`` or ``prices``.

    Args:
        kind: Which.
        wanted: Markets whose history is wanted.
        unread: Those of which nothing was read since the start of this process.
        waiting: How many of the unread are still to be read in this round; the others could not be.
        read: How many were read in it.
        began_ns: When the round began.
    """

    kind: str
    wanted: int
    unread: tuple[str, ...]
    waiting: int
    read: int
    began_ns: int


class ChainTimeSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """The venue's newest block or exchange time, and its height where it has one.

    ``source`` tells apart ``stream``, ``indexer``, ``validator`` and ``exchange``."""

    source: str
    time_ns: int | None = None
    height: int | None = None


class VenueStatusSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """The venue's own word about itself; ``healthy`` False for anything but its normal text."""

    healthy: bool
    detail: str


class RequestBudgetSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """How many address-based requests an account has used and may use."""

    account: str
    used: int
    cap: int


class ClockSkewSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Venue clock minus ours, seconds, from an answer whose round trip was short."""

    skew_s: float


VenueEvent = ChainTimeSeen | VenueStatusSeen | RequestBudgetSeen | ClockSkewSeen | HistoryProgressed
