"""What the simulated Hyperliquid says happened: orders, fills, funding payments, money moved.

Rows of all dexes of an address come together in the lists, except for working orders, which are
asked for dex by dex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from monitor.core.types import FillKind
from monitor.sim.accounts import ZERO, SimFill, SimFunding, SimOrder, SimPool, SimTransfer
from monitor.sim.hyperliquid.account_views import pool_of, pools_of
from monitor.sim.hyperliquid.market_views import venue_of
from monitor.sim.hyperliquid.wire import (
    Json,
    JsonObject,
    dollars,
    make_hash,
    ms,
    number,
    ratio,
)
from monitor.sim.world import World

# ---------------------------------------------------------------------------------------- orders


def order_basic(order: SimOrder) -> JsonObject:
    """The short form: ``openOrders`` and ``orderUpdates``. Optional keys only where they say
    something."""
    body: JsonObject = {
        "coin": order.symbol,
        "side": "B" if order.side == "buy" else "A",
        "limitPx": number(order.limit_price),
        "sz": number(order.size),
        "oid": order.order_id,
        "timestamp": ms(order.created_s),
        "origSz": number(order.original_size),
    }
    if order.client_id is not None:
        body["cloid"] = order.client_id
    if order.reduce_only:
        body["reduceOnly"] = True
    return body


def order_full(order: SimOrder) -> JsonObject:
    """The frontend form."""
    is_trigger = order.trigger_price is not None
    trigger = order.trigger_price or ZERO
    kind = "Take Profit" if order.take_profit else "Stop"
    kind = f"{kind} {'Market' if order.is_market else 'Limit'}"
    if not is_trigger:
        kind = "Market" if order.tif == "FrontendMarket" else "Limit"
    direction = "above" if order.trigger_above else "below"
    market_like = order.is_market and not is_trigger and order.tif == "Gtc"
    return {
        "coin": order.symbol,
        "side": "B" if order.side == "buy" else "A",
        "limitPx": number(order.limit_price),
        "sz": number(order.size),
        "oid": order.order_id,
        "timestamp": ms(order.created_s),
        "triggerCondition": f"Price {direction} {trigger.normalize():f}" if is_trigger else "N/A",
        "isTrigger": is_trigger,
        "triggerPx": number(trigger),
        "children": [],
        "isPositionTpsl": order.position_tpsl,
        "reduceOnly": order.reduce_only,
        "orderType": kind,
        "origSz": number(order.original_size),
        "tif": None if is_trigger else ("Ioc" if market_like else order.tif),
        "cloid": order.client_id,
    }


def open_orders(world: World, user: str, dex: str, form: Callable[[SimOrder], Json]) -> list[Json]:
    """Working orders of one dex, newest first."""
    orders = list(pool_of(world, user, dex).orders.values())
    rows: list[Json] = []
    for order in reversed(orders):
        if order.parent_id is not None:
            continue  # told with the order for whose fill it waits
        row = form(order)
        if isinstance(row, dict) and "children" in row:
            row["children"] = [form(one) for one in orders if one.parent_id == order.order_id]
        rows.append(row)
    return rows


def order_update(order: SimOrder) -> JsonObject:
    """One entry of ``orderUpdates``."""
    return {
        "order": order_basic(order),
        "status": order.status,
        "statusTimestamp": ms(order.updated_s),
    }


def _all_orders(world: World, user: str) -> Iterator[SimOrder]:
    for pool in pools_of(world, user):
        yield from pool.orders.values()
        yield from pool.order_history


def order_status(world: World, user: str, oid: int | str) -> Json:
    """``orderStatus`` by order id or client id."""
    for order in _all_orders(world, user):
        if oid in (order.order_id, order.client_id):
            status: JsonObject = {
                "order": order_full(order),
                "status": order.status,
                "statusTimestamp": ms(order.updated_s),
            }
            return {"status": "order", "order": status}
    return {"status": "unknownOid"}


def historical_orders(world: World, user: str) -> list[Json]:
    """``historicalOrders``: newest status first, at most 2000."""
    orders = sorted(_all_orders(world, user), key=lambda order: -order.updated_s)[:2_000]
    return [
        {
            "order": order_full(order),
            "status": order.status,
            "statusTimestamp": ms(order.updated_s),
        }
        for order in orders
    ]


# --------------------------------------------------------------------------------------- history


def direction(fill: SimFill) -> str:
    """``dir``: what the fill did to the position."""
    if fill.kind is FillKind.DELEVERAGING:
        return "Auto-Deleveraging"
    change = fill.size if fill.side == "buy" else -fill.size
    before, after = fill.start_position, fill.start_position + change
    if before == 0 or before * change > 0:
        return "Open Long" if change > 0 else "Open Short"
    if before * after < 0:
        return "Long > Short" if before > 0 else "Short > Long"
    return "Close Long" if before > 0 else "Close Short"


def fill_view(fill: SimFill) -> JsonObject:
    """One fill; only the ``liquidation`` object marks a liquidation."""
    body: JsonObject = {
        "coin": fill.symbol,
        "px": number(fill.price),
        "sz": number(fill.size),
        "side": "B" if fill.side == "buy" else "A",
        "time": ms(fill.time_s),
        "startPosition": number(fill.start_position),
        "dir": direction(fill),
        "closedPnl": dollars(fill.closed_pnl_usd),
        "hash": make_hash("fill", fill.order_id) if fill.twap_id is None else "0x" + "0" * 64,
        "oid": fill.order_id,
        "crossed": fill.taker,
        "fee": dollars(fill.fee_usd),
        "tid": fill.fill_id,
    }
    if fill.client_id is not None:
        body["cloid"] = fill.client_id
    if fill.kind is FillKind.LIQUIDATION and fill.mark_price is not None:
        body["liquidation"] = {
            "liquidatedUser": fill.liquidated,
            "markPx": number(fill.mark_price),
            "method": "backstop" if fill.backstop else "market",
        }
    body["feeToken"] = "USDC"
    body["twapId"] = fill.twap_id
    return body


def fills(world: World, user: str) -> list[SimFill]:
    """All fills of all dexes, oldest first."""
    rows = [fill for pool in pools_of(world, user) for fill in pool.fills]
    return sorted(rows, key=lambda fill: (fill.time_s, fill.fill_id))


def funding_view(payment: SimFunding) -> JsonObject:
    """One payment as the socket says it; ``usdc`` < 0 was paid."""
    return {
        "time": ms(payment.time_s),
        "coin": payment.symbol,
        "usdc": dollars(payment.payment_usd),
        "szi": number(payment.size),
        "fundingRate": ratio(payment.rate_hourly),
        "nSamples": None,
    }


def fundings(world: World, user: str) -> list[SimFunding]:
    """All payments of all dexes, oldest first."""
    rows = [row for pool in pools_of(world, user) for row in pool.funding]
    return sorted(rows, key=lambda row: row.time_s)


def user_funding(world: World, user: str, start_ms: int, end_ms: int) -> list[Json]:
    """``userFunding``: at most 500 rows, oldest first; hashes are all zeros."""
    rows: list[Json] = []
    for payment in fundings(world, user):
        if not start_ms <= ms(payment.time_s) <= end_ms:
            continue
        delta = funding_view(payment)
        time = delta.pop("time")
        rows.append({"time": time, "hash": "0x" + "0" * 64, "delta": {"type": "funding", **delta}})
    return rows[:500]


def transfers(world: World, user: str) -> list[tuple[SimPool, SimTransfer]]:
    """All movements of money of all dexes, oldest first."""
    rows = [(pool, row) for pool in pools_of(world, user) for row in pool.transfers]
    return sorted(rows, key=lambda pair: (pair[1].time_s, pair[1].transfer_id))


def ledger_view(world: World, user: str, pool: SimPool, row: SimTransfer) -> JsonObject:
    """One row of ``userNonFundingLedgerUpdates``."""
    return {
        "time": ms(row.time_s),
        "hash": make_hash("ledger", row.transfer_id),
        "delta": _delta(world, user, pool, row),
    }


def _delta(world: World, user: str, pool: SimPool, row: SimTransfer) -> JsonObject:
    amount = dollars(abs(row.amount_usd))
    if row.kind == "deposit":
        return {"type": "deposit", "usdc": amount}
    if row.kind == "withdrawal":
        return {
            "type": "withdraw",
            "usdc": dollars(abs(row.amount_usd) - row.fee_usd),
            "nonce": ms(row.time_s),
            "fee": dollars(row.fee_usd),
        }
    peer, peer_pool = row.peer
    incoming = row.amount_usd > 0
    source, target = (peer, user) if incoming else (user, peer)
    if peer == user:
        from_dex, to_dex = (peer_pool, pool.name) if incoming else (pool.name, peer_pool)
        return {
            "type": "send",
            "user": user,
            "destination": user,
            "sourceDex": from_dex,
            "destinationDex": to_dex,
            "token": "USDC",
            "amount": amount,
            "usdcValue": amount,
            "fee": "0.0",
            "nativeTokenFee": "0.0",
            "nonce": ms(row.time_s),
            "feeToken": "",
        }
    accounts = venue_of(world).accounts
    related = any(
        account is not None and account.role == "subAccount"
        for account in (accounts.get(user), accounts.get(peer))
    )
    delta: JsonObject = {
        "type": "subAccountTransfer" if related else "internalTransfer",
        "usdc": amount,
        "user": source,
        "destination": target,
    }
    if not related:
        delta["fee"] = "0.0"
    return delta


def ledger(world: World, user: str, start_ms: int, end_ms: int) -> list[Json]:
    """``userNonFundingLedgerUpdates``: at most 500 rows, oldest first."""
    rows: list[Json] = [
        ledger_view(world, user.lower(), pool, row)
        for pool, row in transfers(world, user)
        if start_ms <= ms(row.time_s) <= end_ms
    ]
    return rows[:500]
