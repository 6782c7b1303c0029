"""How large a view may be held: constrained Kelly against the other caps, and which one binds.

Only where the desk says what it expects of an asset: nobody else knows its drift. Net of carry and
of costs; where nothing is left, the size is nothing. Leverage is net exposure over the portfolio's
equity. *Pure.*
"""

from __future__ import annotations

from math import copysign, fsum

from monitor.core.formulas.funding import compute_notional_cap
from monitor.core.formulas.leverage import (
    choose_binding,
    compute_cap_volatility,
    compute_kelly_leverage,
)
from monitor.core.formulas.ratios import LEVERAGE_MAX
from monitor.core.formulas.trades import compute_net_drift
from monitor.core.measures.carry import BUDGET_DAYS
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.exposure import NET
from monitor.core.measures.gross_leverage import RATIO_MAX
from monitor.core.measures.leverage import NET_CAP, NET_LEVERAGE
from monitor.core.measures.orders import expected_funding
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AssetNode, MarketNode, Node
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.measures.volatility import read_fast, read_slow
from monitor.core.state.facts import SERIES_BIT, Lack
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs, SubjectKind

_ASSET = (SubjectKind.ASSET,)


def _drift(node: AssetNode, use: Use) -> float | None:
    drift = use.settings.trades.drift(node.asset)
    if drift is None:
        use.absent(
            f"{NO_SOURCE}`trades.drifts` says no expected return of {node.asset}", Lack.CHOICE
        )
    return drift


def _view(node: AssetNode, use: Use) -> tuple[float, float, MarketNode] | None:
    """Sign of what is held (of the view where nothing is), what that side pays an hour over the
    planned time (> 0), and where."""
    drift = _drift(node, use)
    net = None if drift is None else use.read(node, NET.name)
    if drift is None or net is None:
        return None
    sign = copysign(1.0, net or drift)
    place = _where(node, sign, use)
    cost = None if place is None else expected_funding(place, sign, use)
    if place is None or cost is None:
        return None
    return sign, cost / use.settings.trades.holding_hours, place


def _where(node: AssetNode, sign: float, use: Use) -> MarketNode | None:
    """The market that holds most of this side; where none does, the cheapest one known."""
    held: list[tuple[float, MarketNode]] = []
    for place in node.markets:
        sizes = [owner.account.positions[place.market.market].size for owner in place.holders]
        held.append((fsum(max(sign * size, 0.0) for size in sizes), place))
    largest = max(held, key=lambda one: one[0], default=None)
    if largest is not None and largest[0] > 0.0:
        return largest[1]
    pen, _ = use.sides
    costs: list[tuple[float, MarketNode]] = []
    for place in node.markets:
        pen.begin(use.now)
        cost = expected_funding(place, sign, pen)
        if cost is not None:
            costs.append((cost, place))
    if not costs:
        use.absent(f"funding of {node.asset} is known nowhere")
        return None
    return min(costs, key=lambda one: one[0])[1]


def _kelly_cap(node: AssetNode, use: Use) -> float | None:
    view = _view(node, use)
    fast = None if view is None else read_fast(node.asset, use)
    slow = None if fast is None else read_slow(node.asset, use)
    drift = use.settings.trades.drift(node.asset)
    if view is None or fast is None or slow is None or drift is None:
        return None
    sign, cost, place = view
    trades = use.settings.trades
    left = compute_net_drift(
        drift_per_year=sign * drift,
        funding_hourly=cost,
        round_trip_ratio=trades.round_trip(place.market.venue),
        holding_hours=trades.holding_hours,
    )
    sigma = compute_cap_volatility(fast, slow)
    if sigma <= 0.0:
        use.absent(f"{node.asset} does not move")
        return None
    return min(trades.kelly_fraction * compute_kelly_leverage(left, sigma), LEVERAGE_MAX)


def _funding_cap(node: AssetNode, use: Use) -> float | None:
    """A day's funding stays within a day of the book's budget; of equity 1."""
    view = _view(node, use)
    if view is None:
        return None
    daily = use.settings.carry.budget_ratio / BUDGET_DAYS
    return min(
        compute_notional_cap(budget_usd_per_day=daily, cost_rate_hourly=view[1]), LEVERAGE_MAX
    )


def _to_cap(node: AssetNode, use: Use) -> float | None:
    if _drift(node, use) is None:
        return None
    caps = [use.read(node, one.name) for one in CAPS]
    held = use.read(node, NET_LEVERAGE.name)
    known = [cap for cap in caps if cap is not None]
    if held is None or len(known) < len(caps):
        return None
    least = min(known)
    if least <= 0.0:
        return RATIO_MAX if held > 0.0 else 0.0
    return min(held / least, RATIO_MAX)


def _binding(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``Kelly binds at 0.12x``."""
    caps = {}
    for words, spec in zip(("Kelly", "volatility", "the funding budget"), CAPS, strict=True):
        instance = node.instances.get(spec.name)
        if instance is None or instance.cell.value is None:
            return ""
        caps[words] = instance.cell.value
    name, cap = choose_binding(caps)
    return f"{name} binds at {cap:.3g}x"


def _spec(name: str, help_text: str, high: float, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_ASSET,
        unit=Unit.RATIO,
        help=help_text,
        low=0.0,
        high=high,
        cadence_s=5.0,
        typical=typical,
        words=("x",),
    )


KELLY_CAP = _spec(
    "leverage_cap_kelly",
    "Net leverage of the asset by a quarter (or as configured) of Kelly: expected return net of "
    "funding and costs over variance; 0 where nothing is left of it.",
    LEVERAGE_MAX,
    (0.5, 0.0),
)
FUNDING_CAP = _spec(
    "leverage_cap_funding",
    "Net leverage of the asset whose funding stays within a day of the book's budget.",
    LEVERAGE_MAX,
    (100.0, 0.3),
)
CAPS = (KELLY_CAP, NET_CAP, FUNDING_CAP)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        KELLY_CAP,
        SubjectKind.ASSET,
        _kelly_cap,
        bits=SERIES_BIT,
        needs=((Relation.SELF, NET.name),),
    ),
    define(FUNDING_CAP, SubjectKind.ASSET, _funding_cap, needs=((Relation.SELF, NET.name),)),
    define(
        _spec(
            "net_to_view_cap_ratio",
            "Net leverage of an asset of which the desk has a view, over the least of its caps by "
            "Kelly, volatility and funding; 1 is all that is allowed.",
            RATIO_MAX,
            (0.5, 2.0),
        ),
        SubjectKind.ASSET,
        _to_cap,
        needs=tuple((Relation.SELF, one.name) for one in (*CAPS, NET_LEVERAGE)),
        detail=_binding,
    ),
)
