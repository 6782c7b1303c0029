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
    Severity,
    SubjectKind,
    account_subject,
    venue_subject,
)
from monitor.notify.folding import lies_in
from monitor.notify.notice import ActiveAlert, at_least

INPUTS_STALE = "RuleInputsStale"
INPUTS_UNKNOWN = "RuleInputsUnknown"
# Built-in rules whose page says already that a venue's numbers are missing.
EXPLAIN_BLINDNESS = (
    "account_truth_stale",
    "feed_rejecting_frames",
    "venue_stalled",
    "venue_unreachable",
)
# Those, and the quieter ones that say it of a part: what they explain is told once.
# What ails a venue as a whole: the book's own numbers lack it, too.
VENUE_AILS = frozenset({"indexer_lag", "oracle_frozen", "venue_unhealthy"})
EXPLAIN_UNKNOWN = frozenset(
    {
        *EXPLAIN_BLINDNESS,
        "channel_lost",
        "data_stale",
        "feed_disconnected",
        "funding_blind",
        "funding_stress_blind",
        "indexer_lag",
        "oracle_frozen",
        "oracle_stale",
        "venue_unhealthy",
        f"{INPUTS_STALE}!",
        f"{INPUTS_UNKNOWN}!",
    }
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
    """Remembers until when others said of each rule that it cannot be judged, and since when each
    place that was told of is seen."""

    def __init__(self) -> None:
        self._said_ns: dict[tuple[str, str], EngineNs] = {}
        self._seen_since: dict[str, EngineNs] = {}

    def judge(
        self,
        unseen: Iterable[Unseen],
        told: Mapping[str, Severity],
        said: Callable[[Unseen], bool],
        now: EngineNs,
    ) -> tuple[Mapping[str, list[Unseen]], list[str]]:
        """What to begin and what to end telling.

        Args:
            unseen: Every quiet rule that cannot be judged, and should be.
            told: Places that are being told of, and how loudly.
            said: Whether another page says already why a rule cannot be judged.
            now: Engine time; calls come at least every half minute.

        Returns:
            What to tell of each place, those of exposed accounts first: also where that was told
            quietly and must be loud now; places told of where everything was seen for a minute.
        """
        begins: dict[str, list[Unseen]] = {}
        places: set[str] = set()
        before, self._said_ns = self._said_ns, {}
        for one in unseen:
            key, place = (one.rule, one.subject), place_of(one.at)
            places.add(place)
            quietly = place in told and not at_least(told[place], Severity.HIGH)
            if place in told and not quietly:
                continue
            # Of what is told already, that page itself is no reason to leave it out.
            explained = (is_loud(one) or not quietly) and said(one)
            began_ns = now if explained else before.get(key, 0)
            if began_ns:
                self._said_ns[key] = began_ns
            limit_ns = QUIET_MARGIN_NS if one.margin else QUIET_NS
            if now - max(one.since_ns, began_ns) >= limit_ns:
                begins.setdefault(place, []).append(one)
        begins = {
            place: rules
            for place, rules in begins.items()
            if place not in told or any(is_loud(one) for one in rules)
        }
        for rules in begins.values():
            rules.sort(key=lambda one: (not is_loud(one), not one.margin, one.rule))
        self._seen_since = {
            place: self._seen_since.get(place, now) for place in told if place not in places
        }
        ends = [place for place, since in self._seen_since.items() if now - since >= TELL_NS]
        return begins, ends


def explains(alert: ActiveAlert, unseen: Unseen) -> bool:
    """Whether an alert says why a rule cannot be judged: of it, or of what it rests on."""
    if alert.rule not in EXPLAIN_UNKNOWN:
        return False
    names_it = alert.subject != PORTFOLIO and lies_in(unseen.at, alert.subject)
    sees_nothing = alert.rule in EXPLAIN_BLINDNESS and at_least(alert.severity, Severity.HIGH)
    if is_loud(unseen):
        return sees_nothing and names_it
    if alert.rule.startswith("funding_") and not unseen.why.startswith("funding_"):
        return False
    place = place_of(unseen.at)
    if place == PORTFOLIO:
        ails = alert.rule in VENUE_AILS and alert.subject.startswith("venue:")
        return ails or sees_nothing or names_it or alert.subject == PORTFOLIO
    # That a venue is dark says it of its accounts; that its own rules are, does not.
    return lies_in(alert.subject, place) or (names_it and not alert.rule.endswith("!"))


def is_loud(unseen: Unseen) -> bool:
    """Whether margin of something held is not judged."""
    return unseen.margin and unseen.exposed


def place_of(subject: str) -> str:
    """The account, else the venue, that a subject belongs to; the portfolio for what is wider."""
    kind, _, parts = subject.partition(":")
    venue, _, rest = parts.partition("/")
    if kind in {SubjectKind.ACCOUNT, SubjectKind.POSITION}:
        return account_subject(venue, rest.partition("/")[0])
    if kind in _IN_VENUE:
        return venue_subject(venue)
    return PORTFOLIO
