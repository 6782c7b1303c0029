"""``riskd sim``: the simulated venues alone, for your own programs and tests.

Prints its URLs and the simulated desk's addresses as one JSON line, then serves until Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time

import orjson

from monitor.cli.runner import new_runner
from monitor.core.types import SECOND_NS
from monitor.runtime.clock import ScaledClock
from monitor.sim.scenario import Scenario, load_scenario, play, scenario_names
from monitor.sim.simulation import Simulation, period_at
from monitor.sim.world import World


def arguments(parser: argparse.ArgumentParser) -> None:
    """What happens in the world, and how fast."""
    parser.add_argument(
        "--scenario",
        default="calm",
        help=f"one of {', '.join(scenario_names())}, or a YAML file of your own",
    )
    parser.add_argument("--seed", type=int, default=1, help="same seed, same world (default 1)")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="simulated seconds per second (default 1)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is told to stop."""
    scenario = load_scenario(arguments.scenario)
    with new_runner() as runner:
        runner.run(_serve(scenario, arguments.seed, arguments.speed))
    return 0


async def _serve(scenario: Scenario, seed: int, speed: float) -> None:
    start_s = scenario.start_near(time.time())
    world = World(seed, start_s)
    # Making the world takes a second or two: time starts when it is there.
    clock = ScaledClock(speed, start_ns=round(start_s * SECOND_NS))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with Simulation(world, clock, period_s=period_at(speed)) as simulation:
        play(world, scenario)
        line = {
            "simulated": True,
            "scenario": scenario.name,
            "seed": seed,
            "urls": simulation.urls,
            "addresses": simulation.addresses,
            # For `riskd run --sim`: whoever has these three numbers shares this world's time.
            "clock": {
                "speed": clock.speed,
                "start_ns": clock.start_ns,
                "since_ns": clock.since_ns,
            },
        }
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.flush()
        await stopping.wait()
