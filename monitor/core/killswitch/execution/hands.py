"""Accounts that nothing here can act for: people do, and the account's own data shows when they
did. *Pure.*
"""

from __future__ import annotations

from monitor.core.killswitch.book import AccountTruth, Book
from monitor.core.killswitch.execution.checks import with_kept
from monitor.core.killswitch.execution.orders import asset_of, held_in, unproved
from monitor.core.killswitch.execution.reach import steps_down
from monitor.core.killswitch.execution.run import last_action_ns, residual_words
from monitor.core.killswitch.execution.taking import left_alone, to_take_away
from monitor.core.killswitch.execution.truths import within_goal
from monitor.core.killswitch.state import Latch, Outcome, Residual, Run, Work
from monitor.core.killswitch.turn import Turn


def by_other_hands(turn: Turn, latch: Latch, run: Run) -> None:
    """Nothing can be sent here: people act, and the account's own data shows when they did."""
    book = turn.book
    if book is None:
        if run.outcome is Outcome.NONE:
            out_of_reach(turn, latch, run, Residual(reason=_by_hand(turn, run)))
        return
    truth = next(
        (one for one in book.accounts if (one.venue, one.account) == (run.venue, run.account)), None
    )
    if truth is None or (run.venue, run.account) in book.dark:
        out_of_reach(turn, latch, run, Residual(reason=f"dark, and {_by_hand(turn, run)}"))
        return
    if truth.read_ns < max(latch.since_ns, latch.asked_ns):
        out_of_reach(turn, latch, run, Residual(reason=_by_hand(turn, run)))
        return
    run.truth = truth
    left = _left_by_hand(turn, latch, run, truth, book)
    # What is listed has to go whatever else is known; that nothing is, takes lists of after it.
    left = left or tuple(
        Residual(reason=f"{words}, so nobody can say that it is done; {_by_hand(turn, run)}")
        for words in unproved(truth, last_action_ns(turn, latch, run))
    )
    out_of_reach(turn, latch, run, *left)


def _by_hand(turn: Turn, run: Run) -> str:
    unable = () if turn.book is None else turn.book.unable
    place = (run.venue, run.account)
    why = next((why for venue, account, why in unable if (venue, account) == place), "")
    return f"{why or 'no executor'}: act at the venue by hand, runbook {turn.policy.runbook}"


def _left_by_hand(
    turn: Turn, latch: Latch, run: Run, truth: AccountTruth, book: Book
) -> tuple[Residual, ...]:
    left = to_take_away(turn, latch, run, truth)
    residuals = []
    if left:
        residuals.append(Residual(reason=f"{len(left)} order(s) to cancel; {_by_hand(turn, run)}"))
    residuals += left_alone(turn, latch, run)
    held = held_in(truth, latch.scope, asset_of(book))
    steps = steps_down(turn.policy, latch, book) if latch.cutting and held else ()
    ratio = next((one for one in steps if not within_goal(latch, book, run.key, one)), None)
    if ratio is not None:
        kept = {one[2]: one[3] for one in with_kept(turn, latch, book, ratio).kept
                if one[:2] == (run.venue, run.account)}  # fmt: skip
        mine = [f"{name} {size.normalize():f}" for name, size in held.items() if name not in kept]
        if mine:
            words = f"to cut: {', '.join(mine)}; {_by_hand(turn, run)}"
            residuals.append(Residual(reason=words))
        residuals += [
            Residual(reason=why, market=name) for name, why in kept.items() if name in held
        ]
    return tuple(residuals)


def out_of_reach(turn: Turn, latch: Latch, run: Run, *residuals: Residual) -> None:
    """The outcome of an account nobody here can act for, changed only by what its data shows."""
    outcome = Outcome.INCOMPLETE if residuals else Outcome.CONTAINED
    changed = (run.outcome, run.residuals) != (outcome, residuals)
    run.work, run.inflight, run.wake_ns = Work.IDLE, "", None
    if not changed:
        return
    run.outcome, run.residuals = outcome, residuals
    turn.note(
        latch,
        f"account_{outcome.value}",
        reason="; ".join(residual_words(run)),
        details=(("account", run.key), ("by", "other hands")),
    )
