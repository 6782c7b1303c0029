"""How a measure of a venue or of the portfolio is made from the narrower ones, as declared.

A sum over accounts of which one is unknown is unknown, not smaller. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.spec import Aggregate, MeasureSpec
from monitor.core.measures.tree import Node
from monitor.core.measures.use import Use
from monitor.core.types import SubjectKind

UPWARD = {
    SubjectKind.VENUE: Relation.ACCOUNTS,
    SubjectKind.PORTFOLIO: Relation.VENUES,
}


def _values(node: Node, use: Use, relation: Relation, name: str) -> list[float] | None:
    values = []
    for other in node.related(relation):
        value = use.read(other, name)
        if value is None:
            return None
        values.append(value)
    return values


def summed(relation: Relation, name: str) -> Callable[[Node, Use], float | None]:
    """Sum of ``name`` over related subjects; exactly rounded, so that their order is no matter."""

    def compute(node: Node, use: Use) -> float | None:
        values = _values(node, use, relation, name)
        return None if values is None else fsum(values)

    return compute


def _extreme(
    relation: Relation,
    name: str,
    choose: Callable[[list[float]], float],
    empty: float,
) -> Callable[[Node, Use], float | None]:
    def compute(node: Node, use: Use) -> float | None:
        values = _values(node, use, relation, name)
        if values is None:
            return None
        return choose(values) if values else empty

    return compute


def upward(spec: MeasureSpec, *, empty: float = 0.0) -> tuple[Definition, ...]:
    """Definitions for the wider kinds in ``spec.kinds``, by ``spec.aggregate``; ``empty`` is the
    value over nothing."""
    made = []
    for kind, relation in UPWARD.items():
        if kind not in spec.kinds:
            continue
        compute: Callable[[Node, Use], float | None]
        match spec.aggregate:
            case Aggregate.SUM:
                compute = summed(relation, spec.name)
            case Aggregate.MAX:
                compute = _extreme(relation, spec.name, max, empty)
            case Aggregate.MIN:
                compute = _extreme(relation, spec.name, min, empty)
            case _:
                raise ValueError(f"{spec.name} declares no way to aggregate")
        made.append(define(spec, kind, compute, needs=((relation, spec.name),)))
    return tuple(made)
