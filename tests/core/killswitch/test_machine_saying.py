"""People hear in time how a trip stands, offers end, and a first plan waits for what it needs."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.facts import (
    CancelOrders,
    Command,
    KillFact,
    PersonPulled,
    PlaceOrders,
    RearmConfirmed,
    RearmRequested,
    TimePassed,
)
from monitor.core.killswitch.levels import Level
from monitor.core.types import SECOND_NS, Side, venue_subject
from tests.core.killswitch.kill_desk import ARMED, HL, MAIN, SIDE, START_NS, World

SCOPE = venue_subject(HL)
LOOK_ON, BY_HAND, RE_ARM = "acting", "incomplete", "contained"


def limited(world: World, kind: type[Command]) -> None:
    """The venue limits one kind of command: each ends unsent after twenty seconds of trying."""
    world.refuse = lambda command: (
        world.fail(command, reason="429", retry_after_s=20.0) if isinstance(command, kind) else None
    )


def said_at(world: World) -> float | None:
    """When people were first told that it is INCOMPLETE, seconds after the trip."""
    return next(
        (
            (one.at_ns - START_NS) / SECOND_NS
            for one in world.notices
            if one.stage == BY_HAND and not one.resolved
        ),
        None,
    )


@pytest.mark.parametrize("kind", [CancelOrders, PlaceOrders], ids=lambda one: one.__name__)
def test_a_venue_that_limits_everything_is_told_within_half_a_minute(kind: type[Command]) -> None:
    """While the attempts go on, each of which takes long, and until it is done."""
    world = World().hold(BTC="1").rest("more", Side.BUY, "0.5")
    limited(world, kind)
    world.pull(Level.CUT, SCOPE)
    world.run(ARMED.say_within_s - 0.1)
    assert said_at(world) is None
    world.run(0.1)
    assert said_at(world) == ARMED.say_within_s
    assert "nothing has worked for 25 s, tried on: 429" in world.notices[-1].description
    tries = len(world.sent(kind))
    world.run(120)
    assert len(world.sent(kind)) > tries + 2
    world.refuse = lambda _: None
    world.run(120)
    assert world.stage(SCOPE) == "contained"


def test_a_venue_that_does_not_answer_is_told_while_the_command_is_out() -> None:
    """It is not waited for until the answer counts as lost."""
    world = World().hold(BTC="1")
    world.slow = {MAIN}
    world.pull(Level.CUT, SCOPE)
    world.run(ARMED.say_within_s)
    assert said_at(world) == ARMED.say_within_s
    assert len(world.steps[-1].commands) == 0


def test_what_has_an_effect_is_not_called_incomplete() -> None:
    """A cancel that goes every twenty seconds is slow work, and it is work."""
    world = World().hold(BTC="1")
    for number in range(4):
        world.rest(f"more{number}", Side.BUY, "0.5")
    world.pull(Level.REDUCE_ONLY, SCOPE)
    for _ in range(4):
        world.one()  # read
        world.now += SECOND_NS  # the pause between two attempts
        world.tell(TimePassed())
        command = world.out.pop(0)
        assert isinstance(command, CancelOrders)
        world.run(20)
        world.tell(world.carry_out(msgspec.structs.replace(command, orders=command.orders[:1])))
    assert said_at(world) is None


def test_an_account_with_nothing_to_place_is_not_called_incomplete() -> None:
    """The other is cut for a minute, each order filled in part; this one is read beside it."""
    world = World().hold(BTC="4").rest("theirs", Side.BUY, "0.01", place=SIDE)

    def partly(command: Command) -> KillFact | None:
        if not isinstance(command, PlaceOrders):
            return None
        world.now += 6 * SECOND_NS
        halves = tuple(
            msgspec.structs.replace(one, size=one.size * Decimal("0.5")) for one in command.orders
        )
        return world.carry_out(msgspec.structs.replace(command, orders=halves))

    world.refuse = partly
    world.pull(Level.CUT, gross_to=0.25)
    world.run(40)
    assert world.actions().count("plan") >= 5
    assert "account_incomplete" not in world.actions()
    assert said_at(world) is None


def test_a_notice_says_what_a_person_has_to_do() -> None:
    """Look on, act by hand, look on, re-arm: one word for each, in that order."""
    world = World().hold(BTC="1").rest("more", Side.BUY, "0.5")
    limited(world, CancelOrders)
    world.pull(Level.REDUCE_ONLY, SCOPE)
    world.run(60)
    world.refuse = lambda _: None
    world.run(120)
    world.tell(RearmRequested(principal="ann", scope=SCOPE, nonce="nonce-0001"))
    stages = [one.stage for one in world.notices]
    assert list(dict.fromkeys(stages)) == [LOOK_ON, BY_HAND, RE_ARM]
    assert stages == sorted(stages, key=[LOOK_ON, BY_HAND, RE_ARM].index)


# ------------------------------------------------------------------------------------ offers


def offered() -> World:
    """A held venue, and a person who asked to have it released."""
    world = World().hold(BTC="1")
    world.ask(ActionLevel.HOLD, rule="stale", scope=SCOPE)
    world.tell(RearmRequested(principal="ann", scope=SCOPE, nonce="nonce-0001"))
    assert world.machine.state.hold_offers
    return world


@pytest.mark.parametrize(
    ("after_s", "kept"),
    [
        pytest.param(120.0, True, id="it is good to the last moment"),
        pytest.param(120.1, False, id="and gone after it"),
    ],
)
def test_an_offer_to_release_a_hold_ends_by_itself(after_s: float, kept: bool) -> None:
    """The machine wakes for it, and the state that is kept has it no more."""
    world = offered()
    world.run(after_s)
    assert bool(world.machine.state.hold_offers) is kept
    world.end(rule="stale")  # else it would be held again at once, and nobody may
    step = world.tell(RearmConfirmed(principal="ann", nonce="nonce-0001", reason="mended"))
    assert ("no longer held" in step.answer) is kept


def test_an_offer_goes_with_its_hold() -> None:
    """What was released by itself cannot be released again by an old nonce."""
    world = World(msgspec.structs.replace(ARMED, hold_release_s=10.0)).hold(BTC="1")
    world.ask(ActionLevel.HOLD, rule="stale", scope=SCOPE)
    world.tell(RearmRequested(principal="ann", scope=SCOPE, nonce="nonce-0001"))
    world.end(rule="stale")
    world.run(10)
    assert not world.machine.state.holds
    assert not world.machine.state.hold_offers


# ------------------------------------------------------------------------------ the first plan


class Starting(World):
    """A riskd that knows accounts before markets. ``knows`` is what the feeds told of them."""

    knows = False

    def book(self) -> Book:
        """Without lot rules and prices as long as no list of markets has come."""
        book = super().book()
        return book if self.knows else msgspec.structs.replace(book, instruments=(), quotes=())


def starting() -> Starting:
    """A cut whose account was read."""
    world = Starting().hold(BTC="1")
    world.tell(
        PersonPulled(
            pull_id="pull-1", principal="ann", channel="cli", scope=SCOPE, level=Level.CUT,
            reason="drill", gross_to_ratio=0.7,
        )
    )  # fmt: skip
    world.work()
    assert not world.sent(PlaceOrders)
    return world


def test_a_first_plan_waits_for_lot_rules() -> None:
    """It is made within a second of their coming, and nothing is called incomplete meanwhile."""
    world = starting()
    world.run(2.4)
    assert "plan" not in world.actions()
    assert world.stage(SCOPE) == "executing"
    world.knows = True
    world.run(1.0)
    assert world.sent(PlaceOrders)
    assert said_at(world) is None


def test_a_first_plan_does_not_wait_for_ever() -> None:
    """What the venue does not list is said after the wait for the other accounts."""
    world = starting()
    world.run(ARMED.plan_wait_s - 0.1)
    assert "plan" not in world.actions()
    world.run(0.1)
    assert "plan" in world.actions() or "plan_failed" in world.actions()
    assert world.stage(SCOPE) == "incomplete"
