"""A live rulebook on hourly data: what is widened, what is left out, what stays as written."""

from __future__ import annotations

import pytest

from monitor.backtest.hourly import OF_MARKETS, hourly_definitions
from monitor.backtest.rules import (
    hourly_rules,
    judges_market_only,
    reads_ages,
)
from monitor.core.decision import ActionLevel
from monitor.core.errors import ConfigError
from monitor.core.types import SECOND_NS, SubjectKind
from monitor.rulebook import builtin_files

BOOK = """\
mine:
  - id: hot
    for_each: portfolio
    summary: Hot
    when: funding_expensive_share_ratio >= 0.40
    until: funding_expensive_share_ratio <= 0.20
    keep_firing_for: 24h
    confirm: {need: 2, of: 2, apart: 5m}
    max_staleness: 5m
    severity: critical
    do: {level: cut, gross_to: 0.70}
    scope: portfolio
  - id: old
    for_each: account
    summary: Old
    when: account_age_s >= 60.0
    severity: high
  - id: thin
    for_each: account
    summary: Thin
    when: leverage >= 2.0
    severity: warning
    covered_by: [old]
  - id: after_old
    for_each: portfolio
    summary: After old
    when: firing__old > 0.5
    severity: info
  - id: lost
    for_each: portfolio
    summary: Lost
    when: drawdown_ratio >= 0.10
    severity: high
"""


def test_ages_are_widened_and_age_rules_left_out() -> None:
    """The rule about seconds goes, and the one that reads it; all else stays as written."""
    rules = hourly_rules([("mine.yaml", BOOK)], every=True)
    assert rules.left_out == ("after_old", "old")
    assert rules.widened == ("hot",)
    hot = rules.rule("hot")
    assert hot is not None
    assert hot.max_staleness_ns == 7200 * SECOND_NS
    assert hot.keep_firing_for_ns == 24 * 3600 * SECOND_NS
    assert hot.gross_to_ratio == 0.70
    thin = rules.rule("thin")
    assert thin is not None
    assert thin.covered_by == ()
    assert rules.rule("old") is None


def test_who_judges_the_market_alone() -> None:
    """Funding does, drawdown reads the book."""
    rules = hourly_rules([("mine.yaml", BOOK)], every=True)
    judged = {rule.id: judges_market_only(rule) for rule in rules.book.rules}
    assert judged == {"hot": True, "thin": False, "lost": False}


def test_of_the_builtin_rules_that_cut_only_stress_reads_the_market_alone() -> None:
    """A drawdown of thirty days is stated of the portfolio alone, and yet is of the book."""
    rules = hourly_rules(builtin_files())
    cutting = [rule for rule in rules.book.rules if rule.level is ActionLevel.CUT]
    assert [rule.id for rule in cutting if judges_market_only(rule)] == [
        "funding_stress",
        "funding_stress_deeper",
    ]


def test_what_only_pages_about_a_part_is_not_asked() -> None:
    """Unless every rule is wanted; what another rule reads is asked all the same."""
    rules = hourly_rules([("mine.yaml", BOOK)])
    assert rules.unasked == ("thin",)
    assert {rule.id for rule in rules.book.rules} == {"hot", "lost"}
    reader = """\
  - id: reader
    for_each: portfolio
    summary: Reader
    when: firing__thin > 0.5
    severity: info
"""
    rules = hourly_rules([("mine.yaml", BOOK + reader)])
    assert rules.unasked == ()


def test_mistakes_keep_the_lines_of_the_file() -> None:
    """A rulebook is checked as it was written, before anything is left out."""
    with pytest.raises(ConfigError, match=r"mine\.yaml:5"):
        hourly_rules([("mine.yaml", BOOK.replace("funding_expensive_share_ratio >=", "nope >="))])


def test_the_builtin_rulebook_can_be_judged() -> None:
    """Only rules about the age of messages are missing."""
    rules = hourly_rules(builtin_files())
    assert "drawdown_15" in {rule.id for rule in rules.book.rules}
    assert "account_truth_stale" in rules.left_out
    assert not any(reads_ages(rule) for rule in rules.book.rules)


def test_what_is_computed_every_second_is_computed_every_hour() -> None:
    """And what facts make dirty is left as it is."""
    made = hourly_definitions()
    share = made["funding_expensive_share_ratio", SubjectKind.PORTFOLIO]
    assert share.spec.cadence_s == 3600.0
    assert made["drawdown_ratio", SubjectKind.PORTFOLIO].spec.cadence_s == 0.0


def test_what_is_computed_once_follows_from_the_markets_alone() -> None:
    """Every name exists, and a rule that reads nothing else would say the same about any book."""
    made = hourly_definitions()
    for name, kind in OF_MARKETS:
        one = made[name, kind]
        assert not one.always
        assert not one.clock
        text = f"mine:\n  - {{id: one, for_each: {kind.value}, summary: One, when: {name} >= 0.5, "
        rules = hourly_rules([("mine.yaml", text + "severity: info}\n")], every=True)
        assert judges_market_only(rules.book.rules[0]), name


PAGING = """\
mine:
  - {id: acts, for_each: portfolio, summary: A, when: firing__read > 0.5 || leverage >= 9.0,
     confirm: {need: 2, of: 2, apart: 20s}, severity: critical, scope: portfolio,
     do: {level: cut, gross_to: 0.70}}
  - {id: read, for_each: portfolio, summary: R, when: leverage >= 2.0, severity: warning}
  - {id: idle, for_each: portfolio, summary: I, when: leverage >= 3.0, severity: warning}
"""


def test_later_engines_are_asked_only_what_conduct_depends_on() -> None:
    """What acts and what it reads; of the built-in rules, every one that asks for something."""
    rules = hourly_rules([("mine.yaml", PAGING)])
    assert "idle" in ids(rules.files)
    assert ids(rules.acting()) == {"acts", "read"}
    builtin = hourly_rules(builtin_files())
    acting = {rule.id for rule in builtin.book.rules if rule.level is not ActionLevel.PAGE}
    assert acting <= ids(builtin.acting()) < ids(builtin.files)


def ids(files: tuple[tuple[str, str], ...]) -> set[str]:
    """Of the rules in some texts."""
    return {rule.id for rule in hourly_rules(files).book.rules}
