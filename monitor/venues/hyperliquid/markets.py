"""What is known about Hyperliquid's markets, and the arithmetic that needs only market numbers.

``Markets`` keeps each dex's ``meta`` in the order that names the contexts. Beside it: the premium
and hourly funding formulas, margin tiers, and the book aggregation that reaches a band. *Pure.*
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import MarginTier, MarketListed
from monitor.core.types import SECOND_NS, MarketStatus, channel_id
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.settings import VENUE

FIRST_DEX = ""
USDC_TOKEN = 0
FUNDING_INTERVAL_S = 3600
HOUR_NS = 3600 * SECOND_NS
# Rows before this moment (2023-07-15 03:00 UTC) state eight-hourly rates.
HOURLY_ERA_MS = 1_689_390_000_000
EIGHT_HOURS_S = 28_800
BOOK_LEVELS = 20
PRICE_DECIMALS_MAX = 6  # of a price, less those of the size
_SINGLE_TIER_TABLES_BELOW = 50  # a margin table id below 50 is one tier of that leverage


# ------------------------------------------------------------------------------------- funding


def compute_premium_ratio(
    impact_bid_price: float,
    impact_ask_price: float,
    oracle_price: float,
    *,
    builder_dex: bool = False,
) -> float | None:
    """How far the impact prices lie from the oracle, as the venue computes its funding premium.

    None when the oracle is not positive. First dex: distance beyond the oracle on either side;
    builder dexes: the mean impact price over the oracle.
    Source: funding page; reproduces 179 of 179 recorded contexts.
    """
    if oracle_price <= 0.0:
        return None
    if builder_dex:
        return 0.5 * (impact_bid_price + impact_ask_price) / oracle_price - 1.0
    above = max(impact_bid_price - oracle_price, 0.0)
    below = max(oracle_price - impact_ask_price, 0.0)
    return (above - below) / oracle_price


def funding_interval_s(time_ms: int) -> int:
    """The interval that a settled rate of that moment is stated for: 8 h in 2023's first half."""
    return EIGHT_HOURS_S if time_ms < HOURLY_ERA_MS else FUNDING_INTERVAL_S


def hourly_funding_rate(rate: float, time_ms: int) -> float:
    """A settled rate as a signed fraction per hour, longs pay when > 0."""
    return rate / (funding_interval_s(time_ms) / FUNDING_INTERVAL_S)


def next_funding_time_ns(now_ns: int) -> int:
    """The next full hour. Computed, since ``predictedFundings`` names the hour that is past."""
    return (now_ns // HOUR_NS + 1) * HOUR_NS


# --------------------------------------------------------------------------------------- books


def book_tick(price: float, significant_figures: int, mantissa: int = 1) -> float:
    """Bucket width of an aggregated book at ``price``; ``mantissa`` only with five figures."""
    exponent = math.floor(math.log10(price)) - significant_figures + 1
    return float(mantissa * 10.0**exponent)


class Aggregation(msgspec.Struct, frozen=True):
    """The ``nSigFigs`` and ``mantissa`` of a book subscription; both None is the raw book."""

    significant_figures: int | None = None
    mantissa: int | None = None


_RAW_BOOK = Aggregation()
_LADDER = (
    Aggregation(5, 2),
    Aggregation(5, 5),
    Aggregation(4),
    Aggregation(3),
    Aggregation(2),
)


def choose_aggregation(price: float, size_decimals: int, band_ratio: float) -> Aggregation:
    """The finest book whose 20 levels reach ``band_ratio`` from mid even when every level is full.

    A perp price has at most five significant figures and ``6 - size_decimals`` decimals, whole
    numbers always allowed; so coarse-tick markets reach with the raw book. The raw book too when
    the price is unknown (not positive).
    """
    if not price > 0.0:
        return _RAW_BOOK
    needed = band_ratio * price
    steps = BOOK_LEVELS - 1
    raw_tick = max(min(book_tick(price, 5), 1.0), 10.0 ** (size_decimals - 6))
    if steps * raw_tick >= needed:
        return _RAW_BOOK
    for choice in _LADDER:
        figures = choice.significant_figures or 5
        if steps * book_tick(price, figures, choice.mantissa or 1) >= needed:
            return choice
    return _LADDER[-1]


def compute_depth_usd(
    levels: Sequence[wire.Level], bound: float, *, bids: bool, whole: bool = False
) -> float | None:
    """Resting USD from the touch to ``bound``; None where the levels end before it.

    Levels are best first. A side whose worst level lies inside the bound was cut off (or is empty),
    and its sum would look like a thin book; unless it is known to be there ``whole``.
    """
    total = 0.0
    if bids:
        for level in levels:
            price = level.px
            if price <= bound:
                return total + price * level.sz if price == bound else total
            total += price * level.sz
    else:
        for level in levels:
            price = level.px
            if price >= bound:
                return total + price * level.sz if price == bound else total
            total += price * level.sz
    return total if whole else None


def is_whole(levels: Sequence[wire.Level], other: Sequence[wire.Level]) -> bool:
    """Whether a side was told whole: it has fewer levels than the venue gives the other one of the
    same book. (A book of few levels on both sides may be one that was cut to so many.)"""
    return len(levels) < BOOK_LEVELS <= len(other)


# ------------------------------------------------------------------------------------ universe


class Market(msgspec.Struct, frozen=True):
    """One perp. ``tiers`` is empty when its margin table was not told."""

    name: str
    dex: str
    size_decimals: int
    max_leverage: int
    tiers: tuple[MarginTier, ...]
    delisted: bool


class _DexMarkets(msgspec.Struct, frozen=True):
    names: tuple[str, ...]
    collateral_token: int


def dex_of(coin: str) -> str:
    """The dex a perp belongs to: the text before the colon, ``""`` for the first dex."""
    dex, colon, _ = coin.partition(":")
    return dex if colon else FIRST_DEX


def asset_of(coin: str) -> str:
    """The base asset: without the dex. ``kPEPE`` stays ``kPEPE``, since one of it is a thousand
    PEPE and sizes of the two must never be added."""
    return coin.rpartition(":")[2]


class Markets:
    """All perps of the dexes that are followed, as their last ``meta`` stated them."""

    def __init__(self) -> None:
        self._dexes: dict[str, _DexMarkets] = {}
        self._markets: dict[str, Market] = {}
        self.dex_names: tuple[str, ...] = (FIRST_DEX,)  # everything perpDexs lists
        self.version = 0

    def __contains__(self, coin: str) -> bool:
        return coin in self._markets

    def get(self, coin: str) -> Market | None:
        """The market of that name, if a followed dex lists it."""
        return self._markets.get(coin)

    def names(self, dex: str) -> tuple[str, ...] | None:
        """Names of a dex in ``meta`` order, delisted ones included; None if its meta is unread."""
        known = self._dexes.get(dex)
        return None if known is None else known.names

    def all_names(self) -> Iterable[str]:
        """Every known market."""
        return self._markets.keys()

    def unit_of(self, dex: str) -> int | None:
        """Token index that the money of a dex is counted in; None for a builder's whose meta was
        not read."""
        if dex != FIRST_DEX and dex not in self._dexes:
            return None
        return self.collateral_token(dex)

    def collateral_token(self, dex: str) -> int:
        """Token index that margins a dex; USDC unless its meta says otherwise."""
        known = self._dexes.get(dex)
        return USDC_TOKEN if known is None else known.collateral_token

    def update(self, dex: str, meta: wire.Universe, channel: str) -> tuple[MarketListed, ...]:
        """Take over one dex's ``meta``; every market is listed anew, in its order."""
        tables = {number: table.margin_tiers for number, table in meta.margin_tables or ()}
        listed = []
        names = []
        for asset in meta.universe:
            market = _market(dex, asset, tables)
            names.append(market.name)
            self._markets[market.name] = market
            listed.append(_listed(market, asset, channel))
        if len(set(names)) != len(names):
            raise DecodeError(f"hyperliquid meta of dex {dex!r}: universe[].name repeats a name")
        gone = set(self.names(dex) or ()) - set(names)
        for name in gone:
            del self._markets[name]
        self._dexes[dex] = _DexMarkets(tuple(names), meta.collateral_token)
        self.version += 1
        return tuple(listed)


def margin_tier(max_leverage: int, lower_bound_usd: float = 0.0) -> MarginTier:
    """A tier from its leverage limit: maintenance is half the initial rate at that leverage."""
    return MarginTier(lower_bound_usd, 1.0 / max_leverage, 0.5 / max_leverage)


def _market(dex: str, asset: wire.Asset, tables: dict[int, list[wire.Tier]]) -> Market:
    name = asset.name if not dex or ":" in asset.name else f"{dex}:{asset.name}"
    number = asset.margin_table_id
    table = None if number is None else tables.get(number)
    if table:
        steps = sorted(table, key=lambda step: step.lower_bound)
        tiers = tuple(margin_tier(step.max_leverage, step.lower_bound) for step in steps)
    elif number is None or 0 < number < _SINGLE_TIER_TABLES_BELOW:
        tiers = (margin_tier(asset.max_leverage if number is None else number),)
    else:
        tiers = ()  # a table that was not told: its tiers are unknown, not a single one
    return Market(
        name=name,
        dex=dex,
        size_decimals=asset.sz_decimals,
        max_leverage=asset.max_leverage,
        tiers=tiers,
        delisted=bool(asset.is_delisted),
    )


def _listed(market: Market, asset: wire.Asset, channel: str) -> MarketListed:
    return MarketListed(
        venue=VENUE,
        channel=channel,
        market=market.name,
        asset=asset_of(market.name),
        status=MarketStatus.DELISTED if market.delisted else MarketStatus.ACTIVE,
        has_mark=True,
        funding_interval_s=FUNDING_INTERVAL_S,
        margin_tiers=market.tiers,
        dex=market.dex,
        only_isolated=bool(asset.only_isolated)
        or asset.margin_mode in {"strictIsolated", "noCross"},
        size_step=Decimal(1).scaleb(-market.size_decimals),
        # The finest there is: five significant figures hold besides.
        price_tick=Decimal(1).scaleb(market.size_decimals - PRICE_DECIMALS_MAX),
        max_leverage=float(market.max_leverage),
    )


def meta_channel(dex: str) -> str:
    """The channel of a dex's ``meta``."""
    return channel_id(VENUE, "rest.metaAndAssetCtxs", dex)
