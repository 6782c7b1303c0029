"""One rule about one subject as it stands now: inputs, verdicts, flags and timers, for people.

Reading only: nothing here moves a rule or computes a measure that is kept. *Pure.*
"""

from __future__ import annotations

from functools import partial

import msgspec

from monitor.core.decision import CitedReading
from monitor.core.measures.definition import Definition, Relation
from monitor.core.measures.instance import Instance
from monitor.core.measures.looking import Lookout, reading_of
from monitor.core.measures.spec import Reading
from monitor.core.rule_asked import Asked
from monitor.core.rule_reading import cited
from monitor.core.rules import Rule, RuleState, Step, step
from monitor.core.rules.checks import expressions_of
from monitor.core.state.model import Cell, RiskState
from monitor.core.types import EngineNs, Subject


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A number that an input was made from, about the same subject; None is absent."""

    measure: str
    value: float | None
    unit: str
    words: tuple[str, ...] = ()
    reason: str = ""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One input as it was read, how the measure says it is made, and what it was made from;
    ``arithmetic`` are the steps from those to the value, a line each."""

    variable: str
    reading: CitedReading
    help: str = ""
    parts: tuple[Part, ...] = ()
    arithmetic: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would conclude if it were asked now; ``step`` is not taken."""

    rule: Rule
    subject: Subject
    state: RuleState
    step: Step
    inputs: tuple[Input, ...]
    at_ns: EngineNs


def explain(
    asked: Asked, lookout: Lookout, state: RiskState, now: EngineNs, *, workings: bool = True
) -> Explanation:
    """The present standing of a rule about a subject. What is absent carries its reason. The steps
    to each number cost more than the numbers: without ``workings`` there are none."""
    names = sorted({name for _, one in expressions_of(asked.rule) for name in one.variables})
    if asked.rule.gross_to_measure:
        names.append(asked.rule.gross_to_measure)
    return Explanation(
        rule=asked.rule,
        subject=asked.node.subject,
        state=asked.memory.state,
        step=step(asked.rule, asked.memory.state, partial(_reading, asked, lookout, now), now),
        inputs=tuple(
            Input(
                variable=name,
                reading=_cited(name, asked, lookout, state, now),
                help=_help(asked.inputs.get(name)),
                parts=_parts(asked.inputs.get(name), lookout, now),
                arithmetic=_arithmetic(asked.inputs.get(name), lookout, now) if workings else (),
            )
            for name in names
        ),
        at_ns=now,
    )


def _cell(lookout: Lookout, now: EngineNs, instance: Instance) -> Cell:
    cell = lookout.cell(instance.definition.name, instance.node, now)
    if cell.value is not None and cell.expires_ns <= now:
        return Cell(reason=f"{instance.definition.name} is too old", computed_ns=now)
    return cell


def _reading(asked: Asked, lookout: Lookout, now: EngineNs, name: str) -> Reading | None:
    instance = asked.inputs.get(name)
    return None if instance is None else reading_of(_cell(lookout, now, instance))


def _cited(
    name: str, asked: Asked, lookout: Lookout, state: RiskState, now: EngineNs
) -> CitedReading:
    instance = asked.inputs.get(name)
    cell = None if instance is None else _cell(lookout, now, instance)
    return cited(asked, name, cell, state, now)


def _help(instance: Instance | None) -> str:
    return "" if instance is None else instance.definition.spec.help


def _arithmetic(instance: Instance | None, lookout: Lookout, now: EngineNs) -> tuple[str, ...]:
    judged = None if instance is None else _cell(lookout, now, instance)
    if instance is None or judged is None or judged.value is None:
        return ()
    return lookout.arithmetic(instance, judged, now)


def _parts(instance: Instance | None, lookout: Lookout, now: EngineNs) -> tuple[Part, ...]:
    """Measures of the same subject that the input reads or names as its parts; those of others are
    that subject's own."""
    if instance is None:
        return ()
    definition: Definition = instance.definition
    found = []
    own = [name for relation, name in definition.needs if relation is Relation.SELF]
    for name in (*own, *definition.made_of):
        if not lookout.exists(name, instance.node.kind):
            continue
        cell = lookout.cell(name, instance.node, now)
        spec = lookout.spec(name, instance.node.kind)
        found.append(
            Part(
                measure=name,
                value=cell.value,
                unit=spec.unit.value,
                words=spec.words,
                reason=cell.reason,
            )
        )
    return tuple(found)
