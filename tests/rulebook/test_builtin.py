"""The built-in rules parse over the real measures, and each has a page that helps."""

from __future__ import annotations

import pytest

from monitor.actions.telling import STEP_ALERT, STORE_ALERT
from monitor.app.approval import ALERT as WAITING_ALERT
from monitor.app.degraded import ALERT as DEGRADED_ALERT
from monitor.app.signer_watch import ALERT as SIGNER_ALERT
from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.killswitch import words
from monitor.core.killswitch.episodes import asks, holds, proposals, waiting
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules.checks import PLACES
from monitor.core.rules.rule import Rule
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import Severity, SubjectKind, louder_than
from monitor.notify.blindness import (
    EXPLAIN_BLINDNESS,
    EXPLAIN_UNKNOWN,
    INPUTS_STALE,
    INPUTS_UNKNOWN,
)
from monitor.notify.dispatch import RULE_FAILING, WATCHDOG
from monitor.notify.notice import runbook_of
from monitor.notify.pager import NOTIFY_FAILING, STORE_FAILING
from monitor.notify.queue import UNDELIVERED
from monitor.rulebook import builtin_files, runbook, runbook_names

SECTIONS = (
    "## Meaning",
    "## Impact",
    "## Diagnosis",
    "## Mitigation",
    "## What the daemon has already done",
    "## Manual steps if the daemon is down",
)
BOOK = parse_rulebook(builtin_files(), CATALOGUE)
# What riskd says about itself.
OWN = (
    WATCHDOG, RULE_FAILING, INPUTS_STALE, INPUTS_UNKNOWN, NOTIFY_FAILING, STORE_FAILING,
    UNDELIVERED,
    words.ALERT, holds.ALERT, proposals.ALERT, asks.WOULD_ALERT, waiting.ALERT,
    STEP_ALERT, STORE_ALERT, SIGNER_ALERT, WAITING_ALERT, DEGRADED_ALERT,
)  # fmt: skip
OWN_PAGES = {runbook_of(alert): alert for alert in OWN}
every_rule = pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
every_page = pytest.mark.parametrize("name", runbook_names())


def test_pages_are_those_of_rules_and_of_riskd_itself() -> None:
    """An alert without a page and a page without an alert both fail."""
    rules = {rule.id for rule in BOOK.rules}
    assert set(runbook_names()) == rules | set(OWN_PAGES)
    assert not rules & set(OWN_PAGES)
    assert all(runbook(name) for name in OWN_PAGES)


@every_page
def test_page_layout(name: str) -> None:
    """Alert name as title, the six sections in order, none of them empty."""
    page = runbook(name) or ""
    rule = BOOK.get(name)
    if rule is None:
        head = f"# {OWN_PAGES[name]}\n\nAlert `{name}`, raised by riskd about itself.\n"
    else:
        head = f"# {rule.alert}\n\nRule `{rule.id}`.\n"
    assert page.startswith(head)
    assert [line for line in page.splitlines() if line.startswith("## ")] == list(SECTIONS)
    for section in page.split("\n## ")[1:]:
        assert len(section.partition("\n")[2].strip()) >= 40, section


@every_rule
def test_a_rule_names_its_page(rule: Rule) -> None:
    """The link on its page leads somewhere."""
    assert rule.runbook == rule.id


@every_page
def test_pages_name_only_alerts_that_exist(name: str) -> None:
    """A cross-reference in CamelCase is a rule of the book, so nobody searches in vain."""
    alerts = {one.alert for one in BOOK.rules} | set(OWN)
    page = runbook(name) or ""
    known = {"CamelCase"}
    words = {word.strip(".,;:()*?") for word in page.split()}
    camel = {
        word
        for word in words
        if word.isalnum() and word[:1].isupper() and sum(c.isupper() for c in word) >= 2
        and any(c.islower() for c in word)
    }  # fmt: skip
    prefixes = (
        "Drawdown", "Funding", "Margin", "Liquidation", "Venue", "Oracle", "Account", "Riskd",
        "Notify", "Store", "RuleEval",
    )  # fmt: skip
    assert {word for word in camel - known if word.startswith(prefixes)} <= alerts


def test_pages_say_what_the_rule_would_have_done() -> None:
    """The section about the daemon matches the rule's action."""
    for rule in BOOK.rules:
        page = runbook(rule.runbook) or ""
        done = page.partition("## What the daemon has already done")[2].partition("## ")[0]
        assert ("WOULD HAVE" in done) is (rule.level is not ActionLevel.PAGE), rule.id


@every_rule
def test_built_in_rules_start_in_observe(rule: Rule) -> None:
    """Nothing that ships acts by itself, and nothing that ships halts or flattens; nine cuts
    are proposed to whoever armed riskd."""
    proposed = rule.id in {
        "funding_stress", "funding_stress_deeper", "any_two_cut", "any_two_cut_book",
        "leverage_cap", "leverage_portfolio_cut", "leverage_venue_cut", "leverage_asset_cut",
        "vol_and_fall",
    }  # fmt: skip
    assert rule.mode is (RuleMode.PROPOSE if proposed else RuleMode.OBSERVE)
    assert rule.level not in {ActionLevel.HALT, ActionLevel.FLATTEN}


@every_rule
def test_data_rules_never_cut(rule: Rule) -> None:
    """What is about sight may page and hold."""
    if rule.family == "data":
        assert rule.level in {ActionLevel.PAGE, ActionLevel.HOLD}


@pytest.mark.parametrize(
    ("rungs", "limits"),
    [
        (("drawdown_5", "drawdown_8", "drawdown_12", "drawdown_15"), (0.05, 0.08, 0.12, 0.15)),
        (
            ("margin_usage_warning", "margin_usage_high", "margin_usage_critical"),
            (0.15, 0.30, 0.45),
        ),
    ],
    ids=["drawdown", "margin usage"],
)
def test_ladders(rungs: tuple[str, ...], limits: tuple[float, ...]) -> None:
    """The rungs stand where the catalogue of rules puts them, each louder than the last."""
    rules = [rule for rung in rungs if (rule := BOOK.get(rung)) is not None]
    found = [rule.when.comparisons[0].limit for rule in rules if rule.when is not None]
    assert tuple(found) == limits
    loudness = [list(Severity).index(rule.severity) for rule in rules]
    assert loudness == sorted(loudness)


def test_no_built_in_rule_is_silenced_by_its_equal() -> None:
    """Also across files: what covers is louder, and told of the same place or a wider one."""
    for rule in BOOK.rules:
        for name in rule.covered_by:
            cover = BOOK.get(name)
            assert cover is not None
            assert louder_than(cover.severity, rule.severity), (rule.id, name)
            wider = PLACES[rule.page_per or rule.for_each]
            assert (cover.page_per or cover.for_each) in wider, (rule.id, name)


def test_what_explains_blindness_is_in_the_book() -> None:
    """A renamed rule must not leave blindness told twice."""
    assert all(BOOK.get(name) is not None for name in EXPLAIN_BLINDNESS)
    rules = {name for name in EXPLAIN_UNKNOWN if not name.endswith("!")}
    assert all(BOOK.get(name) is not None for name in rules)


def test_no_rule_about_many_pages_for_each() -> None:
    """Feeds, markets and positions are told of by their account or venue: one fault there is one
    page, however many it takes with it."""
    many = {SubjectKind.FEED, SubjectKind.MARKET, SubjectKind.POSITION}
    assert [rule.id for rule in BOOK.rules if (rule.page_per or rule.for_each) in many] == []


def test_unknown_pages_are_none() -> None:
    """A desk's own rule has no built-in page, and a path is no page."""
    assert runbook("no_such_rule") is None
    assert runbook("../__init__") is None
