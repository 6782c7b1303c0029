"""The kill switch from trip to CONTAINED: cancel, verify, cut, verify again, and stay latched."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.killswitch.facts import CancelOrders, PlaceOrders, ReadAccount
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.planner import plan_cut
from monitor.core.types import Severity, Side
from tests.core.killswitch.kill_desk import ARMED, HL, MAIN, SIDE, World


def storm() -> World:
    """A book with risk-increasing orders, protective stops and a position to cut."""
    return (
        World()
        .hold(BTC="1", ETH="-10")
        .rest("more", Side.BUY, "0.5")
        .rest("twap", Side.BUY, "3", twap=True)
        .rest("stop", Side.SELL, "1", reduce_only=True, trigger=True)
        .rest("profit", Side.SELL, "0.2")
        .rest("entry", Side.SELL, "5", market="ETH", trigger=True)
    )


@pytest.mark.parametrize(
    ("level", "left", "sizes"),
    [
        pytest.param(
            Level.CAUTION,
            ["more", "twap", "stop", "profit", "entry"],
            {"BTC": "1", "ETH": "-10"},
            id="CAUTION touches nothing",
        ),
        pytest.param(
            Level.REDUCE_ONLY,
            ["stop", "profit"],
            {"BTC": "1", "ETH": "-10"},
            id="REDUCE_ONLY takes what increases risk",
        ),
        pytest.param(Level.CUT, ["stop", "profit"], {"BTC": "0.7", "ETH": "-7"}, id="CUT cuts too"),
        pytest.param(
            Level.HALT, ["stop"], {"BTC": "1", "ETH": "-10"}, id="HALT takes all but triggers"
        ),
        pytest.param(Level.FLATTEN, ["stop"], {}, id="FLATTEN unwinds"),
    ],
)
def test_each_level_takes_what_is_its_and_leaves_the_rest(
    level: Level, left: list[str], sizes: dict[str, str]
) -> None:
    """Protective stops stay at every level."""
    world = storm()
    world.pull(level)
    world.run(30)
    assert (world.resting(), world.sizes()) == (left, sizes)
    assert world.stage() == "contained"


def test_a_cut_goes_through_its_states_in_order_and_says_so() -> None:
    """One audit line per state, one page key from the first word to the last."""
    world = storm()
    world.ask()
    world.run(30)
    stages = [one for one in world.actions() if one in {"tripped", "executing", "verifying"}]
    assert stages == ["tripped", "executing", "verifying"]
    assert world.actions()[-1] == "contained"
    assert len({notice.key for notice in world.notices}) == 1
    assert world.notices[0].severity is Severity.CRITICAL
    assert world.notices[-1].severity is Severity.HIGH
    assert all(len(notice.summary) <= 120 for notice in world.notices)


def test_orders_leave_only_after_the_venue_lists_no_cancelled_one_any_more() -> None:
    """Read, cancel, read again, place, read again."""
    world = storm()
    world.ask()
    world.run(30)
    kinds = [type(one).__name__ for one in world.done if (one.venue, one.account) == MAIN]
    assert kinds == ["ReadAccount", "CancelOrders", "ReadAccount", "PlaceOrders", "ReadAccount"]


def test_the_planner_of_the_house_fits() -> None:
    """A hedged pair over two venues is kept; the unpaired leg pays for the cut, in slices."""
    world = World(ARMED, plan_cut).hold(BTC="1", ETH="30").hold(SIDE, BTC="-1")
    world.ask()
    world.run(60)
    assert world.stage() == "contained"
    assert (world.sizes()["BTC"], world.sizes(SIDE)) == ("1", {"BTC-USD": "-1"})
    assert Decimal(world.sizes()["ETH"]) <= 6


def test_reading_comes_before_anything_else() -> None:
    """The first command of every account is a read."""
    world = storm()
    step = world.pull(Level.FLATTEN)
    assert [type(one) for one in step.commands] == [ReadAccount, ReadAccount]
    assert step.changed
    assert step.commands[0].venue in {HL, "dydx"}
    assert not world.sent(CancelOrders)
    assert not world.sent(PlaceOrders)
