"""Accounts of the simulated venues: margin pools, positions, orders and their history, exactly.

All money is ``Decimal`` and every identity is exact: a pool's cash is the quote balance *net of
cost basis* (buying takes price x size out of it), so equity is cash plus the value of the positions
at the venue's margin price. An isolated Hyperliquid position keeps its own cash; a dYdX isolated
position lives in a pool of its own. Funding is settled at the hour where the venue does so, or
lazily at the next change of the pool (``lazy_funding``, dYdX), in which case ``equity`` already
counts what is due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

import msgspec

from monitor.core.types import FillKind, MarginMode
from monitor.sim.markets import SimMarket

if TYPE_CHECKING:
    from monitor.sim.standing import SimTwap

ZERO = Decimal(0)
MICRO = Decimal("0.000001")


@dataclass(slots=True)
class SimPosition:
    """One position. ``size`` signed base units; ``entry_notional`` = size x average entry;
    ``isolated_cash`` (net of cost basis) only where the position is isolated inside its pool.
    ``funding_*`` > 0 means paid by us."""

    symbol: str
    size: Decimal
    entry_notional: Decimal
    margin_mode: MarginMode = MarginMode.CROSS
    leverage: int = 10
    isolated_cash: Decimal | None = None
    funding_index: Decimal = ZERO
    funding_all_time: Decimal = ZERO
    funding_since_open: Decimal = ZERO
    funding_since_change: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    opened_s: float = 0.0
    opened_height: int = 0
    size_max: Decimal = ZERO  # signed, the largest it has been
    sum_open: Decimal = ZERO
    sum_close: Decimal = ZERO
    exit_notional: Decimal = ZERO
    position_id: str = ""

    @property
    def entry_price(self) -> Decimal:
        """Average entry, USD."""
        return self.entry_notional / self.size if self.size else ZERO


@dataclass(slots=True)
class SimOrder:
    """One order. ``size`` is what is left. A trigger order waits until the mark crosses
    ``trigger_price`` (upwards with ``trigger_above``); ``is_market`` then takes, ``limit_price`` is
    the worst price. ``status`` is one of the venue's words: ``open``, ``filled``, ``canceled``,
    ``triggered``, ``liquidatedCanceled``, ``reduceOnlyCanceled``, ``scheduledCancel``, or what it
    was rejected for. ``parent_id`` names the order whose fill brings this one to life (until then
    it only waits), ``group`` those of which one fill cancels the others."""

    order_id: int
    symbol: str
    side: str
    limit_price: Decimal
    size: Decimal
    original_size: Decimal
    trigger_price: Decimal | None = None
    trigger_above: bool = False
    is_market: bool = False
    take_profit: bool = False
    reduce_only: bool = False
    post_only: bool = False
    client_id: str | None = None
    status: str = "open"
    created_s: float = 0.0
    updated_s: float = 0.0
    created_height: int = 0
    tif: str = "Gtc"
    position_tpsl: bool = False  # belongs to the position and ends with it
    parent_id: int | None = None
    group: int | None = None

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1


@dataclass(frozen=True, slots=True)
class SimFill:
    """One execution. ``size`` is unsigned; ``start_position`` signed, before the fill.
    ``liquidated`` is the address that was liquidated, on both sides' fills."""

    fill_id: int
    order_id: int
    symbol: str
    side: str
    price: Decimal
    size: Decimal
    fee_usd: Decimal
    closed_pnl_usd: Decimal
    start_position: Decimal
    taker: bool
    time_s: float
    height: int
    kind: FillKind = FillKind.TRADE
    client_id: str | None = None
    liquidated: str | None = None
    backstop: bool = False  # taken over by the liquidator vault, not sold in the book
    mark_price: Decimal | None = None
    twap_id: int | None = None


class SimFunding(msgspec.Struct, frozen=True, gc=False):
    """One funding payment. ``payment_usd`` > 0 is received, < 0 paid."""

    symbol: str
    payment_usd: Decimal
    size: Decimal
    rate_hourly: Decimal
    price: Decimal
    time_s: float
    height: int


@dataclass(frozen=True, slots=True)
class SimTransfer:
    """Money that moved, seen from the pool: ``amount_usd`` > 0 came in. ``kind`` is ``deposit``,
    ``withdrawal`` or ``internal`` (between accounts or pools of one venue); ``peer`` is
    (address, pool) on the other side, pool ``""`` for a wallet."""

    transfer_id: int
    kind: str
    amount_usd: Decimal
    peer: tuple[str, str]
    time_s: float
    height: int
    fee_usd: Decimal = ZERO


@dataclass(slots=True)
class SimPool:
    """One margin pool of an account: everything in it shares collateral, isolated positions
    excepted."""

    name: str
    markets: Mapping[str, SimMarket]
    lazy_funding: bool = False
    cash: Decimal = ZERO
    positions: dict[str, SimPosition] = field(default_factory=dict)
    orders: dict[int, SimOrder] = field(default_factory=dict)
    order_history: list[SimOrder] = field(default_factory=list)
    fills: list[SimFill] = field(default_factory=list)
    funding: list[SimFunding] = field(default_factory=list)
    transfers: list[SimTransfer] = field(default_factory=list)
    closed_positions: list[SimPosition] = field(default_factory=list)
    funding_kept: dict[str, Decimal] = field(default_factory=dict)  # all-time paid, by market
    partial_liquidation_s: float = -1e9
    chosen_leverage: dict[str, tuple[int, bool]] = field(default_factory=dict)  # (times, isolated)

    # ---------------------------------------------------------------------------------- money

    def price(self, symbol: str) -> Decimal:
        """The price that margins positions in ``symbol``."""
        return self.markets[symbol].mark_price

    def notional(self, position: SimPosition) -> Decimal:
        """Unsigned value of a position, USD."""
        return abs(position.size) * self.price(position.symbol)

    def unrealized_pnl(self, position: SimPosition) -> Decimal:
        """Value minus cost, USD."""
        return position.size * self.price(position.symbol) - position.entry_notional

    def funding_due(self, position: SimPosition) -> Decimal:
        """Funding a lazy venue has not yet booked, USD; > 0 will be paid by us."""
        if not self.lazy_funding:
            return ZERO
        index = self.markets[position.symbol].funding_index
        owed = position.size * (index - position.funding_index)
        return -((-owed).quantize(MICRO, rounding=ROUND_FLOOR))

    def cross_positions(self) -> list[SimPosition]:
        """Positions that share the pool's cash."""
        return [p for p in self.positions.values() if p.isolated_cash is None]

    def isolated_positions(self) -> list[SimPosition]:
        """Positions with cash of their own."""
        return [p for p in self.positions.values() if p.isolated_cash is not None]

    @property
    def cash_with_funding(self) -> Decimal:
        """Cash after the funding that is due: what dYdX's snapshots show."""
        if not self.lazy_funding:
            return self.cash
        return self.cash - sum((self.funding_due(p) for p in self.cross_positions()), ZERO)

    @property
    def cross_equity(self) -> Decimal:
        """Equity of what shares the pool's cash."""
        value = sum((p.size * self.price(p.symbol) for p in self.cross_positions()), ZERO)
        return self.cash_with_funding + value

    @property
    def total_cash(self) -> Decimal:
        """Cash of the pool and of its isolated positions (Hyperliquid's ``totalRawUsd``)."""
        isolated = (p.isolated_cash or ZERO for p in self.isolated_positions())
        return self.cash + sum(isolated, ZERO)

    @property
    def equity(self) -> Decimal:
        """Equity of the whole pool, USD."""
        isolated = (self.isolated_equity(p) for p in self.isolated_positions())
        return self.cross_equity + sum(isolated, ZERO)

    def isolated_equity(self, position: SimPosition) -> Decimal:
        """Equity of one isolated position, USD."""
        return (position.isolated_cash or ZERO) + position.size * self.price(position.symbol)

    @property
    def total_notional(self) -> Decimal:
        """Gross exposure, USD."""
        return sum((self.notional(p) for p in self.positions.values()), ZERO)

    @property
    def cross_notional(self) -> Decimal:
        """Gross exposure of the cross positions, USD."""
        return sum((self.notional(p) for p in self.cross_positions()), ZERO)

    def position_maintenance(self, position: SimPosition) -> Decimal:
        """Maintenance margin of one position, USD."""
        return self.markets[position.symbol].maintenance_margin(self.notional(position))

    def position_initial(self, position: SimPosition) -> Decimal:
        """Initial margin of one position: by chosen leverage, or by the market's rate on a venue
        without one; an isolated position's whole equity is its margin."""
        if position.isolated_cash is not None:
            return self.isolated_equity(position)
        if self.lazy_funding:
            return self.notional(position) * self.markets[position.symbol].initial_rate
        return self.notional(position) / position.leverage

    @property
    def maintenance_margin(self) -> Decimal:
        """Maintenance margin of the cross positions, USD."""
        return sum((self.position_maintenance(p) for p in self.cross_positions()), ZERO)

    @property
    def initial_margin(self) -> Decimal:
        """Initial margin of the cross positions, USD."""
        return sum((self.position_initial(p) for p in self.cross_positions()), ZERO)

    @property
    def total_margin_used(self) -> Decimal:
        """Initial margin of the cross positions and the equity of the isolated ones, USD."""
        return sum((self.position_initial(p) for p in self.positions.values()), ZERO)

    def leverage_of(self, symbol: str) -> tuple[int, bool]:
        """(leverage, whether isolated) of the position in ``symbol``, or of the next one."""
        position = self.positions.get(symbol)
        if position is not None:
            return position.leverage, position.isolated_cash is not None
        spec = self.markets[symbol].spec
        return self.chosen_leverage.get(symbol, (spec.tiers[0].max_leverage, spec.only_isolated))

    # --------------------------------------------------------------------------------- changes

    def settle_funding(self, time_s: float, height: int) -> list[SimFunding]:
        """Book what lazy funding is due, before anything else changes the pool."""
        rows: list[SimFunding] = []
        for position in self.positions.values():
            due = self.funding_due(position)
            market = self.markets[position.symbol]
            if market.funding_index != position.funding_index:
                row = SimFunding(
                    position.symbol,
                    -due,
                    position.size,
                    market.settled[-1].rate_hourly,
                    market.settled[-1].price,
                    time_s,
                    height,
                )
                rows.append(row)
                self.pay_funding(position, row)
                position.funding_index = market.funding_index
        return rows

    def pay_funding(self, position: SimPosition, row: SimFunding) -> None:
        """Take one payment out of (or into) the cash behind a position."""
        paid = -row.payment_usd
        if position.isolated_cash is None:
            self.cash -= paid
        else:
            position.isolated_cash -= paid
        position.funding_all_time += paid
        position.funding_since_open += paid
        position.funding_since_change += paid
        self.funding_kept[position.symbol] = position.funding_all_time
        self.funding.append(row)

    def execute(
        self,
        symbol: str,
        change: Decimal,
        price: Decimal,
        fee_usd: Decimal,
        time_s: float,
        height: int,
        *,
        leverage: int = 10,
        isolated: bool = False,
    ) -> tuple[Decimal, Decimal]:
        """Trade ``change`` (signed base units) at ``price``; returns (position before, closed
        PnL). The fee comes out of the same cash as the trade."""
        self.settle_funding(time_s, height)
        position = self.positions.get(symbol)
        if position is None:
            position = self._open(symbol, time_s, height, leverage=leverage, isolated=isolated)
        before = position.size
        closing = -before if abs(change) > abs(before) else change
        closing = closing if before * change < 0 else ZERO
        opening = change - closing
        closed_pnl = ZERO
        if closing:
            share = position.entry_notional * -closing / before
            closed_pnl = -closing * price - share
            position.entry_notional -= share
            position.realized_pnl += closed_pnl
            position.sum_close += abs(closing)
            position.exit_notional += abs(closing) * price
        if opening:
            position.entry_notional += opening * price
            position.sum_open += abs(opening)
            if position.isolated_cash is not None:
                margin = abs(opening) * price / position.leverage
                self.cash -= margin
                position.isolated_cash += margin
        position.size = before + change
        if abs(position.size) > abs(position.size_max):
            position.size_max = position.size
        position.funding_since_change = ZERO
        cost = change * price + fee_usd
        if position.isolated_cash is None:
            self.cash -= cost
        else:
            position.isolated_cash -= cost
        if position.size == 0:
            self.close(position)
        return before, closed_pnl

    def close(self, position: SimPosition) -> None:
        """A position at zero vanishes; what is left of its own cash returns to the pool."""
        self.cash += position.isolated_cash or ZERO
        position.isolated_cash = ZERO if position.isolated_cash is not None else None
        del self.positions[position.symbol]
        self.closed_positions.append(position)

    def _open(
        self, symbol: str, time_s: float, height: int, *, leverage: int, isolated: bool
    ) -> SimPosition:
        position = SimPosition(
            symbol=symbol,
            size=ZERO,
            entry_notional=ZERO,
            margin_mode=MarginMode.ISOLATED if isolated else MarginMode.CROSS,
            leverage=leverage,
            isolated_cash=ZERO if isolated else None,
            funding_index=self.markets[symbol].funding_index,
            funding_all_time=self.funding_kept.get(symbol, ZERO),
            opened_s=time_s,
            opened_height=height,
            position_id=f"{self.name}/{symbol}/{len(self.closed_positions)}",
        )
        self.positions[symbol] = position
        return position


@dataclass(slots=True)
class SimAccount:
    """One address of a venue. ``role`` is ``user``, ``agent`` (an API wallet: reads as empty),
    ``subAccount`` or ``vault``; ``master`` the address it belongs to. ``mode`` is Hyperliquid's
    abstraction; ``spot`` holds token balances outside the perp pools (of a pooled account: what is
    not posted as margin), ``vault_equities`` what is lent to vaults. ``valid_until_s`` is when an
    API wallet ends; ``nonces`` are the newest a signer used, ascending."""

    venue: str
    address: str
    label: str
    role: str = "user"
    master: str | None = None
    mode: str = "default"
    pools: dict[str, SimPool] = field(default_factory=dict)
    spot: dict[str, Decimal] = field(default_factory=dict)
    vault_equities: dict[str, Decimal] = field(default_factory=dict)
    volume_usd: Decimal = ZERO
    requests_used: int = 0
    equity_history: list[tuple[float, Decimal, Decimal]] = field(default_factory=list)
    valid_until_s: float | None = None
    nonces: list[int] = field(default_factory=list)
    over_budget_s: float = float("-inf")  # when an action last passed beyond the request budget
    cancel_at_s: float | None = None  # when all orders will be cancelled, if not put off again
    cancels_fired: tuple[int, int] = (0, 0)  # (day since the epoch, how often that day)
    twaps: dict[int, tuple[str, SimTwap]] = field(default_factory=dict)  # running: (pool, it)
    twap_history: list[SimTwap] = field(default_factory=list)  # one row per change of status

    @property
    def pooled(self) -> bool:
        """Whether spot dollars are the collateral, of which perps only get the margin posted."""
        return self.mode in {"unifiedAccount", "portfolioMargin"}

    @property
    def equity(self) -> Decimal:
        """Equity of all pools, USD, and of a pooled account's spot dollars; other tokens and
        vaults are not counted."""
        free = self.spot.get("USDC", ZERO) if self.pooled else ZERO
        return free + sum((pool.equity for pool in self.pools.values()), ZERO)

    def post_margin(self) -> None:
        """Keep exactly the initial margin of a pooled account posted, as far as dollars go."""
        if not self.pooled:
            return
        for pool in self.pools.values():
            missing = (pool.initial_margin - pool.cross_equity).quantize(MICRO)
            missing = min(missing, self.spot.get("USDC", ZERO))
            pool.cash += missing
            self.spot["USDC"] = self.spot.get("USDC", ZERO) - missing

    def note_equity(self, time_s: float) -> None:
        """Keep (time, equity, money moved in so far), for the venues' own performance pages."""
        moved = sum(
            (row.amount_usd for pool in self.pools.values() for row in pool.transfers), ZERO
        )
        self.equity_history.append((time_s, self.equity, moved))

    @property
    def maintenance_margin(self) -> Decimal:
        """Maintenance margin of all cross positions, USD."""
        return sum((pool.maintenance_margin for pool in self.pools.values()), ZERO)
