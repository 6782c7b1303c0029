"""What happened to the feeds that bring everything else: channels, sockets, requests. *Pure.*"""

from __future__ import annotations

from monitor.core.events.base import VenueEventBase


class ChannelOpened(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """A subscription was acknowledged (or a poll answered for the first time).

    ``cadence_s`` is how often it speaks while nothing is wrong; None for a channel that speaks only
    on change, whose life its socket's heartbeats prove (``ChannelProgressed``).
    """

    feed: str
    cadence_s: float | None


class ChannelProgressed(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Proof of life without news: heartbeat or pong for a channel that speaks only on change.
    ``channel`` may be a prefix ending in ``/``: every channel of that feed."""


class ChannelLost(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """What came over this channel can no longer be trusted to be current. ``channel`` may be a
    prefix ending in ``/``. ``gap`` when messages are missing on a living socket."""

    reason: str
    gap: bool = False


class FeedConnected(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """A socket is open; ``feed`` is the connection's name."""

    feed: str


class FeedLost(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """A socket or poll is down or quarantined; it will be tried again in ``retry_s``."""

    feed: str
    reason: str
    retry_s: float | None
    quarantined: bool = False


class FrameRejected(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """A frame or body could not be decoded; counted, trimmed copy kept, never guessed at."""

    feed: str
    reason: str
    sample: bytes


class RequestsCounted(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Requests of ours to the venue since the last one of these, and how many of them failed: no
    answer in time, a refusal for being too many, or an error of the venue's own."""

    asked: int
    failed: int


class OrderAnswered(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """The venue answered, or failed to answer in time, a signed request of ours (an order or a
    cancel), ``took_s`` seconds after it left."""

    took_s: float


FeedEvent = (
    ChannelOpened | ChannelProgressed | ChannelLost | FeedConnected | FeedLost | FrameRejected
    | RequestsCounted | OrderAnswered
)  # fmt: skip
