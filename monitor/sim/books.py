"""Order books of the simulated world, made on demand from a mid price and a liquidity curve.

A book is a function of (mid, instant): no state is kept between looks, so asking never changes the
world. The first levels sit on neighbouring ticks as on a real venue; further out the gaps widen,
so that a plain 20-level view ends within a few basis points and only an aggregated view reaches
far.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

Level = tuple[Decimal, Decimal]  # price, size

DENSE_LEVELS = 24
SPARSE_LEVELS = 76
REACH_RATIO = 0.06  # the book ends six percent from mid
BAND_RATIO = 0.0025  # the band in which a market's depth is quoted
DEPTH_POWER = 0.85  # what rests closer than a distance grows a little slower than the distance
REDRAWN_EVERY = 5  # the size of a level lasts for one to so many epochs


class Book(msgspec.Struct, frozen=True, gc=False):
    """Both sides, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


EMPTY_BOOK = Book(bids=(), asks=())


class Liquidity(msgspec.Struct, frozen=True, gc=False):
    """How a market's book looks: half the spread as a fraction of mid, and the USD resting within
    25 bp of mid on each side."""

    half_spread_ratio: float
    depth_25bp_usd: float


def top_of_book(mid: float, tick: Decimal, half_spread_ratio: float) -> tuple[Decimal, Decimal]:
    """(best bid, best ask) on the tick grid around ``mid``; the ask is always above the bid."""
    step = float(tick)
    bid = Decimal(int(mid * (1.0 - half_spread_ratio) / step)) * tick
    ask_ticks = mid * (1.0 + half_spread_ratio) / step
    ask = Decimal(-int(-ask_ticks // 1)) * tick
    if ask <= bid:
        ask = bid + tick
    return bid, ask


class BookSource(msgspec.Struct, frozen=True, gc=False):
    """Everything a book is made of. ``salt`` tells markets apart, ``epoch`` counts instants; each
    level's size is redrawn every few epochs, so consecutive books differ in some levels only."""

    mid: float
    tick: Decimal
    size_step: Decimal
    liquidity: Liquidity
    salt: int
    epoch: int

    def top(self) -> tuple[Decimal, Decimal]:
        """(best bid, best ask), without making the rest."""
        return top_of_book(self.mid, self.tick, self.liquidity.half_spread_ratio)

    def bids(self) -> Iterator[Level]:
        """Bid levels, best first."""
        return self._side(self.top()[0], -1)

    def asks(self) -> Iterator[Level]:
        """Ask levels, best first."""
        return self._side(self.top()[1], 1)

    def book(self) -> Book:
        """The whole book."""
        return Book(bids=tuple(self.bids()), asks=tuple(self.asks()))

    def _side(self, best: Decimal, direction: int) -> Iterator[Level]:
        salt = self.salt * 2 + (direction > 0)
        tick, size_step = self.tick, self.size_step
        start, tick_size, step = float(best), float(tick), float(size_step)
        tick_ratio = tick_size / self.mid
        touch = abs(start - self.mid) / self.mid
        first = int(best / tick)
        reach = max(DENSE_LEVELS + 1, int((REACH_RATIO - touch) / tick_ratio))
        seeds = [
            salt * 0x9E3779B1 + self.epoch // (1 + turn) * 0xC2B2AE35
            for turn in range(REDRAWN_EVERY)
        ]
        # Thousands of levels a second are made, so what is the same for all stands before the loop.
        scale, power = self.liquidity.depth_25bp_usd, math.pow
        depth_near = scale * power(touch / BAND_RATIO, DEPTH_POWER)
        for turn, place, offset, after in _places(reach):
            ticks = first + direction * offset
            if ticks <= 0:
                return
            depth_far = scale * power((touch + after * tick_ratio) / BAND_RATIO, DEPTH_POWER)
            # A cheap stateless number in [0, 1): the same inputs always give the same size.
            mixed = (seeds[turn] + place) & 0xFFFFFFFF
            mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
            mixed = ((mixed ^ (mixed >> 12)) * 0x297A2D39) & 0xFFFFFFFF
            noise = 0.6 + 0.8 * ((mixed ^ (mixed >> 15)) / 4_294_967_296.0)
            value = start + direction * offset * tick_size
            units = round((depth_far - depth_near) * noise / value / step)
            yield ticks * tick, max(1, units) * size_step
            depth_near = depth_far


@functools.lru_cache(maxsize=4096)
def _places(reach: int) -> tuple[tuple[int, int, int, int], ...]:
    """Of each level: how many epochs its size lasts less one, what its number adds to a seed, and
    how many ticks it and the next one are from the best price."""
    return tuple(
        (number % REDRAWN_EVERY, number * 0x85EBCA6B, offset, after)
        for number, (offset, after) in enumerate(itertools.pairwise(_offsets(reach)))
    )


def _offsets(reach: int) -> tuple[int, ...]:
    """Distances from the best price in ticks: dense near the touch, geometric up to ``reach``."""
    offsets = list(range(DENSE_LEVELS))
    growth = (reach / DENSE_LEVELS) ** (1.0 / SPARSE_LEVELS)
    exact = float(DENSE_LEVELS)
    for _ in range(SPARSE_LEVELS):
        exact *= growth
        offset = int(exact)
        if offsets[-1] < offset <= reach:
            offsets.append(offset)
    return tuple(offsets)


def impact_price(levels: Iterable[Level], notional_usd: Decimal) -> Decimal | None:
    """Average price of trading ``notional_usd`` into one side; None when it is not there."""
    left, base = notional_usd, Decimal(0)
    for price, size in levels:
        value = price * size
        if value >= left:
            base += left / price
            return notional_usd / base
        base += size
        left -= value
    return None


def aggregate(
    levels: Iterable[Level], tick: Decimal, *, is_bid: bool, most: int | None = None
) -> list[tuple[Level, int]]:
    """Levels, best first, merged on a coarser grid, bids rounded down and asks up, with how many
    were merged; the best ``most`` of them."""
    merged: list[tuple[Level, int]] = []
    rounding = ROUND_FLOOR if is_bid else ROUND_CEILING
    grid, held, count = None, Decimal(0), 0
    for price, size in levels:
        here = (price / tick).to_integral_value(rounding=rounding)
        if here != grid:
            if grid is not None:
                merged.append(((grid * tick, held), count))
            if len(merged) == most:
                return merged
            grid, held, count = here, Decimal(0), 0
        held += size
        count += 1
    if grid is not None:
        merged.append(((grid * tick, held), count))
    return merged
