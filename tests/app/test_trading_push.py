"""The trading state goes to who does not ask: signed, at each change, and often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from monitor.app.trading_push import TradingPush
from monitor.core.signatures import refuse
from monitor.core.types import SECOND_NS
from monitor.notify.webhook import WebhookSettings

KEY = b"k" * 24
NOW_S = 1_800_000_000


class Receiver:
    """A desk's system: keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.refusals: list[object] = []
        self.status = 200
        self.came = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        """Verify over the raw bytes, then parse."""
        body = await request.read()
        self.refusals.append(
            refuse(
                [KEY],
                message_id=request.headers["webhook-id"],
                timestamp=request.headers["webhook-timestamp"],
                signatures=request.headers["webhook-signature"],
                body=body,
                now_s=NOW_S,
            )
        )
        self.got.append(orjson.loads(body)["data"])
        self.came.set()
        return web.Response(status=self.status)

    async def wait_for(self, count: int) -> None:
        """Until so many messages came."""
        async with asyncio.timeout(20):
            while len(self.got) < count:
                self.came.clear()
                await self.came.wait()


class Rig:
    """A push to a real receiver, of a document that tests change."""

    def __init__(self, receiver: Receiver, push: TradingPush, document: dict[str, Any]) -> None:
        self.receiver = receiver
        self.push = push
        self.document = document


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """One that repeats itself rarely, so that what comes is news."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/state", receiver.handle)
    document: dict[str, Any] = {"state": "ACTIVE", "at_ms": 1}
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        settings = WebhookSettings.model_validate(
            {"url": str(server.make_url("/state")), "secret": {"env": "X"}, "allow_loopback": True}
        )
        push = TradingPush(
            settings,
            session,
            [KEY],
            document=lambda: dict(document),
            now_wall_ns=lambda: NOW_S * SECOND_NS,
            publish_s=600.0,
        )
        task = asyncio.create_task(push.run())
        try:
            yield Rig(receiver, push, document)
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_changes_are_told_at_once_and_signed(rig: Rig) -> None:
    """What only has another time is no change."""
    await rig.receiver.wait_for(1)
    rig.document["at_ms"] = 2
    rig.push.changed()
    rig.document["state"] = "HALTED"
    rig.push.changed()
    await rig.receiver.wait_for(2)
    assert [one["state"] for one in rig.receiver.got] == ["ACTIVE", "HALTED"]
    assert rig.receiver.refusals == [None, None]


async def test_what_fails_is_said_and_sends_the_newest_later(rig: Rig) -> None:
    """Nothing is queued: the receiver hears the state of then."""
    await rig.receiver.wait_for(1)
    rig.receiver.status = 503
    assert not await rig.push.send({"state": "HALTED"})
    assert rig.push.failing == "status 503"
    rig.receiver.status = 204
    assert await rig.push.send({"state": "REDUCE_ONLY"})
    assert rig.push.failing == ""


async def test_a_receiver_that_is_gone_stops_nothing() -> None:
    """A refused connection is a word in the log."""
    async with aiohttp.ClientSession() as session:
        settings = WebhookSettings.model_validate(
            {"url": "http://127.0.0.1:9/x", "secret": {"env": "X"}, "allow_loopback": True}
        )
        push = TradingPush(
            settings, session, [KEY], document=dict, now_wall_ns=lambda: NOW_S * SECOND_NS
        )
        assert not await push.send({})
        assert push.failing
