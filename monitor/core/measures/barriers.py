"""What could liquidate an account: each market alone and all together, with how much each moves.

Volatility is the highest of the asset's fast, slow and its median of half a year, for today's calm
is not the horizon's: while one of them is not known, nothing that rests on it is. Sudden moves
are the asset's own of that half-year beside the default set. Of all prices together both are the
mean over what is held, as if all moved as one. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum, sqrt

import msgspec

from monitor.core.formulas.first_passage import (
    Jumps,
    compute_passage_probability,
    compute_quick_passage_probability,
)
from monitor.core.formulas.jumps import DEFAULT, JumpSet, count_jumps, mean_jumps
from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    compute_distance_sigmas,
    compute_uniform_move,
)
from monitor.core.formulas.volatility import (
    HOURS_PER_YEAR,
    MINUTES_PER_YEAR,
    annualize_volatility,
    bin_floor,
)
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.liquidation import LIQUIDATIONS, rises
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import FAST, SLOW, read_series
from monitor.core.state.facts import SERIES_BIT, Lack
from monitor.core.state.model import RiskState
from monitor.core.state.series import PERCENTILE_HOURS_MIN
from monitor.core.types import SubjectKind

VOLATILITIES = (FAST.name, SLOW.name, "volatility_median")
SMALL_SHARE = 0.10
NEAR_RATIO = 0.25  # beyond it sigmas say little: a flash crash makes every account look close
TOGETHER = "together"  # the name of a move of all prices alike
_DAY_ROOT = 365.0**0.5


class Barrier(msgspec.Struct, frozen=True, gc=False):
    """Where one move liquidates: its distance as a ratio, whether up, and the volatility (annual)
    of what moves; ``name`` of the market, or ``together``."""

    name: str
    distance_ratio: float
    up: bool
    volatility: float

    @property
    def sigmas(self) -> float:
        """Distance in daily sigmas."""
        return compute_distance_sigmas(self.distance_ratio, self.volatility / _DAY_ROOT, up=self.up)

    @property
    def price(self) -> float:
        """Of the barrier, from a price of 1."""
        return 1.0 + self.distance_ratio if self.up else max(1.0 - self.distance_ratio, 1e-9)

    def against(self, jumps: JumpSet) -> Jumps:
        """Of these the ones that go towards it."""
        return jumps.up if self.up else jumps.down

    def chance(self, horizon_s: float, jumps: JumpSet) -> float:
        """Of touching it within the horizon."""
        if self.distance_ratio <= 0.0:
            return 1.0
        return compute_passage_probability(
            price=1.0,
            barrier=self.price,
            volatility_annualized=self.volatility,
            horizon_s=horizon_s,
            jumps=self.against(jumps),
        )


def volatility_of(node: PositionNode, use: Use) -> float | None:
    """Annualized volatility that a position is judged by; None where any part is not known."""
    assets = node.related(Relation.ASSET)
    if not assets:
        use.absent(f"{node.market.market.market} is not listed")
        return None
    return use.read(assets[0], HORIZON.name)


def _median(node: AssetNode, use: Use) -> float | None:
    """From the histogram of hourly volatilities: to the middle of its bin, half a percent or so."""
    series = read_series(node.asset, use)
    if series is None:
        return None
    hours = series.hours
    if hours.known < PERCENTILE_HOURS_MIN:
        use.absent(
            f"{hours.known} of {PERCENTILE_HOURS_MIN} hours of {node.asset} volatility known",
            Lack.HISTORY,
        )
        return None
    return median_of_bins(hours.counts)


def median_of_bins(counts: Sequence[int]) -> float:
    """The volatility in whose bin the middle of a histogram lies, which is not empty."""
    half, below = sum(counts) / 2.0, 0
    for index, count in enumerate(counts):
        below += count
        if below >= half and count:
            return sqrt(bin_floor(index) * bin_floor(index + 1))
    raise ValueError("a median needs a history")


def _horizon(node: AssetNode, use: Use) -> float | None:
    found = 0.0
    for name in VOLATILITIES:
        value = use.read(node, name)
        if value is None:
            return None
        found = max(found, value)
    return found


def held_positions(node: AccountNode) -> list[PositionNode]:
    """Open positions that have a price."""
    return [
        one
        for one in node.related(Relation.POSITIONS)
        if isinstance(one, PositionNode) and one.market.market.market in node.holdings.held
    ]


def barriers_of(node: AccountNode, use: Use) -> list[Barrier] | None:
    """Everything that could liquidate the account or a part of it that matters, which an isolated
    position with less than a tenth of its equity does not. None where that is not known."""
    if use.read(node, LIQUIDATIONS) is None:
        return None
    return _barriers(node, lambda one: volatility_of(one, use))


def barriers_told(node: AccountNode, state: RiskState) -> list[Barrier]:
    """The same for words alone: as they stand, however old; none where one is not known."""
    if node.holdings.liquidation.reason:
        return []
    return _barriers(node, lambda one: _standing(state, one.market.market.asset)) or []


def _standing(state: RiskState, asset: str) -> float | None:
    """What ``volatility_horizon`` of an asset rests on."""
    series = state.prices.get(asset)
    if series is None or series.hours.known < PERCENTILE_HOURS_MIN:
        return None
    slow = annualize_volatility(series.hours.slow.variance, HOURS_PER_YEAR)
    fast = annualize_volatility(series.fast.variance, MINUTES_PER_YEAR)
    return max(slow, fast, median_of_bins(series.hours.counts))


def _barriers(
    node: AccountNode, volatility_at: Callable[[PositionNode], float | None]
) -> list[Barrier] | None:
    into = node.holdings
    apart = [one.margin_equity_usd or 0.0 for one in into.held.values() if one.isolated]
    whole = fsum((into.pool_equity_usd, *apart))
    found: list[Barrier] = []
    weights: list[tuple[float, float]] = []
    for position in held_positions(node):
        name = position.market.market.market
        holding = into.held[name]
        volatility = volatility_at(position)
        if volatility is None:
            return None
        if not holding.isolated:
            weights.append((abs(holding.notional_usd), volatility))
        elif (holding.margin_equity_usd or 0.0) < SMALL_SHARE * whole:
            continue  # it can lose its margin and no more; its own measures judge it
        distance = holding.distance_ratio
        if distance is not None and distance < OUT_OF_REACH_RATIO:
            found.append(Barrier(name, distance, rises(holding), volatility))
    gross = fsum(weight for weight, _ in weights)
    if into.pool_maintenance_usd > 0.0 and gross > 0.0:
        mean = fsum(weight * volatility for weight, volatility in weights) / gross
        found += barrier_together(node, mean)
    return found


def barrier_together(node: AccountNode, volatility: float) -> list[Barrier]:
    """Of all prices moving alike; empty where no such move liquidates the cross pool."""
    into = node.holdings
    if into.pool_equity_usd <= into.pool_maintenance_usd:
        return [Barrier(TOGETHER, 0.0, into.pool_net_usd < 0.0, volatility)]
    move = compute_uniform_move(
        equity_usd=into.pool_equity_usd,
        net_notional_usd=into.pool_net_usd,
        maintenance_usd=into.pool_maintenance_usd,
    )
    if move is None or abs(move) >= OUT_OF_REACH_RATIO:
        return []
    return [Barrier(TOGETHER, abs(move), move > 0.0, volatility)]


def jumps_of(one: Barrier, node: AccountNode, state: RiskState) -> JumpSet:
    """What the price of a barrier does all at once; of all together the mean over the cross pool by
    notional."""
    held = node.holdings.held
    if one.name != TOGETHER:
        return asset_jumps(node.markets[one.name].market.asset, state)
    return mean_jumps(
        [
            (abs(held[name].notional_usd), asset_jumps(node.markets[name].market.asset, state))
            for name in sorted(held)
            if not held[name].isolated
        ]
    )


def asset_jumps(asset: str, state: RiskState) -> JumpSet:
    """Of one asset; the default while too little of it is known."""
    series = state.prices.get(asset)
    if series is None:
        return DEFAULT
    moves = [one for _, one in series.hours.list_jumps()]
    return count_jumps(moves, series.hours.count_judged())


def nearby(barriers: list[Barrier]) -> list[Barrier]:
    """Those within a quarter of their price."""
    return [one for one in barriers if one.distance_ratio <= NEAR_RATIO]


def likeliest(barriers: list[Barrier], horizon_s: float) -> tuple[Barrier, ...]:
    """At most two of them, of which one is the likeliest to be touched: the likeliest without
    jumps, and the nearest, which jumps reach first."""
    if not barriers:
        return ()
    quick = max(
        barriers,
        key=lambda one: compute_quick_passage_probability(
            price=1.0,
            barrier=one.price,
            volatility_annualized=one.volatility,
            horizon_s=horizon_s,
        ),
    )
    nearest = min(barriers, key=lambda one: one.distance_ratio)
    return (quick,) if quick is nearest else (quick, nearest)


def _spec(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=(SubjectKind.ASSET,),
        unit=Unit.PER_YEAR,
        help=help_text,
        low=0.0,
        high=1000.0,
        cadence_s=60.0,
        typical=(0.5, 1.5),
    )


MEDIAN = _spec(
    "volatility_median", "Median of the last 180 days' hourly volatility a year, 0.60 for 60 %."
)
HORIZON = _spec(
    "volatility_horizon",
    "Volatility a year that liquidation is judged by: the highest of fast, slow and median.",
)

DEFINITIONS: tuple[Definition, ...] = (
    define(MEDIAN, SubjectKind.ASSET, _median, bits=SERIES_BIT),
    define(
        HORIZON,
        SubjectKind.ASSET,
        _horizon,
        needs=tuple((Relation.SELF, name) for name in VOLATILITIES),
    ),
)
