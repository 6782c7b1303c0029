"""All positions of an account valued in one pass; every margin and exposure measure reads this.

Hidden from people: it is the intermediate result they share. *Pure.*
"""

from __future__ import annotations

from math import fsum

from monitor.core.events import MarginTier
from monitor.core.formulas.margin import compute_tiered_maintenance
from monitor.core.measures.definition import HOLDINGS, Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode
from monitor.core.measures.use import Use, known_ns
from monitor.core.state.facts import AccountBit, SeenFact, Why
from monitor.core.state.model import Freshness, Holding, PositionState
from monitor.core.types import MarginMode, SubjectKind

# Looking a member up in its class costs more than all else around it (before Python 3.12).
_ISOLATED = MarginMode.ISOLATED


def positions_known(node: AccountNode, use: Use) -> bool:
    """Fold in how fresh the list of positions is: by the stream while it lives, else by truth.

    Truth counts only while the stream has not changed anything since it was read; after a gap in
    the stream what it changed needs the next truth.
    """
    account = node.account
    if not account.positions_complete:
        use.absent("positions were never listed completely, or not readably")
        return False
    stream, truth = account.positions_stream, account.positions_truth
    known = known_ns(stream, use.channels.get(stream.channel))
    if known or truth.seen_ns >= account.stream_changed_ns:
        known = max(known, known_ns(truth, use.channels.get(truth.channel)))
    expires = known + node.account_limit
    if not known or expires <= use.now:
        use.absent("positions are too old" if known else "positions need a re-read after a gap")
        if _may_return(use, account.positions_stream):
            use.retry()
        return False
    use.as_of = min(use.as_of, known)
    use.expires = min(use.expires, expires)
    use.observed = min(use.observed, max(account.positions_stream.seen_ns, truth.seen_ns))
    return True


def _may_return(use: Use, seen: SeenFact) -> bool:
    channel = use.channels.get(seen.channel)
    return channel is not None and channel.open


def compute_holdings(node: AccountNode, use: Use) -> float | None:
    """Number of open positions; the values go to ``node.holdings``."""
    into = node.holdings
    if not positions_known(node, use):
        into.held = {}
        into.exposure = into.maintenance = Freshness(reason=use.reason, lack=use.why.lack)
        return None
    before, markets = into.held, node.markets
    held: dict[str, Holding] = {}
    exposure_reason = tiers_reason = ""
    notionals: list[float] = []
    requirements: list[float] = []
    for name, position in node.account.positions.items():
        size = position.size
        if size == 0.0:
            continue
        place = markets[name]
        market = place.market
        # The price the venue margins on: mark, or oracle where it has no mark.
        if market.has_mark:
            fact, limit, what = market.mark, place.mark_limit, "mark price"
        else:
            fact, limit, what = market.oracle, place.oracle_limit, "oracle price"
        price = fact.value
        if price is None or not use.fresh(fact, limit, what):
            why = use.reason if price is not None else f"{what} is suspect or was never told"
            exposure_reason = exposure_reason or f"{name}: {why}"
            continue
        holding = before.get(name)
        if holding is None:
            holding = Holding()
        held[name] = holding
        holding.price = price
        notionals.append(size * price)
        requirement = _value(holding, position, size * price, market.margin_tiers)
        if requirement is None:
            tiers_reason = tiers_reason or f"margin tiers of {name} are not known"
        else:
            requirements.append(requirement)
    into.held = held
    into.gross_usd = fsum(map(abs, notionals))
    into.net_usd = fsum(notionals)
    into.maintenance_usd = fsum(requirements)
    into.exposure = into.maintenance = use.freshness(Why(exposure_reason))
    if tiers_reason and not exposure_reason:
        into.maintenance = use.freshness(Why(tiers_reason))
    return float(len(held))


def _value(
    holding: Holding,
    position: PositionState,
    notional: float,
    tiers: tuple[MarginTier, ...],
) -> float | None:
    """Fill in everything that follows from the price; the maintenance requirement, USD."""
    holding.size = position.size
    holding.notional_usd = notional
    if len(tiers) == 1:
        requirement: float | None = abs(notional) * tiers[0].maintenance_margin_rate
    else:
        requirement = compute_tiered_maintenance(abs(notional), tiers) if tiers else None
    holding.maintenance_usd = requirement
    holding.isolated = isolated = position.margin_mode is _ISOLATED
    if isolated:
        holding.margin_equity_usd = _own_margin(position, notional, holding.price)
    return requirement


def _own_margin(position: PositionState, notional: float, price: float) -> float | None:
    """Margin of an isolated position with its profit, USD; None where the venue told neither its
    cash nor its margin."""
    if position.isolated_cash_usd is not None:
        return position.isolated_cash_usd + notional
    if position.margin_used_usd is not None and position.stated_mark is not None:
        return position.margin_used_usd + position.size * (price - position.stated_mark)
    return None


DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name=HOLDINGS,
            kinds=(SubjectKind.ACCOUNT,),
            unit=Unit.COUNT,
            help="Positions valued; an intermediate result.",
            low=0.0,
        ),
        SubjectKind.ACCOUNT,
        compute_holdings,
        bits=AccountBit.POSITIONS,
        always=True,
        hidden=True,
    ),
)
