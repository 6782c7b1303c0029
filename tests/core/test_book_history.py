"""What is kept of books: an hour of depth, a month of spreads, and what venues asked before."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.engine import restore_snapshot
from monitor.core.state.book_history import SPREAD_HOURS, SPREAD_HOURS_MIN, BookHistory
from monitor.core.state.model import MarginTerms
from tests.core.desk import HL, TIERS, Desk

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
