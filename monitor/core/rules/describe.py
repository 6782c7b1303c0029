"""Words for people: what a rule saw, against which limit, and what riskd did or would have done.

The first 120 characters must do on a phone at night: what, number against limit, scope, action.
Percent exists only in here. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.decision import ActionLevel, AlertTransition, CitedReading, RuleMode
from monitor.core.measures.spec import Unit
from monitor.core.rules.checks import expressions_of, rule_input
from monitor.core.rules.expression import Comparison, Expression
from monitor.core.rules.rule import Rule, RuleState, Step, scope_subject
from monitor.core.types import SECOND_NS, AlertState, EngineNs, Subject, Verdict

Cite = Callable[[str], CitedReading]

SUMMARY_CHARS_MAX = 120
_MODES = (RuleMode.OBSERVE, RuleMode.PROPOSE, RuleMode.ACT)
_UNKNOWN = "unknown"
# What each action does to its scope, as a past participle and as an infinitive.
_DONE = {
    ActionLevel.HOLD: ("held {scope} (reduce only)", "hold {scope} (reduce only)"),
    ActionLevel.BLOCK_NEW: ("blocked new risk on {scope}", "block new risk on {scope}"),
    ActionLevel.CUT: ("cut gross to {gross} of {scope}", "cut gross to {gross} of {scope}"),
    ActionLevel.HALT: ("halted {scope}", "halt {scope}"),
    ActionLevel.FLATTEN: ("flattened {scope}", "flatten {scope}"),
}


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
    action = action_text(rule, subject, after, allowed)
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
        inputs=tuple(inputs[name] for name in names),
        summary=_summary(
            rule,
            step,
            subject,
            inputs,
            action_text(rule, subject, after, allowed, brief=True),
            now,
        ),
        description=_description(rule, state, step, subject, inputs, action, now),
        action=action,
        runbook=rule.runbook,
        reason="missing_data" if step.by_absence else "",
    )


def action_text(
    rule: Rule, subject: Subject, after: RuleState, allowed: RuleMode, *, brief: bool = False
) -> str:
    """What riskd did about it, proposes, or would have done; empty where there is nothing.

    ``brief`` names the scope by its kind alone, for the first line."""
    if after.state is not AlertState.FIRING or rule.level is ActionLevel.PAGE:
        return ""
    done, todo = _DONE[rule.level]
    if brief:
        done, todo = (text.removesuffix(" (reduce only)") for text in (done, todo))
    scope = scope_subject(rule, subject)
    words = {
        "scope": f"the {rule.scope.value}" if brief else scope_text(scope),
        "gross": percent(rule.gross_to_ratio or 0.0),
    }
    mode = min(rule.mode, allowed, key=_MODES.index)
    if mode is RuleMode.OBSERVE:
        return f"WOULD HAVE {done.format(**words)}"
    if mode is RuleMode.PROPOSE:
        return f"PROPOSES to {todo.format(**words)}: a person must approve"
    return f"ASKED to {todo.format(**words)}"


def scope_text(subject: Subject) -> str:
    """``account hyperliquid/main`` for ``account:hyperliquid/main``."""
    kind, _, parts = subject.partition(":")
    return f"{kind} {parts}" if parts else kind


def percent(ratio: float) -> str:
    """``32 %`` for 0.32, four significant digits."""
    return f"{ratio * 100:.4g} %"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``, ``2.1 d``."""
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1000:.3g} ms"
    if size < 120:
        return f"{seconds:.3g} s"
    if size < 7200:
        return f"{seconds / 60:.3g} min"
    if size < 172800:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86400:.3g} d"


def number(value: float | None, unit: str, measure: str = "") -> str:
    """A value with its unit as a trader reads it; ``unknown`` for None."""
    if value is None:
        return _UNKNOWN
    match unit:
        case Unit.RATIO:
            return f"{value:.4g}x" if measure == "leverage" else percent(value)
        case Unit.PER_HOUR:
            return f"{percent(value)}/h"
        case Unit.PER_YEAR:
            return f"{percent(value)}/yr"
        case Unit.USD:
            return f"{'-' if value < 0 else ''}${_grouped(abs(value))}"
        case Unit.SECONDS:
            return duration(value)
        case Unit.BOOL:
            return "yes" if value >= 0.5 else "no"
        case Unit.COUNT:
            return f"{value:.6g}"
        case _:
            return _grouped(value)


def _grouped(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _cited(reading: CitedReading) -> str:
    return ("~" if reading.estimated else "") + number(reading.value, reading.unit, reading.measure)


def _against(comparison: Comparison, reading: CitedReading) -> str:
    """``32 % >= 30 %``: the number as read, the asked relation, the limit in the same unit."""
    if reading.unit == Unit.BOOL:
        return f"{comparison.name} {_cited(reading)}"
    limit = number(comparison.limit, reading.unit, reading.measure)
    return f"{_cited(reading)} {comparison.op} {limit}"


def _summary(
    rule: Rule,
    step: Step,
    subject: Subject,
    inputs: dict[str, CitedReading],
    action: str,
    now: EngineNs,
) -> str:
    what = ("Ended: " if step.state.state is AlertState.INACTIVE else "") + rule.summary
    fact = _headline(rule, step, inputs, now)
    what += f": {fact}" if fact else ""
    end = f". {action}" if action else ""
    # What and action are bounded; the names of venues and markets are not, so they give way first.
    scope = _shortened(scope_text(subject), SUMMARY_CHARS_MAX - len(what) - len(end) - 2)
    what = _shortened(what, SUMMARY_CHARS_MAX - len(scope) - len(end) - 2, keep_end=False)
    return f"{what}; {scope}{end}"


def _shortened(text: str, room: int, *, keep_end: bool = True) -> str:
    """The text within ``room`` characters (never below 16), dots where something is left out."""
    room = max(room, 16)
    if len(text) <= room:
        return text
    if not keep_end:
        return text[: room - 1] + "…"
    half = (room - 1) // 2
    return text[: room - 1 - half] + "…" + text[-half:]


def _headline(rule: Rule, step: Step, inputs: dict[str, CitedReading], now: EngineNs) -> str:
    """The comparison that decided, or the flags that are true, or what is missing."""
    if step.by_absence:
        return f"{_missing(inputs) or 'data stale'} for too long"
    if rule.flags:
        true = [
            flag.name
            for flag in step.state.flags
            if flag.counted(rule.within_ns, now) is Verdict.TRUE
        ]
        return f"{len(true)} of {len(rule.flags)} flags ({', '.join(true) or 'none'})"
    if rule.when is None:
        return ""
    if step.state.state is AlertState.INACTIVE:
        shown = rule.until or rule.when
        return _deciding(shown, inputs, wanted=rule.until is not None)
    return _deciding(rule.when, inputs, wanted=True)


def _deciding(expression: Expression, inputs: dict[str, CitedReading], *, wanted: bool) -> str:
    """The first comparison on the wanted side; arithmetic is told by the numbers that went in."""
    if not expression.plain:
        names = [name for name in inputs if name in expression.variables]
        return ", ".join(f"{name} {_cited(inputs[name])}" for name in names)
    # A limit of zero only asks which side of a position it is: any other says more.
    for comparison in sorted(expression.comparisons, key=lambda one: one.limit == 0.0):
        reading = inputs[comparison.name]
        if reading.value is not None and comparison.holds(reading.value) is wanted:
            if wanted or reading.unit == Unit.BOOL:
                return _against(comparison, reading)
            limit = number(comparison.limit, reading.unit, reading.measure)
            return f"{_cited(reading)}, limit {limit}"
    return _missing(inputs)


def _missing(inputs: dict[str, CitedReading]) -> str:
    absent = [name for name, reading in inputs.items() if reading.value is None]
    return ", ".join(absent) + " unknown" if absent else ""


def _description(
    rule: Rule,
    state: RuleState,
    step: Step,
    subject: Subject,
    inputs: dict[str, CitedReading],
    action: str,
    now: EngineNs,
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
        limit = number(comparison.limit, reading.unit, reading.measure)
        if reading.value is None:
            verdict = _UNKNOWN
        else:
            verdict = "true" if comparison.holds(reading.value) else "false"
        lines.append(f"  {comparison.name} {_cited(reading)} {comparison.op} {limit}: {verdict}")
    return lines


def _reading_line(name: str, reading: CitedReading, now: EngineNs) -> str:
    other = rule_input(name)
    label = f"rule {other.rule_id} {other.measure}" if other else name
    if reading.value is None:
        return f"Input {label} of {reading.subject}: unknown ({reading.reason or 'absent'})."
    age = (
        ""
        if reading.as_of_ns is None
        else f", {duration((now - reading.as_of_ns) / SECOND_NS)} old"
    )
    kind = ", estimated" if reading.estimated else ""
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
