"""Counts the markets whose history was read, for the venues' polls that read them, and plans what
is read of the time before the last month. *Pure.*"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from monitor.core.events import HistoryProgressed
from monitor.core.formulas.funding_stress import PAST_HOURS, WINDOW_HOURS
from monitor.core.types import SECOND_NS, EngineNs

FUNDING, PRICES = "funding", "prices"
# Older funding, read once the last month's is known; counted in pages.
PAST = "past funding"
_HOUR_NS = 3600 * SECOND_NS


class WarmUp:
    """Of one poll: says how far it is, whenever that is news.

    Args:
        venue, channel: Whose history, and over which channel it is told.
        kind: ``funding``, ``prices`` or ``past funding``.
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

    @property
    def complete(self) -> bool:
        """Whether a round began and every market that it wanted was read at some time."""
        return bool(self._wanted) and self._known.issuperset(self._wanted)


class PastPage(NamedTuple):
    """Settlements of one market from hour ``first`` to ``last`` (since 1970), both included."""

    market: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """Of this page among all."""
        return f"{self.market} {self.last}"


class PastPages:
    """What is still to be read of the settlements before the last month: all markets' newest page
    first, so that more days are known the longer it goes on.

    Args:
        venue, channel: Whose history, and over which channel it is told.
        rows: How many hours one answer holds.
    """

    def __init__(self, venue: str, channel: str, rows: int) -> None:
        self._rows = rows
        self._warm_up = WarmUp(venue, channel, PAST)
        self._left: list[PastPage] | None = None

    @property
    def planned(self) -> bool:
        """Whether it is known what to read."""
        return self._left is not None

    @property
    def page(self) -> PastPage | None:
        """The next one; None where nothing is left or planned."""
        return self._left[0] if self._left else None

    def plan(self, markets: Sequence[str], now: EngineNs) -> None:
        """Of these markets, as of now; once in the life of a process."""
        hour = now // _HOUR_NS
        self._left = [
            PastPage(market, max(last - self._rows + 1, hour - PAST_HOURS), last)
            for last in range(hour - WINDOW_HOURS - 1, hour - PAST_HOURS - 1, -self._rows)
            for market in markets
        ]
        self._warm_up.begin([page.name for page in self._left], now)

    def done(self, *, more: bool) -> tuple[HistoryProgressed, ...]:
        """The next page was read, or cannot be; without ``more`` the market has nothing older."""
        if not self._left:
            return ()
        read = self._left.pop(0)
        gone = [] if more else [page for page in self._left if page.market == read.market]
        self._left = [page for page in self._left if page not in gone]
        for page in (read, *gone):
            self._warm_up.read(page.name)
        return self._warm_up.news([page.name for page in self._left])
