"""``kill -9`` after every single step of a trip: nothing latched is lost, nothing is sent twice."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.errors import StoreError
from monitor.core.killswitch.facts import PlaceOrders, ResolveOrders
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.machine import pack, unpack
from monitor.core.killswitch.state import KillState
from monitor.core.types import SECOND_NS, Side
from tests.core.killswitch.kill_desk import SIDE, World

STEPS = 40  # more than a cut over two accounts takes


def storm() -> World:
    """Two accounts, orders to cancel, positions to cut."""
    world = World().hold(BTC="1").rest("more", Side.BUY, "0.5")
    return world.hold(SIDE, ETH="5").rest("side", Side.BUY, "1", market="ETH-USD", place=SIDE)


@pytest.mark.parametrize("arrived", [True, False], ids=["sent before", "not sent"])
@pytest.mark.parametrize("at", range(STEPS))
def test_killed_after_any_step_it_ends_the_same(at: int, arrived: bool) -> None:
    """Whether or not what the step gave had left: the latch is there, the end is the same, one
    page key, and no client id leaves twice (the desk refuses that)."""
    world = storm()
    count = 0
    killed = []

    def after_step() -> None:
        nonlocal count
        count += 1
        if count != at + 1 or killed or not world.machine.state.latches:
            return
        killed.append(world.now)
        out = tuple(world.out)
        if arrived:
            for command in out:
                world.carry_out(command)
        world.restart()

    world.after_step = after_step
    world.ask()
    world.run(120)
    assert world.stage() == "contained"
    assert (world.resting(), world.resting(SIDE)) == ([], [])
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.7"}, {"ETH-USD": "3.5"})
    assert len({notice.key for notice in world.notices}) == 1


def test_what_was_possibly_sent_is_resolved_before_anything_else() -> None:
    """The first command after the restart, for that account."""
    world = storm()
    world.ask()
    while not world.sent(PlaceOrders):
        world.one()
    placed = {(one.venue, one.account) for one in world.sent(PlaceOrders)}
    step = world.restart()
    first = {(one.venue, one.account): type(one) for one in step.commands}
    assert placed
    assert all(first[place] is ResolveOrders for place in placed)


def test_a_restart_without_a_latch_does_nothing() -> None:
    """No command, no page, no line."""
    world = storm()
    step = world.restart()
    assert (step.commands, step.notices, step.audit, step.changed) == ((), (), (), False)


def test_a_clock_that_was_set_back_does_not_make_every_read_too_old() -> None:
    """After the restart reads count again."""
    world = storm()
    world.pull(Level.REDUCE_ONLY)
    world.one().one().one()
    world.now -= 3600 * SECOND_NS
    world.restart()
    world.run(60)
    assert world.stage() == "contained"


def test_the_state_survives_packing_whole() -> None:
    """Every field, with holds, proposals and offers."""
    world = storm()
    world.ask()
    world.run(3)
    assert unpack(pack(world.machine.state)) == world.machine.state
    assert unpack(pack(KillState())) == KillState()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00garbage", id="garbage"),
        pytest.param(pack(KillState())[:-3], id="cut off"),
        pytest.param(msgspec.msgpack.encode({"version": 2, "state": {}}), id="a newer version"),
        pytest.param(
            msgspec.msgpack.encode({"version": 1, "state": {"latches": 3}}), id="of another shape"
        ),
    ],
)
def test_damaged_state_is_an_error_and_never_an_empty_one(data: bytes) -> None:
    """Who gets it starts in REDUCE_ONLY."""
    with pytest.raises(StoreError):
        unpack(data)


BROKEN_BOOKS = [
    pytest.param({"accounts": (None,)}, id="accounts"),
    pytest.param({"executable": None}, id="executors"),
    pytest.param({"instruments": (None,)}, id="instruments"),
]


@pytest.mark.parametrize("broken", BROKEN_BOOKS)
def test_an_exception_while_tripping_does_not_untrip(broken: dict[str, object]) -> None:
    """The latch stands, the desk is told, people are told; the work begins with the next book."""
    world = storm()
    good = world.book
    world.book = lambda: msgspec.structs.replace(good(), **broken)  # type: ignore[method-assign]
    step = world.pull(Level.REDUCE_ONLY)
    assert world.latch().level is Level.REDUCE_ONLY
    assert {"KillStepFailed", "KillSwitchTripped"} <= {one.alert for one in step.notices}
    assert step.wake_at_ns is not None
    world.book = good  # type: ignore[method-assign]
    world.run(10)
    assert (world.stage(), world.resting()) == ("contained", [])


@pytest.mark.parametrize("broken", BROKEN_BOOKS)
def test_an_exception_later_leaves_what_was_done(broken: dict[str, object]) -> None:
    """A book that breaks in the middle of a trip loses nothing of it."""
    world = storm()
    world.ask()
    world.one().one()
    good = world.book
    world.book = lambda: msgspec.structs.replace(good(), **broken)  # type: ignore[method-assign]
    world.at(1)
    assert world.latch().level is Level.CUT
    world.book = good  # type: ignore[method-assign]
    world.run(60)
    assert (world.stage(), world.sizes()) == ("contained", {"BTC": "0.7"})


def test_a_fact_that_cannot_be_understood_changes_nothing() -> None:
    """The error is the caller's to tell; the state is as it was."""
    world = storm()
    world.pull(Level.REDUCE_ONLY)
    before = world.machine.packed()
    with pytest.raises(AttributeError):
        world.machine.apply(None, world.now, world.book())  # type: ignore[arg-type]
    assert world.machine.packed() == before
