"""The audit's chain: each record carries the hash of the one before it, and nothing is changed.

``hash = SHA-256(previous hash, 32 bytes || canonical JSON of the record)``; with a key also
``mac = HMAC-SHA256(key, hash)``. A chain alone shows an edit, a gap and an exchange; that its tail
was cut off shows only against an *anchor*, the heads noted outside the file. Whoever can write the
file, the anchor and has the key can forge all of it: keep the key or exported heads elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson

from monitor.core.errors import ConfigError
from monitor.core.killswitch.facts import AuditEntry
from monitor.core.types import EngineNs

GENESIS = "0" * 64  # the hash before the first record
KEY_BYTES_MIN = 16
AUDIT_LOST = "audit.lost"  # action of the record that says that entries were never kept


class AuditStamp(msgspec.Struct, frozen=True, kw_only=True):
    """What every record of this process carries, and how its head is keyed.

    ``wall_ns`` is the wall clock at the moment of chaining; ``key`` is empty where none is set.
    """

    config_hash: str = ""
    code_version: str = ""
    key: bytes = b""
    wall_ns: Callable[[], int] = time.time_ns


class AuditHead(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where a chain stands: enough to show later that nothing was cut off. ``lineage`` names the
    store's file, ``mac`` is empty without a key."""

    lineage: str
    seq: int
    hash: str
    mac: str = ""
    ts_wall_ns: int = 0


class AuditRecord(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One kept record. ``engine_ns`` is when it happened, ``ts_wall_ns`` when it was chained."""

    seq: int
    id: str
    ts_wall_ns: int
    engine_ns: int
    actor: str
    action: str
    scope: str
    level_from: int
    level_to: int
    trip_id: str
    reason: str
    details: tuple[tuple[str, str], ...]
    config_hash: str
    code_version: str


class AuditRow(msgspec.Struct, frozen=True, gc=False):
    """One row as it stands in the file; ``record`` is the canonical JSON that was hashed."""

    seq: int
    id: str
    prev_hash: str
    hash: str
    mac: str
    record: str


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8; of text and integers only, so that it is unique."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def chain_hash(previous: str, record: bytes) -> str:
    """The hash of a record after the one whose hash is ``previous``, in hexadecimal."""
    return hashlib.sha256(bytes.fromhex(previous) + record).hexdigest()


def keyed(key: bytes, digest: str) -> str:
    """The mac of a record's hash, in hexadecimal; empty without a key."""
    return hmac.new(key, digest.encode(), "sha256").hexdigest() if key else ""


def append(
    connection: sqlite3.Connection, entries: tuple[AuditEntry, ...], stamp: AuditStamp
) -> AuditHead | None:
    """Chain ``entries`` to the audit, in the caller's transaction; gives the new head."""
    head = read_head(connection)
    seq, previous = (head.seq, head.hash) if head else (0, GENESIS)
    rows = []
    for name, entry in {entry_id(entry): entry for entry in entries}.items():
        if connection.execute("SELECT 1 FROM audit WHERE id = ?", (name,)).fetchone():
            continue  # a phase that was kept late, and then again with the next
        seq += 1
        record = canonical_json(_record(entry, name, seq, stamp))
        digest = chain_hash(previous, record)
        rows.append((seq, name, previous, digest, keyed(stamp.key, digest), record.decode()))
        previous = digest
    connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", rows)
    return read_head(connection)


def entry_id(entry: AuditEntry) -> str:
    """32 hexadecimal digits that the same entry has in every process."""
    return hashlib.sha256(canonical_json(_facts(entry))).hexdigest()[:32]


def read_head(connection: sqlite3.Connection) -> AuditHead | None:
    """The newest record's place in the chain; None where nothing was kept yet."""
    row = connection.execute(
        "SELECT seq, hash, mac FROM audit ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    return AuditHead(lineage=read_lineage(connection), seq=row[0], hash=row[1], mac=row[2])


def read_lineage(connection: sqlite3.Connection) -> str:
    """The name of this file among all stores, 16 hexadecimal digits."""
    row = connection.execute("SELECT value FROM kv WHERE name = 'lineage'").fetchone()
    return bytes(row[0]).decode("ascii", "replace") if row else ""


def read_rows(connection: sqlite3.Connection, *, containing: str = "") -> Iterator[AuditRow]:
    """Every row (or those whose record contains a text) by its number, as it stands in the file."""
    for row in connection.execute(
        "SELECT seq, id, prev_hash, hash, mac, record FROM audit"
        " WHERE instr(record, ?1) OR ?1 = '' ORDER BY seq",
        (containing,),
    ):
        yield AuditRow(*row)


def lost_entry(at_ns: EngineNs, count: int) -> AuditEntry:
    """The record that says that ``count`` entries could not be kept."""
    return AuditEntry(
        at_ns=at_ns,
        actor="store",
        action=AUDIT_LOST,
        scope="",
        level_from=0,
        level_to=0,
        reason=f"{count} entries were given up: the store kept nothing for too long.",
    )


def _record(entry: AuditEntry, name: str, seq: int, stamp: AuditStamp) -> dict[str, Any]:
    return {
        **_facts(entry),
        "seq": seq,
        "id": name,
        "ts_wall_ns": stamp.wall_ns(),
        "config_hash": stamp.config_hash,
        "code_version": stamp.code_version,
    }


def _facts(entry: AuditEntry) -> dict[str, Any]:
    return {
        "engine_ns": entry.at_ns,
        "actor": _text(entry.actor),
        "action": _text(entry.action),
        "scope": _text(entry.scope),
        "level_from": int(entry.level_from),
        "level_to": int(entry.level_to),
        "trip_id": _text(entry.trip_id),
        "reason": _text(entry.reason),
        "details": [[_text(name), _text(value)] for name, value in entry.details],
    }


def _text(text: str) -> str:
    # A person's reason may carry bytes of another encoding, which must not cost the record.
    return text.encode("utf-8", "replace").decode()


def read_key(path: Path) -> bytes:
    """The key of the audit's macs, from a file; spaces around it do not count.

    Raises:
        ConfigError: It cannot be read or is too short.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"The audit's key {path} cannot be read: {why}.") from error
    return checked_key(key, origin=str(path))


def checked_key(key: bytes, *, origin: str) -> bytes:
    """The key itself.

    Raises:
        ConfigError: It is too short; ``origin`` says where it stands.
    """
    if len(key) < KEY_BYTES_MIN:
        raise ConfigError(
            f"The audit's key {origin} is too short: {len(key)} bytes of at least {KEY_BYTES_MIN}. "
            "Make one with `openssl rand -hex 32`."
        )
    return key
