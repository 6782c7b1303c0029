"""How funding comes about, line by line, for whoever does it again by hand.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import copysign, sqrt
from statistics import median

from monitor.core.formulas.funding import (
    DAYS_PER_YEAR,
    HOURS_PER_DAY,
    HOURS_PER_YEAR,
    compute_notional_cap,
)
from monitor.core.formulas.funding_stress import MAD_TO_SIGMA, WINDOW_HOURS, robust_z
from monitor.core.measures.carry import (
    BUDGET_DAYS,
    baseline_of,
    project_rates,
    rate_and_oracle,
    say_isolated,
)
from monitor.core.measures.carry_budget import FLIP_RATE, settled_costs
from monitor.core.measures.definition import Key
from monitor.core.measures.exposure import holding_of, is_closed
from monitor.core.measures.funding import Census, read_predicted, venues_of
from monitor.core.measures.funding_stress import current_rate, series_of
from monitor.core.measures.tree import (
    AccountNode,
    AssetNode,
    MarketNode,
    PortfolioNode,
    PositionNode,
    VenueNode,
)
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import read_slow
from monitor.core.measures.work_words import NAMED, Steps, bare, divided, falling_back, step, usd
from monitor.core.state.funding import carry_hours
from monitor.core.state.model import MarketState
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SubjectKind


def work_annualized(node: MarketNode, use: Use) -> Steps:
    """Predicted rate of an hour over a year."""
    rate = read_predicted(node, use)
    if rate is None:
        return ()
    return (step("of an hour x hours of a year", f"{bare(rate)} x 8760", rate * HOURS_PER_YEAR),)


def work_position_cost(node: PositionNode, use: Use) -> Steps:
    """The same with our side's sign."""
    rate = None if is_closed(node, use) else read_predicted(node.market, use)
    if rate is None:
        return ()
    side = copysign(1.0, node.position.size)
    words = f"of an hour x 8760 x side ({'long' if side > 0.0 else 'short'})"
    return (step(words, f"{bare(rate)} x 8760 x {side:g}", rate * HOURS_PER_YEAR * side),)


def work_account_cost(node: AccountNode, use: Use) -> Steps:
    """A day's cost of all positions over their value, for a year."""
    daily, gross = use.read(node, "funding_projected_24h_usd"), use.read(node, "gross_exposure_usd")
    if daily is None or gross is None or gross <= 0.0:
        return ()
    sums = f"{usd(daily)} x 365 / {usd(gross)}"
    return (step("cost of a day x 365 / gross", sums, daily * DAYS_PER_YEAR / gross),)


def work_funding_z(node: MarketNode, use: Use) -> Steps:
    """|Settled funding| against the median and the median deviation of its thirty days."""
    series = series_of(use.state, node.market)
    hour = max(use.now // HOUR_NS, series.newest)
    carry = carry_hours(node.market.funding_interval_s)
    hours = series.hourly(hour - WINDOW_HOURS + 1, hour, carry)
    sizes = [abs(one) for one in hours if one is not None]
    if not sizes or hours[-1] is None:
        return ()
    centre = median(sizes)
    spread = median(abs(one - centre) for one in sizes)
    floor = use.settings.funding_stress.scale_floor
    scale = max(MAD_TO_SIGMA * spread, floor)
    known = f"{len(sizes)} of {WINDOW_HOURS} hours known"
    return (
        step(
            f"{known}, scale the larger of {floor:g} and",
            f"{MAD_TO_SIGMA:g} x {bare(spread)}",
            MAD_TO_SIGMA * spread,
        ),
        step(
            "(|settled| - median) / scale, an hour each",
            f"({bare(sizes[-1])} - {bare(centre)}) / {bare(scale)}",
            robust_z(sizes[-1], centre, spread, floor),
        ),
    )


def work_dispersion(node: AssetNode, use: Use) -> Steps:
    """The dearest venue less the cheapest."""
    hour = use.now // HOUR_NS
    aprs = [
        (rate * HOURS_PER_YEAR, f"{one.market.venue}/{one.market.market}")
        for one in node.markets
        if (rate := current_rate(use.state, one.market, hour)) is not None
    ]
    if len(aprs) < 2:
        return ()
    (high, dear), (low, cheap) = max(aprs), min(aprs)
    words = f"settled funding a year, {dear} - {cheap}"
    return (step(words, f"{bare(high)} - {bare(low)}", high - low),)


def work_notional_cap(node: PositionNode, use: Use) -> Steps:
    """A day's budget, the position it pays for, and ours over that."""
    holding = None if is_closed(node, use) else holding_of(node, use)
    known = rate_and_oracle(node.market, use)
    equity = use.read(node.ancestors[-1], "equity_usd")
    if holding is None or known is None or equity is None or equity <= 0.0:
        return ()
    cost = known[0] * copysign(1.0, holding.size)
    ratio = use.settings.carry.budget_ratio
    daily = equity * ratio / BUDGET_DAYS
    cap = compute_notional_cap(budget_usd_per_day=daily, cost_rate_hourly=cost)
    rate = daily / (HOURS_PER_DAY * cap)
    return (
        f"budget of a day: {usd(equity)} x {ratio:g} / {BUDGET_DAYS:g} = {usd(daily)}",
        f"pays for, at {bare(rate)} an hour: {usd(daily)} / (24 x {bare(rate)}) = {usd(cap)}",
        divided("|position| over it", abs(holding.notional_usd), cap),
    )


def work_drift(node: PositionNode, use: Use) -> Steps:
    """The funding expected of a day, as it falls back to its baseline, over a day's volatility."""
    known = None if is_closed(node, use) else rate_and_oracle(node.market, use)
    volatility = None if known is None else read_slow(node.market.market.asset, use)
    if known is None or not volatility:
        return ()
    market, phi = node.market.market, use.settings.carry.persistence_hourly
    total = project_rates(market, known[0], HOURS_PER_DAY, use)
    daily = volatility / sqrt(DAYS_PER_YEAR)
    sums = falling_back(known[0], baseline_of(market, use), HOURS_PER_DAY, phi)
    return (
        step(f"funding of 24 h{say_isolated(market, use)}", sums, total),
        step("volatility of a day", f"{bare(volatility)} / sqrt(365)", daily),
        step("|funding| / volatility", f"{bare(abs(total))} / {bare(daily)}", abs(total) / daily),
    )


def work_expensive_share(node: VenueNode | PortfolioNode, use: Use) -> Steps:
    """Expensive markets by name, over those that count."""
    dear: list[tuple[float, MarketState]] = []
    census = Census(venues_of(node, use), use, dear)
    if not census.counted:
        return ()
    found = sorted(dear, key=lambda one: (-abs(one[0]), one[1].subject))
    told = ", ".join(
        f"{apr * 100:+,.1f} %/yr ({one.market} on {one.venue})" for apr, one in found[:NAMED]
    )
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    limit = use.settings.funding_expensive_per_year
    words = f"markets at {limit * 100:g} %/yr or beyond / markets whose funding counts"
    sums = f"{census.expensive} / {census.counted}"
    return (
        *((f"dearest {told}{more}",) if told else ()),
        *_census(census),
        step(words, sums, census.expensive / census.counted),
    )


def _census(census: Census) -> Steps:
    told = f"{census.known} of {census.count} markets are known"
    closed = f"; {census.closed} are not open" if census.closed else ""
    dead = census.known - census.counted
    return (f"{told}{closed}" + (f"; {dead} rest on a dead oracle" if dead else ""),)


def work_worst_share(node: PortfolioNode, use: Use) -> Steps:
    """Expensive markets and those that do not count, over all."""
    census = Census(venues_of(node, use), use)
    if not census.counted:
        return ()
    other = census.count - census.counted
    sums = f"({census.expensive} + {other}) / {census.count}"
    words = "(expensive markets + those whose funding does not count) / markets"
    return (*_census(census), step(words, sums, (census.expensive + other) / census.count))


def work_known_share(node: VenueNode | PortfolioNode, use: Use) -> Steps:
    """Markets whose funding is known, over all."""
    census = Census(venues_of(node, use), use)
    if not census.count:
        return ()
    ratio = census.known / census.count
    return (step("known / markets", f"{census.known} / {census.count}", ratio),)


def work_flip(node: PositionNode, use: Use) -> Steps:
    """The settlements in a row that we paid, and the one before them."""
    costs = None if is_closed(node, use) else settled_costs(node, use)
    if not costs:
        return ()
    paid = next((at for at, (_, cost) in enumerate(costs) if cost <= FLIP_RATE), len(costs))
    told = ", ".join(f"{bare(cost)} ({hours} h ago)" for hours, cost in costs[: min(paid, NAMED)])
    more = f" and {paid - NAMED} more" if paid > NAMED else ""
    lines = [f"paid {paid} in a row, of an hour{f': {told}{more}' if paid else ''}"]
    if paid < len(costs):
        hours, cost = costs[paid]
        lines.append(f"before them {bare(cost)} ({hours} h ago)")
    return (*lines, f"turned: 2 or more paid, before them less than -{FLIP_RATE:g} within a day")


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("funding_rate_annualized", SubjectKind.MARKET): work_annualized,
    ("funding_cost_annualized", SubjectKind.POSITION): work_position_cost,
    ("funding_cost_annualized", SubjectKind.ACCOUNT): work_account_cost,
    ("funding_z", SubjectKind.MARKET): work_funding_z,
    ("funding_dispersion_apr", SubjectKind.ASSET): work_dispersion,
    ("funding_notional_cap_ratio", SubjectKind.POSITION): work_notional_cap,
    ("funding_drift_ratio", SubjectKind.POSITION): work_drift,
    ("funding_flip_against", SubjectKind.POSITION): work_flip,
    ("funding_expensive_worst_share_ratio", SubjectKind.PORTFOLIO): work_worst_share,
    **{
        (name, kind): work
        for kind in (SubjectKind.VENUE, SubjectKind.PORTFOLIO)
        for name, work in (
            ("funding_expensive_share_ratio", work_expensive_share),
            ("funding_markets_known_ratio", work_known_share),
        )
    },
}
