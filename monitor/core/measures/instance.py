"""A measure about a subject, in demand: its last reading, who reads it, and whom to ask again.

*Pure.*
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf
from typing import Protocol, TypeVar

from monitor.core.measures.definition import Definition
from monitor.core.measures.tree import Node
from monitor.core.measures.use import FOREVER_NS
from monitor.core.settings import cadence_ns, limit_ns
from monitor.core.state.model import Cell

# Beyond this no measure is plausible; rules refuse to judge such numbers.
VALUE_MAX = 1e60
_LOWEST = -inf  # the same object everywhere


class Watcher(Protocol):
    """Who wants to be asked again when a measure moves: a rule about a subject."""

    due: bool


T = TypeVar("T")


def inserted(known: Sequence[T], at: int, item: T) -> Sequence[T]:
    """``known`` with one more before the entry at ``at``. One alone stands in a tuple, which is all
    that most ever hold; several in a list, and a list stays the same one."""
    if not known:
        return (item,)
    entries = known if isinstance(known, list) else list(known)
    entries.insert(at, item)
    return entries


def appended(known: Sequence[T], item: T) -> Sequence[T]:
    """``known`` with one more at its end."""
    return inserted(known, len(known), item)


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
        "limited",
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
        # Most of these stay empty, and there are dozens of thousands: see ``appended``.
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
        self.limits: Sequence[float] = ()  # ascending
        self.limited: Sequence[Watcher] = ()  # whose each of them is
        self.unguarded: Sequence[Watcher] = ()  # asked at every change of value
        self.attentive: Sequence[Watcher] = ()  # asked at every observation
        self.watchers: Sequence[Watcher] = ()
        self.guard_low, self.guard_high = _LOWEST, inf
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
                at = bisect_right(self.limits, limit)
                self.limits = inserted(self.limits, at, limit)
                self.limited = inserted(self.limited, at, watcher)
        self.set_guard()
        self.set_previewable()

    def set_guard(self) -> None:
        """The band in which the present value lies."""
        value = self.cell.value
        if value is None or not self.limits:
            self.guard_low, self.guard_high = _LOWEST, inf
            return
        below = bisect_right(self.limits, value) - 1
        above = bisect_left(self.limits, value)
        self.guard_low = self.limits[below] if below >= 0 else _LOWEST
        self.guard_high = self.limits[above] if above < len(self.limits) else inf

    def crossed(self, before: float, after: float) -> Sequence[Watcher]:
        """Whose limits lie between two values, ends included."""
        low, high = (before, after) if before <= after else (after, before)
        return self.limited[bisect_left(self.limits, low) : bisect_right(self.limits, high)]
