"""Phases, outbox entries and delivery marks as rows, and back. Callers own the transaction."""

from __future__ import annotations

import sqlite3

from monitor.core.ports import DeliveryMark, DeliveryState, OutboxEntry, PendingDelivery, Phase


def write_phase(connection: sqlite3.Connection, phase: Phase) -> None:
    """Everything of a phase but its kill state and its audit entries."""
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
    # A kill phase overtakes ordinary ones in the queue: an older word must not replace its own.
    connection.executemany(
        "DELETE FROM alerts WHERE identity = ? AND at_ns <= ?",
        [(identity, phase.at_ns) for identity in phase.alerts_gone],
    )
    connection.executemany(
        "INSERT INTO alerts VALUES (?1, ?2, ?3) ON CONFLICT (identity) DO UPDATE"
        " SET alert = ?2, at_ns = ?3 WHERE at_ns <= ?3",
        [(row.identity, row.alert, phase.at_ns) for row in phase.alerts],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO memories VALUES (?, ?, ?)",
        [(name, memory, phase.at_ns) for name, memory in phase.memories],
    )
    insert_entries(connection, phase.entries)


def insert_entries(connection: sqlite3.Connection, entries: tuple[OutboxEntry, ...]) -> None:
    """Owe new entries to their channels; one that is known by id is left as it is."""
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


def mark_values(mark: DeliveryMark) -> tuple[str | int | None, ...]:
    """A mark in the order that the update of ``deliveries`` wants."""
    return (
        mark.entry_id,
        mark.channel,
        mark.state.value,
        mark.attempts,
        mark.error,
        mark.next_try_ns,
        mark.at_ns if mark.state is DeliveryState.DELIVERED else None,
    )


def read_last_phase_ns(connection: sqlite3.Connection) -> int | None:
    """When a rule state, a memory or the kill state was last kept."""
    newest: int | None
    (newest,) = connection.execute(
        "SELECT max(at_ns) FROM"
        " (SELECT at_ns FROM rule_states UNION ALL SELECT at_ns FROM memories"
        " UNION ALL SELECT at_ns FROM kill_state)"
    ).fetchone()
    return newest


def read_pending(connection: sqlite3.Connection) -> tuple[PendingDelivery, ...]:
    """Every unsettled (entry, channel), most urgent and then oldest first."""
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
