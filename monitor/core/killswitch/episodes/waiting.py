"""Cuts whose amount nobody knows: they wait, on record and with a page. *Pure.*"""

from __future__ import annotations

from monitor.core.killswitch.episodes.amounts import amount_unknown
from monitor.core.killswitch.facts import KillNotice
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Ask, Pending
from monitor.core.killswitch.trading import effective
from monitor.core.killswitch.turn import Turn
from monitor.core.killswitch.words import PARTS, cut_short
from monitor.core.types import Severity

ALERT = "KillSwitchAmountUnknown"


def wait(turn: Turn, pending: Pending) -> None:
    """Say once that a confirmed cut waits."""
    if not pending.paged:
        pending.paged = True
        say_wait(turn, pending.ask, "nothing is cut before it is")


def let_go(turn: Turn, key: str) -> Pending | None:
    """It waits no longer, for whatever reason: its page ends. Gives what waited, if anything."""
    pending = turn.state.pendings.pop(key, None)
    if pending is not None and pending.paged:
        say_no_longer(turn, pending.ask)
    return pending


def say_wait(turn: Turn, ask: Ask, so: str) -> None:
    """Page that a cut waits for its amount, and what follows from it (``so``)."""
    turn.record(
        "waits",
        actor=f"rule:{ask.rule}",
        scope=ask.scope,
        level_to=ask.level,
        reason=f"{amount_unknown(ask)}; {so}",
    )
    level = effective(turn.state, ask.scope)
    standing = "nothing is latched there" if level is Level.NORMAL else f"it is at {level.name}"
    if ask.part:
        state = f"part {ask.part} of {PARTS} is not proposed"
        following = "The part is proposed by itself once they are known."
    else:
        state = "is confirmed and WAITS"
        following = "It is cut by itself once the amount is known."
    description = (
        f"{ask.evidence}. {amount_unknown(ask)}, so nothing is cut; {standing}. {following} "
        f"`riskd explain {ask.rule} {ask.subject}` says what is missing; `riskd kill` with a share "
        "of your own cuts now."
    )
    _notify(turn, ask, f"{state}: {amount_unknown(ask)}", description, resolved=False)


def say_no_longer(turn: Turn, ask: Ask) -> None:
    """The page ends."""
    description = f"{ask.evidence}. It is known, or no longer asked for."
    _notify(turn, ask, "waits for its amount no longer", description, resolved=True)


def _notify(turn: Turn, ask: Ask, what: str, description: str, *, resolved: bool) -> None:
    turn.notices.append(
        KillNotice(
            key=f"waits/{ask.key}/{ask.epoch_ns}",
            alert=ALERT,
            severity=Severity.CRITICAL,
            scope=ask.scope,
            at_ns=turn.now,
            summary=cut_short(f"{ask.level.name} {ask.scope} by {ask.rule} {what}"),
            description=description,
            resolved=resolved,
        )
    )
