"""Who an address is: role, account mode, sub-accounts, vaults, and the dexes it uses. *Pure.*"""

from __future__ import annotations

import msgspec

from monitor.core.errors import AuthError, ConfigError, DecodeError
from monitor.core.events import AccountReported, Event, PositionsReported
from monitor.core.ports import PollOutput, Refresh, Request, Response
from monitor.core.types import EngineNs
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.account import (
    ZERO,
    is_used,
)
from monitor.venues.hyperliquid.decoders.body import (
    TRUTH,
    discovered_event,
    read,
    vault_slug,
)
from monitor.venues.hyperliquid.decoders.explain import decoding
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
from monitor.venues.hyperliquid.markets import FIRST_DEX
from monitor.venues.hyperliquid.polls import InfoPoll
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
            if self.knowledge.alias_of(vault.vault_address) is not None:
                continue  # watched already, under its own name
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
