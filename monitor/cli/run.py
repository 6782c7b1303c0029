"""``riskd run``: watch the venues of a configuration and page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from monitor.app.checks import check_configuration
from monitor.app.degraded import has_to_enforce
from monitor.app.lifecycle import Daemon, run_daemon
from monitor.cli.runner import new_runner
from monitor.cli.sim_line import SimulatedClock, living_in, simulated_clock
from monitor.config import Config, load_config
from monitor.core.errors import ConfigError
from monitor.observability.logging import configure_logging
from monitor.runtime.clock import SystemClock


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and how to log."""
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("riskd.yaml"),
        metavar="FILE",
        help="the configuration (default riskd.yaml); files it names are beside it",
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning"],
        help="how much is logged, on standard error (default info)",
    )
    parser.add_argument(
        "--sim",
        type=Path,
        metavar="FILE",
        help="for simulations: live in the (faster) time of the `riskd sim` whose line is in FILE; "
        "refused unless every venue of the configuration is on this machine",
    )

    parser.epilog = (
        "signals: SIGHUP reads the rulebook again (timers and firing alerts are kept; a wrong one "
        "is\nrefused and the old one stays), SIGTERM and Ctrl-C stop in order: what was decided is "
        "kept\nand told, and firing alerts are held over the restart.\n"
        "exit code: 0 stopped in order, 2 refused to start (the text says what to mend), anything "
        "else\nthe core failed: start it again"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 after an orderly stop; mistakes are raised before anything is started."""
    config = usable_configuration(arguments.config)
    clock = None if arguments.sim is None else simulated_clock(arguments.sim, config)
    configure_logging(level=arguments.log_level)
    with new_runner() as runner:
        runner.run(_main(config, arguments.config.resolve().parent, clock))
    return 0


def usable_configuration(path: Path) -> Config:
    """The configuration in a file, where a start with it would not be refused.

    An armed riskd that may have latched something starts although what the file names (rules, legs,
    token, secrets) is wrong: the daemon itself does without that, and pages it.

    Raises:
        ConfigError: With every mistake.
    """
    try:
        return check_configuration(path)[0]
    except ConfigError as mistakes:
        try:
            config = load_config(path)
        except ConfigError:
            raise mistakes from None
        if not has_to_enforce(config, base=path.resolve().parent):
            raise
        return config


async def _main(config: Config, base: Path, clock: SimulatedClock | None) -> None:
    if clock is None:
        await run_daemon(Daemon(config, SystemClock(), base=base), started=_greet)
        return
    daemon = Daemon(config, clock, base=base, to_wall_ns=clock.to_wall_ns, simulated=True)
    async with living_in(clock):
        await run_daemon(daemon, started=_greet)


def _greet(daemon: Daemon) -> None:
    if sys.stderr.isatty():  # elsewhere it is in the log
        for name, problem in daemon.degraded.problems.items():
            print(f"riskd runs without its {name}: {problem}", file=sys.stderr)
    if sys.stdout.isatty():
        print(f"riskd watches; look at {daemon.url}/ or `riskd status --url {daemon.url}`.")
