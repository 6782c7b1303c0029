"""When rules have lost sight of their inputs for long enough to tell somebody.

Of rules that fire: reconnects take seconds and would flap; so a minute of unbroken blindness begins
it, a minute of unbroken sight ends it, and one account or venue is told of once, whatever fires
there. Of quiet ones: after five minutes, two where they are about margin, unless another page says
already that the place cannot be seen; the time begins anew when that one ends. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from monitor.core.rule_unseen import QUIET_MARGIN_NS, QUIET_NS, Unseen
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


class Quiet:
    """Remembers until when each place was said to be unseen by others, and since when each place
    that was told of is seen."""

    def __init__(self) -> None:
        self._said_ns: dict[str, EngineNs] = {}
        self._seen_since: dict[str, EngineNs] = {}

    def judge(
        self,
        unseen: Iterable[Unseen],
        told: Collection[str],
        said: Callable[[str], bool],
        now: EngineNs,
    ) -> tuple[Mapping[str, list[Unseen]], list[str]]:
        """What to begin and what to end telling.

        Args:
            unseen: Every quiet rule that cannot be judged, and should be.
            told: Places that are being told of.
            said: Whether another page says already that a place cannot be seen.
            now: Engine time; calls come at least every half minute.

        Returns:
            What to tell of each place, those of exposed accounts first; places told of where
            everything was seen for a minute.
        """
        places: dict[str, list[Unseen]] = {}
        for one in unseen:
            places.setdefault(place_of(one.at), []).append(one)
        begins: dict[str, list[Unseen]] = {}
        for place, rules in places.items():
            if place in told:
                continue
            if said(place):
                self._said_ns[place] = now
                continue
            began_ns = self._said_ns.get(place, 0)
            due = [
                one
                for one in rules
                if now - max(one.since_ns, began_ns)
                >= (QUIET_MARGIN_NS if one.margin else QUIET_NS)
            ]
            if due:
                begins[place] = sorted(due, key=lambda one: (not one.margin, one.rule))
        self._said_ns = {place: at for place, at in self._said_ns.items() if place in places}
        self._seen_since = {
            place: self._seen_since.get(place, now) for place in told if place not in places
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
