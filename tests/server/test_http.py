"""The HTTP server: who may read, what each answer looks like, what a taken port says."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable, Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError

from monitor.core.errors import ConfigError
from monitor.server.http import Server
from monitor.server.settings import ServerSettings, checked_token

TOKEN = "a-test-token-of-enough-length"  # noqa: S105 - a test value


class FakeSource:
    """A daemon that is alive but not ready."""

    def state(self) -> object:
        return {"accounts": []}

    def measures(self, words: str) -> object:
        return {"total": 0, "measures": [], "asked": words}

    def alerts(self) -> object:
        return []

    def live(self) -> tuple[bool, object]:
        return True, {}

    def ready(self) -> tuple[bool, object]:
        return False, {"hyperliquid": "no market data for 31 s"}

    def metrics(self, *, openmetrics: bool) -> tuple[str, Iterable[bytes]]:
        kind = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain"
        return f"{kind}; charset=utf-8", [b"riskd_equity_usd 1\n", b"# EOF\n"]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on a free loopback port, without a token."""
    running = Server(ServerSettings(port=0), FakeSource())
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """One session, closed at the end."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        pytest.param("/livez", 200, "application/json", id="alive"),
        pytest.param("/readyz", 503, "application/json", id="not ready, and says why"),
        pytest.param("/v1/state", 200, "application/json", id="state"),
        pytest.param("/v1/measures?q=equity", 200, "application/json", id="measures"),
        pytest.param("/v1/alerts", 200, "application/json", id="alerts"),
        pytest.param("/metrics", 200, "text/plain", id="metrics"),
        pytest.param("/", 200, "text/html", id="console"),
        pytest.param("/console.js", 200, "text/javascript", id="its script"),
        pytest.param("/console.css", 200, "text/css", id="its style"),
        pytest.param("/runbooks/data_stale", 200, "text/markdown", id="a rule's runbook"),
        pytest.param("/runbooks/store_failing", 200, "text/markdown", id="riskd's own runbook"),
        pytest.param("/runbooks/no_such_rule", 404, "text/plain", id="no such runbook"),
        pytest.param("/runbooks/..%2f__init__", 404, "text/plain", id="a path is no runbook"),
        pytest.param("/nothing", 404, "text/plain", id="unknown path"),
    ],
)
async def test_routes(
    server: Server, client: aiohttp.ClientSession, path: str, status: int, kind: str
) -> None:
    """Every route answers with its status and type."""
    async with client.get(server.url + path) as answer:
        assert (answer.status, answer.content_type) == (status, kind)


async def test_a_runbook_is_the_shipped_page(server: Server, client: aiohttp.ClientSession) -> None:
    """The link of a page leads to what a person does about it."""
    async with client.get(f"{server.url}/runbooks/data_stale") as answer:
        assert (await answer.text()).startswith("# DataStale\n")


async def test_the_url_is_known_before_anything_is_served() -> None:
    """Pages name it from the first one on; who connects early waits for the start."""
    server = Server(ServerSettings(port=0, host="localhost"), FakeSource())
    server.bind()
    url = server.url
    port = int(url.rpartition(":")[2])
    assert port > 0
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
    await server.start()
    try:
        assert server.url == url
        assert (await reader.readline()).startswith(b"HTTP/1.0 200")
        writer.close()
        await writer.wait_closed()
    finally:
        await server.close()


async def test_a_port_taken_and_given_back_is_free() -> None:
    """A start that fails after the port was taken leaves nothing behind."""
    first = Server(ServerSettings(port=0), FakeSource())
    first.bind()
    port = int(first.url.rpartition(":")[2])
    second = Server(ServerSettings(port=port), FakeSource())
    with pytest.raises(ConfigError, match=f"Port {port} on 127.0.0.1 is in use"):
        second.bind()
    await first.close()
    second.bind()
    await second.close()


async def test_readiness_names_what_is_missing(
    server: Server, client: aiohttp.ClientSession
) -> None:
    """A person reads the reason, not only 503."""
    async with client.get(f"{server.url}/readyz") as answer:
        assert await answer.json() == {
            "ok": False,
            "detail": {"hyperliquid": "no market data for 31 s"},
        }


async def test_openmetrics_by_accept_header(server: Server, client: aiohttp.ClientSession) -> None:
    """Prometheus asks for OpenMetrics and gets it."""
    headers = {"Accept": "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"}
    async with client.get(f"{server.url}/metrics", headers=headers) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


async def test_a_scrape_given_up_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Prometheus hangs up at its timeout; a traceback in the log would send somebody looking."""
    ended = asyncio.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"riskd_equity_usd 1\n"
        finally:
            ended.set()

    class Endless(FakeSource):
        def metrics(self, *, openmetrics: bool) -> tuple[str, Iterable[bytes]]:
            return super().metrics(openmetrics=openmetrics)[0], endless()

    running = Server(ServerSettings(port=0), Endless())
    await running.start()
    try:
        at = urlsplit(running.url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readuntil(b"riskd_equity_usd")
        writer.transport.abort()
        async with asyncio.timeout(10.0):
            await ended.wait()
    finally:
        await running.close()
    assert [record.message for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("header", "path", "status"),
    [
        pytest.param(None, "/v1/state", 401, id="none given"),
        pytest.param("Bearer wrong", "/v1/state", 401, id="wrong bearer"),
        pytest.param(f"Bearer {TOKEN}", "/v1/state", 200, id="bearer"),
        pytest.param(
            "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode(),
            "/",
            200,
            id="password in a browser",
        ),
        pytest.param("Basic !!!", "/", 401, id="not base64"),
        pytest.param(None, "/livez", 200, id="liveness needs none"),
        pytest.param(None, "/metrics", 401, id="metrics show the book too"),
        pytest.param(None, "/runbooks/data_stale", 401, id="runbooks like the rest"),
    ],
)
async def test_read_token(
    client: aiohttp.ClientSession, header: str | None, path: str, status: int
) -> None:
    """With a token set, only liveness and readiness answer without it; the others say
    what to send."""
    server = Server(ServerSettings(port=0), FakeSource(), token=SecretStr(TOKEN))
    await server.start()
    try:
        headers = {"Authorization": header} if header else {}
        async with client.get(server.url + path, headers=headers) as answer:
            assert answer.status == status
            if status == 401:
                told = (await answer.json())["error"]
                sent = header is not None and "!!!" not in header
                assert told.startswith("The read token that was" if sent else "This riskd shows")
                assert "Authorization: Bearer TOKEN" in told
                assert TOKEN not in told
    finally:
        await server.close()


PROXY = "riskd.example.com"


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        pytest.param("127.0.0.1:9470", "/v1/state", 200, id="by address"),
        pytest.param("127.0.0.2", "/v1/state", 200, id="another of this machine's own"),
        pytest.param("localhost:9470", "/", 200, id="by name"),
        pytest.param("LOCALHOST.", "/metrics", 200, id="by name, written in full"),
        pytest.param("[::1]:9470", "/v1/alerts", 200, id="by address of IPv6"),
        pytest.param("Riskd.Example.com", "/v1/state", 200, id="the proxy's name"),
        pytest.param("evil.example.org:9470", "/v1/state", 421, id="a name that leads here"),
        pytest.param("localhost.example.org", "/", 421, id="it only begins like one of ours"),
        pytest.param("127.0.0.1.example.org", "/metrics", 421, id="or like an address"),
        pytest.param("10.0.0.5:9470", "/v1/measures", 421, id="an address of the network"),
        pytest.param("[::1", "/v1/state", 421, id="no address"),
        pytest.param("", "/runbooks/data_stale", 421, id="nothing"),
        pytest.param("evil.example.org", "/nothing", 421, id="nor what is there"),
        pytest.param("evil.example.org", "/livez", 200, id="liveness shows nothing"),
    ],
)
async def test_without_a_token_only_this_machine_s_names_are_answered(
    client: aiohttp.ClientSession, host: str, path: str, status: int
) -> None:
    """A web page can make a trader's browser ask for its own name at 127.0.0.1, and read along."""
    server = Server(ServerSettings(port=0, names=(PROXY,)), FakeSource())
    await server.start()
    try:
        async with client.get(server.url + path, headers={"Host": host}) as answer:
            assert answer.status == status
            if status == 421:
                told = (await answer.json())["error"]
                assert "127.0.0.1 or localhost" in told
                assert "server.names" in told
    finally:
        await server.close()


async def test_with_a_token_any_name_is_answered(client: aiohttp.ClientSession) -> None:
    """Prometheus asks for the name of the service; a page in a browser does not know the token."""
    server = Server(ServerSettings(port=0), FakeSource(), token=SecretStr(TOKEN))
    await server.start()
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "riskd:9470"}
    try:
        async with client.get(f"{server.url}/metrics", headers=headers) as answer:
            assert answer.status == 200
    finally:
        await server.close()


@pytest.mark.parametrize("name", ["", "a b", "http://x", "x:9470", "x/"])
def test_a_name_is_a_host(name: str) -> None:
    """Without a scheme, a port or a path, none of which is compared."""
    with pytest.raises(ValidationError, match="names"):
        ServerSettings(names=(name,))


async def test_port_in_use_is_one_clear_sentence(server: Server) -> None:
    """The second riskd says which port and what to set."""
    port = int(server.url.rpartition(":")[2])
    second = Server(ServerSettings(port=port), FakeSource())
    with pytest.raises(ConfigError, match=rf"Port {port} on 127.0.0.1 is in use.*server.port"):
        await second.start()
    await second.close()


@pytest.mark.parametrize(
    ("host", "token_file", "allowed"),
    [
        pytest.param("127.0.0.1", None, True, id="loopback"),
        pytest.param("localhost", None, True, id="localhost"),
        pytest.param("::1", None, True, id="loopback of IPv6"),
        pytest.param("0.0.0.0", None, False, id="everywhere without a token"),  # noqa: S104
        pytest.param("0.0.0.0", "token", True, id="everywhere with a token"),  # noqa: S104
        pytest.param("10.0.0.5", None, False, id="private network without a token"),
    ],
)
def test_wider_than_loopback_needs_a_token(
    host: str, token_file: str | None, allowed: bool
) -> None:
    """The state shows the book: it never leaves the machine unguarded."""
    if allowed:
        assert ServerSettings(host=host, read_token_file=token_file).host == host
    else:
        with pytest.raises(ValidationError, match="read_token_file"):
            ServerSettings(host=host, read_token_file=token_file)


def test_short_token_is_refused_and_not_shown() -> None:
    """A guessable token is refused at start; a good one never shows in a repr."""
    with pytest.raises(ValueError, match="has 5 characters"):
        checked_token("short\n", origin="token.txt")
    assert TOKEN not in repr(checked_token(TOKEN, origin="token.txt"))
