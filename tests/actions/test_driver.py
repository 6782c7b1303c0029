"""A conclusion is kept before it leaves; what makes things safer leaves even when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from monitor.actions.driver import KillDriver
from monitor.core.decision import ActionLevel, Decision, KillRequest, RuleMode
from monitor.core.errors import StoreError
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.facts import (
    AuditEntry,
    CancelOrders,
    Command,
    CommandFailed,
    KillFact,
    KillNotice,
    PlaceOrders,
    ReadAccount,
    RuleAsked,
    Step,
    TimePassed,
)
from monitor.core.ports import OutboxEntry, Phase
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, Severity
from tests.manual_clock import ManualClock, settle
from tests.notify.fakes import START_NS

READ = ReadAccount(id="read-1", trip_id="t", venue="hyperliquid", account="main")
OTHER = ReadAccount(id="read-2", trip_id="t", venue="dydx", account="main")
CANCEL = CancelOrders(id="cancel-1", trip_id="t", venue="hyperliquid", account="main", orders=())
RISKY = PlaceOrders(
    id="place-1", trip_id="t", venue="hyperliquid", account="main", orders=(), safer=False
)
NOTICE = KillNotice(
    key="trip",
    alert="KillSwitchTripped",
    severity=Severity.CRITICAL,
    scope=PORTFOLIO,
    at_ns=START_NS,
    summary="CUT of the portfolio",
    description="",
)
AUDIT = AuditEntry(
    at_ns=1, actor="r", action="tripped", scope="portfolio", level_from=0, level_to=3
)


class ScriptedMachine:
    """Answers each fact with the next step; remembers what it was told."""

    def __init__(self, *steps: Step | Exception) -> None:
        self.steps = list(steps)
        self.facts: list[KillFact] = []

    def apply(self, fact: KillFact, now: EngineNs, book: Book | None = None, /) -> Step:
        """The next of the script, and nothing once it is over."""
        self.facts.append(fact)
        step = self.steps.pop(0) if self.steps else Step()
        if isinstance(step, Exception):
            raise step
        return step

    def packed(self) -> bytes:
        """How many facts it has seen."""
        return str(len(self.facts)).encode()


class Recorder:
    """Store, second copy, pages and executors in one: the order of what happened."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.phases: list[Phase] = []
        self.failing = self.copy_failing = False
        self.gates: dict[str, asyncio.Event] = {}
        self.broken: Exception | None = None

    async def persist(self, phase: Phase) -> None:
        """Keeps, or says no."""
        await asyncio.sleep(0)
        if self.failing:
            raise StoreError("the disk is full")
        self.phases.append(phase)
        self.log.append("kept")

    async def write(self, state: bytes, at_ns: EngineNs) -> None:
        """The second copy."""
        assert at_ns
        if self.copy_failing:
            raise StoreError("the other disk is full")
        self.log.append(f"copied {state.decode()}")

    def prepare(self, notices: Sequence[KillNotice]) -> Phase:
        """One entry for each notice."""
        entries = tuple(
            OutboxEntry(
                id=notice.key + str(notice.resolved),
                identity=notice.key,
                urgency=0,
                created_ns=1,
                notice=notice.summary.encode(),
                channels=("x",),
            )
            for notice in notices
        )
        return Phase(at_ns=0, entries=entries)

    def leave(self, entries: tuple[OutboxEntry, ...]) -> None:
        """The page leaves."""
        self.log += [f"page {entry.identity}" for entry in entries]


class Hands:
    """An executor that waits at a gate where there is one."""

    def __init__(self, venue: str, recorder: Recorder) -> None:
        self.venue = venue
        self._recorder = recorder

    def acts_for(self, account: str) -> bool:
        """For main alone."""
        return account == "main"

    async def run(self, command: Command) -> KillFact:
        """Note it, wait where it should, answer."""
        self._recorder.log.append(f"sent {command.id}")
        if gate := self._recorder.gates.get(command.id):
            await gate.wait()
        if self._recorder.broken is not None:
            raise self._recorder.broken
        return TimePassed()


def book(now: EngineNs) -> Book:
    """An empty one."""
    return Book(at_ns=now, accounts=(), instruments=(), quotes=())


class Rig:
    """A driver with everything around it scripted."""

    def __init__(self, *steps: Step | Exception) -> None:
        self.clock = ManualClock(START_NS)
        self.machine = ScriptedMachine(*steps)
        self.recorder = Recorder()
        self.driver = KillDriver(
            self.machine,
            [Hands("hyperliquid", self.recorder), Hands("dydx", self.recorder)],
            clock=self.clock,
            book=book,
            store=self.recorder,
            second_copy=self.recorder,
            pages=self.recorder,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Recorder]:
        """The driver at work; ended afterwards."""
        task = asyncio.create_task(self.driver.run())
        try:
            yield self.recorder
        finally:
            task.cancel()
            await asyncio.wait([task])


def asked() -> RuleAsked:
    """A rule asks."""
    request = KillRequest(
        rule="r",
        subject=PORTFOLIO,
        scope=PORTFOLIO,
        level=ActionLevel.CUT,
        mode=RuleMode.ACT,
        gross_to_ratio=0.7,
        firing_epoch_ns=1,
    )
    return RuleAsked(request=request)


async def test_kept_then_told_then_sent() -> None:
    """State, audit and page are in one phase, before anything leaves."""
    rig = Rig(Step(changed=True, audit=(AUDIT,), notices=(NOTICE,), commands=(READ,)))
    async with rig.running() as recorder:
        rig.driver.submit(asked())
        await settle()
        assert recorder.log == ["kept", "page trip", "sent read-1"]
        (phase,) = recorder.phases
        assert (phase.kill_state, phase.audit) == (b"1", (AUDIT,))
        assert [entry.identity for entry in phase.entries] == ["trip"]
        assert isinstance(rig.machine.facts[1], TimePassed), "its outcome is a fact"


async def test_a_failing_store_stops_nothing_that_makes_safer() -> None:
    """A second copy and a page; what must be kept waits, and leaves once it is."""
    step = Step(changed=True, audit=(AUDIT,), notices=(NOTICE,), commands=(CANCEL, RISKY))
    rig = Rig(step)
    async with rig.running() as recorder:
        recorder.failing = True
        rig.driver.submit(asked())
        await settle()
        assert recorder.log[:3] == ["copied 1", "page trip", "sent cancel-1"]
        assert recorder.log[-1] == "page kill-store"
        await rig.clock.advance(1.0)
        assert recorder.log.count("page kill-store") == 1, "said once"
        recorder.failing = False
        rig.driver.submit(TimePassed())
        rig.machine.steps.append(Step(changed=True))
        rig.driver.submit(TimePassed())
        await settle()
        assert recorder.log[-4:] == ["kept", "sent place-1", "kept", "page kill-store"]


async def test_what_loosens_needs_the_store() -> None:
    """It is refused while nothing is kept, and the machine never hears of it."""
    rig = Rig(Step(changed=True))
    async with rig.running() as recorder:
        recorder.failing = True
        with pytest.raises(StoreError):
            await rig.driver.submit_when_kept(asked())
        assert rig.machine.facts == []
        recorder.failing = False
        await rig.driver.submit_when_kept(asked())
        assert len(rig.machine.facts) == 1
        recorder.failing = True
        rig.driver.submit(TimePassed())
        rig.machine.steps.append(Step(changed=True))
        rig.driver.submit(TimePassed())
        await settle()
        recorder.failing = False
        with pytest.raises(StoreError):
            await rig.driver.submit_when_kept(asked())


async def test_a_person_hears_whether_it_is_on_record() -> None:
    """Once it is; or that it is not."""
    rig = Rig(Step(changed=True), Step(changed=True))
    async with rig.running() as recorder:
        rig.driver.submit(asked())
        assert recorder.phases == []
        assert await rig.driver.settled()
        assert len(recorder.phases) == 1
        assert await rig.driver.settled(), "nothing new: at once"
        recorder.failing = True
        rig.driver.submit(asked())
        assert not await rig.driver.settled()
    rig.driver.submit(asked())
    rig.machine.steps.append(Step(changed=True))
    rig.driver.submit(asked())
    assert not await rig.driver.settled(0.01), "nobody keeps anything any more"


async def test_no_record_anywhere_still_acts_and_says_so() -> None:
    """Both disks full: the cancel leaves, and the page names both reasons."""
    rig = Rig(Step(changed=True, commands=(CANCEL,)))
    async with rig.running() as recorder:
        recorder.failing = recorder.copy_failing = True
        said: list[bytes] = []
        leave = recorder.leave

        def hear(entries: tuple[OutboxEntry, ...]) -> None:
            said.extend(entry.notice for entry in entries)
            leave(entries)

        recorder.leave = hear  # type: ignore[method-assign]
        rig.driver.submit(asked())
        await settle()
        assert recorder.log == ["sent cancel-1", "page kill-store"]
        assert b"the disk is full" in said[0]
        assert b"the other disk is full" in said[0]


async def test_one_slow_venue_delays_no_other() -> None:
    """Each command is a task of its own."""
    rig = Rig(Step(changed=True, commands=(READ, OTHER)), Step(), Step(commands=(CANCEL,)))
    async with rig.running() as recorder:
        recorder.gates["read-1"] = asyncio.Event()
        rig.driver.submit(asked())
        await settle()
        assert recorder.log == ["kept", "sent read-1", "sent read-2"]
        assert len(rig.machine.facts) == 2, "the other venue's outcome is in"
        recorder.gates["read-1"].set()
        await settle()
        assert recorder.log[-1] == "sent cancel-1"


async def test_the_same_command_is_out_once() -> None:
    """A machine that asks again, as after a restart, does not send twice."""
    rig = Rig(Step(changed=True, commands=(READ,)), Step(changed=True, commands=(READ,)))
    async with rig.running() as recorder:
        recorder.gates["read-1"] = asyncio.Event()
        rig.driver.submit(asked())
        rig.driver.submit(asked())
        await settle()
        assert recorder.log.count("sent read-1") == 1


@pytest.mark.parametrize(
    ("account", "broken", "uncertain"),
    [
        pytest.param("main", KeyError("oops"), True, id="a bug: nobody knows"),
        pytest.param("else", None, False, id="nobody acts for it: certainly not sent"),
    ],
)
async def test_a_command_that_cannot_be_carried_out_is_a_fact(
    account: str, broken: Exception | None, uncertain: bool
) -> None:
    """And the driver goes on."""
    command = ReadAccount(id="x", trip_id="t", venue="hyperliquid", account=account)
    rig = Rig(Step(changed=True, commands=(command,)))
    async with rig.running() as recorder:
        recorder.broken = broken
        rig.driver.submit(asked())
        await settle()
        fact = rig.machine.facts[-1]
        assert isinstance(fact, CommandFailed)
        assert (fact.command_id, fact.uncertain) == ("x", uncertain)


async def test_a_bug_of_the_machine_loses_nothing() -> None:
    """It is said, audited and counted; the next fact is taken as if nothing had been."""
    rig = Rig(ValueError("bad"), Step(changed=True, commands=(READ,)))
    async with rig.running() as recorder:
        assert "bad" in rig.driver.submit(asked()).answer
        rig.driver.submit(asked())
        await settle()
        assert "page kill-step/RuleAsked" in recorder.log
        assert recorder.log[-1] == "sent read-1"
        assert [entry.action for entry in recorder.phases[0].audit] == ["step_failed"]
        assert rig.driver.failed_steps == 1


async def test_the_machine_is_woken_when_it_asked() -> None:
    """Not before; an earlier moment pushes a later one aside."""
    rig = Rig(Step(wake_at_ns=START_NS + 60 * SECOND_NS), Step(wake_at_ns=START_NS + SECOND_NS))
    async with rig.running():
        rig.driver.submit(asked())
        await settle()
        rig.driver.submit(asked())
        await settle()
        await rig.clock.advance(0.999)
        assert len(rig.machine.facts) == 2
        await rig.clock.advance(0.001)
        assert isinstance(rig.machine.facts[2], TimePassed)
        await rig.clock.advance(120.0)
        assert len(rig.machine.facts) == 3, "what it no longer asks for is forgotten"


async def test_a_bug_of_the_machine_loses_no_moment_that_was_due() -> None:
    """Whatever waited for it is asked for again within a second, and not with the next fact."""
    rig = Rig(Step(wake_at_ns=START_NS + SECOND_NS), ValueError("bad"))
    async with rig.running():
        rig.driver.submit(asked())
        await settle()
        await rig.clock.advance(1.0)
        assert len(rig.machine.facts) == 2
        await rig.clock.advance(1.0)
        assert isinstance(rig.machine.facts[2], TimePassed)
        await rig.clock.advance(120.0)
        assert len(rig.machine.facts) == 3


async def test_a_step_that_fails_each_time_is_tried_at_growing_intervals() -> None:
    """Each try is a page, an audit line and a traceback. What is told it meanwhile is taken at
    once, and brings the next try no nearer; one that works ends it."""
    wake = Step(wake_at_ns=START_NS + SECOND_NS)
    bad = [ValueError("bad") for _ in range(4)]
    rig = Rig(wake, *bad[:3], wake, bad[3], wake, wake)
    async with rig.running():
        rig.driver.submit(asked())
        await settle()
        for wait_s, tries in ((1.0, 1), (1.0, 2), (4.9, 2), (0.1, 3)):
            await rig.clock.advance(wait_s)
            assert rig.driver.failed_steps == tries
        rig.driver.submit(asked())
        for wait_s, tries in ((9.9, 3), (0.1, 4), (29.9, 4)):
            await rig.clock.advance(wait_s)
            assert rig.driver.failed_steps == tries
        before = len(rig.machine.facts)
        await rig.clock.advance(0.1)
        assert len(rig.machine.facts) > before


async def test_what_a_decision_asks_for_enters_with_its_confirmations() -> None:
    """As the rule engine tells it: times, sources and the rule's version, nothing made up."""
    rig = Rig()
    request = KillRequest(
        rule="r",
        subject=PORTFOLIO,
        scope=PORTFOLIO,
        level=ActionLevel.CUT,
        mode=RuleMode.ACT,
        gross_to_ratio=0.7,
        firing_epoch_ns=1,
        rule_hash="abc",
        observations_ns=(START_NS - 21 * SECOND_NS, START_NS),
        sources=("hyperliquid",),
    )
    rig.driver.decided(Decision(at_ns=START_NS, kill_requests=(request,)))
    assert rig.machine.facts == [RuleAsked(request=request)]


async def test_a_planned_stop_waits_for_what_is_out() -> None:
    """What ends in time is kept as ended; what does not is found out after the restart."""
    rig = Rig(Step(changed=True, commands=(READ,)), Step(changed=True, audit=(AUDIT,)))
    async with rig.running() as recorder:
        recorder.gates["read-1"] = asyncio.Event()
        rig.driver.submit(asked())
        await settle()
        stopping = asyncio.create_task(rig.driver.shut_down(5.0))
        await settle()
        recorder.gates["read-1"].set()
        assert await stopping == 0
        assert recorder.phases[-1].audit == (AUDIT,)


async def test_what_is_on_record_is_what_the_store_has() -> None:
    """Neither a conclusion nor a second copy is a record; whoever waits for it is told."""
    rig = Rig(Step(changed=True), Step(changed=True))
    heard: list[bytes] = []
    rig.driver._recorded = lambda: heard.append(rig.driver.on_record)
    assert rig.driver.on_record == b"0"
    async with rig.running() as recorder:
        recorder.failing = True
        rig.driver.submit(asked())
        await settle()
        assert (rig.driver.on_record, heard) == (b"0", [])
        recorder.failing = False
        rig.driver.submit(asked())
        await settle()
        assert rig.driver.on_record == b"2"
        assert heard[-1] == b"2"
