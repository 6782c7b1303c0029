"""What the simulated indexer remembers of accounts: hourly funding payments and equity.

The chain settles funding lazily, in one sum; the indexer still lists a payment per market and hour.
It is derived here from the fills (which tell what was held when) and the settled rates.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from monitor.sim.accounts import MICRO, SimPool
from monitor.sim.dydx.chain import Stamp
from monitor.sim.dydx.indexer import Indexer
from monitor.sim.dydx.payloads import accounts
from monitor.sim.dydx.payloads.text import iso, number
from monitor.sim.funding import HOUR_S

Row = dict[str, object]


class Payment(NamedTuple):
    """One market's payment of one hour; ``usd`` > 0 was received."""

    symbol: str
    time_s: float
    rate_hourly: Decimal
    price: Decimal
    size: Decimal
    usd: Decimal


class PnlTick(NamedTuple):
    """A subaccount at one hour; ``net_transfers`` since the tick before, USD."""

    stamp: Stamp
    equity: Decimal
    total_pnl: Decimal
    net_transfers: Decimal


def payments(pool: SimPool, since_s: float) -> list[Payment]:
    """Every payment of a subaccount, newest first. Before ``since_s`` (the world's start) they are
    on record; from then on they follow from what was held."""
    found = [
        Payment(row.symbol, row.time_s, row.rate_hourly, row.price, row.size, row.payment_usd)
        for row in pool.funding
        if row.time_s < since_s
    ]
    symbols = {fill.symbol for fill in pool.fills} | set(pool.positions)
    for symbol in symbols:
        for row in pool.markets[symbol].settled:
            if row.time_s < since_s:
                continue
            size = size_at(pool, symbol, row.time_s)
            if size:
                usd = -size * row.price * row.rate_hourly
                usd = usd.quantize(MICRO, rounding=ROUND_FLOOR)
                found.append(Payment(symbol, row.time_s, row.rate_hourly, row.price, size, usd))
    return sorted(found, key=lambda payment: (-payment.time_s, payment.symbol))


def size_at(pool: SimPool, symbol: str, time_s: float) -> Decimal:
    """The signed position at an instant: today's, less what was traded since."""
    held = pool.positions.get(symbol)
    size = accounts.ZERO if held is None else held.size
    for fill in reversed(pool.fills):
        if fill.time_s <= time_s:
            break
        if fill.symbol == symbol:
            size -= fill.size if fill.side == "buy" else -fill.size
    return size


def payment_rows(indexer: Indexer, address: str, numbers: list[int]) -> list[Row]:
    """``/fundingPayments`` of some subaccounts, newest first."""
    rows: list[Row] = []
    for number_ in numbers:
        pool = indexer.pools(address).get(number_)
        if pool is None:
            continue
        for payment in payments(pool, indexer.world.start_s):
            stamp = indexer.chain.stamp(payment.time_s)
            listing = indexer.listings[payment.symbol]
            index = pool.markets[payment.symbol].funding_index
            rows.append(
                {
                    "createdAt": iso(stamp.time_s),
                    "createdAtHeight": str(stamp.height),
                    "perpetualId": str(listing.clob_pair_id),
                    "ticker": payment.symbol,
                    "oraclePrice": number(payment.price),
                    "size": number(payment.size),
                    "side": "LONG" if payment.size > 0 else "SHORT",
                    "rate": number(payment.rate_hourly),
                    "payment": number(payment.usd),
                    "subaccountNumber": str(number_),
                    "fundingIndex": number(index),
                }
            )
    return sorted(rows, key=lambda row: str(row["createdAt"]), reverse=True)


class PnlLog:
    """Equity of every subaccount at each hour since the indexer started."""

    def __init__(self) -> None:
        self._ticks: dict[tuple[str, int], list[PnlTick]] = {}
        self._transfers: dict[tuple[str, int], int] = {}
        self._hour: int | None = None

    def tick(self, indexer: Indexer) -> None:
        """Write one row per subaccount when a new hour has begun (and at the very first call)."""
        hour = int(indexer.world.now_s // HOUR_S)
        if indexer.frozen or hour == self._hour:
            return
        self._hour = hour
        for address in indexer.addresses():
            for number_, pool in indexer.pools(address).items():
                self._write(indexer, address, number_, pool)

    def rows(self, address: str, numbers: list[int]) -> list[PnlTick]:
        """Ticks of some subaccounts added up hour by hour, newest first."""
        hours: dict[Stamp, PnlTick] = {}
        for number_ in numbers:
            for tick in self._ticks.get((address, number_), []):
                held = hours.get(tick.stamp)
                hours[tick.stamp] = tick if held is None else _add(held, tick)
        return [hours[stamp] for stamp in sorted(hours, reverse=True)]

    def _write(self, indexer: Indexer, address: str, number_: int, pool: SimPool) -> None:
        ticks = self._ticks.setdefault((address, number_), [])
        equity = accounts.equity(pool)
        before = ticks[-1] if ticks else None
        # What was transferred before the first row is part of where the account starts from.
        seen = self._transfers.get((address, number_), 0 if ticks else len(pool.transfers))
        self._transfers[address, number_] = len(pool.transfers)
        net = sum((t.amount_usd for t in pool.transfers[seen:]), accounts.ZERO)
        gained = accounts.ZERO if before is None else equity - before.equity - net
        total = gained if before is None else before.total_pnl + gained
        stamp = Stamp(indexer.processed.time_s, indexer.processed.height)
        ticks.append(PnlTick(stamp, equity, total, net))


def _add(one: PnlTick, other: PnlTick) -> PnlTick:
    return PnlTick(
        one.stamp,
        one.equity + other.equity,
        one.total_pnl + other.total_pnl,
        one.net_transfers + other.net_transfers,
    )
