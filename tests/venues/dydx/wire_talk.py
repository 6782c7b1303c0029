"""What the indexer says, as a test writes it: frames with message ids, answers with headers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from monitor.core.events import Event
from monitor.core.ports import Output, Response, StreamProtocol
from monitor.core.types import SECOND_NS
from monitor.venues.dydx.settings import DydxAccount, DydxSettings
from monitor.venues.dydx.venue import DydxVenue

ADDRESS = "dydx14zzueazeh0hj67cghhf9jypslcf9sh2n5k6art"
OTHER_ADDRESS = "dydx155va0m7wz5n8zcqscn9afswwt04n4usj46wvp5"
NOW = 1_765_210_316_000_000_000  # 2025-12-08T16:11:56Z
TIME = "2025-12-08T16:11:57.000Z"


def market(ticker: str = "BTC-USD", **changes: object) -> dict[str, Any]:
    """A market as the indexer tells it whole."""
    row = {
        "clobPairId": "0",
        "ticker": ticker,
        "status": "ACTIVE",
        "oraclePrice": "90000",
        "volume24H": "1000",
        "trades24H": 7,
        "nextFundingRate": "0.00001",
        "initialMarginFraction": "0.02",
        "maintenanceMarginFraction": "0.012",
        "openInterest": "381.7",
        "tickSize": "1",
        "stepSize": "0.0001",
        "marketType": "CROSS",
        "openInterestLowerCap": "0",
        "openInterestUpperCap": "0",
        "baseOpenInterest": "782.0931",
    }
    return row | changes


def venue(
    *,
    tickers: Iterable[str] = ("BTC-USD", "ETH-USD", "SOL-USD"),
    accounts: Iterable[dict[str, Any]] = ({"alias": "main", "address": ADDRESS},),
    **changes: Any,
) -> DydxVenue:
    """A venue whose market bootstrap is done."""
    settings = DydxSettings(
        accounts=tuple(DydxAccount.model_validate(account) for account in accounts),
        **changes,
    )
    made = DydxVenue(settings)
    body = {"markets": {ticker: market(ticker) for ticker in tickers}}
    made.bootstrap()[0].received(answer(body), NOW - 3600 * SECOND_NS)
    return made


def answer(body: object, status: int = 200, elapsed_s: float = 0.1, **headers: str) -> Response:
    """An HTTP answer."""
    return Response(
        status=status,
        headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()),
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        elapsed_s=elapsed_s,
    )


def frame(kind: str, message_id: int, channel: str = "", key: str = "", **rest: object) -> bytes:
    """A frame of the socket."""
    told: dict[str, object] = {"type": kind, "connection_id": "c", "message_id": message_id}
    if channel:
        told["channel"] = channel
    if key:
        told["id"] = key
    return json.dumps(told | rest).encode()


def oracle(message_id: int, price: str = "90001", ticker: str = "BTC-USD") -> bytes:
    """One oracle price."""
    row = {"oraclePrice": price, "effectiveAt": TIME, "effectiveAtHeight": "9", "marketId": 0}
    contents = {"oraclePrices": {ticker: row}}
    return frame("channel_data", message_id, "v4_markets", contents=contents)


def block(message_id: int, height: int) -> bytes:
    """The next block."""
    contents = {"blockHeight": str(height), "time": TIME}
    return frame(
        "channel_data", message_id, "v4_block_height", "v4_block_height", contents=contents
    )


def position(market: str, size: str, number: int = 0, **changes: object) -> dict[str, Any]:
    """A position row of an update, with nothing in it that may be believed but the size."""
    side = "SHORT" if size.startswith("-") else "LONG"
    row = {
        "address": ADDRESS,
        "subaccountNumber": number,
        "positionId": "p",
        "market": market,
        "side": side,
        "status": "OPEN",
        "size": size,
        "entryPrice": "0",
        "unrealizedPnl": "99999",
    }
    return row | changes


def dollars(size: str, number: int = 0, side: str = "LONG") -> dict[str, Any]:
    """A USDC row of an update."""
    return {
        "address": ADDRESS,
        "subaccountNumber": number,
        "positionId": "a",
        "assetId": "0",
        "symbol": "USDC",
        "side": side,
        "size": size,
    }


def subaccount(
    number: int = 0, *, cash: str = "1000", height: int = 100, **positions: str
) -> dict[str, Any]:
    """A whole subaccount; positions by ticker with ``_`` for ``-``."""
    held = {
        ticker.replace("_", "-"): position(
            ticker.replace("_", "-"), size, number, entryPrice="3000", unrealizedPnl="1"
        )
        for ticker, size in positions.items()
    }
    return {
        "address": ADDRESS,
        "subaccountNumber": number,
        "equity": cash,
        "freeCollateral": cash,
        "openPerpetualPositions": held,
        "assetPositions": {"USDC": dollars(cash, number)},
        "latestProcessedBlockHeight": str(height),
    }


def parent(*children: dict[str, Any], number: int = 0) -> dict[str, Any]:
    """A parent with its children; its own sums are there to be ignored."""
    return {
        "address": ADDRESS,
        "parentSubaccountNumber": number,
        "equity": "123456789",
        "freeCollateral": "123456789",
        "childSubaccounts": list(children),
    }


def snapshot(
    message_id: int, *children: dict[str, Any], height: int = 100, **rest: object
) -> bytes:
    """The first message of an account channel."""
    contents = {
        "subaccount": parent(*children),
        "orders": rest.pop("orders", []),
        "blockHeight": str(height),
    }
    return frame(
        "subscribed", message_id, "v4_parent_subaccounts", f"{ADDRESS}/0", contents=contents
    )


def update(message_id: int, number: int = 0, **contents: object) -> bytes:
    """A change of an account."""
    return frame(
        "channel_data",
        message_id,
        "v4_parent_subaccounts",
        f"{ADDRESS}/0",
        subaccountNumber=number,
        contents=contents,
    )


def order(order_id: str = "o-1", status: str = "OPEN", **changes: object) -> dict[str, Any]:
    """A whole order row."""
    row = {
        "id": order_id,
        "clientId": "77",
        "side": "SELL",
        "size": "2",
        "totalFilled": "0.5",
        "price": "3500",
        "status": status,
        "reduceOnly": False,
        "orderFlags": "64",
        "ticker": "ETH-USD",
        "subaccountNumber": 0,
    }
    return row | changes


def fill(fill_id: str, kind: str = "LIMIT", **changes: object) -> dict[str, Any]:
    """A fill row, of the socket and of REST at once."""
    row = {
        "id": fill_id,
        "side": "SELL",
        "size": "2",
        "price": "3000",
        "fee": "0.1",
        "type": kind,
        "createdAt": TIME,
        "ticker": "ETH-USD",
        "market": "ETH-USD",
        "subaccountNumber": 0,
    }
    return row | changes


def kinds(events: Iterable[Event]) -> list[str]:
    """The names of the events, in order."""
    return [type(event).__name__ for event in events]


def subscribe_all(stream: StreamProtocol, now: int) -> tuple[list[dict[str, Any]], int]:
    """Everything a new connection subscribes to, and the time when it was done."""
    sent = [json.loads(message) for message in stream.connected(now).send]
    for _ in range(60):
        now += SECOND_NS + SECOND_NS // 5
        more = stream.tick(now)
        sent += [json.loads(message) for message in more.send]
        if not more.send:
            break
    return sent, now


def events_of(output: Output, kind: type[Any]) -> list[Any]:
    """The events of one type."""
    return [event for event in output.events if isinstance(event, kind)]
