"""Where riskd has no hands of its own: dYdX is cut through the desk's signed webhook, and whether
it was done is read off the venue, whatever the desk says."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from monitor.core.killswitch.state import Stage
from monitor.core.signatures import refuse
from monitor.core.types import SECOND_NS, Subject
from monitor.sim.accounts import SimOrder, SimPool
from monitor.sim.addresses import DYDX_MASTER
from tests.killpath.rig import DYDX, PAGER_SECRET, Desk, Rig, run

KEY = bytes(range(32))  # the pager's: one secret is enough for a test
SCOPE = Subject("venue:dydx")
STOPS = 1


class System:
    """The desk's own system, with an account at the simulated venue. It does each command once and
    says so; an idle one says the same and does nothing."""

    def __init__(self, rig: Rig, *, idle: bool = False) -> None:
        self.rig = rig
        self.idle = idle
        self.answers: dict[str, dict[str, Any]] = {}
        self.unsigned = 0

    async def handle(self, request: web.Request) -> web.Response:
        """One command of riskd."""
        body = await request.read()
        headers = request.headers
        refusal = refuse(
            (KEY,),
            message_id=headers["webhook-id"],
            timestamp=headers["webhook-timestamp"],
            signatures=headers["webhook-signature"],
            body=body,
            now_s=self.rig.clock.to_wall_ns(self.rig.clock.now()) / SECOND_NS,
        )
        if refusal is not None:
            self.unsigned += 1
            return web.Response(status=401)
        data = orjson.loads(body)["data"]
        name = data["command_id"]
        if name not in self.answers:
            self.answers[name] = {"command_id": name, "state": "done"} | self.carried_out(data)
        return web.json_response(self.answers[name])

    def carried_out(self, data: dict[str, Any]) -> dict[str, Any]:
        """Do it, and what is said of it."""
        if data["do"] == "cancel":
            return {"cancels": [self.cancelled(one, data["account"]) for one in data["cancels"]]}
        return {"orders": [self.reduced(one, data["account"]) for one in data["orders"]]}

    def cancelled(self, one: dict[str, Any], account: str) -> dict[str, Any]:
        """By what the order is: the venue has an id of its own for it."""
        number = pool_of(account)
        for order in list(pools(self.rig)[number].orders.values()):
            same = (order.symbol, order.side) == (one["market"], one["side"])
            if same and order.size == Decimal(one["size"]) and not self.idle:
                self.rig.world.cancel_order(DYDX, DYDX_MASTER, number, order.order_id)
        return {"order_id": one["order_id"], "gone": True}

    def reduced(self, one: dict[str, Any], account: str) -> dict[str, Any]:
        """At the market's price, as far as it only reduces."""
        size = Decimal(one["size"])
        if not self.idle:
            signed = size if one["side"] == "buy" else -size
            self.rig.world.trade(DYDX, DYDX_MASTER, pool_of(account), one["market"], signed)
        return {
            "client_id": one["client_id"],
            "end": "filled",
            "filled_size": one["size"],
            "average_price": one["limit_price"],
        }


def pool_of(account: str) -> str:
    """The subaccount that riskd's name of an account means: ``main`` is 0, ``main.128`` 128."""
    return account.partition(".")[2] or "0"


def pools(rig: Rig) -> dict[str, SimPool]:
    """The desk's subaccounts as the venue has them."""
    return rig.world.account(DYDX, DYDX_MASTER).pools


def sizes(rig: Rig) -> dict[str, Decimal]:
    """Signed positions."""
    return {
        position.symbol: position.size
        for pool in pools(rig).values()
        for position in pool.positions.values()
    }


def gross_usd(rig: Rig) -> float:
    """What they are worth."""
    found = sizes(rig).items()
    return float(sum(abs(n) * rig.world.market(DYDX, name).oracle_price for name, n in found))


def orders(rig: Rig) -> list[SimOrder]:
    """Working orders."""
    return [order for pool in pools(rig).values() for order in pool.orders.values()]


@asynccontextmanager
async def served(system: System, bound: socket.socket) -> AsyncIterator[None]:
    """The desk's system on its socket."""
    app = web.Application()
    app.router.add_post("/", system.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    try:
        yield
    finally:
        await runner.cleanup()


def run_cut(story: Any, *, idle: bool) -> None:
    """A desk at dYdX alone, whose own system acts there."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    webhook = {
        "name": "oms",
        "url": f"http://127.0.0.1:{bound.getsockname()[1]}/",
        "allow_loopback": True,
        "secret": {"env": PAGER_SECRET},
    }
    desks = [{"venue": DYDX, "accounts": ["main", "main.128"], "webhook": webhook}]

    async def whole(rig: Rig) -> None:
        system = System(rig, idle=idle)
        async with served(system, bound):
            await rig.pull(scope=SCOPE, keep=0.5)
            await story(rig, system)
        assert system.unsigned == 0

    with bound:
        run(whole, Desk(venues=(DYDX,), signer=False, more={"actions": {"desks": desks}}))


def test_dydx_is_cut_through_the_desks_webhook_and_proved_from_the_venue() -> None:
    """Orders first, then positions, isolated ones too; contained once the venue's own lists of
    after it show so. The stop stays."""

    async def story(rig: Rig, system: System) -> None:
        began, stops = gross_usd(rig), [one for one in orders(rig) if one.trigger_price is not None]
        before = sizes(rig)
        await rig.until(lambda: rig.stage(SCOPE) is Stage.CONTAINED, within_s=120.0)
        assert gross_usd(rig) <= began * 0.5 * 1.02
        after = sizes(rig)
        assert all(abs(after.get(name, Decimal(0))) <= abs(size) for name, size in before.items())
        assert all(after[name] * before[name] > 0 for name in after)
        assert abs(after["FARTCOIN-USD"]) < abs(before["FARTCOIN-USD"])
        left = orders(rig)
        assert [one for one in left if one.trigger_price is not None] == stops
        assert len(stops) == STOPS
        done = [name for name, answer in system.answers.items() if "orders" in answer]
        assert len(done) == len(set(done))
        assert not any("INCOMPLETE" in one.summary for one in rig.told)

    run_cut(story, idle=False)


def test_a_desk_that_says_done_and_does_nothing_is_incomplete() -> None:
    """Its word counts for nothing: people are told what is left, and nobody that it is done."""

    async def story(rig: Rig, system: System) -> None:
        before = sizes(rig)
        await rig.until(lambda: rig.stage(SCOPE) is Stage.INCOMPLETE, within_s=120.0)
        await rig.until(
            lambda: any("could not be cancelled" in one.description for one in rig.told),
            within_s=120.0,
        )
        await rig.passes(20.0)
        said = [key for answer in system.answers.values() for key in answer]
        assert {"cancels", "orders"} <= set(said), "it said that both were done"
        assert sizes(rig) == before
        assert rig.stage(SCOPE) is Stage.INCOMPLETE
        assert not any("CONTAINED" in one.summary for one in rig.told)

    run_cut(story, idle=True)
