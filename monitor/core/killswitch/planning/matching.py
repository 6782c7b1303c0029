"""Which part of one side meets which of the other, and who of the heavier side stays over.

The arithmetic of pairing, in whatever unit the caller counts (base units, or USD). *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from monitor.core.killswitch.planning.legs import Leg
from monitor.core.killswitch.planning.pricing import floor_to


@dataclass(slots=True, eq=False)
class Node:
    """A part of a leg that is not paired yet. ``free`` where an order may take it."""

    leg: Leg
    left: Decimal
    free: bool
    reason: str


def match_sides(
    longs: Sequence[Node],
    shorts: Sequence[Node],
    amount_of: Callable[[Node], Decimal],
    step_of: Callable[[Node], Decimal],
) -> list[tuple[Node, Node, Decimal]]:
    """(long, short, amount) that pair the whole lighter side. Legs no order can touch come first on
    both sides, so that they meet each other; the free ones of the heavier side share what is
    unpaired in proportion to their size."""
    one = {node: amount_of(node) for node in longs}
    other = {node: amount_of(node) for node in shorts}
    total_one, total_other = sum(one.values(), Decimal(0)), sum(other.values(), Decimal(0))
    if total_one > total_other:
        one = _quotas(one, total_other, step_of)
    else:
        other = _quotas(other, total_one, step_of)
    matches = []
    queue = sorted(other, key=_order, reverse=True)
    for node in sorted(one, key=_order):
        while one[node] and queue:
            twin = queue[-1]
            amount = min(one[node], other[twin])
            one[node] -= amount
            other[twin] -= amount
            if amount:
                matches.append((node, twin, amount))
            if not other[twin]:
                queue.pop()
    return matches


def _quotas(
    heavy: dict[Node, Decimal],
    total: Decimal,
    step_of: Callable[[Node], Decimal],
) -> dict[Node, Decimal]:
    """How much of each heavy node is paired when the other side has ``total``."""
    quotas: dict[Node, Decimal] = {}
    left = total
    free: list[Node] = []
    for node in sorted(heavy, key=_order):
        if node.free:
            free.append(node)
            continue
        quotas[node] = min(heavy[node], left)
        left -= quotas[node]
    weight = sum((heavy[node] for node in free), Decimal(0))
    surplus = weight - left
    if not surplus:
        return heavy | quotas
    # The coarsest lots choose first and the finest takes what is over, so that every share but
    # perhaps the last is whole lots.
    free.sort(key=lambda node: (-step_of(node), *_order(node)))
    wanted = given = Decimal(0)
    for node in free:
        wanted += heavy[node] * surplus / weight
        share = wanted - given
        step = step_of(node)
        if node is free[-1]:
            share = surplus - given
        elif step:
            share = floor_to(max(share, Decimal(0)), step)
        share = min(max(share, Decimal(0)), heavy[node])
        given += share
        quotas[node] = heavy[node] - share
    for node in free:  # what the last one could not hold
        extra = min(surplus - given, quotas[node])
        given += extra
        quotas[node] -= extra
    return quotas


def _order(node: Node) -> tuple[bool, str, str]:
    return node.free, node.leg.name, str(node.leg.size)
