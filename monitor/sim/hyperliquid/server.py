"""The simulated Hyperliquid on a socket: ``/info``, ``/exchange`` and ``/ws`` on one loopback port.

Everything it says is computed from the world when asked or when the world moved; its cadence,
limits and time-outs are in the world's seconds, so a faster world has a faster server. One port
serves both because the official client derives the socket's address from the base URL.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from monitor.sim.faults import Fault, FaultKind, Faults
from monitor.sim.hyperliquid import exchange, info
from monitor.sim.hyperliquid.connection import VENUE, Connection
from monitor.sim.hyperliquid.limits import (
    CONNECTIONS_MAX,
    NEW_CONNECTIONS_PER_MINUTE,
    WeightWindow,
)
from monitor.sim.occurrences import WorldEvent
from monitor.sim.world import World

if TYPE_CHECKING:
    from monitor.core.ports import Clock

HOST = "127.0.0.1"


class HyperliquidServer:
    """Serve one world; ``urls`` are known once started."""

    def __init__(self, world: World, faults: Faults, clock: Clock) -> None:
        self._world = world
        self._faults = faults
        self._clock = clock
        self._weight = WeightWindow()
        self._connections: dict[Connection, web.Request] = {}
        self._answering: set[asyncio.Transport] = set()
        self._opened: deque[float] = deque()
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []
        self._told: dict[bytes, tuple[float, info.Answer]] = {}  # only while reads are stale
        self._acting: set[asyncio.Future[info.Answer]] = set()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._port = 0
        self._outage_changed = asyncio.Event()
        self._doorman: asyncio.Task[None] | None = None

    @property
    def urls(self) -> dict[str, str]:
        """``rest``: the base URL (add ``/info``); ``ws``: the socket's."""
        return {"rest": f"http://{HOST}:{self._port}", "ws": f"ws://{HOST}:{self._port}/ws"}

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The sockets that are open."""
        return tuple(self._connections)

    @property
    def waiting(self) -> int:
        """How many requests are held back by a slow or half-open link."""
        return len(self._waiting)

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application(client_max_size=1_000_000)
        app.router.add_route("*", "/info", self._info)
        app.router.add_route("*", "/exchange", self._info)
        app.router.add_get("/ws", self._socket)
        # Connections are cut by outages, so the server need not wait for them when it closes.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen()
        self._world.subscribe(self.pump)
        self._faults.subscribe(self._fault_changed)
        self._doorman = asyncio.create_task(self._keep_door(), name="sim:hyperliquid:door")

    async def close(self) -> None:
        """Stop listening and cut every connection; closing what is closed does nothing."""
        doorman, self._doorman = self._doorman, None
        if doorman is not None:
            self._world.unsubscribe(self.pump)
            self._faults.unsubscribe(self._fault_changed)
            doorman.cancel()
            await asyncio.wait({doorman})
        self._release(float("inf"))
        for future in self._acting:
            future.cancel()
        self._cut_all()
        if self._runner is not None:
            await self._runner.cleanup()

    def pump(self, events: Sequence[WorldEvent]) -> None:
        """The world moved: answer who waits, and let every connection push."""
        self._release(self._world.now_s)
        for connection in self.connections:
            connection.pump(events)

    # ---------------------------------------------------------------------------------- the door

    async def _listen(self) -> None:
        if self._runner is None:
            raise RuntimeError("the server has not been set up")
        self._site = web.TCPSite(self._runner, HOST, self._port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    def _fault_changed(self, fault: Fault, injected: bool) -> None:
        if fault.kind is FaultKind.HALF_OPEN and not injected:
            self._release(float("inf"))
        if fault.kind is FaultKind.STALE_READS:
            self._told.clear()
        if fault.kind is FaultKind.OUTAGE:
            self._outage_changed.set()
            if injected and self._is_out():
                self._cut_all()

    def _is_out(self) -> bool:
        return self._faults.holds(FaultKind.OUTAGE, VENUE)

    async def _keep_door(self) -> None:
        """Stop listening during an outage, so that connections are refused, and listen again."""
        while True:
            await self._outage_changed.wait()
            self._outage_changed.clear()
            if self._is_out() and self._site is not None:
                await self._site.stop()
                self._site = None
            elif not self._is_out() and self._site is None:
                await self._listen()

    def _cut_all(self) -> None:
        for connection in self.connections:
            connection.drop()
        for transport in tuple(self._answering):
            transport.abort()

    def _release(self, now_s: float) -> None:
        waiting, self._waiting = self._waiting, []
        for due_s, future in waiting:
            if due_s > now_s:
                self._waiting.append((due_s, future))
            elif not future.done():
                future.set_result(None)

    async def _world_sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._world.now_s + seconds, future))
        await future

    # -------------------------------------------------------------------------------------- HTTP

    async def _info(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            return web.Response(status=503)  # the caller has already gone
        self._answering.add(transport)
        try:
            return await self._answer(request)
        finally:
            self._answering.discard(transport)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._is_out():
            return self._hang_up(request)
        if request.method != "POST":
            return web.Response(status=405)
        if request.content_type != "application/json":
            return web.Response(status=415, text=info.WRONG_TYPE)
        body = await request.read()
        if self._faults.holds(FaultKind.HALF_OPEN, VENUE):
            await self._world_sleep(float("inf"))  # until healed, or the server closes
            return self._hang_up(request)
        slow = self._faults.find(FaultKind.SLOW, VENUE)
        if slow is not None:
            await self._world_sleep(slow.delay_s)
        if self._faults.holds(FaultKind.FORBIDDEN, VENUE):
            return web.Response(status=403, text="Forbidden")
        if self._faults.holds(FaultKind.API_ERRORS, VENUE):
            return web.Response(status=500, text="Internal Server Error")
        limited = self._faults.holds(FaultKind.RATE_LIMITED, VENUE)
        if limited or not self._weight.has_room(self._world.now_s):
            return web.Response(status=429, body=b"null", content_type="application/json")
        if request.path == "/exchange":
            said = await self._act(body)
            if said is None:
                return self._hang_up(request)
            answer = said
        else:
            answer = self._read_info(body)
            self._weight.charge(answer.weight, self._world.now_s)
        kind = "application/json" if answer.json else "text/plain"
        return web.Response(status=answer.status, body=answer.body, content_type=kind)

    def _read_info(self, body: bytes) -> info.Answer:
        """The answer to a read; under a fault, the one that was given a while ago."""
        kind = info.kind_of(body)
        fault = self._faults.find(FaultKind.STALE_READS, VENUE, kind)
        if fault is None or kind not in info.ACCOUNT_READS:
            return info.answer(self._world, body)
        told = self._told.get(body)
        if told is None or self._world.now_s - told[0] >= fault.delay_s:
            told = self._told[body] = (self._world.now_s, info.answer(self._world, body))
        return told[1]

    async def _act(self, body: bytes) -> info.Answer | None:
        """The answer to an action; None when the server closes before there is one."""
        future: asyncio.Future[info.Answer] = asyncio.get_running_loop().create_future()
        self._acting.add(future)

        def reply(answer: info.Answer) -> None:
            if not future.done():
                future.set_result(answer)

        try:
            weight = exchange.submit(self._world, body, reply)
            self._weight.charge(weight, self._world.now_s)
            await asyncio.wait({future})
        finally:
            self._acting.discard(future)
        return None if future.cancelled() else future.result()

    @staticmethod
    def _hang_up(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)

    # ---------------------------------------------------------------------------------- sockets

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self._is_out():
            return self._hang_up(request)
        if not self._may_connect():
            return web.Response(status=429)
        socket = web.WebSocketResponse(compress=False, autoping=False)
        await socket.prepare(request)
        ready = asyncio.Event()
        connection = Connection(
            self._world, self._faults, wake=ready.set, siblings=lambda: self.connections
        )
        self._connections[connection] = request
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(
                    self._write(connection, socket, request, ready), name="sim:hyperliquid:writer"
                )
                await self._read(connection, socket)
                writer.cancel()
        finally:
            del self._connections[connection]
        return socket

    def _may_connect(self) -> bool:
        now_s = self._world.now_s
        while self._opened and self._opened[0] <= now_s - 60.0:
            self._opened.popleft()
        if (
            len(self._connections) >= CONNECTIONS_MAX
            or len(self._opened) >= NEW_CONNECTIONS_PER_MINUTE
        ):
            return False
        self._opened.append(now_s)
        return True

    async def _read(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                connection.receive(message.data)
            elif message.type is WSMsgType.PING:
                if not self._faults.holds(FaultKind.HALF_OPEN, VENUE):
                    await socket.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                connection.receive(message.data.decode(errors="replace"))

    @staticmethod
    async def _write(
        connection: Connection,
        socket: web.WebSocketResponse,
        request: web.Request,
        ready: asyncio.Event,
    ) -> None:
        """Write what the connection has to say; a dropped one loses its transport, no close frame.

        Frames said before the drop still leave: the venue's own drops come after its last word.
        """
        while True:
            await ready.wait()
            ready.clear()
            while connection.outbox and not socket.closed:
                text = connection.outbox.popleft()
                try:
                    if isinstance(text, bytes):
                        await socket.send_bytes(text)
                    else:
                        await socket.send_str(text)
                except ConnectionError:
                    return  # the client has gone; the reader will see it too
            if connection.dropped and request.transport is not None:
                request.transport.abort()
                return
