"""Sudden moves of one asset's price: which hours count as one, how many a year, and how large.

Half a year of one asset holds about five falls and as few rises, one of which says nothing about
the largest there can be. Whoever counts them therefore adds as long again of the default set, and
takes no deviation below the default's: what was counted moves rate and size by half at most where
little happened, and by as much as it was where much did. *Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt

import msgspec

from monitor.core.formulas.first_passage import Jumps
from monitor.core.formulas.volatility import HOURS_PER_YEAR

# An hour that moves by more than so many times what an hour was expected to.
SIGMAS = 6.0
# A price that hardly ever changes has no variance to speak of: less than this is a step of its
# grid. The smallest jump of six recorded years of twelve assets was 1 %.
LEAST = 0.005
# Either way, of the log price: the set of the sheet.
DEFAULT_PER_YEAR, DEFAULT_MEAN, DEFAULT_DEVIATION = 12.0, 0.08, 0.06
DEFAULT_HOURS = 180 * 24  # of the default beside what was counted: as many as are kept
# Below it none is counted: one fall in ten days is no 36 a year. A chance of liquidation needs as
# many hours for its volatility, so that none rests on fewer but where an asset is young.
HOURS_MIN = 60 * 24


class JumpSet(msgspec.Struct, frozen=True, gc=False):
    """Falls and rises of one asset as the price moves; ``fell`` and ``rose`` how often each was
    counted within ``hours``, all 0 for the default."""

    down: Jumps
    up: Jumps
    fell: int = 0
    rose: int = 0
    hours: int = 0


DEFAULT = JumpSet(
    Jumps(DEFAULT_PER_YEAR, -DEFAULT_MEAN, DEFAULT_DEVIATION),
    Jumps(DEFAULT_PER_YEAR, DEFAULT_MEAN, DEFAULT_DEVIATION),
)


def is_jump(log_return: float, variance: float) -> bool:
    """Whether an hour's return is one: ``|r| > 6 sigma``, with the variance of an hour as it was
    believed before.

    Source: sheet *margin-and-liquidation* section 3.
    """
    return abs(log_return) >= LEAST and log_return * log_return > SIGMAS * SIGMAS * variance


def count_jumps(returns: Sequence[float], hours: int) -> JumpSet:
    """The set of an asset.

    Args:
        returns: Log returns of the hours that were jumps, signed.
        hours: Of which it is known whether they were, >= 0.

    Returns:
        The default where they are fewer than ``HOURS_MIN``.
    """
    if hours < HOURS_MIN:
        return DEFAULT
    falls = [-one for one in returns if one < 0.0]
    rises = [one for one in returns if one > 0.0]
    down, up = _pool(falls, hours), _pool(rises, hours)
    return JumpSet(
        Jumps(down.per_year, -down.mean_log, down.deviation_log),
        up,
        len(falls),
        len(rises),
        hours,
    )


def mean_jumps(sets: Sequence[tuple[float, JumpSet]]) -> JumpSet:
    """Of several assets that move as one, from (weight >= 0, set): the mean by weight; the default
    where nothing weighs."""
    total = fsum(weight for weight, _ in sets)
    if total <= 0.0:
        return DEFAULT
    shares = [(weight / total, one) for weight, one in sets]
    return JumpSet(
        _mean([(share, one.down) for share, one in shares]),
        _mean([(share, one.up) for share, one in shares]),
        sum(one.fell for _, one in shares),
        sum(one.rose for _, one in shares),
        min(one.hours for _, one in shares),
    )


def _pool(sizes: Sequence[float], hours: int) -> Jumps:
    """What was counted in ``hours``, and what the default makes in ``DEFAULT_HOURS``; sizes > 0."""
    added = DEFAULT_PER_YEAR * DEFAULT_HOURS / HOURS_PER_YEAR
    count = len(sizes) + added
    mean = (fsum(sizes) + added * DEFAULT_MEAN) / count
    squares = fsum(one * one for one in sizes)
    squares += added * (DEFAULT_MEAN * DEFAULT_MEAN + DEFAULT_DEVIATION * DEFAULT_DEVIATION)
    deviation = sqrt(max(squares / count - mean * mean, 0.0))
    years = (hours + DEFAULT_HOURS) / HOURS_PER_YEAR
    return Jumps(count / years, mean, max(deviation, DEFAULT_DEVIATION))


def _mean(parts: Sequence[tuple[float, Jumps]]) -> Jumps:
    return Jumps(
        fsum(share * one.per_year for share, one in parts),
        fsum(share * one.mean_log for share, one in parts),
        fsum(share * one.deviation_log for share, one in parts),
    )
