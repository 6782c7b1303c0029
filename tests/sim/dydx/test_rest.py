"""The simulated indexer's REST API: numbers, errors, limits, paging."""

from __future__ import annotations

import asyncio
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

import pytest

from monitor.sim.dydx.session import BLOCKED_TEXT
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.world import World
from tests.sim.dydx.rig import ADDRESS, SEED, START_S, TO_TICK_S, Json, Rig, simulated, size_of

OWN = f"/addresses/{ADDRESS}/subaccountNumber/0"


@pytest.fixture(scope="module")
def still() -> World:
    """A world whose time does not pass: for tests that only ask."""
    return World(SEED, START_S)


def by_hand(row: Json, markets: Json) -> tuple[Decimal, Decimal]:
    """Equity and free collateral of one subaccount from its parts, by the formulas of the sheet."""
    equity = Decimal(0)
    for asset in row["assetPositions"].values():
        equity += Decimal(asset["size"]) * (1 if asset["side"] == "LONG" else -1)
    margin = Decimal(0)
    for symbol, position in row["openPerpetualPositions"].items():
        price = Decimal(markets[symbol]["oraclePrice"])
        size = Decimal(position["size"])
        equity += size * price
        margin += abs(size) * price * Decimal(markets[symbol]["initialMarginFraction"])
    return equity, equity - margin


async def test_equity_and_free_collateral_are_exact() -> None:
    """Both are what the parts of the same answer add up to, also with funding due and debt."""
    async with simulated() as rig:
        # Buying for twice what the account owns leaves it owing USDC.
        price = rig.world.market("dydx", "BTC-USD").oracle_price
        pool = rig.world.account("dydx", ADDRESS).pools["0"]
        size = ((pool.cash + pool.equity) / price).quantize(Decimal(1))
        rig.world.trade("dydx", ADDRESS, "0", "BTC-USD", size)
        await rig.go(TO_TICK_S + 5)
        markets = (await rig.get("/perpetualMarkets"))["markets"]
        parent = (await rig.get(f"/addresses/{ADDRESS}/parentSubaccountNumber/0"))["subaccount"]
        sums = [Decimal(0), Decimal(0)]
        for child in parent["childSubaccounts"]:
            equity, free = by_hand(child, markets)
            assert Decimal(child["equity"]) == equity
            assert Decimal(child["freeCollateral"]) == free
            sums = [sums[0] + equity, sums[1] + free]
        assert [Decimal(parent["equity"]), Decimal(parent["freeCollateral"])] == sums
        assert parent["childSubaccounts"][0]["assetPositions"]["USDC"]["side"] == "SHORT"
        assert [child["subaccountNumber"] for child in parent["childSubaccounts"]] == [0, 128]


async def test_open_interest_does_not_reach_the_indexer_margin() -> None:
    """The chain's margin rate rises with open interest; the indexer keeps the base rate."""
    async with simulated() as rig:
        market = rig.world.market("dydx", "LINK-USD")
        market.open_interest = 70e6 / market.oracle
        row = (await rig.get(OWN))["subaccount"]
        markets = (await rig.get("/perpetualMarkets"))["markets"]
        assert market.initial_rate > Decimal(markets["LINK-USD"]["initialMarginFraction"])
        assert Decimal(row["freeCollateral"]) == by_hand(row, markets)[1]


async def test_oracle_follows_from_entry_price_and_profit() -> None:
    """The price can be recovered from a position, as with recorded answers."""
    async with simulated() as rig:
        await rig.go(4)
        row = (await rig.get(OWN))["subaccount"]["openPerpetualPositions"]["ETH-USD"]
        size = Decimal(row["size"])
        price = Decimal(row["entryPrice"]) + Decimal(row["unrealizedPnl"]) / size
        assert size < 0
        assert price == rig.world.market("dydx", "ETH-USD").oracle_price


async def test_funding_tick_adjusts_snapshots_and_lists_payments() -> None:
    """Snapshots move at once, the chain's balance with the next update; payments add up."""
    async with simulated() as rig:
        pool = rig.world.account("dydx", ADDRESS).pools["0"]
        settled = pool.cash
        await rig.go(TO_TICK_S + 5)
        usdc = (await rig.get(OWN))["subaccount"]["assetPositions"]["USDC"]["size"]
        query = {"address": ADDRESS, "subaccountNumber": 0}
        rows = (await rig.get("/fundingPayments", **query, showZeroPayments="true"))[
            "fundingPayments"
        ]
        new = [row for row in rows if row["createdAt"] >= "2025-11-24T16:00"]
        chain = (await rig.ask(f"/dydxprotocol/subaccounts/subaccount/{ADDRESS}/0", base="lcd"))[2]
        assert {row["ticker"] for row in new} == set(pool.positions)
        assert sum(Decimal(row["payment"]) for row in new) == Decimal(usdc) - settled
        assert pool.cash == settled
        quantums = chain["subaccount"]["asset_positions"][0]["quantums"]
        assert Decimal(quantums) == settled * 10**6
        for row in new:
            owed = Decimal(row["size"]) * Decimal(row["oraclePrice"]) * Decimal(row["rate"])
            assert Decimal(row["payment"]) == (-owed).quantize(Decimal("1e-6"), ROUND_FLOOR)
            assert isinstance(row["subaccountNumber"], str)


async def test_payments_follow_what_was_held_at_the_tick() -> None:
    """A position bought after the tick is not charged for the hour before."""
    async with simulated() as rig:
        await rig.go(TO_TICK_S + 5)
        held = {symbol: size_of(rig.world, symbol) for symbol in ("BTC-USD", "ETH-USD")}
        rig.world.trade("dydx", ADDRESS, "0", "BTC-USD", Decimal("0.3"))
        rig.world.trade("dydx", ADDRESS, "0", "ETH-USD", -held["ETH-USD"])
        await rig.go(1)
        rows = (await rig.get("/fundingPayments", address=ADDRESS, subaccountNumber=0))[
            "fundingPayments"
        ]
        newest = {row["ticker"]: row for row in reversed(rows)}
        assert {symbol: Decimal(newest[symbol]["size"]) for symbol in held} == held


async def test_historical_funding_is_hourly_newest_first() -> None:
    """Rows lie an hour apart and just after it; the tick adds one, and paging by time works."""
    async with simulated() as rig:
        await rig.go(TO_TICK_S + 2)
        path = "/historicalFunding/BTC-USD"
        rows = (await rig.get(path, limit=4))["historicalFunding"]
        stamps = [row["effectiveAt"] for row in rows]
        older = (await rig.get(path, limit=2, effectiveBeforeOrAt=stamps[1]))["historicalFunding"]
        by_height = (
            await rig.get(path, limit=1, effectiveBeforeOrAtHeight=rows[2]["effectiveAtHeight"])
        )["historicalFunding"]
        assert set(rows[0]) == {"ticker", "rate", "price", "effectiveAtHeight", "effectiveAt"}
        assert all(stamp[14:19] == "00:00" for stamp in stamps)
        assert stamps == sorted(stamps, reverse=True)
        assert older == rows[1:3]
        assert by_height == rows[2:3]


async def test_newcomer_has_no_oracle_price(still: World) -> None:
    """A market that was just listed answers null, an empty book and an empty tape."""
    async with simulated(still) as rig:
        row = (await rig.get("/perpetualMarkets", market="NOVA-USD"))["markets"]["NOVA-USD"]
        assert row["oraclePrice"] is None
        assert row["status"] == "INITIALIZING"
        assert await rig.get("/orderbooks/perpetualMarket/NOVA-USD") == {"bids": [], "asks": []}
        assert await rig.get("/trades/perpetualMarket/NOVA-USD") == {"trades": []}


@pytest.mark.parametrize(
    ("path", "query", "status", "problem"),
    [
        pytest.param("/addresses/dydx1zzz", {}, 400, "address must be a valid", id="no address"),
        pytest.param(
            f"/addresses/{ADDRESS}/subaccountNumber/128001",
            {},
            400,
            "subaccountNumber must be a non-negative integer less than 128001",
            id="number one too high",
        ),
        pytest.param(
            f"/addresses/{ADDRESS}/subaccountNumber/128000",
            {},
            404,
            "No subaccount found",
            id="highest number is merely unknown",
        ),
        pytest.param(
            f"/addresses/{ADDRESS}/parentSubaccountNumber/128",
            {},
            400,
            "parentSubaccountNumber must be",
            id="parent one too high",
        ),
        pytest.param(
            f"/addresses/{ADDRESS}/parentSubaccountNumber/127",
            {},
            404,
            "No subaccounts found",
            id="unknown parent",
        ),
        pytest.param(
            "/historicalFunding/FOO-USD", {}, 400, "ticker must be a valid", id="ticker in path"
        ),
        pytest.param(
            "/perpetualMarkets", {"market": "FOO"}, 400, "ticker must be", id="ticker in query"
        ),
        pytest.param("/perpetualMarkets", {"limit": 0}, 400, "limit must be", id="limit zero"),
        pytest.param("/perpetualMarkets", {"limit": 1001}, 400, "limit must be", id="limit 1001"),
        pytest.param(
            "/candles/perpetualMarkets/BTC-USD",
            {"resolution": "2MIN"},
            400,
            "resolution must be one of",
            id="resolution",
        ),
        pytest.param(
            "/orders",
            {"address": ADDRESS, "subaccountNumber": 0, "status": "OPEN,ODD"},
            400,
            "status must be one of",
            id="one status of two",
        ),
        pytest.param(
            "/fills",
            {"address": ADDRESS, "subaccountNumber": 0, "market": "BTC-USD"},
            400,
            "marketType must be provided",
            id="market without its type",
        ),
        pytest.param(
            "/assetPositions",
            {"address": ADDRESS, "subaccountNumber": 9},
            404,
            "No subaccount found",
            id="assets of nobody",
        ),
        pytest.param("/orders/nope", {}, 404, "Unable to find order", id="unknown order"),
        pytest.param("/elsewhere", {}, 404, "Cannot GET", id="unknown path"),
    ],
)
async def test_errors(still: World, path: str, query: Json, status: int, problem: str) -> None:
    """Every refusal has the venue's error body."""
    async with simulated(still) as rig:
        got, _, body = await rig.ask(path, **query)
        assert got == status
        assert body["errors"][0]["msg"].startswith(problem)
        if status == 400:
            assert set(body["errors"][0]) >= {"msg", "param", "location"}


async def test_all_wrong_parameters_are_reported_at_once(still: World) -> None:
    """One entry each; a missing one has no value."""
    async with simulated(still) as rig:
        _, _, body = await rig.ask("/fills", limit=-3)
        assert [row["param"] for row in body["errors"]] == ["address", "subaccountNumber", "limit"]
        assert "value" not in body["errors"][0]


async def test_unknown_subaccount_is_empty_where_rows_are_only_filtered(still: World) -> None:
    """Orders, fills, positions and payments of nobody are lists without rows."""
    async with simulated(still) as rig:
        query = {"address": ADDRESS, "subaccountNumber": 9}
        assert await rig.get("/orders", **query) == []
        assert await rig.get("/fills", **query) == {"fills": []}
        assert await rig.get("/perpetualPositions", **query) == {"positions": []}
        assert await rig.get("/fundingPayments", **query) == {"fundingPayments": []}


async def test_hundred_requests_in_ten_seconds_and_group(still: World) -> None:
    """The 101st is refused with Retry-After in milliseconds; other groups and later are free."""
    async with simulated(still) as rig:
        for left in range(99, -1, -1):
            status, headers, _ = await rig.ask("/height")
            assert (status, headers["RateLimit-Remaining"]) == (200, str(left))
        status, headers, body = await rig.ask("/time")
        assert status == 429
        assert body == {"errors": [{"msg": "Too many requests"}]}
        assert headers["Retry-After"] == "10000"
        assert headers["RateLimit-Limit"] == "100"
        assert headers["RateLimit-Reset"] == str(round((START_S + 10) * 1000))
        assert await rig.get("/orders", address=ADDRESS, subaccountNumber=0)
        status, headers, _ = await rig.ask(
            "/candles/perpetualMarkets/BTC-USD", resolution="1DAY", limit=1
        )
        assert (status, headers["RateLimit-Limit"]) == (200, "1000")
        await rig.clock.advance(9.999)
        assert (await rig.ask("/height"))[0] == 429
        await rig.clock.advance(0.001)
        assert (await rig.ask("/height"))[0] == 200


async def test_storm_of_429s_while_the_fault_holds(still: World) -> None:
    """A client that has done nothing wrong is refused all the same."""
    async with simulated(still) as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.RATE_LIMITED, venue="dydx"))
        status, headers, _ = await rig.ask("/height")
        assert status == 429
        assert int(headers["Retry-After"]) > 1_000
        rig.world.faults.heal()
        assert (await rig.ask("/height"))[0] == 200


async def test_failing_api_answers_500(still: World) -> None:
    """With the venue's body."""
    async with simulated(still) as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.API_ERRORS, venue="dydx"))
        status, _, body = await rig.ask("/height")
        assert (status, body) == (500, {"errors": [{"msg": "Internal Server Error"}]})


async def test_slow_api_answers_after_its_delay(still: World) -> None:
    """The answer waits for the clock, then is right."""
    async with simulated(still) as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.SLOW, venue="dydx", delay_s=3.0))
        answers: list[Json] = []

        async def ask(rig: Rig) -> None:
            answers.append(await rig.get("/height"))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(rig), name="ask")
            await asyncio.sleep(0.05)
            assert answers == []
            await rig.clock.advance(3.0)
        assert answers[0]["height"]


@pytest.mark.parametrize(
    ("market", "code"),
    [
        pytest.param("*", "GEOBLOCKED", id="country"),
        pytest.param(ADDRESS, "COMPLIANCE_BLOCKED", id="address"),
    ],
)
async def test_forbidden_answers_403_for_accounts_only(
    still: World, market: str, code: str
) -> None:
    """Market data stays open, also to a blocked address."""
    async with simulated(still) as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.FORBIDDEN, venue="dydx", market=market))
        status, _, body = await rig.ask(OWN)
        assert (status, body["errors"][0]["code"]) == (403, code)
        assert (await rig.ask("/perpetualMarkets"))[0] == 200
        screen = await rig.get("/screen", address=ADDRESS)
        assert screen == {"restricted": True, "reason": BLOCKED_TEXT}
        assert (await rig.get(f"/compliance/screen/{ADDRESS}"))["status"] == "BLOCKED"


async def test_paging_says_where_it_stands(still: World) -> None:
    """Two pages of two are the first four; only paged answers have totals."""
    async with simulated(still) as rig:
        query = {"address": ADDRESS, "subaccountNumber": 0, "limit": 2}
        whole = await rig.get("/fills", **{**query, "limit": 4})
        pages = [await rig.get("/fills", **query, page=page) for page in (1, 2)]
        assert set(whole) == {"fills"}
        assert [row for page in pages for row in page["fills"]] == whole["fills"]
        fills = len(still.account("dydx", ADDRESS).pools["0"].fills)
        assert (pages[1]["pageSize"], pages[1]["offset"]) == (2, 2)
        assert pages[1]["totalResults"] == fills


async def test_orders_are_a_bare_array_with_filters() -> None:
    """Status lists, side and ticker narrow it; one order answers by its id."""
    async with simulated() as rig:
        query = {"address": ADDRESS, "subaccountNumber": 0}
        rows = await rig.get("/orders", **query, status="OPEN,UNTRIGGERED")
        stops = await rig.get("/orders", **query, status="UNTRIGGERED")
        sells = await rig.get("/orders", **query, side="SELL", ticker="ETH-USD")
        assert {row["status"] for row in rows} == {"OPEN", "UNTRIGGERED"}
        assert [row["type"] for row in stops] == ["STOP_MARKET"]
        assert [(row["side"], row["ticker"]) for row in sells] == [("SELL", "ETH-USD")]
        assert await rig.get(f"/orders/{rows[0]['id']}") == rows[0]
        rig.world.trade("dydx", ADDRESS, "0", "BTC-USD", Decimal(1))
        short = await rig.get("/orders", **query, goodTilBlockAfter=1)
        assert [(row["status"], row["timeInForce"]) for row in short] == [("FILLED", "IOC")]


async def test_parent_lists_cover_children_and_hide_their_own_transfers() -> None:
    """Fills and positions of all children; transfers among them are left out."""
    async with simulated() as rig:
        rig.world.transfer(("dydx", ADDRESS, "0"), ("dydx", ADDRESS, "128"), Decimal(25))
        rig.world.deposit("dydx", ADDRESS, "0", Decimal(70))
        query = {"address": ADDRESS, "parentSubaccountNumber": 0}
        positions = await rig.get("/perpetualPositions/parentSubaccountNumber", **query)
        transfers = await rig.get("/transfers/parentSubaccountNumber", **query)
        own = await rig.get("/transfers", address=ADDRESS, subaccountNumber=128)
        assert {row["subaccountNumber"] for row in positions["positions"]} == {0, 128}
        assert [row["type"] for row in transfers["transfers"]] == ["DEPOSIT"]
        assert transfers["transfers"][0]["recipient"]["parentSubaccountNumber"] == 0
        assert [(row["type"], row["size"]) for row in own["transfers"]] == [("TRANSFER_IN", "25")]


async def test_hourly_pnl_leaves_transfers_out() -> None:
    """Equity moves by result and transfers; totalPnl by the result alone."""
    async with simulated() as rig:
        rig.world.deposit("dydx", ADDRESS, "0", Decimal(5_000))
        await rig.go(TO_TICK_S + 1)
        query = {"address": ADDRESS, "subaccountNumber": 0}
        new, old = (await rig.get("/historical-pnl", **query))["historicalPnl"]
        gained = Decimal(new["equity"]) - Decimal(old["equity"]) - 5_000
        assert new["netTransfers"] == "5000"
        assert Decimal(new["totalPnl"]) == gained
        assert len((await rig.get("/pnl", **query, daily="true"))["pnl"]) == 1


async def test_halt_then_one_funding_tick_per_block_and_a_gate() -> None:
    """Height stands still on indexer and node; afterwards the missed hours follow one another."""
    async with simulated(step_s=5.0) as rig:
        before = await rig.get("/height")
        rig.world.faults.inject(Fault(kind=FaultKind.HALTED, venue="dydx"))
        await rig.go(TO_TICK_S + 2 * 3_600 + 60, step_s=10)
        assert await rig.get("/height") == before
        status = (await rig.ask("/status", base="rpc"))[2]["result"]["sync_info"]
        assert status["latest_block_height"] == before["height"]
        rig.world.faults.heal(FaultKind.HALTED)
        await rig.go(10, step_s=5)
        halted_at = int(before["height"])
        rows = (await rig.get("/historicalFunding/SOL-USD", limit=4))["historicalFunding"]
        heights = [int(row["effectiveAtHeight"]) for row in rows]
        assert heights[:3] == [halted_at + 3, halted_at + 2, halted_at + 1]
        assert [newer - older for newer, older in pairwise(heights[:3])] == [1, 1]
        assert [row["rate"] for row in rows[:2]] == ["0", "0"]
        gate = "/dydxprotocol/subaccounts/withdrawals_and_transfers_blocked_info/0"
        assert (await rig.ask(gate, base="lcd"))[2] == {
            "negative_tnc_subaccount_seen_at_block": 0,
            "chain_outage_seen_at_block": halted_at + 1,
            "withdrawals_and_transfers_unblocked_at_block": halted_at + 51,
        }
        assert int((await rig.get("/height"))["height"]) < halted_at + 20
