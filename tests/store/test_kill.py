"""The kill switch's state: kept with its phase, in two places; the safer one after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from monitor.core.errors import StoreError
from monitor.core.killswitch.facts import AuditEntry
from monitor.core.ports import Phase
from monitor.store.database import KILL_DEADLINE_S, Store, open_or_unreadable
from monitor.store.directory import DirectoryInUseError
from monitor.store.kill import KillLedger, KillSource, choose
from monitor.store.second_copy import COPY_NAME, Checkpoint, KillCopy, encode_copy, read_copy
from tests.store.rows import entry, phase


def audit(action: str = "tripped", *, at_ns: int = 1) -> AuditEntry:
    """One line of the audit."""
    return AuditEntry(
        at_ns=at_ns,
        actor="rule funding_stress@abc",
        action=action,
        scope="portfolio",
        level_from=0,
        level_to=3,
        trip_id="t1",
        details=(("input.leverage", "3.2"),),
    )


def kill(state: bytes, *, at_ns: int = 1) -> Phase:
    """A phase of the kill switch with a page and an audit entry."""
    name = state.decode()
    return Phase(
        at_ns=at_ns,
        kill_state=state,
        audit=(audit(name, at_ns=at_ns),),
        entries=(entry(name, created_ns=at_ns),),
    )


def more_restrictive(newer: bytes, older: bytes) -> bytes:
    """States of the tests restrict by the number they begin with."""
    return max(newer, older, key=lambda state: int(state[:1]))


def actions(store: Store) -> list[str]:
    """What the audit tells, in order."""
    with sqlite3.connect(store.path) as connection:
        found = connection.execute("SELECT record FROM audit ORDER BY seq").fetchall()
    connection.close()
    return [msgspec.json.decode(row[0])["action"] for row in found]


def waits(store: Store) -> bool:
    """Whether something of the kill switch is not in the store."""
    return store.kill_unkept


def opened(
    directory: Path, *, second: Path | None = None, checkpoint: Checkpoint = lambda _: None
) -> Store:
    """A store with deadlines that a busy test machine keeps."""
    return patient(
        Store(
            directory,
            second_directory=second,
            phase_deadline_s=10.0,
            kill_deadline_s=10.0,
            checkpoint=checkpoint,
        )
    )


def patient(store: Store) -> Store:
    """The store, which waits longer for its second copy than a busy test machine needs."""
    store._second.copy_deadline_s = 10.0
    return store


async def copied(store: Store) -> None:
    """Wait until the second copy has what it was to mirror."""
    await store._second._thread.call(
        lambda _: None, what="come to rest", deadline_s=10, write=False
    )


class Disk:
    """A disk that can hang where a transaction is written; let go at the end in any case."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.back.set()
        self.reached = threading.Event()

    def __call__(self, name: str) -> None:
        if name == "phase.written":
            self.reached.set()
            self.back.wait(30)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk."""
    made = Disk()
    yield made
    made.back.set()


async def refuse_writes(store: Store, *, how: str) -> None:
    """Make the store's own connection fail as on a full, or read-only, disk."""
    pragma = {"full": "max_page_count = 1", "read-only": "query_only = ON"}[how]
    await store._thread.call(
        lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall(),
        what="prepare",
        deadline_s=10,
        write=False,
    )


async def allow_writes(store: Store) -> None:
    """The disk is well again."""
    await store._thread.call(
        lambda connection: connection.executescript(
            "PRAGMA max_page_count = 1000000; PRAGMA query_only = OFF"
        ),
        what="mend",
        deadline_s=10,
        write=False,
    )


# ------------------------------------------------------------------------------ one transaction


async def test_a_kill_phase_is_kept_whole(tmp_path: Path) -> None:
    """State, page and audit are there after a restart, and the copy says the same."""
    store = opened(tmp_path)
    await store.persist(kill(b"3 latched", at_ns=7))
    assert not store.kill_unkept
    assert store.close()
    again = opened(tmp_path)
    restored = again.restore_kill_state(more_restrictive)
    assert (restored.state, restored.at_ns) == (b"3 latched", 7)
    assert (restored.source, restored.problem) == (KillSource.STORE, "")
    assert next(row.entry.id for row in await again.pending()) == "3 latched"
    assert actions(again) == ["3 latched"]
    assert await again.last_phase_ns() == 7
    copy = read_copy(tmp_path)
    assert copy is not None
    assert (copy.state, copy.unkept) == (b"3 latched", None)
    again.close()


async def test_a_phase_without_a_state_keeps_the_one_before(tmp_path: Path) -> None:
    """An audit entry alone (a refused command) changes no latch."""
    store = opened(tmp_path)
    await store.persist(kill(b"3 latched"))
    await store.persist(Phase(at_ns=2, audit=(audit("refused"),)))
    store.close()
    again = opened(tmp_path)
    assert again.restore_kill_state(more_restrictive).state == b"3 latched"
    assert actions(again) == ["3 latched", "refused"]
    again.close()


async def test_a_new_store_has_no_state(tmp_path: Path) -> None:
    """Nothing was kept is a value, and no problem."""
    store = opened(tmp_path)
    restored = store.restore_kill_state(more_restrictive)
    assert (restored.state, restored.source, restored.problem) == (None, KillSource.NOTHING, "")
    assert store.audit_problem == ""
    store.close()


async def test_a_repeated_phase_is_audited_once(tmp_path: Path) -> None:
    """The driver keeps again what it could not be sure of; an entry is known by what it says."""
    store = opened(tmp_path)
    for _ in range(2):
        await store.persist(kill(b"3 latched"))
    await store.persist(Phase(at_ns=2, audit=(audit("3 latched"), audit("3 latched", at_ns=2))))
    assert actions(store) == ["3 latched", "3 latched"]
    store.close()


async def test_text_of_another_encoding_costs_nothing(tmp_path: Path) -> None:
    """A reason typed on a strange terminal is kept as far as it can be written."""
    store = opened(tmp_path)
    odd = msgspec.structs.replace(audit(), reason="caf\udce9 \x00", details=(("\ud800", "x"),))
    await store.persist(Phase(at_ns=1, kill_state=b"1", audit=(odd,)))
    assert actions(store) == ["tripped"]
    store.close()


async def test_what_sqlite_cannot_hold_is_a_store_error(tmp_path: Path) -> None:
    """A bug elsewhere costs the record, not the driver's task."""
    store = opened(tmp_path)
    with pytest.raises(StoreError, match="could not keep a phase"):
        await store.persist(Phase(at_ns=2**70, kill_state=b"1"))
    store.close()


# ---------------------------------------------------------------------------------- deadlines


async def test_a_hanging_disk_costs_a_quarter_of_a_second(tmp_path: Path, disk: Disk) -> None:
    """The caller hears in time, the second copy has all of it, the store keeps it late, once."""
    second = tmp_path / "second"
    store = opened(tmp_path / "data", second=second, checkpoint=disk)
    await store.persist(kill(b"2 first"))
    store._kill_deadline_s = KILL_DEADLINE_S
    disk.back.clear()
    before = asyncio.get_running_loop().time()
    with pytest.raises(StoreError, match=r"could not keep a phase within 250 ms"):
        await store.persist(kill(b"3 second", at_ns=2))
    assert asyncio.get_running_loop().time() - before < 2.0
    await store.second_copy.write(b"3 second", 2)
    copy = read_copy(second)
    assert copy is not None
    assert copy.state == b"3 second"
    assert copy.unkept is not None
    assert [each.action for each in copy.unkept.audit] == ["3 second"]
    assert waits(store)
    disk.back.set()
    store._kill_deadline_s = 10.0
    await store.persist(kill(b"3 third", at_ns=3))
    assert not waits(store)
    assert actions(store) == ["2 first", "3 second", "3 third"]
    store.close()


async def test_a_phase_that_waited_too_long_is_kept_without_another(
    tmp_path: Path, disk: Disk
) -> None:
    """Late by itself, once the disk is back; the caller was told that it may be."""
    store = Store(tmp_path, phase_deadline_s=30.0, kill_deadline_s=0.05, checkpoint=disk)
    disk.back.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(store.persist(phase()))
        await asyncio.to_thread(disk.reached.wait)
        with pytest.raises(StoreError, match=r"within 5\d ms"):
            await store.persist(kill(b"3 latched"))
        disk.back.set()
    assert store.close()
    assert not waits(store)
    assert actions(store) == ["3 latched"]


async def test_a_kill_phase_goes_before_pages(tmp_path: Path, disk: Disk) -> None:
    """Pages that wait for a slow disk do not make the latch wait behind them."""
    order: list[str] = []

    def watched(name: str) -> None:
        disk(name)
        order.append(name)

    store = Store(tmp_path, phase_deadline_s=30, kill_deadline_s=30, checkpoint=watched)
    disk.back.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(store.persist(phase("first")))
        await asyncio.to_thread(disk.reached.wait)
        pages = [group.create_task(store.persist(phase(f"page {i}"))) for i in range(3)]
        await asyncio.sleep(0)
        latch = group.create_task(store.persist(kill(b"3 latched")))
        await asyncio.sleep(0)
        latch.add_done_callback(lambda _: order.append("latched"))
        pages[0].add_done_callback(lambda _: order.append("paged"))
        disk.back.set()
    assert order.index("latched") < order.index("paged")
    store.close()


# --------------------------------------------------------------- disks that are full, and worse


@pytest.mark.parametrize("how", ["full", "read-only"])
async def test_a_disk_that_refuses(tmp_path: Path, how: str) -> None:
    """Said at once; the second copy has it; all of it is kept when the disk is well, in order."""
    second = tmp_path / "second"
    store = opened(tmp_path / "data", second=second)
    await store.persist(kill(b"1 before"))
    await refuse_writes(store, how=how)
    blob = b"3 latched " + b"x" * 200_000
    with pytest.raises(StoreError, match=r"could not keep a phase: .*(full|readonly)"):
        await store.persist(Phase(at_ns=2, kill_state=blob, audit=(audit("latched", at_ns=2),)))
    await store.second_copy.write(blob, 2)
    copy = read_copy(second)
    assert copy is not None
    assert copy.state == blob
    await allow_writes(store)
    await store.persist(kill(b"3 after", at_ns=3))
    assert actions(store) == ["1 before", "latched", "3 after"]
    assert store.second_problem == ""
    store.close()


async def test_a_file_locked_by_another_program(tmp_path: Path) -> None:
    """The deadline holds against a database browser, and what waited is kept when it is closed."""
    store = opened(tmp_path)
    await store.persist(kill(b"1 before"))
    store._kill_deadline_s = KILL_DEADLINE_S
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="250 ms"):
        await store.persist(kill(b"3 latched", at_ns=2))
    await store.second_copy.write(b"3 latched", 2)
    other.execute("ROLLBACK")
    other.close()
    store._kill_deadline_s = 10.0
    await store.persist(kill(b"3 again", at_ns=3))
    assert actions(store) == ["1 before", "3 latched", "3 again"]
    store.close()


async def test_both_places_refuse(tmp_path: Path) -> None:
    """Then nothing is kept anywhere, and that is said; nothing blocks."""
    (tmp_path / "file").write_text("x")
    store = opened(tmp_path / "data", second=tmp_path / "file" / "second")
    assert "cannot be read" in store.restore_kill_state(more_restrictive).problem
    await refuse_writes(store, how="read-only")
    with pytest.raises(StoreError, match="readonly"):
        await store.persist(kill(b"3 latched"))
    with pytest.raises(
        StoreError, match=r"second copy could not be written to .*: not a directory"
    ):
        await store.second_copy.write(b"3 latched", 1)
    assert "not a directory" in store.second_problem
    store.close()


async def test_an_unkept_phase_survives_kill_9(tmp_path: Path) -> None:
    """What only the copy had at the end is the state after a restart, pages and audit included."""
    second = tmp_path / "second"
    store = opened(tmp_path / "data", second=second)
    await store.persist(kill(b"1 kept"))
    await refuse_writes(store, how="read-only")
    with pytest.raises(StoreError):
        await store.persist(kill(b"3 unkept", at_ns=2))
    await store.second_copy.write(b"3 unkept", 2)
    store.close()
    again = opened(tmp_path / "data", second=second)
    restored = again.restore_kill_state(more_restrictive)
    assert (restored.state, restored.source) == (b"3 unkept", KillSource.SECOND)
    assert waits(again)
    await again.persist(Phase(at_ns=3, kill_state=restored.state))
    assert not waits(again)
    assert actions(again) == ["1 kept", "3 unkept"]
    assert "3 unkept" in {row.entry.id for row in await again.pending()}
    again.close()


# ----------------------------------------------------------------------- files that cannot be read


def garbage(path: Path) -> None:
    """No database at all."""
    path.write_bytes(b"not a database, only text " * 400)


def damaged(path: Path) -> None:
    """A page overwritten."""
    data = bytearray(path.read_bytes())
    data[4096:4196] = b"\xff" * 100
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [garbage, damaged])
async def test_an_unreadable_store_is_a_value(tmp_path: Path, spoil: object) -> None:
    """The daemon gets an empty store that keeps nothing, what the copy has, and words to page; the
    file is left as it is; and after it was moved aside the newest latch counts."""
    assert callable(spoil)
    data, second = tmp_path / "data", tmp_path / "second"
    store = opened(data, second=second)
    await store.persist(kill(b"3 latched"))
    assert store.close()
    spoil(data / "riskd.db")
    spoilt = (data / "riskd.db").read_bytes()
    store = patient(open_or_unreadable(data, second_directory=second))
    assert "is damaged" in store.unreadable
    restored = store.restore_kill_state(more_restrictive)
    assert (restored.state, restored.source) == (b"3 latched", KillSource.SECOND)
    assert restored.problem == store.unreadable
    assert await store.rule_states() == ()
    assert await store.last_phase_ns() == 1
    assert not await store.writable()
    for told in (kill(b"4 halted", at_ns=2), phase()):
        with pytest.raises(StoreError, match=r"could not keep a phase: .* is damaged"):
            await store.persist(told)
    await store.second_copy.write(b"4 halted", 2)
    store.close()
    assert (data / "riskd.db").read_bytes() == spoilt
    for name in ("riskd.db", "riskd.db-wal", "riskd.db-shm"):
        (data / name).unlink(missing_ok=True)
    (second / "audit.anchor").unlink()
    store = open_or_unreadable(data, second_directory=second, kill_deadline_s=10.0)
    assert store.unreadable == ""
    restored = store.restore_kill_state(more_restrictive)
    assert (restored.state, restored.source) == (b"4 halted", KillSource.SECOND)
    await store.persist(Phase(at_ns=3, kill_state=restored.state))
    assert actions(store) == ["4 halted"]
    store.close()


async def test_a_store_that_is_back_is_older_than_what_was_kept_without_it(tmp_path: Path) -> None:
    """A file that was locked at one start and whole at the next does not undo what came between."""
    store = opened(tmp_path)
    for number in range(1, 6):
        await store.persist(kill(b"1 normal %d" % number, at_ns=number))
    assert store.close()
    other = sqlite3.connect(tmp_path / "riskd.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN IMMEDIATE")
    store = patient(open_or_unreadable(tmp_path))
    assert "is locked by another program" in store.unreadable
    with pytest.raises(StoreError):
        await store.persist(kill(b"2 reduce only", at_ns=9))
    await store.second_copy.write(b"2 reduce only", 9)
    store.close()
    other.execute("ROLLBACK")
    other.close()
    store = open_or_unreadable(tmp_path)
    assert store.restore_kill_state(more_restrictive).state == b"2 reduce only"
    store.close()


def test_a_directory_that_cannot_be_written_is_a_value_too(tmp_path: Path) -> None:
    """Not even a lock can be taken there."""
    (tmp_path / "file").write_text("x")
    store = open_or_unreadable(tmp_path / "file" / "data", second_directory=tmp_path / "second")
    assert "cannot be written" in store.unreadable
    assert store.restore_kill_state(more_restrictive).problem == store.unreadable
    store.close()


def test_two_daemons_never_act(tmp_path: Path) -> None:
    """A directory in use is refused in any mode, even where its file cannot be read."""
    store = opened(tmp_path)
    with pytest.raises(DirectoryInUseError, match="already uses"):
        open_or_unreadable(tmp_path)
    store.close()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[:-1], id="cut off"),
        pytest.param(
            lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], id="a bit flipped"
        ),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda data: b"x" + data, id="not ours"),
    ],
)
async def test_a_damaged_copy_is_a_problem(tmp_path: Path, spoil: object) -> None:
    """The store's state is used, and a person learns that something newer may have been there."""
    assert callable(spoil)
    store = opened(tmp_path)
    await store.persist(kill(b"3 latched"))
    store.close()
    path = tmp_path / COPY_NAME
    path.write_bytes(spoil(path.read_bytes()))
    store = opened(tmp_path)
    restored = store.restore_kill_state(more_restrictive)
    assert (restored.state, restored.source) == (b"3 latched", KillSource.STORE)
    assert "is damaged. Move it aside" in restored.problem
    store.close()


async def test_a_copy_with_a_torn_successor_is_whole(tmp_path: Path) -> None:
    """A crash in mid-write leaves the file that is being written aside."""
    store = opened(tmp_path)
    await store.persist(kill(b"3 latched"))
    store.close()
    (tmp_path / "kill-state.new").write_bytes(b"torn")
    copy = read_copy(tmp_path)
    assert copy is not None
    assert copy.state == b"3 latched"


# -------------------------------------------------------------------------------- which one counts


def place(state: bytes | None, sequence: int, *, lineage: str = "a", at_ns: int = 0) -> KillCopy:
    """What one of the two holds."""
    return KillCopy(lineage=lineage, sequence=sequence, at_ns=at_ns, state=state)


@pytest.mark.parametrize(
    ("store", "copy", "state", "source"),
    [
        pytest.param(place(None, 0), None, None, KillSource.NOTHING, id="neither"),
        pytest.param(place(b"1", 1), None, b"1", KillSource.STORE, id="store alone"),
        pytest.param(place(None, 0), place(b"1", 1), b"1", KillSource.SECOND, id="copy alone"),
        pytest.param(place(b"1", 5), place(b"1", 4), b"1", KillSource.STORE, id="they agree"),
        pytest.param(
            place(b"0 re-armed", 6), place(b"3", 5), b"0 re-armed", KillSource.STORE,
            id="the store is newer: a re-arm stays one",
        ),
        pytest.param(
            place(b"1", 5), place(b"3", 6), b"3", KillSource.SECOND,
            id="the copy is newer and more restrictive",
        ),
        pytest.param(
            place(b"3", 5), place(b"0", 6), b"3", KillSource.STORE,
            id="the copy is newer and less restrictive",
        ),
        pytest.param(
            place(b"3 round 1", 5), place(b"3 round 2", 6), b"3 round 2", KillSource.SECOND,
            id="the copy is newer and as restrictive",
        ),
        pytest.param(
            place(b"0", 9, lineage="b", at_ns=5), place(b"3", 2, at_ns=4), b"3", KillSource.SECOND,
            id="another store's copy, older and more restrictive",
        ),
        pytest.param(
            place(b"3 old", 9, lineage="b", at_ns=4), place(b"3 new", 2, at_ns=5), b"3 new",
            KillSource.SECOND, id="another store's copy, newer and as restrictive",
        ),
        pytest.param(
            place(b"no number", 5), place(b"3", 6), b"3", KillSource.SECOND,
            id="one that cannot be compared: the newer",
        ),
    ],
)  # fmt: skip
def test_which_state_counts(
    store: KillCopy, copy: KillCopy | None, state: bytes | None, source: KillSource
) -> None:
    """The newer of one store; where they disagree, the more restrictive."""
    chosen = choose(store, copy, more_restrictive)
    assert (chosen.state, chosen.source) == (state, source)
    assert chosen.why


def test_a_union_is_told_as_one() -> None:
    """The comparison may give latches of both."""
    chosen = choose(place(b"1", 1), place(b"2", 2), lambda newer, older: newer + older)
    assert (chosen.state, chosen.source) == (b"21", KillSource.UNION)


def test_the_numbers_go_up_over_restarts() -> None:
    """Also over one without a readable store, where they jump."""
    ledger = KillLedger(place(b"1", 5), place(b"1", 7), readable=True)
    assert ledger.begin(kill(b"2")) == 8
    blind = KillLedger(place(None, 0, lineage=""), place(b"1", 7), readable=False)
    assert blind.begin(kill(b"2")) > 1_000_000
    assert blind.copy().lineage == "a"


def test_what_waits_is_bounded_and_said() -> None:
    """A store that keeps nothing for days costs old audit entries, and their number is recorded."""
    ledger = KillLedger(place(None, 0), None, readable=True)
    entries = tuple(audit(f"a{i}") for i in range(9_999))
    ledger.begin(Phase(at_ns=1, audit=entries))
    ledger.begin(Phase(at_ns=2, audit=(audit("one"), audit("two"), audit("three"))))
    whole, lost = ledger.due(Phase(at_ns=3))
    assert len(whole.audit) == 10_000
    assert [each.reason for each in lost] == [
        "2 entries were given up: the store kept nothing for too long."
    ]


def test_a_late_turn_does_not_settle_a_later_phase() -> None:
    """What came after is still waiting."""
    ledger = KillLedger(place(None, 0), None, readable=True)
    first, second = ledger.begin(kill(b"1")), ledger.begin(kill(b"2"))
    ledger.kept(first)
    assert ledger.unkept
    ledger.kept(second)
    assert not ledger.unkept


def test_the_copy_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Phases that wait included."""
    copy = KillCopy(lineage="a", sequence=3, at_ns=4, state=b"s", unkept=kill(b"s"))
    (tmp_path / COPY_NAME).write_bytes(encode_copy(copy))
    assert read_copy(tmp_path) == copy
    assert read_copy(tmp_path / "none") is None
