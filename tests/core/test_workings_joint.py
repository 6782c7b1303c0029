"""Shocks, crash gaps and liquidations that come together, done again by hand from what is shown."""

from __future__ import annotations

import re

import pytest

from monitor.core.formulas.copula import compute_joint_student
from tests.core.by_hand import adds_up, right, worked
from tests.core.desk import MAIN, PORTFOLIO
from tests.core.test_crash_gap import DAYS_7, HOUR_S
from tests.core.test_crash_gap import desk as gap_desk
from tests.core.test_crash_gap import prices as gap_prices
from tests.core.test_joint import JOINT, LONG, OTHER, SHORT
from tests.core.test_joint import desk as joint_desk
from tests.core.test_passage import hedged as twins
from tests.core.test_shocks import hedged, two

SURVIVAL, STRESSED = "hedge_survival_ratio", "accounts_stressed_count"


@pytest.mark.parametrize(
    "name", ["liquidation_uniform_move_ratio", "liquidation_hedge_break_ratio"]
)
def test_a_shock_is_equity_less_maintenance_over_what_it_loses(name: str) -> None:
    """The sheet's account: -13.8 % of BTC and as much up in ETH, each position with what it
    loses."""
    lines = adds_up(hedged(), name, MAIN)
    assert lines[0].endswith("lost by a move of 100 %: 120,000.00 (BTC) + 60000 (ETH) = 180,000.00")
    assert "(equity - maintenance at -13.8 %" in lines[1]


def test_gone_equity_is_said() -> None:
    """Nothing is divided."""
    _, lines = worked(hedged(5_400.0), "liquidation_uniform_move_ratio", MAIN)
    assert lines == ("equity 5400 of the cross pool is at or below its maintenance 5400",)


def test_what_nothing_liquidates_is_said() -> None:
    """A pool without a position against another has nothing to break."""
    desk = gap_desk().positions(("SOL", 1.0)).money(1_000)
    desk.evaluate()
    _, lines = worked(desk, "liquidation_uniform_move_ratio", MAIN)
    assert lines == ("no move of all prices by 1000 % or less liquidates",)


@pytest.mark.parametrize(
    ("second", "count"), [pytest.param(181.0, 2, id="both"), pytest.param(999.0, 1, id="one")]
)
def test_stressed_accounts_are_named_with_their_usage(second: float, count: int) -> None:
    """Each is a division at or above 0.8, and there are as many as the value says."""
    value, lines = worked(two(181.0, second), STRESSED, PORTFOLIO)
    results = right(lines)
    assert value == count == len([one for one in results if one >= 0.8])
    assert lines[0].startswith("hyperliquid/main, cross pool after -15 %, maintenance / equity: ")
    assert lines[-1] == f"{count} of 2 accounts at 0.8 or more after it"


def test_none_stressed_shows_the_nearest() -> None:
    """Nobody at the limit is no reason to show nothing."""
    value, lines = worked(two(999.0, 500.0), STRESSED, PORTFOLIO)
    assert value == 0.0
    assert lines[0].startswith("hyperliquid/second, cross pool after ")
    assert len(right(lines)) == 1


@pytest.mark.parametrize("books", [(LONG, LONG), (LONG, SHORT), (LONG, OTHER)])
def test_both_at_once_is_the_copula_of_what_is_shown(
    books: tuple[tuple[tuple[str, float], ...], ...],
) -> None:
    """Chances and correlation as printed give the joint chance as printed, which is the value."""
    value, lines = worked(joint_desk(*books), JOINT, PORTFOLIO)
    correlation, _ = right(lines)
    chances = [float(one) for one in re.findall(r"([\d.e-]+) \(hyperliquid", lines[0])]
    (both,) = [float(one) for line in lines for one in re.findall(r": ([\d.e-]+), at most", line)]
    assert len(chances) == 2
    assert both == pytest.approx(value, rel=1e-7)
    assert compute_joint_student(*chances, correlation) == pytest.approx(both, rel=1e-4)


def test_of_three_accounts_the_chance_of_any_two_is_the_last_line() -> None:
    """And is the value."""
    value, lines = worked(joint_desk(LONG, LONG, OTHER), JOINT, PORTFOLIO)
    assert lines[-1] == f"two or more of 3, by one common factor: {value:.8g}"


def test_one_account_alone_goes_with_nobody() -> None:
    """Said in words beside its own chance."""
    value, lines = worked(joint_desk(LONG), JOINT, PORTFOLIO)
    assert value == 0.0
    assert lines[-1] == "fewer than two accounts at 0.01 % or more: 0"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        pytest.param(
            (("BTC", 800.0), ("SOL", -100.0)),
            "lost, all down: 0.15 x 800 (BTC) - 0.3 x 100 (SOL) = 90",
            id="long, which a fall takes",
        ),
        pytest.param(
            (("BTC", 200.0), ("SOL", -400.0)),
            "lost, all up: 0.3 x 400 (SOL) - 0.15 x 200 (BTC) = 90",
            id="short, which a rise takes",
        ),
    ],
)
def test_the_crash_gap_names_what_loses_and_what_gains(
    held: tuple[tuple[str, float], ...], said: str
) -> None:
    """BTC 15 %, others 30 %, over equity."""
    made = gap_desk().positions(*held).money(1_000)
    made.evaluate()
    lines = adds_up(made, "crash_gap_loss_ratio", PORTFOLIO)
    assert lines[0] == said


def test_spare_collateral_is_shown_now_and_at_its_least() -> None:
    """An hour of need a day ago: now it is as before, and the least counts."""
    made = gap_desk()
    for hour in range(DAYS_7 + 24):
        size = 2_000.0 if hour == DAYS_7 else 100.0
        gap_prices(made.at(hour * HOUR_S)).positions(("SOL", size)).money(1_000.0).evaluate()
    value, lines = worked(made, "collateral_spare_7d_ratio", MAIN)
    assert value == pytest.approx(0.35)
    assert right(lines) == pytest.approx([30.0, 0.9675])
    assert lines[-1] == f"the least of 7 days counts (0 to 1): {value:.8g}"


def test_a_hedge_survives_the_move_while_its_profit_travels() -> None:
    """Of the nearer leg; the other one is beside it."""
    lines = adds_up(twins(0.05), SURVIVAL, PORTFOLIO)
    assert "(dydx/main/BTC-USD)" in lines[0]
    assert lines[0].index("dydx") < lines[0].index("hyperliquid")
    assert "in the 3600 s that profit travels" in lines[1]
