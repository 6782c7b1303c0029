"""A seeded stream of both venues' frames, in the documented shapes and a realistic mix.

The mix follows what a desk that watches 20 markets per venue receives: mostly book and context
frames, some account frames. It is synthetic; shapes match the documented ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

START_MS = 1_790_000_000_000
HL_USER = "0x" + "ab" * 20
DYDX_USER = "dydx1riskdbenchriskdbenchriskdbenchriskdben"
ASSETS = (
    "BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "LINK", "LTC", "ADA", "DOT",
    "BNB", "ATOM", "ARB", "OP", "SUI", "APT", "NEAR", "TIA", "SEI", "INJ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """One WebSocket frame: who sent it, on which channel, and its bytes."""

    venue: str
    channel: str
    data: bytes


class Stream:
    """The generator's state: drifting prices, dYdX message ids, positions."""

    def __init__(self, seed: int, markets: int = 20) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a reproducible stream, not a secret
        names = [ASSETS[i] if i < len(ASSETS) else f"C{i}" for i in range(markets)]
        self.assets = tuple(names)
        self._price = {name: 50_000.0 / (1.6**i) + 1.0 for i, name in enumerate(names[:20])}
        self._price |= {name: 1.0 + i for i, name in enumerate(names[20:])}
        self._message_id = 0
        self._now_ms = START_MS
        self._makers: tuple[tuple[float, Callable[[], Frame]], ...] = (
            (0.30, self._dydx_orderbook),
            (0.12, self._dydx_markets),
            (0.04, self._dydx_trades),
            (0.034, self._dydx_account),
            (0.19, self._hl_bbo),
            (0.14, self._hl_book),
            (0.10, self._hl_context),
            (0.05, self._hl_trades),
            (0.026, self._hl_account),
        )

    def opening(self) -> Iterator[Frame]:
        """What comes first on real sockets: snapshots and acknowledgements."""
        yield self._dydx("connected", None, None, None, raw={"type": "connected"})
        markets = {f"{name}-USD": self._dydx_market(name) for name in self.assets}
        yield self._dydx("subscribed", "v4_markets", None, {"markets": markets})
        for name in self.assets:
            bids, asks = self._levels(name, 40)
            contents = {
                "bids": [{"price": p, "size": s} for p, s in bids],
                "asks": [{"price": p, "size": s} for p, s in asks],
            }
            yield self._dydx("subscribed", "v4_orderbook", f"{name}-USD", contents)

    def frames(self, count: int) -> list[Frame]:
        """``count`` frames of the mix."""
        makers = [maker for _, maker in self._makers]
        weights = [weight for weight, _ in self._makers]
        chosen = self._random.choices(makers, weights, k=count)
        return [maker() for maker in chosen]

    def _step(self) -> str:
        self._now_ms += 3
        name = self._random.choice(self.assets)
        self._price[name] *= 1.0 + self._random.gauss(0.0, 0.0002)
        return name

    def _tick(self, name: str) -> str:
        return f"{self._price[name]:.6g}"

    def _levels(self, name: str, count: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        mid = self._price[name]
        size = self._random.uniform
        bids = [(f"{mid * (1 - 1e-4 * (i + 1)):.6g}", f"{size(0.1, 9):.4f}") for i in range(count)]
        asks = [(f"{mid * (1 + 1e-4 * (i + 1)):.6g}", f"{size(0.1, 9):.4f}") for i in range(count)]
        return bids, asks

    # ------------------------------------------------------------------------------- dYdX

    def _dydx(
        self,
        kind: str,
        channel: str | None,
        key: str | None,
        contents: object,
        raw: dict[str, object] | None = None,
    ) -> Frame:
        frame: dict[str, object] = {
            "type": kind,
            "connection_id": "7f0a8f0e-0000-4000-8000-000000000000",
            "message_id": self._message_id,
        }
        self._message_id += 1
        if raw is None:
            frame["channel"] = channel
            if key:
                frame["id"] = key
            if kind == "channel_data":
                frame["version"] = "1.0.0"
            frame["contents"] = contents
        return Frame("dydx", channel or kind, json.dumps(frame, separators=(",", ":")).encode())

    def _dydx_market(self, name: str) -> dict[str, object]:
        return {
            "clobPairId": str(self.assets.index(name)), "ticker": f"{name}-USD",
            "status": "ACTIVE", "oraclePrice": self._tick(name), "priceChange24H": "1.5",
            "volume24H": "1000000.5", "trades24H": 1000, "nextFundingRate": "0.0000125",
            "initialMarginFraction": "0.05", "maintenanceMarginFraction": "0.03",
            "openInterest": "1000.5", "atomicResolution": -9, "quantumConversionExponent": -9,
            "tickSize": "0.01", "stepSize": "0.001", "stepBaseQuantums": 1000000,
            "subticksPerTick": 100000, "marketType": "CROSS", "openInterestLowerCap": "0",
            "openInterestUpperCap": "0", "baseOpenInterest": "900.1", "defaultFundingRate1H": "0",
        }  # fmt: skip

    def _dydx_orderbook(self) -> Frame:
        name = self._step()
        side = self._random.choice(("bids", "asks"))
        bids, asks = self._levels(name, 4)
        levels = self._random.sample(bids if side == "bids" else asks, 2)
        if self._random.random() < 0.3:
            levels[0] = (levels[0][0], "0")
        return self._dydx("channel_data", "v4_orderbook", f"{name}-USD", {side: levels})

    def _dydx_markets(self) -> Frame:
        names = {self._step() for _ in range(self._random.randint(1, 8))}
        prices = {
            f"{name}-USD": {
                "oraclePrice": self._tick(name),
                "effectiveAt": "2026-09-24T06:31:57.825Z",
                "effectiveAtHeight": "66624132",
                "marketId": self.assets.index(name),
            }
            for name in sorted(names)
        }
        return self._dydx("channel_data", "v4_markets", None, {"oraclePrices": prices})

    def _dydx_trades(self) -> Frame:
        name = self._step()
        trade = {
            "id": f"{self._message_id:024x}", "side": self._random.choice(("BUY", "SELL")),
            "size": "0.25", "price": self._tick(name), "type": "LIMIT",
            "createdAt": "2026-09-24T06:31:57.825Z", "createdAtHeight": "66624132",
        }  # fmt: skip
        return self._dydx("channel_data", "v4_trades", f"{name}-USD", {"trades": [trade]})

    def _dydx_account(self) -> Frame:
        names = self._random.sample(self.assets, min(3, len(self.assets)))
        positions = [
            {
                "address": DYDX_USER, "subaccountNumber": 0, "positionId": f"p-{name}",
                "market": f"{name}-USD", "side": "LONG", "status": "OPEN",
                "size": f"{self._random.uniform(0.1, 3):.3f}", "maxSize": "3",
                "netFunding": "-1.25", "entryPrice": self._tick(name), "exitPrice": None,
                "sumOpen": "3", "sumClose": "0", "realizedPnl": "0", "unrealizedPnl": "0.5",
            }
            for name in names
        ]  # fmt: skip
        asset = {
            "address": DYDX_USER, "subaccountNumber": 0, "positionId": "usdc", "assetId": "0",
            "symbol": "USDC", "side": "LONG", "size": "250000.25",
        }  # fmt: skip
        contents = {
            "perpetualPositions": positions, "assetPositions": [asset], "blockHeight": "66624132",
        }  # fmt: skip
        return self._dydx("channel_data", "v4_subaccounts", f"{DYDX_USER}/0", contents)

    # ------------------------------------------------------------------------ Hyperliquid

    def _hl(self, channel: str, data: object) -> Frame:
        text = json.dumps({"channel": channel, "data": data}, separators=(",", ":"))
        return Frame("hyperliquid", channel, text.encode())

    def _hl_bbo(self) -> Frame:
        name = self._step()
        bids, asks = self._levels(name, 1)
        sides = [{"px": p, "sz": s, "n": 3} for p, s in (bids[0], asks[0])]
        return self._hl("bbo", {"coin": name, "time": self._now_ms, "bbo": sides})

    def _hl_book(self) -> Frame:
        name = self._step()
        sides = [[{"px": p, "sz": s, "n": 3} for p, s in side] for side in self._levels(name, 20)]
        return self._hl("l2Book", {"coin": name, "time": self._now_ms, "levels": sides})

    def _hl_context(self) -> Frame:
        name = self._step()
        price = self._tick(name)
        ctx = {
            "funding": f"{self._random.gauss(1.25e-5, 1e-5):.10f}", "openInterest": "36585.31848",
            "prevDayPx": price, "dayNtlVlm": "4161029539.96", "premium": "-0.0006413454",
            "oraclePx": price, "markPx": price, "midPx": price, "impactPxs": [price, price],
            "dayBaseVlm": "49116.08533",
        }  # fmt: skip
        return self._hl("activeAssetCtx", {"coin": name, "ctx": ctx})

    def _hl_trades(self) -> Frame:
        name = self._step()
        trade = {
            "coin": name, "side": self._random.choice("AB"), "px": self._tick(name), "sz": "0.5",
            "time": self._now_ms, "hash": "0x" + "00" * 32, "tid": self._message_id,
            "users": [HL_USER, HL_USER],
        }  # fmt: skip
        return self._hl("trades", [trade, trade])

    def _hl_account(self) -> Frame:
        held = self.assets[:6]
        value = sum(self._price[name] for name in held)
        positions = [
            {
                "type": "oneWay",
                "position": {
                    "coin": name, "szi": "1.0", "leverage": {"type": "cross", "value": 20},
                    "entryPx": self._tick(name), "positionValue": f"{self._price[name]:.6f}",
                    "unrealizedPnl": "1.5", "returnOnEquity": "0.01", "liquidationPx": None,
                    "marginUsed": f"{self._price[name] / 20:.6f}", "maxLeverage": 40,
                    "cumFunding": {"allTime": "0.1", "sinceOpen": "0.1", "sinceChange": "0.0"},
                },
            }
            for name in held
        ]  # fmt: skip
        margin = {
            "accountValue": "100000.5", "totalNtlPos": f"{value:.6f}",
            "totalRawUsd": f"{100000.5 - value:.6f}", "totalMarginUsed": f"{value / 20:.6f}",
        }  # fmt: skip
        state = {
            "marginSummary": margin, "crossMarginSummary": margin,
            "crossMaintenanceMarginUsed": f"{value / 80:.6f}", "withdrawable": "1000.0",
            "assetPositions": positions, "time": self._now_ms,
        }  # fmt: skip
        return self._hl(
            "allDexsClearinghouseState",
            {"user": HL_USER, "clearinghouseStates": [["", state]]},
        )
