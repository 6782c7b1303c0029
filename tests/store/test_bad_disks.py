"""Disks that are full, damaged under the running daemon, or write in the wrong order."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.core.errors import StoreError
from monitor.core.ports import Phase
from monitor.store.database import Store
from monitor.store.second_copy import KillCopy, Second, SecondDirectory, read_copy
from tests.store.rows import phase
from tests.store.test_kill import actions, audit, copied, kill, more_restrictive, opened


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def big(word: bytes) -> bytes:
    """A state that is longer than the disk has room for."""
    return word + b" " + b"x" * 500_000


async def test_a_real_full_disk(tmp_path: Path) -> None:
    """Both places say so, both keep what they had, nothing ends, and both take it up again."""
    second = tmp_path / "second"
    store = opened(tmp_path / "data", second=second)
    await store.persist(kill(b"1 before"))
    await copied(store)
    with no_file_longer_than(300_000):
        with pytest.raises(StoreError, match=r"could not keep a phase: .*(full|I/O)"):
            await store.persist(
                Phase(at_ns=2, kill_state=big(b"3"), audit=(audit("latched", at_ns=2),))
            )
        with pytest.raises(StoreError, match="second copy could not be written"):
            await store.second_copy.write(big(b"3"), 2)
        assert store.second_problem
        copy = read_copy(second)
        assert copy is not None
        assert copy.state == b"1 before"
        await store.persist(phase())  # what still fits is kept
    await store.second_copy.write(big(b"3"), 2)
    assert store.second_problem == ""
    await store.persist(kill(b"3 after", at_ns=3))
    assert actions(store) == ["1 before", "latched", "3 after"]
    assert store.close()
    again = opened(tmp_path / "data", second=second)
    assert again.restore_kill_state(more_restrictive).state == b"3 after"
    again.close()


async def test_a_file_damaged_under_the_running_daemon(tmp_path: Path) -> None:
    """It is a ``StoreError`` like any other, and the copy has the latch."""
    second = tmp_path / "second"
    store = opened(tmp_path / "data", second=second)
    await store.persist(kill(b"1 before"))
    await store._thread.call(
        lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall(),
        what="empty the log",
        deadline_s=10,
        write=False,
    )
    length = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (length - 4096))
    await store._thread.call(
        lambda connection: connection.execute("PRAGMA shrink_memory").fetchall(),
        what="forget pages",
        deadline_s=10,
        write=False,
    )
    with pytest.raises(StoreError, match=r"could not keep a phase: .*malformed"):
        await store.persist(kill(b"3 latched", at_ns=2))
    await store.second_copy.write(b"3 latched", 2)
    store.close()
    copy = read_copy(second)
    assert copy is not None
    assert copy.state == b"3 latched"


def test_an_older_copy_replaces_no_newer_one(tmp_path: Path) -> None:
    """One that waited behind a slow disk comes too late."""
    files = SecondDirectory(tmp_path, checkpoint=lambda _: None)
    for sequence, state in ((2, b"new"), (1, b"old")):
        files.write_copy(KillCopy(lineage="a", sequence=sequence, at_ns=1, state=state))
    copy = read_copy(tmp_path)
    assert copy is not None
    assert copy.state == b"new"


async def test_an_older_copy_hides_no_newer_one_that_failed(tmp_path: Path) -> None:
    """It waited behind the newer one and is written after it; the newer one is still nowhere."""
    second = Second(tmp_path, checkpoint=lambda _: None)
    second.copy_deadline_s = 10.0
    gate = threading.Event()
    second._thread.submit(lambda _: gate.wait(30), what="hang")
    small, large = (
        KillCopy(lineage="a", sequence=number, at_ns=number, state=state)
        for number, state in ((1, b"1 before"), (2, big(b"3")))
    )
    second.mirror(small)
    with no_file_longer_than(300_000):
        keeping = asyncio.ensure_future(second.keep(large))
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(StoreError, match="second copy could not be written"):
            await keeping
        second._thread.submit(lambda _: None, what="come to rest").result(10)
    assert read_copy(tmp_path) == small
    assert "could not be written" in second.problem
    await second.keep(large)
    assert read_copy(tmp_path) == large
    assert second.problem == ""
    second.close()


async def test_a_second_directory_that_comes_back(tmp_path: Path) -> None:
    """A disk that was not mounted at the start is used once it is, without a restart."""
    place = tmp_path / "mount"
    place.write_text("not mounted")
    store = opened(tmp_path / "data", second=place / "second")
    assert "not a directory" in store.second_problem
    place.unlink()
    await store.persist(kill(b"1"))
    store.close()
    assert store.second_problem == ""
    assert read_copy(place / "second") is not None


async def test_the_state_is_kept_where_its_pages_are(tmp_path: Path) -> None:
    """A phase whose page cannot be written keeps no latch either: all or nothing."""
    store = opened(tmp_path)
    bad = Phase(at_ns=1, kill_state=b"3", audit=(audit(),), memories=(("x", "text"),))  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        await store.persist(bad)
    assert actions(store) == []
    store.close()
    assert opened_state(tmp_path) is None


def opened_state(directory: Path) -> bytes | None:
    """What the store's file alone says."""
    (directory / "kill-state.copy").unlink(missing_ok=True)
    store = Store(directory)
    state = store.restore_kill_state(more_restrictive).state
    store.close()
    return state
