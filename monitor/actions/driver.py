"""Drives the kill machine: facts in, each step kept, then its commands carried out.

The machine decides and this carries. A step is kept (latch, intents, pages and audit in one
transaction) before any command of it leaves; where the store fails or is slow, a second copy is
written, people are told, and the commands that make things safer leave all the same. Every command
is a task of its own, so that one slow venue delays no other. What breaks in one step stays there:
a latch is never lost to an exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol, get_args

import msgspec
import structlog

from monitor.actions.telling import (
    failed,
    failure,
    input_text,
    step_failed,
    store_notice,
)
from monitor.core.decision import Decision, KillRequest
from monitor.core.errors import StoreError
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.facts import (
    AuditEntry,
    Command,
    KillFact,
    KillNotice,
    RuleAsked,
    RuleEnded,
    Step,
    TimePassed,
)
from monitor.core.ports import (
    Clock,
    Executor,
    KillPages,
    Phase,
    PhaseStore,
    SecondCopy,
)
from monitor.core.rule_runner import REMOVED as RULE_REMOVED
from monitor.core.types import SECOND_NS, AlertState, EngineNs, Subject

SETTLE_S = 2.0  # a person's answer waits so long for its record: store, then second copy
UNKEPT_TIMES = 3  # in a row, a second apart
RETRY_S = 1.0  # how often what could not be kept is tried again
STEP_RETRY_S = (1.0, 5.0, 10.0, 30.0, 60.0)  # before a step that fails on time alone; then the last
DRAIN_S = 5.0  # what a planned stop waits for commands that are out


class Machine(Protocol):
    """What the driver needs of ``core.killswitch.machine.KillMachine``."""

    def apply(self, fact: KillFact, now: EngineNs, book: Book | None = None, /) -> Step:
        """Let one fact change the state; pure."""
        ...

    def packed(self) -> bytes:
        """The whole state, as it is kept."""
        ...


class KillDriver:
    """A ``DecisionListener`` around one kill machine.

    Args:
        machine: Never touched by anyone else while the driver lives.
        executors: Each acts for the accounts of one venue; the first that does is used.
        clock: Engine time.
        book: What is known of the book now, for plans.
        store: Keeps phases, with the deadline of the kill path.
        second_copy: Where the state goes when the store cannot keep it.
        pages: How people are told.
        told: Hears each step as it is concluded.
        recorded: Called when ``on_record`` is another one.
        unkept: An earlier process told that its record is not whole, and not yet that it is.
    """

    def __init__(
        self,
        machine: Machine,
        executors: Sequence[Executor],
        *,
        clock: Clock,
        book: Callable[[EngineNs], Book],
        store: PhaseStore,
        second_copy: SecondCopy,
        pages: KillPages,
        told: Callable[[Step], None] = lambda _step: None,
        recorded: Callable[[], None] = lambda: None,
        unkept: bool = False,
    ) -> None:
        self._machine = machine
        self._executors = tuple(executors)
        self._clock = clock
        self._book = book
        self._store = store
        self._second_copy = second_copy
        self._pages = pages
        self._told = told
        self._recorded = recorded
        self.on_record = machine.packed()  # the newest state that the store has; at first its own
        self._steps: list[Step] = []
        self._unkept = self._unkept_told = unkept
        self._unkept_times = 0
        self._waiting: list[Command] = []  # those that may not leave before the store keeps again
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake_at_ns: EngineNs | None = None
        self._time_failed = 0  # running: a defect that comes again each time must not flood
        self._not_before_ns: EngineNs = 0
        self._taken = self._flushed = 0  # steps concluded, and of them kept as far as can be
        self._done = asyncio.Condition()
        self._news = asyncio.Event()
        self._rearmed = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._log = structlog.get_logger("kill")
        self.failed_steps = 0
        self.unkept_phases = 0
        self.carried_out = {kind.__name__: 0 for kind in get_args(Command)}

    @property
    def commands_out(self) -> int:
        """Commands that left and are not answered."""
        return len(self._running)

    # ------------------------------------------------------------------------------- inputs

    def decided(self, decision: Decision) -> None:
        """What rules ask for, and which of them ended."""
        for request in decision.kill_requests:
            step = self.submit(RuleAsked(request=request))
            if step.audit:
                self._note_inputs(request, decision, step)
        for change in decision.transitions:
            if change.after is AlertState.INACTIVE and change.before is not AlertState.PENDING:
                removed = change.reason == RULE_REMOVED
                self.submit(RuleEnded(rule=change.rule, subject=change.subject, removed=removed))

    def _note_inputs(self, request: KillRequest, decision: Decision, step: Step) -> None:
        """What the rule had read when it asked, beside what came of it."""
        change = next(
            (
                one
                for one in decision.transitions
                if one.rule == request.rule and one.subject == request.subject
            ),
            None,
        )
        if change is None:
            return
        self.note(
            action="rule_asked",
            actor=f"rule:{request.rule}",
            scope=request.scope,
            reason=change.summary,
            trip_id=next((entry.trip_id for entry in step.audit if entry.trip_id), ""),
            details=(
                ("condition", change.expression),
                *((one.measure, input_text(one, decision.at_ns)) for one in change.inputs),
            ),
        )

    def submit(self, fact: KillFact) -> Step:
        """Apply one fact now; gives what the machine concluded, with its words for a person.

        It is kept and carried out on the driver's own task. A bug of the machine is contained to
        this fact: it is told, and everything that is latched stays so.
        """
        now = self._clock.now()
        try:
            step = self._machine.apply(fact, now, self._book(now))
            if isinstance(fact, TimePassed):
                self._time_failed, self._not_before_ns = 0, 0
        except Exception as error:  # noqa: BLE001 - containment of one kill step (design.md §2)
            self.failed_steps += 1
            self._log.exception("kill_step_failed", fact=type(fact).__name__)
            if isinstance(fact, TimePassed):
                wait_s = STEP_RETRY_S[min(self._time_failed, len(STEP_RETRY_S) - 1)]
                self._not_before_ns = now + round(wait_s * SECOND_NS)
                self._time_failed += 1
            step = Step(
                notices=(step_failed(fact, error, now),),
                audit=(failure(fact, error, now),),
                # What was due is still due: without another moment nothing would wake it.
                wake_at_ns=now + round(RETRY_S * SECOND_NS),
                answer=f"riskd failed on this: {error}. Nothing that is latched was changed.",
            )
        self._take(step)
        self._told(step)
        return step

    def note(
        self,
        *,
        action: str,
        actor: str,
        scope: Subject,
        reason: str,
        trip_id: str = "",
        details: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """One audit line about something that the machine has no part in."""
        entry = AuditEntry(
            at_ns=self._clock.now(),
            actor=actor,
            action=action,
            scope=scope,
            level_from=0,
            level_to=0,
            trip_id=trip_id,
            reason=reason,
            details=details,
        )
        self._steps.append(Step(audit=(entry,)))
        self._taken += 1
        self._news.set()

    def tell(self, notice: KillNotice) -> None:
        """Say something that the machine has no part in."""
        self._steps.append(Step(notices=(notice,)))
        self._taken += 1
        self._news.set()

    async def settled(self, deadline_s: float = SETTLE_S) -> bool:
        """Wait until all that was concluded so far is kept; False where the store does not keep it
        (the second copy may), or not in time."""
        wanted = self._taken
        try:
            async with asyncio.timeout(deadline_s), self._done:
                await self._done.wait_for(lambda: self._flushed >= wanted)
        except TimeoutError:
            return False
        return not self._unkept

    async def submit_when_kept(self, fact: KillFact) -> Step:
        """Apply a fact that may make things less safe, and only while the store keeps phases.

        Raises:
            StoreError: It keeps none: nothing was changed.
        """
        if self._unkept:
            raise StoreError("The store keeps nothing now.")
        await self._store.persist(self._phase(()))
        return self.submit(fact)

    # ------------------------------------------------------------------------------ the work

    async def run(self) -> NoReturn:
        """Keep, tell and carry out until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._wake(), name="kill:timer")
            try:
                await self._keep_on()
            finally:
                self._group = None
        raise AssertionError  # the task above never ends by itself

    def restarted(self) -> None:
        """Begin where an earlier process ended: what was possibly sent is found out first."""
        self.submit(TimePassed(restarted=True))

    async def shut_down(self, deadline_s: float = DRAIN_S) -> int:
        """Keep what is not kept and wait for commands that are out; gives how many are still out.

        They are found out again after the restart: nothing is sent twice.
        """
        await self._flush(start=False)
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=deadline_s)
        left = [task for task in self._running.values() if not task.done()]
        for task in left:
            task.cancel()
        await self._flush(start=False)
        return len(left)

    async def _keep_on(self) -> NoReturn:
        while True:
            if not self._unkept:
                await self._news.wait()
            else:
                try:
                    async with asyncio.timeout(RETRY_S):
                        await self._news.wait()
                except TimeoutError:
                    self._log.info("kill_phase_retried")
            self._news.clear()
            await self._flush(start=True)

    async def _flush(self, *, start: bool) -> None:
        steps, self._steps = self._steps, []
        if not steps and not self._unkept:
            return
        taken = self._taken
        phase = self._phase(steps)
        kept = await self._keep(phase, acts=any(step.commands for step in steps))
        # Before anything else may be awaited: a stop must not part them.
        self._pages.leave(phase.entries)
        if kept and phase.kill_state is not None:
            self.on_record = phase.kill_state
            self._recorded()
        async with self._done:
            self._flushed = taken
            self._done.notify_all()
        commands = [command for step in steps for command in step.commands]
        if kept:
            commands, self._waiting = [*self._waiting, *commands], []
        else:
            self._waiting += [command for command in commands if not command.safer]
            commands = [command for command in commands if command.safer]
        if start:
            for command in commands:
                self._start(command)

    def _phase(self, steps: Sequence[Step]) -> Phase:
        told = self._pages.prepare([notice for step in steps for notice in step.notices])
        return msgspec.structs.replace(
            told,
            at_ns=self._clock.now(),
            kill_state=self._machine.packed(),
            audit=tuple(entry for step in steps for entry in step.audit),
        )

    async def _keep(self, phase: Phase, *, acts: bool) -> bool:
        """Whether everything is kept now. What the store could not keep it takes along with the
        next phase by itself. ``acts`` where commands wait for it."""
        try:
            await self._store.persist(phase)
        except StoreError as error:
            await self._keep_elsewhere(phase, error, acts=acts)
            return False
        if not self._unkept:
            return True
        self._unkept = False
        self._log.info("kill_phases_kept_again")
        if self._unkept_told:
            self._unkept_told = False
            self.tell(store_notice("", self._clock.now()))
        return True

    async def _keep_elsewhere(self, phase: Phase, error: StoreError, *, acts: bool) -> None:
        self.unkept_phases += 1
        first, self._unkept = not self._unkept, True
        reason = str(error)
        try:
            await self._second_copy.write(phase.kill_state or b"", phase.at_ns)
        except StoreError as second:
            reason = f"{reason} And there is no second copy: {second}"
        self._log.error("kill_phase_not_kept", reason=reason)
        # One late write of a watching riskd is a busy disk; what acts without its record is told.
        self._unkept_times = 1 if first else self._unkept_times + 1
        if not self._unkept_told and (acts or self._unkept_times >= UNKEPT_TIMES):
            self._unkept_told = True
            self.tell(store_notice(reason, self._clock.now()))

    def _take(self, step: Step) -> None:
        wake_at_ns = step.wake_at_ns
        if wake_at_ns is not None:
            wake_at_ns = max(wake_at_ns, self._not_before_ns)
        if wake_at_ns != self._wake_at_ns:
            self._wake_at_ns = wake_at_ns
            self._rearmed.set()
        if step.changed or step.audit or step.notices or step.commands:
            self._steps.append(step)
            self._taken += 1
            self._news.set()

    async def _wake(self) -> NoReturn:
        """Tell the machine when a moment that it asked for has come."""
        while True:
            self._rearmed.clear()
            wake_at_ns = self._wake_at_ns
            if wake_at_ns is None:
                await self._rearmed.wait()
                continue
            sleeping = asyncio.ensure_future(
                self._clock.sleep(max(0.0, (wake_at_ns - self._clock.now()) / SECOND_NS))
            )
            pushing = asyncio.ensure_future(self._rearmed.wait())
            try:
                await asyncio.wait({sleeping, pushing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
                pushing.cancel()
            if self._wake_at_ns is not None and self._wake_at_ns <= self._clock.now():
                self._wake_at_ns = None  # the coming step names the next one
                self.submit(TimePassed())

    def _start(self, command: Command) -> None:
        if command.id in self._running or self._group is None:
            return  # already out: the same id is the same command
        task = self._group.create_task(self._carry_out(command), name=f"kill:{command.id}")
        self._running[command.id] = task
        task.add_done_callback(lambda _done: self._running.pop(command.id, None))

    async def _carry_out(self, command: Command) -> None:
        executor = self._executor_for(command)
        fact: KillFact
        if executor is None:
            fact = failed(command, "nothing here can act for this account", uncertain=False)
        else:
            try:
                fact = await executor.run(command)
            except Exception as error:  # noqa: BLE001 - containment of one kill step (design.md §2)
                self.failed_steps += 1
                self._log.exception("kill_command_failed", command=type(command).__name__)
                fact = failed(command, f"riskd failed on it: {error}", uncertain=True)
        self.carried_out[type(command).__name__] += 1
        # Before the fact: what it leads to may be the same command once more.
        self._running.pop(command.id, None)
        self.submit(fact)

    def _executor_for(self, command: Command) -> Executor | None:
        return next(
            (
                executor
                for executor in self._executors
                if executor.venue == command.venue and executor.acts_for(command.account)
            ),
            None,
        )
