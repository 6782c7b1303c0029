"""The book a trip plans on: the newest truth of each account, and what our open orders may have
done already. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from math import fsum
from types import MappingProxyType

import msgspec

from monitor.core.killswitch.book import AccountTruth, Book, HeldPosition
from monitor.core.killswitch.execution.orders import concerns
from monitor.core.killswitch.execution.readings import other_readings
from monitor.core.killswitch.planning.legs import read_legs
from monitor.core.killswitch.state import Latch, Run
from monitor.core.types import EngineNs, Side

MET = "its own share of the cut is met"
NO_FILL = "its orders do not fill"


def trip_book(
    book: Book,
    latch: Latch,
    ready: Collection[str],
    touched: Mapping[str, EngineNs] = MappingProxyType({}),
) -> Book:
    """``book`` as one trip may use it: orders only for the ``ready`` accounts, each with all its
    readings of after our own last command there (``touched``), kept what is done with for now, dark
    what else was not read, and accounts with open orders of ours as if those were filled.

    The last is on purpose: what may be cut already is not to be cut again elsewhere.
    """
    second = tuple(
        one
        for key in ready
        if (truth := latch.runs[key].truth) is not None
        for one in other_readings(book, truth, touched.get(key, 0))
    )
    truths = {f"{one.venue}/{one.account}": one for one in book.accounts}
    dark = {f"{venue}/{account}": (venue, account) for venue, account in book.dark}
    kept = list(book.kept)
    for key, run in latch.runs.items():
        known = truths.get(key)
        if run.truth is not None and (key in ready or known is None or _newer(run.truth, known)):
            truths[key] = run.truth
        if run.intents and key in truths:
            truths[key] = _as_if_filled(truths[key], run)
        why = _why_kept(run, ready=key in ready) if key in truths else ""
        if why:
            kept += [
                (run.venue, run.account, one.market, why)
                for one in truths[key].positions
                if key not in ready or one.market not in run.twins
            ]
        elif run.reachable and (key not in ready or key not in truths):
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
        second=second,
        kept=tuple(kept),
    )


def _why_kept(run: Run, *, ready: bool) -> str:
    """Why an account, or what of it is beside ``twins``, stays as it is in this plan although it is
    known; empty where it need not."""
    if ready:
        return MET if run.cut_done else ""
    if run.stopped or run.barren:
        return run.stopped or NO_FILL
    return MET if run.share_met else ""


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
    """Remember the scope's gross, by position, once for each account: from its first truth after a
    target was asked for. What nobody has read, or cannot be priced yet, is unknown and not zero:
    it is counted when it becomes known."""
    if book is None or not latch.cutting:
        return
    merged = trip_book(book, latch, ())
    legs = [leg for leg in read_legs(latch.scope, merged) if leg.in_scope and leg.venue]
    counted = {*latch.based, *(_account_of(name) for name in latch.baselines)}
    fresh = [key for key in _read_accounts(latch, merged) if key not in counted]
    due = [
        leg for leg in legs if leg.name in latch.unpriced or f"{leg.venue}/{leg.account}" in fresh
    ]
    latch.based = (*latch.based, *fresh)
    latch.unpriced = (
        *(name for name in latch.unpriced if name not in {leg.name for leg in due}),
        *(leg.name for leg in due if leg.price is None),
    )
    begun = {leg.name: float(leg.notional_usd) for leg in due if leg.price is not None}
    latch.baselines |= begun
    if latch.based:
        latch.baseline_usd = fsum((latch.baseline_usd or 0.0, *begun.values()))
    if latch.baseline_usd is not None:
        latch.goal_usd = latch.baseline_usd * latch.target_ratio


def _read_accounts(latch: Latch, book: Book) -> list[str]:
    """Accounts in question that were read at least once, by the feeds or by this trip. A dark one
    that was never read stands in the book without any position: unknown, not flat."""
    return [
        f"{one.venue}/{one.account}"
        for one in book.accounts
        if concerns(latch.scope, one.venue, one.account)
        and (one.read_ns > 0 or not _dark(book, one))
    ]


def _dark(book: Book, truth: AccountTruth) -> bool:
    return (truth.venue, truth.account) in book.dark


def _account_of(name: str) -> str:
    return "/".join(name.split("/", 2)[:2])


def basis_usd(latch: Latch) -> float:
    """What shares of this trip are of: its baseline, with what came to light later, USD. Zero
    where nothing with a price was found yet, of which no share means anything."""
    return max(latch.baseline_usd or 0.0, fsum(latch.baselines.values()))


def gross_by_position(latch: Latch, book: Book) -> dict[str, float]:
    """USD in scope by ``venue/account/market``, as the planner counts it. What has no price is
    left out: unknown."""
    return {
        leg.name: float(leg.notional_usd)
        for leg in read_legs(latch.scope, book)
        if leg.in_scope and leg.venue and leg.price is not None
    }


def reachable_goal_usd(
    latch: Latch, book: Book, stuck: Callable[[str], bool], ratio: float
) -> float:
    """What the positions that are not ``stuck`` may leave of the scope's gross, on the way to
    ``ratio`` of the baseline.

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
    return max((latch.baseline_usd or 0.0) * ratio, elsewhere + own * ratio)


def within_goal(latch: Latch, book: Book, key: str, ratio: float) -> bool:
    """Whether one account is down to what it may leave at ``ratio``, as far as the book shows."""
    merged = trip_book(book, latch, ())
    fix_baseline(latch, merged)
    if latch.goal_usd is None:
        return False
    gross_usd = fsum(gross_by_position(latch, merged).values())
    goal_usd = reachable_goal_usd(latch, merged, lambda name: not name.startswith(f"{key}/"), ratio)
    return gross_usd <= goal_usd
