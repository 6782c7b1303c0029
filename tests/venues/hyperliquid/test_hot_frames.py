"""Frames read in one go mean what two stages make of them; what does not fit is judged there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.core.errors import DecodeError
from monitor.core.events import PositionsReported
from monitor.core.ports import Output
from monitor.venues.hyperliquid.stream import Connection
from monitor.venues.hyperliquid.stream_user import UserStream
from tests.venues.hyperliquid.helpers import ADDRESS, NOW, context, encode, frame, make_venue

LEVEL = {"px": "100.5", "sz": "2", "n": 1}
OTHER_LEVEL = {"px": "100.7", "sz": "3.5", "n": 4}
BOOK = {"coin": "BTC", "time": 7, "levels": [[LEVEL, LEVEL], [OTHER_LEVEL]]}
SUMMARY = {
    "accountValue": "179.007426",
    "totalNtlPos": "47.66235",
    "totalRawUsd": "131.345076",
    "totalMarginUsed": "2.383117",
}
POSITION = {
    "coin": "BTC",
    "szi": "-0.00061",
    "leverage": {"type": "cross", "value": 20},
    "entryPx": "82771.8",
    "positionValue": "47.66235",
    "unrealizedPnl": "-2.82848",
    "liquidationPx": None,
    "marginUsed": "2.383117",
    "maxLeverage": 40,
    "cumFunding": {"allTime": "0.004156", "sinceOpen": "0.004156", "sinceChange": "-0.000221"},
}
STATE = {
    "marginSummary": SUMMARY,
    "crossMarginSummary": SUMMARY,
    "crossMaintenanceMarginUsed": "0.595779",
    "withdrawable": "174.241191",
    "assetPositions": [{"type": "oneWay", "position": POSITION}],
    "time": 1770118781558,
}


def states(**changes: Any) -> dict[str, Any]:
    """The payload of ``allDexsClearinghouseState``."""
    return {"user": ADDRESS, "clearinghouseStates": [["", STATE]], **changes}


MARKET_FRAMES = {
    "bbo": frame("bbo", {"coin": "BTC", "time": 7, "bbo": [LEVEL, OTHER_LEVEL]}),
    "one-sided bbo": frame("bbo", {"coin": "BTC", "time": 7, "bbo": [None, OTHER_LEVEL]}),
    "raw book": frame("l2Book", BOOK),
    "aggregated book": frame("l2Book", {**BOOK, "spread": "0.2"}),
    "empty book": frame("l2Book", {**BOOK, "levels": [[], []]}),
    "context": frame("activeAssetCtx", {"coin": "ETH", "ctx": context("3000")}),
    "payload before channel": encode({"data": BOOK, "channel": "l2Book"}),
    "unknown keys": frame("bbo", {"coin": "BTC", "time": 7, "bbo": [LEVEL, LEVEL], "new": [1]}),
}
USER_FRAMES = {
    "states": frame("allDexsClearinghouseState", states()),
    "states, payload first": encode({"data": states(), "channel": "allDexsClearinghouseState"}),
    "no position": frame(
        "allDexsClearinghouseState",
        states(clearinghouseStates=[["", {**STATE, "assetPositions": []}]]),
    ),
}
UNSOUND = {
    "bbo without time": frame("bbo", {"coin": "BTC", "bbo": [LEVEL, LEVEL]}),
    "book of null": frame("l2Book", {"coin": "BTC", "time": 7, "levels": None}),
    "context that is missing": frame("activeAssetCtx", {"coin": "BTC", "time": 7}),
    "price that is no number": frame(
        "bbo", {"coin": "BTC", "time": 7, "bbo": [LEVEL, {"px": "x"}]}
    ),
    "size that is infinite": frame("l2Book", {**BOOK, "levels": [[{**LEVEL, "sz": "inf"}], []]}),
    "channel nobody knows": frame("l3Book", BOOK),
    "cut short": frame("l2Book", BOOK)[:-9],
}
UNSOUND_STATES = {
    "a stranger's": frame("allDexsClearinghouseState", states(user="0x" + "9" * 40)),
    "absurd amount": frame(
        "allDexsClearinghouseState",
        states(clearinghouseStates=[["", {**STATE, "withdrawable": "1e999"}]]),
    ),
    "absurd position": frame(
        "allDexsClearinghouseState",
        states(
            clearinghouseStates=[
                ["", {**STATE, "assetPositions": [{"position": {**POSITION, "szi": "NaN"}}]}],
            ],
        ),
    ),
    "position without its size": frame(
        "allDexsClearinghouseState",
        states(clearinghouseStates=[["", {**STATE, "assetPositions": [{"position": {}}]}]]),
    ),
    "without states": frame("allDexsClearinghouseState", {"user": ADDRESS}),
    "cut short": frame("allDexsClearinghouseState", states())[:-3],
}


def connections(index: int) -> tuple[Connection, Connection]:
    """The same connection twice, each of a venue of its own: market 0, account 1."""
    twins = [make_venue(markets=["BTC", "ETH"]).streams()[index] for _ in range(2)]
    for twin in twins:
        assert isinstance(twin, Connection)
        for message in twin.connected(NOW).send:
            twin.received(frame("subscriptionResponse", json.loads(message)), NOW)
    return twins[0], twins[1]  # type: ignore[return-value]  # both are


def outcome(stream: Connection, data: bytes, *, staged: bool) -> Output | str:
    """What a frame brings, or the words it is refused with."""
    try:
        if staged:
            return Connection.received(stream, data, NOW)
        return stream.received(data, NOW)
    except DecodeError as error:
        return f"{error} | {error.sample!r}"


@pytest.mark.parametrize("data", MARKET_FRAMES.values(), ids=MARKET_FRAMES)
def test_market_frame_means_the_same_either_way(data: bytes) -> None:
    """Events are equal, and there are some."""
    one, two = connections(0)
    told = outcome(one, data, staged=False)
    assert told == outcome(two, data, staged=True)
    assert isinstance(told, Output)
    assert told.events


@pytest.mark.parametrize("data", USER_FRAMES.values(), ids=USER_FRAMES)
def test_account_frame_means_the_same_either_way(data: bytes) -> None:
    """Events are equal, and the markets held come to be watched."""
    one, two = connections(1)
    told = outcome(one, data, staged=False)
    assert told == outcome(two, data, staged=True)
    assert isinstance(told, Output)
    assert told.events
    assert one.knowledge.watchlist.coins() == two.knowledge.watchlist.coins()


@pytest.mark.parametrize("data", UNSOUND.values(), ids=UNSOUND)
def test_unsound_market_frame_is_refused_in_the_same_words(data: bytes) -> None:
    """The short way accepts nothing that two stages refuse."""
    one, two = connections(0)
    words = outcome(one, data, staged=False)
    assert isinstance(words, str)
    assert words == outcome(two, data, staged=True)


@pytest.mark.parametrize("data", UNSOUND_STATES.values(), ids=UNSOUND_STATES)
def test_unsound_account_frame_is_refused_in_the_same_words(data: bytes) -> None:
    """Also a stranger's state and an amount that is none."""
    one, two = connections(1)
    words = outcome(one, data, staged=False)
    assert isinstance(words, str)
    assert words == outcome(two, data, staged=True)


def push(*held: tuple[str, str], dex: str = "", value: str = "47.66235") -> bytes:
    """The account's whole state with these (coin, size)."""
    entries = [
        {"type": "oneWay", "position": {**POSITION, "coin": coin, "szi": size}}
        for coin, size in held
    ]
    summary = {**SUMMARY, "accountValue": value}
    state = {**STATE, "marginSummary": summary, "assetPositions": entries}
    return frame("allDexsClearinghouseState", states(clearinghouseStates=[[dex, state]]))


@pytest.mark.parametrize(
    "pushes",
    [
        pytest.param([push(("BTC", "1")), push(("BTC", "1"))], id="the same twice"),
        pytest.param([push(("BTC", "1")), push(("BTC", "1"), value="9")], id="only money moved"),
        pytest.param(
            [push(("BTC", "1"), ("ETH", "2")), push(("BTC", "1"), ("ETH", "-2"))],
            id="one of two positions turned",
        ),
        pytest.param(
            [push(("BTC", "1"), ("ETH", "2")), push(("ETH", "2"))], id="one of two is gone"
        ),
        pytest.param(
            [push(("BTC", "1")), push(), push(("BTC", "1"))], id="closed, and opened as before"
        ),
        pytest.param(
            [push(("BTC", "1")), push(("xyz:BTC", "1"), dex="xyz")], id="another dex alone"
        ),
    ],
)
def test_a_push_means_the_same_after_another(pushes: list[bytes]) -> None:
    """Positions known by their bytes are told as if they had been read anew."""
    one, two = connections(1)
    for data in pushes:
        assert outcome(one, data, staged=False) == outcome(two, data, staged=True)


def test_only_the_newest_push_is_remembered() -> None:
    """However many positions come and go."""
    stream, _ = connections(1)
    assert isinstance(stream, UserStream)
    for number in range(50):
        stream.received(push(("BTC", f"{number + 1}"), ("ETH", "1")), NOW)
    assert len(stream._decoder._rows) == 2


def test_what_is_known_by_its_bytes_is_not_read_again() -> None:
    """The reports of unchanged positions are the very same objects."""
    stream, _ = connections(1)
    told = [stream.received(push(("BTC", "1"), ("ETH", size)), NOW).events for size in ("1", "2")]
    first, second = (
        next(one for one in events if isinstance(one, PositionsReported)).positions
        for events in told
    )
    assert first[0] is second[0]
    assert first[1] is not second[1]


MARKET_SEQUENCES = {
    "bbo": [
        frame("bbo", {"coin": "BTC", "time": time, "bbo": [LEVEL, OTHER_LEVEL]})
        for time in (7, 8, 6, 8)
    ],
    "book": [frame("l2Book", {**BOOK, "time": time}) for time in (7, 8, 6, 8)],
    "bbo from the future": [
        frame("bbo", {"coin": "BTC", "time": 9_000_000_000_000, "bbo": [LEVEL, LEVEL]})
    ],
    "book from the future": [frame("l2Book", {**BOOK, "time": 9_000_000_000_000})],
    "coin that was not asked for": [
        frame("bbo", {"coin": "DOGE", "time": 7, "bbo": [LEVEL, OTHER_LEVEL]})
    ],
}


@pytest.mark.parametrize("frames", MARKET_SEQUENCES.values(), ids=MARKET_SEQUENCES)
def test_market_frames_keep_their_order_either_way(frames: list[bytes]) -> None:
    """Older prices are refused and counted, whichever way they are read."""
    one, two = connections(0)
    for data in frames:
        assert outcome(one, data, staged=False) == outcome(two, data, staged=True)
