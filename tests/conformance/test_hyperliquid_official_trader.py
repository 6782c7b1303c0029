"""The venue's official Python client trades on the simulated Hyperliquid with only the URL changed:
it places, changes and cancels orders, opens and closes positions, and understands every refusal.

What it says is held against the simulated world itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from monitor.cli.children import die_with_parent
from monitor.runtime.clock import SystemClock
from monitor.sim.addresses import (
    HYPERLIQUID_MASTER,
    HYPERLIQUID_SIGNER_KEY,
    HYPERLIQUID_SUBACCOUNT,
)
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.simulation import Simulation
from monitor.sim.world import World
from tests.conformance.hyperliquid_checks import decimal
from tests.official_clients import clients_python

pytestmark = pytest.mark.component

SCRIPT = Path(__file__).parent / "scripts" / "hyperliquid_trader.py"
WITHIN_S = 60.0
LINE_BYTES_MAX = 2**24
STEP_S = 0.5
CLOIDS = {name: f"0x{number:032x}" for name, number in (("order", 77), ("open", 78))}


@dataclass(frozen=True)
class Traded:
    """What the client said, at once and after all orders were cancelled, and the world then."""

    said: dict[str, Any]
    later: dict[str, Any]
    world: World

    def status(self, part: str, name: str, index: int = 0) -> Any:
        """One order's status in an answer."""
        answer = self.said[part][name]
        assert answer["status"] == "ok", answer
        return answer["response"]["data"]["statuses"][index]

    def size(self, state: str, coin: str) -> Decimal | None:
        """A position as a reading of the account shows it."""
        dex = "_xyz" if coin.startswith("xyz:") else ""
        for row in self.said[state][f"state{dex}"]["assetPositions"]:
            if row["position"]["coin"] == coin:
                return decimal(row["position"]["szi"])
        return None


async def trade(python: Path) -> Traded:
    """Let the official client trade in a world that stands at the present and moves when told."""
    world = World(7, time.time())
    asked = {
        "key": HYPERLIQUID_SIGNER_KEY,
        "user": HYPERLIQUID_MASTER,
        "subaccount": HYPERLIQUID_SUBACCOUNT,
    }
    async with Simulation(world, SystemClock(), speed=0.0) as simulation:
        url = simulation.urls["hyperliquid"]["rest"]
        process = await asyncio.create_subprocess_exec(
            python,
            SCRIPT,
            url,
            json.dumps(asked),
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_BYTES_MAX,
            preexec_fn=die_with_parent(),
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                assert process.stdout is not None
                assert process.stdin is not None
                first = await process.stdout.readline()
                assert first, "the client ended early; see its stderr"
                said = json.loads(first)
                # The client's clock is the machine's, the world's stood still meanwhile.
                world.advance(said["positions"]["cancel_at_ms"] / 1_000.0 + STEP_S)
                process.stdin.write(b"\n")
                await process.stdin.drain()
                second = await process.stdout.readline()
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return Traded(said, json.loads(second), world)


@pytest.fixture(scope="module")
def traded() -> Traded:
    """The one trading session that all tests here look at."""
    return asyncio.run(trade(clients_python()), debug=True)


def test_orders_are_placed_and_found(traded: Traded) -> None:
    """A resting order by the venue's id and by the client's."""
    assert list(traded.status("orders", "placed")) == ["resting"]
    by_oid = traded.said["orders"]["asked_by_oid"]["order"]
    assert (by_oid["status"], by_oid["order"]["origSz"], by_oid["order"]["tif"]) == (
        "open", "1.5", "Gtc",
    )  # fmt: skip
    by_cloid = traded.said["orders"]["asked_by_cloid"]["order"]["order"]
    assert (by_cloid["cloid"], by_cloid["sz"], by_cloid["tif"]) == (CLOIDS["order"], "2.0", "Alo")
    assert traded.status("orders", "placed_with_cloid")["resting"]["cloid"] == CLOIDS["order"]


def test_orders_are_changed_and_cancelled(traded: Traded) -> None:
    """A change gives a new id; a second cancel is told that there is nothing."""
    assert (
        traded.status("orders", "modified")["resting"]["oid"]
        != traded.status("orders", "placed")["resting"]["oid"]
    )
    assert traded.status("orders", "modified_by_cloid")["resting"]["cloid"] == CLOIDS["order"]
    assert traded.status("orders", "cancelled") == "success"
    assert traded.status("orders", "cancelled_again") == {
        "error": "Order was never placed, already canceled, or filled. asset=1"
    }
    assert traded.status("orders", "cancelled_by_cloid") == "success"


def test_a_batch_has_a_status_for_each(traded: Traded) -> None:
    """One rests, the others are refused for what is wrong with each."""
    statuses = traded.said["orders"]["bulk"]["response"]["data"]["statuses"]
    assert list(statuses[0]) == ["resting"]
    assert [status["error"] for status in statuses[1:]] == [
        "Price must be divisible by tick size. asset=1",
        "Reduce only order would increase position. asset=1",
        "Order must have minimum value of $10. asset=1",
    ]
    cancelled = traded.said["orders"]["bulk_cancelled"]["response"]["data"]["statuses"]
    assert cancelled[0] == "success"
    assert "error" in cancelled[1]


@pytest.mark.parametrize(
    ("name", "coin", "change"),
    [
        pytest.param("opened", "BTC", Decimal("0.2"), id="opened more"),
        pytest.param("closed_part", "LINK", Decimal(-1_000), id="closed in part"),
        pytest.param("closed_all", "SOL", None, id="closed whole"),
        pytest.param("closed_builder", "xyz:NVDA", None, id="closed on a builder's dex"),
    ],
)
def test_positions_change_by_what_was_filled(
    traded: Traded, name: str, coin: str, change: Decimal | None
) -> None:
    """What the answer says was filled is what the position lost or gained, and what fills say."""
    filled = traded.status("positions", name)["filled"]
    before, after = traded.size("before", coin), traded.size("after", coin)
    assert before is not None
    if change is None:
        assert (after, decimal(filled["totalSz"])) == (None, abs(before))
    else:
        assert (after, decimal(filled["totalSz"])) == (before + change, abs(change))
    rows = [row for row in traded.said["after"]["fills"] if row["oid"] == filled["oid"]]
    sizes = sum(decimal(row["sz"]) for row in rows)
    paid = sum(decimal(row["sz"]) * decimal(row["px"]) for row in rows)
    assert sizes == decimal(filled["totalSz"])
    assert float(paid / sizes) == pytest.approx(float(decimal(filled["avgPx"])), rel=1e-4)
    assert all(decimal(row["fee"]) > 0 for row in rows)
    if name == "opened":
        assert {row["cloid"] for row in rows} == {CLOIDS["open"]}


def test_closing_nothing_sends_nothing(traded: Traded) -> None:
    """The client looks at the account first."""
    assert traded.said["positions"]["closed_nothing"] is None


def test_stops_and_groups(traded: Traded) -> None:
    """A stop rests; a stop that waits for an order's fill is told under that order."""
    stop = traded.status("positions", "stop")["resting"]["oid"]
    rows = {row["oid"]: row for row in traded.said["after"]["open_orders"]}
    assert (rows[stop]["orderType"], rows[stop]["isTrigger"], rows[stop]["reduceOnly"]) == (
        "Stop Market", True, True,
    )  # fmt: skip
    parent = traded.status("positions", "grouped")["resting"]["oid"]
    assert traded.status("positions", "grouped", 1) == "waitingForFill"
    (child,) = rows[parent]["children"]
    assert child["oid"] not in rows
    assert (child["isTrigger"], child["sz"]) == (True, "10.0")


def test_leverage_and_margin(traded: Traded) -> None:
    """Both are the position's afterwards; what is too much is refused as a whole."""
    done = {"status": "ok", "response": {"type": "default"}}
    assert traded.said["positions"]["leverage"] == done
    assert traded.said["positions"]["isolated_margin"] == done
    assert traded.said["positions"]["leverage_too_high"]["status"] == "err"
    rows = {
        state: {row["position"]["coin"]: row["position"] for row in
                traded.said[state]["state"]["assetPositions"]}
        for state in ("before", "after")
    }  # fmt: skip
    assert rows["after"]["BTC"]["leverage"] == {"type": "cross", "value": 7}
    added = decimal(rows["after"]["FARTCOIN"]["leverage"]["rawUsd"]) - decimal(
        rows["before"]["FARTCOIN"]["leverage"]["rawUsd"]
    )
    assert added == 100


def test_all_orders_go_at_the_scheduled_time(traded: Traded) -> None:
    """Stops included; positions stay."""
    assert traded.said["positions"]["cancel_scheduled"]["status"] == "ok"
    standing = {row["oid"] for row in traded.said["after"]["open_orders"]}
    assert standing
    assert traded.later["open_orders"] == []
    ended = {row["order"]["oid"]: row["status"] for row in traded.later["history"]}
    assert {ended[oid] for oid in standing} == {"scheduledCancel"}
    assert traded.later["state"]["assetPositions"]


def test_refusals_are_understood(traded: Traded) -> None:
    """Used nonces, expiry, an unknown key and a body that cannot be read."""
    wrong = traded.said["wrong"]
    assert wrong["noop"] == {"status": "ok", "response": {"type": "default"}}
    assert wrong["same_nonce"]["response"].startswith("Invalid nonce: duplicate nonce ")
    assert wrong["expired"] == {"status": "err", "response": "Action already expired"}
    stranger = wrong["stranger"]["response"]
    assert stranger.startswith("L1 error: User or API Wallet 0x")
    assert stranger.endswith(" does not exist.")
    assert wrong["unreadable"] == {
        "status": 422,
        "text": "Failed to deserialize the JSON body into the target type",
    }


def test_the_sub_accounts_position_is_closed_for_it(traded: Traded) -> None:
    """By the master's API wallet, with the vault address set."""
    filled = traded.status("wrong", "closed_for_subaccount")["filled"]
    assert decimal(filled["totalSz"]) == 250_000
    pool = traded.world.pool(HYPERLIQUID, HYPERLIQUID_SUBACCOUNT, "")
    assert "DOGE" not in pool.positions


def test_requests_are_counted(traded: Traded) -> None:
    """One for each order and cancel, none for what was refused as a whole, five for what expired;
    what was traded buys more."""
    before, after = traded.said["before"]["budget"], traded.said["after"]["budget"]
    orders, changes, cancels = 2 + 4 + 4 + 1 + 2, 2, 3 + 2
    others, expired = 2 + 1 + 1, 5  # margin and leverage, the dead man's switch, noop
    used = after["nRequestsUsed"] - before["nRequestsUsed"]
    assert used == orders + changes + cancels + others + expired
    traded_usd = decimal(after["cumVlm"]) - decimal(before["cumVlm"])
    assert traded_usd > 0
    assert after["nRequestsCap"] == 10_000 + int(decimal(after["cumVlm"]))
