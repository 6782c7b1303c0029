"""The supervisor's decisions, with a scripted feed and no socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from monitor.core.errors import AuthError, DecodeError, SequenceGap, TransientFeedError
from monitor.core.events import FeedConnected, FeedLost, FrameRejected
from monitor.observability.metrics import FeedCounters
from monitor.runtime.backoff import Backoff
from monitor.runtime.supervise import Limits, Link, supervise
from tests.manual_clock import ManualClock, settle
from tests.runtime.fakes import RecordingSink
from tests.runtime.test_backoff import HighRandom

Attempt = Callable[["ScriptedFeed", Link], None]


class ScriptedFeed:
    """Each attempt does what the next function says; after the last it stays connected."""

    venue = "fake"
    name = "fake/market-1"

    def __init__(self, clock: ManualClock, *attempts: Attempt) -> None:
        self.clock = clock
        self.attempts = list(attempts)
        self.runs = 0

    async def run(self, link: Link) -> None:
        """One attempt."""
        self.runs += 1
        if self.attempts:
            self.attempts.pop(0)(self, link)
            return
        link.connected()
        await asyncio.Event().wait()


def fails(error: Exception) -> Attempt:
    """An attempt that never connects."""

    def attempt(feed: ScriptedFeed, link: Link) -> None:
        raise error

    return attempt


def lives(seconds: float, error: Exception, *, silent_s: float = 0.0) -> Attempt:
    """An attempt that connects, reads for ``seconds``, is silent, and fails."""

    def attempt(feed: ScriptedFeed, link: Link) -> None:
        link.connected()
        feed.clock.jump(seconds)
        link.last_frame_ns = feed.clock.now()
        feed.clock.jump(silent_s)
        raise error

    return attempt


@asynccontextmanager
async def supervised(
    feed: ScriptedFeed, counters: FeedCounters, limits: Limits | None = None
) -> AsyncIterator[RecordingSink]:
    """The feed under a supervisor whose delays are the bounds of its backoff."""
    sink = RecordingSink()
    body = supervise(
        feed,
        clock=feed.clock,
        sink=sink,
        backoff=Backoff(HighRandom(), first_s=1.0, cap_s=8.0, healthy_s=60.0),
        counters=counters,
        limits=limits or Limits(),
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(body, name="feed")
        yield sink
        task.cancel()


DOWN = TransientFeedError("down")
GAP = SequenceGap("gap")


@pytest.mark.parametrize(
    ("attempts", "delays"),
    [
        pytest.param([fails(DOWN)] * 5, [1.0, 2.0, 4.0, 8.0, 8.0], id="transient: capped growth"),
        pytest.param(
            [fails(DOWN), lives(59.0, DOWN), lives(60.0, DOWN)],
            [1.0, 2.0, 1.0],
            id="only a healthy period starts anew",
        ),
        pytest.param(
            [fails(DOWN), fails(DOWN), lives(59.0, DOWN, silent_s=31.0)],
            [1.0, 2.0, 4.0],
            id="silence at the end is not health",
        ),
        pytest.param(
            [lives(1.0, GAP), lives(1.0, GAP), lives(1.0, GAP)],
            [0.0, 1.0, 2.0],
            id="a gap reconnects at once, but only once",
        ),
        pytest.param(
            [lives(1.0, GAP), lives(60.0, GAP)], [0.0, 0.0], id="health makes a gap free again"
        ),
        pytest.param(
            [fails(TransientFeedError("busy", retry_after_s=30.0))], [30.0], id="Retry-After"
        ),
        pytest.param(
            [fails(TransientFeedError("busy", retry_after_s=1e9))],
            [300.0],
            id="an absurd Retry-After is cut",
        ),
        pytest.param([fails(AuthError("no"))] * 2, [300.0, 300.0], id="auth: rarely, for ever"),
        pytest.param([fails(KeyError("x"))] * 2, [1.0, 2.0], id="a bug backs off"),
        pytest.param(
            [fails(AuthError("no")), fails(DOWN)], [300.0, 1.0], id="quarantine ends by itself"
        ),
    ],
)
async def test_how_long_each_fault_waits(attempts: list[Attempt], delays: list[float]) -> None:
    """The delay before each next attempt, told in the event and kept to the second."""
    clock = ManualClock()
    feed = ScriptedFeed(clock, *attempts)
    async with supervised(feed, FeedCounters()) as sink:
        for number, delay in enumerate(delays):
            await settle()
            told = sink.of(FeedLost)[number].retry_s
            assert told == delay
            if delay:
                runs = feed.runs
                await clock.advance(delay - 0.001)
                assert feed.runs == runs
                await clock.advance(0.001)
        assert feed.runs == len(delays) + 1
        assert isinstance(sink.events[-1], FeedConnected)


async def test_feeds_never_give_up() -> None:
    """A thousand failures later the thousand-and-first attempt is still made."""
    clock = ManualClock()
    feed = ScriptedFeed(clock, *[fails(DOWN)] * 1000)
    counters = FeedCounters()
    with capture_logs() as logs:
        async with supervised(feed, counters):
            await clock.advance(8.0 * 1000)
            assert counters.connected
    assert counters.failures == 1000
    assert counters.reconnects == 0
    assert [entry["event"] for entry in logs] == ["feed_lost", "feed_connected"]


async def test_cancellation_is_never_swallowed() -> None:
    """A daemon that stops can stop a feed, whether it runs or waits."""
    clock = ManualClock()
    counters = FeedCounters()
    for feed in (ScriptedFeed(clock), ScriptedFeed(clock, fails(DOWN))):
        async with supervised(feed, counters):
            await settle()
    assert clock.sleepers == 0


def rejects(times: int, apart_s: float) -> Attempt:
    """An attempt that connects and rejects frames ``apart_s`` apart."""

    def attempt(feed: ScriptedFeed, link: Link) -> None:
        link.connected()
        for _ in range(times):
            link.rejected(DecodeError("odd"), b"frame")
            feed.clock.jump(apart_s)
        raise DOWN

    return attempt


@pytest.mark.parametrize(
    ("times", "apart_s", "quarantined"),
    [
        pytest.param(4, 1.0, False, id="one below the limit"),
        pytest.param(5, 1.0, True, id="at the limit"),
        pytest.param(5, 15.0, True, id="just within the window"),
        pytest.param(50, 15.1, False, id="too far apart to count together"),
    ],
)
async def test_rejections_count_within_a_window(
    times: int, apart_s: float, *, quarantined: bool
) -> None:
    """N frames within the window put the feed aside; each is reported with its copy."""
    clock = ManualClock()
    counters = FeedCounters()
    limits = Limits(rejections_max=5, rejections_window_s=60.0)
    feed = ScriptedFeed(clock, rejects(times, apart_s))
    async with supervised(feed, counters, limits) as sink:
        await settle()
        assert sink.of(FeedLost)[0].quarantined is quarantined
        assert len(sink.of(FrameRejected)) == counters.rejected
        assert sink.of(FrameRejected)[0].sample == b"frame"
        assert counters.rejected == (5 if quarantined else times)
