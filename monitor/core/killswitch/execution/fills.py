"""What became of our orders: fills lower the floor, unknown ones are asked about before anything
else. *Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitor.core.killswitch.book import Look
from monitor.core.killswitch.execution.run import (
    barren_round,
    had_effect,
    unresolved,
)
from monitor.core.killswitch.facts import OrderEnd, OrderOutcome
from monitor.core.killswitch.state import Intent, KillState, Latch, Run, Turnover, Work
from monitor.core.killswitch.turn import Turn
from monitor.core.types import SECOND_NS, EngineNs, Side

HOUR_NS = 3600 * SECOND_NS


def answered(
    turn: Turn, latch: Latch, run: Run, outcomes: Sequence[OrderOutcome], *, in_time: bool
) -> None:
    """The answer to ``PlaceOrders`` or ``ResolveOrders``; a late one (not ``in_time``) only tells
    what is certain."""
    told = {one.client_id: one for one in outcomes}
    filled, left, all_filled = Decimal(0), [], True
    for intent in run.intents:
        outcome = told.get(intent.order.client_id)
        if outcome is None or outcome.end is OrderEnd.UNKNOWN:
            left.append(intent)
            continue
        size = min(max(outcome.filled_size, Decimal(0)), intent.order.size)
        all_filled = all_filled and size == intent.order.size
        if outcome.end is OrderEnd.FILLED and size:
            filled += size
            _book_fill(turn, latch, run, intent, size, outcome)
        turn.note(latch, "order_ended", details=_words(run, intent, outcome))
    ended = len(run.intents) - len(left)
    run.intents = left
    if ended:
        turn.state.touched[run.key] = run.ordered_ns = turn.now
    if not in_time:
        return
    run.inflight = ""
    if left:
        reason = next((one.detail for one in outcomes if one.detail), "the venue does not say")
        if run.work is Work.RESOLVE:
            unresolved(turn, latch, run, reason)
        else:
            run.work, run.tries, run.wait_ns = Work.RESOLVE, 0, turn.now
        return
    detail = next((one.detail for one in outcomes if one.detail), "nothing was filled")
    if filled:
        had_effect(run)
        run.barren = 0
        run.work, run.verifying, run.tries, run.wait_ns = Work.READ, True, 0, turn.now
    else:
        pause_s = turn.policy.attempt_pause_s * (run.barren + 1)
        barren_round(turn, latch, run, detail, pause_s)
    if filled and (not all_filled or turn.now < latch.pause_ns):  # it goes on, and as it should
        run.look = Look.POSITIONS


def _book_fill(
    turn: Turn, latch: Latch, run: Run, intent: Intent, size: Decimal, outcome: OrderOutcome
) -> None:
    order = intent.order
    signed = size if order.side is Side.BUY else -size
    base = run.bases.get(order.market, Decimal(0)) + signed
    run.bases[order.market] = run.floors[order.market] = base
    price = outcome.average_price if outcome.average_price is not None else order.limit_price
    turn.state.turnover.append(
        Turnover(at_ns=turn.now, trip_id=latch.trip_id, usd=float(size * price))
    )


def _words(run: Run, intent: Intent, outcome: OrderOutcome) -> tuple[tuple[str, str], ...]:
    return (
        ("account", run.key),
        ("client_id", intent.order.client_id),
        ("round", str(intent.round)),
        ("leg", intent.leg),
        ("order", f"{intent.order.side} {intent.order.size} {intent.order.market}"),
        ("end", outcome.end.value),
        ("filled", str(outcome.filled_size)),
        ("average_price", str(outcome.average_price)),
        ("reference_price", str(intent.order.reference_price)),
        ("detail", outcome.detail),
    )


def forget_old_turnover(state: KillState, now: EngineNs) -> None:
    """What was traded more than an hour ago no longer counts."""
    if state.turnover and now - state.turnover[0].at_ns >= HOUR_NS:
        state.turnover = [one for one in state.turnover if now - one.at_ns < HOUR_NS]


def turnover_usd(state: KillState, trip_id: str | None = None) -> float:
    """What was traded in the last hour, and what is out now: by one trip, or by all."""
    done = sum(one.usd for one in state.turnover if trip_id in {None, one.trip_id})
    out = sum(
        intent.notional_usd
        for latch in state.latches.values()
        if trip_id in {None, latch.trip_id}
        for run in latch.runs.values()
        for intent in run.intents
    )
    return done + out
