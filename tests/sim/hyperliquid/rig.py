"""A simulated Hyperliquid on loopback and the plainest of clients, for the tests beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from monitor.sim.addresses import HYPERLIQUID_MASTER
from monitor.sim.hyperliquid.connection import Connection
from monitor.sim.hyperliquid.server import HyperliquidServer
from monitor.sim.world import World
from tests.manual_clock import ManualClock, until

START_S = 1_795_305_480.0  # two minutes before a full hour
MAIN = HYPERLIQUID_MASTER


@dataclass
class Offline:
    """One connection without a socket: what was said and whether it was cut."""

    world: World
    connections: list[Connection] = field(default_factory=list)

    def open(self) -> Connection:
        """A fresh connection of the one caller."""
        connection = Connection(
            self.world, self.world.faults, wake=lambda: None, siblings=lambda: self.connections
        )
        self.connections.append(connection)
        self.world.subscribe(connection.pump)
        return connection


def make_offline() -> tuple[World, Connection]:
    """A world and one connection to it."""
    world = World(7, START_S)
    return world, Offline(world).open()


def say(connection: Connection, message: object) -> list[Any]:
    """Send one frame and take what came back at once."""
    connection.receive(message if isinstance(message, str) else json.dumps(message))
    return take(connection)


def subscribe(connection: Connection, kind: str, **fields: object) -> list[Any]:
    """Subscribe and take what came back at once."""
    return say(connection, {"method": "subscribe", "subscription": {"type": kind, **fields}})


def take(connection: Connection) -> list[Any]:
    """All frames said since the last look, decoded."""
    frames = [json.loads(text) for text in connection.outbox]
    connection.outbox.clear()
    return frames


def data_of(frames: list[Any], channel: str) -> list[Any]:
    """The data of the frames of one channel."""
    return [frame["data"] for frame in frames if frame["channel"] == channel]


@dataclass
class Rig:
    """A running server, its world, and an HTTP session."""

    world: World
    server: HyperliquidServer
    session: aiohttp.ClientSession
    sockets: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)

    async def post(self, body: object, **options: Any) -> aiohttp.ClientResponse:
        """``POST /info``; a ``str`` or ``bytes`` body goes out as it is."""
        headers = options.pop("headers", {"Content-Type": "application/json"})
        raw = body if isinstance(body, str | bytes) else json.dumps(body)
        url = f"{self.server.urls['rest']}/info"
        response = await self.session.post(url, data=raw, headers=headers, **options)
        await response.read()
        return response

    async def ask(self, kind: str, **fields: object) -> Any:
        """The JSON answer to an info request that must succeed."""
        response = await self.post({"type": kind, **fields})
        assert response.status == 200, await response.text()
        return json.loads(await response.read())

    async def connect(self) -> aiohttp.ClientWebSocketResponse:
        """A socket, once the server knows of it."""
        known = len(self.server.connections)
        socket = await self.session.ws_connect(self.server.urls["ws"], autoping=False)
        self.sockets.append(socket)
        await until(lambda: len(self.server.connections) > known)
        return socket


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    """A server over a fresh world, closed afterwards."""
    world = World(7, START_S)
    server = HyperliquidServer(world, world.faults, ManualClock())
    await server.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            rig = Rig(world, server, session)
            yield rig
            await server.close()
            for socket in rig.sockets:
                await socket.close()
    finally:
        await server.close()


async def receive(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next text frame, decoded."""
    async with asyncio.timeout(10):
        return json.loads(await socket.receive_str())
