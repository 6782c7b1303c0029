"""A seeded stream of both venues' frames, in documented shapes and at documented cadences.

The desk: 20 markets a venue, watched through 2 accounts on each. Frames a second (the reference
sheets: H, D and P are hyperliquid.md, dydx.md and performance.md), from which the mix follows:

====================== ============ =============================================================
channel                frames a s   derived from
====================== ============ =============================================================
activeAssetCtx         20 / 1.01    H 1.4: every 1.01 s per coin, changed or not
l2Book                 20 / 5.36    H 1.4: the default book, which riskd takes, comes every 5.36 s
allDexsAssetCtxs       1 / 13.6     H 1.4: every 13.6 s; nine dexes, 412 contexts as recorded
v4_block_height        2 / 0.647    D 6: a block every 0.647 s, on each connection that asks
v4_markets, statistics 1 / 30       D 1.7: every 30 s the differences of every market
bbo                    1.8 x 20/1.01  P 1 has 18 of them to 10 contexts of the same coins; it
                                    lies between H 1.4's 0.068 s a block and 45 s of a quiet coin
v4_orderbook           3.0 x 20/1.01  P 1: 30 to 10; below the 4 a second of D 1.4's batches
v4_markets, prices     1.2 x 20/1.01  P 1: 12 to 10; one ticker each usually (D 1.7, as recorded)
v4_trades              0.4 x 20/1.01  P 1: 4 to 10; riskd does not subscribe to it, its peers do
trades                 0.6 x 20/1.01  P 1: 6 to 10; likewise
v4_parent_subaccounts  1.68 x 2     P 1: 3.4 to 10, of four accounts: every order and fill
allDexsClearinghouse-  1.09 x 2     P 1: 2.2 to 10, of four accounts: a push a second, which
State                               nobody measured (H 12)
openOrders,            0.1 x 2      H 6: an address whose budget is spent may ask once in 10 s;
orderUpdates                        each order that it moves is told on both
userFills, user        0.05 x 2     every other order is filled, which is told on both
====================== ============ =============================================================

Channels that speak by the hour or at a transfer are left out. The stream is a burst of that mix at
``frames_per_second``, as after a stall: time passes faster than the cadences say. Prices, sizes and
values are synthetic; shapes, key sets and lengths are those documented and recorded.
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
CONTEXT_S, BOOK_S, CROSS_SECTION_S = 1.01, 5.36, 13.6
BLOCK_S, STATISTICS_S = 0.647, 30.0
ONE_TICKER = 0.9  # "usually", and what was recorded
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
    accounts: int = 2  # on each venue
    frames_per_second: int = 50_000
    seed: int = 7


class Stream:
    """The generator. ``now_ns`` is when the last frame was sent."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.assets = tuple(Asset(index) for index in range(shape.markets))
        chance = self._chance = random.Random(shape.seed)  # noqa: S311 - reproducible, no secret
        # Which channel speaks next is drawn apart, so that it does not hang on what else was asked.
        self._order = random.Random(shape.seed)  # noqa: S311 - likewise
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
        self._makers = self._named_makers()
        self._rates = rates(shape, len(self.dydx.block_connections))

    def _named_makers(self) -> dict[str, Maker]:
        dydx, hyperliquid = self.dydx, self.hyperliquid
        return {
            "activeAssetCtx": lambda: hyperliquid.context(self._asset(WATCHED_MAX)),
            "l2Book": lambda: hyperliquid.book(self._asset(WATCHED_MAX)),
            "allDexsAssetCtxs": hyperliquid.contexts,
            "v4_block_height": dydx.block,
            "v4_markets statistics": dydx.statistics,
            "bbo": lambda: hyperliquid.best_prices(self._asset(WATCHED_MAX)),
            "v4_orderbook": lambda: dydx.orderbook(self._asset()),
            "v4_markets": self._oracle_prices,
            "v4_trades": lambda: dydx.trades(self._asset()),
            "trades": lambda: hyperliquid.trades(self._asset(TRADED_MAX)),
            "v4_parent_subaccounts": lambda: dydx.account(self._holder(0)),
            "allDexsClearinghouseState": lambda: hyperliquid.account(self._holder(1)),
            "openOrders": lambda: hyperliquid.open_orders(self._holder(1)),
            "orderUpdates": lambda: hyperliquid.order_update(self._holder(1)),
            "userFills": lambda: hyperliquid.fills(self._holder(1)),
            "user": lambda: hyperliquid.user_event(self._holder(1)),
        }

    def opening(self) -> list[Frame]:
        """What comes first on real sockets: greetings, acknowledgements with snapshots."""
        return [Frame(*told) for told in (*self.dydx.opening(), *self.hyperliquid.opening())]

    def frames(self, count: int, only: frozenset[str] | None = None) -> list[Frame]:
        """The next ``count`` frames of the mix; with ``only``, those of some channels."""
        names = [name for name in self._makers if only is None or name.partition(" ")[0] in only]
        weights = [self._rates[name] for name in names]
        made: list[Frame] = []
        for name in self._order.choices(names, weights, k=count):
            self._pass(self._step_ns)
            made.append(Frame(*self._makers[name]()))
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
        count = 1 if self._chance.random() < ONE_TICKER else self._chance.randint(2, 8)
        assets = {asset.index: asset for asset in (self._asset() for _ in range(count))}
        return self.dydx.oracle_prices([assets[index] for index in sorted(assets)])


def rates(shape: Shape, block_connections: int) -> dict[str, float]:
    """Frames a second of each channel, as the module's docstring derives them."""
    watched, accounts = min(shape.markets, WATCHED_MAX), shape.accounts
    contexts = watched / CONTEXT_S
    markets = shape.markets / CONTEXT_S  # dYdX's, where performance.md counts in contexts
    return {
        "activeAssetCtx": contexts,
        "l2Book": watched / BOOK_S,
        "allDexsAssetCtxs": 1.0 / CROSS_SECTION_S,
        "v4_block_height": block_connections / BLOCK_S,
        "v4_markets statistics": 1.0 / STATISTICS_S,
        "bbo": 1.8 * contexts,
        "v4_orderbook": 3.0 * markets,
        "v4_markets": 1.2 * markets,
        "v4_trades": 0.4 * markets,
        "trades": 0.6 * contexts,
        "v4_parent_subaccounts": 1.68 * accounts,
        "allDexsClearinghouseState": 1.09 * accounts,
        "openOrders": 0.1 * accounts,
        "orderUpdates": 0.1 * accounts,
        "userFills": 0.05 * accounts,
        "user": 0.05 * accounts,
    }
