"""A price that its own book contradicts: the account is judged by it, the portfolio is not cut."""

from __future__ import annotations

import pytest

from monitor.core.engine import restore_snapshot
from monitor.core.measures.spec import Reading
from tests.core.desk import DMAIN, DYDX, HL, PORTFOLIO, Desk


def told(desk: Desk, at_s: float, oracle: float, book: float | None, *, size: float = 4.0) -> Desk:
    """dYdX says its oracle price twice, so that it is believed, and its book; 1 000 USD of equity
    at 100, beside 1 000 at Hyperliquid."""
    desk.at(at_s)
    for _ in range(2):
        desk.context("BTC-USD", DYDX, oracle_price=oracle)
        if book is not None:
            desk.top(book * 0.999, book * 1.001, "BTC-USD", DYDX)
    desk.positions(("BTC-USD", size), venue=DYDX).money(cash=1_000 - size * 100.0, venue=DYDX)
    desk.context(mark_price=100.0, oracle_price=100.0).positions(("BTC", 1.0)).money(1_000)
    desk.evaluate()
    return desk


def calm() -> Desk:
    """Everybody agrees on 100."""
    desk = Desk((HL, "main"), (DYDX, "main")).list_market().list_market("BTC-USD", DYDX)
    return told(desk, 0, 100.0, 100.0)


def reading(desk: Desk, name: str = "equity_usd") -> Reading:
    """Of the portfolio, present."""
    found = desk.engine.reading(name, PORTFOLIO, desk.now)
    assert found is not None, desk.why(name, PORTFOLIO)
    return found


@pytest.mark.parametrize(
    ("oracle", "book", "estimated"),
    [
        pytest.param(50.0, 100.0, True, id="a price that fell and a book that did not"),
        pytest.param(200.0, 100.0, True, id="one that rose"),
        pytest.param(50.0, 50.0, False, id="both fell: it is so"),
        pytest.param(50.0, 40.0, False, id="the book fell further: it is so, and worse"),
        pytest.param(200.0, 220.0, False, id="the book rose further"),
        pytest.param(50.0, 54.9, False, id="no further apart than a tenth"),
        pytest.param(80.0, 90.0, True, id="further apart than a tenth, and 2 % of equity"),
        pytest.param(50.0, None, False, id="nobody knows of a book"),
    ],
)
def test_equity_that_books_contradict_is_an_estimate(
    oracle: float, book: float | None, estimated: bool
) -> None:
    """Of the portfolio alone: the account's venue does margin at that price."""
    desk = told(calm(), 60, oracle, book)
    found = reading(desk)
    assert found.value == pytest.approx(2_000 + 4 * (oracle - 100.0))
    assert found.estimated is estimated
    own = desk.engine.reading("equity_usd", DMAIN, desk.now)
    assert own is not None
    assert not own.estimated


@pytest.mark.parametrize(
    ("bid", "ask", "estimated"),
    [
        pytest.param(59.0, 100.0, False, id="bids pulled, old asks rest"),
        pytest.param(None, 100.0, False, id="no bid at all"),
        pytest.param(59.0, None, False, id="no ask: the price is at the bid"),
        pytest.param(None, 50.0, False, id="offered for less: it is so, and worse"),
        pytest.param(99.0, None, True, id="bought for much more"),
        pytest.param(66.5, 120.0, False, id="no further below the bid than a tenth"),
        pytest.param(67.0, 120.0, True, id="further below the bid than a tenth"),
        pytest.param(59.0, 61.0, False, id="the book followed"),
    ],
)
def test_only_a_price_outside_its_book_is_contradicted(
    bid: float | None, ask: float | None, *, estimated: bool
) -> None:
    """100 fell to 60: a hole in the book is no word against it. 8 units of 2,000 USD."""
    desk = told(calm(), 60, 100.0, 100.0, size=8.0)
    desk.top(bid, ask, "BTC-USD", DYDX)
    told(desk, 62, 60.0, None, size=8.0)
    assert reading(desk).value == pytest.approx(2_000 - 8 * 40.0)
    assert reading(desk).estimated is estimated


def test_the_venues_own_mid_serves_where_no_book_is_told() -> None:
    """And not beside a book: the book of a moment ago is no longer one."""
    desk = calm()
    desk.at(3_600).context("BTC-USD", DYDX, mid_price=100.0)
    assert reading(told(desk, 3_600, 50.0, None)).estimated
    desk.top(49.0, 51.0, "BTC-USD", DYDX)
    assert not reading(told(desk, 3_601, 50.0, None)).estimated


def test_a_small_position_with_a_bad_price_changes_little() -> None:
    """0.7 units: less than 2 % of the book."""
    desk = told(told(calm(), 30, 100.0, 100.0, size=0.7), 60, 50.0, 100.0, size=0.7)
    assert not reading(desk).estimated


def test_neither_the_peak_nor_the_fall_of_a_bad_price_is_remembered() -> None:
    """Twice the price for a minute, and back: nothing fell."""
    desk = told(calm(), 60, 200.0, 100.0)
    assert reading(desk, "drawdown_ratio").value == 0.0
    told(desk, 120, 100.0, 100.0)
    found = reading(desk, "drawdown_ratio")
    assert (found.value, found.estimated) == (0.0, False)
    told(desk, 180, 50.0, 100.0)
    found = reading(desk, "drawdown_ratio")
    assert (found.value, found.estimated) == (pytest.approx(0.1), True)
    told(desk, 240, 50.0, 50.0)
    assert not reading(desk, "drawdown_ratio").estimated, "the book followed: it is so"


def test_what_was_agreed_on_survives_a_snapshot() -> None:
    """Another process in the middle of it says the same."""
    desk = told(calm(), 60, 50.0, 100.0)
    again = Desk(engine=restore_snapshot(desk.engine.snapshot()))
    again.now = desk.now
    for one in (desk, again):
        assert reading(told(one, 70, 50.0, 100.0)).estimated
    assert desk.engine.snapshot() == again.engine.snapshot()
