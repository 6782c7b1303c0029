"""What the kill switch goes on with after a restart: of two kept states the more restrictive.
*Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.errors import StoreError
from monitor.core.killswitch.state import KillState, Latch, pack, unpack, unreadable_state
from monitor.core.types import EngineNs


def more_restrictive(newer: bytes, older: bytes) -> bytes:
    """The newer of two packed states, with all that only the older one latches or holds.

    The same bytes come back where the older restricts no more; where one cannot be read, the other
    does (and its reader must be told).

    Raises:
        StoreError: When neither can be read.
    """
    try:
        state = unpack(newer)
    except StoreError:
        unpack(older)
        return older
    try:
        other = unpack(older)
    except StoreError:
        return newer
    latches = dict(state.latches)
    for scope, latch in other.latches.items():
        latches[scope] = latch if scope not in latches else _stricter(latches[scope], latch)
    holds = {**other.holds, **state.holds}
    # A pull that the older one knows is in its latches: forgotten, it would be taken twice.
    pulls = {**other.pulls, **state.pulls}
    regrowth = {**other.regrowth, **state.regrowth}
    union = msgspec.structs.replace(
        state, latches=latches, holds=holds, pulls=pulls, regrowth=regrowth
    )
    union.sequence = max(state.sequence, other.sequence)
    packed = pack(union)
    return newer if packed == pack(state) else packed


def state_after_restart(
    packed: bytes | None, *, problem: str, now: EngineNs, acting: bool
) -> tuple[KillState, str]:
    """The state to start with, and why something of it may be missing ("" where nothing is).

    Args:
        packed: What the store and its copy gave; None where nothing was ever kept.
        problem: Why one of the two places could not be read; something stricter may have stood
            there, so everything is REDUCE_ONLY until a person looked.
        now: Engine time.
        acting: False in observe, where nothing is latched that was not before: people are told.
    """
    try:
        state = KillState() if packed is None else unpack(packed)
    except StoreError as error:
        problem, state = f"{error} {problem}".strip(), KillState()
    if not (problem and acting):
        return state, problem
    for scope, latch in unreadable_state(now, problem).latches.items():
        held = state.latches.get(scope)
        state.latches[scope] = latch if held is None else _stricter(held, latch)
    return state, problem


def _stricter(newer: Latch, older: Latch) -> Latch:
    """One latch of both: the stricter's trip, at the lower target, with what may be out of both."""
    if older.trip_id == newer.trip_id and older.level == newer.level:
        return newer
    if older.level > newer.level:
        newer, older = older, newer
    same = [one for one in (newer, older) if one.level is newer.level]
    ratios = [one.gross_to_ratio for one in same if one.gross_to_ratio is not None]
    amounts = [one.gross_to_usd for one in same if one.gross_to_usd is not None]
    runs = dict(newer.runs)
    for key, run in older.runs.items():
        # Orders that may be out must be found out about, whichever trip sent them.
        mine = runs.setdefault(key, run)
        known = {intent.order.client_id for intent in mine.intents}
        missing = [one for one in run.intents if one.order.client_id not in known]
        runs[key] = msgspec.structs.replace(mine, intents=[*mine.intents, *missing])
    return msgspec.structs.replace(
        newer,
        gross_to_ratio=min(ratios, default=None),
        gross_to_usd=min(amounts, default=None),
        runs=runs,
    )
