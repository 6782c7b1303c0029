"""How far positions and accounts are from liquidation. *Pure.*

Each pool is judged alone: an isolated position by its own margin, the rest of the account by what
is left. All positions of an account are solved in one pass.
"""

from __future__ import annotations

from monitor.core.events import MarginTier
from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    compute_liquidation_distance,
    compute_liquidation_price,
    compute_uniform_move,
)
from monitor.core.measures.aggregate import upward
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import is_closed
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import AccountBit, Lack
from monitor.core.state.model import Freshness, Holding, Holdings, RiskState
from monitor.core.types import AccountMode, EngineNs, SubjectKind

LIQUIDATIONS = "_liquidations"
NEARER = 1.0 - 1e-9  # of one position alone both moves are the same but for rounding
WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
_EQUITY = "equity_usd"
# Looking a member up in its class costs more than all else around it (before Python 3.12).
_PORTFOLIO_MARGIN = AccountMode.PORTFOLIO_MARGIN


def has_own_rules(node: AccountNode) -> bool:
    """A portfolio-margin account, which our formulas do not describe."""
    return node.account.mode is _PORTFOLIO_MARGIN


def compute_liquidations(node: AccountNode, use: Use) -> float | None:
    """Number of positions solved: liquidation price and distance go to each holding, the cross
    pool's equity and requirement to ``node.holdings``."""
    into = node.holdings
    if has_own_rules(node):
        use.absent("a portfolio-margin account is liquidated by rules of its own")
    elif use.join(into.maintenance):
        equity = use.read(node, _EQUITY)
        if equity is not None and _fill_pool(into, equity, use):
            for name, one in into.held.items():
                _solve(into, one, node.markets[name].market.margin_tiers)
            into.liquidation = use.freshness()
            return float(len(into.held))
    into.liquidation = Freshness(reason=use.reason, lack=use.why.lack)
    return None


def _fill_pool(into: Holdings, equity_usd: float, use: Use) -> bool:
    """What is left for cross positions when isolated ones are taken out."""
    apart = required_apart = net_apart = 0.0
    for one in into.held.values():
        if one.isolated:
            if one.margin_equity_usd is None:
                use.absent("the margin of an isolated position is not known")
                return False
            apart += one.margin_equity_usd
            required_apart += one.maintenance_usd or 0.0
            net_apart += one.notional_usd
    into.pool_equity_usd = equity_usd - apart
    into.pool_maintenance_usd = into.maintenance_usd - required_apart
    into.pool_net_usd = into.net_usd - net_apart
    return True


def _solve(into: Holdings, one: Holding, tiers: tuple[MarginTier, ...]) -> None:
    own = one.maintenance_usd or 0.0
    if one.isolated:
        equity, maintenance = one.margin_equity_usd or 0.0, own
    else:
        equity, maintenance = into.pool_equity_usd, into.pool_maintenance_usd
    one.liquidation_price = price = compute_liquidation_price(
        size=one.size,
        price=one.price,
        equity_usd=equity,
        other_maintenance_usd=maintenance - own,
        tiers=tiers,
    )
    one.distance_ratio = compute_liquidation_distance(
        price=one.price,
        liquidation_price=price,
        equity_usd=equity,
        maintenance_usd=maintenance,
    )


def solved(node: PositionNode, use: Use) -> Holding | None:
    """The position with its liquidation price and distance; None where they are not known."""
    if use.read(node.owner, LIQUIDATIONS) is None:
        return None
    holding = node.owner.holdings.held.get(node.market.market.market)
    if holding is None:
        use.absent("the position has no price")
    return holding


def rises(one: Holding) -> bool:
    """Whether it is a rise that liquidates the position; of a big cross pool with little of this
    market it may be the other way than its sign."""
    price = one.liquidation_price
    return one.size < 0.0 if price is None else price > one.price


def _liquidation_price(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        use.absent("the position is closed", Lack.CHOICE)
        return None
    holding = solved(node, use)
    if holding is None:
        return None
    if holding.liquidation_price is None:
        use.absent("no price of this market alone would liquidate", Lack.CHOICE)
    return holding.liquidation_price


def _position_distance(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return OUT_OF_REACH_RATIO
    holding = solved(node, use)
    return None if holding is None else holding.distance_ratio


def _preview_distance(node: PositionNode) -> float | None:
    holdings = node.owner.holdings
    if holdings.liquidation.reason:
        return None
    holding = holdings.held.get(node.market.market.market)
    return None if holding is None else holding.distance_ratio


def _venue_liquidation_price(node: PositionNode, use: Use) -> float | None:
    if use.read(node.owner, HOLDINGS) is None:
        return None
    price = node.position.venue_liquidation_price
    if price is None:
        use.absent("the venue gives no liquidation price", Lack.CHOICE)
    return price


def _account_distance(node: AccountNode, use: Use) -> float | None:
    """The nearest of every position alone and all prices moving together: a book of several longs
    dies long before any single market would kill it."""
    if use.read(node, LIQUIDATIONS) is None:
        return None
    return min(_nearest_alone(node.holdings)[0], _together(node.holdings))


def _nearest_alone(into: Holdings) -> tuple[float, str]:
    """The least move of one market that liquidates, and which one's."""
    known = (
        (one.distance_ratio, name)
        for name, one in into.held.items()
        if one.distance_ratio is not None
    )
    return min(known, default=(OUT_OF_REACH_RATIO, ""))


def _together(into: Holdings) -> float:
    """The move of all prices at once that liquidates the cross pool."""
    move = compute_uniform_move(
        equity_usd=into.pool_equity_usd,
        net_notional_usd=into.pool_net_usd,
        maintenance_usd=into.pool_maintenance_usd,
    )
    if into.pool_maintenance_usd <= 0.0 or move is None:
        return OUT_OF_REACH_RATIO
    doomed = into.pool_equity_usd <= into.pool_maintenance_usd
    return 0.0 if doomed else min(abs(move), OUT_OF_REACH_RATIO)


def _preview_account_distance(node: AccountNode) -> float | None:
    into = node.holdings
    if into.liquidation.reason:
        return None
    return min(_nearest_alone(into)[0], _together(into))


def _nearest_named(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``all together, BTC 9.5 %``: what is nearest first, its distance being the number."""
    if not isinstance(node, AccountNode) or node.holdings.liquidation.reason:
        return ""
    alone, market = _nearest_alone(node.holdings)
    if _together(node.holdings) < alone * NEARER:
        apart = f", {market} {alone * 100:.1f} %" if alone < OUT_OF_REACH_RATIO else ""
        return f"all together{apart}"
    return market


DISTANCE = MeasureSpec(
    name="liquidation_distance_ratio",
    kinds=(SubjectKind.POSITION, *WIDE),
    unit=Unit.RATIO,
    help="Relative price move to the nearest liquidation, all markets moving together included.",
    low=0.0,
    high=OUT_OF_REACH_RATIO,
    at_zero="0 when already at or below maintenance; 10 when no move of +1000 % or less liquidates",
    typical=(0.5, 0.05),
    aggregate=Aggregate.MIN,
)


def _price(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=(SubjectKind.POSITION,),
        unit=Unit.PRICE,
        help=help_text,
        low=0.0,
        typical=(50_000.0, 58_000.0),
    )


# Solving follows every valuation, so that nothing else need be named.
SOLVED_OF_OWNER = ((Relation.ACCOUNT, LIQUIDATIONS),)
SOLVED_HERE = ((Relation.SELF, LIQUIDATIONS),)
_EQUITY_HERE = ((Relation.SELF, HOLDINGS), (Relation.SELF, _EQUITY))
_MONEY = AccountBit.MONEY | AccountBit.MODE

DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name=LIQUIDATIONS,
            kinds=(SubjectKind.ACCOUNT,),
            unit=Unit.COUNT,
            help="Positions solved for liquidation; an intermediate result.",
            low=0.0,
        ),
        SubjectKind.ACCOUNT,
        compute_liquidations,
        bits=_MONEY,
        needs=_EQUITY_HERE,
        always=True,
        hidden=True,
    ),
    define(
        _price(
            "liquidation_price",
            "Price of this market alone at which its pool is liquidated, by our own solution; "
            "absent where there is none.",
        ),
        SubjectKind.POSITION,
        _liquidation_price,
        needs=SOLVED_OF_OWNER,
    ),
    define(
        _price("venue_liquidation_price", "Liquidation price as the venue states it."),
        SubjectKind.POSITION,
        _venue_liquidation_price,
        needs=((Relation.ACCOUNT, HOLDINGS),),
    ),
    define(
        DISTANCE,
        SubjectKind.POSITION,
        _position_distance,
        needs=SOLVED_OF_OWNER,
        preview=_preview_distance,
    ),
    define(
        DISTANCE,
        SubjectKind.ACCOUNT,
        _account_distance,
        needs=SOLVED_HERE,
        preview=_preview_account_distance,
        detail=_nearest_named,
    ),
    *upward(DISTANCE, empty=OUT_OF_REACH_RATIO),
)
