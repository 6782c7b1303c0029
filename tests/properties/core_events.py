"""Strategies for event sequences, and the small rulebook that properties of the core run under."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from monitor.core import events as e
from monitor.core.settings import EngineSettings
from monitor.core.structure import Bucket, HedgeSet, Strategy, StructureSettings
from monitor.core.types import SECOND_NS, FillKind, MarketStatus, TransferKind

HL, DYDX = "hyperliquid", "dydx"
MARKETS = ((HL, "BTC"), (HL, "SOL"), (DYDX, "BTC-USD"))
ACCOUNTS = ((HL, "main"), (DYDX, "main"))
# What a desk may say its book is made of; small, so that every event may matter to it.
STRUCTURE = StructureSettings(
    hedge_sets=(HedgeSet(name="btc", legs=((HL, "main", "BTC"), (DYDX, "main", "BTC-USD"))),),
    buckets=(
        Bucket(name="here", target_ratio=0.5, accounts=((HL, "main"),), review_s=30.0),
        Bucket(name="there", target_ratio=0.5, contingency=True, accounts=((DYDX, "main"),)),
    ),
    strategies=(
        Strategy(name="venue", accounts=((DYDX, "main"),)),
        Strategy(name="coins", assets=("BTC", "SOL")),
    ),
)
SETTINGS = EngineSettings(accounts=ACCOUNTS, venues=(HL, DYDX), structure=STRUCTURE)
TIERS = (e.MarginTier(0.0, 0.05, 0.025), e.MarginTier(50_000.0, 0.1, 0.05))

RULES = """
- id: mark_low
  for_each: market
  when: mark_price < 90.0
  until: mark_price > 95.0
  for: 2s
  keep_firing_for: 5s
  severity: warning
  do: {level: page}
  scope: market
  summary: Mark is low
- id: deviation
  for_each: market
  when: oracle_deviation_ratio > 0.02 || oracle_deviation_ratio < -0.02
  confirm: {need: 2, of: 3, apart: 2s}
  severity: warning
  do: {level: page}
  scope: market
  summary: Mark and oracle differ
- id: usage_high
  for_each: account
  when: margin_usage_ratio >= 0.5
  until: margin_usage_ratio < 0.4
  severity: high
  do: {level: hold}
  scope: account
  summary: Margin is used up
- id: near_liquidation
  for_each: position
  when: liquidation_distance_ratio < 0.1 && notional_usd * 2.0 > equity_usd
  max_staleness: 5s
  on_unknown: fire
  severity: high
  do: {level: hold}
  scope: account
  summary: Liquidation is near
- id: drawdown
  for_each: portfolio
  when: drawdown_ratio > 0.05
  for: 3s
  severity: high
  do: {level: page}
  scope: portfolio
  summary: Equity fell
- id: hedge_open
  for_each: hedge_set
  when: hedge_mismatch_ratio > 0.05
  for: 2s
  severity: high
  summary: A hedge is open
- id: leg_gone
  for_each: hedge_set
  when: hedge_legs_lost > 0.5
  severity: critical
  summary: A hedge lost a leg
- id: bucket_out
  for_each: bucket
  when: bucket_over_band_ratio > 1.0 || bucket_under_band_ratio > 1.0
  severity: warning
  summary: A bucket left its band
- id: bucket_late
  for_each: bucket
  when: bucket_review_overdue_ratio > 1.25
  severity: warning
  summary: A bucket was not reviewed
- id: blind_spot
  for_each: feed
  when: feed_age_s > 10.0 || feed_lost_channels > 0.5
  severity: warning
  do: {level: page}
  scope: venue
  summary: A feed is silent
- id: two_flags
  for_each: portfolio
  flags:
    expensive: funding_expensive_share_ratio > 0.5
    stale: feeds_stale > 0.5
    levered: leverage > 3.0
  at_least: 2
  within: 10s
  severity: warning
  do: {level: page}
  scope: portfolio
  summary: Two of three
- id: echo
  for_each: portfolio
  when: firing__mark_low > 0.5 && state_s__mark_low > 4.0
  severity: info
  do: {level: page}
  scope: portfolio
  summary: A mark has been low for a while
- id: disagreement
  for_each: account
  when: cross_check_difference_ratio > 0.0
  for: 1s
  severity: high
  do: {level: page}
  scope: account
  summary: Sources disagree
"""


def opening() -> list[e.Event]:
    """What every sequence begins with: rules and listings."""
    listed = [
        e.MarketListed(
            venue=venue,
            channel=f"{venue}/meta",
            market=market,
            asset=market.removesuffix("-USD"),
            status=MarketStatus.ACTIVE,
            has_mark=venue == HL,
            funding_interval_s=3600,
            margin_tiers=TIERS,
            size_step=Decimal("0.1"),
        )
        for venue, market in MARKETS
    ]
    return [e.RulebookLoaded(files=(("test.yaml", RULES),), loaded_by="test"), *listed]


prices = st.one_of(
    st.floats(70, 130),
    st.floats(70, 130),
    st.sampled_from([0.0, -1.0, 1000.0, 10.0, float("nan"), float("inf"), 90.0, 95.0]),
)
markets = st.sampled_from(MARKETS)
accounts = st.sampled_from(ACCOUNTS)
sources = st.sampled_from(["stream", "truth"])
money = st.integers(-100_000, 100_000).map(lambda cents: Decimal(cents) / 10)
sizes = st.integers(-300, 300).map(lambda tenths: Decimal(tenths) / 10)


@st.composite
def contexts(draw: st.DrawFn) -> e.Event:
    """Slow numbers of a market."""
    venue, market = draw(markets)
    channel = f"{venue}/v4_markets" if venue == DYDX else f"{venue}/ctx/{market}"
    return e.MarketContextSeen(
        venue=venue,
        channel=channel,
        market=market,
        mark_price=draw(st.none() | prices) if venue == HL else None,
        oracle_price=draw(st.none() | prices),
        predicted_funding_rate_hourly=draw(st.none() | st.floats(-1e-3, 1e-3)),
        open_interest_base=draw(st.none() | st.floats(0, 1e6)),
    )


@st.composite
def oracle_batches(draw: st.DrawFn) -> e.Event:
    """Oracle prices told together; as often the very same as before."""
    return e.OraclePricesSeen(
        venue=DYDX,
        channel=f"{DYDX}/v4_markets",
        prices=tuple(
            (market, draw(st.just(95.0) | prices)) for venue, market in MARKETS if venue == DYDX
        ),
    )


@st.composite
def tops(draw: st.DrawFn) -> e.Event:
    """A book's top."""
    venue, market = draw(markets)
    return e.BookTopSeen(
        venue=venue,
        channel=f"{venue}/bbo/{market}",
        market=market,
        bid_price=draw(st.none() | prices),
        bid_size=1.0,
        ask_price=draw(st.none() | prices),
        ask_size=1.0,
    )


@st.composite
def position_reports(draw: st.DrawFn) -> e.Event:
    """Positions of an account from either source."""
    venue, account = draw(accounts)
    source = draw(sources)
    names = [market for place, market in MARKETS if place == venue]
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=2))
    return e.PositionsReported(
        venue=venue,
        channel=f"{venue}/account.{source}/{account}",
        account=account,
        source=source,
        complete=source == "truth" or draw(st.booleans()),
        positions=tuple(e.PositionReport(market=name, size=draw(sizes)) for name in chosen),
        height=draw(st.none() | st.integers(1, 50)),
    )


@st.composite
def account_reports(draw: st.DrawFn) -> e.Event:
    """Money of an account from either source."""
    venue, account = draw(accounts)
    source = draw(sources)
    return e.AccountReported(
        venue=venue,
        channel=f"{venue}/account.{source}/{account}",
        account=account,
        source=source,
        equity_usd=draw(st.none() | money),
        cash_usd=draw(st.none() | money),
    )


@st.composite
def transfers(draw: st.DrawFn) -> e.Event:
    """Money moving."""
    venue, account = draw(accounts)
    return e.TransfersReported(
        venue=venue,
        channel=f"{venue}/ledger/{account}",
        account=account,
        history=draw(st.booleans()),
        transfers=(
            e.TransferReport(
                transfer_id=draw(st.sampled_from("abcdef")),
                amount_usd=draw(money),
                time_ns=draw(st.sampled_from([0, 1 << 61])),
                kind=TransferKind.INTERNAL,
                own=draw(st.booleans()),
            ),
        ),
    )


CHANNELS = (
    f"{HL}/ctx/BTC",
    f"{HL}/ctx/SOL",
    f"{DYDX}/v4_markets",
    f"{HL}/account.stream/main",
    f"{DYDX}/account.stream/main",
)


@st.composite
def channel_events(draw: st.DrawFn) -> e.Event:
    """Channels opening, living and dying."""
    channel = draw(st.sampled_from(CHANNELS))
    venue, feed = channel.split("/")[:2]
    kind = draw(st.sampled_from(["opened", "alive", "alive", "all", "lost", "gap"]))
    if kind == "opened":
        cadence = draw(st.sampled_from([None, 1.0, 10.0]))
        return e.ChannelOpened(venue=venue, channel=channel, feed=feed, cadence_s=cadence)
    if kind == "alive":
        return e.ChannelProgressed(venue=venue, channel=channel)
    if kind == "all":
        return e.ChannelProgressed(venue=venue, channel=f"{venue}/{feed}/")
    return e.ChannelLost(venue=venue, channel=channel, reason="test", gap=kind == "gap")


@st.composite
def settlements(draw: st.DrawFn) -> e.Event:
    """An hour charged on dYdX."""
    return e.FundingSettled(
        venue=DYDX,
        channel=f"{DYDX}/rest.funding/BTC-USD",
        market="BTC-USD",
        funding_rate_hourly=draw(st.floats(-1e-3, 1e-3)),
        native_funding_rate=0.0,
        native_funding_interval_s=3600,
        settled_at_ns=1_800_000_000 * SECOND_NS + draw(st.integers(-2, 60)) * SECOND_NS,
    )


@st.composite
def funding_histories(draw: st.DrawFn) -> e.Event:
    """Some hours of before, of one market; among them some that cannot be."""
    venue, market = draw(markets)
    hours = draw(st.lists(st.integers(-30, 2), unique=True, max_size=6))
    rate = st.floats(-1e-3, 1e-3) | st.just(float("nan"))
    return e.FundingHistorySeen(
        venue=venue,
        channel=f"{venue}/history/{market}",
        market=market,
        rates=tuple(((500_000 + hour) * 3600 * SECOND_NS, draw(rate)) for hour in sorted(hours)),
    )


@st.composite
def history_words(draw: st.DrawFn) -> e.Event:
    """How far a venue's history is read, in and out of order."""
    venue = draw(st.sampled_from([HL, DYDX]))
    unread = tuple(draw(st.lists(st.sampled_from(["BTC", "ETH", "BTC-USD", "NONE"]), unique=True)))
    return e.HistoryProgressed(
        venue=venue,
        channel=f"{venue}/history/baseline",
        kind=draw(st.sampled_from(["funding", "prices"])),
        wanted=4,
        unread=unread,
        waiting=draw(st.integers(0, len(unread))),
        read=draw(st.integers(0, 4)),
        began_ns=1_800_000_000 * SECOND_NS - draw(st.integers(0, 300)) * SECOND_NS,
    )


@st.composite
def off_book(draw: st.DrawFn) -> e.Event:
    """The desk's own legs."""
    return e.OffBookLegsDeclared(
        source="file",
        legs=tuple(
            e.OffBookLeg(
                asset=asset,
                size=draw(sizes),
                expires_at_ns=1_800_000_000 * SECOND_NS + draw(st.integers(1, 100)) * SECOND_NS,
            )
            for asset in draw(st.lists(st.sampled_from(["BTC", "SOL"]), unique=True))
        ),
    )


@st.composite
def news_flags(draw: st.DrawFn) -> e.Event:
    """What is due, of the book or of an asset."""
    begins_ns = 1_800_000_000 * SECOND_NS + draw(st.integers(-50, 50)) * SECOND_NS
    return e.NewsFlagsDeclared(
        source=draw(st.sampled_from(["operators", "file"])),
        flags=tuple(
            e.NewsFlag(
                name="cpi",
                scope=scope,
                begins_at_ns=begins_ns,
                expires_at_ns=begins_ns + draw(st.integers(1, 50)) * SECOND_NS,
            )
            for scope in draw(st.lists(st.sampled_from(["portfolio", "asset:BTC"]), unique=True))
        ),
    )


@st.composite
def fills(draw: st.DrawFn) -> e.Event:
    """Orders of ours, and what was no order of ours."""
    venue, market = draw(st.sampled_from(MARKETS))
    return e.FillsReported(
        venue=venue,
        channel=f"{venue}/fills/main",
        account="main",
        history=draw(st.booleans()),
        fills=tuple(
            e.FillReport(
                fill_id=str(draw(st.integers(1, 20))),
                market=market,
                size=draw(sizes),
                price=Decimal(100),
                time_ns=(1_800_000_000 + draw(st.integers(-100, 100))) * SECOND_NS,
                kind=draw(st.sampled_from([FillKind.TRADE, FillKind.TRADE, FillKind.LIQUIDATION])),
            )
            for _ in range(draw(st.integers(0, 3)))
        ),
    )


@st.composite
def reviews(draw: st.DrawFn) -> e.Event:
    """Who looked at which bucket."""
    at_ns = (1_800_000_000 + draw(st.integers(-100, 0))) * SECOND_NS
    names = draw(st.lists(st.sampled_from(["here", "there"]), unique=True))
    return e.BucketsReviewed(
        reviews=tuple(e.BucketReview(bucket=one, at_ns=at_ns) for one in names)
    )


def any_event() -> st.SearchStrategy[e.Event]:
    """Anything that may happen, the frequent more frequently."""
    return st.one_of(
        contexts(),
        contexts(),
        oracle_batches(),
        tops(),
        position_reports(),
        account_reports(),
        channel_events(),
        transfers(),
        settlements(),
        funding_histories(),
        history_words(),
        off_book(),
        news_flags(),
        fills(),
        reviews(),
    )


@st.composite
def batches(
    draw: st.DrawFn, events: st.SearchStrategy[e.Event] | None = None
) -> list[tuple[int, list[e.Event]]]:
    """(nanoseconds since the start, events) with time moving forward, sometimes by a lot."""
    chosen = any_event() if events is None else events
    steps = st.sampled_from([0, 1, 10**8, SECOND_NS, 3 * SECOND_NS, 20 * SECOND_NS, 70 * SECOND_NS])
    now = 0
    made = []
    for _ in range(draw(st.integers(0, 12))):
        now += draw(steps)
        made.append((now, draw(st.lists(chosen, max_size=6))))
    return made
