"""The kill switch's state in two places: numbered phases, what waits for the store, the choice.

A phase that the store cannot keep is not lost: it goes into the second copy, and every later kill
phase takes it along until the store has it. Numbers go up over restarts, so of two states of one
store it is known which is newer.
"""

from __future__ import annotations

import enum
import sqlite3
import threading
from collections.abc import Callable

import msgspec

from monitor.core.errors import MonitorError
from monitor.core.killswitch.facts import AuditEntry
from monitor.core.ports import Phase
from monitor.core.types import EngineNs
from monitor.store.audit import AuditHead, AuditStamp, append, lost_entry, read_lineage
from monitor.store.rows import write_phase
from monitor.store.second_copy import KillCopy

UNKEPT_MAX = 10_000  # entries of either kind that wait for a store that keeps nothing
# A store that could not be read may have been a few phases ahead of its copy: numbers given without
# it start so far above that they are newer than any of those.
UNREADABLE_STEP = 1_000_000

MoreRestrictive = Callable[[bytes, bytes], bytes]
"""Gives the more restrictive of two packed states, or a union of both; the first, which is the
newer, where they restrict alike. It prefers a state that it can read to one that it cannot."""


class KillSource(enum.StrEnum):
    """Where a restored state came from."""

    NOTHING = "nothing"
    STORE = "store"
    SECOND = "second copy"
    UNION = "both"


class RestoredKill(msgspec.Struct, frozen=True, kw_only=True):
    """The kill switch's state after a restart, from where it came and why.

    ``problem`` is not empty where one of the two places cannot be read: something newer and more
    restrictive may have stood there. Start in REDUCE_ONLY, and page it. ``unkept`` is what the
    second copy alone has: alerts to go on with, and pages that may never have left.
    """

    state: bytes | None
    at_ns: EngineNs
    source: KillSource
    why: str
    problem: str = ""
    unkept: Phase | None = None

    @property
    def copied(self) -> bool:
        """True where the second copy had more than the store."""
        return self.source in {KillSource.SECOND, KillSource.UNION}


class KillLedger:
    """The numbers of kill phases, and as one phase all that the store has not kept yet. Used by the
    loop and by the store's thread."""

    def __init__(self, store: KillCopy, copy: KillCopy | None, *, readable: bool) -> None:
        """Go on from what the store and its copy hold; an unreadable store holds nothing."""
        self._lock = threading.Lock()
        self._lineage = store.lineage if readable or copy is None else copy.lineage
        self._number = max(store.sequence, copy.sequence if copy else 0)
        if not readable:
            self._number += UNREADABLE_STEP
        newest, self._unkept = store, None
        if copy is not None and not (_same(store, copy) and copy.sequence <= store.sequence):
            # What the copy alone has is kept with the next phase.
            newest, self._unkept = copy, copy.unkept
        self._state, self._at_ns = newest.state, newest.at_ns
        self._lost = 0

    @property
    def unkept(self) -> bool:
        """True while something waits for the store."""
        return self._unkept is not None

    @property
    def waiting(self) -> Phase | None:
        """What waits for the store; None while nothing does."""
        return self._unkept

    def settle(self, state: bytes | None) -> None:
        """Note the state that was chosen at the restart."""
        with self._lock:
            self._state = state

    def begin(self, phase: Phase) -> int:
        """Give ``phase`` its number; it waits from now on, with whatever waited before it."""
        with self._lock:
            self._number += 1
            self._at_ns = max(self._at_ns, phase.at_ns)
            if phase.kill_state is not None:
                self._state = phase.kill_state
            self._unkept = self._bounded(_joined(self._unkept, phase))
            return self._number

    def due(self, phase: Phase) -> tuple[Phase, tuple[AuditEntry, ...]]:
        """What is to be kept at the turn of ``phase``: itself with what waited before it, and the
        record of what was given up meanwhile."""
        with self._lock:
            lost = (lost_entry(self._at_ns, self._lost),) if self._lost else ()
            whole = phase if self._unkept is None else _joined(self._unkept, phase)
            return msgspec.structs.replace(whole, kill_state=self._state), lost

    def kept(self, number: int) -> None:
        """The store has everything up to ``number``."""
        with self._lock:
            if number == self._number:
                self._unkept, self._lost = None, 0

    def copy(self) -> KillCopy:
        """What the second copy should say now."""
        with self._lock:
            return KillCopy(
                lineage=self._lineage,
                sequence=self._number,
                at_ns=self._at_ns,
                state=self._state,
                unkept=self._unkept,
            )

    def renewed(self, state: bytes, at_ns: EngineNs) -> KillCopy:
        """What the second copy should say of a state that came by no phase."""
        self.begin(Phase(at_ns=at_ns, kill_state=state))
        return self.copy()

    def _bounded(self, phase: Phase) -> Phase:
        surplus = max(0, len(phase.audit) - UNKEPT_MAX)
        self._lost += surplus
        return msgspec.structs.replace(
            phase, audit=phase.audit[surplus:], entries=phase.entries[-UNKEPT_MAX:]
        )


def _joined(first: Phase | None, then: Phase) -> Phase:
    """Both as one phase without a kill state: what occurs in both stands in it once."""
    if first is None:
        return msgspec.structs.replace(then, kill_state=None)
    gone = set(then.alerts_gone)
    renewed = {row.identity for row in then.alerts}
    states = {(row.rule, row.subject): row for row in (*first.rule_states, *then.rule_states)}
    alerts = {row.identity: row for row in (*first.alerts, *then.alerts)}
    return Phase(
        at_ns=max(first.at_ns, then.at_ns),
        rule_states=tuple(states[key] for key in states if key not in then.rule_states_gone),
        rule_states_gone=tuple(dict.fromkeys((*first.rule_states_gone, *then.rule_states_gone))),
        alerts=tuple(row for name, row in alerts.items() if name in renewed or name not in gone),
        alerts_gone=tuple(dict.fromkeys((*first.alerts_gone, *then.alerts_gone))),
        entries=tuple({entry.id: entry for entry in (*first.entries, *then.entries)}.values()),
        memories=tuple({**dict(first.memories), **dict(then.memories)}.items()),
        audit=tuple(dict.fromkeys((*first.audit, *then.audit))),
    )


def read_standing(connection: sqlite3.Connection) -> KillCopy:
    """What the store's file holds of the kill switch; sequence 0 where nothing was kept yet."""
    row = connection.execute("SELECT sequence, at_ns, state FROM kill_state").fetchone()
    sequence, at_ns, state = row or (0, 0, None)
    return KillCopy(lineage=read_lineage(connection), sequence=sequence, at_ns=at_ns, state=state)


def write_kill_phase(
    connection: sqlite3.Connection,
    ledger: KillLedger,
    number: int,
    phase: Phase,
    stamp: AuditStamp,
) -> AuditHead | None:
    """Phase ``number`` and what waited before it, in the caller's transaction; gives the audit's
    head."""
    whole, lost = ledger.due(phase)
    write_phase(connection, whole)
    connection.execute(
        "INSERT INTO kill_state VALUES (1, ?1, ?2, ?3) ON CONFLICT (id) DO UPDATE"
        " SET sequence = ?1, at_ns = ?2, state = coalesce(?3, state)",
        (number, whole.at_ns, whole.kill_state),
    )
    return append(connection, (*whole.audit, *lost), stamp)


def choose(
    store: KillCopy, copy: KillCopy | None, more_restrictive: MoreRestrictive
) -> RestoredKill:
    """The state to go on with.

    A copy that is no newer than its own store adds nothing. (Were the more restrictive taken there
    too, a re-arm whose copy could not be written would be undone by each restart.) Otherwise the
    two disagree, and the more restrictive wins.
    """
    if copy is None or copy.state is None:
        if store.state is None:
            return _restored(store, KillSource.NOTHING, "Nothing was kept yet.")
        return _restored(store, KillSource.STORE, "Only the store has a state.")
    if store.state is None:
        return _restored(copy, KillSource.SECOND, "Only the second copy has a state.")
    if store.state == copy.state:
        return _restored(store, KillSource.STORE, "The store and its copy agree.")
    if not _same(store, copy):
        copy_newer = copy.at_ns > store.at_ns
        text = "They disagree: the copy was written beside another store"
    elif store.sequence >= copy.sequence:
        text = f"The store is newer: phase {store.sequence}, its copy {copy.sequence}."
        return _restored(store, KillSource.STORE, text)
    else:
        copy_newer = True
        text = f"They disagree: the store has phase {store.sequence}, the copy {copy.sequence}"
    newer, older = (copy.state, store.state) if copy_newer else (store.state, copy.state)
    try:
        state = more_restrictive(newer, older)
        text += "; the more restrictive counts."
    except (ValueError, MonitorError, msgspec.MsgspecError) as error:
        state = newer
        text += f"; they cannot be compared ({error}), the newer counts."
    sources = {store.state: KillSource.STORE, copy.state: KillSource.SECOND}
    return RestoredKill(
        state=state,
        at_ns=max(store.at_ns, copy.at_ns),
        source=sources.get(state, KillSource.UNION),
        why=text,
    )


def _restored(place: KillCopy, source: KillSource, why: str) -> RestoredKill:
    return RestoredKill(state=place.state, at_ns=place.at_ns, source=source, why=why)


def _same(store: KillCopy, copy: KillCopy) -> bool:
    return bool(store.lineage) and store.lineage == copy.lineage
