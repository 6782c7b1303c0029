"""The venue's official Python client works against the simulated Hyperliquid with only the URL
changed, and what its methods return is what is true in the simulated world.

The conversation (see ``hyperliquid_conversation``) is held once; the socket's part of it is looked
at in ``test_hyperliquid_official_socket``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from monitor.core.types import MarketStatus
from monitor.sim.accounts import SimPool
from monitor.sim.addresses import (
    HYPERLIQUID_AGENT,
    HYPERLIQUID_MASTER,
    HYPERLIQUID_SIGNER,
    HYPERLIQUID_SUBACCOUNT,
    HYPERLIQUID_UNIFIED,
    HYPERLIQUID_VAULT,
)
from monitor.sim.listings import HYPERLIQUID
from tests.conformance.hyperliquid_checks import (
    MICRO,
    best_of,
    check_fill,
    check_order,
    check_payment,
    check_state,
    cut,
    decimal,
    fills_of,
    levels,
    markets_of,
    maybe,
    ms,
    payments_of,
)
from tests.conformance.hyperliquid_conversation import (
    MAIN,
    TRADED_AT_S,
    Conversation,
    questions,
)

pytestmark = pytest.mark.component


# ------------------------------------------------------------------------------------- the client


def test_client_ends_well_and_knows_every_frame(talk: Conversation) -> None:
    """The client prints a complaint for each frame it cannot place: there is none."""
    assert (talk.exit_code, talk.other_output) == (0, [])


def test_client_understands_refusals(talk: Conversation) -> None:
    """An unknown dex is the server's error with ``null``, a bad address the client's with text."""
    assert talk.standing["refusals"] == {
        "unknown_dex": {"status": 500, "text": "null"},
        "bad_address": {
            "status": 422,
            "text": "Failed to deserialize the JSON body into the target type",
        },
    }


# ---------------------------------------------------------------------------------------- markets


def test_meta_lists_the_markets_in_order(talk: Conversation, rest: dict[str, Any]) -> None:
    """Universe of both dexes, and the asset ids the client derives from it."""
    for key, dex in (("meta", ""), ("meta_xyz", "xyz")):
        universe, markets = rest[key]["universe"], markets_of(talk.then, dex)
        assert [row["name"] for row in universe] == [market.symbol for market in markets]
        for row, market in zip(universe, markets, strict=True):
            assert row["szDecimals"] == market.spec.size_decimals
            assert row["maxLeverage"] == market.spec.tiers[0].max_leverage
            # Said only where true.
            assert row.get("isDelisted") is ((market.status is MarketStatus.DELISTED) or None)
            assert row.get("onlyIsolated") is (market.spec.only_isolated or None)
    tables = dict(rest["meta"]["marginTables"])
    tiers = tables[rest["meta"]["universe"][0]["marginTableId"]]["marginTiers"]
    assert [(decimal(row["lowerBound"]), row["maxLeverage"]) for row in tiers] == [
        (tier.lower_bound_usd, tier.max_leverage) for tier in markets_of(talk.then)[0].spec.tiers
    ]
    assert [dex and dex["name"] for dex in rest["perp_dexs"]] == [None, "xyz"]
    assert rest["assets"] == {
        "BTC": 0,
        "FARTCOIN": 20,
        "PURR/USDC": 10_000,
        "HYPE/USDC": 10_107,
        "xyz:NVDA": 110_000,
        "xyz:GOLD": 110_001,
    }


def test_contexts_and_mids_are_the_worlds_prices(talk: Conversation, rest: dict[str, Any]) -> None:
    """Mark, oracle, mid, funding and open interest of every market; nulls where nobody quotes."""
    meta, contexts = rest["meta_and_asset_ctxs"]
    assert meta == rest["meta"]
    for context, market in zip(contexts, markets_of(talk.then), strict=True):
        assert decimal(context["markPx"]) == market.mark_price
        assert decimal(context["oraclePx"]) == market.oracle_price
        assert maybe(context["midPx"]) == market.mid_price
        assert decimal(context["funding"]) == market.funding_rate_hourly
        assert decimal(context["openInterest"]) == market.open_interest_base
        premium = market.premium
        assert (context["premium"] is None) == (premium is None)
        if premium is not None:
            assert decimal(context["premium"]) == round(premium, 10)
    for key, dex in (("all_mids", ""), ("all_mids_xyz", "xyz")):
        quoted = [market for market in markets_of(talk.then, dex) if market.tradable]
        assert {market.symbol: market.mid_price for market in quoted}.items() <= {
            coin: decimal(mid) for coin, mid in rest[key].items()
        }.items()
        assert "MATIC" not in rest[key]


@pytest.mark.parametrize(
    ("key", "symbol"),
    [
        pytest.param("l2_snapshot", "BTC", id="a major"),
        pytest.param("l2_snapshot_xyz", "xyz:NVDA", id="a builder's market"),
        pytest.param("l2_snapshot_delisted", "MATIC", id="a delisted market has no levels"),
    ],
)
def test_books_are_the_worlds_books(
    key: str, symbol: str, talk: Conversation, rest: dict[str, Any]
) -> None:
    """Twenty levels a side, best first, stamped with the newest block."""
    said, market = rest[key], talk.then.market(HYPERLIQUID, symbol)
    assert said["coin"] == symbol
    assert said["time"] == ms(talk.then.venues[HYPERLIQUID].block_time_s)
    assert levels(said) == best_of(market.book)
    assert [len(side) for side in said["levels"]] == ([20, 20] if market.tradable else [0, 0])


def test_candles_are_the_worlds_bars(talk: Conversation, rest: dict[str, Any]) -> None:
    """Fifteen-minute candles merge the minute bars that lie in them."""
    market, asked = talk.then.market(HYPERLIQUID, "BTC"), questions(talk.then)
    rows = rest["candles_snapshot"]
    opens = [row["t"] for row in rows]
    assert opens[0] == asked["candles_from_ms"]
    assert opens == list(range(opens[0], asked["now_ms"], 900_000))
    tick = float(market.tick)
    for row in rows:
        bars = [bar for bar in market.bars if row["t"] <= bar.start_s * 1_000 <= row["T"]]
        assert (row["s"], row["i"], row["n"]) == ("BTC", "15m", sum(bar.trades for bar in bars))
        assert float(row["o"]) == pytest.approx(bars[0].open, abs=tick)
        assert float(row["c"]) == pytest.approx(bars[-1].close, abs=tick)
        assert float(row["h"]) == pytest.approx(max(bar.high for bar in bars), abs=tick)
        assert float(row["l"]) == pytest.approx(min(bar.low for bar in bars), abs=tick)
        assert float(row["v"]) == pytest.approx(sum(bar.volume for bar in bars), abs=1e-5)


@pytest.mark.parametrize(
    ("key", "symbol"),
    [
        pytest.param("funding_history", "BTC", id="first dex"),
        pytest.param("funding_history_xyz", "xyz:NVDA", id="builder's dex"),
    ],
)
def test_funding_history_is_what_was_settled(
    key: str, symbol: str, talk: Conversation, rest: dict[str, Any]
) -> None:
    """Every hour since the asked time, oldest first, to the tenth decimal."""
    start = questions(talk.then)["funding_from_ms"]
    settled = talk.then.market(HYPERLIQUID, symbol).settled
    assert [
        (row["coin"], row["time"], decimal(row["fundingRate"]), decimal(row["premium"]))
        for row in rest[key]
    ] == [
        (symbol, ms(row.time_s), row.rate_hourly, row.premium)
        for row in settled
        if ms(row.time_s) >= start
    ]
    assert len(rest[key]) == 12


# --------------------------------------------------------------------------------------- accounts


def test_user_state_is_the_pool(talk: Conversation, rest: dict[str, Any]) -> None:
    """Equity, margins and positions of each dex; an API wallet reads as empty."""
    check_state(rest["user_state"], talk.then.pool(*MAIN))
    check_state(rest["user_state_xyz"], talk.then.pool(HYPERLIQUID, HYPERLIQUID_MASTER, "xyz"))
    check_state(rest["user_state_agent"], SimPool("", talk.then.venues[HYPERLIQUID].markets))
    assert rest["user_state"]["time"] == ms(talk.then.venues[HYPERLIQUID].block_time_s)


def test_users_numbers_agree_with_each_other(rest: dict[str, Any]) -> None:
    """A reader can rebuild equity from prices, and the isolated liquidation price."""
    state = rest["user_state"]
    marks = {
        row["name"]: decimal(context["markPx"])
        for row, context in zip(*(rest["meta_and_asset_ctxs"][0]["universe"],
                                  rest["meta_and_asset_ctxs"][1]), strict=True)
    }  # fmt: skip
    positions = {row["position"]["coin"]: row["position"] for row in state["assetPositions"]}
    value = sum(decimal(row["szi"]) * marks[coin] for coin, row in positions.items())
    total = state["marginSummary"]
    assert decimal(total["accountValue"]) == pytest.approx(
        decimal(total["totalRawUsd"]) + value, abs=2 * MICRO
    )
    exotic = positions["FARTCOIN"]
    rate = 1 / (2 * Decimal(exotic["maxLeverage"]))
    raw, size = decimal(exotic["leverage"]["rawUsd"]), decimal(exotic["szi"])
    assert decimal(exotic["liquidationPx"]) == pytest.approx(
        -raw / (size * (1 - rate)), abs=Decimal("1e-9")
    )


def test_spot_state_holds_the_tokens(talk: Conversation, rest: dict[str, Any]) -> None:
    """Balances outside the pools; a unified account's dollars are all told here."""
    spot = {row["coin"]: decimal(row["total"]) for row in rest["spot_user_state"]["balances"]}
    assert spot == talk.then.account(HYPERLIQUID, HYPERLIQUID_MASTER).spot
    unified = talk.then.account(HYPERLIQUID, HYPERLIQUID_UNIFIED)
    (dollars,) = rest["spot_user_state_unified"]["balances"]
    assert (dollars["coin"], decimal(dollars["total"])) == ("USDC", cut(unified.equity))
    assert rest["abstraction_unified"] == unified.mode == "unifiedAccount"


def test_orders_are_the_working_ones(talk: Conversation, rest: dict[str, Any]) -> None:
    """Both forms, each dex by itself; by order id and by client id; and those that ended."""
    working = talk.then.pool(*MAIN).orders
    for key in ("open_orders", "frontend_open_orders"):
        assert {row["oid"] for row in rest[key]} == set(working)
        for row in rest[key]:
            check_order(row, working[row["oid"]])
    (builder,) = talk.then.pool(HYPERLIQUID, HYPERLIQUID_MASTER, "xyz").orders.values()
    (said,) = rest["frontend_open_orders_xyz"]
    check_order(said, builder)

    asked = working[questions(talk.then)["oid"]]
    assert rest["query_order_by_oid"] == rest["query_order_by_cloid"]
    assert rest["query_order_by_oid"]["status"] == "order"
    assert rest["query_order_by_oid"]["order"]["status"] == asked.status == "open"
    check_order(rest["query_order_by_oid"]["order"]["order"], asked)
    assert rest["query_order_unknown"] == {"status": "unknownOid"}

    ended = {order.order_id: order for order in talk.then.pool(*MAIN).order_history}
    said_ended = {
        row["order"]["oid"]: row for row in rest["historical_orders"] if row["status"] != "open"
    }
    assert {order.status for order in ended.values()} == {"filled", "canceled"}
    assert set(said_ended) == set(ended)
    for oid, order in ended.items():
        assert said_ended[oid]["status"] == order.status
        assert said_ended[oid]["statusTimestamp"] == ms(order.updated_s)
        check_order(said_ended[oid]["order"], order)


def test_fills_are_what_was_traded(talk: Conversation, rest: dict[str, Any]) -> None:
    """All of them newest first; by time only those since, oldest first."""
    truth = fills_of(talk.then)
    for row, fill in zip(rest["user_fills"], reversed(truth), strict=True):
        check_fill(row, fill)
    since = [fill for fill in truth if fill.time_s >= TRADED_AT_S]
    assert [fill.symbol for fill in since] == ["BTC"]
    for row, fill in zip(rest["user_fills_by_time"], since, strict=True):
        check_fill(row, fill)


def test_funding_payments_are_what_was_paid(talk: Conversation, rest: dict[str, Any]) -> None:
    """Every payment since the asked time over all dexes, oldest first."""
    start = questions(talk.then)["funding_from_ms"]
    truth = [row for row in payments_of(talk.then) if ms(row.time_s) >= start]
    assert len(truth) == 12 * 7
    for row, payment in zip(rest["user_funding_history"], truth, strict=True):
        assert row["delta"]["type"] == "funding"
        check_payment(row["delta"], row["time"], payment)


def test_ledger_tells_every_movement_of_money(rest: dict[str, Any]) -> None:
    """A deposit, a withdrawal with its fee, and money sent to the sub-account."""
    deltas = [row["delta"] for row in rest["user_non_funding_ledger_updates"]]
    assert [delta["type"] for delta in deltas] == ["deposit", "withdraw", "subAccountTransfer"]
    deposit, withdrawal, sent = deltas
    assert decimal(deposit["usdc"]) == 5_000
    assert decimal(withdrawal["usdc"]) == 249  # what arrives
    assert decimal(withdrawal["fee"]) == 1
    assert decimal(sent["usdc"]) == 1_000
    assert (sent["user"], sent["destination"]) == (HYPERLIQUID_MASTER, HYPERLIQUID_SUBACCOUNT)
    assert {row["time"] for row in rest["user_non_funding_ledger_updates"]} == {ms(TRADED_AT_S)}


def test_profile_of_the_desk(talk: Conversation, rest: dict[str, Any]) -> None:
    """Roles, API wallets, sub-accounts, vault deposits, request budget and performance."""
    account = talk.then.account(HYPERLIQUID, HYPERLIQUID_MASTER)
    assert rest["roles"] == {
        "user": {"role": "user"},
        "agent": {"role": "agent", "data": {"user": HYPERLIQUID_MASTER}},
        "subaccount": {"role": "subAccount", "data": {"master": HYPERLIQUID_MASTER}},
    }
    agents = [row["address"] for row in rest["extra_agents"]]
    assert agents == [HYPERLIQUID_AGENT, HYPERLIQUID_SIGNER]
    assert min(row["validUntil"] for row in rest["extra_agents"]) > questions(talk.then)["now_ms"]
    (sub,) = rest["query_sub_accounts"]
    assert (sub["subAccountUser"], sub["master"]) == (HYPERLIQUID_SUBACCOUNT, HYPERLIQUID_MASTER)
    check_state(sub["clearinghouseState"], talk.then.pool(HYPERLIQUID, HYPERLIQUID_SUBACCOUNT, ""))
    assert rest["query_sub_accounts_none"] is None
    (vault,) = rest["user_vault_equities"]
    assert vault["vaultAddress"] == HYPERLIQUID_VAULT
    assert decimal(vault["equity"]) == account.vault_equities[HYPERLIQUID_VAULT]

    budget = rest["user_rate_limit"]
    assert decimal(budget["cumVlm"]) == cut(account.volume_usd)
    assert budget["nRequestsCap"] == 10_000 + int(account.volume_usd)
    assert budget["nRequestsUsed"] == account.requests_used

    periods = dict(rest["portfolio"])
    assert list(periods) == [
        "day", "week", "month", "allTime", "perpDay", "perpWeek", "perpMonth", "perpAllTime",
    ]  # fmt: skip
    assert [
        (time_ms, decimal(equity)) for time_ms, equity in periods["day"]["accountValueHistory"]
    ] == [(ms(time_s), cut(equity)) for time_s, equity, _ in account.equity_history]
