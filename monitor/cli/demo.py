"""``riskd demo``: riskd at work on an embedded simulated world of both venues, told in sentences.

Everything is real but the venues: their wire protocols over loopback sockets, the daemon, its
rules, its store, its pages (through a real Alertmanager where one is installed), its kill switch
and the signer, a process of its own. Marked SIMULATED wherever it shows. At most five minutes;
Ctrl-C or q ends it cleanly.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from monitor.app.lifecycle import Daemon
from monitor.cli.demo_desk import ACTING_RULE, DATA, write_desk
from monitor.cli.demo_operator import SCENARIO, Operator
from monitor.cli.demo_signer import DemoSigner
from monitor.cli.demo_tempo import Tempo
from monitor.cli.flags import port, speed
from monitor.cli.gate_voice import GateVoice
from monitor.cli.keys import HELP, KEYS, Keyboard
from monitor.cli.kill_record import record_lines
from monitor.cli.kill_voice import KillVoice
from monitor.cli.narrator import Narrator
from monitor.cli.output import hush, hush_closed_terminals
from monitor.cli.pager import Alertmanager, Pager
from monitor.cli.runner import new_runner
from monitor.config import Config
from monitor.core.errors import ConfigError
from monitor.core.types import SECOND_NS, Severity
from monitor.observability.logging import configure_logging
from monitor.runtime.paced_clock import PacedClock
from monitor.server.settings import ServerSettings
from monitor.sim.occurrences import Narrated, Paced, WorldEvent
from monitor.sim.scenario import Scenario, load_scenario, play, scenario_names
from monitor.sim.simulation import Simulation, period_at
from monitor.sim.world import World

STATUS_PERIOD_S = 12.0  # of the watcher's time
LOOK_S = 5.0  # of simulated time, at what is told when it moves
LASTS_S = 240.0  # of the watcher's time, where a scenario does not say how fast it wants to be seen
PORT = ServerSettings().port
# Real seconds in which the kill switch's record must be kept. The demo's time waits for a busy
# machine, and so does this: it is no demonstration of a broken disk.
RECORD_S = 10.0
SECRET_VARIABLE = "RISKD_DEMO_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
END = """\
[SIMULATED] That was the demo. Your own accounts, by address, without any key and in observe:
  riskd init --hyperliquid 0x… --dydx dydx1…
  riskd run --config riskd.yaml"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to show."""
    parser.add_argument(
        "--scenario", default="demo", help=f"one of {', '.join(scenario_names())} (default demo)"
    )
    parser.add_argument("--seed", type=int, default=7, help="same seed, same world (default 7)")
    parser.add_argument(
        "--speed",
        type=speed,
        help="simulated seconds per second, at most: time waits for a slow machine (by default "
        "what suits the scenario, so that it lasts no more than five minutes)",
    )
    parser.add_argument(
        "--port",
        type=port,
        default=PORT,
        help=f"of the page and the API (default {PORT}; 0 takes any free one)",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep store, journal and trip reports there (for riskd replay and riskd audit)",
    )
    parser.add_argument("--log", action="store_true", help="show riskd's own log lines too")
    parser.epilog = (
        f"keys while it runs: {HELP}\nIt ends by itself, or in order at q, Ctrl-C or SIGTERM, or "
        "when its terminal closes."
    )


def run(arguments: argparse.Namespace) -> int:
    """0 after its end, by itself or by hand."""
    configure_logging(level="info" if arguments.log else "critical")
    with tempfile.TemporaryDirectory(prefix="riskd-demo-") as temporary, new_runner() as runner:
        folder = arguments.keep or Path(temporary)
        _make(folder)
        runner.run(Demo(arguments, folder).run())
    return 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise ConfigError(
            f"--keep {folder}: store and journal cannot be kept there ({error.strerror}). "
            "Name a directory that you may write."
        ) from error


def suitable_speed(scenario: Scenario) -> float:
    """So fast that it lasts four minutes, and never slower than the world is."""
    return max(1.0, scenario.duration_s / LASTS_S)


class Demo:
    """The world, the daemon, the pager and the voice."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self._arguments = arguments
        self._folder = folder
        self._scenario = load_scenario(arguments.scenario)
        self._world = World(arguments.seed, self._scenario.start_near(time.time()))
        # Time stands still until world, pager and daemon stand, and waits for this loop afterwards:
        # on a slow machine the same is told, only later.
        self._clock = PacedClock(
            speed=arguments.speed or suitable_speed(self._scenario),
            start_ns=round(self._world.start_s * SECOND_NS),
        )
        self._began_s = time.monotonic()
        self._stopping = asyncio.Event()
        self._voice = Narrator(
            self._print, self._clock.now, self._clock.now(), acting=frozenset({ACTING_RULE})
        )
        self._tempo = Tempo(self._clock, fixed=arguments.speed is not None)
        self._kills = KillVoice(partial(self._voice.say, "KILL"), self._tempo.look)
        self._gates = GateVoice(partial(self._voice.say, "gate"), self._tempo.look)

    async def run(self) -> None:
        """The whole show."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        pager = Pager(self._voice.paged)
        await pager.start()
        alertmanager = Alertmanager(self._folder, pager)
        try:
            real = await alertmanager.start()
            period_s = period_at(self._clock.speed)
            async with Simulation(self._world, self._clock, period_s=period_s) as simulation:
                self._tempo.changed = simulation.watch_at
                os.environ[SECRET_VARIABLE] = pager.secret
                config = self._config(simulation, pager, alertmanager.url if real else "")
                signer = DemoSigner(self._folder, self._clock, aloud=self._arguments.log)
                try:
                    await signer.start()
                    await self._with_signer(signer, config, simulation, real=real)
                finally:
                    await signer.close()
        finally:
            os.environ.pop(SECRET_VARIABLE, None)
            await alertmanager.close()
            await pager.close()
        for line in record_lines(
            self._folder / DATA, self._kills.trips, kept=self._arguments.keep is not None
        ):
            self._voice.say("audit", line)
        # Nothing is left but to leave: a terminal that closes at the last words, or while the
        # handler gives way to the default, must not make it a crash.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        self._print(END)

    async def _with_signer(
        self, signer: DemoSigner, config: Config, simulation: Simulation, *, real: bool
    ) -> None:
        await signer.ready()
        daemon = Daemon(
            config,
            self._clock,
            base=self._folder,
            to_wall_ns=self._clock.to_wall_ns,
            simulated=True,
            kill_deadline_s=RECORD_S,
        )
        showing = asyncio.create_task(signer.show_time(), name="signer's time")
        try:
            await self._watch(daemon, simulation, signer, real=real)
        finally:
            showing.cancel()
            await asyncio.wait({showing})

    async def _watch(
        self, daemon: Daemon, simulation: Simulation, signer: DemoSigner, *, real: bool
    ) -> None:
        passing = asyncio.create_task(self._clock.run(), name="time")
        try:
            await self._start(daemon)
            try:
                await self._play(daemon, simulation, signer, real=real)
            finally:
                await daemon.close()
        finally:
            passing.cancel()
            await asyncio.wait({passing})

    async def _start(self, daemon: Daemon) -> None:
        try:
            await daemon.start()
        except ConfigError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"Port {self._arguments.port} is in use, perhaps by another riskd. Give the "
                    "demo another with --port, or --port 0 for any free one."
                ) from error
            raise

    async def _play(
        self, daemon: Daemon, simulation: Simulation, signer: DemoSigner, *, real: bool
    ) -> None:
        say = self._voice.say
        self._voice.start_ns = self._clock.now()
        daemon.listen(self._voice.decided)
        daemon.kill.listen(self._kills.heard)
        self._world.subscribe(self._happened)
        way = "a real Alertmanager" if real else "a signed webhook (no Alertmanager here)"
        say("riskd", f"watches both venues; pages go out through {way}.")
        say(
            "riskd",
            f"may act on Hyperliquid, by a signer of its own (pid {signer.pid}); one rule may ask "
            f"for it, {ACTING_RULE}, every other observes. On dYdX it has no hands yet.",
        )
        say("riskd", f"open {daemon.url}/ or run `riskd status --url {daemon.url}`.")
        say("riskd", f"keys: {HELP}")
        end_s = play(self._world, self._scenario)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(daemon.run(), name="daemon")
            extras = [
                tasks.create_task(self._tell_status(daemon), name="status"),
                tasks.create_task(self._tell_moves(daemon), name="moves"),
                tasks.create_task(self._end(end_s), name="end"),
                tasks.create_task(self._listen(simulation), name="keys"),
                tasks.create_task(self._tempo.run(), name="tempo"),
            ]
            if self._scenario.name == SCENARIO:
                operator = self._operator(daemon)
                extras.append(tasks.create_task(operator.run(), name="operator"))
            stopping = tasks.create_task(self._stopping.wait(), name="stopping")
            # The daemon ends by itself only when its core failed: then the show is over too.
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._voice.summarize(daemon.engine, time.monotonic() - self._began_s)
            daemon.stop()
            for task in (*extras, stopping):
                task.cancel()
            await running

    async def _end(self, end_s: float) -> None:
        while self._world.now_s < end_s:
            await self._clock.sleep(0.5)
        self._stopping.set()

    async def _listen(self, simulation: Simulation) -> None:
        async with Keyboard() as keyboard:
            async for key in keyboard:
                if key == "q":
                    self._stopping.set()
                elif key == "h":
                    simulation.heal()
                    self._voice.say("you", "healed everything.")
                elif key in KEYS:
                    text, fault = KEYS[key]
                    simulation.inject(fault)
                    self._voice.say("you", text)

    def _hung_up(self) -> None:
        hush_closed_terminals()
        self._stopping.set()

    def _print(self, text: str) -> None:
        try:
            print(text, flush=True)
        except OSError:  # the terminal or the pipe is gone: nobody watches any more
            hush()
            hush_closed_terminals()
            self._stopping.set()

    def _happened(self, events: Sequence[WorldEvent]) -> None:
        for event in events:
            if isinstance(event, Narrated):
                self._voice.say("world", event.text)
            elif isinstance(event, Paced):
                self._tempo.pace(event.speed)

    def _operator(self, daemon: Daemon) -> Operator:
        return Operator(
            data=self._folder / DATA,
            clock=self._clock,
            state=lambda: daemon.kill.machine.state,
            unmet=daemon.kill.unmet,
            world=self._world,
            say=partial(self._voice.say, "desk"),
            eventful=self._tempo.look,
        )

    async def _tell_status(self, daemon: Daemon) -> None:
        while True:
            await self._clock.sleep(STATUS_PERIOD_S * self._clock.speed)
            pages = [
                alert
                for alert in daemon.dispatcher.active
                if alert.firing and not alert.part_of and alert.severity is not Severity.INFO
            ]
            self._voice.tell_status(daemon.engine, len(pages))

    async def _tell_moves(self, daemon: Daemon) -> None:
        """The stress index and the gates, as they move."""
        kill = daemon.kill
        while True:
            await self._clock.sleep(LOOK_S)
            self._voice.tell_stress(daemon.engine)
            latches = kill.machine.state.latches
            self._gates.look(daemon.engine, latches, kill.unmet, self._clock.now())

    def _config(self, simulation: Simulation, pager: Pager, alertmanager: str) -> Config:
        return write_desk(
            self._folder,
            simulation,
            notify=alertmanager or f"{pager.url}/riskd",
            port=self._arguments.port,
            secret="" if alertmanager else SECRET_VARIABLE,
        )
