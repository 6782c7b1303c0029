"""The way back: two steps, a nonce, a reason, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.facts import RearmConfirmed, RearmRequested, TimePassed
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.policy import DaemonMode, KillPolicy, RearmPolicy, arming_problems
from monitor.core.killswitch.state import unreadable_state
from monitor.core.killswitch.trading import Trading
from monitor.core.types import PORTFOLIO, Severity, Side, venue_subject
from tests.core.killswitch.kill_desk import ARMED, HL, MAIN, SIDE, World, cutter

TWO = msgspec.structs.replace(
    ARMED, rearm=RearmPolicy(principals=("ann", "bob"), second_principal_required=True)
)


def contained(policy: KillPolicy = ARMED) -> World:
    """A cut that is done."""
    world = World(policy).hold(BTC="1").rest("more", Side.BUY, "0.5")
    world.ask()
    world.run(30)
    assert world.stage() == "contained"
    return world


def test_two_steps_clear_and_the_page_is_resolved() -> None:
    """The record says who, why and from which level."""
    world = contained()
    step = world.rearm()
    assert world.machine.state.latches == {}
    assert (step.changed, step.loosens) == (True, True)
    assert [one.action for one in step.audit] == ["rearmed"]
    assert (step.audit[0].level_from, step.audit[0].level_to) == (3, 0)
    (notice,) = step.notices
    assert (notice.resolved, notice.key) == (True, world.notices[0].key)
    assert world.machine.trading_state(world.now).trading is Trading.ACTIVE


@pytest.mark.parametrize(
    ("how", "words"),
    [
        pytest.param({"wait_s": 120.001}, "valid for 120 s", id="nonce expired"),
        pytest.param({"reason": "  "}, "a reason is missing", id="no reason"),
        pytest.param({"unmet": ("funding",)}, "not met: funding", id="re-entry not met"),
    ],
)
def test_a_confirmation_that_lacks_something_is_refused(how: dict[str, object], words: str) -> None:
    """It stays latched and says why."""
    world = contained()
    step = world.rearm(**how)
    assert words in step.answer
    assert PORTFOLIO in world.machine.state.latches
    assert step.audit[0].action == "rearm_refused"


def test_the_nonce_is_good_for_120_s() -> None:
    """To the last moment."""
    world = contained()
    world.rearm(wait_s=120.0)
    assert world.machine.state.latches == {}


def test_another_nonce_clears_nothing() -> None:
    """Nor does one of a scope that was tripped again since."""
    world = contained()
    world.tell(RearmRequested(principal="ann", scope=PORTFOLIO, nonce="nonce-0001"))
    assert world.stage() == "rearm_requested"
    world.pull(Level.HALT)
    world.run(10)
    step = world.tell(
        RearmConfirmed(principal="bob", nonce="nonce-0001", reason="did not see the second pull")
    )
    assert "tripped again" in step.answer
    assert world.latch().level is Level.HALT


@pytest.mark.parametrize(
    ("then", "cleared"),
    [pytest.param("ann", False, id="the same"), pytest.param("bob", True, id="another")],
)
def test_a_second_person_confirms_where_the_policy_says_so(then: str, cleared: bool) -> None:
    """One who asked cannot confirm."""
    world = contained(TWO)
    step = world.rearm(by="ann", then=then)
    assert (world.machine.state.latches == {}) is cleared
    assert ("second person must confirm" in step.answer) is not cleared


def test_what_is_still_executing_cannot_be_cleared() -> None:
    """Not while a command is out."""
    world = World().hold(BTC="1").rest("more", Side.BUY, "0.5")
    world.ask()
    step = world.rearm()
    assert "still executing" in step.answer
    assert PORTFOLIO in world.machine.state.latches


def test_an_incomplete_trip_can_be_cleared_by_a_person() -> None:
    """The state chart allows it: the person was told what is left."""
    world = World(executable=(SIDE,)).hold(BTC="1").rest("more", Side.BUY, "0.5")
    world.ask()
    world.run(30)
    assert world.stage() == "incomplete"
    world.rearm()
    assert world.machine.state.latches == {}


def test_the_offer_says_what_will_and_will_not_happen() -> None:
    """Scope, level, positions, what is unmet, what would fire, how to confirm."""
    world = contained()
    world.pull(Level.REDUCE_ONLY, venue_subject(HL))
    world.run(5)
    answer = world.tell(
        RearmRequested(
            principal="ann",
            scope=PORTFOLIO,
            nonce="nonce-0001",
            unmet=("funding_settlements_below_exit",),
            would_fire=("leverage_cap",),
        )
    ).answer
    for part in (
        "Re-arm portfolio: latched at CUT",
        "hyperliquid/main BTC 0.7",
        "Not met: funding_settlements_below_exit",
        "fire again at once: leverage_cap",
        "It will:",
        "It will not:",
        "venue:hyperliquid (REDUCE_ONLY)",
        "within 120 s",
    ):
        assert part in answer


def test_a_request_changes_nothing_and_lapses() -> None:
    """Back to CONTAINED after 120 s."""
    world = contained()
    world.tell(RearmRequested(principal="ann", scope=PORTFOLIO, nonce="nonce-0001"))
    assert world.machine.effective(PORTFOLIO) is Level.CUT
    world.run(121)
    assert world.stage() == "contained"


def test_a_request_for_what_is_not_latched_says_what_is() -> None:
    """Exactly the scope that was latched can be cleared."""
    world = contained()
    step = world.tell(RearmRequested(principal="ann", scope=venue_subject(HL), nonce="nonce-0001"))
    assert step.answer == "venue:hyperliquid is not latched. Latched now: portfolio."


def test_scopes_are_cleared_one_by_one() -> None:
    """A portfolio re-arm leaves the venue's latch."""
    world = contained()
    world.pull(Level.HALT, venue_subject(HL))
    world.run(10)
    world.rearm()
    assert list(world.machine.state.latches) == [venue_subject(HL)]
    assert world.machine.effective(venue_subject(HL)) is Level.HALT
    assert world.machine.trading_state(world.now).trading is Trading.ACTIVE


@pytest.mark.parametrize("seconds", [1, 1_000, 10_000_000], ids=["now", "later", "next year"])
def test_time_alone_never_clears(seconds: int) -> None:
    """Nor does a restart, nor the end of the rule."""
    world = contained()
    world.end()
    world.restart()
    world.work()
    world.now += seconds * 10**9
    world.tell(TimePassed())
    assert world.latch().level is Level.CUT


def test_the_nonce_is_not_in_the_state_nor_in_the_record() -> None:
    """Who reads the store cannot clear."""
    world = contained()
    world.tell(RearmRequested(principal="ann", scope=PORTFOLIO, nonce="nonce-0001"))
    assert b"nonce-0001" not in world.machine.packed()
    assert "nonce-0001" not in str(world.audit)


def test_an_unreadable_store_starts_reduced_until_a_person_clears() -> None:
    """Never from an empty state."""
    world = World().hold(BTC="1").rest("more", Side.BUY, "0.5")
    world.machine = KillMachine(ARMED, cutter, unreadable_state(world.now, "the file is damaged"))
    assert world.machine.effective(PORTFOLIO) is Level.REDUCE_ONLY
    world.tell(TimePassed(restarted=True))
    world.run(10)
    assert (world.stage(), world.resting()) == ("contained", [])
    assert world.notices[0].severity is Severity.CRITICAL
    world.rearm()
    assert world.machine.state.latches == {}


def test_what_was_latched_when_armed_stays_in_observe_and_can_be_cleared() -> None:
    """A change of mode is no re-arm; there is a way back all the same, and nothing is sent."""
    world = World().hold(BTC="1").rest("more", Side.BUY, "0.5")
    world.pull(Level.HALT)
    world.policy = msgspec.structs.replace(ARMED, mode=DaemonMode.OBSERVE)
    world.restart()
    world.run(1000)
    assert not [one for step in world.steps[1:] for one in step.commands]
    assert world.machine.trading_state(world.now).trading is Trading.HALTED
    world.rearm()
    assert world.machine.state.latches == {}


# --------------------------------------------------------------------------------- arming

GOOD = KillPolicy(mode=DaemonMode.ARMED, unseen="the OTC desk's options")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        pytest.param(GOOD, None, id="all there"),
        pytest.param(
            msgspec.structs.replace(GOOD, unseen=" "), "cannot see", id="no blind-spot statement"
        ),
        pytest.param(
            msgspec.structs.replace(GOOD, rearm=RearmPolicy(local_cli=False)),
            "no way back",
            id="nobody can clear",
        ),
        pytest.param(
            msgspec.structs.replace(GOOD, rearm=RearmPolicy(local_cli=False, principals=("ann",))),
            None,
            id="a principal can",
        ),
        pytest.param(
            msgspec.structs.replace(GOOD, rearm=RearmPolicy(second_principal_required=True)),
            "two principals",
            id="a second one is required and missing",
        ),
        pytest.param(msgspec.structs.replace(GOOD, backoff_s=()), "waits", id="no backoff"),
        pytest.param(
            msgspec.structs.replace(GOOD, default_gross_to_ratio=1.0), "less than all", id="no cut"
        ),
    ],
)
def test_nothing_is_armed_without_a_way_back_and_its_blind_spots(
    policy: KillPolicy, words: str | None
) -> None:
    """Problems are sentences; none when all is there."""
    problems = arming_problems(policy)
    assert (problems == []) if words is None else any(words in one for one in problems)


def test_holds_and_other_scopes_are_not_in_the_way() -> None:
    """A hold elsewhere does not keep a latch from being cleared."""
    world = contained()
    world.ask(ActionLevel.HOLD, rule="feed_stale", scope=venue_subject(HL))
    world.rearm()
    assert world.machine.state.latches == {}
    assert world.machine.effective(venue_subject(HL)) is Level.REDUCE_ONLY
    assert MAIN in world.positions
