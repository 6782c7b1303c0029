"""What a scenario (or a person at the demo's keyboard) can do to the simulated world.

Each lever takes the world and plain arguments and acts at the world's present moment; ``over_s``
spreads a change evenly over simulated time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal

from monitor.sim import outsiders
from monitor.sim.addresses import DYDX_MASTER, HYPERLIQUID_MASTER
from monitor.sim.faults import Fault
from monitor.sim.listings import DYDX, HYPERLIQUID
from monitor.sim.occurrences import Paced
from monitor.sim.prices import Asset, Ramp
from monitor.sim.world import World

ALL = "all"
# The pool that a venue's name alone stands for: the default desk's main one.
MAIN_POOL = {
    HYPERLIQUID: (HYPERLIQUID, HYPERLIQUID_MASTER, ""),
    DYDX: (DYDX, DYDX_MASTER, "0"),
}
# Assets a crypto-wide shock does not reach.
OTHER_WORLDS = frozenset({"NVDA", "GOLD", "MATIC"})


def assets_of(world: World, names: Sequence[str] | str) -> list[Asset]:
    """The named assets, or all crypto assets for ``all``."""
    if names == ALL:
        return [asset for name, asset in world.assets.items() if name not in OTHER_WORLDS]
    chosen = [names] if isinstance(names, str) else names
    return [world.assets[name] for name in chosen]


def set_premium(world: World, assets: Sequence[str] | str, *, to: float, over_s: float) -> None:
    """Let perpetuals trade ``to`` above spot (a fraction, negative: below), which funding
    follows."""
    for asset in assets_of(world, assets):
        # What is still to come of an earlier ramp is dropped: the newest word counts.
        asset.premium_ramps = [Ramp(world.now_s, world.now_s + over_s, to - asset.premium_target)]


def move_price(world: World, assets: Sequence[str] | str, *, by: float, over_s: float) -> None:
    """Move spot by the fraction ``by`` (-0.25: down a quarter), on top of its own path."""
    for asset in assets_of(world, assets):
        asset.shocks.append(Ramp(world.now_s, world.now_s + over_s, math.log1p(by)))


def set_volatility(world: World, assets: Sequence[str] | str, *, factor: float) -> None:
    """Scale how much prices move; 1 is usual."""
    for asset in assets_of(world, assets):
        asset.volatility_factor = factor


def set_liquidity(
    world: World, venues: Iterable[str], *, depth_factor: float, spread_factor: float
) -> None:
    """Scale how much rests in every book of ``venues``, and its spread; 1 is usual."""
    for venue in venues:
        for market in world.venues[venue].markets.values():
            market.liquidity_factor = depth_factor
            market.spread_factor = spread_factor


def move_equity(
    world: World, source: str, target: str, *, share: float, arrives_after_s: float
) -> None:
    """Send ``share`` of the main pool's equity on one venue to the other's main pool."""
    pool = world.pool(*MAIN_POOL[source])
    amount = pool.equity * Decimal(repr(share))
    world.transfer(MAIN_POOL[source], MAIN_POOL[target], amount, delay_s=arrives_after_s)


def move_cash(world: World, venue: str, *, amount_usd: float) -> None:
    """Deposit to (or, when negative, withdraw from) a venue's main pool."""
    world.deposit(*MAIN_POOL[venue], Decimal(repr(amount_usd)))


def trade(world: World, venue: str, symbol: str, *, size: float) -> None:
    """Let the desk take ``size`` base units (negative: sell) in its main pool of a venue."""
    market = world.market(venue, symbol)
    exact = Decimal(repr(size)).quantize(market.size_step)
    name, address, pool = MAIN_POOL[venue]
    world.trade(name, address, market.spec.dex or pool, symbol, exact)


def set_pace(world: World, *, speed: float) -> None:
    """Say to whoever drives the world that ``speed`` simulated seconds in a real one suit what
    follows."""
    world.emit(Paced(world.now_s, speed))


def place_order(
    world: World,
    venue: str,
    symbol: str,
    *,
    size: float,
    ratio: float,
    reduce_only: bool = False,
    stop: bool = False,
) -> None:
    """Let the desk rest an order for ``size`` base units (negative: sell) at ``ratio`` times the
    mark in its main pool; a ``stop`` waits for that price and then takes."""
    market = world.market(venue, symbol)
    name, address, pool = MAIN_POOL[venue]
    exact = Decimal(repr(abs(size))).quantize(market.size_step)
    price = market.mark_price * Decimal(repr(ratio))
    price = (price / market.tick).to_integral_value() * market.tick
    world.place_order(
        name, address, market.spec.dex or pool, symbol, "buy" if size > 0 else "sell", exact, price,
        trigger_price=price if stop else None, reduce_only=reduce_only,
    )  # fmt: skip


def inject_for(world: World, fault: Fault, *, for_s: float) -> None:
    """Let a fault hold for a while of simulated time; for ever (until healed) when it is zero."""
    world.faults.inject(fault)
    if for_s > 0:
        world.schedule(world.now_s + for_s, lambda: world.faults.end(fault))


def replace_cancelled(world: World, venue: str, *, every_s: float, for_s: float) -> None:
    """Somebody places each order that the desk's main account cancels anew."""
    outsiders.replace_cancelled(_outsider(world, venue, every_s, for_s))


def regrow(
    world: World, venue: str, symbol: str, *, size: float, every_s: float, for_s: float
) -> None:
    """Somebody trades a position of the desk's main pool back to ``size`` base units (signed)."""
    market = world.market(venue, symbol)
    pool = market.spec.dex or MAIN_POOL[venue][2]
    exact = Decimal(repr(size)).quantize(market.size_step)
    outsiders.regrow(_outsider(world, venue, every_s, for_s), pool, symbol, exact)


def _outsider(world: World, venue: str, every_s: float, for_s: float) -> outsiders.Account:
    address = MAIN_POOL[venue][1]
    return outsiders.Account(world, venue, address, every_s, world.now_s + for_s)


def calm(world: World) -> None:
    """Everything back to usual at once, except prices, which stay where they are."""
    set_premium(world, ALL, to=0.0, over_s=10.0)
    set_volatility(world, ALL, factor=1.0)
    set_liquidity(world, world.venues, depth_factor=1.0, spread_factor=1.0)
    world.faults.heal()
