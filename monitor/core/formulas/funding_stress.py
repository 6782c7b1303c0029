"""Funding stress over many markets at once: robust z, aggregates, ramps and the index 0 to 100.

Rates ``a`` are absolute fractions per hour; APR is simple, a fraction per year. Source: the sheet
*Funding: one unit, one expense line, one stress index*, sections 3 and 4. *Pure.*
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import dropwhile
from math import fsum, inf, sqrt
from statistics import median
from typing import NamedTuple

import msgspec

from monitor.core.formulas.funding import HOURS_PER_YEAR

WINDOW_HOURS = 720
KNOWN_HOURS_MIN = 240
CHANGE_HOURS = 8
# Of which the highest index is told; each hour is judged against its own window, and a day before.
PEAK_DAYS = 90
PAST_HOURS = PEAK_DAYS * 24 + WINDOW_HOURS + 24
FLIP_HOURS = 24
Z_CLIP = 10.0
MAD_TO_SIGMA = 1.4826


class StressAnchors(msgspec.Struct, frozen=True, kw_only=True):
    """Where the ramps of the index begin and end, their weights, and what it takes to state it.

    Args:
        level, breadth, surprise, change, flips: (begin, end, weight) of each part; level in APR.
        expensive_apr: From which APR an asset counts for breadth.
        scale_floor: Least scale of a robust z, fraction per hour: markets rest on the interest
            floor for days, so that their spread is zero.
        flip_rate: |rate| from which a change of sign counts, fraction per hour.
        universe: How many assets, by open interest.
        coverage_min: Share of the universe's open interest whose funding must be known.
        assets_min: Assets whose funding must be known.
        calm: Index at or below which settlements count towards re-entry.
        equal_weights: Every active market weighs the same, for recordings without open interest.
    """

    level: tuple[float, float, float] = (0.15, 0.60, 25.0)
    breadth: tuple[float, float, float] = (0.2, 0.8, 25.0)
    surprise: tuple[float, float, float] = (2.0, 8.0, 25.0)
    change: tuple[float, float, float] = (2.0, 8.0, 15.0)
    flips: tuple[float, float, float] = (0.3, 0.8, 10.0)
    expensive_apr: float = 0.40
    scale_floor: float = 3e-6
    flip_rate: float = 2e-6
    universe: int = 20
    coverage_min: float = 0.60
    assets_min: int = 5
    calm: float = 30.0
    equal_weights: bool = False

    @property
    def ramps(self) -> tuple[tuple[float, float, float], ...]:
        """(begin, end, weight) of the five parts in their order."""
        return (self.level, self.breadth, self.surprise, self.change, self.flips)


ANCHORS = StressAnchors()


# ------------------------------------------------------------------------------- robust z


def ramp(value: float, low: float, high: float) -> float:
    """0 at ``low`` and below, 1 at ``high`` and above, straight in between."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def median_of_sorted(ordered: Sequence[float]) -> float:
    """The middle value, the mean of both for an even number of them.

    Raises:
        IndexError: If there is none.
    """
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2.0


def deviation_of_sorted(ordered: Sequence[float], centre: float) -> float:
    """Median of the distances from ``centre``, without sorting them: they lie sorted already, to
    the left and to the right of it.

    Raises:
        IndexError: If there is no value.
    """
    size = len(ordered)
    split = bisect_left(ordered, centre)
    upper = _kth_distance(ordered, centre, split, size // 2)
    if size % 2:
        return upper
    return (_kth_distance(ordered, centre, split, size // 2 - 1) + upper) / 2.0


def _kth_distance(ordered: Sequence[float], centre: float, split: int, k: int) -> float:
    """The ``k``-th smallest (from 0) of |x - centre|. Distances to the left grow from ``split``
    downwards, to the right upwards: how many of the k + 1 nearest are on the left is found by
    halving."""
    size = len(ordered)
    if not 0 <= k < size:
        raise IndexError(k)
    left, right = max(k + 1 - (size - split), 0), min(k + 1, split)
    while left < right:
        taken = (left + right) // 2
        # With ``taken`` on the left, k + 1 - taken are on the right; the last of those must not be
        # nearer than the next on the left, or one more belongs to the left.
        if ordered[split + k - taken] - centre > centre - ordered[split - taken - 1]:
            left = taken + 1
        else:
            right = taken
    on_left = centre - ordered[split - left] if left else -inf
    on_right = ordered[split + k - left] - centre if left <= k else -inf
    return max(on_left, on_right)


def robust_z(
    value: float, centre: float, deviation: float, floor: float = ANCHORS.scale_floor
) -> float:
    """Distance from the median in robust standard deviations of at least ``floor``, not clipped."""
    return (value - centre) / max(MAD_TO_SIGMA * deviation, floor)


def clip_z(z: float) -> float:
    """Within -10..10, so that one market cannot outweigh the others of its asset."""
    return min(max(z, -Z_CLIP), Z_CLIP)


class RobustWindow:
    """A trailing window of hourly values, unknown ones among them: median and spread at hand.

    Taking in one more hour costs two searches in a sorted list instead of a sort.
    """

    __slots__ = ("_ordered", "_size", "_values")

    def __init__(self, values: Iterable[float | None] = (), size: int = WINDOW_HOURS) -> None:
        self._size = size
        # From the first that is known on: of most markets a venue's history is not read, and what
        # comes before it leaves without a trace.
        known = dropwhile(lambda one: one is None, values)
        self._values: deque[float | None] = deque(known, maxlen=size)
        self._ordered = sorted([one for one in self._values if one is not None])

    @property
    def known(self) -> int:
        """How many values are known."""
        return len(self._ordered)

    def push(self, value: float | None) -> None:
        """Take in the next hour, None where it is unknown; the oldest leaves."""
        ordered = self._ordered
        if len(self._values) == self._size:
            oldest = self._values[0]
            if oldest is not None:
                del ordered[bisect_left(ordered, oldest)]
        self._values.append(value)
        if value is not None:
            insort(ordered, value)

    def extended(self, values: Iterable[float | None]) -> RobustWindow:
        """This window some hours later; it stays as it is itself."""
        later = RobustWindow((), self._size)
        later._values = self._values.copy()
        later._ordered = self._ordered.copy()
        for value in values:
            later.push(value)
        return later

    def spread(self, known_min: int = KNOWN_HOURS_MIN) -> tuple[float, float] | None:
        """(median, median distance from it) of the known values; None while fewer than
        ``known_min`` are known."""
        ordered = self._ordered
        if len(ordered) < max(known_min, 1):
            return None
        centre = median_of_sorted(ordered)
        return centre, deviation_of_sorted(ordered, centre)


# -------------------------------------------------------------------------- cross-section


class MarketFunding(NamedTuple):
    """One market of an asset as the index sees it.

    ``rate`` and ``rate_before`` (24 h ago, None where unknown) are signed fractions per hour;
    ``z`` and ``change_z`` robust scores; ``weight`` its open interest in USD.
    """

    rate: float
    rate_before: float | None
    z: float
    change_z: float
    weight: float


class AssetFunding(NamedTuple):
    """One asset over its venues, weighted by open interest.

    ``apr`` is the mean of |APR|, >= 0; ``signed_apr`` keeps signs (> 0: longs pay); ``flipped``
    None where the rate of 24 h ago is not known.
    """

    apr: float
    signed_apr: float
    z: float
    change_z: float
    flipped: bool | None


def combine_venues(
    markets: Sequence[MarketFunding], anchors: StressAnchors = ANCHORS
) -> AssetFunding:
    """The markets of one asset as one: an asset on ten venues must not vote ten times. Means are
    weighted by open interest, plain where there is none; z is clipped before.

    Raises:
        ValueError: If there is no market.
    """
    if not markets:
        raise ValueError("an asset without a market")
    total = fsum(one.weight for one in markets)
    weights = [one.weight / total if total > 0.0 else 1.0 / len(markets) for one in markets]

    def mean(values: Iterable[float]) -> float:
        return fsum(weight * value for weight, value in zip(weights, values, strict=True))

    rate = mean(one.rate for one in markets)
    size = mean(abs(one.rate) for one in markets)
    known = [
        (weight, one.rate_before)
        for weight, one in zip(weights, markets, strict=True)
        if one.rate_before is not None
    ]
    flipped: bool | None = None
    if known:
        before = fsum(weight * value for weight, value in known)
        flipped = sign(rate) != sign(before) and size > anchors.flip_rate
    return AssetFunding(
        apr=size * HOURS_PER_YEAR,
        signed_apr=rate * HOURS_PER_YEAR,
        z=mean(clip_z(one.z) for one in markets),
        change_z=mean(clip_z(one.change_z) for one in markets),
        flipped=flipped,
    )


# What stands for an asset whose funding is not known where the worst has to be assumed.
WORST = AssetFunding(apr=inf, signed_apr=0.0, z=Z_CLIP, change_z=Z_CLIP, flipped=True)


class StressParts(NamedTuple):
    """The five raw values of the index: median APR, share of expensive assets, median z, median z
    of the 8-hour change, share of assets whose sign turned."""

    level_apr: float
    breadth_ratio: float
    surprise_z: float
    change_z: float
    flips_ratio: float


class StressPoints(NamedTuple):
    """What each part adds to the index."""

    level: float
    breadth: float
    surprise: float
    change: float
    flips: float

    @property
    def total(self) -> float:
        """The funding stress index, 0 to 100."""
        return fsum(self)


def compute_stress_parts(
    assets: Sequence[AssetFunding], anchors: StressAnchors = ANCHORS
) -> StressParts | None:
    """The five values over the known assets; None where there are fewer than ``assets_min``."""
    if len(assets) < anchors.assets_min:
        return None
    turned = [one.flipped for one in assets if one.flipped is not None]
    if not turned:
        return None
    return StressParts(
        level_apr=median(one.apr for one in assets),
        breadth_ratio=sum(one.apr >= anchors.expensive_apr for one in assets) / len(assets),
        surprise_z=median(one.z for one in assets),
        change_z=median(one.change_z for one in assets),
        flips_ratio=sum(turned) / len(turned),
    )


def compute_stress_points(parts: StressParts, anchors: StressAnchors = ANCHORS) -> StressPoints:
    """Weight times ramp of each part."""
    return StressPoints(
        *(
            weight * ramp(value, low, high)
            for value, (low, high, weight) in zip(parts, anchors.ramps, strict=True)
        )
    )


def score_asset(asset: AssetFunding, anchors: StressAnchors = ANCHORS) -> float:
    """What the index would be were every asset like this one, 0 to 100: who contributes most."""
    parts = StressParts(
        asset.apr,
        float(asset.apr >= anchors.expensive_apr),
        asset.z,
        asset.change_z,
        float(asset.flipped is True),
    )
    return compute_stress_points(parts, anchors).total


def sign(value: float) -> int:
    """-1, 0 or 1."""
    return (value > 0.0) - (value < 0.0)


def compute_dispersion(aprs: Sequence[float]) -> float | None:
    """Highest less lowest APR of one asset over its venues, a fraction per year; None for fewer
    than two venues."""
    return max(aprs) - min(aprs) if len(aprs) >= 2 else None


def compute_weighted_apr(weighted: Iterable[tuple[float, float]]) -> float | None:
    """Mean of signed APRs weighted by open interest, from (weight, APR): > 0, longs are the
    crowded side and pay. None without open interest."""
    pairs = list(weighted)
    total = fsum(weight for weight, _ in pairs)
    return fsum(weight * apr for weight, apr in pairs) / total if total > 0.0 else None


def correlate(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Pearson correlation of two series of one length; None where one of them never moves."""
    size = len(left)
    if size < 2:
        return None
    mean_left, mean_right = fsum(left) / size, fsum(right) / size
    from_left = [one - mean_left for one in left]
    from_right = [one - mean_right for one in right]
    variances = fsum(x * x for x in from_left) * fsum(y * y for y in from_right)
    if variances <= 0.0:
        return None
    return fsum(x * y for x, y in zip(from_left, from_right, strict=True)) / sqrt(variances)


def compute_common_factor(series: Sequence[Sequence[float]], rounds: int = 200) -> float | None:
    """Share of the first eigenvalue of the correlations of series of one length, 1/n..1: how much
    of all that moves is one thing moving. Series that never move are left out; None where fewer
    than two are left. The eigenvalue is found by power iteration from equal weights."""
    moving = [one for one in series if len(one) >= 2 and min(one) < max(one)]
    size = len(moving)
    if size < 2:
        return None
    table = [[1.0] * size for _ in range(size)]
    for row in range(size):
        for column in range(row):
            found = correlate(moving[row], moving[column])
            table[row][column] = table[column][row] = 0.0 if found is None else found
    # Squaring makes the iteration see |eigenvalues|; a correlation matrix has none below zero.
    vector = [1.0 + number / (8.0 * size) for number in range(size)]
    eigenvalue = 0.0
    for _ in range(rounds):
        product = [fsum(x * y for x, y in zip(row, vector, strict=True)) for row in table]
        length = sqrt(fsum(x * x for x in product))
        before, eigenvalue = eigenvalue, length / sqrt(fsum(x * x for x in vector))
        if length == 0.0:
            return None
        vector = [x / length for x in product]
        if abs(eigenvalue - before) <= 1e-12 * eigenvalue:
            break
    return min(eigenvalue / size, 1.0)


def compute_cut_score(
    *,
    carry_cost_apr: float,
    volatility: float,
    margin_pressure: float,
    unwind_cost_bps: float,
    weights: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> float:
    """How much cutting one USD of a hedge set does per basis point it costs: the highest goes
    first (section 5).

    Args:
        carry_cost_apr: With our sign, > 0 is paid; what is received counts as nothing.
        volatility: Annual, a fraction.
        margin_pressure: 0..1, from the maintenance margin of its account over half its equity.
        unwind_cost_bps: Expected cost of the cut; less than one basis point counts as one.
        weights: Of the first three.
    """
    parts = (max(carry_cost_apr, 0.0), volatility, margin_pressure)
    gain = fsum(weight * part for weight, part in zip(weights, parts, strict=True))
    return gain / max(unwind_cost_bps, 1.0)
