"""People and programs who act on a desk's account without asking it: they place its cancelled
orders again, or build up a position that was cut.

An outsider looks every few simulated seconds, until its time is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from monitor.sim.accounts import SimOrder
from monitor.sim.orders import Place
from monitor.sim.world import World


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account it is, and for how long somebody meddles with it."""

    world: World
    venue: str
    address: str
    every_s: float
    until_s: float


def replace_cancelled(account: Account) -> None:
    """Place every order that the account's owner cancels anew, as it was, under a new id."""
    pools = account.world.account(account.venue, account.address).pools
    seen = {name: len(pool.order_history) for name, pool in pools.items()}

    def look() -> None:
        if account.world.now_s > account.until_s:
            return
        for name, pool in list(pools.items()):
            ended = pool.order_history[seen.get(name, 0) :]
            seen[name] = len(pool.order_history)
            for order in ended:
                if order.status == "canceled" and order.tif != "Ioc":
                    _place_again(account, name, order)
        account.world.schedule(account.world.now_s + account.every_s, look)

    account.world.schedule(account.world.now_s + account.every_s, look)


def _place_again(account: Account, pool: str, order: SimOrder) -> None:
    account.world.place_order(
        account.venue,
        account.address,
        pool,
        order.symbol,
        order.side,
        order.size,
        order.limit_price,
        trigger_price=order.trigger_price,
        take_profit=order.take_profit,
        reduce_only=order.reduce_only,
    )


def regrow(account: Account, pool: str, symbol: str, size: Decimal) -> None:
    """Trade a position back to ``size`` (signed) whenever it is found smaller."""
    place = Place(account.world, account.venue, account.address, pool, symbol)

    def look() -> None:
        if account.world.now_s > account.until_s:
            return
        missing = size - place.position
        if missing * size > 0:
            leverage, isolated = place.held.leverage_of(symbol)
            account.world.trade(
                account.venue, account.address, pool, symbol, missing,
                leverage=leverage, isolated=isolated,
            )  # fmt: skip
        account.world.schedule(account.world.now_s + account.every_s, look)

    account.world.schedule(account.world.now_s + account.every_s, look)
