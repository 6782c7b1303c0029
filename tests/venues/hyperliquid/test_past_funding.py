"""Funding of before the last month: read after it, the newest pages of all markets first."""

from __future__ import annotations

from typing import Any

from monitor.core.events import FrameRejected, FundingHistorySeen, HistoryProgressed
from monitor.core.formulas.funding_stress import PAST_HOURS
from monitor.core.warm_up import PAST
from tests.venues.hyperliquid.helpers import asked, of_type
from tests.venues.hyperliquid.test_baselines import HOUR_MS, NOW, NOW_MS, run, settlements, watching
from tests.venues.hyperliquid.test_polls import NULL_500, by_type

STATUS = {"time": 1, "specialStatuses": None}
NAME = "hyperliquid/fundingHistory"


def polls(*coins: str) -> Any:
    """The month's and the one for before, of one venue."""
    made = {poll.name: poll for poll in watching(*coins).polls()}
    return made[f"{NAME}/baseline"], made[f"{NAME}/past"]


def older(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Hourly rows of the range, which ends before the month."""
    return [one for one in settlements(body) if one["time"] <= body["endTime"]]


def test_nothing_is_asked_before_the_month_is_known() -> None:
    """The smallest question there is; then the months before, and never again."""
    month, past = polls("BTC", "ETH")
    answers = by_type(fundingHistory=older, exchangeStatus=STATUS)
    requests, _ = run(past, answers, NOW)
    assert [one["type"] for one in requests] == ["exchangeStatus"]
    run(month, by_type(fundingHistory=settlements), NOW)
    requests, events = run(past, answers, NOW)
    assert [one["coin"] for one in requests] == ["BTC", "ETH"] * 5
    rates = [row for one in of_type(events, FundingHistorySeen) for row in one.rates]
    hours = sorted({NOW_MS // HOUR_MS - at // 1_000_000 // HOUR_MS for at, _ in rates})
    assert hours == list(range(721, PAST_HOURS + 1))
    assert [one.waiting for one in of_type(events, HistoryProgressed)] == list(range(9, -1, -1))
    assert {one.kind for one in of_type(events, HistoryProgressed)} == {PAST}
    requests, _ = run(past, answers, NOW)
    assert [one["type"] for one in requests] == ["exchangeStatus"]


def test_pages_go_back_and_what_cannot_be_read_holds_up_nothing() -> None:
    """The newest page of each market first; a market listed lately has no older one."""
    month, past = polls("BTC", "ETH", "HYPE")
    run(month, by_type(fundingHistory=settlements), NOW)

    def rows(body: dict[str, Any]) -> Any:
        if body["coin"] == "ETH":
            return NULL_500
        return [] if body["coin"] == "HYPE" else older(body)

    requests, events = run(past, by_type(fundingHistory=rows), NOW)
    assert [one["coin"] for one in requests] == ["BTC", "ETH", "HYPE", *["BTC"] * 4]
    starts = [one["startTime"] for one in requests if one["coin"] == "BTC"]
    assert starts == sorted(starts, reverse=True)
    assert len(of_type(events, FrameRejected)) == 1
    assert of_type(events, HistoryProgressed)[-1].unread == ()


def test_a_page_is_weighed_by_its_rows_and_waits_for_the_truth() -> None:
    """As background reads do."""
    month, past = polls("BTC")
    run(month, by_type(fundingHistory=settlements), NOW)
    request = past.request(NOW)
    assert asked(request)["endTime"] < NOW_MS - 720 * HOUR_MS
    assert request.patient
    assert request.weight == 20.0 + 500 / 20
