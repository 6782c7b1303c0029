"""Whose end a process that died may have noticed is told once more, and nobody else's."""

from __future__ import annotations

import pytest

from monitor.app.ended import ended, not_asked
from monitor.core.decision import ActionLevel
from monitor.core.killswitch.facts import RuleEnded
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Ask, Heard, Hold, KillState, Pending, Proposal, Series
from monitor.core.rules.rule import RuleState
from monitor.core.state.model import RuleMemory
from monitor.core.types import AlertState, Severity, Subject

SUBJECT = Subject("account:hyperliquid/main")
KEY = f"stress|{SUBJECT}"
ASK = Ask(
    rule="stress",
    subject=SUBJECT,
    scope=SUBJECT,
    action=ActionLevel.CUT,
    level=Level.CUT,
    gross_to_ratio=0.7,
    epoch_ns=1,
)
OVER = RuleEnded(rule="stress", subject=SUBJECT)
ORPHANED = RuleEnded(rule="stress", subject=SUBJECT, removed=True)


def held(*, removed: bool = False, over_ns: int | None = None) -> KillState:
    """One hold by the rule."""
    hold = Hold(
        rule="stress",
        subject=SUBJECT,
        scope=SUBJECT,
        since_ns=1,
        epoch_ns=1,
        removed=removed,
        over_ns=over_ns,
    )
    return KillState(holds={KEY: hold})


PENDING = KillState(pendings={KEY: Pending(ask=ASK, confirmed=True, not_before_ns=9)})
WOULD = KillState(would={KEY: Heard(epoch_ns=1, level=Level.CUT)})
SERIES = KillState(series={KEY: Series(ask=ASK, due_ns=9)})
ORPHAN_AND_SERIES = KillState(holds=held(removed=True).holds, series=SERIES.series)
PROPOSED = KillState(proposals={"p-1": Proposal(id="p-1", ask=ASK, expires_ns=9, words="")})


def rule_at(state: RuleState, *, asked: bool = True) -> dict[str, RuleMemory]:
    """What the engine holds of it."""
    memory = RuleMemory(
        rule="stress",
        subject=SUBJECT,
        definition="",
        severity=Severity.HIGH,
        state=state,
        asked=asked,
    )
    return {KEY: memory}


CALM = RuleState()


@pytest.mark.parametrize(
    ("state", "rules", "settled", "told"),
    [
        pytest.param(held(), rule_at(CALM), False, [OVER], id="a hold whose rule is over"),
        pytest.param(PENDING, rule_at(CALM), False, [OVER], id="a cut that waits"),
        pytest.param(PROPOSED, rule_at(CALM), False, [OVER], id="a proposal"),
        pytest.param(SERIES, rule_at(CALM), False, [OVER], id="a cut in parts"),
        pytest.param(ORPHAN_AND_SERIES, {}, True, [ORPHANED], id="parts beside an orphaned hold"),
        pytest.param(WOULD, rule_at(CALM), False, [OVER], id="what would have been done"),
        pytest.param(
            PENDING,
            rule_at(RuleState(reentry_pending=True)),
            False,
            [OVER],
            id="over, though risk may not return yet",
        ),
        pytest.param(
            held(removed=True), rule_at(CALM), False, [OVER], id="removed, there again and over"
        ),
        pytest.param(held(over_ns=2), rule_at(CALM), False, [], id="told already"),
        pytest.param(KillState(), rule_at(CALM), True, [], id="nobody waits"),
        pytest.param(PENDING, rule_at(RuleState(state=AlertState.FIRING)), True, [], id="it fires"),
        pytest.param(
            PENDING, rule_at(RuleState(state=AlertState.RECOVERING)), True, [], id="it recovers"
        ),
        pytest.param(
            held(), rule_at(RuleState(unknown_since_ns=3)), True, [], id="unknown is not over"
        ),
        pytest.param(held(), rule_at(RuleState(error="boom")), True, [], id="failing is not over"),
        pytest.param(held(), rule_at(CALM, asked=False), False, [], id="not asked yet"),
        pytest.param(
            held(), rule_at(CALM, asked=False), True, [ORPHANED], id="nothing of it is watched now"
        ),
        pytest.param(held(), {}, False, [], id="not known yet"),
        pytest.param(held(), {}, True, [ORPHANED], id="nobody asks it any more"),
        pytest.param(held(removed=True), {}, True, [], id="which is said once"),
        pytest.param(PENDING, {}, True, [ORPHANED], id="a cut that nobody asks for any more"),
    ],
)
def test_what_is_over_is_told_once_more(
    state: KillState, rules: dict[str, RuleMemory], settled: bool, told: list[RuleEnded]
) -> None:
    """Only known data ends anything; what is asked of nobody may be let go by a person."""
    assert list(ended(state, rules, settled=settled, unasked=not_asked(rules))) == told


@pytest.mark.parametrize("state", [held(), PENDING, PROPOSED], ids=["hold", "cut", "proposal"])
def test_what_one_look_finds_unasked_is_not_over(state: KillState) -> None:
    """A rulebook that was just read again has asked nothing yet; the next look tells."""
    reloaded = rule_at(CALM, asked=False)
    asked = not_asked(rule_at(RuleState(state=AlertState.FIRING)))
    assert not ended(state, reloaded, settled=True, unasked=asked)
    assert list(ended(state, reloaded, settled=True, unasked=not_asked(reloaded))) == [ORPHANED]
