"""The verbs that act: what they ask a running riskd, and what they do where none answers."""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli import approve, control, kill, plan, rearm, rebaseline
from monitor.cli.main import Parser, Verb
from monitor.core.errors import ConfigError
from monitor.core.kill_file import parse_kill_file
from monitor.core.operator import OperatorAnswer, OperatorRequest
from monitor.server.control import ControlServer


class Desk:
    """Says yes or no, and remembers."""

    def __init__(self) -> None:
        self.asked: list[OperatorRequest] = []
        self.done = self.kept = True

    async def run(
        self, request: OperatorRequest, *, principal: str, channel: str
    ) -> OperatorAnswer:
        """As told."""
        assert principal
        assert channel == "cli"
        self.asked.append(request)
        return OperatorAnswer(done=self.done, text="as you say", kept=self.kept)


class Daemon:
    """A control socket served on a thread of its own, as another process would."""

    def __init__(self, directory: Path) -> None:
        self.desk = Desk()
        self._server = ControlServer(directory, self.desk)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    def stop(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One that serves the test's directory."""
    served = Daemon(tmp_path)
    yield served
    served.stop()


def call(verb: Verb, directory: Path, *words: str) -> int:
    """As typed, with the data directory named."""
    parser = Parser()
    verb.arguments(parser)
    return verb.run(parser.parse_args([*words, "--data-dir", str(directory)]))


@pytest.mark.parametrize(
    ("verb", "words", "asked"),
    [
        pytest.param(
            kill,
            ["--reason", "drill"],
            {"verb": "kill", "scope": "portfolio", "level": "halt", "reason": "drill"},
            id="kill is a halt of the portfolio",
        ),
        pytest.param(
            kill,
            ["--level", "3", "--cut", "30%", "--scope", "venue:dydx", "--reason", "x"],
            {"scope": "venue:dydx", "level": "3", "gross_to_ratio": 0.7},
            id="a cut of 30 %",
        ),
        pytest.param(
            kill,
            ["--cut", "30%", "--reason", "x"],
            {"level": "cut", "gross_to_ratio": 0.7},
            id="a share means a cut",
        ),
        pytest.param(plan, ["--cut", "0.25"], {"verb": "plan", "gross_to_ratio": 0.75}, id="plan"),
        pytest.param(
            approve, ["p-1"], {"verb": "approve", "proposal": "p-1", "refuse": False}, id="approve"
        ),
        pytest.param(approve, ["p-1", "--refuse"], {"refuse": True}, id="refuse"),
        pytest.param(rearm, [], {"verb": "rearm", "scope": "portfolio"}, id="step one"),
        pytest.param(
            rearm,
            ["--confirm", "n", "--reason", "calm"],
            {"verb": "confirm", "nonce": "n", "reason": "calm"},
            id="step two",
        ),
        pytest.param(
            rebaseline,
            ["--reason", "accepted", "--scope", "account:dydx/main"],
            {"verb": "rebaseline", "scope": "account:dydx/main", "nonce": ""},
            id="rebaseline",
        ),
        pytest.param(
            rebaseline,
            ["--confirm", "n", "--reason", "agreed"],
            {"verb": "rebaseline", "nonce": "n", "reason": "agreed"},
            id="rebaseline, by the second person",
        ),
    ],
)
def test_what_is_asked(
    daemon: Daemon,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: Verb,
    words: list[str],
    asked: dict[str, object],
) -> None:
    """The request as the daemon gets it, and its answer as the person does."""
    assert call(verb, tmp_path, *words) == 0
    (request,) = daemon.desk.asked
    found = {name: getattr(request, name) for name in asked}
    assert found == asked
    assert capsys.readouterr().out == "as you say\n"


def test_a_refusal_is_exit_code_1(daemon: Daemon, tmp_path: Path) -> None:
    """And leaves no file."""
    daemon.desk.done = False
    assert call(kill, tmp_path, "--reason", "x") == 1
    assert not (tmp_path / "KILL").exists()


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        pytest.param(kill, ["--level", "cut", "--reason", "x"], id="a cut of how much?"),
        pytest.param(kill, ["--scope", "all", "--reason", "x"], id="no scope"),
        pytest.param(
            kill, ["--level", "flatten", "--cut", "30%", "--reason", "x"], id="cut or flatten?"
        ),
        pytest.param(rearm, ["--confirm", "n"], id="no reason"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_asked(
    daemon: Daemon, tmp_path: Path, verb: Verb, words: list[str]
) -> None:
    """Also where nobody would answer: no file is left either."""
    with pytest.raises(ConfigError):
        call(verb, tmp_path, *words)
    assert daemon.desk.asked == []
    assert not (tmp_path / "KILL").exists()


def test_a_kill_that_nobody_hears_is_left_as_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said loudly: it stops nothing yet."""
    code = call(kill, tmp_path, "--level", "cut", "--cut", "50%", "--reason", "bridge")
    said = capsys.readouterr().out
    assert code == 3
    assert said.startswith("NOT YET ENFORCED")
    assert "CUT to 50 % of portfolio" in said
    path = tmp_path / "KILL"
    request = parse_kill_file(path.read_bytes(), "1")
    assert (request.level, request.gross_to_ratio, request.reason) == ("cut", 0.5, "bridge")


def test_a_kill_that_cannot_be_left_says_what_to_do(tmp_path: Path) -> None:
    """The directory is a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="by hand now"):
        call(kill, tmp_path / "file", "--reason", "x")


def test_a_kill_that_is_not_on_record_is_left_as_a_file_too(
    daemon: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Done, and not kept: a restart must not forget it."""
    daemon.desk.kept = False
    assert call(kill, tmp_path, "--reason", "x") == 3
    assert "left in" in capsys.readouterr().out
    assert (tmp_path / "KILL").exists()


def kill_by(config: Path) -> int:
    """As typed, with the configuration named."""
    parser = Parser()
    kill.arguments(parser)
    return kill.run(parser.parse_args(["--reason", "x", "--config", str(config)]))


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        pytest.param("data_dir: here\nvenues: {hyperlikwid: 3}\n", "here", id="a mistake in it"),
        pytest.param("venues: {}\n", "riskd-data", id="the default place"),
        pytest.param("][\n", "riskd-data", id="no YAML at all"),
        pytest.param("desk: a\ndata_dir: here\nrules: {files: [\n", "here", id="no YAML below it"),
        pytest.param("desk: a\ndesk: b\n", "riskd-data", id="twice, but not this"),
    ],
)
def test_a_mistake_in_the_configuration_stops_no_kill(
    tmp_path: Path, text: str, folder: str
) -> None:
    """Of the file only the data directory is read."""
    config = tmp_path / "riskd.yaml"
    config.write_text(text)
    assert kill_by(config) == 3
    assert (tmp_path / folder / "KILL").exists()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("data_dir: 3\n", id="no text"),
        pytest.param('data_dir: "here\n', id="no end"),
        pytest.param("data_dir: here\ndata_dir: there\n", id="twice"),
    ],
)
def test_a_stop_is_not_left_where_riskd_may_not_look(tmp_path: Path, text: str) -> None:
    """Where the directory is not clear it has to be named: a KILL file elsewhere stops nobody."""
    config = tmp_path / "riskd.yaml"
    config.write_text(text)
    with pytest.raises(ConfigError, match="--data-dir DIR"):
        kill_by(config)
    assert list(tmp_path.iterdir()) == [config]


def test_without_a_configuration_the_way_that_needs_none_is_named(tmp_path: Path) -> None:
    """At 3 a.m. nobody looks it up."""
    with pytest.raises(ConfigError, match="touch DIR/KILL"):
        kill_by(tmp_path / "none.yaml")


@pytest.mark.parametrize("verb", [plan, approve, rearm, rebaseline])
def test_everything_else_needs_a_riskd(tmp_path: Path, verb: Verb) -> None:
    """The error names where it looked."""
    words = {plan: ["--cut", "30%"], approve: ["p"], rebaseline: ["--reason", "x"]}.get(verb, [])  # type: ignore[call-overload]  # modules
    with pytest.raises(control.NobodyThereError, match=str(tmp_path)):
        call(verb, tmp_path, *words)


@pytest.mark.parametrize(
    ("text", "stays"), [("30%", 0.7), ("0.3", 0.7), ("100%", 0.0), ("1", 0.0), ("12.5 %", 0.875)]
)
def test_a_cut_as_a_person_writes_it(text: str, stays: float) -> None:
    """What may stay is the rest."""
    assert control.share_cut(text) == stays


@pytest.mark.parametrize("text", ["0", "30", "130%", "-5%", "x", "30%%", "", "nan"])
def test_no_cut(text: str) -> None:
    """30 without a per cent sign could be meant as 0.3: it is refused."""
    with pytest.raises(argparse.ArgumentTypeError, match="such as 30%"):
        control.share_cut(text)
