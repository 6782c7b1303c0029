"""How much of a venue riskd can see: which connections, feeds and channels are dark, by name.

One outage darkens everything at once, so it is counted per venue: what a lost connection explains
is not counted a second time as lost channels. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from monitor.core.measures.definition import Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import Node, VenueNode
from monitor.core.measures.use import Use
from monitor.core.settings import FreshnessSettings
from monitor.core.state.facts import Channel
from monitor.core.state.model import FeedState, RiskState, VenueState
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind

NAMES_MAX = 3


class Sight(msgspec.Struct, gc=False):
    """What of one venue is dark.

    Args:
        known: Connections, and feeds of which a channel was ever opened.
        lost: Names of those that tell nothing at all now.
        connections: Sockets and polls that are down.
        feeds: Feeds without a single live channel although every connection stands.
        channels: Dark channels of feeds that otherwise live, as ``feed/key``.
        pushed, mute: Feeds that a socket pushes, and those of them that tell nothing.
    """

    known: int
    lost: list[str]
    connections: list[str]
    feeds: list[str]
    channels: list[str]
    pushed: int = 0
    mute: int = 0


def quiet_limit_s(channel: Channel, freshness: FreshnessSettings) -> float:
    """Seconds of silence from which an open channel counts as dark."""
    if channel.cadence_s is None:
        return freshness.feed_quiet_s
    return max(freshness.feed_cadences * channel.cadence_s, freshness.feed_floor_s)


def speaks(channel: Channel, now: EngineNs, freshness: FreshnessSettings) -> bool:
    """Whether a channel is open and proved alive within its limit."""
    limit_ns = quiet_limit_s(channel, freshness) * SECOND_NS
    return channel.open and now - channel.progress_ns <= limit_ns


def look(
    venue: VenueState, channels: Mapping[str, Channel], now: EngineNs, freshness: FreshnessSettings
) -> Sight:
    """What is dark at ``now``. While a socket is down, closed channels are its doing."""
    sight = Sight(0, [], [], [], [])
    socket_down = any(
        feed.connected is False and not feed.channels for feed in venue.feeds.values()
    )
    for feed in venue.feeds.values():
        expected = [one for name in feed.channels if (one := channels[name]).expected]
        if feed.connected is None and not expected:
            continue
        sight.known += 1
        dark = [one for one in expected if not speaks(one, now, freshness)]
        mute = bool(expected) and len(dark) == len(expected)
        if feed.connected is None:  # a poll is its own connection; what a socket carries is not
            sight.pushed += 1
            sight.mute += mute
        if mute or feed.connected is False:
            sight.lost.append(feed.feed)
        if feed.connected is False:
            sight.connections.append(feed.feed)
            continue
        unexplained = [one for one in dark if one.open or not socket_down]
        if mute and unexplained:
            sight.feeds.append(feed.feed)
        else:
            sight.channels += [one.name.removeprefix(f"{venue.venue}/") for one in unexplained]
    return sight


def is_stale(
    state: RiskState, feed: FeedState, now: EngineNs, freshness: FreshnessSettings
) -> bool:
    """Whether a feed is disconnected, or a channel of it is lost or silent beyond its cadence."""
    if feed.connected is False:
        return True
    channels = (state.channels[name] for name in feed.channels)
    return any(one.expected and not speaks(one, now, freshness) for one in channels)


Pick = Callable[[Sight], Sequence[str]]


def seen(node: VenueNode, state: RiskState, now: EngineNs) -> Sight:
    """What is dark of a venue at ``now``."""
    return look(node.venue, state.channels, now, node.freshness)


def _count(pick: Pick, node: VenueNode, use: Use) -> float | None:
    return float(len(pick(seen(node, use.state, use.now))))


def _known(node: VenueNode, use: Use) -> float | None:
    return float(seen(node, use.state, use.now).known)


def _lost_ratio(node: VenueNode, use: Use) -> float | None:
    sight = seen(node, use.state, use.now)
    if not sight.known:
        use.absent("no feed of this venue was ever connected")
        return None
    return len(sight.lost) / sight.known


def _dark_ratio(node: VenueNode, use: Use) -> float | None:
    """The lesser of what is lost in all and of what sockets push: a venue that refuses requests
    while its sockets speak is not gone."""
    sight = seen(node, use.state, use.now)
    if not sight.known:
        use.absent("no feed of this venue was ever connected")
        return None
    lost = len(sight.lost) / sight.known
    return min(lost, sight.mute / sight.pushed) if sight.pushed else lost


def _named(pick: Pick, node: Node, state: RiskState, now: EngineNs) -> str:
    """``market-1, rest.account``; empty while nothing is dark."""
    if not isinstance(node, VenueNode):
        return ""
    names = pick(seen(node, state, now))
    more = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def _share(node: Node, state: RiskState, now: EngineNs) -> str:
    """``17 of 27 feeds lost``."""
    if not isinstance(node, VenueNode):
        return ""
    sight = seen(node, state, now)
    return f"{len(sight.lost)} of {sight.known} feeds lost" if sight.lost else ""


def _lost(sight: Sight) -> Sequence[str]:
    return sight.lost


def _connections(sight: Sight) -> Sequence[str]:
    return sight.connections


def _feeds(sight: Sight) -> Sequence[str]:
    return sight.feeds


def _channels(sight: Sight) -> Sequence[str]:
    return sight.channels


def _spec(
    name: str, help_text: str, words: tuple[str, ...], *, unit: Unit = Unit.COUNT
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=(SubjectKind.VENUE,),
        unit=unit,
        help=help_text,
        low=0.0,
        high=1.0 if unit is Unit.RATIO else float("inf"),
        cadence_s=1.0,
        words=words,
    )


def _counted(spec: MeasureSpec, pick: Pick) -> Definition:
    return define(
        spec,
        SubjectKind.VENUE,
        partial(_count, pick),
        detail=partial(_named, pick),
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        _spec(
            "feeds_known",
            "Connections and feeds of the venue that were ever open.",
            ("feed known", "feeds known"),
        ),
        SubjectKind.VENUE,
        _known,
    ),
    _counted(
        _spec(
            "feeds_lost",
            "Connections that are down, and feeds of which no channel speaks.",
            ("feed lost", "feeds lost"),
        ),
        _lost,
    ),
    define(
        _spec(
            "feeds_lost_ratio",
            "Share of the venue's known connections and feeds that tell nothing now.",
            (),
            unit=Unit.RATIO,
        ),
        SubjectKind.VENUE,
        _lost_ratio,
        detail=_share,
    ),
    define(
        _spec(
            "venue_dark_ratio",
            "Share of the venue's feeds that tell nothing; no more than of those its sockets push.",
            (),
            unit=Unit.RATIO,
        ),
        SubjectKind.VENUE,
        _dark_ratio,
        detail=_share,
    ),
    _counted(
        _spec(
            "connections_lost",
            "Sockets and polls of the venue that are down.",
            ("connection down", "connections down"),
        ),
        _connections,
    ),
    _counted(
        _spec(
            "feeds_silent",
            "Feeds without a live channel that no lost connection explains.",
            ("feed silent", "feeds silent"),
        ),
        _feeds,
    ),
    _counted(
        _spec(
            "channels_lost",
            "Channels lost or silent on feeds that otherwise live.",
            ("channel lost", "channels lost"),
        ),
        _channels,
    ),
)
