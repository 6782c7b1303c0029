"""What Hyperliquid says about the seeded prices: frames of the socket and bodies of ``/info``.

Shapes and key sets as documented: reference sheet of the venue, §1.6, §1.7, §2.2 to §2.5. Books are
aggregated to two ticks, as the daemon subscribes them, and so state a ``spread``.
"""

from __future__ import annotations

import json
import random

from bench.prices import Asset, Holder, level_size

LEVELS = 20
COINS_PER_CONNECTION = 100
CONNECTIONS_MAX = 10
MAX_LEVERAGE = 40
# The venue allows 1,000 subscriptions: so many coins have three channels each, so many their public
# trades. Further markets are known by the cross-section alone.
WATCHED_MAX = 280
TRADED_MAX = 60
TRADES = "hyperliquid/trades"


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
        self.now_ms = 0

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
        contexts = [self._context(asset) for asset in self._assets]
        return "hyperliquid/market-1", name, _frame(name, {"ctxs": [["", contexts]]})

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
        """``allDexsClearinghouseState`` after one position changed a little."""
        holder.trade(self._chance.choice(holder.held), self._chance)
        name = "allDexsClearinghouseState"
        data = {"user": holder.address, "clearinghouseStates": [["", self.state(holder)]]}
        return f"hyperliquid/user-{holder.alias}", name, _frame(name, data)

    # ------------------------------------------------------------------------------- bodies

    def body(self, question: dict[str, str]) -> bytes:
        """The answer to a POST of ``/info``."""
        kind = question["type"]
        holder = next((h for h in self._holders if h.address == question.get("user")), None)
        bodies: dict[str, object] = {
            "perpDexs": [None],
            "metaAndAssetCtxs": [self._meta(), [self._context(asset) for asset in self._assets]],
            "exchangeStatus": {"specialStatuses": None, "time": self.now_ms},
            "fundingHistory": [self._settlement(question.get("coin", ""))],
            "userRole": {"role": "user"},
            "userAbstraction": "default",
            "userRateLimit": {"cumVlm": "357.45", "nRequestsUsed": 10, "nRequestsCap": 10357},
            "spotClearinghouseState": {"balances": []},
            "spotMeta": {"universe": [], "tokens": []},
            "allMids": {asset.name: asset.text(asset.mid) for asset in self._assets},
        }
        if kind == "clearinghouseState" and holder is not None:
            return _text(self.state(holder))
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
        return {
            "funding": f"{self._chance.gauss(0.0, 5e-6):.10f}",
            "openInterest": f"{2e6 / asset.price:.5f}", "prevDayPx": price,
            "dayNtlVlm": "4161029539.9695", "premium": "-0.0006413454", "oraclePx": price,
            "markPx": price, "midPx": price,
            "impactPxs": [asset.text(asset.mid - 1), asset.text(asset.mid + 1)],
            "dayBaseVlm": "49116.08533",
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
        universe = [
            {
                "name": asset.name, "szDecimals": 4, "maxLeverage": MAX_LEVERAGE,
                "marginTableId": MAX_LEVERAGE,
            }
            for asset in self._assets
        ]  # fmt: skip
        return {"universe": universe, "marginTables": [], "collateralToken": 0}

    def _settlement(self, coin: str) -> dict[str, object]:
        hour_ms = self.now_ms // 3_600_000 * 3_600_000
        return {"coin": coin, "fundingRate": "0.0000031", "premium": "0.0001", "time": hour_ms}


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
