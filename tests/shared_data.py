"""Third-party recordings live beside the project, never in it; this is how tests find them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def shared_data(relative: str) -> Path:
    """Path of a shared file or folder; skips the test where it is absent, fails it in CI."""
    path = SHARED / relative
    if not path.exists():
        message = f"recorded data not found: ../shared/data/{relative}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
