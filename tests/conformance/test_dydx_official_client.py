"""The venue's official Python client works against the simulated dYdX with only the URL changed.

It runs in a venv of its own (``make .venv-clients/.done``), as a process, over real sockets.
"""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from monitor.cli.children import die_with_parent
from monitor.runtime.clock import SystemClock
from monitor.sim.addresses import DYDX_MASTER
from monitor.sim.dydx.server import DydxServer
from monitor.sim.world import World
from tests.official_clients import clients_python

SCRIPT = Path(__file__).parent / "scripts" / "dydx_reader.py"
START_S = 1_764_000_000.0
# The world runs fast, so that every channel has something to say within a second or two.
STEP_S = 2.0
WITHIN_S = 60.0


async def read_with_official_client(python: Path) -> dict[str, Any]:
    """What the client read while the desk traded to and fro."""
    world = World(7, START_S)
    server = DydxServer(world, world.faults, SystemClock())
    await server.start()
    host = server.urls["rest"].removesuffix("/v4")
    try:
        async with asyncio.timeout(WITHIN_S):
            process = await asyncio.create_subprocess_exec(
                python,
                SCRIPT,
                host,
                server.urls["ws"],
                DYDX_MASTER,
                stdout=asyncio.subprocess.PIPE,
                preexec_fn=die_with_parent(),
            )
            reading = asyncio.create_task(process.communicate(), name="official-client")
            size = Decimal("0.1")
            while not reading.done():
                await asyncio.wait([reading], timeout=0.1)
                world.trade("dydx", DYDX_MASTER, "0", "BTC-USD", size)
                size = -size
                world.advance(world.now_s + STEP_S)
            output, _ = await reading
    finally:
        await server.close()
    assert process.returncode == 0
    result: dict[str, Any] = json.loads(output)
    return result


@pytest.mark.component
async def test_official_client_reads_everything() -> None:
    """Markets, account, utility and every channel answer, and their numbers agree."""
    result = await read_with_official_client(clients_python())
    rest, socket = result["rest"], result["socket"]

    markets = rest["markets"]["markets"]
    assert {"BTC-USD", "FARTCOIN-USD", "NOVA-USD"} <= set(markets)
    assert len(rest["orderbook"]["bids"]) > 20
    assert len(rest["candles"]["candles"]) == 3
    assert len(rest["funding"]["historicalFunding"]) == 3
    assert rest["trades"]["trades"]
    assert rest["sparklines"]["BTC-USD"]

    numbers = [row["subaccountNumber"] for row in rest["subaccounts"]["subaccounts"]]
    assert numbers == [0, 128]
    assert rest["subaccount"]["subaccount"]["address"] == DYDX_MASTER
    children = rest["parent"]["subaccount"]["childSubaccounts"]
    assert [child["subaccountNumber"] for child in children] == numbers
    assert {row["market"] for row in rest["positions"]["positions"]} >= {"BTC-USD", "ETH-USD"}
    assert {row["market"] for row in rest["parent_positions"]["positions"]} >= {"FARTCOIN-USD"}
    assert rest["assets"]["positions"][0]["symbol"] == "USDC"
    assert len(rest["parent_assets"]["positions"]) == 2
    assert rest["transfers"] == rest["parent_transfers"] == {"transfers": []}
    assert {"UNTRIGGERED", "OPEN"} <= {row["status"] for row in rest["orders"]}
    assert {row["ticker"] for row in rest["parent_orders"]} >= {"BTC-USD", "ETH-USD"}
    assert len(rest["fills"]["fills"]) == 2
    assert len(rest["parent_fills"]["fills"]) > 2
    assert rest["pnl"]["historicalPnl"]
    assert rest["parent_pnl"]["historicalPnl"]
    assert len(rest["payments"]["fundingPayments"]) == 3
    assert len(rest["parent_payments"]["fundingPayments"]) > 100

    assert int(rest["height"]["height"]) > 58_000_000
    assert rest["time"]["epoch"] > START_S
    assert rest["screen"] == {"restricted": False}
    assert rest["compliance"]["status"] == "COMPLIANT"

    assert [frame["message_id"] for frame in socket["connected"]] == [0]
    assert socket["unsubscribed"][0]["channel"] == "v4_trades"
    for channel in ("v4_markets", "v4_trades", "v4_orderbook", "v4_candles", "v4_subaccounts"):
        assert socket[channel][0]["type"] == "subscribed"
        kind = "channel_batch_data" if channel in {"v4_markets", "v4_orderbook"} else "channel_data"
        assert {frame["type"] for frame in socket[channel][1:]} == {kind}
    snapshot = socket["v4_subaccounts"][0]["contents"]
    assert Decimal(snapshot["subaccount"]["equity"]) > 100_000
