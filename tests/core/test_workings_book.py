"""Sums over venues, accounts and assets by who made them; concentration, pegs, buckets, caps and
venues, done again by hand from what is shown."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.measures.work_words import Term, added, listed, ranked
from monitor.core.types import SECOND_NS, Subject
from tests.core.by_hand import adds_up, by_hand, right, worked
from tests.core.desk import DYDX, HL, HL_VENUE, MAIN, PORTFOLIO, Desk
from tests.core.test_buckets import HEDGES, OVER, RESERVE, REVIEW, UNDER, desk_of, moved, reviewed
from tests.core.test_concentration import ASSETS, TOKENS, VENUES, collateral, priced, two_venues
from tests.core.test_crash_gap import desk as gap_desk
from tests.core.test_crash_gap import leg
from tests.core.test_cross_margin import CARRY, TREND
from tests.core.test_cross_margin import desk as pools
from tests.core.test_freshness import tell_block
from tests.core.test_health import HEALTH, block, status, watched
from tests.core.test_issuers import FIXED
from tests.core.test_issuers import desk as issued
from tests.core.test_kelly import BTC, RATIO
from tests.core.test_kelly import desk as view
from tests.core.test_oracles import SOURCES, judged, say
from tests.core.test_oracles import desk as oracles
from tests.core.test_shocks import two
from tests.core.test_sight import lost, speak
from tests.core.test_sight import watched as seen

# ------------------------------------------------------------------------------------- who made it


def test_the_biggest_come_first_and_the_rest_in_one() -> None:
    """Four of eight by name; what the others come to is still part of the sum."""
    terms = [Term(f"a{number}", float(number) * (-1) ** number) for number in range(1, 9)]
    assert added("all", terms) == ("all: 8 (a8) - 7 (a7) + 6 (a6) - 5 (a5) + 2 (4 more) = 4",)
    assert by_hand(listed(terms)) == 4.0
    assert listed(terms[:5]).endswith("+ 2 (a2) - 1 (a1)")
    assert added("all", [Term("a", 0.0)]) == ()


def test_the_one_that_counts_comes_first() -> None:
    """The highest, or the lowest."""
    values = [(f"a{number}", float(number)) for number in range(8)]
    assert ranked("w", values) == ("w: 7 (a7), 6 (a6), 5 (a5), 4 (a4) and 4 more",)
    assert ranked("w", values[:2], highest=False) == ("w: 0 (a0), 1 (a1)",)


def book() -> Desk:
    """BTC here and there, and a leg that the desk declares."""
    made = gap_desk((HL, "main"), (DYDX, "main"))
    made.positions(("BTC", 1_000), ("SOL", -300)).money(1_000)
    made.positions(("BTC-USD", -600), venue=DYDX).money(cash=1_600, venue=DYDX)
    made.tell(leg("BTC", "-250", 500, made))
    made.evaluate()
    return made


@pytest.mark.parametrize(
    ("name", "subject", "first"),
    [
        pytest.param(
            "leverage",
            PORTFOLIO,
            "gross: 1300 (hyperliquid) + 600 (dydx) + 250 (off-book BTC) = 2150",
            id="the book by venue and off-book leg",
        ),
        pytest.param("leverage", MAIN, "gross: 1000 (BTC) + 300 (SOL) = 1300", id="by market"),
        pytest.param(
            "leverage", HL_VENUE, "gross: 1300 (hyperliquid/main) = 1300", id="by account"
        ),
        pytest.param(
            "equity_usd", PORTFOLIO, "equity: 1000 (dydx) + 1000 (hyperliquid) = 2000", id="equity"
        ),
        pytest.param(
            "gross_exposure_usd",
            Subject("asset:BTC"),
            "positions, each at its size: 1000 (hyperliquid/main/BTC) + 600 (dydx/main/BTC-USD) "
            "+ 250 (off-book) = 1850",
            id="an asset by position",
        ),
        pytest.param(
            "leverage_net",
            Subject("asset:BTC"),
            "net: 1000 (hyperliquid/main/BTC) - 600 (dydx/main/BTC-USD) - 250 (off-book) = 150",
            id="net of an asset",
        ),
        pytest.param(
            "maintenance_margin_usd",
            PORTFOLIO,
            "maintenance_margin_usd of its venues: 16.25 (hyperliquid) + 7.5 (dydx) = 23.75",
            id="any sum",
        ),
    ],
)
def test_a_sum_names_whom_it_is_of(name: str, subject: Subject, first: str) -> None:
    """The biggest first, with their numbers."""
    assert adds_up(book(), name, subject)[0] == first


def test_what_was_judged_a_moment_ago_is_not_mixed_with_what_is_now() -> None:
    """The rule looks once in five seconds; the steps are all of now, and say so."""
    made = book()
    judged, before = worked(made, ASSETS, PORTFOLIO)
    assert before[0] == "all: 1600 (BTC) + 300 (SOL) = 1900"
    made.now += 2 * SECOND_NS
    made.context("SOL", mark_price=1.02, oracle_price=1.02).evaluate()
    seen = made.engine.explain("worked", PORTFOLIO, made.now)
    assert seen is not None
    (one,) = seen.inputs
    assert one.reading.value == judged
    ratio = (1600**2 + 306**2) / 1906**2
    assert right(one.arithmetic) == pytest.approx([1906.0, ratio])
    assert one.arithmetic[0] == f"as of now {ratio:.8g}; judged by what it was 3 s ago"


def test_who_only_compares_subjects_asks_for_no_steps() -> None:
    """They cost more than the numbers."""
    made = book()
    worked(made, "leverage", PORTFOLIO)
    seen = made.engine.explain("worked", PORTFOLIO, made.now, workings=False)
    assert seen is not None
    assert [one.arithmetic for one in seen.inputs] == [()]


def test_a_lowest_is_followed_down_to_where_it_is_worked_out() -> None:
    """Of the book whose, of the venue whose, and how."""
    desk = two(181.0, 250.0)
    lines = adds_up(desk, "liquidation_distance_ratio", PORTFOLIO)
    assert lines[0].startswith("lowest of its venues: 0.15")
    assert re.match(r"lowest of its accounts: 0\.15.*main\), 0\..*second\)$", lines[1])
    assert len(lines) > 3


def test_the_worst_account_is_named_with_its_sum() -> None:
    """Leverage over its cap."""
    lines = adds_up(two(500.0, 250.0), "leverage_worst_account_ratio", HL_VENUE)
    assert lines[0].startswith("highest of its accounts: ")
    assert lines[0].index("second") < lines[0].index("main")


# ----------------------------------------------------------------------------- concentration


@pytest.mark.parametrize(
    ("name", "named"), [(VENUES, "hyperliquid"), (ASSETS, "BTC"), (TOKENS, "USDC")]
)
def test_concentration_is_the_sum_of_squared_shares(name: str, named: str) -> None:
    """Of what is there; who has how much stands before it."""
    first, second = adds_up(two_venues(75.0, 25.0, held=1.0), name, PORTFOLIO)
    assert first.startswith("all: ")
    assert f"^2 ({named})" in second


@pytest.mark.parametrize("name", ["equity_venues_count", "assets_held_count"])
def test_what_is_counted_is_named(name: str) -> None:
    """As many as the value."""
    value, (line,) = worked(two_venues(75.0, 25.0, held=1.0), name, PORTFOLIO)
    assert line.startswith(f"{value:g} with more than 0 USD: ")
    assert line.count("(") == value


def test_nothing_left_is_said() -> None:
    """Nothing is divided."""
    _, lines = worked(two_venues(0.0, -25.0), VENUES, PORTFOLIO)
    assert lines == ("nothing left: 1 while something is owed or exposed, else 0",)


def test_what_no_swap_makes_anothers() -> None:
    """Of the largest issuer, over all."""
    lines = adds_up(issued({"USDC": 600.0, "USDT": 100.0}, 300.0), FIXED, PORTFOLIO)
    assert lines[0] == "all: 900 (circle) + 100 (tether) = 1000"
    assert lines[1] == "circle that could be no other's / all: 300 / 1000 = 0.3"


def test_a_peg_shows_every_price() -> None:
    """The median of three, or the furthest of all."""
    balances = (("USDC", 10.0, 1.0), ("USDe", 100.0, 0.98))
    desk = priced(collateral(Desk((HL, "main")), *balances), 0.65, 0.995)
    desk.evaluate()
    lines = adds_up(desk, "stablecoin_depeg_ratio", PORTFOLIO)
    assert lines[0] == "prices of USDe: 0.65, 0.98, 0.995"
    assert "|1 - 0.98| = 0.02" in lines[1]
    assert "|1 - 0.65| = 0.35" in adds_up(desk, "stablecoin_depeg_single_ratio", PORTFOLIO)[1]


# ------------------------------------------------------------------------------------- buckets


def test_a_drift_is_the_weight_against_its_band() -> None:
    """Up, down, at the target, and where there is no band."""
    lines = adds_up(desk_of(65_000.0, 35_000.0), OVER, RESERVE)
    assert lines[0] == "all buckets: 65000 (hedges) + 35000 (contingency) = 100,000.00"
    assert lines[2].endswith("/ band of 0.5: (0.35 / 0.25 - 1) / 0.5 = 0.8")
    assert adds_up(desk_of(65_000.0, 35_000.0), UNDER, HEDGES)[2].startswith("below the target")
    assert worked(desk_of(75_100.0, 24_900.0), UNDER, RESERVE)[1][-1] == (
        "below its target 0.25, which has no band: 1000"
    )
    assert worked(desk_of(75_100.0, 24_900.0), OVER, RESERVE)[1][-1] == (
        "not above its target 0.25: 0"
    )


def test_the_cheapest_band_is_a_cube_root() -> None:
    """Then half of the band over it."""
    lines = adds_up(moved(), "bucket_band_to_best_ratio", HEDGES)
    assert lines[0].startswith("cheapest, (3 x cost x drift^2 / (2 x volatility^2))^(1/3): (3 x ")


def test_a_review_is_seconds_over_seconds() -> None:
    """And where none is asked for, that is said."""
    desk = reviewed(desk_of(75.0, 25.0), 43_200.0)
    desk.evaluate()
    (line,) = adds_up(desk, REVIEW, HEDGES)
    assert line.endswith(": 43201 / 86400 = 0.50001157")
    assert worked(desk, REVIEW, RESERVE)[1] == ("no review is asked for: 0",)


# ---------------------------------------------------------------------------------------- caps


def test_the_least_cap_of_a_view_comes_first() -> None:
    """A quarter of Kelly binds."""
    made = view(0.36, 500.0)
    made.evaluate()
    lines = adds_up(made, RATIO, BTC)
    assert re.match(r"caps: 0\.2[45]\d* \(Kelly\), .*\(volatility\), .*\(funding\)", lines[0])


def test_strategies_that_share_are_counted_of_those_named() -> None:
    """And what they share."""
    value, lines = worked(pools(CARRY, TREND), "cross_margin_strategies_count", MAIN)
    assert value == 2.0
    assert lines == (
        "net USD of the pool: -10 (DOGE) + 10 (SOL) = 0",
        "counted of the strategies carry, trend",
    )


# -------------------------------------------------------------------------------------- venues


def test_a_venues_score_is_its_parts_by_weight() -> None:
    """What costs most first."""
    (line,) = adds_up(block(status(watched(), healthy=False), 17.5), HEALTH, HL_VENUE)
    assert line.startswith("weight x score / all weights: (20 x 0 (status) + 20 x 1 (blocks)")


@pytest.mark.parametrize(
    ("gone", "last"),
    [
        pytest.param(
            ("rest.account",), "sockets that are mute / all that push: 0 / 3 = 0", id="poll"
        ),
        pytest.param(("market-1",), "", id="socket"),
    ],
)
def test_the_lesser_of_feeds_and_sockets_counts(gone: tuple[str, ...], last: str) -> None:
    """And stands last."""
    desk = seen()
    for name in gone:
        lost(desk, name)
    speak(desk)
    desk.evaluate()
    lines = adds_up(desk, "venue_dark_ratio", HL_VENUE)
    assert lines[-1].startswith(last)


def test_a_lag_is_a_difference_of_heights() -> None:
    """Of the validators and the newer of the indexer's two voices."""
    desk = Desk()
    for source, height in (("stream", 248), ("indexer", 100), ("validator", 250)):
        tell_block(desk, source, 0, height)
    desk.evaluate()
    (line,) = adds_up(desk, "indexer_lag_blocks", HL_VENUE)
    assert line.endswith("250 - 248 = 2")


def test_sources_beside_an_oracle_are_named() -> None:
    """With what they say."""
    at = say(oracles(), 110.0, book=100.0, peer=101.0, peer_book=102.0)
    at.evaluate()
    value, (line,) = worked(at, SOURCES, Subject("market:hyperliquid/BTC"))
    assert line == (
        "3 beside its own oracle: 100 (hyperliquid book), 101 (dydx oracle), 102 (dydx book)"
    )
    assert value == 3.0


@pytest.mark.parametrize(("oracle", "away"), [(103.1, "0.031 (BTC)"), (100.9, "limit: 0")])
def test_contradicted_oracles_are_named_with_how_far(oracle: float, away: str) -> None:
    """Those of held markets beyond their limit."""
    at = judged()
    say(at.at(30), oracle).positions(("BTC", 1)).money(40).evaluate()
    value, (line,) = worked(at, "oracle_agreed_worst_ratio", HL_VENUE)
    assert f"{value:.8g}" in line
    assert line.endswith(away)


def test_forced_fills_and_announcements_are_both_told() -> None:
    """The more of them count."""
    desk = Desk((HL, "main")).positions().money(10.0)
    seen_by_venue = e.LiquidationSeen(
        venue=HL, channel=f"{HL}/events/main", account="main", notional_usd=Decimal(1), detail="x"
    )
    desk.tell(seen_by_venue).evaluate()
    value, (line,) = worked(desk, "liquidations_24h", MAIN)
    assert value == 1.0
    assert line == "in 24 h 0 forced fills and 1 announced: the more count"
    assert right((line,)) == []
