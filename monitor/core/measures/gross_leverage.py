"""Gross leverage against caps by how long leaving takes: account, venue, asset and portfolio.

Known from the first minute on. An account may hold one side of a hedge and is allowed most, a venue
less, the whole book least; an asset as much as the book where it can be left as fast. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

from monitor.core.formulas.leverage import compute_venue_multiplier, rise_slowly
from monitor.core.formulas.ratios import LEVERAGE_MAX, compute_leverage
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exit_time import (
    exit_minutes,
    markets_held,
    venue_multiplier,
    weigh,
)
from monitor.core.measures.exposure import GROSS
from monitor.core.measures.liquidity import unwind_seconds
from monitor.core.measures.margin import LEVERAGE
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, Node, PortfolioNode, VenueNode
from monitor.core.measures.use import Use
from monitor.core.state.model import DAY_NS, CapMemory, RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import EngineNs, SubjectKind

RATIO_MAX = 1e6
_POOLS = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)


def remembered(node: Node, use: Use, name: str, cap: float) -> float:
    """The cap as it may be now. Time in which it could not be computed lets it rise no further."""
    key = f"{name}|{node.subject}"
    known = use.state.caps.get(key)
    if known is None:
        use.state.caps[key] = CapMemory(cap, use.now)
        return cap
    elapsed_ns = min(use.now - known.at_ns, HOUR_NS)
    risen = rise_slowly(known.cap, cap, elapsed_days=elapsed_ns / DAY_NS)
    # Between, the memory stays as it is: what rises by time need not be written at every look.
    if risen < known.cap or risen == cap != known.cap or elapsed_ns >= HOUR_NS:
        use.state.caps[key] = CapMemory(risen, use.now)
    return risen


def remembered_held(
    node: Node, use: Use, name: str, whole: float, left: float, gross_usd: float
) -> float:
    """A cap of which ``left`` is left by how long leaving takes, as it may be now. What holds
    nothing has the least of all caps, which nothing should have to rise from: meanwhile its memory
    rises toward ``whole``, for there is nothing to leave."""
    if gross_usd > 0.0:
        return remembered(node, use, name, whole * left)
    if f"{name}|{node.subject}" in use.state.caps:
        remembered(node, use, name, whole)
    return whole * left


def to_cap(leverage: str, cap: str) -> Callable[[Node, Use], float | None]:
    """Of one subject: leverage over its cap."""

    def compute(node: Node, use: Use) -> float | None:
        used = use.read(node, leverage)
        if used is None:
            return None
        allowed = use.read(node, cap)
        if allowed is None:
            return None
        return min(used / allowed, RATIO_MAX)

    return compute


def _account_cap(node: AccountNode, use: Use) -> float:
    return use.settings.leverage.account_gross_max * venue_multiplier(node.account.venue, use)


def _venue_cap(node: VenueNode, use: Use) -> float:
    return use.settings.leverage.venue_gross_max * venue_multiplier(node.venue.venue, use)


def _portfolio_cap(node: PortfolioNode, use: Use) -> float | None:
    """By where the gross lies: each venue's exit time counts with its share of it. It falls at once
    and rises slowly."""
    multipliers, parts = [], []
    for venue in node.venues:
        gross = use.read(venue, GROSS.name)
        if gross is None:
            return None
        multipliers.append(venue_multiplier(venue.venue.venue, use))
        parts.append(gross)
    left, whole = weigh(multipliers, parts), use.settings.leverage.gross_max
    return remembered_held(node, use, GROSS_CAP.name, whole, left, fsum(parts))


# ------------------------------------------------------------------------------------- assets


def _asset_gross(node: AssetNode, use: Use) -> float | None:
    gross = use.read(node, GROSS.name)
    if gross is None:
        return None
    if gross == 0.0:
        return 0.0
    equity = use.read(node.ancestors[0], EQUITY.name)
    return None if equity is None else compute_leverage(gross, equity)


def _exits(node: AssetNode, use: Use) -> list[tuple[str, float, float]] | None:
    """(market, gross USD, minutes until it is sold and the venue left), of those held in."""
    places = markets_held(node, use)
    if places is None:
        return None
    found = []
    for place, gross in places:
        seconds = unwind_seconds(place, gross, use)
        if seconds is None:
            return None
        venue = place.market.venue
        found.append(
            (f"{venue}/{place.market.market}", gross, exit_minutes(venue, use) + seconds / 60)
        )
    return found


def _asset_cap(node: AssetNode, use: Use) -> float | None:
    """Of the whole book's most, less where its markets are slow to sell into: a thin hour takes it
    down at once, and it comes back slowly."""
    exits = _exits(node, use)
    if exits is None:
        return None
    gross_usd = [gross for _, gross, _ in exits]
    whole, left = use.settings.leverage.gross_max, _left(exits)
    return remembered_held(node, use, GROSS_CAP.name, whole, left, fsum(gross_usd))


def _left(exits: list[tuple[str, float, float]]) -> float:
    """Share of the cap that is left, by share of gross."""
    return weigh(
        (compute_venue_multiplier(minutes) for _, _, minutes in exits),
        (gross for _, gross, _ in exits),
    )


def _work_asset_cap(node: AssetNode, use: Use) -> tuple[str, ...]:
    """The slowest market's exit, then the cap."""
    exits, cap = _exits(node, use), use.read(node, GROSS_CAP.name)
    if not exits or cap is None:
        return ()
    name, gross, minutes = max(exits, key=lambda one: (one[1] > 0.0, one[2]))
    most, left = use.settings.leverage.gross_max, compute_venue_multiplier(minutes)
    allowed = most * _left(exits)
    held = f"; held at {cap:.4g}: it rises at most 10 % a day" if cap < 0.9999 * allowed else ""
    return (
        f"slowest {name}: {gross:.4g} USD and the venue left in {minutes:.4g} min, times {left:g}",
        f"cap {most:g} x {allowed / most:.4g} by share of gross = {allowed:.4g}{held}",
    )


def _slow_named(node: Node, state: RiskState, now: EngineNs) -> str:
    """``cap 1x``: beside the ratio, what it is a ratio to."""
    instance = node.instances.get(GROSS_CAP.name)
    cap = None if instance is None else instance.cell.value
    ratio = node.instances.get(GROSS_TO_CAP.name)
    value = None if ratio is None else ratio.cell.value
    if cap is None or value is None:
        return ""
    return f"{value * cap:.3g}x of {cap:.3g}x"


def _worst_account(node: VenueNode, use: Use) -> float | None:
    worst = 0.0
    for account in node.related(Relation.ACCOUNTS):
        ratio = use.read(account, GROSS_TO_CAP.name)
        if ratio is None:
            return None
        worst = max(worst, ratio)
    return worst


def ratio_spec(
    name: str,
    kinds: tuple[SubjectKind, ...],
    help_text: str,
    high: float = LEVERAGE_MAX,
    typical: tuple[float, float] = (1.0, 3.0),
    at_zero: str = "",
) -> MeasureSpec:
    """A leverage, a cap on one, or the one over the other."""
    return MeasureSpec(
        name=name,
        kinds=kinds,
        unit=Unit.RATIO,
        help=help_text,
        low=0.0,
        high=high,
        cadence_s=1.0,
        at_zero=at_zero,
        typical=typical,
        words=("x",),
    )


GONE = "1000 when equity is gone with exposure left; 0 without exposure"
ASSET_GROSS = ratio_spec(
    "leverage_gross",
    (SubjectKind.ASSET,),
    "Gross exposure to the asset, off-book legs included, over the portfolio's equity.",
    typical=(0.5, 3.0),
    at_zero=GONE,
)
GROSS_CAP = ratio_spec(
    "leverage_cap_gross",
    (*_POOLS, SubjectKind.ASSET),
    "Gross leverage allowed: the configured most, less where leaving is slow (of an asset: with "
    "the time its markets' volume takes).",
    typical=(3.0, 0.75),
)
GROSS_TO_CAP = ratio_spec(
    "leverage_gross_to_cap_ratio",
    (*_POOLS, SubjectKind.ASSET),
    "Gross leverage over its cap by exit time; 1 is all that is allowed.",
    RATIO_MAX,
    (0.5, 1.3),
)
WORST_ACCOUNT = ratio_spec(
    "leverage_worst_account_ratio",
    (SubjectKind.VENUE,),
    "Highest gross leverage over its cap among the venue's accounts.",
    RATIO_MAX,
    (0.5, 1.3),
)


def _here(*names: str) -> tuple[tuple[Relation, str], ...]:
    return tuple((Relation.SELF, name) for name in names)


DEFINITIONS: tuple[Definition, ...] = (
    define(ASSET_GROSS, SubjectKind.ASSET, _asset_gross, needs=_here(GROSS.name)),
    define(GROSS_CAP, SubjectKind.ACCOUNT, _account_cap),
    define(GROSS_CAP, SubjectKind.VENUE, _venue_cap),
    define(
        GROSS_CAP,
        SubjectKind.PORTFOLIO,
        _portfolio_cap,
        needs=((Relation.VENUES, GROSS.name),),
        always=True,
    ),
    define(
        GROSS_CAP,
        SubjectKind.ASSET,
        _asset_cap,
        needs=((Relation.HOLDERS, HOLDINGS),),
        always=True,
        arithmetic=_work_asset_cap,
    ),
    *(
        define(
            GROSS_TO_CAP,
            kind,
            to_cap(LEVERAGE.name, GROSS_CAP.name),
            needs=_here(LEVERAGE.name, GROSS_CAP.name),
            detail=_slow_named,
        )
        for kind in _POOLS
    ),
    define(
        GROSS_TO_CAP,
        SubjectKind.ASSET,
        to_cap(ASSET_GROSS.name, GROSS_CAP.name),
        needs=_here(ASSET_GROSS.name, GROSS_CAP.name),
        detail=_slow_named,
    ),
    define(
        WORST_ACCOUNT,
        SubjectKind.VENUE,
        _worst_account,
        needs=((Relation.ACCOUNTS, GROSS_TO_CAP.name),),
    ),
)
