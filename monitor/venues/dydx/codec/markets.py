"""Public facts of dYdX v4: markets, oracle prices, funding, trades, bars, heights, clock.

dYdX has no mark price: positions are margined and liquidated on the oracle price alone, so no fact
made here has a mark. Every funding number of the indexer is per hour (the chain's own are per 8
hours). *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import (
    CandleSeen,
    ChainTimeSeen,
    Event,
    FundingSettled,
    LastTradeSeen,
    MarginTier,
    MarketContextSeen,
    MarketListed,
    OraclePricesSeen,
)
from monitor.core.types import SECOND_NS, EngineNs, MarketStatus, Side, channel_id
from monitor.venues.dydx.codec import wire
from monitor.venues.dydx.settings import VENUE

FUNDING_INTERVAL_S = 3600
LEADERS = 25  # the stress index looks at twenty assets; their order differs from venue to venue
# One subscription, two producers: oracle prices come from the chain with each block, statistics
# and running funding from a task every 30 s. Neither vouches for what only the other tells.
MARKETS_CHANNEL = channel_id(VENUE, "v4_markets")
ORACLE_CHANNEL = channel_id(VENUE, "v4_markets", "oracle")
_HOUR_NS = FUNDING_INTERVAL_S * SECOND_NS
# Samples come once a minute and start anew with the hour: until the second, the estimate of the
# hour before may still stand there.
_ESTIMATE_OLD_NS = 120 * SECOND_NS
# REST is cached for a second: an oracle price that the socket told within this time is newer.
_STREAM_BELIEVED_NS = 10 * SECOND_NS

_MARKETS = wire.decoder(wire.MarketsContents)
_MARKETS_BATCH = wire.decoder(list[wire.MarketsContents])
_TRADES = wire.decoder(wire.TradesContents)
_CANDLES = wire.decoder(wire.CandlesContents)
_CANDLE = wire.decoder(wire.CandleRow)
_HEIGHT = wire.decoder(wire.HeightRow)
_FUNDING = wire.decoder(wire.FundingBody)

# Looking a member up in its class costs more than all else around it (before Python 3.12).
_BUY, _SELL = Side.BUY, Side.SELL
_STATUS = {
    "ACTIVE": MarketStatus.ACTIVE,
    "PAUSED": MarketStatus.PAUSED,
    "CANCEL_ONLY": MarketStatus.CANCEL_ONLY,
    "POST_ONLY": MarketStatus.POST_ONLY,
    "INITIALIZING": MarketStatus.INITIALIZING,
    "FINAL_SETTLEMENT": MarketStatus.FINAL_SETTLEMENT,
}
_RESOLUTION_S = {
    "1MIN": 60,
    "5MINS": 300,
    "15MINS": 900,
    "30MINS": 1800,
    "1HOUR": 3600,
    "4HOURS": 14_400,
    "1DAY": 86_400,
}
# All but plain and TWAP trades were forced on somebody.
_FORCED_TRADES = frozenset({"LIQUIDATED", "DELEVERAGED"})
_kind_of = attrgetter("type")


def asset_of(ticker: str) -> str:
    """The base asset of a ticker: ``BTC-USD`` is BTC, ``NAME,RAYDIUM,<mint>-USD`` is NAME.

    The quote is what follows the *last* dash; a base may hold dashes of its own, and only the
    three-part form with an exchange and a mint is cut at its first comma.
    """
    base = ticker.rpartition("-")[0] or ticker
    parts = base.split(",")
    return parts[0] if len(parts) >= 3 and parts[0] else base


def next_funding_ns(now: EngineNs) -> int:
    """The coming whole UTC hour: funding ticks at the first block at or after it."""
    return (now // _HOUR_NS + 1) * _HOUR_NS


class Universe:
    """Every market known, its rows merged key by key as the venue tells differences."""

    def __init__(self) -> None:
        self._rows: dict[str, wire.MarketRow] = {}
        self._oracle_streamed_at: dict[str, EngineNs] = {}
        self._rates: dict[str, tuple[float, EngineNs]] = {}  # and when it was last another one
        self._held_back: dict[str, wire.MarketRow] = {}
        self._effective_at = ("", 0)  # the newest block's time, as told and in ns

    @property
    def tickers(self) -> tuple[str, ...]:
        """All markets, in the order first heard of."""
        return tuple(self._rows)

    def leaders(self) -> tuple[str, ...]:
        """The live markets whose history is worth reading, most open interest first."""
        worth = {
            ticker: (row.open_interest or 0.0) * (row.oracle_price or 0.0)
            for ticker, row in self._rows.items()
            if self.is_live(ticker)
        }
        return tuple(sorted(worth, key=lambda ticker: -worth[ticker])[:LEADERS])

    def is_live(self, ticker: str) -> bool:
        """Whether the market can have funding, trades and a book."""
        row = self._rows.get(ticker)
        return row is not None and row.status != "FINAL_SETTLEMENT"

    def stream(
        self, raw: bytes | msgspec.Raw, now: EngineNs, *, batch: bool = False
    ) -> list[Event]:
        """Events of v4_markets contents, snapshot or update.

        Raises:
            DecodeError: If the contents were not understood.
        """
        if batch:
            many = wire.read(_MARKETS_BATCH, raw, "v4_markets batch")
            return [event for contents in many for event in self._contents(contents, now)]
        return self._contents(wire.read(_MARKETS, raw, "v4_markets contents"), now)

    def truth(self, raw: bytes, now: EngineNs) -> list[Event]:
        """Events of ``/perpetualMarkets``; oracle prices only where the socket is silent."""
        contents = wire.read(_MARKETS, raw, "perpetualMarkets body")
        if contents.markets is None:
            raise DecodeError("dYdX perpetualMarkets body holds no markets.", sample=raw)
        heard = self._oracle_streamed_at
        for ticker, row in contents.markets.items():
            if now - heard.get(ticker, now - _HOUR_NS) < _STREAM_BELIEVED_NS:
                row.oracle_price = None
        return self._rows_told(contents.markets, now)

    def update(
        self, contents: wire.HotContents | wire.MarketsContents, now: EngineNs
    ) -> tuple[Event, ...]:
        """Events of an update that is decoded already."""
        events: tuple[Event, ...] = ()
        if contents.oracle_prices is not None:
            events = self._priced(contents.oracle_prices, now)
        if contents.trading is not None:
            events = (*events, *self._rows_told(contents.trading, now))
        return events

    def _contents(self, contents: wire.MarketsContents, now: EngineNs) -> list[Event]:
        events = list(self.update(contents, now))
        if contents.markets is not None:
            events += self._rows_told(contents.markets, now)
        return events

    def _priced(
        self, rows: dict[str, wire.OracleRow], now: EngineNs
    ) -> tuple[OraclePricesSeen, ...]:
        """The hot path of this venue: a price or ten with every block, told in one event unless
        they are of several blocks."""
        heard = self._oracle_streamed_at
        events: list[OraclePricesSeen] = []
        prices: list[tuple[str, float]] = []
        text: str | None = None
        at_ns: int | None = None
        for ticker, row in rows.items():
            price = row.oracle_price
            if price is None:  # a new market before its first price
                continue
            if row.effective_at != text:
                if prices:
                    events.append(_oracle_prices(prices, at_ns))
                    prices = []
                text = row.effective_at
                at_ns = None if text is None else self._effective_ns(text, ticker, now)
            heard[ticker] = now
            prices.append((ticker, price))
        if not prices:
            return ()
        last = _oracle_prices(prices, at_ns)
        return (*events, last) if events else (last,)

    def _effective_ns(self, text: str, ticker: str, now: EngineNs) -> int:
        known, at_ns = self._effective_at
        if text != known:  # one block, one time
            at_ns = wire.time_ns(text)
            wire.refuse_future(at_ns, now, f"oracle price of {ticker[:40]}: effectiveAt")
            self._effective_at = (text, at_ns)
        return at_ns

    def _rows_told(self, rows: dict[str, wire.MarketRow], now: EngineNs) -> list[Event]:
        events: list[Event] = []
        prices: list[tuple[str, float]] = []
        for ticker, row in rows.items():
            known = self._rows.get(ticker)
            if known is None:
                known = self._rows[ticker] = row
                listing = True
            else:
                listing = _merge(known, row)
            if listing and (listed := _listed(ticker, known)) is not None:
                events.append(listed)
            if row.oracle_price is not None:
                prices.append((ticker, row.oracle_price))
            if context := _context(ticker, row, now, rate=self._estimate(ticker, row, now)):
                events.append(context)
        if prices:
            events.append(_oracle_prices(prices, None))
        return events

    def due(self, now: EngineNs) -> list[Event]:
        """Running funding rates that were held back and by now are of this hour."""
        if not self._held_back or now % _HOUR_NS < _ESTIMATE_OLD_NS:
            return []
        rows, self._held_back = self._held_back, {}
        return [
            context
            for ticker, row in rows.items()
            if (context := _context(ticker, row, now, rate=row.next_funding_rate)) is not None
        ]

    def _estimate(self, ticker: str, row: wire.MarketRow, now: EngineNs) -> float | None:
        """The running rate that a row states; None while it may be the last hour's."""
        rate = row.next_funding_rate
        if rate is None:
            return None
        known = self._rates.get(ticker)
        if known is None:
            known = self._rates[ticker] = (rate, 0)  # since when it stands there, nobody knows
        elif known[0] != rate:
            known = self._rates[ticker] = (rate, now)
        into_hour_ns = now % _HOUR_NS
        if into_hour_ns >= _ESTIMATE_OLD_NS or known[1] >= now - into_hour_ns:
            self._held_back.pop(ticker, None)
            return rate
        self._held_back[ticker] = wire.MarketRow(next_funding_rate=rate)
        return None


def _oracle_prices(prices: list[tuple[str, float]], at_ns: int | None) -> OraclePricesSeen:
    return OraclePricesSeen(
        venue=VENUE, channel=ORACLE_CHANNEL, venue_time_ns=at_ns, prices=tuple(prices)
    )


_PARAMETERS = (
    "status",
    "initial_margin_fraction",
    "maintenance_margin_fraction",
    "tick_size",
    "step_size",
    "market_type",
    "open_interest_lower_cap",
    "open_interest_upper_cap",
)


def _merge(known: wire.MarketRow, told: wire.MarketRow) -> bool:
    """Lay a difference over what is known; True if it stated any parameter of the market."""
    stated = False
    for name in _PARAMETERS:
        value = getattr(told, name)
        if value is not None:
            setattr(known, name, value)
            stated = True
    return stated


def _listed(ticker: str, row: wire.MarketRow) -> MarketListed | None:
    """The market's parameters, once those that margin rests on are all known."""
    initial, maintenance = row.initial_margin_fraction, row.maintenance_margin_fraction
    if row.status is None or initial is None or maintenance is None:
        return None
    lower = row.open_interest_lower_cap
    upper = row.open_interest_upper_cap
    capped = upper is not None and upper > 0.0  # an upper cap of 0 switches the scaling off
    return MarketListed(
        venue=VENUE,
        channel=MARKETS_CHANNEL,
        market=ticker,
        asset=asset_of(ticker),
        status=_STATUS.get(row.status, MarketStatus.UNKNOWN),
        has_mark=False,
        funding_interval_s=FUNDING_INTERVAL_S,
        margin_tiers=(MarginTier(0.0, initial, maintenance),),
        only_isolated=row.market_type == "ISOLATED",
        size_step=wire.money_or_none(row.step_size, "step size"),
        price_tick=wire.money_or_none(row.tick_size, "tick size"),
        max_leverage=1.0 / initial if initial > 1e-9 else None,
        open_interest_lower_cap_usd=lower if capped else None,
        open_interest_upper_cap_usd=upper if capped else None,
    )


def _context(
    ticker: str, row: wire.MarketRow, now: EngineNs, *, rate: float | None
) -> MarketContextSeen | None:
    """What a row says of the market's present beside its price, if anything; ``rate`` is what to
    believe of its running funding."""
    interest = row.open_interest
    volume = row.volume_24h
    if rate is None and interest is None and volume is None:
        return None
    return MarketContextSeen(
        venue=VENUE,
        channel=MARKETS_CHANNEL,
        market=ticker,
        predicted_funding_rate_hourly=rate,
        native_funding_rate=rate,
        native_funding_interval_s=None if rate is None else FUNDING_INTERVAL_S,
        open_interest_base=interest,
        volume_24h_usd=volume,
        next_funding_time_ns=None if rate is None else next_funding_ns(now),
    )


def settlements(raw: bytes, channel: str) -> list[FundingSettled]:
    """``/historicalFunding`` rows, oldest first. Several within seconds follow a chain halt: one
    epoch is settled per block until caught up.

    Raises:
        DecodeError: If the body was not understood.
    """
    rows = wire.read(_FUNDING, raw, "historicalFunding body").historical_funding
    told = [
        FundingSettled(
            venue=VENUE,
            channel=channel,
            market=row.ticker,
            funding_rate_hourly=row.rate,
            native_funding_rate=row.rate,
            native_funding_interval_s=FUNDING_INTERVAL_S,
            settled_at_ns=wire.time_ns(row.effective_at),
            oracle_price=row.price,
        )
        for row in rows
    ]
    return sorted(told, key=lambda event: event.settled_at_ns)


def height(
    raw: bytes | msgspec.Raw, channel: str, source: str, now: EngineNs | None = None
) -> ChainTimeSeen:
    """A block height and its time, under either of its two names.

    Raises:
        DecodeError: If the contents were not understood, name no height, or a time from the future.
    """
    row = wire.read(_HEIGHT, raw, "height")
    told = row.height if row.height is not None else row.block_height
    if told is None:
        raise DecodeError("dYdX height message names no height.", sample=bytes(raw))
    return block(told, row.time, channel, source, now)


def block(
    told: int, time: str, channel: str, source: str, now: EngineNs | None = None
) -> ChainTimeSeen:
    """The same of a height and time that are decoded already."""
    at_ns = wire.time_ns(time)
    wire.refuse_future(at_ns, now, "block time")
    return ChainTimeSeen(
        venue=VENUE,
        channel=channel,
        venue_time_ns=at_ns,
        source=source,
        time_ns=at_ns,
        height=told,
    )


def last_trade(
    raw: bytes | msgspec.Raw, channel: str, market: str, *, newest_first: bool
) -> list[Event]:
    """The newest trade of a v4_trades snapshot (newest first), update (oldest first) or body."""
    rows = wire.read(_TRADES, raw, "trades").trades
    return newest_trade(rows[::-1] if newest_first else rows, channel, market)


def newest_trade(rows: list[wire.TradeRow], channel: str, market: str) -> list[Event]:
    """The last of some trades, oldest first; none of none."""
    if not rows:
        return []
    newest = rows[-1]
    return [
        LastTradeSeen(
            venue=VENUE,
            channel=channel,
            venue_time_ns=wire.time_ns(newest.created_at),
            market=market,
            last_price=newest.price,
            size=newest.size,
            side=_BUY if newest.side == "BUY" else _SELL,
            liquidation=not _FORCED_TRADES.isdisjoint(map(_kind_of, rows)),
        )
    ]


def candles(raw: bytes | msgspec.Raw, channel: str) -> list[CandleSeen]:
    """Bars of a snapshot or body, oldest first."""
    rows = wire.read(_CANDLES, raw, "candles").candles
    return sorted(_bars(rows, channel), key=lambda bar: bar.started_at_ns)


def candle(raw: bytes | msgspec.Raw, channel: str) -> list[Event]:
    """The one bar of an update."""
    return list(_bars([wire.read(_CANDLE, raw, "candle")], channel))


def _bars(rows: Iterable[wire.CandleRow], channel: str) -> Iterable[CandleSeen]:
    for row in rows:
        interval_s = _RESOLUTION_S.get(row.resolution)
        if interval_s is None:
            raise DecodeError(f"dYdX candle resolution {row.resolution[:20]!r} is unknown.")
        yield CandleSeen(
            venue=VENUE,
            channel=channel,
            market=row.ticker,
            started_at_ns=wire.time_ns(row.started_at),
            interval_s=interval_s,
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
            volume_base=row.base_token_volume,
        )
