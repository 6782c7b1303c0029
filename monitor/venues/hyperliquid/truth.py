"""What the kill path reads of an account: everything it holds and has working, and what became of
one order. Bodies of ``/info`` in, facts out; raises ``DecodeError`` rather than guess. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from monitor.core.killswitch.book import HeldPosition, WorkingOrder
from monitor.core.killswitch.facts import OrderEnd, OrderOutcome
from monitor.venues.hyperliquid.decoders import account_wire, wire
from monitor.venues.hyperliquid.decoders.account import TERMINAL_STATUSES
from monitor.venues.hyperliquid.decoders.market import SIDES
from monitor.venues.hyperliquid.decoders.wire import (
    CamelCase,
    Coin,
    Millis,
    Serial,
    SideCode,
    money,
)

ZERO = Decimal(0)
MINUTE_MS = 60_000
TWAP_GRACE_MS = 10 * MINUTE_MS  # how long after its planned end an unended TWAP is still listed
_TWAP_ENDED = frozenset({"finished", "terminated", "stopped", "error"})
_TWAP_RUNNING = "activated"


# -------------------------------------------------------------------------------- what is held


class State(msgspec.Struct, frozen=True):
    """One dex of one account. ``used`` when it holds a position or any money."""

    positions: tuple[HeldPosition, ...]
    equity_usd: Decimal | None
    used: bool


def read_state(body: bytes) -> State:
    """``clearinghouseState``. Positions that are not listed are flat."""
    state = msgspec.json.decode(body, type=account_wire.ClearinghouseState, strict=False)
    positions = tuple(
        HeldPosition(market=entry.position.coin, size=size)
        for entry in state.asset_positions
        if (size := money(entry.position.szi, "szi"))
    )
    summary = state.margin_summary
    equity = None if summary is None else money(summary.account_value, "accountValue")
    return State(positions, equity, bool(positions) or equity != 0)


def read_orders(body: bytes) -> tuple[WorkingOrder, ...]:
    """``frontendOpenOrders``: resting and trigger orders of one dex; the first dex's list holds the
    spot orders too."""
    orders = msgspec.json.decode(body, type=list[account_wire.Order], strict=False)
    return tuple(
        WorkingOrder(
            order_id=str(order.oid),
            market=order.coin,
            side=SIDES[order.side],
            size=money(order.sz, "sz"),
            limit_price=money(order.limit_px, "limitPx"),
            reduce_only=bool(order.reduce_only),
            trigger=bool(order.is_trigger),
            client_id=order.cloid,
        )
        for order in orders
    )


class _TwapState(CamelCase):
    coin: Coin
    side: SideCode
    sz: Decimal
    executed_sz: Decimal
    minutes: int
    timestamp: Millis
    reduce_only: bool = False


class _TwapStatus(CamelCase):
    status: str


class _TwapRow(CamelCase):
    time: int  # seconds
    state: _TwapState
    status: _TwapStatus
    twap_id: Serial | None = None


def read_twaps(body: bytes, now_ms: int) -> tuple[tuple[WorkingOrder, ...], int]:
    """Running TWAPs of an account over all dexes, from ``twapHistory``, and how many rows it had.

    The list has a row for each change of state. One that began and has no row of its end runs,
    until well past its planned end; one that waits for its price runs, and so does one in a state
    that this version does not know. Without an id (old rows) it cannot be cancelled, and shows as
    ``twap at <time>``.
    """
    rows = msgspec.json.decode(body, type=list[_TwapRow], strict=False)
    ended = {_twap_key(row) for row in rows if row.status.status in _TWAP_ENDED}
    newest: dict[str, _TwapRow] = {}
    for row in rows:
        key = _twap_key(row)
        if key not in ended and (key not in newest or row.time >= newest[key].time):
            newest[key] = row
    running = tuple(
        WorkingOrder(
            order_id=key,
            market=row.state.coin,
            side=SIDES[row.state.side],
            size=max(ZERO, money(row.state.sz, "sz") - money(row.state.executed_sz, "executedSz")),
            reduce_only=row.state.reduce_only,
            twap=True,
        )
        for key, row in newest.items()
        if not _is_over(row, now_ms)
    )
    return running, len(rows)


def _twap_key(row: _TwapRow) -> str:
    return f"twap at {row.state.timestamp}" if row.twap_id is None else str(row.twap_id)


def _is_over(row: _TwapRow, now_ms: int) -> bool:
    begun_ms = max(row.time * 1000, row.state.timestamp)
    planned_end_ms = begun_ms + row.state.minutes * MINUTE_MS
    return row.status.status == _TWAP_RUNNING and now_ms > planned_end_ms + TWAP_GRACE_MS


def read_dexes(body: bytes) -> tuple[str | None, ...]:
    """``perpDexs`` in its order; entry 0, the first dex, is null."""
    dexes = msgspec.json.decode(body, type=list[wire.Dex | None], strict=False)
    return tuple(None if dex is None else dex.name for dex in dexes)


def read_market_names(body: bytes) -> tuple[str, ...]:
    """Names of one dex's ``meta``, delisted ones included."""
    meta = msgspec.json.decode(body, type=wire.Universe, strict=False)
    return tuple(asset.name for asset in meta.universe)


def read_mode(body: bytes) -> str:
    """``userAbstraction``."""
    return msgspec.json.decode(body, type=str)


# ---------------------------------------------------------------------------- what became of one


class Execution(msgspec.Struct, frozen=True):
    """Fills of one order together."""

    size: Decimal
    average_price: Decimal
    order_id: str


class _Fill(CamelCase):
    oid: Serial
    px: Decimal
    sz: Decimal
    tid: Serial
    time: Millis
    cloid: str | None = None


def read_executions(body: bytes) -> tuple[dict[str, Execution], dict[str, Execution]]:
    """Executions of ``userFills`` or ``userFillsByTime``, by client id and by order number."""
    fills = msgspec.json.decode(body, type=list[_Fill], strict=False)
    once = {(fill.tid, fill.oid, fill.time): fill for fill in fills}
    by_client: dict[str, list[_Fill]] = {}
    by_order: dict[str, list[_Fill]] = {}
    for fill in once.values():
        by_order.setdefault(str(fill.oid), []).append(fill)
        if fill.cloid is not None:
            by_client.setdefault(fill.cloid, []).append(fill)
    return _summed(by_client), _summed(by_order)


def _summed(groups: Mapping[str, Sequence[_Fill]]) -> dict[str, Execution]:
    result = {}
    for key, fills in groups.items():
        size = sum((money(fill.sz, "sz") for fill in fills), ZERO)
        value = sum((money(fill.px, "px") * fill.sz for fill in fills), ZERO)
        if size > 0:
            result[key] = Execution(size, value / size, str(fills[0].oid))
    return result


class Found(msgspec.Struct, frozen=True):
    """An order as ``orderStatus`` knows it. ``ended`` is false for every status that is not known
    to be final."""

    order_id: str
    status: str
    ended: bool
    filled_size: Decimal


class _StatusOrder(CamelCase):
    oid: Serial
    sz: Decimal
    orig_sz: Decimal


class _StatusEntry(CamelCase):
    order: _StatusOrder
    status: str


class _StatusBody(CamelCase):
    status: str
    order: _StatusEntry | None = None


def read_order_status(body: bytes) -> Found | None:
    """``orderStatus``; None where the venue says that it knows no such order.

    Raises:
        msgspec.MsgspecError: For any other answer.
    """
    said = msgspec.json.decode(body, type=_StatusBody, strict=False)
    if said.status == "unknownOid":
        return None
    if said.status != "order" or said.order is None:
        message = f"orderStatus is {said.status[:40]!r}"
        raise msgspec.ValidationError(message)
    entry = said.order
    whole, left = money(entry.order.orig_sz, "origSz"), money(entry.order.sz, "sz")
    filled = whole if entry.status == "filled" else max(ZERO, whole - left)
    return Found(str(entry.order.oid), entry.status, entry.status in TERMINAL_STATUSES, filled)


def outcome_of(
    client_id: str, found: Found | None, executions: Iterable[Execution | None]
) -> OrderOutcome | None:
    """What the venue's data says of an order of ours; None where it knows nothing of it.

    An execution outweighs a status that knows of none: nodes of the venue answer at different
    heights. ``executions`` are the same order's, found by either id.
    """
    seen = max((one for one in executions if one is not None), key=_size, default=None)
    size = ZERO if seen is None else seen.size
    if found is None:
        if seen is None:
            return None
        return _filled(client_id, size, seen, "known by its fills")
    if not found.ended:
        detail = f"the venue says {found.status!r}, which is no end"
        return OrderOutcome(
            client_id=client_id, end=OrderEnd.UNKNOWN, filled_size=size, detail=detail
        )
    size = max(size, found.filled_size)
    if size > 0:
        return _filled(client_id, size, seen, found.status)
    return OrderOutcome(client_id=client_id, end=OrderEnd.REJECTED, detail=found.status)


def _filled(client_id: str, size: Decimal, seen: Execution | None, detail: str) -> OrderOutcome:
    return OrderOutcome(
        client_id=client_id,
        end=OrderEnd.FILLED,
        filled_size=size,
        average_price=None if seen is None else seen.average_price,
        detail=detail,
    )


def _size(execution: Execution) -> Decimal:
    return execution.size
