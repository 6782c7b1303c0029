"""A hold whose rule is gone stays, and a person can let it go in two steps."""

from __future__ import annotations

import pytest

from monitor.core.decision import ActionLevel, Because, RuleMode
from monitor.core.killswitch.facts import RearmRequested, RuleEnded
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.types import (
    PORTFOLIO,
    Side,
    Subject,
    account_subject,
    asset_subject,
    market_subject,
    venue_subject,
)
from tests.core.killswitch.kill_desk import HL, MAIN, World

SCOPE = venue_subject(HL)
MAIN_SCOPE = account_subject(*MAIN)


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


RISKY = [
    pytest.param(PORTFOLIO, id="the-book"),
    pytest.param(asset_subject("BTC"), id="an-asset"),
    pytest.param(market_subject(HL, "BTC"), id="a-market"),
]


def frozen(scope: Subject = PORTFOLIO, because: Because = Because.RISK) -> World:
    """A position with a stop and a resting bid, in a scope that one rule wants nobody to add to."""
    world = World().hold(BTC="1")
    world.rest("stop", Side.SELL, "1", reduce_only=True, trigger=True)
    world.rest("bid", Side.BUY, "1")
    world.ask(ActionLevel.HOLD, rule="elevated", subject=scope, scope=scope, because=because)
    return world


@pytest.mark.parametrize("scope", RISKY)
def test_a_risk_is_held_for_as_long_as_its_rule_fires_and_no_longer(scope: Subject) -> None:
    """REDUCE_ONLY over its scope for hours; gone with the rule, without waiting and without a
    person. Nothing is latched, nothing is sent, every order rests where it was."""
    world = frozen(scope)
    world.run(6 * 3600)
    where = Subject(f"position:{HL}/main/BTC")
    assert world.machine.effective(where) is Level.REDUCE_ONLY
    step = world.end(rule="elevated", subject=scope)
    assert (world.machine.state.holds, step.loosens) == ({}, True)
    assert world.machine.effective(where) is Level.NORMAL
    assert not world.machine.state.latches
    assert not [command for step in world.steps for command in step.commands]
    assert sorted(world.resting()) == ["bid", "stop"]


@pytest.mark.parametrize(
    ("because", "allowed"),
    [
        pytest.param(Because.RISK, True, id="a-risk-that-is-known-may-be-hedged"),
        pytest.param(Because.DATA, False, id="nobody-knows-what-to-hedge-on-bad-data"),
    ],
)
def test_what_is_held_may_be_hedged_where_it_is_known(because: Because, allowed: bool) -> None:
    """The contract with the desk says why, and whether an order that lowers |net| is an exit."""
    told = frozen(because=because).machine.trading_state(World().now)
    assert told.trading.value == "REDUCE_ONLY"
    assert [(one.held, one.reasons) for one in told.scopes] == [
        (True, ("elevated about portfolio",))
    ]
    assert dict(told.hedge_allowed) == {"BTC": allowed}
    hedging = Level.NORMAL if allowed else Level.REDUCE_ONLY
    levels = frozen(because=because).machine.levels(market_subject(HL, "BTC"))
    assert levels == (Level.REDUCE_ONLY, hedging)


def test_a_cut_that_only_holds_does_so_for_its_data() -> None:
    """What rests on estimates is in doubt, whatever its rule is about: no hedge, and five minutes
    of good data before it goes."""
    world = World().hold(BTC="1")
    world.ask(ActionLevel.CUT, capped=True, because=Because.RISK)
    assert dict(world.machine.trading_state(world.now).hedge_allowed) == {"BTC": False}
    world.end()
    world.run(299)
    assert len(world.machine.state.holds) == 1
    world.run(2)
    assert not world.machine.state.holds


def test_a_risk_stays_held_over_a_restart_and_without_its_rule() -> None:
    """What was kept holds as it did; a rule that was taken out of the rulebook is not over."""
    world = frozen()
    world.restart()
    assert dict(world.machine.trading_state(world.now).hedge_allowed) == {"BTC": True}
    world.tell(RuleEnded(rule="elevated", subject=PORTFOLIO, removed=True))
    world.run(3600)
    assert len(world.machine.state.holds) == 1
    assert world.rearm(PORTFOLIO).loosens


@pytest.mark.parametrize(
    ("daemon", "mode"),
    [
        pytest.param(DaemonMode.OBSERVE, RuleMode.ACT, id="the-daemon-observes"),
        pytest.param(DaemonMode.ARMED, RuleMode.OBSERVE, id="the-rule-observes"),
    ],
)
def test_what_observes_holds_nothing(daemon: DaemonMode, mode: RuleMode) -> None:
    """A WOULD HAVE on record, and the desk may trade."""
    world = World(policy=KillPolicy(mode=daemon, unseen="nothing")).hold(BTC="1")
    world.ask(ActionLevel.HOLD, rule="elevated", mode=mode, because=Because.RISK)
    assert world.actions() == ["would_have"]
    assert not world.machine.state.holds
    assert world.machine.trading_state(world.now).trading.value == "ACTIVE"


def test_a_proposed_hold_waits_for_a_person() -> None:
    """Nothing before the approval; then held like any other."""
    world = World().hold(BTC="1")
    world.ask(ActionLevel.HOLD, rule="elevated", mode=RuleMode.PROPOSE, because=Because.RISK)
    (proposal,) = world.machine.state.proposals.values()
    assert proposal.words == "risk-increasing orders would be blocked until its rule is over"
    assert "held until its rule is over" in world.approve(proposal.id).answer
    world.end(rule="elevated")
    assert not world.machine.state.holds


@pytest.mark.parametrize(
    ("first", "then", "held_at"),
    [
        pytest.param(MAIN_SCOPE, SCOPE, SCOPE, id="it widens"),
        pytest.param(SCOPE, MAIN_SCOPE, SCOPE, id="it does not shrink"),
    ],
)
def test_a_hold_that_is_asked_for_again_covers_the_wider_scope(
    first: Subject, then: Subject, held_at: Subject
) -> None:
    """An account may be a small part of the book now and a large one in an hour."""
    world = World().hold(BTC="1")
    world.ask(ActionLevel.HOLD, rule="stale", scope=first)
    world.ask(ActionLevel.HOLD, rule="stale", scope=then, epoch=1.0)
    (hold,) = world.machine.state.holds.values()
    assert hold.scope == held_at
    assert world.machine.effective(SCOPE) is Level.REDUCE_ONLY
    assert world.actions().count("held") == (2 if held_at == then else 1)


def test_a_hold_for_a_risk_has_no_page_beside_its_rules_own() -> None:
    """One cause is one page; the trading state and the audit have it. Where its data goes bad as
    well, that is news."""
    world = World().hold(BTC="1")
    for number, market in enumerate(("BTC", "ETH", "SOL")):
        subject = market_subject(HL, market)
        world.ask(ActionLevel.HOLD, rule="hot", subject=subject, scope=subject,
                  because=Because.RISK, epoch=number)  # fmt: skip
    assert len(world.machine.trading_state(world.now).scopes) == 3
    assert world.actions().count("held") == 3
    assert not world.notices
    blind = market_subject(HL, "BTC")
    world.ask(ActionLevel.HOLD, rule="hot", subject=blind, scope=blind, epoch=9.0)
    assert [one.resolved for one in world.notices] == [False]
    for market in ("BTC", "ETH", "SOL"):
        world.end(rule="hot", subject=market_subject(HL, market))
    world.run(600)
    assert not world.machine.state.holds
    assert [one.resolved for one in world.notices] == [False, True]


@pytest.mark.parametrize("because", Because)
def test_a_hold_that_was_approved_is_not_proposed_again_in_its_episode(because: Because) -> None:
    """A rule asks once more after a restart; in its next episode it has to ask again."""
    world = World()
    hold = {"rule": "cross_check", "mode": RuleMode.PROPOSE, "because": because}
    world.ask(ActionLevel.HOLD, **hold)
    (name,) = world.machine.state.proposals
    world.approve(name)
    world.restart()
    world.ask(ActionLevel.HOLD, **hold)
    assert world.machine.state.proposals == {}
    assert len(world.machine.state.holds) == 1
    world.ask(ActionLevel.HOLD, epoch=60.0, **hold)
    assert len(world.machine.state.proposals) == 1
