"""What a position costs us in funding, as rates with our sign. *Pure.*"""

from __future__ import annotations

from math import copysign

from monitor.core.formulas.funding import annualize_daily_cost, annualize_hourly_rate
from monitor.core.measures.definition import ABSENT, HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import GROSS, is_closed
from monitor.core.measures.funding import read_predicted
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.types import SubjectKind

_PROJECTED = "funding_projected_24h_usd"


def _position_rate(node: PositionNode, use: Use) -> float | None:
    """The market's annualized predicted rate, turned so that > 0 is what we pay."""
    if is_closed(node, use):
        return 0.0
    if use.read(node.owner, HOLDINGS) is None:
        return None
    rate = read_predicted(node.market, use)
    return None if rate is None else annualize_hourly_rate(rate) * _side(node)


def _preview_position_rate(node: PositionNode) -> float:
    if node.position.size == 0.0:
        return 0.0
    rate = node.market.market.predicted.value
    return ABSENT if rate is None else annualize_hourly_rate(rate) * _side(node)


def _side(node: PositionNode) -> float:
    return copysign(1.0, node.position.size)


def _account_rate(node: AccountNode, use: Use) -> float | None:
    """The mean over everything held, weighted by value: what one side pays and the other receives
    cancels."""
    daily = use.read(node, _PROJECTED)
    if daily is None:
        return None
    gross = use.read(node, GROSS.name)
    if gross is None:
        return None
    return annualize_daily_cost(daily, gross)


COST_RATE = MeasureSpec(
    name="funding_cost_annualized",
    kinds=(SubjectKind.POSITION, SubjectKind.ACCOUNT),
    unit=Unit.PER_YEAR,
    help=(
        "Predicted funding with our sign, fraction of value per year, > 0: we pay; of an account "
        "the mean over all it holds."
    ),
    low=-3600.0,
    high=3600.0,
    at_zero="0 once closed, or with nothing held",
    typical=(0.1, 2.5),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        COST_RATE,
        SubjectKind.POSITION,
        _position_rate,
        needs=((Relation.ACCOUNT, HOLDINGS),),
        preview=_preview_position_rate,
    ),
    define(
        COST_RATE,
        SubjectKind.ACCOUNT,
        _account_rate,
        needs=((Relation.SELF, _PROJECTED), (Relation.SELF, GROSS.name)),
    ),
)
