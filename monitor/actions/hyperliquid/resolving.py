"""Finds out what became of orders whose fate is unknown, before anything is sent again.

The venue's own data first (status by client id, fills). Where it knows nothing, the order may still
be on its way: its nonce is burnt, or its expiry is waited for; and only what the venue then still
does not know, on a node whose clock is past that moment, was certainly not executed.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.actions.hyperliquid.exchange import Exchange, Unsent
from monitor.actions.hyperliquid.pause import Pause
from monitor.actions.hyperliquid.reader import MS_NS, Reader
from monitor.actions.nonces import NonceBook, Sent
from monitor.actions.settings import ActingAccount
from monitor.core.killswitch.facts import (
    OrderEnd,
    OrderOutcome,
    OrdersAnswered,
    ResolveOrders,
)
from monitor.core.ports import Clock
from monitor.venues.hyperliquid.actions import Noop
from monitor.venues.hyperliquid.replies import Accepted, Limited, Refusal, RefusalKind

MARGIN_MS = 5_000  # how far the venue's clock and ours may be apart
LOOK_BACK_MS = 60_000
LOOKS_MAX = 4
LOOK_WAITS_S = (0.3, 0.7, 1.5)
# A nonce that is refused so is spent, or can never be used any more.
_SPENT = frozenset({RefusalKind.NONCE_USED, RefusalKind.CLOCK})


class Resolving:
    """One ``ResolveOrders`` under way. ``result`` can be asked at any time.

    Args:
        born_ms: When this process began, ms: what it does not remember left before.
        expiry_ms_max: The longest that any order of ours can be good for.
    """

    def __init__(
        self,
        command: ResolveOrders,
        account: ActingAccount,
        *,
        reader: Reader,
        exchange: Exchange,
        nonces: NonceBook,
        clock: Clock,
        pause: Pause,
        born_ms: int,
        expiry_ms_max: int,
    ) -> None:
        self._command = command
        self._account = account
        self._reader = reader
        self._exchange = exchange
        self._nonces = nonces
        self._clock = clock
        self._pause = pause
        self._born_ms = born_ms
        self._expiry_ms_max = expiry_ms_max
        self._outcomes: dict[str, OrderOutcome] = {}
        self._reasons: dict[str, str] = {}

    async def run(self) -> None:
        """Ask; make sure that what is not known will never arrive; ask again. Raises
        ``FeedError`` where the venue cannot be read."""
        await self._look(self._command.client_ids)
        missing = self._left()
        if not missing:
            return
        safe_from: dict[str, int] = {}
        for client_id in missing:
            moment_ms = await self._make_sure(client_id)
            if moment_ms is not None:
                safe_from[client_id] = moment_ms
        if safe_from:
            await self._look_past(safe_from)

    def result(self, interrupted: str = "") -> OrdersAnswered:
        """What is known of each; UNKNOWN for the rest, with the reason."""
        command = self._command
        return OrdersAnswered(
            command_id=command.id,
            venue=command.venue,
            account=command.account,
            outcomes=tuple(
                self._outcomes.get(client_id)
                or OrderOutcome(
                    client_id=client_id,
                    end=OrderEnd.UNKNOWN,
                    detail=self._reasons.get(client_id) or interrupted or "not found out yet",
                )
                for client_id in command.client_ids
            ),
        )

    # ------------------------------------------------------------------------------------- looking

    def _left(self) -> list[str]:
        """Orders that the venue says nothing of. One that it calls open is known, but no end."""
        return [one for one in self._command.client_ids if one not in self._outcomes]

    async def _look(self, client_ids: Iterable[str]) -> None:
        wanted = list(client_ids)
        fates = await self._reader.fates(self._account, wanted, since_ms=self._since_ms(wanted))
        for client_id, outcome in fates.items():
            if outcome is not None:
                self._outcomes[client_id] = outcome

    def _since_ms(self, client_ids: Iterable[str]) -> int:
        sent = [one.sent_ms for name in client_ids for one in self._nonces.find(name)]
        if not sent:
            return self._born_ms - self._expiry_ms_max - LOOK_BACK_MS
        return min(sent) - LOOK_BACK_MS

    async def _look_past(self, safe_from: dict[str, int]) -> None:
        """Look again, until the venue's node has come past the moment from which nothing can
        arrive any more: an older view would not show what arrived just before."""
        waits = iter(LOOK_WAITS_S)
        for _ in range(LOOKS_MAX):
            seen_ms = await self._reader.venue_time_ms()
            await self._look(name for name in safe_from if name not in self._outcomes)
            for client_id, moment_ms in safe_from.items():
                if client_id not in self._outcomes and seen_ms > moment_ms:
                    detail = "the venue knows nothing of it, and it can not arrive any more"
                    self._outcomes[client_id] = OrderOutcome(
                        client_id=client_id, end=OrderEnd.REJECTED, detail=detail
                    )
            if all(client_id in self._outcomes for client_id in safe_from):
                return
            if not await self._pause.wait(next(waits, 0.0)):
                break
        for client_id in safe_from:
            self._reasons[client_id] = "what the venue shows is older than the request"

    # --------------------------------------------------------------------------------- making sure

    async def _make_sure(self, client_id: str) -> int | None:
        """Make it impossible that this order still arrives. The venue's time (ms) after which a
        look is conclusive; None where it may still arrive."""
        now_ms = self._clock.now() // MS_NS
        known = self._nonces.find(client_id)
        if not known and self._nonces.complete:
            return 0  # it was never sent: what is sent is written down before
        if not known:
            over_ms = self._born_ms + self._expiry_ms_max + MARGIN_MS
            if now_ms > over_ms:
                return over_ms
            left_s = (over_ms - now_ms) / 1000
            self._reasons[client_id] = (
                f"its nonce is not remembered, so its expiry is waited for: {left_s:.0f} s"
            )
            return None
        moment_ms = 0
        for sent in known:
            over_ms = sent.expires_ms + MARGIN_MS
            if now_ms <= over_ms:
                words = await self._burn(sent)
                if words:
                    self._reasons[client_id] = words
                    return None
                over_ms = self._clock.now() // MS_NS - MARGIN_MS
            moment_ms = max(moment_ms, over_ms)
        return moment_ms

    async def _burn(self, sent: Sent) -> str:
        """Use the nonce up with a ``noop``. Why it could not be done; empty where it was."""
        reply = await self._exchange.act(self._account, Noop(), nonce=sent.nonce)
        if isinstance(reply, Accepted):
            return ""
        if isinstance(reply, Refusal) and reply.kind in _SPENT:
            return ""
        if isinstance(reply, Limited):
            await self._pause.limited(reply.retry_after_s)
        prefix = "not sent: " if isinstance(reply, Unsent) else ""
        return f"its nonce could not be burnt ({prefix}{reply.words})"
