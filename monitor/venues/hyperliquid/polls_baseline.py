"""What the present is judged against: a month of settlements and half a year of hourly closes.

Read for the markets with the most open interest and those watched, as background reads that leave
the budget to the truth; each later round goes on where the last one ended, and so heals what a
downtime left out. *Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import Event, FundingHistorySeen, PriceHistorySeen
from monitor.core.ports import PollOutput, Refresh, Request, Response
from monitor.core.types import EngineNs
from monitor.core.warm_up import FUNDING, PRICES, WarmUp
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.body import read
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.decoders.wire import MS_NS, refuse_future
from monitor.venues.hyperliquid.endpoints import check_response
from monitor.venues.hyperliquid.knowledge import Knowledge
from monitor.venues.hyperliquid.markets import HOUR_NS, hourly_funding_rate
from monitor.venues.hyperliquid.polls import PAGE_ROWS, InfoPoll
from monitor.venues.hyperliquid.settings import VENUE

KEY = "baseline"
FUNDING_HOURS = 30 * 24
PRICE_HOURS = 180 * 24
_HOUR_MS = HOUR_NS // MS_NS


class BaselinePoll(InfoPoll):
    """One market a round, and the next round at once while there are more: an interruption costs
    one market's. Subclasses say what is asked and what the rows mean."""

    def __init__(self, knowledge: Knowledge, kind: str, history: str, hours: int) -> None:
        super().__init__(knowledge, kind, knowledge.settings.polls.baselines_s, KEY)
        self._hours = hours
        self._warm_up = WarmUp(VENUE, self.channel, history)
        self._left: list[str] = []
        self._read_ms: dict[str, int] = {}  # newest row that was read

    @property
    def complete(self) -> bool:
        """Whether all that matters was read once."""
        return not self._left and self._warm_up.complete

    def request(self, now: EngineNs) -> Request:
        """The next market's; the exchange's status where nothing new can be told yet."""
        if not self._left:
            leaders = self.knowledge.leaders()
            self._left = [
                coin for coin in leaders if now // MS_NS - self._start_ms(coin, now) >= _HOUR_MS
            ]
            self._warm_up.begin(leaders, now)
        return self._ask_next(now) if self._left else self.ask("exchangeStatus")

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """What one page holds; a market that cannot be read does not hold up the others."""
        if not self._left:
            return PollOutput((self.opened(),))
        coin, readable = self._left[0], True
        told: Event | None
        try:
            body = check_response(response, f"{self.kind} {coin}")
            with decoding(f"{self.kind} {coin}", body):
                told, newest_ms, more = self.told(coin, body, now)
                refuse_future(newest_ms, now, "time of the newest row")
        except DecodeError as error:
            told, newest_ms, more, readable = self.rejected(error), None, False, False
        if newest_ms is not None:
            self._read_ms[coin] = newest_ms
        events: tuple[Event, ...] = (self.opened(),) if told is None else (self.opened(), told)
        if more:
            events += self._warm_up.news(self._left)
            return PollOutput(events, then=self._ask_next(now))
        del self._left[0]
        if readable:
            self._warm_up.read(coin)
        events += self._warm_up.news(self._left)
        return PollOutput(events, refresh=(Refresh(self.name),) if self._left else ())

    def page(self, coin: str, start_ms: int, now: EngineNs) -> Request:
        """The request for rows of ``coin`` since ``start_ms``."""
        raise NotImplementedError

    def told(self, coin: str, body: bytes, now: EngineNs) -> tuple[Event | None, int | None, bool]:
        """What rows say, the time of the newest, ms, and whether there may be more of them."""
        raise NotImplementedError

    def _ask_next(self, now: EngineNs) -> Request:
        coin = self._left[0]
        request = self.page(coin, self._start_ms(coin, now), now)
        return msgspec.structs.replace(request, patient=True)

    def _start_ms(self, coin: str, now: EngineNs) -> int:
        begin_ms = max(0, (now // HOUR_NS - self._hours) * _HOUR_MS)
        return max(begin_ms, self._read_ms.get(coin, -1) + 1)


class FundingBaselinePoll(BaselinePoll):
    """``fundingHistory`` of the last 30 days: 500 rows a page."""

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(knowledge, "fundingHistory", FUNDING, FUNDING_HOURS)

    def page(self, coin: str, start_ms: int, now: EngineNs) -> Request:
        """Weighed by the rows to come."""
        rows = min(PAGE_ROWS, (now // MS_NS - start_ms) // _HOUR_MS + 1)
        return self.ask(rows=rows, coin=coin, startTime=start_ms)

    def told(self, coin: str, body: bytes, now: EngineNs) -> tuple[Event | None, int | None, bool]:
        """Hourly rates by the time of their settlement."""
        del now
        rows = [row for row in read(body, list[wire.FundingRow]) if row.coin == coin]
        if not rows:
            return None, None, False
        seen = FundingHistorySeen(
            venue=VENUE,
            channel=self.channel,
            market=coin,
            rates=tuple(
                (row.time * MS_NS, hourly_funding_rate(row.funding_rate, row.time)) for row in rows
            ),
        )
        return seen, max(row.time for row in rows), len(rows) >= PAGE_ROWS


class PriceBaselinePoll(BaselinePoll):
    """``candleSnapshot`` of hourly bars of the last 180 days, in one answer."""

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(knowledge, "candleSnapshot", PRICES, PRICE_HOURS)

    def page(self, coin: str, start_ms: int, now: EngineNs) -> Request:
        """Bars that start within the range."""
        end_ms = now // MS_NS
        rows = (end_ms - start_ms) // _HOUR_MS + 1
        span: dict[str, str | int] = {"startTime": start_ms, "endTime": end_ms}
        return self.ask(rows=rows, req={"coin": coin, "interval": "1h", **span})

    def told(self, coin: str, body: bytes, now: EngineNs) -> tuple[Event | None, int | None, bool]:
        """Closes by the time they were the price; the bar that is still open has none."""
        bars = [
            bar
            for bar in read(body, list[wire.Candle])
            if bar.s == coin and bar.i == "1h" and bar.t + _HOUR_MS <= now // MS_NS
        ]
        if not bars:
            return None, None, False
        seen = PriceHistorySeen(
            venue=VENUE,
            channel=self.channel,
            market=coin,
            closes=tuple(((bar.t + _HOUR_MS) * MS_NS, bar.c) for bar in bars),
        )
        return seen, max(bar.t for bar in bars), False
