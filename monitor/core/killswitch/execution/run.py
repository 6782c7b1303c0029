"""One trip in one account: read, cancel until the venue lists none, wait for the plan, place,
resolve, verify. Nothing is sent while the fate of an order is unknown. *Pure.*

The account belongs to one trip at a time, the strictest with work to do; the others wait and read
anew when it is theirs. Ids derive from (trip, account, serial), so that any process gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from monitor.core.killswitch.book import AccountTruth, Look
from monitor.core.killswitch.execution.growth import accept, growth_in
from monitor.core.killswitch.execution.orders import asset_of, held_in, unproved
from monitor.core.killswitch.execution.taking import left_alone, to_take_away
from monitor.core.killswitch.facts import (
    CancelOrders,
    CancelOutcome,
    Command,
    ReadAccount,
    ResolveOrders,
)
from monitor.core.killswitch.policy import step_of
from monitor.core.killswitch.state import KillState, Latch, Outcome, Residual, Run, Work
from monitor.core.killswitch.turn import Turn, after, digest
from monitor.core.types import EngineNs


def command_id(latch: Latch, run: Run, stage: Work) -> str:
    """The next command's id in this account; counts it."""
    run.serial += 1
    return digest(latch.trip_id, latch.round, run.key, stage.value, run.serial)[:24]


def holder(state: KillState, key: str) -> str:
    """The trip an account belongs to now: one that is changing it, else the strictest with work.

    Empty when no trip has work there.
    """
    runs = [(latch, latch.runs[key]) for latch in state.latches.values() if key in latch.runs]
    for latch, run in runs:
        if run.changing:
            return latch.trip_id
    working = [latch for latch, run in runs if run.work is not Work.IDLE]
    if not working:
        return ""
    return min(working, key=lambda one: (-one.level, one.target_ratio, one.trip_id)).trip_id


def begin(run: Run, turn: Turn) -> None:
    """Look at the account anew, from the venue's own list."""
    run.work = Work.READ
    run.tries = run.cancel_tries = 0
    run.given_up, run.look = False, Look.USUAL
    run.inflight = ""
    run.wait_ns = turn.now
    run.wake_ns = None
    had_effect(run)


def had_effect(run: Run) -> None:
    """An order went, or something was filled: the time to the next effect starts anew."""
    run.trying_ns, run.trouble = None, ""


def overdue_ns(turn: Turn, run: Run) -> EngineNs | None:
    """When an account whose work has no effect is said to be INCOMPLETE; None where it is not."""
    if run.trying_ns is None or run.outcome is not Outcome.NONE:
        return None
    return after(run.trying_ns, turn.policy.say_within_s)


def _say_overdue(turn: Turn, latch: Latch, run: Run) -> None:
    """Attempts may take long, each until its deadline; people hear of it before the last one."""
    due_ns = overdue_ns(turn, run)
    if due_ns is None or turn.now < due_ns:
        return
    trouble = run.trouble or "no answer yet"
    reason = f"nothing has worked for {turn.policy.say_within_s:g} s, tried on: {trouble}"
    run.outcome, run.residuals = Outcome.INCOMPLETE, (Residual(reason=reason),)
    turn.note(
        latch,
        "account_incomplete",
        reason="; ".join(residual_words(run)),
        details=(("account", run.key), ("round", str(latch.round))),
    )


def reopen(latch: Latch, turn: Turn, *, by_person: bool) -> None:
    """The level rose or the goal fell: everything settled is looked at again.

    A person's word also lets a cutting go on that stopped because something grew back.
    """
    latch.burst = 0
    for run in latch.runs.values():
        run.cut_done, run.twins = False, ()
        run.outcome = Outcome.NONE
        run.failures = run.barren = 0
        run.residuals = ()
        run.grown = ""
        run.met.clear()
        if by_person:
            run.stopped = ""
            run.floors.clear()
        if not run.changing and not run.inflight:
            begin(run, turn)
        run.cancel_tries = 0


def settle(turn: Turn, latch: Latch, run: Run, residuals: tuple[Residual, ...]) -> None:
    """This account is done for now: CONTAINED, or INCOMPLETE with what is left and a retry."""
    before = run.outcome
    run.work = Work.IDLE
    run.inflight = ""
    run.verifying = False
    run.residuals = residuals
    had_effect(run)
    if residuals:
        run.outcome = Outcome.INCOMPLETE
        run.wake_ns = after(turn.now, step_of(turn.policy.backoff_s, run.failures))
        run.failures += 1
    else:
        run.outcome = Outcome.CONTAINED
        run.failures = run.barren = 0
        run.wake_ns = after(turn.now, turn.policy.watch_s) if turn.policy.watch_s > 0 else None
    if run.outcome is not before:
        turn.note(
            latch,
            f"account_{run.outcome.value}",
            reason="; ".join(residual_words(run)),
            details=(("account", run.key), ("round", str(latch.round))),
        )


def residual_words(run: Run) -> tuple[str, ...]:
    """``hyperliquid/main BTC $12,000: no executor``, one for each residual."""
    return tuple(
        " ".join(
            part
            for part in (run.key, one.market, "" if one.usd is None else f"${one.usd:,.0f}")
            if part
        )
        + f": {one.reason}"
        for one in run.residuals
    )


# ------------------------------------------------------------------------------ what to do next


def drive(turn: Turn, latch: Latch, run: Run) -> None:
    """Send the next command of this account, if one is due."""
    _say_overdue(turn, latch, run)
    if run.inflight:
        if turn.now < run.deadline_ns:
            return
        unanswered(turn, latch, run)
    if run.work is Work.RESOLVE and not run.intents:  # a late answer said it all
        run.work, run.verifying, run.tries = Work.READ, True, 0
    if not run.reachable and not run.changing:
        return  # nothing can be sent: ``hands`` looks at what people do
    if run.work is Work.IDLE:
        if run.wake_ns is None or turn.now < run.wake_ns:
            return
        begin(run, turn)
    if holder(turn.state, run.key) != latch.trip_id:
        if not run.changing:
            run.work, run.wait_ns = Work.READ, turn.now
            had_effect(run)  # it waits for another trip, not for the venue
        return
    if turn.now < run.wait_ns:
        return
    match run.work:
        case Work.READ:
            if run.look is Look.POSITIONS and not _between_rounds(turn, latch, run):
                run.look = Look.USUAL
            _send(turn, run, _command(latch, run))
        case Work.CANCEL:
            run.cancel_tries += 1
            run.verifying = True
            turn.state.touched[run.key] = turn.now
            turn.note(latch, "cancel", details=_cancel_words(run))
            _send(turn, run, _command(latch, run))
        case Work.RESOLVE:
            _send(turn, run, _command(latch, run))
        case _:
            return  # READY waits for the plan of the whole trip


def _between_rounds(turn: Turn, latch: Latch, run: Run) -> bool:
    """Whether a look may be at positions alone: the cut goes on, and the working orders were listed
    a short while ago."""
    listed_ns = None if run.truth is None else run.truth.orders_ns
    listed = listed_ns is not None and turn.now < after(listed_ns, turn.policy.orders_age_s)
    return listed and _cutting(latch, run)


def _cutting(latch: Latch, run: Run) -> bool:
    return latch.cutting and not run.stopped and not run.share_met


def _cancel_words(run: Run) -> tuple[tuple[str, str], ...]:
    return (
        ("account", run.key),
        ("attempt", str(run.cancel_tries)),
        *((one.order_id, f"{one.side} {one.size} {one.market}") for one in run.cancels),
    )


def _command(latch: Latch, run: Run) -> Command:
    name, trip_id, venue, account = (
        command_id(latch, run, run.work),
        latch.trip_id,
        run.venue,
        run.account,
    )
    if run.work is Work.CANCEL:
        return CancelOrders(
            id=name, trip_id=trip_id, venue=venue, account=account, orders=run.cancels
        )
    if run.work is Work.RESOLVE:
        ids = tuple(intent.order.client_id for intent in run.intents)
        return ResolveOrders(id=name, trip_id=trip_id, venue=venue, account=account, client_ids=ids)
    return ReadAccount(id=name, trip_id=trip_id, venue=venue, account=account, look=run.look)


def _send(turn: Turn, run: Run, command: Command) -> None:
    run.inflight = command.id
    run.trying_ns = turn.now if run.trying_ns is None else run.trying_ns
    run.deadline_ns = after(turn.now, turn.policy.answer_within_s)
    turn.commands.append(command)


def unanswered(turn: Turn, latch: Latch, run: Run) -> None:
    """No answer within its time: as good as uncertain."""
    reason = f"no answer within {turn.policy.answer_within_s:g} s"
    failed(turn, latch, run, reason, uncertain=True, retry_after_s=None)


# ----------------------------------------------------------------------------------- answers


def failed(
    turn: Turn,
    latch: Latch,
    run: Run,
    reason: str,
    *,
    uncertain: bool,
    retry_after_s: float | None,
) -> None:
    """The command in flight had no effect, or (``uncertain``) nobody knows."""
    run.inflight, run.trouble = "", reason
    pause_s = turn.policy.attempt_pause_s
    if retry_after_s is not None:
        pause_s = max(retry_after_s, pause_s)
    run.wait_ns = after(turn.now, pause_s)
    turn.note(latch, "command_failed", reason=reason, details=_where(run, uncertain=uncertain))
    match run.work:
        case Work.PLACE:
            turn.state.touched[run.key] = run.ordered_ns = turn.now
            if uncertain:
                run.work, run.tries, run.wait_ns = Work.RESOLVE, 0, turn.now
                return
            run.intents.clear()
            barren_round(turn, latch, run, reason, pause_s)
        case Work.RESOLVE:
            unresolved(turn, latch, run, reason, retry_after_s)
        case Work.CANCEL:
            turn.state.touched[run.key] = turn.now
            run.work = Work.READ
        case _:
            run.work = Work.READ
            unread(turn, latch, run, reason, retry_after_s)


def _where(run: Run, *, uncertain: bool) -> tuple[tuple[str, str], ...]:
    return (
        ("account", run.key),
        ("stage", run.work.value),
        ("uncertain", "yes" if uncertain else "no"),
    )


def unread(
    turn: Turn, latch: Latch, run: Run, reason: str, retry_after_s: float | None = None
) -> None:
    """The account could not be read, or the answer was older than our own last command."""
    run.tries += 1
    if run.tries < turn.policy.read_attempts:
        return
    settle(turn, latch, run, (Residual(reason=f"cannot be read from the venue: {reason}"),))
    if retry_after_s is not None and run.wake_ns is not None:
        run.wake_ns = max(run.wake_ns, after(turn.now, retry_after_s))


def unresolved(
    turn: Turn, latch: Latch, run: Run, reason: str, retry_after_s: float | None = None
) -> None:
    """What became of our orders is still unknown: asked again and again, and nothing else sent."""
    run.work = Work.RESOLVE
    wait_s = step_of((turn.policy.attempt_pause_s, *turn.policy.backoff_s), run.tries)
    run.wait_ns = after(turn.now, max(wait_s, retry_after_s or 0.0))
    run.tries += 1
    if run.tries >= turn.policy.read_attempts:
        run.outcome = Outcome.INCOMPLETE
        count = len(run.intents)
        run.residuals = (
            Residual(
                reason=f"{count} order(s) with unknown outcome, nothing else is sent: {reason}"
            ),
        )


def barren_round(turn: Turn, latch: Latch, run: Run, reason: str, pause_s: float) -> None:
    """A round in which nothing of ours was filled; after some, a longer wait."""
    run.barren += 1
    run.work, run.verifying, run.tries = Work.READ, True, 0
    run.wait_ns = after(turn.now, pause_s)
    if run.barren >= turn.policy.barren_rounds:
        settle(turn, latch, run, (Residual(reason=f"orders do not fill: {reason}"),))


def cancelled(turn: Turn, latch: Latch, run: Run, outcomes: Sequence[CancelOutcome]) -> None:
    """What the venue said of our cancels. Only the list that is read next proves them."""
    kept = [one for one in outcomes if not one.gone]
    if len(kept) < len(outcomes):
        had_effect(run)
    turn.note(
        latch,
        "cancels_answered",
        details=(
            ("account", run.key),
            ("gone", str(len(outcomes) - len(kept))),
            *((one.order_id, one.detail) for one in kept),
        ),
    )
    turn.state.touched[run.key] = turn.now
    run.inflight, run.work = "", Work.READ
    run.wait_ns = after(turn.now, turn.policy.attempt_pause_s if kept else 0.0)


def read(turn: Turn, latch: Latch, run: Run, truth: AccountTruth) -> None:
    """Venue truth, as asked for: what is left to cancel, what has grown back, what comes next."""
    run.inflight, look, run.look = "", run.look, Look.USUAL
    pause_ns = after(turn.now, turn.policy.attempt_pause_s)
    if (truth.venue, truth.account) != (run.venue, run.account):
        run.wait_ns = pause_ns
        unread(turn, latch, run, f"the answer is about {truth.venue}/{truth.account}")
        return
    if truth.read_ns < turn.state.touched.get(run.key, 0):
        reason = "the answer is older than our own last command"
        run.wait_ns = pause_ns
        if not wait_for_proof(turn, run, (reason,)):  # feeds take their time, and that is no fault
            unread(turn, latch, run, reason)
        return
    if holder(turn.state, run.key) != latch.trip_id:
        run.wait_ns = turn.now
        return  # another trip has the account: it is read again when it is ours
    assets = asset_of(turn.book)
    held = held_in(truth, latch.scope, assets)
    for market, size in held.items():
        run.firsts.setdefault(market, abs(size))
    grown = growth_in(turn, latch, run, truth)
    if grown and latch.cutting and turn.now < after(run.ordered_ns, turn.policy.verify_within_s):
        run.wait_ns, run.look = pause_ns, look  # the venue may take a moment to show our own fills
        return
    before, run.truth, run.tries = run.truth, truth, 0
    accept(run, grown.hedges)
    # Nobody works against our orders here: a lower target cuts it with the rest.
    run.grown = ", ".join(grown.beside)
    if grown.undone and latch.cutting and not run.stopped:
        run.stopped = "grown back after a cut, cutting stopped until a person pulls again: "
        run.stopped += ", ".join(grown.undone)
        turn.note(latch, "regrowth_stop", reason=run.stopped, details=(("account", run.key),))
    if look is Look.POSITIONS and before is not None and _cutting(latch, run):
        run.truth = _with_orders_of(truth, before)
        # What is to be cancelled by the list of before, a new one has to show.
        left = to_take_away(turn, latch, run, run.truth)
        run.work = Work.READ if left else Work.READY
        run.given_up, run.cancels = False, ()
        return
    judge(turn, latch, run, truth)


def _with_orders_of(truth: AccountTruth, before: AccountTruth) -> AccountTruth:
    """A look at positions, with the orders of the look before, as old as they are. Where the answer
    says more it stands as it is."""
    if truth.orders or truth.orders_ns is not None:
        return truth
    return msgspec.structs.replace(
        truth,
        orders=before.orders,
        orders_ns=before.orders_ns,
        twaps_ns=before.twaps_ns,
        idle_orders_ns=before.idle_orders_ns,
    )


def judge(turn: Turn, latch: Latch, run: Run, truth: AccountTruth) -> None:
    """Cancel what is left to cancel; else go on to the plan, or settle.

    What is read off feeds may be older in its orders than in its positions: a list of before our
    own last command is waited for and not worked off once more, and nothing is contained by one of
    before the last action. No exit waits for ever.
    """
    missing = unproved(truth, last_action_ns(turn, latch, run))
    touched_ns = turn.state.touched.get(run.key, 0)
    old = truth.orders_ns is not None and truth.orders_ns < touched_ns
    if old and wait_for_proof(turn, run, missing):
        return
    left = to_take_away(turn, latch, run, truth)
    if left and not old and run.cancel_tries < turn.policy.cancel_attempts:
        if run.outcome is Outcome.CONTAINED:
            run.outcome = Outcome.NONE
        run.work, run.cancels = Work.CANCEL, left
        pause_s = turn.policy.attempt_pause_s if run.cancel_tries else 0.0
        run.wait_ns = max(run.wait_ns, after(turn.now, pause_s))
        return
    run.given_up = bool(left)
    run.cancels = left
    if _cutting(latch, run):
        run.work = Work.READY
        return
    if missing and list_again(turn, run, truth, missing):
        return
    settle(turn, latch, run, (*leftovers(turn, latch, run), *unshown(missing)))


def last_action_ns(turn: Turn, latch: Latch, run: Run) -> EngineNs:
    """When this trip began or last rose, or riskd last changed the account: what proves anything
    of it is younger."""
    return max(latch.since_ns, latch.asked_ns, turn.state.touched.get(run.key, 0))


def wait_for_proof(turn: Turn, run: Run, missing: tuple[str, ...]) -> bool:
    """Have it read again, for as long as nobody need be told; False once that time is over."""
    begun_ns = turn.now if run.trying_ns is None else run.trying_ns
    if turn.now >= after(begun_ns, turn.policy.say_within_s):
        return False
    run.trouble, run.trying_ns = "; ".join(missing), begun_ns
    run.work, run.verifying = Work.READ, True
    run.look = Look.USUAL
    run.wait_ns = after(turn.now, turn.policy.attempt_pause_s)
    return True


def list_again(turn: Turn, run: Run, truth: AccountTruth, missing: tuple[str, ...]) -> bool:
    """Have read what is ``missing`` of a proof, for as long as nobody need be told."""
    if not wait_for_proof(turn, run, missing):
        return False
    run.look = Look.USUAL if truth.idle_orders_ns is None else Look.WHOLE
    return True


def unshown(missing: tuple[str, ...]) -> tuple[Residual, ...]:
    """What is said where a proof never came."""
    return tuple(Residual(reason=f"nobody can say that it is done: {one}") for one in missing)


def leftovers(turn: Turn, latch: Latch, run: Run) -> tuple[Residual, ...]:
    """Orders that would not go or are left by configuration, and a cutting that stopped."""
    residuals = [*left_alone(turn, latch, run)]
    if run.given_up:
        ids = ", ".join(order.order_id for order in run.cancels[:5])
        residuals.append(
            Residual(reason=f"{len(run.cancels)} order(s) could not be cancelled: {ids}")
        )
    if run.stopped and latch.cutting:
        residuals.append(Residual(reason=run.stopped))
    if run.grown and latch.cutting:
        words = "opened or enlarged since the cut was done, reduce it or pull again: "
        residuals.append(Residual(reason=words + run.grown))
    return tuple(residuals)
