"""How little collateral an account had to spare at the worst moment of the last days. *Pure.*"""

from __future__ import annotations

import msgspec

from monitor.core.formulas.rolling import Peaks
from monitor.core.state.series import HOUR_NS
from monitor.core.types import EngineNs

# An hour or two that nobody saw may hide a low; so may days, which are another matter.
GAP_NS = 2 * HOUR_NS


class SpareMemory(msgspec.Struct):
    """Lows of a ratio by the hour. ``since_ns`` is from when on it has been known without a gap,
    ``seen_ns`` when it was last; ``lows`` are of what is lacking, the ratio's negative."""

    since_ns: EngineNs = 0
    seen_ns: EngineNs = 0
    lows: Peaks = msgspec.field(default_factory=Peaks)

    def note(self, ratio: float, now: EngineNs, length_ns: int) -> float | None:
        """The least of the last ``length_ns``, this one included; None until that long is known."""
        if not self.since_ns or now - self.seen_ns > GAP_NS:
            self.since_ns, self.lows = now, Peaks()
        self.seen_ns = now
        self.lows.add(now // HOUR_NS, -ratio)
        self.lows.drop_before((now - length_ns) // HOUR_NS)
        return -self.lows.levels[0] if now - self.since_ns >= length_ns else None
