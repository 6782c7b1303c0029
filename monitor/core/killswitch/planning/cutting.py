"""How much of each piece is cut: in proportion, in whole lots, and no further than wanted.

Unpaired pieces first, pairs when those are not enough. Roundings are carried from piece to piece,
coarse lots first, so that the sum comes out right; what is still missing in the end is added in
the finest lots. *Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from monitor.core.killswitch.planning.legs import Leg
from monitor.core.killswitch.planning.pairing import Pairing, Piece
from monitor.core.killswitch.planning.pricing import EXACT, ceil_to, floor_to

_ZERO = Decimal(0)


@dataclass(slots=True, eq=False)
class Cuts:
    """What has been decided: base units by leg, USD in all, and who shrinks with whom."""

    by_leg: dict[Leg, Decimal] = field(default_factory=dict)
    taken: dict[Piece, tuple[Decimal, ...]] = field(default_factory=dict)
    usd: Decimal = _ZERO

    def of(self, leg: Leg) -> Decimal:
        """What is cut off this leg so far, base units."""
        return self.by_leg.get(leg, _ZERO)

    def set(self, piece: Piece, sizes: tuple[Decimal, ...]) -> None:
        """Cut this much of a piece, instead of what was decided about it before."""
        before = self.taken.get(piece, (_ZERO,) * len(piece.legs))
        self.taken[piece] = sizes
        for leg, size, old in zip(piece.legs, sizes, before, strict=True):
            if size != old:
                self.by_leg[leg] = self.of(leg) + size - old
                self.usd += (size - old) * leg.known_price

    def without(self, piece: Piece, leg: Leg, index: int) -> Decimal:
        """What is cut off the leg by other pieces, base units."""
        before = self.taken.get(piece)
        return self.of(leg) - (before[index] if before else _ZERO)


def cut(
    pairing: Pairing,
    need_usd: Decimal,
    noise_usd: Decimal,
    ceiling_usd: Decimal | None = None,
) -> Cuts:
    """Cut ``need_usd`` or a little more (less than one lot or one smallest order more), or all that
    can be cut where that is less.

    Args:
        pairing: What may be cut alone, and what in pairs.
        need_usd: Notional to take off, all legs of a pair counted.
        noise_usd: What does not count, either way: the rounding of the numbers ``need_usd`` is
            made of. No lot is added or left out for it.
        ceiling_usd: What the sum must never exceed, whatever is needed.
    """
    cuts = Cuts()
    with localcontext(EXACT):
        for tier in (pairing.alone, pairing.pairs):
            need = need_usd - cuts.usd
            if need > noise_usd and tier:
                _cut_tier(tier, need, noise_usd, cuts, ceiling_usd)
    return cuts


def sum_usd(cuts: Cuts, *, paired: bool) -> Decimal:
    """What is cut in pairs, or what is cut alone, USD."""
    return sum(
        (piece.usd(sizes) for piece, sizes in cuts.taken.items() if piece.paired is paired),
        _ZERO,
    )


def _cut_tier(
    tier: Sequence[Piece],
    need: Decimal,
    noise: Decimal,
    cuts: Cuts,
    ceiling: Decimal | None,
) -> None:
    total = sum((piece.worth for piece in tier), _ZERO)
    if total <= need and (ceiling is None or cuts.usd + total <= ceiling):
        _take_all(tier, cuts)
        return
    goal = cuts.usd + need
    order = sorted(tier, key=lambda piece: (-piece.usd(piece.smallest), piece.name))
    carry = _ZERO
    for piece in order:
        wanted = piece.worth * need / total + carry
        sizes = _within(ceiling, piece, _fit(piece, wanted + noise, cuts), cuts)
        got = piece.usd(sizes)
        if got:
            cuts.set(piece, sizes)
        carry = wanted - got
    for piece in reversed(order):
        missing = goal - cuts.usd
        if missing <= noise:
            break
        before = cuts.taken.get(piece, (_ZERO,) * len(piece.legs))
        sizes = _at_least(piece, piece.usd(before) + missing, cuts)
        sizes = _within(ceiling, piece, sizes, cuts)
        if piece.usd(sizes) > piece.usd(before):
            cuts.set(piece, sizes)


def _within(
    ceiling: Decimal | None,
    piece: Piece,
    sizes: tuple[Decimal, ...],
    cuts: Cuts,
) -> tuple[Decimal, ...]:
    """The same, or as many lots less as it takes to stay within the ceiling; a rest too small to be
    an order may then stay, since it goes whole later."""
    if ceiling is None:
        return sizes
    before = cuts.taken.get(piece)
    room = ceiling - cuts.usd + (piece.usd(before) if before else _ZERO)
    wanted = piece.usd(sizes)
    if wanted <= room:
        return sizes
    fewer = _in_lots(piece, tuple(size * max(room, _ZERO) / wanted for size in sizes))
    least = piece.smallest
    if any(size < smallest for size, smallest in zip(fewer, least, strict=True)):
        return (_ZERO,) * len(sizes)
    return fewer


def _take_all(tier: Sequence[Piece], cuts: Cuts) -> None:
    """Everything. Where all parts of an asset's legs add up to whole lots, exactly everything."""
    groups: dict[str, list[Piece]] = {}
    for piece in tier:
        groups.setdefault(piece.legs[0].asset if piece.same_asset else "", []).append(piece)
    for asset, pieces in sorted(groups.items()):
        sums: dict[Leg, Decimal] = {}
        for piece in pieces:
            for leg, amount in zip(piece.legs, piece.amounts, strict=True):
                sums[leg] = sums.get(leg, _ZERO) + amount
        exact = asset and all(_is_order(leg, cuts.of(leg), size) for leg, size in sums.items())
        for piece in pieces:
            cuts.set(piece, piece.amounts if exact else _whole(piece, cuts))


def _fit(piece: Piece, wanted: Decimal, cuts: Cuts) -> tuple[Decimal, ...]:
    """The most of a piece that is no more than ``wanted`` USD and that
    venues accept: whole lots, no order below the minimum. A rest too small to be an order goes
    with it."""
    if wanted >= piece.worth:
        return _whole(piece, cuts)
    nothing = (_ZERO,) * len(piece.legs)
    if wanted <= 0:
        return nothing
    sizes = _in_lots(piece, tuple(amount * wanted / piece.worth for amount in piece.amounts))
    smallest = piece.smallest
    if not all(sizes) or any(size < least for size, least in zip(sizes, smallest, strict=True)):
        return nothing
    return _with_dust(piece, sizes, cuts)


def _at_least(piece: Piece, usd: Decimal, cuts: Cuts) -> tuple[Decimal, ...]:
    """The least of a piece that is worth ``usd`` or more, or all of it."""
    worth = piece.worth
    lots = piece.lots
    sizes = tuple(
        max(ceil_to(amount * usd / worth, lot), least)
        for amount, lot, least in zip(piece.amounts, lots, piece.smallest, strict=True)
    )
    if any(size > amount for size, amount in zip(sizes, piece.amounts, strict=True)):
        return _whole(piece, cuts)
    return _with_dust(piece, sizes, cuts)


def _with_dust(piece: Piece, sizes: tuple[Decimal, ...], cuts: Cuts) -> tuple[Decimal, ...]:
    """The whole piece instead, where a position's rest would be too small and so goes as well."""
    if _leaves_dust(piece, sizes, cuts):
        whole = _whole(piece, cuts)
        if not _leaves_dust(piece, whole, cuts):
            return whole
    return sizes


def _whole(piece: Piece, cuts: Cuts) -> tuple[Decimal, ...]:
    """All of a piece that can be written as orders: exactly it, or whole lots."""
    parts = zip(piece.legs, piece.amounts, strict=True)
    if all(
        _is_order(leg, cuts.without(piece, leg, index), amount)
        for index, (leg, amount) in enumerate(parts)
    ):
        return piece.amounts
    sizes = _in_lots(piece, piece.amounts)
    return sizes if all(sizes) else (_ZERO,) * len(sizes)


def _is_order(leg: Leg, others: Decimal, size: Decimal) -> bool:
    """Whether taking ``size`` more off the leg is whole lots, or the whole position."""
    return others + size == leg.amount or not size % leg.step


def _leaves_dust(piece: Piece, sizes: tuple[Decimal, ...], cuts: Cuts) -> bool:
    """Whether some leg would keep less than a lot or than the smallest order, yet not nothing."""
    for index, (leg, size) in enumerate(zip(piece.legs, sizes, strict=True)):
        rest = leg.amount - cuts.without(piece, leg, index) - size
        if _ZERO < rest < max(leg.step, leg.least):
            return True
    return False


def _in_lots(piece: Piece, amounts: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    return tuple(floor_to(a, lot) for a, lot in zip(amounts, piece.lots, strict=True))
