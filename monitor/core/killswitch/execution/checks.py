"""What a plan may not do, whoever made it: checked once more before anything becomes an intent.
*Pure.*
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from monitor.core.killswitch.book import AccountTruth, Book
from monitor.core.killswitch.execution.orders import asset_of, size_in, within
from monitor.core.killswitch.execution.reach import held_back, left_words, share_left
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Plan, PlannedOrder
from monitor.core.killswitch.scope import level_at
from monitor.core.killswitch.state import Latch, Run
from monitor.core.killswitch.turn import Turn
from monitor.core.types import Side

KEPT = "positions are kept here by a HALT"
SLACK_USD = 1.0  # rounding to lots may pass a turnover bound by so much


def with_kept(turn: Turn, latch: Latch, book: Book, ratio: float) -> Book:
    """``book`` with the positions that this trip may not touch; they stay in it as the hedges they
    are, beside what it keeps already. Another trip's HALT keeps positions as they are, for it
    outranks CUT; and the desk may let a rule do less in a part of what it tripped: on the way to
    ``ratio`` (share of the baseline) what may not come down so far stays."""
    halts = [
        (other.scope, other.level)
        for other in turn.state.latches.values()
        if other is not latch and other.level is Level.HALT and other.level > latch.level
    ]
    assets = asset_of(book)
    kept = book.why_kept
    for truth in book.accounts:
        for one in truth.positions:
            place = {
                "venue": truth.venue,
                "account": truth.account,
                "asset": assets(truth.venue, one.market),
                "market": one.market,
            }
            why = KEPT if level_at(halts, **place) is Level.HALT else ""
            if not why and share_left(turn.policy, latch, **place) > ratio:
                why = left_words(held_back(turn.policy, latch, **place))
            if why:
                kept[truth.venue, truth.account, one.market] = why
    return msgspec.structs.replace(book, kept=tuple((*where, why) for where, why in kept.items()))


def checked(
    plan: Plan,
    latch: Latch,
    ready: list[Run],
    book: Book,
    left_usd: float | None,
) -> tuple[list[PlannedOrder], dict[str, tuple[str, str]]]:
    """Orders that may go, and why others (by leg: account, reason) may not. Nothing here
    trusts the planner: an order must take a position off, within its size, in an account that is
    ready, and in scope."""
    truths = {run.key: run.truth for run in ready if run.truth is not None}
    assets = asset_of(book)
    kept = book.why_kept
    taken: dict[tuple[str, str], Decimal] = {}
    legs: set[str] = set()
    refused: dict[str, str] = {}
    for order in plan.orders:
        key = f"{order.venue}/{order.account}"
        asset = assets(order.venue, order.market)
        room = (key, order.market)
        taken[room] = taken.get(room, Decimal(0)) + order.size
        inside = within(latch.scope, order.venue, order.account, order.market, asset)
        why = kept.get((order.venue, order.account, order.market))
        if why is not None:
            refused[order.leg] = why
        elif order.leg in legs:
            refused[order.leg] = "two orders of the plan have this name"
        elif key not in truths or not inside:
            refused[order.leg] = "the plan reaches beyond the accounts of this round"
        elif not _reduces(order, truths[key], taken[room]):
            refused[order.leg] = "the order would not only reduce its position"
        legs.add(order.leg)
    allowed = [order for order in plan.orders if order.leg not in refused]
    for order in allowed:
        if order.pair in refused:
            refused[order.leg] = f"its twin {order.pair} cannot be reduced with it"
    allowed = [order for order in allowed if order.leg not in refused]
    notional_usd = sum(order.notional_usd for order in allowed)
    if left_usd is not None and notional_usd > left_usd + SLACK_USD:
        refused |= {order.leg: "the plan passes the turnover of the hour" for order in allowed}
        allowed = []
    accounts = {order.leg: f"{order.venue}/{order.account}" for order in plan.orders}
    return allowed, {leg: (accounts[leg], reason) for leg, reason in refused.items()}


def _reduces(order: PlannedOrder, truth: AccountTruth, taken: Decimal) -> bool:
    size = size_in(truth, order.market)
    exit_side = Side.SELL if size > 0 else Side.BUY
    return order.size > 0 and taken <= abs(size) and order.side is exit_side
