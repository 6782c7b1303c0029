"""One connection to dYdX's indexer as a state machine: subscriptions, message ids, proof of life.

The server numbers messages per connection but reserves the id of a ``subscribed`` reply when the
request arrives, so replies come late and ids have holes for a while; a hole that stays is a lost
message. Every connection carries v4_block_height, whose blocks prove that the socket lives. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from monitor.core.errors import (
    AuthError,
    DecodeError,
    FeedError,
    SequenceGap,
    TransientFeedError,
)
from monitor.core.events import ChannelProgressed, Event
from monitor.core.ports import NOTHING, Output
from monitor.core.types import SECOND_NS, EngineNs
from monitor.venues.dydx.account_channel import AccountChannel
from monitor.venues.dydx.channels import V4_BLOCK_HEIGHT, V4_MARKETS, Channel, lost, opened
from monitor.venues.dydx.codec import wire
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.message_ids import MessageIds
from monitor.venues.dydx.settings import VENUE

SUBSCRIPTIONS_MAX = 32  # order books on one connection, since 2025-10
SUBSCRIBES_PER_WINDOW = 2
WINDOW_NS = SECOND_NS + SECOND_NS // 10  # the limit is 2 in 1000 ms; a tenth for clocks
PING_SILENCE_NS = 40 * SECOND_NS  # the server pings every 30 s
ACK_TIMEOUT_NS = 25 * SECOND_NS  # a snapshot may take 20 s to fetch
ACK_ATTEMPTS = 3
RETRY_FIRST_NS = 5 * SECOND_NS
RETRY_MAX_NS = 60 * SECOND_NS
PROGRESS_NS = SECOND_NS  # a speaking channel without news says so once a second
QUIET_PROGRESS_NS = 5 * SECOND_NS  # a quiet one is vouched for by its socket
BLOCKS_SILENT_NS = 10 * SECOND_NS
CHANNEL_SILENT_NS = 60 * SECOND_NS

_ENVELOPE = wire.decoder(wire.Envelope)
_hot_frame = wire.decoder(wire.HotFrame).decode
_account_frame = wire.decoder(wire.AccountFrame).decode
_FETCH_FAILED = "could not fetch data for subscription"
_LIMITS = (
    "subscription limit reached",
    "Too many subscribe attempts",
    "Too many invalid messages",
    "Rate limited",
)


def envelope(frame: bytes) -> wire.Envelope:
    """The frame's envelope, contents still raw.

    Raises:
        DecodeError: If the bytes are no envelope.
    """
    return wire.read(_ENVELOPE, frame, "frame")


class _Subscription:
    """A channel and how far its subscription has come on this connection."""

    # What every frame reads comes first: it shares a line of memory.
    __slots__ = (
        "account",
        "attempts",
        "channel",
        "data_at",
        "due_at",
        "last_id",
        "listens",
        "phase",
        "sent_at",
        "timeouts",
        "told_at",
        "update",
    )

    def __init__(self, channel: Channel) -> None:
        self.channel: Final = channel
        self.update: Final = channel.update
        self.account: Final = channel if isinstance(channel, AccountChannel) else None
        self.reset(0)

    def enter(self, phase: str) -> None:
        """waiting, sent, open or refused; only between being asked for and being left are the
        channel's data ours."""
        self.phase = phase
        self.listens = phase in {"sent", "open"}

    def reset(self, now: EngineNs) -> None:
        """As on a new connection."""
        self.enter("waiting")
        self.due_at: EngineNs = now
        self.sent_at: EngineNs = 0
        self.told_at: EngineNs = 0
        self.data_at: EngineNs = now
        self.attempts = 0
        self.timeouts = 0
        self.last_id = -1


class DydxStream:
    """A connection and its channels. ``wanted`` names further channels as they come to be
    wanted (the book of a market that is now held); they are subscribed while there is room."""

    def __init__(
        self,
        name: str,
        url: str,
        channels: Iterable[Channel],
        heights: ChainHeights,
        wanted: Callable[[], Iterable[Channel]] = tuple,
    ) -> None:
        self.venue = VENUE
        self.name = name
        self.url = url
        self.silence_s = PING_SILENCE_NS / SECOND_NS
        self._heights = heights
        self._wanted = wanted
        self._subscriptions: dict[str, _Subscription] = {}
        self._by_key: dict[tuple[str | None, str | None], _Subscription] = {}
        # The same by channel, for the channels of a hot frame: a look-up without a tuple to hash.
        self._hot: dict[str, dict[str | None, _Subscription]] = {
            name: {} for name in wire.HOT_CHANNELS
        }
        self._ids = MessageIds()
        self._sends: list[EngineNs] = []
        self._alive_at: EngineNs = 0
        self._frame_at: EngineNs = 0
        self._gap = False
        self._accounts = False  # whether any channel of this connection is of an account
        for channel in channels:
            self._add(channel, 0)

    # ---------------------------------------------------------------- what the driver calls

    def connected(self, now: EngineNs) -> Output:
        """Begin to subscribe, two a second."""
        self._ids = MessageIds()
        self._sends = []
        self._alive_at = self._frame_at = now
        self._gap = False
        for subscription in self._subscriptions.values():
            subscription.channel.lost()
            subscription.reset(now)
        self._add_wanted(now)
        return Output(send=self._due(now))

    def received(self, frame: bytes, now: EngineNs) -> Output:
        """One frame of JSON text.

        Prices and book updates are nearly all that comes, so on a market connection a frame is
        first taken for one of these and decoded in one go; what does not fit is read again in two
        stages, which alone judges whether it is sound.
        """
        if self._accounts:
            return self._of_account(frame, now)
        try:
            hot = _hot_frame(frame)
            subscription = self._hot[hot.channel][hot.id]
        except (ValueError, RecursionError, KeyError):
            return self._two_staged(frame, now)
        message_id, ids = hot.message_id, self._ids
        # If it is the next, nothing is missing, and nothing newer came before it.
        if message_id != ids.next or not subscription.listens:
            return self._two_staged(frame, now)
        ids.next = message_id + 1
        subscription.data_at = now
        subscription.last_id = message_id
        update = subscription.update  # first the attribute: a call of it would look for a method
        try:
            events = update(hot.contents, message_id, now)
        except DecodeError as error:
            return self._spoiled(subscription, error, now)
        if events:
            subscription.told_at = now
            return Output(events)
        if now - subscription.told_at < PROGRESS_NS:
            return NOTHING
        return self._without_news(subscription, NOTHING, now)

    def _of_account(self, frame: bytes, now: EngineNs) -> Output:
        """Likewise the updates of accounts, which a connection of accounts brings."""
        try:
            told = _account_frame(frame)
        except (ValueError, RecursionError):
            return self._two_staged(frame, now)
        subscription = self._by_key.get((told.channel, told.id))
        if subscription is None or subscription.account is None or told.type != "channel_data":
            return self._two_staged(frame, now)
        self._frame_at = now
        self._ids.seen(told.message_id, now)
        return self._data(told, now, batch=False)

    def _two_staged(self, frame: bytes, now: EngineNs) -> Output:
        told = envelope(frame)
        self._frame_at = now
        self._ids.seen(told.message_id, now)
        kind = told.type
        if kind == "channel_data":
            return self._data(told, now, batch=False)
        if kind == "channel_batch_data":
            return self._data(told, now, batch=True)
        if kind == "subscribed":
            return self._subscribed(told, now)
        if kind == "error":
            return self._error(told, now)
        if kind in {"connected", "unsubscribed", "pong"}:
            return NOTHING
        raise DecodeError(f"dYdX frame type {kind[:40]!r} is unknown.", sample=frame)

    def heartbeat(self, now: EngineNs) -> Output:
        """The server's ping frame, every 30 s. Its application-level pong is gone since 2024."""
        self._alive_at = self._frame_at = now
        return NOTHING

    def tick(self, now: EngineNs) -> Output:
        """Judge silence and gaps, retry what failed, subscribe what is due."""
        fault = self._fault(now)
        if fault is not None:
            self._gap = isinstance(fault, SequenceGap)
            return Output(fault=fault)
        self._add_wanted(now)
        events: list[Event] = []
        sends: list[bytes] = []
        for subscription in self._subscriptions.values():
            channel = subscription.channel
            events += channel.tick(now)
            if subscription.phase == "sent" and now - subscription.sent_at > ACK_TIMEOUT_NS:
                subscription.timeouts += 1
                self._retry(subscription, now)
            elif subscription.phase == "open" and (why := self._wants_snapshot(subscription, now)):
                events += lost(channel, why)
                sends.append(_message("unsubscribe", channel))
                self._retry(subscription, now, wait_ns=SECOND_NS)
        events += self._vouched(now)
        return Output(tuple(events), send=(*sends, *self._due(now)))

    def disconnected(self, reason: str, now: EngineNs) -> Output:
        """Nothing that came over this connection is kept current any more."""
        events = [
            event
            for subscription in self._subscriptions.values()
            if subscription.phase == "open"
            for event in lost(subscription.channel, reason, gap=self._gap)
        ]
        for subscription in self._subscriptions.values():
            subscription.channel.lost()
            subscription.reset(now)
        return Output(tuple(events))

    # ------------------------------------------------------------------------------- frames

    def _data(
        self, told: wire.Envelope | wire.AccountFrame, now: EngineNs, *, batch: bool
    ) -> Output:
        subscription = self._by_key.get((told.channel, told.id))
        if (
            subscription is None
            or told.message_id <= subscription.last_id
            or not subscription.listens
        ):
            return NOTHING  # not (or no longer) asked for, or older than what was already said
        subscription.last_id = told.message_id
        subscription.data_at = now
        number = told.subaccountNumber
        try:
            if isinstance(told, wire.Envelope):
                output = subscription.channel.data(
                    told.contents, told.message_id, now, batch=batch, number=number
                )
            elif subscription.account is not None:
                output = subscription.account.changed([told.contents], number, now)
            else:
                return NOTHING
        except DecodeError as error:
            return self._spoiled(subscription, error, now)
        if output.events:
            subscription.told_at = now
            return output
        return self._without_news(subscription, output, now)

    def _without_news(self, subscription: _Subscription, output: Output, now: EngineNs) -> Output:
        """A message that changed nothing is still a sign of life, told once a second."""
        if subscription.phase != "open" or now - subscription.told_at < PROGRESS_NS:
            return output
        subscription.told_at = now
        progress = ChannelProgressed(venue=VENUE, channel=subscription.channel.name)
        return Output((progress,), refresh=output.refresh)

    def _subscribed(self, told: wire.Envelope, now: EngineNs) -> Output:
        subscription = self._by_key.get((told.channel, told.id))
        if subscription is None:
            return NOTHING
        channel = subscription.channel
        subscription.last_id = max(subscription.last_id, told.message_id)
        try:
            output = channel.subscribed(told.contents, told.message_id, now)
        except DecodeError as error:
            return self._renewed(subscription, error, now)
        subscription.enter("open")
        subscription.attempts = subscription.timeouts = 0
        subscription.told_at = subscription.data_at = now
        return Output((*opened(channel), *output.events), refresh=output.refresh)

    def _spoiled(self, subscription: _Subscription, error: DecodeError, now: EngineNs) -> Output:
        """A message of a channel was not understood: what it said must come from elsewhere."""
        if not subscription.channel.incremental:
            return Output(fault=error, refresh=subscription.channel.heals)
        return self._renewed(subscription, error, now)

    def _renewed(self, subscription: _Subscription, error: DecodeError, now: EngineNs) -> Output:
        """Only a new snapshot can heal this channel: leave it and subscribe again."""
        was_open = subscription.phase == "open"
        self._retry(subscription, now)
        return Output(
            lost(subscription.channel, str(error), gap=True) if was_open else (),
            send=(_message("unsubscribe", subscription.channel),),
            fault=error,
            refresh=subscription.channel.heals,
        )

    def _error(self, told: wire.Envelope, now: EngineNs) -> Output:
        """The server refuses something. Its texts are all there is to go by."""
        text = told.message[:300]
        if "blocked" in text:
            raise AuthError(f"dYdX refuses to serve this client or address: {text}")
        if any(limit in text for limit in _LIMITS):
            raise TransientFeedError(
                f"dYdX refused a subscription for its limits: {text} The connection is opened anew"
                " and subscribed at two a second.",
                retry_after_s=5.0,
            )
        subscription = self._meant(told)
        if _FETCH_FAILED in text:
            if subscription is None:
                return NOTHING  # the overdue acknowledgement will tell which one
            was_open = subscription.phase == "open"
            self._retry(subscription, now)
            return Output(lost(subscription.channel, text) if was_open else ())
        if "already subscribed" in text:
            if subscription is not None and subscription.phase == "open":
                return NOTHING
            raise TransientFeedError(f"dYdX lost count of our subscriptions: {text}")
        if text.startswith("Invalid subscription id") and subscription is not None:
            subscription.enter("refused")
            return Output(lost(subscription.channel, text))
        return Output(fault=DecodeError(f"dYdX answered with an error: {text}"))

    def _meant(self, told: wire.Envelope) -> _Subscription | None:
        """Which subscription an error is about; some name neither channel nor id."""
        if told.channel is not None:
            return self._by_key.get((told.channel, told.id))
        for subscription in self._subscriptions.values():
            if subscription.phase != "sent":
                continue
            channel = subscription.channel
            if f"({channel.wire_name}-{channel.wire_id})" in told.message:
                return subscription
        sent = [
            subscription
            for subscription in self._subscriptions.values()
            if subscription.phase == "sent"
            and told.message.endswith((f": {subscription.channel.wire_name}.",
                                       f": {subscription.channel.wire_name}"))
        ]  # fmt: skip
        return sent[0] if len(sent) == 1 else None

    # ------------------------------------------------------------------------ life and death

    def _fault(self, now: EngineNs) -> FeedError | None:
        asked = sum(1 for s in self._subscriptions.values() if s.phase == "sent")
        missing = self._ids.overdue(now)
        if missing > asked:
            return SequenceGap(
                f"{missing} dYdX messages have been missing for more than 10 s; everything on"
                " this connection is read anew."
            )
        if now - self._alive_at > PING_SILENCE_NS:
            return TransientFeedError("No ping frame from dYdX for 40 s; it sends one every 30 s.")
        for subscription in self._subscriptions.values():
            if subscription.timeouts >= ACK_ATTEMPTS:
                return TransientFeedError(
                    f"dYdX did not acknowledge {subscription.channel.name} in {ACK_ATTEMPTS} tries."
                )
            if subscription.phase == "open" and (reason := self._silent(subscription, now)):
                return TransientFeedError(reason)
        return None

    def _silent(self, subscription: _Subscription, now: EngineNs) -> str | None:
        """Why the connection should be given up for one channel that is dead on a living socket.
        While the chain itself stands still, silence is nobody's fault."""
        if not self._heights.moving(now):
            return None
        silence_ns = now - subscription.data_at
        channel = subscription.channel.wire_name
        limit_ns = {V4_BLOCK_HEIGHT: BLOCKS_SILENT_NS, V4_MARKETS: CHANNEL_SILENT_NS}.get(channel)
        if limit_ns is None or silence_ns <= limit_ns:
            return None
        return f"dYdX {channel} is silent for {silence_ns // SECOND_NS} s while the chain moves."

    def _wants_snapshot(self, subscription: _Subscription, now: EngineNs) -> str | None:
        """Why one channel should be subscribed anew on the same socket."""
        channel = subscription.channel
        if channel.needs_snapshot:
            return channel.needs_snapshot
        if channel.cadence_s is None or not channel.incremental or not self._heights.moving(now):
            return None
        silence_ns = now - subscription.data_at
        if silence_ns <= CHANNEL_SILENT_NS:
            return None
        return f"The channel is silent for {silence_ns // SECOND_NS} s while the chain moves."

    def _vouched(self, now: EngineNs) -> list[Event]:
        """Progress of channels that speak only on change: frames come and none is missing."""
        asked = sum(1 for s in self._subscriptions.values() if s.phase == "sent")
        if not self._ids.whole(asked):
            return []
        events: list[Event] = []
        # Hot frames are noted with their channels alone.
        frame_at = max([self._frame_at, *(s.data_at for s in self._subscriptions.values())])
        for subscription in self._subscriptions.values():
            if subscription.phase != "open" or subscription.channel.cadence_s is not None:
                continue
            if frame_at - subscription.told_at >= QUIET_PROGRESS_NS:
                subscription.told_at = now
                name = subscription.channel.name
                events.append(ChannelProgressed(venue=VENUE, channel=name))
        return events

    # ------------------------------------------------------------------------- subscriptions

    def _add(self, channel: Channel, now: EngineNs) -> None:
        if channel.name in self._subscriptions:
            return
        subscription = _Subscription(channel)
        subscription.reset(now)
        self._subscriptions[channel.name] = subscription
        self._accounts = self._accounts or subscription.account is not None
        # Replies of v4_block_height bear the channel's name as id, those of v4_markets none.
        named = (None, channel.wire_name) if channel.wire_id is None else (channel.wire_id,)
        for name in named:
            self._by_key[channel.wire_name, name] = subscription
            if channel.wire_name in self._hot:
                self._hot[channel.wire_name][name] = subscription

    def _add_wanted(self, now: EngineNs) -> None:
        for channel in self._wanted():
            self._add(channel, now)

    def _retry(
        self, subscription: _Subscription, now: EngineNs, *, wait_ns: int | None = None
    ) -> None:
        """Subscribe again later, by default each time twice as late."""
        subscription.channel.lost()
        subscription.enter("waiting")
        if wait_ns is None:
            doubled = RETRY_FIRST_NS << min(max(subscription.attempts - 1, 0), 10)
            wait_ns = min(doubled, RETRY_MAX_NS)
        subscription.due_at = now + wait_ns

    def _due(self, now: EngineNs) -> tuple[bytes, ...]:
        """Subscriptions to send now, within the server's two a second."""
        self._sends = [at for at in self._sends if now - at < WINDOW_NS]
        sends: list[bytes] = []
        for subscription in self._subscriptions.values():
            if len(self._sends) >= SUBSCRIBES_PER_WINDOW:
                break
            if subscription.phase == "waiting" and subscription.due_at <= now:
                subscription.enter("sent")
                subscription.sent_at = now
                subscription.attempts += 1
                self._sends.append(now)
                sends.append(_message("subscribe", subscription.channel))
        return tuple(sends)


def _message(kind: str, channel: Channel) -> bytes:
    message: dict[str, str | bool] = {"type": kind, "channel": channel.wire_name}
    if channel.wire_id is not None:
        message["id"] = channel.wire_id
    if kind == "subscribe":
        message["batched"] = False  # a batch would arrive up to 250 ms late
    return msgspec.json.encode(message)
