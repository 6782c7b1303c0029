"""What a cut to a cap leaves: gross exposure in USD, for rules that cut to exactly a cap. *Pure.*

Where nothing is above its cap, that is all there is. What the cap, or the exposure, is absent for
is absent here too, and then nothing can be cut.
"""

from __future__ import annotations

from math import copysign, fsum
from typing import NamedTuple

from monitor.core.measures.book_risk import BETA_NET, read_beta, read_book, read_held
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exit_time import markets_held
from monitor.core.measures.exposure import GROSS, holding_of, is_closed
from monitor.core.measures.gross_leverage import GROSS_TO_CAP
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AssetNode, Node, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import OFF_BOOK_BIT
from monitor.core.types import SubjectKind

CADENCE_S = 5.0
_NET_TO_CAP = "leverage_net_to_cap_ratio"
_FUNDING_CAP = "funding_notional_cap_ratio"
# Where even all of it would not reach the cap: net that has to go with each dollar that is sold.
EFFECT_MIN = 0.5


class _Terms(NamedTuple):
    """USD but for the ratio. ``unpaired`` is what accounts hold that nothing offsets, gross;
    ``lessens`` by how much net is nearer to 0 without it; ``excess`` is net above its cap."""

    gross: float
    unpaired: float
    lessens: float
    excess: float
    ratio: float

    @property
    def share(self) -> float:
        """Of what is unpaired, to be cut; 0 where that would not help."""
        if self.excess <= 0.0 or self.lessens <= 0.0:
            return 0.0
        if self.lessens < self.excess and self.lessens < EFFECT_MIN * self.unpaired:
            return 0.0
        return min(self.excess / self.lessens, 1.0)

    @property
    def target(self) -> float:
        """Gross that is left."""
        return max(self.gross - self.unpaired * self.share, 0.0)


def _net_terms(node: PortfolioNode, use: Use) -> _Terms | None:
    ratio, net = use.read(node, _NET_TO_CAP), use.read(node, BETA_NET.name)
    if ratio is None or net is None:
        return None
    book, held = read_book(node, use), read_held(node.related(Relation.ALL_ACCOUNTS), use)
    if book is None or held is None:
        return None
    parts = []
    for venue in node.venues:
        gross = use.read(venue, GROSS.name)
        if gross is None:
            return None
        parts.append(gross)
    unpaired, moves = [], []
    for asset, usd in held.items():
        # What lies off the book cannot be cut, and what hedges it must not.
        free = min(abs(usd), abs(book[asset])) if usd * book[asset] > 0.0 else 0.0
        if free == 0.0:
            continue
        beta = read_beta(node, asset, use)
        if beta is None:
            return None
        unpaired.append(free)
        moves.append(copysign(free, usd) * beta)
    return _Terms(
        gross=fsum(parts),
        unpaired=fsum(unpaired),
        lessens=fsum(moves) * copysign(1.0, net),
        excess=0.0 if ratio <= 1.0 else abs(net) * (1.0 - 1.0 / ratio),
        ratio=ratio,
    )


def _net_target(node: PortfolioNode, use: Use) -> float | None:
    """A cut takes what is unpaired first and in proportion; net is at its cap once the part of it
    is gone that takes net's excess along."""
    terms = _net_terms(node, use)
    return None if terms is None else terms.target


def _work_net_target(node: PortfolioNode, use: Use) -> tuple[str, ...]:
    terms = _net_terms(node, use)
    if terms is None:
        return ()
    gross, unpaired, lessens, excess, ratio = terms
    if ratio <= 1.0:
        return (f"net is {ratio:.4g} of its cap: all of gross {gross:,.2f} may stay",)
    said = f"net is {ratio:.4g} of its cap, {excess:,.2f} above it"
    of_it = f"without the {unpaired:,.2f} unpaired in accounts net is {lessens:,.2f} less"
    if terms.share == 0.0:
        return (said, f"{of_it}: nothing to cut here would mend it")
    off = unpaired * terms.share
    return (
        said,
        f"{of_it}: {terms.share:.4g} of them, {off:,.2f}, off",
        f"gross {gross:,.2f} less that, at least 0",
    )


def _held_gross(node: Node, use: Use) -> float | None:
    """Gross that accounts hold in it, USD: what lies off the book cannot be cut."""
    if isinstance(node, AssetNode):
        places = markets_held(node, use)
        return None if places is None else fsum(gross for _, gross in places)
    if not isinstance(node, PortfolioNode):
        return use.read(node, GROSS.name)
    parts = []
    for venue in node.venues:
        gross = use.read(venue, GROSS.name)
        if gross is None:
            return None
        parts.append(gross)
    return fsum(parts)


def _gross_terms(node: Node, use: Use) -> tuple[float, float, float] | None:
    """(Gross that accounts hold, gross above its cap, ratio to the cap)."""
    ratio, whole = use.read(node, GROSS_TO_CAP.name), use.read(node, GROSS.name)
    held = None if ratio is None or whole is None else _held_gross(node, use)
    if ratio is None or whole is None or held is None:
        return None
    return held, 0.0 if ratio <= 1.0 else whole * (1.0 - 1.0 / ratio), ratio


def _gross_target(node: Node, use: Use) -> float | None:
    """Equity stays what it is, so gross is at its cap once the excess over it is gone."""
    terms = _gross_terms(node, use)
    return None if terms is None else max(terms[0] - terms[1], 0.0)


def _work_gross_target(node: Node, use: Use) -> tuple[str, ...]:
    terms = _gross_terms(node, use)
    if terms is None:
        return ()
    held, excess, ratio = terms
    said = f"gross is {ratio:.4g} of its cap, {excess:,.2f} above it"
    return (said, f"the {held:,.2f} that accounts hold less that, at least 0")


def _funding_target(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    ratio = None if holding is None else use.read(node, _FUNDING_CAP)
    if holding is None or ratio is None:
        return None
    return abs(holding.notional_usd) / max(ratio, 1.0)


_GROSS_TARGET = MeasureSpec(
    name="leverage_gross_target_usd",
    kinds=(SubjectKind.ASSET, SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    unit=Unit.USD,
    help=(
        "Gross exposure of the accounts at which gross leverage meets its cap by exit time; all of "
        "it below the cap."
    ),
    low=0.0,
    cadence_s=CADENCE_S,
    typical=(1e6, 8e5),
)
_GROSS_NEEDS: dict[SubjectKind, tuple[tuple[Relation, str], ...]] = {
    SubjectKind.ASSET: ((Relation.HOLDERS, HOLDINGS),),
    SubjectKind.VENUE: (),
    SubjectKind.PORTFOLIO: ((Relation.VENUES, GROSS.name),),
}

DEFINITIONS: tuple[Definition, ...] = (
    *(
        define(
            _GROSS_TARGET,
            kind,
            _gross_target,
            needs=((Relation.SELF, GROSS_TO_CAP.name), (Relation.SELF, GROSS.name), *more),
            arithmetic=_work_gross_target,
        )
        for kind, more in _GROSS_NEEDS.items()
    ),
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
            (Relation.SELF, BETA_NET.name),
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
