"""The only way from latched to clear: a person asks, riskd answers what will happen, and a person
(another one, where the policy says so) confirms with the nonce and a reason. *Pure.*
"""

from __future__ import annotations

from monitor.core.killswitch.episodes import holds, regrowth, series, waiting
from monitor.core.killswitch.episodes.trips import busy, stage_of
from monitor.core.killswitch.execution.run import residual_words
from monitor.core.killswitch.facts import RearmConfirmed, RearmRequested
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.precedence import ranked
from monitor.core.killswitch.state import Latch, Offer
from monitor.core.killswitch.turn import Turn, after, digest
from monitor.core.killswitch.words import dollars, notice_of
from monitor.core.rights import Right, refusal_of
from monitor.core.types import PORTFOLIO, Subject

POSITIONS_MAX = 50


def requested(turn: Turn, fact: RearmRequested) -> None:
    """Step one: say what is latched, what is in the way and what would happen, and offer."""
    actor = f"person:{fact.principal}"
    if not _allowed(turn, fact.principal, Right.REARM_REQUEST, fact.scope):
        return
    latch = turn.state.latches.get(fact.scope)
    if latch is None and holds.over(turn, fact.scope) and len(fact.nonce) >= 8:
        _offer_hold(turn, fact, actor)
        return
    if latch is None:
        scopes = ", ".join(turn.state.latches) or "none"
        turn.answer = f"{fact.scope} is not latched. Latched now: {scopes}."
    elif len(fact.nonce) < 8:
        turn.answer = "The nonce must have at least 8 characters."
        latch = None
    if latch is None:
        turn.record("rearm_refused", actor=actor, scope=fact.scope, reason=turn.answer)
        return
    ttl_s = turn.policy.rearm.nonce_ttl_s
    latch.offer = Offer(
        digest=digest(latch.trip_id, fact.nonce),
        principal=fact.principal,
        expires_ns=after(turn.now, ttl_s),
    )
    turn.record(
        "rearm_requested",
        actor=actor,
        scope=latch.scope,
        level_from=latch.level,
        level_to=latch.level,
        trip_id=latch.trip_id,
        reason="; ".join((*fact.unmet, *_in_the_way(turn, latch))),
        details=tuple(("would_fire", rule) for rule in fact.would_fire),
    )
    turn.answer = offer_words(turn, latch, fact)


def _allowed(turn: Turn, principal: str, right: Right, scope: Subject) -> bool:
    """Whether this principal may; if not, they are told and it is recorded, and nothing moves."""
    if turn.policy.may(principal, right):
        return True
    turn.answer = refusal_of(principal, right)
    turn.record("rearm_refused", actor=f"person:{principal}", scope=scope, reason=turn.answer)
    return False


def _offer_hold(turn: Turn, fact: RearmRequested, actor: str) -> None:
    """Step one for a scope that is held and not latched: the hold can be cleared by a person."""
    ttl_s = turn.policy.rearm.nonce_ttl_s
    unmet = (*fact.unmet, *holds.lasting(turn, fact.scope))
    rules = ", ".join(hold.rule for hold in holds.over(turn, fact.scope))
    turn.state.hold_offers[fact.scope] = Offer(
        digest=digest(fact.scope, fact.nonce),
        principal=fact.principal,
        expires_ns=after(turn.now, ttl_s),
    )
    turn.record(
        "hold_release_requested",
        actor=actor,
        scope=fact.scope,
        level_from=Level.REDUCE_ONLY,
        level_to=Level.REDUCE_ONLY,
        reason="; ".join(unmet),
        details=tuple(("would_fire", rule) for rule in fact.would_fire),
    )
    turn.answer = (
        f"Release the hold of {fact.scope} by {rules}. Not met: "
        f"{'; '.join(unmet) or 'nothing'}. To confirm, send the nonce and a reason within "
        f"{ttl_s:g} s."
    )


def forget_offers(turn: Turn) -> None:
    """An offer to release a hold goes when its time is over, and with the hold itself."""
    offers = turn.state.hold_offers
    for scope, offer in list(offers.items()):
        if turn.now > offer.expires_ns or not holds.over(turn, Subject(scope)):
            del offers[scope]


def _confirmed_hold(turn: Turn, fact: RearmConfirmed, actor: str) -> bool:
    """Step two for a held scope; False where the nonce is of none."""
    scope = next(
        (
            Subject(scope)
            for scope, offer in turn.state.hold_offers.items()
            if offer.digest == digest(scope, fact.nonce)
        ),
        None,
    )
    if scope is None or not holds.over(turn, scope):
        return False
    offer, lasting = turn.state.hold_offers[scope], holds.lasting(turn, scope)
    refusal = _refused(turn, offer, fact)
    if not refusal and lasting:
        refusal = (
            f"not met: {'; '.join(lasting)}. It goes by itself when the rule is over, or by your "
            "word once the rule is out of the rulebook."
        )
    if refusal:
        turn.answer = f"{scope} stays held: {refusal}"
        turn.record("rearm_refused", actor=actor, scope=scope, reason=refusal)
        return True
    del turn.state.hold_offers[scope]
    for hold in holds.over(turn, scope):
        holds.let_go(turn, hold, actor, fact.reason)
    turn.answer = f"{scope} is no longer held: released by {actor}."
    return True


def _in_the_way(turn: Turn, latch: Latch) -> tuple[str, ...]:
    # In observe nothing is carried out, so nothing can be waited for: the way back stays open.
    reason = busy(latch, turn.now) if turn.acting else ""
    return (reason,) if reason else ()


def offer_words(turn: Turn, latch: Latch, fact: RearmRequested) -> str:
    """Scope, level, positions, what is unmet, what would fire, and what re-arming does and not."""
    rearm = turn.policy.rearm
    others = [
        f"{other.scope} ({other.level.name})"
        for other in turn.state.latches.values()
        if other is not latch
    ]
    unmet = (*fact.unmet, *_in_the_way(turn, latch))
    who = "a second person" if rearm.second_principal_required else "you or another person"
    left = [words for run in latch.runs.values() for words in residual_words(run)]
    return "\n".join(
        [
            f"Re-arm {latch.scope}: latched at {latch.level.name} (trip {latch.trip_id}).",
            *(f"Asked for by {one.actor}: {one.reason}" for one in ranked(latch.causes)),
            f"Positions: {_positions(latch)}.",
            f"Left undone: {'; '.join(left) or 'nothing'}.",
            f"Not met: {'; '.join(unmet) or 'nothing'}.",
            f"Rules that would fire again at once: {', '.join(fact.would_fire) or 'none'}.",
            (
                "It will: let the desk send orders in this scope again, and stop cancelling and "
                "cutting there."
            ),
            (
                "It will not: open or restore any position, place back any order, or clear "
                f"{', '.join(others) or 'any hold'}."
            ),
            f"To confirm, {who} sends the nonce and a reason within {rearm.nonce_ttl_s:g} s.",
        ]
    )


def _positions(latch: Latch) -> str:
    held = [
        f"{run.key} {one.market} {one.size.normalize():f}"
        for run in latch.runs.values()
        if run.truth is not None
        for one in run.truth.positions
        if one.size
    ]
    unread = [f"{run.key} unknown" for run in latch.runs.values() if run.truth is None]
    return "; ".join([*held[:POSITIONS_MAX], *unread]) or "none"


def confirmed(turn: Turn, fact: RearmConfirmed) -> None:
    """Step two: clear the latch, or say why not."""
    actor = f"person:{fact.principal}"
    if not _allowed(turn, fact.principal, Right.REARM_CONFIRM, PORTFOLIO):
        return
    latch = next(
        (
            one
            for one in turn.state.latches.values()
            if one.offer is not None and one.offer.digest == digest(one.trip_id, fact.nonce)
        ),
        None,
    )
    if latch is None and _confirmed_hold(turn, fact, actor):
        return
    if latch is None:
        turn.answer = (
            "No re-arm waits for this nonce: none was asked for with it, it has run out, or the "
            "scope was tripped again."
        )
        turn.record("rearm_refused", actor=actor, scope=PORTFOLIO, reason=turn.answer)
        return
    refusal = _refusal(turn, latch, fact)
    if refusal:
        turn.answer = f"{latch.scope} stays latched: {refusal}"
        turn.record(
            "rearm_refused",
            actor=actor,
            scope=latch.scope,
            level_from=latch.level,
            level_to=latch.level,
            trip_id=latch.trip_id,
            reason=refusal,
        )
        return
    clear(turn, latch, actor, fact.reason)


def _refusal(turn: Turn, latch: Latch, fact: RearmConfirmed) -> str:
    refusal = _refused(turn, latch.offer, fact)
    if refusal:
        return refusal
    return f"{'; '.join(_in_the_way(turn, latch))}." if _in_the_way(turn, latch) else ""


def _refused(turn: Turn, offer: Offer | None, fact: RearmConfirmed) -> str:
    rearm = turn.policy.rearm
    if offer is None or turn.now > offer.expires_ns:
        return f"the nonce was valid for {rearm.nonce_ttl_s:g} s only; ask again."
    if rearm.second_principal_required and fact.principal == offer.principal:
        return f"{fact.principal} asked for it, and a second person must confirm."
    if not fact.reason.strip():
        return "a reason is missing."
    if fact.unmet:
        return f"not met: {'; '.join(fact.unmet)}. Mend it, or `riskd rebaseline` where it fits."
    return ""


def clear(turn: Turn, latch: Latch, actor: str, reason: str) -> None:
    """Take the latch away. What waited to raise it goes with it."""
    state = turn.state
    del state.latches[latch.scope]
    state.rearmed[latch.scope] = turn.now
    for key, pending in list(state.pendings.items()):
        if pending.ask.scope == latch.scope:
            waiting.let_go(turn, key)
    series.rearmed(turn, latch.scope)
    turn.loosens = True
    turn.record(
        "rearmed",
        actor=actor,
        scope=latch.scope,
        level_from=latch.level,
        level_to=Level.NORMAL,
        trip_id=latch.trip_id,
        reason=reason,
        details=(("latched_ns", str(turn.now - latch.since_ns)), ("rounds", str(latch.round))),
    )
    latch.offer = None
    latch.stage = stage_of(latch, turn.now)
    turn.notices.append(notice_of(turn, latch, resolved=True))
    turn.answer = f"{latch.scope} is armed again: {latch.level.name} was cleared by {actor}."
    way_back = regrowth.begin(turn, latch)
    if way_back is not None:
        turn.answer += (
            f" Gross is {dollars(way_back.from_usd)}; let it come back by no more than a tenth of "
            f"{dollars(way_back.to_usd)} a day (the trading state says how far)."
        )
