"""When rules that fire have lost sight of their inputs for long enough to tell somebody.

Reconnects take seconds and would flap; so a minute of unbroken blindness begins it, a minute of
unbroken sight ends it, and one account or venue is told of once, whatever fires there. *Pure.*
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    EngineNs,
    SubjectKind,
    account_subject,
    venue_subject,
)

TELL_NS = 60 * SECOND_NS

_IN_VENUE = frozenset({SubjectKind.VENUE, SubjectKind.MARKET, SubjectKind.FEED})


class Blindness:
    """Remembers since when each firing rule is blind, and since when each place is not."""

    def __init__(self) -> None:
        self._blind_since: dict[tuple[str, str], EngineNs] = {}
        self._seen_since: dict[str, EngineNs] = {}

    def judge(
        self, blind: Collection[tuple[str, str]], told: Iterable[str], now: EngineNs
    ) -> tuple[Mapping[str, list[str]], list[str]]:
        """What to begin and what to end telling.

        Args:
            blind: Every firing (rule, subject) whose verdict is UNKNOWN now.
            told: Places that are being told of.
            now: Engine time; calls come at least every few seconds.

        Returns:
            Rules by place that have been blind for a minute and are not told of; places told of
            where nothing was blind for a minute.
        """
        self._blind_since = {key: self._blind_since.get(key, now) for key in blind}
        places = {place_of(subject) for _, subject in blind}
        known = set(told)
        begins: dict[str, list[str]] = {}
        for (rule, subject), since in self._blind_since.items():
            place = place_of(subject)
            if place not in known and now - since >= TELL_NS:
                begins.setdefault(place, []).append(rule)
        self._seen_since = {
            place: self._seen_since.get(place, now) for place in known if place not in places
        }
        ends = [place for place, since in self._seen_since.items() if now - since >= TELL_NS]
        return begins, ends


def place_of(subject: str) -> str:
    """The account, else the venue, that a subject belongs to; the portfolio for what is wider."""
    kind, _, parts = subject.partition(":")
    venue, _, rest = parts.partition("/")
    if kind in {SubjectKind.ACCOUNT, SubjectKind.POSITION}:
        return account_subject(venue, rest.partition("/")[0])
    if kind in _IN_VENUE:
        return venue_subject(venue)
    return PORTFOLIO
