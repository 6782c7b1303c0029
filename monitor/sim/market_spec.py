"""What a simulated market is: its margin tiers and constants. They never change while it lives."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from monitor.core.types import MarketStatus
from monitor.sim.funding import FundingTerms

DEFAULT_TERMS = FundingTerms()


@dataclass(frozen=True, slots=True)
class Tier:
    """Margin rates from ``lower_bound_usd`` of notional upward, as fractions of notional."""

    lower_bound_usd: Decimal
    initial_rate: Decimal
    maintenance_rate: Decimal
    max_leverage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSpec:
    """A market's constants. ``price_decimals`` and ``significant_figures`` bound its tick (with 0
    figures the tick is fixed); ``multiplier`` is how many units of the asset one contract is
    (Hyperliquid's k-names); ``dex`` is a HIP-3 dex. ``open_interest_*_cap_usd`` are dYdX's."""

    symbol: str
    asset: str
    tiers: tuple[Tier, ...]
    size_decimals: int
    price_decimals: int
    significant_figures: int = 0
    oracle_decimals: int | None = None
    multiplier: int = 1
    dex: str = ""
    only_isolated: bool = False
    strict_isolated: bool = False
    impact_notional_usd: Decimal = Decimal(6_000)
    depth_25bp_usd: float = 500_000.0
    half_spread_ratio: float = 0.00015
    open_interest_usd: float = 20_000_000.0
    open_interest_lower_cap_usd: Decimal | None = None
    open_interest_upper_cap_usd: Decimal | None = None
    terms: FundingTerms = DEFAULT_TERMS
    averages_impact: bool = False  # HIP-3 premium: the middle of both impact prices
    has_mark: bool = True
    trades_per_minute: float = 20.0
    status: MarketStatus = MarketStatus.ACTIVE
