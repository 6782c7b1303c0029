"""Faults of a network on loopback, for any test: a server that follows a script, and a proxy.

``ScriptedServer`` plays one script per accepted connection (the last one again and again) and can
do what no well-behaved server does: stay silent, drip, cut a frame, announce a giant, answer
garbage, reset. ``FaultProxy`` stands before a real server (a simulator) and breaks its connections
on demand.
Both speak through raw sockets; the WebSocket side is ``websockets``' own state machine, so that it
shares nothing with the client under test.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

HOST = "127.0.0.1"
READ_BYTES = 64 * 1024


class Peer:
    """One accepted connection, as its script sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol()
        self._frames: list[Frame] = []
        self.request: Request | None = None

    async def open_websocket(self) -> None:
        """Read the client's handshake and accept it."""
        request = await self._read_request()
        self._protocol.send_response(self._protocol.accept(request))
        await self._flush()

    async def refuse_websocket(self, status: int, headers: dict[str, str] | None = None) -> None:
        """Answer the handshake with an HTTP status."""
        await self._read_request()
        await self.raw(http_answer(status, b"no", headers or {}))

    async def text(self, payload: bytes | str) -> None:
        """Send one text frame."""
        self._protocol.send_text(payload.encode() if isinstance(payload, str) else payload)
        await self._flush()

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self._protocol.send_ping(payload)
        await self._flush()

    async def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake."""
        self._protocol.send_close(code, reason)
        await self._flush()

    async def read(self, opcode: Opcode = Opcode.TEXT) -> bytes | None:
        """The client's next frame of that kind (others are skipped); None when it hung up."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.opcode is opcode:
                    return bytes(frame.data)
            data = await self._reader.read(READ_BYTES)
            if not data:
                return None
            self._take(data)

    async def read_http(self) -> bytes:
        """The head of an HTTP request, to be answered with ``raw``."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def drip(self, data: bytes) -> None:
        """Send bytes one at a time, each in a packet of its own."""
        for index in range(len(data)):
            await self.raw(data[index : index + 1])
            await asyncio.sleep(0)

    def reset(self) -> None:
        """Break the connection with a TCP reset instead of an orderly end."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def stay(self) -> None:
        """Keep the socket open and say nothing until the test ends: half-open silence."""
        await asyncio.Event().wait()

    async def _read_request(self) -> Request:
        while self.request is None:
            data = await self._reader.read(READ_BYTES)
            if not data:
                message = "the client hung up before its handshake"
                raise ConnectionError(message)
            self._take(data)
        return self.request

    def _take(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self.request = event
            elif isinstance(event, Frame):
                self._frames.append(event)

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self.raw(data)


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """Listens on loopback and plays ``scripts``, one per connection, the last one for ever."""

    def __init__(self, *scripts: Script, port: int = 0) -> None:
        self._scripts = scripts
        self._wanted_port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.errors: list[Exception] = []

    @property
    def port(self) -> int:
        """The port that was free."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def ws_url(self) -> str:
        """Where a WebSocket client finds it."""
        return f"ws://{HOST}:{self.port}/ws"

    @property
    def http_url(self) -> str:
        """Where an HTTP client finds it."""
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, self._wanted_port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        assert not self.errors, self.errors

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await script(Peer(reader, writer))
        except (OSError, asyncio.CancelledError):
            return  # the client left, or the test is over
        except Exception as error:  # noqa: BLE001 - shown by the test that owns the server
            self.errors.append(error)
        finally:
            self._tasks.discard(task)
            writer.close()


def http_answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 answer that ends its connection."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def free_port() -> int:
    """A port on which nothing listens, so that connecting is refused."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class FaultProxy:
    """Passes bytes between clients and ``127.0.0.1:<port>`` until it is told to break something."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self.connections = 0

    @property
    def port(self) -> int:
        """Where clients connect instead of the target."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def silence(self) -> None:
        """Half-open: sockets stay, nothing passes any more in either direction."""
        self._flowing.clear()

    def refuse(self) -> None:
        """Reset what is open and every new connection at once."""
        self._refusing = True
        self.reset()

    def reset(self) -> None:
        """Break everything open with a TCP reset; new connections work."""
        for writer in list(self._writers):
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def heal(self) -> None:
        """Let bytes and connections pass again."""
        self._refusing = False
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._writers.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            if self._refusing:
                self.reset()
                return
            back, onward = await asyncio.open_connection(HOST, self._target)
            self._writers.add(onward)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, onward), name="proxy:out")
                tasks.create_task(self._pump(back, writer), name="proxy:back")
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            return  # a side left, or the test is over
        finally:
            self._tasks.discard(task)
            for side in (writer, onward):
                if side is not None:
                    self._writers.discard(side)
                    side.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(READ_BYTES):
            await self._flowing.wait()
            sink.write(data)
            await sink.drain()
        message = "one side ended"
        raise ConnectionError(message)
