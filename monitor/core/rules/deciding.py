"""Which comparison of a composed condition made it what it is: the number that people are told.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.decision import CitedReading
from monitor.core.measures.spec import Unit
from monitor.core.rules.expression import Comparison, comparison_of
from monitor.core.rules.grammar import Both, Either, Node, Not

Cited = Callable[[str], CitedReading]


def find_deciding(node: Node, cited: Cited, *, wanted: bool) -> Comparison | None:
    """The comparison that makes a plain condition come out as ``wanted``, or None where it does
    not: of conditions that must all hold the first, which is what the rule is about; of those of
    which one is enough the one that is furthest beyond its limit, by a thousandth or more.

    A number against a limit goes before what is true or false, and last comes a limit of zero,
    which mostly asks which side of a position it is.
    """
    own = comparison_of(node)
    if own is not None:
        value = cited(own.name).value
        return own if value is not None and own.holds(value) is wanted else None
    match node:
        case Not():
            return find_deciding(node.operand, cited, wanted=not wanted)
        case Both() | Either():
            left = find_deciding(node.left, cited, wanted=wanted)
            right = find_deciding(node.right, cited, wanted=wanted)
            return _chosen(left, right, cited, one_is_enough=isinstance(node, Either) is wanted)
        case _:
            return None


def _chosen(
    left: Comparison | None, right: Comparison | None, cited: Cited, *, one_is_enough: bool
) -> Comparison | None:
    if left is None or right is None:
        return (left or right) if one_is_enough else None
    order = [_telling(one, cited(one.name)) for one in (left, right)]
    if order[0] == order[1] and one_is_enough:
        order = [-round(_beyond(one, cited(one.name)), 3) for one in (left, right)]
    return left if order[0] <= order[1] else right


def _telling(comparison: Comparison, reading: CitedReading) -> float:
    """0 for what says most."""
    if reading.unit == Unit.BOOL:
        return 1.0
    return 2.0 if comparison.limit == 0.0 else 0.0


def _beyond(comparison: Comparison, reading: CitedReading) -> float:
    """How far a value is from its limit, of the larger of the two: 0 at the limit, at most 2."""
    value = reading.value or 0.0
    larger = max(abs(value), abs(comparison.limit))
    return abs(value - comparison.limit) / larger if larger else 0.0
