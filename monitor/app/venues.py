"""Starts and drives the venues: first contact, then streams and polls for as long as riskd lives.

A venue that this data directory never reached before must answer at start, or the operator is told
(a mistyped address would otherwise look like an outage). One that was reached before is waited for,
because a restart during an outage must still watch the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random

import aiohttp
import structlog

from monitor.core.errors import AuthError, ConfigError, MonitorError, Problem
from monitor.core.events import Event, FeedLost
from monitor.core.ports import Clock, EventSink, Poll, StreamProtocol, Venue
from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.backoff import Backoff
from monitor.runtime.budget import RequestBudget
from monitor.runtime.connects import ConnectBudget
from monitor.runtime.http import HttpClient, host_of
from monitor.runtime.poll import Poller
from monitor.runtime.stream import Stream
from monitor.runtime.supervise import supervise

FIRST_CONTACT_S = 20.0  # real seconds; a venue answers in 0.1 to 0.4


class _Ear:
    """Passes events on and remembers why the last feed was lost, for the one clear sentence."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self.reason = ""

    def submit(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, FeedLost):
                self.reason = event.reason
        self._sink.submit(events)


class VenueDriver:
    """One venue with its budget, its poller and its connections."""

    def __init__(
        self,
        venue: Venue,
        *,
        session: aiohttp.ClientSession,
        http: HttpClient,
        clock: Clock,
        sink: EventSink,
        metrics: DaemonMetrics,
        random: Random,
        budget: RequestBudget,
    ) -> None:
        self.venue = venue
        self.ready = False
        self._streams: tuple[StreamProtocol, ...] = ()
        self._polls: tuple[Poll, ...] = ()
        self._session = session
        self._clock = clock
        self._ear = _Ear(sink)
        self._metrics = metrics
        self._connects = ConnectBudget(venue.budget.connects_per_minute, clock)
        self._random = random
        self._poller = Poller(
            venue.name,
            http=http,
            budget=budget,
            clock=clock,
            sink=self._ear,
            metrics=metrics,
            random=random,
        )
        self._log = structlog.get_logger().bind(venue=venue.name)

    async def first_contact(self, *, wait_s: float = FIRST_CONTACT_S) -> None:
        """Bootstrap within ``wait_s`` real seconds.

        Raises:
            ConfigError: The venue refuses what is configured, or does not answer; says what to do.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._bootstrap()
        except TimeoutError as error:
            polls = self.venue.bootstrap()
            host = host_of(polls[0].request(self._clock.now()).url) if polls else "its address"
            why = self._ear.reason or f"no usable answer within {wait_s:g} s"
            raise ConfigError(
                f"{self.venue.name} cannot be reached at {host}: {why.rstrip('.')}. Check the "
                f"network and venues.{self.venue.name}.rest_url; once riskd has reached a venue, "
                "later starts wait for it instead."
            ) from error

    async def run(self, reached: Callable[[str], None]) -> None:
        """Bootstrap if that is still to do, then hold connections and re-read, for ever."""
        while not self.ready:
            try:
                await self._bootstrap()
            except ConfigError as error:
                # The venue changed its mind while riskd was down: tell, and go on trying.
                self._log.error("venue_refuses_configuration", reason=str(error))
                self._ear.submit(
                    (
                        FeedLost(
                            venue=self.venue.name,
                            channel=f"{self.venue.name}/bootstrap",
                            feed="bootstrap",
                            reason=str(error),
                            retry_s=60.0,
                            quarantined=True,
                        ),
                    )
                )
                await self._clock.sleep(60.0)
        reached(self.venue.name)
        async with asyncio.TaskGroup() as tasks:
            for protocol in self._streams:
                feed = protocol.name.removeprefix(f"{self.venue.name}/")
                counters = self._metrics.feed(self.venue.name, feed)
                stream = Stream(
                    protocol,
                    session=self._session,
                    clock=self._clock,
                    sink=self._ear,
                    counters=counters,
                    refresh=self._poller.refresh,
                    connects=self._connects,
                )
                tasks.create_task(
                    supervise(
                        stream,
                        clock=self._clock,
                        sink=self._ear,
                        backoff=Backoff(self._random),
                        counters=counters,
                    ),
                    name=f"feed:{protocol.name}",
                )
            tasks.create_task(self._poller.run(self._polls), name=f"polls:{self.venue.name}")

    async def _bootstrap(self) -> None:
        try:
            await self._poller.bootstrap(self.venue.bootstrap())
            # Planning checks configured names against what the venue lists.
            self._streams = self.venue.streams()
            self._polls = self.venue.polls()
        except AuthError as error:
            raise ConfigError(str(error)) from error
        self.ready = True


async def contact_all(
    drivers: Sequence[VenueDriver], known: Mapping[str, int], *, wait_s: float = FIRST_CONTACT_S
) -> None:
    """First contact with every venue not reached before, all at once.

    Raises:
        ConfigError: With every venue's sentence.
    """
    problems: list[Problem] = []

    async def contact(driver: VenueDriver) -> None:
        try:
            await driver.first_contact(wait_s=wait_s)
        except ConfigError as error:
            problems.extend(error.problems)
        except MonitorError as error:
            problems.append(Problem(where=driver.venue.name, field="-", message=str(error)))

    async with asyncio.TaskGroup() as tasks:
        for driver in drivers:
            if driver.venue.name not in known:
                tasks.create_task(contact(driver), name=f"contact:{driver.venue.name}")
    if problems:
        raise ConfigError(problems)
