"""A whole desk in one process and one time: venues, a daemon in ``rehearse``, its signer, a pager.

Everything is the real thing over real sockets; only time is virtual. A test awaits conditions, with
a limit in simulated seconds, and judges by what the venue shows.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import structlog
from aiohttp import web

from monitor.actions.settings import acting_accounts
from monitor.actions.signer import SOCKET_NAME, STATE_NAME, Signer, SignerServer, SignerState
from monitor.app.lifecycle import Daemon
from monitor.config import Config, parse_config
from monitor.core.killswitch.state import Latch, Stage
from monitor.core.operator import OperatorAnswer, OperatorRequest, Verb
from monitor.core.types import PORTFOLIO, SECOND_NS, Subject
from monitor.server.control import SOCKET_NAME as CONTROL_NAME
from monitor.sim.accounts import SimAccount, SimFill, SimOrder
from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SIGNER, HYPERLIQUID_SIGNER_KEY
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.occurrences import Filled, WorldEvent
from monitor.sim.simulation import Simulation
from monitor.sim.world import World
from monitor.store.audit import AuditRecord, read_rows
from monitor.store.audit_check import Verdict, decode_record, open_for_reading, verify
from monitor.store.database import DATABASE_NAME
from monitor.store.second_copy import ANCHOR_NAME
from tests.killpath.virtual_time import VirtualClock

START_S = 1_790_000_000.0
# Data folders are made in memory where there is such a place: virtual time waits for every write,
# and a disk that stalls would be taken for riskd.
MEMORY = next((one for one in ("/dev/shm",) if Path(one).is_dir()), None)  # noqa: S108
PERIOD_S = 1.0  # the world is looked at this often
LOOK_S = 0.25
COPIES_MAX = 100
PAGER_SECRET = "RISKD_TEST_KILLPATH_PAGER"  # noqa: S105 - the name of a variable
OPERATOR_SECRET = "RISKD_TEST_KILLPATH_OPERATOR"  # noqa: S105 - the name of a variable
OPERATOR_KEY = bytes(range(32, 64))
HL, DYDX = "hyperliquid", "dydx"
HL_SCOPE = Subject("venue:hyperliquid")
MAIN_SCOPE = Subject("account:hyperliquid/main")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """One thing a person was told."""

    at_s: float
    firing: bool
    alert: str
    severity: str
    key: str
    summary: str
    description: str

    def __str__(self) -> str:
        kind = "FIRING  " if self.firing else "resolved"
        return f"{self.at_s:7.2f} s {kind} {self.severity:<8} {self.alert}: {self.summary}"


@dataclass(frozen=True)
class Desk:
    """How this desk is set up; what is not said is as a careful desk has it."""

    venues: tuple[str, ...] = (HL,)
    mode: str = "rehearse"
    rules: str = ""  # the desk's own rule file
    acting: tuple[str, ...] = ()  # rules that may act by themselves
    proposing: tuple[str, ...] = ()
    builtin: bool = False
    kill: Mapping[str, object] = field(default_factory=dict)
    actions: Mapping[str, object] = field(default_factory=dict)
    operators: tuple[str, ...] = ("risk",)
    cap_usd: int = 100_000_000
    signer: bool = True
    both: bool = False  # the sub-account is an account to act for, too
    subaccounts: bool = False  # watched, and nothing can act for them
    more: Mapping[str, object] = field(default_factory=dict)  # whole sections
    seed: int = 7


class Rig:
    """The desk while it lives. ``folder`` holds its files; ``told`` is what its people heard."""

    def __init__(self, desk: Desk, folder: Path, clock: VirtualClock) -> None:
        self.desk = desk
        self.folder = folder
        self.data = folder / "data"
        self.clock = clock
        self.world = World(desk.seed, clock.now() / SECOND_NS)
        self.simulation = Simulation(self.world, clock, period_s=PERIOD_S)
        self.told: list[Told] = []
        self.fills: list[SimFill] = []  # of the desk's main account, in order
        self.before: dict[str, Decimal] = {}
        self.largest_net: dict[str, Decimal] = {}
        self.daemon: Daemon
        self._pager_url = ""
        self.requests_before = self.main.requests_used
        self._stack = AsyncExitStack()
        self._running: asyncio.Task[None] | None = None
        self._signer: SignerServer | None = None
        self.signer: Signer | None = None

    # -------------------------------------------------------------------------- beginning, ending

    async def open(self) -> None:
        """The venues, the pager and the signer; then the daemon."""
        await self._stack.enter_async_context(self.simulation)
        self._pager_url = await self._open_pager()
        self.world.subscribe(self._seen)
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self.desk.rules:
            (self.folder / "rules.yaml").write_text(self.desk.rules, encoding="utf-8")
        if self.desk.signer:
            await self.start_signer()
        await self.start()

    async def close(self) -> None:
        """Everything ends, the daemon first."""
        if self._running is not None:
            await self.stop()
        await self.stop_signer()
        await self._stack.aclose()

    def new_daemon(self) -> Daemon:
        """A daemon on this data directory that has not started."""
        return Daemon(
            self.config(),
            self.clock,
            base=self.folder,
            to_wall_ns=self.clock.to_wall_ns,
            simulated=True,
        )

    async def start(self, daemon: Daemon | None = None) -> None:
        """A daemon on this data directory; returns when it runs."""
        self.daemon = self.new_daemon() if daemon is None else daemon
        await self.daemon.start()
        self._running = asyncio.create_task(self.daemon.run(), name="daemon")

    async def stop(self) -> None:
        """A planned stop."""
        self.daemon.stop()
        await self._ended()

    async def kill_process(self) -> None:
        """As ``kill -9`` leaves things: the files as they are at this instant, and nothing of the
        process, which neither says goodbye nor keeps what it was about to keep."""
        snapshot = self.folder / "snapshot"
        _copy_at_once(self.data, snapshot)
        if self._running is not None:
            self._running.cancel()
        await self._ended()
        for path in self.data.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif not _is_signers(path.name):
                path.unlink()
        shutil.copytree(snapshot, self.data, ignore=_signers, dirs_exist_ok=True)
        shutil.rmtree(snapshot)

    async def _ended(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await running
        await self.daemon.close()

    async def start_signer(self) -> None:
        """The signer of this desk, on its socket."""
        config = self.config()
        settings, venue = config.actions.hyperliquid, config.venues.hyperliquid
        assert settings is not None
        assert venue is not None
        self.signer = Signer(
            settings.signer.key.read(os.environ, base=self.folder),
            acting_accounts(settings, venue),
            settings.signer,
            mainnet=False,
            state=SignerState(self.data / STATE_NAME),
            clock=self.clock,
        )
        self._signer = SignerServer(self.signer, self.data / SOCKET_NAME)
        await self._signer.start()

    async def stop_signer(self) -> None:
        """The signer's process ends."""
        if self._signer is not None:
            await self._signer.close()
            self._signer = None

    def config(self) -> Config:
        """The configuration as text would give it."""
        return parse_config(orjson.dumps(self._settings()).decode(), source="killpath")

    def _settings(self) -> Json:
        desk, urls, addresses = self.desk, self.simulation.urls, self.simulation.addresses
        if desk.both:
            extra = [{"alias": "hedge", "address": addresses[HL]["subaccount"]}]
            hands = [{"alias": "main"}, {"alias": "hedge", "acts_as": "sub"}]
        else:
            extra, hands = [], [{"alias": "main"}]
        key = self.folder / "key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(HYPERLIQUID_SIGNER_KEY, encoding="ascii")
        os.environ[PAGER_SECRET] = _secret(bytes(range(32)))
        os.environ[OPERATOR_SECRET] = _secret(OPERATOR_KEY)
        venues: Json = {
            HL: {
                "rest_url": urls[HL]["rest"],
                "ws_url": urls[HL]["ws"],
                "accounts": [{"alias": "main", "address": addresses[HL]["main"]}, *extra],
                "watch_subaccounts": desk.subaccounts,
                "baselines": False,
            },
            DYDX: {
                "rest_url": urls[DYDX]["rest"],
                "ws_url": urls[DYDX]["ws"],
                "validator_urls": [urls[DYDX]["rpc"]],
                "accounts": [{"alias": "main", "address": addresses[DYDX]["main"]}],
                "baselines": False,
            },
        }
        pager = {
            "name": "pager",
            "url": self._pager_url,
            "allow_loopback": True,
            "secret": {"env": PAGER_SECRET},
        }
        rules = [{"rule": rule, "mode": "act"} for rule in desk.acting]
        rules += [{"rule": rule, "mode": "propose"} for rule in desk.proposing]
        acting: Json = {
            "accounts": hands,
            "signer": {"key": {"file": "key"}, "notional_usd_per_hour": desk.cap_usd},
        }
        settings: Json = {
            "desk": "test",
            "mode": desk.mode,
            "data_dir": "data",
            "venues": {name: venues[name] for name in desk.venues},
            "rules": {"builtin": desk.builtin, "files": ["rules.yaml"] if desk.rules else []},
            "notify": {"webhooks": [pager]},
            "server": {"port": 0},
            "journal": {"enabled": False},
            "kill": {"unseen": "nothing else", "rules": rules} | dict(desk.kill),
            "operators": [{"name": name, "secret_env": OPERATOR_SECRET} for name in desk.operators],
        }
        if desk.mode != "observe":
            settings["actions"] = {HL: acting | dict(desk.actions)}
        return settings | dict(desk.more)

    async def _open_pager(self) -> str:
        async def told(request: web.Request) -> web.Response:
            document = orjson.loads(await request.read())
            data = document["data"]
            labels, texts = data["labels"], data["annotations"]
            if labels["alertname"] != "RiskdWatchdog":
                self.told.append(
                    Told(
                        at_s=self.at_s,
                        firing=document["type"] == "alert.firing",
                        alert=labels["alertname"],
                        severity=labels["severity"],
                        key=data["dedup_key"],
                        summary=texts["summary"],
                        description=texts.get("description", ""),
                    )
                )
            return web.Response()

        app = web.Application()
        app.router.add_post("/", told)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/"

    # --------------------------------------------------------------------------------------- time

    @property
    def at_s(self) -> float:
        """Simulated seconds since the beginning."""
        return self.clock.passed_ns / SECOND_NS

    async def passes(self, seconds: float) -> None:
        """Let simulated time pass; what ends the daemon ends the test."""
        self._alive()
        await self.clock.sleep(seconds)
        self._alive()

    async def until(self, condition: Callable[[], object], *, within_s: float = 60.0) -> None:
        """Until it is true; fails, with everything that happened, after simulated seconds."""
        end_s = self.at_s + within_s
        while not condition():
            if self.at_s > end_s:
                raise AssertionError(f"not within {within_s:g} s:\n{self}")
            await self.passes(LOOK_S)

    def _alive(self) -> None:
        if self._running is not None and self._running.done():
            self._running.result()
            raise AssertionError("the daemon ended by itself")

    def __str__(self) -> str:
        lines = [str(one) for one in self.told]
        lines += [
            f"{(one.engine_ns - self.clock.start_ns) / SECOND_NS:8.2f} s {one.actor} {one.action} "
            f"{one.scope} {one.level_from}>{one.level_to} {one.reason} {dict(one.details)}"
            for one in self.audit()
        ]
        return "\n".join(lines) or "(nothing was told and nothing recorded)"

    # ------------------------------------------------------------------------- what people can see

    @property
    def latches(self) -> Mapping[str, Latch]:
        """What is latched."""
        return self.daemon.kill.machine.state.latches

    def stage(self, scope: Subject = HL_SCOPE) -> Stage:
        """Where a scope stands."""
        return self.daemon.kill.machine.stage(scope)

    def trading(self) -> Json:
        """The document that the desk's own systems read."""
        return self.daemon.doors.document()

    def pages(self, alert: str) -> list[Told]:
        """What was told of one kind of alert that began or goes on."""
        return [one for one in self.told if one.firing and one.alert == alert]

    def audit(self) -> list[AuditRecord]:
        """Every record, as an auditor reads the file; none where it cannot be read."""
        with (
            contextlib.suppress(Exception),
            open_for_reading(self.data / DATABASE_NAME) as connection,
        ):
            return [decode_record(row) for row in read_rows(connection)]
        return []

    def actions(self) -> list[str]:
        """What the audit says was done, in order."""
        return [one.action for one in self.audit()]

    def verified(self) -> Verdict:
        """The audit chain as ``riskd audit verify`` judges it."""
        with open_for_reading(self.data / DATABASE_NAME) as connection:
            return verify(connection, anchor=self.data / ANCHOR_NAME)

    # -------------------------------------------------------------------------------- what is true

    @property
    def main(self) -> SimAccount:
        """The desk's main account at Hyperliquid, as the venue has it."""
        return self.world.account(HL, HYPERLIQUID_MASTER)

    @property
    def wallet(self) -> SimAccount:
        """The signer's API wallet."""
        return self.world.account(HL, HYPERLIQUID_SIGNER)

    def sizes(self) -> dict[str, Decimal]:
        """Signed positions of the main account."""
        return {
            position.symbol: position.size
            for pool in self.main.pools.values()
            for position in pool.positions.values()
        }

    def orders(self) -> list[SimOrder]:
        """Its working orders."""
        return [order for pool in self.main.pools.values() for order in pool.orders.values()]

    def gross_usd(self) -> float:
        """Its gross exposure."""
        return float(
            sum(
                abs(size) * self.world.market(HL, symbol).mark_price
                for symbol, size in self.sizes().items()
            )
        )

    def ours(self) -> list[SimOrder]:
        """Orders that riskd placed, by the venue's own history: reduce-only and at once."""
        return [
            order
            for pool in self.main.pools.values()
            for order in pool.order_history
            if order.tif == "Ioc" and order.reduce_only and order.client_id is not None
        ]

    def traded_twice(self) -> list[str]:
        """Client ids of riskd under which more than one order was executed."""
        known = {order.order_id: order.client_id or "" for order in self.ours()}
        executed = {fill.order_id for fill in self.fills if fill.order_id in known}
        times = Counter(known[order_id] for order_id in executed)
        return sorted(client_id for client_id, count in times.items() if count > 1)

    def remember(self) -> None:
        """The positions and nets of now are what later ones are compared with."""
        self.before = self.sizes()
        self.fills.clear()
        self.largest_net = {asset: abs(net) for asset, net in self.nets().items()}

    def nets(self) -> dict[str, Decimal]:
        """Signed base units per asset over every watched account."""
        found: dict[str, Decimal] = {}
        for name, venue in self.world.venues.items():
            if name not in self.desk.venues:
                continue
            for account in venue.accounts.values():
                if account.label != "main":
                    continue
                for pool in account.pools.values():
                    for symbol, position in pool.positions.items():
                        asset = venue.markets[symbol].spec.asset
                        found[asset] = found.get(asset, Decimal(0)) + position.size
        return found

    def grown(self) -> dict[str, Decimal]:
        """Positions that are larger than remembered, or on the other side."""
        now = self.sizes()
        return {
            symbol: now[symbol]
            for symbol in now
            if abs(now[symbol]) > abs(self.before.get(symbol, Decimal(0)))
            or now[symbol] * self.before.get(symbol, Decimal(0)) < 0
        }

    def flips(self) -> list[SimFill]:
        """Fills of riskd's own orders that made a position larger or turned it over."""
        own = {order.order_id for order in self.ours()}
        found = []
        for fill in self.fills:
            signed = fill.size if fill.side == "buy" else -fill.size
            after = fill.start_position + signed
            if fill.order_id in own and (
                abs(after) > abs(fill.start_position) or after * fill.start_position < 0
            ):
                found.append(fill)
        return found

    def _seen(self, events: Sequence[WorldEvent]) -> None:
        self.fills += [
            event.fill
            for event in events
            if isinstance(event, Filled) and event.address == HYPERLIQUID_MASTER
        ]
        for asset, net in self.nets().items():
            self.largest_net[asset] = max(abs(net), self.largest_net.get(asset, Decimal(0)))

    # ----------------------------------------------------------------------------- what people do

    def inject(self, kind: FaultKind, **how: Any) -> Fault:
        """A fault at Hyperliquid (or ``venue``), until it is healed."""
        fault = Fault(kind=kind, **({"venue": HL} | how))
        self.world.faults.inject(fault)
        return fault

    def heal(self, kind: FaultKind | None = None) -> None:
        """End faults."""
        self.world.faults.heal(kind)

    async def ask(self, verb: Verb, **fields: Any) -> OperatorAnswer:
        """As the command line asks: one line over the control socket."""
        request = OperatorRequest(
            id=fields.pop("id", f"cli-{self.at_s}-{verb}"), verb=verb, **fields
        )
        reader, writer = await asyncio.open_unix_connection(self.data / CONTROL_NAME)
        try:
            writer.write(msgspec.json.encode(request) + b"\n")
            return msgspec.json.decode(await reader.readline(), type=OperatorAnswer)
        finally:
            writer.close()

    async def pull(
        self,
        level: str = "cut",
        *,
        scope: Subject = HL_SCOPE,
        keep: float | None = 0.7,
        reason: str = "drill",
    ) -> OperatorAnswer:
        """``riskd kill``; what the venue holds then is what later states are compared with."""
        self.remember()
        ratio = keep if level == "cut" else None
        return await self.ask(
            Verb.KILL, scope=str(scope), level=level, gross_to_ratio=ratio, reason=reason
        )

    async def rearm(self, scope: Subject = HL_SCOPE) -> OperatorAnswer:
        """Both steps of going back, by the same person."""
        offer = await self.ask(Verb.REARM, scope=str(scope))
        if not offer.done:
            return offer
        return await self.ask(Verb.CONFIRM, nonce=nonce_in(offer), reason="drill is over")


def nonce_in(offer: OperatorAnswer) -> str:
    """The nonce that a re-arm's first step answered with."""
    return offer.text.split("--confirm ")[1].split()[0]


def run(
    test: Callable[[Rig], Awaitable[None]],
    desk: Desk | None = None,
    *,
    before: Callable[[Rig], None] = lambda _rig: None,
) -> None:
    """Run one test on a fresh desk, in virtual time; ``before`` makes files of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    clock = VirtualClock(round(START_S * SECOND_NS))
    with asyncio.Runner(debug=False, loop_factory=clock.loop) as runner:
        runner.run(_run(test, desk or Desk(), clock, before))


async def _run(
    test: Callable[[Rig], Awaitable[None]],
    desk: Desk,
    clock: VirtualClock,
    before: Callable[[Rig], None],
) -> None:
    async with opened(desk, clock, before=before) as rig:
        await rig.until(lambda: _ready(rig))
        await test(rig)


@asynccontextmanager
async def opened(
    desk: Desk, clock: VirtualClock, *, before: Callable[[Rig], None] = lambda _rig: None
) -> AsyncIterator[Rig]:
    """A desk for the time of a block; its paths are short, as sockets need them."""
    with tempfile.TemporaryDirectory(prefix="riskd-", dir=MEMORY) as folder:
        rig = Rig(desk, Path(folder), clock)
        try:
            before(rig)
            await rig.open()
            yield rig
        finally:
            await rig.close()


def _ready(rig: Rig) -> bool:
    """The book is known, and so are the markets that hands need."""
    book = rig.daemon.kill.book(rig.clock.now())
    known = {market for one in book.accounts for market in one.positions}
    return bool(known) and not book.dark and rig.at_s >= 3.0


def _secret(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def _is_signers(name: str) -> bool:
    return name in {SOCKET_NAME, STATE_NAME}


def _signers(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if _is_signers(name)}


def _copy_at_once(data: Path, snapshot: Path) -> None:
    """All files of one instant: copied again where the store's thread wrote meanwhile."""
    for _ in range(COPIES_MAX):
        before = _stamps(data)
        with contextlib.suppress(shutil.Error):  # a file was replaced under our hands
            shutil.copytree(data, snapshot, ignore=_sockets)
            if _stamps(data) == before:
                return
        shutil.rmtree(snapshot, ignore_errors=True)
    pytest.fail(f"{data} never stood still")


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = dict[str, tuple[int, int, int]]()
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found[str(path)] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found


def _sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_socket()}


__all__ = ["DYDX", "HL", "HL_SCOPE", "MAIN_SCOPE", "PORTFOLIO", "Desk", "Rig", "nonce_in", "run"]
