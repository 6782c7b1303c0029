"""Ratios over equity that must not look small when equity is gone. *Pure.*

Equity at or below zero *with* exposure is a breach: the ratio saturates at its top.
"""

from __future__ import annotations

LEVERAGE_MAX = 1000.0
MARGIN_USAGE_MAX = 10.0
DRAWDOWN_MAX = 1.0


def compute_leverage(gross_exposure_usd: float, equity_usd: float) -> float:
    """Gross exposure over equity, in ``[0, 1000]``; 1000 where equity is gone but exposure is not,
    0 without exposure."""
    if gross_exposure_usd <= 0.0:
        return 0.0
    if equity_usd <= 0.0:
        return LEVERAGE_MAX
    return min(gross_exposure_usd / equity_usd, LEVERAGE_MAX)


def compute_margin_usage(maintenance_margin_usd: float, equity_usd: float) -> float:
    """Maintenance margin over equity, in ``[0, 10]``; liquidation at 1.0. 10 where equity is gone
    but the requirement is not, 0 without requirement."""
    if maintenance_margin_usd <= 0.0:
        return 0.0
    if equity_usd <= 0.0:
        return MARGIN_USAGE_MAX
    return min(maintenance_margin_usd / equity_usd, MARGIN_USAGE_MAX)


def compute_drawdown(equity_usd: float, peak_usd: float, *, exposed: bool) -> float:
    """Loss from the (flow-adjusted) peak over that peak, in ``[0, 1]``.

    1.0 where equity is gone with exposure left, or where there was a peak and all of it is gone.
    """
    if peak_usd <= 0.0:
        return DRAWDOWN_MAX if exposed and equity_usd <= 0.0 else 0.0
    return min(max((peak_usd - equity_usd) / peak_usd, 0.0), DRAWDOWN_MAX)


def compute_deviation(value: float, reference: float) -> float:
    """``(value - reference) / reference``, signed; ``reference`` > 0."""
    return (value - reference) / reference


def compute_difference(first: float, second: float) -> float:
    """Relative difference of two amounts, ``>= 0``, over the larger; 0 when both are zero."""
    larger = max(abs(first), abs(second))
    return abs(first - second) / larger if larger > 0.0 else 0.0
