"""What is re-read from the indexer over REST about our accounts.

The truth of positions and money every few seconds, working orders, and the histories (fills,
transfers, funding payments), of which only what is new is told. A subaccount that the indexer does
not know (404) is an account with nothing in it, not an error. *Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.errors import AuthError, DecodeError, TransientFeedError
from monitor.core.events import (
    AccountDiscovered,
    ChannelLost,
    Event,
    FillsReported,
    FundingPaid,
    TransfersReported,
)
from monitor.core.ports import PollOutput, Refresh, Request, Response
from monitor.core.types import SECOND_NS, EngineNs, channel_id
from monitor.venues.dydx.accounts import Accounts, Parent, Pool, shortened
from monitor.venues.dydx.codec import account, activity, wire
from monitor.venues.dydx.endpoints import Endpoints, NotFoundError
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.polls import RestPoll
from monitor.venues.dydx.settings import PARENTS, VENUE

WORKING = "OPEN,UNTRIGGERED,BEST_EFFORT_OPENED"
ROWS_MAX = 1000  # the indexer's own ceiling of ``limit``
FILLS_ROWS = 100
FILLS_PAGES_MAX = 10
PAYMENTS_PAGES_MAX = 10
TRANSFERS_PAGES_MAX = 10
REREAD_AFTER_S = 2.0
ADDRESSES_S = 3600.0
TRUTH_FEED = "rest.parentSubaccount"
_HISTORY_NS = 25 * 3600 * SECOND_NS  # a day of funding, and the hour in which it began
_OVERLAP_NS = 3 * 3600 * SECOND_NS


class Addresses(msgspec.Struct, gc=False):
    """``/addresses/{address}``."""

    subaccounts: list[wire.SubaccountRow]


class FillsBody(msgspec.Struct, gc=False):
    """``/fills``."""

    fills: list[wire.FillRow]


class TransfersBody(msgspec.Struct, gc=False):
    """``/transfers``."""

    transfers: list[wire.TransferRow]


class PaymentsBody(msgspec.Struct, gc=False, rename="camel"):
    """``/fundingPayments``."""

    funding_payments: list[wire.FundingPaymentRow]


_ADDRESSES = wire.decoder(Addresses)
_SUBACCOUNT = wire.decoder(wire.AccountSnapshot)
_ORDERS = wire.decoder(list[wire.OrderRow])
_FILLS = wire.decoder(FillsBody)
_TRANSFERS = wire.decoder(TransfersBody)
_PAYMENTS = wire.decoder(PaymentsBody)


class _ParentPoll(RestPoll):
    """A poll about one parent subaccount."""

    def __init__(self, feed: str, parent: Parent, period_s: float, api: Endpoints) -> None:
        super().__init__(feed, parent.pool_name, period_s, api)
        self.parent = parent

    def get(self, path: str, **query: str | int) -> Request:
        """A GET of the parent form, which answers for all children."""
        return self.api.get(
            path,
            address=self.parent.address,
            parentSubaccountNumber=self.parent.number,
            **query,
        )

    def pool(self, number: int | None) -> Pool:
        """The pool of a row; rows without a number are the parent's own."""
        found = self.parent.pool(self.parent.number if number is None else number)
        if found is None:
            raise DecodeError(f"dYdX answered with subaccount {number}, not of this parent.")
        return found


class AddressPoll(RestPoll):
    """``/addresses/{a}``: which subaccounts exist, asked at the start and every hour.

    Money under a parent that nobody configured is out of sight; ``unwatched`` names such numbers
    for whoever writes the configuration. Positions and money are told with the first answer alone,
    so that held markets are known when connections are planned, and in the name of the channel
    that re-reads them: what lists subaccounts by the hour must not vouch for them.
    """

    def __init__(self, alias: str, address: str, api: Endpoints, accounts: Accounts) -> None:
        super().__init__("rest.addresses", alias, ADDRESSES_S, api)
        self._alias = alias
        self._address = address
        self._parents = [p for p in accounts.parents if p.address == address]
        self._answered = False
        self.unwatched: tuple[int, ...] = ()

    def request(self, now: EngineNs) -> Request:
        """All subaccounts of the address."""
        del now
        return self.api.get(f"/addresses/{self._address}")

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Subaccounts that nobody watches; at first what every watched pool holds, too."""
        del now, response
        rows = wire.read(_ADDRESSES, body, "addresses body").subaccounts
        events = [] if self._answered else self._holdings(rows)
        self._answered = True
        numbers = {row.subaccount_number for row in rows if row.subaccount_number is not None}
        watched = {parent.number for parent in self._parents}
        self.unwatched = tuple(sorted(one for one in numbers if one % PARENTS not in watched))
        events += [
            AccountDiscovered(
                venue=VENUE,
                channel=self.name,
                account=f"{self._alias}.{number}",
                parent=self._alias,
                kind="subaccount",
                watched=False,
            )
            for number in self.unwatched
        ]
        return PollOutput(tuple(events))

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """Raises ``AuthError``: an address that never held anything is taken for a mistyped one,
        since it would read as flat for ever. One that was there before was forgotten."""
        del now
        if self._answered:
            raise TransientFeedError(
                f"The dYdX indexer has forgotten the address of {self._alias}, which it knew"
                " before; what it said of its subaccounts stands."
            ) from error
        raise AuthError(
            f"dydx account {self._alias!r}: {shortened(self._address)} has no subaccount: it never"
            " held anything there. Check the address and the network, or remove the account from"
            " the configuration until it has been funded."
        ) from error

    def _holdings(self, rows: list[wire.SubaccountRow]) -> list[Event]:
        events: list[Event] = []
        for parent in self._parents:
            mine = [row for row in rows if _is_child(row.subaccount_number, parent)]
            channel = channel_id(VENUE, TRUTH_FEED, parent.pool_name)
            if mine:
                whole = wire.SubaccountRow(address=self._address, child_subaccounts=mine)
                events += account.whole(
                    whole, parent, channel=channel, source=account.TRUTH, height=None
                ).events
            else:
                events += account.nothing(parent, channel=channel)
        return events


def _is_child(number: int | None, parent: Parent) -> bool:
    return number is not None and number % PARENTS == parent.number


class TruthPoll(_ParentPoll):
    """``/addresses/{a}/parentSubaccountNumber/{n}``: positions and money as REST has them."""

    def __init__(self, parent: Parent, period_s: float, api: Endpoints) -> None:
        super().__init__(TRUTH_FEED, parent, period_s, api)
        self._vanished = ""

    def request(self, now: EngineNs) -> Request:
        """The parent with all children."""
        del now
        parent = self.parent
        return self.api.get(f"/addresses/{parent.address}/parentSubaccountNumber/{parent.number}")

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Facts of every pool; where the socket is ahead, they are left out and asked again."""
        del now, response
        row = wire.read(_SUBACCOUNT, body, "parent subaccount body").subaccount
        if row is None:
            raise DecodeError("dYdX parent subaccount body holds no subaccount.", sample=body)
        told = account.whole(row, self.parent, channel=self.name, source=account.TRUTH, height=None)
        refresh = (Refresh(self.name, REREAD_AFTER_S),) if told.doubtful else ()
        self._vanished = ", ".join(told.vanished)
        return PollOutput(tuple(told.events), refresh=refresh)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """As ever; but while a pool that had money is missing, the answer proves nothing current,
        and only a complete one opens the channel again."""
        self._vanished = ""
        output = super().received(response, now)
        if not self._vanished:
            return output
        self._open = False
        lost = ChannelLost(
            venue=VENUE,
            channel=self.name,
            reason=f"The indexer left out {self._vanished}, which was known to hold money.",
        )
        return PollOutput((*output.events, lost), refresh=(), pause_s=output.pause_s)

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """Nothing was ever deposited, unless we know better."""
        del now
        if self.parent.known_to_venue:
            raise TransientFeedError(
                f"The dYdX indexer has forgotten {self.parent.pool_name}, which it knew before;"
                " its last state is kept and grows old."
            ) from error
        return PollOutput(tuple(account.nothing(self.parent, channel=self.name)))


class OrdersPoll(_ParentPoll):
    """``/orders/parentSubaccountNumber``: a bare array of working orders."""

    def __init__(
        self, parent: Parent, period_s: float, api: Endpoints, heights: ChainHeights
    ) -> None:
        super().__init__("rest.orders", parent, period_s, api)
        self._heights = heights

    def request(self, now: EngineNs) -> Request:
        """All that may still fill."""
        del now
        return self.get("/orders/parentSubaccountNumber", status=WORKING, limit=ROWS_MAX)

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Every pool's working orders; a list cut off at the limit closes nothing."""
        del response
        rows = wire.read(_ORDERS, body, "orders body")
        return PollOutput(
            tuple(
                activity.orders_whole(
                    [row for row in rows if self.pool(row.subaccount_number) is pool],
                    pool,
                    channel=self.name,
                    source=account.TRUTH,
                    height=self._heights.newest,
                    now=now,
                    complete=len(rows) < ROWS_MAX,
                )
                for pool in self._pools(rows)
            )
        )

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """A subaccount never seen has no orders."""
        del error
        return self.told(b"[]", now, Response(status=200, headers=(), body=b"[]"))

    def _pools(self, rows: list[wire.OrderRow]) -> list[Pool]:
        for row in rows:
            self.pool(row.subaccount_number)
        return list(self.parent.pools.values())


class FillsPoll(_ParentPoll):
    """``/fills/parentSubaccountNumber``: executions, newest first; those not told are news."""

    def __init__(self, parent: Parent, period_s: float, api: Endpoints) -> None:
        super().__init__("rest.fills", parent, period_s, api)
        self._history = True
        self._page = 1

    def request(self, now: EngineNs) -> Request:
        """The newest page."""
        del now
        self._page = 1
        return self._ask()

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """The first answer is history. While a whole page is news, the next may be too."""
        del now, response
        rows = wire.read(_FILLS, body, "fills body").fills
        events: list[Event] = []
        new = 0
        try:
            for pool, mine in self._by_pool(rows):
                told = activity.fills_told(
                    mine, self.parent, pool, channel=self.name, history=self._history
                )
                events += told
            new = self.parent.unsettled
        except DecodeError:
            self.parent.settle_fills(told=False)
            raise
        self.parent.settle_fills(told=True)
        if self._history and not events:  # that there are none is news, too
            pool = self.parent.pools[self.parent.number]
            events.append(
                FillsReported(
                    venue=VENUE, channel=self.name, account=pool.name, history=True, fills=()
                )
            )
        more = not self._history and new == FILLS_ROWS and self._page < FILLS_PAGES_MAX
        self._history = False
        if not more:
            return PollOutput(tuple(events))
        self._page += 1
        return PollOutput(tuple(events), then=self._ask())

    def _ask(self) -> Request:
        return self.get("/fills/parentSubaccountNumber", limit=FILLS_ROWS, page=self._page)

    def _by_pool(self, rows: list[wire.FillRow]) -> list[tuple[Pool, list[wire.FillRow]]]:
        grouped: dict[int, tuple[Pool, list[wire.FillRow]]] = {}
        for row in rows:
            pool = self.pool(row.subaccount_number)
            grouped.setdefault(pool.number, (pool, []))[1].append(row)
        return list(grouped.values())


class TransfersPoll(_ParentPoll):
    """``/transfers`` of each pool in turn.

    Not the parent form: it leaves out what moves between children, which for a margin pool is as
    real as a deposit.
    """

    def __init__(self, parent: Parent, period_s: float, api: Endpoints, accounts: Accounts) -> None:
        super().__init__("rest.transfers", parent, period_s, api)
        self._accounts = accounts
        self._history = True
        self._queue: list[Pool] = []
        self._asking = parent.pools[parent.number]
        self._known: dict[int, frozenset[str]] = {}
        self._page = 1
        self._round: dict[str, None] = {}

    def request(self, now: EngineNs) -> Request:
        """The first pool; further pages and the other pools follow."""
        del now
        self._queue = list(self.parent.pools.values())
        return self._ask_next()

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Transfers that the round before did not have, oldest first. While a whole page is news,
        the next may be too; the first round is history and reads one page."""
        del now, response
        pool = self._asking
        rows = wire.read(_TRANSFERS, body, "transfers body").transfers
        seen = [activity.transfer(row, pool, self._accounts.counterparty) for row in rows]
        known = self._known.get(pool.number)
        news = [
            report
            for report in seen
            if report.transfer_id not in self._round
            and (known is None or report.transfer_id not in known)
        ]
        self._round.update(dict.fromkeys(report.transfer_id for report in seen))
        history = known is None
        more = (
            not history
            and len(rows) >= FILLS_ROWS
            and len(news) == len(seen)
            and self._page < TRANSFERS_PAGES_MAX
        )
        if not more:
            self._known[pool.number] = frozenset(self._round)
        events: tuple[Event, ...] = ()
        if news or history:  # that there are none is news, too
            news.sort(key=lambda report: report.time_ns)
            events = (
                TransfersReported(
                    venue=VENUE,
                    channel=self.name,
                    account=pool.name,
                    history=self._history,
                    transfers=tuple(news),
                ),
            )
        if more:
            self._page += 1
            return PollOutput(events, then=self._ask())
        return PollOutput(events, then=self._then())

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """A subaccount never seen has none."""
        del error, now
        return PollOutput(then=self._then())

    def _then(self) -> Request | None:
        if self._queue:
            return self._ask_next()
        self._history = False
        return None

    def _ask_next(self) -> Request:
        self._asking = self._queue.pop(0)
        self._page = 1
        self._round = {}
        return self._ask()

    def _ask(self) -> Request:
        page = {} if self._page == 1 else {"page": self._page}
        return self.api.get(
            "/transfers",
            address=self._asking.address,
            subaccountNumber=self._asking.number,
            limit=FILLS_ROWS,
            **page,
        )


class PaymentsPoll(_ParentPoll):
    """``/fundingPayments/parentSubaccount``: what we paid (< 0) or received (> 0)."""

    def __init__(self, parent: Parent, period_s: float, api: Endpoints) -> None:
        super().__init__("rest.fundingPayments", parent, period_s, api)
        self._history = True
        self._page = 1
        self._since_ns: EngineNs = 0
        self._known: frozenset[tuple[str, str, int]] = frozenset()
        self._round: set[tuple[str, str, int]] = set()

    def request(self, now: EngineNs) -> Request:
        """The last day at first, then the last hours again and again, since rows come late."""
        self._page = 1
        self._round = set()
        self._since_ns = max(now - (_HISTORY_NS if self._history else _OVERLAP_NS), 0)
        return self._ask()

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Payments that the round before did not have, oldest first."""
        del now, response
        rows = wire.read(_PAYMENTS, body, "funding payments body").funding_payments
        events: list[Event] = []
        for pool, mine in self._by_pool(rows):
            told = activity.payments_told(mine, pool, channel=self.name, history=self._history)
            news = self._news(told)
            if news.payments:
                events.append(news)
        if len(rows) >= ROWS_MAX and self._page < PAYMENTS_PAGES_MAX:
            self._page += 1
            return PollOutput(tuple(events), then=self._ask())
        if not events:  # that there are none is news, too, and each time: the list is whole
            events.append(self._none())
        self._known = frozenset(self._round)
        self._history = False
        return PollOutput(tuple(events))

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """A subaccount never seen paid nothing."""
        del error, now
        return PollOutput((self._none(),))

    def _none(self) -> FundingPaid:
        return FundingPaid(
            venue=VENUE,
            channel=self.name,
            account=self.parent.pools[self.parent.number].name,
            history=self._history,
            payments=(),
        )

    def _news(self, told: FundingPaid) -> FundingPaid:
        keys = [(told.account, payment.market, payment.time_ns) for payment in told.payments]
        new = tuple(
            payment
            for key, payment in zip(keys, told.payments, strict=True)
            if key not in self._known
        )
        self._round.update(keys)
        return msgspec.structs.replace(told, payments=new)

    def _ask(self) -> Request:
        return self.get(
            "/fundingPayments/parentSubaccount",
            limit=ROWS_MAX,
            page=self._page,
            afterOrAt=wire.iso_time(self._since_ns),
        )

    def _by_pool(
        self, rows: list[wire.FundingPaymentRow]
    ) -> list[tuple[Pool, list[wire.FundingPaymentRow]]]:
        grouped: dict[int, tuple[Pool, list[wire.FundingPaymentRow]]] = {}
        for row in rows:
            pool = self.pool(row.subaccount_number)
            grouped.setdefault(pool.number, (pool, []))[1].append(row)
        return list(grouped.values())
