"""Standard output when nobody reads it any more."""

from __future__ import annotations

import os
import sys


def hush() -> None:
    """Send further output nowhere: a closed pipe or terminal would fail each write, at last the
    interpreter's own at its end, which turns the exit code into 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
