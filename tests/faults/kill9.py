"""One life of the kill path that ends with SIGKILL at a named point, and the life after it.

The real machine, planner, driver, store and dispatcher act on a venue that is a file. Run as
``python kill9.py DIRECTORY VARIANT``: lives once undisturbed to learn the points that it passes,
then once for each of them, killed there, and each time a second life to the end. Prints as JSON the
points, and everything that went wrong: a latch that was lost, an order that came twice, a page
under another key, an audit that does not hold.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import structlog

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from monitor.actions.driver import KillDriver
from monitor.cli.children import die_with_parent
from monitor.core.killswitch.facts import PersonPulled, RearmConfirmed, RearmRequested
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.planner import plan_cut
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.killswitch.restore import more_restrictive, state_after_restart
from monitor.core.killswitch.state import KillState, essence, unpack
from monitor.core.ports import Phase
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs
from monitor.store.audit import read_rows
from monitor.store.audit_check import decode_record, open_for_reading, verify
from monitor.store.database import Store
from tests.faults.kill9_world import HELD, FastClock, Killer, Log, Pages, Venue, gross_usd

START_NS = 1_800_000_000 * SECOND_NS
LIFE_S = 60.0  # a life takes a fraction of a second; one that hangs is ended and told
WORKERS = 4  # lives mostly wait
DEADLINE_S, HANG_S = 0.1, 0.25
POLICY = KillPolicy(
    mode=DaemonMode.ARMED, unseen="nothing", watch_s=0, attempt_pause_s=0.2, plan_wait_s=0.2,
    truth_age_s=600.0, answer_within_s=600.0, turnover_ratio_per_hour=None, max_cost_bps=1000.0,
)  # fmt: skip
GOAL_USD = gross_usd(HELD) / 2
LOT_USD = 1000.0  # of BTC; a round may cut one smallest order more than it must
NEVER, ALWAYS = range(0), range(1, 10_000)


class Variant(msgspec.Struct, frozen=True):
    """Numbers of a life's phases (from 1) at which its disk refuses, or hangs until the deadline is
    over and then keeps what it was given; ``refuses_again`` those of the second life."""

    refuses: range = NEVER
    hangs: range = NEVER
    refuses_again: range = NEVER


VARIANTS = {
    "healthy": Variant(),
    "full from the trip on": Variant(refuses=ALWAYS),
    "full while it executes": Variant(refuses=range(3, 9)),
    "full in both lives": Variant(refuses=ALWAYS, refuses_again=ALWAYS),
    "hangs": Variant(hangs=range(3, 5)),
}


class Keeping:
    """The store and its second copy, with a memory of the last state that is safe in either."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._safe: bytes | None = None
        self.kept = asyncio.Event()

    def has(self, state: KillState) -> bool:
        """Whether it is this one, but for what the next book shows again."""
        return self._safe is not None and essence(unpack(self._safe)) == essence(state)

    async def persist(self, phase: Phase) -> None:
        """In the store."""
        await self._store.persist(phase)
        self._now_safe(phase.kill_state)

    async def write(self, state: bytes, at_ns: EngineNs) -> None:
        """In the copy."""
        await self._store.second_copy.write(state, at_ns)
        self._now_safe(state)

    def _now_safe(self, state: bytes | None) -> None:
        self._safe = state
        self.kept.set()


class Life:
    """One process: restore, check, then on with the script from where people know it to be."""

    def __init__(self, directory: Path, variant: str, *, second: bool, victim: str = "") -> None:
        self.killer = Killer(victim)
        disk = VARIANTS[variant]
        self._refuses = disk.refuses_again if second else disk.refuses
        self._hangs = NEVER if second else disk.hangs
        self._phases = 0
        self.venue_log = Log(directory / "venue.log")
        self.page_log = Log(directory / "pages.log")
        self.progress = Log(directory / "progress.log")
        self.store = Store(
            directory / "data",
            second_directory=directory / "second",
            checkpoint=self._point,
            kill_deadline_s=DEADLINE_S if self._hangs else 10.0,
        )
        self.wrong: list[str] = []

    def _point(self, name: str) -> None:
        if name == "phase.begun":
            self._phases += 1
        self.killer(name)
        if name == "phase.written":
            if self._phases in self._refuses:
                raise sqlite3.OperationalError("database or disk is full")
            if self._phases in self._hangs:
                time.sleep(HANG_S)

    async def run(self) -> list[str]:
        """To the end of the script; gives what was wrong."""
        async with asyncio.timeout(LIFE_S):
            machine, driver, venue = await self._restored()
            working = asyncio.create_task(driver.run())
            try:
                driver.restarted()
                await self._script(machine, driver, venue)
            finally:
                working.cancel()
                await asyncio.wait([working])
            await driver.shut_down(1.0)
        self.store.close()
        return self.wrong

    # ---------------------------------------------------------------------------- restoring

    async def _restored(self) -> tuple[KillMachine, KillDriver, Venue]:
        restored = self.store.restore_kill_state(more_restrictive)
        if restored.problem or self.store.audit_problem:
            self.wrong.append(f"at the start: {restored.problem} {self.store.audit_problem}")
        kept_ns = await self.store.last_phase_ns()
        clock = FastClock(START_NS if kept_ns is None else kept_ns + SECOND_NS)
        problem = restored.problem
        state, _ = state_after_restart(
            restored.state, problem=problem, now=clock.now(), acting=True
        )
        self._check_latch(state)
        venue = Venue(self.venue_log, clock, self._point)
        pages = Pages(self.page_log, self._point, clock.now())
        pages.dispatcher.restore(await self.store.alerts(), clock.now())
        pages.leave(tuple(each.entry for each in await self.store.pending()))
        if restored.unkept is not None:
            pages.dispatcher.restore(restored.unkept.alerts, clock.now())
            pages.leave(restored.unkept.entries)
        self._keeping = Keeping(self.store)
        machine = KillMachine(POLICY, plan_cut, state)
        driver = KillDriver(
            machine,
            [venue],
            clock=clock,
            book=venue.book,
            store=self._keeping,
            second_copy=self._keeping,
            pages=pages,
        )
        return machine, driver, venue

    def _check_latch(self, state: KillState) -> None:
        """What anybody outside could know of must have been kept."""
        done = {line["step"] for line in self.progress.lines()}
        if "clearing" in done:
            return
        latch = state.latches.get(PORTFOLIO)
        level = Level.NORMAL if latch is None else latch.level
        if "flattening" in done and level < Level.FLATTEN:
            self.wrong.append(f"FLATTEN was lost: {level.name}")
        if (self.venue_log.lines() or self.page_log.lines()) and level < Level.CUT:
            self.wrong.append(f"the latch was lost: {level.name}")

    # --------------------------------------------------------------------------- the script

    async def _script(self, machine: KillMachine, driver: KillDriver, venue: Venue) -> None:
        done = {line["step"] for line in self.progress.lines()}
        if "cut" not in done:
            await self._pull(machine, driver, "pull-1", Level.CUT)
            left_usd = gross_usd({one.market: one.size for one in venue.truth().positions})
            if not GOAL_USD - LOT_USD < left_usd <= GOAL_USD:
                self.wrong.append(f"${GOAL_USD:,.0f} were to be left, not ${left_usd:,.0f}")
            self.progress.add(step="cut")
        if "flat" not in done:
            await self._pull(machine, driver, "pull-2", Level.FLATTEN, kept="flattening")
            if venue.truth().positions or venue.truth().orders:
                self.wrong.append(f"not flat: {venue.truth()}")
            self.progress.add(step="flat")
        if PORTFOLIO in machine.state.latches:
            self.progress.add(step="clearing")
            nonce = f"nonce-{os.getpid():08d}"
            driver.submit(RearmRequested(principal="ann", scope=PORTFOLIO, nonce=nonce))
            driver.submit(RearmConfirmed(principal="ann", nonce=nonce, reason="the drill is over"))
            await self._until(machine, lambda: PORTFOLIO not in machine.state.latches)

    async def _pull(
        self, machine: KillMachine, driver: KillDriver, name: str, level: Level, kept: str = ""
    ) -> None:
        """A person pulls, again under the same id where nobody told them that it was taken."""
        driver.submit(
            PersonPulled(
                pull_id=name,
                principal="ann",
                channel="cli",
                scope=PORTFOLIO,
                level=level,
                reason="drill",
                gross_to_ratio=0.5 if level is Level.CUT else None,
            )
        )
        await self._until(machine, lambda: machine.state.latches[PORTFOLIO].level >= level)
        if kept:
            self.progress.add(step=kept)
        await self._until(machine, lambda: machine.stage(PORTFOLIO).value == "contained")

    async def _until(self, machine: KillMachine, reached: Callable[[], bool]) -> None:
        """Until it is so and is kept."""
        while not (reached() and self._keeping.has(machine.state)):
            self._keeping.kept.clear()
            await self._keeping.kept.wait()


# ------------------------------------------------------------------------------ from outside


def judge(directory: Path) -> Iterator[str]:
    """What is wrong with what two lives left behind, once a third has kept all of it."""
    yield from asyncio.run(_last_look(directory))
    fills: dict[str, Decimal] = dict.fromkeys(HELD, Decimal(0))
    seen: set[str] = set()
    for line in Log(directory / "venue.log").lines():
        if line["kind"] == "wrong":
            yield line["what"]
        elif line["kind"] in {"fill", "burnt"}:
            if line["client_id"] in seen and line["kind"] == "fill":
                yield f"{line['client_id']} came twice, or after it was burnt"
            seen.add(line["client_id"])
        if line["kind"] == "fill":
            fills[line["market"]] += Decimal(line["signed"])
    if fills != {market: -size for market, size in HELD.items()}:
        yield f"filled {fills}"
    pages = Log(directory / "pages.log").lines()
    keys = {line["key"] for line in pages if line["alert"] == "KillSwitchTripped"}
    if len(keys) != 1:
        yield f"pages of one trip under {len(keys)} keys"
    if not any(line["kind"] == "alert.resolved" for line in pages):
        yield "the page was never ended"


async def _last_look(directory: Path) -> list[str]:
    """A third life on a disk that is well: nothing is latched, and the audit has it all once."""
    store = Store(
        directory / "data", second_directory=directory / "second", kill_deadline_s=10.0
    )  # fmt: skip
    restored = store.restore_kill_state(more_restrictive)
    wrong = [text for text in (restored.problem, store.audit_problem) if text]
    if restored.state is None or unpack(restored.state).latches:
        wrong.append(f"in the end it is still latched: {restored.why}")
    await store.persist(Phase(at_ns=restored.at_ns, kill_state=restored.state))
    if store.kill_unkept:
        wrong.append("something is still not kept")
    store.close()
    with open_for_reading(directory / "data" / "riskd.db") as connection:
        verdict = verify(connection, anchor=directory / "second" / "audit.anchor")
        actions = Counter(decode_record(row).action for row in read_rows(connection))
    wrong += [finding.what for finding in verdict.findings]
    once = ("tripped", "raised", "rearmed")
    wrong += [f"{actions[name]} times {name}" for name in once if actions[name] != 1]
    return wrong


def forked(work: Callable[[], list[str]], result: Path) -> int:
    """Do ``work`` in a process of its own, which leaves what it returns in ``result``; gives how it
    ended."""
    die = die_with_parent()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if die is not None:
        die()
    try:
        found = work()
    except BaseException:  # noqa: BLE001 - this is the end of a process, and it must be told
        found = [traceback.format_exc()]
    result.write_text(json.dumps(found))
    os._exit(0)


def undisturbed(directory: Path, variant: str) -> tuple[list[str], list[str]]:
    """The points of a life that nobody kills, and what was wrong with it."""
    directory.mkdir(parents=True)

    def live() -> list[str]:
        life = Life(directory, variant, second=False)
        wrong = asyncio.run(life.run())
        (directory / "points").write_text(json.dumps(life.killer.passed))
        return wrong

    forked(live, directory / "result")
    wrong = json.loads((directory / "result").read_text())
    if wrong:
        return [], wrong
    return json.loads((directory / "points").read_text()), list(judge(directory))


def killed(directory: Path, variant: str, point: str) -> list[str]:
    """What is wrong after a life that was killed at ``point`` and one after it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    result = directory / "result"
    first = forked(
        lambda: asyncio.run(Life(directory, variant, second=False, victim=point).run()), result
    )
    if first != -signal.SIGKILL:
        # Threads may order their points otherwise now and then; what happened must be right.
        return [*json.loads(result.read_text()), *judge(directory)]
    forked(lambda: asyncio.run(Life(directory, variant, second=True).run()), result)
    wrong = json.loads(result.read_text())
    return wrong or list(judge(directory))


def enumerate_points(directory: Path, variant: str) -> dict[str, object]:
    """All points, and what is wrong by point."""
    points, wrong = undisturbed(directory / "undisturbed", variant)
    found: dict[str, list[str]] = {"undisturbed": wrong} if wrong else {}

    def share(number: int) -> list[str]:
        told = []
        for point in points[number::WORKERS]:
            wrong = killed(directory / f"worker-{number}", variant, point)
            if wrong:
                told.append(json.dumps([point, wrong]))
        return told

    workers = []
    for number in range(WORKERS):
        die = die_with_parent()
        child = os.fork()
        if child == 0:
            if die is not None:
                die()
            (directory / f"share-{number}").write_text(json.dumps(share(number)))
            os._exit(0)
        workers.append(child)
    for number, child in enumerate(workers):
        os.waitpid(child, 0)
        for line in json.loads((directory / f"share-{number}").read_text()):
            point, wrong = json.loads(line)
            found[point] = wrong
    return {"points": points, "wrong": found}


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    print(json.dumps(enumerate_points(Path(sys.argv[1]), sys.argv[2])))  # noqa: T201 - the result
