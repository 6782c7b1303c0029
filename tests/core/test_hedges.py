"""Hedge sets: mismatch with its clock, lost legs with their proof, and silence where none are."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.engine import restore_snapshot
from monitor.core.settings import EngineSettings
from monitor.core.structure import HedgeSet, StructureSettings
from monitor.core.types import FillKind, SubjectKind, hedge_set_subject, position_subject
from monitor.rulebook import builtin_files
from tests.core.desk import DYDX, HL, START_NS, Desk

BTC_SET = hedge_set_subject("btc")
MISMATCH, LOST, TAKEN = "hedge_mismatch_ratio", "hedge_legs_lost", "hedge_leg_taken"
ACCOUNTS = ((HL, "main"), (DYDX, "main"))
SET = HedgeSet(name="btc", legs=((HL, "main", "BTC"), (DYDX, "main", "BTC-USD")))
SETTINGS = EngineSettings(accounts=ACCOUNTS, structure=StructureSettings(hedge_sets=(SET,)))
RULES = dict(builtin_files())["structure.yaml"]


class Hedge(Desk):
    """Long here, short there, at 100 000 a coin, told again as often as asked."""

    def __init__(self, long: float = 1.0, short: float = 0.93, *, rules: str = RULES) -> None:
        super().__init__(settings=SETTINGS, rules=rules)
        self.long, self.short = long, short
        self.list_market().list_market("BTC-USD", DYDX)
        self.again()

    def again(self, *, hyperliquid: bool = True, dydx: bool = True) -> Hedge:
        """Prices, positions by stream and re-read, money and that fills are heard of."""
        if hyperliquid:
            self.context(mark_price=100_000.0, oracle_price=100_000.0)
            for source in ("stream", "truth"):
                self.positions(("BTC", self.long), source=source)
            self.money(50_000.0)
            self.fills()
        if dydx:
            self.context("BTC-USD", DYDX, oracle_price=100_000.0)
            for source in ("stream", "truth"):
                self.positions(("BTC-USD", -self.short), venue=DYDX, source=source)
            self.money(cash=150_000.0, venue=DYDX)
            self.fills(venue=DYDX)
        self.evaluate()
        return self

    def fills(
        self,
        *fills: tuple[str, float],
        kind: FillKind = FillKind.TRADE,
        venue: str = HL,
        history: bool = False,
        ago_s: float = 0.0,
    ) -> Hedge:
        """(id, signed size) each, of the leg of a venue."""
        self.tell(
            e.FillsReported(
                venue=venue,
                channel=f"{venue}/fills/main",
                account="main",
                history=history,
                fills=tuple(
                    e.FillReport(
                        fill_id=name,
                        market="BTC" if venue == HL else "BTC-USD",
                        size=Decimal(str(size)),
                        price=Decimal(100_000),
                        time_ns=self.now - round(ago_s * 1e9),
                        kind=kind,
                    )
                    for name, size in fills
                ),
            )
        )
        return self

    def through(self, first_s: int, last_s: int, step_s: int = 5) -> Hedge:
        """Everything told again every few seconds."""
        for second in range(first_s, last_s + 1, step_s):
            self.at(second)
            self.again()
        return self

    def state(self, rule: str) -> str:
        """Of a rule about the set."""
        found = {
            (one.rule, one.subject): one.state.state.value for one in self.engine.rule_states()
        }
        return found[rule, BTC_SET]


# --------------------------------------------------------------------------------- mismatch


def test_section_9_mismatch() -> None:
    """+100 000/-93 000 is 3.6 % and fine; +100 000/-85 000 is 8.1 % and fires after 60 s."""
    desk = Hedge(1.0, 0.93).through(5, 300)
    assert desk.value(MISMATCH, BTC_SET) == pytest.approx(7 / 193)
    assert desk.state("hedge_mismatch") == "inactive"
    desk.short = 0.85
    desk.at(305).again()
    assert desk.value(MISMATCH, BTC_SET) == pytest.approx(0.081, abs=0.0005)
    assert desk.state("hedge_mismatch") == "pending"
    desk.through(310, 360)
    assert desk.state("hedge_mismatch") == "pending"
    desk.at(365).again()
    assert desk.state("hedge_mismatch") == "firing"
    assert desk.state("hedge_mismatch_critical") == "inactive"


def test_more_than_15_percent_is_critical() -> None:
    """+100 000/-70 000 is 17.6 %; nobody else took the leg."""
    desk = Hedge(1.0, 0.70).through(5, 60)
    assert desk.state("hedge_mismatch_critical") == "firing"
    assert desk.state("leg_lost") == "inactive"


def test_the_page_names_the_legs() -> None:
    """With what each is worth."""
    desk = Hedge(1.0, 0.85).through(5, 55)
    told = desk.at(60).context(mark_price=100_000.0, oracle_price=100_000.0).evaluate().transitions
    (one,) = [one for one in told if one.rule == "hedge_mismatch"]
    assert "dydx/main/BTC-USD -85 000, hyperliquid/main/BTC +100 000" in one.description


def test_dust_is_no_hedge() -> None:
    """What is left of a closed set does not wake anybody."""
    desk = Hedge(0.0009, 0.0).through(5, 120)
    assert desk.value(MISMATCH, BTC_SET) == 1.0
    assert desk.state("hedge_mismatch") == "inactive"
    assert desk.state("hedge_mismatch_critical") == "inactive"


def test_a_set_that_is_not_put_on_is_flat() -> None:
    """Known to be nothing."""
    desk = Hedge(0.0, 0.0)
    assert desk.value(MISMATCH, BTC_SET) == 0.0
    assert desk.value("hedge_gross_usd", BTC_SET) == 0.0


def test_a_dark_leg_is_unknown_and_ends_nothing() -> None:
    """Never flat, never mismatched; what fires goes on firing."""
    desk = Hedge(1.0, 0.85).through(5, 70)
    assert desk.state("hedge_mismatch") == "firing"
    for second in range(75, 200, 5):
        desk.at(second).again(dydx=False)
    assert desk.value(MISMATCH, BTC_SET) is None
    assert desk.value("hedge_net_usd", BTC_SET) is None
    assert "account:dydx/main" in desk.why(MISMATCH, BTC_SET)
    assert desk.state("hedge_mismatch") == "firing"


def test_a_price_that_freezes_or_fails_opens_no_hedge() -> None:
    """One price per asset: 1.0 and 1.0 stay flat while the venues disagree by a fifth, and while
    one of them tells no price."""
    desk = Hedge(1.0, 1.0)
    desk.at(5).context("BTC-USD", DYDX, oracle_price=120_000.0).evaluate()
    assert desk.value(MISMATCH, BTC_SET) == 0.0
    for second in (10, 20, 30):
        desk.at(second).again(dydx=False)
        desk.positions(("BTC-USD", -1.0), venue=DYDX).money(cash=150_000.0, venue=DYDX)
    desk.evaluate()
    assert desk.value("notional_usd", position_subject(DYDX, "main", "BTC-USD")) is None
    assert desk.value(MISMATCH, BTC_SET) == 0.0


def test_an_asset_without_any_price_is_unknown() -> None:
    """Both accounts are heard of, neither market is: who knows what is hedged."""
    desk = Hedge(1.0, 1.0)
    for second in (10, 20, 30):
        desk.at(second).positions(("BTC", 1.0)).money(50_000.0)
        desk.positions(("BTC-USD", -1.0), venue=DYDX).money(cash=150_000.0, venue=DYDX)
    desk.evaluate()
    assert desk.value(MISMATCH, BTC_SET) is None
    assert "no fresh price of dydx/main/BTC-USD" in desk.why(MISMATCH, BTC_SET)


def test_an_account_that_was_never_heard_of_is_unknown() -> None:
    """A set over an account that is not there is not flat."""
    desk = Desk(
        settings=EngineSettings(
            accounts=((HL, "main"),), structure=StructureSettings(hedge_sets=(SET,))
        )
    ).list_market()
    desk.context(mark_price=1.0).positions(("BTC", 1.0)).money(10.0).evaluate()
    assert desk.value(MISMATCH, BTC_SET) is None
    assert "nothing was ever heard of account dydx/main" in desk.why(MISMATCH, BTC_SET)


def test_off_book_legs_join_by_name_until_they_expire() -> None:
    """A spot hedge of 0.15 makes 1.0 and 0.85 whole; one of another set does not."""
    desk = Hedge(1.0, 0.85)

    def declare(name: str) -> None:
        leg = e.OffBookLeg(
            asset="BTC",
            size=Decimal("-0.15"),
            expires_at_ns=START_NS + 20 * 10**9,
            hedge_set=name,
        )
        desk.tell(e.OffBookLegsDeclared(source="file", legs=(leg,))).evaluate()

    declare("eth")
    assert desk.value(MISMATCH, BTC_SET) == pytest.approx(15 / 185)
    declare("btc")
    assert desk.value(MISMATCH, BTC_SET) == 0.0
    assert desk.value("hedge_gross_usd", BTC_SET) == pytest.approx(200_000.0)
    desk.at(19).again()
    assert desk.value(MISMATCH, BTC_SET) == 0.0
    desk.at(20).evaluate()
    assert desk.value(MISMATCH, BTC_SET) == pytest.approx(15 / 185)


# -------------------------------------------------------------------------------- lost legs


@pytest.mark.parametrize("kind", [FillKind.LIQUIDATION, FillKind.DELEVERAGING, FillKind.SETTLEMENT])
def test_a_forced_fill_pages_at_once(kind: FillKind) -> None:
    """Before any position is told anew, whatever the mismatch was until then."""
    desk = Hedge(1.0, 1.0).through(5, 10)
    desk.at(11).fills(("f1", -1.0), kind=kind)
    told = desk.evaluate().transitions
    (one,) = [one for one in told if one.rule == "leg_lost"]
    assert one.severity.value == "critical"
    assert f"hyperliquid/main/BTC by {kind.value}" in one.description
    assert desk.state("leg_lost") == "firing"


def test_our_own_fill_is_no_loss() -> None:
    """Closing a leg by hand leaves a mismatch, not a loss."""
    desk = Hedge(1.0, 1.0).through(5, 10)
    desk.at(11).fills(("f1", -0.6), ("f2", -0.4))
    desk.long = 0.0
    desk.through(12, 112)
    assert desk.value(LOST, BTC_SET) == 0.0
    assert desk.state("leg_lost") == "inactive"
    assert desk.state("hedge_mismatch_critical") == "firing"


@pytest.mark.parametrize(
    ("fill", "lost"),
    [
        pytest.param(("f1", -0.98), 1.0, id="our fills closed less than 99 %"),
        pytest.param(("f1", -0.99), 0.0, id="our fills closed it"),
        pytest.param(("f1", 1.0), 1.0, id="our fill was on the other side"),
        pytest.param(None, 1.0, id="no fill of ours"),
    ],
)
def test_a_leg_gone_by_position_truth(fill: tuple[str, float] | None, lost: float) -> None:
    """Stream and re-read agree that it is gone, and fills were heard of five seconds after."""
    desk = Hedge(1.0, 1.0).through(5, 20)
    desk.long = 0.0
    desk.at(21).again()
    if fill is not None:
        desk.at(22).fills(fill)
    desk.at(26).again()
    assert desk.value(LOST, BTC_SET) == lost
    assert desk.state("leg_lost") == ("firing" if lost else "inactive")


def test_a_leg_put_on_and_taken_off_within_a_minute_is_no_loss() -> None:
    """The fill that opened it does not take away from the one that closed it."""
    desk = Hedge(0.0, 0.0).through(5, 10)
    desk.at(11).fills(("open", 1.0))
    desk.long = desk.short = 1.0
    desk.at(12).again()
    desk.at(13).fills(("close", -1.0))
    desk.long = 0.0
    desk.through(14, 30, 4)
    assert desk.value(LOST, BTC_SET) == 0.0
    assert desk.state("leg_lost") == "inactive"


def test_the_stream_alone_proves_no_loss() -> None:
    """A leg that only the stream calls closed waits for the re-read."""
    desk = Hedge(1.0, 1.0).through(5, 20)
    desk.at(21).positions(("BTC", 0.0)).evaluate()
    desk.at(27).fills().evaluate()
    assert desk.state("leg_lost") == "inactive"
    desk.at(28).positions(source="truth").evaluate()
    assert desk.state("leg_lost") == "firing"


def test_fills_that_were_not_heard_of_prove_no_loss() -> None:
    """Silence of the fills' channel is no answer; its next word is."""
    desk = Hedge(1.0, 1.0).through(5, 20)
    desk.at(21)
    for source in ("stream", "truth"):
        desk.positions(source=source)
    desk.evaluate()
    desk.at(30).evaluate()
    assert desk.state("leg_lost") == "inactive"
    desk.fills().at(31).evaluate()  # it is looked at again every second
    assert desk.state("leg_lost") == "firing"


def test_the_page_ends_when_the_set_is_whole_or_gone() -> None:
    """Not before: the twin stays naked meanwhile."""
    desk = Hedge(1.0, 1.0).through(5, 10)
    desk.at(11).fills(("f1", -1.0), kind=FillKind.LIQUIDATION)
    desk.long = 0.0
    desk.through(12, 192)
    assert desk.state("leg_lost") == "firing"
    assert desk.value(TAKEN, BTC_SET) == 1.0
    # One cause, one page: the mismatch that it leaves is not told a second time.
    assert desk.state("hedge_mismatch_critical") == "inactive"
    desk.at(193).fills(("t1", 1.0), venue=DYDX)
    desk.short = 0.0
    desk.through(195, 205)
    assert desk.value(LOST, BTC_SET) == 0.0
    assert desk.state("leg_lost") == "recovering"
    desk.through(210, 505)
    assert desk.state("leg_lost") == "inactive"


def test_old_forced_fills_are_history() -> None:
    """Told at a start, of a leg that was put on again since: no page. Of one that was not: a
    page."""
    whole = Hedge(1.0, 1.0)
    whole.fills(("f1", -1.0), kind=FillKind.LIQUIDATION, history=True, ago_s=7200.0).evaluate()
    assert whole.state("leg_lost") == "inactive"
    naked = Hedge(0.1, 1.0)
    naked.fills(("f1", -0.9), kind=FillKind.LIQUIDATION, history=True, ago_s=7200.0).evaluate()
    assert naked.state("leg_lost") == "firing"
    naked.fills(("f2", -0.9), kind=FillKind.LIQUIDATION, history=True, ago_s=90_000.0)
    assert len(naked.engine.state.structure.legs["position:hyperliquid/main/BTC"].forced) == 1


def test_known_losses_outlive_blindness() -> None:
    """That nobody sees the fills now does not unsay what was seen, nor hide the mismatch."""
    desk = Hedge(1.0, 1.0).through(5, 10)
    desk.at(11).fills(("f1", -1.0), kind=FillKind.LIQUIDATION).evaluate()
    desk.at(200).evaluate()
    assert desk.value(LOST, BTC_SET) is None
    assert desk.value(TAKEN, BTC_SET) == 1.0
    assert desk.state("leg_lost") == "firing"


# ---------------------------------------------------------------------------------- the rest


def test_without_hedge_sets_nothing_is_asked_or_kept() -> None:
    """No subjects, no trails, no rule about any."""
    desk = Desk((HL, "main"), rules=RULES).list_market().context(mark_price=1.0)
    desk.positions(("BTC", 1.0)).money(10.0).evaluate()
    desk.positions(("BTC", 0.0)).evaluate()
    assert not list(desk.engine.subjects(SubjectKind.HEDGE_SET))
    assert not desk.engine.state.structure.legs
    about = {one.rule for one in desk.engine.rule_states()}
    assert about == {"lockstep", "lockstep_stressed", "signal_crossref"}  # the portfolio's own


def test_a_restored_engine_remembers_the_legs() -> None:
    """Byte for byte, with a leg lost and one traded."""
    desk = Hedge(1.0, 1.0).through(5, 10)
    desk.at(11).fills(("f1", -1.0), kind=FillKind.LIQUIDATION).evaluate()
    again = restore_snapshot(desk.engine.snapshot())
    assert again.snapshot() == desk.engine.snapshot()
    assert again.reading(LOST, BTC_SET, desk.now) is not None
    assert list(again.subjects(SubjectKind.HEDGE_SET)) == [BTC_SET]


def test_trails_are_bounded() -> None:
    """However much trades in a leg."""
    desk = Hedge(1.0, 1.0)
    for number in range(30):
        desk.fills(*[(f"{number}/{one}", 0.001) for one in range(100)])
    trail = desk.engine.state.structure.legs["position:hyperliquid/main/BTC"]
    assert len(trail.own) == 2_000
    assert "29/99" in trail.own


def test_legs_of_different_assets_are_hedged_dollar_by_dollar() -> None:
    """One coin of 100 000 against 20 of 5 000 each is flat, and open when one of them falls."""
    cross = HedgeSet(name="cross", legs=((HL, "main", "BTC"), (HL, "main", "ETH")))
    desk = Desk(
        settings=EngineSettings(
            accounts=((HL, "main"),), structure=StructureSettings(hedge_sets=(cross,))
        )
    )
    subject = hedge_set_subject("cross")
    desk.list_market().list_market("ETH").positions(("BTC", 1.0), ("ETH", -20.0)).money(1e6)
    desk.context(mark_price=100_000.0).context("ETH", mark_price=5_000.0)
    assert desk.after(MISMATCH, subject) == 0.0
    desk.at(2).context("ETH", mark_price=4_000.0)
    desk.at(4).evaluate()
    assert desk.value(MISMATCH, subject) == pytest.approx(20 / 180)
