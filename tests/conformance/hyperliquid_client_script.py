"""Reads a (simulated) Hyperliquid with the venue's official client; run in the clients' own venv.

Arguments: base URL and, as JSON, what to ask about. Prints one JSON object a line, one for a world
that stands still and, after a line on stdin, one for what happened since. Nothing of the project is
imported here, and of the client's settings only the base URL is ours.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from hyperliquid.info import Info
from hyperliquid.utils.error import ClientError, ServerError
from hyperliquid.utils.types import Cloid

FRAME_TIMEOUT_S = 15.0
# Without a first frame of their own: they speak when something happens.
SILENT = frozenset({"userEvents", "orderUpdates"})


class Frames:
    """What the client handed to the callbacks, by subscription, since the last ``take``."""

    def __init__(self) -> None:
        self._frames: dict[str, list[Any]] = defaultdict(list)
        self._arrived = threading.Condition()

    def callback(self, name: str) -> Callable[[Any], None]:
        """What to subscribe with; called in the client's own thread."""

        def received(message: Any) -> None:
            with self._arrived:
                self._frames[name].append(message)
                self._arrived.notify_all()

        return received

    def wait_for(self, names: set[str]) -> None:
        """Wait until every one of ``names`` has had a frame; says which never came."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: names <= set(self._frames), FRAME_TIMEOUT_S):
                raise TimeoutError(f"no frame of {sorted(names - set(self._frames))}")

    def take(self) -> dict[str, list[Any]]:
        """The frames so far, oldest first."""
        with self._arrived:
            taken, self._frames = self._frames, defaultdict(list)
        return taken


def subscriptions(user: str) -> dict[str, dict[str, str]]:
    """One subscription of every kind that the client routes; two of the context, perp and spot."""
    return {
        "allMids": {"type": "allMids"},
        "l2Book": {"type": "l2Book", "coin": "BTC"},
        "trades": {"type": "trades", "coin": "BTC"},
        "bbo": {"type": "bbo", "coin": "BTC"},
        "candle": {"type": "candle", "coin": "BTC", "interval": "1m"},
        "activeAssetCtx": {"type": "activeAssetCtx", "coin": "BTC"},
        "activeSpotAssetCtx": {"type": "activeAssetCtx", "coin": "HYPE/USDC"},
        "userEvents": {"type": "userEvents", "user": user},
        "userFills": {"type": "userFills", "user": user},
        "orderUpdates": {"type": "orderUpdates", "user": user},
        "userFundings": {"type": "userFundings", "user": user},
        "userNonFundingLedgerUpdates": {"type": "userNonFundingLedgerUpdates", "user": user},
        "webData2": {"type": "webData2", "user": user},
        "activeAssetData": {"type": "activeAssetData", "user": user, "coin": "BTC"},
    }


def read_markets(info: Info, every_dex: Info, asked: dict[str, Any]) -> dict[str, Any]:
    """What the client says about markets; the builder's dex needs a client that knows it."""
    start, end = asked["funding_from_ms"], asked["now_ms"]
    return {
        "meta": info.meta(),
        "meta_xyz": info.meta(dex="xyz"),
        "meta_and_asset_ctxs": info.meta_and_asset_ctxs(),
        "spot_meta": info.spot_meta(),
        "perp_dexs": info.perp_dexs(),
        "all_mids": info.all_mids(),
        "all_mids_xyz": info.all_mids(dex="xyz"),
        "l2_snapshot": info.l2_snapshot("BTC"),
        "l2_snapshot_delisted": info.l2_snapshot("MATIC"),
        "l2_snapshot_xyz": every_dex.l2_snapshot("xyz:NVDA"),
        "candles_snapshot": info.candles_snapshot("BTC", "15m", asked["candles_from_ms"], end),
        "funding_history": info.funding_history("BTC", start),
        "funding_history_xyz": every_dex.funding_history("xyz:NVDA", start, end),
        "assets": {
            name: every_dex.name_to_asset(name)
            for name in ("BTC", "FARTCOIN", "PURR/USDC", "HYPE/USDC", "xyz:NVDA", "xyz:GOLD")
        },
    }


def read_account(info: Info, asked: dict[str, Any]) -> dict[str, Any]:
    """What the client says about the desk's addresses."""
    user, start, end = asked["user"], asked["funding_from_ms"], asked["now_ms"]
    return {
        "user_state": info.user_state(user),
        "user_state_xyz": info.user_state(user, dex="xyz"),
        "user_state_agent": info.user_state(asked["agent"]),
        "spot_user_state": info.spot_user_state(user),
        "spot_user_state_unified": info.spot_user_state(asked["unified"]),
        "open_orders": info.open_orders(user),
        "frontend_open_orders": info.frontend_open_orders(user),
        "frontend_open_orders_xyz": info.frontend_open_orders(user, dex="xyz"),
        "user_fills": info.user_fills(user),
        "user_fills_by_time": info.user_fills_by_time(user, asked["fills_from_ms"]),
        "user_funding_history": info.user_funding_history(user, start, end),
        "query_order_by_oid": info.query_order_by_oid(user, asked["oid"]),
        "query_order_by_cloid": info.query_order_by_cloid(user, Cloid(asked["cloid"])),
        "query_order_unknown": info.query_order_by_oid(user, 1),
        "historical_orders": info.historical_orders(user),
        "user_rate_limit": info.user_rate_limit(user),
        "portfolio": info.portfolio(user),
        "extra_agents": info.extra_agents(user),
        "user_non_funding_ledger_updates": info.user_non_funding_ledger_updates(user, start),
        "query_sub_accounts": info.query_sub_accounts(user),
        "query_sub_accounts_none": info.query_sub_accounts(asked["unified"]),
        "user_vault_equities": info.user_vault_equities(user),
        "roles": {role: info.user_role(asked[role]) for role in ("user", "agent", "subaccount")},
        "abstraction_unified": info.query_user_abstraction_state(asked["unified"]),
    }


def read_refusals(info: Info) -> dict[str, Any]:
    """What the client makes of the venue's two kinds of refusal."""
    refusals: dict[str, Any] = {}
    try:
        info.meta(dex="nope")
    except ServerError as error:
        refusals["unknown_dex"] = {"status": error.status_code, "text": error.message}
    try:
        info.user_state("0x12")
    except ClientError as error:
        refusals["bad_address"] = {"status": error.status_code, "text": error.error_message}
    return refusals


def say(result: dict[str, Any]) -> None:
    """One line for whoever started us."""
    print(json.dumps(result), flush=True)  # noqa: T201 - the parent reads it


def main() -> None:
    """Both readings, with one socket open from the first to the last."""
    base_url, asked = sys.argv[1], json.loads(sys.argv[2])
    info = Info(base_url)
    try:
        every_dex = Info(base_url, skip_ws=True, perp_dexs=["", "xyz"])
        rest = read_markets(info, every_dex, asked) | read_account(info, asked)
        # Only now: the client may lose what is subscribed while its socket is still opening.
        frames, wanted = Frames(), subscriptions(asked["user"])
        for name, subscription in wanted.items():
            info.subscribe(subscription, frames.callback(name))
        refusals = read_refusals(info)
        frames.wait_for(set(wanted) - SILENT)
        say({"rest": rest, "refusals": refusals, "frames": frames.take()})
        sys.stdin.readline()
        # Frames keep their order: once a new subscription speaks, all earlier ones have.
        info.subscribe({"type": "activeAssetCtx", "coin": "ETH"}, frames.callback("last"))
        frames.wait_for({"last"})
        moved = frames.take()
        rest = {
            "user_state": info.user_state(asked["user"]),
            "open_orders": info.open_orders(asked["user"]),
            "user_funding_history": info.user_funding_history(asked["user"], asked["now_ms"]),
        }
        say({"rest": rest, "frames": moved})
    finally:
        info.disconnect_websocket()


if __name__ == "__main__":
    code = 0
    try:
        main()
    except BaseException:  # noqa: BLE001 - it is printed, and the exit code tells
        traceback.print_exc()
        code = 1
    # The client's reading thread may sleep ten more seconds before it sees that it was closed, and
    # the interpreter would wait for it.
    sys.stdout.flush()
    os._exit(code)
