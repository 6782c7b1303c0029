"""Every threshold of a rule beside a value it is compared with, and a word where it cannot matter.

A limit that is never reached (40 where 0.40 was meant) and a condition that is always true are both
silent mistakes: the rulebook loads, and the rule says nothing or everything. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.rules.checks import VISIBLE, expressions_of, rule_input
from monitor.core.rules.expression import Comparison, Expression
from monitor.core.rules.rule import Rule
from monitor.core.rules.words import number
from monitor.core.types import SubjectKind, Verdict

# A limit this many times beyond everything seen is more likely a slip of the unit than caution:
# percent written for a ratio is a hundredfold.
BEYOND = 10.0
# Of a fraction so many whole ones beyond everything seen are more likely percent.
BEYOND_AS_PERCENT = 3.0
PERCENT_FROM = 5.0
_FRACTIONS = frozenset({Unit.RATIO, Unit.PER_HOUR, Unit.PER_YEAR})

Live = Callable[[str, SubjectKind], Sequence[float]]


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of one rule.

    ``field`` is where it stands (``when``, ``until``, ``flags.news``, ``reentry``), ``kind`` whose
    measure is read, ``live`` its present values over all subjects of that kind (empty: none known),
    ``warning`` why the limit cannot be meant so, empty where nothing is odd.
    """

    field: str
    comparison: Comparison
    spec: MeasureSpec
    kind: SubjectKind
    live: tuple[float, ...] = ()
    warning: str = ""


def nothing_live(_measure: str, _kind: SubjectKind) -> Sequence[float]:
    """No value of any measure: what ``thresholds`` is given where no riskd answers."""
    return ()


def thresholds(
    rule: Rule, catalogue: Mapping[str, MeasureSpec], live: Live = nothing_live
) -> tuple[Threshold, ...]:
    """Every comparison of a rule with a number, as written; other rules' states are left out."""
    found = []
    for where, expression in expressions_of(rule):
        for comparison in expression.comparisons:
            if rule_input(comparison.name) is not None:
                continue
            spec = catalogue[comparison.name]
            kind = kind_read(rule, spec)
            values = tuple(live(spec.name, kind))
            found.append(
                Threshold(
                    field=where,
                    comparison=comparison,
                    spec=spec,
                    kind=kind,
                    live=values,
                    warning=_never(comparison, spec, values),
                )
            )
    return tuple(found)


def always(
    rule: Rule, catalogue: Mapping[str, MeasureSpec], live: Live = nothing_live
) -> Iterator[tuple[str, str]]:
    """(field, warning) of every condition for firing that holds on an ordinary day: on the usual
    typical values, or on everything that is seen now."""
    for where, expression in expressions_of(rule):
        if where in {"until", "reentry"} or any(map(rule_input, expression.variables)):
            continue
        specs = {name: catalogue[name] for name in expression.variables}
        usual = {name: spec.typical[0] for name, spec in specs.items()}
        if expression.evaluate(usual.get) is Verdict.TRUE:
            values = ", ".join(
                f"{name} {shown(usual[name], spec)}" for name, spec in sorted(specs.items())
            )
            yield where, f"is true on an ordinary day ({values}): it would always fire."
            continue
        seen = _always_now(rule, expression, specs, live)
        if seen:
            yield where, f"is true now for {seen}: it would fire at once."


def shown(value: float, spec: MeasureSpec) -> str:
    """A value as it stands beside a limit: flags and counts as the numbers they are compared as."""
    if spec.unit in {Unit.BOOL, Unit.COUNT}:
        return f"{value:.6g}"
    return number(value, spec.unit, spec.words)


def kind_read(rule: Rule, spec: MeasureSpec) -> SubjectKind:
    """Whose measure a rule reads: its own subject's, else that of the nearest ancestor."""
    return next(kind for kind in VISIBLE[rule.for_each] if kind in spec.kinds)


def _always_now(
    rule: Rule, expression: Expression, specs: Mapping[str, MeasureSpec], live: Live
) -> str:
    """What of the live values makes it true everywhere; empty where it does not, or where values
    of several subjects cannot be told apart."""
    values = {name: live(name, kind_read(rule, spec)) for name, spec in specs.items()}
    if not all(values.values()):
        return ""
    if len(values) == 1:
        ((name, seen),) = values.items()
        if all(expression.evaluate({name: one}.get) is Verdict.TRUE for one in seen):
            return f"every {kind_read(rule, specs[name]).value} ({len(seen)})"
        return ""
    if any(len(seen) > 1 for seen in values.values()):
        return ""
    single = {name: seen[0] for name, seen in values.items()}
    return rule.for_each.value if expression.evaluate(single.get) is Verdict.TRUE else ""


def _never(comparison: Comparison, spec: MeasureSpec, live: Sequence[float]) -> str:
    """Why a limit is out of everybody's reach; empty where it is not."""
    seen = [*spec.typical, *live]
    limit = comparison.limit
    upward = comparison.op in {">", ">="}
    if any(comparison.holds(value) for value in seen) or limit == 0.0:
        return ""
    farthest = max(seen) if upward else min(seen)
    if upward == (limit > 0.0):  # away from zero: typical values stand for either sign
        size = max(abs(value) for value in seen)
        percent = bool(slip(comparison, spec)) and abs(limit) >= PERCENT_FROM
        far = 0.0 < (BEYOND_AS_PERCENT if percent else BEYOND) * size < abs(limit)
    else:  # toward zero
        far = abs(farthest) > BEYOND * abs(limit)
    if not far:
        return ""
    what = "the highest" if upward else "the lowest"
    source = "seen or typical" if live else "typical"
    text = f"is never crossed: {what} {source} {spec.name} is {shown(farthest, spec)}."
    return text + slip(comparison, spec)


def slip(comparison: Comparison, spec: MeasureSpec) -> str:
    """How the limit would be written if percent was meant; empty where that makes no sense."""
    if spec.unit not in _FRACTIONS or spec.words or abs(comparison.limit) < 1.0:
        return ""
    return f" {comparison.limit:g} % is written {comparison.limit / 100.0:g}."
