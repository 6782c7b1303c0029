"""What collateral is worth when it has to be sold, and how lopsided it is. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from statistics import median

# Share of its value that a token loses when it must be sold in a hurry. Judgement, not fitted.
HAIRCUTS: dict[str, float] = {
    "USDC": 0.0,
    "USD": 0.0,
    "USDC.E": 0.01,
    "USDT": 0.01,
    "USDT0": 0.01,
    "USDE": 0.05,
    "USDH": 0.05,
    "FEUSD": 0.05,
    "DAI": 0.05,
    "STETH": 0.10,
    "WSTETH": 0.10,
}
# A venue's own token, or one nobody has judged.
HAIRCUT_OTHER = 0.40
SOURCES_MIN = 3
# Who owes what a token promises; a token that is not listed stands for itself. A bridged dollar has
# its first issuer's fate and the bridge's.
ISSUERS: dict[str, str] = {
    "USDC": "circle",
    "USDC.E": "circle",
    "USDT": "tether",
    "USDT0": "tether",
    "USDE": "ethena",
    "SUSDE": "ethena",
    "USDH": "native markets",
    "FEUSD": "felix",
    "DAI": "sky",
    "USDS": "sky",
    "STETH": "lido",
    "WSTETH": "lido",
    "UBTC": "unit",
    "UETH": "unit",
    "USOL": "unit",
}


def compute_concentration(amounts: Iterable[float]) -> float:
    """Herfindahl-Hirschman index of amounts >= 0, in ``[0, 1]``: the sum of squared shares.

    1 over it is the effective number of parts. 0 where there is nothing; amounts below zero count
    as zero: what is gone is no share.
    """
    parts = [max(amount, 0.0) for amount in amounts]
    total = fsum(parts)
    return fsum((part / total) ** 2 for part in parts) if total > 0.0 else 0.0


def haircut_of(token: str) -> float:
    """Default haircut of a token, as a fraction; 0.40 for one that is not listed."""
    return HAIRCUTS.get(token.upper(), HAIRCUT_OTHER)


def issuer_of(token: str, own: Mapping[str, str] | None = None) -> str:
    """Who stands behind a token: by ``own`` (of tokens in capitals) where it says so."""
    name = token.upper()
    return (own or {}).get(name) or ISSUERS.get(name, name.lower())


def compute_issuer_values(
    values_usd: Mapping[str, float], own: Mapping[str, str] | None = None
) -> dict[str, float]:
    """USD by issuer, by name, of what is worth anything: what is owed is nobody's promise."""
    parts: dict[str, list[float]] = {}
    for token, value in values_usd.items():
        if value > 0.0:
            parts.setdefault(issuer_of(token, own), []).append(value)
    return {issuer: fsum(parts[issuer]) for issuer in sorted(parts)}


def compute_haircut_value(
    values_usd: Mapping[str, float], haircuts: Mapping[str, float] | None = None
) -> float:
    """USD of collateral after haircuts: sum of value x (1 - h) by token.

    Debts (values below zero) get no haircut: what is owed is owed in full. ``haircuts`` replace the
    defaults where given.
    """
    own = haircuts or {}
    return fsum(
        value * (1.0 - own.get(token, haircut_of(token))) if value > 0.0 else value
        for token, value in values_usd.items()
    )


def compute_depeg(prices: Sequence[float]) -> float | None:
    """``|1 - median price|`` of a dollar token over independent sources; None below three sources,
    because a single thin book prints silly minutes."""
    if len(prices) < SOURCES_MIN:
        return None
    return abs(1.0 - median(prices))


def compute_worst_depeg(prices: Sequence[float]) -> float | None:
    """``|1 - price|`` of whichever source is furthest from a dollar; None without a source. It may
    warn and never act."""
    return max((abs(1.0 - price) for price in prices), default=None)


def compute_depeg_add_on(
    price: float,
    penalty_notional_usd: float,
    *,
    threshold: float = 0.98,
    factor: float = 1.5,
) -> float:
    """USD that a venue adds to initial margin while the dollar token it settles in is off its peg:
    ``max(threshold - price, 0) x factor x notional of the positions it penalises``. Source: sheet
    *margin and liquidation*, section 2 (Derive). At least 0.

    Args:
        price: Of the token, USD.
        penalty_notional_usd: Unsigned notional of those positions, USD.
        threshold: Price below which it adds anything.
        factor: How much for each cent below.
    """
    return max(threshold - price, 0.0) * factor * penalty_notional_usd
