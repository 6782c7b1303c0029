"""Walks the audit's chain, in a running store's file or a dead one's, and never writes to it.

Every finding says which record, what is wrong with it and what to do. An edit, an exchange and a
gap show in the chain itself; a tail that was cut off, and a chain made anew, against the anchor.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from monitor.core.errors import StoreError
from monitor.store.audit import (
    GENESIS,
    AuditHead,
    AuditRecord,
    AuditRow,
    chain_hash,
    keyed,
    read_lineage,
    read_rows,
)
from monitor.store.connection import BUSY_TIMEOUT_MS
from monitor.store.second_copy import read_anchor

TRIGGERS = frozenset({"audit_no_update", "audit_no_delete", "audit_in_order"})
KEEP = (
    "Keep a copy of the file before anything else, compare with an export or a backup, and find "
    "out who could write to it."
)


class UnreadableStoreError(StoreError):
    """There is a file, and SQLite cannot read it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. ``seq`` is the record's number, None where it is the whole chain."""

    seq: int | None
    what: str
    todo: str = KEEP


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk found. ``anchored`` is the newest number that the anchor confirms, None without
    an anchor; ``keyed`` how many records carry a good mac, None where no key was given. ``notes``
    are worth knowing and no proof of anything."""

    records: int
    head: AuditHead | None
    anchored: int | None
    keyed: int | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """True when nothing is wrong."""
        return not self.findings


@contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The store's file as it is now, for reading alone; beside a running riskd too.

    Raises:
        StoreError: No such file, not a store of this version, or damaged (UnreadableStoreError).
    """
    if not path.is_file():
        raise StoreError(f"There is no store at {path}. Name the data directory of the riskd.")
    with tempfile.TemporaryDirectory(prefix="riskd-audit-") as folder:
        try:
            try:
                connection = _read_only(path)
            except sqlite3.OperationalError:
                # A directory that cannot be written has no room for SQLite's shared memory.
                connection = _read_only(_copied(path, Path(folder)))
            try:
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise UnreadableStoreError(
                f"The store {path} cannot be read: {error}. Keep a copy of it; the anchor and "
                "exports say what stood in the audit."
            ) from error


def _read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("BEGIN")  # one state of the file, whatever is written meanwhile
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit'").fetchone()
    except BaseException:
        connection.close()
        raise
    if tables is None:
        connection.close()
        raise StoreError(
            f"The store {path} has no audit: an older riskd wrote it. Start this one on it once."
        )
    return connection


def _copied(path: Path, folder: Path) -> Path:
    for each in (path, path.with_name(f"{path.name}-wal")):
        if each.exists():
            shutil.copy(each, folder / each.name)
    return folder / path.name


def verify(connection: sqlite3.Connection, *, anchor: Path | None, key: bytes = b"") -> Verdict:
    """Walk the whole chain of an opened store.

    Args:
        connection: Of ``open_for_reading``.
        anchor: The file with the heads; None to do without.
        key: Checks the macs; empty checks none.
    """
    findings = list(_missing_triggers(connection))
    notes: list[str] = []
    hashes = {0: GENESIS}  # what the anchor has of a file without a record
    previous, expected, good_macs, bare = GENESIS, 1, 0, 0
    last: AuditRow | None = None
    for row in read_rows(connection):
        findings += _judge(row, previous, expected)
        if key:
            if row.mac == keyed(key, row.hash):
                good_macs += 1
            elif not row.mac and not good_macs:
                bare = row.seq
            else:
                findings.append(
                    Finding(seq=row.seq, what="its mac is not of this key: forged, or another key.")
                )
        hashes[row.seq] = row.hash
        previous, expected, last = row.hash, row.seq + 1, row
    if key and last is not None and not good_macs:
        text = "no record carries a mac of this key: the chain was made without it."
        findings.append(Finding(seq=None, what=text))
    if bare and good_macs:
        notes.append(
            f"Records up to {bare} carry no mac: made before the key was set, or remade "
            "without it. A head noted elsewhere in time (an export, a copy of the anchor) tells."
        )
    lineage = read_lineage(connection)
    anchored = None
    if anchor is not None:
        anchored = _against_anchor(anchor, lineage, hashes, key, findings, notes)
    head = None
    if last is not None:
        head = AuditHead(lineage=lineage, seq=last.seq, hash=last.hash, mac=last.mac)
    return Verdict(
        records=len(hashes) - 1,
        head=head,
        anchored=anchored,
        keyed=good_macs if key else None,
        findings=tuple(findings),
        notes=tuple(notes),
    )


def decode_record(row: AuditRow) -> AuditRecord:
    """The record of a row.

    Raises:
        StoreError: It is not what riskd writes.
    """
    try:
        return msgspec.json.decode(row.record, type=AuditRecord)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise StoreError(f"Entry {row.seq} of the audit cannot be read: {error}.") from error


def _judge(row: AuditRow, previous: str, expected: int) -> Iterator[Finding]:
    if row.seq != expected:
        gap = f"{expected}" if row.seq == expected + 1 else f"{expected} to {row.seq - 1}"
        yield Finding(seq=row.seq, what=f"what came before it is gone: {gap} deleted.")
    elif row.prev_hash != previous:
        text = "it does not follow the one before: exchanged, put in, or the one before was remade."
        yield Finding(seq=row.seq, what=text)
    try:
        record = decode_record(row)
        digest = chain_hash(row.prev_hash, row.record.encode())
    except (StoreError, ValueError):
        yield Finding(seq=row.seq, what="it is no record of riskd any more: edited.")
        return
    if digest != row.hash:
        yield Finding(seq=row.seq, what="its content is not what was hashed: edited.")
    elif record.seq != row.seq or record.id != row.id:
        yield Finding(seq=row.seq, what=f"it was written as record {record.seq}: moved.")


def _missing_triggers(connection: sqlite3.Connection) -> Iterator[Finding]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    missing = TRIGGERS - {row[0] for row in rows}
    if missing:
        text = f"the triggers that refuse changes are gone: {', '.join(sorted(missing))}."
        yield Finding(seq=None, what=text)


def _against_anchor(
    path: Path,
    lineage: str,
    hashes: dict[int, str],
    key: bytes,
    findings: list[Finding],
    notes: list[str],
) -> int | None:
    """Compare with the heads noted outside; gives the newest number that they confirm."""
    newest = max(hashes)
    try:
        heads, unreadable = read_anchor(path)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        if newest:
            text = f"the anchor {path} cannot be read ({why}): a cut-off tail would not show."
            todo = (
                "Name the anchor with --anchor. It is beside the second copy; exports have heads."
            )
            findings.append(Finding(seq=None, what=text, todo=todo))
        return None
    if unreadable:
        notes.append(
            f"Line {', '.join(map(str, unreadable))} of the anchor cannot be read: a crash in "
            "mid-write, or an edit."
        )
    confirmed = 0
    told: set[str] = set()  # one finding of each kind, the first: a tail is as long as it is
    for head in heads:
        problem = _contradiction(head, lineage, hashes, key)
        if not problem:
            confirmed = max(confirmed, head.seq)
        elif problem not in told:
            told.add(problem)
            seq = head.seq if head.lineage == lineage else None
            findings.append(Finding(seq=seq, what=problem))
    if not findings and confirmed < newest:
        notes.append(
            f"Records {confirmed + 1} to {newest} are not anchored (yet): that one of them is cut "
            "off would not show."
        )
    return confirmed


def _contradiction(head: AuditHead, lineage: str, hashes: dict[int, str], key: bytes) -> str:
    if key and head.mac and head.mac != keyed(key, head.hash):
        return "the anchor's own line has a mac of another key: forged, or another key."
    if head.lineage != lineage:
        return (
            f"the anchor is of another file ({head.lineage}): the whole chain was replaced. "
            "Where you moved a damaged file aside yourself, move the anchor with it."
        )
    found = hashes.get(head.seq)
    if found is None:
        return "the anchor has it and the chain does not: the tail was cut off."
    if found != head.hash:
        return "the anchor has another hash of it: the chain was remade from here or before."
    return ""


def anchor_problem(head: AuditHead | None, lineage: str, path: Path) -> str:
    """What is wrong at the end of the chain as it is opened, in words for a page; empty if nothing.
    The whole chain is not walked; ``verify`` does that."""
    try:
        heads, _ = read_anchor(path)
    except OSError:
        heads = []
    if not heads:
        # A new file is anchored before its first record.
        return "" if head is None else _start_text(f"Its anchor {path} is gone.")
    noted = heads[-1]
    if noted.lineage != lineage:
        return _start_text(f"Its anchor {path} is of another file.")
    kept = head.seq if head else 0
    if noted.seq > kept:
        return _start_text(f"{noted.seq} records were anchored, {kept} are there.")
    if head and noted.seq == head.seq and noted.hash != head.hash:
        return _start_text(f"Record {head.seq} is not the one that was anchored.")
    return ""


def knows_more(anchor: Path, head: AuditHead | None, lineage: str) -> bool:
    """Whether the anchor has records that the file has not, or is of another one: an older file was
    put in its place, and what was latched since does not stand in it."""
    try:
        heads, _ = read_anchor(anchor)
    except OSError:
        return False
    kept = head.seq if head else 0
    return bool(heads) and (heads[-1].lineage != lineage or heads[-1].seq > kept)


def _start_text(what: str) -> str:
    return f"The audit is not as riskd left it. {what} Run `riskd audit verify`."
