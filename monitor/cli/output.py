"""Standard output when nobody reads it any more."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO


def hush(*streams: TextIO) -> None:
    """Send further output of these (standard output by default) nowhere: a closed pipe or terminal
    would fail each write, at last the interpreter's own at its end, which turns the exit code into
    120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams or (sys.stdout,):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def hush_closed_terminals() -> None:
    """Send what is written to a terminal that was closed nowhere; all else is left as it is."""
    try:
        import termios  # noqa: PLC0415 - does not exist on every system
    except ImportError:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            termios.tcgetattr(stream.fileno())
        except termios.error as error:
            if error.args[0] == errno.EIO:
                hush(stream)
