"""Account updates read in one go mean what two stages make of them, which judge the rest."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.ports import Output
from monitor.venues.dydx.channels import TradesChannel
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.stream import DydxStream
from tests.venues.dydx.wire_talk import (
    ADDRESS,
    TIME,
    block,
    dollars,
    fill,
    frame,
    order,
    position,
    snapshot,
    subaccount,
    subscribe_all,
    update,
    venue,
)

UPDATES = {
    "positions and cash": {
        "blockHeight": "101",
        "perpetualPositions": [position("ETH-USD", "-2.5"), position("BTC-USD", "0.1")],
        "assetPositions": [dollars("900.25")],
    },
    "a child and its parent": {
        "perpetualPositions": [position("ETH-USD", "1", 128), position("BTC-USD", "1")],
    },
    "order and fill": {"orders": [order()], "fills": [fill("f-1")]},
    "liquidation": {"fills": [fill("f-2", "LIQUIDATED")]},
    "height alone": {"blockHeight": "102"},
    "nothing": {},
}
ODD = {
    "amount that is none": update(9, assetPositions=[dollars("NaN")]),
    "side against sign": update(9, perpetualPositions=[position("ETH-USD", "-1", side="LONG")]),
    "text for a list": update(9, perpetualPositions="none"),
    "other account": frame(
        "channel_data", 9, "v4_parent_subaccounts", "dydx1other/0", contents={"blockHeight": "1"}
    ),
    "block": block(9, 101),
    "batch": frame(
        "channel_batch_data",
        9,
        "v4_parent_subaccounts",
        f"{ADDRESS}/0",
        contents=[{"perpetualPositions": [position("ETH-USD", "3")]}],
    ),
}


def opened() -> tuple[DydxStream, int]:
    """A connection of accounts whose one account is known."""
    stream = venue().streams()[-1]
    assert isinstance(stream, DydxStream)
    _, now = subscribe_all(stream, 1_790_000_000_000_000_000)
    stream.received(snapshot(1, subaccount(ETH_USD="2")), now)
    return stream, now


def both(data: bytes) -> tuple[Output, Output]:
    """What a frame brings in one go where that is possible, and in two stages."""
    (one, now), (two, _) = opened(), opened()
    return one.received(data, now), two._two_staged(data, now)


@pytest.mark.parametrize("contents", UPDATES.values(), ids=UPDATES)
def test_update_means_the_same_either_way(contents: dict[str, Any]) -> None:
    """Events, re-reads and what is left open are equal."""
    told, staged = both(update(9, **contents))
    assert told == staged


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_is_no_plain_update_is_judged_in_two_stages(data: bytes) -> None:
    """The short way accepts nothing that two stages refuse, and refuses in the same words."""
    told, staged = both(data)
    assert told.events == staged.events
    assert str(told.fault) == str(staged.fault)
    assert told.send == staged.send
    assert told.refresh == staged.refresh


def trade(price: str, **changes: object) -> dict[str, object]:
    """A public trade."""
    made = {"side": "BUY", "size": "0.1", "price": price, "type": "LIMIT", "createdAt": TIME}
    return {"id": "t", **made, **changes}


TRADES: dict[str, object] = {
    "one": {"trades": [trade("90000")]},
    "oldest first": {"trades": [trade("90000"), trade("90001", side="SELL")]},
    "a liquidation among them": {"trades": [trade("90000", type="LIQUIDATED"), trade("90001")]},
    "none": {"trades": []},
    "no list": {},
    "side nobody knows": {"trades": [trade("90000", side="LEFT")]},
}


@pytest.mark.parametrize("contents", TRADES.values(), ids=TRADES)
def test_trades_mean_the_same_either_way(contents: object) -> None:
    """The newest is told, and whether any was forced; what is no list of trades is refused."""
    data = frame("channel_data", 2, "v4_trades", "BTC-USD", contents=contents)
    told = []
    for staged in (False, True):
        stream = DydxStream("dydx/trades", "wss://x", [TradesChannel("BTC-USD")], ChainHeights())
        _, now = subscribe_all(stream, 1_790_000_000_000_000_000)
        snapshot_of = {"trades": [trade("1")]}
        stream.received(frame("subscribed", 1, "v4_trades", "BTC-USD", contents=snapshot_of), now)
        told.append(stream._two_staged(data, now) if staged else stream.received(data, now))
    assert told[0].events == told[1].events
    assert (told[0].fault is None) is (told[1].fault is None)


def price(ticker: str, effective_at: str = TIME) -> dict[str, object]:
    """One oracle price."""
    row = {"oraclePrice": "90001", "effectiveAt": effective_at, "effectiveAtHeight": "9"}
    return {ticker: row}


EARLIER = TIME.replace("T16", "T15")
MARKET_UPDATES = {
    "a price": {"oraclePrices": price("BTC-USD")},
    "two prices of a block": {"oraclePrices": price("BTC-USD") | price("ETH-USD")},
    "prices of two blocks": {"oraclePrices": price("BTC-USD") | price("ETH-USD", EARLIER)},
    "a market before its first price": {
        "oraclePrices": {"NEW-USD": {"oraclePrice": None, "effectiveAt": TIME}},
    },
    "prices and a rate": {
        "oraclePrices": price("BTC-USD"),
        "trading": {"ETH-USD": {"nextFundingRate": "0.0001", "openInterest": "5"}},
    },
    "a price from next year": {"oraclePrices": price("BTC-USD", "2099-01-01T00:00:00.000Z")},
    "no price": {"oraclePrices": {"BTC-USD": {"oraclePrice": "dear", "effectiveAt": TIME}}},
}


def market_connection() -> tuple[DydxStream, int]:
    """The connection of all markets, whose next message id is 4."""
    stream = venue(tickers=("BTC-USD", "ETH-USD"), markets=()).streams()[0]
    assert isinstance(stream, DydxStream)
    _, now = subscribe_all(stream, 1_790_000_000_000_000_000)
    stream.received(frame("subscribed", 2, "v4_markets", contents={"markets": {}}), now)
    start = {"height": "100", "time": TIME}
    stream.received(
        frame("subscribed", 3, "v4_block_height", "v4_block_height", contents=start), now
    )
    return stream, now


@pytest.mark.parametrize("contents", MARKET_UPDATES.values(), ids=MARKET_UPDATES)
def test_prices_mean_the_same_either_way(contents: object) -> None:
    """One event a block, however many tickers; refused in the same words."""
    data = frame("channel_data", 4, "v4_markets", contents=contents)
    (one, now), (two, _) = market_connection(), market_connection()
    told, staged = one.received(data, now), two._two_staged(data, now)
    assert told.events == staged.events
    assert str(told.fault) == str(staged.fault)
    assert told.refresh == staged.refresh


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(block(4, 101), id="the next block"),
        pytest.param(block(4, 10**14), id="a block that no chain has reached"),
        pytest.param(block(4, 101).replace(b'"time"', b'"clock"'), id="a block without its time"),
    ],
)
def test_blocks_mean_the_same_either_way(data: bytes) -> None:
    """On the connection of markets, where a block is read in one go."""
    (one, now), (two, _) = market_connection(), market_connection()
    told, staged = one.received(data, now), two._two_staged(data, now)
    assert told.events == staged.events
    assert (told.fault is None) is (staged.fault is None)


@pytest.mark.parametrize(
    ("ids", "news"),
    [
        pytest.param((4, 5, 6), (True, True, True), id="in order"),
        pytest.param((4, 6, 5), (True, True, False), id="late: what came since is newer"),
        pytest.param((4, 4, 5), (True, False, True), id="twice"),
        pytest.param((7, 8, 4), (True, True, False), id="after a hole"),
    ],
)
def test_the_short_way_keeps_the_order_of_a_channel(
    ids: tuple[int, ...], news: tuple[bool, ...]
) -> None:
    """Per channel the data are strictly increasing, whatever way they are read."""
    stream, now = market_connection()
    told = [
        bool(stream.received(frame("channel_data", i, "v4_markets", contents={
            "oraclePrices": price("BTC-USD")}), now).events)
        for i in ids
    ]  # fmt: skip
    assert tuple(told) == news
