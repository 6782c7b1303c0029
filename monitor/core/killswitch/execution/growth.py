"""What has grown in an account since a trip cut it: our own cut undone, what was opened beside it,
or a hedge, which the trading state allows while a cut is latched. *Pure.*
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from monitor.core.killswitch.book import AccountTruth, Book
from monitor.core.killswitch.execution.orders import asset_of, grown_back, held_in
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Latch, Run
from monitor.core.killswitch.turn import Turn


class Growth(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What has grown, in words: ``undone`` what our own fills had taken off, ``beside`` all else
    that the goal was met without; ``hedges`` are signed sizes by market that lower |net delta|."""

    undone: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    hedges: dict[str, Decimal] = {}

    def __bool__(self) -> bool:
        return bool(self.undone or self.beside or self.hedges)


def growth_in(turn: Turn, latch: Latch, run: Run, truth: AccountTruth) -> Growth:
    """What one reading shows. Nothing is beside a goal that is not met yet, and no order of anybody
    is a hedge while this trip works on the net itself."""
    held = held_in(truth, latch.scope, asset_of(turn.book))
    floors = dict(run.floors)
    if run.cut_done:
        floors = {**dict.fromkeys(held, Decimal(0)), **run.met, **run.floors}
    found = grown_back(held, floors, run.firsts, turn.policy.regrowth_tolerance_ratio)
    hedges = {
        market: held[market]
        for market in found
        if run.cut_done
        and latch.level is Level.CUT
        and turn.book is not None
        and market in held
        and _lowers_net(turn.book, truth, market, _opened(held[market], floors[market]))
    }
    words = {market: said for market, said in found.items() if market not in hedges}
    return Growth(
        undone=tuple(said for market, said in words.items() if market in run.floors),
        beside=tuple(said for market, said in words.items() if market not in run.floors),
        hedges=hedges,
    )


def accept(run: Run, hedges: dict[str, Decimal]) -> None:
    """What is held as a hedge stays: the next look, and the next cut, begin from it."""
    for market, size in hedges.items():
        (run.floors if market in run.floors else run.met)[market] = size


def _opened(size: Decimal, floor: Decimal) -> Decimal:
    """The signed part of a size that is new: on the other side all of it."""
    return size - floor if size * floor > 0 else size


def _lowers_net(book: Book, truth: AccountTruth, market: str, growth: Decimal) -> bool:
    """Whether ``growth`` (signed) has brought |net delta| of its asset down, over the whole book.
    False where a leg of it is dark: nobody knows the net then."""
    assets = asset_of(book)
    asset = assets(truth.venue, market)
    others = [o for o in book.accounts if (o.venue, o.account) != (truth.venue, truth.account)]
    net = sum((leg.size for leg in book.outside if leg.asset == asset), Decimal(0))
    for one in (truth, *others):
        size = sum(
            (held.size for held in one.positions if assets(one.venue, held.market) == asset),
            Decimal(0),
        )
        if size and one is not truth and (one.venue, one.account) in book.dark:
            return False
        net += size
    return abs(net) < abs(net - growth)
