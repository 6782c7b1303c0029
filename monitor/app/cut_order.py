"""Which parts of a cut do most per basis point they cost: what a person who cuts by hand, or who
cuts less than was planned, takes first. *Pure.*

Legs that shrink together are one part. Source: the sheet *Funding stress*, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import Protocol

import msgspec

from monitor.core.formulas.funding_stress import compute_cut_score
from monitor.core.killswitch.plan import Plan, PlannedOrder
from monitor.core.measures.spec import Reading
from monitor.core.types import (
    EngineNs,
    Subject,
    account_subject,
    asset_subject,
    position_subject,
)

DAYS_PER_YEAR = 365.0
FULL_PRESSURE_USAGE = 0.5  # margin usage from which more of it changes nothing


class Readings(Protocol):
    """What is asked of the engine."""

    def reading(self, name: str, subject: Subject, now: EngineNs | None = None) -> Reading | None:
        """A measure now; None where it is absent."""
        ...

    def absence(self, name: str, subject: Subject, now: EngineNs | None = None) -> str:
        """Why a measure is absent."""
        ...


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that go together, and why they go at this place.

    Args:
        legs: Names of the legs, ``venue/account/market``.
        notional_usd: All of them together.
        score: What cutting does per basis point it costs; None where an input is unknown.
        carry_apr: Funding paid (> 0) a year, a fraction; mean by notional, as the others.
        volatility: A year, a fraction.
        margin_pressure: 0..1.
        cost_bps: Expected cost.
        reason: Why there is no score.
    """

    legs: tuple[str, ...]
    notional_usd: float
    score: float | None = None
    carry_apr: float = 0.0
    volatility: float = 0.0
    margin_pressure: float = 0.0
    cost_bps: float = 0.0
    reason: str = ""


def rank_parts(plan: Plan, engine: Readings, now: EngineNs) -> tuple[Part, ...]:
    """The parts of a plan, the highest score first, the larger one of two alike; what cannot be
    scored comes last and says why."""
    parts = [_part(orders, engine, now) for orders in _together(plan.orders)]
    return tuple(
        sorted(
            parts,
            key=lambda part: (
                part.score is None,
                -(part.score or 0.0),
                -part.notional_usd,
                part.legs,
            ),
        )
    )


def ranking_text(parts: Sequence[Part]) -> list[str]:
    """A line for each part; none where there is nothing to choose between."""
    if len(parts) < 2:
        return []
    return [f"  {place}. {_said(part)}" for place, part in enumerate(parts, start=1)]


def _said(part: Part) -> str:
    what = f"{' with '.join(part.legs)} (${part.notional_usd:,.0f})"
    if part.score is None:
        return f"{what}: not ranked, {part.reason}"
    carry = f"funding {'costs' if part.carry_apr > 0.0 else 'earns'} {abs(part.carry_apr):.0%}/yr"
    return (
        f"{what}: {part.score:.3f} per bp; {carry}, volatility {part.volatility:.0%}, margin "
        f"pressure {part.margin_pressure:.0%}, {part.cost_bps:.1f} bp"
    )


def _together(orders: Sequence[PlannedOrder]) -> Iterator[list[PlannedOrder]]:
    """Orders joined by their pairs, however many twins one has."""
    named = {order.leg: order for order in orders}
    near: dict[str, set[str]] = {order.leg: set() for order in orders}
    for order in orders:
        if order.pair in named:
            near[order.leg].add(order.pair)
            near[order.pair].add(order.leg)
    left = dict.fromkeys(named)
    while left:
        found, waiting = set[str](), [next(iter(left))]
        while waiting:
            leg = waiting.pop()
            if leg not in found:
                found.add(leg)
                waiting += near[leg]
        for leg in found:
            del left[leg]
        yield [named[leg] for leg in sorted(found)]


def _part(orders: Sequence[PlannedOrder], engine: Readings, now: EngineNs) -> Part:
    legs = tuple(order.leg for order in orders)
    total = fsum(order.notional_usd for order in orders)
    sums = {"carry": 0.0, "volatility": 0.0, "pressure": 0.0, "cost": 0.0}
    for order in orders:
        found = _inputs(order, engine, now)
        if isinstance(found, str):
            return Part(legs=legs, notional_usd=total, reason=found)
        for name, value in found.items():
            sums[name] += value * order.notional_usd / total
    return Part(
        legs=legs,
        notional_usd=total,
        score=compute_cut_score(
            carry_cost_apr=sums["carry"],
            volatility=sums["volatility"],
            margin_pressure=sums["pressure"],
            unwind_cost_bps=sums["cost"],
        ),
        carry_apr=sums["carry"],
        volatility=sums["volatility"],
        margin_pressure=sums["pressure"],
        cost_bps=sums["cost"],
    )


def _inputs(order: PlannedOrder, engine: Readings, now: EngineNs) -> Mapping[str, float] | str:
    """What the score is made of, or why it cannot be made."""
    position = position_subject(order.venue, order.account, order.market)
    asked: tuple[tuple[str, Subject], ...] = (
        ("funding_projected_24h_usd", position),
        ("notional_usd", position),
        ("volatility_slow", asset_subject(order.asset)),
        ("margin_usage_ratio", account_subject(order.venue, order.account)),
    )
    values: dict[str, float] = {}
    for name, subject in asked:
        reading = engine.reading(name, subject, now)
        if reading is None:
            return engine.absence(name, subject, now)
        values[name] = reading.value
    if order.cost_bps is None:
        return f"the cost of {order.leg} is not known"
    held_usd = abs(values["notional_usd"])
    if held_usd <= 0.0:
        return f"nothing is held in {order.leg}"
    return {
        "carry": values["funding_projected_24h_usd"] * DAYS_PER_YEAR / held_usd,
        "volatility": values["volatility_slow"],
        "pressure": min(values["margin_usage_ratio"] / FULL_PRESSURE_USAGE, 1.0),
        "cost": order.cost_bps,
    }
