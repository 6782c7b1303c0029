"""What is kept of books: an hour of depth, a month of spreads, and what venues asked before."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.settings import EngineSettings
from monitor.core.state.book_history import SPREAD_HOURS, SPREAD_HOURS_MIN, BookHistory
from monitor.core.state.model import MarginTerms
from monitor.core.types import SECOND_NS
from tests.core.desk import BTC, HL, TIERS, Desk

HOUR_S = 3600


def history(desk: Desk) -> BookHistory:
    """Of BTC."""
    return desk.engine.state.venues[HL].markets["BTC"].books


def quote(desk: Desk, first_hour: int, hours: int, spread: float) -> Desk:
    """A book of that spread, told every five minutes; the clock starts at a full hour."""
    for step in range(first_hour * 12, (first_hour + hours) * 12 + 1):
        desk.at(step * 300).top(100.0, 100.0 + 100.0 * spread)
    return desk


def deepen(desk: Desk, at_s: float, bid: float | None, ask: float | None) -> Desk:
    """What rests within 25 bp."""
    return desk.at(at_s).tell(
        e.DepthSeen(
            venue=HL,
            channel="hyperliquid/book/BTC",
            market="BTC",
            band_ratio=0.0025,
            bid_depth_usd=bid,
            ask_depth_usd=ask,
        ),
    )


def test_a_month_of_spreads_by_the_hour() -> None:
    """Known from a day on; what is older than a month is forgotten."""
    desk = quote(Desk(), 0, SPREAD_HOURS_MIN - 1, 0.001)
    assert history(desk).spread_median is None
    quote(desk, SPREAD_HOURS_MIN - 1, 2, 0.001)
    assert history(desk).spread_median == pytest.approx(0.001, rel=1e-3)
    desk.at((SPREAD_HOURS + 60) * HOUR_S).top(100.0, 100.1)
    assert history(desk).hours == []
    assert history(desk).spread_median is None


def test_bursts_and_wild_books_weigh_nothing() -> None:
    """One sample per five minutes, none of a crossed book, none of one long untold."""
    desk = Desk()
    for step in range(100):
        desk.at(step * 0.1).top(100.0, 101.0)
    assert len(history(desk).spreads) <= 1
    desk.at(400).top(102.0, 101.0)
    desk.at(800).top(100.0, 101.0)
    desk.at(3000).top(100.0, 101.0)
    assert len(history(desk).spreads) <= 2


def test_an_hour_of_depth_by_the_minute() -> None:
    """Known after half of it; old minutes leave."""
    desk = Desk()
    for minute in range(29):
        deepen(desk, minute * 60, 1e6, 2e6)
    assert history(desk).bid_median_usd is None
    deepen(desk, 29 * 60, None, 2e6)
    assert history(desk).bid_median_usd is None
    deepen(desk, 30 * 60, 1e6, 2e6)
    deepen(desk, 30 * 60 + 1, 5.0, 5.0)
    known = history(desk)
    assert (known.bid_median_usd, known.ask_median_usd) == (1e6, 2e6)
    deepen(desk, 95 * 60, 1e6, 2e6)
    assert len(history(desk).minutes) == 1
    assert history(desk).bid_median_usd is None


def memories_of(desk: Desk) -> dict[str, bytes]:
    """What would be kept of spreads now."""
    desk.evaluate()
    return {name: one for name, one in desk.engine.memories() if name.startswith("spreads|")}


def restarted(desk: Desk, after_s: float) -> Desk:
    """Another process on what this one kept, so long after."""
    engine = Engine(EngineSettings())
    engine.restore((), desk.engine.memories(), stopped_ns=desk.now)
    again = Desk(engine=engine)
    again.now = desk.now + round(after_s * SECOND_NS)
    return again


def usual(desk: Desk) -> float | str:
    """The spread over its usual one, or why that is not known."""
    desk.evaluate()
    name = "spread_of_usual_ratio"
    found = desk.engine.reading(name, BTC, desk.now)
    return found.value if found else desk.engine.absence(name, BTC, desk.now)


def test_spreads_survive_a_restart() -> None:
    """The first book is judged against the month before it; only the hour under way is lost."""
    desk = quote(Desk(), 0, SPREAD_HOURS_MIN + 30, 0.002)
    desk.at((SPREAD_HOURS_MIN + 30) * HOUR_S + 3500).top(100.0, 100.2).evaluate()
    before = history(desk)
    again = restarted(desk, 60.0).top(100.0, 100.6)
    assert usual(again) == pytest.approx(3.0, rel=0.01)
    assert history(again).hours == before.hours
    assert history(again).spread_median == before.spread_median
    assert again.engine.state.kept_spreads == {}
    assert usual(restarted(Desk(), 0.0).top(100.0, 100.6)) == (
        f"0 of {SPREAD_HOURS_MIN} hours of the spread are known"
    )


def test_a_month_old_spread_is_forgotten_over_a_restart_too() -> None:
    """What was usual then says nothing now."""
    desk = quote(Desk(), 0, SPREAD_HOURS_MIN + 2, 0.002)
    desk.at((SPREAD_HOURS_MIN + 2) * HOUR_S + 3500).evaluate()
    assert isinstance(usual(restarted(desk, 0.0).top(100.0, 100.6)), float)
    later = restarted(desk, (SPREAD_HOURS + 30) * HOUR_S).top(100.0, 100.6)
    assert usual(later) == f"0 of {SPREAD_HOURS_MIN} hours of the spread are known"
    assert history(later).hours == []


def test_spreads_are_packed_anew_once_an_hour() -> None:
    """The store writes what changed: a book that is told every second must not be."""
    desk = quote(Desk(), 0, SPREAD_HOURS_MIN + 2, 0.002)
    packed = set()
    for minute in range(61):  # from a full hour to the next
        desk.at((SPREAD_HOURS_MIN + 2) * HOUR_S + minute * 60 + 1)
        desk.top(100.0, 100.0 + minute / 60)
        packed |= set(memories_of(desk).values())
    assert len(packed) == 1
    desk.at((SPREAD_HOURS_MIN + 3) * HOUR_S + 3500)
    assert not packed & set(memories_of(desk).values())


def test_history_survives_a_snapshot() -> None:
    """And goes on from there alike."""
    desk = quote(Desk(), 0, SPREAD_HOURS_MIN + 1, 0.002)
    deepen(desk, 2e5, 1e6, 2e6).evaluate()
    again = Desk(engine=restore_snapshot(desk.engine.snapshot()))
    assert history(again) == history(desk)


def test_what_a_venue_asked_before() -> None:
    """The first listing and one that says the same are no change."""
    desk = Desk().list_market().at(10).list_market()
    market = desk.engine.state.venues[HL].markets["BTC"]
    assert market.terms_changed_ns == 0
    desk.at(20).list_market(tiers=(e.MarginTier(0.0, 0.05, 0.025),))
    assert market.terms_changed_ns == desk.now
    assert market.terms == MarginTerms(TIERS, None, None, None)
