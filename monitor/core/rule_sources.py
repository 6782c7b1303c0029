"""Which independent sources say that a rule is right: venues whose word alone is enough.

Two feeds of one venue stand and fall together, so a source is a venue. A number made of several
venues is one source: any of them may have made it what it is. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from monitor.core.measures.instance import Instance
from monitor.core.rules import Rule
from monitor.core.rules.evidence import FlagState
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs, Subject, SubjectKind, Verdict, rules_in

_OF_A_VENUE = frozenset(
    {
        SubjectKind.VENUE,
        SubjectKind.ACCOUNT,
        SubjectKind.POSITION,
        SubjectKind.MARKET,
        SubjectKind.FEED,
    }
)
Inputs = Mapping[str, Instance | None]
Source = frozenset[str]


def independent_sources(
    rule: Rule,
    inputs: Inputs,
    flags: Iterable[FlagState],
    state: RiskState,
    value: Callable[[str], float | None],
    now: EngineNs,
) -> tuple[str, ...]:
    """Sources that share no venue and each of which says by itself what the rule asks.

    Of a rule with flags, each flag that counts is a witness; of a condition, each venue (or set of
    them) with whose numbers alone it is TRUE. One entry is one source; where nothing smaller is
    enough, that is everything behind the rule, such as ``dydx+hyperliquid``.

    Args:
        rule: The rule that fires.
        inputs: The measures behind its variables.
        flags: How its flags stand.
        state: What is known; read.
        value: A variable's present value, None where it is absent.
        now: Engine time.
    """
    behind = {
        name: _venues(instance.node.subject, state)
        for name, instance in inputs.items()
        if instance is not None
    }
    if rule.when is not None:
        alone = _enough_alone(rule, behind, value)
    else:
        counted = {one.name for one in flags if one.counted(rule.within_ns, now) is Verdict.TRUE}
        alone = [
            _union(behind.get(variable, frozenset()) for variable in expression.variables)
            for name, expression in rule.flags
            if name in counted
        ]
    picked: list[Source] = []
    for source in sorted(alone, key=lambda one: (len(one), sorted(one))):
        if source and all(source.isdisjoint(other) for other in picked):
            picked.append(source)
    whole = _union(behind.values())
    return tuple("+".join(sorted(one)) for one in picked or ([whole] if whole else []))


def _enough_alone(
    rule: Rule, behind: Mapping[str, Source], value: Callable[[str], float | None]
) -> list[Source]:
    """Sets of venues with whose numbers alone, all others absent, the condition is TRUE."""
    found = []
    for source in set(behind.values()):

        def said(name: str, source: Source = source) -> float | None:
            return value(name) if behind.get(name, frozenset({""})) <= source else None

        if rule.when is not None and rule.when.evaluate(said) is Verdict.TRUE:
            found.append(source)
    return found


def _venues(subject: Subject, state: RiskState) -> Source:
    """The venues that a number about a subject is made of."""
    kind, _, text = subject.partition(":")
    if kind in _OF_A_VENUE:
        return frozenset({text.partition("/")[0]})
    if kind == SubjectKind.ASSET:
        return frozenset(venue for venue, _ in state.assets.get(text, ()))
    if kind == SubjectKind.RULE:  # whoever it fires about
        return _union(
            _venues(memory.subject, state)
            for memory in state.rules.values()
            if memory.rule in rules_in(text) and memory.state.firing
        )
    return frozenset(state.venues)


def _union(parts: Iterable[Source]) -> Source:
    return frozenset().union(*parts)
