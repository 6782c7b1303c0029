"""How well a venue serves us, part by part: requests that fail, orders that are answered late, gaps
in streams, books that stand.

What was never told of a venue is absent here, and left out of its score (``health``). *Pure.*
"""

from __future__ import annotations

from math import ceil

from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, VenueNode
from monitor.core.measures.use import Use, known_ns
from monitor.core.state.facts import Lack, VenueBit
from monitor.core.state.feeds import ANSWERS_WINDOW_NS, GAPS_WINDOW_NS, REQUESTS_WINDOW_NS
from monitor.core.state.model import RiskState, VenueState
from monitor.core.types import EngineNs, SubjectKind

ASKED_MIN = 20  # of fewer requests a share says nothing
ANSWERS_MIN = 5
LATE_SHARE = 0.95
NAMES_MAX = 3
_VENUE = (SubjectKind.VENUE,)


def _counted(venue: VenueState, now: EngineNs) -> tuple[int, int]:
    """Requests of the last ten minutes, and those that failed."""
    since = now - REQUESTS_WINDOW_NS
    recent = [one for one in venue.requests if one.at_ns > since]
    return sum(one.asked for one in recent), sum(one.failed for one in recent)


def _errors(node: VenueNode, use: Use) -> float | None:
    venue = node.venue
    asked, failed = _counted(venue, use.now)
    if asked < ASKED_MIN:
        use.absent(f"{asked} of {ASKED_MIN} requests counted in ten minutes", Lack.FILLING)
        return None
    first = min(one.at_ns for one in venue.requests if one.at_ns > use.now - REQUESTS_WINDOW_NS)
    use.wake_at(first + REQUESTS_WINDOW_NS)
    return failed / asked


def _errors_told(node: Node, _state: RiskState, now: EngineNs) -> str:
    """``37 of 412 requests failed``."""
    if not isinstance(node, VenueNode):
        return ""
    asked, failed = _counted(node.venue, now)
    return f"{failed} of {asked} requests failed" if asked else ""


def _gaps(node: VenueNode, use: Use) -> float:
    recent = [at for at in node.venue.gaps_ns if at > use.now - GAPS_WINDOW_NS]
    if recent:
        use.wake_at(recent[0] + GAPS_WINDOW_NS)
    return float(len(recent))


def _answers(node: VenueNode, use: Use) -> float | None:
    """The time that one in twenty exceeds; of few answers the slowest."""
    recent = [one for one in node.venue.answers if one.at_ns > use.now - ANSWERS_WINDOW_NS]
    if len(recent) < ANSWERS_MIN:
        # Who sends no orders is not to be told so.
        use.absent(
            f"{len(recent)} of {ANSWERS_MIN} orders or cancels of ours answered in an hour",
            Lack.CHOICE,
        )
        return None
    use.wake_at(recent[0].at_ns + ANSWERS_WINDOW_NS)
    return sorted(one.took_s for one in recent)[ceil(LATE_SHARE * len(recent)) - 1]


def _standing(node: VenueNode, state: RiskState, now: EngineNs) -> tuple[list[str], list[str]]:
    """Markets that we hold and whose books were ever told, and those of them that stand still."""
    told, standing = dict[str, None](), dict[str, None]()
    for account in node.related(Relation.ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        for name, place in account.markets.items():
            top = place.market.top
            position = account.account.positions.get(name)
            if not top.seen_ns or position is None or position.size == 0.0:
                continue
            told[name] = None
            if known_ns(top, state.channels.get(top.channel)) + place.top_limit <= now:
                standing[name] = None
    return list(told), list(standing)


def _books(node: VenueNode, use: Use) -> float | None:
    told, standing = _standing(node, use.state, use.now)
    if not told:
        use.absent("no book of a market that we hold was ever told")
        return None
    use.retry()  # a book that stands still tells nothing
    return len(standing) / len(told)


def _books_told(node: Node, state: RiskState, now: EngineNs) -> str:
    """``BTC, ETH and 3 more``."""
    if not isinstance(node, VenueNode):
        return ""
    names = sorted(_standing(node, state, now)[1])
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


ERRORS = MeasureSpec(
    name="request_error_ratio",
    kinds=_VENUE,
    unit=Unit.RATIO,
    help="Share of our requests to the venue of the last ten minutes that failed.",
    low=0.0,
    high=1.0,
    cadence_s=5.0,
    typical=(0.0, 0.1),
)
GAPS = MeasureSpec(
    name="stream_gaps",
    kinds=_VENUE,
    unit=Unit.COUNT,
    help="Times in the last five minutes that a stream of the venue lacked messages.",
    low=0.0,
    cadence_s=1.0,
    typical=(0.0, 3.0),
    words=("gap", "gaps"),
)
ANSWERS = MeasureSpec(
    name="order_answer_p95_s",
    kinds=_VENUE,
    unit=Unit.SECONDS,
    help=(
        "Seconds within which 95 % of the orders and cancels that riskd sent in the last hour were "
        "answered; absent below five, and where riskd sends none."
    ),
    low=0.0,
    cadence_s=1.0,
    typical=(0.3, 8.0),
)
BOOKS = MeasureSpec(
    name="books_stale_ratio",
    kinds=_VENUE,
    unit=Unit.RATIO,
    help="Share of the markets that we hold at the venue whose best prices are too old.",
    low=0.0,
    high=1.0,
    cadence_s=5.0,
    typical=(0.0, 0.5),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(ERRORS, SubjectKind.VENUE, _errors, bits=VenueBit.SERVICE, detail=_errors_told),
    define(GAPS, SubjectKind.VENUE, _gaps, bits=VenueBit.SERVICE),
    define(ANSWERS, SubjectKind.VENUE, _answers, bits=VenueBit.SERVICE),
    define(BOOKS, SubjectKind.VENUE, _books, detail=_books_told),
)
