"""One signed request to Hyperliquid's ``/exchange``, and what came of it. No decision is made here.

All requests of one account go one after the other: over its request cap an address may act about
once in ten seconds, and parallel senders would starve each other. Accounts do not wait for each
other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

import aiohttp
import msgspec

from monitor.actions.hyperliquid.reader import MS_NS, Http
from monitor.actions.messages import SignRefused, SignRequest
from monitor.actions.nonces import NonceBook, Sent
from monitor.actions.settings import ActingAccount
from monitor.actions.signer_client import AsksSigner
from monitor.core.errors import FeedError
from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS, EngineNs
from monitor.runtime.budget import Lane, RequestBudget
from monitor.venues.hyperliquid.actions import (
    Cancel,
    CancelByClientId,
    Noop,
    Reduce,
    SignableAction,
    TwapCancel,
    exchange_request,
    exchange_weight,
    lines_of,
)
from monitor.venues.hyperliquid.replies import Reply, Unclear, read_reply

_REPLY_TYPES: dict[type[SignableAction], str] = {
    Cancel: "cancel",
    CancelByClientId: "cancel",
    TwapCancel: "twapCancel",
    Reduce: "order",
    Noop: "default",
}


class Unsent(msgspec.Struct, frozen=True):
    """Certainly not sent: no budget, no signature, or no connection."""

    words: str
    signer: SignRefused | None = None


class Exchange:
    """Signs and sends for the accounts of one venue."""

    def __init__(
        self,
        url: str,
        *,
        http: Http,
        budget: RequestBudget,
        clock: Clock,
        signer: AsksSigner,
        nonces: NonceBook,
        timeout_s: float,
        wait_s_max: float,
        on_answer: Callable[[float], object] | None = None,
    ) -> None:
        """``on_answer`` is told how many seconds each answer took; of none that came in time, how
        long was waited."""
        self._url = url
        self._http = http
        self._budget = budget
        self._clock = clock
        self._signer = signer
        self._nonces = nonces
        self._timeout_s = timeout_s
        self._wait_s_max = wait_s_max
        self._on_answer = on_answer
        self._queues: dict[str, asyncio.Lock] = {}

    async def act(
        self,
        account: ActingAccount,
        action: SignableAction,
        *,
        references: Sequence[Decimal] = (),
        expires_ms: int | None = None,
        nonce: int | None = None,
    ) -> Reply | Unsent:
        """Sign and send once.

        Args:
            account: Who acts.
            action: What is asked.
            references: Fair prices behind a ``Reduce``, for the signer.
            expires_ms: When the venue must refuse it.
            nonce: Of the request to burn, for a ``Noop``.
        """
        async with self._queues.setdefault(account.alias, asyncio.Lock()):
            try:
                await self._budget.acquire(
                    exchange_weight(lines_of(action)),
                    lane=Lane.URGENT,
                    wait_s_max=self._wait_s_max,
                )
            except FeedError as error:
                return Unsent(str(error))
            signed = await self._signer.sign(
                SignRequest(
                    account=account.alias,
                    action=action,
                    references=tuple(references),
                    expires_after_ms=expires_ms,
                    nonce=nonce,
                )
            )
            if isinstance(signed, SignRefused):
                return Unsent(signed.words, signed)
            if isinstance(action, Reduce) and expires_ms is not None:
                sent_ms = self._clock.now() // MS_NS
                await self._nonces.remember(
                    (line.client_id for line in action.lines),
                    Sent(account.alias, signed.nonce, sent_ms, expires_ms),
                )
            request = exchange_request(
                self._url,
                action,
                nonce=signed.nonce,
                signature=signed.signature,
                vault=signed.vault,
                expires_after_ms=expires_ms,
                timeout_s=self._timeout_s,
            )
            left_ns = self._clock.now()
            try:
                response = await self._http.execute(request)
            except FeedError as error:
                if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                    return Unsent(f"{error} Nothing was sent.")
                self._answered(left_ns)
                return Unclear(str(error))
            self._answered(left_ns)
            return read_reply(response, _REPLY_TYPES[type(action)])

    def _answered(self, left_ns: EngineNs) -> None:
        if self._on_answer is not None:
            self._on_answer((self._clock.now() - left_ns) / SECOND_NS)
