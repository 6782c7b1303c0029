"""Clocks keep engine time; the manual clock wakes sleepers in order."""

from __future__ import annotations

import asyncio
import time

import pytest

from monitor.core.types import SECOND_NS
from monitor.runtime.clock import ScaledClock, SystemClock
from tests.manual_clock import START_NS, ManualClock


def test_engine_time_starts_at_wall_time() -> None:
    """Engine time is wall time plus monotonic time since; just started, they agree."""
    before = time.time_ns()
    now = SystemClock().now()
    assert before <= now <= time.time_ns() + SECOND_NS


def test_engine_time_never_falls_behind_what_was_persisted() -> None:
    """A wall clock that was set back must not make stored deadlines lie in the future."""
    future_ns = time.time_ns() + 3600 * SECOND_NS
    clock = SystemClock()
    clock.not_before(future_ns)
    assert future_ns <= clock.now() < future_ns + 60 * SECOND_NS
    assert -3700.0 < clock.wall_offset_s() < -3500.0
    usual = SystemClock()
    usual.not_before(1)
    assert abs(usual.wall_offset_s()) < 1.0


async def test_scaled_time_runs_faster_than_the_wall() -> None:
    """At speed 10,000, a sleep of an hour ends within a second, an hour later."""
    clock = ScaledClock(10_000.0, start_ns=START_NS)
    async with asyncio.timeout(2.0):
        await clock.sleep(3600.0)
    assert clock.now() - START_NS >= 3600 * SECOND_NS


def test_processes_given_the_same_numbers_share_one_time() -> None:
    """Engine time was ``start_ns`` at ``since_ns`` of the wall, whenever the clock was made."""
    since_ns = time.time_ns() - 10 * SECOND_NS
    clock = ScaledClock(60.0, start_ns=START_NS, since_ns=since_ns)
    other = ScaledClock(clock.speed, start_ns=clock.start_ns, since_ns=clock.since_ns)
    passed_s = (clock.now() - START_NS) / SECOND_NS
    assert 600.0 <= passed_s < 660.0
    assert abs(other.now() - clock.now()) < 6 * SECOND_NS
    assert clock.to_wall_ns(START_NS + 600 * SECOND_NS) == since_ns + 10 * SECOND_NS


def test_a_speed_must_be_above_zero() -> None:
    """Time that stands still would never wake anyone."""
    with pytest.raises(ValueError, match="above zero"):
        ScaledClock(0.0)


async def test_manual_time_wakes_sleepers_in_order_each_at_its_time() -> None:
    """A sleeper that sleeps again inside one advance wakes at its own second deadline."""
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, (clock.now() - START_NS) / SECOND_NS))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("twice", 2.0, 2.0), name="twice")
        tasks.create_task(sleeper("once", 3.0), name="once")
        await clock.advance(1.0)
        assert woken == []
        assert clock.sleepers == 2
        await clock.advance(10.0)
    assert woken == [("twice", 2.0), ("once", 3.0), ("twice", 4.0)]
