"""What tests start dies with them, also when a test runner is killed and can end nothing."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli.children import die_with_parent

TESTS = Path(__file__).parent
STARTS = frozenset(
    {"Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec",
     "create_subprocess_shell"}
)  # fmt: skip
MODULES = frozenset({"subprocess", "asyncio"})
# A program that starts another one and waits for ever. Both hold its output open.
PARENT = """
import subprocess, sys
from monitor.cli.children import die_with_parent
subprocess.Popen([sys.executable, "-c", "import os, time; os.write(1, b'1'); time.sleep(600)"],
                 preexec_fn=die_with_parent()).wait()
"""


def starts(path: Path) -> Iterator[ast.Call]:
    """Calls in a file that start a process."""
    source = path.read_text(encoding="utf-8")
    if "subprocess" not in source:  # few files are worth reading
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        if (
            isinstance(owner, ast.Name)
            and owner.id in MODULES
            and node.func.attr in STARTS
            and (owner.id, node.func.attr) != ("asyncio", "run")
        ):
            yield node


@pytest.mark.parametrize(
    "path",
    [pytest.param(one, id=str(one.relative_to(TESTS))) for one in sorted(TESTS.rglob("*.py"))
     if any(starts(one))],
)  # fmt: skip
def test_a_test_that_starts_a_process_binds_it(path: Path) -> None:
    """Nothing runs after SIGKILL, so the kernel has to end what a killed runner had started."""
    loose = [
        call.lineno
        for call in starts(path)
        if not any(keyword.arg == "preexec_fn" for keyword in call.keywords)
    ]
    assert not loose, f"lines {loose}: preexec_fn=die_with_parent()"
    assert "die_with_parent()" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone can do it")
def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    """Its output ends, which it does only when nobody holds it any more."""
    ours, theirs = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=theirs,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - it takes no lock
    )
    os.close(theirs)
    try:
        assert os.read(ours, 8) == b"1", "the child runs"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert os.read(ours, 8) == b"", "nobody is left who could write"
    finally:
        parent.kill()
        parent.wait()
        os.close(ours)
