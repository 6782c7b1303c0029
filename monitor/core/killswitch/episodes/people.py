"""What people ask for: pull (one step, any level, no question) and approve. *Pure.*"""

from __future__ import annotations

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.episodes import asks, holds, proposals, series
from monitor.core.killswitch.episodes.amounts import (
    AMOUNT_SLACK_RATIO,
    amount_unknown,
    as_of_now,
)
from monitor.core.killswitch.episodes.trips import trip
from monitor.core.killswitch.facts import PersonApproved, PersonPulled
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.scope import scope_parts
from monitor.core.killswitch.state import Ask, Cause
from monitor.core.killswitch.turn import Turn, after
from monitor.core.killswitch.words import (
    EFFECTS,
    HOLD_ENDS,
    dollars,
    goal_words,
    not_carried_out,
    nothing_known,
)
from monitor.core.rights import Right, refusal_of
from monitor.core.types import PORTFOLIO

PULLS_MAX = 1000  # remembered pulls
# A message comes again within seconds; one that is signed is believed for 300 s.
REPEAT_S = 600.0


def pulled(turn: Turn, fact: PersonPulled) -> None:
    """Latch what a person asks for, at once; the same message again is the same pull.

    The same message, and not the same id alone: who kills twice under one id means it twice.
    """
    state = turn.state
    refusal = _refusal(turn, fact) or _undone_since(turn, fact)
    if refusal:
        turn.answer = refusal
        turn.record(
            "pull_refused",
            actor=f"person:{fact.principal}",
            scope=fact.scope,
            level_to=fact.level,
            reason=refusal,
            details=(("pull_id", fact.pull_id), ("channel", fact.channel)),
        )
        return
    if _comes_again(turn, fact):
        held = state.latches[fact.scope]
        standing = f"{held.level.name}, {held.stage.value}"
        turn.answer = f"This pull was taken before: {fact.scope} is at {standing}."
        return
    name = _name(fact)
    state.pulls.pop(name, None)  # the newest stand last
    state.pulls[name] = turn.now
    while len(state.pulls) > PULLS_MAX:
        del state.pulls[next(iter(state.pulls))]
    cause = Cause(
        actor=f"person:{fact.principal}",
        level=fact.level,
        at_ns=turn.now,
        reason=fact.reason,
        gross_to_ratio=fact.gross_to_ratio if fact.level is Level.CUT else None,
        pull_id=fact.pull_id,
    )
    latch = trip(turn, fact.scope, cause, by_person=True)
    words = " ".join(part for part in (latch.level.name, goal_words(latch)) if part)
    turn.answer = (
        f"{fact.scope} is latched at {words} (trip {latch.trip_id}): {EFFECTS[latch.level]}. "
        f"It stays so until a person re-arms it."
    )
    missing = nothing_known(turn, latch)
    if missing:
        turn.answer += f" {missing}. Nothing is done there until something is known."
    if not_carried_out(latch, fact.level):
        turn.answer += f" {not_carried_out(latch, fact.level)}"


def _refusal(turn: Turn, fact: PersonPulled) -> str:
    if not turn.policy.may(fact.principal, Right.KILL):
        return refusal_of(fact.principal, Right.KILL)
    if fact.level <= Level.NORMAL:
        return "A pull never lowers a level: to clear a latch use `riskd rearm`."
    try:
        scope_parts(fact.scope)
    except ValueError as error:
        return f"{error}."
    ratio = fact.gross_to_ratio
    if ratio is not None and not 0 <= ratio < 1:
        return f"The share of gross that may stay lies in [0, 1), not at {ratio:g}."
    if not turn.acting:
        return (
            "riskd runs in observe: it has no signer and cannot send anything, so nothing was "
            "latched. Act at the venues by hand; arm riskd to give it hands."
        )
    return ""


def _comes_again(turn: Turn, fact: PersonPulled) -> bool:
    """Whether it is the same message once more. A KILL file is the same request for as long as it
    lies there; of the others one that comes much later is meant anew."""
    taken_ns = turn.state.pulls.get(_name(fact))
    if taken_ns is None:
        return False
    return fact.channel == "file" or turn.now < after(taken_ns, REPEAT_S)


def _undone_since(turn: Turn, fact: PersonPulled) -> str:
    """Why a message that comes again is not done again: a person re-armed meanwhile."""
    if fact.scope in turn.state.latches or not _comes_again(turn, fact):
        return ""
    return (
        f"This pull was taken before, and {fact.scope} has been re-armed since: NOTHING was done "
        "now. To stop it again, ask under another id."
    )


def _name(fact: PersonPulled) -> str:
    ratio = "" if fact.gross_to_ratio is None else f"{fact.gross_to_ratio:g}"
    return f"{fact.pull_id} {fact.scope} {int(fact.level)} {ratio}"


def approved(turn: Turn, fact: PersonApproved) -> None:
    """Do what was proposed, or drop it; a proposal past its time is not done.

    A cut to an amount is made to that of now. Where less may stay by now than was approved, it is
    made as far as it was, at once, and the rest is proposed: nobody is cut by more than a person
    saw, and nobody waits for a second answer with a cut that was granted already.
    """
    proposal = turn.state.proposals.get(fact.proposal_id)
    actor = f"person:{fact.principal}"
    if not turn.policy.may(fact.principal, Right.APPROVE):
        turn.answer = refusal_of(fact.principal, Right.APPROVE)
        scope = PORTFOLIO if proposal is None else proposal.ask.scope
        turn.record("approval_refused", actor=actor, scope=scope, reason=turn.answer)
        return
    if proposal is None:
        turn.answer = (
            f"There is no proposal {fact.proposal_id} now: it was answered, withdrawn or expired. "
            "`riskd kill` acts without one."
        )
        turn.record("approval_refused", actor=actor, scope=PORTFOLIO, reason=turn.answer)
        return
    if not fact.approve:
        proposals.refuse(turn, proposal, fact.principal, fact.reason)
        turn.answer = f"Proposal {proposal.id} is refused; nothing was done."
        return
    granted = proposal.ask
    present = as_of_now(turn, granted)
    if present is None and turn.acting:
        turn.answer = (
            f"{amount_unknown(granted)}: nothing was done. Approve it once it is, or `riskd "
            "kill` with a share of your own."
        )
        turn.record("approval_refused", actor=actor, scope=granted.scope, reason=turn.answer)
        return
    idle = series.put_off(turn, granted if present is None else present)
    if idle:
        words = "WITHDRAWN, prices moved and it would cut nothing"
        proposals.close(turn, proposal.id, "proposal_withdrawn", words, actor, fact.reason)
        turn.answer = idle
        return
    words = f"APPROVED by {fact.principal}"
    proposals.close(turn, proposal.id, "proposal_approved", words, actor, fact.reason)
    more = present is not None and _asks_for_more(present, granted)
    ask = granted if more or present is None else present
    if not turn.acting:
        turn.answer = "riskd runs in observe now: nothing was latched and nothing can be sent."
    elif ask.action is ActionLevel.HOLD:
        holds.place(turn, ask)
        turn.answer = f"{ask.scope} is held until {HOLD_ENDS[ask.because]}."
    else:
        asks.latch(turn, ask, ask.level, approved_by=fact.principal)
        latch = turn.state.latches[ask.scope]
        turn.answer = f"{ask.scope} is latched at {latch.level.name}: {EFFECTS[latch.level]}."
        if not_carried_out(latch, ask.level):
            turn.answer += f" {not_carried_out(latch, ask.level)}"
        if ask.part:
            turn.answer = f"{turn.answer} {series.approved(turn, granted)}".rstrip()
        elif more and present is not None:
            name = proposals.propose_rest(turn, present)
            turn.answer += (
                f" Only {dollars(present.gross_to_usd or 0.0)} may stay by now, and "
                f"{dollars(granted.gross_to_usd or 0.0)} was approved: the rest is proposed as "
                f"{name}."
            )


def _asks_for_more(present: Ask, granted: Ask) -> bool:
    """Whether less may stay now than a person approved, by more than prices move meanwhile."""
    now_usd, then_usd = present.gross_to_usd, granted.gross_to_usd
    if now_usd is None or then_usd is None:
        return False
    return now_usd < (1.0 - AMOUNT_SLACK_RATIO) * then_usd
