"""Drives any ``StreamProtocol`` over an aiohttp WebSocket.

Each frame is applied as it is read. ``receive()`` does not give way to the loop while frames are
buffered, so one read batch is applied in one go and the writer's ``call_soon`` evaluates after it.
Silence is measured from the last frame received, never from the last call to ``receive``: a timeout
that starts anew with each turn of a loop never fires. Control frames are handed to the protocol,
since for channels that speak only on change they are the only sign of life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Literal, NoReturn

import aiohttp
import msgspec

from monitor.core.errors import DecodeError, FeedError, TransientFeedError
from monitor.core.ports import NOTHING, Clock, EventSink, Output, Refresh, StreamProtocol
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import FeedCounters
from monitor.runtime.connects import ConnectBudget
from monitor.runtime.http import host_of, network_fault
from monitor.runtime.supervise import Link

TICK_S = 1.0

_Socket = aiohttp.ClientWebSocketResponse[Literal[False]]

# What venues mean by the codes they close with; the number is always shown as well.
CLOSE_MEANINGS = {
    1000: "normal end",
    1001: "the server goes away",
    1002: "protocol error",
    1003: "unsupported data",
    1006: "the connection broke without a closing frame",
    1007: "invalid text",
    1008: "policy violation, often a limit on connections or subscriptions",
    1009: "message too big",
    1011: "the server failed",
    1012: "the server restarts",
    1013: "try again later",
    4000: "closed by the venue's own rule",
}


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one connection; deadlines of the network in real seconds."""

    connect_timeout_s: float = 15.0
    send_timeout_s: float = 10.0
    close_timeout_s: float = 2.0
    frame_bytes_max: int = 16 * 1024 * 1024


DEFAULT_LIMITS = StreamLimits()


class Stream:
    """One venue connection as a ``supervise.Feed``."""

    def __init__(
        self,
        protocol: StreamProtocol,
        *,
        session: aiohttp.ClientSession,
        clock: Clock,
        sink: EventSink,
        counters: FeedCounters,
        refresh: Callable[[Refresh], None],
        limits: StreamLimits = DEFAULT_LIMITS,
        connects: ConnectBudget | None = None,
    ) -> None:
        self._protocol = protocol
        self._session = session
        self._clock = clock
        self._sink = sink
        self._counters = counters
        self._refresh = refresh
        self._limits = limits
        self._connects = connects or ConnectBudget(None, clock)
        self._host = host_of(protocol.url)
        self._last_frame_ns: EngineNs = 0

    @property
    def venue(self) -> str:
        """Configured name of the venue."""
        return self._protocol.venue

    @property
    def name(self) -> str:
        """Name of the connection, ``<venue>/<connection>``."""
        return self._protocol.name

    async def run(self, link: Link) -> None:
        """Connect, subscribe and read until something ends it; always raises.

        Raises:
            FeedError: What ended the connection, in a sentence.
        """
        socket = await self._connect()
        opened_ns = self._last_frame_ns = self._clock.now()
        reason = "The daemon closed the connection."
        leaving = False
        try:
            link.connected()
            await self._act(self._protocol.connected(opened_ns), socket, link)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tick(socket, link), name=f"tick:{self.name}")
                await self._read(socket, link)
        except asyncio.CancelledError:
            leaving = True
            raise
        except ExceptionGroup as group:
            fault = _first_fault(group)
            reason = str(fault)
            raise fault from group
        except Exception as error:
            reason = str(error)
            raise
        finally:
            link.last_frame_ns = self._last_frame_ns
            try:
                output = self._protocol.disconnected(reason, self._clock.now())
                # When we leave, the data did not get worse: a restart judges it by its time.
                if not leaving:
                    self._publish(output)
            finally:
                await self._close(socket)

    async def _connect(self) -> _Socket:
        limits = self._limits
        await self._connects.take()
        try:
            async with asyncio.timeout(limits.connect_timeout_s):
                return await self._session.ws_connect(
                    self._protocol.url,
                    compress=0,
                    autoping=False,
                    autoclose=False,
                    decode_text=False,
                    max_msg_size=limits.frame_bytes_max,
                    timeout=aiohttp.ClientWSTimeout(ws_close=limits.close_timeout_s),
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise network_fault(error, self._host, timeout_s=limits.connect_timeout_s) from error

    async def _read(self, socket: _Socket, link: Link) -> NoReturn:
        """The hot loop: no timeout per frame (the ticker watches), no copy, no log line."""
        protocol, counters, now = self._protocol, self._counters, self._clock.now
        text, binary = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY
        while True:
            message = await socket.receive()
            kind = message.type
            if kind is not text and kind is not binary:
                await self._control(kind, message.data, message.extra, socket, link)
                continue
            frame: bytes = message.data
            at = now()
            self._last_frame_ns = counters.last_message_ns = at
            counters.messages += 1
            counters.bytes += len(frame)
            try:
                output = protocol.received(frame, at)
            except DecodeError as error:
                link.rejected(error, frame)
                continue
            if output is NOTHING:
                continue
            if output.send or output.fault is not None:
                await self._act(output, socket, link, frame)
            else:  # the usual frame costs no coroutine
                self._publish(output)

    async def _control(
        self,
        kind: aiohttp.WSMsgType,
        data: object,
        extra: object,
        socket: _Socket,
        link: Link,
    ) -> None:
        """Ping and pong prove life; everything else ends the connection."""
        if kind is aiohttp.WSMsgType.PING or kind is aiohttp.WSMsgType.PONG:
            at = self._last_frame_ns = self._clock.now()
            if kind is aiohttp.WSMsgType.PING:
                await self._send(socket.pong(data if isinstance(data, bytes) else b""))
            await self._act(self._protocol.heartbeat(at), socket, link)
            return
        if kind is aiohttp.WSMsgType.CLOSE:
            code = data if isinstance(data, int) else None
            raise TransientFeedError(close_text(self._host, code, str(extra or "")))
        if isinstance(data, aiohttp.WebSocketError):
            if data.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                limit = self._limits.frame_bytes_max
                giant = f"{self._host} sent a frame larger than {limit} bytes."
                link.rejected(DecodeError(giant))
                raise TransientFeedError(giant)
            message_text = f"{self._host} broke the WebSocket protocol: {data}."
            raise TransientFeedError(message_text)
        raise TransientFeedError(close_text(self._host, 1006, ""))

    async def _tick(self, socket: _Socket, link: Link) -> NoReturn:
        """About once a second: the protocol's timers, and the judgement on silence."""
        silence_ns = round(self._protocol.silence_s * SECOND_NS)
        while True:
            await self._clock.sleep(TICK_S)
            at = self._clock.now()
            silent_ns = at - self._last_frame_ns
            if silent_ns > silence_ns:
                message = (
                    f"No frame from {self._host} for {silent_ns / SECOND_NS:.1f} s "
                    f"(limit {self._protocol.silence_s:g} s): the socket is half-open."
                )
                raise TransientFeedError(message)
            await self._act(self._protocol.tick(at), socket, link)

    async def _act(self, output: Output, socket: _Socket, link: Link, frame: bytes = b"") -> None:
        """Carry out what the protocol wants: facts first, then words, then its fault."""
        self._publish(output)
        for payload in output.send:
            # Venues speak JSON text; aiohttp would send bytes as a binary frame.
            await self._send(socket.send_frame(payload, aiohttp.WSMsgType.TEXT))
        fault = output.fault
        if fault is None:
            return
        if isinstance(fault, DecodeError):
            link.rejected(fault, frame)
            return
        raise fault

    def _publish(self, output: Output) -> None:
        if output.events:
            self._sink.submit(output.events)
        for wish in output.refresh:
            self._refresh(wish)

    async def _send(self, sending: Coroutine[object, object, None]) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                await sending
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            timeout_s = self._limits.send_timeout_s
            raise network_fault(error, self._host, timeout_s=timeout_s) from error

    async def _close(self, socket: _Socket) -> None:
        """Leave politely, but never for longer than the limit."""
        try:
            async with asyncio.timeout(self._limits.close_timeout_s):
                await socket.close()
        except (TimeoutError, aiohttp.ClientError, OSError):
            return  # the socket is dropped by aiohttp either way


def close_text(host: str, code: int | None, reason: str) -> str:
    """Why a venue closed, with its code: ``… closed the connection: 1012 (the server restarts)``.

    ``reason`` is the venue's own text, cut to 120 characters.
    """
    number = code or 1005
    meaning = CLOSE_MEANINGS.get(number, "no code given" if number == 1005 else "the venue's own")
    said = f", saying {reason[:120]!r}" if reason else ""
    return f"{host} closed the connection: {number} ({meaning}){said}."


def _first_fault(group: ExceptionGroup[Exception]) -> Exception:
    """What really happened, of the few things a task group collected: a named fault first."""
    plain = [
        _first_fault(error) if isinstance(error, ExceptionGroup) else error
        for error in group.exceptions
    ]
    return next((error for error in plain if isinstance(error, FeedError)), plain[0])
