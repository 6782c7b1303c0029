"""The HTTP server: health, metrics, state, alerts, runbooks and the console page. Reads only.

Every answer is made from a snapshot between two events, so a scrape can never see half an update.
Nothing here can change the risk state: commands have a path and a room of their own
(``commands.py``), are always signed, and need no read token.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import errno
import hmac
import socket
from collections.abc import Awaitable, Callable, Iterable
from importlib import resources
from typing import Protocol

import orjson
from aiohttp import web
from pydantic import SecretStr

from monitor.core.errors import ConfigError
from monitor.observability.exposition import wants_openmetrics
from monitor.rulebook import runbook
from monitor.server.settings import ServerSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BACKLOG = 128
COMMANDS_PATH = "/v1/commands"
OPEN_PATHS = frozenset({"/livez", "/readyz", COMMANDS_PATH})
NONE_SENT = "This riskd shows the book to whoever has its read token, and none was sent."
WRONG_ONE = "The read token that was sent is not this riskd's."
WHAT_TO_SEND = (
    "Send the header `Authorization: Bearer TOKEN`, or TOKEN as the password of a browser with any "
    "user name. TOKEN is what the file or variable holds that the configuration names as "
    "server.read_token_file or server.read_token_env."
)
SEALED = (
    "This riskd cannot read the read token that its configuration names, and shows the book to "
    "nobody without. Mend server.read_token_file or server.read_token_env; its log says what is "
    "wrong."
)
NOT_ASKED_AS = (
    "This riskd has no read token and answers to names of its own machine alone, lest a web page "
    "make a browser read the book. Ask for 127.0.0.1 or localhost, write the name that your proxy "
    "sends into server.names, or set server.read_token_file."
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Source(Protocol):
    """What the server shows; the daemon implements it."""

    def state(self) -> object:
        """The document of ``/v1/state``; anything orjson can write."""
        ...

    def measures(self, words: str) -> object:
        """The document of ``/v1/measures`` for a filter."""
        ...

    def alerts(self) -> object:
        """The document of ``/v1/alerts``."""
        ...

    def live(self) -> tuple[bool, object]:
        """Should this process go on? Depends on nothing outside it."""
        ...

    def ready(self) -> tuple[bool, object]:
        """May others rely on it? With the reason for each check that fails."""
        ...

    def metrics(self, *, openmetrics: bool) -> tuple[str, Iterable[bytes]]:
        """Content type, and the text in slices between which the loop may serve feeds."""
        ...


class Server:
    """Binds, serves until ``close``; one per daemon.

    ``sealed`` while the read token that is configured is not known: the book is shown to nobody.
    """

    def __init__(
        self,
        settings: ServerSettings,
        source: Source,
        *,
        token: SecretStr | None = None,
        sealed: bool = False,
    ) -> None:
        self._settings = settings
        self._source = source
        self._token = token
        self._sealed = sealed
        self._runner: web.AppRunner | None = None
        self._sockets: list[socket.socket] = []
        self._routes: list[tuple[str, str, Handler]] = []
        self.url = ""

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Serve one more path; before ``start``."""
        self._routes.append((method, path, handler))

    def unseal(self, token: SecretStr | None) -> None:
        """The read token is known now."""
        self._token, self._sealed = token, False

    def bind(self) -> None:
        """Take the port, so that ``url`` is known; whoever connects waits until ``start``. Where it
        cannot be had ``url`` is the address it will be, to be tried again.

        Raises:
            ConfigError: When the port is taken or the address is not this machine's.
        """
        host, port = self._settings.host, self._settings.port
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{port}"
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for family, address in dict.fromkeys((one[0], one[4]) for one in found):
                # Of a name with several addresses all get the same port.
                self._sockets.append(_listener(family, (address[0], port, *address[2:])))
                port = self._sockets[-1].getsockname()[1]
        except OSError as error:
            self._close_sockets()
            raise ConfigError(_bind_sentence(host, port, error)) from error
        self.url = f"http://{shown}:{port}"

    async def start(self) -> None:
        """Serve, on the port that ``bind`` took or takes now.

        Raises:
            ConfigError: As ``bind``.
        """
        if not self._sockets:
            self.bind()
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/state", self._state)
        app.router.add_get("/v1/alerts", self._alerts)
        app.router.add_get("/v1/measures", self._measures)
        app.router.add_get("/runbooks/{name}", self._runbook)
        for method, path, handler in self._routes:
            app.router.add_route(method, path, handler)
        for path, name, kind in (
            ("/", "index.html", "text/html"),
            ("/console.css", "console.css", "text/css"),
            ("/console.js", "console.js", "text/javascript"),
        ):
            app.router.add_get(path, _page(name, kind))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        for bound in self._sockets:
            await web.SockSite(self._runner, bound).start()

    async def close(self) -> None:
        """Stop serving; safe to call twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._close_sockets()

    def _close_sockets(self) -> None:
        for bound in self._sockets:
            bound.close()
        self._sockets = []

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._sealed and request.path not in OPEN_PATHS:
            return _json({"error": SEALED}, status=503)
        if self._token is None and request.path not in OPEN_PATHS:
            host = request.headers.get("Host")
            # Every browser sends one; what does not is none.
            if host is not None and not self._settings.is_asked_as(host):
                return _json({"error": NOT_ASKED_AS}, status=421)
        if self._token is not None and request.path not in OPEN_PATHS:
            given = _given_token(request.headers.get("Authorization", ""))
            if not hmac.compare_digest(
                given.encode(), self._token.get_secret_value().encode("utf-8")
            ):
                found = WRONG_ONE if given else NONE_SENT
                refused = _json({"error": f"{found} {WHAT_TO_SEND}"}, status=401)
                refused.headers["WWW-Authenticate"] = 'Basic realm="riskd", charset="UTF-8"'
                return refused
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _livez(self, _: web.Request) -> web.Response:
        return _verdict(*self._source.live())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _verdict(*self._source.ready())

    async def _state(self, _: web.Request) -> web.Response:
        return _json(self._source.state())

    async def _alerts(self, _: web.Request) -> web.Response:
        return _json(self._source.alerts())

    async def _measures(self, request: web.Request) -> web.Response:
        return _json(self._source.measures(request.query.get("q", "")[:200]))

    async def _runbook(self, request: web.Request) -> web.Response:
        page = runbook(request.match_info["name"])
        if page is None:
            return web.Response(
                status=404,
                text="riskd ships no runbook of that name. A rule of your own names its page with "
                "`runbook:`; what riskd ships is named like its rules.\n",
            )
        return web.Response(text=page, content_type="text/markdown")

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        openmetrics = wants_openmetrics(request.headers.get("Accept"))
        content_type, chunks = self._source.metrics(openmetrics=openmetrics)
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": content_type})
        with contextlib.suppress(ConnectionResetError):  # a scrape given up is no error of ours
            await response.prepare(request)
            for chunk in chunks:
                await response.write(chunk)
                await asyncio.sleep(0)  # feeds and the writer run between two slices
            await response.write_eof()
        return response


def _listener(family: int, address: tuple[str | int, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        # Listening already here: two that only bind would both believe to have the port.
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _page(name: str, content_type: str) -> Handler:
    body = (resources.files("monitor.server") / "console" / name).read_bytes()

    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    return serve


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json", status=status)


def _verdict(good: bool, detail: object) -> web.Response:
    return _json({"ok": good, "detail": detail}, status=200 if good else 503)


def _given_token(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _bind_sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use, perhaps by another riskd. "
            "Stop it, or set server.port to a free port."
        )
    if error.errno in {errno.EADDRNOTAVAIL, errno.EACCES}:
        return (
            f"riskd may not listen on {host}:{port} ({error.strerror}). "
            "Set server.host to an address of this machine and server.port above 1023."
        )
    return f"riskd cannot listen on {host}:{port}: {error.strerror or error}."
