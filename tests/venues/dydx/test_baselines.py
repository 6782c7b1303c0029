"""Baselines: a month of settlements and half a year of closes, paged backwards, and kept up."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.events import Event, FundingHistorySeen, HistoryProgressed, PriceHistorySeen
from monitor.core.ports import Poll, Refresh, Response
from monitor.core.types import SECOND_NS
from monitor.venues.dydx.codec import wire
from monitor.venues.dydx.venue import DydxVenue
from tests.venues.dydx.test_polls import asked, poll_of
from tests.venues.dydx.wire_talk import answer, market, venue

HOUR_NS = 3600 * SECOND_NS
NOW = 490_336 * HOUR_NS + 60 * SECOND_NS  # a minute after the hour
HOUR = NOW // HOUR_NS


def run(
    poll: Poll, give: Any, now: int = NOW
) -> tuple[list[tuple[str, dict[str, str]]], list[Event]]:
    """Rounds until none is wished for: (path, query) of their requests, and the events."""
    requests: list[tuple[str, dict[str, str]]] = []
    events: list[Event] = []
    wished: tuple[Refresh, ...] = (Refresh(poll.name),)
    while wished:
        assert wished == (Refresh(poll.name),)
        wished, request = (), poll.request(now)
        while request is not None:
            requests.append(asked(request))
            assert request.patient != (requests[-1][0] == "/height")
            given = give(*requests[-1])
            response = given if isinstance(given, Response) else answer(given)
            output = poll.received(response, now)
            events += output.events
            request, wished = output.then, output.refresh
            assert len(requests) < 50, "the pages do not end"
    return requests, events


def settled(path: str, query: dict[str, str], newest: int = HOUR) -> dict[str, Any]:
    """``limit`` hourly rows, newest first, up to the time asked for."""
    ticker = path.rsplit("/", 1)[-1]
    last = min(newest, wire.time_ns(query["effectiveBeforeOrAt"]) // HOUR_NS)
    rows = [
        {
            "ticker": ticker,
            "rate": "0.00002",
            "price": "100",
            "effectiveAtHeight": "1",
            "effectiveAt": wire.iso_time(hour * HOUR_NS),
        }
        for hour in range(last, last - int(query["limit"]), -1)
    ]
    return {"historicalFunding": rows}


def bars(path: str, query: dict[str, str]) -> dict[str, Any]:
    """``limit`` hourly bars that began before the time asked for, newest first."""
    ticker = path.rsplit("/", 1)[-1]
    last = -(-wire.time_ns(query["toISO"]) // HOUR_NS) - 1
    rest = {"open": "1", "high": "3", "low": "1", "baseTokenVolume": "5", "resolution": "1HOUR"}
    rows = [
        {"ticker": ticker, "startedAt": wire.iso_time(hour * HOUR_NS), "close": str(hour), **rest}
        for hour in range(last, last - int(query["limit"]), -1)
    ]
    return {"candles": rows}


def baseline(name: str, *tickers: str) -> tuple[DydxVenue, Poll]:
    """A venue that lists these, and its baseline poll."""
    made = venue(tickers=tickers, markets=tickers[:1])
    return made, poll_of(made, f"{name}/baseline")


def test_a_month_of_settlements_is_one_answer_a_market() -> None:
    """721 rows, told oldest first as hourly rates."""
    _, poll = baseline("historicalFunding", "BTC-USD", "ETH-USD")
    requests, events = run(poll, settled)
    assert sorted(path for path, _ in requests) == [
        "/historicalFunding/BTC-USD",
        "/historicalFunding/ETH-USD",
    ]
    seen = [one for one in events if isinstance(one, FundingHistorySeen)]
    assert {len(one.rates) for one in seen} == {721}
    assert seen[0].rates[0] == ((HOUR - 720) * HOUR_NS, 0.00002)
    assert seen[0].rates[-1] == (HOUR * HOUR_NS, 0.00002)


def test_half_a_year_of_closes_is_paged_backwards() -> None:
    """A thousand bars an answer; by the time that the hour ended; the open bar is left out."""
    _, poll = baseline("candles", "BTC-USD")
    requests, events = run(poll, bars)
    assert len(requests) == 5
    assert {query["resolution"] for _, query in requests} == {"1HOUR"}
    closes: dict[int, float] = {}
    for one in events:
        if isinstance(one, PriceHistorySeen):
            closes |= dict(one.closes)
            assert list(one.closes) == sorted(one.closes)
    assert set(range(HOUR - 180 * 24 + 1, HOUR + 1)) <= {at // HOUR_NS for at in closes}
    assert closes[HOUR * HOUR_NS] == float(HOUR - 1)
    assert (HOUR + 1) * HOUR_NS not in closes


@pytest.mark.parametrize(
    ("hours", "paths"),
    [
        pytest.param(0, ["/height"], id="no hour has passed: the smallest question there is"),
        pytest.param(3, ["/historicalFunding/BTC-USD"], id="a downtime of three"),
    ],
)
def test_later_rounds_read_what_is_new(hours: int, paths: list[str]) -> None:
    """As many rows as hours have passed, and one for the edge."""
    _, poll = baseline("historicalFunding", "BTC-USD")
    run(poll, settled)

    def give(path: str, query: dict[str, str]) -> dict[str, Any]:
        if path == "/height":
            return {"height": "1", "time": "2025-12-08T16:11:59.450Z"}
        return settled(path, query, HOUR + hours)

    requests, events = run(poll, give, NOW + hours * HOUR_NS)
    assert [path for path, _ in requests] == paths
    told = [one.rates for one in events if isinstance(one, FundingHistorySeen)]
    assert [len(rates) for rates in told] == ([hours + 1] if hours else [])


def test_a_short_history_ends_where_it_began() -> None:
    """A market listed last week has a week; one that is gone has none, and the next is asked."""
    _, poll = baseline("historicalFunding", "BTC-USD", "ETH-USD")

    def give(path: str, query: dict[str, str]) -> Any:
        if path.endswith("BTC-USD"):
            return answer({"errors": [{"msg": "not found"}]}, 404)
        rows = settled(path, query)["historicalFunding"]
        return {"historicalFunding": rows[:168]}

    requests, events = run(poll, give)
    assert len(requests) == 2
    (seen,) = [one for one in events if isinstance(one, FundingHistorySeen)]
    assert (seen.market, len(seen.rates)) == ("ETH-USD", 168)


def test_the_markets_with_most_open_interest_lead() -> None:
    """Open interest at the oracle price decides, in USD."""
    made = venue(tickers=())
    rows = {
        "A-USD": market("A-USD", openInterest="5", oraclePrice="10"),
        "B-USD": market("B-USD", openInterest="1", oraclePrice="90"),
        "C-USD": market("C-USD", openInterest="900", oraclePrice="90", status="FINAL_SETTLEMENT"),
    }
    poll_of(made, "perpetualMarkets").received(answer({"markets": rows}), NOW)
    assert made.universe.leaders() == ("B-USD", "A-USD")


@pytest.mark.parametrize("name", ["historicalFunding", "candles"])
def test_how_far_it_is_is_told_with_each_market(name: str) -> None:
    """With the first page of several, and when all are read; a market that is gone has none."""
    _, poll = baseline(name, "BTC-USD", "ETH-USD", "GONE-USD")

    def give(path: str, query: dict[str, str]) -> Any:
        if path.endswith("GONE-USD"):
            return answer({"errors": [{"msg": "not found"}]}, status=404)
        return (settled if name == "historicalFunding" else bars)(path, query)

    _, events = run(poll, give)
    told = [one for one in events if isinstance(one, HistoryProgressed)]
    first = [] if name == "historicalFunding" else [(3, 3, 0)]  # it has one page
    assert [(len(one.unread), one.waiting, one.read) for one in told] == [
        *first,
        (2, 2, 1),
        (1, 1, 2),
        (0, 0, 3),
    ]
    assert {(one.kind, one.wanted) for one in told} == {
        ("funding" if name == "historicalFunding" else "prices", 3)
    }
    _, events = run(poll, give, NOW + 60 * SECOND_NS)
    assert not [one for one in events if isinstance(one, HistoryProgressed)]
