"""The way of a kill phase: to the store within its deadline, else to the second copy.

Nothing here blocks the loop, and a store that hangs cannot keep the second copy from being written.
"""

from __future__ import annotations

import sqlite3

import msgspec

from monitor.core.errors import StoreError
from monitor.core.ports import Phase
from monitor.core.types import EngineNs
from monitor.store.audit import AuditHead, AuditStamp
from monitor.store.connection import Transaction
from monitor.store.kill import KillLedger, MoreRestrictive, RestoredKill, choose, write_kill_phase
from monitor.store.second_copy import Checkpoint, KillCopy, Second
from monitor.store.thread import StoreThread


class KillKeeper:
    """Keeps kill phases for the store that owns it. Implements ``SecondCopy``."""

    def __init__(
        self,
        thread: StoreThread[sqlite3.Connection],
        second: Second,
        standing: KillCopy,
        *,
        stamp: AuditStamp,
        unreadable: str,
        checkpoint: Checkpoint,
    ) -> None:
        self._thread = thread
        self._second = second
        self._standing = standing
        self._stamp = stamp
        self._unreadable = unreadable
        self._checkpoint = checkpoint
        self._copy, self._copy_unreadable = second.restore()
        self._ledger = KillLedger(standing, self._copy, readable=not unreadable)
        self.head: AuditHead | None = None

    @property
    def unkept(self) -> bool:
        """True while something of the kill switch waits for the store."""
        return self._ledger.unkept

    @property
    def copied_ns(self) -> EngineNs | None:
        """The time of the phase in the copy that was found at the start."""
        return self._copy.at_ns if self._copy else None

    def restore(self, more_restrictive: MoreRestrictive) -> RestoredKill:
        """The state to go on with; see ``Store.restore_kill_state``."""
        chosen = choose(self._standing, self._copy, more_restrictive)
        self._ledger.settle(chosen.state)
        problem = " ".join(filter(None, (self._unreadable, self._copy_unreadable)))
        return msgspec.structs.replace(chosen, problem=problem, unkept=self._ledger.waiting)

    async def persist(self, phase: Phase, *, deadline_s: float) -> None:
        """Keep ``phase`` in the store, with what was not kept before it.

        Raises:
            StoreError: Not in time; it may still be kept later, by itself or with the next.
        """
        number = self._ledger.begin(phase)
        if self._unreadable:
            raise StoreError(f"The store could not keep a phase: {self._unreadable}")
        await self._thread.call(
            lambda connection: self._keep(connection, number, phase),
            what="keep a phase",
            deadline_s=deadline_s,
            write=True,
            urgent=True,
        )

    async def write(self, state: bytes, at_ns: EngineNs) -> None:
        """Keep the state in the second copy, with all that waits for the store; durable when this
        returns.

        Raises:
            StoreError: It is not, or not in time.
        """
        copy = self._ledger.copy()
        if state != copy.state:
            copy = self._ledger.renewed(state, at_ns)
        await self._second.keep(copy)

    def _keep(self, connection: sqlite3.Connection, number: int, phase: Phase) -> None:
        try:
            with Transaction(connection, durable=True):
                self._checkpoint("phase.begun")
                head = write_kill_phase(connection, self._ledger, number, phase, self._stamp)
                self._checkpoint("phase.written")
        except (ValueError, TypeError, OverflowError) as error:
            # A text or number that SQLite has no form for is no reason for the caller to end.
            raise StoreError(f"The store could not keep a phase: {error}.") from error
        self._checkpoint("phase.committed")
        self._ledger.kept(number)
        if head is not None and head != self.head:
            self.head = head
            self._second.anchor(head)
        self._second.mirror(self._ledger.copy())
