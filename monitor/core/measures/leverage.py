"""Two caps on leverage, and how the book moves as a whole. *Pure.*

Net: exposure adjusted by its beta to the basket, over equity, against a cap by volatility and exit
time; a neutral book has little of it. Gross: ``gross_leverage``. Caps fall at once and rise at most
a tenth a day.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.formulas.leverage import (
    CAP_RISE_PER_DAY,
    FAST_WEIGHT,
    LEVERAGE_CEILING,
    LEVERAGE_FLOOR,
    compute_base_leverage,
    compute_cap_volatility,
    compute_percentile_multiplier,
)
from monitor.core.formulas.ratios import LEVERAGE_MAX, compute_leverage
from monitor.core.formulas.volatility import (
    HOURS_PER_YEAR,
    annualize_volatility,
    compute_binned_percentile,
)
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.book_risk import BETA_NET
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exit_time import held_exit
from monitor.core.measures.exposure import NET
from monitor.core.measures.gross_leverage import DEFINITIONS as GROSS_DEFINITIONS
from monitor.core.measures.gross_leverage import (
    GONE,
    GROSS_CAP,
    GROSS_TO_CAP,
    RATIO_MAX,
    ratio_spec,
    remembered,
    remembered_held,
    to_cap,
)
from monitor.core.measures.margin import LEVERAGE
from monitor.core.measures.tree import AssetNode, Node, PortfolioNode, VenueNode
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import (
    basket_excess,
    fast_excess,
    read_basket_fast,
    read_basket_percentile,
    read_basket_slow,
    read_fast,
    read_percentile,
    read_slow,
)
from monitor.core.state.facts import SERIES_BIT
from monitor.core.state.model import RiskState
from monitor.core.state.series import marked_bin
from monitor.core.types import EngineNs, SubjectKind

_PORTFOLIO = (SubjectKind.PORTFOLIO,)
_NETTED = (SubjectKind.ASSET, SubjectKind.VENUE, SubjectKind.PORTFOLIO)


def _net_leverage(node: Node, use: Use, exposure: str, owner: Node) -> float | None:
    net = use.read(node, exposure)
    if net is None:
        return None
    equity = use.read(owner, EQUITY.name)
    return None if equity is None else compute_leverage(abs(net), equity)


def _portfolio_net(node: PortfolioNode, use: Use) -> float | None:
    return _net_leverage(node, use, BETA_NET.name, node)


def _asset_net(node: AssetNode, use: Use) -> float | None:
    return _net_leverage(node, use, NET.name, node.ancestors[0])


def _venue_net(node: VenueNode, use: Use) -> float | None:
    """What no leg elsewhere offsets: the venue's part of the whole book's net, over its equity. One
    side of a hedge over two venues is no net of either."""
    here = use.read(node, BETA_NET.name)
    whole = None if here is None else use.read(node.ancestors[0], BETA_NET.name)
    if here is None or whole is None:
        return None
    naked = min(abs(here), abs(whole)) if here * whole > 0.0 else 0.0
    if naked == 0.0:
        return 0.0
    equity = use.read(node, EQUITY.name)
    return None if equity is None else compute_leverage(naked, equity)


# -------------------------------------------------------------------------------------- caps


def _volatilities(node: Node, use: Use) -> tuple[float, float, float] | None:
    """Fast, slow and percentile that a net cap answers to: the asset's own, else the basket's."""
    reads: tuple[Callable[[], float | None], ...]
    if isinstance(node, AssetNode):
        asset = node.asset
        reads = (
            lambda: read_fast(asset, use),
            lambda: read_slow(asset, use),
            lambda: read_percentile(asset, use),
        )
    else:
        reads = (
            lambda: read_basket_fast(use),
            lambda: read_basket_slow(use),
            lambda: read_basket_percentile(use),
        )
    values = []
    for read in reads:
        value = read()
        if value is None:
            return None
        values.append(value)
    fast, slow, percentile = values
    return fast, slow, percentile


def _net_cap(node: Node, use: Use) -> float | None:
    found = _volatilities(node, use)
    if found is None:
        return None
    fast, slow, percentile = found
    base = compute_base_leverage(
        compute_cap_volatility(fast, slow), target=use.settings.leverage.volatility_target
    )
    # A market must prove its calm, also while nothing is held in it; where something is, all of the
    # cap has to rise slowly, the part by exit time as well.
    cap = remembered(node, use, NET_CAP.name, base * compute_percentile_multiplier(percentile))
    found_exit = held_exit(node, use)
    if found_exit is None:
        return None
    left, gross_usd = found_exit
    if gross_usd is None:
        return cap * left
    return remembered_held(node, use, f"{NET_CAP.name}_held", cap, left, gross_usd)


def _binding(node: PortfolioNode, use: Use) -> float | None:
    net, gross = use.read(node, NET_TO_CAP.name), use.read(node, GROSS_TO_CAP.name)
    return None if net is None or gross is None else max(net, gross)


def _cap(node: PortfolioNode, use: Use) -> float | None:
    """Gross leverage at which the book, shaped as it is, meets its first cap."""
    leverage, ratio = use.read(node, LEVERAGE.name), use.read(node, TO_CAP.name)
    if leverage is None or ratio is None:
        return None
    if leverage > 0.0 and ratio > 0.0:
        return min(leverage / ratio, LEVERAGE_MAX)
    net, gross = use.read(node, NET_CAP.name), use.read(node, GROSS_CAP.name)
    return None if net is None or gross is None else min(net, gross)


def _which(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """Which of the two caps binds."""
    found = {}
    for what, name in (
        ("net by volatility", NET_TO_CAP.name),
        ("gross by exit", GROSS_TO_CAP.name),
    ):
        instance = node.instances.get(name)
        if instance is not None and instance.cell.value is not None:
            found[what] = instance.cell.value
    if len(found) < 2:
        return ""
    what = max(found, key=lambda one: found[one])
    return f"{found[what] * 100:.4g} % of the cap on {what}"


def _terms(node: Node, state: RiskState, _now: EngineNs) -> str:
    """What a cap is made of: which volatility binds, and what its percentile leaves."""
    series = state.prices.get(node.asset) if isinstance(node, AssetNode) else None
    hours = state.basket if series is None else series.hours
    slow = annualize_volatility(hours.slow.variance, HOURS_PER_YEAR)
    excess = basket_excess(state) if series is None else fast_excess(series)
    cap = node.instances[NET_CAP.name].cell.value if NET_CAP.name in node.instances else None
    marked = marked_bin(hours.slow)
    if cap is None or excess is None or not hours.known or not marked:
        return ""
    percentile = compute_binned_percentile(hours.counts, marked - 1)
    off = compute_percentile_multiplier(percentile)
    return (
        f"{cap:.3g}x: {_binding_volatility(slow * excess, slow)}, times {off:.2g} at percentile "
        f"{percentile * 100:.3g}, less where leaving is slow"
    )


def _binding_volatility(fast: float, slow: float) -> str:
    """``volatility slow 60 % (0.8 x fast 48 %)``: the larger, and the other in brackets."""
    weighted = FAST_WEIGHT * fast
    said = (f"slow {slow * 100:.3g} %", f"{FAST_WEIGHT:g} x fast {weighted * 100:.3g} %")
    binding, other = said if slow >= weighted else said[::-1]
    return f"volatility {binding} ({other})"


def _work_cap(node: Node, use: Use) -> tuple[str, ...]:
    """From the target and the volatilities to the cap, a line each step."""
    found, cap = _volatilities(node, use), use.read(node, NET_CAP.name)
    found_exit = held_exit(node, use)
    if found is None or cap is None or found_exit is None:
        return ()
    fast, slow, percentile = found
    left = found_exit.multiplier
    target, sigma = use.settings.leverage.volatility_target, compute_cap_volatility(fast, slow)
    base = compute_base_leverage(sigma, target=target)
    off = compute_percentile_multiplier(percentile)
    raw = f"{target / sigma:.4g}" if sigma > 0.0 else "no bound"
    limits = f"{LEVERAGE_FLOOR:g} to {LEVERAGE_CEILING:g}"
    allowed, made = base * off * left, f"{base:.4g} x {off:.4g} at percentile {percentile:.3g}"
    held = f"; held at {cap:.4g} until then" if cap < 0.9999 * allowed else ""
    weighted = FAST_WEIGHT * fast
    binding = "slow" if slow >= weighted else f"{FAST_WEIGHT:g} x fast"
    return (
        f"slow {slow:.4g}, {FAST_WEIGHT:g} x fast = {weighted:.4g}: {binding} binds",
        f"base {target:g} / {sigma:.4g} = {raw}, within {limits}: {base:.4g}",
        f"cap {made} x {left:.4g} by exit time = {allowed:.4g}",
        f"falls at once, rises at most {CAP_RISE_PER_DAY * 100:g} % a day{held}",
    )


def _work_net_to_cap(node: Node, use: Use) -> tuple[str, ...]:
    """The ratio, then the cap below it."""
    leverage, cap = use.read(node, NET_LEVERAGE.name), use.read(node, NET_CAP.name)
    if leverage is None or cap is None:
        return ()
    return (
        f"leverage_net {leverage:.4g} / cap {cap:.4g} = {leverage / cap:.4g}",
        *_work_cap(node, use),
    )


NET_LEVERAGE = ratio_spec(
    "leverage_net",
    _NETTED,
    "Beta-adjusted net exposure over equity; of an asset its net over the portfolio's equity, of a "
    "venue what no leg elsewhere offsets.",
    typical=(0.0, 3.0),
    at_zero=GONE,
)
NET_CAP = ratio_spec(
    "leverage_cap_net",
    _NETTED,
    "Net leverage allowed: target over present volatility, less where that is historically high or "
    "leaving is slow.",
    typical=(1.3, 0.25),
)
NET_TO_CAP = ratio_spec(
    "leverage_net_to_cap_ratio",
    _NETTED,
    "Net leverage over its cap by volatility; 1 is all that is allowed.",
    RATIO_MAX,
    (0.5, 1.3),
)
TO_CAP = ratio_spec(
    "leverage_to_cap_ratio",
    _PORTFOLIO,
    "Leverage over its cap, net or gross, whichever is nearer; 1 is all that is allowed.",
    RATIO_MAX,
    (0.5, 1.3),
)


def _needs(*names: str) -> tuple[tuple[Relation, str], ...]:
    return tuple((Relation.SELF, name) for name in names)


# Of an asset that nobody holds nothing need be known of any account.
_WHERE_HELD: dict[SubjectKind, tuple[tuple[Relation, str], ...]] = {
    SubjectKind.PORTFOLIO: ((Relation.ALL_ACCOUNTS, HOLDINGS),),
    SubjectKind.VENUE: (),
    SubjectKind.ASSET: ((Relation.HOLDERS, HOLDINGS),),
}

DEFINITIONS: tuple[Definition, ...] = (
    *GROSS_DEFINITIONS,
    define(
        NET_LEVERAGE,
        SubjectKind.VENUE,
        _venue_net,
        needs=(*_needs(BETA_NET.name, EQUITY.name), (Relation.PORTFOLIO, BETA_NET.name)),
    ),
    define(
        NET_LEVERAGE,
        SubjectKind.PORTFOLIO,
        _portfolio_net,
        needs=_needs(BETA_NET.name, EQUITY.name),
    ),
    define(
        NET_LEVERAGE,
        SubjectKind.ASSET,
        _asset_net,
        bits=SERIES_BIT,
        needs=_needs(NET.name),
    ),
    *(
        define(
            NET_CAP,
            kind,
            _net_cap,
            bits=SERIES_BIT,
            needs=where,
            always=True,
            detail=_terms,
            arithmetic=_work_cap,
        )
        for kind, where in _WHERE_HELD.items()
    ),
    *(
        define(
            NET_TO_CAP,
            kind,
            to_cap(NET_LEVERAGE.name, NET_CAP.name),
            needs=_needs(NET_LEVERAGE.name, NET_CAP.name),
            arithmetic=_work_net_to_cap,
        )
        for kind in _NETTED
    ),
    define(
        TO_CAP,
        SubjectKind.PORTFOLIO,
        _binding,
        needs=_needs(NET_TO_CAP.name, GROSS_TO_CAP.name),
        detail=_which,
    ),
    define(
        ratio_spec(
            "leverage_cap",
            _PORTFOLIO,
            "Gross leverage at which the book, shaped as it is, meets the first of its two caps.",
        ),
        SubjectKind.PORTFOLIO,
        _cap,
        needs=_needs(LEVERAGE.name, TO_CAP.name, NET_CAP.name, GROSS_CAP.name),
    ),
)
