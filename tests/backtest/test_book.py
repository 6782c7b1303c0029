"""The simulated book: costs to the cent, reaction, hedges, gaps, dark venues, the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from monitor.backtest.book import Book, Hour
from monitor.backtest.history import HOUR_S, Settlement
from monitor.backtest.overlay import NO_OUTAGES, Outage, Overlay
from monitor.backtest.restraint import Restraints
from monitor.backtest.settings import BookSettings, PositionSettings, VenueSettings
from monitor.core.decision import ActionLevel, KillRequest, RuleMode
from monitor.core.types import PORTFOLIO, SECOND_NS, Subject
from tests.backtest.past import START_S

MINUTE_NS = 60 * SECOND_NS


def position(asset: str, *, venue: str = "binance", **amount: float) -> PositionSettings:
    """One position by weight or size."""
    return PositionSettings.model_validate({"venue": venue, "asset": asset, **amount})


def settings(*positions: PositionSettings, **fields: object) -> BookSettings:
    """100 000 USD, fee 5 bp, slippage 10 bp, friction 20 bp."""
    costs = VenueSettings(fee_bps=5.0, slippage_bps=10.0)
    declared = {
        "start_equity_usd": 100_000.0,
        "positions": positions,
        "venues": dict.fromkeys({one.venue for one in positions}, costs),
        "exit_friction_bps": 20.0,
        **fields,
    }
    return BookSettings.model_validate(declared)


class Life:
    """A book lived hour by hour by hand."""

    def __init__(self, declared: BookSettings, overlay: Overlay = NO_OUTAGES) -> None:
        self.book = Book(declared, overlay)
        self.restraints = Restraints()
        self.index = -1
        self.before: Mapping[str, float | None] = {}

    def hour(
        self,
        settlements: Mapping[tuple[str, str], Settlement] | None = None,
        **prices: float | None,
    ) -> Book:
        """The next hour ends with these prices."""
        self.index += 1
        at_s = START_S + self.index * HOUR_S
        self.book.advance(
            Hour(self.index, at_s, prices, self.before, settlements or {}), self.restraints
        )
        self.before = prices
        return self.book

    def ask(
        self,
        *,
        to: float | None = 0.7,
        level: ActionLevel = ActionLevel.CUT,
        scope: Subject = PORTFOLIO,
        after_min: int = 0,
        rule: str = "stress",
    ) -> None:
        """A rule asks now."""
        now = (START_S + self.index * HOUR_S) * SECOND_NS
        request = KillRequest(
            rule=rule,
            subject=PORTFOLIO,
            scope=scope,
            level=level,
            mode=RuleMode.OBSERVE,
            gross_to_ratio=to,
            firing_epoch_ns=now,
        )
        gross = self.book.gross_in(scope)
        self.restraints.ask(request, now, after_min * MINUTE_NS, gross)

    def release(self) -> None:
        """Everything is given back."""
        for one in list(self.restraints.active.values()):
            self.restraints.release(one)


def test_two_hours_to_the_cent() -> None:
    """Entry, funding, a price move and a cut, each charged exactly once."""
    life = Life(settings(position("AAA", weight=1.0)))
    book = life.hour(AAA=100.0)
    # 1000 units bought for 100 000: fee 50, slippage 100.
    assert book.held[0].units == pytest.approx(1000.0)
    assert book.equity_usd == pytest.approx(99_850.00, abs=0.005)
    life.ask(to=0.7)
    book = life.hour({("binance", "AAA"): Settlement(0.0004, 8)}, AAA=110.0)
    # At once: 300 units sold at 100: fee 15, slippage 30, friction 60. The other 700 earn 10 each
    # and pay 4 bp of 77 000 in funding, 30.80.
    assert book.held[0].units == pytest.approx(700.0)
    assert book.costs.fees_usd == pytest.approx(65.00)
    assert book.costs.slippage_usd == pytest.approx(130.00)
    assert book.costs.friction_usd == pytest.approx(60.00)
    assert book.costs.funding_usd == pytest.approx(30.80)
    assert book.equity_usd == pytest.approx(99_850.00 - 105.00 + 7_000.00 - 30.80, abs=0.005)


@pytest.mark.parametrize(
    ("after_min", "price", "kept"),
    [(0, 100.0, 700.0), (15, 105.0, 700.0 * 100 / 105), (60, 120.0, 1000.0 * 70_000 / 120_000)],
    ids=["at once", "a quarter of the way", "an hour later"],
)
def test_a_late_cut_trades_at_the_price_of_its_time(
    after_min: int, price: float, kept: float
) -> None:
    """Between 100 and 120 a cut after 15 minutes is done at 105; the target is USD, not units."""
    life = Life(settings(position("AAA", weight=1.0)))
    life.hour(AAA=100.0)
    life.ask(to=0.7, after_min=after_min)
    life.hour(AAA=120.0)
    book = life.hour(AAA=120.0)
    assert book.held[0].units == pytest.approx(kept)
    sold = 1000.0 - kept
    assert book.costs.friction_usd == pytest.approx(sold * price * 20e-4)


def test_cuts_do_not_add() -> None:
    """The lowest target of two rules, from the gross at the first entry."""
    life = Life(settings(position("AAA", weight=1.0)))
    life.hour(AAA=100.0)
    life.ask(to=0.7)
    life.hour(AAA=100.0)
    life.ask(to=0.4, rule="drawdown")
    book = life.hour(AAA=100.0)
    assert book.gross_usd == pytest.approx(40_000.0)


def test_a_hedge_shrinks_with_its_twin() -> None:
    """Longs and shorts keep their proportion, so the net does not grow."""
    life = Life(settings(position("AAA", size=10.0), position("AAA", venue="bybit", size=-6.0)))
    life.hour(AAA=100.0)
    life.ask(to=0.5)
    book = life.hour(AAA=100.0)
    assert [one.units for one in book.held] == pytest.approx([5.0, -3.0])


def test_a_scope_leaves_the_rest_alone() -> None:
    """A cut of one venue's account does not touch another's."""
    life = Life(settings(position("AAA", size=10.0), position("BBB", venue="bybit", size=10.0)))
    life.hour(AAA=100.0, BBB=100.0)
    life.ask(to=0.5, scope=Subject("account:bybit/main"))
    book = life.hour(AAA=100.0, BBB=100.0)
    assert [one.units for one in book.held] == pytest.approx([10.0, 5.0])


@pytest.mark.parametrize("level", [ActionLevel.HOLD, ActionLevel.BLOCK_NEW, ActionLevel.HALT])
def test_nothing_grows_while_restrained(level: ActionLevel) -> None:
    """A rebalance that would buy is left undone; one that sells is done."""
    life = Life(settings(position("AAA", weight=0.5), position("BBB", weight=0.5), rebalance_h=1))
    life.hour(AAA=100.0, BBB=100.0)
    life.ask(to=None, level=level)
    before = [one.units for one in life.book.held]
    book = life.hour(AAA=80.0, BBB=130.0)
    assert book.held[0].units == before[0]
    assert book.held[1].units < before[1]


def test_the_way_back_is_by_steps() -> None:
    """A day after the release a tenth of the book, not all at once."""
    life = Life(settings(position("AAA", weight=1.0), reentry_rise_per_day_ratio=0.10))
    life.hour(AAA=100.0)
    life.ask(to=0.7)
    life.hour(AAA=100.0)
    life.release()
    shares = []
    for _ in range(24 * 4):
        book = life.hour(AAA=100.0)
        shares.append(book.gross_usd / book.equity_usd)
    assert shares[20] == pytest.approx(0.70, abs=0.002)
    assert shares[23] == pytest.approx(0.80, abs=0.002)
    assert shares[-1] == pytest.approx(1.00, abs=0.002)


def test_an_unknown_price_moves_nothing() -> None:
    """No profit, no trade; the cut waits for the price and is then done."""
    life = Life(settings(position("AAA", weight=1.0)))
    life.hour(AAA=100.0)
    life.hour(AAA=None)
    equity = life.book.equity_usd
    life.ask(to=0.7)
    book = life.hour(AAA=None)
    assert (book.equity_usd, book.held[0].units) == (equity, pytest.approx(1000.0))
    assert book.waiting
    life.hour(AAA=90.0)
    book = life.hour(AAA=90.0)
    assert book.gross_usd == pytest.approx(70_000.0)
    assert not book.waiting


def test_short_gaps_are_lived_through_and_long_ones_left_out() -> None:
    """A loss over three missing hours counts; one over a removed month is nobody's."""
    life = Life(settings(position("AAA", weight=1.0)))
    life.hour(AAA=100.0)
    for _ in range(3):
        life.hour(AAA=None)
    book = life.hour(AAA=90.0)
    assert book.equity_usd == pytest.approx(89_850.0)
    for _ in range(30):
        life.hour(AAA=None)
    notional, equity = book.gross_usd, book.equity_usd
    book = life.hour(AAA=30.0)
    assert book.equity_usd == pytest.approx(equity)
    assert book.gross_usd == pytest.approx(notional)
    assert book.gaps == 1


def dark(venue: str, from_min: int, until_min: int) -> Overlay:
    """One outage, in minutes after the first hour."""
    return Overlay(
        (Outage(venue, venue, "api", START_S + from_min * 60, START_S + until_min * 60),)
    )


def test_no_action_on_a_dark_venue() -> None:
    """The cut waits until the venue is back, and then trades dearly."""
    terms = settings(position("AAA", venue="hyperliquid", weight=1.0))
    life = Life(terms, dark("hyperliquid", 30, 90))
    life.hour(AAA=100.0)
    life.ask(to=0.7, after_min=45)
    book = life.hour(AAA=100.0)
    assert book.held[0].units == pytest.approx(1000.0)
    assert book.waiting
    book = life.hour(AAA=100.0)
    assert book.gross_usd == pytest.approx(70_000.0)
    # 300 units at 100 with five times the slippage of 10 bp.
    assert book.costs.slippage_usd == pytest.approx(100.0 + 150.0)


@pytest.mark.parametrize(
    ("after_min", "slippage_usd"),
    [
        pytest.param(90, 150.0, id="as it ends"),
        pytest.param(149, 150.0, id="just before the hour is over"),
        pytest.param(150, 30.0, id="an hour later"),
    ],
)
def test_trading_is_dear_for_a_while_after_an_outage(after_min: int, slippage_usd: float) -> None:
    """300 units at 100: five times 10 bp within an hour of its end, then 10 bp."""
    terms = settings(position("AAA", venue="hyperliquid", weight=1.0), congested_h=1.0)
    life = Life(terms, dark("hyperliquid", 30, 90))
    life.hour(AAA=100.0)
    life.ask(to=0.7, after_min=after_min)
    for _ in range(4):
        book = life.hour(AAA=100.0)
    assert book.gross_usd == pytest.approx(70_000.0)
    assert book.costs.slippage_usd == pytest.approx(100.0 + slippage_usd)


def test_the_twin_of_a_dark_leg_stays() -> None:
    """Cutting it would make the other naked."""
    terms = settings(
        position("AAA", size=10.0),
        position("AAA", venue="hyperliquid", size=-10.0),
        position("BBB", size=10.0),
    )
    life = Life(terms, dark("hyperliquid", 30, 300))
    life.hour(AAA=100.0, BBB=100.0)
    life.ask(to=0.5, after_min=45)
    book = life.hour(AAA=100.0, BBB=100.0)
    assert [one.units for one in book.held] == pytest.approx([10.0, -10.0, 5.0])


def _path(prices: Sequence[float], **fields: object) -> Book:
    life = Life(settings(position("AAA", weight=3.0), **fields))
    for price in prices:
        life.hour(AAA=price)
    return life.book


def test_a_book_can_die() -> None:
    """Three times long into a fall of a third: closed at the maintenance margin, and stays flat."""
    book = _path([100.0, 66.0, 100.0], rebalance_h=1000)
    assert book.liquidated_s == START_S + HOUR_S
    assert book.gross_usd == 0.0
    assert _path([100.0, 90.0]).liquidated_s is None


def test_unlisted_weights_are_shared() -> None:
    """Before the second asset has a price the first holds both weights, then each its own."""
    life = Life(settings(position("AAA", weight=0.5), position("BBB", weight=0.5), rebalance_h=999))
    book = life.hour(AAA=100.0, BBB=None)
    assert book.gross_usd == pytest.approx(100_000.0)
    book = life.hour(AAA=100.0, BBB=50.0)
    assert [one.notional_usd for one in book.held] == pytest.approx([49_900.0] * 2, rel=0.01)
