"""What happened to the legs of hedge sets: fills by force, and positions that vanished.

A leg is *lost* when it went without an order of ours: the venue flags the fill (liquidation,
auto-deleveraging, settlement), or the position is gone and our own fills do not account for it.
Only positions that are legs are followed, so that a desk without hedge sets pays nothing. *Pure.*
"""

from __future__ import annotations

from math import fsum
from typing import TypeVar

from monitor.core.events import FillsReported
from monitor.core.state.facts import LEGS_BIT
from monitor.core.state.model import DAY_NS, AccountState, PositionState, RiskState
from monitor.core.state.structure import ForcedFill, GoneLeg, LegTrail
from monitor.core.structure import HedgeSet
from monitor.core.types import (
    SECOND_NS,
    EngineNs,
    FillKind,
    hedge_set_subject,
    position_subject,
)

# How long our own fills are remembered, and how many at most: far more than between two reports.
OWN_NS = 3600 * SECOND_NS
FILLS_MAX = 2_000
# Fills up to this long before the leg was last known to be held may be those that closed it:
# statements of positions and of fills are not of one instant.
SLACK_NS = 60 * SECOND_NS
# Share of a leg that our own fills must have closed for it to be our doing.
OWN_RATIO_MIN = 0.99

_Fill = TypeVar("_Fill", tuple[int, float], ForcedFill)


def follow_legs(state: RiskState, sets: tuple[HedgeSet, ...]) -> None:
    """Say which positions are legs, before the first event."""
    for one in sets:
        for venue, account, market in one.legs:
            state.structure.leg_sets.setdefault(f"{venue}/{market}", []).append((account, one.name))


def note_fills(
    state: RiskState, account: AccountState, event: FillsReported, now: EngineNs
) -> None:
    """Remember what traded in the legs; called only where there are hedge sets."""
    for fill in event.fills:
        sets = _sets(state, account, fill.market)
        if not sets or fill.time_ns <= now - DAY_NS:
            continue
        trail = _trail(state, account, fill.market)
        if fill.kind is FillKind.TRADE:
            if fill.time_ns > now - OWN_NS:
                trail.own[fill.fill_id] = (fill.time_ns, float(fill.size))
                _shorten(trail.own)
            if trail.gone is None:
                continue
        else:
            trail.forced.setdefault(fill.fill_id, ForcedFill(now, fill.time_ns, fill.kind))
            _shorten(trail.forced)
        _mark(state, sets)


def note_move(
    state: RiskState, account: AccountState, position: PositionState, size: float, now: EngineNs
) -> None:
    """A position is about to become ``size``; called only where there are hedge sets."""
    sets = _sets(state, account, position.market)
    if not sets:
        return
    trail = _trail(state, account, position.market)
    if size == 0.0:
        trail.gone = GoneLeg(size=position.size, held_ns=position.as_of_ns, told_ns=now)
    else:
        trail.gone = None
    _mark(state, sets)


def closed_by_us(trail: LegTrail, gone: GoneLeg) -> bool:
    """Whether our own fills account for what went."""
    since = gone.held_ns - SLACK_NS
    sign = 1.0 if gone.size > 0.0 else -1.0
    closing = fsum(
        -sign * size for time_ns, size in trail.own.values() if time_ns > since and sign * size < 0
    )
    return closing >= OWN_RATIO_MIN * abs(gone.size)


def _sets(state: RiskState, account: AccountState, market: str) -> list[str]:
    named = state.structure.leg_sets.get(f"{account.venue}/{market}")
    if named is None:
        return []
    pool = account.account
    return [name for alias, name in named if pool == alias or pool.startswith(f"{alias}.")]


def _trail(state: RiskState, account: AccountState, market: str) -> LegTrail:
    subject = position_subject(account.venue, account.account, market)
    found = state.structure.legs.get(subject)
    if found is None:
        found = state.structure.legs[subject] = LegTrail()
    return found


def _mark(state: RiskState, sets: list[str]) -> None:
    for name in sets:
        subject = hedge_set_subject(name)
        state.dirty[subject] = state.dirty.get(subject, 0) | LEGS_BIT


def _shorten(fills: dict[str, _Fill]) -> None:
    """Told oldest first."""
    while len(fills) > FILLS_MAX:
        del fills[next(iter(fills))]
