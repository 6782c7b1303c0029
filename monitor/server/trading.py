"""The contract with the desk's own systems: what may be sent now, and until when that is true.

A reader takes an answer past its ``valid_until`` for REDUCE_ONLY, so silence is never permission.
A planned restart leaves a *lease*: the state may be relied on until then, signed so that only riskd
can grant it. Sent every two seconds and at once when it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from monitor.core.killswitch.trading import TradingState
from monitor.core.signatures import sign
from monitor.core.types import SECOND_NS, EngineNs

PUBLISH_S = 2.0
READERS_MAX = 64
Json = dict[str, Any]


def trading_document(
    state: TradingState, *, desk: str, to_wall_ns: Callable[[EngineNs], int]
) -> Json:
    """The state as JSON; times are Unix milliseconds of the wall clock."""
    return {
        "desk": desk,
        "state": state.trading.value,
        "level": int(state.level),
        "mode": state.mode.value,
        "at_ms": to_wall_ns(state.at_ns) // 1_000_000,
        "valid_until_ms": to_wall_ns(state.valid_until_ns) // 1_000_000,
        "scopes": [
            {
                "scope": one.scope,
                "state": one.trading.value,
                "level": int(one.level),
                "stage": one.stage,
                "reasons": list(one.reasons),
                "trip_id": one.trip_id,
                "held": one.held,
            }
            for one in state.scopes
        ],
        "hedge_allowed": dict(state.hedge_allowed),
        "gross_max_usd": dict(state.gross_max_usd),
        "reasons": list(state.reasons),
        "trip_ids": list(state.trip_ids),
    }


def with_lease(document: Json, *, key: bytes, lease_s: float, now_wall_ns: int) -> Json:
    """The document with a signed promise that it holds for ``lease_s`` more.

    ``lease.signature`` is ``v1,`` and base64 HMAC-SHA256 over
    ``<desk>.<until, Unix s>.<state>``, as Standard Webhooks signs id, timestamp and body.
    """
    until_s = now_wall_ns // SECOND_NS + int(lease_s)
    signature = sign(key, document["desk"], until_s, document["state"].encode())
    return {**document, "lease": {"until_ms": until_s * 1000, "signature": signature}}


class TradingFeed:
    """Serves the document once, and as a stream of server-sent events.

    Args:
        document: The state now.
        publish_s: Real seconds between two events of a stream where nothing changes.
        readers_max: Streams at once.
    """

    def __init__(
        self,
        document: Callable[[], Json],
        *,
        publish_s: float = PUBLISH_S,
        readers_max: int = READERS_MAX,
    ) -> None:
        self._document = document
        self._publish_s = publish_s
        self._readers_max = readers_max
        self._wakers: set[asyncio.Event] = set()
        self._last: Json | None = None

    def changed(self) -> None:
        """Something may read differently now: streams look at once."""
        for waker in self._wakers:
            waker.set()

    def leave(self, document: Json) -> None:
        """The last words before a planned stop: every stream gets them and ends."""
        self._last = document
        self.changed()

    async def once(self, _request: web.Request) -> web.Response:
        """``GET /v1/trading-state``."""
        document = self._document() if self._last is None else self._last
        return web.Response(body=orjson.dumps(document), content_type="application/json")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/trading-state/stream``: one event every two seconds, and at each change."""
        if len(self._wakers) >= self._readers_max:
            return web.Response(status=503, text=f"At most {self._readers_max} streams.\n")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            await response.prepare(request)
            while True:
                waker.clear()
                last = self._last
                document = self._document() if last is None else last
                await response.write(b"data: " + orjson.dumps(document) + b"\n\n")
                if last is not None:
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._publish_s):
                        await waker.wait()
        except ConnectionResetError:
            return response  # the reader left
        finally:
            self._wakers.discard(waker)
        return response
