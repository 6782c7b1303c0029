"""Trades on a (simulated) Hyperliquid with the venue's official client; run in the clients' venv.

Arguments: base URL and, as JSON, the key and the addresses. Prints one JSON object a line: what the
client's methods returned, and after a line on stdin what the account then shows. Nothing of the
project is imported here, and of the client's settings only the base URL is ours.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import eth_account
from hyperliquid.exchange import Exchange
from hyperliquid.utils.error import ClientError
from hyperliquid.utils.types import Cloid

GTC, ALO = {"limit": {"tif": "Gtc"}}, {"limit": {"tif": "Alo"}}
DEXES = ["", "xyz"]


def far_below(exchange: Exchange, coin: str) -> float:
    """A price that rests, with five figures."""
    return float(f"{float(exchange.info.all_mids()[coin]) * 0.8:.3g}")


def trade_orders(exchange: Exchange, user: str) -> dict[str, Any]:
    """Orders that rest: placed, asked for, changed, cancelled, by both kinds of id."""
    price, cloid = far_below(exchange, "ETH"), Cloid.from_int(77)
    said: dict[str, Any] = {"placed": exchange.order("ETH", True, 1.5, price, GTC)}
    oid = said["placed"]["response"]["data"]["statuses"][0]["resting"]["oid"]
    said["placed_with_cloid"] = exchange.order("ETH", True, 2, price, ALO, cloid=cloid)
    said["asked_by_oid"] = exchange.info.query_order_by_oid(user, oid)
    said["asked_by_cloid"] = exchange.info.query_order_by_cloid(user, cloid)
    said["modified"] = exchange.modify_order(oid, "ETH", True, 1.25, price, GTC)
    said["modified_by_cloid"] = exchange.modify_order(
        cloid, "ETH", True, 2.5, price, GTC, cloid=cloid
    )
    newer = said["modified"]["response"]["data"]["statuses"][0]["resting"]["oid"]
    said["cancelled"] = exchange.cancel("ETH", newer)
    said["cancelled_again"] = exchange.cancel("ETH", newer)
    said["cancelled_by_cloid"] = exchange.cancel_by_cloid("ETH", cloid)
    row = {"coin": "ETH", "is_buy": True, "sz": 1.0, "order_type": GTC, "reduce_only": False}
    said["bulk"] = exchange.bulk_orders(
        [
            {**row, "limit_px": price},
            {**row, "limit_px": price + 0.123},
            {**row, "limit_px": price, "reduce_only": True},
            {**row, "limit_px": price, "sz": 0.001},
        ]
    )
    resting = said["bulk"]["response"]["data"]["statuses"][0]["resting"]["oid"]
    said["bulk_cancelled"] = exchange.bulk_cancel(
        [{"coin": "ETH", "oid": resting}, {"coin": "ETH", "oid": 1}]
    )
    return said


def trade_positions(exchange: Exchange) -> dict[str, Any]:
    """Orders that fill, and what surrounds a position."""
    mark = float(exchange.info.all_mids()["HYPE"])
    trigger = float(f"{mark * 0.7:.3g}")
    stop = {"trigger": {"isMarket": True, "triggerPx": trigger, "tpsl": "sl"}}
    entry = float(f"{mark * 0.9:.3g}")
    main = {"coin": "HYPE", "is_buy": True, "sz": 10.0, "limit_px": entry, "order_type": GTC,
            "reduce_only": False}  # fmt: skip
    cancel_at_ms = int(time.time() * 1_000) + 60_000
    child = {**main, "is_buy": False, "limit_px": trigger, "order_type": stop, "reduce_only": True}
    return {
        "opened": exchange.market_open("BTC", True, 0.2, cloid=Cloid.from_int(78)),
        "closed_all": exchange.market_close("SOL"),
        "closed_part": exchange.market_close("LINK", sz=1_000),
        "closed_builder": exchange.market_close("xyz:NVDA"),
        "closed_nothing": exchange.market_close("ADA"),
        "stop": exchange.order("HYPE", False, 100, trigger, stop, reduce_only=True),
        "grouped": exchange.bulk_orders([main, child], grouping="normalTpsl"),
        "leverage": exchange.update_leverage(7, "BTC"),
        "leverage_too_high": exchange.update_leverage(41, "BTC"),
        "isolated_margin": exchange.update_isolated_margin(100, "FARTCOIN"),
        "cancel_at_ms": cancel_at_ms,
        "cancel_scheduled": exchange.schedule_cancel(cancel_at_ms),
    }


def try_wrong(exchange: Exchange, base_url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What the client makes of refusals."""
    said: dict[str, Any] = {}
    nonce = int(time.time() * 1_000) + 5_000
    said["noop"] = exchange.noop(nonce)
    said["same_nonce"] = exchange.noop(nonce)
    exchange.set_expires_after(int(time.time() * 1_000) - 60_000)
    said["expired"] = exchange.cancel("ETH", 1)
    exchange.set_expires_after(None)
    stranger = eth_account.Account.from_key("0x" + "11" * 32)
    said["stranger"] = Exchange(stranger, base_url).cancel("ETH", 1)
    try:
        exchange.cancel("ETH", "not a number")
    except ClientError as error:
        said["unreadable"] = {"status": error.status_code, "text": error.error_message}
    sub = Exchange(exchange.wallet, base_url, vault_address=asked["subaccount"])
    said["closed_for_subaccount"] = sub.market_close("DOGE")
    return said


def read_account(exchange: Exchange, user: str) -> dict[str, Any]:
    """What the account shows."""
    info = exchange.info
    return {
        "state": info.user_state(user),
        "state_xyz": info.user_state(user, dex="xyz"),
        "open_orders": info.frontend_open_orders(user),
        "fills": info.user_fills(user)[:200],
        "history": info.historical_orders(user)[:200],
        "budget": info.user_rate_limit(user),
    }


def main() -> None:
    """Everything once, then the account, then the account after the world has moved."""
    base_url, asked = sys.argv[1], json.loads(sys.argv[2])
    wallet = eth_account.Account.from_key(asked["key"])
    exchange = Exchange(wallet, base_url, account_address=asked["user"], perp_dexs=DEXES)
    said = {
        "before": read_account(exchange, asked["user"]),
        "orders": trade_orders(exchange, asked["user"]),
        "positions": trade_positions(exchange),
        "wrong": try_wrong(exchange, base_url, asked),
        "after": read_account(exchange, asked["user"]),
    }
    print(json.dumps(said), flush=True)  # noqa: T201 - the parent reads it
    sys.stdin.readline()
    print(json.dumps(read_account(exchange, asked["user"])), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
