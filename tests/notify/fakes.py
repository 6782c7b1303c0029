"""A channel that answers as told, a store in memory, and decisions by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from monitor.core.decision import AlertTransition, CitedReading, Decision, RuleHealth
from monitor.core.errors import NotifyError, StoreError
from monitor.core.ports import DeliveryMark, OutboxEntry, PendingDelivery, Phase
from monitor.core.types import SECOND_NS, AlertState, EngineNs, Severity, Subject
from monitor.notify.notice import Notice, NoticeKind

START_NS = 1_795_269_791_482_000_000  # 2026-11-21T14:03:11.482Z
ALERT_NAMES = {"leverage": "LeverageHigh", "funding_stress": "FundingStress"}


Answer = Callable[[Notice], NotifyError | None]


def accept(_notice: Notice) -> NotifyError | None:
    """Every notice is welcome."""
    return None


def retryable(_notice: Notice) -> NotifyError | None:
    """The server has trouble."""
    return NotifyError("503", retryable=True, reason="server")


def refuse(_notice: Notice) -> NotifyError | None:
    """The server will never take it."""
    return NotifyError("401", retryable=False, reason="auth")


class FakeChannel:
    """Records what was sent; answers by ``answer``; hangs while ``hang`` is set."""

    def __init__(self, name: str, *, batch_max: int = 1, answer: Answer = accept) -> None:
        self.name = name
        self.batch_max = batch_max
        self.disabled = ""
        self.answer = answer
        self.hang: asyncio.Event | None = None
        self.attempted: list[Notice] = []
        self.delivered: list[Notice] = []
        self.in_flight = 0
        self.in_flight_max = 0

    async def send(self, notices: Sequence[Notice]) -> tuple[NotifyError | None, ...]:
        self.attempted += notices
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            if self.hang is not None:
                await self.hang.wait()
            results = tuple(self.answer(notice) for notice in notices)
        finally:
            self.in_flight -= 1
        pairs = zip(notices, results, strict=True)
        self.delivered += [notice for notice, error in pairs if error is None]
        return results


class MemoryOutbox:
    """An outbox and phase store in memory that can be made to fail."""

    def __init__(self) -> None:
        self.marks: list[DeliveryMark] = []
        self.entries: list[OutboxEntry] = []
        self.owed: list[tuple[str, str]] = []
        self.phases: list[Phase] = []
        self.left: list[PendingDelivery] = []
        self.error: StoreError | None = None

    async def persist(self, phase: Phase) -> None:
        if self.error:
            raise self.error
        self.phases.append(phase)

    async def pending(self) -> tuple[PendingDelivery, ...]:
        return tuple(self.left)

    async def mark(
        self,
        marks: tuple[DeliveryMark, ...],
        entries: tuple[OutboxEntry, ...] = (),
        owed: tuple[tuple[str, str], ...] = (),
    ) -> None:
        if self.error:
            raise self.error
        self.marks += marks
        self.entries += entries
        self.owed += owed


class Observer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.results: list[tuple[str, str]] = []
        self.conditions: list[tuple[str, str]] = []

    def attempted(self, channel: str, result: str, latency_s: float) -> None:
        assert latency_s >= 0.0
        self.results.append((channel, result))

    def failing(self, channel: str, reason: str) -> None:
        self.conditions.append((channel, reason))


def transition(
    after: AlertState,
    before: AlertState = AlertState.INACTIVE,
    *,
    rule: str = "leverage",
    subject: str = "account:hyperliquid/main",
    severity: Severity = Severity.CRITICAL,
    at_ns: EngineNs = START_NS,
    epoch_ns: EngineNs | None = START_NS,
    summary: str = "Leverage 4.2 over 3.0 on hyperliquid/main; WOULD HAVE cut",
    reason: str = "",
) -> AlertTransition:
    """One rule changed state."""
    return AlertTransition(
        rule=rule,
        subject=Subject(subject),
        alert=ALERT_NAMES.get(rule, "Other"),
        severity=severity,
        before=before,
        after=after,
        at_ns=at_ns,
        firing_epoch_ns=epoch_ns,
        expression="leverage >= 3.0",
        inputs=(
            CitedReading(
                measure="leverage",
                subject=Subject(subject),
                value=4.2,
                unit="ratio",
                as_of_ns=at_ns - SECOND_NS // 2,
            ),
        ),
        summary=summary,
        description="Gross exposure 420 000 USD on equity 100 000 USD.",
        action="would have cut to 0.70 (observe)",
        runbook="leverage.md",
        reason=reason,
    )


def decision(*transitions: AlertTransition, at_ns: EngineNs | None = None) -> Decision:
    """A decision of these transitions."""
    at = at_ns if at_ns is not None else (transitions[0].at_ns if transitions else START_NS)
    return Decision(at_ns=at, transitions=transitions)


def health(error: str, *, rule: str = "leverage", at_ns: EngineNs = START_NS) -> Decision:
    """A rule began (or ceased) to fail."""
    subject = Subject("account:hyperliquid/main")
    return Decision(
        at_ns=at_ns,
        health=(RuleHealth(rule=rule, subject=subject, error=error, at_ns=at_ns),),
    )


def notice(
    name: str = "n1",
    *,
    severity: Severity = Severity.CRITICAL,
    identity: str = "",
    kind: NoticeKind = NoticeKind.FIRING,
    at_ns: EngineNs = START_NS,
    alert: str = "LeverageHigh",
    labels: tuple[tuple[str, str], ...] = (),
) -> Notice:
    """A notice by hand."""
    base = (("alertname", alert), ("severity", severity.value), ("test", identity or name))
    return Notice(
        id=name,
        kind=kind,
        identity=identity or name,
        dedup_key=f"riskd/desk/{name}",
        severity=severity,
        labels=tuple(sorted(labels or base)),
        annotations=(("description", "long text"), ("summary", f"summary of {name}")),
        starts_ns=at_ns,
        at_ns=at_ns,
        ended_ns=at_ns if kind is NoticeKind.RESOLVED else None,
    )
