"""Recorded hours as the events that venues would have told. *Pure.*

One channel per market states everything known of it each hour; what no row says is unknown from
that hour on, and a market of which nothing is said has lost its channel. Funding between two
settlements stands at the last settled rate (no venue's running estimate is recorded). Open interest
is Bybit's, in coins, whatever the venue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitor.backtest.history import HOUR_S, History
from monitor.backtest.overlay import NO_OUTAGES, Overlay
from monitor.core.events import (
    ChannelLost,
    ChannelOpened,
    Event,
    FundingHistorySeen,
    FundingSettled,
    MarginTier,
    MarketContextSeen,
    MarketListed,
    PriceHistorySeen,
)
from monitor.core.types import SECOND_NS, EngineNs, MarketStatus, channel_id

FEED = "context"
# A settled rate stands until the next one is due: at most so many hours, and less where the venue
# settles hourly. After that it is unknown, not the last one.
RATE_STANDS_H = 8
OPEN_INTEREST_STANDS_H = 4
# Of the settlements before the first hour: a month's window, a day for flips, and some.
PAST_FUNDING_H = 32 * 24
HOURLY_VENUES = frozenset({"dydx", "hyperliquid", "kraken", "lighter"})


@dataclass(slots=True)
class _Market:
    venue: str
    asset: str
    channel: str
    closes: list[float | None]
    settlements: Sequence[object]
    listed: bool = False
    open: bool = False
    rate: float | None = None  # hourly, as last settled
    settled_at: int = 0
    interval_s: int = 8 * HOUR_S
    interest: float | None = None
    interest_at: int = 0


class MarketFeed:
    """Tells the hours of a history one after the other; ``known`` is what it last told."""

    def __init__(
        self,
        history: History,
        venues: Sequence[str],
        *,
        overlay: Overlay = NO_OUTAGES,
        tiers: tuple[MarginTier, ...] = (),
    ) -> None:
        self._history = history
        self._overlay = overlay
        self._tiers = tiers
        nothing: list[float | None] = [None] * history.hours
        keys = [key for key in history.settlements if key[0] in venues]
        self._markets = [
            _Market(
                venue=venue,
                asset=asset,
                channel=channel_id(venue, FEED, asset),
                closes=history.closes.get(asset, nothing),
                settlements=history.settlements[venue, asset],
            )
            for venue, asset in sorted(keys)
        ]
        self._dark: set[str] = set()
        for market in self._markets:
            self._recall(market)

    @property
    def dark(self) -> frozenset[str]:
        """Venues that told nothing in the last hour because of an outage."""
        return frozenset(self._dark)

    @property
    def markets(self) -> tuple[tuple[str, str], ...]:
        """(venue, asset) of every market that is ever told of."""
        return tuple((one.venue, one.asset) for one in self._markets)

    def hour(self, index: int) -> list[Event]:
        """What the venues said on the full hour; all of it at that instant."""
        at_s = self._history.time_s(index)
        at_ns = at_s * SECOND_NS
        events: list[Event] = []
        self._dark = {
            venue for venue in self._dark if self._overlay.dark_until(venue, at_s) is not None
        }
        for market in self._markets:
            if market.venue in self._dark:
                self._note(market, index)
                continue
            self._tell(market, index, at_ns, events)
        return events

    def darkened(self, index: int) -> Iterator[tuple[EngineNs, ChannelLost]]:
        """Losses of channels between this hour and the next, as outages begin, in their order."""
        at_s = self._history.time_s(index)
        for outage in self._overlay.between(at_s, at_s + HOUR_S):
            if outage.venue in self._dark or outage.start_s < at_s:
                continue
            self._dark.add(outage.venue)
            for market in self._markets:
                if market.venue == outage.venue and market.open:
                    market.open = False
                    lost = ChannelLost(
                        venue=market.venue,
                        channel=market.channel,
                        reason=f"{outage.system}: {outage.kind}",
                        gap=True,
                    )
                    yield outage.start_s * SECOND_NS, lost

    def _note(self, market: _Market, index: int) -> None:
        """A settlement made while nobody heard: history knows it, the desk only later."""
        settled = self._history.settlements[market.venue, market.asset][index]
        if settled is not None:
            market.rate, market.interval_s = settled.hourly, settled.interval_h * HOUR_S
            market.settled_at = index

    def _recall(self, market: _Market) -> None:
        """The settlement that stands when the first hour begins."""
        past = self._history.before
        rows = [] if past is None else past.settlements[market.venue, market.asset]
        for back, settled in enumerate(reversed(rows), start=1):
            if settled is not None:
                market.rate, market.interval_s = settled.hourly, settled.interval_h * HOUR_S
                market.settled_at = -back
                return

    def _past(self, market: _Market) -> Iterator[Event]:
        """What a starting daemon reads of a market: closes of half a year, a month of funding."""
        past = self._history.before
        if past is None:
            return
        channel = channel_id(market.venue, "past", market.asset)
        times = [past.time_s(index) * SECOND_NS for index in range(past.hours)]
        rates = zip(times, past.settlements[market.venue, market.asset], strict=True)
        told = [(at, one.hourly) for at, one in rates if one is not None]
        first_ns = times[-1] - PAST_FUNDING_H * HOUR_S * SECOND_NS
        yield FundingHistorySeen(
            venue=market.venue,
            channel=channel,
            market=market.asset,
            rates=tuple(one for one in told if one[0] >= first_ns),
        )
        closes = zip(times, past.closes.get(market.asset, ()), strict=False)
        yield PriceHistorySeen(
            venue=market.venue,
            channel=channel,
            market=market.asset,
            closes=tuple((at, close) for at, close in closes if close is not None),
        )

    def _tell(self, market: _Market, index: int, at_ns: EngineNs, into: list[Event]) -> None:
        settled = self._history.settlements[market.venue, market.asset][index]
        if settled is not None:
            self._note(market, index)
        stands_h = 1 if market.venue in HOURLY_VENUES else RATE_STANDS_H
        if market.rate is not None and index - market.settled_at >= stands_h:
            market.rate = None
        interests = self._history.open_interest.get(market.asset)
        interest = None if interests is None else interests[index]
        if interest is not None:
            market.interest, market.interest_at = interest, index
        elif index - market.interest_at >= OPEN_INTEREST_STANDS_H:
            market.interest = None
        price = market.closes[index]
        if price is None and market.rate is None:
            if market.open:
                market.open = False
                into.append(
                    ChannelLost(
                        venue=market.venue, channel=market.channel, reason="no rows", gap=True
                    )
                )
            return
        if not market.open:
            self._open(market, into)
        into.append(
            MarketContextSeen(
                venue=market.venue,
                channel=market.channel,
                market=market.asset,
                venue_time_ns=at_ns,
                mark_price=price,
                oracle_price=price,
                predicted_funding_rate_hourly=market.rate,
                open_interest_base=market.interest,
                complete=True,
            )
        )
        if settled is not None:
            into.append(
                FundingSettled(
                    venue=market.venue,
                    channel=market.channel,
                    market=market.asset,
                    venue_time_ns=at_ns,
                    funding_rate_hourly=settled.hourly,
                    native_funding_rate=settled.rate,
                    native_funding_interval_s=settled.interval_h * HOUR_S,
                    settled_at_ns=at_ns,
                    oracle_price=price,
                )
            )

    def _open(self, market: _Market, into: list[Event]) -> None:
        market.open = True
        into.append(
            ChannelOpened(
                venue=market.venue, channel=market.channel, feed=FEED, cadence_s=float(HOUR_S)
            )
        )
        if not market.listed:
            market.listed = True
            into.append(
                MarketListed(
                    venue=market.venue,
                    channel=market.channel,
                    market=market.asset,
                    asset=market.asset,
                    status=MarketStatus.ACTIVE,
                    has_mark=True,
                    funding_interval_s=market.interval_s,
                    margin_tiers=self._tiers,
                )
            )
            into += self._past(market)
