"""How much a cut to an amount leaves: as the measure says it now, or a part of the way there.
*Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.killswitch.execution.orders import concerns
from monitor.core.killswitch.planning.legs import gross_in_scope_usd, read_legs
from monitor.core.killswitch.state import Ask
from monitor.core.killswitch.turn import Turn
from monitor.core.killswitch.words import PARTS, dollars
from monitor.core.types import Subject

# Within so much of the goal nothing is left to cut: prices move by more while a person reads.
AMOUNT_SLACK_RATIO = 0.01
LOOK_S = 5.0  # how often what is not known is looked up again


def as_of_now(turn: Turn, ask: Ask) -> Ask | None:
    """What was asked for with the amount that it leaves as that is now; None where it is not known
    for certain. A share needs no renewal: it is of the gross at the first entry."""
    if not ask.gross_to_measure:
        return ask
    usd = goal_usd(turn, ask)
    if usd is None:
        return None
    evidence = f"{ask.evidence}, {dollars(usd)} now"
    if ask.part:
        whole_usd = gross_usd(turn, ask.scope)
        if whole_usd is None:
            return None
        usd, evidence = part_usd(whole_usd, usd, ask.part), ask.evidence
    if usd == ask.gross_to_usd:
        return ask
    return msgspec.structs.replace(ask, gross_to_usd=usd, evidence=evidence)


def goal_usd(turn: Turn, ask: Ask) -> float | None:
    """What the measure of an ask says now, USD; None where that is not known for certain."""
    book = turn.book
    return None if book is None else book.amount_usd(ask.gross_to_measure, ask.subject)


def gross_usd(turn: Turn, scope: Subject) -> float | None:
    """Gross of a scope, USD; None where a position in it has no price, or an account of it that
    orders could be sent for was never read: a part of nobody knows what is no part."""
    book = turn.book
    if book is None:
        return None
    known = {(one.venue, one.account) for one in book.accounts} - set(book.dark)
    if any(
        concerns(scope, *place) and place not in known for place in (*book.executable, *book.dark)
    ):
        return None
    if any(one.price is None for one in read_legs(scope, book) if one.in_scope and one.venue):
        return None
    return gross_in_scope_usd(scope, book)


def part_usd(gross_usd: float, goal_usd: float, part: int) -> float:
    """What the ``part``-th of a cut in parts leaves, USD: an equal share of all that is left to
    cut, the last one the goal itself. With nothing left to cut it is the goal."""
    left = PARTS - part + 1
    return goal_usd + max(0.0, gross_usd - goal_usd) * (left - 1) / left


def amount_unknown(ask: Ask) -> str:
    """Why a cut to an amount is not made now."""
    gross = f", or the gross of {ask.scope}," if ask.part else ""
    return f"{ask.gross_to_measure} of {ask.subject}{gross} is not known for certain now"
