"""Who hedges whom: what of each leg may be cut alone, what only with its twin, what not at all.

Configured sets first, then opposite legs of the same asset over all venues, off-book ones counted.
Whatever is cut alone lies on the heavier side of its asset and is in sum at most its net, and what
is cut in a pair leaves the net as it is: so no |net| per asset can grow. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cached_property

from monitor.core.killswitch.planning.legs import Leg
from monitor.core.killswitch.planning.matching import Node, match_sides
from monitor.core.killswitch.planning.pricing import EXACT, ceil_to, common_multiple
from monitor.core.killswitch.scope import covers_account, pool_of

HedgeSets = Sequence[tuple[str, Sequence[tuple[str, str, str]]]]
IN_THE_WAY = "working orders may already take it off"


@dataclass(frozen=True, eq=False)
class Piece:
    """What may be cut together: one part alone, or two that hedge each other.

    ``amounts`` are unsigned base units, one per leg, equal where both are of the same asset.
    """

    legs: tuple[Leg, ...]
    amounts: tuple[Decimal, ...]

    @property
    def paired(self) -> bool:
        """Whether two legs shrink together."""
        return len(self.legs) == 2

    @property
    def same_asset(self) -> bool:
        """Whether both legs must shrink by the very same base amount."""
        return self.paired and self.legs[0].asset == self.legs[1].asset

    @cached_property
    def lots(self) -> tuple[Decimal, ...]:
        """What each leg's cut must be a multiple of; legs of one asset share the coarser lot."""
        steps = tuple(leg.step for leg in self.legs)
        return (common_multiple(*steps),) * 2 if self.same_asset else steps

    @cached_property
    def smallest(self) -> tuple[Decimal, ...]:
        """The smallest cut of each leg that the venues take as an order, in its lots."""
        least = [
            max(ceil_to(leg.least, lot), lot) for leg, lot in zip(self.legs, self.lots, strict=True)
        ]
        return (max(least),) * 2 if self.same_asset else tuple(least)

    @cached_property
    def worth(self) -> Decimal:
        """All of it, USD."""
        return self.usd(self.amounts)

    def usd(self, sizes: tuple[Decimal, ...]) -> Decimal:
        """What these sizes of its legs are worth, USD."""
        if len(sizes) == 1:
            return sizes[0] * self.legs[0].known_price
        return sizes[0] * self.legs[0].known_price + sizes[1] * self.legs[1].known_price

    @property
    def name(self) -> str:
        """Stable for the same facts; sorts pieces."""
        return " with ".join(leg.name for leg in self.legs)


@dataclass(slots=True, frozen=True, eq=False)
class Stuck:
    """A part of a leg that cannot be cut, and why. ``twin`` is who it hedges, if that is why."""

    leg: Leg
    amount: Decimal
    reason: str
    twin: Leg | None = None


@dataclass(slots=True, eq=False)
class Pairing:
    """Every leg in scope, divided."""

    alone: list[Piece] = field(default_factory=list)
    pairs: list[Piece] = field(default_factory=list)
    stuck: list[Stuck] = field(default_factory=list)

    def pair(self, one: Node, other: Node, amounts: tuple[Decimal, Decimal]) -> None:
        """Keep that these parts hedge each other: cut both or none."""
        if one.free and other.free:
            self.pairs.append(Piece((one.leg, other.leg), amounts))
            return
        for node, twin, amount in ((one, other, amounts[0]), (other, one, amounts[1])):
            if not node.leg.in_scope:
                continue
            if node.free:
                reason = f"hedges {twin.leg.name}, which cannot be cut with it: {twin.reason}"
                self.stuck.append(Stuck(node.leg, amount, reason, twin.leg))
            else:
                self.stuck.append(Stuck(node.leg, amount, node.reason))

    def leave_alone(self, node: Node) -> None:
        """Keep that nothing hedges what is left of this node."""
        if not node.left:
            return
        if node.free:
            self.alone.append(Piece((node.leg,), (node.left,)))
        elif node.leg.in_scope:
            self.stuck.append(Stuck(node.leg, node.left, node.reason))


def divide(legs: Sequence[Leg], hedge_sets: HedgeSets) -> Pairing:
    """Divide what is held into what may be cut alone, in pairs, or not at all.

    Of the heavier side of an asset, legs that no order can touch are paired first: what stays
    unpaired is then what can be cut, and the hedges of the others are kept.
    """
    with localcontext(EXACT):
        pairing = Pairing()
        nodes = [node for leg in legs for node in _nodes(leg)]
        sets = [
            members
            for name, named in sorted(hedge_sets, key=lambda one: (one[0], tuple(one[1])))
            if (members := [node for node in nodes if _is_member(node.leg, name, named)])
        ]
        for members in sets:
            for _, group in _by_asset(members):
                _pair_asset(group, pairing)
        _pair_across(sets, nodes, pairing)
        for _, group in _by_asset(nodes):
            _pair_asset(group, pairing)
        for node in nodes:
            pairing.leave_alone(node)
    return pairing


def _nodes(leg: Leg) -> Iterator[Node]:
    """A leg's free part, and the part that no order of ours may take."""
    room = leg.room
    if room:
        yield Node(leg, room, free=True, reason="")
    if leg.amount > room:
        reason = leg.stuck or IN_THE_WAY
        yield Node(leg, leg.amount - room, free=False, reason=reason)


def _is_member(leg: Leg, name: str, named: Sequence[tuple[str, str, str]]) -> bool:
    if not leg.venue:
        return leg.hedge_set == name
    return any(
        (leg.venue, leg.market) == (venue, market)
        and covers_account(account, pool_of(leg.account, market))
        for venue, account, market in named
    )


def _by_asset(nodes: Sequence[Node]) -> list[tuple[str, list[Node]]]:
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.leg.asset, []).append(node)
    return sorted(groups.items())


def _pair_asset(group: Sequence[Node], pairing: Pairing) -> None:
    """Pair opposite parts of one asset, base unit by base unit."""
    sides = _sides(group)
    for one, other, amount in match_sides(
        *sides, lambda node: node.left, lambda node: node.leg.step
    ):
        one.left -= amount
        other.left -= amount
        pairing.pair(one, other, (amount, amount))


def _pair_across(
    sets: Sequence[Sequence[Node]],
    nodes: Sequence[Node],
    pairing: Pairing,
) -> None:
    """Pair opposite parts of different assets of one configured set, dollar by dollar.

    Only what stands on the heavier side of its asset, and in sum no more than the asset's net: the
    rest is needed by the asset's own pairs, and cutting it would make the net grow.
    """
    net: dict[str, Decimal] = {}
    for node in nodes:
        signed = node.left if node.leg.size > 0 else -node.left
        net[node.leg.asset] = net.get(node.leg.asset, Decimal(0)) + signed
    prices = asset_prices([node.leg for node in nodes])

    for members in sets:
        eligible: dict[Node, Decimal] = {}
        for node in members:
            left = net[node.leg.asset]
            if node.left and (left > 0) == (node.leg.size > 0):
                already = sum(
                    (a for n, a in eligible.items() if n.leg.asset == node.leg.asset), Decimal(0)
                )
                eligible[node] = min(node.left, abs(left) - already)
        known = [node for node in eligible if eligible[node] and node.leg.asset in prices]
        unknown = [node for node in eligible if node.leg.asset not in prices]

        def price(node: Node) -> Decimal:
            return node.leg.price or prices[node.leg.asset]

        worth = {node: eligible[node] * price(node) for node in known}
        spent = dict.fromkeys(known, Decimal(0))
        for one, other, usd in match_sides(
            *_sides(known), worth.__getitem__, lambda node: node.leg.step * price(node)
        ):
            amounts = []
            for node in (one, other):
                spent[node] += usd
                whole = spent[node] >= worth[node]
                # Division by a price is not exact; the last part of a node takes what is left.
                amount = eligible[node] if whole else min(eligible[node], usd / price(node))
                eligible[node] -= amount
                node.left -= amount
                net[node.leg.asset] += -amount if node.leg.size > 0 else amount
                amounts.append(amount)
            pairing.pair(one, other, (amounts[0], amounts[1]))
        _keep_twins_of_unknown(unknown, known, eligible, net, pairing)


def _keep_twins_of_unknown(
    unknown: Sequence[Node],
    known: Sequence[Node],
    eligible: dict[Node, Decimal],
    net: dict[str, Decimal],
    pairing: Pairing,
) -> None:
    """A member that nobody can price hedges nobody knows how much: its whole other side stays."""
    for node in known:
        twin = next((u for u in unknown if (u.leg.size > 0) != (node.leg.size > 0)), None)
        amount = eligible[node]
        if twin is None or not amount:
            continue
        node.left -= amount
        net[node.leg.asset] += -amount if node.leg.size > 0 else amount
        pairing.pair(node, twin, (amount, Decimal(0)))


def asset_prices(legs: Sequence[Leg]) -> dict[str, Decimal]:
    """One price per asset, USD: the median over its legs that have one."""
    found: dict[str, list[Decimal]] = {}
    for leg in legs:
        if leg.price is not None:
            found.setdefault(leg.asset, []).append(leg.price)
    return {asset: sorted(prices)[(len(prices) - 1) // 2] for asset, prices in found.items()}


def _sides(nodes: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """(longs, shorts) with something left."""
    left = [node for node in nodes if node.left]
    return [n for n in left if n.leg.size > 0], [n for n in left if n.leg.size < 0]
