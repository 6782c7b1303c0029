"""Funding of before the last month: read after it, the newest pages of all markets first."""

from __future__ import annotations

from typing import Any

from monitor.core.events import FundingHistorySeen, HistoryProgressed
from monitor.core.formulas.funding_stress import PAST_HOURS
from tests.venues.dydx.test_baselines import HOUR, HOUR_NS, run, settled
from tests.venues.dydx.wire_talk import answer, venue

HEIGHT = {"height": "1", "time": "2025-12-08T16:11:59.450Z"}


def polls(*tickers: str) -> Any:
    """The month's and the one for before, of one venue."""
    made = {poll.name: poll for poll in venue(tickers=tickers, markets=tickers[:1]).polls()}
    name = "dydx/rest.historicalFunding"
    return made[f"{name}/baseline"], made[f"{name}/past"]


def give(path: str, query: dict[str, str]) -> Any:
    """Heights and settlements."""
    return HEIGHT if path == "/height" else settled(path, query)


def test_the_months_before_are_read_after_the_last() -> None:
    """Until then the smallest question there is; all hours once."""
    month, past = polls("BTC-USD", "ETH-USD")
    requests, _ = run(past, give)
    assert [path for path, _ in requests] == ["/height"]
    run(month, settled)
    requests, events = run(past, give)
    assert [path.rsplit("/", 1)[-1] for path, _ in requests] == ["BTC-USD", "ETH-USD"] * 3
    told = [one for one in events if isinstance(one, FundingHistorySeen)]
    hours = sorted(HOUR - at // HOUR_NS for one in told for at, _ in one.rates)
    assert hours == sorted([*range(721, PAST_HOURS + 1)] * 2)
    news = [one.waiting for one in events if isinstance(one, HistoryProgressed)]
    assert news == list(range(5, -1, -1))
    requests, _ = run(past, give)
    assert [path for path, _ in requests] == ["/height"]


def test_a_market_that_is_gone_or_new_holds_up_nothing() -> None:
    """404 and no rows: the next market is asked."""
    month, past = polls("BTC-USD", "ETH-USD", "NEW-USD")
    run(month, settled)

    def some(path: str, query: dict[str, str]) -> Any:
        if path.endswith("ETH-USD"):
            return answer({"errors": [{"msg": "not found"}]}, 404)
        return {"historicalFunding": []} if path.endswith("NEW-USD") else settled(path, query)

    requests, events = run(past, some)
    asked = sorted(path.rsplit("/", 1)[-1] for path, _ in requests)
    assert asked == [*["BTC-USD"] * 3, "ETH-USD", "NEW-USD"]
    assert [one for one in events if isinstance(one, HistoryProgressed)][-1].unread == ()
