"""How much of a book has to be unexplained before its drawdowns cut nothing, and what a person who
accepts it changes: a large account beside a small one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.decision import ActionLevel
from monitor.core.types import PORTFOLIO, AccountMode, Subject, TransferKind
from tests.core.desk import HL, HL_VENUE, Desk, account_subject

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
SPARE = account_subject(HL, "spare")
WIDE = ("drawdown_ratio", "drawdown_1h_ratio", "drawdown_30d_ratio")


class Pair:
    """``main`` holds 10,000 at 100 beside its cash, ``spare`` has cash; both stated every 10 s."""

    def __init__(
        self, main: float = 1_000_000.0, spare: float = 300.0, *, after: Pair | None = None
    ) -> None:
        self.desk = Desk((HL, "main"), (HL, "spare"))
        self.price, self.now_s = 100.0, 0.0
        if after is not None:  # in the next process
            self.price, self.now_s = after.price, after.now_s
            self.desk.at(self.now_s)
            engine = after.desk.engine
            self.desk.engine.restore((), engine.memories(), stopped_ns=self.desk.now)
        self.desk.load(LADDER).list_market()
        self.cash = {"main": main - 1_000_000.0, "spare": spare}
        self.asked: list[ActionLevel] = []
        for account in self.cash:
            self.desk.tell(
                e.AccountModeSeen(
                    venue=HL, channel="x/mode", account=account, mode=AccountMode.STANDARD
                ),
                e.FillsReported(
                    venue=HL, channel="x/fills", account=account, history=False, fills=()
                ),
                e.TransfersReported(
                    venue=HL, channel="x/ledger", account=account, history=False, transfers=()
                ),
            )
        self.say().say()

    def say(self, price: float | None = None) -> Pair:
        """Ten seconds pass, then all is stated."""
        self.price = self.price if price is None else price
        self.now_s += 10.0
        desk = self.desk.at(self.now_s).context(mark_price=self.price)
        for account, cash in self.cash.items():
            size = 10_000.0 if account == "main" else 0.0
            held = (("BTC", size),) if size else ()
            at = {"account": account, "source": "truth", "time_s": self.now_s}
            desk.positions(*held, **at, mark_price=self.price)
            desk.money(cash + size * self.price, cash=cash, **at)
        self.asked = [one.level for one in desk.evaluate().kill_requests]
        return self

    def step(self, account: str, usd: float) -> Pair:
        """Money comes or goes that nobody tells of, and is confirmed to."""
        self.cash[account] += usd
        return self.say().say()

    def transfer(self, account: str, usd: float, ago_s: float, name: str = "t1") -> Pair:
        """Told now; its money moved long ago."""
        one = e.TransferReport(
            transfer_id=name,
            amount_usd=Decimal(str(usd)),
            time_ns=self.desk.ns(self.now_s - ago_s),
            kind=TransferKind.WITHDRAWAL if usd < 0.0 else TransferKind.DEPOSIT,
        )
        self.desk.tell(
            e.TransfersReported(
                venue=HL, channel="x/ledger", account=account, history=False, transfers=(one,)
            )
        )
        return self

    def accept(self, subject: Subject) -> Pair:
        """A person knows why."""
        self.desk.tell(
            e.OperatorCommanded(
                principal="ann", verb="rebaseline", arguments=(("subject", str(subject)),)
            )
        )
        return self

    def weigh(self, name: str, subject: Subject = PORTFOLIO) -> tuple[float, bool]:
        found = self.desk.engine.reading(name, subject, self.desk.now)
        assert found is not None, self.desk.why(name, subject)
        return found.value, found.estimated

    def suspect(self, subject: Subject) -> bool:
        return self.weigh("equity_suspect", subject)[0] > 0.5

    def crash(self, price: float) -> list[ActionLevel]:
        """The price falls; what the ladder asks for within the minute."""
        self.say(price)
        return [one for _ in range(6) for one in self.say().asked]


@pytest.mark.parametrize("usd", [6.0, -6.0, -300.0], ids=["gained", "lost", "emptied"])
def test_a_spare_account_disarms_nobody_else(usd: float) -> None:
    """6 USD of 300 beside a million: the account is suspect, the book's true fall of 20 % cuts."""
    pair = Pair().step("spare", usd)
    assert pair.suspect(SPARE)
    assert not pair.suspect(HL_VENUE)
    assert not pair.suspect(PORTFOLIO)
    assert ActionLevel.CUT in pair.crash(80.0)
    for name in WIDE:
        assert pair.weigh(name) == (pytest.approx(0.2, abs=0.001), False), name
    assert not pair.weigh("drawdown_ratio", HL_VENUE)[1]


def test_a_collapse_does_not_make_little_much() -> None:
    """Of the highest equity, not of what is left: nearly all is gone, and 6 USD are still none."""
    pair = Pair().step("spare", -6.0)
    assert ActionLevel.CUT in pair.crash(0.05)
    assert pair.weigh("drawdown_ratio") == (pytest.approx(0.999, abs=0.001), False)


@pytest.mark.parametrize(
    ("usd", "estimated"), [(-5_400.0, False), (-5_600.0, True)], ids=["below", "above"]
)
def test_half_a_per_cent_of_the_highest_equity_is_the_limit(usd: float, estimated: bool) -> None:
    """Of 1,100,000 USD in two accounts."""
    pair = Pair(spare=100_000.0).step("spare", usd)
    assert pair.suspect(SPARE)
    assert (pair.suspect(HL_VENUE), pair.suspect(PORTFOLIO)) == (estimated, estimated)
    cut = pair.crash(80.0)
    assert (ActionLevel.CUT in cut) is not estimated
    for name in WIDE:
        assert pair.weigh(name)[1] is estimated, name


def test_the_sum_is_looked_at_again_when_it_grows() -> None:
    """4,000 USD are below the limit of 1,100,000, 2,000 more are above it."""
    pair = Pair(spare=100_000.0).step("spare", -4_000.0)
    assert not pair.suspect(PORTFOLIO)
    assert pair.step("spare", -2_000.0).suspect(PORTFOLIO)
    assert pair.weigh("drawdown_ratio")[1]


def test_a_gain_from_nowhere_hides_no_true_fall() -> None:
    """It makes the fall look smaller: one that is past the limit is true, and cuts. The peak does
    not contain it: when it goes again, nothing fell."""
    pair = Pair(spare=100_000.0).step("spare", 50_000.0)
    assert pair.suspect(SPARE)
    assert ActionLevel.CUT in pair.crash(80.0)
    assert pair.weigh("drawdown_ratio") == (pytest.approx(150_000 / 1_100_000), False)
    pair = Pair(spare=100_000.0).step("spare", 50_000.0).step("spare", -50_000.0)
    for name in WIDE:
        assert pair.weigh(name) == (0.0, False), name


def test_a_peak_that_a_withdrawal_lowers_lowers_the_limit() -> None:
    """5,000 USD are little of 1,100,000 and much of 900,000; the measure says what drawdowns do."""
    pair = Pair(spare=100_000.0).step("spare", -5_000.0)
    assert not pair.suspect(PORTFOLIO)
    pair.cash["main"] -= 200_000.0
    pair.transfer("main", -200_000.0, -1.0)
    for _ in range(6):
        pair.say()
    for subject, estimated in ((HL_VENUE, True), (PORTFOLIO, False)):  # that awaits its arrival
        assert pair.weigh("drawdown_ratio", subject)[1] is estimated
        assert pair.suspect(subject) is estimated


@pytest.mark.parametrize("usd", [-120_000.0, 120_000.0], ids=["lost", "gained"])
@pytest.mark.parametrize("scope", [SPARE, HL_VENUE, PORTFOLIO])
def test_who_accepts_a_step_is_not_cut_for_it(scope: Subject, usd: float) -> None:
    """12 % of the book: to every peak that contains it, it is a flow. What fell before is still
    fallen, of all but the subject itself."""
    pair = Pair(spare=200_000.0).say(94.0)  # 5 % of 1,200,000
    pair.step("spare", usd)
    assert pair.weigh("drawdown_ratio")[1] is (usd < 0.0)
    pair.accept(scope)
    assert pair.crash(94.0) == []
    for subject in (SPARE, HL_VENUE, PORTFOLIO):
        fallen = 0.0 if subject in {scope, SPARE} else 0.05
        assert pair.weigh("drawdown_ratio", subject) == (pytest.approx(fallen), False), subject
    for name in WIDE[1:]:
        fallen = 0.0 if scope == PORTFOLIO else 0.05
        assert pair.weigh(name) == (pytest.approx(fallen), False), name
    assert ActionLevel.CUT in pair.crash(75.0), "a true fall after it does cut"


def test_one_step_is_accepted_and_the_other_is_not() -> None:
    """The other still makes the book's drawdowns estimates; its explanation is measured from what
    was there before it."""
    pair = Pair(spare=200_000.0)
    pair.cash["main"] -= 60_000.0
    pair.step("spare", -120_000.0).accept(SPARE)
    assert pair.crash(100.0).count(ActionLevel.CUT) == 0
    found = pair.weigh("drawdown_ratio")
    assert found == (pytest.approx(60_000 / 1_200_000 / 0.9, abs=0.002), True)
    pair.cash["main"] += 60_000.0
    pair.say().say()
    assert pair.weigh("drawdown_ratio") == (pytest.approx(0.0), False)


def _rests(pair: Pair, fallen: float) -> None:
    """For five minutes: every peak around the accounts is where it was, nothing is suspect."""
    for _ in range(30):
        pair.say()
        assert not pair.suspect(SPARE)
    for subject in (HL_VENUE, PORTFOLIO):
        assert pair.weigh("drawdown_ratio", subject) == (pytest.approx(fallen), False), subject
    for name in WIDE[1:]:
        assert pair.weigh(name) == (pytest.approx(fallen), False), name


@pytest.mark.parametrize("usd", [-120_000.0, 120_000.0], ids=["gone", "came"])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_transfer_that_was_accepted_untold_counts_once(usd: float, parts: int) -> None:
    """Told after a person vouched for the step that it was, in one or in several."""
    pair = Pair(spare=200_000.0).say(94.0).step("spare", usd).accept(SPARE)
    _rests(pair, 0.05)
    for part in range(parts):
        pair.transfer("spare", usd / parts, ago_s=310.0, name=f"t{part}")
    _rests(pair, 0.05)
    assert pair.desk.engine.state.venues[HL].accounts["spare"].accepted == ()


@pytest.mark.parametrize(
    ("usd", "ago_s"), [(50_000.0, 310.0), (-50_000.0, -1.0)], ids=["the other way", "since then"]
)
def test_a_transfer_that_was_not_in_the_step_counts(usd: float, ago_s: float) -> None:
    """Its money moves with it."""
    pair = Pair(spare=200_000.0).say(94.0).step("spare", -120_000.0).accept(SPARE)
    _rests(pair, 0.05)
    pair.cash["spare"] += usd
    pair.transfer("spare", usd, ago_s)
    if usd > 0.0:  # it was in the equity when it was accepted, net: who can know is told
        pair.say().say()
        assert pair.suspect(SPARE)
        return
    _rests(pair, 0.05)


def test_a_step_is_as_old_as_the_statement_that_it_is_in() -> None:
    """What left between that and the person's word is no part of it."""
    pair = Pair(spare=200_000.0).step("spare", -120_000.0)
    account = pair.desk.engine.state.venues[HL].accounts["spare"]
    stated_ns = account.equity.seen_ns
    pair.desk.now += 5_000_000_000
    pair.accept(SPARE)
    assert [one.at_ns for one in account.accepted] == [stated_ns]


def test_what_is_more_than_the_step_counts_for_the_rest() -> None:
    """100,000 of 120,000 gone were accepted, for 20,000 came from elsewhere meanwhile."""
    pair = Pair(spare=200_000.0).step("spare", -100_000.0).accept(SPARE)
    _rests(pair, 0.0)
    account = pair.desk.engine.state.venues[HL].accounts["spare"]
    assert account.flow_total_usd == -100_000.0
    pair.transfer("spare", -120_000.0, ago_s=310.0)
    assert account.flow_total_usd == account.external_total_usd == -120_000.0


def test_a_restart_knows_what_was_accepted() -> None:
    """Told to the next process, it is no news either."""
    pair = Pair(spare=200_000.0).say(94.0).step("spare", -120_000.0).accept(SPARE)
    _rests(pair, 0.05)
    again = Pair(spare=80_000.0, after=pair)
    again.transfer("spare", -120_000.0, ago_s=340.0)
    _rests(again, 0.05)
