"""A seeded stream of both venues' frames, in the documented shapes and a realistic mix.

The mix is that of a desk that watches 20 markets on each venue through 4 accounts on each: mostly
book and context frames, some of accounts. It is synthetic; shapes and key sets are the documented
ones. Time passes as in a burst of ``frames_per_second``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from bench.dydx_frames import DydxTalk
from bench.hyperliquid_frames import TRADED_MAX, WATCHED_MAX, HyperliquidTalk
from bench.prices import Asset, Holder
from monitor.sim.addresses import bech32_address

# Some minutes into an hour, so that settlements are neither due nor old.
START_NS = 1_790_000_700_000_000_000
SECOND_NS = 1_000_000_000
HELD = 6
CONTEXTS_EVERY_S = 13
PUBLIC = frozenset({"v4_orderbook", "v4_trades", "l2Book", "trades", "activeAssetCtx"})


Maker = Callable[[], tuple[str, str, bytes]]  # connection, channel, frame


@dataclass(frozen=True, slots=True)
class Frame:
    """One WebSocket frame: the connection and channel it comes over, and its bytes."""

    connection: str
    channel: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the world is and how fast it talks."""

    markets: int = 20  # on each venue
    accounts: int = 1  # on each venue
    frames_per_second: int = 50_000
    seed: int = 7


class Stream:
    """The generator. ``now_ns`` is when the last frame was sent."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.assets = tuple(Asset(index) for index in range(shape.markets))
        chance = self._chance = random.Random(shape.seed)  # noqa: S311 - reproducible, no secret
        held = self.assets[:HELD]
        numbers = range(shape.accounts)
        self.dydx_accounts = tuple(
            Holder(f"d{n}", bech32_address("dydx", bytes([n + 1] * 20)), held, 1) for n in numbers
        )
        self.hyperliquid_accounts = tuple(
            Holder(f"h{n}", "0x" + f"{n + 1:02x}" * 20, held, -1) for n in numbers
        )
        self.dydx = DydxTalk(self.assets, self.dydx_accounts, chance)
        self.hyperliquid = HyperliquidTalk(self.assets, self.hyperliquid_accounts, chance)
        self._step_ns = SECOND_NS // shape.frames_per_second
        self.now_ns = START_NS
        self._pass(0)
        dydx, hyperliquid = self.dydx, self.hyperliquid
        self._mix: dict[str, tuple[float, Maker]] = {
            "v4_orderbook": (0.30, lambda: dydx.orderbook(self._asset())),
            "v4_markets": (0.12, self._oracle_prices),
            "v4_trades": (0.04, lambda: dydx.trades(self._asset())),
            "v4_parent_subaccounts": (0.034, lambda: dydx.account(self._holder(0))),
            "bbo": (0.19, lambda: hyperliquid.best_prices(self._asset(WATCHED_MAX))),
            "l2Book": (0.14, lambda: hyperliquid.book(self._asset(WATCHED_MAX))),
            "activeAssetCtx": (0.10, lambda: hyperliquid.context(self._asset(WATCHED_MAX))),
            "trades": (0.05, lambda: hyperliquid.trades(self._asset(TRADED_MAX))),
            "allDexsClearinghouseState": (0.026, lambda: hyperliquid.account(self._holder(1))),
        }

    def opening(self) -> list[Frame]:
        """What comes first on real sockets: greetings, acknowledgements with snapshots."""
        return [Frame(*told) for told in (*self.dydx.opening(), *self.hyperliquid.opening())]

    def frames(self, count: int, only: frozenset[str] | None = None) -> list[Frame]:
        """The next ``count`` frames of the mix; with ``only``, those of some channels; without,
        what comes by the clock besides: blocks on dYdX's connections, Hyperliquid's cross-section.
        """
        mix = [told for name, told in self._mix.items() if only is None or name in only]
        makers, weights = [maker for _, maker in mix], [weight for weight, _ in mix]
        made: list[Frame] = []
        for maker in self._chance.choices(makers, weights, k=count):
            second = self.now_ns // SECOND_NS
            self._pass(self._step_ns)
            if only is None and self.now_ns // SECOND_NS != second:
                made += [Frame(*told) for told in self.dydx.blocks()]
                if self.now_ns // SECOND_NS % CONTEXTS_EVERY_S == 0:
                    made.append(Frame(*self.hyperliquid.contexts()))
            made.append(Frame(*maker()))
        return made

    def _pass(self, step_ns: int) -> None:
        self.now_ns += step_ns
        self.dydx.now_ms = self.hyperliquid.now_ms = self.now_ns // 1_000_000

    def _asset(self, first: int | None = None) -> Asset:
        """One of all assets, or of the first few, after its price perhaps moved."""
        asset = self._chance.choice(self.assets[:first])
        moved = asset.move(self._chance)
        if moved:
            self.dydx.moved(asset, moved)
        return asset

    def _holder(self, venue: int) -> Holder:
        return self._chance.choice((self.dydx_accounts, self.hyperliquid_accounts)[venue])

    def _oracle_prices(self) -> tuple[str, str, bytes]:
        count = self._chance.randint(1, 8)
        assets = {asset.index: asset for asset in (self._asset() for _ in range(count))}
        return self.dydx.oracle_prices([assets[index] for index in sorted(assets)])
