"""What a venue says of one of its markets: parameters, prices, funding, books, history.

Rates are signed fractions per hour, > 0 means longs pay; prices are quote per base. *Pure.*
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from monitor.core.events.base import VenueEventBase
from monitor.core.types import MarketStatus, Side


class MarginTier(msgspec.Struct, frozen=True, gc=False):
    """Margin rates from one notional upward, USD; rates are fractions of notional."""

    lower_bound_usd: float
    initial_margin_rate: float
    maintenance_margin_rate: float


class MarketListed(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """A market's name and parameters, at start and whenever the venue states them anew.

    ``has_mark`` is False where the venue margins on its oracle alone (dYdX), ``has_index`` where it
    states no index price beside its oracle. ``asset`` is the base
    asset shared between venues; ``dex`` the builder dex on Hyperliquid, ``""`` elsewhere.
    ``open_interest_lower_cap_usd`` and ``open_interest_upper_cap_usd`` are dYdX's open-interest
    scaling of margin rates; None where there is none.
    """

    market: str
    asset: str
    status: MarketStatus
    has_mark: bool
    funding_interval_s: int
    margin_tiers: tuple[MarginTier, ...]
    dex: str = ""
    only_isolated: bool = False
    size_step: Decimal | None = None
    price_tick: Decimal | None = None
    max_leverage: float | None = None
    open_interest_lower_cap_usd: float | None = None
    open_interest_upper_cap_usd: float | None = None
    has_index: bool = False


class MarketStatusSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """The venue said what may be done in a market."""

    market: str
    status: MarketStatus


class MarketContextSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Any of the slow numbers of one market; what is None was not in the message.

    ``predicted_funding_rate_hourly`` is the running estimate for the settlement to come, as a
    signed fraction per hour; ``native_*`` keep the venue's own rate and interval. ``complete`` when
    every message of this channel states all it ever states: what it was said to be before and is
    None now is unknown, and not merely unsaid.
    """

    market: str
    mark_price: float | None = None
    oracle_price: float | None = None
    index_price: float | None = None
    mid_price: float | None = None
    predicted_funding_rate_hourly: float | None = None
    native_funding_rate: float | None = None
    native_funding_interval_s: int | None = None
    premium_ratio: float | None = None
    open_interest_base: float | None = None
    volume_24h_usd: float | None = None
    next_funding_time_ns: int | None = None
    complete: bool = False


class OraclePricesSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Oracle prices that one message told: (market, price); others are merely unsaid."""

    prices: tuple[tuple[str, float], ...]


class FundingSettled(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """One settlement: the rate that was charged, a signed fraction per hour."""

    market: str
    funding_rate_hourly: float
    native_funding_rate: float
    native_funding_interval_s: int
    settled_at_ns: int
    oracle_price: float | None = None


class BookTopSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Best bid and ask; a side is None when the book has nobody there."""

    market: str
    bid_price: float | None
    bid_size: float | None
    ask_price: float | None
    ask_size: float | None


class DepthSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Resting USD within ``band_ratio`` of mid on each side; None where the book seen does not
    reach that far, since a cut-off sum would look like a thin book."""

    market: str
    band_ratio: float
    bid_depth_usd: float | None
    ask_depth_usd: float | None


class LastTradeSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """The newest trade of a frame; ``liquidation`` when any trade of the frame was one."""

    market: str
    last_price: float
    size: float
    side: Side
    liquidation: bool = False


class CandleSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """One bar, possibly still open; ``started_at_ns`` and ``interval_s`` name it."""

    market: str
    started_at_ns: int
    interval_s: int
    open: float
    high: float
    low: float
    close: float
    volume_base: float


class FundingHistorySeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Past settlements of one market: (when it settled, Unix nanoseconds; rate, signed fraction per
    hour), oldest first. Fills what is not known; what was seen live stays."""

    market: str
    rates: tuple[tuple[int, float], ...]


class PriceHistorySeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Past hourly closes of one market: (when the hour ended, Unix nanoseconds; price), oldest
    first. Fills what is not known; what was seen live stays. To be told once it is listed."""

    market: str
    closes: tuple[tuple[int, float], ...]


MarketEvent = (
    MarketListed
    | MarketStatusSeen
    | MarketContextSeen
    | OraclePricesSeen
    | FundingSettled
    | FundingHistorySeen
    | BookTopSeen
    | DepthSeen
    | LastTradeSeen
    | CandleSeen
    | PriceHistorySeen
)
