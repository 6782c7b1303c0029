"""What is kept beside the store's file: the kill switch's state once more, and the audit's anchor.

The copy is written after each kill phase, and instead of it when the store cannot keep one; then it
carries the whole phases that are not kept yet. It lies in a second directory, better on another
disk. It is replaced as a whole (written, synced, renamed) and has a checksum, so it is either the
one before or the new one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from monitor.core.errors import StoreError
from monitor.core.ports import Phase
from monitor.core.types import EngineNs
from monitor.store.audit import GENESIS, AuditHead
from monitor.store.thread import StoreThread

COPY_NAME = "kill-state.copy"
ANCHOR_NAME = "audit.anchor"
MAGIC = b"riskdk1\n"
OPEN_DEADLINE_S = 5.0
COPY_DEADLINE_S = 0.25  # what safer commands wait for the copy, after the store's deadline
_DIGEST_BYTES = 32

Checkpoint = Callable[[str], None]


class KillCopy(msgspec.Struct, frozen=True, kw_only=True):
    """The kill switch's packed state after phase ``sequence`` of the store ``lineage``.

    ``unkept`` is, as one phase, all that the store had not kept by then.
    """

    lineage: str
    sequence: int
    at_ns: EngineNs
    state: bytes | None
    unkept: Phase | None = None


class SecondDirectory:
    """The second directory, owned by one thread. Opening it cannot fail; each write says."""

    def __init__(self, path: Path, *, checkpoint: Checkpoint) -> None:
        self._path = path
        self._checkpoint = checkpoint
        self._written = -1

    def close(self) -> None:
        """Nothing is held open between two writes."""

    def write_copy(self, copy: KillCopy) -> None:
        """Put ``copy`` in the place of the one before, on disk when this returns. An older one than
        was written already is passed over: it was queued behind a slow disk.

        Raises:
            OSError: The one before is still there.
        """
        if copy.sequence < self._written:
            return
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        final = self._path / COPY_NAME
        fresh = final.with_suffix(".new")
        _write_synced(fresh, encode_copy(copy), os.O_CREAT | os.O_TRUNC)
        self._checkpoint("second.written")
        fresh.replace(final)
        _sync_directory(self._path)
        self._written = copy.sequence
        self._checkpoint("second.renamed")

    def anchor(self, head: AuditHead) -> None:
        """Note one more head of the chain, on disk when this returns.

        Raises:
            OSError: It is not noted, or half of it.
        """
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path / ANCHOR_NAME
        line = msgspec.json.encode(head) + b"\n"
        if _torn(path):
            line = b"\n" + line
        _write_synced(path, line, os.O_CREAT | os.O_APPEND)
        self._checkpoint("anchor.written")


class Second:
    """The second directory behind its own thread: nothing here waits for the store, nor it for
    this."""

    def __init__(self, path: Path, *, checkpoint: Checkpoint) -> None:
        self.path = path
        self.anchor_path = path / ANCHOR_NAME
        self._thread = StoreThread(
            lambda: SecondDirectory(path, checkpoint=checkpoint), name="second copy"
        )
        self.copy_deadline_s = COPY_DEADLINE_S
        self._copy_problem = self._anchor_problem = ""
        self._refused = 0

    @property
    def problem(self) -> str:
        """Why something could not be written last; empty when all is well."""
        return self._copy_problem or self._anchor_problem

    def close(self) -> bool:
        """Write what is queued; False when the disk hung."""
        return self._thread.close()

    def restore(self) -> tuple[KillCopy | None, str]:
        """The copy as found, and why it cannot be read. Blocks, for ``OPEN_DEADLINE_S`` at most."""
        try:
            read = self._thread.submit(lambda _: read_copy(self.path), what="be read")
            return read.result(OPEN_DEADLINE_S), ""
        except TimeoutError:
            return None, f"The second copy in {self.path} cannot be read: the disk hangs."
        except StoreError as error:
            return None, str(error)

    async def keep(self, copy: KillCopy) -> None:
        """Write the copy, on disk when this returns.

        Raises:
            StoreError: It is not, or not within ``copy_deadline_s``.
        """
        try:
            await self._thread.call(
                lambda files: files.write_copy(copy),
                what=f"be written to {self.path}",
                deadline_s=self.copy_deadline_s,
                write=True,
                urgent=True,
            )
        except StoreError as error:
            self._copy_done(copy, str(error))
            raise
        self._copy_done(copy, "")

    def anchor_new_file(self, lineage: str) -> None:
        """Anchor a file that has no record yet, so that an anchor that is missing later was taken
        away. Blocks, for ``OPEN_DEADLINE_S`` at most."""
        if self.anchor_path.exists():
            return
        head = AuditHead(lineage=lineage, seq=0, hash=GENESIS)
        what = f"anchor the audit in {self.path}"
        try:
            self._thread.submit(lambda files: files.anchor(head), what=what).result(OPEN_DEADLINE_S)
        except (StoreError, TimeoutError) as error:
            self._anchor_problem = str(error) or f"Could not {what}: the disk hangs."

    def mirror(self, copy: KillCopy) -> None:
        """Write the copy when the disk has time."""
        self._post(
            lambda files: files.write_copy(copy),
            "be written",
            lambda problem: self._copy_done(copy, problem),
        )

    def anchor(self, head: AuditHead) -> None:
        """Note a head of the audit when the disk has time."""
        self._post(lambda files: files.anchor(head), "anchor the audit", self._anchor_done)

    def _post(
        self, job: Callable[[SecondDirectory], None], what: str, done: Callable[[str], None]
    ) -> None:
        try:
            future = self._thread.submit(job, what=f"{what} in {self.path}")
        except StoreError as error:
            done(str(error))
        else:
            future.add_done_callback(lambda each: done(str(each.exception() or "")))

    def _copy_done(self, copy: KillCopy, problem: str) -> None:
        # An older copy that was queued behind the one that failed says nothing of that one.
        if problem:
            self._copy_problem, self._refused = problem, max(self._refused, copy.sequence)
        elif copy.sequence >= self._refused:
            self._copy_problem = ""

    def _anchor_done(self, problem: str) -> None:
        self._anchor_problem = problem


def encode_copy(copy: KillCopy) -> bytes:
    """The file's content."""
    payload = msgspec.msgpack.encode(copy)
    return MAGIC + hashlib.sha256(payload).digest() + payload


def read_copy(directory: Path) -> KillCopy | None:
    """The copy in ``directory``; None where there is none.

    Raises:
        StoreError: There is one that cannot be read or trusted; the text says what to do.
    """
    path = directory / COPY_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise StoreError(f"The second copy {path} cannot be read: {why}.") from error
    start = len(MAGIC) + _DIGEST_BYTES
    payload = data[start:]
    if not data.startswith(MAGIC) or hashlib.sha256(payload).digest() != data[len(MAGIC) : start]:
        raise StoreError(_damaged(path))
    try:
        return msgspec.msgpack.decode(payload, type=KillCopy)
    except msgspec.MsgspecError as error:
        raise StoreError(_damaged(path)) from error


def read_anchor(path: Path) -> tuple[list[AuditHead], list[int]]:
    """Every head in an anchor file, oldest first, and the numbers of lines that cannot be read
    (from 1).

    Raises:
        OSError: No such file, or it cannot be read.
    """
    heads: list[AuditHead] = []
    unreadable: list[int] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        try:
            heads.append(msgspec.json.decode(line, type=AuditHead))
        except msgspec.MsgspecError:
            unreadable.append(number)
    return heads, unreadable


def _damaged(path: Path) -> str:
    return (
        f"The second copy {path} is damaged. Move it aside and keep it; see what was latched in "
        "`riskd audit export`, then re-arm."
    )


def _write_synced(path: Path, data: bytes, flags: int) -> None:
    number = os.open(path, os.O_WRONLY | flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
        os.fsync(number)
    finally:
        os.close(number)


def _sync_directory(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _torn(path: Path) -> bool:
    """True where the file ends in half a line: a crash, or a full disk, in mid-write."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
