"""A rulebook as it can be judged on hourly data. *Pure.*

Two things of a live rulebook do not fit one fact an hour: limits on the age of messages in seconds,
which would call every value old a minute after it was told, and rules about those ages themselves.
The first are widened to the data's own pace, the second are left out and named in the report. All
else (conditions, confirmations, waits, ends) is judged as written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from monitor.backtest.hourly import STANDS_S
from monitor.core.decision import ActionLevel
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.spec import Unit
from monitor.core.rules import Rule, RuleBook, parse_rulebook
from monitor.core.rules.checks import expressions_of, rule_input
from monitor.core.types import SECOND_NS, SubjectKind

_STANDS = "2h"
_OF_THE_BOOK = frozenset({SubjectKind.ACCOUNT, SubjectKind.POSITION})


@dataclass(slots=True, frozen=True)
class HourlyRules:
    """The texts an engine loads, the rules in them, and what was left out or widened: ``left_out``
    because it judges seconds, ``unasked`` because it only pages about a part of the book."""

    files: tuple[tuple[str, str], ...]
    book: RuleBook
    left_out: tuple[str, ...]
    widened: tuple[str, ...]
    unasked: tuple[str, ...] = ()

    def rule(self, rule_id: str) -> Rule | None:
        """A rule that is judged, by id."""
        return next((one for one in self.book.rules if one.id == rule_id), None)

    def acting(self) -> tuple[tuple[str, str], ...]:
        """The texts without the rules that only page and that none of the others reads: all that
        the conduct of a book can depend on."""
        acts = {rule.id for rule in self.book.rules if rule.level is not ActionLevel.PAGE}
        idle = {rule.id for rule in self.book.rules} - _with_read(self.book, acts)
        adapted = [(name, _adapted(text, idle, set())) for name, text in self.files]
        return tuple((name, text) for name, text in adapted if text)


def hourly_rules(files: Sequence[tuple[str, str]], *, every: bool = False) -> HourlyRules:
    """Check a rulebook as it stands, then adapt it. Rules that neither act nor are about the whole
    book are asked only with ``every``: they change nothing here and cost half of the time.

    Raises:
        ConfigError: All mistakes, with the lines of the texts as given.
    """
    whole = parse_rulebook(files, CATALOGUE)
    left_out = {rule.id for rule in whole.rules if reads_ages(rule)}
    while True:  # a rule about a rule that is not there would be a mistake
        more = {
            rule.id
            for rule in whole.rules
            if rule.id not in left_out and _rules_read(rule) & left_out
        }
        if not more:
            break
        left_out |= more
    unasked = set() if every else _idle(whole) - left_out
    narrow = round(STANDS_S * SECOND_NS)
    widened = {
        rule.id
        for rule in whole.rules
        if rule.id not in left_out | unasked
        and rule.max_staleness_ns is not None
        and rule.max_staleness_ns < narrow
    }
    adapted = [(name, _adapted(text, left_out | unasked, widened)) for name, text in files]
    texts = tuple((name, text) for name, text in adapted if text)
    return HourlyRules(
        files=texts,
        book=parse_rulebook(texts, CATALOGUE),
        left_out=tuple(sorted(left_out)),
        widened=tuple(sorted(widened)),
        unasked=tuple(sorted(unasked)),
    )


def _idle(book: RuleBook) -> set[str]:
    """Rules that only page, about less than the whole book, and that none of the others reads."""
    kept = {
        rule.id
        for rule in book.rules
        if rule.level is not ActionLevel.PAGE or rule.for_each is SubjectKind.PORTFOLIO
    }
    return {rule.id for rule in book.rules} - _with_read(book, kept)


def _with_read(book: RuleBook, kept: set[str]) -> set[str]:
    """These rules, and those that they read."""
    while True:
        read = {name for rule in book.rules if rule.id in kept for name in _rules_read(rule)}
        if read <= kept:
            return kept
        kept = kept | read


def reads_ages(rule: Rule) -> bool:
    """Whether a rule asks how old a message, a block or a feed is."""
    return any(
        spec.unit is Unit.SECONDS for name in variables_of(rule) if (spec := CATALOGUE.get(name))
    )


def judges_market_only(rule: Rule) -> bool:
    """Whether nothing that a rule reads depends on the book, so that it says the same about any
    book; rules about rules are counted as depending on it."""
    return not any(_reads_book(name, set()) for name in variables_of(rule))


def _reads_book(name: str, seen: set[str]) -> bool:
    """Whether a measure, or one that it needs, is of accounts or positions (or is none)."""
    if name in seen:
        return False
    seen.add(name)
    own = [one for (known, _), one in DEFINITIONS.items() if known == name]
    if not own or any(one.kind in _OF_THE_BOOK for one in own):
        return True
    return any(_reads_book(needed, seen) for one in own for _, needed in one.needs)


def variables_of(rule: Rule) -> frozenset[str]:
    """Every variable in every condition of a rule."""
    return frozenset(
        name for _, expression in expressions_of(rule) for name in expression.variables
    )


def _rules_read(rule: Rule) -> set[str]:
    found = (rule_input(name) for name in variables_of(rule))
    return {rule_id for one in found if one is not None for rule_id in one.rules}


def _adapted(text: str, left_out: set[str], widened: set[str]) -> str:
    """The same YAML without some rules and with wider ages. The whole was parsed before: only what
    a rulebook may hold is met here."""
    document = yaml.safe_load(text)
    if not isinstance(document, dict):
        return text
    for family, rules in document.items():
        kept = [rule for rule in rules or () if rule.get("id") not in left_out]
        for rule in kept:
            if rule.get("id") in widened:
                rule["max_staleness"] = _STANDS
            covers = [one for one in rule.pop("covered_by", ()) if one not in left_out]
            if covers:
                rule["covered_by"] = covers
        document[family] = kept
    left = {family: rules for family, rules in document.items() if rules}
    return yaml.safe_dump(left, sort_keys=False, allow_unicode=True, width=10_000) if left else ""
