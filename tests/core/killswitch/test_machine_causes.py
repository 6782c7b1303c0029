"""Who asked for a latch: each once for a level, and whoever raised it always."""

from __future__ import annotations

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.episodes.trips import CAUSES_MAX
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.words import first_cause
from monitor.core.types import venue_subject
from tests.core.killswitch.kill_desk import HL, World

SCOPE = venue_subject(HL)


def test_a_rule_that_flaps_is_one_cause_with_its_newest_moment() -> None:
    """Forty episodes of one rule leave one line."""
    world = World().hold(BTC="1")
    for count in range(40):
        world.ask(ActionLevel.BLOCK_NEW, rule="flap", scope=SCOPE, epoch=float(count + 1))
        world.now += 1
    (cause,) = world.latch(SCOPE).causes
    assert (cause.actor, cause.level, cause.at_ns) == (
        "rule:flap",
        Level.REDUCE_ONLY,
        world.now - 1,
    )


def test_whoever_raises_a_latch_is_recorded_however_many_asked_before() -> None:
    """The first at its level, the first of every raise, and never more than the bound."""
    world = World().hold(BTC="1")
    for count in range(CAUSES_MAX + 8):
        world.ask(ActionLevel.BLOCK_NEW, rule=f"rule_{count}", scope=SCOPE)
    world.ask(ActionLevel.FLATTEN, rule="drawdown", scope=SCOPE)
    for count in range(CAUSES_MAX + 8):
        world.ask(ActionLevel.BLOCK_NEW, rule=f"later_{count}", scope=SCOPE)
    causes = world.latch(SCOPE).causes
    assert first_cause(world.latch(SCOPE)).actor == "rule:drawdown"
    assert (causes[0].actor, len(causes)) == ("rule:rule_0", CAUSES_MAX)
    assert causes[-1].actor == f"rule:later_{CAUSES_MAX + 7}"
