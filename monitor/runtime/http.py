"""One HTTP client for everything: ``ports.Request`` in, ``ports.Response`` out.

The session is opened by ``app.lifecycle``, passed down and closed last. TLS is verified, redirects
are not followed, bodies are bounded, and every way a request can fail becomes a ``FeedError`` whose
text a trader understands. Messages name the host only: paths and queries may carry keys.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp

from monitor.core.errors import (
    SAMPLE_BYTES_MAX,
    AuthError,
    ConfigError,
    DecodeError,
    FeedError,
    TransientFeedError,
)
from monitor.core.ports import Clock, Request, Response
from monitor.core.types import SECOND_NS

BODY_BYTES_MAX = 16 * 1024 * 1024  # the largest known answer (a meta of all markets) is 1 MB
CHUNK_BYTES = 64 * 1024
# A refused handshake that names a longer wait is not believed: the unit may be another.
HANDSHAKE_RETRY_AFTER_S_MAX = 60.0
CONNECTIONS_MAX = 64
CONNECTIONS_PER_HOST_MAX = 16


def open_session(*, user_agent: str = "riskd") -> aiohttp.ClientSession:
    """A session as riskd needs it: no cookies, no proxy from the environment, bounded connections.

    Its own timeouts are off, since each request and connection has a deadline of its own.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX, limit_per_host=CONNECTIONS_PER_HOST_MAX, ttl_dns_cache=60
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    )


class HttpClient:
    """Executes requests over one session; safe to share between venues and senders."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._session = session
        self._clock = clock
        self._body_bytes_max = body_bytes_max

    async def execute(self, request: Request) -> Response:
        """Send ``request`` and read the whole answer within ``request.timeout_s`` real seconds.

        Any HTTP status is an answer; what it means is for the caller.

        Raises:
            TransientFeedError: Refused, reset, unresolved, cut off or too slow.
            DecodeError: The body is larger than ``body_bytes_max``.
            ConfigError: The URL is none.
        """
        started_ns = self._clock.now()
        host = host_of(request.url)
        try:
            async with (
                asyncio.timeout(request.timeout_s),
                self._session.request(
                    request.method,
                    request.url,
                    data=request.body,
                    headers=list(request.headers),
                    allow_redirects=False,
                ) as answer,
            ):
                body = await self._read(answer, host)
                return Response(
                    status=answer.status,
                    headers=tuple((key.lower(), value) for key, value in answer.headers.items()),
                    body=body,
                    elapsed_s=(self._clock.now() - started_ns) / SECOND_NS,
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            fault = network_fault(error, host, timeout_s=request.timeout_s)
            if isinstance(fault, TransientFeedError):
                fault.unsent = isinstance(error, aiohttp.ClientConnectorError)
            raise fault from error

    async def _read(self, answer: aiohttp.ClientResponse, host: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            parts.append(chunk)
            size += len(chunk)
            if size > self._body_bytes_max:
                answer.close()  # the rest is not read, so the connection cannot be used again
                message = f"{host} answered with more than {self._body_bytes_max} bytes."
                raise DecodeError(message, sample=b"".join(parts)[:SAMPLE_BYTES_MAX])
        return b"".join(parts)


def host_of(url: str) -> str:
    """``host:port`` of a URL, the only part of it that messages may show."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the configured address"
    return f"{parts.hostname}{port}" if parts.hostname else "the configured address"


def network_fault(error: BaseException, host: str, *, timeout_s: float) -> FeedError | ConfigError:
    """The error of riskd for an error of aiohttp or of a socket, in a sentence for people."""
    if isinstance(error, aiohttp.InvalidURL):
        return ConfigError(f"{host} is no usable address; a full http(s) or ws(s) URL is needed.")
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return _handshake_fault(error, host)
    return TransientFeedError(_describe(error, host, timeout_s))


def _describe(error: BaseException, host: str, timeout_s: float) -> str:
    """One sentence about a failed exchange."""
    numbers = {cause.errno for cause in _causes(error) if isinstance(cause, OSError)}
    for kind, text in _TEXTS_BY_KIND:
        if isinstance(error, kind):
            return text.format(host=host, timeout_s=timeout_s)
    for number, text in _TEXTS_BY_ERRNO:
        if number in numbers:
            return text.format(host=host)
    return f"The exchange with {host} failed ({type(error).__name__})."


_TEXTS_BY_KIND: tuple[tuple[type[BaseException], str], ...] = (
    # A server that hangs up is a socket error as well, so the narrower kinds come first.
    (TimeoutError, "{host} did not answer within {timeout_s:g} s."),
    (aiohttp.ClientConnectorDNSError, "The name of {host} could not be resolved."),
    (
        aiohttp.ClientConnectorCertificateError,
        "{host} did not prove its identity: its certificate is not trusted.",
    ),
    (aiohttp.ClientConnectorSSLError, "{host} does not speak TLS as it should."),
    (aiohttp.ClientPayloadError, "The answer of {host} was cut off."),
    (aiohttp.ServerDisconnectedError, "{host} closed the connection before it answered."),
)
_TEXTS_BY_ERRNO = (
    (errno.ECONNREFUSED, "{host} refused the connection; nothing listens there."),
    (errno.ENETUNREACH, "There is no route to {host}."),
    (errno.EHOSTUNREACH, "There is no route to {host}."),
    (errno.ECONNRESET, "{host} reset the connection."),
    (errno.EPIPE, "{host} reset the connection."),
)


def _handshake_fault(error: aiohttp.WSServerHandshakeError, host: str) -> FeedError:
    status = error.status
    if status in {401, 403}:
        return AuthError(f"{host} refused this client (HTTP {status}).")
    retry_after_s = None
    if error.headers is not None:
        retry_after_s = parse_retry_after_s(error.headers.get("Retry-After"))
        if retry_after_s is not None and retry_after_s > HANDSHAKE_RETRY_AFTER_S_MAX:
            retry_after_s = None  # dYdX means milliseconds; our own backoff grows anyway
    if status == 429:
        return TransientFeedError(
            f"{host} says that there are too many connections (HTTP 429).",
            retry_after_s=retry_after_s,
        )
    return TransientFeedError(
        f"{host} did not open a WebSocket (HTTP {status}).", retry_after_s=retry_after_s
    )


def parse_retry_after_s(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header; None where it is absent or a date (not used here)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < float("inf") else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from; aiohttp hides the socket's error below its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        inner = getattr(seen, "os_error", None)
        if isinstance(inner, BaseException) and inner is not seen:
            yield inner
        seen = seen.__cause__
