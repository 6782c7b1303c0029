"""What one step costs the book after its hedges, and collateral that nothing needed for a week."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.engine import restore_snapshot
from monitor.core.keeping import Keeping, recall
from monitor.core.state.model import RiskState
from monitor.core.types import PORTFOLIO
from tests.core.desk import DYDX, HL, MAIN, Desk

HOUR_S = 3600.0
RULE = """
rules:
  - id: gap
    for_each: portfolio
    when: crash_gap_loss_ratio > 0.09
    severity: warning
    summary: Gap
"""
DAYS_7 = 7 * 24


def desk(*accounts: tuple[str, str]) -> Desk:
    """BTC and SOL at a dollar on Hyperliquid, BTC on dYdX."""
    made = Desk(*(accounts or ((HL, "main"),)))
    made.list_market("BTC").list_market("SOL").list_market("BTC-USD", DYDX)
    return prices(made)


def prices(made: Desk) -> Desk:
    """At a dollar, with no funding."""
    for market in ("BTC", "SOL"):
        made.context(market, mark_price=1.0, oracle_price=1.0, predicted_funding_rate_hourly=0.0)
    return made.context("BTC-USD", DYDX, oracle_price=1.0, predicted_funding_rate_hourly=0.0)


def leg(asset: str, size: str, until_s: float, made: Desk) -> e.OffBookLegsDeclared:
    """One declared leg."""
    one = e.OffBookLeg(asset=asset, size=Decimal(size), expires_at_ns=made.ns(until_s))
    return e.OffBookLegsDeclared(source="file", legs=(one,))


@pytest.mark.parametrize(
    ("held", "loss"),
    [
        pytest.param((("SOL", 400.0),), 0.12, id="long"),
        pytest.param((("SOL", -400.0),), 0.12, id="short, which a rise takes"),
        pytest.param((("BTC", 800.0), ("SOL", -400.0)), 0.0, id="each loses what the other wins"),
        pytest.param((), 0.0, id="nothing held"),
    ],
)
def test_a_crash_takes_from_the_net(held: tuple[tuple[str, float], ...], loss: float) -> None:
    """Over an equity of 1 000."""
    made = desk().positions(*held).money(1_000)
    assert made.after("crash_gap_loss_ratio", PORTFOLIO) == pytest.approx(loss, abs=1e-12)


def test_a_hedge_elsewhere_and_off_book_counts() -> None:
    """A twin on another venue, then one that the desk declares, until it expires."""
    made = desk((HL, "main"), (DYDX, "main"))
    made.positions(("BTC", 1_000)).money(1_000)
    made.positions(("BTC-USD", -600), venue=DYDX).money(cash=1_600, venue=DYDX, time_s=0)
    assert made.after("crash_gap_loss_ratio", PORTFOLIO) == pytest.approx(0.15 * 400 / 2_000)
    made.tell(leg("BTC", "-400", 5, made))
    assert made.after("crash_gap_loss_ratio", PORTFOLIO) == pytest.approx(0.0)
    assert made.at(5).after("crash_gap_loss_ratio", PORTFOLIO) == pytest.approx(0.03)


def test_equity_that_is_gone_is_a_breach_and_an_unknown_twin_is_unknown() -> None:
    """Never fine, never zero."""
    made = desk().positions(("SOL", 1)).money(-1)
    assert made.after("crash_gap_loss_ratio", PORTFOLIO) == 1000.0
    blind = desk((HL, "main"), (DYDX, "main")).positions(("SOL", 1)).money(1_000)
    assert blind.after("crash_gap_loss_ratio", PORTFOLIO) is None


def test_what_loses_most_is_named_with_its_direction() -> None:
    """The largest first; what gains is no loser. An off-book leg counts at the last price."""
    made = desk().load(RULE).positions(("SOL", -400), ("BTC", 100)).money(1_000)
    (told,) = made.evaluate().transitions
    assert "all up: SOL 120 $" in told.summary
    again = desk().load(RULE).positions(("SOL", -400)).money(1_000)
    (told,) = again.tell(leg("BTC", "2000", 5, again)).evaluate().transitions
    assert "all down: BTC 300 $" in told.summary


# ---------------------------------------------------------------------------------------- spare


def follow(made: Desk, hours: range, equity: float = 1_000.0, size: float = 0.0) -> float | None:
    """An hour at a time, all said anew."""
    found = None
    for hour in hours:
        prices(made.at(hour * HOUR_S)).positions(("SOL", size)).money(equity)
        found = made.after("collateral_spare_7d_ratio", MAIN)
    return found


def test_idle_money_shows_after_a_week_and_not_before() -> None:
    """Half of the equity stands behind 400 of SOL: margin 2.5 %, a gap of 30 %."""
    made = desk()
    assert follow(made, range(DAYS_7), size=400.0) is None
    assert "7 days" in made.why("collateral_spare_7d_ratio", MAIN)
    assert follow(made, range(DAYS_7, DAYS_7 + 1), size=400.0) == pytest.approx(0.87)


def test_one_hour_of_need_counts_for_a_week() -> None:
    """The worst moment decides, until it is a week ago."""
    made = desk()
    follow(made, range(DAYS_7 + 1))
    assert follow(made, range(DAYS_7 + 1, DAYS_7 + 2), size=2_000.0) == pytest.approx(0.35)
    last = 2 * DAYS_7 + 1
    assert follow(made, range(DAYS_7 + 2, last + 1)) == pytest.approx(0.35)
    assert follow(made, range(last + 1, last + 2)) == pytest.approx(1.0)


def test_hours_that_nobody_saw_start_the_week_anew() -> None:
    """Two hours are forgiven, three are not."""
    made = desk()
    follow(made, range(DAYS_7 + 1))
    assert follow(made, range(DAYS_7 + 2, DAYS_7 + 3)) == 1.0
    assert follow(made, range(DAYS_7 + 5, DAYS_7 + 6)) is None


def test_a_restart_keeps_the_week() -> None:
    """By the snapshot, and by the store's memory."""
    made = desk()
    follow(made, range(DAYS_7 + 1), size=2_000.0)
    state = made.engine.state
    memories = tuple(Keeping().memories(state))
    fresh = RiskState()
    recall(fresh, memories)
    assert fresh.spare == state.spare != {}
    restored = restore_snapshot(made.engine.snapshot())
    assert restored.state.spare == state.spare
