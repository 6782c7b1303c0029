"""One score for how well a venue serves us, from what already has measures of its own. *Pure.*

A part that a venue has never told (dYdX has no status of its own) is left out with its weight; one
that it told before and tells no more counts as bad, so that silence never looks like health.
"""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

from monitor.core.measures.accounts import AGE
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.service import ANSWERS as ANSWER_TIME
from monitor.core.measures.service import BOOKS as STALE_BOOKS
from monitor.core.measures.service import ERRORS
from monitor.core.measures.service import GAPS as STREAM_GAPS
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import Node, VenueNode
from monitor.core.measures.use import Use
from monitor.core.state.feeds import REJECTED_WINDOW_NS
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs, SubjectKind

# Weight, where it is still as good as it gets, and from where it is worth nothing.
SIGHT = ("sight", 40.0, 0.0, 0.5)  # share of feeds that tell nothing
BLOCKS = ("blocks", 20.0, 5.0, 30.0)  # age of the newest, seconds
STATUS = ("status", 20.0, 0.0, 1.0)  # 1: the venue says that something is wrong
REJECTED = ("unreadable frames", 10.0, 0.0, 10.0)  # in five minutes
TRUTH = ("account truth", 10.0, 30.0, 120.0)  # seconds since accounts were re-read
REQUESTS = ("requests", 15.0, 0.02, 0.20)  # share that failed, of ten minutes
ANSWERS = ("orders", 10.0, 1.0, 10.0)  # seconds within which 95 % were answered
BOOKS = ("books", 10.0, 0.0, 0.5)  # share of held markets whose best prices stand still
GAPS = ("gaps", 5.0, 0.0, 5.0)  # in five minutes
Part = tuple[str, float, float]  # name, weight, score in [0, 1]
Read = Callable[[str], float | None]


def _ramp(part: tuple[str, float, float, float], value: float | None) -> Part:
    name, weight, good, bad = part
    if value is None:
        return name, weight, 0.0
    return name, weight, min(max((bad - value) / (bad - good), 0.0), 1.0)


def parts_of(node: VenueNode, read: Read, now: EngineNs) -> list[Part]:
    """Every part of which something is known, or whose silence counts."""
    venue = node.venue
    found: list[Part] = []
    dark = read("venue_dark_ratio")
    if dark is not None:  # absent until anything was opened, and then never
        found.append(_ramp(SIGHT, dark))
    if venue.feeds:
        oldest = now - REJECTED_WINDOW_NS
        rejected = sum(at > oldest for feed in venue.feeds.values() for at in feed.rejected_ns)
        found.append(_ramp(REJECTED, float(rejected)))
    if venue.blocks:
        found.append(_ramp(BLOCKS, read("block_age_s")))
    if venue.health.seen_ns:
        healthy = read("venue_healthy")
        found.append(_ramp(STATUS, None if healthy is None else 1.0 - healthy))
    if any(account.truth.seen_ns for account in venue.accounts.values()):
        found.append(_ramp(TRUTH, read(AGE.name)))
    # These are of now alone: where nothing was asked, sent, held or missed they say nothing.
    for part, name in (
        (REQUESTS, ERRORS.name),
        (ANSWERS, ANSWER_TIME.name),
        (BOOKS, STALE_BOOKS.name),
        (GAPS, STREAM_GAPS.name),
    ):
        value = read(name)
        if value is not None and (part is not GAPS or value > 0.0):
            found.append(_ramp(part, value))
    return found


def _health(node: VenueNode, use: Use) -> float | None:
    parts = parts_of(node, lambda name: use.read(node, name), use.now)
    weights = fsum(weight for _, weight, _ in parts)
    if weights <= 0.0:
        use.absent("nothing is known of this venue")
        return None
    use.begin(use.now)  # what is absent counts: the score itself is always of now
    use.retry()
    return min(fsum(weight * score for _, weight, score in parts) / weights, 1.0)


def _worst(node: Node, _state: RiskState, now: EngineNs) -> str:
    """``blocks 0 %, sight 20 %``: the parts that are not as they should be."""
    if not isinstance(node, VenueNode):
        return ""

    def read(name: str) -> float | None:
        instance = node.instances.get(name)
        return None if instance is None else instance.cell.value

    poor = sorted((score, name) for name, _, score in parts_of(node, read, now) if score < 1.0)
    return ", ".join(f"{name} {score * 100:.0f} %" for score, name in poor[:3])


_READ = (
    "venue_dark_ratio",
    "block_age_s",
    "venue_healthy",
    AGE.name,
    ERRORS.name,
    ANSWER_TIME.name,
    STALE_BOOKS.name,
    STREAM_GAPS.name,
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name="venue_health_ratio",
            kinds=(SubjectKind.VENUE,),
            unit=Unit.RATIO,
            help=(
                "How well the venue serves us, 1 is well: sight weighs 40, blocks and own status "
                "20 each, requests 15, answers to orders, readable frames, account truth, books 10 "
                "each, gaps 5."
            ),
            low=0.0,
            high=1.0,
            cadence_s=1.0,
            typical=(1.0, 0.5),
        ),
        SubjectKind.VENUE,
        _health,
        needs=tuple((Relation.SELF, name) for name in _READ),
        detail=_worst,
    ),
)
