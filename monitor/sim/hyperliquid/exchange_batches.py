"""Batches of orders on the simulated Hyperliquid: groups with stops, changes, paid-for priority."""

from __future__ import annotations

from decimal import Decimal

from monitor.sim import orders
from monitor.sim.hyperliquid import actions
from monitor.sim.hyperliquid.desks import Desk, RefusedError
from monitor.sim.hyperliquid.exchange_cancels import find_order
from monitor.sim.hyperliquid.exchange_orders import RejectedError, Wanted, check_numbers, place_one
from monitor.sim.hyperliquid.wire import Json

PRIORITY_UNIT = Decimal("1e-8")
NOT_MODIFIABLE = "Cannot modify canceled or filled order"
WRONG_COUNT = "Unexpected number of trigger orders"
# Neither has a documented text.
PRIORITY_REFUSED = "Priority fees are only for immediate-or-cancel or growing post-only orders."
BUILDER_REFUSED = "Builder fee has not been approved."


def place_all(desk: Desk, action: actions.Order) -> list[Json]:
    """One status per order.

    Raises:
        RefusedError: If the batch is not one.
    """
    if action.builder is not None:
        raise RefusedError(BUILDER_REFUSED)
    if isinstance(action.grouping, actions.Priority):
        if not _may_pay(action.orders):
            raise RefusedError(PRIORITY_REFUSED)
        rate = action.grouping.p * PRIORITY_UNIT
        return [place_one(desk, wire, priority_rate=rate) for wire in action.orders]
    if action.grouping == "na":
        return [place_one(desk, wire) for wire in action.orders]
    first = 1 if action.grouping == "normalTpsl" else 0
    stops = action.orders[first:]
    if not 1 <= len(stops) <= 2 or any(wire.t.trigger is None for wire in stops):
        raise RefusedError(WRONG_COUNT)
    group = desk.world.next_id()
    if first == 0:
        return [place_one(desk, wire, kind="positionTpsl", group=group) for wire in stops]
    return _with_stops(desk, action.orders[0], stops, group)


def _may_pay(wires: list[actions.OrderWire]) -> bool:
    tifs = {None if wire.t.limit is None else wire.t.limit.tif for wire in wires}
    return tifs == {"Ioc"} or (tifs == {"Alo"} and not any(wire.r for wire in wires))


def _with_stops(
    desk: Desk, main: actions.OrderWire, stops: list[actions.OrderWire], group: int
) -> list[Json]:
    """An order and the stops that come to life once it is filled; without it there are none."""
    status = place_one(desk, main)
    said = status if isinstance(status, dict) else {}
    if "error" in said:
        return [status, *(said for _ in stops)]
    resting = said.get("resting")
    parent = resting["oid"] if isinstance(resting, dict) else None
    waits_for = parent if isinstance(parent, int) else None
    return [
        status,
        *(
            place_one(desk, wire, kind="normalTpsl", parent=waits_for, group=group)
            for wire in stops
        ),
    ]


# ---------------------------------------------------------------------------------------- changes


def modify_all(desk: Desk, modifies: list[actions.ModifyWire]) -> list[Json]:
    """One status per change: the new order's, which has a new id."""
    statuses: list[Json] = []
    for change in modifies:
        try:
            statuses.append(_modify(desk, change.oid, change.order))
        except RefusedError as refused:
            statuses.append({"error": str(refused)})
    return statuses


def modify_one(desk: Desk, action: actions.Modify) -> None:
    """One change, answered as a whole.

    Raises:
        RefusedError: If the order is gone, or the new one is refused (the old one is then gone).
    """
    status = _modify(desk, action.oid, action.order)
    if isinstance(status, dict) and "error" in status:
        raise RefusedError(str(status["error"]))


def _modify(desk: Desk, oid: int | str, wire: actions.OrderWire) -> Json:
    market = desk.market(wire.a)
    order = None if market is None else find_order(desk, market, oid)
    if market is None or order is None:
        raise RefusedError(NOT_MODIFIABLE)
    place = desk.place(market)
    try:
        check_numbers(Wanted.of(desk, wire, place))
    except RejectedError as rejected:
        raise RefusedError(f"{rejected.text} asset={wire.a}") from rejected
    kind = "positionTpsl" if order.position_tpsl else "na"
    orders.end(place, order, "canceled")
    status = place_one(desk, wire, kind=kind, parent=order.parent_id, group=order.group)
    if isinstance(status, dict) and "error" in status:
        return {"error": f"Error placing new order during modify: {status['error']}"}
    return status
