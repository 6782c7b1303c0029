"""REST re-reads of an account's truth: positions, balances, orders, history. *Pure.*"""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.errors import DecodeError
from monitor.core.events import (
    Event,
    FillsReported,
    FundingPaid,
    OrderReport,
    TransfersReported,
    TwapsReported,
)
from monitor.core.ports import PollOutput, Request, Response
from monitor.core.types import EngineNs
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.account import (
    account_events,
    orders_events,
    spot_events,
)
from monitor.venues.hyperliquid.decoders.body import (
    TRUTH,
    budget_event,
    read,
)
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.decoders.history import (
    fill_events,
    funding_paid_events,
    transfer_events,
)
from monitor.venues.hyperliquid.decoders.wire import MS_NS, refuse_future
from monitor.venues.hyperliquid.endpoints import check_response
from monitor.venues.hyperliquid.knowledge import (
    Account,
    Knowledge,
)
from monitor.venues.hyperliquid.markets import FIRST_DEX, HOUR_NS
from monitor.venues.hyperliquid.polls import PAGE_ROWS, InfoPoll
from monitor.venues.hyperliquid.settings import VENUE
from monitor.venues.hyperliquid.truth import read_twaps

_STATE = "clearinghouseState"
TWAP_ROWS_EXPECTED = 20


class _PerDexPoll(InfoPoll):
    """One question per used dex in one round; a builder dex that fails is rejected by itself."""

    def __init__(self, knowledge: Knowledge, account: Account, kind: str, period_s: float) -> None:
        super().__init__(knowledge, kind, period_s, account.alias)
        self._account = account
        self._left: list[str] = []
        self._dex = FIRST_DEX
        self._failed = False

    def request(self, now: EngineNs) -> Request:
        """The first dex's."""
        del now
        self._left = list(self._account.ordered_dexes())
        self._failed = False
        self.begun()
        return self._next() or self.ask(user=self._account.address)

    def _next(self) -> Request | None:
        if not self._left:
            return None
        self._dex = self._left.pop(0)
        return self.ask(user=self._account.address, dex=self._dex or None)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """One dex's answer, then the next."""
        dex = self._dex
        what = f"{self.kind} of {self._account.alias}" + (f" on {dex}" if dex else "")
        events: tuple[Event, ...]
        try:
            body = check_response(response, what)
            with decoding(what, body):
                events = self.told(dex, body, now)
        except DecodeError as error:
            if dex == FIRST_DEX:
                raise
            self._failed = True
            events = (self.rejected(error),)
        then = self._next()
        if then is None:
            events = (*events, *self.ended(complete=not self._failed))
        self.knowledge.learn_positions(events)
        return PollOutput((self.opened(), *events), then=then)

    def begun(self) -> None:
        """A round begins."""

    def told(self, dex: str, body: bytes, now: EngineNs) -> tuple[Event, ...]:
        """One dex's answer."""
        raise NotImplementedError

    def ended(self, *, complete: bool) -> tuple[Event, ...]:
        """The round is over; ``complete`` when every dex answered."""
        del complete
        return ()


class PositionsPoll(_PerDexPoll):
    """``clearinghouseState``: the truth that the stream is checked against.

    A standard account's dexes are told as they answer; a pooled account's together, since its
    positions on all dexes share one pool.
    """

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        super().__init__(knowledge, account, _STATE, knowledge.settings.polls.positions_s)
        self._states: dict[str, account_wire.ClearinghouseState] = {}
        self._now: EngineNs | None = None  # of the last answer

    def begun(self) -> None:
        """Forget the last round."""
        self._states = {}

    def told(self, dex: str, body: bytes, now: EngineNs) -> tuple[Event, ...]:
        """One dex."""
        state = read(body, account_wire.ClearinghouseState)
        refuse_future(state.time, now, "clearinghouseState: time")
        self._now = now
        if self._account.pooled:
            self._states[dex] = state
            return ()
        return self._events({dex: state}, complete=True)

    def ended(self, *, complete: bool) -> tuple[Event, ...]:
        """All dexes of a pooled account."""
        return self._events(self._states, complete=complete) if self._states else ()

    def _events(
        self,
        states: dict[str, account_wire.ClearinghouseState],
        *,
        complete: bool,
    ) -> tuple[Event, ...]:
        return account_events(
            self._account,
            states,
            source=TRUTH,
            channel=self.channel,
            markets=self.knowledge.markets,
            prices=self.knowledge.prices,
            now=self._now,
            complete=complete,
        )


class OrdersPoll(_PerDexPoll):
    """``frontendOpenOrders``: the form that tells protective stops from the rest."""

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        kind, period_s = "frontendOpenOrders", knowledge.settings.polls.orders_s
        super().__init__(knowledge, account, kind, period_s)

    def told(self, dex: str, body: bytes, now: EngineNs) -> tuple[Event, ...]:
        """One dex's list."""
        del now
        return orders_events(
            self._account,
            {dex: read(body, list[account_wire.Order])},
            source=TRUTH,
            channel=self.channel,
            markets=self.knowledge.markets,
        )


class TwapsPoll(InfoPoll):
    """``twapHistory``: what trades by the clock, over all dexes; no list of orders has it."""

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        super().__init__(knowledge, "twapHistory", knowledge.settings.polls.twaps_s, account.alias)
        self._account = account
        self._rows = TWAP_ROWS_EXPECTED

    def request(self, now: EngineNs) -> Request:
        """By address; it is answered whole, however long it is."""
        del now
        return self.ask(user=self._account.address, rows=self._rows)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Those that run."""
        what = f"{self.kind} of {self._account.alias}"
        body = check_response(response, what)
        with decoding(what, body):
            running, self._rows = read_twaps(body, now // MS_NS)
        told = TwapsReported(
            venue=VENUE,
            channel=self.channel,
            account=self._account.alias,
            twaps=tuple(
                OrderReport(
                    order_id=one.order_id,
                    market=one.market,
                    side=one.side,
                    size=one.size,
                    reduce_only=one.reduce_only,
                )
                for one in running
            ),
        )
        return PollOutput((self.opened(), told))


class BalancesPoll(InfoPoll):
    """``spotClearinghouseState``: a pooled account's collateral."""

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        periods = knowledge.settings.polls
        period_s = periods.balances_pooled_s if account.pooled else periods.balances_s
        super().__init__(knowledge, "spotClearinghouseState", period_s, account.alias)
        self._account = account

    def request(self, now: EngineNs) -> Request:
        """By address."""
        del now
        return self.ask(user=self._account.address)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Balances, and what they say about equity."""
        what = f"{self.kind} of {self._account.alias}"
        body = check_response(response, what)
        with decoding(what, body):
            events = spot_events(
                self._account,
                read(body, account_wire.SpotState),
                source=TRUTH,
                channel=self.channel,
                prices=self.knowledge.prices,
                collateral_tokens=self.knowledge.collateral_tokens(),
                now=now,
            )
        return PollOutput((self.opened(), *events))


class RateLimitPoll(InfoPoll):
    """``userRateLimit``: requests by address, which killing needs too."""

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        period_s = knowledge.settings.polls.request_budget_s
        super().__init__(knowledge, "userRateLimit", period_s, account.alias)
        self._account = account

    def request(self, now: EngineNs) -> Request:
        """By address."""
        del now
        return self.ask(user=self._account.address)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Used and cap."""
        del now
        what = f"{self.kind} of {self._account.alias}"
        body = check_response(response, what)
        with decoding(what, body):
            limit = read(body, account_wire.RateLimit)
        return PollOutput(
            (self.opened(), budget_event(limit, self._account.alias, self.channel)),
        )


# ------------------------------------------------------------------------------------- history

Rows = tuple[int, int, tuple[Event, ...]]  # rows told, newest time in ms, events
RowsDecoder = Callable[["HistoryPoll", bytes, bool], Rows]


class HistoryPoll(InfoPoll):
    """A time-ranged list, read forward from the newest row known; the first round is history.

    Args:
        kind: The ``/info`` type.
        lookback_ns: How far back the first round reads.
        decoder: Turns a page into events.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        account: Account,
        kind: str,
        period_s: float,
        lookback_ns: int,
        decoder: RowsDecoder,
    ) -> None:
        super().__init__(knowledge, kind, period_s, account.alias)
        self.account = account
        self._lookback_ns = lookback_ns
        self._decoder = decoder
        self._start_ms: int | None = None
        self._news = False  # a first round has been read to its end

    def request(self, now: EngineNs) -> Request:
        """From just after the newest row known."""
        if self._start_ms is None:
            self._start_ms = max(0, (now - self._lookback_ns) // MS_NS)
        return self._page()

    def _page(self) -> Request:
        return self.ask(user=self.account.address, startTime=self._start_ms, rows=20)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """One page; a full one is read on."""
        what = f"{self.kind} of {self.account.alias}"
        body = check_response(response, what)
        with decoding(what, body):
            count, newest_ms, events = self._decoder(self, body, not self._news)
            # The next round begins after the newest row: one from the future would end all news.
            refuse_future(newest_ms, now, "time of the newest row")
        if count:
            self._start_ms = max(self._start_ms or 0, newest_ms + 1)
        then = self._page() if count >= PAGE_ROWS else None
        if then is None:
            self._news = True
        return PollOutput((self.opened(), *events), then=then)


def _fill_rows(poll: HistoryPoll, body: bytes, history: bool) -> Rows:
    fills = read(body, list[account_wire.Fill])
    events = fill_events(
        poll.account,
        fills,
        history=history,
        channel=poll.channel,
        markets=poll.knowledge.markets,
    )
    if history and not events:  # that there are none is news, too
        alias = poll.account.alias
        events = (
            FillsReported(venue=VENUE, channel=poll.channel, account=alias, history=True, fills=()),
        )
    return len(fills), max((fill.time for fill in fills), default=0), events


def _funding_rows(poll: HistoryPoll, body: bytes, history: bool) -> Rows:
    rows = read(body, list[account_wire.FundingPaymentRow])
    events = funding_paid_events(
        poll.account,
        [(row.time, row.delta) for row in rows],
        history=history,
        channel=poll.channel,
        markets=poll.knowledge.markets,
    )
    if not events:  # that there are none is news, too, and each time: the list is whole up to now
        alias = poll.account.alias
        events = (
            FundingPaid(
                venue=VENUE, channel=poll.channel, account=alias, history=history, payments=()
            ),
        )
    return len(rows), max((row.time for row in rows), default=0), events


def _ledger_rows(poll: HistoryPoll, body: bytes, history: bool) -> Rows:
    rows = read(body, list[account_wire.LedgerRow])
    events = transfer_events(
        poll.account,
        rows,
        history=history,
        channel=poll.channel,
        markets=poll.knowledge.markets,
        alias_of=poll.knowledge.alias_of,
    )
    if history and not events:
        alias = poll.account.alias
        events = (
            TransfersReported(
                venue=VENUE, channel=poll.channel, account=alias, history=True, transfers=()
            ),
        )
    return len(rows), max((row.time for row in rows), default=0), events


def history_polls(knowledge: Knowledge, account: Account) -> tuple[HistoryPoll, ...]:
    """Fills, funding payments and ledger of one account: a day back, the ledger a week."""
    periods = knowledge.settings.polls
    day, week = 26 * HOUR_NS, 7 * 24 * HOUR_NS
    return (
        HistoryPoll(knowledge, account, "userFillsByTime", periods.fills_s, day, _fill_rows),
        HistoryPoll(
            knowledge, account, "userFunding", periods.funding_payments_s, day, _funding_rows
        ),
        HistoryPoll(
            knowledge,
            account,
            "userNonFundingLedgerUpdates",
            periods.ledger_s,
            week,
            _ledger_rows,
        ),
    )
