"""One connection to the store's file: opened, checked, brought up to date; and its transactions.

What cannot be opened is a ``ConfigError`` whose text says what to do next.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from monitor.core.errors import ConfigError
from monitor.store.schema import migrate

BUSY_TIMEOUT_MS = 2000  # a person's sqlite3 shell may hold the file for a moment


class Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK; ``durable`` waits for the disk itself."""

    def __init__(self, connection: sqlite3.Connection, *, durable: bool) -> None:
        self._connection = connection
        self._durable = durable

    def __enter__(self) -> None:
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._rollback()
                raise
        else:
            self._rollback()

    def _rollback(self) -> None:
        # SQLite itself rolls back on some errors (disk full); a second one would hide the first.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def connect(path: Path) -> sqlite3.Connection:
    """The store's file, whole and of this version.

    Raises:
        ConfigError: Damaged, locked, unwritable, or of another version or program.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=True)
    except sqlite3.Error as error:
        raise ConfigError(_open_text(path, error)) from error
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        _check_integrity(connection)
        migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise ConfigError(_open_text(path, error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_nowhere(path: Path) -> sqlite3.Connection:
    """Empty tables in memory, for the daemon whose file (``path``) cannot be opened."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=True)
    migrate(connection, path)
    return connection


def _check_integrity(connection: sqlite3.Connection) -> None:
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise sqlite3.DatabaseError("; ".join(problems))


def _open_text(path: Path, error: sqlite3.Error) -> str:
    text = str(error)
    if "locked" in text or "busy" in text:
        return (
            f"{path} is locked by another program. Close it (a database browser, a backup), "
            "then start again."
        )
    if "readonly" in text or "unable to open" in text or "full" in text:
        return (
            f"{path} cannot be written ({text}). Make the directory writable for the user that "
            "runs riskd, free some space, or set another data directory."
        )
    return (
        f"{path} is damaged ({text}). Move it, its -wal and -shm files and audit.anchor aside, "
        "keep them, and start again: rule timers, firing states and undelivered pages start anew; "
        "the kill switch goes on from its second copy."
    )
