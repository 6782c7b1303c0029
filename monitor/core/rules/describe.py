"""Words for people: what a rule saw, against which limit, and what riskd did or would have done.

The first 120 characters must do on a phone at night: what, number against limit, scope, action.
*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.decision import ActionLevel, AlertTransition, CitedReading, RuleMode, narrower
from monitor.core.measures.spec import Unit
from monitor.core.rules.checks import expressions_of, rule_input
from monitor.core.rules.deciding import find_deciding
from monitor.core.rules.expression import Expression
from monitor.core.rules.rule import Rule, RuleState, Step, page_subject, scope_subject
from monitor.core.rules.words import (
    DONE,
    UNKNOWN,
    against,
    cited,
    duration,
    label,
    listed,
    number,
    remark,
    scope_text,
    target_text,
)
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState, EngineNs, Subject, Verdict

Cite = Callable[[str], CitedReading]

SUMMARY_CHARS_MAX = 120
# Below these a part of the first line is not shortened any further: first the scope down to what
# an account or a position is mostly called, then the words, then the scope again.
SCOPE_CHARS_READABLE, WHAT_CHARS_MIN, SCOPE_CHARS_MIN = 30, 20, 20
# So much of a measure's own text is worth some of the words, and less than the least says nothing:
# LINK-USD -13.1 %, BTC -13.1 %.
DETAIL_CHARS_READABLE, DETAIL_CHARS_MIN = 18, 12
_LEAVING = (AlertState.RECOVERING, AlertState.INACTIVE)


def describe(
    rule: Rule,
    state: RuleState,
    step: Step,
    subject: Subject,
    cite: Cite,
    now: EngineNs,
    *,
    allowed: RuleMode = RuleMode.OBSERVE,
) -> AlertTransition:
    """The transition of one step, with its text.

    Args:
        rule: The rule.
        state: Its state before the step.
        step: What ``step`` returned.
        subject: Whom the rule was asked about.
        cite: Gives each variable of the rule as it was read; absent ones with their reason.
        now: The time of the step.
        allowed: The most that the daemon lets any rule do: in ``observe`` everything is told as
            what riskd WOULD HAVE done.
    """
    after = step.state
    names = sorted({name for _, one in expressions_of(rule) for name in one.variables})
    inputs = {name: cite(name) for name in names}
    target = cite(rule.gross_to_measure) if rule.gross_to_measure else None
    action = action_text(rule, subject, after, allowed, target=target)
    brief = action_text(rule, subject, after, allowed, target=target, brief=True)
    told = _headline(rule, step, inputs, now)
    place = page_subject(rule, subject)
    return AlertTransition(
        rule=rule.id,
        subject=subject,
        alert=rule.alert,
        severity=rule.severity,
        before=step.before,
        after=after.state,
        at_ns=now,
        firing_epoch_ns=after.firing_epoch_ns or state.firing_epoch_ns,
        expression=rule.condition,
        inputs=(*(inputs[name] for name in names), *(() if target is None else (target,))),
        summary=_summary(rule, step, subject, told, brief),
        description=_description(rule, state, step, subject, inputs, action, now, target),
        action=action,
        runbook=rule.runbook,
        reason="missing_data" if step.by_absence else "",
        place="" if place == subject else place,
        covered_by=rule.covered_by,
        title=rule.summary,
        fact=told[0] or told[1],
        brief=brief,
    )


def action_text(
    rule: Rule,
    subject: Subject,
    after: RuleState,
    allowed: RuleMode,
    *,
    target: CitedReading | None = None,
    brief: bool = False,
) -> str:
    """What riskd did about it, proposes, or would have done; empty where there is nothing.

    ``target`` is what a measured cut leaves; where nobody knows it for certain nothing is cut.
    ``brief`` names the scope by its kind alone, for the first line."""
    if after.state is not AlertState.FIRING or rule.level is ActionLevel.PAGE:
        return ""
    if target is not None and (target.value is None or target.estimated):
        return f"no cut: {label(target)} is {UNKNOWN if target.value is None else 'an estimate'}"
    done, todo = DONE[rule.level]
    if brief:
        done, todo = (text.removesuffix(" (reduce only)") for text in (done, todo))
    scope = scope_subject(rule, subject)
    words = {
        "scope": f"the {rule.scope.value}" if brief else scope_text(scope),
        "gross": target_text(
            rule.gross_to_ratio,
            None if target is None else target.value,
            over_s=rule.over_ns / SECOND_NS,
        ),
    }
    mode = narrower(rule.mode, allowed)
    if mode is RuleMode.OBSERVE:
        return f"WOULD HAVE {done.format(**words)}"
    if mode is RuleMode.PROPOSE:
        approval = "" if brief else ": a person must approve"
        return f"PROPOSES to {todo.format(**words)}{approval}"
    return f"ASKED to {todo.format(**words)}"


def _summary(rule: Rule, step: Step, subject: Subject, told: tuple[str, str], action: str) -> str:
    """What, number against limit, scope, action. The action is never cut, and the number last: a
    measure's own text gives way first, then long names of venues and markets, then the words."""
    what = ("Ended: " if step.state.state is AlertState.INACTIVE else "") + rule.summary
    begin = ": now " if step.state.state in _LEAVING else ": "
    fact, detail = (begin + told[0] if told[0] else ""), told[1]
    if subject != PORTFOLIO and scope_subject(rule, subject) == subject:
        action = action.replace(f" the {rule.scope.value}", " it")  # it is named just before
    end = f". {action}" if action else ""
    room, whole = SUMMARY_CHARS_MAX - len(end) - 2, scope_text(subject)
    left = room - len(fact)
    scope = _shortened(whole, left - len(what), least=SCOPE_CHARS_READABLE)
    what = _cut(what, max(left - len(scope), WHAT_CHARS_MIN))
    scope = _shortened(whole, left - len(what), least=SCOPE_CHARS_MIN)
    fact = _cut(fact, room - len(scope) - len(what))
    then = ", " if fact else begin
    spare = room - len(fact) - len(scope) - len(then)
    least = spare - min(len(what), WHAT_CHARS_MIN)
    if detail and least >= min(len(detail), DETAIL_CHARS_MIN):
        what = _cut(what, max(spare - min(len(detail), DETAIL_CHARS_READABLE), WHAT_CHARS_MIN))
        fact += then + _cut(detail, spare - len(what))
    return f"{what}{fact}; {scope}{end}"


def _shortened(text: str, room: int, *, least: int) -> str:
    """The text within ``room`` characters (never below ``least``), dots in the middle where
    something is left out: the ends tell names apart."""
    room = max(room, least)
    if len(text) <= room:
        return text
    half = (room - 1) // 2
    return text[: room - 1 - half] + "…" + text[-half:]


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1].rstrip(" :,(") + "…"


def _headline(
    rule: Rule, step: Step, inputs: dict[str, CitedReading], now: EngineNs
) -> tuple[str, str]:
    """The comparison that decided and what its measure says of it (all that there is where it is
    true or false); or how many flags are true and which; or what is missing."""
    if step.by_absence:
        return _absence(rule, step, inputs, now), ""
    if rule.flags:
        true = [
            flag.name
            for flag in step.state.flags
            if flag.counted(rule.within_ns, now) is Verdict.TRUE
        ]
        return f"{len(true)} of {len(rule.flags)} flags (limit {rule.at_least})", ", ".join(true)
    if rule.when is None:
        return "", ""
    if step.state.state in _LEAVING:
        return _deciding(rule.until or rule.when, inputs, wanted=rule.until is not None)
    return _deciding(rule.when, inputs, wanted=True)


def _absence(rule: Rule, step: Step, inputs: dict[str, CitedReading], now: EngineNs) -> str:
    """What has not been told, and for how long, against what the rule tolerates."""
    limit = duration((rule.max_staleness_ns or 0) / SECOND_NS)
    asked = [] if rule.when is None else [one.name for one in rule.when.comparisons]
    # What the condition asks first is what the rule is about; the description names the others.
    absent = [inputs[name] for name in (*asked, *inputs) if inputs[name].value is None]
    since = step.state.unknown_since_ns
    if absent and since is not None:
        unknown = duration((now - since) / SECOND_NS)
        return f"{label(absent[0])} {UNKNOWN} for {unknown}, limit {limit}"
    told = [one.as_of_ns for one in inputs.values() if one.as_of_ns is not None]
    if not told:
        return f"nothing known, limit {limit}"
    return f"last known {duration((now - min(told)) / SECOND_NS)} ago, limit {limit}"


def _deciding(
    expression: Expression, inputs: dict[str, CitedReading], *, wanted: bool
) -> tuple[str, str]:
    """Arithmetic is told by the numbers that went in; where it did not come out as wanted (an alert
    goes on between its two limits), by what it came out as."""
    if not expression.plain:
        used = [one for name, one in inputs.items() if name in expression.variables]
        return listed([f"{label(one)} {cited(one)}" for one in used]), ""
    for side in (wanted, not wanted):
        found = find_deciding(expression.tree, inputs.__getitem__, wanted=side)
        if found is not None:
            reading = inputs[found.name]
            told = against(found, reading)
            return ("", told) if reading.unit == Unit.BOOL else (told, remark(reading))
    return _missing(inputs), ""


def _missing(inputs: dict[str, CitedReading]) -> str:
    absent = [label(one) for one in inputs.values() if one.value is None]
    return f"{listed(absent)} {UNKNOWN}" if absent else ""


def _description(
    rule: Rule,
    state: RuleState,
    step: Step,
    subject: Subject,
    inputs: dict[str, CitedReading],
    action: str,
    now: EngineNs,
    target: CitedReading | None,
) -> str:
    after = step.state
    lines = [f"{rule.summary}: {scope_text(subject)} went {step.before} -> {after.state}."]
    if rule.help:
        lines.append(rule.help)
    lines.append(f"Condition: {rule.condition}; verdict {step.verdict.value}.")
    for where, expression in expressions_of(rule):
        if where == "when" or where.startswith("flags"):
            lines += _arithmetic(expression, inputs)
        elif where == "until" and (after.firing or step.before is not after.state):
            lines.append(f"Ends when: {expression.text}.")
            lines += _arithmetic(expression, inputs)
    for flag in after.flags:
        counted = flag.counted(rule.within_ns, now)
        lines.append(
            f"Flag {flag.name}: {flag.verdict.value} for "
            f"{duration((now - flag.since_ns) / SECOND_NS)}, counts as {counted.value}."
        )
    lines += [_reading_line(name, reading, now) for name, reading in inputs.items()]
    if target is not None:
        lines.append(_reading_line(rule.gross_to_measure, target, now))
    lines += _timer_lines(rule, state, step, now)
    if step.estimated:
        lines.append("Part of the numbers (~) is estimated: this may page and hold, never cut.")
    if step.by_absence:
        lines.append("Data has been missing longer than the rule tolerates; unknown is not fine.")
    lines.append(f"riskd: {action or 'nothing but telling people'}.")
    return "\n".join(lines)


def _arithmetic(expression: Expression, inputs: dict[str, CitedReading]) -> list[str]:
    lines = []
    for comparison in expression.comparisons:
        reading = inputs[comparison.name]
        # Here the numbers themselves stand, so that the arithmetic can be done again.
        words = reading.words if reading.unit == Unit.RATIO else ()
        value = number(reading.value, reading.unit, words)
        limit = number(comparison.limit, reading.unit, words)
        if reading.value is None:
            verdict = UNKNOWN
        else:
            verdict = "true" if comparison.holds(reading.value) else "false"
        sign = "~" if reading.estimated else ""
        lines.append(f"  {comparison.name} {sign}{value} {comparison.op} {limit}: {verdict}")
    return lines


def _reading_line(name: str, reading: CitedReading, now: EngineNs) -> str:
    other = rule_input(name)
    label = f"rule {' or '.join(other.rules)} {other.measure}" if other else name
    if reading.value is None:
        return f"Input {label} of {reading.subject}: unknown ({reading.reason or 'absent'})."
    age = (
        ""
        if reading.as_of_ns is None
        else f", {duration((now - reading.as_of_ns) / SECOND_NS)} old"
    )
    kind = ", estimated" if reading.estimated else ""
    kind += f" ({reading.text})" if reading.text else ""
    return f"Input {label} of {reading.subject}: {reading.value!r} {reading.unit}{age}{kind}."


def _timer_lines(rule: Rule, state: RuleState, step: Step, now: EngineNs) -> list[str]:
    lines = []
    after = step.state
    if after.state is AlertState.PENDING and rule.for_ns:
        lines.append(f"Fires once it has held for {duration(rule.for_ns / SECOND_NS)}.")
    if after.state is AlertState.PENDING and rule.confirm is not None:
        seen = after.confirmations.outcomes.count(True)
        lines.append(
            f"Confirmed by {seen} of {rule.confirm.need} distinct observations at least "
            f"{duration(rule.confirm.apart_ns / SECOND_NS)} apart."
        )
    if after.state is AlertState.RECOVERING:
        lines.append(
            f"Ends after {duration(rule.keep_firing_for_ns / SECOND_NS)} of this, unbroken and "
            "known; missing data restarts the time."
        )
    epoch = state.firing_epoch_ns
    if after.state is AlertState.INACTIVE and epoch is not None:
        lines.append(f"It was out for {duration((now - epoch) / SECOND_NS)}.")
        if rule.reentry is not None:
            lines.append(f"Re-entry is permitted when {rule.reentry.text}, and a person re-arms.")
    return lines
