"""The line that ``riskd sim`` prints, as the verbs read it that may live in its world."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from monitor.config import Config
from monitor.core.errors import ConfigError
from monitor.core.types import EngineNs
from monitor.runtime.clock import ScaledClock
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


class SimulatedLine(msgspec.Struct, frozen=True):
    """What other verbs need of the line: its time and, by venue, URLs and the desk's addresses."""

    clock: SimulatedTime
    urls: dict[str, dict[str, str]] = {}
    addresses: dict[str, dict[str, str]] = {}


def read_line(path: Path) -> SimulatedLine:
    """The line of a simulator that was kept in ``path``.

    Raises:
        ConfigError: The file is not such a line.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=SimulatedLine)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"{path} does not hold the line that `riskd sim` printed: {error}."
        ) from error


def clock_of_line(path: Path) -> SimulatedClock:
    """The clock of a simulator, from the line that it printed into ``path``.

    Raises:
        ConfigError: The file is not such a line, or its time is nowhere.
    """
    line = read_line(path)
    try:
        return line.clock.clock()
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(
            f"{path} does not hold the line that `riskd sim` printed: {error}."
        ) from error


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


@asynccontextmanager
async def living_in(clock: SimulatedClock) -> AsyncIterator[None]:
    """Follow a simulator's time where it waits for whoever follows."""
    if isinstance(clock, ScaledClock):
        yield
        return
    following = asyncio.create_task(clock.follow(), name="time")
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait({following})


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
