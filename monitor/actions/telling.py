"""What the driver says by itself: pages, audit lines and facts about what went wrong. *Pure.*"""

from __future__ import annotations

from monitor.core.decision import CitedReading
from monitor.core.killswitch.facts import (
    AuditEntry,
    Command,
    CommandFailed,
    KillFact,
    KillNotice,
)
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, Severity

STORE_KEY, STORE_ALERT = "kill-store", "KillStoreFailing"
STEP_KEY, STEP_ALERT = "kill-step", "KillStepFailed"


def input_text(one: CitedReading, now: EngineNs) -> str:
    """``0.53 ratio, 2.1 s old, estimated``; why where it is absent."""
    if one.value is None:
        return f"absent: {one.reason}"
    age = "" if one.as_of_ns is None else f", {(now - one.as_of_ns) / SECOND_NS:.1f} s old"
    return f"{one.value:.6g} {one.unit}{age}{', estimated' if one.estimated else ''}"


def failed(command: Command, reason: str, *, uncertain: bool) -> CommandFailed:
    """A command that had no effect, or (``uncertain``) whose effect nobody knows."""
    return CommandFailed(
        command_id=command.id,
        venue=command.venue,
        account=command.account,
        reason=reason,
        uncertain=uncertain,
    )


def failure(fact: KillFact, error: Exception, now: EngineNs) -> AuditEntry:
    """The audit line of a step that ended in a defect."""
    return AuditEntry(
        at_ns=now,
        actor="riskd",
        action="step_failed",
        scope=PORTFOLIO,
        level_from=0,
        level_to=0,
        reason=f"{type(error).__name__}: {error}",
        details=(("fact", type(fact).__name__),),
    )


def step_failed(fact: KillFact, error: Exception, now: EngineNs) -> KillNotice:
    """The page of a step that ended in a defect; one for each kind of fact."""
    name = type(fact).__name__
    return KillNotice(
        key=f"{STEP_KEY}/{name}",
        alert=STEP_ALERT,
        severity=Severity.CRITICAL,
        scope=PORTFOLIO,
        at_ns=now,
        summary=f"A step of the kill switch failed on {name}; what is latched stays latched",
        description=f"{type(error).__name__}: {error}. Act at the venue by hand where it matters.",
    )


def step_forgotten(key: str, now: EngineNs) -> KillNotice:
    """The end of such a page of an earlier process: whatever broke there is not under way here."""
    return KillNotice(
        key=key,
        alert=STEP_ALERT,
        severity=Severity.CRITICAL,
        scope=PORTFOLIO,
        at_ns=now,
        summary="riskd was started anew since a step of the kill switch failed",
        description="If it fails again it is told again.",
        resolved=True,
    )


def store_notice(reason: str, now: EngineNs, *, key: str = STORE_KEY) -> KillNotice:
    """The page about the record; without a reason its end."""
    return KillNotice(
        key=key,
        alert=STORE_ALERT,
        severity=Severity.CRITICAL,
        scope=PORTFOLIO,
        at_ns=now,
        summary=f"The kill switch's record is not whole: {reason}"
        if reason
        else "The kill switch's record is whole again",
        description="Cancels and cuts still leave, under ids that a restart derives again. "
        "Re-arming waits for the store. Free the disk or mend its permissions.",
        resolved=not reason,
    )
