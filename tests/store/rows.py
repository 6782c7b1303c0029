"""Rows as the engine and the dispatcher would hand them over."""

from __future__ import annotations

from monitor.core.ports import AlertRow, OutboxEntry, Phase, RuleStateRow


def rule_state(
    rule: str = "leverage", subject: str = "portfolio", state: bytes = b"s1"
) -> RuleStateRow:
    """One kept rule state."""
    return RuleStateRow(rule=rule, subject=subject, definition_hash="d1", state=state)


def entry(
    name: str = "e1",
    *,
    urgency: int = 0,
    created_ns: int = 1,
    channels: tuple[str, ...] = ("alertmanager", "webhook"),
) -> OutboxEntry:
    """One notification owed to the channels."""
    return OutboxEntry(
        id=name,
        identity=f"identity-{name}",
        urgency=urgency,
        created_ns=created_ns,
        notice=f"notice {name}".encode(),
        channels=channels,
    )


def phase(name: str = "e1", *, at_ns: int = 1) -> Phase:
    """A decision that fired one alert."""
    return Phase(
        at_ns=at_ns,
        rule_states=(rule_state(),),
        alerts=(AlertRow(identity="a1", alert=b"alert"),),
        entries=(entry(name, created_ns=at_ns),),
        memories=(("drawdown", b"peaks"),),
    )
