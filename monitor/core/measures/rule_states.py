"""What rules say of each other: that one fires, about which subjects and since when.

A rule about an asset may ask whether another fires about something of that asset: ``rules@asset``.
*Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.measures.tree import Node, RuleNode
from monitor.core.measures.use import Use
from monitor.core.state.model import RiskState, RuleMemory
from monitor.core.types import SECOND_NS, EngineNs, Subject, SubjectKind, Verdict

HERE = "rule_firing_here"
NAMED_MAX = 3
# A flag that was true so long ago says nothing any more.
_LATELY_NS = 3600 * SECOND_NS
_IN_MARKETS = frozenset({SubjectKind.POSITION, SubjectKind.MARKET})


def asset_of(state: RiskState, subject: Subject) -> str:
    """The asset that a subject is, or is a market or a position of; empty where it is none, or its
    market is not listed yet."""
    kind, _, text = subject.partition(":")
    if kind == SubjectKind.ASSET:
        return text
    if kind not in _IN_MARKETS:
        return ""
    parts = text.split("/", 2 if kind == SubjectKind.POSITION else 1)
    venue = state.venues.get(parts[0])
    market = None if venue is None else venue.markets.get(parts[-1])
    return "" if market is None else market.asset


def firing_of(state: RiskState, node: RuleNode) -> Iterator[RuleMemory]:
    """The node's rules about each subject that they fire about; of one about an asset those alone
    that fire about something of it."""
    for memory in state.rules.values():
        if (
            memory.rule in node.rules
            and memory.state.firing
            and (not node.asset or asset_of(state, memory.subject) == node.asset)
        ):
            yield memory


def compute_firing(node: RuleNode, _use: Use) -> float:
    """1 while it fires, as kept by whoever steps the rules."""
    return 1.0 if node.firing else 0.0


def say_firing(node: Node, state: RiskState, now: EngineNs) -> str:
    """``book_thin about hyperliquid/main/BTC for 7 min``, the longest first; of a rule with flags,
    how long each has been true. Empty while none fires."""
    if not isinstance(node, RuleNode):
        return ""
    found = sorted(
        firing_of(state, node), key=lambda one: (one.state.firing_epoch_ns or 0, one.subject)
    )
    said = [_said(one, now) for one in found[:NAMED_MAX]]
    if len(found) > NAMED_MAX:
        said.append(f"{len(found) - NAMED_MAX} more")
    return ", ".join(said)


def _said(memory: RuleMemory, now: EngineNs) -> str:
    state = memory.state
    about = memory.subject.partition(":")[2] or "the book"
    since = _minutes(now - (now if state.firing_epoch_ns is None else state.firing_epoch_ns))
    flags = []
    for flag in state.flags:
        if flag.verdict is Verdict.TRUE:
            flags.append(f"{flag.name} true for {_minutes(now - flag.since_ns)}")
        elif flag.true_until_ns is not None and now - flag.true_until_ns < _LATELY_NS:
            flags.append(f"{flag.name} true until {_minutes(now - flag.true_until_ns)} ago")
    told = f" ({', '.join(flags)})" if flags else ""
    return f"{memory.rule} about {about} for {since}{told}"


def _minutes(span_ns: int) -> str:
    return f"{max(span_ns, 0) // (60 * SECOND_NS)} min"
