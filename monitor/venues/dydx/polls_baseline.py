"""What the present is judged against: a month of settlements and half a year of hourly closes.

Read for the markets with the most open interest and those watched; each later round reads what came
since. The indexer answers newest first, so longer histories are paged backwards. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from monitor.core.events import Event, FundingHistorySeen, PriceHistorySeen
from monitor.core.ports import PollOutput, Refresh, Request, Response
from monitor.core.types import SECOND_NS, EngineNs
from monitor.core.warm_up import FUNDING, PRICES, WarmUp
from monitor.venues.dydx.codec import markets, wire
from monitor.venues.dydx.endpoints import Endpoints, NotFoundError, quoted
from monitor.venues.dydx.polls import RestPoll
from monitor.venues.dydx.settings import VENUE

ROWS_MAX = 1000  # of one answer
FUNDING_HOURS = 30 * 24
PRICE_HOURS = 180 * 24
KEY = "baseline"
_HOUR_NS = 3600 * SECOND_NS


class BaselinePoll(RestPoll):
    """One market a round, and the next round at once while there are more: an interruption costs
    one market's. Subclasses say what is asked and what the rows mean.

    Args:
        feed, history, hours: What it reads, of which kind that is, and how far back.
        leaders: The markets that matter, most open interest first.
    """

    def __init__(
        self,
        feed: str,
        history: str,
        hours: int,
        period_s: float,
        api: Endpoints,
        leaders: Callable[[], Iterable[str]],
    ) -> None:
        super().__init__(feed, KEY, period_s, api)
        self._leaders = leaders
        self._hours = hours
        self._warm_up = WarmUp(VENUE, self.name, history)
        self._left: list[str] = []
        self._before_ns: EngineNs = 0  # the page asked for ends here
        self._newest_ns: EngineNs = 0  # of the market that is being read
        self._read_ns: dict[str, EngineNs] = {}  # newest row that was read

    @property
    def complete(self) -> bool:
        """Whether all that matters was read once."""
        return not self._left and self._warm_up.complete

    def request(self, now: EngineNs) -> Request:
        """The next market's; the height where nothing new can be told yet."""
        if not self._left:
            leaders = tuple(self._leaders())
            self._left = [one for one in leaders if self._hours_since(one, now) >= 1]
            self._warm_up.begin(leaders, now)
        if not self._left:
            return self.api.get("/height")
        ticker = self._left[0]
        self._before_ns, self._newest_ns = now, 0
        limit = min(ROWS_MAX, self._hours_since(ticker, now) + 1)
        return replace(self.page(ticker, now, limit), patient=True)

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """One page, then the one before it, until what is known is reached."""
        del response
        if not self._left:
            return PollOutput()
        ticker = self._left[0]
        rows = self.rows(ticker, body, now)
        if not rows:
            return self._done(())
        oldest_ns, newest_ns = rows[0][0], rows[-1][0]
        wire.refuse_future(newest_ns, now, f"{self.feed} time of the newest row")
        self._newest_ns = max(self._newest_ns, newest_ns)
        seen = (self.event(ticker, tuple(rows)),)
        since_ns = self._since_ns(ticker, now) + _HOUR_NS
        if len(rows) >= ROWS_MAX - 1 and since_ns < oldest_ns < self._before_ns:
            self._before_ns = oldest_ns
            then = replace(self.page(ticker, oldest_ns, ROWS_MAX), patient=True)
            return PollOutput((*seen, *self._warm_up.news(self._left)), then=then)
        return self._done(seen)

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """A market that is gone has no history."""
        del error, now
        return self._done(())

    def rows(self, ticker: str, body: bytes, now: EngineNs) -> list[tuple[EngineNs, float]]:
        """(time, value) of a page, oldest first. Raises ``DecodeError``."""
        raise NotImplementedError

    def event(self, ticker: str, rows: tuple[tuple[EngineNs, float], ...]) -> Event:
        """What the rows say."""
        raise NotImplementedError

    def page(self, ticker: str, before_ns: EngineNs, limit: int) -> Request:
        """The request for the ``limit`` newest rows up to ``before_ns``."""
        raise NotImplementedError

    def _since_ns(self, ticker: str, now: EngineNs) -> EngineNs:
        return max(self._read_ns.get(ticker, 0), (now // _HOUR_NS - self._hours) * _HOUR_NS)

    def _hours_since(self, ticker: str, now: EngineNs) -> int:
        return (now - self._since_ns(ticker, now)) // _HOUR_NS

    def _done(self, seen: tuple[Event, ...]) -> PollOutput:
        """One market less; the others follow at once."""
        ticker = self._left.pop(0)
        if self._newest_ns:
            self._read_ns[ticker] = self._newest_ns
        self._warm_up.read(ticker)
        seen += self._warm_up.news(self._left)
        return PollOutput(seen, refresh=(Refresh(self.name),) if self._left else ())


class FundingBaselinePoll(BaselinePoll):
    """``/historicalFunding/{ticker}`` of the last 30 days."""

    def __init__(
        self, period_s: float, api: Endpoints, leaders: Callable[[], Iterable[str]]
    ) -> None:
        super().__init__("rest.historicalFunding", FUNDING, FUNDING_HOURS, period_s, api, leaders)

    def rows(self, ticker: str, body: bytes, now: EngineNs) -> list[tuple[EngineNs, float]]:
        """Hourly rates by the time of their settlement."""
        del now
        told = markets.settlements(body, self.name)
        return [
            (row.settled_at_ns, row.funding_rate_hourly) for row in told if row.market == ticker
        ]

    def event(self, ticker: str, rows: tuple[tuple[EngineNs, float], ...]) -> Event:
        """Settlements."""
        return FundingHistorySeen(venue=VENUE, channel=self.name, market=ticker, rates=rows)

    def page(self, ticker: str, before_ns: EngineNs, limit: int) -> Request:
        """The settlements before a time."""
        return self.api.get(
            f"/historicalFunding/{quoted(ticker)}",
            limit=limit,
            effectiveBeforeOrAt=wire.iso_time(before_ns),
        )


class PriceBaselinePoll(BaselinePoll):
    """``/candles/perpetualMarkets/{ticker}`` by the hour, of the last 180 days."""

    def __init__(
        self, period_s: float, api: Endpoints, leaders: Callable[[], Iterable[str]]
    ) -> None:
        super().__init__("rest.candles", PRICES, PRICE_HOURS, period_s, api, leaders)

    def rows(self, ticker: str, body: bytes, now: EngineNs) -> list[tuple[EngineNs, float]]:
        """Closes by the time they were the price; the bar that is still open has none."""
        return [
            (bar.started_at_ns + _HOUR_NS, bar.close)
            for bar in markets.candles(body, self.name)
            if bar.market == ticker and bar.started_at_ns + _HOUR_NS <= now
        ]

    def event(self, ticker: str, rows: tuple[tuple[EngineNs, float], ...]) -> Event:
        """Hourly closes."""
        return PriceHistorySeen(venue=VENUE, channel=self.name, market=ticker, closes=rows)

    def page(self, ticker: str, before_ns: EngineNs, limit: int) -> Request:
        """The bars that began before a time."""
        return self.api.get(
            f"/candles/perpetualMarkets/{quoted(ticker)}",
            resolution="1HOUR",
            limit=limit,
            toISO=wire.iso_time(before_ns),
        )
