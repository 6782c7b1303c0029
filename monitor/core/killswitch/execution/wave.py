"""The plan of a trip: made when its accounts are ready, on the positions just read, and made anew
each round. Every planned order is checked once more before it becomes an intent. *Pure.*
"""

from __future__ import annotations

from decimal import Decimal
from math import fsum

import msgspec

from monitor.core.killswitch.book import Book, Look
from monitor.core.killswitch.execution.checks import checked, with_kept
from monitor.core.killswitch.execution.fills import turnover_usd
from monitor.core.killswitch.execution.orders import asset_of, held_in, size_in, unproved
from monitor.core.killswitch.execution.reach import steps_down
from monitor.core.killswitch.execution.readings import unsure_of
from monitor.core.killswitch.execution.run import (
    begin,
    command_id,
    had_effect,
    judge,
    last_action_ns,
    leftovers,
    list_again,
    settle,
    unshown,
    wait_for_proof,
)
from monitor.core.killswitch.execution.truths import (
    MET,
    NO_FILL,
    basis_usd,
    fix_baseline,
    gross_by_position,
    reachable_goal_usd,
    trip_book,
)
from monitor.core.killswitch.facts import PlaceOrders, ReduceOrder
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Plan, PlanLimits, PlannedOrder, Target
from monitor.core.killswitch.planning.legs import SIDES_DISAGREE, read_legs
from monitor.core.killswitch.state import Intent, Latch, Outcome, Residual, Run, Work
from monitor.core.killswitch.turn import Turn, after, digest

HALVINGS_MAX = 10  # a thousandth finds out as well as less does
# What was cut and is above its goal by less than this again is done: prices move by as much while
# it is read, and each further round costs a minute's tenth of the venue's requests.
DRIFT_RATIO = 0.0025
UNPAIRED = "its last orders met nobody, so no twin is cut with it: reduce both, or pull again"


def gate(turn: Turn, latch: Latch) -> None:
    """Plan and send the next round, if the accounts are ready or were waited for long enough."""
    if not latch.cutting:
        return
    ready = [run for run in latch.runs.values() if run.work is Work.READY]
    if not ready:
        latch.gate_ns = None
        if all(run.work is Work.IDLE for run in latch.runs.values()):
            latch.burst = 0
        return
    if latch.gate_ns is None:
        latch.gate_ns = turn.now
        if not all(run.barren for run in ready):  # those are planned by themselves
            _join(turn, latch, retried=any(run.failures for run in ready))
    waiting = any(
        run.reachable and run.work not in {Work.IDLE, Work.READY} for run in latch.runs.values()
    )
    if waiting and turn.now < after(latch.gate_ns, turn.policy.plan_wait_s):
        return
    if turn.now < latch.pause_ns or turn.book is None or unlisted(turn, latch):
        for run in ready:
            had_effect(run)  # a pause of ours is no trouble of the venue's
        return
    for run in ready:
        if run.truth is None or turn.now > after(run.truth.read_ns, turn.policy.truth_age_s):
            run.work, run.wait_ns = Work.READ, turn.now
            run.look = Look.POSITIONS
    ready = [run for run in ready if run.work is Work.READY]
    # Where orders do not fill, the others must not be cut in its place: it is planned by itself.
    ready = [run for run in ready if not run.barren] or ready
    if ready:
        latch.gate_ns = None
        _round(turn, latch, ready, turn.book)


def unlisted(turn: Turn, latch: Latch) -> bool:
    """Whether a first plan waits for the lot rules and prices of what is held: a riskd that
    has just started knows the accounts before the markets, and would find nothing to cut."""
    if latch.gate_ns is None or turn.book is None:
        return False
    if turn.now >= after(latch.gate_ns, turn.policy.plan_wait_s):
        return False
    priced = {(one.venue, one.market) for one in turn.book.quotes if one.references}
    known = {(one.venue, one.market) for one in turn.book.instruments} & priced
    return any(
        (run.venue, market) not in known
        for run in latch.runs.values()
        if run.work is Work.READY and not run.failures
        for market in _held(run, latch, turn)
    )


def _join(turn: Turn, latch: Latch, *, retried: bool) -> None:
    """Pairs over accounts need all of them in one plan: have those that rest read again. One that
    is INCOMPLETE comes with another that is tried again, not with every round of the rest."""
    for run in latch.runs.values():
        if run.work is not Work.IDLE or not run.reachable or run.share_met or run.stopped:
            continue
        if retried or run.outcome is Outcome.CONTAINED:
            begin(run, turn)


def _round(turn: Turn, latch: Latch, ready: list[Run], book: Book) -> None:
    keys = [run.key for run in ready]
    whole = trip_book(book, latch, keys, turn.state.touched)
    fix_baseline(latch, whole)
    latch.round += 1
    latch.burst += 1
    left_usd = turnover_left(turn, latch)
    if latch.burst > turn.policy.rounds_max:
        latch.burst = 0
        reason = f"{turn.policy.rounds_max} rounds did not reach the goal"
        _give_up(turn, latch, ready, reason)
        return
    try:
        for ratio in steps_down(turn.policy, latch, whole):  # the next, where one has no order
            merged = with_kept(turn, latch, whole, ratio)
            plan = in_part(turn, latch, ready, merged, left_usd, ratio)
            orders, refused = checked(plan, latch, ready, merged, left_usd)
            if orders:
                break
    except Exception as error:  # noqa: BLE001 - containment of one kill step (design.md §2)
        reason = f"no plan could be made ({type(error).__name__}: {error})"
        turn.note(latch, "plan_failed", reason=reason)
        _give_up(turn, latch, ready, reason)
        return
    latch.plan_notes = plan.notes
    _record_plan(turn, latch, plan, orders, refused)
    if orders:
        _place(turn, latch, ready, plan, orders)
        if plan.sliced and _barren(ready) < 2:
            latch.pause_ns = after(turn.now, turn.policy.slice_pause_s)
    else:
        unsure = unsure_of(turn, latch, ready, merged, plan.goal_usd)
        _conclude(turn, latch, ready, plan, refused, merged.why_kept, unsure)


def in_part(
    turn: Turn,
    latch: Latch,
    ready: list[Run],
    book: Book,
    left_usd: float | None,
    ratio: float,
) -> Plan:
    """The plan of a round, on the way to ``ratio`` of the baseline; where nothing was filled twice
    running, half of it, and half of that for each further such round.

    What is signed counts against the signer's cap of the hour, filled or not, and the signer cannot
    take anybody's word for what was not. Asked for whole again and again, an order that nobody
    takes would use up what the others need; so all its attempts ask for three times its worth.
    The first fill asks for all that is left. Of what cannot be parted all is asked for.
    """
    plan = make_plan(turn, latch, book, left_usd, ratio)
    asked_usd = fsum(order.notional_usd for order in plan.orders)
    halvings = min(HALVINGS_MAX, _barren(ready) - 1)
    for times in range(halvings, 0, -1):
        part = make_plan(turn, latch, book, left_usd, ratio, part_usd=asked_usd / 2**times)
        if part.orders:
            return part
    return plan


def _barren(ready: list[Run]) -> int:
    """How many rounds running nothing was filled, in the account where there were the fewest."""
    return min(run.barren for run in ready)


def make_plan(
    turn: Turn,
    latch: Latch,
    book: Book,
    left_usd: float | None,
    ratio: float,
    *,
    part_usd: float | None = None,
) -> Plan:
    """What the planner says for ``ratio`` of this trip's baseline."""
    lotless = {(one.venue, one.market) for one in book.instruments if one.size_step <= 0}
    kept = book.why_kept
    accounts = {f"{venue}/{account}" for venue, account in book.executable}
    unsure = {leg.name for leg in read_legs(latch.scope, book) if leg.stuck == SIDES_DISAGREE}

    # What comes down in pairs does so to the goal of all whose share is met or who come along: not
    # to their own, of which one may have less and another more.
    pairs = {key for key, run in latch.runs.items() if run.twins}
    together = not pairs.isdisjoint(accounts)

    def stuck(name: str) -> bool:
        venue, account, market = name.split("/", 2)
        key, why = f"{venue}/{account}", kept.get((venue, account, market))
        counts = key in accounts or (together and (key in pairs or why == MET))
        no_order = (venue, market) in lotless or name in unsure
        return not counts or no_order or why not in {None, MET, NO_FILL}

    goal_usd = reachable_goal_usd(latch, book, stuck, ratio)
    # The goal may lie above the baseline: what is stuck may have grown. It is the goal that counts.
    whole_usd = max(basis_usd(latch), goal_usd)
    plan = turn.planner(
        Target(
            scope=latch.scope,
            baseline_usd=whole_usd,
            # Of nothing with a price no share is asked for, least of all none.
            gross_to_ratio=goal_usd / whole_usd if whole_usd > 0 else ratio,
        ),
        book,
        PlanLimits(
            max_cost_bps=turn.policy.max_cost_bps,
            slices=turn.policy.slices,
            turnover_left_usd=left_usd,
            part_usd=part_usd,
            hedge_sets=turn.policy.hedge_sets,
        ),
    )
    if latch.level is not Level.CUT or not turnover_usd(turn.state, latch.trip_id):
        return plan
    elsewhere_usd = fsum(usd for name, usd in gross_by_position(latch, book).items() if stuck(name))
    return _but_for_drift(plan, elsewhere_usd)


def _but_for_drift(plan: Plan, elsewhere_usd: float) -> Plan:
    """A plan that only follows prices, of what was cut already, is no plan: the goal is met. What
    lies elsewhere, where this plan reaches nothing, gives no room to what it does reach."""
    gross_usd = plan.gross_before_usd
    drift_usd = DRIFT_RATIO * max(0.0, plan.goal_usd - elsewhere_usd)
    if plan.unpriced or not plan.goal_usd < gross_usd <= plan.goal_usd + drift_usd:
        return plan
    return msgspec.structs.replace(
        plan,
        orders=(),
        shortfalls=(),
        gross_after_usd=gross_usd,
        goal_usd=gross_usd,
        net_after_usd=plan.net_before_usd,
        cost_usd=0.0,
        sliced=False,
        deferred_usd=0.0,
        in_the_way=(),
    )


def turnover_left(turn: Turn, latch: Latch) -> float | None:
    """USD that this hour still allows this trip; None without a cap."""
    policy, left = turn.policy, []
    if policy.turnover_usd_per_hour is not None:
        left.append(policy.turnover_usd_per_hour - turnover_usd(turn.state))
    if policy.turnover_ratio_per_hour is not None and basis_usd(latch) > 0:
        cap_usd = policy.turnover_ratio_per_hour * basis_usd(latch)
        left.append(cap_usd - turnover_usd(turn.state, latch.trip_id))
    return max(0.0, min(left)) if left else None


def _place(
    turn: Turn, latch: Latch, ready: list[Run], plan: Plan, orders: list[PlannedOrder]
) -> None:
    wanted = {(one.venue, one.account) for one in plan.orders}
    wanted |= {(one.venue, one.account) for one in plan.shortfalls}
    for run in ready:
        mine = [one for one in orders if (one.venue, one.account) == (run.venue, run.account)]
        if not mine or run.truth is None:
            run.work, run.verifying = Work.READ, True
            run.wait_ns = after(turn.now, turn.policy.attempt_pause_s)
            run.look = Look.POSITIONS
            if (run.venue, run.account) not in wanted:
                had_effect(run)  # it is read beside the others: there is nothing to have worked
            continue
        run.intents = [
            Intent(
                order=ReduceOrder(
                    client_id="0x" + digest(latch.trip_id, latch.round, one.leg)[:32],
                    market=one.market,
                    side=one.side,
                    size=one.size,
                    limit_price=one.limit_price,
                    reference_price=one.reference_price,
                    expires_at_ns=after(turn.now, turn.policy.order_expiry_s),
                ),
                round=latch.round,
                leg=one.leg,
                notional_usd=one.notional_usd,
            )
            for one in mine
        ]
        run.bases = {one.market: size_in(run.truth, one.market) for one in mine}
        run.work, run.verifying = Work.PLACE, True
        if run.outcome is Outcome.CONTAINED:
            run.outcome = Outcome.NONE
        command = PlaceOrders(
            id=command_id(latch, run, Work.PLACE),
            trip_id=latch.trip_id,
            venue=run.venue,
            account=run.account,
            orders=tuple(intent.order for intent in run.intents),
        )
        run.inflight = command.id
        run.deadline_ns = after(turn.now, turn.policy.answer_within_s)
        run.trying_ns = turn.now if run.trying_ns is None else run.trying_ns
        turn.state.touched[run.key] = run.ordered_ns = turn.now
        turn.commands.append(command)


def _conclude(
    turn: Turn,
    latch: Latch,
    ready: list[Run],
    plan: Plan,
    refused: dict[str, tuple[str, str]],
    kept: dict[tuple[str, str, str], str],
    unsure: dict[str, tuple[str, ...]],
) -> None:
    """Nothing is left to send: the goal is met, or what is in its way is said. Where readings
    disagree (``unsure``, by account) one may be behind: it is read again, and said if it stays."""
    met = plan.met and not refused
    if not met and (_clear_the_way(turn, ready, plan) or _call_twins(turn, latch, ready, plan)):
        return
    notes = "; ".join(plan.notes) or "the planner found no order to send"
    goal_usd = latch.goal_usd or 0.0
    for run in ready:
        words = unsure.get(run.key, ())
        if words and wait_for_proof(turn, run, words):
            continue
        residuals = [*leftovers(turn, latch, run), *(Residual(reason=one) for one in words)]
        above = plan.gross_before_usd > (1.0 + DRIFT_RATIO) * goal_usd
        if met and above:  # met but for what others keep
            held = _held(run, latch, turn)
            residuals += [
                Residual(reason=why, market=market)
                for market in held
                if (why := kept.get((run.venue, run.account, market))) and why != MET
            ]
        if not met:
            residuals += _short(run, plan, refused)
            if run.barren and plan.twins:
                residuals.append(Residual(reason=UNPAIRED))
            if not (plan.shortfalls or refused) and _held(run, latch, turn):
                residuals.append(Residual(reason=notes))
        if met and not residuals:
            run.cut_done, run.twins = True, ()
            run.met = _held(run, latch, turn)
        if run.share_met:  # no more to cut: whether nothing else is left, its own list has to show
            run.work, run.wait_ns, run.verifying = Work.READ, turn.now, True
            if run.truth is not None:
                judge(turn, latch, run, run.truth)
            continue
        missing = _old(turn, latch, run)
        if missing and run.truth is not None and list_again(turn, run, run.truth, missing):
            continue
        settle(turn, latch, run, tuple(residuals) or unshown(missing))


def _short(run: Run, plan: Plan, refused: dict[str, tuple[str, str]]) -> list[Residual]:
    """What of one account the goal needs and this plan cannot do. What stays beside its twins is
    nothing that anybody has to cut."""
    return [
        *(
            Residual(reason=one.reason, market=one.market, usd=one.usd)
            for one in plan.shortfalls
            if (one.venue, one.account) == (run.venue, run.account) and one.reason != MET
        ),
        *(
            Residual(reason=f"{leg}: {reason}")
            for leg, (key, reason) in refused.items()
            if key == run.key
        ),
    ]


def _old(turn: Turn, latch: Latch, run: Run) -> tuple[str, ...]:
    """What of an account was last listed before the last action, in words; what nobody ever knew is
    no reason to ask again."""
    truth, since_ns = run.truth, last_action_ns(turn, latch, run)
    if truth is None or truth.orders_ns is None or truth.orders_ns >= since_ns:
        return ()
    return unproved(truth, since_ns)


def _clear_the_way(turn: Turn, ready: list[Run], plan: Plan) -> bool:
    """Have reduce-only orders cancelled that would take off what the cut has to; True if any."""
    found = False
    for run in ready:
        ids = tuple(
            order_id
            for venue, account, order_id in plan.in_the_way
            if (venue, account) == (run.venue, run.account) and order_id not in run.in_the_way
        )
        if ids and not run.given_up:
            run.in_the_way += ids
            found = True
    if found:  # all of them look again, so that the next plan has them all
        for run in ready:
            run.work, run.wait_ns = Work.READ, turn.now
    return found


def _call_twins(turn: Turn, latch: Latch, ready: list[Run], plan: Plan) -> bool:
    """Where what is short is hedged in accounts that met their own share, have them come along: the
    pairs come down together, and nothing else there does. True if any."""
    called: list[Run] = []
    if any(run.barren for run in ready):
        return False  # the twin would be cut beside a leg that stays
    for run in latch.runs.values():
        markets = {
            market
            for venue, account, market in plan.twins
            if (venue, account) == (run.venue, run.account)
        }
        done = run.work is Work.IDLE and run.outcome is Outcome.CONTAINED and run.share_met
        if markets and done and run.reachable and not run.stopped:
            begin(run, turn)
            run.twins = tuple(sorted(markets))
            called.append(run)
    if not called:
        return False
    turn.note(latch, "twins_called", details=tuple(("account", run.key) for run in called))
    for run in ready:  # they wait for it
        short = {one.market for one in _short(run, plan, {})}
        run.twins = tuple(sorted({*run.twins, *short}))
    return True


def _held(run: Run, latch: Latch, turn: Turn) -> dict[str, Decimal]:
    if run.truth is None:
        return {}
    return held_in(run.truth, latch.scope, asset_of(turn.book))


def _give_up(turn: Turn, latch: Latch, ready: list[Run], reason: str) -> None:
    for run in ready:
        settle(turn, latch, run, (*leftovers(turn, latch, run), Residual(reason=reason)))


def _record_plan(
    turn: Turn,
    latch: Latch,
    plan: Plan,
    orders: list[PlannedOrder],
    refused: dict[str, tuple[str, str]],
) -> None:
    turn.note(
        latch,
        "plan",
        reason="; ".join(f"{leg}: {reason}" for leg, (_, reason) in refused.items()),
        details=(
            ("round", str(latch.round)),
            ("gross_before_usd", f"{plan.gross_before_usd:.2f}"),
            ("gross_after_usd", f"{plan.gross_after_usd:.2f}"),
            ("goal_usd", f"{plan.goal_usd:.2f}"),
            ("cost_usd", f"{plan.cost_usd:.2f}"),
            ("sliced", "yes" if plan.sliced else "no"),
            *((one.leg, f"{one.side} {one.size} {one.market} at {one.limit_price}")
              for one in orders),
            *(("shortfall", f"{s.venue}/{s.account} {s.market} ${s.usd:,.0f}: {s.reason}")
              for s in plan.shortfalls),
            *(("note", note) for note in plan.notes),
        ),
    )  # fmt: skip
