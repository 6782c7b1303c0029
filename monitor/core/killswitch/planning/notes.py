"""What a person is told about a plan, in short lines for a page. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.core.killswitch.plan import Plan, PlanLimits
from monitor.core.killswitch.planning.legs import DARK, Leg
from monitor.core.killswitch.planning.pricing import usable_references

_NAMES_MAX = 4


@dataclass(slots=True, frozen=True)
class Told:
    """What the plan itself does not say: how the cut divides, and why only a part is done now.

    ``dear_bps`` is what the whole would cost where that is over the limit, else None;
    ``turnover_left_usd`` what the hour allows, and ``part_usd`` what is tried after rounds in which
    nothing was filled, where that made the plan smaller, else None.
    """

    alone_usd: float
    paired_usd: float
    dear_bps: float | None
    dear_usd: float
    turnover_left_usd: float | None
    part_usd: float | None = None


def notes_about(
    plan: Plan,
    legs: Sequence[Leg],
    limits: PlanLimits,
    told: Told,
) -> tuple[str, ...]:
    """The lines, most important first."""
    return tuple(
        note
        for note in (
            _what(plan, told),
            *_why_in_part(plan, limits, told),
            _short(plan),
            _unpriced(plan),
            _dark(legs),
            _in_the_way(plan),
            *_prices(plan, legs),
        )
        if note
    )


def _what(plan: Plan, told: Told) -> str:
    now, goal = _usd(plan.gross_before_usd), _usd(plan.goal_usd)
    if plan.gross_before_usd <= plan.goal_usd:
        return f"gross {now} is within the goal {goal}: nothing to cut"
    if not plan.orders:
        return f"gross {now}, goal {goal}: nothing can be cut now"
    parts = [
        f"{_usd(usd)} {how}"
        for usd, how in ((told.alone_usd, "unpaired"), (told.paired_usd, "in pairs"))
        if usd
    ]
    return f"gross {now} to {_usd(plan.gross_after_usd)}, goal {goal}: cuts {' and '.join(parts)}"


def _why_in_part(plan: Plan, limits: PlanLimits, told: Told) -> list[str]:
    notes = []
    if told.dear_bps is not None:
        now = _usd(plan.gross_before_usd - plan.gross_after_usd)
        notes.append(
            f"dear: all of it would cost {told.dear_bps:.0f} bp ({_usd(told.dear_usd)}), limit "
            f"{limits.max_cost_bps:.0f} bp; {f'a slice of {now}' if plan.sliced else 'all'} now",
        )
    if told.turnover_left_usd is not None:
        notes.append(f"turnover: the hour leaves {_usd(told.turnover_left_usd)}")
    if told.part_usd is not None:
        notes.append(f"nothing was filled before: {_usd(told.part_usd)} at most are tried")
    if plan.sliced:
        notes.append(f"{_usd(plan.deferred_usd)} left for later rounds")
    unknown = [order.leg for order in plan.orders if order.cost_bps is None]
    if unknown:
        notes.append(f"cost counted as the bound, depth unknown: {_listed(unknown)}")
    return notes


def _short(plan: Plan) -> str:
    usd = sum(shortfall.usd for shortfall in plan.shortfalls)
    if not usd:
        return ""
    names = [f"{s.venue}/{s.account}/{s.market}" for s in plan.shortfalls if s.usd]
    return f"short by {_usd(usd)}: {_listed(dict.fromkeys(names))}"


def _unpriced(plan: Plan) -> str:
    return f"no price, not counted: {_listed(plan.unpriced)}" if plan.unpriced else ""


def _dark(legs: Sequence[Leg]) -> str:
    accounts = dict.fromkeys(f"{leg.venue}/{leg.account}" for leg in legs if leg.stuck == DARK)
    return f"dark, kept with its hedges: {_listed(accounts)}" if accounts else ""


def _in_the_way(plan: Plan) -> str:
    if not plan.in_the_way:
        return ""
    ids = [order_id for _, _, order_id in plan.in_the_way]
    return f"working orders in the way: {_listed(ids)}"


def _prices(plan: Plan, legs: Sequence[Leg]) -> list[str]:
    by_name = {leg.name: leg for leg in legs}
    ordered = [by_name[order.leg] for order in plan.orders]
    notes = []
    single = [leg.name for leg in ordered if leg.references == 1]
    if single:
        notes.append(f"half the price bound, one reference only: {_listed(single)}")
    apart = [leg.name for leg in ordered if _apart(leg)]
    if apart:
        notes.append(f"references differ by more than the bound: {_listed(apart)}")
    return notes


def _apart(leg: Leg) -> bool:
    prices = usable_references(leg.quote)
    return bool(prices) and prices[-1] - prices[0] > leg.reference * leg.bound_bps / 1e4


def _usd(value: float) -> str:
    return f"{value:,.0f} USD" if abs(value) >= 100.0 else f"{value:,.2f} USD"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _NAMES_MAX
    return ", ".join(every[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
