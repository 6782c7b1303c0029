"""Baselines: a month of settlements and half a year of closes, paged, and then kept up."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.events import (
    ChannelOpened,
    Event,
    FrameRejected,
    FundingHistorySeen,
    HistoryProgressed,
    PriceHistorySeen,
)
from monitor.core.ports import Poll, Refresh, Response
from monitor.core.types import SECOND_NS
from tests.venues.hyperliquid.helpers import (
    META,
    answer,
    asked,
    context,
    make_venue,
    of_type,
    poll_named,
)
from tests.venues.hyperliquid.test_polls import NULL_500, by_type
from tests.venues.hyperliquid.test_polls import run as run_round

HOUR_MS = 3_600_000
HOUR_NS = 3600 * SECOND_NS
NOW = 497_222 * HOUR_NS + 60 * SECOND_NS  # a minute after the hour
NOW_MS = NOW // 1_000_000


def run(poll: Poll, answers: Any, now: int) -> tuple[list[dict[str, Any]], tuple[Event, ...]]:
    """Rounds until none is wished for: their requests and events."""
    requests: list[dict[str, Any]] = []
    events: list[Event] = []
    wished: tuple[Refresh, ...] = (Refresh(poll.name),)
    while wished:
        assert wished == (Refresh(poll.name),)
        wished, request = (), poll.request(now)
        while request is not None:
            requests.append(asked(request))
            assert request.patient != (requests[-1]["type"] == "exchangeStatus")
            given = answers(requests[-1])
            output = poll.received(given if isinstance(given, Response) else answer(given), now)
            events += output.events
            request, wished = output.then, output.refresh
    return requests, tuple(events)


def settlements(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Hourly rows since the start that was asked for, at most 500."""
    first = -(-body["startTime"] // HOUR_MS) * HOUR_MS
    times = range(first, NOW_MS + 1, HOUR_MS)
    return [
        {"coin": body["coin"], "fundingRate": "0.00002", "premium": "0", "time": time}
        for time in times[:500]
    ]


def bars(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Hourly bars that start within the range, the running one included."""
    asked = body["req"]
    first = -(-asked["startTime"] // HOUR_MS) * HOUR_MS
    rest = {"s": asked["coin"], "i": "1h", "o": "1", "h": "3", "l": "1", "v": "5"}
    return [
        {"t": time, "c": str(time // HOUR_MS), **rest}
        for time in range(first, asked["endTime"] + 1, HOUR_MS)
    ]


def watching(*coins: str) -> Any:
    """A venue that watches these."""
    venue = make_venue()
    venue.knowledge.watchlist.add(coins)
    return venue


def test_a_month_of_settlements_is_read_in_pages() -> None:
    """720 rows and the one at the edge; told as hourly rates by the time of settlement."""
    poll = poll_named(watching("BTC", "ETH"), "hyperliquid/fundingHistory/baseline")
    requests, events = run(poll, by_type(fundingHistory=settlements), NOW)
    assert [body["coin"] for body in requests] == ["BTC", "BTC", "ETH", "ETH"]
    seen = [one for one in of_type(events, FundingHistorySeen) if one.market == "BTC"]
    rates = [row for one in seen for row in one.rates]
    assert len(rates) == 721
    assert rates[0] == (NOW - 60 * SECOND_NS - 720 * HOUR_NS, 0.00002)
    assert rates[-1] == (NOW - 60 * SECOND_NS, 0.00002)
    assert {one.channel for one in of_type(events, ChannelOpened)} == {seen[0].channel}


def test_half_a_year_of_closes_is_one_answer() -> None:
    """By the time that the hour ended; the bar that is still open has no close."""
    poll = poll_named(watching("BTC"), "hyperliquid/candleSnapshot/baseline")
    requests, events = run(poll, by_type(candleSnapshot=bars), NOW)
    assert [body["req"]["coin"] for body in requests] == ["BTC"]
    (seen,) = of_type(events, PriceHistorySeen)
    assert len(seen.closes) == 180 * 24
    hour = NOW // HOUR_NS
    assert seen.closes[-1] == (hour * HOUR_NS, float(hour - 1))
    assert poll.request(NOW).weight == 20.0  # nothing new: the smallest question there is


@pytest.mark.parametrize(
    ("minutes", "asked"),
    [
        pytest.param(58, [], id="no hour has passed"),
        pytest.param(60, [1], id="one has"),
        pytest.param(60 * 9, [9], id="a downtime of nine"),
    ],
)
def test_later_rounds_read_what_is_new(minutes: int, asked: list[int]) -> None:
    """From after the newest row on, and nothing where no row can be new."""
    poll = poll_named(watching("BTC"), "hyperliquid/fundingHistory/baseline")
    run(poll, by_type(fundingHistory=settlements), NOW)
    later = NOW + minutes * 60 * SECOND_NS

    def rows(body: dict[str, Any]) -> list[dict[str, Any]]:
        first = -(-body["startTime"] // HOUR_MS) * HOUR_MS
        return [
            {"coin": "BTC", "fundingRate": "0", "premium": "0", "time": time}
            for time in range(first, later // 1_000_000 + 1, HOUR_MS)
        ]

    answers = by_type(fundingHistory=rows, exchangeStatus={"time": 1, "specialStatuses": None})
    _, events = run(poll, answers, later)
    assert [len(one.rates) for one in of_type(events, FundingHistorySeen)] == asked
    assert not of_type(events, FrameRejected)


def test_what_is_watched_leads_and_then_open_interest() -> None:
    """What nobody here holds counts for the cross-section; delisted markets have no interest."""
    venue = watching("HYPE")
    contexts = [context("100.0", openInterest=str(size)) for size in (5, 9, 1, 0)]
    answers = by_type(perpDexs=[None], metaAndAssetCtxs=[META, contexts])
    run_round(poll_named(venue, "hyperliquid/metaAndAssetCtxs"), answers)
    assert venue.knowledge.leaders()[:3] == ("HYPE", "ETH", "BTC")


def test_a_market_that_cannot_be_read_does_not_hold_up_the_next() -> None:
    """500 null for one coin; a row from the future is refused and not remembered."""
    poll = poll_named(watching("BTC", "ETH"), "hyperliquid/fundingHistory/baseline")

    def rows(body: dict[str, Any]) -> Any:
        if body["coin"] == "BTC":
            return NULL_500
        ahead = {"coin": "ETH", "fundingRate": "0", "premium": "0", "time": NOW_MS + HOUR_MS}
        return [ahead]

    _, events = run(poll, by_type(fundingHistory=rows), NOW)
    assert len(of_type(events, FrameRejected)) == 2
    assert not of_type(events, FundingHistorySeen)
    _, events = run(poll, by_type(fundingHistory=settlements), NOW)
    assert {one.market for one in of_type(events, FundingHistorySeen)} == {"BTC", "ETH"}


@pytest.mark.parametrize(
    ("unreadable", "unread", "waiting"),
    [
        pytest.param("", [("BTC", "ETH"), ("ETH",), ()], [2, 1, 0], id="all can be read"),
        pytest.param("BTC", [("BTC", "ETH"), ("BTC",)], [1, 0], id="one cannot"),
    ],
)
def test_how_far_it_is_is_told_with_each_market(
    unreadable: str, unread: list[Any], waiting: list[int]
) -> None:
    """With the first page, and when all of one are read; in the end with what could not be."""
    poll = poll_named(watching("BTC", "ETH"), "hyperliquid/fundingHistory/baseline")

    def rows(body: dict[str, Any]) -> Any:
        return NULL_500 if body["coin"] == unreadable else settlements(body)

    _, events = run(poll, by_type(fundingHistory=rows), NOW)
    told = of_type(events, HistoryProgressed)
    assert [one.unread for one in told] == unread
    assert [one.waiting for one in told] == waiting
    assert {(one.kind, one.wanted, one.began_ns) for one in told} == {("funding", 2, NOW)}
    later = NOW + 2 * HOUR_NS
    status = {"time": 1, "specialStatuses": None}
    _, events = run(poll, by_type(fundingHistory=settlements, exchangeStatus=status), later)
    news = [one.unread for one in of_type(events, HistoryProgressed)]
    assert news == ([("BTC",), ()] if unreadable else [])


def test_an_interrupted_round_goes_on_with_the_same_market() -> None:
    """A venue that fails between two pages costs the page, not the list."""
    poll = poll_named(watching("BTC", "ETH"), "hyperliquid/fundingHistory/baseline")
    first = asked(poll.request(NOW))
    poll.received(answer(settlements(first)), NOW)
    again = asked(poll.request(NOW))
    assert again["coin"] == "BTC"
    assert again["startTime"] > first["startTime"]
