"""Whether a riskd that could act ever ran on a data directory: read from its files, before they are
opened, and never written.

What cannot be read may have latched something, so it counts.
"""

from __future__ import annotations

from pathlib import Path

from monitor.core.errors import StoreError
from monitor.core.killswitch.state import unpack
from monitor.store.audit import canonical_json
from monitor.store.audit_check import open_for_reading
from monitor.store.database import DATABASE_NAME
from monitor.store.kill import read_standing
from monitor.store.second_copy import read_copy

STARTED, ARMED_REASON = "started", "mode armed"  # how a start is recorded


def may_have_acted(data: Path, second: Path) -> bool:
    """True where something is latched or held, or an armed riskd was started once, or nobody can
    tell.

    Args:
        data: The data directory; it need not be there.
        second: Where the second copy is; the same where there is no other place.
    """
    try:
        copy = read_copy(second)
        if copy is not None and _restricts(copy.state):
            return True
        if not (data / DATABASE_NAME).exists():
            return False
        with open_for_reading(data / DATABASE_NAME) as connection:
            if _restricts(read_standing(connection).state):
                return True
            reason = canonical_json({"reason": ARMED_REASON})[1:-1].decode()
            action = canonical_json({"action": STARTED})[1:-1].decode()
            found = connection.execute(
                "SELECT 1 FROM audit WHERE instr(record, ?) AND instr(record, ?) LIMIT 1",
                (action, reason),
            ).fetchone()
    except StoreError:
        return True
    return found is not None


def _restricts(packed: bytes | None) -> bool:
    """Whether a kept state latches or holds anything; ``StoreError`` where it cannot be read."""
    if packed is None:
        return False
    state = unpack(packed)
    return bool(state.latches or state.holds)
