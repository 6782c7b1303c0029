"""The HTTP client: answers as they are, failures as sentences, bodies bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from monitor.core.errors import ConfigError, DecodeError, FeedError, TransientFeedError
from monitor.core.ports import Request, Response
from monitor.runtime.http import HttpClient, host_of, open_session, parse_retry_after_s
from tests.faults.transport import Peer, ScriptedServer, free_port, http_answer
from tests.manual_clock import ManualClock


async def ask(url: str) -> Response:
    """One request with a client of its own."""
    async with open_session() as session:
        client = HttpClient(session, ManualClock(), body_bytes_max=1000)
        request = Request(method="POST", url=url, body=b"{}", timeout_s=0.3)
        return await client.execute(request)


def answering(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    """A server that says ``data`` and hangs up."""

    async def script(peer: Peer) -> None:
        await peer.read_http()
        await peer.raw(data)

    return script


@pytest.mark.parametrize(
    "status",
    [200, 302, 404, 429, 500],
)
async def test_every_status_is_an_answer(status: int) -> None:
    """What a status means is for the venue; redirects are not followed."""
    data = http_answer(status, b'{"a":1}', {"Retry-After": "7", "Location": "http://elsewhere/"})
    async with ScriptedServer(answering(data)) as server:
        answer = await ask(server.http_url)
        assert answer.status == status
        assert answer.body == b'{"a":1}'
        assert answer.header("retry-after") == "7"
        assert server.connections == 1


async def _silent(peer: Peer) -> None:
    await peer.stay()


async def _hangs_up(peer: Peer) -> None:
    await peer.read_http()


async def _resets(peer: Peer) -> None:
    await peer.read_http()
    peer.reset()


async def _cuts_off(peer: Peer) -> None:
    await peer.read_http()
    await peer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


async def _drips(peer: Peer) -> None:
    await peer.read_http()
    await peer.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow")
    await peer.stay()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param(_silent, "did not answer within 0.3 s", id="half-open silence"),
        pytest.param(_drips, "did not answer within 0.3 s", id="a drip has the same deadline"),
        pytest.param(_hangs_up, "closed the connection before it answered", id="hang-up"),
        pytest.param(_resets, "reset the connection", id="reset"),
        pytest.param(_cuts_off, "was cut off", id="a body cut in half"),
        pytest.param(answering(b"garbage\r\n\r\n"), "failed (ClientResponseError)", id="garbage"),
        pytest.param(
            answering(http_answer(200, b"x" * 1001)), "more than 1000 bytes", id="a giant body"
        ),
    ],
)
async def test_failures_are_sentences_that_name_the_host(
    script: Callable[[Peer], Awaitable[None]], said: str
) -> None:
    """A trader reads who failed and how; paths and queries, which may hold keys, are not shown."""
    async with ScriptedServer(script) as server:
        with pytest.raises(FeedError) as caught:
            await ask(f"{server.http_url}/v3/secret-path?token=hidden")
        assert said in str(caught.value)
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "hidden" not in str(caught.value)


async def test_a_giant_body_is_a_decode_error_with_a_trimmed_copy() -> None:
    """One byte below the limit is read; above it a copy of the start is kept."""
    async with ScriptedServer(
        answering(http_answer(200, b"y" * 1000)), answering(http_answer(200, b"y" * 1001))
    ) as server:
        assert len((await ask(server.http_url)).body) == 1000
        with pytest.raises(DecodeError) as caught:
            await ask(server.http_url)
        assert caught.value.sample == b"y" * 512


async def test_nothing_listens() -> None:
    """Refused is said as refused, and nobody can have counted the request."""
    with pytest.raises(
        TransientFeedError, match="refused the connection; nothing listens there"
    ) as caught:
        await ask(f"http://127.0.0.1:{free_port()}/")
    assert caught.value.unsent


@pytest.mark.parametrize("script", [_silent, _resets, _cuts_off])
async def test_what_reached_the_venue_may_have_been_counted(
    script: Callable[[Peer], Awaitable[None]],
) -> None:
    """However it ended after that."""
    async with ScriptedServer(script) as server:
        with pytest.raises(TransientFeedError) as caught:
            await ask(server.http_url)
        assert not caught.value.unsent


async def test_a_server_without_tls_is_not_believed() -> None:
    """An https address is never spoken to in the clear."""

    async def plain(peer: Peer) -> None:
        await peer.raw(http_answer(200, b"hello"))

    async with ScriptedServer(plain) as server:
        with pytest.raises(FeedError, match="TLS"):
            await ask(f"https://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://host:port/"])
async def test_an_unusable_address_is_the_operators_mistake(url: str) -> None:
    """Trying again would not help, so it is not transient."""
    with pytest.raises(ConfigError, match="no usable address"):
        await ask(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user:key@api.example:8443/v3/key?token=x", "api.example:8443"),
        ("wss://api.example/ws", "api.example"),
        ("nonsense", "the configured address"),
        ("http://host:port", "the configured address"),
    ],
)
def test_only_the_host_of_an_address_is_shown(url: str, host: str) -> None:
    """Everything else may be a secret."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-1", None), ("inf", None), ("nan", None), ("soon", None)],
)
def test_retry_after_is_seconds_or_nothing(value: str, seconds: float | None) -> None:
    """Dates and nonsense are ignored rather than guessed at."""
    assert parse_retry_after_s(value) == seconds
    assert parse_retry_after_s(None) is None


async def test_elapsed_is_measured_in_engine_time() -> None:
    """The round trip is told, so that clock skew can be judged from short ones only."""
    clock = ManualClock()

    async def slow(peer: Peer) -> None:
        await peer.read_http()
        clock.jump(0.25)
        await peer.raw(http_answer(200, b""))

    async with ScriptedServer(slow) as server, open_session() as session:
        client = HttpClient(session, clock)
        answer = await client.execute(Request(method="GET", url=server.http_url))
        assert answer.elapsed_s == 0.25


async def test_a_cancelled_request_is_cancelled() -> None:
    """Stopping the daemon is not a network fault."""
    async with ScriptedServer(_silent) as server, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ask(server.http_url), name="ask")
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


async def test_the_session_keeps_nothing() -> None:
    """No cookies between requests, no proxy from the environment, no limit that surprises."""
    async with open_session() as session:
        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
        assert session.trust_env is False
        assert session.timeout.total is None
