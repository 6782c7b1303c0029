"""A rulebook as it can be judged on hourly data. *Pure.*

Two things of a live rulebook do not fit one fact an hour: limits on the age of messages in seconds,
which would call every value old a minute after it was told, and rules about those ages themselves.
The first are widened to the data's own pace, the second are left out and named in the report. All
else (conditions, confirmations, waits, ends) is judged as written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import yaml

from monitor.core.decision import ActionLevel
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.definition import Compute, Definition, Key
from monitor.core.measures.spec import Unit
from monitor.core.measures.stress_index import HIDDEN as HIDDEN_STRESS
from monitor.core.measures.tree import Correlation, Node, PortfolioNode
from monitor.core.measures.use import FOREVER_NS, Use
from monitor.core.rules import Rule, RuleBook, parse_rulebook
from monitor.core.rules.checks import expressions_of, rule_input
from monitor.core.settings import FreshnessSettings
from monitor.core.state.funding import StressMemory
from monitor.core.types import SECOND_NS, SubjectKind

HOUR_S = 3600.0
HOUR_NS = 3600 * SECOND_NS
# A fact is known until the second hour after it was told begins, to the nanosecond.
STANDS_S = 2.0 * HOUR_S - 1e-9
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
    while True:
        read = {name for rule in book.rules if rule.id in kept for name in _rules_read(rule)}
        if read <= kept:
            return {rule.id for rule in book.rules} - kept
        kept |= read


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
    return {one.rule_id for one in found if one is not None}


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


def hourly_freshness() -> FreshnessSettings:
    """Limits of age for one fact an hour; a feed is silent when it misses one."""
    return FreshnessSettings(
        majors=FreshnessSettings().majors,
        top_majors_s=STANDS_S,
        top_s=STANDS_S,
        mark_majors_s=STANDS_S,
        mark_s=STANDS_S,
        oracle_majors_s=STANDS_S,
        oracle_s=STANDS_S,
        depth_s=STANDS_S,
        open_interest_s=STANDS_S,
        status_s=STANDS_S,
        account_s=STANDS_S,
        orders_s=STANDS_S,
        ledger_s=STANDS_S,
        feed_cadences=1.5,
        feed_floor_s=1.5 * HOUR_S,
        feed_quiet_s=1.5 * HOUR_S,
    )


@dataclass(slots=True)
class Shared:
    """What engines that are told the same of the markets need not all compute: the first fills it
    in, the others read it in the same hour."""

    stress: StressMemory | None = None
    correlations: dict[tuple[str, str], Correlation] = field(default_factory=dict)


def hourly_definitions(
    definitions: Mapping[Key, Definition] = DEFINITIONS,
    *,
    shared: Shared | None = None,
    first: bool = True,
) -> dict[Key, Definition]:
    """The same measures on the grid of full hours: what is computed every second or so is computed
    with each hour's facts, and nothing asks to be looked at again before the next of them."""
    common = shared or Shared()
    made = {}
    for key, one in definitions.items():
        compute = one.compute
        if key == (HIDDEN_STRESS, SubjectKind.PORTFOLIO):
            compute = _stress_told(common, compute) if first else _stress_heard(common, compute)
        elif one.kind is SubjectKind.PORTFOLIO:
            compute = _with_correlations(common, compute)
        made[key] = one if one.clock else _on_the_hour(one, compute)
    return made


def _stress_told(common: Shared, compute: Compute) -> Compute:
    def computed(node: Node, use: Use) -> float | None:
        value = compute(node, use)
        common.stress = use.state.stress
        return value

    return computed


def _stress_heard(common: Shared, compute: Compute) -> Compute:
    def heard(node: Node, use: Use) -> float | None:
        if common.stress is None:
            return compute(node, use)
        use.state.stress = common.stress
        return float(common.stress.now.assets)

    return heard


def _with_correlations(common: Shared, compute: Compute) -> Compute:
    def computed(node: Node, use: Use) -> float | None:
        if isinstance(node, PortfolioNode):
            node.correlations = common.correlations
        return compute(node, use)

    return computed


def _on_the_hour(one: Definition, compute: Compute) -> Definition:
    periodic = bool(one.spec.cadence_s) and not one.bits and not one.needs

    def computed(node: Node, use: Use) -> float | None:
        value = compute(node, use)
        if periodic or use.wake < FOREVER_NS:
            hour = (use.now // HOUR_NS + 1) * HOUR_NS
            use.wake = hour if periodic else max(use.wake, hour)
        return value

    spec = msgspec.structs.replace(one.spec, cadence_s=HOUR_S) if periodic else one.spec
    return msgspec.structs.replace(one, spec=spec, compute=computed)
