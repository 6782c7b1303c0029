"""The store: all or nothing, the same after a restart, and clear words when it cannot open."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from monitor.cli.children import die_with_parent
from monitor.core.errors import ConfigError, StoreError
from monitor.core.ports import AlertRow, DeliveryMark, DeliveryState, Phase
from monitor.store.database import Store
from monitor.store.schema import MIGRATIONS, migrate, schema_version
from monitor.store.thread import StoreThread
from tests.store.rows import entry, phase, rule_state
from tests.store.test_kill import audit

KILLED = Path(__file__).parent / "killed.py"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store with a deadline that a busy test machine keeps."""
    opened = Store(tmp_path, phase_deadline_s=10.0)
    yield opened
    opened.close()


def mark(
    name: str,
    channel: str,
    state: DeliveryState,
    *,
    attempts: int = 1,
    error: str = "",
) -> DeliveryMark:
    """What became of one delivery at time 5."""
    return DeliveryMark(
        entry_id=name, channel=channel, state=state, attempts=attempts, at_ns=5, error=error
    )


def killed_at(point: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    """Runs the process that kills itself there."""
    return subprocess.run(
        [sys.executable, str(KILLED), str(directory), point],
        capture_output=True,
        check=False,
        preexec_fn=die_with_parent(),
    )


async def test_a_phase_survives_closing(tmp_path: Path) -> None:
    """Everything of a phase is read back as it was given."""
    first = Store(tmp_path, phase_deadline_s=10.0)
    await first.persist(phase(at_ns=7))
    assert first.close()
    second = Store(tmp_path)
    assert await second.rule_states() == (rule_state(),)
    assert await second.alerts() == (AlertRow(identity="a1", alert=b"alert"),)
    assert await second.memories() == {"drawdown": b"peaks"}
    assert await second.last_phase_ns() == 7
    pending = await second.pending()
    assert [(row.entry.id, row.channel, row.attempts) for row in pending] == [
        ("e1", "alertmanager", 0),
        ("e1", "webhook", 0),
    ]
    assert pending[0].entry == entry(created_ns=7)
    second.close()


async def test_a_phase_replaces_and_removes(store: Store) -> None:
    """Later states replace earlier ones; what is gone is gone."""
    await store.persist(phase(at_ns=1))
    await store.persist(
        Phase(
            at_ns=2,
            rule_states=(rule_state("drawdown", state=b"new"),),
            rule_states_gone=(("leverage", "portfolio"),),
            alerts_gone=("a1",),
        )
    )
    assert await store.rule_states() == (rule_state("drawdown", state=b"new"),)
    assert await store.alerts() == ()


async def test_a_repeated_phase_owes_nothing_twice(store: Store) -> None:
    """The same entry id kept again neither doubles nor reopens a delivery."""
    await store.persist(phase())
    await store.mark((mark("e1", "webhook", DeliveryState.DELIVERED),))
    await store.persist(phase())
    assert [row.channel for row in await store.pending()] == ["alertmanager"]


async def test_a_failing_phase_leaves_nothing(store: Store) -> None:
    """A row that cannot be kept takes its whole transaction with it, and the store goes on."""
    broken = Phase(
        at_ns=1, rule_states=(rule_state(),), memories=(("name", "text"),)  # type: ignore[arg-type]
    )  # fmt: skip
    with pytest.raises(StoreError, match="could not keep a phase"):
        await store.persist(broken)
    assert await store.rule_states() == ()
    await store.persist(phase())
    assert await store.rule_states() == (rule_state(),)


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        pytest.param("phase.begun", {"first"}, id="killed before the first row"),
        pytest.param("phase.written", {"first"}, id="killed before the commit"),
        pytest.param("phase.committed", {"first", "second"}, id="killed after the commit"),
    ],
)
async def test_kill_9_keeps_whole_phases(tmp_path: Path, point: str, kept: set[str]) -> None:
    """A process killed at any point of a transaction leaves all of it or nothing of it."""
    child = killed_at(point, tmp_path)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    store = Store(tmp_path)
    assert {row.entry.id for row in await store.pending()} == kept
    assert await store.last_phase_ns() == len(kept)
    store.close()


async def test_the_last_phase_is_the_newest_row_of_any_kind(store: Store) -> None:
    """A memory that was kept later than any rule state moves the start of a restart's gap."""
    assert await store.last_phase_ns() is None
    await store.persist(Phase(at_ns=5, rule_states=(rule_state(),)))
    assert await store.last_phase_ns() == 5
    await store.persist(Phase(at_ns=9, memories=(("watching", b""),)))
    assert await store.last_phase_ns() == 9


async def test_pending_is_most_urgent_then_oldest_first(store: Store) -> None:
    """A restart sends the critical page before the older warnings."""
    await store.persist(
        Phase(
            at_ns=9,
            entries=(
                entry("old warning", urgency=4, created_ns=1, channels=("am",)),
                entry("new critical", urgency=0, created_ns=8, channels=("am",)),
                entry("old critical", urgency=0, created_ns=2, channels=("am",)),
            ),
        )
    )
    assert [row.entry.id for row in await store.pending()] == [
        "old critical",
        "new critical",
        "old warning",
    ]


@pytest.mark.parametrize(
    ("state", "still_owed"),
    [
        (DeliveryState.PENDING, True),
        (DeliveryState.DELIVERED, False),
        (DeliveryState.REJECTED, False),
        (DeliveryState.SUPERSEDED, False),
        (DeliveryState.DIGESTED, False),
    ],
)
async def test_marks_settle_deliveries(
    store: Store, state: DeliveryState, still_owed: bool
) -> None:
    """Only a pending mark leaves a delivery owed, and it keeps the attempts."""
    await store.persist(phase())
    await store.mark((mark("e1", "webhook", state, attempts=3, error="server: 503"),))
    owed = {row.channel: row.attempts for row in await store.pending()}
    assert owed == ({"alertmanager": 0, "webhook": 3} if still_owed else {"alertmanager": 0})


async def test_a_further_channel_is_owed_once(store: Store) -> None:
    """Escalation adds a channel; escalating again does not reopen what it delivered."""
    await store.persist(phase())
    await store.mark((), owed=(("e1", "backup"), ("never kept", "backup")))
    assert {row.channel for row in await store.pending()} == {"alertmanager", "backup", "webhook"}
    await store.mark((mark("e1", "backup", DeliveryState.DELIVERED),))
    await store.mark((), owed=(("e1", "backup"),))
    pending = await store.pending()
    assert {row.channel for row in pending} == {"alertmanager", "webhook"}
    assert pending[0].entry.channels == ("alertmanager", "backup", "webhook")


async def test_a_digest_is_kept_with_the_marks_it_replaces(store: Store) -> None:
    """Digested pages and their digest change in one transaction."""
    await store.persist(phase())
    await store.mark(
        (mark("e1", "webhook", DeliveryState.DIGESTED),),
        entries=(entry("digest", channels=("webhook",)),),
    )
    owed = [(row.entry.id, row.channel) for row in await store.pending()]
    assert owed == [("digest", "webhook"), ("e1", "alertmanager")]


async def test_prune_forgets_settled_entries_only(store: Store) -> None:
    """What is still owed is kept however old it is."""
    await store.persist(phase("settled", at_ns=1))
    await store.persist(phase("owed", at_ns=1))
    await store.persist(phase("young", at_ns=100))
    for channel in ("alertmanager", "webhook"):
        for name in ("settled", "young"):
            await store.mark((mark(name, channel, DeliveryState.DELIVERED),))
    assert await store.prune(before_ns=50) == 1
    assert {row.entry.id for row in await store.pending()} == {"owed"}
    assert await store.prune(before_ns=101) == 1


async def test_first_contact_with_a_venue_is_kept(store: Store) -> None:
    """Later contacts do not move the first."""
    assert await store.known_venues() == {}
    await store.remember_venue("dydx", 5)
    await store.remember_venue("dydx", 9)
    assert await store.known_venues() == {"dydx": 5}


async def test_values_by_name(store: Store) -> None:
    """A value is replaced by name; a name never kept has none."""
    assert await store.value("lease") is None
    await store.put_value("lease", b"1")
    await store.put_value("lease", b"2")
    assert await store.value("lease") == b"2"
    assert await store.writable()


# ---------------------------------------------------------------------------------- opening


def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    """Two daemons on one directory would page twice; the second is told who holds it."""
    first = Store(tmp_path)
    with pytest.raises(ConfigError, match=f"process {os.getpid()}.*Stop it first"):
        Store(tmp_path)
    first.close()
    Store(tmp_path).close()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    """A lock file left behind by kill -9 does not keep the next start out."""
    child = killed_at("phase.begun", tmp_path)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert (tmp_path / "riskd.lock").read_text().strip().isdigit()
    Store(tmp_path).close()


def make_under_a_file(path: Path) -> Path:
    """A directory that cannot be made, even by root."""
    (path / "file").write_text("x")
    return path / "file" / "data"


def make_garbage(path: Path) -> Path:
    """A database file that is none."""
    (path / "riskd.db").write_bytes(b"not a database, only text " * 400)
    return path


def make_damaged(path: Path) -> Path:
    """A good database with a page overwritten."""
    Store(path).close()
    data = bytearray((path / "riskd.db").read_bytes())
    data[4096:4196] = b"\xff" * 100
    (path / "riskd.db").write_bytes(data)
    return path


def make_newer(path: Path) -> Path:
    """A database of a later version of riskd."""
    Store(path).close()
    with sqlite3.connect(path / "riskd.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    return path


def make_foreign(path: Path) -> Path:
    """A database of another program under our name."""
    with sqlite3.connect(path / "riskd.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(make_under_a_file, "cannot be written.*set another dir", id="unwritable"),
        pytest.param(make_garbage, "is damaged.*aside.*start again", id="garbage"),
        pytest.param(make_damaged, "is damaged.*aside.*start again", id="damaged page"),
        pytest.param(make_newer, "newer riskd .schema 99; this one knows", id="newer version"),
        pytest.param(make_foreign, "database of another program", id="another program's"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(tmp_path: Path, make: object, says: str) -> None:
    """Each way of failing to open is one sentence for the operator, and frees the directory."""
    assert callable(make)
    directory = make(tmp_path)
    for _ in range(2):  # the second time proves that the lock was given back
        with pytest.raises(ConfigError, match=says):
            Store(directory)


def test_a_file_locked_by_another_program_says_so(tmp_path: Path) -> None:
    """A database browser with an open transaction is named as what to close."""
    other = sqlite3.connect(tmp_path / "riskd.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match=r"locked by another program\. Close it"):
        Store(tmp_path)
    other.execute("ROLLBACK")
    other.close()


# ------------------------------------------------------------------------------- migrations


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
async def test_every_version_comes_up_to_date(tmp_path: Path, version: int) -> None:
    """A file of any shipped version opens, with its rule states in it."""
    connection = sqlite3.connect(tmp_path / "riskd.db", isolation_level=None)
    migrate(connection, tmp_path, MIGRATIONS[:version])
    connection.execute("INSERT INTO rule_states VALUES ('leverage', 'portfolio', 'd1', x'7331', 1)")
    connection.close()
    store = Store(tmp_path)
    assert await store.rule_states() == (rule_state(),)
    store.close()


def test_a_further_step_runs_once_and_keeps_the_rows(tmp_path: Path) -> None:
    """Version 1 goes to 2 by its step alone; coming again does nothing."""
    step = ("ALTER TABLE kv ADD COLUMN note TEXT NOT NULL DEFAULT ''",)
    connection = sqlite3.connect(tmp_path / "riskd.db", isolation_level=None)
    assert migrate(connection, tmp_path, MIGRATIONS[:1]) == 0
    connection.execute("INSERT INTO kv VALUES ('a', x'01')")
    assert migrate(connection, tmp_path, (MIGRATIONS[0], step)) == 1
    assert migrate(connection, tmp_path, (MIGRATIONS[0], step)) == 2
    assert connection.execute("SELECT * FROM kv").fetchall() == [("a", b"\x01", "")]
    connection.close()


def test_a_failing_step_leaves_the_version_before(tmp_path: Path) -> None:
    """Half a migration is none."""
    step = ("CREATE TABLE half (x)", "CREATE TABLE half (x)")
    connection = sqlite3.connect(tmp_path / "riskd.db", isolation_level=None)
    migrate(connection, tmp_path, MIGRATIONS[:1])
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, tmp_path, (MIGRATIONS[0], step))
    assert schema_version(connection) == 1
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "half" not in names
    connection.close()


# -------------------------------------------------------------------------------- deadlines


async def test_a_hanging_disk_costs_a_deadline_and_the_write_is_kept_late(tmp_path: Path) -> None:
    """The caller hears of it in time; the phase is kept once the disk is back."""
    disk_back = threading.Event()

    def hang(name: str) -> None:
        if name == "phase.written":
            disk_back.wait(30)

    store = Store(tmp_path, phase_deadline_s=0.05, checkpoint=hang)
    with pytest.raises(StoreError, match=r"could not keep a phase within 52 ms"):
        await store.persist(phase())
    assert not await store.writable()
    disk_back.set()
    assert await store.rule_states() == (rule_state(),)
    store.close()


async def test_a_full_queue_refuses_at_once() -> None:
    """Work that cannot be taken on is refused, not gathered without end."""
    disk_back = threading.Event()
    started = threading.Event()

    def hang(_connection: sqlite3.Connection) -> None:
        started.set()
        disk_back.wait(30)

    thread = StoreThread(lambda: sqlite3.connect(":memory:"), queue_max=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(thread.call(hang, what="hang", deadline_s=30, write=True))
        await asyncio.to_thread(started.wait)
        group.create_task(thread.call(lambda _: None, what="wait", deadline_s=30, write=True))
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="1 earlier jobs are waiting"):
            await thread.call(lambda _: None, what="join", deadline_s=30, write=True)
        disk_back.set()
    assert thread.close()
    with pytest.raises(StoreError, match="it is closed"):
        await thread.call(lambda _: None, what="speak", deadline_s=1, write=True)


async def test_a_read_that_is_not_awaited_any_more_is_not_run() -> None:
    """A dropped read does not use the disk; a late write does its work."""
    disk_back = threading.Event()
    started = threading.Event()
    ran: list[str] = []

    def hang(_connection: sqlite3.Connection) -> None:
        started.set()
        disk_back.wait(30)

    def note(name: str, _connection: sqlite3.Connection) -> None:
        ran.append(name)

    thread = StoreThread(lambda: sqlite3.connect(":memory:"))
    async with asyncio.TaskGroup() as group:
        group.create_task(thread.call(hang, what="hang", deadline_s=30, write=True))
        await asyncio.to_thread(started.wait)
        for name, write in (("read", False), ("write", True)):
            with pytest.raises(StoreError, match=f"could not {name} within"):
                await thread.call(partial(note, name), what=name, deadline_s=0.01, write=write)
        disk_back.set()
    thread.close()
    assert ran == ["write"]


def left_behind(directory: Path) -> set[str]:
    """What is in it; nothing where it is gone."""
    return {one.name for one in directory.iterdir()} if directory.exists() else set()


def test_a_directory_made_for_nothing_is_gone(tmp_path: Path) -> None:
    """A first start that is refused leaves the disk as it was, and the next one makes it anew."""
    for _ in range(2):
        store = Store(tmp_path / "data")
        (tmp_path / "data" / "journal").mkdir()
        store.close(unused=True)
        assert not left_behind(tmp_path)


def test_a_directory_of_somebody_else_stays(tmp_path: Path) -> None:
    """What was there before is not this start's to remove, were it empty."""
    (tmp_path / "data").mkdir()
    Store(tmp_path / "data").close(unused=True)
    assert "riskd.db" in left_behind(tmp_path / "data")
    Store(tmp_path / "data").close(unused=True)
    assert "riskd.db" in left_behind(tmp_path / "data")


def test_a_kill_file_stays_with_all_that_is_beside_it(tmp_path: Path) -> None:
    """Somebody pulled the switch while riskd was about to be refused."""
    store = Store(tmp_path / "data")
    (tmp_path / "data" / "KILL").write_text("reason: test\n")
    store.close(unused=True)
    assert {"KILL", "riskd.db"} <= left_behind(tmp_path / "data")


async def test_what_is_on_record_stays(tmp_path: Path) -> None:
    """A person's word that was answered once it was kept is not forgotten."""
    store = Store(tmp_path / "data", phase_deadline_s=10.0, kill_deadline_s=10.0)
    await store.persist(Phase(at_ns=1, kill_state=b"1", audit=(audit(),)))
    store.close(unused=True)
    assert "riskd.db" in left_behind(tmp_path / "data")


def test_a_copy_elsewhere_is_not_left_alone(tmp_path: Path) -> None:
    """Its anchor would tell the next start that this store's records were taken away."""
    Store(tmp_path / "data", second_directory=tmp_path / "other").close(unused=True)
    assert "riskd.db" in left_behind(tmp_path / "data")


def test_a_store_that_was_of_use_stays(tmp_path: Path) -> None:
    """An orderly stop removes nothing."""
    Store(tmp_path / "data").close()
    assert "riskd.db" in left_behind(tmp_path / "data")
