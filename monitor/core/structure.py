"""What a desk says its book is made of: hedge sets, risk buckets, strategies.

Plain values, named by the configuration; nothing here is configured by default. An account that is
named without its pool means all of its margin pools (``main`` covers ``main.xyz``). *Pure.*
"""

from __future__ import annotations

import enum

import msgspec

from monitor.core.killswitch.scope import covers_account

AccountRef = tuple[str, str]  # venue, account alias
LegRef = tuple[str, str, str]  # venue, account alias, market


class HedgeSet(msgspec.Struct, frozen=True, kw_only=True):
    """Legs that stay paired; those that no watched venue reports join it by its name."""

    name: str
    legs: tuple[LegRef, ...] = ()

    def has_leg(self, venue: str, account: str, market: str) -> bool:
        """Whether the position of a margin pool in a market is one of its legs."""
        return any(
            (venue, market) == (leg_venue, leg_market) and covers_account(leg_account, account)
            for leg_venue, leg_account, leg_market in self.legs
        )

    def has_account(self, venue: str, account: str) -> bool:
        """Whether a margin pool may hold one of its legs."""
        return any(venue == one and covers_account(named, account) for one, named, _ in self.legs)


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the book with a target weight, a band around it and a rhythm of reviews.

    Args:
        name: As rules and people say it.
        target_ratio: Share of all buckets together that it should be, ``(0, 1]``.
        band_low_ratio, band_high_ratio: How far below and above, as shares of the target, ``>= 0``.
        contingency: Kept for the worst day: falling short of it is worse than any other drift.
        accounts, assets, positions: Who and what belongs to it; the first bucket that names
            something has it.
        review_s: How often it is to be reviewed, seconds; 0 for never.
        cost_ratio: What moving a dollar in or out of it costs, one way.
    """

    name: str
    target_ratio: float = 1.0
    band_low_ratio: float = 0.2
    band_high_ratio: float = 0.2
    contingency: bool = False
    accounts: tuple[AccountRef, ...] = ()
    assets: tuple[str, ...] = ()
    positions: tuple[LegRef, ...] = ()
    review_s: float = 0.0
    cost_ratio: float = 0.00262


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """What makes or loses money by one idea: whole accounts, or everything held in some assets.
    ``risk_share`` is how much of the expected shortfall of all it is meant to make, ``(0, 1]``;
    None where the desk does not say."""

    name: str
    accounts: tuple[AccountRef, ...] = ()
    assets: tuple[str, ...] = ()
    risk_share: float | None = None


class WeighBy(enum.StrEnum):
    """What a bucket's weight is a share of."""

    EQUITY = "equity"  # of its accounts
    GROSS = "gross"  # exposure of its accounts, assets and positions


class StructureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; nothing configured means nothing asked."""

    hedge_sets: tuple[HedgeSet, ...] = ()
    weigh_by: WeighBy = WeighBy.EQUITY
    buckets: tuple[Bucket, ...] = ()
    strategies: tuple[Strategy, ...] = ()


def covers_any(named: tuple[AccountRef, ...], venue: str, account: str) -> bool:
    """Whether one of the named accounts means this margin pool."""
    return any(venue == one and covers_account(alias, account) for one, alias in named)
