"""A rulebook: texts in, checked rules in evaluation order out, or every mistake at once.

A file is a YAML list of rules, or sections of such lists (a section's name is the rules' family).
Later files replace rules of earlier ones whole, by id; ``enabled: false`` takes a rule out.

A rule may read another rule's state: the variable ``firing__<rule id>`` is the measure
``rule_firing`` (1.0 while it fires about any subject, RECOVERING included, else 0.0),
``state_s__<rule id>`` is ``rule_state_s`` and ``venues__<rule id>`` is ``rule_venues`` (on how many
venues it fires, RECOVERING left out), all of the subject ``rule:<rule id>``. ``venues__a__b``
counts the venues on which any of several rules fires, each once; ``here__a__b``, in a rule for each
asset, is whether any of them fires about something of that asset. Such variables are not in
``Rule.measures``; ``Rule.rule_inputs`` says which measure of which rule each one is, and ``step``'s
``read`` is asked for them by variable name. A rule read by others comes before them in
``RuleBook.rules``; circles are refused.

Every other variable is a measure of the rule's own subject or of the nearest ancestor that has it,
in the order of ``checks.VISIBLE``. *Pure.*
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from monitor.core.decision import ActionLevel, Because, RuleMode, narrower
from monitor.core.errors import ConfigError, Problem
from monitor.core.filekinds import FileKind, mistaken
from monitor.core.measures.spec import MeasureSpec
from monitor.core.rules.checks import PLACES, SCOPES, VISIBLE, check_names, check_rule, rule_input
from monitor.core.rules.evidence import Confirm
from monitor.core.rules.expression import Expression
from monitor.core.rules.fields import Fields, rule_mappings
from monitor.core.rules.rule import PARTS, OnUnknown, Rule
from monitor.core.types import SECOND_NS, Severity, SubjectKind, louder_than
from monitor.core.yamltext import YamlText, nearest, parse_yaml

KEYS = frozenset(
    {
        "id", "for_each", "only", "when", "flags", "at_least", "within", "until", "for", "confirm",
        "keep_firing_for", "min_hold", "max_staleness", "on_unknown", "reentry", "severity", "do",
        "scope", "mode", "summary", "help", "runbook", "enabled", "page_per", "covered_by",
    }
)  # fmt: skip
# A cut is proposed in parts over a time in which each is worth an order, and a person's look.
OVER_NS_MIN, OVER_NS_MAX = 600 * SECOND_NS, 86_400 * SECOND_NS
SUMMARY_CHARS_MAX = 45  # leaves room for the number, the limit, the scope and the action in 120
OBSERVATIONS_MAX = 20
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)


class RuleBook(msgspec.Struct, frozen=True, eq=False):
    """Rules in evaluation order (a rule that others read comes before them); ``disabled`` are the
    ids a later file took out."""

    rules: tuple[Rule, ...]
    disabled: tuple[str, ...] = ()

    def get(self, rule_id: str) -> Rule | None:
        """The rule of that id, None where there is none."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def with_modes(self, modes: Mapping[str, RuleMode]) -> RuleBook:
        """The same rules, each in the mode that the desk says where it says one, and never in a
        wider one than the rule may have."""
        if not modes:
            return self
        rules = tuple(
            msgspec.structs.replace(
                rule, mode=narrower(modes.get(rule.id, rule.mode), rule.mode_max)
            )
            for rule in self.rules
        )
        return msgspec.structs.replace(self, rules=rules)


class _Entry(msgspec.Struct):
    """One rule as a file gave it: its fields, and the rule where it could be read."""

    fields: Fields
    rule: Rule | None
    enabled: bool


@lru_cache(maxsize=16)
def _read_text(source: str, text: str) -> YamlText:
    """A start reads the built-in texts several times over; nobody changes what was read."""
    return parse_yaml(text, source=source)


def parse_rulebook(
    files: Sequence[tuple[str, str]],
    catalogue: Mapping[str, MeasureSpec],
) -> RuleBook:
    """The rulebook that these (file name, text) make together, in order.

    Raises:
        ConfigError: With every mistake found in all files, each with file and line.
    """
    return _parsed(tuple((name, text) for name, text in files), _Measures(catalogue))


class _Measures:
    """A catalogue, the same as another one where it is that very object."""

    def __init__(self, specs: Mapping[str, MeasureSpec]) -> None:
        self.specs = specs

    def __hash__(self) -> int:
        return id(self.specs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Measures) and other.specs is self.specs


@lru_cache(maxsize=4)
def _parsed(files: tuple[tuple[str, str], ...], measures: _Measures) -> RuleBook:
    """A start checks the files, loads them and compares them: what nobody can change is read
    once."""
    catalogue = measures.specs
    problems: list[Problem] = []
    entries: dict[str, _Entry] = {}
    for source, text in files:
        doc = _read_text(source, text)
        other = mistaken(doc, FileKind.RULES)
        mappings = rule_mappings(doc) if other is None else []
        problems += doc.problems if other is None else [*doc.problems, other]
        seen: dict[str, str] = {}
        for family, path, data in mappings:
            label = str(data.get("id") or "rule") if isinstance(data, dict) else "rule"
            fields = Fields(doc, path, data if isinstance(data, dict) else {}, label, problems)
            if not isinstance(data, dict):
                fields.problem("", "a rule must be a mapping beginning with '- id:'.", found=data)
                continue
            rule_id = _read_id(fields)
            if rule_id and rule_id in seen:
                fields.problem("id", f"stands twice in this file, first at {seen[rule_id]}.")
                continue
            seen[rule_id] = doc.where(path)
            enabled = fields.switch("enabled", default=True)
            entry = _Entry(
                fields, _read_rule(fields, rule_id, family) if enabled else None, enabled
            )
            if rule_id:
                entries[rule_id] = entry
    for entry in entries.values():
        if entry.rule is not None:
            check_rule(entry.rule, entry.fields, catalogue)
        elif entry.enabled:
            check_names(entry.fields, catalogue)
    ordered = _in_order(entries)
    for entry in entries.values():
        if entry.rule is not None:
            _check_covers(entry.rule, entry.fields, entries)
    if problems:
        raise ConfigError(sorted(problems, key=_place))
    disabled = tuple(rule_id for rule_id, entry in entries.items() if not entry.enabled)
    return RuleBook(ordered, disabled)


def _place(problem: Problem) -> tuple[str, int, str]:
    source, _, line = problem.where.rpartition(":")
    return (source, int(line) if line.isdigit() else 0, problem.field)


def _read_id(fields: Fields) -> str:
    rule_id = fields.text("id", chars_max=60)
    if not _NAME.fullmatch(rule_id):
        fields.problem(
            "id",
            "a rule needs an id.",
            found=rule_id or None,
            allowed="lower-case words joined by single underscores, e.g. funding_stress",
        )
        return ""
    return rule_id


def _read_rule(fields: Fields, rule_id: str, family: str) -> Rule | None:
    """The rule; wrong fields are noted and stand at a harmless value so that the rest can still be
    checked. None where it is not even known what the rule is about."""
    fields.only_keys(KEYS)
    for_each = _read_for_each(fields)
    when, flags, at_least, within_ns = _read_condition(fields)
    until, reentry = fields.expression("until"), fields.expression("reentry")
    level, gross_to, gross_to_measure, because, over_ns = _read_do(fields)
    severity = _read_severity(fields)
    if over_ns and severity is Severity.CRITICAL:
        fields.problem(
            "do", "over belongs to a cut that is proposed: what is critical is not spread."
        )
    confirm, summary = _read_confirm(fields), _read_summary(fields)
    timers = {
        key: fields.duration(key) for key in ("for", "keep_firing_for", "min_hold", "max_staleness")
    }
    on_unknown = fields.choice("on_unknown", OnUnknown, OnUnknown.HOLD)
    mode = fields.choice("mode", RuleMode, RuleMode.OBSERVE)
    scope = fields.choice("scope", SubjectKind, SCOPES[for_each][0] if for_each else None)
    if for_each is None:
        return None
    read = [*(expression for _, expression in flags), when, until, reentry]
    variables = sorted(
        {name for one in read if one is not None for name in one.variables}
        | ({gross_to_measure} if gross_to_measure else set())
    )
    rule = Rule(
        id=rule_id,
        family=family,
        for_each=for_each,
        when=when,
        flags=flags,
        at_least=at_least,
        within_ns=within_ns,
        until=until,
        for_ns=timers["for"] or 0,
        confirm=confirm,
        keep_firing_for_ns=timers["keep_firing_for"] or 0,
        min_hold_ns=timers["min_hold"] or 0,
        max_staleness_ns=timers["max_staleness"],
        on_unknown=on_unknown or OnUnknown.HOLD,
        reentry=reentry,
        severity=severity,
        level=level,
        gross_to_ratio=gross_to,
        gross_to_measure=gross_to_measure,
        over_ns=over_ns,
        because=because,
        scope=scope or SCOPES[for_each][0],
        mode=mode or RuleMode.OBSERVE,
        only=_read_only(fields, for_each),
        page_per=_read_page_per(fields, for_each),
        covered_by=tuple(sorted(fields.names("covered_by"))) if "covered_by" in fields.data else (),
        summary=summary,
        help=fields.text("help"),
        runbook=fields.text("runbook", chars_max=300) or rule_id,
        measures=frozenset(name for name in variables if rule_input(name) is None),
        rule_inputs=tuple(one for name in variables if (one := rule_input(name)) is not None),
        definition="",
        where=fields.doc.where(fields.path),
    )
    return msgspec.structs.replace(rule, definition=_definition(rule))


def _read_for_each(fields: Fields) -> SubjectKind | None:
    kind = fields.choice("for_each", SubjectKind, None)
    if kind in VISIBLE:
        return kind
    if kind is not None or "for_each" not in fields.data:
        fields.problem(
            "for_each" if kind else "",
            "for_each must say what the rule is about.",
            found=kind,
            allowed=", ".join(VISIBLE),
        )
    return None


def _read_severity(fields: Fields) -> Severity:
    if "severity" not in fields.data:
        fields.problem("", "severity is missing.", allowed=", ".join(Severity))
    # The loudest stands in for a wrong one, so that it does not raise a second complaint.
    return fields.choice("severity", Severity, Severity.CRITICAL) or Severity.CRITICAL


def _read_summary(fields: Fields) -> str:
    summary = fields.text("summary", chars_max=SUMMARY_CHARS_MAX)
    if not summary and not isinstance(fields.data.get("summary"), str):
        fields.problem("", "summary is missing: a few words that begin the page.")
    return summary


def _read_condition(
    fields: Fields,
) -> tuple[Expression | None, tuple[tuple[str, Expression], ...], int, int]:
    """``when``, or ``flags`` with ``at_least`` and ``within``."""
    when, inner = fields.expression("when"), fields.inner("flags")
    has_when, has_flags = "when" in fields.data, "flags" in fields.data
    if has_when == has_flags:
        fields.problem(
            "when" if has_when else "",
            "must have either when or flags, and not both.",
            allowed="when: <condition>, or flags: {name: <condition>, ...} with at_least",
        )
    if inner is None:
        for key in ("at_least", "within"):
            if key in fields.data and not has_flags:
                fields.problem(key, "belongs to flags.")
        return when, (), 0, 0
    flags: list[tuple[str, Expression]] = []
    for name in inner.data:
        if not _NAME.fullmatch(name):
            inner.problem(name, "a flag's name is lower-case words joined by underscores.")
        expression = inner.expression(name)
        if expression is not None:
            flags.append((name, expression))
    at_least = fields.integer("at_least", low=1, high=max(len(inner.data), 1))
    if at_least is None and "at_least" not in fields.data:
        fields.problem("at_least", "is missing: how many flags must be true.")
    return when, tuple(flags), at_least or 1, fields.duration("within") or 0


def _read_do(fields: Fields) -> tuple[ActionLevel, float | None, str, Because, int]:
    """Level; the share of gross that remains, or the measure that says it; why a hold holds; over
    which time a cut is spread, nanoseconds."""
    inner = fields.inner("do")
    if inner is None:
        return ActionLevel.PAGE, None, "", Because.DATA, 0
    inner.only_keys({"level", "gross_to", "because", "over"})
    level = inner.choice("level", ActionLevel, None) or ActionLevel.PAGE
    if "level" not in inner.data:
        inner.problem("level", "is missing.", allowed=", ".join(ActionLevel))
    because = inner.choice("because", Because, Because.DATA) or Because.DATA
    if "because" in inner.data and level is not ActionLevel.HOLD:
        inner.problem("because", "belongs to level hold.", found=level.value)
    over_ns = inner.duration("over") or 0
    if "over" in inner.data and level is not ActionLevel.CUT:
        inner.problem("over", "belongs to level cut.", found=level.value)
    elif over_ns and not OVER_NS_MIN <= over_ns <= OVER_NS_MAX:
        inner.problem("over", "is no time to spread a cut over.", allowed="10m to 24h")
    elif over_ns and not isinstance(inner.data.get("gross_to"), str):
        inner.problem(
            "over",
            "belongs to a cut to an amount: each part goes on the way to what may be left by then.",
            allowed="gross_to: <a measure in USD>",
        )
    gross_to = inner.data.get("gross_to")
    if isinstance(gross_to, str) and _NAME.fullmatch(gross_to):
        return level, None, gross_to, because, over_ns
    return level, inner.number("gross_to", low=0.0, high=0.99), "", because, over_ns


def _read_confirm(fields: Fields) -> Confirm | None:
    inner = fields.inner("confirm")
    if inner is None:
        return None
    inner.only_keys({"need", "of", "apart", "sources"})
    if "sources" in inner.data:
        if len(inner.data) > 1:
            inner.problem("sources", "stands alone: sources or observations, not both.")
        sources = inner.integer("sources", low=2, high=2)
        return Confirm(need=1, of=1, apart_ns=0, sources=sources or 2)
    of = inner.integer("of", low=1, high=OBSERVATIONS_MAX)
    need = inner.integer("need", low=1, high=of or OBSERVATIONS_MAX)
    for key in ("need", "of"):
        if key not in inner.data:
            inner.problem(key, "is missing: need so many of the last so many observations.")
    return Confirm(need=need or 1, of=of or need or 1, apart_ns=inner.duration("apart") or 0)


def _read_only(fields: Fields, for_each: SubjectKind) -> tuple[tuple[str, frozenset[str]], ...]:
    inner = fields.inner("only")
    if inner is None:
        return ()
    allowed = PARTS.get(for_each, ())
    chosen: list[tuple[str, frozenset[str]]] = []
    for key in sorted(inner.data):
        if key in allowed:
            chosen.append((key, inner.names(key)))
        else:
            inner.problem(
                key,
                f"cannot narrow a rule for each {for_each.value}.",
                allowed=", ".join(allowed) or "nothing: there is only one portfolio",
                near=nearest(key, allowed),
            )
    return tuple(chosen)


def _read_page_per(fields: Fields, for_each: SubjectKind) -> SubjectKind | None:
    kind = fields.choice("page_per", SubjectKind, None)
    if kind is None or kind is for_each:
        return None
    if kind in SCOPES[for_each]:
        return kind
    fields.problem(
        "page_per",
        f"is no subject that a rule for each {for_each.value} lies in.",
        found=kind.value,
        allowed=", ".join(scope.value for scope in SCOPES[for_each]),
    )
    return None


def _definition(rule: Rule) -> str:
    """All that decides how a rule judges and acts, as one line; texts for people are left out."""
    parts: dict[str, object] = {
        "id": rule.id,
        "for_each": rule.for_each,
        "only": [(key, sorted(names)) for key, names in rule.only],
        "when": rule.when.text if rule.when else None,
        "flags": [(name, expression.text) for name, expression in rule.flags],
        "at_least": rule.at_least,
        "within_ns": rule.within_ns,
        "until": rule.until.text if rule.until else None,
        "for_ns": rule.for_ns,
        "confirm": rule.confirm,
        "keep_firing_for_ns": rule.keep_firing_for_ns,
        "min_hold_ns": rule.min_hold_ns,
        "max_staleness_ns": rule.max_staleness_ns,
        "on_unknown": rule.on_unknown,
        "reentry": rule.reentry.text if rule.reentry else None,
        "severity": rule.severity,
        "level": rule.level,
        "gross_to": rule.gross_to_ratio,
        "scope": rule.scope,
        "mode": rule.mode,
    }
    # Only where they are said: a rule without them is the rule that it was before they existed.
    if rule.gross_to_measure:
        parts["gross_to"] = rule.gross_to_measure
    if rule.because is not Because.DATA:
        parts["because"] = rule.because
    if rule.over_ns:
        parts["over"] = rule.over_ns
    return msgspec.json.encode(parts).decode()


def _check_covers(rule: Rule, fields: Fields, entries: Mapping[str, _Entry]) -> None:
    """A rule is silenced only by a louder one that is told about the same place or a wider one.

    A rule that a desk took out, or made quieter in a file of its own, just covers no more.
    """
    told = rule.page_per or rule.for_each
    for name in rule.covered_by:
        entry = entries.get(name)
        if entry is None:
            fields.problem("covered_by", f"{name} does not exist.", near=nearest(name, entries))
        elif (cover := entry.rule) is not None and _file(cover) == _file(rule):
            if not louder_than(cover.severity, rule.severity):
                fields.problem(
                    "covered_by",
                    f"{name} is not louder than this rule: nothing silences its equal.",
                    found=cover.severity.value,
                    allowed=f"a rule above {rule.severity.value}",
                )
            if (place := cover.page_per or cover.for_each) not in PLACES[told]:
                fields.problem(
                    "covered_by",
                    f"{name} is told for each {place.value}, which says nothing about a whole "
                    f"{told.value}.",
                    allowed=f"rules told for each {', '.join(one.value for one in PLACES[told])}",
                )


def _file(rule: Rule) -> str:
    return rule.where.rpartition(":")[0]


def _in_order(entries: Mapping[str, _Entry]) -> tuple[Rule, ...]:
    """Rules with every rule after those it reads, else as written; notes circles and strangers."""
    ordered: list[Rule] = []
    done: set[str] = set()
    open_ids: list[str] = []

    def visit(entry: _Entry, rule: Rule) -> None:
        open_ids.append(rule.id)
        needs = [(one.variable, rule_id) for one in rule.rule_inputs for rule_id in one.rules]
        for variable, rule_id in needs:
            other = entries.get(rule_id)
            if other is None or not other.enabled:
                why = "is disabled" if other is not None else "does not exist"
                entry.fields.problem(
                    "when" if rule.when is not None else "flags",
                    f"{variable} reads rule {rule_id}, which {why}.",
                    near=nearest(rule_id, entries) if other is None else None,
                )
            elif rule_id in open_ids:
                circle = [*open_ids[open_ids.index(rule_id) :], rule_id]
                entry.fields.problem(
                    "", f"rules read each other in a circle: {' > '.join(circle)}."
                )
            elif other.rule is not None and rule_id not in done:
                visit(other, other.rule)
        open_ids.pop()
        done.add(rule.id)
        ordered.append(rule)

    for entry in entries.values():
        if entry.rule is not None and entry.rule.id not in done:
            visit(entry, entry.rule)
    return tuple(ordered)
