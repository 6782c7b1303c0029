"""Margin of accounts, and positions against the equity and the book behind them. *Pure.*

Portfolio-margin accounts are judged by the venue's own statement only.
"""

from __future__ import annotations

from math import fsum

from monitor.core.formulas.margin import compute_scaled_initial_rate
from monitor.core.formulas.ratios import (
    LEVERAGE_MAX,
    MARGIN_USAGE_MAX,
    compute_leverage,
    compute_margin_usage,
)
from monitor.core.measures.aggregate import upward
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import GROSS, holding_of, is_closed
from monitor.core.measures.liquidation import (
    LIQUIDATIONS,
    SOLVED_HERE,
    SOLVED_OF_OWNER,
    has_own_rules,
)
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, MarketNode, Node, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import AccountBit
from monitor.core.state.model import Holding, PositionState
from monitor.core.types import SubjectKind

_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
_SELF_HOLDINGS = (Relation.SELF, HOLDINGS)
_EQUITY = "equity_usd"


def _maintenance(node: AccountNode, use: Use) -> float | None:
    if has_own_rules(node):
        fact = node.account.maintenance_margin
        if fact.value is None:
            use.absent("the venue has not stated the maintenance of this portfolio-margin account")
            return None
        fresh = use.fresh(fact, node.account_limit, "maintenance margin")
        return max(fact.value, 0.0) if fresh else None
    return node.holdings.maintenance_usd if use.join(node.holdings.maintenance) else None


def _free_collateral(node: AccountNode, use: Use) -> float | None:
    """Equity less initial margin; < 0 when under it. On dYdX by the chain's rule: the rate scales
    with open interest, which the indexer's own ``freeCollateral`` leaves out."""
    initial = _initial(node, use)
    if initial is None:
        return None
    equity = use.read(node, _EQUITY)
    return None if equity is None else equity - initial


def _free_ratio(node: AccountNode, use: Use) -> float | None:
    """Free collateral over equity; -1 where equity is gone."""
    equity = use.read(node, _EQUITY)
    free = None if equity is None else use.read(node, FREE.name)
    if equity is None or free is None:
        return None
    if equity <= 0.0:
        return 0.0 if equity == free == 0.0 else -1.0
    return min(max(free / equity, -1.0), 1.0)


def _leverage(node: Node, use: Use) -> float | None:
    gross = use.read(node, GROSS.name)
    if gross is None:
        return None
    equity = use.read(node, _EQUITY)
    return None if equity is None else compute_leverage(gross, equity)


def _preview_leverage(node: Node) -> float | None:
    gross, equity = node.instances[GROSS.name].cell, node.instances[_EQUITY].cell
    if gross.value is None or equity.value is None:
        return None
    if gross.estimated or equity.estimated or node.instances[LEVERAGE.name].cell.estimated:
        return None  # that it is an estimate, or none any more, has to be told
    return compute_leverage(gross.value, equity.value)


def _margin_usage(node: AccountNode, use: Use) -> float | None:
    """The fuller of the cross pool and the account as a whole.

    An isolated position does not fill the account by itself, however close it is to its own end:
    it can lose its margin and no more, and its liquidation distance is judged for itself. A small
    one must not raise an alarm about the whole account.
    """
    required = _maintenance(node, use)
    equity = None if required is None else use.read(node, _EQUITY)
    if required is None or equity is None:
        return None
    whole = compute_margin_usage(required, equity)
    if has_own_rules(node):
        return whole
    if use.read(node, LIQUIDATIONS) is None:
        return None
    pool = node.holdings
    return max(whole, compute_margin_usage(pool.pool_maintenance_usd, pool.pool_equity_usd))


# -------------------------------------------------------------------- positions against others


def _equity_share(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    if holding is None:
        return None
    equity = use.read(node.owner, _EQUITY)
    return None if equity is None else compute_leverage(abs(holding.notional_usd), equity)


def _preview_equity_share(node: PositionNode) -> float | None:
    holding = node.owner.holdings.held.get(node.market.market.market)
    equity = node.owner.instances[_EQUITY].cell.value
    if holding is None or equity is None:
        return None
    return compute_leverage(abs(holding.notional_usd), equity)


def _funding_cost(node: Node, use: Use) -> float | None:
    daily = use.read(node, "funding_projected_24h_usd")
    if daily is None:
        return None
    equity = use.read(node, _EQUITY)
    if equity is None:
        return None
    cost = 30.0 * daily
    return compute_leverage(cost, equity) if cost > 0.0 else -compute_leverage(-cost, equity)


# ----------------------------------------------------------------------------- initial margin


def _initial_of(
    place: MarketNode, holding: Holding, position: PositionState, use: Use
) -> float | None:
    """All that an isolated position has of its own: it is locked, profit and all. Of others by the
    position's leverage where the venue states one, else by the market's rate, scaled with open
    interest where the market has caps."""
    if holding.isolated and holding.margin_equity_usd is not None:
        return max(holding.margin_equity_usd, 0.0)
    notional = abs(holding.notional_usd)
    if position.leverage is not None and position.leverage > 0.0:
        return notional / position.leverage
    market = place.market
    if not market.margin_tiers:
        use.absent(f"margin tiers of {market.market} are not known")
        return None
    rate = market.margin_tiers[0].initial_margin_rate
    upper = market.open_interest_upper_cap_usd
    if upper:
        interest = market.open_interest.value
        if interest is None:
            use.absent(f"open interest of {market.market} is not known")
            return None
        if not use.fresh(market.open_interest, place.open_interest_limit, "open interest"):
            return None
        rate = compute_scaled_initial_rate(
            rate,
            open_interest_usd=interest * holding.price,
            lower_cap_usd=market.open_interest_lower_cap_usd or 0.0,
            upper_cap_usd=upper,
        )
    return notional * rate


def _initial(node: AccountNode, use: Use) -> float | None:
    if not use.join(node.holdings.exposure):
        return None
    amounts = []
    for name, holding in node.holdings.held.items():
        amount = _initial_of(node.markets[name], holding, node.account.positions[name], use)
        if amount is None:
            return None
        amounts.append(amount)
    return fsum(amounts)


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
FREE_RATIO = MeasureSpec(
    name="free_collateral_ratio",
    kinds=(SubjectKind.ACCOUNT,),
    unit=Unit.RATIO,
    help="Free collateral over equity; < 0 when under initial margin.",
    low=-1.0,
    high=1.0,
    cadence_s=10.0,
    at_zero="-1 when equity is gone; 0 for an empty account",
    typical=(0.2, -0.1),
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
    words=("x",),
)
USAGE = MeasureSpec(
    name="margin_usage_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Maintenance margin over equity of the cross pool or of it all; liquidation at 1.",
    low=0.0,
    high=MARGIN_USAGE_MAX,
    at_zero="10 when equity is gone with a requirement left; 0 without requirement",
    typical=(0.1, 0.9),
    aggregate=Aggregate.MAX,
)
_EQUITY_HERE = (_SELF_HOLDINGS, (Relation.SELF, _EQUITY))
_LEVERAGE_NEEDS = ((Relation.SELF, GROSS.name), (Relation.SELF, _EQUITY))
EQUITY_SHARE = MeasureSpec(
    name="equity_share_ratio",
    kinds=(SubjectKind.POSITION,),
    unit=Unit.RATIO,
    help="Absolute position value over the account's equity.",
    low=0.0,
    high=LEVERAGE_MAX,
    at_zero="1000 when equity is gone; 0 once closed",
    typical=(0.5, 4.0),
    words=("x",),
)
FUNDING_COST = MeasureSpec(
    name="funding_cost_30d_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Thirty days of projected funding cost (> 0) over equity.",
    low=-LEVERAGE_MAX,
    high=LEVERAGE_MAX,
    cadence_s=1.0,
    at_zero="1000 (or -1000 when receiving) when equity is gone",
    typical=(0.002, 0.05),
)
_FUNDING_COST_NEEDS = (
    (Relation.SELF, "funding_projected_24h_usd"),
    (Relation.SELF, _EQUITY),
)
_MONEY = AccountBit.MONEY | AccountBit.MODE

DEFINITIONS: tuple[Definition, ...] = (
    define(INITIAL, SubjectKind.ACCOUNT, _initial, needs=(_SELF_HOLDINGS,)),
    *upward(INITIAL),
    define(MAINTENANCE, SubjectKind.ACCOUNT, _maintenance, bits=_MONEY, needs=(_SELF_HOLDINGS,)),
    *upward(MAINTENANCE),
    define(FREE, SubjectKind.ACCOUNT, _free_collateral, needs=_EQUITY_HERE),
    *upward(FREE),
    define(
        FREE_RATIO,
        SubjectKind.ACCOUNT,
        _free_ratio,
        needs=((Relation.SELF, FREE.name), (Relation.SELF, _EQUITY)),
    ),
    *(
        define(LEVERAGE, kind, _leverage, needs=_LEVERAGE_NEEDS, preview=_preview_leverage)
        for kind in _WIDE
    ),
    define(
        USAGE,
        SubjectKind.ACCOUNT,
        _margin_usage,
        bits=_MONEY,
        needs=(*SOLVED_HERE, *_EQUITY_HERE),
    ),
    *upward(USAGE),
    define(
        EQUITY_SHARE,
        SubjectKind.POSITION,
        _equity_share,
        needs=SOLVED_OF_OWNER,
        preview=_preview_equity_share,
    ),
    *(define(FUNDING_COST, kind, _funding_cost, needs=_FUNDING_COST_NEEDS) for kind in _WIDE),
)
