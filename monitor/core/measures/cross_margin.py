"""What shares one margin pool: strategies that would be liquidated for each other, hedges whose
other leg pays elsewhere, and how long help takes. *Pure.*

Cross margin is efficient until a correlated liquidation happens. Isolated positions share nothing.
"""

from __future__ import annotations

from math import fsum

from monitor.core.measures.book_risk import read_book
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.state.facts import Lack
from monitor.core.state.model import RiskState
from monitor.core.structure import Strategy, covers_any
from monitor.core.types import EngineNs, SubjectKind

_ACCOUNT = (SubjectKind.ACCOUNT,)
_NEEDS = ((Relation.SELF, HOLDINGS),)
# A leg elsewhere that is smaller than this share of ours hedges nothing worth a word.
LEG_RATIO_MIN = 0.01


def cross_nets(node: AccountNode) -> dict[str, float]:
    """Signed USD by asset of the positions that share the pool's margin."""
    parts: dict[str, list[float]] = {}
    for name, holding in node.holdings.held.items():
        if not holding.isolated:
            parts.setdefault(node.markets[name].market.asset, []).append(holding.notional_usd)
    return {asset: fsum(usd) for asset, usd in parts.items()}


def _sharing(node: AccountNode, use: Use) -> float | None:
    """How many strategies have a position in the pool."""
    strategies = use.settings.structure.strategies
    if not strategies:
        use.absent(f"{NO_SOURCE}`structure.strategies` names none", Lack.CHOICE)
        return None
    if use.read(node, HOLDINGS) is None or not use.join(node.holdings.exposure):
        return None
    held = cross_nets(node)
    return float(sum(_takes_part(one, node, held) for one in strategies))


def _takes_part(strategy: Strategy, node: AccountNode, held: dict[str, float]) -> bool:
    account = node.account
    if held and covers_any(strategy.accounts, account.venue, account.account):
        return True
    return any(asset in held for asset in strategy.assets)


def hedged_elsewhere(node: AccountNode, use: Use) -> dict[str, tuple[float, float]] | None:
    """Assets of the pool that the rest of the book, on no account of this venue, is against: signed
    USD of the pool and of that rest, by asset."""
    if use.read(node, HOLDINGS) is None or not use.join(node.holdings.exposure):
        return None
    venue, whole = node.ancestors[0], node.ancestors[-1]
    if not isinstance(whole, PortfolioNode):
        raise TypeError(f"{node.subject} is of no portfolio")
    book = read_book(whole, use)
    if book is None:
        return None
    here: dict[str, list[float]] = {}
    for other in venue.related(Relation.ACCOUNTS):
        if isinstance(other, AccountNode):
            for name, holding in other.holdings.held.items():
                asset = other.markets[name].market.asset
                here.setdefault(asset, []).append(holding.notional_usd)
    found = {}
    for asset, net in sorted(cross_nets(node).items()):
        rest = book.get(asset, 0.0) - fsum(here.get(asset, ()))
        if net * rest < 0.0 and abs(rest) >= LEG_RATIO_MIN * abs(net):
            found[asset] = (net, rest)
    return found


def _off_venue(node: AccountNode, use: Use) -> float | None:
    found = hedged_elsewhere(node, use)
    use.retry()  # other accounts and off-book legs are not followed message by message
    return None if found is None else float(len(found))


def _reach(node: AccountNode, use: Use) -> float:
    return use.settings.margin.reach_s(node.account.venue)


def _held_named(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``BTC, ETH``: what shares the pool."""
    if not isinstance(node, AccountNode):
        return ""
    return ", ".join(sorted(cross_nets(node)))


DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name="cross_margin_strategies_count",
            kinds=_ACCOUNT,
            unit=Unit.COUNT,
            help="Strategies of the desk with a position that shares this pool's margin.",
            low=0.0,
            cadence_s=5.0,
            typical=(1.0, 3.0),
            words=("strategy", "strategies"),
        ),
        SubjectKind.ACCOUNT,
        _sharing,
        needs=_NEEDS,
        detail=_held_named,
    ),
    define(
        MeasureSpec(
            name="hedges_off_venue_count",
            kinds=_ACCOUNT,
            unit=Unit.COUNT,
            help="Assets of this pool whose other leg is on another venue or off the book.",
            low=0.0,
            cadence_s=5.0,
            typical=(0.0, 2.0),
            words=("hedge", "hedges"),
        ),
        SubjectKind.ACCOUNT,
        _off_venue,
        needs=_NEEDS,
    ),
    define(
        MeasureSpec(
            name="collateral_reach_s",
            kinds=_ACCOUNT,
            unit=Unit.SECONDS,
            help="How long collateral needs to arrive here at worst, as the desk rehearsed it.",
            low=0.0,
            typical=(240.0, 3_600.0),
        ),
        SubjectKind.ACCOUNT,
        _reach,
    ),
)
