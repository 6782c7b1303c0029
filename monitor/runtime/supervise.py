"""Keeps one feed alive for ever, and keeps its faults to itself.

A feed is one connection's life: ``run`` connects, reads, and ends by raising. Around it stands this
loop: transient faults back off, a gap reconnects at once (once), a refused client or a flood of
undecodable frames is quarantined and tried again only rarely. Feeds never give up. Whatever a
venue's pure code raises is a bug of that venue and stays with this feed.
"""

from __future__ import annotations

from collections import deque
from typing import NoReturn, Protocol

import msgspec
import structlog

from monitor.core.errors import AuthError, DecodeError, FeedError, SequenceGap, TransientFeedError
from monitor.core.events import FeedConnected, FeedLost, FrameRejected
from monitor.core.ports import Clock, EventSink
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import FeedCounters
from monitor.runtime.backoff import Backoff


class Link:
    """What a feed tells its supervisor while it runs. One per attempt."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.connected_at_ns: EngineNs | None = None
        self.last_frame_ns: EngineNs | None = None

    def connected(self) -> None:
        """The socket is open and accepted."""
        self.connected_at_ns = self._supervisor.clock.now()
        self._supervisor.connected()

    def rejected(self, error: DecodeError, frame: bytes = b"") -> None:
        """A frame was not understood; it is reported, counted, and the connection goes on.

        Raises:
            TooManyRejections: When the limit of the window is reached.
        """
        self._supervisor.rejected(error, frame)

    def healthy_for_s(self) -> float:
        """From the opening to the newest frame: silence at the end is not health."""
        if self.connected_at_ns is None or self.last_frame_ns is None:
            return 0.0
        return max(0, self.last_frame_ns - self.connected_at_ns) / SECOND_NS


class Feed(Protocol):
    """One connection's life, to be run again and again."""

    @property
    def venue(self) -> str:
        """Configured name of the venue."""
        ...

    @property
    def name(self) -> str:
        """Unique in the process, ``<venue>/<connection>``."""
        ...

    async def run(self, link: Link) -> None:
        """Connect and read until it fails; raises ``FeedError``, or returns when it ended."""
        ...


class TooManyRejections(FeedError):  # noqa: N818 - names what happened, like SequenceGap
    """So many frames were not understood that the feed is put aside."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a feed is put aside, and for how long."""

    rejections_max: int = 100  # one misread channel must not take its healthy neighbours with it
    rejections_window_s: float = 60.0
    quarantine_s: float = 300.0


DEFAULT_LIMITS = Limits()


class Supervisor:
    """Runs one feed for ever and reports its state as events, counters and log lines."""

    def __init__(
        self,
        feed: Feed,
        *,
        clock: Clock,
        sink: EventSink,
        backoff: Backoff,
        counters: FeedCounters,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.clock = clock
        self._feed = feed
        self._feed_name = feed.name.removeprefix(f"{feed.venue}/")
        self._sink = sink
        self._backoff = backoff
        self._counters = counters
        self._limits = limits
        self._rejections: deque[EngineNs] = deque(maxlen=limits.rejections_max)
        self._gap_spent = False
        self._opened_before = False
        self._logged_state = ""
        self._log = structlog.get_logger().bind(venue=feed.venue, feed=self._feed_name)

    async def run(self) -> NoReturn:
        """Never returns and raises nothing but what must end the process (cancellation)."""
        while True:
            link = Link(self)
            try:
                await self._feed.run(link)
                error: Exception = TransientFeedError("The connection ended without a reason.")
            except Exception as caught:  # noqa: BLE001 - containment point: one feed (design.md §2)
                error = caught
            delay_s = self._lost(error, link)
            if delay_s > 0.0:
                await self.clock.sleep(delay_s)

    def connected(self) -> None:
        """Called through the link once the socket is open."""
        self._counters.connected = True
        self._counters.quarantined = False
        if self._opened_before:
            self._counters.reconnects += 1
        self._opened_before = True
        self._log_state("feed_connected")
        self._submit_connected()

    def rejected(self, error: DecodeError, frame: bytes) -> None:
        """Called through the link for a frame that was not understood."""
        now = self.clock.now()
        window_ns = round(self._limits.rejections_window_s * SECOND_NS)
        while self._rejections and now - self._rejections[0] > window_ns:
            self._rejections.popleft()
        first = not self._rejections
        self._rejections.append(now)
        self._counters.rejected += 1
        report = error if error.sample else DecodeError(str(error), sample=frame)
        if first:  # one line when it begins; the counter tells the rest
            self._log.warning(
                "frame_rejected", reason=str(error), sample=report.sample.decode("utf-8", "replace")
            )
        self._sink.submit(
            (
                FrameRejected(
                    venue=self._feed.venue,
                    channel=self._feed.name,
                    feed=self._feed_name,
                    reason=str(error),
                    sample=report.sample,
                ),
            )
        )
        if len(self._rejections) >= self._limits.rejections_max:
            count = len(self._rejections)
            self._rejections.clear()
            message = (
                f"{count} frames within {self._limits.rejections_window_s:g} s could not be "
                f"decoded; the last: {error}"
            )
            raise TooManyRejections(message) from error

    def _lost(self, error: Exception, link: Link) -> float:
        """Report what ended the attempt and say how long to wait, seconds."""
        counters = self._counters
        counters.connected = False
        counters.failures += 1
        healthy_for_s = link.healthy_for_s()
        if self._backoff.recovered(healthy_for_s):
            self._gap_spent = False
        quarantined = isinstance(error, AuthError | TooManyRejections)
        if quarantined:
            delay_s = self._limits.quarantine_s
            reason = str(error)
        elif isinstance(error, SequenceGap):
            counters.gaps += 1
            reason = str(error)
            delay_s = 0.0
            if self._gap_spent:
                delay_s = self._backoff.next_s(healthy_for_s=healthy_for_s)
            self._gap_spent = True
        elif isinstance(error, FeedError):
            reason = str(error)
            retry_after_s = error.retry_after_s if isinstance(error, TransientFeedError) else None
            delay_s = self._backoff.next_s(healthy_for_s=healthy_for_s)
            delay_s = max(delay_s, min(retry_after_s or 0.0, self._limits.quarantine_s))
        else:
            counters.bugs += 1
            reason = f"Unexpected {type(error).__name__} in this venue's code: {error}"
            delay_s = self._backoff.next_s(healthy_for_s=healthy_for_s)
            self._log.error("feed_bug", exc_info=error)
        counters.quarantined = quarantined
        self._log_state("feed_quarantined" if quarantined else "feed_lost", reason, delay_s)
        self._sink.submit(
            (
                FeedLost(
                    venue=self._feed.venue,
                    channel=self._feed.name,
                    feed=self._feed_name,
                    reason=reason,
                    retry_s=delay_s,
                    quarantined=quarantined,
                ),
            )
        )
        return delay_s

    def _submit_connected(self) -> None:
        self._sink.submit(
            (FeedConnected(venue=self._feed.venue, channel=self._feed.name, feed=self._feed_name),)
        )

    def _log_state(self, state: str, reason: str = "", retry_s: float | None = None) -> None:
        """One line when a feed breaks and one when it heals, however often it is tried between."""
        if state == self._logged_state:
            return
        self._logged_state = state
        if state == "feed_connected":
            self._log.info(state)
        else:
            self._log.warning(state, reason=reason, retry_s=retry_s)


async def supervise(
    feed: Feed,
    *,
    clock: Clock,
    sink: EventSink,
    backoff: Backoff,
    counters: FeedCounters,
    limits: Limits = DEFAULT_LIMITS,
) -> NoReturn:
    """Run ``feed`` for ever; the body of one task of the daemon's task group."""
    supervisor = Supervisor(
        feed, clock=clock, sink=sink, backoff=backoff, counters=counters, limits=limits
    )
    await supervisor.run()
