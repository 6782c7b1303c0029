"""The shapes Hyperliquid sends, as typed Structs: parsed in C, unknown keys skipped.

Field names mirror the wire (``px``, ``szi``); everything past the decode modules uses ours. Market
numbers are bounded floats, so that ``nan``, ``inf`` and absurd magnitudes are refused by the
decoder itself; account money is ``Decimal`` and goes through ``money``. *Pure.*
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from monitor.core.errors import DecodeError
from monitor.core.types import SECOND_NS, EngineNs

# Far above any price, size or volume; refuses nan and inf because comparisons with them fail.
Number = Annotated[float, Meta(ge=-1e18, le=1e18)]
# Milliseconds whose nanoseconds still fit a signed 64-bit integer (year 2262).
Millis = Annotated[int, Meta(ge=0, le=9_223_372_036_853)]
Serial = Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)]  # oid, tid
Coin = Annotated[str, Meta(min_length=1, max_length=64)]
SideCode = Literal["A", "B"]  # ask = sell, bid = buy

MS_NS = 1_000_000
# What is ordered by time must not be led by a time that never was: it would look newest for ever.
AHEAD_NS_MAX = 60 * SECOND_NS
_MONEY_EXPONENT_MAX = 30


def money(value: Decimal, field: str) -> Decimal:
    """``value`` if it can be an amount: finite and of a magnitude that arithmetic survives.

    Raises:
        DecodeError: For NaN, infinities and exponents beyond 10^±30, naming the field.
    """
    if value.is_finite() and -_MONEY_EXPONENT_MAX <= value.adjusted() <= _MONEY_EXPONENT_MAX:
        return value
    raise DecodeError(f"hyperliquid: {field} is {value!s:.40}, which is no amount")


def money_or_none(value: Decimal | None, field: str) -> Decimal | None:
    """``money`` for a field that may be absent."""
    return None if value is None else money(value, field)


def refuse_future(time_ms: int | None, now: EngineNs | None, field: str) -> None:
    """Nothing, unless a venue's time (ms) is more than a minute ahead of ours.

    Raises:
        DecodeError: Naming the field and the time.
    """
    if time_ms is not None and now and time_ms * MS_NS - now > AHEAD_NS_MAX:
        ahead_s = (time_ms * MS_NS - now) / SECOND_NS
        raise DecodeError(f"hyperliquid: {field} is {time_ms}, {ahead_s:.0f} s ahead of our clock")


class CamelCase(msgspec.Struct, gc=False, rename="camel"):
    """Read from JSON by the camelCase name; unknown keys are skipped."""


# ------------------------------------------------------------------------------------ envelope


class Envelope(msgspec.Struct, gc=False):
    """First stage of every frame; ``pong`` has no data."""

    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


SubscriptionEcho = dict[str, str | int | float | bool | None]


class Acknowledgement(msgspec.Struct, gc=False):
    """``subscriptionResponse``: the subscription echoed with the server's defaults filled in."""

    method: str
    subscription: SubscriptionEcho


# ------------------------------------------------------------------------------------- markets


class Context(CamelCase, kw_only=True):
    """One perp's numbers. ``mid_px`` and ``premium`` are null on an empty side; ``impactPxs`` is
    left out, since nothing reads it and hundreds come with every cross-section. The fields stand
    as the venue writes them: the decoder looks for the next one first.
    """

    funding: Number
    open_interest: Number
    day_ntl_vlm: Number | None = None
    premium: Number | None = None
    oracle_px: Number
    mark_px: Number
    mid_px: Number | None = None


class ActiveContext(msgspec.Struct, gc=False):
    """``activeAssetCtx``."""

    coin: Coin
    ctx: Context


class PushedContexts(msgspec.Struct, gc=False):
    """``allDexsAssetCtxs``: per dex the contexts in the order of its ``meta``, without names; each
    list left as it stands, since most dexes are nobody's."""

    ctxs: list[tuple[str, msgspec.Raw]]


class Level(msgspec.Struct, gc=False):
    """One price level."""

    px: Number
    sz: Number


class BestPrices(msgspec.Struct, gc=False):
    """``bbo``."""

    coin: Coin
    time: Millis
    bbo: tuple[Level | None, Level | None]


class Book(msgspec.Struct, gc=False):
    """``l2Book``: bids and asks, best first; ``spread`` only on an aggregated book."""

    coin: Coin
    time: Millis
    levels: tuple[list[Level], list[Level]]
    spread: Number | None = None


class HotData(msgspec.Struct, gc=False):
    """The payload of ``bbo``, ``l2Book`` or ``activeAssetCtx``, whichever it is."""

    coin: Coin
    time: Millis | None = None
    bbo: tuple[Level | None, Level | None] | None = None
    levels: tuple[list[Level], list[Level]] | None = None
    ctx: Context | None = None
    spread: Number | None = None


class HotFrame(msgspec.Struct, gc=False):
    """A frame of a market connection read in one go, if it is what nearly all are.

    Saves the scan that finds the end of the payload, a fifth of the cost of a book. What does not
    fit, or lacks what its channel must say, is read again in two stages.
    """

    channel: str
    data: HotData


class Trade(msgspec.Struct, gc=False):
    """One public trade; ``side`` is the aggressor's."""

    coin: Coin
    side: SideCode
    px: Number
    sz: Number
    time: Millis


class Mids(msgspec.Struct, gc=False):
    """``allMids`` on the socket; over REST the inner map stands alone."""

    mids: dict[Coin, Number]


class Candle(msgspec.Struct, gc=False):
    """``candle``: the bar that is still open."""

    t: Millis
    s: Coin
    i: str
    o: Number
    c: Number
    h: Number
    l: Number  # noqa: E741 - the wire's own name
    v: Number


class Tier(CamelCase):
    """One step of a margin table."""

    lower_bound: Number
    max_leverage: Annotated[int, Meta(gt=0, le=10_000)]


class MarginTable(CamelCase):
    """The steps, lowest first."""

    margin_tiers: list[Tier]


class Asset(CamelCase):
    """One entry of ``meta.universe``; optional keys are present only when true."""

    name: Coin
    sz_decimals: Annotated[int, Meta(ge=0, le=18)]
    max_leverage: Annotated[int, Meta(gt=0, le=10_000)]
    margin_table_id: int | None = None
    only_isolated: bool | None = None
    is_delisted: bool | None = None
    margin_mode: str | None = None


class Universe(CamelCase):
    """``meta``: 2023 recordings have the universe alone."""

    universe: list[Asset]
    margin_tables: list[tuple[int, MarginTable]] | None = None
    collateral_token: int = 0


class Dex(CamelCase):
    """One entry of ``perpDexs``; entry 0 is null, the first dex."""

    name: str


class FundingRow(CamelCase):
    """One hour of ``fundingHistory``."""

    coin: Coin
    funding_rate: Number
    time: Millis
    premium: Number | None = None


class ExchangeStatus(CamelCase):
    """``exchangeStatus``; the shapes of non-null ``specialStatuses`` are unknown."""

    time: Millis
    special_statuses: msgspec.Raw = msgspec.Raw(b"null")


class PredictedFunding(CamelCase):
    """One venue's line in ``predictedFundings``."""

    funding_rate: Number
    next_funding_time: Millis | None = None
    funding_interval_hours: Number | None = None


class SpotToken(CamelCase):
    """One token of ``spotMeta``."""

    name: str
    index: int


class SpotPair(CamelCase):
    """One pair of ``spotMeta``: ``tokens`` are base and quote indices."""

    name: str
    tokens: tuple[int, int]


class SpotUniverse(CamelCase):
    """``spotMeta``."""

    universe: list[SpotPair]
    tokens: list[SpotToken]
