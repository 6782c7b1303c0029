"""The market sockets: every market's context for the cross-section, and closely watched markets.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from monitor.core.events import BookTopSeen, DepthSeen, Event, FrameRejected, MarketContextSeen
from monitor.core.ports import NOTHING, Output, Refresh
from monitor.core.types import SECOND_NS, EngineNs
from monitor.venues.hyperliquid.decoders.market import MarketDecoder
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


class _Top:
    """The last best prices of a coin, to be held against its context."""

    __slots__ = ("ask", "bid", "mid", "strikes")

    def __init__(self) -> None:
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
        self._tops: dict[str, _Top] = {}
        self._asked_for: set[str] = set()
        self._hour: int | None = None
        self._rejections = 0  # books told out of order, since the process began
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

    # --------------------------------------------------------------------------- frames

    def _channel(self, feed: str, coin: str = "") -> Channel | None:
        return self.channels.get((feed, coin, "", ""))

    def _context(self, data: msgspec.Raw, now: EngineNs) -> Output:
        events = self._decoder.active_context(data, now)
        event = events[0]
        if isinstance(event, MarketContextSeen):
            coin = event.market
            top = self._tops.get(coin)
            if top is None:
                top = self._tops[coin] = _Top()
            top.mid = event.mid_price
            channel = self._channel("activeAssetCtx", coin)
            if channel is not None and (more := self.spoke(channel, now)):
                events = (*more, *events)
        return Output(events)

    def _best_prices(self, data: msgspec.Raw, now: EngineNs) -> Output:
        events = self._decoder.best_prices(data, now)
        event = events[0]
        if isinstance(event, BookTopSeen):
            coin = event.market
            channel = self._channel("bbo", coin)
            if channel is not None:
                if (back := self._in_order(channel, event.venue_time_ns, data)) is not None:
                    return back
                if more := self.spoke(channel, now):
                    events = (*more, *events)
            top = self._tops.get(coin)
            if top is None:
                top = self._tops[coin] = _Top()
            top.bid, top.ask, top.strikes = event.bid_price, event.ask_price, 0
        return Output(events)

    def _book(self, data: msgspec.Raw, now: EngineNs) -> Output:
        events = self._decoder.book(data, now)
        event = events[-1]
        if isinstance(event, DepthSeen):
            channel = self._channel("l2Book", event.market)
            if channel is not None:
                if (back := self._in_order(channel, event.venue_time_ns, data)) is not None:
                    return back
                if more := self.spoke(channel, now):
                    events = (*more, *events)
        return Output(events)

    def _all_contexts(self, data: msgspec.Raw, now: EngineNs) -> Output:
        events = self._decoder.all_contexts(data, now)
        channel = self._channel("allDexsAssetCtxs")
        if channel is not None and (more := self.spoke(channel, now)):
            events = (*more, *events)
        refused = any(isinstance(event, FrameRejected) for event in events)
        return Output(events, refresh=(Refresh(poll_name("metaAndAssetCtxs")),) if refused else ())

    def _in_order(
        self,
        channel: Channel,
        time_ns: int | None,
        data: msgspec.Raw,
    ) -> Output | None:
        """None when the book is not older than the last; else the rejection that is counted."""
        if time_ns is None or time_ns >= channel.time_ns:
            channel.time_ns = time_ns or channel.time_ns
            return None
        behind_s = (channel.time_ns - time_ns) / SECOND_NS
        rejected = FrameRejected(
            venue=VENUE,
            channel=channel.name,
            feed=channel.subscription.feed,
            reason=f"time went back by {behind_s:.3f} s; the older prices are ignored",
            sample=bytes(data)[:512],
        )
        return Output(events=(rejected,))

    # --------------------------------------------------------------------------- time

    def judge(self, now: EngineNs) -> Output:
        """Doubt best prices that a coin's context contradicts; at each new hour, ask for what was
        settled; ask for the meta when something held is not in it."""
        events: list[Event] = []
        for coin, top in self._tops.items():
            events.extend(self._doubt(coin, top, now))
        refresh = []
        if self._index == 0:
            hour = now // HOUR_NS
            if self._hour is not None and hour != self._hour:
                # Settlement rows are stamped up to 118 ms after the hour.
                refresh.append(Refresh(poll_name("fundingHistory"), after_s=5.0))
            self._hour = hour
            unknown = {
                coin
                for coin in self.knowledge.watchlist.coins()
                if coin not in self.knowledge.markets
            }
            if unknown - self._asked_for:
                self._asked_for = unknown
                refresh.append(Refresh(poll_name("metaAndAssetCtxs")))
        if not events and not refresh:
            return NOTHING
        return Output(events=tuple(events), refresh=tuple(refresh))

    def _doubt(self, coin: str, top: _Top, now: EngineNs) -> tuple[Event, ...]:
        bid, ask, mid = top.bid, top.ask, top.mid
        if bid is None or ask is None or mid is None or bid <= mid <= ask:
            top.strikes = 0
            return ()
        best = self._channel("bbo", coin)
        context = self._channel("activeAssetCtx", coin)
        if best is None or context is None or best.sent_ns is None or not best.acknowledged:
            return ()
        since = max(best.seen_ns, best.sent_ns)
        if now - since <= TOP_DOUBTED_AFTER_NS or context.seen_ns <= since:
            return ()
        top.strikes += 1
        if top.strikes < TOP_STRIKES:
            return ()
        top.strikes = 0
        return self.resubscribe(best, f"mid {mid} left the best prices {bid} and {ask} long ago")
