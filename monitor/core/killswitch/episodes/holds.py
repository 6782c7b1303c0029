"""Holds: REDUCE_ONLY over a scope, gone by itself. Over a venue or account whose data is bad until
it has been good for a while; over what a rule wants nobody to add to, for as long as it fires.

A hold only says what the desk may send. It cancels nothing and cuts nothing: on bad data nobody
knows which orders increase risk, and a risk that wants orders cancelled wants a latch. *Pure.*
"""

from __future__ import annotations

from monitor.core.decision import Because
from monitor.core.killswitch.facts import KillNotice
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.scope import contains
from monitor.core.killswitch.state import Ask, Hold
from monitor.core.killswitch.turn import Turn, after
from monitor.core.killswitch.words import HOLD_ENDS, cut_short
from monitor.core.types import EngineNs, Severity, Subject

ALERT = "KillSwitchHold"


def place(turn: Turn, ask: Ask) -> None:
    """Hold the scope, or keep holding it: the time to its release starts anew. A wider one than
    was held is held from now on (the account has become a large part of the book)."""
    hold = turn.state.holds.get(ask.key)
    if hold is not None:
        hold.over_ns, hold.removed = None, False
        hold.epoch_ns, hold.because = ask.epoch_ns, ask.because
        if hold.scope == ask.scope or not contains(ask.scope, hold.scope):
            _say(turn, hold)
            return
        hold.scope = ask.scope
    else:
        hold = Hold(
            rule=ask.rule,
            subject=ask.subject,
            scope=ask.scope,
            since_ns=turn.now,
            epoch_ns=ask.epoch_ns,
            because=ask.because,
            told=False,
        )
        turn.state.holds[ask.key] = hold
    turn.record(
        "held",
        actor=f"rule:{ask.rule}",
        scope=hold.scope,
        level_to=Level.REDUCE_ONLY,
        reason=ask.evidence,
        details=(
            ("subject", hold.subject),
            ("because", hold.because.value),
            ("rule_hash", ask.rule_hash),
        ),
    )
    _say(turn, hold, again=True)


def _say(turn: Turn, hold: Hold, *, again: bool = False) -> None:
    """Page what is held for its data, once, or ``again``. Of a risk the rule's own page says it."""
    if hold.because is Because.RISK or (hold.told and not again):
        return
    hold.told = True
    turn.notices.append(_notice(turn, hold, resolved=False))


def ended(turn: Turn, key: str) -> None:
    """The rule is over, on known data: of a risk that is the release; where data was bad it is due
    after some time of that."""
    hold = turn.state.holds.get(key)
    if hold is not None and hold.over_ns is None:
        hold.over_ns = turn.now


def orphaned(turn: Turn, key: str) -> None:
    """The rule was taken out of the rulebook, or its subject out of the configuration: no fresh
    data says that it is over, so the hold stays until it is asked again and over, or until a person
    lets it go."""
    hold = turn.state.holds.get(key)
    if hold is None:
        return
    hold.over_ns, hold.removed = None, True
    turn.record(
        "hold_kept",
        actor="riskd",
        scope=hold.scope,
        level_from=Level.REDUCE_ONLY,
        level_to=Level.REDUCE_ONLY,
        reason=f"{hold.rule} is not asked about {hold.subject} any more, which is not being over "
        "on fresh data",
        details=(("subject", hold.subject),),
    )


def over(turn: Turn, scope: Subject) -> list[Hold]:
    """The holds of exactly this scope."""
    return [hold for hold in turn.state.holds.values() if hold.scope == scope]


def lasting(turn: Turn, scope: Subject) -> tuple[str, ...]:
    """Why a person cannot let a scope go: rules that would hold it again at once, in words."""
    return tuple(
        f"{hold.rule} still fires about {hold.subject} and would hold it again at once"
        for hold in over(turn, scope)
        if hold.lasts
    )


def let_go(turn: Turn, hold: Hold, actor: str, reason: str) -> None:
    """Take one hold away and say so."""
    del turn.state.holds[f"{hold.rule}|{hold.subject}"]
    turn.loosens = True
    turn.record(
        "released",
        actor=actor,
        scope=hold.scope,
        level_from=Level.REDUCE_ONLY,
        reason=reason,
        details=(("subject", hold.subject),),
    )
    if hold.told:
        turn.notices.append(_notice(turn, hold, resolved=True))


def due_ns(turn: Turn, hold: Hold) -> EngineNs | None:
    """When a hold goes; None while its rule lasts."""
    if hold.over_ns is None:
        return None
    # A rule about a risk says by its own hysteresis when it is over.
    waits_s = turn.policy.hold_release_s if hold.because is Because.DATA else 0.0
    return after(hold.over_ns, waits_s)


def release(turn: Turn) -> None:
    """Let those go whose rule has been over for long enough."""
    for key, hold in list(turn.state.holds.items()):
        due = due_ns(turn, hold)
        if due is None or turn.now < due:
            continue
        del turn.state.holds[key]
        turn.loosens = True
        turn.record(
            "released",
            actor="riskd",
            scope=hold.scope,
            level_from=Level.REDUCE_ONLY,
            reason=_released(turn, hold),
            details=(("subject", hold.subject), ("because", hold.because.value)),
        )
        if hold.told:
            turn.notices.append(_notice(turn, hold, resolved=True))


def _released(turn: Turn, hold: Hold) -> str:
    if hold.because is Because.RISK:
        return f"{hold.rule} is over"
    return f"{hold.rule} has been over for {turn.policy.hold_release_s:g} s on fresh data"


def _notice(turn: Turn, hold: Hold, *, resolved: bool) -> KillNotice:
    verb = "released" if resolved else f"held: REDUCE_ONLY until {HOLD_ENDS[hold.because]}"
    when = (
        f"{turn.policy.hold_release_s:g} s after the rule is over"
        if hold.because is Because.DATA
        else "when the rule is over; hedges may be sent"
    )
    return KillNotice(
        key=f"hold/{hold.rule}/{hold.subject}/{hold.since_ns}",
        alert=ALERT,
        severity=Severity.WARNING,
        scope=hold.scope,
        at_ns=turn.now,
        summary=cut_short(f"{hold.scope} {verb} ({hold.rule})"),
        description=(
            f"{hold.rule} about {hold.subject}. Positions and working orders are not touched. "
            f"It goes by itself {when}."
        ),
        resolved=resolved,
    )
