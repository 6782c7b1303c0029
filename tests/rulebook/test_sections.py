"""The shared mechanics (section 0) and interactions (section 8) of the catalogue of rules: every
sentence, and the tests that hold riskd to it; what is not done stands in the README in so many
words.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.spec import Unit
from monitor.core.rule_unseen import QUIET_MARGIN_NS, QUIET_NS
from monitor.core.rules import Rule
from monitor.core.rules.checks import rule_input
from monitor.core.rules.expression import Comparison
from monitor.core.types import SECOND_NS, Severity
from tests.rulebook.test_catalogue import BOOK, PROPOSED
from tests.rulebook.test_coverage import README
from tests.rulebook.test_section9 import text_of

LIFECYCLE = "tests.core.rules.test_lifecycle"
PROPERTIES = "tests.properties.test_rules_lifecycle"
MACHINE = "tests.core.killswitch.test_machine"
PRECEDENCE = "tests.core.killswitch.test_precedence"
PLANNER = "tests.core.killswitch.test_planner_properties"
HERE = "tests.rulebook.test_sections"


class Sentence(NamedTuple):
    """What it says, ``module::function`` or ``file.yaml::trial`` of its tests, and what of it is
    not done, as the README's Limits say it."""

    says: str
    held: tuple[str, ...]
    not_done: str = ""


SENTENCES = (
    # ------------------------------------------------------------------------- section 0
    Sentence(
        "states OK, PENDING, FIRING, RECOVERING per rule and scope",
        (f"{LIFECYCLE}::test_state_table", f"{LIFECYCLE}::test_for"),
    ),
    Sentence(
        "UNKNOWN never counts as OK and never clears a firing rule",
        (
            f"{PROPERTIES}::test_unknown_never_lowers",
            f"{PROPERTIES}::test_less_data_never_ends_an_alert_sooner",
            f"{LIFECYCLE}::test_pending_cannot_fire_on_unknown",
        ),
    ),
    Sentence(
        "unknown raises an alert of its own after 5 minutes, 2 for margin",
        (
            f"{HERE}::test_blindness_is_told_after_five_minutes_and_two_for_margin",
            "tests.core.test_rule_unseen::test_what_is_missing_is_found_in_its_time",
            "tests.notify.test_quiet::test_told_in_its_time_and_ended_after_a_minute",
        ),
    ),
    Sentence("enter and exit differ", (f"{HERE}::test_what_begins_at_a_limit_ends_elsewhere",)),
    Sentence(
        "for and clear_for in data time; the same inputs give the same transitions",
        (
            f"{PROPERTIES}::test_the_same_history_gives_the_same_states",
            "tests.replay.test_core_journal::test_replay_is_byte_identical",
        ),
    ),
    Sentence(
        "escalate one level if unacknowledged",
        (),
        not_done="There is no escalation of pages that nobody acknowledges.",
    ),
    Sentence(
        "one cause, one incident",
        (
            "tests.notify.test_folding::test_many_markets_are_one_page_that_names_them",
            "tests.notify.test_folding::test_what_a_louder_page_says_is_not_said_again",
            "tests.pages.test_faults::test_a_venue_that_is_gone_is_one_page",
        ),
    ),
    Sentence(
        "transfers between own accounts are a ledger, not a loss",
        (
            "tests.core.test_transfers::test_a_wallet_between_venues_is_no_loss",
            "tests.pages.test_markets::test_money_on_its_way_between_venues_wakes_nobody",
        ),
    ),
    Sentence(
        "the universe is the top 20 by open interest, whatever the desk holds",
        ("tests.core.test_funding_stress::test_the_universe_is_the_twenty_largest_assets",),
    ),
    Sentence(
        "a book that receives funding gets a proposal, not a cut",
        (f"{HERE}::test_stress_proposes_to_whoever_receives",),
    ),
    Sentence(
        "observe by default, then propose, then act; only risk is ever lowered",
        (
            "tests.rulebook.test_catalogue::test_what_a_rule_asks_for",
            f"{MACHINE}_asks::test_in_observe_everything_is_a_would_have",
            f"{MACHINE}_asks::test_a_proposal_says_plan_and_cost_and_does_nothing",
            f"{PLANNER}::test_no_order_increases_or_flips_a_position",
            f"{MACHINE}_faults::test_an_order_that_would_grow_or_flip_is_never_sent",
        ),
    ),
    Sentence(
        "an idempotency key, a size per hour, a cool-down; what fails escalates",
        (
            f"{MACHINE}_restart::test_killed_after_any_step_it_ends_the_same",
            f"{MACHINE}_faults::test_turnover_is_capped_in_any_hour_and_goes_on_afterwards",
            f"{MACHINE}_asks::test_after_a_re_arm_a_rule_does_not_cut_again_at_once",
            f"{MACHINE}_faults::test_pages_of_an_incomplete_trip_come_again_at_growing_intervals",
        ),
    ),
    Sentence(
        "evidence: inputs, ages, thresholds, definition, configuration, code; to do again by hand",
        (
            "tests.core.rules.test_describe::test_the_description_holds_the_arithmetic",
            f"{MACHINE}_asks::test_what_confirmed_a_trip_and_which_rule_it_was_is_on_record",
            "tests.store.test_audit::test_a_chain_as_riskd_wrote_it",
        ),
    ),
    # ------------------------------------------------------------------------- section 8
    Sentence(
        "the order when several fire",
        (
            f"{PRECEDENCE}::test_the_classes_follow_each_other",
            f"{PRECEDENCE}::test_the_first_class_is_named_whoever_came_first",
        ),
    ),
    Sentence(
        "cuts do not add: the lowest target, of gross at the first entry",
        (
            f"{MACHINE}_trips::test_targets_do_not_add",
            f"{MACHINE}_targets::test_the_lower_of_amount_and_share_counts",
            "section8.yaml::the deepest of several cuts is a fifth of gross",
        ),
    ),
    Sentence(
        "a halt silences depth, oracle-cadence and venue rules of its venue",
        (f"{HERE}::test_a_halt_speaks_for_what_follows_from_it",),
    ),
    Sentence(
        "stale data silences what depends on it",
        (
            "tests.notify.test_quiet::test_the_cause_covers",
            "tests.rulebook.test_sections::test_a_halt_speaks_for_what_follows_from_it",
        ),
    ),
    Sentence(
        "a cut that would break a hedge is a paired cut",
        (
            f"{PLANNER}::test_a_pair_of_one_asset_shrinks_together",
            f"{PLANNER}::test_no_net_per_asset_grows",
        ),
    ),
    Sentence(
        "property: never increases exposure",
        (f"{PLANNER}::test_no_order_increases_or_flips_a_position",),
    ),
    Sentence(
        "property: never trades on UNKNOWN",
        (
            "tests.properties.test_storm::test_nothing_is_decided_on_what_is_unknown",
            f"{MACHINE}_targets::test_an_amount_nobody_knows_cuts_nothing",
        ),
    ),
    Sentence(
        "property: evaluating again changes nothing",
        (f"{PROPERTIES}::test_evaluating_again_changes_nothing",),
    ),
    Sentence(
        "property: replay is live",
        (
            "tests.replay.test_core_journal::test_replay_is_byte_identical",
            "tests.replay.test_core_journal::test_a_restored_engine_goes_on_byte_for_byte",
        ),
    ),
    Sentence(
        "property: a threshold moved up never fires earlier",
        (
            f"{PROPERTIES}::test_a_higher_limit_never_fires_earlier",
            "tests.properties.test_core_engine::test_raising_a_threshold_never_fires_earlier",
        ),
    ),
    Sentence(
        "property: removing a market from the feed cannot lower severity",
        (
            "tests.properties.test_core_engine::test_removing_data_never_lowers_severity",
            "tests.properties.test_funding_closed::test_a_market_that_closes_never_cools_the_index",
            "tests.properties.test_storm::test_another_market_hides_none",
            "tests.core.formulas.test_oracles::test_another_witness_hides_none",
        ),
    ),
)


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda one: one.says)
def test_every_sentence_is_held_or_told(sentence: Sentence) -> None:
    """By tests that exist, or in the README's own words."""
    assert bool(sentence.held) is not bool(sentence.not_done)
    for place in sentence.held:
        assert text_of(place)
    assert sentence.not_done in " ".join(README.read_text(encoding="utf-8").split())


# ---------------------------------------------------------------------------- what is held here


def test_blindness_is_told_after_five_minutes_and_two_for_margin() -> None:
    """The catalogue's own numbers."""
    assert (QUIET_NS, QUIET_MARGIN_NS) == (300 * SECOND_NS, 120 * SECOND_NS)


def measured(found: list[Comparison]) -> set[tuple[str, float]]:
    """Limits of measures that move by degrees."""
    steps = {Unit.BOOL, Unit.COUNT}
    return {
        (one.name, one.limit)
        for one in found
        if rule_input(one.name) is None and CATALOGUE[one.name].unit not in steps
    }


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_what_begins_at_a_limit_ends_elsewhere(rule: Rule) -> None:
    """Each rule about an amount ends at another limit than it begins at, or only after a while."""
    reads = [rule.when] if rule.when is not None else [one for _, one in rule.flags]
    begins = measured([one for read in reads if read for one in read.comparisons])
    ends = measured(list(rule.until.comparisons)) if rule.until is not None else set()
    elsewhere = {name for name, _ in begins} & {name for name, _ in ends - begins}
    lasts = rule.keep_firing_for_ns > 0 or rule.min_hold_ns > 0
    assert not begins or elsewhere or lasts or rule.id in AT_ONCE


# An order that is too large is one until it is smaller, a review is late until it is made, a change
# is news once, and the kill switch rests on rules that have an exit each and ends by people.
AT_ONCE = frozenset({"cadence", "execution_slice", "loss_and_margin", "margin_terms_changed"})

# What a venue that makes no blocks explains. What is critical is never silenced.
HALTED = (
    "book_thin", "spread_wide", "spread_unusual", "bids_pulled", "oracle_stale", "oracle_frozen",
    "oracle_contradicted", "oracle_divergence", "oracle_divergence_majors", "mid_divergence",
    "market_inactive", "venue_health", "venue_health_high", "venue_slow", "venue_unhealthy",
    "indexer_lag", "data_stale", "channel_lost", "feed_disconnected", "account_truth_stale",
)  # fmt: skip


@pytest.mark.parametrize("name", HALTED)
def test_a_halt_speaks_for_what_follows_from_it(name: str) -> None:
    """Depth, oracle and venue rules are covered by the page that the venue has stopped."""
    rule, halt = BOOK.get(name), BOOK.get("venue_stalled")
    assert rule is not None
    assert halt is not None
    assert (halt.severity, "venue_stalled" in rule.covered_by) == (Severity.CRITICAL, True)


def test_every_rule_on_markets_is_silenced_by_a_halt_or_critical() -> None:
    """A new one is to be thought about."""
    family = {rule.id for rule in BOOK.rules if rule.family == "market"}
    assert {
        name
        for name in family - set(HALTED)
        if BOOK.get(name).severity is not Severity.CRITICAL  # type: ignore[union-attr]  # of the book itself
    } == set()


def test_stress_proposes_to_whoever_receives() -> None:
    """As shipped it proposes to every book; what else may cut for funding observes."""
    modes = {
        rule.id: rule.mode.value
        for rule in BOOK.rules
        if rule.family == "funding" and rule.gross_to_ratio is not None
    }
    assert modes == {
        "funding_stress": "propose",
        "funding_stress_deeper": "propose",
        "funding_broad_expense": "observe",
    }
    assert "funding_stress" in PROPOSED
