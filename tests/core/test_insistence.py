"""What one bad statement cannot do: freeze an account, or keep fresh what is said no longer."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.settings import EngineSettings
from tests.core.desk import BTC, DYDX, HL, HL_VENUE, MAIN, Desk, market_subject

STREAM = f"{HL}/account.stream/main"
BAD_HEIGHT = 9_000_000


def money_desk() -> Desk:
    """An account whose stream is open and speaks only on change."""
    desk = Desk((HL, "main")).list_market()
    desk.open(STREAM)
    desk.positions(height=1).money(100, cash=100, height=1)
    desk.evaluate()
    return desk


@pytest.mark.parametrize("bad", ["stream", "truth"])
def test_one_bad_height_does_not_freeze_the_money(bad: str) -> None:
    """Statements refused as older are believed the third time, at the earliest after 20 s."""
    desk = money_desk().at(1)
    desk.money(900, cash=900, height=BAD_HEIGHT, source=bad)
    seen = []
    told: list[tuple[str, str, str]] = []
    for second in (10, 20, 29.9, 30, 40):
        desk.at(second).alive(STREAM).money(10, cash=10, height=100 + int(second), source="truth")
        decision = desk.evaluate()
        seen.append(desk.value("equity_usd", MAIN))
        told += [(one.field, one.stream, one.truth) for one in decision.cross_checks]
    assert seen == [900.0, 900.0, 900.0, 10.0, 10.0]
    assert told.count(("equity_usd", "900", "10")) == 1
    assert ("cash_usd", "900", "10") in told


def test_a_re_read_that_lags_behind_its_stream_is_not_believed() -> None:
    """Each newer statement of the stream starts the count anew."""
    desk = money_desk()
    for second in range(10, 100, 10):
        desk.at(second).money(100 + second, cash=1, height=1_000 + second)
        desk.money(5, cash=1, height=990 + second, source="truth")
        desk.evaluate()
        assert desk.value("equity_usd", MAIN) == 100.0 + second


@pytest.mark.parametrize(
    ("later", "expected"), [(9.0, 900.0), (31.1, None)], ids=["within its limit", "beyond"]
)
def test_what_is_refused_proves_nothing_fresh(later: float, expected: float | None) -> None:
    """The channel that speaks of something older no longer vouches for the amount kept."""
    desk = money_desk().at(1).money(900, cash=900, height=BAD_HEIGHT)
    desk.at(2).money(10, cash=10, height=3)
    desk.at(later).alive(STREAM)
    assert desk.after("equity_usd", MAIN) == expected


def test_one_bad_height_does_not_freeze_the_positions() -> None:
    """Nor keep them fresh: the truth that insists is believed, and the contradiction recorded."""
    desk = money_desk().context(mark_price=100.0, oracle_price=100.0)
    desk.at(1).positions(("BTC", 1), height=BAD_HEIGHT)
    fields: list[tuple[str, str]] = []
    for second, expected in ((10, 100.0), (20, 100.0), (30, 5_000.0), (40, 5_000.0)):
        desk.at(second).context(mark_price=100.0)
        desk.positions(("BTC", 50), height=100 + second, source="truth")
        fields += [(one.stream, one.truth) for one in desk.evaluate().cross_checks]
        assert desk.value("gross_exposure_usd", MAIN) == expected
    assert ("1.0", "50.0") in fields
    desk.at(41).positions(("BTC", 2), height=200)
    assert desk.after("gross_exposure_usd", MAIN) == 200.0
    assert desk.value("cross_check_difference_ratio", MAIN) == 0.0


def test_refused_positions_are_not_fresh() -> None:
    """A stream that repeats something older does not prove the size kept."""
    desk = money_desk().context(mark_price=100.0)
    desk.at(1).positions(("BTC", 1), height=BAD_HEIGHT)
    desk.at(2).positions(("BTC", 5), height=9)
    desk.at(31.1).context(mark_price=100.0).alive(STREAM)
    assert desk.after("gross_exposure_usd", MAIN) is None


@pytest.mark.parametrize(("ahead", "equity"), [(60, 100.0), (61, 7.0)], ids=["believed", "not"])
def test_a_time_far_ahead_orders_nothing(ahead: float, equity: float) -> None:
    """Beyond a minute it counts as of its arrival, and the next statement is newer."""
    desk = Desk((HL, "main")).list_market().positions()
    desk.money(100, cash=1, time_s=ahead)
    desk.at(1).money(7, cash=1, time_s=1)
    assert desk.after("equity_usd", MAIN) == equity


def test_blocks_and_settlements_of_the_future_are_refused() -> None:
    """Else nothing true would be newer for as long."""
    desk = Desk().list_market()
    channel = f"{HL}/x"
    for time_s in (1_000_000, 0):
        desk.tell(
            e.ChainTimeSeen(venue=HL, channel=channel, source="stream", time_ns=desk.ns(time_s)),
            e.FundingSettled(
                venue=HL,
                channel=channel,
                market="BTC",
                funding_rate_hourly=1e-5 if time_s == 0 else 1e-2,
                native_funding_rate=1e-5,
                native_funding_interval_s=3600,
                settled_at_ns=desk.ns(time_s),
            ),
        )
    desk.at(5)
    assert desk.after("funding_rate_settled_hourly") == 1e-5
    venue = desk.engine.state.venues[HL]
    assert venue.blocks["stream"].time_ns == desk.ns(0)
    assert desk.value("venue_healthy", HL_VENUE) is None


# --------------------------------------------------------------------------- said no longer


def test_equity_that_its_channel_says_no_longer_ages() -> None:
    """Messages about cash alone prove no equity; cash that is not repeated is unchanged."""
    desk = money_desk()
    for second in range(5, 35, 5):
        desk.at(second).money(cash=50, height=second)
    assert desk.at(30).after("equity_usd", MAIN) == 100.0
    assert desk.at(30.1).after("equity_usd", MAIN) is None
    account = desk.engine.state.venues[HL].accounts["main"]
    assert account.cash.channel == STREAM


def test_a_complete_statement_without_equity_makes_it_unknown() -> None:
    """At once: the venue says all it ever says, and equity is not in it."""
    desk = money_desk()
    desk.at(1).tell(
        e.AccountReported(
            venue=HL,
            channel=STREAM,
            account="main",
            source="stream",
            free_collateral_usd=Decimal(1),
            height=2,
            complete=True,
        ),
    )
    assert desk.after("equity_usd", MAIN) is None
    assert "not stated" in desk.why("equity_usd", MAIN)


@pytest.mark.parametrize("complete", [True, False])
def test_a_context_without_a_mid(complete: bool) -> None:
    """A one-sided book has no mid; a message that merely says less changes nothing."""
    desk = Desk().list_market()
    channel = f"{HL}/activeAssetCtx/BTC"
    desk.open(channel, 1.0)

    def say(mid: float | None) -> None:
        desk.tell(
            e.MarketContextSeen(
                venue=HL,
                channel=channel,
                market="BTC",
                mark_price=100.0,
                oracle_price=100.0,
                mid_price=mid,
                complete=complete,
            ),
        )

    say(100.0)
    assert desk.after("mid_price") == 100.0
    desk.at(1)
    say(None)
    assert desk.after("mid_price") == (None if complete else 100.0)
    desk.at(2)
    say(200.0)
    assert desk.after("mid_price") is None  # a jump, judged by the last mid there was
    assert desk.value("mark_price") == 100.0


def test_a_complete_context_is_silent_about_other_channels_facts() -> None:
    """What another channel said stands."""
    desk = Desk().list_market().context(mid_price=100.0, predicted_funding_rate_hourly=1e-5)
    desk.tell(
        e.MarketContextSeen(
            venue=HL, channel=f"{HL}/other/BTC", market="BTC", mark_price=100.0, complete=True
        ),
    )
    assert desk.after("mid_price") == 100.0
    assert desk.value("funding_rate_hourly") == 1e-5


def test_a_delta_channel_with_a_cadence_vouches_for_quiet_tickers() -> None:
    """dYdX ``v4_markets`` speaks every few seconds and restates nothing."""
    desk = Desk().list_market("BTC-USD", DYDX).list_market("ETH-USD", DYDX)
    desk.open(f"{DYDX}/v4_markets", 5.0, DYDX)
    desk.context("BTC-USD", DYDX, oracle_price=100.0)
    for second in range(5, 100, 5):
        desk.at(second).context("ETH-USD", DYDX, oracle_price=10.0)
    assert desk.after("oracle_price", market_subject(DYDX, "BTC-USD")) == 100.0


# ------------------------------------------------------------------------------ not readable


@pytest.mark.parametrize("size", ["NaN", "Infinity"])
@pytest.mark.parametrize("complete", [True, False], ids=["whole list", "delta"])
def test_an_unreadable_size_is_unknown_and_no_error(size: str, complete: bool) -> None:
    """Until the next complete list."""
    desk = money_desk().context(mark_price=100.0).positions(("BTC", 1), height=2)
    assert desk.after("gross_exposure_usd", MAIN) == 100.0
    desk.positions(("BTC", size), height=3, complete=complete)
    decision = desk.evaluate()
    assert decision.measure_errors == ()
    assert desk.value("gross_exposure_usd", MAIN) is None
    assert "readabl" in desk.why("gross_exposure_usd", MAIN)
    desk.positions(("BTC", 2), height=4)
    assert desk.after("gross_exposure_usd", MAIN) == 200.0


def test_markets_beyond_the_cap_are_ignored_and_counted() -> None:
    """Memory is bounded by configuration, whatever a venue lists."""
    desk = Desk(settings=EngineSettings(markets_max=2))
    desk.list_market("BTC").list_market("ETH")
    desk.list_market("MORE").context("MORE", mark_price=1.0).top(1.0, 1.1, "MORE")
    desk.context(mark_price=100.0).evaluate()
    venue = desk.engine.state.venues[HL]
    assert list(venue.markets) == ["BTC", "ETH"]
    assert venue.markets_ignored == 3
    assert "MORE" not in desk.engine.state.assets
    assert desk.value("mark_price", market_subject(HL, "MORE")) is None
    assert desk.value("mark_price", BTC) == 100.0
