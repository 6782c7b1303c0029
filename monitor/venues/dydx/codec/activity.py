"""What an account of dYdX v4 did: orders, fills, transfers, funding payments.

A message may name an order by little more than its id, and the socket and REST tell the same fill
or transfer: what was said before is kept by ``accounts`` and completes or silences it. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import (
    Event,
    FillReport,
    FillsReported,
    FrameRejected,
    FundingPaid,
    FundingPayment,
    OrderReport,
    OrdersReported,
    TransferReport,
)
from monitor.core.types import EngineNs, FillKind, Side, TransferKind
from monitor.venues.dydx.accounts import STREAM_BELIEVED_NS, KnownOrder, Parent, Pool
from monitor.venues.dydx.codec import wire
from monitor.venues.dydx.codec.account import QUOTE, STREAM, ZERO, Told
from monitor.venues.dydx.settings import VENUE

Naming = Callable[[str, int | None], tuple[str, bool]]  # address, number: name and whether ours

# Looking a member up in its class costs more than all else around it (before Python 3.12).
_BUY, _SELL, _TRADE = Side.BUY, Side.SELL, FillKind.TRADE
_FILL_KINDS = {
    "LIMIT": FillKind.TRADE,
    "MARKET": FillKind.TRADE,
    "TWAP_SUBORDER": FillKind.TRADE,
    "LIQUIDATION": FillKind.TRADE,  # somebody was liquidated against our resting order
    "LIQUIDATED": FillKind.LIQUIDATION,
    "DELEVERAGED": FillKind.DELEVERAGING,
    "OFFSETTING": FillKind.DELEVERAGING,  # deleveraging hit our side because it was in profit
}
# BEST_EFFORT_* are one node's opinion (FILLED may follow BEST_EFFORT_CANCELED), so not in here.
_GONE = frozenset({"FILLED", "CANCELED", "ERROR"})


# ------------------------------------------------------------------------------------ orders


def _order(row: wire.OrderRow, pool: Pool, height: int | None) -> OrderReport | None:
    """One order, completed from what is known of it; None if too little is known to report it."""
    known = pool.orders.get(row.id)
    before = known.report if known is not None else None
    side = _side(row.side) if row.side is not None else before.side if before else None
    market = row.ticker or (before.market if before else None)
    size = _left(row) if row.size is not None else before.size if before else None
    if side is None or market is None or size is None:
        return None
    good_til = row.good_til_block or (known.good_til_block if known is not None else None)
    # The one certain end of a short-term order: a block higher than its good-til-block.
    expired = good_til is not None and height is not None and height > good_til
    price = wire.money_or_none(row.price, "order price")
    trigger = wire.money_or_none(row.trigger_price, "trigger price")
    if before is not None:
        price = before.limit_price if price is None else price
        trigger = before.trigger_price if trigger is None else trigger
    reduce_only = row.reduce_only
    if reduce_only is None:
        reduce_only = before is not None and before.reduce_only
    return OrderReport(
        order_id=row.id,
        market=market,
        side=side,
        size=size,
        limit_price=price,
        trigger_price=trigger,
        reduce_only=reduce_only,
        client_id=row.client_id or (before.client_id if before else None),
        open=row.status not in _GONE and not expired,
        status=row.status[:40],
    )


def _left(row: wire.OrderRow) -> Decimal:
    size = wire.money(row.size or ZERO, "order size")
    filled = max(
        wire.money(row.total_filled or ZERO, "filled size"),
        wire.money(row.total_optimistic_filled or ZERO, "filled size"),
    )
    return max(size - filled, ZERO)


def _side(side: wire.OrderSide) -> Side:
    return _BUY if side == "BUY" else _SELL


def orders_told(
    rows: Iterable[wire.OrderRow],
    pool: Pool,
    *,
    channel: str,
    height: int | None,
    now: EngineNs,
    source: str = STREAM,
) -> Told:
    """Changed orders of one pool."""
    reports: list[OrderReport] = []
    told = Told()
    for row in rows:
        report = _order(row, pool, height)
        if report is None:
            # A removal of an order we never knew is no news; anything else is worth a re-read.
            told.doubtful = told.doubtful or row.status not in _GONE
            continue
        reports.append(report)
        if report.open:
            good_til = row.good_til_block
            pool.closed.pop(report.order_id, None)
            pool.orders[report.order_id] = KnownOrder(report, good_til, now)
        else:
            pool.remember_closed(report.order_id, now)
    if reports:
        told.events.append(
            OrdersReported(
                venue=VENUE,
                channel=channel,
                account=pool.name,
                source=source,
                complete=False,
                orders=tuple(reports),
                height=height,
            )
        )
    return told


def orders_whole(
    rows: Iterable[wire.OrderRow],
    pool: Pool,
    *,
    channel: str,
    source: str,
    height: int | None,
    now: EngineNs,
    complete: bool = True,
) -> Event:
    """All working orders of one pool, with what the socket said so lately that a list may not."""
    before = pool.orders
    pool.orders = {}
    for row in rows:
        report = _order(row, pool, height)
        if report is None:
            raise DecodeError(f"dYdX order {row.id[:40]!r} names no side, size or market.")
        if report.open and not pool.closed_lately(report.order_id, now):
            pool.orders[report.order_id] = KnownOrder(report, row.good_til_block, 0)
    for order_id, known in before.items():
        if order_id in pool.orders:
            streamed = max(known.streamed_at, pool.orders[order_id].streamed_at)
            pool.orders[order_id] = msgspec.structs.replace(
                pool.orders[order_id], streamed_at=streamed
            )
        elif now - known.streamed_at < STREAM_BELIEVED_NS or not complete:
            pool.orders[order_id] = known
    return OrdersReported(
        venue=VENUE,
        channel=channel,
        account=pool.name,
        source=source,
        complete=complete,
        orders=tuple(known.report for known in pool.orders.values()),
        height=height,
    )


# ---------------------------------------------------------------- fills, transfers, payments


def fills_told(
    rows: Iterable[wire.FillRow],
    parent: Parent,
    pool: Pool,
    *,
    channel: str,
    history: bool,
) -> list[Event]:
    """Executions of one pool that were not told before, oldest first."""
    events: list[Event] = []
    fills = []
    for row in rows:
        market = row.ticker or row.market
        if market is None:
            raise DecodeError(f"dYdX fill {row.id[:40]!r} names no market.")
        size = wire.money(row.size, f"fill size in {market}")
        fill = FillReport(
            fill_id=row.id,
            market=market,
            size=size if row.side == "BUY" else size.copy_negate(),
            price=wire.money(row.price, f"fill price in {market}"),
            time_ns=wire.time_ns(row.created_at),
            kind=_FILL_KINDS.get(row.type, _TRADE),
            fee_usd=wire.money_or_none(row.fee, "fee"),
            order_id=row.order_id,
        )
        if not parent.fill_is_new(row.id):
            continue
        fills.append(fill)
        if row.type not in _FILL_KINDS:
            events.append(
                FrameRejected(
                    venue=VENUE,
                    channel=channel,
                    feed=channel.split("/")[1],
                    reason=f"Fill type {row.type[:40]!r} is unknown; it was taken for a trade.",
                    sample=b"",
                )
            )
    if fills:
        fills.sort(key=lambda fill: fill.time_ns)
        events.insert(
            0,
            FillsReported(
                venue=VENUE,
                channel=channel,
                account=pool.name,
                history=history,
                fills=tuple(fills),
            ),
        )
    return events


def payments_told(
    rows: Iterable[wire.FundingPaymentRow], pool: Pool, *, channel: str, history: bool
) -> FundingPaid:
    """Funding payments of one pool, oldest first; received > 0."""
    payments = [
        FundingPayment(
            market=row.ticker,
            amount_usd=wire.money(row.payment, f"funding payment in {row.ticker}"),
            time_ns=wire.time_ns(row.created_at),
            funding_rate_hourly=row.rate,
            size=wire.money(row.size, f"position size in {row.ticker}"),
        )
        for row in rows
    ]
    payments.sort(key=lambda payment: payment.time_ns)
    return FundingPaid(
        venue=VENUE,
        channel=channel,
        account=pool.name,
        history=history,
        payments=tuple(payments),
    )


_IN = frozenset({"DEPOSIT", "TRANSFER_IN"})
_OUT = frozenset({"WITHDRAWAL", "TRANSFER_OUT"})
_TRANSFER_KINDS = {
    "DEPOSIT": TransferKind.DEPOSIT,
    "WITHDRAWAL": TransferKind.WITHDRAWAL,
    "TRANSFER_IN": TransferKind.INTERNAL,
    "TRANSFER_OUT": TransferKind.INTERNAL,
}


def transfer(row: wire.TransferRow, pool: Pool, name_of: Naming) -> TransferReport:
    """One transfer as the pool sees it: money in > 0, out < 0.

    Raises:
        DecodeError: If its asset is not USDC or its direction cannot be told.
    """
    if row.symbol != QUOTE:
        raise DecodeError(f"dYdX transfer of {row.symbol[:20]!r} has no known value in USD.")
    amount = wire.money(row.size, "transfer size")
    incoming = _is(row.recipient, pool)
    outgoing = _is(row.sender, pool)
    if incoming == outgoing:  # neither end is the pool (a recording has none): its type decides
        incoming, outgoing = row.type in _IN, row.type in _OUT
    if incoming == outgoing:
        raise DecodeError(f"dYdX transfer of type {row.type[:20]!r} has no direction for us.")
    other = row.sender if incoming else row.recipient
    counterparty, own = name_of(other.address, other.subaccount_number)
    direction = "in" if incoming else "out"
    proof = row.transaction_hash or row.created_at
    return TransferReport(
        transfer_id=f"{proof[:64]}:{direction}:{counterparty}:{amount.normalize():f}",
        amount_usd=amount if incoming else amount.copy_negate(),
        time_ns=wire.time_ns(row.created_at),
        kind=_TRANSFER_KINDS.get(row.type, TransferKind.OTHER),
        counterparty=counterparty,
        own=own,
    )


def _is(party: wire.Party, pool: Pool) -> bool:
    return party.address == pool.address and party.subaccount_number == pool.number
