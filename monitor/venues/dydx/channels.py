"""What each WebSocket channel of dYdX v4 says, apart from the connection it comes over.

A channel turns a snapshot or an update into events and keeps what it needs to do so (a book, the
rows of all markets, the pools of an account). Connections, ids and pacing are ``stream``'s. *Pure.*
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import (
    BookTopSeen,
    ChannelLost,
    ChannelOpened,
    DepthSeen,
    Event,
)
from monitor.core.ports import NOTHING, Output, Refresh
from monitor.core.types import SECOND_NS, EngineNs, channel_id
from monitor.venues.dydx.book import Book, Top
from monitor.venues.dydx.codec import markets, wire
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.settings import MAJORS, VENUE

V4_MARKETS = "v4_markets"
V4_BLOCK_HEIGHT = "v4_block_height"
V4_ORDERBOOK = "v4_orderbook"
V4_TRADES = "v4_trades"
V4_CANDLES = "v4_candles"
V4_PARENT_SUBACCOUNTS = "v4_parent_subaccounts"
V4_SUBACCOUNTS = "v4_subaccounts"

DEPTH_BAND_RATIO = 0.0025
DEPTH_EVERY_NS = SECOND_NS  # a walk through all levels, dearer than ten updates
# A book cut off at 100 levels loses sight of its band as prices move away from the snapshot.
RESNAPSHOT_AFTER_NS = 60 * SECOND_NS
_PENDING_MAX = 2000
RECONCILE_S = 3.0  # after a snapshot: events between its fetch and its registration are lost

_SNAPSHOT = wire.decoder(wire.BookSnapshot)
_DELTA = wire.decoder(wire.BookDelta)
MOVED = "Prices moved away from the part of the book that was seen."
_DELTAS = wire.decoder(list[wire.BookDelta])
_RAWS = wire.decoder(list[msgspec.Raw])


def opened(channel: Channel) -> tuple[ChannelOpened, ...]:
    """Its subscription was acknowledged: so are all its parts."""
    names = ((channel.name, channel.cadence_s), *channel.parts)
    return tuple(
        ChannelOpened(venue=VENUE, channel=name, feed=channel.wire_name, cadence_s=cadence_s)
        for name, cadence_s in names
    )


def lost(channel: Channel, reason: str, *, gap: bool = False) -> tuple[ChannelLost, ...]:
    """Its subscription can no longer be trusted, in no part."""
    names = (channel.name, *(name for name, _ in channel.parts))
    return tuple(
        ChannelLost(venue=VENUE, channel=name, reason=reason[:300], gap=gap) for name in names
    )


class Channel(Protocol):
    """One subscription's content.

    ``cadence_s`` is how often it speaks while nothing is wrong; None if only on change. ``parts``
    are further channels told by the same subscription, each by a producer and at a pace of its own.
    ``heals`` re-reads over REST what a lost or undecodable message may have said.
    ``needs_snapshot`` asks for a new subscription, because only that can heal it, and says why;
    empty while none is needed.
    """

    wire_name: str
    wire_id: str | None
    name: str
    cadence_s: float | None
    parts: tuple[tuple[str, float], ...]
    heals: tuple[Refresh, ...]
    needs_snapshot: str
    incremental: bool  # a lost update spoils it until the next snapshot

    def subscribed(self, raw: msgspec.Raw, message_id: int, now: EngineNs) -> Output:
        """The snapshot. Raises ``DecodeError``."""
        ...

    def data(
        self, raw: msgspec.Raw, message_id: int, now: EngineNs, *, batch: bool, number: int | None
    ) -> Output:
        """An update, or several. Raises ``DecodeError``."""
        ...

    def update(
        self, contents: wire.HotContents, message_id: int, now: EngineNs
    ) -> tuple[Event, ...]:
        """An update that came in a ``wire.HotFrame``, decoded already. Raises ``DecodeError``."""
        ...

    def tick(self, now: EngineNs) -> tuple[Event, ...]:
        """What was held back and is due."""
        ...

    def lost(self) -> None:
        """The subscription is gone: forget what only it kept current."""
        ...


class PlainChannel:
    """A channel that keeps nothing of its own between messages."""

    wire_name: str
    wire_id: str | None = None
    name: str
    cadence_s: float | None = None
    parts: tuple[tuple[str, float], ...] = ()
    heals: tuple[Refresh, ...] = ()
    needs_snapshot = ""
    incremental = False

    def update(
        self, contents: wire.HotContents, message_id: int, now: EngineNs
    ) -> tuple[Event, ...]:
        """None of its frames is a ``wire.HotFrame``."""
        del contents, message_id, now
        return ()

    def tick(self, now: EngineNs) -> tuple[Event, ...]:
        """Nothing is held back."""
        del now
        return ()

    def lost(self) -> None:
        """Nothing is kept."""


class MarketsChannel(PlainChannel):
    """All markets at once. One silent ticker is no news; the channel's silence is."""

    wire_name = V4_MARKETS
    name = markets.MARKETS_CHANNEL
    cadence_s: float | None = 30.0  # of statistics
    # Of a hundred-odd markets some price moves with nearly every block.
    parts: tuple[tuple[str, float], ...] = ((markets.ORACLE_CHANNEL, 5.0),)

    def __init__(self, universe: markets.Universe, reread: str) -> None:
        self._universe = universe
        self.heals = (Refresh(reread, RECONCILE_S),)

    def subscribed(self, raw: msgspec.Raw, message_id: int, now: EngineNs) -> Output:
        """Every market whole; re-read soon, since prices told meanwhile were lost."""
        del message_id
        return Output(tuple(self._universe.stream(raw, now)), refresh=self.heals)

    def data(
        self, raw: msgspec.Raw, message_id: int, now: EngineNs, *, batch: bool, number: int | None
    ) -> Output:
        """Oracle prices, or differences of trading statistics, or a market whole."""
        del message_id, number
        return Output(tuple(self._universe.stream(raw, now, batch=batch)))

    def update(
        self, contents: wire.HotContents, message_id: int, now: EngineNs
    ) -> tuple[Event, ...]:
        """The same, one message and decoded already."""
        del message_id
        return self._universe.update(contents, now)

    def tick(self, now: EngineNs) -> tuple[Event, ...]:
        """Running funding rates that were held back at the start of the hour."""
        return tuple(self._universe.due(now))


class HeightChannel(PlainChannel):
    """One message per block: the socket's best proof of life.

    Every connection subscribes to it; only the first one's are facts about the chain, so that two
    sockets do not make the height go back and forth.
    """

    wire_name = V4_BLOCK_HEIGHT
    cadence_s: float | None = 1.0  # 0.6 to 1.1 s a block on mainnet, by governance

    def __init__(self, heights: ChainHeights, *, key: str = "") -> None:
        self._heights = heights
        self.name = channel_id(VENUE, V4_BLOCK_HEIGHT, key)
        self._tells = not key

    def subscribed(self, raw: msgspec.Raw, message_id: int, now: EngineNs) -> Output:
        """The height now."""
        return self.data(raw, message_id, now, batch=False, number=None)

    def data(
        self, raw: msgspec.Raw, message_id: int, now: EngineNs, *, batch: bool, number: int | None
    ) -> Output:
        """The next block, or several."""
        del message_id, number
        raws = wire.read(_RAWS, raw, "v4_block_height batch") if batch else [raw]
        seen = [markets.height(one, self.name, "stream", now) for one in raws]
        for one in seen:
            self._heights.plausible(one.height, "block height")
        return Output(tuple(seen)) if self._tells else NOTHING

    def update(
        self, contents: wire.HotContents, message_id: int, now: EngineNs
    ) -> tuple[Event, ...]:
        """The same, one message and decoded already."""
        del message_id
        if contents.time is None or contents.block_height is None:
            raise DecodeError("dYdX block_height was not understood: it names no block.")
        seen = markets.block(contents.block_height, contents.time, self.name, "stream", now)
        self._heights.plausible(seen.height, "block height")
        return (seen,) if self._tells else ()


class BookChannel:
    """One order book: touch when it changes, depth at most once a second."""

    __slots__ = (
        "_book",
        "_depth",
        "_depth_due",
        "_depth_is_old",
        "_loaded_at",
        "_market",
        "_pending",
        "_saw_band",
        "_top",
        "cadence_s",
        "name",
        "needs_snapshot",
        "wire_id",
    )
    wire_name = V4_ORDERBOOK
    parts: tuple[tuple[str, float], ...] = ()
    heals: tuple[Refresh, ...] = ()
    incremental = True

    def __init__(self, market: str) -> None:
        self.wire_id: str | None = market
        self.name = channel_id(VENUE, V4_ORDERBOOK, market)
        # A major's book never rests; a quiet one is proven by its socket instead.
        self.cadence_s: float | None = 5.0 if market in MAJORS else None
        self.needs_snapshot = ""
        self._market = market
        self._book: Book | None = None
        self._pending: list[tuple[wire.BookDelta | wire.HotContents, int]] = []
        self._top: Top | None = None
        self._depth: tuple[float | None, float | None] | None = None
        self._depth_due: EngineNs = 0  # from when on it may be told again
        self._depth_is_old = False
        self._saw_band = False
        self._loaded_at: EngineNs = 0

    def subscribed(self, raw: msgspec.Raw, message_id: int, now: EngineNs) -> Output:
        """At most 100 levels a side, and the updates that overtook them."""
        rows = wire.read(_SNAPSHOT, raw, "v4_orderbook snapshot")
        bids = [(level.price, level.size) for level in rows.bids]
        asks = [(level.price, level.size) for level in rows.asks]
        self.lost_keeping_pending()
        book = Book.of(bids, asks, message_id)
        for delta, clock in self._pending:
            if clock > message_id:  # else left over from an earlier subscription
                book.apply(delta.bids, delta.asks, clock)
        self._pending = []
        self._book = book
        self._loaded_at = now
        self._saw_band = book.sees(DEPTH_BAND_RATIO)
        self.needs_snapshot = ""
        self._depth_is_old, self._depth_due = True, now
        return Output(self._news(book, now))

    def data(
        self, raw: msgspec.Raw, message_id: int, now: EngineNs, *, batch: bool, number: int | None
    ) -> Output:
        """Levels with their new absolute sizes."""
        del number
        if batch:
            deltas = wire.read(_DELTAS, raw, "v4_orderbook batch")
        else:
            deltas = [wire.read(_DELTA, raw, "v4_orderbook update")]
        events: tuple[Event, ...] = ()
        for delta in deltas:
            events += self.update(delta, message_id, now)
        return Output(events) if events else NOTHING

    def update(
        self, contents: wire.BookDelta | wire.HotContents, message_id: int, now: EngineNs
    ) -> tuple[Event, ...]:
        """The same, one message and decoded already."""
        book = self._book
        if book is None:
            # The snapshot's id is reserved when asked for; data may overtake it.
            if len(self._pending) < _PENDING_MAX:
                self._pending.append((contents, message_id))
            return ()
        self._depth_is_old = True
        # ``Book.apply`` by hand: one call less for each of hundreds a second.
        bids, asks = contents.bids, contents.asks
        touched = bids is not None and book.bids.apply(bids, message_id, True)
        if (asks is not None and book.asks.apply(asks, message_id, False)) or touched:
            book.uncross()
        elif now < self._depth_due:
            return ()
        return self._news(book, now)

    def tick(self, now: EngineNs) -> tuple[Event, ...]:
        """The last change within a second, which nothing else would tell."""
        book = self._book
        return () if book is None or not self._depth_is_old else self._news(book, now)

    def lost(self) -> None:
        """Forget every level."""
        self._pending = []
        self.lost_keeping_pending()

    def lost_keeping_pending(self) -> None:
        """Forget every level but what overtook the snapshot to come."""
        self._book = None
        self._top = self._depth = None
        self.needs_snapshot = ""

    def _news(self, book: Book, now: EngineNs) -> tuple[Event, ...]:
        top = book.top()
        events: tuple[Event, ...] = ()
        if top != self._top:
            self._top = top
            events = (
                BookTopSeen(
                    venue=VENUE,
                    channel=self.name,
                    market=self._market,
                    bid_price=top[0],
                    bid_size=top[1],
                    ask_price=top[2],
                    ask_size=top[3],
                ),
            )
        if self._depth_is_old and now >= self._depth_due:
            events += self._depth_news(book, now)
        return events

    def _depth_news(self, book: Book, now: EngineNs) -> tuple[Event, ...]:
        self._depth_due = now + DEPTH_EVERY_NS
        self._depth_is_old = False
        if self._saw_band and not book.sees(DEPTH_BAND_RATIO):
            self.needs_snapshot = MOVED if now - self._loaded_at >= RESNAPSHOT_AFTER_NS else ""
        depth = book.depth(DEPTH_BAND_RATIO)
        if depth == self._depth:
            return ()
        self._depth = depth
        return (
            DepthSeen(
                venue=VENUE,
                channel=self.name,
                market=self._market,
                band_ratio=DEPTH_BAND_RATIO,
                bid_depth_usd=depth[0],
                ask_depth_usd=depth[1],
            ),
        )


class TradesChannel(PlainChannel):
    """Public trades of one market; not subscribed by the daemon, decoded for recordings."""

    wire_name = V4_TRADES

    def __init__(self, market: str) -> None:
        self.wire_id = self._market = market
        self.name = channel_id(VENUE, V4_TRADES, market)

    def subscribed(self, raw: msgspec.Raw, message_id: int, now: EngineNs) -> Output:
        """Newest first."""
        del message_id, now
        return Output(tuple(markets.last_trade(raw, self.name, self._market, newest_first=True)))

    def data(
        self, raw: msgspec.Raw, message_id: int, now: EngineNs, *, batch: bool, number: int | None
    ) -> Output:
        """Oldest first."""
        del message_id, now, number
        raws = wire.read(_RAWS, raw, "v4_trades batch") if batch else [raw]
        seen = [
            event
            for one in raws
            for event in markets.last_trade(one, self.name, self._market, newest_first=False)
        ]
        return Output(tuple(seen))

    def update(
        self, contents: wire.HotContents, message_id: int, now: EngineNs
    ) -> tuple[Event, ...]:
        """The same, one message and decoded already."""
        del message_id, now
        if contents.trades is None:
            raise DecodeError("dYdX trades was not understood: there are no trades in it.")
        return tuple(markets.newest_trade(contents.trades, self.name, self._market))


class CandlesChannel(PlainChannel):
    """Bars of one market and resolution; not subscribed by the daemon, decoded for recordings."""

    wire_name = V4_CANDLES

    def __init__(self, wire_id: str) -> None:
        self.wire_id = wire_id
        self.name = channel_id(VENUE, V4_CANDLES, wire_id)

    def subscribed(self, raw: msgspec.Raw, message_id: int, now: EngineNs) -> Output:
        """The latest bars."""
        del message_id, now
        return Output(tuple(markets.candles(raw, self.name)))

    def data(
        self, raw: msgspec.Raw, message_id: int, now: EngineNs, *, batch: bool, number: int | None
    ) -> Output:
        """One bar as it stands, or several."""
        del message_id, now, number
        raws = wire.read(_RAWS, raw, "v4_candles batch") if batch else [raw]
        return Output(tuple(bar for one in raws for bar in markets.candle(one, self.name)))
