"""The simulated Hyperliquid over real sockets on loopback: port, drops, outages, HTTP faults."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import WSMsgType

from monitor.sim.faults import Fault, FaultKind
from tests.manual_clock import until
from tests.sim.hyperliquid.rig import MAIN, START_S, Rig, receive, running

VENUE = "hyperliquid"


async def closing(socket: aiohttp.ClientWebSocketResponse) -> WSMsgType:
    """What the socket ends with, data before it skipped."""
    async with asyncio.timeout(10):
        while True:
            message = await socket.receive()
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                return message.type


async def subscribe(socket: aiohttp.ClientWebSocketResponse, kind: str, **fields: object) -> None:
    """Ask, without waiting."""
    request = {"method": "subscribe", "subscription": {"type": kind, **fields}}
    await socket.send_str(json.dumps(request))


async def test_one_port_for_both() -> None:
    """The socket's address is the base URL's with ``/ws``, as the official client derives it."""
    async with running() as rig:
        urls = rig.server.urls
        assert urls["ws"] == "ws" + urls["rest"][len("http") :] + "/ws"
        assert (await rig.ask("exchangeStatus"))["specialStatuses"] is None
        socket = await rig.connect()
        await socket.send_str('{"method":"ping"}')
        assert await receive(socket) == {"channel": "pong"}


async def test_compression_is_not_negotiated() -> None:
    """Offered, but not taken."""
    async with running() as rig:
        socket = await rig.session.ws_connect(rig.server.urls["ws"], compress=15)
        rig.sockets.append(socket)
        assert not socket.compress


async def test_frames_follow_the_world() -> None:
    """Acknowledged, answered, and pushed when the world moves."""
    async with running() as rig:
        socket = await rig.connect()
        await subscribe(socket, "activeAssetCtx", coin="BTC")
        assert (await receive(socket))["channel"] == "subscriptionResponse"
        first = await receive(socket)
        rig.world.advance(START_S + 5)
        second = await receive(socket)
        assert first["channel"] == second["channel"] == "activeAssetCtx"
        assert first["data"]["ctx"] != second["data"]["ctx"]


async def test_a_bad_coin_cuts_without_a_close_frame() -> None:
    """The client sees an abnormal end (1006), not a close."""
    async with running() as rig:
        socket = await rig.connect()
        await subscribe(socket, "l2Book", coin="NOPE")
        assert await closing(socket) in {WSMsgType.CLOSED, WSMsgType.ERROR}
        assert socket.close_code == 1006
        await until(lambda: not rig.server.connections)


async def test_a_silent_minute_cuts() -> None:
    """A socket to which nothing was sent for 60 s of the world's time ends abnormally."""
    async with running() as rig:
        socket = await rig.connect()
        rig.world.advance(START_S + 61)
        assert await closing(socket) in {WSMsgType.CLOSED, WSMsgType.ERROR}
        assert socket.close_code == 1006


async def test_ten_connections() -> None:
    """The eleventh is refused; once one is gone another may come."""
    async with running() as rig:
        sockets = [await rig.connect() for _ in range(10)]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await rig.connect()
        await sockets[0].close()
        await until(lambda: len(rig.server.connections) == 9)
        await rig.connect()


async def test_an_outage_cuts_and_refuses_then_heals() -> None:
    """Open sockets end, new connections are refused, and the same port answers again."""
    async with running() as rig:
        socket = await rig.connect()
        urls = rig.server.urls
        rig.world.faults.inject(Fault(kind=FaultKind.OUTAGE, venue=VENUE))
        assert await closing(socket) in {WSMsgType.CLOSED, WSMsgType.ERROR}
        await until_refused(rig)
        rig.world.faults.heal(FaultKind.OUTAGE)
        await until_answered(rig)
        assert rig.server.urls == urls


async def until_refused(rig: Rig) -> None:
    """A new TCP connection is refused outright."""
    port = int(rig.server.urls["rest"].rsplit(":", 1)[1])
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0)


async def until_answered(rig: Rig) -> None:
    """``/info`` answers."""
    async with asyncio.timeout(10):
        while True:
            try:
                await rig.ask("exchangeStatus")
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0)
            else:
                return


async def test_an_outage_of_the_other_venue_is_not_ours() -> None:
    """dYdX may be out while Hyperliquid answers."""
    async with running() as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.OUTAGE, venue="dydx"))
        await rig.ask("exchangeStatus")


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        pytest.param(FaultKind.RATE_LIMITED, 429, "null", id="429 storm"),
        pytest.param(FaultKind.FORBIDDEN, 403, "Forbidden", id="blocked"),
        pytest.param(FaultKind.API_ERRORS, 500, "Internal Server Error", id="500s"),
    ],
)
async def test_http_faults(kind: FaultKind, status: int, body: str) -> None:
    """Every request is refused while the fault holds; sockets go on."""
    async with running() as rig:
        socket = await rig.connect()
        rig.world.faults.inject(Fault(kind=kind, venue=VENUE))
        response = await rig.post({"type": "clearinghouseState", "user": MAIN})
        assert (response.status, await response.text()) == (status, body)
        await socket.send_str('{"method":"ping"}')
        assert await receive(socket) == {"channel": "pong"}
        rig.world.faults.heal(kind)
        await rig.ask("exchangeStatus")


async def test_slow_answers_wait_for_the_world() -> None:
    """Under SLOW an answer leaves only after its delay has passed in the world."""
    async with running() as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.SLOW, venue=VENUE, delay_s=5))
        asked = asyncio.create_task(rig.ask("exchangeStatus"), name="asked")
        await until(lambda: rig.server.waiting)
        rig.world.advance(START_S + 4.9)
        assert not asked.done()
        rig.world.advance(START_S + 5)
        assert (await asked)["time"] == (START_S + 5) * 1_000


async def test_half_open_http_hangs_until_healed() -> None:
    """A request into a half-open link gets no answer; it is cut in the end, never answered."""
    async with running() as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.HALF_OPEN, venue=VENUE))
        asked = asyncio.create_task(rig.post({"type": "exchangeStatus"}), name="asked")
        await until(lambda: rig.server.waiting)
        rig.world.advance(START_S + 300)
        assert not asked.done()
        rig.world.faults.heal()
        with pytest.raises(aiohttp.ClientConnectionError):
            await asked


async def test_half_open_sockets_answer_no_pings() -> None:
    """Not even a protocol ping; after healing the socket lives on."""
    async with running() as rig:
        socket = await rig.connect()
        rig.world.faults.inject(Fault(kind=FaultKind.HALF_OPEN, venue=VENUE))
        await socket.ping(b"one")
        await socket.send_str('{"method":"ping"}')
        await until(lambda: rig.server.connections[0].messages == 1)
        rig.world.faults.heal()
        await socket.ping(b"two")
        message = await asyncio.wait_for(socket.receive(), 10)
        assert (message.type, bytes(message.data)) == (WSMsgType.PONG, b"two")


async def test_closing_ends_everything() -> None:
    """After ``close`` the port is free and no connection is left."""
    async with running() as rig:
        socket = await rig.connect()
        port = int(rig.server.urls["rest"].rsplit(":", 1)[1])
        await rig.server.close()
        assert await closing(socket) in {WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE}
        assert rig.server.connections == ()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
