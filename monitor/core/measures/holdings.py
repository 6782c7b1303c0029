"""All positions of an account valued in one pass; every margin and exposure measure reads this.

Hidden from people: it is the intermediate result they share. *Pure.*
"""

from __future__ import annotations

from math import fsum

from monitor.core.formulas.funding import compute_projected_funding_cost_24h
from monitor.core.formulas.margin import compute_scaled_initial_rate, compute_tiered_maintenance
from monitor.core.measures.definition import Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, MarketNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import AccountBit, SeenFact
from monitor.core.state.model import Freshness, Holding, PositionState
from monitor.core.types import EngineNs, MarginMode, SubjectKind

HOLDINGS = "_holdings"


def positions_known(node: AccountNode, use: Use) -> bool:
    """Fold in how fresh the list of positions is: by the stream while it lives, else by truth.

    Truth counts only while the stream has not changed anything since it was read; after a gap in
    the stream what it changed needs the next truth.
    """
    account = node.account
    if not account.positions_complete:
        use.reason = "positions were never listed completely"
        return False
    stream_ns = _known_ns(use, account.positions_stream)
    truth = account.positions_truth
    truth_ns = None
    if stream_ns is not None or truth.seen_ns >= account.stream_changed_ns:
        truth_ns = _known_ns(use, truth)
    known = max(stream_ns or 0, truth_ns or 0)
    expires = known + node.account_limit
    if not known or expires <= use.now:
        use.reason = "positions are too old" if known else "positions need a re-read after a gap"
        if _may_return(use, account.positions_stream):
            use.retry()
        return False
    use.as_of = min(use.as_of, known)
    use.expires = min(use.expires, expires)
    use.observed = min(use.observed, max(account.positions_stream.seen_ns, truth.seen_ns))
    return True


def _known_ns(use: Use, seen: SeenFact) -> EngineNs | None:
    if not seen.seen_ns:
        return None
    channel = use.channels.get(seen.channel)
    if channel is None:
        return seen.seen_ns
    if channel.generation != seen.generation:
        return None
    if channel.open and seen.seen_ns >= channel.opened_ns:
        return max(seen.seen_ns, channel.progress_ns)
    return seen.seen_ns


def _may_return(use: Use, seen: SeenFact) -> bool:
    channel = use.channels.get(seen.channel)
    return channel is not None and channel.open


def compute_holdings(node: AccountNode, use: Use) -> float | None:
    """Number of open positions; the values go to ``node.holdings``."""
    into = node.holdings
    if not positions_known(node, use):
        into.held = {}
        reason = use.reason
        into.exposure = into.maintenance = into.initial = into.funding = Freshness(reason=reason)
        return None
    known_as_of, known_expires, known_observed = use.as_of, use.expires, use.observed
    initial_use, funding_use = use.sides
    initial_use.begin(use.now)
    funding_use.begin(use.now)
    held: dict[str, Holding] = {}
    exposure_reason = tiers_reason = initial_reason = funding_reason = ""
    for name, position in node.account.positions.items():
        if position.size == 0.0:
            continue
        place = node.markets[name]
        price = _margin_price(place, use)
        if price is None:
            exposure_reason = exposure_reason or f"{name}: {use.reason}"
            continue
        holding = _value(place, position, price)
        held[name] = holding
        if holding.maintenance_usd is None:
            tiers_reason = tiers_reason or f"margin tiers of {name} are not known"
        holding.initial_usd = _initial(place, position, holding, initial_use)
        if holding.initial_usd is None:
            initial_reason = initial_reason or f"{name}: {initial_use.reason}"
        holding.funding_24h_usd = _projected(place, position, funding_use)
        if holding.funding_24h_usd is None:
            funding_reason = funding_reason or f"{name}: {funding_use.reason}"
    into.held = held
    values = held.values()
    into.gross_usd = fsum(abs(one.notional_usd) for one in values)
    into.net_usd = fsum(one.notional_usd for one in values)
    into.maintenance_usd = fsum(one.maintenance_usd or 0.0 for one in values)
    into.initial_usd = fsum(one.initial_usd or 0.0 for one in values)
    into.funding_24h_usd = fsum(one.funding_24h_usd or 0.0 for one in values)
    use.reason = exposure_reason
    into.exposure = use.freshness()
    use.reason = exposure_reason or tiers_reason
    into.maintenance = use.freshness()
    initial_use.reason = exposure_reason or initial_reason
    into.initial = _joined(initial_use, into.exposure)
    funding_use.reason = exposure_reason or funding_reason
    # Funding needs the positions and the oracle, not the mark.
    known = Freshness(known_as_of, known_expires, known_observed, reason="")
    into.funding = _joined(funding_use, known)
    use.wake_at(min(initial_use.wake, funding_use.wake, into.funding.expires_ns))
    use.wake_at(into.initial.expires_ns)
    use.reason = ""
    return float(len(held))


def _joined(use: Use, other: Freshness) -> Freshness:
    return Freshness(
        as_of_ns=min(use.as_of, other.as_of_ns),
        expires_ns=min(use.expires, other.expires_ns),
        observed_ns=min(use.observed, other.observed_ns),
        estimated=use.estimated or other.estimated,
        reason=use.reason,
    )


def _margin_price(place: MarketNode, use: Use) -> float | None:
    """The price the venue margins on: mark, or oracle where it has no mark."""
    market = place.market
    if market.has_mark:
        fact, limit, what = market.mark, place.mark_limit, "mark price"
    else:
        fact, limit, what = market.oracle, place.oracle_limit, "oracle price"
    if fact.value is None and fact.seen_ns:
        use.reason = f"{what} is suspect"
        return None
    return fact.value if use.fresh(fact, limit, what) else None


def _value(place: MarketNode, position: PositionState, price: float) -> Holding:
    size = position.size
    notional = size * price
    tiers = place.market.margin_tiers
    isolated = position.margin_mode is MarginMode.ISOLATED
    margin_equity = None
    if isolated:
        if position.isolated_cash_usd is not None:
            margin_equity = position.isolated_cash_usd + notional
        elif position.margin_used_usd is not None and position.stated_mark is not None:
            moved = size * (price - position.stated_mark)
            margin_equity = position.margin_used_usd + moved
    entry = position.entry_price
    return Holding(
        size=size,
        price=price,
        notional_usd=notional,
        maintenance_usd=compute_tiered_maintenance(abs(notional), tiers) if tiers else None,
        initial_usd=None,
        unrealized_pnl_usd=None if entry is None else size * (price - entry),
        funding_24h_usd=None,
        isolated=isolated,
        margin_equity_usd=margin_equity,
    )


def _initial(
    place: MarketNode,
    position: PositionState,
    holding: Holding,
    use: Use,
) -> float | None:
    """By the position's own leverage where the venue states one, else by the market's rate, scaled
    with open interest where the market has caps."""
    notional = abs(holding.notional_usd)
    if position.leverage is not None and position.leverage > 0.0:
        return notional / position.leverage
    market = place.market
    if not market.margin_tiers:
        use.reason = "margin tiers are not known"
        return None
    rate = market.margin_tiers[0].initial_margin_rate
    upper = market.open_interest_upper_cap_usd
    if upper:
        if market.open_interest.value is None or not use.fresh(
            market.open_interest, place.open_interest_limit, "open interest"
        ):
            use.reason = use.reason or "open interest is not known"
            return None
        rate = compute_scaled_initial_rate(
            rate,
            open_interest_usd=market.open_interest.value * holding.price,
            lower_cap_usd=market.open_interest_lower_cap_usd or 0.0,
            upper_cap_usd=upper,
        )
    return notional * rate


def _projected(place: MarketNode, position: PositionState, use: Use) -> float | None:
    market = place.market
    rate, oracle = market.predicted.value, market.oracle.value
    if rate is None or oracle is None:
        use.reason = "predicted funding or oracle price is not known"
        return None
    if not use.fresh(market.predicted, place.predicted_limit, "predicted funding"):
        return None
    if not use.fresh(market.oracle, place.oracle_limit, "oracle price"):
        return None
    return compute_projected_funding_cost_24h(
        size=position.size,
        oracle_price=oracle,
        funding_rate_hourly=rate,
    )


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
