"""What moves of all prices at once do to accounts, hedged ones above all. *Pure.*

A shock moves every price by the same share, alts by 1.3 times that of BTC, or what the account is
long of down and what it is short of up: the last is what a hedged book dies of, and what no single
market's price shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import fsum
from typing import NamedTuple

from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    Exposed,
    compute_shock_distance,
    compute_stressed_usage,
)
from monitor.core.formulas.ratios import MARGIN_USAGE_MAX
from monitor.core.measures.aggregate import upward
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.exposure import is_closed
from monitor.core.measures.liquidation import (
    LIQUIDATIONS,
    NEARER,
    SOLVED_HERE,
    SOLVED_OF_OWNER,
    solved,
)
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import Lack
from monitor.core.state.model import MarketState, RiskState
from monitor.core.types import EngineNs, SubjectKind

_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
LEADER = "BTC"  # what the others are measured against
# Name, beta of the leader, beta of everything else.
DIRECTIONS = (("together", 1.0, 1.0), ("alts 1.3x", 1.0, 1.3))
BREAK = "hedges break"
Part = tuple[MarketState, float]  # a market, and signed USD in it
STRESSES = (-0.15, 0.15)
STRESSED_FROM = 0.8  # usage after the shock from which an account counts as stressed


def _together(node: AccountNode, *, isolated: bool) -> list[Exposed]:
    """What moves with all prices: the cross pool, or with its isolated positions."""
    return [
        Exposed(one.notional_usd, 1.0, node.markets[name].market.margin_tiers)
        for name, one in node.holdings.held.items()
        if isolated or not one.isolated
    ]


def nets_of(pool: Sequence[Part]) -> dict[str, float]:
    """Signed USD by asset, by name."""
    parts: dict[str, list[float]] = {}
    for market, usd in pool:
        parts.setdefault(market.asset, []).append(usd)
    return {asset: fsum(parts[asset]) for asset in sorted(parts)}


def pool_of(node: AccountNode) -> list[Part]:
    """What shares the account's margin: markets with signed USD."""
    return [
        (node.markets[name].market, one.notional_usd)
        for name, one in node.holdings.held.items()
        if not one.isolated
    ]


def broken(pool: Sequence[Part]) -> list[Exposed]:
    """Exposures under a shock by which, below zero, assets fall that the pool is long of and assets
    rise that it is short of."""
    nets = nets_of(pool)
    return [
        Exposed(usd, 1.0 if nets[market.asset] >= 0.0 else -1.0, market.margin_tiers)
        for market, usd in pool
    ]


def shocks_of(pool: Sequence[Part]) -> Iterator[tuple[str, float, list[Exposed]]]:
    """Name, sign and exposures of every shock that a pool is asked about."""
    for name, leader, others in DIRECTIONS:
        book = [
            Exposed(usd, leader if market.asset == LEADER else others, market.margin_tiers)
            for market, usd in pool
        ]
        yield name, -1.0, book
        yield name, 1.0, book
    yield BREAK, -1.0, broken(pool)


class Shock(NamedTuple):
    """A move of all prices that liquidates a cross pool: how far (a ratio, ``>= 0``), which way and
    in which direction, and what is exposed to it."""

    distance: float
    sign: float
    words: str
    book: list[Exposed]


def nearest_shock(node: AccountNode) -> Shock | None:
    """The least that liquidates the cross pool, of any direction; None where none does. Where all
    is on one side, hedges that break are no other move than all together."""
    equity, pool = node.holdings.pool_equity_usd, pool_of(node)
    nearest, found = OUT_OF_REACH_RATIO, None
    for name, sign, book in shocks_of(pool) if pool else ():
        distance = compute_shock_distance(equity, book, sign=sign)
        if distance < nearest * NEARER:
            nearest, found = distance, Shock(distance, sign, name, book)
    return found


def _uniform_move(node: AccountNode, use: Use) -> float | None:
    if use.read(node, LIQUIDATIONS) is None:
        return None
    found = nearest_shock(node)
    return OUT_OF_REACH_RATIO if found is None else found.distance


def _named_shock(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``-4.2 % hedges break``."""
    if not isinstance(node, AccountNode) or node.holdings.liquidation.reason:
        return ""
    found = nearest_shock(node)
    return "" if found is None else f"{found.sign * found.distance * 100:+.1f} % {found.words}"


def stressed_pools(node: AccountNode) -> list[tuple[str, float, list[Exposed]]]:
    """What is put under stress, each with its equity in USD and what is in it: the cross pool, and
    the whole account where a part of it is isolated."""
    into = node.holdings
    pools = [("cross pool", into.pool_equity_usd, _together(node, isolated=False))]
    apart = [one.margin_equity_usd or 0.0 for one in into.held.values() if one.isolated]
    if apart:
        whole = fsum((into.pool_equity_usd, *apart))
        pools.append(("account", whole, _together(node, isolated=True)))
    return pools


def stressed_usage(node: AccountNode, move: float) -> float:
    """Usage after a move of all prices: of the cross pool, or of the whole account where that is
    worse."""
    return max(
        compute_stressed_usage(equity, book, move) for _, equity, book in stressed_pools(node)
    )


def _stressed(node: AccountNode, use: Use) -> float | None:
    if use.read(node, LIQUIDATIONS) is None:
        return None
    return max(stressed_usage(node, move) for move in STRESSES)


def _stressed_count(node: PortfolioNode, use: Use) -> float | None:
    """Accounts stressed by the same move. Two that are known to be are enough to say so; fewer are
    only known when all accounts are."""
    counts = [0] * len(STRESSES)
    unknown = None
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, LIQUIDATIONS) is None:
            unknown = unknown or use.why
            continue
        for index, move in enumerate(STRESSES):
            counts[index] += stressed_usage(account, move) >= STRESSED_FROM
    if unknown and max(counts) < 2:
        use.why = unknown
        return None
    return float(max(counts))


def _stressed_named(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``-15 %: hyperliquid/main 92 %, dydx/main 88 %``: the worst two."""
    accounts = [
        account
        for account in node.related(Relation.ALL_ACCOUNTS)
        if isinstance(account, AccountNode) and not account.holdings.liquidation.reason
    ]
    told = []
    for move in STRESSES:
        usages = [(stressed_usage(one, move), one.subject) for one in accounts]
        worst = sorted((one for one in usages if one[0] >= STRESSED_FROM), reverse=True)[:2]
        if worst:
            parts = ", ".join(
                f"{name.partition(':')[2]} {usage * 100:.0f} %" for usage, name in worst
            )
            told.append(f"{move * 100:+.0f} %: {parts}")
    return "; ".join(told)


def _account_buffer(node: AccountNode, use: Use) -> float | None:
    """The smaller of the whole account's and the cross pool's."""
    if use.read(node, LIQUIDATIONS) is None:
        return None
    into = node.holdings
    apart = [
        (one.margin_equity_usd or 0.0) - (one.maintenance_usd or 0.0)
        for one in into.held.values()
        if one.isolated
    ]
    pool = into.pool_equity_usd - into.pool_maintenance_usd
    return min(pool, fsum((pool, *apart)))


def _position_buffer(node: PositionNode, use: Use) -> float | None:
    """Of the pool that the position is liquidated with: its own margin, or the cross pool."""
    if is_closed(node, use):
        use.absent("the position is closed", Lack.CHOICE)
        return None
    holding = solved(node, use)
    if holding is None:
        return None
    if holding.isolated:
        return (holding.margin_equity_usd or 0.0) - (holding.maintenance_usd or 0.0)
    into = node.owner.holdings
    return into.pool_equity_usd - into.pool_maintenance_usd


UNIFORM = MeasureSpec(
    name="liquidation_uniform_move_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help=(
        "Least move of all prices at once that liquidates the cross pool: all alike, alts 1.3 "
        "times BTC, or longs down while shorts rise."
    ),
    low=0.0,
    high=OUT_OF_REACH_RATIO,
    cadence_s=1.0,
    at_zero="0 when at or below maintenance; 10 when no move of +1000 % or less liquidates",
    typical=(0.4, 0.04),
    aggregate=Aggregate.MIN,
)
STRESSED = MeasureSpec(
    name="margin_usage_stressed_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Maintenance margin over equity after all prices moved 15 %, the worse way.",
    low=0.0,
    high=MARGIN_USAGE_MAX,
    cadence_s=1.0,
    at_zero="10 when equity would be gone with a requirement left; 0 without requirement",
    typical=(0.2, 1.5),
    aggregate=Aggregate.MAX,
)
BUFFER = MeasureSpec(
    name="liquidation_buffer_usd",
    kinds=(SubjectKind.POSITION, SubjectKind.ACCOUNT),
    unit=Unit.USD,
    help="Equity less maintenance of the pool that is liquidated, USD; at or below 0 it is.",
    cadence_s=1.0,
    typical=(5e5, 1e3),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(UNIFORM, SubjectKind.ACCOUNT, _uniform_move, needs=SOLVED_HERE, detail=_named_shock),
    *upward(UNIFORM, empty=OUT_OF_REACH_RATIO),
    define(STRESSED, SubjectKind.ACCOUNT, _stressed, needs=SOLVED_HERE),
    *upward(STRESSED),
    define(
        MeasureSpec(
            name="accounts_stressed_count",
            kinds=(SubjectKind.PORTFOLIO,),
            unit=Unit.COUNT,
            help="Accounts at 80 % margin usage or more after one and the same 15 % move.",
            low=0.0,
            cadence_s=1.0,
            typical=(0.0, 2.0),
            words=("account", "accounts"),
        ),
        SubjectKind.PORTFOLIO,
        _stressed_count,
        needs=((Relation.ALL_ACCOUNTS, STRESSED.name),),
        detail=_stressed_named,
    ),
    define(BUFFER, SubjectKind.ACCOUNT, _account_buffer, needs=SOLVED_HERE),
    define(BUFFER, SubjectKind.POSITION, _position_buffer, needs=SOLVED_OF_OWNER),
)
