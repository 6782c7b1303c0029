"""Whether a riskd that could act was ever on a data directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.core.killswitch.facts import AuditEntry
from monitor.core.killswitch.state import KillState, pack, unreadable_state
from monitor.core.ports import Phase
from monitor.core.types import PORTFOLIO
from monitor.store.database import DATABASE_NAME, Store
from monitor.store.past import may_have_acted
from monitor.store.second_copy import COPY_NAME

LATCHED = pack(unreadable_state(1, "something"))
CLEAR = pack(KillState())


async def store(data: Path, *, state: bytes = CLEAR, reason: str = "mode observe") -> None:
    """A store that one riskd was on."""
    entry = AuditEntry(
        at_ns=1,
        actor="riskd",
        action="started",
        scope=PORTFOLIO,
        level_from=0,
        level_to=0,
        reason=reason,
    )
    one = Store(data, kill_deadline_s=10.0)
    await one.persist(Phase(at_ns=1, kill_state=state, audit=(entry,)))
    one.close()


def nothing(_data: Path) -> None:
    """As it was left."""


def damaged(data: Path) -> None:
    """The file is none of SQLite's any more."""
    for path in data.glob(f"{DATABASE_NAME}*"):
        path.unlink() if path.name != DATABASE_NAME else path.write_bytes(b"\xff" * 8192)
    (data / COPY_NAME).unlink()


def damaged_copy(data: Path) -> None:
    """The second copy is damaged."""
    (data / COPY_NAME).write_bytes(b"nothing of ours")


def without_store(data: Path) -> None:
    """The file was moved aside, its copy was not."""
    for path in data.glob(f"{DATABASE_NAME}*"):
        path.unlink()


@pytest.mark.parametrize(
    ("state", "reason", "then", "acted"),
    [
        pytest.param(CLEAR, "mode observe", nothing, False, id="only watched"),
        pytest.param(CLEAR, "mode rehearse", nothing, False, id="only rehearsed"),
        pytest.param(CLEAR, "mode armed", nothing, True, id="was armed once"),
        pytest.param(LATCHED, "mode rehearse", nothing, True, id="something is latched"),
        pytest.param(CLEAR, "mode observe", damaged, True, id="nobody can read it"),
        pytest.param(CLEAR, "mode observe", damaged_copy, True, id="nor its copy"),
        pytest.param(CLEAR, "mode observe", without_store, False, id="a copy of nothing"),
        pytest.param(LATCHED, "mode armed", without_store, True, id="a copy of a latch"),
    ],
)
async def test_what_a_directory_tells(
    tmp_path: Path, state: bytes, reason: str, then: Callable[[Path], None], acted: bool
) -> None:
    """Something latched, an armed start, or what cannot be read."""
    await store(tmp_path, state=state, reason=reason)
    then(tmp_path)
    assert may_have_acted(tmp_path, tmp_path) is acted


def test_a_directory_that_is_not_there_tells_nothing(tmp_path: Path) -> None:
    """And is not made."""
    assert not may_have_acted(tmp_path / "data", tmp_path / "copy")
    assert not list(tmp_path.iterdir())
