"""The built-in distance rules judge what would kill the account first, alone or together."""

from __future__ import annotations

import pytest

from monitor.core.decision import Decision
from monitor.core.types import position_subject
from monitor.rulebook import builtin_files
from tests.core.desk import HL, MAIN, Desk

POSITION = position_subject(HL, "main", "BTC")

MARGIN_RULES = dict(builtin_files())["margin.yaml"]
MARKETS = ("BTC", "ETH", "SOL", "ARB")


def book(equity: float, size: float = 10.0) -> Desk:
    """Four equal longs of 1 000 USD and one cushion under all of them."""
    desk = Desk((HL, "main"))
    for market in MARKETS:
        desk.list_market(market).context(market, mark_price=100.0, oracle_price=100.0)
    desk.positions(*((market, size) for market in MARKETS)).money(equity)
    return desk.load(MARGIN_RULES)


def fired(decision: Decision) -> set[str]:
    """Distance rules that begin to fire."""
    return {
        f"{one.rule} {one.subject}"
        for one in decision.transitions
        if one.after.value == "firing" and one.rule.startswith("liquidation_distance")
    }


@pytest.mark.parametrize(
    ("equity", "fires"),
    [
        pytest.param(168.0, {f"liquidation_distance_critical {MAIN}"}, id="3 % of all four"),
        pytest.param(171.0, set(), id="just beyond"),
    ],
)
def test_several_longs_are_judged_together(equity: float, fires: set[str]) -> None:
    """Every market alone is more than ten percent away; together they have three left."""
    desk = book(equity)
    decision = desk.evaluate()
    assert (desk.value("liquidation_distance_ratio", POSITION) or 0.0) > 0.10
    assert fired(decision) == fires


def test_the_page_says_which_is_nearer() -> None:
    """What is nearest, and the market alone where all together are nearer."""
    (together,) = [one for one in book(168.0).evaluate().transitions if "critical" in one.rule]
    assert "2.987 % <= 3 %, all together, ARB…; account" in together.summary
    desk = Desk((HL, "main")).list_market().context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 10)).money(40).load(MARGIN_RULES)
    (alone,) = [one for one in desk.evaluate().transitions if "critical" in one.rule]
    assert "%, BTC; account" in alone.summary
    assert "together" not in alone.summary


def test_a_closed_book_ends_the_alert_and_a_missing_distance_does_not() -> None:
    """No positions is known to be far; no prices is not known."""
    desk = book(168.0)
    desk.evaluate()
    desk.at(120).evaluate()
    assert desk.value("liquidation_distance_ratio", MAIN) is None
    state = {one.rule: one.state.state.value for one in desk.engine.rule_states()}
    assert state["liquidation_distance_critical"] == "firing"
    desk.at(121).positions().money(168.0).evaluate()
    state = {one.rule: one.state.state.value for one in desk.engine.rule_states()}
    assert state["liquidation_distance_critical"] == "recovering"
