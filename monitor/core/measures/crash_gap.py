"""One step in which nobody trades: what it takes from the book, and what collateral is spare all
the same. *Pure.*

The scenario CRASH_GAP of the sheet *stress-and-var*: BTC 15 %, ETH 20 %, all else 30 %, all down or
all up, whichever is worse. Net by asset: what is hedged, off-book legs included, loses nothing.
"""

from __future__ import annotations

from math import fsum
from typing import NamedTuple

from monitor.core.formulas.trades import (
    LOSS_MAX,
    compute_crash_gap_loss,
    compute_loss_ratio,
    gap_of,
)
from monitor.core.measures.accounts import EQUITY, PROJECTED
from monitor.core.measures.book_risk import read_book
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.margin import FREE
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import OFF_BOOK_BIT, Lack
from monitor.core.state.model import DAY_NS, RiskState
from monitor.core.state.spare import SpareMemory
from monitor.core.types import EngineNs, SubjectKind

SPARE_DAYS = 7
# Funding may turn worse while nobody looks (sheet *exits-and-congestion* section 4).
FUNDING_STRESS = 3.0
NAMES_MAX = 3
_MINUTE_S = 60.0


def _book_loss(node: PortfolioNode, use: Use) -> float | None:
    book = read_book(node, use)
    equity = None if book is None else use.read(node, EQUITY.name)
    if book is None or equity is None:
        return None
    return compute_loss_ratio(compute_crash_gap_loss(book)[0], equity)


def _nets(node: Node, state: RiskState, now: EngineNs) -> dict[str, float]:
    """Signed USD by asset at the last prices, however old; what has none is left out."""
    nets: dict[str, list[float]] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if isinstance(account, AccountNode):
            for name, holding in account.holdings.held.items():
                asset = account.markets[name].market.asset
                nets.setdefault(asset, []).append(holding.notional_usd)
    for leg in state.off_book:
        markets = [
            state.venues[venue].markets[name] for venue, name in state.assets.get(leg.asset, ())
        ]
        price = next((one.oracle.value for one in markets if one.oracle.value is not None), None)
        if price is not None and leg.expires_at_ns > now:
            nets.setdefault(leg.asset, []).append(float(leg.size) * price)
    return {asset: fsum(parts) for asset, parts in nets.items()}


def _losers(node: Node, state: RiskState, now: EngineNs) -> str:
    """``all down: SOL 30000 $, ETH 12000 $``: which nets lose most."""
    nets = _nets(node, state, now)
    _, sign = compute_crash_gap_loss(nets)
    losses = sorted((sign * usd * gap_of(asset), asset) for asset, usd in nets.items())
    named = [f"{asset} {-change:.0f} $" for change, asset in losses[:NAMES_MAX] if change < 0.0]
    return f"all {'up' if sign > 0.0 else 'down'}: {', '.join(named)}" if named else ""


# ---------------------------------------------------------------------------------------- spare


class Spare(NamedTuple):
    """What an account's spare collateral is made of, USD; ``nets_usd`` by asset, signed."""

    equity_usd: float
    free_usd: float
    nets_usd: dict[str, float]
    funding_usd: float

    @property
    def loss_usd(self) -> float:
        """By the gap in this account alone: a twin elsewhere sends nothing."""
        return compute_crash_gap_loss(self.nets_usd)[0]

    @property
    def ratio(self) -> float:
        """Free after the gap and a day of dear funding, over equity, in ``[0, 1]``."""
        spare = self.free_usd - self.loss_usd - FUNDING_STRESS * max(self.funding_usd, 0.0)
        return min(max(spare / self.equity_usd, 0.0), 1.0) if self.equity_usd > 0.0 else 0.0


def spare_now(node: AccountNode, use: Use) -> Spare | None:
    """As it is at this instant; None where a part is not known."""
    if not use.join(node.holdings.exposure):
        return None
    equity, free = use.read(node, EQUITY.name), use.read(node, FREE.name)
    funding = use.read(node, PROJECTED.name)
    if equity is None or free is None or funding is None:
        return None
    nets: dict[str, list[float]] = {}
    for name, holding in node.holdings.held.items():
        nets.setdefault(node.markets[name].market.asset, []).append(holding.notional_usd)
    return Spare(equity, free, {asset: fsum(parts) for asset, parts in nets.items()}, funding)


def _spare(node: AccountNode, use: Use) -> float | None:
    """At the worst of the last days."""
    spare = spare_now(node, use)
    if spare is None:
        return None
    memory = use.state.spare.setdefault(node.subject, SpareMemory())
    least = memory.note(spare.ratio, use.now, SPARE_DAYS * DAY_NS)
    if least is None:
        use.absent(
            f"known for {(use.now - memory.since_ns) / DAY_NS:.1f} of {SPARE_DAYS} days without a "
            "gap",
            Lack.FILLING,
        )
    return least


CRASH_GAP_LOSS = MeasureSpec(
    name="crash_gap_loss_ratio",
    kinds=(SubjectKind.PORTFOLIO,),
    unit=Unit.RATIO,
    help=(
        "Loss in one step of BTC 15 %, ETH 20 %, all else 30 %, all down or all up, hedges and "
        "off-book legs counted, over equity."
    ),
    low=0.0,
    high=LOSS_MAX,
    cadence_s=1.0,
    at_zero="1000 when equity is gone and something would be lost",
    typical=(0.02, 0.2),
)
SPARE = MeasureSpec(
    name="collateral_spare_7d_ratio",
    kinds=(SubjectKind.ACCOUNT,),
    unit=Unit.RATIO,
    help=(
        "Least share of equity in 7 days that was free beyond initial margin, a crash gap of this "
        "account alone and a day of three times the present funding."
    ),
    low=0.0,
    high=1.0,
    cadence_s=_MINUTE_S,
    at_zero="0 when equity is gone",
    typical=(0.1, 0.5),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        CRASH_GAP_LOSS,
        SubjectKind.PORTFOLIO,
        _book_loss,
        bits=OFF_BOOK_BIT,
        needs=((Relation.ALL_ACCOUNTS, HOLDINGS), (Relation.SELF, EQUITY.name)),
        detail=_losers,
    ),
    define(
        SPARE,
        SubjectKind.ACCOUNT,
        _spare,
        needs=(
            (Relation.SELF, HOLDINGS),
            (Relation.SELF, FREE.name),
            (Relation.SELF, PROJECTED.name),
        ),
        always=True,
    ),
)
