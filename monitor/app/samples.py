"""Keeps an hourly value of each measure that may be capped, thirty days of them: what a desk really
does is where its limits should start from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import msgspec
import structlog

from monitor.core.errors import StoreError
from monitor.core.limits import CAPPED, add_sample
from monitor.core.types import SECOND_NS, EngineNs, Subject, subject_kind

if TYPE_CHECKING:
    from monitor.app.lifecycle import Daemon

KEPT = "samples"  # in the store: (measure, subject, [(hour, value), …]) of each
HOUR_NS = 3600 * SECOND_NS
SERIES_MAX = 400  # of a desk with very many accounts and assets the first ones are kept
AFTER_S = 60.0  # of an hour; its feeds have settled by then
Series = dict[tuple[str, Subject], list[tuple[int, float]]]
_Rows = list[tuple[str, Subject, list[tuple[int, float]]]]


class Sampler:
    """Samples one daemon's engine."""

    def __init__(self, daemon: Daemon) -> None:
        self._engine = daemon.engine
        self._store = daemon.store
        self._clock = daemon.clock
        self._series: Series = {}
        self._log = structlog.get_logger("riskd")

    async def run(self) -> NoReturn:
        """Take over what an earlier process kept, then sample every hour for ever."""
        self._series = unpacked(await self._kept())
        while True:
            now = self._clock.now()
            next_ns = (now // HOUR_NS + 1) * HOUR_NS + round(AFTER_S * SECOND_NS)
            await self._clock.sleep((next_ns - now) / SECOND_NS)
            self.sample(self._clock.now())
            try:
                await self._store.put_value(KEPT, packed(self._series))
            except StoreError as error:
                self._log.warning("samples_not_kept", reason=str(error))

    def sample(self, now: EngineNs) -> None:
        """Take the values of now; what is absent or estimated is not taken."""
        for measure, subject in self._wanted():
            reading = self._engine.reading(measure, subject, now)
            if reading is None or reading.estimated:
                continue
            key = (measure, subject)
            if key in self._series or len(self._series) < SERIES_MAX:
                add_sample(self._series.setdefault(key, []), now // HOUR_NS, reading.value)

    def _wanted(self) -> Iterator[tuple[str, Subject]]:
        for subject in list(self._engine.subjects()):
            for capped in CAPPED:
                if subject_kind(subject) in capped.kinds:
                    yield capped.measure, subject

    async def _kept(self) -> bytes | None:
        try:
            return await self._store.value(KEPT)
        except StoreError as error:
            self._log.warning("samples_not_restored", reason=str(error))
            return None


def packed(series: Series) -> bytes:
    """As the store keeps it."""
    rows = [(measure, subject, seen) for (measure, subject), seen in sorted(series.items())]
    return msgspec.msgpack.encode(rows)


def unpacked(kept: bytes | None) -> Series:
    """What was kept; empty where nothing was, or nothing readable."""
    if kept is None:
        return {}
    try:
        rows = msgspec.msgpack.decode(kept, type=_Rows)
    except msgspec.MsgspecError:
        return {}
    return {(measure, subject): seen for measure, subject, seen in rows}
