"""The re-reads of one to nine accounts with the real budget, in virtual time: history is read to
its end beside them, and none of them waits for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from monitor.core.killswitch.policy import KillPolicy
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
SHARE = 216.0  # a minute: three tenths of the 720 that reads may spend


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


Waited = dict[Lane, float]


@asynccontextmanager
async def reads(
    count: int, budget: RequestBudget, clock: ManualClock
) -> AsyncIterator[tuple[Waited, list[asyncio.Task[None]]]]:
    """All re-reads of so many accounts, and the past: the longest waits, s, and who reads it."""
    waited = dict.fromkeys(Lane, 0.0)

    async def steady(period_s: float, weight: float) -> None:
        lane = Lane.BACKGROUND if period_s >= BACKGROUND_PERIOD_S else Lane.READ
        while True:
            due = clock.now()
            await budget.acquire(weight, lane=lane, wait_s_max=BACKGROUND_WAIT_S_MAX)
            waited[lane] = max(waited[lane], (clock.now() - due) / SECOND_NS)
            await clock.sleep(period_s - (clock.now() - due) / SECOND_NS)

    async def history(pages: tuple[float, ...]) -> None:
        for weight in pages * LEADERS:
            await budget.acquire(weight, lane=Lane.HISTORY, wait_s_max=HISTORY_WAIT_S_MAX)

    tasks = [
        asyncio.create_task(steady(period, weight), name=f"every {period:g} s")
        for period, weights in plan(count).items()
        for weight in weights
    ]
    past = [asyncio.create_task(history(pages), name="history") for pages in (FUNDING, PRICES)]
    try:
        yield waited, past
    finally:
        for task in (*tasks, *past):
            task.cancel()
        await asyncio.gather(*tasks, *past, return_exceptions=True)


async def minutes_to_read(count: int) -> tuple[float, Waited]:
    """Until all history is read, and the longest that anything else waited, seconds by lane."""
    clock = ManualClock()
    budget = RequestBudget(BUDGET, clock)
    began = clock.now()
    async with reads(count, budget, clock) as (waited, past):
        while not all(one.done() for one in past):
            assert clock.now() - began < 1200 * SECOND_NS, "history does not come to an end"
            await clock.advance(30.0)
    return (clock.now() - began) / SECOND_NS / 60.0, waited


@pytest.mark.parametrize(("count", "most"), [(1, 8.0), (3, 9.0), (9, 12.0)])
async def test_history_is_read_beside_any_number_of_accounts(count: int, most: float) -> None:
    """In little more than the time that its share takes, since two long pages do not fill it; the
    truth about accounts never waits for it, and the rest no longer than it may while all of it
    begins at once."""
    minutes, waited = await minutes_to_read(count)
    assert ALL / SHARE <= minutes <= most
    assert waited[Lane.READ] == 0.0
    assert waited[Lane.BACKGROUND] <= BACKGROUND_WAIT_S_MAX


LOOK = 2 * sum(map(request_weight, ("clearinghouseState", "frontendOpenOrders"))) + request_weight(
    "twapHistory", 20
)  # one account with positions on two dexes, as the kill path reads it
CUT = 6 * LOOK  # two accounts: before the cancels, after them, and after the orders
POLICY = KillPolicy()
WAIT_S_MAX = 20.0  # what a command of the kill path may take


@pytest.mark.parametrize("count", [2, 9])
@pytest.mark.parametrize("at_s", range(120, 180, 10))
async def test_a_cut_never_finds_the_budget_spent(count: int, at_s: float) -> None:
    """Whenever it begins, two minutes after a start, while everything is read: the first round
    waits for nothing, and what all slices of a dear plan read comes back before a command has to
    give up."""
    clock = ManualClock()
    budget = RequestBudget(BUDGET, clock)
    async with reads(count, budget, clock):
        await clock.advance(at_s)
        began = clock.now()
        await budget.acquire(CUT, lane=Lane.URGENT)
        assert clock.now() == began
        for _ in range(POLICY.slices):
            await clock.advance(POLICY.slice_pause_s)
            asked = asyncio.create_task(
                budget.acquire(2 * LOOK, lane=Lane.URGENT, wait_s_max=WAIT_S_MAX), name="slice"
            )
            while not asked.done():
                await clock.advance(1.0)
            await asked


@pytest.mark.parametrize(
    ("count", "weight"),
    [(1, 136), (2, 243), (3, 349), (4, 401), (5, 401), (6, 401), (9, 401)],
)
def test_what_a_minute_of_re_reads_weighs(count: int, weight: float) -> None:
    """106 an account; from the fourth on orders, fills and the like are re-read less often."""
    assert per_minute(count) == pytest.approx(weight, abs=1.0)


@pytest.mark.parametrize(
    ("count", "period_s"), [(1, 60.0), (3, 60.0), (4, 70.0), (5, 92.0), (6, 117.0), (9, 211.0)]
)
def test_how_often_orders_are_re_read(count: int, period_s: float) -> None:
    """The stream tells their changes; truth and balances keep their ten seconds."""
    periods = {poll.name: poll.period_s for poll in make_venue(accounts=accounts(count)).polls()}
    assert periods["hyperliquid/frontendOpenOrders/a0"] == pytest.approx(period_s, rel=0.02)
    assert periods["hyperliquid/clearinghouseState/a0"] == 10.0
