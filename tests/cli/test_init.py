"""``riskd init`` against the simulated venues: numbers first, then a file that loads."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from monitor.app.budgets import NAME
from monitor.cli.main import main
from monitor.config import load_config
from monitor.core.ports import RateBudget
from monitor.core.types import SECOND_NS
from monitor.runtime.budget import RequestBudget
from monitor.runtime.clock import SystemClock
from monitor.sim.simulation import Simulation
from tests.cli.simulated import simulated_venues
from tests.file_modes import file_modes_bind

pytestmark = pytest.mark.component
Words = list[str]


@pytest.fixture(scope="module")
def venues() -> Iterator[Simulation]:
    """One pair of simulated venues for all."""
    with simulated_venues() as simulation:
        yield simulation


def words(venues: Simulation, out: Path, **replaced: str) -> Words:
    """``init`` for the simulated desk."""
    hyperliquid, dydx = venues.urls["hyperliquid"], venues.urls["dydx"]
    flags = {
        "hyperliquid": venues.addresses["hyperliquid"]["main"],
        "hyperliquid-rest": hyperliquid["rest"],
        "hyperliquid-ws": hyperliquid["ws"],
        "dydx": venues.addresses["dydx"]["main"],
        "dydx-rest": dydx["rest"],
        "dydx-ws": dydx["ws"],
    } | replaced
    return ["init", f"--out={out}", *(f"--{name}={value}" for name, value in flags.items())]


def test_numbers_and_a_file_that_loads(
    venues: Simulation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both venues' equity beside riskd's; what is found behind the addresses stands in the file,
    and pools that nobody watches as account lines that can be uncommented. What the look spent of
    the venues' minute is left to the run that follows, with what an earlier one had spent."""
    out, data = tmp_path / "riskd.yaml", tmp_path / "riskd-data"
    data.mkdir()
    earlier = RequestBudget(RateBudget(capacity=10.0, reserve=1.0, window_s=60.0), SystemClock())
    asyncio.run(earlier.acquire(7.25))  # a riskd that has just ended
    (data / NAME).write_bytes(msgspec.msgpack.encode({"hyperliquid": earlier.ledger()}))
    assert main(words(venues, out)) == 0
    rows = msgspec.msgpack.decode((data / NAME).read_bytes())
    spent = {name: [weight for _, weight, *_ in one] for name, one in rows.items()}
    assert sum(spent["hyperliquid"]) % 1.0 == 0.25  # an entry may hold some of both
    assert sum(spent["hyperliquid"]) > 50.0  # accounts cost 2 to 20 each
    assert sum(spent["dydx"]) > 5.0
    told = capsys.readouterr().out
    assert "equity (venue)" in told
    assert f"Wrote {out}" in told
    assert "Not every feed could be reached" not in told, told
    assert "unknown" not in told.split("hyperliquid/main")[1].splitlines()[0]
    text = out.read_text()
    assert "deploy/" not in text
    assert "# validator_urls: [" in text
    assert "nobody sees the indexer lag" in text
    vault = venues.addresses["hyperliquid"]["vault"].lower()
    line = next(line for line in text.splitlines() if vault in line)
    assert line.lstrip().startswith("# - {alias: ")
    assert "NOT watched" in line
    heads = [head for head in text.splitlines() if "Found behind these addresses" in head]
    assert ["remove its #" in head for head in heads] == [True, False]  # dYdX has none to offer
    watched = load_config(out).venues.hyperliquid
    assert watched is not None
    assert len(watched.accounts) == 1
    out.write_text(text.replace("# - {alias: ", "- {alias: "))
    more = load_config(out).venues.hyperliquid
    assert more is not None
    assert vault in {account.address for account in more.accounts}


def test_in_the_time_of_a_simulator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its world may be far from the wall's time: read by the wall, every statement there would be
    of the future, and nothing known. Its line names URLs and addresses as well."""
    ahead_s = 3600.0
    line_path, out = tmp_path / "sim.json", tmp_path / "riskd.yaml"
    with simulated_venues(ahead_s=ahead_s) as simulation:
        clock = {
            "speed": 1.0,
            "start_ns": round((time.time() + ahead_s) * SECOND_NS),
            "since_ns": time.time_ns(),
        }
        line = {"clock": clock, "urls": simulation.urls, "addresses": simulation.addresses}
        line_path.write_bytes(msgspec.json.encode(line))
        assert main(["init", f"--out={out}", f"--sim={line_path}"]) == 0
        validator = simulation.urls["dydx"]["rpc"]
    told = capsys.readouterr().out
    for account in ("hyperliquid/main", "dydx/main"):
        row = told.split(f"\n{account} ")[1].splitlines()[0]
        assert "unknown" not in row, told
    assert f"riskd run --config {out} --sim {line_path}" in told
    dydx = load_config(out).venues.dydx
    assert dydx is not None
    assert list(dydx.validator_urls) == [validator]


def test_a_simulators_line_does_not_hide_the_real_venues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Addresses without URLs are those of the public networks, whose time is the wall's."""
    line_path = tmp_path / "sim.json"
    line_path.write_text('{"clock": {"speed": 1.0}}')
    asked = ["--hyperliquid=0x" + "12" * 20, f"--sim={line_path}"]
    assert main(["init", f"--out={tmp_path / 'riskd.yaml'}", *asked]) == 2
    assert "simulated venues on this machine only" in capsys.readouterr().err


def test_a_socket_that_is_never_reached_is_told(
    venues: Simulation,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The numbers came by REST; that nothing would be heard afterwards is said before `Wrote`."""
    monkeypatch.setattr("monitor.cli.init.SOCKETS_S", 3.0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"ws://127.0.0.1:{probe.getsockname()[1]}/ws"
        assert main(words(venues, tmp_path / "riskd.yaml", **{"hyperliquid-ws": nobody})) == 0
    told = capsys.readouterr().out
    before, _, _ = told.partition("Wrote ")
    assert "Not every feed could be reached" in before
    assert "hyperliquid: " in before.split("Not every feed")[1]


def test_an_api_wallet_is_refused(
    venues: Simulation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own account is valid and always empty: it would read as flat for ever."""
    out = tmp_path / "riskd.yaml"
    agent = venues.addresses["hyperliquid"]["agent"]
    assert main(words(venues, out, hyperliquid=agent)) == 2
    told = capsys.readouterr().err
    assert "is an API wallet" in told
    assert "Traceback" not in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param("gone/riskd.yaml", "No such file or directory", id="no folder"),
        pytest.param("a-file/riskd.yaml", "Not a directory", id="no folder but a file"),
        pytest.param("closed/riskd.yaml", "Permission denied", id="closed folder"),
        pytest.param("there.yaml", "exists. Name another with --out, or say --force.", id="exists"),
    ],
)
def test_where_it_cannot_write_it_does_not_ask(
    place: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before any venue is asked: the addresses of this test lead nowhere."""
    (tmp_path / "a-file").write_text("")
    (tmp_path / "there.yaml").write_text("")
    (tmp_path / "closed").mkdir(mode=0o500)
    asked = ["--hyperliquid=0x" + "12" * 20, "--hyperliquid-rest=http://127.0.0.1:9"]
    with file_modes_bind():
        assert main(["init", f"--out={tmp_path / place}", *asked]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
