"""The executor, a signer on its socket, and the simulated venue behind real HTTP.

Time is the world's: when the executor waits, the world moves on. Nothing else makes it move.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from monitor.actions.hyperliquid import HyperliquidExecutor
from monitor.actions.nonces import NonceBook
from monitor.actions.settings import ActingAccount, HyperliquidActionSettings
from monitor.actions.signer import Signer, SignerServer, SignerState
from monitor.actions.signer_client import SignerClient
from monitor.core.killswitch.book import AccountTruth, Look, WorkingOrder
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    CancelsAnswered,
    Command,
    CommandFailed,
    OrderOutcome,
    OrdersAnswered,
    PlaceOrders,
    ReadAccount,
    ReduceOrder,
    ResolveOrders,
)
from monitor.core.types import SECOND_NS, EngineNs, Side
from monitor.runtime.budget import RequestBudget
from monitor.runtime.http import HttpClient, open_session
from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SUBACCOUNT, HYPERLIQUID_UNIFIED
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.hyperliquid.server import HyperliquidServer
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.world import World
from monitor.venues.hyperliquid.endpoints import BUDGET
from tests.actions.signing_desk import KEY
from tests.manual_clock import ManualClock
from tests.sim.hyperliquid.rig import START_S
from tests.sim.hyperliquid.trader import Trader

F = TypeVar("F")

ACCOUNTS = (
    ActingAccount("main", HYPERLIQUID_MASTER),
    ActingAccount("sub", HYPERLIQUID_SUBACCOUNT, HYPERLIQUID_SUBACCOUNT),
    ActingAccount("unified", HYPERLIQUID_UNIFIED),
)


class WorldClock:
    """A ``core.ports.Clock`` that is the world's time; sleeping lets the world move."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.slept_s: list[float] = []

    def now(self) -> EngineNs:
        """The world's time."""
        return round(self._world.now_s * SECOND_NS)

    async def sleep(self, seconds: float) -> None:
        """Let the world move on by so much."""
        if seconds > 0.0:
            self.slept_s.append(seconds)
            self._world.advance(self._world.now_s + seconds)
        await asyncio.sleep(0)


def settings(**more: Any) -> HyperliquidActionSettings:
    """Deadlines that no test waits for, unless it says so."""
    signer = {
        "key": {"env": "K"},
        "notional_usd_per_hour": 100_000_000,
        "bound_bps": 200,
        **more.pop("signer", {}),
    }
    accounts = [
        {"alias": one.alias, "acts_as": "sub" if one.vault else "master"} for one in ACCOUNTS
    ]
    values = {"accounts": accounts, "signer": signer, "command_deadline_s": 60.0, **more}
    return HyperliquidActionSettings.model_validate(values)


@dataclass
class ActionDesk:
    """Everything at hand."""

    world: World
    server: HyperliquidServer
    clock: WorldClock
    executor: HyperliquidExecutor
    signer: Signer
    signer_server: SignerServer
    nonces: NonceBook
    budget: RequestBudget
    trader: Trader
    folder: Path
    build: Callable[[NonceBook], HyperliquidExecutor]
    answers_s: list[float] = field(default_factory=list)
    made: int = field(default=0)

    # ----------------------------------------------------------------------------------- commands

    def _command(self, account: str) -> dict[str, str]:
        self.made += 1
        return {
            "id": f"c{self.made}",
            "trip_id": "t1",
            "venue": HYPERLIQUID,
            "account": account,
        }

    async def run(self, command: Command, kind: type[F]) -> F:
        """Run a command whose answer must be of that kind."""
        fact = await self.executor.run(command)
        assert isinstance(fact, kind), fact
        return fact

    async def truth(self, account: str = "main", look: Look = Look.USUAL) -> AccountTruth:
        """Read an account."""
        command = ReadAccount(**self._command(account), look=look)  # type: ignore[arg-type]  # names of texts
        return (await self.run(command, AccountRead)).truth

    async def unreadable(self, account: str = "main") -> CommandFailed:
        """Fail to read an account."""
        command = ReadAccount(**self._command(account))  # type: ignore[arg-type]  # names of texts
        return await self.run(command, CommandFailed)

    def cancel_command(self, *orders: WorkingOrder, account: str = "main") -> CancelOrders:
        """Cancel these."""
        return CancelOrders(orders=orders, **self._command(account))  # type: ignore[arg-type]  # likewise

    async def cancel(self, *orders: WorkingOrder, account: str = "main") -> dict[str, bool]:
        """Cancel these; order id to whether it is gone."""
        answer = await self.run(self.cancel_command(*orders, account=account), CancelsAnswered)
        return {outcome.order_id: outcome.gone for outcome in answer.outcomes}

    def place_command(self, *orders: ReduceOrder, account: str = "main") -> PlaceOrders:
        """Send these."""
        return PlaceOrders(orders=orders, **self._command(account))  # type: ignore[arg-type]  # likewise

    async def place(self, *orders: ReduceOrder, account: str = "main") -> list[OrderOutcome]:
        """Send these; an outcome for each."""
        answer = await self.run(self.place_command(*orders, account=account), OrdersAnswered)
        return list(answer.outcomes)

    async def resolve(self, *client_ids: str, account: str = "main") -> list[OrderOutcome]:
        """Find out about these."""
        command = ResolveOrders(client_ids=client_ids, **self._command(account))  # type: ignore[arg-type]  # likewise
        return list((await self.run(command, OrdersAnswered)).outcomes)

    def order(
        self,
        market: str = "ETH",
        size: str = "1",
        *,
        buy: bool = False,
        ratio: float = 0.99,
        number: int = 1,
        life_s: float = 30.0,
    ) -> ReduceOrder:
        """One reduce-only order at ``ratio`` of the mark (selling), or as far above it."""
        mark = self.world.market(HYPERLIQUID, market).mark_price
        limit = self.trader.mark(market, str(2 - ratio if buy else ratio))
        return ReduceOrder(
            client_id=f"0x{number:032x}",
            market=market,
            side=Side.BUY if buy else Side.SELL,
            size=Decimal(size),
            limit_price=Decimal(limit),
            reference_price=float(mark),
            expires_at_ns=self.clock.now() + round(life_s * SECOND_NS),
        )

    # ---------------------------------------------------------------------------------- the world

    def break_(self, kind: FaultKind, **more: Any) -> None:
        """Let a fault of the venue hold from now."""
        self.world.faults.inject(Fault(kind=kind, venue=HYPERLIQUID, **more))

    def heal(self) -> None:
        """No faults any more."""
        self.world.faults.heal()

    def restart(self) -> None:
        """Another process takes over: what the files tell is all it knows."""
        self.nonces = NonceBook(self.folder / "nonces", now_ms=self.clock.now() // 1_000_000)
        self.executor = self.build(self.nonces)

    def held(self, market: str, address: str = HYPERLIQUID_MASTER) -> Decimal:
        """The signed size held, by the world itself."""
        pool = market.partition(":")[0] if ":" in market else ""
        return self.trader.position(market, address, pool) or Decimal(0)

    def working(self, address: str = HYPERLIQUID_MASTER) -> set[str]:
        """Ids of all working orders, by the world itself."""
        pools = self.world.account(HYPERLIQUID, address).pools.values()
        return {str(order) for pool in pools for order in pool.orders}

    def rest(self, market: str, side: str, size: str, ratio: str, **more: Any) -> str:
        """Let the desk's own system rest an order; its id."""
        pool = market.partition(":")[0] if ":" in market else ""
        order = self.world.place_order(
            HYPERLIQUID,
            more.pop("address", HYPERLIQUID_MASTER),
            pool,
            market,
            side,
            Decimal(size),
            Decimal(self.trader.mark(market, ratio)),
            **more,
        )
        return str(order.order_id)


@asynccontextmanager
async def action_desk(folder: Path, **more: Any) -> AsyncIterator[ActionDesk]:
    """A fresh world, its venue, a signer and an executor; all closed afterwards."""
    world = World(7, START_S)
    clock = WorldClock(world)
    chosen = settings(**more)
    signer = Signer(
        KEY,
        ACCOUNTS,
        chosen.signer,
        mainnet=False,
        state=SignerState(folder / "state"),
        clock=clock,
    )
    server = HyperliquidServer(world, world.faults, ManualClock())
    signer_server = SignerServer(signer, folder / "s.sock")
    budget = RequestBudget(BUDGET, clock)
    nonces = NonceBook(folder / "nonces", now_ms=clock.now() // 1_000_000)
    answers_s: list[float] = []
    await server.start()
    await signer_server.start()
    session = open_session()

    def build(book: NonceBook) -> HyperliquidExecutor:
        return HyperliquidExecutor(
            chosen,
            ACCOUNTS,
            info_url=f"{server.urls['rest']}/info",
            exchange_url=f"{server.urls['rest']}/exchange",
            http=HttpClient(session, clock),
            budget=budget,
            clock=clock,
            signer=SignerClient(folder / "s.sock"),
            nonces=book,
            on_answer=answers_s.append,
        )

    trader = Trader(world=world, nonce=round(START_S * 1000) - 1_000_000)
    try:
        yield ActionDesk(
            world,
            server,
            clock,
            build(nonces),
            signer,
            signer_server,
            nonces,
            budget,
            trader,
            folder,
            build,
            answers_s,
        )
    finally:
        await session.close()
        await signer_server.close()
        await server.close()
