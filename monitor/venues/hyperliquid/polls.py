"""REST re-reads of Hyperliquid as pure objects: a request out, events in. Markets and the venue.

A poll is named after the ``/info`` type it asks for; its channel is ``rest.<type>``. Each answer
opens the channel (anew), so that a healed poll counts as alive with its first answer. *Pure.*
"""

from __future__ import annotations

from monitor.core.errors import DecodeError
from monitor.core.events import (
    ChannelOpened,
    ClockSkewSeen,
    Event,
    FrameRejected,
    MarketContextSeen,
)
from monitor.core.ports import PollOutput, Request, Response
from monitor.core.types import SECOND_NS, EngineNs, channel_id
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.body import read
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.decoders.market import (
    MarketDecoder,
    funding_events,
    status_events,
)
from monitor.venues.hyperliquid.decoders.wire import MS_NS, refuse_future
from monitor.venues.hyperliquid.endpoints import Argument, check_response, info_request
from monitor.venues.hyperliquid.knowledge import Knowledge, poll_name
from monitor.venues.hyperliquid.markets import FIRST_DEX, HOUR_NS, USDC_TOKEN, meta_channel
from monitor.venues.hyperliquid.settings import VENUE

PAGE_ROWS = 500  # time-ranged lists return no more rows than this
FUNDING_LOOKBACK_NS = 25 * HOUR_NS
SKEW_ROUND_TRIP_S_MAX = 1.0  # a slower answer says little about the venue's clock


class InfoPoll:
    """A ``Poll`` of one ``/info`` type; subclasses say what is asked and what the answer means."""

    venue = VENUE

    def __init__(self, knowledge: Knowledge, kind: str, period_s: float, key: str = "") -> None:
        self.knowledge = knowledge
        self.kind = kind
        self.key = key
        self.name = poll_name(kind, key)
        self.period_s = period_s
        self.channel = channel_id(VENUE, f"rest.{kind}", key)

    def ask(self, kind: str = "", *, rows: int = 0, **arguments: Argument) -> Request:
        """A request to this venue's ``/info``."""
        url = self.knowledge.settings.info_url
        return info_request(url, kind or self.kind, rows=rows, **arguments)

    def opened(self, channel: str = "") -> ChannelOpened:
        """The poll answered: its channel is open."""
        return ChannelOpened(
            venue=VENUE,
            channel=channel or self.channel,
            feed=f"rest.{self.kind}",
            cadence_s=self.period_s,
        )

    def request(self, now: EngineNs) -> Request:
        """The first request of a round."""
        del now
        return self.ask()

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """What an answer means; see ``ports.Poll``."""
        raise NotImplementedError

    def rejected(self, error: DecodeError) -> FrameRejected:
        """One page that could not be read while others can."""
        return FrameRejected(
            venue=VENUE,
            channel=self.channel,
            feed=f"rest.{self.kind}",
            reason=f"{self.name}: {error}",
            sample=error.sample,
        )


class ExchangeStatusPoll(InfoPoll):
    """``exchangeStatus``: the exchange's clock, its health, and how far our clock is off."""

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(knowledge, "exchangeStatus", knowledge.settings.polls.exchange_status_s)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Clock, status and skew."""
        body = check_response(response, self.kind)
        with decoding(self.kind, body):
            status = read(body, wire.ExchangeStatus)
        told: tuple[Event, ...] = status_events(status, self.channel)
        try:
            refuse_future(status.time, now, "exchangeStatus: time")
        except DecodeError as error:  # its skew is told all the same: our own clock may be wrong
            told = (self.rejected(error), *told[1:])
        events: tuple[Event, ...] = (self.opened(), *told)
        if response.elapsed_s <= SKEW_ROUND_TRIP_S_MAX:
            middle_ns = now - round(response.elapsed_s * SECOND_NS / 2)
            skew = ClockSkewSeen(
                venue=VENUE,
                channel=self.channel,
                venue_time_ns=status.time * MS_NS,
                skew_s=(status.time * MS_NS - middle_ns) / SECOND_NS,
            )
            events = (*events, skew)
        return PollOutput(events)


class DexListPoll(InfoPoll):
    """``perpDexs``: which builder dexes there are. Bootstrap only; the markets poll repeats it, and
    lends its name so that no feed is left behind that never speaks again."""

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(knowledge, "metaAndAssetCtxs", knowledge.settings.polls.markets_s)

    def request(self, now: EngineNs) -> Request:
        """The list."""
        del now
        return self.ask("perpDexs")

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Keep the names."""
        del now
        learn_dexes(self.knowledge, check_response(response, "perpDexs"))
        return PollOutput()


def learn_dexes(knowledge: Knowledge, body: bytes) -> None:
    """Keep the names of all dexes; entry 0 is null, the first dex."""
    with decoding("perpDexs", body):
        dexes = read(body, list[wire.Dex | None])
    names = dict.fromkeys([FIRST_DEX, *(dex.name for dex in dexes if dex is not None)])
    knowledge.markets.dex_names = tuple(names)


class MarketsPoll(InfoPoll):
    """``perpDexs``, then ``metaAndAssetCtxs`` of every followed dex: the universe, listed anew.

    A dex whose meta cannot be read is rejected by itself; the first dex's failure fails the round.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(knowledge, "metaAndAssetCtxs", knowledge.settings.polls.markets_s)
        self._left: list[str] = []
        self._dex: str | None = None

    def request(self, now: EngineNs) -> Request:
        """First the list of dexes."""
        del now
        self._dex = None
        self._left = []
        return self.ask("perpDexs")

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """The dex list, then one dex's meta and contexts at a time."""
        dex = self._dex
        if dex is None:
            learn_dexes(self.knowledge, check_response(response, "perpDexs"))
            known = self.knowledge.markets.dex_names
            self._left = [name for name in known if name in self.knowledge.followed]
            return PollOutput(then=self._next())
        try:
            events = self._listed(dex, check_response(response, self.kind), now)
        except DecodeError as error:
            if dex == FIRST_DEX:
                raise
            events = (self.rejected(error),)
        return PollOutput(events, then=self._next())

    def _next(self) -> Request | None:
        if not self._left:
            return None
        self._dex = self._left.pop(0)
        return self.ask(dex=self._dex or None)

    def _listed(self, dex: str, body: bytes, now: EngineNs) -> tuple[Event, ...]:
        channel = meta_channel(dex)
        knowledge = self.knowledge
        with decoding(f"{self.kind} of dex {dex!r}", body):
            meta, contexts = read(body, tuple[wire.Universe, list[wire.Context]])
            if len(meta.universe) != len(contexts):
                raise DecodeError(
                    f"hyperliquid {self.kind} of dex {dex!r}: {len(contexts)} contexts for "
                    f"{len(meta.universe)} markets; a shifted list is refused",
                )
            listed = knowledge.markets.update(dex, meta, channel)
            decoder = MarketDecoder(knowledge.markets)
            told = decoder.zip_contexts(dex, contexts, channel, now)
        for event in told:
            if isinstance(event, MarketContextSeen) and event.mark_price:
                knowledge.reference_prices[event.market] = event.mark_price
                if dex == FIRST_DEX and event.open_interest_base is not None:
                    usd = event.open_interest_base * event.mark_price
                    knowledge.open_interest_usd[event.market] = usd
        return (self.opened(channel), *listed, *told)


class FundingHistoryPoll(InfoPoll):
    """``fundingHistory`` of each watched market since its last known settlement.

    Runs hourly by itself and shortly after each hour when the market stream asks for it.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        period_s = knowledge.settings.polls.funding_history_s
        super().__init__(knowledge, "fundingHistory", period_s)
        self._left: list[str] = []
        self._coin = ""
        self._last_ms: dict[str, int] = {}

    def request(self, now: EngineNs) -> Request:
        """The first market's; the exchange's status where none is watched yet."""
        # Delisted markets are asked for too: a channel that fell silent would look dead.
        markets = self.knowledge.markets
        self._left = [coin for coin in self.knowledge.watchlist.coins() if coin in markets]
        self._coin = ""
        return self._next(now) or self.ask("exchangeStatus")

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Settlements of one market; a full page is read on, an unknown market skipped."""
        coin = self._coin
        if not coin:
            return PollOutput()
        try:
            body = check_response(response, f"{self.kind} {coin}")
            with decoding(f"{self.kind} {coin}", body):
                rows = read(body, list[wire.FundingRow])
                newest_ms = max((row.time for row in rows), default=None)
                # The next round begins after it, so one from the future would be the last.
                refuse_future(newest_ms, now, "time of the newest row")
        except DecodeError as error:
            return PollOutput((self.rejected(error),), then=self._next(now))
        channel = channel_id(VENUE, f"rest.{self.kind}", coin)
        events = funding_events([row for row in rows if row.coin == coin], channel)
        if newest_ms is not None:
            self._last_ms[coin] = newest_ms
        if len(rows) >= PAGE_ROWS:
            self._left.insert(0, coin)
        return PollOutput((self.opened(channel), *events), then=self._next(now))

    def _next(self, now: EngineNs) -> Request | None:
        if not self._left:
            return None
        self._coin = coin = self._left.pop(0)
        last_ms = self._last_ms.get(coin)
        start_ms = (now - FUNDING_LOOKBACK_NS) // MS_NS if last_ms is None else last_ms + 1
        return self.ask(coin=coin, startTime=max(start_ms, 0), rows=25)


class SpotPricesPoll(InfoPoll):
    """``spotMeta`` once, then ``allMids``: prices of collateral tokens of pooled accounts."""

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(knowledge, "allMids", knowledge.settings.polls.balances_s)
        self._asking_pairs = False

    def request(self, now: EngineNs) -> Request:
        """The pairs first, while they are unknown."""
        del now
        self._asking_pairs = not self.knowledge.prices.pairs_known
        return self.ask("spotMeta") if self._asking_pairs else self.ask()

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Which pair prices which token, then the mids of those pairs."""
        prices = self.knowledge.prices
        if self._asking_pairs:
            body = check_response(response, "spotMeta")
            with decoding("spotMeta", body):
                meta = read(body, wire.SpotUniverse)
            pairs: dict[int, str] = {}
            for pair in meta.universe:
                base, quote = pair.tokens
                if quote == USDC_TOKEN:
                    pairs.setdefault(base, pair.name)
            prices.learn_pairs(pairs, {token.index: token.name for token in meta.tokens})
            self._asking_pairs = False
            return PollOutput(then=self.ask())
        body = check_response(response, self.kind)
        with decoding(self.kind, body):
            mids = read(body, dict[wire.Coin, wire.Number])
        prices.learn_mids(mids, now)
        return PollOutput((self.opened(),))
