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
    """Say once that it waits."""
    if pending.paged:
        return
    pending.paged = True
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
    if pending is not None and pending.paged:
        turn.notices.append(_notice(turn, pending, resolved=True))
    return pending


def _notice(turn: Turn, pending: Pending, *, resolved: bool) -> KillNotice:
    ask = pending.ask
    latch = turn.state.latches.get(ask.scope)
    standing = "nothing is latched there" if latch is None else f"it is at {latch.level.name}"
    summary = f"is confirmed and WAITS: {amount_unknown(ask)}"
    return KillNotice(
        key=f"waits/{ask.key}/{ask.epoch_ns}",
        alert=ALERT,
        severity=Severity.CRITICAL,
        scope=ask.scope,
        at_ns=turn.now,
        summary=cut_short(
            f"{ask.level.name} {ask.scope} by {ask.rule} "
            + ("waits for its amount no longer" if resolved else summary)
        ),
        description=(
            f"{ask.evidence}. The cut is made, or no longer asked for."
            if resolved
            else f"{ask.evidence}. {amount_unknown(ask)}, so nothing is cut; {standing}. It is cut "
            f"by itself once the amount is known. `riskd explain {ask.rule} {ask.subject}` says "
            "what is missing; `riskd kill` with a share of your own cuts now."
        ),
        resolved=resolved,
    )
