"""The simulated venues beside a verb: on a loop of their own thread, since verbs have their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from monitor.core.types import SECOND_NS
from monitor.runtime.clock import ScaledClock
from monitor.sim.simulation import Simulation
from monitor.sim.world import World

START_S = 60.0


@contextmanager
def simulated_venues(seed: int = 7, *, ahead_s: float = 0.0) -> Iterator[Simulation]:
    """Both venues on loopback in ordinary time, or ``ahead_s`` of it; its ``urls`` and
    ``addresses`` may be read."""
    started = threading.Event()
    found: list[Simulation] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        start_s = time.time() + ahead_s
        world = World(seed, start_s)
        stopping = asyncio.Event()
        clock = ScaledClock(1.0, start_ns=round(start_s * SECOND_NS))
        async with Simulation(world, clock) as simulation:
            found.append(simulation)
            stops.append((asyncio.get_running_loop(), stopping))
            started.set()
            await stopping.wait()

    def run() -> None:
        try:
            with asyncio.Runner(debug=False) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="simulated venues")
    thread.start()
    try:
        assert started.wait(START_S), "the simulated venues did not start"
        assert not failed, failed
        yield found[0]
    finally:
        for loop, stopping in stops:
            loop.call_soon_threadsafe(stopping.set)
        thread.join(START_S)
    assert not failed, failed
