"""The kill switch of one daemon: the machine, its driver, what it sees and who may ask it.

Latches are restored and enforced before the first feed connects. In ``observe`` there is no
executor and no signer: what would have been done is recorded, and a person is told so.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog

from monitor.actions.driver import KillDriver
from monitor.actions.telling import (
    STEP_ALERT,
    STORE_ALERT,
    STORE_KEY,
    step_forgotten,
    store_notice,
)
from monitor.app.book import book_of
from monitor.app.cut_order import rank_parts, ranking_text
from monitor.app.ended import ended, not_asked
from monitor.app.kill_file import KillFile
from monitor.app.rebaseline import Rebaselines
from monitor.app.report import Reporter
from monitor.app.way_back import unmet, would_fire
from monitor.app.words import plan_text
from monitor.core.engine import Engine
from monitor.core.errors import StoreError
from monitor.core.kill_file import KILL_FILE_NAME
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.episodes.asks import WOULD_ALERT
from monitor.core.killswitch.facts import (
    KillNotice,
    PersonApproved,
    PersonPulled,
    RearmConfirmed,
    RearmRequested,
    Step,
)
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.plan import PlanLimits, Target
from monitor.core.killswitch.planner import gross_in_scope_usd, plan_cut
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.killswitch.restore import more_restrictive, state_after_restart
from monitor.core.killswitch.state import unpack
from monitor.core.killswitch.trading import TradingState, trading_state, with_kept
from monitor.core.killswitch.turn import digest
from monitor.core.operator import OperatorAnswer, OperatorRequest, Verb, level_of, scope_of
from monitor.core.ports import Clock, EventSink, Executor
from monitor.core.rights import HOST
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, Severity, Subject
from monitor.notify.pager import Pager
from monitor.store.database import Store

FILE_PERIOD_S = 1.0
NOT_KEPT = "It is NOT ON RECORD yet: the store keeps nothing now. A restart may not know of it."
BESIDE_KEY = f"{STORE_KEY}/beside"
FILE_KEY = "kill-file/"
NOT_LATCHED = "riskd observes, so nothing is latched for it; armed, it would be REDUCE_ONLY."
REFUSED = "_refused"  # how audit actions of what was not done end


class KillSwitch:
    """Holds the machine and carries out what people ask. Implements ``OperatorDesk``.

    Args:
        policy: What the desk allows.
        executors: None in ``observe``.
        engine: Read for books and for what rules say now.
        events: Where an operator's word to the engine goes.
        store, pager, clock: The daemon's.
        majors: Assets with the tight price bound.
        directory: Where the KILL file may lie.
        changed: Called after every step; the trading state may read differently.
    """

    def __init__(
        self,
        policy: KillPolicy,
        executors: Sequence[Executor],
        *,
        engine: Engine,
        events: EventSink,
        store: Store,
        pager: Pager,
        clock: Clock,
        majors: Iterable[str],
        directory: Path,
        changed: Callable[[], None],
    ) -> None:
        self.policy = policy
        self._executors = tuple(executors)
        self._engine = engine
        self._events = events
        self._clock = clock
        self._majors = frozenset(majors)
        self._file = KillFile(directory / KILL_FILE_NAME)
        self._store = store
        self._log = structlog.get_logger("kill")
        self._born_ns = now = clock.now()
        self._unasked: frozenset[str] = frozenset()  # what the last look found so
        restored = store.restore_kill_state(more_restrictive)
        problem = restored.problem
        if store.older and not restored.copied and policy.mode is not DaemonMode.OBSERVE:
            # What was latched after the file was saved is in neither place.
            problem = f"{problem} {store.audit_problem}".strip()
        acting = policy.mode is not DaemonMode.OBSERVE
        state, self.problem = state_after_restart(
            restored.state, problem=problem, now=now, acting=acting
        )
        # What latches nothing has to be told for itself.
        self._unread = f"{self.problem} {NOT_LATCHED}" if self.problem and not acting else ""
        self._log.info(
            "kill_state_restored",
            source=restored.source.value,
            why=restored.why,
            problem=self.problem,
            latched=[str(scope) for scope in state.latches],
        )
        if restored.unkept is not None:
            pager.take_over(restored.unkept)
        # What an earlier process told and this one does not find has an end, which this one tells.
        records, self._failed_steps = pager.standing(STORE_ALERT), pager.standing(STEP_ALERT)
        self._record: str | None = None if BESIDE_KEY in records else ""
        self._untaken = {key for key in pager.standing(WOULD_ALERT) if key.startswith(FILE_KEY)}
        self._changed = changed
        self._listeners: list[Callable[[Step], None]] = []
        self.reporter = Reporter(store, directory)
        self.machine = KillMachine(policy, plan_cut, state)
        self.driver = KillDriver(
            self.machine,
            self._executors,
            clock=clock,
            book=self.book,
            store=store,
            second_copy=store.second_copy,
            pages=pager,
            told=self._heard,
            recorded=self._changed,
            unkept=STORE_KEY in records,
        )
        self._on_record = self.driver.on_record, unpack(self.driver.on_record)
        self._rebaselines = Rebaselines(
            policy.rearm, engine=engine, events=events, clock=clock, note=self.driver.note
        )

    def started(self) -> None:
        """Begin where an earlier process ended: say so in the audit, find out what was possibly
        sent, and read the KILL file. What follows leaves once the driver runs."""
        self.driver.note(
            action="started",
            actor="riskd",
            scope=PORTFOLIO,
            reason=self.problem or f"mode {self.policy.mode.value}",
        )
        for key in self._failed_steps:
            self.driver.tell(step_forgotten(key, self._clock.now()))
        self.driver.restarted()
        self.look_for_file()

    def listen(self, listener: Callable[[Step], None]) -> None:
        """Hear every step as it is concluded (the demo's narrator)."""
        self._listeners.append(listener)

    def _heard(self, step: Step) -> None:
        self._changed()
        self.reporter.heard(step)
        for listener in self._listeners:
            listener(step)

    # ------------------------------------------------------------------------------ reading

    def book(self, now: EngineNs) -> Book:
        """The book as it is known now."""
        return book_of(
            self._engine,
            now,
            executors=self._executors,
            majors=self._majors,
            amounts=self.machine.state.amounts,
            rules={ask.rule for ask in self.machine.state.waiting},
        )

    def trading_state(self) -> TradingState:
        """What the desk's own systems may do: riskier than before only once that is on record."""
        packed, kept = self._on_record
        if packed is not self.driver.on_record:
            packed = self.driver.on_record
            kept = unpack(packed)
            self._on_record = packed, kept
        told = with_kept(self.machine.state, kept)
        return trading_state(told, self.policy.mode, self._clock.now())

    @property
    def unsettled(self) -> str:
        """Why nobody should rely on what the trading state says for longer than it is valid, in
        words: something asks for more, and it is not decided yet. Empty where nothing does."""
        if self._file.exists():
            return "a KILL file lies in the data directory"
        waiting = [one.ask.rule for one in self.machine.state.pendings.values()]
        return f"{', '.join(waiting)} waits for its confirmation" if waiting else ""

    # ------------------------------------------------------------------------------- asking

    async def run(
        self, request: OperatorRequest, *, principal: str, channel: str
    ) -> OperatorAnswer:
        """Carry out what a person asks. What makes safer is done at once, whatever the store says;
        what loosens waits for it."""
        self._log.info("operator_asked", verb=request.verb.value, by=principal, over=channel)
        scope = scope_of(request.scope)
        if channel == "cli" and (
            request.verb in {Verb.REARM, Verb.CONFIRM}
            or (request.verb is Verb.REBASELINE and self.policy.rearm.second_principal_required)
            or principal in self.policy.rearm.principals
        ):
            # Whoever may open the socket is one principal: root and riskd's user are one person,
            # and a name on this machine is nobody's who commands by signed HTTP.
            principal = HOST
        if request.verb is Verb.PLAN:
            return self._plan(scope, request.gross_to_ratio or 0.0)
        return await self.on_record(await self._do(request, scope, principal, channel))

    async def on_record(self, answer: OperatorAnswer) -> OperatorAnswer:
        """An answer that is said once the audit has what was done, and says so where it has not:
        what makes safer is done in any case."""
        if not answer.kept or await self.driver.settled():
            return answer
        return OperatorAnswer(done=answer.done, text=f"{answer.text}\n{NOT_KEPT}", kept=False)

    async def _do(
        self, request: OperatorRequest, scope: Subject, principal: str, channel: str
    ) -> OperatorAnswer:
        match request.verb:
            case Verb.KILL:
                return self._kill(request, scope, principal, channel)
            case Verb.REARM:
                return self._rearm(scope, principal)
            case Verb.CONFIRM:
                return await self._confirm(request, principal)
            case Verb.REBASELINE:
                return self._rebaselines.run(request, principal)
            case _:
                return self._approve(request, principal)

    def _approve(self, request: OperatorRequest, principal: str) -> OperatorAnswer:
        return _answered(
            self.driver.submit(
                PersonApproved(
                    proposal_id=request.proposal,
                    principal=principal,
                    approve=not request.refuse,
                    reason=request.reason,
                )
            )
        )

    def _kill(
        self, request: OperatorRequest, scope: Subject, principal: str, channel: str
    ) -> OperatorAnswer:
        return _answered(
            self.driver.submit(
                PersonPulled(
                    pull_id=request.id,
                    principal=principal,
                    channel=channel,
                    scope=scope,
                    level=level_of(request.level),
                    reason=request.reason,
                    gross_to_ratio=request.gross_to_ratio,
                )
            )
        )

    def _plan(self, scope: Subject, gross_to_ratio: float) -> OperatorAnswer:
        now = self._clock.now()
        book = self.book(now)
        limits = PlanLimits(
            max_cost_bps=self.policy.max_cost_bps,
            slices=self.policy.slices,
            hedge_sets=self.policy.hedge_sets,
        )
        target = Target(
            scope=scope,
            baseline_usd=gross_in_scope_usd(scope, book),
            gross_to_ratio=gross_to_ratio,
        )
        plan = plan_cut(target, book, limits)
        ranking = ranking_text(rank_parts(plan, self._engine, now))
        return OperatorAnswer(done=True, text=plan_text(plan, target, ranking))

    def _rearm(self, scope: Subject, principal: str) -> OperatorAnswer:
        if self._file.exists():
            return OperatorAnswer(
                done=False,
                text=f"The KILL file is still there: {self._file.path}. Remove it first; while it "
                "lies there it asks for the same again.",
            )
        nonce = secrets.token_urlsafe(9)
        step = self.driver.submit(
            RearmRequested(
                principal=principal,
                scope=scope,
                nonce=nonce,
                unmet=self.unmet(scope),
                would_fire=self.would_fire(scope),
            )
        )
        answer = _answered(step)
        if not answer.done:
            return answer
        command = f'riskd rearm --confirm {nonce} --reason "…"'
        return OperatorAnswer(done=True, text=f"{answer.text}\n  {command}")

    async def _confirm(self, request: OperatorRequest, principal: str) -> OperatorAnswer:
        # The latch that this nonce was given for, and no other that waits for one; a hold has no
        # rule whose way back is asked.
        latch = next(
            (
                one
                for one in self.machine.state.latches.values()
                if one.offer is not None and one.offer.digest == digest(one.trip_id, request.nonce)
            ),
            None,
        )
        fact = RearmConfirmed(
            principal=principal,
            nonce=request.nonce,
            reason=request.reason,
            unmet=() if latch is None else self.unmet(latch.scope),
        )
        try:
            return _answered(await self.driver.submit_when_kept(fact))
        except StoreError as error:
            return OperatorAnswer(
                done=False,
                text=f"Everything stays latched: a re-arm must be on record first. {error}",
            )

    def unmet(self, scope: Subject) -> tuple[str, ...]:
        """What the rules that latched this scope still want before it may go back."""
        latch = self.machine.state.latches.get(scope)
        return unmet(self._engine, latch, self._clock.now())

    def would_fire(self, scope: Subject) -> tuple[str, ...]:
        """Rules that ask for a level in this scope now."""
        return would_fire(self._engine, scope)

    # ----------------------------------------------------------------------------- KILL file

    async def watch_file(self) -> None:
        """Take the KILL file for what it asks, as long as it lies there; once for each file.
        Beside it, watch the second copy and the audit's anchor."""
        while True:
            self.look_for_file()
            self._look_at_record()
            self._end_what_is_over()
            await asyncio.sleep(FILE_PERIOD_S)

    def look_for_file(self) -> None:
        """Once; also before anything connects. A look waits for nobody, so it needs no thread."""
        self._take_file(self._file.look(time.time_ns()))
        if self._untaken and not self._file.exists():
            for key in sorted(self._untaken):
                self.driver.tell(self._file_notice(key))
            self._untaken.clear()

    def _take_file(self, request: OperatorRequest | None) -> None:
        if request is None:
            return
        answer = self._kill(request, scope_of(request.scope), "the KILL file", "file")
        self._log.warning("kill_file_taken", done=answer.done, answer=answer.text)
        if not answer.done:
            self._untaken.add(f"{FILE_KEY}{request.id}")
            self.driver.tell(self._file_notice(f"{FILE_KEY}{request.id}", answer.text))

    def _file_notice(self, key: str, refused: str = "") -> KillNotice:
        """The page of a KILL file that was not taken, with why; without it its end."""
        return KillNotice(
            key=key,
            alert=WOULD_ALERT,
            severity=Severity.CRITICAL,
            scope=PORTFOLIO,
            at_ns=self._clock.now(),
            summary="A KILL file was found and NOTHING was stopped: act at the venues"
            if refused
            else "The KILL file that stopped nothing is gone",
            description=refused,
            resolved=not refused,
        )

    def _end_what_is_over(self) -> None:
        """Let go what waits for the end of a rule that is over."""
        up_ns = self._clock.now() - self._born_ns
        settled = up_ns >= self.policy.hold_release_s * SECOND_NS
        rules = self._engine.state.rules
        before, self._unasked = self._unasked, not_asked(rules)
        for fact in ended(self.machine.state, rules, settled=settled, unasked=before):
            self.driver.submit(fact)

    def _look_at_record(self) -> None:
        problem = self._unread or self._store.audit_problem or self._store.second_problem
        if problem != self._record:
            self._record = problem
            now = self._clock.now()
            self.driver.tell(store_notice(problem, now, key=BESIDE_KEY))


def _answered(step: Step) -> OperatorAnswer:
    refused = any(entry.action.endswith(REFUSED) for entry in step.audit)
    failed = any(entry.action == "step_failed" for entry in step.audit)
    return OperatorAnswer(done=not (refused or failed), text=step.answer)
