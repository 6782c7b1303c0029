"""What the official Hyperliquid client returned, held against the simulated world's own state.

The wire's rules are written down here once more, from the venue's documents, so that a slip in the
simulator's writing cannot hide itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest

from monitor.sim.accounts import SimFill, SimFunding, SimOrder, SimPool
from monitor.sim.addresses import HYPERLIQUID_MASTER
from monitor.sim.books import Book
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.markets import SimMarket
from monitor.sim.world import World

MICRO = Decimal("0.000001")


def markets_of(world: World, dex: str = "") -> list[SimMarket]:
    """The venue's markets of one dex in listing order."""
    return world.venues[HYPERLIQUID].markets_of(dex)


def ms(seconds: float) -> int:
    """A time as the venue prints it."""
    return round(seconds * 1_000)


def cut(value: Decimal) -> Decimal:
    """Account money as the venue prints it."""
    return value.quantize(MICRO, rounding=ROUND_DOWN)


def decimal(said: str) -> Decimal:
    """A number the client returned; anything but a string is refused."""
    assert type(said) is str
    return Decimal(said)


def maybe(said: str | None) -> Decimal | None:
    """A number that may be null."""
    return None if said is None else decimal(said)


def levels(said: Mapping[str, Any]) -> list[list[tuple[Decimal, Decimal]]]:
    """A book as the client returned it."""
    return [[(decimal(row["px"]), decimal(row["sz"])) for row in side] for side in said["levels"]]


def best_of(book: Book, count: int = 20) -> list[list[tuple[Decimal, Decimal]]]:
    """A book of the world, as deep as the venue shows it."""
    return [list(book.bids[:count]), list(book.asks[:count])]


def check_state(said: Mapping[str, Any], pool: SimPool) -> None:
    """A clearinghouse state holds the pool's money and exactly its positions."""
    total, cross = said["marginSummary"], said["crossMarginSummary"]
    assert decimal(total["accountValue"]) == cut(pool.equity)
    assert decimal(total["totalNtlPos"]) == cut(pool.total_notional)
    assert decimal(total["totalRawUsd"]) == cut(pool.total_cash)
    assert decimal(total["totalMarginUsed"]) == cut(pool.total_margin_used)
    assert decimal(cross["accountValue"]) == cut(pool.cross_equity)
    assert decimal(said["crossMaintenanceMarginUsed"]) == cut(pool.maintenance_margin)
    positions = {row["position"]["coin"]: row["position"] for row in said["assetPositions"]}
    assert set(positions) == set(pool.positions)
    for coin, position in pool.positions.items():
        row = positions[coin]
        assert decimal(row["szi"]) == position.size
        assert decimal(row["entryPx"]) == pytest.approx(position.entry_price, rel=Decimal("1e-5"))
        assert decimal(row["positionValue"]) == cut(pool.notional(position))
        assert decimal(row["unrealizedPnl"]) == cut(pool.unrealized_pnl(position))
        assert decimal(row["marginUsed"]) == cut(pool.position_initial(position))
        assert decimal(row["cumFunding"]["sinceOpen"]) == cut(position.funding_since_open)
        assert row["leverage"]["value"] == position.leverage
        isolated = position.isolated_cash is not None
        assert row["leverage"]["type"] == ("isolated" if isolated else "cross")
        assert ("rawUsd" in row["leverage"]) == isolated


def check_order(said: Mapping[str, Any], order: SimOrder) -> None:
    """An order in either form."""
    assert (said["oid"], said["coin"]) == (order.order_id, order.symbol)
    assert said["side"] == {"buy": "B", "sell": "A"}[order.side]
    assert decimal(said["limitPx"]) == order.limit_price
    assert decimal(said["sz"]) == order.size
    assert decimal(said["origSz"]) == order.original_size
    assert said["timestamp"] == ms(order.created_s)
    assert said.get("cloid") == order.client_id
    if "isTrigger" in said:
        assert said["isTrigger"] == (order.trigger_price is not None)
        assert decimal(said["triggerPx"]) == (order.trigger_price or 0)
        assert said["reduceOnly"] == order.reduce_only


def check_fill(said: Mapping[str, Any], fill: SimFill) -> None:
    """A fill of REST or of the socket."""
    assert (said["tid"], said["oid"], said["coin"]) == (fill.fill_id, fill.order_id, fill.symbol)
    assert said["side"] == {"buy": "B", "sell": "A"}[fill.side]
    assert (decimal(said["px"]), decimal(said["sz"])) == (fill.price, fill.size)
    assert decimal(said["startPosition"]) == fill.start_position
    assert decimal(said["closedPnl"]) == cut(fill.closed_pnl_usd)
    assert decimal(said["fee"]) == cut(fill.fee_usd)
    assert (said["time"], said["crossed"]) == (ms(fill.time_s), fill.taker)


def check_payment(said: Mapping[str, Any], time_ms: int, payment: SimFunding) -> None:
    """A funding payment of REST or of the socket; paid is negative."""
    assert (said["coin"], time_ms) == (payment.symbol, ms(payment.time_s))
    assert decimal(said["usdc"]) == cut(payment.payment_usd)
    assert decimal(said["szi"]) == payment.size
    assert decimal(said["fundingRate"]) == payment.rate_hourly


def payments_of(world: World) -> list[SimFunding]:
    """The main address's funding payments over all dexes, oldest first."""
    pools = world.account(HYPERLIQUID, HYPERLIQUID_MASTER).pools.values()
    return sorted((row for pool in pools for row in pool.funding), key=lambda row: row.time_s)


def fills_of(world: World) -> list[SimFill]:
    """The main address's fills over all dexes, oldest first."""
    pools = world.account(HYPERLIQUID, HYPERLIQUID_MASTER).pools.values()
    rows = [fill for pool in pools for fill in pool.fills]
    return sorted(rows, key=lambda fill: (fill.time_s, fill.fill_id))
