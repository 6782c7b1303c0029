"""Prices of the simulated world: correlated jump-diffusion with one common factor.

Every asset has its own seeded generator, so adding an asset or asking for something never changes
the path of another. Floats, since these are nature, not money; venues round them to their ticks.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

YEAR_S = 365.0 * 86_400.0
DAY_S = 86_400.0

# How quickly a perpetual's premium returns to where traders want it, and how far it strays in calm:
# half of a shock is gone after ~20 s, and the standing deviation is about two basis points.
PREMIUM_REVERSION_S = 30.0
PREMIUM_DEVIATION = 0.0002

# Venue oracles publish about every three seconds (Hyperliquid documents it; dYdX is similar).
ORACLE_PERIOD_S = 3.0


@dataclass(frozen=True, slots=True)
class AssetSpec:
    """What an asset is like: start price in USD, annualized volatility, share of the common
    factor in its moves (correlation with the factor, 0 to 1)."""

    name: str
    price: float
    volatility: float
    correlation: float = 0.8


@dataclass(slots=True)
class Ramp:
    """A change spread evenly over time; ``total`` is a log return or a premium difference."""

    start_s: float
    end_s: float
    total: float

    def share(self, from_s: float, to_s: float) -> float:
        """The part of ``total`` that falls into ``(from_s, to_s]``."""
        if self.end_s <= self.start_s:
            return self.total if from_s < self.start_s <= to_s else 0.0
        overlap = min(to_s, self.end_s) - max(from_s, self.start_s)
        return self.total * max(0.0, overlap) / (self.end_s - self.start_s)


@dataclass(slots=True)
class Factor:
    """What all assets feel at once in one step."""

    normal: float
    jump: float


@dataclass(slots=True)
class Asset:
    """One asset: ``index`` is its spot composite now, ``oracle`` the last one published,
    ``premium`` how far perpetuals trade from spot (0.001 = 10 bp above), ``mark`` a smoothed
    perpetual price."""

    spec: AssetSpec
    rng: random.Random
    index: float
    oracle: float
    mark: float
    premium: float = 0.0
    premium_target: float = 0.0
    volatility_factor: float = 1.0
    shocks: list[Ramp] = field(default_factory=list)
    premium_ramps: list[Ramp] = field(default_factory=list)
    oracle_due_s: float = 0.0

    @property
    def name(self) -> str:
        """The asset's name, shared by all venues."""
        return self.spec.name

    @property
    def mid(self) -> float:
        """Where perpetuals on this asset trade elsewhere, USD."""
        return self.index * (1.0 + self.premium)

    def step(self, from_s: float, to_s: float, factor: Factor, jumps_per_day: float) -> None:
        """Move from one instant to the next."""
        spec, rng = self.spec, self.rng
        seconds = to_s - from_s
        sigma = spec.volatility * self.volatility_factor * math.sqrt(seconds / YEAR_S)
        rho = spec.correlation
        own = rng.gauss(0.0, 1.0)
        move = sigma * (rho * factor.normal + math.sqrt(1.0 - rho * rho) * own)
        move += factor.jump * rho
        if rng.random() < jumps_per_day * seconds / DAY_S:
            move += rng.gauss(0.0, 0.01)
        if self.shocks:
            move += sum(ramp.share(from_s, to_s) for ramp in self.shocks)
            self.shocks = [ramp for ramp in self.shocks if ramp.end_s > to_s]
        self.index *= math.exp(move)
        self._step_premium(from_s, to_s)
        if to_s >= self.oracle_due_s:
            self.oracle = self.index
            self.oracle_due_s = to_s + ORACLE_PERIOD_S
        self.mark += (self.mid - self.mark) * min(1.0, seconds / 3.0)

    def _step_premium(self, from_s: float, to_s: float) -> None:
        seconds = to_s - from_s
        if self.premium_ramps:
            change = sum(ramp.share(from_s, to_s) for ramp in self.premium_ramps)
            # Under a ramp the market is pushed, not attracted: it moves with the target.
            self.premium_target += change
            self.premium += change
            self.premium_ramps = [ramp for ramp in self.premium_ramps if ramp.end_s > to_s]
        pull = min(1.0, seconds / PREMIUM_REVERSION_S)
        noise = PREMIUM_DEVIATION * math.sqrt(2.0 * seconds / PREMIUM_REVERSION_S)
        self.premium += (self.premium_target - self.premium) * pull
        self.premium += noise * self.rng.gauss(0.0, 1.0)


def make_asset(spec: AssetSpec, seed: int) -> Asset:
    """A fresh asset at its start price."""
    return Asset(
        spec=spec,
        rng=random.Random(f"{seed}/asset/{spec.name}"),  # noqa: S311 - nature, not a secret
        index=spec.price,
        oracle=spec.price,
        mark=spec.price,
    )


ASSETS: tuple[AssetSpec, ...] = (
    AssetSpec("BTC", 84_200.0, 0.45, 0.9),
    AssetSpec("ETH", 2_760.0, 0.60, 0.9),
    AssetSpec("SOL", 128.4, 0.75, 0.85),
    AssetSpec("XRP", 1.962, 0.80, 0.8),
    AssetSpec("BNB", 834.0, 0.50, 0.8),
    AssetSpec("DOGE", 0.1392, 0.90, 0.85),
    AssetSpec("ADA", 0.4127, 0.85, 0.85),
    AssetSpec("AVAX", 13.24, 0.90, 0.85),
    AssetSpec("LINK", 12.07, 0.85, 0.85),
    AssetSpec("LTC", 82.6, 0.70, 0.8),
    AssetSpec("DOT", 2.311, 0.85, 0.85),
    AssetSpec("ATOM", 2.462, 0.85, 0.8),
    AssetSpec("NEAR", 1.884, 0.95, 0.8),
    AssetSpec("ARB", 0.2081, 1.0, 0.8),
    AssetSpec("OP", 0.3194, 1.0, 0.8),
    AssetSpec("SUI", 1.374, 1.0, 0.8),
    AssetSpec("APT", 2.243, 1.0, 0.8),
    AssetSpec("PEPE", 0.000_004_21, 1.1, 0.75),
    AssetSpec("HYPE", 31.52, 1.0, 0.6),
    AssetSpec("FARTCOIN", 0.2574, 1.5, 0.5),
    AssetSpec("NVDA", 178.9, 0.40, 0.3),
    AssetSpec("GOLD", 4_065.0, 0.16, 0.1),
    AssetSpec("MATIC", 0.3798, 0.0, 0.0),
)
