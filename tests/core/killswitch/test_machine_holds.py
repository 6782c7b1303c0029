"""A hold whose rule is gone stays, and a person can let it go in two steps."""

from __future__ import annotations

import pytest

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.facts import RearmRequested, RuleEnded
from monitor.core.types import PORTFOLIO, venue_subject
from tests.core.killswitch.kill_desk import HL, World

SCOPE = venue_subject(HL)


def held() -> World:
    """One venue, held by one rule."""
    world = World().hold(BTC="1")
    world.ask(ActionLevel.HOLD, rule="stale", scope=SCOPE)
    return world


def test_a_removed_rule_is_not_over_on_fresh_data() -> None:
    """Its hold stays and the audit says why; when it is there again and over, the hold goes."""
    world = held()
    world.tell(RuleEnded(rule="stale", subject=PORTFOLIO, removed=True))
    world.run(3600)
    assert len(world.machine.state.holds) == 1
    assert "hold_kept" in world.actions()
    world.end(rule="stale")
    world.run(3600)
    assert not world.machine.state.holds


@pytest.mark.parametrize("removed", [False, True], ids=["its-rule-is-over", "its-rule-is-gone"])
def test_a_person_lets_a_hold_go_in_two_steps(removed: bool) -> None:
    """Asked, confirmed with a reason, audited, and told to loosen: before its time is over, or
    where nobody else can say that it is."""
    world = held()
    world.tell(RuleEnded(rule="stale", subject=PORTFOLIO, removed=removed))
    refused = world.rearm(SCOPE, reason=" ")
    assert ("stays held" in refused.answer, refused.loosens) == (True, False)
    step = world.rearm(SCOPE)
    assert (world.machine.state.holds, step.loosens) == ({}, True)
    assert [one.actor for one in step.audit if one.action == "released"] == ["person:ann"]


def test_a_hold_whose_rule_still_fires_is_no_persons_to_clear() -> None:
    """Both steps say that it would be held again at once; it stays, and its rule can end it. A rule
    that is in force again after it was gone counts as firing."""
    world = held()
    asked = world.tell(RearmRequested(principal="ann", scope=SCOPE, nonce="nonce-0002"))
    again = "stale still fires about portfolio and would hold it again at once"
    assert f"Not met: {again}." in asked.answer
    step = world.rearm(SCOPE)
    assert (again in step.answer, step.loosens) == (True, False)
    assert step.audit[0].action == "rearm_refused"
    assert world.machine.trading_state(world.now).scopes
    world.tell(RuleEnded(rule="stale", subject=PORTFOLIO, removed=True))
    world.ask(ActionLevel.HOLD, rule="stale", scope=SCOPE)
    assert again in world.rearm(SCOPE).answer
    world.end(rule="stale")
    world.run(3600)
    assert not world.machine.state.holds


def test_a_hold_is_not_let_go_after_its_time_or_where_something_is_unmet() -> None:
    """The rules of a re-arm."""
    world = held()
    assert "stays held" in world.rearm(SCOPE, unmet=("stale is firing",)).answer
    assert "stays held" in world.rearm(SCOPE, wait_s=100_000.0).answer
    assert len(world.machine.state.holds) == 1
