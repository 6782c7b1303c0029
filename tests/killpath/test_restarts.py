"""``kill -9`` in the middle of a trip: the next process goes on where the first one was.

What is on disk at that instant is all that is left. The latch holds before anything connects,
nothing is sent twice, and people see one incident.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from monitor.core.killswitch.state import Stage
from monitor.sim.faults import FaultKind
from tests.killpath.rig import HL_SCOPE, Rig, run


async def dies_when(rig: Rig, condition: Callable[[], bool]) -> None:
    """The process is killed at the first turn of the loop at which it is so."""
    for _ in range(200_000):
        if condition():
            break
        await asyncio.sleep(0)
    else:
        raise AssertionError(f"it never came to that\n{rig}")
    await rig.kill_process()


async def goes_on(rig: Rig, *, goal: float = 0.7) -> None:
    """The next process enforces at once, ends the trip, and has done everything once."""
    (trip,) = {one.trip_id for one in rig.audit() if one.trip_id}
    task = asyncio.create_task(rig.start())
    before = rig.daemon
    while not task.done():
        await asyncio.sleep(0)
        daemon = rig.daemon
        if daemon is not before and daemon.drivers:
            assert daemon.kill.machine.state.latches, "feeds connect before the latch is enforced"
    await task
    assert HL_SCOPE in rig.latches
    assert rig.trading()["scopes"][0]["state"] == "REDUCE_ONLY"
    await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=180.0)
    await rig.passes(12.0)  # whatever was on its way has arrived, or expired
    assert rig.latches[HL_SCOPE].trip_id == trip
    assert not rig.traded_twice()
    assert not rig.flips()
    assert not rig.grown()
    floor = {symbol: abs(size) for symbol, size in rig.before.items()}
    for symbol, size in rig.sizes().items():
        assert float(abs(size)) >= float(floor[symbol]) * goal * 0.97, f"{symbol} was cut twice"
    keys = {one.key for one in rig.pages("KillSwitchTripped")}
    assert len(keys) == 1, f"one trip, one incident: {rig.told}"
    assert not rig.verified().findings


def in_stage(rig: Rig, stage: Stage) -> Callable[[], bool]:
    """It is so in memory and on record."""
    return lambda: rig.stage() is stage and "tripped" in rig.actions()


@pytest.mark.parametrize(
    "stage", [Stage.EXECUTING, Stage.VERIFYING, Stage.CONTAINED], ids=lambda one: one.value
)
def test_a_trip_survives_being_killed(stage: Stage) -> None:
    """In each of its stages, at the moment it is reached."""

    async def story(rig: Rig) -> None:
        await rig.pull()
        await dies_when(rig, in_stage(rig, stage))
        await goes_on(rig)

    run(story)


def test_killed_between_the_latch_and_the_first_cancel() -> None:
    """TRIPPED is on record and nothing has left yet."""

    async def story(rig: Rig) -> None:
        used = rig.main.requests_used
        rig.inject(FaultKind.OUTAGE)
        await rig.pull()
        await dies_when(rig, lambda: "tripped" in rig.actions())
        assert rig.main.requests_used == used
        rig.heal()
        await goes_on(rig)

    run(story)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(FaultKind.ACTIONS_UNANSWERED, id="executed-unanswered"),
        pytest.param(FaultKind.ACTIONS_DELAYED, id="still-on-its-way"),
    ],
)
def test_killed_while_orders_are_out(kind: FaultKind) -> None:
    """The intents are on record: the next process finds out first and sends nothing again."""

    async def story(rig: Rig) -> None:
        rig.inject(kind, channel="order", delay_s=9.0)
        await rig.pull()
        await rig.until(lambda: "plan" in rig.actions())
        await rig.kill_process()
        rig.heal()
        await goes_on(rig)
        assert "resolve_after_restart" in rig.actions()

    run(story)


def test_killed_while_incomplete() -> None:
    """It is still INCOMPLETE, says so under the same key, and goes on trying."""

    async def story(rig: Rig) -> None:
        rig.inject(FaultKind.ACTIONS_REFUSED)
        await rig.pull()
        await rig.until(lambda: rig.stage() is Stage.INCOMPLETE, within_s=120.0)
        await rig.passes(1.0)
        await rig.kill_process()
        rig.heal()
        await goes_on(rig)

    run(story)


def test_killed_again_and_again() -> None:
    """Every half a second of a trip that a slow venue draws out."""

    async def story(rig: Rig) -> None:
        rig.inject(FaultKind.ACTIONS_SLOW, delay_s=1.0)
        await rig.pull()
        for _ in range(4):
            await rig.passes(0.6)
            await rig.kill_process()
            await rig.start()
        rig.heal()
        await rig.kill_process()
        await goes_on(rig)

    run(story)


def test_a_re_armed_book_stays_re_armed() -> None:
    """What a person cleared is not latched again by a restart."""

    async def story(rig: Rig) -> None:
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        assert (await rig.rearm()).done
        await rig.until(lambda: "rearmed" in rig.actions())
        await rig.kill_process()
        await rig.start()
        assert not rig.latches
        assert rig.trading()["state"] == "ACTIVE"

    run(story)


def test_two_starts_within_a_minute_do_not_starve_the_kill_path() -> None:
    """The venue counts the same minute, whoever asked: the account is read, cancelled and cut at
    once, and nothing is called incomplete that only was not known yet."""

    async def story(rig: Rig) -> None:
        await rig.kill_process()
        await rig.start()
        await rig.pull()
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=5.0)
        assert "incomplete" not in rig.actions()
        plans = [dict(one.details) for one in rig.audit() if one.action == "plan"]
        assert float(plans[0]["gross_before_usd"]) > 600_000.0

    run(story)


def test_many_starts_within_a_minute_still_cancel_at_once() -> None:
    """The reads of the market wait for the venue's minute, and a cut with them; what the kill path
    reads has its own part."""

    async def story(rig: Rig) -> None:
        for _ in range(3):
            await rig.kill_process()
            await rig.start()
            await rig.passes(2.0)
        await rig.pull()
        await rig.until(lambda: "cancels_answered" in rig.actions(), within_s=5.0)
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=130.0)
        assert not rig.traded_twice()

    run(story)
