"""What can be posted to ``/exchange``, as the simulated venue understands it.

The fields stand in the order in which the venue packs them. ``canonical`` is the venue's own
writing of an action, over which the signature is judged: a key in another place, a trailing zero
or an upper-case address makes it another action, and so another signer.
"""

from __future__ import annotations

import types
import typing
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from monitor.sim.hyperliquid.signatures import Packed

DecimalText = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)?$", max_length=40)]
Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]
Cloid = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{32}$")]
Scalar = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{1,64}$")]
Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Micro = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class Limit(msgspec.Struct, frozen=True):
    """An order with a limit price."""

    tif: Literal["Alo", "Ioc", "Gtc", "FrontendMarket"]


class Trigger(msgspec.Struct, frozen=True, rename="camel"):
    """An order that waits for the mark."""

    is_market: bool
    trigger_px: DecimalText
    tpsl: Literal["tp", "sl"]


class Kind(msgspec.Struct, frozen=True):
    """Exactly one of the two."""

    limit: Limit | None = None
    trigger: Trigger | None = None

    def __post_init__(self) -> None:
        if (self.limit is None) == (self.trigger is None):
            raise ValueError("an order is either a limit or a trigger order")


class OrderWire(msgspec.Struct, frozen=True):
    """One order: asset, buy, price, size, reduce-only, type, client id."""

    a: Whole
    b: bool
    p: DecimalText
    s: DecimalText
    r: bool
    t: Kind
    c: Cloid | None = None


class Priority(msgspec.Struct, frozen=True):
    """What is paid for a better place, in 1e-8 of the notional."""

    p: Whole


class Builder(msgspec.Struct, frozen=True):
    """Whoever built the interface, and their fee."""

    b: Address
    f: Whole


class Order(msgspec.Struct, frozen=True, tag_field="type", tag="order"):
    """A batch of orders."""

    orders: list[OrderWire]
    grouping: Literal["na", "normalTpsl", "positionTpsl"] | Priority
    builder: Builder | None = None


class CancelWire(msgspec.Struct, frozen=True):
    """One order by the venue's id."""

    a: Whole
    o: Whole


class CloidWire(msgspec.Struct, frozen=True):
    """One order by the client's id."""

    asset: Whole
    cloid: Cloid


class Cancel(msgspec.Struct, frozen=True, tag_field="type", tag="cancel"):
    """A batch of cancels; ``f`` puts it first in the block."""

    cancels: list[CancelWire]
    f: bool | None = None


class CancelByCloid(msgspec.Struct, frozen=True, tag_field="type", tag="cancelByCloid"):
    """The same by client ids."""

    cancels: list[CloidWire]
    f: bool | None = None


class ModifyWire(msgspec.Struct, frozen=True):
    """One order and what shall stand in its place."""

    oid: Whole | Cloid
    order: OrderWire


class Modify(msgspec.Struct, frozen=True, tag_field="type", tag="modify"):
    """One change."""

    oid: Whole | Cloid
    order: OrderWire


class BatchModify(msgspec.Struct, frozen=True, tag_field="type", tag="batchModify"):
    """A batch of changes."""

    modifies: list[ModifyWire]


class ScheduleCancel(msgspec.Struct, frozen=True, tag_field="type", tag="scheduleCancel"):
    """When everything will be cancelled (ms); without a time: never."""

    time: Whole | None = None


class UpdateLeverage(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="updateLeverage"
):
    """The leverage of one asset."""

    asset: Whole
    is_cross: bool
    leverage: Whole


class UpdateIsolatedMargin(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="updateIsolatedMargin"
):
    """Money into (or, negative, out of) an isolated position, in millionths of a dollar."""

    asset: Whole
    is_buy: bool
    ntli: Micro


class TwapWire(msgspec.Struct, frozen=True):
    """One TWAP: asset, buy, size, reduce-only, minutes, randomized."""

    a: Whole
    b: bool
    s: DecimalText
    r: bool
    m: Whole
    t: bool


class TwapOrder(msgspec.Struct, frozen=True, tag_field="type", tag="twapOrder"):
    """A TWAP to start."""

    twap: TwapWire


class TwapCancel(msgspec.Struct, frozen=True, tag_field="type", tag="twapCancel"):
    """A TWAP to end."""

    a: Whole
    t: Whole


class Noop(msgspec.Struct, frozen=True, tag_field="type", tag="noop"):
    """Nothing, but the nonce is used."""


Action = (
    Order
    | Cancel
    | CancelByCloid
    | Modify
    | BatchModify
    | ScheduleCancel
    | UpdateLeverage
    | UpdateIsolatedMargin
    | TwapOrder
    | TwapCancel
    | Noop
)


class Signature(msgspec.Struct, frozen=True):
    """The two scalars (leading zeros may be missing) and the recovery id."""

    r: Scalar
    s: Scalar
    v: int


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """One request body."""

    action: Action
    nonce: Whole
    signature: Signature
    vault_address: Address | None = None
    expires_after: Whole | None = None


_DECODER = msgspec.json.Decoder(Envelope)


def read(body: bytes) -> Envelope:
    """The request in ``body``.

    Raises:
        msgspec.ValidationError: If it is JSON of another form.
        msgspec.DecodeError: If it is no JSON.
    """
    return _DECODER.decode(body)


def batch_length(action: Action) -> int:
    """How many things an action asks for: what the address's budget counts."""
    if isinstance(action, Order):
        return len(action.orders)
    if isinstance(action, Cancel | CancelByCloid):
        return len(action.cancels)
    return len(action.modifies) if isinstance(action, BatchModify) else 1


def type_of(action: Action) -> str:
    """The action's name on the wire."""
    return str(action.__struct_config__.tag)


def canonical(action: Action) -> Packed:
    """The action as the venue itself writes it, ready to be packed."""
    return _write(action)


def _write(value: object) -> Packed:
    if isinstance(value, msgspec.Struct):
        written: dict[str, Packed] = {}
        config = value.__struct_config__
        if config.tag_field is not None:
            written[config.tag_field] = str(config.tag)
        for field in msgspec.structs.fields(value):
            item = getattr(value, field.name)
            if item is not None:
                written[field.encode_name] = _write_text(item, field.type)
        return written
    if isinstance(value, list):
        return [_write(item) for item in value]
    if isinstance(value, bool | int | str):
        return value
    raise TypeError(f"no action holds a {type(value).__name__}")


def _write_text(item: object, declared: object) -> Packed:
    if not isinstance(item, str):
        return _write(item)
    if declared == DecimalText:
        return _plain(item)
    is_union = typing.get_origin(declared) in (typing.Union, types.UnionType)
    options = typing.get_args(declared) if is_union else (declared,)
    return item.lower() if Address in options or Cloid in options else item


def _plain(text: str) -> str:
    value = Decimal(text)
    return format(value.normalize(), "f") if value else "0"
