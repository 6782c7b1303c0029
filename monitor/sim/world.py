"""The simulated world: assets, two venues with markets and accounts, and the passage of time.

It has no clock: ``advance(to_s)`` moves it (seconds since the epoch) on a fixed grid of
``config.step_s``, so the same seed, scenario and instants give the same world however the way there
was cut up. At the end of every ``advance`` each subscriber is called once with the list of
``WorldEvent`` that happened since the last call (possibly empty: it is also the servers' clock
tick); ``drain`` gives the same list to whoever prefers to ask, and is independent of subscribers.
Nothing that only reads changes the world. ``world.faults`` is the shared fault state.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from monitor.sim import execution, standing
from monitor.sim.accounts import SimAccount, SimOrder, SimPool
from monitor.sim.config import WorldConfig
from monitor.sim.desk import open_desk
from monitor.sim.faults import FaultKind, Faults
from monitor.sim.funding import HOUR_S
from monitor.sim.listings import DYDX, HYPERLIQUID, LISTINGS
from monitor.sim.market_spec import MarketSpec
from monitor.sim.markets import SimMarket, make_market
from monitor.sim.occurrences import (
    BlockMade,
    FundingSettled,
    OraclesMoved,
    Subscriber,
    WorldEvent,
)
from monitor.sim.prices import ASSETS, DAY_S, Asset, Factor, make_asset

# A block about every second on dYdX; Hyperliquid makes some fifteen a second.
BLOCK_PERIOD_S = {DYDX: 1.0, HYPERLIQUID: 0.068}
FIRST_HEIGHT = {DYDX: 58_214_000, HYPERLIQUID: 861_400_000}
EVENTS_KEPT = 100_000
EQUITY_PERIOD_S = 900.0


@dataclass(slots=True)
class SimVenue:
    """One venue: its markets by symbol, its accounts by address, and its newest block."""

    name: str
    markets: dict[str, SimMarket]
    accounts: dict[str, SimAccount] = field(default_factory=dict)
    height: int = 0
    block_time_s: float = 0.0
    halted: bool = False  # no blocks are made: prices, oracle and accounts stand still
    settled_hour: int = 0  # hours since the epoch whose funding has been settled

    def dexes(self) -> tuple[str, ...]:
        """The perp dexes of the venue, the first one being ``""``."""
        return tuple(dict.fromkeys(market.spec.dex for market in self.markets.values()))

    def markets_of(self, dex: str) -> list[SimMarket]:
        """The markets of one dex in listing order."""
        return [market for market in self.markets.values() if market.spec.dex == dex]


class World:
    """Everything there is, from one seed."""

    def __init__(self, seed: int, start_s: float, config: WorldConfig | None = None) -> None:
        self.seed = seed
        self.config = config or WorldConfig()
        self.start_s = self.now_s = float(start_s)
        self.faults = Faults()
        self.assets: dict[str, Asset] = {spec.name: make_asset(spec, seed) for spec in ASSETS}
        self.venues: dict[str, SimVenue] = {}
        # What passed since the last ``advance``, where somebody drives the world by a clock.
        self.behind_s: Callable[[], float] = float
        self.jumps_per_day = self.config.jumps_per_day
        self._rng = random.Random(f"{seed}/world")  # noqa: S311 - nature, not a secret
        self._ids = itertools.count(496_160_000_000)
        self._fill_ids = itertools.count(345_752_513_000_000)
        self._events: list[WorldEvent] = []
        self._undrained: list[WorldEvent] = []
        self._subscribers: list[Subscriber] = []
        self._scheduled: list[tuple[float, int, Callable[[], None]]] = []
        self._schedule_ids = itertools.count()
        self._steps = 0
        for name, specs in LISTINGS.items():
            self.venues[name] = self._make_venue(name, specs)
        if self.config.desk:
            open_desk(self)
        self._note_equity()
        self._events.clear()
        self._undrained.clear()

    # ------------------------------------------------------------------------------------ time

    def advance(self, to_s: float) -> None:
        """Let the world run to ``to_s``; going back is refused.

        Raises:
            ValueError: If ``to_s`` lies in the past.
        """
        if to_s < self.now_s:
            raise ValueError(f"the world cannot go back from {self.now_s} to {to_s}")
        step = self.config.step_s
        while (due := self.start_s + (self._steps + 1) * step) <= to_s:
            self._step(due)
            self._steps += 1
        self.now_s = to_s
        events, self._events = self._events, []
        for subscriber in tuple(self._subscribers):
            subscriber(events)

    @property
    def wall_s(self) -> float:
        """What the venues' own clocks show: they go on between two looks at the world."""
        return self.now_s + self.behind_s()

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(events)`` at the end of every ``advance``."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop calling ``subscriber``."""
        self._subscribers.remove(subscriber)

    def drain(self) -> list[WorldEvent]:
        """Events since the last ``drain``, oldest first (the newest ``EVENTS_KEPT`` of them)."""
        events, self._undrained = self._undrained, []
        return events

    def emit(self, event: WorldEvent) -> None:
        """Tell everybody of ``event``."""
        self._events.append(event)
        self._undrained.append(event)
        if len(self._undrained) > EVENTS_KEPT:
            del self._undrained[: EVENTS_KEPT // 2]

    def schedule(self, at_s: float, action: Callable[[], None]) -> None:
        """Run ``action`` at the first step at or after ``at_s``."""
        heapq.heappush(self._scheduled, (at_s, next(self._schedule_ids), action))

    # -------------------------------------------------------------------------------- look-ups

    def market(self, venue: str, symbol: str) -> SimMarket:
        """One market."""
        return self.venues[venue].markets[symbol]

    def account(self, venue: str, address: str) -> SimAccount:
        """One account."""
        return self.venues[venue].accounts[address]

    def pool(self, venue: str, address: str, pool: str) -> SimPool:
        """One margin pool, made on first use."""
        account = self.venues[venue].accounts[address]
        if pool not in account.pools:
            account.pools[pool] = SimPool(
                pool, self.venues[venue].markets, lazy_funding=venue == DYDX
            )
        return account.pools[pool]

    def next_id(self) -> int:
        """A fresh order or transfer id."""
        return next(self._ids)

    def next_fill_id(self) -> int:
        """A fresh fill id."""
        return next(self._fill_ids)

    # ------------------------------------------------------- what people do (see ``execution``)

    def trade(
        self,
        venue: str,
        address: str,
        pool: str,
        symbol: str,
        size: Decimal,
        *,
        leverage: int = 10,
        isolated: bool = False,
    ) -> None:
        """Take ``size`` (signed base units) from the book at once."""
        execution.take(
            self, venue, address, pool, symbol, size, leverage=leverage, isolated=isolated
        )

    def place_order(
        self,
        venue: str,
        address: str,
        pool: str,
        symbol: str,
        side: str,
        size: Decimal,
        price: Decimal,
        *,
        trigger_price: Decimal | None = None,
        take_profit: bool = False,
        reduce_only: bool = False,
        client_id: str | None = None,
    ) -> SimOrder:
        """Rest a limit order, or a market trigger order when ``trigger_price`` is given."""
        return execution.place(
            self,
            venue,
            address,
            pool,
            symbol,
            side,
            size,
            price,
            trigger_price=trigger_price,
            take_profit=take_profit,
            reduce_only=reduce_only,
            client_id=client_id,
        )

    def cancel_order(self, venue: str, address: str, pool: str, order_id: int) -> None:
        """Cancel one order; one that is gone is left alone."""
        execution.cancel(self, venue, address, pool, order_id, "canceled")

    def deposit(self, venue: str, address: str, pool: str, amount_usd: Decimal) -> None:
        """Money arrives from a wallet (a negative amount is a withdrawal)."""
        execution.move_cash(self, venue, address, pool, amount_usd, peer=(address, ""))

    def transfer(
        self,
        source: tuple[str, str, str],
        target: tuple[str, str, str],
        amount_usd: Decimal,
        *,
        delay_s: float = 0.0,
    ) -> None:
        """Money leaves ``(venue, address, pool)`` now and reaches the other ``delay_s`` later."""
        execution.transfer(self, source, target, amount_usd, delay_s)

    # --------------------------------------------------------------------------------- stepping

    def _step(self, to_s: float) -> None:
        from_s = self.start_s + self._steps * self.config.step_s
        self.now_s = to_s
        while self._scheduled and self._scheduled[0][0] <= to_s:
            heapq.heappop(self._scheduled)[2]()
        factor = self._factor(to_s - from_s)
        for asset in self.assets.values():
            asset.step(from_s, to_s, factor, self.jumps_per_day)
        for venue in self.venues.values():
            venue.halted = self.faults.holds(FaultKind.HALTED, venue.name)
            if not venue.halted:
                self._step_venue(venue, to_s)
        hour = math.floor(to_s / HOUR_S)
        for venue in self.venues.values():
            # After a halt the chain makes up for every hour it missed, one tick after another.
            while venue.settled_hour < hour and not venue.halted:
                venue.settled_hour += 1
                self._settle(venue, venue.settled_hour * HOUR_S)
        for venue in self.venues.values():
            if not venue.halted:
                execution.run_accounts(self, venue)
                standing.run(self, venue)
        if math.floor(to_s / EQUITY_PERIOD_S) != math.floor(from_s / EQUITY_PERIOD_S):
            self._note_equity()

    def _note_equity(self) -> None:
        for venue in self.venues.values():
            for account in venue.accounts.values():
                account.note_equity(self.now_s)

    def _factor(self, seconds: float) -> Factor:
        # The same number of draws at every step, jump or not: paths stay comparable.
        normal, chance, size = self._rng.gauss(0, 1), self._rng.random(), self._rng.gauss(0, 1)
        jumped = chance < self.jumps_per_day * seconds / DAY_S
        return Factor(normal=normal, jump=0.012 * size if jumped else 0.0)

    def _step_venue(self, venue: SimVenue, to_s: float) -> None:
        moved = []
        faults, frozen, share = self.faults, False, 1.0
        ail = bool(faults.active)
        for market in venue.markets.values():
            if ail:
                symbol = market.spec.symbol
                frozen = faults.holds(FaultKind.STALE_ORACLE, venue.name, market=symbol)
                bad = faults.find(FaultKind.BAD_ORACLE, venue.name, market=symbol)
                share = 1.0 if bad is None else bad.price_ratio
            if market.step(to_s, oracle_frozen=frozen, oracle_share=share):
                moved.append(market.symbol)
        if moved:
            self.emit(OraclesMoved(venue.name, tuple(moved)))
        height = FIRST_HEIGHT[venue.name] + int((to_s - self.start_s) / BLOCK_PERIOD_S[venue.name])
        if height > venue.height:
            venue.height, venue.block_time_s = height, to_s
            self.emit(BlockMade(venue.name, height, to_s))

    def _settle(self, venue: SimVenue, hour_s: float) -> None:
        for market in venue.markets.values():
            if not market.tradable:
                continue
            # Stamped a few milliseconds after the hour, never exactly on it.
            stamp = hour_s + 0.004 + (market.salt % 110) / 1_000.0
            row = market.settle_funding(stamp)
            self.emit(FundingSettled(venue.name, market.symbol, row))
        execution.pay_funding(self, venue)

    def _make_venue(self, name: str, specs: Sequence[MarketSpec]) -> SimVenue:
        markets = {
            spec.symbol: make_market(spec, self.assets[spec.asset], self.seed, name, self.start_s)
            for spec in specs
        }
        return SimVenue(
            name,
            markets,
            height=FIRST_HEIGHT[name],
            block_time_s=self.start_s,
            settled_hour=math.floor(self.start_s / HOUR_S),
        )
