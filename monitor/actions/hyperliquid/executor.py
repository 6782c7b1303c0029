"""The executor for Hyperliquid: commands in, facts out, within a deadline, whatever the venue does.

It shares nothing with the feeds but the request budget, in which it has the reserved lane: own
connections, own deadlines, own lists of markets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from monitor.actions.hyperliquid.cancelling import Cancelling
from monitor.actions.hyperliquid.exchange import Exchange
from monitor.actions.hyperliquid.pause import Pause
from monitor.actions.hyperliquid.placing import Placing
from monitor.actions.hyperliquid.reader import MS_NS, Http, Reader
from monitor.actions.hyperliquid.resolving import Resolving
from monitor.actions.nonces import NonceBook
from monitor.actions.settings import ActingAccount, HyperliquidActionSettings
from monitor.actions.signer_client import AsksSigner
from monitor.core.errors import FeedError, TransientFeedError
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    Command,
    CommandFailed,
    KillFact,
    PlaceOrders,
    ReadAccount,
    ResolveOrders,
)
from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS, EngineNs
from monitor.runtime.budget import RequestBudget
from monitor.venues.hyperliquid.replies import Refusal, RefusalKind
from monitor.venues.hyperliquid.settings import VENUE

BLOCKED_S = 60.0  # an account whose wallet was refused is tried again after so long

Working = Cancelling | Placing | Resolving


class HyperliquidExecutor:
    """Acts for the configured accounts. Implements ``ports.Executor``."""

    def __init__(
        self,
        settings: HyperliquidActionSettings,
        accounts: tuple[ActingAccount, ...],
        *,
        info_url: str,
        exchange_url: str,
        http: Http,
        budget: RequestBudget,
        clock: Clock,
        signer: AsksSigner,
        nonces: NonceBook,
        on_answer: Callable[[float], object] | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            settings: Deadlines and limits.
            accounts: From ``settings.acting_accounts``.
            info_url: Where ``/info`` is asked.
            exchange_url: From ``settings.exchange_url``, which refuses what the mode forbids.
            http: A client with connections of its own.
            budget: The venue's, shared with its reads.
            clock: Engine time.
            signer: The other process.
            nonces: What left with which nonce.
            on_answer: Told how many seconds each answer to a signed request took.
        """
        self.venue = VENUE
        self._settings = settings
        self._accounts = {account.alias: account for account in accounts}
        self._budget = budget
        self._clock = clock
        self._signer = signer
        self._nonces = nonces
        self._born_ms = clock.now() // MS_NS
        self._blocked: dict[str, tuple[EngineNs, str]] = {}
        self._log = structlog.get_logger().bind(venue=VENUE)
        deadline_s = settings.command_deadline_s
        self._reader = Reader(
            info_url,
            http=http,
            budget=budget,
            clock=clock,
            timeout_s=settings.request_timeout_s,
            wait_s_max=deadline_s,
            idle_dex_look_s=settings.idle_dex_look_s,
        )
        self._exchange = Exchange(
            exchange_url,
            http=http,
            budget=budget,
            clock=clock,
            signer=signer,
            nonces=nonces,
            timeout_s=settings.request_timeout_s,
            wait_s_max=deadline_s,
            on_answer=on_answer,
        )

    def acts_for(self, account: str) -> bool:
        """True when orders of this account can be cancelled and reduced from here now."""
        return self.why_not(account) == ""

    def why_not(self, account: str) -> str:
        """Why this account cannot be acted for now, in words; empty where it can."""
        if account not in self._accounts:
            return f"{account!r} is not in actions.hyperliquid.accounts"
        if not self._signer.reachable:
            return "there is no signer; start it with `riskd signer`"
        until_ns, words = self._blocked.get(account, (0, ""))
        return words if self._clock.now() < until_ns else ""

    async def prepare(self) -> str:
        """Read the lists of markets and the accounts' modes, so that no first cancel waits for
        them. Why it could not, in words; empty where it could. May be repeated."""
        try:
            async with asyncio.timeout(self._settings.command_deadline_s):
                await self._reader.prepare(tuple(self._accounts.values()))
        except FeedError as error:
            return str(error)
        except TimeoutError:
            return "Hyperliquid did not answer in time."
        return ""

    async def run(self, command: Command) -> KillFact:
        """Do it, and say what came of it."""
        account = self._accounts.get(command.account)
        if account is None:
            return _failed(command, f"riskd may not act for {command.account!r}")
        if isinstance(command, ReadAccount):
            return await self._read(command, account)
        return await self._work(command, self._working(command, account))

    # ---------------------------------------------------------------------------------- carried out

    async def _read(self, command: ReadAccount, account: ActingAccount) -> KillFact:
        deadline_s = self._settings.command_deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                truth = await self._reader.truth(account, command.look)
        except TimeoutError:
            return _failed(command, f"the account could not be read within {deadline_s:g} s")
        except FeedError as error:
            return _failed(command, str(error), error)
        return AccountRead(command_id=command.id, truth=truth)

    def _working(
        self, command: CancelOrders | PlaceOrders | ResolveOrders, account: ActingAccount
    ) -> Working:
        settings = self._settings
        deadline_ns = self._clock.now() + round(settings.command_deadline_s * SECOND_NS)
        pause = Pause(self._clock, self._budget, deadline_ns=deadline_ns)
        match command:
            case CancelOrders():
                return Cancelling(
                    command,
                    account,
                    reader=self._reader,
                    exchange=self._exchange,
                    pause=pause,
                    fast=settings.fast_cancels,
                    cancels_per_request=settings.cancels_per_request,
                )
            case PlaceOrders():
                return Placing(
                    command,
                    account,
                    reader=self._reader,
                    exchange=self._exchange,
                    clock=self._clock,
                    pause=pause,
                    expiry_s=settings.expiry_s,
                    orders_per_request=settings.orders_per_request,
                )
            case ResolveOrders():
                return Resolving(
                    command,
                    account,
                    reader=self._reader,
                    exchange=self._exchange,
                    nonces=self._nonces,
                    clock=self._clock,
                    pause=pause,
                    born_ms=self._born_ms,
                    expiry_ms_max=round(settings.signer.expiry_s_max * 1000),
                )

    async def _work(self, command: Command, working: Working) -> KillFact:
        deadline_s = self._settings.command_deadline_s
        interrupted = ""
        try:
            async with asyncio.timeout(deadline_s):
                await working.run()
        except TimeoutError:
            interrupted = f"the command's deadline of {deadline_s:g} s has passed"
        except FeedError as error:  # a list or a status that could not be read
            interrupted = str(error)
        if isinstance(working, Cancelling | Placing) and working.refusal is not None:
            self._note(command, working.refusal)
        return working.result(interrupted)

    def _note(self, command: Command, refusal: Refusal) -> None:
        self._log.error(
            "account_refused", account=command.account, kind=refusal.kind, words=refusal.words
        )
        if refusal.kind is RefusalKind.WALLET:
            until_ns = self._clock.now() + round(BLOCKED_S * SECOND_NS)
            self._blocked[command.account] = (until_ns, refusal.words)


def _failed(command: Command, reason: str, error: FeedError | None = None) -> CommandFailed:
    after_s = error.retry_after_s if isinstance(error, TransientFeedError) else None
    return CommandFailed(
        command_id=command.id,
        venue=command.venue,
        account=command.account,
        reason=reason,
        retry_after_s=after_s,
    )
