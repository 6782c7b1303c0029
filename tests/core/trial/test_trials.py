"""Tests of rules play through the real engine; their mistakes are told with the line."""

from __future__ import annotations

import pytest

from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.core.trial.file import check_rules, parse_trials
from monitor.core.trial.run import play
from monitor.core.trial.trial import Trial

RULES = """\
- id: cut_it
  for_each: portfolio
  summary: Cut it
  when: drawdown_ratio >= 0.08
  confirm: {need: 2, of: 2, apart: 1m}
  until: drawdown_ratio <= 0.05
  keep_firing_for: 10m
  reentry: drawdown_ratio <= 0.02
  severity: critical
  do: {level: cut, gross_to: 0.70}
- id: own_account
  for_each: account
  summary: Leverage of an account
  when: leverage >= 5.0
  for: 2m
  severity: high
- id: both
  for_each: portfolio
  summary: Two of two
  flags: {loss: drawdown_ratio >= 0.05, firing: firing__own_account > 0.5}
  at_least: 2
  within: 5m
  severity: high
"""
FILES = [("rules.yaml", RULES)]


def trial_of(series: str, expect: str, more: str = "") -> Trial:
    """One test from the two parts that matter."""
    text = f"tests:\n- name: one\n  {more}\n  series:\n    {series}\n  expect:\n    - {expect}\n"
    file = parse_trials(text, source="t.yaml", catalogue=CATALOGUE)
    check_rules(file, parse_rulebook(FILES, CATALOGUE))
    return file.trials[0]


@pytest.mark.parametrize(
    ("series", "expect"),
    [
        pytest.param(
            "drawdown_ratio: 0.09x3",
            "{at: 59s, rule: cut_it, state: pending, asks: none}",
            id="one observation is not enough",
        ),
        pytest.param(
            "drawdown_ratio: 0.09x3",
            "{at: 1m, rule: cut_it, state: firing, asks: {level: cut, gross_to: 0.7, "
            "scope: portfolio, capped: false}, episodes: 1}",
            id="two are",
        ),
        pytest.param(
            "drawdown_ratio: 0.09 =x5",
            "{at: 5m, rule: cut_it, state: pending}",
            id="the same value again confirms nothing",
        ),
        pytest.param(
            "drawdown_ratio: 0.09~x3",
            "{at: 2m, rule: cut_it, asks: {level: hold, capped: true}}",
            id="an estimate may only hold",
        ),
        pytest.param(
            "drawdown_ratio: 0.09x2 0.04x5 _x2 0.04x10",
            "{at: 18m 59s, rule: cut_it, state: recovering}",
            id="a gap starts the time anew",
        ),
        pytest.param(
            "drawdown_ratio: 0.09x2 0.04x5 _x2 0.04x11",
            "{at: 19m, rule: cut_it, state: inactive, reentry_permitted: false, asks: none}",
            id="and then it ends, and may not go back at 4 %",
        ),
        pytest.param(
            "drawdown_ratio: 0.09x2 0.04x11 0.02x5",
            "{at: 14m, rule: cut_it, state: inactive, reentry_permitted: true}",
            id="at 2 % it may",
        ),
        pytest.param(
            "leverage account:dydx/main: 6x3",
            "{at: 2m, rule: own_account, subject: 'account:dydx/main', state: firing}",
            id="an account's own series",
        ),
        pytest.param(
            "leverage: 6x3",
            "{at: 2m, rule: own_account, subject: 'account:dydx/main', verdict: unknown}",
            id="the portfolio's leverage is not the account's",
        ),
        pytest.param(
            "leverage account:dydx/main: 6x3",
            "{at: 2m, rule: both, verdict: unknown, flags: {loss: unknown, firing: true}}",
            id="one flag true and the other not known",
        ),
        pytest.param(
            "drawdown_ratio: 0.06 0.01x20", "{at: 5m, rule: both, verdict: false}", id="none"
        ),
        pytest.param(
            "drawdown_ratio: 0.06", "{at: 1m, rule: cut_it, verdict: unknown}", id="after the end"
        ),
    ],
)
def test_what_holds(series: str, expect: str) -> None:
    """As the daemon would have it; verdicts that are left open are not compared."""
    assert play(trial_of(series, expect), FILES, CATALOGUE) == ()


def test_times_of_the_clock() -> None:
    """Also past midnight."""
    trial = trial_of(
        "drawdown_ratio: 0.09x3",
        "{at: '00:01', rule: cut_it, state: pending}",
        'start: "23:59"\n  step: 1m',
    )
    found = play(trial, FILES, CATALOGUE)
    assert [(one.what, one.expected, one.found) for one in found] == [
        ("state", "pending", "firing")
    ]
    assert found[0].notes == ("drawdown_ratio of portfolio: 9 %",)


def test_a_difference_says_what_was_read() -> None:
    """With the reason of what is absent."""
    trial = trial_of("drawdown_ratio: _", "{at: 0, rule: cut_it, state: firing, verdict: true}")
    found = play(trial, FILES, CATALOGUE)
    assert [(one.what, one.found) for one in found] == [
        ("state", "inactive"),
        ("verdict", "unknown"),
    ]
    assert found[0].notes == ("drawdown_ratio of portfolio: unknown (a gap in its series)",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[]", "t.yaml:1: file.tests: a file of rule tests", id="no tests"),
        pytest.param(
            "tests:\n- name: a\n  series: {levrage: 1}\n"
            "  expect: [{at: 0, rule: both, state: firing}]",
            "t.yaml:3: a.series.levrage: levrage is not a measure. Did you mean 'leverage'?",
            id="a mistyped measure",
        ),
        pytest.param(
            "tests:\n- name: a\n  series:\n    leverage market:dydx/BTC-USD: 1\n"
            "  expect: [{at: 0, rule: both, state: firing}]",
            "t.yaml:4: a.series.leverage market:dydx/BTC-USD: leverage is not measured for a "
            "market. Allowed: account:VENUE/ACCOUNT, venue:VENUE, portfolio",
            id="a measure of something else",
        ),
        pytest.param(
            "tests:\n- name: a\n  series: {leverage: 40%}\n"
            "  expect: [{at: 0, rule: both, state: firing}]",
            "t.yaml:3: a.series.leverage: '40%' is no entry",
            id="an entry that is none",
        ),
        pytest.param(
            "tests:\n- name: a\n  expect:\n  - {at: soon, rule: both, state: firing}",
            "t.yaml:4: expect.at: must say when. Found: soon.",
            id="no time",
        ),
        pytest.param(
            "tests:\n- name: a\n  expect:\n  - {at: 5m, rule: both}",
            "t.yaml:4: expect: expects nothing.",
            id="nothing expected",
        ),
        pytest.param(
            "tests:\n- name: a\n  expect:\n  - {at: 5m, rule: both, state: fireing}",
            "Did you mean 'firing'?",
            id="a mistyped state",
        ),
        pytest.param(
            "tests:\n- name: a\n  expect:\n  - {at: 5m, rule: bothh, state: firing}",
            "t.yaml:4: expect: bothh is no rule of this book. Did you mean 'both'?",
            id="a mistyped rule",
        ),
        pytest.param(
            "tests:\n- name: a\n  expect:\n  - {at: 5m, rule: own_account, state: firing}",
            "t.yaml:4: expect: own_account is not about portfolio.",
            id="another subject",
        ),
    ],
)
def test_mistakes_have_their_line(text: str, said: str) -> None:
    """Before anything is played."""
    with pytest.raises(ConfigError) as caught:
        check_rules(
            parse_trials(text, source="t.yaml", catalogue=CATALOGUE),
            parse_rulebook(FILES, CATALOGUE),
        )
    assert any(said in str(problem) for problem in caught.value.problems), caught.value.problems
