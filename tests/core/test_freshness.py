"""Freshness: a quiet market is fresh, a dead channel makes everything behind it old."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.settings import EngineSettings, FreshnessSettings
from monitor.core.types import feed_subject, market_subject
from tests.core.desk import BTC, DYDX, HL, HL_VENUE, Desk

SOL = market_subject(HL, "SOL")
CTX = f"{HL}/ctx/BTC"
FEED = feed_subject(HL, "ctx")


@pytest.mark.parametrize(
    ("market", "name", "limit_s"),
    [
        pytest.param("BTC", "mark_price", 10.0, id="mark of a major"),
        pytest.param("SOL", "mark_price", 60.0, id="mark of another"),
        pytest.param("BTC", "oracle_price", 15.0, id="oracle of a major"),
        pytest.param("SOL", "oracle_price", 60.0, id="oracle of another"),
        pytest.param("BTC", "funding_rate_hourly", 7200.0, id="funding for two intervals"),
        pytest.param("BTC", "open_interest_base", 300.0, id="open interest"),
    ],
)
def test_facts_age_by_their_kind(market: str, name: str, limit_s: float) -> None:
    """Present at the limit, absent one nanosecond later; never its last value."""
    desk = Desk().list_market(market)
    desk.context(
        market,
        mark_price=100.0,
        oracle_price=100.0,
        predicted_funding_rate_hourly=1e-5,
        open_interest_base=5.0,
    ).evaluate()
    subject = market_subject(HL, market)
    assert desk.at(limit_s).value(name, subject) is not None
    desk.now += 1
    assert desk.value(name, subject) is None
    assert "too old" in desk.why(name, subject)


def test_settlements_age_by_their_own_time() -> None:
    """Telling an old settlement again does not make it new."""
    desk = Desk().list_market()

    def settle() -> None:
        desk.tell(
            e.FundingSettled(
                venue=HL,
                channel=f"{HL}/rest.funding/BTC",
                market="BTC",
                funding_rate_hourly=2e-5,
                native_funding_rate=2e-5,
                native_funding_interval_s=3600,
                settled_at_ns=desk.ns(0),
            ),
        )

    settle()
    assert desk.after("funding_rate_settled_hourly") == 2e-5
    desk.at(7200 + 900)
    settle()
    assert desk.after("funding_rate_settled_hourly") == 2e-5
    desk.now += 1
    settle()
    assert desk.after("funding_rate_settled_hourly") is None


def test_a_quiet_market_on_a_living_channel_is_fresh() -> None:
    """The channel's heartbeat stands in for news that did not come."""
    desk = Desk().list_market("SOL").open(f"{HL}/ctx/SOL").context("SOL", mark_price=10.0)
    for minute in range(1, 30):
        desk.at(60 * minute).alive(f"{HL}/ctx/")
        desk.evaluate()
    assert desk.value("mark_price", SOL) == 10.0
    assert desk.at(60 * 29 + 61).after("mark_price", SOL) is None


def test_heartbeats_that_return_make_it_fresh_again_without_news() -> None:
    """What was too old while nothing was heard is looked at again by itself."""
    desk = Desk().list_market("SOL").open(f"{HL}/ctx/SOL").context("SOL", mark_price=10.0)
    desk.load(MARK_RULE)
    desk.evaluate()
    decision = desk.at(100).evaluate()
    assert desk.value("mark_price", SOL) is None
    assert decision.wake_at_ns == desk.ns(101)
    desk.at(101).alive(f"{HL}/ctx/").evaluate()
    assert desk.value("mark_price", SOL) == 10.0


MARK_RULE = """
- id: mark_low
  for_each: market
  when: mark_price < 1.0
  severity: warning
  do: {level: page}
  scope: market
  summary: Mark is low
"""


def test_one_dead_channel_on_a_living_socket() -> None:
    """Losing one channel costs its own facts, and its feed says so; the sibling stays fresh."""
    desk = Desk().list_market("BTC").list_market("SOL")
    desk.open(CTX, 1.0).open(f"{HL}/ctx/SOL", 1.0)
    desk.context("BTC", mark_price=100.0).context("SOL", mark_price=10.0).evaluate()
    for second in range(1, 31):
        desk.at(second).context("SOL", mark_price=10.0).evaluate()
    assert desk.value("mark_price", SOL) == 10.0
    assert desk.value("mark_price", BTC) is None
    assert desk.value("feed_age_s", FEED) == 30.0
    assert desk.value("feed_lost_channels", FEED) == 0.0
    assert desk.value("feeds_stale", HL_VENUE) == 1.0
    assert desk.value("channels_lost", HL_VENUE) == 1.0
    desk.lose(CTX).evaluate()
    assert desk.value("feed_lost_channels", FEED) == 1.0
    assert desk.value("mark_price", SOL) == 10.0


def test_progress_of_a_closed_channel_proves_nothing() -> None:
    """After a loss the facts are only as fresh as themselves."""
    desk = Desk().list_market().open(CTX).context(mark_price=100.0).lose(CTX)
    desk.at(9).alive(CTX)
    assert desk.after("mark_price") == 100.0
    assert desk.at(11).after("mark_price") is None


def test_reopening_does_not_freshen_what_was_told_before() -> None:
    """What changed while the socket was down was not heard."""
    desk = Desk().list_market().open(CTX).context(mark_price=100.0).lose(CTX)
    desk.at(60).open(CTX)
    assert desk.after("mark_price") is None
    desk.context(mark_price=101.0)
    assert desk.after("mark_price") == 101.0
    desk.at(75).alive(CTX)
    assert desk.after("mark_price") == 101.0


@pytest.mark.parametrize(
    ("told_before_s", "expected"),
    [
        pytest.param(5.0, 100.0, id="overtook its acknowledgement"),
        pytest.param(5.001, None, id="told long before"),
    ],
)
def test_the_first_opening_covers_what_overtook_it(
    told_before_s: float, expected: float | None
) -> None:
    """Data may arrive just before the acknowledgement of their subscription, not long before."""
    desk = Desk().list_market().at(-told_before_s).context(mark_price=100.0)
    desk.at(0).open(CTX).at(9).alive(CTX)
    assert desk.after("mark_price") == expected


def test_a_gap_asks_for_a_new_message() -> None:
    """Missing messages make what the channel fed absent at once, even while it is young."""
    desk = Desk().list_market().open(CTX).context(mark_price=100.0, oracle_price=100.0)
    desk.evaluate()
    desk.at(1).lose(CTX, gap=True)
    assert desk.after("mark_price") is None
    assert "gap" in desk.why("mark_price")
    desk.at(2).open(CTX).context(mark_price=100.0)
    assert desk.after("mark_price") == 100.0
    assert desk.value("oracle_price") is None


def test_a_prefix_means_every_channel_of_the_feed() -> None:
    """A socket's loss names the feed once."""
    desk = Desk().list_market("BTC").list_market("SOL").open(CTX).open(f"{HL}/ctx/SOL")
    desk.open(f"{HL}/bbo/BTC")
    desk.lose(f"{HL}/ctx/").evaluate()
    assert desk.value("feed_lost_channels", FEED) == 2.0
    assert desk.value("feed_lost_channels", feed_subject(HL, "bbo")) == 0.0


def test_connections_and_rejected_frames() -> None:
    """A connection is a feed of its own; rejected frames count for five minutes."""
    desk = Desk()
    socket = feed_subject(HL, "market-1")
    desk.tell(e.FeedConnected(venue=HL, channel=f"{HL}/market-1", feed=f"{HL}/market-1"))
    assert desk.after("feed_connected", socket) == 1.0
    for second in (1, 2):
        desk.at(second).tell(
            e.FrameRejected(
                venue=HL, channel=f"{HL}/market-1", feed=f"{HL}/market-1", reason="x", sample=b"?"
            ),
        )
    assert desk.after("feed_rejected_frames", socket) == 2.0
    assert desk.at(301).after("feed_rejected_frames", socket) == 1.0
    assert desk.at(302).after("feed_rejected_frames", socket) == 0.0
    desk.tell(
        e.FeedLost(
            venue=HL, channel=f"{HL}/market-1", feed=f"{HL}/market-1", reason="reset", retry_s=1.0
        ),
    )
    assert desk.after("feed_connected", socket) == 0.0
    assert desk.value("feeds_stale", HL_VENUE) == 1.0


def test_an_old_block_told_again_stays_old() -> None:
    """Block age goes by the venue's own clock, and is unknown once nobody answers."""
    desk = Desk()
    tell_block(desk, "stream", 0, 100)
    assert desk.after("block_age_s", HL_VENUE) == 0.0
    desk.at(30)
    tell_block(desk, "stream", 0, 100)
    assert desk.after("block_age_s", HL_VENUE) == 30.0
    assert desk.at(91).after("block_age_s", HL_VENUE) is None


def tell_block(desk: Desk, source: str, second: float, height: int) -> None:
    """A block of that second, told by one source."""
    desk.tell(
        e.ChainTimeSeen(
            venue=HL,
            channel=f"{HL}/{source}",
            source=source,
            time_ns=desk.ns(second),
            height=height,
        ),
    )


def test_the_indexer_is_measured_against_a_validator_only() -> None:
    """Its socket and its answers are equally late: that they agree proves nothing."""
    desk = Desk()
    tell_block(desk, "stream", 0, 100)
    assert desk.after("indexer_lag_blocks", HL_VENUE) is None
    assert "no indexer" in desk.why("indexer_lag_blocks", HL_VENUE)
    tell_block(desk, "indexer", 0, 100)
    assert desk.after("indexer_lag_blocks", HL_VENUE) is None
    assert "validator_urls" in desk.why("indexer_lag_blocks", HL_VENUE)
    tell_block(desk, "validator", 0, 250)
    assert desk.after("indexer_lag_blocks", HL_VENUE) == 150.0
    tell_block(desk, "stream", 0, 248)
    assert desk.after("indexer_lag_blocks", HL_VENUE) == 2.0
    desk.at(59)
    tell_block(desk, "stream", 59, 300)
    assert desk.after("indexer_lag_blocks", HL_VENUE) == 0.0
    desk.at(60)
    tell_block(desk, "stream", 60, 302)
    assert desk.after("indexer_lag_blocks", HL_VENUE) == 0.0  # the validator's word just holds
    desk.at(60.001)
    assert desk.after("indexer_lag_blocks", HL_VENUE) is None
    assert "validator_urls" in desk.why("indexer_lag_blocks", HL_VENUE)
    tell_block(desk, "validator", 60, 304)
    assert desk.after("indexer_lag_blocks", HL_VENUE) == 2.0
    desk.at(121)
    tell_block(desk, "validator", 121, 420)
    assert desk.after("indexer_lag_blocks", HL_VENUE) is None
    assert "indexer height" in desk.why("indexer_lag_blocks", HL_VENUE)


def test_venue_words_age_too() -> None:
    """Health and skew are absent when never told and when old."""
    desk = Desk()
    desk.tell(
        e.VenueStatusSeen(venue=HL, channel=f"{HL}/status", healthy=False, detail="halted"),
        e.ClockSkewSeen(venue=HL, channel=f"{HL}/time", skew_s=-0.25),
    )
    assert desk.after("venue_healthy", HL_VENUE) == 0.0
    assert desk.value("clock_skew_s", HL_VENUE) == -0.25
    assert desk.at(121).after("venue_healthy", HL_VENUE) is None


def test_limits_come_from_the_settings() -> None:
    """Another desk may hold other assets to the tight limits."""
    settings = EngineSettings(freshness=FreshnessSettings(majors=("SOL",), mark_majors_s=2.0))
    desk = Desk(settings=settings).list_market("SOL").context("SOL", mark_price=10.0)
    assert desk.at(2).after("mark_price", SOL) == 10.0
    assert desk.at(2.001).after("mark_price", SOL) is None


def test_an_index_that_no_message_has_says_so() -> None:
    """Neither late nor lost: the venue states none. What tells one, has one."""
    desk = Desk().list_market().context(mark_price=100.0)
    for name in ("index_price", "basis_ratio"):
        assert desk.after(name) is None
        assert "this venue states no index price" in desk.why(name)
    desk.context(index_price=80.0)
    assert desk.after("index_price") == 80.0
    assert desk.value("basis_ratio") == 0.25
    desk.list_market().evaluate()
    assert desk.value("index_price") == 80.0


def test_dydx_has_no_mark_and_says_so() -> None:
    """Not unknown: the venue margins on its oracle."""
    desk = Desk().list_market("BTC-USD", DYDX).context("BTC-USD", DYDX, oracle_price=100.0)
    assert desk.after("mark_price", market_subject(DYDX, "BTC-USD")) is None
    assert "no mark" in desk.why("mark_price", market_subject(DYDX, "BTC-USD"))
