"""The stories of the end-to-end tests: each is played once, all of them at the same time, as soon
as a test looks at the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.rig import Prometheus, ended
from tests.e2e.stories import Played, play

Player = Callable[[Path, Prometheus], Coroutine[Any, Any, Played]]


async def _faults(folder: Path, prometheus: Prometheus) -> Played:
    """One fault of a feed after the other; alerts end within the minutes given."""
    return await play(
        "faults",
        folder,
        prometheus,
        [
            ("dead_channel", 8),
            ("half_open", 9),
            ("rate_limited", 9),
            ("venue_outage", 12),
            ("stale_oracle", 15),
            ("garbage_frames", 15),
        ],
        look_at=[("dead_channel", 3), ("venue_outage", 3)],
    )


async def _markets(folder: Path, prometheus: Prometheus) -> Played:
    """Markets that do harm."""
    return await play(
        "markets",
        folder,
        prometheus,
        [("funding_storm", 24), ("flash_crash", 24)],
        look_at=[("funding_storm", 12)],
    )


async def _calm(folder: Path, prometheus: Prometheus) -> Played:
    """Most of an hour of nothing, then money moves once."""
    return await play(
        "calm",
        folder,
        prometheus,
        [("calm", 45), ("transfer", 12)],
        look_at=[("calm", 40)],
        vault=True,
    )


STORIES: dict[str, Player] = {"faults": _faults, "markets": _markets, "calm": _calm}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backstage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[Played]]]:
    """The stories that tests of this session look at, being played."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    needed = [name for name in STORIES if name in wanted]
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"))
    async with ended(prometheus):
        await prometheus.start()
        tasks = {
            name: asyncio.create_task(
                STORIES[name](tmp_path_factory.mktemp(name), prometheus), name=f"story:{name}"
            )
            for name in needed
        }
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def faults(backstage: dict[str, asyncio.Task[Played]]) -> Played:
    """Every fault of a feed, one after the other, played to the end."""
    return await backstage["faults"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def markets(backstage: dict[str, asyncio.Task[Played]]) -> Played:
    """A funding storm and a flash crash, played to the end."""
    return await backstage["markets"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def calm(backstage: dict[str, asyncio.Task[Played]]) -> Played:
    """Calm hours and a transfer between venues, played to the end."""
    return await backstage["calm"]
