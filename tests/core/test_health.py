"""A venue's score: what is told counts, what was told and is no more counts as bad."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from tests.core.desk import HL, HL_VENUE, MAIN, Desk

HEALTH = "venue_health_ratio"


def status(desk: Desk, *, healthy: bool) -> Desk:
    """The venue's own word."""
    return desk.tell(
        e.VenueStatusSeen(venue=HL, channel=f"{HL}/status", healthy=healthy, detail="")
    )


def block(desk: Desk, age_s: float) -> Desk:
    """A block of that age."""
    return desk.tell(
        e.ChainTimeSeen(
            venue=HL,
            channel=f"{HL}/blocks",
            source="node",
            time_ns=desk.now - round(age_s * 1e9),
        ),
    )


def watched() -> Desk:
    """Two feeds, a status, blocks and an account's truth; all well."""
    desk = Desk((HL, "main"))
    for name in ("bbo", "account"):
        desk.open(f"{HL}/{name}/BTC", 1.0)
    return block(status(desk, healthy=True), 1.0)


def test_all_is_well() -> None:
    """One."""
    assert watched().after(HEALTH, HL_VENUE) == pytest.approx(1.0)


def test_a_status_that_is_bad_or_missing_costs_the_same() -> None:
    """Twenty of ninety, for no account's truth was ever told here."""
    bad = status(watched(), healthy=False).after(HEALTH, HL_VENUE)
    assert bad == pytest.approx(70 / 90)
    desk = watched().at(130)
    for name in ("bbo", "account"):
        desk.alive(f"{HL}/{name}/BTC")
    assert block(desk, 1.0).after(HEALTH, HL_VENUE) == pytest.approx(70 / 90)


@pytest.mark.parametrize(
    ("age_s", "expected"), [(5.0, 1.0), (17.5, 80 / 90), (30.0, 70 / 90), (60.0, 70 / 90)]
)
def test_late_blocks(age_s: float, expected: float) -> None:
    """From five seconds on less, from thirty on nothing."""
    desk = Desk((HL, "main"))
    for name in ("bbo", "account"):
        desk.open(f"{HL}/{name}/BTC", 1.0)
    assert block(status(desk, healthy=True), age_s).after(HEALTH, HL_VENUE) == pytest.approx(
        expected
    )


def test_frames_that_cannot_be_read() -> None:
    """Five of ten in five minutes: half of ten percent."""
    desk = watched()
    for _ in range(5):
        desk.tell(e.FrameRejected(venue=HL, channel="", feed="bbo", reason="garbage", sample=b"?"))
    assert desk.after(HEALTH, HL_VENUE) == pytest.approx(85 / 90)


def test_what_a_venue_never_tells_is_left_out() -> None:
    """Nothing at all is unknown, not well."""
    desk = Desk((HL, "main"))
    assert desk.after(HEALTH, HL_VENUE) is None
    assert "nothing is known" in desk.why(HEALTH, HL_VENUE)
    assert block(desk, 17.5).after(HEALTH, HL_VENUE) == pytest.approx((10 + 10) / 30)


def requests(desk: Desk, asked: int, failed: int) -> Desk:
    """So many were sent since the last count."""
    return desk.tell(e.RequestsCounted(venue=HL, channel="", asked=asked, failed=failed))


@pytest.mark.parametrize(
    ("asked", "failed", "share", "expected"),
    [
        pytest.param(19, 19, None, 1.0, id="too few to say anything"),
        pytest.param(100, 2, 0.02, 1.0, id="two percent are usual"),
        pytest.param(100, 11, 0.11, (90 + 7.5) / 105, id="half way"),
        pytest.param(100, 20, 0.20, 90 / 105, id="a fifth is worth nothing"),
        pytest.param(100, 100, 1.0, 90 / 105, id="all of them"),
    ],
)
def test_requests_that_fail(asked: int, failed: int, share: float | None, expected: float) -> None:
    """Fifteen of a hundred and five; of ten minutes, and then it says nothing any more."""
    desk = requests(watched(), asked, failed)
    assert desk.after("request_error_ratio", HL_VENUE) == (
        None if share is None else pytest.approx(share)
    )
    assert desk.value(HEALTH, HL_VENUE) == pytest.approx(expected)
    assert desk.at(600.001).after("request_error_ratio", HL_VENUE) is None


def test_requests_of_ten_minutes_count_together() -> None:
    """What is older falls out by itself."""
    desk = requests(watched(), 50, 0)
    requests(desk.at(300), 50, 10)
    assert desk.after("request_error_ratio", HL_VENUE) == pytest.approx(0.1)
    assert desk.at(600.001).after("request_error_ratio", HL_VENUE) == pytest.approx(0.2)


def test_gaps_in_streams_cost_for_five_minutes() -> None:
    """Two of five: three fifths of five are left; a loss without a gap is no gap."""
    desk = watched()
    desk.lose(f"{HL}/bbo/BTC")
    assert desk.after("stream_gaps", HL_VENUE) == 0.0
    for _ in range(2):
        desk.lose(f"{HL}/bbo/BTC", gap=True).open(f"{HL}/bbo/BTC", 1.0)
    assert desk.after("stream_gaps", HL_VENUE) == 2.0
    assert desk.value(HEALTH, HL_VENUE) == pytest.approx((90 + 3) / 95)
    assert desk.at(300.001).after("stream_gaps", HL_VENUE) == 0.0


@pytest.mark.parametrize(
    ("took_s", "p95", "expected"),
    [
        pytest.param((0.2,) * 4, None, 1.0, id="too few to say anything"),
        pytest.param((0.2,) * 4 + (5.5,), 5.5, (90 + 5) / 100, id="of few the slowest"),
        pytest.param((0.2,) * 19 + (9.0,), 0.2, 1.0, id="one in twenty may be slow"),
        pytest.param((0.2,) * 18 + (9.0, 12.0), 9.0, (90 + 10 / 9) / 100, id="two may not"),
    ],
)
def test_orders_that_are_answered_late(
    took_s: tuple[float, ...], p95: float | None, expected: float
) -> None:
    """Ten of a hundred: all of it up to a second, nothing from ten on; of one hour."""
    desk = watched()
    for one in took_s:
        desk.tell(e.OrderAnswered(venue=HL, channel="", took_s=one))
    assert desk.after("order_answer_p95_s", HL_VENUE) == p95
    assert desk.value(HEALTH, HL_VENUE) == pytest.approx(expected)
    assert desk.at(3600.001).after("order_answer_p95_s", HL_VENUE) is None


def test_books_that_stand_still() -> None:
    """Of what we hold: BTC is old after ten seconds, another after sixty."""
    desk = Desk((HL, "main"))
    for market in ("BTC", "SOL", "ARB"):
        desk.list_market(market).context(market, mark_price=100.0, oracle_price=100.0)
        desk.top(99.0, 101.0, market)
    desk.positions(("BTC", 1), ("SOL", 1), ("ARB", 0)).money(1_000)
    assert desk.after("books_stale_ratio", HL_VENUE) == 0.0
    assert desk.at(11).after("books_stale_ratio", HL_VENUE) == pytest.approx(0.5)
    assert desk.at(66).after("books_stale_ratio", HL_VENUE) == pytest.approx(1.0)
    desk.top(99.0, 101.0).top(99.0, 101.0, "SOL")
    assert desk.at(72).after("books_stale_ratio", HL_VENUE) == 0.0


def test_without_a_book_of_what_we_hold_nothing_is_said_of_books() -> None:
    """Absent, and left out of the score."""
    desk = watched()
    assert desk.after("books_stale_ratio", HL_VENUE) is None
    assert "no book" in desk.why("books_stale_ratio", HL_VENUE)


@pytest.mark.parametrize(
    ("equity", "held", "expected"),
    [
        pytest.param(1_000.0, 10.0, 0.975, id="nearly all of it"),
        pytest.param(20.0, 10.0, -0.25, id="under initial margin"),
        pytest.param(0.0, 10.0, -1.0, id="equity gone"),
        pytest.param(-5.0, 0.0, -1.0, id="below zero"),
        pytest.param(0.0, 0.0, 0.0, id="an empty account"),
    ],
)
def test_free_collateral_over_equity(equity: float, held: float, expected: float) -> None:
    """2.5 % of 1 000 is needed; gone equity is a breach."""
    desk = Desk((HL, "main")).list_market().context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", held)).money(equity)
    assert desk.after("free_collateral_ratio", MAIN) == pytest.approx(expected)
