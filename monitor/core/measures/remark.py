"""What an account that cannot be reached would be worth now: its last known positions at the prices
of its peers.

Such a number is *estimated*: it may page and hold, it cuts nothing and ends nothing. It assumes
that nothing was traded, paid or liquidated since the account was last heard, so it is believed for
a day and no longer. *Pure.*
"""

from __future__ import annotations

from math import fsum

import msgspec

from monitor.core.measures.definition import Relation
from monitor.core.measures.prices import price_of_asset
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import PriceFact
from monitor.core.state.model import DAY_NS
from monitor.core.types import AccountMode

REMARK_NS = DAY_NS
# Beyond this a peer counts another unit (a thousand of it) or is another asset of the same name.
LIKE_LOW, LIKE_HIGH = 0.2, 5.0
EQUITY, GROSS, NET = "equity_usd", "gross_exposure_usd", "net_exposure_usd"


class Remark(msgspec.Struct, frozen=True, gc=False):
    """One account at peers' prices, USD; equity is None where none was ever stated."""

    equity_usd: float | None
    gross_usd: float
    net_usd: float

    def of(self, name: str) -> float | None:
        """The measure of that name."""
        return {EQUITY: self.equity_usd, GROSS: self.gross_usd, NET: self.net_usd}[name]


def read_parts(node: PortfolioNode, name: str, use: Use) -> list[float] | None:
    """A measure of every venue; of one that is unknown, of each of its accounts, re-marked where it
    is unknown too. None where that cannot be done."""
    parts: list[float] = []
    for venue in node.venues:
        value = use.read(venue, name)
        if value is not None:
            parts.append(value)
            continue
        for account in venue.related(Relation.ACCOUNTS):
            part = _part(account, name, use)
            if part is None:
                use.retry()  # nor is what an account would need to be re-marked
                return None
            parts.append(part)
    if use.estimated:
        use.retry()  # peers' prices are not followed message by message
    return parts


def _part(account: Node, name: str, use: Use) -> float | None:
    value = use.read(account, name)
    if value is not None or not isinstance(account, AccountNode):
        return value
    unknown = use.reason
    found = remark(account, use)
    part = None if found is None else found.of(name)
    if part is None:
        use.reason = f"{unknown}; not re-marked: {use.reason}" if found is None else unknown
    return part


def remark(node: AccountNode, use: Use) -> Remark | None:
    """The account at fresh prices of the same assets, wherever they are told."""
    account = node.account
    known_ns = max(account.positions_stream.seen_ns, account.positions_truth.seen_ns)
    if not account.positions_complete or not known_ns:
        use.reason = "its positions were never known"
        return None
    if use.now - known_ns >= REMARK_NS:
        use.reason = "its positions were last known more than a day ago"
        return None
    notionals: list[float] = []
    moves: list[float] = []
    for name, position in account.positions.items():
        if position.size == 0.0:
            continue
        market = node.markets[name].market
        price = price_of_asset(use.state, market.asset, use)
        if price is None:
            use.reason = f"no fresh price of {market.asset} anywhere"
            return None
        before = _last(market.mark if market.has_mark else market.oracle)
        if before is not None and not LIKE_LOW <= price / before <= LIKE_HIGH:
            use.reason = f"the price of {market.asset} elsewhere is of something else"
            return None
        notionals.append(position.size * price)
        moves.append(position.size * (price - (price if before is None else before)))
    use.as_of = min(use.as_of, known_ns)
    use.estimated = True
    return Remark(_equity(node, use, moves, notionals), fsum(map(abs, notionals)), fsum(notionals))


def _last(fact: PriceFact) -> float | None:
    """The last price that was believed, however old."""
    return fact.reference if fact.value is None else fact.value


def _equity(
    node: AccountNode, use: Use, moves: list[float], notionals: list[float]
) -> float | None:
    """Cash and positions where the venue margins on its oracle, else the last statement moved by
    what prices did since."""
    account = node.account
    if account.mode is AccountMode.UNREADABLE:
        return None
    if use.state.venues[account.venue].oracle_margined:
        cash = account.cash.value
        return None if cash is None else fsum((cash, *account.accruals.values(), *notionals))
    stated = account.equity.value
    return None if stated is None else fsum((stated, *moves))
