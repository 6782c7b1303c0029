"""Collections happen when nothing else does."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.loop import collect_when_idle, freeze_after_warm_up, measure_lag
from tests.manual_clock import ManualClock, settle, until


@pytest.fixture
def gc_restored() -> Iterator[None]:
    """What a test did to the collector is undone."""
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.usefixtures("gc_restored")
def test_freezing_takes_what_is_alive_out_of_collections() -> None:
    """Everything alive is frozen, and no full collection starts by itself."""
    assert freeze_after_warm_up() > 1000
    assert gc.get_threshold()[2] == 1_000_000


@pytest.mark.usefixtures("gc_restored")
@pytest.mark.parametrize(
    ("busy", "advanced_s", "collections"),
    [
        pytest.param(False, 9.0, 0, id="not before the period"),
        pytest.param(False, 11.0, 1, id="idle and due"),
        pytest.param(True, 59.0, 0, id="never while facts come"),
        pytest.param(True, 61.0, 1, id="overdue: in spite of them"),
    ],
)
async def test_full_collections_wait_for_an_idle_moment(
    *, busy: bool, advanced_s: float, collections: int
) -> None:
    """A busy market postpones a collection, but not for ever."""
    gc.disable()
    clock = ManualClock()
    started_ns = clock.now()
    before = gc.get_stats()[2]["collections"]
    try:
        async with asyncio.TaskGroup() as tasks:
            body = collect_when_idle(
                clock,
                lambda: clock.now() if busy else started_ns,
                period_s=10.0,
                overdue_s=60.0,
            )
            task = tasks.create_task(body, name="collect")
            await settle()
            await clock.advance(advanced_s)
            task.cancel()
    finally:
        gc.enable()
    assert gc.get_stats()[2]["collections"] - before == collections


async def test_lag_is_how_late_the_loop_wakes() -> None:
    """A callback that blocks the loop shows up as lag."""
    metrics = DaemonMetrics(version="test")
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(measure_lag(metrics, period_s=0.01), name="lag")
        await asyncio.sleep(0)

        def block() -> None:
            end = loop.time() + 0.05
            while loop.time() < end:
                pass

        loop.call_soon(block)
        await until(lambda: metrics.loop_lag_s >= 0.03)
        task.cancel()
