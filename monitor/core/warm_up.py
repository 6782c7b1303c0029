"""Counts the markets whose history was read, for the venues' polls that read them. *Pure.*"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.events import HistoryProgressed
from monitor.core.types import EngineNs

FUNDING, PRICES = "funding", "prices"


class WarmUp:
    """Of one poll: says how far it is, whenever that is news.

    Args:
        venue, channel: Whose history, and over which channel it is told.
        kind: ``funding`` or ``prices``.
    """

    def __init__(self, venue: str, channel: str, kind: str) -> None:
        self._venue = venue
        self._channel = channel
        self._kind = kind
        self._known: set[str] = set()
        self._wanted: tuple[str, ...] = ()
        self._read = 0
        self._began_ns: EngineNs = 0
        self._told: tuple[int, tuple[str, ...], int] | None = None

    def begin(self, wanted: Sequence[str], now: EngineNs) -> None:
        """A round begins; ``wanted`` are all markets whose history matters."""
        self._wanted = tuple(wanted)
        self._began_ns, self._read = now, 0

    def read(self, market: str) -> None:
        """A market's history was read to its end."""
        self._known.add(market)
        self._read += 1

    def news(self, left: Sequence[str]) -> tuple[HistoryProgressed, ...]:
        """How far it is, with ``left`` still to be read in this round; nothing where that was told.

        What is read again each hour is no progress.
        """
        unread = tuple(name for name in self._wanted if name not in self._known)
        waiting = sum(name in unread for name in left)
        told = (len(self._wanted), unread, waiting)
        if told == self._told or not self._wanted:
            return ()
        self._told = told
        return (
            HistoryProgressed(
                venue=self._venue,
                channel=self._channel,
                kind=self._kind,
                wanted=len(self._wanted),
                unread=unread,
                waiting=waiting,
                read=self._read,
                began_ns=self._began_ns,
            ),
        )
