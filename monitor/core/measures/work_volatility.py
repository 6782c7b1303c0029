"""How percentiles, jumps, betas, falls and strategies that are one are worked out.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import combinations
from math import exp, pi

from monitor.core.formulas.structure import correlate_pairs
from monitor.core.formulas.volatility import Jumps, bin_floor, compute_jumps
from monitor.core.measures.book_risk import (
    BASKET,
    betas_of,
    correlation,
    read_book,
)
from monitor.core.measures.definition import Key
from monitor.core.measures.risk_shares import SHARE, tail_shares
from monitor.core.measures.strategies import compared, profits
from monitor.core.measures.tree import AssetNode, Node, PortfolioNode, StrategyNode
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import (
    basket_moves,
    read_basket,
    read_basket_slow,
    read_day,
    read_series,
    read_slow,
)
from monitor.core.measures.work_words import (
    Steps,
    Term,
    added,
    bare,
    divided,
    listed,
    step,
    total,
    usd,
)
from monitor.core.state.series import HourSeries, marked_bin
from monitor.core.types import SubjectKind

# ----------------------------------------------------------------------------------- percentiles


def _percentile(hours: HourSeries) -> Steps:
    marked, known = marked_bin(hours.slow), sum(hours.counts)
    if not marked or not known:
        return ()
    below, same = sum(hours.counts[: marked - 1]), hours.counts[marked - 1]
    low, high = bin_floor(marked - 1), bin_floor(marked)
    words = f"hours of 180 days below {low:.4g} a year, and half of those up to {high:.4g}, of all"
    return (step(words, f"({below} + {same} / 2) / {known}", (below + 0.5 * same) / known),)


def work_basket_percentile(_node: Node, use: Use) -> Steps:
    """Hours of lower volatility, out of all that are known."""
    basket = read_basket(use)
    return () if basket is None else _percentile(basket)


def work_asset_percentile(node: AssetNode, use: Use) -> Steps:
    """The same of one asset."""
    series = read_series(node.asset, use)
    return () if series is None else _percentile(series.hours)


# ---------------------------------------------------------------------------------------- jumps


def _jumps(returns: list[float]) -> tuple[list[str], Jumps]:
    """The moves themselves, and what neighbours explain of them: ``pi / 2 x n / (n - 1)`` times
    the sum of each two after another."""
    found, count = compute_jumps(returns), len(returns)
    moves = " ".join(f"{one * 100:.3g}" for one in returns)
    sums = f"{pi / 2:.9g} x {count} / {count - 1} x {bare(found.products)}"
    return [
        f"{count} hourly log moves in %, the last unfinished: {moves}",
        step("explained by their neighbours' products", sums, found.bipower),
    ], found


def work_jump_share(node: AssetNode, use: Use) -> Steps:
    """What of the sum of squares neighbours do not explain."""
    day = read_day(node, use)
    if day is None:
        return ()
    lines, found = _jumps(day[0])
    squares, smooth = bare(found.realized), bare(found.bipower)
    if found.jump <= 0.0:
        return (*lines, f"squares add up to {squares}, all of it explained: 0")
    sums = f"({squares} - {smooth}) / {squares}"
    return (*lines, step("(squares - explained) / squares", sums, found.share_ratio))


def work_jump_sigmas(node: AssetNode, use: Use) -> Steps:
    """The larger of the last two moves over the deviation of what neighbours explain."""
    day = read_day(node, use)
    if day is None:
        return ()
    returns, move = day
    lines, found = _jumps(returns)
    if found.sigma <= 0.0:
        return (*lines, f"no deviation without jumps; the larger of the last two is {bare(move)}")
    return (
        *lines,
        step("deviation", f"sqrt({bare(found.bipower)} / {len(returns)})", found.sigma),
        step(
            "larger of the last two / deviation",
            f"{bare(move)} / {bare(found.sigma)}",
            move / found.sigma,
        ),
    )


# ------------------------------------------------------------------------------------- the book


def work_beta_net(node: PortfolioNode, use: Use) -> Steps:
    """Net of each asset times its beta; of the largest, how the beta came about."""
    book = read_book(node, use)
    betas = None if book is None else betas_of(node, book, use)
    if book is None or betas is None:
        return ()
    if not betas:
        return ("nothing is held: 0",)
    largest = max(sorted(betas), key=lambda asset: abs(betas[asset] * book[asset]))
    terms = [
        Term(asset, beta * book[asset], f"{bare(abs(beta))} x {usd(abs(book[asset]))}")
        for asset, beta in betas.items()
    ]
    return (*_beta(node, largest, use), *added("beta x net", terms))


def _beta(node: PortfolioNode, asset: str, use: Use) -> Steps:
    rho, sigma, basket = (
        correlation(node, asset, BASKET, use),
        read_slow(asset, use),
        read_basket_slow(use),
    )
    if rho is None or sigma is None or not basket:
        return ()
    sums = f"{bare(rho)} x {bare(sigma)} / {bare(basket)}"
    words = f"beta of {asset}, correlation x volatility / the basket's"
    return (step(words, sums, rho * sigma / basket),)


def work_basket_return(_node: Node, use: Use) -> Steps:
    """Mean of the log moves of 72 hours, as a move."""
    moves = basket_moves(use)
    if not moves:
        return ()
    terms = [Term(asset, move) for asset, move in moves.items()]
    mean = total(terms) / len(moves)
    return (
        *added("log moves of 72 h", terms, show=bare),
        step(
            f"exp(mean of {len(moves)}) - 1",
            f"exp({bare(total(terms))} / {len(moves)}) - 1",
            exp(mean) - 1.0,
        ),
    )


# ------------------------------------------------------------------------------------ strategies


def _work_lockstep(*, stressed: bool) -> Callable[[PortfolioNode, Use], Steps]:
    def work(_node: PortfolioNode, use: Use) -> Steps:
        profits = compared(use, stressed=stressed)
        if len(profits) < 2:
            return ("fewer than two strategies are configured: 0",)
        names = list(combinations(profits, 2))
        found = correlate_pairs(list(profits.values()))
        terms = [
            Term(f"{one} with {other}", rho) for (one, other), rho in zip(names, found, strict=True)
        ]
        hours = min(len(profits[one].keys() & profits[other].keys()) for one, other in names)
        mean = total(terms) / len(terms)
        words = f"mean correlation of each two, over {hours} hours or more"
        return (step(words, f"({listed(terms, show=bare)}) / {len(terms)}", mean),)

    return work


def _told(hour: int) -> str:
    """``03 Nov 14:00``."""
    return datetime.fromtimestamp(hour * 3600, UTC).strftime("%d %b %H:00")


def work_share(node: StrategyNode, use: Use) -> Steps:
    """The tail, what all lost in it, and this strategy's part of that."""
    found = tail_shares(use)
    if found.shortfall_usd is None or found.shares is None:
        return ()
    made = profits(use)[node.strategy.name]
    losses = [Term(_told(hour), -made[hour]) for hour in found.worst]
    mean = total(losses) / len(losses)
    return (
        f"mean loss of all in the worst {len(losses)} of {found.hours} hours: "
        + usd(found.shortfall_usd),
        step(f"{node.strategy.name} lost", f"({listed(losses)}) / {len(losses)}", mean),
        divided("share", mean, found.shortfall_usd),
    )


def work_share_off(node: StrategyNode, use: Use) -> Steps:
    """The share less what is meant."""
    meant = node.strategy.risk_share
    share = use.read(node, SHARE)
    if meant is None:
        return ("no risk_share is configured: 0",)
    if share is None:
        return ()
    return (*work_share(node, use), step("off", f"{bare(share)} - {meant:g}", share - meant))


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("volatility_percentile", SubjectKind.PORTFOLIO): work_basket_percentile,
    ("volatility_percentile", SubjectKind.ASSET): work_asset_percentile,
    ("jump_share_ratio", SubjectKind.ASSET): work_jump_share,
    ("jump_sigmas_ratio", SubjectKind.ASSET): work_jump_sigmas,
    ("beta_net_usd", SubjectKind.PORTFOLIO): work_beta_net,
    ("basket_return_72h_ratio", SubjectKind.PORTFOLIO): work_basket_return,
    ("strategies_correlation", SubjectKind.PORTFOLIO): _work_lockstep(stressed=False),
    ("strategies_stressed_correlation", SubjectKind.PORTFOLIO): _work_lockstep(stressed=True),
    (SHARE, SubjectKind.STRATEGY): work_share,
    ("strategy_shortfall_off_ratio", SubjectKind.STRATEGY): work_share_off,
}
