"""Whether the eyes are open: feeds, blocks, clocks, and the rules' own state. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.core.measures.definition import Definition, define
from monitor.core.measures.rule_states import HERE, compute_firing, say_firing
from monitor.core.measures.sight import is_stale, quiet_limit_s
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import FeedNode, PortfolioNode, RuleNode, VenueNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.settings import limit_ns
from monitor.core.state.facts import RULE_BIT, BlockFact, Channel, FeedBit, Lack, VenueBit
from monitor.core.state.feeds import REJECTED_WINDOW_NS
from monitor.core.state.model import FeedState
from monitor.core.types import SECOND_NS, AlertState, EngineNs, Subject, SubjectKind

# Below what the rules call a halt, so that plain silence cannot grow into one.
BLOCK_QUIET_S = 20.0
NO_VALIDATOR = "none of the validators that validator_urls names answers"
_FEED = (SubjectKind.FEED,)
_VENUE = (SubjectKind.VENUE,)
_WIDE = (SubjectKind.VENUE, SubjectKind.PORTFOLIO)
_RULE = (SubjectKind.RULE,)
_WITHIN_VENUES = frozenset(
    {
        SubjectKind.VENUE,
        SubjectKind.ACCOUNT,
        SubjectKind.POSITION,
        SubjectKind.MARKET,
        SubjectKind.FEED,
    }
)
VENUES = "rule_venues"


def _expected(feed: FeedState, use: Use) -> list[Channel]:
    channels = use.channels
    return [one for name in feed.channels if (one := channels[name]).expected]


def _feed_age(node: FeedNode, use: Use) -> float | None:
    """The oldest progress among the channels that ought to speak, open or lost: one dead channel on
    a living socket makes its feed old."""
    expected = _expected(node.feed, use)
    if not expected:
        use.absent("no channel of this feed was opened yet")
        return None
    return max(0, use.now - min(one.progress_ns for one in expected)) / SECOND_NS


def _feed_connected(node: FeedNode, use: Use) -> float | None:
    """Of a socket or a poll. A feed of channels has none of its own: what carries it says so."""
    if node.feed.connected is None:
        use.absent("not a connection, or never connected", Lack.CHOICE)
        return None
    return 1.0 if node.feed.connected else 0.0


def _lost_channels(node: FeedNode, use: Use) -> float | None:
    return float(sum(not one.open for one in _expected(node.feed, use)))


def _rejected_frames(node: FeedNode, use: Use) -> float | None:
    limit = use.now - REJECTED_WINDOW_NS
    kept = [at for at in node.feed.rejected_ns if at > limit]
    if kept:
        use.wake_at(kept[0] + REJECTED_WINDOW_NS)
    return float(len(kept))


def _feeds_stale(node: VenueNode | PortfolioNode, use: Use) -> float | None:
    venues = [node.venue] if isinstance(node, VenueNode) else use.state.venues.values()
    feeds: Iterable[FeedState] = (feed for venue in venues for feed in venue.feeds.values())
    return float(sum(is_stale(use.state, feed, use.now, use.settings.freshness) for feed in feeds))


def _block_age(node: VenueNode, use: Use) -> float | None:
    """How old the venue's newest block was when a source of blocks last answered: an old block
    re-told grows old.

    Silence is not a halt. Between answers the age stands still, for what we have not asked yet, or
    not read yet, says nothing about the venue; and unless a source answers at all it is unknown.
    """
    blocks = node.venue.blocks.values()
    times = [fact.time_ns for fact in blocks if fact.time_ns is not None]
    if not times:
        use.absent("no block or exchange time was told")
        return None
    timed = [fact for fact in blocks if fact.time_ns is not None]
    silent_at = max(_silent_at(fact, use) for fact in timed)
    if silent_at <= use.now:
        use.absent("no source of blocks answers")
        use.retry()
        return None
    use.observed = max(fact.seen_ns for fact in blocks)
    use.expires = min(use.expires, silent_at)
    heard = max(_heard_at(fact, use) for fact in timed)
    return max(0, min(heard, use.now) - max(times)) / SECOND_NS


def _heard_at(fact: BlockFact, use: Use) -> EngineNs:
    """When a source of blocks last answered, with whatever block."""
    channel = use.channels.get(fact.channel)
    live = channel is not None and channel.expected and channel.open
    return max(fact.seen_ns, channel.progress_ns) if live and channel is not None else fact.seen_ns


def _silent_at(fact: BlockFact, use: Use) -> EngineNs:
    """From when a source of blocks no longer counts as answering; 0 where its channel is lost."""
    freshness = use.settings.freshness
    channel = use.channels.get(fact.channel)
    heard, limit_s = fact.seen_ns, BLOCK_QUIET_S
    if channel is not None and channel.expected:
        if not channel.open:
            return 0
        heard = max(heard, channel.progress_ns)
        if channel.cadence_s is not None:
            limit_s = quiet_limit_s(channel, freshness)
    return heard + limit_ns(limit_s)


def _indexer_lag(node: VenueNode, use: Use) -> float | None:
    """How far all that the indexer tells, by socket or request, trails the validators. Its own two
    voices say nothing about each other: both are as late as it is."""
    blocks = node.venue.blocks
    indexer, validator = blocks.get("indexer"), blocks.get("validator")
    if indexer is None or indexer.height is None:
        use.absent("no indexer of this venue has told its height")
        return None
    if validator is None or validator.height is None:
        name = node.venue.venue
        if name in use.settings.validated:
            use.absent(NO_VALIDATOR)
        else:
            use.absent(f"{NO_SOURCE}venues.{name} names no validator_urls", Lack.CHOICE)
        return None
    if not use.fresh(validator, node.block_limit, "chain height"):
        use.absent(NO_VALIDATOR)
        return None
    stream = blocks.get("stream")
    latest, height = indexer, indexer.height
    if stream is not None and stream.height is not None:
        height = max(height, stream.height)
        latest = max(indexer, stream, key=lambda fact: _heard_at(fact, use))
    if not use.fresh(latest, node.block_limit, "indexer height"):
        return None
    return float(max(0, validator.height - height))


def _clock_skew(node: VenueNode, use: Use) -> float | None:
    fact = node.venue.skew
    if fact.value is None:
        use.absent("clock skew was never measured")
        return None
    return fact.value if use.fresh(fact, node.skew_limit, "clock skew") else None


def _venue_healthy(node: VenueNode, use: Use) -> float | None:
    fact = node.venue.health
    if fact.value is None:
        use.absent("the venue has not said how it is")
        return None
    if not use.fresh(fact, node.health_limit, "venue status"):
        return None
    return 1.0 if fact.value else 0.0


def venue_of_subject(subject: Subject) -> str:
    """The venue that a subject lies in; empty for the whole book and for what spans venues."""
    kind, _, text = subject.partition(":")
    return text.partition("/")[0] if kind in _WITHIN_VENUES else ""


def _rule_venues(node: RuleNode, use: Use) -> float | None:
    firing = [
        memory.subject
        for memory in use.state.rules.values()
        if memory.state.state is AlertState.FIRING and memory.rule in node.rules
    ]
    return float(len({venue_of_subject(subject) for subject in firing}))


def _rule_state(node: RuleNode, use: Use) -> float | None:
    return max(0, use.now - node.since_ns) / SECOND_NS


def _spec(
    name: str,
    kinds: tuple[SubjectKind, ...],
    unit: Unit,
    help_text: str,
    *,
    high: float = float("inf"),
    low: float = 0.0,
    cadence_s: float = 0.0,
    typical: tuple[float, float] = (0.0, 1.0),
    words: tuple[str, ...] = (),
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=kinds,
        unit=unit,
        help=help_text,
        low=low,
        high=high,
        cadence_s=cadence_s,
        typical=typical,
        words=words,
    )


_STALE = _spec(
    "feeds_stale",
    _WIDE,
    Unit.COUNT,
    "Feeds that are disconnected, or have a channel that is lost or silent beyond its cadence.",
    cadence_s=1.0,
    words=("feed stale", "feeds stale"),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        _spec(
            "feed_age_s",
            _FEED,
            Unit.SECONDS,
            "Seconds since the least lively channel of the feed last proved alive.",
            typical=(1.0, 60.0),
        ),
        SubjectKind.FEED,
        _feed_age,
        bits=FeedBit.CHANNELS,
        clock=True,
    ),
    define(
        _spec(
            "feed_connected",
            _FEED,
            Unit.BOOL,
            "1 while a socket or poll is connected.",
            high=1.0,
            words=("connected", "disconnected"),
        ),
        SubjectKind.FEED,
        _feed_connected,
        bits=FeedBit.CONNECTION,
    ),
    define(
        _spec(
            "feed_lost_channels",
            _FEED,
            Unit.COUNT,
            "Channels once opened and lost since.",
            words=("channel lost", "channels lost"),
        ),
        SubjectKind.FEED,
        _lost_channels,
        bits=FeedBit.CHANNELS,
    ),
    define(
        _spec(
            "feed_rejected_frames",
            _FEED,
            Unit.COUNT,
            "Undecodable frames in five minutes.",
            words=("frame rejected in 5 min", "frames rejected in 5 min"),
        ),
        SubjectKind.FEED,
        _rejected_frames,
        bits=FeedBit.REJECTED,
    ),
    define(_STALE, SubjectKind.VENUE, _feeds_stale),
    define(_STALE, SubjectKind.PORTFOLIO, _feeds_stale),
    define(
        _spec(
            "block_age_s",
            _VENUE,
            Unit.SECONDS,
            "Seconds since the venue's newest block or exchange time; absent if nobody answers.",
            typical=(1.0, 30.0),
        ),
        SubjectKind.VENUE,
        _block_age,
        bits=VenueBit.BLOCKS,
        clock=True,
    ),
    define(
        _spec(
            "indexer_lag_blocks",
            _VENUE,
            Unit.COUNT,
            "Blocks by which the venue's indexer trails its validators; absent without one.",
            typical=(1.0, 20.0),
            words=("block behind", "blocks behind"),
        ),
        SubjectKind.VENUE,
        _indexer_lag,
        bits=VenueBit.BLOCKS,
    ),
    define(
        _spec(
            "clock_skew_s",
            _VENUE,
            Unit.SECONDS,
            "Venue clock minus ours, seconds, signed.",
            low=-1e9,
            high=1e9,
            typical=(0.1, 2.0),
        ),
        SubjectKind.VENUE,
        _clock_skew,
        bits=VenueBit.SKEW,
    ),
    define(
        _spec(
            "venue_healthy",
            _VENUE,
            Unit.BOOL,
            "1 while the venue says so itself.",
            high=1.0,
            typical=(1.0, 0.0),
            words=("healthy", "not healthy"),
        ),
        SubjectKind.VENUE,
        _venue_healthy,
        bits=VenueBit.HEALTH,
    ),
    define(
        _spec(
            "rule_firing",
            _RULE,
            Unit.BOOL,
            "1 while the rule fires about any subject.",
            high=1.0,
            words=("fires", "does not fire"),
        ),
        SubjectKind.RULE,
        compute_firing,
        bits=RULE_BIT,
        detail=say_firing,
    ),
    define(
        _spec(
            HERE,
            _RULE,
            Unit.BOOL,
            "1 while the rule, or one of several, fires about something of the asset.",
            high=1.0,
            words=("fires", "does not fire"),
        ),
        SubjectKind.RULE,
        compute_firing,
        bits=RULE_BIT,
        detail=say_firing,
    ),
    define(
        _spec(
            VENUES,
            _RULE,
            Unit.COUNT,
            "Venues on which the rule, or one of several, fires now, alerts that recover left out; "
            "the book as a whole counts as one.",
            typical=(0.0, 2.0),
            words=("venue", "venues"),
        ),
        SubjectKind.RULE,
        _rule_venues,
        bits=RULE_BIT,
    ),
    define(
        _spec(
            "rule_state_s",
            _RULE,
            Unit.SECONDS,
            "Seconds since the rule began or ceased to fire about any subject.",
            typical=(60.0, 86_400.0),
        ),
        SubjectKind.RULE,
        _rule_state,
        bits=RULE_BIT,
        clock=True,
    ),
)
