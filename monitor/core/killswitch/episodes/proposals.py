"""What a rule in ``propose`` would do, with its cost, for a person to approve in time. *Pure.*"""

from __future__ import annotations

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.facts import KillNotice
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import PlanLimits, Target
from monitor.core.killswitch.planning.legs import gross_in_scope_usd
from monitor.core.killswitch.state import Ask, Heard, Proposal
from monitor.core.killswitch.turn import Turn, after, digest
from monitor.core.killswitch.words import (
    EFFECTS,
    HOLD_ENDS,
    PARTS,
    cut_short,
    dollars,
    part_words,
)
from monitor.core.types import Severity

ALERT = "KillSwitchProposed"
TO_OBSERVE = "the rule is to observe only"


def propose(turn: Turn, ask: Ask) -> None:
    """Put one request before people; repeated by the rule it stays the same proposal."""
    heard = turn.state.heard.get(ask.key)
    if heard is not None and heard.epoch_ns == ask.epoch_ns and heard.level >= ask.level:
        return
    hold = turn.state.holds.get(ask.key)
    held = hold is not None and hold.lasts and hold.epoch_ns == ask.epoch_ns
    if held and ask.action is ActionLevel.HOLD:
        return  # it was approved
    _put(turn, ask, digest(ask.key, ask.epoch_ns, ask.level, ask.scope))


def propose_part(turn: Turn, ask: Ask) -> str:
    """Put the part of a cut before people; gives the proposal's id."""
    return _put(turn, ask, digest(ask.key, ask.epoch_ns, ask.level, ask.scope, "part", ask.part))


def propose_rest(turn: Turn, ask: Ask) -> str:
    """Put before people what is needed now beyond what they approved; gives the proposal's id."""
    rest = digest(ask.key, ask.epoch_ns, ask.level, ask.scope, ask.gross_to_usd)
    return _put(turn, ask, rest)


def _put(turn: Turn, ask: Ask, named: str) -> str:
    name = "p-" + named[:10]
    if name in turn.state.proposals:
        return name
    proposal = Proposal(
        id=name,
        ask=ask,
        expires_ns=after(turn.now, turn.policy.proposal_ttl_s),
        words=plan_words(turn, ask),
    )
    turn.state.proposals[name] = proposal
    _record(turn, proposal, "proposed", actor=f"rule:{ask.rule}")
    turn.notices.append(notice_of(turn, proposal, "PROPOSED", resolved=False))
    return name


def plan_words(turn: Turn, ask: Ask) -> str:
    """What the level would do now: orders, exposure before and after, cost, what would be left."""
    if ask.action is ActionLevel.HOLD:
        return f"risk-increasing orders would be blocked until {HOLD_ENDS[ask.because]}"
    if ask.level not in {Level.CUT, Level.FLATTEN}:
        return EFFECTS[ask.level]
    if turn.book is None:
        return f"{EFFECTS[ask.level]}; no plan without a book"
    try:
        plan = turn.planner(
            _target(turn, ask, turn.book),
            turn.book,
            PlanLimits(
                max_cost_bps=turn.policy.max_cost_bps,
                slices=turn.policy.slices,
                hedge_sets=turn.policy.hedge_sets,
            ),
        )
    except Exception as error:  # noqa: BLE001 - containment of one kill step (design.md §2)
        return f"no plan could be made ({type(error).__name__}: {error})"
    words = (
        f"{len(plan.orders)} order(s), gross {dollars(plan.gross_before_usd)} to "
        f"{dollars(plan.gross_after_usd)} (goal {dollars(plan.goal_usd)}), "
        f"cost {dollars(plan.cost_usd)}"
    )
    if plan.shortfalls:
        words += f", {dollars(sum(one.usd for one in plan.shortfalls))} cannot be cut"
    return words + (", in slices" if plan.sliced else "")


def _target(turn: Turn, ask: Ask, book: Book) -> Target:
    """Of the gross at the first entry where the scope is latched already, else of now."""
    held = turn.state.latches.get(ask.scope)
    known_usd = None if held is None else held.baseline_usd
    base_usd = gross_in_scope_usd(ask.scope, book) if known_usd is None else known_usd
    ratio = 0.0
    if ask.level is Level.CUT and ask.gross_to_usd is not None:
        ratio = min(max(ask.gross_to_usd, 0.0) / base_usd, 1.0) if base_usd > 0.0 else 1.0
    elif ask.level is Level.CUT:
        asked = ask.gross_to_ratio
        ratio = turn.policy.default_gross_to_ratio if asked is None else asked
    if held is not None and held.cutting and known_usd:  # a latch never goes up
        ratio = min(ratio, held.target_ratio)
    return Target(scope=ask.scope, baseline_usd=base_usd, gross_to_ratio=ratio)


def expire(turn: Turn) -> None:
    """Say of proposals that nobody answered, or whose rule may not propose any more, that nothing
    was done."""
    for name, proposal in list(turn.state.proposals.items()):
        if turn.mode_of(proposal.ask) is RuleMode.OBSERVE:
            words = f"WITHDRAWN, {TO_OBSERVE}"
            close(turn, name, "proposal_withdrawn", words, actor="riskd")
        elif turn.now > proposal.expires_ns:
            words = "EXPIRED, nothing was done"
            if 0 < proposal.ask.part < PARTS:
                words += ", no further part comes"
            close(turn, name, "proposal_expired", words, actor="riskd")


def withdraw(turn: Turn, key: str, why: str = "the rule is over") -> None:
    """What a rule proposed is no longer wanted."""
    for name, proposal in list(turn.state.proposals.items()):
        if proposal.ask.key == key:
            words = f"WITHDRAWN, {why}"
            close(turn, name, "proposal_withdrawn", words, actor="riskd")


def refuse(turn: Turn, proposal: Proposal, principal: str, reason: str) -> None:
    """A person said no: not asked again in this episode of the rule."""
    ask = proposal.ask
    turn.state.heard[ask.key] = Heard(epoch_ns=ask.epoch_ns, level=ask.level)
    close(turn, proposal.id, "proposal_refused", f"REFUSED by {principal}", principal, reason)


def close(
    turn: Turn, name: str, action: str, words: str, actor: str, reason: str = ""
) -> Proposal | None:
    """Take a proposal away and say why; None where there is none."""
    proposal = turn.state.proposals.pop(name, None)
    if proposal is not None:
        _record(turn, proposal, action, actor=actor, reason=reason)
        turn.notices.append(notice_of(turn, proposal, words, resolved=True))
    return proposal


def _record(turn: Turn, proposal: Proposal, action: str, *, actor: str, reason: str = "") -> None:
    turn.record(
        action,
        actor=actor,
        scope=proposal.ask.scope,
        level_to=proposal.ask.level,
        reason=reason or proposal.ask.evidence,
        details=(
            ("proposal", proposal.id),
            ("plan", f"{proposal.words}{part_words(proposal.ask)}"),
            ("expires_ns", str(proposal.expires_ns)),
        ),
    )


def notice_of(turn: Turn, proposal: Proposal, words: str, *, resolved: bool) -> KillNotice:
    """The page of one proposal: the same key until it is answered or expires."""
    ask = proposal.ask
    quiet = ask.severity in {Severity.WARNING, Severity.INFO}  # it can wait, and may expire
    return KillNotice(
        key=f"proposal/{proposal.id}",
        alert=ALERT,
        severity=Severity.HIGH if quiet else Severity.CRITICAL,
        scope=ask.scope,
        at_ns=turn.now,
        summary=cut_short(
            f"{words}: {ask.level.name} {ask.scope} by {ask.rule}{part_words(ask)}: "
            f"{proposal.words}"
        ),
        description=(
            f"{ask.evidence}{part_words(ask)}. {proposal.words}. `riskd approve {proposal.id}` "
            f"within {turn.policy.proposal_ttl_s / 60:g} min; the plan is made anew on fresh "
            "positions."
        ),
        resolved=resolved,
    )
