"""What the simulated Hyperliquid says about accounts: states, orders, fills, funding, transfers.

Addresses that nobody knows (and API wallets) read as empty, without an error, as on the real venue.
Each dex is a margin pool of its own and is answered separately.
"""

from __future__ import annotations

from decimal import Decimal

from monitor.sim.accounts import (
    ZERO,
    SimAccount,
    SimPool,
    SimPosition,
)
from monitor.sim.hyperliquid.market_views import (
    TOKEN_INDEX,
    state_time_ms,
    venue_of,
)
from monitor.sim.hyperliquid.wire import (
    Json,
    JsonObject,
    dollars,
    number,
    ratio,
)
from monitor.sim.world import World

WITHDRAWAL_FLOOR = Decimal("0.1")  # of notional must stay when unrealized profit is withdrawn


def account_of(world: World, user: str) -> SimAccount | None:
    """The account behind an address; an API wallet has none of its own."""
    account = venue_of(world).accounts.get(user.lower())
    return None if account is None or account.role == "agent" else account


def pool_of(world: World, user: str, dex: str) -> SimPool:
    """The pool of ``user`` on ``dex``, an empty one where there is none."""
    account = account_of(world, user)
    pool = None if account is None else account.pools.get(dex)
    return SimPool(dex, venue_of(world).markets) if pool is None else pool


def pools_of(world: World, user: str) -> list[SimPool]:
    """All pools of ``user``."""
    account = account_of(world, user)
    return [] if account is None else list(account.pools.values())


# ----------------------------------------------------------------------------------------- state


def clearinghouse_state(world: World, user: str, dex: str) -> JsonObject:
    """``clearinghouseState`` of one dex. Positions at zero do not appear."""
    pool = pool_of(world, user, dex)
    floor = max(pool.total_margin_used + order_margin(pool), WITHDRAWAL_FLOOR * pool.total_notional)
    positions: list[Json] = [
        {"type": "oneWay", "position": position_view(pool, position)}
        for position in pool.positions.values()
    ]
    return {
        "marginSummary": {
            "accountValue": dollars(pool.equity),
            "totalNtlPos": dollars(pool.total_notional),
            "totalRawUsd": dollars(pool.total_cash),
            "totalMarginUsed": dollars(pool.total_margin_used),
        },
        "crossMarginSummary": {
            "accountValue": dollars(pool.cross_equity),
            "totalNtlPos": dollars(pool.cross_notional),
            "totalRawUsd": dollars(pool.cash),
            "totalMarginUsed": dollars(pool.initial_margin),
        },
        "crossMaintenanceMarginUsed": dollars(pool.maintenance_margin),
        "withdrawable": dollars(max(ZERO, pool.equity - floor)),
        "assetPositions": positions,
        "time": state_time_ms(world),
    }


def order_margin(pool: SimPool) -> Decimal:
    """Initial margin that resting orders hold; reduce-only ones hold none."""
    total = ZERO
    for order in pool.orders.values():
        if order.reduce_only or order.trigger_price is not None:
            continue
        total += order.size * order.limit_price / pool.leverage_of(order.symbol)[0]
    return total


def position_view(pool: SimPool, position: SimPosition) -> JsonObject:
    """One position. ``rawUsd`` only where it is isolated; ``cumFunding`` > 0 means paid."""
    market = pool.markets[position.symbol]
    pnl = pool.unrealized_pnl(position)
    margin_at_entry = abs(position.entry_notional) / position.leverage
    leverage: JsonObject = {
        "type": "cross" if position.isolated_cash is None else "isolated",
        "value": position.leverage,
    }
    if position.isolated_cash is not None:
        leverage["rawUsd"] = dollars(position.isolated_cash)
    liquidation = liquidation_price(pool, position)
    return {
        "coin": position.symbol,
        "szi": number(position.size),
        "leverage": leverage,
        "entryPx": number(_entry(market.tick / 10, position.entry_price)),
        "positionValue": dollars(pool.notional(position)),
        "unrealizedPnl": dollars(pnl),
        "returnOnEquity": ratio(pnl / margin_at_entry if margin_at_entry else ZERO),
        "liquidationPx": None if liquidation is None else ratio(liquidation),
        "marginUsed": dollars(pool.position_initial(position)),
        "maxLeverage": market.spec.tiers[0].max_leverage,
        "cumFunding": {
            "allTime": dollars(position.funding_all_time),
            "sinceOpen": dollars(position.funding_since_open),
            "sinceChange": dollars(position.funding_since_change),
        },
    }


def _entry(step: Decimal, price: Decimal) -> Decimal:
    return price.quantize(step)


def liquidation_price(pool: SimPool, position: SimPosition) -> Decimal | None:
    """Mark at which the pool (or the isolated position) falls to its maintenance margin, with the
    tier that holds at that price; None when no positive price does it."""
    if position.isolated_cash is not None:
        cash, others = position.isolated_cash, ZERO
    else:
        cash = pool.cross_equity - position.size * pool.price(position.symbol)
        others = pool.maintenance_margin - pool.position_maintenance(position)
    market, size = pool.markets[position.symbol], position.size
    tiers = market.spec.tiers
    deduction, previous = ZERO, tiers[0].maintenance_rate
    for number_, tier in enumerate(tiers):
        deduction += tier.lower_bound_usd * (tier.maintenance_rate - previous)
        previous = tier.maintenance_rate
        slope = abs(size) * tier.maintenance_rate - size
        if slope == 0:
            continue
        price = (cash - others + deduction) / slope
        notional = abs(size) * price
        last = number_ + 1 == len(tiers)
        if price > 0 and (last or notional < tiers[number_ + 1].lower_bound_usd):
            return price
    return None


def spot_state(world: World, user: str) -> JsonObject:
    """``spotClearinghouseState``. A unified account's dollars are here, its margin on hold."""
    account = account_of(world, user)
    rows: list[Json] = []
    if account is not None:
        # A pooled account's dollars are all told here: what it posted, and its profit, included.
        posted, held = ZERO, ZERO
        if account.pooled:
            posted = sum((pool.equity for pool in account.pools.values()), ZERO)
            held = sum((pool.total_margin_used for pool in account.pools.values()), ZERO)
        for coin, amount in account.spot.items():
            rows.append(
                {
                    "coin": coin,
                    "token": TOKEN_INDEX[coin],
                    "total": dollars(amount + posted if coin == "USDC" else amount),
                    "hold": dollars(held) if coin == "USDC" else "0.0",
                    "entryNtl": "0.0",
                }
            )
    return {"balances": rows}
