"""Hyperliquid's limits by address of the caller, in simulated time.

Sources: docs page "Rate limits and user limits" (2026 copies): 1200 weight a minute over all REST;
10 connections, 30 new ones and 2000 messages a minute, 1000 subscriptions, 10 distinct users.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

REST_WEIGHT_PER_MINUTE = 1_200.0
CONNECTIONS_MAX = 10
NEW_CONNECTIONS_PER_MINUTE = 30
MESSAGES_PER_MINUTE = 2_000
SUBSCRIPTIONS_MAX = 1_000
USERS_MAX = 10
POSTS_IN_FLIGHT_MAX = 100
SILENCE_S = 60.0

CHEAP = frozenset(
    {
        "l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState",
        "exchangeStatus",
    },
)  # fmt: skip
ROWS_PER_WEIGHT = {
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "twapHistory": 20,
    "userTwapSliceFills": 20,
    "userTwapSliceFillsByTime": 20,
    "candleSnapshot": 60,
}


def weight_of(kind: str, rows: int) -> float:
    """What one info request costs, its answer's length included."""
    base = 2.0 if kind in CHEAP else 60.0 if kind == "userRole" else 20.0
    per = ROWS_PER_WEIGHT.get(kind)
    return base + (rows // per if per else 0)


@dataclass(slots=True)
class WeightWindow:
    """Weight used in the last minute."""

    capacity: float = REST_WEIGHT_PER_MINUTE
    window_s: float = 60.0
    _used: deque[tuple[float, float]] = field(default_factory=deque)
    _total: float = 0.0

    def has_room(self, now_s: float) -> bool:
        """Whether another request is answered at all."""
        while self._used and self._used[0][0] <= now_s - self.window_s:
            self._total -= self._used.popleft()[1]
        return self._total < self.capacity

    def charge(self, weight: float, now_s: float) -> None:
        """Count what a request turned out to cost."""
        self._used.append((now_s, weight))
        self._total += weight
