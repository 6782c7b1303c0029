"""The audit's chain: append-only, and whatever is done to the file behind riskd's back shows."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.errors import ConfigError, StoreError
from monitor.core.killswitch.facts import AuditEntry
from monitor.core.ports import Phase
from monitor.store.audit import (
    GENESIS,
    AuditHead,
    AuditStamp,
    append,
    canonical_json,
    chain_hash,
    entry_id,
    keyed,
    read_head,
    read_key,
)
from monitor.store.audit_check import Verdict, open_for_reading, verify
from monitor.store.connection import connect, connect_nowhere
from monitor.store.database import Store
from monitor.store.second_copy import read_anchor
from tests.store.test_kill import audit

KEY = b"k" * 32
STAMP = AuditStamp(config_hash="c0ffee", code_version="0.3.0", wall_ns=lambda: 42)
COUNT = 6


async def make(directory: Path, *, stamp: AuditStamp = STAMP, count: int = COUNT) -> Store:
    """A store whose audit has ``count`` entries, each of a phase of its own; still open."""
    store = Store(directory, stamp=stamp, kill_deadline_s=10.0)
    for number in range(1, count + 1):
        entry = audit(f"action {number}", at_ns=number)
        await store.persist(Phase(at_ns=number, kill_state=b"1", audit=(entry,)))
    return store


async def closed(directory: Path, *, stamp: AuditStamp = STAMP) -> None:
    """The same, closed."""
    assert (await make(directory, stamp=stamp)).close()


def checked(directory: Path, *, key: bytes = b"", anchor: Path | None = None) -> Verdict:
    """What a walk finds."""
    with open_for_reading(directory / "riskd.db") as connection:
        return verify(connection, anchor=anchor or directory / "audit.anchor", key=key)


def tamper(directory: Path, *statements: str | tuple[str, tuple[str | int, ...]]) -> None:
    """Change the file as somebody with ``sqlite3`` would: first away with the triggers."""
    connection = sqlite3.connect(directory / "riskd.db", isolation_level=None)
    triggers = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    ).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        text, values = (statement, ()) if isinstance(statement, str) else statement
        connection.execute(text, values)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()


def remake(directory: Path, start: int, *, key: bytes = b"") -> None:
    """Compute every hash anew from ``start`` on, as somebody who knows how the chain is made."""
    connection = sqlite3.connect(directory / "riskd.db", isolation_level=None)
    rows = connection.execute("SELECT seq, record FROM audit ORDER BY seq").fetchall()
    connection.close()
    previous = GENESIS
    update = "UPDATE audit SET prev_hash = ?, hash = ?, mac = ? WHERE seq = ?"
    statements = []
    for seq, record in rows:
        digest = chain_hash(previous, record.encode())
        if seq >= start:
            statements.append((update, (previous, digest, keyed(key, digest), seq)))
        previous = digest
    tamper(directory, *statements)


# ------------------------------------------------------------------------------------ as written


async def test_a_chain_as_riskd_wrote_it(tmp_path: Path) -> None:
    """Intact beside a running riskd and after it; every entry is anchored by then."""
    store = await make(tmp_path)
    assert checked(tmp_path).intact
    head = store.audit_head
    store.close()
    verdict = checked(tmp_path)
    assert (verdict.findings, verdict.notes) == ((), ())
    assert (verdict.records, verdict.anchored, verdict.keyed) == (COUNT, COUNT, None)
    assert verdict.head == head
    again = Store(tmp_path)
    assert again.audit_head == head
    assert (again.audit_problem, again.older) == ("", False)
    again.close()


async def test_the_hash_is_the_documented_one(tmp_path: Path) -> None:
    """SHA-256 of the 32 bytes before and the canonical JSON: anyone can check it with a script."""
    await closed(tmp_path)
    with sqlite3.connect(tmp_path / "riskd.db") as connection:
        rows = connection.execute("SELECT prev_hash, hash, record FROM audit ORDER BY seq")
        before = "0" * 64
        for previous, digest, record in rows:
            plain = json.loads(record)
            canonical = json.dumps(
                plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()
            assert previous == before
            assert digest == hashlib.sha256(bytes.fromhex(before) + canonical).hexdigest()
            before = digest
    connection.close()
    assert plain == {
        "seq": COUNT, "id": entry_id(audit(f"action {COUNT}", at_ns=COUNT)), "ts_wall_ns": 42,
        "engine_ns": COUNT, "actor": "rule funding_stress@abc", "action": f"action {COUNT}",
        "scope": "portfolio", "level_from": 0, "level_to": 3, "trip_id": "t1", "reason": "",
        "details": [["input.leverage", "3.2"]], "config_hash": "c0ffee", "code_version": "0.3.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET record = '{}' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit",
        "REPLACE INTO audit SELECT seq, 'x', prev_hash, hash, mac, '{}' FROM audit WHERE seq = 3",
        "REPLACE INTO audit SELECT 7, id, prev_hash, hash, mac, '{}' FROM audit WHERE seq = 6",
        "INSERT INTO audit SELECT 9, 'x', prev_hash, hash, mac, record FROM audit WHERE seq = 6",
    ],
)
async def test_sql_refuses_to_change_it(tmp_path: Path, statement: str) -> None:
    """Also the ways of replacing that run no DELETE trigger."""
    await closed(tmp_path)
    connection = sqlite3.connect(tmp_path / "riskd.db", isolation_level=None)
    connection.execute("PRAGMA recursive_triggers = OFF")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()
    assert checked(tmp_path).intact


# ------------------------------------------------------------------------------------ tampered


def edit(directory: Path) -> None:
    """One word of one entry."""
    tamper(
        directory,
        "UPDATE audit SET record = replace(record, 'action 3', 'action X') WHERE seq = 3",
    )


def edit_and_remake(directory: Path) -> None:
    """And every hash after it."""
    edit(directory)
    remake(directory, 3)


def edit_one_hash(directory: Path) -> None:
    """And its own hash alone."""
    edit(directory)
    with sqlite3.connect(directory / "riskd.db") as connection:
        previous, record = connection.execute(
            "SELECT prev_hash, record FROM audit WHERE seq = 3"
        ).fetchone()
    connection.close()
    digest = chain_hash(previous, record.encode())
    tamper(directory, ("UPDATE audit SET hash = ? WHERE seq = 3", (digest,)))


def delete(directory: Path) -> None:
    """One in the middle."""
    tamper(directory, "DELETE FROM audit WHERE seq = 3")


def delete_and_close_up(directory: Path) -> None:
    """One in the middle, the rest moved down and hashed anew."""
    tamper(
        directory,
        "DELETE FROM audit WHERE seq = 3",
        *(("UPDATE audit SET seq = seq - 1 WHERE seq = ?", (seq,)) for seq in range(4, COUNT + 1)),
    )
    remake(directory, 3)


def exchange(directory: Path) -> None:
    """Two change places."""
    tamper(
        directory,
        "UPDATE audit SET seq = 99 WHERE seq = 3",
        "UPDATE audit SET seq = 3 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 99",
    )


def exchange_and_remake(directory: Path) -> None:
    """And every hash after them."""
    exchange(directory)
    remake(directory, 3)


def cut_off(directory: Path) -> None:
    """The newest two."""
    tamper(directory, "DELETE FROM audit WHERE seq > 4")


def empty(directory: Path) -> None:
    """All of them."""
    tamper(directory, "DELETE FROM audit")


def replace_file(directory: Path) -> None:
    """Another store in its place."""
    for name in ("riskd.db", "riskd.db-wal", "riskd.db-shm"):
        (directory / name).unlink(missing_ok=True)
    connection = connect(directory / "riskd.db")
    append(connection, (audit("harmless"),), STAMP)
    connection.close()


def spoil_text(directory: Path) -> None:
    """No record any more."""
    tamper(directory, "UPDATE audit SET record = 'x' WHERE seq = 3")


def spoil_hash(directory: Path) -> None:
    """No hash any more."""
    tamper(directory, "UPDATE audit SET prev_hash = 'zz' WHERE seq = 3")


def drop_trigger(directory: Path) -> None:
    """The way is made free for later."""
    with sqlite3.connect(directory / "riskd.db") as connection:
        connection.execute("DROP TRIGGER audit_no_delete")
    connection.close()


def lose_anchor(directory: Path) -> None:
    """Nothing outside says any more how far it went."""
    (directory / "audit.anchor").unlink()


TAMPERED = [
    pytest.param(edit, (3,), "not what was hashed: edited", id="edited"),
    pytest.param(edit_one_hash, (4,), "does not follow the one before", id="edited, hash too"),
    pytest.param(edit_and_remake, (3,), "anchor has another hash", id="edited, all hashes too"),
    pytest.param(delete, (4,), "3 deleted", id="deleted"),
    pytest.param(delete_and_close_up, (3,), "was written as record 4: moved", id="closed up"),
    pytest.param(exchange, (3, 4), "does not follow the one before", id="exchanged"),
    pytest.param(exchange_and_remake, (3, 4), "moved", id="exchanged, all hashes too"),
    pytest.param(cut_off, (5,), "the tail was cut off", id="cut off"),
    pytest.param(empty, (1,), "the tail was cut off", id="emptied"),
    pytest.param(replace_file, (None,), "the whole chain was replaced", id="another file"),
    pytest.param(spoil_text, (3,), "no record of riskd any more", id="spoilt text"),
    pytest.param(spoil_hash, (3,), "no record of riskd any more", id="spoilt hash"),
    pytest.param(drop_trigger, (None,), "audit_no_delete", id="trigger gone"),
    pytest.param(lose_anchor, (None,), "a cut-off tail would not show", id="anchor gone"),
]


@pytest.mark.parametrize(("change", "where", "said"), TAMPERED)
async def test_whatever_is_changed_shows(
    tmp_path: Path, change: Callable[[Path], None], where: tuple[int | None, ...], said: str
) -> None:
    """Edit, delete, reorder and truncate, with the hashes made to fit and without."""
    await closed(tmp_path)
    assert checked(tmp_path).intact
    change(tmp_path)
    verdict = checked(tmp_path)
    assert not verdict.intact
    places = {finding.seq for finding in verdict.findings}
    assert set(where) <= places
    assert any(said in finding.what for finding in verdict.findings if finding.seq in where)
    assert all(finding.todo for finding in verdict.findings)


@pytest.mark.parametrize("change", [cut_off, empty, replace_file, lose_anchor])
async def test_a_start_on_a_changed_end_says_so(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """The daemon goes on chaining (its record matters now) and knows that it must page; later
    entries do not cover it up."""
    await closed(tmp_path)
    change(tmp_path)
    store = Store(tmp_path, kill_deadline_s=10.0)
    assert store.audit_problem.endswith("Run `riskd audit verify`.")
    # Without an anchor nobody knows; with one it is certain that something is missing.
    assert store.older is (change is not lose_anchor)
    for number in range(10, 20):
        await store.persist(Phase(at_ns=number, audit=(audit("later", at_ns=number),)))
    store.close()
    if change is not lose_anchor:  # there, what is anchored from now on is all there is to hold on
        assert not checked(tmp_path).intact


async def test_a_key_shows_who_knows_how_but_has_it_not(tmp_path: Path) -> None:
    """With chain and anchor remade to fit, only the key is left, and it suffices."""
    stamp = msgspec.structs.replace(STAMP, key=KEY)
    await closed(tmp_path, stamp=stamp)
    verdict = checked(tmp_path, key=KEY)
    assert (verdict.intact, verdict.keyed) == (True, COUNT)
    edit_and_remake(tmp_path)
    with open_for_reading(tmp_path / "riskd.db") as connection:
        head = read_head(connection)
    assert head is not None
    (tmp_path / "audit.anchor").write_bytes(msgspec.json.encode(head) + b"\n")
    assert checked(tmp_path).intact
    verdict = checked(tmp_path, key=KEY)
    assert [finding.seq for finding in verdict.findings] == [3, 4, 5, 6]
    assert "is not of this key" in verdict.findings[0].what


@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param(b"x" * 32, "mac is not of this key", id="another key"),
        pytest.param(b"", None, id="no key given: the chain alone"),
    ],
)
async def test_the_key_that_checks(tmp_path: Path, key: bytes, said: str | None) -> None:
    """Another key is a finding; without one there is nothing to say about macs."""
    await closed(tmp_path, stamp=msgspec.structs.replace(STAMP, key=KEY))
    verdict = checked(tmp_path, key=key)
    assert verdict.intact == (said is None)
    if said:
        assert said in verdict.findings[0].what


async def test_a_key_that_came_later(tmp_path: Path) -> None:
    """The first keyed entry vouches for those before it as riskd found them, and that is said."""
    await closed(tmp_path)
    assert "no record carries a mac" in checked(tmp_path, key=KEY).findings[0].what
    store = Store(
        tmp_path, stamp=msgspec.structs.replace(STAMP, key=KEY), kill_deadline_s=10.0
    )  # fmt: skip
    await store.persist(Phase(at_ns=9, audit=(audit("keyed", at_ns=9),)))
    store.close()
    verdict = checked(tmp_path, key=KEY)
    assert (verdict.intact, verdict.keyed) == (True, 1)
    assert f"Records up to {COUNT} carry no mac" in verdict.notes[0], "nobody vouches for those"
    tamper(tmp_path, ("UPDATE audit SET mac = '' WHERE seq = ?", (COUNT + 1,)))
    assert not checked(tmp_path, key=KEY).intact


# ------------------------------------------------------------------------------------- the anchor


async def test_a_torn_anchor_line_is_no_proof(tmp_path: Path) -> None:
    """A crash in mid-write is noted, and the next line stands by itself."""
    await closed(tmp_path)
    path = tmp_path / "audit.anchor"
    path.write_bytes(path.read_bytes()[:-20])
    verdict = checked(tmp_path)
    assert verdict.intact
    assert any("cannot be read: a crash" in note for note in verdict.notes)
    assert any(f"Records {COUNT} to {COUNT} are not anchored" in note for note in verdict.notes)
    store = Store(tmp_path, kill_deadline_s=10.0)
    await store.persist(Phase(at_ns=9, audit=(audit("later", at_ns=9),)))
    store.close()
    heads, unreadable = read_anchor(path)
    assert heads[-1].seq == COUNT + 1
    assert len(unreadable) == 1
    assert checked(tmp_path).anchored == COUNT + 1


async def test_an_anchor_elsewhere_is_the_one_that_counts(tmp_path: Path) -> None:
    """A head noted off the machine shows a cut where the local anchor was cut along."""
    store = await make(tmp_path)
    noted = tmp_path / "noted elsewhere"
    assert store.audit_head is not None
    noted.write_bytes(msgspec.json.encode(store.audit_head) + b"\n")
    store.close()
    cut_off(tmp_path)
    path = tmp_path / "audit.anchor"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    assert checked(tmp_path).intact
    assert not checked(tmp_path, anchor=noted).intact


async def test_an_anchor_that_cannot_be_written_costs_no_phase(tmp_path: Path) -> None:
    """It is said, and the phase is kept."""
    (tmp_path / "file").write_text("x")
    store = Store(
        tmp_path / "data", second_directory=tmp_path / "file" / "no", kill_deadline_s=10.0
    )  # fmt: skip
    await store.persist(Phase(at_ns=1, kill_state=b"1", audit=(audit(),)))
    store.close()
    assert "not a directory" in store.second_problem


# ----------------------------------------------------------------------------------- reading it


async def test_the_file_of_a_killed_process_is_read(tmp_path: Path) -> None:
    """What stands only in the write-ahead log counts; nothing is written to the directory."""
    store = await make(tmp_path)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("riskd.db", "riskd.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    verdict = checked(copy, anchor=tmp_path / "audit.anchor")
    assert (verdict.records, verdict.intact) == (COUNT, True)
    after = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert {name: after[name] for name in before} == before
    store.close()


def test_what_is_no_store_says_so(tmp_path: Path) -> None:
    """No file; a file that is none; a store of before there was an audit."""
    with pytest.raises(StoreError, match="There is no store at"), open_for_reading(tmp_path / "x"):
        pass
    path = tmp_path / "riskd.db"
    path.write_bytes(b"no database " * 400)
    with pytest.raises(StoreError, match="cannot be read"), open_for_reading(path):
        pass
    path.unlink()
    sqlite3.connect(path).close()
    with pytest.raises(StoreError, match="has no audit"), open_for_reading(path):
        pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "cannot be read: no such file", id="missing"),
        pytest.param(b" short \n", "is too short: 5 bytes", id="short"),
        pytest.param(b"a" * 16 + b"\n", None, id="long enough"),
    ],
)
def test_the_key_file(tmp_path: Path, content: bytes | None, said: str | None) -> None:
    """Spaces around it do not count, and a short key is refused."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    if said is None:
        assert read_key(path) == b"a" * 16
    else:
        with pytest.raises(ConfigError, match=said):
            read_key(path)


TEXT = st.text(max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(
        st.builds(
            AuditEntry,
            at_ns=st.integers(0, 2**62),
            actor=TEXT,
            action=TEXT,
            scope=TEXT,
            level_from=st.integers(0, 5),
            level_to=st.integers(0, 5),
            trip_id=TEXT,
            reason=TEXT,
            details=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
        ),
        max_size=8,
    ),
    cut=st.integers(0, 8),
)
def test_any_entries_chain_and_verify(entries: list[AuditEntry], cut: int) -> None:
    """Whatever people and venues write, the chain is intact; each entry stands in it once; and any
    shorter chain contradicts the head."""
    connection = connect_nowhere(Path("memory"))
    append(connection, tuple(entries[:4]), STAMP)
    head = append(connection, tuple(entries), STAMP)
    verdict = verify(connection, anchor=None)
    assert verdict.intact
    assert verdict.records == len({entry_id(entry) for entry in entries})
    assert verdict.head == (head if entries else None)
    if head is not None and cut < head.seq:
        connection.execute("DROP TRIGGER audit_no_delete")
        connection.execute("DELETE FROM audit WHERE seq > ?", (cut,))
        assert read_head(connection) != head
    connection.close()


def test_canonical_json_is_one_text_for_one_value() -> None:
    """The order in which a record was put together does not matter."""
    assert canonical_json({"b": "é", "a": 1}) == '{"a":1,"b":"é"}'.encode()


def test_a_mac_needs_a_key() -> None:
    """Without one there is none."""
    assert keyed(b"", "ab") == ""
    assert keyed(KEY, "ab") != keyed(b"x" * 32, "ab")


def test_a_head_is_a_line_of_json() -> None:
    """As anchor and export carry it."""
    head = AuditHead(lineage="a", seq=1, hash="b")
    assert msgspec.json.decode(msgspec.json.encode(head), type=AuditHead) == head
