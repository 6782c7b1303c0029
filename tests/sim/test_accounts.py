"""Accounts of the simulated world: exact money, margin models, orders, liquidation, transfers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.types import FillKind, MarginMode
from monitor.sim import addresses
from monitor.sim.accounts import SimPool
from monitor.sim.config import WorldConfig
from monitor.sim.desk import LEGS
from monitor.sim.listings import DYDX, HYPERLIQUID
from monitor.sim.occurrences import Liquidated, OrderChanged, PositionChanged, Transferred
from monitor.sim.prices import Ramp
from monitor.sim.world import World

START_S = 1_795_300_200.0
MAIN = (HYPERLIQUID, addresses.HYPERLIQUID_MASTER, "")


def make_world() -> World:
    return World(7, START_S)


def crash(world: World, by: float, over_s: float = 20.0, *, only: str | None = None) -> None:
    """Move prices by a log return, then let it happen."""
    for name, asset in world.assets.items():
        if only in {None, name}:
            asset.shocks.append(Ramp(world.now_s, world.now_s + over_s, by))
    world.advance(world.now_s + over_s + 10)


def empty_pool(*, lazy: bool = False) -> SimPool:
    world = World(1, START_S, WorldConfig(desk=False))
    return SimPool("", world.venues[DYDX if lazy else HYPERLIQUID].markets, lazy_funding=lazy)


# ------------------------------------------------------------------------------------- arithmetic


def test_a_trade_moves_value_between_cash_and_position() -> None:
    """Buying at the mark leaves equity unchanged but for the fee."""
    pool = empty_pool()
    pool.cash = Decimal(10_000)
    price = pool.price("ETH")
    pool.execute("ETH", Decimal("2.5"), price, Decimal("3.1"), START_S, 1)
    assert pool.equity == Decimal(10_000) - Decimal("3.1")
    assert pool.positions["ETH"].entry_price == price


@pytest.mark.parametrize(
    ("trades", "size", "entry", "closed"),
    [
        pytest.param(["1@100", "1@110"], "2", "105", ["0", "0"], id="adding averages"),
        pytest.param(["2@100", "-1@130"], "1", "100", ["0", "30"], id="reducing keeps the entry"),
        pytest.param(["2@100", "-3@90"], "-1", "90", ["0", "-20"], id="flipping starts anew"),
        pytest.param(["-2@100", "1@80"], "-1", "100", ["0", "20"], id="a short gains falling"),
    ],
)
def test_entry_and_closed_profit(
    trades: list[str], size: str, entry: str, closed: list[str]
) -> None:
    """Average entry and realized profit by hand-reckoned cases."""
    pool = empty_pool()
    got = []
    for trade in trades:
        change, price = (Decimal(part) for part in trade.split("@"))
        got.append(pool.execute("SOL", change, price, Decimal(0), START_S, 1)[1])
    position = pool.positions["SOL"]
    assert (position.size, position.entry_price) == (Decimal(size), Decimal(entry))
    assert got == [Decimal(value) for value in closed]


def test_a_closed_position_vanishes() -> None:
    """Nothing stays behind but its history."""
    pool = empty_pool()
    pool.execute("SOL", Decimal(3), Decimal(100), Decimal(0), START_S, 1)
    pool.execute("SOL", Decimal(-3), Decimal(120), Decimal(0), START_S, 2)
    assert pool.positions == {}
    assert pool.cash == 60
    assert pool.closed_positions[0].realized_pnl == 60


def test_recorded_isolated_position() -> None:
    """2 HYPE at 37.826 with raw -68.126246: margin used 7.525754, as recorded in August 2025."""
    pool = empty_pool()
    pool.markets["HYPE"].mark = 37.826
    pool.execute(
        "HYPE", Decimal(2), Decimal("37.829"), Decimal(0), START_S, 1, leverage=10, isolated=True
    )
    position = pool.positions["HYPE"]
    assert position.margin_mode is MarginMode.ISOLATED
    position.isolated_cash = Decimal("-68.126246")
    assert pool.isolated_equity(position) == Decimal("7.525754")
    assert pool.unrealized_pnl(position) == Decimal("-0.006")


def test_isolated_cash_comes_from_the_pool_and_returns() -> None:
    """Opening posts notional / leverage; closing gives back what is left."""
    pool = empty_pool()
    pool.cash = Decimal(1_000)
    pool.execute("SOL", Decimal(5), Decimal(100), Decimal(0), START_S, 1, leverage=5, isolated=True)
    assert (pool.cash, pool.positions["SOL"].isolated_cash) == (Decimal(900), Decimal(-400))
    pool.execute("SOL", Decimal(-5), Decimal(90), Decimal(0), START_S, 2)
    assert (pool.cash, pool.positions) == (Decimal(950), {})


def test_recorded_dydx_equity() -> None:
    """Q=90.461932 with 0.003 ETH at 2914.962518 is 99.206819554, as recorded."""
    pool = empty_pool(lazy=True)
    pool.markets["ETH-USD"].oracle = 2914.962518
    pool.execute("ETH-USD", Decimal("0.003"), Decimal(2_900), Decimal(0), START_S, 1)
    pool.cash = Decimal("90.461932")
    assert pool.equity == Decimal("99.206819554")


def test_tiers_equal_rate_times_notional_minus_deduction() -> None:
    """BTC above 150 M: 200 M x 2.5 % - 150 M x (2.5 % - 1.25 %)."""
    market = make_world().market(HYPERLIQUID, "BTC")
    assert market.maintenance_margin(Decimal(200_000_000)) == Decimal(3_125_000)
    assert market.maintenance_margin(Decimal(150_000_000)) == Decimal(1_875_000)


@pytest.mark.parametrize(
    ("interest_usd", "rate"),
    [
        pytest.param(39_999_999, "0.05", id="below the lower cap"),
        pytest.param(70_000_000, "0.525", id="halfway"),
        pytest.param(100_000_001, "1", id="above the upper cap"),
    ],
)
def test_dydx_initial_rate_rises_with_open_interest(interest_usd: int, rate: str) -> None:
    """base + (1 - base) x (OI - lower) / (upper - lower), floor in ppm."""
    market = make_world().market(DYDX, "SOL-USD")
    market.open_interest = interest_usd / market.oracle
    assert market.initial_rate == pytest.approx(Decimal(rate), abs=Decimal("0.00001"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BTC", "ETH", "SOL"]),
            st.integers(-50, 50).filter(bool),
            st.integers(-500, 500),
        ),
        max_size=15,
    )
)
def test_equity_is_deposits_plus_profit(trades: list[tuple[str, int, int]]) -> None:
    """Equity always equals money put in, plus realized and unrealized profit, minus fees."""
    pool = empty_pool()
    pool.cash = Decimal(1_000_000)
    fees = realized = Decimal(0)
    for symbol, size, basis in trades:
        market = pool.markets[symbol]
        price = market.mark_price + basis * market.tick
        fee = Decimal(size * size) / 1_000
        realized += pool.execute(symbol, Decimal(size) / 10, price, fee, START_S, 1)[1]
        fees += fee
    unrealized = sum((pool.unrealized_pnl(p) for p in pool.positions.values()), Decimal(0))
    expected = Decimal(1_000_000) + realized + unrealized - fees
    assert abs(pool.equity - expected) < Decimal("1e-15")


# ------------------------------------------------------------------------------------------- desk


def test_the_desk_is_hedged() -> None:
    """The desk is long on one venue what it is short on the other, but for its two loose ends."""
    world = make_world()
    net: dict[str, Decimal] = {}
    for leg in LEGS:
        asset = world.market(leg.venue, leg.symbol).spec.asset
        net[asset] = net.get(asset, Decimal(0)) + Decimal(leg.size)
    loose = {asset for asset, size in net.items() if size}
    assert loose == {"HYPE", "NVDA", "ETH"}
    assert net["ETH"] == 2  # the unified account's


def test_the_desk_has_one_of_everything() -> None:
    """Cross and isolated, HIP-3, sub-account, API wallet, triggers, child subaccount."""
    world = make_world()
    accounts = world.venues[HYPERLIQUID].accounts
    assert {account.role for account in accounts.values()} == {
        "user", "subAccount", "agent", "vault",
    }  # fmt: skip
    main = world.pool(*MAIN)
    assert [p.symbol for p in main.isolated_positions()] == ["FARTCOIN"]
    assert len(main.cross_positions()) == 5
    assert world.pool(HYPERLIQUID, addresses.HYPERLIQUID_MASTER, "xyz").positions
    assert any(order.reduce_only and order.trigger_price for order in main.orders.values())
    assert set(world.account(DYDX, addresses.DYDX_MASTER).pools) == {"0", "128"}
    assert not accounts[addresses.HYPERLIQUID_AGENT].pools


def test_dydx_address_has_a_valid_checksum() -> None:
    """The bech32 checksum of the vectors in BIP-173 holds, and ours is made the same way."""
    assert addresses.bech32_address("a", b"") == "a12uel5l"
    split = bytes.fromhex("00443214c74254b635cf84653a56d7c675be77df")
    assert addresses.bech32_address("abcdef", bytes(20))[:7] == "abcdef1"
    assert addresses.bech32_address("dydx", split).startswith("dydx1")
    assert len(addresses.DYDX_MASTER) == 43


# ----------------------------------------------------------------------------------------- orders


def test_a_resting_order_fills_when_the_price_comes() -> None:
    """As maker, at its own price, once."""
    world = make_world()
    top = world.market(HYPERLIQUID, "SOL").top
    assert top is not None
    order = world.place_order(*MAIN, "SOL", "buy", Decimal(10), top[0] - Decimal("0.5"))
    before = world.pool(*MAIN).positions["SOL"].size
    crash(world, -0.02, only="SOL")
    fills = [f for f in world.pool(*MAIN).fills if f.order_id == order.order_id]
    assert [(f.price, f.size, f.taker) for f in fills] == [(order.limit_price, Decimal(10), False)]
    assert world.pool(*MAIN).positions["SOL"].size == before + 10
    assert order.order_id not in world.pool(*MAIN).orders


def test_a_stop_triggers_then_fills_and_only_reduces() -> None:
    """The HYPE stop sells the position and no more: 800, though a smaller position is held."""
    world = make_world()
    world.trade(*MAIN, "HYPE", Decimal(-300))
    stop = next(
        order
        for order in world.pool(*MAIN).orders.values()
        if order.symbol == "HYPE" and not order.take_profit
    )
    world.drain()
    crash(world, -0.25, only="HYPE")
    statuses = [
        event.order.status
        for event in world.drain()
        if isinstance(event, OrderChanged) and event.order.order_id == stop.order_id
    ]
    assert statuses == ["triggered", "filled"]
    assert "HYPE" not in world.pool(*MAIN).positions


def test_a_reduce_only_order_without_a_position_is_cancelled() -> None:
    """Status reduceOnlyCanceled, no fill."""
    world = make_world()
    market = world.market(HYPERLIQUID, "NEAR")
    top = market.top
    assert top is not None
    order = world.place_order(
        *MAIN, "NEAR", "sell", Decimal(10), top[0] - 20 * market.tick, reduce_only=True
    )
    world.advance(START_S + 1)
    assert order.status == "reduceOnlyCanceled"
    assert "NEAR" not in world.pool(*MAIN).positions


def test_cancelling_twice_is_harmless() -> None:
    """The second cancel finds nothing."""
    world = make_world()
    order = world.place_order(*MAIN, "SOL", "buy", Decimal(1), Decimal(50))
    world.cancel_order(*MAIN, order.order_id)
    world.cancel_order(*MAIN, order.order_id)
    assert order.status == "canceled"
    assert world.pool(*MAIN).order_history.count(order) == 1


def test_a_delisted_market_cannot_be_traded() -> None:
    """The attempt is refused with the market's name."""
    with pytest.raises(ValueError, match="MATIC is not tradable"):
        make_world().trade(*MAIN, "MATIC", Decimal(10))


# ------------------------------------------------------------------------------------ liquidation


def test_an_isolated_position_is_liquidated_alone() -> None:
    """The position vanishes with a marked fill; the cross positions stay."""
    world = make_world()
    world.drain()
    crash(world, -0.33, only="FARTCOIN")
    pool = world.pool(*MAIN)
    assert "FARTCOIN" not in pool.positions
    assert len(pool.positions) == 5
    fill = pool.fills[-1]
    assert (fill.kind, fill.liquidated) == (
        FillKind.LIQUIDATION,
        addresses.HYPERLIQUID_MASTER,
    )
    events = world.drain()
    assert [e.symbols for e in events if isinstance(e, Liquidated)] == [("FARTCOIN",)]
    assert any(isinstance(e, PositionChanged) and e.symbol == "FARTCOIN" for e in events)


def test_a_position_just_above_maintenance_is_left_alone() -> None:
    """Equity equal to maintenance is not yet liquidated; one micro-dollar less is."""
    world = make_world()
    pool = world.pool(*MAIN)
    position = pool.positions["FARTCOIN"]
    world.advance(START_S + 2.5)  # marks move every three seconds: the next step has the same

    def leave(spare: str) -> None:
        value = position.size * pool.price("FARTCOIN")
        position.isolated_cash = pool.position_maintenance(position) - value + Decimal(spare)

    from monitor.sim.execution import run_accounts  # noqa: PLC0415 - one step, without time

    leave("0")
    run_accounts(world, world.venues[HYPERLIQUID])
    assert "FARTCOIN" in pool.positions
    leave("-0.000001")
    run_accounts(world, world.venues[HYPERLIQUID])
    assert "FARTCOIN" not in pool.positions


def test_a_large_cross_liquidation_begins_with_a_fifth() -> None:
    """Positions above 100 000 USD lose 20 % first; orders are cancelled; smaller ones go whole."""
    world = make_world()
    pool = world.pool(*MAIN)
    sizes = {symbol: position.size for symbol, position in pool.positions.items()}
    pool.cash -= pool.cross_equity - pool.maintenance_margin * Decimal("0.97")
    world.drain()
    world.advance(START_S + 0.5)
    assert pool.positions["SOL"].size == sizes["SOL"] * Decimal("0.8")
    assert "HYPE" not in pool.positions
    assert not pool.orders
    assert {e.order.status for e in world.drain() if isinstance(e, OrderChanged)} == {
        "liquidatedCanceled"
    }


def test_far_below_maintenance_the_vault_takes_everything() -> None:
    """Below two thirds of maintenance: all cross positions and all cross margin are gone."""
    world = make_world()
    pool = world.pool(*MAIN)
    pool.cash -= pool.cross_equity - pool.maintenance_margin * Decimal("0.6")
    world.advance(START_S + 0.5)
    assert pool.cross_positions() == []
    assert pool.cash == 0
    assert pool.fills[-1].backstop


def test_a_bankrupt_dydx_subaccount_is_deleveraged() -> None:
    """Negative net collateral closes as deleveraging and leaves no debt."""
    world = make_world()
    pool = world.pool(DYDX, addresses.DYDX_MASTER, "128")
    crash(world, 1.2, over_s=0.5, only="FARTCOIN")
    assert pool.positions == {}
    assert pool.cash == 0
    assert pool.fills[-1].kind is FillKind.DELEVERAGING


def test_a_unified_account_posts_what_it_needs() -> None:
    """Profit and loss go to spot dollars; the perp side always shows its margin alone."""
    world = make_world()
    account = world.account(HYPERLIQUID, addresses.HYPERLIQUID_UNIFIED)
    pool = account.pools[""]
    assert account.equity == Decimal(9_000)
    crash(world, -0.3)
    assert abs(pool.equity - pool.initial_margin) < Decimal("0.00001")
    assert Decimal(7_200) < account.equity < Decimal(7_800)
    assert pool.positions


# -------------------------------------------------------------------------------------- transfers


def test_money_in_transit_is_nowhere() -> None:
    """A transfer between venues leaves one at once and reaches the other after its delay."""
    world = make_world()
    source, target = (DYDX, addresses.DYDX_MASTER, "0"), MAIN
    before = world.pool(*source).cash, world.pool(*target).cash
    world.transfer(source, target, Decimal(1_000), delay_s=60)
    assert world.pool(*source).cash == before[0] - 1_000
    world.advance(START_S + 59)
    assert world.pool(*target).cash == before[1]
    world.advance(START_S + 61)
    assert world.pool(*target).cash == before[1] + 1_000
    rows = [e.transfer for e in world.drain() if isinstance(e, Transferred)]
    assert [(row.kind, row.amount_usd) for row in rows] == [
        ("withdrawal", Decimal(-1_000)),
        ("deposit", Decimal(1_000)),
    ]


def test_hyperliquid_keeps_a_dollar_of_a_withdrawal() -> None:
    """The fee is 1 USDC: less arrives than left."""
    world = make_world()
    target = (DYDX, addresses.DYDX_MASTER, "0")
    before = world.pool(*target).cash
    world.transfer(MAIN, target, Decimal(1_000))
    assert world.pool(*target).cash == before + 999


def test_a_transfer_within_a_venue_is_internal() -> None:
    """Both sides name the other pool, and nothing is lost."""
    world = make_world()
    dex = (HYPERLIQUID, addresses.HYPERLIQUID_MASTER, "xyz")
    total = world.pool(*MAIN).cash + world.pool(*dex).cash
    world.transfer(MAIN, dex, Decimal(500))
    assert world.pool(*MAIN).cash + world.pool(*dex).cash == total
    assert world.pool(*MAIN).transfers[-1].peer == (addresses.HYPERLIQUID_MASTER, "xyz")
    assert world.pool(*dex).transfers[-1].kind == "internal"
