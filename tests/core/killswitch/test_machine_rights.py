"""Principals use what they were given and nothing else; the host may everything, and where two must
agree there have to be two who can."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.killswitch.facts import RearmConfirmed, RearmRequested
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import KillPolicy, RearmPolicy, arming_problems
from monitor.core.rights import ALL_RIGHTS, HOST, Right, Rights
from monitor.core.types import PORTFOLIO
from tests.core.killswitch.kill_desk import ARMED, World

NONCE = "nonce-0001"


def policy(
    rights: Rights,
    *,
    second: bool = False,
    cli: bool = True,
    principals: tuple[str, ...] = ("ann", "bob"),
) -> KillPolicy:
    """A desk with two people elsewhere."""
    rearm = RearmPolicy(
        local_cli=cli, principals=principals, rights=rights, second_principal_required=second
    )
    return msgspec.structs.replace(ARMED, rearm=rearm)


def given(*rights: Right) -> Rights:
    """What Ann may use."""
    return (("ann", rights),)


def without(right: Right) -> Rights:
    """All but one."""
    return given(*(one for one in ALL_RIGHTS if one is not right))


@pytest.mark.parametrize("allowed", [True, False])
def test_who_may_not_kill_latches_nothing_and_is_on_record(allowed: bool) -> None:
    """The other side of it: with that right alone it is latched."""
    rights = given(Right.KILL) if allowed else without(Right.KILL)
    world = World(policy(rights)).hold(BTC="1")
    step = world.pull(Level.HALT)
    assert bool(world.machine.state.latches) is allowed
    assert ("ann may not use kill" in step.answer) is not allowed
    assert (step.audit[0].action == "pull_refused") is not allowed


@pytest.mark.parametrize("allowed", [True, False])
def test_who_may_not_approve_leaves_a_proposal_to_others(allowed: bool) -> None:
    """Neither yes nor no is taken from them; it stays open."""
    rights = given(Right.APPROVE) if allowed else without(Right.APPROVE)
    world = World(policy(rights)).hold(BTC="1")
    world.ask(ActionLevel.HALT, mode=RuleMode.PROPOSE)
    (name,) = world.machine.state.proposals
    if not allowed:
        refused = world.approve(name, yes=False)
        assert refused.audit[0].action == "approval_refused"
    world.approve(name)
    assert bool(world.machine.state.latches) is allowed
    assert (name in world.machine.state.proposals) is not allowed


@pytest.mark.parametrize(
    ("rights", "by", "then", "cleared"),
    [
        pytest.param(given(*ALL_RIGHTS), "ann", "ann", True, id="both"),
        pytest.param(given(Right.REARM_REQUEST), "ann", "ann", False, id="may-only-ask"),
        pytest.param(given(Right.REARM_CONFIRM), "ann", "ann", False, id="may-only-confirm"),
        pytest.param(
            given(Right.REARM_REQUEST), "ann", "bob", True, id="one-asks-another-confirms"
        ),
        pytest.param(given(Right.REARM_CONFIRM), "bob", "ann", True, id="and-the-other-way"),
        pytest.param(given(Right.KILL), HOST, HOST, True, id="the-host-may-everything"),
        pytest.param(given(Right.KILL), HOST, "ann", False, id="but-not-for-others"),
    ],
)
def test_a_re_arm_takes_both_rights(rights: Rights, by: str, then: str, cleared: bool) -> None:
    """A latch and a hold alike; nothing moves where one is missing, and it is on record."""
    world = World(policy(rights)).hold(BTC="1")
    world.ask(ActionLevel.BLOCK_NEW)
    world.run(10)
    world.tell(RearmRequested(principal=by, scope=PORTFOLIO, nonce=NONCE))
    step = world.tell(RearmConfirmed(principal=then, nonce=NONCE, reason="mended"))
    assert (not world.machine.state.latches) is cleared
    assert step.loosens is cleared
    assert ("rearm_refused" in world.actions()) is not cleared


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        pytest.param(policy((), second=True), "", id="two-and-the-host"),
        pytest.param(policy((), second=True, principals=()), "two principals", id="host-alone"),
        pytest.param(policy((), second=True, principals=("ann",)), "", id="one-and-the-host"),
        pytest.param(
            policy(given(Right.KILL), second=True, principals=("ann",)),
            "two principals",
            id="one-who-may-not-and-the-host",
        ),
        pytest.param(
            policy(given(Right.REARM_CONFIRM), second=True, principals=("ann",)),
            "",
            id="one-who-may-confirm-what-the-host-asks",
        ),
        pytest.param(
            policy(
                (("ann", (Right.REARM_REQUEST,)), ("bob", (Right.REARM_REQUEST,))),
                second=True,
                cli=False,
            ),
            "two principals",
            id="two-who-may-ask-and-nobody-confirms",
        ),
        pytest.param(
            policy(
                (("ann", (Right.REARM_REQUEST,)), ("bob", (Right.REARM_CONFIRM,))),
                second=True,
                cli=False,
            ),
            "",
            id="one-asks-another-confirms",
        ),
        pytest.param(
            policy((("ann", (Right.KILL,)), ("bob", (Right.KILL,))), cli=False),
            "Nobody may both",
            id="nobody-may-clear",
        ),
    ],
)
def test_nothing_is_armed_without_people_who_can_clear_it(made: KillPolicy, problem: str) -> None:
    """As many as have to agree, each with the right that takes."""
    problems = arming_problems(made)
    assert bool(problems) is bool(problem)
    assert all(problem in one for one in problems)
