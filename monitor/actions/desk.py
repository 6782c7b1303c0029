"""The second executor: the desk's own trading system, told by signed webhook what to do.

For venues that riskd cannot act on itself. Each command is one POST by Standard Webhooks:
``webhook-id`` is the command's id and stays the same however often it is asked, so the desk does
each command once and answers a repeat with how it stands. Verification stays riskd's own: an
account is read from riskd's own feeds, never from the desk's word.

Request body (sizes and prices are decimal texts, times RFC 3339)::

    {"type": "riskd.command", "timestamp": "…Z", "data": {
       "command_id": "…", "trip_id": "…", "venue": "dydx", "account": "main",
       "do": "cancel" | "reduce" | "resolve",
       "cancels": [{"order_id", "client_id", "market", "side", "size", "reduce_only", "trigger",
                    "twap"}],
       "orders": [{"client_id", "market", "side": "buy" | "sell", "size", "limit_price",
                   "reduce_only": true, "immediate_or_cancel": true, "expires_at"}],
       "client_ids": ["…"]}}

Answer, HTTP 200 or 202::

    {"command_id": "…", "state": "accepted" | "working" | "done" | "refused", "reason": "…",
     "cancels": [{"order_id": "…", "gone": true, "detail": "…"}],
     "orders": [{"client_id": "…", "end": "filled" | "rejected" | "unknown",
                 "filled_size": "1.5", "average_price": "100.1", "detail": "…"}]}

``accepted`` and ``working``: riskd asks again until the command's deadline. ``done`` names every
cancel or order of the command; one that is missing is unknown. ``refused``: nothing was done.
Whatever else comes back leaves the command uncertain. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog

from monitor import __version__
from monitor.actions.settings import DeskSettings
from monitor.core.errors import ConfigError
from monitor.core.killswitch.book import AccountTruth
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    CancelOutcome,
    CancelsAnswered,
    Command,
    CommandFailed,
    KillFact,
    OrderEnd,
    OrderOutcome,
    OrdersAnswered,
    PlaceOrders,
    ReadAccount,
    ResolveOrders,
)
from monitor.core.ports import Clock
from monitor.core.signatures import sign
from monitor.core.types import SECOND_NS, EngineNs
from monitor.runtime.http import parse_retry_after_s

BODY_BYTES_MAX = 1_000_000
ATTEMPT_S_MAX = 5.0
DETAIL_MAX = 200
RETRY_AFTER_S_MAX = 60.0
# The desk read the request and will have none of it.
_REFUSALS = frozenset({400, 401, 403, 404, 405, 410, 411, 413, 415, 422})


class Targets(Protocol):
    """What of ``notify.target.TargetPolicy`` is needed here."""

    def check_host(self, host: str) -> None:
        """Refuse an address that may not be reached, with an ``OSError``."""
        ...


class TruthSource(Protocol):
    """Where an account of this venue is read: riskd's own feeds."""

    def __call__(self, venue: str, account: str) -> AccountTruth | None:
        """The account as last read, with its time; None where it is not known."""
        ...


class _CancelSaid(msgspec.Struct):
    order_id: str
    gone: bool
    detail: str = ""


class _OrderSaid(msgspec.Struct):
    client_id: str
    end: OrderEnd
    filled_size: Decimal = Decimal(0)
    average_price: Decimal | None = None
    detail: str = ""


class _Said(msgspec.Struct):
    command_id: str
    state: Literal["accepted", "working", "done", "refused"]
    reason: str = ""
    cancels: list[_CancelSaid] = []
    orders: list[_OrderSaid] = []


class _Refused(msgspec.Struct, frozen=True):
    """This attempt certainly had no effect; ``again`` where another may fare better."""

    words: str
    again: bool = False
    retry_after_s: float | None = None


class _Unclear(msgspec.Struct, frozen=True):
    """Nobody knows; to be asked again with the same id."""

    words: str


class DeskExecutor:
    """Acts for accounts of one venue through the desk. Implements ``ports.Executor``."""

    def __init__(
        self,
        settings: DeskSettings,
        *,
        url: str,
        keys: Sequence[bytes],
        session: aiohttp.ClientSession,
        targets: Targets,
        truth: TruthSource,
        clock: Clock,
        to_wall_ns: Callable[[EngineNs], int] = int,
    ) -> None:
        """Nothing is sent yet.

        Args:
            settings: Venue, accounts and deadlines.
            url: Where to post; kept secret, since it may hold a token.
            keys: What signs, and during rotation the previous key after it.
            session: Reaches allowed targets only (``notify.target.guarded_session``).
            targets: The same policy, for addresses that are no names.
            truth: Where accounts are read.
            clock: Engine time.
            to_wall_ns: Engine time to wall time, for a world that runs faster than the wall.

        Raises:
            ConfigError: Without a key.
        """
        if not keys or not all(keys):
            raise ConfigError(f"The desk's webhook for {settings.venue} has no secret.")
        self.venue = settings.venue
        self._settings = settings
        self._url = url
        self._host = urlsplit(url).hostname or ""
        self._keys = tuple(keys)
        self._session = session
        self._targets = targets
        self._truth = truth
        self._clock = clock
        self._to_wall_ns = to_wall_ns
        self._log = structlog.get_logger().bind(venue=settings.venue)

    def acts_for(self, account: str) -> bool:
        """True for the configured accounts; whether the desk answers is seen when it is asked."""
        return account in self._settings.accounts

    async def run(self, command: Command) -> KillFact:
        """Have it done, and say what the desk says came of it."""
        if not self.acts_for(command.account):
            return _failed(command, f"the desk does not act for {command.account!r}")
        if isinstance(command, ReadAccount):
            truth = self._truth(command.venue, command.account)
            if truth is None:
                return _failed(command, "riskd's own feeds do not know this account just now")
            return AccountRead(command_id=command.id, truth=truth)
        return await self._have_done(command)

    # ------------------------------------------------------------------------------------- asking

    async def _have_done(self, command: CancelOrders | PlaceOrders | ResolveOrders) -> KillFact:
        """Ask until there is an end, a refusal, or no time left."""
        body = msgspec.json.encode(self._body(command))
        deadline_s = self._settings.command_deadline_s
        deadline_ns = self._clock.now() + round(deadline_s * SECOND_NS)
        delivered = False  # some attempt may have reached the desk
        words = ""
        wait_s: float | None = None
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    reaches = True
                    try:
                        said = await self._ask(command.id, body)
                        reaches = not isinstance(said, _Refused)
                    finally:
                        delivered = delivered or reaches
                    if isinstance(said, _Said) and said.state in {"done", "refused"}:
                        return _fact(command, said)
                    words, wait_s = _words(said), getattr(said, "retry_after_s", None)
                    if isinstance(said, _Refused) and not said.again:
                        break
                    pause_s = wait_s or self._settings.repeat_s
                    if self._clock.now() + round(pause_s * SECOND_NS) >= deadline_ns:
                        break
                    await self._clock.sleep(pause_s)
        except TimeoutError:
            words = words or f"the desk did not answer within {deadline_s:g} s"
        self._log.warning("desk_command_failed", command=command.id, reason=words)
        return _failed(command, words, uncertain=delivered, retry_after_s=wait_s)

    async def _ask(self, message_id: str, body: bytes) -> _Said | _Refused | _Unclear:
        timestamp = self._to_wall_ns(self._clock.now()) // SECOND_NS
        signatures = " ".join(sign(key, message_id, timestamp, body) for key in self._keys)
        try:
            self._targets.check_host(self._host)
            async with (
                asyncio.timeout(ATTEMPT_S_MAX),
                self._session.post(
                    self._url,
                    data=body,
                    headers={
                        "Content-Type": "application/json",
                        "User-Agent": f"riskd/{__version__}",
                        "webhook-id": message_id,
                        "webhook-timestamp": str(timestamp),
                        "webhook-signature": signatures,
                    },
                    allow_redirects=False,
                ) as response,
            ):
                raw = await _read(response)
                retry_after = response.headers.get("Retry-After")
                return _judge(message_id, response.status, raw, retry_after)
        except TimeoutError:
            return _Unclear("the desk did not answer in time")
        except aiohttp.ClientConnectorError as error:
            detail = error.os_error.strerror or type(error.os_error).__name__
            return _Refused(f"the desk could not be reached ({detail}); nothing was sent", True)
        except (aiohttp.ClientError, ConnectionError) as error:
            return _Unclear(f"the exchange with the desk failed ({type(error).__name__})")
        except OSError as error:  # the address is one that may not be reached
            return _Refused(f"not sent: {error}. List its network in allow_networks.")

    def _body(self, command: CancelOrders | PlaceOrders | ResolveOrders) -> dict[str, object]:
        data: dict[str, object] = {
            "command_id": command.id,
            "trip_id": command.trip_id,
            "venue": command.venue,
            "account": command.account,
        }
        match command:
            case CancelOrders():
                data["do"] = "cancel"
                data["cancels"] = [
                    {
                        "order_id": one.order_id,
                        "client_id": one.client_id,
                        "market": one.market,
                        "side": one.side.value,
                        "size": format(one.size, "f"),
                        "reduce_only": one.reduce_only,
                        "trigger": one.trigger,
                        "twap": one.twap,
                    }
                    for one in command.orders
                ]
            case PlaceOrders():
                data["do"] = "reduce"
                data["orders"] = [
                    {
                        "client_id": one.client_id,
                        "market": one.market,
                        "side": one.side.value,
                        "size": format(one.size, "f"),
                        "limit_price": format(one.limit_price, "f"),
                        "reduce_only": True,
                        "immediate_or_cancel": True,
                        "expires_at": self._rfc3339(one.expires_at_ns),
                    }
                    for one in command.orders
                ]
            case ResolveOrders():
                data["do"] = "resolve"
                data["client_ids"] = list(command.client_ids)
        # The body must stay the same however often it is asked, so it bears its first time.
        now = self._rfc3339(self._clock.now())
        return {"type": "riskd.command", "timestamp": now, "data": data}

    def _rfc3339(self, at_ns: EngineNs) -> str:
        seconds, rest_ns = divmod(self._to_wall_ns(at_ns), SECOND_NS)
        moment = datetime.fromtimestamp(seconds, tz=UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body as far as it may go; one that is longer is then not understood."""
    parts, size = [], 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            response.close()
            break
    return b"".join(parts)


def _judge(
    message_id: str, status: int, raw: bytes, retry_after: str | None
) -> _Said | _Refused | _Unclear:
    """What one answer means."""
    if status in {200, 202}:
        try:
            said = msgspec.json.decode(raw, type=_Said)
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
            return _Unclear("the desk's answer cannot be read")
        if said.command_id != message_id:
            return _Unclear("the desk's answer is about another command")
        return said
    if status == 429:
        wait_s = min(parse_retry_after_s(retry_after) or 1.0, RETRY_AFTER_S_MAX)
        return _Refused("the desk answered 429: too many requests", True, wait_s)
    if 300 <= status < 400:
        return _Refused(f"the desk answered {status}; configure its final address")
    if status in _REFUSALS:
        return _Refused(f"the desk answered {status}; check its address and the secret")
    return _Unclear(f"the desk answered {status}")


def _words(said: _Said | _Refused | _Unclear) -> str:
    if isinstance(said, _Said):
        return f"the desk still works on it ({said.state}) {said.reason[:DETAIL_MAX]}".rstrip()
    return said.words


def _fact(command: CancelOrders | PlaceOrders | ResolveOrders, said: _Said) -> KillFact:
    """An end, as the desk states it."""
    if said.state == "refused":
        return _failed(
            command, f"the desk refuses: {said.reason[:DETAIL_MAX] or 'no reason given'}"
        )
    if isinstance(command, CancelOrders):
        gone = {one.order_id: one for one in said.cancels}
        return CancelsAnswered(
            command_id=command.id,
            venue=command.venue,
            account=command.account,
            outcomes=tuple(_cancel(order.order_id, gone) for order in command.orders),
        )
    names = (
        [order.client_id for order in command.orders]
        if isinstance(command, PlaceOrders)
        else list(command.client_ids)
    )
    ends = {one.client_id: one for one in said.orders}
    return OrdersAnswered(
        command_id=command.id,
        venue=command.venue,
        account=command.account,
        outcomes=tuple(_order(name, ends) for name in names),
    )


def _cancel(order_id: str, said: dict[str, _CancelSaid]) -> CancelOutcome:
    one = said.get(order_id)
    if one is None:
        return CancelOutcome(order_id=order_id, gone=False, detail="the desk says nothing of it")
    return CancelOutcome(order_id=order_id, gone=one.gone, detail=one.detail[:DETAIL_MAX])


def _order(client_id: str, said: dict[str, _OrderSaid]) -> OrderOutcome:
    one = said.get(client_id)
    if one is None:
        words = "the desk says nothing of it"
        return OrderOutcome(client_id=client_id, end=OrderEnd.UNKNOWN, detail=words)
    size, price = one.filled_size, one.average_price
    whole = size.is_finite() and size >= 0 and (price is None or price.is_finite())
    if not whole or (size > 0) != (one.end is OrderEnd.FILLED):
        words = f"the desk contradicts itself: {one.end.value} with {size!s:.40}"
        return OrderOutcome(client_id=client_id, end=OrderEnd.UNKNOWN, detail=words)
    return OrderOutcome(
        client_id=client_id,
        end=one.end,
        filled_size=size,
        average_price=price,
        detail=one.detail[:DETAIL_MAX],
    )


def _failed(
    command: Command,
    reason: str,
    *,
    uncertain: bool = False,
    retry_after_s: float | None = None,
) -> CommandFailed:
    return CommandFailed(
        command_id=command.id,
        venue=command.venue,
        account=command.account,
        reason=reason,
        uncertain=uncertain,
        retry_after_s=retry_after_s,
    )
