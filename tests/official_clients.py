"""The venues' official clients live in a venv of their own; this is how tests find it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PYTHON = Path(__file__).parent.parent / ".venv-clients" / "bin" / "python"


def clients_python() -> Path:
    """The interpreter that has the official clients; skips without it, fails without it in CI."""
    if not PYTHON.exists():
        message = "the official clients are not installed: make .venv-clients/.done"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return PYTHON
