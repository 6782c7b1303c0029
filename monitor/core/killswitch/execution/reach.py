"""How far a trip may go in one market of one account: where the desk lets a rule do less in a part
of what it tripped, it does less there. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import inf

from monitor.core.decision import RuleMode, narrower
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.execution.orders import asset_of, within
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import KillPolicy
from monitor.core.killswitch.scope import contains, covers
from monitor.core.killswitch.state import Cause, Latch
from monitor.core.types import Subject

RULE = "rule:"
LEFT = "left by configuration"


def reach(
    policy: KillPolicy, latch: Latch, *, venue: str, account: str, asset: str, market: str
) -> Level:
    """The highest level that anybody asked for who may act here: a person may everywhere, a rule
    where no entry of ``kill.rules`` about a part of the scope says otherwise.

    What an entry about the whole scope says was judged when the rule asked.
    """
    said = _said(policy, latch, venue=venue, account=account, asset=asset, market=market)
    if not said:
        return latch.level
    return max((one.level for one in latch.causes if _may(one, said)), default=Level.NORMAL)


def share_left(
    policy: KillPolicy, latch: Latch, *, venue: str, account: str, asset: str, market: str
) -> float:
    """The share of its baseline that a position may be brought down to by those who may act here:
    the trip's own target, or more; infinite where nobody may cut."""
    said = _said(policy, latch, venue=venue, account=account, asset=asset, market=market)
    if not said:
        return latch.target_ratio
    may = [one for one in latch.causes if _may(one, said)]
    level = max((one.level for one in may), default=Level.NORMAL)
    if level not in {Level.CUT, Level.FLATTEN}:
        return inf
    cuts = [one for one in latch.causes if one.level is Level.CUT]
    here = [one for one in cuts if one in may]
    if level is latch.level and (level is Level.FLATTEN or here == cuts):
        return latch.target_ratio
    return max(latch.target_ratio, min(_ratio_of(policy, latch, one) for one in here))


def steps_down(policy: KillPolicy, latch: Latch, book: Book) -> list[float]:
    """The shares that a trip goes down to, one after the other: each is the target of some place,
    which stays as it is from then on. The last one is the trip's own."""
    assets = asset_of(book)
    found = {latch.target_ratio}
    for truth in book.accounts:
        for one in truth.positions:
            place = (truth.venue, truth.account)
            asset = assets(truth.venue, one.market)
            if within(latch.scope, *place, one.market, asset):
                found.add(
                    share_left(
                        policy,
                        latch,
                        venue=truth.venue,
                        account=truth.account,
                        asset=asset,
                        market=one.market,
                    )
                )
    return sorted(found - {inf}, reverse=True)


def _ratio_of(policy: KillPolicy, latch: Latch, cause: Cause) -> float:
    ratio, usd = cause.gross_to_ratio, cause.gross_to_usd
    if ratio is None and usd is None:
        return policy.default_gross_to_ratio
    by_usd = usd / latch.baseline_usd if usd is not None and latch.baseline_usd else 1.0
    return min(1.0 if ratio is None else ratio, by_usd)


def _said(
    policy: KillPolicy, latch: Latch, *, venue: str, account: str, asset: str, market: str
) -> list[tuple[str, Subject, RuleMode]]:
    return [
        (one.rule, Subject(one.scope), one.mode)
        for one in policy.overrides
        if _is_about_part(one.scope, latch.scope)
        and covers(Subject(one.scope), venue=venue, account=account, asset=asset, market=market)
    ]


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


def held_back(
    policy: KillPolicy, latch: Latch, *, venue: str, account: str, asset: str, market: str
) -> set[str]:
    """Rules that asked for this trip, or joined it, and may do less in this place."""
    said = _said(policy, latch, venue=venue, account=account, asset=asset, market=market)
    return {one.actor.removeprefix(RULE) for one in latch.causes if not _may(one, said)}


def left_words(rules: Iterable[str]) -> str:
    """Why something stays as it is where ``rules`` are held back, for a page."""
    return f"{LEFT}: kill.rules lets {', '.join(sorted(rules))} do less here"
