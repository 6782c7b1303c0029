"""What the kill part of the state says of holds and of levels beside the portfolio's."""

from __future__ import annotations

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.levels import Level
from monitor.core.types import venue_subject
from monitor.server.kill_document import kill_document
from tests.core.killswitch.kill_desk import ARMED, HL, World


def document(world: World) -> dict[str, object]:
    """As ``/v1/state`` has it."""
    return kill_document(world.machine, would_have=(), would_fire=(), problem="", now=world.now)


def test_a_hold_cancels_nothing_and_says_so_with_its_own_time() -> None:
    """The policy's seconds, and no claim that orders were cancelled."""
    world = World().hold(BTC="1")
    world.ask(ActionLevel.HOLD, scope=venue_subject(HL))
    held = document(world)["held"]
    assert isinstance(held, list)
    assert "nothing is cancelled" in held[0]["blocked"]
    assert "are cancelled" not in held[0]["blocked"]
    assert f"{ARMED.hold_release_s:g} s" in held[0]["clears"]


def test_the_highest_level_anywhere_is_told_beside_the_portfolios() -> None:
    """A venue that is halted does not hide behind a calm portfolio."""
    world = World().hold(BTC="1")
    assert document(world)["level_anywhere"] == Level.NORMAL
    world.ask(ActionLevel.HOLD, scope=venue_subject(HL))
    assert document(world)["level_anywhere"] == Level.REDUCE_ONLY
    world.pull(Level.HALT, venue_subject(HL))
    told = document(world)
    assert (told["level"], told["level_anywhere"]) == (Level.NORMAL, Level.HALT)
