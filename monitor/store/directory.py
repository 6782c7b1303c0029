"""The data directory: made, proved writable, and held by one riskd at a time.

Two daemons on one directory would page twice and overwrite each other's rule timers, so the second
is refused. The lock belongs to the process, not to the file: it is gone with ``kill -9``. Errors
are ``ConfigError`` whose text says what to do next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from monitor.core.errors import ConfigError
from monitor.core.kill_file import KILL_FILE_NAME

LOCK_NAME = "riskd.lock"


class DirectoryInUseError(ConfigError):
    """Another riskd holds the directory."""


class DataDirectory:
    """A directory that this process alone may use until ``close``."""

    def __init__(self, path: Path) -> None:
        """Make the directory where it is missing and take its lock.

        Raises:
            DirectoryInUseError: If another riskd holds it.
            ConfigError: If it cannot be made or written.
        """
        self.path = path
        self._made, self._lock = _open_lock(path)

    def close(self) -> None:
        """Give the directory back. The lock file stays; only the lock counts."""
        self._lock.close()

    def remove(self) -> None:
        """Remove all of a directory that this process made, before it is given back; one that was
        there before stays as it is, and so does one in which somebody put a KILL file since."""
        if self._made and not (self.path / KILL_FILE_NAME).exists():
            shutil.rmtree(self.path, ignore_errors=True)


def _open_lock(path: Path) -> tuple[bool, IO[str]]:
    """Whether the directory had to be made, and its lock."""
    lock_path = path / LOCK_NAME
    try:
        made = _make(path)
        lock = lock_path.open("a+", encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"The data directory {path} cannot be written ({_reason(error)}). "
            "Make it writable for the user that runs riskd, or set another directory."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read(32).strip()
        lock.close()
        who = f"Another riskd (process {holder})" if holder.isdigit() else "Another riskd"
        raise DirectoryInUseError(
            f"{who} already uses the data directory {path}. "
            "Stop it first, or give this one a directory of its own."
        ) from error
    try:
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
    except OSError as error:
        lock.close()
        raise ConfigError(
            f"The data directory {path} cannot be written ({_reason(error)}). "
            "Free some space, or set another directory."
        ) from error
    return made, lock


def _make(path: Path) -> bool:
    """False where it is there already, whoever makes it at the same moment."""
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # a file of that name is an error
        return False
    return True


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
