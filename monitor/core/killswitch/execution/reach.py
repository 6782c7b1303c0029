"""How far a trip may go in one market of one account: where the desk lets a rule do less in a part
of what it tripped, it does less there. *Pure.*
"""

from __future__ import annotations

from functools import reduce

from monitor.core.decision import RuleMode, narrower
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import KillPolicy
from monitor.core.killswitch.scope import contains, covers
from monitor.core.killswitch.state import Cause, Latch
from monitor.core.types import Subject

RULE = "rule:"


def reach(
    policy: KillPolicy, latch: Latch, *, venue: str, account: str, asset: str, market: str
) -> Level:
    """The highest level that anybody asked for who may act here: a person may everywhere, a rule
    where no entry of ``kill.rules`` about a part of the scope says otherwise.

    What an entry about the whole scope says was judged when the rule asked.
    """
    said = [
        (one.rule, Subject(one.scope), one.mode)
        for one in policy.overrides
        if _is_about_part(one.scope, latch.scope)
        and covers(Subject(one.scope), venue=venue, account=account, asset=asset, market=market)
    ]
    if not said:
        return latch.level
    return max((one.level for one in latch.causes if _may(one, said)), default=Level.NORMAL)


def _is_about_part(scope: str, whole: Subject) -> bool:
    try:
        return bool(scope) and not contains(Subject(scope), whole)
    except ValueError:
        return False  # no scope of the kill switch: it takes nothing in


def _may(cause: Cause, said: list[tuple[str, Subject, RuleMode]]) -> bool:
    """By the most particular entries about its rule; of two as particular the one that does less.
    What a person approved needs no more than to be proposed."""
    mine = [(scope, mode) for rule, scope, mode in said if cause.actor == f"{RULE}{rule}"]
    particular = [
        mode
        for outer, mode in mine
        if not any(inner != outer and contains(outer, inner) for inner, _ in mine)
    ]
    if not particular:
        return True
    mode = reduce(narrower, particular)
    return mode is RuleMode.ACT or (cause.approved and mode is RuleMode.PROPOSE)


def left_words(policy: KillPolicy, latch: Latch) -> str:
    """Why something stays as it is, for a page."""
    actors = {cause.actor for cause in latch.causes}
    rules = sorted({one.rule for one in policy.overrides if f"{RULE}{one.rule}" in actors})
    return f"left by configuration: kill.rules lets {', '.join(rules)} do less here"
