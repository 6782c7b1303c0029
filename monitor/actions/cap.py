"""How much may be reduced within an hour, counted when it is signed. *No I/O.*

An amount frees itself exactly one window after it was spent, so no hour, wherever it begins, holds
more than the cap. What was signed counts whether or not it was filled, and nothing gives it back:
only the daemon could say what was not executed, and one that is not to be trusted would say so of
everything. No other proof reaches a process without network: two requests with one client id may
both execute, and an expiry that has passed says nothing of what came before it. So it is the daemon
that does not ask for all of an unfilled order again and again (``core/killswitch``, ``in_part``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

WINDOW_MS = 3_600_000
ZERO = Decimal(0)


class HourlyCap:
    """A rolling sum under a limit, USD. Times in ms of the owner's clock."""

    def __init__(self, cap_usd: Decimal, spent: Iterable[tuple[int, Decimal]] = ()) -> None:
        self.cap_usd = cap_usd
        self._spent = deque(sorted(spent))
        self._used = sum((usd for _, usd in self._spent), ZERO)

    def used(self, now_ms: int) -> Decimal:
        """USD spent in the window that ends now. What lies in the future (the clock was set back)
        counts."""
        while self._spent and now_ms - self._spent[0][0] >= WINDOW_MS:
            self._used -= self._spent.popleft()[1]
        return self._used

    def left(self, now_ms: int) -> Decimal:
        """USD that may still be spent now, never below zero."""
        return max(ZERO, self.cap_usd - self.used(now_ms))

    def spend(self, usd: Decimal, now_ms: int) -> None:
        """Count an amount; the caller has asked what is left."""
        latest = self._spent[-1][0] if self._spent else now_ms
        self._spent.append((max(now_ms, latest), usd))
        self._used += usd

    def entries(self, now_ms: int) -> list[tuple[int, Decimal]]:
        """What must be kept over a restart."""
        self.used(now_ms)
        return list(self._spent)
