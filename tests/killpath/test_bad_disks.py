"""A store that cannot keep what the kill switch does: it acts all the same, pages and says so."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from monitor.core.kill_file import KILL_FILE_NAME
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Stage
from monitor.store.database import DATABASE_NAME
from monitor.store.second_copy import COPY_NAME
from tests.killpath.rig import HL_SCOPE, PORTFOLIO, Desk, Rig, run

Trouble = Callable[[Rig], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def full(rig: Rig) -> AsyncIterator[None]:
    """The kernel lets no file of this process grow beyond what the largest one is."""
    size = max(path.stat().st_size for path in rig.data.iterdir() if path.is_file())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@asynccontextmanager
async def read_only(rig: Rig) -> AsyncIterator[None]:
    """The file may not be written."""
    await _pragma(rig, "query_only = 1")
    try:
        yield
    finally:
        await _pragma(rig, "query_only = 0")


@asynccontextmanager
async def locked(rig: Rig) -> AsyncIterator[None]:
    """Somebody's shell holds the file."""
    other = sqlite3.connect(rig.data / DATABASE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # The store's thread waits for the lock, and time goes on; nobody else may be late for it.
    rig.clock.hung = frozenset(
        one.ident for one in threading.enumerate() if one.name == "store" and one.ident is not None
    )
    assert len(rig.clock.hung) == 1
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
        rig.clock.hung = frozenset()


async def _pragma(rig: Rig, text: str) -> None:
    await rig.daemon.store._thread.call(
        lambda connection: connection.execute(f"PRAGMA {text}").fetchall(),
        what=text,
        deadline_s=10.0,
        write=False,
    )


def _goes_on(rig: Rig, alert: str) -> bool:
    """Whether a page of this kind is not over: the record's, or that of what lies beside it."""
    return any({one.key: one.firing for one in rig.told if one.alert == alert}.values())


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(full, id="full"),
        pytest.param(read_only, id="read-only"),
        pytest.param(locked, id="locked"),
    ],
)
def test_the_trip_acts_pages_and_says_so(trouble: Trouble) -> None:
    """Cancels and cuts leave, people hear that there is no record, a re-arm waits; and when the
    disk is well again the record has everything."""

    async def story(rig: Rig) -> None:
        async with trouble(rig):
            assert (await rig.pull()).done
            await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=60.0)
            assert rig.gross_usd() < 0.72 * 673_674
            await rig.until(lambda: rig.pages("KillStoreFailing"), within_s=10.0)
            assert rig.pages("KillSwitchTripped"), "the trip itself is paged beside"
            assert rig.trading()["scopes"][0]["state"] == "REDUCE_ONLY"
            refused = await rig.rearm()
            assert not refused.done, "what loosens waits for the store"
            assert rig.latches
        await rig.until(lambda: not _goes_on(rig, "KillStoreFailing"), within_s=60.0)
        assert {"tripped", "cancel", "plan", "order_ended", "contained"} <= set(rig.actions())
        assert not rig.verified().findings
        assert not rig.traded_twice()
        await rig.passes(130.0)  # the first offer runs out
        assert (await rig.rearm()).done

    run(story)


def _damage(path: Path) -> None:
    path.write_bytes(b"\xff" * max(8192, path.stat().st_size))


def test_a_file_damaged_under_a_running_daemon() -> None:
    """The trip acts and pages; the next process has the latch from the second copy, and says so."""

    async def story(rig: Rig) -> None:
        await rig.daemon.store._thread.call(
            lambda one: one.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall(),
            what="empty the log",
            deadline_s=10.0,
            write=False,
        )
        _damage(rig.data / DATABASE_NAME)
        await rig.daemon.store._thread.call(
            lambda one: one.execute("PRAGMA shrink_memory").fetchall(),
            what="forget pages",
            deadline_s=10.0,
            write=False,
        )
        await rig.pull()
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=60.0)
        await rig.until(lambda: rig.pages("KillStoreFailing"), within_s=10.0)
        await rig.kill_process()
        await rig.start()
        assert HL_SCOPE in rig.latches, "the second copy has it"

    run(story)


@pytest.mark.parametrize(
    ("kept", "reduced"),
    [
        pytest.param((), True, id="store and copy are of before the trip"),
        pytest.param((COPY_NAME,), False, id="the copy has it"),
    ],
)
def test_an_older_store_in_the_place_of_a_newer_one_starts_reduce_only(
    kept: tuple[str, ...], reduced: bool
) -> None:
    """A backup of before the trip knows of no latch; the audit's anchor knows that there was more,
    and nobody knows what, unless the second copy does."""

    async def story(rig: Rig) -> None:
        await rig.stop()
        backup = rig.folder / "backup"
        backup.mkdir()
        names = {DATABASE_NAME, COPY_NAME}
        for name in names:
            shutil.copy(rig.data / name, backup / name)
        await rig.start()
        await rig.pull("halt")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=60.0)
        await rig.stop()
        for path in rig.data.glob(f"{DATABASE_NAME}*"):
            path.unlink()
        for name in names.difference(kept):
            shutil.copy(backup / name, rig.data / name)
        told = len(rig.told)
        await rig.start()
        assert (PORTFOLIO in rig.latches) is reduced
        assert (HL_SCOPE in rig.latches) is not reduced
        assert rig.trading()["state"] == ("REDUCE_ONLY" if reduced else "ACTIVE")
        await rig.until(
            lambda: any(one.alert == "KillStoreFailing" for one in rig.told[told:]), within_s=10.0
        )
        if reduced:
            assert "Run `riskd audit verify`" in rig.latches[PORTFOLIO].causes[0].reason

    run(story)


def test_a_store_that_cannot_be_read_starts_reduce_only_and_pages() -> None:
    """Nobody knows what was latched: nothing but exits until a person looked."""

    async def story(rig: Rig) -> None:
        await rig.stop()
        for path in rig.data.glob(f"{DATABASE_NAME}*"):
            path.unlink() if path.name != DATABASE_NAME else _damage(path)
        (rig.data / COPY_NAME).unlink(missing_ok=True)
        told = len(rig.told)
        await rig.start()
        assert rig.latches[PORTFOLIO].level is Level.REDUCE_ONLY
        assert rig.trading()["state"] == "REDUCE_ONLY"
        await rig.until(
            lambda: any(one.severity == "critical" for one in rig.told[told:]), within_s=10.0
        )
        await rig.pull()
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=60.0)

    run(story)


def test_one_that_observes_latches_nothing_and_pages_until_what_it_saw_is_gone() -> None:
    """A damaged copy would be REDUCE_ONLY if it were armed, and a KILL file a HALT. Both are told,
    and the next process tells their end."""

    async def story(rig: Rig) -> None:
        await rig.stop()
        _damage(rig.data / COPY_NAME)
        kill_file = rig.data / KILL_FILE_NAME
        kill_file.touch()
        os.utime(kill_file, (0, 0))
        await rig.start()
        assert not rig.latches
        assert rig.trading()["state"] == "ACTIVE"
        for alert in ("KillStoreFailing", "KillSwitchWouldHave"):
            await rig.until(lambda alert=alert: rig.pages(alert), within_s=10.0)
        assert "is damaged" in rig.pages("KillStoreFailing")[0].summary
        await rig.stop()
        kill_file.unlink()
        await rig.start()
        for alert in ("KillStoreFailing", "KillSwitchWouldHave"):
            await rig.until(lambda alert=alert: not _goes_on(rig, alert), within_s=10.0)

    run(story, Desk(mode="observe", signer=False))


def test_a_page_about_the_record_ends_though_another_process_told_it() -> None:
    """Who is killed while its disk is ill says nothing more of it; the next one does."""

    async def story(rig: Rig) -> None:
        async with read_only(rig):
            await rig.pull()
            await rig.until(lambda: rig.pages("KillStoreFailing"), within_s=60.0)
            await rig.kill_process()
            await rig.start()
        await rig.until(lambda: not _goes_on(rig, "KillStoreFailing"), within_s=20.0)

    run(story)
