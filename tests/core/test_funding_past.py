"""Funding of before the last month: the index of ninety days is found from it, then it goes."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.engine import Engine
from monitor.core.formulas.funding_stress import PAST_HOURS, PEAK_DAYS, WINDOW_HOURS
from monitor.core.settings import EngineSettings
from monitor.core.state.funding_past import MARKETS_MAX, PastFunding
from monitor.core.state.series import HOUR_NS
from monitor.core.warm_up import FUNDING, PAST, PastPages
from tests.core.desk import DYDX, HL, PORTFOLIO
from tests.core.stress_desk import CALM, FLOOR, StressDesk

PEAK, DAYS = "funding_stress_peak_90d", "funding_stress_peak_day_count"
BASE = 0.1095 / 8760
MINUTES_NS = 60 * 10**9
STORM_DAYS_AGO = 80


def told(desk: StressDesk, first: int, last: int) -> StressDesk:
    """All markets' settlements between two hours: calm, but for three hours of a storm."""
    storm = range(desk.hour - STORM_DAYS_AGO * 24, desk.hour - STORM_DAYS_AGO * 24 + 3)
    for one in CALM:
        rates = tuple(
            (hour * HOUR_NS, BASE + 60 * FLOOR if hour in storm else BASE)
            for hour in range(first, last + 1)
        )
        channel = f"{HL}/rest.history/past"
        desk.tell(e.FundingHistorySeen(venue=HL, channel=channel, market=one.market, rates=rates))
    return desk


def progress(desk: StressDesk, waiting: int, *, venue: str = HL, kind: str = PAST) -> StressDesk:
    """So many pages are still to be read."""
    return desk.tell(
        e.HistoryProgressed(
            venue=venue, channel=f"{venue}/rest.history/past", kind=kind, wanted=5,
            unread=tuple(str(page) for page in range(waiting)), waiting=waiting,
            read=5 - waiting, began_ns=desk.now,
        )
    )  # fmt: skip


def read_all(desk: StressDesk) -> StressDesk:
    """Pages of 500 hours, the newest first, each with a few evaluations after it."""
    last = desk.hour - WINDOW_HOURS - 1
    while last >= desk.hour - PAST_HOURS:
        told(desk, max(last - 499, desk.hour - PAST_HOURS), last)
        last -= 500
        progress(desk, 0 if last < desk.hour - PAST_HOURS else 1)
    return desk


def test_ninety_days_are_found_and_what_only_they_needed_is_forgotten() -> None:
    """A month is known at first: three weeks of index. Then a storm of eighty days ago."""
    desk = StressDesk(*CALM)
    desk.until(desk.now + 10 * MINUTES_NS)
    assert desk.value(PEAK, PORTFOLIO) == 0.0
    assert desk.value(DAYS, PORTFOLIO) == pytest.approx(22.0, abs=1)
    read_all(desk)
    assert len(desk.engine.state.stress.deep) == len(CALM)
    desk.until(desk.now + 15 * MINUTES_NS)
    assert desk.value(DAYS, PORTFOLIO) == PEAK_DAYS
    # A level of 168 % a year in all markets, unheard of for each of them, come within an hour.
    assert desk.value(PEAK, PORTFOLIO) == pytest.approx(90.0)
    assert not desk.engine.state.stress.deep
    cell = desk.engine.state.stress.highest(desk.hour)
    assert max(cell, key=lambda day: cell[day]) == (desk.hour - STORM_DAYS_AGO * 24) // 24


def test_a_restart_keeps_the_days_that_were_found() -> None:
    """And does not spoil them with the month that it reads again."""
    desk = read_all(StressDesk(*CALM))
    desk.until(desk.now + 20 * MINUTES_NS)
    again = StressDesk(*CALM, history=0)
    again.engine = Engine(EngineSettings())
    again.engine.restore((), desk.engine.memories(), stopped_ns=desk.now)
    again.now = desk.now
    for one in CALM:
        again.join(one)  # with its last month
    again.until(again.now + 10 * MINUTES_NS)
    assert again.value(PEAK, PORTFOLIO) == pytest.approx(90.0)
    assert again.value(DAYS, PORTFOLIO) == PEAK_DAYS


def test_while_pages_are_to_come_what_was_read_is_kept() -> None:
    """The next page's days are judged against it."""
    desk = StressDesk(*CALM)
    told(desk, desk.hour - 1220, desk.hour - 721)
    progress(desk, 3)
    desk.until(desk.now + 10 * MINUTES_NS)
    assert len(desk.engine.state.stress.deep) == len(CALM)
    assert 35.0 < (desk.value(DAYS, PORTFOLIO) or 0.0) < 60.0


def test_what_was_read_is_kept_for_a_venue_that_has_not_begun() -> None:
    """It still reads its last month: its older days will be judged with the other's."""
    desk = StressDesk(*CALM)
    progress(desk, 3, venue=DYDX, kind=FUNDING)
    read_all(desk)
    desk.until(desk.now + 20 * MINUTES_NS)
    assert desk.value(DAYS, PORTFOLIO) == PEAK_DAYS
    assert len(desk.engine.state.stress.deep) == len(CALM)
    progress(desk, 0, venue=DYDX)
    desk.until(desk.now + 10 * MINUTES_NS)
    assert not desk.engine.state.stress.deep


def test_what_rests_on_more_stays() -> None:
    """A day found again from less of its window is not found."""
    memory = StressDesk(*CALM, history=0).engine.state.stress
    memory.find(7, 50.0, 3_000)
    memory.find(7, 90.0, 2_999)
    assert memory.found[7] == (50.0, 3_000)
    memory.find(7, 40.0, 3_000)
    assert memory.found[7] == (40.0, 3_000)


def test_markets_beyond_the_largest_are_not_kept() -> None:
    """Bounded, whatever a venue tells."""
    desk = StressDesk(*CALM)
    for number in range(MARKETS_MAX + 9):
        name = f"M{number}"
        desk.list_market(name)
        rates = tuple(((desk.hour - back) * HOUR_NS, BASE) for back in range(900, -1, -1))
        desk.tell(e.FundingHistorySeen(venue=HL, channel=f"{HL}/h/past", market=name, rates=rates))
    deep = desk.engine.state.stress.deep
    assert len(deep) == MARKETS_MAX
    assert {len(one.rates) for one in deep.values()} == {4 * (901 - 744)}


def test_settlements_in_bytes() -> None:
    """Gaps are unknown, what is known stays, and both ends grow."""
    past = PastFunding()
    past.put({10: 0.5, 12: 0.25})
    past.put({10: 9.0, 8: 1.0, 13: float("nan")})
    assert past.slice(7, 14) == [None, 1.0, None, 0.5, None, 0.25, None, None]
    past.put({})
    assert (past.first, past.last) == (8, 12)


def test_pages_are_planned_newest_first_and_end_at_the_edge() -> None:
    """One of each market, then the next older; a market without older ones is asked no more."""
    pages = PastPages(HL, f"{HL}/past", 1000)
    assert not pages.planned
    assert pages.done(more=True) == ()
    now = 500_000 * HOUR_NS
    pages.plan(("A", "B"), now)
    asked = []
    while (page := pages.page) is not None:
        asked.append((page.market, 500_000 - page.last, 500_000 - page.first))
        (news,) = pages.done(more=page.market == "A")
    edge = PAST_HOURS
    assert asked == [("A", 721, 1720), ("B", 721, 1720), ("A", 1721, 2720), ("A", 2721, edge)]
    assert (news.kind, news.wanted, news.unread, news.waiting) == (PAST, 6, (), 0)
