"""``riskd sim``: the simulated venues alone, for your own programs and tests.

Prints its URLs and the simulated desk's addresses as one JSON line, then serves until Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

import orjson

from monitor.cli.flags import speed
from monitor.cli.runner import new_runner
from monitor.core.errors import ConfigError
from monitor.core.types import SECOND_NS
from monitor.runtime.clock import ScaledClock
from monitor.runtime.shared_clock import SharedClock
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
        "--speed", type=speed, default=1.0, help="simulated seconds per second (default 1)"
    )
    parser.add_argument(
        "--time-file",
        type=Path,
        metavar="FILE",
        help="keep the time in FILE for one `riskd run --sim`: it stands still until that runs, "
        "and waits for it where it is slower than --speed",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is told to stop."""
    scenario = load_scenario(arguments.scenario)
    with new_runner() as runner:
        runner.run(_serve(scenario, arguments))
    return 0


async def _serve(scenario: Scenario, arguments: argparse.Namespace) -> None:
    start_s = scenario.start_near(time.time())
    world = World(arguments.seed, start_s)
    # Making the world takes a second or two: time starts when it is there.
    clock = _clock(arguments, round(start_s * SECOND_NS))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with Simulation(world, clock, period_s=period_at(clock.speed)) as simulation:
        play(world, scenario)
        line = {
            "simulated": True,
            "scenario": scenario.name,
            "seed": arguments.seed,
            "urls": simulation.urls,
            "addresses": simulation.addresses,
            "clock": _told(clock, arguments.time_file),
        }
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.flush()
        if isinstance(clock, ScaledClock):
            await stopping.wait()
            return
        async with asyncio.TaskGroup() as tasks:
            leading = tasks.create_task(clock.lead(), name="time")
            await stopping.wait()
            leading.cancel()


def _clock(arguments: argparse.Namespace, start_ns: int) -> ScaledClock | SharedClock:
    if arguments.time_file is None:
        return ScaledClock(arguments.speed, start_ns=start_ns)
    try:
        return SharedClock(arguments.time_file, speed=arguments.speed, start_ns=start_ns)
    except OSError as error:
        raise ConfigError(f"{arguments.time_file} cannot be made: {error.strerror}.") from error


def _told(clock: ScaledClock | SharedClock, time_file: Path | None) -> dict[str, object]:
    """What ``riskd run --sim`` needs to live in this world's time."""
    if isinstance(clock, ScaledClock):
        return {"speed": clock.speed, "start_ns": clock.start_ns, "since_ns": clock.since_ns}
    return {"speed": clock.speed, "time_file": str(Path(time_file or "").absolute())}
