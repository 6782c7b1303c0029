"""One order book of dYdX v4: absolute level updates, uncrossed by message id, touch and depth.

Every validator keeps its own book and the indexer mixes what they tell, so levels cross for
seconds. There is no book sequence: the message id of the socket is the only clock, and where the
sides cross the older level is the stale one. *Pure.*
"""

from __future__ import annotations

SNAPSHOT_LEVELS_MAX = 100
_NO_BID = 0.0
_NO_ASK = float("inf")

Top = tuple[float | None, float | None, float | None, float | None]


class Book:
    """Levels by price with the message id that set them, and the touch kept beside them."""

    def __init__(self) -> None:
        self._bids: dict[float, float] = {}
        self._asks: dict[float, float] = {}
        self._bid_clock: dict[float, int] = {}
        self._ask_clock: dict[float, int] = {}
        self._best_bid = _NO_BID
        self._best_ask = _NO_ASK
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
    ) -> bool:
        """Lay absolute sizes over the levels; size 0 removes. Prices are above zero.

        Returns:
            Whether the touch may have changed.
        """
        touched = False
        if bids:
            levels, clocks, best = self._bids, self._bid_clock, self._best_bid
            for price, size in bids:
                if size:
                    levels[price] = size
                    clocks[price] = clock
                elif levels.pop(price, None) is None:
                    continue
                else:
                    del clocks[price]
                if price >= best:
                    touched = True
                    best = price if size else max(levels, default=_NO_BID)
            self._best_bid = best
        if asks:
            levels, clocks, best = self._asks, self._ask_clock, self._best_ask
            for price, size in asks:
                if size:
                    levels[price] = size
                    clocks[price] = clock
                elif levels.pop(price, None) is None:
                    continue
                else:
                    del clocks[price]
                if price <= best:
                    touched = True
                    best = price if size else min(levels, default=_NO_ASK)
            self._best_ask = best
        while touched and self._best_bid >= self._best_ask:
            self._uncross()
        return touched

    def top(self) -> Top:
        """Bid price and size, ask price and size; None where nobody stands."""
        bid, ask = self._best_bid, self._best_ask
        return (
            bid if bid != _NO_BID else None,
            self._bids.get(bid),
            ask if ask != _NO_ASK else None,
            self._asks.get(ask),
        )

    def depth(self, band_ratio: float) -> tuple[float | None, float | None]:
        """USD resting within ``band_ratio`` of mid, bids and asks.

        A side is None when the levels seen do not reach the band's edge, both when a side is
        empty, since then there is no mid.
        """
        bid, ask = self._best_bid, self._best_ask
        if bid == _NO_BID or ask == _NO_ASK:
            return None, None
        mid = (bid + ask) / 2.0
        low, high = mid * (1.0 - band_ratio), mid * (1.0 + band_ratio)
        bids = asks = None
        if self._bid_horizon <= low:
            bids = sum([price * size for price, size in self._bids.items() if price >= low], 0.0)
        if self._ask_horizon >= high:
            asks = sum([price * size for price, size in self._asks.items() if price <= high], 0.0)
        return bids, asks

    def sees(self, band_ratio: float) -> bool:
        """Whether the snapshot's depth reaches the band's edges as prices stand now."""
        bid, ask = self._best_bid, self._best_ask
        if bid == _NO_BID or ask == _NO_ASK:
            return True  # there is no band to miss
        mid = (bid + ask) / 2.0
        return self._bid_horizon <= mid * (1.0 - band_ratio) and self._ask_horizon >= mid * (
            1.0 + band_ratio
        )

    def _drop_bid(self, price: float) -> None:
        if self._bids.pop(price, None) is not None:
            del self._bid_clock[price]
            if price == self._best_bid:
                self._best_bid = max(self._bids, default=_NO_BID)

    def _drop_ask(self, price: float) -> None:
        if self._asks.pop(price, None) is not None:
            del self._ask_clock[price]
            if price == self._best_ask:
                self._best_ask = min(self._asks, default=_NO_ASK)

    def _uncross(self) -> None:
        """Drop the older of the two crossing levels; of the same age, what trades against each
        other is gone."""
        bid, ask = self._best_bid, self._best_ask
        bid_clock, ask_clock = self._bid_clock[bid], self._ask_clock[ask]
        if bid_clock < ask_clock:
            self._drop_bid(bid)
        elif bid_clock > ask_clock:
            self._drop_ask(ask)
        else:
            left = self._bids[bid] - self._asks[ask]
            if left <= 0.0:
                self._drop_bid(bid)
            else:
                self._bids[bid] = left
            if left >= 0.0:
                self._drop_ask(ask)
            else:
                self._asks[ask] = -left
