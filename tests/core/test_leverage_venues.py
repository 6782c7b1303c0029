"""Caps of a venue and of an asset: what no leg elsewhere offsets, and how fast it can be left."""

from __future__ import annotations

from math import exp

import pytest

from monitor.core import events as e
from monitor.core.settings import EngineSettings, LeverageSettings
from monitor.core.types import Subject, asset_subject, venue_subject
from monitor.rulebook import builtin_files
from tests.core.desk import DYDX, HL, HL_VENUE, PORTFOLIO, Desk
from tests.core.test_leverage_caps import CALM, closes

ACCOUNTS = ((HL, "main"), (DYDX, "main"))
DYDX_VENUE = venue_subject(DYDX)
BTC_ASSET = asset_subject("BTC")
NET, CAP, RATIO = "leverage_net", "leverage_cap_net", "leverage_net_to_cap_ratio"
RULES = dict(builtin_files())["volatility.yaml"]
QUICK = ((HL, 15.0), (DYDX, 15.0))
WATCH = """
- id: venue
  for_each: venue
  when: leverage_net_to_cap_ratio > 0.5 || leverage_cap_net > 9.0
  severity: warning
  do: {level: page}
  scope: portfolio
  summary: Leverage
"""


def two_venues(
    here: float,
    there: float,
    *,
    equities: tuple[float, float] = (1000.0, 1000.0),
    minutes: tuple[tuple[str, float], ...] = QUICK,
    past: bool = True,
) -> Desk:
    """So many BTC of 100 USD on either venue; the market moves 60 % a year."""
    desk = Desk(
        settings=EngineSettings(
            accounts=ACCOUNTS,
            venues=(HL, DYDX),
            leverage=LeverageSettings(basket=("BTC", "ETH"), exit_minutes=minutes),
        )
    )
    for market, venue in (("BTC", HL), ("ETH", HL), ("BTC-USD", DYDX)):
        desk.list_market(market, venue)
        if past and venue == HL:
            desk.tell(closes(market, (CALM, -CALM)))
    for minute in range(5):
        desk.at(minute * 60 + 1)
        for market, venue in (("BTC", HL), ("ETH", HL), ("BTC-USD", DYDX)):
            price = 100.0 * exp(minute * 1e-8)
            desk.context(market, venue, mark_price=price, oracle_price=price)
    desk.positions(("BTC", here)).money(equities[0])
    desk.positions(("BTC-USD", there), venue=DYDX)
    desk.money(cash=equities[1] - 100.0 * there, venue=DYDX)
    return desk


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        pytest.param(6.0, 4.0, (0.6, 0.4), id="two longs: each its own"),
        pytest.param(10.0, -8.0, (0.2, 0.0), id="what the short leaves naked lies with the long"),
        pytest.param(-5.0, 5.0, (0.0, 0.0), id="a hedge over two venues is no net of either"),
        pytest.param(0.0, 7.0, (0.0, 0.7), id="one of them holds nothing"),
    ],
)
def test_net_of_a_venue_is_what_no_leg_elsewhere_offsets(
    here: float, there: float, expected: tuple[float, float]
) -> None:
    """Over the venue's own equity."""
    desk = two_venues(here, there)
    desk.evaluate()
    desk.at(245)
    assert desk.after(NET, HL_VENUE) == pytest.approx(expected[0], abs=2e-3)
    assert desk.value(NET, DYDX_VENUE) == pytest.approx(expected[1], abs=2e-3)


def test_a_net_cap_is_less_where_leaving_is_slow() -> None:
    """Base 1 at 60 %: the venue of a day has half, the book by where its gross lies."""
    desk = two_venues(6.0, 2.0, minutes=((HL, 15.0), (DYDX, 1440.0)))
    assert desk.after(CAP, HL_VENUE) == pytest.approx(1.0, rel=2e-3)
    assert desk.value(CAP, DYDX_VENUE) == pytest.approx(0.5, rel=2e-3)
    # 6 of 8 parts count whole and 2 half; an asset the same, being all there is.
    assert desk.value(CAP, PORTFOLIO) == pytest.approx(0.875, rel=2e-3)
    assert desk.value(CAP, BTC_ASSET) == pytest.approx(0.875, rel=2e-3)


def test_a_hedge_taken_off_elsewhere_makes_net_here() -> None:
    """Though nothing was told of the venue that the other leg is on."""
    desk = two_venues(6.0, -6.0).load(WATCH)
    assert not desk.evaluate().transitions
    desk.at(245).positions(venue=DYDX).money(cash=1000.0, venue=DYDX)
    told = [*desk.evaluate().transitions, *desk.at(247).evaluate().transitions]
    assert [one.subject for one in told] == [HL_VENUE]


@pytest.mark.parametrize("equity", [0.0, -50.0], ids=["gone", "negative"])
def test_equity_gone_at_one_venue_is_a_breach_there(equity: float) -> None:
    """And says nothing of the other."""
    desk = two_venues(5.0, 5.0, equities=(equity, 1000.0))
    desk.evaluate()
    assert (desk.at(245).after(RATIO, HL_VENUE) or 0.0) > 100.0
    assert desk.value(RATIO, DYDX_VENUE) == pytest.approx(0.5, rel=2e-3)


def test_one_dark_venue_makes_the_other_unknown() -> None:
    """For the leg that offsets may be there."""
    desk = two_venues(5.0, 5.0)
    desk.evaluate()
    desk.at(245)
    assert desk.after(NET, HL_VENUE) is not None
    for second in (10, 20, 30, 40):
        desk.at(245 + second).context(mark_price=100.0, oracle_price=100.0)
        desk.positions(("BTC", 5.0)).money(1000.0).evaluate()
    assert desk.value("beta_net_usd", HL_VENUE) is not None
    assert desk.value(NET, HL_VENUE) is None
    assert "beta_net_usd of portfolio" in desk.why(NET, HL_VENUE)


# ------------------------------------------------------------------------------ a cold start


def told_late(moves: tuple[float, ...]) -> tuple[Desk, list[str]]:
    """A start without history, as every one is: it comes after the first evaluations. Then so many
    minutes of these moves."""
    desk, price, fired = two_venues(6.0, 4.0, past=False).load(WATCH), 100.0, []
    assert desk.after(CAP, HL_VENUE) is None
    for market in ("BTC", "ETH"):
        desk.tell(closes(market, (CALM, -CALM)))
    for step, move in enumerate((0.0, 0.0, *moves)):
        price *= exp(move)
        desk.at(301 + 60 * step).positions(("BTC", 6.0)).money(600.0)
        desk.positions(("BTC-USD", 4.0), venue=DYDX).money(cash=600.0, venue=DYDX)
        for market, venue in (("BTC", HL), ("ETH", HL), ("BTC-USD", DYDX)):
            desk.context(market, venue, mark_price=price, oracle_price=price)
        fired += [one.subject for one in desk.evaluate().transitions if one.after.value == "firing"]
    return desk, fired


def test_a_venues_cap_is_there_once_history_is() -> None:
    """600 of 600 at a cap of 1; 400 of 1,000 there."""
    desk, fired = told_late((0.0,))
    assert desk.value(CAP, HL_VENUE) == pytest.approx(1.0, rel=2e-2)
    assert fired == [HL_VENUE]


def test_a_venues_cap_falls_in_a_volatile_hour() -> None:
    """As the book's does."""
    desk, _ = told_late((0.01, -0.01) * 20)
    book = desk.value(CAP, PORTFOLIO)
    assert book is not None
    assert book < 0.7
    assert desk.value(CAP, HL_VENUE) == pytest.approx(book, rel=2e-2)


# ----------------------------------------------------------------------------------- gross caps


def volume(desk: Desk, usd: float) -> Desk:
    """A day's volume of BTC on the first venue."""
    return desk.tell(
        e.MarketContextSeen(
            venue=HL, channel=f"{HL}/ctx/BTC", market="BTC", volume_24h_usd=usd, mark_price=100.0
        )
    )


@pytest.mark.parametrize(
    ("day_usd", "cap"),
    [
        # 1 000 USD at a tenth of the volume, and 15 min to leave the venue.
        pytest.param(1e9, 3.0, id="sold in no time, and the venue is left within six hours"),
        pytest.param(40_000.0, 2.0, id="sold in six hours, and a quarter"),
        pytest.param(10_000.0, 1.0, id="sold in a day, and a quarter"),
    ],
)
def test_gross_cap_of_an_asset_by_its_volume(day_usd: float, cap: float) -> None:
    """Four times equity, less by how long selling takes."""
    desk = two_venues(10.0, 0.0, minutes=((HL, 15.0),), past=False)
    volume(desk, day_usd).evaluate()
    assert desk.value("leverage_cap_gross", BTC_ASSET) == pytest.approx(cap)
    assert desk.value("leverage_gross", BTC_ASSET) == pytest.approx(0.5)
    assert desk.value("leverage_gross_to_cap_ratio", BTC_ASSET) == pytest.approx(0.5 / cap)


def held_until(desk: Desk, minute: int, here: float, there: float, usd: float = 1e9) -> Desk:
    """A minute after the other until so many after the start: what is held at 100 USD on both
    venues, and a day's volume."""
    start = round((desk.now - desk.ns(245)) / 60e9)
    for now in range(start + 1, minute + 1):
        desk.at(245 + 60 * now)
        for market, venue in (("BTC", HL), ("ETH", HL), ("BTC-USD", DYDX)):
            desk.context(market, venue, mark_price=100.0, oracle_price=100.0)
        volume(desk, usd).positions(*((("BTC", here),) if here else ()))
        desk.money(1000.0 + 100.0 * here)
        desk.positions(*((("BTC-USD", there),) if there else ()), venue=DYDX)
        desk.money(cash=1000.0 - 100.0 * there, venue=DYDX)
        desk.evaluate()
    return desk


def risen(minutes: float) -> float:
    """By what a cap may have risen: a tenth a day."""
    return float(1.1 ** (minutes / 1440))


def test_gross_cap_of_an_asset_rises_slowly() -> None:
    """A thin day takes it to a third at once; the volume is back, and the cap a tenth a day."""
    desk = two_venues(10.0, 0.0, minutes=((HL, 15.0),), past=False)
    for minute, usd, cap in (
        (1, 1e9, 3.0), (2, 10_000.0, 1.0), (3, 1e9, risen(1)), (9, 1e9, risen(7)),
        (10, 10_000.0, 1.0),
    ):  # fmt: skip
        held_until(desk, minute, 10.0, 0.0, usd)
        found = desk.value("leverage_cap_gross", BTC_ASSET)
        assert found == pytest.approx(cap, rel=1e-6), minute


@pytest.mark.parametrize("subject", [PORTFOLIO, BTC_ASSET])
def test_a_net_cap_rises_slowly_by_exit_time_too(subject: Subject) -> None:
    """What lay where leaving is slow is gone from there: what it took off the cap comes back a
    tenth a day. More of it there, and the cap falls at once."""
    desk = two_venues(6.0, 2.0, minutes=((HL, 15.0), (DYDX, 1440.0)))
    desk.evaluate()
    before = held_until(desk, 1, 6.0, 2.0).value(CAP, subject)
    assert before == pytest.approx(0.875, rel=2e-3)
    # Since it was first looked at, a minute earlier.
    assert held_until(desk, 8, 6.0, 0.0).value(CAP, subject) == pytest.approx(
        (before or 0.0) * risen(8), rel=1e-5
    )
    assert held_until(desk, 9, 6.0, 6.0).value(CAP, subject) == pytest.approx(0.75, rel=2e-3)


def test_what_is_not_held_is_no_start_to_rise_from() -> None:
    """Flat, it has the least of all caps and nothing to leave: what was remembered of it rises
    meanwhile, and what is bought then has no more."""
    desk = two_venues(6.0, 0.0, minutes=((HL, 15.0), (DYDX, 1440.0)))
    desk.evaluate()
    first = held_until(desk, 1, 6.0, 0.0).value(CAP, BTC_ASSET)
    assert first == pytest.approx(1.0, rel=2e-3)
    assert held_until(desk, 2, 0.0, 0.0).value(CAP, BTC_ASSET) == pytest.approx(0.5, rel=2e-3)
    assert held_until(desk, 3, 6.0, 0.0).value(CAP, BTC_ASSET) == pytest.approx(1.0, rel=2e-3)
    slow = held_until(desk, 4, 0.0, 6.0).value(CAP, BTC_ASSET)
    assert slow == pytest.approx(0.5, rel=2e-3)
    held_until(desk, 6, 0.0, 0.0)
    assert held_until(desk, 7, 6.0, 0.0).value(CAP, BTC_ASSET) == pytest.approx(
        (slow or 0.0) * risen(3), rel=1e-6
    )


def test_without_volume_the_cap_of_a_held_asset_is_unknown() -> None:
    """Nobody knows how fast it sells; what nobody holds needs none."""
    desk = two_venues(10.0, 0.0, past=False)
    assert desk.after("leverage_gross_to_cap_ratio", BTC_ASSET) is None
    assert "volume of BTC" in desk.why("leverage_cap_gross", BTC_ASSET)
    assert desk.value("leverage_gross_to_cap_ratio", asset_subject("ETH")) == 0.0


@pytest.mark.parametrize(
    ("equities", "expected"),
    [
        # 600 gross of 300, 0 of 1000: the venue's cap is 5.5, the account's 6.5, the book's 4.
        pytest.param(
            (100.0, 900.0),
            {"leverage_venue", "leverage_venue_cut"},
            id="venue at 6 of 5.5, and its plan",
        ),
        pytest.param(
            (80.0, 900.0),
            {"leverage_account", "leverage_venue_critical"},
            id="a critical one at the venue covers the account's",
        ),
        pytest.param(
            (70.0, 900.0),
            {"leverage_account", "leverage_account_critical"},
            id="the account itself is far above its own",
        ),
        pytest.param((110.0, 900.0), set(), id="5.45 of 5.5"),
    ],
)
def test_one_page_says_that_leverage_at_a_venue_is_high(
    equities: tuple[float, float], expected: set[str]
) -> None:
    """The venue's rule speaks while no account of it is above its own, higher cap."""
    desk = two_venues(6.0, 0.0, equities=equities, past=False)
    desk.load(RULES)
    told: set[str] = set()
    for second in range(0, 330, 15):
        desk.at(241 + second).context(mark_price=100.0, oracle_price=100.0)
        desk.context("BTC-USD", DYDX, oracle_price=100.0)
        desk.positions(("BTC", 6.0)).money(equities[0])
        desk.positions(venue=DYDX).money(cash=equities[1], venue=DYDX)
        told |= {
            one.rule
            for one in desk.evaluate().transitions
            if one.after.value == "firing" and one.rule.startswith("leverage")
        }
    assert told == expected
