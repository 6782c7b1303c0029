"""Settlements of before the last month: what the stress index of ninety days is found from.

Read once in the life of a process, after the month that the present is judged against, as
background reads that leave the budget to everything else; the newest pages of all markets first.
*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import Event, FundingHistorySeen
from monitor.core.ports import PollOutput, Refresh, Request, Response
from monitor.core.types import EngineNs
from monitor.core.warm_up import PastPages
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.body import read
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.decoders.wire import MS_NS
from monitor.venues.hyperliquid.endpoints import check_response
from monitor.venues.hyperliquid.knowledge import Knowledge
from monitor.venues.hyperliquid.markets import HOUR_NS, hourly_funding_rate
from monitor.venues.hyperliquid.polls import PAGE_ROWS, InfoPoll
from monitor.venues.hyperliquid.settings import VENUE

KEY = "past"
_HOUR_MS = HOUR_NS // MS_NS


class PastFundingPoll(InfoPoll):
    """``fundingHistory`` of the months before the last: one page a round, the next one at once.

    Args:
        ready: Whether the last month's is read.
    """

    def __init__(self, knowledge: Knowledge, ready: Callable[[], bool]) -> None:
        super().__init__(knowledge, "fundingHistory", knowledge.settings.polls.baselines_s, KEY)
        self._ready = ready
        self._pages = PastPages(VENUE, self.channel, PAGE_ROWS)

    def request(self, now: EngineNs) -> Request:
        """The next page's; the exchange's status where there is none to read."""
        if not self._pages.planned and self._ready():
            self._pages.plan(self.knowledge.leaders(), now)
        page = self._pages.page
        if page is None:
            return self.ask("exchangeStatus")
        asked = self.ask(
            rows=page.last - page.first + 1,
            coin=page.market,
            startTime=page.first * _HOUR_MS,
            endTime=(page.last + 1) * _HOUR_MS - 1,
        )
        return msgspec.structs.replace(asked, patient=True)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """What a page holds; one that cannot be read holds up no other."""
        del now
        page = self._pages.page
        if page is None:
            return PollOutput((self.opened(),))
        said, events = f"{self.kind} {page.market}", tuple[Event, ...]()
        try:
            body = check_response(response, said)
            with decoding(said, body):
                rows = [row for row in read(body, list[wire.FundingRow]) if row.coin == page.market]
                rates = tuple(
                    (row.time * MS_NS, hourly_funding_rate(row.funding_rate, row.time))
                    for row in rows
                )
        except DecodeError as error:
            events = (self.opened(), self.rejected(error), *self._pages.done(more=False))
        else:
            told = FundingHistorySeen(
                venue=VENUE, channel=self.channel, market=page.market, rates=rates
            )
            events = (self.opened(), told, *self._pages.done(more=bool(rates)))
        return PollOutput(events, refresh=(Refresh(self.name),) if self._pages.page else ())
