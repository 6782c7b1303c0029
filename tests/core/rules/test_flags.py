"""k-of-n flags within a window: the thirty-minute rows, and what unknown does to them."""

from __future__ import annotations

import pytest

from monitor.core.measures.spec import Reading
from monitor.core.rules.lifecycle import restored, step
from monitor.core.rules.rule import NEW, Rule, RuleState
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import AlertState, Verdict
from tests.core.rules.catalogue import SMALL, at, reading

MINUTE = 60.0
ANY_TWO = """
- id: any_two
  summary: Two flags
  severity: high
  for_each: venue
  flags:
    a: stress >= 35.0
    b: leverage >= 5.0
    c: margin_usage_ratio >= 0.5
  at_least: 2
  within: 30m
  for: 5m
"""
NAMES = {"a": ("stress", 40.0), "b": ("leverage", 6.0), "c": ("margin_usage_ratio", 0.6)}


def any_two() -> Rule:
    """Two of three flags within half an hour, for five minutes."""
    return parse_rulebook(
        [("t.yaml", ANY_TWO.replace("for_each: venue", "for_each: portfolio"))], SMALL
    ).rules[0]


def look(flags: str, now_s: float) -> dict[str, Reading]:
    """Readings: a letter is true, a dash after it (``a-``) unknown, all others false."""
    found = {}
    for letter, (name, value) in NAMES.items():
        if f"{letter}-" not in flags:
            found[name] = reading(value if letter in flags else 0.0, now_s)
    return found


class Story:
    """Drives a rule through a list of changes, waking it exactly when it asked to be woken."""

    def __init__(self) -> None:
        self.rule = any_two()
        self.state: RuleState = NEW
        self.fired_at_min: list[float] = []

    def play(self, changes: list[tuple[float, str]], until_min: float) -> Story:
        """(minute, flags) from then on; evaluates at each change and at each wake-up."""
        for index, (start, flags) in enumerate(changes):
            end = changes[index + 1][0] if index + 1 < len(changes) else until_min
            now: float | None = start * MINUTE
            while now is not None and now < end * MINUTE:
                result = step(self.rule, self.state, look(flags, now).get, at(now))
                if result.changed and result.state.state is AlertState.FIRING:
                    self.fired_at_min.append(now / MINUTE)
                self.state = result.state
                now = None if result.wake_at_ns is None else result.wake_at_ns / 1e9
        return self


@pytest.mark.parametrize(
    ("changes", "fired_at"),
    [
        pytest.param([(0, "ab")], [5.0], id="two at once, five minutes"),
        pytest.param([(0, "ab"), (4.9, "")], [5.0], id="both over, but they count on"),
        pytest.param([(0, "a")], [], id="one alone"),
        pytest.param([(0, "a"), (10, ""), (30, "c")], [35.0], id="half an hour overlaps ten"),
        pytest.param([(0, "a"), (10, ""), (37, "c")], [], id="overlap shorter than five minutes"),
        pytest.param([(0, "a"), (10, ""), (35, "c")], [], id="overlap ends as it would fire"),
        pytest.param([(0, "a"), (10, ""), (34.9, "c")], [39.9], id="overlap just long enough"),
        pytest.param([(0, "a"), (10, ""), (40, "c")], [], id="window just over"),
    ],
)
def test_window(changes: list[tuple[float, str]], fired_at: list[float]) -> None:
    """A flag counts at t if it was true at any instant in (t - 30 min, t]."""
    assert Story().play(changes, 60).fired_at_min == pytest.approx(fired_at)


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        pytest.param("ab", Verdict.TRUE, id="enough"),
        pytest.param("abc-", Verdict.TRUE, id="enough, whatever the third"),
        pytest.param("a", Verdict.FALSE, id="one of two"),
        pytest.param("ab-", Verdict.UNKNOWN, id="the unknown one could decide"),
        pytest.param("b-", Verdict.FALSE, id="the unknown one could not suffice"),
        pytest.param("b-c-", Verdict.UNKNOWN, id="two unknown could"),
        pytest.param("a-b-c-", Verdict.UNKNOWN, id="nothing known"),
    ],
)
def test_unknown_flags(flags: str, verdict: Verdict) -> None:
    """TRUE if enough are, FALSE if the unknown could not make it, else UNKNOWN."""
    assert step(any_two(), NEW, look(flags, 1.0).get, at(1)).verdict is verdict


def test_a_flag_unknown_within_the_window_may_have_been_true() -> None:
    """Half an hour after data came back nothing is held against it any more, not before."""
    rule = any_two()
    state = step(rule, NEW, look("ab-", 0.0).get, at(0)).state
    state = step(rule, state, look("a", 60.0).get, at(60)).state
    for now_s, verdict in ((60 + 1799.9, Verdict.UNKNOWN), (60 + 1800, Verdict.FALSE)):
        assert step(rule, state, look("a", now_s).get, at(now_s)).verdict is verdict


def test_a_restart_is_unknown_time() -> None:
    """What a flag was before the stop counts on; the gap might have held anything."""
    rule = any_two()
    state = step(rule, NEW, look("ab", 0.0).get, at(0)).state
    back = restored(rule, state, stopped_ns=at(60), now=at(600))
    assert step(rule, back, look("", 601).get, at(601)).verdict is Verdict.TRUE
    quiet = step(rule, NEW, look("", 0.0).get, at(0)).state
    back = restored(rule, quiet, stopped_ns=at(60), now=at(600))
    assert step(rule, back, look("", 601).get, at(601)).verdict is Verdict.UNKNOWN


def test_the_rule_wakes_when_a_flag_ceases_to_count() -> None:
    """The window ends without any event."""
    rule = any_two()
    state = step(rule, NEW, look("a", 0.0).get, at(0)).state
    assert step(rule, state, look("", 600.0).get, at(600)).wake_at_ns == at(600 + 1800)


def test_flags_were_unknown_while_the_rule_failed() -> None:
    """After an error nothing is concluded from what could not be judged meanwhile."""

    def broken(_name: str) -> Reading | None:
        raise LookupError("x")

    rule = any_two()
    state = step(rule, NEW, look("", 0.0).get, at(0)).state
    state = step(rule, state, broken, at(10)).state
    healed = step(rule, state, look("", 20.0).get, at(20))
    assert healed.verdict is Verdict.UNKNOWN
    assert step(rule, healed.state, look("", 1820.0).get, at(1820)).verdict is Verdict.FALSE


def test_a_failing_flag_fails_the_rule() -> None:
    """The error names the flag."""

    def broken(name: str) -> Reading | None:
        if name == "leverage":
            raise LookupError(name)
        return reading(0.0, 1.0)

    result = step(any_two(), NEW, broken, at(1))
    assert result.verdict is Verdict.ERROR
    assert result.state.error == "flag b: LookupError: leverage"
