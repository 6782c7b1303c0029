"""What the simulated venues list. Parameters are those of the real markets in kind, not in detail.

Hyperliquid: crypto on the first dex, two stocks-and-metals markets on the HIP-3 dex ``xyz``, one
strictly isolated exotic, one k-name, one delisted leftover. dYdX: the same crypto assets, the
exotic as an ISOLATED market, one market in final settlement.
"""

from __future__ import annotations

from decimal import Decimal

from monitor.core.types import MarketStatus
from monitor.sim.funding import FundingTerms
from monitor.sim.market_spec import MarketSpec, Tier

HYPERLIQUID = "hyperliquid"
DYDX = "dydx"

_HIP3_TERMS = FundingTerms(interest_8h=0.0, clamp_8h=0.0003, multiplier=0.5)


def leverage_tiers(*steps: tuple[int, int]) -> tuple[Tier, ...]:
    """Hyperliquid tiers from (lower bound in USD, maximal leverage)."""
    return tuple(
        Tier(Decimal(bound), Decimal(1) / leverage, Decimal(1) / (2 * leverage), leverage)
        for bound, leverage in steps
    )


def _perp(
    asset: str,
    size_decimals: int,
    *steps: tuple[int, int],
    depth: float = 0.6e6,
    interest: float = 20e6,
    spread: float = 0.00015,
    impact: int = 6_000,
    symbol: str | None = None,
    multiplier: int = 1,
    dex: str = "",
    strict: bool = False,
    status: MarketStatus = MarketStatus.ACTIVE,
) -> MarketSpec:
    return MarketSpec(
        symbol=symbol or asset,
        asset=asset,
        tiers=leverage_tiers(*steps),
        size_decimals=size_decimals,
        price_decimals=6 - size_decimals,
        significant_figures=5,
        multiplier=multiplier,
        dex=dex,
        only_isolated=strict,
        strict_isolated=strict,
        impact_notional_usd=Decimal(impact),
        depth_25bp_usd=depth,
        half_spread_ratio=spread,
        open_interest_usd=interest,
        averages_impact=bool(dex),
        terms=_HIP3_TERMS if dex else FundingTerms(),
        status=status,
    )


HYPERLIQUID_MARKETS: tuple[MarketSpec, ...] = (
    _perp(
        "BTC", 5, (0, 40), (150_000_000, 20),
        depth=12e6, interest=2.8e9, spread=6e-6, impact=20_000,
    ),
    _perp(
        "ETH", 4, (0, 25), (100_000_000, 15),
        depth=9e6, interest=1.6e9, spread=2e-5, impact=20_000,
    ),
    _perp("SOL", 2, (0, 20), (70_000_000, 10), depth=5e6, interest=6e8, spread=4e-5),
    _perp("MATIC", 1, (0, 3), status=MarketStatus.DELISTED),
    _perp("XRP", 0, (0, 20), (40_000_000, 10), depth=2e6, interest=1.5e8, spread=5e-5),
    _perp("BNB", 3, (0, 10), depth=1e6, interest=6e7),
    _perp("DOGE", 0, (0, 10), (20_000_000, 5), depth=1.2e6, interest=8e7),
    _perp("ADA", 0, (0, 10), (20_000_000, 5)),
    _perp("AVAX", 2, (0, 10), (20_000_000, 5)),
    _perp("LINK", 1, (0, 10), (20_000_000, 5), depth=3e6, interest=7e7, spread=6e-5),
    _perp("LTC", 2, (0, 10)),
    _perp("DOT", 1, (0, 10), (3_000_000, 5), depth=3e5),
    _perp("ATOM", 2, (0, 5), depth=2e5),
    _perp("NEAR", 1, (0, 10), (3_000_000, 5), depth=3e5),
    _perp("ARB", 1, (0, 10), (3_000_000, 5), depth=3e5),
    _perp("OP", 1, (0, 10), (3_000_000, 5), depth=3e5),
    _perp("SUI", 1, (0, 10), (20_000_000, 5)),
    _perp("APT", 2, (0, 10), (3_000_000, 5), depth=3e5),
    _perp("PEPE", 0, (0, 10), (3_000_000, 5), symbol="kPEPE", multiplier=1_000, depth=4e5),
    _perp("HYPE", 2, (0, 10), (20_000_000, 5), depth=4e6, interest=9e8, spread=3e-5),
    _perp("FARTCOIN", 1, (0, 5), strict=True, depth=3e5, interest=1.2e7, spread=3e-4),
    _perp("NVDA", 3, (0, 10), symbol="xyz:NVDA", dex="xyz", depth=6e5, interest=9e6, spread=2e-4),
    _perp("GOLD", 4, (0, 20), symbol="xyz:GOLD", dex="xyz", depth=8e5, interest=3e7, spread=1e-4),
)  # fmt: skip


def _tier_dydx(
    asset: str,
    initial: str,
    maintenance: str,
    price_decimals: int,
    size_decimals: int,
    *,
    oracle_decimals: int,
    caps_musd: tuple[int, int] | None = None,
    depth: float = 2e5,
    interest: float = 4e6,
    spread: float = 0.0003,
    isolated: bool = False,
    status: MarketStatus = MarketStatus.ACTIVE,
) -> MarketSpec:
    imf, mmf = Decimal(initial), Decimal(maintenance)
    return MarketSpec(
        symbol=f"{asset}-USD",
        asset=asset,
        tiers=(Tier(Decimal(0), imf, mmf, int(1 / imf)),),
        size_decimals=size_decimals,
        price_decimals=price_decimals,
        oracle_decimals=oracle_decimals,
        only_isolated=isolated,
        impact_notional_usd=Decimal(500) / imf,
        depth_25bp_usd=depth,
        half_spread_ratio=spread,
        open_interest_usd=interest,
        open_interest_lower_cap_usd=None if caps_musd is None else Decimal(caps_musd[0] * 10**6),
        open_interest_upper_cap_usd=None if caps_musd is None else Decimal(caps_musd[1] * 10**6),
        has_mark=False,
        trades_per_minute=5.0,
        status=status,
        terms=FundingTerms(
            interest_8h=0.0001 if isolated else 0.0,
            sample_period_s=60.0,
            padded_to=60,
            rate_cap_hourly=float(6 * (imf - mmf) / 8),
            clamped_interest=False,
        ),
    )


_MID = (40, 100)
_SMALL = (20, 50)
DYDX_MARKETS: tuple[MarketSpec, ...] = (
    _tier_dydx("BTC", "0.02", "0.012", 0, 4, oracle_decimals=5, depth=2.5e6, interest=4e7,
               spread=5e-5),
    _tier_dydx("ETH", "0.02", "0.012", 1, 3, oracle_decimals=6, depth=2e6, interest=3e7,
               spread=5e-5),
    _tier_dydx("LINK", "0.05", "0.03", 3, 0, oracle_decimals=8, caps_musd=_MID, depth=2.5e6,
               interest=9e6, spread=1e-4),
    _tier_dydx("MATIC", "0.1", "0.05", 4, -1, oracle_decimals=10,
               status=MarketStatus.FINAL_SETTLEMENT),
    _tier_dydx("SOL", "0.05", "0.03", 2, 1, oracle_decimals=8, caps_musd=_MID, depth=2.5e6,
               interest=1.2e7, spread=1e-4),
    _tier_dydx("ADA", "0.05", "0.03", 4, -1, oracle_decimals=10, caps_musd=_MID),
    _tier_dydx("AVAX", "0.05", "0.03", 2, 1, oracle_decimals=8, caps_musd=_MID, spread=5e-4),
    _tier_dydx("LTC", "0.05", "0.03", 2, 2, oracle_decimals=8, caps_musd=_MID),
    _tier_dydx("DOGE", "0.05", "0.03", 5, -2, oracle_decimals=11, caps_musd=_MID, depth=6e5),
    _tier_dydx("ATOM", "0.1", "0.05", 3, 0, oracle_decimals=9, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("DOT", "0.1", "0.05", 3, 0, oracle_decimals=9, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("BNB", "0.05", "0.03", 1, 2, oracle_decimals=7, caps_musd=_MID),
    _tier_dydx("NEAR", "0.1", "0.05", 3, 0, oracle_decimals=9, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("XRP", "0.05", "0.03", 4, -1, oracle_decimals=10, caps_musd=_MID),
    _tier_dydx("ARB", "0.1", "0.05", 4, 0, oracle_decimals=10, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("OP", "0.1", "0.05", 4, 0, oracle_decimals=10, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("SUI", "0.1", "0.05", 4, -1, oracle_decimals=10, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("APT", "0.1", "0.05", 3, 0, oracle_decimals=9, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("PEPE", "0.1", "0.05", 10, -6, oracle_decimals=15, caps_musd=_SMALL, spread=5e-4),
    _tier_dydx("FARTCOIN", "0.1", "0.05", 4, -1, oracle_decimals=10, caps_musd=(1, 5),
               depth=2.5e5, interest=6e5, spread=8e-4, isolated=True),
)  # fmt: skip

LISTINGS: dict[str, tuple[MarketSpec, ...]] = {
    HYPERLIQUID: HYPERLIQUID_MARKETS,
    DYDX: DYDX_MARKETS,
}
