"""One scrape of ten thousand series: our exposition against prometheus_client, and its pieces.

The same readings are rendered by both; names and labels are known from an earlier scrape, as in a
daemon that is scraped every few seconds. Beside it, a whole scrape of a living engine, where
measures that no rule reads are computed as they are read: the longest piece is what the loop waits
for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from bench.frames import Stream
from bench.measure import cpu_us, freeze
from bench.world import World
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.spec import MeasureSpec, Reading
from monitor.core.types import SECOND_NS, Subject, SubjectKind, market_subject
from monitor.observability.exposition import Exposition

SERIES = 10_000
SCRAPES = 20
Row = tuple[MeasureSpec, Subject, Reading | None]


def scrape(stream: Stream) -> dict[str, float]:
    """CPU of a scrape both ways, and the longest piece of a living one, milliseconds."""
    rows = _rows()
    ours, theirs = Exposition(), _registry(rows)
    for _ in range(3):
        _all(ours.render(rows, now_ns=0))
        generate_latest(theirs)
    world = World(stream)
    world.open(stream.opening())
    world.run(world.batches(stream.frames(20_000)))
    freeze()
    mine = min(cpu_us(lambda r: _all(ours.render(r, now_ns=0)), rows, 1) for _ in range(SCRAPES))
    peer = min(cpu_us(generate_latest, theirs, 1) for _ in range(SCRAPES))
    live = Exposition()
    _all(live.render(world.engine.instances(world.now), now_ns=world.now))
    longest = min(_longest(live, world) for _ in range(SCRAPES))
    samples = sum(1 for row in world.engine.instances(world.now) if row[2] is not None)
    whole = min(
        cpu_us(lambda w: _all(live.render(w.engine.instances(w.now), now_ns=w.now)), world, 1)
        for _ in range(5)
    )
    return {
        "ours_ms": mine / 1e3,
        "prometheus_client_ms": peer / 1e3,
        "longest_ms": longest,
        "live_ms": whole / 1e3,
        "live_series": float(samples),
    }


def _rows() -> list[Row]:
    specs = [spec for spec in CATALOGUE.values() if SubjectKind.MARKET in spec.kinds][:10]
    subjects = [market_subject("dydx", f"M{number}-USD") for number in range(SERIES // len(specs))]
    now = 1_790_000_000 * SECOND_NS
    return [
        (
            spec,
            subject,
            Reading(
                value=number * 1.0001 + 0.123456789,
                as_of_ns=now,
                expires_ns=now + SECOND_NS,
                observed_ns=now,
                estimated=False,
            ),
        )
        for spec in specs
        for number, subject in enumerate(subjects)
    ]


def _registry(rows: list[Row]) -> CollectorRegistry:
    """The same series as child gauges with the same labels."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for spec, subject, reading in rows:
        gauge = gauges.get(spec.name)
        if gauge is None:
            labels = ("kind", "venue", "market")
            gauge = gauges[spec.name] = Gauge(
                f"riskd_{spec.name}", spec.help, labels, registry=registry
            )
        venue, _, market = subject.partition(":")[2].partition("/")
        gauge.labels("market", venue, market).set(0.0 if reading is None else reading.value)
    return registry


def _longest(exposition: Exposition, world: World) -> float:
    """The longest piece between two places where the loop gets its turn, wall milliseconds."""
    longest = 0
    pieces = iter(exposition.render(world.engine.instances(world.now), now_ns=world.now))
    while True:
        started = time.thread_time_ns()
        if next(pieces, None) is None:
            return longest / 1e6
        longest = max(longest, time.thread_time_ns() - started)


def _all(pieces: Iterable[bytes]) -> int:
    return sum(len(piece) for piece in pieces)
