"""One Hyperliquid connection as a state machine: subscribe, acknowledge, ping, judge silence.

``Connection`` knows the socket's rules; ``stream_market.py`` and ``stream_user.py`` know what is
subscribed and what the frames mean. A dropped connection comes without a reason from the venue (one
bad coin suffices), so the loss names what was sent in the second before. *Pure.*
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from monitor.core.errors import DecodeError, TransientFeedError
from monitor.core.events import ChannelLost, ChannelOpened, ChannelProgressed, Event
from monitor.core.ports import NOTHING, Output, Refresh
from monitor.core.types import SECOND_NS, EngineNs
from monitor.venues.hyperliquid.cadence import LearnedCadence
from monitor.venues.hyperliquid.decode import SILENT_CHANNELS, error_event
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.explain import UNREADABLE_JSON, refused
from monitor.venues.hyperliquid.knowledge import SUBSCRIPTIONS_MAX, Knowledge
from monitor.venues.hyperliquid.settings import VENUE
from monitor.venues.hyperliquid.subscriptions import PING, Key, Subscription, echo_index

PING_EVERY_NS = 30 * SECOND_NS
PONG_WITHIN_NS = 10 * SECOND_NS
ACKNOWLEDGE_WITHIN_NS = 10 * SECOND_NS
CADENCES_MISSED = 3
SILENCE_FLOOR_S = 5.0
RESUBSCRIBE_DOUBLINGS_MAX = 4
BLAME_WITHIN_NS = SECOND_NS  # a bad coin drops the connection in 90-155 ms
SENT_LOG_MAX = 1000

_ENVELOPE = msgspec.json.Decoder(wire.Envelope)
_ACKNOWLEDGEMENT = msgspec.json.Decoder(wire.Acknowledgement)
_TEXT = msgspec.json.Decoder(str)
_ECHO = msgspec.json.Decoder(wire.SubscriptionEcho)

FrameHandler = Callable[[msgspec.Raw, EngineNs], Output]


class Channel:
    """One subscription on this connection."""

    __slots__ = (
        "acknowledged",
        "attempts",
        "learned",
        "lost",
        "name",
        "opened",
        "resent",
        "seen_ns",
        "sent_ns",
        "subscription",
        "time_ns",
    )

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.name = subscription.channel
        self.sent_ns: EngineNs | None = None  # None: still queued
        self.acknowledged = False
        self.resent = False
        self.opened = False
        self.lost = False
        self.attempts = 0  # resubscriptions since it last spoke
        self.seen_ns: EngineNs = 0
        self.time_ns = 0  # newest venue time, for channels that carry one
        self.learned = LearnedCadence() if subscription.full_state else None

    @property
    def cadence_s(self) -> float | None:
        """How often it speaks while nothing is wrong, measured or learned; None: on change."""
        return self.subscription.cadence_s if self.learned is None else self.learned.announced_s

    def silence_limit_s(self) -> float | None:
        """Seconds of silence from which it is subscribed anew; None: its socket vouches for it."""
        if self.learned is not None:
            return self.learned.patience_s(min(self.attempts, RESUBSCRIBE_DOUBLINGS_MAX))
        cadence_s = self.subscription.cadence_s
        if cadence_s is None:
            return None
        limit_s = max(SILENCE_FLOOR_S, CADENCES_MISSED * cadence_s)
        return limit_s * (1 << min(self.attempts, RESUBSCRIBE_DOUBLINGS_MAX))

    def vouched_for(self, now: EngineNs) -> bool:
        """Whether a pong proves it alive. Not for what has a cadence, nor for long before one is
        learned."""
        if not self.opened or self.cadence_s is not None:
            return False
        learned = self.learned
        return learned is None or (
            not self.attempts and now - self.seen_ns <= learned.limit_s * SECOND_NS
        )


class Connection:
    """A ``StreamProtocol``; subclasses give ``wanted`` and the frame handlers."""

    venue = VENUE

    def __init__(self, knowledge: Knowledge, name: str, silence_s: float) -> None:
        self.knowledge = knowledge
        self.name = f"{VENUE}/{name}"
        self.url = knowledge.settings.socket_url
        self.silence_s = silence_s
        self.channels: dict[Key, Channel] = {}
        self.handlers: dict[str, FrameHandler] = {}
        self._queue: deque[tuple[bytes, Channel | None]] = deque()
        self._sent: deque[tuple[EngineNs, str]] = deque(maxlen=SENT_LOG_MAX)
        self._pinged_ns: EngineNs | None = None
        self._ping_due_ns: EngineNs = 0
        self._frames = 0
        self._blame: dict[Key, int] = {}
        self._banned: set[Key] = set()
        self._settled = False

    # ------------------------------------------------------------------ what subclasses say

    def wanted(self) -> Iterable[Subscription]:
        """Subscriptions that this connection should hold now."""
        raise NotImplementedError

    def subscribed(self, channel: Channel) -> None:
        """A channel was made for a subscription."""

    def settled(self) -> tuple[Refresh, ...]:
        """What to re-read once every subscription of a new connection is acknowledged."""
        return ()

    def judge(self, now: EngineNs) -> Output:
        """What else there is to do each second."""
        del now
        return NOTHING

    # -------------------------------------------------------------------------- the protocol

    def connected(self, now: EngineNs) -> Output:
        """Subscribe to everything wanted; the first ping is due in half a minute."""
        self._forget()
        self._ping_due_ns = now + PING_EVERY_NS
        lost = self.synchronize()
        return Output(events=lost, send=self._flush(now))

    def received(self, frame: bytes, now: EngineNs) -> Output:
        """One frame. Text that is no JSON is the greeting if it comes first."""
        self._frames += 1
        try:
            envelope = _ENVELOPE.decode(frame)
            handler = self.handlers.get(envelope.channel)
            if handler is not None:
                return handler(envelope.data, now)
            return self._control(envelope, frame, now)
        except UNREADABLE_JSON as error:
            if self._frames == 1 and not frame.lstrip().startswith(b"{"):
                return NOTHING
            raise refused(self.name.partition("/")[2], error, frame) from error
        except DecodeError as error:
            raise DecodeError(str(error), sample=frame) from error

    def heartbeat(self, now: EngineNs) -> Output:
        """The venue sends no control frames of its own; one would prove the socket alive."""
        del now
        return NOTHING

    def tick(self, now: EngineNs) -> Output:
        """Pings, overdue answers, silent channels, and what the subclass adds."""
        pinged = self._pinged_ns
        if pinged is not None and now - pinged > PONG_WITHIN_NS:
            return self._fault(f"no pong within {PONG_WITHIN_NS // SECOND_NS} s of a ping")
        for channel in self.channels.values():
            sent = channel.sent_ns
            if sent is None or channel.acknowledged or now - sent <= ACKNOWLEDGE_WITHIN_NS:
                continue
            if channel.resent:
                return self._fault(f"{channel.subscription.name} was not acknowledged, asked twice")
            channel.resent = True
            self._enqueue(channel)
        events = [*self.synchronize(), *self._silent(now)]
        judged = self.judge(now)
        send = self._flush(now)
        if now >= self._ping_due_ns and pinged is None:
            self._ping_due_ns = now + PING_EVERY_NS
            if self.knowledge.send_budget.take(1, now):
                self._pinged_ns = now
                send = (*send, PING)
        return Output(
            events=(*events, *judged.events),
            send=send,
            fault=judged.fault,
            refresh=judged.refresh,
        )

    def disconnected(self, reason: str, now: EngineNs) -> Output:
        """Nothing that was open is current any more; the reason names what was sent last."""
        recent = [name for sent, name in self._sent if now - sent <= BLAME_WITHIN_NS]
        if recent:
            shown = ", ".join(recent[:20]) + (" and more" if len(recent) > 20 else "")
            reason = f"{reason}; sent in the last second: {shown}"
        events: list[Event] = [
            self.loss(channel, reason) for channel in self.channels.values() if channel.opened
        ]
        events.extend(self._accuse(bool(recent)))
        self._forget()
        return Output(events=tuple(events))

    # ------------------------------------------------------------------------ for subclasses

    def loss(self, channel: Channel, reason: str, *, gap: bool = False) -> ChannelLost:
        """The event that a channel can no longer be trusted."""
        return ChannelLost(venue=VENUE, channel=channel.name, reason=reason, gap=gap)

    def opening(self, channel: Channel) -> ChannelOpened:
        """The event that a channel speaks (again); its state follows."""
        channel.opened = True
        channel.lost = False
        return ChannelOpened(
            venue=VENUE,
            channel=channel.name,
            feed=channel.subscription.feed,
            cadence_s=channel.cadence_s,
        )

    def spoke(self, channel: Channel, now: EngineNs) -> tuple[Event, ...]:
        """A channel brought data: it is alive, and open again if it was given up."""
        channel.seen_ns = now
        announces = channel.learned is not None and channel.learned.spoke(now)
        channel.attempts = 0
        return () if channel.opened and not announces else (self.opening(channel),)

    def resubscribe(self, channel: Channel, why: str) -> tuple[Event, ...]:
        """Unsubscribe and subscribe anew; from the second try on it counts as lost."""
        channel.attempts += 1
        channel.time_ns = 0  # a new subscription is not measured by what the old one said
        self._queue.append((channel.subscription.message("unsubscribe"), None))
        self._enqueue(channel)
        if channel.attempts < 2 or channel.lost:
            return ()
        channel.lost, channel.opened = True, False
        return (self.loss(channel, f"{why}; subscribing anew did not help", gap=True),)

    def synchronize(self) -> tuple[Event, ...]:
        """Queue what is wanted and not yet subscribed; events about what cannot be."""
        events: list[Event] = []
        for subscription in self.wanted():
            key = subscription.index
            if key in self.channels or key in self._banned:
                continue
            if self.knowledge.subscriptions >= SUBSCRIPTIONS_MAX:
                self._banned.add(key)
                channel = Channel(subscription)
                events.append(
                    self.loss(channel, f"the venue's limit of {SUBSCRIPTIONS_MAX} subscriptions"),
                )
                continue
            self.knowledge.subscriptions += 1
            channel = self.channels[key] = Channel(subscription)
            self.subscribed(channel)
            self._enqueue(channel)
        return tuple(events)

    # ------------------------------------------------------------------------------ internal

    def _enqueue(self, channel: Channel) -> None:
        channel.sent_ns = None
        channel.acknowledged = False
        self._queue.append((channel.subscription.message(), channel))

    def _flush(self, now: EngineNs) -> tuple[bytes, ...]:
        queue = self._queue
        allowed = self.knowledge.send_budget.take(len(queue), now) if queue else 0
        frames = []
        for _ in range(allowed):
            frame, channel = queue.popleft()
            frames.append(frame)
            if channel is not None:
                channel.sent_ns = now
                self._sent.append((now, channel.subscription.name))
        return tuple(frames)

    def _control(self, envelope: wire.Envelope, frame: bytes, now: EngineNs) -> Output:
        match envelope.channel:
            case "pong":
                return self._pong(now)
            case "subscriptionResponse":
                answer = _ACKNOWLEDGEMENT.decode(envelope.data)
                if answer.method != "subscribe":
                    return NOTHING
                return self._acknowledge(answer.subscription, now)
            case "error":
                return self._error(_TEXT.decode(envelope.data), frame, now)
            case channel if channel in SILENT_CHANNELS:
                return NOTHING
            case channel:
                raise DecodeError(f"{self.name}: channel is {channel[:40]!r}, which is unknown")

    def _pong(self, now: EngineNs) -> Output:
        self._pinged_ns = None
        return Output(
            events=tuple(
                ChannelProgressed(venue=VENUE, channel=channel.name)
                for channel in self.channels.values()
                if channel.vouched_for(now)
            ),
        )

    def _acknowledge(self, echo: wire.SubscriptionEcho, now: EngineNs) -> Output:
        channel = self.channels.get(echo_index(echo))
        if channel is None or not channel.subscription.matches(echo) or channel.acknowledged:
            return NOTHING
        channel.acknowledged, channel.resent = True, False
        channel.seen_ns = max(channel.seen_ns, now)
        self._blame.pop(channel.subscription.index, None)
        # A channel that fell silent is open again when it speaks, not when it promises to.
        events = () if channel.opened or channel.lost else (self.opening(channel),)
        if self._settled or not all(one.acknowledged for one in self.channels.values()):
            return Output(events=events)
        self._settled = True
        return Output(events=events, refresh=self.settled())

    def _error(self, text: str, frame: bytes, now: EngineNs) -> Output:
        complaint, _, rest = text.partition(":")
        if complaint == "Already unsubscribed":
            return NOTHING
        if complaint == "Already subscribed":
            try:
                return self._acknowledge(_ECHO.decode(rest.strip().encode()), now)
            except UNREADABLE_JSON:
                return NOTHING  # harmless either way: the channel is subscribed
        return Output(events=(error_event(text, frame),))

    def _silent(self, now: EngineNs) -> list[Event]:
        events: list[Event] = []
        for channel in self.channels.values():
            sent = channel.sent_ns
            if sent is None or not channel.acknowledged:
                continue
            limit_s = channel.silence_limit_s()
            if limit_s is None:
                continue
            silence_ns = now - max(channel.seen_ns, sent)
            if silence_ns > limit_s * SECOND_NS:
                why = f"silent for {silence_ns / SECOND_NS:.1f} s on a living connection"
                events.extend(self.resubscribe(channel, why))
        return events

    def _accuse(self, just_sent: bool) -> list[Event]:
        # Acknowledgements come in the order of sending, so the first subscription without one is
        # what the venue choked on. Twice the same: leave it out, and let the others live.
        if not just_sent:
            return []
        waiting = [one for one in self.channels.values() if one.sent_ns and not one.acknowledged]
        if not waiting or not waiting[0].subscription.coin:
            return []
        first = waiting[0]
        key = first.subscription.index
        self._blame[key] = self._blame.get(key, 0) + 1
        if self._blame[key] < 2:
            return []
        self._banned.add(key)
        reason = "the venue closed the connection twice right after this subscription"
        return [self.loss(first, f"{reason}; it is left out until restart")]

    def _fault(self, why: str) -> Output:
        return Output(fault=TransientFeedError(f"{self.name}: {why}"))

    def _forget(self) -> None:
        self.knowledge.subscriptions -= len(self.channels)
        self.channels.clear()
        self._queue.clear()
        self._sent.clear()
        self._pinged_ns = None
        self._frames = 0
        self._settled = False
