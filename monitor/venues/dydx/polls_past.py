"""Settlements of before the last month: what the stress index of ninety days is found from.

Read once in the life of a process, after the month that the present is judged against, as
background reads that leave the budget to everything else; the newest pages of all markets first.
*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from monitor.core.events import Event, FundingHistorySeen
from monitor.core.ports import PollOutput, Refresh, Request, Response
from monitor.core.types import SECOND_NS, EngineNs
from monitor.core.warm_up import PastPages
from monitor.venues.dydx.codec import markets, wire
from monitor.venues.dydx.endpoints import Endpoints, NotFoundError, quoted
from monitor.venues.dydx.polls import RestPoll
from monitor.venues.dydx.polls_baseline import ROWS_MAX
from monitor.venues.dydx.settings import VENUE

KEY = "past"
_HOUR_NS = 3600 * SECOND_NS


class PastFundingPoll(RestPoll):
    """``/historicalFunding/{ticker}`` of the months before the last: one page a round, the next one
    at once.

    Args:
        leaders: The markets that matter.
        ready: Whether the last month's is read.
    """

    def __init__(
        self,
        period_s: float,
        api: Endpoints,
        leaders: Callable[[], Iterable[str]],
        ready: Callable[[], bool],
    ) -> None:
        super().__init__("rest.historicalFunding", KEY, period_s, api)
        self._leaders = leaders
        self._ready = ready
        self._pages = PastPages(VENUE, self.name, ROWS_MAX)

    def request(self, now: EngineNs) -> Request:
        """The next page's; the height where there is none to read."""
        if not self._pages.planned and self._ready():
            self._pages.plan(tuple(self._leaders()), now)
        page = self._pages.page
        if page is None:
            return self.api.get("/height")
        asked = self.api.get(
            f"/historicalFunding/{quoted(page.market)}",
            limit=page.last - page.first + 1,
            effectiveBeforeOrAt=wire.iso_time((page.last + 1) * _HOUR_NS - SECOND_NS),
        )
        return replace(asked, patient=True)

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """What a page holds."""
        del now, response
        page = self._pages.page
        if page is None:
            return PollOutput()
        rates = tuple(
            (row.settled_at_ns, row.funding_rate_hourly)
            for row in markets.settlements(body, self.name)
            if row.market == page.market
        )
        seen = FundingHistorySeen(venue=VENUE, channel=self.name, market=page.market, rates=rates)
        return self._next((seen,), more=bool(rates))

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """A market that is gone has no history."""
        del error, now
        return self._next((), more=False)

    def _next(self, seen: tuple[Event, ...], *, more: bool) -> PollOutput:
        events = (*seen, *self._pages.done(more=more))
        return PollOutput(events, refresh=(Refresh(self.name),) if self._pages.page else ())
