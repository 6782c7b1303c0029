"""How much prices move: estimators of variance, jumps, percentiles against own history.

Variances are per bar (or per unit of the elapsed time handed in); volatilities are annualised with
365 days, a fraction (0.60 is 60 % a year). Log returns throughout, signed. *Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, fsum, log, pi, sqrt

import msgspec

MINUTES_PER_YEAR = 525_600
HOURS_PER_YEAR = 8_760
DAYS_PER_YEAR = 365

# Bins of the histogram of annualised volatilities: equal steps of the logarithm, 1.3 % each.
BINS = 400
BIN_LOW, BIN_HIGH = 0.05, 10.0
_BINS_PER_LOG = BINS / log(BIN_HIGH / BIN_LOW)


def annualize_volatility(variance: float, bars_per_year: float) -> float:
    """Standard deviation a year of a variance per bar, ``>= 0``."""
    return sqrt(max(variance, 0.0) * bars_per_year)


def compute_log_returns(closes: Sequence[float]) -> list[float]:
    """Signed log returns between neighbours, one fewer than ``closes``; every close > 0."""
    return [log(after / before) for before, after in pairwise(closes)]


# ------------------------------------------------------------------------------------- close


def compute_rolling_variance(returns: Sequence[float]) -> float:
    """Mean squared return per bar: no mean is taken out, which is small and badly known.

    Raises:
        ValueError: Without a return.
    """
    if not returns:
        raise ValueError("a variance needs at least one return")
    return fsum(one * one for one in returns) / len(returns)


def compute_sample_variance(returns: Sequence[float]) -> float:
    """Variance per bar about the mean, over ``n - 1``.

    Raises:
        ValueError: With fewer than two returns.
    """
    if len(returns) < 2:
        raise ValueError("a sample variance needs two returns")
    mean = fsum(returns) / len(returns)
    return fsum((one - mean) ** 2 for one in returns) / (len(returns) - 1)


def compute_decay(elapsed: float, half_life: float) -> float:
    """Weight that an EWMA keeps after ``elapsed``, in ``(0, 1]``; both in one unit of time."""
    return float(0.5 ** (elapsed / half_life))


def follow_variance(variance: float, log_return: float, *, decay: float, elapsed: float) -> float:
    """EWMA of variance per unit of time after one more return over ``elapsed`` of it.

    Source: RiskMetrics (1996); a ``decay`` by the elapsed time makes irregular ticks weigh right.
    """
    return decay * variance + (1.0 - decay) * log_return * log_return / elapsed


def compute_ewma_variance(returns: Sequence[float], *, decay: float) -> float:
    """EWMA variance per bar, seeded with the first squared return.

    Raises:
        ValueError: Without a return.
    """
    if not returns:
        raise ValueError("an EWMA needs at least one return")
    variance = returns[0] * returns[0]
    for one in returns[1:]:
        variance = follow_variance(variance, one, decay=decay, elapsed=1.0)
    return variance


class Ewma(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A started EWMA: variance per unit of time, and the share of its weight that has been fed.

    ``fed_ratio`` is 0 before the first return, ``1 - 0.5^(age / half-life)`` after that: the first
    returns are weighed by what there is, so that a cold start is not ruled by its first return.
    """

    variance: float = 0.0
    fed_ratio: float = 0.0


def follow_ewma(known: Ewma, log_return: float, *, elapsed: float, half_life: float) -> Ewma:
    """The EWMA after a return over ``elapsed``; with all weight fed it is ``follow_variance``."""
    decay = compute_decay(elapsed, half_life)
    kept = decay * known.fed_ratio
    fed = kept + (1.0 - decay)
    share = kept / fed
    return Ewma(
        variance=follow_variance(known.variance, log_return, decay=share, elapsed=elapsed),
        fed_ratio=fed,
    )


# ------------------------------------------------------------------------------------- range


class Bar(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One bar, prices > 0 and ``low <= open, close <= high``."""

    open: float
    high: float
    low: float
    close: float


def compute_parkinson_variance(bar: Bar) -> float:
    """Variance per bar from its range; ignores gaps and drift, low where few trade.

    Source: Parkinson (1980).
    """
    return log(bar.high / bar.low) ** 2 / (4.0 * log(2.0))


def compute_garman_klass_variance(bar: Bar) -> float:
    """Variance per bar from range and body; assumes no drift. Source: Garman & Klass (1980)."""
    body = log(bar.close / bar.open)
    return 0.5 * log(bar.high / bar.low) ** 2 - (2.0 * log(2.0) - 1.0) * body * body


def compute_rogers_satchell_variance(bar: Bar) -> float:
    """Variance per bar, whatever the drift; no gaps. Source: Rogers & Satchell (1991)."""
    up, down = log(bar.high / bar.close), log(bar.low / bar.close)
    return up * log(bar.high / bar.open) + down * log(bar.low / bar.open)


class YangZhang(msgspec.Struct, frozen=True):
    """The estimator and its parts, variances per bar; ``weight`` is k."""

    variance: float
    weight: float
    overnight: float
    open_close: float
    rogers_satchell: float


def compute_yang_zhang_variance(previous_close: float, bars: Sequence[Bar]) -> YangZhang:
    """Variance per bar over bars with gaps between them (a venue that was away).

    Args:
        previous_close: Close before the first bar, > 0.
        bars: Oldest first, at least three.

    Raises:
        ValueError: With fewer than three bars.
    Source: Yang & Zhang (2000).
    """
    count = len(bars)
    if count < 3:
        raise ValueError("Yang-Zhang needs three bars")
    closes = [previous_close, *(bar.close for bar in bars)]
    gaps = [log(bar.open / close) for bar, close in zip(bars, closes, strict=False)]
    bodies = [log(bar.close / bar.open) for bar in bars]
    overnight, open_close = compute_sample_variance(gaps), compute_sample_variance(bodies)
    inside = fsum(compute_rogers_satchell_variance(bar) for bar in bars) / count
    weight = 0.34 / (1.34 + (count + 1) / (count - 1))
    return YangZhang(
        variance=overnight + weight * open_close + (1.0 - weight) * inside,
        weight=weight,
        overnight=overnight,
        open_close=open_close,
        rogers_satchell=inside,
    )


# ------------------------------------------------------------------------------------- jumps


class Jumps(msgspec.Struct, frozen=True, gc=False):
    """How much of what happened was a jump.

    ``realized`` and ``bipower`` are sums over the window, the second from ``products`` of
    neighbours; ``jump`` the part of the first that the second does not explain, ``>= 0``;
    ``share_ratio`` in ``[0, 1]``; ``sigma`` the jump-free standard deviation of one return.
    """

    realized: float
    products: float
    bipower: float
    jump: float
    share_ratio: float
    sigma: float


def compute_jumps(returns: Sequence[float]) -> Jumps:
    """Realized against bipower variation.

    Raises:
        ValueError: With fewer than two returns.
    Source: Barndorff-Nielsen & Shephard (2004).
    """
    count = len(returns)
    if count < 2:
        raise ValueError("bipower variation needs two returns")
    sizes = [abs(one) for one in returns]
    realized = fsum(one * one for one in sizes)
    products = fsum(one * other for one, other in pairwise(sizes))
    bipower = pi / 2.0 * count / (count - 1) * products
    jump = max(realized - bipower, 0.0)
    return Jumps(
        realized=realized,
        products=products,
        bipower=bipower,
        jump=jump,
        share_ratio=jump / realized if realized > 0.0 else 0.0,
        sigma=sqrt(bipower / count),
    )


# -------------------------------------------------------------------------------- percentile


def compute_percentile(history: Sequence[float], value: float) -> float:
    """Share of ``history`` below ``value``, equals counted half, in ``[0, 1]``.

    Raises:
        ValueError: Without history.
    """
    if not history:
        raise ValueError("a percentile needs a history")
    below = sum(one < value for one in history)
    same = sum(one == value for one in history)
    return (below + 0.5 * same) / len(history)


def bin_of(volatility: float) -> int:
    """Which bin of the histogram an annualised volatility is in, from 0; the ends take the rest."""
    if volatility <= BIN_LOW:
        return 0
    return min(int(log(volatility / BIN_LOW) * _BINS_PER_LOG), BINS - 1)


def bin_floor(index: int) -> float:
    """The lowest volatility of a bin."""
    return BIN_LOW * exp(index / _BINS_PER_LOG)


def compute_binned_percentile(counts: Sequence[int], index: int) -> float:
    """``compute_percentile`` of bin ``index`` over a histogram: exact to a bin.

    Raises:
        ValueError: Where the histogram is empty.
    """
    total = sum(counts)
    if total <= 0:
        raise ValueError("a percentile needs a history")
    return (sum(counts[:index]) + 0.5 * counts[index]) / total


# --------------------------------------------------------------------------------- portfolio


def compute_portfolio_volatility(
    weights: Sequence[float],
    volatilities: Sequence[float],
    correlations: Sequence[Sequence[float]],
) -> float:
    """``sqrt(w' S w)`` a year, ``>= 0``.

    Args:
        weights: Signed shares, long > 0.
        volatilities: Annualised, one each.
        correlations: Square and symmetric with ones on the diagonal.
    """
    risks = [weight * sigma for weight, sigma in zip(weights, volatilities, strict=True)]
    variance = fsum(
        one * other * rho
        for one, row in zip(risks, correlations, strict=True)
        for other, rho in zip(risks, row, strict=True)
    )
    return sqrt(max(variance, 0.0))


def compute_stressed_volatility(weights: Sequence[float], volatilities: Sequence[float]) -> float:
    """The same where diversification and hedges both fail: correlation 1 between positions on one
    side, 0 between the sides. ``>=`` the unstressed one wherever correlations are ``>= 0``."""
    risks = [weight * sigma for weight, sigma in zip(weights, volatilities, strict=True)]
    longs = fsum(one for one in risks if one > 0.0)
    shorts = fsum(one for one in risks if one < 0.0)
    return sqrt(longs * longs + shorts * shorts)


def compute_covariance(
    first: Sequence[float | None],
    second: Sequence[float | None],
    *,
    half_life: float,
) -> tuple[float, float, float, int] | None:
    """EWMA (co)variances per bar of two series that end together, over the bars both know.

    Returns:
        (covariance, variance of the first, of the second, bars used); None without a common bar.
        Weights halve every ``half_life`` bars into the past, and a bar that one of them lacks
        weighs nothing.
    """
    decay = compute_decay(1.0, half_life)
    both = one_squared = other_squared = total = 0.0
    count = 0
    weight = 1.0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one is not None and other is not None:
            both += weight * one * other
            one_squared += weight * one * one
            other_squared += weight * other * other
            total += weight
            count += 1
        weight *= decay
    if not count:
        return None
    return both / total, one_squared / total, other_squared / total, count
