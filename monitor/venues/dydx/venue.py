"""dYdX v4, composed: which connections are held and what is re-read. *Pure.*"""

from __future__ import annotations

import functools

from monitor.core.ports import Poll, StreamProtocol
from monitor.venues.dydx.account_channel import AccountChannel
from monitor.venues.dydx.account_polls import (
    TRUTH_FEED,
    AddressPoll,
    FillsPoll,
    OrdersPoll,
    PaymentsPoll,
    TransfersPoll,
    TruthPoll,
)
from monitor.venues.dydx.accounts import Accounts
from monitor.venues.dydx.channels import (
    BookChannel,
    Channel,
    HeightChannel,
    MarketsChannel,
)
from monitor.venues.dydx.codec.markets import Universe
from monitor.venues.dydx.compliance import CompliancePoll
from monitor.venues.dydx.endpoints import BUDGET, endpoints
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.polls import (
    FundingPoll,
    HeightPoll,
    MarketsPoll,
    TimePoll,
    ValidatorPoll,
)
from monitor.venues.dydx.polls_baseline import FundingBaselinePoll, PriceBaselinePoll
from monitor.venues.dydx.polls_past import PastFundingPoll
from monitor.venues.dydx.settings import VENUE, DydxSettings
from monitor.venues.dydx.stream import SUBSCRIPTIONS_MAX, DydxStream

PARENTS_PER_CONNECTION = 200  # of 256 allowed
BOOKS_TO_SPARE = 8  # markets that may come to be held after the connections were planned


class DydxVenue:
    """The venue as the runtime drives it: bootstrap first, then streams and polls.

    ``universe`` and ``accounts`` hold what the bootstrap learnt.
    """

    name = VENUE
    budget = BUDGET

    def __init__(self, settings: DydxSettings) -> None:
        self.settings = settings
        self.universe = Universe()
        self._heights = ChainHeights()
        self.accounts = Accounts(settings.accounts, heights=self._heights)
        self._api = endpoints(settings)
        self._compliance: dict[str, str] = {}
        self._books: dict[str, BookChannel] = {}
        self._addresses = [
            AddressPoll(account.alias, account.address, self._api, self.accounts)
            for account in settings.accounts
        ]
        chosen = settings.markets if "markets" in settings.model_fields_set else ()
        self._markets = MarketsPoll(
            settings.periods.markets_s, self._api, self.universe, asked_for=chosen
        )

    @property
    def unwatched(self) -> dict[str, tuple[int, ...]]:
        """Subaccount numbers that exist under a configured address but are watched by nobody."""
        return {
            account.alias: poll.unwatched
            for account, poll in zip(self.settings.accounts, self._addresses, strict=True)
            if poll.unwatched
        }

    def bootstrap(self) -> tuple[Poll, ...]:
        """Markets, then each address with its compliance, so that held markets are known."""
        return (self._markets, *self._addresses, *self._screens())

    def streams(self) -> tuple[StreamProtocol, ...]:
        """One connection for markets and the first books, more for more books, one for accounts."""
        url = self._api.ws_url
        fixed: list[Channel] = [
            MarketsChannel(self.universe, reread=self._markets.name),
            HeightChannel(self._heights),
        ]
        connections = -(-(len(self._wanted()) + BOOKS_TO_SPARE) // SUBSCRIPTIONS_MAX)
        streams: list[StreamProtocol] = []
        for index in range(connections):
            label = "markets" if index == 0 else f"books-{index + 1}"
            streams.append(
                DydxStream(
                    f"{VENUE}/{label}",
                    url,
                    fixed if index == 0 else [HeightChannel(self._heights, key=label)],
                    self._heights,
                    wanted=functools.partial(self._books_of, index),
                )
            )
        parents = self.accounts.parents
        for index, start in enumerate(range(0, len(parents), PARENTS_PER_CONNECTION)):
            label = f"accounts-{index + 1}"
            channels: list[Channel] = [HeightChannel(self._heights, key=label)]
            channels += [
                AccountChannel(parent, self.accounts, rereads=self._rereads(parent.pool_name))
                for parent in parents[start : start + PARENTS_PER_CONNECTION]
            ]
            streams.append(DydxStream(f"{VENUE}/{label}", url, channels, self._heights))
        return tuple(streams)

    def polls(self) -> tuple[Poll, ...]:
        """Everything that is re-read for as long as the daemon runs."""
        periods, api = self.settings.periods, self._api
        polls: list[Poll] = [
            HeightPoll(periods.height_s, api, self._heights),
            TimePoll(periods.time_s, api),
            self._markets,
            FundingPoll(periods.funding_s, api, self.universe, self._wanted),
        ]
        if self.settings.baselines:
            period_s = periods.baselines_s
            month = FundingBaselinePoll(period_s, api, self._leaders)
            polls += [
                month,
                PriceBaselinePoll(period_s, api, self._leaders),
                PastFundingPoll(period_s, api, self._leaders, lambda: month.complete),
            ]
        polls += [
            ValidatorPoll(index, url, periods.height_s, api, self._heights)
            for index, url in enumerate(self.settings.validator_urls, start=1)
        ]
        for parent in self.accounts.parents:
            polls += [
                TruthPoll(parent, periods.account_s, api),
                OrdersPoll(parent, periods.orders_s, api, self._heights),
                FillsPoll(parent, periods.fills_s, api),
                TransfersPoll(parent, periods.transfers_s, api, self.accounts),
                PaymentsPoll(parent, periods.funding_payments_s, api),
            ]
        return (*polls, *self._addresses, *self._screens())

    def _screens(self) -> list[Poll]:
        period_s = self.settings.periods.compliance_s
        return [
            CompliancePoll(a.alias, a.address, period_s, self._api, self._compliance)
            for a in self.settings.accounts
        ]

    def _rereads(self, pool_name: str) -> tuple[str, ...]:
        return tuple(f"{VENUE}/{feed}/{pool_name}" for feed in (TRUTH_FEED, "rest.orders"))

    def _leaders(self) -> tuple[str, ...]:
        """Whose history is read: the watched ones first, for the desk's own caps wait for them."""
        return tuple(dict.fromkeys([*self._wanted(), *self.universe.leaders()]))

    def _wanted(self) -> list[str]:
        """Markets watched closely, in an order that never changes: configured, then held."""
        for ticker in (*self.settings.markets, *sorted(self.accounts.held())):
            if ticker not in self._books and self.universe.is_live(ticker):
                self._books[ticker] = BookChannel(ticker)
        return list(self._books)

    def _books_of(self, index: int) -> list[Channel]:
        """The books of one connection: 32 each, since more would silently not exist."""
        start = index * SUBSCRIPTIONS_MAX
        return [self._books[ticker] for ticker in self._wanted()[start : start + SUBSCRIPTIONS_MAX]]
