"""News flags: up from when to when, about whom, and fallen by themselves."""

from __future__ import annotations

import pytest

from monitor.core.engine import Engine, restore_snapshot
from monitor.core.events import NewsFlag, NewsFlagsDeclared, RulebookLoaded
from monitor.core.settings import EngineSettings
from monitor.core.state.accounts import account_of
from monitor.core.state.markets import market_of
from monitor.core.state.model import PositionState
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    AlertState,
    Subject,
    asset_subject,
    venue_subject,
)

NOW = 1_790_000_000 * SECOND_NS
HOUR = 3600 * SECOND_NS
BTC, ETH = asset_subject("BTC"), asset_subject("ETH")
DYDX, OTHER = venue_subject("dydx"), venue_subject("other")
RULE = (
    "- {id: news, for_each: portfolio, summary: News, when: news_flag > 0.5, severity: info}\n"
    "- {id: news_btc, for_each: asset, summary: News, when: news_flag > 0.5, severity: info,\n"
    "   only: {asset: [BTC]}}\n"
)


def flag(scope: str = "portfolio", *, begins_h: float = 0.0, hours: float = 2.0) -> NewsFlag:
    """A flag of so many hours."""
    begins = NOW + round(begins_h * HOUR)
    return NewsFlag(
        name="cpi",
        scope=scope,
        begins_at_ns=begins,
        expires_at_ns=begins + round(hours * HOUR),
        reason="scheduled",
        set_by="ana",
    )


def engine(*flags: NewsFlag, known: bool = True) -> Engine:
    """A book that holds BTC on dydx and knows ETH, with these flags and two rules."""
    made = Engine(EngineSettings())
    state = made.state
    for asset in ("BTC", "ETH"):
        market = market_of(state, "dydx", asset)
        market.listed, market.asset = True, asset
        state.assets[asset] = [("dydx", asset)]
        state.appeared.append(("asset", "dydx", asset, asset))
    market_of(state, "other", "BTC")
    account = account_of(state, "dydx", "main", NOW)
    account.positions["BTC"] = PositionState(market="BTC", size=1.0)
    account.positions_complete = known
    state.dirty.clear()
    made.apply(RulebookLoaded(files=(("r.yaml", RULE),), loaded_by="test"), NOW)
    made.apply(NewsFlagsDeclared(source="operators", flags=flags), NOW)
    made.evaluate(NOW)
    return made


def value(made: Engine, subject: Subject, now: int = NOW) -> float:
    """The measure, which is never absent."""
    reading = made.reading("news_flag", subject, now)
    assert reading is not None
    return reading.value


@pytest.mark.parametrize(
    ("scope", "up"),
    [
        pytest.param("portfolio", {PORTFOLIO, BTC, ETH, DYDX, OTHER}, id="the whole book"),
        pytest.param("asset:BTC", {PORTFOLIO, BTC}, id="an asset that is held"),
        pytest.param("asset:ETH", {ETH}, id="an asset that is not"),
        pytest.param("venue:dydx", {PORTFOLIO, DYDX}, id="a venue where something is held"),
        pytest.param("venue:other", {OTHER}, id="a venue where nothing is"),
        pytest.param("asset:DOGE", set(), id="an asset nobody lists"),
    ],
)
def test_whom_a_flag_is_about(scope: str, up: set[Subject]) -> None:
    """Down from the book to all, up to the book where something is held."""
    made = engine(flag(scope))
    subjects = (PORTFOLIO, BTC, ETH, DYDX, OTHER)
    assert {one for one in subjects if value(made, one) == 1.0} == up


def test_where_positions_are_unknown_a_flag_may_concern_the_book() -> None:
    """Unknown is not fine."""
    assert value(engine(flag("asset:ETH"), known=False), PORTFOLIO) == 1.0


@pytest.mark.parametrize(
    ("hours", "up"),
    [(-0.001, 0.0), (0.0, 1.0), (1.999, 1.0), (2.0, 0.0)],
    ids=["before", "from then on", "until", "fallen"],
)
def test_from_when_to_when(hours: float, up: float) -> None:
    """Both ends, to the instant."""
    made = engine(flag(begins_h=1.0))
    assert value(made, PORTFOLIO, NOW + HOUR + round(hours * HOUR)) == up


def test_it_falls_by_itself() -> None:
    """The engine asks to be woken at each end, and the rules follow; nobody does anything."""
    made = engine(flag(begins_h=1.0), flag("asset:BTC", hours=0.5))
    seen = []
    now = NOW
    while now < NOW + 4 * HOUR:
        wake = made.evaluate(now).wake_at_ns
        states = made.state.rules
        seen.append(
            (
                (now - NOW) / HOUR,
                states["news|portfolio"].state.state is AlertState.FIRING,
                states["news_btc|asset:BTC"].state.state is AlertState.FIRING,
            )
        )
        if wake is None:
            break
        now = wake
    changes = [one for before, one in zip([(0, None, None), *seen], seen) if before[1:] != one[1:]]  # noqa: B905 - pairs
    assert changes == [
        (0.0, True, True),  # of the asset, which is held
        (0.5, False, False),
        (1.0, True, True),
        (3.0, False, False),
    ]


def test_a_new_list_replaces_only_its_source() -> None:
    """The file's flags and the operators' are apart."""
    made = engine(flag())
    made.apply(NewsFlagsDeclared(source="news.yaml", flags=(flag("asset:BTC"),)), NOW)
    made.apply(NewsFlagsDeclared(source="operators", flags=()), NOW)
    made.evaluate(NOW)
    assert (value(made, ETH), value(made, BTC)) == (0.0, 1.0)
    assert set(made.state.news) == {"news.yaml"}


def test_a_snapshot_keeps_them() -> None:
    """And the words that a page says."""
    made = restore_snapshot(engine(flag()).snapshot())
    assert value(made, BTC) == 1.0
    seen = made.explain("news", PORTFOLIO, NOW)
    assert seen is not None
    assert seen.inputs[0].reading.text == "news flag: cpi (scheduled, 120 min left)"
