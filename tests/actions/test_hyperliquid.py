"""The executor against the simulated venue: what it reads, cancels, reduces and finds out."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.core.killswitch.book import Look, WorkingOrder
from monitor.core.killswitch.facts import CancelsAnswered, CommandFailed, OrderEnd, OrdersAnswered
from monitor.core.types import Side
from monitor.sim.addresses import (
    HYPERLIQUID_MASTER,
    HYPERLIQUID_SUBACCOUNT,
    HYPERLIQUID_UNIFIED,
)
from monitor.sim.faults import FaultKind
from monitor.sim.hyperliquid import info
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.world import World
from tests.actions.hyperliquid_desk import ActionDesk, action_desk
from tests.manual_clock import until
from tests.sim.hyperliquid.trader import ETH

NAME = f"0x{1:032x}"
WORKING = (WorkingOrder(order_id="5", market="ETH", side=Side.BUY, size=Decimal(1)),)
FILLED, REJECTED, UNKNOWN = OrderEnd.FILLED, OrderEnd.REJECTED, OrderEnd.UNKNOWN


def start_twap(desk: ActionDesk, *, reduce: bool = True) -> str:
    """The desk's own system starts a TWAP; its id."""
    twap = {"a": ETH, "b": False, "s": "5", "r": reduce, "m": 30, "t": False}
    status = desk.trader.do({"type": "twapOrder", "twap": twap})["data"]["status"]
    return str(status["running"]["twapId"])


def ends(outcomes: list) -> list[OrderEnd]:  # type: ignore[type-arg]  # of outcomes
    """How each ended."""
    return [outcome.end for outcome in outcomes]


# ----------------------------------------------------------------------------------------- reading


async def test_an_account_is_read_whole(tmp_path: Path) -> None:
    """Positions and orders of every dex, stops and TWAPs included, as the world has them."""
    async with action_desk(tmp_path) as desk:
        twap = start_twap(desk)
        truth = await desk.truth()
        account = desk.world.account(HYPERLIQUID, HYPERLIQUID_MASTER)
        held = {
            symbol: position.size
            for pool in account.pools.values()
            for symbol, position in pool.positions.items()
        }
        assert {one.market: one.size for one in truth.positions} == held
        assert "xyz:NVDA" in held
        listed = {one.order_id for one in truth.orders if not one.twap}
        assert listed == desk.working()
        stops = {one.market for one in truth.orders if one.trigger}
        assert {"BTC", "HYPE", "xyz:NVDA"} <= stops
        (running,) = [one for one in truth.orders if one.twap]
        assert (running.order_id, running.market, running.side) == (twap, "ETH", Side.SELL)
        assert truth.read_ns == desk.clock.now()
        assert truth.equity_usd == pytest.approx(
            sum((pool.equity for pool in account.pools.values()), Decimal(0)), abs=1
        )


async def test_a_sub_account_is_read_by_its_own_address(tmp_path: Path) -> None:
    """Not the master's, and a unified account has no equity here."""
    async with action_desk(tmp_path) as desk:
        assert {one.market for one in (await desk.truth("sub")).positions} == {"DOGE"}
        unified = await desk.truth("unified")
        assert ({one.market for one in unified.positions}, unified.equity_usd) == ({"ETH"}, None)


async def test_an_idle_dex_is_looked_at_less_often(tmp_path: Path) -> None:
    """Its state each time, its orders once a minute; a dex that holds something always."""
    async with action_desk(tmp_path) as desk:
        weights = []
        for wait_s in (0, 10, 55):
            await desk.clock.sleep(wait_s)
            before, _ = desk.budget.used_and_left()
            await desk.truth("sub")
            after, _ = desk.budget.used_and_left()
            weights.append(after - before)
        # perpDexs, userAbstraction, twapHistory; two dexes; then without the lists.
        assert weights[:2] == [20 + 20 + 21 + 2 * 22, 21 + 22 + 2]
        # Money arrives there, and an order with it: seen at once, a second after the last look.
        await desk.clock.sleep(1)
        desk.world.deposit(HYPERLIQUID, HYPERLIQUID_SUBACCOUNT, "xyz", Decimal(5000))
        number = desk.rest("xyz:NVDA", "buy", "1", "0.9", address=HYPERLIQUID_SUBACCOUNT)
        assert number in {one.order_id for one in (await desk.truth("sub")).orders}


async def test_positions_alone_cost_a_fraction_of_a_look(tmp_path: Path) -> None:
    """On every dex, as the whole look has them; of orders nothing is said."""
    async with action_desk(tmp_path) as desk:
        whole = await desk.truth()
        assert whole.orders
        before, _ = desk.budget.used_and_left()
        alone = await desk.truth(look=Look.POSITIONS)
        after, _ = desk.budget.used_and_left()
        assert after - before == 2 * 2  # two dexes
        assert {one.market for one in alone.positions} == {one.market for one in whole.positions}
        assert any(":" in one.market for one in alone.positions)
        assert (alone.orders, alone.orders_ns, alone.twaps_ns) == ((), None, None)
        assert alone.read_ns > 0


async def test_an_idle_dex_of_shared_collateral_proves_nothing_unlisted(tmp_path: Path) -> None:
    """A unified account's collateral is in none of its dexes, so an order may stand in an empty
    one: the truth says how old its list is, and a whole look finds it."""
    async with action_desk(tmp_path) as desk:
        first = await desk.truth("unified")
        assert first.idle_orders_ns is None
        await desk.clock.sleep(1)
        number = desk.rest("xyz:NVDA", "buy", "1", "0.9", address=HYPERLIQUID_UNIFIED)
        await desk.clock.sleep(1)
        hasty = await desk.truth("unified")
        assert number not in {one.order_id for one in hasty.orders}
        assert hasty.idle_orders_ns == first.read_ns
        whole = await desk.truth("unified", Look.WHOLE)
        assert number in {one.order_id for one in whole.orders}
        assert whole.idle_orders_ns is None
        assert (await desk.truth("sub")).idle_orders_ns is None
        await desk.clock.sleep(1)
        assert (await desk.truth("sub")).idle_orders_ns is None, "no collateral there, no order"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(FaultKind.API_ERRORS, "500", id="errors"),
        pytest.param(FaultKind.OUTAGE, "refused", id="dark"),
        pytest.param(FaultKind.RATE_LIMITED, "429", id="limited"),
    ],
)
async def test_half_of_the_truth_is_none(fault: FaultKind, words: str, tmp_path: Path) -> None:
    """What cannot be read fails, in words; once healed it is read again."""
    async with action_desk(tmp_path) as desk:
        desk.break_(fault)
        failed = await desk.unreadable()
        assert (failed.uncertain, words in failed.reason) == (False, True), failed.reason
        assert (failed.retry_after_s is not None) == (fault is FaultKind.RATE_LIMITED)
        desk.heal()
        await desk.truth()


@pytest.mark.parametrize("listed", [True, False])
async def test_a_dex_that_is_gone_is_not_read(
    listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the venue's own list has dropped it; else half of the truth is none."""
    async with action_desk(tmp_path) as desk:
        await desk.truth()
        # The server knows the dex no more, by every question or by all but the list.
        real = info.HANDLERS["perpDexs"]
        if listed:
            row = real(desk.world, {})
            monkeypatch.setitem(info.HANDLERS, "perpDexs", lambda world, request: row)
        venue = desk.world.venues[HYPERLIQUID]
        for symbol in [symbol for symbol, one in venue.markets.items() if one.spec.dex == "xyz"]:
            del venue.markets[symbol]
        desk.world.account(HYPERLIQUID, HYPERLIQUID_MASTER).pools.pop("xyz")
        if listed:
            assert "unknown name" in (await desk.unreadable()).reason
        else:
            assert all(":" not in one.market for one in (await desk.truth()).positions)


async def test_an_account_in_an_unknown_mode_is_not_read(tmp_path: Path) -> None:
    """Where its collateral lies is not known."""
    async with action_desk(tmp_path) as desk:
        desk.world.account(HYPERLIQUID, HYPERLIQUID_MASTER).mode = "someNewMode"
        failed = await desk.unreadable()
        assert "someNewMode" in failed.reason


async def test_a_strangers_account_is_not_acted_for(tmp_path: Path) -> None:
    """And neither is any without a signer."""
    async with action_desk(tmp_path) as desk:
        assert desk.executor.acts_for("main")
        assert not desk.executor.acts_for("other")
        assert "other" in (await desk.unreadable("other")).reason
        await desk.signer_server.close()
        assert not desk.executor.acts_for("main")
        assert "riskd signer" in desk.executor.why_not("main")


# -------------------------------------------------------------------------------------- cancelling


async def test_everything_that_works_is_cancelled(tmp_path: Path) -> None:
    """All dexes, stops and TWAPs; the venue's own data shows it."""
    async with action_desk(tmp_path) as desk:
        start_twap(desk, reduce=False)
        truth = await desk.truth()
        gone = await desk.cancel(*truth.orders)
        assert set(gone.values()) == {True}
        assert len(gone) == len(truth.orders)
        assert desk.working() == set()
        assert (await desk.truth()).orders == ()


async def test_what_is_not_in_the_list_stays(tmp_path: Path) -> None:
    """Protective stops at the lower levels."""
    async with action_desk(tmp_path) as desk:
        truth = await desk.truth()
        risky = [one for one in truth.orders if not one.reduce_only]
        await desk.cancel(*risky)
        assert desk.working() == {one.order_id for one in truth.orders} - {
            one.order_id for one in risky
        }


async def test_an_order_known_by_its_owners_id_alone_is_cancelled(tmp_path: Path) -> None:
    """By cloid where no number is known."""
    async with action_desk(tmp_path) as desk:
        name = f"0x{77:032x}"
        number = desk.rest("ETH", "buy", "1", "0.9", client_id=name)
        order = WorkingOrder(
            order_id=name, market="ETH", side=Side.BUY, size=Decimal(1), client_id=name
        )
        assert await desk.cancel(order) == {name: True}
        assert number not in desk.working()


async def test_a_sub_accounts_orders_are_cancelled_for_it(tmp_path: Path) -> None:
    """With its address in the request."""
    async with action_desk(tmp_path) as desk:
        truth = await desk.truth("sub")
        assert set((await desk.cancel(*truth.orders, account="sub")).values()) == {True}
        assert desk.working(HYPERLIQUID_SUBACCOUNT) == set()


async def test_what_is_gone_already_is_gone(tmp_path: Path) -> None:
    """Somebody was faster, or it filled."""
    async with action_desk(tmp_path) as desk:
        orders = (await desk.truth()).orders
        await desk.cancel(*orders)
        assert set((await desk.cancel(*orders)).values()) == {True}


async def test_partial_cancels_are_told_one_by_one(tmp_path: Path) -> None:
    """A venue that fails half of them: gone and not gone are told apart, nothing is made up."""
    async with action_desk(tmp_path, fast_cancels=False) as desk:
        for number in range(10):
            desk.rest("ETH", "buy", "0.1", f"0.{80 + number}")
        desk.break_(FaultKind.CANCELS_FAIL, ratio=0.5)
        orders = (await desk.truth()).orders
        gone = await desk.cancel(*orders)
        left = desk.working()
        assert {name for name, is_gone in gone.items() if not is_gone} == left
        assert 0 < len(left) < len(orders)
        desk.heal()
        await desk.cancel(*(await desk.truth()).orders)
        assert desk.working() == set()


async def test_a_confirmed_cancel_that_did_nothing_shows_in_the_truth(tmp_path: Path) -> None:
    """The answer says gone; the re-read account says what is so."""
    async with action_desk(tmp_path) as desk:
        desk.break_(FaultKind.CANCELS_LOST, ratio=1.0)
        orders = (await desk.truth()).orders
        assert set((await desk.cancel(*orders)).values()) == {True}
        assert len((await desk.truth()).orders) == len(orders)


async def test_orders_that_fill_during_the_cancel_are_gone(tmp_path: Path) -> None:
    """And the position that they made is read afterwards."""
    async with action_desk(tmp_path) as desk:
        before = desk.held("ETH")
        desk.break_(FaultKind.FILLS_DURING_CANCEL, filled_ratio=1.0)
        buys = [
            one
            for one in (await desk.truth()).orders
            if one.market == "ETH" and one.side is Side.BUY
        ]
        assert set((await desk.cancel(*buys)).values()) == {True}
        (held,) = [one.size for one in (await desk.truth()).positions if one.market == "ETH"]
        assert held == desk.held("ETH") > before


async def test_priority_is_left_away_where_it_is_refused(tmp_path: Path) -> None:
    """Stops are never asked for with it; what is refused with it is asked once more without."""
    async with action_desk(tmp_path) as desk:
        desk.break_(FaultKind.FAST_CANCELS_REFUSED)
        await desk.cancel(*(await desk.truth()).orders)
        assert desk.working() == set()


async def test_what_was_refused_with_priority_is_asked_once_more_without(tmp_path: Path) -> None:
    """Priority is the one thing about it that the venue may have minded."""
    async with action_desk(tmp_path) as desk:
        for number in range(8):
            desk.rest("SOL", "buy", "1", f"0.{80 + number}")
        orders = [one for one in (await desk.truth()).orders if one.market == "SOL"]
        desk.break_(FaultKind.CANCELS_FAIL, ratio=0.5)
        gone = await desk.cancel(*orders)
        assert desk.signer.signed == {"Cancel": 2}
        assert list(gone.values()).count(False) == 2  # half of the half


async def test_cancels_are_sent_in_batches(tmp_path: Path) -> None:
    """One request for each hundred, and the weight of its lines."""
    async with action_desk(tmp_path, cancels_per_request=40) as desk:
        for number in range(100):
            desk.rest("SOL", "buy", "1", f"0.{500 + number}")
        orders = [one for one in (await desk.truth()).orders if one.market == "SOL"]
        before, _ = desk.budget.used_and_left()
        assert set((await desk.cancel(*orders)).values()) == {True}
        after, _ = desk.budget.used_and_left()
        assert after - before == 20 + 2 + 2 + 1  # meta; forty, forty, twenty
        assert desk.signer.signed == {"Cancel": 3}
        assert len(desk.answers_s) == 3
        assert min(desk.answers_s) >= 0.0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(FaultKind.ACTIONS_FAIL, id="500, not done"),
        pytest.param(FaultKind.ACTIONS_REFUSED, id="refused in unknown words"),
        pytest.param(FaultKind.ACTIONS_OVERLOADED, id="an error, although done"),
    ],
)
async def test_an_unclear_cancel_is_repeated(fault: FaultKind, tmp_path: Path) -> None:
    """It does no harm twice. What never gets a clear answer is not called gone."""
    async with action_desk(tmp_path) as desk:
        orders = (await desk.truth()).orders
        desk.break_(fault, ratio=1.0)
        failed = await desk.run(desk.cancel_command(*orders), CommandFailed)
        assert failed.uncertain
        assert desk.answers_s  # an error is an answer, too
        desk.heal()
        assert set((await desk.cancel(*orders)).values()) == {True}


async def test_a_429_storm_is_waited_out(tmp_path: Path) -> None:
    """Reads pause too; what would end after the deadline is not begun."""
    async with action_desk(tmp_path, command_deadline_s=15.0) as desk:
        orders = (await desk.truth()).orders
        desk.break_(FaultKind.ACTIONS_LIMITED, ratio=1.0)
        failed = await desk.run(desk.cancel_command(*orders), CommandFailed)
        assert (failed.uncertain, failed.retry_after_s) == (False, 10.0)
        assert desk.clock.slept_s[-1] == 10.0
        assert "429" in failed.reason
        desk.heal()
        assert set((await desk.cancel(*orders)).values()) == {True}


async def test_one_account_that_waits_delays_no_other(tmp_path: Path) -> None:
    """Each account has its own queue: one whose request is never answered holds up itself."""
    async with action_desk(tmp_path, command_deadline_s=60.0, request_timeout_s=60.0) as desk:
        stuck, free = (await desk.truth()).orders, (await desk.truth("sub")).orders
        desk.break_(FaultKind.ACTIONS_UNANSWERED, ratio=1.0, market=HYPERLIQUID_MASTER)
        waiting = asyncio.create_task(desk.executor.run(desk.cancel_command(*stuck)))
        await until(lambda: desk.signer.signed["Cancel"])  # it has been sent
        async with asyncio.timeout(30):
            assert set((await desk.cancel(*free, account="sub")).values()) == {True}
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_list_that_cannot_be_read_stops_its_own_dex_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders of the other dex are cancelled, and the list is asked for once."""
    async with action_desk(tmp_path) as desk:
        orders = (await desk.truth()).orders
        real, asked = info.HANDLERS["meta"], []

        def broken(world: World, request: dict[str, object]) -> object:
            asked.append(request.get("dex"))
            return real(world, request) if request.get("dex") is None else "rubbish"

        monkeypatch.setitem(info.HANDLERS, "meta", broken)
        more = [one for one in orders if one.market == "xyz:NVDA"] * 2
        gone = await desk.cancel(*orders, *more)
        assert {name for name, is_gone in gone.items() if not is_gone} == {
            one.order_id for one in more
        }
        assert asked == [None, "xyz"]
        outcomes = await desk.place(
            desk.order("xyz:NVDA", "1", number=1), desk.order("ETH", "1", number=2)
        )
        assert ends(outcomes) == [REJECTED, FILLED]


async def test_what_cannot_be_named_is_said(tmp_path: Path) -> None:
    """A market in no list, and a TWAP without an id; the others go all the same."""
    async with action_desk(tmp_path) as desk:
        orders = (await desk.truth()).orders
        odd = (
            msgspec.structs.replace(orders[0], order_id="1", market="NOPE"),
            msgspec.structs.replace(orders[0], order_id="2", market="abc:NOPE"),
            msgspec.structs.replace(orders[0], order_id="twap at 5", twap=True),
            msgspec.structs.replace(orders[0], order_id="x", client_id=None),
        )
        gone = await desk.cancel(*odd, *orders)
        assert [name for name, is_gone in gone.items() if not is_gone] == [
            "1",
            "2",
            "twap at 5",
            "x",
        ]
        assert desk.working() == set()


# ---------------------------------------------------------------------------------------- reducing


async def test_a_position_is_reduced(tmp_path: Path) -> None:
    """Both sides, both dexes, a sub-account; filled as the world says."""
    async with action_desk(tmp_path) as desk:
        before = {name: desk.held(name) for name in ("ETH", "BTC", "xyz:NVDA")}
        outcomes = await desk.place(
            desk.order("ETH", "3", number=1),
            desk.order("BTC", "0.2", buy=True, number=2),
            desk.order("xyz:NVDA", "20", number=3),
        )
        assert ends(outcomes) == [FILLED] * 3
        assert [one.filled_size for one in outcomes] == [3, Decimal("0.2"), 20]
        assert all(one.average_price for one in outcomes)
        after = {name: desk.held(name) for name in before}
        changes = {name: after[name] - before[name] for name in before}
        assert changes == {"ETH": -3, "BTC": Decimal("0.2"), "xyz:NVDA": -20}
        (sub,) = await desk.place(desk.order("DOGE", "1000", buy=True, number=4), account="sub")
        assert (sub.end, sub.filled_size) == (FILLED, 1000)


async def test_a_flip_is_not_possible(tmp_path: Path) -> None:
    """Twice the position ends at flat, and an order that would grow it is refused."""
    async with action_desk(tmp_path) as desk:
        before = desk.held("HYPE")
        (closed,) = await desk.place(desk.order("HYPE", str(before * 2), number=1))
        assert (closed.end, closed.filled_size, desk.held("HYPE")) == (FILLED, before, 0)
        (again,) = await desk.place(desk.order("HYPE", str(before), number=2))
        (grown,) = await desk.place(desk.order("BTC", "1", number=3))
        assert ends([again, grown]) == [REJECTED] * 2
        assert "increase position" in again.detail
        assert desk.held("HYPE") == 0


@pytest.mark.parametrize(
    ("refused", "end"),
    [pytest.param(False, FILLED, id="taken"), pytest.param(True, REJECTED, id="refused")],
)
async def test_an_exit_below_the_minimum_is_sent(
    refused: bool, end: OrderEnd, tmp_path: Path
) -> None:
    """Whatever the venue makes of it is told in its words."""
    async with action_desk(tmp_path) as desk:
        left = desk.held("ETH") - Decimal("0.001")
        await desk.place(desk.order("ETH", str(left), number=1))
        assert desk.held("ETH") == Decimal("0.001")
        if refused:
            desk.break_(FaultKind.SMALL_CLOSES_REFUSED)
        (outcome,) = await desk.place(desk.order("ETH", "0.001", number=2))
        assert outcome.end is end
        assert ("minimum" in outcome.detail) is refused


async def test_without_liquidity_within_the_limit_nothing_happens(tmp_path: Path) -> None:
    """An IOC above the market is refused, and certainly not executed."""
    async with action_desk(tmp_path) as desk:
        before = desk.held("ETH")
        (outcome,) = await desk.place(desk.order("ETH", "1", ratio=1.05))
        assert (outcome.end, desk.held("ETH")) == (REJECTED, before)


async def test_what_the_signer_refuses_is_left_out(tmp_path: Path) -> None:
    """The order beyond its bound is named; the others go."""
    async with action_desk(tmp_path) as desk:
        outcomes = await desk.place(
            desk.order("ETH", "1", number=1),
            desk.order("SOL", "1", buy=True, ratio=0.9, number=2),
            desk.order("LINK", "10", number=3),
        )
        assert ends(outcomes) == [FILLED, REJECTED, FILLED]
        assert "not signed" in outcomes[1].detail


async def test_above_the_hours_cap_nothing_is_sent(tmp_path: Path) -> None:
    """What fits goes, the rest is refused with the reason."""
    async with action_desk(tmp_path, signer={"notional_usd_per_hour": 5000}) as desk:
        outcomes = await desk.place(
            desk.order("ETH", "1", number=1), desk.order("ETH", "5", number=2)
        )
        assert ends(outcomes) == [FILLED, REJECTED]
        assert "5000 USD an hour" in outcomes[1].detail


async def test_stale_orders_are_not_sent(tmp_path: Path) -> None:
    """A late one costs five requests of the address budget."""
    async with action_desk(tmp_path) as desk:
        used = desk.world.account(HYPERLIQUID, HYPERLIQUID_MASTER).requests_used
        outcomes = await desk.place(desk.order(life_s=0.999), desk.order(number=2, life_s=1.0))
        assert ends(outcomes) == [REJECTED, FILLED]
        assert desk.world.account(HYPERLIQUID, HYPERLIQUID_MASTER).requests_used == used + 1


async def test_the_venue_refuses_what_arrives_late(tmp_path: Path) -> None:
    """The expiry is in the request."""
    async with action_desk(tmp_path) as desk:
        before = desk.held("ETH")
        desk.break_(FaultKind.CLOCK_OFFSET, delay_s=40.0)
        failed = await desk.executor.run(desk.place_command(desk.order()))
        assert isinstance(failed, OrdersAnswered)
        assert (failed.outcomes[0].end, desk.held("ETH")) == (REJECTED, before)
        assert "expiry" in failed.outcomes[0].detail


@pytest.mark.parametrize(
    "ahead_s", [pytest.param(-2 * 86_400, id="behind"), pytest.param(3 * 86_400, id="ahead")]
)
async def test_a_wrong_clock_is_named(ahead_s: float, tmp_path: Path) -> None:
    """The venue refuses the nonce; the words say where to look."""
    async with action_desk(tmp_path) as desk:
        orders = (await desk.truth()).orders
        desk.break_(FaultKind.CLOCK_OFFSET, delay_s=ahead_s)
        failed = await desk.run(desk.cancel_command(*orders), CommandFailed)
        assert "clock" in failed.reason
        assert not failed.uncertain


async def test_an_expired_key_is_not_tried_for_ever(tmp_path: Path) -> None:
    """Not retryable: a person must act. The account is not executable for a minute."""
    async with action_desk(tmp_path) as desk:
        orders = (await desk.truth()).orders
        desk.break_(FaultKind.AGENTS_PRUNED)
        failed = await desk.run(desk.place_command(desk.order()), CommandFailed)
        assert (failed.uncertain, failed.retry_after_s) == (False, None)
        assert "approve a new API wallet" in failed.reason
        assert not desk.executor.acts_for("main")
        assert "approve" in desk.executor.why_not("main")
        assert desk.executor.acts_for("sub")
        desk.heal()
        await desk.clock.sleep(60)
        assert desk.executor.acts_for("main")
        assert set((await desk.cancel(*orders)).values()) == {True}


async def test_the_post_only_window_is_waited_for(tmp_path: Path) -> None:
    """A few tries with growing waits, within the deadline and the order's life."""
    async with action_desk(tmp_path) as desk:
        desk.break_(FaultKind.POST_ONLY)
        desk.world.schedule(desk.world.now_s + 5.0, desk.heal)
        (outcome,) = await desk.place(desk.order())
        assert outcome.end is FILLED
        assert desk.clock.slept_s == [1.0, 2.0, 4.0]


async def test_a_window_does_not_use_up_the_hours_cap(tmp_path: Path) -> None:
    """The signer counts what it signs: the smallest order alone asks whether it is over."""
    async with action_desk(tmp_path) as desk:
        desk.break_(FaultKind.POST_ONLY)
        desk.world.schedule(desk.world.now_s + 5.0, desk.heal)
        large, small = desk.order(size="2"), desk.order("HYPE", "5", number=2)
        assert ends(await desk.place(large, small)) == [FILLED, FILLED]
        worth = [one.size * Decimal(repr(one.reference_price)) for one in (large, small)]
        # Both at first; the small one after 1, 2 and 4 s; then the large one, now that it passes.
        wanted = float(2 * worth[0] + 4 * worth[1])
        assert float(desk.signer.counters().notional_used_usd) == pytest.approx(wanted)


async def test_a_window_that_does_not_close_keeps_the_rest_unsent(tmp_path: Path) -> None:
    """Once it was waited for long enough nothing more is signed for it."""
    async with action_desk(tmp_path, orders_per_request=1) as desk:
        desk.break_(FaultKind.POST_ONLY)
        orders = [desk.order(), desk.order("HYPE", "5", number=2)]
        fact = await desk.executor.run(desk.place_command(*orders))
        assert isinstance(fact, OrdersAnswered)
        assert [one.end for one in fact.outcomes] == [REJECTED, REJECTED]
        assert fact.outcomes[1].detail.startswith("not sent: ")
        assert "upgrade" in fact.outcomes[1].detail


async def test_a_window_that_does_not_close_ends_in_words(tmp_path: Path) -> None:
    """Certainly not executed, and why."""
    async with action_desk(tmp_path) as desk:
        desk.break_(FaultKind.POST_ONLY)
        before = desk.held("ETH")
        fact = await desk.executor.run(desk.place_command(desk.order()))
        assert isinstance(fact, OrdersAnswered)
        assert (fact.outcomes[0].end, desk.held("ETH")) == (REJECTED, before)
        assert "upgrade" in fact.outcomes[0].detail


async def test_over_the_address_budget_one_action_in_ten_seconds_passes(tmp_path: Path) -> None:
    """Waited for where the deadline allows it; else the words say what frees requests."""
    async with action_desk(tmp_path) as desk:
        account = desk.world.account(HYPERLIQUID, HYPERLIQUID_MASTER)
        account.requests_used = 10**9
        assert ends(await desk.place(desk.order(number=1))) == [FILLED]
        assert ends(await desk.place(desk.order(number=2))) == [FILLED]
        assert desk.clock.slept_s == [10.5]
    folder = tmp_path / "short"
    folder.mkdir()
    async with action_desk(folder, command_deadline_s=5.0) as desk:
        account = desk.world.account(HYPERLIQUID, HYPERLIQUID_MASTER)
        account.requests_used = 10**9
        assert ends(await desk.place(desk.order(number=1))) == [FILLED]
        failed = await desk.run(desk.place_command(desk.order(number=2)), CommandFailed)
        assert (failed.uncertain, failed.retry_after_s) == (False, 10.5)


async def test_a_thousand_orders_must_be_cancelled_first(tmp_path: Path) -> None:
    """The venue takes no reduce-only order then; the words say so."""
    async with action_desk(tmp_path) as desk:
        for _ in range(1000):
            desk.rest("SOL", "buy", "1", "0.5")
        (outcome,) = await desk.place(desk.order())
        assert outcome.end is REJECTED
        assert "cancel first" in outcome.detail
        await desk.cancel(*(one for one in (await desk.truth()).orders if one.market == "SOL"))
        assert ends(await desk.place(desk.order(number=2))) == [FILLED]


async def test_without_a_signer_nothing_is_sent(tmp_path: Path) -> None:
    """Certain, and in words."""
    async with action_desk(tmp_path) as desk:
        await desk.signer_server.close()
        failed = await desk.run(desk.place_command(desk.order()), CommandFailed)
        assert not failed.uncertain
        assert "riskd signer" in failed.reason


async def test_a_dark_venue_is_told_and_nothing_was_sent(tmp_path: Path) -> None:
    """Refused connections carry no order, so it is certain."""
    async with action_desk(tmp_path) as desk:
        assert ends(await desk.place(desk.order(number=1))) == [FILLED]
        desk.break_(FaultKind.OUTAGE)
        assert "refused the connection" in (await desk.unreadable()).reason  # the door is shut
        failed = await desk.run(desk.place_command(desk.order(number=2)), CommandFailed)
        assert (failed.uncertain, "Nothing was sent" in failed.reason) == (False, True)
        failed = await desk.run(desk.cancel_command(*WORKING), CommandFailed)
        assert "Nothing was sent" in failed.reason


# ------------------------------------------------------------------------------- finding out


async def unclear(desk: ActionDesk, fault: FaultKind, **more: float) -> None:
    """Send one order whose fate nobody tells."""
    desk.break_(fault, ratio=1.0, **more)
    outcomes = await desk.place(desk.order("ETH", "2"))
    assert ends(outcomes) == [UNKNOWN]
    desk.heal()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(FaultKind.ACTIONS_OVERLOADED, id="an error, although executed"),
        pytest.param(FaultKind.ACTIONS_UNANSWERED, id="executed, never answered"),
    ],
)
async def test_an_executed_order_is_found(fault: FaultKind, tmp_path: Path) -> None:
    """By its client id, with size and price; nothing is burnt for it."""
    async with action_desk(tmp_path, request_timeout_s=1.0) as desk:
        before = desk.held("ETH")
        await unclear(desk, fault)
        (outcome,) = await desk.resolve(NAME)
        assert (outcome.end, outcome.filled_size) == (FILLED, 2)
        assert outcome.average_price is not None
        assert desk.held("ETH") == before - 2
        assert desk.signer.signed == {"Reduce": 1}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(FaultKind.ACTIONS_FAIL, id="500, not executed"),
        pytest.param(FaultKind.ACTIONS_REFUSED, id="refused in unknown words"),
    ],
)
async def test_an_order_that_never_arrived_is_burnt_first(fault: FaultKind, tmp_path: Path) -> None:
    """Only then it is certain that it was not executed."""
    async with action_desk(tmp_path) as desk:
        before = desk.held("ETH")
        await unclear(desk, fault)
        (outcome,) = await desk.resolve(NAME)
        assert (outcome.end, desk.held("ETH")) == (REJECTED, before)
        assert desk.signer.signed == {"Reduce": 1, "Noop": 1}


async def test_an_order_still_under_way_can_not_arrive_after_its_burning(tmp_path: Path) -> None:
    """The noop with its nonce comes first, and the order is then refused by the chain."""
    async with action_desk(tmp_path, request_timeout_s=1.0) as desk:
        before = desk.held("ETH")
        desk.break_(FaultKind.ACTIONS_DELAYED, ratio=1.0, delay_s=8.0, channel="order")
        assert ends(await desk.place(desk.order("ETH", "2"))) == [UNKNOWN]
        desk.heal()
        assert ends(await desk.resolve(NAME)) == [REJECTED]
        await desk.clock.sleep(20)
        assert desk.held("ETH") == before


async def test_without_burning_it_is_waited_for_the_expiry(tmp_path: Path) -> None:
    """A venue that takes no noop: unknown until the order can no longer arrive."""
    async with action_desk(tmp_path) as desk:
        await unclear(desk, FaultKind.ACTIONS_FAIL)
        desk.break_(FaultKind.ACTIONS_FAIL, ratio=1.0)
        (outcome,) = await desk.resolve(NAME)
        assert (outcome.end, "burnt" in outcome.detail) == (UNKNOWN, True)
        await desk.clock.sleep(30.0 + 5.0)
        (outcome,) = await desk.resolve(NAME)
        assert outcome.end is UNKNOWN
        await desk.clock.sleep(10.0)
        assert ends(await desk.resolve(NAME)) == [REJECTED]


async def test_what_was_sent_before_a_restart_is_burnt_by_its_kept_nonce(tmp_path: Path) -> None:
    """Another process finds out about it, at once and for certain."""
    async with action_desk(tmp_path) as desk:
        before = desk.held("ETH")
        await unclear(desk, FaultKind.ACTIONS_FAIL)
        (sent,) = desk.nonces.find(NAME)
        desk.restart()
        assert desk.nonces.find(NAME) == (sent,)
        assert ends(await desk.resolve(NAME)) == [REJECTED]
        assert desk.signer.signed == {"Reduce": 1, "Noop": 1}
        assert desk.held("ETH") == before


async def test_an_order_of_which_nothing_is_remembered_is_waited_for(tmp_path: Path) -> None:
    """After a restart without the file: until the longest expiry is over."""
    async with action_desk(tmp_path) as desk:
        (outcome,) = await desk.resolve(NAME)
        assert (outcome.end, "125 s" in outcome.detail) == (UNKNOWN, True)
        await desk.clock.sleep(124.9)
        assert ends(await desk.resolve(NAME)) == [UNKNOWN]
        await desk.clock.sleep(10.2)
        assert ends(await desk.resolve(NAME)) == [REJECTED]
        assert desk.signer.signed.total() == 0


async def test_an_order_that_never_left_needs_no_waiting(tmp_path: Path) -> None:
    """Killed after the intent was kept and before it was sent: the book of nonces names it not."""
    (tmp_path / "nonces").touch()
    async with action_desk(tmp_path) as desk:
        assert ends(await desk.resolve(NAME)) == [REJECTED]
        assert desk.clock.slept_s == []
        assert desk.signer.signed.total() == 0


async def test_a_free_nonce_proves_more_than_any_view(tmp_path: Path) -> None:
    """What could be burnt was never used, however old what the venue shows."""
    async with action_desk(tmp_path) as desk:
        await unclear(desk, FaultKind.ACTIONS_FAIL)
        desk.break_(FaultKind.CLOCK_OFFSET, delay_s=-60.0)
        assert ends(await desk.resolve(NAME)) == [REJECTED]
        assert desk.clock.slept_s == []


async def test_an_old_view_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Executed, and not shown for some seconds: it is waited for, never taken for refused."""
    async with action_desk(tmp_path) as desk:
        await unclear(desk, FaultKind.ACTIONS_OVERLOADED)
        shown_from_s = desk.world.now_s + 5.0
        for kind, nothing in (("orderStatus", {"status": "unknownOid"}), ("userFillsByTime", [])):
            monkeypatch.setitem(info.HANDLERS, kind, behind(kind, nothing, shown_from_s))
        (outcome,) = await desk.resolve(NAME)
        assert (outcome.end, outcome.filled_size) == (FILLED, 2)
        assert desk.world.now_s >= shown_from_s


def behind(kind: str, nothing: object, from_s: float) -> Any:
    """A read that shows nothing before ``from_s``."""
    real = info.HANDLERS[kind]
    return lambda world, request: nothing if world.now_s < from_s else real(world, request)


async def test_a_used_nonce_without_an_order_is_looked_at_for_a_while(tmp_path: Path) -> None:
    """It arrived, too late, and left no trace; that is certain once the view is new enough."""
    async with action_desk(tmp_path, command_deadline_s=5.0) as desk:
        before = desk.held("ETH")
        desk.break_(FaultKind.CLOCK_OFFSET, delay_s=40.0)
        await unclear(desk, FaultKind.ACTIONS_OVERLOADED)
        (outcome,) = await desk.resolve(NAME)
        assert (outcome.end, "older" in outcome.detail) == (UNKNOWN, True)
        await desk.clock.sleep(10.0)
        assert ends(await desk.resolve(NAME)) == [REJECTED]
        assert desk.held("ETH") == before
        assert desk.signer.signed == {"Reduce": 1, "Noop": 1}  # asked once


async def test_a_venue_that_cannot_be_read_leaves_it_unknown(tmp_path: Path) -> None:
    """With the reason."""
    async with action_desk(tmp_path) as desk:
        await unclear(desk, FaultKind.ACTIONS_FAIL)
        desk.break_(FaultKind.API_ERRORS)
        (outcome,) = await desk.resolve(NAME)
        assert (outcome.end, "500" in outcome.detail) == (UNKNOWN, True)


async def test_after_an_unclear_batch_nothing_more_is_sent(tmp_path: Path) -> None:
    """What is unclear is found out first."""
    async with action_desk(tmp_path, orders_per_request=1) as desk:
        before = desk.held("ETH")
        desk.break_(FaultKind.ACTIONS_OVERLOADED, ratio=1.0)
        outcomes = await desk.place(desk.order(number=1), desk.order(number=2))
        assert ends(outcomes) == [UNKNOWN, REJECTED]
        assert "unclear" in outcomes[1].detail
        assert desk.held("ETH") == before - 1


async def test_a_venue_that_never_answers_ends_with_the_deadline(tmp_path: Path) -> None:
    """Sent and unanswered is unknown, whatever ended the command."""
    async with action_desk(
        tmp_path, command_deadline_s=1.0, request_timeout_s=30.0, orders_per_request=1
    ) as desk:
        assert await desk.executor.prepare() == ""
        desk.break_(FaultKind.ACTIONS_UNANSWERED, ratio=1.0)
        outcomes = await desk.place(desk.order(number=1), desk.order(number=2))
        assert ends(outcomes) == [UNKNOWN, REJECTED]
        assert "deadline" in outcomes[0].detail


async def test_cancels_answered_are_kept_when_the_deadline_passes(tmp_path: Path) -> None:
    """The first request was answered, the second never was."""
    async with action_desk(
        tmp_path, command_deadline_s=1.0, request_timeout_s=30.0, fast_cancels=False
    ) as desk:
        twap = start_twap(desk)
        orders = [one for one in (await desk.truth()).orders if one.twap or not one.trigger]
        desk.break_(FaultKind.ACTIONS_UNANSWERED, ratio=1.0, channel="twapCancel")
        answer = await desk.run(desk.cancel_command(*orders), CancelsAnswered)
        left = [one.order_id for one in answer.outcomes if not one.gone]
        assert left == [twap]
