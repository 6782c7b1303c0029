"""Looks for the KILL file, whatever it is and whoever may read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from monitor.core.kill_file import CONTENT_BYTES_MAX, parse_kill_file
from monitor.core.operator import OperatorRequest
from monitor.core.types import SECOND_NS

SETTLED_NS = SECOND_NS  # a file this young may still be being written


class KillFile:
    """What lies at ``path`` now, as a request; each file once.

    The same file keeps its identity (inode, times of writing and of change), so it is one request
    for as long as it lies there, over restarts too; one taken away and put back is another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = ""

    def exists(self) -> bool:
        """True while something lies there."""
        return os.path.lexists(self.path)

    def look(self, wall_ns: int) -> OperatorRequest | None:
        """The request, when there is one that was not given yet. Never waits for anybody: a pipe
        or an unreadable file is a HALT, and a file that is being written is looked at again."""
        try:
            found = self.path.lstat()
        except OSError:
            self._seen = ""
            return None
        if 0 <= wall_ns - found.st_mtime_ns < SETTLED_NS:
            return None
        stamp = f"{found.st_ino}/{found.st_mtime_ns}/{found.st_ctime_ns}"
        request = parse_kill_file(self._content(), stamp)
        if request.id == self._seen:
            return None
        self._seen = request.id
        return request

    def _content(self) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""  # it is there and cannot be read: somebody wants the book stopped
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            return os.read(descriptor, CONTENT_BYTES_MAX)
        except OSError:
            return b""
        finally:
            os.close(descriptor)
