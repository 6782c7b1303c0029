"""What one process spent of a venue's minute, for the next: kept to the end, handed over whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from monitor.app.budgets import NAME, BudgetFile, hand_over, take_along
from monitor.core.ports import RateBudget
from monitor.runtime.budget import RequestBudget
from monitor.store.directory import DataDirectory
from tests.manual_clock import ManualClock

RATE = RateBudget(capacity=100.0, reserve=20.0, window_s=60.0)


def weights(folder: Path) -> dict[str, list[float]]:
    """What a directory says was spent."""
    rows = msgspec.msgpack.decode((folder / NAME).read_bytes())
    return {name: [row[1] for row in spent] for name, spent in rows.items()}


async def test_what_was_spent_last_is_kept_at_the_end(tmp_path: Path) -> None:
    """A request that leaves in the moment before a stop is counted by the next start."""
    budget = RequestBudget(RATE, ManualClock())
    file = BudgetFile(tmp_path, {"dydx": budget})
    keeping = asyncio.create_task(file.keep())
    while not (tmp_path / NAME).exists():  # noqa: ASYNC110 - a thread of its own writes it
        await asyncio.sleep(0.001)
    await budget.acquire(7.0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert weights(tmp_path) == {"dydx": [7.0]}


def test_a_look_hands_over_what_it_spent(tmp_path: Path) -> None:
    """To a directory that is made where it is missing, for this user alone; and takes along what
    was spent before."""
    look, desk = tmp_path / "look", tmp_path / "desk"
    take_along(desk, look)  # nothing was spent
    assert not look.exists()
    look.mkdir()
    (look / NAME).write_bytes(msgspec.msgpack.encode({"dydx": [(1, 5.0)]}))
    hand_over(look, desk)
    assert weights(desk) == {"dydx": [5.0]}
    assert desk.stat().st_mode & 0o77 == 0
    take_along(desk, tmp_path / "next")
    assert weights(tmp_path / "next") == {"dydx": [5.0]}


def test_a_running_riskd_keeps_its_own(tmp_path: Path) -> None:
    """It goes on counting, and would lose what it counted."""
    look, desk = tmp_path / "look", tmp_path / "desk"
    look.mkdir()
    (look / NAME).write_bytes(msgspec.msgpack.encode({"dydx": [(1, 5.0)]}))
    running = DataDirectory(desk)
    try:
        hand_over(look, desk)
    finally:
        running.close()
    assert not (desk / NAME).exists()
    hand_over(look, desk)
    assert weights(desk) == {"dydx": [5.0]}
