"""The HTTP server: health, metrics, state, alerts and the console page. Reads only.

Every answer is made from a snapshot between two events, so a scrape can never see half an update.
Nothing here can change the risk state; commands come with the kill switch and are always signed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hmac
from collections.abc import Awaitable, Callable, Iterable
from importlib import resources
from typing import Protocol

import orjson
from aiohttp import web
from pydantic import SecretStr

from monitor.core.errors import ConfigError
from monitor.observability.exposition import wants_openmetrics
from monitor.server.settings import ServerSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN_PATHS = frozenset({"/livez", "/readyz"})
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
    """Binds, serves until ``close``; one per daemon."""

    def __init__(
        self, settings: ServerSettings, source: Source, *, token: SecretStr | None = None
    ) -> None:
        self._settings = settings
        self._source = source
        self._token = token
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigError: When the port is taken or the address is not this machine's.
        """
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/state", self._state)
        app.router.add_get("/v1/alerts", self._alerts)
        app.router.add_get("/v1/measures", self._measures)
        for path, name, kind in (
            ("/", "index.html", "text/html"),
            ("/console.css", "console.css", "text/css"),
            ("/console.js", "console.js", "text/javascript"),
        ):
            app.router.add_get(path, _page(name, kind))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        host, port = self._settings.host, self._settings.port
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise ConfigError(_bind_sentence(host, port, error)) from error
        bound = self._runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{bound}"

    async def close(self) -> None:
        """Stop serving; safe to call twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None and request.path not in OPEN_PATHS:
            given = _given_token(request.headers.get("Authorization", ""))
            if not hmac.compare_digest(
                given.encode(), self._token.get_secret_value().encode("utf-8")
            ):
                return web.Response(
                    status=401,
                    text="This riskd needs its read token (as bearer token, or as password).\n",
                    headers={"WWW-Authenticate": 'Basic realm="riskd", charset="UTF-8"'},
                )
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

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        openmetrics = wants_openmetrics(request.headers.get("Accept"))
        content_type, chunks = self._source.metrics(openmetrics=openmetrics)
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": content_type})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)  # feeds and the writer run between two slices
        await response.write_eof()
        return response


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
