"""Sigmas, chances and runways of accounts, by hand from what they hold and how much it moves."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import log, sqrt

import pytest

from monitor.core import events as e
from monitor.core.engine import restore_snapshot
from monitor.core.formulas.first_passage import Jumps, compute_passage_probability
from monitor.core.formulas.volatility import BINS, bin_of
from monitor.core.measures.barriers import median_of_bins
from monitor.core.measures.catalogue import DEFINITIONS
from monitor.core.measures.definition import Definition, Key, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AssetNode
from monitor.core.measures.use import Use
from monitor.core.settings import EngineSettings, MarginSettings
from monitor.core.types import SubjectKind, asset_subject, position_subject
from tests.core.desk import DYDX, HL, ISOLATED, MAIN, PORTFOLIO, Desk

THREE = (e.MarginTier(0.0, 0.06, 0.03),)
BARRIER = 25_773.195876
POSITION = position_subject(HL, "main", "BTC")
SIGMAS = "liquidation_distance_sigmas"
DAY = "liquidation_probability_24h_ratio"
WEEK = "liquidation_probability_7d_ratio"
RUNWAY = "runway_1pct_s"
HOUR_S = 3600.0
VOLATILITY = {"BTC": 0.6, "ETH": 0.8}


def moving(**missing: Mapping[str, float]) -> Mapping[Key, Definition]:
    """Volatilities of assets as given: slow is the highest of the three."""
    tables: dict[str, Mapping[str, float]] = {
        "volatility_fast": {asset: 0.5 * value for asset, value in VOLATILITY.items()},
        "volatility_slow": VOLATILITY,
        "volatility_median": {asset: 0.9 * value for asset, value in VOLATILITY.items()},
    }
    made = dict(DEFINITIONS)
    for name, table in {**tables, **missing}.items():

        def compute(
            node: AssetNode, use: Use, table: Mapping[str, float] = table, name: str = name
        ) -> float | None:
            use.absent(f"{name} of {node.asset} is not warm")
            return table.get(node.asset)

        spec = MeasureSpec(name=name, kinds=(SubjectKind.ASSET,), unit=Unit.PER_YEAR, help="Given.")
        made[name, SubjectKind.ASSET] = define(spec, SubjectKind.ASSET, compute, bits=1)
    return made


KNOWN = moving()


def sheet(
    equity: float = 10_000.0,
    definitions: Mapping[Key, Definition] = KNOWN,
    settings: EngineSettings | None = None,
) -> Desk:
    """Long 2 BTC at 30 000, 3 %: liquidated at 25 773."""
    desk = Desk(
        settings=settings or EngineSettings(accounts=((HL, "main"),)), definitions=definitions
    )
    desk.list_market(tiers=THREE)
    desk.context(mark_price=30_000.0, oracle_price=30_000.0, predicted_funding_rate_hourly=0.00005)
    desk.positions(("BTC", 2)).money(equity)
    desk.evaluate()
    return desk


def test_sigmas_of_the_nearest() -> None:
    """``|ln(25 773 / 30 000)|`` over a day of 60 % a year."""
    desk = sheet()
    expected = log(30_000 / BARRIER) / (0.6 / sqrt(365))
    assert desk.value(SIGMAS, POSITION) == pytest.approx(expected)
    assert desk.value(SIGMAS, MAIN) == pytest.approx(expected)
    assert desk.value(SIGMAS, PORTFOLIO) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "days"), [(DAY, 1.0), (WEEK, 7.0)])
def test_chances_are_those_of_the_formula(name: str, days: float) -> None:
    """With the default jumps against us."""
    expected = compute_passage_probability(
        price=30_000.0,
        barrier=BARRIER,
        volatility_annualized=0.6,
        horizon_s=days * 86_400,
        jumps=Jumps(12.0, -0.08, 0.06),
    )
    assert sheet().value(name, MAIN) == pytest.approx(expected, rel=1e-6)
    assert sheet().value(name, PORTFOLIO) == pytest.approx(expected, rel=1e-6)


def test_jumps_go_against_a_short_as_well() -> None:
    """Upward, to 33 981."""
    desk = Desk((HL, "main"), definitions=KNOWN).list_market(tiers=THREE)
    desk.context(mark_price=30_000.0, oracle_price=30_000.0).positions(("BTC", -2)).money(10_000)
    expected = compute_passage_probability(
        price=30_000.0,
        barrier=70_000 / 2.06,
        volatility_annualized=0.6,
        horizon_s=86_400.0,
        jumps=Jumps(12.0, 0.08, 0.06),
    )
    assert desk.after(DAY, MAIN) == pytest.approx(expected, rel=1e-6)


def test_the_chance_of_the_day_reaches_a_percent_at_the_runway() -> None:
    """Both ways round; net of the time help takes (an hour by default)."""
    desk = sheet()
    runway = desk.value(RUNWAY, MAIN)
    assert runway is not None
    chance = compute_passage_probability(
        price=30_000.0,
        barrier=BARRIER,
        volatility_annualized=0.6,
        horizon_s=runway,
        jumps=Jumps(12.0, -0.08, 0.06),
    )
    assert chance == pytest.approx(0.01, abs=0.001)
    assert desk.value("runway_net_s", MAIN) == pytest.approx(runway - HOUR_S)


def test_each_venue_has_its_own_reach() -> None:
    """Where help takes longer less is left, and the distance must be larger."""
    slow = MarginSettings(reach_minutes=((HL, 480.0),))
    desk = sheet(settings=EngineSettings(accounts=((HL, "main"),), margin=slow))
    runway = desk.value(RUNWAY, MAIN) or 0.0
    assert desk.value("runway_net_s", MAIN) == pytest.approx(runway - 8 * HOUR_S)
    least = 1.5 * 3.0902 * 0.6 * sqrt(8 / 8760) + 0.03
    found = desk.value("liquidation_distance_of_minimum_ratio", MAIN)
    assert found == pytest.approx((1 - BARRIER / 30_000) / least)
    assert (sheet().value("liquidation_distance_of_minimum_ratio", MAIN) or 0.0) > (found or 0.0)


def test_funding_runway() -> None:
    """8 200 over 3 USD an hour; ten years where funding is received."""
    desk = sheet()
    assert desk.value("runway_funding_s", MAIN) == pytest.approx(8_200 / 3.0 * HOUR_S)
    desk.at(5).context(predicted_funding_rate_hourly=-0.00005).evaluate()
    assert desk.value("runway_funding_s", MAIN) == pytest.approx(10 * 365 * 86_400)


@pytest.mark.parametrize("equity", [1_800.0, 0.0, -10.0], ids=["at maintenance", "zero", "below"])
def test_gone_equity_is_a_breach(equity: float) -> None:
    """Certain, and at once."""
    desk = sheet(equity)
    for name, expected in (
        (SIGMAS, 0.0),
        (DAY, 1.0),
        (WEEK, 1.0),
        (RUNWAY, 0.0),
        ("runway_net_s", -HOUR_S),
        ("runway_funding_s", 0.0),
        ("liquidation_distance_of_minimum_ratio", 0.0),
    ):
        assert desk.value(name, MAIN) == expected, name


def test_nothing_held_is_nothing_to_lose() -> None:
    """Known to be far."""
    desk = sheet()
    desk.positions().money(10_000)
    desk.at(40).positions().money(10_000).evaluate()
    assert desk.value(SIGMAS, MAIN) == 1000.0
    assert desk.value(DAY, MAIN) == 0.0
    assert desk.value(RUNWAY, MAIN) == 30 * 86_400
    assert desk.value(SIGMAS, POSITION) == 1000.0


@pytest.mark.parametrize("name", ["volatility_fast", "volatility_slow", "volatility_median"])
def test_any_part_of_the_volatility_missing_is_unknown(name: str) -> None:
    """The highest of two is no substitute for the highest of three: it may be smaller."""
    desk = sheet(definitions=moving(**{name: {}}))
    assert desk.value(SIGMAS, MAIN) is None
    assert f"{name} of BTC is not warm" in desk.why(DAY, MAIN)
    assert desk.value("liquidation_distance_ratio", MAIN) is not None


def test_several_longs_are_as_near_as_all_together() -> None:
    """Each alone is far; together they are not, with the mean of their volatilities."""
    desk = Desk((HL, "main"), definitions=KNOWN)
    for market in ("BTC", "ETH"):
        desk.list_market(market, tiers=THREE).context(market, mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 10), ("ETH", 10)).money(200)
    distance = desk.after("liquidation_distance_ratio", MAIN)
    assert distance == pytest.approx((200 - 60) / (2_000 - 60))
    expected = -log(1 - (distance or 0.0)) / (0.7 / sqrt(365))
    assert desk.value(SIGMAS, MAIN) == pytest.approx(expected)
    alone = desk.value(SIGMAS, position_subject(HL, "main", "ETH"))
    assert alone is not None
    assert alone > expected


def hedged(distance: float) -> Desk:
    """A BTC long here and its twin on another venue, whose short is ``distance`` from its end."""
    desk = Desk((HL, "main"), (DYDX, "main"), definitions=KNOWN)
    desk.list_market(tiers=THREE).context(mark_price=100.0, oracle_price=100.0)
    desk.list_market("BTC-USD", DYDX, tiers=THREE).context("BTC-USD", DYDX, oracle_price=100.0)
    desk.positions(("BTC", 10)).money(5_000)
    room = 1_000.0 * (1 + distance) * 1.03  # equity + notional of the short at its end
    desk.positions(("BTC-USD", -10), venue=DYDX).money(cash=room, venue=DYDX)
    desk.evaluate()
    return desk


def test_hedge_survival() -> None:
    """The nearer leg over 3.09 sigmas of an hour; without a twin elsewhere there is nothing."""
    move = 3.0902 * 0.6 * sqrt(1 / 8760)
    found = hedged(0.05).value("hedge_survival_ratio", PORTFOLIO)
    assert found == pytest.approx(0.05 / move, rel=1e-6)
    alone = hedged(0.05)
    alone.positions(venue=DYDX).money(cash=1_000, venue=DYDX)
    assert alone.at(2).after("hedge_survival_ratio", PORTFOLIO) == 1000.0


def test_a_market_listed_after_its_position_is_of_its_asset() -> None:
    """Whatever was told first."""
    desk = Desk((HL, "main"), definitions=KNOWN)
    desk.context(mark_price=30_000.0, oracle_price=30_000.0).positions(("BTC", 2)).money(10_000)
    desk.evaluate()
    assert desk.value(SIGMAS, POSITION) is None
    desk.list_market(tiers=THREE)
    assert desk.at(2).after(SIGMAS, POSITION) == pytest.approx(sheet().value(SIGMAS, POSITION))


def test_the_page_says_which_way_and_where() -> None:
    """And a restored engine says the same."""
    rule = f"- {{id: near, summary: near, for_each: account, when: {DAY} > 0.0, severity: info}}\n"
    desk = sheet(definitions=KNOWN)
    again = Desk(engine=restore_snapshot(desk.engine.snapshot(), definitions=KNOWN))
    for one in (desk, again):
        one.load(rule)
        (told,) = one.at(1).evaluate().transitions
        assert "0.6813 % > 0, BTC -14.1 % in 24 h; account" in told.summary


def test_the_median_of_half_a_year() -> None:
    """Of the bin in which the middle lies; where most is in one bin, that one's."""
    counts = [0] * BINS
    for volatility, hours in ((0.3, 400), (0.5, 600), (2.0, 500)):
        counts[bin_of(volatility)] += hours
    assert median_of_bins(counts) == pytest.approx(0.5, rel=0.03)
    with pytest.raises(ValueError, match="history"):
        median_of_bins([0] * BINS)


def test_until_warm_it_says_how_far_it_is() -> None:
    """Nothing sampled, then a first hour."""
    desk = Desk().list_market().context(mark_price=100.0, oracle_price=100.0)
    desk.evaluate()
    subject = asset_subject("BTC")
    assert desk.value("volatility_horizon", subject) is None
    assert "of BTC" in desk.why("volatility_horizon", subject)
    assert desk.value("volatility_median", subject) is None
    assert "0 of 1440 hours" in desk.why("volatility_median", subject)


@pytest.mark.parametrize(
    ("equity", "near"),
    [
        pytest.param(1_100.0, False, id="small beside the account"),
        pytest.param(600.0, True, id="more than a tenth of it"),
        pytest.param(0.0, True, id="all that is left"),
    ],
)
def test_a_small_isolated_position_is_judged_by_itself(equity: float, near: bool) -> None:
    """It can lose its margin of 100 and no more; its own measure is the same either way."""
    desk = Desk((HL, "main"), definitions=KNOWN).list_market(tiers=THREE)
    desk.context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 10), margin_mode=ISOLATED, isolated_cash_usd=Decimal(-900))
    desk.money(equity).evaluate()
    alone = desk.value(SIGMAS, POSITION)
    assert alone == pytest.approx(-log(900 / 970 / 1.0) / (0.6 / sqrt(365)), rel=0.2)
    assert (desk.value(SIGMAS, MAIN) == alone) is near
