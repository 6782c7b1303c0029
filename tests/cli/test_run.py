"""What ``riskd run`` refuses, what it does without, and what a person at a terminal reads."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from monitor.app.lifecycle import Daemon
from monitor.cli.run import _greet, usable_configuration
from monitor.core.errors import ConfigError
from tests.store.test_past import CLEAR, store

CONFIG = """\
mode: {mode}
data_dir: data
venues: {{hyperliquid: {{accounts: [{{alias: main, address: "0x{address}"}}]}}}}
rules: {{files: [rules.yaml]}}
kill: {{unseen: nothing}}
actions:
  hyperliquid:
    accounts: [{{alias: main}}]
    signer: {{key: {{file: key}}, notional_usd_per_hour: 1000}}
"""


def written(folder: Path, mode: str, **more: str) -> Path:
    """A configuration whose rule file is not there."""
    path = folder / "riskd.yaml"
    text = CONFIG.format(mode=mode, address="12" * 20)
    path.write_text(text + "".join(f"{name}: {value}\n" for name, value in more.items()))
    return path


@pytest.mark.parametrize(
    ("mode", "before", "starts"),
    [
        pytest.param("armed", "mode armed", True, id="armed before"),
        pytest.param("armed", "mode observe", False, id="never armed before"),
        pytest.param("rehearse", "mode armed", False, id="a rehearsal"),
    ],
)
async def test_a_wrong_file_is_no_reason_for_an_armed_riskd(
    tmp_path: Path, mode: str, before: str, starts: bool
) -> None:
    """Where something may be latched; everywhere else it is refused with what is wrong."""
    await store(tmp_path / "data", state=CLEAR, reason=before)
    path = written(tmp_path, mode)
    if starts:
        assert usable_configuration(path).mode == mode
        return
    with pytest.raises(ConfigError, match=r"rules\.yaml"):
        usable_configuration(path)


async def test_a_wrong_configuration_is_refused_with_every_mistake(tmp_path: Path) -> None:
    """Nobody knows what it would enforce: the mistakes in what it names are listed too."""
    await store(tmp_path / "data", state=CLEAR, reason="mode armed")
    path = written(tmp_path, "armed", no_such_setting="1")
    with pytest.raises(ConfigError) as refused:
        usable_configuration(path)
    assert "no_such_setting" in str(refused.value)
    assert "rules.yaml" in str(refused.value)


class Terminal(io.StringIO):
    """Standard error as it is at a terminal, or in a unit's log."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "log"])
def test_a_person_at_a_terminal_reads_what_is_wrong(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence of a refusal; logs have it as a line of their own."""
    problems: Mapping[str, str] = {"port": "Port 9470 on 127.0.0.1 is in use."}
    daemon = SimpleNamespace(degraded=SimpleNamespace(problems=problems), url="http://x")
    err = Terminal(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", err)
    _greet(cast("Daemon", daemon))
    said = "riskd runs without its port: Port 9470 on 127.0.0.1 is in use.\n"
    assert err.getvalue() == (said if terminal else "")
