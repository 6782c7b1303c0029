"""Joins the writer to the journal: encodes what the core consumed and asks for new segments.

A segment opens with a snapshot of the engine, so that each can be replayed by itself.
"""

from __future__ import annotations

from monitor.core.decision import Decision
from monitor.core.engine import Engine
from monitor.core.events import Event
from monitor.core.journal import encode_batch, encode_event, encode_snapshot
from monitor.core.ports import JournalSink
from monitor.core.types import EngineNs


class JournalKeeper:
    """Implements ``runtime.writer.Journal`` over a ``JournalSink``."""

    def __init__(self, sink: JournalSink, engine: Engine) -> None:
        self._sink = sink
        self._engine = engine
        sink.start_segment(encode_snapshot(engine))

    def event(self, now_ns: EngineNs, event: Event) -> None:
        """One fact, before it is applied."""
        self._sink.append(encode_event(event, now_ns))

    def batch(self, now_ns: EngineNs, decision: Decision) -> None:
        """An evaluation and the digest of what it concluded; a full segment ends here."""
        self._sink.append(encode_batch(decision))
        if self._sink.wants_segment:
            self._sink.start_segment(encode_snapshot(self._engine))
