"""An oracle that is repeated and never changes: every age is small, and one measure sees it."""

from __future__ import annotations

from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules.rulebook import parse_rulebook
from monitor.rulebook import builtin_files
from tests.core.desk import BTC, HL, HL_VENUE, Desk

MARKET_RULES = dict(builtin_files())["market.yaml"]
ONLY_FROZEN = "market:\n" + MARKET_RULES[MARKET_RULES.index("  - id: oracle_frozen") :].partition(
    "\n\n"
)[0].replace("covered_by: [venue_stalled]", "")
MAJORS = ("BTC", "ETH", "SOL")


def frozen_from(second: int, until: int) -> tuple[Desk, set[int]]:
    """Contexts of the majors every second; prices move every third until ``second``. When the rule
    fired."""
    desk = Desk((HL, "main")).load(ONLY_FROZEN)
    for market in MAJORS:
        desk.list_market(market).open(f"{HL}/ctx/{market}", 1.0)
    firing = set()
    for now in range(until):
        desk.at(now)
        for market in MAJORS:
            price = 100.0 + min(now, second) // 3 * 0.01
            desk.context(market, oracle_price=price, mark_price=price)
        desk.evaluate()
        states = [one.state.state.value for one in desk.engine.rule_states()]
        if "firing" in states:
            firing.add(now)
    return desk, firing


def test_a_frozen_oracle_fires_without_a_price_move() -> None:
    """Fifteen minutes of identical frames: its age is zero, and the rule fires after thirty
    seconds."""
    desk, firing = frozen_from(60, 960)
    assert desk.value("oracle_age_s", BTC) == 0.0
    assert desk.value("oracle_unchanged_s", HL_VENUE) == 899.0
    assert min(firing) == 90


def test_a_calm_hour_is_silent() -> None:
    """New prices every three seconds."""
    desk, firing = frozen_from(3600, 3600)
    assert not firing
    assert (desk.value("oracle_unchanged_s", HL_VENUE) or 0.0) <= 3.0


def test_one_moving_major_is_enough() -> None:
    """And a market that is no major is not asked."""
    desk = Desk((HL, "main"))
    for market in ("BTC", "ETH", "DOGE"):
        desk.list_market(market).context(market, oracle_price=100.0)
    desk.at(8).context("ETH", oracle_price=100.1).context("BTC", oracle_price=100.0)
    desk.at(10).context("DOGE", oracle_price=100.1)
    desk.context("BTC", oracle_price=100.0)
    assert desk.after("oracle_unchanged_s", HL_VENUE) == 2.0


def test_a_silent_channel_is_not_a_frozen_oracle() -> None:
    """What nobody repeats is unknown; other rules say that."""
    desk = Desk((HL, "main")).list_market().context(oracle_price=100.0)
    assert desk.at(10).after("oracle_unchanged_s", HL_VENUE) == 10.0
    assert desk.at(3600).after("oracle_unchanged_s", HL_VENUE) is None
    assert "oracle price of BTC" in desk.why("oracle_unchanged_s", HL_VENUE)


def test_the_rule_asks_where_repetition_is_the_norm() -> None:
    """A dYdX price is told when it changes, and may rest."""
    rule = parse_rulebook(builtin_files(), CATALOGUE).get("oracle_frozen")
    assert rule is not None
    assert rule.only == (("venue", frozenset({HL})),)
