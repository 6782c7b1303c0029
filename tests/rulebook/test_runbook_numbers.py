"""What runbooks tell to do by hand, recomputed: a rule of thumb that is wrong by the formula cuts a
book for nothing, or leaves it standing."""

from __future__ import annotations

from math import exp, sqrt

import pytest

from monitor.core.decision import ActionLevel
from monitor.core.formulas.first_passage import compute_passage_probability
from monitor.core.formulas.funding_stress import (
    ANCHORS,
    StressParts,
    compute_stress_points,
    robust_z,
)
from monitor.core.formulas.leverage import compute_base_leverage, compute_percentile_multiplier
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.rulebook import builtin_files
from monitor.rulebook import runbook as builtin_runbook

BOOK = parse_rulebook(builtin_files(), CATALOGUE)
STRESS, ELEVATED = 60.0, 40.0


def runbook(rule: str) -> str:
    """Its text."""
    text = builtin_runbook(rule)
    assert text is not None
    return text


def index(level: float, expensive: int, surprise_z: float = 0.0) -> float:
    """Of twenty assets, as far as a person can add it up from a list of rates."""
    parts = StressParts(level, expensive / 20, surprise_z, 0.0, 0.0)
    return compute_stress_points(parts).total


SURPRISED = ANCHORS.surprise[1]


@pytest.mark.parametrize(
    ("rule", "level", "expensive", "alone", "surprised"),
    [
        pytest.param("funding_stress", 0.40, 11, "28.5", None, id="what was once called stress"),
        pytest.param("funding_stress", 0.50, 12, "36.1", "61.1", id="stress by surprise"),
        pytest.param("funding_stress", 0.60, 16, "50.0", "75.0", id="all of level and breadth"),
        pytest.param("funding_elevated", 0.30, 5, "10.4", None, id="what was once elevated"),
        pytest.param("funding_elevated", 0.50, 14, "40.3", None, id="elevated by itself"),
        pytest.param("funding_elevated", 0.35, 7, "17.4", "42.4", id="elevated by surprise"),
    ],
)
def test_the_index_by_hand(
    rule: str, level: float, expensive: int, alone: str, surprised: str | None
) -> None:
    """The examples stand in the runbook, are right, and fall on the side that it says."""
    text = runbook(rule)
    assert f"M {level:.0%} with {expensive} of 20 is".replace("%", " %") in text
    assert alone in text
    assert f"{index(level, expensive):.1f}" == alone
    limit = STRESS if rule == "funding_stress" else ELEVATED
    assert (float(alone) >= limit) is (alone == "40.3")
    if surprised is not None:
        assert surprised in text
        assert f"{index(level, expensive, SURPRISED):.1f}" == surprised
        assert float(surprised) >= limit


@pytest.mark.parametrize("rule", ["funding_stress", "funding_elevated"])
def test_the_sum_by_hand_is_that_of_the_formula(rule: str) -> None:
    """Both ramps as the runbook writes them; and after a month at rest 32 % is all of surprise."""
    text = runbook(rule)
    assert "(M - 15) / 45 x 25" in text
    assert "(n - 4) / 12 x 25" in text
    for percent in (15, 30, 45, 60):
        for expensive in (4, 8, 16):
            by_hand = (percent - 15) / 45 * 25 + (expensive - 4) / 12 * 25
            assert index(percent / 100, expensive) == pytest.approx(by_hand)
    assert index(9.0, 20) == 50.0
    rest = 0.1095 / 8760
    assert robust_z(0.32 / 8760, rest, 0.0) >= SURPRISED
    assert robust_z(0.31 / 8760, rest, 0.0) < SURPRISED


@pytest.mark.parametrize("rule", ["leverage_cap", "leverage_cap_asset"])
@pytest.mark.parametrize(
    ("sigma", "percentile", "said"),
    [
        (0.62, 0.85, "62 % at the 85th percentile is 0.97 x 0.83 = 0.81"),
        (0.90, 0.92, "90 % at the 92nd 0.67 x 0.60 = 0.40"),
        (1.20, 0.97, "120 % at the 97th 0.50 x 0.50 = 0.25"),
    ],
)
def test_the_cap_by_hand(rule: str, sigma: float, percentile: float, said: str) -> None:
    """With the limits of the base and the percentile's multiplier."""
    assert said in runbook(rule)
    cap = compute_base_leverage(sigma) * compute_percentile_multiplier(percentile)
    assert f"{cap:.2f}" == said.rpartition(" ")[2]


@pytest.mark.parametrize(
    ("sigmas", "said"),
    [(1.5, "within the day is 13 %"), (1.0, "32 % at one sigma"), (1.9, "5.7 % at 1.9")],
)
def test_how_likely_a_liquidation_is(sigmas: float, said: str) -> None:
    """Without jumps, as the runbook says."""
    assert said in runbook("liquidation_imminent")
    volatility = 0.6
    chance = compute_passage_probability(
        price=100.0,
        barrier=100.0 * exp(-sigmas * volatility / sqrt(365.0)),
        volatility_annualized=volatility,
        horizon_s=86_400.0,
        drift_annualized=volatility**2 / 2.0,  # so that the logarithm has none
    )
    assert f"{chance * 100:.2g} %" in said


def test_the_cut_by_hand_is_the_cut_that_is_asked_for() -> None:
    """Of gross, to what the rule keeps; a share of the net alone would be less."""
    for rule, share in (("leverage_cap_critical", "70 %"), ("any_two", "85 %")):
        asked = BOOK.get("any_two_cut" if rule == "any_two" else rule)
        assert asked is not None
        assert asked.gross_to_ratio is not None
        assert f"{asked.gross_to_ratio * 100:g} %" == share
        assert f"to {share}" in runbook(rule)
    assert "Bring it to 70 %" in runbook("leverage_cap_critical")


@pytest.mark.parametrize("rule", ["loss_speed", "bids_pulled"])
def test_a_freeze_says_which_orders_stay(rule: str) -> None:
    """A hold cancels nothing: who wants no adds at all learns here how."""
    found = BOOK.get(rule)
    assert found is not None
    assert found.level is ActionLevel.HOLD
    assert "working orders that add may still fill" in runbook(rule)
    assert "`riskd kill --level reduce_only" in runbook(rule)


@pytest.mark.parametrize(
    "rule", ["stress_and_loss", "loss_and_margin", "margin_on_two_venues", "drawdown_15"]
)
def test_two_people_only_where_the_desk_says_so(rule: str) -> None:
    """It is a setting of the desk, and off unless it is set."""
    assert "two people where `kill.second_principal` is set" in runbook(rule)
