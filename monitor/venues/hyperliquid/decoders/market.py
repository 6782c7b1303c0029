"""Market data of Hyperliquid: payload bytes in, events out.

The first three decoders are the hot path: one typed decode and the events, nothing else; channel
names are built once per market. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import (
    BookTopSeen,
    CandleSeen,
    ChainTimeSeen,
    DepthSeen,
    Event,
    FrameRejected,
    FundingSettled,
    LastTradeSeen,
    MarketContextSeen,
    VenueStatusSeen,
)
from monitor.core.types import Side, channel_id
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.wire import MS_NS
from monitor.venues.hyperliquid.markets import (
    FUNDING_INTERVAL_S,
    HOUR_NS,
    Markets,
    compute_depth_usd,
    funding_interval_s,
    hourly_funding_rate,
    is_whole,
)
from monitor.venues.hyperliquid.settings import VENUE

SIDES = {"A": Side.SELL, "B": Side.BUY}
_CANDLE_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000}


_NAMES_MAX = 20_000  # far above any universe; bounds what garbage names could make us keep


class ChannelNames(dict[str, str]):
    """Channel id by key, built at the first look-up and kept."""

    def __init__(self, feed: str) -> None:
        super().__init__()
        self._feed = feed

    def __missing__(self, key: str) -> str:
        if len(self) >= _NAMES_MAX:
            self.clear()
        name = self[key] = channel_id(VENUE, self._feed, key)
        return name


Handler = Callable[[msgspec.Raw, int | None], tuple[Event, ...]]


class MarketDecoder:
    """Decoders of market frames with their interned channel names.

    ``markets`` names the contexts of ``allDexsAssetCtxs``. Without it they are named by position,
    ``#12`` on the first dex and ``xyz:#3`` on a builder dex.
    """

    def __init__(self, markets: Markets | None = None, band_ratio: float = 0.0025) -> None:
        self.markets = markets
        self._band_ratio = band_ratio
        self._context_channels = ChannelNames("activeAssetCtx")
        self._top_channels = ChannelNames("bbo")
        self._book_channels = ChannelNames("l2Book")
        self._trade_channels = ChannelNames("trades")
        self._next_funding_ns = 0
        self._active_context = msgspec.json.Decoder(wire.ActiveContext, strict=False)
        self._best_prices = msgspec.json.Decoder(wire.BestPrices, strict=False)
        self._book = msgspec.json.Decoder(wire.Book, strict=False)
        self._all_contexts = msgspec.json.Decoder(wire.PushedContexts)
        self._contexts = msgspec.json.Decoder(list[wire.Context], strict=False)
        self._trades = msgspec.json.Decoder(list[wire.Trade], strict=False)
        self._mids = msgspec.json.Decoder(wire.Mids, strict=False)
        self._candle = msgspec.json.Decoder(wire.Candle, strict=False)
        self.handlers: dict[str, Handler] = {
            "activeAssetCtx": self.active_context,
            "bbo": self.best_prices,
            "l2Book": self.book,
            "allDexsAssetCtxs": self.all_contexts,
            "trades": self.trades,
            "allMids": self.mids,
            "candle": self.candle,
        }

    # ---------------------------------------------------------------------------- hot path

    def active_context(
        self,
        data: msgspec.Raw | bytes,
        now: int | None,
    ) -> tuple[MarketContextSeen]:
        """``activeAssetCtx``: one market's context, about once a second."""
        frame = self._active_context.decode(data)
        return (self.context_event(frame.coin, frame.ctx, now),)

    def context_event(
        self,
        coin: str,
        context: wire.Context,
        now: int | None,
    ) -> MarketContextSeen:
        """The event of a decoded ``activeAssetCtx``."""
        return self.context_of(coin, context, self._context_channels[coin], now)

    def best_prices(self, data: msgspec.Raw | bytes, now: int | None) -> tuple[BookTopSeen]:
        """``bbo``: told only when it changed."""
        del now
        frame = self._best_prices.decode(data)
        return (self.top_event(frame.coin, frame.time, frame.bbo),)

    def top_event(
        self,
        coin: str,
        time_ms: int,
        sides: tuple[wire.Level | None, wire.Level | None],
    ) -> BookTopSeen:
        """The event of a decoded ``bbo``."""
        bid, ask = sides
        return BookTopSeen(
            venue=VENUE,
            channel=self._top_channels[coin],
            venue_time_ns=time_ms * MS_NS,
            market=coin,
            bid_price=None if bid is None else bid.px,
            bid_size=None if bid is None else bid.sz,
            ask_price=None if ask is None else ask.px,
            ask_size=None if ask is None else ask.sz,
        )

    def book(
        self,
        data: msgspec.Raw | bytes,
        now: int | None,
    ) -> tuple[DepthSeen] | tuple[BookTopSeen, DepthSeen]:
        """``l2Book``: depth within the band, and the touch where the book is not aggregated
        (buckets round the touch outward, and only an aggregated book states a ``spread``)."""
        del now
        frame = self._book.decode(data)
        return self.book_events(frame.coin, frame.time, frame.levels, frame.spread)

    def book_events(
        self,
        coin: str,
        time_ms: int,
        levels: tuple[list[wire.Level], list[wire.Level]],
        spread: float | None,
        channel: str | None = None,
    ) -> tuple[DepthSeen] | tuple[BookTopSeen, DepthSeen]:
        """Events of a decoded ``l2Book``, or of a REST book on a ``channel`` of its own."""
        bids, asks = levels
        time_ns = time_ms * MS_NS
        if channel is None:
            channel = self._book_channels[coin]
        band = self._band_ratio
        bid_depth = ask_depth = None
        if bids and asks:
            mid = 0.5 * (bids[0].px + asks[0].px)
            bid_depth = compute_depth_usd(bids, mid * (1.0 - band), bids=True)
            ask_depth = compute_depth_usd(asks, mid * (1.0 + band), bids=False)
            if bid_depth is None and is_whole(bids, asks):
                low = mid * (1.0 - band)
                bid_depth = compute_depth_usd(bids, low, bids=True, whole=True)
            if ask_depth is None and is_whole(asks, bids):
                high = mid * (1.0 + band)
                ask_depth = compute_depth_usd(asks, high, bids=False, whole=True)
        elif bids:  # one side is gone, and with it the mid that the other is measured from
            ask_depth = 0.0
        elif asks:
            bid_depth = 0.0
        depth = DepthSeen(
            venue=VENUE,
            channel=channel,
            venue_time_ns=time_ns,
            market=coin,
            band_ratio=band,
            bid_depth_usd=bid_depth,
            ask_depth_usd=ask_depth,
        )
        if spread is not None:
            return (depth,)
        top = BookTopSeen(
            venue=VENUE,
            channel=channel,
            venue_time_ns=time_ns,
            market=coin,
            bid_price=bids[0].px if bids else None,
            bid_size=bids[0].sz if bids else None,
            ask_price=asks[0].px if asks else None,
            ask_size=asks[0].sz if asks else None,
        )
        return (top, depth)

    def context_of(
        self,
        market: str,
        context: wire.Context,
        channel: str,
        now: int | None,
    ) -> MarketContextSeen:
        """The event of one decoded context, told over ``channel``."""
        if now is None:
            next_ns = None
        elif now < (next_ns := self._next_funding_ns) and next_ns - now <= HOUR_NS:
            pass  # still the same hour
        else:
            next_ns = self._next_funding_ns = (now // HOUR_NS + 1) * HOUR_NS
        funding = context.funding
        return MarketContextSeen(
            venue=VENUE,
            channel=channel,
            market=market,
            mark_price=context.mark_px,
            oracle_price=context.oracle_px,
            mid_price=context.mid_px,
            predicted_funding_rate_hourly=funding,
            native_funding_rate=funding,
            native_funding_interval_s=FUNDING_INTERVAL_S,
            premium_ratio=context.premium,
            open_interest_base=context.open_interest,
            volume_24h_usd=context.day_ntl_vlm,
            next_funding_time_ns=next_ns,
            complete=True,  # midPx null is a book without one of its sides, not an omission
        )

    # --------------------------------------------------------------------------- slow path

    def all_contexts(self, data: msgspec.Raw | bytes, now: int | None) -> tuple[Event, ...]:
        """``allDexsAssetCtxs``: every context of every followed dex, named by position.

        A dex whose number of contexts differs from its ``meta`` is refused as a whole (a shifted
        list would put one market's price on another) and the others are told.
        """
        channel = channel_id(VENUE, "allDexsAssetCtxs")
        events: list[Event] = []
        for dex, raw in self._all_contexts.decode(data).ctxs:
            if self.markets is None or self.markets.names(dex) is not None:
                events.extend(self.zip_contexts(dex, self._contexts.decode(raw), channel, now))
        return tuple(events)

    def zip_contexts(
        self,
        dex: str,
        contexts: list[wire.Context],
        channel: str,
        now: int | None,
    ) -> list[Event]:
        """Contexts of one dex by position; nothing for a dex that is not followed."""
        prefix = f"{dex}:#" if dex else "#"
        if self.markets is None:
            return [
                self.context_of(f"{prefix}{index}", context, channel, now)
                for index, context in enumerate(contexts)
            ]
        names = self.markets.names(dex)
        if names is None:
            return []
        if len(names) != len(contexts):
            return [
                FrameRejected(
                    venue=VENUE,
                    channel=channel,
                    feed=channel.split("/")[1],
                    reason=f"dex {dex!r} told {len(contexts)} contexts for {len(names)} markets; "
                    "its meta is read anew",
                    sample=b"",
                ),
            ]
        return [
            self.context_of(name, context, channel, now)
            for name, context in zip(names, contexts, strict=True)
        ]

    def trades(self, data: msgspec.Raw | bytes, now: int | None) -> tuple[Event, ...]:
        """``trades``: the newest of the frame per market; ``side`` is the aggressor's."""
        del now
        return self.trade_events(self._trades.decode(data))

    def trade_events(self, trades: list[wire.Trade]) -> tuple[LastTradeSeen, ...]:
        """Events of decoded trades."""
        if not trades:
            return ()
        last = trades[0]
        coin, time_ms = last.coin, last.time
        for trade in trades:
            if trade.coin != coin:  # a subscription is of one coin, but nothing says it stays so
                break
            if trade.time >= time_ms:
                last, time_ms = trade, trade.time
        else:
            return (self._last_trade(last),)
        newest: dict[str, wire.Trade] = {}
        for trade in trades:
            known = newest.get(trade.coin)
            if known is None or trade.time >= known.time:
                newest[trade.coin] = trade
        return tuple([self._last_trade(trade) for trade in newest.values()])

    def _last_trade(self, trade: wire.Trade) -> LastTradeSeen:
        coin = trade.coin
        return LastTradeSeen(
            venue=VENUE,
            channel=self._trade_channels[coin],
            venue_time_ns=trade.time * MS_NS,
            market=coin,
            last_price=trade.px,
            size=trade.sz,
            side=SIDES[trade.side],
        )

    def mids(self, data: msgspec.Raw | bytes, now: int | None) -> tuple[Event, ...]:
        """``allMids``: mids of perps. Mids are not marks, and spot keys are not perps."""
        del now
        return mid_events(self._mids.decode(data).mids, channel_id(VENUE, "allMids"))

    def candle(self, data: msgspec.Raw | bytes, now: int | None) -> tuple[Event, ...]:
        """``candle``: one open bar."""
        del now
        bar = self._candle.decode(data)
        unit, count = bar.i[-1:], bar.i[:-1]
        if unit not in _CANDLE_S or not (count.isascii() and count.isdigit() and len(count) < 4):
            raise DecodeError(f"hyperliquid candle: i is {bar.i[:20]!r}, which is no interval")
        return (
            CandleSeen(
                venue=VENUE,
                channel=channel_id(VENUE, "candle", bar.s),
                market=bar.s,
                started_at_ns=bar.t * MS_NS,
                interval_s=int(count) * _CANDLE_S[unit],
                open=bar.o,
                high=bar.h,
                low=bar.l,
                close=bar.c,
                volume_base=bar.v,
            ),
        )


def is_perp(coin: str) -> bool:
    """Whether a coin name is a perp: not a spot pair (``@142``, ``PURR/USDC``) or outcome."""
    return not (coin.startswith(("@", "#", "+")) or "/" in coin)


def mid_events(mids: dict[str, float], channel: str) -> tuple[Event, ...]:
    """One event per perp."""
    return tuple(
        MarketContextSeen(venue=VENUE, channel=channel, market=coin, mid_price=price)
        for coin, price in mids.items()
        if is_perp(coin)
    )


def funding_events(rows: list[wire.FundingRow], channel: str) -> tuple[Event, ...]:
    """``fundingHistory``, ascending; eight-hourly rows of early 2023 become hourly rates."""
    return tuple(
        FundingSettled(
            venue=VENUE,
            channel=channel,
            venue_time_ns=row.time * MS_NS,
            market=row.coin,
            funding_rate_hourly=hourly_funding_rate(row.funding_rate, row.time),
            native_funding_rate=row.funding_rate,
            native_funding_interval_s=funding_interval_s(row.time),
            settled_at_ns=row.time * MS_NS,
        )
        for row in rows
    )


def status_events(status: wire.ExchangeStatus, channel: str) -> tuple[Event, ...]:
    """``exchangeStatus``: its clock, and anything special at all is unhealthy."""
    special = bytes(status.special_statuses).strip()
    healthy = special in {b"null", b"[]"}
    time_ns = status.time * MS_NS
    return (
        ChainTimeSeen(
            venue=VENUE,
            channel=channel,
            venue_time_ns=time_ns,
            source="exchange",
            time_ns=time_ns,
        ),
        VenueStatusSeen(
            venue=VENUE,
            channel=channel,
            venue_time_ns=time_ns,
            healthy=healthy,
            detail="" if healthy else special[:200].decode("utf-8", "replace"),
        ),
    )
