"""Each scenario on the whole of it: simulator, daemon as a process, Alertmanager, Prometheus.

The right measure goes absent or moves, the right alert is told once and ended once, and whatever
has nothing to do with it stays silent.
"""

from __future__ import annotations

import asyncio
import math

import pytest

from monitor.cli.children import die_with_parent
from tests.e2e.rig import Finished, find
from tests.e2e.stories import MINUTE_S, Played, episodes, readable

pytestmark = [
    pytest.mark.component,
    pytest.mark.asyncio(loop_scope="session"),
]

HYPERLIQUID = 'venue="hyperliquid"'
# Said beside an alert: that it lost its inputs and goes on firing; what nobody judges while a fault
# lasts, or until the hour after it is settled; what a kill switch would do.
COMPANIONS = frozenset({"RuleInputsStale", "RuleInputsUnknown", "KillSwitchWouldHave"})


# What dear funding does to the expense line, to single markets and to the desk's resting order,
# where nothing louder says it.
ENTRY = frozenset({"EntryFundingAgainst"})
CARRY = ENTRY | {"FundingBudgetWarning", "FundingNotionalCap", "FundingSpikeMarket", "FundingFlip"}
# When a venue answers again, what is read rarely waits for the rest of the request budget, up to a
# minute, and a busy machine may take ten seconds of the story to read the accounts.
RETURN = frozenset({"FeedDisconnected", "AccountTruthStale"})


def check(
    played: Played,
    scenario: str,
    *,
    once: dict[str, list[dict[str, str]]],
    beside: frozenset[str] = frozenset(),
    lasting: frozenset[str] = frozenset(),
    answers_min: float = math.inf,
) -> None:
    """Every alert of ``once`` was told once about each of its subjects and, but for those
    ``lasting`` longer than the story, ended once; nothing was told but these and ``beside``, and
    ``RETURN`` after the minute in which a venue answers again."""
    told = played.within(scenario)
    counts = episodes(told)
    for alert, subjects in once.items():
        for labels in subjects:
            found = [
                count
                for (name, subject), count in counts.items()
                if name == alert and set(labels.items()) <= subject
            ]
            expected = (1, 0) if alert in lasting else (1, 1)
            assert found == [expected], f"{alert} {labels}: {found}\n{readable(told)}"
    answers_s = played.story.parts[scenario].begins_s + answers_min * MINUTE_S
    names = {one.alert for one in told if one.alert not in RETURN or one.at_s < answers_s}
    names -= COMPANIONS
    assert names <= set(once) | beside, f"{names}\n{readable(told)}"
    wrong = {key: count for key, count in counts.items() if count[0] > 1 or count[1] > 1}
    assert not wrong, f"told more than once: {wrong}\n{readable(told)}"


def check_screen(status: Finished, code: int, *words: str) -> None:
    """``riskd status``: its exit code, and a screen of at most 80 columns and 24 lines."""
    assert status.code == code, status
    lines = status.out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for word in words:
        assert word in status.out
    assert "Traceback" not in status.err


# ---------------------------------------------------------------------------------------- faults


async def test_a_dead_channel_is_found_on_a_living_socket(faults: Played) -> None:
    """BTC's contexts stop on a socket that goes on: the channel is said to be lost, and what it
    told is read otherwise or not at all; the other markets notice nothing."""
    check(faults, "dead_channel", once={"ChannelLost": [{"venue": "hyperliquid"}]})
    lost = f'riskd_feed_lost_channels{{{HYPERLIQUID},feed="activeAssetCtx"}}'
    assert await faults.value(lost, "dead_channel", 4.0) == 1.0
    assert await faults.value(lost, "dead_channel", 7.0) == 0.0
    other = f'riskd_mark_price{{{HYPERLIQUID},market="ETH"}}'
    assert await faults.value(other, "dead_channel", 4.0) is not None
    connected = f'riskd_feed_connected{{{HYPERLIQUID},feed="market-1"}}'
    assert await faults.value(connected, "dead_channel", 4.0) == 1.0


async def test_a_half_open_venue_is_unreachable(faults: Played) -> None:
    """Sockets stay open and nothing comes: equity goes absent, never zero; the other venue's
    stays."""
    once = {"VenueUnreachable": [{"venue": "hyperliquid"}]}
    check(faults, "half_open", once=once, answers_min=5.0)
    await check_dark(faults, "half_open")


async def test_an_outage_makes_the_venue_unreachable(faults: Played) -> None:
    """Refused connections: the same picture, and one page."""
    check(
        faults,
        "venue_outage",
        once={"VenueUnreachable": [{"venue": "hyperliquid"}]},
        answers_min=6.0,
    )
    await check_dark(faults, "venue_outage")


async def check_dark(played: Played, scenario: str) -> None:
    """Hyperliquid's equity is absent while it is dark, the portfolio's with it; dYdX's is not."""
    for subject, known in (
        ('kind="account",venue="hyperliquid",account="main"', False),
        ('kind="portfolio"', False),
        ('kind="account",venue="dydx",account="main"', True),
    ):
        series = f"riskd_equity_usd{{{subject}}}"
        assert await played.value(series, scenario, 0.9) is not None
        assert (await played.value(series, scenario, 4.0) is not None) is known, subject
        assert await played.value(series, scenario, 8.0) is not None
        assert all(value > 1000.0 for value in await played.values(series, scenario))
    lost = f'riskd_feeds_lost_ratio{{kind="venue",{HYPERLIQUID}}}'
    assert (await played.value(lost, scenario, 0.9) or 0.0) < 0.1
    assert (await played.value(lost, scenario, 4.0) or 0.0) >= 0.5


async def test_rate_limits_leave_account_truth_stale(faults: Played) -> None:
    """REST is refused, sockets go on: accounts cannot be checked any more, and that is said."""
    check(
        faults,
        "rate_limited",
        once={
            "AccountTruthStale": [{"venue": "hyperliquid"}, {"venue": "dydx"}],
        },
        answers_min=5.0,
    )
    age = 'riskd_account_age_seconds{kind="account",venue="dydx",account="main"}'
    assert (await faults.value(age, "rate_limited", 0.9) or 0.0) < 30.0
    assert max(await faults.values(age, "rate_limited", 1.0, 5.0), default=math.inf) >= 30.0
    assert (await faults.value(age, "rate_limited", 7.0) or 0.0) < 30.0


async def test_a_stale_oracle_shows_as_divergence(faults: Played) -> None:
    """The oracle stands still while prices run away, by 4 %; dYdX's own and both books go on.
    Funding explodes with the premium, which is true on that venue, and told as such."""
    check(
        faults,
        "stale_oracle",
        once={"OracleContradictedCritical": [{"venue": "hyperliquid"}]},
        beside=frozenset(
            {"FundingBroadExpense", "FundingBroadElevated", "FundingAgainst", "FundingSpike"}
            | {"FundingBudget", "OracleFrozen", "OracleContradicted"}
            | CARRY
        ),
    )
    deviation = f'riskd_oracle_deviation_ratio{{{HYPERLIQUID},market="BTC"}}'
    assert abs(await faults.value(deviation, "stale_oracle", 0.8) or 0.0) < 0.005
    assert (await faults.value(deviation, "stale_oracle", 6.0) or 0.0) > 0.02
    oracle = f'riskd_oracle_price{{{HYPERLIQUID},market="BTC"}}'
    frozen = await faults.values(oracle, "stale_oracle", 2.0, 7.0)
    assert len(frozen) > 3
    assert len(set(frozen)) == 1
    other = 'riskd_oracle_price{venue="dydx",market="BTC-USD"}'
    moving = await faults.values(other, "stale_oracle", 2.0, 7.0)
    assert max(moving) / min(moving) > 1.02


async def test_garbage_is_rejected_counted_and_told(faults: Played) -> None:
    """A third of the frames are broken: one page names the feeds that get them. A flood of them
    puts the connection aside for five minutes; that follows, and is not told again."""
    check(
        faults,
        "garbage_frames",
        once={"FeedRejectingFrames": [{"venue": "hyperliquid"}]},
        # What funding over the oracle that stood still will cost is told until it is settled.
        beside=CARRY | {"OracleStale", "VenueHealth", "FundingAgainst", "FundingBudget"},
    )
    rejected = f'riskd_feed_rejected_frames{{{HYPERLIQUID},feed="market-1"}}'
    assert await faults.value(rejected, "garbage_frames", 0.8) == 0.0
    assert max(await faults.values(rejected, "garbage_frames", 1.0, 4.0)) >= 10.0
    quiet = 'riskd_feed_rejected_frames{venue="dydx",feed="markets"}'
    assert set(await faults.values(quiet, "garbage_frames")) == {0.0}


# --------------------------------------------------------------------------------------- markets


async def test_a_funding_storm_asks_for_a_cut(markets: Played) -> None:
    """Funding turns expensive everywhere: one critical page for the whole book, which a day of
    calm would end; not one page per market."""
    check(
        markets,
        "funding_storm",
        once={"FundingBroadExpense": [{}]},
        beside=frozenset(
            {"FundingBroadElevated", "FundingAgainst", "FundingSpike", "FundingBudget", "AnyTwo"}
            | {"AnyTwoCut", "FundingElevated", "FundingStress"}
            | CARRY
        ),
        lasting=frozenset({"FundingBroadExpense"}),
    )
    page = next(one for one in markets.told if one.alert == "FundingBroadExpense")
    assert page.severity == "critical"
    assert "WOULD HAVE cut gross of the portfolio to 70 %" in page.summary
    share = 'riskd_funding_expensive_share_ratio{kind="portfolio"}'
    assert (await markets.value(share, "funding_storm", 0.8) or 0.0) < 0.25
    assert (await markets.value(share, "funding_storm", 8.0) or 0.0) >= 0.40
    assert (await markets.value(share, "funding_storm", 20.0) or 0.0) < 0.25


async def test_a_flash_crash_takes_the_books_and_the_exotic(markets: Played) -> None:
    """Books are thin and wide, the isolated exotic is liquidated: pages about exactly that."""
    check(
        markets,
        "flash_crash",
        once={
            "LiquidationHappened": [{"venue": "hyperliquid", "account": "main"}],
        },
        lasting=frozenset({"LiquidationHappened"}),
        beside=frozenset(
            {"LiquidationDistanceWarning", "LiquidationDistanceHigh", "MidDivergence"}
            | {"BookThin", "SpreadWide", "BidsPulled"}
            | {"LiquidationDistanceCritical", "OracleDivergence", "OracleDivergenceMajors"}
            | {"AnyTwo", "FundingAgainst", "FundingSpike", "FundingBudget", "FundingBroadElevated"}
            | {"MarginUsageWarning", "MarginUsageHigh", "Drawdown5", "PositionConcentrated"}
            | {"LeverageAccount", "AnyTwoCut", "AnyThreeCut", "ExecutionSlice"}
            | {"TwoFlags", "AssetFlagged", "AnyTwoCutBook"}
            | CARRY
        ),
    )
    # Its end is seen where the book reaches the band again for five minutes, exotics included.
    thin = [one for one in markets.within("flash_crash") if one.alert == "BookThin"]
    firing = [dict(one.subject)["venue"] for one in thin if one.status == "firing"]
    assert sorted(firing) == ["dydx", "hyperliquid"], readable(thin)
    depth = f'riskd_bid_depth_usd{{{HYPERLIQUID},market="SOL"}}'
    before = await markets.value(depth, "flash_crash", 0.8)
    during = await markets.value(depth, "flash_crash", 3.0)
    after = await markets.value(depth, "flash_crash", 14.0)
    assert before is not None
    assert after is not None
    # So few bids that the book seen does not reach the band: absent, or a sliver of what it was.
    assert (during or 0.0) < 0.2 * before < after
    mark = f'riskd_mark_price{{{HYPERLIQUID},market="SOL"}}'
    prices = await markets.values(mark, "flash_crash", 0.5, 4.0)
    assert min(prices) < 0.8 * max(prices)


# ------------------------------------------------------------------------------------------ calm


async def test_calm_hours_are_silent(calm: Played) -> None:
    """Not one page, and nothing that a rule waits about for long."""
    assert calm.within("calm") == [], readable(calm.told)
    firing = await calm.values("sum(riskd_rule_firing{})", "calm", 1.0)
    assert len(firing) > 40
    assert set(firing) == {0.0}


async def test_moving_money_between_venues_trips_nothing(calm: Played) -> None:
    """40 % of dYdX's equity leaves and arrives three minutes later: no page, no drawdown; what is
    under way counts."""
    assert calm.within("transfer") == [], readable(calm.told)
    drawdown = 'riskd_drawdown_ratio{kind="portfolio"}'
    assert max(await calm.values(drawdown, "transfer")) < 0.02
    left = 'riskd_equity_usd{kind="account",venue="dydx",account="main"}'
    before, after = await calm.value(left, "transfer", 1.5), await calm.value(left, "transfer", 4.0)
    assert before is not None
    assert after is not None
    assert after < 0.65 * before
    reached = 'riskd_equity_usd{kind="account",venue="hyperliquid",account="main"}'
    there = await calm.value(reached, "transfer", 1.5), await calm.value(reached, "transfer", 8.0)
    assert there[0] is not None
    assert there[1] is not None
    assert there[1] - there[0] == pytest.approx(before - after, rel=0.1)


# ------------------------------------------------------------------------------ the whole of them


async def test_status_says_it_in_the_exit_code(
    calm: Played, faults: Played, markets: Played
) -> None:
    """0 safe, 1 look, 2 danger, 3 blind; 3 as well where nobody answers. Always a screen. No
    history is read here, and what it is needed for cannot be judged: that is no 0."""
    (quiet,) = calm.statuses.values()
    check_screen(quiet, 1, "SIMULATED", "LOOK", "cannot be judged", "FIRES      nothing")
    dead, dark = faults.statuses.values()
    check_screen(dead, 1, "LOOK", "dead", "activeAssetCtx")
    check_screen(dark, 3, "BLIND", "hyperliquid/main")
    (storm,) = markets.statuses.values()
    check_screen(storm, 2, "DANGER", "Funding is expensive across the book")
    assert calm.status_after is not None
    check_screen(calm.status_after, 3, "BLIND", "does not answer")


async def test_journals_replay_byte_for_byte(calm: Played, faults: Played, markets: Played) -> None:
    """Every decision of a story comes out of its journal again, the same bytes."""
    for played in (calm, faults, markets):
        assert played.exit_code == 0
        assert played.replayed is not None
        assert played.replayed.code == 0, played.replayed.err
        assert "all the same byte for byte" in played.replayed.err


async def test_prometheus_likes_the_metrics(calm: Played) -> None:
    """``promtool check metrics`` finds nothing wrong with /metrics."""
    checker = await asyncio.create_subprocess_exec(
        find("promtool"),
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(),
    )
    async with asyncio.timeout(30.0):
        _, told = await checker.communicate(calm.metrics.encode())
    assert (checker.returncode, told.decode()) == (0, "")
