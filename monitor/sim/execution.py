"""What happens to accounts in the simulated world: orders, fills, funding, transfers, liquidation.

Functions over the world, called at each step or by whoever acts in it. Every change goes through
``fill``, ``move_cash`` or ``pay_funding``, so that history, events and cash always agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from monitor.core.types import FillKind
from monitor.sim.accounts import (
    MICRO,
    ZERO,
    SimFill,
    SimFunding,
    SimOrder,
    SimPool,
    SimPosition,
    SimTransfer,
)
from monitor.sim.books import impact_price
from monitor.sim.occurrences import (
    Filled,
    FundingPaid,
    Liquidated,
    OrderChanged,
    PositionChanged,
    Transferred,
)

if TYPE_CHECKING:
    from monitor.sim.world import SimVenue, World

TAKER_FEE = {"hyperliquid": Decimal("0.00045"), "dydx": Decimal("0.0005")}
MAKER_FEE = {"hyperliquid": Decimal("0.00015"), "dydx": Decimal("0.0001")}
WITHDRAWAL_FEE_USD = {"hyperliquid": Decimal(1), "dydx": ZERO}
# Hyperliquid sends a fifth of a large position first, then all of it for half a minute.
PARTIAL_ABOVE_USD = Decimal(100_000)
PARTIAL_SHARE = Decimal("0.2")
COOLDOWN_S = 30.0


def place(
    world: World,
    venue: str,
    address: str,
    pool: str,
    symbol: str,
    side: str,
    size: Decimal,
    price: Decimal,
    *,
    trigger_price: Decimal | None,
    take_profit: bool,
    reduce_only: bool,
    client_id: str | None,
) -> SimOrder:
    """Rest an order; see ``World.place_order``."""
    # A stop sells when the mark falls and buys when it rises; a take-profit the other way round.
    above = (side == "buy") != take_profit
    order = SimOrder(
        order_id=world.next_id(),
        symbol=symbol,
        side=side,
        limit_price=price,
        size=size,
        original_size=size,
        trigger_price=trigger_price,
        trigger_above=above,
        is_market=trigger_price is not None,
        take_profit=take_profit,
        reduce_only=reduce_only,
        client_id=client_id,
        created_s=world.now_s,
        updated_s=world.now_s,
        created_height=world.venues[venue].height,
    )
    rest(world, venue, address, pool, order)
    return order


def rest(world: World, venue: str, address: str, pool: str, order: SimOrder) -> None:
    """Put an order among the working ones."""
    world.pool(venue, address, pool).orders[order.order_id] = order
    tell(world, venue, address, pool, order)


def end(world: World, venue: str, address: str, pool: str, order: SimOrder, status: str) -> None:
    """Write an order, whether it ever rested or not, into the history with its last status.

    What waited for its fill wakes up, or ends with it; of a group the others are cancelled.
    """
    held = world.pool(venue, address, pool)
    held.orders.pop(order.order_id, None)
    order.status, order.updated_s = status, world.now_s
    held.order_history.append(order)
    tell(world, venue, address, pool, order)
    for other in list(held.orders.values()):
        if other.parent_id == order.order_id:
            if status == "filled":
                other.parent_id = None
                tell(world, venue, address, pool, other)
            else:
                end(world, venue, address, pool, other, "canceled")
        elif status == "filled" and order.group is not None and other.group == order.group:
            end(world, venue, address, pool, other, "siblingFilledCanceled")


def cancel(world: World, venue: str, address: str, pool: str, order_id: int, status: str) -> None:
    """End an order with ``status``; one that is gone is left alone."""
    held = world.pool(venue, address, pool)
    order = held.orders.get(order_id)
    if order is not None:
        end(world, venue, address, pool, order, status)


def take(
    world: World,
    venue: str,
    address: str,
    pool: str,
    symbol: str,
    size: Decimal,
    *,
    leverage: int,
    isolated: bool,
) -> None:
    """Trade at once against the book; an order that never rested stands behind the fill."""
    market = world.market(venue, symbol)
    side = "buy" if size > 0 else "sell"
    order = SimOrder(
        order_id=world.next_id(),
        symbol=symbol,
        side=side,
        limit_price=_book_price(world, venue, symbol, size),
        size=abs(size),
        original_size=abs(size),
        is_market=True,
        created_s=world.now_s,
        updated_s=world.now_s,
        created_height=world.venues[venue].height,
    )
    if not market.tradable:
        raise ValueError(f"{symbol} is not tradable on {venue}")
    world.account(venue, address).requests_used += 1
    _fill_order(
        world, venue, address, pool, order, order.limit_price, order.size,
        taker=True, leverage=leverage, isolated=isolated,
    )  # fmt: skip


def move_cash(
    world: World,
    venue: str,
    address: str,
    pool: str,
    amount_usd: Decimal,
    *,
    peer: tuple[str, str],
    kind: str | None = None,
) -> None:
    """Change a pool's cash by ``amount_usd`` and write it into its history."""
    held = world.pool(venue, address, pool)
    height = world.venues[venue].height
    _settle_lazily(world, venue, address, pool, held)
    leaves = amount_usd < 0
    kind = kind or ("withdrawal" if leaves else "deposit")
    fee = WITHDRAWAL_FEE_USD[venue] if kind == "withdrawal" else ZERO
    held.cash += amount_usd
    row = SimTransfer(world.next_id(), kind, amount_usd, peer, world.now_s, height, fee)
    held.transfers.append(row)
    world.emit(Transferred(venue, address, pool, row))


def transfer(
    world: World,
    source: tuple[str, str, str],
    target: tuple[str, str, str],
    amount_usd: Decimal,
    delay_s: float,
) -> None:
    """Move money between pools; across venues it is a withdrawal and, later, a deposit."""
    amount = amount_usd.quantize(MICRO, rounding=ROUND_HALF_EVEN)
    if source[0] == target[0]:
        kind: str | None = "internal"
        move_cash(world, *source, -amount, peer=target[1:], kind=kind)
    else:
        kind = None
        move_cash(world, *source, -amount, peer=(target[1], ""))
    arrives = amount if kind else amount - WITHDRAWAL_FEE_USD[source[0]]

    def arrive() -> None:
        peer = source[1:] if kind else (source[1], "")
        move_cash(world, *target, arrives, peer=peer, kind=kind)

    if delay_s <= 0:
        arrive()
    else:
        world.schedule(world.now_s + delay_s, arrive)


def pay_funding(world: World, venue: SimVenue) -> None:
    """Book the hour on a venue that does so at once; a lazy venue's index has moved already."""
    for address, name, pool in _pools(venue):
        if pool.lazy_funding:
            continue
        for position in list(pool.positions.values()):
            market = venue.markets[position.symbol]
            if not market.tradable or not market.settled:
                continue
            row = market.settled[-1]
            owed = position.size * row.price * row.rate_hourly
            payment = SimFunding(
                position.symbol,
                -owed.quantize(MICRO, rounding=ROUND_CEILING),
                position.size,
                row.rate_hourly,
                row.price,
                row.time_s,
                venue.height,
            )
            pool.pay_funding(position, payment)
            world.emit(FundingPaid(venue.name, address, name, payment))


def run_accounts(world: World, venue: SimVenue) -> None:
    """One step of everybody's orders and margin."""
    for account in venue.accounts.values():
        account.post_margin()
    for address, name, pool in _pools(venue):
        if pool.orders:
            _run_orders(world, venue, address, name, pool)
        if pool.positions:
            _liquidate_if_due(world, venue, address, name, pool)


def _pools(venue: SimVenue) -> Iterator[tuple[str, str, SimPool]]:
    for address, account in venue.accounts.items():
        for name, pool in list(account.pools.items()):
            yield address, name, pool


def _run_orders(world: World, venue: SimVenue, address: str, name: str, pool: SimPool) -> None:
    for order in list(pool.orders.values()):
        if order.order_id not in pool.orders:
            continue  # an earlier fill of this step cancelled it
        market = venue.markets[order.symbol]
        top = market.top
        if top is None:
            continue
        if order.parent_id is not None:
            continue
        if order.trigger_price is not None and order.status == "open":
            mark = market.mark_price
            above = order.trigger_above
            if not (mark >= order.trigger_price if above else mark <= order.trigger_price):
                continue
            order.status, order.updated_s = "triggered", world.now_s
            tell(world, venue.name, address, name, order)
            if order.is_market:
                _execute_resting(world, venue.name, address, name, order, taker=True)
                continue
        crossed = top[1] <= order.limit_price if order.sign > 0 else top[0] >= order.limit_price
        if crossed:
            _execute_resting(world, venue.name, address, name, order, taker=False)


def _execute_resting(
    world: World, venue: str, address: str, pool: str, order: SimOrder, *, taker: bool
) -> None:
    held = world.pool(venue, address, pool)
    size = order.size
    position = held.positions.get(order.symbol)
    if order.reduce_only:
        reducible = -position.size * order.sign if position is not None else ZERO
        size = min(size, max(reducible, ZERO))
        if size == 0:
            cancel(world, venue, address, pool, order.order_id, "reduceOnlyCanceled")
            return
    price = (
        _book_price(world, venue, order.symbol, order.sign * size) if taker else order.limit_price
    )
    _fill_order(world, venue, address, pool, order, price, size, taker=taker)


def _fill_order(
    world: World,
    venue: str,
    address: str,
    pool: str,
    order: SimOrder,
    price: Decimal,
    size: Decimal,
    *,
    taker: bool,
    leverage: int | None = None,
    isolated: bool = False,
) -> None:
    if leverage is None:
        leverage, isolated = world.pool(venue, address, pool).leverage_of(order.symbol)
    fill_part(
        world, venue, address, pool, order, price, size,
        taker=taker, leverage=leverage, isolated=isolated,
    )  # fmt: skip
    if order.size == 0 or order.reduce_only or order.is_market:
        end(world, venue, address, pool, order, "filled")
    else:
        order.updated_s = world.now_s
        tell(world, venue, address, pool, order)


def fill_part(
    world: World,
    venue: str,
    address: str,
    pool: str,
    order: SimOrder,
    price: Decimal,
    size: Decimal,
    *,
    taker: bool,
    leverage: int,
    isolated: bool,
    twap_id: int | None = None,
    extra_rate: Decimal = ZERO,
) -> None:
    """Trade ``size`` of an order at ``price``; what becomes of the order is the caller's word."""
    order.size -= size
    fill(
        world, venue, address, pool, order.symbol, order.sign * size, price,
        order_id=order.order_id, client_id=order.client_id, taker=taker, twap_id=twap_id,
        fee=((TAKER_FEE if taker else MAKER_FEE)[venue] + extra_rate) * size * price,
        leverage=leverage, isolated=isolated,
    )  # fmt: skip


def fill(
    world: World,
    venue: str,
    address: str,
    pool: str,
    symbol: str,
    change: Decimal,
    price: Decimal,
    *,
    order_id: int,
    client_id: str | None = None,
    fee: Decimal = ZERO,
    taker: bool = True,
    leverage: int = 10,
    isolated: bool = False,
    kind: FillKind = FillKind.TRADE,
    backstop: bool = False,
    twap_id: int | None = None,
) -> None:
    """Book one execution: position, cash, volume, history and events; ``change`` is signed."""
    held, market = world.pool(venue, address, pool), world.market(venue, symbol)
    height = world.venues[venue].height
    _settle_lazily(world, venue, address, pool, held)
    fee = fee.quantize(MICRO, rounding=ROUND_CEILING)
    before, closed_pnl = held.execute(
        symbol, change, price, fee, world.now_s, height, leverage=leverage, isolated=isolated
    )
    account = world.account(venue, address)
    account.volume_usd += abs(change) * price
    ours = kind is not FillKind.TRADE
    row = SimFill(
        fill_id=world.next_fill_id(),
        order_id=order_id,
        symbol=symbol,
        side="buy" if change > 0 else "sell",
        price=price,
        size=abs(change),
        fee_usd=fee,
        closed_pnl_usd=closed_pnl,
        start_position=before,
        taker=taker,
        time_s=world.now_s,
        height=height,
        kind=kind,
        client_id=client_id,
        liquidated=address if ours else None,
        backstop=backstop,
        mark_price=market.mark_price,
        twap_id=twap_id,
    )
    held.fills.append(row)
    aggressor = row.side if taker else ("sell" if row.side == "buy" else "buy")
    market.record_trade(world.now_s, aggressor, price, row.size, liquidation=ours)
    world.emit(Filled(venue, address, pool, row))
    world.emit(PositionChanged(venue, address, pool, symbol))
    if symbol not in held.positions:
        for other in list(held.orders.values()):
            mine = other.symbol == symbol and other.position_tpsl and other.parent_id is None
            if mine and other.order_id != order_id:
                end(world, venue, address, pool, other, "reduceOnlyCanceled")


def _settle_lazily(world: World, venue: str, address: str, pool: str, held: SimPool) -> None:
    if not held.lazy_funding:
        return
    for row in held.settle_funding(world.now_s, world.venues[venue].height):
        world.emit(FundingPaid(venue, address, pool, row))


def _liquidate_if_due(
    world: World, venue: SimVenue, address: str, name: str, pool: SimPool
) -> None:
    for position in pool.isolated_positions():
        equity, needed = pool.isolated_equity(position), pool.position_maintenance(position)
        if equity < needed:
            _liquidate(world, venue, address, name, pool, [position], equity, needed)
    cross = pool.cross_positions()
    if not cross:
        return
    equity, needed = pool.cross_equity, pool.maintenance_margin
    if equity < needed:
        _liquidate(world, venue, address, name, pool, cross, equity, needed)


def _liquidate(
    world: World,
    venue: SimVenue,
    address: str,
    name: str,
    pool: SimPool,
    positions: list[SimPosition],
    equity: Decimal,
    needed: Decimal,
) -> None:
    symbols = {position.symbol for position in positions}
    cross = positions[0].isolated_cash is None
    for order in list(pool.orders.values()):
        if cross or order.symbol in symbols:
            cancel(world, venue.name, address, name, order.order_id, "liquidatedCanceled")
    notional = sum((pool.notional(position) for position in positions), ZERO)
    # Beyond two thirds of maintenance the liquidator vault takes everything, margin included.
    backstop = not pool.lazy_funding and 3 * equity < 2 * needed
    bankrupt = pool.lazy_funding and equity < 0
    for position in positions:
        size = -position.size
        large = pool.notional(position) > PARTIAL_ABOVE_USD
        cooled = world.now_s - pool.partial_liquidation_s >= COOLDOWN_S
        if not pool.lazy_funding and not backstop and large and cooled:
            step = venue.markets[position.symbol].size_step
            size = (size * PARTIAL_SHARE / step).to_integral_value() * step
        aside = backstop or bankrupt
        price = (
            pool.price(position.symbol)
            if aside
            else _book_price(world, venue.name, position.symbol, size)
        )
        fill(
            world, venue.name, address, name, position.symbol, size, price,
            order_id=world.next_id(), backstop=backstop,
            fee=ZERO if aside else TAKER_FEE[venue.name] * abs(size) * price,
            kind=FillKind.DELEVERAGING if bankrupt else FillKind.LIQUIDATION,
        )  # fmt: skip
    pool.partial_liquidation_s = world.now_s
    if cross and not pool.cross_positions() and (backstop or pool.cash < 0):
        pool.cash = ZERO  # the vault keeps what was left, or the insurance fund paid what was not
    world.emit(
        Liquidated(
            venue.name,
            address,
            name,
            tuple(sorted(symbols)),
            notional,
            equity,
            world.next_id(),
        )
    )


def _book_price(world: World, venue: str, symbol: str, size: Decimal) -> Decimal:
    """Average price of taking ``size`` from the book, on the grid, never better than the touch."""
    market = world.market(venue, symbol)
    top = market.top
    if top is None:
        return market.mark_price
    touch = top[1] if size > 0 else top[0]
    book = market.book.asks if size > 0 else market.book.bids
    average = impact_price(book, abs(size) * touch)
    price = average if average is not None else book[-1][0]
    rounded = (price / market.tick).to_integral_value(rounding=ROUND_HALF_EVEN) * market.tick
    return max(rounded, touch) if size > 0 else min(rounded, touch)


def tell(world: World, venue: str, address: str, pool: str, order: SimOrder) -> None:
    """Let everybody know how an order stands now."""
    world.emit(OrderChanged(venue, address, pool, dataclasses.replace(order)))
