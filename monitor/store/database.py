"""The store: rule states, alerts, outbox, memories, kill switch and audit in one SQLite file.

What latches or pages is committed with ``synchronous=FULL``: after ``persist`` returned, neither
``kill -9`` nor a power cut loses it. Delivery marks use ``NORMAL``: one that is lost costs a repeat
under the same id, never a page. Everything runs on the store's own thread; the second copy of the
kill switch's state and the audit's anchor have another, since they must work while this one hangs.
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
    OutboxEntry,
    PendingDelivery,
    Phase,
    RuleStateRow,
    SecondCopy,
)
from monitor.core.types import EngineNs
from monitor.store.audit import AuditHead, AuditRecord, AuditStamp, read_head, read_rows
from monitor.store.audit_check import anchor_problem, decode_record, knows_more
from monitor.store.connection import Transaction, connect, connect_nowhere
from monitor.store.directory import DataDirectory, DirectoryInUseError
from monitor.store.kill import MoreRestrictive, RestoredKill, read_standing
from monitor.store.kill_keeper import KillKeeper
from monitor.store.rows import (
    insert_entries,
    mark_values,
    read_last_phase_ns,
    read_pending,
    write_phase,
)
from monitor.store.second_copy import Checkpoint, KillCopy, Second
from monitor.store.thread import QUEUE_MAX, StoreThread

DATABASE_NAME = "riskd.db"
PHASE_DEADLINE_S = 0.25
KILL_DEADLINE_S = 0.25  # what a kill phase may wait for its record (design.md §3)
ROW_ALLOWANCE_S = 0.0005  # on top for each row: a storm of 5 000 alerts is no failing disk
READ_DEADLINE_S = 10.0  # restoring at start may read a lot

Result = TypeVar("Result")


def _no_checkpoint(_name: str) -> None:
    """Production has nothing to do at the points where tests kill the process."""


class Store:
    """The asynchronous face of the store. Implements ``PhaseStore`` and ``Outbox``.

    ``unreadable`` says why the file could not be opened where ``open_or_unreadable`` made this; it
    is then empty, keeps nothing, and kill phases go to the second copy. ``audit_problem`` says what
    was found wrong at the audit's end. Both are empty in good times, and worth a page otherwise.
    ``older``: the audit's anchor has records that this file has not.
    """

    def __init__(
        self,
        directory: Path,
        *,
        second_directory: Path | None = None,
        stamp: AuditStamp | None = None,
        phase_deadline_s: float = PHASE_DEADLINE_S,
        kill_deadline_s: float = KILL_DEADLINE_S,
        queue_max: int = QUEUE_MAX,
        checkpoint: Checkpoint = _no_checkpoint,
        unreadable: str = "",
    ) -> None:
        """Open (or make) the store in ``directory``, check it and bring it to this version.

        Blocks while the file is checked; call it before the event loop has work.

        Args:
            directory: Held by this process alone until ``close``.
            second_directory: Where the kill switch's second copy and the audit's anchor go, best on
                another disk; None is ``directory`` too.
            stamp: What each audit record carries of this process, and the key of its head.
            phase_deadline_s: Real seconds that ``persist`` may take, besides half a millisecond
                for each row.
            kill_deadline_s: Likewise for a phase of the kill switch.
            queue_max: Jobs that may wait for the thread.
            checkpoint: Told the name of each point of a transaction as it is passed.
            unreadable: Why the file is left alone; ``open_or_unreadable`` gives it.

        Raises:
            ConfigError: Directory unwritable or in use (``DirectoryInUseError``), file damaged,
                locked, or of another version or program; the text says what to do next.
        """
        self.path = directory / DATABASE_NAME
        self.unreadable = unreadable
        self._phase_deadline_s = phase_deadline_s
        self._kill_deadline_s = kill_deadline_s
        self._checkpoint = checkpoint
        self._directory = _hold(directory, must=not unreadable)
        standing = KillCopy(lineage="", sequence=0, at_ns=0, state=None)
        head: AuditHead | None = None

        def opened() -> sqlite3.Connection:
            nonlocal standing, head
            if unreadable:
                return connect_nowhere(self.path)
            connection = connect(self.path)
            standing, head = read_standing(connection), read_head(connection)
            return connection

        try:
            self._thread = StoreThread(opened, queue_max=queue_max)
        except BaseException:
            self._release()
            raise
        self._audit_head = head
        self._apart = second_directory not in {None, directory}
        self._second = Second(second_directory or directory, checkpoint=checkpoint)
        self._kill = KillKeeper(
            self._thread,
            self._second,
            standing,
            stamp=stamp or AuditStamp(),
            unreadable=unreadable,
            checkpoint=checkpoint,
        )
        self.audit_problem, self.older = "", False
        if not unreadable:
            anchor = self._second.anchor_path
            self.audit_problem = anchor_problem(head, standing.lineage, anchor)
            self.older = knows_more(anchor, head, standing.lineage)
            if head is None:
                self._second.anchor_new_file(standing.lineage)

    @property
    def queue_length(self) -> int:
        """Jobs waiting for the store's thread."""
        return self._thread.queue_length

    def close(self, *, unused: bool = False) -> bool:
        """Finish what is queued and give the directory back; False when the disk hung.

        ``unused``: nothing came of opening it. A directory that was made for it is removed, unless
        something is on record by now, or the other copy is elsewhere and tells of this one.
        """
        finished = self._thread.close()
        finished = self._second.close() and finished
        forget = unused and finished and self.audit_head is None and not self._apart
        if forget and self._directory is not None:
            self._directory.remove()
        self._release()
        return finished

    def _release(self) -> None:
        if self._directory is not None:
            self._directory.close()

    # ------------------------------------------------------------------------------- phases

    async def persist(self, phase: Phase) -> None:
        """Keep a whole phase in one transaction, on disk when this returns.

        Repeating a phase is harmless: outbox and audit entries are known by id, everything else is
        replaced. One of the kill switch has a deadline of its own, goes before all others that
        wait, and takes along what could not be kept of those before it.

        Raises:
            StoreError: Not kept, or not within the deadline (it may then still be kept later).
        """
        rows = len(phase.rule_states) + len(phase.alerts) + len(phase.entries)
        if phase.kill_state is not None or phase.audit:
            deadline_s = self._kill_deadline_s + rows * ROW_ALLOWANCE_S
            await self._kill.persist(phase, deadline_s=deadline_s)
            return

        def job(connection: sqlite3.Connection) -> None:
            with Transaction(connection, durable=True):
                self._checkpoint("phase.begun")
                write_phase(connection, phase)
                self._checkpoint("phase.written")
            self._checkpoint("phase.committed")

        deadline_s = self._phase_deadline_s + rows * ROW_ALLOWANCE_S
        await self._call(job, "keep a phase", deadline_s, write=True)

    # -------------------------------------------------------------------------- kill switch

    @property
    def second_copy(self) -> SecondCopy:
        """Where a kill phase goes that ``persist`` could not keep. It is kept in the store too,
        with the next one that is."""
        return self._kill

    @property
    def kill_unkept(self) -> bool:
        """True while something of the kill switch is not in the store."""
        return self._kill.unkept

    @property
    def second_problem(self) -> str:
        """Why the second copy or the audit's anchor could not be written last; else empty."""
        return self._second.problem

    @property
    def audit_head(self) -> AuditHead | None:
        """The newest audit record's place in the chain, to be noted elsewhere; None if none."""
        return self._kill.head or self._audit_head

    def restore_kill_state(self, more_restrictive: MoreRestrictive) -> RestoredKill:
        """The state to go on with after a restart, of the store's and the second copy's.

        Call it once, before the first kill phase, and enforce the state before anything connects.
        Then ``persist`` it, with an audit entry of the restart: what only the copy had is kept
        along with it.

        Args:
            more_restrictive: Compares two packed states; see ``MoreRestrictive``.
        """
        return self._kill.restore(more_restrictive)

    async def audit_of(self, trip_id: str) -> tuple[AuditRecord, ...]:
        """What is on record of one trip, oldest first."""

        def job(connection: sqlite3.Connection) -> tuple[AuditRecord, ...]:
            rows = read_rows(connection, containing=trip_id)
            records = (decode_record(row) for row in rows)
            return tuple(one for one in records if one.trip_id == trip_id)

        return await self._read(f"read the audit of {trip_id}", job)

    # -------------------------------------------------------------------------------- reads

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
        """When a rule state, a memory or a kill phase was last kept: the start of the gap of a
        restart; None if new."""
        kept_ns = await self._read("read the time of the last phase", read_last_phase_ns)
        copied_ns = self._kill.copied_ns
        return max(kept_ns or 0, copied_ns or 0) or kept_ns

    # ------------------------------------------------------------------------------- outbox

    async def pending(self) -> tuple[PendingDelivery, ...]:
        """Every unsettled (entry, channel), most urgent and then oldest first."""
        return await self._read("read the outbox", read_pending)

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
            with Transaction(connection, durable=bool(entries)):
                insert_entries(connection, entries)
                connection.executemany(
                    "INSERT OR IGNORE INTO deliveries (entry_id, channel, state)"
                    " SELECT id, ?2, 'pending' FROM outbox WHERE id = ?1",
                    owed,
                )
                connection.executemany(
                    "UPDATE deliveries SET state = ?3, attempts = ?4, last_error = ?5,"
                    " next_try_ns = ?6, delivered_at_ns = ?7"
                    " WHERE entry_id = ?1 AND channel = ?2",
                    [mark_values(mark) for mark in marks],
                )

        await self._call(job, "note deliveries", READ_DEADLINE_S, write=True)

    async def prune(self, before_ns: EngineNs) -> int:
        """Forget entries made before ``before_ns`` that are settled everywhere; gives how many."""

        def job(connection: sqlite3.Connection) -> int:
            with Transaction(connection, durable=False):
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
            with Transaction(connection, durable=False):
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

    async def remember_once(self, name: str, *, until_s: int, now_s: int) -> bool:
        """Keep ``name`` until the wall clock shows ``until_s``, on disk when this returns; False
        where it was kept already. What has run out by ``now_s`` is forgotten on the way."""

        def job(connection: sqlite3.Connection) -> bool:
            with Transaction(connection, durable=True):
                connection.execute("DELETE FROM seen WHERE until_s < ?", (now_s,))
                return bool(
                    connection.execute(
                        "INSERT OR IGNORE INTO seen VALUES (?, ?)", (name, until_s)
                    ).rowcount
                )

        return await self._call(job, f"remember {name}", self._kill_deadline_s, write=True)

    async def put_value(self, name: str, value: bytes) -> None:
        """Keep a small value by name, on disk when this returns."""

        def job(connection: sqlite3.Connection) -> None:
            with Transaction(connection, durable=True):
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
            with Transaction(connection, durable=True):
                connection.execute("INSERT OR REPLACE INTO kv VALUES ('writable', x'01')")

        if self.unreadable:
            return False
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
        if write and self.unreadable:
            raise StoreError(f"The store could not {what}: {self.unreadable}")
        return await self._thread.call(job, what=what, deadline_s=deadline_s, write=write)


def open_or_unreadable(
    directory: Path,
    *,
    second_directory: Path | None = None,
    stamp: AuditStamp | None = None,
    phase_deadline_s: float = PHASE_DEADLINE_S,
    kill_deadline_s: float = KILL_DEADLINE_S,
) -> Store:
    """A store in any case: where the file cannot be opened, ``unreadable`` of what is given says
    why, it is empty, and whatever is to be kept raises ``StoreError``.

    For a daemon that is armed: it must start, in REDUCE_ONLY, and page, since what was latched may
    be in that file. (``restore_kill_state`` then gives what the second copy has, with a
    ``problem``.) One that only observes opens ``Store`` itself and refuses to start.

    Raises:
        DirectoryInUseError: Another riskd runs on the directory; two of them must never act.
    """

    def opened(unreadable: str) -> Store:
        return Store(
            directory,
            second_directory=second_directory,
            stamp=stamp,
            phase_deadline_s=phase_deadline_s,
            kill_deadline_s=kill_deadline_s,
            unreadable=unreadable,
        )

    try:
        return opened("")
    except ConfigError as error:
        # In a directory that is in use this raises again.
        return opened(str(error))


def _hold(directory: Path, *, must: bool) -> DataDirectory | None:
    """The directory's lock; None where it cannot be had and need not."""
    try:
        return DataDirectory(directory)
    except DirectoryInUseError:
        raise
    except ConfigError:
        if must:
            raise
        return None
