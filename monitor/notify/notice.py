"""What is told about an alert, before any channel renders it.

Identity is in the labels and nothing else: values, prices and times are annotations, so a number
that moves never makes a second alert. Keys are derived from what happened and are therefore the
same after a restart. *Pure.*
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from monitor.core.decision import AlertTransition, CitedReading
from monitor.core.types import SECOND_NS, EngineNs, Severity, SubjectKind

SUMMARY_MAX = 120
VALUES_MAX = 8  # inputs cited in one annotation; the console shows them all
DATA_ANNOTATION = "data"

Pairs = tuple[tuple[str, str], ...]

_RANK = {Severity.CRITICAL: 0, Severity.HIGH: 1, Severity.WARNING: 2, Severity.INFO: 3}

# The labels that the parts of a subject become, by its kind.
_SUBJECT_LABELS: dict[SubjectKind, tuple[str, ...]] = {
    SubjectKind.PORTFOLIO: (),
    SubjectKind.ACCOUNT: ("venue", "account"),
    SubjectKind.POSITION: ("venue", "account", "market"),
    SubjectKind.MARKET: ("venue", "market"),
    SubjectKind.FEED: ("venue", "feed"),
    SubjectKind.RULE: ("about_rule",),  # `rule` is the rule that speaks
}


class NoticeKind(enum.StrEnum):
    """What a notice says; the ``type`` of a webhook."""

    FIRING = "alert.firing"
    RESOLVED = "alert.resolved"
    DIGEST = "digest.undelivered"


class Notice(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One thing to be told, complete in itself.

    ``hold_s``: a channel that keeps alert state may take the alert for resolved only this long
    after the last word of it. ``counts`` are the alert names of a digest, with how many of each.
    """

    id: str
    kind: NoticeKind
    identity: str
    dedup_key: str
    severity: Severity
    labels: Pairs
    annotations: Pairs
    starts_ns: EngineNs
    at_ns: EngineNs
    ended_ns: EngineNs | None = None
    hold_s: float = 300.0
    counts: tuple[tuple[str, int], ...] = ()

    def label(self, name: str) -> str:
        """The label's value, ``""`` where there is none."""
        return next((value for key, value in self.labels if key == name), "")

    def annotation(self, name: str) -> str:
        """The annotation's value, ``""`` where there is none."""
        return next((value for key, value in self.annotations if key == name), "")


class ActiveAlert(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An alert that goes on being sent: firing, or resolved a short while ago.

    ``rule`` ends in ``!`` for riskd's own conditions, and ``about`` tells those of one name and
    subject apart (another channel, another rule). ``data`` is ``""``, ``"stale"`` or ``"error"``.

    One that is ``part_of`` another (an identity) is never told itself: the other ``folds`` all of
    its rule about ``place``. ``untold`` while nobody was told yet, for a louder alert may cover it;
    ``told_of`` are the members that people know of since ``told_ns``. While it is ``recovering``
    its condition holds no more. ``revision`` counts how often an episode of the kill switch became
    another alert.
    """

    identity: str
    dedup_key: str
    rule: str
    subject: str
    severity: Severity
    labels: Pairs
    annotations: Pairs
    starts_ns: EngineNs
    resolved_ns: EngineNs | None = None
    data: str = ""
    not_to: str = ""  # a channel that must not carry it: it is the one that fails
    about: str = ""
    covered_by: tuple[str, ...] = ()
    place: str = ""
    part_of: str = ""
    folds: bool = False
    untold: bool = False
    told_of: tuple[str, ...] = ()
    told_ns: EngineNs = 0
    recovering: bool = False
    revision: int = 0
    title: str = ""
    fact: str = ""
    brief: str = ""

    @property
    def firing(self) -> bool:
        """True until it was resolved."""
        return self.resolved_ns is None

    @property
    def key(self) -> tuple[str, str]:
        """Two alerts with the same key are never out at once."""
        return self.rule, self.about or self.subject


_ACTIVE = msgspec.msgpack.Decoder(ActiveAlert)
_NOTICE = msgspec.msgpack.Decoder(Notice)
_ENCODER = msgspec.msgpack.Encoder()


def encode(value: ActiveAlert | Notice) -> bytes:
    """As the store keeps it."""
    return _ENCODER.encode(value)


def decode_notice(data: bytes) -> Notice:
    """The notice of an outbox entry. Raises ``msgspec.DecodeError`` on damage."""
    return _NOTICE.decode(data)


def decode_active(data: bytes) -> ActiveAlert:
    """The alert of a kept row. Raises ``msgspec.DecodeError`` on damage."""
    return _ACTIVE.decode(data)


def urgency(severity: Severity, *, repeat: bool = False) -> int:
    """0 most urgent to 7: by severity, and within one severity news before repeats."""
    return _RANK[severity] * 2 + repeat


def at_least(severity: Severity, floor: Severity) -> bool:
    """True when ``severity`` is as loud as ``floor`` or louder."""
    return _RANK[severity] <= _RANK[floor]


def louder(left: Severity, right: Severity) -> Severity:
    """The louder of two severities."""
    return left if _RANK[left] <= _RANK[right] else right


def subject_labels(subject: str) -> dict[str, str]:
    """``position:dydx/main/BTC-USD`` as venue, account and market; ``asset:BTC`` as asset."""
    kind_text, _, rest = subject.partition(":")
    kind = SubjectKind(kind_text)
    names = _SUBJECT_LABELS.get(kind, (kind.value,))
    if not names:
        return {}
    # Venue names and aliases hold no slash, but a market's own symbol may ("PURR/USDC").
    return dict(zip(names, rest.split("/", len(names) - 1), strict=True))


def alert_labels(
    *, alert: str, severity: Severity, deployment: str, rule: str, subject: str
) -> Pairs:
    """The sorted labels that are an alert's identity."""
    labels = subject_labels(subject) | {
        "alertname": alert,
        "severity": severity.value,
        "deployment": deployment,
    }
    if rule:
        labels["rule"] = rule
    return tuple(sorted(labels.items()))


def digest_of(*parts: object, length: int = 32) -> str:
    """Hexadecimal hash of plain values, the same in every process and version of Python."""
    return hashlib.sha256(_ENCODER.encode(parts)).hexdigest()[:length]


def dedup_key(deployment: str, rule: str, labels: Pairs, firing_epoch_ns: EngineNs) -> str:
    """``riskd/<deployment>/<hash>``: one per episode; another for the next one."""
    return f"riskd/{deployment}/{digest_of(rule, labels, firing_epoch_ns)}"


def shorten(text: str, length: int = SUMMARY_MAX) -> str:
    """At most ``length`` characters on one line, ending in an ellipsis where cut."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def transition_annotations(
    transition: AlertTransition, *, key: str, runbook_base_url: str, dashboard_url: str
) -> Pairs:
    """The fixed set of annotations of an alert; an empty one is left out."""
    return compose_annotations(
        summary=transition.summary,
        description=transition.description,
        runbook=transition.runbook,
        runbook_base_url=runbook_base_url,
        dashboard_url=dashboard_url,
        value=_values(transition.inputs),
        threshold=transition.expression,
        inputs_age=_inputs_age(transition.inputs, transition.at_ns),
        action_taken=transition.action or "none",
        next_step="Open the runbook; `riskd status` shows every input with its age.",
        key=key,
    )


def compose_annotations(
    *,
    summary: str,
    description: str,
    key: str,
    runbook: str,
    runbook_base_url: str,
    dashboard_url: str,
    next_step: str,
    value: str = "",
    threshold: str = "",
    inputs_age: str = "",
    action_taken: str = "none",
) -> Pairs:
    """The same fixed set, from its parts."""
    everything = {
        "summary": shorten(summary),
        "description": description,
        "runbook_url": _runbook_url(runbook, runbook_base_url),
        "dashboard_url": dashboard_url,
        "value": value,
        "threshold": threshold,
        "inputs_age": inputs_age,
        "action_taken": action_taken,
        "next_step": next_step,
        "incident_id": f"inc_{digest_of(key, length=16)}",
    }
    return tuple(sorted((name, text) for name, text in everything.items() if text))


def runbook_of(alert: str) -> str:
    """The runbook page of one of riskd's own alerts: ``NotifyFailing`` has ``notify_failing``."""
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in alert).lstrip("_")


def with_annotation(pairs: Pairs, name: str, text: str) -> Pairs:
    """The pairs with one set, or removed where ``text`` is empty."""
    kept = [pair for pair in pairs if pair[0] != name]
    return tuple(sorted([*kept, (name, text)] if text else kept))


def rfc3339(at_ns: int) -> str:
    """Unix nanoseconds as UTC with milliseconds: ``2026-11-21T14:03:11.482Z``."""
    milliseconds = at_ns // 1_000_000
    seconds = datetime.fromtimestamp(milliseconds // 1000, tz=UTC)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def _runbook_url(runbook: str, base_url: str) -> str:
    if not base_url or "://" in runbook:
        return runbook
    return f"{base_url.rstrip('/')}/{runbook.lstrip('/')}"


def _values(inputs: Sequence[CitedReading]) -> str:
    texts = []
    for reading in inputs[:VALUES_MAX]:
        number = "absent" if reading.value is None else f"{reading.value:.6g}"
        texts.append(f"{reading.measure}={number}{' (estimated)' if reading.estimated else ''}")
    if len(inputs) > VALUES_MAX:
        texts.append(f"and {len(inputs) - VALUES_MAX} more")
    return ", ".join(texts)


def _inputs_age(inputs: Sequence[CitedReading], at_ns: EngineNs) -> str:
    texts = []
    ages = [(at_ns - reading.as_of_ns, reading) for reading in inputs if reading.as_of_ns]
    if ages:
        age_ns, oldest = max(ages, key=lambda pair: (pair[0], pair[1].measure))
        texts.append(f"oldest {max(age_ns, 0) / SECOND_NS:.1f} s ({oldest.measure})")
    texts += [
        f"{reading.measure} absent" + (f": {reading.reason}" if reading.reason else "")
        for reading in inputs[:VALUES_MAX]
        if reading.value is None
    ]
    return "; ".join(texts)
