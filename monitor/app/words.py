"""What a plan would do, for a person. *Pure.*"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.killswitch.plan import Plan, Target


def plan_text(plan: Plan, target: Target, ranking: Sequence[str] = ()) -> str:
    """The orders, what they cost, what they leave and what they cannot do; ``ranking`` are lines
    about what to take first."""
    head = (
        f"Plan for {target.scope}: gross {_usd(plan.gross_before_usd)} to "
        f"{_usd(plan.gross_after_usd)} (goal {_usd(plan.goal_usd)}), cost about "
        f"{_usd(plan.cost_usd)}. Nothing is sent."
    )
    lines = [head]
    for order in plan.orders:
        cost = "unknown" if order.cost_bps is None else f"{order.cost_bps:.1f} bp"
        closes = ", closes it" if order.closes else ""
        pair = f", with {order.pair}" if order.pair else ""
        place = f"{order.market} on {order.venue}/{order.account}"
        lines.append(
            f"  {order.side.value:4} {order.size:f} {place} at {order.limit_price:f} or better "
            f"({_usd(order.notional_usd)}, {cost}{closes}{pair})"
        )
    if ranking:
        lines += ["  to cut less or by hand, take first what does most per bp:", *ranking]
    if not plan.orders:
        lines.append("  no order: there is nothing that could be cut from here")
    lines += [
        f"  left: {short.venue}/{short.account} {short.market} {_usd(short.usd)}: {short.reason}"
        for short in plan.shortfalls
    ]
    lines += [f"  note: {note}" for note in plan.notes]
    before, after = dict(plan.net_before_usd), dict(plan.net_after_usd)
    lines += [
        f"  net {asset}: {_usd(before[asset])} to {_usd(after.get(asset, 0.0))}"
        for asset in sorted(before)
        if abs(before[asset]) >= 1.0 or abs(after.get(asset, 0.0)) >= 1.0
    ]
    return "\n".join(lines)


def _usd(value: float) -> str:
    sign = "-" if value <= -0.5 else ""
    return f"{sign}${abs(value):,.0f}"
