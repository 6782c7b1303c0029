"""Our own frames and bodies in the documented formats, each with the exact events it must give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.core.errors import DecodeError
from monitor.core.events import Event
from monitor.venues.dydx.decode import ENDPOINTS, decode_body, decode_frame, decode_recording

FRAMES = sorted((Path(__file__).parent / "frames").glob("*.json"))
CASES = {path.stem: json.loads(path.read_text()) for path in FRAMES}
NOW = 1_765_210_316_000_000_000  # 2025-12-08T16:11:56Z


def expected(case: dict[str, Any]) -> tuple[Event, ...]:
    """The events as they stand in the file."""
    return msgspec.convert(case["events"], tuple[Event, ...])


def given(case: dict[str, Any]) -> bytes:
    """The bytes of the frame or body."""
    return json.dumps(case["frame"] if "frame" in case else case["body"]).encode()


@pytest.mark.parametrize("name", CASES)
def test_documented_formats_decode_exactly(name: str) -> None:
    """Every field of every event; the file says what its case is about."""
    case = CASES[name]
    if "frame" in case:
        events = decode_frame(given(case), NOW)
    else:
        events = decode_body(case["endpoint"], given(case), NOW)
    assert events == expected(case)


@pytest.mark.parametrize("name", CASES)
def test_key_order_does_not_matter(name: str) -> None:
    """The envelope's keys in the reverse order give the same."""
    case = CASES[name]
    if "frame" not in case:
        return
    turned = json.dumps(dict(reversed(case["frame"].items()))).encode()
    assert decode_frame(turned, NOW) == expected(case)


@pytest.mark.parametrize("name", CASES)
def test_recordings_are_recognised_by_their_keys(name: str) -> None:
    """Without an endpoint, and under a recorder's wrapper, the events are the same."""
    case = CASES[name]
    if case.get("endpoint") == "compliance":
        return  # {"status": …} may be anything: its endpoint must be named
    wrapped = json.dumps(
        {"requestId": "r", "status": "success", "isoTimestamp": "-",
         "result": case.get("frame", case.get("body"))}
    ).encode()  # fmt: skip
    assert decode_recording(given(case), now=NOW) == expected(case)
    assert decode_recording(wrapped, now=NOW) == expected(case)


def test_endpoints_have_a_documented_body() -> None:
    """No endpoint without an example, but those whose recordings are exact enough."""
    shown = {case["endpoint"] for case in CASES.values() if "body" in case}
    recorded = {"trades", "candles", "parentSubaccount", "order", "assetPositions", "block"}
    assert set(ENDPOINTS) == shown | recorded


def _frame(**contents: object) -> bytes:
    frame = dict(CASES["account_update"]["frame"], contents=contents)
    return json.dumps(frame).encode()


POSITION = CASES["account_update"]["frame"]["contents"]["perpetualPositions"][0]
ASSET = CASES["account_update"]["frame"]["contents"]["assetPositions"][0]
FILL = CASES["account_update"]["frame"]["contents"]["fills"][0]
ORDER = CASES["rest_orders"]["body"][0]

REFUSED = {
    "a side that contradicts the sign": {"perpetualPositions": [{**POSITION, "side": "SHORT"}]},
    "an unknown side of a position": {"perpetualPositions": [{**POSITION, "side": "BOTH"}]},
    "CLOSED with a size": {"perpetualPositions": [{**POSITION, "status": "CLOSED"}]},
    "an empty string for a size": {"perpetualPositions": [{**POSITION, "size": ""}]},
    "a size that is not a number": {"perpetualPositions": [{**POSITION, "size": "NaN"}]},
    "a size out of this world": {"perpetualPositions": [{**POSITION, "size": "1e31"}]},
    "a negative unsigned balance": {"assetPositions": [{**ASSET, "size": "-1"}]},
    "an unknown side of an order": {"orders": [{**ORDER, "side": "HOLD"}]},
    "a fill without its market": {"fills": [{**FILL, "ticker": None}]},
    "a fill at a local time": {"fills": [{**FILL, "createdAt": "2025-12-08T16:11:57+01:00"}]},
    "a child of another parent": {"perpetualPositions": [{**POSITION, "subaccountNumber": 129}]},
    "a number no subaccount has": {
        "perpetualPositions": [{**POSITION, "subaccountNumber": 128001}]
    },
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_drives_risk_is_read_strictly(why: str) -> None:
    """Never guessed at: the frame is refused whole."""
    with pytest.raises(DecodeError):
        decode_frame(_frame(**REFUSED[why]), NOW)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-inf", "1e400", ""])
@pytest.mark.parametrize(
    ("case", "path"),
    [
        ("markets_oracle", ("contents", "oraclePrices", "BTC-USD", "oraclePrice")),
        ("markets_trading_difference", ("contents", "trading", "BTC-USD", "nextFundingRate")),
        ("markets_trading_difference", ("contents", "trading", "ETH-USD", "openInterest")),
        ("markets_snapshot", ("contents", "markets", "BTC-USD", "initialMarginFraction")),
        ("rest_funding", ("historicalFunding", 0, "rate")),
        ("rest_time", ("epoch",)),
    ],
)
def test_market_numbers_must_be_finite(case: str, path: tuple[str | int, ...], text: str) -> None:
    """Text that a lax parser takes for a number."""
    tree = json.loads(given(CASES[case]))
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = text
    with pytest.raises(DecodeError):
        decode_recording(json.dumps(tree).encode(), now=NOW)


def test_scientific_notation_is_a_number() -> None:
    """Small funding rates come as 1e-7 from some serialisers."""
    frame = json.loads(json.dumps(CASES["markets_trading_difference"]["frame"]))
    frame["contents"]["trading"] = {"BTC-USD": {"nextFundingRate": "1.25e-07"}}
    (event,) = decode_frame(json.dumps(frame).encode(), NOW)
    assert msgspec.to_builtins(event)["predicted_funding_rate_hourly"] == 1.25e-07


def test_an_unknown_order_status_is_not_final() -> None:
    """Descriptive words may grow; an order of unknown status may still fill."""
    (_, event) = decode_frame(_frame(orders=[{**ORDER, "status": "PARKED", "subaccountNumber": 0}]))
    (order,) = msgspec.to_builtins(event)["orders"]
    assert (order["status"], order["open"]) == ("PARKED", True)


def test_an_unknown_fill_type_is_told_and_reported() -> None:
    """The fill is real whatever its type; that its type is new must be seen by a person."""
    *_, told, rejected = decode_frame(_frame(fills=[{**FILL, "type": "AUCTION"}]))
    assert type(told).__name__ == "FillsReported"
    assert type(rejected).__name__ == "FrameRejected"
    assert "AUCTION" in msgspec.to_builtins(rejected)["reason"]
