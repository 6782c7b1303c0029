"""The first planner: a proportional cut of unpaired exposure in scope, hedges kept.

Legs are read from the book, paired, cut in lots, priced, and what cannot be done is named. What
is dear or over the hour's turnover is done in part now. The same facts give the same plan,
whatever order they come in. *Pure.*
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import fsum, inf, isfinite

import msgspec

from monitor.core.killswitch.book import Book
from monitor.core.killswitch.plan import Plan, PlanLimits, PlannedOrder, Target
from monitor.core.killswitch.planning.cutting import Cuts, cut, sum_usd
from monitor.core.killswitch.planning.legs import Leg, gross_in_scope_usd, read_legs
from monitor.core.killswitch.planning.notes import Told, notes_about
from monitor.core.killswitch.planning.pairing import Pairing, asset_prices, divide
from monitor.core.killswitch.planning.pricing import EXACT, cost_bps, plain
from monitor.core.killswitch.planning.shortfalls import missing

# Baseline and share come as floats: what their rounding leaves over is no reason for an order.
_FLOAT_NOISE = Decimal("1e-12")

__all__ = ["gross_in_scope_usd", "plan_cut"]


def plan_cut(target: Target, book: Book, limits: PlanLimits) -> Plan:
    """The next orders toward ``target``: a ``Planner``.

    No order increases or flips a position, in sum with the working orders that may take it off as
    well; no |net| per asset grows, in base units and with off-book legs counted, by any amount.
    The sum of orders is what the target needs or up to one smallest order more. Unless it is
    ``sliced``, what stays above the goal is the sum of the shortfalls.

    Raises:
        ValueError: If the scope is none, ``gross_to_ratio`` is not in [0, 1], or ``baseline_usd``
            is not a number of zero or more.
    """
    _check(target)
    with localcontext(EXACT):
        legs = read_legs(target.scope, book)
        gross = sum((leg.notional_usd for leg in legs if leg.in_scope), Decimal(0))
        goal = Decimal(repr(target.baseline_usd)) * Decimal(repr(target.gross_to_ratio))
        noise = gross * _FLOAT_NOISE
        pairing = divide(legs, limits.hedge_sets)

        wanted = cut(pairing, gross - goal, noise)
        if goal < gross - wanted.usd <= goal + noise:
            goal = gross - wanted.usd
        bill = _bill(wanted)
        dear = limits.slices > 1 and bill.cost_bps > limits.max_cost_bps
        now = wanted.usd
        if dear:
            # A share of what the trip began with, not of what is left: the rounds come to an end.
            asked = Decimal(repr(target.baseline_usd)) - goal
            now = min(now, max(now, asked) / limits.slices)
        hour, part = _bound(limits.turnover_left_usd), _bound(limits.part_usd)
        hour_binds = hour is not None and now > hour and (part is None or hour <= part)
        part_binds = part is not None and now > part and not hour_binds
        ceiling = min((one for one in (hour, part) if one is not None), default=None)
        if ceiling is not None:
            now = min(now, ceiling)
        cuts = wanted if now >= wanted.usd else cut(pairing, now, noise, ceiling)

        short = max(gross - wanted.usd - goal, Decimal(0))
        deferred = max(gross - cuts.usd - max(goal, gross - wanted.usd), Decimal(0))
        due = bill if cuts is wanted else _bill(cuts)
        before_net, after_net = _net(legs, cuts)
        plan = Plan(
            orders=due.orders,
            shortfalls=missing(pairing, wanted, short),
            gross_before_usd=float(gross),
            gross_after_usd=float(gross - cuts.usd),
            goal_usd=float(goal),
            net_before_usd=before_net,
            net_after_usd=after_net,
            cost_usd=due.cost_usd,
            sliced=deferred > 0,
            deferred_usd=float(deferred),
            unpriced=tuple(leg.name for leg in legs if leg.in_scope and leg.price is None),
            in_the_way=_in_the_way(legs) if short else (),
            twins=_twins_of(pairing) if short else (),
        )
        told = Told(
            alone_usd=float(sum_usd(cuts, paired=False)),
            paired_usd=float(sum_usd(cuts, paired=True)),
            dear_bps=bill.cost_bps if dear else None,
            dear_usd=bill.cost_usd,
            turnover_left_usd=float(hour) if hour_binds and hour is not None else None,
            part_usd=float(part) if part_binds and part is not None else None,
        )
        return msgspec.structs.replace(plan, notes=notes_about(plan, legs, limits, told))


def _check(target: Target) -> None:
    if not 0.0 <= target.gross_to_ratio <= 1.0:
        raise ValueError(f"gross_to_ratio must lie in [0, 1], not {target.gross_to_ratio}")
    if not (isfinite(target.baseline_usd) and target.baseline_usd >= 0.0):
        raise ValueError(f"baseline_usd must be zero or more, not {target.baseline_usd}")


def _bound(usd: float | None) -> Decimal | None:
    if usd is None or usd == inf:
        return None
    # What is not a number allows nothing.
    return Decimal(repr(usd)) if usd > 0.0 else Decimal(0)


@dataclass(slots=True, frozen=True)
class _Bill:
    """Orders and what they are expected to cost, unknown costs counted as the bound."""

    orders: tuple[PlannedOrder, ...]
    cost_usd: float
    cost_bps: float


def _bill(cuts: Cuts) -> _Bill:
    """The orders for what was decided, the two of a pair beside each other."""
    twins = _twins(cuts)
    orders, costs = [], []
    for leg, size in cuts.by_leg.items():
        if size:
            order = _order(leg, size, twins.get(leg.name, ""))
            orders.append(order)
            bps = leg.bound_bps if order.cost_bps is None else order.cost_bps
            costs.append(order.notional_usd * bps / 1e4)
    orders.sort(key=lambda order: (min(order.leg, order.pair or order.leg), order.leg))
    cost_usd, notional_usd = fsum(costs), fsum(order.notional_usd for order in orders)
    return _Bill(tuple(orders), cost_usd, cost_usd / notional_usd * 1e4 if notional_usd else 0.0)


def _order(leg: Leg, size: Decimal, twin: str) -> PlannedOrder:
    if leg.limit is None or leg.quote is None:
        raise ValueError(f"{leg.name} has no limit price; it should not have been cut")
    notional_usd = float(size * leg.known_price)
    return PlannedOrder(
        leg=leg.name,
        venue=leg.venue,
        account=leg.account,
        market=leg.market,
        asset=leg.asset,
        side=leg.exit_side,
        size=plain(size),
        limit_price=leg.limit,
        reference_price=leg.reference,
        notional_usd=notional_usd,
        cost_bps=cost_bps(notional_usd, leg.reference, leg.exit_side, leg.quote, leg.bound_bps),
        closes=size == leg.amount,
        pair=twin,
    )


def _twins(cuts: Cuts) -> dict[str, str]:
    """For each leg that is cut in pairs, the twin that most of it goes with."""
    most: dict[str, tuple[Decimal, str]] = {}
    for piece, sizes in cuts.taken.items():
        if not piece.paired or not any(sizes):
            continue
        for index, leg in enumerate(piece.legs):
            offer = (-sizes[index], piece.legs[1 - index].name)
            most[leg.name] = min(most.get(leg.name, offer), offer)
    return {name: twin for name, (_, twin) in most.items()}


def _net(
    legs: Sequence[Leg],
    cuts: Cuts,
) -> tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]:
    """Net USD per asset in scope before and after, off-book legs counted; an asset is left out
    where nobody knows its price. One price per asset, so that a basis is no net."""
    prices = asset_prices(legs)
    before = {leg.asset: Decimal(0) for leg in legs if leg.in_scope and leg.asset in prices}
    after = dict(before)
    for leg in legs:
        if leg.asset in before:
            cut_off = cuts.of(leg)
            before[leg.asset] += leg.size
            after[leg.asset] += leg.size - (cut_off if leg.size > 0 else -cut_off)

    def told(net: Mapping[str, Decimal]) -> tuple[tuple[str, float], ...]:
        return tuple((asset, float(net[asset] * prices[asset])) for asset in sorted(net))

    return told(before), told(after)


def _twins_of(pairing: Pairing) -> tuple[tuple[str, str, str], ...]:
    twins = {one.twin for one in pairing.stuck if one.twin is not None and one.twin.venue}
    return tuple(sorted((leg.venue, leg.account, leg.market) for leg in twins))


def _in_the_way(legs: Sequence[Leg]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (leg.venue, leg.account, order_id)
        for leg in legs
        if not leg.stuck
        for order_id in leg.in_the_way
    )
