"""What an action can change on the simulated Hyperliquid besides orders: leverage, isolated margin,
TWAPs, and the time at which everything will be cancelled."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from monitor.core.types import MarginMode
from monitor.sim import standing
from monitor.sim.accounts import MICRO, ZERO
from monitor.sim.faults import FaultKind
from monitor.sim.hyperliquid import actions
from monitor.sim.hyperliquid.desks import Desk, RefusedError, clock_ms
from monitor.sim.hyperliquid.exchange_orders import MIN_NOTIONAL_USD, free_margin
from monitor.sim.hyperliquid.wire import Json
from monitor.sim.markets import SimMarket
from monitor.sim.occurrences import PositionChanged
from monitor.sim.standing import SimTwap

CANCEL_AHEAD_MS = 5_000
CANCEL_VOLUME_USD = 1_000_000
CANCELS_PER_DAY = 10
TWAP_MINUTES = (5, 1_440)
WITHDRAWAL_FLOOR = Decimal("0.1")
# Texts without a source are marked; the others were measured (the sheet, or the test network).
TOO_SOON = "Scheduled cancel time must be at least 5 seconds in the future."  # no source
TOO_MANY = "Too many scheduled cancels triggered for the day"
WRONG_LEVERAGE = "Invalid leverage value"  # no source
NO_CROSS = "Cross margin is not allowed for this asset."  # no source
SWITCHED = "Cannot switch leverage type with open position."
NOT_ENOUGH = "Insufficient margin."  # no source
NOT_ISOLATED = "Position does not use isolated margin."
TWAP_GONE = "TWAP was never placed, already canceled, or filled."
TWAP_GROWS = "Reduce-only TWAP order would increase position."


def _market(desk: Desk, asset: int) -> SimMarket:
    market = desk.market(asset)
    if market is None or not market.tradable:
        raise RefusedError(f"Invalid asset. asset={asset}")  # no source
    return market


# ----------------------------------------------------------------------------------------- margin


def update_leverage(desk: Desk, action: actions.UpdateLeverage) -> None:
    """Choose the leverage of a market; a position keeps its size and its kind of margin.

    Raises:
        RefusedError: If the market does not allow it, or the margin does not.
    """
    market = _market(desk, action.asset)
    pool, most = desk.pool(market), market.spec.tiers[0].max_leverage
    if not 1 <= action.leverage <= most:
        raise RefusedError(f"{WRONG_LEVERAGE}. asset={action.asset}")
    if action.is_cross and market.spec.only_isolated:
        raise RefusedError(NO_CROSS)
    position = pool.positions.get(market.symbol)
    if position is not None:
        if (position.isolated_cash is None) != action.is_cross:
            raise RefusedError(SWITCHED)
        needed = pool.notional(position) / action.leverage
        more = needed - pool.notional(position) / position.leverage
        if position.isolated_cash is None and more > max(ZERO, free_margin(desk, pool)):
            raise RefusedError(NOT_ENOUGH)
        position.leverage = action.leverage
        _tell(desk, market)
    pool.chosen_leverage[market.symbol] = (action.leverage, not action.is_cross)


def update_isolated_margin(desk: Desk, action: actions.UpdateIsolatedMargin) -> None:
    """Move dollars between the pool and one isolated position.

    Raises:
        RefusedError: If there is none, or one side has not enough.
    """
    market = _market(desk, action.asset)
    pool = desk.pool(market)
    position = pool.positions.get(market.symbol)
    if position is None or position.margin_mode is not MarginMode.ISOLATED:
        raise RefusedError(NOT_ISOLATED)
    amount = Decimal(action.ntli) * MICRO
    if amount > 0 and amount > free_margin(desk, pool):
        raise RefusedError(NOT_ENOUGH)
    if amount < 0:
        notional = pool.notional(position)
        floor = max(notional / position.leverage, WITHDRAWAL_FLOOR * notional)
        if market.spec.strict_isolated or pool.isolated_equity(position) + amount < floor:
            raise RefusedError(NOT_ENOUGH)
    pool.cash -= amount
    position.isolated_cash = (position.isolated_cash or ZERO) + amount
    _tell(desk, market)


def _tell(desk: Desk, market: SimMarket) -> None:
    place = desk.place(market)
    desk.world.emit(PositionChanged(place.venue, place.address, place.pool, place.symbol))


# ---------------------------------------------------------------------------- the dead man's switch


def schedule_cancel(desk: Desk, action: actions.ScheduleCancel) -> None:
    """Set, move or (without a time) clear the moment at which all orders are cancelled.

    Raises:
        RefusedError: If it is too near, the account too small, or it fired ten times today.
    """
    account, world = desk.account, desk.world
    if account.volume_usd < CANCEL_VOLUME_USD:
        traded = account.volume_usd.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
        raise RefusedError(
            "Cannot set scheduled cancel time until enough volume traded. Required: "
            f"${CANCEL_VOLUME_USD}. Traded: ${traded.normalize():f}."
        )
    if action.time is None:
        account.cancel_at_s = None
        return
    if action.time < clock_ms(world) + CANCEL_AHEAD_MS:
        raise RefusedError(TOO_SOON)
    if standing.fired_today(account, world.now_s) >= CANCELS_PER_DAY:
        raise RefusedError(TOO_MANY)
    # The venue fires by its own clock, wrong or not.
    account.cancel_at_s = world.wall_s + (action.time - clock_ms(world)) / 1_000.0


# ------------------------------------------------------------------------------------------ TWAPs


def start_twap(desk: Desk, wire: actions.TwapWire) -> Json:
    """Start a TWAP; its status."""
    market = desk.market(wire.a)
    if market is None or not market.tradable:
        return {"error": f"Invalid asset. asset={wire.a}"}
    size, place = Decimal(wire.s), desk.place(market)
    twap = SimTwap(
        twap_id=desk.world.next_id(),
        symbol=market.symbol,
        side="buy" if wire.b else "sell",
        size=size,
        minutes=wire.m,
        reduce_only=wire.r,
        randomize=wire.t,
        started_s=desk.world.now_s,
    )
    if not TWAP_MINUTES[0] <= wire.m <= TWAP_MINUTES[1]:
        return {"error": f"Invalid TWAP duration: {wire.m} min(s)"}
    if size == 0 or size % market.size_step:
        return {"error": f"Order has invalid size. asset={wire.a}"}
    if wire.r:
        reducible = -place.position * twap.sign
        if reducible <= 0:
            return {"error": TWAP_GROWS}
        twap.size = min(size, reducible)
    if twap.size * market.mark_price < MIN_NOTIONAL_USD * twap.slices_planned:
        return {"error": f"Order must have minimum value of $10. asset={wire.a}"}
    leverage, _ = place.held.leverage_of(market.symbol)
    growth = abs(place.position + twap.sign * twap.size) - abs(place.position)
    if growth * market.mark_price / leverage > max(ZERO, free_margin(desk, place.held)):
        return {"error": f"Insufficient margin to place order. asset={wire.a}"}
    standing.start(place, twap)
    return {"running": {"twapId": twap.twap_id}}


def cancel_twap(desk: Desk, action: actions.TwapCancel) -> Json:
    """End a TWAP; its status."""
    market = desk.market(action.a)
    found = desk.account.twaps.get(action.t)
    if market is None or found is None or found[1].symbol != market.symbol:
        return {"error": TWAP_GONE}
    failing = desk.fault(FaultKind.CANCELS_FAIL)
    if failing is not None and desk.world.faults.hits(failing):
        return {"error": "TWAP could not be canceled."}  # no source
    lost = desk.fault(FaultKind.CANCELS_LOST)
    if lost is None or not desk.world.faults.hits(lost):
        standing.stop(desk.place(market), found[1], standing.TERMINATED)
    return "success"
