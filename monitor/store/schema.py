"""The tables of the store and the steps from each version to the next, forward only.

Version N is reached by running ``MIGRATIONS[N - 1]`` on version N - 1, inside one transaction with
the version number. A shipped step is never edited; a change is a further step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from monitor.core.errors import ConfigError

APPLICATION_ID = 0x5249534B  # "RISK" in the file's header, so that `file` and we can tell

_VERSION_1 = (
    """
    CREATE TABLE rule_states (
        rule TEXT NOT NULL,
        subject TEXT NOT NULL,
        definition_hash TEXT NOT NULL,
        state BLOB NOT NULL,
        at_ns INTEGER NOT NULL,
        PRIMARY KEY (rule, subject)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE alerts (
        identity TEXT NOT NULL PRIMARY KEY,
        alert BLOB NOT NULL,
        at_ns INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE outbox (
        id TEXT NOT NULL PRIMARY KEY,
        identity TEXT NOT NULL,
        urgency INTEGER NOT NULL,
        created_ns INTEGER NOT NULL,
        notice BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE deliveries (
        entry_id TEXT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
        channel TEXT NOT NULL,
        state TEXT NOT NULL CHECK
            (state IN ('pending', 'delivered', 'rejected', 'superseded', 'digested')),
        attempts INTEGER NOT NULL DEFAULT 0,
        last_error TEXT NOT NULL DEFAULT '',
        next_try_ns INTEGER,
        delivered_at_ns INTEGER,
        PRIMARY KEY (entry_id, channel)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX deliveries_pending ON deliveries (entry_id) WHERE state = 'pending'",
    "CREATE INDEX outbox_created ON outbox (created_ns)",
    """
    CREATE TABLE memories (
        name TEXT NOT NULL PRIMARY KEY,
        memory BLOB NOT NULL,
        at_ns INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE known_venues (
        venue TEXT NOT NULL PRIMARY KEY,
        first_contact_ns INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE kv (
        name TEXT NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

# The kill switch's state, one row: the newest phase. ``sequence`` counts kill phases over restarts.
# The audit refuses change; REPLACE would delete without a trigger, so each record must be the
# next, under a new id.
_VERSION_2 = (
    """
    CREATE TABLE kill_state (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        sequence INTEGER NOT NULL,
        at_ns INTEGER NOT NULL,
        state BLOB
    ) STRICT
    """,
    """
    CREATE TABLE audit (
        seq INTEGER NOT NULL PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        prev_hash TEXT NOT NULL,
        hash TEXT NOT NULL,
        mac TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
    """,
    """
    CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
    """,
    """
    CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
        OR EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
    """,
    # Ids of signed commands, which must not be carried out twice.
    """
    CREATE TABLE seen (
        name TEXT NOT NULL PRIMARY KEY,
        until_s INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # Which file this is: a second copy or an anchor of another file is told apart by it.
    "INSERT INTO kv VALUES ('lineage', CAST(lower(hex(randomblob(8))) AS BLOB))",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)


def schema_version(connection: sqlite3.Connection) -> int:
    """The version the file was last brought to; 0 for an empty file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> int:
    """Bring the file to the newest version; returns the version it had.

    Each step is one transaction: a step that fails leaves the version before it.

    Raises:
        ConfigError: If a newer riskd wrote the file, or it belongs to another program.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    found = schema_version(connection)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or found or tables):
        raise ConfigError(
            f"{path} is a database of another program. Set another data directory for riskd."
        )
    if found > len(migrations):
        raise ConfigError(
            f"{path} was written by a newer riskd (schema {found}; this one knows "
            f"{len(migrations)}). Run that version again, or give this one an empty directory."
        )
    for version in range(found, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return found
