"""An oracle that is repeated and never changes: every age is small, and one measure sees it."""

from __future__ import annotations

import pytest

from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import PORTFOLIO
from monitor.rulebook import builtin_files
from tests.core.desk import BTC, DYDX, HL, HL_VENUE, Desk

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


# ------------------------------------------------------------------- what funding then is worth


def storm(moving: bool, others: int, seconds: int = 60) -> Desk:
    """Every market of Hyperliquid pays 200 % a year, of which its oracle is told each second and
    moves or not; ``others`` of dYdX are calm and told once."""
    desk = Desk((HL, "main"), (DYDX, "main"))
    for market in MAJORS:
        desk.list_market(market).open(f"{HL}/ctx/{market}", 1.0)
    for number in range(others):
        name = f"A{number}-USD"
        desk.list_market(name, DYDX)
        desk.context(name, DYDX, oracle_price=5.0, predicted_funding_rate_hourly=0.0)
    for now in range(seconds):
        desk.at(now)
        for market in MAJORS:
            price = 100.0 + (now * 0.01 if moving else 0.0)
            rate = 2.0 / 8760.0
            desk.context(market, oracle_price=price, predicted_funding_rate_hourly=rate)
        desk.evaluate()
    return desk


@pytest.mark.parametrize(
    ("moving", "others", "share", "worst"),
    [
        pytest.param(True, 3, 0.5, 0.5, id="a real storm on half of the markets"),
        pytest.param(False, 3, None, None, id="a dead oracle leaves too few to judge by"),
        pytest.param(False, 7, 0.0, 0.3, id="the other venue alone is enough, and calm"),
    ],
)
def test_markets_of_a_dead_oracle_are_no_storm(
    moving: bool, others: int, share: float | None, worst: float | None
) -> None:
    """The premium over a number that nobody makes any more must not cut a book, nor end a cut."""
    desk = storm(moving, others)
    assert desk.after("funding_expensive_worst_share_ratio", PORTFOLIO) == worst
    assert desk.after("funding_expensive_share_ratio", PORTFOLIO) == share
    venue = desk.after("funding_expensive_share_ratio", HL_VENUE)
    assert venue == (1.0 if moving else None)


def test_it_takes_half_a_minute_to_call_an_oracle_dead() -> None:
    """Both sides of the limit, and why it is absent."""
    assert storm(False, 3, seconds=30).after("funding_expensive_share_ratio", PORTFOLIO) == 0.5
    desk = storm(False, 3, seconds=31)
    assert desk.after("funding_expensive_share_ratio", PORTFOLIO) is None
    reason = desk.engine.absence("funding_expensive_share_ratio", PORTFOLIO, desk.now)
    assert f"3 more rest on the dead oracle of {HL_VENUE}" in reason


@pytest.mark.parametrize(
    ("minutes", "share"),
    [
        pytest.param(59, None, id="its hour's average still holds the dead number"),
        pytest.param(61, 0.5, id="a whole interval of moving oracles has been averaged"),
    ],
)
def test_funding_over_a_dead_oracle_stays_meaningless_for_its_interval(
    minutes: int, share: float | None
) -> None:
    """The average that funding is goes on with what was measured while the oracle stood."""
    desk = storm(False, 3, seconds=60)
    rate = 2.0 / 8760.0
    for now in (60, 60 + minutes * 60):
        desk.at(now)
        for market in MAJORS:
            desk.context(market, oracle_price=101.0 + now, predicted_funding_rate_hourly=rate)
        for number in range(3):
            desk.context(f"A{number}-USD", DYDX, predicted_funding_rate_hourly=0.0)
        desk.evaluate()
    assert desk.after("funding_expensive_share_ratio", PORTFOLIO) == share


def test_majors_that_rest_one_after_the_other_are_no_dead_oracle() -> None:
    """Each of them rested for half a minute, but never all together."""
    desk = storm(True, 3, seconds=1)
    rate = 2.0 / 8760.0
    for now in range(1, 120):
        desk.at(now)
        for number, market in enumerate(MAJORS):
            rests = number * 40 <= now < (number + 1) * 40
            price = 200.0 + (number * 40 if rests else now) * 0.01
            desk.context(market, oracle_price=price, predicted_funding_rate_hourly=rate)
        desk.evaluate()
    assert desk.after("funding_expensive_share_ratio", PORTFOLIO) == 0.5
