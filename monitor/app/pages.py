"""What happens to a decision beside being paged: it is logged, and what would have been done is
remembered for the console. Keeping and telling is ``notify.pager``'s.
"""

from __future__ import annotations

from collections import deque

import msgspec
import structlog

from monitor.core.decision import Decision, KillRequest, RuleMode
from monitor.core.engine import Engine
from monitor.core.ports import Clock, Phase
from monitor.core.rules.words import request_text
from monitor.core.types import SECOND_NS, EngineNs

WOULD_HAVE_MAX = 50
WATCHING = "watching"  # a memory without content: the time of its row is what counts
# A sixth of the gap that a restart may have without a timer starting anew.
WATCHING_PERIOD_NS = 10 * SECOND_NS


class WouldHave(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would have done, had riskd been armed."""

    at_ns: EngineNs
    rule: str
    scope: str
    level: str
    text: str


class DecisionLog:
    """A ``DecisionListener``: log lines for changes, and the list of what was not done."""

    def __init__(self, *, acting: bool = False) -> None:
        """``acting`` is False in ``observe``, where whatever a rule asks for is not done."""
        self._acting = acting
        self.would_have: deque[WouldHave] = deque(maxlen=WOULD_HAVE_MAX)
        self._log = structlog.get_logger("decisions")

    def decided(self, decision: Decision) -> None:
        """Log what changed; never blocks."""
        for change in decision.transitions:
            self._log.info(
                "alert_changed",
                rule=change.rule,
                subject=change.subject,
                before=change.before.value,
                after=change.after.value,
                severity=change.severity.value,
                summary=change.summary,
            )
        for health in decision.health:
            state = "rule_failing" if health.error else "rule_healed"
            self._log.warning(state, rule=health.rule, subject=health.subject, error=health.error)
        for check in decision.cross_checks:
            self._log.warning(
                "cross_check_differs",
                subject=check.subject,
                field=check.field,
                stream=check.stream,
                truth=check.truth,
            )
        for error in decision.measure_errors:
            self._log.error("measure_failed", reason=error)
        for request in decision.kill_requests:
            self._record(request, decision.at_ns)

    def _record(self, request: KillRequest, now: EngineNs) -> None:
        if self._acting and request.mode is not RuleMode.OBSERVE:
            return  # the kill switch's own audit says what becomes of it
        text = f"WOULD HAVE {request_text(request)}, by {request.rule}"
        self._log.warning("would_have_acted", what=text, mode=request.mode.value)
        self.would_have.append(
            WouldHave(
                at_ns=now,
                rule=request.rule,
                scope=request.scope,
                level=request.level.value,
                text=text,
            )
        )


class EngineKeeper:
    """Gives the pager what the engine wants kept: only what changed since it was last asked, and
    now and then that it was watching. Without that a restart would take the time since the last
    change of any rule, hours on a quiet day, for time in which nobody watched, and start every
    timer anew."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._memories: dict[str, bytes] = {}
        self._watched_ns: EngineNs = 0

    def __call__(self) -> Phase:
        """Changed rule states and memories, for one transaction."""
        now = self._clock.now()
        states, gone = self._engine.take_rule_rows()
        news = tuple(
            (name, packed)
            for name, packed in self._engine.memories()
            if self._memories.get(name) != packed
        )
        self._memories.update(news)
        if now - self._watched_ns >= WATCHING_PERIOD_NS:
            self._watched_ns = now
            news = (*news, (WATCHING, b""))
        return Phase(at_ns=now, rule_states=states, rule_states_gone=gone, memories=news)
