"""What is held: notional by position, gross and net by account, asset, venue and portfolio.

What cannot be reached is re-marked from peers in the portfolio, and nowhere else.
Legs that the desk declares (a spot hedge, a leg on another exchange) count in their asset and in
the portfolio until they expire; one that cannot be priced makes both unknown. *Pure.*
"""

from __future__ import annotations

from math import fsum

from monitor.core.measures.aggregate import summed
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.prices import price_of_asset
from monitor.core.measures.remark import read_parts, woken_by
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import OFF_BOOK_BIT
from monitor.core.state.model import Holding
from monitor.core.types import SubjectKind

_POSITION = (SubjectKind.POSITION,)
_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO, SubjectKind.ASSET)
_FROM_OWNER = ((Relation.ACCOUNT, HOLDINGS),)
_FROM_HOLDINGS = ((Relation.SELF, HOLDINGS),)


def holding_of(node: PositionNode, use: Use) -> Holding | None:
    """The valued position, or None where it cannot be valued. Another position of the account that
    has no price does not take this one's value away."""
    holdings = node.owner.holdings
    if use.read(node.owner, HOLDINGS) is None:
        return None
    holding = holdings.held.get(node.market.market.market)
    if holding is None:
        use.absent(holdings.exposure.reason, holdings.exposure.lack)
    return holding


def is_closed(node: PositionNode, use: Use) -> bool:
    """Known to be nothing: the list of positions is fresh and says so."""
    if node.position.size != 0.0:
        return False
    return use.read(node.owner, HOLDINGS) is not None


def _notional(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    return None if holding is None else holding.notional_usd


def _preview_notional(node: PositionNode) -> float | None:
    holding = node.owner.holdings.held.get(node.market.market.market)
    return None if holding is None else holding.notional_usd


def _unrealized(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    if holding is None:
        return None
    entry = node.position.entry_price
    if entry is None:
        use.absent("the entry price is not known")
        return None
    return holding.size * (holding.price - entry)


def _account_gross(node: AccountNode, use: Use) -> float | None:
    return node.holdings.gross_usd if use.join(node.holdings.exposure) else None


def _account_net(node: AccountNode, use: Use) -> float | None:
    return node.holdings.net_usd if use.join(node.holdings.exposure) else None


# ------------------------------------------------------------------------------ off-book legs


def off_book_notionals(use: Use, only: str | None = None) -> dict[str, float] | None:
    """Signed USD of the unexpired off-book legs by asset; None where one has no price.

    Prices are not followed message by message: it is computed again every second.
    """
    sizes: dict[str, list[float]] = {}
    for leg in use.state.off_book:
        if leg.expires_at_ns <= use.now or only not in {None, leg.asset}:
            continue
        sizes.setdefault(leg.asset, []).append(float(leg.size))
        use.wake_at(leg.expires_at_ns)
    if sizes:
        use.retry()
    notionals: dict[str, float] = {}
    for asset, parts in sizes.items():
        size = fsum(parts)
        if size == 0.0:
            notionals[asset] = 0.0
            continue
        price = price_of_asset(use.state, asset, use)
        if price is None:
            use.absent(f"no fresh price of {asset}, which the desk holds off-book")
            return None
        notionals[asset] = size * price
    return notionals


def _off_book_net(node: AssetNode, use: Use) -> float | None:
    if not use.state.off_book:
        return 0.0
    notionals = off_book_notionals(use, node.asset)
    return None if notionals is None else fsum(notionals.values())


def asset_parts(node: AssetNode, use: Use, whose: list[str] | None = None) -> list[float] | None:
    """Signed notionals of every position in the asset, after its off-book net; None where one is
    not known. ``whose``, where it is given, is filled with their names."""
    off_book = _off_book_net(node, use)
    if off_book is None:
        return None
    # An account that has never held the asset still has to be known not to.
    for account in node.related(Relation.ALL_ACCOUNTS):
        if use.read(account, HOLDINGS) is None:
            return None
    parts = [off_book]
    if whose is not None:
        whose.append("off-book")
    for holder in node.related(Relation.HOLDERS):
        if not isinstance(holder, AccountNode):
            continue
        for place in node.markets:
            market = place.market
            if market.venue != holder.account.venue:
                continue
            position = holder.account.positions.get(market.market)
            if position is None or position.size == 0.0:
                continue
            holding = holder.holdings.held.get(market.market)
            if holding is None:
                use.absent(holder.holdings.exposure.reason, holder.holdings.exposure.lack)
                return None
            parts.append(holding.notional_usd)
            if whose is not None:
                whose.append(f"{holder.subject.partition(':')[2]}/{market.market}")
    return parts


def _asset_gross(node: AssetNode, use: Use) -> float | None:
    parts = asset_parts(node, use)
    return None if parts is None else fsum(abs(part) for part in parts)


def _asset_net(node: AssetNode, use: Use) -> float | None:
    parts = asset_parts(node, use)
    return None if parts is None else fsum(parts)


def _portfolio(node: PortfolioNode, use: Use, name: str) -> list[float] | None:
    off_book = off_book_notionals(use)
    if off_book is None:
        return None
    parts = list(off_book.values())
    if name == GROSS.name:
        parts = [abs(part) for part in parts]
    held = read_parts(node, name, use)
    return None if held is None else parts + held


def _portfolio_gross(node: PortfolioNode, use: Use) -> float | None:
    parts = _portfolio(node, use, GROSS.name)
    return None if parts is None else fsum(parts)


def _portfolio_net(node: PortfolioNode, use: Use) -> float | None:
    parts = _portfolio(node, use, NET.name)
    return None if parts is None else fsum(parts)


GROSS = MeasureSpec(
    name="gross_exposure_usd",
    kinds=_WIDE,
    unit=Unit.USD,
    help="Sum of absolute position notionals, USD; off-book legs count in asset and portfolio.",
    low=0.0,
    typical=(1e6, 5e6),
    aggregate=Aggregate.SUM,
)
NET = MeasureSpec(
    name="net_exposure_usd",
    kinds=_WIDE,
    unit=Unit.USD,
    help="Sum of signed position notionals, USD, long > 0; off-book legs count in asset and "
    "portfolio.",
    typical=(1e4, -1e6),
    aggregate=Aggregate.SUM,
)
# Of an account that never held the asset it only matters that it is known not to: there are
# hundreds of assets, and any account is valued many times a second.
_HOLDERS = ((Relation.HOLDERS, HOLDINGS),)
_EVERYBODY = ((Relation.ALL_ACCOUNTS, HOLDINGS),)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name="notional_usd",
            kinds=_POSITION,
            unit=Unit.USD,
            help="Signed position value at the margin price, USD, long > 0; 0 once closed.",
            typical=(1e5, -1e6),
        ),
        SubjectKind.POSITION,
        _notional,
        needs=_FROM_OWNER,
        preview=_preview_notional,
    ),
    define(
        MeasureSpec(
            name="unrealized_pnl_usd",
            kinds=_POSITION,
            unit=Unit.USD,
            help="Profit (> 0) or loss since entry at the margin price, USD.",
            typical=(1e3, -1e5),
        ),
        SubjectKind.POSITION,
        _unrealized,
        needs=_FROM_OWNER,
    ),
    define(GROSS, SubjectKind.ACCOUNT, _account_gross, needs=_FROM_HOLDINGS),
    define(NET, SubjectKind.ACCOUNT, _account_net, needs=_FROM_HOLDINGS),
    define(
        GROSS,
        SubjectKind.ASSET,
        _asset_gross,
        bits=OFF_BOOK_BIT,
        needs=_HOLDERS,
        knows=_EVERYBODY,
        cadence_s=1.0,  # asked whether something is held at all
    ),
    define(NET, SubjectKind.ASSET, _asset_net, bits=OFF_BOOK_BIT, needs=_HOLDERS, knows=_EVERYBODY),
    define(
        GROSS,
        SubjectKind.VENUE,
        summed(Relation.ACCOUNTS, GROSS.name),
        needs=((Relation.ACCOUNTS, GROSS.name),),
    ),
    define(
        NET,
        SubjectKind.VENUE,
        summed(Relation.ACCOUNTS, NET.name),
        needs=((Relation.ACCOUNTS, NET.name),),
    ),
    define(
        GROSS,
        SubjectKind.PORTFOLIO,
        _portfolio_gross,
        bits=OFF_BOOK_BIT,
        needs=((Relation.VENUES, GROSS.name),),
        knows=woken_by(GROSS.name),
    ),
    define(
        NET,
        SubjectKind.PORTFOLIO,
        _portfolio_net,
        bits=OFF_BOOK_BIT,
        needs=((Relation.VENUES, NET.name),),
        knows=woken_by(NET.name),
    ),
    define(
        MeasureSpec(
            name="offbook_net_usd",
            kinds=(SubjectKind.ASSET,),
            unit=Unit.USD,
            help="Signed value of the desk's declared and unexpired off-book legs, USD.",
            typical=(0.0, -1e6),
        ),
        SubjectKind.ASSET,
        _off_book_net,
        bits=OFF_BOOK_BIT,
    ),
)
