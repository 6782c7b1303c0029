"""Every channel the official Hyperliquid client routes delivers, first frame and later ones, and
the whole conversation keeps to the wire's convention of strings and numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from monitor.sim.addresses import HYPERLIQUID_MASTER
from monitor.sim.listings import HYPERLIQUID
from tests.conformance.hyperliquid_checks import (
    check_fill,
    check_order,
    check_payment,
    check_state,
    cut,
    decimal,
    levels,
    maybe,
    ms,
    payments_of,
)
from tests.conformance.hyperliquid_conversation import MAIN, Conversation
from tests.shared_data import shared_data

pytestmark = pytest.mark.component
# What the venue writes as JSON numbers; every other number is a string.
NUMBERS = frozenset(
    {
        "T", "collateralToken", "index", "lockedUntilTimestamp", "marginTableId", "maxLeverage",
        "n", "nRequestsCap", "nRequestsSurplus", "nRequestsUsed", "nonce", "oid", "serverTime",
        "statusTimestamp", "szDecimals", "t", "tid", "time", "timestamp", "token", "tokens",
        "validUntil", "value", "weiDecimals",
    },
)  # fmt: skip
# Lists of [number, anything else].
NUMBERED = frozenset({"accountValueHistory", "pnlHistory", "marginTables"})


# ----------------------------------------------------------------------------------------- socket


def test_first_frames_of_markets(talk: Conversation, rest: dict[str, Any]) -> None:
    """Each market channel says at once what REST says of the same instant."""
    frames, market = talk.standing["frames"], talk.then.market(HYPERLIQUID, "BTC")
    assert {name: len(rows) for name, rows in frames.items()} == dict.fromkeys(frames, 1)
    data = {name: rows[0]["data"] for name, rows in frames.items()}
    assert {name: rows[0]["channel"] for name, rows in frames.items()} == {n: n for n in frames}
    assert data["allMids"]["mids"] == rest["all_mids"]
    assert data["l2Book"] == rest["l2_snapshot"]
    assert data["bbo"]["bbo"] == [side[0] for side in rest["l2_snapshot"]["levels"]]
    assert data["activeAssetCtx"] == {"coin": "BTC", "ctx": rest["meta_and_asset_ctxs"][1][0]}
    assert data["activeSpotAssetCtx"]["coin"] == "@107"
    assert decimal(data["activeSpotAssetCtx"]["ctx"]["midPx"]) > 0
    recent = [row for row in market.trades if row.time_s >= talk.then.now_s - 20.0]
    assert recent
    for said, trade in zip(data["trades"], recent, strict=True):
        assert said["side"] == {"buy": "B", "sell": "A"}[trade.side]
        assert (decimal(said["px"]), decimal(said["sz"])) == (trade.price, trade.size)
        assert (said["coin"], said["time"]) == ("BTC", ms(trade.time_s))
    minute, bar = data["candle"], market.bars[-1]
    assert (minute["t"], minute["T"]) == (bar.start_s * 1_000, bar.start_s * 1_000 + 59_999)
    assert (minute["s"], minute["i"], minute["n"]) == ("BTC", "1m", bar.trades)
    assert float(minute["c"]) == pytest.approx(bar.close, abs=float(market.tick))


def test_first_frames_of_the_account(talk: Conversation, rest: dict[str, Any]) -> None:
    """Snapshots equal REST; events and order updates have none."""
    frames, pool = talk.standing["frames"], talk.then.pool(*MAIN)
    assert not {"userEvents", "orderUpdates"} & set(frames)
    data = {name: rows[0]["data"] for name, rows in frames.items()}
    for name in ("userFills", "userFundings", "userNonFundingLedgerUpdates"):
        assert (data[name]["user"], data[name]["isSnapshot"]) == (HYPERLIQUID_MASTER, True)
    assert data["userFills"]["fills"] == rest["user_fills"]
    assert (
        data["userNonFundingLedgerUpdates"]["nonFundingLedgerUpdates"]
        == rest["user_non_funding_ledger_updates"]
    )
    newest_first = reversed(payments_of(talk.then))
    for row, payment in zip(data["userFundings"]["fundings"], newest_first, strict=True):
        check_payment(row, row["time"], payment)
    assert data["webData2"]["clearinghouseState"] == rest["user_state"]
    assert data["webData2"]["openOrders"] == rest["frontend_open_orders"]
    assert data["webData2"]["assetCtxs"] == rest["meta_and_asset_ctxs"][1]
    tradable = data["activeAssetData"]
    assert (tradable["user"], tradable["coin"]) == (HYPERLIQUID_MASTER, "BTC")
    free = cut(pool.cross_equity - pool.initial_margin)
    assert [decimal(side) for side in tradable["availableToTrade"]] == [free, free]


def test_markets_keep_telling_the_truth(talk: Conversation) -> None:
    """Of a minute of frames, each shows a price or book that was true at some step."""
    frames, witness = talk.moved["frames"], talk.witness
    contexts = [frame["data"]["ctx"] for frame in frames["activeAssetCtx"]]
    assert len(contexts) > 50
    said = [
        (decimal(row["markPx"]), decimal(row["oraclePx"]), decimal(row["funding"]),
         maybe(row["midPx"]))
        for row in contexts
    ]  # fmt: skip
    assert set(said) <= witness.contexts
    assert len(set(said)) > 10
    books = [frame["data"] for frame in frames["l2Book"]]
    assert len(books) > 8
    for book in books:
        assert levels(book) == list(witness.books[book["time"]])
    assert len(frames["bbo"]) > 50
    for frame in frames["bbo"]:
        top = [(decimal(side["px"]), decimal(side["sz"])) for side in frame["data"]["bbo"]]
        assert top == [side[0] for side in witness.books[frame["data"]["time"]]]
    trades = [row for frame in frames["trades"] for row in frame["data"]]
    truth = talk.now.market(HYPERLIQUID, "BTC").trades
    assert [(row["time"], decimal(row["px"]), decimal(row["sz"])) for row in trades] == [
        (ms(row.time_s), row.price, row.size) for row in truth if row.time_s > talk.then.now_s
    ]
    values = {
        decimal(frame["data"]["clearinghouseState"]["marginSummary"]["accountValue"])
        for frame in frames["webData2"]
    }
    assert len(values) > 3
    assert values <= {cut(equity) for equity in witness.equities}


def test_account_channels_tell_what_happened(talk: Conversation) -> None:
    """Orders, fills, funding and money, each once and in order, and no snapshot among them."""
    frames, witness = talk.moved["frames"], talk.witness
    updates = [row for frame in frames["orderUpdates"] for row in frame["data"]]
    assert [event.order.status for event in witness.orders] == ["filled", "open", "canceled"]
    for row, changed in zip(updates, witness.orders, strict=True):
        check_order(row["order"], changed.order)
        assert (row["status"], row["statusTimestamp"]) == (
            changed.order.status,
            ms(changed.order.updated_s),
        )

    told = [row for frame in frames["userFills"] for row in frame["data"]["fills"]]
    events = [frame["data"] for frame in frames["userEvents"]]
    assert {tuple(event) for event in events} == {("fills",), ("funding",)}
    for rows in (told, [row for event in events for row in event.get("fills", [])]):
        for row, filled in zip(rows, witness.fills, strict=True):
            check_fill(row, filled.fill)

    assert len(witness.payments) == 7
    paid = [row for frame in frames["userFundings"] for row in frame["data"]["fundings"]]
    for rows in (paid, [event["funding"] for event in events if "funding" in event]):
        for row, booked in zip(rows, witness.payments, strict=True):
            check_payment(row, row["time"], booked.payment)

    ledger = [
        row["delta"]
        for frame in frames["userNonFundingLedgerUpdates"]
        for row in frame["data"]["nonFundingLedgerUpdates"]
    ]
    assert [(delta["type"], decimal(delta["usdc"])) for delta in ledger] == [
        ("deposit", Decimal(750))
    ]
    assert len(witness.transfers) == 1
    for name in ("userFills", "userFundings", "userNonFundingLedgerUpdates"):
        assert not any(frame["data"].get("isSnapshot") for frame in frames[name])


def test_account_afterwards_is_the_worlds(talk: Conversation) -> None:
    """After the trade, the deposit and the hour's funding REST says what is left."""
    after = talk.moved["rest"]
    check_state(after["user_state"], talk.now.pool(*MAIN))
    assert {row["oid"] for row in after["open_orders"]} == set(talk.now.pool(*MAIN).orders)
    settled = [event.payment for event in talk.witness.payments]
    newest = sorted(settled, key=lambda payment: payment.time_s)
    for row, payment in zip(after["user_funding_history"], newest, strict=True):
        check_payment(row["delta"], row["time"], payment)


# --------------------------------------------------------------------------------- wire convention


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar with the key it stands under, those of lists included."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, name)
    elif isinstance(value, list):
        for item in value:
            if key in NUMBERED and isinstance(item, list):
                yield "time", item[0]
                yield from leaves(item[1:], "")
            else:
                yield from leaves(item, key)
    else:
        yield key, value


def test_numbers_are_strings_where_the_venue_writes_strings(talk: Conversation) -> None:
    """Prices, sizes, dollars and rates are strings; times, ids and leverages whole numbers."""
    wrong = set()
    spoken = {key: value for key, value in talk.standing["rest"].items() if key != "assets"}
    said = (spoken, talk.standing["frames"], talk.moved["rest"], talk.moved["frames"])
    for key, value in leaves(list(said)):
        if value is None or isinstance(value, bool):
            continue
        if (key in NUMBERS) != isinstance(value, int) or isinstance(value, float):
            wrong.add((key, type(value).__name__))
        if isinstance(value, str) and value[:1] in "-.0123456789" and value[:2] != "0x":
            plain = value.lstrip("-").replace(".", "", 1).isdigit() and "." in value
            timed = key in {"i", "lastDeployerFeeScaleChangeTime"}
            if not plain and not timed:
                wrong.add((key, value))
    assert wrong == set()


def kinds(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, kind of JSON value); all items of a list share a path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from kinds(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from kinds(item, f"{path}[]")
    elif value is not None:
        yield path, type(value).__name__


@pytest.mark.parametrize(
    ("recording", "key"),
    [
        pytest.param("info_extra_agents", "extra_agents", id="extraAgents"),
        pytest.param("info_get_frontend_open_orders", "frontend_open_orders", id="frontend orders"),
        pytest.param("info_get_info", "meta", id="meta"),
        pytest.param("info_get_open_orders", "open_orders", id="openOrders"),
        pytest.param("info_get_user_state", "user_state", id="clearinghouseState"),
        pytest.param("info_historical_orders", "historical_orders", id="historicalOrders"),
        pytest.param("info_portfolio", "portfolio", id="portfolio"),
        pytest.param(
            "info_user_funding_history_with_end_time", "user_funding_history", id="userFunding"
        ),
        pytest.param("info_user_rate_limit", "user_rate_limit", id="userRateLimit"),
        pytest.param("info_user_vault_equities", "user_vault_equities", id="userVaultEquities"),
    ],
)
def test_kinds_are_those_of_recorded_answers(
    recording: str, key: str, rest: dict[str, Any]
) -> None:
    """What the real venue once answered the same client had the same kind of value everywhere."""
    path = shared_data(f"venues/hyperliquid/{recording}.json")
    real = set(kinds(json.loads(path.read_text())["response"]))
    ours = set(kinds(rest[key]))
    shared = {place for place, _ in real} & {place for place, _ in ours}
    assert shared
    assert {row for row in ours if row[0] in shared} <= real
