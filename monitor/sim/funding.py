"""Funding of the simulated venues: premium samples of the hour, and each venue's own formula.

Premiums and rates are fractions; a venue's eight-hour rate is paid in hourly eighths. Sources:
Hyperliquid docs, page "Funding"; dYdX chain, x/perpetuals/keeper/perpetual.go (both read 2026-11).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

HOUR_S = 3_600
RATE_STEP = Decimal("0.0000000001")


class FundingRow(msgspec.Struct, frozen=True, gc=False):
    """One settlement: when, the hourly rate charged, the hour's mean premium, the price used."""

    time_s: float
    rate_hourly: Decimal
    premium: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class FundingTerms:
    """A market's constants: interest per 8 h, how far it is clamped, how often a sample is taken,
    to how many samples an hour is zero-padded when settled (0: not), and the cap on the hour."""

    interest_8h: float = 0.0001
    clamp_8h: float = 0.0005
    multiplier: float = 1.0
    sample_period_s: float = 5.0
    padded_to: int = 0
    rate_cap_hourly: float = 0.04
    clamped_interest: bool = True  # Hyperliquid; dYdX adds its default rate unclamped


@dataclass(slots=True)
class FundingMeter:
    """The premium samples of the running hour."""

    terms: FundingTerms
    total: float = 0.0
    count: int = 0
    due_s: float = 0.0
    published: float | None = None  # the running hourly rate as last said

    def sample(self, premium: float, now_s: float) -> None:
        """Take one sample and publish the new running estimate."""
        self.total += premium
        self.count += 1
        self.due_s = now_s + self.terms.sample_period_s
        self.published = self.rate_hourly(self.total / self.count, settled=False)

    def settle(self) -> tuple[float, float]:
        """(hourly rate charged, mean premium) of the hour that ends, and start the next one."""
        samples = max(self.count, self.terms.padded_to)
        premium = self.total / samples if samples else 0.0
        self.total, self.count = 0.0, 0
        return self.rate_hourly(premium, settled=True), premium

    def rate_hourly(self, premium: float, *, settled: bool) -> float:
        """The hourly rate for a mean premium. Only dYdX's running estimate is uncapped."""
        terms = self.terms
        if terms.clamped_interest:
            pull = max(-terms.clamp_8h, min(terms.clamp_8h, terms.interest_8h - premium))
            rate = (premium + pull) / 8.0 * terms.multiplier
        else:
            rate = (premium + terms.interest_8h) / 8.0
            if not settled:
                return rate
        return max(-terms.rate_cap_hourly, min(terms.rate_cap_hourly, rate))


def as_rate(value: float) -> Decimal:
    """A rate or premium as venues print it: ten decimals."""
    return Decimal(repr(value)).quantize(RATE_STEP, rounding=ROUND_HALF_EVEN)
