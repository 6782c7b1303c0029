"""The journal on disk: the same bytes out, bounded, and honest about what is missing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import ConfigError, StoreError
from monitor.store.journal import (
    MAGIC,
    JournalRecord,
    JournalWriter,
    RecordKind,
    TornTail,
    encode_record,
    read_segment,
    segment_paths,
)


def read_all(directory: Path) -> list[JournalRecord | TornTail]:
    """Everything in every segment, in order."""
    return [item for path in segment_paths(directory) for item in read_segment(path)]


def payloads(directory: Path) -> list[bytes]:
    """Payloads of the ordinary records."""
    return [
        item.payload
        for item in read_all(directory)
        if isinstance(item, JournalRecord) and item.kind is RecordKind.RECORD
    ]


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """Opening and records come back byte for byte, empty ones too."""
    writer = JournalWriter(tmp_path)
    writer.start_segment(b"snapshot")
    for record in (b"one", b"", b"three" * 1000):
        writer.append(record)
    assert writer.close()
    assert read_all(tmp_path) == [
        JournalRecord(RecordKind.OPENING, b"snapshot"),
        JournalRecord(RecordKind.RECORD, b"one"),
        JournalRecord(RecordKind.RECORD, b""),
        JournalRecord(RecordKind.RECORD, b"three" * 1000),
    ]
    with pytest.raises(StoreError, match="closed"):
        writer.append(b"late")


def test_a_restart_continues_in_a_new_segment(tmp_path: Path) -> None:
    """Nothing of an earlier run is overwritten."""
    for run in (b"first", b"second"):
        writer = JournalWriter(tmp_path)
        writer.append(run)
        writer.close()
    assert [path.name for path in segment_paths(tmp_path)] == [
        "00000001.journal",
        "00000002.journal",
    ]
    assert payloads(tmp_path) == [b"first", b"second"]


def test_segments_turn_over_when_asked_and_old_ones_go(tmp_path: Path) -> None:
    """A full segment asks for a new one; the number of files stays bounded."""
    writer = JournalWriter(tmp_path, segment_bytes=100, segments_max=3)
    for number in range(10):
        wanted = [writer.wants_segment]
        writer.append(bytes([number]) * 100)
        assert [*wanted, writer.wants_segment] == [False, True]
        writer.start_segment(b"snapshot %d" % number)
    writer.close()
    assert len(segment_paths(tmp_path)) == 3
    first = next(iter(read_segment(segment_paths(tmp_path)[0])))
    assert first == JournalRecord(RecordKind.OPENING, b"snapshot 7")


def test_the_total_size_is_bounded(tmp_path: Path) -> None:
    """The oldest segments go when all together are too large."""
    writer = JournalWriter(tmp_path, segment_bytes=100, total_bytes=500)
    for number in range(20):
        writer.append(bytes([number]) * 100)
        writer.start_segment(b"")
    writer.close()
    assert sum(path.stat().st_size for path in segment_paths(tmp_path)) <= 500 + 2 * 150


@pytest.mark.parametrize(("records", "segments"), [(2, 1), (3, 2)])
def test_a_segment_nobody_turns_over_is_still_bounded(
    tmp_path: Path, records: int, segments: int
) -> None:
    """At twice the size a segment ends by itself."""
    writer = JournalWriter(tmp_path, segment_bytes=100)
    for _ in range(records):
        writer.append(b"x" * 91)  # 100 bytes with its header
    writer.close()
    assert len(segment_paths(tmp_path)) == segments


def test_what_the_disk_cannot_take_is_a_counted_gap(tmp_path: Path) -> None:
    """Lost records are counted where they are missing, never silently skipped."""
    writer = JournalWriter(tmp_path, buffer_bytes=100, flush_s=3600)
    writer.append(b"a" * 80)
    writer.append(b"b" * 80)
    writer.append(b"c" * 80)
    assert writer.lost == 2
    writer.append(b"d")
    writer.close()
    assert read_all(tmp_path) == [
        JournalRecord(RecordKind.RECORD, b"a" * 80),
        JournalRecord(RecordKind.GAP, (2).to_bytes(8, "little"), 2),
        JournalRecord(RecordKind.RECORD, b"d"),
    ]


def whole_segment() -> bytes:
    """Two good records."""
    first = encode_record(RecordKind.RECORD, b"first record")
    return MAGIC + first + encode_record(RecordKind.RECORD, b"second record")


@given(cut=st.integers(min_value=0, max_value=len(whole_segment())))
def test_every_cut_leaves_the_whole_records_before_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    """However a crash tears the tail, what stands before it is read and the tear is reported."""
    path = tmp_path_factory.mktemp("cut") / "00000001.journal"
    path.write_bytes(whole_segment()[:cut])
    items = list(read_segment(path))
    records = [item for item in items if isinstance(item, JournalRecord)]
    tails = [item for item in items if isinstance(item, TornTail)]
    first_end = len(MAGIC) + 9 + len(b"first record")
    whole = cut in {len(MAGIC), first_end, len(whole_segment())}
    expected = [b"first record"] * (cut >= first_end)
    expected += [b"second record"] * (cut == len(whole_segment()))
    assert [record.payload for record in records] == expected
    assert len(tails) == (0 if whole else 1)


@given(position=st.integers(min_value=8, max_value=len(whole_segment()) - 1))
def test_a_flipped_byte_is_never_read_as_a_record(
    tmp_path_factory: pytest.TempPathFactory, position: int
) -> None:
    """Damage ends the reading with a report; no altered record gets out."""
    data = bytearray(whole_segment())
    data[position] ^= 0x41
    path = tmp_path_factory.mktemp("flip") / "00000001.journal"
    path.write_bytes(data)
    items = list(read_segment(path))
    good = {b"first record", b"second record"}
    assert all(item.payload in good for item in items if isinstance(item, JournalRecord))
    assert isinstance(items[-1], TornTail)


def test_another_file_is_no_journal(tmp_path: Path) -> None:
    """A file of another kind is refused by name."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"hello, this is not a journal")
    with pytest.raises(StoreError, match=r"notes\.txt is no riskd journal"):
        list(read_segment(path))


def test_an_unwritable_directory_says_what_to_do(tmp_path: Path) -> None:
    """One sentence with the path and the way out."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"journal directory .* cannot be written"):
        JournalWriter(tmp_path / "file" / "journal")


def test_many_threads_of_records_keep_their_order(tmp_path: Path) -> None:
    """Records of one caller stay in order while the thread writes beside it."""
    writer = JournalWriter(tmp_path, flush_s=0.001)
    done = threading.Event()
    for number in range(5000):
        writer.append(number.to_bytes(4, "little"))
    done.set()
    writer.close()
    assert payloads(tmp_path) == [number.to_bytes(4, "little") for number in range(5000)]
