"""A book in few words, for tests of the planner."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitor.core.killswitch.book import (
    AccountTruth,
    Book,
    HeldPosition,
    Instrument,
    OutsideLeg,
    Quote,
    WorkingOrder,
)
from monitor.core.killswitch.plan import Plan, PlanLimits, PlannedOrder, Target
from monitor.core.killswitch.planner import gross_in_scope_usd, plan_cut
from monitor.core.types import PORTFOLIO, Side, Subject

HL = "hyperliquid"
DYDX = "dydx"
CHEAP = PlanLimits(max_cost_bps=1_000.0)

Held = tuple[str, str, str, str]  # venue, account, market, signed size


def instrument(venue: str, market: str, *, step: str = "0.001", **rest: object) -> Instrument:
    """Lot rules; the asset is the market's name before any dash, after any dex."""
    fields: dict[str, object] = {
        "asset": market.partition("-")[0].rpartition(":")[2],
        "price_tick": Decimal("0.1"),
        "min_notional_usd": Decimal(10),
        **rest,
    }
    return Instrument(venue=venue, market=market, size_step=Decimal(step), **fields)  # type: ignore[arg-type]


def quote(venue: str, market: str, price: float, *, depth: float = 1e9) -> Quote:
    """Two references that agree, a spread of 2 bp, and much depth."""
    return Quote(
        venue=venue,
        market=market,
        references=(price, price),
        bid_price=price * 0.9999,
        ask_price=price * 1.0001,
        bid_depth_usd=depth,
        ask_depth_usd=depth,
    )


PRICES = {"BTC": 100_000.0, "ETH": 4_000.0, "SOL": 200.0, "NVDA": 150.0, "HYPE": 40.0}


def book(
    *held: Held,
    orders: Sequence[tuple[str, str, WorkingOrder]] = (),
    instruments: Sequence[Instrument] | None = None,
    quotes: Sequence[Quote] | None = None,
    outside: Sequence[tuple[str, str]] = (),
    executable: Sequence[tuple[str, str]] | None = None,
    dark: Sequence[tuple[str, str]] = (),
) -> Book:
    """A book in which every account is executable and every market priced, unless told."""
    accounts = dict.fromkeys([(v, a) for v, a, _, _ in held] + [(v, a) for v, a, _ in orders])
    markets = dict.fromkeys((v, m) for v, _, m, _ in held)
    known = [instrument(v, m) for v, m in markets] if instruments is None else instruments
    assets = {(i.venue, i.market): i.asset for i in known}
    prices = [quote(v, m, PRICES[assets[v, m]]) for v, m in markets] if quotes is None else quotes
    return Book(
        at_ns=0,
        accounts=tuple(
            AccountTruth(
                venue=venue,
                account=account,
                read_ns=0,
                positions=tuple(
                    HeldPosition(market=m, size=Decimal(size))
                    for v, a, m, size in held
                    if (v, a) == (venue, account)
                ),
                orders=tuple(o for v, a, o in orders if (v, a) == (venue, account)),
            )
            for venue, account in accounts
        ),
        instruments=tuple(known),
        quotes=tuple(prices),
        outside=tuple(OutsideLeg(asset=asset, size=Decimal(size)) for asset, size in outside),
        executable=tuple(accounts) if executable is None else tuple(executable),
        dark=tuple(dark),
    )


def working(
    order_id: str,
    market: str,
    side: Side,
    size: str,
    *,
    reduce_only: bool = False,
    trigger: bool = False,
) -> WorkingOrder:
    """A working order."""
    return WorkingOrder(
        order_id=order_id,
        market=market,
        side=side,
        size=Decimal(size),
        reduce_only=reduce_only,
        trigger=trigger,
    )


def plan(
    facts: Book,
    ratio: float,
    *,
    scope: Subject = PORTFOLIO,
    limits: PlanLimits = CHEAP,
    baseline: float | None = None,
) -> Plan:
    """A plan from the gross that is there now."""
    gross = gross_in_scope_usd(scope, facts) if baseline is None else baseline
    return plan_cut(Target(scope=scope, baseline_usd=gross, gross_to_ratio=ratio), facts, limits)


def sizes(made: Plan) -> dict[str, str]:
    """Signed sizes of the orders by leg, as a venue would read them."""
    return {order.leg: signed(order) for order in made.orders}


def signed(order: PlannedOrder) -> str:
    """``-0.3`` for a sell of 0.3."""
    return ("-" if order.side is Side.SELL else "") + format(order.size, "f")
