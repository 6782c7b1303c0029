"""How a scope is latched, and how a latch rises: never down, never by anything but a request.

*Pure.*
"""

from __future__ import annotations

from monitor.core.killswitch.book import Book
from monitor.core.killswitch.execution.orders import asset_of, concerns, within
from monitor.core.killswitch.execution.run import begin, reopen
from monitor.core.killswitch.execution.truths import fix_baseline
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.scope import scope_parts
from monitor.core.killswitch.state import Cause, Latch, Outcome, Run, Stage
from monitor.core.killswitch.turn import Turn, after, digest
from monitor.core.types import EngineNs, Subject, SubjectKind

CAUSES_MAX = 32
LATE_S = 300.0  # after its expiry; more than any clock of a venue we act at may be wrong


def trip(turn: Turn, scope: Subject, cause: Cause, *, by_person: bool) -> Latch:
    """Latch ``scope`` at the cause's level, or raise the latch it has. Targets do not add: the
    lowest share counts, of the gross there was when a target was first asked for."""
    state = turn.state
    latch = state.latches.get(scope)
    if latch is None:
        state.sequence += 1
        latch = Latch(
            trip_id="trip-" + digest(scope, cause.actor, turn.now, state.sequence)[:12],
            scope=scope,
            level=cause.level,
            since_ns=turn.now,
        )
        state.latches[scope] = latch
        before, news = Level.NORMAL, True
    else:
        before, news = latch.level, cause.level > latch.level
    latch.level = max(latch.level, cause.level)
    news |= _lower(turn, latch, cause)
    if news:
        latch.asked_ns = turn.now
    remember(latch, cause)
    # The word of a person goes on with a cutting that stopped, and calls off a re-arm.
    again = by_person and any(
        run.stopped or run.outcome is Outcome.INCOMPLETE for run in latch.runs.values()
    )
    if news or by_person:
        latch.offer = None
    if news or again:
        latch.escalations, latch.escalate_ns = 0, None
        reopen(latch, turn, by_person=by_person)
    turn.record(
        "tripped" if before is Level.NORMAL else "raised" if news else "asked_again",
        actor=cause.actor,
        scope=scope,
        level_from=before,
        level_to=latch.level,
        trip_id=latch.trip_id,
        reason=cause.reason,
        details=(*_details(latch), *_undone(latch, cause), *_evidence(cause)),
    )
    enumerate_accounts(turn, latch)
    return latch


def remember(latch: Latch, cause: Cause) -> None:
    """One entry for each actor and level, with its newest reason. Where there are too many, the
    oldest goes that did not bring the latch to a level: who raised it is always kept."""
    for index, one in enumerate(latch.causes):
        if (one.actor, one.level) == (cause.actor, cause.level):
            latch.causes[index] = cause
            return
    latch.causes.append(cause)
    if len(latch.causes) <= CAUSES_MAX:
        return
    height = Level.NORMAL
    for index, one in enumerate(latch.causes[:-1]):
        if one.level <= height:
            del latch.causes[index]
            return
        height = one.level


def _lower(turn: Turn, latch: Latch, cause: Cause) -> bool:
    """Take the lower target over; True when the goal fell."""
    fell = False
    if cause.level is Level.CUT:
        ratio, usd = cause.gross_to_ratio, cause.gross_to_usd
        if ratio is None and usd is None:
            ratio = turn.policy.default_gross_to_ratio
        if ratio is not None and (latch.gross_to_ratio is None or ratio < latch.gross_to_ratio):
            latch.gross_to_ratio, fell = ratio, True
        if usd is not None and (latch.gross_to_usd is None or usd < latch.gross_to_usd):
            latch.gross_to_usd, fell = usd, True
    fix_baseline(latch, turn.book)
    return fell and latch.level is Level.CUT


def _undone(latch: Latch, cause: Cause) -> tuple[tuple[str, str], ...]:
    if cause.level is Level.CUT and latch.level is Level.HALT:
        return (("not_carried_out", "CUT under HALT"),)
    return ()


def _evidence(cause: Cause) -> tuple[tuple[str, str], ...]:
    """Which version of a rule it was, and what confirmed it; nothing of a person."""
    found = (("rule_hash", cause.rule_hash), ("confirmed_by", cause.confirmed_by))
    return tuple(entry for entry in found if entry[1])


def _details(latch: Latch) -> tuple[tuple[str, str], ...]:
    details = [("since_ns", str(latch.since_ns))]
    if latch.baseline_usd is not None:
        details += [
            ("baseline_usd", f"{latch.baseline_usd:.2f}"),
            ("gross_to_ratio", f"{latch.target_ratio:g}"),
        ]
        if latch.unpriced:  # not in the sum above: unknown
            details.append(("unpriced", ", ".join(latch.unpriced)))
    return tuple(details)


def enumerate_accounts(turn: Turn, latch: Latch) -> None:
    """Every account the scope could touch has its run, also one that was configured since."""
    book = turn.book
    if book is None:
        return
    latch.found = latch.found or bool(latch.baselines) or knows(book, latch)
    if latch.level < Level.REDUCE_ONLY:
        return
    latch.enumerated = True
    executable = set(book.executable)
    places = [(one.venue, one.account) for one in book.accounts]
    for venue, account in sorted({*places, *book.executable, *book.dark}):
        if not concerns(latch.scope, venue, account):
            continue
        run = latch.runs.get(f"{venue}/{account}")
        if run is None:
            run = Run(venue=venue, account=account, wait_ns=turn.now)
            latch.runs[run.key] = run
    for run in latch.runs.values():
        reachable = (run.venue, run.account) in executable
        if reachable and not run.reachable and not run.changing:
            begin(run, turn)
        run.reachable = reachable
    fix_baseline(latch, book)


def knows(book: Book, latch: Latch) -> bool:
    """Whether anything in the scope is known: an account, or of an asset or market that a venue
    lists it, a position, an order or a declared leg. A mistyped scope has nothing, and must not
    look like a calm one."""
    kind, parts = scope_parts(latch.scope)
    places = [(one.venue, one.account) for one in book.accounts]
    concerned = [
        (venue, account)
        for venue, account in (*places, *book.executable, *book.dark)
        if concerns(latch.scope, venue, account)
    ]
    if kind in {SubjectKind.PORTFOLIO, SubjectKind.VENUE, SubjectKind.ACCOUNT}:
        return bool(concerned)
    if kind is SubjectKind.ASSET and any(leg.asset == parts[0] for leg in book.outside):
        return True
    # Nothing may be held in it: its accounts then show that, each by its own list.
    if any(
        within(latch.scope, venue, account, market, asset)
        for venue, market, asset in book.listed
        for place, account in concerned
        if place == venue
    ):
        return True
    assets = asset_of(book)
    truths = (*book.accounts, *(run.truth for run in latch.runs.values() if run.truth is not None))
    return any(
        within(latch.scope, truth.venue, truth.account, market, assets(truth.venue, market))
        for truth in truths
        for market in (
            *(position.market for position in truth.positions),
            *(order.market for order in truth.orders),
        )
    )


def stage_of(latch: Latch, now: EngineNs) -> Stage:
    """Where a latch stands, from what its runs have shown."""
    if latch.offer is not None and now <= latch.offer.expires_ns:
        return Stage.REARM_REQUESTED
    if latch.level < Level.REDUCE_ONLY:
        return Stage.CONTAINED  # nothing is cancelled or cut at CAUTION
    if not latch.enumerated:
        return Stage.TRIPPED
    open_runs = [run for run in latch.runs.values() if run.outcome is Outcome.NONE]
    if open_runs:
        verifying = all(run.verifying and not run.changing for run in open_runs)
        return Stage.VERIFYING if verifying else Stage.EXECUTING
    if any(run.outcome is Outcome.INCOMPLETE for run in latch.runs.values()):
        return Stage.INCOMPLETE
    # Of a scope in which nothing is known nobody can say that it is contained.
    return Stage.CONTAINED if latch.found else Stage.TRIPPED


def busy(latch: Latch, now: EngineNs) -> str:
    """Why this trip cannot be cleared now: its work is not done. Empty when it can.

    An order of which nobody can say any more what became of it (its account was taken out of the
    configuration, its venue is gone) is waited for until it cannot arrive: there is always a way
    back, and what it did then shows in the positions.
    """
    if latch.level >= Level.REDUCE_ONLY and not latch.enumerated:
        return "its accounts have not been looked at yet"
    for run in latch.runs.values():
        left = [one for one in run.intents if now <= after(one.order.expires_at_ns, LATE_S)]
        if left:
            return f"{len(left)} order(s) of {run.key} are out or of unknown outcome"
        if (run.changing and not run.intents) or run.outcome is Outcome.NONE:
            return f"it is still executing in {run.key}"
    return ""


def restart(turn: Turn) -> None:
    """After a restart: what was possibly sent is resolved first, everything else is read anew."""
    touched = turn.state.touched
    for key, at_ns in touched.items():  # a clock set back must not make every read too old
        touched[key] = min(at_ns, turn.now)
    for latch in turn.state.latches.values():
        latch.gate_ns, latch.pause_ns = None, min(latch.pause_ns, turn.now)
        latch.since_ns = min(latch.since_ns, turn.now)
        latch.asked_ns = min(latch.asked_ns, turn.now)
        for run in latch.runs.values():
            resume(turn, latch, run)
        turn.note(latch, "restored", details=_details(latch))


def resume(turn: Turn, latch: Latch, run: Run) -> None:
    """One account after a restart. No order that may have left is ever sent again."""
    if run.intents:
        from_here = run.intents[0].order.client_id
        turn.note(latch, "resolve_after_restart", details=(("first", from_here),))
        begin(run, turn)
        run.resolve(turn.now)
        return
    changed = run.changing
    begin(run, turn)
    if changed:  # a cancel may have left: what is read from now on shows it
        turn.state.touched[run.key] = max(turn.state.touched.get(run.key, 0), turn.now)
        run.verifying = True
