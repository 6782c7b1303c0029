"""Margin of accounts and how far positions are from liquidation. *Pure.*

Each pool is judged alone: an isolated position by its own margin, the rest of the account by what
is left. Portfolio-margin accounts are judged by the venue's own statement only.
"""

from __future__ import annotations

from math import fsum

from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    compute_liquidation_distance,
    compute_liquidation_price,
    compute_uniform_move,
)
from monitor.core.formulas.ratios import (
    LEVERAGE_MAX,
    MARGIN_USAGE_MAX,
    compute_leverage,
    compute_margin_usage,
)
from monitor.core.measures.aggregate import upward
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.exposure import GROSS, holding_of, is_closed
from monitor.core.measures.holdings import HOLDINGS
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import AccountBit
from monitor.core.state.model import Holding
from monitor.core.types import AccountMode, SubjectKind

_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
_SELF_HOLDINGS = (Relation.SELF, HOLDINGS)
_EQUITY = "equity_usd"


class Pool:
    """The cross part of an account: what is left when isolated positions are taken out."""

    __slots__ = ("equity_usd", "maintenance_usd", "net_usd")

    def __init__(self, equity_usd: float, held: list[Holding]) -> None:
        cross = [one for one in held if not one.isolated]
        apart = fsum(one.margin_equity_usd or 0.0 for one in held if one.isolated)
        self.equity_usd = equity_usd - apart
        self.maintenance_usd = fsum(one.maintenance_usd or 0.0 for one in cross)
        self.net_usd = fsum(one.notional_usd for one in cross)


def read_pool(node: AccountNode, use: Use) -> Pool | None:
    """Equity and requirement of the cross pool, every input known; None otherwise."""
    if not use.join(node.holdings.maintenance):
        return None
    held = list(node.holdings.held.values())
    if any(one.isolated and one.margin_equity_usd is None for one in held):
        use.reason = "the margin of an isolated position is not known"
        return None
    equity = use.read(node, _EQUITY)
    return None if equity is None else Pool(equity, held)


def _own_rules(node: AccountNode) -> bool:
    return node.account.mode is AccountMode.PORTFOLIO_MARGIN


def _maintenance(node: AccountNode, use: Use) -> float | None:
    if _own_rules(node):
        fact = node.account.maintenance_margin
        if fact.value is None:
            use.reason = "the venue has not stated the maintenance of this portfolio-margin account"
            return None
        fresh = use.fresh(fact, node.account_limit, "maintenance margin")
        return max(fact.value, 0.0) if fresh else None
    return node.holdings.maintenance_usd if use.join(node.holdings.maintenance) else None


def _initial(node: AccountNode, use: Use) -> float | None:
    return node.holdings.initial_usd if use.join(node.holdings.initial) else None


def _free_collateral(node: AccountNode, use: Use) -> float | None:
    """Equity less initial margin; < 0 when under it. On dYdX by the chain's rule: the rate scales
    with open interest, which the indexer's own ``freeCollateral`` leaves out."""
    initial = _initial(node, use)
    if initial is None:
        return None
    equity = use.read(node, _EQUITY)
    return None if equity is None else equity - initial


def _leverage(node: Node, use: Use) -> float | None:
    gross = use.read(node, GROSS.name)
    if gross is None:
        return None
    equity = use.read(node, _EQUITY)
    return None if equity is None else compute_leverage(gross, equity)


def _margin_usage(node: AccountNode, use: Use) -> float | None:
    """The fullest pool of the account: cross, or any isolated position."""
    if _own_rules(node):
        required = _maintenance(node, use)
        if required is None:
            return None
        equity = use.read(node, _EQUITY)
        return None if equity is None else compute_margin_usage(required, equity)
    pool = read_pool(node, use)
    if pool is None:
        return None
    usages = [compute_margin_usage(pool.maintenance_usd, pool.equity_usd)]
    usages.extend(
        compute_margin_usage(one.maintenance_usd or 0.0, one.margin_equity_usd or 0.0)
        for one in node.holdings.held.values()
        if one.isolated
    )
    return max(usages)


# -------------------------------------------------------------------------------- liquidation


def _solve(node: AccountNode, market: str, one: Holding, pool: Pool) -> tuple[float | None, float]:
    """(liquidation price, distance) of one position."""
    equity, maintenance = pool.equity_usd, pool.maintenance_usd
    if one.isolated:
        equity, maintenance = one.margin_equity_usd or 0.0, one.maintenance_usd or 0.0
    price = compute_liquidation_price(
        size=one.size,
        price=one.price,
        equity_usd=equity,
        other_maintenance_usd=maintenance - (one.maintenance_usd or 0.0),
        tiers=node.markets[market].market.margin_tiers,
    )
    distance = compute_liquidation_distance(
        price=one.price,
        liquidation_price=price,
        equity_usd=equity,
        maintenance_usd=maintenance,
    )
    return price, distance


def _position_solution(node: PositionNode, use: Use) -> tuple[float | None, float] | None:
    if _own_rules(node.owner):
        use.reason = "a portfolio-margin account is liquidated by rules of its own"
        return None
    holding = holding_of(node, use)
    if holding is None:
        return None
    pool = read_pool(node.owner, use)
    if pool is None:
        return None
    return _solve(node.owner, node.market.market.market, holding, pool)


def _liquidation_price(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        use.reason = "the position is closed"
        return None
    solution = _position_solution(node, use)
    if solution is None:
        return None
    if solution[0] is None:
        use.reason = "no price of this market alone would liquidate"
    return solution[0]


def _position_distance(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return OUT_OF_REACH_RATIO
    solution = _position_solution(node, use)
    return None if solution is None else solution[1]


def _venue_liquidation_price(node: PositionNode, use: Use) -> float | None:
    if use.read(node.owner, HOLDINGS) is None:
        return None
    price = node.position.venue_liquidation_price
    if price is None:
        use.reason = "the venue gives no liquidation price"
    return price


def _account_distance(node: AccountNode, use: Use) -> float | None:
    """The nearest of every position alone and all prices moving together: a book of several longs
    dies long before any single market would kill it."""
    if _own_rules(node):
        use.reason = "a portfolio-margin account is liquidated by rules of its own"
        return None
    pool = read_pool(node, use)
    if pool is None:
        return None
    held = node.holdings.held
    distances = [_solve(node, name, one, pool)[1] for name, one in held.items()]
    move = compute_uniform_move(
        equity_usd=pool.equity_usd,
        net_notional_usd=pool.net_usd,
        maintenance_usd=pool.maintenance_usd,
    )
    if pool.maintenance_usd > 0.0 and move is not None:
        distances.append(0.0 if pool.equity_usd <= pool.maintenance_usd else abs(move))
    return min(min(distances, default=OUT_OF_REACH_RATIO), OUT_OF_REACH_RATIO)


def _usd(
    name: str,
    help_text: str,
    *,
    low: float = float("-inf"),
    typical: tuple[float, float],
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_WIDE,
        unit=Unit.USD,
        help=help_text,
        low=low,
        typical=typical,
        aggregate=Aggregate.SUM,
    )


INITIAL = _usd(
    "initial_margin_usd",
    "Margin needed to open the positions held, USD; on dYdX scaled with open interest.",
    low=0.0,
    typical=(1e5, 1e6),
)
MAINTENANCE = _usd(
    "maintenance_margin_usd",
    "Margin below which positions are liquidated, USD, by the venue's tiers.",
    low=0.0,
    typical=(5e4, 5e5),
)
FREE = _usd(
    "free_collateral_usd",
    "Equity less initial margin, USD; < 0 when under it.",
    typical=(5e5, -1e4),
)
LEVERAGE = MeasureSpec(
    name="leverage",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Gross exposure over equity.",
    low=0.0,
    high=LEVERAGE_MAX,
    at_zero="1000 when equity is gone with exposure left; 0 without exposure",
    typical=(2.0, 12.0),
)
USAGE = MeasureSpec(
    name="margin_usage_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Maintenance margin over equity of the fullest margin pool; liquidation at 1.",
    low=0.0,
    high=MARGIN_USAGE_MAX,
    at_zero="10 when equity is gone with a requirement left; 0 without requirement",
    typical=(0.2, 0.9),
    aggregate=Aggregate.MAX,
)
DISTANCE = MeasureSpec(
    name="liquidation_distance_ratio",
    kinds=(SubjectKind.POSITION, *_WIDE),
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


_EQUITY_OF_OWNER = ((Relation.ACCOUNT, HOLDINGS), (Relation.ACCOUNT, _EQUITY))
_EQUITY_HERE = (_SELF_HOLDINGS, (Relation.SELF, _EQUITY))
_LEVERAGE_NEEDS = ((Relation.SELF, GROSS.name), (Relation.SELF, _EQUITY))
_MONEY = AccountBit.MONEY | AccountBit.MODE

DEFINITIONS: tuple[Definition, ...] = (
    define(INITIAL, SubjectKind.ACCOUNT, _initial, needs=(_SELF_HOLDINGS,)),
    *upward(INITIAL),
    define(MAINTENANCE, SubjectKind.ACCOUNT, _maintenance, bits=_MONEY, needs=(_SELF_HOLDINGS,)),
    *upward(MAINTENANCE),
    define(FREE, SubjectKind.ACCOUNT, _free_collateral, needs=_EQUITY_HERE),
    *upward(FREE),
    *(define(LEVERAGE, kind, _leverage, needs=_LEVERAGE_NEEDS) for kind in _WIDE),
    define(USAGE, SubjectKind.ACCOUNT, _margin_usage, bits=_MONEY, needs=_EQUITY_HERE),
    *upward(USAGE),
    define(
        _price(
            "liquidation_price",
            "Price of this market alone at which its pool is liquidated, by our own solution; "
            "absent where there is none.",
        ),
        SubjectKind.POSITION,
        _liquidation_price,
        needs=_EQUITY_OF_OWNER,
    ),
    define(
        _price("venue_liquidation_price", "Liquidation price as the venue states it."),
        SubjectKind.POSITION,
        _venue_liquidation_price,
        needs=((Relation.ACCOUNT, HOLDINGS),),
    ),
    define(DISTANCE, SubjectKind.POSITION, _position_distance, needs=_EQUITY_OF_OWNER),
    define(DISTANCE, SubjectKind.ACCOUNT, _account_distance, bits=_MONEY, needs=_EQUITY_HERE),
    *upward(DISTANCE, empty=OUT_OF_REACH_RATIO),
)
