"""The shapes that dYdX v4 puts on the wire, decoded in two stages, and the checks they share.

The envelope is read with its contents left raw; the channel then decides the typed decoder. Keys
may come in any order, unknown keys are skipped, quoted numbers are parsed in C. Everything that is
wrong with bytes leaves here as ``DecodeError``. *Pure.*
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal, TypeVar, get_args

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.types import SECOND_NS, EngineNs

T = TypeVar("T")

# Heights and subaccount numbers beyond any chain's life are corrupt bytes.
Height = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
SubaccountNumber = Annotated[int, msgspec.Meta(ge=0, le=128_000)]
# Quoted numbers may spell NaN and infinities; a bounded type refuses them in C, at no cost.
Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Price = Annotated[float, msgspec.Meta(gt=0.0, le=1e300)]
Size = Annotated[float, msgspec.Meta(ge=0.0, le=1e300)]
PositionSide = Literal["LONG", "SHORT"]
OrderSide = Literal["BUY", "SELL"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 1e30 of anything is corrupt, and an exponent of a million would print as a million digits.
_MONEY_EXPONENT_MIN, _MONEY_EXPONENT_MAX = -60, 30
AHEAD_NS_MAX = 60 * SECOND_NS  # a venue's time further ahead of ours is corrupt
_NO_CONTENTS = msgspec.Raw(b"{}")


class Envelope(msgspec.Struct, gc=False):
    """Any frame of the socket. ``id`` is absent for v4_markets, ``contents`` an array when
    batched."""

    type: str
    message_id: Height
    channel: str | None = None
    id: str | None = None
    contents: msgspec.Raw = _NO_CONTENTS
    subaccountNumber: SubaccountNumber | None = None  # noqa: N815 - the wire's name: a rename costs
    message: str = ""


class _Wire(msgspec.Struct, gc=False, rename="camel"):
    """Camel-case names outside, ours inside."""


# --------------------------------------------------------------------------------- markets


class MarketRow(_Wire):
    """A market, whole or as a difference: None means that this message did not say it.

    ``baseOpenInterest`` is left out on purpose: frozen since late 2024, it looks alive and is not.
    """

    status: str | None = None
    oracle_price: Number | None = None
    next_funding_rate: Number | None = None
    initial_margin_fraction: Number | None = None
    maintenance_margin_fraction: Number | None = None
    open_interest: Number | None = None
    tick_size: Decimal | None = None
    step_size: Decimal | None = None
    market_type: str | None = None
    open_interest_lower_cap: Number | None = None
    open_interest_upper_cap: Number | None = None
    volume_24h: Number | None = msgspec.field(default=None, name="volume24H")


class OracleRow(_Wire):
    """One oracle price with the block that set it."""

    oracle_price: Number | None = None
    effective_at: str | None = None


class MarketsContents(_Wire):
    """Snapshot (``markets``) or update (``oraclePrices`` or ``trading``)."""

    oracle_prices: dict[str, OracleRow] | None = None
    trading: dict[str, MarketRow] | None = None
    markets: dict[str, MarketRow] | None = None


class Level(msgspec.Struct, gc=False):
    """A book level of a snapshot."""

    price: Price
    size: Size


class BookSnapshot(msgspec.Struct, gc=False):
    """At most 100 levels a side, best first."""

    bids: list[Level] = []
    asks: list[Level] = []


class BookDelta(msgspec.Struct, gc=False):
    """Levels with their new absolute size; 0 removes."""

    bids: list[tuple[Price, Size]] | None = None
    asks: list[tuple[Price, Size]] | None = None


class TradeRow(_Wire):
    """A public trade."""

    side: OrderSide
    size: Number
    price: Number
    type: str
    created_at: str


class HotContents(_Wire):
    """An update of v4_orderbook, v4_markets, v4_block_height or v4_trades, whichever it is."""

    bids: list[tuple[Price, Size]] | None = None
    asks: list[tuple[Price, Size]] | None = None
    oracle_prices: dict[str, OracleRow] | None = None
    trading: dict[str, MarketRow] | None = None
    trades: list[TradeRow] | None = None
    block_height: Height | None = None
    time: str | None = None


HotChannel = Literal["v4_orderbook", "v4_markets", "v4_block_height", "v4_trades"]
HOT_CHANNELS: tuple[str, ...] = get_args(HotChannel)


class HotFrame(msgspec.Struct, gc=False, kw_only=True):
    """A frame of a market connection decoded in one go, if it is what nearly all are.

    Snapshots and batches, and every other channel, do not fit; they are read in two stages. The
    fields stand as the indexer writes them: the decoder looks for the next one first.
    """

    type: Literal["channel_data"]
    message_id: Height
    id: str | None = None
    channel: HotChannel
    contents: HotContents


class TradesContents(msgspec.Struct, gc=False):
    """Newest first in a snapshot and in REST, oldest first in an update."""

    trades: list[TradeRow]


class CandleRow(_Wire):
    """One bar."""

    started_at: str
    ticker: str
    resolution: str
    low: Number
    high: Number
    open: Number
    close: Number
    base_token_volume: Number


class CandlesContents(msgspec.Struct, gc=False):
    """A snapshot of bars, newest first."""

    candles: list[CandleRow]


class HeightRow(_Wire):
    """A block: the snapshot and REST say ``height``, updates say ``blockHeight``."""

    time: str
    height: Height | None = None
    block_height: Height | None = None


class FundingRow(_Wire):
    """One hourly settlement; ``rate`` is a fraction per hour."""

    ticker: str
    rate: Number
    price: Number | None
    effective_at: str


class FundingBody(_Wire):
    """Settlements, newest first."""

    historical_funding: list[FundingRow]


class TimeBody(msgspec.Struct, gc=False):
    """The indexer's clock, Unix seconds."""

    epoch: Number


# -------------------------------------------------------------------------------- accounts


class PositionRow(_Wire):
    """A perpetual position. ``size`` is signed; ``side`` repeats its sign."""

    market: str
    side: PositionSide
    size: Decimal
    status: str
    entry_price: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    net_funding: Decimal | None = None
    subaccount_number: SubaccountNumber | None = None


class AssetRow(_Wire):
    """An asset balance. ``size`` is unsigned; ``side`` SHORT makes it a debt."""

    symbol: str
    side: PositionSide
    size: Decimal
    subaccount_number: SubaccountNumber | None = None


class OrderRow(_Wire):
    """An order; removals may name little more than id and status."""

    id: str
    status: str
    ticker: str | None = None
    side: OrderSide | None = None
    size: Decimal | None = None
    total_filled: Decimal | None = None
    total_optimistic_filled: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool | None = None
    client_id: str | None = None
    order_flags: str | None = None
    good_til_block: Height | None = None
    subaccount_number: SubaccountNumber | None = None


class FillRow(_Wire):
    """An execution: the socket names its market ``ticker``, REST ``market``."""

    id: str
    side: OrderSide
    size: Decimal
    price: Decimal
    type: str
    created_at: str
    fee: Decimal | None = None
    order_id: str | None = None
    ticker: str | None = None
    market: str | None = None
    subaccount_number: SubaccountNumber | None = None


class Party(_Wire):
    """One end of a transfer; a wallet has no subaccount number."""

    address: str
    subaccount_number: SubaccountNumber | None = None


class TransferRow(_Wire):
    """Money that moved, in whole units of ``symbol``."""

    sender: Party
    recipient: Party
    symbol: str
    size: Decimal
    type: str
    created_at: str
    transaction_hash: str | None = None


class SubaccountRow(_Wire):
    """A subaccount, or a parent with its children (then the sums mean nothing for margin)."""

    address: str
    subaccount_number: SubaccountNumber | None = None
    parent_subaccount_number: SubaccountNumber | None = None
    equity: Decimal | None = None
    free_collateral: Decimal | None = None
    open_perpetual_positions: dict[str, PositionRow] = {}
    asset_positions: dict[str, AssetRow] = {}
    child_subaccounts: list[SubaccountRow] | None = None
    latest_processed_block_height: Height | None = None


class AccountSnapshot(_Wire):
    """``{}`` for a subaccount the indexer has never seen."""

    subaccount: SubaccountRow | None = None
    orders: list[OrderRow] = []
    block_height: Height | None = None


class AccountUpdate(_Wire):
    """What changed; every key is optional. Equity is never in it."""

    block_height: Height | None = None
    perpetual_positions: list[PositionRow] = []
    asset_positions: list[AssetRow] = []
    orders: list[OrderRow] = []
    fills: list[FillRow] = []
    transfers: TransferRow | None = None


class AccountFrame(msgspec.Struct, gc=False):
    """An update of an account channel, the whole frame read in one go; see ``HotFrame``."""

    type: str
    message_id: Height
    contents: AccountUpdate
    channel: str | None = None
    id: str | None = None
    subaccountNumber: SubaccountNumber | None = None  # noqa: N815 - the wire's name: a rename costs


class FundingPaymentRow(_Wire):
    """One settlement of ours; ``payment`` > 0 was received."""

    created_at: str
    ticker: str
    size: Decimal
    rate: Number
    payment: Decimal
    subaccount_number: SubaccountNumber | None = None


# --------------------------------------------------------------------------------- helpers


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """A typed decoder that takes quoted numbers."""
    return msgspec.json.Decoder(kind, strict=False)


def read(with_decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, what: str) -> T:
    """Decode, or say what could not be understood.

    Raises:
        DecodeError: For any bytes that do not fit, however broken.
    """
    try:
        return with_decoder.decode(raw)
    except (ValueError, RecursionError) as error:  # all of msgspec's and Unicode's are ValueErrors
        raise DecodeError(f"dYdX {what} was not understood: {error}", sample=bytes(raw)) from error


def money(value: Decimal, what: str) -> Decimal:
    """The amount itself if it is finite and of this world."""
    if value.is_finite() and _MONEY_EXPONENT_MIN <= value.adjusted() <= _MONEY_EXPONENT_MAX:
        return value
    raise DecodeError(f"dYdX {what} is {value!s:.40}, which is no amount.")


def money_or_none(value: Decimal | None, what: str) -> Decimal | None:
    """``money`` for a field that may be unsaid."""
    return value if value is None else money(value, what)


def refuse_future(at_ns: int | None, now: EngineNs | None, what: str) -> None:
    """Nothing, unless a time of the venue is more than a minute ahead of ours. A recording, read
    without a clock (``now`` 0 or None), is from whenever it is from.

    Raises:
        DecodeError: Naming ``what`` and the time.
    """
    if at_ns is not None and now and at_ns - now > AHEAD_NS_MAX:
        ahead_s = (at_ns - now) / SECOND_NS
        raise DecodeError(f"dYdX {what} is {at_ns} ns, {ahead_s:.0f} s ahead of our clock.")


@functools.lru_cache(maxsize=1024)  # a block's time stands in every row that it made
def time_ns(text: str) -> int:
    """Unix nanoseconds of an RFC 3339 time in UTC, up to nine digits of fraction.

    Raises:
        DecodeError: If it is anything else; local times would be guesses.
    """
    fraction = text[20:-1]
    if text[-1:] != "Z" or (fraction and (text[19] != "." or not fraction.isdecimal())):
        raise DecodeError(f"dYdX time {text[:40]!r} is not in UTC with a trailing Z.")
    if len(fraction) == 3:  # the indexer's own; validators give nine digits
        return _second_ns(text[:19]) + int(fraction) * 1_000_000
    return _second_ns(text[:19]) + int(fraction.ljust(9, "0")[:9])


@functools.lru_cache(maxsize=1024)  # what comes within one second shares it
def _second_ns(text: str) -> int:
    try:
        since = datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH
    except ValueError as error:
        raise DecodeError(f"dYdX time {text[:40]!r} does not exist.") from error
    if len(text) != 19:
        raise DecodeError(f"dYdX time {text[:40]!r} has no seconds.")
    return (since.days * 86_400 + since.seconds) * SECOND_NS


def iso_time(at_ns: int) -> str:
    """RFC 3339 of Unix nanoseconds, to the millisecond, as the indexer's queries want it."""
    whole, rest = divmod(at_ns, SECOND_NS)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1_000_000:03d}Z"
