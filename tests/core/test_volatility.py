"""Prices on the grid, hours, histories, the basket, and the measures that read them."""

from __future__ import annotations

from math import exp, log, sqrt

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core import events as e
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.formulas import volatility as v
from monitor.core.settings import EngineSettings, LeverageSettings
from monitor.core.state.series import HISTORY_HOURS, HOUR_NS, HourSeries
from monitor.core.types import PORTFOLIO, SECOND_NS, asset_subject
from tests.core.desk import DYDX, HL, START_NS, Desk

BTC_ASSET, ETH_ASSET = asset_subject("BTC"), asset_subject("ETH")
HOUR_S, MINUTE_S = 3600, 60
# The desk's clock starts at a full hour.
assert START_NS % HOUR_NS == 0


def desk(*markets: tuple[str, str]) -> Desk:
    """A desk whose markets are listed."""
    made = Desk()
    for venue, market in markets or ((HL, "BTC"),):
        made.list_market(market, venue)
    return made


def told(at: Desk, minute: int, price: float, market: str = "BTC", venue: str = HL) -> Desk:
    """A price in a minute since the start."""
    field = "oracle_price" if venue == DYDX else "mark_price"
    return at.at(minute * MINUTE_S + 1).context(market, venue, **{field: price})


def history(prices: list[float], last_hour: int = 0, market: str = "BTC") -> e.PriceHistorySeen:
    """Closes of the hours that end with the one ending ``last_hour`` hours after the start."""
    ends = range(last_hour - len(prices) + 1, last_hour + 1)
    return e.PriceHistorySeen(
        venue=HL,
        channel=f"{HL}/rest.candles/{market}",
        market=market,
        closes=tuple(
            (START_NS + hour * HOUR_NS, price) for hour, price in zip(ends, prices, strict=True)
        ),
    )


def zigzag(count: int, move: float = 0.01, start: float = 100.0) -> list[float]:
    """Prices that go up and down by the same log return."""
    return [start * exp(move * (index % 2)) for index in range(count)]


def test_slow_volatility_is_the_ewma_of_hourly_returns() -> None:
    """Hour by hour, from the last sample of each; half a day is not enough."""
    at = desk()
    for hour in range(13):
        for minute in range(0 if hour else 20, 60, 5):
            told(at, hour * 60 + minute, zigzag(40)[hour] * (1 + minute * 1e-6))
    assert at.after("volatility_slow", BTC_ASSET) is None
    assert at.why("volatility_slow", BTC_ASSET) == "11 of 24 hours of BTC known"
    for hour in range(13, 40):
        for minute in range(0, 60, 5):
            told(at, hour * 60 + minute, zigzag(40)[hour] * (1 + minute * 1e-6))
    expected = 0.01 * sqrt(v.HOURS_PER_YEAR)
    assert at.after("volatility_slow", BTC_ASSET) == pytest.approx(expected, rel=1e-3)


def test_fast_volatility_is_by_the_minute() -> None:
    """Two hours of minutes; the same price told again in a minute is one sample."""
    at = desk()
    for minute in range(130):
        told(at, minute, zigzag(130, 0.001)[minute])
        at.at(minute * MINUTE_S + 30).context(mark_price=120.0)
    assert at.after("volatility_fast", BTC_ASSET) == pytest.approx(
        0.001 * sqrt(v.MINUTES_PER_YEAR), rel=1e-6
    )


@pytest.mark.parametrize(
    ("silent_minutes", "expected"),
    [
        pytest.param(10, 26, id="ten minutes are bridged"),
        pytest.param(11, 25, id="eleven are an outage: the hour it lies in has no return"),
    ],
)
def test_a_gap_makes_no_return(silent_minutes: int, expected: int) -> None:
    """Bars that span an outage are dropped, not interpolated and not jumped over."""
    at = desk()
    skipped = range(5 * 60 + 20, 5 * 60 + 20 + silent_minutes - 1)
    for minute in range(26 * 60 + 1):
        if minute not in skipped:
            told(at, minute, 100.0 + minute % 7)
    returns = at.engine.state.prices["BTC"].hours.list_returns()
    assert len(returns) == 26
    assert sum(one is not None for one in returns) == expected


def test_a_price_that_rests_is_no_sample() -> None:
    """Ten minutes unchanged: who repeats it makes no prices, and volatility grows old."""
    at = desk()
    for minute in range(130):
        told(at, minute, zigzag(130, 0.001)[minute])
    known = at.after("volatility_fast", BTC_ASSET)
    assert known is not None
    for minute in range(130, 160):
        told(at, minute, 90.0)
    assert at.after("volatility_fast", BTC_ASSET) is None
    assert at.why("volatility_fast", BTC_ASSET) == "price of BTC is too old"


def test_a_builders_market_speaks_only_where_nobody_else_does() -> None:
    """Its name may be anything: an ordinary market of that asset takes over at once, and keeps."""
    at = desk().list_market("xyz:NVDA", asset="NVDA", dex="xyz")
    asset = asset_subject("NVDA")
    for minute in range(130):
        told(at, minute, zigzag(130, 0.001)[minute], "xyz:NVDA")
    expected = pytest.approx(0.001 * sqrt(v.MINUTES_PER_YEAR), rel=1e-6)
    assert at.after("volatility_fast", asset) == expected
    at.list_market("NVDA", asset="NVDA")
    series = at.engine.state.prices["NVDA"]
    for minute in range(130, 183):
        told(at, minute, 5.0 + minute % 2, "NVDA").context(
            "xyz:NVDA", mark_price=zigzag(183, 0.3)[minute], open_interest_base=1e9
        )
        assert (series.venue, series.market) == (HL, "NVDA")


def test_another_source_makes_no_return() -> None:
    """The source falls silent, another market takes over at another price: no jump."""
    at = desk((HL, "BTC"), (DYDX, "BTC-USD"))
    for minute in range(130):
        told(at, minute, zigzag(130, 0.001)[minute])
    for minute in range(130, 260):
        told(at, minute, 2.0 * zigzag(260, 0.001)[minute], "BTC-USD", DYDX)
    series = at.engine.state.prices["BTC"]
    assert (series.venue, series.market) == (DYDX, "BTC-USD")
    assert at.after("volatility_fast", BTC_ASSET) == pytest.approx(
        0.001 * sqrt(v.MINUTES_PER_YEAR), rel=1e-6
    )


@pytest.mark.parametrize(
    ("open_interest", "source"),
    [
        pytest.param(1.2, HL, id="a little larger is not worth a broken hour"),
        pytest.param(1.3, DYDX, id="much larger takes over with the hour"),
    ],
)
def test_the_most_liquid_market_is_the_source(open_interest: float, source: str) -> None:
    """By open interest in USD, at the start of an hour."""
    at = desk((HL, "BTC"), (DYDX, "BTC-USD"))
    for minute in range(125):
        price = 100.0 + minute % 3
        for market, venue in (("BTC", HL), ("BTC-USD", DYDX)):
            held = 1.0 if venue == HL else open_interest if minute > 70 else 0.9
            at.at(minute * MINUTE_S + 1).context(
                market,
                venue,
                mark_price=price,
                oracle_price=price,
                open_interest_base=held,
            )
    assert at.engine.state.prices["BTC"].venue == source


def test_history_warms_and_live_stays() -> None:
    """Hours before the first sample are filled; an hour seen live is not overwritten."""
    at = desk()
    for hour in range(4):
        for minute in range(0, 60, 5):
            told(at, hour * 60 + minute, zigzag(40)[hour] + minute * 1e-6)
    live = at.engine.state.prices["BTC"].hours.list_returns()[-2:]
    at.tell(history([50.0, *zigzag(100), 999.0, 999.0], last_hour=2))
    hours = at.engine.state.prices["BTC"].hours
    assert hours.list_returns()[-2:] == live
    assert len([one for one in hours.list_returns() if one is not None]) == 100 + 3
    assert at.after("volatility_slow", BTC_ASSET) is not None
    before = at.engine.snapshot()
    at.tell(history([50.0, *zigzag(100), 999.0, 999.0], last_hour=2))
    again = restore_snapshot(before).state.prices["BTC"]
    assert at.engine.state.prices["BTC"] == again


@pytest.mark.parametrize(
    ("closes", "why"),
    [
        pytest.param(
            ((START_NS + HOUR_NS, 1.0), (START_NS + 2 * HOUR_NS, 2.0)), "future", id="to come"
        ),
        pytest.param(
            ((START_NS - 1800 * SECOND_NS, 1.0), (START_NS - 5400 * SECOND_NS, 1.0)),
            "grid",
            id="half hours",
        ),
        pytest.param(
            ((START_NS, float("nan")), (START_NS - HOUR_NS, -1.0)), "prices", id="no prices"
        ),
    ],
)
def test_history_that_cannot_be_is_left(closes: tuple[tuple[int, float], ...], why: str) -> None:
    """Nothing of it is taken."""
    at = desk()
    at.tell(
        e.PriceHistorySeen(venue=HL, channel=f"{HL}/rest.candles/BTC", market="BTC", closes=closes)
    )
    assert "BTC" not in at.engine.state.prices, why


def test_percentile_needs_sixty_days_and_says_how_far_it_is() -> None:
    """Absent and explained before, the share of lower hours after; the newest hour counts half."""
    at = desk()
    at.tell(history(zigzag(1000)))
    told(at, 0, 100.0)
    assert at.after("volatility_percentile", BTC_ASSET) is None
    assert at.why("volatility_percentile", BTC_ASSET) == (
        "976 of 1440 hours of BTC volatility known; 19 days to go, less with history"
    )
    assert at.value("volatility_history_ratio", BTC_ASSET) == pytest.approx(976 / 1440)
    at = desk()
    at.tell(history([*zigzag(1600)[:-1], 130.0]))
    told(at, 0, 100.0)
    found = at.after("volatility_percentile", BTC_ASSET)
    assert found == pytest.approx(1.0 - 0.5 / (1599 - 23))


def test_jump() -> None:
    """A quiet day, then 4 % within the hour: most of the variance is one move."""
    at = desk()
    at.tell(history(zigzag(30, 0.002)))
    told(at, 0, 100.0)
    assert at.after("jump_share_ratio", BTC_ASSET) == pytest.approx(0.0, abs=0.05)
    for minute in range(1, 61):
        told(at, minute, 100.0 + minute * 1e-3)
    told(at, 70, 96.0)
    share, sigmas = (
        at.after(name, BTC_ASSET) for name in ("jump_share_ratio", "jump_sigmas_ratio")
    )
    assert share is not None
    assert sigmas is not None
    assert share > 0.5
    assert sigmas > 4.0


def test_basket_is_the_mean_of_its_members() -> None:
    """Two members: the mean return; one alone is no market."""
    at = desk((HL, "BTC"), (HL, "ETH"))
    at.tell(history(zigzag(100, 0.01)))
    for minute in range(5):
        told(at, minute, 100.0 + minute)
    assert at.after("basket_volatility", PORTFOLIO) is None
    at.tell(history(zigzag(100, 0.03), market="ETH"))
    for minute in range(5, 9):
        told(at, minute, 100.0 + minute)
    found = at.after("basket_volatility", PORTFOLIO)
    assert found == pytest.approx(0.02 * sqrt(v.HOURS_PER_YEAR), rel=1e-4)


@pytest.mark.parametrize("gap_minutes", [75.0, 60.0])
def test_hourly_recordings_are_followed_too(gap_minutes: float) -> None:
    """Prices at full hours only: every hour has its return, known as soon as it is over; a member
    without rows for days holds nobody up."""
    leverage = LeverageSettings(price_gap_minutes=gap_minutes)
    at = Desk(settings=EngineSettings(leverage=leverage))
    moves = {"BTC": 0.01, "ETH": 0.02, "SOL": 0.03}
    for market in moves:
        at.list_market(market)
    for hour in range(40):
        for market, move in moves.items():
            if market != "SOL" or hour < 20 or hour > 35:
                at.at(hour * HOUR_S).context(market, mark_price=100.0 * exp(move * (hour % 2)))
        at.evaluate()
        if hour > 1 and hour != 20:
            assert at.engine.state.basket.hour == START_NS // HOUR_NS + hour - 1, hour
    returns = at.engine.state.basket.list_returns()[-39:]
    assert [one is not None for one in returns].count(True) == 39
    assert abs(returns[10] or 0.0) == pytest.approx(0.02)
    assert abs(returns[30] or 0.0) == pytest.approx(0.015)
    assert at.value("volatility_slow", BTC_ASSET) == pytest.approx(
        0.01 * sqrt(v.HOURS_PER_YEAR), rel=1e-5
    )
    assert at.value("volatility_fast", BTC_ASSET) is not None


def test_basket_fall_is_by_level() -> None:
    """Both fell by a tenth since three days ago."""
    at = desk((HL, "BTC"), (HL, "ETH"))
    for market in ("BTC", "ETH"):
        at.tell(history([100.0] * 50 + [99.0] * 50, market=market))
    for market in ("BTC", "ETH"):
        told(at, 3, 90.0, market)
    assert at.after("basket_return_72h_ratio", PORTFOLIO) == pytest.approx(-0.1)


def test_a_day_goes_by_in_a_snapshot() -> None:
    """Stopped and restored in the middle, the same state as without."""
    one, other = desk((HL, "BTC"), (HL, "ETH")), desk((HL, "BTC"), (HL, "ETH"))
    for minute in range(0, 300, 3):
        for at in (one, other):
            told(at, minute, 100.0 + minute % 7)
            told(at, minute, 50.0 + minute % 5, "ETH")
            at.evaluate()
        if minute == 150:
            other = Desk(engine=restore_snapshot(other.engine.snapshot()))
    assert one.engine.snapshot() == other.engine.snapshot()


def test_a_restart_keeps_the_prices() -> None:
    """Packed once an hour, told again as they were in between, and known to the next process."""
    at = desk((HL, "BTC"), (HL, "ETH"))
    for market, move in (("BTC", 0.01), ("ETH", 0.02)):
        at.tell(history(zigzag(2000, move), market=market))
    for minute in range(5, 15):
        told(at, minute, 100.0 + minute)
        told(at, minute, 100.0 + minute, "ETH")
    percentile = at.after("volatility_percentile", PORTFOLIO)
    assert percentile is not None
    kept = dict(at.engine.memories())
    told(at, 20, 105.0).evaluate()
    assert dict(at.engine.memories()) == kept
    again = Engine(EngineSettings())
    again.restore((), tuple(kept.items()), stopped_ns=at.now)
    after = Desk(engine=again)
    after.list_market().list_market("ETH")
    for minute in (25, 26):
        told(after, minute, 100.0 + minute)
        told(after, minute, 100.0 + minute, "ETH")
    assert after.after("volatility_percentile", PORTFOLIO) == pytest.approx(percentile)
    assert after.value("volatility_slow", BTC_ASSET) == at.value("volatility_slow", BTC_ASSET)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-0.125, 0.125, width=32)), min_size=1, max_size=200))
def test_incremental_is_batch(returns: list[float | None]) -> None:
    """Hour by hour gives the variance and the histogram of all hours at once."""
    hours = HourSeries(keep=100)
    for hour, one in enumerate(returns, 1000):
        hours.close(hour, one)
    known = [one for one in returns if one is not None]
    if known:
        weights = [0.5 ** (age / 24.0) for age in range(len(known) - 1, -1, -1)]
        batch = sum(w * r * r for w, r in zip(weights, known, strict=True)) / sum(weights)
        assert hours.slow.variance == pytest.approx(batch, rel=1e-9, abs=1e-18)
    assert hours.list_returns() == returns[-100:]
    again = HourSeries(keep=100)
    again.rewrite(hours.hour, hours.slow, returns, hours.list_bins(), hours.closes)
    assert (again.returns, again.bins, again.counts, again.known) == (
        hours.returns,
        hours.bins,
        hours.counts,
        hours.known,
    )


def test_the_histogram_forgets() -> None:
    """After half a year what was first is gone, and memory stays what it is."""
    hours = HourSeries()
    for hour in range(HISTORY_HOURS + 500):
        hours.close(hour, 0.01 if hour < 300 else 0.02)
    assert hours.known == sum(hours.counts) == HISTORY_HOURS
    assert hours.counts[v.bin_of(0.01 * sqrt(v.HOURS_PER_YEAR))] == 0
    assert len(hours.bins) == 2 * HISTORY_HOURS
    hours.close(hours.hour + 10 * HISTORY_HOURS, 0.02)
    assert hours.known == 1


def test_the_histogram_of_another_version() -> None:
    """A series that was packed with its histogram as a list has the same one again."""
    hours = HourSeries()
    for hour in range(500):
        hours.close(hour, 0.01 + 0.00002 * hour)
    packed = msgspec.to_builtins(hours, builtin_types=(bytearray, bytes))
    packed["counts"] = list(hours.counts)
    del packed["histogram"]
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(packed), type=HourSeries)
    assert again == hours
    assert sum(again.counts) == again.known > 400


def test_level_of_a_return() -> None:
    """Log, not simple."""
    assert v.compute_log_returns((100.0, 110.0)) == [pytest.approx(log(1.1))]
