"""What a rule may say beyond its grammar: measures it can see, limits that can be reached, actions
that fit. Each check notes its problems on the rule's fields. *Pure.*
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

from monitor.core.decision import ActionLevel, Because, RuleMode
from monitor.core.killswitch.levels import CONFIRMATION_REQUIRED
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.rules.expression import Expression
from monitor.core.rules.fields import Fields
from monitor.core.rules.grammar import names_in
from monitor.core.rules.rule import OnUnknown, Rule, RuleInput
from monitor.core.types import SECOND_NS, Severity, SubjectKind, Verdict
from monitor.core.yamltext import nearest

# Whose measures a rule sees, nearest first: its own subject's, then its ancestors'. Where a
# measure exists for several of these, the nearest one is read.
VISIBLE: Mapping[SubjectKind, tuple[SubjectKind, ...]] = {
    SubjectKind.PORTFOLIO: (SubjectKind.PORTFOLIO,),
    SubjectKind.VENUE: (SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    SubjectKind.ACCOUNT: (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    SubjectKind.POSITION: (
        SubjectKind.POSITION,
        SubjectKind.ACCOUNT,
        SubjectKind.MARKET,
        SubjectKind.ASSET,
        SubjectKind.VENUE,
        SubjectKind.PORTFOLIO,
    ),
    SubjectKind.MARKET: (
        SubjectKind.MARKET,
        SubjectKind.ASSET,
        SubjectKind.VENUE,
        SubjectKind.PORTFOLIO,
    ),
    SubjectKind.ASSET: (SubjectKind.ASSET, SubjectKind.PORTFOLIO),
    SubjectKind.FEED: (SubjectKind.FEED, SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    SubjectKind.HEDGE_SET: (SubjectKind.HEDGE_SET, SubjectKind.PORTFOLIO),
    SubjectKind.BUCKET: (SubjectKind.BUCKET, SubjectKind.PORTFOLIO),
    SubjectKind.STRATEGY: (SubjectKind.STRATEGY, SubjectKind.PORTFOLIO),
}

# What an action of a rule may be about: its own subject or a wider one its name contains.
SCOPES: Mapping[SubjectKind, tuple[SubjectKind, ...]] = {
    SubjectKind.PORTFOLIO: (SubjectKind.PORTFOLIO,),
    SubjectKind.VENUE: (SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    SubjectKind.ACCOUNT: (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    SubjectKind.POSITION: (
        SubjectKind.POSITION,
        SubjectKind.MARKET,
        SubjectKind.ACCOUNT,
        SubjectKind.VENUE,
        SubjectKind.PORTFOLIO,
    ),
    SubjectKind.MARKET: (SubjectKind.MARKET, SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    SubjectKind.ASSET: (SubjectKind.ASSET, SubjectKind.PORTFOLIO),
    SubjectKind.FEED: (SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    SubjectKind.HEDGE_SET: (SubjectKind.PORTFOLIO,),
    SubjectKind.BUCKET: (SubjectKind.PORTFOLIO,),
    SubjectKind.STRATEGY: (SubjectKind.PORTFOLIO,),
}

# Where people may be told of a rule's alerts: what the kill switch cannot act on is a place too.
PLACES: Mapping[SubjectKind, tuple[SubjectKind, ...]] = {
    kind: scopes if kind in scopes else (kind, *scopes) for kind, scopes in SCOPES.items()
}

# The most that a cut of a built-in rule may leave, whoever rewrites it: less is another rule.
MOST_LEFT: Mapping[str, float] = {"funding_stress": 0.70}

RULE_VARIABLES = {
    "firing__": "rule_firing",
    "state_s__": "rule_state_s",
    "venues__": "rule_venues",
    "here__": "rule_firing_here",
}
_RULE_SPECS = {
    "rule_firing": MeasureSpec(
        name="rule_firing", kinds=(SubjectKind.RULE,), unit=Unit.BOOL, help="", low=0.0, high=1.0
    ),
    "rule_state_s": MeasureSpec(
        name="rule_state_s", kinds=(SubjectKind.RULE,), unit=Unit.SECONDS, help="", low=0.0
    ),
    "rule_venues": MeasureSpec(
        name="rule_venues", kinds=(SubjectKind.RULE,), unit=Unit.COUNT, help="", low=0.0
    ),
    "rule_firing_here": MeasureSpec(
        name="rule_firing_here",
        kinds=(SubjectKind.RULE,),
        unit=Unit.BOOL,
        help="",
        low=0.0,
        high=1.0,
    ),
}
APART_NS_MIN = 20 * SECOND_NS
_GRID_MAX = 20_000

# Of a cut that is only ever proposed: nothing is sent before a person has read it.
_LOUD_ENOUGH_TO_PROPOSE = (Severity.WARNING, Severity.HIGH)
_LOUD_ENOUGH: Mapping[ActionLevel, tuple[Severity, ...]] = {
    ActionLevel.PAGE: tuple(Severity),
    ActionLevel.HOLD: (Severity.WARNING, Severity.HIGH, Severity.CRITICAL),
    ActionLevel.BLOCK_NEW: (Severity.HIGH, Severity.CRITICAL),
    ActionLevel.CUT: (Severity.CRITICAL,),
    ActionLevel.HALT: (Severity.CRITICAL,),
    ActionLevel.FLATTEN: (Severity.CRITICAL,),
}


def rule_input(variable: str) -> RuleInput | None:
    """``firing__funding_stress`` as the measure of another rule; None for a plain measure."""
    for prefix, measure in RULE_VARIABLES.items():
        if variable.startswith(prefix):
            return RuleInput(variable, measure, variable.removeprefix(prefix))
    return None


def expressions_of(rule: Rule) -> Iterator[tuple[str, Expression]]:
    """(field, expression) of all conditions of a rule."""
    if rule.when is not None:
        yield "when", rule.when
    for name, expression in rule.flags:
        yield f"flags.{name}", expression
    if rule.until is not None:
        yield "until", rule.until
    if rule.reentry is not None:
        yield "reentry", rule.reentry


def check_rule(rule: Rule, fields: Fields, catalogue: Mapping[str, MeasureSpec]) -> None:
    """Note everything wrong with a rule whose fields could all be read."""
    specs: dict[str, MeasureSpec] = {}
    for where, expression in expressions_of(rule):
        for variable in sorted(expression.variables):
            spec = _spec_of(variable, where, rule.for_each, fields, catalogue)
            if spec is not None:
                specs[variable] = spec
    readable = {where for where, _ in expressions_of(rule)}
    for where, text in _conditions(fields):
        if where not in readable:  # one mistake must not hide a misspelt measure
            for name in sorted(names_in(text)):
                _spec_of(name, where, rule.for_each, fields, catalogue)
    _check_staleness(rule, fields, specs)
    _check_action(rule, fields)
    if rule.gross_to_measure:
        _check_target(rule, fields, catalogue)
    needed = {name for _, expression in expressions_of(rule) for name in expression.variables}
    if needed <= specs.keys():  # judging values makes no sense over names that do not exist
        _check_dry_run(rule, fields, specs)
        _check_reachable(rule, fields, specs)


def check_names(fields: Fields, catalogue: Mapping[str, MeasureSpec]) -> None:
    """Note every name that is no measure of anything, of a rule that does not say what it is
    about."""
    for where, text in _conditions(fields):
        for name in sorted(names_in(text)):
            if rule_input(name) is None and name not in catalogue:
                _unknown_measure(name, where, fields, catalogue)


def _conditions(fields: Fields) -> Iterator[tuple[str, str]]:
    """(field, text) of all conditions of a rule as they were written."""
    for key in ("when", "until", "reentry"):
        text = fields.data.get(key)
        if isinstance(text, str):
            yield key, text
    flags = fields.data.get("flags")
    for name, text in flags.items() if isinstance(flags, dict) else ():
        if isinstance(text, str):
            yield f"flags.{name}", text


def _note(
    fields: Fields,
    where: str,
    message: str,
    *,
    found: str | None = None,
    allowed: str | None = None,
    near: str | None = None,
    word: str = "",
) -> None:
    """Note a mistake in a condition by the name ``expressions_of`` has for it, at its own line."""
    key, _, flag = where.partition(".")
    inner = fields.inner(key) if flag else None
    (inner or fields).problem(
        flag if inner else key, message, found=found, allowed=allowed, near=near, word=word
    )


def _spec_of(
    variable: str,
    where: str,
    for_each: SubjectKind,
    fields: Fields,
    catalogue: Mapping[str, MeasureSpec],
) -> MeasureSpec | None:
    other = rule_input(variable)
    if other is not None:
        if other.measure == "rule_firing_here" and for_each is not SubjectKind.ASSET:
            _note(
                fields,
                where,
                f"{variable} asks what fires about something of an asset.",
                allowed="here__ in a rule for each asset; firing__ elsewhere",
                word=variable,
            )
            return None
        return _RULE_SPECS[other.measure]
    spec = catalogue.get(variable)
    if spec is None:
        _unknown_measure(variable, where, fields, catalogue)
        return None
    visible = VISIBLE[for_each]
    if not set(spec.kinds) & set(visible):
        _note(
            fields,
            where,
            f"{variable} is measured for {_words(spec.kinds)}, which a rule for each "
            f"{for_each.value} does not see.",
            allowed=f"measures of {_words(visible)}",
            word=variable,
        )
        return None
    return spec


def _unknown_measure(
    name: str, where: str, fields: Fields, catalogue: Mapping[str, MeasureSpec]
) -> None:
    near = nearest(name, catalogue)
    _note(fields, where, f"{name} is not a measure.", found=name, near=near, word=name)


def _words(kinds: tuple[SubjectKind, ...]) -> str:
    return ", ".join(kind.value for kind in kinds)


def _check_staleness(rule: Rule, fields: Fields, specs: Mapping[str, MeasureSpec]) -> None:
    limit_ns = rule.max_staleness_ns
    if limit_ns is None:
        if rule.on_unknown is OnUnknown.FIRE:
            fields.problem("on_unknown", "fire needs max_staleness: how long missing is too long.")
        return
    for name, spec in sorted(specs.items()):
        if spec.max_age_s is not None and limit_ns > spec.max_age_s * SECOND_NS:
            fields.problem(
                "max_staleness",
                f"is looser than the limit of {name} itself, which it may only tighten.",
                found=fields.data.get("max_staleness"),
                allowed=f"at most {spec.max_age_s:g}s",
            )


def _check_action(rule: Rule, fields: Fields) -> None:
    loud = _LOUD_ENOUGH[rule.level]
    if rule.level is ActionLevel.CUT and rule.severity in _LOUD_ENOUGH_TO_PROPOSE:
        if rule.mode is not RuleMode.PROPOSE:
            fields.problem(
                "mode",
                f"a cut of severity {rule.severity.value} may only be proposed: write mode: "
                "propose, which is then the widest it may have, or severity: critical.",
                found=rule.mode.value,
                allowed=RuleMode.PROPOSE.value,
            )
    elif rule.severity not in loud:
        fields.problem(
            "severity",
            f"is too quiet for do.level {rule.level.value}: people must learn of what it does.",
            found=rule.severity.value,
            allowed=", ".join(severity.value for severity in loud)
            + ("; less with mode: propose" if rule.level is ActionLevel.CUT else ""),
        )
    said = fields.data.get("do")
    silent = not (isinstance(said, dict) and "gross_to" in said)  # else that is told already
    if rule.level is ActionLevel.CUT and not rule.target and silent:
        fields.problem(
            "do", "a cut must say gross_to: the share of gross that remains, or a measure in USD."
        )
    most, left = MOST_LEFT.get(rule.id), rule.gross_to_ratio
    if most is not None and left is not None and left > most:
        fields.problem(
            "do.gross_to",
            "leaves more than the least cut of this rule does.",
            found=f"{left:g}",
            allowed=f"at most {most:g}; for a smaller cut give the rule an id of its own",
        )
    if rule.level is not ActionLevel.CUT and rule.target:
        fields.problem("do", f"gross_to belongs to level cut, not {rule.level.value}.")
    if rule.confirm is not None and rule.confirm.sources > 1:
        _check_sources(rule, fields)
    elif rule.level in CONFIRMATION_REQUIRED:
        _check_confirmed(rule, fields)
    if rule.on_unknown is OnUnknown.FIRE:
        if rule.level not in {ActionLevel.PAGE, ActionLevel.HOLD}:
            fields.problem(
                "on_unknown",
                f"missing data may page and hold, never {rule.level.value}.",
                found="fire",
                allowed="hold",
            )
        if rule.because is Because.RISK:
            fields.problem("on_unknown", "fire holds because of data, never because of risk.")
        if rule.confirm is not None:
            fields.problem("on_unknown", "fire and confirm exclude each other: absence repeats.")
    if rule.scope not in SCOPES[rule.for_each]:
        fields.problem(
            "scope",
            f"a rule for each {rule.for_each.value} cannot act on that.",
            found=rule.scope.value,
            allowed=_words(SCOPES[rule.for_each]),
        )


def _check_target(rule: Rule, fields: Fields, catalogue: Mapping[str, MeasureSpec]) -> None:
    """A measured target is USD of exactly what is cut: a wider number would cut too little."""
    name = rule.gross_to_measure
    spec = catalogue.get(name)
    if spec is None:
        near = nearest(name, catalogue)
        fields.problem("do", f"{name} is not a measure.", found=name, near=near)
    elif spec.unit is not Unit.USD:
        fields.problem(
            "do",
            f"{name} is no amount: gross_to wants the gross in USD that may remain.",
            found=spec.unit.value,
            allowed=Unit.USD.value,
        )
    elif rule.scope is not rule.for_each or rule.for_each not in spec.kinds:
        fields.problem(
            "do",
            f"{name} must be about what is cut: the rule's own subject, which its scope must be.",
            found=f"{_words(spec.kinds)} for scope {rule.scope.value}",
            allowed=f"a measure of each {rule.for_each.value}, with scope {rule.for_each.value}",
        )
    elif spec.low < 0.0:
        fields.problem(
            "do",
            f"{name} can be below zero, and gross cannot: gross_to wants an amount without a sign.",
            found=f"from {spec.low:g}",
            allowed="a measure from 0",
        )


def _check_confirmed(rule: Rule, fields: Fields) -> None:
    """One bad reading must not move the book: two observations, or two flags that share none."""
    if rule.confirm is not None:
        observations, apart_ns = rule.confirm.need, rule.confirm.apart_ns
    else:
        observations, apart_ns = rule.at_least, rule.for_ns
    if observations < 2 or apart_ns < APART_NS_MIN:
        fields.problem(
            "confirm",
            f"{rule.level.value} needs two distinct observations at least 20s apart: one bad "
            "reading must not move the book.",
            allowed="e.g. {need: 2, of: 2, apart: 20s}; or two flags of different measures that "
            "hold together `for` 20s or longer",
        )
    elif rule.confirm is None:
        for (one, first), (other, second) in itertools.combinations(rule.flags, 2):
            shared = sorted(first.variables & second.variables)
            if shared:
                fields.problem(
                    "flags",
                    f"{one} and {other} both read {', '.join(shared)}: one bad reading would "
                    "raise both. Give `confirm` as well, or flags of different measures.",
                )


def _check_sources(rule: Rule, fields: Fields) -> None:
    """Two sources can only be told apart where a rule has flags, each one's word by itself."""
    if len(rule.flags) < 2 or rule.at_least < 2:
        fields.problem(
            "confirm",
            "sources needs flags of which two must be true: a single condition is one witness.",
            allowed="e.g. {need: 2, of: 2, apart: 20s}",
        )


def _check_dry_run(rule: Rule, fields: Fields, specs: Mapping[str, MeasureSpec]) -> None:
    for where, expression in expressions_of(rule):
        for which in (0, 1):
            values = {name: float(specs[name].typical[which]) for name in expression.variables}
            if expression.evaluate_in_cel(values.get) is Verdict.ERROR:
                _note(fields, where, f"fails on typical values: {expression.error_text}.")
                break


def _check_reachable(rule: Rule, fields: Fields, specs: Mapping[str, MeasureSpec]) -> None:
    """Limits outside a measure's range (32 for 32 %), and an end that overlaps the beginning.

    Only for conditions made of plain comparisons: there it is enough to look at, and a hair beside,
    each limit that occurs.
    """
    parts = dict(expressions_of(rule))
    if not all(expression.plain for expression in parts.values()):
        return
    for where, expression in parts.items():
        grid = _grid([expression], specs)
        if grid is None:
            continue
        verdicts = {expression.evaluate(values.get) for values in grid}
        ranges = "; ".join(
            f"{name} lies within {specs[name].low:g} to {specs[name].high:g}"
            for name in sorted(expression.variables)
        )
        if Verdict.TRUE not in verdicts:
            _note(fields, where, f"can never be true: {ranges}.", found=expression.text)
        elif Verdict.FALSE not in verdicts:
            _note(fields, where, f"is always true: {ranges}.", found=expression.text)
    if rule.until is None or not (rule.when or rule.flags):
        return
    for values in _grid(list(parts.values()), specs) or ():
        if rule.until.evaluate(values.get) is Verdict.TRUE and _begins(rule, values.get):
            example = ", ".join(f"{name} = {value:g}" for name, value in sorted(values.items()))
            fields.problem(
                "until",
                f"contradicts the condition: both hold at {example}. The alert would end while "
                "its cause lasts.",
                found=rule.until.text,
            )
            return


def _begins(rule: Rule, resolve: Callable[[str], float | None]) -> bool:
    if rule.when is not None:
        return rule.when.evaluate(resolve) is Verdict.TRUE
    flags = [expression.evaluate(resolve) for _, expression in rule.flags]
    return flags.count(Verdict.TRUE) >= rule.at_least


def _grid(
    expressions: list[Expression],
    specs: Mapping[str, MeasureSpec],
) -> list[dict[str, float]] | None:
    """Value assignments that reach every region the limits cut out; None where they are too
    many to walk."""
    axes: dict[str, list[float]] = {}
    size = 1
    for name in sorted({name for expression in expressions for name in expression.variables}):
        spec = specs[name]
        limits = {
            comparison.limit
            for expression in expressions
            for comparison in expression.comparisons
            if comparison.name == name
        }
        points = {
            limit + hair * max(abs(limit), 1.0) for limit in limits for hair in (-1e-9, 0.0, 1e-9)
        }
        points |= {max(min(point, spec.high), spec.low) for point in points}
        axes[name] = sorted(point for point in points if spec.low <= point <= spec.high)
        size *= len(axes[name])
        if size > _GRID_MAX:
            return None
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
