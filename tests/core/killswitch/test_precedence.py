"""Who is named first where several rules ask: section 8 of the catalogue of rules, as one table."""

from __future__ import annotations

import itertools

import pytest

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.precedence import PRECEDENCE, REST, rank_of, ranked
from monitor.core.killswitch.words import first_cause
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.rulebook import builtin_files
from tests.core.killswitch.kill_desk import HL, World

# One of each class, first to last.
ORDER = (
    "cross_check",
    "stress_and_loss",
    "runway_gone",
    "hedge_mismatch",
    "drawdown_8",
    "funding_stress",
    "leverage_cap",
    "any_two",
    "vol_and_fall",
)


def test_the_classes_follow_each_other() -> None:
    """Truth, kill switch, margin, chain and hedges, drawdown, stress, leverage, any two, the rest;
    the deepest rung is the kill switch's, the others are the ladder's."""
    ranks = [rank_of(rule) for rule in ORDER]
    assert ranks == [*range(len(PRECEDENCE)), REST]
    assert rank_of("drawdown_15") == rank_of("stress_and_loss") < rank_of("drawdown_12")
    assert rank_of("a_rule_of_the_desk") == REST


def test_every_entry_of_the_table_is_a_rule() -> None:
    """A renamed rule must not fall among the rest unseen."""
    names = [rule.id for rule in parse_rulebook(builtin_files(), CATALOGUE).rules]
    for _, stems in PRECEDENCE:
        for stem in stems:
            assert any(name.startswith(stem) for name in names), stem


@pytest.mark.parametrize(("one", "other"), list(itertools.pairwise(ORDER)), ids=str)
def test_the_first_class_is_named_whoever_came_first(one: str, other: str) -> None:
    """In the page, in what the desk reads and in the offer of a re-arm; targets stay the lowest."""
    for order in ((one, other), (other, one)):
        world = World().hold(BTC="1")
        for rule in order:
            world.ask(rule=rule, gross_to=0.7 if rule == one else 0.5)
        world.run(60)
        latch = world.latch()
        assert first_cause(latch).actor == f"rule:{one}"
        assert f"by rule:{one}" in world.notices[-1].summary
        told = world.machine.trading_state(world.now).scopes[0]
        assert [words.partition(": ")[0] for words in told.reasons] == [
            f"rule:{one}",
            f"rule:{other}",
        ]
        assert latch.target_ratio == 0.5
        assert world.sizes() == {"BTC": "0.5"}


def test_a_higher_level_is_named_before_a_higher_class() -> None:
    """Who brought the latch to where it is; a person counts as the kill switch."""
    world = World().hold(BTC="1")
    world.ask(ActionLevel.BLOCK_NEW, rule="runway_gone", sources=(HL,))
    world.ask(rule="any_three_cut")
    assert first_cause(world.latch()).actor == "rule:any_three_cut"
    world.ask(rule="runway_short")
    world.pull(Level.CUT, gross_to=0.9)
    assert [one.actor for one in ranked(world.latch().causes)][:2] == [
        "person:ann",
        "rule:runway_short",
    ]
