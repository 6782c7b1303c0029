"""Subaccounts, positions, orders, fills, transfers and payments as dYdX's indexer writes them.

Equity and free collateral follow the indexer exactly: settled USDC plus the funding that is due,
plus size times oracle price; free collateral takes off size times oracle price times the *base*
initial margin fraction, whatever the open interest. Position sizes are signed, asset sizes are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from monitor.core.types import FillKind
from monitor.sim.accounts import SimFill, SimOrder, SimPool, SimPosition, SimTransfer
from monitor.sim.dydx.chain import Chain
from monitor.sim.dydx.payloads.markets import Listing
from monitor.sim.dydx.payloads.text import event_id, iso, number, stable_hash, stable_uuid

CHILDREN_STEP = 128
ORDER_LIFE_S = 28 * 86_400
SHORT_TERM_BLOCKS = 20
ZERO = Decimal(0)
REWARD_SHARE = Decimal("0.31")
# A closed position arrives with decimals that a comparison of texts would trip over.
CLOSED_SIZE = "0.00"

FILL_TYPES = {
    FillKind.TRADE: "LIMIT",
    FillKind.LIQUIDATION: "LIQUIDATED",
    FillKind.DELEVERAGING: "DELEVERAGED",
    FillKind.SETTLEMENT: "LIMIT",
}
REMOVALS = {
    "canceled": "USER_CANCELED",
    "liquidatedCanceled": "UNDERCOLLATERALIZED",
    "reduceOnlyCanceled": "REDUCE_ONLY_RESIZE",
    "filled": "FULLY_FILLED",
}


def subaccount_id(address: str, subaccount: int) -> str:
    """The indexer's UUID of a subaccount."""
    return stable_uuid("subaccount", address, subaccount)


def position_id(address: str, subaccount: int, position: SimPosition) -> str:
    """The indexer's UUID of a position; a reopened position has another one."""
    return stable_uuid("position", address, subaccount, position.symbol, position.position_id)


def order_id(address: str, subaccount: int, order: int) -> str:
    """The indexer's UUID of an order."""
    return stable_uuid("order", address, subaccount, order)


def equity(pool: SimPool) -> Decimal:
    """Settled USDC, funding due and positions at the oracle price, USD."""
    value = sum(
        (p.size * pool.markets[p.symbol].oracle_price for p in pool.positions.values()), ZERO
    )
    return pool.cash_with_funding + value


def free_collateral(pool: SimPool) -> Decimal:
    """Equity less the base initial margin of every position, USD; may be negative."""
    margin = sum((initial_margin(pool, position) for position in pool.positions.values()), ZERO)
    return equity(pool) - margin


def initial_margin(pool: SimPool, position: SimPosition) -> Decimal:
    """Initial margin by the base fraction, as the indexer reckons it."""
    market = pool.markets[position.symbol]
    return abs(position.size) * market.oracle_price * market.spec.tiers[0].initial_rate


def subaccount_row(
    address: str, subaccount: int, pool: SimPool, chain: Chain, height: int, changed_s: float
) -> dict[str, object]:
    """One subaccount of a snapshot; ``changed_s`` is when it last changed on the chain."""
    cash = pool.cash_with_funding
    return {
        "address": address,
        "subaccountNumber": subaccount,
        "equity": number(equity(pool)),
        "freeCollateral": number(free_collateral(pool)),
        "openPerpetualPositions": {
            position.symbol: position_row(pool, position, subaccount, chain)
            for position in pool.positions.values()
        },
        "assetPositions": {"USDC": asset_row(cash, subaccount)} if cash else {},
        "marginEnabled": True,
        "updatedAtHeight": str(min(height, chain.stamp(changed_s).height)),
        "latestProcessedBlockHeight": str(height),
    }


def parent_row(
    address: str, parent: int, children: Iterable[Mapping[str, object]]
) -> dict[str, object]:
    """A parent with its children; the sums mean nothing for liquidation."""
    listed = list(children)
    return {
        "address": address,
        "parentSubaccountNumber": parent,
        "equity": number(sum((Decimal(str(child["equity"])) for child in listed), ZERO)),
        "freeCollateral": number(
            sum((Decimal(str(child["freeCollateral"])) for child in listed), ZERO)
        ),
        "childSubaccounts": listed,
    }


def position_row(
    pool: SimPool, position: SimPosition, subaccount: int, chain: Chain
) -> dict[str, object]:
    """A position of a snapshot or of ``/perpetualPositions``; funding includes what is due."""
    is_open = position.symbol in pool.positions and pool.positions[position.symbol] is position
    funding = -(position.funding_since_open + (pool.funding_due(position) if is_open else ZERO))
    price = pool.markets[position.symbol].oracle_price
    entry = _entry_price(position)
    return {
        "market": position.symbol,
        "status": "OPEN" if is_open else "CLOSED",
        "side": "LONG" if position.size_max > 0 else "SHORT",
        "size": number(position.size),
        "maxSize": number(position.size_max),
        "entryPrice": number(entry),
        "exitPrice": number(_exit_price(position)) if position.sum_close else None,
        "realizedPnl": number(position.realized_pnl + funding),
        "unrealizedPnl": number(position.size * (price - entry)),
        "createdAt": iso(chain.stamp(position.opened_s).time_s),
        "createdAtHeight": str(chain.stamp(position.opened_s).height),
        "closedAt": None,
        "sumOpen": number(position.sum_open),
        "sumClose": number(position.sum_close),
        "netFunding": number(funding),
        "subaccountNumber": subaccount,
    }


def asset_row(cash: Decimal, subaccount: int) -> dict[str, object]:
    """USDC as an asset position: unsigned, the sign is in ``side``."""
    return {
        "size": number(abs(cash)),
        "symbol": "USDC",
        "side": "LONG" if cash > 0 else "SHORT",
        "assetId": "0",
        "subaccountNumber": subaccount,
    }


def trading_reward(fill: SimFill) -> Decimal:
    """Tokens earned by a fill: a share of what a taker paid."""
    return fill.fee_usd * REWARD_SHARE if fill.taker else ZERO


def position_update(address: str, subaccount: int, position: SimPosition) -> dict[str, object]:
    """A position of an update after a fill: settled funding only, no PnL."""
    is_open = position.size != 0
    return {
        "address": address,
        "subaccountNumber": subaccount,
        "positionId": position_id(address, subaccount, position),
        "market": position.symbol,
        "side": "LONG" if position.size_max > 0 else "SHORT",
        "status": "OPEN" if is_open else "CLOSED",
        "size": number(position.size) if is_open else CLOSED_SIZE,
        "maxSize": number(position.size_max),
        "netFunding": number(-position.funding_since_open),
        "entryPrice": number(_entry_price(position)),
        "exitPrice": number(_exit_price(position)) if position.sum_close else None,
        "sumOpen": number(position.sum_open),
        "sumClose": number(position.sum_close),
    }


def asset_update(address: str, subaccount: int, cash: Decimal) -> dict[str, object]:
    """USDC of an update: the settled balance on the chain."""
    return {
        "address": address,
        "subaccountNumber": subaccount,
        "positionId": stable_uuid("asset", address, subaccount, "0"),
        "assetId": "0",
        "symbol": "USDC",
        "side": "LONG" if cash > 0 else "SHORT",
        "size": number(abs(cash)),
    }


def order_status(order: SimOrder) -> str:
    """The indexer's status. A trigger order waits UNTRIGGERED; what ended early is CANCELED."""
    if order.status == "open":
        return "UNTRIGGERED" if order.trigger_price is not None else "OPEN"
    if order.status == "triggered":
        return "OPEN"
    return "FILLED" if order.status == "filled" else "CANCELED"


def order_type(order: SimOrder) -> str:
    """LIMIT or one of the four conditional types."""
    if order.trigger_price is None:
        return "LIMIT"
    if order.take_profit:
        return "TAKE_PROFIT_MARKET" if order.is_market else "TAKE_PROFIT"
    return "STOP_MARKET" if order.is_market else "STOP_LIMIT"


def is_short_term(order: SimOrder) -> bool:
    """An order that took at once lived in validators' memory only."""
    return order.is_market and order.trigger_price is None


def order_row(
    address: str, subaccount: int, order: SimOrder, listing: Listing, chain: Chain
) -> dict[str, object]:
    """An order as REST and snapshots carry it; what does not apply is left out."""
    created = chain.stamp(order.created_s)
    updated = chain.stamp(order.updated_s or order.created_s)
    row: dict[str, object] = {
        "id": order_id(address, subaccount, order.order_id),
        "subaccountId": subaccount_id(address, subaccount),
        "clientId": _client_id(order.client_id, order.order_id),
        "clobPairId": str(listing.clob_pair_id),
        "side": order.side.upper(),
        "size": number(order.original_size),
        "totalFilled": number(order.original_size - order.size),
        "price": number(order.limit_price),
        "type": order_type(order),
        "status": order_status(order),
        "timeInForce": "IOC" if order.is_market else "GTT",
        "reduceOnly": order.reduce_only,
        "orderFlags": order_flags(order),
        "createdAtHeight": str(created.height),
        "clientMetadata": "0",
        "updatedAt": iso(updated.time_s),
        "updatedAtHeight": str(updated.height),
        "postOnly": order.post_only,
        "ticker": order.symbol,
        "subaccountNumber": subaccount,
    }
    if is_short_term(order):
        row["goodTilBlock"] = str(good_til_block(order, chain))
    else:
        row["goodTilBlockTime"] = iso(created.time_s + ORDER_LIFE_S)
    if order.trigger_price is not None:
        row["triggerPrice"] = number(order.trigger_price)
    return row


def order_flags(order: SimOrder) -> str:
    """0 short-term, 32 conditional, 64 long-term."""
    if order.trigger_price is not None:
        return "32"
    return "0" if is_short_term(order) else "64"


def good_til_block(order: SimOrder, chain: Chain) -> int:
    """The last block in which a short-term order may fill."""
    return chain.stamp(order.created_s).height + SHORT_TERM_BLOCKS


def order_opened(
    address: str, subaccount: int, order: SimOrder, listing: Listing, chain: Chain
) -> dict[str, object]:
    """One node's opinion that a short-term order has arrived: no heights, nothing filled."""
    row = order_row(address, subaccount, order, listing, chain)
    gone = ("createdAtHeight", "updatedAt", "updatedAtHeight", "totalFilled", "subaccountNumber")
    for name in gone:
        row.pop(name)
    return {**row, "status": "BEST_EFFORT_OPENED"}


def order_update(
    address: str, subaccount: int, order: SimOrder, listing: Listing, chain: Chain
) -> dict[str, object]:
    """An order of an update: absent values are ``null``, and the reason of a removal is told."""
    row = order_row(address, subaccount, order, listing, chain)
    row.pop("subaccountNumber")
    for name in ("goodTilBlock", "goodTilBlockTime", "triggerPrice"):
        row.setdefault(name, None)
    if row["status"] == "CANCELED":
        row["removalReason"] = f"ORDER_REMOVAL_REASON_{REMOVALS.get(order.status, 'EXPIRED')}"
    return row


def fill_row(address: str, subaccount: int, fill: SimFill, chain: Chain) -> dict[str, object]:
    """A fill as REST carries it: it says ``market``."""
    stamp = chain.stamp(fill.time_s)
    return {
        "id": stable_uuid("fill", address, subaccount, fill.fill_id),
        "side": fill.side.upper(),
        "liquidity": "TAKER" if fill.taker else "MAKER",
        "type": FILL_TYPES[fill.kind],
        "market": fill.symbol,
        "marketType": "PERPETUAL",
        "price": number(fill.price),
        "size": number(fill.size),
        "fee": number(fill.fee_usd),
        "affiliateRevShare": "0",
        "createdAt": iso(stamp.time_s),
        "createdAtHeight": str(stamp.height),
        "orderId": order_id(address, subaccount, fill.order_id),
        "clientMetadata": "1",
        "subaccountNumber": subaccount,
        "positionSizeBefore": number(fill.start_position),
    }


def fill_update(
    address: str, subaccount: int, fill: SimFill, listing: Listing, chain: Chain
) -> dict[str, object]:
    """A fill of an update: it says ``ticker``."""
    row = fill_row(address, subaccount, fill, chain)
    height = chain.stamp(fill.time_s).height
    for name in ("market", "marketType", "subaccountNumber", "positionSizeBefore"):
        row.pop(name)
    return {
        **row,
        "eventId": event_id(height, fill.fill_id),
        "clobPairId": str(listing.clob_pair_id),
        "quoteAmount": number(fill.price * fill.size),
        "subaccountId": subaccount_id(address, subaccount),
        "transactionHash": stable_hash("fill", address, fill.fill_id),
        "ticker": fill.symbol,
    }


def transfer_row(
    address: str, subaccount: int, transfer: SimTransfer, chain: Chain, *, as_parent: bool = False
) -> dict[str, object]:
    """A transfer as REST carries it; a parent's list names parents instead of subaccounts."""
    row = transfer_update(address, subaccount, transfer, chain)
    if as_parent:
        row["sender"] = _parent_side(row["sender"])
        row["recipient"] = _parent_side(row["recipient"])
    return {"id": stable_uuid("transfer", transfer.transfer_id), **row}


def _parent_side(side: object) -> dict[str, object]:
    renamed: dict[str, object] = {}
    if isinstance(side, dict):
        renamed["address"] = side["address"]
        if "subaccountNumber" in side:
            renamed["parentSubaccountNumber"] = side["subaccountNumber"] % CHILDREN_STEP
    return renamed


def transfer_update(
    address: str, subaccount: int, transfer: SimTransfer, chain: Chain
) -> dict[str, object]:
    """A transfer of an update; a wallet's side has no subaccount number."""
    stamp = chain.stamp(transfer.time_s)
    ours: dict[str, object] = {"address": address, "subaccountNumber": subaccount}
    peer_address, peer_pool = transfer.peer
    theirs: dict[str, object] = {"address": peer_address}
    if peer_pool:
        theirs["subaccountNumber"] = int(peer_pool)
    comes_in = transfer.amount_usd > 0
    kind = (
        ("TRANSFER_IN" if comes_in else "TRANSFER_OUT")
        if peer_pool
        else ("DEPOSIT" if comes_in else "WITHDRAWAL")
    )
    return {
        "sender": theirs if comes_in else ours,
        "recipient": ours if comes_in else theirs,
        "symbol": "USDC",
        "size": number(abs(transfer.amount_usd)),
        "type": kind,
        "createdAt": iso(stamp.time_s),
        "createdAtHeight": str(stamp.height),
        "transactionHash": stable_hash("transfer", transfer.transfer_id),
    }


def is_between_children(address: str, subaccount: int, transfer: SimTransfer) -> bool:
    """Whether both sides belong to one parent, so that the parent's stream leaves it out."""
    peer_address, peer_pool = transfer.peer
    return (
        peer_address == address
        and peer_pool != ""
        and int(peer_pool) % CHILDREN_STEP == subaccount % CHILDREN_STEP
    )


def _entry_price(position: SimPosition) -> Decimal:
    if position.size:
        return position.entry_notional / position.size
    return ZERO


def _exit_price(position: SimPosition) -> Decimal:
    return position.exit_notional / position.sum_close


def _client_id(client_id: str | None, order: int) -> str:
    """The venue's client ids are 32-bit numbers."""
    if client_id is not None and client_id.isdecimal():
        return client_id
    return str(order % 2**32)
