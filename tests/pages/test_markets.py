"""What markets do: silence while they are calm, and in a storm or a crash a few pages, each of
which is another thing to know.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.pages.pages import firing, paged, paged_as
from tests.pages.world import run_scenario


def test_calm_markets_wake_nobody(tmp_path: Path) -> None:
    """Nothing is told, and nothing so much as waits to be sure, not even at the start."""
    played = run_scenario(tmp_path, "calm", minutes=6.0, baselines=True)
    assert played.told == []
    assert played.changes == []


def test_money_on_its_way_between_venues_wakes_nobody(tmp_path: Path) -> None:
    """40 % of a venue's equity under way counts as ours: nothing fires, told or not."""
    played = run_scenario(tmp_path, "transfer", minutes=9.0)
    assert played.told == []
    assert [one for one in played.changes if "-> firing" in one] == []


def test_a_funding_storm_is_one_page(tmp_path: Path) -> None:
    """One for the whole book, not one per market or position. What follows from it (which accounts
    pay most) is in the API."""
    played = run_scenario(tmp_path, "funding_storm", minutes=14.0, baselines=True)
    assert paged(played) == Counter({("FundingBroadExpense", ""): 1}), played
    assert "WOULD HAVE cut gross of the portfolio to 70 %" in played.pages[0].summary


# What a crash has to say, each of them another thing to know, per venue or hedge at most once.
CRASH = {
    "LiquidationDistanceCritical": "a position is about to be sold out",
    "LiquidationHappened": "it was",
    "LegLost": "and which hedge it was a leg of",
    "HedgeMismatchCritical": "a stop of our own on one venue opened another",
    "BookThin": "we could not get out there now",
    "OracleDivergenceMajors": "prices on that venue cannot be trusted",
    "FundingBroadExpense": "the whole book pays for it",
    "FundingBudget": "and how much of its equity",
    "MarginUsageCritical": "an account may be next",
    "CorrelatedLiquidationLikely": "and one more with it",
}
CRASH_PAGES_MAX = 10


def test_a_crash_says_each_thing_once(tmp_path: Path) -> None:
    """Per venue and hedge, with all positions and markets named in one page."""
    played = run_scenario(tmp_path, "flash_crash", minutes=13.0, baselines=True, look_at=[3.5])
    pages = paged(played)
    assert set(pages.values()) == {1}, played
    assert {alert for alert, _ in pages} <= set(CRASH), played
    assert sum(pages.values()) <= CRASH_PAGES_MAX, played
    for page in (
        ("LiquidationHappened", "hyperliquid"),
        ("LegLost", "fartcoin"),
        ("HedgeMismatchCritical", "btc"),
        ("BookThin", "hyperliquid"),
        ("BookThin", "dydx"),
        ("OracleDivergenceMajors", "hyperliquid"),
    ):
        assert page in pages, played
    thin = firing(played, 3.5)["BookThin", "dydx"]
    assert len(thin["members"]) >= 4
    (told,) = [one for one in played.pages if paged_as(one) == ("BookThin", "dydx")]
    assert all(one["subject"].partition(":")[2] in told.description for one in thin["members"])
    wide = firing(played, 3.5)["SpreadWide", "dydx"]
    assert (wide["told"], wide["covered_by"]) == (False, "BookThin")
