"""One order book of dYdX v4: absolute level updates, uncrossed by message id, touch and depth.

Every validator keeps its own book and the indexer mixes what they tell, so levels cross for
seconds. There is no book sequence: the message id of the socket is the only clock, and where the
sides cross the older level is the stale one. *Pure.*
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import mul

SNAPSHOT_LEVELS_MAX = 100
_NO_BID = 0.0
_NO_ASK = float("inf")
_END = float("inf")  # the last of the prices of a side: no level, but found by every search

Top = tuple[float | None, float | None, float | None, float | None]


class Side:
    """Levels in ascending order of price, with the message id that set each. After the prices
    stands ``_END``, so that a search need not ask whether it ran off them.

    Lists side by side rather than dicts, which an update would strew over memory, and rather than
    packed arrays, which would make an object of every number that a search looks at.
    """

    __slots__ = ("clocks", "prices", "sizes")

    def __init__(self) -> None:
        self.prices: list[float] = [_END]
        self.sizes: list[float] = []
        self.clocks: list[int] = []

    def apply(self, levels: list[tuple[float, float]], clock: int, best_last: bool) -> bool:
        """Lay absolute sizes over the levels; size 0 removes. Whether the best level was hit, of
        before or after: the last of the bids (``best_last``), the first of the asks."""
        prices = self.prices
        touched = False
        for price, size in levels:
            at = bisect_left(prices, price)
            if prices[at] == price:
                if prices[at + 1] is _END if best_last else not at:
                    touched = True
                if size:
                    self.sizes[at] = size
                    self.clocks[at] = clock
                else:
                    self.drop(at)
            elif size:
                if prices[at] is _END if best_last else not at:
                    touched = True
                prices.insert(at, price)
                self.sizes.insert(at, size)
                self.clocks.insert(at, clock)
        return touched

    def drop(self, at: int) -> None:
        """Remove a level."""
        del self.prices[at], self.sizes[at], self.clocks[at]


class Book:
    """Bids and asks. Prices are above zero. Who lays levels over a side ``uncross``es the two, at
    the latest when the best of one was hit."""

    __slots__ = ("_ask_horizon", "_bid_horizon", "asks", "bids")

    def __init__(self) -> None:
        self.bids = Side()
        self.asks = Side()
        # How deep the snapshot saw: a side of fewer than 100 levels was seen whole. Levels beyond
        # it are known only where an update happened to name them.
        self._bid_horizon = _NO_BID
        self._ask_horizon = _NO_ASK

    @classmethod
    def of(
        cls, bids: list[tuple[float, float]], asks: list[tuple[float, float]], clock: int
    ) -> Book:
        """The book of a snapshot."""
        book = cls()
        book.apply(bids, asks, clock)
        if len(bids) >= SNAPSHOT_LEVELS_MAX:
            book._bid_horizon = min(price for price, _ in bids)
        if len(asks) >= SNAPSHOT_LEVELS_MAX:
            book._ask_horizon = max(price for price, _ in asks)
        return book

    def apply(
        self,
        bids: list[tuple[float, float]] | None,
        asks: list[tuple[float, float]] | None,
        clock: int,
    ) -> None:
        """Lay absolute sizes over the levels; size 0 removes."""
        if bids is not None:
            self.bids.apply(bids, clock, True)
        if asks is not None:
            self.asks.apply(asks, clock, False)
        self.uncross()

    def top(self) -> Top:
        """Bid price and size, ask price and size; None where nobody stands."""
        bids, asks = self.bids, self.asks
        if bids.sizes and asks.sizes:
            return bids.prices[-2], bids.sizes[-1], asks.prices[0], asks.sizes[0]
        if bids.sizes:
            return bids.prices[-2], bids.sizes[-1], None, None
        if asks.sizes:
            return None, None, asks.prices[0], asks.sizes[0]
        return None, None, None, None

    def depth(self, band_ratio: float) -> tuple[float | None, float | None]:
        """USD resting within ``band_ratio`` of mid, bids and asks.

        A side is None when the levels seen do not reach the band's edge, and when the other is
        empty, since then there is no mid. An empty side that was seen whole is 0, unless both are.
        """
        bids, asks = self.bids, self.asks
        if not bids.sizes or not asks.sizes:
            gone = bids.sizes or asks.sizes
            return (
                0.0 if gone and not bids.sizes and self._bid_horizon == _NO_BID else None,
                0.0 if gone and not asks.sizes and self._ask_horizon == _NO_ASK else None,
            )
        mid = (bids.prices[-2] + asks.prices[0]) / 2.0
        low, high = mid * (1.0 - band_ratio), mid * (1.0 + band_ratio)
        bid_usd = ask_usd = None
        if self._bid_horizon <= low:
            first = bisect_left(bids.prices, low)
            bid_usd = sum(map(mul, bids.prices[first:-1], bids.sizes[first:]), 0.0)
        if self._ask_horizon >= high:
            end = bisect_right(asks.prices, high)
            ask_usd = sum(map(mul, asks.prices[:end], asks.sizes[:end]), 0.0)
        return bid_usd, ask_usd

    def sees(self, band_ratio: float) -> bool:
        """Whether the snapshot's depth reaches the band's edges as prices stand now."""
        bids, asks = self.bids, self.asks
        if not bids.sizes or not asks.sizes:  # no band to miss; what lies deeper is not known
            return (bool(bids.sizes) or self._bid_horizon == _NO_BID) and (
                bool(asks.sizes) or self._ask_horizon == _NO_ASK
            )
        mid = (bids.prices[-2] + asks.prices[0]) / 2.0
        return self._bid_horizon <= mid * (1.0 - band_ratio) and self._ask_horizon >= mid * (
            1.0 + band_ratio
        )

    def uncross(self) -> None:
        """While the sides cross, drop the older of the two levels that do; of the same age, what
        trades against each other is gone."""
        bids, asks = self.bids, self.asks
        while bids.sizes and asks.sizes and bids.prices[-2] >= asks.prices[0]:
            last = len(bids.sizes) - 1
            older = bids.clocks[last] - asks.clocks[0]
            if older < 0:
                bids.drop(last)
            elif older > 0:
                asks.drop(0)
            else:
                left = bids.sizes[last] - asks.sizes[0]
                if left <= 0.0:
                    bids.drop(last)
                else:
                    bids.sizes[last] = left
                if left >= 0.0:
                    asks.drop(0)
                else:
                    asks.sizes[0] = -left
            if not bids.sizes:  # dropped, not told gone: whether anybody stands there is not known
                self._bid_horizon = _NO_ASK
            if not asks.sizes:
                self._ask_horizon = _NO_BID
