"""Every way a venue's socket can fail, over loopback: what is said, counted, and how it heals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import aiohttp
import pytest
from structlog.testing import capture_logs
from websockets.frames import Opcode

from monitor.core.errors import TransientFeedError
from monitor.core.events import FeedConnected, FeedLost, FrameRejected
from monitor.core.ports import Refresh
from monitor.observability.metrics import DaemonMetrics, FeedCounters
from monitor.runtime.backoff import Backoff
from monitor.runtime.http import open_session
from monitor.runtime.stream import Stream, StreamLimits
from monitor.runtime.supervise import Limits, Link, Supervisor
from tests.faults.transport import (
    FaultProxy,
    Peer,
    Script,
    ScriptedServer,
    free_port,
)
from tests.manual_clock import ManualClock, until
from tests.runtime.fakes import RecordingSink, WordProtocol, progress

CONNECT_S = 2.0  # real; a busy machine takes a while to shake hands
FRAME_BYTES_MAX = 1024


class Rig:
    """One supervised stream against something on loopback."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.protocol = WordProtocol(url)
        self.metrics = DaemonMetrics(version="test")
        self.wishes: list[Refresh] = []

    @property
    def counters(self) -> FeedCounters:
        """What the feed counted."""
        return self.metrics.feed("fake", "market-1")

    @property
    def lost(self) -> list[FeedLost]:
        """Every loss, in order."""
        return self.sink.of(FeedLost)

    def stream(self, session: aiohttp.ClientSession) -> Stream:
        """The stream under test."""
        return Stream(
            self.protocol,
            session=session,
            clock=self.clock,
            sink=self.sink,
            counters=self.counters,
            refresh=self.wishes.append,
            limits=StreamLimits(
                frame_bytes_max=FRAME_BYTES_MAX, connect_timeout_s=CONNECT_S, close_timeout_s=0.2
            ),
        )

    def supervisor(self, stream: Stream, limits: Limits | None = None) -> Supervisor:
        """What keeps it alive."""
        return Supervisor(
            stream,
            clock=self.clock,
            sink=self.sink,
            backoff=Backoff(Random(7)),  # noqa: S311 - jitter, not a secret
            counters=self.counters,
            limits=limits or Limits(),
        )

    async def heals(self) -> None:
        """The feed waits as long as it said, comes back, and reads again."""
        opened = len(self.sink.of(FeedConnected))
        read = self.counters.messages
        await self.clock.advance(self.lost[-1].retry_s or 0.0)
        await until(lambda: len(self.sink.of(FeedConnected)) == opened + 1)
        await until(lambda: self.counters.messages > read)


@asynccontextmanager
async def running(url: str, *, limits: Limits | None = None) -> AsyncIterator[Rig]:
    """The stream at work; stopped without a trace at the end."""
    rig = Rig(url)
    async with open_session() as session:
        supervisor = rig.supervisor(rig.stream(session), limits)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(supervisor.run(), name="feed")
            yield rig
            task.cancel()


async def healthy(peer: Peer) -> None:
    """What a venue does when nothing is wrong."""
    await peer.open_websocket()
    assert await peer.read() == b"subscribe"
    await peer.text("hello")
    await peer.stay()


def opened_then(act: Callable[[Peer], Awaitable[None]]) -> Script:
    """A connection that works for one frame and then does ``act``."""

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        await peer.text("hello")
        await act(peer)

    return script


async def _reset(peer: Peer) -> None:
    peer.reset()


async def _truncated(peer: Peer) -> None:
    await peer.raw(bytes([0x81, 100]) + b"only ten b")  # then the script ends: the socket closes


async def _giant(peer: Peer) -> None:
    await peer.text(b"x" * (FRAME_BYTES_MAX + 1))
    await peer.stay()


async def _garbage(peer: Peer) -> None:
    await peer.raw(b"\xff" * 64)
    await peer.stay()


def _close(code: int, reason: str = "") -> Callable[[Peer], Awaitable[None]]:
    async def act(peer: Peer) -> None:
        await peer.close(code, reason)

    return act


@pytest.mark.parametrize(
    ("act", "said", "rejected"),
    [
        pytest.param(_reset, ": 1006 ", 0, id="a reset is a broken connection"),
        pytest.param(_truncated, ": 1006 ", 0, id="a frame cut in half is a broken connection"),
        pytest.param(_giant, "larger than 1024 bytes", 1, id="a giant frame is refused, counted"),
        pytest.param(_garbage, "broke the WebSocket protocol", 0, id="garbage on the wire"),
        pytest.param(_close(1008, "Too many"), ": 1008 (policy", 0, id="1008 names the policy"),
        pytest.param(_close(1012), ": 1012 (the server restarts)", 0, id="1012 is a restart"),
        pytest.param(_close(4000, "slow"), "saying 'slow'", 0, id="4000 keeps the venue's words"),
        pytest.param(_close(1000), ": 1000 (normal end)", 0, id="a normal end is lost as well"),
    ],
)
async def test_an_open_socket_that_breaks_is_told_and_heals(
    act: Callable[[Peer], Awaitable[None]], said: str, rejected: int
) -> None:
    """Whatever breaks it: one loss with its reason, counted, protocol told, one quiet recovery."""
    with capture_logs() as logs:
        async with (
            ScriptedServer(opened_then(act), healthy) as server,
            running(server.ws_url) as rig,
        ):
            await until(lambda: rig.lost)
            assert said in rig.lost[0].reason
            assert rig.protocol.reasons == [rig.lost[0].reason]
            assert rig.sink.events.index(progress("disconnected")) < rig.sink.events.index(
                rig.lost[0]
            )
            assert not rig.lost[0].quarantined
            assert not rig.counters.connected
            assert rig.counters.failures == 1
            assert rig.counters.rejected == rejected
            await rig.heals()
            assert rig.counters.reconnects == 1
            await until(lambda: rig.counters.connected)
            assert len(rig.lost) == 1
    states = [entry["event"] for entry in logs if entry["event"] != "frame_rejected"]
    assert states == ["feed_connected", "feed_lost", "feed_connected"]


def _refusing(status: int, headers: dict[str, str] | None = None) -> Script:
    async def script(peer: Peer) -> None:
        await peer.refuse_websocket(status, headers)

    return script


async def _never_answers(peer: Peer) -> None:
    await peer.stay()


@pytest.mark.parametrize(
    ("script", "said", "retry_s_min", "quarantined"),
    [
        pytest.param(_refusing(429, {"Retry-After": "7"}), "HTTP 429", 7.0, False, id="429 waits"),
        pytest.param(_refusing(429, {"Retry-After": "60"}), "HTTP 429", 60.0, False, id="a minute"),
        pytest.param(_refusing(503), "HTTP 503", 0.0, False, id="503 is tried again soon"),
        pytest.param(_refusing(403), "HTTP 403", 300.0, True, id="403 is put aside"),
        pytest.param(_never_answers, f"within {CONNECT_S:g} s", 0.0, False, id="no handshake"),
    ],
)
async def test_a_refused_handshake_is_told_and_heals(
    script: Script, said: str, retry_s_min: float, *, quarantined: bool
) -> None:
    """The status decides how long to wait; the protocol never hears of a socket that never was."""
    async with ScriptedServer(script, healthy) as server, running(server.ws_url) as rig:
        await until(lambda: rig.lost)
        loss = rig.lost[0]
        assert said in loss.reason
        assert (loss.retry_s or 0.0) >= retry_s_min
        assert loss.quarantined is quarantined
        assert rig.counters.quarantined is quarantined
        assert rig.protocol.calls == []
        await rig.heals()
        assert rig.counters.reconnects == 0, "the first success is no reconnection"
        assert not rig.counters.quarantined


async def test_a_longer_retry_after_of_a_handshake_is_not_believed() -> None:
    """dYdX counts it in milliseconds: 5000 would blind a feed for the whole quarantine."""
    script = _refusing(429, {"Retry-After": "5000"})
    async with ScriptedServer(script, healthy) as server, running(server.ws_url) as rig:
        await until(lambda: rig.lost)
        assert (rig.lost[0].retry_s or 0.0) <= 60.0
        await rig.heals()


async def test_a_refused_connection_is_told_once_and_heals() -> None:
    """Nothing listens: each try is an event, but only the first a log line."""
    port = free_port()
    with capture_logs() as logs:
        async with running(f"ws://127.0.0.1:{port}/ws") as rig:
            await until(lambda: rig.lost)
            assert "refused the connection" in rig.lost[0].reason
            await rig.clock.advance(rig.lost[0].retry_s or 0.0)
            await until(lambda: len(rig.lost) == 2)
            async with ScriptedServer(healthy, port=port):
                await rig.heals()
    assert [entry["event"] for entry in logs] == ["feed_lost", "feed_connected"]


async def _silent(peer: Peer) -> None:
    await peer.stay()


async def _dripping(peer: Peer) -> None:
    await peer.drip(bytes([0x81, 100]) + b"never whole")
    await peer.stay()


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(_silent, id="half-open silence"),
        pytest.param(_dripping, id="a drip that never makes a frame"),
    ],
)
async def test_silence_is_measured_from_the_last_frame(
    act: Callable[[Peer], Awaitable[None]],
) -> None:
    """Nothing is lost at the limit; one tick past it the socket is called half-open."""
    async with (
        ScriptedServer(opened_then(act), healthy) as server,
        running(server.ws_url) as rig,
    ):
        await until(lambda: rig.counters.messages == 1)
        await rig.clock.advance(30.0)
        assert not rig.lost
        assert rig.protocol.calls.count("tick") == 30
        await rig.clock.advance(1.0)
        await until(lambda: rig.lost)
        assert "31.0 s (limit 30 s): the socket is half-open" in rig.lost[0].reason
        await rig.heals()


async def test_health_ends_with_the_last_frame() -> None:
    """A socket that carried frames for 20 s and then hung for 31 s was healthy for 20."""
    speak = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        await speak.wait()
        await peer.text("hello")
        await peer.stay()

    async with ScriptedServer(script) as server, open_session() as session:
        rig = Rig(server.ws_url)
        stream = rig.stream(session)
        link = Link(rig.supervisor(stream))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(_ended(stream.run(link)), name="feed")
            await until(lambda: link.connected_at_ns is not None)
            await rig.clock.advance(20.0)
            speak.set()
            await until(lambda: rig.counters.messages == 1)
            await rig.clock.advance(31.0)
        assert "half-open" in task.result()
        assert link.healthy_for_s() == 20.0


async def _ended(body: Awaitable[None]) -> str:
    with pytest.raises(TransientFeedError) as caught:
        await body
    return str(caught.value)


async def test_a_control_frame_breaks_the_silence_and_is_answered() -> None:
    """Pings reach the protocol as heartbeats, are answered, and prove the socket alive."""
    pongs: list[bytes | None] = []
    ping_now = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        await peer.text("hello")
        await ping_now.wait()
        await peer.ping(b"are you there")
        pongs.append(await peer.read(Opcode.PONG))
        await peer.stay()

    async with ScriptedServer(script) as server, running(server.ws_url) as rig:
        await until(lambda: rig.counters.messages == 1)
        await rig.clock.advance(29.0)
        ping_now.set()
        await until(lambda: pongs)
        assert pongs == [b"are you there"]
        assert progress("heartbeat") in rig.sink.events
        await rig.clock.advance(30.0)
        assert not rig.lost
        await rig.clock.advance(1.0)
        await until(lambda: rig.lost)


async def test_an_undecodable_frame_is_kept_and_the_connection_goes_on() -> None:
    """Frames after a rejected one are read; the rejected one is counted, with a trimmed copy."""

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        for word in ("one", "bad", "bad-output", "two"):
            await peer.text(word)
        await peer.stay()

    with capture_logs() as logs:
        async with ScriptedServer(script) as server, running(server.ws_url) as rig:
            await until(lambda: rig.counters.messages == 4)
            assert not rig.lost
            assert [r.reason for r in rig.sink.of(FrameRejected)] == [
                "the word is bad",
                "half of it is bad",
            ]
            assert [r.sample for r in rig.sink.of(FrameRejected)] == [b"bad", b"bad-output"]
            assert rig.counters.rejected == 2
            assert progress("bad-output") in rig.sink.events
            assert progress("two") in rig.sink.events
    assert [entry["event"] for entry in logs].count("frame_rejected") == 1


async def test_a_flood_of_undecodable_frames_is_put_aside() -> None:
    """At the limit of the window the feed is quarantined; below it the connection goes on."""

    async def flood(peer: Peer) -> None:
        await peer.open_websocket()
        await peer.text("bad")
        await peer.text("bad")
        await peer.text("hello")
        await peer.stay()

    async def flood_more(peer: Peer) -> None:
        await peer.open_websocket()
        for _ in range(3):
            await peer.text("bad")
        await peer.stay()

    limits = Limits(rejections_max=3, rejections_window_s=60.0, quarantine_s=300.0)
    async with ScriptedServer(flood) as server, running(server.ws_url, limits=limits) as rig:
        await until(lambda: rig.counters.messages == 3)
        assert not rig.lost
    async with (
        ScriptedServer(flood_more, healthy) as server,
        running(server.ws_url, limits=limits) as rig,
    ):
        await until(lambda: rig.lost)
        assert rig.lost[0].quarantined
        assert rig.lost[0].retry_s == 300.0
        assert "3 frames within 60 s could not be decoded" in rig.lost[0].reason
        await rig.clock.advance(299.0)
        assert server.connections == 1
        await rig.clock.advance(1.0)
        await until(lambda: rig.counters.connected)


@pytest.mark.parametrize(
    ("word", "said", "quarantined"),
    [
        pytest.param("auth", "The address is not known.", True, id="an auth fault is put aside"),
        pytest.param("gap", "Messages 4 to 6 are missing.", False, id="a gap reconnects at once"),
        pytest.param("slow", "Too fast.", False, id="a transient fault waits as told"),
        pytest.param("bug", "Unexpected KeyError", False, id="a bug stays with its feed"),
    ],
)
async def test_faults_of_the_protocol_end_the_connection(
    word: str, said: str, *, quarantined: bool
) -> None:
    """What the venue's code concludes decides between reconnecting and putting aside."""

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        await peer.text(word)
        await peer.stay()

    with capture_logs() as logs:
        async with ScriptedServer(script, healthy) as server, running(server.ws_url) as rig:
            await until(lambda: rig.lost)
            loss = rig.lost[0]
            assert said in loss.reason
            assert loss.quarantined is quarantined
            assert rig.counters.gaps == (1 if word == "gap" else 0)
            assert rig.counters.bugs == (1 if word == "bug" else 0)
            assert (loss.retry_s == 0.0) is (word == "gap")
            assert ((loss.retry_s or 0.0) >= 40.0) is (word in {"slow", "auth"})
            if word == "gap":
                await until(lambda: rig.counters.connected)
            else:
                await rig.heals()
    assert any(entry["event"] == "feed_bug" for entry in logs) is (word == "bug")


async def test_sends_and_refreshes_are_carried_out() -> None:
    """What a protocol says is text on the wire; what it wants re-read reaches the poller."""
    said: list[bytes | None] = []

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        said.append(await peer.read())
        await peer.text("ask")
        said.append(await peer.read())
        await peer.text("refresh")
        await peer.stay()

    async with ScriptedServer(script) as server, running(server.ws_url) as rig:
        await until(lambda: rig.wishes)
        assert said == [b"subscribe", b"answer"]
        assert rig.wishes == [Refresh("fake/account/main", 2.0)]


async def test_leaving_tells_the_protocol_but_spoils_no_data() -> None:
    """A daemon that stops closes politely and does not call the venue's data lost."""
    ended = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        await peer.text("hello")
        await peer.read(Opcode.CLOSE)
        ended.set()

    async with ScriptedServer(script) as server:
        async with running(server.ws_url) as rig:
            await until(lambda: rig.counters.messages == 1)
        assert rig.protocol.calls[-1] == "disconnected"
        assert progress("disconnected") not in rig.sink.events
        assert not rig.lost
        await until(ended.is_set)


async def test_frames_of_one_read_are_applied_before_the_loop_turns() -> None:
    """A burst that arrives together is applied in one go, so it is judged once."""
    turns: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.open_websocket()
        frames = b"".join(bytes([0x81, 5]) + f"word{n}".encode() for n in range(8))
        await peer.raw(frames)
        await peer.stay()

    async with ScriptedServer(script) as server, running(server.ws_url) as rig:
        loop = asyncio.get_running_loop()
        rig.sink.on_submit = lambda: loop.call_soon(lambda: turns.append(rig.counters.messages))
        await until(lambda: rig.counters.messages == 8)
    assert set(turns) - {0} == {8}, "the loop turned between two frames of one read"


@pytest.mark.parametrize("how", ["silence", "reset", "refuse"])
async def test_the_proxy_breaks_and_heals_a_working_venue(how: str) -> None:
    """The proxy for whole-daemon tests does what it says, before a server that is well."""
    async with (
        ScriptedServer(healthy) as server,
        FaultProxy(server.port) as proxy,
        running(f"ws://127.0.0.1:{proxy.port}/ws") as rig,
    ):
        await until(lambda: rig.counters.messages == 1)
        getattr(proxy, how)()
        if how == "silence":
            await rig.clock.advance(31.0)
        await until(lambda: rig.lost)
        proxy.heal()
        await rig.heals()
