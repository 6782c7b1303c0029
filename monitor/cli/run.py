"""``riskd run``: watch the venues of a configuration and page."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from monitor.app.checks import check_configuration
from monitor.app.degraded import has_to_enforce
from monitor.app.lifecycle import Daemon, run_daemon
from monitor.cli.runner import new_runner
from monitor.config import Config, load_config
from monitor.core.errors import ConfigError
from monitor.core.types import EngineNs
from monitor.observability.logging import configure_logging
from monitor.runtime.clock import ScaledClock, SystemClock
from monitor.runtime.shared_clock import SharedClock

SimulatedClock = ScaledClock | SharedClock


class SimulatedTime(msgspec.Struct, frozen=True):
    """The time of a running ``riskd sim``: kept in a file, or counted from a moment of the wall."""

    speed: float
    start_ns: EngineNs = 0
    since_ns: int = 0
    time_file: str = ""

    def clock(self) -> SimulatedClock:
        """A clock in that time."""
        if self.time_file:
            return SharedClock(Path(self.time_file), speed=self.speed)
        return ScaledClock(self.speed, start_ns=self.start_ns, since_ns=self.since_ns)


class SimulatedWorld(msgspec.Struct, frozen=True):
    """What this verb needs of the line that ``riskd sim`` prints."""

    clock: SimulatedTime


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


def simulated_clock(path: Path, config: Config) -> SimulatedClock:
    """The clock of a simulator, from the line it printed.

    Raises:
        ConfigError: The file is not such a line, or a venue is not on this machine: real venues
            live in real time.
    """
    far = [url for url in _venue_urls(config) if not _on_this_machine(url)]
    if far:
        raise ConfigError(
            f"--sim is for simulated venues on this machine only; this configuration watches "
            f"{', '.join(far)}."
        )
    return clock_of_line(path)


def clock_of_line(path: Path) -> SimulatedClock:
    """The clock of a simulator, from the line that it printed into ``path``.

    Raises:
        ConfigError: The file is not such a line.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=SimulatedWorld).clock.clock()
    except OSError as error:
        name = error.filename or path
        raise ConfigError(f"{name} cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(
            f"{path} does not hold the line that `riskd sim` printed: {error}."
        ) from error


def _venue_urls(config: Config) -> list[str]:
    urls: list[str | None] = []
    if (hyperliquid := config.venues.hyperliquid) is not None:
        urls += [hyperliquid.rest_url, hyperliquid.ws_url]
    if (dydx := config.venues.dydx) is not None:
        urls += [dydx.rest_url, dydx.ws_url, *dydx.validator_urls]
    return [url or "the public network of a venue" for url in urls]


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _main(config: Config, base: Path, clock: SimulatedClock | None) -> None:
    if clock is None:
        await run_daemon(Daemon(config, SystemClock(), base=base), started=_greet)
        return
    daemon = Daemon(config, clock, base=base, to_wall_ns=clock.to_wall_ns, simulated=True)
    if isinstance(clock, ScaledClock):
        await run_daemon(daemon, started=_greet)
        return
    following = asyncio.create_task(clock.follow(), name="time")
    try:
        await run_daemon(daemon, started=_greet)
    finally:
        following.cancel()
        await asyncio.wait({following})


def _greet(daemon: Daemon) -> None:
    if sys.stderr.isatty():  # elsewhere it is in the log
        for name, problem in daemon.degraded.problems.items():
            print(f"riskd runs without its {name}: {problem}", file=sys.stderr)
    if sys.stdout.isatty():
        print(f"riskd watches; look at {daemon.url}/ or `riskd status --url {daemon.url}`.")
