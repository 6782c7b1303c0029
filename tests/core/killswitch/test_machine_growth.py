"""What grows after a cut was done: hedges are let be, and nothing else stops a deeper cut."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from monitor.core.decision import Because
from monitor.core.killswitch.facts import PlaceOrders
from monitor.core.killswitch.levels import Level
from monitor.core.types import SECOND_NS, Subject
from tests.core.killswitch.kill_desk import ARMED, DYDX, MAIN, SIDE, START_NS, World


def cut(**more: str) -> World:
    """BTC at Hyperliquid and ETH at dYdX, cut to 70 % by a rule and contained."""
    world = World(msgspec.structs.replace(ARMED, watch_s=60.0, turnover_ratio_per_hour=None))
    world.hold(BTC="1").hold(SIDE, **{"ETH": "5", **more})
    world.ask(rule="drawdown_8", because=Because.RISK)
    world.run(60)
    assert world.stage() == "contained"
    return world


def deeper(world: World) -> None:
    """Another rule asks for 40 %."""
    at_s = (world.now - START_NS) / SECOND_NS
    seen = (at_s - 30.0, at_s)
    world.ask(rule="drawdown_12", gross_to=0.40, because=Because.RISK, epoch=at_s, seen=seen)
    world.run(60)


@pytest.mark.parametrize(
    ("more", "market", "size"),
    [
        pytest.param({}, "BTC-USD", "-0.2", id="opened"),
        pytest.param({"BTC": "-0.1"}, "BTC-USD", "-0.3", id="enlarged"),
    ],
)
def test_a_hedge_is_no_growth_and_a_lower_target_cuts_on(
    more: dict[str, str], market: str, size: str
) -> None:
    """The trading state allows it: it stops nothing, now or when another rule asks for less."""
    world = cut(**more)
    assert dict(world.machine.trading_state(world.now).hedge_allowed)["BTC"]
    world.positions[SIDE][market] = Decimal(size)
    world.run(150)
    assert world.stage() == "contained"
    assert not any("grown" in one.summary for one in world.notices)
    deeper(world)
    assert world.stage() == "contained"
    assert Decimal(world.sizes(SIDE)["ETH-USD"]) <= 2


@pytest.mark.parametrize(
    ("market", "size"),
    [
        pytest.param("BTC-USD", "0.2", id="more of the same side"),
        pytest.param("BTC-USD", "-1.4", id="as much on the other side"),
        pytest.param("xyz:GOLD-USD", "20", id="what nothing else holds"),
    ],
)
def test_what_no_hedge_is_stays_a_residual_and_a_lower_target_cuts_it(
    market: str, size: str
) -> None:
    """A person or a lower target takes it; until then it is said and nothing is sent."""
    world = cut()
    world.positions[SIDE][market] = Decimal(size)
    placed = len(world.sent(PlaceOrders))
    world.run(300)
    assert (world.stage(), len(world.sent(PlaceOrders))) == ("incomplete", placed)
    assert f"{market} {size} after 0" in world.notices[-1].description
    assert "stopped" not in world.notices[-1].description
    deeper(world)
    assert world.stage() == "contained"
    assert abs(Decimal(world.sizes(SIDE)[market])) < abs(Decimal(size))


def test_a_hedge_of_a_leg_that_is_dark_is_not_known_to_be_one() -> None:
    """Nobody knows the net then; the trading state forbids it, too."""
    world = cut()
    world.dark = (MAIN,)
    world.positions[SIDE]["BTC-USD"] = Decimal("-0.2")
    world.run(150)
    assert world.stage() == "incomplete"
    assert f"{DYDX}/main: opened or enlarged" in world.notices[-1].description


def test_nothing_is_a_hedge_under_flatten() -> None:
    """It wants nothing held, whatever the net is."""
    world = World(msgspec.structs.replace(ARMED, watch_s=60.0)).hold(BTC="1")
    world.hold(SIDE, ETH="5")
    world.pull(Level.FLATTEN, scope=Subject("venue:dydx"))
    world.run(60)
    world.positions[SIDE]["BTC-USD"] = Decimal("-0.2")
    world.run(150)
    assert world.stage(Subject("venue:dydx")) == "incomplete"
