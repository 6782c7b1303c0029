"""The funding stress index through the engine: the worked example, coverage, and what is kept."""

from __future__ import annotations

import pytest

from monitor.core.engine import Engine, restore_snapshot
from monitor.core.settings import EngineSettings
from monitor.core.types import PORTFOLIO, MarketStatus, asset_subject, market_subject
from tests.core.desk import DYDX, HL
from tests.core.stress_desk import CALM, EXAMPLE, StressDesk, Told, settlement

INDEX = "funding_stress_index"
WORST = "funding_stress_worst_index"
COVERAGE = "funding_stress_coverage_ratio"


def near(value: float, half_digit: float) -> object:
    """Equal to half a unit in the last printed digit."""
    return pytest.approx(value, abs=half_digit, rel=0)


def test_the_worked_example_through_the_engine() -> None:
    """69.31, and every number on the way to it."""
    desk = StressDesk(*EXAMPLE)
    assert desk.after(INDEX, PORTFOLIO) == near(69.31, 5e-3)
    for name, value in {
        "level_apr": 0.55, "breadth_ratio": 0.8, "surprise_z": 6.1, "change_z": 4.0,
        "flips_ratio": 0.2, "level_points": 22.22, "breadth_points": 25.0,
        "surprise_points": 17.08, "change_points": 5.0, "flips_points": 0.0,
        "coverage_ratio": 1.0, "worst_index": 69.31, "peak_90d": 69.31,
    }.items():  # fmt: skip
        assert desk.value(f"funding_stress_{name}", PORTFOLIO) == near(value, 5e-3), name
    assert desk.value("funding_z", market_subject(HL, "DDD")) == near(8.0, 1e-6)
    assert desk.value("funding_weighted_apr", PORTFOLIO) == near(0.58, 1e-9)


def test_until_warm_the_index_is_absent_and_says_how_far_it_is() -> None:
    """Unknown is never low."""
    desk = StressDesk(*EXAMPLE, history=12)
    assert desk.after(INDEX, PORTFOLIO) is None
    assert "12 of 240 hours of funding known" in desk.why(INDEX, PORTFOLIO)
    assert desk.value("funding_stress_coverage_ratio", PORTFOLIO) == 0.0
    assert "12 of 240" in desk.why("funding_z", market_subject(HL, "AAA"))
    desk = StressDesk(*EXAMPLE, history=0)
    assert desk.after(INDEX, PORTFOLIO) is None
    assert "no settlement was told" in desk.why(INDEX, PORTFOLIO)


@pytest.mark.parametrize(
    ("hours", "known"),
    [
        pytest.param(240, False, id="240 hours, of which 232 have a change"),
        pytest.param(247, False, id="247 hours"),
        pytest.param(248, True, id="248 hours: 240 changes"),
    ],
)
def test_ten_days_of_changes_are_needed(hours: int, known: bool) -> None:
    """The sheet's 240 known hours, of rates and of their changes over eight hours."""
    desk = StressDesk(*EXAMPLE, history=hours)
    assert (desk.after(INDEX, PORTFOLIO) is not None) is known


@pytest.mark.parametrize(
    ("unknown_usd", "known"),
    [
        pytest.param(5e6 * 40 / 60, True, id="60 % covered"),
        pytest.param(5e6 * 45 / 55, False, id="55 % covered"),
    ],
)
def test_coverage_by_open_interest(unknown_usd: float, known: bool) -> None:
    """One large asset without a history."""
    desk = StressDesk(*EXAMPLE)
    desk.join(Told("NEW", 0.1, 0.0, 0.0, open_interest_usd=unknown_usd), history=5)
    value = desk.after(INDEX, PORTFOLIO)
    assert (value is not None) is known
    if known:
        assert value == near(69.31, 5e-3)
        # The sixth asset at its worst: L 58.5 %, B 5/6, Z 6.55, C 4.5, F 2/6.
        worst = desk.value("funding_stress_worst_index", PORTFOLIO)
        assert worst == near(24.1667 + 25 + 18.9583 + 6.25 + 0.6667, 5e-3)
    else:
        assert "55% of open interest" in desk.why(INDEX, PORTFOLIO)


def test_four_assets_are_too_few() -> None:
    """Five are asked for."""
    desk = StressDesk(*EXAMPLE[:4])
    assert desk.after(INDEX, PORTFOLIO) is None
    assert "4 of 5 assets" in desk.why(INDEX, PORTFOLIO)


def test_open_interest_nobody_told_is_not_nothing() -> None:
    """Markets that cannot be weighed are not left out of what must be known."""
    desk = StressDesk(*EXAMPLE)
    for number in range(3):
        desk.list_market(f"Q{number}")
    assert desk.after(INDEX, PORTFOLIO) is not None
    desk.list_market("Q3").evaluate()
    assert desk.later(5).after(INDEX, PORTFOLIO) is None
    assert "open interest is known for only 5 of 9" in desk.why(INDEX, PORTFOLIO)


def test_the_universe_is_the_twenty_largest_assets() -> None:
    """Small ones have no say, whatever they do."""
    large = [Told(f"L{n}", 0.1095, 0.0, 0.0, open_interest_usd=1e6 + n) for n in range(20)]
    small = [Told(f"S{n}", 9.0, 9.0, 9.0, open_interest_usd=1e5) for n in range(30)]
    desk = StressDesk(*large, *small)
    assert desk.after(INDEX, PORTFOLIO) == 0.0
    assert desk.value("funding_stress_coverage_ratio", PORTFOLIO) == 1.0


def test_an_asset_on_two_venues_has_one_vote() -> None:
    """Weighted by open interest; each market keeps its own score."""
    desk = StressDesk(*EXAMPLE[:4])
    desk.join(Told("EEE", 0.55, 6.1, 4.0, open_interest_usd=3e6))
    desk.join(Told("EEE-USD", 0.15, 2.1, 4.0, open_interest_usd=1e6, venue=DYDX))
    assert desk.after("funding_stress_level_apr", PORTFOLIO) == near(0.48, 1e-9)
    assert desk.value("funding_stress_surprise_z", PORTFOLIO) == near(5.5, 1e-6)
    assert desk.value("funding_z", market_subject(DYDX, "EEE-USD")) == near(2.1, 1e-6)
    assert desk.value("funding_dispersion_apr", asset_subject("EEE")) == near(0.40, 1e-9)
    assert desk.value("funding_dispersion_apr", PORTFOLIO) == near(0.40, 1e-9)
    assert desk.value("funding_dispersion_apr", asset_subject("AAA")) is None


def test_a_settlement_is_carried_for_two_intervals() -> None:
    """Then it is stale, coverage falls and the index is unknown."""
    desk = StressDesk(*EXAMPLE)
    assert desk.later(3600 * 3 - 1).after(INDEX, PORTFOLIO) is not None
    assert desk.later(1).after(INDEX, PORTFOLIO) is None
    assert "too old" in desk.why(INDEX, PORTFOLIO)


def test_settlements_out_of_order_and_from_the_future() -> None:
    """A late one fills its hour, one of tomorrow is refused, a repeated one changes nothing."""
    desk = StressDesk(*EXAMPLE)
    index = desk.after(INDEX, PORTFOLIO)
    series = desk.engine.state.funding[market_subject(HL, "AAA")]
    before = list(series.rates)
    desk.tell(settlement("AAA", 0.3, desk.hour - 5)).tell(settlement("AAA", 0.3, desk.hour + 24))
    desk.tell(settlement("AAA", before[-1] or 0.0, desk.hour))
    assert series.rates[:-6] + series.rates[-5:] == before[:-6] + before[-5:]
    assert series.rates[-6] in {0.3, before[-6]}
    assert desk.later(5).after(INDEX, PORTFOLIO) == index


def test_history_never_replaces_what_was_seen_live() -> None:
    """Only what is unknown is filled in."""
    desk = StressDesk(*CALM, history=0)
    desk.settle_all(5e-5)
    for told in CALM:
        desk.join(told)
    assert {series.rates[-1] for series in desk.engine.state.funding.values()} == {5e-5}
    assert all(len(series.rates) == 744 for series in desk.engine.state.funding.values())


def test_the_index_follows_settlements_hour_by_hour() -> None:
    """Windows that slide say what windows made anew say."""
    desk = StressDesk(*EXAMPLE)
    for hour in range(30):
        desk.later(3600)
        for number, told in enumerate(EXAMPLE):
            if (hour + number) % 7:
                rate = (number - 2) * 1e-5 + hour * 2e-6
                desk.tell(settlement(told.market, rate, desk.hour))
        sliding = desk.after(INDEX, PORTFOLIO)
        anew = restore_snapshot(desk.engine.snapshot())
        anew.evaluate(desk.now + 5 * 10**9)
        reading = anew.reading(INDEX, PORTFOLIO)
        assert (None if reading is None else reading.value) == sliding


def test_a_restart_keeps_the_history() -> None:
    """Another process goes on with it; the peak of the past is kept too."""
    desk = StressDesk(*EXAMPLE)
    desk.later(600).evaluate()  # memories are packed one after another
    kept = desk.engine.memories()
    again = StressDesk(*CALM, history=0)
    again.engine = Engine(EngineSettings())
    again.engine.restore((), kept, stopped_ns=desk.now)
    again.now = desk.now
    for told in CALM:
        again.join(told, history=0)
    assert again.after(INDEX, PORTFOLIO) == near(69.31, 5e-3)
    assert again.later(3 * 3600).after(INDEX, PORTFOLIO) is None
    assert again.value("funding_stress_peak_90d", PORTFOLIO) == near(69.31, 5e-3)


def test_the_past_is_found_from_the_history() -> None:
    """What happened before riskd watched shows in the peak within minutes."""
    desk = StressDesk(*CALM, history=0)
    desk.now -= 20 * 3600 * 10**9
    for told in EXAMPLE:
        desk.join(told)
    desk.now += 20 * 3600 * 10**9
    for told in CALM:
        desk.tell(settlement(told.market, told.apr / 8760, desk.hour))
    desk.evaluate()
    index = desk.value(INDEX, PORTFOLIO)
    assert index is None or index < 30.0
    desk.until(desk.now + 300 * 10**9)
    # An hour after the example its settlements still stand, and eight hours before all was calm:
    # the change is the surprise, and adds 10.25 points for 5.
    assert desk.value("funding_stress_peak_90d", PORTFOLIO) == near(74.56, 5e-3)


@pytest.mark.parametrize("moves", [True, False])
def test_settlements_over_a_dead_oracle_say_nothing(moves: bool) -> None:
    """Majors whose price is repeated and never changes: what their venue charged for that hour is
    how far the market ran from a number nobody makes; the next whole hour counts again."""
    desk = StressDesk(*EXAMPLE[:4], Told("BTC", 0.55, 6.1, 4.0))
    names = [*(one.market for one in EXAMPLE[:4]), "BTC"]
    desk.later(2400)
    for second in range(0, 60, 10):
        desk.later(10).context("BTC", oracle_price=1.0 + (second + 1) * 1e-4 * moves)
    desk.context("BTC", oracle_price=1.01)
    desk.later(3600 - 2460).settle_all(4e-5, *names)
    assert (desk.after(INDEX, PORTFOLIO) is not None) is moves
    if not moves:
        assert "stood still" in desk.why(INDEX, PORTFOLIO)
    desk.later(3600).settle_all(4e-5, *names)
    assert desk.after(INDEX, PORTFOLIO) is not None


HOT = tuple(Told(f"H{number}", 0.90, 9.0, 9.0) for number in range(10))
COOL = tuple(Told(f"C{number}-USD", 0.1095, 0.0, 0.0, venue=DYDX) for number in range(5))
CLOSED = (
    MarketStatus.PAUSED, MarketStatus.CANCEL_ONLY, MarketStatus.POST_ONLY,
    MarketStatus.INITIALIZING, MarketStatus.UNKNOWN,
)  # fmt: skip


@pytest.mark.parametrize("status", CLOSED)
def test_hot_markets_that_close_are_not_known(status: MarketStatus) -> None:
    """Ten dear assets that close leave five calm ones, a third of the open interest: no index, and
    not one of 0. With two of them closed the other thirteen have one, and it is no lower with
    those two at their worst."""
    desk = StressDesk(*HOT, *COOL)
    before = desk.after(INDEX, PORTFOLIO)
    assert before is not None
    assert before > 45.0
    desk.become(status, *HOT).later(5).evaluate()
    assert desk.value(INDEX, PORTFOLIO) is None
    assert desk.value(WORST, PORTFOLIO) is None
    assert desk.value(COVERAGE, PORTFOLIO) == near(5 / 15, 1e-9)
    assert f"its status is {status}" in desk.why(INDEX, PORTFOLIO)
    assert desk.value("funding_stress_unknown_s", PORTFOLIO) == 5.0
    desk.become(MarketStatus.ACTIVE, *HOT[2:]).later(5).evaluate()
    assert desk.value(COVERAGE, PORTFOLIO) == near(13 / 15, 1e-9)
    worst = desk.value(WORST, PORTFOLIO)
    assert worst is not None
    assert worst >= before


@pytest.mark.parametrize("status", [MarketStatus.FINAL_SETTLEMENT, MarketStatus.DELISTED])
def test_what_is_gone_for_good_has_no_say(status: MarketStatus) -> None:
    """Nobody can hold it any more."""
    desk = StressDesk(*HOT, *COOL).become(status, *HOT)
    assert desk.after(INDEX, PORTFOLIO) == 0.0
    assert desk.value(COVERAGE, PORTFOLIO) == 1.0


def test_a_market_that_opens_still_has_no_say() -> None:
    """Nothing was ever held or settled in it: it hides nothing, and is counted once it opens."""
    desk = StressDesk(*EXAMPLE)
    for number in range(9):
        desk.list_market(f"N{number}", status=MarketStatus.INITIALIZING)
    assert desk.after(WORST, PORTFOLIO) == near(69.31, 5e-3)
    desk.become(MarketStatus.ACTIVE, *(Told(f"N{number}", 0, 0, 0) for number in range(9)))
    assert desk.later(5).after(INDEX, PORTFOLIO) is None
    assert "only 5 of 14 markets" in desk.why(INDEX, PORTFOLIO)


def test_what_settles_in_a_closed_market_is_nobodys_rate() -> None:
    """dYdX charges its default there: it neither averages nor spreads."""
    desk = StressDesk(*EXAMPLE, Told("AAA-USD", 9.0, 0.0, 0.0, open_interest_usd=1.0, venue=DYDX))
    desk.become(MarketStatus.PAUSED, Told("AAA-USD", 0, 0, 0, venue=DYDX)).evaluate()
    assert desk.value("funding_weighted_apr", PORTFOLIO) == near(0.58, 1e-9)
    assert desk.value("funding_dispersion_apr", PORTFOLIO) is None


def test_a_market_whose_prices_are_all_suspect_is_weighed() -> None:
    """By the last price believed: an asset must not leave the index while its price jumps."""
    desk = StressDesk(*EXAMPLE).later(5)
    desk.context("DDD", oracle_price=3.0, mark_price=3.0)
    assert desk.after(INDEX, PORTFOLIO) == near(69.31, 5e-3)
    assert desk.value("oracle_price", market_subject(HL, "DDD")) is None
    assert desk.value("mark_price", market_subject(HL, "DDD")) is None


def test_the_gate_does_not_count_what_closed_markets_hide() -> None:
    """Five calm assets are an index of 0; with the six smaller ones that closed at their worst it
    is far above 30, and no settlement counts until they are open and calm themselves."""
    cool = [one._replace(venue=HL) for one in COOL]
    hot = [one._replace(open_interest_usd=1e5) for one in HOT[:6]]
    desk = StressDesk(*hot, *cool).become(MarketStatus.PAUSED, *hot)
    gate, names = "funding_settlements_below_exit", [one.market for one in (*hot, *cool)]
    for _ in range(4):
        desk.later(3600).settle_all(1.25e-5, *names).evaluate()
    assert desk.value(INDEX, PORTFOLIO) == 0.0
    assert desk.value(gate, PORTFOLIO) == 0.0
    desk.become(MarketStatus.ACTIVE, *hot)
    for _ in range(12):
        desk.later(3600).settle_all(1.25e-5, *names).evaluate()
    assert desk.value(gate, PORTFOLIO) == 11.0  # since the first of them
