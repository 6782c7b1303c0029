"""The simulated dYdX: an indexer (REST and WebSocket) and a node over one simulated world.

Data moves with the world (each ``World.advance`` publishes what it caused); what a client times by
its own clock (limits, heartbeats, fetching) follows the clock that is handed in. Faults come from
the world's shared fault state; the node stays up through an outage of the indexer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from monitor.core.ports import Clock
from monitor.sim.dydx.feed import Feed
from monitor.sim.dydx.history import PnlLog
from monitor.sim.dydx.hub import PATH, PONG_WITHIN_S, Hub
from monitor.sim.dydx.indexer import NEWCOMERS, Indexer
from monitor.sim.dydx.node import Node
from monitor.sim.dydx.rest.accounts import AccountRoutes
from monitor.sim.dydx.rest.markets import Guard, MarketRoutes, Route
from monitor.sim.dydx.rest.query import ApiError
from monitor.sim.faults import ALL, Fault, FaultKind, Faults
from monitor.sim.listings import DYDX
from monitor.sim.occurrences import BlockMade, WorldEvent
from monitor.sim.world import World

HOST = "127.0.0.1"
PREFIX = "/v4"
STOP_WITHIN_S = 1.0
MAX_HELD_EVENTS = 100_000


class DydxServer:
    """Serves dYdX's reading side on loopback.

    Args:
        world: The world to show. The server subscribes to it while it runs and never changes it.
        faults: What is wrong now; usually ``world.faults``.
        clock: For limits, heartbeats and delays of answers.
        pong_within_s: Real seconds a client has to answer a ping.
        newcomers: Markets that are listed without a price.
    """

    def __init__(
        self,
        world: World,
        faults: Faults,
        clock: Clock,
        *,
        pong_within_s: float = PONG_WITHIN_S,
        newcomers: tuple[str, ...] = NEWCOMERS,
    ) -> None:
        self.world = world
        self.indexer = Indexer(world, newcomers=newcomers)
        self._faults = faults
        self._pnl = PnlLog()
        self.hub = Hub(
            self.indexer,
            faults,
            clock,
            blocked=lambda address: self.blocked(address) is not None,
            pong_within_s=pong_within_s,
        )
        self._feed = Feed(self.indexer, self.hub)
        self.hub.feed = self._feed
        self._guard = Guard(self.indexer, faults, clock)
        self._held: list[WorldEvent] = []
        self._rest: web.AppRunner | None = None
        self._node: web.AppRunner | None = None
        self._rest_port = 0
        self._node_port = 0
        self._changed = asyncio.Event()
        self._control: asyncio.Task[None] | None = None
        self._is_up = False

    @property
    def urls(self) -> dict[str, str]:
        """Base addresses: ``rest``, ``ws``, ``rpc`` and ``lcd``. Known once started."""
        node = f"http://{HOST}:{self._node_port}"
        return {
            "rest": f"http://{HOST}:{self._rest_port}{PREFIX}",
            "ws": f"ws://{HOST}:{self.hub.port}{PATH}",
            "rpc": node,
            "lcd": node,
        }

    async def start(self) -> None:
        """Listen on free ports of the loopback interface and follow the world."""
        self._node = web.AppRunner(self._node_app(), shutdown_timeout=STOP_WITHIN_S)
        await self._node.setup()
        self._node_port = await _listen(self._node, 0)
        await self._go_up()
        self._pnl.tick(self.indexer)
        self.world.subscribe(self._moved)
        self._faults.subscribe(self._fault_changed)
        self._control = asyncio.create_task(self._follow_faults(), name="dydx-sim-control")
        self._changed.set()

    async def close(self) -> None:
        """Stop serving and forget the world; also what was started only in part.

        Raises:
            OSError: If an outage could not be ended because its port was taken meanwhile.
        """
        control, self._control = self._control, None
        if control is not None:
            self.world.unsubscribe(self._moved)
            self._faults.unsubscribe(self._fault_changed)
            control.cancel()
            await asyncio.wait([control])
        await self.hub.close()
        for runner in (self._rest, self._node):
            if runner is not None:
                await runner.cleanup()
        self._rest = self._node = None
        if control is not None and not control.cancelled():
            control.result()

    async def restart(self) -> None:
        """A deploy of the indexer: clients are closed with 1012 and may come back at once."""
        await self.hub.restart()

    def blocked(self, address: str) -> str | None:
        """Why an address is refused: ``GEOBLOCKED``, ``COMPLIANCE_BLOCKED`` or not at all."""
        fault = self._faults.find(FaultKind.FORBIDDEN, DYDX, market=address)
        if fault is None:
            return None
        return "GEOBLOCKED" if fault.market == ALL else "COMPLIANCE_BLOCKED"

    # -------------------------------------------------------------------------------- the world

    def _moved(self, events: Sequence[WorldEvent]) -> None:
        """The world advanced: blocks first (the chain runs on whatever the indexer does), then
        what the indexer makes of it."""
        chain = self.indexer.chain
        for event in events:
            if isinstance(event, BlockMade) and event.venue == DYDX:
                chain.make_block(event.height, event.time_s)
        if self.world.venues[DYDX].halted:
            chain.halt()
        self._watch_equity()
        if self._faults.holds(FaultKind.STALE_INDEXER, DYDX):
            self.indexer.freeze()
            self._held.extend(events)
            del self._held[:-MAX_HELD_EVENTS]
        else:
            held, self._held = self._held, []
            if self.indexer.frozen:
                self.indexer.thaw()
            self._feed.happened([*held, *events])
            self._feed.tick()
            self._pnl.tick(self.indexer)
        self.hub.tick()

    def _watch_equity(self) -> None:
        for account in self.world.venues[DYDX].accounts.values():
            for pool in account.pools.values():
                if pool.positions and pool.equity < 0:
                    self.indexer.chain.see_negative_equity()

    # ----------------------------------------------------------------------------------- faults

    def _fault_changed(self, fault: Fault, injected: bool) -> None:
        """Act on faults that touch open connections; the rest is asked when it matters."""
        if fault.venue not in {ALL, DYDX}:
            return
        if fault.kind is FaultKind.STALE_INDEXER and injected:
            self.indexer.freeze()
        if fault.kind is FaultKind.OUTAGE:
            self._changed.set()
        if fault.kind is FaultKind.HALF_OPEN:
            self.hub.go_silent(silent=self._faults.holds(FaultKind.HALF_OPEN, DYDX))

    async def _follow_faults(self) -> None:
        """Close and reopen the listening sockets as outages come and go."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            down = self._faults.holds(FaultKind.OUTAGE, DYDX)
            if down and self._is_up:
                await self._go_down()
            elif not down and not self._is_up:
                await self._go_up()

    async def _go_up(self) -> None:
        self._rest = web.AppRunner(
            self._rest_app(), shutdown_timeout=STOP_WITHIN_S, access_log=None
        )
        await self._rest.setup()
        self._rest_port = await _listen(self._rest, self._rest_port)
        await self.hub.listen()
        self._is_up = True

    async def _go_down(self) -> None:
        self._is_up = False
        if self._rest is not None:
            rest, self._rest = self._rest, None
            if rest.server is not None:
                for connection in tuple(rest.server.connections):
                    if connection.transport is not None:
                        connection.transport.abort()
            await rest.cleanup()
        await self.hub.stop_listening()

    # ------------------------------------------------------------------------------------- apps

    def _rest_app(self) -> web.Application:
        async def nowhere(request: web.Request) -> dict[str, object]:
            raise ApiError(404, [{"msg": f"Cannot {request.method} {request.path}"}])

        table: dict[str, Route] = {
            **MarketRoutes(self.indexer).table(),
            **AccountRoutes(self.indexer, self._pnl, self.blocked).table(),
        }
        app = web.Application()
        for path, route in table.items():
            app.router.add_get(f"{PREFIX}{path}", self._guard.around(route))
        app.router.add_route("*", "/{anything:.*}", self._guard.around(nowhere))
        return app

    def _node_app(self) -> web.Application:
        app = web.Application()
        app.add_routes(Node(self.indexer).routes())
        return app


async def _listen(runner: web.AppRunner, port: int) -> int:
    """Listen on ``port`` (0: any) of the loopback interface; returns the port."""
    site = web.TCPSite(runner, HOST, port, reuse_address=True)
    await site.start()
    return int(runner.addresses[0][1])
