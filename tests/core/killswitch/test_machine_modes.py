"""What the desk lets a rule do by itself, and where: a word about a scope reaches all within it."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.decision import RuleMode
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import ModeOverride
from monitor.core.types import PORTFOLIO, SECOND_NS, Subject, account_subject, position_subject
from tests.core.killswitch.kill_desk import ACCOUNT, ARMED, MAIN, SIDE, World


@pytest.mark.parametrize(
    ("said", "scope", "expected"),
    [
        pytest.param({"": "act", "venue:hyperliquid": "observe"}, ACCOUNT, "observe",
                     id="an account of the venue"),
        pytest.param({"": "act", "venue:dydx": "observe"}, ACCOUNT, "act", id="of another venue"),
        pytest.param({"": "act", "venue:hyperliquid": "observe"}, PORTFOLIO, "act", id="more"),
        pytest.param({"": "observe", "venue:hyperliquid": "act"}, ACCOUNT, "act", id="acts there"),
        pytest.param({"venue:hyperliquid": "observe", str(ACCOUNT): "propose"}, ACCOUNT, "propose",
                     id="the account's own word"),
        pytest.param({str(ACCOUNT): "observe", f"{ACCOUNT}.xyz": "act"},
                     Subject(f"{ACCOUNT}.xyz"), "act", id="its margin pool's own word"),
        pytest.param({str(ACCOUNT): "act", "market:hyperliquid/BTC": "observe"},
                     position_subject(*MAIN, "BTC"), "observe", id="two as particular"),
        pytest.param({"": "observe", "venue hyperliquid": "act"}, ACCOUNT, "observe",
                     id="words that name nothing"),
    ],
)  # fmt: skip
def test_a_word_about_a_scope_holds_for_what_lies_in_it(
    said: dict[str, str], scope: Subject, expected: str
) -> None:
    """Whoever lets a rule only observe at a venue is not traded for in its accounts."""
    policy = msgspec.structs.replace(
        ARMED,
        overrides=tuple(
            ModeOverride(rule="r", mode=RuleMode(mode), scope=where) for where, mode in said.items()
        ),
    )
    assert policy.mode_of("r", scope, RuleMode.ACT) is RuleMode(expected)
    assert policy.mode_of("another", scope, RuleMode.PROPOSE) is RuleMode.PROPOSE


def test_a_small_account_is_not_acted_for_where_its_venue_observes() -> None:
    """The rule asked for the portfolio, and reaches no more than the account."""
    watching = ModeOverride(rule="funding_stress", mode=RuleMode.OBSERVE, scope=f"venue:{SIDE[0]}")
    world = World(msgspec.structs.replace(ARMED, overrides=(watching,)))
    world.hold(BTC="1").hold(SIDE, BTC="-0.05")
    world.ask(subject=account_subject(*SIDE))
    assert world.actions() == ["would_have"]
    assert world.machine.state.latches == {}


def cooling() -> World:
    """A confirmed cut that waits for the end of the cool-down after a re-arm."""
    world = World().hold(BTC="2")
    world.pull(Level.REDUCE_ONLY)
    world.run(10)
    world.rearm()
    world.ask(epoch=20.0)
    assert world.machine.state.pendings
    assert world.latch().level is Level.REDUCE_ONLY
    return world


@pytest.mark.parametrize("restarted", [False, True], ids=["reloaded", "over a restart"])
@pytest.mark.parametrize(
    ("mode", "left"), [("act", "1.4"), ("propose", "2"), ("observe", "2")], ids=str
)
def test_what_waits_is_done_only_if_the_rulebook_still_lets_it(
    mode: str, left: str, *, restarted: bool
) -> None:
    """The rule itself says nothing meanwhile: it sees nothing, or lies between its limits. What is
    latched stays."""
    world = cooling()
    world.modes = {"funding_stress": RuleMode(mode)}
    if restarted:
        world.restart()
    world.run(2 * ARMED.cool_down_s)
    assert world.sizes() == {"BTC": left}
    assert world.latch().level is (Level.CUT if mode == "act" else Level.REDUCE_ONLY)
    assert world.machine.state.pendings == {}
    assert world.actions().count("dropped") == (mode != "act")


def test_nothing_that_waited_is_done_before_there_is_a_rulebook() -> None:
    """A start reads it after the latches: what was due meanwhile is done as soon as it is known
    that the rule may."""
    world = cooling()
    world.modes = None
    world.now += round(2 * ARMED.cool_down_s * SECOND_NS)
    world.restart()
    world.run(30)
    assert world.sizes() == {"BTC": "2"}
    world.modes = {}
    world.run(30)
    assert world.sizes() == {"BTC": "1.4"}


def test_a_proposal_goes_with_the_right_to_make_it() -> None:
    """Whatever its rule sees; an answer that comes too late does nothing."""
    world = World().hold(BTC="2")
    world.ask(mode=RuleMode.PROPOSE)
    (name,) = world.machine.state.proposals
    world.modes = {"funding_stress": RuleMode.OBSERVE}
    assert "no proposal" in world.approve(name).answer
    assert world.notices[-1].resolved
    assert "to observe only" in world.notices[-1].summary
    assert world.machine.state.latches == {}
