"""Names of unix sockets: the kernel takes 107 bytes, and a data directory may be longer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATH_BYTES_MAX = 107


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name to bind or connect to ``path`` with: its own, or by way of its open directory.

    Raises:
        OSError: When the directory is not there.
    """
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
