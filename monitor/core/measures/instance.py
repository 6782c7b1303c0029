"""A measure about a subject, in demand: its last reading, who reads it, and whom to ask again.

*Pure.*
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol, TypeVar

from monitor.core.measures.definition import Definition
from monitor.core.measures.tree import Node
from monitor.core.measures.use import FOREVER_NS
from monitor.core.settings import cadence_ns, limit_ns
from monitor.core.state.model import Cell

# Beyond this no measure is plausible; rules refuse to judge such numbers.
VALUE_MAX = 1e60


class Watcher(Protocol):
    """Who wants to be asked again when a measure moves: a rule about a subject."""

    due: bool


T = TypeVar("T")


def appended(
    known: Sequence[T], item: T, *, key: Callable[[T], float] | None = None
) -> Sequence[T]:
    """``known`` with one more, in the order of ``key`` where there is one; what is empty becomes a
    list, and a list stays the same one."""
    entries = known if isinstance(known, list) else []
    if key is None:
        entries.append(item)
    else:
        insort(entries, item, key=key)
    return entries


class Instance:
    """One measure about one subject, in demand.

    The guard band is the open interval around the value in which no watcher's limit lies: while
    the value stays inside, no watcher that only compares it with limits can change its mind.
    """

    __slots__ = (
        "attentive",
        "cadence_ns",
        "cell",
        "clock",
        "compute",
        "definition",
        "dependents",
        "guard_high",
        "guard_low",
        "high",
        "hot",
        "inputs",
        "lazy",
        "limits",
        "low",
        "max_age",
        "node",
        "patient",
        "periodic",
        "preview",
        "previewable",
        "pulled",
        "queued",
        "rank",
        "skipped",
        "slow",
        "slow_until_ns",
        "unguarded",
        "watchers",
        "witnesses",
    )

    def __init__(self, definition: Definition, node: Node, cell: Cell, rank: int) -> None:
        spec = definition.spec
        self.definition = definition
        self.node = node
        self.cell = cell
        self.rank = rank
        self.compute = definition.compute
        self.clock = definition.clock
        self.low, self.high = max(spec.low, -VALUE_MAX), min(spec.high, VALUE_MAX)
        cadence_s = spec.cadence_s if definition.cadence_s is None else definition.cadence_s
        self.cadence_ns = cadence_ns(cadence_s)
        self.patient = definition.patient
        # With a cadence and nothing that dirties it, it is computed every so often.
        self.periodic = bool(self.cadence_ns) and not definition.bits and not definition.needs
        self.max_age = FOREVER_NS if spec.max_age_s is None else limit_ns(spec.max_age_s)
        # Most of these stay empty, and there are dozens of thousands: a list comes with its first.
        self.inputs: Sequence[Instance] = ()
        self.dependents: Sequence[Instance] = ()
        self.witnesses: Sequence[Instance] = ()  # dependents that only ask whether it is known
        # Read by nobody but those with a cadence: computed when one of them is, not before.
        self.lazy = False
        self.pulled: tuple[Instance, ...] = ()  # the lazy ones among its inputs
        # Dependents that follow at once; those that wait for their cadence (or are lazy), and until
        # when each of these is known to be armed: sooner, nothing need be said to them.
        self.hot: tuple[Instance, ...] = ()
        self.slow: tuple[Instance, ...] = ()
        self.slow_until_ns = 0
        self.limits: Sequence[tuple[float, Watcher]] = ()  # ascending
        self.unguarded: Sequence[Watcher] = ()  # asked at every change of value
        self.attentive: Sequence[Watcher] = ()  # asked at every observation
        self.watchers: Sequence[Watcher] = ()
        self.guard_low, self.guard_high = -inf, inf
        self.queued = False
        self.preview = definition.preview
        self.previewable = self.preview is not None
        self.skipped = True  # the cell may lag behind what was told since

    def set_previewable(self) -> None:
        """A preview suffices while nobody needs the exact value or every observation."""
        self.previewable = self.preview is not None and not (
            self.dependents or self.witnesses or self.unguarded or self.attentive
        )

    def attend(self, watcher: Watcher, *, every: bool) -> None:
        """Whether ``watcher`` must see every observation."""
        if every is not any(one is watcher for one in self.attentive):
            others = [one for one in self.attentive if one is not watcher]
            self.attentive = (*others, watcher) if every else tuple(others)
        self.set_previewable()

    def watch(self, watcher: Watcher, limits: tuple[float, ...] | None) -> None:
        """Ask ``watcher`` again when the value crosses one of ``limits``, or with None whenever it
        changes; always when it becomes present or absent."""
        self.watchers = appended(self.watchers, watcher)
        if limits is None:
            self.unguarded = appended(self.unguarded, watcher)
        else:
            for limit in limits:
                self.limits = appended(self.limits, (limit, watcher), key=_limit)
        self.set_guard()
        self.set_previewable()

    def set_guard(self) -> None:
        """The band in which the present value lies."""
        value = self.cell.value
        if value is None or not self.limits:
            self.guard_low, self.guard_high = -inf, inf
            return
        below = bisect_right(self.limits, value, key=_limit) - 1
        above = bisect_left(self.limits, value, key=_limit)
        self.guard_low = self.limits[below][0] if below >= 0 else -inf
        self.guard_high = self.limits[above][0] if above < len(self.limits) else inf

    def crossed(self, before: float, after: float) -> list[Watcher]:
        """Whose limits lie between two values, ends included."""
        low, high = (before, after) if before <= after else (after, before)
        first = bisect_left(self.limits, low, key=_limit)
        last = bisect_right(self.limits, high, key=_limit)
        return [entry[1] for entry in self.limits[first:last]]


def _limit(entry: tuple[float, Watcher]) -> float:
    return entry[0]
