"""Built-in rules that fire because nothing is known: they say so, and end by themselves."""

from __future__ import annotations

from monitor.core.decision import ActionLevel, AlertTransition
from monitor.core.types import AlertState
from monitor.rulebook import builtin_files
from tests.core.desk import HL, MAIN, Desk

DATA_RULES = dict(builtin_files())["data.yaml"]
EVENTS = f"{HL}/userEvents/main"  # another channel of the venue, which lives


def told(desk: Desk) -> list[AlertTransition]:
    """What the rule about account truth did in one batch."""
    return [one for one in desk.evaluate().transitions if one.rule == "account_truth_stale"]


def test_what_fired_by_absence_ends_once_data_is_back() -> None:
    """An account that never spoke: out after a minute, asking to hold; over a minute after its
    first truth, without anybody's help, and out again when that grows too old."""
    desk = Desk((HL, "main"), rules=DATA_RULES).open(EVENTS)
    assert told(desk) == []
    assert told(desk.at(60)) == []
    decision = desk.at(60.001).evaluate()
    (fired,) = [one for one in decision.transitions if one.rule == "account_truth_stale"]
    assert (fired.after, fired.reason) == (AlertState.FIRING, "missing_data")
    assert fired.summary == (
        "Account truth is stale: account age unknown for 60 s, limit 60 s; "
        "account hyperliquid/main. WOULD HAVE held it"
    )
    assert [(one.level, one.scope) for one in decision.kill_requests] == [(ActionLevel.HOLD, MAIN)]

    desk.at(200).positions(source="truth").money(1_000, source="truth")
    (recovering,) = told(desk)
    assert recovering.after is AlertState.RECOVERING
    for second in (220, 240, 260):
        desk.at(second).alive(EVENTS).positions(source="truth").money(1_000, source="truth")
        ended = told(desk)
        assert len(ended) == (second == 260)
    assert (ended[0].before, ended[0].after) == (AlertState.RECOVERING, AlertState.INACTIVE)
    assert ended[0].summary == (
        "Ended: Account truth is stale: now 0 ms <= 30 s; account hyperliquid/main"
    )
    assert desk.evaluate().kill_requests == ()

    assert told(desk.at(319).alive(EVENTS)) == []
    (again,) = told(desk.at(320))
    assert again.after is AlertState.FIRING
    assert again.summary.startswith("Account truth is stale: 60 s >= 60 s; account ")
