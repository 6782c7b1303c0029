"""What the kill switch waits for and is over: the end of a rule may be lost with the process that
noticed it, and no rule says its end twice. *Pure.*
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from monitor.core.killswitch.facts import RuleEnded
from monitor.core.killswitch.state import KillState
from monitor.core.state.model import RuleMemory
from monitor.core.types import AlertState, Subject


def ended(
    state: KillState,
    rules: Mapping[str, RuleMemory],
    *,
    settled: bool,
    unasked: Collection[str] = (),
) -> tuple[RuleEnded, ...]:
    """The ends of rules that holds, unconfirmed levels, proposals and pages of what would have been
    done wait for, by what the rules say now.

    Args:
        state: Of the kill switch.
        rules: What the engine holds of each rule about each subject, by ``rule|subject``.
        settled: This process runs long enough to have asked every rule that can be asked. What is
            waited for and asked of nobody then ends as ``removed``, which releases nothing by
            itself and lets a person do so.
        unasked: What nobody asked at the look before this one (``not_asked``): between a new
            rulebook and its first evaluation nothing is asked, and nothing is over by that.
    """
    holds = {key: hold for key, hold in state.holds.items() if hold.over_ns is None}
    waiting = {key: (hold.rule, hold.subject) for key, hold in holds.items()}
    asks = [one.ask for one in state.pendings.values()]
    asks += [one.ask for one in state.proposals.values()]
    asks += [one.ask for one in state.series.values()]
    asked = {ask.key: (ask.rule, ask.subject) for ask in asks}
    for key in state.would:
        rule, _, subject = key.partition("|")
        asked[key] = rule, Subject(subject)
    waiting |= asked
    found = []
    for key, (rule, subject) in waiting.items():
        memory = rules.get(key)
        if memory is not None and _over(memory):
            found.append(RuleEnded(rule=rule, subject=subject))
        elif (
            settled
            and (memory is None or (not memory.asked and key in unasked))
            and (key in asked or not _orphaned(state, key))
        ):
            found.append(RuleEnded(rule=rule, subject=subject, removed=True))
    return tuple(found)


def not_asked(rules: Mapping[str, RuleMemory]) -> frozenset[str]:
    """The rules about subjects (``rule|subject``) that are known and not asked now."""
    return frozenset(key for key, memory in rules.items() if not memory.asked)


def _over(memory: RuleMemory) -> bool:
    """Whether its condition was false, on known data, when it was last asked. It may be waited for
    whether risk may return (``reentry``): that is asked of a person's re-arm, and of nothing here.
    """
    state = memory.state
    known = memory.asked and not state.error and state.unknown_since_ns is None
    return known and state.state is AlertState.INACTIVE


def _orphaned(state: KillState, key: str) -> bool:
    hold = state.holds.get(key)
    return hold is not None and hold.removed
