"""How many bytes of frames the daemon's own driver and writer give to one evaluation in a burst."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from bench.world import BATCH_BYTES
from monitor.cli.runner import new_runner
from monitor.core.decision import Decision
from monitor.core.events import Event
from monitor.core.types import EngineNs
from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.stream import Stream
from monitor.runtime.supervise import Link
from monitor.runtime.writer import Writer
from tests.manual_clock import ManualClock
from tests.runtime.fakes import STREAM, VENUE, WordProtocol

PAYLOAD = b"x" * 272  # about what a public frame of the bench has
FRAME = b"\x81\x7e" + len(PAYLOAD).to_bytes(2, "big") + PAYLOAD  # text, final, from a server
FRAMES = 20_000


class Counting:
    """An engine that counts the facts between two evaluations, one fact a frame."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.whole = asyncio.Event()
        self._count = 0

    def apply(self, event: Event, now_ns: EngineNs, /) -> None:
        """One frame came."""
        self._count += 1

    def evaluate(self, now_ns: EngineNs, /) -> Decision:
        """The batch is over."""
        self.batches.append(self._count)
        self._count = 0
        if sum(self.batches) >= FRAMES:
            self.whole.set()
        return Decision(at_ns=now_ns)


class Opened(Link):
    """What a supervisor would be told."""

    def __init__(self) -> None:
        """Nobody supervises here."""
        self.last_frame_ns = None

    def connected(self) -> None:
        """The socket is open."""


@asynccontextmanager
async def bursting() -> AsyncIterator[str]:
    """A venue that says everything at once, as after a stall; its URL."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()  # the subscription
        assert request.transport is not None
        request.transport.write(FRAME * FRAMES)
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


async def most_bytes() -> int:
    """Of the largest batch of a burst."""
    engine, clock, metrics = Counting(), ManualClock(), DaemonMetrics(version="0")
    writer = Writer(engine, clock, listeners=(), metrics=metrics)
    async with bursting() as url, aiohttp.ClientSession() as session:
        stream = Stream(
            WordProtocol(url),
            session=session,
            clock=clock,
            sink=writer,
            counters=metrics.feed(VENUE, STREAM),
            refresh=lambda refresh: None,
        )
        reading = asyncio.create_task(stream.run(Opened()))
        async with asyncio.timeout(30):
            await engine.whole.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return max(engine.batches) * len(FRAME)


def test_a_batch_of_the_bench_is_what_one_read_of_asyncio_brings() -> None:
    """No less, and no more."""
    with asyncio.Runner() as runner:
        most = runner.run(most_bytes())
    assert BATCH_BYTES - len(FRAME) < most < BATCH_BYTES + len(FRAME)


def test_the_daemon_judges_no_oftener_than_the_bench() -> None:
    """On the loop that it runs on, where an evaluation may get more than one read."""
    with new_runner() as runner:
        most = runner.run(most_bytes())
    assert most > BATCH_BYTES - len(FRAME)
