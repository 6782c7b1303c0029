"""What can be asked of Hyperliquid's ``/exchange``, and how it is written.

Structured actions in, the venue's objects out. Their key order is part of the contract: it is the
order in which they are packed and hashed, and a request in any other order is taken for a
stranger's. What may be signed at all is ``SignableAction``: nothing in it can open, flip or grow a
position. Source: exchange endpoint page and the official SDK's vectors. *Pure.*
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from monitor.core.ports import Request
from monitor.venues.hyperliquid.signing import (
    Digest,
    Signature,
    agent_digest,
    connection_id,
)

Wire = None | bool | int | str | list["Wire"] | dict[str, "Wire"]

SPOT_ASSETS_FROM = 10_000
BUILDER_ASSETS_FROM, BUILDER_ASSETS_EACH = 100_000, 10_000
CLIENT_ID = re.compile(r"0x[0-9a-f]{32}")
ADDRESS = re.compile(r"0x[0-9a-f]{40}")
ROWS_PER_WEIGHT = 40
_EXPONENT_MAX = 18


class _Action(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag=True):
    """What all actions share: they are also what a signer is asked with, so they serialise."""


class CancelLine(msgspec.Struct, frozen=True, gc=False):
    """One order by the venue's number."""

    asset: int
    order_id: int


class Cancel(_Action, frozen=True, gc=False, kw_only=True):
    """Cancel by the venue's numbers. ``fast`` asks for priority in the mempool."""

    lines: tuple[CancelLine, ...]
    fast: bool = False


class ClientCancelLine(msgspec.Struct, frozen=True, gc=False):
    """One order by the id that its owner gave it."""

    asset: int
    client_id: str


class CancelByClientId(_Action, frozen=True, gc=False, kw_only=True):
    """Cancel by the owner's ids."""

    lines: tuple[ClientCancelLine, ...]


class TwapCancel(_Action, frozen=True, gc=False, kw_only=True):
    """Stop one running TWAP; what it has executed stays."""

    asset: int
    twap_id: int


class ReduceLine(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One reduce-only order that executes at once or not at all (IOC). Exact numbers, unsigned."""

    asset: int
    is_buy: bool
    limit_price: Decimal
    size: Decimal
    client_id: str


class Reduce(_Action, frozen=True, gc=False, kw_only=True):
    """Reduce-only IOC orders in one request. There is no way to write any other order."""

    lines: tuple[ReduceLine, ...]


class Noop(_Action, frozen=True, gc=False, kw_only=True):
    """Nothing, which uses up its nonce: a request with the same nonce can never take effect."""


class ScheduleCancel(_Action, frozen=True, gc=False, kw_only=True):
    """Have the venue cancel everything at ``time_ms``; None takes that back."""

    time_ms: int | None = None


class UpdateLeverage(_Action, frozen=True, gc=False, kw_only=True):
    """Another leverage for one market."""

    asset: int
    is_cross: bool
    leverage: int


SignableAction = Cancel | CancelByClientId | TwapCancel | Reduce | Noop
Action = SignableAction | ScheduleCancel | UpdateLeverage


# -------------------------------------------------------------------------------------- assets


def builder_asset(dex_index: int, market_index: int) -> int:
    """The asset number of a builder dex's market, by the positions in ``perpDexs`` (whose entry 0
    is null) and in that dex's ``meta``."""
    return BUILDER_ASSETS_FROM + BUILDER_ASSETS_EACH * dex_index + market_index


class Assets:
    """Asset numbers by name, as ``perpDexs`` and each dex's ``meta`` list them, delisted included.

    Spot pairs carry their number in their name (``@107``).
    """

    def __init__(self) -> None:
        self._dexes: dict[str, int] = {}
        self._assets: dict[str, int] = {}
        self._read: set[str] = set()

    def learn_dexes(self, names: Iterable[str | None]) -> None:
        """``perpDexs`` in its order; entry 0 is the first dex."""
        self._dexes = {(name or ""): index for index, name in enumerate(names) if name or not index}

    def learn_markets(self, dex: str, names: Iterable[str]) -> None:
        """One dex's ``meta.universe`` names in its order. The dex must be known."""
        index = self._dexes[dex]
        for position, name in enumerate(names):
            full = name if not dex or ":" in name else f"{dex}:{name}"
            self._assets[full] = builder_asset(index, position) if index else position
        self._read.add(dex)

    @property
    def dexes(self) -> tuple[str, ...]:
        """Every dex, the first one first; empty while ``perpDexs`` is unread."""
        return tuple(sorted(self._dexes, key=lambda name: self._dexes[name]))

    def knows(self, dex: str) -> bool:
        """Whether the markets of that dex were read."""
        return dex in self._read

    def number(self, market: str) -> int | None:
        """The number that actions name a market by; None where nothing tells it."""
        if market.startswith("@") and market[1:].isdigit():
            return SPOT_ASSETS_FROM + int(market[1:])
        if market == "PURR/USDC":  # the one pair that is listed by its name
            return SPOT_ASSETS_FROM
        return self._assets.get(market)


# --------------------------------------------------------------------------------------- wire


def plain(value: Decimal) -> str:
    """A price or size as the venue wants it: no exponent, no trailing zeros, never negative.

    Raises:
        ValueError: For what is not above zero, not finite, or absurdly large or small.
    """
    if not value.is_finite() or value <= 0 or abs(value.adjusted()) > _EXPONENT_MAX:
        message = f"{value!s:.40} is no price or size: it must be above zero and finite"
        raise ValueError(message)
    return format(value.normalize(), "f")


def wire_of(action: Action) -> dict[str, Wire]:
    """The venue's object, keys in the venue's order.

    Raises:
        ValueError: For numbers or ids that cannot stand in a request.
    """
    match action:
        case Cancel():
            return _cancel(action)
        case CancelByClientId():
            return {
                "type": "cancelByCloid",
                "cancels": [
                    {"asset": _asset(line.asset), "cloid": _client_id(line.client_id)}
                    for line in action.lines
                ],
            }
        case TwapCancel():
            return {"type": "twapCancel", "a": _asset(action.asset), "t": _number(action.twap_id)}
        case Reduce():
            return {
                "type": "order",
                "orders": [_order(line) for line in action.lines],
                "grouping": "na",
            }
        case Noop():
            return {"type": "noop"}
        case ScheduleCancel():
            if action.time_ms is None:
                return {"type": "scheduleCancel"}
            return {"type": "scheduleCancel", "time": _number(action.time_ms)}
        case UpdateLeverage():
            return {
                "type": "updateLeverage",
                "asset": _asset(action.asset),
                "isCross": action.is_cross,
                "leverage": _number(action.leverage),
            }


def _cancel(action: Cancel) -> dict[str, Wire]:
    wire: dict[str, Wire] = {
        "type": "cancel",
        "cancels": [
            {"a": _asset(line.asset), "o": _number(line.order_id)} for line in action.lines
        ],
    }
    if action.fast:
        wire["f"] = True
    return wire


def _order(line: ReduceLine) -> dict[str, Wire]:
    return {
        "a": _asset(line.asset),
        "b": line.is_buy,
        "p": plain(line.limit_price),
        "s": plain(line.size),
        "r": True,
        "t": {"limit": {"tif": "Ioc"}},
        "c": _client_id(line.client_id),
    }


def _asset(value: int) -> int:
    if not 0 <= value < 2**31:
        message = f"{value} is no asset number"
        raise ValueError(message)
    return value


def _number(value: int) -> int:
    if not 0 <= value < 2**63:
        message = f"{value} is out of range"
        raise ValueError(message)
    return value


def _client_id(value: str) -> str:
    if not CLIENT_ID.fullmatch(value):
        message = f"{value[:40]!r} is no client id: 0x and 32 hexadecimal digits in small letters"
        raise ValueError(message)
    return value


def pack(wire: dict[str, Wire]) -> bytes:
    """The bytes that are hashed."""
    return msgspec.msgpack.encode(wire)


def digest_of(
    wire: dict[str, Wire],
    *,
    nonce: int,
    vault: str | None = None,
    expires_after_ms: int | None = None,
    mainnet: bool,
) -> Digest:
    """What is signed for one request."""
    connection = connection_id(
        pack(wire), nonce=nonce, vault=vault, expires_after_ms=expires_after_ms
    )
    return agent_digest(connection, mainnet=mainnet)


def lines_of(action: Action) -> int:
    """How many orders or cancels an action holds; that is what it costs of the address budget."""
    match action:
        case Cancel(lines=lines) | CancelByClientId(lines=lines) | Reduce(lines=lines):
            return len(lines)
        case _:
            return 1


def exchange_weight(lines: int) -> float:
    """What a request with so many lines costs of the IP budget."""
    return float(1 + lines // ROWS_PER_WEIGHT)


def exchange_request(
    url: str,
    action: Action,
    *,
    nonce: int,
    signature: Signature,
    vault: str | None = None,
    expires_after_ms: int | None = None,
    timeout_s: float,
) -> Request:
    """The signed request to ``/exchange``."""
    body = {
        "action": wire_of(action),
        "nonce": nonce,
        "signature": signature,
        "vaultAddress": vault,
        "expiresAfter": expires_after_ms,
    }
    return Request(
        method="POST",
        url=url,
        body=msgspec.json.encode(body),
        headers=(("content-type", "application/json"),),
        weight=exchange_weight(lines_of(action)),
        timeout_s=timeout_s,
    )
