"""How far liquidation is in sigmas, in chances and in time. *Pure.*

Chances and runways are searched or summed over paths: they have a cadence, and rest on the two
barriers of which one is the likeliest.
"""

from __future__ import annotations

from functools import partial

from monitor.core.formulas.first_passage import (
    LONGEST_S,
    compute_latency_move,
    compute_least_distance,
    compute_passage_time,
)
from monitor.core.formulas.liquidation import SIGMAS_MAX
from monitor.core.formulas.runway import (
    RUNWAY_MAX_S,
    compute_funding_runway_s,
    compute_net_runway_s,
)
from monitor.core.measures.aggregate import upward
from monitor.core.measures.barriers import (
    TOGETHER,
    Barrier,
    barrier_together,
    barriers_of,
    barriers_told,
    held_positions,
    jumps_of,
    likeliest,
    nearby,
    volatility_of,
)
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.exposure import is_closed
from monitor.core.measures.liquidation import (
    LIQUIDATIONS,
    SOLVED_HERE,
    SOLVED_OF_OWNER,
    rises,
    solved,
)
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs, SubjectKind

DAY_S = 86_400.0
RUNWAY_CHANCE = 0.01
OF_MINIMUM_MAX = 1000.0
_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)


def _position_sigmas(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return SIGMAS_MAX
    holding = solved(node, use)
    if holding is None or holding.distance_ratio is None:
        return None
    volatility = volatility_of(node, use)
    if volatility is None:
        return None
    return Barrier("", holding.distance_ratio, rises(holding), volatility).sigmas


def _account_sigmas(node: AccountNode, use: Use) -> float | None:
    barriers = barriers_of(node, use)
    if barriers is None:
        return None
    return min((one.sigmas for one in barriers), default=SIGMAS_MAX)


def _near_sigmas(node: AccountNode, use: Use) -> float | None:
    barriers = barriers_of(node, use)
    if barriers is None:
        return None
    return min((one.sigmas for one in nearby(barriers)), default=SIGMAS_MAX)


def _chance(node: AccountNode, use: Use, horizon_s: float) -> float | None:
    barriers = barriers_of(node, use)
    if barriers is None:
        return None
    return max(
        (
            one.chance(horizon_s, jumps_of(one, node, use.state))
            for one in likeliest(barriers, horizon_s)
        ),
        default=0.0,
    )


def _day_chance(node: AccountNode, use: Use) -> float | None:
    return _chance(node, use, DAY_S)


def _week_chance(node: AccountNode, use: Use) -> float | None:
    return _chance(node, use, 7.0 * DAY_S)


def _of_minimum(node: AccountNode, use: Use) -> float | None:
    barriers = barriers_of(node, use)
    if barriers is None:
        return None
    latency_s = use.settings.margin.reach_s(node.account.venue)
    return min(
        (
            one.distance_ratio
            / compute_least_distance(volatility_annualized=one.volatility, latency_s=latency_s)
            for one in barriers
        ),
        default=OF_MINIMUM_MAX,
    )


def _runway(node: AccountNode, use: Use) -> float | None:
    """Of the likeliest within a day; for other times another is likelier by little."""
    barriers = barriers_of(node, use)
    if barriers is None:
        return None
    if any(one.distance_ratio <= 0.0 for one in barriers):
        return 0.0
    return min(
        (
            compute_passage_time(
                RUNWAY_CHANCE,
                price=1.0,
                barrier=one.price,
                volatility_annualized=one.volatility,
                jumps=one.against(jumps_of(one, node, use.state)),
            )
            for one in likeliest(barriers, DAY_S)
        ),
        default=LONGEST_S,
    )


def _net_runway(node: AccountNode, use: Use) -> float | None:
    runway = use.read(node, RUNWAY.name)
    if runway is None:
        return None
    reach_s = use.settings.margin.reach_s(node.account.venue)
    return compute_net_runway_s(runway_s=runway, reach_s=reach_s)


def _funding_runway(node: AccountNode, use: Use) -> float | None:
    """Of the cross pool and the whole account, whichever is poorer."""
    if use.read(node, LIQUIDATIONS) is None:
        return None
    daily = use.read(node, "funding_projected_24h_usd")
    room = None if daily is None else use.read(node, "liquidation_buffer_usd")
    if daily is None or room is None:
        return None
    return compute_funding_runway_s(
        equity_usd=room, maintenance_usd=0.0, cost_per_hour_usd=daily / 24.0
    )


def opposite_legs(node: PortfolioNode, use: Use) -> list[PositionNode] | None:
    """Open positions against which another pool holds the same asset; None where an account is not
    known."""
    sides: dict[tuple[str, bool], list[PositionNode]] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, LIQUIDATIONS) is None:
            return None
        for leg in held_positions(account):
            sides.setdefault((leg.market.market.asset, leg.position.size > 0.0), []).append(leg)
    found = []
    for (asset, long), legs in sides.items():
        twins = {one.owner.subject for one in sides.get((asset, not long), ())}
        found += [leg for leg in legs if twins - {leg.owner.subject}]
    return found


def _hedge_survival(node: PortfolioNode, use: Use) -> float | None:
    """Over assets that different pools hold against each other: the nearest leg's distance over
    the move of one time in a thousand while profit travels from its twin."""
    legs = opposite_legs(node, use)
    if legs is None:
        return None
    worst = OF_MINIMUM_MAX
    for leg in legs:
        ratio = leg_survival(leg, use)
        if ratio is None:
            return None
        worst = min(worst, ratio)
    return worst


def leg_survival(leg: PositionNode, use: Use) -> float | None:
    """Distance of one leg over that move; None where either is not known."""
    holding = solved(leg, use)
    volatility = None if holding is None else volatility_of(leg, use)
    if holding is None or volatility is None or holding.distance_ratio is None:
        return None
    reach_s = use.settings.margin.reach_s(leg.owner.account.venue)
    move = compute_latency_move(volatility_annualized=volatility, latency_s=reach_s)
    return min(holding.distance_ratio / move, OF_MINIMUM_MAX) if move > 0.0 else OF_MINIMUM_MAX


def _barrier_named(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``BTC -4.2 %``: the nearest, and at which move of it."""
    if not isinstance(node, AccountNode) or node.holdings.liquidation.reason:
        return ""
    known = [
        (one.distance_ratio, name, rises(one))
        for name, one in node.holdings.held.items()
        if one.distance_ratio is not None
    ]
    known += [(one.distance_ratio, "all together", one.up) for one in barrier_together(node, 0.0)]
    if not known:
        return ""
    distance, name, up = min(known)
    return _way(distance, name, up=up)


def _likeliest_named(node: Node, state: RiskState, now: EngineNs) -> str:
    """The same of what is nearest in sigmas: a calm market ten percent away may be farther than a
    wild one at thirty."""
    found = barriers_told(node, state) if isinstance(node, AccountNode) else []
    return _least_sigmas_named(found) or _barrier_named(node, state, now)


def _near_named(node: Node, state: RiskState, _now: EngineNs) -> str:
    """The same of those within a quarter; nothing where none is."""
    found = barriers_told(node, state) if isinstance(node, AccountNode) else []
    return _least_sigmas_named(nearby(found))


def _least_sigmas_named(found: list[Barrier]) -> str:
    if not found:
        return ""
    one = min(found, key=lambda barrier: (barrier.sigmas, barrier.name))
    name = "all together" if one.name == TOGETHER else one.name
    return _way(one.distance_ratio, name, up=one.up)


def _way(distance: float, name: str, *, up: bool) -> str:
    return f"{name} {'+' if up else '-'}{distance * 100:.1f} %"


def _chance_told(horizon: str, node: Node, state: RiskState, now: EngineNs) -> str:
    """``BTC -4.2 % in 24 h``."""
    named = _likeliest_named(node, state, now)
    return f"{named} in {horizon}" if named else ""


def _least_told(node: Node, state: RiskState, now: EngineNs) -> str:
    """``BTC -4.2 %, of the least distance``."""
    named = _barrier_named(node, state, now)
    return f"{named}, of the least distance" if named else ""


SIGMAS = MeasureSpec(
    name="liquidation_distance_sigmas",
    kinds=(SubjectKind.POSITION, *_WIDE),
    unit=Unit.COUNT,
    help=(
        "Distance to the nearest liquidation in daily sigmas, |ln(p'/p)|; sigma is the highest of "
        "fast, slow and the median of half a year."
    ),
    low=0.0,
    high=SIGMAS_MAX,
    cadence_s=1.0,
    at_zero="0 when at or below maintenance; 1000 when nothing liquidates",
    typical=(8.0, 1.2),
    aggregate=Aggregate.MIN,
    words=("sigma", "sigmas"),
)


NEAR_SIGMAS = MeasureSpec(
    name="liquidation_near_sigmas",
    kinds=(SubjectKind.ACCOUNT,),
    unit=Unit.COUNT,
    help=(
        "Least distance in daily sigmas of the liquidations that are within a quarter of the price."
    ),
    low=0.0,
    high=SIGMAS_MAX,
    cadence_s=1.0,
    at_zero="0 when at or below maintenance; 1000 when nothing within a quarter liquidates",
    typical=(8.0, 1.2),
    words=("sigma", "sigmas"),
)


def _chance_spec(name: str, words: str, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_WIDE,
        unit=Unit.RATIO,
        help=f"Chance that some liquidation price is touched within {words}, jumps included.",
        low=0.0,
        high=1.0,
        cadence_s=15.0,
        at_zero="1 when at or below maintenance; 0 without positions",
        typical=typical,
        aggregate=Aggregate.MAX,
    )


def _seconds(name: str, help_text: str, low: float, high: float, cadence_s: float) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_WIDE,
        unit=Unit.SECONDS,
        help=help_text,
        low=low,
        high=high,
        cadence_s=cadence_s,
        at_zero="0 (or less, net) when at or below maintenance",
        typical=(1e6, 1e3),
        aggregate=Aggregate.MIN,
    )


CHANCE_DAY = _chance_spec("liquidation_probability_24h_ratio", "24 hours", (0.0001, 0.02))
CHANCE_WEEK = _chance_spec("liquidation_probability_7d_ratio", "7 days", (0.001, 0.2))
RUNWAY = _seconds(
    "runway_1pct_s",
    "Seconds until the chance of a liquidation reaches 1 %, jumps included; at most 30 days.",
    0.0,
    LONGEST_S,
    30.0,
)
NET_RUNWAY = _seconds(
    "runway_net_s",
    "The 1 % runway less the time collateral needs to arrive; < 0: it cannot arrive in time.",
    -RUNWAY_MAX_S,
    LONGEST_S,
    1.0,
)
FUNDING_RUNWAY = _seconds(
    "runway_funding_s",
    "Seconds until funding at present predicted rates alone eats equity down to maintenance.",
    0.0,
    RUNWAY_MAX_S,
    1.0,
)
OF_MINIMUM = MeasureSpec(
    name="liquidation_distance_of_minimum_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help=(
        "Liquidation distance over the least for this venue: 1.5 times the move of one time in a "
        "thousand while help is on its way, and 3 %."
    ),
    low=0.0,
    high=OF_MINIMUM_MAX,
    cadence_s=1.0,
    at_zero="0 when at or below maintenance; 1000 when nothing liquidates",
    typical=(4.0, 0.8),
    aggregate=Aggregate.MIN,
    words=("x",),
)
SURVIVAL = MeasureSpec(
    name="hedge_survival_ratio",
    kinds=(SubjectKind.PORTFOLIO,),
    unit=Unit.RATIO,
    help=(
        "Nearest liquidation distance of opposite legs in different pools, over the move of one "
        "time in a thousand while profit travels between them."
    ),
    low=0.0,
    high=OF_MINIMUM_MAX,
    cadence_s=1.0,
    at_zero="0 when a leg is at or below maintenance; 1000 without opposite legs",
    typical=(8.0, 0.7),
    words=("x",),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(SIGMAS, SubjectKind.POSITION, _position_sigmas, needs=SOLVED_OF_OWNER),
    define(
        SIGMAS, SubjectKind.ACCOUNT, _account_sigmas, needs=SOLVED_HERE, detail=_likeliest_named
    ),
    *upward(SIGMAS, empty=SIGMAS_MAX),
    define(NEAR_SIGMAS, SubjectKind.ACCOUNT, _near_sigmas, needs=SOLVED_HERE, detail=_near_named),
    *(
        part
        for spec, compute, horizon in (
            (CHANCE_DAY, _day_chance, "24 h"),
            (CHANCE_WEEK, _week_chance, "7 d"),
        )
        for part in (
            define(
                spec,
                SubjectKind.ACCOUNT,
                compute,
                needs=SOLVED_HERE,
                detail=partial(_chance_told, horizon),
            ),
            *upward(spec),
        )
    ),
    define(OF_MINIMUM, SubjectKind.ACCOUNT, _of_minimum, needs=SOLVED_HERE, detail=_least_told),
    *upward(OF_MINIMUM, empty=OF_MINIMUM_MAX),
    define(RUNWAY, SubjectKind.ACCOUNT, _runway, needs=SOLVED_HERE, detail=_likeliest_named),
    *upward(RUNWAY, empty=LONGEST_S),
    define(NET_RUNWAY, SubjectKind.ACCOUNT, _net_runway, needs=((Relation.SELF, RUNWAY.name),)),
    *upward(NET_RUNWAY, empty=LONGEST_S),
    define(
        FUNDING_RUNWAY,
        SubjectKind.ACCOUNT,
        _funding_runway,
        needs=(
            (Relation.SELF, "funding_projected_24h_usd"),
            (Relation.SELF, "liquidation_buffer_usd"),
        ),
    ),
    *upward(FUNDING_RUNWAY, empty=RUNWAY_MAX_S),
    define(
        SURVIVAL,
        SubjectKind.PORTFOLIO,
        _hedge_survival,
        needs=((Relation.ALL_ACCOUNTS, LIQUIDATIONS),),
    ),
)
