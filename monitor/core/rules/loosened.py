"""What a new rulebook lets happen that the old one did not: the changes a second person must see.

Of rules that act (now or afterwards), whatever makes one fire later, end sooner, do less, cover
other subjects or do more by itself. Firing earlier and ending later go through: making safer is
one step. What cannot be compared counts as loosened. *Pure.*
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from monitor.core.decision import ActionLevel, Because, RuleMode
from monitor.core.rules.checks import SCOPES
from monitor.core.rules.evidence import Confirm
from monitor.core.rules.expression import Expression
from monitor.core.rules.rule import OnUnknown, Rule
from monitor.core.rules.rulebook import RuleBook
from monitor.core.types import SECOND_NS, Severity, Verdict

_LEVELS = tuple(ActionLevel)
_MODES = tuple(RuleMode)
_SEVERITIES = tuple(Severity)
_RANK = {Verdict.FALSE: 0, Verdict.UNKNOWN: 1, Verdict.TRUE: 2}
_GRID_MAX = 20_000


def acts(rule: Rule) -> bool:
    """Whether a rule may do or propose anything beyond telling people."""
    return rule.level is not ActionLevel.PAGE and rule.mode is not RuleMode.OBSERVE


def loosened(old: RuleBook, new: RuleBook) -> tuple[str, ...]:
    """Sentences, one for each change that must wait; empty where nothing acts less or more widely.

    Both with the modes that the desk says (``RuleBook.with_modes``). Rules that an acting rule
    reads are compared too: silencing one silences the other.
    """
    after = {rule.id: rule for rule in new.rules}
    before = {rule.id: rule for rule in old.rules}
    found: list[str] = []
    for rule_id in sorted(_that_matter(before)):
        rule, changed = before[rule_id], after.get(rule_id)
        if changed is None:
            gone = "is disabled" if rule_id in new.disabled else "is removed"
            found.append(f"{rule_id} {gone}.")
        elif changed.definition != rule.definition or changed.mode is not rule.mode:
            found += [f"{rule_id} {what}." for what in _changes(rule, changed)]
    for rule in new.rules:
        if rule.id not in before and acts(rule):
            found.append(f"{rule.id} is new and may {rule.mode.value} {rule.level.value}.")
        elif rule.id in before and not acts(before[rule.id]) and acts(rule):
            found.append(f"{rule.id} did not act and may now {rule.mode.value} {rule.level.value}.")
    return tuple(found)


def _that_matter(rules: Mapping[str, Rule]) -> set[str]:
    """Acting rules, and those whose state one of them reads."""
    wanted = [rule.id for rule in rules.values() if acts(rule)]
    seen: set[str] = set()
    while wanted:
        rule_id = wanted.pop()
        if rule_id in rules and rule_id not in seen:
            seen.add(rule_id)
            wanted += [other for one in rules[rule_id].rule_inputs for other in one.rules]
    return seen


def _changes(old: Rule, new: Rule) -> Iterator[str]:
    yield from _subjects(old, new)
    yield from _conditions(old, new)
    yield from _timers(old, new)
    yield from _action(old, new)


def _subjects(old: Rule, new: Rule) -> Iterator[str]:
    if old.for_each is not new.for_each:
        yield f"is about each {new.for_each.value}, no longer each {old.for_each.value}"
    elif old.only != new.only:
        yield "is about other subjects (only)"


def _conditions(old: Rule, new: Rule) -> Iterator[str]:
    if old.when is not None and new.when is not None:
        if not implies(old.when, new.when):
            yield f"may fire later: {old.when.text} became {new.when.text}"
    elif old.condition != new.condition or old.flags != new.flags:
        yield from _flags(old, new)
    if _weaker_end(old.until, new.until):
        shown = "its condition alone" if new.until is None else new.until.text
        yield f"may end sooner: until became {shown}"
    if old.reentry is not None and (new.reentry is None or not implies(new.reentry, old.reentry)):
        shown = "nothing" if new.reentry is None else new.reentry.text
        yield f"permits the way back sooner: reentry became {shown}"


def _flags(old: Rule, new: Rule) -> Iterator[str]:
    if old.when is not None or new.when is not None:
        yield f"judges by another condition: {new.condition}"
        return
    if new.at_least > old.at_least:
        yield f"needs {new.at_least} flags, no longer {old.at_least}"
    if new.within_ns < old.within_ns:
        yield "counts a flag for a shorter time"
    known = dict(new.flags)
    for name, expression in old.flags:
        changed = known.get(name)
        if changed is None:
            yield f"lost its flag {name}"
        elif not implies(expression, changed):
            yield f"may see its flag {name} later: {expression.text} became {changed.text}"


def _weaker_end(old: Expression | None, new: Expression | None) -> bool:
    """Whether ``new`` may hold where ``old`` did not; without ``until`` the end is the condition's
    own, which no ``until`` comes before."""
    if old is None:
        return False
    return new is None or not implies(new, old)


def _timers(old: Rule, new: Rule) -> Iterator[str]:
    if new.for_ns > old.for_ns:
        yield "waits longer before it fires (for)"
    if _needs_more(old.confirm, new.confirm):
        yield "needs more observations before it fires (confirm)"
    if new.keep_firing_for_ns < old.keep_firing_for_ns:
        yield "ends after a shorter calm (keep_firing_for)"
    if new.min_hold_ns < old.min_hold_ns:
        yield "may end sooner (min_hold)"
    if old.on_unknown is OnUnknown.FIRE:
        if new.on_unknown is not OnUnknown.FIRE:
            yield "no longer fires on missing data"
        elif (new.max_staleness_ns or 0) > (old.max_staleness_ns or 0):
            yield "tolerates missing data longer"
    elif new.max_staleness_ns is not None and (
        old.max_staleness_ns is None or new.max_staleness_ns < old.max_staleness_ns
    ):
        yield "does not judge by readings that it judged by before (max_staleness)"


def _needs_more(old: Confirm | None, new: Confirm | None) -> bool:
    if new is None or new == old:
        return False
    if old is None:
        return True
    return new.need > old.need or new.apart_ns > old.apart_ns or new.of < old.of


def _action(old: Rule, new: Rule) -> Iterator[str]:
    if _LEVELS.index(new.level) < _LEVELS.index(old.level):
        yield f"asks for {new.level.value}, no longer {old.level.value}"
    elif new.level is not old.level:
        yield f"asks for more: {new.level.value}, before {old.level.value}"
    if new.target != old.target and new.level is old.level:
        yield f"cuts to {_goal(new)}, before {_goal(old)}"
    if new.because is not old.because and new.level is old.level:
        ends = "at once, and bars no hedge" if new.because is Because.RISK else "for bad data"
        yield f"holds because of {new.because.value}: {ends}"
    if new.scope is not old.scope:
        wider = new.scope in SCOPES[old.scope] if old.scope in SCOPES else True
        yield f"acts on {'the wider' if wider else 'no more than the'} {new.scope.value}"
    if _MODES.index(new.mode) < _MODES.index(old.mode):
        yield f"may {new.mode.value}, no longer {old.mode.value}"
    elif new.mode is not old.mode and acts(old):
        yield f"may do more by itself: {new.mode.value}, before {old.mode.value}"
    if _SEVERITIES.index(new.severity) < _SEVERITIES.index(old.severity):
        yield f"is quieter: {new.severity.value}, before {old.severity.value}"


def _goal(rule: Rule) -> str:
    over = f" over {rule.over_ns / (60 * SECOND_NS):g} min" if rule.over_ns else ""
    return (rule.gross_to_measure or f"{rule.gross_to_ratio or 0:g} of gross") + over


def implies(first: Expression, second: Expression) -> bool:
    """Whether ``second`` is at least as true as ``first`` wherever anything is known or not.

    Exact for conditions made of plain comparisons: it is enough to look at, beside and between all
    limits, and at absence. Others imply only themselves.
    """
    if first.text == second.text:
        return True
    if not (first.plain and second.plain):
        return False
    axes: dict[str, list[float | None]] = {}
    size = 1
    for name in sorted(first.variables | second.variables):
        limits = sorted(
            {
                one.limit
                for expression in (first, second)
                for one in expression.comparisons
                if one.name == name
            }
        )
        points: list[float | None] = [None, limits[0] - 1.0, limits[-1] + 1.0, *limits]
        points += [(low + high) / 2.0 for low, high in itertools.pairwise(limits)]
        axes[name] = points
        size *= len(points)
        if size > _GRID_MAX:
            return False
    for values in itertools.product(*axes.values()):
        resolve = dict(zip(axes, values, strict=True)).get
        if _RANK[first.evaluate(resolve)] > _RANK[second.evaluate(resolve)]:
            return False
    return True
