"""How much leverage volatility, drawdown limits and odds allow. *Pure.*

Leverage is exposure over equity; volatilities are annualised fractions; chances in ``[0, 1]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, sqrt
from statistics import NormalDist

from monitor.core.formulas.volatility import DAYS_PER_YEAR

SIGMA_TARGET = 0.60
LEVERAGE_FLOOR = 0.5
LEVERAGE_CEILING = 3.0
FAST_WEIGHT = 0.8  # the fast volatility is noisier: it counts from a quarter above the slow one
CAP_RISE_PER_DAY = 0.10
PERCENTILE_LOW, PERCENTILE_HIGH = 0.80, 0.95
MULTIPLIER_LOW = 0.5
GAP_FACTOR = 1.5
GAP_FACTOR_SLOW = 2.0  # where leaving takes longer than six hours
SLOW_EXIT_MINUTES = 360.0
RISK_PER_TRADE = 0.005
KELLY_FRACTION = 0.25  # of a directional book, whose drift nobody knows
# By the worst exit time in minutes: up to which, and the multiplier; beyond the last, _EXIT_BEYOND.
EXIT_STEPS = ((15.0, 1.0), (360.0, 0.75), (1440.0, 0.5))
EXIT_BEYOND = 0.25

_NORMAL = NormalDist()


# --------------------------------------------------------------------------- volatility caps


def compute_base_leverage(
    sigma: float,
    *,
    target: float = SIGMA_TARGET,
    floor: float = LEVERAGE_FLOOR,
    ceiling: float = LEVERAGE_CEILING,
) -> float:
    """Leverage at which a book of volatility ``sigma`` has the target's, in ``[floor, ceiling]``;
    the ceiling where nothing moves."""
    return min(max(target / sigma, floor), ceiling) if sigma > 0.0 else ceiling


def compute_cap_volatility(fast: float, slow: float) -> float:
    """The volatility that a cap answers to: the slow one, or the fast where it is far above."""
    return max(FAST_WEIGHT * fast, slow)


def compute_percentile_multiplier(percentile: float) -> float:
    """Share of the base that is left where volatility is high against its own history, in
    ``[0.5, 1]``: 1 below the 80th percentile, falling linearly to 0.5 at the 95th."""
    if percentile < PERCENTILE_LOW:
        return 1.0
    if percentile >= PERCENTILE_HIGH:
        return MULTIPLIER_LOW
    span = PERCENTILE_HIGH - PERCENTILE_LOW
    return 1.0 - (1.0 - MULTIPLIER_LOW) * (percentile - PERCENTILE_LOW) / span


def compute_venue_multiplier(exit_minutes: float) -> float:
    """Share of a cap that is left where the worst exit takes so many minutes, in ``[0.25, 1]``."""
    for limit, multiplier in EXIT_STEPS:
        if exit_minutes <= limit:
            return multiplier
    return EXIT_BEYOND


def rise_slowly(
    before: float, now: float, *, elapsed_days: float, per_day: float = CAP_RISE_PER_DAY
) -> float:
    """A cap that falls at once and rises at most ``per_day`` of itself a day, compounded, so that
    it does not matter how often it is looked at."""
    return min(now, before * float((1.0 + per_day) ** max(elapsed_days, 0.0)))


# --------------------------------------------------------------------------------- drawdowns


def compute_touch_probability(
    drawdown_ratio: float,
    *,
    sigma: float,
    leverage: float,
    days: float,
) -> float:
    """Chance that equity falls by ``drawdown_ratio`` below its start at any time in ``days``.

    No drift; first passage of a Brownian motion of the logarithm. In ``[0, 1]``.
    Source: reflection principle.
    """
    spread = leverage * sigma * sqrt(days / DAYS_PER_YEAR)
    if spread <= 0.0:
        return 0.0
    if drawdown_ratio >= 1.0:
        return 0.0
    return min(2.0 * _NORMAL.cdf(log(1.0 - drawdown_ratio) / spread), 1.0)


def compute_drawdown_leverage(
    drawdown_ratio: float,
    *,
    sigma: float,
    days: float = 30.0,
    confidence: float = 0.99,
) -> float:
    """Most leverage at which ``days`` cost no more than ``drawdown_ratio`` with ``confidence``.

    Raises:
        ValueError: If volatility or time are not above 0, or confidence is not above one half.
    """
    spread = _NORMAL.inv_cdf(confidence) * sigma * sqrt(max(days, 0.0) / DAYS_PER_YEAR)
    if spread <= 0.0:
        raise ValueError("needs volatility and time above 0 and a confidence above 0.5")
    return drawdown_ratio / spread


def compute_trade_size_usd(
    equity_usd: float,
    *,
    stop_distance_ratio: float,
    risk_ratio: float = RISK_PER_TRADE,
    gap_factor: float = GAP_FACTOR,
) -> float:
    """Largest position in USD whose stop, gapped through, costs ``risk_ratio`` of equity; 0 where
    equity is gone.

    Raises:
        ValueError: Where there is no stop (its distance is not above 0): such a trade is refused.
    """
    if stop_distance_ratio <= 0.0:
        raise ValueError("a trade without a stop has no size")
    return max(equity_usd, 0.0) * risk_ratio / (stop_distance_ratio * gap_factor)


# ------------------------------------------------------------------------------------- Kelly


def compute_binary_kelly(win_probability: float, payoff: float) -> float:
    """Share of wealth to stake on a bet that pays ``payoff`` per unit, ``< 0`` for none.

    Source: Kelly (1956).
    """
    return win_probability - (1.0 - win_probability) / payoff


def compute_kelly_leverage(drift: float, sigma: float) -> float:
    """Growth-optimal leverage ``drift / sigma^2``; 0 where the drift, net of carry and costs, is
    not above 0.

    Raises:
        ValueError: If nothing moves.
    """
    if sigma <= 0.0:
        raise ValueError("Kelly leverage needs a volatility above 0")
    return max(drift, 0.0) / (sigma * sigma)


def compute_ruin_probability(wealth_ratio: float, kelly_fraction: float) -> float:
    """Chance that wealth ever falls to ``wealth_ratio`` of its start at a fraction of full Kelly.

    Source: Thorp (2006).
    """
    return float(wealth_ratio ** (2.0 / kelly_fraction - 1.0))


def compute_risk_aversion(wealth_ratio: float, probability: float) -> float:
    """``lambda = ln(beta) / ln(alpha)`` of the bound P(min wealth <= alpha) <= beta.

    Source: Busseti, Ryu & Boyd (2016).
    """
    return log(probability) / log(wealth_ratio)


def compute_constrained_fraction(wealth_ratio: float, probability: float) -> float:
    """Fraction of full Kelly, ``2 / (1 + lambda)``, that keeps the bound for small returns."""
    return 2.0 / (1.0 + compute_risk_aversion(wealth_ratio, probability))


def solve_constrained_leverage(
    returns: Sequence[float],
    *,
    wealth_ratio: float,
    probability: float,
    leverage_max: float = 10.0,
) -> float:
    """Largest leverage with ``E[(1 + f r)^-lambda] <= 1`` over sampled simple returns.

    By bisection (the mean is convex in f and 1 at f = 0). 0 where the mean return is not above 0.
    Returns from resampled blocks of a day keep what follows on what.
    """
    power = -compute_risk_aversion(wealth_ratio, probability)

    def holds(leverage: float) -> bool:
        grown = [1.0 + leverage * one for one in returns]
        return min(grown) > 0.0 and sum(one**power for one in grown) / len(grown) <= 1.0

    if not returns or sum(returns) <= 0.0:
        return 0.0
    if holds(leverage_max):
        return leverage_max
    low, high = 0.0, leverage_max
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def choose_binding(caps: Mapping[str, float]) -> tuple[str, float]:
    """The name and size of the smallest cap; of equals the one named first.

    Raises:
        ValueError: Without a cap.
    """
    if not caps:
        raise ValueError("no caps to choose from")
    name = min(caps, key=lambda one: caps[one])
    return name, caps[name]


# ----------------------------------------------------------------------------- contradictions


def find_contradictions(
    *,
    leverage: float,
    drawdown_ratio: float,
    sigma: float = SIGMA_TARGET,
    days: float = 30.0,
    confidence: float = 0.99,
) -> str:
    """Why a leverage cap and a drawdown limit cannot both be meant, in words; empty where they can.

    At this volatility the leverage would break the limit too often. Leverage 3 with a limit of
    20 % at 60 % volatility: the limit is touched within 30 days with 67 %; 0.50 would hold it.
    """
    allowed = compute_drawdown_leverage(
        drawdown_ratio, sigma=sigma, days=days, confidence=confidence
    )
    if leverage <= allowed:
        return ""
    touched = compute_touch_probability(drawdown_ratio, sigma=sigma, leverage=leverage, days=days)
    return (
        f"leverage up to {leverage:g} contradicts a drawdown limit of {_percent(drawdown_ratio)}: "
        f"at {_percent(sigma)} volatility the limit is touched within {days:g} days with a chance "
        f"of {_percent(touched)}; {_percent(confidence)} confidence needs leverage of at most "
        f"{allowed:.2f}"
    )


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3g} %"
