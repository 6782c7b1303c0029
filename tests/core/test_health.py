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
