"""The single writer: applied at once, judged once per batch, woken in time, loud when broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from monitor.core.decision import Decision
from monitor.core.errors import NotifyError, StoreError
from monitor.core.events import ChannelProgressed, Event, Tick
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.writer import Writer
from tests.manual_clock import START_NS, ManualClock, settle


def fact(word: str) -> ChannelProgressed:
    """A fact that can be told apart."""
    return ChannelProgressed(venue="fake", channel=f"fake/{word}")


class FakeEngine:
    """Records what it was asked; ``answers`` makes each decision."""

    def __init__(self) -> None:
        self.applied: list[tuple[EngineNs, Event]] = []
        self.evaluated: list[EngineNs] = []
        self.wake_after_s: list[float | None] = []
        self.loud = False
        self.broken: Exception | None = None
        self.broken_judging: Exception | None = None

    def apply(self, event: Event, now_ns: EngineNs, /) -> None:
        """Keep the fact."""
        if self.broken is not None:
            raise self.broken
        self.applied.append((now_ns, event))

    def evaluate(self, now_ns: EngineNs, /) -> Decision:
        """Decide what the test wants."""
        if self.broken_judging is not None:
            raise self.broken_judging
        self.evaluated.append(now_ns)
        after_s = self.wake_after_s.pop(0) if self.wake_after_s else None
        return Decision(
            at_ns=now_ns,
            measure_errors=("leverage: failed",) if self.loud else (),
            wake_at_ns=None if after_s is None else now_ns + round(after_s * SECOND_NS),
        )


class Listener:
    """A ``DecisionListener`` that keeps or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.decisions: list[Decision] = []

    def decided(self, decision: Decision) -> None:
        """Take a decision."""
        if self.error is not None:
            raise self.error
        self.decisions.append(decision)


class MemoryJournal:
    """A journal in memory."""

    def __init__(self, error: Exception | None = None) -> None:
        self.entries: list[object] = []
        self.error = error

    def event(self, now_ns: EngineNs, event: Event) -> None:
        """Keep a fact."""
        if self.error is not None:
            raise self.error
        self.entries.append(event)

    def batch(self, now_ns: EngineNs, decision: Decision) -> None:
        """Keep a batch mark."""
        if self.error is not None:
            raise self.error
        self.entries.append("batch")


class Rig:
    """A writer and all its neighbours."""

    def __init__(self, *listeners: Listener, journal: MemoryJournal | None = None) -> None:
        self.clock = ManualClock()
        self.engine = FakeEngine()
        self.metrics = DaemonMetrics(version="test")
        self.writer = Writer(
            self.engine,
            self.clock,
            listeners=listeners,
            metrics=self.metrics,
            journal=journal,
        )

    @property
    def evaluated_s(self) -> list[float]:
        """When the engine judged, seconds since the start."""
        return [(at - START_NS) / SECOND_NS for at in self.engine.evaluated]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The timer at work."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.writer.run(), name="writer")
            await settle()
            yield
            task.cancel()

    async def submit_and_wait(self) -> None:
        """Bring one fact and stay until something ends the writer."""
        async with self.running():
            self.writer.submit((fact("a"),))
            await asyncio.Event().wait()


async def test_facts_are_applied_at_once_and_judged_once_per_batch() -> None:
    """Every submit of one turn of the loop shares one evaluation, right after it."""
    rig = Rig()
    rig.writer.submit((fact("a"), fact("b")))
    rig.writer.submit((fact("c"),))
    assert [event for _, event in rig.engine.applied] == [fact("a"), fact("b"), fact("c")]
    assert rig.engine.evaluated == []
    await asyncio.sleep(0)
    assert len(rig.engine.evaluated) == 1
    await settle()
    assert len(rig.engine.evaluated) == 1
    assert rig.metrics.events == 3
    assert sum(rig.metrics.evaluation_s.counts) == 1


@pytest.mark.parametrize(
    ("gap_ms", "evaluations"),
    [
        pytest.param(2.4, 0, id="within the delay it waits for the batch"),
        pytest.param(2.5, 1, id="at the delay it judges within the batch"),
    ],
)
async def test_a_long_batch_is_judged_within_the_delay(gap_ms: float, evaluations: int) -> None:
    """Frames that keep coming cannot postpone the judgement beyond 5 ms."""
    rig = Rig()
    for word in ("a", "b", "c"):
        rig.writer.submit((fact(word),))
        rig.clock.jump(gap_ms / 1000.0)
    assert len(rig.engine.evaluated) == evaluations
    await settle()


async def test_the_engine_is_woken_at_its_deadline() -> None:
    """Not before; with a tick that is applied like any fact; and again at the next deadline."""
    rig = Rig()
    rig.engine.wake_after_s = [10.0, 5.0, None]
    async with rig.running():
        rig.writer.submit((fact("a"),))
        await rig.clock.advance(9.999)
        assert rig.evaluated_s == [0.0]
        await rig.clock.advance(0.001)
        assert rig.evaluated_s == [0.0, 10.0]
        assert rig.engine.applied[-1][1] == Tick()
        await rig.clock.advance(100.0)
        assert rig.evaluated_s == [0.0, 10.0, 15.0]


@pytest.mark.parametrize(
    ("second_after_s", "wakes_at_s"),
    [
        pytest.param(3.0, 4.0, id="an earlier deadline replaces the armed one"),
        pytest.param(20.0, 21.0, id="a later one costs no tick at the old time"),
        pytest.param(None, None, id="none at all is not woken"),
    ],
)
async def test_the_newest_deadline_counts(
    second_after_s: float | None, wakes_at_s: float | None
) -> None:
    """Each evaluation names the deadline anew."""
    rig = Rig()
    rig.engine.wake_after_s = [10.0, second_after_s]
    async with rig.running():
        rig.writer.submit((fact("a"),))
        await rig.clock.advance(1.0)
        rig.writer.submit((fact("b"),))
        await rig.clock.advance(60.0)
    assert rig.evaluated_s == [0.0, 1.0] + ([] if wakes_at_s is None else [wakes_at_s])


async def test_a_deadline_in_the_past_is_no_busy_loop() -> None:
    """An engine that asks for the past is woken a millisecond later, not at once for ever."""
    rig = Rig()
    rig.engine.wake_after_s = [-1.0] * 1000
    async with rig.running():
        rig.writer.submit((fact("a"),))
        await rig.clock.advance(0.0105)
    assert 5 <= len(rig.engine.evaluated) <= 12


async def test_only_decisions_with_something_in_them_are_announced() -> None:
    """In order, to each listener."""
    first, second = Listener(), Listener()
    rig = Rig(first, second)
    rig.writer.submit((fact("a"),))
    await settle()
    assert first.decisions == []
    rig.engine.loud = True
    rig.writer.submit((fact("b"),))
    await settle()
    assert len(first.decisions) == len(second.decisions) == 1
    assert rig.metrics.measure_errors == 1


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(NotifyError("no", retryable=True, reason="server"), id="notification"),
        pytest.param(StoreError("disk full"), id="store"),
    ],
)
async def test_a_listener_that_says_no_stops_nobody(error: Exception) -> None:
    """It is counted, and the next listener still gets the decision."""
    second = Listener()
    rig = Rig(Listener(error), second)
    rig.engine.loud = True
    async with rig.running():
        rig.writer.submit((fact("a"),))
        await settle()
        assert rig.writer.failed is None
    assert len(second.decisions) == 1
    value = rig.metrics.registry.get_sample_value(
        "riskd_listener_failures_total", {"listener": "Listener"}
    )
    assert value == 1.0


def _breaks_apply(rig: Rig, error: Exception) -> None:
    rig.engine.broken = error


def _breaks_evaluate(rig: Rig, error: Exception) -> None:
    rig.engine.broken_judging = error


@pytest.mark.parametrize("breaks", [_breaks_apply, _breaks_evaluate])
async def test_an_engine_that_breaks_ends_the_process(
    breaks: Callable[[Rig, Exception], None],
) -> None:
    """The feed that brought the fact is not blamed; ``run`` raises; no fact is taken after it."""
    rig = Rig()
    breaks(rig, ZeroDivisionError("core"))
    with capture_logs() as logs, pytest.raises(ExceptionGroup) as caught:
        await rig.submit_and_wait()
    assert caught.group_contains(ZeroDivisionError)
    assert "core_failed" in [entry["event"] for entry in logs]
    rig.engine.broken = None
    applied = len(rig.engine.applied)
    rig.writer.submit((fact("b"),))
    assert len(rig.engine.applied) == applied


async def test_a_bug_in_a_listener_ends_the_process_after_all_have_heard() -> None:
    """A page that silently cannot be written is worse than a daemon that dies loudly."""
    second = Listener()
    rig = Rig(Listener(KeyError("bug")), second)
    rig.engine.loud = True
    with pytest.raises(ExceptionGroup) as caught:
        await rig.submit_and_wait()
    assert caught.group_contains(KeyError)
    assert len(second.decisions) == 1


async def test_the_journal_holds_what_was_applied_with_its_batches() -> None:
    """Facts before they are applied, ticks included, and a mark for each evaluation."""
    journal = MemoryJournal()
    rig = Rig(journal=journal)
    rig.engine.wake_after_s = [1.0]
    async with rig.running():
        rig.writer.submit((fact("a"),))
        rig.writer.submit((fact("b"),))
        await rig.clock.advance(1.0)
    assert journal.entries == [fact("a"), fact("b"), "batch", Tick(), "batch"]


async def test_a_full_disk_does_not_stop_the_watching() -> None:
    """A journal that says no is counted and logged once; facts go on being applied."""
    rig = Rig(journal=MemoryJournal(StoreError("disk full")))
    with capture_logs() as logs:
        rig.writer.submit((fact("a"), fact("b")))
        await settle()
    assert len(rig.engine.applied) == 2
    assert [entry["event"] for entry in logs] == ["journal_failed"]


async def test_draining_judges_what_still_waits() -> None:
    """The last facts before a stop are judged."""
    rig = Rig()
    rig.writer.submit((fact("a"),))
    rig.writer.drain()
    assert len(rig.engine.evaluated) == 1
    await settle()
    rig.writer.drain()
    assert len(rig.engine.evaluated) == 1


async def test_what_is_due_is_known_until_it_was_judged() -> None:
    """A liveness probe sees since when facts wait, and how long each batch waited is observed."""
    rig = Rig()
    assert rig.writer.evaluation_due_ns is None
    rig.writer.submit((fact("a"),))
    assert rig.writer.evaluation_due_ns == START_NS
    await settle()
    assert rig.writer.evaluation_due_ns != START_NS
    assert sum(rig.metrics.event_to_decision_s.counts) == 1
