"""Intervals by block bootstrap: weeks drawn again with replacement, seeded, the same every time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from monitor.backtest.statistics import daily_returns, worst_mean

BLOCK_DAYS = 7
DRAWS = 500
LOW, HIGH = 0.05, 0.95
# Of fewer weeks the draws are much alike (of one week: all the same), and would claim certainty.
BLOCKS_MIN = 8


@dataclass(slots=True, frozen=True)
class Interval:
    """A value and its 5-95 % interval; bounds None where the draws do not define it, or where too
    few weeks were there to draw from."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(slots=True, frozen=True)
class Difference:
    """A book that follows rules against the same book without.

    ``tail`` is the share by which the mean of the worst 5 % of days was smaller; ``exposure`` the
    share of gross given up; ``ratio`` the first over the second: 1 is what holding less at all
    times would give. ``return_per_year`` is the difference of mean daily returns times 365.
    """

    tail: Interval
    exposure: Interval
    ratio: Interval
    return_per_year: Interval


def compare(
    with_equity: Sequence[float],
    with_gross: Sequence[float],
    plain_equity: Sequence[float],
    plain_gross: Sequence[float],
    *,
    seed: int,
    draws: int = DRAWS,
) -> Difference:
    """Both books over the same hours; the same weeks are drawn for both."""
    ours, theirs = daily_returns(with_equity), daily_returns(plain_equity)
    held = _daily_gross(with_gross, with_equity)[: len(ours)]
    full = _daily_gross(plain_gross, plain_equity)[: len(theirs)]
    days = list(range(len(ours)))
    blocks = [days[at : at + BLOCK_DAYS] for at in range(0, len(days), BLOCK_DAYS)]
    here = _figures(days, ours, theirs, held, full)
    source = random.Random(seed)  # noqa: S311 - a repeatable draw, nothing secret
    drawn: list[tuple[float | None, ...]] = []
    for _ in range(draws):
        sample = [day for _ in blocks for day in blocks[source.randrange(len(blocks))]]
        drawn.append(_figures(sample, ours, theirs, held, full))
    columns = list(zip(*drawn, strict=True))
    made = [
        _interval(value, column, len(blocks)) for value, column in zip(here, columns, strict=True)
    ]
    return Difference(*made)


def _daily_gross(gross: Sequence[float], equity: Sequence[float]) -> list[float]:
    """Mean gross over equity of each day."""
    made = []
    for at in range(0, len(gross), 24):
        held, own = gross[at : at + 24], equity[at : at + 24]
        shares = [one / value for one, value in zip(held, own, strict=True) if value > 0.0]
        made.append(fsum(shares) / len(shares) if shares else 0.0)
    return made


def _figures(
    days: Sequence[int],
    ours: Sequence[float],
    theirs: Sequence[float],
    held: Sequence[float],
    full: Sequence[float],
) -> tuple[float | None, ...]:
    mine, others = [ours[day] for day in days], [theirs[day] for day in days]
    bad, worse = worst_mean(mine), worst_mean(others)
    tail = 1.0 - bad / worse if worse < 0.0 else None
    whole = fsum(full[day] for day in days)
    given = 1.0 - fsum(held[day] for day in days) / whole if whole > 0.0 else None
    # Below one part in a thousand the ratio is noise over nothing.
    ratio = tail / given if tail is not None and given is not None and given > 1e-3 else None
    return tail, given, ratio, 365.0 * (fsum(mine) - fsum(others)) / len(days)


def _interval(value: float | None, draws: Sequence[float | None], blocks: int) -> Interval:
    known = sorted(one for one in draws if one is not None)
    if blocks < BLOCKS_MIN or len(known) < max(len(draws) // 2, 1):
        return Interval(value, None, None)
    last = len(known) - 1
    return Interval(value, known[round(LOW * last)], known[round(HIGH * last)])


@dataclass(slots=True, frozen=True)
class Lift:
    """What being on changed: crash odds against all hours, and the volatility of the next day
    against hours in which it was off. 1 is no difference."""

    crash: Interval
    volatility: Interval


def lift_of(
    on: Sequence[bool],
    crash: Sequence[bool | None],
    ahead: Sequence[float | None],
    *,
    seed: int,
    draws: int = DRAWS,
) -> Lift:
    """``crash`` and ``ahead`` say of each hour what the next day brought; None: not known."""
    weeks: list[tuple[float, ...]] = []
    step = BLOCK_DAYS * 24
    for first in range(0, len(on), step):
        sums = [0.0] * 6  # hours on, crashes on, hours, crashes, volatility on, volatility off
        for place in range(first, min(first + step, len(on))):
            struck, calm = crash[place], ahead[place]
            if struck is None or calm is None:
                continue
            sums[2] += 1.0
            sums[3] += struck
            if on[place]:
                sums[0] += 1.0
                sums[1] += struck
                sums[4] += calm
            else:
                sums[5] += calm
        if sums[2]:
            weeks.append(tuple(sums))
    here = _lifts(weeks)
    source = random.Random(seed)  # noqa: S311 - a repeatable draw, nothing secret
    drawn = [_lifts([weeks[source.randrange(len(weeks))] for _ in weeks]) for _ in range(draws)]
    return Lift(
        _interval(here[0], [one[0] for one in drawn], len(weeks)),
        _interval(here[1], [one[1] for one in drawn], len(weeks)),
    )


def _lifts(weeks: Sequence[tuple[float, ...]]) -> tuple[float | None, float | None]:
    on, on_crash, hours, crashes, calm_on, calm_off = (
        tuple(fsum(column) for column in zip(*weeks, strict=True)) if weeks else (0.0,) * 6
    )
    odds = on_crash / on / (crashes / hours) if on and crashes else None
    off = hours - on
    stir = (calm_on / on) / (calm_off / off) if on and off and calm_off else None
    return odds, stir
