"""The simulated world as a thing that runs: venue servers on loopback, time driven by a clock.

``async with Simulation(world, clock) as simulation:`` and ``simulation.urls`` can be given to any
client. With a clock that itself runs faster (``runtime.clock.ScaledClock``) leave ``speed`` at 1;
``speed`` is for a fast world beside clients that live in ordinary time.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS, EngineNs
from monitor.sim.addresses import (
    DYDX_MASTER,
    HYPERLIQUID_AGENT,
    HYPERLIQUID_MASTER,
    HYPERLIQUID_SIGNER,
    HYPERLIQUID_SUBACCOUNT,
    HYPERLIQUID_UNIFIED,
    HYPERLIQUID_VAULT,
)
from monitor.sim.dydx.server import DydxServer
from monitor.sim.faults import ALL, Fault, FaultKind
from monitor.sim.hyperliquid.server import HyperliquidServer
from monitor.sim.world import World

# Ten looks a second: finer than the world's own grid of half a second at ordinary speed.
PERIOD_S = 0.1
# Each look makes every book and frame anew: more than this many in a real second is waste.
LOOKS_PER_SECOND = 20.0
PERIOD_S_MAX = 2.0
# After a long pause of the process the world catches up in pieces, so that clients are served.
CATCH_UP_S = 60.0


def period_at(speed: float) -> float:
    """Simulated seconds between looks at the world, by a clock that runs ``speed`` times as fast.

    A fast world is told of in coarser steps, but several times within the ten seconds after which
    clients miss the fastest channels.
    """
    return min(PERIOD_S_MAX, max(PERIOD_S, speed / LOOKS_PER_SECOND))


class Simulation:
    """Venue servers over one world, and the task that lets its time pass."""

    def __init__(
        self, world: World, clock: Clock, *, speed: float = 1.0, period_s: float = PERIOD_S
    ) -> None:
        self.world = world
        self.speed = speed
        self._clock = clock
        self._period_s = period_s
        self._reached_ns: EngineNs = 0
        self._hyperliquid = HyperliquidServer(world, world.faults, clock)
        self._dydx = DydxServer(world, world.faults, clock)
        self._stack = AsyncExitStack()
        self._driver: asyncio.Task[None] | None = None

    @property
    def urls(self) -> dict[str, dict[str, str]]:
        """Base URLs by venue; known once entered."""
        return {"hyperliquid": self._hyperliquid.urls, "dydx": self._dydx.urls}

    @property
    def addresses(self) -> dict[str, dict[str, str]]:
        """The simulated desk's addresses by venue and what they are."""
        return {
            "hyperliquid": {
                "main": HYPERLIQUID_MASTER,
                "subaccount": HYPERLIQUID_SUBACCOUNT,
                "agent": HYPERLIQUID_AGENT,
                "signer": HYPERLIQUID_SIGNER,
                "unified": HYPERLIQUID_UNIFIED,
                "vault": HYPERLIQUID_VAULT,
            },
            "dydx": {"main": DYDX_MASTER},
        }

    async def __aenter__(self) -> Self:
        try:
            for server in (self._hyperliquid, self._dydx):
                self._stack.push_async_callback(server.close)
                await server.start()
        except BaseException:
            await self._stack.aclose()
            raise
        group = asyncio.TaskGroup()
        # A broken world must end whoever lives in it: the group cancels the body.
        await self._stack.enter_async_context(group)
        self._driver = group.create_task(self._drive(), name="sim:world")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if self._driver is not None:
            self._driver.cancel()
        try:
            return await self._stack.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            # The group is ours, not the caller's: a lone cause leaves as it was raised.
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from group.exceptions[0].__cause__
            raise

    def watch_at(self, speed: float) -> None:
        """The clock runs ``speed`` times as fast from now on: look at the world as often as that
        needs."""
        self._period_s = period_at(speed)

    def inject(self, fault: Fault) -> None:
        """Let a fault hold from now."""
        self.world.faults.inject(fault)

    def heal(self, fault: FaultKind | None = None, venue: str = ALL) -> None:
        """End a kind of fault (all of them when None) at one venue or everywhere."""
        self.world.faults.heal(fault, venue)

    def _start_ns(self) -> EngineNs:
        """From when the world's time runs: where it and the clock tell nearly the same time, what
        passed since the world was made is caught up with, so that nobody sees a clock skew."""
        now = self._clock.now()
        made_ns = round(self.world.now_s * SECOND_NS)
        near = 0 <= now - made_ns <= CATCH_UP_S * SECOND_NS
        return made_ns if near and self.speed == 1.0 else now

    def _behind_s(self) -> float:
        return (self._clock.now() - self._reached_ns) / SECOND_NS * self.speed

    async def _drive(self) -> None:
        self._reached_ns = self._start_ns()
        self.world.behind_s = self._behind_s
        while True:
            await self._clock.sleep(self._period_s)
            now = self._clock.now()
            target_s = self.world.now_s + (now - self._reached_ns) / SECOND_NS * self.speed
            self._reached_ns = now
            while self.world.now_s < target_s:
                self.world.advance(min(target_s, self.world.now_s + CATCH_UP_S))
                await asyncio.sleep(0)
