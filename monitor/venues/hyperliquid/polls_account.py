"""REST re-reads about accounts: who an address is, how it keeps its collateral, and its truth.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from monitor.core.errors import AuthError, ConfigError, DecodeError
from monitor.core.events import AccountReported, Event, PositionsReported
from monitor.core.ports import PollOutput, Refresh, Request, Response
from monitor.core.types import EngineNs
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.account import (
    ZERO,
    account_events,
    is_used,
    orders_events,
    spot_events,
)
from monitor.venues.hyperliquid.decoders.body import (
    TRUTH,
    budget_event,
    discovered_event,
    read,
    vault_slug,
)
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.decoders.history import (
    fill_events,
    funding_paid_events,
    transfer_events,
)
from monitor.venues.hyperliquid.decoders.wire import MS_NS
from monitor.venues.hyperliquid.endpoints import check_response
from monitor.venues.hyperliquid.knowledge import (
    Account,
    Discovered,
    Knowledge,
    mode_event,
    poll_name,
    shorten,
    sub_alias,
)
from monitor.venues.hyperliquid.markets import FIRST_DEX, HOUR_NS
from monitor.venues.hyperliquid.polls import PAGE_ROWS, InfoPoll
from monitor.venues.hyperliquid.settings import CONNECTIONS_MAX, VENUE

_READABLE_ROLES = frozenset({"user", "vault", "subAccount"})
_MODE, _SUBS, _VAULTS, _ROLE, _STATE = (
    "userAbstraction",
    "subAccounts",
    "userVaultEquities",
    "userRole",
    "clearinghouseState",
)


class _Step(msgspec.Struct, frozen=True):
    kind: str
    account: Account
    dex: str = FIRST_DEX


class AccountModePoll(InfoPoll):
    """How an account keeps its collateral, and what else belongs to it: every ten minutes."""

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        super().__init__(knowledge, _MODE, knowledge.settings.polls.account_mode_s, account.alias)
        self._account = account
        self._steps: list[_Step] = []
        self._step = _Step(_MODE, account)

    def plan(self) -> list[_Step]:
        """What a round asks, in order."""
        account = self._account
        steps = [_Step(_MODE, account)]
        if not account.parent:
            steps += [_Step(_SUBS, account), _Step(_VAULTS, account)]
        return steps

    def request(self, now: EngineNs) -> Request:
        """The first step."""
        del now
        self._steps = self.plan()
        return self._asked(self._steps.pop(0))

    def _asked(self, step: _Step) -> Request:
        self._step = step
        return self.ask(step.kind, user=step.account.address, dex=step.dex or None)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """One step's answer, and the next step."""
        del now
        step = self._step
        what = f"{step.kind} of {step.account.alias}"
        body = check_response(response, what, null_is_answer=step.kind == _SUBS)
        with decoding(what, body):
            output = self.understood(step, body)
        then = self._asked(self._steps.pop(0)) if self._steps else None
        return PollOutput((self.opened(), *output.events), then=then, refresh=output.refresh)

    def understood(self, step: _Step, body: bytes) -> PollOutput:
        """What the answer to a step means."""
        if step.kind == _MODE:
            return self._mode(step.account, read(body, str))
        if step.kind == _SUBS:
            found = read(body, list[account_wire.SubAccount] | None)  # type: ignore[arg-type]  # a union is a type to msgspec
            return PollOutput(self._sub_accounts(step.account, found or []))
        return PollOutput(self._vaults(step.account, read(body, list[account_wire.VaultEquity])))

    def _mode(self, account: Account, abstraction: str) -> PollOutput:
        left = set(account.pools_told)
        if not account.set_mode(abstraction):
            # A pooled account's mode is told with its balances, which may be unreadable just now.
            pools = set() if account.pooled else {account.alias} | left
            return PollOutput(
                tuple(mode_event(account, pool, self.channel) for pool in sorted(pools)),
            )
        # Pools of the earlier mode are empty from now on; their money stands in the new ones.
        markets = self.knowledge.markets
        now_used = {account.pool(dex, markets) for dex in account.dexes}
        account.pools_told &= now_used
        account.orders.clear()
        events: list[Event] = [
            mode_event(account, pool, self.channel) for pool in sorted(now_used | {account.alias})
        ]
        for pool in sorted(left - now_used):
            events.append(
                PositionsReported(
                    venue=VENUE,
                    channel=self.channel,
                    account=pool,
                    source=TRUTH,
                    complete=True,
                    positions=(),
                ),
            )
            events.append(
                AccountReported(
                    venue=VENUE,
                    channel=self.channel,
                    account=pool,
                    source=TRUTH,
                    equity_usd=ZERO,
                    cash_usd=ZERO,
                    free_collateral_usd=ZERO,
                    initial_margin_usd=ZERO,
                    maintenance_margin_usd=ZERO,
                ),
            )
        kinds = ("clearinghouseState", "spotClearinghouseState", "frontendOpenOrders")
        refresh = tuple(Refresh(poll_name(kind, account.alias)) for kind in kinds)
        return PollOutput(tuple(events), refresh=refresh)

    def _sub_accounts(
        self,
        account: Account,
        found: list[account_wire.SubAccount],
    ) -> tuple[Event, ...]:
        events = []
        for sub in found:
            if self.knowledge.alias_of(sub.sub_account_user) is not None:
                continue  # watched already, under its own name
            alias = self._discover(sub.sub_account_user, account, "subaccount", sub.name)
            watched = self.knowledge.settings.watch_subaccounts
            events.append(discovered_event(alias, account, self.channel, watched=watched))
        return tuple(events)

    def _vaults(
        self,
        account: Account,
        found: list[account_wire.VaultEquity],
    ) -> tuple[Event, ...]:
        events = []
        for vault in found:
            alias = self._discover(vault.vault_address, account, "vault", vault_slug(vault))
            events.append(discovered_event(alias, account, self.channel, "vault"))
        return tuple(events)

    def _discover(self, address: str, parent: Account, kind: str, name: str) -> str:
        discovered = self.knowledge.discovered
        known = discovered.get(address.lower())
        if known is not None:
            return known.alias
        alias = sub_alias(parent.alias, name)
        taken = {found.alias for found in discovered.values()}
        taken.update(account.alias for account in self.knowledge.accounts)
        while alias in taken:
            alias += "-2"
        discovered[address.lower()] = Discovered(alias, address, parent.alias, kind, name)
        return alias


class DiscoveryPoll(AccountModePoll):
    """Bootstrap of one account: its role, mode, relatives, and on which dexes it holds anything.

    An API wallet is refused here: its own account is valid and empty, and would read as flat. It
    bears the periodic poll's name, so that no feed is left behind that never speaks again.
    """

    def plan(self) -> list[_Step]:
        """The role first, and every dex once."""
        return [_Step(_ROLE, self._account), *super().plan(), *self._scan(self._account)]

    def _scan(self, account: Account) -> list[_Step]:
        return [_Step(_STATE, account, dex) for dex in self.knowledge.markets.dex_names]

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """One step; a builder dex that cannot be read does not hold up the start."""
        step = self._step
        try:
            return super().received(response, now)
        except DecodeError as error:
            if step.kind != _STATE or step.dex == FIRST_DEX:
                raise
            then = self._asked(self._steps.pop(0)) if self._steps else None
            return PollOutput((self.rejected(error),), then=then)

    def understood(self, step: _Step, body: bytes) -> PollOutput:
        """The role and the scan; the rest as every ten minutes."""
        if step.kind == _ROLE:
            return PollOutput(self._role(step.account, read(body, account_wire.Role)))
        if step.kind == _STATE:
            state = read(body, account_wire.ClearinghouseState)
            if is_used(state):
                step.account.use(step.dex)
                held = [entry.position.coin for entry in state.asset_positions]
                self.knowledge.watchlist.add(held)
            return PollOutput()
        output = super().understood(step, body)
        if step.kind == _SUBS and self.knowledge.settings.watch_subaccounts:
            self._watch_subaccounts(step.account)
        return output

    def _role(self, account: Account, role: account_wire.Role) -> tuple[Event, ...]:
        if role.role in _READABLE_ROLES:
            return ()
        shown = shorten(account.address)
        network = self.knowledge.settings.network
        if role.role == "agent":
            master = role.data.user if role.data is not None and role.data.user else ""
            of = f"its master account {shorten(master)}" if master else "its master account"
            raise AuthError(
                f"hyperliquid account {account.alias!r}: {shown} is an API wallet (agent). An API "
                "wallet has an account of its own that is valid and always empty, so watching it "
                f"would read as flat. Configure the address of {of} instead, or of the "
                "sub-account or vault that it trades for.",
            )
        if role.role == "missing":
            raise AuthError(
                f"hyperliquid account {account.alias!r}: {network} does not know {shown} (role "
                "'missing'): it never held anything there. Check the address and the network, or "
                "remove the account from the configuration until it has been funded.",
            )
        account.set_mode(f"role {role.role}")
        return (mode_event(account, account.alias, self.channel),)

    def _watch_subaccounts(self, parent: Account) -> None:
        knowledge = self.knowledge
        for found in list(knowledge.discovered.values()):
            if found.kind != "subaccount" or found.parent != parent.alias:
                continue
            if knowledge.alias_of(found.address) is not None:
                continue
            if len(knowledge.accounts) >= CONNECTIONS_MAX - 1:
                raise ConfigError(
                    f"hyperliquid: with its sub-accounts, {parent.alias!r} needs more than the "
                    f"{CONNECTIONS_MAX - 1} account connections that the venue allows per IP "
                    "address. Switch watch_subaccounts off and list the ones to watch under "
                    "accounts",
                )
            sub = Account(found.alias, found.address, parent=parent.alias)
            knowledge.accounts.append(sub)
            self._steps += [_Step(_MODE, sub), *self._scan(sub)]


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
        del now
        dex = self._dex
        what = f"{self.kind} of {self._account.alias}" + (f" on {dex}" if dex else "")
        events: tuple[Event, ...]
        try:
            body = check_response(response, what)
            with decoding(what, body):
                events = self.told(dex, body)
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

    def told(self, dex: str, body: bytes) -> tuple[Event, ...]:
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

    def begun(self) -> None:
        """Forget the last round."""
        self._states = {}

    def told(self, dex: str, body: bytes) -> tuple[Event, ...]:
        """One dex."""
        state = read(body, account_wire.ClearinghouseState)
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
            complete=complete,
        )


class OrdersPoll(_PerDexPoll):
    """``frontendOpenOrders``: the form that tells protective stops from the rest."""

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        kind, period_s = "frontendOpenOrders", knowledge.settings.polls.orders_s
        super().__init__(knowledge, account, kind, period_s)

    def told(self, dex: str, body: bytes) -> tuple[Event, ...]:
        """One dex's list."""
        return orders_events(
            self._account,
            {dex: read(body, list[account_wire.Order])},
            source=TRUTH,
            channel=self.channel,
            markets=self.knowledge.markets,
        )


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
        del now
        what = f"{self.kind} of {self.account.alias}"
        body = check_response(response, what)
        with decoding(what, body):
            count, newest_ms, events = self._decoder(self, body, not self._news)
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
