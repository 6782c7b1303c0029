"""From a decision to people: kept first, told then, and told all the same when nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor.core.errors import StoreError
from monitor.core.ports import AlertRow, OutboxEntry, Phase, RuleStateRow
from monitor.core.types import SECOND_NS, AlertState, Severity
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.dispatch import Dispatcher
from monitor.notify.notice import Notice, NoticeKind
from monitor.notify.pager import Pager, merge
from monitor.notify.queue import QueuePolicy
from monitor.notify.sender import LanePlan, Sender
from tests.manual_clock import ManualClock, settle
from tests.notify.fakes import (
    START_NS,
    FakeChannel,
    MemoryOutbox,
    Observer,
    decision,
    retryable,
    transition,
)

FIRING, INACTIVE = AlertState.FIRING, AlertState.INACTIVE
KEY = ("leverage", "account:hyperliquid/main")
ROW = RuleStateRow(rule=KEY[0], subject=KEY[1], definition_hash="d", state=b"firing")


class Failing(Observer):
    """Hands failing channels to the pager, as wiring does."""

    pager: Pager

    def failing(self, channel: str, reason: str) -> None:
        super().failing(channel, reason)
        self.pager.channel_failing(channel, reason)


class Rig:
    """The whole path with fake channels and a store in memory."""

    def __init__(self, outbox: MemoryOutbox | None = None, *, now_ns: int = START_NS) -> None:
        self.clock = ManualClock(now_ns)
        self.outbox = outbox or MemoryOutbox()
        self.am = FakeChannel("am", batch_max=256)
        self.hook = FakeChannel("hook")
        self.states: list[RuleStateRow] = []
        observer = Failing()
        self.sender = Sender(
            [
                LanePlan(
                    channel=self.am,
                    policy=QueuePolicy(channel="am", deployment="desk", holds_state=True),
                    escalate_to="hook",
                ),
                LanePlan(channel=self.hook, policy=QueuePolicy(channel="hook", deployment="desk")),
            ],
            self.outbox,
            clock=self.clock,
            jitter=lambda: 0.5,
            observer=observer,
        )
        self.dispatcher = Dispatcher(
            DispatchPolicy(
                deployment="desk",
                routes=(
                    Route(channel="am", holds_state=True),
                    Route(channel="hook", severity_min=Severity.HIGH),
                ),
            ),
            now=now_ns,
        )
        self.pager = Pager(
            self.dispatcher, self.sender, self.outbox, clock=self.clock, snapshot=self._snapshot
        )
        observer.pager = self.pager

    def _snapshot(self) -> Phase:
        states, self.states = self.states, []
        return Phase(at_ns=self.clock.now(), rule_states=tuple(states))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pager and sender for the time of a test."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.sender.run()),
                group.create_task(self.pager.run()),
            ]
            await settle()
            yield
            for task in tasks:
                task.cancel()

    def fire(self) -> None:
        """The engine says that leverage fires."""
        self.states.append(ROW)
        self.pager.decided(decision(transition(FIRING)))


def told(channel: FakeChannel) -> list[tuple[str, NoticeKind]]:
    """What was delivered, without the watchdog."""
    found: list[Notice] = channel.delivered
    return [
        (one.label("alertname"), one.kind)
        for one in found
        if one.label("alertname") != "RiskdWatchdog"
    ]


async def test_state_alert_and_pages_are_kept_together_before_they_leave() -> None:
    """One phase holds all of it; nothing is on the wire before the store has it."""
    rig = Rig()
    held = asyncio.Event()
    keep = rig.outbox.persist

    class SlowOutbox(MemoryOutbox):
        async def persist(self, phase: Phase) -> None:
            await held.wait()
            await keep(phase)

    rig.pager = Pager(
        rig.dispatcher, rig.sender, SlowOutbox(), clock=rig.clock, snapshot=rig._snapshot
    )  # fmt: skip
    async with rig.running():
        rig.fire()
        await settle()
        assert (rig.am.attempted, rig.hook.attempted) == ([], [])
        held.set()
        await settle()
        assert told(rig.am) == told(rig.hook) == [("LeverageHigh", NoticeKind.FIRING)]
    (phase,) = rig.outbox.phases
    assert phase.rule_states == (ROW,)
    assert len(phase.alerts) == 1
    assert [entry.channels for entry in phase.entries] == [("am", "hook")]


async def test_pages_leave_when_the_store_fails_and_are_kept_later() -> None:
    """The page is out at once, a condition says so, and nothing of the phase is forgotten."""
    rig = Rig()
    rig.outbox.error = StoreError("The store could not keep a phase within 250 ms.")
    async with rig.running():
        rig.fire()
        await settle()
        assert told(rig.hook) == [("LeverageHigh", NoticeKind.FIRING)]
        await rig.clock.advance(3)
        assert ("StoreFailing", NoticeKind.FIRING) in told(rig.hook)
        rig.outbox.error = None
        await rig.clock.advance(2)
        assert ("StoreFailing", NoticeKind.RESOLVED) not in told(rig.hook)
        await rig.clock.advance(3)
        assert ("StoreFailing", NoticeKind.RESOLVED) in told(rig.hook)
    kept = merge(rig.outbox.phases)
    assert kept.rule_states == (ROW,)
    assert {entry.id for entry in kept.entries} == {one.id for one in rig.hook.delivered}
    assert [name for name, _ in told(rig.hook)].count("LeverageHigh") == 1


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_slow_write_pages_nobody(failures: int) -> None:
    """Also when it is the very first: what it held is kept by the next, and that is all."""
    rig = Rig()

    class Slow(MemoryOutbox):
        failures_left = failures

        async def persist(self, phase: Phase) -> None:
            self.failures_left -= 1
            if self.failures_left >= 0:
                raise StoreError("The store could not keep a phase within 250 ms.")
            await super().persist(phase)

    slow = Slow()
    rig.pager = Pager(rig.dispatcher, rig.sender, slow, clock=rig.clock, snapshot=rig._snapshot)
    async with rig.running():
        rig.fire()
        await rig.clock.advance(20)
    assert told(rig.hook) == [("LeverageHigh", NoticeKind.FIRING)]
    assert merge(slow.phases).rule_states == (ROW,)


async def test_alertmanager_is_told_again_and_the_webhook_is_not() -> None:
    """Repeats go where state is held; people hear of an episode twice: beginning and end."""
    rig = Rig()
    async with rig.running():
        rig.fire()
        await rig.clock.advance(95)
        at_ns = rig.clock.now()
        rig.pager.decided(decision(transition(INACTIVE, FIRING, at_ns=at_ns)))
        await rig.clock.advance(65)
    fires, ends = NoticeKind.FIRING, NoticeKind.RESOLVED
    assert [kind for _, kind in told(rig.am)] == [fires] * 4 + [ends] * 3
    assert [kind for _, kind in told(rig.hook)] == [fires, ends]


async def test_a_failing_channel_is_told_over_the_other() -> None:
    """After a minute: the page itself and the condition reach the webhook, once each."""
    rig = Rig()
    rig.am.answer = retryable
    async with rig.running():
        rig.pager.decided(decision(transition(FIRING, severity=Severity.HIGH)))
        await rig.clock.advance(70)
        assert told(rig.hook).count(("LeverageHigh", NoticeKind.FIRING)) == 1
        assert told(rig.hook).count(("NotifyFailing", NoticeKind.FIRING)) == 1


async def test_a_restart_goes_on_where_it_was() -> None:
    """Restored alerts are repeated under their key; what no rule holds any more ends."""
    first = Rig()
    async with first.running():
        first.fire()
        await settle()
    rows = [row for phase in first.outbox.phases for row in phase.alerts]
    key = first.am.delivered[-1].dedup_key
    for firing, kind in (({KEY}, NoticeKind.FIRING), (set[tuple[str, str]](), NoticeKind.RESOLVED)):
        second = Rig(MemoryOutbox(), now_ns=START_NS + 60 * SECOND_NS)
        await second.pager.restore(rows, firing=firing)
        async with second.running():
            await second.clock.advance(1)
        found = [one for one in second.am.delivered if one.label("alertname") == "LeverageHigh"]
        assert [(one.kind, one.dedup_key) for one in found] == [(kind, key)]


async def test_a_planned_stop_extends_what_fires_and_says_what_is_unsent() -> None:
    """Alertmanager is told to hold for ten minutes; an unreachable channel is counted."""
    rig = Rig()
    async with rig.running():
        rig.fire()
        await settle()
        with capture_logs() as logs:
            assert await rig.pager.shut_down(5.0) == 0
        last = [one for one in rig.am.delivered if one.label("alertname") == "LeverageHigh"][-1]
        assert last.hold_s == 600.0
        assert logs == []
        rig.hook.answer = retryable
        rig.pager.decided(decision(transition(INACTIVE, FIRING, at_ns=rig.clock.now())))
        with capture_logs() as logs:
            assert await rig.pager.shut_down(0.05) == 1
        assert [log["event"] for log in logs] == ["pages_not_sent_at_shutdown"]


class HangsOnce(MemoryOutbox):
    """A disk that does not come back from its first write."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = asyncio.Event()

    async def persist(self, phase: Phase) -> None:
        if not self.writing.is_set():
            self.writing.set()
            await asyncio.Event().wait()
        await super().persist(phase)


async def test_a_stop_in_the_middle_of_a_write_loses_no_page() -> None:
    """What was being kept when the pager's task ended is kept and told by the shut-down."""
    outbox = HangsOnce()
    rig = Rig(outbox)
    async with asyncio.TaskGroup() as group:
        sender = group.create_task(rig.sender.run())
        pager = group.create_task(rig.pager.run())
        await settle()
        rig.fire()
        await outbox.writing.wait()
        pager.cancel()
        await asyncio.wait([pager])
        assert await rig.pager.shut_down(5.0) == 0
        sender.cancel()
    assert [entry for phase in rig.outbox.phases for entry in phase.entries] != []
    assert "LeverageHigh" in [one.label("alertname") for one in rig.hook.delivered]


ROWS = st.lists(
    st.one_of(
        st.tuples(st.just("state"), st.sampled_from("abc"), st.booleans()),
        st.tuples(st.just("alert"), st.sampled_from("abc"), st.booleans()),
    ),
    max_size=12,
)


@given(steps=ROWS)
def test_merged_phases_end_where_single_ones_do(steps: list[tuple[str, str, bool]]) -> None:
    """What could not be kept and is kept later at once ends the same as if kept in order."""
    phases = []
    kept: dict[tuple[str, str], bytes] = {}
    for number, (what, name, gone) in enumerate(steps):
        value = str(number).encode()
        if what == "state":
            row = RuleStateRow(rule=name, subject="s", definition_hash="d", state=value)
            phases.append(
                Phase(at_ns=number, rule_states_gone=((name, "s"),))
                if gone
                else Phase(at_ns=number, rule_states=(row,))
            )
        else:
            phases.append(
                Phase(at_ns=number, alerts_gone=(name,))
                if gone
                else Phase(at_ns=number, alerts=(AlertRow(identity=name, alert=value),))
            )
        if gone:
            kept.pop((what, name), None)
        else:
            kept[(what, name)] = value
    merged = merge(phases)
    found = {("state", row.rule): row.state for row in merged.rule_states}
    found |= {("alert", row.identity): row.alert for row in merged.alerts}
    assert found == kept
    assert {rule for rule, _ in merged.rule_states_gone}.isdisjoint(
        row.rule for row in merged.rule_states
    )


def test_merging_keeps_each_entry_once_in_order() -> None:
    """A phase that is tried again does not double its pages."""

    def entry(name: str) -> OutboxEntry:
        return OutboxEntry(
            id=name, identity=name, urgency=0, created_ns=0, notice=b"", channels=("am",)
        )

    one = Phase(at_ns=1, entries=(entry("a"), entry("b")))
    two = Phase(at_ns=2, entries=(entry("b"), entry("c")), memories=(("m", b"2"),))
    merged = merge([one, two])
    assert [found.id for found in merged.entries] == ["a", "b", "c"]
    assert (merged.at_ns, merged.memories) == (2, (("m", b"2"),))
    assert merge([]).empty
