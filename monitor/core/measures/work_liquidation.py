"""How distance to liquidation, its chance and the runway come about, to be done again by hand.

Lines as in ``work_words``. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import fsum, log, sqrt

from monitor.core.formulas.first_passage import ONE_SIDED_999, YEAR_S, compute_least_distance
from monitor.core.formulas.funding import DAYS_PER_YEAR
from monitor.core.formulas.jumps import (
    DEFAULT_HOURS,
    DEFAULT_MEAN,
    DEFAULT_PER_YEAR,
    HOURS_MIN,
    SIGMAS,
    JumpSet,
)
from monitor.core.formulas.liquidation import OUT_OF_REACH_RATIO, compute_uniform_move
from monitor.core.formulas.margin import tier_at
from monitor.core.measures.barriers import TOGETHER, Barrier, barriers_of, jumps_of, nearby
from monitor.core.measures.definition import Key
from monitor.core.measures.hedge_break import BREAK, SIGMA, daily_sigma
from monitor.core.measures.liquidation import LIQUIDATIONS
from monitor.core.measures.shocks import nets_of, pool_of
from monitor.core.measures.tree import AccountNode
from monitor.core.measures.use import Use
from monitor.core.measures.work_words import Steps, bare, divided, step, usd
from monitor.core.state.model import Holding
from monitor.core.types import SubjectKind


def work_distance(node: AccountNode, use: Use) -> Steps:
    """The nearest market alone, from its liquidation price on, and all together; the nearer
    counts."""
    if use.read(node, LIQUIDATIONS) is None:
        return ()
    into = node.holdings
    if into.held and into.pool_equity_usd <= into.pool_maintenance_usd:
        equity, required = usd(into.pool_equity_usd), usd(into.pool_maintenance_usd)
        return (f"equity {equity} of the cross pool is at or below its maintenance {required}: 0",)
    known = [
        (one.distance_ratio, name)
        for name, one in into.held.items()
        if one.distance_ratio is not None and one.distance_ratio < OUT_OF_REACH_RATIO
    ]
    told: list[str] = []
    if known:
        _, name = min(known)
        told += _alone(node, name, into.held[name])
    move = compute_uniform_move(
        equity_usd=into.pool_equity_usd,
        net_notional_usd=into.pool_net_usd,
        maintenance_usd=into.pool_maintenance_usd,
    )
    if into.pool_maintenance_usd > 0.0 and move is not None:
        equity, required = usd(into.pool_equity_usd), usd(into.pool_maintenance_usd)
        sums = f"({required} - {equity}) / ({usd(into.pool_net_usd)} - {required})"
        words = "all together, (maintenance - equity) / (net - maintenance)"
        told.append(step(words, sums, move))
    return tuple(told)


def _alone(node: AccountNode, name: str, one: Holding) -> list[str]:
    """From the equation of the sheet: (equity - size x price - other maintenance + deduction) /
    (|size| x rate - size)."""
    price = one.liquidation_price
    tiers = node.markets[name].market.margin_tiers
    if price is None or not tiers:
        return []
    into, own = node.holdings, one.maintenance_usd or 0.0
    equity, others = into.pool_equity_usd, into.pool_maintenance_usd - own
    if one.isolated:
        equity, others = one.margin_equity_usd or 0.0, 0.0
    rate, deduction = tier_at(abs(one.size) * price, tiers)
    minus = "-" if one.size > 0.0 else "+"
    size, worth = bare(abs(one.size)), f"{minus} {bare(abs(one.size))} x {bare(one.price)}"
    over = f"{usd(equity)} {worth}"
    over += f" - {usd(others)}" if others else ""
    over += f" + {usd(deduction)}" if deduction else ""
    return [
        step(
            f"{name} is liquidated at, other prices held",
            f"({over}) / ({size} x {bare(rate)} {minus} {size})",
            price,
        ),
        step(
            f"from {bare(one.price)}",
            f"|{bare(price)} / {bare(one.price)} - 1|",
            abs(price / one.price - 1.0),
        ),
    ]


def _away(one: Barrier) -> str:
    """``ln(1 + 0.2)`` for a rise, ``-ln(1 - 0.2)`` for a fall."""
    return (
        f"ln(1 + {bare(one.distance_ratio)})" if one.up else f"-ln(1 - {bare(one.distance_ratio)})"
    )


def _which(one: Barrier) -> str:
    name = f"all {one.name}" if one.name == TOGETHER else one.name
    return f"{name} {'up' if one.up else 'down'}"


def _in_sigmas(one: Barrier) -> str:
    sums = f"{_away(one)} / ({bare(one.volatility)} / sqrt(365))"
    return step(f"{_which(one)}, in sigmas of a day", sums, one.sigmas)


def _reachable(node: AccountNode, use: Use) -> list[Barrier]:
    """Barriers that a sum can be done for: above a price of nothing. None at all where one is
    touched already, for no sum of another gives the value then."""
    found = barriers_of(node, use) or []
    if any(one.distance_ratio <= 0.0 for one in found):
        return []
    return [one for one in found if one.up or one.distance_ratio < 1.0]


def work_sigmas(node: AccountNode, use: Use) -> Steps:
    """Of what is nearest in sigmas."""
    return _nearest_in_sigmas(_reachable(node, use))


def work_near_sigmas(node: AccountNode, use: Use) -> Steps:
    """The same of what is within a quarter."""
    return _nearest_in_sigmas(nearby(_reachable(node, use)))


def _nearest_in_sigmas(barriers: list[Barrier]) -> Steps:
    found = [one for one in barriers if one.volatility > 0.0]
    return (_in_sigmas(min(found, key=lambda one: one.sigmas)),) if found else ()


def work_of_minimum(node: AccountNode, use: Use) -> Steps:
    """The least distance for the time that help needs, then the nearest over it."""
    latency_s = use.settings.margin.reach_s(node.account.venue)
    found = [
        (
            one,
            compute_least_distance(volatility_annualized=one.volatility, latency_s=latency_s),
        )
        for one in barriers_of(node, use) or []
    ]
    if not found:
        return ()
    one, least = min(found, key=lambda pair: pair[0].distance_ratio / pair[1])
    return (
        _least(bare(one.volatility), latency_s, least),
        step(
            _which(one), f"{bare(one.distance_ratio)} / {bare(least)}", one.distance_ratio / least
        ),
    )


def _least(volatility: str, latency_s: float, least: float) -> str:
    move = f"{ONE_SIDED_999:g} x {volatility} x sqrt({latency_s:g} / {YEAR_S:.0f})"
    return step(f"least for help that takes {latency_s:g} s", f"1.5 x {move} + 0.03", least)


def work_chance(node: AccountNode, use: Use) -> Steps:
    """What the paths rest on; jumps have no closed form."""
    found = [one for one in _reachable(node, use) if one.volatility > 0.0]
    if not found:
        return ()
    one = min(found, key=lambda barrier: barrier.sigmas)
    counted = jumps_of(one, node, use.state)
    against = one.against(counted)
    jumps = (
        f"{against.per_year:.3g} jumps a year of {abs(against.mean_log) * 100:.3g} % (deviation "
        f"{against.deviation_log * 100:.3g} %)"
    )
    return (
        _in_sigmas(one),
        f"without jumps about 2 N(-{one.sigmas:.4g}) in a day; more with {jumps} against us",
        _counted(one, counted),
    )


def _counted(one: Barrier, found: JumpSet) -> str:
    """Which set of jumps it is, and from how many."""
    if not found.hours:
        return f"the default set, where fewer than {HOURS_MIN // 24} days of what moves are known"
    count, words = (found.rose, "rises") if one.up else (found.fell, "falls")
    whose = "mean over what is held" if one.name == TOGETHER else "its own"
    return (
        f"{whose}: {words} of more than {SIGMAS:g} sigma in an hour {count} times in "
        f"{found.hours / 24:.0f} days, beside {DEFAULT_HOURS // 24} days of the default's "
        f"{DEFAULT_PER_YEAR:g} a year of {DEFAULT_MEAN * 100:g} %"
    )


def work_net_runway(node: AccountNode, use: Use) -> Steps:
    """Until the chance is 1 %, less the time that collateral takes."""
    runway = use.read(node, "runway_1pct_s")
    if runway is None:
        return ()
    reach_s = use.settings.margin.reach_s(node.account.venue)
    sums = f"{bare(runway)} - {bare(reach_s)}"
    return (step("1 % runway - time to bring collateral, s", sums, runway - reach_s),)


# -------------------------------------------------------------------------- the hedge breaks


def _hedge_breaks(node: AccountNode, use: Use) -> tuple[str, float, float] | None:
    """What one sigma of a day is of longs down and shorts up at once; how far the end is, and that
    sigma. None where either is unknown or out of reach."""
    distance, sigma = use.read(node, BREAK.name), daily_sigma(node, use)
    pool = use.read(node, SIGMA.name)
    if distance is None or pool is None or not sigma or not 0.0 < distance < OUT_OF_REACH_RATIO:
        return None
    gross = fsum(abs(one) for one in nets_of(pool_of(node)).values())
    return divided("one sigma of a day of the pool / gross", pool, gross), distance, sigma


def work_hedge_sigmas(node: AccountNode, use: Use) -> Steps:
    """The pool's sigma as a share of gross, and how many of it the distance is."""
    found = _hedge_breaks(node, use)
    if found is None:
        return ()
    line, distance, sigma = found
    sums = f"ln(1 + {bare(distance)}) / {bare(sigma)}"
    return (line, step("in sigmas of a day", sums, log(1.0 + distance) / sigma))


def work_hedge_of_minimum(node: AccountNode, use: Use) -> Steps:
    """The same share over a year, the least distance from it, and ours over that."""
    found = _hedge_breaks(node, use)
    if found is None:
        return ()
    line, distance, sigma = found
    latency_s = use.settings.margin.reach_s(node.account.venue)
    least = compute_least_distance(
        volatility_annualized=sigma * sqrt(DAYS_PER_YEAR), latency_s=latency_s
    )
    return (
        line,
        _least(f"{bare(sigma)} x sqrt(365)", latency_s, least),
        step("distance / least", f"{bare(distance)} / {bare(least)}", distance / least),
    )


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("liquidation_distance_ratio", SubjectKind.ACCOUNT): work_distance,
    ("liquidation_distance_sigmas", SubjectKind.ACCOUNT): work_sigmas,
    ("liquidation_near_sigmas", SubjectKind.ACCOUNT): work_near_sigmas,
    ("liquidation_distance_of_minimum_ratio", SubjectKind.ACCOUNT): work_of_minimum,
    ("liquidation_probability_24h_ratio", SubjectKind.ACCOUNT): work_chance,
    ("runway_net_s", SubjectKind.ACCOUNT): work_net_runway,
    ("liquidation_hedge_sigmas", SubjectKind.ACCOUNT): work_hedge_sigmas,
    ("liquidation_hedge_of_minimum_ratio", SubjectKind.ACCOUNT): work_hedge_of_minimum,
}
