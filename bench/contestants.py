"""What one measuring process does: each contestant takes options and returns figures.

Run as ``python -m bench.contestants NAME OPTIONS-JSON``; prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from bench.floor import Floor
from bench.frames import PUBLIC, Frame, Shape, Stream
from bench.measure import cpu_us, freeze, pin, resident_mb
from bench.metrics import scrape
from bench.rules import filled_to
from bench.world import World
from monitor.rulebook import builtin_files

Figures = dict[str, float]
SOAK_CHUNK = 20_000
SOAK_WARM_UP = 100_000
REREAD_S = 4  # of the stream's time; some of it is re-read every five seconds


@dataclass(frozen=True, slots=True)
class Options:
    """How much, of which frames, in which world."""

    frames: int = 50_000
    markets: int = 20
    accounts: int = 2
    frames_per_second: int = 50_000
    public: bool = False
    rules: int = 0  # how many are loaded; 0: the built-in ones alone

    @property
    def channels(self) -> frozenset[str] | None:
        """Channels that the frames are taken from; None for the whole mix."""
        return PUBLIC if self.public else None

    def stream(self) -> Stream:
        """The generator of this world."""
        return Stream(Shape(self.markets, self.accounts, self.frames_per_second))


def _riskd_world(options: Options, stream: Stream) -> World:
    world = World(stream, (*builtin_files(), filled_to(options.rules)) if options.rules else None)
    world.open(stream.opening())
    return world


def _take(
    options: Options, stream: Stream, world: World, count: int, *, judges: bool = True
) -> tuple[float, int]:
    """The next ``count`` frames, with REST re-read before it grows old: what the frames cost,
    microseconds of CPU, and their bytes."""
    run = world.run if judges else world.decode
    used_us, size = 0.0, 0
    while count > 0:
        frames = stream.frames(min(count, REREAD_S * options.frames_per_second), options.channels)
        count -= len(frames)
        used_us += cpu_us(run, world.batches(frames), 1)
        world.re_read()
        size += sum(len(frame.data) for frame in frames)
    return used_us, size


def riskd(options: Options) -> Figures:
    """Decode, state, measures, rules: the whole path."""
    stream = options.stream()
    world = _riskd_world(options, stream)
    _take(options, stream, world, options.frames // 5)
    freeze()
    engine = world.engine
    computed, asked = engine.recomputed_total, engine.steps_total
    taken = options.frames
    used_us, size = _take(options, stream, world, taken)
    if world.transitions:
        raise RuntimeError(f"a calm stream made rules speak: {world.transitions[:5]}")
    return {
        "us": used_us / taken,
        "bytes": size / taken,
        "computed": (engine.recomputed_total - computed) / taken,
        "asked": (engine.steps_total - asked) / taken,
        "rules": float(len(engine.rulebook.rules)),
        "instances": float(sum(1 for _ in engine.rule_states())),
    }


def decode(options: Options) -> Figures:
    """Decoders, protocols and order books alone: frames to events."""
    stream = options.stream()
    world = _riskd_world(options, stream)
    _take(options, stream, world, options.frames // 5, judges=False)
    freeze()
    used_us, _ = _take(options, stream, world, options.frames, judges=False)
    return {"us": used_us / options.frames}


def floor(options: Options) -> Figures:
    """Bare typed decoding."""
    stream = options.stream()
    stream.opening()
    bare = Floor()
    bare.run(bare.batches(stream.frames(options.frames // 5, options.channels)))
    frames = bare.batches(stream.frames(options.frames, options.channels))
    freeze()
    return {"us": cpu_us(bare.run, frames, len(frames))}


def ccxt(options: Options) -> Figures:
    """ccxt.pro's normalisation of the channels that it reads."""
    from bench.peers import Ccxt  # noqa: PLC0415 - ccxt is heavy, and only this contestant has it

    stream = options.stream()
    peer = Ccxt(stream)
    told = [*stream.opening(), *stream.frames(options.frames // 5, PUBLIC)]
    peer.run(peer.batches([frame for frame in told if frame.channel in PUBLIC]))
    peer.check(stream)
    frames = peer.batches(stream.frames(options.frames, PUBLIC))
    freeze()
    return {"us": cpu_us(peer.run, frames, len(frames))}


def memory(options: Options) -> Figures:
    """What a world of so many markets holds after every market was heard of five times.

    Traced are riskd's own allocations alone, not the generator's; resident is the process's all.
    """
    tracemalloc.start()
    stream = options.stream()
    world = _riskd_world(options, stream)
    for _ in range(10):
        world.run(world.batches(stream.frames(options.markets)))
    gc.collect()
    own = (tracemalloc.Filter(inclusive=False, filename_pattern="*/bench/*"),)
    traced = tracemalloc.take_snapshot().filter_traces(own).statistics("filename")
    return {
        "traced_kb": sum(entry.size for entry in traced) / 1e3,
        "resident_mb": resident_mb(),
        "markets": float(options.markets + stream.hyperliquid.listed),
    }


def resident(options: Options) -> Figures:
    """The same world's resident memory, undisturbed by tracing."""
    stream = options.stream()
    world = _riskd_world(options, stream)
    for _ in range(10):
        world.run(world.batches(stream.frames(options.markets)))
    gc.collect()
    return {
        "resident_mb": resident_mb(),
        "markets": float(options.markets + stream.hyperliquid.listed),
    }


def soak(options: Options) -> Figures:
    """A long stream: memory after warm-up and at the end, and what the collector saw of it."""
    stream = options.stream()
    world = _riskd_world(options, stream)
    collections = 0

    def take(count: int) -> list[Frame]:
        nonlocal collections
        gc.disable()  # the generator's own rubbish is not riskd's
        frames = stream.frames(count)
        gc.enable()
        before = gc.get_stats()[2]["collections"]
        world.run(world.batches(frames))
        world.re_read()
        collections += gc.get_stats()[2]["collections"] - before
        return frames

    for _ in range(SOAK_WARM_UP // SOAK_CHUNK):
        take(SOAK_CHUNK)
    freeze()
    collections, start_mb = 0, resident_mb()
    middle_mb = start_mb
    chunks = max(2, options.frames // SOAK_CHUNK)
    for number in range(chunks):
        take(SOAK_CHUNK)
        if number == chunks // 2:
            middle_mb = resident_mb()
    gc.collect()
    return {
        "frames": float(chunks * SOAK_CHUNK),
        "start_mb": start_mb,
        "middle_mb": middle_mb,
        "end_mb": resident_mb(),
        "gen2_collections": float(collections),
        "gen2_objects": float(len(gc.get_objects(generation=2))),
    }


CONTESTANTS: dict[str, Callable[[Options], Figures]] = {
    "riskd": riskd,
    "decode": decode,
    "floor": floor,
    "ccxt": ccxt,
    "memory": memory,
    "resident": resident,
    "soak": soak,
    "metrics": lambda options: scrape(options.stream()),
}


def main() -> None:
    """Measure one contestant."""
    pin()
    name, told = sys.argv[1:]
    print(json.dumps(CONTESTANTS[name](Options(**json.loads(told)))))


if __name__ == "__main__":
    main()
