"""Finds out what became of orders whose fate is unknown, before anything is sent again.

The venue's own data first (status by client id, fills). Where it knows nothing, the order may still
be on its way, or be too new for what the venue shows. So its nonce is burnt. If that succeeds, it
was never used and the order can not arrive any more. If the nonce was used already, the request did
arrive, and it is looked at until what the venue shows cannot be older than that. Where burning
fails, the order's expiry is waited for.
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
LAG_MS = 10_000  # how old what the venue shows of an account may be, by its own clock
LOOK_BACK_MS = 60_000
LOOK_WAITS_S = (0.3, 0.7, 1.5, 3.0, 6.0)
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
        """Look again, until the venue has come past the moment from which a look is conclusive."""
        for wait_s in (*LOOK_WAITS_S, None):
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
            if wait_s is None or not await self._pause.wait(wait_s):
                break
        for client_id in safe_from:
            self._reasons[client_id] = "what the venue shows may be older than the request"

    # --------------------------------------------------------------------------------- making sure

    async def _make_sure(self, client_id: str) -> int | None:
        """Make it impossible that this order still arrives. The venue's time (ms) after which a
        look is conclusive; None where it may still arrive."""
        known = self._nonces.find(client_id)
        if known:
            moments = [await self._burn(client_id, sent) for sent in known]
            return None if None in moments else max(one for one in moments if one is not None)
        if self._nonces.complete:
            return 0  # it was never sent: what is sent is written down before
        over_ms = self._born_ms + self._expiry_ms_max + MARGIN_MS
        left_ms = over_ms - self._clock.now() // MS_NS
        if left_ms < 0:
            return over_ms + LAG_MS
        self._reasons[client_id] = (
            f"its nonce is not remembered, so its expiry is waited for: {left_ms / 1000:.0f} s"
        )
        return None

    async def _burn(self, client_id: str, sent: Sent) -> int | None:
        """Use the nonce of one request up. When a look is conclusive; None where it may arrive."""
        spent_ms = self._nonces.spent_ms(sent.nonce)
        if spent_ms is not None:
            return spent_ms
        reply = await self._exchange.act(self._account, Noop(), nonce=sent.nonce)
        if isinstance(reply, Accepted):
            return self._nonces.note_spent(sent.nonce, 0)  # it was free until now
        if isinstance(reply, Refusal) and reply.kind in _SPENT:
            seen_ms = await self._reader.venue_time_ms()
            return self._nonces.note_spent(sent.nonce, seen_ms + LAG_MS)
        if isinstance(reply, Limited):
            await self._pause.limited(reply.retry_after_s)
        over_ms = sent.expires_ms + MARGIN_MS
        if self._clock.now() // MS_NS > over_ms:
            return over_ms + LAG_MS
        prefix = "not sent: " if isinstance(reply, Unsent) else ""
        self._reasons[client_id] = f"its nonce could not be burnt ({prefix}{reply.words})"
        return None
