"""The market sockets: every market's context for the cross-section, and closely watched markets.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from monitor.core.events import (
    BookTopSeen,
    DepthSeen,
    Event,
    FrameRejected,
    MarketContextSeen,
)
from monitor.core.ports import NOTHING, Output, Refresh
from monitor.core.types import SECOND_NS, EngineNs
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.explain import UNREADABLE_JSON
from monitor.venues.hyperliquid.decoders.market import MarketDecoder
from monitor.venues.hyperliquid.decoders.wire import AHEAD_NS_MAX, MS_NS, refuse_future
from monitor.venues.hyperliquid.knowledge import Knowledge, poll_name
from monitor.venues.hyperliquid.markets import HOUR_NS, choose_aggregation
from monitor.venues.hyperliquid.settings import VENUE
from monitor.venues.hyperliquid.stream import Channel, Connection
from monitor.venues.hyperliquid.subscriptions import Subscription

COINS_PER_CONNECTION = 100
# A quiet coin's best prices may rest for 45 s; they are only doubted while its 1 Hz context says
# that mid has left them.
TOP_DOUBTED_AFTER_NS = 10 * SECOND_NS
TOP_STRIKES = 3

_hot_frame = msgspec.json.Decoder(wire.HotFrame, strict=False).decode


class _Watched:
    """A coin's channels and what they last said, to be held against each other."""

    __slots__ = ("ask", "bid", "book", "context", "mid", "strikes", "top")

    def __init__(self) -> None:
        self.context: Channel | None = None
        self.top: Channel | None = None
        self.book: Channel | None = None
        self.bid: float | None = None
        self.ask: float | None = None
        self.mid: float | None = None  # the context's
        self.strikes = 0


class MarketStream(Connection):
    """Market connection number ``index`` (from 0) of ``count``.

    The first also carries ``allDexsAssetCtxs``. Coins are dealt out in the order they came to be
    watched, ``COINS_PER_CONNECTION`` each, the rest to the last.
    """

    def __init__(self, knowledge: Knowledge, index: int, count: int) -> None:
        super().__init__(knowledge, f"market-{index + 1}", silence_s=10.0)
        self._index = index
        self._last = index == count - 1
        self._decoder = MarketDecoder(knowledge.markets, knowledge.settings.depth_band_ratio)
        self._watched: dict[str, _Watched] = {}
        self._asked_for: set[str] = set()
        self._hour: int | None = None
        self.handlers = {
            "activeAssetCtx": self._context,
            "bbo": self._best_prices,
            "l2Book": self._book,
            "allDexsAssetCtxs": self._all_contexts,
        }

    def coins(self) -> tuple[str, ...]:
        """The watched coins that fall to this connection and that the live meta lists."""
        start = self._index * COINS_PER_CONNECTION
        stop = None if self._last else start + COINS_PER_CONNECTION
        markets = self.knowledge.markets
        return tuple(
            coin
            for coin in islice(self.knowledge.watchlist.coins(), start, stop)
            if coin in markets
        )

    def wanted(self) -> Iterator[Subscription]:
        """Contexts first: where the venue's limit bites, books are what goes without."""
        if self._index == 0:
            yield Subscription("allDexsAssetCtxs")
        coins = self.coins()
        # Without a 1 Hz channel only the 13.6 s one and the pongs break the silence.
        self.silence_s = 10.0 if coins else 45.0
        for coin in coins:
            yield Subscription("activeAssetCtx", key=coin, coin=coin)
        markets = self.knowledge.markets
        live = [coin for coin in coins if (market := markets.get(coin)) and not market.delisted]
        for coin in live:
            yield Subscription("bbo", key=coin, coin=coin)
        if self.knowledge.settings.books:
            for coin in live:
                yield self._book_subscription(coin)

    def _book_subscription(self, coin: str) -> Subscription:
        market = self.knowledge.markets.get(coin)
        aggregation = choose_aggregation(
            self.knowledge.reference_prices.get(coin, 0.0),
            0 if market is None else market.size_decimals,
            self.knowledge.settings.depth_band_ratio,
        )
        return Subscription("l2Book", key=coin, coin=coin, aggregation=aggregation)

    def subscribed(self, channel: Channel) -> None:
        """Keep a coin's channels where its frames find them with one look-up."""
        subscription = channel.subscription
        coin = subscription.coin
        if not coin:
            return
        watched = self._watched.get(coin)
        if watched is None:
            watched = self._watched[coin] = _Watched()
        match subscription.feed:
            case "activeAssetCtx":
                watched.context = channel
            case "bbo":
                watched.top = channel
            case _:
                watched.book = channel

    def disconnected(self, reason: str, now: EngineNs) -> Output:
        """Also forget what the coins' channels said."""
        output = super().disconnected(reason, now)
        self._watched.clear()
        return output

    # --------------------------------------------------------------------------- frames

    def received(self, frame: bytes, now: EngineNs) -> Output:
        """One frame. Books, best prices and contexts are nearly all that comes, so a frame is first
        taken for one of these and read in one go; what does not fit is read again in two stages,
        which alone judge whether it is sound."""
        try:
            hot = _hot_frame(frame)
            data, kind = hot.data, hot.channel
            watched = self._watched[data.coin]
        except (*UNREADABLE_JSON, KeyError):  # KeyError: not asked for, or not any more
            return super().received(frame, now)
        told: Output | None = None
        if kind == "bbo":
            told = self._hot_top(watched, data, now)
        elif kind == "l2Book":
            told = self._hot_book(watched, data, now)
        elif kind == "activeAssetCtx" and data.ctx is not None:
            told = self._hot_context(watched, data.coin, data.ctx, now)
        if told is None:
            return super().received(frame, now)
        self._frames = 1
        return told

    def _hot_top(self, watched: _Watched, data: wire.HotData, now: EngineNs) -> Output | None:
        """``bbo`` as it nearly always is; None for all that deserves a closer look."""
        channel, sides, time_ms = watched.top, data.bbo, data.time
        if channel is None or sides is None or time_ms is None:
            return None
        time_ns = time_ms * MS_NS
        bid, ask = sides
        if (
            bid is None
            or ask is None
            or channel.attempts
            or not channel.opened
            or not channel.time_ns <= time_ns <= now + AHEAD_NS_MAX
        ):
            return None
        channel.time_ns, channel.seen_ns = time_ns, now
        watched.bid, watched.ask, watched.strikes = bid.px, ask.px, 0
        return Output(
            (
                BookTopSeen(
                    venue=VENUE,
                    channel=channel.name,
                    venue_time_ns=time_ns,
                    market=data.coin,
                    bid_price=bid.px,
                    bid_size=bid.sz,
                    ask_price=ask.px,
                    ask_size=ask.sz,
                ),
            )
        )

    def _hot_book(self, watched: _Watched, data: wire.HotData, now: EngineNs) -> Output | None:
        """Likewise ``l2Book``."""
        channel, levels, time_ms = watched.book, data.levels, data.time
        if channel is None or levels is None or time_ms is None:
            return None
        time_ns = time_ms * MS_NS
        if (
            channel.attempts
            or not channel.opened
            or not channel.time_ns <= time_ns <= now + AHEAD_NS_MAX
        ):
            return None
        channel.time_ns, channel.seen_ns = time_ns, now
        return Output(
            self._decoder.book_events(data.coin, time_ms, levels, data.spread, channel.name)
        )

    def _hot_context(
        self, watched: _Watched, coin: str, context: wire.Context, now: EngineNs
    ) -> Output | None:
        """Likewise ``activeAssetCtx``."""
        channel = watched.context
        if channel is None or channel.attempts or not channel.opened:
            return None
        watched.mid = context.mid_px
        channel.seen_ns = now
        return Output((self._decoder.context_of(coin, context, channel.name, now),))

    def _context(self, data: msgspec.Raw, now: EngineNs) -> Output:
        return self._context_told(self._decoder.active_context(data, now)[0], now)

    def _context_told(self, event: MarketContextSeen, now: EngineNs) -> Output:
        watched = self._watched.get(event.market)
        if watched is not None and (channel := watched.context) is not None:
            watched.mid = event.mid_price
            channel.seen_ns = now
            if channel.attempts or not channel.opened:
                return Output((*self.spoke(channel, now), event))
        return Output((event,))

    def _best_prices(self, data: msgspec.Raw, now: EngineNs) -> Output:
        return self._best_prices_told(self._decoder.best_prices(data, now)[0], now, data)

    def _best_prices_told(
        self, event: BookTopSeen, now: EngineNs, sample: bytes | msgspec.Raw
    ) -> Output:
        time_ns = event.venue_time_ns or 0
        if time_ns - now > AHEAD_NS_MAX:
            refuse_future(time_ns // MS_NS, now, f"bbo of {event.market}: time")
        watched = self._watched.get(event.market)
        if watched is not None and (channel := watched.top) is not None:
            if time_ns < channel.time_ns:
                return self._out_of_order(channel, time_ns, sample)
            channel.time_ns = time_ns
            channel.seen_ns = now
            watched.bid, watched.ask, watched.strikes = event.bid_price, event.ask_price, 0
            if channel.attempts or not channel.opened:
                return Output((*self.spoke(channel, now), event))
        return Output((event,))

    def _book(self, data: msgspec.Raw, now: EngineNs) -> Output:
        return self._book_told(self._decoder.book(data, now), now, data)

    def _book_told(
        self,
        told: tuple[DepthSeen] | tuple[BookTopSeen, DepthSeen],
        now: EngineNs,
        sample: bytes | msgspec.Raw,
    ) -> Output:
        event = told[-1]
        time_ns = event.venue_time_ns or 0
        if time_ns - now > AHEAD_NS_MAX:
            refuse_future(time_ns // MS_NS, now, f"l2Book of {event.market}: time")
        watched = self._watched.get(event.market)
        if watched is not None and (channel := watched.book) is not None:
            if time_ns < channel.time_ns:
                return self._out_of_order(channel, time_ns, sample)
            channel.time_ns = time_ns
            channel.seen_ns = now
            if channel.attempts or not channel.opened:
                return Output((*self.spoke(channel, now), *told))
        return Output(told)

    def _all_contexts(self, data: msgspec.Raw, now: EngineNs) -> Output:
        events = self._decoder.all_contexts(data, now)
        channel = self.channels.get(("allDexsAssetCtxs", "", "", ""))
        if channel is not None and (more := self.spoke(channel, now)):
            events = (*more, *events)
        refused = any(isinstance(event, FrameRejected) for event in events)
        return Output(events, refresh=(Refresh(poll_name("metaAndAssetCtxs")),) if refused else ())

    def _out_of_order(self, channel: Channel, time_ns: int, sample: bytes | msgspec.Raw) -> Output:
        """Older prices than those known are ignored, and counted."""
        behind_s = (channel.time_ns - time_ns) / SECOND_NS
        rejected = FrameRejected(
            venue=VENUE,
            channel=channel.name,
            feed=channel.subscription.feed,
            reason=f"time went back by {behind_s:.3f} s; the older prices are ignored",
            sample=bytes(sample)[:512],
        )
        return Output(events=(rejected,))

    # --------------------------------------------------------------------------- time

    def judge(self, now: EngineNs) -> Output:
        """Doubt best prices that a coin's context contradicts; at each new hour, ask for what was
        settled; ask for the meta when something held is not in it."""
        events: list[Event] = []
        for watched in self._watched.values():
            events.extend(self._doubt(watched, now))
        refresh = []
        if self._index == 0:
            hour = now // HOUR_NS
            if self._hour is not None and hour != self._hour:
                # Settlement rows are stamped up to 118 ms after the hour.
                refresh.append(Refresh(poll_name("fundingHistory"), after_s=5.0))
            self._hour = hour
            unknown = self._unknown()
            if unknown - self._asked_for:
                refresh.append(Refresh(poll_name("metaAndAssetCtxs")))
            self._asked_for = unknown
        if not events and not refresh:
            return NOTHING
        return Output(events=tuple(events), refresh=tuple(refresh))

    def _unknown(self) -> set[str]:
        """Watched markets and used dexes that no meta was read about."""
        markets = self.knowledge.markets
        coins = {coin for coin in self.knowledge.watchlist.coins() if coin not in markets}
        return coins | {dex for dex in self.knowledge.followed if markets.names(dex) is None}

    def _doubt(self, watched: _Watched, now: EngineNs) -> tuple[Event, ...]:
        bid, ask, mid = watched.bid, watched.ask, watched.mid
        if bid is None or ask is None or mid is None or bid <= mid <= ask:
            watched.strikes = 0
            return ()
        top, context = watched.top, watched.context
        if top is None or context is None or top.sent_ns is None or not top.acknowledged:
            return ()
        since = max(top.seen_ns, top.sent_ns)
        if now - since <= TOP_DOUBTED_AFTER_NS or context.seen_ns <= since:
            return ()
        watched.strikes += 1
        if watched.strikes < TOP_STRIKES:
            return ()
        watched.strikes = 0
        return self.resubscribe(top, f"mid {mid} left the best prices {bid} and {ask} long ago")
