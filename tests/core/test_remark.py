"""Dark venues: the portfolio re-marks them at their peers' prices, says so, and nothing is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.decision import ActionLevel, Decision
from monitor.core.engine import restore_snapshot
from monitor.core.measures.spec import Reading
from monitor.core.types import AccountMode, position_subject
from tests.core.desk import DMAIN, DYDX, HL, HL_VENUE, MAIN, PORTFOLIO, Desk

NAMES = ("net_exposure_usd", "gross_exposure_usd", "equity_usd", "leverage", "drawdown_ratio")
RULES = """
- id: falling
  summary: falling
  for_each: portfolio
  when: drawdown_ratio >= 0.05
  confirm: {need: 2, of: 2, apart: 20s}
  until: drawdown_ratio <= 0.02
  reentry: drawdown_ratio <= 0.02
  severity: critical
  do: {level: cut, gross_to: 0.70}
  scope: portfolio
"""


def book(*, hl_size: float = 10.0, dydx_size: float = -4.0) -> Desk:
    """Long BTC on one venue, short on another, 1 000 of equity each, at 100."""
    desk = Desk((HL, "main"), (DYDX, "main")).list_market().list_market("BTC-USD", DYDX)
    desk.context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", hl_size)).money(1_000)
    told(desk, 0, 100.0, dydx_size)
    desk.evaluate()
    return desk


def told(desk: Desk, at_s: float, price: float, size: float = -4.0) -> Desk:
    """The living venue goes on: its short and its oracle."""
    desk.at(at_s).context("BTC-USD", DYDX, oracle_price=price)
    desk.positions(("BTC-USD", size), venue=DYDX)
    return desk.money(cash=1_000 - size * 100.0, venue=DYDX)


def dark(price: float = 100.0, at_s: float = 60.0) -> Desk:
    """Hyperliquid told nothing for a minute; the peer's price is this."""
    desk = told(book(), at_s, price)
    desk.evaluate()
    return desk


def reading(desk: Desk, name: str) -> Reading:
    """Of the portfolio, present."""
    found = desk.engine.reading(name, PORTFOLIO, desk.now)
    assert found is not None, desk.why(name, PORTFOLIO)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("net_exposure_usd", 540.0),
        ("gross_exposure_usd", 1_260.0),
        ("equity_usd", 1_000 - 100 + 1_000 + 40),
        ("leverage", 1_260 / 1_940),
        ("drawdown_ratio", 60 / 2_000),
    ],
)
def test_a_dark_venue_is_valued_at_its_peers_price(name: str, expected: float) -> None:
    """BTC at 90: the long loses 100, the short makes 40. Only the portfolio says so."""
    desk = dark(90.0)
    found = reading(desk, name)
    assert found.value == pytest.approx(expected)
    assert found.estimated
    if name != "leverage":
        assert found.as_of_ns == desk.ns(0)
    assert desk.value(name, MAIN) is None
    assert desk.value(name, HL_VENUE) is None
    assert desk.value(name, DMAIN) is not None


def test_exact_again_at_once() -> None:
    """When the venue tells its own."""
    desk = dark(90.0)
    desk.context(mark_price=91.0, oracle_price=91.0).positions(("BTC", 10)).money(910)
    desk.evaluate()
    for name in NAMES:
        assert not reading(desk, name).estimated, name
    assert reading(desk, "equity_usd").value == pytest.approx(910 + 1_040)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(lambda desk: desk.at(200), "price", id="no peer is fresh either"),
        pytest.param(
            lambda desk: told(desk, 86_401.0, 100.0), "more than a day ago", id="dark for a day"
        ),
        pytest.param(
            lambda desk: desk.context("BTC-USD", DYDX, oracle_price=0.001).context(
                "BTC-USD", DYDX, oracle_price=0.001
            ),
            "something else",
            id="a peer that counts in thousands",
        ),
    ],
)
def test_what_cannot_be_re_marked_is_unknown(spoil: object, why: str) -> None:
    """As before."""
    desk = dark()
    assert callable(spoil)
    spoil(desk).evaluate()
    assert desk.value("net_exposure_usd", PORTFOLIO) is None
    assert why in desk.why("gross_exposure_usd", PORTFOLIO)


def test_an_account_that_never_spoke_stays_unknown() -> None:
    """Nothing known is nothing to re-mark; nor is an equity that could not be read."""
    desk = Desk((HL, "main"), (DYDX, "main")).list_market("BTC-USD", DYDX)
    told(desk, 0, 100.0).evaluate()
    assert desk.value("equity_usd", PORTFOLIO) is None
    assert "never known" in desk.why("equity_usd", PORTFOLIO)
    desk = dark()
    desk.mode(AccountMode.UNREADABLE, reason="mode foo").evaluate()
    assert desk.value("equity_usd", PORTFOLIO) is None
    assert desk.value("gross_exposure_usd", PORTFOLIO) == pytest.approx(1_400.0)


def test_the_dark_side_of_an_oracle_venue() -> None:
    """Its equity is cash and positions at the peer's price."""
    desk = book()
    desk.at(60).context(mark_price=90.0, oracle_price=90.0).positions(("BTC", 10)).money(900)
    desk.evaluate()
    assert reading(desk, "equity_usd").value == pytest.approx(900 + 1_400 - 4 * 90)
    assert reading(desk, "equity_usd").estimated


def test_an_estimate_is_no_peak() -> None:
    """Equity that only seemed higher must not look like a loss later."""
    desk = dark(120.0)
    assert reading(desk, "equity_usd").value == pytest.approx(2_120.0)
    assert reading(desk, "drawdown_ratio").value == 0.0
    told(desk, 61, 100.0).context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 10)).money(1_000).evaluate()
    assert reading(desk, "drawdown_ratio").value == 0.0
    assert not reading(desk, "drawdown_ratio").estimated


def fall(desk: Desk) -> list[Decision]:
    """BTC falls to 80 on the living venue, seen twice."""
    return [told(desk, at_s, 80.0).evaluate() for at_s in (60, 85)]


def test_estimates_page_and_hold_and_never_cut() -> None:
    """The cut is asked for when the venue itself confirms, and only then; an estimate that looks
    better ends nothing, and permits nobody back in."""
    desk = book().load(RULES)
    desk.evaluate()
    first, second = fall(desk)
    assert first.transitions[0].after.value == "pending"
    assert second.transitions[0].after.value == "firing"
    (request,) = second.kill_requests
    assert (request.level, request.gross_to_ratio) == (ActionLevel.HOLD, None)
    assert request.capped_by_estimate
    assert told(desk, 86, 100.0).evaluate().transitions == ()
    told(desk, 87, 80.0).context(mark_price=80.0, oracle_price=80.0)
    desk.positions(("BTC", 10)).money(800)
    (request,) = desk.evaluate().kill_requests
    assert (request.level, request.gross_to_ratio) == (ActionLevel.CUT, 0.70)
    told(desk, 91, 100.0).context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 10)).money(1_000).evaluate()
    assert desk.engine.permits_reentry("falling", PORTFOLIO, desk.now)
    told(desk, 140, 100.0).evaluate()
    assert reading(desk, "drawdown_ratio").estimated
    assert not desk.engine.permits_reentry("falling", PORTFOLIO, desk.now)


def test_a_snapshot_taken_in_the_dark_goes_on_alike() -> None:
    """Byte for byte."""
    desk = dark(90.0)
    again = Desk(engine=restore_snapshot(desk.engine.snapshot()))
    again.now = desk.now
    for one in (desk, again):
        told(one, 65, 88.0).evaluate()
    assert reading(desk, "equity_usd") == reading(again, "equity_usd")
    assert desk.engine.snapshot() == again.engine.snapshot()


@settings(max_examples=40, deadline=None)
@given(
    price=st.floats(60.0, 160.0),
    size=st.floats(-50.0, 50.0).filter(lambda value: abs(value) > 0.1),
)
def test_going_dark_changes_nothing_that_peers_know(price: float, size: float) -> None:
    """Where both venues agree on the price, the estimate is what the truth was."""
    desk = Desk((HL, "main"), (DYDX, "main")).list_market().list_market("BTC-USD", DYDX)
    desk.context(mark_price=100.0, oracle_price=100.0).positions(("BTC", size)).money(1_000)
    told(desk, 0, 100.0).evaluate()
    lit = Desk(engine=restore_snapshot(desk.engine.snapshot()))
    told(desk, 60, price).evaluate()
    told(desk, 61, price).evaluate()
    for at_s in (60, 61):
        told(lit, at_s, price).context(mark_price=price, oracle_price=price)
        lit.positions(("BTC", size)).money(1_000 + size * (price - 100.0)).evaluate()
    for name in NAMES:
        assert reading(desk, name).value == pytest.approx(reading(lit, name).value), name
    assert position_subject(HL, "main", "BTC") in desk.engine.subjects()


THREE = """
- id: large
  summary: large
  for_each: portfolio
  when: gross_exposure_usd >= 1.0e12 || equity_usd >= 1.0e12 || net_exposure_usd >= 1.0e12
  severity: warning
"""
WIDE = ("gross_exposure_usd", "net_exposure_usd", "equity_usd")


def with_a_stranger() -> Desk:
    """The book beside a second account that no venue ever spoke of, some minutes later."""
    desk = Desk((HL, "main"), (HL, "alt"), (DYDX, "main"), rules=THREE)
    desk.list_market().list_market("BTC-USD", DYDX)
    desk.context(mark_price=100.0, oracle_price=100.0).positions(("BTC", 10.0)).money(1_000)
    told(desk, 0, 100.0).evaluate()
    told(desk, 300, 100.0).evaluate()
    return desk


def kept(desk: Desk) -> list[float | None]:
    """What a batch has concluded so far, without looking again."""
    cells = desk.engine.state.cells
    return [cells[f"{name}|{PORTFOLIO}"].value for name in WIDE]


def looks_in(desk: Desk, first: int, last: int) -> int:
    """How often gross exposure was computed, woken every second and told nothing."""
    cell, looks = desk.engine.state.cells[f"gross_exposure_usd|{PORTFOLIO}"], 0
    for second in range(first, last):
        before = cell.computed_ns
        desk.at(second).evaluate()
        looks += cell.computed_ns != before
    return looks


def test_an_account_that_never_spoke_costs_little() -> None:
    """An hour of waiting for it is some looks, not thousands, however often riskd is woken; the
    other one, which only lacks a price, does not change that."""
    desk = with_a_stranger()
    assert kept(desk) == [None, None, None]
    assert 100 <= looks_in(desk, 301, 3_901) <= 135


@pytest.mark.parametrize(
    "nothing",
    [pytest.param(False, id="with a position"), pytest.param(True, id="empty")],
)
def test_the_moment_it_appears_is_not_missed(*, nothing: bool) -> None:
    """Between two looks, and while its venue tells no prices: in the very batch that tells it."""
    desk = with_a_stranger()
    told(desk, 301, 100.0).evaluate()
    held = [] if nothing else [("BTC", 2.0)]
    desk.at(302).positions(*held, account="alt").money(50, account="alt")
    decision = desk.evaluate()
    size = 0.0 if nothing else 2.0
    assert kept(desk) == [
        pytest.approx(1_400.0 + 100.0 * size),
        pytest.approx(600.0 + 100.0 * size),
        pytest.approx(2_050.0),
    ]
    assert decision.wake_at_ns is not None


def test_a_peer_s_price_is_looked_for_every_second() -> None:
    """It is no event of the account: nothing would wake the book when it comes back."""
    desk = Desk((HL, "main"), (DYDX, "main"), rules=THREE)
    desk.list_market("SOL").list_market("SOL-USD", DYDX).list_market("BTC-USD", DYDX)
    desk.context("SOL", mark_price=10.0, oracle_price=10.0).positions(("SOL", 10.0)).money(1_000)
    told(desk, 0, 100.0).evaluate()
    told(desk, 100, 100.0).evaluate()
    assert kept(desk)[0] is None
    desk.context("SOL-USD", DYDX, oracle_price=9.0).at(100.5).evaluate()
    desk.at(101).evaluate()
    assert kept(desk)[0] == pytest.approx(490.0)


def test_an_account_dark_for_a_day_is_looked_at_seldom() -> None:
    """Until it speaks: then at once."""
    desk = dark()
    desk.load(THREE).evaluate()
    told(desk, 86_500, 100.0).evaluate()
    assert kept(desk)[0] is None
    assert looks_in(desk, 86_501, 86_622) <= 8
    told(desk, 86_623, 100.0).context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 1.0)).money(900).evaluate()
    assert kept(desk)[0] == pytest.approx(500.0)
