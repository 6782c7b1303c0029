"""Risk buckets: weights by equity or gross, bands, what a band costs, reviews."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.settings import EngineSettings
from monitor.core.state.series import HOUR_NS
from monitor.core.state.structure import HOURS_KEPT, HourlyLevels
from monitor.core.structure import Bucket, StructureSettings, WeighBy
from monitor.core.types import SubjectKind, bucket_subject
from monitor.rulebook import builtin_files
from tests.core.desk import DYDX, HL, START_NS, Desk

HEDGES, RESERVE = bucket_subject("hedges"), bucket_subject("contingency")
RULES = dict(builtin_files())["structure.yaml"]
WEIGHT, OVER, UNDER = "bucket_weight_ratio", "bucket_over_band_ratio", "bucket_under_band_ratio"
REVIEW = "bucket_review_overdue_ratio"
DAY_S = 86_400.0
BUCKETS = (
    Bucket(name="hedges", target_ratio=0.75, accounts=((HL, "main"),), review_s=DAY_S),
    Bucket(
        name="contingency",
        target_ratio=0.25,
        band_low_ratio=0.0,
        band_high_ratio=0.5,
        contingency=True,
        accounts=((HL, "reserve"),),
    ),
)


def settings(
    *buckets: Bucket,
    weigh_by: WeighBy = WeighBy.EQUITY,
    accounts: tuple[tuple[str, str], ...] = ((HL, "main"), (HL, "reserve")),
) -> EngineSettings:
    """Two accounts and these buckets."""
    return EngineSettings(
        accounts=accounts, structure=StructureSettings(weigh_by=weigh_by, buckets=buckets)
    )


def desk_of(main: float, reserve: float, *, rules: str = "") -> Desk:
    """Equity of the two accounts."""
    desk = Desk(settings=settings(*BUCKETS), rules=rules)
    return tell(desk, main, reserve)


def tell(desk: Desk, main: float, reserve: float) -> Desk:
    """Both accounts, now."""
    desk.positions().money(main)
    desk.positions(account="reserve").money(reserve, account="reserve")
    desk.evaluate()
    return desk


def state(desk: Desk, rule: str, subject: str = RESERVE) -> str:
    """Of a rule about a bucket."""
    found = {(one.rule, one.subject): one.state.state.value for one in desk.engine.rule_states()}
    return found[rule, subject]


def test_section_9_contingency() -> None:
    """24.9 % with a target of 25 % and nothing below it is high; 25 % is fine."""
    desk = desk_of(75_100.0, 24_900.0, rules=RULES)
    assert desk.value(WEIGHT, RESERVE) == pytest.approx(0.249)
    assert desk.value(UNDER, RESERVE) == 1000.0
    for second in range(10, 901, 10):
        tell(desk.at(second), 75_100.0, 24_900.0)
    assert state(desk, "bucket_band_contingency") == "firing"
    assert state(desk, "bucket_band") == "firing"  # and covered by the louder one
    assert state(desk, "bucket_band", HEDGES) == "inactive"
    rule = desk.engine.rulebook.get("bucket_band_contingency")
    assert rule is not None
    assert rule.severity.value == "high"
    tell(desk.at(910), 75_000.0, 25_000.0)
    assert state(desk, "bucket_band_contingency") == "recovering"


@pytest.mark.parametrize(
    ("main", "reserve", "over", "under"),
    [
        pytest.param(75.0, 25.0, 0.0, 0.0, id="on target"),
        pytest.param(62.5, 37.5, 1.0, 0.0, id="half as much again"),
        pytest.param(62.0, 38.0, 1.04, 0.0, id="beyond the edge"),
        pytest.param(80.0, -5.0, 0.0, 1000.0, id="the reserve owes"),
        pytest.param(-80.0, -5.0, 0.0, 1000.0, id="nothing left at all"),
    ],
)
def test_reserve_in_its_band(main: float, reserve: float, over: float, under: float) -> None:
    """Gone equity is a breach, never a small number."""
    desk = desk_of(main, reserve)
    assert desk.value(OVER, RESERVE) == pytest.approx(over)
    assert desk.value(UNDER, RESERVE) == pytest.approx(under)


def test_weights_are_unknown_while_one_account_is() -> None:
    """A share of what is not known is none; what fires goes on."""
    desk = desk_of(75.0, 25.0)
    desk.at(40).positions().money(75.0).evaluate()
    assert desk.value(WEIGHT, HEDGES) is None
    assert "account:hyperliquid/reserve" in desk.why(WEIGHT, HEDGES)


def test_pools_of_a_named_account_belong_to_it() -> None:
    """``main`` is ``main.xyz`` too."""
    desk = desk_of(50.0, 25.0)
    desk.positions(account="main.xyz").money(25.0, account="main.xyz")
    desk.evaluate()
    desk.at(6)
    desk.positions(account="main.xyz").money(25.0, account="main.xyz")
    tell(desk, 50.0, 25.0)
    assert desk.value(WEIGHT, HEDGES) == pytest.approx(0.75)


def test_weights_by_gross_take_accounts_assets_positions_and_off_book() -> None:
    """What two buckets name is of the first; BTC of the second account is a position of its own."""
    buckets = (
        Bucket(name="hedges", target_ratio=0.5, positions=((DYDX, "main", "BTC-USD"),)),
        Bucket(name="contingency", target_ratio=0.5, assets=("BTC", "ETH")),
    )
    desk = Desk(
        settings=settings(*buckets, weigh_by=WeighBy.GROSS, accounts=((HL, "main"), (DYDX, "main")))
    )
    for market in ("BTC", "ETH"):
        desk.list_market(market).context(market, mark_price=100.0, oracle_price=100.0)
    desk.list_market("BTC-USD", DYDX).context("BTC-USD", DYDX, oracle_price=100.0)
    desk.positions(("BTC", 3), ("ETH", -2)).money(1_000.0)
    desk.positions(("BTC-USD", -5), venue=DYDX).money(cash=2_000.0, venue=DYDX)
    assert desk.after(WEIGHT, HEDGES) == pytest.approx(0.5)
    leg = e.OffBookLeg(asset="ETH", size=Decimal(-10), expires_at_ns=START_NS + 10**12)
    desk.tell(e.OffBookLegsDeclared(source="file", legs=(leg,)))
    desk.at(5).context("BTC", mark_price=100.0)
    assert desk.after(WEIGHT, HEDGES) == pytest.approx(0.25)


# ---------------------------------------------------------------------------------- reviews


def reviewed(desk: Desk, ago_s: float, by: str = "ana") -> Desk:
    """The record says so."""
    one = e.BucketReview(bucket="hedges", at_ns=desk.now - round(ago_s * 1e9), by=by)
    return desk.tell(e.BucketsReviewed(reviews=(one,)))


def test_review_grows_late_by_the_clock_alone() -> None:
    """A day is 1x; a quarter more is told; a review ends it."""
    desk = desk_of(75.0, 25.0, rules=RULES)
    reviewed(desk, 0.0)
    assert desk.after(REVIEW, HEDGES) == pytest.approx(0.0, abs=1e-9)
    desk.at(1.25 * DAY_S).evaluate()
    assert desk.value(REVIEW, HEDGES) == pytest.approx(1.25)
    assert state(desk, "cadence", HEDGES) == "inactive"
    told = desk.at(1.25 * DAY_S + 61).evaluate().transitions
    (one,) = [one for one in told if one.rule == "cadence"]
    assert "reviewed 1.3 days ago by ana" in one.description
    reviewed(desk, 0.0, by="ben").evaluate()
    assert state(desk, "cadence", HEDGES) == "inactive"


def test_without_a_record_a_review_is_unknown_and_without_a_rhythm_not_asked() -> None:
    """Unknown is not in time; no rhythm is."""
    desk = desk_of(75.0, 25.0)
    assert desk.value(REVIEW, HEDGES) is None
    assert "not on record" in desk.why(REVIEW, HEDGES)
    assert desk.value(REVIEW, RESERVE) == 0.0


# ------------------------------------------------------------------------- what a band costs


def moved() -> Desk:
    """The weight goes to and fro by 0.32 % an hour, 0.30 a year; the market by 0.60."""
    desk = desk_of(75.0, 25.0)
    levels = desk.engine.state.structure.weights["hedges"]
    hour = desk.now // HOUR_NS
    step = 0.30 / 8760.0**0.5
    for back in range(169):
        levels.note(hour - 1 - back, 0.75 + (step if back % 2 else 0.0))
    follow_basket(desk, 0.60)
    return tell(desk.at(3600), 75.0, 25.0)


def test_weights_of_hours_make_a_best_band() -> None:
    """9.94 %."""
    desk = moved()
    assert desk.value("bucket_weight_volatility", HEDGES) == pytest.approx(0.30, abs=0.005)
    assert desk.value("bucket_best_band_ratio", HEDGES) == pytest.approx(0.0994, abs=0.001)
    # Half of +-20 % of 75 % is 15 % of the book.
    assert desk.value("bucket_band_to_best_ratio", HEDGES) == pytest.approx(1.51, abs=0.02)


def follow_basket(desk: Desk, volatility: float) -> None:
    """Two days of hours of the market at this volatility a year."""
    basket = desk.engine.state.basket
    move = volatility / 8760.0**0.5
    hour = desk.now // HOUR_NS
    for back in range(96, -1, -1):
        basket.close(hour - back, move if back % 2 else -move)


def test_too_few_hours_are_said() -> None:
    """With the progress."""
    desk = desk_of(75.0, 25.0)
    assert desk.value("bucket_best_band_ratio", HEDGES) is None
    assert "0 of 168 hours" in desk.why("bucket_weight_volatility", HEDGES)


def test_only_what_is_known_as_an_hour_begins_is_noted() -> None:
    """A start in the middle of an hour is of none."""
    desk = desk_of(75.0, 25.0)
    start = START_NS // HOUR_NS
    noted = desk.engine.state.structure.weights["hedges"].levels
    begins = START_NS % HOUR_NS == 0
    assert (start in noted) is begins
    tell(desk.at(3600 + 601), 75.0, 25.0)
    assert start + 1 not in noted
    tell(desk.at(2 * 3600 + 599), 70.0, 30.0)
    assert noted[start + 2] == pytest.approx(0.70)


def test_hours_are_bounded_and_the_first_word_counts() -> None:
    """Thirty days; changes only between hours that follow each other."""
    levels = HourlyLevels()
    for hour in range(1_000):
        levels.note(hour, float(hour))
    levels.note(999, 0.0)
    assert len(levels.levels) == HOURS_KEPT + 1
    assert levels.changes()[998] == 1.0
    levels.note(1_001, 5.0)
    assert 999 not in levels.changes()
    assert 1_000 not in levels.changes()


def test_without_buckets_nothing_is_asked() -> None:
    """No subjects, and no rule about any."""
    desk = Desk((HL, "main"), rules=RULES).positions().money(10.0)
    desk.evaluate()
    assert not list(desk.engine.subjects(SubjectKind.BUCKET))
    told = {one.rule for one in desk.engine.rule_states()}
    assert told == {"lockstep", "lockstep_stressed", "signal_crossref"}
