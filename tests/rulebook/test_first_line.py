"""What a phone shows of every built-in rule: its number against its limit, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from monitor.core.decision import AlertTransition, CitedReading, RuleMode
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.spec import MeasureSpec, Reading, Unit
from monitor.core.rules.checks import expressions_of, rule_input
from monitor.core.rules.describe import SUMMARY_CHARS_MAX, describe
from monitor.core.rules.expression import Comparison, Expression
from monitor.core.rules.lifecycle import step
from monitor.core.rules.rule import Rule, RuleState
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.rules.words import number
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    AlertState,
    EngineNs,
    Subject,
    SubjectKind,
    Verdict,
)
from monitor.rulebook import builtin_files

BOOK = parse_rulebook(builtin_files(), CATALOGUE)
SUBJECTS = {
    SubjectKind.PORTFOLIO: PORTFOLIO,
    SubjectKind.VENUE: Subject("venue:hyperliquid"),
    SubjectKind.ACCOUNT: Subject("account:hyperliquid/main"),
    SubjectKind.POSITION: Subject("position:hyperliquid/main/BTC"),
    SubjectKind.MARKET: Subject("market:hyperliquid/BTC"),
    SubjectKind.FEED: Subject("feed:hyperliquid/user.main"),
    SubjectKind.ASSET: Subject("asset:BTC"),
    SubjectKind.HEDGE_SET: Subject("hedge_set:eth_carry"),
    SubjectKind.BUCKET: Subject("bucket:contingency"),
    SubjectKind.STRATEGY: Subject("strategy:carry"),
}
# What has no number of its own to be told, and why.
WITHOUT_NUMBER = {
    "event_filter": "a flag of the desk is up or not",
    "event_asset": "a flag of the desk is up or not",
    "asset_flagged": "another rule fires or not; its own page has the number",
    "vol_and_fall_freeze": "another rule fires or not; its own page has the number",
    "equity_suspect": "whether money is explained; the measure's own text has the dollars",
    "funding_flip": "whether it turned; the measure's own text has the rate and its limit",
    "margin_terms_changed": "the venue changed them or not; the measure's own text says to what",
    "market_inactive": "a market trades or not",
    "venue_unhealthy": "the venue says that it is well or not",
}
LONG = "a text of the measure's own that has more to tell than there is room for on any phone"
NOW = EngineNs(1_000 * SECOND_NS)
LEFT = RuleState(state=AlertState.RECOVERING, firing_epoch_ns=EngineNs(SECOND_NS))


def spec_of(name: str) -> MeasureSpec:
    """The measure behind a variable of a rule."""
    other = rule_input(name)
    return CATALOGUE[name if other is None else other.measure]


def beyond(comparison: Comparison) -> tuple[float, float]:
    """Just beyond the limit, where it holds, and just within, where it does not."""
    spec, limit = spec_of(comparison.name), comparison.limit
    if spec.unit is Unit.BOOL:
        above, below = 1.0, 0.0
    elif spec.unit is Unit.COUNT and spec.words and spec.words[0] != "sigma":
        above, below = float(int(limit) + 1), float(int(limit))
    else:
        above, below = limit + 0.02 * (abs(limit) or 1.0), limit - 0.02 * (abs(limit) or 1.0)
    return (above, below) if comparison.holds(above) else (below, above)


def worlds(expression: Expression) -> Iterator[dict[str, float]]:
    """Values just beyond or within the limits of a condition with which it is TRUE."""
    places: dict[str, list[float]] = {}
    for comparison in expression.comparisons:
        found = places.setdefault(comparison.name, [])
        found += [one for one in beyond(comparison) if one not in found]
    for values in product(*places.values()):
        world = dict(zip(places, values, strict=True))
        if expression.evaluate(world.get) is Verdict.TRUE:
            yield world


def flagged(rule: Rule) -> dict[str, float]:
    """As many flags as a rule asks for, each as one of its own worlds has it."""
    world: dict[str, float] = {}
    for _, expression in rule.flags[: rule.at_least]:
        world |= next(one for one in worlds(expression) if not _contradicts(one, world))
    return world


def _contradicts(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return any(other.get(name, value) != value for name, value in one.items())


def told(rule: Rule, world: Mapping[str, float], allowed: RuleMode) -> AlertTransition:
    """A rule that comes back to firing on these values, in words."""
    names = {name for _, one in expressions_of(rule) for name in one.variables}
    readings = {
        name: Reading(
            value=world[name],
            as_of_ns=NOW,
            expires_ns=EngineNs(2 * NOW),
            observed_ns=NOW,
        )
        for name in names & set(world)
    }
    subject = SUBJECTS[rule.for_each]

    def cite(name: str) -> CitedReading:
        spec, known = spec_of(name), readings.get(name)
        other = rule_input(name)
        return CitedReading(
            measure=spec.name,
            subject=subject if other is None else Subject(f"rule:{other.rule_id}"),
            value=None if known is None else known.value,
            unit=spec.unit.value,
            as_of_ns=NOW,
            words=spec.words,
            text=LONG if other is None else "",
        )

    after = step(rule, LEFT, readings.get, NOW)
    return describe(rule, LEFT, after, subject, cite, NOW, allowed=allowed)


def pairs(expression: Expression, world: Mapping[str, float]) -> Iterator[str]:
    """Every number beyond its limit, with that limit, as a page may say it."""
    for comparison in expression.comparisons:
        value, spec = world[comparison.name], spec_of(comparison.name)
        if spec.unit is Unit.BOOL or not comparison.holds(value):
            continue
        shown = number(value, spec.unit, spec.words)
        if comparison.limit == 0.0:
            yield f" {shown} {comparison.op} 0"
            continue
        limit = number(comparison.limit, spec.unit, () if spec.unit is Unit.COUNT else spec.words)
        yield f" {shown} {comparison.op} {limit}"
        if spec.unit is Unit.COUNT and spec.words:
            most = comparison.limit if comparison.op == ">=" else int(comparison.limit)
            yield f" {shown} (limit {0 if comparison.limit == 1.0 else most:g})"


@pytest.mark.parametrize("allowed", [RuleMode.OBSERVE, RuleMode.ACT])
@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_number_limit_scope_and_action_are_in_the_first_line(rule: Rule, allowed: RuleMode) -> None:
    """With every combination of what may make it fire, however long the measure's own text is."""
    every = [flagged(rule)] if rule.when is None else list(worlds(rule.when))
    assert every
    for world in every:
        page = told(rule, world, allowed)
        assert page.after is AlertState.FIRING
        line = page.summary
        assert len(line) <= SUMMARY_CHARS_MAX
        kind, _, name = SUBJECTS[rule.for_each].partition(":")
        assert f"; {kind} {name}".rstrip() in line
        assert line.endswith((page.brief, page.brief.replace(f" the {kind}", " it")))
        if rule.when is None:
            least = f"{rule.at_least} of {len(rule.flags)} flags (limit {rule.at_least})"
            assert least in line
        else:
            found = [one for one in pairs(rule.when, world) if one in line]
            assert bool(found) is (rule.id not in WITHOUT_NUMBER), line


def test_what_has_no_number_asks_only_whether() -> None:
    """The exceptions exist, and none of them compares anything with a limit above zero."""
    for name in WITHOUT_NUMBER:
        rule = BOOK.get(name)
        assert rule is not None
        assert rule.when is not None
        for one in rule.when.comparisons:
            assert spec_of(one.name).unit is Unit.BOOL or one.limit == 0.0
