"""Cancels working orders and TWAPs, whoever placed them.

A cancel that is repeated does no harm, so what is unclear is tried again at once; what the venue
has answered is not asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from monitor.actions.hyperliquid.exchange import Exchange, Unsent
from monitor.actions.hyperliquid.pause import Pause
from monitor.actions.hyperliquid.placing import ACCOUNT_REFUSALS, retry_after_s
from monitor.actions.hyperliquid.reader import Reader
from monitor.actions.settings import ActingAccount
from monitor.core.killswitch.book import WorkingOrder
from monitor.core.killswitch.facts import (
    CancelOrders,
    CancelOutcome,
    CancelsAnswered,
    CommandFailed,
)
from monitor.venues.hyperliquid.actions import (
    CLIENT_ID,
    Cancel,
    CancelByClientId,
    CancelLine,
    ClientCancelLine,
    SignableAction,
    TwapCancel,
)
from monitor.venues.hyperliquid.markets import dex_of
from monitor.venues.hyperliquid.replies import (
    ADDRESS_PASS_S,
    Accepted,
    Limited,
    Refusal,
    RefusalKind,
    read_cancels,
)

ATTEMPTS_MAX = 3
UNCLEAR_WAIT_S = 0.3


class _Request(msgspec.Struct, frozen=True):
    """One request to be sent: the action, and the orders of its lines."""

    action: SignableAction
    order_ids: tuple[str, ...]


class Cancelling:
    """One ``CancelOrders`` under way. ``result`` can be asked at any time."""

    def __init__(
        self,
        command: CancelOrders,
        account: ActingAccount,
        *,
        reader: Reader,
        exchange: Exchange,
        pause: Pause,
        fast: bool,
        cancels_per_request: int,
    ) -> None:
        self._command = command
        self._account = account
        self._reader = reader
        self._exchange = exchange
        self._pause = pause
        self._fast = fast
        self._batch = cancels_per_request
        self._outcomes: dict[str, CancelOutcome] = {}
        self._whole = ""
        self._retry_after_s: float | None = None
        self._unclear = False
        self._answered = False
        self.refusal: Refusal | None = None  # of the account as such

    async def run(self) -> None:
        """Request by request, until the account as such is refused."""
        for request in await self._requests():
            if not await self._send(request):
                return
            slower = self._without_priority(request)
            if slower is not None and not await self._send(slower):
                return

    def result(self, interrupted: str = "") -> CancelsAnswered | CommandFailed:
        """What is known of each cancel; ``interrupted`` says what ended the command early."""
        command = self._command
        why = self._whole or interrupted
        if why and not self._answered:
            return CommandFailed(
                command_id=command.id,
                venue=command.venue,
                account=command.account,
                reason=why,
                uncertain=self._unclear or bool(interrupted),
                retry_after_s=self._retry_after_s,
            )
        return CancelsAnswered(
            command_id=command.id,
            venue=command.venue,
            account=command.account,
            outcomes=tuple(
                self._outcomes.get(order.order_id)
                or CancelOutcome(order_id=order.order_id, gone=False, detail=f"no answer: {why}")
                for order in command.orders
            ),
        )

    # --------------------------------------------------------------------------------- what to send

    async def _requests(self) -> list[_Request]:
        """By number in batches of one dex each, by client id where no number is known, TWAPs one
        by one."""
        numbers: dict[tuple[bool, str], list[tuple[int, WorkingOrder]]] = {}
        clients: dict[str, list[tuple[int, WorkingOrder]]] = {}
        twaps: list[_Request] = []
        for order in self._command.orders:
            asset = await self._reader.asset(order.market)
            if isinstance(asset, str):
                self._miss(order, asset)
            elif order.twap:
                if order.order_id.isdigit():
                    action = TwapCancel(asset=asset, twap_id=int(order.order_id))
                    twaps.append(_Request(action, (order.order_id,)))
                else:
                    self._miss(order, "the venue does not tell this TWAP's id")
            elif order.order_id.isdigit():
                key = (order.trigger, dex_of(order.market))
                numbers.setdefault(key, []).append((asset, order))
            elif CLIENT_ID.fullmatch(order.client_id or ""):
                clients.setdefault(dex_of(order.market), []).append((asset, order))
            else:
                self._miss(order, "neither a number nor a client id is known")
        # Orders that rest in the book go first, with priority; triggers are in nobody's way.
        requests = [
            _Request(
                Cancel(
                    lines=tuple(CancelLine(asset, int(one.order_id)) for asset, one in batch),
                    fast=self._fast and not trigger,
                ),
                tuple(one.order_id for _, one in batch),
            )
            for (trigger, _), group in sorted(numbers.items())
            for batch in self._batches([group])
        ]
        requests += [
            _Request(
                CancelByClientId(
                    lines=tuple(
                        ClientCancelLine(asset, one.client_id or "") for asset, one in batch
                    )
                ),
                tuple(one.order_id for _, one in batch),
            )
            for batch in self._batches(clients.values())
        ]
        return requests + twaps

    def _batches(
        self, groups: Iterable[list[tuple[int, WorkingOrder]]]
    ) -> Iterator[list[tuple[int, WorkingOrder]]]:
        for group in groups:
            for start in range(0, len(group), self._batch):
                yield group[start : start + self._batch]

    def _miss(self, order: WorkingOrder, words: str) -> None:
        self._answered = True  # by us: nothing that is tried later will do better
        self._outcomes[order.order_id] = CancelOutcome(
            order_id=order.order_id, gone=False, detail=words
        )

    # ------------------------------------------------------------------------------------- sending

    async def _send(self, request: _Request) -> bool:
        """Until it is answered; False when the next request would fare no better."""
        words, wait_s = "", None
        for attempt in range(1, ATTEMPTS_MAX + 1):
            reply = await self._exchange.act(self._account, request.action)
            if isinstance(reply, Accepted):
                self._settle(read_cancels(reply, request.order_ids))
                return True
            words, wait_s = reply.words, None
            match reply:
                case Limited():
                    wait_s = reply.retry_after_s
                    goes_on = await self._pause.limited(wait_s)
                case Refusal() if reply.kind is RefusalKind.ADDRESS_BUDGET:
                    wait_s = ADDRESS_PASS_S
                    goes_on = await self._pause.wait(wait_s)
                case Refusal() if reply.kind in ACCOUNT_REFUSALS:
                    self.refusal = reply
                    return self._fail(words, retry_after_s(reply))
                case Unsent():
                    return self._fail(words)
                case _:
                    self._unclear = True
                    goes_on = await self._pause.wait(UNCLEAR_WAIT_S * attempt)
            if not goes_on:
                break
        return self._fail(words, wait_s)

    def _without_priority(self, request: _Request) -> _Request | None:
        """What of a fast request was refused, to be asked once more the ordinary way: priority is
        the one thing about it that the venue may have minded."""
        action = request.action
        if not (isinstance(action, Cancel) and action.fast):
            return None
        kept = [
            (line, order_id)
            for line, order_id in zip(action.lines, request.order_ids, strict=True)
            if not self._outcomes[order_id].gone
        ]
        if not kept:
            return None
        lines, order_ids = zip(*kept, strict=True)
        return _Request(Cancel(lines=lines), order_ids)

    def _settle(self, outcomes: Sequence[CancelOutcome]) -> None:
        self._answered = True
        for outcome in outcomes:
            self._outcomes[outcome.order_id] = outcome

    def _fail(self, words: str, retry_after_s: float | None = None) -> bool:
        self._whole, self._retry_after_s = words, retry_after_s
        return False
