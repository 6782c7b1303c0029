"""The pen of a measure: reads inputs and keeps account of how fresh they were.

One ``Use`` serves every computation in turn. A fact is as fresh as the newer of its arrival and the
progress of the channel it came over, while that channel is open and had no gap since. *Pure.*
"""

# ruff: noqa: FURB136 - min() is a call, and every computation comes through here many times

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from monitor.core.decision import ComputationRequest
from monitor.core.settings import EngineSettings
from monitor.core.state.facts import PRESENT, Channel, ComputedFact, Fact, Lack, Why
from monitor.core.state.model import Cell, Freshness, RiskState
from monitor.core.types import SECOND_NS, EngineNs

if TYPE_CHECKING:
    from monitor.core.measures.tree import Node

FOREVER_NS = 1 << 62
# How the reason begins where nobody who is watched could ever tell: not blindness, a choice of what
# to watch.
NO_SOURCE = "no source: "
# How often something that is too old is looked at again while its channel is still open: its
# heartbeats may come back, and they dirty nothing.
RETRY_NS = SECOND_NS

Peek = Callable[["Node", str, EngineNs], Cell]


def known_ns(fact: Fact, channel: Channel | None) -> EngineNs:
    """How fresh a fact is: the newer of its arrival and the progress of its channel, while that is
    open and heard everything since. 0 where it was never told or a gap lies between."""
    seen = fact.seen_ns
    if channel is None:
        return seen
    if channel.generation != fact.generation:
        return 0
    if channel.open and channel.progress_ns > seen >= channel.opened_ns:
        return channel.progress_ns
    return seen


class Use:
    """Reads facts and other measures for one computation, folding their freshness.

    ``as_of`` is the oldest input's freshness, ``expires`` when the first becomes too old,
    ``observed`` when the oldest was last told, ``wake`` when to compute again although nothing is
    told, ``why`` the value is absent.
    """

    __slots__ = (
        "as_of",
        "channels",
        "estimated",
        "expires",
        "now",
        "observed",
        "peek",
        "requests",
        "settings",
        "sides",
        "state",
        "wake",
        "why",
    )

    def __init__(self, state: RiskState, settings: EngineSettings, peek: Peek) -> None:
        self.state = state
        self.settings = settings
        self.channels: dict[str, Channel] = state.channels
        self.peek = peek
        # Two more pens for a computation whose results age apart.
        self.sides: tuple[Use, Use] = (self, self)
        self.why = PRESENT
        # Where heavy computations are asked for; None for one who only looks and changes nothing.
        self.requests: list[ComputationRequest] | None = None
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

    def absent(self, reason: str, lack: Lack = Lack.MISSING) -> None:
        """Say why there is no value, and of which kind its absence is."""
        self.why = Why(reason, lack)

    def say(self, name: str, node: Node, words: str) -> None:
        """Keep what is to be told beside the value of a measure that is being computed; whoever
        only looks keeps nothing."""
        if self.requests is not None:
            self.state.words[f"{name}|{node.subject}"] = words

    @property
    def reason(self) -> str:
        """What was last said of an absence, in words."""
        return self.why.reason

    def fresh(self, fact: Fact, limit: int, what: str) -> bool:
        """Fold in the fact's freshness; False, with the reason kept, where it is too old.

        ``limit`` is the first age that is too old, nanoseconds (``settings.limit_ns``).
        """
        seen = fact.seen_ns
        if not seen:
            self.absent(f"{what} was never told")
            return False
        channel = self.channels.get(fact.channel)
        known = seen
        if channel is not None:  # as ``known_ns``, by hand: every computation comes through here
            if channel.generation != fact.generation:
                self.absent(f"{what} needs a new message after a gap")
                return False
            if channel.open and channel.progress_ns > seen >= channel.opened_ns:
                known = channel.progress_ns
        expires = known + limit
        if expires <= self.now:
            self.absent(f"{what} is too old")
            if channel is not None and channel.open:
                self.retry()
            return False
        self.as_of = known if known < self.as_of else self.as_of
        self.expires = expires if expires < self.expires else self.expires
        self.observed = seen if seen < self.observed else self.observed
        return True

    def request(self, node: Node, name: str, inputs: bytes, every_ns: int) -> None:
        """Have heavy measure ``name`` computed off the loop from ``inputs`` as of the inputs folded
        so far, at once where they differ from those last handed out, else ``every_ns``."""
        if self.requests is None:
            return
        known = self.state.computed.get(f"{name}|{node.subject}")
        if known is None:
            known = self.state.computed[f"{name}|{node.subject}"] = ComputedFact()
        due = known.asked_ns + every_ns
        if not known.asked_ns or inputs != known.asked or self.now >= due:
            known.asked, known.asked_ns = inputs, self.now
            due = self.now + every_ns
            self.requests.append(
                ComputationRequest(
                    measure=name, subject=node.subject, as_of_ns=self.as_of, inputs=inputs
                ),
            )
        self.wake_at(due)

    def answer(self, node: Node, name: str, limit: int) -> float | None:
        """What heavy measure ``name`` was last computed to be, as of the inputs it was computed
        from; None where nothing came back yet, it failed, or those are ``limit`` old or older."""
        known = self.state.computed.get(f"{name}|{node.subject}")
        if known is None or not known.seen_ns:
            self.absent(f"{name} was not computed yet")
            return None
        if known.value is None or known.error:
            self.absent(f"{name} could not be computed: {known.error or 'no value'}"[:300])
            return None
        expires = known.as_of_ns + limit
        if expires <= self.now:
            self.absent(f"{name} was computed too long ago")
            return None
        self.as_of = min(self.as_of, known.as_of_ns)
        self.expires = min(self.expires, expires)
        self.observed = min(self.observed, known.seen_ns)
        return known.value

    def retry(self) -> None:
        """Look again soon: what is missing may come back without a message about it."""
        self.wake_at(self.now + RETRY_NS)

    def wake_at(self, at_ns: EngineNs) -> None:
        """Compute again at ``at_ns`` at the latest."""
        self.wake = min(self.wake, at_ns)

    def read(self, node: Node, name: str) -> float | None:
        """Another measure's value with its freshness folded in; None keeps its reason."""
        instance = node.instances.get(name)
        cell = (
            self.peek(node, name, self.now)
            if instance is None or (instance.lazy and instance.cell.computed_ns != self.now)
            else instance.cell
        )
        value = cell.value
        if value is None:
            self.absent(f"{name} of {node.subject}: {cell.reason}", cell.lack)
            return None
        if cell.expires_ns <= self.now:
            # Who reads what it did not say that it needs may come first, and is told of nothing.
            self.retry()
            self.absent(f"{name} of {node.subject} is too old")
            return None
        self.as_of = cell.as_of_ns if cell.as_of_ns < self.as_of else self.as_of
        self.expires = cell.expires_ns if cell.expires_ns < self.expires else self.expires
        self.observed = cell.observed_ns if cell.observed_ns < self.observed else self.observed
        if cell.estimated:
            self.estimated = True
        return value

    def join(self, freshness: Freshness) -> bool:
        """Fold in a group that was read elsewhere; False where it is absent or too old by now."""
        if freshness.reason:
            self.absent(freshness.reason, freshness.lack)
            return False
        if freshness.expires_ns <= self.now:
            self.absent("the positions' prices are too old")
            return False
        self.as_of = freshness.as_of_ns if freshness.as_of_ns < self.as_of else self.as_of
        self.expires = freshness.expires_ns if freshness.expires_ns < self.expires else self.expires
        self.observed = (
            freshness.observed_ns if freshness.observed_ns < self.observed else self.observed
        )
        self.estimated = self.estimated or freshness.estimated
        return True

    def freshness(self, why: Why = PRESENT) -> Freshness:
        """What was folded since ``begin``, to be kept; with a reason it counts as absent."""
        return Freshness(self.as_of, self.expires, self.observed, self.estimated, *why)
