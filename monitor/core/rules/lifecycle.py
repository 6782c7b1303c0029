"""How a rule moves: ``step``, and what a restart or a reload makes of a kept state.

The table of ``design.md`` §2, row by row. Removing data never resolves and never hastens anything:
what ends an alert is always a known exit condition on present readings. *Pure.*
"""

from __future__ import annotations

from msgspec.structs import replace

from monitor.core.rules.evidence import (
    NO_CONFIRMATIONS,
    Look,
    Read,
    confirmed,
    enough_flags,
    forget_through_gap,
    judge_flags,
    observed_at_ns,
)
from monitor.core.rules.rule import OnUnknown, Rule, RuleState, Step
from monitor.core.types import SECOND_NS, AlertState, EngineNs, Verdict

# A restart shorter than this (or than the rule's own max_staleness) loses no timer, and for as
# long afterwards the feeds may take to come back before their silence counts as UNKNOWN.
GAP_TOLERATED_NS = 60 * SECOND_NS

_NOT = {
    Verdict.TRUE: Verdict.FALSE,
    Verdict.FALSE: Verdict.TRUE,
    Verdict.UNKNOWN: Verdict.UNKNOWN,
    Verdict.ERROR: Verdict.ERROR,
}


class _Seen:
    """The verdicts of one evaluation, before they move anything."""

    __slots__ = ("by_absence", "error", "exit", "look", "observations_ns", "reentry", "verdict")

    def __init__(self, look: Look) -> None:
        self.look = look
        self.verdict = Verdict.UNKNOWN
        self.exit = Verdict.UNKNOWN
        self.reentry: Verdict | None = None
        self.by_absence = False
        self.error = ""
        self.observations_ns: tuple[EngineNs, ...] = ()


def step(rule: Rule, state: RuleState, read: Read, now: EngineNs) -> Step:
    """Evaluate a rule about one subject.

    ``read`` gives the reading of a variable of the rule as that subject sees it, None where it is
    absent. Never raises for what ``read`` or the expression raise: that is ERROR, which keeps the
    state.
    """
    seen = _Seen(Look(read, now, rule.max_staleness_ns))
    judged = _judge(rule, state, seen, now)
    if seen.error:
        return _failed(state, seen.error, now)
    if judged.error:
        judged = replace(judged, error="")
    if seen.verdict is Verdict.TRUE and seen.look.used:
        seen.observations_ns = (observed_at_ns(seen.look.used),)
    after = _moved(rule, judged, seen, now)
    if after.reentry_pending and after.state is AlertState.INACTIVE and rule.reentry is not None:
        # An ERROR in here is published as such: it blocks re-entry, and nothing else.
        seen.reentry = rule.reentry.evaluate(seen.look.value)
    return Step(
        state=after,
        before=state.state,
        verdict=seen.verdict,
        wake_at_ns=_wake_at(rule, after, seen, now),
        error_changed=bool(state.error),
        estimated=seen.look.estimated,
        by_absence=seen.by_absence,
        reentry=seen.reentry,
        used=tuple(seen.look.used),
        observations_ns=seen.observations_ns,
    )


def _judge(rule: Rule, state: RuleState, seen: _Seen, now: EngineNs) -> RuleState:
    """Fill ``seen``; the state comes back with flags and the time of unknown brought up to date."""
    if rule.when is not None:
        seen.verdict = rule.when.evaluate(seen.look.value)
        seen.error = rule.when.error_text
    else:
        flags, seen.error = judge_flags(rule.flags, state.flags, seen.look, now)
        seen.verdict = enough_flags(flags, rule.at_least, rule.within_ns, now)
        if flags is not state.flags:
            state = replace(state, flags=flags)
    if seen.error:
        return state
    if seen.verdict is Verdict.UNKNOWN:
        if state.unknown_since_ns is None:
            state = replace(state, unknown_since_ns=now)
        if _missing_too_long(rule, state, seen.look, now):
            seen.verdict, seen.by_absence = Verdict.TRUE, True
    elif state.unknown_since_ns is not None:
        state = replace(state, unknown_since_ns=None)
    if state.firing:
        seen.exit = _exit(rule, seen)
        if seen.exit is Verdict.TRUE and seen.look.estimated:
            seen.exit = Verdict.UNKNOWN  # an estimate may begin an alert; it ends none
    known = seen.exit if state.firing else seen.verdict
    if state.settling_until_ns is not None and known is not Verdict.UNKNOWN:
        state = replace(state, settling_until_ns=None)
    return state


def _missing_too_long(rule: Rule, state: RuleState, look: Look, now: EngineNs) -> bool:
    """Whether UNKNOWN counts as TRUE: a reading too old for the rule, or none for as long."""
    limit = rule.max_staleness_ns
    if rule.on_unknown is not OnUnknown.FIRE or limit is None or _settling(state, now):
        return False
    unknown_since = now if state.unknown_since_ns is None else state.unknown_since_ns
    return look.stale or now - unknown_since > limit


def _exit(rule: Rule, seen: _Seen) -> Verdict:
    """Whether the alert may end: the condition known to be false *and* ``until`` known true.

    Asking both keeps a missing input of the condition from ending what ``until`` alone, which may
    read fewer measures, would let end.
    """
    left = _NOT[seen.verdict]
    if rule.until is None or left is Verdict.FALSE:
        return left
    until = rule.until.evaluate(seen.look.value)
    if until is Verdict.ERROR:
        seen.error = f"until: {rule.until.error_text}"
        return until
    if until is Verdict.FALSE:
        return until
    return until if left is Verdict.TRUE else left


def _moved(rule: Rule, state: RuleState, seen: _Seen, now: EngineNs) -> RuleState:
    if not state.firing:
        return _toward_firing(rule, state, seen, now)
    return _toward_inactive(rule, state, seen, now)


def _toward_firing(rule: Rule, state: RuleState, seen: _Seen, now: EngineNs) -> RuleState:
    """Rows INACTIVE and PENDING."""
    if rule.confirm is not None:
        confirmations = confirmed(
            rule.confirm,
            state.confirmations,
            seen.verdict,
            seen.look.used,
        )
        if confirmations is not state.confirmations:
            state = replace(state, confirmations=confirmations)
    if seen.verdict is Verdict.UNKNOWN:
        return state
    if seen.verdict is Verdict.FALSE:
        if state.state is AlertState.INACTIVE:
            return state
        return replace(state, state=AlertState.INACTIVE, since_ns=now, pending_since_ns=None)
    since = state.pending_since_ns
    if since is None:
        since = now
    enough = rule.confirm is None or state.confirmations.outcomes.count(True) >= rule.confirm.need
    if enough and now - since >= rule.for_ns:
        times = {*(state.confirmations.true_ns or seen.observations_ns)}
        if since < max(times, default=since):  # what lasted was true when it began, too
            times.add(since)
        seen.observations_ns = tuple(sorted(times))
        return replace(
            state,
            state=AlertState.FIRING,
            since_ns=now,
            pending_since_ns=None,
            firing_epoch_ns=now,
            recovering_since_ns=None,
            confirmations=NO_CONFIRMATIONS,
            reentry_pending=False,
        )
    if state.state is AlertState.PENDING and state.pending_since_ns == since:
        return state
    entered = state.since_ns if state.state is AlertState.PENDING else now
    return replace(state, state=AlertState.PENDING, since_ns=entered, pending_since_ns=since)


def _toward_inactive(rule: Rule, state: RuleState, seen: _Seen, now: EngineNs) -> RuleState:
    """Rows FIRING and RECOVERING."""
    if seen.exit is Verdict.TRUE:
        if now < _held_until(rule, state):
            return state
        since = state.recovering_since_ns
        if since is None:
            since = now
        if now - since >= rule.keep_firing_for_ns:
            return replace(
                state,
                state=AlertState.INACTIVE,
                since_ns=now,
                firing_epoch_ns=None,
                recovering_since_ns=None,
                reentry_pending=rule.reentry is not None,
            )
        if state.state is AlertState.RECOVERING and state.recovering_since_ns == since:
            return state
        entered = state.since_ns if state.state is AlertState.RECOVERING else now
        return replace(
            state,
            state=AlertState.RECOVERING,
            since_ns=entered,
            recovering_since_ns=since,
        )
    if state.state is AlertState.FIRING:
        return state
    if seen.exit is Verdict.UNKNOWN and _settling(state, now):
        return state
    return replace(state, state=AlertState.FIRING, since_ns=now, recovering_since_ns=None)


def _held_until(rule: Rule, state: RuleState) -> EngineNs:
    return (state.firing_epoch_ns or 0) + rule.min_hold_ns


def _settling(state: RuleState, now: EngineNs) -> bool:
    return state.settling_until_ns is not None and now < state.settling_until_ns


def _failed(state: RuleState, error: str, now: EngineNs) -> Step:
    """ERROR is a health flag: the state stays. What needs unbroken known time starts anew."""
    after = state
    if not state.error:
        after = replace(state, error=error, flags=forget_through_gap(state.flags, now, now))
    if state.state is AlertState.RECOVERING and state.recovering_since_ns is not None:
        after = replace(after, recovering_since_ns=None)
    return Step(
        state=after,
        before=state.state,
        verdict=Verdict.ERROR,
        error_changed=not state.error,
    )


def _wake_at(rule: Rule, state: RuleState, seen: _Seen, now: EngineNs) -> EngineNs | None:
    """The earliest instant at which something moves although nothing is heard."""
    if (
        state.state is AlertState.INACTIVE
        and rule.max_staleness_ns is None
        and state.settling_until_ns is None
        and not state.flags
    ):
        return None  # by far the most frequent case: nothing here depends on time
    times: list[EngineNs | None] = [seen.look.stale_at_ns]
    if state.pending_since_ns is not None and seen.verdict is Verdict.TRUE:
        times.append(state.pending_since_ns + rule.for_ns)
    if state.firing and seen.exit is Verdict.TRUE:
        times.append(_held_until(rule, state))
        if state.recovering_since_ns is not None:
            times.append(state.recovering_since_ns + rule.keep_firing_for_ns)
    if rule.on_unknown is OnUnknown.FIRE and state.unknown_since_ns is not None:
        times.append(state.unknown_since_ns + (rule.max_staleness_ns or 0) + 1)
    times.append(state.settling_until_ns)
    times.extend(flag.changes_at_ns(rule.within_ns, now) for flag in state.flags)
    return min((at for at in times if at is not None and at > now), default=None)


def restored(rule: Rule, state: RuleState, *, stopped_ns: EngineNs, now: EngineNs) -> RuleState:
    """A kept state after nobody watched from ``stopped_ns`` to ``now``; its name never changes.

    Inputs restart as unknown. Timers go on over a gap no longer than the rule tolerates stale data
    and start anew after a longer one, and so do confirmations.
    """
    tolerated = GAP_TOLERATED_NS if rule.max_staleness_ns is None else rule.max_staleness_ns
    short = now - stopped_ns <= tolerated
    return replace(
        state,
        pending_since_ns=state.pending_since_ns if short else None,
        recovering_since_ns=state.recovering_since_ns if short else None,
        unknown_since_ns=now,
        error="",
        settling_until_ns=now + tolerated,
        confirmations=state.confirmations if short else NO_CONFIRMATIONS,
        flags=forget_through_gap(state.flags, stopped_ns, now),
    )


def carried_over(old: Rule, new: Rule, state: RuleState, now: EngineNs) -> RuleState:
    """The state a reloaded rule starts with: untouched where it judges the same.

    A changed rule keeps an alert that is out firing until the new condition is known to allow its
    end, and starts its own waiting and confirming from nothing.
    """
    if old.definition == new.definition:
        return state
    if not state.firing:
        return RuleState(reentry_pending=state.reentry_pending and new.reentry is not None)
    return RuleState(
        state=AlertState.FIRING,
        since_ns=state.since_ns if state.state is AlertState.FIRING else now,
        firing_epoch_ns=state.firing_epoch_ns,
    )


def rearmed(state: RuleState) -> RuleState:
    """After a person re-armed what the rule had done: re-entry is no longer asked about."""
    return replace(state, reentry_pending=False) if state.reentry_pending else state
