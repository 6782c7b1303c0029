"""The benchmarks: which processes each one starts, and what its figures mean against its bound.

A round runs every contestant of a benchmark once, each in a fresh process; rounds are interleaved,
so that a slow minute of the machine slows all of them. The figure is the median of per-round
ratios.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench.rules import THOUSAND, TIMES, count_rules

Figures = dict[str, float]
MANY, FEW = 1000, 10  # markets on each venue


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``missed`` when a must is not met."""

    name: str
    value: str
    spread: str
    bound: str
    missed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rounds of how many frames."""

    rounds: int
    frames: int
    soak_frames: int


QUICK = Plan(rounds=3, frames=20_000, soak_frames=200_000)
FULL = Plan(rounds=5, frames=60_000, soak_frames=1_000_000)


def measure(contestant: str, **options: object) -> Figures:
    """The figures of one contestant, from a process of its own.

    Raises:
        RuntimeError: If it failed; with what it said last.
    """
    command = [sys.executable, "-m", "bench.contestants", contestant, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{contestant} failed: {done.stderr.strip().splitlines()[-1:]}")
    figures: Figures = json.loads(done.stdout)
    return figures


def _ratios(
    plan: Plan, first: Callable[[], Figures], second: Callable[[], Figures]
) -> tuple[list[float], Figures, Figures]:
    """Per round the first's cost over the second's; and each one's figures of the last round."""
    ratios = []
    one: Figures = {}
    other: Figures = {}
    for _ in range(plan.rounds):
        one, other = first(), second()
        ratios.append(one["us"] / other["us"])
    return ratios, one, other


def _row(name: str, ratios: list[float], bound: str, *, missed: bool, note: str) -> Row:
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    return Row(name, f"{statistics.median(ratios):.2f}", spread, bound, missed, note)


def against_floor(plan: Plan) -> list[Row]:
    """Decode, state, measures and rules of the whole mix against bare typed decoding; and, for
    information, that of decoders and protocols alone."""
    frames = plan.frames
    ratios, bare, ours = _ratios(
        plan, lambda: measure("floor", frames=frames), lambda: measure("riskd", frames=frames)
    )
    note = f"{ours['us']:.1f} us a frame of {ours['bytes']:.0f} B against {bare['us']:.1f}"
    missed = statistics.median(ratios) < 0.40
    rows = [_row("share of bare typed decoding", ratios, ">= 0.40", missed=missed, note=note)]
    ratios, _, ours = _ratios(
        plan, lambda: measure("floor", frames=frames), lambda: measure("decode", frames=frames)
    )
    note = f"{ours['us']:.1f} us a frame, order books included"
    rows.append(_row("the same, frames to events alone", ratios, "", missed=False, note=note))
    return rows


def against_ccxt(plan: Plan) -> list[Row]:
    """The same on the channels that ccxt.pro reads, against its normalisation alone."""
    frames = plan.frames
    ratios, peer, ours = _ratios(
        plan,
        lambda: measure("ccxt", frames=frames),
        lambda: measure("riskd", frames=frames, public=True),
    )
    note = f"{ours['us']:.1f} us a frame against {peer['us']:.1f}"
    missed = statistics.median(ratios) < 7.0
    return [_row("times cheaper than ccxt.pro", ratios, ">= 7.00", missed=missed, note=note)]


def many_rules(plan: Plan) -> list[Row]:
    """A thousand rules, and a hundred times the built-in ones; as many affected."""
    frames = plan.frames
    rows = []
    for name, total, most in (
        ("cost with 1,000 rules against the built-in ones", THOUSAND, 1.2),
        ("cost with 100x the rules", TIMES * count_rules(), 1.5),
    ):
        ratios, many, few = _ratios(
            plan,
            lambda total=total: measure("riskd", frames=frames, rules=total),  # type: ignore[misc]
            lambda: measure("riskd", frames=frames),
        )
        note = f"{many['rules']:.0f} rules and {many['instances']:.0f} states, {few['rules']:.0f}"
        missed = statistics.median(ratios) > most
        rows.append(_row(name, ratios, f"<= {most:.2f}", missed=missed, note=note))
    return rows


def wider(plan: Plan) -> list[Row]:
    """For information: more accounts, and a slow stream, where timers weigh more per frame."""
    frames = plan.frames
    rows = []
    for name, other in (
        ("cost with 4 accounts a venue", {"accounts": 4}),
        ("cost at 1,000 frames a second", {"frames_per_second": 1000}),
        ("cost with 200 markets a venue", {"markets": 200}),
    ):
        ratios, more, _ = _ratios(
            plan,
            lambda other=other: measure("riskd", frames=frames, **other),  # type: ignore[misc]
            lambda: measure("riskd", frames=frames),
        )
        note = f"{more['us']:.1f} us a frame"
        rows.append(_row(name, ratios, "", missed=False, note=note))
    return rows


def memory(_plan: Plan) -> list[Row]:
    """What one more market costs, from worlds of 20 and of 2,000 markets."""
    few, many = (measure("memory", markets=markets) for markets in (FEW, MANY))
    small, large = (measure("resident", markets=markets) for markets in (FEW, MANY))
    more = many["markets"] - few["markets"]
    traced = (many["traced_kb"] - few["traced_kb"]) / more
    held = (large["resident_mb"] - small["resident_mb"]) * 1e3 / more
    note = f"{held:.1f} KB resident; {small['resident_mb']:.0f} MB -> {large['resident_mb']:.0f} MB"
    return [Row("KB for one more market", f"{traced:.1f}", "", "<= 30", traced > 30.0, note)]


def soak(plan: Plan) -> list[Row]:
    """Memory over a long stream."""
    told = measure("soak", frames=plan.soak_frames)
    grown = told["end_mb"] - told["start_mb"]
    note = (
        f"{told['frames']:,.0f} frames: {told['start_mb']:.1f} -> {told['middle_mb']:.1f} -> "
        f"{told['end_mb']:.1f} MB; gen-2 collections {told['gen2_collections']:.0f}, "
        f"objects left {told['gen2_objects']:.0f}"
    )
    missed = grown > 5.0 or told["gen2_objects"] > 20_000
    return [Row("MB grown in the soak", f"{grown:.1f}", "", "<= 5.0", missed, note)]


def metrics(plan: Plan) -> list[Row]:
    """A scrape of ten thousand series."""
    told = [measure("metrics") for _ in range(plan.rounds)]
    ratios = [one["prometheus_client_ms"] / one["ours_ms"] for one in told]
    longest = [one["longest_ms"] for one in told]
    last = told[-1]
    note = f"{last['ours_ms']:.1f} ms against {last['prometheus_client_ms']:.1f}"
    live = f"{last['live_series']:.0f} series of a living engine in {last['live_ms']:.1f} ms"
    return [
        _row(
            "times cheaper than prometheus_client",
            ratios,
            ">= 3.00",
            missed=statistics.median(ratios) < 3.0,
            note=note,
        ),
        _row(
            "ms, longest piece of a scrape",
            longest,
            "<= 10.0",
            missed=statistics.median(longest) > 10.0,
            note=live,
        ),
    ]


def trip(plan: Plan) -> list[Row]:
    """From the tick to the last acknowledged cancel, against a bare request of the same run."""
    command = [sys.executable, "-m", "bench.killpath", str(plan.rounds * 3)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"killpath failed: {done.stderr.strip().splitlines()[-1:]}")
    told: Figures = json.loads(done.stdout)
    bare = f"bare round trip {told['bare_p50_ms']:.2f} ms, p99 {told['bare_p99_ms']:.2f}"
    return [
        Row(
            name,
            f"{told[f'{key}_p50_ms']:.1f}",
            f"p99 {told[f'{key}_p99_ms']:.1f}",
            "",
            missed=False,
            note=note,
        )
        for name, key, note in (
            ("ms, tick to decision and latch", "decision", bare),
            ("ms, tick to the first byte sent", "first_byte", "kept, read and signed before"),
            ("ms, trip to all cancels confirmed", "acknowledged", f"{told['orders']:.0f} orders"),
        )
    ]


SUITE: dict[str, Callable[[Plan], list[Row]]] = {
    "floor": against_floor,
    "ccxt": against_ccxt,
    "rules": many_rules,
    "memory": memory,
    "soak": soak,
    "metrics": metrics,
    "wider": wider,
    "trip": trip,
}
