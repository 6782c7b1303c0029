"""Tells the trading state to systems that do not ask: a signed webhook, at each change and often.

Only the newest state is ever sent. Nothing is queued for a receiver that does not answer: it takes
what it last heard for REDUCE_ONLY once that has run out, which is what its silence should mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
import orjson
import structlog

from monitor import __version__
from monitor.core.signatures import sign
from monitor.core.types import SECOND_NS
from monitor.notify.webhook import WebhookSettings
from monitor.server.trading import PUBLISH_S

TIMEOUT_S = 5.0  # a third of how long a state is valid


class TradingPush:
    """One receiver of the trading state.

    Args:
        settings: Where, and what may be reached.
        session: Made by ``target.guarded_session(settings.target_policy())``.
        keys: Sign each message; two during a rotation.
        document: The state now, as JSON.
        now_wall_ns: The wall clock.
        publish_s: Real seconds between two messages where nothing changes.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        session: aiohttp.ClientSession,
        keys: Sequence[bytes],
        *,
        document: Callable[[], dict[str, Any]],
        now_wall_ns: Callable[[], int],
        publish_s: float = PUBLISH_S,
    ) -> None:
        self.name = settings.name
        self.failing = ""
        self._url = settings.url
        self._policy = settings.target_policy()
        self._host = urlsplit(settings.url.get_secret_value()).hostname or ""
        self._session = session
        self._keys = tuple(keys)
        self._document = document
        self._now_wall_ns = now_wall_ns
        self._publish_s = publish_s
        self._news = asyncio.Event()
        self._log = structlog.get_logger("trading_state")

    def changed(self) -> None:
        """It may read differently now: send at once if it does."""
        self._news.set()

    async def run(self) -> NoReturn:
        """Send at each change of what it says, and every ``publish_s``, until cancelled."""
        while True:
            self._news.clear()
            document = self._document()
            await self.send(document)
            told = _essence(document)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._publish_s):
                    while _essence(self._document()) == told:
                        await self._news.wait()
                        self._news.clear()

    async def send(self, document: dict[str, Any]) -> bool:
        """One message; False where it was not accepted, which is logged once."""
        body = orjson.dumps({"type": "trading_state", "data": document})
        message_id = f"ts_{secrets.token_hex(12)}"
        stamp = self._now_wall_ns() // SECOND_NS
        why = ""
        try:
            self._policy.check_host(self._host)
            async with self._session.post(
                self._url.get_secret_value(),
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"riskd/{__version__}",
                    "webhook-id": message_id,
                    "webhook-timestamp": str(stamp),
                    "webhook-signature": " ".join(
                        sign(key, message_id, stamp, body) for key in self._keys
                    ),
                },
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                if not 200 <= response.status < 300:
                    why = f"status {response.status}"
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            why = type(error).__name__
        if why != self.failing:
            self.failing = why
            self._log.warning("trading_state_push", receiver=self.name, problem=why)
        return not why


def _essence(document: dict[str, Any]) -> dict[str, Any]:
    """What a reader acts on: everything but the times."""
    return {name: value for name, value in document.items() if not name.endswith("_ms")}
