"""What a step of equity is explained by, and what it may not do while nothing explains it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.decision import ActionLevel
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.settings import EngineSettings
from monitor.core.state.ledger_totals import ITEMS_MAX, LedgerTotals
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    AccountMode,
    FillKind,
    Subject,
    TransferKind,
)
from tests.core.desk import DMAIN, DYDX, HL, HL_VENUE, MAIN, Desk

UNEXPLAINED, SUSPECT = "equity_unexplained_usd", "equity_suspect"
LADDER = """
test:
  - id: cut_it
    for_each: portfolio
    summary: A fall
    when: drawdown_ratio >= 0.08
    confirm: {need: 2, of: 2, apart: 20s}
    severity: critical
    do: {level: cut, gross_to: 0.7}
    scope: portfolio
"""


class Book:
    """One account whose venue keeps it right: what happens to it is stated, and told or not.

    ``mode`` decides how: a standard account states equity with cash and positions at its marks, a
    unified one a token balance beside them, dYdX cash and positions.
    """

    def __init__(self, mode: str = "standard", cash: float = 100_000.0, rules: str = "") -> None:
        self.mode = mode
        self.venue, self.subject = (DYDX, DMAIN) if mode == "dydx" else (HL, MAIN)
        self.market = "BTC-USD" if mode == "dydx" else "BTC"
        self.desk = Desk((self.venue, "main"), rules=rules)
        self.cash, self.size, self.price, self.now_s, self.items = cash, 0.0, 100.0, 0.0, 0
        self.asked: list[ActionLevel] = []
        self.desk.list_market(self.market, self.venue)
        kept = AccountMode.UNIFIED if mode == "unified" else AccountMode.STANDARD
        self.desk.tell(
            e.AccountModeSeen(venue=self.venue, channel="x/mode", account="main", mode=kept),
            self.fills(()),
            self.transfers(()),
        )

    def fills(self, rows: tuple[e.FillReport, ...]) -> e.FillsReported:
        return e.FillsReported(
            venue=self.venue, channel="x/fills", account="main", history=False, fills=rows
        )

    def transfers(self, rows: tuple[e.TransferReport, ...]) -> e.TransfersReported:
        return e.TransfersReported(
            venue=self.venue, channel="x/ledger", account="main", history=False, transfers=rows
        )

    def say(self, wait_s: float = 10.0, price: float | None = None) -> Book:
        """Time passes, the price is told, and the venue states the account."""
        self.now_s += wait_s
        self.price = self.price if price is None else price
        desk = self.desk.at(self.now_s)
        name = "oracle_price" if self.mode == "dydx" else "mark_price"
        desk.context(self.market, self.venue, **{name: self.price})
        at = {"venue": self.venue, "source": "truth", "time_s": self.now_s}
        if self.mode == "dydx":
            desk.positions((self.market, self.size), **at).money(cash=self.cash, **at)
        elif self.mode == "unified":
            desk.positions((self.market, self.size), **at).money(self.equity, **at)
        else:
            desk.positions((self.market, self.size), **at, mark_price=self.price)
            desk.money(self.equity, cash=self.cash, **at)
        self.asked = [one.level for one in desk.evaluate().kill_requests]
        return self

    @property
    def equity(self) -> float:
        return self.cash + self.size * self.price

    def trade(
        self,
        size: float,
        price: float,
        *,
        fee: float = 0.0,
        told: bool = True,
        forced: bool = False,
    ) -> e.FillsReported:
        self.size += size
        self.cash -= size * price + fee
        self.items += 1
        report = self.fills(
            (
                e.FillReport(
                    fill_id=f"f{self.items}",
                    market=self.market,
                    size=Decimal(str(size)),
                    price=Decimal(str(price)),
                    fee_usd=Decimal(str(fee)),
                    time_ns=self.desk.ns(self.now_s + 1.0),
                    kind=FillKind.LIQUIDATION if forced else FillKind.TRADE,
                ),
            )
        )
        if told:
            self.desk.tell(report)
        return report

    def move(self, usd: float, *, told: bool = True) -> e.TransfersReported:
        self.cash += usd
        self.items += 1
        report = self.transfers(
            (
                e.TransferReport(
                    transfer_id=f"t{self.items}",
                    amount_usd=Decimal(str(usd)),
                    time_ns=self.desk.ns(self.now_s + 1.0),
                    kind=TransferKind.DEPOSIT if usd > 0 else TransferKind.WITHDRAWAL,
                ),
            )
        )
        if told:
            self.desk.tell(report)
        return report

    def fund(self, usd: float, *, told: bool = True) -> e.FundingPaid:
        self.cash += usd
        self.items += 1
        at_ns = self.desk.ns(self.now_s + 3600.0 * self.items)
        payment = e.FundingPayment(market=self.market, amount_usd=Decimal(str(usd)), time_ns=at_ns)
        report = e.FundingPaid(
            venue=self.venue, channel="x/funding", account="main", history=False,
            payments=(payment,),
        )  # fmt: skip
        if told:
            self.desk.tell(report)
        return report

    def reading(self, name: str, subject: str = "") -> float | None:
        return self.desk.value(name, Subject(subject or self.subject))

    def weigh(self, name: str, subject: str = PORTFOLIO) -> tuple[float, bool] | None:
        found = self.desk.engine.reading(name, Subject(subject), self.desk.now)
        return None if found is None else (found.value, found.estimated)

    @property
    def suspect(self) -> bool | None:
        found = self.reading(SUSPECT)
        return None if found is None else found > 0.5


MODES = ["standard", "unified", "dydx"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [3_000.0, -3_000.0], ids=["long", "short"])
def test_no_crash_is_ever_suspect(mode: str, size: float) -> None:
    """At leverage three, through a fall of 30 % in jumps, with gaps, and back: prices explain
    themselves, even where the equity is gone."""
    book = Book(mode).say()
    book.trade(size, 100.0)
    book.say()
    for wait_s, price in [
        (10.0, 97.0), (1.0, 90.0), (1.0, 80.0), (0.2, 78.0), (600.0, 70.0), (10.0, 60.0),
        (10.0, 70.0), (10.0, 85.0), (10.0, 100.0), (3600.0, 124.0), (10.0, 124.0), (10.0, 100.0),
    ]:  # fmt: skip
        book.say(wait_s, price)
        assert (book.suspect, book.reading(UNEXPLAINED)) == (False, 0.0), price


def test_a_statement_that_lags_its_prices_is_no_step() -> None:
    """A unified account's balance is told without its prices: in a fall of two per cent a statement
    it is always one price behind ours."""
    book = Book("unified").say()
    book.trade(3_000.0, 100.0)
    book.say()
    for price in (98.0, 96.0, 94.0, 92.0, 90.0, 88.0, 88.0):
        shown, book.price = book.equity, price
        book.now_s += 10.0
        book.desk.at(book.now_s).context("BTC", HL, mark_price=price)
        book.desk.positions(("BTC", book.size), source="truth", time_s=book.now_s)
        book.desk.money(shown, source="truth", time_s=book.now_s).evaluate()
        assert book.suspect is False


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("told", ["before", "at once", "after"])
def test_trading_explains_itself(mode: str, told: str) -> None:
    """Opened, grown, flipped and closed while prices move, with fees, in whichever order the fill,
    the position and the money are told."""
    book = Book(mode).say()
    for size, price, fee in [(500.0, 100.0, 25.0), (700.0, 104.0, 40.0), (-2000.0, 99.0, 90.0),
                             (800.0, 96.5, 30.0)]:  # fmt: skip
        report = book.trade(size, price, fee=fee, told=told == "before")
        if told == "at once":
            book.desk.at(book.now_s + 10.0).tell(report)
        book.say(10.0, price)
        assert book.suspect is False
        if told == "after":
            book.say(2.0, price * 1.002)
            book.desk.tell(report)
        book.say(10.0, price * 1.01)
        assert (book.suspect, book.reading(UNEXPLAINED)) == (False, 0.0)
    assert book.size == 0.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("usd", "suspects"),
    [(-480.0, False), (-520.0, True), (480.0, False), (520.0, True)],
    ids=["little lost", "lost", "little gained", "gained"],
)
def test_a_step_that_nothing_explains(mode: str, usd: float, suspects: bool) -> None:
    """Half a per cent of equity is the limit; one statement is none, the second within ten seconds
    confirms it. Only a loss makes wider drawdowns estimates."""
    book = Book(mode).say().say()
    book.move(usd, told=False)
    book.say()
    assert book.suspect is False
    book.say(9.0)
    assert book.suspect is suspects
    assert book.reading(UNEXPLAINED) == pytest.approx(abs(usd) if suspects else 0.0)
    assert book.reading(SUSPECT, PORTFOLIO) == float(suspects and usd < 0.0)
    assert book.reading(SUSPECT, f"venue:{book.venue}") == float(suspects and usd < 0.0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("late", ["transfer", "fill", "funding", "statement", "rebaseline"])
def test_it_ends_with_the_explanation(mode: str, late: str) -> None:
    """Whatever was late: told afterwards it explains, and so do a statement as before and a
    person."""
    book = Book(mode).say()
    book.trade(100.0, 100.0)
    book.say()
    reports: tuple[e.Event, ...] = ()
    if late == "transfer":
        reports = (book.move(-20_000.0, told=False),)
    elif late == "funding":
        reports = (book.fund(-20_000.0, told=False),)
    elif late == "fill":  # in and out between two statements, dearly
        reports = (
            book.trade(1000.0, 120.0, told=False),
            book.trade(-1000.0, 100.0, told=False),
        )
    else:
        book.cash -= 20_000.0
    book.say().say()
    assert book.suspect is True
    if late == "statement":
        book.cash += 20_000.0
    elif late == "rebaseline":
        book.desk.tell(
            e.OperatorCommanded(
                principal="ann", verb="rebaseline", arguments=(("subject", str(book.subject)),)
            )
        )
    book.desk.tell(*reports)
    book.say(3600.0 * 4 if late == "funding" else 1.0)
    assert (book.suspect, book.reading(UNEXPLAINED)) == (False, 0.0)
    book.say().say()
    assert book.suspect is False


@pytest.mark.parametrize("mode", MODES)
def test_a_liquidation_is_a_loss(mode: str) -> None:
    """Its fills are beyond the mark, and what the venue keeps besides is explained by it: the fall
    is exact, and may cut."""
    book = Book(mode, rules=LADDER).say()
    book.trade(9_000.0, 100.0)
    book.say()
    report = book.trade(-9_000.0, 86.0, fee=9_000.0, told=False, forced=True)
    book.cash -= 2_000.0  # the fund's
    book.say(10.0, 92.0)
    assert book.suspect is False
    book.desk.tell(report)
    book.say().say()
    assert (book.suspect, book.reading(UNEXPLAINED)) == (False, 0.0)


def test_a_backstop_takes_the_margin() -> None:
    """The venue announces it and no fill says what was lost."""
    book = Book().say()
    book.trade(2_000.0, 100.0)
    book.say()
    book.size, book.cash = 0.0, 0.0
    book.desk.tell(
        e.LiquidationSeen(
            venue=HL, channel="x/user", account="main", notional_usd=1.0, detail="backstop",
            venue_time_ns=book.desk.ns(book.now_s + 1.0),
        )
    )  # fmt: skip
    book.say().say()
    assert book.suspect is False


def test_an_empty_account_is_no_liquidation() -> None:
    """All positions and all money gone in one statement, and nobody told of a fill."""
    book = Book().say()
    book.trade(2_000.0, 100.0)
    book.say()
    book.size, book.cash = 0.0, 0.0
    book.say().say()
    assert book.suspect is True
    assert book.reading(UNEXPLAINED) == pytest.approx(100_000.0)


def test_while_suspect_nothing_is_cut() -> None:
    """A fall that rests on it pages and holds; once the fills say that it was a loss, it cuts."""
    book = Book(rules=LADDER).say()
    book.trade(100.0, 100.0)
    book.say()
    reports = (
        book.trade(1000.0, 120.0, told=False),
        book.trade(-1000.0, 100.0, told=False),
    )
    assert book.say().asked == book.say(9.0).asked == []
    assert book.say(11.0).asked == [ActionLevel.HOLD]
    for name in ("drawdown_ratio", "drawdown_1h_ratio", "drawdown_30d_ratio"):
        assert book.weigh(name) == (pytest.approx(0.2), True), name
    assert book.weigh("drawdown_ratio", book.subject) == (pytest.approx(0.2), True)
    assert book.weigh("drawdown_ratio", HL_VENUE) == (pytest.approx(0.2), True)
    book.desk.tell(*reports)
    assert book.say(1.0).asked == [ActionLevel.CUT]
    assert book.weigh("drawdown_ratio") == (pytest.approx(0.2), False)


def test_a_gain_from_nowhere_makes_no_peak() -> None:
    """What came and goes again must not look like a loss."""
    book = Book(rules=LADDER).say().say()
    book.move(50_000.0, told=False)
    book.say().say(9.0).say()
    book.cash -= 50_000.0
    book.say().say()
    assert book.weigh("drawdown_ratio") == (0.0, False)
    assert book.weigh("drawdown_30d_ratio") == (0.0, False)


@pytest.mark.parametrize("apart", [False, True], ids=["with a statement", "by itself"])
@pytest.mark.parametrize("first", ["told", "shown"])
@pytest.mark.parametrize("usd", [200_000.0, -60_000.0], ids=["in", "out"])
def test_a_flow_told_long_apart_scales(first: str, usd: float, apart: bool) -> None:
    """Ten minutes between telling and showing, either way round: 10 % under water stay 10 %."""
    book = Book().say()
    book.trade(1_000.0, 100.0)
    book.say().say(10.0, 90.0)
    report = book.move(usd, told=first == "told")
    if first == "told":
        book.cash -= usd
        if apart:
            book.desk.evaluate()
    for _ in range(60):
        book.say()
    if first == "told":
        book.cash += usd
    else:
        book.desk.tell(report)
        if apart:
            book.desk.evaluate()
    book.say().say(200.0)
    for name in ("drawdown_ratio", "drawdown_30d_ratio"):
        assert book.weigh(name) == (pytest.approx(0.1), False), name


@pytest.mark.parametrize(
    ("missing", "why"),
    [("transfers", "transfers were never told"), ("fills", "fills were never told"),
     ("lost", "x/ledger is lost")],
)  # fmt: skip
def test_what_nobody_could_tell_is_unknown(missing: str, why: str) -> None:
    """And no suspicion: a real loss must be able to cut."""
    book = Book().say()
    book.size, book.cash = 10.0, book.cash - 1000.0
    book.say()
    account = book.desk.engine.state.venues[HL].accounts["main"]
    if missing == "transfers":
        account.ledger.transfers_seen.seen_ns = 0
    elif missing == "fills":
        account.fills_seen.seen_ns = 0
    else:
        book.desk.open("x/ledger").lose("x/ledger")
    book.move(-20_000.0, told=False)
    book.say().say().say()
    assert book.suspect is None
    assert why in book.desk.why(SUSPECT, book.subject)
    assert book.weigh("drawdown_ratio") == (pytest.approx(0.2), False)


def test_suspicion_outlives_blindness_and_a_restart() -> None:
    """Absence explains nothing: neither silence, nor another process, nor a snapshot."""
    book = Book().say().say()
    book.move(-20_000.0, told=False)
    book.say().say()
    engine = book.desk.engine
    assert restore_snapshot(engine.snapshot()).reading(SUSPECT, book.subject) is not None
    book.desk.at(book.now_s + 4000.0).evaluate()
    assert book.suspect is True
    later = Engine(EngineSettings(accounts=((HL, "main"),)))
    later.restore((), engine.memories(), stopped_ns=book.desk.now)
    book.desk.engine, book.now_s = later, book.now_s + 4060.0
    book.desk.list_market()
    book.desk.tell(
        e.AccountModeSeen(venue=HL, channel="x", account="main", mode=AccountMode.STANDARD)
    )
    book.say().say()
    assert book.suspect is True
    assert book.reading(UNEXPLAINED) == pytest.approx(20_000.0)
    book.cash += 20_000.0
    assert book.say().suspect is False


def test_another_way_of_keeping_collateral_begins_anew() -> None:
    """What equity means changed; that is no step of it."""
    book = Book().say().say()
    book.desk.tell(
        e.AccountModeSeen(venue=HL, channel="x", account="main", mode=AccountMode.UNIFIED)
    )
    book.mode, book.cash = "unified", 250_000.0
    assert book.say().say().suspect is False


def test_funding_of_the_hour_is_told_by_the_rates_on_dydx() -> None:
    """Cash has it before or after the settlement is told; the venue's own payment replaces ours."""
    book = Book("dydx").say()
    book.trade(2_000.0, 100.0)
    book.say()
    at_ns = book.desk.ns(3600.0)
    book.say(3600.0 - book.now_s + 5.0)
    book.cash -= 1_500.0
    book.say(5.0)
    book.desk.at(book.now_s + 5.0).tell(
        e.FundingSettled(
            venue=DYDX, channel="x/funding", market="BTC-USD", funding_rate_hourly=0.0074,
            native_funding_rate=0.0074, native_funding_interval_s=3600, settled_at_ns=at_ns,
            oracle_price=100.0,
        )
    )  # fmt: skip
    book.say(4.0).say()
    assert (book.suspect, book.reading(UNEXPLAINED)) == (False, 0.0)
    payment = e.FundingPayment(
        market="BTC-USD", amount_usd=Decimal(-1500), time_ns=at_ns + SECOND_NS
    )
    book.desk.tell(
        e.FundingPaid(
            venue=DYDX, channel="x/paid", account="main", history=False, payments=(payment,)
        )
    )
    ledger = book.desk.engine.state.venues[DYDX].accounts["main"].ledger
    assert ledger.funding_usd == pytest.approx(-1500.0)
    assert book.say().suspect is False


def test_items_count_once_and_from_the_first_equity_on() -> None:
    """Told by two sources, told again after a day, or older than what riskd first read."""
    book = Book().say()
    early = book.fills(
        (
            e.FillReport(
                fill_id="old", market="BTC", size=Decimal(5), price=Decimal(100),
                time_ns=book.desk.ns(1.0),
            ),
        )
    )  # fmt: skip
    report = book.trade(10.0, 100.0, fee=1.0)
    book.desk.tell(early, report, report)
    ledger = book.desk.engine.state.venues[HL].accounts["main"].ledger
    assert (ledger.fills_usd, ledger.filled) == (-1001.0, {"BTC": 10.0})
    book.say(90_000.0)
    book.trade(-10.0, 100.0)
    assert list(ledger.fill_ids) == ["f2"]
    book.desk.at(book.now_s + 1.0).tell(report)
    assert ledger.filled == {"BTC": 0.0}


def test_an_id_that_is_dropped_for_room_is_not_counted_again() -> None:
    """More fills within a day than ids are remembered, and the first told again: what is as old as
    the newest dropped is not counted; what is newer is."""
    ledger = LedgerTotals(since_ns=1)
    now = 10 * SECOND_NS

    def fill(number: int) -> None:
        ledger.fill(
            e.FillReport(
                fill_id=str(number), market="BTC", size=Decimal(1), price=Decimal(1),
                time_ns=now + number,
            ),
            now + number,
        )  # fmt: skip

    for number in range(ITEMS_MAX + 10):
        fill(number)
    for number in range(12):
        fill(number)
    assert ledger.filled == {"BTC": float(ITEMS_MAX + 10)}
    assert len(ledger.fill_ids) == ITEMS_MAX
    fill(ITEMS_MAX + 10)
    assert ledger.filled == {"BTC": float(ITEMS_MAX + 11)}
    assert ledger.fills_from_ns == now + 10


def test_what_is_kept_of_a_suspicion_is_written_once() -> None:
    """Not at every statement that says it a little otherwise; anew where it becomes another."""
    book = Book().say()
    book.trade(100.0, 100.0)
    book.say().say()
    book.move(-20_000.0, told=False)
    book.say().say()

    def kept() -> bytes:
        return dict(book.desk.engine.memories())[f"doubt|{book.subject}"]

    first = kept()
    for usd in (0.4, -0.7, 30.0):
        book.cash += usd
        book.say()
        assert book.reading(UNEXPLAINED) != pytest.approx(20_000.0, abs=0.01)
        assert kept() == first
    book.cash -= 5_000.0
    assert book.say().suspect
    second = kept()
    assert second != first, "what was lost on top is not forgotten by a restart"
    book.cash += 24_970.3
    assert not book.say().suspect
    assert kept() not in {first, second}


def test_it_says_how_it_came_about() -> None:
    """Each part of the sum, for whoever does it again by hand."""
    rule = """
test:
  - id: equity_suspect
    for_each: account
    summary: Moved
    when: equity_unexplained_usd > 1.0 && equity_suspect > 0.5
    severity: high
"""
    book = Book(rules=rule).say().say()
    book.move(-20_000.0, told=False)
    book.say().say()
    found = book.desk.engine.explain("equity_suspect", book.subject, book.desk.now)
    assert found is not None
    steps = {one.variable: one.arithmetic for one in found.inputs}
    assert steps["equity_unexplained_usd"][-1] == "= -20,000.00 USD; up to 500.00 are overlooked"
    texts = {one.variable: one.reading.text for one in found.inputs}
    assert texts["equity_suspect"].startswith("lost 20,000 USD 10 s ago that no price, fill, ")
