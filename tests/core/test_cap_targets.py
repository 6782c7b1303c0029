"""Gross that a cut to a cap leaves: of the book by its net, of a position by its funding; and in
which order a decision asks."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.decision import ActionLevel
from monitor.core.killswitch.precedence import rank_of
from monitor.core.types import PORTFOLIO, SECOND_NS, Subject, asset_subject, venue_subject
from tests.core.desk import HL, Desk
from tests.core.test_carry import BTC, ETH, book
from tests.core.test_leverage_caps import CALM, QUICK, desk, hold, warm
from tests.core.test_leverage_venues import two_venues, volume

NAME, GROSS_TARGET = "leverage_cap_target_usd", "leverage_gross_target_usd"


def elsewhere(at: Desk, size: str) -> None:
    """So many BTC that no venue reports."""
    leg = e.OffBookLeg(asset="BTC", size=Decimal(size), expires_at_ns=at.ns(9e6))
    at.tell(e.OffBookLegsDeclared(source="desk", legs=(leg,)))


@pytest.mark.parametrize(
    ("equity", "sizes", "left"),
    [
        # The cap is one times equity, prices are 100 and betas are one.
        pytest.param(1000.0, {"BTC": 8.0}, 800.0, id="below its cap all may stay"),
        pytest.param(1000.0, {"BTC": 12.5}, 1000.0, id="one long asset: to the cap"),
        pytest.param(1000.0, {"BTC": 10.0, "ETH": 10.0}, 1000.0, id="two long assets: to the cap"),
        # Net 1,200 of gross 2,800: with a sixth less of each side net is at 1,000.
        pytest.param(
            1000.0, {"BTC": 20.0, "ETH": -8.0}, 2800.0 * 5 / 6, id="what nets leaves in proportion"
        ),
        pytest.param(1000.0, {"BTC": 20.0, "ETH": -20.0}, 4000.0, id="a neutral book is not cut"),
    ],
)
def test_a_cut_of_the_book_ends_at_its_net_cap(
    equity: float, sizes: dict[str, float], left: float
) -> None:
    """With prices that move as one."""
    at = hold(desk(), equity, **sizes)
    assert at.after(NAME, PORTFOLIO) == pytest.approx(left, rel=2e-3)


def test_a_leg_off_the_book_counts_and_cannot_be_cut() -> None:
    """Long 500 here and 700 elsewhere are 200 above a cap of 1,000: all of it comes off here."""
    at = hold(desk(), 1000.0, BTC=5.0)
    elsewhere(at, "7")
    assert at.after(NAME, PORTFOLIO) == pytest.approx(300.0, rel=5e-3)


@pytest.mark.parametrize(
    ("sizes", "off_book", "left"),
    [
        # Net 4,000, all of it elsewhere: nothing that could be cut here would lessen it.
        pytest.param({"BTC": 5.0, "ETH": -5.0}, "40", 1000.0, id="a neutral book beside it"),
        pytest.param({"BTC": -20.0}, "40", 2000.0, id="the hedge of it is not cut"),
        # BTC 2,000 long here, 1,000 short elsewhere and 1,000 of ETH: half of 2,000 unpaired.
        pytest.param({"BTC": 20.0, "ETH": 10.0}, "-10", 2000.0, id="the net of a hedge here"),
        # Net 2,500 over both: 1,500 to take off, and 500 of BTC are all there is.
        pytest.param({"BTC": 5.0}, "20", 0.0, id="all there is, and not enough"),
        # Net 3,000, of which 2,500 here: four fifths of either side.
        pytest.param({"BTC": 30.0, "ETH": -5.0}, "5", 700.0, id="what nets goes in proportion"),
        # Net 2,500: without 1,000 and 400 net is 600 less, and 1,900 are still too much.
        pytest.param({"BTC": 10.0, "ETH": -4.0}, "19", 1400.0, id="little help for what is sold"),
        pytest.param({"BTC": 10.0, "ETH": -3.0}, "18", 0.0, id="more than half of it helps"),
    ],
)
def test_what_lies_elsewhere_is_not_counted_as_cut(
    sizes: dict[str, float], off_book: str, left: float
) -> None:
    """Equity 1,000 and a cap of one."""
    at = hold(desk(), 1000.0, **sizes)
    elsewhere(at, off_book)
    assert at.after(NAME, PORTFOLIO) == pytest.approx(left, rel=5e-3)


def test_what_a_paired_leg_holds_elsewhere_is_left_alone() -> None:
    """Hedged in another account but for a part: only the part is there to cut."""
    at = hold(desk(), 1000.0, BTC=30.0)
    elsewhere(at, "-15")
    # Net 1,500 over 1,000: a third of what is unpaired.
    assert at.after(NAME, PORTFOLIO) == pytest.approx(3000.0 - 500.0, rel=5e-3)


def test_no_cap_and_no_book_are_no_target() -> None:
    """Volatility that is not known yet, or an account that cannot be read."""
    cold = hold(Desk((HL, "main")).list_market().context(mark_price=100.0), 1000.0, BTC=20.0)
    assert cold.value(NAME, PORTFOLIO) is None
    dark = hold(desk(), 1000.0, BTC=20.0)
    assert dark.after(NAME, PORTFOLIO) is not None
    dark.at(4000)
    dark.evaluate()
    assert dark.value(NAME, PORTFOLIO) is None


@pytest.mark.parametrize(
    ("size", "whole", "venue"),
    [
        # Four times equity for the book, five and a half for the venue.
        pytest.param(40.0, 4000.0, 4000.0, id="at the book's cap"),
        pytest.param(50.0, 4000.0, 5000.0, id="above the book's"),
        pytest.param(66.0, 4000.0, 5500.0, id="above both"),
    ],
)
@pytest.mark.parametrize("side", [1.0, -1.0], ids=["long", "short"])
def test_a_cut_of_gross_ends_at_its_cap(
    size: float, whole: float, venue: float, side: float
) -> None:
    """Equity stays what it is: what is left over equity is the cap."""
    at = hold(desk(), 1000.0, BTC=side * size)
    assert at.after(GROSS_TARGET, PORTFOLIO) == pytest.approx(whole, rel=2e-3)
    assert at.value(GROSS_TARGET, venue_subject(HL)) == pytest.approx(venue, rel=2e-3)


def test_gross_off_the_book_is_not_cut() -> None:
    """5,000 with 1,500 elsewhere: 1,000 too much, all of it off the 3,500 here."""
    at = hold(desk(), 1000.0, BTC=35.0)
    elsewhere(at, "15")
    assert at.after(GROSS_TARGET, PORTFOLIO) == pytest.approx(2500.0, rel=5e-3)
    assert at.value(GROSS_TARGET, venue_subject(HL)) == pytest.approx(3500.0, rel=5e-3)


def test_gross_of_an_asset_ends_at_what_can_be_left_in_time() -> None:
    """1,000 over 2,000 of equity, of which a thin market allows a quarter of four: half a time is
    within it; twice as much, over less equity, is not."""
    at = two_venues(10.0, 0.0, minutes=((HL, 15.0),), past=False)
    volume(at, 10_000.0).evaluate()
    assert at.value(GROSS_TARGET, asset_subject("BTC")) == pytest.approx(1000.0)
    at.money(-500.0)
    equity = at.after("equity_usd", PORTFOLIO) or 0.0
    assert equity == pytest.approx(500.0)
    assert at.value(GROSS_TARGET, asset_subject("BTC")) == pytest.approx(500.0)


@pytest.mark.parametrize("equity", [0.0, -50.0])
def test_without_equity_none_of_it_may_stay(equity: float) -> None:
    """Gone equity is a breach; only ever proposed."""
    at = hold(desk(), equity, BTC=10.0)
    assert at.after(GROSS_TARGET, PORTFOLIO) == pytest.approx(4.0, abs=0.1)


def test_gross_without_a_cap_is_no_target() -> None:
    """Nobody knows how fast the asset sells."""
    at = two_venues(10.0, 0.0, past=False)
    assert at.after(GROSS_TARGET, asset_subject("BTC")) is None


@pytest.mark.parametrize(
    ("equity", "market", "left"),
    [
        # A day's share of 1 % is a 3,000th of equity; ETH pays 6e-5 an hour on 50,000.
        pytest.param(150_000.0, ETH, 50.0 / (24 * 6e-5), id="we pay too much: to the cap"),
        pytest.param(3e6, ETH, 50_000.0, id="within the cap all may stay"),
        pytest.param(150_000.0, BTC, 120_000.0, id="what pays us is not cut"),
    ],
)
def test_a_cut_of_a_position_ends_at_what_its_budget_pays_for(
    equity: float, market: Subject, left: float
) -> None:
    """By the rate predicted now."""
    assert book(equity).after("funding_notional_cap_usd", market) == pytest.approx(left, rel=1e-6)


def test_a_decision_asks_in_the_order_of_the_table() -> None:
    """Whichever rule stands first in the book."""
    names = ("vol_and_fall", "any_two", "leverage_cap", "drawdown_8", "runway_gone", "cross_check")
    text = "".join(
        f"- {{id: {name}, for_each: portfolio, summary: One of many, when: equity_usd > 0.0, "
        "severity: critical, do: {level: block_new}}\n"
        for name in names
    )
    at = Desk((HL, "main"), rules=text).money(100.0)
    asked = [one.rule for one in at.evaluate().kill_requests]
    assert asked == sorted(names, key=rank_of)
    assert asked == list(reversed(names))


def test_a_cut_over_a_time_asks_with_its_time() -> None:
    """As the rule says it, in seconds, beside the amount."""
    text = (
        "- {id: slow, for_each: portfolio, summary: A slow cut, when: equity_usd > 0.0, "
        "severity: high, mode: propose, confirm: {need: 2, of: 2, apart: 20s}, "
        f"do: {{level: cut, gross_to: {NAME}, over: 90m}}}}\n"
    )
    made = warm(Desk(settings=QUICK, rules=text), BTC=(CALM, -CALM), ETH=(CALM, -CALM))
    began = (made.now - made.ns(0.0)) / SECOND_NS
    asked = []
    for step in range(4):
        made.at(began + 30.0 * step).context("BTC", mark_price=100.0)
        made.context("ETH", mark_price=100.0)
        asked += hold(made, 1000.0 + step, BTC=12.5).evaluate().kill_requests
    assert asked[0].level is ActionLevel.CUT
    assert asked[0].over_s == 5400.0
    assert asked[0].gross_to_usd == pytest.approx(1000.0, rel=1e-2)
