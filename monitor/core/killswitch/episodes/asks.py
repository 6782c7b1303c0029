"""What a rule may reach: its mode, its scope, its confirmation. *Pure.*

In ``observe`` a rule leaves a WOULD HAVE and nothing else. A level of 3 or more wants two
observations apart in time or two sources; until then the scope is REDUCE_ONLY and no more. An
account that is a small part of the book latches itself and not the book.
"""

from __future__ import annotations

from monitor.core.decision import ActionLevel, Because, KillRequest, RuleMode, narrower
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.episodes import holds, proposals, series, waiting
from monitor.core.killswitch.episodes.amounts import LOOK_S, as_of_now
from monitor.core.killswitch.episodes.trips import trip
from monitor.core.killswitch.execution.orders import concerns
from monitor.core.killswitch.facts import KillNotice, RuleAsked
from monitor.core.killswitch.levels import LEVEL_OF_ACTION, Level
from monitor.core.killswitch.planning.legs import gross_in_scope_usd
from monitor.core.killswitch.scope import scope_parts
from monitor.core.killswitch.state import Ask, Cause, Heard, Pending
from monitor.core.killswitch.trading import effective
from monitor.core.killswitch.turn import Turn, after
from monitor.core.killswitch.words import cut_short, dollars, part_words
from monitor.core.types import (
    SECOND_NS,
    EngineNs,
    Severity,
    Subject,
    SubjectKind,
    account_subject,
    venue_subject,
)

WOULD_ALERT = "KillSwitchWouldHave"


def rule_asked(turn: Turn, fact: RuleAsked) -> None:
    """Judge one request of a rule and do what it may do."""
    request = fact.request
    action = ActionLevel.HOLD if request.capped_by_estimate else request.level
    if action is ActionLevel.PAGE:
        return
    try:
        scope_parts(request.scope)
    except ValueError as error:
        turn.record(
            "refused",
            actor=f"rule:{request.rule}",
            scope=request.scope,
            level_to=LEVEL_OF_ACTION[action],
            reason=str(error),
        )
        return
    scope = narrowed(
        turn.book, request.subject, request.scope, turn.policy.small_account_share_ratio
    )
    ask = Ask(
        rule=request.rule,
        subject=request.subject,
        scope=scope,
        action=action,
        level=LEVEL_OF_ACTION[action],
        gross_to_ratio=request.gross_to_ratio if action is ActionLevel.CUT else None,
        gross_to_usd=request.gross_to_usd if action is ActionLevel.CUT else None,
        gross_to_measure=request.gross_to_measure if action is ActionLevel.CUT else "",
        severity=request.severity,
        epoch_ns=request.firing_epoch_ns,
        rule_hash=request.rule_hash,
        evidence=_evidence(fact, scope),
        confirmed_by=_confirmed_by(request),
        because=Because.DATA if request.capped_by_estimate else request.because,
        mode=narrower(request.mode, request.mode_max),
        over_s=request.over_s if action is ActionLevel.CUT else 0.0,
    )
    # By both, where it reaches less than it asked for: what observes there must not act there.
    said = narrower(
        turn.policy.mode_of(request.rule, request.scope, request.mode),
        turn.policy.mode_of(request.rule, scope, request.mode),
    )
    mode = narrower(said, request.mode_max)
    if mode is not RuleMode.ACT or ask.over_s:
        _drop(turn, ask.key, "the rule may no longer act")
    if mode is RuleMode.OBSERVE:
        proposals.withdraw(turn, ask.key, proposals.TO_OBSERVE)
        series.end(turn, ask.key, proposals.TO_OBSERVE)
    elif not (request.over_s or request.capped_by_estimate):
        series.superseded(turn, ask)
    if not turn.acting or mode is RuleMode.OBSERVE:
        would_have(turn, series.first_part(turn, ask))
    elif ask.over_s:
        series.begin(turn, ask)
    elif mode is RuleMode.PROPOSE:
        proposals.propose(turn, ask)
    elif action is ActionLevel.HOLD:
        holds.place(turn, ask)
    else:
        act(turn, ask, fact)


def _evidence(fact: RuleAsked, scope: Subject) -> str:
    request = fact.request
    words = f"{request.rule} about {request.subject}"
    if scope != request.scope:
        words += f"; it asked for {request.scope}, of which this account is a small or unknown part"
    if request.gross_to_usd is not None:
        words += f"; to {request.gross_to_measure} {dollars(request.gross_to_usd)}"
    if request.over_s and not request.capped_by_estimate:
        words += f" over {request.over_s / 60:g} min"
    if request.capped_by_estimate:
        words += "; on estimates or missing data, so no more than a hold"
    return words


def _confirmed_by(request: KillRequest) -> str:
    """What was seen when, and by whom, for the record."""
    times = ", ".join(str(at_ns) for at_ns in request.observations_ns)
    sources = ", ".join(request.sources)
    return f"observed at {times or 'an unknown time'} by {sources or 'an unknown source'}"


def narrowed(book: Book | None, subject: Subject, scope: Subject, share_ratio: float) -> Subject:
    """The scope a rule about one account may reach: that account alone where it is a small part
    of what the scope holds, or where nobody knows how large a part it is."""
    kind, _, text = subject.partition(":")
    if kind not in {SubjectKind.ACCOUNT, SubjectKind.POSITION}:
        return scope
    scope_kind, _ = scope_parts(scope)
    if scope_kind in {SubjectKind.ACCOUNT, SubjectKind.POSITION, SubjectKind.MARKET}:
        return scope
    venue, account = text.split("/", 2)[:2]
    own = account_subject(venue, account)
    if book is None:
        return own
    within = venue_subject(venue) if scope_kind is SubjectKind.VENUE else Subject("portfolio")
    known = any(concerns(own, one.venue, one.account) for one in book.accounts)
    gross, all_gross = gross_in_scope_usd(own, book), gross_in_scope_usd(within, book)
    if not known or all_gross <= 0 or gross < share_ratio * all_gross:
        return own
    return scope


# --------------------------------------------------------------------------------- to act


def act(turn: Turn, ask: Ask, fact: RuleAsked) -> None:
    """Latch as far as the request is confirmed; what waits for confirmation is remembered."""
    heard = turn.state.heard.get(ask.key)
    if heard is not None and heard.epoch_ns == ask.epoch_ns and heard.level >= ask.level:
        return
    if ask.level < Level.CUT:
        latch(turn, ask, ask.level)
        return
    pending = turn.state.pendings.get(ask.key)
    if pending is None or pending.ask.epoch_ns != ask.epoch_ns:
        waiting.let_go(turn, ask.key)
        pending = Pending(ask=ask)
        turn.state.pendings[ask.key] = pending
    pending.ask = ask
    observe(turn, pending, fact)
    _cool_down(turn, pending)
    if ripe(turn, pending):
        waiting.let_go(turn, ask.key)
        latch(turn, ask, ask.level)
    elif heard is None or heard.epoch_ns != ask.epoch_ns:
        latch(turn, ask, Level.REDUCE_ONLY)


def observe(turn: Turn, pending: Pending, fact: RuleAsked) -> None:
    """Count what confirms: observations by their own times, never the repetition of one."""
    request = fact.request
    times = request.observations_ns
    if times:
        first, last = pending.first_ns, pending.last_ns
        pending.first_ns = min(times) if first is None else min(first, *times)
        pending.last_ns = max(times) if last is None else max(last, *times)
    apart_ns = round(turn.policy.confirmation_apart_s * SECOND_NS)
    span_ns = (pending.last_ns or 0) - (pending.first_ns or 0)
    if len(set(request.sources)) >= 2 or span_ns >= apart_ns:
        pending.confirmed = True


def _cool_down(turn: Turn, pending: Pending) -> None:
    ask = pending.ask
    rearmed_ns = turn.state.rearmed.get(ask.scope)
    if rearmed_ns is not None and ask.scope not in turn.state.latches:
        pending.not_before_ns = after(rearmed_ns, turn.policy.cool_down_s)


def forget_old_rearms(turn: Turn) -> None:
    """A cool-down that is over need not be remembered."""
    for scope, at_ns in list(turn.state.rearmed.items()):
        if turn.now >= after(at_ns, turn.policy.cool_down_s):
            del turn.state.rearmed[scope]


def ripe(turn: Turn, pending: Pending) -> bool:
    """Whether what waited may be done now."""
    return pending.confirmed and turn.now >= pending.not_before_ns


def raise_ripe(turn: Turn) -> None:
    """Raise what waited for the end of a cool-down and is still asked for, to the amount of now;
    while that is not known it waits on."""
    for key, pending in list(turn.state.pendings.items()):
        if not ripe(turn, pending):
            continue
        if turn.book is not None and turn.book.modes is None:
            return  # nobody knows what the rules may do before there is a rulebook
        if turn.mode_of(pending.ask) is not RuleMode.ACT:
            _drop(turn, key, "the rule may no longer act")
            continue
        if effective(turn.state, pending.ask.scope) is Level.FLATTEN:
            _drop(turn, key, "the scope is unwound already")
            continue
        ask = as_of_now(turn, pending.ask)
        if ask is not None:
            waiting.let_go(turn, key)
            latch(turn, ask, ask.level)
        else:
            waiting.wait(turn, pending)


def _drop(turn: Turn, key: str, why: str) -> None:
    """What waited to rise does not any more."""
    pending = waiting.let_go(turn, key)
    if pending is not None:
        turn.record(
            "dropped",
            actor=f"rule:{pending.ask.rule}",
            scope=pending.ask.scope,
            level_to=pending.ask.level,
            reason=f"{why}; what is latched stays",
        )


def due_ns(pending: Pending, now: EngineNs) -> EngineNs | None:
    """When a pending level may be reached by time alone; None while it waits for confirmation."""
    if pending.paged:  # it waits for its amount, which no moment brings
        return after(now, LOOK_S)
    return pending.not_before_ns if pending.confirmed else None


def latch(turn: Turn, ask: Ask, level: Level, *, approved_by: str = "") -> None:
    """Trip for a rule, at its level or (unconfirmed, cooling down) at REDUCE_ONLY."""
    turn.state.heard[ask.key] = Heard(epoch_ns=ask.epoch_ns, level=level)
    reason = ask.evidence
    if level < ask.level:
        reason += f"; {ask.level.name} waits for its confirmation or the end of a cool-down"
    if approved_by:
        reason += f"{part_words(ask)}; approved by {approved_by}"
    cause = Cause(
        actor=f"rule:{ask.rule}",
        level=level,
        at_ns=turn.now,
        reason=reason,
        gross_to_ratio=ask.gross_to_ratio if level is Level.CUT else None,
        gross_to_usd=ask.gross_to_usd if level is Level.CUT else None,
        rule_hash=ask.rule_hash,
        confirmed_by=ask.confirmed_by,
        approved=bool(approved_by),
    )
    trip(turn, ask.scope, cause, by_person=False)


# -------------------------------------------------------------------------------- to observe


def would_have(turn: Turn, ask: Ask) -> None:
    """Say what would have been done, once an episode; nothing is latched."""
    heard = turn.state.would.get(ask.key)
    if heard is not None and heard.epoch_ns == ask.epoch_ns and heard.level >= ask.level:
        return
    turn.state.would[ask.key] = Heard(epoch_ns=ask.epoch_ns, level=ask.level)
    words = proposals.plan_words(turn, ask)
    turn.record(
        "would_have",
        actor=f"rule:{ask.rule}",
        scope=ask.scope,
        level_to=ask.level,
        reason=ask.evidence,
        details=(("plan", words), ("rule_hash", ask.rule_hash)),
    )
    turn.notices.append(_would_notice(turn, ask, words, resolved=False))


def _would_notice(turn: Turn, ask: Ask, words: str, *, resolved: bool) -> KillNotice:
    return KillNotice(
        key=f"would/{ask.key}/{ask.epoch_ns}",
        alert=WOULD_ALERT,
        severity=Severity.INFO,
        scope=ask.scope,
        at_ns=turn.now,
        summary=cut_short(
            f"WOULD HAVE {ask.level.name} {ask.scope} by {ask.rule}{part_words(ask)}: {words}"
        ),
        description=f"{ask.evidence}. {words}. Nothing was latched and nothing was sent.",
        resolved=resolved,
    )


def rule_ended(turn: Turn, rule: str, subject: Subject, *, removed: bool = False) -> None:
    """A rule is over: its hold may go in time, what waited is dropped, no latch is touched. Of one
    that was ``removed`` the hold stays: nobody says that its data is good."""
    key = f"{rule}|{subject}"
    state = turn.state
    if removed:
        holds.orphaned(turn, key)
    else:
        holds.ended(turn, key)
    seen = state.would.pop(key, None)
    if seen is not None:
        turn.notices.append(
            KillNotice(
                key=f"would/{key}/{seen.epoch_ns}",
                alert=WOULD_ALERT,
                severity=Severity.INFO,
                scope=subject,
                at_ns=turn.now,
                summary=cut_short(f"{rule} about {subject} is over; nothing had been latched"),
                description="",
                resolved=True,
            )
        )
    _drop(turn, key, "the rule ended before its level was confirmed")
    proposals.withdraw(turn, key)
    series.end(turn, key, "the rule is over")
