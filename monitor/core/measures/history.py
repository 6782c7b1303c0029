"""How much of the past that the present is judged against is known, and how long the rest takes.

A market counts as known once its history was read to its end, or where an earlier process left
enough of it. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.measures.definition import Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import Node, VenueNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import Lack, VenueBit
from monitor.core.state.model import HistoryState, RiskState
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind
from monitor.core.warm_up import FUNDING, PAST, PRICES

# Request budgets are by the minute: a pace over less of one is the pace of a burst.
PACE_NS_MIN = 60 * SECOND_NS
LATE_PACES = 3  # so many times its pace without a word is a stop
LATE_NS_MIN = 120 * SECOND_NS
ETA_EVERY_NS = SECOND_NS
NEVER = "no history was read yet"


def _known_ratio(kind: str) -> Callable[[VenueNode, Use], float | None]:
    def compute(node: VenueNode, use: Use) -> float | None:
        found = node.venue.histories.get(kind)
        if found is None:
            use.absent(NEVER, Lack.HISTORY)
            return None
        return 1.0 - len(found.cold) / found.wanted

    return compute


def eta_ns(found: HistoryState, now: EngineNs) -> tuple[int | None, str]:
    """What one kind of history still takes at its own pace, or why that cannot be said."""
    if not found.unread:
        return 0, ""
    if not found.waiting:
        return None, f"{len(found.unread)} markets could not be read; they are tried again"
    elapsed_ns, silent_ns = found.told_ns - found.began_ns, now - found.told_ns
    known = found.read >= 1 and elapsed_ns >= PACE_NS_MIN
    pace_ns = elapsed_ns / found.read if known else 0.0
    if silent_ns > max(LATE_PACES * pace_ns, LATE_NS_MIN):
        return None, f"nothing was read for {silent_ns // SECOND_NS} s"
    if found.read < 1:
        return None, "the first market is being read"
    if not known:
        return None, "its pace is known after a minute of it"
    return max(round(found.waiting * pace_ns) - silent_ns, 0), ""


def _eta(node: VenueNode, use: Use) -> float | None:
    """Both kinds are read side by side: the slower one decides. What comes after them keeps nothing
    waiting."""
    histories = {kind: one for kind, one in node.venue.histories.items() if kind != PAST}
    if not histories:
        use.absent(NEVER, Lack.HISTORY)
        return None
    longest = 0
    for kind, found in sorted(histories.items()):
        left_ns, why = eta_ns(found, use.now)
        if left_ns is None:
            use.absent(f"{kind}: {why}")
            use.wake_at(use.now + ETA_EVERY_NS)
            return None
        longest = max(longest, left_ns)
    if longest:
        use.wake_at(use.now + ETA_EVERY_NS)
    return longest / SECOND_NS


def _past_eta(node: VenueNode, use: Use) -> float | None:
    found = node.venue.histories.get(PAST)
    if found is None:
        use.absent("it is read once the funding of thirty days is known", Lack.HISTORY)
        return None
    left_ns, why = eta_ns(found, use.now)
    if left_ns is None:
        use.absent(why.replace("market", "page"))
    if left_ns != 0:
        use.wake_at(use.now + ETA_EVERY_NS)
    return None if left_ns is None else left_ns / SECOND_NS


def _which(kind: str) -> Callable[[Node, RiskState, EngineNs], str]:
    """``34 of 41 markets``."""

    def say(node: Node, _state: RiskState, _now: EngineNs) -> str:
        found = node.venue.histories.get(kind) if isinstance(node, VenueNode) else None
        if found is None or not found.cold:
            return ""
        return f"{kind} of {found.wanted - len(found.cold)} of {found.wanted} markets"

    return say


def _pages_read(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``34 of 100 pages``."""
    found = node.venue.histories.get(PAST) if isinstance(node, VenueNode) else None
    return f"{found.wanted - len(found.unread)} of {found.wanted} pages" if found else ""


def _known(kind: str, name: str, what: str) -> Definition:
    return define(
        MeasureSpec(
            name=name,
            kinds=(SubjectKind.VENUE,),
            unit=Unit.RATIO,
            help=f"Share of the leading and watched markets whose {what} is known; 1 when warm.",
            low=0.0,
            high=1.0,
            typical=(1.0, 0.5),
        ),
        SubjectKind.VENUE,
        _known_ratio(kind),
        bits=VenueBit.HISTORY,
        detail=_which(kind),
    )


DEFINITIONS: tuple[Definition, ...] = (
    _known(FUNDING, "funding_baseline_known_ratio", "funding of 30 days"),
    _known(PRICES, "volatility_baseline_known_ratio", "price of 180 days"),
    define(
        MeasureSpec(
            name="baseline_eta_s",
            kinds=(SubjectKind.VENUE,),
            unit=Unit.SECONDS,
            help=(
                "Seconds until the history is read, at the pace so far; 0 when it is, absent while "
                "the pace is unknown."
            ),
            low=0.0,
            typical=(0.0, 600.0),
        ),
        SubjectKind.VENUE,
        _eta,
        bits=VenueBit.HISTORY,
    ),
    define(
        MeasureSpec(
            name="past_funding_eta_s",
            kinds=(SubjectKind.VENUE,),
            unit=Unit.SECONDS,
            help=(
                "Seconds until funding of before the last month is read, for the stress index of "
                "90 days; 0 when it is, absent while the pace is unknown."
            ),
            low=0.0,
            typical=(0.0, 900.0),
        ),
        SubjectKind.VENUE,
        _past_eta,
        bits=VenueBit.HISTORY,
        detail=_pages_read,
    ),
)
