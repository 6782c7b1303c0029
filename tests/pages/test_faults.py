"""One fault at one venue wakes a person about once: every scenario of a fault, on a whole daemon.

What is counted is what leaves by the pager's channel when something begins. The page names all that
it is about; what it covers is in the API and on /metrics, and everything ends by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.pages.pages import Page, exported, firing, paged, paged_as
from tests.pages.world import Played, run_scenario

HYPERLIQUID, DYDX = "hyperliquid", "dydx"
MAJORS = ("BTC", "ETH", "SOL")


def check(played: Played, *expected: Page, ended: bool = True) -> None:
    """A person was told exactly this, each once, and of the end of each."""
    assert paged(played) == Counter(expected), played
    if ended:
        over = Counter(map(paged_as, played.told))
        assert over == dict.fromkeys(expected, 2), played


@pytest.mark.parametrize(
    ("scenario", "minutes"),
    [
        pytest.param("venue_outage", 8.5, id="outage"),
        pytest.param("half_open", 7.5, id="half-open"),
    ],
)
def test_a_venue_that_is_gone_is_one_page(scenario: str, minutes: float, tmp_path: Path) -> None:
    """However many feeds, accounts and markets lie behind it; what it covers fires beside it, told
    to nobody, neither then nor when the venue is back."""
    played = run_scenario(tmp_path, scenario, minutes=minutes, look_at=[4.5])
    check(played, ("VenueUnreachable", HYPERLIQUID))
    quiet = [one for one in firing(played, 4.5).values() if not one["told"]]
    assert quiet, "its feeds' own alerts still fire"
    assert {one["covered_by"] for one in quiet} == {"VenueUnreachable"}
    assert {one["covered_by"] for one in firing(played, 4.5).values() if one["told"]} == {""}
    assert [one["alert"] for one in firing(played, minutes).values() if not one["told"]] == []


def test_a_dead_channel_is_one_page(tmp_path: Path) -> None:
    """It names the channel."""
    played = run_scenario(tmp_path, "dead_channel", minutes=6.5)
    check(played, ("ChannelLost", HYPERLIQUID))
    assert "activeAssetCtx/BTC" in played.pages[0].summary


def test_frames_that_cannot_be_read_are_one_page(tmp_path: Path) -> None:
    """Of all the venue's feeds; that the connection is put aside for minutes, and that its numbers
    are missing, follows from it."""
    played = run_scenario(tmp_path, "garbage_frames", minutes=12.0, look_at=[4.0])
    check(played, ("FeedRejectingFrames", HYPERLIQUID))
    assert "market-1" in played.pages[0].summary
    beside = firing(played, 4.0)
    assert ("FeedDisconnected", HYPERLIQUID) in beside
    assert ("FrameRejected", HYPERLIQUID) in beside
    assert {one["covered_by"] for one in beside.values() if not one["told"]} == {
        "FeedRejectingFrames"
    }
    assert exported(played, 4.0, "riskd_feed_rejected_frames", venue=HYPERLIQUID, feed="market-1")


def test_refused_requests_are_one_page_per_venue(tmp_path: Path) -> None:
    """429 to everything at both venues: what it costs is the truth about the accounts, all of which
    are named. The venues do answer: their sockets go on."""
    played = run_scenario(tmp_path, "rate_limited", minutes=8.0, look_at=[4.5])
    check(played, ("AccountTruthStale", HYPERLIQUID), ("AccountTruthStale", DYDX))
    found = firing(played, 4.5)
    for venue, pools in ((HYPERLIQUID, ("main", "main.hedge", "main.xyz")), (DYDX, ("main",))):
        (page,) = [one for one in played.pages if one.labels["venue"] == venue]
        row = found["AccountTruthStale", venue]
        assert_named(page.description, row, [f"account:{venue}/{pool}" for pool in pools])
        assert found["FeedDisconnected", venue]["covered_by"] == "AccountTruthStale"
    assert "WOULD HAVE held each account" in played.pages[0].summary


def test_a_stale_oracle_is_one_page_of_all_markets(tmp_path: Path) -> None:
    """One that it stands still; minutes later one that it has left the prices of others, and a
    louder one at 3 %; and what funding over a dead number would cost, for it would be charged. It
    is no storm, and asks for no cut of the book."""
    played = run_scenario(tmp_path, "stale_oracle", minutes=14.5, look_at=[6.0])
    check(
        played,
        ("OracleFrozen", HYPERLIQUID),
        ("OracleContradicted", HYPERLIQUID),
        ("OracleContradictedCritical", HYPERLIQUID),
        ("FundingBudget", ""),
        # Until the hour that rests on a dead oracle is settled: for the account and for the book.
        ("RuleInputsUnknown", HYPERLIQUID),
        ended=False,  # the bill's rule watches for an hour
    )
    assert paged_as(played.pages[0]) == ("OracleFrozen", HYPERLIQUID)
    page = played.pages[1]
    assert all(name in page.summary for name in ("BTC", "ETH", "SOL"))
    row = firing(played, 6.0)["OracleContradicted", HYPERLIQUID]
    assert_named(page.description, row, [f"position:{HYPERLIQUID}/main/{one}" for one in MAJORS])
    others = firing(played, 6.0)["OracleDivergence", HYPERLIQUID]
    assert others["covered_by"].startswith("OracleContradicted")
    assert len(others["members"]) > 15
    assert " more; venue hyperliquid" in others["summary"]
    assert exported(played, 6.0, "riskd_oracle_deviation_ratio", venue=HYPERLIQUID, market="DOT")
    over = {one.alert for one in played.told if not one.firing}
    assert {"OracleContradicted", "OracleContradictedCritical"} <= over
    (blind,) = [one for one in played.pages if one.alert == "RuleInputsUnknown"]
    assert "Nobody judges funding_broad_elevated and 2 more" in blind.summary
    assert "funding_spike" in blind.description


BAD_ORACLE = """\
name: bad_oracle
title: dYdX's oracle of BTC prints 1.5 % too little, and then 4 %
duration: 20m
steps:
  - at: 30s
    say: Its book and Hyperliquid stay where they were.
    do: {fault: {kind: bad_oracle, venue: dydx, market: BTC-USD, price_ratio: 0.985}}
  - at: 150s
    say: It goes further.
    do: {heal: {kind: bad_oracle, venue: dydx}}
  - at: 151s
    say: It goes further.
    do: {fault: {kind: bad_oracle, venue: dydx, market: BTC-USD, price_ratio: 0.96}}
"""


def test_a_bad_oracle_is_one_page_and_a_louder_one_where_it_is_worse(tmp_path: Path) -> None:
    """Said by those who see it beside others' prices. That its own book is far from it, and that it
    goes up and down, is the same thing."""
    played = run_scenario(tmp_path, BAD_ORACLE, minutes=4.5, look_at=[2.4])
    check(played, ("OracleContradicted", DYDX), ("OracleContradictedCritical", DYDX), ended=False)
    first, second = played.pages
    assert (
        "x > 1x, -1.50 %; position dydx/main/BTC-USD. WOULD HAVE held the market" in first.summary
    )
    assert "BTC-USD 4.0 %; venue dydx" in second.summary
    assert ("MidDivergence", DYDX) not in firing(played, 2.4)


def assert_named(text: str, row: dict[str, Any], subjects: Sequence[str]) -> None:
    """The page's long text and the API both have every one of these."""
    found = {one["subject"] for one in row["members"]}
    assert set(subjects) <= found
    for subject in subjects:
        assert subject.partition(":")[2] in text


# ----------------------------------------------------------------------- a second fault is heard

SECOND_VENUE = """\
name: second_venue
title: One venue is gone, then a channel of the other dies, and then prices fall
duration: 20m
steps:
  - at: 1m
    say: Hyperliquid is gone.
    do: {fault: {kind: outage, venue: hyperliquid}}
  - at: 4m
    say: A market channel of dYdX goes silent.
    do: {fault: {kind: dead_channel, venue: dydx, channel: v4_markets}}
"""


def test_noise_at_one_venue_hides_nothing_at_another(tmp_path: Path) -> None:
    """While Hyperliquid is unreachable, dYdX's dead channel pages as ever."""
    played = run_scenario(tmp_path, SECOND_VENUE, minutes=7.0)
    pages = paged(played)
    assert pages["VenueUnreachable", HYPERLIQUID] == 1, played
    second = {page for page in pages if page[1] == DYDX}
    assert second, played
    assert all(count == 1 for count in pages.values()), played
    # Its oracle is dead: margin of what is held there is not judged, which is louder.
    assert {page[0] for page in second} <= {"ChannelLost", "RuleInputsUnknown"}, played


LIQUIDATION = """\
name: liquidation
title: Requests are refused, and meanwhile a position is liquidated
duration: 20m
steps:
  - at: 1m
    say: Hyperliquid refuses requests.
    do: {fault: {kind: rate_limited, venue: hyperliquid}}
  - at: 3m
    say: The exotic falls by a half.
    do: {price: {assets: FARTCOIN, by: -0.5, over: 20s}}
"""


def test_what_is_louder_always_pages(tmp_path: Path) -> None:
    """A liquidation is told at once whatever fires about the same venue already."""
    played = run_scenario(tmp_path, LIQUIDATION, minutes=5.0)
    pages = paged(played)
    assert pages["AccountTruthStale", HYPERLIQUID] == 1, played
    louder = [one for one in played.pages if one.severity == "critical"]
    assert louder, played
    assert all(one.at_s < 4.0 * 60.0 for one in louder[:1]), played
