"""The simulated payloads beside recorded ones: the same keys, the same JSON types.

The recordings span two years and several versions, so a row says which keys the newer service adds;
everything else must agree exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from monitor.sim.dydx.feed import Feed
from monitor.sim.dydx.history import PnlLog
from monitor.sim.dydx.indexer import Indexer
from monitor.sim.dydx.payloads import accounts
from monitor.sim.dydx.payloads import markets as payloads
from monitor.sim.dydx.session import Session
from monitor.sim.world import World
from tests.shared_data import shared_data
from tests.sim.dydx.rig import ADDRESS, SEED, START_S, Audience


class Show:
    """One world in which everything of interest has happened."""

    def __init__(self) -> None:
        self.world = World(SEED, START_S)
        self.indexer = Indexer(self.world)
        self.audience = Audience()
        feed = Feed(self.indexer, self.audience)
        self.world.trade("dydx", ADDRESS, "0", "ETH-USD", Decimal(3))
        self.world.deposit("dydx", ADDRESS, "0", Decimal(-50))
        order = next(iter(self.world.account("dydx", ADDRESS).pools["0"].orders))
        self.world.cancel_order("dydx", ADDRESS, "0", order)
        feed.track("v4_orderbook", "BTC-USD")
        for _ in range(90):
            self.world.advance(self.world.now_s + 1)
            feed.happened(self.world.drain())
            feed.tick()
        PnlLog().tick(self.indexer)

    def said(self, channel: str, name: str) -> Any:
        """The first message of a channel that holds ``name``."""
        return next(contents for contents in self.audience.on(channel) if name in contents)

    def pool(self) -> Any:
        """The desk's first subaccount."""
        return self.world.account("dydx", ADDRESS).pools["0"]


@pytest.fixture(scope="module")
def show() -> Show:
    """One for the module: nothing here changes it."""
    return Show()


def as_json(value: Any) -> Any:
    """What a client would read."""
    return json.loads(msgspec.json.encode(value))


def recorded(path: str) -> Any:
    """A recorded body; the recorder's own wrapper is taken off."""
    body = json.loads(shared_data(f"venues/dydx/{path}").read_text())
    return body["result"] if isinstance(body, dict) and "requestId" in body else body


def kinds(row: dict[str, Any]) -> dict[str, str]:
    """Key to JSON type; what may be null or a string is called text."""
    named = {str: "text", type(None): "text", bool: "bool", int: "int", float: "float"}
    return {name: named.get(type(value), type(value).__name__) for name, value in row.items()}


NAUTILUS = "recorded-nautilus"
NEWER = "recorded-nautilus-2025-12"
ABACUS = "recorded-abacus"
Pick = Callable[[Any], Any]

CASES: list[Any] = [
    pytest.param(
        f"{NEWER}/http_get_perpetual_markets.json",
        lambda body: body["markets"]["BTC-USD"],
        lambda show: show.indexer.market_objects()["BTC-USD"],
        set(), id="market",
    ),
    pytest.param(
        f"{NEWER}/http_get_block_height.json", dict, lambda show: show.indexer.height(),
        set(), id="height",
    ),
    pytest.param(
        f"{NEWER}/http_get_historical_funding.json",
        lambda body: body["historicalFunding"][0],
        lambda show: show.indexer.historical_funding("BTC-USD")[0],
        set(), id="funding row",
    ),
    pytest.param(
        f"{NEWER}/http_get_candles.json",
        lambda body: body["candles"][0],
        lambda show: show.indexer.candles("BTC-USD", "1MIN")[1],
        set(), id="candle",
    ),
    pytest.param(
        f"{NEWER}/http_get_orderbook.json",
        lambda body: body["bids"][0],
        lambda show: payloads.book_snapshot(show.indexer.book("BTC-USD"))["bids"][0],  # type: ignore[index]
        set(), id="book level",
    ),
    pytest.param(
        f"{NEWER}/http_get_subaccount.json",
        lambda body: body["subaccount"],
        lambda show: show.indexer.subaccount(ADDRESS, 0),
        set(), id="subaccount",
    ),
    pytest.param(
        f"{NAUTILUS}/http/subaccount.json",
        lambda body: body["subaccount"]["openPerpetualPositions"]["ETH-USD"],
        lambda show: show.indexer.subaccount(ADDRESS, 0)["openPerpetualPositions"]["ETH-USD"],  # type: ignore[index]
        set(), id="position",
    ),
    pytest.param(
        f"{NAUTILUS}/http/asset_positions.json",
        lambda body: body["positions"][0],
        lambda show: accounts.asset_row(show.pool().cash, 0),
        set(), id="asset position",
    ),
    pytest.param(
        f"{NAUTILUS}/http/v4_fills.json",
        lambda body: body["fills"][0],
        lambda show: accounts.fill_row(ADDRESS, 0, show.pool().fills[-1], show.indexer.chain),
        {"positionSizeBefore"}, id="fill",
    ),
    pytest.param(
        f"{NAUTILUS}/http/order.json", dict,
        lambda show: next(
            row for row in show.indexer.orders(ADDRESS, [0]) if row["orderFlags"] == "0"
        ),
        set(), id="short-term order",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_accounts_fills.json",
        lambda frame: frame["contents"]["fills"][0],
        lambda show: show.said("v4_subaccounts", "fills")["fills"][0],
        {"affiliateRevShare"}, id="fill update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_accounts_fills.json",
        lambda frame: frame["contents"]["orders"][0],
        lambda show: show.said("v4_subaccounts", "fills")["orders"][0],
        set(), id="filled order update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_accounts_channel_data_order_opened.json",
        lambda frame: frame["contents"]["orders"][0],
        lambda show: show.said("v4_subaccounts", "orders")["orders"][0],
        set(), id="opened order update",
    ),
    pytest.param(
        f"{ABACUS}/ParentSubaccountsChannelMock.real_channel_batch_data.json",
        lambda frame: frame["contents"][0]["perpetualPositions"][0],
        lambda show: show.said("v4_parent_subaccounts", "assetPositions")["perpetualPositions"][0],
        set(), id="first part of a split position",
    ),
    pytest.param(
        f"{ABACUS}/ParentSubaccountsChannelMock.real_channel_batch_data.json",
        lambda frame: frame["contents"][1]["perpetualPositions"][0],
        lambda show: show.said("v4_parent_subaccounts", "fills")["perpetualPositions"][0],
        set(), id="second part of a split position",
    ),
    pytest.param(
        f"{ABACUS}/ParentSubaccountsChannelMock.real_channel_batch_data.json",
        lambda frame: frame["contents"][0]["assetPositions"][0],
        lambda show: show.said("v4_subaccounts", "assetPositions")["assetPositions"][0],
        set(), id="asset update",
    ),
    pytest.param(
        f"{ABACUS}/TransfersMock.channel_data.json",
        lambda frame: frame["contents"]["transfers"],
        lambda show: show.said("v4_subaccounts", "transfers")["transfers"],
        set(), id="withdrawal update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_accounts_rewards.json",
        lambda frame: frame["contents"]["tradingReward"],
        lambda show: show.said("v4_subaccounts", "tradingReward")["tradingReward"],
        set(), id="reward update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_markets_oracle_price.json",
        lambda frame: next(iter(frame["contents"]["oraclePrices"].values())),
        lambda show: show.said("v4_markets", "oraclePrices")["oraclePrices"]["BTC-USD"],
        set(), id="oracle update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_markets_channel_data_v8.json",
        lambda frame: frame["contents"]["trading"]["TRY-USD"],
        lambda show: payloads.full_trading_object(
            show.indexer.markets["BTC-USD"],
            show.indexer.listings["BTC-USD"],
            show.indexer.statistics["BTC-USD"],
        ),
        set(), id="whole market update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_trades.json",
        lambda frame: frame["contents"]["trades"][0],
        lambda show: show.said("v4_trades", "trades")["trades"][0],
        {"createdAtHeight"}, id="trade update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_block_height_channel_data.json",
        lambda frame: frame["contents"],
        lambda show: show.said("v4_block_height", "blockHeight"),
        set(), id="block height update",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/v4_block_height_subscribed.json",
        lambda frame: frame["contents"],
        lambda show: show.indexer.snapshot("v4_block_height", "v4_block_height"),
        set(), id="block height snapshot",
    ),
    pytest.param(
        f"{ABACUS}/ParentSubaccountsChannelMock.real_subscribed.json",
        lambda frame: frame["contents"]["subaccount"],
        lambda show: show.indexer.parent(ADDRESS, 0),
        set(), id="parent snapshot",
    ),
    pytest.param(
        f"{ABACUS}/ParentSubaccountsChannelMock.real_subscribed.json",
        lambda frame: frame["contents"],
        lambda show: show.indexer.snapshot("v4_parent_subaccounts", f"{ADDRESS}/0"),
        {"blockHeight"}, id="parent snapshot contents",
    ),
    pytest.param(
        f"{ABACUS}/ParentSubaccountsChannelMock.real_subscribed.json",
        lambda frame: frame["contents"]["orders"][0],
        lambda show: next(
            row for row in show.indexer.orders(ADDRESS, [0]) if row["orderFlags"] == "64"
        ),
        set(), id="resting order of a snapshot",
    ),
    pytest.param(
        f"{NAUTILUS}/ws/connected.json", dict,
        lambda show: msgspec.json.decode(Session("c", show.indexer.is_ticker).opened()),
        set(), id="connected",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "theirs", "ours", "added"), CASES)
def test_shape(show: Show, path: str, theirs: Pick, ours: Pick, added: set[str]) -> None:
    """Same keys and JSON types as recorded, but for the keys that are newer than the recording."""
    want, got = kinds(theirs(recorded(path))), kinds(as_json(ours(show)))
    assert {name: kind for name, kind in got.items() if name not in added} == want
    assert added <= set(got)


def test_book_update_levels_are_arrays(show: Show) -> None:
    """As recorded: pairs of strings, while the snapshot has objects."""
    frame = recorded(f"{NAUTILUS}/ws/v4_orderbook.json")["contents"]["bids"][0]
    level = next(iter(as_json(show.audience.on("v4_orderbook")[0]).values()))[0]
    assert [type(part) for part in level] == [type(part) for part in frame] == [str, str]
