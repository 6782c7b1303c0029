"""Sudden moves as they are counted where hours close: live, from history, over a restart."""

from __future__ import annotations

from math import exp

import msgspec
import pytest

from monitor.core import events as e
from monitor.core.formulas.jumps import DEFAULT, count_jumps
from monitor.core.measures.barriers import asset_jumps
from monitor.core.settings import EngineSettings
from monitor.core.state.series import (
    HISTORY_HOURS,
    HOUR_NS,
    RETURNS_HOURS,
    HourSeries,
    PriceSeries,
)
from tests.core.by_hand import worked
from tests.core.desk import HL, MAIN, START_NS, TIERS, Desk
from tests.core.test_volatility_history import closes, returns_of

CHANCE = "liquidation_probability_24h_ratio"
SMALL = "PEPE"  # of no basket: its returns are kept for thirty days


def zigzag(count: int, jumps: dict[int, float], move: float = 0.004) -> list[float]:
    """Hourly returns up and down, but for some hours."""
    return [jumps.get(hour, move if hour % 2 else -move) for hour in range(count)]


def closed(returns: list[float | None], first: int = 1000) -> HourSeries:
    """One hour after the other."""
    hours = HourSeries()
    for hour, one in enumerate(returns, first):
        hours.close(hour, one)
    return hours


def history(
    returns: list[float], ends_hours_ago: int = 0, market: str = "BTC"
) -> e.PriceHistorySeen:
    """Closes up to so long before the start."""
    price, prices = 100.0, [100.0]
    for one in returns:
        price *= exp(one)
        prices.append(price)
    last = START_NS // HOUR_NS - ends_hours_ago
    told = tuple((hour * HOUR_NS, at) for hour, at in zip(
        range(last - len(returns), last + 1), prices, strict=True
    ))  # fmt: skip
    return e.PriceHistorySeen(
        venue=HL, channel=f"{HL}/history/{market}", market=market, closes=told
    )


def test_an_hour_beyond_six_sigma_is_one() -> None:
    """By the volatility before it: neither the first hours nor those that a jump makes wild."""
    assert closed(zigzag(100, {3: -0.5, 40: -0.03})).list_jumps() == []
    assert [hour for hour, _ in closed(zigzag(100, {40: -0.03, 41: 0.03})).list_jumps()] == [1040]
    hours = closed(zigzag(400, {100: 0.0235, 200: -0.0251, 350: 0.0251}))
    assert [hour for hour, _ in hours.list_jumps()] == [1200, 1350]
    assert hours.count_judged() == hours.known


def test_jumps_are_forgotten_after_half_a_year() -> None:
    """And so are the hours in which there was none."""
    hours = closed(zigzag(HISTORY_HOURS + 300, {200: -0.05, 310: -0.05}))
    assert [hour for hour, _ in hours.list_jumps()] == [1310]
    assert hours.count_judged() == HISTORY_HOURS
    hours.close(hours.hour + HISTORY_HOURS + 1, 0.004)
    assert hours.list_jumps() == []
    assert len(hours.jumps) < 40


def test_history_counts_as_live_does() -> None:
    """Told at once or in two parts, the older one last, as venues are read."""
    returns = zigzag(2000, {500: -0.04, 900: 0.06, 1500: -0.09})
    desk = Desk().list_market().tell(history(returns))
    whole = desk.engine.state.prices["BTC"].hours
    assert [round(one, 4) for _, one in whole.list_jumps()] == [-0.04, 0.06, -0.09]
    assert whole.count_judged() == whole.known == 2000 - 23
    assert asset_jumps("BTC", desk.engine.state) == count_jumps(
        [one for _, one in whole.list_jumps()], 1977
    )
    parts = Desk().list_market()
    parts.tell(history(returns[1200:])).tell(history(returns[:1200], ends_hours_ago=800))
    found = parts.engine.state.prices["BTC"].hours
    assert [hour for hour, _ in found.list_jumps()] == [hour for hour, _ in whole.list_jumps()]
    assert [one for _, one in found.list_jumps()] == pytest.approx([-0.04, 0.06, -0.09])
    assert (found.count_judged(), found.judged_from) == (found.known, whole.judged_from)


def test_what_was_judged_stays_when_its_return_is_kept_no_more() -> None:
    """Returns of an asset are kept for thirty days, its jumps for as long as its histogram."""
    returns = zigzag(3000, {500: -0.04})
    desk = Desk().list_market(SMALL).tell(history(returns, 3, SMALL))
    desk.tell(history(returns[-100:], 0, SMALL))  # a restart reads what it missed
    hours = desk.engine.state.prices[SMALL].hours
    assert [round(one, 4) for _, one in hours.list_jumps()] == [-0.04]
    assert hours.count_judged() == hours.known


def test_a_restart_goes_on_and_an_older_one_s_memory_loads() -> None:
    """What an earlier riskd kept says nothing about jumps: they are counted from then on, and it
    is the default until enough hours are."""
    hours = closed(zigzag(2000, {1800: -0.05}))
    series = PriceSeries(asset="BTC", hours=hours)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(series), type=PriceSeries).hours
    assert (again.list_jumps(), again.count_judged()) == (hours.list_jumps(), hours.known)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(hours))
    old = msgspec.convert(
        {name: one for name, one in kept.items() if name not in {"jumps", "judged_from"}},
        type=HourSeries,
    )
    assert (old.known, old.count_judged()) == (hours.known, 0)
    for hour in range(old.hour + 1, old.hour + 101):
        old.close(hour, -0.05 if hour % 50 == 0 else 0.004)
    assert (len(old.list_jumps()), old.count_judged()) == (2, 100)


def test_an_older_memory_is_judged_anew_where_history_is_told() -> None:
    """Whole, it is as if it had been counted all along."""
    returns = zigzag(2000, {500: -0.04, 1990: 0.05})
    desk = Desk().list_market().tell(history(returns))
    hours = desk.engine.state.prices["BTC"].hours
    whole = hours.list_jumps()
    hours.jumps, hours.judged_from = b"", -1
    hours.close(hours.hour + 1, 0.004)
    desk.at(3600).tell(history([*returns, 0.004, 0.004], ends_hours_ago=-1))
    assert hours.list_jumps() == whole
    assert hours.count_judged() == hours.known


def test_of_an_older_memory_only_what_is_kept_is_judged() -> None:
    """Its returns of the last thirty days: those before are known to have been, not what they
    were, and are no hours without a jump."""
    returns = zigzag(2000, {500: -0.04, 1900: 0.05})
    desk = Desk().list_market(SMALL).tell(history(returns, 3, SMALL))
    hours = desk.engine.state.prices[SMALL].hours
    hours.jumps, hours.judged_from = b"", -1
    desk.tell(history(returns[-100:], 0, SMALL))
    assert [round(one, 4) for _, one in hours.list_jumps()] == [0.05]
    assert hours.count_judged() == RETURNS_HOURS + 3
    assert asset_jumps(SMALL, desk.engine.state) is DEFAULT


def book(returns: list[float]) -> Desk:
    """Long one BTC at leverage five, with such a past."""
    desk = Desk(settings=EngineSettings(accounts=((HL, "main"),))).list_market(tiers=TIERS)
    desk.tell(history(returns))
    for minute in range(3):
        desk.at(60 * minute).context(mark_price=100.0, oracle_price=100.0)
    return desk.positions(("BTC", 1)).money(20.0)


def test_a_chance_rests_on_the_asset_s_own_jumps() -> None:
    """And says from how many; the same past without them has a lower one."""
    wild = book(zigzag(2000, dict.fromkeys(range(300, 2000, 150), -0.12)))
    value, lines = worked(wild, CHANCE, MAIN)
    found = asset_jumps("BTC", wild.engine.state)
    assert (found.fell, found.rose) == (12, 0)
    assert found.down.per_year == pytest.approx(24.93, abs=5e-3)
    assert lines[1].endswith("with 24.9 jumps a year of 10.7 % (deviation 6 %) against us")
    assert lines[2] == (
        "mean over what is held: falls of more than 6 sigma in an hour 12 times in 82 days, beside "
        "180 days of the default's 12 a year of 8 %"
    )
    quiet, told = worked(book(zigzag(2000, {})), CHANCE, MAIN)
    assert quiet < value
    assert "0 times in 82 days" in told[2]


@pytest.mark.parametrize(
    ("asset", "per_year", "mean", "worst"),
    [
        pytest.param("BTC", 10.9, -0.0434, -0.201, id="BTC"),
        pytest.param("DOT", 12.2, -0.0727, -0.380, id="DOT"),
    ],
)
def test_six_years_of_prices(asset: str, per_year: float, mean: float, worst: float) -> None:
    """Falls a year and their mean, in log, as an audit counted them apart from this; and what half
    a year of them makes of the default, at the end of each quarter."""
    prices = closes()[asset]
    returns = returns_of(prices)
    hours, falls, judged, sets = HourSeries(), [], 0, []
    for hour in range(min(returns), max(returns) + 1):
        before = hours.jumps
        known = hours.slow.fed_ratio >= 0.5
        one = returns.get(hour)
        hours.close(hour, one)
        judged += one is not None and known
        if hours.jumps != before and one is not None and one < 0.0:
            falls.append(one)
        if hour % (91 * 24) == 0:
            moves = [move for _, move in hours.list_jumps()]
            sets.append(count_jumps(moves, hours.count_judged()))
    assert len(falls) * 8760 / judged == pytest.approx(per_year, abs=0.05)
    assert sum(falls) / len(falls) == pytest.approx(mean, abs=5e-5)
    assert min(falls) == pytest.approx(worst, abs=5e-4)
    own = [one for one in sets if one is not DEFAULT]
    assert len(own) > 15
    for one in own:
        assert 5.9 < one.down.per_year < 40.0
        assert -0.12 < one.down.mean_log < -0.045
        assert one.down.deviation_log >= 0.06
