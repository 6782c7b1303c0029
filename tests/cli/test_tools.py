"""The verbs that need no daemon: rules, replay, decode, sim, help; and Ctrl-C at any time."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import orjson
import pytest

from monitor import __version__
from monitor.cli.children import die_with_parent
from monitor.cli.main import COMMANDS, build_parser, main
from monitor.core.engine import Engine
from monitor.core.journal import encode_batch, encode_snapshot, written_by
from monitor.core.settings import EngineSettings
from monitor.core.types import SECOND_NS
from monitor.store.journal import MAGIC, RecordKind, encode_record

NOW = 1_790_000_000 * SECOND_NS


def segment(*payloads: bytes) -> bytes:
    """A journal segment of an opening and records."""
    kinds = [RecordKind.OPENING, *[RecordKind.RECORD] * len(payloads)]
    records = [encode_record(kind, data) for kind, data in zip(kinds, payloads, strict=False)]
    return MAGIC + b"".join(records)


def journal(*, version: str = __version__) -> tuple[bytes, bytes]:
    """An opening by ``version`` and one quiet batch."""
    engine = Engine(EngineSettings())
    opening = encode_snapshot(engine)
    batch = encode_batch(engine.evaluate(NOW))
    assert written_by(opening) == __version__
    old, new = (msgspec.msgpack.encode(one) for one in (__version__, version))
    assert opening.endswith(old)
    return opening.removesuffix(old) + new, batch


def test_a_journal_replays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From its directory, the data directory above it, or one segment."""
    folder = tmp_path / "journal"
    folder.mkdir()
    path = folder / "00000001.journal"
    path.write_bytes(segment(*journal()))
    for place in (tmp_path, folder, path):
        assert main(["replay", "--all", str(place)]) == 0
        told = capsys.readouterr()
        assert told.err == "1 decisions, all the same byte for byte; 1 printed.\n"
        assert orjson.loads(told.out)["at_ns"] == NOW


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("verbose", [True, False], ids=["all", "news only"])
def test_a_person_sees_how_far_a_replay_has_come(
    terminal: bool,
    verbose: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line of its own on standard error, gone at the end; in a pipe there is none."""
    path = tmp_path / "00000001.journal"
    path.write_bytes(segment(*journal()))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert main(["replay", *(["--all"] if verbose else []), str(path)]) == 0
    told = capsys.readouterr()
    *bars, summary = told.err.split("\r\x1b[K")
    assert summary == f"1 decisions, all the same byte for byte; {int(verbose)} printed.\n"
    drawn = [bar for bar in bars if bar]
    assert bool(drawn) == terminal
    assert all(bar.startswith("█") and "0 of 0 MB" in bar for bar in drawn)
    assert told.out.count("\n") == verbose


@pytest.mark.parametrize("content", [b"", MAGIC, MAGIC[:3]], ids=["empty", "begun", "torn"])
def test_a_journal_without_a_record(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was proved, so it is no success: exit code 2."""
    path = tmp_path / "00000001.journal"
    path.write_bytes(content)
    assert main(["replay", str(path)]) == 2
    assert "holds no record" in capsys.readouterr().err


def test_there_is_no_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And where one would be."""
    assert main(["replay", str(tmp_path)]) == 2
    assert "riskd writes one to <data_dir>/journal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param(__version__, "", id="this version"),
        pytest.param("0.0.1", "was written by riskd 0.0.1; this is riskd", id="another"),
        pytest.param("", "was written by an older riskd", id="one that did not say"),
    ],
)
def test_a_difference_names_the_writer(
    version: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another riskd may rightly decide otherwise; this one may not."""
    opening, batch = journal(version=version)
    path = tmp_path / "00000001.journal"
    path.write_bytes(segment(opening, batch[:-1] + bytes([batch[-1] ^ 1])))
    assert main(["replay", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("After 0 equal decisions: record 1:")
    assert said in told
    assert ("written by" in told) == bool(said)


def test_rules_are_listed_with_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    """Id, severity and action; the words that begin the page; when it begins and ends, with times
    as people say them."""
    assert main(["rules", "list"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("margin_usage"))
    assert lines[at + 1]
    assert lines[at + 2].startswith("when ")
    at = next(i for i, line in enumerate(lines) if line.startswith("funding_stress "))
    assert lines[at + 2] == "when funding_stress_index >= 60.0, seen 2 of 2 times 5 min apart"
    assert lines[at + 3].startswith("until funding_stress_index <= 30.0")
    assert lines[at + 3].endswith(" for 24 h")
    assert not any("0.5 min" in line or "0.166" in line for line in lines)


OWN = """\
- id: own_leverage
  for_each: portfolio
  summary: Our own limit
  when: leverage >= 3.5
  severity: warning
  runbook: leverage_high
"""


@pytest.mark.parametrize(
    ("text", "flags", "code", "said"),
    [
        pytest.param(OWN, [], 0, "rules, no mistakes.", id="beside the built-in"),
        pytest.param(OWN, ["--alone"], 0, "1 rules, no mistakes.", id="alone"),
        pytest.param(OWN, ["--alone"], 0, "typical 2x, stressed 12x", id="beside a value"),
        pytest.param(
            OWN.replace("3.5", "350.0"),
            [],
            1,
            "own.yaml:1: own_leverage.when: warning: leverage >= 350x is never crossed",
            id="never crossed",
        ),
        pytest.param(
            OWN.replace("leverage >=", "leverrage >="), [], 2, "own.yaml:", id="mistyped measure"
        ),
        pytest.param("- id: [\n", [], 2, "this is not valid YAML", id="broken"),
    ],
)
def test_rules_are_checked(
    text: str,
    flags: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before they are loaded."""
    path = tmp_path / "own.yaml"
    path.write_text(text)
    nobody = ["--url", "http://127.0.0.1:1"]  # whatever else runs on this machine
    assert main(["rules", "check", *nobody, *flags, str(path)]) == code
    told = capsys.readouterr()
    assert said in told.out + told.err


def test_rules_of_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its files, and its caps against the deepest drawdown that a rule stops."""
    (tmp_path / "own.yaml").write_text(OWN)
    config = tmp_path / "riskd.yaml"
    config.write_text(
        f"venues: {{hyperliquid: {{accounts: [{{alias: main, address: '0x{'1' * 40}'}}]}}}}\n"
        "rules: {files: [own.yaml]}\n"
        "leverage: {volatility_target: 0.6}\n"
    )
    flags = ["rules", "check", "--url", "http://127.0.0.1:1", f"--config={config}"]
    assert main(flags) == 1
    told = capsys.readouterr().out
    assert "own_leverage (warning, page)" in told
    assert "configuration: warning: leverage.volatility_target and drawdown_15" in told
    assert main([*flags, "own.yaml"]) == 2


MODES = """\
venues:
  dydx: {accounts: [{alias: main, address: dydx10d07y265gmmuvt4z0w9aw880jnsr700jnmapky}]}
rules: {files: [own.yaml]}
kill:
  rules:
    - {rule: drawdown_8, mode: propose}
    - {rule: drawdown_8, mode: act, scope: "venue:dydx"}
    - {rule: own_leverage, mode: observe}
"""


def test_the_modes_that_hold_are_listed_with_where_they_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill.rules comes before what the rule files declare, and one word over a scope stands beside
    it; what the daemon itself may do is said first."""
    (tmp_path / "own.yaml").write_text(OWN)
    config = tmp_path / "riskd.yaml"
    config.write_text(MODES)
    flags = ["rules", "list", f"--config={config}"]
    assert main(flags) == 0
    lines = [
        line.strip() for line in capsys.readouterr().out.replace(f"{tmp_path}/", "").split("\n")
    ]
    assert lines[0].startswith("mode observe (by default): nothing is sent")
    at = next(i for i, line in enumerate(lines) if line.startswith("drawdown_8 "))
    assert lines[at].endswith("cut to 70% of gross (propose)")
    assert lines[at + 1].startswith("mode propose: kill.rules, riskd.yaml:6, in place of observe (")
    assert "loss.yaml:" in lines[at + 1]
    assert lines[at + 2] == "mode act over venue:dydx: kill.rules, riskd.yaml:7"
    at = next(i for i, line in enumerate(lines) if line.startswith("own_leverage "))
    assert lines[at].endswith("(observe)")
    assert lines[at + 1] == "mode observe: kill.rules, riskd.yaml:8"
    at = next(i for i, line in enumerate(lines) if line.startswith("drawdown_12 "))
    assert lines[at].endswith("(observe)")
    assert lines[at + 1].startswith("mode observe: ")
    assert "loss.yaml:" in lines[at + 1]
    assert main([*flags, "own.yaml"]) == 2
    assert main(["rules", "list"]) == 0
    assert "loss.yaml" not in capsys.readouterr().out


def test_modes_of_no_rule_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of modes that would not hold is none."""
    config = tmp_path / "riskd.yaml"
    config.write_text(
        MODES.replace("[own.yaml]", "[]").replace("drawdown_8, mode: act", "x, mode: act")
    )
    assert main(["rules", "list", f"--config={config}"]) == 2
    told = capsys.readouterr().err
    assert "riskd.yaml:7: kill.rules[1].rule: is the id of no rule" in told
    assert "riskd.yaml:8: kill.rules[2].rule: is the id of no rule" in told


DEEPER = (
    "- {id: deeper, for_each: portfolio, summary: D, when: drawdown_30d_ratio >= 0.20, "
    "confirm: {need: 2, of: 2, apart: 20s}, severity: critical, do: {level: cut, gross_to: 0.1}}\n"
)


@pytest.mark.parametrize(
    ("rules", "leverage", "told"),
    [
        pytest.param(DEEPER, "leverage: {gross_max: 3}\n", "up to 3 ", id="both written"),
        pytest.param(DEEPER, "", "up to 4 ", id="the cap as shipped"),
        pytest.param("", "leverage: {gross_max: 3}\n", "up to 3 ", id="the rule as shipped"),
        pytest.param("", "", "", id="both shipped"),
    ],
)
def test_caps_in_force_against_the_drawdown_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: str, leverage: str, told: str
) -> None:
    """Leverage 3 with a drawdown limit of 20 % cannot be meant, whoever wrote which."""
    (tmp_path / "own.yaml").write_text(rules)
    config = tmp_path / "riskd.yaml"
    named = "rules: {files: [own.yaml]}\n" if rules else ""
    config.write_text(
        f"venues: {{hyperliquid: {{accounts: [{{alias: main, address: '0x{'1' * 40}'}}]}}}}\n"
        f"{named}{leverage}"
    )
    main(["rules", "check", "--url", "http://127.0.0.1:1", f"--config={config}"])
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if "leverage.gross_max" in line]
    assert len(found) == (1 if told else 0)
    assert all(f"leverage {told}contradicts a drawdown limit of" in line for line in found)


def test_rules_of_a_file_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence."""
    assert main(["rules", "check", str(tmp_path / "gone.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["frames.jsonl", "frame.json"])
@pytest.mark.parametrize("content", ["", "\n\n"], ids=["empty", "blank lines"])
def test_a_recording_of_nothing(
    content: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A capture that failed must not pass for one that decoded."""
    path = tmp_path / name
    path.write_text(content)
    assert main(["decode", "dydx", str(path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: holds no frame.",
        "1 recording could not be read.",
    ]


def simulator_line(folder: Path, *flags: str) -> dict[str, Any]:
    """What a simulator prints in ``folder``; it serves until it is told to stop, and ends with
    0."""
    sim = subprocess.Popen(
        [sys.executable, "-m", "monitor", "sim", *flags],
        stdout=subprocess.PIPE,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - it takes no lock
    )
    try:
        assert sim.stdout is not None
        line = orjson.loads(sim.stdout.readline())
        sim.send_signal(signal.SIGTERM)
        rest, _ = sim.communicate(timeout=30)
    finally:
        if sim.poll() is None:
            sim.kill()
            sim.wait()
    assert (sim.returncode, rest) == (0, b"")
    return dict(line)


@pytest.mark.component
def test_the_simulator_prints_one_line_of_json(tmp_path: Path) -> None:
    """URLs, addresses and its time."""
    line = simulator_line(tmp_path, "--seed=3")
    assert line["simulated"] is True
    assert line["seed"] == 3
    assert line["scenario"] == "calm"
    assert line["urls"]["hyperliquid"]["rest"].startswith("http://127.0.0.1:")
    assert set(line["urls"]["dydx"]) >= {"rest", "ws", "rpc"}
    assert line["addresses"]["dydx"]["main"].startswith("dydx1")
    assert line["clock"]["speed"] == 1.0


@pytest.mark.component
def test_the_simulator_s_time_is_found_from_any_directory(tmp_path: Path) -> None:
    """Whoever lives in it was started elsewhere."""
    line = simulator_line(tmp_path, "--time-file=sim.time")
    assert line["clock"]["time_file"] == str(tmp_path / "sim.time")


@pytest.mark.parametrize("verb", [name for name, _, _ in COMMANDS])
def test_every_flag_says_what_it_does(verb: str) -> None:
    """``--help`` leaves no flag without a word, in sub-commands too."""
    waiting = [build_parser(verb)]
    while waiting:
        for action in waiting.pop()._actions:
            choices = action.choices
            if isinstance(choices, dict):
                waiting += list(choices.values())
            else:
                assert action.help, f"riskd {verb}: {action.option_strings or action.dest}"


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("run", ("SIGHUP", "SIGTERM", "exit code: 0")),
        ("status", ("exit code: 0 safe, 1 look, 2 danger, 3 blind",)),
        ("health", ("exit code: 0 yes, 1 no, 3",)),
        ("replay", ("exit code:",)),
        ("check-config", ("exit code:",)),
    ],
)
def test_help_names_signals_and_exit_codes(
    verb: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What a script or a service manager needs."""
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(text in told for text in words)


def test_ctrl_c_while_a_verb_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """130 without a word, as at any other moment."""

    def interrupted(_: str) -> ModuleType:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert main(["rules", "list"]) == 130
    told = capsys.readouterr()
    assert told.out + told.err == ""
