"""The path of a decision to people: judge what is news, keep it, then let it leave.

One phase at a time: rule states, alerts and outbox entries of everything decided since the last one
go into one transaction, and leave only after it. When the store fails they leave all the same, a
condition says so, and what was not kept is tried again until it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import msgspec
import structlog

from monitor.core.decision import Decision
from monitor.core.errors import StoreError
from monitor.core.killswitch.facts import KillNotice
from monitor.core.ports import AlertRow, Clock, OutboxEntry, Phase, PhaseStore, RuleStateRow
from monitor.core.types import SECOND_NS, EngineNs, Severity
from monitor.notify.dispatch import Dispatcher
from monitor.notify.sender import Sender

TICK_S = 1.0
NOTIFY_FAILING = "NotifyFailing"
STORE_FAILING = "StoreFailing"
UNSAVED_ENTRIES_MAX = 10_000
# One slow write is a busy disk, not a broken store.
STORE_FAILURES = 3
STORE_FAILING_NS = 5 * SECOND_NS
STORE_SUCCESSES = 3

Snapshot = Callable[[], Phase]


class Pager:
    """A ``DecisionListener`` that owns dispatcher, store and sender for one deployment."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        sender: Sender,
        store: PhaseStore,
        *,
        clock: Clock,
        snapshot: Snapshot,
    ) -> None:
        """Nothing happens before ``run``.

        Args:
            dispatcher: Decides what is news.
            sender: Carries it.
            store: Keeps it first.
            clock: Engine time.
            snapshot: Asked at each phase, and every second without one, for what the engine wants
                kept: rule states that changed since it was last asked, and memories.
        """
        self._dispatcher = dispatcher
        self._sender = sender
        self._store = store
        self._clock = clock
        self._snapshot = snapshot
        self._news: list[Phase] = []
        self._unsaved: Phase | None = None
        self._store_told = False
        self._failures = self._successes = 0
        self._failing_since_ns: EngineNs = 0
        self._work = asyncio.Event()
        self._log = structlog.get_logger("notify")
        self.lost_entries = 0

    # ------------------------------------------------------------------------------- inputs

    def decided(self, decision: Decision) -> None:
        """Note a decision; it is kept and told on the pager's own task."""
        self._take(self._dispatcher.decided(decision))

    def channel_failing(self, channel: str, reason: str) -> None:
        """The sender says that a channel fails (``reason``) or delivers (``""``)."""
        self._take(
            self._dispatcher.condition(
                NOTIFY_FAILING,
                active=bool(reason),
                severity=Severity.HIGH,
                summary=f"Channel {channel} delivers nothing: {reason}"
                if reason
                else f"Channel {channel} delivers again",
                description="Pages go to the next channel meanwhile and are tried again here.",
                now=self._clock.now(),
                not_to=channel,
            )
        )

    def prepare(self, notices: Sequence[KillNotice]) -> Phase:
        """What the kill switch's notices change and owe, to be kept with the phase they are of.

        Hand its entries to ``leave`` once that phase was kept, or could not be.
        """
        return merge([self._dispatcher.killed(notice) for notice in notices])

    def leave(self, entries: tuple[OutboxEntry, ...]) -> None:
        """These were kept by somebody else (or could not be): they leave now."""
        self._sender.offer(entries)

    def standing(self, alert: str) -> tuple[str, ...]:
        """Keys of the kill switch's pages of one kind that go on, whichever process began them."""
        return tuple(
            one.about for one in self._dispatcher.active if one.firing and one.rule == f"{alert}!"
        )

    def take_over(self, phase: Phase) -> None:
        """Go on with what an earlier process told or owed and only a second copy of it has."""
        self._dispatcher.restore(phase.alerts, self._clock.now())
        self._sender.offer(phase.entries)

    async def restore(
        self,
        alerts: Sequence[AlertRow],
        *,
        firing: Collection[tuple[str, str]],
        failing: Collection[tuple[str, str]] = (),
    ) -> None:
        """Take over from the process before: alerts go on being sent, owed pages leave.

        Args:
            alerts: As the store kept them.
            firing: Every (rule, subject) that the restored engine holds as firing or recovering.
            failing: Every (rule, subject) that it still cannot evaluate.
        """
        now = self._clock.now()
        unreadable = self._dispatcher.restore(alerts, now)
        self._take(self._dispatcher.reconcile(firing, now, failing=failing))
        owed = await self._sender.restore()
        self._log.info("alerts_restored", alerts=len(alerts), unreadable=unreadable, owed=owed)

    # ------------------------------------------------------------------------------ outputs

    async def run(self) -> None:
        """Keep and tell until cancelled. The sender's ``run`` is a task of its own."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_news(), name="pager:news")
            group.create_task(self._repeat(), name="pager:repeats")

    async def shut_down(self, deadline_s: float = 10.0) -> int:
        """Keep and send what is left, let firing alerts hold for the restart; gives what is unsent.

        Call it after the last decision, while the sender still runs; it replaces ``run``.
        """
        await self._flush()
        self._sender.offer(self._dispatcher.shutting_down(self._clock.now()), repeat=True)
        return await self._sender.drain(deadline_s)

    async def _keep_news(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            await self._flush()

    async def _repeat(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            now = self._clock.now()
            due = self._dispatcher.tick(now)
            self._sender.offer(due.repeats, repeat=True)
            # Also without news: the engine may want something kept, or the store is back.
            self._take(due.phase)

    async def _flush(self) -> None:
        news, self._news = self._news, []
        entries = tuple(entry for phase in news for entry in phase.entries)
        phase = merge([*([self._unsaved] if self._unsaved else []), *news, self._snapshot()])
        if phase.empty and not self._store_told:
            return  # while the store is said to fail, even nothing is a test of it
        try:
            await self._store.persist(phase)
        except asyncio.CancelledError:
            # A stop in the middle of a write: ``shut_down`` keeps and tells it again.
            self._news = [*news, *self._news]
            self._unsaved = phase
            raise
        except StoreError as error:
            self._unsaved = self._bounded(phase)
            self._sender.offer(entries)
            self._tell_store(str(error))
        else:
            self._unsaved = None
            self._sender.offer(entries)
            self._tell_store("")

    def _bounded(self, phase: Phase) -> Phase:
        # Rows replace each other by key; entries do not, so they alone need a bound. Those cut off
        # have left already and only lose their second copy.
        surplus = len(phase.entries) - UNSAVED_ENTRIES_MAX
        if surplus <= 0:
            return phase
        self.lost_entries += surplus
        return msgspec.structs.replace(phase, entries=phase.entries[surplus:])

    def _tell_store(self, error: str) -> None:
        now = self._clock.now()
        if error:
            if not self._failures:
                self._failing_since_ns = now
                self._log.warning("phase_not_kept", reason=error)
            self._failures, self._successes = self._failures + 1, 0
            lasts = now - self._failing_since_ns >= STORE_FAILING_NS
            changed = not self._store_told and (self._failures >= STORE_FAILURES or lasts)
        else:
            self._failures, self._successes = 0, self._successes + 1
            changed = self._store_told and self._successes >= STORE_SUCCESSES
        if not changed:
            return
        self._store_told = bool(error)
        if error:
            self._log.error("store_failing", reason=error)
        else:
            self._log.info("phases_kept_again")
        self._take(
            self._dispatcher.condition(
                STORE_FAILING,
                active=bool(error),
                severity=Severity.HIGH,
                summary=error or "The store keeps phases again",
                description="Pages still leave. A restart now would lose rule timers and states.",
                now=now,
            )
        )

    def _take(self, phase: Phase) -> None:
        self._news.append(phase)
        self._work.set()


def merge(phases: Sequence[Phase]) -> Phase:
    """Phases in order as one: the last word on each row wins, entries keep their order."""
    states: dict[tuple[str, str], RuleStateRow | None] = {}
    alerts: dict[str, AlertRow | None] = {}
    entries: dict[str, OutboxEntry] = {}
    memories: dict[str, bytes] = {}
    at_ns: EngineNs = 0
    for phase in phases:
        at_ns = max(at_ns, phase.at_ns)
        states |= dict.fromkeys(phase.rule_states_gone)
        states |= {(row.rule, row.subject): row for row in phase.rule_states}
        alerts |= dict.fromkeys(phase.alerts_gone)
        alerts |= {row.identity: row for row in phase.alerts}
        entries |= {entry.id: entry for entry in phase.entries}
        memories |= dict(phase.memories)
    return Phase(
        at_ns=at_ns,
        rule_states=tuple(row for row in states.values() if row is not None),
        rule_states_gone=tuple(key for key, row in states.items() if row is None),
        alerts=tuple(row for row in alerts.values() if row is not None),
        alerts_gone=tuple(identity for identity, row in alerts.items() if row is None),
        entries=tuple(entries.values()),
        memories=tuple(memories.items()),
    )
