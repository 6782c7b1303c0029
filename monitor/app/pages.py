"""From decisions to pages: keep first, tell after, repeat until it is over.

The writer hands every decision that is not quiet to ``decided``, on the loop. What it changed (rule
states, alerts, pages owed) is kept in one transaction before any of it leaves; when the store fails
the pages leave all the same, and a page about the store with them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NoReturn

import msgspec
import structlog

from monitor.core.decision import Decision, KillRequest, RuleMode
from monitor.core.errors import StoreError
from monitor.core.ports import AlertRow, Clock, OutboxEntry, Phase, PhaseStore, RuleStateRow
from monitor.core.types import SECOND_NS, EngineNs, Severity
from monitor.notify.dispatch import Dispatcher
from monitor.notify.sender import Sender

WOULD_HAVE_MAX = 50
STORE_FAILING = "StoreFailing"
NOTIFY_FAILING = "NotifyFailing"
MEMORY_PERIOD_S = 30.0  # drawdown peaks move slowly; a lost half minute of peak is no lost peak

RuleStates = tuple[tuple[RuleStateRow, ...], tuple[tuple[str, str], ...]]


class WouldHave(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would have done, had riskd been armed."""

    at_ns: EngineNs
    rule: str
    scope: str
    level: str
    text: str


class Pages:
    """The listener behind the writer, and the task that keeps and sends."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        sender: Sender,
        store: PhaseStore,
        *,
        clock: Clock,
        changed_states: Callable[[], RuleStates],
        memories: Callable[[], tuple[tuple[str, bytes], ...]],
    ) -> None:
        self._dispatcher = dispatcher
        self._sender = sender
        self._store = store
        self._clock = clock
        self._changed_states = changed_states
        self._memories = memories
        self._phases: deque[Phase] = deque()
        self._wake = asyncio.Event()
        self._memories_kept_ns: EngineNs = 0
        self.would_have: deque[WouldHave] = deque(maxlen=WOULD_HAVE_MAX)
        self.store_failing = False
        self._log = structlog.get_logger("pages")

    # ------------------------------------------------------------------------------- intake

    def decided(self, decision: Decision) -> None:
        """Take a decision from the writer. Never blocks."""
        for transition in decision.transitions:
            self._log.info(
                "alert_changed",
                rule=transition.rule,
                subject=transition.subject,
                before=transition.before.value,
                after=transition.after.value,
                severity=transition.severity.value,
                summary=transition.summary,
            )
        for health in decision.health:
            state = "rule_failing" if health.error else "rule_healed"
            self._log.warning(state, rule=health.rule, subject=health.subject, error=health.error)
        for check in decision.cross_checks:
            self._log.warning(
                "cross_check_differs",
                subject=check.subject,
                field=check.field,
                stream=check.stream,
                truth=check.truth,
            )
        for error in decision.measure_errors:
            self._log.error("measure_failed", reason=error)
        for request in decision.kill_requests:
            self._record(request, decision.at_ns)
        self.take(self._dispatcher.decided(decision))

    def take(self, phase: Phase) -> None:
        """Owe a phase; ``run`` keeps and sends it."""
        self._phases.append(phase)
        self._wake.set()

    def channel_failing(self, channel: str, reason: str) -> None:
        """The sender says that a channel does not deliver, or (``""``) that it does again."""
        self.take(
            self._dispatcher.condition(
                NOTIFY_FAILING,
                active=bool(reason),
                severity=Severity.CRITICAL,
                summary=f"Pages do not leave by {channel}"
                if reason
                else f"Pages leave by {channel} again",
                description=reason or "The channel accepts pages again.",
                now=self._clock.now(),
                not_to=channel,
            )
        )

    # ------------------------------------------------------------------------------- output

    async def run(self) -> NoReturn:
        """Keep, send and repeat until cancelled."""
        while True:
            await self._wait()
            await self.flush()
            now = self._clock.now()
            if now >= self._dispatcher.next_due_ns():
                due = self._dispatcher.tick(now)
                if not due.phase.empty:
                    await self._keep(due.phase)
                    self._sender.offer(due.phase.entries)
                self._sender.offer(due.repeats, repeat=True)

    async def flush(self) -> None:
        """Keep and hand over everything taken so far, in order."""
        while self._phases:
            merged = self._merged()
            await self._keep(merged)
            self._sender.offer(merged.entries)

    async def shut_down(self) -> None:
        """The last words: keep what is left and hold firing alerts over the restart."""
        await self.flush()
        entries = self._dispatcher.shutting_down(self._clock.now())
        self._sender.offer(entries, repeat=True)

    async def _wait(self) -> None:
        """Until something was taken or a repeat is due; half a second of engine time at most."""
        due_s = (self._dispatcher.next_due_ns() - self._clock.now()) / SECOND_NS
        if self._phases or due_s <= 0.0:
            return
        self._wake.clear()
        sleeper = asyncio.ensure_future(self._clock.sleep(min(due_s, MEMORY_PERIOD_S)))
        waker = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()
        if self._clock.now() - self._memories_kept_ns >= MEMORY_PERIOD_S * SECOND_NS:
            self._phases.append(Phase(at_ns=self._clock.now()))

    def _merged(self) -> Phase:
        """All waiting phases as one transaction; a later word about the same thing wins."""
        now = self._clock.now()
        phases = [self._phases.popleft() for _ in range(len(self._phases))]
        alerts: dict[str, AlertRow] = {}
        gone: dict[str, None] = {}
        entries: list[OutboxEntry] = []
        for phase in phases:
            for identity in phase.alerts_gone:
                alerts.pop(identity, None)
                gone[identity] = None
            for row in phase.alerts:
                gone.pop(row.identity, None)
                alerts[row.identity] = row
            entries += phase.entries
        states, states_gone = self._changed_states()
        self._memories_kept_ns = now
        return Phase(
            at_ns=now,
            rule_states=states,
            rule_states_gone=states_gone,
            alerts=tuple(alerts.values()),
            alerts_gone=tuple(gone),
            entries=tuple(entries),
            memories=self._memories(),
        )

    async def _keep(self, phase: Phase) -> None:
        if phase.empty:
            return
        try:
            await self._store.persist(phase)
        except StoreError as error:
            if not self.store_failing:
                self.store_failing = True
                self._log.error("store_failing", reason=str(error))
                self._tell_store(str(error))
        else:
            if self.store_failing:
                self.store_failing = False
                self._log.info("store_works_again")
                self._tell_store("")

    def _tell_store(self, reason: str) -> None:
        # Sent at once, since keeping it is what fails.
        phase = self._dispatcher.condition(
            STORE_FAILING,
            active=bool(reason),
            severity=Severity.CRITICAL,
            summary="riskd cannot write its store: a restart would forget"
            if reason
            else "riskd writes its store again",
            description=reason or "Rule states and pages are kept again.",
            now=self._clock.now(),
        )
        self._sender.offer(phase.entries)

    def _record(self, request: KillRequest, now: EngineNs) -> None:
        target = "" if request.gross_to_ratio is None else f" to {request.gross_to_ratio:.0%}"
        capped = " (held back: estimated numbers)" if request.capped_by_estimate else ""
        self._log.warning(
            "would_have_acted",
            rule=request.rule,
            scope=request.scope,
            level=request.level.value,
            mode=RuleMode.OBSERVE.value,
        )
        self.would_have.append(
            WouldHave(
                at_ns=now,
                rule=request.rule,
                scope=request.scope,
                level=request.level.value,
                text=f"WOULD HAVE {request.level.value}{target} {request.scope}"
                f" for {request.rule}{capped}",
            )
        )
