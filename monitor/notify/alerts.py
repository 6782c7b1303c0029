"""Alerts made from transitions and from riskd's own conditions, and the changes they cause.

The dispatcher decides *when*; this file says *what* an alert looks like: labels, key, annotations.
*Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.decision import AlertTransition
from monitor.core.killswitch.facts import KillNotice
from monitor.core.ports import AlertRow, OutboxEntry, Phase
from monitor.core.types import AlertState, EngineNs, Severity
from monitor.notify.notice import (
    DATA_ANNOTATION,
    ActiveAlert,
    Notice,
    NoticeKind,
    alert_labels,
    compose_annotations,
    dedup_key,
    digest_of,
    encode,
    runbook_of,
    transition_annotations,
    urgency,
    with_annotation,
)

HOLD_S_MIN = 300.0  # two lost sends must not resolve an alert (prometheus#5277)


class Route(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One channel and what goes to it first (what it gets by escalation is the sender's affair).

    ``holds_state`` when it keeps alerts itself and wants them repeated.
    """

    channel: str
    severity_min: Severity = Severity.INFO
    holds_state: bool = False


class DispatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers and names that a desk may choose. Times in seconds."""

    deployment: str
    routes: tuple[Route, ...]
    runbook_base_url: str = ""
    dashboard_url: str = ""
    resend_critical_s: float = 30.0
    resend_s: float = 60.0
    resolve_repeat_s: float = 900.0
    restart_budget_s: float = 600.0

    def resend_for_s(self, severity: Severity) -> float:
        """How often an alert of that severity is repeated."""
        return self.resend_critical_s if severity is Severity.CRITICAL else self.resend_s


def alert_of(policy: DispatchPolicy, transition: AlertTransition) -> ActiveAlert:
    """The alert that a transition is about, as it stands after it."""
    epoch_ns = transition.firing_epoch_ns
    starts_ns = transition.at_ns if epoch_ns is None else epoch_ns
    labels = alert_labels(
        alert=transition.alert,
        severity=transition.severity,
        deployment=policy.deployment,
        rule=transition.rule,
        subject=str(transition.subject),
    )
    key = dedup_key(policy.deployment, transition.rule, labels, starts_ns)
    return ActiveAlert(
        identity=digest_of(labels),
        dedup_key=key,
        rule=transition.rule,
        subject=str(transition.subject),
        severity=transition.severity,
        labels=labels,
        annotations=transition_annotations(
            transition,
            key=key,
            runbook_base_url=policy.runbook_base_url,
            dashboard_url=policy.dashboard_url,
        ),
        starts_ns=starts_ns,
        covered_by=transition.covered_by,
        place=transition.place,
        recovering=transition.after is AlertState.RECOVERING,
        title=transition.title,
        fact=transition.fact,
        brief=transition.brief,
    )


def own_alert(
    policy: DispatchPolicy,
    name: str,
    *,
    severity: Severity,
    rule: str = "",
    subject: str,
    summary: str,
    description: str,
    now: EngineNs,
    not_to: str = "",
) -> ActiveAlert:
    """An alert about riskd itself; ``not_to`` is the channel it is about, and becomes a label."""
    labels = alert_labels(
        alert=name,
        severity=severity,
        deployment=policy.deployment,
        rule=rule,
        subject=subject,
    )
    if not_to:
        labels = tuple(sorted([*labels, ("channel", not_to)]))
    key = dedup_key(policy.deployment, rule, labels, now)
    return ActiveAlert(
        identity=digest_of(labels),
        dedup_key=key,
        rule=rule,
        subject=subject,
        severity=severity,
        labels=labels,
        annotations=compose_annotations(
            summary=summary,
            description=description,
            key=key,
            runbook=runbook_of(name),
            runbook_base_url=policy.runbook_base_url,
            dashboard_url=policy.dashboard_url,
            next_step="Open the runbook; `riskd status` shows what riskd can see.",
        ),
        starts_ns=now,
        not_to=not_to,
    )


def kill_alert(policy: DispatchPolicy, notice: KillNotice, revision: int = 0) -> ActiveAlert:
    """The alert of one episode of the kill switch that became another alert ``revision`` times."""
    labels = alert_labels(
        alert=notice.alert,
        severity=notice.severity,
        deployment=policy.deployment,
        rule="",
        subject=notice.scope,
    )
    # Two rules may ask for the same of one scope: without it the end of one would end the other.
    more = [("episode", digest_of(notice.key, length=12))]
    if notice.stage:
        # Words that change are no news to Alertmanager; another thing to do is another alert.
        more.append(("stage", notice.stage))
    if revision:
        # Alertmanager rings nobody for labels that ended within its group_interval and are back.
        more.append(("revision", str(revision)))
    labels = tuple(sorted((*labels, *more)))
    key = f"riskd/{policy.deployment}/{digest_of(notice.key)}"
    return ActiveAlert(
        identity=digest_of(labels),
        dedup_key=key,
        rule=f"{notice.alert}!",
        subject=notice.scope,
        severity=notice.severity,
        labels=labels,
        annotations=compose_annotations(
            summary=notice.summary,
            description=notice.description,
            key=key,
            runbook=runbook_of(notice.alert),
            runbook_base_url=policy.runbook_base_url,
            dashboard_url=policy.dashboard_url,
            next_step="`riskd status` shows what is latched, what is blocked and what clears it.",
        ),
        starts_ns=notice.at_ns,
        about=notice.key,
        revision=revision,
    )


def mark_data(alert: ActiveAlert, data: str) -> ActiveAlert:
    """The alert with its ``data`` flag and annotation set, or taken away by ``""``."""
    return msgspec.structs.replace(
        alert, data=data, annotations=with_annotation(alert.annotations, DATA_ANNOTATION, data)
    )


class Changes:
    """Gathers what one input changed, the last word on each alert winning."""

    def __init__(self, at_ns: EngineNs) -> None:
        self.at_ns = at_ns
        self._alerts: dict[str, ActiveAlert] = {}
        self._gone: dict[str, None] = {}
        self._entries: list[OutboxEntry] = []

    def keep(self, alert: ActiveAlert) -> None:
        """The alert changed and must survive a restart as it is now."""
        self._gone.pop(alert.identity, None)
        self._alerts[alert.identity] = alert

    def forget(self, identity: str) -> None:
        """The alert need not be sent any more."""
        self._alerts.pop(identity, None)
        self._gone[identity] = None

    def tell(self, entry: OutboxEntry | None) -> None:
        """News; None where no channel wants it."""
        if entry is not None:
            self._entries.append(entry)

    def phase(self) -> Phase:
        """Everything gathered, for one transaction."""
        return Phase(
            at_ns=self.at_ns,
            alerts=tuple(
                AlertRow(identity=identity, alert=encode(alert))
                for identity, alert in self._alerts.items()
            ),
            alerts_gone=tuple(self._gone),
            entries=tuple(self._entries),
        )


def notice_of(
    policy: DispatchPolicy, alert: ActiveAlert, now: EngineNs, *, hold_s: float = 0.0
) -> Notice:
    """What is said of an alert now; what holds alert state may keep it for ``hold_s`` at least."""
    kind = NoticeKind.FIRING if alert.firing else NoticeKind.RESOLVED
    return Notice(
        id=f"evt_{digest_of(alert.dedup_key, kind.value, now)}",
        kind=kind,
        identity=alert.identity,
        dedup_key=alert.dedup_key,
        severity=alert.severity,
        labels=alert.labels,
        annotations=alert.annotations,
        starts_ns=alert.starts_ns,
        at_ns=now,
        ended_ns=alert.resolved_ns,
        hold_s=max(HOLD_S_MIN, 4 * policy.resend_for_s(alert.severity), hold_s),
    )


def entry_of(notice: Notice, channels: tuple[str, ...], *, repeat: bool = False) -> OutboxEntry:
    """A notice as an outbox entry owed to the channels."""
    return OutboxEntry(
        id=notice.id,
        identity=notice.identity,
        urgency=urgency(notice.severity, repeat=repeat),
        created_ns=notice.at_ns,
        notice=encode(notice),
        channels=channels,
    )
