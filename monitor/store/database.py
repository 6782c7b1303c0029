"""The store: rule states, alerts, outbox and memories in one SQLite file.

What latches or pages is committed with ``synchronous=FULL``: after ``persist`` returned, neither
``kill -9`` nor a power cut loses it. Delivery marks use ``NORMAL``: one that is lost costs a repeat
under the same id, never a page. Everything runs on the store's own thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from monitor.core.errors import ConfigError, StoreError
from monitor.core.ports import (
    AlertRow,
    DeliveryMark,
    DeliveryState,
    OutboxEntry,
    PendingDelivery,
    Phase,
    RuleStateRow,
)
from monitor.core.types import EngineNs
from monitor.store.directory import DataDirectory
from monitor.store.schema import migrate
from monitor.store.thread import QUEUE_MAX, StoreThread

DATABASE_NAME = "riskd.db"
PHASE_DEADLINE_S = 0.25  # what a kill phase may wait for its record (design.md §3)
ROW_ALLOWANCE_S = 0.0005  # on top for each row: a storm of 5 000 alerts is no failing disk
READ_DEADLINE_S = 10.0  # restoring at start may read a lot
BUSY_TIMEOUT_MS = 2000  # a person's sqlite3 shell may hold the file for a moment

Result = TypeVar("Result")
Checkpoint = Callable[[str], None]


def _no_checkpoint(_name: str) -> None:
    """Production has nothing to do at the points where tests kill the process."""


class Store:
    """The asynchronous face of the store. Implements ``PhaseStore`` and ``Outbox``."""

    def __init__(
        self,
        directory: Path,
        *,
        phase_deadline_s: float = PHASE_DEADLINE_S,
        queue_max: int = QUEUE_MAX,
        checkpoint: Checkpoint = _no_checkpoint,
    ) -> None:
        """Open (or make) the store in ``directory``, check it and bring it to this version.

        Blocks while the file is checked; call it before the event loop has work.

        Args:
            directory: Held by this process alone until ``close``.
            phase_deadline_s: Real seconds that ``persist`` may take, besides half a millisecond
                for each row.
            queue_max: Jobs that may wait for the thread.
            checkpoint: Told the name of each point of a transaction as it is passed.

        Raises:
            ConfigError: Directory unwritable or in use, file damaged, locked, or of another
                version or program; the text says what to do next.
        """
        self._directory = DataDirectory(directory)
        self._phase_deadline_s = phase_deadline_s
        self._checkpoint = checkpoint
        self.path = directory / DATABASE_NAME
        try:
            self._thread = StoreThread(lambda: _connect(self.path), queue_max=queue_max)
        except BaseException:
            self._directory.close()
            raise

    @property
    def queue_length(self) -> int:
        """Jobs waiting for the store's thread."""
        return self._thread.queue_length

    def close(self) -> bool:
        """Finish what is queued and give the directory back; False when the disk hung."""
        finished = self._thread.close()
        self._directory.close()
        return finished

    # ------------------------------------------------------------------------------- phases

    async def persist(self, phase: Phase) -> None:
        """Keep a whole phase in one transaction, on disk when this returns.

        Repeating a phase is harmless: entries are known by id, everything else is replaced.

        Raises:
            StoreError: Not kept, or not within the deadline (it may then still be kept later).
        """

        def job(connection: sqlite3.Connection) -> None:
            with _Transaction(connection, durable=True):
                self._checkpoint("phase.begun")
                _write_phase(connection, phase)
                self._checkpoint("phase.written")
            self._checkpoint("phase.committed")

        rows = len(phase.rule_states) + len(phase.alerts) + len(phase.entries)
        deadline_s = self._phase_deadline_s + rows * ROW_ALLOWANCE_S
        await self._call(job, "keep a phase", deadline_s, write=True)

    async def rule_states(self) -> tuple[RuleStateRow, ...]:
        """Every kept rule state, by rule and subject."""
        return await self._read(
            "read the rule states",
            lambda connection: tuple(
                RuleStateRow(rule=rule, subject=subject, definition_hash=digest, state=state)
                for rule, subject, digest, state in connection.execute(
                    "SELECT rule, subject, definition_hash, state FROM rule_states"
                    " ORDER BY rule, subject"
                )
            ),
        )

    async def alerts(self) -> tuple[AlertRow, ...]:
        """The alerts that were being sent, firing and lately resolved, by identity."""
        return await self._read(
            "read the alerts",
            lambda connection: tuple(
                AlertRow(identity=identity, alert=alert)
                for identity, alert in connection.execute(
                    "SELECT identity, alert FROM alerts ORDER BY identity"
                )
            ),
        )

    async def memories(self) -> dict[str, bytes]:
        """Named snapshots of the engine (drawdown peaks and the like)."""
        return await self._read(
            "read the memories",
            lambda connection: dict(
                connection.execute("SELECT name, memory FROM memories ORDER BY name").fetchall()
            ),
        )

    async def last_phase_ns(self) -> EngineNs | None:
        """When a rule state or a memory was last kept: the start of the gap of a restart; None if
        new."""
        return await self._read("read the time of the last phase", _read_last_phase_ns)

    # ------------------------------------------------------------------------------- outbox

    async def pending(self) -> tuple[PendingDelivery, ...]:
        """Every unsettled (entry, channel), most urgent and then oldest first."""
        return await self._read("read the outbox", _read_pending)

    async def mark(
        self,
        marks: tuple[DeliveryMark, ...],
        entries: tuple[OutboxEntry, ...] = (),
        owed: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Note what became of deliveries; keep new entries; owe known ones to more channels.

        A mark for an entry that was never kept is ignored: its page left without the store.
        """

        def job(connection: sqlite3.Connection) -> None:
            with _Transaction(connection, durable=bool(entries)):
                _insert_entries(connection, entries)
                connection.executemany(
                    "INSERT OR IGNORE INTO deliveries (entry_id, channel, state)"
                    " SELECT id, ?2, 'pending' FROM outbox WHERE id = ?1",
                    owed,
                )
                connection.executemany(
                    "UPDATE deliveries SET state = ?3, attempts = ?4, last_error = ?5,"
                    " next_try_ns = ?6, delivered_at_ns = ?7"
                    " WHERE entry_id = ?1 AND channel = ?2",
                    [_mark_values(mark) for mark in marks],
                )

        await self._call(job, "note deliveries", READ_DEADLINE_S, write=True)

    async def prune(self, before_ns: EngineNs) -> int:
        """Forget entries made before ``before_ns`` that are settled everywhere; gives how many."""

        def job(connection: sqlite3.Connection) -> int:
            with _Transaction(connection, durable=False):
                return connection.execute(
                    "DELETE FROM outbox WHERE created_ns < ? AND NOT EXISTS"
                    " (SELECT 1 FROM deliveries WHERE entry_id = id AND state = 'pending')",
                    (before_ns,),
                ).rowcount

        return await self._call(job, "prune the outbox", READ_DEADLINE_S, write=False)

    # -------------------------------------------------------------------------------- facts

    async def remember_venue(self, venue: str, now: EngineNs) -> None:
        """The venue answered; only the first contact is kept."""

        def job(connection: sqlite3.Connection) -> None:
            with _Transaction(connection, durable=False):
                connection.execute(
                    "INSERT OR IGNORE INTO known_venues (venue, first_contact_ns) VALUES (?, ?)",
                    (venue, now),
                )

        await self._call(job, "remember a venue", READ_DEADLINE_S, write=True)

    async def known_venues(self) -> dict[str, EngineNs]:
        """Venues that answered at least once, with the first time. A restart during the outage of
        one of them starts blind; a venue never reached is taken for a mistake of the config."""
        return await self._read(
            "read the known venues",
            lambda connection: dict(
                connection.execute(
                    "SELECT venue, first_contact_ns FROM known_venues ORDER BY venue"
                ).fetchall()
            ),
        )

    async def put_value(self, name: str, value: bytes) -> None:
        """Keep a small value by name, on disk when this returns."""

        def job(connection: sqlite3.Connection) -> None:
            with _Transaction(connection, durable=True):
                connection.execute(
                    "INSERT OR REPLACE INTO kv (name, value) VALUES (?, ?)", (name, value)
                )

        await self._call(job, f"keep {name}", READ_DEADLINE_S, write=True)

    async def value(self, name: str) -> bytes | None:
        """The value kept by that name; None where there is none."""

        def job(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT value FROM kv WHERE name = ?", (name,)).fetchone()
            return bytes(row[0]) if row else None

        return await self._read(f"read {name}", job)

    async def writable(self) -> bool:
        """True when a transaction commits within the phase deadline; for readiness."""

        def job(connection: sqlite3.Connection) -> None:
            with _Transaction(connection, durable=True):
                connection.execute("INSERT OR REPLACE INTO kv VALUES ('writable', x'01')")

        try:
            await self._call(job, "write", self._phase_deadline_s, write=False)
        except StoreError:
            return False
        return True

    async def _read(self, what: str, job: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._call(job, what, READ_DEADLINE_S, write=False)

    async def _call(
        self,
        job: Callable[[sqlite3.Connection], Result],
        what: str,
        deadline_s: float,
        *,
        write: bool,
    ) -> Result:
        return await self._thread.call(job, what=what, deadline_s=deadline_s, write=write)


class _Transaction:
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


def _connect(path: Path) -> sqlite3.Connection:
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
        f"{path} is damaged ({text}). Move it and its -wal and -shm files aside, keep them, and "
        "start again: rule timers, firing states and undelivered pages start anew."
    )


def _write_phase(connection: sqlite3.Connection, phase: Phase) -> None:
    connection.executemany(
        "DELETE FROM rule_states WHERE rule = ? AND subject = ?", phase.rule_states_gone
    )
    connection.executemany(
        "INSERT OR REPLACE INTO rule_states VALUES (?, ?, ?, ?, ?)",
        [
            (row.rule, row.subject, row.definition_hash, row.state, phase.at_ns)
            for row in phase.rule_states
        ],
    )
    connection.executemany(
        "DELETE FROM alerts WHERE identity = ?", [(identity,) for identity in phase.alerts_gone]
    )
    connection.executemany(
        "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?)",
        [(row.identity, row.alert, phase.at_ns) for row in phase.alerts],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO memories VALUES (?, ?, ?)",
        [(name, memory, phase.at_ns) for name, memory in phase.memories],
    )
    _insert_entries(connection, phase.entries)


def _insert_entries(connection: sqlite3.Connection, entries: tuple[OutboxEntry, ...]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?)",
        [
            (entry.id, entry.identity, entry.urgency, entry.created_ns, entry.notice)
            for entry in entries
        ],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO deliveries (entry_id, channel, state) VALUES (?, ?, 'pending')",
        [(entry.id, channel) for entry in entries for channel in entry.channels],
    )


def _mark_values(mark: DeliveryMark) -> tuple[str | int | None, ...]:
    return (
        mark.entry_id,
        mark.channel,
        mark.state.value,
        mark.attempts,
        mark.error,
        mark.next_try_ns,
        mark.at_ns if mark.state is DeliveryState.DELIVERED else None,
    )


def _read_last_phase_ns(connection: sqlite3.Connection) -> int | None:
    newest: int | None
    (newest,) = connection.execute(
        "SELECT max(at_ns) FROM"
        " (SELECT at_ns FROM rule_states UNION ALL SELECT at_ns FROM memories)"
    ).fetchone()
    return newest


def _read_pending(connection: sqlite3.Connection) -> tuple[PendingDelivery, ...]:
    owed: dict[str, list[str]] = {}
    for entry_id, channel in connection.execute(
        "SELECT entry_id, channel FROM deliveries WHERE entry_id IN"
        " (SELECT entry_id FROM deliveries WHERE state = 'pending') ORDER BY entry_id, channel"
    ):
        owed.setdefault(entry_id, []).append(channel)
    found = []
    for entry_id, identity, urgency, created_ns, notice, channel, attempts in connection.execute(
        "SELECT id, identity, urgency, created_ns, notice, channel, attempts"
        " FROM deliveries JOIN outbox ON id = entry_id WHERE state = 'pending'"
        " ORDER BY urgency, created_ns, id, channel"
    ):
        entry = OutboxEntry(
            id=entry_id,
            identity=identity,
            urgency=urgency,
            created_ns=created_ns,
            notice=notice,
            channels=tuple(owed[entry_id]),
        )
        found.append(PendingDelivery(entry=entry, channel=channel, attempts=attempts))
    return tuple(found)
