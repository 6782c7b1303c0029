"""Answers of ``/exchange`` in three layers; what the venue's data says of accounts and orders."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import DecodeError
from monitor.core.killswitch.facts import CancelOutcome, OrderEnd, OrderOutcome
from monitor.core.ports import Response
from monitor.venues.hyperliquid import replies, truth
from monitor.venues.hyperliquid.replies import (
    Accepted,
    Limited,
    Refusal,
    RefusalKind,
    Unclear,
    judge_text,
    read_cancels,
    read_orders,
    read_reply,
)
from tests.shared_data import shared_data

CLOID = "0x000000000000000000000000000000ab"
OTHER = "0x000000000000000000000000000000ac"
ADDRESS = "0x51a0000000000000000000000000000000000001"
NOW_MS = 1_795_305_480_000


def answer(body: object, status: int = 200, **headers: str) -> Response:
    """An HTTP answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = tuple((key.replace("_", "-"), value) for key, value in headers.items())
    return Response(status=status, headers=named, body=raw)


def accepted(kind: str, *statuses: object) -> Accepted:
    """A good answer with these lines."""
    body = {"status": "ok", "response": {"type": kind, "data": {"statuses": list(statuses)}}}
    reply = read_reply(answer(body), kind)
    assert isinstance(reply, Accepted)
    return reply


# ------------------------------------------------------------------------------------------ texts

K = RefusalKind
TEXTS = [
    ("Price must be divisible by tick size. asset=4", K.NO_EFFECT),
    ("Order must have minimum value of $10. asset=4", K.NO_EFFECT),
    ("Order must have minimum value of 10 USDC. asset=10107", K.NO_EFFECT),
    ("Insufficient margin to place order. asset=0", K.NO_EFFECT),
    ("Reduce only order would increase position. asset=4", K.NO_EFFECT),
    ("Post only order would have immediately matched, bbo was 1@2. asset=4", K.NO_EFFECT),
    ("Order could not immediately match against any resting orders. asset=1", K.NO_EFFECT),
    ("Invalid TP/SL price. asset=1", K.NO_EFFECT),
    ("No liquidity available for market order. asset=1", K.NO_EFFECT),
    ("Order would increase open interest while open interest is capped. asset=1", K.NO_EFFECT),
    (
        "Order rejected due to price more aggressive than oracle while at open interest cap",
        K.NO_EFFECT,
    ),
    ("Order would increase open interest too quickly", K.NO_EFFECT),
    ("(Spot-only) Order has insufficient spot balance to trade", K.NO_EFFECT),
    ("Order price too far from oracle", K.NO_EFFECT),
    ("Order price cannot be more than 95% away from the reference price", K.NO_EFFECT),
    (
        "Order would cause position to exceed margin tier limit at current leverage. asset=1",
        K.NO_EFFECT,
    ),
    ("Order has zero size.", K.NO_EFFECT),
    ("Order has invalid size.", K.NO_EFFECT),
    ("Order has invalid price.", K.NO_EFFECT),
    ("Action already expired", K.NO_EFFECT),
    ("Order was never placed, already canceled, or filled. asset=5", K.GONE),
    ("TWAP was never placed, already canceled, or filled.", K.GONE),
    ("Only post-only orders allowed immediately after a network upgrade", K.POST_ONLY),
    ("Too many open orders.", K.OPEN_ORDERS),
    (
        "Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46.",
        K.ADDRESS_BUDGET,
    ),
    (f"L1 error: User or API Wallet {ADDRESS} does not exist.", K.WALLET),
    (f"User or API Wallet {ADDRESS} does not exist.", K.WALLET),
    (f"Must deposit before performing actions. User: {ADDRESS}", K.WALLET),
    (f"Vault not registered: {ADDRESS}", K.WALLET),
    ("Invalid nonce: duplicate nonce 1700000000000", K.NONCE_USED),
    ("Invalid nonce: nonce too low 1 < 2", K.CLOCK),
    ("Cannot set scheduled cancel time until enough volume traded. Required: $1", K.NO_EFFECT),
    ("Too many scheduled cancels triggered for the day (10)", K.NO_EFFECT),
    ("Internal error, please try again", K.UNKNOWN),
    ("", K.UNKNOWN),
    ("rder must have minimum value of $10.", K.UNKNOWN),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS, ids=[text[:40] or "empty" for text, _ in TEXTS])
def test_every_documented_text_is_known(text: str, kind: RefusalKind) -> None:
    """Matched by how it begins; full addresses are not shown; anything else is unknown."""
    refusal = judge_text(text)
    assert refusal.kind is kind
    assert ADDRESS not in refusal.words


def test_every_text_of_the_table_has_a_row_here() -> None:
    """A new text wants a row, so that its kind is thought about."""
    missing = [
        prefix
        for prefix, _, _ in replies.TEXTS
        if not any(text.removeprefix("L1 error: ").startswith(prefix) for text, _ in TEXTS)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("Invalid nonce: nonce too low 1 < 2", "clock", id="wrong clock"),
        pytest.param("User or API Wallet 0x1 does not exist.", "approve", id="expired key"),
        pytest.param("Too many open orders.", "cancel first", id="a thousand orders"),
        pytest.param("Too many cumulative requests sent (2 > 1)", "ten seconds", id="budget"),
    ],
)
def test_what_a_person_must_do_is_said(text: str, word: str) -> None:
    """Refusals that a person must act upon say how."""
    assert word in judge_text(text).words


# ------------------------------------------------------------------------------------ first layers


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(b"Failed to deserialize the JSON body", 422), id="422"),
        pytest.param(answer(b"Bad Gateway", 502), id="502"),
        pytest.param(answer(b"null", 500), id="500 with null"),
        pytest.param(answer(b"", 200), id="nothing"),
        pytest.param(answer(b"null", 200), id="null"),
        pytest.param(answer(b"<html>", 200), id="no JSON"),
        pytest.param(answer({"status": "ok"}), id="no response"),
        pytest.param(answer({"status": "fine", "response": "x"}), id="another status"),
        pytest.param(answer({"status": "err", "response": {"a": 1}}), id="no text"),
        pytest.param(answer({"status": "ok", "response": {"type": "cancel"}}), id="another type"),
        pytest.param(answer({"status": "ok", "response": "order"}), id="no type"),
        pytest.param(answer(b"[" * 100_000, 200), id="nested too deep"),
    ],
)
def test_what_is_not_clear_is_unclear(response: Response) -> None:
    """None of these is taken for success, nor for a certain refusal."""
    assert isinstance(read_reply(response, "order"), Unclear)


def test_a_refusal_of_the_whole_is_judged_by_its_text() -> None:
    """Known texts by the table, others UNKNOWN."""
    known = read_reply(answer({"status": "err", "response": "Invalid nonce: x"}), "order")
    other = read_reply(answer({"status": "err", "response": "overloaded"}), "order")
    assert isinstance(known, Refusal)
    assert isinstance(other, Refusal)
    assert (known.kind, other.kind) == (RefusalKind.CLOCK, RefusalKind.UNKNOWN)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        pytest.param(None, 10.0, id="no header"),
        pytest.param("12", 12.0, id="a longer wait"),
        pytest.param("1", 10.0, id="a shorter one is not believed"),
        pytest.param("4000", 10.0, id="nor an absurd one"),
        pytest.param("soon", 10.0, id="nor words"),
    ],
)
def test_429_says_when_to_come_back(header: str | None, wait_s: float) -> None:
    """At least ten seconds."""
    headers = {} if header is None else {"retry_after": header}
    reply = read_reply(answer(b"null", 429, **headers), "order")
    assert isinstance(reply, Limited)
    assert reply.retry_after_s == wait_s


def test_an_answer_without_lines_is_accepted_as_such() -> None:
    """``noop`` answers ``default``."""
    reply = read_reply(answer({"status": "ok", "response": {"type": "default"}}), "default")
    assert reply == Accepted(())


# ------------------------------------------------------------------------------------- each order

FILLED = {"filled": {"totalSz": "0.01", "avgPx": "2080.2", "oid": 315445859529, "cloid": CLOID}}


@pytest.mark.parametrize(
    ("line", "end"),
    [
        pytest.param(FILLED, OrderEnd.FILLED, id="filled"),
        pytest.param({"filled": {"totalSz": "1", "avgPx": "2"}}, OrderEnd.FILLED, id="bare"),
        pytest.param(
            {"filled": {**FILLED["filled"], "cloid": OTHER}}, OrderEnd.UNKNOWN, id="another order's"
        ),
        pytest.param(
            {"filled": {"totalSz": "0", "avgPx": "2"}}, OrderEnd.UNKNOWN, id="filled by nothing"
        ),
        pytest.param(
            {"filled": {"totalSz": "NaN", "avgPx": "2"}}, OrderEnd.UNKNOWN, id="no amount"
        ),
        pytest.param({"filled": {"totalSz": "1"}}, OrderEnd.UNKNOWN, id="no price"),
        pytest.param({"resting": {"oid": 1}}, OrderEnd.UNKNOWN, id="an IOC cannot rest"),
        pytest.param("waitingForFill", OrderEnd.UNKNOWN, id="a bare word"),
        pytest.param({}, OrderEnd.UNKNOWN, id="nothing"),
        pytest.param(
            {"error": "Reduce only order would increase position. asset=4"},
            OrderEnd.REJECTED,
            id="a known refusal",
        ),
        pytest.param({"error": "Overloaded"}, OrderEnd.UNKNOWN, id="an unknown refusal"),
        pytest.param(
            {"error": "Invalid nonce: duplicate nonce 1"}, OrderEnd.UNKNOWN, id="sent before"
        ),
        pytest.param(
            {"error": "Order was never placed, already canceled, or filled."},
            OrderEnd.UNKNOWN,
            id="the answer to a cancel",
        ),
    ],
)
def test_an_order_ends_as_the_venue_says(line: object, end: OrderEnd) -> None:
    """FILLED and REJECTED only in so many words."""
    (read,) = read_orders(accepted("order", line), [CLOID])
    assert (read.outcome.client_id, read.outcome.end) == (CLOID, end)
    assert bool(read.outcome.filled_size) == (end is OrderEnd.FILLED)
    assert read.outcome.detail or end is OrderEnd.FILLED


def test_a_fill_tells_size_and_price() -> None:
    """Exact, from the text."""
    (read,) = read_orders(accepted("order", FILLED), [CLOID])
    assert read.outcome == OrderOutcome(
        client_id=CLOID,
        end=OrderEnd.FILLED,
        filled_size=Decimal("0.01"),
        average_price=Decimal("2080.2"),
    )


def test_one_error_for_a_whole_batch_is_everybodys() -> None:
    """The venue's own checks answer one line for all."""
    reply = accepted("order", {"error": "Price must be divisible by tick size. asset=4"})
    ends = [line.outcome.end for line in read_orders(reply, [CLOID, OTHER])]
    assert ends == [OrderEnd.REJECTED, OrderEnd.REJECTED]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_lines_that_cannot_be_matched_are_unknown(count: int) -> None:
    """One good line for two orders tells of neither."""
    lines = read_orders(accepted("order", *[FILLED] * count), [CLOID, OTHER])
    assert [line.outcome.end for line in lines] == [OrderEnd.UNKNOWN] * 2


@given(st.binary(max_size=200))
def test_no_bytes_are_an_execution_by_accident(raw: bytes) -> None:
    """Whatever comes back, nothing is raised."""
    for kind in ("order", "cancel", "default"):
        reply = read_reply(answer(raw), kind)
        if isinstance(reply, Accepted):
            read_orders(reply, [CLOID])
            read_cancels(reply, ["1"])


# ------------------------------------------------------------------------------------------ cancels


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        pytest.param("success", True, id="cancelled"),
        pytest.param(
            {"error": "Order was never placed, already canceled, or filled. asset=5"},
            True,
            id="gone already",
        ),
        pytest.param({"error": "Cancel could not be processed."}, False, id="refused"),
        pytest.param("maybe", False, id="another word"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_a_cancel_ends_as_the_venue_says(line: object, gone: bool) -> None:
    """Gone only in so many words, and then also where it was gone before."""
    (outcome,) = read_cancels(accepted("cancel", line), ["7"])
    assert (outcome.order_id, outcome.gone) == ("7", gone)


def test_a_twap_answers_with_a_single_status() -> None:
    """``status`` instead of ``statuses``."""
    body = {"status": "ok", "response": {"type": "twapCancel", "data": {"status": "success"}}}
    reply = read_reply(answer(body), "twapCancel")
    assert isinstance(reply, Accepted)
    assert read_cancels(reply, ["7"]) == (CancelOutcome(order_id="7", gone=True),)


def test_cancels_that_cannot_be_matched_are_not_gone() -> None:
    """Two lines for three cancels."""
    outcomes = read_cancels(accepted("cancel", "success", "success"), ["1", "2", "3"])
    assert [outcome.gone for outcome in outcomes] == [False] * 3


# -------------------------------------------------------------------------------------- the truth


def twap(
    status: str, *, at_s: int = 1_795_305_000, number: int | None = 9, minutes: int = 30
) -> object:
    """One row of ``twapHistory``."""
    state = {
        "coin": "ETH",
        "user": ADDRESS,
        "side": "A",
        "sz": "10.0",
        "executedSz": "2.5",
        "executedNtl": "1.0",
        "minutes": minutes,
        "reduceOnly": True,
        "randomize": False,
        "timestamp": at_s * 1000,
    }
    row = {"time": at_s, "state": state, "status": {"status": status}}
    return row if number is None else {**row, "twapId": number}


@pytest.mark.parametrize(
    ("rows", "running"),
    [
        pytest.param([], [], id="none"),
        pytest.param([twap("activated")], ["9"], id="running"),
        pytest.param([twap("finished"), twap("activated")], [], id="finished"),
        pytest.param([twap("activated"), twap("terminated")], [], id="ended, in another order"),
        pytest.param([twap("waitingForTrigger")], ["9"], id="waits for its price"),
        pytest.param([twap("sleeping")], ["9"], id="an unknown state runs"),
        pytest.param([twap("activated", number=None)], ["twap at 1795305000000"], id="without id"),
        pytest.param([twap("activated", at_s=1_795_303_081)], ["9"], id="just within its grace"),
        pytest.param([twap("activated", at_s=1_795_303_079)], [], id="long past its end"),
    ],
)
def test_running_twaps_are_found(rows: list[object], running: list[str]) -> None:
    """From the history of changes."""
    orders, count = truth.read_twaps(json.dumps(rows).encode(), NOW_MS)
    assert ([order.order_id for order in orders], count) == (running, len(rows))
    for order in orders:
        assert (order.twap, order.size, order.reduce_only) == (True, Decimal("7.5"), True)


def test_recorded_orders_and_positions_are_read() -> None:
    """The venue's own answers, as recorded."""
    raw = json.loads(
        shared_data("venues/hyperliquid/info_get_frontend_open_orders.json").read_bytes()
    )
    orders = truth.read_orders(json.dumps(raw["response"]).encode())
    assert len(orders) == len(raw["response"])
    assert (orders[0].trigger, orders[0].reduce_only, orders[0].side) == (True, True, "sell")
    raw = json.loads(shared_data("venues/hyperliquid/info_get_user_state.json").read_bytes())
    state = truth.read_state(json.dumps(raw["response"]).encode())
    assert {held.market for held in state.positions} == {
        row["position"]["coin"] for row in raw["response"]["assetPositions"]
    }


def status_body(status: str, size: str, left: str) -> bytes:
    """``orderStatus`` of a known order."""
    order = {"coin": "BTC", "side": "A", "limitPx": "1", "sz": left, "oid": 5, "origSz": size}
    entry = {"order": order, "status": status, "statusTimestamp": 1}
    return json.dumps({"status": "order", "order": entry}).encode()


EXECUTION = truth.Execution(Decimal("0.4"), Decimal(100), "5")


@pytest.mark.parametrize(
    ("body", "execution", "end", "filled"),
    [
        pytest.param(status_body("filled", "1", "0.0"), None, OrderEnd.FILLED, "1", id="filled"),
        pytest.param(
            status_body("canceled", "1", "0.6"), EXECUTION, OrderEnd.FILLED, "0.4", id="in part"
        ),
        pytest.param(
            status_body("canceled", "1", "1"),
            EXECUTION,
            OrderEnd.FILLED,
            "0.4",
            id="fills know more",
        ),
        pytest.param(
            status_body("iocCancelRejected", "1", "1"), None, OrderEnd.REJECTED, "0", id="rejected"
        ),
        pytest.param(status_body("open", "1", "1"), None, OrderEnd.UNKNOWN, "0", id="open"),
        pytest.param(
            status_body("asleepCanceled", "1", "1"),
            None,
            OrderEnd.UNKNOWN,
            "0",
            id="unknown status",
        ),
        pytest.param(
            b'{"status":"unknownOid"}', EXECUTION, OrderEnd.FILLED, "0.4", id="fills only"
        ),
    ],
)
def test_what_the_venues_data_says_of_an_order(
    body: bytes, execution: truth.Execution | None, end: OrderEnd, filled: str
) -> None:
    """Executions outweigh a status that knows of none; an unknown status is no end."""
    outcome = truth.outcome_of(CLOID, truth.read_order_status(body), (execution, None))
    assert outcome is not None
    assert (outcome.end, outcome.filled_size) == (end, Decimal(filled))


def test_an_order_nobody_knows_is_none() -> None:
    """Neither a status nor a fill: that says nothing yet."""
    found = truth.read_order_status(b'{"status":"unknownOid"}')
    assert truth.outcome_of(CLOID, found, (None, None)) is None


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"status":"later"}', b'{"status":"order"}'])
def test_a_status_that_cannot_be_read_is_no_answer(body: bytes) -> None:
    """Not taken for unknown."""
    with pytest.raises(msgspec.MsgspecError):
        truth.read_order_status(body)


def test_executions_are_summed_once_each() -> None:
    """A fill that is listed twice counts once; the average is weighted."""
    fill = {"oid": 5, "px": "100", "sz": "1", "tid": 1, "time": 9, "cloid": CLOID, "coin": "BTC"}
    more = {**fill, "px": "200", "sz": "3", "tid": 2}
    by_client, by_order = truth.read_executions(json.dumps([fill, more, fill]).encode())
    assert by_client[CLOID] == by_order["5"] == truth.Execution(Decimal(4), Decimal(175), "5")


def test_an_absurd_amount_is_refused() -> None:
    """No position of 1e40."""
    body = {"assetPositions": [{"type": "oneWay", "position": {
        "coin": "BTC", "szi": "1e40", "leverage": {"type": "cross", "value": 1},
        "positionValue": "1"}}]}  # fmt: skip
    with pytest.raises(DecodeError):
        truth.read_state(json.dumps(body).encode())
