"""One scenario of the simulated world on a whole daemon, in one process and in no time.

The real wire protocols over loopback sockets, the real decoders, engine, store and outbox, and a
signed webhook as the person who is paged.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog
from aiohttp import web

from monitor.app.lifecycle import Daemon
from monitor.config import parse_config
from monitor.core.types import SECOND_NS
from monitor.sim.scenario import Scenario, load_scenario, parse_scenario, play
from monitor.sim.simulation import Simulation
from monitor.sim.world import World
from tests.pages.jumping import JumpingClock

START_S = 1_790_000_000.0
PERIOD_S = 2.0  # the world is looked at this often
SECRET = "RISKD_TEST_PAGES_SECRET"  # noqa: S105 - the name of a variable
Json = dict[str, Any]
# What the simulated desk holds long on one venue and short on the other. Not ETH: its orders rest
# there on one side only, and whatever moves the price opens that hedge, which is another story.
HEDGES = ", ".join(
    f"{{name: {asset.lower()}, legs: [hyperliquid/main/{asset}, dydx/main/{asset}-USD]}}"
    for asset in ("BTC", "SOL", "LINK", "FARTCOIN", "DOGE")
)


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing a person was told, at a second of the scenario."""

    at_s: float
    firing: bool
    alert: str
    severity: str
    labels: dict[str, str]
    summary: str
    description: str

    def __str__(self) -> str:
        kind = "FIRING  " if self.firing else "resolved"
        return f"{self.at_s / 60:6.2f} min {kind} {self.severity:<8} {self.alert}: {self.summary}"


@dataclass
class Played:
    """What is kept of a scenario."""

    told: list[Notification] = field(default_factory=list)
    states: dict[float, Json] = field(default_factory=dict)
    alerts: dict[float, list[Json]] = field(default_factory=dict)
    metrics: dict[float, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    @property
    def pages(self) -> list[Notification]:
        """Notifications that something began: what wakes a person."""
        return [one for one in self.told if one.firing]

    def __str__(self) -> str:
        return "\n".join(map(str, self.told)) or "(nobody was told anything)"


def run_scenario(
    folder: Path,
    scenario: str,
    *,
    minutes: float,
    look_at: Sequence[float] = (),
    seed: int = 7,
    baselines: bool = False,
) -> Played:
    """Play the first ``minutes`` of a shipped scenario (or of one written as YAML text); keep what
    was told, and what the API says at each minute of ``look_at``. ``baselines``: read the venues'
    history too, so that stress and volatility are judged."""
    shipped = load_scenario if "\n" not in scenario else _from_text
    found = shipped(scenario)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    start_s = found.start_near(START_S)
    clock = JumpingClock(round(start_s * SECOND_NS))
    with asyncio.Runner(debug=False, loop_factory=clock.loop) as runner:
        return runner.run(_play(folder, found, clock, minutes, look_at, seed, baselines))


def _from_text(text: str) -> Scenario:
    return parse_scenario(text, "test.yaml")


async def _play(
    folder: Path,
    scenario: Scenario,
    clock: JumpingClock,
    minutes: float,
    look_at: Sequence[float],
    seed: int,
    baselines: bool,
) -> Played:
    played = Played()
    began_ns = clock.now()
    os.environ[SECRET] = "whsec_" + base64.b64encode(bytes(range(32))).decode()

    def at_s() -> float:
        return (clock.now() - began_ns) / SECOND_NS

    async with AsyncExitStack() as stack:
        url = await _pager(stack, played, at_s)
        world = World(seed, began_ns / SECOND_NS)
        simulation = await stack.enter_async_context(Simulation(world, clock, period_s=PERIOD_S))
        config = parse_config(_config(simulation, url, baselines=baselines), source="test")
        daemon = Daemon(
            config,
            clock,
            base=folder,
            to_wall_ns=clock.to_wall_ns,
            simulated=True,
            jitter=random.Random(seed),  # noqa: S311 - a socket that is back late pages by itself
        )
        await daemon.start()
        stack.push_async_callback(daemon.close)
        daemon.listen(
            lambda decision: played.changes.extend(
                f"{at_s() / 60:6.2f} {one.before} -> {one.after} {one.severity} {one.summary}"
                for one in decision.transitions
            )
        )
        play(world, scenario)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(daemon.run(), name="daemon")
            for minute in (*sorted(look_at), minutes):
                await clock.sleep(minute * 60.0 - at_s())
                played.states[minute] = daemon.source.document()
                played.alerts[minute] = orjson.loads(orjson.dumps(daemon.source.alerts()))
                _, chunks = daemon.source.metrics(openmetrics=False)
                played.metrics[minute] = b"".join(chunks).decode()
            daemon.stop()
            await running
    return played


async def _pager(stack: AsyncExitStack, played: Played, at_s: Callable[[], float]) -> str:
    async def told(request: web.Request) -> web.Response:
        document = orjson.loads(await request.read())
        labels, texts = document["data"]["labels"], document["data"]["annotations"]
        if labels["alertname"] != "RiskdWatchdog":
            played.told.append(
                Notification(
                    at_s=at_s(),
                    firing=document["type"] == "alert.firing",
                    alert=labels["alertname"],
                    severity=labels["severity"],
                    labels=labels,
                    summary=texts["summary"],
                    description=texts.get("description", ""),
                )
            )
        return web.Response()

    app = web.Application()
    app.router.add_post("/", told)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/"


def _config(simulation: Simulation, pager: str, *, baselines: bool) -> str:
    urls, addresses = simulation.urls, simulation.addresses
    hyperliquid, dydx = urls["hyperliquid"], urls["dydx"]
    return f"""\
desk: test
data_dir: data
venues:
  hyperliquid:
    baselines: {str(baselines).lower()}
    rest_url: {hyperliquid["rest"]}
    ws_url: {hyperliquid["ws"]}
    accounts: [{{alias: main, address: "{addresses["hyperliquid"]["main"]}"}}]
  dydx:
    baselines: {str(baselines).lower()}
    rest_url: {dydx["rest"]}
    ws_url: {dydx["ws"]}
    validator_urls: ["{dydx["rpc"]}"]
    accounts: [{{alias: main, address: "{addresses["dydx"]["main"]}"}}]
notify:
  webhooks: [{{name: pager, url: "{pager}", allow_loopback: true, secret: {{env: {SECRET}}}}}]
server: {{port: 0}}
journal: {{enabled: false}}
kill: {{hedge_sets: [{HEDGES}]}}
structure:
  buckets:
    - {{name: here, target: 0.5, accounts: [hyperliquid/main], review_days: 1}}
    - {{name: there, target: 0.5, accounts: [dydx/main], review_days: 1}}
"""
