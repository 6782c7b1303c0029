"""Whatever is sent to the simulated ``/exchange``, its books stay in order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.sim.addresses import HYPERLIQUID_MASTER
from monitor.sim.listings import HYPERLIQUID
from tests.sim.hyperliquid.trader import BTC, ETH, FARTCOIN, SOL, Trader, order

MAIN = (HYPERLIQUID, HYPERLIQUID_MASTER, "")
COINS = {BTC: "BTC", ETH: "ETH", SOL: "SOL", FARTCOIN: "FARTCOIN"}
STEP = {BTC: "0.00001", ETH: "0.0001", SOL: "0.01", FARTCOIN: "0.1"}

one_order = st.fixed_dictionaries(
    {
        "asset": st.sampled_from(sorted(COINS)),
        "units": st.integers(1, 400_000),
        "ratio": st.sampled_from(["0.9", "0.99", "0.999", "1", "1.001", "1.01", "1.1"]),
        "buy": st.booleans(),
        "tif": st.sampled_from(["Ioc", "Gtc", "Alo", "FrontendMarket"]),
        "reduce": st.booleans(),
    }
)
move = st.one_of(
    st.lists(one_order, min_size=1, max_size=4),
    st.sampled_from(["cancel the newest", "cancel all", "wait"]),
)


def wires(trader: Trader, wanted: list[dict[str, Any]]) -> list[Any]:
    """The batch on the wire."""
    return [
        order(
            one["asset"],
            f"{(one['units'] * Decimal(STEP[one['asset']])).normalize():f}",
            trader.mark(COINS[one["asset"]], one["ratio"]),
            buy=one["buy"],
            tif=one["tif"],
            reduce=one["reduce"],
        )
        for one in wanted
    ]


def act(trader: Trader, what: Any) -> None:
    """One move of the trader or of time."""
    pool = trader.world.pool(*MAIN)
    assets = {coin: asset for asset, coin in COINS.items()}
    working = [(assets[one.symbol], one.order_id) for one in pool.orders.values()
               if one.symbol in assets]  # fmt: skip
    if what == "wait":
        trader.world.advance(trader.world.now_s + 3.0)
    elif what == "cancel all":
        trader.cancel(*working)
    elif what == "cancel the newest":
        trader.cancel(*working[-1:])
    else:
        for wire in wires(trader, what):
            before = trader.position(COINS[wire["a"]]) or Decimal(0)
            trader.orders(wire)
            after = trader.position(COINS[wire["a"]]) or Decimal(0)
            if wire["r"]:
                assert abs(after) <= abs(before)
                assert after * before >= 0
            if not wire["b"]:
                assert after <= before
            else:
                assert after >= before


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(move, min_size=1, max_size=8))
def test_money_sizes_and_orders_agree(moves: list[Any]) -> None:
    """Reduce-only never grows or flips; cash is what fills and fees say; sizes are whole steps; no
    order is both working and ended; every order's rest is what its fills left."""
    trader = Trader()
    pool = trader.world.pool(*MAIN)
    cash, had = pool.total_cash, len(pool.fills)
    positions = {coin: held.size for coin, held in pool.positions.items()}
    for what in moves:
        act(trader, what)
    fills = pool.fills[had:]
    paid = sum(
        (one.size * one.price * (1 if one.side == "buy" else -1) + one.fee_usd for one in fills),
        Decimal(0),
    )
    assert pool.total_cash == cash - paid
    for coin in COINS.values():
        traded = sum(
            (one.size if one.side == "buy" else -one.size for one in fills if one.symbol == coin),
            Decimal(0),
        )
        size = trader.position(coin) or Decimal(0)
        assert size == positions.get(coin, Decimal(0)) + traded
        assert size % trader.world.market(HYPERLIQUID, coin).size_step == 0
    ended = [one.order_id for one in pool.order_history]
    assert len(ended) == len(set(ended))
    assert not set(ended) & set(pool.orders)
    filled: dict[int, Decimal] = {}
    for one in fills:
        filled[one.order_id] = filled.get(one.order_id, Decimal(0)) + one.size
    for placed in (*pool.orders.values(), *pool.order_history):
        assert placed.original_size - placed.size == filled.get(placed.order_id, Decimal(0))
