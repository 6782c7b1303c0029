"""What Hyperliquid says about the seeded prices: frames of the socket and bodies of ``/info``.

Shapes and key sets as documented: reference sheet of the venue, §1.6, §1.7, §2.2 to §2.5. Books are
aggregated to two ticks, as the daemon subscribes them, and so state a ``spread``. The cross-section
is as long as the recorded one: beside the assets that move there are markets that nobody watches.
"""

from __future__ import annotations

import json
import random
from typing import Any

from bench.history import HOUR_MS, closes, settlements
from bench.prices import Asset, Holder, level_size, order_size

LEVELS = 20
COINS_PER_CONNECTION = 100
CONNECTIONS_MAX = 10
MAX_LEVERAGE = 40
# The venue allows 1,000 subscriptions: so many coins have three channels each, so many their public
# trades. Further markets are known by the cross-section alone.
WATCHED_MAX = 280
TRADED_MAX = 60
TRADES = "hyperliquid/trades"
# How many contexts each dex had when a cross-section was recorded (May 2026), and how many of the
# first dex's were of delisted markets.
RECORDED = {
    "": 230, "abcd": 1, "cash": 17, "flx": 16, "hyna": 25, "km": 23, "para": 5, "vntl": 15,
    "xyz": 80,
}  # fmt: skip
ROWS_MAX = 500  # of funding history
FILLED = 0.05 / 1.09  # fills to pushes of the state, in the mix
FUNDING_MOVES = 1.01 / 5.0  # the estimate is another about every 5 s (sheet, §3)
DELISTED_EVERY = 230 // 51
Question = dict[str, Any]


class HyperliquidTalk:
    """The venue's side; every frame is whole in itself, so it keeps nothing."""

    def __init__(
        self, assets: tuple[Asset, ...], holders: tuple[Holder, ...], chance: random.Random
    ) -> None:
        self._assets = assets
        self._holders = holders
        self._chance = chance
        watched = min(len(assets), WATCHED_MAX)
        self._connections = min(CONNECTIONS_MAX - len(holders), -(-watched // COINS_PER_CONNECTION))
        self._trade_id = 0
        self._funding: dict[str, str] = {}
        self._elsewhere = [Asset(index) for index in range(max(RECORDED.values()))]
        self._unwatched = [Asset(index) for index in range(len(assets), RECORDED[""])]
        self._named = {asset.name: asset for asset in (*self._unwatched, *assets)}
        self.now_ms = 0

    @property
    def listed(self) -> int:
        """How many markets the first dex has."""
        return len(self._assets) + len(self._unwatched)

    def connection(self, asset: Asset) -> str:
        """The market connection that a coin falls to."""
        index = min(asset.index // COINS_PER_CONNECTION, self._connections - 1)
        return f"hyperliquid/market-{index + 1}"

    def opening(self) -> list[tuple[str, str, bytes]]:
        """(connection, channel, frame) of all contexts, then each account's state."""
        return [self.contexts(), *(self.account(holder) for holder in self._holders)]

    def contexts(self) -> tuple[str, str, bytes]:
        """``allDexsAssetCtxs``: the cross-section, on the first market connection."""
        name = "allDexsAssetCtxs"
        dexes = [["", self._first_dex()]]
        for dex, count in RECORDED.items():
            if dex:
                dexes.append([dex, [self._context(asset) for asset in self._elsewhere[:count]]])
        return "hyperliquid/market-1", name, _frame(name, {"ctxs": dexes})

    def _first_dex(self) -> list[object]:
        traded: list[object] = [self._context(asset) for asset in self._assets]
        return traded + [
            self._empty(asset) if _is_delisted(asset) else self._context(asset)
            for asset in self._unwatched
        ]

    def best_prices(self, asset: Asset) -> tuple[str, str, bytes]:
        """``bbo``."""
        sides = [self._level(asset, asset.mid - 1), self._level(asset, asset.mid + 1)]
        data = {"coin": asset.name, "time": self.now_ms, "bbo": sides}
        return self.connection(asset), "bbo", _frame("bbo", data)

    def book(self, asset: Asset) -> tuple[str, str, bytes]:
        """``l2Book``: twenty levels a side, two ticks wide."""
        bid, ask = (asset.mid - 1) // 2 * 2, -(-(asset.mid + 1) // 2) * 2
        data = {
            "coin": asset.name,
            "time": self.now_ms,
            "levels": [
                [self._level(asset, bid - 2 * i) for i in range(LEVELS)],
                [self._level(asset, ask + 2 * i) for i in range(LEVELS)],
            ],
            "spread": asset.text(ask - bid),
        }
        return self.connection(asset), "l2Book", _frame("l2Book", data)

    def context(self, asset: Asset) -> tuple[str, str, bytes]:
        """``activeAssetCtx``."""
        data = {"coin": asset.name, "ctx": self._context(asset)}
        return self.connection(asset), "activeAssetCtx", _frame("activeAssetCtx", data)

    def trades(self, asset: Asset) -> tuple[str, str, bytes]:
        """Two public trades."""
        return TRADES, "trades", _frame("trades", [self._trade(asset), self._trade(asset)])

    def account(self, holder: Holder) -> tuple[str, str, bytes]:
        """``allDexsClearinghouseState`` at the present prices; as often as the desk is filled,
        after a position changed a little."""
        if self._chance.random() < FILLED:
            holder.trade(self._chance.choice(holder.held), self._chance)
        name = "allDexsClearinghouseState"
        data = {"user": holder.address, "clearinghouseStates": [["", self.state(holder)]]}
        return f"hyperliquid/user-{holder.alias}", name, _frame(name, data)

    def open_orders(self, holder: Holder) -> tuple[str, str, bytes]:
        """``openOrders``: the whole list after one of them moved."""
        name = "openOrders"
        data = {"dex": "", "user": holder.address, "orders": self._orders(holder)}
        return f"hyperliquid/user-{holder.alias}", name, _frame(name, data)

    def order_update(self, holder: Holder) -> tuple[str, str, bytes]:
        """``orderUpdates``: one order that was moved."""
        order = self._order(self._chance.choice(holder.held), frontend=False)
        data = [{"order": order, "status": "open", "statusTimestamp": self.now_ms}]
        return f"hyperliquid/user-{holder.alias}", "orderUpdates", _frame("orderUpdates", data)

    def fills(self, holder: Holder) -> tuple[str, str, bytes]:
        """``userFills``: one execution."""
        data = {"user": holder.address, "fills": [self._fill(self._chance.choice(holder.held))]}
        return f"hyperliquid/user-{holder.alias}", "userFills", _frame("userFills", data)

    def user_event(self, holder: Holder) -> tuple[str, str, bytes]:
        """``user``: the same over the channel of everything else."""
        data = {"fills": [self._fill(self._chance.choice(holder.held))]}
        return f"hyperliquid/user-{holder.alias}", "user", _frame("user", data)

    # ------------------------------------------------------------------------------- bodies

    def body(self, question: Question) -> bytes:
        """The answer to a POST of ``/info``."""
        kind = str(question["type"])
        if kind == "fundingHistory":
            return _text(self._settlements(question))
        if kind == "candleSnapshot":
            return _text(self._candles(question["req"]))
        holder = next((h for h in self._holders if h.address == question.get("user")), None)
        bodies: dict[str, object] = {
            "perpDexs": [None],
            "metaAndAssetCtxs": [self._meta(), self._first_dex()],
            "exchangeStatus": {"specialStatuses": None, "time": self.now_ms},
            "userRole": {"role": "user"},
            "userAbstraction": "default",
            "userRateLimit": {"cumVlm": "357.45", "nRequestsUsed": 10, "nRequestsCap": 10357},
            "spotClearinghouseState": {"balances": []},
            "spotMeta": {"universe": [], "tokens": []},
            "allMids": {asset.name: asset.text(asset.mid) for asset in self._assets},
        }
        if kind == "clearinghouseState" and holder is not None:
            return _text(self.state(holder))
        if kind == "frontendOpenOrders" and holder is not None:
            return _text(self._orders(holder))
        return _text(bodies.get(kind, []))

    def state(self, holder: Holder) -> dict[str, object]:
        """``clearinghouseState``; equity is cash and positions at the mark."""
        positions, notional = [], 0.0
        for asset in holder.held:
            size = holder.sizes[asset.name]
            value = abs(size) * asset.price
            notional += value
            positions.append({"type": "oneWay", "position": _position(asset, size, value)})
        margin = {
            "accountValue": f"{holder.equity:.6f}", "totalNtlPos": f"{notional:.6f}",
            "totalRawUsd": f"{holder.cash:.6f}", "totalMarginUsed": f"{notional / 20:.6f}",
        }  # fmt: skip
        return {
            "marginSummary": margin, "crossMarginSummary": margin,
            "crossMaintenanceMarginUsed": f"{notional / (2 * MAX_LEVERAGE):.6f}",
            "withdrawable": f"{holder.equity - notional / 10:.6f}",
            "assetPositions": positions, "time": self.now_ms,
        }  # fmt: skip

    # --------------------------------------------------------------------------------- rows

    def _level(self, asset: Asset, ticks: int) -> dict[str, object]:
        return {"px": asset.text(ticks), "sz": level_size(asset, self._chance), "n": 3}

    def _context(self, asset: Asset) -> dict[str, object]:
        price = asset.text(asset.mid)
        if asset.name not in self._funding or self._chance.random() < FUNDING_MOVES:
            self._funding[asset.name] = f"{self._chance.gauss(0.0, 5e-6):.10f}"
        return {
            "funding": self._funding[asset.name],
            "openInterest": f"{self._chance.uniform(1.9e6, 2e6) / asset.price:.5f}",
            "prevDayPx": price, "dayNtlVlm": f"{self._chance.uniform(4.1e9, 4.2e9):.10f}",
            "premium": "-0.0006413454", "oraclePx": price,
            "markPx": price, "midPx": price,
            "impactPxs": [asset.text(asset.mid - 1), asset.text(asset.mid + 1)],
            "dayBaseVlm": "49116.08533",
        }  # fmt: skip

    def _empty(self, asset: Asset) -> dict[str, object]:
        price = asset.text(asset.mid)
        return {
            "funding": "0.0", "openInterest": "0.0", "prevDayPx": price, "dayNtlVlm": "0.0",
            "premium": None, "oraclePx": price, "markPx": price, "midPx": None,
            "impactPxs": None, "dayBaseVlm": "0.0",
        }  # fmt: skip

    def _orders(self, holder: Holder) -> list[dict[str, object]]:
        return [self._order(asset, frontend=True) for asset in holder.held]

    def _order(self, asset: Asset, *, frontend: bool) -> dict[str, object]:
        order: dict[str, object] = {
            "coin": asset.name, "side": "B", "limitPx": asset.text(asset.mid - 20),
            "sz": order_size(asset), "oid": 257_770_947_000 + asset.index,
            "timestamp": self.now_ms, "origSz": order_size(asset),
            "cloid": f"0x{asset.index:032x}",
        }  # fmt: skip
        if frontend:
            order |= {
                "triggerCondition": "N/A", "isTrigger": False, "triggerPx": "0.0", "children": [],
                "isPositionTpsl": False, "reduceOnly": False, "orderType": "Limit", "tif": "Gtc",
            }  # fmt: skip
        return order

    def _fill(self, asset: Asset) -> dict[str, object]:
        self._trade_id += 1
        return {
            "coin": asset.name, "px": asset.text(asset.mid),
            "sz": level_size(asset, self._chance), "side": "B", "time": self.now_ms,
            "startPosition": "1.5", "dir": "Open Long", "closedPnl": "0.0",
            "hash": f"0x{self._chance.getrandbits(256):064x}", "oid": 257_770_947_000 + asset.index,
            "crossed": False, "fee": "0.047504", "tid": self._trade_id, "feeToken": "USDC",
            "twapId": None,
        }  # fmt: skip

    def _trade(self, asset: Asset) -> dict[str, object]:
        self._trade_id += 1
        return {
            "coin": asset.name, "side": self._chance.choice("AB"), "px": asset.text(asset.mid),
            "sz": level_size(asset, self._chance), "time": self.now_ms,
            "hash": f"0x{self._chance.getrandbits(256):064x}", "tid": self._trade_id,
            "users": ["0x" + "11" * 20, "0x" + "22" * 20],
        }  # fmt: skip

    def _meta(self) -> dict[str, object]:
        universe: list[dict[str, object]] = [
            {
                "name": asset.name, "szDecimals": 4, "maxLeverage": MAX_LEVERAGE,
                "marginTableId": MAX_LEVERAGE,
            }
            for asset in (*self._assets, *self._unwatched)
        ]  # fmt: skip
        for row, asset in zip(universe[len(self._assets) :], self._unwatched, strict=True):
            if _is_delisted(asset):
                row["isDelisted"] = True
        return {"universe": universe, "marginTables": [], "collateralToken": 0}

    def _settlements(self, question: Question) -> list[dict[str, object]]:
        asset = self._named[question["coin"]]
        rows = settlements(asset, question["startTime"], self.now_ms, self.now_ms)[::-1]
        return [
            {"coin": asset.name, "fundingRate": rate, "premium": "0.0001", "time": at_ms}
            for at_ms, rate in rows[:ROWS_MAX]
        ]

    def _candles(self, asked: Question) -> list[dict[str, object]]:
        asset = self._named[asked["coin"]]
        bars = closes(asset, asked["startTime"], asked["endTime"], self.now_ms)
        return [
            {
                "t": at_ms, "T": at_ms + HOUR_MS - 1, "s": asset.name, "i": "1h", "o": close,
                "c": close, "h": close, "l": close, "v": "10.5", "n": 7,
            }
            for at_ms, close in bars[::-1]
        ]  # fmt: skip


def _is_delisted(asset: Asset) -> bool:
    return asset.index % DELISTED_EVERY == 0


def _position(asset: Asset, size: float, value: float) -> dict[str, object]:
    return {
        "coin": asset.name, "szi": f"{size:.4f}", "leverage": {"type": "cross", "value": 20},
        "entryPx": asset.text(asset.mid), "positionValue": f"{value:.6f}",
        "unrealizedPnl": "1.5", "returnOnEquity": "0.01", "liquidationPx": None,
        "marginUsed": f"{value / 20:.6f}", "maxLeverage": MAX_LEVERAGE,
        "cumFunding": {"allTime": "0.1", "sinceOpen": "0.1", "sinceChange": "0.0"},
    }  # fmt: skip


def _frame(channel: str, data: object) -> bytes:
    return _text({"channel": channel, "data": data})


def _text(told: object) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()
