"""Bad input at start: one clear sentence, exit code 2, and nothing left running."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.alertmanager import free_port
from tests.e2e.rig import Finished, Riskd, Simulator, command, ended

pytestmark = [pytest.mark.component, pytest.mark.asyncio(loop_scope="session")]

NEVER_SEEN = "0x" + "12" * 20
TIMEOUT_S = 90.0


@dataclass
class Started:
    """What became of ``riskd run`` on one wrong configuration."""

    finished: Finished
    folder: Path
    port: int

    @property
    def sentences(self) -> list[str]:
        """What a person reads: its output without log lines."""
        lines = (self.finished.out + self.finished.err).splitlines()
        return [line for line in lines if line and not line.startswith("{")]


def config(sim: Simulator, port: int, **changes: str) -> str:
    """The configuration of the simulated desk with some of its text replaced."""
    text = f"desk: e2e\ndata_dir: data\n{sim.venues()}server: {{port: {port}}}\n"
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def wrong_configurations(sim: Simulator, port: int, taken: int) -> Mapping[str, str]:
    """Name and text of each; the port is the one that must be free afterwards."""
    addresses = sim.line["addresses"]
    master, dydx = addresses["hyperliquid"]["main"], addresses["dydx"]["main"]
    rest = sim.line["urls"]["hyperliquid"]["rest"]
    other = "q" if dydx[-1] != "q" else "p"
    good = config(sim, port)
    return {
        "api wallet": good.replace(master, addresses["hyperliquid"]["agent"]),
        "unknown address": good.replace(master, NEVER_SEEN),
        "malformed address": good.replace(master, "0x1234"),
        "mistyped address": good.replace(dydx, dydx[:-1] + other),
        "unreachable venue": good.replace(f"rest_url: {rest}", "rest_url: http://127.0.0.1:9"),
        "port in use": good.replace(f"port: {port}", f"port: {taken}"),
        "unwritable directory": good.replace("data_dir: data", "data_dir: a-file/data"),
        "missing secret": good + "notify: {webhooks: [{name: ops, url: 'https://hooks.example.com/'"
        ", secret: {env: RISKD_NO_SUCH_VARIABLE}}]}\n",
        "missing rules": good + "rules: {files: [no-such-rules.yaml]}\n",
        "wrong rule": good + "rules: {files: [wrong-rules.yaml]}\n",
        "no token": good.replace("server: {", "server: {host: 0.0.0.0, "),
    }


WRONG_RULES = """\
rules:
  - id: mistyped
    for_each: portfolio
    summary: Nobody knows
    when: leverrage >= 3.0
    severity: warning
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def simulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulator]:
    """The simulated venues; they answer although no time passes."""
    sim = Simulator(tmp_path_factory.mktemp("refusals"))
    async with ended(sim):
        await sim.start("calm")
        yield sim


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def started(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Started]:
    """``riskd run`` on every wrong configuration, a few at a time: one of them waits 20 s."""
    at_once = asyncio.Semaphore(3)

    async def start(folder: Path, port: int) -> Finished:
        async with at_once:
            return await command("run", "--config=riskd.yaml", timeout_s=TIMEOUT_S, cwd=folder)

    tasks: dict[str, tuple[asyncio.Task[Finished], Path, int]] = {}
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken: int = holder.getsockname()[1]
        async with asyncio.TaskGroup() as group:
            for name in NAMES:
                port = free_port()
                folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
                (folder / "riskd.yaml").write_text(
                    wrong_configurations(simulator, port, taken)[name]
                )
                (folder / "a-file").write_text("")
                (folder / "wrong-rules.yaml").write_text(WRONG_RULES)
                tasks[name] = (group.create_task(start(folder, port)), folder, port)
    return {
        name: Started(task.result(), folder, port) for name, (task, folder, port) in tasks.items()
    }


SAYS = {
    "api wallet": ("is an API wallet", "valid and always empty", "its master account"),
    "unknown address": ("does not know 0x1212…1212", "Check the address"),
    "malformed address": ("riskd.yaml:9", "exactly 40 hexadecimal digits"),
    "mistyped address": ("riskd.yaml:15", "checksum", "mistyped"),
    "unreachable venue": (
        "hyperliquid cannot be reached at 127.0.0.1:9",
        "nothing listens there",
        "venues.hyperliquid.rest_url",
    ),
    "port in use": ("is in use", "server.port"),
    "unwritable directory": ("a-file/data cannot be written", "not a directory"),
    "missing secret": ("secret of webhook ops is missing", "RISKD_NO_SUCH_VARIABLE"),
    "missing rules": ("no-such-rules.yaml", "there is no file"),
    "wrong rule": ("wrong-rules.yaml:5", "leverrage is not a measure", "leverage"),
    "no token": ("0.0.0.0 is reachable from the network", "read_token_file"),
}
NAMES = tuple(SAYS)


@pytest.mark.parametrize("name", NAMES)
async def test_a_wrong_start_is_refused_in_one_sentence(
    name: str, started: dict[str, Started]
) -> None:
    """Exit code 2 and one line that says what is wrong and what to do; no traceback."""
    refused = started[name]
    assert refused.finished.code == 2, refused.finished
    assert len(refused.sentences) == 1, refused.finished
    for words in SAYS[name]:
        assert words in refused.sentences[0]
    assert "Traceback" not in refused.finished.err


@pytest.mark.parametrize("name", NAMES)
async def test_nothing_is_left_of_a_refused_start(name: str, started: dict[str, Started]) -> None:
    """Nobody listens on its port, and what it made is gone again."""
    refused = started[name]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", refused.port))
    given = {"riskd.yaml", "a-file", "wrong-rules.yaml"}
    assert {one.name for one in refused.folder.iterdir()} == given


async def test_a_second_riskd_on_the_same_directory_is_refused(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Two writers would ruin the store; the second one says so and the first goes on."""
    first = Riskd(tmp_path, f"desk: e2e\ndata_dir: data\n{simulator.venues()}", sim=simulator)
    async with ended(first):
        await first.start()
        other = tmp_path / "other.yaml"
        other.write_text(config(simulator, free_port()))
        second = await command("run", f"--config={other}")
        assert second.code == 2, second
        assert "Another riskd" in second.err
        assert (await first.get("/livez"))["ok"] is True
        assert await first.terminate() == 0


async def test_simulated_time_is_for_venues_on_this_machine(
    simulator: Simulator, tmp_path: Path
) -> None:
    """``--sim`` on a configuration of a real venue is refused: real venues live in real time."""
    path = tmp_path / "riskd.yaml"
    url = simulator.line["urls"]["dydx"]["ws"]
    path.write_text(config(simulator, 0).replace(url, "wss://indexer.dydx.trade/v4/ws"))
    refused = await command("run", f"--config={path}", f"--sim={simulator.line_path}")
    assert refused.code == 2
    assert "--sim is for simulated venues on this machine only" in refused.err
    assert "wss://indexer.dydx.trade/v4/ws" in refused.err
    path.write_text(config(simulator, 0))
    refused = await command("run", f"--config={path}", f"--sim={path}")
    assert refused.code == 2
    assert "does not hold the line that `riskd sim` printed" in refused.err


async def test_check_config_tells_ten_mistakes_at_once(tmp_path: Path) -> None:
    """Each with its line, what was found and what is allowed; exit code 2, then 0 once mended."""
    path = tmp_path / "riskd.yaml"
    path.write_text(TEN_MISTAKES)
    wrong = await command("check-config", str(path))
    assert wrong.code == 2
    told = wrong.err.splitlines()
    assert "10 mistakes" in told[0]
    lines = [line for line in told[1:] if line.startswith(f"{path}:")]
    assert len(lines) == 10, wrong.err
    for line, (number, words) in zip(lines, TEN_WORDS.items(), strict=True):
        assert line.startswith(f"{path}:{number}: ")
        assert all(word in line for word in words), line
    path.write_text(MENDED)
    fine = await command("check-config", str(path))
    assert (fine.code, fine.err) == (0, "")
    assert "fine" in fine.out


TEN_MISTAKES = """\
desk: Desk One
mode: dry_run
data_dirr: data
venues:
  hyperliquid:
    network: mainnett
    accounts: [{alias: main, address: "0x12"}]
  dydx:
    periods: {account_s: 0}
rules: {builtin: perhaps}
notify: {runbook_base_url: runbooks}
server: {port: 94700}
journal: {segment_mb: 0}
"""
TEN_WORDS = {
    1: ("desk:", "'Desk One'", "a-z, 0-9"),
    2: ("mode:", "'dry_run'", "'observe'"),
    3: ("data_dirr: there is no such setting", "Did you mean 'data_dir'?"),
    6: ("network:", "'mainnett'", "Did you mean 'mainnet'?"),
    7: ("accounts[0].address:", "'0x12'", "exactly 40 hexadecimal digits"),
    9: ("account_s:", "Found: 0", "1"),
    10: ("builtin:", "'perhaps'"),
    11: ("runbook_base_url:", "'runbooks'", "http://"),
    12: ("port:", "94700", "65535"),
    13: ("segment_mb:", "Found: 0", "1"),
}
MENDED = "desk: desk-one\nvenues: {hyperliquid: {network: mainnet}}\n"
