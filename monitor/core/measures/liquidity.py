"""Whether we could get out: depth and volume against our size, books against their own past.

A long leaves into bids, a short into offers. What is not told is unknown: neither thin nor deep.
*Pure.*
"""

from __future__ import annotations

from math import fsum

from monitor.core.measures.books import UNREACHED, compute_spread, preview_spread
from monitor.core.measures.definition import ABSENT, HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import holding_of, is_closed
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, MarketNode, Node, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.settings import limit_ns
from monitor.core.state.book_history import DEPTH_MINUTES_MIN, SPREAD_HOURS_MIN
from monitor.core.state.facts import Lack, MarketBit
from monitor.core.state.model import MarketState, RiskState
from monitor.core.types import EngineNs, SubjectKind

EXIT_DEPTH_MAX = 1e6
UNWIND_MAX_S = 365.0 * 86_400.0
USUAL_MAX = 1e6
DAY_S = 86_400.0
VOLUME_LIMIT_NS = limit_ns(300.0)  # it is a day's sum: minutes do not matter
_MARKET = (SubjectKind.MARKET,)


def _exit_depth(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return EXIT_DEPTH_MAX
    holding = holding_of(node, use)
    if holding is None:
        return None
    depth = node.market.market.depth
    if not use.fresh(depth, node.market.depth_limit, "depth"):
        return None
    side = depth.bid_usd if holding.size > 0.0 else depth.ask_usd
    if side is None:
        use.absent(UNREACHED)
        return None
    return min(side / abs(holding.notional_usd), EXIT_DEPTH_MAX)


def _preview_exit_depth(node: PositionNode) -> float | None:
    holding = node.owner.holdings.held.get(node.market.market.market)
    if holding is None:
        return None
    depth = node.market.market.depth
    side = depth.bid_usd if holding.size > 0.0 else depth.ask_usd
    return ABSENT if side is None else min(side / abs(holding.notional_usd), EXIT_DEPTH_MAX)


def _market_exit_depth(node: MarketNode, use: Use) -> float | None:
    """All our accounts leaving at once; of those on either side the worse."""
    sums = {True: 0.0, False: 0.0}
    name = node.market.market
    for owner in node.holders:
        if use.read(owner, HOLDINGS) is None:
            return None
        if owner.account.positions[name].size == 0.0:
            continue
        holding = owner.holdings.held.get(name)
        if holding is None:
            use.absent(owner.holdings.exposure.reason, owner.holdings.exposure.lack)
            return None
        sums[holding.size > 0.0] += abs(holding.notional_usd)
    worst = EXIT_DEPTH_MAX
    for long, notional in sums.items():
        if notional <= 0.0:
            continue
        depth = node.market.depth
        if not use.fresh(depth, node.depth_limit, "depth"):
            return None
        side = depth.bid_usd if long else depth.ask_usd
        if side is None:
            use.absent(UNREACHED)
            return None
        worst = min(worst, side / notional)
    return worst


# ------------------------------------------------------------------------------ time to leave


def unwind_seconds(node: MarketNode, notional_usd: float, use: Use) -> float | None:
    """Seconds to sell so many USD at the allowed share of the last day's volume, which is taken for
    the next one's; None where it is not known."""
    if notional_usd == 0.0:
        return 0.0
    volume = node.market.volume_24h
    if volume.value is None:
        use.absent(f"volume of {node.market.market} is not known")
        return None
    if not use.fresh(volume, VOLUME_LIMIT_NS, f"volume of {node.market.market}"):
        return None
    daily = use.settings.margin.participation_ratio * volume.value
    return min(abs(notional_usd) / daily * DAY_S, UNWIND_MAX_S) if daily > 0.0 else UNWIND_MAX_S


def _position_unwind(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    holding = holding_of(node, use)
    return None if holding is None else unwind_seconds(node.market, holding.notional_usd, use)


def _slowest(parts: dict[str, tuple[MarketNode, list[float]]], use: Use) -> float | None:
    slowest = 0.0
    for place, notionals in parts.values():
        seconds = unwind_seconds(place, fsum(notionals), use)
        if seconds is None:
            return None
        slowest = max(slowest, seconds)
    return slowest


def _account_unwind(node: AccountNode, use: Use) -> float | None:
    """All markets are left at the same time: the slowest counts."""
    if not use.join(node.holdings.exposure):
        return None
    held = node.holdings.held
    parts = {name: (node.markets[name], [abs(one.notional_usd)]) for name, one in held.items()}
    return _slowest(parts, use)


def _portfolio_unwind(node: PortfolioNode, use: Use) -> float | None:
    """Accounts in one market stand in each other's way, on whichever side they are."""
    parts: dict[str, tuple[MarketNode, list[float]]] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None or not use.join(account.holdings.exposure):
            return None
        for name, one in account.holdings.held.items():
            place = account.markets[name]
            known = parts.setdefault(place.subject, (place, []))
            known[1].append(abs(one.notional_usd))
    return _slowest(parts, use)


# ----------------------------------------------------------------------- against their own past


def _spread_of_usual(node: MarketNode, use: Use) -> float | None:
    books = node.market.books
    usual = books.spread_median
    if usual is None:
        known = len(books.hours)
        use.absent(f"{known} of {SPREAD_HOURS_MIN} hours of the spread are known", Lack.FILLING)
        return None
    spread = compute_spread(node, use)
    return None if spread is None else _over(spread, usual)


def _over(spread: float, usual: float) -> float:
    if usual <= 0.0:
        return USUAL_MAX if spread > 0.0 else 1.0
    return min(spread / usual, USUAL_MAX)


def _preview_spread_of_usual(node: MarketNode) -> float:
    usual = node.market.books.spread_median
    return ABSENT if usual is None else _over(preview_spread(node), usual)


def _depth_drop(node: MarketNode, use: Use) -> float | None:
    """Of the side that fell further, absent where it is not known what is usual."""
    market = node.market
    bid, ask = market.books.bid_median_usd, market.books.ask_median_usd
    drop = _worse_drop(market)
    if drop is None and (bid is None or ask is None):
        known = len(market.books.minutes)
        use.absent(f"{known} of {DEPTH_MINUTES_MIN} minutes of depth are known", Lack.FILLING)
        return None
    if not use.fresh(market.depth, node.depth_limit, "depth"):
        return None
    if drop is None:
        use.absent(f"{UNREACHED}, or it had nothing in it for most of the hour")
    return drop


def _worse_drop(market: MarketState) -> float | None:
    """Of the side that fell further; None unless both are seen and had something in them, or one is
    gone, which is as far as any can fall."""
    drops = [
        1.0 - now / usual
        for now, usual in (
            (market.depth.bid_usd, market.books.bid_median_usd),
            (market.depth.ask_usd, market.books.ask_median_usd),
        )
        if now is not None and usual is not None and usual > 0.0
    ]
    if len(drops) < 2 and 1.0 not in drops:
        return None
    return min(max(0.0, *drops), 1.0)


def _preview_depth_drop(node: MarketNode) -> float:
    drop = _worse_drop(node.market)
    return ABSENT if drop is None else drop


# ------------------------------------------------------------------------------ what is asked


def _terms_changed(node: MarketNode, use: Use) -> float | None:
    market = node.market
    if not market.listed:
        use.absent(f"{market.market} is not listed")
        return None
    changed_ns = market.terms_changed_ns
    ends_ns = changed_ns + round(DAY_S * 1e9)
    if not changed_ns or ends_ns <= use.now:
        return 0.0
    use.wake_at(ends_ns)
    return 1.0


def _terms_told(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``maintenance 1.25 % to 2.5 %, leverage 40 to 20``."""
    if not isinstance(node, MarketNode) or node.market.terms is None:
        return ""
    market, before = node.market, node.market.terms
    parts = []
    if market.margin_tiers != before.tiers:
        rates = [
            ", ".join(f"{tier.maintenance_margin_rate * 100:g} %" for tier in tiers) or "none"
            for tiers in (before.tiers, market.margin_tiers)
        ]
        parts.append(f"maintenance {rates[0]} to {rates[1]}")
    if market.max_leverage != before.max_leverage:
        parts.append(f"leverage {before.max_leverage} to {market.max_leverage}")
    caps = (market.open_interest_lower_cap_usd, market.open_interest_upper_cap_usd)
    if caps != (before.lower_cap_usd, before.upper_cap_usd):
        parts.append("caps of open interest")
    return ", ".join(parts)


EXIT_DEPTH = MeasureSpec(
    name="exit_depth_ratio",
    kinds=(SubjectKind.POSITION, SubjectKind.MARKET),
    unit=Unit.RATIO,
    help=(
        "Resting USD within 25 bp on the side an exit would take, over the position's value; of a "
        "market over all we hold in it."
    ),
    low=0.0,
    high=EXIT_DEPTH_MAX,
    at_zero="1000000 once closed",
    typical=(50.0, 2.0),
    words=("x",),
)
UNWIND = MeasureSpec(
    name="unwind_time_s",
    kinds=(SubjectKind.POSITION, SubjectKind.ACCOUNT, SubjectKind.PORTFOLIO),
    unit=Unit.SECONDS,
    help=(
        "Seconds to leave at no more than 10 % (or as configured) of the last day's volume; of "
        "several markets the slowest."
    ),
    low=0.0,
    high=UNWIND_MAX_S,
    cadence_s=10.0,
    at_zero="a year where nothing is traded; 0 with nothing held",
    typical=(600.0, 1e5),
    aggregate=Aggregate.MAX,
)


def _past(name: str, help_text: str, high: float, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=Unit.RATIO,
        help=help_text,
        low=0.0,
        high=high,
        typical=typical,
        words=("x",) if high > 1.0 else (),
    )


DEFINITIONS: tuple[Definition, ...] = (
    define(
        EXIT_DEPTH,
        SubjectKind.POSITION,
        _exit_depth,
        market_bits=MarketBit.DEPTH,
        needs=((Relation.ACCOUNT, HOLDINGS),),
        preview=_preview_exit_depth,
    ),
    define(EXIT_DEPTH, SubjectKind.MARKET, _market_exit_depth, bits=MarketBit.DEPTH),
    define(UNWIND, SubjectKind.POSITION, _position_unwind, needs=((Relation.ACCOUNT, HOLDINGS),)),
    define(UNWIND, SubjectKind.ACCOUNT, _account_unwind, needs=((Relation.SELF, HOLDINGS),)),
    define(
        UNWIND,
        SubjectKind.PORTFOLIO,
        _portfolio_unwind,
        needs=((Relation.ALL_ACCOUNTS, HOLDINGS),),
    ),
    define(
        _past(
            "spread_of_usual_ratio",
            "Spread over the median of its own hourly medians of thirty days.",
            USUAL_MAX,
            (1.0, 6.0),
        ),
        SubjectKind.MARKET,
        _spread_of_usual,
        bits=MarketBit.TOP,
        preview=_preview_spread_of_usual,
    ),
    define(
        _past(
            "depth_drop_ratio",
            "Fall of resting USD within 25 bp from its median of the last hour, the worse side.",
            1.0,
            (0.1, 0.8),
        ),
        SubjectKind.MARKET,
        _depth_drop,
        bits=MarketBit.DEPTH,
        preview=_preview_depth_drop,
    ),
    define(
        MeasureSpec(
            name="margin_terms_changed",
            kinds=_MARKET,
            unit=Unit.BOOL,
            help="1 for a day after the venue changed margin rates, leverage or caps here, else 0.",
            low=0.0,
            high=1.0,
            words=("changed", "as they were"),
        ),
        SubjectKind.MARKET,
        _terms_changed,
        bits=MarketBit.PARAMETERS,
        detail=_terms_told,
    ),
)
