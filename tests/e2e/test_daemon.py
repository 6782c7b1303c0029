"""A daemon in ordinary time over the simulated venues: what it says of itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from monitor.app.lifecycle import Daemon
from monitor.app.stores import config_hash
from monitor.config import Config, parse_config
from monitor.runtime.clock import SystemClock
from monitor.sim.simulation import Simulation
from tests.cli.simulated import simulated_venues

pytestmark = [pytest.mark.component, pytest.mark.asyncio(loop_scope="module")]
READY_S = 60.0  # two cores may be shared with other work


def configured(simulation: Simulation, *, desk: str = "self") -> Config:
    """A desk with one account of one venue."""
    urls, addresses = simulation.urls["hyperliquid"], simulation.addresses["hyperliquid"]
    return parse_config(
        f"desk: {desk}\ndata_dir: data\nserver: {{port: 0}}\n"
        f"venues: {{hyperliquid: {{baselines: false, "
        f"rest_url: '{urls['rest']}', ws_url: '{urls['ws']}', "
        f"accounts: [{{alias: main, address: '{addresses['main']}'}}]}}}}\n",
        source="test",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    """A running one, in the system's own time."""
    with simulated_venues() as simulation:
        made = Daemon(configured(simulation), SystemClock(), base=tmp_path_factory.mktemp("daemon"))
        await made.start()
        running = asyncio.create_task(made.run(), name="daemon")
        try:
            yield made
        finally:
            made.stop()
            await running
            await made.close()


async def get(daemon: Daemon, path: str) -> tuple[int, str]:
    """Status and body."""
    async with aiohttp.ClientSession() as session, session.get(daemon.url + path) as answer:
        return answer.status, await answer.text()


async def test_it_lives_and_becomes_ready(daemon: Daemon) -> None:
    """Liveness answers from the start; readiness once every account was seen."""
    assert (await get(daemon, "/livez"))[0] == 200
    async with asyncio.timeout(READY_S):
        while True:
            if (await get(daemon, "/readyz"))[0] == 200:
                break
            await asyncio.sleep(0.1)  # the venues answer when they do
    assert (await get(daemon, "/livez"))[0] == 200


async def test_its_metrics_name_its_configuration_and_its_clock(daemon: Daemon) -> None:
    """The hash of what is in force, and how far the wall clock was stepped: not at all."""
    _, text = await get(daemon, "/metrics")
    assert f'riskd_config_info{{hash="{config_hash(daemon.config)}"}} 1.0' in text
    offset = re.search(r"^riskd_wall_clock_offset_seconds (\S+)$", text, re.MULTILINE)
    assert offset is not None
    assert abs(float(offset[1])) < 0.5


async def test_any_setting_changes_the_hash(daemon: Daemon) -> None:
    """The same text gives the same hash in every process; another desk another."""
    same = daemon.config.model_copy(deep=True)
    other = daemon.config.model_copy(update={"desk": "another"})
    assert config_hash(same) == config_hash(daemon.config) != config_hash(other)
