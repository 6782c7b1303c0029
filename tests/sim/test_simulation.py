"""The simulation as a whole: both venues on loopback, time by a clock, faults by name."""

from __future__ import annotations

import json

import aiohttp
import pytest

from monitor.sim.faults import Fault, FaultKind
from monitor.sim.simulation import Simulation
from monitor.sim.world import World
from tests.manual_clock import ManualClock, until

START_S = 1_795_305_480.0


async def test_both_venues_answer_and_time_follows_the_clock() -> None:
    """URLs of both venues work; ten seconds of the clock are ten of the world."""
    world, clock = World(7, START_S), ManualClock()
    async with Simulation(world, clock) as simulation, aiohttp.ClientSession() as session:
        assert json.dumps({"urls": simulation.urls, "addresses": simulation.addresses})
        info = simulation.urls["hyperliquid"]["rest"] + "/info"
        async with session.post(info, json={"type": "exchangeStatus"}) as response:
            assert (await response.json())["time"] == START_S * 1_000
        async with session.get(simulation.urls["dydx"]["rest"] + "/time") as response:
            assert response.status == 200
        await clock.advance(10)
        assert world.now_s == pytest.approx(START_S + 10, abs=0.11)


async def test_speed_scales_time() -> None:
    """At 60x a second of the clock is a minute of the world."""
    world, clock = World(7, START_S), ManualClock()
    async with Simulation(world, clock, speed=60.0):
        await clock.advance(1)
        assert world.now_s == pytest.approx(START_S + 60, abs=6.1)


async def test_faults_are_injected_and_healed() -> None:
    """Through the simulation as through the world."""
    world = World(7, START_S)
    async with Simulation(world, ManualClock()) as simulation:
        simulation.inject(Fault(kind=FaultKind.SLOW, venue="dydx"))
        assert world.faults.holds(FaultKind.SLOW, "dydx")
        simulation.heal(FaultKind.SLOW)
        assert world.faults.active == ()


async def test_a_broken_world_ends_the_simulation() -> None:
    """What the world raises is not swallowed: it leaves through the body."""
    world, clock = World(7, START_S), ManualClock()

    def broken() -> None:
        raise RuntimeError("the world broke")

    world.schedule(START_S + 1, broken)

    async def live() -> None:
        async with Simulation(world, clock):
            await clock.advance(2)
            await until(lambda: False)

    with pytest.raises(RuntimeError, match="the world broke"):
        await live()


async def test_an_error_of_the_body_closes_the_servers() -> None:
    """Ports are free afterwards."""
    simulation = Simulation(World(7, START_S), ManualClock())
    with pytest.raises(LookupError):
        async with simulation:
            raise LookupError("mine")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(simulation.urls["hyperliquid"]["rest"] + "/info", json={})
