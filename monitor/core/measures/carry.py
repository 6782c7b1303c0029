"""Funding as an expense line: what was charged, what is running up, what is to be expected.

By position, account, asset and bucket, and upwards; > 0 is paid by us everywhere. The projection
falls back to the market's floor, since a flat one overstates. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import fsum

from monitor.core.formulas.funding import compute_hourly_cost, project_rate_sum
from monitor.core.measures.accounts import payments_known
from monitor.core.measures.aggregate import upward
from monitor.core.measures.buckets import bucket_of
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import is_closed
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, BucketNode, MarketNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import AccountBit
from monitor.core.state.model import DAY_NS, AccountState, MarketState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind

HOURS_30D = 720.0
BUDGET_DAYS = 30.0
_ALL = (
    SubjectKind.POSITION,
    SubjectKind.ACCOUNT,
    SubjectKind.VENUE,
    SubjectKind.PORTFOLIO,
    SubjectKind.ASSET,
    SubjectKind.BUCKET,
)

# What one position costs, None where that is not known, from its market and signed size.
Cost = Callable[[MarketNode, float, Use], float | None]


def rate_and_oracle(place: MarketNode, use: Use) -> tuple[float, float] | None:
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


def compute_accruing(place: MarketNode, size: float, use: Use) -> float | None:
    """What a position has run up since its last settlement at the predicted rate, USD, > 0: we
    pay."""
    known = rate_and_oracle(place, use)
    if known is None:
        return None
    hourly = compute_hourly_cost(size=size, price=known[1], funding_rate_hourly=known[0])
    return hourly * elapsed_hours(place.market, use.now)


def baseline_of(market: MarketState, use: Use) -> float:
    """What the market's funding falls back to, signed fraction per hour."""
    return use.settings.carry.baseline(market.venue, only_isolated=market.only_isolated)


def say_isolated(market: MarketState, use: Use) -> str:
    """``, an isolated market`` where that falls back elsewhere than the others of its venue."""
    shared = use.settings.carry.baseline(market.venue, only_isolated=False)
    return "" if baseline_of(market, use) == shared else ", an isolated market"


def project_rates(market: MarketState, rate: float, hours: float, use: Use) -> float:
    """Sum of the hourly rates to come, from ``rate`` now back to the baseline; > 0: longs pay."""
    return project_rate_sum(
        rate_now=rate,
        baseline=baseline_of(market, use),
        hours=hours,
        persistence=use.settings.carry.persistence_hourly,
    )


def project_30d(place: MarketNode, size: float, use: Use) -> float | None:
    """What thirty days of a position are expected to cost, USD, > 0: we pay."""
    known = rate_and_oracle(place, use)
    if known is None:
        return None
    total = project_rates(place.market, known[0], HOURS_30D, use)
    return compute_hourly_cost(size=size, price=known[1], funding_rate_hourly=total)


def open_positions(account: AccountNode) -> Iterator[tuple[MarketNode, float]]:
    """Each market held with the signed size."""
    for name, position in account.account.positions.items():
        if position.size != 0.0:
            yield account.markets[name], position.size


def _of_position(cost: Cost, node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    if use.read(node.owner, HOLDINGS) is None:
        return None
    return cost(node.market, node.position.size, use)


def _of_account(cost: Cost, node: AccountNode, use: Use) -> float | None:
    if use.read(node, HOLDINGS) is None:
        return None
    costs = [cost(place, size, use) for place, size in open_positions(node)]
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
        for place, size in open_positions(account):
            if place in node.markets:
                one = cost(place, size, use)
                if one is None:
                    return None
                costs.append(one)
    return fsum(costs)


def _of_bucket(cost: Cost, node: BucketNode, use: Use) -> float | None:
    """Of the positions that the bucket is the first to name."""
    buckets = use.settings.structure.buckets
    costs: list[float] = []
    for account in node.related(Relation.ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None:
            return None
        state = account.account
        for place, size in open_positions(account):
            market = place.market
            owner = bucket_of(buckets, state.venue, state.account, market.market, market.asset)
            if owner != node.bucket.name:
                continue
            one = cost(place, size, use)
            if one is None:
                return None
            costs.append(one)
    return fsum(costs)


# ---------------------------------------------------------------------------------- accrued


def paid_today(account: AccountNode, use: Use) -> dict[str, list[float]] | None:
    """What an account paid in each market since midnight UTC, USD, > 0: we paid; None where its
    payments are not known."""
    state = account.account
    if not payments_known(account, use):
        return None
    today = use.now - use.now % DAY_NS
    use.wake_at(today + DAY_NS)
    paid: dict[str, list[float]] = {}
    for key, (at, amount) in state.funding.items():
        if at >= today:
            paid.setdefault(key.rpartition("|")[0], []).append(-amount)
    return paid


def asset_of(account: AccountState, market: str, use: Use) -> str:
    """The asset of a market that the account paid in, held or not; the market's own name where the
    venue lists it no more."""
    known = use.state.venues[account.venue].markets.get(market)
    return (known.asset if known is not None else "") or market


def _sum_paid(
    account: AccountNode, use: Use, chosen: Callable[[AccountState, str], bool]
) -> float | None:
    paid = paid_today(account, use)
    if paid is None:
        return None
    return fsum(
        one
        for market, amounts in paid.items()
        if chosen(account.account, market)
        for one in amounts
    )


def _accrued_position(node: PositionNode, use: Use) -> float | None:
    return _sum_paid(node.owner, use, lambda _, market: market == node.market.market.market)


def _accrued_account(node: AccountNode, use: Use) -> float | None:
    return _sum_paid(node, use, lambda _, _market: True)


def _accrued_over(
    node: AssetNode | BucketNode,
    use: Use,
    relation: Relation,
    chosen: Callable[[AccountState, str], bool],
) -> float | None:
    total: list[float] = []
    for account in node.related(relation):
        if not isinstance(account, AccountNode):
            continue
        paid = _sum_paid(account, use, chosen)
        if paid is None:
            return None
        total.append(paid)
    return fsum(total)


def _accrued_asset(node: AssetNode, use: Use) -> float | None:
    markets = {(one.market.venue, one.market.market) for one in node.markets}
    return _accrued_over(
        node, use, Relation.ALL_ACCOUNTS, lambda account, name: (account.venue, name) in markets
    )


def _accrued_bucket(node: BucketNode, use: Use) -> float | None:
    buckets = use.settings.structure.buckets

    def mine(account: AccountState, market: str) -> bool:
        asset = asset_of(account, market, use)
        owner = bucket_of(buckets, account.venue, account.account, market, asset)
        return owner == node.bucket.name

    return _accrued_over(node, use, Relation.ACCOUNTS, mine)


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


ACCRUED = _usd(
    "funding_accrued_today_usd",
    "Funding paid (> 0) since midnight UTC, as the venue told the payments, USD.",
    (100.0, 5e3),
)
ACCRUING = _usd(
    "funding_accruing_usd",
    "Funding that has run up (> 0: we pay) since the last settlement at the predicted rate, USD.",
    (5.0, 500.0),
)
PROJECTED_30D = _usd(
    "funding_projected_30d_usd",
    "Expected cost (> 0) of 30 days of funding that falls back to the market's floor, USD.",
    (1e3, 5e4),
)
_FROM_OWNER = ((Relation.ACCOUNT, HOLDINGS),)
_FROM_HOLDINGS = ((Relation.SELF, HOLDINGS),)
_FROM_ALL = ((Relation.ALL_ACCOUNTS, HOLDINGS),)
_FROM_MEMBERS = ((Relation.ACCOUNTS, HOLDINGS),)


def _summed(spec: MeasureSpec, cost: Cost) -> tuple[Definition, ...]:
    """The same cost of a position, an account, an asset, a bucket and upwards."""
    return (
        define(spec, SubjectKind.POSITION, partial(_of_position, cost), needs=_FROM_OWNER),
        define(spec, SubjectKind.ACCOUNT, partial(_of_account, cost), needs=_FROM_HOLDINGS),
        define(spec, SubjectKind.ASSET, partial(_of_asset, cost), needs=_FROM_ALL),
        define(spec, SubjectKind.BUCKET, partial(_of_bucket, cost), needs=_FROM_MEMBERS),
        *upward(spec),
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        ACCRUED,
        SubjectKind.POSITION,
        _accrued_position,
        needs=((Relation.ACCOUNT, ACCRUED.name),),
    ),
    define(ACCRUED, SubjectKind.ACCOUNT, _accrued_account, bits=AccountBit.LEDGER),
    define(
        ACCRUED,
        SubjectKind.ASSET,
        _accrued_asset,
        needs=((Relation.ALL_ACCOUNTS, ACCRUED.name),),
    ),
    define(
        ACCRUED,
        SubjectKind.BUCKET,
        _accrued_bucket,
        needs=((Relation.ACCOUNTS, ACCRUED.name),),
    ),
    *upward(ACCRUED),
    *_summed(ACCRUING, compute_accruing),
    *_summed(PROJECTED_30D, project_30d),
)
