"""How likely an account's hedges break it: its longs fall while its shorts rise.

The nearest barrier of a hedged account is in no market's price. How far it is in sigmas rests on
how the account's assets move together: on correlations of thirty days, and on each asset's
volatility of the horizon. *Pure.*
"""

from __future__ import annotations

from math import fsum, sqrt

from monitor.core.formulas.first_passage import compute_least_distance
from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    SIGMAS_MAX,
    compute_distance_sigmas,
    compute_shock_distance,
)
from monitor.core.formulas.volatility import DAYS_PER_YEAR
from monitor.core.measures.aggregate import upward
from monitor.core.measures.barriers import HORIZON
from monitor.core.measures.book_risk import covariance
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.liquidation import LIQUIDATIONS, SOLVED_HERE
from monitor.core.measures.passage import OF_MINIMUM_MAX
from monitor.core.measures.shocks import broken, nets_of, pool_of
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, Node, PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs, SubjectKind

_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)


def _scales(node: AccountNode, nets: dict[str, float], use: Use) -> dict[str, float] | None:
    """By asset, the USD that one sigma of a year moves what is held, signed; None where a
    volatility is not known."""
    assets = {
        one.asset: one
        for position in node.related(Relation.POSITIONS)
        for one in position.related(Relation.ASSET)
        if isinstance(one, AssetNode)
    }
    found = {}
    for asset, usd in nets.items():
        if usd == 0.0:
            continue
        known = assets.get(asset)
        if known is None:
            use.absent(f"{asset or 'a position'} is of no asset that is listed")
            return None
        volatility = use.read(known, HORIZON.name)
        if volatility is None:
            return None
        found[asset] = usd * volatility
    return found


def _pool_sigma(node: AccountNode, use: Use) -> float | None:
    """Of a day: what the cross pool wins or loses by one sigma."""
    top = node.ancestors[-1]
    if use.read(node, LIQUIDATIONS) is None or not isinstance(top, PortfolioNode):
        return None
    scales = _scales(node, nets_of(pool_of(node)), use)
    variance = None if scales is None else covariance(top, scales, scales, use)
    return None if variance is None else sqrt(max(variance, 0.0) / DAYS_PER_YEAR)


def _distance(node: AccountNode, use: Use) -> float | None:
    if use.read(node, LIQUIDATIONS) is None:
        return None
    pool = pool_of(node)
    if not pool:
        return OUT_OF_REACH_RATIO
    return compute_shock_distance(node.holdings.pool_equity_usd, broken(pool), sign=-1.0)


def daily_sigma(node: AccountNode, use: Use) -> float | None:
    """Sigma of a day of the move itself: longs down and shorts up by the same share."""
    sigma = use.read(node, SIGMA.name)
    if sigma is None:
        return None
    gross = fsum(abs(usd) for usd in nets_of(pool_of(node)).values())
    return sigma / gross if gross > 0.0 else 0.0


def _sigmas(node: AccountNode, use: Use) -> float | None:
    distance = use.read(node, BREAK.name)
    if distance is None:
        return None
    if distance >= OUT_OF_REACH_RATIO:
        return SIGMAS_MAX
    daily = daily_sigma(node, use)
    # By the side that rises: it is the nearer of the two in sigmas.
    return None if daily is None else compute_distance_sigmas(distance, daily, up=True)


def _of_minimum(node: AccountNode, use: Use) -> float | None:
    distance = use.read(node, BREAK.name)
    if distance is None:
        return None
    if distance >= OUT_OF_REACH_RATIO:
        return OF_MINIMUM_MAX
    daily = daily_sigma(node, use)
    if daily is None:
        return None
    least = compute_least_distance(
        volatility_annualized=daily * sqrt(DAYS_PER_YEAR),
        latency_s=use.settings.margin.reach_s(node.account.venue),
    )
    return min(distance / least, OF_MINIMUM_MAX)


def _sides(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``BTC/ETH``: the largest that it is long of, and short of; ``long BTC`` of one side."""
    if not isinstance(node, AccountNode) or node.holdings.liquidation.reason:
        return ""
    nets = nets_of(pool_of(node))
    longs = max(((usd, asset) for asset, usd in nets.items() if usd > 0.0), default=None)
    shorts = max(((-usd, asset) for asset, usd in nets.items() if usd < 0.0), default=None)
    if longs is not None and shorts is not None:
        return f"{longs[1]}/{shorts[1]}"
    sides = (("long", longs), ("short", shorts))
    return "".join(f"{side} {found[1]}" for side, found in sides if found is not None)


def _away(node: Node, state: RiskState, now: EngineNs) -> str:
    """``BTC/ETH 4.1 %``: how far the two must move apart."""
    sides, instance = _sides(node, state, now), node.instances.get(BREAK.name)
    distance = None if instance is None else instance.cell.value
    return sides if distance is None else f"{sides} {distance * 100:.1f} %"


SIGMA = MeasureSpec(
    name="pool_sigma_daily_usd",
    kinds=(SubjectKind.ACCOUNT,),
    unit=Unit.USD,
    help="What the cross pool wins or loses in a day by one sigma, by present correlations, USD.",
    low=0.0,
    cadence_s=5.0,
    at_zero="0 when nothing is held",
    typical=(2e4, 1e5),
)
BREAK = MeasureSpec(
    name="liquidation_hedge_break_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Least move of longs down and shorts up at once that liquidates the cross pool.",
    low=0.0,
    high=OUT_OF_REACH_RATIO,
    cadence_s=1.0,
    at_zero="0 when at or below maintenance; 10 when no move of +1000 % or less liquidates",
    typical=(0.3, 0.03),
    aggregate=Aggregate.MIN,
)
SIGMAS = MeasureSpec(
    name="liquidation_hedge_sigmas",
    kinds=_WIDE,
    unit=Unit.COUNT,
    help="The same in daily sigmas of how far longs and shorts move apart, by correlations.",
    low=0.0,
    high=SIGMAS_MAX,
    cadence_s=1.0,
    at_zero="0 when at or below maintenance; 1000 when nothing liquidates",
    typical=(8.0, 1.2),
    aggregate=Aggregate.MIN,
    words=("sigma", "sigmas"),
)
OF_MINIMUM = MeasureSpec(
    name="liquidation_hedge_of_minimum_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help=(
        "The same over the least for this venue: 1.5 times the move of one time in a thousand "
        "while help is on its way, and 3 %."
    ),
    low=0.0,
    high=OF_MINIMUM_MAX,
    cadence_s=1.0,
    at_zero="0 when at or below maintenance; 1000 when nothing liquidates",
    typical=(4.0, 0.8),
    aggregate=Aggregate.MIN,
    words=("x",),
)
_FROM_BREAK = ((Relation.SELF, BREAK.name), (Relation.SELF, SIGMA.name))

DEFINITIONS: tuple[Definition, ...] = (
    define(SIGMA, SubjectKind.ACCOUNT, _pool_sigma, needs=SOLVED_HERE),
    define(BREAK, SubjectKind.ACCOUNT, _distance, needs=SOLVED_HERE, detail=_sides),
    *upward(BREAK, empty=OUT_OF_REACH_RATIO),
    define(
        SIGMAS,
        SubjectKind.ACCOUNT,
        _sigmas,
        needs=_FROM_BREAK,
        detail=_away,
    ),
    *upward(SIGMAS, empty=SIGMAS_MAX),
    define(
        OF_MINIMUM,
        SubjectKind.ACCOUNT,
        _of_minimum,
        needs=_FROM_BREAK,
        detail=_away,
    ),
    *upward(OF_MINIMUM, empty=OF_MINIMUM_MAX),
)
