"""Sends reduce-only orders, and knows at every moment how each of them stands.

What was not sent is REJECTED, what was sent and not answered is UNKNOWN, also when the command's
deadline ends everything in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from monitor.actions.hyperliquid.exchange import Exchange, Unsent
from monitor.actions.hyperliquid.pause import Pause
from monitor.actions.hyperliquid.reader import MS_NS, Reader
from monitor.actions.settings import ActingAccount
from monitor.core.killswitch.facts import (
    CommandFailed,
    OrderEnd,
    OrderOutcome,
    OrdersAnswered,
    PlaceOrders,
    ReduceOrder,
)
from monitor.core.ports import Clock
from monitor.core.types import Side
from monitor.venues.hyperliquid.actions import Reduce, ReduceLine
from monitor.venues.hyperliquid.replies import (
    ADDRESS_PASS_S,
    Accepted,
    Limited,
    Line,
    Refusal,
    RefusalKind,
    Reply,
    read_orders,
    refused,
    unknown,
)

LEAST_LIFE_MS = 1_000  # an order that is stale on arrival costs five requests of the address budget
POST_ONLY_WAITS_S = (1.0, 2.0, 4.0, 4.0)
PASSES_LATER = frozenset({RefusalKind.POST_ONLY, RefusalKind.ADDRESS_BUDGET})
# These are about the account or the whole venue, so the next order would fare no better.
ACCOUNT_REFUSALS = PASSES_LATER | {
    RefusalKind.WALLET,
    RefusalKind.CLOCK,
    RefusalKind.OPEN_ORDERS,
}


class Placing:
    """One ``PlaceOrders`` under way. ``result`` can be asked at any time."""

    def __init__(
        self,
        command: PlaceOrders,
        account: ActingAccount,
        *,
        reader: Reader,
        exchange: Exchange,
        clock: Clock,
        pause: Pause,
        expiry_s: float,
        orders_per_request: int,
    ) -> None:
        self._command = command
        self._account = account
        self._reader = reader
        self._exchange = exchange
        self._clock = clock
        self._pause = pause
        self._expiry_ms = round(expiry_s * 1000)
        self._batch = orders_per_request
        self._outcomes: dict[str, OrderOutcome] = {}
        self._in_flight: set[str] = set()
        self._touched = False  # the venue answered something about an order of it
        self._whole = ""  # why none of it could be done, where one reason holds for all
        self._retry_after_s: float | None = None
        self.refusal: Refusal | None = None  # of the account as such

    async def run(self) -> None:
        """Send everything, batch by batch, until one is unclear."""
        ready = [order for order in self._command.orders if await self._is_writable(order)]
        for start in range(0, len(ready), self._batch):
            if not await self._send(ready[start : start + self._batch]):
                return

    def result(self, interrupted: str = "") -> OrdersAnswered | CommandFailed:
        """How every order stands; ``interrupted`` says what ended the command early."""
        command = self._command
        reason = self._whole or interrupted
        if reason and not self._touched and not self._in_flight:
            return CommandFailed(
                command_id=command.id,
                venue=command.venue,
                account=command.account,
                reason=reason,
                retry_after_s=self._retry_after_s,
            )
        why = reason or "an order before it is unclear"
        return OrdersAnswered(
            command_id=command.id,
            venue=command.venue,
            account=command.account,
            outcomes=tuple(
                self._outcome(order.client_id, why, interrupted) for order in command.orders
            ),
        )

    def _outcome(self, client_id: str, why: str, interrupted: str) -> OrderOutcome:
        known = self._outcomes.get(client_id)
        if known is not None:
            return known
        if client_id in self._in_flight:
            return unknown(client_id, f"sent, no answer: {interrupted}").outcome
        return OrderOutcome(client_id=client_id, end=OrderEnd.REJECTED, detail=f"not sent: {why}")

    # ------------------------------------------------------------------------------------ sending

    async def _is_writable(self, order: ReduceOrder) -> bool:
        asset = await self._reader.asset(order.market)
        if isinstance(asset, str):
            self._reject(order.client_id, f"not sent: {asset}")
        return isinstance(asset, int)

    async def _send(self, orders: Sequence[ReduceOrder]) -> bool:
        """Until each of these has an end; False when nothing more may be sent.

        What is signed counts against the signer's hourly cap, executed or not. So whether a window
        in which the venue takes none of them is over, the smallest order alone finds out.
        """
        waits = iter(POST_ONLY_WAITS_S)
        left = self._drop_stale(orders)
        shut = False
        while left:
            tried = [min(left, key=_notional_usd)] if shut else left
            reply = await self._act(tried)
            if isinstance(reply, Unsent):
                if not self._drop_refused(tried, reply):
                    return False
            elif isinstance(reply, Limited):
                if not await self._pause.limited(reply.retry_after_s):
                    self._fail(reply.words, reply.retry_after_s)
                    return False
            else:
                lines = self._lines(reply, tried)
                again = {line.outcome.client_id for line in lines if _passes_later(line)}
                shut = any(_is_post_only(line) for line in lines)
                wait_s = _wait_s(lines, waits) if again else None
                if wait_s is not None and await self._pause.wait(wait_s):
                    self._settle([line for line in lines if line.outcome.client_id not in again])
                elif not self._end(reply, lines):
                    return False
            left = self._drop_stale([one for one in left if one.client_id not in self._outcomes])
        return True

    def _drop_stale(self, orders: Sequence[ReduceOrder]) -> list[ReduceOrder]:
        """What would arrive after its expiry is not sent."""
        now_ms = self._clock.now() // MS_NS
        fresh = []
        for order in orders:
            if order.expires_at_ns // MS_NS - now_ms >= LEAST_LIFE_MS:
                fresh.append(order)
            else:
                self._reject(order.client_id, "not sent: it would arrive after its expiry")
        return fresh

    def _drop_refused(self, orders: Sequence[ReduceOrder], reply: Unsent) -> bool:
        """Leave out the orders that the signer refuses; False where it refuses the whole."""
        blamed = () if reply.signer is None else reply.signer.lines
        if not blamed:
            self._fail(reply.words)
            return False
        for index in blamed:
            self._reject(orders[index].client_id, f"not signed: {reply.words}")
        return True

    async def _act(self, orders: Sequence[ReduceOrder]) -> Reply | Unsent:
        lines, references = [], []
        for order in orders:
            asset = await self._reader.asset(order.market)
            if isinstance(asset, str):  # it was listed a moment ago
                return Unsent(asset)
            lines.append(
                ReduceLine(
                    asset=asset,
                    is_buy=order.side is Side.BUY,
                    limit_price=order.limit_price,
                    size=order.size,
                    client_id=order.client_id,
                )
            )
            references.append(Decimal(str(order.reference_price)))
        names = {order.client_id for order in orders}
        self._in_flight |= names
        reply = await self._exchange.act(
            self._account,
            Reduce(lines=tuple(lines)),
            references=references,
            expires_ms=self._expires_ms(orders),
        )
        self._in_flight -= names
        return reply

    def _expires_ms(self, orders: Sequence[ReduceOrder]) -> int:
        latest_ms = self._clock.now() // MS_NS + self._expiry_ms
        return min(latest_ms, *(order.expires_at_ns // MS_NS for order in orders))

    # ------------------------------------------------------------------------------------ judging

    @staticmethod
    def _lines(reply: Reply, orders: Sequence[ReduceOrder]) -> tuple[Line, ...]:
        names = [order.client_id for order in orders]
        match reply:
            case Accepted():
                return read_orders(reply, names)
            case Refusal():
                return tuple(refused(name, reply) for name in names)
            case _:
                return tuple(unknown(name, reply.words) for name in names)

    def _end(self, reply: Reply, lines: Sequence[Line]) -> bool:
        """Take over how these ended; False when nothing more may be sent for now."""
        if isinstance(reply, Refusal) and reply.kind in ACCOUNT_REFUSALS:
            self.refusal = reply
            self._fail(reply.words, retry_after_s(reply))
            return False
        self._touched = True
        self._settle(lines)
        later = next((line for line in lines if _passes_later(line)), None)
        if later is not None:
            self._whole = later.outcome.detail
            return False
        return all(line.outcome.end is not OrderEnd.UNKNOWN for line in lines)

    def _settle(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self._outcomes[line.outcome.client_id] = line.outcome

    def _reject(self, client_id: str, words: str) -> None:
        self._outcomes[client_id] = OrderOutcome(
            client_id=client_id, end=OrderEnd.REJECTED, detail=words
        )

    def _fail(self, words: str, retry_after_s: float | None = None) -> None:
        self._whole, self._retry_after_s = words, retry_after_s


def _passes_later(line: Line) -> bool:
    return line.refusal is not None and line.refusal.kind in PASSES_LATER


def _is_post_only(line: Line) -> bool:
    return line.refusal is not None and line.refusal.kind is RefusalKind.POST_ONLY


def _notional_usd(order: ReduceOrder) -> Decimal:
    return order.size * order.limit_price


def _wait_s(lines: Sequence[Line], post_only_waits: Iterator[float]) -> float | None:
    """How long to wait before the same again; None where it has been tried often enough."""
    kinds = {line.refusal.kind for line in lines if line.refusal is not None}
    if RefusalKind.ADDRESS_BUDGET in kinds:
        return ADDRESS_PASS_S
    return next(post_only_waits, None)


def retry_after_s(refusal: Refusal) -> float | None:
    """When the same may be asked again, seconds; None where time alone will not help."""
    if refusal.kind is RefusalKind.ADDRESS_BUDGET:
        return ADDRESS_PASS_S
    return POST_ONLY_WAITS_S[-1] if refusal.kind is RefusalKind.POST_ONLY else None
