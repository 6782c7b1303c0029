"""What the simulated dYdX indexer knows, and the snapshots it serves of it.

Usually that is the world itself. When the indexer lags it is a copy from the moment it fell behind,
while the chain's own height runs on. Asking never changes the world.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from decimal import Decimal

from monitor.sim.accounts import SimPool
from monitor.sim.books import Book
from monitor.sim.dydx import session as wire
from monitor.sim.dydx.chain import Chain, Stamp
from monitor.sim.dydx.payloads import accounts
from monitor.sim.dydx.payloads import markets as payloads
from monitor.sim.dydx.payloads.markets import Listing, Statistics
from monitor.sim.dydx.payloads.text import iso, number
from monitor.sim.listings import DYDX
from monitor.sim.markets import SimMarket
from monitor.sim.world import BLOCK_PERIOD_S, FIRST_HEIGHT, World

STATISTICS_PERIOD_S = 30.0
SNAPSHOT_ROWS = 1000
RECENT_BLOCKS = 20
# A market's book is crossed for this long, once in so many seconds on average.
CROSSED_S = 2.0
CROSSED_EVERY_S = 90.0
# Markets that are listed but have no price yet.
NEWCOMERS = ("NOVA-USD",)
OPEN_STATUSES = ("OPEN", "UNTRIGGERED", "BEST_EFFORT_OPENED")


class NotKnownError(LookupError):
    """The indexer has no such thing; REST answers 404 with this text."""


class Indexer:
    """The indexer's state: markets, accounts, the newest processed block and 30 s statistics."""

    def __init__(self, world: World, *, newcomers: tuple[str, ...] = NEWCOMERS) -> None:
        self.world = world
        self._venue = world.venues[DYDX]
        self.chain = Chain(
            Stamp(world.start_s, FIRST_HEIGHT[DYDX]),
            BLOCK_PERIOD_S[DYDX],
            Stamp(self._venue.block_time_s, self._venue.height),
        )
        self.processed = self.chain.newest
        self.newcomers = newcomers
        self.markets: Mapping[str, SimMarket] = self._venue.markets
        self._pools: Mapping[str, Mapping[str, SimPool]] | None = None
        self._frozen_at_s: float | None = None
        tickers = [*self._venue.markets, *newcomers]
        # Oracles are numbered apart from order books, as on the chain since 2024.
        self.listings = {name: Listing(pair, pair + 7) for pair, name in enumerate(tickers)}
        self.statistics: dict[str, Statistics] = {}
        self._statistics_due_s = world.now_s
        self.refresh_statistics()

    # ------------------------------------------------------------------------------ falling behind

    @property
    def frozen(self) -> bool:
        """Whether the indexer has stopped processing blocks."""
        return self._frozen_at_s is not None

    @property
    def now_s(self) -> float:
        """The instant whose state is served."""
        return self.world.now_s if self._frozen_at_s is None else self._frozen_at_s

    def freeze(self) -> None:
        """Serve what is known now until ``thaw``, whatever the chain does."""
        if self._frozen_at_s is not None:
            return
        self._frozen_at_s = self.world.now_s
        frozen = {name: _copy_market(market) for name, market in self._venue.markets.items()}
        memo = {id(self._venue.markets): frozen}
        self._pools = {
            address: {name: copy.deepcopy(pool, memo) for name, pool in account.pools.items()}
            for address, account in self._venue.accounts.items()
        }
        self.markets = frozen

    def thaw(self) -> None:
        """Know the present again."""
        self._frozen_at_s, self._pools, self.markets = None, None, self._venue.markets
        self.processed = self.chain.newest

    def refresh_statistics(self) -> dict[str, dict[str, object]]:
        """Recompute the statistics when they are due; returns what changed, by ticker."""
        if self.frozen or self.world.now_s < self._statistics_due_s:
            return {}
        self._statistics_due_s = self.world.now_s + STATISTICS_PERIOD_S
        changes = {}
        for name, market in self.markets.items():
            fresh = payloads.statistics(market)
            before = self.statistics.get(name)
            if before is not None and (diff := payloads.trading_diff(before, fresh)):
                changes[name] = diff
            self.statistics[name] = fresh
        return changes

    # -------------------------------------------------------------------------------------- markets

    def is_ticker(self, name: str) -> bool:
        """Whether a market of that name is listed."""
        return name in self.listings

    def market(self, ticker: str) -> SimMarket:
        """A market with a price.

        Raises:
            NotKnownError: If there is none of that name.
        """
        if ticker not in self.markets:
            raise NotKnownError(f"Could not find perpetual market with ticker {ticker}")
        return self.markets[ticker]

    def market_objects(self, only: str | None = None) -> dict[str, dict[str, object]]:
        """Markets by ticker as ``/perpetualMarkets`` has them; one when ``only`` is given."""
        objects = {
            name: payloads.market_object(market, self.listings[name], self.statistics[name])
            for name, market in self.markets.items()
            if only in {None, name}
        }
        for name in self.newcomers:
            if only in {None, name}:
                objects[name] = payloads.newcomer(name, self.listings[name])
        return objects

    def book(self, ticker: str) -> Book:
        """The book as this indexer's node sees it: crossed for a moment now and then."""
        if ticker in self.newcomers:
            return Book(bids=(), asks=())
        market = self.market(ticker)
        book = market.book
        if not book.asks or not self._crossed(ticker):
            return book
        price, size = book.asks[0]
        return Book(bids=((price + market.tick, size), *book.bids), asks=book.asks)

    def _crossed(self, ticker: str) -> bool:
        window = int(self.now_s // CROSSED_EVERY_S)
        seed = f"{self.world.seed}/dydx/crossed/{ticker}/{window}"
        draw = random.Random(seed).random()  # noqa: S311 - nature, not a secret
        begins_s = window * CROSSED_EVERY_S + draw * (CROSSED_EVERY_S - CROSSED_S)
        return begins_s <= self.now_s < begins_s + CROSSED_S

    def trades(self, ticker: str) -> list[dict[str, object]]:
        """The tape, newest first."""
        if ticker in self.newcomers:
            return []
        return [
            payloads.trade_object(trade, self.chain.stamp(trade.time_s))
            for trade in reversed(self.market(ticker).trades)
        ]

    def candles(
        self,
        ticker: str,
        resolution: str,
        *,
        since_s: float | None = None,
        before_s: float | None = None,
        most: int | None = None,
    ) -> list[dict[str, object]]:
        """Candles, newest first."""
        if ticker in self.newcomers:
            return []
        return payloads.candles(
            self.market(ticker), resolution, since_s=since_s, before_s=before_s, most=most
        )

    def historical_funding(
        self,
        ticker: str,
        *,
        before_s: float | None = None,
        before_height: int | None = None,
        most: int | None = None,
    ) -> list[dict[str, object]]:
        """Settled rates at or before an instant and a height, newest first, at most so many; after
        a halt several lie seconds apart."""
        rows: list[dict[str, object]] = []
        if ticker in self.newcomers:
            return rows
        for row in reversed(self.market(ticker).settled):
            if len(rows) == most:
                break
            stamp = self.chain.stamp(row.time_s)
            if before_s is not None and round(stamp.time_s * 1000) / 1000 > before_s:
                continue  # as it is told, to the millisecond
            if before_height is not None and stamp.height > before_height:
                continue
            rows.append(
                {
                    "ticker": ticker,
                    "rate": number(row.rate_hourly),
                    "price": number(row.price),
                    "effectiveAtHeight": str(stamp.height),
                    "effectiveAt": iso(stamp.time_s),
                }
            )
        return rows

    # ------------------------------------------------------------------------------------- accounts

    def pools(self, address: str) -> dict[int, SimPool]:
        """Subaccounts of an address by number; empty where the chain has never seen it."""
        if self._pools is not None:
            held = self._pools.get(address, {})
        else:
            account = self._venue.accounts.get(address)
            held = {} if account is None else account.pools
        return {int(name): pool for name, pool in sorted(held.items(), key=lambda p: int(p[0]))}

    def addresses(self) -> Iterator[str]:
        """Every address with a subaccount."""
        yield from self._venue.accounts if self._pools is None else self._pools

    def subaccount(self, address: str, number_: int) -> dict[str, object]:
        """One subaccount.

        Raises:
            NotKnownError: If it does not exist.
        """
        pool = self.pools(address).get(number_)
        if pool is None:
            raise NotKnownError(
                f"No subaccount found with address {address} and subaccountNumber {number_}"
            )
        height = self.processed.height
        changed_s = last_change_s(pool, self.world.start_s)
        return accounts.subaccount_row(address, number_, pool, self.chain, height, changed_s)

    def parent(self, address: str, parent: int) -> dict[str, object]:
        """A parent with all its children that exist.

        Raises:
            NotKnownError: If none does.
        """
        numbers = self.children(address, parent)
        if not numbers:
            raise NotKnownError(
                f"No subaccounts found for address {address} and parentSubaccountNumber {parent}"
            )
        rows = (self.subaccount(address, number_) for number_ in numbers)
        return accounts.parent_row(address, parent, rows)

    def children(self, address: str, parent: int) -> list[int]:
        """Numbers of the existing subaccounts that belong to a parent."""
        step = accounts.CHILDREN_STEP
        return [number_ for number_ in self.pools(address) if number_ % step == parent]

    def orders(self, address: str, numbers: list[int]) -> list[dict[str, object]]:
        """Every order of these subaccounts, open ones and old ones."""
        rows = []
        for number_ in numbers:
            pool = self.pools(address).get(number_)
            if pool is None:
                continue
            for order in (*pool.order_history, *pool.orders.values()):
                listing = self.listings[order.symbol]
                rows.append(accounts.order_row(address, number_, order, listing, self.chain))
        return rows

    def rewards(self, address: str) -> Decimal:
        """Trading rewards of an address since the beginning."""
        fills = (fill for pool in self.pools(address).values() for fill in pool.fills)
        return sum((accounts.trading_reward(fill) for fill in fills), accounts.ZERO)

    # ------------------------------------------------------------------------------------ snapshots

    def height(self) -> dict[str, object]:
        """The last processed block and its time."""
        return {"height": str(self.processed.height), "time": iso(self.processed.time_s)}

    def snapshot(self, channel: str, key: str) -> dict[str, object]:
        """Contents of a ``subscribed`` message.

        Raises:
            NotKnownError: If there is nothing to fetch; an unknown subaccount is ``{}`` instead.
        """
        if channel == wire.MARKETS:
            return {"markets": self.market_objects()}
        if channel == wire.BLOCK_HEIGHT:
            return self.height()
        if channel == wire.ORDERBOOK:
            return payloads.book_snapshot(self.book(key))
        if channel == wire.TRADES:
            return {"trades": self.trades(key)[:SNAPSHOT_ROWS]}
        name, _, rest = key.partition("/")
        if channel == wire.CANDLES:
            return {"candles": self.candles(name, rest, most=SNAPSHOT_ROWS)}
        return self._account_snapshot(channel, name, int(rest))

    def _account_snapshot(self, channel: str, address: str, number_: int) -> dict[str, object]:
        if number_ < 0:
            raise NotKnownError("subaccountNumber must be a non-negative integer less than 128001")
        try:
            if channel == wire.SUBACCOUNTS:
                numbers, row = [number_], self.subaccount(address, number_)
            else:
                numbers = self.children(address, number_)
                row = self.parent(address, number_)
        except NotKnownError:
            return {}  # it may come into being later
        orders = [
            order
            for order in self.orders(address, numbers)
            if order["status"] in OPEN_STATUSES or self._canceled_lately(order)
        ]
        return {"subaccount": row, "orders": orders, "blockHeight": str(self.processed.height)}

    def _canceled_lately(self, order: Mapping[str, object]) -> bool:
        return (
            order["status"] == "BEST_EFFORT_CANCELED"
            and int(str(order["goodTilBlock"])) > self.processed.height - RECENT_BLOCKS
        )


def last_change_s(pool: SimPool, otherwise_s: float) -> float:
    """When the chain last touched a subaccount: its newest fill or transfer."""
    times = [rows[-1].time_s for rows in (pool.fills, pool.transfers) if rows]
    return max(times, default=otherwise_s)


def _copy_market(market: SimMarket) -> SimMarket:
    """A market that will not change; its history is shared row by row."""
    frozen = copy.copy(market)
    frozen.asset = copy.copy(market.asset)
    frozen.settled = market.settled.copy()
    frozen.trades = market.trades.copy()
    frozen.bars = market.bars.copy()
    if frozen.bars:
        frozen.bars[-1] = copy.copy(frozen.bars[-1])  # the running minute
    frozen.rng = random.Random(0)  # noqa: S311 - never drawn from
    return frozen
