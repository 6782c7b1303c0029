"""ccxt.pro as a user has it: the venues' frames normalised to unified structures, with orjson.

No socket, no rules, no state but its own; the client that it resolves its futures with does
nothing, which flatters it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ccxt.pro  # type: ignore[import-not-found]  # only in the venv of the benchmarks
import orjson

from bench.frames import Frame, Stream


class NoClient:
    """What ccxt tells of its results; nobody listens."""

    url = "wss://nowhere"
    lastPong = 0  # noqa: N815 - ccxt's name
    futures: dict[str, object] = {}  # noqa: RUF012 - ccxt looks it up and finds nothing
    subscriptions: dict[str, object] = {}  # noqa: RUF012 - likewise

    def resolve(self, result: object, _key: str) -> object:
        """A result for whoever waits."""
        return result


class Ccxt:
    """Both venues of ccxt.pro with the stream's markets loaded."""

    def __init__(self, stream: Stream) -> None:
        self._client = NoClient()
        self._dydx = ccxt.pro.dydx()
        rows = stream.dydx.markets()["markets"].values()  # type: ignore[attr-defined]  # a dict
        self._dydx.set_markets([self._dydx.parse_market(row) for row in rows])
        self._hyperliquid = ccxt.pro.hyperliquid()
        universe, contexts = orjson.loads(stream.hyperliquid.body({"type": "metaAndAssetCtxs"}))
        self._hyperliquid.set_markets(
            [
                self._hyperliquid.parse_market(row | context | {"baseId": index})
                for index, (row, context) in enumerate(
                    zip(universe["universe"], contexts, strict=True)
                )
            ]
        )

    def batches(self, frames: list[Frame]) -> list[tuple[Callable[[Any, Any], None], bytes]]:
        """Frames with the method that takes them."""
        dydx, hyperliquid = self._dydx.handle_message, self._hyperliquid.handle_message
        return [
            (dydx if frame.connection.startswith("dydx") else hyperliquid, frame.data)
            for frame in frames
        ]

    def run(self, frames: list[tuple[Callable[[Any, Any], None], bytes]]) -> None:
        """What ccxt's client does with each frame."""
        client, loads = self._client, orjson.loads
        for handle, data in frames:
            handle(client, loads(data))

    def check(self, stream: Stream) -> None:
        """That it understood: a book, a trade and a context of the first market of each venue.

        Raises:
            RuntimeError: If it did not, and so measures nothing.
        """
        symbol = f"{stream.assets[0].name}/USDC:USDC"
        for venue in (self._dydx, self._hyperliquid):
            if not venue.orderbooks.get(symbol) or not venue.trades.get(symbol):
                raise RuntimeError(f"ccxt's {venue.id} did not understand the book or trades")
        if not self._hyperliquid.tickers.get(symbol):
            raise RuntimeError("ccxt's hyperliquid did not understand the context")
