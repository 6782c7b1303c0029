"""The simulated dYdX over real sockets: heartbeats, closes, races and faults on the way."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import aiohttp
import pytest

from monitor.sim.dydx.session import BLOCKED_TEXT
from monitor.sim.faults import Fault, FaultKind
from tests.manual_clock import until
from tests.sim.dydx.rig import ADDRESS, Rig, simulated, size_of

SUBACCOUNT = f"{ADDRESS}/0"


def buy(rig: Rig, size: str = "0.1", symbol: str = "BTC-USD", pool: str = "0") -> None:
    """The desk takes from the book."""
    rig.world.trade("dydx", ADDRESS, pool, symbol, Decimal(size))


async def test_greeting_and_unknown_subaccount() -> None:
    """Connected with id 0; an unknown subaccount is an empty snapshot, and updates still flow."""
    async with simulated() as rig:
        client = await rig.connect()
        answer = await client.subscribe("v4_subaccounts", f"{ADDRESS}/5")
        assert client.frames[0]["message_id"] == 0
        assert answer["contents"] == {}
        rig.world.deposit("dydx", ADDRESS, "5", Decimal(100))
        await rig.go(1)
        contents = [frame["contents"] for frame in client.data("v4_subaccounts")]
        assert contents[0]["assetPositions"][0]["size"] == "100"
        assert contents[1]["transfers"]["type"] == "DEPOSIT"


async def test_events_between_snapshot_and_registration_are_lost() -> None:
    """A fill right after the snapshot was taken is in neither snapshot nor stream."""
    async with simulated() as rig:
        client = await rig.connect()
        await until(lambda: rig.clock.sleepers == 1)  # the heartbeat
        await client.say({"type": "subscribe", "channel": "v4_subaccounts", "id": SUBACCOUNT})
        await until(lambda: rig.clock.sleepers == 2)  # and now the fetch
        before = size_of(rig.world, "BTC-USD")
        buy(rig)
        await rig.go(0.5)
        await rig.let(lambda: len(client.texts) > 1)
        buy(rig)
        await rig.go(0.5)
        snapshot = client.frames[1]["contents"]
        fills = [
            row for f in client.data("v4_subaccounts") for row in f["contents"].get("fills", [])
        ]
        shown = snapshot["subaccount"]["openPerpetualPositions"]["BTC-USD"]["size"]
        assert Decimal(shown) == before
        assert len(fills) == 1
        assert size_of(rig.world, "BTC-USD") == before + Decimal("0.2")


async def test_ping_frame_every_thirty_seconds() -> None:
    """A control frame, no JSON; an answered one keeps the connection."""
    async with simulated() as rig:
        client = await rig.connect()
        await rig.let(lambda: client.texts)
        await rig.clock.advance(29.9)
        await asyncio.sleep(0.02)
        before = client.pings
        await rig.let(lambda: client.pings == 1)
        assert before == 0
        await rig.clock.advance(30.1)
        await until(lambda: client.pings == 2)
        assert client.closed is None
        assert len(client.texts) == 1


async def test_unanswered_ping_closes_with_1011() -> None:
    """No pong in time is a heartbeat timeout."""
    async with simulated(pong_within_s=0.02) as rig:
        rig.answers_pings = False
        client = await rig.connect()
        await rig.let(lambda: client.texts)
        await rig.clock.advance(30.1)
        await until(lambda: client.closed)
        assert client.closed == (1011, "Heartbeat timeout")


async def test_third_subscribe_closes_with_1008() -> None:
    """The error arrives before the close."""
    async with simulated() as rig:
        client = await rig.connect()
        for _ in range(3):
            await client.say({"type": "subscribe", "channel": "v4_trades", "id": "BTC-USD"})
        await rig.let(lambda: client.closed)
        assert client.closed == (1008, '{"message":"Rate limited"}')
        assert any(
            "Too many subscribe attempts" in frame.get("message", "") for frame in client.frames
        )


async def test_restart_closes_with_1012_and_takes_clients_back() -> None:
    """A deploy is announced; the same address serves again at once."""
    async with simulated() as rig:
        client = await rig.connect()
        await rig.let(lambda: client.texts)
        await rig.server.restart()
        await until(lambda: client.closed)
        assert client.closed == (1012, '{"message":"Service restarting"}')
        again = await rig.connect()
        await rig.let(lambda: again.texts)


async def test_other_paths_are_not_found() -> None:
    """Only the venue's own path is a WebSocket."""
    async with simulated() as rig:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await rig.http.ws_connect(rig.server.urls["ws"] + "x")


async def test_outage_refuses_and_cuts_and_ends_on_the_same_ports() -> None:
    """Open sockets are reset, new ones refused, the node lives; afterwards all is as before."""
    async with simulated() as rig:
        client = await rig.connect()
        await rig.let(lambda: client.texts)
        urls = rig.server.urls
        rig.world.faults.inject(Fault(kind=FaultKind.OUTAGE, venue="dydx"))
        await until(lambda: client.closed)
        await asyncio.sleep(0.05)
        for url in (urls["rest"] + "/height", urls["ws"].replace("ws:", "http:")):
            with pytest.raises(aiohttp.ClientConnectionError):
                await rig.http.get(url)
        assert (await rig.ask("/status", base="rpc"))[0] == 200
        rig.world.faults.heal(FaultKind.OUTAGE)
        await asyncio.sleep(0.1)
        assert rig.server.urls == urls
        assert (await rig.get("/height"))["height"]
        again = await rig.connect()
        await rig.let(lambda: again.texts)


async def test_outage_of_the_other_venue_changes_nothing() -> None:
    """Faults are narrowed by venue."""
    async with simulated() as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.OUTAGE, venue="hyperliquid"))
        await asyncio.sleep(0.02)
        assert (await rig.get("/height"))["height"]


async def test_half_open_socket_says_nothing_and_leaves_a_gap() -> None:
    """TCP stays up, pings go unanswered; what was not sent is missing from the ids afterwards."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_block_height")
        await rig.go(2)
        seen = len(client.texts)
        rig.world.faults.inject(Fault(kind=FaultKind.HALF_OPEN, venue="dydx"))
        await client.socket.ping()
        await rig.go(5)
        assert len(client.texts) == seen
        assert client.closed is None
        rig.world.faults.heal(FaultKind.HALF_OPEN)
        await rig.go(2)
        ids = [frame["message_id"] for frame in client.frames]
        assert ids[seen] > ids[seen - 1] + 3
        assert client.closed is None


async def test_dead_channel_on_a_living_socket_leaves_no_gap() -> None:
    """One channel goes silent; the others keep consecutive ids."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_block_height")
        await client.subscribe("v4_markets")
        rig.world.faults.inject(
            Fault(kind=FaultKind.DEAD_CHANNEL, venue="dydx", channel="v4_markets")
        )
        await rig.go(10)
        assert client.data("v4_markets") == []
        ids = [frame["message_id"] for frame in client.frames]
        assert ids == list(range(len(ids)))
        rig.world.faults.heal()
        await rig.go(10)
        assert client.data("v4_markets")


async def test_dead_channel_may_be_one_account() -> None:
    """A fault that names an address silences that address only."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_subaccounts", SUBACCOUNT)
        await client.subscribe("v4_parent_subaccounts", SUBACCOUNT)
        rig.world.faults.inject(
            Fault(kind=FaultKind.DEAD_CHANNEL, channel="v4_subaccounts", market=ADDRESS)
        )
        buy(rig)
        await rig.go(1)
        assert client.data("v4_subaccounts") == []
        assert client.data("v4_parent_subaccounts")


async def test_garbage_frames_are_cut_short() -> None:
    """A share of pushed frames cannot be parsed."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_markets")
        good = len(client.texts)
        rig.world.faults.inject(Fault(kind=FaultKind.GARBAGE_FRAMES, venue="dydx", ratio=0.5))
        await rig.go(20)
        broken = 0
        for text in client.texts[good:]:
            try:
                json.loads(text)
            except json.JSONDecodeError:
                broken += 1
        assert 0 < broken < len(client.texts) - good


async def test_lost_frames_leave_gaps() -> None:
    """Ids are used up by frames that never arrive."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_markets")
        rig.world.faults.inject(Fault(kind=FaultKind.LOST_FRAMES, venue="dydx", ratio=0.5))
        await rig.go(20)
        ids = [frame["message_id"] for frame in client.frames]
        assert ids == sorted(set(ids))
        assert ids[-1] > len(ids)


async def test_slow_frames_arrive_late_and_in_order() -> None:
    """Frames wait for their delay in simulated time."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_block_height")
        rig.world.faults.inject(Fault(kind=FaultKind.SLOW, venue="dydx", delay_s=5.0))
        await rig.go(4)
        assert client.data("v4_block_height") == []
        await rig.go(3)
        heights = [int(f["contents"]["blockHeight"]) for f in client.data("v4_block_height")]
        assert heights
        assert heights == sorted(heights)
        assert heights[-1] < rig.world.venues["dydx"].height - 3


async def test_lagging_indexer_stands_still_while_the_node_runs_on() -> None:
    """Height, markets, positions and streams freeze; RPC height grows; then all catches up."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_block_height")
        await client.subscribe("v4_subaccounts", SUBACCOUNT)
        await rig.go(2)
        before = await rig.get("/height")
        subaccount = await rig.get(f"/addresses/{SUBACCOUNT.replace('/', '/subaccountNumber/')}")
        seen = len(client.texts)
        rig.world.faults.inject(Fault(kind=FaultKind.STALE_INDEXER, venue="dydx"))
        buy(rig)
        await rig.go(20)
        assert await rig.get("/height") == before
        path = f"/addresses/{SUBACCOUNT.replace('/', '/subaccountNumber/')}"
        assert await rig.get(path) == subaccount
        assert len(client.texts) == seen
        status = (await rig.ask("/status", base="rpc"))[2]["result"]["sync_info"]
        assert int(status["latest_block_height"]) == int(before["height"]) + 20
        rig.world.faults.heal(FaultKind.STALE_INDEXER)
        await rig.go(1)
        after = await rig.get("/height")
        assert int(after["height"]) >= int(before["height"]) + 20
        fills = [f for f in client.data("v4_subaccounts") if "fills" in f["contents"]]
        assert len(fills) == 1
        assert len(client.data("v4_block_height")) >= 20


async def test_failing_api_refuses_subscriptions_and_spares_open_ones() -> None:
    """The snapshot cannot be fetched; streams that were open go on."""
    async with simulated() as rig:
        client = await rig.connect()
        await client.subscribe("v4_block_height")
        rig.world.faults.inject(Fault(kind=FaultKind.API_ERRORS, venue="dydx"))
        answer = await client.subscribe("v4_orderbook", "BTC-USD")
        assert answer["message"] == (
            "Internal error, could not fetch data for subscription: v4_orderbook."
        )
        await rig.go(2)
        assert client.data("v4_block_height")


async def test_blocked_address_cannot_subscribe() -> None:
    """Compliance reaches the socket too."""
    async with simulated() as rig:
        rig.world.faults.inject(Fault(kind=FaultKind.FORBIDDEN, market=ADDRESS))
        client = await rig.connect()
        assert (await client.subscribe("v4_subaccounts", SUBACCOUNT))["message"] == BLOCKED_TEXT
        assert (await client.subscribe("v4_markets"))["type"] == "subscribed"


async def test_same_seed_same_frames() -> None:
    """Two runs say the same bytes, connection ids included."""

    async def run() -> list[str]:
        async with simulated() as rig:
            client = await rig.connect()
            await client.subscribe("v4_markets")
            await client.subscribe("v4_orderbook", "BTC-USD", batched=True)
            await client.subscribe("v4_parent_subaccounts", SUBACCOUNT)
            buy(rig)
            await rig.go(31)
            return client.texts

    first, second = await run(), await run()
    assert first == second
    assert len(first) > 50
