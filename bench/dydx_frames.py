"""What dYdX's indexer says about the seeded prices: frames of the socket and bodies of REST.

Shapes and key sets as documented: reference sheet of the venue, §1.3 to §1.10 and §2.
"""

from __future__ import annotations

import json
import random
from collections import Counter, deque
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from bench.history import HOUR_MS, closes, settlements
from bench.prices import Asset, Holder, level_size, order_size

LEVELS = 40
BOOKS_PER_CONNECTION = 32
FIRST_HEIGHT = 66_624_132
BLOCK_MS = 647
MARKETS, TRADES, ACCOUNTS = "dydx/markets", "dydx/trades", "dydx/accounts-1"
CONNECTION_ID = "7f0a8f0e-0000-4000-8000-000000000000"


def ticker(asset: Asset) -> str:
    """``BTC-USD``."""
    return f"{asset.name}-USD"


def book_connection(index: int) -> str:
    """The connection that carries the book of the market at ``index``."""
    number = index // BOOKS_PER_CONNECTION
    return MARKETS if number == 0 else f"dydx/books-{number + 1}"


class DydxTalk:
    """The indexer's side: message ids per connection, books, what each account last did."""

    def __init__(
        self, assets: tuple[Asset, ...], holders: tuple[Holder, ...], chance: random.Random
    ) -> None:
        self._assets = assets
        self._holders = holders
        self._chance = chance
        self._ids: Counter[str] = Counter()
        # Level changes that the last moves of the price owe, nearest the touch first.
        self._owed: list[deque[tuple[str, str, str]]] = [deque() for _ in assets]
        self._fills = 0
        self._block_frames = 0
        self.block_connections = sorted(
            {MARKETS, *(book_connection(a.index) for a in assets)}
            | ({ACCOUNTS} if holders else set())
        )
        self.now_ms = 0

    def moved(self, asset: Asset, by: int) -> None:
        """The price moved by one tick: the book follows, level by level."""
        mid = asset.mid
        near, far = level_size(asset, self._chance), level_size(asset, self._chance)
        gone, come = ("asks", "bids") if by > 0 else ("bids", "asks")
        owed = self._owed[asset.index]
        owed.append((gone, asset.text(mid), "0"))
        owed.append((come, asset.text(mid - by), near))
        owed.append((gone, asset.text(mid + by * LEVELS), far))
        owed.append((come, asset.text(mid - by * (LEVELS + 1)), "0"))

    # ------------------------------------------------------------------------------- frames

    def frame(
        self,
        connection: str,
        kind: str,
        channel: str | None = None,
        key: str | None = None,
        contents: object = None,
        version: str = "1.0.0",
        number: int | None = None,
    ) -> bytes:
        """One frame with the connection's next message id."""
        frame: dict[str, object] = {
            "type": kind,
            "connection_id": CONNECTION_ID,
            "message_id": self._ids[connection],
        }
        self._ids[connection] += 1
        if key is not None:
            frame["id"] = key
        if channel is not None:
            frame["channel"] = channel
            if kind == "channel_data":
                frame["version"] = version
            if number is not None:
                frame["subaccountNumber"] = number
            frame["contents"] = contents
        return _text(frame)

    def opening(self) -> list[tuple[str, str, bytes]]:
        """(connection, channel, frame) of everything that comes before the first update."""
        told: list[tuple[str, str, bytes]] = []
        connections = {MARKETS, TRADES, *(book_connection(a.index) for a in self._assets)}
        for connection in sorted(connections | ({ACCOUNTS} if self._holders else set())):
            told.append((connection, "connected", self.frame(connection, "connected")))
            block = {"height": self._height(), "time": self._block_time()}
            if connection != TRADES:
                name = "v4_block_height"
                told.append(
                    (connection, name, self.frame(connection, "subscribed", name, name, block))
                )
        name = "v4_markets"
        told.append((MARKETS, name, self.frame(MARKETS, "subscribed", name, None, self.markets())))
        for asset in self._assets:
            name, connection = "v4_orderbook", book_connection(asset.index)
            levels = range(1, LEVELS + 1)
            contents: dict[str, object] = {
                "bids": [self._level(asset, asset.mid - i) for i in levels],
                "asks": [self._level(asset, asset.mid + i) for i in levels],
            }
            frame = self.frame(connection, "subscribed", name, ticker(asset), contents)
            told.append((connection, name, frame))
            name, contents = "v4_trades", {"trades": [self._trade(asset)]}
            frame = self.frame(TRADES, "subscribed", name, ticker(asset), contents)
            told.append((TRADES, name, frame))
        for holder in self._holders:
            name, key = "v4_parent_subaccounts", f"{holder.address}/0"
            contents = {
                "subaccount": self._parent(holder),
                "orders": [],
                "blockHeight": self._height(),
            }
            frame = self.frame(ACCOUNTS, "subscribed", name, key, contents)
            told.append((ACCOUNTS, name, frame))
        return told

    def block(self) -> tuple[str, str, bytes]:
        """The newest block, on one connection after the other. In a burst it is the same for a
        while: heights go by the clock, or they would run away from what REST says."""
        turn = self._block_frames % len(self.block_connections)
        self._block_frames += 1
        connection, name = self.block_connections[turn], "v4_block_height"
        contents = {"blockHeight": self._height(), "time": self._block_time()}
        return connection, name, self.frame(connection, "channel_data", name, name, contents)

    def orderbook(self, asset: Asset) -> tuple[str, str, bytes]:
        """Up to three levels with their new absolute sizes."""
        owed = self._owed[asset.index]
        changes = [owed.popleft() for _ in range(min(3, len(owed)))]
        if not changes:
            for _ in range(self._chance.randint(1, 2)):
                side, sign = self._chance.choice((("bids", -1), ("asks", 1)))
                price = asset.text(asset.mid + sign * self._chance.randint(1, 8))
                changes.append((side, price, level_size(asset, self._chance)))
        contents: dict[str, list[list[str]]] = {}
        for side, price, size in changes:
            contents.setdefault(side, []).append([price, size])
        name, connection = "v4_orderbook", book_connection(asset.index)
        return (
            connection,
            name,
            self.frame(connection, "channel_data", name, ticker(asset), contents),
        )

    def oracle_prices(self, assets: list[Asset]) -> tuple[str, str, bytes]:
        """Oracle prices of one block."""
        rows = {
            ticker(asset): {
                "oraclePrice": asset.text(asset.mid),
                "effectiveAt": self._block_time(),
                "effectiveAtHeight": self._height(),
                "marketId": asset.index,
            }
            for asset in assets
        }
        name, contents = "v4_markets", {"oraclePrices": rows}
        return MARKETS, name, self.frame(MARKETS, "channel_data", name, None, contents)

    def statistics(self) -> tuple[str, str, bytes]:
        """The half-minute's differences of every market."""
        rows = {ticker(asset): self._statistics(asset) for asset in self._assets}
        name, contents = "v4_markets", {"trading": rows}
        return MARKETS, name, self.frame(MARKETS, "channel_data", name, None, contents)

    def trades(self, asset: Asset) -> tuple[str, str, bytes]:
        """One public trade."""
        name, contents = "v4_trades", {"trades": [self._trade(asset)]}
        frame = self.frame(TRADES, "channel_data", name, ticker(asset), contents, "2.1.0")
        return TRADES, name, frame

    def account(self, holder: Holder) -> tuple[str, str, bytes]:
        """An order placed or moved, or a fill with the position and balance that it leaves, in
        turn: a desk moves its orders at least as often as they are filled."""
        asset = self._chance.choice(holder.held)
        contents: dict[str, object] = {"blockHeight": self._height()}
        if self._chance.random() < 0.5:
            contents["orders"] = [self._order(holder, asset, 0.0)]
        else:
            bought = holder.trade(asset, self._chance)
            contents |= {
                "perpetualPositions": [self._position(holder, asset)],
                "assetPositions": [self._dollars(holder)],
                "orders": [self._order(holder, asset, bought)],
                "fills": [self._fill(holder, asset, bought)],
            }
        name, key = "v4_parent_subaccounts", f"{holder.address}/0"
        frame = self.frame(ACCOUNTS, "channel_data", name, key, contents, "3.0.0", 0)
        return ACCOUNTS, name, frame

    # ------------------------------------------------------------------------------- bodies

    def body(self, url: str) -> bytes:
        """The answer to a GET."""
        path = url.partition("/v4")[2].partition("?")[0]
        if path.startswith("/historicalFunding/"):
            return _text({"historicalFunding": self._settlements(path, url)})
        if path.startswith("/candles/"):
            return _text({"candles": self._candles(path, url)})
        address = next((h for h in self._holders if h.address in url), None)
        bodies: dict[str, object] = {
            "/perpetualMarkets": self.markets(),
            "/height": {"height": self._height(), "time": self._time()},
            "/time": {"iso": self._time(), "epoch": self.now_ms / 1000.0},
            "/orders/parentSubaccountNumber": [],
            "/fills/parentSubaccountNumber": {"fills": []},
            "/transfers": {"transfers": []},
            "/fundingPayments/parentSubaccount": {"fundingPayments": []},
        }
        if path in bodies:
            return _text(bodies[path])
        if path.startswith("/compliance"):
            return _text({"status": "COMPLIANT", "reason": None, "updatedAt": self._time()})
        if address is None:
            raise ValueError(f"nothing to answer {url}")
        if path.endswith("/parentSubaccountNumber/0"):
            return _text({"subaccount": self._parent(address)})
        return _text({"subaccounts": [self._child(address)], "totalTradingRewards": "0"})

    def markets(self) -> dict[str, object]:
        """Every market whole."""
        return {"markets": {ticker(asset): self._market(asset) for asset in self._assets}}

    # --------------------------------------------------------------------------------- rows

    def _market(self, asset: Asset) -> dict[str, object]:
        return {
            "clobPairId": str(asset.index), "ticker": ticker(asset), "status": "ACTIVE",
            "oraclePrice": asset.text(asset.mid), **self._statistics(asset),
            "initialMarginFraction": "0.05", "maintenanceMarginFraction": "0.03",
            "atomicResolution": -9, "quantumConversionExponent": -9,
            "tickSize": f"{asset.tick:.{asset.digits}f}", "stepSize": "0.0001",
            "stepBaseQuantums": 1000000, "subticksPerTick": 100000, "marketType": "CROSS",
            "openInterestLowerCap": "0", "openInterestUpperCap": "0",
            "baseOpenInterest": "900.1", "defaultFundingRate1H": "0",
        }  # fmt: skip

    def _statistics(self, asset: Asset) -> dict[str, object]:
        return {
            "priceChange24H": f"{asset.price * 0.01:.5f}", "volume24H": "1000000.5",
            "trades24H": self._chance.randint(1000, 2000),
            "nextFundingRate": f"{self._chance.gauss(0.0, 5e-6):.18f}",
            "openInterest": f"{1e6 / asset.price:.4f}",
        }  # fmt: skip

    def _level(self, asset: Asset, ticks: int) -> dict[str, str]:
        return {"price": asset.text(ticks), "size": level_size(asset, self._chance)}

    def _trade(self, asset: Asset) -> dict[str, object]:
        return {
            "id": f"{self._chance.getrandbits(96):024x}",
            "side": self._chance.choice(("BUY", "SELL")),
            "size": level_size(asset, self._chance), "price": asset.text(asset.mid),
            "type": "LIMIT", "createdAt": self._block_time(), "createdAtHeight": self._height(),
        }  # fmt: skip

    def _position(self, holder: Holder, asset: Asset) -> dict[str, object]:
        size = holder.sizes[asset.name]
        return {
            "address": holder.address, "subaccountNumber": 0,
            "positionId": f"6b3f0fd5-aaaa-5bbb-8ccc-{asset.index:012d}", "market": ticker(asset),
            "side": "LONG" if size >= 0 else "SHORT", "status": "OPEN", "size": f"{size:.4f}",
            "maxSize": f"{size:.4f}", "netFunding": "-1.25",
            "entryPrice": asset.text(asset.mid), "exitPrice": None, "sumOpen": "3",
            "sumClose": "0", "realizedPnl": "0", "unrealizedPnl": "0.5",
        }  # fmt: skip

    def _dollars(self, holder: Holder) -> dict[str, object]:
        return {
            "address": holder.address, "subaccountNumber": 0,
            "positionId": "2d9c7b1e-aaaa-5bbb-8ccc-000000000000", "assetId": "0",
            "symbol": "USDC", "side": "LONG" if holder.cash >= 0 else "SHORT",
            "size": f"{abs(holder.cash):.6f}",
        }  # fmt: skip

    def _order(self, holder: Holder, asset: Asset, bought: float) -> dict[str, object]:
        return {
            "id": f"0f0e7d2a-aaaa-5bbb-8ccc-{asset.index:012d}",
            "subaccountId": "8586bcf6-1f58-5ec9-a0bc-e53db273e7b0", "clientId": "77",
            "clobPairId": str(asset.index), "side": "BUY" if bought >= 0 else "SELL",
            "size": order_size(asset), "totalFilled": f"{abs(bought):.4f}",
            "price": asset.text(asset.mid),
            "type": "LIMIT", "status": "OPEN", "timeInForce": "GTT", "reduceOnly": False,
            "orderFlags": "64", "goodTilBlockTime": self._time(), "postOnly": False,
            "ticker": ticker(asset), "createdAtHeight": self._height(), "clientMetadata": "0",
            "updatedAt": self._time(), "updatedAtHeight": self._height(),
        }  # fmt: skip

    def _fill(self, holder: Holder, asset: Asset, bought: float) -> dict[str, object]:
        self._fills += 1
        return {
            "id": f"a1b2c3d4-aaaa-5bbb-8ccc-{self._fills:012d}", "fee": "0.05",
            "side": "BUY" if bought >= 0 else "SELL", "size": f"{abs(bought):.4f}",
            "type": "LIMIT", "price": asset.text(asset.mid), "eventId": f"{self._fills:024x}",
            "orderId": f"0f0e7d2a-aaaa-5bbb-8ccc-{asset.index:012d}",
            "createdAt": self._block_time(),
            "createdAtHeight": self._height(), "liquidity": "MAKER",
            "clobPairId": str(asset.index),
            "quoteAmount": f"{abs(bought) * asset.price:.6f}",
            "subaccountId": "8586bcf6-1f58-5ec9-a0bc-e53db273e7b0", "clientMetadata": "0",
            "transactionHash": f"{self._fills:064X}", "affiliateRevShare": "0",
            "ticker": ticker(asset),
        }  # fmt: skip

    def _child(self, holder: Holder) -> dict[str, object]:
        held = {}
        for asset in holder.held:
            row = self._position(holder, asset)
            row |= {"createdAt": self._time(), "createdAtHeight": "1", "closedAt": None}
            held[ticker(asset)] = row
        return {
            "address": holder.address, "subaccountNumber": 0,
            "equity": f"{holder.equity:.6f}", "freeCollateral": f"{holder.equity * 0.9:.6f}",
            "openPerpetualPositions": held, "assetPositions": {"USDC": self._dollars(holder)},
            "marginEnabled": True, "updatedAtHeight": self._height(),
            "latestProcessedBlockHeight": self._height(),
        }  # fmt: skip

    def _parent(self, holder: Holder) -> dict[str, object]:
        child = self._child(holder)
        return {
            "address": holder.address, "parentSubaccountNumber": 0, "equity": child["equity"],
            "freeCollateral": child["freeCollateral"], "childSubaccounts": [child],
        }  # fmt: skip

    def _settlements(self, path: str, url: str) -> list[dict[str, object]]:
        asset, (limit, before_ms) = self._asset(path), _page(url, self.now_ms)
        rows = settlements(asset, before_ms - limit * HOUR_MS, before_ms, self.now_ms)
        return [
            {
                "ticker": ticker(asset), "rate": rate, "price": asset.text(asset.mid),
                "effectiveAt": _iso(at_ms), "effectiveAtHeight": self._height(),
            }
            for at_ms, rate in rows[:limit]
        ]  # fmt: skip

    def _candles(self, path: str, url: str) -> list[dict[str, object]]:
        asset, (limit, before_ms) = self._asset(path), _page(url, self.now_ms)
        bars = closes(asset, before_ms - limit * HOUR_MS, before_ms - 1, self.now_ms)
        return [
            {
                "startedAt": _iso(at_ms), "ticker": ticker(asset), "resolution": "1HOUR",
                "low": close, "high": close, "open": close, "close": close,
                "baseTokenVolume": "10.5", "usdVolume": "100.5", "trades": 7,
                "startingOpenInterest": "900.1",
            }
            for at_ms, close in bars[:limit]
        ]  # fmt: skip

    def _asset(self, path: str) -> Asset:
        name = path.rpartition("/")[2]
        return next(asset for asset in self._assets if ticker(asset) == name)

    def _height(self) -> str:
        return str(FIRST_HEIGHT + self.now_ms // BLOCK_MS % 10_000_000)

    def _block_time(self) -> str:
        return _iso(self.now_ms // BLOCK_MS * BLOCK_MS)

    def _time(self) -> str:
        return _iso(self.now_ms)


def _iso(at_ms: int) -> str:
    text = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{at_ms % 1000:03d}Z"


def _page(url: str, now_ms: int) -> tuple[int, int]:
    """How many rows a question is for, and before when."""
    asked = parse_qs(urlsplit(url).query)
    before = next(
        (asked[name][0] for name in ("effectiveBeforeOrAt", "toISO") if name in asked), ""
    )
    before_ms = round(datetime.fromisoformat(before).timestamp() * 1000) if before else now_ms
    return int(asked.get("limit", ["100"])[0]), min(before_ms, now_ms)


def _text(told: object) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()
