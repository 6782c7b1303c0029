"""The way back after a cut: gross may come back by a tenth a day of what it was before it.

A person's re-arm opens the door; how fast one goes through it is told to the desk beside the
trading state. It is a limit that riskd publishes and does not enforce: nothing is latched any more.
*Pure.*
"""

from __future__ import annotations

from monitor.core.killswitch.planning.legs import gross_in_scope_usd, read_legs
from monitor.core.killswitch.state import KillState, Latch, Regrowth
from monitor.core.killswitch.turn import Turn
from monitor.core.types import SECOND_NS, EngineNs

RISE_PER_DAY = 0.10
_DAY_NS = 86_400 * SECOND_NS


def limit_usd(one: Regrowth, now: EngineNs) -> float:
    """Gross that the scope may have now, USD; all of ``to_usd`` after ten days at the latest."""
    days = max(now - one.at_ns, 0) / _DAY_NS
    return min(one.to_usd, one.from_usd + RISE_PER_DAY * one.to_usd * days)


def begin(turn: Turn, latch: Latch) -> Regrowth | None:
    """Remember from where the scope of a latch that was just cleared may grow; None where nothing
    was cut, or nobody knows what is held or worth: then there is no number to tell."""
    whole_usd = latch.baseline_usd
    if not latch.cutting or not whole_usd or turn.book is None:
        return None
    legs = read_legs(latch.scope, turn.book)
    if any(leg.price is None for leg in legs if leg.in_scope and leg.venue):
        return None
    left_usd = gross_in_scope_usd(latch.scope, turn.book)
    if left_usd >= whole_usd:
        return None
    made = Regrowth(at_ns=turn.now, from_usd=left_usd, to_usd=whole_usd)
    turn.state.regrowth[latch.scope] = made
    return made


def forget(turn: Turn) -> None:
    """What has its whole size again, or is latched again, has no way back to go."""
    regrowth = turn.state.regrowth
    for scope, one in list(regrowth.items()):
        if scope in turn.state.latches or limit_usd(one, turn.now) >= one.to_usd:
            del regrowth[scope]


def limits(state: KillState, now: EngineNs) -> tuple[tuple[str, float], ...]:
    """(scope, gross in USD that it may have now) of all that grow back."""
    return tuple(
        (scope, limit_usd(one, now))
        for scope, one in sorted(state.regrowth.items())
        if scope not in state.latches and limit_usd(one, now) < one.to_usd
    )
