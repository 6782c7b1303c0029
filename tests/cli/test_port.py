"""A port in use: one sentence that names what to change, and nothing left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli.main import main

ADDRESS = "0x14791697260E4c9A71f18484C9f997B308e59325"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_run_leaves_no_data_directory(
    taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The port is taken before anything is made."""
    path = tmp_path / "riskd.yaml"
    path.write_text(
        f"venues: {{hyperliquid: {{accounts: [{{alias: main, address: {ADDRESS}}}]}}}}\n"
        f"server: {{port: {taken}}}\n"
    )
    assert main(["run", f"--config={path}"]) == 2
    told = capsys.readouterr().err.splitlines()
    (sentence,) = [line for line in told if not line.startswith("{")]
    assert sentence.startswith(f"Port {taken} on 127.0.0.1 is in use, perhaps by another riskd.")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.component
def test_the_demo_names_its_own_flag(
    taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no configuration file to set server.port in."""
    assert main(["demo", f"--port={taken}", f"--keep={tmp_path}"]) == 2
    told = capsys.readouterr().err
    assert f"Port {taken} is in use" in told
    assert "--port 0 for any free one" in told
    assert "server.port" not in told


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_what_is_no_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused by the command line itself."""
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"--port={port}"])
    assert ended.value.code == 2
    assert "a port is a number from 0 (any free one) to 65535" in capsys.readouterr().err
