"""Which messages the simulated dYdX sends for what happens, and what is in them."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from monitor.core.types import MarketStatus
from monitor.sim.dydx.feed import Feed
from monitor.sim.dydx.indexer import Indexer
from monitor.sim.dydx.payloads import markets as payloads
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.occurrences import BlockMade
from monitor.sim.world import World
from tests.sim.dydx.rig import ADDRESS, TO_TICK_S, Audience, Json, fresh, size_of

ACCOUNT = f"{ADDRESS}/0"
PAST_TICK_S = TO_TICK_S + 10


class Stage:
    """A world whose events go straight to a feed that somebody listens to."""

    def __init__(self) -> None:
        self.world, self.indexer = fresh()
        self.audience = Audience()
        self.feed = Feed(self.indexer, self.audience)

    def run(self, seconds: float, step_s: float = 0.5) -> None:
        """Advance and publish in steps."""
        for _ in range(int(seconds / step_s)):
            self.world.advance(self.world.now_s + step_s)
            events = self.world.drain()
            for event in events:
                if isinstance(event, BlockMade) and event.venue == "dydx":
                    self.indexer.chain.make_block(event.height, event.time_s)
            self.feed.happened(events)
            self.feed.tick()

    def account(self, channel: str = "v4_subaccounts") -> list[Json]:
        """What an account channel said."""
        return self.audience.on(channel)


@pytest.fixture
def stage() -> Stage:
    """A fresh stage."""
    return Stage()


def trade(stage: Stage, size: str, symbol: str = "BTC-USD", pool: str = "0") -> None:
    """The desk takes from the book and the feed hears of it."""
    stage.world.trade("dydx", ADDRESS, pool, symbol, Decimal(size))
    stage.run(0.5)


# ------------------------------------------------------------------------------------- accounts


def test_fill_comes_in_parts_and_the_first_has_the_old_cost_basis(stage: Stage) -> None:
    """Order opened, size on the old basis with the USDC, then fill with the repaired basis."""
    position = stage.world.account("dydx", ADDRESS).pools["0"].positions["BTC-USD"]
    held, entry = position.size, position.entry_price
    trade(stage, "0.8")
    opened, first, second, reward = stage.account()
    assert opened["orders"][0]["status"] == "BEST_EFFORT_OPENED"
    old, new = first["perpetualPositions"][0], second["perpetualPositions"][0]
    assert Decimal(old["size"]) == Decimal(new["size"]) == held + Decimal("0.8")
    assert Decimal(old["entryPrice"]) == entry
    assert Decimal(new["entryPrice"]) == position.entry_price != entry
    assert Decimal(new["sumOpen"]) - Decimal(old["sumOpen"]) == Decimal("0.8")
    assert "unrealizedPnl" in old
    assert "unrealizedPnl" not in new
    assert first["assetPositions"][0]["symbol"] == "USDC"
    assert second["fills"][0]["ticker"] == "BTC-USD"
    assert "market" not in second["fills"][0]
    assert second["orders"][0]["status"] == "FILLED"
    assert second["orders"][0]["orderFlags"] == "0"
    assert Decimal(reward["tradingReward"]["tradingReward"]) > 0


def test_new_position_appears_with_entry_zero_and_an_absurd_profit(stage: Stage) -> None:
    """The first part of a new position has entryPrice 0 and its whole notional as profit."""
    trade(stage, "100", "AVAX-USD")
    first = stage.account()[1]["perpetualPositions"][0]
    price = stage.world.market("dydx", "AVAX-USD").oracle_price
    assert (first["size"], first["entryPrice"], first["sumOpen"]) == ("100", "0", "0")
    assert Decimal(first["unrealizedPnl"]) == 100 * price


def test_closed_position_has_status_closed_and_a_zero_with_decimals(stage: Stage) -> None:
    """Closing sends CLOSED and "0.00" in both parts; USDC may end on the other side."""
    trade(stage, str(-size_of(stage.world, "BTC-USD")))
    parts = [m["perpetualPositions"][0] for m in stage.account() if "perpetualPositions" in m]
    assert [(part["status"], part["size"]) for part in parts] == [("CLOSED", "0.00")] * 2
    assert parts[1]["exitPrice"] is not None


def test_short_is_negative_and_usdc_debt_is_a_short_asset(stage: Stage) -> None:
    """Position sizes are signed; asset sizes are not, their side says it."""
    trade(stage, str(-size_of(stage.world, "BTC-USD") - Decimal("0.8")))
    pool = stage.world.account("dydx", ADDRESS).pools["0"]
    price = stage.world.market("dydx", "BTC-USD").oracle_price
    trade(stage, str(((pool.cash + pool.equity) / price).quantize(Decimal(1))))
    position = stage.account()[2]["perpetualPositions"][0]
    assets = [m["assetPositions"][0] for m in stage.account() if "assetPositions" in m]
    cash = pool.cash
    assert position["size"] == "-0.8"
    assert cash < 0
    assert assets[-1]["side"] == "SHORT"
    assert Decimal(assets[-1]["size"]) == -cash


def test_nothing_is_said_when_funding_accrues_or_the_oracle_moves(stage: Stage) -> None:
    """An hour with a funding tick leaves the account channels silent, while equity changes."""
    pool = stage.world.account("dydx", ADDRESS).pools["0"]
    cash = pool.cash
    before = stage.indexer.subaccount(ADDRESS, 0)
    stage.run(PAST_TICK_S, step_s=5)
    after = stage.indexer.subaccount(ADDRESS, 0)
    assert stage.account() == []
    assert stage.account("v4_parent_subaccounts") == []
    assert pool.cash == cash
    assert before["assetPositions"] != after["assetPositions"]
    assert before["updatedAtHeight"] == after["updatedAtHeight"]


def test_lazy_funding_is_settled_by_the_next_update(stage: Stage) -> None:
    """The snapshot's USDC is adjusted at once; the settled balance follows with the next fill."""
    stage.run(PAST_TICK_S, step_s=5)
    due = stage.world.account("dydx", ADDRESS).pools["0"].cash_with_funding
    stage.world.deposit("dydx", ADDRESS, "0", Decimal(10))
    stage.run(0.5)
    (asset,) = stage.account()[0]["assetPositions"]
    assert Decimal(asset["size"]) == due + 10


def test_parent_hears_of_its_children_with_their_number(stage: Stage) -> None:
    """A child's fill comes on the parent's key with the child's number in the envelope."""
    trade(stage, "-100", "FARTCOIN-USD", "128")
    heard = [row for row in stage.audience.heard if row[0] == "v4_parent_subaccounts"]
    assert {(key, number) for _, key, _, number in heard} == {(ACCOUNT, 128)}
    own = {key for channel, key, *_ in stage.audience.heard if channel == "v4_subaccounts"}
    assert own == {f"{ADDRESS}/128"}


def test_transfer_between_children_is_stripped_for_the_parent(stage: Stage) -> None:
    """Only the height is left of it, while both subaccounts hear it whole."""
    stage.world.transfer(("dydx", ADDRESS, "0"), ("dydx", ADDRESS, "128"), Decimal(50))
    stage.run(0.5)
    own = [m["transfers"] for m in stage.account() if "transfers" in m]
    parent = stage.account("v4_parent_subaccounts")
    assert [row["type"] for row in own] == ["TRANSFER_OUT", "TRANSFER_IN"]
    assert own[0]["sender"] == {"address": ADDRESS, "subaccountNumber": 0}
    assert own[0]["recipient"] == {"address": ADDRESS, "subaccountNumber": 128}
    assert not any("transfers" in message for message in parent)
    assert {"blockHeight"} in [set(message) for message in parent]


def test_withdrawal_to_a_wallet_has_no_number_on_that_side(stage: Stage) -> None:
    """The wallet is an address only, and the parent is told."""
    stage.world.deposit("dydx", ADDRESS, "0", Decimal(-120))
    stage.run(0.5)
    (told,) = [m["transfers"] for m in stage.account("v4_parent_subaccounts") if "transfers" in m]
    assert told["type"] == "WITHDRAWAL"
    assert told["size"] == "120"
    assert "subaccountNumber" not in told["recipient"]


def test_order_life_is_open_then_a_short_removal(stage: Stage) -> None:
    """A limit order is long-term; its removal carries only what a removal needs."""
    order = stage.world.place_order(
        "dydx", ADDRESS, "0", "ETH-USD", "buy", Decimal(1), Decimal(1500)
    )
    stop = stage.world.place_order(
        "dydx", ADDRESS, "0", "BTC-USD", "sell", Decimal(1), Decimal(40_000),
        trigger_price=Decimal(50_000), reduce_only=True,
    )  # fmt: skip
    stage.world.cancel_order("dydx", ADDRESS, "0", order.order_id)
    stage.run(0.5)
    placed, triggered, removed = [m["orders"][0] for m in stage.account()]
    assert (placed["status"], placed["orderFlags"], placed["goodTilBlock"]) == ("OPEN", "64", None)
    assert (triggered["status"], triggered["orderFlags"]) == ("UNTRIGGERED", "32")
    assert (triggered["type"], triggered["triggerPrice"]) == ("STOP_MARKET", "50000")
    assert stop.order_id != order.order_id
    assert removed == {
        "id": placed["id"],
        "subaccountId": placed["subaccountId"],
        "clientId": placed["clientId"],
        "clobPairId": "1",
        "orderFlags": "64",
        "status": "CANCELED",
        "ticker": "ETH-USD",
        "removalReason": "ORDER_REMOVAL_REASON_USER_CANCELED",
    }


def test_liquidation_is_a_fill_of_type_liquidated(stage: Stage) -> None:
    """Money leaves until maintenance is broken; the fills say why."""
    pool = stage.world.account("dydx", ADDRESS).pools["128"]
    needed = pool.maintenance_margin
    stage.world.deposit("dydx", ADDRESS, "128", -(pool.equity - needed * Decimal("0.9")))
    stage.run(2)
    fills = [row for m in stage.account() for row in m.get("fills", [])]
    assert {row["type"] for row in fills} == {"LIQUIDATED"}


# -------------------------------------------------------------------------------------- markets


def test_oracle_prices_come_one_ticker_at_a_time_and_only_when_moved(stage: Stage) -> None:
    """Usually one market per message, now and then all; a repeat of a price is never sent."""
    stage.run(60)
    updates = [m["oraclePrices"] for m in stage.audience.on("v4_markets") if "oraclePrices" in m]
    sizes = [len(update) for update in updates]
    last: dict[str, str] = {}
    for update in updates:
        for ticker, row in update.items():
            assert row["oraclePrice"] != last.get(ticker)
            assert set(row) == {"oraclePrice", "effectiveAt", "effectiveAtHeight", "marketId"}
            last[ticker] = row["oraclePrice"]
    assert sizes.count(1) > 100
    assert max(sizes) > 10
    assert Decimal(last["BTC-USD"]) == stage.world.market("dydx", "BTC-USD").oracle_price


def test_frozen_oracle_is_silence(stage: Stage) -> None:
    """A stale oracle sends nothing, while the book moves on."""
    stage.world.faults.inject(Fault(kind=FaultKind.STALE_ORACLE, venue="dydx"))
    stage.feed.track("v4_orderbook", "BTC-USD")
    stage.run(30)
    assert not [m for m in stage.audience.on("v4_markets") if "oraclePrices" in m]
    assert stage.audience.on("v4_orderbook")


def test_trading_updates_every_thirty_seconds_with_changed_fields_only(stage: Stage) -> None:
    """A diff has no ticker or id inside; REST shows the same refresh in between."""
    before = stage.indexer.market_objects()
    stage.run(29.5)
    assert not [m for m in stage.audience.on("v4_markets") if "trading" in m]
    assert (
        stage.indexer.market_objects()["BTC-USD"]["openInterest"]
        == (before["BTC-USD"]["openInterest"])
    )
    stage.run(61)
    updates = [m["trading"] for m in stage.audience.on("v4_markets") if "trading" in m]
    allowed = {"trades24H", "volume24H", "priceChange24H", "openInterest", "nextFundingRate"}
    assert len(updates) == 3
    assert all(set(row) <= allowed for update in updates for row in update.values())
    merged = {**before["BTC-USD"]}
    for update in updates:
        merged |= update.get("BTC-USD", {})
    now = stage.indexer.market_objects()["BTC-USD"]
    assert {name: merged[name] for name in allowed} == {name: now[name] for name in allowed}


def test_trading_diff_leaves_out_what_did_not_change() -> None:
    """Two refreshes that differ in one field give that field alone."""
    before = payloads.Statistics("1", "2", 3, "4", "0.000001")
    after = payloads.Statistics("1", "2", 3, "4", "0.000002")
    assert payloads.trading_diff(before, after) == {"nextFundingRate": "0.000002"}
    assert payloads.trading_diff(after, after) == {}


def test_a_whole_market_is_sent_now_and_then_and_when_its_status_changes(stage: Stage) -> None:
    """A full object has ids and margins, but no oracle price."""
    stage.world.market("dydx", "ATOM-USD").status = MarketStatus.FINAL_SETTLEMENT
    stage.run(0.5)
    (update,) = [m["trading"] for m in stage.audience.on("v4_markets") if "trading" in m]
    whole = update["ATOM-USD"]
    assert whole["status"] == "FINAL_SETTLEMENT"
    assert whole["id"] == whole["clobPairId"]
    assert whole["marketId"] != int(whole["clobPairId"])
    assert "oraclePrice" not in whole
    stage.run(620, step_s=5)
    updates = [m["trading"] for m in stage.audience.on("v4_markets") if "trading" in m]
    assert len([u for u in updates if any("ticker" in row for row in u.values())]) == 2


def test_predicted_funding_is_the_mean_of_the_samples_so_far(stage: Stage) -> None:
    """Right after the tick the old value stays; then it is the mean premium, unpadded."""
    market = stage.world.market("dydx", "ETH-USD")
    stage.run(TO_TICK_S + 1)
    assert market.meter.count == 0
    kept = market.funding_rate_hourly
    assert kept == Decimal(stage.indexer.market_objects()["ETH-USD"]["nextFundingRate"])  # type: ignore[arg-type]
    stage.run(180)
    mean = market.meter.total / market.meter.count / 8
    assert float(market.funding_rate_hourly) == pytest.approx(mean, abs=1e-10)
    assert market.meter.count == 3


def test_base_open_interest_is_frozen_and_wrong(stage: Stage) -> None:
    """It differs from the open interest and never changes."""
    before = stage.indexer.market_objects()["BTC-USD"]
    stage.run(120)
    after = stage.indexer.market_objects()["BTC-USD"]
    assert before["openInterest"] != after["openInterest"]
    assert before["baseOpenInterest"] == after["baseOpenInterest"] != after["openInterest"]


# -------------------------------------------------------------------- books, tape, candles, blocks


def apply(book: dict[str, dict[str, str]], update: Json) -> None:
    """What a client does with an update."""
    for side, levels in update.items():
        for price, size in levels:
            if size == "0":
                del book[side][price]
            else:
                book[side][price] = size


def test_book_updates_rebuild_the_next_snapshot(stage: Stage) -> None:
    """Objects in the snapshot, arrays of absolute sizes afterwards; sides may be absent."""
    snapshot = stage.indexer.snapshot("v4_orderbook", "BTC-USD")
    stage.feed.track("v4_orderbook", "BTC-USD")
    book = {
        side: {row["price"]: row["size"] for row in rows}
        for side, rows in snapshot.items()  # type: ignore[attr-defined]
    }
    assert all(20 < len(side) <= 100 for side in book.values())
    stage.run(20)
    updates = stage.audience.on("v4_orderbook")
    for update in updates:
        apply(book, update)
    now = stage.indexer.snapshot("v4_orderbook", "BTC-USD")
    for side, rows in now.items():
        assert book[side] == {row["price"]: row["size"] for row in rows}  # type: ignore[attr-defined]
    assert len(updates) > 20


def test_book_is_crossed_for_a_moment_now_and_then(stage: Stage) -> None:
    """Most instants are clean; some have a bid above the ask, and it goes away."""
    crossed = []
    for _ in range(400):
        stage.world.advance(stage.world.now_s + 1)
        book = stage.indexer.book("SOL-USD")
        crossed.append(book.bids[0][0] >= book.asks[0][0])
    changes = sum(a != b for a, b in pairwise(crossed))
    assert 0 < sum(crossed) < 40
    assert changes >= 4


def test_tape_and_candle_follow_a_trade(stage: Stage) -> None:
    """The print is on v4_trades and in the running minute."""
    stage.feed.track("v4_candles", "BTC-USD/1MIN")
    trade(stage, "0.25")
    trades = [row for m in stage.audience.on("v4_trades") for row in m["trades"]]
    ours = [row for row in trades if row["size"] == "0.25"]
    candle = stage.audience.on("v4_candles")[-1]
    assert [(row["side"], row["type"]) for row in ours] == [("BUY", "LIMIT")]
    assert isinstance(candle["trades"], int)
    assert Decimal(candle["baseTokenVolume"]) >= Decimal("0.25")
    assert candle == stage.indexer.candles("BTC-USD", "1MIN")[0] | {
        "startingOpenInterest": candle["startingOpenInterest"]
    }


def test_one_block_height_per_block_under_another_key(stage: Stage) -> None:
    """The snapshot says height, updates say blockHeight."""
    snapshot = stage.indexer.snapshot("v4_block_height", "v4_block_height")
    stage.run(5)
    heights = [int(m["blockHeight"]) for m in stage.audience.on("v4_block_height")]
    assert set(snapshot) == {"height", "time"}
    assert heights == list(range(int(str(snapshot["height"])) + 1, heights[-1] + 1))
    assert len(heights) == 5


def test_candle_resolutions_fold_the_same_minutes(stage: Stage) -> None:
    """An hour's volume is the sum of its minutes; newest first."""
    minutes = stage.indexer.candles("ETH-USD", "1MIN")
    hours = stage.indexer.candles("ETH-USD", "1HOUR")
    hour = hours[1]
    start = str(hour["startedAt"])[:13]
    inside = [row for row in minutes if str(row["startedAt"]).startswith(start)]
    assert len(inside) == 60
    assert hour["high"] == max((row["high"] for row in inside), key=lambda p: Decimal(str(p)))
    assert hour["open"] == inside[-1]["open"]
    assert hour["close"] == inside[0]["close"]
    assert str(hours[0]["startedAt"]) > start


def test_same_seed_same_messages() -> None:
    """Two runs of the same world say the same."""
    first, second = Stage(), Stage()
    for one in (first, second):
        trade(one, "1")
        one.run(35)
    assert first.audience.heard == second.audience.heard


def test_frozen_copy_does_not_move(stage: Stage) -> None:
    """Markets, books, tape, candles and accounts of a lagging indexer stand still."""
    world, indexer = stage.world, stage.indexer

    def everything(of: Indexer) -> list[object]:
        return [
            of.market_objects(), of.snapshot("v4_orderbook", "ETH-USD"), of.trades("BTC-USD"),
            of.candles("BTC-USD", "1MIN"), of.parent(ADDRESS, 0), of.orders(ADDRESS, [0, 128]),
            of.historical_funding("BTC-USD"), of.height(),
        ]  # fmt: skip

    indexer.freeze()
    before = everything(indexer)
    world.trade("dydx", ADDRESS, "0", "BTC-USD", Decimal(1))
    world.advance(world.now_s + PAST_TICK_S)
    assert everything(indexer) == before
    indexer.thaw()
    assert all(now != then for now, then in zip(everything(indexer)[:5], before[:5], strict=True))


def test_level_changes_name_only_what_changed() -> None:
    """Gone levels get a zero; unchanged ones are not named; an unchanged side is absent."""
    world = World(1, 1_700_000_000.0)
    book = world.market("dydx", "BTC-USD").book
    thinner = type(book)(bids=book.bids[1:], asks=book.asks)
    update = payloads.book_update(book, thinner)
    assert update == {"bids": [[str(book.bids[0][0]), "0"], *_entering(book.bids)]}


def _entering(levels: tuple[tuple[Decimal, Decimal], ...]) -> list[list[str]]:
    """The hundredth level that comes into view when the first goes."""
    return [[str(price), str(size)] for price, size in levels[100:101]]
