"""The journal: what ``apply`` consumed and where batches ended, and how to live it again.

A segment opens with a snapshot; from there the records give the same decisions byte for byte. Each
batch mark carries a digest of its decision, so that a replay that differs is noticed at the batch
where it does. Writing files is somebody else's. *Pure.*
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from monitor import __version__
from monitor.core.decision import Decision
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.events import Event
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.definition import Definition, Key
from monitor.core.measures.spec import MeasureSpec
from monitor.core.types import EngineNs

FORMAT_VERSION = 1


class JournalError(MonitorError):
    """A journal cannot be read, or does not give the decisions it says it gave."""


class SnapshotRecord(msgspec.Struct, frozen=True, tag="s", array_like=True):
    """The engine as it was when the segment began."""

    version: int
    at_ns: EngineNs
    engine: bytes
    riskd: str = ""  # the version that wrote it; journals of before it was kept have none


class EventRecord(msgspec.Struct, frozen=True, gc=False, tag="e", array_like=True):
    """One fact and when it was applied."""

    at_ns: EngineNs
    event: Event


class BatchRecord(msgspec.Struct, frozen=True, gc=False, tag="b", array_like=True):
    """``evaluate`` ran; ``digest`` is of the decision's bytes."""

    at_ns: EngineNs
    digest: bytes


Record = SnapshotRecord | EventRecord | BatchRecord

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
_decision_encoder = msgspec.json.Encoder()


def decision_bytes(decision: Decision) -> bytes:
    """A decision as JSON, the same bytes for the same decision."""
    return _decision_encoder.encode(decision)


def digest_of(decision: Decision) -> bytes:
    """Sixteen bytes that tell decisions apart."""
    return hashlib.blake2b(_decision_encoder.encode(decision), digest_size=16).digest()


def encode_snapshot(engine: Engine) -> bytes:
    """The opening of a segment; between batches only."""
    record = SnapshotRecord(FORMAT_VERSION, engine.now_ns, engine.snapshot(), __version__)
    return _encoder.encode(record)


def written_by(packed: bytes) -> str:
    """Version of the riskd that wrote this opening record; empty where it does not say.

    Reads only the outermost shape, which stays the same over versions.
    """
    try:
        fields = msgspec.msgpack.decode(packed)
    except msgspec.MsgspecError:
        return ""
    found = fields[4] if isinstance(fields, list) and len(fields) > 4 and fields[0] == "s" else ""
    return found if isinstance(found, str) else ""


def encode_event(event: Event, now: EngineNs) -> bytes:
    """One fact, as applied."""
    return _encoder.encode(EventRecord(now, event))


def encode_batch(decision: Decision) -> bytes:
    """The end of a batch, as concluded."""
    return _encoder.encode(BatchRecord(decision.at_ns, digest_of(decision)))


def decode_record(packed: bytes) -> Record:
    """One record.

    Raises:
        JournalError: If these bytes are no record of this version.
    """
    try:
        return _decoder.decode(packed)
    except msgspec.MsgspecError as error:
        raise JournalError(f"this is no journal record: {error}") from error


def replay(
    records: Iterable[bytes],
    catalogue: Mapping[str, MeasureSpec] = CATALOGUE,
    *,
    definitions: Mapping[Key, Definition] = DEFINITIONS,
    check: bool = True,
) -> Iterator[Decision]:
    """The decisions these records lead to, one per batch.

    A later snapshot (of the next segment) is taken over, which also heals a gap before it.

    Raises:
        JournalError: If the records do not begin with a snapshot, cannot be read, or (with
            ``check``) a decision differs from the one that was taken.
    """
    engine: Engine | None = None
    for number, packed in enumerate(records):
        record = decode_record(packed)
        if isinstance(record, SnapshotRecord):
            engine = _restored(record, catalogue, definitions)
            continue
        if engine is None:
            raise JournalError("a journal must begin with a snapshot")
        if isinstance(record, EventRecord):
            try:
                engine.apply(record.event, record.at_ns)
            except ConfigError:
                # A rulebook that was refused then is refused now, and changed nothing.
                continue
        else:
            decision = engine.evaluate(record.at_ns)
            if check and digest_of(decision) != record.digest:
                raise JournalError(
                    f"record {number}: the decision at {record.at_ns} differs from the one taken",
                )
            yield decision


def _restored(
    record: SnapshotRecord,
    catalogue: Mapping[str, MeasureSpec],
    definitions: Mapping[Key, Definition],
) -> Engine:
    if record.version != FORMAT_VERSION:
        raise JournalError(f"journal version {record.version}, this riskd reads {FORMAT_VERSION}")
    try:
        return restore_snapshot(record.engine, catalogue, definitions=definitions)
    except ValueError as error:
        raise JournalError(str(error)) from error
