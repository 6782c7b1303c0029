"""What stands before a backtest: told as a starting daemon reads it, and not judged."""

from __future__ import annotations

from math import exp, sin
from pathlib import Path

import pytest

from monitor.backtest.basket import VolatilityAndFall, make_basket, make_basket_after
from monitor.backtest.feed import MarketFeed
from monitor.backtest.history import HOUR_S, History, read_history
from monitor.backtest.judge import make_judge
from monitor.core.types import PORTFOLIO, SECOND_NS
from tests.backtest.past import START_S, every_8h, write_funding, write_prices

ASSETS = ("ADA", "BTC", "ETH", "SOL", "XRP")  # of the basket
HOURS, CUT = 66 * 24, 64 * 24 + 3  # from the middle of a funding interval on
MARKET = ("funding_stress_index", "funding_expensive_share_ratio")
PERCENTILE = "volatility_percentile"


def price(hour: int) -> float:
    """Never at rest, wilder from day to day."""
    return 100.0 * exp(0.002 * sin(hour * 1.7) * (1.0 + hour / 500.0) - 0.0008 * hour)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-six days of five assets; funding rises on the last two."""
    made = tmp_path_factory.mktemp("history")
    for asset in ASSETS:
        write_prices(made, asset, [price(hour) for hour in range(HOURS)])
    rows = [
        row
        for number, asset in enumerate(ASSETS)
        for row in every_8h(
            HOURS,
            asset,
            lambda hour, by=number: 1e-4 + hour % 5 * 1e-5 + (9e-4 + by * 1e-5) * (hour >= CUT - 9),
        )
    ]
    write_funding(made, sorted(rows))
    return made


def said(folder: Path, first: int, *, past: bool = True) -> dict[int, dict[str, float | None]]:
    """By hour of the whole: what the engine knows of the market, asked from ``first`` on."""
    history = read_history(folder, ("binance",), from_s=START_S + first * HOUR_S)
    if not past:
        history.before = None
    feed = MarketFeed(history, ("binance",))
    judge = make_judge((), ("binance",), history.start_s * SECOND_NS)
    found = {}
    for index in range(history.hours):
        at = history.time_s(index) * SECOND_NS
        judge.tell(feed.hour(index), at)
        judge.hour(at)
        read = {name: judge.engine.reading(name, PORTFOLIO) for name in (*MARKET, PERCENTILE)}
        found[first + index] = {
            name: None if one is None else one.value for name, one in read.items()
        }
    return found


def test_a_range_knows_what_the_whole_knew(folder: Path) -> None:
    """From its first hours on: the index, whose window is a month; and the percentile, which needs
    sixty days."""
    whole, part = said(folder, CUT - 33 * 24, past=False), said(folder, CUT)
    assert sorted(part) == list(range(CUT, HOURS))
    for hour, read in part.items():
        for name in MARKET:
            assert read[name] is not None, (hour, name)
            assert read[name] == pytest.approx(whole[hour][name], abs=1e-9), (hour, name)
        if hour >= CUT + 3:  # an hour has to close first
            assert read[PERCENTILE] is not None, hour
    assert max(read["funding_stress_index"] or 0.0 for read in part.values()) > 60.0
    assert all(one[PERCENTILE] is None for one in whole.values())


def test_without_a_past_it_is_unknown(folder: Path) -> None:
    """Not low: the same hours, with nothing in front of them."""
    history = read_history(folder, ("binance",), from_s=START_S + CUT * HOUR_S)
    history.before = None
    feed, at = MarketFeed(history, ("binance",)), history.start_s * SECOND_NS
    judge = make_judge((), ("binance",), at)
    judge.tell(feed.hour(0), at)
    judge.hour(at)
    assert all(judge.engine.reading(name, PORTFOLIO) is None for name in (*MARKET, PERCENTILE))


def test_the_plain_trigger_has_the_same_past(folder: Path) -> None:
    """On in the same hours as over the whole."""

    def on(history: History) -> list[bool]:
        past, own = make_basket_after(history)
        trigger, found = VolatilityAndFall(), []
        for one in (past, own):
            steps = zip(one.returns, one.levels, one.known, strict=True)
            found += [trigger.take(moved, level, known=known) for moved, level, known in steps]
        return found[len(past.levels) :]

    whole = read_history(folder, ("binance",))
    part = read_history(folder, ("binance",), from_s=START_S + CUT * HOUR_S)
    assert on(part) == on(whole)[CUT:]
    assert any(on(part))
    assert make_basket_after(part)[1].levels[0] == 1.0
    assert make_basket_after(whole)[1].returns == make_basket(whole).returns
