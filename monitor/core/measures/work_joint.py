"""How moves of all prices, crash gaps and liquidations that come together are worked out.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt

from monitor.core.formulas.first_passage import ONE_SIDED_999, YEAR_S, compute_latency_move
from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    Exposed,
    compute_shocked,
)
from monitor.core.formulas.trades import compute_crash_gap_loss, gap_of
from monitor.core.measures.barriers import volatility_of
from monitor.core.measures.book_risk import covariance, read_book
from monitor.core.measures.crash_gap import FUNDING_STRESS, SPARE, SPARE_DAYS, spare_now
from monitor.core.measures.definition import Key, Relation
from monitor.core.measures.hedge_break import BREAK
from monitor.core.measures.joint import JOINT, members_of, worst_pair
from monitor.core.measures.liquidation import LIQUIDATIONS, solved
from monitor.core.measures.passage import leg_survival, opposite_legs
from monitor.core.measures.shocks import (
    STRESSED_FROM,
    STRESSES,
    broken,
    nearest_shock,
    pool_of,
    stressed_pools,
    stressed_usage,
)
from monitor.core.measures.tree import AccountNode, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.measures.work_words import (
    NAMED,
    Steps,
    Term,
    added,
    bare,
    divided,
    ranked,
    step,
    total,
    usd,
)
from monitor.core.types import SubjectKind


def place_name(node: AccountNode | PositionNode) -> str:
    """``hyperliquid/main``, ``hyperliquid/main/BTC``: a subject without its kind."""
    return node.subject.partition(":")[2]


# ------------------------------------------------------------------------------------ shocks


def _percent(move: float) -> str:
    return f"{move * 100:+.4g} %"


def _shock(
    node: AccountNode, words: str, sign: float, book: Sequence[Exposed], distance: float
) -> Steps:
    """The shock at which equity is maintenance: ``distance = (equity - maintenance there) / what
    a move of all of it would lose``, as long as no price reaches zero on the way."""
    equity = node.holdings.pool_equity_usd
    if distance == 0.0:
        least = usd(node.holdings.pool_maintenance_usd)
        return (f"equity {usd(equity)} of the cross pool is at or below its maintenance {least}",)
    terms = [
        Term(name, -sign * one.beta * one.notional_usd, _times(one))
        for name, one in zip(_cross(node), book, strict=True)
    ]
    there, required = compute_shocked(equity, book, sign * distance)
    at = f"at {_percent(sign * distance)} {words}"
    if any(1.0 + one.beta * sign * distance <= 0.0 for one in book):
        return (f"{at}, where a price is zero: equity {usd(there)}, maintenance {usd(required)}",)
    loss = total(terms)
    return (
        *added(f"{words}, lost by a move of 100 %", terms),
        step(
            f"(equity - maintenance {at}) / that",
            f"({usd(equity)} - {usd(required)}) / {usd(loss)}",
            (equity - required) / loss,
        ),
    )


def _times(one: Exposed) -> str:
    """``1.3 x 2000``; a move of once the shock is the amount alone."""
    size = abs(one.notional_usd)
    return f"{abs(one.beta):g} x {usd(size)}" if abs(one.beta) != 1.0 else usd(size)


def _cross(node: AccountNode) -> list[str]:
    return [name for name, one in node.holdings.held.items() if not one.isolated]


def work_uniform_move(node: AccountNode, use: Use) -> Steps:
    """Of every direction that is asked about, the one that liquidates first."""
    if use.read(node, LIQUIDATIONS) is None:
        return ()
    found = nearest_shock(node)
    if found is None:
        return ("no move of all prices by 1000 % or less liquidates",)
    return _shock(node, found.words, found.sign, found.book, found.distance)


def work_hedge_break(node: AccountNode, use: Use) -> Steps:
    """Longs down and shorts up at once."""
    distance, pool = use.read(node, BREAK.name), pool_of(node)
    if distance is None or not pool:
        return ()
    if distance >= OUT_OF_REACH_RATIO:
        return ("no move of longs down and shorts up by 1000 % or less liquidates",)
    return _shock(node, "longs down, shorts up", -1.0, broken(pool), distance)


def work_stressed_count(node: PortfolioNode, use: Use) -> Steps:
    """Accounts by their usage after the move that stresses most of them."""
    accounts = [
        one
        for one in node.related(Relation.ALL_ACCOUNTS)
        if isinstance(one, AccountNode) and use.read(one, LIQUIDATIONS) is not None
    ]
    if not accounts:
        return ()

    def usages(move: float) -> list[tuple[float, AccountNode]]:
        found = [(stressed_usage(one, move), one) for one in accounts]
        return sorted(found, key=lambda one: (-one[0], one[1].subject))

    def count(move: float) -> int:
        return sum(usage >= STRESSED_FROM for usage, _ in usages(move))

    move = max(STRESSES, key=lambda one: (count(one), usages(one)[0][0]))
    worst = usages(move)
    told = [_stressed(one, move) for _, one in worst[: max(1, min(count(move), NAMED))]]
    more = count(move) - len(told)
    words = f"{count(move)} of {len(accounts)} accounts at {STRESSED_FROM:g} or more after it"
    return (*told, *((f"and {more} more",) if more > 0 else ()), words)


def _stressed(node: AccountNode, move: float) -> str:
    """Of the pool that is worse: maintenance over equity after the move."""
    found = [
        (words, *compute_shocked(equity, book, move))
        for words, equity, book in stressed_pools(node)
    ]
    name, equity, required = max(
        found, key=lambda one: one[2] / one[1] if one[1] > 0.0 else float("inf")
    )
    words = f"{place_name(node)}, {name} after {_percent(move)}"
    if equity <= 0.0:
        return f"{words}: equity {usd(equity)} is gone, maintenance {usd(required)}"
    return divided(f"{words}, maintenance / equity", required, equity)


# --------------------------------------------------------------------------------- crash gap


def _gap(words: str, nets_usd: Mapping[str, float]) -> Steps:
    """By asset, what one step takes; all down or all up, whichever is worse."""
    _, sign = compute_crash_gap_loss(nets_usd)
    terms = [
        Term(asset, -sign * net * gap_of(asset), f"{gap_of(asset):g} x {usd(abs(net))}")
        for asset, net in nets_usd.items()
    ]
    return added(f"{words}, all {'up' if sign > 0.0 else 'down'}", terms)


def work_crash_gap(node: PortfolioNode, use: Use) -> Steps:
    """Net by asset times its gap, over equity."""
    book = read_book(node, use)
    equity = None if book is None else use.read(node, "equity_usd")
    if book is None or equity is None:
        return ()
    lines = _gap("lost", book)
    if not lines:
        return ("nothing is held: 0",)
    if equity <= 0.0:
        return (*lines, f"equity {usd(equity)} is gone: the worst there is")
    return (*lines, divided("lost / equity", compute_crash_gap_loss(book)[0], equity))


def work_spare(node: AccountNode, use: Use) -> Steps:
    """What is free now after the gap and a day of dear funding; the least of the days counts."""
    spare, least = spare_now(node, use), use.read(node, SPARE.name)
    if spare is None or least is None:
        return ()
    if spare.equity_usd <= 0.0:
        return (f"equity {usd(spare.equity_usd)} is gone: 0",)
    funding = max(spare.funding_usd, 0.0)
    sums = (
        f"({usd(spare.free_usd)} - {usd(spare.loss_usd)} - {FUNDING_STRESS:g} x {usd(funding)})"
        f" / {usd(spare.equity_usd)}"
    )
    left = spare.free_usd - spare.loss_usd - FUNDING_STRESS * funding
    return (
        *_gap("gap", spare.nets_usd),
        step("now, (free - gap - 3 x funding of a day) / equity", sums, left / spare.equity_usd),
        f"the least of {SPARE_DAYS} days counts (0 to 1): {bare(least)}",
    )


# ------------------------------------------------------------------------------ come together


def work_joint(node: PortfolioNode, use: Use) -> Steps:
    """The likeliest pair: each alone, their correlation, and both by the copula, which has no
    closed form. More than two are never rarer than that."""
    members, _ = members_of(node, use.read)
    pair, _ = worst_pair(node, members, use)
    found = use.read(node, JOINT.name)
    if found is None:
        return ()
    if pair is None:
        alone = ranked("alone, in a day", [(one.name, one.chance) for one in members])
        return (*alone, "fewer than two accounts at 0.01 % or more: 0")
    first, second = pair.first, pair.second
    lines = [*ranked("alone, in a day", [(one.name, one.chance) for one in members])]
    both = covariance(node, first.scales, second.scales, use)
    own = covariance(node, first.scales, first.scales, use)
    others = covariance(node, second.scales, second.scales, use)
    if both is not None and own and others:
        sums = f"{bare(both)} / sqrt({bare(own)} x {bare(others)})"
        words = f"correlation of {first.name} and {second.name}, covariance / sqrt(variances)"
        lines.append(step(words, sums, both / sqrt(own * others)))
    lines.append(
        step(
            "both, were they independent",
            f"{bare(first.chance)} x {bare(second.chance)}",
            first.chance * second.chance,
        )
    )
    lines.append(
        f"both at once by a t copula of 4 degrees at correlation {bare(pair.rho)}: "
        f"{bare(pair.joint)}, at most the smaller chance"
    )
    if len(members) > 2:
        lines.append(f"two or more of {len(members)}, by one common factor: {bare(found)}")
    return tuple(lines)


# ------------------------------------------------------------------------------------ hedges


def work_survival(node: PortfolioNode, use: Use) -> Steps:
    """Of the opposite leg that is nearest: its distance over the move while profit travels."""
    found = [
        (ratio, leg)
        for leg in opposite_legs(node, use) or []
        if (ratio := leg_survival(leg, use)) is not None
    ]
    if not found:
        return ("no pool holds an asset against another pool",)
    _, leg = min(found, key=lambda one: (one[0], one[1].subject))
    holding, volatility = solved(leg, use), volatility_of(leg, use)
    if holding is None or not volatility or holding.distance_ratio is None:
        return ()
    reach_s = use.settings.margin.reach_s(leg.owner.account.venue)
    move = compute_latency_move(volatility_annualized=volatility, latency_s=reach_s)
    sums = f"{ONE_SIDED_999:g} x {bare(volatility)} x sqrt({reach_s:g} / {YEAR_S:.0f})"
    distance = holding.distance_ratio
    return (
        *ranked("legs", [(place_name(one), ratio) for ratio, one in found], highest=False),
        step(f"move of one in a thousand in the {reach_s:g} s that profit travels", sums, move),
        step(
            f"distance of {place_name(leg)} / move",
            f"{bare(distance)} / {bare(move)}",
            distance / move,
        ),
    )


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("liquidation_uniform_move_ratio", SubjectKind.ACCOUNT): work_uniform_move,
    ("liquidation_hedge_break_ratio", SubjectKind.ACCOUNT): work_hedge_break,
    ("accounts_stressed_count", SubjectKind.PORTFOLIO): work_stressed_count,
    ("accounts_joint_liquidation_24h_ratio", SubjectKind.PORTFOLIO): work_joint,
    ("crash_gap_loss_ratio", SubjectKind.PORTFOLIO): work_crash_gap,
    ("collateral_spare_7d_ratio", SubjectKind.ACCOUNT): work_spare,
    ("hedge_survival_ratio", SubjectKind.PORTFOLIO): work_survival,
}
