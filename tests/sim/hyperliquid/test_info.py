"""``/info`` of the simulated Hyperliquid: shapes, identities and the error table."""

from __future__ import annotations

import json
import re
from collections import deque
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from monitor.sim import addresses
from monitor.sim.books import aggregate
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.hyperliquid import info
from monitor.sim.hyperliquid.account_views import liquidation_price
from monitor.sim.hyperliquid.limits import WeightWindow, weight_of
from monitor.sim.hyperliquid.wire import number
from monitor.sim.world import World
from tests.shared_data import shared_data
from tests.sim.hyperliquid.rig import MAIN, START_S, running

STRINGS_OF_NUMBERS = re.compile(r"-?\d+\.\d+\Z")


@pytest.fixture(scope="module")
def world() -> World:
    """A world a minute old that no test changes."""
    made = World(7, START_S)
    made.advance(START_S + 60)
    return made


def ask(world: World, kind: str, **fields: object) -> Any:
    answer = info.answer(world, json.dumps({"type": kind, **fields}).encode())
    assert answer.status == 200, answer
    return json.loads(answer.body)


def shape(value: Any) -> Any:
    """The kinds of JSON in a value: keys and types, lists by their first entry."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, str) and STRINGS_OF_NUMBERS.match(value) else type(value)


def recorded(name: str) -> Any:
    return json.loads(shared_data(f"venues/hyperliquid/{name}.json").read_text())


# ----------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("84198", "84198.0", id="whole"),
        pytest.param("0.00004", "0.00004", id="small, no exponent"),
        pytest.param("1E+3", "1000.0", id="large exponent"),
        pytest.param("47.66230", "47.6623", id="no trailing zeros"),
        pytest.param("-0", "0.0", id="never minus zero"),
        pytest.param("0E-10", "0.0", id="zero of any scale"),
    ],
)
def test_numbers_are_plain_strings(value: str, text: str) -> None:
    """Decimal text as the venue writes it."""
    assert number(Decimal(value)) == text


def test_isolated_state_has_the_recorded_shape(world: World) -> None:
    """Every key and kind of the recorded state with an isolated position is ours too."""
    theirs = recorded("jkorf_info_clearinghouseState_isolated")
    ours = ask(world, "clearinghouseState", user=MAIN)
    isolated = [p for p in ours["assetPositions"] if p["position"]["coin"] == "FARTCOIN"]
    assert shape({**ours, "assetPositions": isolated}) == shape(theirs)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("info_user_role", "userRole", id="userRole"),
        pytest.param("info_extra_agents", "extraAgents", id="extraAgents"),
        pytest.param("info_user_vault_equities", "userVaultEquities", id="userVaultEquities"),
        pytest.param("info_get_frontend_open_orders", "frontendOpenOrders", id="frontend orders"),
        pytest.param("info_historical_orders", "historicalOrders", id="historicalOrders"),
        pytest.param("info_portfolio", "portfolio", id="portfolio"),
    ],
)
def test_answers_have_the_recorded_keys(world: World, name: str, kind: str) -> None:
    """The first row of a recorded answer and of ours have the same keys, types and periods."""
    theirs, ours = recorded(name)["response"], ask(world, kind, user=MAIN)
    if kind == "userRole":
        assert ours == {"role": "user"}
        return
    if kind == "portfolio":
        assert [period for period, _ in ours] == [period for period, _ in theirs]
        assert ours[0][1].keys() == theirs[0][1].keys()
        return
    assert ours[0].keys() - {"cloid"} == theirs[0].keys()


def test_funding_row_has_the_recorded_shape(world: World) -> None:
    """``userFunding`` rows look exactly as recorded."""
    assert shape(ask(world, "userFunding", user=MAIN)) == shape(recorded("jkorf_info_userFunding"))


def test_meta_names_tiers_and_flags(world: World) -> None:
    """Optional keys only where true; tiered tables from 51; single tiers are their leverage."""
    meta = ask(world, "meta")
    assert meta.keys() == {"universe", "marginTables", "collateralToken"}
    by_name = {entry["name"]: entry for entry in meta["universe"]}
    assert by_name["MATIC"]["isDelisted"] is True
    assert by_name["FARTCOIN"]["onlyIsolated"] is True
    assert by_name["FARTCOIN"]["marginMode"] == "strictIsolated"
    assert by_name["BTC"].keys() == {"name", "szDecimals", "maxLeverage", "marginTableId"}
    tables = dict(meta["marginTables"])
    assert tables[by_name["BTC"]["marginTableId"]]["marginTiers"] == [
        {"lowerBound": "0.0", "maxLeverage": 40},
        {"lowerBound": "150000000.0", "maxLeverage": 20},
    ]
    single = by_name["BNB"]["marginTableId"]
    assert single == by_name["BNB"]["maxLeverage"]
    assert single not in tables
    assert ask(world, "marginTable", id=single)["marginTiers"][0]["maxLeverage"] == single


def test_contexts_join_meta_by_position(world: World) -> None:
    """As many contexts as entries; a delisted one has nulls; all else are strings."""
    meta, contexts = ask(world, "metaAndAssetCtxs")
    assert len(meta["universe"]) == len(contexts)
    for entry, context in zip(meta["universe"], contexts, strict=True):
        if entry.get("isDelisted"):
            assert [context[k] for k in ("midPx", "premium", "impactPxs")] == [None] * 3
        else:
            assert {shape(context[k]) for k in context if k != "impactPxs"} == {"number"}


def test_dexes_are_separate(world: World) -> None:
    """Names carry the dex; the first dex does not know them; metas come in dex order."""
    first, second = ask(world, "allPerpMetas")
    assert [dex and dex["name"] for dex in ask(world, "perpDexs")] == [None, "xyz"]
    assert second == ask(world, "meta", dex="xyz")
    assert all(entry["name"].startswith("xyz:") for entry in second["universe"])
    assert not any(":" in entry["name"] for entry in first["universe"])
    coins = [p["position"]["coin"] for p in positions(world)]
    assert "xyz:NVDA" not in coins
    assert [p["position"]["coin"] for p in positions(world, dex="xyz")] == ["xyz:NVDA"]
    assert "xyz:NVDA" in ask(world, "allMids", dex="xyz")
    assert [o["coin"] for o in ask(world, "openOrders", user=MAIN, dex="xyz")] == ["xyz:NVDA"]


def positions(world: World, user: str = MAIN, **fields: object) -> Any:
    return ask(world, "clearinghouseState", user=user, **fields)["assetPositions"]


def test_an_api_wallet_reads_as_empty(world: World) -> None:
    """A valid, empty account and the role that explains it."""
    agent = addresses.HYPERLIQUID_AGENT
    state = ask(world, "clearinghouseState", user=agent)
    assert (state["assetPositions"], state["marginSummary"]["accountValue"]) == ([], "0.0")
    assert ask(world, "userRole", user=agent) == {"role": "agent", "data": {"user": MAIN}}


@pytest.mark.parametrize(
    ("user", "role"),
    [
        pytest.param(
            addresses.HYPERLIQUID_SUBACCOUNT,
            {"role": "subAccount", "data": {"master": MAIN}},
            id="sub-account",
        ),
        pytest.param(addresses.HYPERLIQUID_VAULT, {"role": "vault"}, id="vault"),
        pytest.param("0x" + "9" * 40, {"role": "missing"}, id="nobody"),
    ],
)
def test_roles(world: World, user: str, role: object) -> None:
    """``userRole`` says what an address is."""
    assert ask(world, "userRole", user=user) == role


def test_addresses_may_have_any_case(world: World) -> None:
    """Checksummed addresses find the same account."""
    assert positions(world, user=MAIN.upper().replace("0X", "0x")) == positions(world)


def test_a_unified_account_keeps_its_equity_in_spot(world: World) -> None:
    """The perp side shows its margin alone; spot dollars hold all of it."""
    user = addresses.HYPERLIQUID_UNIFIED
    assert ask(world, "userAbstraction", user=user) == "unifiedAccount"
    (dollars,) = ask(world, "spotClearinghouseState", user=user)["balances"]
    state = ask(world, "clearinghouseState", user=user)
    used = Decimal(state["marginSummary"]["totalMarginUsed"])
    value = Decimal(state["marginSummary"]["accountValue"])
    assert Decimal(dollars["total"]) > 8 * value
    assert abs(used - value) < Decimal("0.00001")
    assert abs(Decimal(dollars["hold"]) - used) < Decimal("0.00001")


# ------------------------------------------------------------------------------------- identities


@pytest.mark.parametrize(
    ("user", "dex"),
    [
        pytest.param(MAIN, "", id="main"),
        pytest.param(MAIN, "xyz", id="HIP-3"),
        pytest.param(addresses.HYPERLIQUID_SUBACCOUNT, "", id="sub-account"),
        pytest.param(addresses.HYPERLIQUID_UNIFIED, "", id="unified"),
    ],
)
def test_margin_identities(world: World, user: str, dex: str) -> None:
    """The identities that hold on recorded states hold on ours, to the micro-dollar."""
    state = ask(world, "clearinghouseState", user=user, dex=dex)
    rows = [row["position"] for row in state["assetPositions"]]
    total, cross = state["marginSummary"], state["crossMarginSummary"]
    value = sum(
        (Decimal(r["positionValue"]).copy_sign(Decimal(r["szi"])) for r in rows), Decimal(0)
    )
    close = Decimal("0.00002")
    assert abs(Decimal(total["accountValue"]) - Decimal(total["totalRawUsd"]) - value) < close
    assert Decimal(total["totalNtlPos"]) == sum(Decimal(r["positionValue"]) for r in rows)
    used = Decimal(total["totalMarginUsed"])
    assert abs(used - sum(Decimal(r["marginUsed"]) for r in rows)) < close
    crossed = [r for r in rows if r["leverage"]["type"] == "cross"]
    maintenance = sum(Decimal(r["positionValue"]) / (2 * r["maxLeverage"]) for r in crossed)
    assert abs(Decimal(state["crossMaintenanceMarginUsed"]) - maintenance) < close
    assert (
        abs(
            Decimal(cross["totalMarginUsed"])
            - sum(Decimal(r["positionValue"]) / r["leverage"]["value"] for r in crossed)
        )
        < close
    )
    for row in rows:
        isolated = row["leverage"]["type"] == "isolated"
        assert ("rawUsd" in row["leverage"]) is isolated
        entry = Decimal(row["entryPx"]) * Decimal(row["szi"])
        signed = Decimal(row["positionValue"]).copy_sign(Decimal(row["szi"]))
        assert abs(signed - entry - Decimal(row["unrealizedPnl"])) < abs(entry) * Decimal("1e-5")
        if isolated:
            raw = Decimal(row["leverage"]["rawUsd"])
            assert Decimal(row["marginUsed"]) == signed + raw


def test_withdrawable_keeps_a_tenth_and_the_orders(world: World) -> None:
    """max(0, value - max(initial margin with resting orders, a tenth of notional))."""
    state = ask(world, "clearinghouseState", user=MAIN)
    orders = [
        o
        for o in ask(world, "frontendOpenOrders", user=MAIN)
        if not o["reduceOnly"] and not o["isTrigger"]
    ]
    leverage = {
        r["position"]["coin"]: r["position"]["leverage"]["value"] for r in state["assetPositions"]
    }
    held = sum(Decimal(o["sz"]) * Decimal(o["limitPx"]) / leverage[o["coin"]] for o in orders)
    total = state["marginSummary"]
    floor = max(Decimal(total["totalMarginUsed"]) + held, Decimal(total["totalNtlPos"]) / 10)
    expected = Decimal(total["accountValue"]) - floor
    assert held > 0
    assert abs(Decimal(state["withdrawable"]) - expected) < Decimal("0.00001")


def test_recorded_liquidation_price() -> None:
    """2 HYPE isolated with raw -68.126246 at 10x: 35.8559189474 exactly, as recorded."""
    world = World(1, START_S)
    pool = world.pool("hyperliquid", MAIN, "")
    pool.positions.clear()
    world.market("hyperliquid", "HYPE").mark = 37.826
    pool.execute("HYPE", Decimal(2), Decimal("37.829"), Decimal(0), START_S, 1, isolated=True)
    pool.positions["HYPE"].isolated_cash = Decimal("-68.126246")
    state = ask(world, "clearinghouseState", user=MAIN)
    (row,) = state["assetPositions"]
    theirs = recorded("jkorf_info_clearinghouseState_isolated")["assetPositions"][0]["position"]
    for key in ("liquidationPx", "marginUsed", "positionValue", "unrealizedPnl", "entryPx"):
        assert row["position"][key] == theirs[key]
    assert row["position"]["returnOnEquity"] == theirs["returnOnEquity"]


def test_liquidation_price_is_where_equity_meets_maintenance() -> None:
    """At the price stated, the pool's equity equals its maintenance, in the tier that holds."""
    world = World(1, START_S)
    pool = world.pool("hyperliquid", MAIN, "")
    for symbol in ("BTC", "ETH", "SOL", "LINK"):
        price = liquidation_price(pool, pool.positions[symbol])
        if price is None:
            continue
        market, before = world.market("hyperliquid", symbol), 0.0
        before, market.mark = market.mark, float(price)
        gap = pool.cross_equity - pool.maintenance_margin
        assert abs(gap) < pool.maintenance_margin * Decimal("0.001")  # the price is rounded
        market.mark = before


def test_a_long_with_much_collateral_has_no_liquidation_price() -> None:
    """Null where no positive price liquidates."""
    world = World(1, START_S)
    world.deposit("hyperliquid", MAIN, "", Decimal(50_000_000))
    rows = {r["position"]["coin"]: r["position"] for r in positions(world)}
    assert rows["ETH"]["liquidationPx"] is None
    assert rows["SOL"]["liquidationPx"] is not None  # a short always has one


def test_premium_follows_from_impact_prices(world: World) -> None:
    """premium = (max(impactBid - oracle, 0) - max(oracle - impactAsk, 0)) / oracle."""
    for context in ask(world, "metaAndAssetCtxs")[1]:
        if context["premium"] is None:
            continue
        oracle = Decimal(context["oraclePx"])
        bid, ask_ = (Decimal(text) for text in context["impactPxs"])
        zero = Decimal(0)
        premium = (max(bid - oracle, zero) - max(oracle - ask_, zero)) / oracle
        assert abs(Decimal(context["premium"]) - premium) <= Decimal("1e-10")


def test_hip3_premium_is_the_middle(world: World) -> None:
    """On a builder dex: half the sum of both impact prices against the oracle."""
    for context in ask(world, "metaAndAssetCtxs", dex="xyz")[1]:
        middle = sum(Decimal(text) for text in context["impactPxs"]) / 2
        premium = middle / Decimal(context["oraclePx"]) - 1
        assert abs(Decimal(context["premium"]) - premium) <= Decimal("1e-10")


def test_calm_funding_sits_at_its_floor(world: World) -> None:
    """Most coins say exactly 0.0000125."""
    said = [c["funding"] for c in ask(world, "metaAndAssetCtxs")[1]]
    assert said.count("0.0000125") >= len(said) - 3


# ------------------------------------------------------------------------------------------ books


def test_book_has_twenty_levels_and_a_time(world: World) -> None:
    """The plain book: no spread, 20 levels a side, state time in milliseconds."""
    book = ask(world, "l2Book", coin="BTC")
    assert book.keys() == {"coin", "time", "levels"}
    assert [len(side) for side in book["levels"]] == [20, 20]
    assert book["time"] == (START_S + 60) * 1_000
    assert shape(book["levels"][0][0]) == {"px": "number", "sz": "number", "n": int}


@pytest.mark.parametrize(
    ("figures", "mantissa", "tick"),
    [
        pytest.param(5, None, 1, id="five figures of 84 000"),
        pytest.param(5, 2, 2, id="mantissa 2"),
        pytest.param(5, 5, 5, id="mantissa 5"),
        pytest.param(4, None, 10, id="four"),
        pytest.param(3, None, 100, id="three"),
        pytest.param(2, None, 1_000, id="two"),
    ],
)
def test_aggregated_books(world: World, figures: int, mantissa: int | None, tick: int) -> None:
    """Prices lie on the grid, the spread is said, sizes are those of the whole book."""
    fields = {"nSigFigs": figures} | ({} if mantissa is None else {"mantissa": mantissa})
    book = ask(world, "l2Book", coin="BTC", **fields)
    bids, asks = book["levels"]
    assert all(Decimal(row["px"]) % tick == 0 for row in bids + asks)
    assert Decimal(book["spread"]) == Decimal(asks[0]["px"]) - Decimal(bids[0]["px"])
    whole = world.market("hyperliquid", "BTC").book
    merged = aggregate(whole.bids, Decimal(tick), is_bid=True)
    assert Decimal(bids[0]["sz"]) == merged[0][0][1]


# ---------------------------------------------------------------------------------------- history


def test_funding_history_pages_of_500(world: World) -> None:
    """At most 500 rows, ascending, both ends inclusive; the next page starts after the last."""
    first = ask(world, "fundingHistory", coin="BTC", startTime=0)
    assert len(first) == 500
    assert [row["time"] for row in first] == sorted(row["time"] for row in first)
    rest = ask(world, "fundingHistory", coin="BTC", startTime=first[-1]["time"] + 1)
    assert 0 < len(rest) < 500
    again = ask(world, "fundingHistory", coin="BTC", startTime=first[-1]["time"])
    assert again[0] == first[-1]


def test_fills_by_time_and_newest_first(world: World) -> None:
    """``userFills`` is newest first, ``userFillsByTime`` oldest first within the range."""
    newest = ask(world, "userFills", user=MAIN)
    times = [fill["time"] for fill in newest]
    assert times == sorted(times, reverse=True)
    by_time = ask(world, "userFillsByTime", user=MAIN, startTime=0)
    assert by_time == newest[::-1] or sorted(by_time, key=str) == sorted(newest, key=str)
    assert ask(world, "userFillsByTime", user=MAIN, startTime=times[0] + 1) == []


def test_order_status_by_number_and_client_id(world: World) -> None:
    """Either finds the order; a stranger's id is unknown."""
    order = next(o for o in ask(world, "frontendOpenOrders", user=MAIN) if o["cloid"])
    for oid in (order["oid"], order["cloid"]):
        found = ask(world, "orderStatus", user=MAIN, oid=oid)
        assert (found["status"], found["order"]["order"]) == ("order", order)
    assert ask(world, "orderStatus", user=MAIN, oid=1) == {"status": "unknownOid"}


def test_protective_orders_are_marked(world: World) -> None:
    """Triggers are reduce-only, with condition and price; plain ones say N/A and 0.0."""
    by_trigger = {
        o["isTrigger"]: o
        for o in ask(world, "frontendOpenOrders", user=MAIN)
        if o["orderType"] != "Take Profit Market"
    }
    stop, plain = by_trigger[True], by_trigger[False]
    assert (stop["reduceOnly"], stop["tif"], stop["orderType"]) == (True, None, "Stop Market")
    assert stop["triggerCondition"].startswith("Price ")
    assert (plain["triggerPx"], plain["triggerCondition"], plain["tif"]) == ("0.0", "N/A", "Gtc")


def test_ledger_rows() -> None:
    """Deposits, withdrawals with their fee, moves between dexes and to a sub-account."""
    world = World(7, START_S)
    main = ("hyperliquid", MAIN, "")
    world.deposit(*main, Decimal("250.5"))
    world.transfer(main, ("dydx", addresses.DYDX_MASTER, "0"), Decimal(101))
    world.transfer(main, ("hyperliquid", MAIN, "xyz"), Decimal(7))
    world.transfer(main, ("hyperliquid", addresses.HYPERLIQUID_SUBACCOUNT, ""), Decimal(9))
    deltas = [row["delta"] for row in ask(world, "userNonFundingLedgerUpdates", user=MAIN)]
    assert deltas[0] == {"type": "deposit", "usdc": "250.5"}
    assert (deltas[1]["type"], deltas[1]["usdc"], deltas[1]["fee"]) == ("withdraw", "100.0", "1.0")
    sends = [d for d in deltas if d["type"] == "send"]
    assert {(d["sourceDex"], d["destinationDex"]) for d in sends} == {("", "xyz")}
    (moved,) = [d for d in deltas if d["type"] == "subAccountTransfer"]
    assert (moved["user"], moved["destination"]) == (MAIN, addresses.HYPERLIQUID_SUBACCOUNT)


def test_predicted_fundings_name_the_past_settlement(world: World) -> None:
    """As on the real venue, HlPerp's next time is the hour that is already over."""
    rows = {coin: dict(venues) for coin, venues in ask(world, "predictedFundings")}
    hour_ms = int(world.now_s // 3_600) * 3_600_000
    assert rows["BTC"]["HlPerp"]["nextFundingTime"] == hour_ms < world.now_s * 1_000
    assert rows["BTC"]["BybitPerp"] is None
    assert "xyz:NVDA" not in rows


def test_candles_cover_the_past_and_now(world: World) -> None:
    """Half a year of hourly bars without a hole; numbers as strings but times and counts; high and
    low bound; minutes go back a day."""
    bars = ask(world, "candleSnapshot", req={"coin": "BTC", "interval": "1h", "startTime": 0})
    assert 180 * 24 <= len(bars) <= 180 * 24 + 2
    assert {later["t"] - bar["t"] for bar, later in pairwise(bars)} == {3_600_000}
    assert all(bar["c"] == later["o"] for bar, later in pairwise(bars))
    minutes = ask(world, "candleSnapshot", req={"coin": "BTC", "interval": "1m", "startTime": 0})
    assert 24 * 60 <= len(minutes) <= 24 * 60 + 2
    for bar in bars:
        assert Decimal(bar["l"]) <= min(Decimal(bar["o"]), Decimal(bar["c"]))
        assert Decimal(bar["h"]) >= max(Decimal(bar["o"]), Decimal(bar["c"]))
        assert bar["T"] - bar["t"] == 3_599_999


def test_hours_stay_when_their_minutes_are_dropped() -> None:
    """A world that runs for days keeps its minutes for two; the hours before them have no hole."""
    hour_s = (START_S // 3_600 + 1) * 3_600
    world = World(7, hour_s - 120)
    market = world.venues["hyperliquid"].markets["BTC"]
    market.bars = deque(market.bars, maxlen=3)
    world.advance(hour_s + 3_900)
    bars = ask(world, "candleSnapshot", req={"coin": "BTC", "interval": "1h", "startTime": 0})
    assert bars[-1]["t"] == (hour_s + 3_600) * 1_000
    assert {later["t"] - bar["t"] for bar, later in pairwise(bars[-3:])} == {3_600_000}


def test_state_time_stands_still_in_a_halt() -> None:
    """A halted chain shows in ``exchangeStatus`` and in books: their time stops."""
    world = World(7, START_S)
    world.advance(START_S + 5)
    world.faults.inject(Fault(kind=FaultKind.HALTED, venue="hyperliquid"))
    before = ask(world, "exchangeStatus")
    world.advance(START_S + 60)
    assert (
        ask(world, "exchangeStatus")
        == before
        == {
            "specialStatuses": None,
            "time": int((START_S + 5) * 1_000),
        }
    )


def test_rate_limit_grows_with_volume(world: World) -> None:
    """Cap = 10 000 + whole dollars traded."""
    said = ask(world, "userRateLimit", user=MAIN)
    assert said["nRequestsCap"] == 10_000 + int(Decimal(said["cumVlm"]))


@pytest.mark.parametrize("kind", sorted(info.HANDLERS))
def test_every_request_type_answers(world: World, kind: str) -> None:
    """Each type answers 200 with JSON when asked completely."""
    request = {
        "user": MAIN, "coin": "BTC", "startTime": 0, "id": 51, "oid": 1,
        "req": {"coin": "BTC", "interval": "1m", "startTime": 0, "endTime": 2**53},
    }  # fmt: skip
    ask(world, kind, **request)


# ----------------------------------------------------------------------------------------- errors

UNREADABLE = "Failed to deserialize the JSON body into the target type"


@pytest.mark.parametrize(
    ("body", "status", "kind", "text"),
    [
        pytest.param({"type": "nope"}, 422, "text/plain", UNREADABLE, id="unknown type"),
        pytest.param(
            {"type": "clearinghouseState"}, 422, "text/plain", UNREADABLE, id="missing user"
        ),
        pytest.param(
            {"type": "clearinghouseState", "user": "0x12"}, 422, "text/plain", UNREADABLE,
            id="short address",
        ),
        pytest.param([1], 422, "text/plain", UNREADABLE, id="no object"),
        pytest.param(
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 6}, 422, "text/plain", UNREADABLE,
            id="too many figures",
        ),
        pytest.param(
            {"type": "meta", "dex": "none"}, 500, "application/json", "null", id="unknown dex"
        ),
        pytest.param(
            {"type": "fundingHistory", "coin": "NOPE", "startTime": 0}, 500, "application/json",
            "null", id="funding of an unknown coin",
        ),
        pytest.param(
            {"type": "l2Book", "coin": "NOPE"}, 200, "application/json", "null",
            id="book of an unknown coin",
        ),
        pytest.param(
            '{"type":"meta"', 400, "text/plain", "Failed to parse the request body as JSON",
            id="truncated JSON",
        ),
    ],
)  # fmt: skip
async def test_the_error_table(body: object, status: int, kind: str, text: str) -> None:
    """Status, content type and body of each error, to the byte."""
    async with running() as rig:
        response = await rig.post(body)
        assert (response.status, response.content_type) == (status, kind)
        assert await response.text() == text


async def test_wrong_content_type_and_method() -> None:
    """415 with its text, 405 with nothing."""
    async with running() as rig:
        response = await rig.post("{}", headers={"Content-Type": "text/plain"})
        assert response.status == 415
        assert await response.text() == "Expected request with `Content-Type: application/json`"
        refused = await rig.session.get(f"{rig.server.urls['rest']}/info")
        assert (refused.status, await refused.text()) == (405, "")


@pytest.mark.parametrize(
    ("kind", "rows", "weight"),
    [
        pytest.param("clearinghouseState", 0, 2, id="cheap"),
        pytest.param("meta", 0, 20, id="ordinary"),
        pytest.param("userRole", 0, 60, id="dear"),
        pytest.param("userFills", 2_000, 120, id="one more per 20 rows"),
        pytest.param("userFills", 19, 20, id="19 rows are free"),
        pytest.param("candleSnapshot", 5_000, 103, id="one more per 60 rows"),
    ],
)
def test_weights(kind: str, rows: int, weight: float) -> None:
    """What a request costs, its rows included."""
    assert weight_of(kind, rows) == weight


def test_weight_window_rolls() -> None:
    """1200 are used up; a minute after they were used there is room again."""
    window = WeightWindow()
    window.charge(1_199, 0.0)
    assert window.has_room(1.0)
    window.charge(20, 1.0)
    assert not window.has_room(59.9)
    assert window.has_room(60.0)


async def test_over_budget_is_429_until_time_has_passed() -> None:
    """The 20th dear request is refused with a null body and no Retry-After; a minute heals."""
    async with running() as rig:
        for _ in range(20):
            assert (await rig.post({"type": "userRole", "user": MAIN})).status == 200
        refused = await rig.post({"type": "exchangeStatus"})
        assert (refused.status, await refused.text()) == (429, "null")
        assert "Retry-After" not in refused.headers
        rig.world.advance(START_S + 60)
        assert (await rig.post({"type": "exchangeStatus"})).status == 200
