"""The built-in rules about margin fire where the catalogue says, and once for one cause."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.decision import AlertTransition
from monitor.core.measures.catalogue import DEFINITIONS
from monitor.core.measures.definition import Definition, Key, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import Node
from monitor.core.measures.use import Use
from monitor.core.rules.evidence import Look
from monitor.core.rules.rule import Rule
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import SubjectKind, Verdict, asset_subject, position_subject
from monitor.rulebook import builtin_files
from tests.core.desk import HL, MAIN, Desk
from tests.core.rules.catalogue import reading

BOOK = parse_rulebook(
    builtin_files(), {definition.name: definition.spec for definition in DEFINITIONS.values()}
)
FAR = {
    "liquidation_distance_ratio": 0.2,
    "liquidation_distance_of_minimum_ratio": 3.0,
    "liquidation_near_sigmas": 6.0,
    "liquidation_probability_24h_ratio": 0.0001,
    "liquidation_uniform_move_ratio": 0.2,
    "liquidation_hedge_break_ratio": 0.2,
    "liquidation_hedge_sigmas": 6.0,
    "liquidation_hedge_of_minimum_ratio": 3.0,
    "runway_net_s": 1e6,
    "hedge_survival_ratio": 5.0,
    "accounts_stressed_count": 0.0,
    "margin_terms_changed": 0.0,
    "notional_usd": 1e5,
    "collateral_haircut_ratio": 0.0,
    "stablecoin_depeg_ratio": 0.0,
    "stablecoin_depeg_single_ratio": 0.0,
    "equity_concentration_hhi": 0.3,
    "equity_venues_count": 4.0,
    "asset_concentration_hhi": 0.3,
    "assets_held_count": 4.0,
    "spread_of_usual_ratio": 1.0,
    "exit_depth_ratio": 20.0,
    "depth_drop_ratio": 0.1,
    "venue_health_ratio": 1.0,
    "venue_dark_ratio": 0.0,
}


def verdicts(rule: Rule, **values: float | None) -> tuple[Verdict, Verdict]:
    """Whether it holds, and whether it may end, with everything else far away."""
    known = {**FAR, **values}
    readings = {name: reading(value, 1.0) for name, value in known.items() if value is not None}
    look = Look(readings.get, 10**9, None)
    assert rule.when is not None
    assert rule.until is not None
    return rule.when.evaluate(look.value), rule.until.evaluate(look.value)


def rule_of(name: str) -> Rule:
    """Built in."""
    found = BOOK.get(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "measure", "no", "yes", "stays", "ends"),
    [
        ("liquidation_likely", "liquidation_near_sigmas", 3.0, 2.99, 3.74, 3.75),
        ("liquidation_likely", "liquidation_distance_of_minimum_ratio", 1.0, 0.99, 1.24, 1.25),
        ("liquidation_likely", "liquidation_probability_24h_ratio", 0.0099, 0.01, 0.0031, 0.003),
        ("liquidation_likely", "liquidation_hedge_sigmas", 3.0, 2.99, 3.74, 3.75),
        ("liquidation_likely", "liquidation_hedge_of_minimum_ratio", 1.0, 0.99, 1.24, 1.25),
        ("liquidation_likely", "liquidation_hedge_break_ratio", 0.031, 0.03, 0.037, 0.0375),
        ("liquidation_imminent", "liquidation_near_sigmas", 1.5, 1.49, 1.87, 1.875),
        ("liquidation_imminent", "liquidation_hedge_sigmas", 1.5, 1.49, 1.87, 1.875),
        ("liquidation_shock", "liquidation_uniform_move_ratio", 0.061, 0.06, 0.074, 0.075),
        ("runway_gone", "runway_net_s", 0.0, -1.0, 14_400.0, 14_401.0),
        ("runway_short", "runway_net_s", 7_200.0, 7_199.0, 14_400.0, 14_401.0),
        ("hedge_survival", "hedge_survival_ratio", 1.0, 0.99, 1.24, 1.25),
        ("correlated_liquidation", "accounts_stressed_count", 1.0, 2.0, 1.0, 0.0),
        ("margin_terms_changed", "margin_terms_changed", 0.0, 1.0, 1.0, 0.0),
        ("collateral_mix", "collateral_haircut_ratio", 0.029, 0.03, 0.021, 0.02),
        ("depeg_warning", "stablecoin_depeg_single_ratio", 0.0049, 0.005, 0.003, 0.0025),
        ("depeg_high", "stablecoin_depeg_ratio", 0.0099, 0.01, 0.006, 0.005),
        ("depeg_critical", "stablecoin_depeg_ratio", 0.029, 0.03, 0.016, 0.015),
        ("concentration_venue", "equity_concentration_hhi", 0.34, 0.35, 0.33, 0.32),
        ("concentration_venue_high", "equity_concentration_hhi", 0.49, 0.50, 0.46, 0.45),
        ("concentration_asset", "asset_concentration_hhi", 0.49, 0.50, 0.46, 0.45),
        ("spread_unusual", "spread_of_usual_ratio", 3.0, 3.01, 2.0, 1.99),
        ("bids_pulled", "depth_drop_ratio", 0.70, 0.71, 0.50, 0.49),
        ("venue_health", "venue_health_ratio", 0.70, 0.69, 0.85, 0.86),
        ("venue_health_high", "venue_health_ratio", 0.40, 0.39, 0.85, 0.86),
    ],
)
def test_both_sides_of_every_limit(
    name: str, measure: str, no: float, yes: float, stays: float, ends: float
) -> None:
    """Enter and leave where the catalogue says; unknown is neither."""
    rule = rule_of(name)
    assert verdicts(rule, **{measure: no})[0] is Verdict.FALSE
    assert verdicts(rule, **{measure: yes})[0] is Verdict.TRUE
    assert verdicts(rule, **{measure: stays})[1] is Verdict.FALSE
    assert verdicts(rule, **{measure: ends})[1] is Verdict.TRUE
    assert verdicts(rule, **{measure: None})[0] in {Verdict.UNKNOWN, Verdict.FALSE}
    assert verdicts(rule, **{measure: None})[1] is not Verdict.TRUE


@pytest.mark.parametrize(
    ("name", "near", "flat", "bad"),
    [
        ("liquidation_likely", 0.061, 0.06, {"liquidation_near_sigmas": 1.0}),
        ("liquidation_imminent", 0.031, 0.03, {"liquidation_near_sigmas": 1.0}),
        ("liquidation_likely", 0.061, 0.06, {"liquidation_hedge_sigmas": 1.0}),
        ("liquidation_imminent", 0.031, 0.03, {"liquidation_hedge_sigmas": 1.0}),
        ("liquidation_shock", 0.061, 0.06, {"liquidation_uniform_move_ratio": 0.05}),
    ],
)
def test_where_the_flat_ladder_speaks_these_are_silent(
    name: str, near: float, flat: float, bad: dict[str, float]
) -> None:
    """One cause, one page."""
    rule = rule_of(name)
    assert verdicts(rule, liquidation_distance_ratio=near, **bad)[0] is Verdict.TRUE
    assert verdicts(rule, liquidation_distance_ratio=flat, **bad) == (Verdict.FALSE, Verdict.TRUE)


@pytest.mark.parametrize("distance", [0.001, 0.03, 0.20, 0.40, None])
@pytest.mark.parametrize(
    ("name", "bad"),
    [("runway_gone", {"runway_net_s": -9.0}), ("hedge_survival", {"hedge_survival_ratio": 0.5})],
)
def test_worse_never_ends_it(name: str, bad: dict[str, float], distance: float | None) -> None:
    """The cut that comes when help is too late comes the more, the nearer it is; and a hedge is
    judged whatever the nearest liquidation of the book is."""
    rule = rule_of(name)
    assert verdicts(rule, liquidation_distance_ratio=distance, **bad) == (
        Verdict.TRUE,
        Verdict.FALSE,
    )


@pytest.mark.parametrize(
    ("distance", "of_minimum", "sigmas", "expected"),
    [
        pytest.param(0.30, 0.99, 9.0, Verdict.TRUE, id="help takes a day"),
        pytest.param(0.30, 1.0, 0.5, Verdict.FALSE, id="a flash crash makes all look close"),
        pytest.param(0.25, 1.0, 2.9, Verdict.TRUE, id="near, and in sigmas"),
    ],
)
def test_far_is_near_where_help_is_slow(
    distance: float, of_minimum: float, sigmas: float, expected: Verdict
) -> None:
    """The least distance for the venue holds at any distance, sigmas within a quarter."""
    rule = rule_of("liquidation_likely")
    found = verdicts(
        rule,
        liquidation_distance_ratio=distance,
        liquidation_hedge_break_ratio=distance,
        liquidation_distance_of_minimum_ratio=of_minimum,
        liquidation_near_sigmas=sigmas,
    )
    assert found[0] is expected


@pytest.mark.parametrize("distance", [0.07, 0.26, 0.50])
def test_a_chance_of_a_percent_is_near_within_a_half(distance: float) -> None:
    """A coin at 400 % a year is liquidated from 26 % away one day in four; what has begun ends at
    0.3 %, and not while the chance is unknown. Further away an hour's panic makes any chance."""
    rule = rule_of("liquidation_likely")
    away = {"liquidation_distance_ratio": distance, "liquidation_hedge_break_ratio": distance}
    assert verdicts(rule, **away, liquidation_probability_24h_ratio=0.01)[0] is Verdict.TRUE
    assert verdicts(rule, **away, liquidation_probability_24h_ratio=0.0031)[1] is Verdict.FALSE
    assert verdicts(rule, **away, liquidation_probability_24h_ratio=0.003)[1] is Verdict.TRUE
    unknown = verdicts(rule, **away, liquidation_probability_24h_ratio=None)
    assert unknown == (Verdict.UNKNOWN, Verdict.UNKNOWN)
    away = {"liquidation_distance_ratio": 0.51, "liquidation_hedge_break_ratio": 0.51}
    far = verdicts(rule, **away, liquidation_probability_24h_ratio=0.2)
    assert far == (Verdict.FALSE, Verdict.TRUE)


@pytest.mark.parametrize(
    ("name", "no", "yes", "stays", "ends"),
    [
        ("concentration_venue", 0.67, 0.68, 0.66, 0.65),
        ("concentration_venue_high", 0.81, 0.82, 0.79, 0.78),
    ],
)
def test_two_venues_are_judged_by_limits_of_their_own(
    name: str, no: float, yes: float, stays: float, ends: float
) -> None:
    """Four fifths, and nine tenths, on one of them; with a third venue the sheet's limits hold, and
    one venue alone is no choice."""
    rule = rule_of(name)

    def found(hhi: float, venues: float) -> tuple[Verdict, Verdict]:
        return verdicts(rule, equity_concentration_hhi=hhi, equity_venues_count=venues)

    assert found(no, 2.0)[0] is Verdict.FALSE
    assert found(yes, 2.0)[0] is Verdict.TRUE
    assert found(stays, 2.0)[1] is Verdict.FALSE
    assert found(ends, 2.0)[1] is Verdict.TRUE
    assert found(ends, 3.0) == (Verdict.TRUE, Verdict.FALSE)
    assert found(1.0, 1.0) == (Verdict.FALSE, Verdict.TRUE)


def test_a_dark_venue_is_no_matter_of_its_health() -> None:
    """venue_unreachable says it."""
    for name in ("venue_health", "venue_health_high"):
        found = verdicts(rule_of(name), venue_health_ratio=0.1, venue_dark_ratio=0.5)
        assert found[0] is Verdict.FALSE


def wild(volatility: float = 2.0) -> dict[Key, Definition]:
    """Bitcoin at 200 % a year, or as given; any other at 30 %."""
    spec = MeasureSpec(
        name="volatility_horizon", kinds=(SubjectKind.ASSET,), unit=Unit.PER_YEAR, help="Given."
    )

    def compute(node: Node, _use: Use) -> float | None:
        return volatility if node.subject == asset_subject("BTC") else 0.3

    made = dict(DEFINITIONS)
    made[spec.name, SubjectKind.ASSET] = define(spec, SubjectKind.ASSET, compute, bits=1)
    return made


def test_a_wild_market_is_near_at_a_tenth() -> None:
    """On a real engine: 13 % away and 1.4 daily sigmas at 200 %; the page says where."""
    rules = dict(builtin_files())["margin.yaml"]
    desk = Desk((HL, "main"), definitions=wild()).list_market(
        tiers=(e.MarginTier(0.0, 0.02, 0.01),)
    )
    told: list[AlertTransition] = []
    for seconds in (0, 6, 12):
        desk.at(seconds).context(mark_price=100.0, oracle_price=100.0)
        desk.positions(("BTC", 10)).money(140)
        if not seconds:
            desk.load(rules)
        told += desk.evaluate().transitions
    (page,) = [one for one in told if one.after.value == "firing" and one.rule.startswith("liq")]
    assert page.rule == "liquidation_imminent"
    assert "1.179 sigmas < 1.5, long BTC 13.1 %; account hyperliquid/main. " in page.summary


@pytest.mark.parametrize(
    ("size", "near"),
    [pytest.param(-4, False, id="beyond a quarter"), pytest.param(-10, True, id="within")],
)
def test_near_in_price_and_near_in_sigmas_are_of_one_market(size: int, near: bool) -> None:
    """A calm long ends 20 % away, ten sigmas and more; a wild short is less than 1.5 of its own
    away. Only where that is within a quarter too is anything imminent."""
    rules = dict(builtin_files())["margin.yaml"]
    desk = Desk((HL, "main"), definitions=wild(8.0))
    tiers = (e.MarginTier(0.0, 0.02, 0.01),)
    desk.list_market(tiers=tiers).list_market("CALM", tiers=tiers)
    told: list[AlertTransition] = []
    for seconds in (0, 6, 12):
        desk.at(seconds)
        for market in ("BTC", "CALM"):
            desk.context(market, mark_price=100.0, oracle_price=100.0)
        desk.positions(("BTC", size), ("CALM", 10)).money(220)
        if not seconds:
            desk.load(rules)
        told += desk.evaluate().transitions
    pages = [one for one in told if one.after.value == "firing" and one.rule.endswith("imminent")]
    assert len(pages) == near
    assert (desk.value("liquidation_distance_sigmas", MAIN) or 9.0) < 1.5
    calm = desk.value("liquidation_distance_ratio", position_subject(HL, "main", "CALM"))
    assert calm == pytest.approx(0.2, abs=0.02)
