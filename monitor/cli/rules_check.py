"""``riskd rules check``: every threshold beside what it is compared with, and what is odd in it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from monitor.cli.client import NoAnswerError, fetch
from monitor.config.sections import LeverageSection
from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import Rule, RuleBook
from monitor.core.rules.contradictions import contradictions
from monitor.core.rules.thresholds import Live, Threshold, always, nothing_live, shown, thresholds
from monitor.core.types import SubjectKind, subject_kind

LOOK = 1  # exit code: it can be used, and something in it is odd
_Values = Mapping[tuple[str, SubjectKind], Sequence[float]]


def check(
    arguments: argparse.Namespace,
    book: RuleBook,
    *,
    caps: LeverageSection | None = None,
) -> int:
    """Print the thresholds of the rules that the named files hold (of all where none is named).

    ``caps`` is what a configuration lets the book have. Returns 0, or ``LOOK`` where a threshold is
    never or always crossed, or caps contradict each other.
    """
    own = {str(path) for path in arguments.files}
    rules = [rule for rule in book.rules if not own or _file(rule) in own]
    values, why = _live(arguments, rules)
    live: Live = nothing_live if values is None else _reader(values)
    print(f"Values are {'those of now' if values is not None else f'typical ones: {why}'}.")
    warnings: list[str] = []
    for rule in rules:
        warnings += _tell(rule, live)
    for text in contradictory(book, own, caps):
        place, _, rest = text.partition(": ")
        warnings.append(f"{place}: warning: {rest}")
    print()
    for one in warnings:
        print(one)
    if warnings:
        many = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        print(f"{len(book.rules)} rules, no mistakes, {many}.")
        return LOOK
    print(f"{len(book.rules)} rules, no mistakes.")
    return 0


def contradictory(book: RuleBook, own: Set[str], caps: LeverageSection | None) -> tuple[str, ...]:
    """Limits of these files, and of a configuration, that cannot all be meant: sentences with their
    place. What riskd ships is told only against what the desk wrote itself."""
    if caps is None:
        return contradictions(book, own)
    return contradictions(
        book,
        own,
        volatility_target=caps.volatility_target,
        gross_max=caps.gross_max,
        shipped={"volatility_target", "gross_max"} - caps.model_fields_set,
    )


def _tell(rule: Rule, live: Live) -> list[str]:
    """One rule with its thresholds; returns its warnings, each with file and line."""
    lines = [
        (one, f"{one.comparison.name} {one.comparison.op} {_shown(one, one.comparison.limit)}")
        for one in thresholds(rule, CATALOGUE, live)
    ]
    warnings = [
        f"{rule.where}: {rule.id}.{where}: warning: {text}"
        for where, text in always(rule, CATALOGUE, live)
    ]
    print(f"{rule.id} ({rule.severity.value}, {rule.level.value})  {rule.where}")
    for one, asked in lines:
        print(f"  {one.field:<16} {asked:<46} {_beside(one)}")
        if one.warning:
            warnings.append(f"{rule.where}: {rule.id}.{one.field}: warning: {asked} {one.warning}")
    return list(dict.fromkeys(warnings))


def _shown(one: Threshold, value: float) -> str:
    return shown(value, one.spec)


def _beside(one: Threshold) -> str:
    """What the limit is compared with: now over all subjects, else what is usual and stressed."""
    if not one.live:
        usual, stressed = (_shown(one, value) for value in one.spec.typical)
        return f"typical {usual}, stressed {stressed}"
    low, high = min(one.live), max(one.live)
    if len(one.live) == 1:
        return f"now {_shown(one, low)}"
    return f"now {_shown(one, low)} to {_shown(one, high)} ({len(one.live)} {one.kind.value}s)"


def _live(arguments: argparse.Namespace, rules: Sequence[Rule]) -> tuple[_Values | None, str]:
    """Present values of every measure read, by kind of subject; None and why where nobody tells."""
    values: dict[tuple[str, SubjectKind], list[float]] = {}
    try:
        for name in sorted({name for rule in rules for name in rule.measures}):
            status, document = fetch(arguments, f"/v1/measures?q={name}")
            if status != 200 or "measures" not in document:
                return None, f"what answers at {arguments.url} is not riskd"
            for row in document["measures"]:
                if row["name"] == name and row["value"] is not None:
                    key = (name, subject_kind(row["subject"]))
                    values.setdefault(key, []).append(float(row["value"]))
    except NoAnswerError as error:
        return None, str(error).partition(". ")[0]
    return values, ""


def _reader(values: _Values) -> Live:
    return lambda measure, kind: values.get((measure, kind), ())


def _file(rule: Rule) -> str:
    return rule.where.rpartition(":")[0]


def read_rules(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """(name, text) of rule files.

    Raises:
        ConfigError: When one cannot be read.
    """
    files = []
    for path in paths:
        try:
            files.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"The rulebook {path} cannot be read: {reason}.") from error
    return files
