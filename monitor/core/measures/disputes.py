"""Whether the books contradict the prices behind the portfolio's equity: an oracle that prints
nonsense, or was given the wrong unit, moves the equity of a whole desk by what nobody lost.

The account itself stays exact, for its venue does margin and liquidate at that price. But of the
portfolio such an equity is an estimate: it pages and holds, and cuts at no other venue. *Pure.*
"""

from __future__ import annotations

from math import fsum

from monitor.core.measures.definition import Relation
from monitor.core.measures.tree import AccountNode, MarketNode, PortfolioNode
from monitor.core.measures.use import Use

# Equity that moved less than this since it was last agreed on moves no rule, and is not looked at:
# looking at every position for every price would cost more than all else.
STEP_RATIO = 0.01
# A price so far from its own book is wrong, or the book is; funding and thin hours explain less.
APART_RATIO = 0.10
# What the disputed part must be worth, of equity: a small position with a bad price changes little.
WORTH_RATIO = 0.02


def is_disputed(node: PortfolioNode, equity_usd: float, use: Use) -> bool:
    """Whether equity moved by prices that their own books contradict.

    Only where by the books it moved less: a fall that the books show deeper still is no mistake of
    a price. Remembers the equity that was last agreed on.
    """
    agreed_usd = use.state.agreed_equity_usd
    if agreed_usd is not None and abs(equity_usd - agreed_usd) <= STEP_RATIO * abs(agreed_usd):
        return False
    correction_usd = _correction_usd(node, use)
    at_books_usd = equity_usd + correction_usd
    if abs(correction_usd) > WORTH_RATIO * abs(at_books_usd):
        before_usd = at_books_usd if agreed_usd is None else agreed_usd
        if abs(at_books_usd - before_usd) < abs(equity_usd - before_usd):
            return True
    use.state.agreed_equity_usd = equity_usd
    return False


def _correction_usd(node: PortfolioNode, use: Use) -> float:
    """What the positions in markets with a contradicted price would be worth more by their books,
    USD, signed."""
    return fsum(
        holding.size * _gap(holding.price, account.markets[name], use)
        for venue in node.venues
        for account in venue.related(Relation.ACCOUNTS)
        if isinstance(account, AccountNode)
        for name, holding in account.holdings.held.items()
    )


def _gap(price: float, place: MarketNode, use: Use) -> float:
    """How far the book lies above (> 0) or below the price that a position is valued at, USD; zero
    where they agree or nothing is known of the book.

    A price contradicts a book only from outside its best prices. Its middle says nothing: in a
    crash bids are pulled while old asks rest, and the middle of the hole is no price. The venue's
    own mid serves only where no book was told lately. Freshness of the equity is not judged by it.
    """
    top, mid = place.market.top, place.market.mid
    limit_ns = use.now - place.top_limit
    bid = ask = mid.value if mid.seen_ns > limit_ns else None
    if top.seen_ns > limit_ns and (top.bid is not None or top.ask is not None):
        bid, ask = top.bid, top.ask
    if bid is not None and price < bid * (1.0 - APART_RATIO):
        return bid - price
    if ask is not None and price > ask * (1.0 + APART_RATIO):
        return ask - price
    return 0.0
