"""Processes of the end-to-end tests: simulators, daemons, a real Prometheus; all on loopback.

Each is started by an argument list, logs into a file, has a deadline for everything that is waited
for, and is ended by its own id. Time is simulated: a ``Simulator`` and the ``Riskd`` beside it live
in one time, and moments are counted in simulated seconds since the simulator's start.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from monitor.cli.children import die_with_parent
from monitor.core.types import SECOND_NS
from tests.alertmanager import free_port

SPEED = 40.0  # at most: time waits for processes that cannot keep up with it
START_S = 60.0  # two cores may be shared with other work
END_S = 20.0
PLAYED_S = 540.0  # for a whole story, of which a quiet machine needs a quarter
RISKD = (sys.executable, "-m", "monitor")
FOLLOWER_AT = 16  # in the file of ``monitor.runtime.shared_clock``: the process that follows
Json = dict[str, Any]


def environment(**extra: str) -> dict[str, str]:
    """A clean environment; debugging of the tests' own loop stays with the tests."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "PYTHONPATH")
        if name in os.environ
    }
    return kept | {"PYTHONWARNINGS": "default"} | extra


@dataclass
class Finished:
    """A command that ended by itself."""

    code: int
    out: str
    err: str


async def command(
    *words: str,
    timeout_s: float = START_S,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``riskd`` with these words to its end; it is killed, and the test fails, after
    ``timeout_s``."""
    process = await asyncio.create_subprocess_exec(
        *RISKD,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=environment(**(env or {})),
        preexec_fn=die_with_parent(),
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Finished(process.returncode or 0, out.decode(), err.decode())


class Child:
    """A process that runs until it is told to stop, with its output in a file."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The process; there is one once it was spawned."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether it still lives."""
        return self._process is not None and self._process.returncode is None

    async def spawn(self, *words: str, cwd: Path | None = None, env: Json | None = None) -> None:
        """Start it; output is appended to the log."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=environment(**(env or {})),
                preexec_fn=die_with_parent(),
            )

    async def until(
        self, wanted: Callable[[], object], what: str, *, timeout_s: float = START_S
    ) -> Any:
        """What ``wanted()`` gives once it is true; fails where the process ends before that."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            if found := wanted():
                return found
            if not self.running:
                pytest.fail(f"{self.name} ended before {what}: {self.tail()}")
            if time.monotonic() > deadline_s:
                pytest.fail(f"{self.name}: {what} not within {timeout_s:g} s: {self.tail()}")
            await asyncio.sleep(0.02)  # another process cannot be told when

    async def terminate(self) -> int:
        """Ask it to end (SIGTERM); its exit code."""
        self.process.terminate()
        async with asyncio.timeout(END_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it at once (SIGKILL), if it still lives."""
        if self.running:
            self.process.kill()
            await self.process.wait()

    def tail(self) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "(no output)"


class Simulator(Child):
    """``riskd sim``: both venues over one world, in a time that waits for the daemon beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__("riskd sim", folder / "sim.log")
        self.line_path = folder / "sim.json"
        self.line: Json = {}
        self._time_path = folder / "time"
        self._start_ns = 0
        self._seen: list[tuple[float, float]] = []  # (simulated moment, moment of the wall)

    async def start(self, scenario: str, *, speed: float = SPEED, seed: int = 7) -> None:
        """Serve ``scenario``; returns once its line was printed. Time stands still until a daemon
        runs with ``--sim``."""
        with self.line_path.open("wb") as line, self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *RISKD,
                "sim",
                f"--scenario={scenario}",
                f"--seed={seed}",
                f"--speed={speed:g}",
                f"--time-file={self._time_path}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=line,
                stderr=log,
                env=environment(),
                preexec_fn=die_with_parent(),
            )
        await self.until(lambda: self.line_path.read_bytes().endswith(b"\n"), "its line")
        self.line = orjson.loads(self.line_path.read_bytes())
        self._start_ns = self._now_ns()
        self._watching = asyncio.create_task(self._watch(), name="watch")

    async def _watch(self) -> None:
        """Note when it was when, so that moments of the wall can be told in simulated ones."""
        while self.running:
            self._seen.append((self.now_s, time.time()))
            await asyncio.sleep(0.1)  # the processes live their own time

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Time does not pass: as far as the leader knows, nobody follows."""
        with self._time_path.open("r+b", buffering=0) as file:
            follower = os.pread(file.fileno(), 8, FOLLOWER_AT)
            os.pwrite(file.fileno(), bytes(8), FOLLOWER_AT)
            try:
                yield
            finally:
                os.pwrite(file.fileno(), follower, FOLLOWER_AT)

    def _now_ns(self) -> int:
        return int.from_bytes(self._time_path.read_bytes()[:8], "little")

    @property
    def now_s(self) -> float:
        """Simulated seconds since its start."""
        return (self._now_ns() - self._start_ns) / SECOND_NS

    def wall_s(self, at_s: float) -> float:
        """The wall's time (seconds since the epoch) of a simulated moment that has passed."""
        return _between(self._seen, at_s)

    def at_s(self, wall_s: float) -> float:
        """Simulated seconds since its start at a moment of the wall."""
        return _between([(wall, at) for at, wall in self._seen], wall_s)

    async def wait_for(self, at_s: float, *, timeout_s: float = PLAYED_S) -> None:
        """Until that simulated moment; however long that takes on a machine that is busy."""
        deadline_s = time.monotonic() + timeout_s
        while self.now_s < at_s:
            if not self.running:
                pytest.fail(f"the simulator ended: {self.tail()}")
            if time.monotonic() > deadline_s:
                pytest.fail(f"{at_s:g} s were not reached within {timeout_s:g} s")
            await asyncio.sleep(0.05)  # the processes live their own time

    def venues(self, *, vault: bool = False) -> str:
        """The ``venues:`` section that watches the simulated desk, with its vault if wanted."""
        urls, addresses = self.line["urls"], self.line["addresses"]
        hyperliquid, dydx = urls["hyperliquid"], urls["dydx"]
        address = addresses["hyperliquid"]["vault"]
        watched = f'      - {{alias: vault, address: "{address}"}}\n' if vault else ""
        return f"""\
venues:
  hyperliquid:
    baselines: false
    rest_url: {hyperliquid["rest"]}
    ws_url: {hyperliquid["ws"]}
    accounts:
      - {{alias: main, address: "{addresses["hyperliquid"]["main"]}"}}
{watched}  dydx:
    baselines: false
    rest_url: {dydx["rest"]}
    ws_url: {dydx["ws"]}
    validator_urls: ["{dydx["rpc"]}"]
    accounts: [{{alias: main, address: "{addresses["dydx"]["main"]}"}}]
"""


class Riskd(Child):
    """``riskd run`` on a configuration in its own folder, always on the same port."""

    def __init__(self, folder: Path, config: str, *, sim: Simulator) -> None:
        super().__init__("riskd run", folder / "riskd.log")
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_path = folder / "riskd.yaml"
        self.config_path.write_text(config + f"server: {{port: {self.port}}}\n")
        self._sim = sim

    async def start(self, *, launcher: Sequence[str] = RISKD, **env: str) -> None:
        """Start it and wait for its ``riskd_started`` line."""
        before = len(self.logged("riskd_started"))
        await self.spawn(
            *launcher,
            "run",
            f"--config={self.config_path}",
            f"--sim={self._sim.line_path}",
            env=env,
        )
        await self.until(lambda: len(self.logged("riskd_started")) > before, "it started")

    def logged(self, event: str) -> list[Json]:
        """Its log lines of one event, oldest first."""
        if not self.log.exists():
            return []
        lines = self.log.read_bytes().splitlines()
        found = [orjson.loads(line) for line in lines if line.startswith(b"{")]
        return [line for line in found if line.get("event") == event]

    async def get(self, path: str) -> Any:
        """The JSON document at a path of its API."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return orjson.loads(await answer.read())

    async def metrics(self) -> str:
        """Its ``/metrics``."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.url + "/metrics") as answer,
        ):
            return await answer.text()


def _between(points: list[tuple[float, float]], at: float) -> float:
    """The second of a pair for a first one, in a straight line between its neighbours."""
    index = bisect.bisect_left(points, (at, 0.0))
    if index == 0:
        return points[0][1]
    if index == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[index - 1], points[index]
    return y1 if x1 == x0 else y0 + (y1 - y0) * (at - x0) / (x1 - x0)


@dataclass
class Sample:
    """One series of a Prometheus answer: its labels, and (wall time, value) pairs."""

    labels: dict[str, str]
    points: list[tuple[float, float]] = field(default_factory=list)


def find(name: str) -> str:
    """Path of a real component; skips the test where it is missing, fails it in CI."""
    path = shutil.which(name)
    if path is None:
        message = f"no {name} on this machine; tests/install-components installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


class Prometheus(Child):
    """A real Prometheus that scrapes whatever it is told to, as ``job``."""

    def __init__(self, folder: Path) -> None:
        super().__init__("prometheus", folder / "prometheus.log")
        self._folder = folder
        self._targets: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{free_port()}"

    async def start(self, *, scrape_s: float = 1.0) -> None:
        """Start without a target and wait until it is ready."""
        config = self._folder / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: {round(scrape_s * 1000)}ms}}\n"
            "scrape_configs:\n"
            "  - job_name: riskd\n"
            "    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]\n"
        )
        self._write()
        await self.spawn(
            find("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        )
        await self.until(lambda: "Server is ready" in self.tail(), "it was ready")

    def scrape(self, job: str, url: str) -> None:
        """Scrape a daemon from now on, its series labelled ``run=<job>``."""
        self._targets[job] = url.removeprefix("http://")
        self._write()

    def forget(self, job: str) -> None:
        """Scrape it no more."""
        self._targets.pop(job, None)
        self._write()

    def _write(self) -> None:
        found = [{"targets": [at], "labels": {"run": job}} for job, at in self._targets.items()]
        temporary = self._folder / "targets.new"
        temporary.write_text(json.dumps(found))
        temporary.replace(self._folder / "targets.json")

    async def at(self, expression: str, wall_s: float) -> list[Sample]:
        """The instant vector of an expression."""
        answer = await self._ask("query", {"query": expression, "time": f"{wall_s:.3f}"})
        return [
            Sample(one["metric"], [(float(one["value"][0]), float(one["value"][1]))])
            for one in answer
        ]

    async def between(self, expression: str, from_s: float, to_s: float) -> list[Sample]:
        """Every sample of an expression between two moments of the wall."""
        params = {
            "query": expression,
            "start": f"{from_s:.3f}",
            "end": f"{to_s:.3f}",
            "step": "250ms",
        }
        answer = await self._ask("query_range", params)
        return [
            Sample(one["metric"], [(float(at), float(value)) for at, value in one["values"]])
            for one in answer
        ]

    async def _ask(self, kind: str, params: dict[str, str]) -> list[Json]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/{kind}", params=params) as response,
        ):
            document = await response.json()
        assert document["status"] == "success", document
        found: list[Json] = document["data"]["result"]
        return found


@asynccontextmanager
async def ended(*children: Child) -> AsyncIterator[None]:
    """Whatever happens within, these processes are gone afterwards, the newest first."""
    try:
        yield
    finally:
        for child in reversed(children):
            await child.kill()
