"""How often a channel speaks that tells its whole state each time, learned from its own frames.

The venue documents no cadence for these, and may push some of them only on change. A new
subscription is answered with the whole state at once, so asking anew is a cheap proof of life: a
channel that answers it lives, however quiet. *Pure.*
"""

from __future__ import annotations

from collections import deque

from monitor.core.types import SECOND_NS, EngineNs

FRAMES_TO_LEARN = 3
INTERVALS_KEPT = 8
INTERVALS_MISSED = 4
CADENCE_S_MIN = 15.0
CADENCE_S_MAX = 120.0
# Pushes within this time are one answer in parts, or follow a burst of changes.
ANSWER_WITHIN_S = 15.0
RELEARN_RATIO = 1.25  # smaller changes are not worth announcing


class LearnedCadence:
    """The patience that a full-state channel has earned, from the gaps between its frames."""

    __slots__ = ("_frame_ns", "_intervals", "announced_s")

    def __init__(self) -> None:
        self._frame_ns: EngineNs | None = None
        self._intervals: deque[EngineNs] = deque(maxlen=INTERVALS_KEPT)
        self.announced_s: float | None = None  # None: not learned yet

    @property
    def limit_s(self) -> float:
        """Seconds of silence that are still ordinary."""
        return CADENCE_S_MAX if self.announced_s is None else self.announced_s

    def patience_s(self, attempts: int) -> float:
        """Seconds to wait before subscribing anew once more: the limit at first; then the time an
        answer takes, twice as long at each further try."""
        return self.limit_s if not attempts else ANSWER_WITHIN_S * (1 << (attempts - 1))

    def spoke(self, now: EngineNs) -> bool:
        """A frame came. True when the cadence to announce is another than before."""
        last, self._frame_ns = self._frame_ns, now
        if last is None:
            return False
        self._intervals.append(now - last)
        if len(self._intervals) < FRAMES_TO_LEARN - 1:
            return False
        learned_s = INTERVALS_MISSED * max(self._intervals) / SECOND_NS
        learned_s = min(max(learned_s, CADENCE_S_MIN), CADENCE_S_MAX)
        known_s = self.announced_s
        if known_s is not None and known_s / RELEARN_RATIO < learned_s <= known_s:
            return False
        self.announced_s = learned_s
        return learned_s != known_s
