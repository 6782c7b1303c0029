"""Whether a news flag is up: set by a person, a file or a signed message, fallen by itself.

*Pure.*
"""

from __future__ import annotations

from monitor.core.events import NewsFlag
from monitor.core.measures.definition import Definition, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import Node
from monitor.core.measures.use import Use
from monitor.core.state.model import RiskState
from monitor.core.state.news import NEWS_BIT, concerns, flags_of
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, SubjectKind

# What is held decides which flags concern the book; while some are up, that is looked at again.
MINUTE_NS = 60 * SECOND_NS
_KINDS = (SubjectKind.PORTFOLIO, SubjectKind.ASSET, SubjectKind.VENUE)


def _flag(node: Node, use: Use) -> float:
    """1 while a flag that concerns the subject is up. Without any it is known to be 0."""
    up: list[EngineNs] = []
    for flag in flags_of(use.state):
        if flag.expires_at_ns <= use.now:
            continue
        if node.subject == PORTFOLIO and flag.scope != PORTFOLIO:
            use.wake_at(use.now + MINUTE_NS)
        use.wake_at(flag.begins_at_ns if flag.begins_at_ns > use.now else flag.expires_at_ns)
        if _is_up(flag, node, use.state, use.now):
            up.append(flag.begins_at_ns)
    if not up:
        return 0.0
    use.observed = max(up)  # a flag is one observation, however often it is looked at
    return 1.0


def _own_flag(node: Node, use: Use) -> float:
    """1 while a flag about the subject itself is up; one of the whole book names no asset."""
    up = 0.0
    for flag in flags_of(use.state):
        if flag.scope == node.subject and flag.expires_at_ns > use.now:
            use.wake_at(flag.begins_at_ns if flag.begins_at_ns > use.now else flag.expires_at_ns)
            if flag.begins_at_ns <= use.now:
                up, use.observed = 1.0, flag.begins_at_ns
    return up


def _is_up(flag: NewsFlag, node: Node, state: RiskState, now: EngineNs) -> bool:
    return flag.begins_at_ns <= now < flag.expires_at_ns and concerns(flag, node.subject, state)


def _which(node: Node, state: RiskState, now: EngineNs) -> str:
    """``cpi (scheduled, 42 min left)``, each that is up."""
    up = [flag for flag in flags_of(state) if _is_up(flag, node, state, now)]
    named = [
        f"{flag.name} ({flag.reason or flag.scope}, "
        f"{max(1, round((flag.expires_at_ns - now) / MINUTE_NS))} min left)"
        for flag in up
    ]
    return f"news flag: {', '.join(named)}" if named else ""


_SPEC = MeasureSpec(
    name="news_flag",
    kinds=_KINDS,
    unit=Unit.BOOL,
    help="1 while news is due or out about it (macro, unlock, upgrade), until the flag expires.",
    low=0.0,
    high=1.0,
    words=("news flag", "no news flag"),
)
DEFINITIONS: tuple[Definition, ...] = (
    *(define(_SPEC, kind, _flag, bits=NEWS_BIT, detail=_which) for kind in _KINDS),
    define(
        MeasureSpec(
            name="news_flag_own",
            kinds=(SubjectKind.ASSET,),
            unit=Unit.BOOL,
            help="1 while news is due or out about this asset alone, not about all of them.",
            low=0.0,
            high=1.0,
            words=("news flag", "no news flag"),
        ),
        SubjectKind.ASSET,
        _own_flag,
        bits=NEWS_BIT,
        detail=_which,
    ),
)
