"""The sockets of the simulated dYdX indexer: who is connected, what they get, what goes wrong.

Uses the ``websockets`` library, so that riskd's own client (another implementation) is met on the
wire only. Frames are queued synchronously and written by one task per connection. Everything that
can go wrong on the way (garbage, lateness, silence, loss) is decided here, from the world's faults.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS
from monitor.sim.dydx import session as wire
from monitor.sim.dydx.feed import Feed, Message
from monitor.sim.dydx.indexer import Indexer, NotKnownError
from monitor.sim.dydx.session import Asked, Closing, Session
from monitor.sim.faults import FaultKind, Faults
from monitor.sim.listings import DYDX

PATH = "/v4/ws"
PING_EVERY_S = 30.0
PONG_WITHIN_S = 10.0
CLOSE_WITHIN_S = 1.0
BATCH_PERIOD_S = 0.25
# How long fetching a snapshot takes; the draw makes answers overtake each other now and then.
FETCH_S = (0.002, 0.03)
QUEUE_FRAMES = 20_000


class Link:
    """One client: its session, its socket, and what waits to be written."""

    def __init__(self, session: Session, socket: ServerConnection) -> None:
        self.session = session
        self.socket = socket
        self.half_open = False
        self.frames: asyncio.Queue[bytes | Closing] = asyncio.Queue(QUEUE_FRAMES)
        self._late: list[tuple[float, int, bytes]] = []
        self._late_number = 0

    def send(self, frame: bytes | Closing) -> None:
        """Queue for writing; a client that reads too slowly for the queue is cut off."""
        if self.half_open:
            return
        try:
            self.frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.cut()

    def send_late(self, frame: bytes, due_s: float) -> None:
        """Hold a frame until the world's instant ``due_s``."""
        self._late_number += 1
        heapq.heappush(self._late, (due_s, self._late_number, frame))

    def release(self, now_s: float) -> None:
        """Queue the frames whose time has come."""
        while self._late and self._late[0][0] <= now_s:
            self.send(heapq.heappop(self._late)[2])

    def cut(self) -> None:
        """Reset the connection without a word."""
        self.socket.transport.abort()

    def go_silent(self, *, silent: bool) -> None:
        """Half-open: TCP stays up, nothing is read, answered or sent any more."""
        if silent != self.half_open:
            self.half_open = silent
            if silent:
                self.socket.transport.pause_reading()
            else:
                self.socket.transport.resume_reading()


class Hub:
    """All connections; the audience of the feed."""

    def __init__(
        self,
        indexer: Indexer,
        faults: Faults,
        clock: Clock,
        *,
        blocked: Callable[[str], bool],
        pong_within_s: float = PONG_WITHIN_S,
    ) -> None:
        self._indexer = indexer
        self._faults = faults
        self._clock = clock
        self._blocked = blocked
        self._pong_within_s = pong_within_s
        self._links: list[Link] = []
        self._wanted: Counter[tuple[str, str]] = Counter()
        seed = f"{indexer.world.seed}/dydx/sockets"
        self._rng = random.Random(seed)  # noqa: S311 - nature, not a secret
        self._next_batch_s = indexer.world.now_s + BATCH_PERIOD_S
        self._server: Server | None = None
        self.feed: Feed | None = None
        self.port = 0

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._links)

    # ---------------------------------------------------------------------------------- listening

    async def listen(self) -> None:
        """Accept connections; the port stays the same from the second time on."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            process_request=_refuse_other_paths,
            compression=None,
            ping_interval=None,
            close_timeout=CLOSE_WITHIN_S,
            max_size=2**20,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop_listening(self) -> None:
        """Refuse new connections and cut the open ones, as an outage does."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close(close_connections=False)
        self.cut_all()
        await server.wait_closed()

    async def restart(self) -> None:
        """A deploy: every client is told to come back."""
        for link in tuple(self._links):
            link.send(wire.SERVICE_RESTARTING)

    async def close(self) -> None:
        """Say goodbye and stop."""
        if self._server is None:
            return
        server, self._server = self._server, None
        for link in tuple(self._links):
            link.go_silent(silent=False)
        server.close(code=1001)
        await server.wait_closed()

    def go_silent(self, *, silent: bool) -> None:
        """Make every connection half-open, or living again."""
        for link in tuple(self._links):
            link.go_silent(silent=silent)

    def cut_all(self) -> None:
        """Reset every connection."""
        for link in tuple(self._links):
            link.cut()

    # -------------------------------------------------------------------------------- the audience

    def publish(
        self, channel: str, key: str, contents: Message, subaccount_number: int | None = None
    ) -> None:
        """Send one data message to everybody subscribed to it."""
        if not self.wants(channel, key) or self._dead(channel, key):
            return
        for link in tuple(self._links):
            frame = link.session.publish(
                channel,
                key,
                contents,
                subaccount_number=subaccount_number,
                lose=self._hits(FaultKind.LOST_FRAMES, channel),
            )
            if frame is not None:
                self._push(link, frame, channel)

    def wants(self, channel: str, key: str) -> bool:
        """Whether anybody is subscribed to it."""
        return self._wanted[channel, key] > 0

    def tick(self) -> None:
        """The world moved: send the batches that are due and the frames that were held back."""
        now_s = self._indexer.world.now_s
        flush = now_s >= self._next_batch_s
        if flush:
            self._next_batch_s = now_s + BATCH_PERIOD_S
        for link in tuple(self._links):
            link.release(now_s)
            if flush:
                for frame in link.session.flush():
                    self._push(link, frame, "*")

    def _dead(self, channel: str, key: str) -> bool:
        """Whether a fault silences this channel; it may name the key or the address in it."""
        return any(
            self._faults.holds(FaultKind.DEAD_CHANNEL, DYDX, channel, name)
            for name in (key, key.partition("/")[0])
        )

    def _push(self, link: Link, frame: bytes, channel: str) -> None:
        if self._hits(FaultKind.GARBAGE_FRAMES, channel):
            frame = frame[: len(frame) * 2 // 3]
        slow = self._faults.find(FaultKind.SLOW, DYDX, channel)
        if slow is not None:
            link.send_late(frame, self._indexer.world.now_s + slow.delay_s)
        else:
            link.send(frame)

    def _hits(self, kind: FaultKind, channel: str) -> bool:
        fault = self._faults.find(kind, DYDX, channel)
        return fault is not None and self._rng.random() < fault.ratio

    # ------------------------------------------------------------------------------ one connection

    async def _serve(self, socket: ServerConnection) -> None:
        identity = uuid.UUID(int=self._rng.getrandbits(128), version=4)
        link = Link(Session(str(identity), self._indexer.is_ticker), socket)
        link.go_silent(silent=self._faults.holds(FaultKind.HALF_OPEN, DYDX))
        self._links.append(link)
        link.send(link.session.opened())
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(self._write(link), name="dydx-sim-write"),
                    tasks.create_task(self._beat(link), name="dydx-sim-beat"),
                ]
                async for asked in self._read(link):
                    helpers = [task for task in helpers if not task.done()]
                    fetch = self._fetch(link, asked)
                    helpers.append(tasks.create_task(fetch, name="dydx-sim-fetch"))
                for task in helpers:
                    task.cancel()
        finally:
            self._links.remove(link)
            self._wanted.subtract(link.session.subscriptions())

    async def _read(self, link: Link) -> AsyncIterator[Asked]:
        """Answer what the client says until it leaves; yields the snapshots it asks for."""
        try:
            async for text in link.socket:
                before = link.session.subscriptions()
                reaction = link.session.received(text, self._now_s())
                self._recount(before, link.session.subscriptions())
                for frame in reaction.send:
                    link.send(frame)
                if reaction.close is not None:
                    link.send(reaction.close)
                if reaction.fetch is not None:
                    yield reaction.fetch
        except ConnectionClosed:
            return

    async def _fetch(self, link: Link, asked: Asked) -> None:
        """Take the snapshot now, register after the time that fetching takes: the race."""
        contents, blocked = self._snapshot(asked)
        await self._clock.sleep(self._rng.uniform(*FETCH_S))
        before = link.session.subscriptions()
        if contents is None:
            frames = link.session.fetch_failed(asked, blocked=blocked)
        else:
            frames = link.session.fetched(asked, contents)
        if link not in self._links:
            return  # gone meanwhile: nothing to count
        self._recount(before, link.session.subscriptions())
        for frame in frames:
            self._push_reply(link, frame)

    def _snapshot(self, asked: Asked) -> tuple[Message | None, bool]:
        """(contents or ``None`` when they cannot be had, whether because of compliance)."""
        if asked.channel in {wire.SUBACCOUNTS, wire.PARENT_SUBACCOUNTS} and self._blocked(
            asked.key.partition("/")[0]
        ):
            return None, True
        if self._hits(FaultKind.API_ERRORS, asked.channel):
            return None, False
        try:
            contents = self._indexer.snapshot(asked.channel, asked.key)
        except NotKnownError:
            return None, False
        if self.feed is not None:
            self.feed.track(asked.channel, asked.key)
        return contents, False

    def _push_reply(self, link: Link, frame: bytes) -> None:
        slow = self._faults.find(FaultKind.SLOW, DYDX)
        if slow is not None:
            link.send_late(frame, self._indexer.world.now_s + slow.delay_s)
        else:
            link.send(frame)

    async def _write(self, link: Link) -> None:
        try:
            while True:
                frame = await link.frames.get()
                if isinstance(frame, Closing):
                    await link.socket.close(frame.code, frame.reason)
                    return
                await link.socket.send(frame, text=True)
        except ConnectionClosed:
            return

    async def _beat(self, link: Link) -> None:
        """A ping frame every 30 s; the pong is awaited in real seconds, as networks do not run
        faster in a scaled world."""
        try:
            while True:
                await self._clock.sleep(PING_EVERY_S)
                if link.half_open:
                    continue
                pong = await link.socket.ping()
                try:
                    async with asyncio.timeout(self._pong_within_s):
                        await pong
                except TimeoutError:
                    await link.socket.close(*wire.HEARTBEAT_TIMEOUT)
                    return
        except ConnectionClosed:
            return

    def _recount(
        self, before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]
    ) -> None:
        if before != after:
            self._wanted.subtract(before)
            self._wanted.update(after)

    def _now_s(self) -> float:
        return self._clock.now() / SECOND_NS


def _refuse_other_paths(connection: ServerConnection, request: Request) -> Response | None:
    path = request.path.partition("?")[0].rstrip("/")
    return None if path == PATH else connection.respond(404, "Not Found\n")
