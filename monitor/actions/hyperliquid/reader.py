"""What the executor reads of Hyperliquid: an account whole, and what became of single orders.

Reads of the kill path: they use the reserved lane of the venue's budget, ask all dexes at once, and
know nothing of the daemon's own state, so they work before the first feed is connected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import msgspec

from monitor.actions.settings import ActingAccount
from monitor.core.errors import DecodeError, FeedError, TransientFeedError
from monitor.core.killswitch.book import AccountTruth, HeldPosition, Look, WorkingOrder
from monitor.core.killswitch.facts import OrderOutcome
from monitor.core.ports import Clock, Request, Response
from monitor.core.types import SECOND_NS, AccountMode, EngineNs
from monitor.runtime.budget import Lane, RequestBudget
from monitor.venues.hyperliquid import truth as wires
from monitor.venues.hyperliquid.actions import Assets
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.endpoints import check_response, info_request
from monitor.venues.hyperliquid.knowledge import mode_of
from monitor.venues.hyperliquid.markets import FIRST_DEX, dex_of
from monitor.venues.hyperliquid.settings import VENUE

ATTEMPTS_MAX = 3
RETRY_S = 0.5
LISTS_AGE_S = 600.0  # dexes, markets and account modes are read anew after so long
MISS_AGE_S = 30.0  # but a market that nothing tells may be new: ask again after so long
FAILED_AGE_S = 5.0
ROWS_EXPECTED = 20
MS_NS = SECOND_NS // 1000

T = TypeVar("T")


class Http(Protocol):
    """What acting needs of ``runtime.http.HttpClient``."""

    async def execute(self, request: Request) -> Response:
        """Send a request, read the answer; raises ``FeedError``."""
        ...


class NoSuchDexError(DecodeError):
    """The venue says that it does not know the dex it was asked about."""


class Reader:
    """Reads of one venue for all its accounts. Everything raises ``FeedError`` and nothing else."""

    def __init__(
        self,
        info_url: str,
        *,
        http: Http,
        budget: RequestBudget,
        clock: Clock,
        timeout_s: float,
        wait_s_max: float,
        idle_dex_look_s: float,
    ) -> None:
        self._url = info_url
        self._http = http
        self._budget = budget
        self._clock = clock
        self._timeout_s = timeout_s
        self._wait_s_max = wait_s_max
        self._idle_look_ns = round(idle_dex_look_s * SECOND_NS)
        self._assets = Assets()
        self._dexes_ns: EngineNs | None = None
        self._markets_ns: dict[str, EngineNs] = {}
        self._modes: dict[str, tuple[EngineNs, AccountMode, str]] = {}
        self._looked_ns: dict[tuple[str, str], EngineNs] = {}  # idle dexes: orders last listed
        self._twap_rows: dict[str, int] = {}
        self._failed: dict[str, tuple[EngineNs | None, str]] = {}  # lists that were unreadable

    # ------------------------------------------------------------------------------------ truth

    async def truth(self, account: ActingAccount, look: Look = Look.USUAL) -> AccountTruth:
        """What the account holds on every dex, and what it has working there.

        Args:
            account: Whose.
            look: Whether working orders are listed, and also those of dexes that were idle a moment
                ago.

        Raises:
            FeedError: If any part of it cannot be read: half of the truth is none.
        """
        read_ns = self._clock.now()
        listing = look is not Look.POSITIONS
        async with together() as tasks:
            asked_mode = tasks.create_task(self._mode(account))
            asked_dexes = tasks.create_task(self._dexes())
            asked_twaps = tasks.create_task(self._twaps(account)) if listing else None
        mode, why = asked_mode.result()
        if mode is AccountMode.UNREADABLE:
            raise DecodeError(f"hyperliquid account {account.alias!r} cannot be read: {why}")
        async with together() as tasks:
            parts = [
                tasks.create_task(self._dex(account, dex, look)) for dex in asked_dexes.result()
            ]
        held: list[HeldPosition] = []
        orders: list[WorkingOrder] = [] if asked_twaps is None else list(asked_twaps.result())
        equity = wires.ZERO if mode is AccountMode.STANDARD else None
        idle_ns: list[EngineNs] = []
        for state, working, listed_ns in (part.result() for part in parts):
            # Where each dex has its own collateral, an empty one can have no order. In the other
            # modes it is elsewhere, and an order may have come since.
            if listed_ns is not None and mode is not AccountMode.STANDARD:
                idle_ns.append(listed_ns)
            held += state.positions
            orders += working
            equity = (
                None if equity is None or state.equity_usd is None else equity + state.equity_usd
            )
        return AccountTruth(
            venue=VENUE,
            account=account.alias,
            read_ns=read_ns,
            positions=tuple(held),
            orders=tuple(orders),
            equity_usd=equity,
            orders_ns=read_ns if listing else None,
            twaps_ns=read_ns if listing else None,
            idle_orders_ns=min(idle_ns, default=None),
        )

    async def _dex(
        self, account: ActingAccount, dex: str, look: Look
    ) -> tuple[wires.State, tuple[WorkingOrder, ...], EngineNs | None]:
        """One dex. Its orders are listed with its state, or only where there is something, if it
        was found idle a short while ago: the last value is when, where they were not listed."""
        key = (account.alias, dex)
        looked_ns = self._looked_ns.get(key)
        now = self._clock.now()
        lately = looked_ns is not None and now - looked_ns < self._idle_look_ns
        try:
            if look is Look.POSITIONS:
                return await self._state(account, dex), (), None
            if lately and look is not Look.WHOLE:
                state = await self._state(account, dex)
                if not state.used:
                    return state, (), looked_ns
                orders = await self._orders(account, dex)
            else:
                async with together() as tasks:
                    asked_state = tasks.create_task(self._state(account, dex))
                    asked_orders = tasks.create_task(self._orders(account, dex))
                state, orders = asked_state.result(), asked_orders.result()
        except NoSuchDexError:
            self._dexes_ns = None  # listed a while ago; only the list itself says that it is gone
            if dex in await self._dexes():
                raise
            return wires.State((), wires.ZERO, used=False), (), None
        if state.used or orders:
            self._looked_ns.pop(key, None)
        elif dex != FIRST_DEX:  # the first dex lists the spot orders too
            self._looked_ns[key] = now
        return state, orders, None

    async def _state(self, account: ActingAccount, dex: str) -> wires.State:
        what = "clearinghouseState"
        return await self._read(what, wires.read_state, user=account.address, dex=dex or None)

    async def _orders(self, account: ActingAccount, dex: str) -> tuple[WorkingOrder, ...]:
        what = "frontendOpenOrders"
        return await self._read(what, wires.read_orders, user=account.address, dex=dex or None)

    async def _twaps(self, account: ActingAccount) -> tuple[WorkingOrder, ...]:
        now_ms = self._clock.now() // MS_NS
        expected = self._twap_rows.get(account.alias, ROWS_EXPECTED)
        running, rows = await self._read(
            "twapHistory",
            lambda body: wires.read_twaps(body, now_ms),
            rows=expected,
            user=account.address,
        )
        self._twap_rows[account.alias] = max(rows, ROWS_EXPECTED)
        return running

    async def _mode(self, account: ActingAccount) -> tuple[AccountMode, str]:
        known = self._modes.get(account.alias)
        now = self._clock.now()
        if known is None or now - known[0] > LISTS_AGE_S * SECOND_NS:
            said = await self._read("userAbstraction", wires.read_mode, user=account.address)
            known = (now, *mode_of(said))
            self._modes[account.alias] = known
        return known[1], known[2]

    # ------------------------------------------------------------------------------------- lists

    async def prepare(self, accounts: Sequence[ActingAccount]) -> None:
        """Read the lists before they are needed, so that no first cancel waits for them."""
        async with together() as tasks:
            tasks.create_task(self._markets(FIRST_DEX))
            for account in accounts:
                tasks.create_task(self._mode(account))

    async def asset(self, market: str) -> int | str:
        """The number that actions name a market by; else why there is none, in words.

        A list that cannot be read is not asked for again at once: the orders of other dexes shall
        not wait for it.
        """
        number = self._assets.number(market)
        if number is not None:
            return number
        dex = dex_of(market)
        failed_ns, words = self._failed.get(dex, (None, ""))
        if failed_ns is not None and self._clock.now() - failed_ns < FAILED_AGE_S * SECOND_NS:
            return words
        try:
            await self._markets(dex)
        except FeedError as error:
            words = f"the list of markets cannot be read: {error}"
            self._failed[dex] = (self._clock.now(), words)
            return words
        number = self._assets.number(market)
        return f"no list of the venue has {market}" if number is None else number

    async def _dexes(self) -> tuple[str, ...]:
        now = self._clock.now()
        if self._dexes_ns is None or now - self._dexes_ns > LISTS_AGE_S * SECOND_NS:
            self._assets.learn_dexes(await self._read("perpDexs", wires.read_dexes))
            self._dexes_ns = now
        return self._assets.dexes

    async def _markets(self, dex: str) -> None:
        now = self._clock.now()
        asked_ns = self._markets_ns.get(dex)
        if asked_ns is not None and now - asked_ns < MISS_AGE_S * SECOND_NS:
            return
        if dex not in await self._dexes():
            self._dexes_ns = None  # it may be new
            if dex not in await self._dexes():
                self._markets_ns[dex] = now
                return
        names = await self._read("meta", wires.read_market_names, dex=dex or None)
        self._assets.learn_markets(dex, names)
        self._markets_ns[dex] = now

    # ------------------------------------------------------------------------------ single orders

    async def fates(
        self, account: ActingAccount, client_ids: Sequence[str], *, since_ms: int
    ) -> dict[str, OrderOutcome | None]:
        """What the venue's data says of orders of ours, by client id; None: it knows of none."""
        async with together() as tasks:
            asked = {one: tasks.create_task(self._status(account, one)) for one in client_ids}
            fills = tasks.create_task(self._executions(account, since_ms))
        by_client, by_order = fills.result()
        fates = {}
        for client_id, task in asked.items():
            found = task.result()
            by_number = None if found is None else by_order.get(found.order_id)
            fates[client_id] = wires.outcome_of(
                client_id, found, (by_client.get(client_id), by_number)
            )
        return fates

    async def venue_time_ms(self) -> int:
        """The exchange's own time behind what is read now, ms."""
        status = await self._read(
            "exchangeStatus",
            lambda body: msgspec.json.decode(body, type=wire.ExchangeStatus, strict=False),
        )
        return status.time

    async def _status(self, account: ActingAccount, client_id: str) -> wires.Found | None:
        what = "orderStatus"
        return await self._read(what, wires.read_order_status, user=account.address, oid=client_id)

    async def _executions(
        self, account: ActingAccount, since_ms: int
    ) -> tuple[dict[str, wires.Execution], dict[str, wires.Execution]]:
        return await self._read(
            "userFillsByTime",
            wires.read_executions,
            rows=ROWS_EXPECTED,
            user=account.address,
            startTime=max(0, since_ms),
        )

    # -------------------------------------------------------------------------------------- asking

    async def _read(
        self,
        kind: str,
        decode: Callable[[bytes], T],
        *,
        rows: int = 0,
        **arguments: str | int | None,
    ) -> T:
        request = msgspec.structs.replace(
            info_request(self._url, kind, rows=rows, **arguments), timeout_s=self._timeout_s
        )
        attempt = 1
        while True:
            await self._budget.acquire(
                request.weight, lane=Lane.URGENT, wait_s_max=self._wait_s_max
            )
            try:
                response = await self._http.execute(request)
                if response.status == 500 and response.body.strip() == b"null":
                    raise NoSuchDexError(f"hyperliquid {kind}: 500 with null, an unknown name")
                body = check_response(response, kind)
                with decoding(kind, body):
                    return decode(body)
            except TransientFeedError as error:
                wait_s = error.retry_after_s or RETRY_S * attempt
                if error.retry_after_s:
                    self._budget.hold_reads(error.retry_after_s)
                attempt += 1
                if attempt > ATTEMPTS_MAX or wait_s > self._wait_s_max:
                    raise
                await self._clock.sleep(wait_s)


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """Tasks that end together; the first ``FeedError`` of them is raised as itself."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except ExceptionGroup as group:
        expected, others = group.split(FeedError)
        if others is not None or expected is None:
            raise
        raise _first(expected) from group


def _first(group: ExceptionGroup[FeedError]) -> FeedError:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, FeedError):  # split() leaves nothing else
        raise TypeError(type(error).__name__)
    return error
