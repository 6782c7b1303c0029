"""Settlements of before the last month, kept while the stress index of ninety days is found.

Only the largest markets' are read, and all of it is forgotten once the days are known: what
remains is the highest index of each day. *Pure.*
"""

from __future__ import annotations

from array import array
from math import isfinite, isnan, nan
from typing import NamedTuple

import msgspec

MARKETS_MAX = 64


class Scores(NamedTuple):
    """One market's funding at one hour.

    ``rate`` and ``rate_before`` (a day earlier, None where unknown) are signed fractions per hour,
    ``z`` and ``change_z`` against the trailing thirty days, ``hour`` when it settled.
    """

    rate: float
    rate_before: float | None
    z: float
    change_z: float
    hour: int


class PastMarket(msgspec.Struct):
    """One market of a past day's universe.

    Args:
        asset, subject: Of what, and which one.
        weight: Its open interest in USD when the day was begun.
        carry: For how many hours a settlement stands for those after it.
        scores: Of each hour of the day, None where unknown; empty until it was looked at.
    """

    asset: str
    subject: str
    weight: float
    carry: int
    scores: list[Scores | None] = []


class PastDay(msgspec.Struct):
    """A past day whose stress index is being found, a few markets at a time.

    Args:
        first, last: Its hours since 1970, both included.
        markets: Of the universe, by asset, the largest first.
        scored: How many of them were looked at.
        known_hours: Known hours of funding that the scores so far rest on.
    """

    first: int
    last: int
    markets: list[PastMarket] = []
    scored: int = 0
    known_hours: int = 0


class PastFunding(msgspec.Struct):
    """One market's settlements by the hour: 32-bit floats from hour ``first`` on, NaN where nothing
    settled. Bytes, so that a snapshot of them stays small."""

    first: int = 0
    rates: bytearray = msgspec.field(default_factory=bytearray)

    @property
    def last(self) -> int:
        """The newest hour that has a place."""
        return self.first + len(self.rates) // 4 - 1

    def put(self, known: dict[int, float]) -> None:
        """Take in rates by the hour; what is known stays."""
        news = {hour: rate for hour, rate in known.items() if isfinite(rate)}
        if not news:
            return
        kept = array("f", self.rates)
        merged = {self.first + place: one for place, one in enumerate(kept) if not isnan(one)}
        merged = {**news, **merged}
        first, last = min(merged), max(merged)
        self.first = first
        values = array("f", [merged.get(hour, nan) for hour in range(first, last + 1)])
        self.rates = bytearray(values.tobytes())

    def slice(self, first: int, last: int) -> list[float | None]:
        """The rate of each hour ``first`` to ``last``; None where unknown."""
        kept = array("f", self.rates)
        found: list[float | None] = []
        for hour in range(first, last + 1):
            place = hour - self.first
            one = kept[place] if 0 <= place < len(kept) else nan
            found.append(None if isnan(one) else one)
        return found
