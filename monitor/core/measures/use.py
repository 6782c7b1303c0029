"""The pen of a measure: reads inputs and keeps account of how fresh they were.

One ``Use`` serves every computation in turn. A fact is as fresh as the newer of its arrival and the
progress of the channel it came over, while that channel is open and had no gap since. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from monitor.core.settings import EngineSettings
from monitor.core.state.facts import Channel, Fact
from monitor.core.state.model import Cell, Freshness, RiskState
from monitor.core.types import SECOND_NS, EngineNs

if TYPE_CHECKING:
    from monitor.core.measures.tree import Node

FOREVER_NS = 1 << 62
# How often something that is too old is looked at again while its channel is still open: its
# heartbeats may come back, and they dirty nothing.
RETRY_NS = SECOND_NS

Peek = Callable[["Node", str, EngineNs], Cell]


class Use:
    """Reads facts and other measures for one computation, folding their freshness.

    ``as_of`` is the oldest input's freshness, ``expires`` when the first becomes too old,
    ``observed`` when the oldest was last told, ``wake`` when to compute again although nothing is
    told, ``reason`` why the value is absent.
    """

    __slots__ = (
        "as_of",
        "channels",
        "estimated",
        "expires",
        "now",
        "observed",
        "peek",
        "reason",
        "settings",
        "sides",
        "state",
        "wake",
    )

    def __init__(self, state: RiskState, settings: EngineSettings, peek: Peek) -> None:
        self.state = state
        self.settings = settings
        self.channels: dict[str, Channel] = state.channels
        self.peek = peek
        # Two more pens for a computation whose results age apart.
        self.sides: tuple[Use, Use] = (self, self)
        self.reason = ""
        self.begin(0)

    def begin(self, now: EngineNs) -> None:
        """Forget the last computation."""
        self.now = self.as_of = self.observed = now
        self.expires = self.wake = FOREVER_NS
        self.estimated = False

    def with_sides(self) -> Use:
        """This pen, with two of its own kind beside it."""
        self.sides = (
            Use(self.state, self.settings, self.peek),
            Use(self.state, self.settings, self.peek),
        )
        return self

    def absent(self, reason: str) -> None:
        """Say why there is no value."""
        self.reason = reason

    def fresh(self, fact: Fact, limit: int, what: str) -> bool:
        """Fold in the fact's freshness; False, with the reason kept, where it is too old.

        ``limit`` is the first age that is too old, nanoseconds (``settings.limit_ns``).
        """
        seen = known = fact.seen_ns
        if not seen:
            self.reason = f"{what} was never told"
            return False
        channel = self.channels.get(fact.channel)
        if channel is not None:
            if channel.generation != fact.generation:
                self.reason = f"{what} needs a new message after a gap"
                return False
            if channel.open and channel.progress_ns > seen >= channel.opened_ns:
                known = channel.progress_ns
        expires = known + limit
        if expires <= self.now:
            self.reason = f"{what} is too old"
            if channel is not None and channel.open:
                self.retry()
            return False
        self.as_of = min(self.as_of, known)
        self.expires = min(self.expires, expires)
        self.observed = min(self.observed, seen)
        return True

    def retry(self) -> None:
        """Look again soon: what is missing may come back without a message about it."""
        self.wake_at(self.now + RETRY_NS)

    def wake_at(self, at_ns: EngineNs) -> None:
        """Compute again at ``at_ns`` at the latest."""
        self.wake = min(self.wake, at_ns)

    def read(self, node: Node, name: str) -> float | None:
        """Another measure's value with its freshness folded in; None keeps its reason."""
        instance = node.instances.get(name)
        cell = instance.cell if instance is not None else self.peek(node, name, self.now)
        value = cell.value
        if value is None:
            self.reason = f"{name} of {node.subject}: {cell.reason}"
            return None
        if cell.expires_ns <= self.now:
            self.reason = f"{name} of {node.subject} is too old"
            return None
        self.as_of = min(self.as_of, cell.as_of_ns)
        self.expires = min(self.expires, cell.expires_ns)
        self.observed = min(self.observed, cell.observed_ns)
        if cell.estimated:
            self.estimated = True
        return value

    def join(self, freshness: Freshness) -> bool:
        """Fold in a group that was read elsewhere; False where it is absent or too old by now."""
        if freshness.reason:
            self.reason = freshness.reason
            return False
        if freshness.expires_ns <= self.now:
            self.reason = "the positions' prices are too old"
            return False
        self.as_of = min(self.as_of, freshness.as_of_ns)
        self.expires = min(self.expires, freshness.expires_ns)
        self.observed = min(self.observed, freshness.observed_ns)
        self.estimated = self.estimated or freshness.estimated
        return True

    def freshness(self, reason: str = "") -> Freshness:
        """What was folded since ``begin``, to be kept; with a ``reason`` it counts as absent."""
        return Freshness(self.as_of, self.expires, self.observed, self.estimated, reason)
