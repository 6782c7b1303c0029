"""The daemon as something that starts whole or not at all, runs, and stops in order.

``start`` opens the store, restores, binds the port and reaches the venues; whatever fails there is
one clear sentence and nothing stays half-started. ``run`` holds the tasks. On a stop, intake ends
first, then what was decided is kept and told, and firing alerts are held over the restart.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from monitor import __version__
from monitor.actions.hyperliquid import HyperliquidExecutor
from monitor.app.book import truth_of
from monitor.app.budgets import BudgetFile
from monitor.app.degraded import Degraded, has_to_enforce
from monitor.app.desk import Desk
from monitor.app.doors import Doors
from monitor.app.hands import build_desks, build_executors, kill_policy, signer_client
from monitor.app.inputs import Inputs
from monitor.app.journal import JournalKeeper
from monitor.app.kill import KillSwitch
from monitor.app.kill_metrics import KillCollector
from monitor.app.pages import DecisionLog, EngineKeeper
from monitor.app.rulebooks import Rulebooks
from monitor.app.signer_watch import ALERT as SIGNER_ALERT
from monitor.app.signer_watch import watches
from monitor.app.source import DaemonSource
from monitor.app.stores import config_hash, open_store
from monitor.app.venues import FIRST_CONTACT_S, VenueDriver, contact_all
from monitor.app.wiring import (
    ToWall,
    build_sender,
    build_venues,
    dispatch_policy,
    engine_settings,
)
from monitor.config import Config
from monitor.core.decision import Decision
from monitor.core.engine import Engine
from monitor.core.errors import ConfigError, StoreError
from monitor.core.events import Event
from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS
from monitor.notify.dispatch import Dispatcher
from monitor.notify.pager import Pager
from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.budget import RequestBudget
from monitor.runtime.clock import SystemClock
from monitor.runtime.http import HttpClient, open_session
from monitor.runtime.loop import collect_when_idle, freeze_after_warm_up, measure_lag
from monitor.runtime.writer import Writer
from monitor.server.http import Server
from monitor.store.database import KILL_DEADLINE_S
from monitor.store.journal import JournalWriter

WARM_UP_S = 60.0
PRUNE_PERIOD_S = 3600.0
PRUNE_AFTER_S = 7 * 86_400.0
DRAIN_S = 5.0
PREPARE_PERIOD_S = 600.0
PREPARE_RETRY_S = 10.0
MEGABYTE = 1024 * 1024


class Daemon:
    """One riskd. Embeddable: tests and the demo run it inside their own process."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        base: Path,
        to_wall_ns: ToWall = int,
        simulated: bool = False,
        first_contact_s: float = FIRST_CONTACT_S,
        kill_deadline_s: float = KILL_DEADLINE_S,
        jitter: random.Random | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.base = base
        self.simulated = simulated
        self.started_ns = clock.now()
        self._to_wall_ns = to_wall_ns
        self._first_contact_s = first_contact_s
        self._kill_deadline_s = kill_deadline_s
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads retries, no secret
        self._stack = AsyncExitStack()
        self._refused = False
        self._stopping = asyncio.Event()
        self._drivers: tuple[VenueDriver, ...] = ()
        self._listeners: list[Callable[[Decision], None]] = []
        self._log = structlog.get_logger("riskd")
        self.degraded = Degraded(clock=clock, enforces=lambda: has_to_enforce(config, base=base))
        self.rulebooks = Rulebooks(config, base=base)
        self.inputs = Inputs(
            config, base=base, rulebooks=self.rulebooks, events=self, degraded=self.degraded
        )

    @property
    def drivers(self) -> tuple[VenueDriver, ...]:
        """The venues being driven."""
        return self._drivers

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.server.url

    def listen(self, listener: Callable[[Decision], None]) -> None:
        """Hear every decision that is not quiet (the demo's narrator)."""
        self._listeners.append(listener)

    def decided(self, decision: Decision) -> None:
        """Pass a decision to whoever listens; implements ``DecisionListener``."""
        for listener in self._listeners:
            listener(decision)

    def stop(self) -> None:
        """Ask ``run`` to end in order."""
        self._stopping.set()

    async def start(self) -> None:
        """Everything that can be refused, in an order that leaves nothing behind.

        Raises:
            ConfigError: With what the operator must mend.
        """
        try:
            await self._start()
        except BaseException as error:
            self._refused = isinstance(error, ConfigError)
            await self.close()
            raise

    async def _start(self) -> None:
        config = self.config
        # What can be refused without touching anything comes first.
        self.inputs.read()
        self.metrics = DaemonMetrics(version=__version__, config_hash=config_hash(config))
        if isinstance(self.clock, SystemClock):
            self.metrics.clock_offset = self.clock.wall_offset_s
        self.source = DaemonSource(self)
        self.server = Server(
            config.server, self.source, token=self.inputs.token, sealed=self.inputs.sealed
        )
        self.inputs.serve_by(self.server)
        self._stack.push_async_callback(self.server.close)
        # Before the store, so that a port in use leaves no data directory behind; pages name this
        # address, where their runbooks are read.
        bound = self._bind()
        data = self.base / config.data_dir
        self.doors = Doors(
            config,
            base=self.base,
            clock=self.clock,
            to_wall_ns=self._to_wall_ns,
            degraded=self.degraded,
        )
        self.store = open_store(
            config,
            base=self.base,
            degraded=self.degraded,
            kill_deadline_s=self._kill_deadline_s,
        )
        self._stack.callback(lambda: self.store.close(unused=self._refused))
        await self.inputs.recall(self.store)
        await self._restore_engine()
        session = open_session(user_agent=f"riskd/{__version__}")
        self._stack.push_async_callback(session.close)
        self._stack.push_async_callback(self.server.close)  # nobody is served while it closes
        await self._make_pager(session)
        # Latches are restored, and the KILL file is read, before anything connects.
        await self._make_kill(data)
        self.writer = Writer(
            self.engine,
            self.clock,
            listeners=(self.pager, self.decisions, self.kill.driver, self),
            metrics=self.metrics,
            journal=self._open_journal(data),
        )
        self.desk = Desk(self)
        await self.doors.open(self.desk, server=self.server, store=self.store, data=data)
        self._stack.push_async_callback(self.doors.close)
        if bound:
            await self.server.start()
        await self.desk.restore()
        self.inputs.load()
        self.degraded.tell_by(self.kill.driver.tell, self.dispatcher.active)
        await self._reach_venues(session)
        self._log.info(
            "riskd_started",
            version=__version__,
            desk=config.desk,
            mode=config.mode,
            url=self.url,
            simulated=self.simulated,
        )

    def _bind(self) -> bool:
        """Take the port; False where it cannot be had and that is forgiven."""
        try:
            self.server.bind()
        except ConfigError as error:
            self.degraded.forgive(
                "port",
                error,
                meanwhile="riskd enforces, pages, and tells the trading state by webhook; who asks "
                "for it over HTTP gets no answer and falls back to REDUCE_ONLY. `riskd kill` and "
                "`riskd rearm` work on this machine. It tries the port again at least every "
                "minute: free it.",
                again=self.server.start,
            )
            return False
        return True

    async def _make_kill(self, data: Path) -> None:
        """The kill switch as an earlier process left it, and its hands."""
        config, clock = self.config, self.clock
        self._venues = build_venues(config)
        self._budgets = {venue.name: RequestBudget(venue.budget, clock) for venue in self._venues}
        self._budget_file = BudgetFile(data, self._budgets)
        self._budget_file.recall()
        # Connections of its own: a read that hangs cannot keep a cancel from leaving.
        hands = open_session(user_agent=f"riskd/{__version__}")
        self._stack.push_async_callback(hands.close)
        signer = signer_client(data)
        self.executors = build_executors(
            config,
            http=HttpClient(hands, clock),
            budgets=self._budgets,
            clock=clock,
            data=data,
            signer=signer,
            tell=self.submit,
        )
        desks = build_desks(
            config,
            base=self.base,
            clock=clock,
            to_wall_ns=self._to_wall_ns,
            truth=lambda venue, account: truth_of(self.engine, venue, account, clock.now()),
            degraded=self.degraded,
        )
        for _, extra in desks:
            self._stack.push_async_callback(extra.close)
        self.kill = KillSwitch(
            kill_policy(config),
            (*self.executors, *(executor for executor, _ in desks)),
            engine=self.engine,
            events=self,
            store=self.store,
            pager=self.pager,
            clock=clock,
            majors=config.freshness.majors,
            directory=data,
            changed=self.doors.changed,
        )
        self.signers = watches(
            [one.venue for one in self.executors],
            signer,
            clock=clock,
            tell=self.kill.driver.tell,
            standing=self.pager.standing(SIGNER_ALERT),
        )
        self.metrics.registry.register(KillCollector(self))
        self.kill.started()

    def submit(self, events: tuple[Event, ...]) -> None:
        """Let facts into the engine; implements ``EventSink`` for the kill switch."""
        for event in events:
            self.inputs.in_force(event)
        self.writer.submit(events)

    async def _restore_engine(self) -> None:
        """The engine with what an earlier process kept, in a time that does not go back."""
        self.engine = Engine(engine_settings(self.config))
        stopped_ns = await self.store.last_phase_ns()
        if stopped_ns is not None and isinstance(self.clock, SystemClock):
            self.clock.not_before(stopped_ns)
        self.engine.restore(
            await self.store.rule_states(),
            tuple((await self.store.memories()).items()),
            stopped_ns=self.clock.now() if stopped_ns is None else stopped_ns,
        )

    async def _make_pager(self, session: aiohttp.ClientSession) -> None:
        """Dispatcher, sender and pager, going on with the alerts of the earlier process. Before any
        rule is loaded, so that a rule that is gone since then ends its alert as it should."""
        config, clock = self.config, self.clock
        self.decisions = DecisionLog(acting=config.mode != "observe")
        self.dispatcher = Dispatcher(
            dispatch_policy(config, server_url=self.url),
            now=clock.now(),
            is_stale=self.source.is_stale,
            unseen=self.source.unseen,
        )
        self.sender, guarded = build_sender(
            config,
            session,
            self.store,
            clock=clock,
            to_wall_ns=self._to_wall_ns,
            observer=self.source,
            base=self.base,
            degraded=self.degraded,
            server_url=self.url,
        )
        for extra in guarded:
            self._stack.push_async_callback(extra.close)
        self.pager = Pager(
            self.dispatcher,
            self.sender,
            self.store,
            clock=clock,
            snapshot=EngineKeeper(self.engine, clock),
        )
        held = dict(self.source.rules_held())
        await self.pager.restore(
            await self.store.alerts(),
            firing={key for key, memory in held.items() if memory.state.firing},
            failing={key for key, memory in held.items() if memory.state.error},
        )

    def _open_journal(self, data: Path) -> JournalKeeper | None:
        settings = self.config.journal
        if not settings.enabled:
            return None
        sink = JournalWriter(
            data / "journal",
            segment_bytes=settings.segment_mb * MEGABYTE,
            total_bytes=settings.segment_mb * settings.segments * MEGABYTE,
        )
        self._stack.callback(sink.close)
        return JournalKeeper(sink, self.engine)

    async def _reach_venues(self, session: aiohttp.ClientSession) -> None:
        """First contact with venues never reached before; the others are reached while running."""
        http = HttpClient(session, self.clock)
        self._drivers = tuple(
            VenueDriver(
                venue,
                session=session,
                http=http,
                clock=self.clock,
                sink=self.writer,
                metrics=self.metrics,
                random=self._jitter,
                budget=self._budgets[venue.name],
            )
            for venue in self._venues
        )
        known = await self.store.known_venues()
        if self.kill.machine.state.latches:  # what is latched is enforced before anything else
            known |= {venue.name: 0 for venue in self._venues}
        try:
            await contact_all(self._drivers, known, wait_s=self._first_contact_s)
        except ConfigError as error:
            meanwhile = "riskd watches and acts at the others, and goes on trying this one."
            self.degraded.forgive("venue", error, meanwhile=meanwhile)
        for driver in self._drivers:
            if driver.ready:
                await self._remember(driver.venue.name)

    async def _remember(self, venue: str) -> None:
        """A first contact that is not kept is no reason not to start."""
        try:
            await self.store.remember_venue(venue, self.clock.now())
        except StoreError as error:
            self._log.warning("first_contact_not_kept", venue=venue, reason=str(error))

    async def run(self) -> None:
        """Watch until ``stop``; raises whatever breaks the core."""
        async with asyncio.TaskGroup() as outer:
            tellers = [
                outer.create_task(self.sender.run(), name="sender"),
                outer.create_task(self.pager.run(), name="pager"),
                outer.create_task(self.kill.driver.run(), name="kill"),
            ]
            workers = [outer.create_task(work, name=name) for name, work in self._work()]
            await self._stopping.wait()
            self._log.info("riskd_stopping")
            for task in workers:
                task.cancel()
            await asyncio.wait(workers)
            self.writer.drain()
            await self.doors.shut()
            out = await self.kill.driver.shut_down()
            await self.doors.leave()
            for task in tellers[1:]:
                task.cancel()
            await asyncio.wait(tellers[1:])
            left = await self.pager.shut_down(DRAIN_S)
            tellers[0].cancel()
            self._log.info("riskd_stopped", pages_not_sent=left, commands_out=out)

    async def close(self) -> None:
        """Give back everything ``start`` took; safe to call twice."""
        await self._stack.aclose()

    def _work(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        work: list[tuple[str, Coroutine[Any, Any, None]]] = [
            ("writer", self.writer.run()),
            ("lag", measure_lag(self.metrics)),
            ("housekeeping", self._housekeep()),
            ("collect", self._collect()),
            ("kill:file", self.kill.watch_file()),
            *self.desk.work(),
            ("kill:reports", self.kill.reporter.run()),
            ("inputs", self.inputs.run(self.store)),
            ("budgets", self._budget_file.keep()),
            ("degraded", self.degraded.run()),
        ]
        work += [(f"trading:{one.name}", one.run()) for one in self.doors.pushes]
        work += [("signer", watch.run()) for watch in self.signers]
        work += [(f"hands:{one.venue}", self._prepare(one)) for one in self.executors]
        work += [(f"venue:{d.venue.name}", d.run(self._reached)) for d in self._drivers]
        return work

    async def _prepare(self, executor: HyperliquidExecutor) -> None:
        """Have an executor know the venue's markets before they are needed, and say what is in the
        way of acting."""
        told = ""
        while True:
            why = await executor.prepare()
            if why != told:
                told = why
                self._log.info("hands_prepared", venue=executor.venue, problem=why)
            await self.clock.sleep(PREPARE_RETRY_S if why else PREPARE_PERIOD_S)

    def _reached(self, venue: str) -> None:
        self._log.info("venue_reached", venue=venue)
        if all(driver.ready for driver in self._drivers):
            self.degraded.mended("venue")

    def reload_rules(self) -> bool:
        """Read the rulebook again (SIGHUP); a wrong one changes nothing and is logged whole."""
        return self.inputs.reload_rules()

    # ------------------------------------------------------------------------- housekeeping

    async def _housekeep(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_PERIOD_S)
            try:
                await self.store.prune(self.clock.now() - round(PRUNE_AFTER_S * SECOND_NS))
            except StoreError as error:
                self._log.warning("prune_failed", reason=str(error))

    async def _collect(self) -> None:
        if self.simulated:
            # The demo lives inside other processes' memory and for minutes only.
            await asyncio.Event().wait()
        await asyncio.sleep(WARM_UP_S)
        freeze_after_warm_up()
        await collect_when_idle(self.clock, lambda: self.writer.last_event_ns)


async def run_daemon(daemon: Daemon, *, started: Callable[[Daemon], None] | None = None) -> None:
    """Start, run until SIGTERM or SIGINT, stop in order; SIGHUP reads the rulebook again."""
    loop = asyncio.get_running_loop()
    await daemon.start()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        with suppress(AttributeError):  # no SIGHUP on some systems
            loop.add_signal_handler(signal.SIGHUP, daemon.reload_rules)
        if started is not None:
            started(daemon)
        await daemon.run()
    finally:
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            with suppress(AttributeError):
                loop.remove_signal_handler(getattr(signal, name))
        await daemon.close()
