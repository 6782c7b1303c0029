"""Hedged accounts in sigmas: their longs against their shorts, by how these move together."""

from __future__ import annotations

from math import log, sqrt

import pytest

from monitor.core.settings import EngineSettings, LeverageSettings
from monitor.rulebook import builtin_files
from tests.core.desk import HL, MAIN, PORTFOLIO, Desk
from tests.core.test_leverage_caps import CALM, closes
from tests.core.test_shocks import THREE

ACCOUNTS = ((HL, "main"),)
SIGMAS, BREAK = "liquidation_hedge_sigmas", "liquidation_hedge_break_ratio"
OF_MINIMUM, SIGMA = "liquidation_hedge_of_minimum_ratio", "pool_sigma_daily_usd"
RULES = dict(builtin_files())["margin.yaml"]
# Patterns of up and down that have no correlation with each other; 60 % a year each.
UP, DOWN = CALM, -CALM
APART = {
    "BTC": (UP, DOWN),
    "ETH": (UP, UP, DOWN, DOWN),
    "SOL": (UP, DOWN, DOWN, UP),
    "XRP": (UP, UP, UP, UP, DOWN, DOWN, DOWN, DOWN),
}
ALIKE = dict.fromkeys(APART, (UP, DOWN))
LEGS = (("BTC", 5.0), ("ETH", -5.0), ("SOL", 5.0), ("XRP", -5.0))
DAILY = 0.60 / sqrt(365.0)


def hedged(equity: float, moves: dict[str, tuple[float, ...]] = APART) -> Desk:
    """Long two assets and short two, 500 USD of each, on this equity."""
    desk = Desk(
        settings=EngineSettings(accounts=ACCOUNTS, leverage=LeverageSettings(basket=tuple(moves)))
    )
    for market, of in moves.items():
        desk.list_market(market, tiers=THREE).tell(closes(market, of))
    for minute in range(5):
        for market in moves:
            desk.at(minute * 60 + 1).context(market, mark_price=100.0 + minute * 1e-6)
    return state(desk, equity)


def unknown(equity: float) -> Desk:
    """The same book without a past."""
    desk = Desk((HL, "main"))
    for market, _ in LEGS:
        desk.list_market(market, tiers=THREE)
    return state(desk, equity)


def state(desk: Desk, equity: float) -> Desk:
    """The account's truth, told again."""
    for market, _ in LEGS:
        desk.context(market, mark_price=100.0, oracle_price=100.0)
    return desk.positions(*LEGS).money(equity)


def test_a_hedge_in_sigmas_by_hand() -> None:
    """60 USD of maintenance; each percent apart costs 20 USD. Uncorrelated, a day moves the four
    legs by twice one of them."""
    desk = hedged(460.0)
    distance = 400.0 / 2000.0
    assert desk.after(BREAK, MAIN) == pytest.approx(distance, abs=1e-6)
    sigma = sqrt(4.0) * 500.0 * DAILY
    assert desk.value(SIGMA, MAIN) == pytest.approx(sigma, rel=2e-3)
    assert desk.value(SIGMAS, MAIN) == pytest.approx(log(1.2) / (sigma / 2000.0), rel=2e-3)
    assert desk.value(SIGMAS, PORTFOLIO) == desk.value(SIGMAS, MAIN)
    least = 1.5 * 3.0902 * (sigma / 2000.0) * sqrt(365.0) * sqrt(1.0 / 8760.0) + 0.03
    assert desk.value(OF_MINIMUM, MAIN) == pytest.approx(distance / least, rel=2e-3)


def test_what_moves_as_one_is_far_from_breaking() -> None:
    """Perfectly correlated legs: no day of the past moved them apart."""
    desk = hedged(100.0, ALIKE)
    assert desk.after(SIGMA, MAIN) == pytest.approx(0.0, abs=0.1)
    assert (desk.value(SIGMAS, MAIN) or 0.0) > 100.0
    assert desk.value(BREAK, MAIN) == pytest.approx(40.0 / 2000.0, abs=1e-6)


def test_one_side_alone_is_no_nearer_than_all_together() -> None:
    """Its sigmas are at most those of the rule that knows it already."""
    desk = hedged(460.0)
    desk.positions(("BTC", 10.0), ("ETH", 10.0)).money(460.0)
    sigmas = desk.after(SIGMAS, MAIN) or 0.0
    assert sigmas >= (desk.value("liquidation_distance_sigmas", MAIN) or 1e9)


@pytest.mark.parametrize("equity", [60.0, 0.0, -5.0], ids=["at maintenance", "gone", "below"])
def test_a_pool_at_its_end_is_a_breach(equity: float) -> None:
    """In all of them."""
    desk = hedged(equity)
    assert desk.after(BREAK, MAIN) == 0.0
    assert desk.value(SIGMAS, MAIN) == 0.0
    assert desk.value(OF_MINIMUM, MAIN) == 0.0


def test_nothing_held_is_far() -> None:
    """Known to be."""
    desk = hedged(100.0)
    desk.positions().money(100.0)
    assert desk.after(SIGMAS, MAIN) == 1000.0
    assert desk.value(OF_MINIMUM, MAIN) == 1000.0
    assert desk.value(SIGMA, MAIN) == 0.0


def test_without_history_sigmas_are_unknown_and_the_distance_is_known() -> None:
    """And it says for want of what."""
    desk = unknown(100.0)
    assert desk.after(SIGMAS, MAIN) is None
    assert "volatility" in desk.why(SIGMA, MAIN)
    assert desk.value(BREAK, MAIN) == pytest.approx(0.02, abs=1e-6)


def fired(desk: Desk, equity: float) -> dict[str, str]:
    """Rules about liquidation that fire within 40 s, but for those on flat distances, with what
    their pages say."""
    desk.evaluate()
    desk.load(RULES)
    told: dict[str, str] = {}
    for second in range(0, 41, 5):
        for one in state(desk.at(241 + second), equity).evaluate().transitions:
            if one.after.value == "firing" and one.rule.startswith("liquidation"):
                told[one.rule] = one.summary
    return {rule: said for rule, said in told.items() if "distance" not in rule}


@pytest.mark.parametrize(
    ("distance", "rules"),
    [
        # A sigma of the move is 1.57 % a day: three are 4.82 %, one and a half 2.38 %.
        pytest.param(0.0490, {"liquidation_shock"}, id="more than three sigmas"),
        pytest.param(0.0475, {"liquidation_shock", "liquidation_likely"}, id="below three"),
        pytest.param(0.0241, {"liquidation_shock", "liquidation_likely"}, id="more than 1.5"),
        pytest.param(
            0.0236,
            {"liquidation_shock", "liquidation_likely", "liquidation_imminent"},
            id="below one and a half",
        ),
    ],
)
def test_the_ladder_of_a_hedged_account(distance: float, rules: set[str]) -> None:
    """High below three sigmas, critical below one and a half; each covers what is quieter."""
    equity = 60.0 + 2000.0 * distance
    found = fired(hedged(equity), equity)
    assert set(found) == rules
    if "liquidation_imminent" in found:
        assert (
            "sigmas < 1.5, SOL/XRP 2.4 %; account hyperliquid/main. "
            in found["liquidation_imminent"]
        )


@pytest.mark.parametrize(
    ("distance", "rules"),
    [(0.0303, {"liquidation_shock"}), (0.0299, {"liquidation_shock", "liquidation_likely"})],
    ids=["beyond 3 %", "within"],
)
def test_three_percent_is_near_without_any_history(distance: float, rules: set[str]) -> None:
    """Whatever these assets did before."""
    equity = 60.0 + 2000.0 * distance
    assert set(fired(unknown(equity), equity)) == rules
