"""A simulated book: what it holds, what trading it costs, and what becomes of it. *Pure.*

Prices are known at full hours. A trade between two of them is done on the straight line from one to
the other (the mean path between two known ends); a trade never happens where a price is not known
or a venue is dark. Nothing is earned, lost or charged across a gap of a day or more: the book goes
on with the same notional. Money is USD, sizes signed base units, costs are counted > 0 as paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.backtest.history import HOUR_S, Settlement
from monitor.backtest.overlay import NO_OUTAGES, Overlay
from monitor.backtest.restraint import Restraints, covers
from monitor.backtest.settings import BookSettings
from monitor.core.types import SECOND_NS, EngineNs, Subject

ACCOUNT = "main"
HOUR_NS = HOUR_S * SECOND_NS
DAY_S = 86_400
GAP_H = 24
_NOISE = 1e-9


@dataclass(slots=True)
class Held:
    """One position. ``ceiling`` is the share of its full size that may be held now."""

    venue: str
    asset: str
    weight: float | None
    full_size: float
    units: float = 0.0
    price: float = 0.0  # at which it was last marked; 0 before the first
    priced_at: int = -1
    ceiling: float = 1.0
    entered: bool = False

    @property
    def notional_usd(self) -> float:
        """Signed, at the last known price."""
        return self.units * self.price


@dataclass(slots=True)
class Costs:
    """What the book has paid so far, USD; funding may be negative (received)."""

    fees_usd: float = 0.0
    slippage_usd: float = 0.0
    friction_usd: float = 0.0
    funding_usd: float = 0.0
    turnover_usd: float = 0.0
    trades: int = 0

    @property
    def trading_usd(self) -> float:
        """All but funding."""
        return self.fees_usd + self.slippage_usd + self.friction_usd


@dataclass(slots=True)
class Hour:
    """What one hour told: prices at its end and at its beginning, and settlements at its end."""

    index: int
    at_s: int
    prices: Mapping[str, float | None]
    before: Mapping[str, float | None]
    settlements: Mapping[tuple[str, str], Settlement | None]


@dataclass(slots=True)
class Book:
    """Positions and money of one arm. ``scale`` is the share of the declared book it holds."""

    settings: BookSettings
    overlay: Overlay = NO_OUTAGES
    scale: float = 1.0
    equity_usd: float = 0.0
    held: list[Held] = field(default_factory=list)
    costs: Costs = field(default_factory=Costs)
    liquidated_s: int | None = None
    gaps: int = 0
    waiting: bool = False  # a cut is due and could not be done in full
    # (venue, asset, USD) of the settlements of the last hour; > 0 is received.
    payments: list[tuple[str, str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.equity_usd = self.settings.start_equity_usd
        self.held = [
            Held(one.venue, one.asset, one.weight, one.size or 0.0)
            for one in self.settings.positions
        ]

    @property
    def gross_usd(self) -> float:
        """Sum of |notional| at the last known prices."""
        return sum(abs(one.notional_usd) for one in self.held)

    def gross_in(self, scope: Subject) -> float:
        """Gross exposure within a scope, USD."""
        return sum(
            abs(one.notional_usd)
            for one in self.held
            if covers(scope, one.venue, ACCOUNT, one.asset)
        )

    def known(self, index: int) -> bool:
        """Whether every open position has a price of this very hour."""
        return all(one.priced_at == index for one in self.held if one.units)

    # ------------------------------------------------------------------------------ an hour

    def advance(self, hour: Hour, restraints: Restraints) -> None:
        """Live through the hour that ends at ``hour.at_s``: cuts that became due, prices, funding,
        then what the desk does of itself on the full hour."""
        until = hour.at_s * SECOND_NS
        for at in self._cut_times(hour, restraints, until):
            self._cut(hour, restraints, at)
        self._mark(hour)
        self._fund(hour)
        self._check_liquidation(hour)
        if self.liquidated_s is None:
            self._tend(hour, restraints, until)

    def _cut_times(self, hour: Hour, restraints: Restraints, until: EngineNs) -> list[EngineNs]:
        start = until - HOUR_NS
        times = restraints.due(start, until)
        if self.waiting:  # try again with the hour, and when a venue is back
            ends = [
                one.end_s * SECOND_NS
                for one in self.overlay.between(hour.at_s - HOUR_S - 1, hour.at_s)
            ]
            times = sorted({*times, start, *(end for end in ends if start < end < until)})
        return times

    def _mark(self, hour: Hour) -> None:
        for one in self.held:
            price = hour.prices.get(one.asset)
            if price is None:
                continue
            if one.priced_at >= 0 and hour.index - one.priced_at >= GAP_H:
                if one.units:
                    self.gaps += 1
                    one.units *= one.price / price
                one.price = price
            self._mark_at(one, price)
            one.priced_at = hour.index

    def _mark_at(self, one: Held, price: float) -> None:
        if one.units:
            self.equity_usd += one.units * (price - one.price)
        one.price = price

    def _fund(self, hour: Hour) -> None:
        self.payments = []
        for one in self.held:
            settled = hour.settlements.get((one.venue, one.asset))
            if settled is not None and one.units:
                paid = one.notional_usd * settled.rate
                self.equity_usd -= paid
                self.costs.funding_usd += paid
                self.payments.append((one.venue, one.asset, -paid))

    def _check_liquidation(self, hour: Hour) -> None:
        need = self.gross_usd * self.settings.maintenance_margin_rate
        if self.liquidated_s is None and need > 0.0 and self.equity_usd <= need:
            self.liquidated_s = hour.at_s
            for one in self.held:
                self._trade(one, -one.units, one.price, hour.at_s, forced=True)

    # ------------------------------------------------------------------------------- trading

    def _trade(self, one: Held, units: float, price: float, at_s: float, *, forced: bool) -> None:
        """Change a position that is already marked at ``price``, and pay for it."""
        if not units:
            return
        costs, terms = self.costs, self.settings.costs_of(one.venue)
        notional = abs(units) * price
        slippage = terms.slippage_bps
        if self.overlay.outages and self.overlay.congested(
            one.venue, at_s, self.settings.congested_h
        ):
            slippage *= self.settings.congested_slippage_multiple
        fee, slip = notional * terms.fee_bps / 1e4, notional * slippage / 1e4
        friction = notional * self.settings.exit_friction_bps / 1e4 if forced else 0.0
        one.units += units
        self.equity_usd -= fee + slip + friction
        costs.fees_usd += fee
        costs.slippage_usd += slip
        costs.friction_usd += friction
        costs.turnover_usd += notional
        costs.trades += 1

    def _cut(self, hour: Hour, restraints: Restraints, at: EngineNs) -> None:
        """Bring every scope down to its goal, all positions in it by the same share; an asset with
        a leg that cannot be traded keeps its opposite legs too."""
        at_s = at / SECOND_NS
        prices = {one.asset: self._price_at(one, hour, at_s) for one in self.held}
        for one in self.held:  # a goal is in USD, at the prices of the trade
            price = prices[one.asset]
            if price is not None:
                self._mark_at(one, price)
        factors = self._factors(restraints, at)
        stuck = {
            one.asset
            for one, factor in zip(self.held, factors, strict=True)
            if one.units and factor < 1.0 and not self._reachable(one, prices, at_s)
        }
        self.waiting = False
        for one, factor in zip(self.held, factors, strict=True):
            if not one.units or factor >= 1.0 - _NOISE:
                continue
            price = prices[one.asset]
            hedged = any(
                other.asset == one.asset and other.units * one.units < 0.0 for other in self.held
            )
            if (
                price is None
                or not self._reachable(one, prices, at_s)
                or (one.asset in stuck and hedged)
            ):
                self.waiting = True
                continue
            self._trade(one, one.units * (factor - 1.0), price, at_s, forced=True)
            full = self._full_units(one, price)
            one.ceiling = min(one.ceiling, abs(one.units / full)) if full else 0.0

    def _factors(self, restraints: Restraints, at: EngineNs) -> list[float]:
        factors = [1.0] * len(self.held)
        for scope, goal in restraints.goals(at).items():
            gross = self.gross_in(scope)
            if gross <= goal * (1.0 + _NOISE):
                continue
            for place, one in enumerate(self.held):
                if covers(scope, one.venue, ACCOUNT, one.asset):
                    factors[place] = min(factors[place], goal / gross)
        return factors

    def _price_at(self, one: Held, hour: Hour, at_s: float) -> float | None:
        """On the straight line between the hour's two prices; None where one is not known."""
        start = hour.before.get(one.asset)
        share = (at_s - (hour.at_s - HOUR_S)) / HOUR_S
        if start is None or share <= 0.0:
            return start
        end = hour.prices.get(one.asset)
        return None if end is None else start + (end - start) * share

    def _reachable(self, one: Held, prices: Mapping[str, float | None], at_s: float) -> bool:
        if prices[one.asset] is None:
            return False
        return not self.overlay.outages or self.overlay.dark_until(one.venue, at_s) is None

    # ------------------------------------------------------------------- the desk's own doing

    def _tend(self, hour: Hour, restraints: Restraints, now: EngineNs) -> None:
        """Enter what is listed, rebalance, and come back by steps after a cut."""
        listed = False
        for one in self.held:
            if not one.entered and one.priced_at == hour.index:
                one.entered = listed = True
        scopes = restraints.scopes(now)
        day = hour.at_s % DAY_S == 0
        due = listed or (hour.at_s // HOUR_S) % self.settings.rebalance_h == 0
        for one in self.held:
            if not one.entered or one.priced_at != hour.index:
                continue
            if self.overlay.outages and self.overlay.dark_until(one.venue, hour.at_s) is not None:
                continue
            restrained = any(covers(scope, one.venue, ACCOUNT, one.asset) for scope in scopes)
            rises = day and one.ceiling < 1.0 and not restrained
            if rises:
                rise = self.settings.reentry_rise_per_day_ratio
                one.ceiling = min(1.0, one.ceiling + rise)
            moves = due if one.weight is not None else one.units == 0.0
            if moves or rises:
                self._go_to_target(one, restrained=restrained, at_s=hour.at_s)

    def _go_to_target(self, one: Held, *, restrained: bool, at_s: int) -> None:
        wanted = self._full_units(one, one.price) * one.ceiling
        if restrained:
            if one.units == 0.0:
                one.ceiling = 0.0 if wanted else one.ceiling
                return
            if wanted * one.units <= 0.0 or abs(wanted) >= abs(one.units):
                return
        self._trade(one, wanted - one.units, one.price, at_s, forced=False)

    def _full_units(self, one: Held, price: float) -> float:
        """The size of the declared book at today's equity, base units."""
        if one.weight is None:
            return one.full_size * self.scale
        weight = one.weight
        if self.settings.spread_unlisted_weights:
            declared = sum(abs(other.weight or 0.0) for other in self.held)
            listed = sum(abs(other.weight or 0.0) for other in self.held if other.entered)
            weight *= declared / listed if listed else 0.0
        return weight * self.scale * self.equity_usd / price
