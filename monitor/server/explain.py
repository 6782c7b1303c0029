"""``GET /v1/explain?rule=…&subject=…``: why a rule says what it says, so that it can be redone by
hand. Reads only; what is unknown carries its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from aiohttp import web

from monitor.core.decision import CitedReading, RuleMode
from monitor.core.engine import Engine
from monitor.core.measures.spec import Unit
from monitor.core.rule_view import Explanation, Input
from monitor.core.rules.checks import expressions_of
from monitor.core.rules.describe import action_text
from monitor.core.rules.rule import Rule, RuleState
from monitor.core.rules.words import cited, number
from monitor.core.state.model import RuleMemory
from monitor.core.types import SECOND_NS, AlertState, EngineNs, Subject, Verdict
from monitor.core.yamltext import nearest

PATH = "/v1/explain"
OTHERS_MAX = 20
ASKED_CHARS_MAX = 300
COMPARED_MAX = 60  # subjects of one rule, to find the worst among: each is explained
_ORDER = (AlertState.FIRING, AlertState.RECOVERING, AlertState.PENDING, AlertState.INACTIVE)
Json = dict[str, Any]


class Explainer:
    """Serves ``PATH`` from an engine."""

    def __init__(self, engine: Engine, now: Callable[[], EngineNs]) -> None:
        self._engine = engine
        self._now = now

    async def handle(self, request: web.Request) -> web.Response:
        """One question; 404 where there is no such rule or subject, with the nearest name."""
        words = {key: request.query.get(key, "")[:ASKED_CHARS_MAX] for key in ("rule", "subject")}
        document = explain_document(self._engine, words["rule"], words["subject"], self._now())
        return web.Response(
            body=orjson.dumps(document),
            content_type="application/json",
            status=404 if "error" in document else 200,
        )


def explain_document(engine: Engine, rule_id: str, about: str, now: EngineNs) -> Json:
    """The standing of a rule about a subject: the one that ``about`` names whole or in part, the
    worst one where it is empty. ``error`` says why there is none."""
    rule = engine.rulebook.get(rule_id)
    if rule is None:
        near = nearest(rule_id, [one.id for one in engine.rulebook.rules])
        hint = f" Did you mean {near!r}?" if near else " `riskd rules list` names them all."
        return {"error": f"There is no rule {rule_id!r} in the rulebook.{hint}"}
    asked = sorted((one for one in engine.rule_states() if one.rule == rule_id), key=_worst_first)
    if not asked:
        return {"error": f"{rule_id} is asked about nothing: no {rule.for_each.value} is known."}
    found = next((one for one in asked if one.subject == about), None) or next(
        (one for one in asked if about in one.subject), None
    )
    if not about and found is not None:
        found = _nearest_to_its_limit(engine, asked, now)
    seen = None if found is None else engine.explain(rule_id, found.subject, now)
    if found is None or seen is None:
        names = ", ".join(one.subject for one in asked[:5])
        return {"error": f"{rule_id} is not asked about {about!r}. It is about: {names}."}
    return {
        "rule": _rule(rule),
        "subject": seen.subject,
        "state": _state(seen.state, now),
        "verdict": seen.step.verdict.value,
        "by_absence": seen.step.by_absence,
        "conditions": list(_conditions(seen)),
        "flags": list(_flags(seen, now)),
        "inputs": [_input(one, now) for one in seen.inputs],
        "action": action_text(
            rule,
            seen.subject,
            seen.state,
            RuleMode.ACT if engine.settings.acting else RuleMode.OBSERVE,
            target=next(
                (one.reading for one in seen.inputs if one.variable == rule.gross_to_measure), None
            ),
        ),
        "others": [
            {"subject": one.subject, "state": one.state.state.value, "unknown": _unknown(one)}
            for one in asked
            if one.subject != seen.subject
        ][:OTHERS_MAX],
        "subjects": len(asked),
        "at_ms": now // 1_000_000,
    }


def _worst_first(memory: RuleMemory) -> tuple[int, bool, Subject]:
    return (_ORDER.index(memory.state.state), not _unknown(memory), memory.subject)


def _nearest_to_its_limit(engine: Engine, asked: list[RuleMemory], now: EngineNs) -> RuleMemory:
    """Of those that stand as badly as the first, the one whose numbers are nearest to a limit."""
    first = _worst_first(asked[0])[:2]
    alike = [one for one in asked[:COMPARED_MAX] if _worst_first(one)[:2] == first]
    return max(alike, key=lambda one: _strain(engine, one, now)) if len(alike) > 1 else asked[0]


def _strain(engine: Engine, memory: RuleMemory, now: EngineNs) -> float:
    """How much of a limit of its conditions is used, 1 at the limit; 0 where nothing is known."""
    seen = engine.explain(memory.rule, memory.subject, now, workings=False)
    if seen is None:
        return 0.0
    values = {one.variable: one.reading.value for one in seen.inputs}
    used = [0.0]
    for where, expression in expressions_of(seen.rule):
        if where in {"until", "reentry"}:
            continue
        for one in expression.comparisons:
            value = values.get(one.name)
            if value is None or value * one.limit <= 0.0 or one.name.startswith("firing__"):
                continue
            share = abs(value / one.limit)
            upward = (one.op in {">", ">="}) == (one.limit > 0.0)
            used.append(share if upward else 1.0 / share)
    return max(used)


def _unknown(memory: RuleMemory) -> bool:
    return memory.state.unknown_since_ns is not None


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / SECOND_NS, 3)


def _age(since_ns: EngineNs | None, now: EngineNs) -> float | None:
    return None if since_ns is None else _seconds(max(0, now - since_ns))


def _rule(rule: Rule) -> Json:
    confirm = rule.confirm
    return {
        "id": rule.id,
        "summary": rule.summary,
        "help": rule.help,
        "severity": rule.severity.value,
        "level": rule.level.value,
        "gross_to": rule.gross_to_ratio,
        "target": rule.target,
        "scope": rule.scope.value,
        "mode": rule.mode.value,
        "for_s": _seconds(rule.for_ns),
        "within_s": _seconds(rule.within_ns),
        "at_least": rule.at_least,
        "keep_firing_for_s": _seconds(rule.keep_firing_for_ns),
        "max_staleness_s": _seconds(rule.max_staleness_ns),
        "confirm": None
        if confirm is None
        else {"need": confirm.need, "of": confirm.of, "apart_s": _seconds(confirm.apart_ns)},
        "where": rule.where,
        "runbook": rule.runbook,
    }


def _state(state: RuleState, now: EngineNs) -> Json:
    return {
        "state": state.state.value,
        "since_s": _age(state.since_ns, now),
        "pending_s": _age(state.pending_since_ns, now),
        "firing_s": _age(state.firing_epoch_ns, now),
        "recovering_s": _age(state.recovering_since_ns, now),
        "unknown_s": _age(state.unknown_since_ns, now),
        "confirmed": state.confirmations.outcomes.count(True),
        "reentry_pending": state.reentry_pending,
        "error": state.error,
    }


def _conditions(seen: Explanation) -> Iterator[Json]:
    """Each condition with its verdict and its comparisons, number against limit."""
    readings = {one.variable: one.reading for one in seen.inputs}
    values = {name: reading.value for name, reading in readings.items()}
    for where, expression in expressions_of(seen.rule):
        yield {
            "field": where,
            "text": expression.text,
            "verdict": expression.evaluate(values.get).value,
            "comparisons": [
                {
                    "name": one.name,
                    "value": _number(readings[one.name]),
                    "op": one.op,
                    "limit": f"{one.limit:.10g}",
                    "verdict": _verdict(readings[one.name], one.holds).value,
                }
                for one in expression.comparisons
            ],
        }


def _verdict(reading: CitedReading, holds: Callable[[float], bool]) -> Verdict:
    if reading.value is None:
        return Verdict.UNKNOWN
    return Verdict.TRUE if holds(reading.value) else Verdict.FALSE


def _number(reading: CitedReading) -> str:
    """The bare number, as it is compared: eight digits, a tilde for an estimate."""
    if reading.value is None:
        return "unknown"
    return f"{'~' if reading.estimated else ''}{reading.value:.8g}"


def _shown(reading: CitedReading) -> str:
    """As on a page, with every line of the measure's own text."""
    if reading.unit == Unit.BOOL:
        return reading.text or cited(reading)
    return "\n".join((cited(reading), *reading.text.splitlines()[1:]))


def _flags(seen: Explanation, now: EngineNs) -> Iterator[Json]:
    for flag in seen.step.state.flags:
        yield {
            "name": flag.name,
            "verdict": flag.verdict.value,
            "counts": flag.counted(seen.rule.within_ns, now).value,
            "since_s": _age(flag.since_ns, now),
        }


def _input(one: Input, now: EngineNs) -> Json:
    reading = one.reading
    return {
        "name": one.variable,
        "measure": reading.measure,
        "subject": reading.subject,
        "value": reading.value,
        "number": _number(reading),
        "shown": _shown(reading),
        "unit": reading.unit,
        "age_s": _age(reading.as_of_ns, now),
        "estimated": reading.estimated,
        "reason": reading.reason,
        "help": one.help,
        "parts": [
            {
                "measure": part.measure,
                "value": part.value,
                "shown": number(part.value, part.unit, part.words),
                "reason": part.reason if part.value is None else "",
            }
            for part in one.parts
        ],
        "arithmetic": list(one.arithmetic),
    }
