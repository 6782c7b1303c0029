"""A cut that is spread over a declared time: how far down it is to be by now.

Everything follows from when it was asked for and from what is held and allowed now: nothing is
counted, so that a restart goes on where the clock is. *Pure.*
"""

from __future__ import annotations

from msgspec.structs import replace

from monitor.core.killswitch.book import Book
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Cause, Latch, Outcome, Pace, Run, Work
from monitor.core.killswitch.turn import Turn, after
from monitor.core.types import SECOND_NS, EngineNs

# The first at once, the last when the time is over.
SLICES = 13
# How soon an amount that is not known is asked for again.
UNKNOWN_S = 60.0


def planned_ratio(pace: Pace, goal: float, now: EngineNs) -> float:
    """Share of the baseline that may be left by ``now`` on the way to ``goal``: in equal steps."""
    done = min(_step(pace, now) + 1, SLICES) / SLICES
    return max(pace.start_ratio - max(pace.start_ratio - goal, 0.0) * done, goal)


def due_ratio(latch: Latch, book: Book | None, now: EngineNs) -> float | None:
    """Share of the baseline that the trip goes down to now. Of a cut to an amount never more than
    what is still above that amount as it is now; None while nobody knows it for certain."""
    goal, pace = latch.target_ratio, latch.pace
    if pace is None or latch.level is not Level.CUT:
        return goal
    if pace.measure:
        usd = None if book is None else book.amount_usd(pace.measure, pace.subject)
        if usd is None:
            return None
        if latch.baseline_usd:
            goal = min(max(goal, usd / latch.baseline_usd), 1.0)
    return planned_ratio(pace, goal, now)


def going_on(latch: Latch, now: EngineNs) -> bool:
    """Whether later slices are still to come."""
    pace = latch.pace
    return pace is not None and latch.level is Level.CUT and _step(pace, now) + 1 < SLICES


def adopt(latch: Latch, cause: Cause, before: float | None, now: EngineNs, *, fell: bool) -> bool:
    """Pace the trip as the newest cause asks. What is asked for at once is never waited for.

    Args:
        latch: The trip, its targets lowered already.
        cause: Who asks now.
        before: The share it went down to until then; None where it had no target.
        now: Engine time.
        fell: Whether one of its targets is lower now.

    Returns:
        Whether more is due at once than was until now, though the goal is the same.
    """
    old = latch.pace
    if latch.level is not Level.CUT or cause.level is not Level.CUT:
        return False
    first = before is None
    before = 1.0 if before is None else before
    stand = before if old is None else planned_ratio(old, before, now)
    unknown = fell and not latch.baseline_usd  # whichever is lower: better too soon than too late
    if fell and (first or unknown or latch.target_ratio < before):
        latch.pace = None
        if cause.over_s > 0.0:
            latch.pace = Pace(
                start_ratio=stand,
                since_ns=now,
                over_s=cause.over_s,
                measure=cause.gross_to_measure,
                subject=cause.subject,
            )
        return False
    if old is None or cause.over_s > 0.0:
        return False
    asked = _asked(latch, cause)
    if asked is None or asked >= stand:
        return False
    left_s = max(old.over_s - (now - old.since_ns) / SECOND_NS, 0.0)
    latch.pace = replace(old, start_ratio=asked, since_ns=now, over_s=left_s)
    return True


def rest(turn: Turn, latch: Latch, run: Run, *, unknown: bool = False) -> None:
    """This account is where it is to be by now: looked at again when the next slice is due, or
    with the others that are watched; soon, where what is due is ``unknown``. Other trips may have
    it meanwhile."""
    run.work, run.inflight, run.verifying = Work.IDLE, "", False
    run.outcome, run.residuals = Outcome.NONE, ()
    run.failures = run.barren = 0
    run.trying_ns, run.trouble = None, ""
    due = [after(turn.now, UNKNOWN_S)] if unknown else []
    if turn.policy.watch_s > 0:
        due.append(after(turn.now, turn.policy.watch_s))
    if latch.pace is not None and going_on(latch, turn.now):
        due.append(_slice_ns(latch.pace, _step(latch.pace, turn.now) + 1))
    run.wake_ns = min(due)


def resting(latch: Latch, run: Run) -> bool:
    """Whether an account waits for the next slice: nothing of it is out or under way."""
    waits = latch.pace is not None and run.work is Work.IDLE and not run.intents
    return waits and run.outcome is Outcome.NONE


def resumed(pace: Pace | None, now: EngineNs) -> Pace | None:
    """The same after a restart: a clock that was set back lengthens nothing."""
    return None if pace is None else replace(pace, since_ns=min(pace.since_ns, now))


def _step(pace: Pace, now: EngineNs) -> int:
    """The number of the slice that is due, from 0."""
    over_ns = round(pace.over_s * SECOND_NS)
    elapsed_ns = max(now - pace.since_ns, 0)
    if over_ns <= 0 or elapsed_ns >= over_ns:
        return SLICES - 1
    return elapsed_ns * (SLICES - 1) // over_ns


def _slice_ns(pace: Pace, number: int) -> EngineNs:
    """When that slice is due: never a nanosecond before ``_step`` says so."""
    return pace.since_ns - (-number * round(pace.over_s * SECOND_NS)) // (SLICES - 1)


def _asked(latch: Latch, cause: Cause) -> float | None:
    """The share of the baseline that a cause names; None where it names none, or of a baseline
    that is not known."""
    found = [] if cause.gross_to_ratio is None else [cause.gross_to_ratio]
    if cause.gross_to_usd is not None and latch.baseline_usd:
        found.append(cause.gross_to_usd / latch.baseline_usd)
    return min(found, default=None)
