"""The kill switch's six levels, and which of them each action of a rule asks for.

Only the vocabulary stands here; the state machine that moves between levels is elsewhere. *Pure.*
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from monitor.core.decision import ActionLevel


class Level(enum.IntEnum):
    """How much trading is still allowed, least restrictive first; a higher level wins."""

    NORMAL = 0
    CAUTION = 1  # alerts, lower caps, no new venues
    REDUCE_ONLY = 2  # risk-increasing orders blocked and cancelled; protective stops stay
    CUT = 3  # REDUCE_ONLY, and gross exposure is reduced by plan
    HALT = 4  # every order but reduce-only triggers is cancelled; positions stay
    FLATTEN = 5  # HALT, and the book is unwound to flat by plan


LEVEL_OF_ACTION: Mapping[ActionLevel, Level] = {
    # A page tells people; it takes nothing away from the trading system.
    ActionLevel.PAGE: Level.NORMAL,
    ActionLevel.HOLD: Level.REDUCE_ONLY,
    ActionLevel.BLOCK_NEW: Level.REDUCE_ONLY,
    ActionLevel.CUT: Level.CUT,
    ActionLevel.HALT: Level.HALT,
    ActionLevel.FLATTEN: Level.FLATTEN,
}

# A hold releases by itself after fresh data; everything in here needs a person to clear.
LATCHING: frozenset[ActionLevel] = frozenset(
    {ActionLevel.BLOCK_NEW, ActionLevel.CUT, ActionLevel.HALT, ActionLevel.FLATTEN},
)

# Levels that trade or strip orders: one observation, or an estimate, is never enough for them.
CONFIRMATION_REQUIRED: frozenset[ActionLevel] = frozenset(
    {ActionLevel.CUT, ActionLevel.HALT, ActionLevel.FLATTEN},
)
