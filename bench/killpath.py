"""How long a trip takes, from the tick to the venue's last acknowledgement, against a bare request.

A daemon in ``rehearse`` with its signer, the simulated venue and a client that only asks for the
time share one event loop; requests go through a tap that notes when bytes pass it. Wall time, since
it is waiting that is measured; the bare round trip through the same tap in the same run says what
of it is the machine's. Figures are in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import structlog

from monitor.actions.settings import acting_accounts
from monitor.actions.signer import SOCKET_NAME, STATE_NAME, Signer, SignerServer, SignerState
from monitor.app.lifecycle import Daemon
from monitor.config import Config, parse_config
from monitor.core.decision import Decision
from monitor.core.events import MarketContextSeen
from monitor.core.killswitch.state import Stage
from monitor.core.operator import OperatorRequest, Verb
from monitor.core.types import Subject
from monitor.runtime.clock import SystemClock
from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SIGNER_KEY
from monitor.sim.simulation import Simulation
from monitor.sim.world import World

ORDERS = 20  # that increase risk, to be cancelled by each trip
ABOVE = 1.004  # of the price at the start: where the rule's limit lies
PAUSE_S = 12.0  # between trips, which read the account whole, for the venue's budget of requests
LOOK_S = 1.0  # the venue's own work, which shares the processor, is kept apart from the trips
WAIT_S = 20.0
SCOPE = Subject("venue:hyperliquid")
RULE = """\
- id: tick
  for_each: market
  only: {{market: [BTC]}}
  summary: BTC is high
  when: mark_price >= {limit}
  until: mark_price < {limit}
  severity: high
  do: {{level: block_new}}
  scope: venue
"""


@dataclass
class Tap:
    """Passes bytes between riskd and the venue; notes when requests to act pass, and answers."""

    host: str
    port: int
    asked_ns: list[int] = field(default_factory=list)
    answered_ns: list[int] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both ways."""
        inner, outer = await asyncio.open_connection(self.host, self.port)
        acting = False

        async def there() -> None:
            nonlocal acting
            while data := await reader.read(65_536):
                if data.startswith(b"POST /"):
                    acting = data.startswith(b"POST /exchange")
                    if acting:
                        self.asked_ns.append(time.perf_counter_ns())
                outer.write(data)
            outer.close()

        async def back() -> None:
            while data := await inner.read(65_536):
                writer.write(data)
                if acting:
                    self.answered_ns.append(time.perf_counter_ns())
            writer.close()

        async with asyncio.TaskGroup() as both:
            both.create_task(there())
            both.create_task(back())


@dataclass
class Run:
    """One desk, and what was measured on it."""

    daemon: Daemon
    world: World
    tap: Tap
    limit: float
    decided_ns: int = 0
    decision_ms: list[float] = field(default_factory=list)
    first_byte_ms: list[float] = field(default_factory=list)
    acknowledged_ms: list[float] = field(default_factory=list)

    def heard(self, decision: Decision) -> None:
        """The decision that a trip follows from."""
        if decision.kill_requests and not self.decided_ns:
            self.decided_ns = time.perf_counter_ns()

    async def trip(self) -> None:
        """One tick, its trip, the venue's acknowledgements, and the way back."""
        resting = {
            self.world.place_order(
                "hyperliquid", HYPERLIQUID_MASTER, "", "ETH", "buy", Decimal("0.5"),
                Decimal(2000 - number),
            ).order_id
            for number in range(ORDERS)
        }  # fmt: skip
        pool = self.world.pool("hyperliquid", HYPERLIQUID_MASTER, "")
        self.tap.asked_ns.clear()
        self.tap.answered_ns.clear()
        self.decided_ns = 0
        began_ns = time.perf_counter_ns()
        self.daemon.writer.submit((self._tick(self.limit * 1.001),))
        await _until(lambda: not resting & set(pool.orders) and bool(self.tap.answered_ns))
        last_ns = self.tap.answered_ns[-1]
        await _until(lambda: self.daemon.kill.machine.stage(SCOPE) is Stage.CONTAINED)
        self.decision_ms.append((self.decided_ns - began_ns) / 1e6)
        self.first_byte_ms.append((self.tap.asked_ns[0] - began_ns) / 1e6)
        self.acknowledged_ms.append((last_ns - self.decided_ns) / 1e6)
        self.daemon.writer.submit((self._tick(self.limit * 0.999),))
        await asyncio.sleep(0.02)
        await self._back()

    def _tick(self, price: float) -> MarketContextSeen:
        return MarketContextSeen(
            venue="hyperliquid",
            channel="hyperliquid/activeAssetCtx/BTC",
            market="BTC",
            mark_price=price,
        )

    async def _back(self) -> None:
        async def ask(verb: Verb, **fields: str) -> str:
            request = OperatorRequest(id=f"bench-{time.perf_counter_ns()}", verb=verb, **fields)  # type: ignore[arg-type]
            return (await self.daemon.kill.run(request, principal="bench", channel="cli")).text

        offer = await ask(Verb.REARM, scope=str(SCOPE))
        nonce = offer.split("--confirm ")[1].split()[0]
        await ask(Verb.CONFIRM, nonce=nonce, reason="the next one")


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - it is many things that may come true
            await asyncio.sleep(0.0005)


async def bare(tap_url: str, count: int) -> list[float]:
    """Round trips of a request that costs the venue next to nothing."""
    body = json.dumps({"type": "exchangeStatus"}).encode()
    headers = {"Content-Type": "application/json"}
    taken = []
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            began_ns = time.perf_counter_ns()
            async with session.post(f"{tap_url}/info", data=body, headers=headers) as answer:
                await answer.read()
            taken.append((time.perf_counter_ns() - began_ns) / 1e6)
    return taken[count // 10 :]  # without the connection's first ones


def _config(simulation: Simulation, tap_url: str) -> Config:
    urls, addresses = simulation.urls["hyperliquid"], simulation.addresses["hyperliquid"]
    return parse_config(
        json.dumps(
            {
                "desk": "bench",
                "mode": "rehearse",
                "data_dir": "data",
                "venues": {
                    "hyperliquid": {
                        "rest_url": tap_url,
                        "ws_url": urls["ws"],
                        "accounts": [{"alias": "main", "address": addresses["main"]}],
                        "watch_subaccounts": False,
                        "baselines": False,
                    }
                },
                "rules": {"builtin": True, "files": ["rules.yaml"]},
                "server": {"port": 0},
                "kill": {"unseen": "nothing", "rules": [{"rule": "tick", "mode": "act"}]},
                "actions": {
                    "hyperliquid": {
                        "accounts": [{"alias": "main"}],
                        "signer": {"key": {"file": "key"}, "notional_usd_per_hour": 1_000_000},
                    }
                },
            }
        ),
        source="bench",
    )


async def _signer(config: Config, folder: Path, clock: SystemClock) -> SignerServer:
    settings, venue = config.actions.hyperliquid, config.venues.hyperliquid
    if settings is None or venue is None:
        raise RuntimeError("the benchmark's own configuration has no hands")
    data = folder / "data"
    data.mkdir(mode=0o700)
    signer = Signer(
        settings.signer.key.read(os.environ, base=folder),
        acting_accounts(settings, venue),
        settings.signer,
        mainnet=False,
        state=SignerState(data / STATE_NAME),
        clock=clock,
    )
    server = SignerServer(signer, data / SOCKET_NAME)
    await server.start()
    return server


async def measured(trips: int) -> dict[str, float]:
    """p50 and p99 of everything, in milliseconds; a decision includes the latch it leads to."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="riskd-")))
        clock = SystemClock()
        world = World(1, time.time())
        simulation = await stack.enter_async_context(Simulation(world, clock, period_s=LOOK_S))
        place = urlsplit(simulation.urls["hyperliquid"]["rest"])
        tap = Tap(place.hostname or "", place.port or 0)
        server = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
        stack.callback(server.close)
        tap_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        limit = float(world.market("hyperliquid", "BTC").mark_price) * ABOVE
        (folder / "rules.yaml").write_text(RULE.format(limit=f"{limit:.1f}"), encoding="utf-8")
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(HYPERLIQUID_SIGNER_KEY, encoding="ascii")
        config = _config(simulation, tap_url)
        signer = await _signer(config, folder, clock)
        stack.push_async_callback(signer.close)
        daemon = Daemon(config, clock, base=folder, simulated=True)
        await daemon.start()
        stack.push_async_callback(daemon.close)
        run = Run(daemon, world, tap, limit)
        daemon.listen(run.heard)
        running = asyncio.create_task(daemon.run())
        await asyncio.sleep(4.0)  # the hands have their lists by then
        looked = asyncio.Event()
        world.subscribe(lambda _events: looked.set())
        spans = []
        for _ in range(trips):
            await asyncio.sleep(PAUSE_S)
            looked.clear()
            await looked.wait()
            await asyncio.sleep(0.15)  # what the venue pushed is read
            spans += await bare(tap_url, 10)
            await run.trip()
        daemon.stop()
        await running
    figures = {"trips": float(trips), "orders": float(ORDERS)}
    for name, values in (
        ("bare", spans),
        ("decision", run.decision_ms),
        ("first_byte", run.first_byte_ms),
        ("acknowledged", run.acknowledged_ms),
    ):
        figures[f"{name}_p50_ms"] = statistics.median(values)
        figures[f"{name}_p99_ms"] = sorted(values)[math.ceil(0.99 * len(values)) - 1]
    return figures


def main() -> None:
    """The figures of one run, as JSON on standard output."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(asyncio.run(measured(int(sys.argv[1])))))


if __name__ == "__main__":
    main()
