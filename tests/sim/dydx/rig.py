"""A simulated dYdX for tests: the world under the test's control, and clients that remember."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp

from monitor.sim.addresses import DYDX_MASTER
from monitor.sim.config import WorldConfig
from monitor.sim.dydx.indexer import Indexer
from monitor.sim.dydx.server import DydxServer
from monitor.sim.world import World
from tests.manual_clock import ManualClock, settle

SEED = 7
# A little before a whole hour: a funding tick is near, but no short test meets it by accident.
TO_TICK_S = 150.0
START_S = 1_764_000_000.0 - TO_TICK_S
ADDRESS = DYDX_MASTER
Json = dict[str, Any]


class Audience:
    """Listens to some keys of a feed, or to all, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Json, int | None]] = []

    def publish(
        self, channel: str, key: str, contents: Json, subaccount_number: int | None = None
    ) -> None:
        """Keep one message."""
        self.heard.append((channel, key, contents, subaccount_number))

    def wants(self, channel: str, key: str) -> bool:
        """Everything is wanted."""
        return True

    def on(self, channel: str) -> list[Json]:
        """Contents of one channel, oldest first."""
        return [contents for name, _, contents, _ in self.heard if name == channel]


class Client:
    """One WebSocket client that answers pings only when told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, rig: Rig) -> None:
        self.socket = socket
        self.rig = rig
        self.texts: list[str] = []
        self.pings = 0
        self.closed: tuple[int | None, str] | None = None

    @property
    def frames(self) -> list[Json]:
        """Readable frames."""
        return [json.loads(text) for text in self.texts]

    def data(self, channel: str) -> list[Json]:
        """Data messages of a channel."""
        kinds = {"channel_data", "channel_batch_data"}
        return [f for f in self.frames if f["type"] in kinds and f["channel"] == channel]

    async def say(self, message: object) -> None:
        """Send JSON."""
        await self.socket.send_str(json.dumps(message))

    async def subscribe(self, channel: str, key: str | None = None, **more: object) -> Json:
        """Subscribe and wait for the answer, an error included."""
        seen = len(self.texts)
        message: Json = {"type": "subscribe", "channel": channel, **more}
        if key is not None:
            message["id"] = key
        await self.say(message)
        kinds = {"subscribed", "error"}
        await self.rig.let(
            lambda: any(json.loads(text)["type"] in kinds for text in self.texts[seen:])
        )
        return next(f for f in self.frames[seen:] if f["type"] in kinds)

    async def listen(self) -> None:
        """Read until the connection ends."""
        while True:
            message = await self.socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self.texts.append(message.data)
            elif message.type is aiohttp.WSMsgType.PING:
                self.pings += 1
                if self.rig.answers_pings:
                    await self.socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.CLOSE:
                self.closed = (message.data, message.extra or "")
                await self.socket.close()
                return
            elif message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}:
                self.closed = self.closed or (None, "")
                return


class Rig:
    """World, clock, server and HTTP client of one test."""

    def __init__(self, world: World, clock: ManualClock, server: DydxServer) -> None:
        self.world = world
        self.clock = clock
        self.server = server
        self.answers_pings = True
        self.http = aiohttp.ClientSession()
        self._readers: list[asyncio.Task[None]] = []

    async def connect(self) -> Client:
        """A new client that has been greeted."""
        socket = await self.http.ws_connect(self.server.urls["ws"], autoping=False, autoclose=False)
        client = Client(socket, self)
        self._readers.append(asyncio.create_task(client.listen(), name="test-client"))
        return client

    async def get(self, path: str, **query: object) -> Any:
        """The body of a REST answer that must be 200."""
        status, _, body = await self.ask(path, **query)
        assert status == 200, body
        return body

    async def ask(self, path: str, base: str = "rest", **query: object) -> tuple[int, Any, Any]:
        """(status, headers, body) of a REST request."""
        url = self.server.urls[base] + path
        params = {name: str(value) for name, value in query.items()}
        async with self.http.get(url, params=params) as response:
            return response.status, response.headers, json.loads(await response.read())

    async def let(self, condition: Callable[[], object]) -> None:
        """Let network and clock run until something is true."""
        for _ in range(500):
            if condition():
                return
            await self.clock.advance(0.01)
            await asyncio.sleep(0.001)
        raise AssertionError("it did not come true")

    async def go(self, seconds: float, step_s: float = 0.5) -> None:
        """Let the world run and deliver what it causes."""
        end_s = self.world.now_s + seconds
        while self.world.now_s < end_s:
            self.world.advance(min(end_s, self.world.now_s + step_s))
        await settle()
        await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Stop everything."""
        await self.http.close()
        await self.server.close()
        await asyncio.gather(*self._readers, return_exceptions=True)


@asynccontextmanager
async def simulated(
    world: World | None = None, *, pong_within_s: float = 10.0, step_s: float = 0.5
) -> AsyncIterator[Rig]:
    """A running simulated dYdX; ``step_s`` is the world's grid of time.

    Making a world takes most of a test's time, so tests that only read may share one.
    """
    world = world or World(SEED, START_S, WorldConfig(step_s=step_s))
    clock = ManualClock(int(START_S * 1e9))
    server = DydxServer(world, world.faults, clock, pong_within_s=pong_within_s)
    await server.start()
    rig = Rig(world, clock, server)
    try:
        yield rig
    finally:
        await rig.close()
        world.faults.heal()


def size_of(world: World, symbol: str, pool: str = "0") -> Decimal:
    """The desk's present position."""
    return world.account("dydx", ADDRESS).pools[pool].positions[symbol].size


def fresh() -> tuple[World, Indexer]:
    """A world and an indexer without any socket."""
    world = World(SEED, START_S)
    return world, Indexer(world)
