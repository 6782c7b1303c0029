"""Money on its way: between venues by a wallet, and over a restart. It is neither loss nor gain."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.engine import Engine
from monitor.core.settings import EngineSettings
from monitor.core.types import TransferKind
from tests.core.desk import DYDX, HL, MAIN, PORTFOLIO, Desk

SETTINGS = EngineSettings(accounts=((HL, "main"), (DYDX, "main")))
HOUR = 3600


def transfer(desk: Desk, name: str, usd: float, venue: str = HL, at_s: float | None = None) -> None:
    """As the venues tell a wallet: its other side is not known to be ours."""
    kind = TransferKind.WITHDRAWAL if usd < 0 else TransferKind.DEPOSIT
    time_ns = desk.now if at_s is None else desk.ns(at_s)
    row = e.TransferReport(
        transfer_id=name, amount_usd=Decimal(str(usd)), time_ns=time_ns, kind=kind
    )
    desk.tell(
        e.TransfersReported(
            venue=venue,
            channel=f"{venue}/ledger/main",
            account="main",
            history=False,
            transfers=(row,),
        ),
    )


def state(desk: Desk, hl: float, dydx: float) -> float:
    """Both equities, then the portfolio's drawdown."""
    desk.positions().money(hl, cash=hl)
    desk.positions(venue=DYDX).money(dydx, cash=dydx, venue=DYDX)
    found = desk.after("drawdown_ratio", PORTFOLIO)
    assert found is not None
    return found


def book() -> Desk:
    """100 000 over two venues, then a loss of 4.5 %."""
    desk = Desk(settings=SETTINGS).list_market().list_market("BTC-USD", DYDX)
    state(desk, 50_000, 50_000)
    assert state(desk.at(10), 50_000, 45_500) == pytest.approx(0.045)
    return desk


def resumed(desk: Desk) -> Desk:
    """The next process, an instant later."""
    again = Desk(engine=Engine(SETTINGS))
    again.engine.restore((), desk.engine.memories(), stopped_ns=desk.now)
    again.now = desk.now + 1
    return again.list_market().list_market("BTC-USD", DYDX)


@pytest.mark.parametrize("arrives", [40_000.0, 39_960.0], ids=["whole", "less fees"])
@pytest.mark.parametrize("restart", [False, True], ids=["one process", "restarted in between"])
def test_a_wallet_between_venues_is_no_loss(arrives: float, restart: bool) -> None:
    """Forty per cent of the book on its way from one venue to another leaves 4.5 % at 4.5 %, from
    the telling of the one half until long after the other."""
    desk = book().at(20)
    transfer(desk, "out", -40_000, DYDX)
    fee = (40_000 - arrives) / 100_000
    found = [state(desk, 50_000, 5_500), state(desk.at(200), 50_000, 5_500)]
    if restart:
        desk = resumed(desk)
        found.append(state(desk, 50_000, 5_500))
    desk.at(600)
    transfer(desk, "in", arrives)
    found.append(state(desk, 50_000, 5_500))  # told, not shown yet
    found.append(state(desk.at(601), 50_000 + arrives, 5_500))
    assert found == pytest.approx([0.045] * len(found), abs=fee + 1e-9)
    late = [state(desk.at(hour * HOUR), 50_000 + arrives, 5_500) for hour in (1, 7, 30)]
    assert late == pytest.approx([0.045, 0.045 + fee, 0.045 + fee], abs=fee + 1e-9)
    assert state(desk.at(30 * HOUR + 1), 46_500 + arrives, 5_500) == pytest.approx(0.08 + fee)


def test_a_real_loss_shows_while_money_is_on_its_way() -> None:
    """In transit is counted as ours, and what is lost is lost."""
    desk = book().at(20)
    transfer(desk, "out", -40_000, DYDX)
    state(desk, 50_000, 5_500)
    assert state(desk.at(300), 40_000, 5_500) == pytest.approx(0.145)


@pytest.mark.parametrize("restart", [False, True], ids=["one process", "restarted in between"])
def test_what_never_arrives_was_external(restart: bool) -> None:
    """After the limit the peak shrinks by it, once, whoever is there to see it."""
    desk = book().at(20)
    transfer(desk, "out", -40_000, DYDX)
    state(desk, 50_000, 5_500)
    assert state(desk.at(21_619), 50_000, 5_500) == pytest.approx(0.045)
    if restart:
        desk = resumed(desk)
    for second in (21_621, 50_000):
        assert state(desk.at(second), 50_000, 5_500) == pytest.approx(0.045)
    desk = resumed(desk)
    assert state(desk, 50_000, 5_500) == pytest.approx(0.045)
    assert state(desk.at(50_001), 50_000, 2_500) == pytest.approx(1 - 0.955 * 52.5 / 55.5)


@pytest.mark.parametrize(
    ("arrives", "ours"),
    [(39_960.0, True), (39_959.0, False), (40_040.0, True), (40_041.0, False)],
)
def test_what_may_be_lost_on_the_way(arrives: float, ours: bool) -> None:
    """Fees of a tenth of a per cent; what differs by more is another transfer."""
    desk = book().at(20)
    transfer(desk, "out", -40_000, DYDX)
    transfer(desk, "in", arrives)
    accounts = [venue.accounts["main"] for venue in desk.engine.state.venues.values()]
    assert all(one.recent_flows[0].own is ours for one in accounts)


def test_a_deposit_told_before_its_withdrawal() -> None:
    """Whichever history is read first."""
    desk = book().at(20)
    transfer(desk, "in", 40_000)
    state(desk, 90_000, 5_500)
    transfer(desk, "out", -40_000, DYDX)
    assert state(desk, 90_000, 5_500) == pytest.approx(0.045)
    for second in (200, 30_000):
        assert state(desk.at(second), 90_000, 5_500) == pytest.approx(0.045)


def test_a_withdrawal_that_no_other_account_could_receive_is_external_at_once() -> None:
    """One account alone has no pair."""
    desk = Desk((HL, "main")).positions().money(10_000)
    desk.evaluate()
    desk.at(10).positions().money(9_000)
    desk.evaluate()
    transfer(desk, "out", -5_000)
    desk.at(200).positions().money(4_000)
    assert desk.after("drawdown_ratio", PORTFOLIO) == pytest.approx(0.2)


def test_a_withdrawal_shown_before_and_told_after_a_restart() -> None:
    """The equity showed it to the process before, the ledger tells it to this one: counted."""
    alone = EngineSettings(accounts=((HL, "main"),))
    desk = Desk(settings=alone).at(0.001).positions().money(100_000)
    desk.evaluate()
    desk.at(50)
    transfer(desk, "told", 1_000)
    desk.positions().money(101_000)
    desk.evaluate()
    desk.at(200).positions().money(61_000)
    assert desk.after("drawdown_ratio", PORTFOLIO) == pytest.approx(40 / 101)
    again = Desk(engine=Engine(alone))
    again.engine.restore((), desk.engine.memories(), stopped_ns=desk.ns(210))
    again.at(230).positions().money(61_000)
    again.evaluate()
    transfer(again, "older than the first process", -7_000, at_s=-5)
    transfer(again, "told", 1_000, at_s=50)
    transfer(again, "untold", -40_000, at_s=199)
    again.at(500).positions().money(61_000)
    assert again.after("drawdown_ratio", PORTFOLIO) == 0.0
    assert again.value("drawdown_ratio", MAIN) == 0.0
    assert again.engine.state.venues[HL].accounts["main"].flow_total_usd == -40_000.0


def test_a_restart_keeps_what_is_on_its_way_between_own_accounts() -> None:
    """Recent transfers of configured accounts go into the next process."""
    desk = book().at(20)
    transfer(desk, "out", -40_000, DYDX)
    again = resumed(desk)
    kept = again.engine.state.venues[DYDX].accounts["main"].recent_flows
    assert [flow.amount_usd for flow in kept] == [-40_000.0]
