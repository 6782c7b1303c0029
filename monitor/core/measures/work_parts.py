"""Which children made a value: of a sum over accounts, venues or positions the biggest first with
their numbers, of a highest or lowest who it is.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.aggregate import UPWARD
from monitor.core.measures.definition import Definition, Key
from monitor.core.measures.exposure import (
    GROSS,
    asset_parts,
    holding_of,
    is_closed,
    off_book_notionals,
)
from monitor.core.measures.remark import read_parts
from monitor.core.measures.spec import Aggregate
from monitor.core.measures.tree import AccountNode, AssetNode, Node, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.measures.work_words import Steps, Term, added, bare, divided, ranked, step, usd
from monitor.core.types import SubjectKind

_PLACES = {SubjectKind.VENUE: "accounts", SubjectKind.PORTFOLIO: "venues"}


def name_of(node: Node) -> str:
    """``hyperliquid/main``: a subject without its kind."""
    return node.subject.partition(":")[2]


def is_made_of_children(definition: Definition) -> bool:
    """Whether it is the sum, the highest or the lowest of the same measure one kind down."""
    relation = UPWARD.get(definition.kind)
    return (
        definition.spec.aggregate in {Aggregate.SUM, Aggregate.MAX, Aggregate.MIN}
        and relation is not None
        and definition.needs == ((relation, definition.name),)
    )


def work_children(definition: Definition, node: Node, use: Use) -> tuple[Steps, Node | None]:
    """The children that a venue's or the portfolio's value is made of; and of a highest or lowest
    the one that it is of, whose own steps say more."""
    kind, name, aggregate = definition.kind, definition.name, definition.spec.aggregate
    children = node.related(UPWARD[kind])
    values = [(one, value) for one in children if (value := use.read(one, name)) is not None]
    if not values:
        return (), None
    if aggregate is Aggregate.SUM:
        terms = [Term(name_of(one), value) for one, value in values]
        return added(f"{name} of its {_PLACES[kind]}", terms), None
    highest = aggregate is Aggregate.MAX
    words = f"{'highest' if highest else 'lowest'} of its {_PLACES[kind]}"
    found = (max if highest else min)(values, key=lambda one: one[1])[0]
    named = [(name_of(one), value) for one, value in values]
    return ranked(words, named, highest=highest), found


# --------------------------------------------------------------------------- equity and gross


def equity_parts(node: Node, use: Use, words: str = "equity") -> Steps:
    """Equity of a venue by account, of the portfolio by venue; nothing for an account."""
    if isinstance(node, PortfolioNode):
        return _portfolio_parts(node, EQUITY.name, words, use)
    if node.kind not in UPWARD:
        return ()
    return added(words, _read_all(node, EQUITY.name, use))


def gross_parts(node: Node, use: Use) -> Steps:
    """Gross exposure of an account by market, of a venue by account, of the portfolio by venue and
    off-book leg."""
    if isinstance(node, AccountNode):
        held = node.holdings.held.items()
        return added("gross", [Term(name, abs(one.notional_usd)) for name, one in held])
    if isinstance(node, PortfolioNode):
        return _portfolio_parts(node, GROSS.name, "gross", use)
    return added("gross", _read_all(node, GROSS.name, use))


def _read_all(node: Node, name: str, use: Use) -> list[Term]:
    values = [(one, use.read(one, name)) for one in node.related(UPWARD[node.kind])]
    return [Term(name_of(one), value) for one, value in values if value is not None]


def _portfolio_parts(node: PortfolioNode, name: str, words: str, use: Use) -> Steps:
    whose: list[Node] = []
    parts = read_parts(node, name, use, whose)
    if parts is None:
        return ()
    terms = [Term(name_of(one), value) for one, value in zip(whose, parts, strict=True)]
    if name == GROSS.name:
        legs = off_book_notionals(use) or {}
        terms += [Term(f"off-book {asset}", abs(value)) for asset, value in legs.items()]
    return added(words, terms)


def work_leverage(node: Node, use: Use) -> Steps:
    """What either is made of, and gross over equity."""
    gross, equity = use.read(node, GROSS.name), use.read(node, EQUITY.name)
    if gross is None or equity is None or gross <= 0.0:
        return ()
    parts = (*gross_parts(node, use), *equity_parts(node, use))
    if equity <= 0.0:
        return (*parts, f"equity {usd(equity)} is gone: the worst there is")
    return (*parts, divided("gross / equity", gross, equity))


def work_gross_to_cap(node: Node, use: Use) -> Steps:
    """Leverage over its cap by liquidity and exit time."""
    name = "leverage_gross" if node.kind is SubjectKind.ASSET else "leverage"
    leverage, cap = use.read(node, name), use.read(node, "leverage_cap_gross")
    if leverage is None or not cap:
        return ()
    sums = f"{bare(leverage)} / {bare(cap)}"
    return (step(f"{name} / leverage_cap_gross", sums, leverage / cap),)


# ------------------------------------------------------------------------- assets, positions


def work_asset_gross(node: AssetNode, use: Use) -> Steps:
    """Every position in the asset and its off-book net, each at its size."""
    whose: list[str] = []
    parts = asset_parts(node, use, whose)
    if parts is None:
        return ()
    terms = [Term(name, abs(part)) for name, part in zip(whose, parts, strict=True)]
    return added("positions, each at its size", terms) or ("nothing is held: 0",)


def work_asset_leverage(node: AssetNode, use: Use) -> Steps:
    """The asset's positions net, over the equity of the whole book."""
    whose: list[str] = []
    parts, equity = asset_parts(node, use, whose), use.read(node.ancestors[0], EQUITY.name)
    net = use.read(node, "net_exposure_usd")
    if parts is None or equity is None or net is None:
        return ()
    terms = [Term(name, part) for name, part in zip(whose, parts, strict=True)]
    if equity <= 0.0:
        return (*added("net", terms), f"equity {usd(equity)} is gone: the worst there is")
    return (*added("net", terms), divided("|net| / equity of the book", abs(net), equity))


def work_notional(node: PositionNode, use: Use) -> Steps:
    """Size times price."""
    holding = None if is_closed(node, use) else holding_of(node, use)
    if holding is None:
        return ()
    sums = f"{bare(holding.size)} x {bare(holding.price)}"
    return (step("size x price", sums, holding.notional_usd),)


_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    **{("leverage", kind): work_leverage for kind in _WIDE},
    **{
        ("leverage_gross_to_cap_ratio", kind): work_gross_to_cap
        for kind in (*_WIDE, SubjectKind.ASSET)
    },
    **{("gross_exposure_usd", kind): gross_parts for kind in _WIDE},
    ("equity_usd", SubjectKind.VENUE): equity_parts,
    ("equity_usd", SubjectKind.PORTFOLIO): equity_parts,
    ("gross_exposure_usd", SubjectKind.ASSET): work_asset_gross,
    ("leverage_net", SubjectKind.ASSET): work_asset_leverage,
    ("notional_usd", SubjectKind.POSITION): work_notional,
}
