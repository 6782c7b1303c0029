"""Recorded bytes of dYdX v4 in, events out: for ``riskd decode``, tests and benchmarks.

The same channels and codecs as the live streams, without their memory: a frame is read as if it
were the first. Where accounts are not configured every address is taken as ours, under a name made
of its ends. Frames and bodies that say nothing about the risk state give no events: ``connected``,
``unsubscribed``, ``pong``, an order named by nothing but a final status, and the withdrawal gates
(decoded and checked, but no fact of this version carries them). *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import (
    BookTopSeen,
    ChannelLost,
    ChannelProgressed,
    DepthSeen,
    Event,
    FundingPaid,
    TransfersReported,
)
from monitor.core.types import EngineNs, channel_id
from monitor.venues.dydx import account_polls, channels, compliance, polls
from monitor.venues.dydx.account_channel import AccountChannel
from monitor.venues.dydx.accounts import Accounts, Parent
from monitor.venues.dydx.book import Book
from monitor.venues.dydx.codec import account, activity, markets, wire
from monitor.venues.dydx.codec.markets import Universe
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.settings import VENUE
from monitor.venues.dydx.stream import envelope

UNKNOWN_KEY = "unknown"


class Context(msgspec.Struct, frozen=True):
    """What a body does not say of itself: the time it came, and the market or account asked
    about."""

    now: EngineNs = 0
    key: str = UNKNOWN_KEY

    def channel(self, what: str) -> str:
        """The channel of the poll that would have asked."""
        return channel_id(VENUE, f"rest.{what}", self.key)

    def parent(self) -> Parent:
        """The account asked about."""
        return Parent(self.key, self.key, 0, self.key)


# ------------------------------------------------------------------------------------ frames


def decode_frame(frame: bytes, now: EngineNs = 0) -> tuple[Event, ...]:
    """Events of one WebSocket frame, read as if it were the first of its channel.

    A book update without its book, or an account message without a fact, is still proof of life
    (``ChannelProgressed``); a failed subscription is ``ChannelLost``.

    Raises:
        DecodeError: If the bytes are no frame of dYdX.
    """
    told = envelope(frame)
    if told.type in {"connected", "unsubscribed", "pong"}:
        return ()
    if told.type == "error":
        return _error(told)
    channel = _channel(told)
    if told.type == "subscribed":
        output = channel.subscribed(told.contents, told.message_id, now)
        return (*channels.opened(channel), *output.events)
    if told.type not in {"channel_data", "channel_batch_data"}:
        raise DecodeError(f"dYdX frame type {told.type[:40]!r} is unknown.", sample=frame)
    output = channel.data(
        told.contents,
        told.message_id,
        now,
        batch=told.type == "channel_batch_data",
        number=told.subaccountNumber,
    )
    return output.events or (ChannelProgressed(venue=VENUE, channel=channel.name),)


def _channel(told: wire.Envelope) -> channels.Channel:
    key = told.id or ""
    match told.channel:
        case channels.V4_MARKETS:
            return channels.MarketsChannel(Universe(), reread="")
        case channels.V4_BLOCK_HEIGHT:
            return channels.HeightChannel(ChainHeights())
        case channels.V4_ORDERBOOK:
            return channels.BookChannel(key)
        case channels.V4_TRADES:
            return channels.TradesChannel(key)
        case channels.V4_CANDLES:
            return channels.CandlesChannel(key)
        case channels.V4_SUBACCOUNTS | channels.V4_PARENT_SUBACCOUNTS:
            return _account_channel(told.channel, key)
    raise DecodeError(f"dYdX channel {str(told.channel)[:40]!r} is unknown.")


def _account_channel(wire_channel: str, key: str) -> channels.Channel:
    address, _, digits = key.partition("/")
    if not (digits.isascii() and digits.isdigit()) or int(digits[:9]) > 128_000:
        raise DecodeError(f"dYdX account channel has the id {key[:60]!r}.")
    accounts = Accounts((), anyone=True)
    parent = accounts.parent(address, int(digits[:9]))
    if parent is None:  # cannot be: anyone's account is taken
        raise DecodeError(f"dYdX account channel has the id {key[:60]!r}.")
    return AccountChannel(parent, accounts, wire_channel=wire_channel)


def _error(told: wire.Envelope) -> tuple[Event, ...]:
    """The channel an error is about stands in the frame or at the end of its text."""
    feed = told.channel or told.message.rpartition(": ")[2].rstrip(".")
    known = feed.startswith("v4_") and feed.replace("_", "").isalnum()
    channel = channel_id(VENUE, f"{feed}/" if known else "v4_error")
    return (ChannelLost(venue=VENUE, channel=channel, reason=told.message[:300]),)


# ------------------------------------------------------------------------------------ bodies

_POSITIONS = wire.decoder(dict[str, list[wire.PositionRow]])
_ASSETS = wire.decoder(dict[str, list[wire.AssetRow]])
_SUBACCOUNT = wire.decoder(wire.AccountSnapshot)
_ADDRESSES = wire.decoder(account_polls.Addresses)
_ORDERS = wire.decoder(list[wire.OrderRow])
_ORDER = wire.decoder(wire.OrderRow)
_FILLS = wire.decoder(account_polls.FillsBody)
_TRANSFERS = wire.decoder(account_polls.TransfersBody)
_PAYMENTS = wire.decoder(account_polls.PaymentsBody)
_SCREEN = wire.decoder(compliance.ScreenBody)
_BOOK = wire.decoder(wire.BookSnapshot)
_RAW_KEYS = wire.decoder(dict[str, msgspec.Raw])


class _Gate(msgspec.Struct, rename="camel"):
    withdrawals_and_transfers_unblocked_at_block: wire.Height


class _GateOfChain(msgspec.Struct):
    withdrawals_and_transfers_unblocked_at_block: wire.Height


class _Capacity(msgspec.Struct):
    capacity: int


class _Capacities(msgspec.Struct, rename="camel"):
    limiter_capacity_list: list[_Capacity]


class _CapacitiesOfChain(msgspec.Struct):
    limiter_capacity_list: list[_Capacity]


_GATE = wire.decoder(_Gate)
_GATE_OF_CHAIN = wire.decoder(_GateOfChain)
_CAPACITY = wire.decoder(_Capacities)
_CAPACITY_OF_CHAIN = wire.decoder(_CapacitiesOfChain)


def _markets(body: bytes, context: Context) -> list[Event]:
    return Universe().truth(body, context.now)


def _funding(body: bytes, context: Context) -> list[Event]:
    return list(markets.settlements(body, context.channel("historicalFunding")))


def _height(body: bytes, context: Context) -> list[Event]:
    return [markets.height(body, context.channel("height"), "indexer")]


def _time(body: bytes, context: Context) -> list[Event]:
    return [polls.skew(body, context.channel("time"), context.now, 0.0)]


def _status(body: bytes, context: Context) -> list[Event]:
    return [polls.validator_status(body, context.channel("status"))[0]]


def _block(body: bytes, context: Context) -> list[Event]:
    return [polls.validator_block(body, context.channel("block"))]


def _orderbook(body: bytes, context: Context) -> list[Event]:
    rows = wire.read(_BOOK, body, "orderbook body")
    book = Book.of(
        [(level.price, level.size) for level in rows.bids],
        [(level.price, level.size) for level in rows.asks],
        0,
    )
    bid_price, bid_size, ask_price, ask_size = book.top()
    bid_usd, ask_usd = book.depth(channels.DEPTH_BAND_RATIO)
    channel = context.channel("orderbook")
    return [
        BookTopSeen(
            venue=VENUE,
            channel=channel,
            market=context.key,
            bid_price=bid_price,
            bid_size=bid_size,
            ask_price=ask_price,
            ask_size=ask_size,
        ),
        DepthSeen(
            venue=VENUE,
            channel=channel,
            market=context.key,
            band_ratio=channels.DEPTH_BAND_RATIO,
            bid_depth_usd=bid_usd,
            ask_depth_usd=ask_usd,
        ),
    ]


def _trades(body: bytes, context: Context) -> list[Event]:
    return markets.last_trade(body, context.channel("trades"), context.key, newest_first=True)


def _candles(body: bytes, context: Context) -> list[Event]:
    return list(markets.candles(body, context.channel("candles")))


def _subaccount(body: bytes, context: Context) -> list[Event]:
    row = wire.read(_SUBACCOUNT, body, "subaccount body").subaccount
    if row is None:
        raise DecodeError("dYdX subaccount body holds no subaccount.", sample=body)
    return _rows([row], context)


def _addresses(body: bytes, context: Context) -> list[Event]:
    return _rows(wire.read(_ADDRESSES, body, "addresses body").subaccounts, context)


def _rows(rows: list[wire.SubaccountRow], context: Context) -> list[Event]:
    events: list[Event] = []
    accounts = Accounts((), anyone=True)
    for row in rows:
        number = row.subaccount_number
        if number is None:
            number = row.parent_subaccount_number or 0
        parent = accounts.parent(row.address, number)
        if parent is not None:
            events += account.whole(
                row,
                parent,
                channel=context.channel("subaccount"),
                source=account.TRUTH,
                height=None,
            ).events
    return events


def _orders(body: bytes, context: Context) -> list[Event]:
    return _order_events(wire.read(_ORDERS, body, "orders body"), context)


def _order(body: bytes, context: Context) -> list[Event]:
    return _order_events([wire.read(_ORDER, body, "order body")], context)


def _order_events(rows: list[wire.OrderRow], context: Context) -> list[Event]:
    """As changed orders, since a recorded list may hold final ones too."""
    pool = context.parent().pools[0]
    return activity.orders_told(
        rows,
        pool,
        channel=context.channel("orders"),
        height=None,
        now=context.now,
        source=account.TRUTH,
    ).events


def _fills(body: bytes, context: Context) -> list[Event]:
    rows = wire.read(_FILLS, body, "fills body").fills
    parent = context.parent()
    return activity.fills_told(
        rows, parent, parent.pools[0], channel=context.channel("fills"), history=True
    )


def _transfers(body: bytes, context: Context) -> list[Event]:
    rows = wire.read(_TRANSFERS, body, "transfers body").transfers
    pool = context.parent().pools[0]
    accounts = Accounts(())
    seen = [activity.transfer(row, pool, accounts.counterparty) for row in rows]
    told = TransfersReported(
        venue=VENUE,
        channel=context.channel("transfers"),
        account=pool.name,
        history=True,
        transfers=tuple(sorted(seen, key=lambda report: report.time_ns)),
    )
    return [told] if seen else []


def _payments(body: bytes, context: Context) -> list[Event]:
    rows = wire.read(_PAYMENTS, body, "funding payments body").funding_payments
    told: FundingPaid = activity.payments_told(
        rows, context.parent().pools[0], channel=context.channel("fundingPayments"), history=True
    )
    return [told] if rows else []


def _asset_positions(body: bytes, context: Context) -> list[Event]:
    rows = wire.read(_ASSETS, body, "asset positions body").get("positions", [])
    pool = context.parent().pools[0]
    return account.cash_told(
        rows, pool, channel=context.channel("assetPositions"), height=None, source=account.TRUTH
    )


def _perpetual_positions(body: bytes, context: Context) -> list[Event]:
    rows = wire.read(_POSITIONS, body, "positions body").get("positions", [])
    pool = context.parent().pools[0]
    return account.positions_told(
        rows,
        pool,
        channel=context.channel("perpetualPositions"),
        height=None,
        source=account.TRUTH,
    )


def _compliance(body: bytes, context: Context) -> list[Event]:
    status = wire.read(_SCREEN, body, "compliance body").status
    return [compliance.compliance({context.key: status}, context.channel("compliance"))]


def _gate(body: bytes, context: Context) -> list[Event]:
    """Both spellings: camel case of the JavaScript client, snake case of the chain."""
    del context
    if b"withdrawalsAndTransfers" in body:
        wire.read(_GATE, body, "withdrawal gate")
    else:
        wire.read(_GATE_OF_CHAIN, body, "withdrawal gate")
    return []


def _capacity(body: bytes, context: Context) -> list[Event]:
    del context
    if b"limiterCapacityList" in body:
        wire.read(_CAPACITY, body, "withdrawal capacity")
    else:
        wire.read(_CAPACITY_OF_CHAIN, body, "withdrawal capacity")
    return []


ENDPOINTS: Mapping[str, Callable[[bytes, Context], list[Event]]] = {
    "perpetualMarkets": _markets,
    "historicalFunding": _funding,
    "height": _height,
    "time": _time,
    "orderbook": _orderbook,
    "trades": _trades,
    "candles": _candles,
    "subaccount": _subaccount,
    "parentSubaccount": _subaccount,
    "addresses": _addresses,
    "orders": _orders,
    "order": _order,
    "fills": _fills,
    "transfers": _transfers,
    "fundingPayments": _payments,
    "assetPositions": _asset_positions,
    "perpetualPositions": _perpetual_positions,
    "compliance": _compliance,
    "status": _status,
    "block": _block,
    "withdrawalGate": _gate,
    "withdrawalCapacity": _capacity,
}


def decode_body(
    endpoint: str, body: bytes, now: EngineNs = 0, *, key: str = UNKNOWN_KEY
) -> tuple[Event, ...]:
    """Events of one REST body.

    Args:
        endpoint: A name of ``ENDPOINTS``.
        body: The venue's body, without any recorder's wrapper.
        now: When it came, where the clock matters (``time``).
        key: The market or account alias it was asked about, where the body does not say.

    Raises:
        DecodeError: If the endpoint is unknown or the bytes do not fit it.
    """
    decode = ENDPOINTS.get(endpoint)
    if decode is None:
        raise DecodeError(
            f"dYdX endpoint {endpoint[:40]!r} is unknown; known are {', '.join(ENDPOINTS)}."
        )
    return tuple(decode(body, Context(now, key)))


# -------------------------------------------------------------------------------- recordings

# The key by which a body is recognised, in this order: some keys occur in several bodies.
_TELLING_KEYS = (
    ("markets", "perpetualMarkets"),
    ("historicalFunding", "historicalFunding"),
    ("candles", "candles"),
    ("trades", "trades"),
    ("bids", "orderbook"),
    ("subaccounts", "addresses"),
    ("subaccount", "subaccount"),
    ("fills", "fills"),
    ("transfers", "transfers"),
    ("fundingPayments", "fundingPayments"),
    ("height", "height"),
    ("epoch", "time"),
    ("clobPairId", "order"),
    ("withdrawalsAndTransfersUnblockedAtBlock", "withdrawalGate"),
    ("withdrawals_and_transfers_unblocked_at_block", "withdrawalGate"),
    ("limiterCapacityList", "withdrawalCapacity"),
    ("limiter_capacity_list", "withdrawalCapacity"),
)


def decode_recording(
    data: bytes, endpoint: str | None = None, now: EngineNs = 0, *, key: str = UNKNOWN_KEY
) -> tuple[Event, ...]:
    """Events of a recorded file: a bare frame, a bare body, or a body under a recorder's
    ``result``.

    Args:
        data: The file.
        endpoint: A name of ``ENDPOINTS`` for a REST body; None to recognise it by its keys.
        now: When it came, where the clock matters.
        key: The market or account alias it was asked about, where the body does not say.

    Raises:
        DecodeError: If it is nothing that dYdX says, or nothing that can be told apart.
    """
    if endpoint == "ws":
        return decode_frame(data, now)
    if data.lstrip()[:1] == b"[":
        return decode_body(endpoint or "orders", data, now, key=key)
    keys = wire.read(_RAW_KEYS, data, "recording")
    if "requestId" in keys and "result" in keys:
        return decode_recording(bytes(keys["result"]), endpoint, now, key=key)
    if endpoint is not None:
        return decode_body(endpoint, data, now, key=key)
    if "message_id" in keys and "type" in keys:
        return decode_frame(data, now)
    if "jsonrpc" in keys and "result" in keys:
        inner = wire.read(_RAW_KEYS, keys["result"], "recording")
        return decode_body("status" if "sync_info" in inner else "block", data, now, key=key)
    if "positions" in keys:
        of_assets = b'"assetId"' in bytes(keys["positions"])
        name = "assetPositions" if of_assets else "perpetualPositions"
        return decode_body(name, data, now, key=key)
    found = next((name for telling, name in _TELLING_KEYS if telling in keys), None)
    if found is None:
        raise DecodeError(
            "This is no frame or body of dYdX that can be recognised; name its endpoint.",
            sample=data,
        )
    return decode_body(found, data, now, key=key)
