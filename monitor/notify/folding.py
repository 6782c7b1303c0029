"""One fault, one page: alerts folded into the one that people are told of, and what silences what.

A rule may be judged about many subjects and told about the place they lie in (``page_per``): its
alerts are then members of one alert of that place, which names them. And it may name louder rules
(``covered_by``) that say the same and more: while one of those fires about the same place or a
wider one, and still sees what it judges, nobody is told. Nothing is ever resolved by that. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, Severity, louder_than
from monitor.notify.alerts import DispatchPolicy
from monitor.notify.notice import (
    SUMMARY_MAX,
    ActiveAlert,
    alert_labels,
    dedup_key,
    digest_of,
    shorten,
    with_annotation,
)

# Before people are told of what may be covered or joined, so that the louder alert of the same
# fault may come first and one page can name all. A socket on which nothing comes any more is silent
# after ten seconds, and a venue of such sockets unreachable after 65: the wait of a warning that
# fires after half a minute has to outlast the difference. What is critical never waits.
WAIT_NS = {
    Severity.INFO: 45 * SECOND_NS,
    Severity.WARNING: 45 * SECOND_NS,
    Severity.HIGH: 10 * SECOND_NS,
    Severity.CRITICAL: 0,
}
# After a page, those that join it later are told of together at most this often.
AGAIN_NS = {
    Severity.INFO: 3600 * SECOND_NS,
    Severity.WARNING: 3600 * SECOND_NS,
    Severity.HIGH: 1800 * SECOND_NS,
    Severity.CRITICAL: 300 * SECOND_NS,
}
MEMBERS_SHOWN = 50  # in the long text; the API lists them all
_NAMES_ROOM = 16  # characters that a name and what follows it are worth keeping for


class Folds:
    """Who is part of which alert, who waits to be told, and which alerts must be said anew."""

    def __init__(self) -> None:
        self.members: dict[str, dict[str, None]] = {}  # alert -> its members, in order of joining
        self.waiting: dict[str, EngineNs] = {}  # untold alert -> since when nothing covers it
        self.changed: dict[str, tuple[ActiveAlert, str] | None] = {}  # alert -> who left, and why

    def held(self, alert: ActiveAlert, now: EngineNs) -> None:
        """The alert is there, told or not."""
        if alert.part_of:
            self.members.setdefault(alert.part_of, {})[alert.identity] = None
            self.changed.setdefault(alert.part_of, None)
        elif alert.folds:
            self.members.setdefault(alert.identity, {})
        if alert.untold and alert.firing:
            self.waiting.setdefault(alert.identity, now)

    def left(self, member: ActiveAlert, reason: str) -> None:
        """A member ended."""
        self.members.get(member.part_of, {}).pop(member.identity, None)
        self.changed[member.part_of] = (member, reason)

    def gone(self, identity: str) -> None:
        """The alert ended or was dropped."""
        self.waiting.pop(identity, None)
        self.changed.pop(identity, None)
        if not self.members.get(identity):
            self.members.pop(identity, None)


def waits(alert: ActiveAlert) -> bool:
    """Whether people are told of it only after a moment in which nothing covers it."""
    return bool(alert.covered_by or alert.folds) and WAIT_NS[alert.severity] > 0


def covering(alert: ActiveAlert, others: Iterable[ActiveAlert]) -> ActiveAlert | None:
    """The alert that says the same and more about the place of ``alert``; None where none does.

    It fires, is louder, and sees what it judges: whoever is blind silences nobody.
    """
    for other in others:
        if (
            other.rule in alert.covered_by
            and other.firing
            and not other.part_of
            and not other.data
            and louder_than(other.severity, alert.severity)
            and lies_in(alert.subject, other.subject)
        ):
            return other
    return None


def lies_in(subject: str, place: str) -> bool:
    """``market:dydx/BTC-USD`` lies in ``venue:dydx``, everything in the portfolio."""
    if place in {PORTFOLIO, subject}:
        return True
    kind, _, names = place.partition(":")
    own_kind, _, own = subject.partition(":")
    if kind == "account":
        return own_kind == "position" and own.startswith(f"{names}/")
    return kind == "venue" and own.startswith(f"{names}/")


def folded_alert(policy: DispatchPolicy, member: ActiveAlert) -> ActiveAlert:
    """The alert of a member's place, beginning with it; its texts are those of ``refolded``."""
    names = dict(member.labels)
    labels = alert_labels(
        alert=names["alertname"],
        severity=member.severity,
        deployment=policy.deployment,
        rule=names.get("rule", ""),
        subject=member.place,
    )
    key = dedup_key(policy.deployment, member.rule, labels, member.starts_ns)
    return msgspec.structs.replace(
        member,
        identity=digest_of(labels),
        dedup_key=key,
        subject=member.place,
        labels=labels,
        annotations=with_annotation(
            member.annotations, "incident_id", f"inc_{digest_of(key, length=16)}"
        ),
        about=names["rule"] if member.about else "",  # riskd's own, of one rule each
        place="",
        part_of="",
        folds=True,
    )


def refolded(alert: ActiveAlert, members: Sequence[ActiveAlert]) -> ActiveAlert:
    """The folded alert as its members are now: each named, its data flag theirs if all have one."""
    first = members[0]
    texts = dict(first.annotations) | {
        "summary": _summary(alert.subject, members),
        "description": _description(members),
        "action_taken": "; ".join(
            dict.fromkeys(dict(one.annotations).get("action_taken", "none") for one in members)
        ),
        "incident_id": dict(alert.annotations)["incident_id"],
    }
    data = first.data if all(one.data for one in members) else ""
    texts.pop("data", None)
    if data:
        texts["data"] = data
    return msgspec.structs.replace(
        alert,
        annotations=tuple(sorted(texts.items())),
        data=data,
        covered_by=first.covered_by,
        recovering=all(one.recovering for one in members),
    )


def unfolded(alert: ActiveAlert, last: ActiveAlert) -> ActiveAlert:
    """The folded alert when its last member ended: in that one's words, about the whole place."""
    texts = dict(last.annotations) | {"incident_id": dict(alert.annotations)["incident_id"]}
    if last.title and len(alert.told_of) > 1:
        kind, _, where = alert.subject.partition(":")
        name = name_in(last.subject, alert.subject)
        now = f" now {last.fact}" if last.fact else ""
        ended = f"Ended: {last.title}: all {len(alert.told_of)}, {name} the last{now}"
        texts["summary"] = shorten(f"{ended}; {kind} {where}".rstrip())
    return msgspec.structs.replace(alert, annotations=tuple(sorted(texts.items())))


def newcomers(alert: ActiveAlert, members: Sequence[ActiveAlert]) -> bool:
    """Whether somebody joined since people were last told."""
    return not {one.identity for one in members} <= set(alert.told_of)


def again_ns(alert: ActiveAlert) -> EngineNs:
    """When people may be told of newcomers at the earliest."""
    return alert.told_ns + AGAIN_NS[alert.severity]


def name_in(subject: str, place: str) -> str:
    """What tells a subject apart within its place: ``BTC`` of ``market:dydx/BTC`` in its venue."""
    names, within = subject.partition(":")[2], place.partition(":")[2]
    return names.removeprefix(f"{within}/") if within else names


def _summary(place: str, members: Sequence[ActiveAlert]) -> str:
    """What, the first with its number, more names as room allows, how many more, where, action."""
    first = members[0]
    if len(members) == 1:
        return dict(first.annotations).get("summary", "")
    kind, _, where = place.partition(":")
    acts = {dict(one.annotations).get("action_taken") for one in members}
    brief = first.brief if len(acts) == 1 else first.brief.replace(" the ", " each ", 1)
    end = f"; {kind} {where}".rstrip() + (f". {brief}" if brief else "")
    names = [name_in(one.subject, place) for one in members]
    begin = f"{first.title}: {names[0]} {first.fact}".rstrip()
    room = SUMMARY_MAX - len(end) - len(f" + {len(names)} more")
    shown = 1
    while shown < len(names) and len(begin) + len(names[shown]) + 2 <= room:
        begin += f", {names[shown]}"
        shown += 1
    more = f" + {len(names) - shown} more" if shown < len(names) else ""
    return shorten(begin, max(SUMMARY_MAX - len(end) - len(more), _NAMES_ROOM)) + more + end


def _description(members: Sequence[ActiveAlert]) -> str:
    if len(members) == 1:
        return dict(members[0].annotations).get("description", "")
    lines = [f"{len(members)} at once:"]
    lines += [f"- {dict(one.annotations).get('summary', '')}" for one in members[:MEMBERS_SHOWN]]
    if len(members) > MEMBERS_SHOWN:
        lines.append(f"- and {len(members) - MEMBERS_SHOWN} more; /v1/alerts has them all")
    lines.append(f"The first: {dict(members[0].annotations).get('description', '')}")
    return "\n".join(lines)
