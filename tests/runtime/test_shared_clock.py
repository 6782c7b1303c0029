"""One time for two processes: it waits for whoever is behind and stands still with nobody."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from monitor.core.types import SECOND_NS
from monitor.runtime.shared_clock import LEAD_S, SharedClock
from monitor.runtime.sleepers import STEP_S_MAX
from tests.manual_clock import START_NS

FAST = 1000.0


@asynccontextmanager
async def running(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    """These tasks until the end of the block."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def set_follower(path: Path, pid: int) -> None:
    """Make the file name a process as its follower."""
    with path.open("r+b") as file:
        file.seek(16)
        file.write(pid.to_bytes(8, "little"))


def follower_of(path: Path) -> int:
    """The process that the file names."""
    return int.from_bytes(path.read_bytes()[16:24], "little")


async def test_time_stands_still_until_somebody_follows(tmp_path: Path) -> None:
    """Both sides read the same moment; it moves once the follower lives in it, and stops when it
    leaves."""
    leader = SharedClock(tmp_path / "time", speed=FAST, start_ns=START_NS)
    follower = SharedClock(tmp_path / "time", speed=FAST)
    assert follower.now() == leader.now() == START_NS
    async with running(asyncio.create_task(leader.lead(), name="lead")):
        await asyncio.sleep(0.02)  # real: the clock under test is made of it
        assert leader.now() == START_NS
        async with running(asyncio.create_task(follower.follow(), name="follow")):
            async with asyncio.timeout(5.0):
                await asyncio.gather(leader.sleep(20.0), follower.sleep(21.0))
            assert follower.now() == leader.now() >= START_NS + 20 * SECOND_NS
        stopped = leader.now()
        await asyncio.sleep(0.02)
        assert leader.now() == stopped


async def test_time_waits_for_a_slow_follower(tmp_path: Path) -> None:
    """A follower that does not get round to look stops time within the lead; it goes on after."""
    leader = SharedClock(tmp_path / "time", speed=FAST, start_ns=START_NS)
    follower = SharedClock(tmp_path / "time", speed=FAST)
    following = asyncio.create_task(follower.follow(), name="follow")
    async with running(asyncio.create_task(leader.lead(), name="lead")):
        async with running(following), asyncio.timeout(5.0):
            await leader.sleep(5.0)
        # As a process that hangs: still there, seeing nothing more.
        seen_ns = follower.now()
        set_follower(tmp_path / "time", os.getpid())
        await asyncio.sleep(0.05)
        assert leader.now() - seen_ns <= (LEAD_S + STEP_S_MAX) * SECOND_NS
        async with running(asyncio.create_task(follower.follow(), name="again")):
            async with asyncio.timeout(5.0):
                await leader.sleep(5.0)


async def test_a_follower_that_was_killed_does_not_stop_time_for_ever(tmp_path: Path) -> None:
    """Its process is gone: time stands still as without a follower, until the next one."""
    path = tmp_path / "time"
    leader = SharedClock(path, speed=FAST, start_ns=START_NS)
    set_follower(path, 2**22 + 1)  # beyond the largest process id
    async with running(asyncio.create_task(leader.lead(), name="lead")):
        for _ in range(300):
            await asyncio.sleep(0.01)  # real: it asks the system now and then
            if not follower_of(path):
                break
    assert follower_of(path) == 0
    assert leader.now() - START_NS <= (LEAD_S + STEP_S_MAX) * SECOND_NS


async def test_a_cancelled_sleeper_wakes_nobody(tmp_path: Path) -> None:
    """Timeouts end sleeps early; time goes on."""
    clock = SharedClock(tmp_path / "time", speed=FAST, start_ns=START_NS)
    other = SharedClock(tmp_path / "time", speed=FAST)
    sleeping = asyncio.create_task(other.sleep(1.0), name="sleeper")
    await asyncio.sleep(0)
    sleeping.cancel()
    async with (
        running(asyncio.create_task(clock.lead(), name="lead")),
        running(asyncio.create_task(other.follow(), name="follow")),
        asyncio.timeout(5.0),
    ):
        await other.sleep(0.0)
        await other.sleep(2.0)
    assert sleeping.cancelled()


def test_moments_of_the_wall(tmp_path: Path) -> None:
    """What passed did so at speed; what is to come may be as late as without any, since time may
    stand still meanwhile."""
    clock = SharedClock(tmp_path / "time", speed=60.0, start_ns=START_NS)
    for ahead_s, wall_s in ((-600, -10.0), (600, 600.0)):
        told_s = (clock.to_wall_ns(START_NS + ahead_s * SECOND_NS) - time.time_ns()) / SECOND_NS
        assert told_s == pytest.approx(wall_s, abs=0.5)
    with pytest.raises(ValueError, match="above zero"):
        SharedClock(tmp_path / "time", speed=0.0)
