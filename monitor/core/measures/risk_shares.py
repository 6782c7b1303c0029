"""Who makes the book's bad hours: each strategy's share of expected shortfall, against what the
desk means it to be.

Historical and of one hour: what the strategies really made in the worst fortieth of the last thirty
days' hours, sizes as they were. *Pure.*
"""

from __future__ import annotations

from monitor.core.formulas.structure import TailShares, compute_tail_shares
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.strategies import PNL, is_recent, profits
from monitor.core.measures.tree import StrategyNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import Lack
from monitor.core.types import SubjectKind

TAIL = 0.025  # ES 97.5 %
HOURS_MIN = 336  # two weeks: eight hours of tail
SHARE = "strategy_shortfall_share_ratio"
LARGEST = 1000.0  # where gains of others all but cancel the loss, a share says nothing


def tail_shares(use: Use) -> TailShares:
    """Of all strategies, in the order of the configuration."""
    return compute_tail_shares(list(profits(use).values()), tail=TAIL, hours_min=HOURS_MIN)


def _share(node: StrategyNode, use: Use) -> float | None:
    found = tail_shares(use)
    if found.shortfall_usd is None:
        days = max((HOURS_MIN - found.hours) / 24.0, 1.0)
        use.absent(
            f"{found.hours} of {HOURS_MIN} hours known that all strategies share; "
            f"{days:.0f} days to go",
            Lack.FILLING,
        )
        return None
    if not is_recent(use):
        return None
    if found.shares is None:
        use.absent("all strategies together lost nothing in their worst hours")
        return None
    share = found.shares[list(profits(use)).index(node.strategy.name)]
    return min(max(share, -LARGEST), LARGEST)


def _off(node: StrategyNode, use: Use) -> float | None:
    """In points: 0.12 is 52 % where 40 % is meant."""
    meant = node.strategy.risk_share
    if meant is None:
        return 0.0
    share = use.read(node, SHARE)
    return None if share is None else share - meant


DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name=SHARE,
            kinds=(SubjectKind.STRATEGY,),
            unit=Unit.RATIO,
            help=(
                "Share of a strategy in the book's expected shortfall (97.5 %, one hour, thirty "
                "days); all together 1, below 0 for one that earns in bad hours."
            ),
            low=-LARGEST,
            high=LARGEST,
            cadence_s=300.0,
            typical=(0.4, 0.55),
        ),
        SubjectKind.STRATEGY,
        _share,
        needs=((Relation.STRATEGIES, PNL),),
    ),
    define(
        MeasureSpec(
            name="strategy_shortfall_off_ratio",
            kinds=(SubjectKind.STRATEGY,),
            unit=Unit.RATIO,
            help="A strategy's share of expected shortfall less the share it is meant to have.",
            low=-LARGEST - 1.0,
            high=LARGEST,
            at_zero="0 where the desk gives it no share",
            typical=(0.02, 0.15),
        ),
        SubjectKind.STRATEGY,
        _off,
        needs=((Relation.SELF, SHARE),),
    ),
)
