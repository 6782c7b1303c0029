"""Strategies: profit by the hour, and whether all of them move as one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.engine import Engine
from monitor.core.formulas.structure import choose_stressed_hours
from monitor.core.settings import EngineSettings
from monitor.core.state.series import HOUR_NS
from monitor.core.structure import Strategy, StructureSettings
from monitor.core.types import PORTFOLIO, TransferKind, strategy_subject
from monitor.rulebook import builtin_files
from tests.core.desk import HL, Desk

CARRY, BASIS = strategy_subject("carry"), strategy_subject("basis")
PNL, LOCKSTEP = "strategy_pnl_1h_usd", "strategies_correlation"
BY_ACCOUNT = (
    Strategy(name="carry", accounts=((HL, "main"),)),
    Strategy(name="basis", accounts=((HL, "second"),)),
)
RULES = dict(builtin_files())["structure.yaml"]


def desk_of(*strategies: Strategy, engine: Engine | None = None) -> Desk:
    """At the beginning of an hour."""
    settings = EngineSettings(
        accounts=((HL, "main"), (HL, "second")),
        structure=StructureSettings(strategies=strategies),
    )
    desk = Desk(settings=settings, engine=engine)
    desk.now += -desk.now % HOUR_NS
    return desk


def tell(desk: Desk, main: float, second: float) -> Desk:
    """Equity of both accounts, now."""
    desk.positions().money(main)
    desk.positions(account="second").money(second, account="second")
    desk.evaluate()
    return desk


def later(desk: Desk, hours: float) -> Desk:
    """Time passes."""
    desk.now += round(hours * HOUR_NS)
    return desk


def play(desk: Desk, hours: int, pattern: tuple[float, ...], other: tuple[float, ...]) -> None:
    """Equities that go up and down by these, hour by hour."""
    main, second = 1_000.0, 1_000.0
    for hour in range(hours):
        tell(desk, main, second)
        main += pattern[hour % len(pattern)]
        second += other[hour % len(other)]
        later(desk, 1)
    tell(desk, main, second)


def test_profit_of_an_hour_is_the_change_of_equity() -> None:
    """From the beginning of an hour to the beginning of the next."""
    desk = tell(desk_of(*BY_ACCOUNT), 100.0, 50.0)
    assert desk.value(PNL, CARRY) is None
    assert "not known from end to end" in desk.why(PNL, CARRY)
    tell(later(desk, 0.5), 400.0, 50.0)
    tell(later(desk, 0.5), 103.0, 48.0)
    assert desk.value(PNL, CARRY) == pytest.approx(3.0)
    assert desk.value(PNL, BASIS) == pytest.approx(-2.0)


def test_transfers_are_no_profit() -> None:
    """A deposit in the hour is taken out."""
    desk = tell(desk_of(*BY_ACCOUNT), 100.0, 50.0)
    later(desk, 0.5)
    transfer = e.TransferReport(
        transfer_id="t",
        amount_usd=Decimal(1_000),
        time_ns=desk.now,
        kind=TransferKind.DEPOSIT,
    )
    desk.tell(
        e.TransfersReported(
            venue=HL, channel=f"{HL}/flows", account="main", history=False, transfers=(transfer,)
        )
    )
    tell(later(desk, 0.5), 1_103.0, 50.0)
    assert desk.value(PNL, CARRY) == pytest.approx(3.0)


def test_an_hour_with_an_unknown_end_is_left_out() -> None:
    """Not zero, and not spread over two."""
    desk = tell(desk_of(*BY_ACCOUNT), 100.0, 50.0)
    later(desk, 1).evaluate()  # nothing told: too old
    tell(later(desk, 0.2), 140.0, 50.0)
    assert desk.value(PNL, CARRY) is None
    tell(later(desk, 0.8), 141.0, 50.0)
    assert desk.value(PNL, CARRY) is None
    tell(later(desk, 1), 142.0, 50.0)
    assert desk.value(PNL, CARRY) == pytest.approx(1.0)


def test_assets_earn_by_what_was_held_as_the_hour_began() -> None:
    """Two coins that rise by 10 are 20, whatever is traded meanwhile; others are not in it."""
    desk = desk_of(Strategy(name="carry", assets=("BTC",)))
    for market in ("BTC", "ETH"):
        desk.list_market(market)

    def say(btc: float, size: float) -> None:
        desk.context(mark_price=btc, oracle_price=btc)
        desk.context("ETH", mark_price=btc * 2, oracle_price=btc * 2)
        desk.positions(("BTC", size), ("ETH", 5.0))
        tell_rest = desk.money(1_000.0)
        tell_rest.positions(account="second").money(10.0, account="second")
        desk.evaluate()

    say(100.0, 2.0)
    later(desk, 0.5)
    say(104.0, 7.0)
    later(desk, 0.5)
    say(110.0, 7.0)
    assert desk.value(PNL, CARRY) == pytest.approx(20.0)
    later(desk, 1)
    say(109.0, 0.0)
    assert desk.value(PNL, CARRY) == pytest.approx(-7.0)


def test_lockstep_needs_a_week_and_says_how_far_it_is() -> None:
    """167 hours are not enough, 168 are; both earn in the same hours."""
    desk = desk_of(*BY_ACCOUNT)
    desk.load(RULES)
    play(desk, 167, (5.0, -3.0, 1.0), (10.0, -6.0, 2.0))
    assert desk.value(LOCKSTEP, PORTFOLIO) is None
    assert "167 of 168 hours known that each two of carry, basis share" in desk.why(
        LOCKSTEP, PORTFOLIO
    )
    last = desk.engine.state.structure.profits
    tell(later(desk, 1), 10_000.0, 20_000.0)
    assert len(last["carry"].changes()) == 168
    assert desk.value(LOCKSTEP, PORTFOLIO) == pytest.approx(1.0, abs=0.01)
    tell(later(desk, 1), 10_000.0, 20_000.0)
    tell(later(desk, 1), 10_000.0, 20_000.0)
    found = {one.rule: one.state.state.value for one in desk.engine.rule_states()}
    assert found["lockstep"] == "firing"


STRESSED = "strategies_stressed_correlation"


def move_market(desk: Desk, hours: int, every: int) -> None:
    """The market stood still for so many hours up to now, but for one hour in ``every``."""
    basket = desk.engine.state.basket
    newest = desk.now // HOUR_NS - 1
    for hour in range(newest - hours + 1, newest + 1):
        basket.close(hour, 0.05 * (-1) ** hour if hour % every == 0 else 1e-5)


def test_lockstep_under_stress_alone() -> None:
    """In nine hours of ten their profits have nothing in common; in the tenth, in which the market
    moves, both earn or both lose."""
    desk = desk_of(*BY_ACCOUNT)
    start = desk.now // HOUR_NS
    restless = [hour for hour in range(start, start + 260) if hour % 10 == 0]
    main = second = 1_000.0
    for hour in range(start, start + 260):
        tell(desk, main, second)
        if hour in restless:
            main += 3.0 * (-1) ** restless.index(hour)
            second += 9.0 * (-1) ** restless.index(hour)
        else:
            main += 20.0 * (-1) ** hour
            second += 20.0 * (-1) ** (hour // 2)
        later(desk, 1)
    move_market(desk, 260, 10)
    tell(desk, main, second)
    assert desk.value(STRESSED, PORTFOLIO) == pytest.approx(1.0)
    overall = desk.value(LOCKSTEP, PORTFOLIO)
    assert overall is not None
    assert abs(overall) < 0.2


@pytest.mark.parametrize(
    ("hours", "known"),
    [pytest.param(239, False, id="23 hours"), pytest.param(240, True, id="24 hours")],
)
def test_too_few_restless_hours_say_nothing(hours: int, known: bool) -> None:
    """Of 240 hours of the market a tenth is 24."""
    desk = desk_of(*BY_ACCOUNT)
    play(desk, 250, (5.0, -3.0, 1.0), (10.0, -6.0, 2.0))
    move_market(desk, hours, 10)
    tell(later(desk, 0.1), 1.0, 1.0)
    assert (desk.value(STRESSED, PORTFOLIO) is not None) is known
    if not known:
        assert "23 of 24 restless hours" in desk.why(STRESSED, PORTFOLIO)


def test_stressed_hours_are_those_of_the_largest_moves() -> None:
    """Either way; of equal ones the later; a tenth, rounded down."""
    returns = dict.fromkeys(range(20), 0.001) | {3: -0.5, 7: 0.2}
    assert choose_stressed_hours(returns, share=0.1) == {3, 7}
    assert choose_stressed_hours(dict.fromkeys(range(19), 0.1), share=0.1) == {18}
    assert choose_stressed_hours({}, share=0.1) == frozenset()


def test_strategies_with_nothing_in_common_are_no_book() -> None:
    """Their profits are uncorrelated; and an old answer is none."""
    desk = desk_of(*BY_ACCOUNT)
    play(desk, 200, (5.0, -5.0), (5.0, 5.0, -5.0, -5.0))
    assert desk.value(LOCKSTEP, PORTFOLIO) == pytest.approx(0.0, abs=0.02)
    later(desk, 7).evaluate()
    assert desk.value(LOCKSTEP, PORTFOLIO) is None


def test_fewer_than_two_strategies_are_in_no_lockstep() -> None:
    """Nothing to compare is known to be nothing: no page, and nothing unknown."""
    for strategies in ((), BY_ACCOUNT[:1]):
        desk = desk_of(*strategies)
        desk.load(RULES)
        tell(desk, 1.0, 1.0)
        assert desk.value(LOCKSTEP, PORTFOLIO) == 0.0


def test_profits_outlive_a_restart_but_not_the_hour_of_it() -> None:
    """A month of hours is kept; the transfers of the process before are not in the new one's
    levels, so the hour across the restart is of neither."""
    desk = desk_of(*BY_ACCOUNT)
    play(desk, 10, (5.0, -3.0), (1.0, 2.0))
    again = desk_of(*BY_ACCOUNT)
    again.engine.restore(
        desk.engine.take_rule_rows()[0], desk.engine.memories(), stopped_ns=desk.now
    )
    again.now = desk.now + HOUR_NS
    profits = again.engine.state.structure.profits["carry"]
    assert len(profits.changes()) == 9
    tell(again, 9_999.0, 1.0)
    assert len(profits.changes()) == 9
    tell(later(again, 1), 10_000.0, 1.0)
    assert again.value(PNL, CARRY) == pytest.approx(1.0)
    assert len(profits.changes()) == 10


def test_a_transfer_that_may_not_be_in_the_equity_yet_makes_the_hour_unknown() -> None:
    """Told a minute before the hour ends; known again once it has settled."""
    desk = tell(desk_of(*BY_ACCOUNT), 100.0, 50.0)
    later(desk, 59 / 60)
    transfer = e.TransferReport(
        transfer_id="t", amount_usd=Decimal(1_000), time_ns=desk.now, kind=TransferKind.DEPOSIT
    )
    desk.tell(
        e.TransfersReported(
            venue=HL, channel=f"{HL}/flows", account="main", history=False, transfers=(transfer,)
        )
    )
    tell(later(desk, 1 / 60), 100.0, 50.0)
    assert desk.value(PNL, CARRY) is None
    assert desk.value(PNL, BASIS) == pytest.approx(0.0)
    tell(later(desk, 2 / 60), 1_101.0, 50.0)
    assert desk.value(PNL, CARRY) == pytest.approx(1.0)
