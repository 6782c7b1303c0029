"""The wheel: whatever the daemon reads from its own folders is in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from monitor.cli.children import die_with_parent

ROOT = Path(__file__).parent.parent.parent
SUFFIXES = frozenset({".py", ".yaml", ".md", ".html", ".css", ".js"})


@pytest.mark.component
def test_the_wheel_holds_everything(tmp_path: Path) -> None:
    """Rules, runbooks, scenarios and the console: an installed riskd misses nothing."""
    built = subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps",
            "--no-index", "--disable-pip-version-check", f"--wheel-dir={tmp_path}", str(ROOT),
        ],
        capture_output=True, text=True, check=False, timeout=120, preexec_fn=die_with_parent(),
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "monitor").rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }
    kinds = {Path(name).suffix for name in wanted}
    assert kinds == SUFFIXES
    assert wanted - held == set()
    assert not any(name.startswith(("tests/", "bench/")) for name in held)
