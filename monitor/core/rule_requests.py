"""What firing rules ask of the kill switch, how well confirmed, and when it is asked anew.

*Pure.*
"""

from __future__ import annotations

from functools import partial

from monitor.core.decision import ActionLevel, KillRequest
from monitor.core.killswitch.levels import CONFIRMATION_REQUIRED
from monitor.core.rule_asked import Asked
from monitor.core.rule_reading import RuleReader
from monitor.core.rule_sources import independent_sources
from monitor.core.rules import Step, scope_subject
from monitor.core.rules.checks import APART_NS_MIN
from monitor.core.state.model import RiskState
from monitor.core.types import SECOND_NS, EngineNs, Verdict

# What estimates, and missing data, may ask for at most.
MILD = frozenset({ActionLevel.PAGE, ActionLevel.HOLD})


class RuleRequests:
    """``made`` collects what one evaluation asks for."""

    def __init__(self, state: RiskState, reader: RuleReader) -> None:
        self._state = state
        self._reader = reader
        self.made: list[KillRequest] = []

    def ask(self, asked: Asked, result: Step, now: EngineNs) -> None:
        """Ask the kill switch; what rests on estimates or on absence may hold but not cut."""
        rule, memory = asked.rule, asked.memory
        level = rule.level
        memory.capped = level not in MILD and self.weak(asked, result, now)
        target = self._reader.read(asked, now, rule.gross_to_measure)
        observations_ns = max(result.observations_ns, memory.seen_ns, key=len)
        sources = independent_sources(
            rule,
            asked.inputs,
            result.state.flags,
            self._state,
            partial(self._reader.value, asked, now),
            now,
        )
        memory.confirmed = not memory.capped and (
            len(sources) > 1
            or max(observations_ns, default=0) - min(observations_ns, default=0) >= APART_NS_MIN
        )
        self.made.append(
            KillRequest(
                rule=rule.id,
                subject=memory.subject,
                scope=scope_subject(rule, memory.subject),
                level=ActionLevel.HOLD if memory.capped else level,
                mode=rule.mode,
                gross_to_ratio=None if memory.capped else rule.gross_to_ratio,
                firing_epoch_ns=result.state.firing_epoch_ns or 0,
                capped_by_estimate=memory.capped,
                rule_hash=rule.fingerprint,
                observations_ns=observations_ns,
                sources=sources,
                mode_max=rule.mode_max,
                because=rule.because,
                gross_to_usd=None if target is None or memory.capped else target.value,
                gross_to_measure=rule.gross_to_measure,
                over_s=0.0 if memory.capped else rule.over_ns / SECOND_NS,
                severity=rule.severity,
            ),
        )

    def look_again(self, asked: Asked, result: Step, now: EngineNs) -> None:
        """What fires and was not confirmed by its own observations or sources (it needed none, or a
        restart lies between) asks once more when it is seen again, far enough apart."""
        memory = asked.memory
        if not result.state.firing:
            memory.confirmed, memory.seen_ns = False, ()
            return
        if (
            memory.confirmed
            or memory.capped
            or asked.rule.level not in CONFIRMATION_REQUIRED
            or result.verdict is not Verdict.TRUE
            or result.estimated
            or result.by_absence
        ):
            return
        seen_ns = memory.seen_ns
        for at_ns in result.observations_ns:
            if not seen_ns or at_ns >= seen_ns[-1] + APART_NS_MIN:
                seen_ns = (*seen_ns, at_ns)
        if len(seen_ns) > max(len(memory.seen_ns), 1):
            memory.seen_ns = seen_ns
            self.ask(asked, result, now)
        memory.seen_ns = seen_ns

    def weak(self, asked: Asked, result: Step, now: EngineNs) -> bool:
        """Whether anything of what would be asked for is not known for certain: how much a cut is
        to leave is as much a part of it as its condition."""
        if result.estimated or result.by_absence:
            return True
        name = asked.rule.gross_to_measure
        target = self._reader.read(asked, now, name) if name else None
        return bool(name) and (target is None or target.estimated)
