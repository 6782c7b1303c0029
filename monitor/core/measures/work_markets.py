"""How books and prices come about, line by line, for whoever does them again by hand.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.core.measures.books import compute_spread
from monitor.core.measures.definition import Key
from monitor.core.measures.exposure import holding_of, is_closed
from monitor.core.measures.prices import read_index, read_mark, read_mid, read_oracle
from monitor.core.measures.tree import MarketNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.measures.work_words import Steps, bare, divided, step, usd
from monitor.core.types import SubjectKind

Price = Callable[[MarketNode, Use], float | None]


def work_exit_depth(node: PositionNode, use: Use) -> Steps:
    """What rests on the side that an exit takes, over the position."""
    holding = None if is_closed(node, use) else holding_of(node, use)
    if holding is None:
        return ()
    depth = node.market.market.depth
    side, word = (depth.bid_usd, "bids") if holding.size > 0.0 else (depth.ask_usd, "offers")
    if side is None:
        return ()
    return (divided(f"{word} within 25 bp / |position|", side, abs(holding.notional_usd)),)


def work_depth_drop(node: MarketNode, _use: Use) -> Steps:
    """Each side against its median of the hour; the larger fall counts. Of one that is gone it is
    the median of before."""
    depth, books = node.market.depth, node.market.books
    sides = (
        ("bids", depth.bid_usd, books.bid_median_usd),
        ("offers", depth.ask_usd, books.ask_median_usd),
    )
    return tuple(
        f"{word}, 1 - now / median of {'the hour' if now else 'before'}: "
        f"1 - {usd(now)} / {usd(usual)} = {bare(1.0 - now / usual)}"
        for word, now, usual in sides
        if now is not None and usual
    )


def work_spread(node: MarketNode, use: Use) -> Steps:
    """(Ask - bid) over the middle."""
    spread, top = compute_spread(node, use), node.market.top
    if spread is None or top.bid is None or top.ask is None:
        return ()
    bid, ask = bare(top.bid), bare(top.ask)
    return (f"(ask - bid) / middle: ({ask} - {bid}) x 2 / ({ask} + {bid}) = {bare(spread)}",)


def work_spread_of_usual(node: MarketNode, use: Use) -> Steps:
    """The spread over its median."""
    spread, usual = compute_spread(node, use), node.market.books.spread_median
    if spread is None or not usual:
        return ()
    return (
        *work_spread(node, use),
        f"over its median of thirty days: {bare(spread)} / {bare(usual)} = {bare(spread / usual)}",
    )


def _work_deviation(first: Price, second: Price, words: str) -> Callable[[MarketNode, Use], Steps]:
    def work(node: MarketNode, use: Use) -> Steps:
        value, reference = first(node, use), second(node, use)
        if value is None or reference is None:
            return ()
        under = bare(reference)
        sums = f"({bare(value)} - {under}) / {under}"
        return (step(words, sums, (value - reference) / reference),)

    return work


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("exit_depth_ratio", SubjectKind.POSITION): work_exit_depth,
    ("depth_drop_ratio", SubjectKind.MARKET): work_depth_drop,
    ("spread_ratio", SubjectKind.MARKET): work_spread,
    ("spread_of_usual_ratio", SubjectKind.MARKET): work_spread_of_usual,
    ("oracle_deviation_ratio", SubjectKind.MARKET): _work_deviation(
        read_mark, read_oracle, "(mark - oracle) / oracle"
    ),
    ("mid_deviation_ratio", SubjectKind.MARKET): _work_deviation(
        read_mid, read_oracle, "(middle of the book - oracle) / oracle"
    ),
    ("basis_ratio", SubjectKind.MARKET): _work_deviation(
        read_mark, read_index, "(mark - index) / index"
    ),
}
