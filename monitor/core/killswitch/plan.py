"""What a planner is asked for and what it answers. A later optimiser keeps this interface.
*Pure.*
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

import msgspec

from monitor.core.killswitch.book import Book
from monitor.core.types import Side, Subject


class Target(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How far the gross exposure of ``scope`` is to come down.

    ``baseline_usd`` is its gross when the trip began and ``gross_to_ratio`` the share of it that
    may stay; 0.0 is flat. Targets do not add: the baseline is fixed once per trip.
    """

    scope: Subject
    baseline_usd: float
    gross_to_ratio: float


class PlanLimits(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a plan may cost and move. ``turnover_left_usd`` is what the hour still allows.

    ``part_usd`` is the most that is tried now, after rounds in which nothing was filled.
    ``hedge_sets`` are configured sets: (name, ((venue, account, market), …)); legs of the same
    asset on opposite sides pair by themselves.
    """

    max_cost_bps: float = 50.0
    slices: int = 4
    turnover_left_usd: float | None = None
    part_usd: float | None = None
    hedge_sets: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = ()


class PlannedOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One reduce-only order. ``leg`` names it within the plan, stable for the same facts.

    ``closes`` when it takes the whole position, which no minimum may prevent. ``pair`` is the leg
    that must shrink with it, empty when unpaired.
    """

    leg: str
    venue: str
    account: str
    market: str
    asset: str
    side: Side
    size: Decimal
    limit_price: Decimal
    reference_price: float
    notional_usd: float
    cost_bps: float | None
    closes: bool = False
    pair: str = ""


class Shortfall(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the target asks for and this plan cannot do, and why, in words for a page."""

    venue: str
    account: str
    market: str
    usd: float
    reason: str


class Plan(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Orders to send now, and what they leave. ``sliced`` when cost or turnover made them a part of
    what is wanted: the next round continues. ``net`` per asset, USD, before and after.

    ``deferred_usd`` is what later slices take, so that ``gross_after_usd`` above the goal is
    ``deferred_usd`` plus the shortfalls. ``unpriced`` are positions in scope whose value nobody
    knows and which no gross here counts. ``in_the_way`` are (venue, account, order id) of working
    orders without which more could be cut, and ``twins`` (venue, account, market) of legs that
    hedge what is short and cannot be cut with it.
    """

    orders: tuple[PlannedOrder, ...]
    shortfalls: tuple[Shortfall, ...]
    gross_before_usd: float
    gross_after_usd: float
    goal_usd: float
    net_before_usd: tuple[tuple[str, float], ...] = ()
    net_after_usd: tuple[tuple[str, float], ...] = ()
    cost_usd: float = 0.0
    sliced: bool = False
    notes: tuple[str, ...] = ()
    deferred_usd: float = 0.0
    unpriced: tuple[str, ...] = ()
    in_the_way: tuple[tuple[str, str, str], ...] = ()
    twins: tuple[tuple[str, str, str], ...] = ()

    @property
    def met(self) -> bool:
        """True when what these orders leave is known to be within the goal."""
        return self.gross_after_usd <= self.goal_usd and not self.sliced and not self.unpriced


class Planner(Protocol):
    """Makes a plan from facts alone: the same facts give the same plan."""

    def __call__(self, target: Target, book: Book, limits: PlanLimits) -> Plan:
        """The next orders toward ``target``."""
        ...
