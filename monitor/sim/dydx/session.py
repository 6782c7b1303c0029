"""One WebSocket connection as the dYdX indexer keeps it, without a socket.

Message ids, subscription checks in the venue's order, limits, error texts and the 250 ms batches
live here; fetching a snapshot, sending and closing are the caller's. Ids are counted per
connection: a valid subscribe reserves one for its later answer, an unsubscribe and every data
message use one, an error never does. Source: v4-chain ``indexer/services/socks`` (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from monitor.sim.dydx.limits import SlidingLimit

Contents = Mapping[str, object]

MARKETS = "v4_markets"
SUBACCOUNTS = "v4_subaccounts"
PARENT_SUBACCOUNTS = "v4_parent_subaccounts"
ORDERBOOK = "v4_orderbook"
TRADES = "v4_trades"
CANDLES = "v4_candles"
BLOCK_HEIGHT = "v4_block_height"

CHANNEL_CAPS = {
    SUBACCOUNTS: 256,
    ORDERBOOK: 32,
    TRADES: 32,
    MARKETS: 32,
    CANDLES: 32,
    PARENT_SUBACCOUNTS: 256,
    BLOCK_HEIGHT: 1,
}
VERSIONS = {
    SUBACCOUNTS: "3.0.0",
    PARENT_SUBACCOUNTS: "3.0.0",
    ORDERBOOK: "1.0.0",
    TRADES: "2.1.0",
    MARKETS: "1.0.0",
    CANDLES: "1.0.0",
    BLOCK_HEIGHT: "1.0.0",
}
# Resolutions and their length in seconds.
RESOLUTIONS = {
    "1MIN": 60,
    "5MINS": 300,
    "15MINS": 900,
    "30MINS": 1800,
    "1HOUR": 3600,
    "4HOURS": 14400,
    "1DAY": 86400,
}
SUBACCOUNT_NUMBERS = 128_000
PARENT_NUMBERS = 128
# Our own words: clients look for "this address ... has been blocked".
BLOCKED_TEXT = "For compliance reasons of the simulated venue this address has been blocked."


class Closing(NamedTuple):
    """A close frame to send."""

    code: int
    reason: str


RATE_LIMITED = Closing(1008, '{"message":"Rate limited"}')
HEARTBEAT_TIMEOUT = Closing(1011, "Heartbeat timeout")
SERVICE_RESTARTING = Closing(1012, '{"message":"Service restarting"}')


class Asked(NamedTuple):
    """A subscribe request whose snapshot is to be fetched; ``id`` is what the client wrote."""

    message_id: int
    channel: str
    id: str | None
    key: str
    batched: bool


class Reaction(NamedTuple):
    """What follows from one client message."""

    send: tuple[bytes, ...] = ()
    fetch: Asked | None = None
    close: Closing | None = None


class _Held(NamedTuple):
    """A data message waiting for the next batch."""

    contents: Contents
    version: str
    subaccount_number: int | None


class Session:
    """The server's side of one connection. Times are seconds of any steady clock."""

    def __init__(self, connection_id: str, is_ticker: Callable[[str], bool]) -> None:
        self.connection_id = connection_id
        self.message_id = 0
        self._is_ticker = is_ticker
        self._subscribed: dict[tuple[str, str], bool] = {}
        self._counted = dict.fromkeys(CHANNEL_CAPS, 0)
        self._held: dict[tuple[str, str], list[_Held]] = {}
        self._subscribes = SlidingLimit(points=2, window_s=1.0)
        self._invalid = SlidingLimit(points=2, window_s=1.0)

    def opened(self) -> bytes:
        """The ``connected`` greeting, always with message id 0."""
        return _encode(
            {"type": "connected", "connection_id": self.connection_id, "message_id": 0},
        )

    def received(self, text: str | bytes, now_s: float) -> Reaction:
        """Judge one client message."""
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._refuse("Invalid message: could not parse", now_s)
        if message is None:
            return Reaction(send=(self._error("Internal error", self.message_id),))
        kind = message.get("type") if isinstance(message, dict) else None
        if not kind:
            return self._refuse("Invalid message: type is required", now_s)
        if kind == "ping":
            return Reaction()  # accepted and ignored: no pong object since 2024
        if kind not in {"subscribe", "unsubscribe"}:
            return self._refuse(f"Invalid message type: {kind}", now_s)
        problem = _channel_problem(message)
        if problem is not None:
            return Reaction(send=(self._error(problem, self.message_id),))
        self.message_id += 1
        channel = str(message["channel"])
        written_id = message.get("id")
        if written_id is not None:
            written_id = str(written_id)
        if kind == "unsubscribe":
            return self._unsubscribe(channel, written_id)
        return self._subscribe(channel, written_id, bool(message.get("batched", False)), now_s)

    def fetched(self, asked: Asked, contents: Contents) -> tuple[bytes, ...]:
        """Register the subscription and answer with its snapshot.

        Events between the fetch and this call were never meant for the subscription: they are
        lost, as they are at the venue.
        """
        if (asked.channel, asked.key) in self._subscribed:
            text = f"Invalid subscribe message: already subscribed ({asked.channel}-{asked.key})"
            return self._drop_asked(asked, text)
        self._subscribed[asked.channel, asked.key] = asked.batched
        reply: dict[str, object] = {
            "type": "subscribed",
            "connection_id": self.connection_id,
            "message_id": asked.message_id,
            "channel": asked.channel,
        }
        if asked.channel != MARKETS:
            reply["id"] = asked.key
        reply["contents"] = contents
        return (_encode(reply),)

    def fetch_failed(self, asked: Asked, *, blocked: bool = False) -> tuple[bytes, ...]:
        """The snapshot could not be had; the request leaves nothing behind but its used id."""
        internal = f"Internal error, could not fetch data for subscription: {asked.channel}."
        return self._drop_asked(asked, BLOCKED_TEXT if blocked else internal)

    def publish(
        self,
        channel: str,
        key: str,
        contents: Contents,
        *,
        subaccount_number: int | None = None,
        lose: bool = False,
    ) -> bytes | None:
        """One data message to send now, or ``None`` where nobody asked or it waits for a batch.

        ``lose`` uses the message's id without sending it, as when the venue drops a frame.
        """
        batched = self._subscribed.get((channel, key))
        if batched is None:
            return None
        version = VERSIONS[channel]
        if batched:
            held = _Held(contents, version, subaccount_number)
            self._held.setdefault((channel, key), []).append(held)
            return None
        frame = self._data("channel_data", channel, key, version, contents, subaccount_number)
        return None if lose else frame

    def flush(self) -> tuple[bytes, ...]:
        """The batches of this quarter second, grouped by version and then by child subaccount."""
        frames = []
        held, self._held = self._held, {}
        for (channel, key), messages in held.items():
            groups: dict[tuple[str, int | None], list[Contents]] = {}
            for message in messages:
                group = (message.version, message.subaccount_number)
                groups.setdefault(group, []).append(message.contents)
            for (version, number), contents in groups.items():
                frames.append(
                    self._data("channel_batch_data", channel, key, version, contents, number),
                )
        return tuple(frames)

    def subscriptions(self) -> tuple[tuple[str, str], ...]:
        """(channel, key) of everything registered."""
        return tuple(self._subscribed)

    def _subscribe(
        self, channel: str, written: str | None, batched: bool, now_s: float
    ) -> Reaction:
        asked = Asked(self.message_id, channel, written, written or channel, batched)
        self._counted[channel] += 1
        if not _id_fits(channel, written, self._is_ticker):
            return self._refuse_asked(
                asked,
                f"Invalid subscription id for channel: ({channel}-{written})",
            )
        cap = CHANNEL_CAPS[channel]
        if self._counted[channel] > cap:
            return self._refuse_asked(
                asked,
                f"Per-connection subscription limit reached for {channel} (limit={cap}).",
            )
        if not self._subscribes.allow(f"{channel}{asked.key}", now_s):
            # The two spaces are the venue's.
            text = (
                f"Too many subscribe attempts for channel {channel}-{asked.key}. Please "
                " reconnect and try again."
            )
            return self._refuse_asked(asked, text)._replace(close=RATE_LIMITED)
        return Reaction(fetch=asked)

    def _unsubscribe(self, channel: str, written: str | None) -> Reaction:
        key = written or channel
        if self._subscribed.pop((channel, key), None) is not None:
            self._counted[channel] -= 1
        self._held.pop((channel, key), None)
        reply: dict[str, object] = {
            "type": "unsubscribed",
            "connection_id": self.connection_id,
            "message_id": self.message_id,
            "channel": channel,
        }
        if channel != MARKETS and written is not None:
            reply["id"] = written
        return Reaction(send=(_encode(reply),))

    def _refuse(self, text: str, now_s: float) -> Reaction:
        """An invalid message: an error, or the end of the connection at the third in a second."""
        if self._invalid.allow("", now_s):
            return Reaction(send=(self._error(text, self.message_id),))
        last = "Too many invalid messages. Please reconnect and try again."
        return Reaction(send=(self._error(last, self.message_id),), close=RATE_LIMITED)

    def _refuse_asked(self, asked: Asked, text: str) -> Reaction:
        self._counted[asked.channel] -= 1
        return Reaction(send=(self._error(text, asked.message_id),))

    def _drop_asked(self, asked: Asked, text: str) -> tuple[bytes, ...]:
        self._counted[asked.channel] -= 1
        return (self._error(text, asked.message_id, asked),)

    def _error(self, text: str, message_id: int, asked: Asked | None = None) -> bytes:
        reply: dict[str, object] = {
            "type": "error",
            "message": text,
            "connection_id": self.connection_id,
            "message_id": message_id,
        }
        if asked is not None:
            reply["channel"] = asked.channel
            if asked.id is not None:
                reply["id"] = asked.id
        return _encode(reply)

    def _data(
        self,
        kind: str,
        channel: str,
        key: str,
        version: str,
        contents: Contents | Sequence[Contents],
        subaccount_number: int | None,
    ) -> bytes:
        self.message_id += 1
        reply: dict[str, object] = {
            "type": kind,
            "connection_id": self.connection_id,
            "message_id": self.message_id,
        }
        if channel != MARKETS:
            reply["id"] = key
        reply.update(channel=channel, version=version, contents=contents)
        if subaccount_number is not None and channel != MARKETS:
            reply["subaccountNumber"] = subaccount_number
        return _encode(reply)


def _channel_problem(message: Mapping[str, object]) -> str | None:
    """What is wrong with the channel or the type of the id; the venue writes JavaScript's names."""
    channel = message.get("channel")
    if not channel:
        return "Invalid subscribe message: channel is required"
    if channel not in CHANNEL_CAPS:
        return f"Invalid channel: {channel}"
    if channel in {MARKETS, BLOCK_HEIGHT} or isinstance(message.get("id"), str):
        return None
    written = message.get("id", "undefined")
    return f"Invalid id: {'null' if written is None else written}"


def _id_fits(channel: str, written: str | None, is_ticker: Callable[[str], bool]) -> bool:
    if channel in {MARKETS, BLOCK_HEIGHT}:
        return True
    if written is None:
        return False
    if channel in {ORDERBOOK, TRADES}:
        return is_ticker(written)
    first, _, second = written.partition("/")
    if channel == CANDLES:
        return is_ticker(first) and second in RESOLUTIONS
    limit = SUBACCOUNT_NUMBERS if channel == SUBACCOUNTS else PARENT_NUMBERS
    return second.lstrip("-").isdecimal() and int(second) < limit


def _encode(message: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(message)
