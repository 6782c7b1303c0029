"""How long to wait before trying again: exponential, capped, with full jitter.

Full jitter spreads many feeds that died together over the whole interval, so that a venue coming
back is not met by all of them at once. The growth is forgotten only after a healthy period: a
connection that opens and dies at once is not a recovery.
"""

from __future__ import annotations

from random import Random

EXPONENT_MAX = 32  # 2**32 s is beyond any cap; keeps the power finite over years of failures


class Backoff:
    """Delays of one feed. The randomness is handed in, so tests can replay it.

    Args:
        random: Source of the jitter.
        first_s: Upper bound of the first delay.
        cap_s: Upper bound of every delay.
        floor_s: Lower bound of every delay: full jitter may draw zero, and venues count
            connections per minute.
        healthy_s: How long a connection must have carried frames to count as recovered.
    """

    def __init__(
        self,
        random: Random,
        *,
        first_s: float = 0.5,
        cap_s: float = 60.0,
        floor_s: float = 0.1,
        healthy_s: float = 60.0,
    ) -> None:
        if not 0.0 <= floor_s <= first_s <= cap_s:
            message = f"A backoff needs floor {floor_s} <= first {first_s} <= cap {cap_s} seconds."
            raise ValueError(message)
        self._random = random
        self._first_s = first_s
        self._cap_s = cap_s
        self._floor_s = floor_s
        self._healthy_s = healthy_s
        self.failures = 0

    def next_s(self, *, healthy_for_s: float = 0.0) -> float:
        """Seconds to wait after one more failure.

        ``healthy_for_s`` is how long the connection that just failed had carried frames; from
        ``healthy_s`` on the growth starts anew.
        """
        if self.recovered(healthy_for_s):
            self.failures = 0
        bound_s = min(self._cap_s, self._first_s * 2.0 ** min(self.failures, EXPONENT_MAX))
        self.failures += 1
        return self._random.uniform(self._floor_s, max(self._floor_s, bound_s))

    def recovered(self, healthy_for_s: float) -> bool:
        """Whether a connection that lived so long counts as healthy."""
        return healthy_for_s >= self._healthy_s
