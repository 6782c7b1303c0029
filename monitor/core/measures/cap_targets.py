"""What a cut to a cap leaves: gross exposure in USD, for rules that cut to exactly a cap. *Pure.*

Where nothing is above its cap, that is all there is. What the cap, or the exposure, is absent for
is absent here too, and then nothing can be cut.
"""

from __future__ import annotations

from math import fsum

from monitor.core.measures.book_risk import read_book
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import GROSS, holding_of, is_closed
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import OFF_BOOK_BIT
from monitor.core.types import SubjectKind

CADENCE_S = 5.0
_NET_TO_CAP = "leverage_net_to_cap_ratio"
_FUNDING_CAP = "funding_notional_cap_ratio"


def _net_terms(node: PortfolioNode, use: Use) -> tuple[float, float, float] | None:
    """Gross that accounts hold, the part of the book that nothing offsets, and net over its cap."""
    ratio = use.read(node, _NET_TO_CAP)
    book = None if ratio is None else read_book(node, use)
    if ratio is None or book is None:
        return None
    parts = []
    for venue in node.venues:
        gross = use.read(venue, GROSS.name)
        if gross is None:
            return None
        parts.append(gross)
    return fsum(parts), fsum(abs(usd) for usd in book.values()), ratio


def _net_target(node: PortfolioNode, use: Use) -> float | None:
    """A cut takes what is unpaired first and in proportion, which scales net by the same share; so
    net is at its cap once 1 - cap/net of what is unpaired is gone."""
    terms = _net_terms(node, use)
    if terms is None:
        return None
    gross, unpaired, ratio = terms
    return gross if ratio <= 1.0 else max(gross - unpaired * (1.0 - 1.0 / ratio), 0.0)


def _work_net_target(node: PortfolioNode, use: Use) -> tuple[str, ...]:
    terms = _net_terms(node, use)
    if terms is None:
        return ()
    gross, unpaired, ratio = terms
    if ratio <= 1.0:
        return (f"net is {ratio:.4g} of its cap: all of gross {gross:,.2f} may stay",)
    return (
        f"unpaired {unpaired:,.2f} x (1 - 1 / {ratio:.4g}) = {unpaired * (1 - 1 / ratio):,.2f} off",
        f"gross {gross:,.2f} less that, at least 0",
    )


def _funding_target(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    ratio = None if holding is None else use.read(node, _FUNDING_CAP)
    if holding is None or ratio is None:
        return None
    return abs(holding.notional_usd) / max(ratio, 1.0)


DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name="leverage_cap_target_usd",
            kinds=(SubjectKind.PORTFOLIO,),
            unit=Unit.USD,
            help=(
                "Gross exposure of the accounts at which net leverage meets its cap, where what is "
                "unpaired is cut first; all of it below the cap."
            ),
            low=0.0,
            cadence_s=CADENCE_S,
            typical=(1e6, 8e5),
        ),
        SubjectKind.PORTFOLIO,
        _net_target,
        bits=OFF_BOOK_BIT,
        needs=(
            (Relation.SELF, _NET_TO_CAP),
            (Relation.VENUES, GROSS.name),
            (Relation.ALL_ACCOUNTS, HOLDINGS),
        ),
        arithmetic=_work_net_target,
    ),
    define(
        MeasureSpec(
            name="funding_notional_cap_usd",
            kinds=(SubjectKind.POSITION,),
            unit=Unit.USD,
            help=(
                "Position whose funding at the predicted rate stays within a day of the book's "
                "budget, USD; all of it where it does."
            ),
            low=0.0,
            cadence_s=CADENCE_S,
            typical=(1e5, 5e4),
        ),
        SubjectKind.POSITION,
        _funding_target,
        needs=((Relation.ACCOUNT, HOLDINGS), (Relation.SELF, _FUNDING_CAP)),
    ),
)
