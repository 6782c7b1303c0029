"""One rule about one subject as the runner asks it, and how well what it reads is known.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from monitor.core.measures.evaluator import Evaluator
from monitor.core.measures.instance import Instance
from monitor.core.measures.tree import Node, RuleNode
from monitor.core.measures.use import FOREVER_NS
from monitor.core.rules import Rule, RuleState, Step
from monitor.core.rules.checks import expressions_of
from monitor.core.rules.evidence import Look, Read, enough_flags, judge_flags
from monitor.core.state.model import RuleMemory
from monitor.core.types import EngineNs, SubjectKind, Verdict, asset_subject, rules_in


class Asked:
    """One rule about one subject, with the measures it reads; None where one cannot exist."""

    __slots__ = (
        "due",
        "inputs",
        "memory",
        "node",
        "order",
        "rule",
        "simple",
        "staleness_ns",
        "timed",
    )

    def __init__(self, rule: Rule, order: int, node: Node, memory: RuleMemory) -> None:
        self.rule = rule
        self.order = order
        self.node = node
        self.memory = memory
        self.inputs: dict[str, Instance | None] = {}
        self.due = False
        self.timed = False  # due because its own deadline came
        # With nothing but ``when`` to judge, FALSE about an inactive rule changes nothing at all.
        self.simple = rule.when is not None and rule.confirm is None
        stale = rule.max_staleness_ns
        self.staleness_ns = FOREVER_NS if stale is None else stale


def limits_of(rule: Rule) -> dict[str, tuple[float, ...] | None]:
    """For each variable of a rule the limits it is compared with, or None where it is used in any
    other way and every change of its value matters."""
    limits: dict[str, tuple[float, ...] | None] = {}
    for _, expression in expressions_of(rule):
        for name in sorted(expression.variables):
            known = limits.get(name, ())
            if not expression.plain or known is None:
                limits[name] = None
            else:
                here = (one.limit for one in expression.comparisons if one.name == name)
                limits[name] = tuple(sorted({*known, *here}))
    if rule.gross_to_measure:  # read when it fires; whether it is known matters before
        limits.setdefault(rule.gross_to_measure, ())
    return limits


def broken(state: RuleState, error: str) -> Step:
    """The step itself failed: the state is kept and the rule is in ERROR."""
    return Step(
        state=state if state.error == error else replace(state, error=error),
        before=state.state,
        verdict=Verdict.ERROR,
        error_changed=not state.error,
    )


def rests_on_known(asked: Asked, read: Read, now: EngineNs) -> bool:
    """Whether a rule's condition is judged at ``now`` by what is known, without any estimate."""
    rule = asked.rule
    look = Look(read, now, rule.max_staleness_ns)
    if rule.when is not None:
        verdict = rule.when.evaluate(look.value)
    else:
        flags, error = judge_flags(rule.flags, asked.memory.state.flags, look, now)
        counted = enough_flags(flags, rule.at_least, rule.within_ns, now)
        verdict = Verdict.ERROR if error else counted
    return verdict in {Verdict.TRUE, Verdict.FALSE} and not look.estimated


def judged_alike(rule: Rule, name: str, first: float, second: float) -> bool:
    """Whether a rule's conditions say the same with either value of a variable."""
    for _, expression in expressions_of(rule):
        if name in expression.variables and not (
            expression.plain
            and all(
                one.holds(first) is one.holds(second)
                for one in expression.comparisons
                if one.name == name
            )
        ):
            return False
    return True


def is_within(node: Node, asked: Node) -> bool:
    """Whether what is asked about rules (``asked``, their node) is about this subject, too: it may
    be about one asset alone."""
    if not isinstance(asked, RuleNode) or not asked.asset:
        return True
    place = asset_subject(asked.asset)
    return any(one.subject == place for one in (node, *node.ancestors))


def rule_observed_ns(
    instance: Instance, known: Iterable[Asked], evaluator: Evaluator, now: EngineNs
) -> EngineNs:
    """When what another rule says was last observed: while it fires, by the readings that it fires
    on, since nothing but a rule's end is told of it. Now, where it does not fire.

    Args:
        instance: A measure about a rule.
        known: Every rule about every subject.
        evaluator: Brings readings up to ``now``.
        now: Engine time.
    """
    rules = rules_in(instance.node.subject.partition(":")[2])
    everything = list(known)
    return max(
        (
            _observed_ns(one, everything, evaluator, now)
            for one in everything
            if one.rule.id in rules
            and one.memory.state.firing
            and is_within(one.node, instance.node)
        ),
        default=now,
    )


def _observed_ns(asked: Asked, known: list[Asked], evaluator: Evaluator, now: EngineNs) -> EngineNs:
    found = now
    for instance in asked.inputs.values():
        if instance is None:
            continue
        if instance.node.kind is SubjectKind.RULE:
            found = min(found, rule_observed_ns(instance, known, evaluator, now))
        else:
            evaluator.refresh(instance, now)
            found = min(found, instance.cell.observed_ns)
    return found
