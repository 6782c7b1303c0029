"""Frames read in one go mean what two stages make of them; what does not fit is judged there."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.errors import DecodeError
from monitor.core.ports import Output
from monitor.venues.hyperliquid.stream import Connection
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
    "without states": frame("allDexsClearinghouseState", {"user": ADDRESS}),
    "cut short": frame("allDexsClearinghouseState", states())[:-3],
}


def connections(index: int) -> tuple[Connection, Connection]:
    """The same connection twice, each of a venue of its own: market 0, account 1."""
    twins = [make_venue(markets=["BTC", "ETH"]).streams()[index] for _ in range(2)]
    for twin in twins:
        assert isinstance(twin, Connection)
        twin.connected(NOW)
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
