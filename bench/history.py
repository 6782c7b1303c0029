"""What both venues say of the past: hourly settlements and closes, seeded and unspectacular.

A walk that ends at the present price, at about a quarter of a year's volatility; rates round zero.
"""

from __future__ import annotations

import random
from functools import cache

from bench.prices import Asset

HOURS = 75 * 24  # long enough for all that is judged by percentiles
HOUR_MS = 3_600_000
STEP_RATIO = 0.0025  # of one hour: 23 % a year
CALM_HOURS = 96  # the present is no stormy time of its past
CALM_RATIO = 0.5
RATE = 5e-6  # a settlement's size, fraction per hour

Rows = list[tuple[int, str]]


@cache
def _rates(index: int) -> tuple[str, ...]:
    """By the hour, counted back from the present one."""
    chance = random.Random(1_000 + index)  # noqa: S311 - reproducible, no secret
    return tuple(f"{chance.gauss(0.0, RATE):.10f}" for _ in range(HOURS))


@cache
def _factors(index: int) -> tuple[float, ...]:
    """A past close over the present price, counted back from the bar that closed last."""
    chance = random.Random(2_000 + index)  # noqa: S311 - likewise
    factor, made = 1.0, []
    for back in range(HOURS):
        made.append(factor)
        step = STEP_RATIO * (CALM_RATIO if back < CALM_HOURS else 1.0)
        factor *= 1.0 + chance.gauss(0.0, step)
    return tuple(made)


def settlements(asset: Asset, start_ms: int, end_ms: int, now_ms: int) -> Rows:
    """(time, rate) of the settlements between two times, both included, newest first."""
    return [(at, _rates(asset.index)[back]) for back, at in _hours(start_ms, end_ms, now_ms)]


def closes(asset: Asset, start_ms: int, end_ms: int, now_ms: int) -> Rows:
    """(when the bar began, close) of bars that began between two times, newest first. The newest
    of all is still open."""
    factors = _factors(asset.index)
    return [
        (at, asset.text(asset.mid * factors[back])) for back, at in _hours(start_ms, end_ms, now_ms)
    ]


def _hours(start_ms: int, end_ms: int, now_ms: int) -> list[tuple[int, int]]:
    present = now_ms // HOUR_MS
    oldest = max(-(-start_ms // HOUR_MS), present - HOURS + 1)
    return [(present - hour, hour * HOUR_MS) for hour in range(end_ms // HOUR_MS, oldest - 1, -1)]
