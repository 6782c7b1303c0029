"""A fast time in one process: it moves while its task runs, and not while the loop is held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from monitor.core.types import SECOND_NS
from monitor.runtime.paced_clock import PacedClock
from monitor.runtime.sleepers import STEP_S_MAX
from tests.manual_clock import START_NS


@asynccontextmanager
async def running(clock: PacedClock) -> AsyncIterator[None]:
    """Time passes until the end of the block."""
    task = asyncio.create_task(clock.run(), name="time")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_time_passes_only_while_it_runs() -> None:
    """Sleepers wake in order; before and after, time stands still."""
    clock = PacedClock(speed=1000.0, start_ns=START_NS)
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    await asyncio.sleep(0.02)  # real: the clock under test is made of it
    assert clock.now() == START_NS
    async with running(clock), asyncio.timeout(5.0), asyncio.TaskGroup() as tasks:
        for seconds in (3.0, 1.0, 2.0, 0.0):
            tasks.create_task(sleeper(seconds))
    assert woken == [0.0, 1.0, 2.0, 3.0]
    stopped = clock.now()
    assert stopped >= START_NS + 3 * SECOND_NS
    await asyncio.sleep(0.02)
    assert clock.now() == stopped


async def test_a_loop_that_is_held_up_stops_time() -> None:
    """However long something blocks, no more than a step passes unseen."""
    clock = PacedClock(speed=1000.0, start_ns=START_NS)
    seen: list[int] = []
    async with running(clock), asyncio.timeout(5.0):
        for _ in range(3):
            time.sleep(0.05)  # noqa: ASYNC251 - the loop is blocked on purpose
            seen.append(clock.now())
            await clock.sleep(0.001)
            seen.append(clock.now())
    steps = [after - before for before, after in zip(seen[::2], seen[1::2], strict=True)]
    assert max(steps) <= STEP_S_MAX * SECOND_NS


def test_moments_of_the_wall() -> None:
    """What passed did so at speed; what is to come may be as late as without any."""
    clock = PacedClock(speed=60.0, start_ns=START_NS)
    for ahead_s, wall_s in ((-600, -10.0), (0, 0.0), (600, 600.0)):
        told_s = (clock.to_wall_ns(START_NS + ahead_s * SECOND_NS) - time.time_ns()) / SECOND_NS
        assert told_s == pytest.approx(wall_s, abs=0.5)
    with pytest.raises(ValueError, match="above zero"):
        PacedClock(speed=0.0, start_ns=START_NS)
