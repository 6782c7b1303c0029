"""Hedged pairs that pay: the best of an asset, how steadily it paid, and pairs that are held."""

from __future__ import annotations

import pytest

from monitor.core.formulas.funding import project_rate_sum
from monitor.core.settings import CarrySettings, EngineSettings, LeverageSettings, TradeSettings
from monitor.core.state.series import HOUR_NS
from monitor.core.types import MarketStatus, asset_subject, position_subject
from tests.core.desk import DYDX, HL, Desk
from tests.core.stress_desk import START_HOUR, settlement

BTC = asset_subject("BTC")
EDGE, STEADY, LEG = "harvest_edge_ratio", "harvest_persistence_ratio", "harvest_leg_edge_ratio"
HELD, TWIN = position_subject(HL, "main", "BTC"), position_subject(DYDX, "main", "BTC-USD")
ACCOUNTS = ((HL, "main"), (DYDX, "main"))
# Rates that stay, a week, and 0.42 % for four ways at 10.5 bp.
SETTINGS = EngineSettings(
    accounts=ACCOUNTS,
    carry=CarrySettings(persistence_hourly=1.0, baselines_hourly=()),
    trades=TradeSettings(),
    leverage=LeverageSettings(exit_minutes_default=60.0),
)
# 168 hours of it are two and a half round trips of both legs: an edge of one and a half.
SPREAD = 0.0042 * 2.5 / 168


def desk(high: float = SPREAD, low: float = 0.0, settings: EngineSettings = SETTINGS) -> Desk:
    """BTC on both venues at these predicted rates, nothing held."""
    made = Desk(settings=settings)
    made.now = START_HOUR * HOUR_NS + 1
    made.list_market("BTC").list_market("BTC-USD", DYDX)
    made.context("BTC", mark_price=1.0, oracle_price=1.0, predicted_funding_rate_hourly=high)
    made.context("BTC-USD", DYDX, oracle_price=1.0, predicted_funding_rate_hourly=low)
    return made.positions(("BTC", 0)).positions(("BTC-USD", 0), venue=DYDX)


def settled(made: Desk, market: str, *rates: float) -> Desk:
    """The newest last."""
    venue = DYDX if market.endswith("-USD") else HL
    for back, rate in enumerate(reversed(rates)):
        made.tell(settlement(market, rate, START_HOUR - back, venue))
    return made


@pytest.mark.parametrize(
    ("high", "low", "edge"),
    [
        pytest.param(SPREAD, 0.0, 1.5, id="short where it is high"),
        pytest.param(0.0, SPREAD, 1.5, id="whichever venue that is"),
        pytest.param(SPREAD / 2, -SPREAD / 2, 1.5, id="received on both legs"),
        pytest.param(SPREAD, SPREAD, -1.0, id="nothing between them: the cost is lost"),
    ],
)
def test_the_best_pair_of_an_asset(high: float, low: float, edge: float) -> None:
    """What is left after a round trip of both legs, in round trips."""
    assert desk(high, low).after(EDGE, BTC) == pytest.approx(edge)


def test_rates_fall_back_to_each_venues_floor() -> None:
    """A flat projection would overstate."""
    made = desk(settings=EngineSettings(accounts=ACCOUNTS, leverage=SETTINGS.leverage))
    short = project_rate_sum(rate_now=SPREAD, baseline=1.25e-5, hours=168)
    assert made.after(EDGE, BTC) == pytest.approx(short / 0.0042 - 1.0)


def test_an_isolated_market_falls_back_to_its_own_floor() -> None:
    """0.125 bp an hour on dYdX, which is what a short leg there is paid in the end."""
    made = desk(0.0, SPREAD, EngineSettings(accounts=ACCOUNTS, leverage=SETTINGS.leverage))
    made.list_market("BTC-USD", DYDX, only_isolated=True)
    short = project_rate_sum(rate_now=SPREAD, baseline=1.25e-5, hours=168)
    long = project_rate_sum(rate_now=0.0, baseline=1.25e-5, hours=168)
    assert made.after(EDGE, BTC) == pytest.approx((short - long) / 0.0042 - 1.0)


def test_a_leg_that_is_not_known_cannot_be_left_or_does_not_trade_is_none() -> None:
    """Missing data makes no opportunity; one market alone is no pair, and no blindness."""
    slow = LeverageSettings(exit_minutes=((DYDX, 361.0),), exit_minutes_default=60.0)
    settings = EngineSettings(accounts=ACCOUNTS, carry=SETTINGS.carry, leverage=slow)
    assert desk(settings=settings).after(EDGE, BTC) is None
    made = desk()
    assert made.after(EDGE, BTC) is not None
    made.at(3 * 3600).context("BTC-USD", DYDX, predicted_funding_rate_hourly=0.0)
    assert made.after(EDGE, BTC) is None
    halted = desk().list_market("BTC-USD", DYDX, status=MarketStatus.PAUSED)
    assert halted.after(EDGE, BTC) is None
    alone = (
        Desk(settings=SETTINGS)
        .list_market("BTC")
        .context("BTC", predicted_funding_rate_hourly=1e-3)
    )
    assert alone.after(EDGE, BTC) is None
    assert alone.why(EDGE, BTC) == "no source: only one watched market of BTC"


@pytest.mark.parametrize(
    ("paid", "share"),
    [
        pytest.param([1e-5] * 21, 1.0, id="always"),
        pytest.param([-1e-5] * 4 + [1e-5] * 17, 17 / 21, id="17 of 21"),
        pytest.param([1e-5] * 10, 10 / 21, id="what is not known did not pay"),
        pytest.param([1e-5] * 30 + [-1e-5] * 21, 0.0, id="long ago does not count"),
    ],
)
def test_persistence_counts_the_last_21_settlements(paid: list[float], share: float) -> None:
    """Of the pair as it would be held now; on dYdX nothing was charged."""
    made = settled(settled(desk(), "BTC", *paid), "BTC-USD", *[0.0] * 40)
    assert made.after(STEADY, BTC) == pytest.approx(share)


def test_settlements_that_stopped_make_it_unknown() -> None:
    """Two hours are carried, no more."""
    made = settled(settled(desk(), "BTC", *[1e-5] * 21), "BTC-USD", *[0.0] * 21)
    made.now = (START_HOUR + 2) * HOUR_NS
    for market, venue in (("BTC", HL), ("BTC-USD", DYDX)):
        made.context(market, venue, predicted_funding_rate_hourly=SPREAD if venue == HL else 0.0)
    assert made.after(STEADY, BTC) is not None
    made.now = (START_HOUR + 3) * HOUR_NS
    for market, venue in (("BTC", HL), ("BTC-USD", DYDX)):
        made.context(market, venue, predicted_funding_rate_hourly=SPREAD if venue == HL else 0.0)
    assert made.after(STEADY, BTC) is None


# ------------------------------------------------------------------------------------ pairs held


@pytest.mark.parametrize(
    ("here", "there", "edge"),
    [
        pytest.param(-2, 2, 1.5, id="held the right way round"),
        pytest.param(2, -2, -3.5, id="held the wrong way round"),
        pytest.param(2, 0, 1000.0, id="no twin"),
        pytest.param(2, 2, 1000.0, id="both of one side"),
        pytest.param(0, 2, 1000.0, id="closed"),
    ],
)
def test_a_pair_as_it_is_held(here: float, there: float, edge: float) -> None:
    """Both legs say the same; what is no leg of a pair is as good as can be."""
    made = desk().positions(("BTC", 1), ("BTC", here))
    made.positions(("BTC", here)).positions(("BTC-USD", there), venue=DYDX)
    assert made.after(LEG, HELD) == pytest.approx(edge)
    if there:
        assert made.value(LEG, TWIN) == pytest.approx(min(1000.0, edge))


def test_a_twin_that_may_be_gone_makes_it_unknown() -> None:
    """Not a position without a twin."""
    made = desk().positions(("BTC", -2)).positions(("BTC-USD", 2), venue=DYDX)
    assert made.after(LEG, HELD) == pytest.approx(1.5)
    made.now += 60 * 10**9
    made.positions(("BTC", -2))
    assert made.after(LEG, HELD) is None
