"""A conversation between the official Hyperliquid client, as a process, and a simulated world.

First the world stands still while the client reads everything, so that every number can be
compared; then the desk trades and an hour's funding is paid while the client's socket stays open.
A world of the same seed and past is the truth of the first part, ``Witness`` that of the second.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from monitor.cli.children import die_with_parent
from monitor.runtime.clock import SystemClock
from monitor.sim.addresses import (
    HYPERLIQUID_AGENT,
    HYPERLIQUID_MASTER,
    HYPERLIQUID_SUBACCOUNT,
    HYPERLIQUID_UNIFIED,
)
from monitor.sim.books import Level
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.occurrences import (
    Filled,
    FundingPaid,
    OrderChanged,
    Transferred,
    WorldEvent,
)
from monitor.sim.simulation import Simulation
from monitor.sim.world import World

SCRIPT = Path(__file__).parent / "hyperliquid_client_script.py"
SEED = 7
HOUR_AT_S = 498_696 * 3_600.0
START_S = HOUR_AT_S - 150.0
TRADED_AT_S = HOUR_AT_S - 60.0
STANDS_AT_S = HOUR_AT_S - 55.0
ENDS_AT_S = HOUR_AT_S + 10.0
STEP_S = 0.5
WITHIN_S = 60.0
LINE_BYTES_MAX = 2**25  # one line holds everything that was read
MAIN = (HYPERLIQUID, HYPERLIQUID_MASTER, "")
Top = tuple[list[Level], list[Level]]


@dataclass(slots=True)
class Witness:
    """What a moving world showed at the end of each step, and what happened to the main account.

    ``contexts`` are (mark, oracle, running funding rate, mid) of BTC, ``books`` its best twenty
    levels a side by the time of the venue's block in ms, ``equities`` the main pool's, USD.
    """

    world: World
    contexts: set[tuple[Decimal, Decimal, Decimal, Decimal | None]] = field(default_factory=set)
    books: dict[int, Top] = field(default_factory=dict)
    equities: set[Decimal] = field(default_factory=set)
    orders: list[OrderChanged] = field(default_factory=list)
    fills: list[Filled] = field(default_factory=list)
    payments: list[FundingPaid] = field(default_factory=list)
    transfers: list[Transferred] = field(default_factory=list)

    def look(self, events: Sequence[WorldEvent]) -> None:
        """Called at the end of every step."""
        market = self.world.market(HYPERLIQUID, "BTC")
        self.contexts.add(
            (
                market.mark_price,
                market.oracle_price,
                market.funding_rate_hourly,
                market.mid_price,
            )
        )
        block_ms = round(self.world.venues[HYPERLIQUID].block_time_s * 1_000)
        self.books[block_ms] = (list(market.book.bids[:20]), list(market.book.asks[:20]))
        self.equities.add(self.world.pool(*MAIN).equity)
        for event in events:
            if getattr(event, "address", None) != HYPERLIQUID_MASTER:
                continue
            if isinstance(event, OrderChanged):
                self.orders.append(event)
            elif isinstance(event, Filled):
                self.fills.append(event)
            elif isinstance(event, FundingPaid):
                self.payments.append(event)
            elif isinstance(event, Transferred):
                self.transfers.append(event)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the client said, and the truth to hold it against.

    ``standing`` and ``moved`` are the client's two readings, ``then`` is a world at the first and
    ``now`` the world after the second; ``other_output`` is what else the client printed.
    """

    standing: dict[str, Any]
    moved: dict[str, Any]
    then: World
    now: World
    witness: Witness
    other_output: list[str]
    exit_code: int | None


def make_past() -> World:
    """A world in which the desk has just done one of everything."""
    world = World(SEED, START_S)
    world.advance(TRADED_AT_S)
    world.trade(*MAIN, "BTC", Decimal("0.25"))
    world.deposit(*MAIN, Decimal(5_000))
    world.deposit(*MAIN, Decimal(-250))
    world.transfer(MAIN, (HYPERLIQUID, HYPERLIQUID_SUBACCOUNT, ""), Decimal(1_000))
    order = world.place_order(
        *MAIN, "SOL", "buy", Decimal(10), Decimal(50), client_id=f"0x{2**100:032x}"
    )
    world.advance(TRADED_AT_S + STEP_S)
    world.cancel_order(*MAIN, order.order_id)
    world.advance(STANDS_AT_S)
    return world


async def let_desk_trade(world: World) -> None:
    """One of everything once more, and then the hour's funding, while clients are served."""
    world.trade(*MAIN, "SOL", Decimal(100))
    order = world.place_order(*MAIN, "ETH", "buy", Decimal(1), Decimal(1_000))
    world.deposit(*MAIN, Decimal(750))
    world.advance(world.now_s + STEP_S)
    world.cancel_order(*MAIN, order.order_id)
    while world.now_s < ENDS_AT_S:
        world.advance(world.now_s + STEP_S)
        await asyncio.sleep(0)


def questions(world: World) -> dict[str, Any]:
    """What the client is to ask about; times in ms."""
    resting = next(iter(world.pool(*MAIN).orders.values()))
    return {
        "user": HYPERLIQUID_MASTER,
        "agent": HYPERLIQUID_AGENT,
        "subaccount": HYPERLIQUID_SUBACCOUNT,
        "unified": HYPERLIQUID_UNIFIED,
        "oid": resting.order_id,
        "cloid": resting.client_id,
        "now_ms": int(STANDS_AT_S * 1_000),
        "funding_from_ms": int((HOUR_AT_S - 12 * 3_600) * 1_000),
        "fills_from_ms": int(TRADED_AT_S * 1_000),
        "candles_from_ms": int((HOUR_AT_S - 3 * 3_600) * 1_000),
    }


async def converse(python: Path) -> Conversation:
    """Let the official client talk to a simulated world, from its first question to its last."""
    world = make_past()
    other_output: list[str] = []
    # The world moves only when it is told to.
    async with Simulation(world, SystemClock(), speed=0.0) as simulation:
        witness = Witness(world)
        world.subscribe(witness.look)
        process = await asyncio.create_subprocess_exec(
            python,
            SCRIPT,
            simulation.urls["hyperliquid"]["rest"],
            json.dumps(questions(world)),
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_BYTES_MAX,
            preexec_fn=die_with_parent(),
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                standing = await _read_result(process, other_output)
                await let_desk_trade(world)
                await _go_on(process)
                moved = await _read_result(process, other_output)
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return Conversation(
        standing=standing,
        moved=moved,
        then=make_past(),
        now=world,
        witness=witness,
        other_output=other_output,
        exit_code=process.returncode,
    )


async def _read_result(process: Process, other_output: list[str]) -> dict[str, Any]:
    """The next line that is a result; what the client itself prints is kept aside."""
    if process.stdout is None:
        raise RuntimeError("the client's output is not connected")
    while line := await process.stdout.readline():
        if line.startswith(b'{"rest": '):
            result: dict[str, Any] = json.loads(line)
            return result
        other_output.append(line.decode(errors="replace"))
    raise AssertionError(f"the client ended early; it said {other_output}; see its stderr")


async def _go_on(process: Process) -> None:
    if process.stdin is None:
        raise RuntimeError("the client's input is not connected")
    process.stdin.write(b"\n")
    await process.stdin.drain()
    process.stdin.close()
