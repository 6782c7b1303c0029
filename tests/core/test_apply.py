"""``apply``: complete, and careful with what it believes."""

from __future__ import annotations

import typing
from decimal import Decimal

import msgspec
import pytest

from monitor.core import events as e
from monitor.core.state.apply import NEWS, OTHERS
from monitor.core.types import SECOND_NS, Side
from tests.core.desk import BTC, HL, MAIN, START_NS, Desk


def test_every_event_has_exactly_one_handler() -> None:
    """The two tables together are the Event union, no more and no less."""
    union = set(typing.get_args(e.Event))
    assert set(NEWS) | set(OTHERS) == union
    assert not set(NEWS) & set(OTHERS)


def test_events_of_the_news_table_have_a_channel() -> None:
    """``apply`` proves their channel alive before it hands them on."""
    assert all("channel" in kind.__struct_fields__ for kind in NEWS)  # type: ignore[attr-defined]  # Structs


def price_of(desk: Desk, *prices: float) -> float | None:
    """The mark after these marks, one second apart, and nothing else told."""
    for second, price in enumerate(prices):
        desk.at(second).context(mark_price=price)
    return desk.after("mark_price")


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        pytest.param((100.0, 125.0), 125.0, id="a quarter up is a move"),
        pytest.param((100.0, 75.0), 75.0, id="a quarter down is a move"),
        pytest.param((100.0, 126.0), None, id="more than a quarter up is suspect"),
        pytest.param((100.0, 74.0), None, id="more than a quarter down is suspect"),
        pytest.param((100.0, 1000.0), None, id="a scale change is suspect"),
        pytest.param((100.0, 1000.0, 1010.0), 1010.0, id="a second message confirms it"),
        pytest.param((100.0, 1000.0, 1060.0), None, id="a second that disagrees does not"),
        pytest.param((100.0, 1000.0, 101.0), 101.0, id="back at the old price is believed"),
        pytest.param((100.0, 0.0), None, id="zero is never a price"),
        pytest.param((100.0, -5.0), None, id="nor is a negative one"),
        pytest.param((100.0, float("nan")), None, id="nor is NaN"),
        pytest.param((100.0, float("inf")), None, id="nor is infinity"),
        pytest.param((100.0, 0.0, 0.0), None, id="two zeros confirm nothing"),
        pytest.param((100.0, 0.0, 100.0), 100.0, id="after a zero the old price is believed"),
        pytest.param((0.0, 100.0), 100.0, id="a first price after a zero"),
    ],
)
def test_suspect_prices_are_absent(prices: tuple[float, ...], expected: float | None) -> None:
    """A price that jumps is absent, and the old one is not served meanwhile."""
    assert price_of(Desk().list_market(), *prices) == expected


def test_another_source_confirms_a_jump() -> None:
    """A mark that jumps to where the oracle already is needs no second message."""
    desk = Desk().list_market().context(oracle_price=130.0).context(mark_price=100.0)
    assert desk.at(1).context(mark_price=131.0).after("mark_price") == 131.0


def test_the_same_message_confirms_nothing() -> None:
    """Mark and oracle that jump together in one message may be one scale error."""
    desk = Desk().list_market().context(mark_price=100.0, oracle_price=100.0)
    desk.at(1).context(mark_price=1000.0, oracle_price=1000.0)
    assert desk.after("mark_price") is None
    assert desk.value("oracle_price") is None
    assert desk.engine.state.suspects_total == 2
    assert "suspect" in desk.why("mark_price")


def said_at(venue_time_ns: int | None, **numbers: float) -> e.MarketContextSeen:
    """A context that states all it ever states, as of the venue's time."""
    return e.MarketContextSeen(
        venue=HL,
        channel=f"{HL}/ctx/BTC",
        market="BTC",
        venue_time_ns=venue_time_ns,
        complete=True,
        **numbers,  # type: ignore[arg-type]  # names of float fields
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(((10.0, 100.0), (11.0, 101.0)), 101.0, id="in order"),
        pytest.param(((10.0, 100.0), (9.0, 99.0)), 100.0, id="one that comes late"),
        pytest.param(((10.0, 100.0), (10.0, 99.0)), 99.0, id="of the same instant"),
        pytest.param(((10.0, 100.0), (None, 99.0)), 99.0, id="one without a time"),
        pytest.param(((None, 100.0), (9.0, 99.0)), 99.0, id="after one without a time"),
        pytest.param(
            ((10.0, 100.0), (9.0, 99.0), (11.0, 101.0)), 101.0, id="what follows one that was late"
        ),
        pytest.param(((62.0, 100.0), (1.5, 101.0)), 101.0, id="after a clock far ahead"),
        pytest.param(((61.0, 100.0), (2.0, 101.0)), 100.0, id="after a clock ahead in reason"),
    ],
)
def test_contexts_are_taken_in_the_venues_order(
    said: tuple[tuple[float | None, float], ...], expected: float
) -> None:
    """An older one changes nothing; a clock more than a minute ahead orders by arrival."""
    desk = Desk().list_market()
    for second, (at, price) in enumerate(said, start=1):
        when = None if at is None else START_NS + round(at * SECOND_NS)
        desk.at(second).tell(said_at(when, mark_price=price))
    assert desk.after("mark_price") == expected


def test_one_that_comes_late_unsays_nothing() -> None:
    """What a late context did not say stays known, rates and interest included, and it asks for
    no evaluation; that it came proves its channel all the same."""
    rates = {"predicted_funding_rate_hourly": 1e-5, "open_interest_base": 7.0}
    desk = Desk().list_market().at(1)
    newest = desk.now
    desk.tell(said_at(newest, mark_price=100.0, **rates)).evaluate()
    desk.at(2).tell(said_at(newest - 1, oracle_price=90.0))
    assert not desk.engine.state.dirty
    assert desk.engine.state.channels[f"{HL}/ctx/BTC"].progress_ns == desk.now
    for name, value in (
        ("mark_price", 100.0),
        ("oracle_price", None),
        ("funding_rate_hourly", 1e-5),
        ("open_interest_base", 7.0),
    ):
        assert desk.after(name) == value


def test_what_is_unsaid_after_one_that_came_late_is_unknown() -> None:
    """A late context takes nothing from its channel: what that no longer says is not known."""
    desk = Desk().list_market().at(1)
    first = desk.now
    desk.tell(said_at(first, mark_price=100.0, predicted_funding_rate_hourly=1e-5)).evaluate()
    desk.at(2).tell(said_at(first - 1, mark_price=90.0)).evaluate()
    desk.at(3).tell(said_at(desk.now))
    assert desk.after("mark_price") is None
    assert desk.after("funding_rate_hourly") is None


@pytest.mark.parametrize(
    ("bid", "ask", "name", "expected"),
    [
        pytest.param(99.0, 101.0, "mid_price", 100.0, id="mid of a book"),
        pytest.param(99.0, 101.0, "spread_ratio", 0.02, id="spread of a book"),
        pytest.param(None, 101.0, "bid_price", None, id="nobody bids"),
        pytest.param(None, 101.0, "ask_price", 101.0, id="somebody offers"),
        pytest.param(None, 101.0, "spread_ratio", None, id="one side is no spread"),
        pytest.param(102.0, 101.0, "spread_ratio", None, id="a crossed book is no spread"),
        pytest.param(0.0, 101.0, "bid_price", None, id="a bid of zero is suspect"),
        pytest.param(500.0, 501.0, "bid_price", None, id="a book that jumps is suspect"),
        pytest.param(float("nan"), 101.0, "ask_price", None, id="a NaN taints the book"),
        pytest.param(None, None, "mid_price", None, id="an empty book"),
    ],
)
def test_books(bid: float | None, ask: float | None, name: str, expected: float | None) -> None:
    """A side that is empty or suspect is absent, never zero and never the last one."""
    desk = Desk().list_market().top(99.5, 100.5).at(1).top(bid, ask)
    found = desk.after(name)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_jumping_book_is_believed_the_second_time() -> None:
    """Two messages agree."""
    desk = Desk().list_market().top(99.0, 101.0).at(1).top(199.0, 201.0).at(2).top(200.0, 202.0)
    assert desk.after("mid_price") == pytest.approx(201.0)


def test_depth_of_another_band_is_not_the_measure() -> None:
    """Only 25 bp is what ``bid_depth_usd`` means."""
    desk = Desk().list_market()
    for band in (0.01, 0.0025):
        desk.tell(
            e.DepthSeen(
                venue=HL,
                channel=f"{HL}/l2Book/BTC",
                market="BTC",
                band_ratio=band,
                bid_depth_usd=band * 1e6,
                ask_depth_usd=None,
            ),
        )
    assert desk.after("bid_depth_usd") == pytest.approx(2500.0)
    assert desk.value("ask_depth_usd") is None
    assert "25 bp" in desk.why("ask_depth_usd")


def test_trades_and_bars_prove_that_their_channel_lives() -> None:
    """No measure reads them: nothing else changes, and no market is made for one."""
    desk = Desk().list_market()
    markets = dict(desk.engine.state.venues[HL].markets)
    before = msgspec.msgpack.encode(markets)
    desk.tell(
        e.LastTradeSeen(
            venue=HL,
            channel=f"{HL}/trades/BTC",
            market="BTC",
            last_price=100.0,
            size=1.0,
            side=Side.SELL,
            liquidation=True,
        ),
    )
    desk.tell(
        e.CandleSeen(
            venue=HL,
            channel=f"{HL}/candle/ETH",
            market="ETH",
            started_at_ns=60,
            interval_s=60,
            open=1.0,
            high=2.0,
            low=1.0,
            close=2.0,
            volume_base=1.0,
        ),
    )
    state = desk.engine.state
    assert msgspec.msgpack.encode(state.venues[HL].markets) == before
    for name in (f"{HL}/trades/BTC", f"{HL}/candle/ETH"):
        assert state.channels[name].progress_ns == desk.now


def test_orders_come_and_go() -> None:
    """Deltas add and remove; a complete list replaces."""

    def order(order_id: str, *, is_open: bool = True) -> e.OrderReport:
        return e.OrderReport(
            order_id=order_id, market="BTC", side=Side.BUY, size=Decimal(1), open=is_open
        )

    def report(*orders: e.OrderReport, complete: bool) -> e.OrdersReported:
        return e.OrdersReported(
            venue=HL,
            channel=f"{HL}/orders/main",
            account="main",
            source="stream",
            complete=complete,
            orders=orders,
        )

    desk = Desk((HL, "main"))
    assert desk.after("open_orders_count", MAIN) is None
    desk.tell(report(order("a"), order("b"), complete=True))
    assert desk.after("open_orders_count", MAIN) == 2.0
    desk.tell(report(order("a", is_open=False), order("c"), order("d"), complete=False))
    assert desk.after("open_orders_count", MAIN) == 3.0
    desk.tell(report(complete=True))
    assert desk.after("open_orders_count", MAIN) == 0.0


def test_a_market_never_listed_still_has_prices() -> None:
    """Data before the listing is not lost."""
    desk = Desk().context(mark_price=100.0)
    assert desk.after("mark_price", BTC) == 100.0
