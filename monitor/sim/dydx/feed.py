"""From what happens in the world to the messages of the dYdX channels.

A message exists only where the venue sends one: none when funding accrues, none for an account when
the oracle moves, none for an oracle price that did not change. A fill arrives split in two, the
first part with the new size and the old cost basis, as it does at the venue.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from monitor.core.types import MarketStatus
from monitor.sim.accounts import SimFill, SimOrder, SimPool, SimPosition
from monitor.sim.books import Book
from monitor.sim.dydx import session as wire
from monitor.sim.dydx.indexer import Indexer
from monitor.sim.dydx.payloads import accounts
from monitor.sim.dydx.payloads import markets as payloads
from monitor.sim.dydx.payloads.text import iso, number
from monitor.sim.listings import DYDX
from monitor.sim.occurrences import (
    BlockMade,
    Filled,
    OraclesMoved,
    OrderChanged,
    Transferred,
    WorldEvent,
)

# An order's last state follows its fill within this many events (position, order).
ORDER_FOLLOWS_WITHIN = 4
# Every so many statistics rounds one market is sent whole, as after a governance event.
WHOLE_MARKET_EVERY = 20
# Every so many oracle rounds all prices come in one message instead of one each.
MERGED_ORACLES_EVERY = 16

Message = dict[str, object]


class Audience(Protocol):
    """Who listens."""

    def publish(
        self, channel: str, key: str, contents: Message, subaccount_number: int | None = None
    ) -> None:
        """Send one data message to everybody subscribed to it."""
        ...

    def wants(self, channel: str, key: str) -> bool:
        """Whether anybody is subscribed to it."""
        ...


class Feed:
    """Turns world events and the passage of time into channel messages."""

    def __init__(self, indexer: Indexer, audience: Audience) -> None:
        self._indexer = indexer
        self._audience = audience
        self._oracles: dict[str, Decimal] = {}
        self._statuses: dict[str, MarketStatus] = {}
        self._trades: dict[str, int] = {}
        self._books: dict[str, Book] = {}
        self._candles: dict[str, Message | None] = {}
        self._positions: dict[tuple[str, int, str], Message] = {}
        self._oracle_rounds = 0
        self._statistics_rounds = 0
        self._look_around()

    def track(self, channel: str, key: str) -> None:
        """A snapshot was just fetched: later updates are differences from it."""
        if channel == wire.ORDERBOOK and key not in self._books:
            self._books[key] = self._indexer.book(key)
        elif channel == wire.CANDLES and key not in self._candles:
            self._candles[key] = self._newest_candle(key)

    def happened(self, events: Sequence[WorldEvent]) -> None:
        """Publish what these events cause, in their order."""
        told: set[int] = set()
        for index, event in enumerate(events):
            if getattr(event, "venue", None) != DYDX or index in told:
                continue
            if isinstance(event, Filled):
                follows = _order_of(events, index, event)
                if follows is not None:
                    told.add(follows[0])
                self._filled(event, None if follows is None else follows[1])
            elif isinstance(event, OraclesMoved):
                self._oracles_moved(event)
            elif isinstance(event, BlockMade):
                self._block_made(event)
            elif isinstance(event, OrderChanged):
                self._order_changed(event)
            elif isinstance(event, Transferred):
                self._transferred(event)

    def tick(self) -> None:
        """Publish what only time brings: tape, books, candles, statistics, new statuses."""
        for ticker, market in self._indexer.markets.items():
            self._publish_trades(ticker)
            if self._statuses[ticker] is not market.status:
                self._statuses[ticker] = market.status
                self._publish_whole(ticker)
        for ticker in self._books:
            self._publish_book(ticker)
        for key in self._candles:
            self._publish_candle(key)
        self._publish_statistics()

    # -------------------------------------------------------------------------------------- markets

    def _look_around(self) -> None:
        for ticker, market in self._indexer.markets.items():
            self._oracles[ticker] = market.oracle_price
            self._statuses[ticker] = market.status
            self._trades[ticker] = market.next_trade_id
        for address in self._indexer.addresses():
            for number_, pool in self._indexer.pools(address).items():
                for position in pool.positions.values():
                    self._remember(address, number_, position)

    def _oracles_moved(self, event: OraclesMoved) -> None:
        moved = []
        for ticker in event.symbols:
            market = self._indexer.markets[ticker]
            if market.oracle_price != self._oracles[ticker]:
                self._oracles[ticker] = market.oracle_price
                moved.append((market, self._indexer.listings[ticker]))
        if not moved:
            return
        self._oracle_rounds += 1
        merged = self._oracle_rounds % MERGED_ORACLES_EVERY == 0
        for group in [moved] if merged else [[one] for one in moved]:
            self._to_markets(payloads.oracle_update(group, self._indexer.processed))

    def _block_made(self, event: BlockMade) -> None:
        stamp = self._indexer.chain.stamp(event.time_s)
        self._indexer.processed = stamp
        contents: Message = {"blockHeight": str(stamp.height), "time": iso(stamp.time_s)}
        self._audience.publish(wire.BLOCK_HEIGHT, wire.BLOCK_HEIGHT, contents)

    def _publish_trades(self, ticker: str) -> None:
        market = self._indexer.markets[ticker]
        seen, self._trades[ticker] = self._trades[ticker], market.next_trade_id
        if seen == market.next_trade_id or not self._audience.wants(wire.TRADES, ticker):
            return
        fresh = [
            payloads.trade_object(trade, self._indexer.chain.stamp(trade.time_s))
            for trade in market.trades
            if trade.trade_id >= seen
        ]
        self._audience.publish(wire.TRADES, ticker, {"trades": fresh})

    def _publish_book(self, ticker: str) -> None:
        before, after = self._books[ticker], self._indexer.book(ticker)
        self._books[ticker] = after
        if before is after or not self._audience.wants(wire.ORDERBOOK, ticker):
            return
        changes = payloads.book_update(before, after)
        if changes:
            self._audience.publish(wire.ORDERBOOK, ticker, changes)

    def _publish_candle(self, key: str) -> None:
        if not self._audience.wants(wire.CANDLES, key):
            self._candles[key] = None
            return
        fresh = self._newest_candle(key)
        if fresh is not None and fresh != self._candles[key]:
            self._candles[key] = fresh
            self._audience.publish(wire.CANDLES, key, fresh)

    def _newest_candle(self, key: str) -> Message | None:
        ticker, _, resolution = key.partition("/")
        if ticker not in self._indexer.markets:
            return None
        candle = payloads.newest_candle(self._indexer.markets[ticker], resolution)
        if candle is not None:
            # What belongs to the start of the minute must not make it look changed.
            candle = {**candle, "startingOpenInterest": self._starting_interest(key, candle)}
        return candle

    def _starting_interest(self, key: str, candle: Message) -> object:
        before = self._candles.get(key)
        if before is not None and before["startedAt"] == candle["startedAt"]:
            return before["startingOpenInterest"]
        return candle["startingOpenInterest"]

    def _publish_statistics(self) -> None:
        changes = self._indexer.refresh_statistics()
        if not changes:
            return
        self._to_markets({"trading": changes})
        self._statistics_rounds += 1
        if self._statistics_rounds % WHOLE_MARKET_EVERY == 0:
            tickers = list(self._indexer.markets)
            chosen = self._statistics_rounds // WHOLE_MARKET_EVERY
            self._publish_whole(tickers[chosen % len(tickers)])

    def _publish_whole(self, ticker: str) -> None:
        indexer = self._indexer
        whole = payloads.full_trading_object(
            indexer.markets[ticker], indexer.listings[ticker], indexer.statistics[ticker]
        )
        self._to_markets({"trading": {ticker: whole}})

    def _to_markets(self, contents: Message) -> None:
        self._audience.publish(wire.MARKETS, wire.MARKETS, contents)

    # ------------------------------------------------------------------------------------- accounts

    def _filled(self, event: Filled, order: SimOrder | None) -> None:
        address, number_, fill = event.address, int(event.pool), event.fill
        pool = self._indexer.pools(address)[number_]
        position = _position_of(pool, fill.symbol)
        if position is None:
            return
        if order is not None and accounts.is_short_term(order):
            opened = accounts.order_opened(
                address, number_, order, self._indexer.listings[order.symbol], self._indexer.chain
            )
            self._to_account(address, number_, {"orders": [opened]})
        first = self._first_part(address, number_, pool, position, fill)
        cash = accounts.asset_update(address, number_, pool.cash)
        self._to_account(
            address, number_, {"perpetualPositions": [first], "assetPositions": [cash]}
        )
        self._to_account(
            address, number_, self._second_part(address, number_, position, fill, order)
        )
        reward = accounts.trading_reward(fill)
        if reward:
            stamp = self._indexer.chain.stamp(fill.time_s)
            told = {
                "tradingReward": number(reward),
                "createdAt": iso(stamp.time_s),
                "createdAtHeight": str(stamp.height),
            }
            self._to_account(address, number_, {"tradingReward": told})

    def _first_part(
        self, address: str, number_: int, pool: SimPool, position: SimPosition, fill: SimFill
    ) -> Message:
        """The subaccount update: the new size on the old cost basis, and a PnL to match."""
        size = fill.start_position + (fill.size if fill.side == "buy" else -fill.size)
        known = (
            self._positions.get((address, number_, fill.symbol)) if fill.start_position else None
        )
        update = accounts.position_update(address, number_, position)
        basis = known or {
            "entryPrice": "0",
            "exitPrice": None,
            "sumOpen": "0",
            "sumClose": "0",
            "maxSize": number(size),
        }
        for name in ("entryPrice", "exitPrice", "sumOpen", "sumClose", "maxSize"):
            update[name] = basis[name]
        price = pool.markets[fill.symbol].oracle_price
        update["status"] = "OPEN" if size else "CLOSED"
        update["size"] = number(size) if size else accounts.CLOSED_SIZE
        update["realizedPnl"] = number(position.realized_pnl if known else accounts.ZERO)
        update["unrealizedPnl"] = number(size * (price - Decimal(str(update["entryPrice"]))))
        return update

    def _second_part(
        self,
        address: str,
        number_: int,
        position: SimPosition,
        fill: SimFill,
        order: SimOrder | None,
    ) -> Message:
        """The order-fill update: the fill, the repaired cost basis, the order's new state."""
        indexer = self._indexer
        listing = indexer.listings[fill.symbol]
        contents: Message = {
            "fills": [accounts.fill_update(address, number_, fill, listing, indexer.chain)],
            "perpetualPositions": [self._remember(address, number_, position)],
        }
        if order is not None:
            contents["orders"] = [
                accounts.order_update(address, number_, order, listing, indexer.chain)
            ]
        return contents

    def _remember(self, address: str, number_: int, position: SimPosition) -> Message:
        update = accounts.position_update(address, number_, position)
        key = (address, number_, position.symbol)
        if position.size:
            self._positions[key] = update
        else:
            self._positions.pop(key, None)
        return update

    def _order_changed(self, event: OrderChanged) -> None:
        number_, order = int(event.pool), event.order
        listing = self._indexer.listings[order.symbol]
        update = accounts.order_update(event.address, number_, order, listing, self._indexer.chain)
        if update["status"] == "CANCELED":
            # The venue says only what a removal needs.
            names = ("id", "subaccountId", "clientId", "clobPairId", "orderFlags", "status",
                     "ticker", "removalReason")  # fmt: skip
            update = {name: update[name] for name in names}
        self._to_account(event.address, number_, {"orders": [update]})

    def _transferred(self, event: Transferred) -> None:
        address, number_, transfer = event.address, int(event.pool), event.transfer
        pool = self._indexer.pools(address)[number_]
        cash = accounts.asset_update(address, number_, pool.cash)
        self._to_account(address, number_, {"assetPositions": [cash]})
        told = accounts.transfer_update(address, number_, transfer, self._indexer.chain)
        between = accounts.is_between_children(address, number_, transfer)
        self._to_account(address, number_, {"transfers": told}, strip_for_parent=between)

    def _to_account(
        self, address: str, number_: int, contents: Message, *, strip_for_parent: bool = False
    ) -> None:
        """To the subaccount's own channel and to its parent's, where children's transfers among
        themselves leave nothing but the height."""
        told = {**contents, "blockHeight": str(self._indexer.processed.height)}
        self._audience.publish(wire.SUBACCOUNTS, f"{address}/{number_}", told)
        if strip_for_parent:
            told = {"blockHeight": told["blockHeight"]}
        parent = number_ % accounts.CHILDREN_STEP
        self._audience.publish(
            wire.PARENT_SUBACCOUNTS, f"{address}/{parent}", told, subaccount_number=number_
        )


def _order_of(
    events: Sequence[WorldEvent], index: int, filled: Filled
) -> tuple[int, SimOrder] | None:
    """Where the order's new state follows its fill, and that state."""
    last = min(len(events), index + 1 + ORDER_FOLLOWS_WITHIN)
    for later in range(index + 1, last):
        event = events[later]
        if isinstance(event, OrderChanged) and event.order.order_id == filled.fill.order_id:
            return later, event.order
    return None


def _position_of(pool: SimPool, symbol: str) -> SimPosition | None:
    """The position after a fill, also when the fill has closed it."""
    if symbol in pool.positions:
        return pool.positions[symbol]
    closed = (p for p in reversed(pool.closed_positions) if p.symbol == symbol)
    return next(closed, None)
