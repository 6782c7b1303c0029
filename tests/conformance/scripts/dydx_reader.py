"""Reads a (simulated) dYdX with the venue's official Python client; run in the clients' own venv.

Arguments: REST host, WebSocket URL, address. Prints one JSON object: what each call returned, and
the frames of each channel. Nothing of the project is imported here.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

from dydx_v4_client.indexer.candles_resolution import CandlesResolution
from dydx_v4_client.indexer.rest.indexer_client import IndexerClient
from dydx_v4_client.indexer.socket.websocket import IndexerSocket

SOCKET_FRAMES_PER_CHANNEL = 2
SOCKET_TIMEOUT_S = 30.0
CHANNELS = ("v4_markets", "v4_trades", "v4_orderbook", "v4_candles", "v4_subaccounts")


async def read_rest(host: str, address: str) -> dict[str, Any]:
    """Every reading call of the markets, account and utility modules."""
    client = IndexerClient(host)
    markets, account, utility = client.markets, client.account, client.utility
    funding = markets.get_perpetual_market_historical_funding
    return {
        "markets": await markets.get_perpetual_markets(),
        "orderbook": await markets.get_perpetual_market_orderbook("BTC-USD"),
        "trades": await markets.get_perpetual_market_trades("BTC-USD", limit=5),
        "candles": await markets.get_perpetual_market_candles("BTC-USD", "1HOUR", limit=3),
        "funding": await funding("ETH-USD", limit=3),
        "sparklines": await markets.get_perpetual_market_sparklines(),
        "subaccounts": await account.get_subaccounts(address),
        "subaccount": await account.get_subaccount(address, 0),
        "parent": await account.get_parent_subaccount(address, 0),
        "positions": await account.get_subaccount_perpetual_positions(address, 0, status="OPEN"),
        "parent_positions": await account.get_parent_subaccount_positions(address, 0),
        "assets": await account.get_subaccount_asset_positions(address, 0),
        "parent_assets": await account.get_parent_subaccount_asset_positions(address, 0),
        "transfers": await account.get_subaccount_transfers(address, 0),
        "parent_transfers": await account.get_parent_transfers(address, 0),
        "orders": await account.get_subaccount_orders(address, 0),
        "parent_orders": await account.list_parent_orders(address, 0),
        "fills": await account.get_subaccount_fills(address, 0, limit=2),
        "parent_fills": await account.get_parent_fills(address, 0),
        "pnl": await account.get_subaccount_historical_pnls(address, 0),
        "parent_pnl": await account.get_parent_historical_pnls(address, 0),
        "payments": await account.get_funding_payments(address, 0, limit=3),
        "parent_payments": await account.get_funding_payments_for_parent_subaccount(address, 0),
        "time": await utility.get_time(),
        "height": await utility.get_height(),
        "screen": await utility.screen(address),
        "compliance": await utility.compliance_screen(address),
    }


def read_socket(url: str, address: str) -> dict[str, Any]:
    """The first frames of every channel the client knows, and what an unsubscribe answers."""
    frames: dict[str, list[Any]] = {name: [] for name in (*CHANNELS, "connected", "unsubscribed")}

    def opened(socket: IndexerSocket, message: dict[str, Any]) -> None:
        frames["connected"].append(message)
        socket.markets.subscribe()
        socket.trades.subscribe("BTC-USD", batched=False)
        socket.order_book.subscribe("BTC-USD")
        socket.candles.subscribe("BTC-USD", CandlesResolution.ONE_MINUTE, batched=False)
        socket.subaccounts.subscribe(address, 0)

    def received(socket: IndexerSocket, message: dict[str, Any]) -> None:
        if message["type"] == "connected":
            opened(socket, message)
        elif message["type"] == "unsubscribed":
            frames["unsubscribed"].append(message)
            socket.close()
        else:
            frames[message["channel"]].append(message)
            if all(len(frames[name]) >= SOCKET_FRAMES_PER_CHANNEL for name in CHANNELS):
                socket.trades.unsubscribe("BTC-USD")

    socket = IndexerSocket(url, on_message=received)
    timer = threading.Timer(SOCKET_TIMEOUT_S, socket.close)
    timer.start()
    asyncio.run(socket.connect())
    timer.cancel()
    return frames


def main() -> None:
    """Read both sides and print them."""
    host, url, address = sys.argv[1:]
    result = {"rest": asyncio.run(read_rest(host, address)), "socket": read_socket(url, address)}
    print(json.dumps(result))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
