"""An entry of kill.rules about a part of what a rule tripped: less is done there, and said."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.killswitch.facts import CancelOrders, PlaceOrders
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.planner import plan_cut
from monitor.core.killswitch.policy import ModeOverride
from monitor.core.types import PORTFOLIO, Severity, Side, account_subject
from tests.core.killswitch.kill_desk import ARMED, DYDX, HL, MAIN, SIDE, World

LEFT = "left by configuration: kill.rules lets funding_stress do less here"


def desk(*said: tuple[str, RuleMode], rule: str = "funding_stress", **more: object) -> World:
    """A position and an order that increases it, at each venue."""
    overrides = tuple(ModeOverride(rule=rule, mode=mode, scope=scope) for scope, mode in said)
    world = World(msgspec.structs.replace(ARMED, overrides=overrides), plan_cut, **more)
    world.hold(BTC="1").rest("more", Side.BUY, "0.5")
    return world.hold(SIDE, ETH="5").rest("side", Side.BUY, "1", market="ETH-USD", place=SIDE)


@pytest.mark.parametrize(
    "scope",
    ["venue:dydx", "account:dydx/main", "market:dydx/ETH-USD", "asset:ETH",
     "position:dydx/main/ETH-USD"],
)  # fmt: skip
@pytest.mark.parametrize("mode", [RuleMode.OBSERVE, RuleMode.PROPOSE])
def test_a_trip_leaves_alone_what_its_rule_may_not_touch(scope: str, mode: RuleMode) -> None:
    """It acts in the rest of its scope as far as that goes, and not in place of what is left."""
    world = desk((scope, mode))
    world.ask()
    world.run(60)
    assert world.sizes() == {"BTC": "0.7"}
    assert world.sizes(SIDE) == {"ETH-USD": "5"}
    assert (world.resting(), world.resting(SIDE)) == ([], ["side"])
    assert world.stage() == "incomplete"
    said = world.notices[-1].description
    assert f"dydx/main: 1 order(s) to cancel: {LEFT}" in said
    assert "ETH-USD" in said
    assert said.count(LEFT) == 2


@pytest.mark.parametrize("level", ["block_new", "halt"])
def test_orders_stay_where_the_rule_observes_and_are_named(level: str) -> None:
    """Also where nothing is cut; nothing is contained while they are there."""
    world = desk(("venue:dydx", RuleMode.OBSERVE))
    world.ask(ActionLevel(level), gross_to=None)
    world.run(60)
    assert (world.resting(), world.resting(SIDE)) == ([], ["side"])
    assert world.stage() == "incomplete"
    world.orders[SIDE].clear()
    world.run(200)
    assert world.stage() == "contained", "the desk took them away itself"


@pytest.mark.parametrize(
    "how",
    ["a person", "another rule", "approved", "a wider entry", "a narrower entry", "another's"],
)
def test_whoever_may_act_there_does(how: str) -> None:
    """An entry is about its rule, and about what it asks by itself."""
    said = {
        "approved": [("venue:dydx", RuleMode.PROPOSE)],
        "a wider entry": [("portfolio", RuleMode.ACT)],
        "a narrower entry": [("venue:dydx", RuleMode.OBSERVE), ("asset:ETH", RuleMode.ACT),
                             ("account:dydx/main", RuleMode.ACT)],
    }.get(how, [("venue:dydx", RuleMode.OBSERVE)])  # fmt: skip
    world = desk(*said, rule="another" if how == "another's" else "funding_stress")
    if how == "a person":
        world.pull(Level.CUT, gross_to=0.7)
    elif how == "another rule":
        world.ask(rule="drawdown")
    elif how == "approved":
        world.ask(mode=RuleMode.PROPOSE)
        world.approve(next(iter(world.machine.state.proposals)))
    else:
        world.ask()
    world.run(60)
    assert (world.resting(), world.resting(SIDE)) == ([], [])
    assert world.stage() == "contained"
    gross_usd = 100_000 * float(world.sizes()["BTC"])
    gross_usd += 4_000 * float(world.sizes(SIDE)["ETH-USD"])
    assert gross_usd <= 0.7 * 120_000


def test_a_rule_that_joins_a_trip_brings_no_other_where_that_one_observes() -> None:
    """One may cancel at dYdX and the other may cut at Hyperliquid: each where it may."""
    world = desk(("venue:dydx", RuleMode.OBSERVE))
    world.ask(ActionLevel.BLOCK_NEW, rule="drawdown", gross_to=None)
    world.run(30)
    assert (world.resting(), world.resting(SIDE)) == ([], [])
    world.rest("again", Side.BUY, "1", market="ETH-USD", place=SIDE)
    world.ask()
    world.run(90)
    assert world.resting(SIDE) == [], "the first one's word still holds"
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.7"}, {"ETH-USD": "5"})
    assert {c.venue for c in world.sent(PlaceOrders)} == {HL}
    assert world.stage() == "incomplete"


def test_without_hands_it_is_the_configuration_that_is_named() -> None:
    """Nobody could act there anyway, and nobody is sent there by hand."""
    world = desk(("venue:dydx", RuleMode.OBSERVE), executable=(MAIN,))
    world.ask()
    world.run(60)
    said = world.notices[-1].description
    assert LEFT in said
    assert "no executor" not in said
    assert {c.venue for c in world.sent(CancelOrders)} == {HL}
    assert DYDX in said
    assert world.latch(PORTFOLIO).level is Level.CUT


def test_an_account_that_a_halt_keeps_is_not_cut_for_by_its_neighbour() -> None:
    """Two accounts of one venue hold the same; one is halted. The other goes to its own share."""
    world = World(planner=plan_cut, executable=(MAIN, (HL, "hedge"))).hold(BTC="1")
    world.positions[HL, "hedge"], world.orders[HL, "hedge"] = {}, []
    world.hold((HL, "hedge"), BTC="1")
    world.pull(Level.HALT, scope=account_subject(HL, "hedge"))
    world.ask()
    world.run(60)
    assert world.sizes((HL, "hedge")) == {"BTC": "1"}
    assert world.sizes() == {"BTC": "0.7"}
    assert "positions are kept here by a HALT" in world.notices[-1].description


@pytest.mark.parametrize("mode", [RuleMode.OBSERVE, RuleMode.PROPOSE])
@pytest.mark.parametrize("together", [True, False], ids=["at once", "one after the other"])
def test_a_rule_brings_no_place_down_to_its_own_target_where_it_may_not_act(
    mode: RuleMode, *, together: bool
) -> None:
    """Another rule acts there, to the share that itself asked for; the rest goes further."""
    world = desk(("venue:dydx", mode), rule="drawdown_12")
    world.ask(rule="drawdown_8")
    if not together:
        world.run(60)
    world.ask(rule="drawdown_12", gross_to=0.40)
    world.run(60)
    # 70 % is of the whole book: the planner made 72,000 and 12,000 USD of it.
    assert world.sizes(SIDE) == {"ETH-USD": "3"}
    assert world.sizes() == {"BTC": "0.4"}
    assert world.stage() == "incomplete"
    assert LEFT.replace("funding_stress", "drawdown_12") in world.notices[-1].description


@pytest.mark.parametrize("also", [False, True], ids=["nothing else", "an order beside it"])
def test_what_the_desk_wants_left_is_said_once(*, also: bool) -> None:
    """Nobody is woken for it again; what else is left goes on being said."""
    world = desk(("venue:dydx", RuleMode.OBSERVE))
    if also:
        world.refuse = lambda command: (
            world.fail(command) if isinstance(command, CancelOrders) else None
        )
    world.ask()
    world.run(120)
    told = len(world.notices)
    assert LEFT in world.notices[-1].description
    assert world.notices[-1].severity is (Severity.CRITICAL if also else Severity.HIGH)
    world.run(4 * 3600)
    assert (len(world.notices) > told) is also


def test_only_what_is_said_about_a_place_is_said_of_it() -> None:
    """Another rule of the same trip is held back elsewhere; here it is not."""
    entries = (("funding_stress", "venue:dydx"), ("drawdown", "market:hyperliquid/BTC"))
    overrides = tuple(
        ModeOverride(rule=rule, mode=RuleMode.OBSERVE, scope=scope) for rule, scope in entries
    )
    world = World(msgspec.structs.replace(ARMED, overrides=overrides), plan_cut)
    # A HALT takes it away and a CUT does not.
    world.hold(BTC="1").rest("exit", Side.SELL, "0.5", reduce_only=True).hold(SIDE, ETH="5")
    world.ask(ActionLevel.HALT, rule="drawdown", gross_to=None)
    world.ask()
    world.run(60)
    assert world.latch().level is Level.HALT
    assert f"1 order(s) to cancel: {LEFT.replace('funding_stress', 'drawdown')}" in (
        world.notices[-1].description
    )

    world = World(msgspec.structs.replace(ARMED, overrides=overrides), plan_cut)
    world.hold(BTC="1").hold(SIDE, ETH="5")
    world.ask(ActionLevel.BLOCK_NEW, rule="drawdown", gross_to=None)
    world.ask()
    world.run(60)
    assert world.sizes(SIDE) == {"ETH-USD": "5"}
    assert LEFT in world.notices[-1].description
