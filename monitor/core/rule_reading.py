"""What a rule reads of the measures it names, how well it is known, and how people are told it.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from monitor.core.decision import CitedReading
from monitor.core.measures.evaluator import Evaluator
from monitor.core.measures.feeds import VENUES, venue_of_subject
from monitor.core.measures.looking import reading_of
from monitor.core.measures.rule_states import HERE
from monitor.core.measures.spec import Reading
from monitor.core.rule_asked import Asked, is_within, judged_alike, rests_on_known, rule_observed_ns
from monitor.core.rule_firing import FIRES, FiringRules
from monitor.core.rules.checks import rule_input
from monitor.core.state.model import Cell, RiskState
from monitor.core.types import AlertState, EngineNs


class RuleReader:
    """Readings for rules, brought up to ``now`` when they are asked for.

    ``stale`` is set by a reading that is older than its rule allows; who asks the rule clears it.
    """

    def __init__(
        self,
        state: RiskState,
        evaluator: Evaluator,
        asked: Mapping[str, Asked],
        firing: FiringRules,
    ) -> None:
        """``asked`` are all rules about all subjects, as they stand at each reading."""
        self._state = state
        self._evaluator = evaluator
        self._asked = asked
        self._firing = firing
        self.stale = False

    def value(self, asked: Asked, now: EngineNs, name: str) -> float | None:
        """A variable's value for a rule at ``now``; None where it is absent or too old for it."""
        instance = asked.inputs.get(name)
        if instance is None:
            return None
        cell = instance.cell
        if cell.computed_ns != now:
            self._evaluator.refresh(instance, now)
        if cell.expires_ns <= now or now - cell.as_of_ns > asked.staleness_ns:
            return None
        return cell.value

    def read(self, asked: Asked, now: EngineNs, name: str) -> Reading | None:
        """The same with how well it is known; ``stale`` is set where it is older than the rule
        allows, which heartbeats may still prove fresh. What is read of other rules is no better
        known than what they rest on."""
        instance = asked.inputs.get(name)
        if instance is None:
            return None
        self._evaluator.refresh(instance, now)
        cell = instance.cell
        if cell.value is None or cell.expires_ns <= now:
            return None
        if now - cell.as_of_ns > asked.staleness_ns:
            self.stale = True
        reading = reading_of(cell)
        other = rule_input(name)
        if reading is None or other is None or not any(map(self._firing.counts.get, other.rules)):
            return reading
        if other.measure == HERE and reading.value == 0.0:  # it fires about other assets alone
            return reading
        observed_ns = rule_observed_ns(instance, self._asked.values(), self._evaluator, now)
        # What one rule reads of another is no better known than what that other one rests on.
        stale = self.stale
        counted = FIRES if other.measure != VENUES else {AlertState.FIRING}
        known = {
            venue_of_subject(one.node.subject)
            for one in list(self._asked.values())
            if one.rule.id in other.rules
            and one.memory.state.state in counted
            and is_within(one.node, instance.node)
            and rests_on_known(one, partial(self.read, one, now), now)
        }
        self.stale = stale
        # That it fires is known by one of them, on how many venues by as many: by fewer, where they
        # alone decide, whatever the others would say.
        value, weak = reading.value, not known
        if other.measure == VENUES:
            weak = len(known) < value
            if weak and judged_alike(asked.rule, name, float(len(known)), value):
                value, weak = float(len(known)), False
        return replace(reading, value=value, observed_ns=observed_ns, estimated=weak)

    def cite(self, asked: Asked, now: EngineNs, name: str) -> CitedReading:
        """The same for people: whose it is, in which unit, and why it is absent."""
        instance = asked.inputs.get(name)
        if instance is not None:
            self._evaluator.refresh(instance, now)
        return cited(asked, name, None if instance is None else instance.cell, self._state, now)


def cited(
    asked: Asked, name: str, cell: Cell | None, state: RiskState, now: EngineNs
) -> CitedReading:
    """A variable of a rule as people are told it.

    Args:
        asked: The rule about its subject.
        name: The variable.
        cell: What its measure says; None where there is no such measure here.
        state: For the measure's own words.
        now: Engine time; what expired before it is absent.
    """
    other = rule_input(name)
    measure = name if other is None else other.measure
    instance = asked.inputs.get(name)
    if instance is None or cell is None:
        return CitedReading(
            measure=measure,
            subject=asked.node.subject,
            value=None,
            unit="",
            as_of_ns=None,
            reason="there is no such measure here",
        )
    known = cell.value is not None and cell.expires_ns > now
    spec, detail = instance.definition.spec, instance.definition.detail
    return CitedReading(
        measure=measure,
        subject=instance.node.subject,
        value=cell.value if known else None,
        unit=spec.unit.value,
        as_of_ns=cell.as_of_ns if known else None,
        estimated=cell.estimated and known,
        reason="" if known else cell.reason,
        words=spec.words,
        text=detail(instance.node, state, now) if known and detail is not None else "",
    )
