"""Orders on the simulated Hyperliquid: what is refused in which words, and what the book gives."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from monitor.sim import orders as book_orders
from monitor.sim.addresses import HYPERLIQUID_MASTER
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.hyperliquid import account_views, history_views
from monitor.sim.hyperliquid.exchange_orders import on_tick
from monitor.sim.levers import move_price, set_liquidity
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.world import World
from tests.sim.hyperliquid.rig import START_S
from tests.sim.hyperliquid.trader import BTC, ETH, FARTCOIN, HYPE, LINK, SOL, Trader, order, stop

MATIC, XRP, NVDA, GOLD, SPOT, NOWHERE = 3, 4, 110_000, 110_001, 10_107, 90
MAIN = (HYPERLIQUID, HYPERLIQUID_MASTER, "")


def best(trader: Trader, coin: str) -> tuple[Decimal, Decimal]:
    """(best bid, best ask)."""
    top = trader.world.market(HYPERLIQUID, coin).top
    assert top is not None
    return top


def last_status(trader: Trader) -> str:
    """The status of the order that ended last."""
    return trader.world.pool(*MAIN).order_history[-1].status


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("wire", "text", "status"),
    [
        pytest.param(order(ETH, "0", "1000", buy=True), "Order has zero size.", "rejected",
                     id="nothing"),
        pytest.param(order(ETH, "1.00001", "1000", buy=True), "Order has invalid size.",
                     "rejected", id="finer than the size step"),
        pytest.param(order(ETH, "1", "0", buy=True), "Order has invalid price.", "rejected",
                     id="no price"),
        pytest.param(order(ETH, "1", "1000.11", buy=True), "Price must be divisible by tick size.",
                     "tickRejected", id="six figures"),
        pytest.param(order(XRP, "100", "0.1234567", buy=True),
                     "Price must be divisible by tick size.", "tickRejected",
                     id="seven decimals"),
        pytest.param(order(ETH, "0.009", "1000", buy=True, tif="Gtc"),
                     "Order must have minimum value of $10.", "minTradeNtlRejected",
                     id="below ten dollars"),
        pytest.param(order(ETH, "1", "1000", buy=True, reduce=True, tif="Gtc"),
                     "Reduce only order would increase position.", "reduceOnlyRejected",
                     id="reduce-only on the wrong side"),
        pytest.param(order(6, "100", "0.2", buy=False, reduce=True),
                     "Reduce only order would increase position.", "reduceOnlyRejected",
                     id="reduce-only without a position"),
        pytest.param(order(ETH, "1", "1000", buy=True),
                     "Order could not immediately match against any resting orders.",
                     "iocCancelRejected", id="immediate and too cheap"),
        pytest.param(order(ETH, "1", "1000", buy=True, tif="FrontendMarket"),
                     "No liquidity available for market order.",
                     "marketOrderNoLiquidityRejected", id="at market and too cheap"),
        pytest.param(stop(HYPE, "10", "99", buy=False, price="35"), "Invalid TP/SL price.",
                     "badTriggerPxRejected", id="a stop above the mark that sells"),
    ],
)  # fmt: skip
def test_an_order_is_refused_in_the_venues_words(wire: Any, text: str, status: str) -> None:
    """The text ends with the asset, and the order is remembered under its status."""
    trader = Trader()
    assert trader.orders(wire) == [{"error": f"{text} asset={wire['a']}"}]
    assert last_status(trader) == status


@pytest.mark.parametrize(
    ("price", "taken"),
    [
        pytest.param("123456", True, id="a whole number of six figures"),
        pytest.param("0.12345", True, id="five figures"),
        pytest.param("0.123456", False, id="six figures"),
        pytest.param("0.000123", True, id="six decimals"),
        pytest.param("1.5", True, id="few figures"),
    ],
)
def test_which_prices_are_ticks(price: str, *, taken: bool) -> None:
    """Five figures, six decimals less those of the size; whole numbers always."""
    market = World(7, START_S).market(HYPERLIQUID, "XRP")
    assert on_tick(market, Decimal(price)) is taken


@pytest.mark.parametrize(
    ("ratio", "refused"),
    [
        pytest.param("0.051", False, id="just near enough"),
        pytest.param("0.049", True, id="too far"),
    ],
)
def test_prices_stay_within_95_percent(ratio: str, *, refused: bool) -> None:
    """Both sides of the limit."""
    trader = Trader()
    (status,) = trader.orders(order(BTC, "1", trader.mark("BTC", ratio), buy=True, tif="Gtc"))
    assert ("error" in status) is refused
    if refused:
        text = "Order price cannot be more than 95% away from the reference price."
        assert status["error"] == f"{text} asset=0"


@pytest.mark.parametrize(
    ("asset", "text"),
    [
        pytest.param(MATIC, "Trading is halted.", id="delisted"),
        pytest.param(NOWHERE, "Invalid asset.", id="not listed"),
        pytest.param(NVDA - 1, "Invalid asset.", id="below the first builder's dex"),
        pytest.param(120_000, "Invalid asset.", id="no such dex"),
        pytest.param(SPOT, "Order has insufficient spot balance to trade.", id="spot"),
    ],
)
def test_assets_that_cannot_be_traded(asset: int, text: str) -> None:
    """Each in one status, the batch goes on."""
    trader = Trader()
    good = order(ETH, "1", trader.mark("ETH", "0.9"), buy=True, tif="Gtc")
    bad = order(asset, "1", "1", buy=True, tif="Gtc")
    first, second = trader.orders(bad, good)
    assert first == {"error": f"{text} asset={asset}"}
    assert list(second) == ["resting"]


def test_builders_dexes_are_pools_of_their_own() -> None:
    """The asset id names dex and market."""
    trader = Trader()
    price = trader.mark("xyz:NVDA", "0.98")
    (status,) = trader.orders(order(NVDA, "20", price, buy=False, reduce=True))
    assert status["filled"]["totalSz"] == "20"
    assert trader.position("xyz:NVDA", pool="xyz") == 200
    (resting,) = trader.orders(
        order(GOLD, "0.1", trader.mark("xyz:GOLD", "0.9"), buy=True, tif="Gtc")
    )
    assert resting["resting"]["oid"] in trader.world.pool(HYPERLIQUID, HYPERLIQUID_MASTER,
                                                          "xyz").orders  # fmt: skip


@pytest.mark.parametrize("over", [False, True], ids=["as much as there is", "a step more"])
def test_margin_bounds_what_is_opened(*, over: bool) -> None:
    """Both sides of what the free margin carries at the chosen leverage."""
    trader = Trader()
    trader.do({"type": "updateLeverage", "asset": XRP, "isCross": True, "leverage": 3})
    pool = trader.world.pool(*MAIN)
    market = trader.world.market(HYPERLIQUID, "XRP")
    free = pool.cross_equity - pool.initial_margin - account_views.order_margin(pool)
    size = int(free * 3 / market.mark_price) + over
    (status,) = trader.orders(order(XRP, str(size), trader.mark("XRP", "0.9"), buy=True, tif="Gtc"))
    if over:
        assert status == {"error": f"Insufficient margin to place order. asset={XRP}"}
        assert last_status(trader) == "perpMarginRejected"
    else:
        assert list(status) == ["resting"]


def test_a_large_position_needs_a_lower_leverage() -> None:
    """Beyond a tier's bound its leverage is the limit."""
    trader = Trader()
    trader.world.deposit(*MAIN, Decimal(50_000_000))
    wire = order(LINK, "3000000", trader.mark("LINK", "0.9"), buy=True, tif="Gtc")
    trader.world.pool(*MAIN).positions["LINK"].leverage = 10
    text = "Order would cause position to exceed margin tier limit at current leverage."
    assert trader.orders(wire) == [{"error": f"{text} asset={LINK}"}]
    trader.do({"type": "updateLeverage", "asset": LINK, "isCross": True, "leverage": 5})
    assert list(trader.orders(wire)[0]) == ["resting"]


def test_at_the_open_interest_cap_only_reduction_is_taken() -> None:
    """A growing and a flipping order are refused, a reducing one is not."""
    trader = Trader()
    trader.world.faults.inject(Fault(kind=FaultKind.INTEREST_CAPPED, market="SOL"))
    price = trader.mark("SOL", "0.98")
    text = "Order would increase open interest while open interest is capped. asset=2"
    grow = order(SOL, "10", price, buy=False)
    flip = order(SOL, "4000", trader.mark("SOL", "1.02"), buy=True)
    assert trader.orders(grow) == [{"error": text}]
    assert last_status(trader) == "positionIncreaseAtOpenInterestCapRejected"
    assert trader.orders(flip) == [{"error": text}]
    assert last_status(trader) == "positionFlipAtOpenInterestCapRejected"
    (status,) = trader.orders(order(SOL, "10", trader.mark("SOL", "1.02"), buy=True))
    assert "filled" in status


@pytest.mark.parametrize(
    ("count", "plain", "reducing"),
    [
        pytest.param(999, True, True, id="one below a thousand"),
        pytest.param(1_000, False, False, id="a thousand"),
    ],
)
def test_a_thousand_orders_are_the_limit(count: int, *, plain: bool, reducing: bool) -> None:
    """Both sides of it for an account of little volume."""
    trader = Trader()
    price = Decimal(trader.mark("ETH", "0.8"))
    standing = len(trader.world.pool(*MAIN).orders) + len(
        trader.world.pool(HYPERLIQUID, HYPERLIQUID_MASTER, "xyz").orders
    )
    for _ in range(count - standing):
        trader.world.place_order(*MAIN, "ETH", "buy", Decimal("0.01"), price)
    wire = order(ETH, "0.1", str(price), buy=True, tif="Gtc")
    assert ("resting" in trader.orders(wire)[0]) is plain
    if plain:
        trader.cancel((ETH, next(reversed(trader.world.pool(*MAIN).orders))))
    status = trader.orders(order(ETH, "1", trader.mark("ETH", "0.98"), buy=False, reduce=True))[0]
    assert ("filled" in status) is reducing


def test_volume_buys_room_for_more_orders_but_not_for_reducing_ones() -> None:
    """One more for every five million dollars; reduce-only and stops stop at a thousand."""
    trader = Trader()
    trader.world.account(HYPERLIQUID, HYPERLIQUID_MASTER).volume_usd = Decimal(5_000_000)
    price = Decimal(trader.mark("ETH", "0.8"))
    while (
        sum(
            len(pool.orders)
            for pool in trader.world.account(HYPERLIQUID, HYPERLIQUID_MASTER).pools.values()
        )
        < 1_000
    ):
        trader.world.place_order(*MAIN, "ETH", "buy", Decimal("0.01"), price)  # fmt: skip
    wire = order(ETH, "0.1", str(price), buy=True, tif="Gtc")
    error = "Too many open orders. asset=1"
    reduce = order(ETH, "1", trader.mark("ETH", "0.98"), buy=False, reduce=True)
    assert trader.orders(reduce) == [{"error": error}]
    assert trader.orders(stop(ETH, "1", trader.mark("ETH", "0.8"), buy=False)) == [{"error": error}]
    assert list(trader.orders(wire)[0]) == ["resting"]
    assert trader.orders(wire) == [{"error": error}]


def test_after_an_upgrade_only_post_only_orders_are_taken() -> None:
    """Reducing ones included; cancels work."""
    trader = Trader()
    trader.world.faults.inject(Fault(kind=FaultKind.POST_ONLY))
    ioc = order(ETH, "1", trader.mark("ETH", "0.98"), buy=False, reduce=True)
    alo = order(ETH, "1", trader.mark("ETH", "1.02"), buy=False, reduce=True, tif="Alo")
    first, second = trader.orders(ioc, alo)
    assert first["error"] == (
        "Only post-only orders allowed immediately after a network upgrade. asset=1"
    )
    assert trader.cancel((ETH, second["resting"]["oid"])) == ["success"]


# ------------------------------------------------------------------------------------- the book


def test_an_immediate_order_takes_what_is_within_its_limit() -> None:
    """Level by level; what is left over is cancelled; the next one finds the levels empty."""
    trader = Trader()
    set_liquidity(trader.world, [HYPERLIQUID], depth_factor=0.02, spread_factor=1.0)
    trader.world.advance(START_S + 1)
    market = trader.world.market(HYPERLIQUID, "ETH")
    levels = market.book.bids[:3]
    offered = sum(size for _, size in levels)
    assert offered < 30
    wire = order(ETH, "30", f"{levels[-1][0].normalize():f}", buy=False, reduce=True)
    (status,) = trader.orders(wire)
    filled = status["filled"]
    assert Decimal(filled["totalSz"]) == offered
    pool = trader.world.pool(*MAIN)
    mine = [fill for fill in pool.fills if fill.order_id == filled["oid"]]
    assert [(fill.price, fill.size) for fill in mine] == list(levels)
    paid = sum(price * size for price, size in levels)
    assert abs(Decimal(filled["avgPx"]) - paid / offered) < Decimal("0.01")
    assert (pool.order_history[-1].status, pool.order_history[-1].size) == (
        "canceled",
        30 - offered,
    )
    assert trader.position("ETH") == 30 - offered
    assert "could not immediately match" in trader.orders(wire)[0]["error"]
    trader.world.advance(START_S + 2)
    assert "filled" in trader.orders(order(ETH, "1", trader.mark("ETH", "0.99"), buy=False,
                                           reduce=True))[0]  # fmt: skip


def test_a_reduce_only_order_is_cut_to_the_position() -> None:
    """It never flips, however large."""
    trader = Trader()
    (status,) = trader.orders(order(SOL, "9999", trader.mark("SOL", "1.05"), buy=True, reduce=True))
    assert status["filled"]["totalSz"] == "1500"
    assert trader.position("SOL") is None
    assert last_status(trader) == "filled"


def test_a_small_close_goes_through_unless_the_venue_minds() -> None:
    """Whether the minimum binds a full close is not documented: both ways."""
    for strict in (False, True):
        trader = Trader()
        trader.world.trade(*MAIN, "SOL", Decimal("1499.99"))
        if strict:
            trader.world.faults.inject(Fault(kind=FaultKind.SMALL_CLOSES_REFUSED))
        half = order(SOL, "0.01", trader.mark("SOL", "1.02"), buy=True, reduce=True)
        (status,) = trader.orders(half)
        assert ("error" in status) is strict
        assert trader.position("SOL") == (Decimal("-0.01") if strict else None)


def test_resting_reducers_never_exceed_the_position_together() -> None:
    """The newer one is taken, the older one is cancelled."""
    trader = Trader()
    price = trader.mark("ETH", "1.04")
    wire = order(ETH, "20", price, buy=False, reduce=True, tif="Gtc")
    older, newer = trader.orders(wire, wire)
    pool = trader.world.pool(*MAIN)
    assert older["resting"]["oid"] not in pool.orders
    assert newer["resting"]["oid"] in pool.orders
    assert last_status(trader) == "reduceOnlyCanceled"


def test_post_only_orders_never_take() -> None:
    """The text tells both best prices."""
    trader = Trader()
    bid, ask = best(trader, "ETH")
    text = f"was {bid.normalize():f}@{ask.normalize():f}. asset=1"
    at_ask = order(ETH, "1", f"{ask.normalize():f}", buy=True, tif="Alo")
    assert trader.orders(at_ask)[0]["error"].endswith(text)
    assert last_status(trader) == "badAloPxRejected"
    at_bid = order(ETH, "1", f"{bid.normalize():f}", buy=True, tif="Alo")
    assert list(trader.orders(at_bid)[0]) == ["resting"]


def test_a_good_till_cancelled_order_takes_and_rests() -> None:
    """What the book gives at once is filled; the rest waits and can be cancelled."""
    trader = Trader()
    _, ask = best(trader, "ETH")
    market = trader.world.market(HYPERLIQUID, "ETH")
    offered = book_orders.within(market, 1, ask)[0][1]
    wire = order(ETH, str(offered + 5), f"{ask.normalize():f}", buy=True, tif="Gtc")
    (status,) = trader.orders(wire)
    assert Decimal(status["filled"]["totalSz"]) == offered
    left = trader.world.pool(*MAIN).orders[status["filled"]["oid"]]
    assert (left.size, left.original_size, left.status) == (5, offered + 5, "open")
    assert trader.cancel((ETH, left.order_id)) == ["success"]


# ------------------------------------------------------------------------------- stops and groups


def test_a_stop_works_when_the_mark_gets_there() -> None:
    """It is found by its kind, and closes once the price has fallen."""
    trader = Trader()
    trigger, worst = trader.mark("HYPE", "0.95"), trader.mark("HYPE", "0.85")
    (status,) = trader.orders(stop(HYPE, "800", trigger, buy=False, price=worst))
    (row,) = [
        row
        for row in history_views.open_orders(trader.world, HYPERLIQUID_MASTER, "",
                                             history_views.order_full)
        if isinstance(row, dict) and row["oid"] == status["resting"]["oid"]
    ]  # fmt: skip
    assert isinstance(row, dict)
    assert (row["orderType"], row["isTrigger"], row["tif"]) == ("Stop Market", True, None)
    move_price(trader.world, "HYPE", by=-0.12, over_s=1.0)
    trader.world.advance(START_S + 60)
    assert trader.position("HYPE") is None


def test_stops_of_an_order_wait_for_its_fill_and_one_ends_the_other() -> None:
    """They wait until the parent is filled; then the first that fills cancels the other."""
    trader = Trader()
    entry = order(HYPE, "100", trader.mark("HYPE", "0.97"), buy=True, tif="Gtc")
    sl = stop(HYPE, "100", trader.mark("HYPE", "0.9"), buy=False)
    tp = stop(HYPE, "100", trader.mark("HYPE", "1.02"), buy=False, tpsl="tp",
              price=trader.mark("HYPE", "0.95"))  # fmt: skip
    statuses = trader.orders(entry, sl, tp, grouping="normalTpsl")
    assert statuses[1:] == ["waitingForFill", "waitingForFill"]
    pool = trader.world.pool(*MAIN)
    parent = statuses[0]["resting"]["oid"]
    children = [one for one in pool.orders.values() if one.parent_id == parent]
    assert len(children) == 2
    place = book_orders.Place(trader.world, *MAIN, "HYPE")
    book_orders.fill_resting(place, pool.orders[parent], Decimal(100))
    assert [one.parent_id for one in children] == [None, None]
    move_price(trader.world, "HYPE", by=0.05, over_s=1.0)
    trader.world.advance(START_S + 60)
    assert [one.status for one in children] == ["siblingFilledCanceled", "filled"]


def test_stops_of_a_cancelled_order_go_with_it() -> None:
    """And a group whose order is refused has no stops at all."""
    trader = Trader()
    entry = order(HYPE, "100", trader.mark("HYPE", "0.97"), buy=True, tif="Gtc")
    sl = stop(HYPE, "100", trader.mark("HYPE", "0.9"), buy=False)
    before = set(trader.world.pool(*MAIN).orders)
    first, _ = trader.orders(entry, sl, grouping="normalTpsl")
    trader.cancel((HYPE, first["resting"]["oid"]))
    assert set(trader.world.pool(*MAIN).orders) == before
    refused = order(HYPE, "100", "0", buy=True)
    assert all("error" in one for one in trader.orders(refused, sl, grouping="normalTpsl"))
    assert set(trader.world.pool(*MAIN).orders) == before
    action = {"type": "order", "orders": [entry], "grouping": "normalTpsl"}
    assert trader.refused(action) == "Unexpected number of trigger orders"


def test_stops_of_a_position_end_with_it() -> None:
    """``waitingForTrigger``, shown as the position's, and gone once it is closed."""
    trader = Trader()
    sl = stop(SOL, "1500", trader.mark("SOL", "1.1"), buy=True)
    assert trader.orders(sl, grouping="positionTpsl") == ["waitingForTrigger"]
    (mine,) = [one for one in trader.world.pool(*MAIN).orders.values() if one.position_tpsl]
    trader.orders(order(SOL, "1500", trader.mark("SOL", "1.05"), buy=True, reduce=True))
    assert mine.status == "reduceOnlyCanceled"


# ---------------------------------------------------------------------------------------- changes


def test_a_change_that_cannot_be() -> None:
    """Gone orders and bad numbers leave things as they are; a refusal after that does not."""
    trader = Trader()
    price = trader.mark("ETH", "0.9")
    (status,) = trader.orders(order(ETH, "1", price, buy=True, tif="Gtc"))
    oid = status["resting"]["oid"]
    wire = order(ETH, "2", price, buy=True, tif="Gtc")
    gone = {"type": "modify", "oid": 1, "order": wire}
    assert trader.refused(gone) == "Cannot modify canceled or filled order"
    bad = {"type": "modify", "oid": oid, "order": {**wire, "p": "1000.11"}}
    assert trader.refused(bad) == "Price must be divisible by tick size. asset=1"
    assert oid in trader.world.pool(*MAIN).orders
    growing = {**wire, "s": "2000"}
    batch = {"type": "batchModify", "modifies": [{"oid": oid, "order": growing}]}
    (said,) = trader.do(batch)["data"]["statuses"]
    why = "Insufficient margin to place order. asset=1"
    assert said == {"error": f"Error placing new order during modify: {why}"}
    assert oid not in trader.world.pool(*MAIN).orders


def test_priority_is_paid_for() -> None:
    """On top of the usual fee, by immediate orders only."""
    fees = []
    for grouping in ("na", {"p": 100_000}):
        trader = Trader()
        wire = order(BTC, "0.1", trader.mark("BTC", "1.02"), buy=True, reduce=True)
        (status,) = trader.orders(wire, grouping=grouping)
        fills = [f for f in trader.world.pool(*MAIN).fills if f.order_id == status["filled"]["oid"]]
        fees.append(sum(f.fee_usd for f in fills) / sum(f.size * f.price for f in fills))
    assert fees[1] - fees[0] == pytest.approx(Decimal("0.001"), abs=Decimal("1e-6"))
    resting = order(BTC, "0.1", Trader().mark("BTC", "1.02"), buy=False, reduce=True, tif="Gtc")
    action = {"type": "order", "orders": [resting], "grouping": {"p": 1}}
    assert Trader().refused(action).startswith("Priority fees are only for ")


def test_an_isolated_market_takes_its_margin_out_of_the_pool() -> None:
    """A strictly isolated market's new position has cash of its own."""
    trader = Trader()
    trader.orders(order(FARTCOIN, "60000", trader.mark("FARTCOIN", "0.9"), buy=False, reduce=True))
    assert trader.position("FARTCOIN") is None
    (status,) = trader.orders(order(FARTCOIN, "1000", trader.mark("FARTCOIN", "1.05"), buy=True))
    assert "filled" in status
    position = trader.world.pool(*MAIN).positions["FARTCOIN"]
    assert position.isolated_cash is not None
    assert position.leverage == 5
