r"""The journal on disk: bytes in, the same bytes out, in append-only segments.

What the bytes mean is ``core.journal``'s business. A segment opens with a snapshot, so any run of
segments replays by itself; old ones are removed. Flush policy: a thread writes what has gathered
every ``flush_s`` and whenever ``FLUSH_BYTES`` have; ``fsync`` when a segment or the journal is
closed. A crash of the process loses at most ``flush_s`` of records, a power cut what the kernel had
not yet written; neither latches or pages, those are in the store. A torn tail is reported by the
reader, never an error.

::

    segment   "riskdj1\n"  record*
    record    kind u8 · length u32 · crc32 u32 · payload          little-endian; crc of kind+payload
    kind      0 opening snapshot · 1 record · 2 gap (payload: u64 count of records lost before it)
"""

from __future__ import annotations

import enum
import errno
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import msgspec

from monitor.core.errors import ConfigError, StoreError

MAGIC = b"riskdj1\n"
SUFFIX = ".journal"
FLUSH_BYTES = 256 * 1024
RECORD_BYTES_MAX = 256 * 1024 * 1024  # a length above this is damage, not a record
_HEADER = struct.Struct("<BII")
_COUNT = struct.Struct("<Q")


class RecordKind(enum.IntEnum):
    """What one record of a segment is."""

    OPENING = 0
    RECORD = 1
    GAP = 2


class JournalRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as read. ``lost`` is the number of records missing here, for a GAP."""

    kind: RecordKind
    payload: bytes
    lost: int = 0


class TornTail(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where reading a segment stopped before its end, and why."""

    segment: str
    offset: int
    bytes_left: int
    reason: str


class JournalWriter:
    """Appends records without ever blocking the caller. Implements ``JournalSink``."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 64 * 1024 * 1024,
        total_bytes: int = 1024 * 1024 * 1024,
        segments_max: int = 128,
        buffer_bytes: int = 16 * 1024 * 1024,
        flush_s: float = 0.2,
    ) -> None:
        """Start a journal in ``directory`` after whatever segments are there.

        Args:
            directory: Made where missing.
            segment_bytes: Above this ``wants_segment`` is true; at twice it a segment is started
                without a snapshot, so that a file is bounded even if nobody asks.
            total_bytes: The oldest segments are removed while all of them together are above it.
            segments_max: They are removed above this number too; it is high so that many small
                ones (a crash loop) do not push out the record of what began it.
            buffer_bytes: What may wait for the disk; beyond it records are lost and counted.
            flush_s: Longest time between the gathering and the writing of a record, seconds.

        Raises:
            ConfigError: If the directory cannot be written.
        """
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._total_bytes = total_bytes
        self._segments_max = segments_max
        self._buffer_bytes = buffer_bytes
        self._flush_s = flush_s
        self._condition = threading.Condition()
        self._waiting: list[bytes | None] = []  # None: a new segment begins here
        self._waiting_bytes = 0
        self._in_segment = 0
        self._unreported_lost = 0
        self._closed = False
        self._torn = False  # the open segment ends in half a record
        self._good_bytes = 0
        self.lost = 0
        self.write_errors = 0
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            numbers = [segment_number(path) for path in segment_paths(directory)]
            self._number = max(numbers, default=0)
            self._file = self._open_next()
            self._remove_old()
        except OSError as error:
            raise ConfigError(
                f"The journal directory {directory} cannot be written ({error.strerror}). "
                "Make it writable, free some space, or set another data directory."
            ) from error
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def wants_segment(self) -> bool:
        """True when the segment is full."""
        return self._in_segment >= self._segment_bytes

    def start_segment(self, opening: bytes) -> None:
        """Begin a new segment with a snapshot of the state before the next record."""
        with self._condition:
            self._put(RecordKind.OPENING, opening, new_segment=self._in_segment > 0)
            self._condition.notify()

    def append(self, record: bytes) -> None:
        """Keep one record; counted in ``lost`` where the disk cannot keep up."""
        with self._condition:
            full = self._in_segment >= 2 * self._segment_bytes
            self._put(RecordKind.RECORD, record, new_segment=full)
            if self._waiting_bytes >= FLUSH_BYTES:
                self._condition.notify()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write and sync what waits; False when the disk hung. Nothing may be appended after."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, kind: RecordKind, payload: bytes, *, new_segment: bool) -> None:
        if self._closed:
            raise StoreError("The journal is closed.")
        if self._waiting_bytes + len(payload) > self._buffer_bytes and self._waiting:
            self.lost += 1
            self._unreported_lost += 1
            return
        if new_segment:
            self._waiting.append(None)
            self._in_segment = 0
        if self._unreported_lost:
            self._gather(RecordKind.GAP, _COUNT.pack(self._unreported_lost))
            self._unreported_lost = 0
        self._gather(kind, payload)

    def _gather(self, kind: RecordKind, payload: bytes) -> None:
        data = encode_record(kind, payload)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._in_segment += len(data)

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._closed and self._waiting_bytes < FLUSH_BYTES:
                    self._condition.wait(self._flush_s)
                batch, self._waiting = self._waiting, []
                self._waiting_bytes = 0
                closed = self._closed
            self._write(batch)
            if closed:
                self._sync()
                self._file.close()
                return

    def _write(self, batch: list[bytes | None]) -> None:
        run: list[bytes] = []
        for data in [*batch, b""]:
            if data is None:
                self._write_run(run)
                run = []
                self._next_segment()
            else:
                run.append(data)
        self._write_run(run)

    def _write_run(self, run: list[bytes]) -> None:
        data = b"".join(run)
        if not data:
            return
        if self._torn:
            self._next_segment()
        try:
            _write_all(self._file, data)
        except OSError:
            self._lose(sum(1 for record in run if record))
            self._cut_back()
        else:
            self._good_bytes += len(data)

    def _cut_back(self) -> None:
        # A half-written record must not stand before good ones, where it would hide them.
        try:
            self._file.truncate(self._good_bytes)
            self._file.seek(self._good_bytes)
        except OSError:
            self._torn = True

    def _next_segment(self) -> None:
        try:
            opened = self._open_next()
        except OSError:
            self._lose(0)  # goes on in the old segment, which is merely too long
            return
        self._sync()
        self._file.close()
        self._file = opened
        self._torn = False
        self._remove_old()

    def _open_next(self) -> FileIO:
        path = self._directory / f"{self._number + 1:08d}{SUFFIX}"
        file = path.open("xb", buffering=0)
        try:
            _write_all(file, MAGIC)
        except OSError:
            file.close()
            path.unlink()
            raise
        self._number += 1
        self._good_bytes = len(MAGIC)
        return file

    def _remove_old(self) -> None:
        paths = segment_paths(self._directory)
        sizes = [path.stat().st_size for path in paths]
        excess_bytes = sum(sizes) - self._total_bytes
        excess_files = len(paths) - self._segments_max
        for path, size in zip(paths[:-1], sizes[:-1], strict=True):
            if excess_bytes <= 0 and excess_files <= 0:
                return
            path.unlink(missing_ok=True)
            excess_bytes -= size
            excess_files -= 1

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError:
            self._lose(0)

    def _lose(self, records: int) -> None:
        with self._condition:
            self.write_errors += 1
            self.lost += records
            self._unreported_lost += records


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = file.write(view)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]


def encode_record(kind: RecordKind, payload: bytes) -> bytes:
    """One record as it stands in a segment."""
    return _HEADER.pack(kind, len(payload), _checksum(kind, payload)) + payload


def segment_paths(directory: Path) -> list[Path]:
    """The segments of a journal, oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"), key=segment_number)


def segment_number(path: Path) -> int:
    """The number in a segment's name; 0 for a name that is not ours."""
    return int(path.stem) if path.stem.isdigit() else 0


def read_segment(path: Path) -> Iterator[JournalRecord | TornTail]:
    """The records of one segment; a ``TornTail`` comes last where it does not end cleanly.

    Raises:
        StoreError: If the file is no journal segment at all.
    """
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        if MAGIC.startswith(data):
            yield TornTail(segment=path.name, offset=0, bytes_left=len(data), reason="no header")
            return
        raise StoreError(f"{path} is no riskd journal.")
    offset = len(MAGIC)
    while offset < len(data):
        record, size, reason = _read_record(data, offset)
        if record is None:
            left = len(data) - offset
            yield TornTail(segment=path.name, offset=offset, bytes_left=left, reason=reason)
            return
        yield record
        offset += size


def _read_record(data: bytes, offset: int) -> tuple[JournalRecord | None, int, str]:
    start = offset + _HEADER.size
    if start > len(data):
        return None, 0, "record header cut off"
    kind_number, length, checksum = _HEADER.unpack_from(data, offset)
    if length > RECORD_BYTES_MAX or kind_number not in RecordKind.__members__.values():
        return None, 0, "record header damaged"
    payload = data[start : start + length]
    if len(payload) < length:
        return None, 0, "record cut off"
    kind = RecordKind(kind_number)
    if _checksum(kind, payload) != checksum:
        return None, 0, "checksum does not match"
    lost = _COUNT.unpack(payload)[0] if kind is RecordKind.GAP else 0
    return JournalRecord(kind, payload, lost), _HEADER.size + length, ""


def _checksum(kind: RecordKind, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(bytes((kind,))))
