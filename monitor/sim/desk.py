"""The default desk: a market-neutral book over both venues, with a few loose ends to watch.

The desk holds the same majors long on one venue and short on the other, an isolated exotic on each,
two unhedged legs (HYPE, and NVDA on the HIP-3 dex), a sub-account, an API wallet whose address
reads as empty, a unified-margin account, and a deposit in a vault. Positions were opened in the
past, away from today's price; a day of funding payments is on record.

The sizes are chosen against the built-in rulebook: on a calm day nothing fires (leverage, usage,
concentration and depth keep their distance), and moving 40 % of dYdX's equity fires nothing either.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from monitor.sim import addresses
from monitor.sim.accounts import MICRO, SimAccount, SimFill, SimFunding, SimPool
from monitor.sim.listings import DYDX, HYPERLIQUID

if TYPE_CHECKING:
    from monitor.sim.world import World

DAY_HOURS = 24
OPENED_BEFORE_S = 30 * 3_600.0
AGENT_LIFE_S = 90 * 86_400.0  # what the venue gives an API wallet that asks for nothing else


@dataclass(frozen=True, slots=True)
class Leg:
    """A position of the default desk; ``entry_ratio`` is its entry against today's price."""

    venue: str
    address: str
    pool: str
    symbol: str
    size: str
    entry_ratio: str = "1"
    leverage: int = 10
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Funds:
    """What a pool's equity is at the start, USD, its isolated positions included."""

    venue: str
    address: str
    pool: str
    equity_usd: int


_HL, _SUB = addresses.HYPERLIQUID_MASTER, addresses.HYPERLIQUID_SUBACCOUNT
_UNIFIED, _DYDX = addresses.HYPERLIQUID_UNIFIED, addresses.DYDX_MASTER

LEGS: tuple[Leg, ...] = (
    Leg(HYPERLIQUID, _HL, "", "BTC", "-1.2", "1.012", 20),
    Leg(HYPERLIQUID, _HL, "", "ETH", "30", "0.991", 20),
    Leg(HYPERLIQUID, _HL, "", "SOL", "-1500", "1.021", 10),
    Leg(HYPERLIQUID, _HL, "", "LINK", "18000", "1.008", 5),
    Leg(HYPERLIQUID, _HL, "", "HYPE", "800", "0.972", 5),
    Leg(HYPERLIQUID, _HL, "", "FARTCOIN", "60000", "0.985", 3, isolated=True),
    Leg(HYPERLIQUID, _HL, "xyz", "xyz:NVDA", "220", "0.994", 10),
    Leg(HYPERLIQUID, _SUB, "", "DOGE", "-250000", "1.006", 5),
    Leg(HYPERLIQUID, _UNIFIED, "", "ETH", "2", "0.997", 5),
    Leg(DYDX, _DYDX, "0", "BTC-USD", "1.2", "1.011"),
    Leg(DYDX, _DYDX, "0", "ETH-USD", "-30", "0.992"),
    Leg(DYDX, _DYDX, "0", "SOL-USD", "1500", "1.02"),
    Leg(DYDX, _DYDX, "0", "LINK-USD", "-18000", "1.009"),
    Leg(DYDX, _DYDX, "0", "DOGE-USD", "250000", "1.004"),
    Leg(DYDX, _DYDX, "128", "FARTCOIN-USD", "-60000", "0.985"),
)
FUNDS: tuple[Funds, ...] = (
    Funds(HYPERLIQUID, _HL, "", 210_000),
    Funds(HYPERLIQUID, _HL, "xyz", 24_000),
    Funds(HYPERLIQUID, _SUB, "", 25_000),
    Funds(HYPERLIQUID, _UNIFIED, "", 9_000),
    Funds(DYDX, _DYDX, "0", 240_000),
    Funds(DYDX, _DYDX, "128", 12_000),
)


def open_desk(world: World) -> None:
    """Open the default desk's accounts, positions, orders and history."""
    _open_accounts(world)
    for leg in LEGS:
        _open_position(world, leg)
    for funds in FUNDS:
        _fund(world, funds)
    for leg in LEGS:
        _write_funding(world, leg)
    _rest_orders(world)


def _open_accounts(world: World) -> None:
    hyperliquid, dydx = world.venues[HYPERLIQUID].accounts, world.venues[DYDX].accounts
    master = SimAccount(
        HYPERLIQUID, _HL, "main",
        spot={"USDC": Decimal("1250.5"), "HYPE": Decimal(40)},
        vault_equities={addresses.HYPERLIQUID_VAULT: Decimal("5210.448812")},
        volume_usd=Decimal("2854574.59"), requests_used=2_890,
    )  # fmt: skip
    for account in (
        master,
        SimAccount(HYPERLIQUID, _SUB, "hedge", role="subAccount", master=_HL),
        SimAccount(
            HYPERLIQUID,
            addresses.HYPERLIQUID_AGENT,
            "bot",
            role="agent",
            master=_HL,
            valid_until_s=world.start_s + AGENT_LIFE_S,
        ),
        SimAccount(
            HYPERLIQUID,
            addresses.HYPERLIQUID_SIGNER,
            "riskd",
            role="agent",
            master=_HL,
            valid_until_s=world.start_s + AGENT_LIFE_S,
        ),
        SimAccount(HYPERLIQUID, _UNIFIED, "unified", mode="unifiedAccount"),
        SimAccount(HYPERLIQUID, addresses.HYPERLIQUID_VAULT, "vault", role="vault"),
    ):
        hyperliquid[account.address] = account
    dydx[_DYDX] = SimAccount(DYDX, _DYDX, "main")


def _open_position(world: World, leg: Leg) -> None:
    pool, market = world.pool(leg.venue, leg.address, leg.pool), world.market(leg.venue, leg.symbol)
    tick = market.tick
    price = market.mark_price * Decimal(leg.entry_ratio)
    price = (price / tick).quantize(Decimal(1), ROUND_HALF_EVEN) * tick
    opened_s = world.start_s - OPENED_BEFORE_S
    size = Decimal(leg.size)
    height = world.venues[leg.venue].height - int(OPENED_BEFORE_S)
    pool.execute(
        leg.symbol, size, price, Decimal(0), opened_s, height,
        leverage=leg.leverage, isolated=leg.isolated,
    )  # fmt: skip
    pool.fills.append(
        SimFill(
            fill_id=world.next_fill_id(), order_id=world.next_id(), symbol=leg.symbol,
            side="buy" if size > 0 else "sell", price=price, size=abs(size),
            fee_usd=(abs(size) * price * Decimal("0.00045")).quantize(MICRO),
            closed_pnl_usd=Decimal(0), start_position=Decimal(0), taker=True,
            time_s=opened_s, height=height, mark_price=price,
        )
    )  # fmt: skip


def _fund(world: World, funds: Funds) -> None:
    pool = world.pool(funds.venue, funds.address, funds.pool)
    amount = (Decimal(funds.equity_usd) - pool.equity).quantize(MICRO)
    pool.cash += amount
    account = world.account(funds.venue, funds.address)
    account.post_margin()


def _write_funding(world: World, leg: Leg) -> None:
    """A day of payments on record; the cash already counts them."""
    pool, market = world.pool(leg.venue, leg.address, leg.pool), world.market(leg.venue, leg.symbol)
    position = pool.positions[leg.symbol]
    for row in list(market.settled)[-DAY_HOURS:]:
        paid = (position.size * row.price * row.rate_hourly).quantize(MICRO)
        position.funding_all_time += paid
        position.funding_since_open += paid
        position.funding_since_change += paid
        pool.funding.append(
            SimFunding(
                leg.symbol, -paid, position.size, row.rate_hourly, row.price, row.time_s,
                world.venues[leg.venue].height - int(world.start_s - row.time_s),
            )
        )  # fmt: skip
    pool.funding_kept[leg.symbol] = position.funding_all_time
    pool.funding.sort(key=lambda payment: payment.time_s)


def _rest_orders(world: World) -> None:
    def order(
        venue: str,
        address: str,
        pool: str,
        symbol: str,
        side: str,
        size: str,
        ratio: str,
        *,
        stop: bool = False,
        take_profit: bool = False,
    ) -> None:
        market = world.market(venue, symbol)
        price = _on_tick(market.mark_price * Decimal(ratio), market.tick)
        if not stop:
            world.place_order(
                venue, address, pool, symbol, side, Decimal(size), price,
                client_id=f"0x{world.next_id():032x}",
            )  # fmt: skip
            return
        # The worst price a triggered stop accepts lies 8 % beyond the trigger.
        slack = Decimal("1.08") if side == "buy" else Decimal("0.92")
        world.place_order(
            venue, address, pool, symbol, side, Decimal(size), _on_tick(price * slack, market.tick),
            trigger_price=price, take_profit=take_profit, reduce_only=True,
        )  # fmt: skip

    order(HYPERLIQUID, _HL, "", "ETH", "buy", "5", "0.97")
    order(HYPERLIQUID, _HL, "", "ETH", "sell", "5", "1.03")
    order(HYPERLIQUID, _HL, "", "BTC", "buy", "1.2", "1.16", stop=True)
    order(HYPERLIQUID, _HL, "", "HYPE", "sell", "800", "0.82", stop=True)
    order(HYPERLIQUID, _HL, "", "HYPE", "sell", "400", "1.25", stop=True, take_profit=True)
    order(HYPERLIQUID, _HL, "xyz", "xyz:NVDA", "sell", "220", "0.9", stop=True)
    order(HYPERLIQUID, _SUB, "", "DOGE", "sell", "10000", "1.04")
    order(DYDX, _DYDX, "0", "ETH-USD", "buy", "5", "0.965")
    order(DYDX, _DYDX, "0", "ETH-USD", "sell", "5", "1.035")
    order(DYDX, _DYDX, "0", "BTC-USD", "sell", "1.2", "0.85", stop=True)


def _on_tick(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).quantize(Decimal(1), ROUND_HALF_EVEN) * tick


def pools_of(world: World, venue: str, address: str) -> dict[str, SimPool]:
    """All pools of one account by name."""
    return world.account(venue, address).pools
