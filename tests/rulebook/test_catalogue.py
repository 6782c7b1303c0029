"""What each acting rule asks for, against the catalogue of rules: level, target, scope, mode.

The catalogue gives one line where the rulebook may have several rules: the rungs of a ladder are
rules of their own, and "level 2 and a proposed cut" are two.
"""

from __future__ import annotations

import pytest

from monitor.cli.generated import asked
from monitor.core.decision import ActionLevel, Because
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.rulebook import builtin_files

BOOK = parse_rulebook(builtin_files(), CATALOGUE)
HOLD, BLOCK, CUT = "2 hold", "2 block_new", "3 cut"
SLICED = "leverage_cap_target_usd over 60 min"

# (catalogue, rule, severity, level, target, scope, the limit it begins at)
TABLE = (
    ("FUNDING_STRESS", "funding_stress", "critical", CUT, "70% of gross", "portfolio", 60.0),
    ("FUNDING_BUDGET", "funding_budget", "high", BLOCK, "", "portfolio", 1.0),  # of the 1 %
    ("LEVERAGE_CAP", "leverage_cap", "high", CUT, SLICED, "portfolio", 1.05),
    ("LEVERAGE_CAP", "leverage_cap_critical", "critical", CUT, "70% of gross", "portfolio", 1.25),
    ("DRAWDOWN", "drawdown_8", "critical", CUT, "70% of gross", "portfolio", 0.08),
    ("DRAWDOWN", "drawdown_12", "critical", CUT, "40% of gross", "portfolio", 0.12),
    ("DRAWDOWN", "drawdown_15", "critical", CUT, "20% of gross", "portfolio", 0.15),
    ("LOSS_SPEED", "loss_speed", "high", HOLD, "", "portfolio", 0.03),
    ("FUNDING_ELEVATED", "funding_elevated", "warning", HOLD, "", "portfolio", 40.0),
    ("FUNDING_SPIKE", "funding_spike", "high", HOLD, "", "market", 6.0),
    ("FUNDING_SPIKE", "funding_spike_market", "warning", HOLD, "", "market", 6.0),
    ("VOL_JUMP", "vol_jump_freeze", "warning", HOLD, "", "asset", 0.5),
    ("VOL_AND_FALL, no adds", "vol_and_fall_freeze", "warning", HOLD, "", "portfolio", 0.5),
    ("BIDS_PULLED", "bids_pulled", "warning", HOLD, "", "market", 0.0),  # held at all, and 70 %
    ("ORACLE_DIVERGENCE", "oracle_contradicted", "high", HOLD, "", "market", 0.0),  # held, over 1x
    ("VENUE_HEALTH, no new size", "venue_health", "warning", HOLD, "", "venue", 0.70),
    ("VOL_AND_FALL", "vol_and_fall", "high", CUT, "70% of gross", "portfolio", 0.85),
    ("MARGIN_USAGE", "margin_usage_high", "high", BLOCK, "", "account", 0.30),
    ("MARGIN_USAGE", "margin_usage_critical", "critical", CUT, "70% of gross", "account", 0.45),
    (
        "FUNDING_STRESS, re-based",
        "funding_stress_deeper",
        "critical",
        CUT,
        "49% of gross",
        "portfolio",
        85.0,
    ),
    ("ANY_TWO, level 2", "any_two", "high", BLOCK, "", "portfolio", 35.0),
    ("ANY_TWO, a 15 % cut", "any_two_cut", "warning", CUT, "85% of gross", "asset", 0.5),
    ("ANY_TWO, of the book", "any_two_cut_book", "warning", CUT, "85% of gross", "portfolio", 0.5),
    ("ANY_TWO, three", "any_three_cut", "critical", CUT, "70% of gross", "portfolio", 35.0),
    ("KILL_SWITCH", "stress_and_loss", "critical", CUT, "20% of gross", "portfolio", 85.0),
    ("KILL_SWITCH", "loss_and_margin", "critical", CUT, "20% of gross", "portfolio", 0.5),
    ("KILL_SWITCH", "margin_on_two_venues", "critical", CUT, "20% of gross", "portfolio", 2.0),
    ("CROSS_CHECK", "cross_check", "high", HOLD, "", "account", 0.005),
    ("DATA_STALE", "account_truth_stale", "high", HOLD, "", "account", 60.0),
)
# The catalogue's own word for each.
PROPOSED = frozenset(
    {
        "funding_stress", "funding_stress_deeper", "any_two_cut", "any_two_cut_book",
        "leverage_cap", "leverage_portfolio_cut", "leverage_venue_cut", "leverage_asset_cut",
        "vol_and_fall",
    }
)  # fmt: skip
# Held because of a risk: gone with the rule, and hedges are allowed meanwhile.
FREEZES = frozenset(
    {
        "funding_elevated", "funding_spike", "funding_spike_market", "loss_speed",
        "vol_jump_freeze", "vol_and_fall_freeze", "bids_pulled", "oracle_contradicted",
    }
)  # fmt: skip
TELLING = (
    ("FUNDING_DISPERSION", "funding_dispersion", "info", 0.40),
    ("VOL_PERCENTILE", "vol_percentile", "warning", 0.90),
    ("VOL_PERCENTILE", "vol_percentile_high", "high", 0.97),
    ("DRAWDOWN", "drawdown_5", "warning", 0.05),
    ("MARGIN_USAGE", "margin_usage_warning", "warning", 0.15),
    ("ORACLE_DIVERGENCE, 3 %", "oracle_contradicted_critical", "critical", 0.03),
    ("EVENT_FILTER", "event_filter", "info", 0.5),
    ("HEDGE_MISMATCH", "hedge_mismatch", "high", 0.05),
    ("HEDGE_MISMATCH", "hedge_mismatch_critical", "critical", 0.15),
    ("LEG_LOST", "leg_lost", "critical", 0.5),
    ("BUCKET_BAND", "bucket_band", "warning", 1.0),
    ("BUCKET_BAND, contingency", "bucket_band_contingency", "high", 1.0),
    ("LOCKSTEP", "lockstep", "warning", 0.6),
    ("LOCKSTEP, stressed", "lockstep_stressed", "warning", 0.6),
    ("BUDGET_MIX", "budget_mix", "info", 0.10),
    ("CADENCE, overdue > 25 %", "cadence", "warning", 1.25),
    ("CADENCE_COST", "cadence_cost", "info", 0.5),
    ("CLOCK_SKEW", "clock_skew", "warning", 1.0),
    ("FUNDING_NOTIONAL_CAP", "funding_notional_cap", "warning", 1.05),
    ("TRADE_MAX_LOSS", "trade_max_loss", "high", 1.0),  # of the 0.5 %
    ("KELLY_CAP", "kelly_cap", "warning", 1.0),
    ("TAIL_HEDGE", "tail_hedge", "warning", 0.12),
    ("FUNDING_AGAINST", "entry_funding_against", "info", 0.30),
    ("HEDGE_ADD_CHECK", "hedge_add_check", "warning", 0.0),  # and 40 of the index
    ("SIGNAL_CROSSREF", "signal_crossref", "info", 1.0),  # assets of which two of three worsen
    ("EXECUTION_SLICE", "execution_slice", "info", 1.0),  # of 10 % of depth
    ("HARVEST", "harvest", "info", 1.5),
    ("REDUNDANT_COLLATERAL", "redundant_collateral", "info", 0.30),
)


def begins_at(rule_id: str) -> float:
    """The first limit of a rule's condition, or of its first flag."""
    rule = BOOK.get(rule_id)
    assert rule is not None, rule_id
    expression = rule.when or rule.flags[0][1]
    return expression.comparisons[0].limit


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[1])
def test_what_a_rule_asks_for(row: tuple[str, str, str, str, str, str, float]) -> None:
    """As the catalogue has it; nothing ships that acts by itself."""
    _, rule_id, severity, level, target, scope, limit = row
    rule = BOOK.get(rule_id)
    assert rule is not None
    assert rule.severity.value == severity
    mode = "propose" if rule_id in PROPOSED else "observe"
    assert asked(rule) == (level, target, scope, mode)
    assert begins_at(rule_id) == pytest.approx(limit)


@pytest.mark.parametrize("row", TELLING, ids=lambda row: row[1])
def test_what_only_tells(row: tuple[str, str, str, float]) -> None:
    """Severity and limit."""
    _, rule_id, severity, limit = row
    rule = BOOK.get(rule_id)
    assert rule is not None
    assert (rule.severity.value, rule.level) == (severity, ActionLevel.PAGE)
    assert begins_at(rule_id) == pytest.approx(limit)


def test_what_holds_says_why() -> None:
    """Bad data is waited for and bars hedges; a risk that is known does neither."""
    holds = {rule.id: rule.because for rule in BOOK.rules if rule.level is ActionLevel.HOLD}
    assert {name for name, why in holds.items() if why is Because.RISK} == FREEZES
    # The score of a venue is mostly what is missing there: no hedge rests on it.
    others = {rule.id: rule.family for rule in BOOK.rules if rule.id in holds.keys() - FREEZES}
    assert others.pop("venue_health")
    assert set(others.values()) == {"data"}


def test_targets_of_the_ladder_fall() -> None:
    """Cuts do not add: the lowest target counts, so a deeper rung must ask for less."""
    targets = [
        rule.gross_to_ratio
        for name in ("any_two_cut", "any_three_cut", "drawdown_12", "drawdown_15")
        if (rule := BOOK.get(name)) is not None
    ]
    assert targets == [0.85, 0.70, 0.40, 0.20]
