"""Leverage, margin, TWAPs, the dead man's switch and the request budget of the simulated
Hyperliquid, as actions change them and as the venue shows them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from monitor.sim.accounts import SimAccount
from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SIGNER, HYPERLIQUID_SUBACCOUNT
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.hyperliquid import info
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.world import World
from tests.sim.hyperliquid.rig import START_S, data_of, make_offline, say, subscribe, take
from tests.sim.hyperliquid.trader import BTC, ETH, FARTCOIN, SOL, Trader, order, sign

MAIN = (HYPERLIQUID, HYPERLIQUID_MASTER, "")
NOOP = {"type": "noop"}
SCHEDULE = {"type": "scheduleCancel"}


def account_of(trader: Trader) -> SimAccount:
    """The main account."""
    return trader.world.account(HYPERLIQUID, HYPERLIQUID_MASTER)


def ask(world: World, kind: str, **fields: object) -> Any:
    """The answer to an info request about the main account."""
    request = {"type": kind, "user": HYPERLIQUID_MASTER, **fields}
    return json.loads(info.answer(world, json.dumps(request).encode()).body)


def now_ms(trader: Trader) -> int:
    """The world's time."""
    return round(trader.world.now_s * 1_000)


# ------------------------------------------------------------------------------------- leverage


@pytest.mark.parametrize(
    ("asset", "cross", "leverage", "refusal"),
    [
        pytest.param(BTC, True, 40, None, id="the most there is"),
        pytest.param(BTC, True, 41, "Invalid leverage value. asset=0", id="more than there is"),
        pytest.param(BTC, True, 0, "Invalid leverage value. asset=0", id="none"),
        pytest.param(BTC, False, 20, "Cannot switch leverage type with open position.",
                     id="isolated with an open cross position"),
        pytest.param(FARTCOIN, True, 2, "Cross margin is not allowed for this asset.",
                     id="cross on an isolated market"),
        pytest.param(BTC, True, 1, None, id="the least, with margin for it"),
        pytest.param(ETH, True, 1, None, id="the least, for the long"),
    ],
)  # fmt: skip
def test_leverage(asset: int, cross: bool, leverage: int, refusal: str | None) -> None:
    """What is allowed shows on the position; what is not changes nothing."""
    trader = Trader()
    trader.world.deposit(*MAIN, Decimal(400_000))
    action = {"type": "updateLeverage", "asset": asset, "isCross": cross, "leverage": leverage}
    if refusal is None:
        assert trader.do(action) == {"type": "default"}
        coin = "BTC" if asset == BTC else "ETH"
        assert trader.world.pool(*MAIN).positions[coin].leverage == leverage
    else:
        assert trader.refused(action) == refusal


def test_lower_leverage_needs_margin() -> None:
    """A position keeps its size; without the margin its leverage stays too."""
    trader = Trader()
    trader.world.deposit(*MAIN, Decimal(-60_000))
    action = {"type": "updateLeverage", "asset": BTC, "isCross": True, "leverage": 1}
    assert trader.refused(action) == "Insufficient margin."
    assert trader.world.pool(*MAIN).positions["BTC"].leverage == 20


def test_isolated_margin_moves_both_ways_where_it_may() -> None:
    """Into a strictly isolated position only; a cross position has none."""
    trader = Trader()
    pool = trader.world.pool(*MAIN)
    before = (pool.cash, pool.positions["FARTCOIN"].isolated_cash or Decimal(0))
    action = {"type": "updateIsolatedMargin", "asset": FARTCOIN, "isBuy": True, "ntli": 250_000_000}
    trader.do(action)
    assert (pool.cash, pool.positions["FARTCOIN"].isolated_cash) == (
        before[0] - 250,
        before[1] + 250,
    )
    assert trader.refused({**action, "ntli": -1_000_000}) == "Insufficient margin."
    assert trader.refused({**action, "ntli": 10**15}) == "Insufficient margin."
    assert trader.refused({**action, "asset": BTC}) == "Position does not use isolated margin."


# ---------------------------------------------------------------------------- the dead man's switch


@pytest.mark.parametrize(
    ("ahead_ms", "taken"),
    [pytest.param(5_000, True, id="five"), pytest.param(4_999, False, id="less")],
)
def test_the_switch_is_set_five_seconds_ahead(ahead_ms: int, *, taken: bool) -> None:
    """Both sides of the limit."""
    trader = Trader()
    action = {**SCHEDULE, "time": now_ms(trader) + ahead_ms}
    if taken:
        trader.do(action)
    else:
        assert trader.refused(action).startswith("Scheduled cancel time must be at least 5 seconds")


def test_the_switch_cancels_everything_but_positions() -> None:
    """Stops included, on all dexes, at its time and not before; a cleared one does not."""
    trader = Trader()
    held = dict(trader.world.pool(*MAIN).positions)
    trader.do({**SCHEDULE, "time": now_ms(trader) + 10_000})
    trader.world.advance(START_S + 9.5)
    assert trader.world.pool(*MAIN).orders
    trader.do({**SCHEDULE, "time": now_ms(trader) + 10_000})
    trader.do(SCHEDULE)
    trader.world.advance(START_S + 30)
    assert trader.world.pool(*MAIN).orders
    trader.do({**SCHEDULE, "time": now_ms(trader) + 5_000})
    trader.world.advance(START_S + 36)
    pools = account_of(trader).pools
    assert [len(pool.orders) for pool in pools.values()] == [0, 0]
    assert {pools[""].order_history[-1].status, pools["xyz"].order_history[-1].status} == {
        "scheduledCancel"
    }
    assert trader.world.pool(*MAIN).positions.keys() == held.keys()


def test_the_switch_fires_ten_times_a_day() -> None:
    """Setting it anew does not count; midnight does."""
    trader = Trader()
    for _ in range(10):
        trader.do({**SCHEDULE, "time": now_ms(trader) + 50_000})
        trader.do({**SCHEDULE, "time": now_ms(trader) + 5_000})
        trader.world.advance(trader.world.now_s + 6)
    refusal = trader.refused({**SCHEDULE, "time": now_ms(trader) + 5_000})
    assert refusal == "Too many scheduled cancels triggered for the day"
    account_of(trader).cancels_fired = (0, 10)
    trader.do({**SCHEDULE, "time": now_ms(trader) + 5_000})


def test_the_switch_needs_a_million_of_volume() -> None:
    """In the venue's own words, for setting and for clearing."""
    trader = Trader()
    account_of(trader).volume_usd = Decimal("40988.83")
    assert trader.refused({**SCHEDULE, "time": now_ms(trader) + 5_000}) == (
        "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. "
        "Traded: $40988.83."
    )
    account_of(trader).volume_usd = Decimal(1_000_000)
    trader.do({**SCHEDULE, "time": now_ms(trader) + 5_000})


# ------------------------------------------------------------------------------------------ TWAPs


def twap(asset: int, size: str, *, buy: bool, minutes: int = 5, reduce: bool = True) -> Any:
    """A TWAP as it stands on the wire."""
    wire = {"a": asset, "b": buy, "s": size, "r": reduce, "m": minutes, "t": False}
    return {"type": "twapOrder", "twap": wire}


def test_a_twap_works_through_slices() -> None:
    """A slice every half minute, whole at the end, seen everywhere the venue shows it."""
    trader = Trader()
    status = trader.do(twap(SOL, "1000", buy=True))["data"]["status"]
    twap_id = status["running"]["twapId"]
    sizes = []
    for number in range(10):
        trader.world.advance(START_S + 1 + 30 * number)
        sizes.append(trader.position("SOL"))
        if number == 4:
            ((shown_id, state),) = ask(trader.world, "webData2")["twapStates"]
            assert (shown_id, state["executedSz"], state["sz"]) == (twap_id, "500.0", "1000.0")
    assert sizes == [Decimal(-1_500 + 100 * (number + 1)) for number in range(10)]
    assert ask(trader.world, "webData2")["twapStates"] == []
    history = ask(trader.world, "twapHistory")
    assert [row["status"] for row in history] == [{"status": "finished"}, {"status": "activated"}]
    assert {row["twapId"] for row in history} == {twap_id}
    assert history[0]["state"]["executedSz"] == "1000.0"
    slices = ask(trader.world, "userTwapSliceFills")
    assert sum(Decimal(row["fill"]["sz"]) for row in slices) == 1_000
    assert {(row["twapId"], row["fill"]["twapId"]) for row in slices} == {(twap_id, twap_id)}


def test_a_twap_is_cancelled_where_it_stands() -> None:
    """What it has traded stays; a second cancel finds nothing."""
    trader = Trader()
    twap_id = trader.do(twap(SOL, "1000", buy=True))["data"]["status"]["running"]["twapId"]
    trader.world.advance(START_S + 31)
    cancel = {"type": "twapCancel", "a": SOL, "t": twap_id}
    assert trader.do(cancel) == {"type": "twapCancel", "data": {"status": "success"}}
    trader.world.advance(START_S + 200)
    assert trader.position("SOL") == -1_300
    gone = {"error": "TWAP was never placed, already canceled, or filled."}
    assert trader.do(cancel)["data"]["status"] == gone
    assert ask(trader.world, "twapHistory")[0]["status"] == {"status": "terminated"}


def test_a_twap_that_may_only_reduce_ends_with_the_position() -> None:
    """It is told why."""
    trader = Trader()
    trader.do(twap(SOL, "1500", buy=True))
    trader.orders(order(SOL, "1500", trader.mark("SOL", "1.05"), buy=True, reduce=True))
    trader.world.advance(START_S + 1)
    row = ask(trader.world, "twapHistory")[0]
    assert row["status"]["status"] == "error"
    assert row["status"]["description"] == "Reduce-only TWAP order would increase position."


@pytest.mark.parametrize(
    ("action", "error"),
    [
        pytest.param(twap(SOL, "1000", buy=True, minutes=4), "Invalid TWAP duration: 4 min(s)",
                     id="too short"),
        pytest.param(twap(SOL, "1000", buy=True, minutes=1_441),
                     "Invalid TWAP duration: 1441 min(s)", id="too long"),
        pytest.param(twap(SOL, "1000", buy=False),
                     "Reduce-only TWAP order would increase position.", id="the wrong side"),
        pytest.param(twap(SOL, "0.001", buy=True), "Order has invalid size. asset=2", id="fine"),
        pytest.param(twap(SOL, "0.1", buy=True), "Order must have minimum value of $10. asset=2",
                     id="slices too small"),
        pytest.param(twap(SOL, "90000", buy=False, reduce=False),
                     "Insufficient margin to place order. asset=2", id="too large"),
    ],
)  # fmt: skip
def test_twaps_that_cannot_be(action: Any, error: str) -> None:
    """Inside an accepted answer, as everywhere."""
    trader = Trader()
    assert trader.do(action)["data"]["status"] == {"error": error}
    assert not account_of(trader).twaps


# ----------------------------------------------------------------------------------------- budget


def test_the_budget_lets_one_pass_every_ten_seconds() -> None:
    """Beyond it orders are refused, at no cost; cancels have more; trading buys more."""
    trader = Trader()
    account = account_of(trader)
    account.volume_usd, account.requests_used = Decimal("456.78"), 10_455
    trader.do(NOOP)
    assert ask(trader.world, "userRateLimit") == {
        "cumVlm": "456.78", "nRequestsUsed": 10_456, "nRequestsCap": 10_456, "nRequestsSurplus": 0,
    }  # fmt: skip
    trader.do(NOOP)  # one passes
    assert trader.refused(NOOP) == (
        "Too many cumulative requests sent (10458 > 10456) for cumulative volume traded $456.78. "
        "Place taker orders to free up 1 request per USDC traded."
    )
    trader.world.advance(START_S + 9.5)
    assert trader.refused(NOOP).startswith("Too many cumulative requests sent")
    trader.cancel((ETH, 1))
    trader.world.advance(START_S + 10)
    trader.do(NOOP)
    assert account.requests_used == 10_459
    account.requests_used = 20_911
    trader.cancel((ETH, 1))
    assert account.requests_used == 20_912
    price = trader.mark("SOL", "1.02")
    trader.world.advance(START_S + 25)
    trader.orders(order(SOL, "1000", price, buy=True, reduce=True))
    trader.do(NOOP)


def test_sub_accounts_have_a_budget_of_their_own() -> None:
    """What the master has used up the sub-account has not."""
    trader = Trader()
    account_of(trader).requests_used = 10**9
    trader.do(NOOP)
    assert trader.refused(NOOP).startswith("Too many cumulative requests sent")
    trader.do(NOOP, vault=HYPERLIQUID_SUBACCOUNT)


# ------------------------------------------------------------------------------------ API wallets


def test_an_api_wallet_ends_at_its_time() -> None:
    """Known until then, nobody after; ``extraAgents`` says when."""
    trader = Trader()
    trader.world.account(HYPERLIQUID, HYPERLIQUID_SIGNER).valid_until_s = START_S + 10
    said = {row["address"]: row["validUntil"] for row in ask(trader.world, "extraAgents")}
    assert said[HYPERLIQUID_SIGNER] == round((START_S + 10) * 1_000)
    trader.world.advance(START_S + 9.5)
    trader.do(NOOP)
    trader.world.advance(START_S + 10)
    assert trader.refused(NOOP) == (
        f"L1 error: User or API Wallet {HYPERLIQUID_SIGNER} does not exist."
    )


def test_a_pruned_api_wallet_is_unknown_until_healed() -> None:
    """The fault may name the account."""
    trader = Trader()
    trader.world.faults.inject(Fault(kind=FaultKind.AGENTS_PRUNED, market=HYPERLIQUID_MASTER))
    assert trader.refused(NOOP).endswith(" does not exist.")
    trader.world.faults.heal(FaultKind.AGENTS_PRUNED)
    trader.do(NOOP)


@pytest.mark.parametrize(
    ("ahead_s", "outcome"),
    [
        pytest.param(0.0, "ok", id="right"),
        pytest.param(30.0, "Action already expired", id="half a minute ahead"),
        pytest.param(3 * 86_400.0, "Invalid nonce: nonce too low", id="three days ahead"),
        pytest.param(-2 * 86_400.0, "Invalid nonce: nonce too high", id="two days behind"),
    ],
)
def test_a_venue_whose_clock_is_wrong(ahead_s: float, outcome: str) -> None:
    """It judges nonces and expiries by it, and shows it in its own time."""
    trader = Trader()
    trader.world.faults.inject(Fault(kind=FaultKind.CLOCK_OFFSET, delay_s=ahead_s))
    shown = ask(trader.world, "exchangeStatus")["time"]
    assert shown == round((START_S + ahead_s) * 1_000)
    expiry = now_ms(trader) + 10_000
    if outcome == "ok":
        trader.do(NOOP, expires_after=expiry)
    else:
        assert trader.refused(NOOP, expires_after=expiry).startswith(outcome)


# ----------------------------------------------------------------------------------------- socket


def test_actions_over_the_socket_and_what_follows_them() -> None:
    """The answer is the raw one; order, fill, position and TWAP frames follow the next step."""
    world, connection = make_offline()
    trader = Trader(world)
    for kind in ("orderUpdates", "userFills", "userTwapHistory", "allDexsClearinghouseState"):
        subscribe(connection, kind, user=HYPERLIQUID_MASTER)
    wire = order(SOL, "500", trader.mark("SOL", "1.02"), buy=True, reduce=True, cloid=f"0x{1:032x}")
    body = sign({"type": "order", "orders": [wire], "grouping": "na"}, trader.nonce)
    request = {"type": "action", "payload": body}
    (reply,) = data_of(say(connection, {"method": "post", "id": 7, "request": request}), "post")
    assert reply["id"] == 7
    assert reply["response"]["type"] == "action"
    (status,) = reply["response"]["payload"]["response"]["data"]["statuses"]
    trader.do(twap(SOL, "900", buy=True))
    world.advance(START_S + 1)
    frames = take(connection)
    updates = [row for data in data_of(frames, "orderUpdates") for row in data]
    ended = {row["order"]["cloid"]: row["status"] for row in updates if "cloid" in row["order"]}
    assert ended == {f"0x{1:032x}": "filled"}
    fills = [row for data in data_of(frames, "userFills") for row in data["fills"]]
    mine = [row for row in fills if row["oid"] == status["filled"]["oid"]]
    assert sum(Decimal(row["sz"]) for row in mine) == 500
    assert {row["twapId"] for row in fills} > {None}
    (history,) = data_of(frames, "userTwapHistory")
    assert history["history"][0]["status"] == {"status": "activated"}
    states = dict(data_of(frames, "allDexsClearinghouseState")[-1]["clearinghouseStates"])
    sizes = {row["position"]["coin"]: row["position"]["szi"]
             for row in states[""]["assetPositions"]}  # fmt: skip
    assert sizes["SOL"] == "-910.0"


def test_an_action_over_the_socket_that_cannot_be_read() -> None:
    """An error text, the socket lives on."""
    _, connection = make_offline()
    request = {"type": "action", "payload": {"action": {"type": "fly"}}}
    (reply,) = data_of(say(connection, {"method": "post", "id": 8, "request": request}), "post")
    assert reply["response"] == {
        "type": "error", "payload": "Failed to deserialize the JSON body into the target type",
    }  # fmt: skip
    assert say(connection, {"method": "ping"}) == [{"channel": "pong"}]
