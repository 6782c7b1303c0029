"""One socket of the simulated Hyperliquid, apart from the socket: frames in, frames out.

``receive`` takes a client's text, ``pump`` is called after every step of the world; both only put
frames into ``outbox`` (the server writes them) or set ``dropped``. Time is the world's. Transport
faults are applied here, at the last moment before a frame would leave.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from monitor.sim.faults import FaultKind, Faults
from monitor.sim.hyperliquid import exchange, info, limits, pushes
from monitor.sim.hyperliquid.pushes import Feed
from monitor.sim.hyperliquid.subscriptions import (
    USER_KINDS,
    DropConnectionError,
    InvalidSubscriptionError,
    Subscription,
    UnreadableError,
    parse_subscription,
)
from monitor.sim.hyperliquid.wire import Json, JsonObject, encode
from monitor.sim.occurrences import WorldEvent
from monitor.sim.world import World

VENUE = "hyperliquid"
OUTBOX_MAX = 20_000
_connection_ids = itertools.count(1)


@dataclass(slots=True)
class Delayed:
    """A frame that a slow network still holds."""

    due_s: float
    text: str | bytes
    is_post: bool = False


class Connection:
    """State of one client connection. ``users_elsewhere`` tells which users the same caller
    already follows on other connections; ``wake`` is called when there is something to write."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        *,
        wake: Callable[[], None],
        siblings: Callable[[], Sequence[Connection]],
    ) -> None:
        self.outbox: deque[str | bytes] = deque()
        self.dropped = False
        self.feeds: dict[str, Feed] = {}
        self._world = world
        self._faults = faults
        self._wake = wake
        self._siblings = siblings
        self._delayed: deque[Delayed] = deque()
        self._acting = 0  # actions that have not been answered yet
        self._messages: deque[float] = deque()
        self._last_sent_s = world.now_s
        self._book_due_s = world.now_s + pushes.BOOK_PERIOD_S
        self._fast_due_s = world.now_s + pushes.FAST_BOOK_PERIOD_S
        self._garbage = random.Random(next(_connection_ids))  # noqa: S311 - noise, no secret

    # ---------------------------------------------------------------------------------- inwards

    def receive(self, text: str) -> None:
        """One text frame from the client."""
        if not self._within_message_limit():
            self._send(pushes.error("Too many messages. Limit: 2000 per minute."))
            return
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            self._unreadable(text)
            return
        method = request.get("method") if isinstance(request, dict) else None
        try:
            if method == "ping":
                self._send(pushes.PONG)
            elif method == "subscribe":
                self._subscribe(parse_subscription(self._world, request.get("subscription")))
            elif method == "unsubscribe":
                self._unsubscribe(parse_subscription(self._world, request.get("subscription")))
            elif method == "post":
                self._post(request)
            else:
                self._unreadable(text)
        except UnreadableError:
            self._unreadable(text)
        except InvalidSubscriptionError as problem:
            self._send(pushes.error(f"Invalid subscription {problem}"))
        except DropConnectionError:
            self.drop()

    def drop(self) -> None:
        """Cut the connection without a word."""
        self.dropped = True
        self._wake()

    @property
    def messages(self) -> int:
        """Client messages of the last minute."""
        return len(self._messages)

    def users(self) -> set[str]:
        """Distinct users followed on this connection."""
        return {
            feed.subscription.user
            for feed in self.feeds.values()
            if feed.subscription.kind in USER_KINDS
        }

    def _subscribe(self, sub: Subscription) -> None:
        if sub.key in self.feeds:
            self._send(pushes.error(f"Already subscribed: {encode(sub.echo)}"))
            return
        # Limits are per caller over all connections, and their texts do not say what was refused.
        everybody = self._siblings()
        if sum(len(other.feeds) for other in everybody) >= limits.SUBSCRIPTIONS_MAX:
            self._send(pushes.error("Cannot subscribe to more than 1000 channels."))
            return
        users = set().union(*(other.users() for other in everybody))
        if sub.user and sub.user not in users and len(users) >= limits.USERS_MAX:
            self._send(pushes.error("Cannot track more than 10 total users."))
            return
        feed = self.feeds[sub.key] = Feed(sub)
        self._send(pushes.acknowledgement("subscribe", sub.echo))
        frames = pushes.first_frames(self._world, feed)
        if sub.kind == "l2Book":
            frames = [pushes.book_frame(self._world, sub)]
        for text in frames:
            self._push(sub, text)

    def _unsubscribe(self, sub: Subscription) -> None:
        if self.feeds.pop(sub.key, None) is None:
            self._send(pushes.error(f"Already unsubscribed: {encode(sub.echo)}"))
        else:
            self._send(pushes.acknowledgement("unsubscribe", sub.echo))

    def _post(self, frame: JsonObject) -> None:
        request_id, request = frame.get("id"), frame.get("request")
        if isinstance(request_id, bool) or not isinstance(request_id, int):
            raise UnreadableError
        if not isinstance(request, dict) or not isinstance(request.get("payload"), dict):
            raise UnreadableError
        # In flight are those whose answer a slow network (or an overloaded venue) still holds.
        pending = sum(held.is_post for other in self._siblings() for held in other._delayed)
        pending += sum(other._acting for other in self._siblings())
        if pending >= limits.POSTS_IN_FLIGHT_MAX:
            text = f"too many pending post requests id={request_id}"
            self._send(pushes.error(text))
            return
        payload = request["payload"]
        if request.get("type") == "action":
            self._post_action(request_id, payload)
            return
        kind, answer = "error", "Unsupported request type."  # type: str, Json
        if request.get("type") == "info" and isinstance(payload, dict):
            kind, answer = self._post_info(payload)
        self._send(pushes.post_reply(request_id, kind, answer), is_post=True)

    def _post_info(self, payload: JsonObject) -> tuple[str, Json]:
        try:
            data = info.reply(self._world, payload)
        except info.BadRequestError:
            return "error", info.UNREADABLE
        except info.UnknownNameError:
            data = None
        return "info", {"type": payload["type"], "data": data}

    def _post_action(self, request_id: int, payload: Json) -> None:
        """An action: its answer is the raw one of ``/exchange``, an HTTP error becomes a text."""
        self._acting += 1

        def reply(answer: info.Answer) -> None:
            self._acting -= 1
            if answer.status == 200:
                frame = pushes.post_reply(request_id, "action", orjson.loads(answer.body))
            else:
                frame = pushes.post_reply(request_id, "error", answer.body.decode())
            self._send(frame, is_post=True)

        exchange.submit(self._world, orjson.dumps(payload), reply)

    def _unreadable(self, text: str) -> None:
        self._send(pushes.error(f"Error parsing JSON into valid websocket request: {text}"))

    def _within_message_limit(self) -> bool:
        now_s = self._world.now_s
        while self._messages and self._messages[0] <= now_s - 60.0:
            self._messages.popleft()
        self._messages.append(now_s)
        everybody = self._siblings()
        return sum(other.messages for other in everybody) <= limits.MESSAGES_PER_MINUTE

    # --------------------------------------------------------------------------------- outwards

    def pump(self, events: Sequence[WorldEvent]) -> None:
        """The world moved: push what is due, and close when nothing was said for a minute."""
        now_s = self._world.now_s
        while self._delayed and self._delayed[0].due_s <= now_s:
            self._put(self._delayed.popleft().text)
        book_due, fast_due = now_s >= self._book_due_s, now_s >= self._fast_due_s
        for feed in tuple(self.feeds.values()):
            sub = feed.subscription
            if sub.kind == "l2Book":
                if fast_due if sub.fast else book_due:
                    self._push(sub, pushes.book_frame(self._world, sub))
                continue
            if sub.user and events:
                for text in pushes.event_frames(self._world, feed, events):
                    self._push(sub, text)
            for text in pushes.due_frames(self._world, feed):
                self._push(sub, text)
        if book_due:
            self._book_due_s = max(self._book_due_s + pushes.BOOK_PERIOD_S, now_s)
        if fast_due:
            self._fast_due_s = max(self._fast_due_s + pushes.FAST_BOOK_PERIOD_S, now_s)
        # A cut would not reach the client through a half-open link either.
        if now_s - self._last_sent_s >= limits.SILENCE_S and not self._faults.holds(
            FaultKind.HALF_OPEN, VENUE
        ):
            self.drop()

    def _push(self, sub: Subscription, text: str) -> None:
        """A frame of a subscription: it may get lost or damaged on the way."""
        if self._faults.holds(FaultKind.DEAD_CHANNEL, VENUE, sub.kind, sub.subject):
            return
        lost = self._faults.find(FaultKind.LOST_FRAMES, VENUE, sub.kind, sub.subject)
        if lost is not None and self._garbage.random() < lost.ratio:
            return
        fault = self._faults.find(FaultKind.GARBAGE_FRAMES, VENUE, sub.kind, sub.subject)
        if fault is not None and self._garbage.random() < fault.ratio:
            self._send(spoil(text, self._garbage.randrange(5)))
            return
        self._send(text)

    def _send(self, text: str | bytes, *, is_post: bool = False) -> None:
        self._last_sent_s = self._world.now_s
        if self._faults.holds(FaultKind.HALF_OPEN, VENUE):
            return  # it believes that it sent
        slow = self._faults.find(FaultKind.SLOW, VENUE)
        if slow is not None:
            self._delayed.append(Delayed(self._world.now_s + slow.delay_s, text, is_post))
        elif self._delayed:
            due_s = self._delayed[-1].due_s  # no overtaking
            self._delayed.append(Delayed(due_s, text, is_post))
        else:
            self._put(text)

    def _put(self, text: str | bytes) -> None:
        if len(self.outbox) >= OUTBOX_MAX:
            self.drop()  # a client that does not read loses its connection
            return
        self.outbox.append(text)
        self._wake()


def spoil(text: str, way: int) -> str | bytes:
    """A frame nobody can use, one of five ways."""
    if way == 0:
        return text[: len(text) // 2]
    if way == 1:
        return "<html><body>502 Bad Gateway</body></html>"
    if way == 2:
        return b"\x00\xff\xfe" + text.encode()[:40]
    if way == 3:
        return encode({"channel": orjson.loads(text)["channel"], "data": {"unexpected": True}})
    # Every number becomes an empty string: the envelope is fine, the payload is not.
    body = orjson.loads(text)
    return encode({"channel": body["channel"], "data": _without_numbers(body["data"])})


def _without_numbers(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_numbers(item) for item in value]
    if isinstance(value, str) and value[:1] in "-0123456789" and value[:2] != "0x":
        return ""
    return value
