"""Cancels on the simulated Hyperliquid, and what may go wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitor.sim import orders
from monitor.sim.accounts import SimOrder
from monitor.sim.faults import FaultKind
from monitor.sim.hyperliquid.desks import Desk
from monitor.sim.hyperliquid.wire import Json
from monitor.sim.markets import SimMarket

SUCCESS = "success"
MISSING = "Order was never placed, already canceled, or filled."
# The venue has no documented text for a cancel that fails for its own reasons.
NOT_FAST = "Trigger orders cannot be canceled with priority."  # no source
FAILED = "Cancel could not be processed."


def find_order(desk: Desk, market: SimMarket, wanted: int | str) -> SimOrder | None:
    """A working order of one market by the venue's id or the client's."""
    for order in desk.pool(market).orders.values():
        if order.symbol != market.symbol:
            continue
        if wanted == order.order_id:
            return order
        if isinstance(wanted, str) and wanted.lower() == order.client_id:
            return order
    return None


def cancel_all(desk: Desk, ids: Sequence[tuple[int, int | str]], *, fast: bool) -> list[Json]:
    """One status per (asset, order id or client id)."""
    return [cancel_one(desk, asset, wanted, fast=fast) for asset, wanted in ids]


def cancel_one(desk: Desk, asset: int, wanted: int | str, *, fast: bool = False) -> Json:
    """Cancel one order; its status."""
    market = desk.market(asset)
    order = None if market is None else find_order(desk, market, wanted)
    if market is None or order is None:
        return _error(MISSING, asset)
    place = desk.place(market)
    refuses_fast = desk.fault(FaultKind.FAST_CANCELS_REFUSED) is not None
    if refuses_fast and fast and order.trigger_price is not None:
        return _error(NOT_FAST, asset)
    filling = desk.fault(FaultKind.FILLS_DURING_CANCEL)
    if filling is not None and order.trigger_price is None:
        size = order.size * Decimal(repr(filling.filled_ratio))
        orders.fill_resting(place, order, size - size % market.size_step)
        if order.order_id not in place.held.orders:
            return _error(MISSING, asset)
    failing = desk.fault(FaultKind.CANCELS_FAIL)
    if failing is not None and desk.world.faults.hits(failing):
        return _error(FAILED, asset)
    lost = desk.fault(FaultKind.CANCELS_LOST)
    if lost is None or not desk.world.faults.hits(lost):
        orders.end(place, order, "canceled")
    return SUCCESS


def _error(text: str, asset: int) -> Json:
    return {"error": f"{text} asset={asset}"}
