"""Two readings of one account: the venue's own list as the executor read it, and the feeds'.

Reductions are sized by the smaller of the same side (the planner's rule). Where the sides are
opposite nothing is cut, orders that increase risk by either are cancelled, and it is said. *Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import fsum

import msgspec

from monitor.core.killswitch.book import AccountTruth, Book
from monitor.core.killswitch.execution.orders import asset_of, held_in
from monitor.core.killswitch.planning.legs import read_legs
from monitor.core.killswitch.state import Latch, Run
from monitor.core.killswitch.turn import Turn
from monitor.core.types import EngineNs


def other_readings(book: Book, truth: AccountTruth, since_ns: EngineNs) -> tuple[AccountTruth, ...]:
    """What other sources than ``truth`` say of the same account now: the feeds, and where stream
    and re-read contradict each other, the stream. Nothing that is old.

    What was told by ``since_ns``, our own last command, is the past as far as sizes go, and says
    only on which side it saw a position.
    """
    place = (truth.venue, truth.account)
    if place in book.dark:
        return ()
    mine = {one.market: one.size for one in truth.positions}
    found = []
    for one in (*book.accounts, *book.second):
        if (one.venue, one.account) != place or one.positions == truth.positions:
            continue
        told = one.positions
        if one.read_ns <= since_ns:
            told = tuple(p for p in told if p.size * mine.get(p.market, Decimal(0)) < 0)
        if told:
            found.append(msgspec.structs.replace(one, positions=told))
    return tuple(found)


def disputed(truth: AccountTruth, others: Sequence[AccountTruth]) -> dict[str, str]:
    """Markets in which two readings of one account see opposite sides, and what they see."""
    found = {}
    for other in others:
        seen = {one.market: one.size for one in other.positions}
        for one in truth.positions:
            size = seen.get(one.market, Decimal(0))
            if one.size * size < 0:
                found[one.market] = f"{one.size.normalize():f} and {size.normalize():f}"
    return found


def unsure_of(
    turn: Turn, latch: Latch, ready: Sequence[Run], book: Book, goal_usd: float
) -> dict[str, tuple[str, ...]]:
    """By account, in words, what readings see differently and the goal depends on: opposite sides,
    and sizes where the goal is met by the smaller alone. Empty where all is agreed.

    ``book`` is what a plan was just made on for the ``ready`` accounts, second readings included,
    and ``goal_usd`` what that plan may leave.
    """
    listed = msgspec.structs.replace(book, second=())
    gross_usd = fsum(
        float(leg.notional_usd)
        for leg in read_legs(latch.scope, listed)
        if leg.in_scope and leg.venue
    )
    found = {
        run.key: _disagreements(turn, latch, run, sizes_too=gross_usd > goal_usd) for run in ready
    }
    return {key: words for key, words in found.items() if words}


def _disagreements(turn: Turn, latch: Latch, run: Run, *, sizes_too: bool) -> tuple[str, ...]:
    truth, book = run.truth, turn.book
    if truth is None or book is None:
        return ()
    held = held_in(truth, latch.scope, asset_of(book))
    others = other_readings(book, truth, turn.state.touched.get(run.key, 0))
    words = [
        f"two readings disagree on the side of {market}: {seen}"
        for market, seen in disputed(truth, others).items()
        if market in held
    ]
    for other in others if sizes_too else ():
        for market, size in held_in(other, latch.scope, asset_of(book)).items():
            mine = held.get(market, Decimal(0))
            if mine * size > 0 and abs(size) < abs(mine):
                words.append(
                    f"two readings disagree on the size of {market}, and the smaller is cut: "
                    f"{mine.normalize():f} and {size.normalize():f}"
                )
    return tuple(words)
