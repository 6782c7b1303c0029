"""Funding as an expense line: what was charged, what is running up, what is to be expected.

> 0 is paid by us everywhere. The projection falls back to the venue's floor, since a flat one
overstates; what a leg receives pays for the other legs of its asset and for nothing else. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import copysign, fsum, sqrt

from monitor.core.formulas.funding import (
    BUDGET_USED_MAX,
    DAYS_PER_YEAR,
    HOURS_PER_DAY,
    compute_budget_used,
    compute_hourly_cost,
    compute_notional_cap,
    project_rate_sum,
)
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.aggregate import upward
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import holding_of, is_closed
from monitor.core.measures.funding_stress import series_of
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, MarketNode, Node, PositionNode
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import read_slow
from monitor.core.state.facts import AccountBit, MarketBit
from monitor.core.state.funding import carry_hours
from monitor.core.state.model import DAY_NS, AccountState, MarketState, RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind

HOURS_30D = 720.0
BUDGET_DAYS = 30.0
FLIP_RATE, FLIP_HOURS = 5e-6, 24
NAMES_MAX = 3
DRIFT_MAX = 100.0
_ALL = (
    SubjectKind.POSITION,
    SubjectKind.ACCOUNT,
    SubjectKind.VENUE,
    SubjectKind.PORTFOLIO,
    SubjectKind.ASSET,
)

# What one position costs, None where that is not known, from its market and signed size.
Cost = Callable[[MarketNode, AccountState, float, Use], float | None]


def _rate_and_oracle(place: MarketNode, use: Use) -> tuple[float, float] | None:
    """Predicted funding, fraction per hour, and the oracle price it is charged on."""
    market = place.market
    rate, oracle = market.predicted.value, market.oracle.value
    if rate is None or oracle is None:
        use.absent(f"predicted funding or oracle price of {market.market} is not known")
        return None
    if not use.fresh(market.predicted, place.predicted_limit, f"funding of {market.market}"):
        return None
    if not use.fresh(market.oracle, place.oracle_limit, f"oracle price of {market.market}"):
        return None
    return rate, oracle


def elapsed_hours(market: MarketState, now: EngineNs) -> float:
    """How much of the present funding interval has passed, hours: from the venue's own next time
    where it told one to come, else from the hours of the clock."""
    interval_ns = market.funding_interval_s * SECOND_NS
    left_ns = market.next_funding_time_ns - now
    if not 0 < left_ns <= interval_ns:
        left_ns = interval_ns - now % interval_ns
    return (interval_ns - left_ns) / HOUR_NS


def _accruing(place: MarketNode, _account: AccountState, size: float, use: Use) -> float | None:
    known = _rate_and_oracle(place, use)
    if known is None:
        return None
    hourly = compute_hourly_cost(size=size, price=known[1], funding_rate_hourly=known[0])
    return hourly * elapsed_hours(place.market, use.now)


def _projected(place: MarketNode, _account: AccountState, size: float, use: Use) -> float | None:
    known = _rate_and_oracle(place, use)
    if known is None:
        return None
    carry = use.settings.carry
    total = project_rate_sum(
        rate_now=known[0],
        baseline=carry.baseline(place.market.venue),
        hours=HOURS_30D,
        persistence=carry.persistence_hourly,
    )
    return compute_hourly_cost(size=size, price=known[1], funding_rate_hourly=total)


def _open_positions(account: AccountNode) -> Iterator[tuple[MarketNode, float]]:
    for name, position in account.account.positions.items():
        if position.size != 0.0:
            yield account.markets[name], position.size


def _of_position(cost: Cost, node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    if use.read(node.owner, HOLDINGS) is None:
        return None
    return cost(node.market, node.owner.account, node.position.size, use)


def _of_account(cost: Cost, node: AccountNode, use: Use) -> float | None:
    if use.read(node, HOLDINGS) is None:
        return None
    costs = [cost(place, node.account, size, use) for place, size in _open_positions(node)]
    known = [one for one in costs if one is not None]
    return fsum(known) if len(known) == len(costs) else None


def _of_asset(cost: Cost, node: AssetNode, use: Use) -> float | None:
    """Over every account; one that never held the asset still has to be known not to."""
    costs: list[float] = []
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None:
            return None
        for place, size in _open_positions(account):
            if place in node.markets:
                one = cost(place, account.account, size, use)
                if one is None:
                    return None
                costs.append(one)
    return fsum(costs)


# ---------------------------------------------------------------------------------- accrued


def _paid(account: AccountNode, use: Use, markets: Iterable[str] | None) -> float | None:
    """Settled since midnight UTC in these markets, or in all."""
    state = account.account
    if not use.fresh(state.funding_seen, account.ledger_limit, "funding history"):
        return None
    today = use.now - use.now % DAY_NS
    use.wake_at(today + DAY_NS)
    chosen = None if markets is None else set(markets)
    return -fsum(
        amount
        for key, (at, amount) in state.funding.items()
        if at >= today and (chosen is None or key.rpartition("|")[0] in chosen)
    )


def _accrued_position(node: PositionNode, use: Use) -> float | None:
    return _paid(node.owner, use, [node.market.market.market])


def _accrued_account(node: AccountNode, use: Use) -> float | None:
    return _paid(node, use, None)


def _accrued_asset(node: AssetNode, use: Use) -> float | None:
    total: list[float] = []
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        venue = account.account.venue
        markets = [one.market.market for one in node.markets if one.market.venue == venue]
        paid = _paid(account, use, markets)
        if paid is None:
            return None
        total.append(paid)
    return fsum(total)


# ------------------------------------------------------------------------ budget and caps


def _lines(nodes: Iterable[Node], use: Use) -> dict[str, float] | None:
    """Projected cost of thirty days by asset, over all accounts."""
    costs: dict[str, list[float]] = {}
    for account in nodes:
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None:
            return None
        for place, size in _open_positions(account):
            one = _projected(place, account.account, size, use)
            if one is None:
                return None
            costs.setdefault(place.market.asset or place.market.market, []).append(one)
    return {asset: fsum(parts) for asset, parts in costs.items()}


def _budget_used(node: Node, use: Use) -> float | None:
    lines = _lines(node.related(Relation.ALL_ACCOUNTS), use)
    if lines is None:
        return None
    equity = use.read(node, EQUITY.name)
    if equity is None:
        return None
    return compute_budget_used(
        costs_usd=lines.values(), equity_usd=equity, budget=use.settings.carry.budget_ratio
    )


def _cap_used(node: PositionNode, use: Use) -> float | None:
    """|Notional| over the largest that a day's share of the book's budget pays for."""
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    if holding is None:
        return None
    known = _rate_and_oracle(node.market, use)
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


def _flip_against(node: PositionNode, use: Use) -> float | None:
    """Whether funding turned against us: the last settlements, two or more, have one sign that we
    pay, and the one before them, a day ago at most, had the other."""
    if is_closed(node, use):
        return 0.0
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
    held = 0
    for at, rate in series.settled(FLIP_HOURS + 1):
        cost = rate * copysign(1.0, node.position.size)
        if cost > FLIP_RATE:
            held += 1
        else:
            turned = cost < -FLIP_RATE and hour - at <= FLIP_HOURS
            return float(held >= 2 and turned)
    return 0.0


def _drift(node: PositionNode, use: Use) -> float | None:
    """|Expected funding of a day| over the volatility of a day."""
    if is_closed(node, use):
        return 0.0
    if use.read(node.owner, HOLDINGS) is None:
        return None
    known = _rate_and_oracle(node.market, use)
    if known is None:
        return None
    volatility = read_slow(node.market.market.asset, use)
    if volatility is None:
        return None
    carry = use.settings.carry
    total = project_rate_sum(
        rate_now=known[0],
        baseline=carry.baseline(node.market.market.venue),
        hours=HOURS_PER_DAY,
        persistence=carry.persistence_hourly,
    )
    daily = volatility / sqrt(DAYS_PER_YEAR)
    return min(abs(total) / daily, DRIFT_MAX) if daily > 0.0 else DRIFT_MAX


# ---------------------------------------------------------------------------------- details


def _costliest(node: Node, state: RiskState, _now: EngineNs) -> str:
    """``112 % of budget: BTC on hyperliquid $1.5/h and ETH on dydx $0.4/h``: the legs that pay most
    at the rates predicted now."""
    cell = state.cells.get(f"{_BUDGET.name}|{node.subject}")
    paying: list[tuple[float, str]] = []
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        for place, size in _open_positions(account):
            rate, oracle = place.market.predicted.value, place.market.oracle.value
            if rate is not None and oracle is not None and size * rate > 0.0:
                hourly = compute_hourly_cost(size=size, price=oracle, funding_rate_hourly=rate)
                paying.append((hourly, f"{place.market.market} on {place.market.venue}"))
    if cell is None or cell.value is None or not paying:
        return ""
    paying.sort(key=lambda one: (-one[0], one[1]))
    named = [f"{name} ${hourly:.3g}/h" for hourly, name in paying[:NAMES_MAX]]
    return f"{cell.value * 100:.4g} % of budget: {', '.join(named)}"


# ------------------------------------------------------------------------------ definitions


def _usd(name: str, help_text: str, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_ALL,
        unit=Unit.USD,
        help=help_text,
        cadence_s=5.0,
        typical=typical,
        aggregate=Aggregate.SUM,
    )


_ACCRUED = _usd(
    "funding_accrued_today_usd",
    "Funding paid (> 0) since midnight UTC, as the venue told the payments, USD.",
    (100.0, 5e3),
)
_ACCRUING = _usd(
    "funding_accruing_usd",
    "Funding that has run up (> 0: we pay) since the last settlement at the predicted rate, USD.",
    (5.0, 500.0),
)
_PROJECTED_30D = _usd(
    "funding_projected_30d_usd",
    "Expected cost (> 0) of 30 days of funding that falls back to the venue's floor, USD.",
    (1e3, 5e4),
)
_BUDGET = MeasureSpec(
    name="carry_budget_used_ratio",
    kinds=(SubjectKind.PORTFOLIO,),
    unit=Unit.RATIO,
    help=(
        "Expected funding cost of 30 days, legs of one asset netted, over the budget (1 % of "
        "equity); 1 is all of it."
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
_FROM_HOLDINGS = ((Relation.SELF, HOLDINGS),)
_FROM_ALL = ((Relation.ALL_ACCOUNTS, HOLDINGS),)


def _summed(spec: MeasureSpec, cost: Cost) -> tuple[Definition, ...]:
    """The same cost of a position, an account, an asset and upwards."""
    return (
        define(spec, SubjectKind.POSITION, partial(_of_position, cost), needs=_FROM_OWNER),
        define(spec, SubjectKind.ACCOUNT, partial(_of_account, cost), needs=_FROM_HOLDINGS),
        define(spec, SubjectKind.ASSET, partial(_of_asset, cost), needs=_FROM_ALL),
        *upward(spec),
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        _ACCRUED,
        SubjectKind.POSITION,
        _accrued_position,
        needs=((Relation.ACCOUNT, _ACCRUED.name),),
    ),
    define(_ACCRUED, SubjectKind.ACCOUNT, _accrued_account, bits=AccountBit.LEDGER),
    define(
        _ACCRUED,
        SubjectKind.ASSET,
        _accrued_asset,
        needs=((Relation.ALL_ACCOUNTS, _ACCRUED.name),),
    ),
    *upward(_ACCRUED),
    *_summed(_ACCRUING, _accruing),
    *_summed(_PROJECTED_30D, _projected),
    define(
        _BUDGET,
        SubjectKind.PORTFOLIO,
        _budget_used,
        needs=(*_FROM_ALL, (Relation.SELF, EQUITY.name)),
        detail=_costliest,
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
    ),
)
