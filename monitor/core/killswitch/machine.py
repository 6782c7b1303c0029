"""The kill switch: facts in, one step out. Latched until a person re-arms, proved from the venue's
own data, never twice. *Pure.*

Latch first, everything else after it: where something raises, the state is as it was before that
part, and a latch that was asked for stands.
"""

from __future__ import annotations

from monitor.core.killswitch.book import Book
from monitor.core.killswitch.episodes import (
    asks,
    holds,
    people,
    proposals,
    rearm,
    regrowth,
    series,
    trips,
)
from monitor.core.killswitch.execution import fills, hands, wave
from monitor.core.killswitch.execution import run as runs
from monitor.core.killswitch.execution.orders import asset_of
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelsAnswered,
    CommandFailed,
    KillFact,
    KillNotice,
    OrdersAnswered,
    PersonApproved,
    PersonPulled,
    RearmConfirmed,
    RearmRequested,
    RuleAsked,
    RuleEnded,
    Step,
    TimePassed,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Planner
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.killswitch.scope import pool_of
from monitor.core.killswitch.state import (
    KillState,
    Latch,
    Residual,
    Run,
    Sight,
    Stage,
    Work,
    essence,
    pack,
    unpack,
)
from monitor.core.killswitch.trading import TradingState, effective, trading_state
from monitor.core.killswitch.turn import Turn, after
from monitor.core.killswitch.words import tell
from monitor.core.types import PORTFOLIO, EngineNs, Severity, Subject

__all__ = ["KillMachine", "pack", "unpack"]

PASSES_MAX = 20  # one fact settles in a few; more would be a defect, and must not hang the loop
POLL_S = 1.0  # when something is due but waits for a book
HANDS_S = 5.0  # how often an account that nothing can be sent for is looked at: hands may come back


class KillMachine:
    """The state machine of ``design.md`` §3.

    Args:
        policy: What the desk allows.
        planner: Makes plans; an exception of it stays within its trip.
        state: What an earlier process kept; None for a first start.
    """

    def __init__(
        self, policy: KillPolicy, planner: Planner, state: KillState | None = None
    ) -> None:
        self._policy = policy
        self._planner = planner
        self._state = KillState() if state is None else state

    @property
    def state(self) -> KillState:
        """All that is latched, held, proposed and under way. Not to be changed by a reader."""
        return self._state

    @property
    def policy(self) -> KillPolicy:
        """What the desk allows."""
        return self._policy

    def packed(self) -> bytes:
        """The whole state, as it is kept."""
        return pack(self._state)

    def trading_state(self, now: EngineNs) -> TradingState:
        """What the desk's own systems may do."""
        return trading_state(self._state, self._policy.mode, now)

    def effective(self, subject: Subject) -> Level:
        """The level that holds for a subject; ``ValueError`` where it is no scope."""
        return effective(self._state, subject)

    def levels(self, subject: Subject) -> tuple[Level, Level]:
        """The same, and what of it holds for an order that only hedges."""
        return self.effective(subject), effective(self._state, subject, for_hedges=True)

    def stage(self, scope: Subject) -> Stage:
        """Where a scope stands: ARMED (DISARMED in observe) where nothing is latched."""
        latch = self._state.latches.get(scope)
        if latch is not None:
            return latch.stage
        return Stage.DISARMED if self._policy.mode is DaemonMode.OBSERVE else Stage.ARMED

    def apply(self, fact: KillFact, now: EngineNs, book: Book | None = None) -> Step:
        """Let one fact change the state.

        ``book`` is what is known of the desk now; give it with every fact: without it a scope is
        latched all the same, but accounts are enumerated and plans made only at the next one.
        """
        before = essence(self._state)
        turn = self._heard(fact, now, book)
        turn = self._followed(turn)
        return Step(
            changed=essence(self._state) != before,
            loosens=turn.loosens,
            audit=tuple(turn.audit),
            notices=tuple(turn.notices),
            commands=tuple(turn.commands),
            wake_at_ns=self._wake_at_ns(turn),
            answer=turn.answer,
        )

    def _heard(self, fact: KillFact, now: EngineNs, book: Book | None) -> Turn:
        """The fact itself. What cannot be done with this book is done without one: an exception
        while tripping must not untrip."""
        whole = pack(self._state)
        turn = Turn(self._policy, self._planner, self._state, now, book)
        try:
            self._see(turn)
            self._handle(turn, fact)
        except Exception as error:  # noqa: BLE001 - containment of one kill step (design.md §2)
            self._state = unpack(whole)
            turn = Turn(self._policy, self._planner, self._state, now, None)
            try:
                self._handle(turn, fact)
            except Exception:
                self._state = unpack(whole)
                raise
            _contained(turn, error)
        return turn

    def _followed(self, turn: Turn) -> Turn:
        """What follows from it. Where that fails, the fact still stands, and people are told."""
        whole = pack(self._state)
        kept = turn.copy(self._state)
        try:
            self._advance(turn)
        except Exception as error:  # noqa: BLE001 - containment of one kill step (design.md §2)
            self._state = unpack(whole)
            turn = kept.copy(self._state)
            turn.book = None
            _contained(turn, error)
            self._advance(turn)
        return turn

    # --------------------------------------------------------------------------- the fact

    def _see(self, turn: Turn) -> None:
        book = turn.book
        if book is None:
            return
        assets = asset_of(book)
        legs = {
            (one.venue, one.account, market): assets(one.venue, market)
            for one in book.accounts
            for market in (
                *(position.market for position in one.positions),
                *(order.market for order in one.orders),
            )
        }
        turn.state.sight = Sight(
            legs=tuple(
                (venue, pool_of(account, market), market, asset)
                for (venue, account, market), asset in sorted(legs.items())
            ),
            dark=book.dark,
        )

    def _handle(self, turn: Turn, fact: KillFact) -> None:
        match fact:
            case RuleAsked():
                asks.rule_asked(turn, fact)
            case RuleEnded():
                asks.rule_ended(turn, fact.rule, fact.subject, removed=fact.removed)
            case PersonPulled():
                people.pulled(turn, fact)
            case PersonApproved():
                proposals.expire(turn)
                people.approved(turn, fact)
            case RearmRequested():
                rearm.requested(turn, fact)
            case RearmConfirmed():
                rearm.confirmed(turn, fact)
            case TimePassed():
                if fact.restarted:
                    trips.restart(turn)
            case _:
                self._answered(turn, fact)

    def _answered(
        self, turn: Turn, fact: AccountRead | CommandFailed | CancelsAnswered | OrdersAnswered
    ) -> None:
        """An answer goes to the run that asked; one that nobody waits for any more says at most
        what became of orders that are still out."""
        for latch in self._state.latches.values():
            for run in latch.runs.values():
                if run.inflight == fact.command_id:
                    self._take(turn, latch, run, fact)
                    return
        if isinstance(fact, OrdersAnswered):
            key = f"{fact.venue}/{fact.account}"
            for latch in self._state.latches.values():
                late = latch.runs.get(key)
                if late is not None and late.intents:
                    fills.answered(turn, latch, late, fact.outcomes, in_time=False)

    def _take(
        self,
        turn: Turn,
        latch: Latch,
        run: Run,
        fact: AccountRead | CommandFailed | CancelsAnswered | OrdersAnswered,
    ) -> None:
        match fact:
            case AccountRead():
                runs.read(turn, latch, run, fact.truth)
            case OrdersAnswered():
                fills.answered(turn, latch, run, fact.outcomes, in_time=True)
            case CancelsAnswered():
                runs.cancelled(turn, latch, run, fact.outcomes)
            case _:
                runs.failed(
                    turn,
                    latch,
                    run,
                    fact.reason,
                    uncertain=fact.uncertain,
                    retry_after_s=fact.retry_after_s,
                )

    # ----------------------------------------------------------------------- what follows

    def _advance(self, turn: Turn) -> None:
        """Do all that is due now: timers first, then the work of each trip, then its words."""
        state = turn.state
        holds.release(turn)
        rearm.forget_offers(turn)
        proposals.expire(turn)
        fills.forget_old_turnover(state, turn.now)
        asks.forget_old_rearms(turn)
        regrowth.forget(turn)
        if turn.acting:
            asks.raise_ripe(turn)
            series.go_on(turn)
            for latch in state.latches.values():
                trips.enumerate_accounts(turn, latch)
            self._work(turn)
        for latch in state.latches.values():
            stage = trips.stage_of(latch, turn.now)
            if stage is not Stage.REARM_REQUESTED and latch.offer is not None:
                latch.offer = None
            if stage is not latch.stage:
                turn.note(latch, stage.value, details=(("from", latch.stage.value),))
                latch.stage = stage
            if turn.acting:
                tell(turn, latch)

    def _work(self, turn: Turn) -> None:
        """Drive every account until nothing more is due; the strictest trip of an account leads."""
        for _ in range(PASSES_MAX):
            before = _progress(turn)
            for latch in list(turn.state.latches.values()):
                if latch.level < Level.REDUCE_ONLY:
                    continue
                for run in latch.runs.values():
                    self._drive(turn, latch, run)
                wave.gate(turn, latch)
            if _progress(turn) == before:
                return

    @staticmethod
    def _drive(turn: Turn, latch: Latch, run: Run) -> None:
        try:
            runs.drive(turn, latch, run)
            if not (run.reachable or run.changing or run.inflight):
                hands.by_other_hands(turn, latch, run)
        except Exception as error:  # noqa: BLE001 - containment of one kill step (design.md §2)
            reason = f"riskd failed here ({type(error).__name__}: {error})"
            turn.note(latch, "step_failed", reason=reason, details=(("account", run.key),))
            if not run.intents:
                runs.settle(turn, latch, run, (Residual(reason=reason),))

    def _wake_at_ns(self, turn: Turn) -> EngineNs | None:
        """The earliest moment at which time alone changes something."""
        state, policy = turn.state, turn.policy
        due = [holds.due_ns(turn, hold) for hold in state.holds.values()]
        due += [asks.due_ns(pending, turn.now) for pending in state.pendings.values()]
        due += [series.due_ns(turn, one) for one in state.series.values() if turn.acting]
        due += [proposal.expires_ns + 1 for proposal in state.proposals.values()]
        due += [offer.expires_ns + 1 for offer in state.hold_offers.values()]
        for latch in state.latches.values():
            due.append(None if latch.offer is None else latch.offer.expires_ns + 1)
            if not turn.acting:
                continue
            due.append(latch.escalate_ns if latch.stage is Stage.INCOMPLETE else None)
            if latch.gate_ns is not None:
                waited = after(latch.gate_ns, policy.plan_wait_s)
                due.append(max(latch.pause_ns, turn.now) if waited <= turn.now else waited)
                due.append(latch.pause_ns if latch.pause_ns > turn.now else None)
                due.append(after(turn.now, POLL_S) if wave.unlisted(turn, latch) else None)
            if latch.level >= Level.REDUCE_ONLY and not latch.enumerated:
                due.append(turn.now)
            if not latch.found and turn.book is not None:
                due.append(after(turn.now, HANDS_S))
            due += [_due_ns(run) for run in latch.runs.values()]
            due += [runs.overdue_ns(turn, run) for run in latch.runs.values()]
            if any(not run.reachable and run.work is Work.IDLE for run in latch.runs.values()):
                due.append(after(turn.now, HANDS_S))
        times = [one for one in due if one is not None]
        if not times:
            return None
        # What is due and could not be done waits for something else: looked at again soon.
        return min(one if one > turn.now else after(turn.now, POLL_S) for one in times)


def _contained(turn: Turn, error: Exception) -> None:
    words = f"{type(error).__name__}: {error}"
    turn.record("step_failed", actor="riskd", scope=PORTFOLIO, reason=words)
    turn.notices.append(
        KillNotice(
            key="kill-step/machine",
            alert="KillStepFailed",
            severity=Severity.CRITICAL,
            scope=PORTFOLIO,
            at_ns=turn.now,
            summary="A step of the kill switch failed; what is latched stays latched",
            description=f"{words}. Act at the venue by hand where it matters.",
        )
    )


def _progress(turn: Turn) -> tuple[object, ...]:
    """Something that differs after a pass in which anything was done."""
    runs = [run for latch in turn.state.latches.values() for run in latch.runs.values()]
    return (
        len(turn.commands),
        *((run.work, run.outcome, run.wait_ns, run.wake_ns) for run in runs),
    )


def _due_ns(run: Run) -> EngineNs | None:
    if run.inflight:
        return run.deadline_ns
    if run.work is Work.IDLE:
        return run.wake_ns
    if run.work is Work.READY:
        return None
    return run.wait_ns
