"""Quiet rules whose inputs are missing, for whoever must be told that nobody judges. *Pure.*

A rule that neither fires nor knows whether it should is no rule that says that all is well. What no
watched venue could feed, or what a window or a venue's history still fills, is told in the status
and is no blindness; a history that failed, or never began, is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from monitor.core.rules import Rule
from monitor.core.rules.rule import OnUnknown
from monitor.core.state.facts import Lack, Why
from monitor.core.state.model import RiskState, RuleMemory
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    EngineNs,
    Severity,
    Subject,
    SubjectKind,
    louder_than,
    subject_kind,
)

# After which somebody is told (rules catalogue section 0).
QUIET_NS = 300 * SECOND_NS
QUIET_MARGIN_NS = 120 * SECOND_NS
# A history that could not be read is tried again every quarter of an hour.
HISTORY_NS = 1800 * SECOND_NS
JUDGED_NS = 60 * SECOND_NS  # how long a reason or an excuse holds
YOUNGEST_NS = 20 * SECOND_NS  # a reconnect is over by then; nothing younger is looked into
# Of subjects in which the desk has no stake the venue's own rules speak.
_DISTANT = frozenset({SubjectKind.MARKET, SubjectKind.ASSET, SubjectKind.FEED, SubjectKind.RULE})

# The subject that a reason ends at is the one whose news is missing.
_NAMED = re.compile(r"\b(?:account|position|venue|market):\S+?(?=:? |[;,)]|$)")
_GROUP = re.compile(r"\([^()]*\)")

Reasons = Callable[[str, Subject], list[tuple[str, Why]]]


class Unseen(msgspec.Struct, frozen=True, gc=False):
    """One rule about one subject that cannot be judged.

    Args:
        rule, subject: Which.
        at: The subject whose news is missing: what is wider, or rests on it, is blind through it.
        since_ns: Since when its verdict has been unknown without a break, or, where that was
            excused, since it was found not to be any more.
        margin: Whether it is about margin or liquidation, which are told sooner.
        exposed: Whether the account in which news is missing, or which is judged, has positions.
        why: The first input that is missing, and why.
    """

    rule: str
    subject: str
    at: str
    since_ns: EngineNs
    margin: bool
    exposed: bool
    why: str


class _Judged(NamedTuple):
    """Why a rule was blind when last looked at, since when for such a reason; or excused."""

    at_ns: EngineNs
    since_ns: EngineNs
    why: str


class UnseenRules:
    """Finds them; remembers for a minute why each is blind or excused, so that looking is cheap."""

    def __init__(self) -> None:
        self._judged: dict[tuple[str, Subject], _Judged] = {}

    def look(
        self,
        state: RiskState,
        rules: Iterable[Rule],
        reasons: Reasons,
        now: EngineNs,
        *,
        history_due_ns: EngineNs | None,
    ) -> list[Unseen]:
        """Every quiet rule of severity warning or louder that has been unknown for long enough to
        matter, and whose missing inputs should be told.

        Args:
            state: What is known.
            rules: In force.
            reasons: The absent inputs of a (rule, subject), each with why.
            now: Engine time.
            history_due_ns: From when on a history of which nothing was heard has failed; None where
                none is to be read.
        """
        by_id = {rule.id: rule for rule in rules if louder_than(rule.severity, Severity.INFO)}
        failed = _history_failed(state, now, history_due_ns)
        before, self._judged = self._judged, {}
        found = []
        for memory in state.rules.values():
            rule = by_id.get(memory.rule)
            if rule is None or not _blind(rule, memory, now) or not _near(memory.subject):
                continue
            key = memory.rule, memory.subject
            judged = before.get(key)
            since_ns = memory.state.unknown_since_ns or now
            if judged is not None and since_ns > judged.at_ns:
                judged = None  # it was seen in between
            if judged is None or now - judged.at_ns >= JUDGED_NS:
                why = _why(rule, reasons(*key), failed=failed)
                if judged is not None:
                    since_ns = judged.since_ns if judged.why else now
                judged = _Judged(now, since_ns, why)
            self._judged[key] = judged
            limit_ns = QUIET_MARGIN_NS if rule.family == "margin" else QUIET_NS
            if not judged.why or now - judged.since_ns < limit_ns:
                continue
            named = _NAMED.findall(judged.why)
            at = Subject(named[-1]) if named else memory.subject
            found.append(
                Unseen(
                    rule=rule.id,
                    subject=memory.subject,
                    at=at,
                    since_ns=judged.since_ns,
                    margin=rule.family == "margin",
                    exposed=_exposed(state, at) or _exposed(state, memory.subject),
                    why=judged.why,
                )
            )
        return found


def _blind(rule: Rule, memory: RuleMemory, now: EngineNs) -> bool:
    since = memory.state.unknown_since_ns
    return (
        since is not None
        and now - since >= YOUNGEST_NS
        and not memory.state.firing  # whose own words say that it is blind
        and rule.on_unknown is not OnUnknown.FIRE  # which tells of it itself
    )


def _near(subject: Subject) -> bool:
    return subject == PORTFOLIO or subject_kind(subject) not in _DISTANT


def _needs_all(rule: Rule) -> bool:
    """Whether a rule is a plain AND, so that no part of it is true by itself; what a part in
    parentheses is made of is not looked into."""
    if rule.when is None:
        return False
    text, found = rule.when.text, 1
    while found:
        text, found = _GROUP.subn("", text)
    return not any(sign in text for sign in ("||", "!", "?"))


def _why(rule: Rule, absent: list[tuple[str, Why]], *, failed: str) -> str:
    """What is missing though it should be told; empty where nothing is."""
    if _needs_all(rule) and any(why.lack is Lack.CHOICE for _, why in absent):
        return ""  # it is not judged with all the rest known, either
    for name, why in absent:
        if why.lack is Lack.MISSING:
            return f"{name}: {why.reason}"
    for name, why in absent:
        if failed and why.lack is Lack.HISTORY:
            return f"{name}: {why.reason}; {failed}"
    return ""


def _history_failed(state: RiskState, now: EngineNs, due_ns: EngineNs | None) -> str:
    """Why no more of the past is to be expected; empty while it is read, or was."""
    known = [one for venue in state.venues.values() for one in venue.histories.values()]
    if not known:
        begun = due_ns is None or now < due_ns
        return "" if begun else "the reading of history never began"
    stuck = [one for one in known if one.unread and not one.waiting]
    if stuck and all(now - one.began_ns >= HISTORY_NS for one in stuck):
        return f"the history of {sum(len(one.unread) for one in stuck)} markets could not be read"
    return ""


def _exposed(state: RiskState, subject: Subject) -> bool:
    """Whether the account of the subject holds anything; not asked of what is wider."""
    kind, _, names = subject.partition(":")
    if kind not in {SubjectKind.ACCOUNT, SubjectKind.POSITION}:
        return False
    venue, _, rest = names.partition("/")
    place = state.venues.get(venue)
    account = None if place is None else place.accounts.get(rest.partition("/")[0])
    return account is not None and any(one.size for one in account.positions.values())
