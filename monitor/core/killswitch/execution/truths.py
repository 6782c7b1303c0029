"""The book a trip plans on: the newest truth of each account, and what our open orders may have
done already. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from math import fsum

import msgspec

from monitor.core.killswitch.book import AccountTruth, Book, HeldPosition
from monitor.core.killswitch.planning.legs import read_legs
from monitor.core.killswitch.state import Latch, Run
from monitor.core.types import Side


def trip_book(book: Book, latch: Latch, ready: Collection[str]) -> Book:
    """``book`` as one trip may use it: orders only for the ``ready`` accounts, dark what was not
    read, and accounts with open orders of ours as if those were filled.

    The last is on purpose: what may be cut already is not to be cut again elsewhere.
    """
    truths = {f"{one.venue}/{one.account}": one for one in book.accounts}
    dark = {f"{venue}/{account}": (venue, account) for venue, account in book.dark}
    for key, run in latch.runs.items():
        known = truths.get(key)
        if run.truth is not None and (key in ready or known is None or _newer(run.truth, known)):
            truths[key] = run.truth
        if run.intents and key in truths:
            truths[key] = _as_if_filled(truths[key], run)
        if run.reachable and (key not in ready or key not in truths):
            dark[key] = (run.venue, run.account)
    for key in ready:
        dark.pop(key, None)
    return msgspec.structs.replace(
        book,
        accounts=tuple(truths.values()),
        executable=tuple(
            (run.venue, run.account) for key, run in latch.runs.items() if key in ready
        ),
        dark=tuple(dark.values()),
    )


def _newer(mine: AccountTruth, known: AccountTruth) -> bool:
    return mine.read_ns >= known.read_ns


def _as_if_filled(truth: AccountTruth, run: Run) -> AccountTruth:
    change: dict[str, Decimal] = {}
    for intent in run.intents:
        order = intent.order
        signed = order.size if order.side is Side.BUY else -order.size
        change[order.market] = change.get(order.market, Decimal(0)) + signed
    return msgspec.structs.replace(
        truth,
        positions=tuple(
            HeldPosition(market=one.market, size=_toward_zero(one.size, change.get(one.market)))
            for one in truth.positions
        ),
    )


def _toward_zero(size: Decimal, change: Decimal | None) -> Decimal:
    """Reduce-only: a position never passes zero."""
    if change is None:
        return size
    after = size + change
    return after if after * size > 0 else Decimal(0)


def fix_baseline(latch: Latch, book: Book | None) -> None:
    """Remember the scope's gross, whole and by position, once, when a target is first asked for."""
    if latch.baseline_usd is None and book is not None and latch.cutting:
        latch.baselines = gross_by_position(latch, trip_book(book, latch, ()))
        latch.baseline_usd = fsum(latch.baselines.values())
    if latch.baseline_usd is not None:
        latch.goal_usd = latch.baseline_usd * latch.target_ratio


def gross_by_position(latch: Latch, book: Book) -> dict[str, float]:
    """USD in scope by ``venue/account/market``, as the planner counts it."""
    return {
        leg.name: float(leg.notional_usd)
        for leg in read_legs(latch.scope, book)
        if leg.in_scope and leg.venue
    }


def reachable_goal_usd(latch: Latch, book: Book, stuck: Callable[[str], bool]) -> float:
    """What the positions that are not ``stuck`` may leave of the scope's gross.

    The goal of the trip, or more: what is stuck (dark, without executor, kept by a HALT) is to come
    down by itself. One dark venue must not flatten the rest.
    """
    now = gross_by_position(latch, book)
    elsewhere = own = 0.0
    for name, usd in now.items():
        if stuck(name):
            elsewhere += usd
        else:  # one that was not seen when the trip began counts from its first sight
            own += latch.baselines.setdefault(name, usd)
    return max(latch.goal_usd or 0.0, elsewhere + own * latch.target_ratio)


def within_goal(latch: Latch, book: Book, key: str) -> bool:
    """Whether one account is down to what it may leave, as far as the book shows."""
    merged = trip_book(book, latch, ())
    fix_baseline(latch, merged)
    if latch.goal_usd is None:
        return False
    gross_usd = fsum(gross_by_position(latch, merged).values())
    goal_usd = reachable_goal_usd(latch, merged, lambda name: not name.startswith(f"{key}/"))
    return gross_usd <= goal_usd
