"""Every rule of the catalogue of rules, by section: the built-in rules that evaluate it, or none.

What none evaluates stands in ``NOT_EVALUATED`` and in the README, in the same words.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rulebook.test_catalogue import BOOK

README = Path(__file__).parents[2] / "README.md"

# Section -> catalogue's name -> built-in rules, most of them in a file of that subject.
SECTIONS: dict[int, dict[str, tuple[str, ...]]] = {
    1: {
        "FUNDING_STRESS": ("funding_stress", "funding_stress_deeper", "funding_broad_expense"),
        "FUNDING_ELEVATED": ("funding_elevated",),
        "FUNDING_NORMAL": ("funding_stress",),  # its way back
        "FUNDING_SPIKE": ("funding_spike", "funding_spike_market", "funding_spike_held"),
        "FUNDING_BUDGET": ("funding_budget", "funding_budget_warning"),
        "FUNDING_NOTIONAL_CAP": ("funding_notional_cap",),
        "FUNDING_DRIFT": ("funding_drift",),
        "FUNDING_FLIP": ("funding_flip",),
        "HARVEST": ("harvest", "harvest_over"),
        "FUNDING_AGAINST": ("entry_funding_against", "funding_against"),
        "HEDGE_ADD_CHECK": ("hedge_add_check",),
        "FUNDING_DISPERSION": ("funding_dispersion",),
    },
    2: {
        "VOL_PERCENTILE": ("vol_percentile", "vol_percentile_high"),
        "VOL_JUMP": ("vol_jump", "vol_jump_freeze"),
        "LEVERAGE_CAP": ("leverage_cap", "leverage_cap_critical", "leverage_portfolio"),
        "VENUE_LEVERAGE": ("leverage_venue", "leverage_account"),
        "TRADE_MAX_LOSS": ("trade_max_loss",),
        "KELLY_CAP": ("kelly_cap",),
        "TAIL_HEDGE": ("tail_hedge",),
        "DRAWDOWN": ("drawdown_5", "drawdown_8", "drawdown_12", "drawdown_15"),
        "LOSS_SPEED": ("loss_speed",),
        "VOL_AND_FALL": ("vol_and_fall", "vol_and_fall_freeze"),
        "ES_LIMIT": (),
        "VAR_LIMIT": (),
        "SCENARIO_LIMIT": (),
        "VAR_BACKTEST": (),
    },
    3: {
        "LIQ_DISTANCE": ("liquidation_distance_high", "liquidation_distance_critical"),
        "LIQ_PROB": ("liquidation_likely",),
        "MARGIN_USAGE": ("margin_usage_warning", "margin_usage_high", "margin_usage_critical"),
        "RUNWAY_NET": ("runway_gone", "runway_short"),
        "CORRELATED_LIQUIDATION": ("correlated_liquidation", "correlated_liquidation_likely"),
        "CROSS_MARGIN_POLICY": ("cross_margin_policy",),
        "REDUNDANT_COLLATERAL": ("redundant_collateral",),
        "COLLATERAL_MIX": ("collateral_mix", "collateral_issuer"),
        "DEPEG": ("depeg_warning", "depeg_high", "depeg_critical"),
    },
    4: dict.fromkeys(
        (
            "BUFFER", "LIQUID_LEG", "ROLLUP_POWDER", "EXIT_TIME", "ROUND_TRIP", "WITHDRAWAL_SLOW",
            "INSTANT_PROMISE", "CONGESTION", "CHAIN_HALTED", "SEQUENCER_BEHAVIOUR",
            "FINALITY_DELAY", "NEXUS_SHARE", "NEXUS_HHI", "PROTOCOL_COUNT", "BRIDGE_LIQUIDITY",
            "BRIDGE_COST", "ROUTE_TESTED", "ROUTE_RANK", "TIMEOUT_POLICY", "RELAYER_HEALTH",
        ),
        (),
    ),
    5: {
        "VENUE_HEALTH": ("venue_health", "venue_health_high"),
        "VENUE_SCORECARD": (),
        "MAINTENANCE_WINDOW": (),
        "BOOK_DEPTH": ("book_thin", "spread_unusual"),
        "BIDS_PULLED": ("bids_pulled",),
        "LIQUIDITY_INCENTIVE": (),
        "ORACLE_DIVERGENCE": ("oracle_contradicted", "oracle_contradicted_critical"),
        "ORACLE_CADENCE": ("oracle_stale", "oracle_frozen"),
        "ORACLE_DECENTRALISATION": (),
        "GOV_PARAM_CHANGE": ("margin_terms_changed",),
        "GOV_PROPOSAL": (),
        "STAKE_LOCK": (),
        "KEYS": (),
        "EVENT_FILTER": ("event_filter",),
    },
    6: {
        "ANY_TWO": ("any_two", "any_two_cut", "any_three_cut"),
        "CADENCE": ("cadence",),
        "CADENCE_COST": ("cadence_cost",),
        "BUCKET_BAND": ("bucket_band", "bucket_band_contingency"),
        "BUDGET_MIX": ("budget_mix",),
        "LOCKSTEP": ("lockstep", "lockstep_stressed"),
        "GAMMA_LIQUIDITY": (),
        "OPTIONS_LIQUIDITY": (),
        "HEDGE_MISMATCH": ("hedge_mismatch", "hedge_mismatch_critical"),
        "LEG_LOST": ("leg_lost",),
        "HEDGE_SURVIVAL": ("hedge_survival",),
        "CONCENTRATION": ("concentration_venue", "concentration_asset"),
        "EXECUTION_SLICE": ("execution_slice",),
        "SIGNAL_CROSSREF": ("signal_crossref",),
    },
    7: {
        "KILL_SWITCH": ("stress_and_loss", "loss_and_margin", "margin_on_two_venues"),
        "KILL_REHEARSAL": (),
        "CROSS_CHECK": ("cross_check",),
        "DATA_STALE": ("data_stale", "account_truth_stale", "channel_lost"),
        "CLOCK_SKEW": ("clock_skew",),
        "PLAYBOOK_REVIEW": (),
        "MICRO_STRESS": (),
        "SCALE_GATE": (),
        "MANUAL_BACKUP": (),
        "ALERT_FATIGUE": (),
        "DEAD_MAN": (),  # the watchdog alert, which is for an outside switch
    },
}  # fmt: skip
NOT_EVALUATED = frozenset(
    name for rules in SECTIONS.values() for name, found in rules.items() if not found
)
# How the README says what none of them evaluates: these sections as a whole, the others by name or
# by what they are about.
WHOLE = (4, 5, 7)
WORDS = {
    "ES_LIMIT": "VaR",
    "VAR_LIMIT": "VaR",
    "VAR_BACKTEST": "VaR",
    "SCENARIO_LIMIT": "scenarios",
    "GAMMA_LIQUIDITY": "options",
    "OPTIONS_LIQUIDITY": "options",
}


def told() -> str:
    """The README's sentence."""
    _, found, rest = README.read_text(encoding="utf-8").partition("- Not evaluated: ")
    assert found
    return " ".join(rest.partition("\n- ")[0].split()).partition(". The joint")[0]


def test_rules_that_are_said_to_evaluate_exist() -> None:
    """A renamed rule would leave its line in the catalogue to nobody."""
    named = {rule for rules in SECTIONS.values() for found in rules.values() for rule in found}
    assert {rule for rule in named if BOOK.get(rule) is None} == set()


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_not_evaluated_is_told(section: int) -> None:
    """In the README's Limits, under its own name or by what it is about."""
    sentence = told()
    if section in WHOLE:
        assert "the catalogue's sections 4, 5 and 7 but for" in sentence
        return
    missing = [name for name, found in SECTIONS[section].items() if not found]
    assert [name for name in missing if WORDS.get(name, name) not in sentence] == []


def test_what_is_told_is_not_evaluated() -> None:
    """The README pretends no gap that has been filled."""
    named = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", told()))
    assert named <= NOT_EVALUATED
