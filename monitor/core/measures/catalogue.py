"""Every measure there is: ``CATALOGUE`` for people, rules and exporters, ``DEFINITIONS`` for the
evaluator. *Pure.*"""

from __future__ import annotations

from monitor.core.measures import (
    accounts,
    attribution,
    barriers,
    book_risk,
    books,
    buckets,
    cap_targets,
    carry,
    carry_budget,
    concentration,
    crash_gap,
    cross_margin,
    drawdown,
    exposure,
    feeds,
    funding,
    harvest,
    health,
    hedge_break,
    hedges,
    history,
    holdings,
    issuers,
    joint,
    kelly,
    leverage,
    liquidation,
    liquidity,
    margin,
    news,
    oracles,
    orders,
    passage,
    positions,
    prices,
    risk_shares,
    service,
    shocks,
    sight,
    signals,
    slices,
    strategies,
    stress_index,
    volatility,
)
from monitor.core.measures.definition import Definition
from monitor.core.measures.spec import MeasureSpec
from monitor.core.types import SubjectKind


def table(definitions: tuple[Definition, ...]) -> dict[tuple[str, SubjectKind], Definition]:
    """Definitions by (name, kind).

    Raises:
        ValueError: If one is declared twice, or for a kind its spec does not name.
    """
    made: dict[tuple[str, SubjectKind], Definition] = {}
    for definition in definitions:
        key = (definition.name, definition.kind)
        if key in made:
            raise ValueError(f"{key[0]} of {key[1]} is declared twice")
        if definition.kind not in definition.spec.kinds:
            raise ValueError(f"{key[0]} is computed for {key[1]}, which it does not name")
        made[key] = definition
    return made


DEFINITIONS = table(
    (
        *holdings.DEFINITIONS,
        *feeds.DEFINITIONS,
        *sight.DEFINITIONS,
        *prices.DEFINITIONS,
        *oracles.DEFINITIONS,
        *books.DEFINITIONS,
        *funding.DEFINITIONS,
        *stress_index.DEFINITIONS,
        *exposure.DEFINITIONS,
        *liquidation.DEFINITIONS,
        *margin.DEFINITIONS,
        *liquidity.DEFINITIONS,
        *accounts.DEFINITIONS,
        *attribution.DEFINITIONS,
        *drawdown.DEFINITIONS,
        *positions.DEFINITIONS,
        *carry.DEFINITIONS,
        *carry_budget.DEFINITIONS,
        *volatility.DEFINITIONS,
        *book_risk.DEFINITIONS,
        *leverage.DEFINITIONS,
        *cap_targets.DEFINITIONS,
        *news.DEFINITIONS,
        *shocks.DEFINITIONS,
        *barriers.DEFINITIONS,
        *passage.DEFINITIONS,
        *hedge_break.DEFINITIONS,
        *joint.DEFINITIONS,
        *concentration.DEFINITIONS,
        *issuers.DEFINITIONS,
        *crash_gap.DEFINITIONS,
        *cross_margin.DEFINITIONS,
        *orders.DEFINITIONS,
        *slices.DEFINITIONS,
        *signals.DEFINITIONS,
        *kelly.DEFINITIONS,
        *harvest.DEFINITIONS,
        *hedges.DEFINITIONS,
        *buckets.DEFINITIONS,
        *strategies.DEFINITIONS,
        *risk_shares.DEFINITIONS,
        *service.DEFINITIONS,
        *health.DEFINITIONS,
        *history.DEFINITIONS,
    ),
)
CATALOGUE: dict[str, MeasureSpec] = {
    definition.name: definition.spec for definition in DEFINITIONS.values() if not definition.hidden
}
