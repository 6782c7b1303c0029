"""A confirmed cut whose amount nobody knows: it waits, on record and with a page. *Pure.*"""

from __future__ import annotations

from monitor.core.killswitch.episodes.amounts import amount_unknown
from monitor.core.killswitch.facts import KillNotice
from monitor.core.killswitch.state import Pending
from monitor.core.killswitch.turn import Turn
from monitor.core.killswitch.words import cut_short
from monitor.core.types import Severity

ALERT = "KillSwitchAmountUnknown"


def wait(turn: Turn, pending: Pending) -> None:
    """Say once that it waits; what may be latched without the amount is latched already."""
    if pending.unknown:
        return
    pending.unknown = True
    turn.record(
        "waits",
        actor=f"rule:{pending.ask.rule}",
        scope=pending.ask.scope,
        level_to=pending.ask.level,
        reason=f"{amount_unknown(pending.ask)}; nothing is cut before it is",
    )
    turn.notices.append(_notice(turn, pending, resolved=False))


def let_go(turn: Turn, key: str) -> Pending | None:
    """It waits no longer, for whatever reason: its page ends. Gives what waited, if anything."""
    pending = turn.state.pendings.pop(key, None)
    if pending is not None and pending.unknown:
        turn.notices.append(_notice(turn, pending, resolved=True))
    return pending


def _notice(turn: Turn, pending: Pending, *, resolved: bool) -> KillNotice:
    ask = pending.ask
    verb = "no longer waits" if resolved else "is confirmed and WAITS"
    return KillNotice(
        key=f"waits/{ask.key}/{ask.epoch_ns}",
        alert=ALERT,
        severity=Severity.CRITICAL,
        scope=ask.scope,
        at_ns=turn.now,
        summary=cut_short(
            f"{ask.level.name} {ask.scope} by {ask.rule} {verb}: {amount_unknown(ask)}"
        ),
        description=(
            f"{ask.evidence}. {amount_unknown(ask)}, so nothing is cut; new risk is blocked "
            f"meanwhile. It is cut by itself once the amount is known. `riskd explain {ask.rule} "
            f"{ask.subject}` says what is missing; `riskd kill` with a share of your own cuts now."
        ),
        resolved=resolved,
    )
