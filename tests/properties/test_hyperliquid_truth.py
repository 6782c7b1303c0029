"""Whatever the venue answers to the kill path is read, or a ``DecodeError``, and no wrong sum."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import DecodeError
from monitor.core.killswitch.facts import OrderEnd
from monitor.core.ports import Response
from monitor.venues.hyperliquid import truth
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.replies import Accepted, read_cancels, read_orders, read_reply
from tests.properties.test_hyperliquid_decode import QUICK, VALUES, encodable, paths, replaced

CLOID = "0x000000000000000000000000000000ab"
NOW_MS = 1_795_305_480_000
FILL = {"oid": 7, "px": "100.5", "sz": "0.2", "tid": 1, "time": NOW_MS, "cloid": CLOID}
TWAP = {
    "time": NOW_MS // 1000,
    "state": {
        "coin": "BTC", "side": "B", "sz": "2", "executedSz": "0.5", "minutes": 30,
        "timestamp": NOW_MS, "reduceOnly": False,
    },
    "status": {"status": "activated"},
    "twapId": 9,
}  # fmt: skip
ORDER = {
    "oid": 7, "coin": "BTC", "side": "A", "sz": "1", "origSz": "2", "limitPx": "100",
    "timestamp": NOW_MS, "reduceOnly": True, "isTrigger": False, "orderType": "Limit",
    "triggerPx": "0.0", "cloid": CLOID,
}  # fmt: skip
POSITION = {
    "coin": "BTC", "szi": "-0.5", "entryPx": "100", "positionValue": "50", "marginUsed": "5",
    "unrealizedPnl": "1", "liquidationPx": "150", "leverage": {"type": "cross", "value": 10},
    "maxLeverage": 40, "returnOnEquity": "0.1",
    "cumFunding": {"allTime": "1", "sinceOpen": "1", "sinceChange": "1"},
}  # fmt: skip
SUMS = {
    "accountValue": "1000", "totalNtlPos": "50", "totalRawUsd": "1050", "totalMarginUsed": "5",
}  # fmt: skip
STATE = {
    "marginSummary": SUMS, "crossMarginSummary": SUMS, "crossMaintenanceMarginUsed": "1",
    "withdrawable": "900", "time": NOW_MS,
    "assetPositions": [{"type": "oneWay", "position": POSITION}],
}  # fmt: skip
READERS: tuple[tuple[Callable[[bytes], object], object], ...] = (
    (truth.read_state, STATE),
    (truth.read_orders, [ORDER]),
    (lambda body: truth.read_twaps(body, NOW_MS), [TWAP]),
    (truth.read_dexes, [None, {"name": "xyz", "fullName": "x"}]),
    (truth.read_market_names, {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]}),
    (truth.read_executions, [FILL, {**FILL, "tid": 2, "px": "101"}]),
    (truth.read_order_status, {"status": "order", "order": {"order": ORDER, "status": "canceled"}}),
)
NUMBERS = st.sampled_from(["nan", "inf", "0", "-0.0", "-1", "1e400", "1e-400", "2"])
STATUSES = (
    {"resting": {"oid": 7, "cloid": CLOID}},
    {"filled": {"totalSz": "0.2", "avgPx": "100.5", "oid": 7, "cloid": CLOID}},
    {"error": "Insufficient margin to place order. asset=0"},
    "waitingForFill",
)


@QUICK
@given(reader=st.sampled_from(READERS), place=st.integers(0, 200), value=VALUES)
def test_no_answer_raises_anything_but_a_decode_error(
    reader: tuple[Callable[[bytes], object], object], place: int, value: object
) -> None:
    """One place holds what it should not."""
    read, document = reader
    everywhere = paths(document)
    body = encodable(replaced(document, everywhere[place % len(everywhere)], value))
    with suppress(DecodeError), decoding("an answer", body):
        read(body)


def test_the_answers_are_read_as_they_are() -> None:
    """Else the property above would only see refusals."""
    for read, document in READERS:
        assert read(encodable(document))


@QUICK
@given(status=st.sampled_from(STATUSES), place=st.integers(0, 20), value=NUMBERS | VALUES)
def test_an_answer_to_an_order_is_never_read_as_more_than_it_says(
    status: object, place: int, value: object
) -> None:
    """Nothing is raised, and what is called filled has a size and a price."""
    everywhere = paths(status)
    said = replaced(status, everywhere[place % len(everywhere)], value)
    body = {"status": "ok", "response": {"type": "order", "data": {"statuses": [said]}}}
    reply = read_reply(Response(status=200, headers=(), body=encodable(body)), "order")
    assert isinstance(reply, Accepted)
    read_cancels(reply, ["7"])
    for line in read_orders(reply, [CLOID]):
        price = line.outcome.average_price
        amounts = [line.outcome.filled_size, *([] if price is None else [price])]
        filled = line.outcome.end is OrderEnd.FILLED
        assert all(amount.is_finite() and (amount > 0) == filled for amount in amounts)
