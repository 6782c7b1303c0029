"""What feed events do to the risk state: which channels live, and since when they are silent.

A channel's progress is what makes the facts behind it fresh, so losing a channel must cost exactly
those facts and no others, even while its socket lives. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.events import (
    ChannelLost,
    ChannelOpened,
    ChannelProgressed,
    FeedConnected,
    FeedLost,
    FrameRejected,
    OrderAnswered,
    RequestsCounted,
)
from monitor.core.state.facts import (
    ALL_ACCOUNT_BITS,
    ALL_VENUE_BITS,
    Channel,
    Fact,
    FeedBit,
    VenueBit,
)
from monitor.core.state.markets import venue_of
from monitor.core.state.model import FeedState, OrderAnswer, RequestCount, RiskState
from monitor.core.types import EngineNs, feed_subject

REJECTED_WINDOW_NS = 300 * 1_000_000_000
REJECTED_KEPT_MAX = 1000
OVERTAKEN_NS = 5 * 1_000_000_000
REQUESTS_WINDOW_NS = 600 * 1_000_000_000
GAPS_WINDOW_NS = 300 * 1_000_000_000
ANSWERS_WINDOW_NS = 3600 * 1_000_000_000
KEPT_MAX = 100


def feed_of(state: RiskState, venue: str, feed: str) -> FeedState:
    """The feed's state, made when first heard of. A name that carries the venue in front
    (``hyperliquid/market-1``) is the same feed as one that does not."""
    name = feed.removeprefix(f"{venue}/")
    owner = state.venues.get(venue) or venue_of(state, venue)
    found = owner.feeds.get(name)
    if found is None:
        found = FeedState(venue=venue, feed=name, subject=feed_subject(venue, name))
        owner.feeds[name] = found
        state.appeared.append(("feed", venue, name, ""))
    return found


def channel_of(state: RiskState, venue: str, name: str) -> Channel:
    """A channel that speaks before it was opened: its facts are only as fresh as themselves."""
    found = state.channels.get(name)
    if found is None:
        key = name.removeprefix(f"{venue}/").partition("/")[0]
        found = state.channels[name] = Channel(name=name, venue=venue, feed=key)
        feed_of(state, venue, key).channels.append(name)
    return found


def channel_opened(state: RiskState, event: ChannelOpened, now: EngineNs) -> None:
    """Acknowledged: from now on its silence counts against its feed."""
    channel = channel_of(state, event.venue, event.channel)
    feed = feed_of(state, event.venue, event.feed)
    if channel.feed != feed.feed:
        old = feed_of(state, event.venue, channel.feed)
        if channel.name in old.channels:
            old.channels.remove(channel.name)
        channel.feed = feed.feed
    if channel.name not in feed.channels:
        feed.channels.append(channel.name)
    if not channel.open:
        # A subscription's first data may overtake its acknowledgement, but only once: after a loss
        # what was told before says nothing about now.
        channel.opened_ns = now if channel.expected else now - OVERTAKEN_NS
    channel.open = channel.expected = True
    channel.cadence_s = event.cadence_s
    channel.progress_ns = now
    channel.lost_reason = ""
    _mark(state, feed, FeedBit.CHANNELS)


def channel_progressed(state: RiskState, event: ChannelProgressed, now: EngineNs) -> None:
    """Proof of life without news. A closed channel is not opened by it."""
    for channel in _named(state, event.venue, event.channel):
        channel.progress_ns = max(channel.progress_ns, now)


def channel_lost(state: RiskState, event: ChannelLost, now: EngineNs) -> None:
    """What it fed is only as fresh as itself; after a gap it needs a new message."""
    if event.gap:
        owner = venue_of(state, event.venue)
        since = now - GAPS_WINDOW_NS
        recent = [at for at in owner.gaps_ns if at > since][1 - KEPT_MAX :]
        owner.gaps_ns = [*recent, now]
        state.dirty[owner.subject] = state.dirty.get(owner.subject, 0) | VenueBit.SERVICE
    for channel in _named(state, event.venue, event.channel):
        channel.open = False
        channel.lost_reason = event.reason
        if event.gap:
            channel.generation += 1
            channel.progress_ns = min(channel.progress_ns, now)
            _doubt(state, channel)
        _mark(state, feed_of(state, channel.venue, channel.feed), FeedBit.CHANNELS)


def feed_connected(state: RiskState, event: FeedConnected, now: EngineNs) -> None:
    """A socket is open; that says nothing about its channels yet."""
    feed = feed_of(state, event.venue, event.feed)
    feed.connected, feed.connection_seen_ns = True, now
    feed.lost_reason, feed.quarantined = "", False
    _mark(state, feed, FeedBit.CONNECTION)


def feed_lost(state: RiskState, event: FeedLost, now: EngineNs) -> None:
    """A socket or poll is down; the channel or prefix that the event names is closed with it."""
    feed = feed_of(state, event.venue, event.feed)
    feed.connected, feed.connection_seen_ns = False, now
    feed.lost_reason, feed.quarantined = event.reason, event.quarantined
    for channel in _named(state, event.venue, event.channel):
        channel.open = False
        channel.lost_reason = event.reason
        _mark(state, feed_of(state, channel.venue, channel.feed), FeedBit.CHANNELS)
    _mark(state, feed, FeedBit.CONNECTION)


def requests_counted(state: RiskState, event: RequestsCounted, now: EngineNs) -> None:
    """Kept for ten minutes."""
    owner = venue_of(state, event.venue)
    since = now - REQUESTS_WINDOW_NS
    kept = [one for one in owner.requests if one.at_ns > since][1 - KEPT_MAX :]
    owner.requests = [*kept, RequestCount(now, event.asked, event.failed)]
    state.dirty[owner.subject] = state.dirty.get(owner.subject, 0) | VenueBit.SERVICE


def order_answered(state: RiskState, event: OrderAnswered, now: EngineNs) -> None:
    """Kept for an hour, the newest hundred."""
    owner = venue_of(state, event.venue)
    since = now - ANSWERS_WINDOW_NS
    kept = [one for one in owner.answers if one.at_ns > since][1 - KEPT_MAX :]
    owner.answers = [*kept, OrderAnswer(now, event.took_s)]
    state.dirty[owner.subject] = state.dirty.get(owner.subject, 0) | VenueBit.SERVICE


def frame_rejected(state: RiskState, event: FrameRejected, now: EngineNs) -> None:
    """Counted for five minutes; at most a thousand times are kept apart."""
    feed = feed_of(state, event.venue, event.feed)
    feed.rejected_total += 1
    feed.rejected_ns.append(now)
    first = feed.rejected_ns[0]
    if len(feed.rejected_ns) > REJECTED_KEPT_MAX or first <= now - REJECTED_WINDOW_NS:
        limit = now - REJECTED_WINDOW_NS
        feed.rejected_ns = [at for at in feed.rejected_ns if at > limit][-REJECTED_KEPT_MAX:]
    _mark(state, feed, FeedBit.REJECTED)


def _named(state: RiskState, venue: str, name: str) -> Iterator[Channel]:
    """The channel of that name, or all whose name starts with a prefix that ends in ``/``."""
    if not name.endswith("/"):
        found = state.channels.get(name)
        if found is not None:
            yield found
        return
    owner = state.venues.get(venue)
    if owner is None:
        return
    rest = name.removeprefix(f"{venue}/").rstrip("/")
    feed = owner.feeds.get(rest)
    if feed is not None and all(known.startswith(name) for known in feed.channels):
        for known in feed.channels:
            yield state.channels[known]
        return
    for known, channel in state.channels.items():
        if known.startswith(name):
            yield channel


def _doubt(state: RiskState, channel: Channel) -> None:
    """Dirty what this channel fed, so that its absence is noticed now and not at its expiry."""
    owner = state.venues.get(channel.venue)
    if owner is None:
        return
    for market in owner.markets.values():
        bits = 0
        # In the order of MarketBit.
        facts: tuple[Fact, ...] = (
            market.mark,
            market.oracle,
            market.index,
            market.mid,
            market.top,
            market.depth,
            market.predicted,
            market.settled,
            market.open_interest,
            market.status,
        )
        for bit, fact in enumerate(facts):
            if fact.channel == channel.name:
                bits |= 1 << bit
        if bits:
            state.dirty[market.subject] = state.dirty.get(market.subject, 0) | bits
    for account in owner.accounts.values():
        statements: tuple[Fact, ...] = (
            account.positions_stream,
            account.positions_truth,
            account.orders_seen,
            account.equity,
            account.cash,
            account.fills_seen,
            account.funding_seen,
        )
        if any(fact.channel == channel.name for fact in statements):
            state.dirty[account.subject] = ALL_ACCOUNT_BITS
    words: tuple[Fact, ...] = (owner.health, owner.skew, *owner.blocks.values())
    if any(fact.channel == channel.name for fact in words):
        state.dirty[owner.subject] = ALL_VENUE_BITS


def _mark(state: RiskState, feed: FeedState, bits: int) -> None:
    state.dirty[feed.subject] = state.dirty.get(feed.subject, 0) | bits
