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
from monitor.core.measures.use import RETRY_NS, Use
from monitor.core.state.facts import PriceFact
from monitor.core.state.model import DAY_NS, AccountState
from monitor.core.types import SECOND_NS, AccountMode, EngineNs

REMARK_NS = DAY_NS
# What only the account itself can tell wakes its reader when it is told (``woken_by``); this is for
# the rest of it.
LOOK_AGAIN_NS = 30 * SECOND_NS
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


def woken_by(name: str) -> tuple[tuple[Relation, str], ...]:
    """What tells the portfolio's measure ``name`` that an account appeared or went: that it is
    known, and that its positions are."""
    return (Relation.ALL_ACCOUNTS, name), (Relation.ALL_ACCOUNTS, "positions_count")


def read_parts(
    node: PortfolioNode, name: str, use: Use, whose: list[Node] | None = None
) -> list[float] | None:
    """A measure of every venue; of one that is unknown, of each of its accounts, re-marked where it
    is unknown too. None where that cannot be done. ``whose``, where it is given, is filled with
    those they are of."""
    parts: list[float] = []
    for venue in node.venues:
        value = use.read(venue, name)
        if value is not None:
            parts.append(value)
            if whose is not None:
                whose.append(venue)
            continue
        for account in venue.related(Relation.ACCOUNTS):
            part = _part(account, name, use)
            if part is None:
                _look_again(node, name, use)
                return None
            parts.append(part)
            if whose is not None:
                whose.append(account)
    if use.estimated:
        use.retry()  # peers' prices are not followed message by message
    return parts


def _look_again(node: PortfolioNode, name: str, use: Use) -> None:
    """Peers' prices are not followed, so one that is missing is looked for every second; while some
    account alone could say what is missing, nothing else can help."""
    why = use.why
    lost = any(
        isinstance(account, AccountNode)
        and not _believed(account.account, use.now)
        and use.read(account, name) is None
        for venue in node.venues
        for account in venue.related(Relation.ACCOUNTS)
    )
    use.why = why
    use.wake_at(use.now + (LOOK_AGAIN_NS if lost else RETRY_NS))


def _believed(account: AccountState, now: EngineNs) -> bool:
    """Whether it can be re-marked, given prices."""
    known_ns = _known_ns(account)
    readable = account.mode is not AccountMode.UNREADABLE
    return readable and account.positions_complete and known_ns > 0 and now - known_ns < REMARK_NS


def _known_ns(account: AccountState) -> EngineNs:
    return max(account.positions_stream.seen_ns, account.positions_truth.seen_ns)


def _part(account: Node, name: str, use: Use) -> float | None:
    value = use.read(account, name)
    if value is not None or not isinstance(account, AccountNode):
        return value
    unknown = use.why
    found = remark(account, use)
    part = None if found is None else found.of(name)
    if part is None:
        also = "" if found is not None else f"; not re-marked: {use.reason}"
        use.absent(f"{unknown.reason}{also}", unknown.lack)
    return part


def remark(node: AccountNode, use: Use) -> Remark | None:
    """The account at fresh prices of the same assets, wherever they are told."""
    account = node.account
    known_ns = _known_ns(account)
    if not account.positions_complete or not known_ns:
        use.absent("its positions were never known")
        return None
    if use.now - known_ns >= REMARK_NS:
        use.absent("its positions were last known more than a day ago")
        return None
    notionals: list[float] = []
    moves: list[float] = []
    for name, position in account.positions.items():
        if position.size == 0.0:
            continue
        market = node.markets[name].market
        price = price_of_asset(use.state, market.asset, use)
        if price is None:
            use.absent(f"no fresh price of {market.asset} anywhere")
            return None
        before = _last(market.mark if market.has_mark else market.oracle)
        if before is not None and not LIKE_LOW <= price / before <= LIKE_HIGH:
            use.absent(f"the price of {market.asset} elsewhere is of something else")
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
