"""A cut that is spread over an hour: equal slices, each measured against what is held by then."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.decision import RuleMode
from monitor.core.killswitch.execution.pace import SLICES
from monitor.core.killswitch.facts import PlaceOrders
from monitor.core.killswitch.levels import Level
from monitor.core.types import PORTFOLIO, SECOND_NS, Severity, account_subject
from tests.core.killswitch.kill_desk import MAIN, SIDE, START_NS, World

HOUR_S, SLICE_S = 3600.0, 300.0
CAP, MEASURE = "leverage_cap", "leverage_cap_target_usd"


def paced(btc: str = "2.6", usd: float = 130_000.0, *, amount: bool = True) -> World:
    """BTC at 100,000 USD, to be cut to 130,000 over an hour: 0.1 BTC a slice."""
    world = World().hold(BTC=btc)
    if amount:
        world.amounts[MEASURE, PORTFOLIO] = usd
    measure = MEASURE if amount else ""
    world.ask(rule=CAP, gross_to_usd=usd, gross_to_measure=measure, over_s=HOUR_S)
    return world


def held(world: World) -> Decimal:
    """BTC that is left."""
    return Decimal(world.sizes().get("BTC", "0"))


def to(world: World, seconds: float) -> World:
    """Work until so many seconds after the start."""
    return world.run(seconds - (world.now - START_NS) / SECOND_NS)


def test_it_is_cut_in_equal_slices_over_the_hour() -> None:
    """One at once and one each five minutes, the last when the hour is over; then it is done."""
    world = to(paced(), 10)
    for number in range(1, SLICES):
        assert held(world) == Decimal("2.6") - Decimal("0.1") * number
        assert world.stage() == "executing"
        to(world, number * SLICE_S - 5)
        assert held(world) == Decimal("2.6") - Decimal("0.1") * number
        to(world, number * SLICE_S + 10)
    assert held(world) == Decimal("1.3")
    assert world.stage() == "contained"


def test_a_share_can_be_spread_too() -> None:
    """Of the gross at the first entry."""
    world = World().hold(BTC="2.6")
    world.ask(gross_to=0.5, over_s=HOUR_S)
    to(world, 1000)
    assert held(world) == Decimal("2.2")
    assert held(to(world, HOUR_S + 10)) == Decimal("1.3")


def test_no_more_is_cut_than_is_still_above_the_cap() -> None:
    """The cap rose, or the desk cut by itself: what is enough is enough, to the end."""
    world = to(paced(), 10)
    world.amounts[MEASURE, PORTFOLIO] = 240_000.0
    to(world, HOUR_S + 10)
    assert held(world) == Decimal("2.4")
    assert world.stage() == "contained"
    by_hand = to(paced(), 10)
    by_hand.hold(BTC="1.9")
    assert held(to(by_hand, 1750)) == Decimal("1.9")
    assert held(to(by_hand, HOUR_S + 10)) == Decimal("1.3")


def test_what_was_asked_for_is_not_passed_when_the_cap_falls() -> None:
    """A lower cap is a new episode of the rule, with its own word of a person."""
    world = to(paced(), 10)
    world.amounts[MEASURE, PORTFOLIO] = 50_000.0
    assert held(to(world, HOUR_S + 10)) == Decimal("1.3")


def test_while_the_amount_is_unknown_nothing_is_cut() -> None:
    """And as much as is due by then once it is known again."""
    world = to(paced(), 10)
    del world.amounts[MEASURE, PORTFOLIO]
    to(world, 1000)
    assert held(world) == Decimal("2.5")
    assert world.stage() == "executing"
    world.amounts[MEASURE, PORTFOLIO] = 130_000.0
    assert held(to(world, 1100)) == Decimal("2.2")


@pytest.mark.parametrize(
    ("share", "soon", "later"),
    [
        pytest.param(0.4, "1.04", "1.04", id="harder: all of it at once"),
        pytest.param(0.8, "2.02", "1.3", id="milder: so much at once and the next slice, then on"),
        pytest.param(0.99, "2.5", "1.3", id="less than was cut by then"),
    ],
)
def test_what_is_asked_for_at_once_does_not_wait(share: float, soon: str, later: str) -> None:
    """Another rule's cut, over the same scope."""
    world = to(paced(), 10)
    world.ask(gross_to=share)
    assert held(to(world, 40)) == Decimal(soon)
    assert held(to(world, HOUR_S + 40)) == Decimal(later)
    assert world.stage() == "contained"


@pytest.mark.parametrize("level", [Level.FLATTEN, Level.CUT])
def test_a_person_does_not_wait(level: Level) -> None:
    """A pull is at once, whatever is under way."""
    world = to(paced(), 10)
    world.pull(level, gross_to=0.3 if level is Level.CUT else None)
    assert held(to(world, 40)) == Decimal("0.78" if level is Level.CUT else "0")


def test_another_trip_has_the_account_between_slices() -> None:
    """A milder cut over an account need not wait for the hour."""
    world = paced().hold(SIDE, ETH="10")
    to(world, 10)
    world.ask(rule="margin_usage_critical", scope=account_subject(*MAIN), gross_to=0.9)
    to(world, 60)
    assert held(world) < Decimal("2.5")


@pytest.mark.parametrize("at", [12.0, 290.0, 302.0, 1500.0, 3590.0])
def test_a_restart_goes_on_where_the_clock_is(at: float) -> None:
    """Killed in the middle, also while orders are out: no slice twice, none left out."""
    world = to(paced(), at)
    before = held(world)
    world.restart()
    assert held(world.run(5)) == before
    to(world, at + SLICE_S + 5)
    expected = Decimal("2.6") - Decimal("0.1") * min(int((at + SLICE_S) // SLICE_S) + 1, SLICES)
    assert held(world) == expected
    assert held(to(world, HOUR_S + 400)) == Decimal("1.3")


def test_killed_with_a_slice_out_it_is_resolved_and_not_sent_again() -> None:
    """The order may have filled: it is found out about before the next one leaves."""
    world = paced()
    world.lose = lambda command: isinstance(command, PlaceOrders)
    world.work()
    assert held(world) == Decimal("2.5")
    world.lose = lambda _: False
    world.restart()
    world.run(60)
    assert held(world) == Decimal("2.5")


def test_between_slices_a_person_may_rearm() -> None:
    """Nothing is out: the rest is called off."""
    world = to(paced(), 400)
    assert held(world) == Decimal("2.4")
    world.end(CAP)
    world.rearm()
    assert not world.machine.state.latches
    assert held(to(world, HOUR_S + 10)) == Decimal("2.4")


def test_a_proposal_says_over_which_time() -> None:
    """And what was approved is spread."""
    world = World().hold(BTC="2.6")
    world.amounts[MEASURE, PORTFOLIO] = 130_000.0
    world.ask(
        rule=CAP, gross_to_usd=130_000.0, gross_to_measure=MEASURE, over_s=HOUR_S,
        mode=RuleMode.PROPOSE, severity=Severity.HIGH,
    )  # fmt: skip
    (proposal,) = world.machine.state.proposals.values()
    assert proposal.words.endswith(", in slices over 60 min")
    world.approve(proposal.id)
    assert held(to(world, 10)) == Decimal("2.5")
    assert "over 60 min" in world.notices[-1].summary
