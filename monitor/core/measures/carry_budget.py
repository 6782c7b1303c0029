"""What funding may cost: the book's budget, what a position may be under it, carry against noise.

What a leg receives pays for the other legs of its asset and for nothing else. *Pure.*
"""

from __future__ import annotations

from math import copysign, fsum, sqrt
from typing import NamedTuple

from monitor.core.formulas.funding import (
    BUDGET_USED_MAX,
    DAYS_PER_YEAR,
    HOURS_PER_DAY,
    compute_budget_used,
    compute_hourly_cost,
    compute_notional_cap,
)
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.carry import (
    ACCRUED,
    ACCRUING,
    BUDGET_DAYS,
    PROJECTED_30D,
    asset_of,
    baseline_of,
    compute_accruing,
    open_positions,
    paid_today,
    project_30d,
    project_rates,
    rate_and_oracle,
    say_isolated,
)
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import holding_of, is_closed
from monitor.core.measures.funding_stress import series_of
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PositionNode
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import read_slow
from monitor.core.state.facts import MarketBit
from monitor.core.state.funding import carry_hours
from monitor.core.state.model import RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import EngineNs, SubjectKind

FLIP_RATE, FLIP_HOURS = 5e-6, 24
NAMES_MAX, LINES_MAX = 3, 6
DRIFT_MAX = 100.0


class Line(NamedTuple):
    """One asset's part of the expense, USD, > 0 is paid by us; legs of all accounts together."""

    projected: float
    accrued: float
    accruing: float

    @property
    def total(self) -> float:
        """What counts against the budget where it is above zero."""
        return fsum(self)


def _lines(node: Node, use: Use) -> dict[str, Line] | None:
    """By asset: thirty days to come, what was paid since midnight UTC, and what runs up since the
    last settlement; None where any of it is not known."""
    projected: dict[str, list[float]] = {}
    accrued: dict[str, list[float]] = {}
    accruing: dict[str, list[float]] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None:
            return None
        for place, size in open_positions(account):
            to_come, running = project_30d(place, size, use), compute_accruing(place, size, use)
            if to_come is None or running is None:
                return None
            asset = place.market.asset or place.market.market
            projected.setdefault(asset, []).append(to_come)
            accruing.setdefault(asset, []).append(running)
        paid = paid_today(account, use)
        if paid is None:
            return None
        for market, amounts in paid.items():
            accrued.setdefault(asset_of(account.account, market, use), []).extend(amounts)
    return {
        asset: Line(
            fsum(projected.get(asset, ())),
            fsum(accrued.get(asset, ())),
            fsum(accruing.get(asset, ())),
        )
        for asset in sorted({*projected, *accrued})
    }


def _budget_used(node: Node, use: Use) -> float | None:
    lines = _lines(node, use)
    if lines is None:
        return None
    equity = use.read(node, EQUITY.name)
    if equity is None:
        return None
    return compute_budget_used(
        costs_usd=[one.total for one in lines.values()],
        equity_usd=equity,
        budget=use.settings.carry.budget_ratio,
    )


def _work_budget(node: Node, use: Use) -> tuple[str, ...]:
    """``BTC 120.50 projected + 3.10 accrued + 0.20 accruing = 123.80``, the dearest first, and the
    sum of what is above zero over the budget."""
    lines, equity = _lines(node, use), use.read(node, EQUITY.name)
    if lines is None or equity is None:
        return ()
    ranked = sorted(lines.items(), key=lambda one: (-one[1].total, one[0]))
    told = [
        f"{asset} {one.projected:,.2f} projected + {one.accrued:,.2f} accrued + "
        f"{one.accruing:,.2f} accruing = {one.total:,.2f}"
        for asset, one in ranked[:LINES_MAX]
    ]
    if len(ranked) > LINES_MAX:
        told.append(f"and {len(ranked) - LINES_MAX} assets more")
    told += _isolated(node, use)[:NAMES_MAX]
    cost = fsum(max(one.total, 0.0) for one in lines.values())
    ratio = use.settings.carry.budget_ratio
    return (*told, f"sum of what is above zero {cost:,.2f} / ({equity:,.2f} x {ratio:g})")


def _isolated(node: Node, use: Use) -> list[str]:
    """``XYZ-USD on dydx, an isolated market: funding falls back to 1.25e-05 an hour``."""
    held = {
        place.market.subject: place.market
        for account in node.related(Relation.ALL_ACCOUNTS)
        if isinstance(account, AccountNode)
        for place, _ in open_positions(account)
    }
    return [
        f"{one.market} on {one.venue}{words}: funding falls back to {baseline_of(one, use):g} "
        "an hour"
        for one in held.values()
        if (words := say_isolated(one, use))
    ]


def _cap_used(node: PositionNode, use: Use) -> float | None:
    """|Notional| over the largest that a day's share of the book's budget pays for."""
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    if holding is None:
        return None
    known = rate_and_oracle(node.market, use)
    if known is None:
        return None
    equity = use.read(node.ancestors[-1], EQUITY.name)
    if equity is None:
        return None
    cost_rate = known[0] * copysign(1.0, holding.size)
    if equity <= 0.0:
        return BUDGET_USED_MAX if cost_rate > 0.0 else 0.0
    daily = equity * use.settings.carry.budget_ratio / BUDGET_DAYS
    cap = compute_notional_cap(budget_usd_per_day=daily, cost_rate_hourly=cost_rate)
    return min(abs(holding.notional_usd) / cap, BUDGET_USED_MAX)


def settled_costs(node: PositionNode, use: Use) -> list[tuple[int, float]] | None:
    """(hours ago, cost to us as a fraction an hour, > 0 paid) of the newest settlements, the newest
    first; None where that one is unknown or too old."""
    if use.read(node.owner, HOLDINGS) is None:
        return None
    market = node.market.market
    series = series_of(use.state, market)
    hour = max(use.now // HOUR_NS, series.newest)
    carry = carry_hours(market.funding_interval_s)
    if not series.rates or hour - series.newest > carry:
        use.absent("the newest settlement is unknown or too old")
        return None
    use.as_of = min(use.as_of, series.newest * HOUR_NS)
    use.expires = min(use.expires, (series.newest + carry + 1) * HOUR_NS)
    use.observed = min(use.observed, series.told_ns)
    side = copysign(1.0, node.position.size)
    return [(hour - at, rate * side) for at, rate in series.settled(FLIP_HOURS + 1)]


def _flip_against(node: PositionNode, use: Use) -> float | None:
    """Whether funding turned against us: the last settlements, two or more, have one sign that we
    pay, and the one before them, a day ago at most, had the other."""
    if is_closed(node, use):
        return 0.0
    costs = settled_costs(node, use)
    if costs is None:
        return None
    held = 0
    for hours_ago, cost in costs:
        if cost > FLIP_RATE:
            held += 1
        else:
            turned = cost < -FLIP_RATE and hours_ago <= FLIP_HOURS
            use.say(
                _FLIP.name, node, f"{_yearly(costs[0][1])} > {_yearly(FLIP_RATE)}, {held} times"
            )
            return float(held >= 2 and turned)
    return 0.0


def _yearly(rate: float) -> str:
    return f"{rate * HOURS_PER_DAY * DAYS_PER_YEAR * 100:.3g} %/yr"


def _turned_told(node: Node, state: RiskState, _now: EngineNs) -> str:
    """``12 %/yr > 4.38 %/yr, 3 times``: what the newest settlement charged, and how many did."""
    cell = state.cells.get(f"{_FLIP.name}|{node.subject}")
    turned = cell is not None and cell.value == 1.0
    return state.words.get(f"{_FLIP.name}|{node.subject}", "") if turned else ""


def _drift(node: PositionNode, use: Use) -> float | None:
    """|Expected funding of a day| over the volatility of a day."""
    if is_closed(node, use):
        return 0.0
    if use.read(node.owner, HOLDINGS) is None:
        return None
    known = rate_and_oracle(node.market, use)
    if known is None:
        return None
    volatility = read_slow(node.market.market.asset, use)
    if volatility is None:
        return None
    total = project_rates(node.market.market, known[0], HOURS_PER_DAY, use)
    daily = volatility / sqrt(DAYS_PER_YEAR)
    return min(abs(total) / daily, DRIFT_MAX) if daily > 0.0 else DRIFT_MAX


def _costliest(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``BTC on hyperliquid $1.5/h, ETH on dydx $0.4/h``: the legs that pay most at the rates
    predicted now."""
    paying: list[tuple[float, str]] = []
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        for place, size in open_positions(account):
            rate, oracle = place.market.predicted.value, place.market.oracle.value
            if rate is not None and oracle is not None and size * rate > 0.0:
                hourly = compute_hourly_cost(size=size, price=oracle, funding_rate_hourly=rate)
                paying.append((hourly, f"{place.market.market} on {place.market.venue}"))
    paying.sort(key=lambda one: (-one[0], one[1]))
    return ", ".join(f"{name} ${hourly:.3g}/h" for hourly, name in paying[:NAMES_MAX])


_BUDGET = MeasureSpec(
    name="carry_budget_used_ratio",
    kinds=(SubjectKind.PORTFOLIO,),
    unit=Unit.RATIO,
    help=(
        "Funding expected of 30 days, paid since midnight UTC and run up since the last "
        "settlement, legs of one asset netted, over the budget (1 % of equity); 1 is all of it."
    ),
    low=0.0,
    high=BUDGET_USED_MAX,
    cadence_s=5.0,
    at_zero="100 when equity is gone and there is a cost",
    typical=(0.3, 1.2),
)
_CAP = MeasureSpec(
    name="funding_notional_cap_ratio",
    kinds=(SubjectKind.POSITION,),
    unit=Unit.RATIO,
    help=(
        "Position over the largest whose funding at the predicted rate stays within a day of the "
        "book's budget."
    ),
    low=0.0,
    high=BUDGET_USED_MAX,
    cadence_s=5.0,
    at_zero="100 when equity is gone and we pay",
    typical=(0.2, 1.1),
)
_FLIP = MeasureSpec(
    name="funding_flip_against",
    kinds=(SubjectKind.POSITION,),
    unit=Unit.BOOL,
    help=(
        "1 when settled funding turned within 24 hours from paying us to charging us, beyond "
        "4.4 % a year both ways, for two settlements or more."
    ),
    low=0.0,
    high=1.0,
    cadence_s=5.0,
    words=("funding turned against us", "funding did not turn"),
)
_FROM_OWNER = ((Relation.ACCOUNT, HOLDINGS),)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        _BUDGET,
        SubjectKind.PORTFOLIO,
        _budget_used,
        needs=(
            (Relation.ALL_ACCOUNTS, HOLDINGS),
            (Relation.ALL_ACCOUNTS, ACCRUED.name),
            (Relation.SELF, EQUITY.name),
        ),
        detail=_costliest,
        made_of=(PROJECTED_30D.name, ACCRUED.name, ACCRUING.name),
        arithmetic=_work_budget,
    ),
    define(_CAP, SubjectKind.POSITION, _cap_used, needs=_FROM_OWNER),
    define(
        MeasureSpec(
            name="funding_drift_ratio",
            kinds=(SubjectKind.POSITION,),
            unit=Unit.RATIO,
            help="Expected funding of 24 hours, either sign, over the asset's volatility of a day.",
            low=0.0,
            high=DRIFT_MAX,
            cadence_s=60.0,
            at_zero="100 when the asset does not move",
            typical=(0.01, 0.2),
        ),
        SubjectKind.POSITION,
        _drift,
        needs=_FROM_OWNER,
    ),
    define(
        _FLIP,
        SubjectKind.POSITION,
        _flip_against,
        market_bits=MarketBit.SETTLED,
        needs=_FROM_OWNER,
        detail=_turned_told,
    ),
)
