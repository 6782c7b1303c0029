"""What books looked like lately: an hour of depth by the minute, a month of spreads by the hour.

Samples are taken of what a message finds standing, at most once per grid slot, so that a burst and
a quiet market weigh the same. A market that is not told leaves its slots out. *Pure.*
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from monitor.core.state.facts import DepthFact, TopFact
from monitor.core.types import SECOND_NS, EngineNs

HOUR_NS = 3600 * SECOND_NS
SPREAD_EVERY_NS = 300 * SECOND_NS
STANDS_NS = 2 * SPREAD_EVERY_NS  # an older book is no longer what stands
SPREAD_HOURS = 720  # thirty days
SPREAD_HOURS_MIN = 24
SAMPLES_MIN = 3  # of an hour, else it says nothing
DEPTH_EVERY_NS = 60 * SECOND_NS
DEPTH_MINUTES = 60
DEPTH_MINUTES_MIN = 30


@dataclass(slots=True)
class BookHistory:
    """Of one market. ``hours`` are (hour since 1970, median spread), ``spreads`` the samples of
    the running ``hour``; ``minutes`` are (minute since 1970, bid USD, ask USD) within 25 bp.

    The medians are over all that is kept; None until enough is. What a side of the book had stands
    as its median until something is seen in it again: nothing at all never becomes usual, and a
    side that is not seen is not back.
    """

    hour: int = 0
    spreads: list[float] = field(default_factory=list)
    hours: list[tuple[int, float]] = field(default_factory=list)
    spread_median: float | None = None
    minutes: list[tuple[int, float, float]] = field(default_factory=list)
    bid_median_usd: float | None = None
    ask_median_usd: float | None = None


def sample_spread(history: BookHistory, top: TopFact, now: EngineNs) -> EngineNs:
    """Note the spread that stands; when to look again. A crossed, suspect or old book is none."""
    hour = now // HOUR_NS
    if hour != history.hour:
        _close_hour(history, hour)
    bid, ask = top.bid, top.ask
    stands = top.level is not None and now - top.seen_ns <= STANDS_NS
    if stands and bid is not None and ask is not None and 0.0 < bid <= ask:
        history.spreads.append((ask - bid) * 2.0 / (ask + bid))
    return (now // SPREAD_EVERY_NS + 1) * SPREAD_EVERY_NS


def _close_hour(history: BookHistory, hour: int) -> None:
    if len(history.spreads) >= SAMPLES_MIN:
        history.hours.append((history.hour, median(history.spreads)))
    history.hour = hour
    history.spreads.clear()
    settle_spreads(history)


def settle_spreads(history: BookHistory) -> None:
    """Forget what is older than thirty days and take the median of the rest."""
    oldest = history.hour - SPREAD_HOURS
    history.hours = [one for one in history.hours if one[0] >= oldest]
    known = [spread for _, spread in history.hours]
    history.spread_median = median(known) if len(known) >= SPREAD_HOURS_MIN else None


def sample_depth(history: BookHistory, depth: DepthFact, now: EngineNs) -> EngineNs:
    """Note the depth that was just told; when to look again. A side that does not reach 25 bp is
    no sample."""
    minute = now // DEPTH_EVERY_NS
    if depth.bid_usd is not None and depth.ask_usd is not None:
        history.minutes.append((minute, depth.bid_usd, depth.ask_usd))
    history.minutes = [one for one in history.minutes if one[0] > minute - DEPTH_MINUTES]
    enough = len(history.minutes) >= DEPTH_MINUTES_MIN
    if depth.bid_usd or not history.bid_median_usd:
        history.bid_median_usd = median([one[1] for one in history.minutes]) if enough else None
    if depth.ask_usd or not history.ask_median_usd:
        history.ask_median_usd = median([one[2] for one in history.minutes]) if enough else None
    return (minute + 1) * DEPTH_EVERY_NS
