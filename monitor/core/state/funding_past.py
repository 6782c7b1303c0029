"""Settlements of before the last month, kept while the stress index of ninety days is found.

Only the largest markets' are read, and all of it is forgotten once the days are known: what
remains is the highest index of each day. *Pure.*
"""

from __future__ import annotations

from array import array
from math import isfinite, isnan, nan

import msgspec

MARKETS_MAX = 64


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
