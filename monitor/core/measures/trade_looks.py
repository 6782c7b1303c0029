"""What a trade in mind does to size, leverage, margin and liquidation. *Pure.*

Nothing is assumed of the fill but the margin price, the costs that the desk configured, and cross
margin. What makes a position smaller is never refused.
"""

from __future__ import annotations

from math import copysign, fsum

from monitor.core.formulas.funding import compute_notional_cap
from monitor.core.formulas.leverage import (
    choose_binding,
    compute_cap_volatility,
    compute_kelly_leverage,
)
from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    compute_liquidation_distance,
    compute_liquidation_price,
    compute_shock_distance,
)
from monitor.core.formulas.margin import compute_tiered_maintenance
from monitor.core.formulas.ratios import compute_leverage
from monitor.core.formulas.trades import compute_net_drift, compute_planned_loss
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.carry import BUDGET_DAYS
from monitor.core.measures.exposure import GROSS, NET
from monitor.core.measures.gross_leverage import GROSS_CAP
from monitor.core.measures.leverage import NET_CAP
from monitor.core.measures.liquidation import LIQUIDATIONS
from monitor.core.measures.margin import FREE
from monitor.core.measures.orders import expected_funding, gap_factor
from monitor.core.measures.shocks import shocks_of
from monitor.core.measures.trade_case import Answer, Case, Found, rank
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import read_fast, read_slow

CAP_SLACK = 1.05
DISTANCE_LOOK, DISTANCE_NO = 0.10, 0.06


def look_at_loss(case: Case, use: Use) -> Found:
    """At its stop, over what one trade may lose."""
    trades, asked = use.settings.trades, case.asked
    if case.unhedged <= 0.0:
        return Answer.GO, "nothing of it stays unhedged in the book: no stop needed"
    if asked.stop is None:
        return (
            Answer.NO,
            f"no stop: all of {case.unhedged:,.0f} USD that stays unhedged is at stake",
        )
    distance = asked.sign * (case.price - asked.stop) / case.price
    if distance <= 0.0:
        return Answer.NO, f"the stop {asked.stop:g} is not on the losing side of {case.price:g}"
    funding = expected_funding(case.place, asked.sign, use)
    if funding is None:
        return None
    venue = case.account.account.venue
    factor = gap_factor(venue, use)
    loss = compute_planned_loss(
        notional_usd=case.unhedged,
        stop_distance_ratio=distance,
        gap_factor=factor,
        round_trip_ratio=trades.round_trip(venue),
        funding_usd=case.unhedged * funding,
    )
    limit = max(case.equity, 0.0) * trades.risk_ratio
    per_usd = loss / case.unhedged
    text = (
        f"{loss:,.0f} of {limit:,.0f} USD: {case.unhedged:,.0f} x ({distance * 100:.3g} % x "
        f"{factor:g} + costs + funding); at most {limit / per_usd / case.price:.6g} fits"
    )
    return (Answer.GO if loss <= limit else Answer.NO), text


def look_at_caps(case: Case, use: Use) -> Found:
    """Net of the asset after the trade, over the least of its caps."""
    after = case.net + case.usd
    if abs(after) <= abs(case.net):
        return Answer.GO, f"net of {case.asset.asset} falls to {after:,.0f} USD"
    asset, sign, trades = case.asset, copysign(1.0, after), use.settings.trades
    volatility = use.read(asset, NET_CAP.name)
    cost = None if volatility is None else expected_funding(case.place, sign, use)
    if volatility is None or cost is None:
        return None
    hourly = cost / trades.holding_hours
    daily = use.settings.carry.budget_ratio / BUDGET_DAYS
    caps = {
        "volatility": volatility,
        "the funding budget": compute_notional_cap(
            budget_usd_per_day=daily, cost_rate_hourly=hourly
        ),
    }
    drift = trades.drift(asset.asset)
    if drift is not None:
        fast, slow = read_fast(asset.asset, use), read_slow(asset.asset, use)
        if fast is None or slow is None:
            return None
        left = compute_net_drift(
            drift_per_year=sign * drift,
            funding_hourly=hourly,
            round_trip_ratio=trades.round_trip(case.place.market.venue),
            holding_hours=trades.holding_hours,
        )
        sigma = compute_cap_volatility(fast, slow)
        full = compute_kelly_leverage(left, sigma) if sigma > 0.0 else 0.0
        caps["Kelly"] = trades.kelly_fraction * full
    name, cap = choose_binding(caps)
    held = compute_leverage(abs(after), case.equity)
    answer = Answer.GO if held <= cap else Answer.LOOK if held <= cap * CAP_SLACK else Answer.NO
    said = "" if drift is not None else "; no Kelly: `trades.drifts` says nothing of it"
    return answer, f"net {held:.3g}x equity, {name} binds at {cap:.3g}x{said}"


def look_at_gross(case: Case, use: Use) -> Found:
    """Leverage of account and book, before and after."""
    parts, answer = [], Answer.GO
    for name, node in (("account", case.account), ("book", case.whole)):
        gross, net = use.read(node, GROSS.name), use.read(node, NET.name)
        equity, cap = use.read(node, EQUITY.name), use.read(node, GROSS_CAP.name)
        if gross is None or net is None or equity is None or cap is None:
            return None
        before, after = (compute_leverage(one, equity) for one in (gross, gross + case.adds))
        nets = [compute_leverage(abs(one), equity) for one in (net, net + case.usd)]
        if after > cap and case.adds > 0.0:
            answer = Answer.NO if after > cap * CAP_SLACK else max(answer, Answer.LOOK, key=rank)
        parts.append(
            f"{name} gross {before:.3g}x to {after:.3g}x of {cap:.3g}x, net {nets[0]:.3g}x to "
            f"{nets[1]:.3g}x"
        )
    return answer, "; ".join(parts)


def look_at_margin(case: Case, use: Use) -> Found:
    """Whether free collateral carries it."""
    tiers = case.place.market.margin_tiers
    if not tiers:
        use.absent("the market's margin tiers are not known")
        return None
    free = use.read(case.account, FREE.name)
    if free is None:
        return None
    needed = max(case.adds, 0.0) * tiers[0].initial_margin_rate
    answer = Answer.GO if needed <= max(free, 0.0) else Answer.NO
    return answer, f"{needed:,.0f} USD of initial margin, {free:,.0f} free"


def look_at_liquidation(case: Case, use: Use) -> Found:
    """Nearest liquidation of the cross pool, before and after."""
    if not case.place.market.margin_tiers:
        use.absent("the market's margin tiers are not known")
        return None
    if use.read(case.account, LIQUIDATIONS) is None:
        return None
    before, after = _nearest(case, use, 0.0), _nearest(case, use, case.usd)
    answer = Answer.GO
    if case.adds > 0.0 or after < before:
        answer = Answer.LOOK if after <= DISTANCE_LOOK else Answer.GO
        answer = Answer.NO if after <= DISTANCE_NO else answer
    return answer, f"nearest {_percent(before)} before, {_percent(after)} after"


def _nearest(case: Case, use: Use, usd: float) -> float:
    """Least move that liquidates the cross pool: of any of its markets alone, or of any shock."""
    account, market = case.account, case.place.market
    cost = abs(usd) * use.settings.trades.round_trip(market.venue) / 2.0
    equity = account.holdings.pool_equity_usd - cost
    after = case.held + usd
    pool = [
        (account.markets[name].market, one.notional_usd, one.price)
        for name, one in account.holdings.held.items()
        if name != market.market and not one.isolated
    ]
    if after:
        pool.append((market, after, case.price))
    required = [compute_tiered_maintenance(abs(usd), of.margin_tiers) for of, usd, _ in pool]
    total = fsum(required)
    distances = [OUT_OF_REACH_RATIO]
    for (of, notional, price), own in zip(pool, required, strict=True):
        root = compute_liquidation_price(
            size=notional / price,
            price=price,
            equity_usd=equity,
            other_maintenance_usd=total - own,
            tiers=of.margin_tiers,
        )
        distances.append(
            compute_liquidation_distance(
                price=price,
                liquidation_price=root,
                equity_usd=equity,
                maintenance_usd=total,
            )
        )
    shocks = shocks_of([(of, notional) for of, notional, _ in pool])
    distances += [compute_shock_distance(equity, book, sign=sign) for _, sign, book in shocks]
    return min(distances)


def _percent(distance: float) -> str:
    return f"{distance * 100:.3g} %" if distance < OUT_OF_REACH_RATIO else "out of reach"
