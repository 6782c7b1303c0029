"""What can go wrong with orders and cancels on the simulated Hyperliquid: each way, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal

import aiohttp
import pytest

from monitor.sim import outsiders
from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SUBACCOUNT
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.levers import inject_for
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.scenario import parse_scenario, play
from monitor.sim.world import World
from tests.manual_clock import until
from tests.sim.hyperliquid.rig import START_S, running
from tests.sim.hyperliquid.trader import DOGE, ETH, HYPE, SOL, Trader, order, sign, stop

MAIN = (HYPERLIQUID, HYPERLIQUID_MASTER, "")
NOOP = {"type": "noop"}


def rest_orders(trader: Trader, count: int) -> list[int]:
    """Resting buys; their ids."""
    wire = order(ETH, "0.1", trader.mark("ETH", "0.9"), buy=True, tif="Gtc")
    return [status["resting"]["oid"] for status in trader.orders(*[wire] * count)]


def working(trader: Trader, ids: list[int]) -> list[int]:
    """Those of them that still work."""
    return [oid for oid in ids if oid in trader.world.pool(*MAIN).orders]


def inject(trader: Trader, kind: FaultKind, **fields: object) -> None:
    """Let a fault hold on Hyperliquid."""
    trader.world.faults.inject(Fault(kind=kind, venue=HYPERLIQUID, **fields))  # type: ignore[arg-type]  # a table's


# ---------------------------------------------------------------------------------------- cancels


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        pytest.param(FaultKind.CANCELS_FAIL, "error", id="told"),
        pytest.param(FaultKind.CANCELS_LOST, "success", id="hidden"),
    ],
)
def test_a_share_of_the_cancels_does_nothing(kind: FaultKind, told: str) -> None:
    """Half of them, evenly; all go once it is healed."""
    trader = Trader()
    ids = rest_orders(trader, 10)
    inject(trader, kind, ratio=0.5)
    statuses = trader.cancel(*((ETH, oid) for oid in ids))
    left = working(trader, ids)
    assert left == ids[::2]
    assert all(told in (status if told == "error" else [status]) for status in statuses[::2])
    assert statuses[1::2] == ["success"] * 5
    trader.world.faults.heal(kind)
    assert trader.cancel(*((ETH, oid) for oid in left)) == ["success"] * 5


def test_an_order_is_filled_as_its_cancel_comes() -> None:
    """Whole: nothing is left to cancel. In part: the rest is cancelled."""
    for ratio, status, filled in ((1.0, "filled", "0.1"), (0.4, "canceled", "0.04")):
        trader = Trader()
        (oid,) = rest_orders(trader, 1)
        before = trader.position("ETH")
        inject(trader, FaultKind.FILLS_DURING_CANCEL, filled_ratio=ratio)
        (answer,) = trader.cancel((ETH, oid))
        assert (answer == "success") is (status == "canceled")
        assert trader.position("ETH") - before == Decimal(filled)
        assert trader.world.pool(*MAIN).order_history[-1].status == status


def test_fast_cancels_of_stops_may_be_refused() -> None:
    """Without the flag they work."""
    trader = Trader()
    (status,) = trader.orders(stop(HYPE, "10", trader.mark("HYPE", "0.9"), buy=False))
    oid = status["resting"]["oid"]
    inject(trader, FaultKind.FAST_CANCELS_REFUSED)
    assert "error" in trader.cancel((HYPE, oid), f=True)[0]
    assert trader.cancel((HYPE, oid)) == ["success"]


# ---------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("kind", "status", "executed"),
    [
        pytest.param(FaultKind.ACTIONS_OVERLOADED, 502, True, id="an error although executed"),
        pytest.param(FaultKind.ACTIONS_FAIL, 500, False, id="an error and not executed"),
        pytest.param(FaultKind.ACTIONS_LIMITED, 429, False, id="too many requests"),
        pytest.param(FaultKind.ACTIONS_REFUSED, 200, False, id="refused in words"),
    ],
)
def test_the_answer_does_not_tell_what_was_done(
    kind: FaultKind, status: int, *, executed: bool
) -> None:
    """Only what the account shows does; and a nonce is used only by what was executed."""
    trader = Trader()
    inject(trader, kind)
    wire = order(SOL, "100", trader.mark("SOL", "1.02"), buy=True, reduce=True)
    answer = trader.send({"type": "order", "orders": [wire], "grouping": "na"})
    assert answer is not None
    assert answer.status == status
    assert (trader.position("SOL") == -1_400) is executed
    trader.world.faults.heal(kind)
    if executed:
        assert trader.refused(NOOP, nonce=trader.nonce).startswith("Invalid nonce: duplicate")
    else:
        trader.do(NOOP, nonce=trader.nonce)


def test_what_is_executed_may_be_answered_late_or_never() -> None:
    """The effect is there at once, the answer after its time, or not at all."""
    trader = Trader()
    cancel = {"type": "cancel", "cancels": [{"a": ETH, "o": 1}]}
    inject(trader, FaultKind.ACTIONS_SLOW, delay_s=20.0)
    ids = rest_orders_unanswered(trader)
    assert len(ids) == 1
    trader.world.advance(START_S + 19.5)
    assert trader.answers == []
    trader.world.advance(START_S + 20)
    assert [answer.status for answer in trader.answers] == [200]
    trader.world.faults.heal()
    inject(trader, FaultKind.ACTIONS_UNANSWERED, channel="order")
    ids = rest_orders_unanswered(trader)
    assert len(ids) == 1
    trader.world.advance(START_S + 600)
    assert len(trader.answers) == 1
    assert trader.send(cancel) is not None  # only orders were named


def rest_orders_unanswered(trader: Trader) -> list[int]:
    """Send one resting order that is not answered at once; the ids that came to work."""
    before = set(trader.world.pool(*MAIN).orders)
    wire = order(ETH, "0.1", trader.mark("ETH", "0.9"), buy=True, tif="Gtc")
    assert trader.send({"type": "order", "orders": [wire], "grouping": "na"}) is None
    return sorted(set(trader.world.pool(*MAIN).orders) - before)


@pytest.mark.parametrize(
    ("guard", "outcome"),
    [
        pytest.param("none", "ok", id="unguarded: it is executed late"),
        pytest.param("expiry", "Action already expired", id="it has expired"),
        pytest.param("noop", "Invalid nonce: duplicate nonce", id="its nonce was burnt"),
    ],
)
def test_a_delayed_order_can_be_made_harmless(guard: str, outcome: str) -> None:
    """By an expiry, or by a noop with the same nonce while it is under way."""
    trader = Trader()
    inject(trader, FaultKind.ACTIONS_DELAYED, channel="order", delay_s=60.0)
    wire = order(SOL, "100", trader.mark("SOL", "1.05"), buy=True, reduce=True)
    expiry = round(START_S * 1_000) + 30_000 if guard == "expiry" else None
    action = {"type": "order", "orders": [wire], "grouping": "na"}
    assert trader.send(action, expires_after=expiry) is None
    if guard == "noop":
        trader.do(NOOP, nonce=trader.nonce)
    trader.world.advance(START_S + 59.5)
    assert trader.position("SOL") == -1_500
    trader.world.advance(START_S + 60)
    said = json.loads(trader.answers[-1].body)
    if outcome == "ok":
        assert (said["status"], trader.position("SOL")) == ("ok", -1_400)
    else:
        assert said["response"].startswith(outcome)
        assert trader.position("SOL") == -1_500


def test_a_share_of_the_actions_and_one_account() -> None:
    """A fault may name an account by address or label, and hit only every so many."""
    trader = Trader()
    inject(trader, FaultKind.ACTIONS_FAIL, market="hedge", ratio=0.25)
    statuses = []
    for _ in range(8):
        answer = trader.send(NOOP, vault=HYPERLIQUID_SUBACCOUNT)
        assert answer is not None
        statuses.append(answer.status)
    assert statuses == [500, 200, 200, 200] * 2
    trader.do(NOOP)
    inject(trader, FaultKind.ACTIONS_FAIL, market=HYPERLIQUID_MASTER)
    answer = trader.send(NOOP)
    assert answer is not None
    assert answer.status == 500


def test_while_the_chain_stands_still_actions_wait() -> None:
    """They are judged when it goes on."""
    trader = Trader()
    inject(trader, FaultKind.HALTED)
    trader.world.advance(START_S + 1)
    wire = order(DOGE, "100", trader.mark("DOGE", "0.9"), buy=True, tif="Gtc")
    assert trader.send({"type": "order", "orders": [wire], "grouping": "na"}) is None
    trader.world.advance(START_S + 30)
    assert trader.answers == []
    trader.world.faults.heal(FaultKind.HALTED)
    trader.world.advance(START_S + 31)
    assert [answer.status for answer in trader.answers] == [200]


# ------------------------------------------------------------------------------------------- HTTP


async def test_exchange_over_http() -> None:
    """Its own path on the same port, with the budget shared with ``/info``."""
    async with running() as rig:
        trader = Trader(rig.world)
        wire = order(SOL, "10", trader.mark("SOL", "1.02"), buy=True, reduce=True)
        body = sign({"type": "order", "orders": [wire], "grouping": "na"}, trader.nonce)
        url = f"{rig.server.urls['rest']}/exchange"
        async with rig.session.post(url, json=body) as response:
            assert response.status == 200
            said = json.loads(await response.read())
        assert said["response"]["data"]["statuses"][0]["filled"]["totalSz"] == "10"
        async with rig.session.post(url, json={"action": {"type": "fly"}}) as response:
            assert (response.status, await response.text()) == (
                422, "Failed to deserialize the JSON body into the target type",
            )  # fmt: skip
        async with rig.session.get(url) as response:
            assert response.status == 405
        rig.world.faults.inject(Fault(kind=FaultKind.RATE_LIMITED, venue=HYPERLIQUID))
        async with rig.session.post(url, json=body) as response:
            assert (response.status, await response.read()) == (429, b"null")


async def test_reads_of_an_account_may_lag_behind_what_was_done() -> None:
    """What was read before the cancel is told again for its time, with its old stamp; a new
    question, and what is about markets, is answered freshly."""
    async with running() as rig:
        trader = Trader(rig.world)
        (oid,) = rest_orders(trader, 1)
        inject(trader, FaultKind.STALE_READS, delay_s=10.0)
        rig.world.advance(START_S + 1)

        async def shown() -> list[int]:
            rows = await rig.ask("frontendOpenOrders", user=HYPERLIQUID_MASTER)
            return [row["oid"] for row in rows]

        state = await rig.ask("clearinghouseState", user=HYPERLIQUID_MASTER)
        assert oid in await shown()
        trader.cancel((ETH, oid))
        rig.world.advance(START_S + 10.5)
        assert oid in await shown()
        assert await rig.ask("clearinghouseState", user=HYPERLIQUID_MASTER) == state
        asked = await rig.ask("orderStatus", user=HYPERLIQUID_MASTER, oid=oid)
        assert asked["order"]["status"] == "canceled"
        assert (await rig.ask("exchangeStatus"))["time"] > state["time"]
        rig.world.advance(START_S + 11)
        assert oid not in await shown()
        rig.world.faults.heal(FaultKind.STALE_READS)
        assert await rig.ask("clearinghouseState", user=HYPERLIQUID_MASTER) != state


async def test_429_on_exchange_only() -> None:
    """Reads go on."""
    async with running() as rig:
        trader = Trader(rig.world)
        inject(trader, FaultKind.ACTIONS_LIMITED)
        url = f"{rig.server.urls['rest']}/exchange"
        async with rig.session.post(url, json=sign(NOOP, trader.nonce)) as response:
            assert response.status == 429
        assert (await rig.ask("exchangeStatus"))["specialStatuses"] is None


async def test_the_reads_use_up_what_actions_need() -> None:
    """One weight for both: sixty dear reads leave nothing for a cancel."""
    async with running() as rig:
        trader = Trader(rig.world)
        for _ in range(60):
            await rig.ask("meta")
        url = f"{rig.server.urls['rest']}/exchange"
        async with rig.session.post(url, json=sign(NOOP, trader.nonce)) as response:
            assert response.status == 429
        rig.world.advance(START_S + 61)
        async with rig.session.post(url, json=sign(NOOP, trader.nonce)) as response:
            assert response.status == 200


async def test_an_unanswered_request_ends_with_the_server() -> None:
    """Executed, never answered; closing hangs up."""
    async with running() as rig:
        trader = Trader(rig.world)
        inject(trader, FaultKind.ACTIONS_UNANSWERED)
        url = f"{rig.server.urls['rest']}/exchange"
        ids = set(rig.world.pool(*MAIN).orders)
        wire = order(ETH, "1", trader.mark("ETH", "0.9"), buy=True, tif="Gtc")
        body = sign({"type": "order", "orders": [wire], "grouping": "na"}, trader.nonce)

        async def send() -> str:
            try:
                async with rig.session.post(url, json=body) as response:
                    return str(response.status)
            except aiohttp.ClientError as error:
                return type(error).__name__

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send(), name="send")
            await until(lambda: set(rig.world.pool(*MAIN).orders) > ids)
            assert not sending.done()
            await rig.server.close()
        assert sending.result() == "ServerDisconnectedError"


# -------------------------------------------------------------------------------------- outsiders


def test_somebody_places_cancelled_orders_again() -> None:
    """Each as it was, under a new id, until the time is over."""
    trader = Trader()
    outsiders.replace_cancelled(
        outsiders.Account(trader.world, HYPERLIQUID, HYPERLIQUID_MASTER, 5.0, START_S + 12)
    )
    (oid,) = rest_orders(trader, 1)
    old = trader.world.pool(*MAIN).orders[oid]
    trader.cancel((ETH, oid))
    trader.world.advance(START_S + 5)
    new = next(reversed(trader.world.pool(*MAIN).orders.values()))
    assert new.order_id != oid
    assert (new.size, new.limit_price, new.side) == (old.size, old.limit_price, old.side)
    trader.world.advance(START_S + 15)
    trader.cancel((ETH, new.order_id))
    trader.world.advance(START_S + 30)
    assert next(reversed(trader.world.pool(*MAIN).orders.values())).created_s < START_S + 6


def test_somebody_builds_the_position_up_again() -> None:
    """Back to the size that it had, never beyond, until the time is over."""
    trader = Trader()
    outsiders.regrow(
        outsiders.Account(trader.world, HYPERLIQUID, HYPERLIQUID_MASTER, 5.0, START_S + 12),
        "", "SOL", Decimal(-1_500),
    )  # fmt: skip
    wire = order(SOL, "1000", trader.mark("SOL", "1.05"), buy=True, reduce=True)
    trader.orders(wire)
    assert trader.position("SOL") == -500
    trader.world.advance(START_S + 5)
    assert trader.position("SOL") == -1_500
    trader.world.advance(START_S + 20)
    trader.orders(wire)
    trader.world.advance(START_S + 40)
    assert trader.position("SOL") == -500


STORY = """
name: trouble
title: A venue that does not do what it says
duration: 60s
steps:
  - at: 0s
    do:
      - {order: {venue: hyperliquid, market: HYPE, size: 10, at: 0.9}}
      - {order: {venue: hyperliquid, market: HYPE, size: -10, at: 0.8, stop: yes, reduce_only: yes}}
      - {fault: {kind: cancels_fail, venue: hyperliquid, ratio: 0.5, for: 20s}}
      - {fault: {kind: clock_offset, venue: hyperliquid, delay: -90s}}
      - {replace_orders: {venue: hyperliquid, every: 2s, for: 30s}}
      - {regrow: {venue: hyperliquid, market: SOL, size: -1600, every: 5s, for: 30s}}
"""


def test_scenarios_can_do_all_of_it() -> None:
    """Orders, faults that end by themselves, outsiders."""
    world = World(7, START_S)
    before = set(world.pool(*MAIN).orders)
    play(world, parse_scenario(STORY, "story.yaml"))
    world.advance(START_S + 10)
    placed = [one for oid, one in world.pool(*MAIN).orders.items() if oid not in before]
    assert [(one.side, one.reduce_only, one.trigger_price is None) for one in placed] == [
        ("buy", False, True), ("sell", True, False),
    ]  # fmt: skip
    assert world.pool(*MAIN).positions["SOL"].size == -1_600
    assert {fault.kind: fault.delay_s for fault in world.faults.active} == {
        FaultKind.CANCELS_FAIL: 5.0, FaultKind.CLOCK_OFFSET: -90.0,
    }  # fmt: skip
    world.advance(START_S + 30)
    assert [fault.kind for fault in world.faults.active] == [FaultKind.CLOCK_OFFSET]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        pytest.param(lambda world, fault: world.faults.end(fault), 0, id="by itself"),
        pytest.param(lambda world, fault: world.faults.heal(), 0, id="with all others"),
        pytest.param(lambda world, fault: None, 1, id="not at all"),
    ],
)
def test_a_fault_ended_early_is_ended_once(
    end: Callable[[World, Fault], object], left: int
) -> None:
    """The end by the clock then finds nothing to do."""
    world = World(7, START_S)
    fault = Fault(kind=FaultKind.POST_ONLY, venue=HYPERLIQUID)
    inject_for(world, fault, for_s=10.0)
    end(world, fault)
    assert len(world.faults.active) == left
    world.advance(START_S + 10)
    assert world.faults.active == ()
