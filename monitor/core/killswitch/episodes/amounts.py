"""How much a cut to an amount leaves: as the measure says it now, or a part of the way there.
*Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.killswitch.planning.legs import gross_in_scope_usd
from monitor.core.killswitch.state import Ask
from monitor.core.killswitch.turn import Turn
from monitor.core.killswitch.words import PARTS, dollars

# Within so much of the goal nothing is left to cut: prices move by more while a person reads.
AMOUNT_SLACK_RATIO = 0.01


def as_of_now(turn: Turn, ask: Ask) -> Ask | None:
    """What was asked for with the amount that it leaves as that is now; None where it is not known
    for certain. A share needs no renewal: it is of the gross at the first entry."""
    if not ask.gross_to_measure:
        return ask
    book = turn.book
    usd = None if book is None else book.amount_usd(ask.gross_to_measure, ask.subject)
    if book is None or usd is None:
        return None
    if ask.part:
        usd = part_usd(gross_in_scope_usd(ask.scope, book), usd, ask.part)
    if usd == ask.gross_to_usd:
        return ask
    evidence = f"{ask.evidence}, {dollars(usd)} now"
    return msgspec.structs.replace(ask, gross_to_usd=usd, evidence=evidence)


def part_usd(gross_usd: float, goal_usd: float, part: int) -> float:
    """What the ``part``-th of a cut in parts leaves, USD: an equal share of all that is left to
    cut, the last one the goal itself. With nothing left to cut it is the goal."""
    left = PARTS - part + 1
    return goal_usd + max(0.0, gross_usd - goal_usd) * (left - 1) / left


def amount_unknown(ask: Ask) -> str:
    """Why a cut to an amount is not made now."""
    return f"{ask.gross_to_measure} of {ask.subject} is not known for certain now"
