"""New connections in a minute: never more than the venue allows, whoever asks."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from monitor.core.errors import ConfigError
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.backoff import Backoff
from monitor.runtime.connects import ConnectBudget
from monitor.runtime.http import open_session
from monitor.runtime.stream import Stream
from monitor.runtime.supervise import Supervisor
from monitor.venues.hyperliquid.endpoints import BUDGET
from tests.faults.transport import free_port
from tests.manual_clock import START_NS, ManualClock, settle, until
from tests.runtime.fakes import RecordingSink, WordProtocol


class Attempts(ConnectBudget):
    """Notes when each attempt was let through."""

    def __init__(self, per_minute: int | None, clock: ManualClock) -> None:
        super().__init__(per_minute, clock)
        self.clock = clock
        self.at: list[EngineNs] = []

    async def take(self) -> None:
        """Wait for the turn, then note it."""
        await super().take()
        self.at.append(self.clock.now())


def most_in_a_minute(at: list[EngineNs]) -> int:
    """The fullest minute that begins with an attempt, its end included."""
    return max(sum(1 for later in at if 0 <= later - first <= 60 * SECOND_NS) for first in at)


async def test_one_more_waits_for_the_first_to_be_forgotten() -> None:
    """The limit is reached at once; then one follows as the oldest leaves the window."""
    clock = ManualClock()
    budget = ConnectBudget(2, clock)
    await budget.take()
    await clock.advance(10.0)
    await budget.take()
    async with asyncio.TaskGroup() as tasks:
        third = tasks.create_task(budget.take(), name="third")
        fourth = tasks.create_task(budget.take(), name="fourth")
        await clock.advance(50.0)
        assert not third.done()
        await clock.advance(1.0)
        assert third.done()
        assert not fourth.done()
        await clock.advance(10.0)
        assert fourth.done()


async def test_no_limit_waits_for_nothing() -> None:
    """A venue without a documented limit."""
    clock = ManualClock()
    budget = ConnectBudget(None, clock)
    for _ in range(1000):
        await budget.take()
    assert clock.now() == START_NS


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    """Cancelling the first in line hands its turn to the next."""
    clock = ManualClock()
    budget = ConnectBudget(1, clock)
    await budget.take()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(budget.take(), name="first")
        second = tasks.create_task(budget.take(), name="second")
        await settle()
        first.cancel()
        await clock.advance(61.0)
        assert second.done()


def test_none_at_all_is_a_mistake() -> None:
    """Zero would wait for ever."""
    with pytest.raises(ConfigError, match="0 connections a minute"):
        ConnectBudget(0, ManualClock())


async def test_ten_refused_sockets_stay_within_the_venues_minute() -> None:
    """Nothing listens for five minutes: ten feeds together never exceed thirty a minute."""
    assert BUDGET.connects_per_minute == 30
    clock, sink = ManualClock(), RecordingSink()
    connects = Attempts(BUDGET.connects_per_minute, clock)
    metrics = DaemonMetrics(version="test")
    url = f"ws://127.0.0.1:{free_port()}/ws"
    async with open_session() as session, asyncio.TaskGroup() as tasks:
        running = []
        for index in range(10):
            counters = metrics.feed("fake", f"market-{index}")
            stream = Stream(
                WordProtocol(url),
                session=session,
                clock=clock,
                sink=sink,
                counters=counters,
                refresh=lambda wish: None,
                connects=connects,
            )
            supervisor = Supervisor(
                stream,
                clock=clock,
                sink=sink,
                backoff=Backoff(Random(index), cap_s=2.0),  # noqa: S311 - jitter, not a secret
                counters=counters,
            )
            running.append(tasks.create_task(supervisor.run(), name=f"feed-{index}"))
        for _ in range(300):
            # All are asleep: in their backoff, or one in line for a connection and others behind.
            await until(lambda: clock.sleepers > 0)
            await clock.advance(1.0)
            await asyncio.sleep(0.002)  # real sockets answer in their own time
        for task in running:
            task.cancel()
    assert len(connects.at) >= 100, "the limit is used, not just kept"
    assert most_in_a_minute(connects.at) <= 30
