"""Nonces: how the signer gives them out, and how the executor remembers what it sent with which.

A nonce is a time in milliseconds that was never used before, so a request can be burnt by another
with the same nonce. Both sides keep theirs in small files: after a restart no nonce comes twice,
and an order whose fate is unknown can still be burnt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import structlog

from monitor.core.types import SECOND_NS

RESERVED_MS = 60_000  # nonces are kept ahead in such steps, so that few of them cost a write
KEPT_MS = 48 * 3_600_000  # the venue takes no nonce that is older
ENTRIES_MAX = 20_000
WRITE_DEADLINE_S = 0.25
MS_NS = SECOND_NS // 1000


class NonceCounter:
    """Strictly increasing milliseconds.

    ``ceiling`` is what is kept: no nonce at or above it was given out. A clock that is set back, in
    a run or between two, cannot make a nonce come twice.
    """

    def __init__(self, *, after: int = 0) -> None:
        self._last = max(0, after)
        self.ceiling = self._last

    @property
    def last(self) -> int:
        """The highest nonce that may have been given out."""
        return self._last

    def take(self, now_ms: int) -> int:
        """The next nonce. ``ceiling`` may have risen: keep it before the nonce is used."""
        self._last = max(now_ms, self._last + 1)
        if self._last >= self.ceiling:
            self.ceiling = self._last + RESERVED_MS
        return self._last


class Sent(msgspec.Struct, frozen=True):
    """One request with orders, as it left. Times in ms since the epoch."""

    account: str
    nonce: int
    sent_ms: int
    expires_ms: int


class _Entry(msgspec.Struct):
    client_ids: list[str]
    sent: Sent


class NonceBook:
    """Which order left with which nonce, newest attempt last: written before the request leaves.

    ``complete``: the file of the processes before this one was there and readable, so an order that
    it does not name was never sent. A file that could not be written is removed for that reason,
    and written anew, whole, as soon as the disk takes it.
    """

    def __init__(self, path: Path | None, *, now_ms: int) -> None:
        """``path`` None keeps it in memory alone."""
        self._path = path
        self._sent: dict[str, list[Sent]] = {}
        self._spent: dict[int, int] = {}
        self._log = structlog.get_logger()
        self._writer = Writer()
        self._broken = False
        self.failures = 0
        entries = self._load()
        self.complete = entries is not None
        for entry in entries or ():
            if now_ms - entry.sent.sent_ms <= KEPT_MS:
                self._add(entry)
        if path is not None:
            try:
                write_private(path, self._encoded())  # without what is too old to matter
            except OSError as error:
                self._failed(error)
                with contextlib.suppress(OSError):
                    path.unlink()

    def find(self, client_id: str) -> tuple[Sent, ...]:
        """Every request that this order left with; empty where nothing is remembered."""
        return tuple(self._sent.get(client_id, ()))

    def spent_ms(self, nonce: int) -> int | None:
        """From which of the venue's times on a look is conclusive about the request that had this
        nonce; None while it is not known to be used up."""
        return self._spent.get(nonce)

    def note_spent(self, nonce: int, conclusive_ms: int) -> int:
        """Nothing with this nonce can arrive any more; returns ``conclusive_ms``. In memory only:
        another process asks the venue again."""
        self._spent[nonce] = conclusive_ms
        while len(self._spent) > ENTRIES_MAX:
            del self._spent[next(iter(self._spent))]
        return conclusive_ms

    async def remember(self, client_ids: Iterable[str], sent: Sent) -> None:
        """Note what is about to leave. A disk that is slow or full stops nothing: it is noted in
        memory, counted and logged."""
        entry = _Entry(list(client_ids), sent)
        self._add(entry)
        path = self._path
        if path is None:
            return
        try:
            if self._broken:
                await self._writer.run(write_private, path, self._encoded())
                self._broken = False
            else:
                await self._writer.run(_append, path, _line(entry))
        except (OSError, TimeoutError) as error:
            self._failed(error)
            with contextlib.suppress(OSError, TimeoutError):
                await self._writer.run(path.unlink)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._broken = True
        self._log.error("nonce_not_kept", reason=str(error) or "the disk is too slow")

    def _add(self, entry: _Entry) -> None:
        for client_id in entry.client_ids:
            self._sent.setdefault(client_id, []).append(entry.sent)
        while len(self._sent) > ENTRIES_MAX:
            del self._sent[next(iter(self._sent))]

    def _load(self) -> list[_Entry] | None:
        """What was kept; None where it cannot be read. Half a line at the end is of a request that
        had not left yet; one anywhere else makes the file unreadable."""
        if self._path is None:
            return None
        try:
            *lines, last = self._path.read_bytes().split(b"\n")
            entries = [msgspec.json.decode(line, type=_Entry) for line in lines]
        except (OSError, msgspec.MsgspecError, ValueError):
            return None
        with contextlib.suppress(msgspec.MsgspecError, ValueError):
            entries.append(msgspec.json.decode(last, type=_Entry))
        return entries

    def _encoded(self) -> bytes:
        return b"".join(
            _line(_Entry([client_id], sent))
            for client_id, several in self._sent.items()
            for sent in several
        )


def _line(entry: _Entry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"


class Writer:
    """Runs writes in a thread, one after the other, each within a deadline. One that takes longer
    goes on by itself, and the next waits for it: two never write to one file at once."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._last: asyncio.Future[None] | None = None

    async def run(self, write: Callable[..., None], *arguments: object) -> None:
        """Raises ``OSError``, or ``TimeoutError`` when the deadline has passed."""
        async with asyncio.timeout(WRITE_DEADLINE_S), self._lock:
            if self._last is not None and not self._last.done():
                await asyncio.wait({self._last})
            loop = asyncio.get_running_loop()
            self._last = loop.run_in_executor(None, write, *arguments)
            self._last.add_done_callback(_look_at)
            await asyncio.shield(self._last)


def _look_at(ended: asyncio.Future[None]) -> None:
    """A write that failed after its deadline was told of already, as being too slow."""
    if not ended.cancelled():
        ended.exception()


def write_private(path: Path, content: bytes) -> None:
    """Replace a file whole, durably, readable by its owner alone. Raises ``OSError``."""
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
