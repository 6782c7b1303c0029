"""The re-reads of one to nine accounts with the real budget, in virtual time: history is read to
its end beside them, and none of them waits for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from monitor.core.types import SECOND_NS
from monitor.runtime.budget import Lane, RequestBudget
from monitor.runtime.poll import (
    BACKGROUND_PERIOD_S,
    BACKGROUND_WAIT_S_MAX,
    HISTORY_WAIT_S_MAX,
)
from monitor.venues.hyperliquid.endpoints import BUDGET, request_weight
from monitor.venues.hyperliquid.polls_baseline import BaselinePoll
from monitor.venues.hyperliquid.polls_past import PastFundingPoll
from tests.manual_clock import ManualClock
from tests.venues.hyperliquid.helpers import make_venue
from tests.venues.hyperliquid.test_venue import accounts

LEADERS = 8  # of the thirty or so whose history is read: more take longer in proportion
# A month of settlements in two pages, half a year of hours in one.
FUNDING = (request_weight("fundingHistory", 500), request_weight("fundingHistory", 220))
PRICES = (request_weight("candleSnapshot", 4320),)
MARKET = sum((*FUNDING, *PRICES))
ALL = LEADERS * MARKET
# A minute: three tenths of the 900 that reads may spend, while all together stay below eight.
SHARE, WITHIN = 270.0, 720.0


def plan(count: int) -> dict[float, list[float]]:
    """Weights of the first pages of a round, by period, of everything but history."""
    venue = make_venue(accounts=accounts(count))
    found: dict[float, list[float]] = defaultdict(list)
    for poll in venue.polls():
        if not isinstance(poll, BaselinePoll | PastFundingPoll):
            steps = 3 if poll.kind == "userAbstraction" else 1
            rows = 20 if poll.kind.startswith(("user", "twap")) else 0
            found[poll.period_s] += [request_weight(poll.kind, rows)] * steps
    return found


def per_minute(count: int) -> float:
    """What that costs."""
    return sum(60.0 / period * sum(weights) for period, weights in plan(count).items())


async def minutes_to_read(count: int) -> tuple[float, dict[Lane, float]]:
    """Until all history is read, and the longest that anything else waited, seconds by lane."""
    clock = ManualClock()
    budget = RequestBudget(BUDGET, clock)
    began, waited = clock.now(), dict.fromkeys(Lane, 0.0)

    async def steady(period_s: float, weights: list[float]) -> None:
        lane = Lane.BACKGROUND if period_s >= BACKGROUND_PERIOD_S else Lane.READ
        while True:
            due = clock.now()
            for weight in weights:
                await budget.acquire(weight, lane=lane, wait_s_max=BACKGROUND_WAIT_S_MAX)
                waited[lane] = max(waited[lane], (clock.now() - due) / SECOND_NS)
            await clock.sleep(period_s - (clock.now() - due) / SECOND_NS)

    async def history(pages: tuple[float, ...]) -> None:
        for weight in pages * LEADERS:
            await budget.acquire(weight, lane=Lane.HISTORY, wait_s_max=HISTORY_WAIT_S_MAX)

    tasks = [
        asyncio.create_task(steady(period, weights), name=f"every {period:g} s")
        for period, weights in plan(count).items()
    ]
    reading = [asyncio.create_task(history(pages), name="history") for pages in (FUNDING, PRICES)]
    while not all(one.done() for one in reading):
        assert clock.now() - began < 1200 * SECOND_NS, "history does not come to an end"
        await clock.advance(30.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return (clock.now() - began) / SECOND_NS / 60.0, waited


@pytest.mark.parametrize("count", [1, 3, 9])
async def test_history_is_read_beside_any_number_of_accounts(count: int) -> None:
    """In the time that its share takes, and a minute; the truth about accounts never waits for
    it, and the rest no longer than it may while all of it begins at once."""
    minutes, waited = await minutes_to_read(count)
    assert minutes <= ALL / min(SHARE, WITHIN - per_minute(count)) + 1.0
    assert waited[Lane.READ] == 0.0
    assert waited[Lane.BACKGROUND] <= BACKGROUND_WAIT_S_MAX


@pytest.mark.parametrize(
    ("count", "weight"),
    [(1, 136), (2, 243), (3, 349), (4, 455), (5, 502), (6, 502), (9, 502)],
)
def test_what_a_minute_of_re_reads_weighs(count: int, weight: float) -> None:
    """106 an account; from the fifth on orders, fills and the like are re-read less often."""
    assert per_minute(count) == pytest.approx(weight, abs=1.0)


@pytest.mark.parametrize(
    ("count", "period_s"), [(1, 60.0), (4, 60.0), (5, 69.0), (6, 86.0), (9, 147.0)]
)
def test_how_often_orders_are_re_read(count: int, period_s: float) -> None:
    """The stream tells their changes; truth and balances keep their ten seconds."""
    periods = {poll.name: poll.period_s for poll in make_venue(accounts=accounts(count)).polls()}
    assert periods["hyperliquid/frontendOpenOrders/a0"] == pytest.approx(period_s, rel=0.02)
    assert periods["hyperliquid/clearinghouseState/a0"] == 10.0
