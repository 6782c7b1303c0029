"""``kill -9`` at every persisted step, enumerated: no lost latch, no double order, same key."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli.children import die_with_parent
from tests.faults.kill9 import ALWAYS as ALWAYS_FULL
from tests.faults.kill9 import VARIANTS

RIG = Path(__file__).parent / "kill9.py"
MEMORY = Path("/dev/shm")  # noqa: S108 - nothing here asks for a power cut, so memory will do

# What a life must pass whatever else it does, by the disk it has.
ALWAYS = {
    "phase.begun", "phase.written", "page left", "ReadAccount leaves", "ReadAccount done",
    "CancelOrders leaves", "one cancelled", "CancelOrders done", "PlaceOrders leaves",
    "one filled", "PlaceOrders done", "second.written", "second.renamed", "anchor.written",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: hundreds of lives that each wait for the disk."""
    made = Path(tempfile.mkdtemp(dir=MEMORY)) if MEMORY.is_dir() else tmp_path
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_every_point(folder: Path, variant: str) -> None:
    """A trip, its cut, a higher level and the way back, killed wherever something was kept, sent,
    answered or told; then a second life to the end. On a disk that is well, and on one that keeps
    nothing for a while or keeps it late, so that only the second copy is left."""
    rig = subprocess.run(
        [sys.executable, str(RIG), str(folder), variant],
        capture_output=True,
        check=False,
        preexec_fn=die_with_parent(),
    )
    assert rig.returncode == 0, rig.stderr.decode()[-4000:]
    found = json.loads(rig.stdout)
    assert found["wrong"] == {}
    names = {point.rsplit(" ", 1)[0] for point in found["points"]}
    assert names >= ALWAYS
    assert ("phase.committed" in names) == (VARIANTS[variant].refuses != ALWAYS_FULL)
    assert len(found["points"]) > 60
