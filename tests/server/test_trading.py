"""What the desk's own systems read: true for 15 s, told at each change, and leased over a stop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.state import Hold, KillState, Latch
from monitor.core.killswitch.trading import trading_state
from monitor.core.signatures import refuse, sign
from monitor.core.types import PORTFOLIO, SECOND_NS, venue_subject
from monitor.server.trading import Json, TradingFeed, trading_document, with_lease

NOW = 1_800_000_000 * SECOND_NS
KEY = b"k" * 24


def document(state: KillState) -> Json:
    """Of one state, now."""
    told = trading_state(state, DaemonMode.ARMED, NOW)
    return trading_document(told, desk="desk-a", to_wall_ns=lambda at: at + 5 * SECOND_NS)


def test_a_latched_book_and_a_held_venue() -> None:
    """Each scope with its word, its reasons and whether it goes by itself."""
    dydx = venue_subject("dydx")
    state = KillState(
        latches={PORTFOLIO: Latch(trip_id="t", scope=PORTFOLIO, level=Level.HALT, since_ns=NOW)},
        holds={"r|s": Hold(rule="r", subject=dydx, scope=dydx, since_ns=NOW, epoch_ns=NOW)},
    )
    found = document(state)
    assert (found["state"], found["level"], found["mode"]) == ("HALTED", 4, "armed")
    assert found["valid_until_ms"] - found["at_ms"] == 15_000
    assert found["at_ms"] == (NOW + 5 * SECOND_NS) // 1_000_000, "in wall time"
    by_scope = {one["scope"]: one for one in found["scopes"]}
    assert (by_scope[PORTFOLIO]["state"], by_scope[PORTFOLIO]["held"]) == ("HALTED", False)
    assert (by_scope[dydx]["state"], by_scope[dydx]["held"]) == ("REDUCE_ONLY", True)
    orjson.dumps(found)


def test_a_lease_is_signed_over_who_what_and_until_when() -> None:
    """Another state, desk or time does not verify."""
    found = with_lease(document(KillState()), key=KEY, lease_s=120, now_wall_ns=NOW)
    until_s = found["lease"]["until_ms"] // 1000
    assert until_s == NOW // SECOND_NS + 120

    def judged(desk: str, state: str, until: int) -> object:
        return refuse(
            [KEY],
            message_id=desk,
            timestamp=str(until),
            signatures=found["lease"]["signature"],
            body=state.encode(),
            now_s=until,
        )

    assert judged("desk-a", "ACTIVE", until_s) is None
    assert judged("desk-b", "ACTIVE", until_s) is not None
    assert judged("desk-a", "ACTIVE ", until_s) is not None
    assert judged("desk-a", "ACTIVE", until_s + 1) is not None
    assert found["lease"]["signature"] == sign(KEY, "desk-a", until_s, b"ACTIVE")


class Rig:
    """A feed behind a real server, of a document that tests change."""

    def __init__(self, **options: float) -> None:
        self.state = "ACTIVE"
        self.feed = TradingFeed(lambda: {"state": self.state}, **options)  # type: ignore[arg-type]  # by name

    @asynccontextmanager
    async def client(self):
        """To ask it."""
        app = web.Application()
        app.router.add_get("/v1/trading-state", self.feed.once)
        app.router.add_get("/v1/trading-state/stream", self.feed.stream)
        async with TestClient(TestServer(app)) as client:
            yield client


async def test_one_answer() -> None:
    """As it is now."""
    rig = Rig()
    async with rig.client() as client:
        assert await (await client.get("/v1/trading-state")).json() == {"state": "ACTIVE"}


async def test_a_stream_tells_changes_at_once_and_ends_with_the_last_words() -> None:
    """Not two seconds later: nothing here waits for the clock."""
    rig = Rig()
    async with rig.client() as client:
        response = await client.get("/v1/trading-state/stream")
        assert response.content_type == "text/event-stream"
        assert await read(response) == {"state": "ACTIVE"}
        rig.state = "HALTED"
        rig.feed.changed()
        assert await read(response) == {"state": "HALTED"}
        rig.feed.leave({"state": "HALTED", "lease": {}})
        assert await read(response) == {"state": "HALTED", "lease": {}}
        assert await response.content.read() == b""
        later = await client.get("/v1/trading-state")
        assert "lease" in await later.json()


async def test_a_stream_repeats_itself() -> None:
    """Every two seconds (here as fast as can be), so that a reader knows that riskd lives."""
    rig = Rig(publish_s=0.0)
    async with rig.client() as client:
        response = await client.get("/v1/trading-state/stream")
        assert [await read(response) for _ in range(3)] == [{"state": "ACTIVE"}] * 3


async def test_streams_are_bounded() -> None:
    """One more than that is refused; one that left makes room."""
    rig = Rig(readers_max=1)
    async with rig.client() as client:
        first = await client.get("/v1/trading-state/stream")
        await read(first)
        assert (await client.get("/v1/trading-state/stream")).status == 503
        first.close()
        for _ in range(1000):
            rig.feed.changed()
            await asyncio.sleep(0)
            again = await client.get("/v1/trading-state/stream")
            if again.status == 200:
                return
        pytest.fail("the room of a reader that left is never given back")


async def read(response: object) -> object:
    """One event of a stream."""
    line = await response.content.readuntil(b"\n\n")  # type: ignore[attr-defined]  # aiohttp's
    return orjson.loads(line.removeprefix(b"data: "))
