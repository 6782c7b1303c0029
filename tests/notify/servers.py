"""An HTTP server on loopback that answers as told and remembers what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Received:
    """One request: headers in lower case, body as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What to answer; ``hold`` until set."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    hold: asyncio.Event | None = None


class Server:
    """Records requests; ``answer`` decides what comes back."""

    def __init__(self, answer: Callable[[Received], Answer]) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.url = ""


@asynccontextmanager
async def serving(
    answer: Callable[[Received], Answer] | Answer | None = None,
) -> AsyncIterator[Server]:
    """A server for the time of a test; one ``Answer`` is given to every request."""
    fixed = answer if isinstance(answer, Answer) else Answer()
    server = Server(answer if callable(answer) else lambda _: fixed)

    async def handle(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.path, headers, await request.read())
        server.received.append(received)
        told = server.answer(received)
        if told.hold is not None:
            await told.hold.wait()
        return web.Response(status=told.status, headers=told.headers, text=told.body)

    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
