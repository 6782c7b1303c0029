"""Which changes of a rulebook wait for a second person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.decision import RuleMode
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.core.rules.expression import Expression
from monitor.core.rules.loosened import implies, loosened
from monitor.core.types import Verdict
from tests.core.rules.catalogue import SMALL

CUT = {
    "id": "cut_it",
    "for_each": "portfolio",
    "summary": "Cut it",
    "when": "stress >= 60.0",
    "confirm": "{need: 2, of: 2, apart: 5m}",
    "until": "stress <= 30.0",
    "keep_firing_for": "24h",
    "min_hold": "1h",
    "reentry": "stress <= 30.0",
    "severity": "critical",
    "do": "{level: cut, gross_to: 0.7}",
    "scope": "portfolio",
    "mode": "act",
}
FLAGS = {
    "id": "two",
    "for_each": "portfolio",
    "summary": "Two",
    "flags": "{a: stress >= 35.0, b: leverage >= 3.0, c: firing__cut_it > 0.5}",
    "at_least": "2",
    "within": "30m",
    "severity": "high",
    "do": "{level: block_new}",
    "mode": "act",
}
HOLD = {
    "id": "dark",
    "for_each": "venue",
    "only": "{venue: [dydx]}",
    "summary": "Dark",
    "when": "feeds_stale >= 1.0",
    "max_staleness": "1m",
    "on_unknown": "fire",
    "severity": "high",
    "do": "{level: hold}",
    "mode": "act",
}
QUIET = {
    "id": "page_it",
    "for_each": "portfolio",
    "summary": "Page",
    "when": "leverage >= 3.0",
    "severity": "warning",
}


def text_of(*rules: dict[str, str]) -> str:
    """As a person writes it."""
    return "\n".join(
        "\n".join(
            f"{'- ' if index == 0 else '  '}{key}: {value}"
            for index, (key, value) in enumerate(one.items())
        )
        for one in rules
    )


def book_of(*rules: dict[str, str]) -> RuleBook:
    """Checked."""
    return parse_rulebook([("r.yaml", text_of(*rules))], SMALL)


def without(rule: dict[str, str], key: str) -> dict[str, str]:
    """The rule as it is without a field."""
    return {name: value for name, value in rule.items() if name != key}


BASE = book_of(CUT, FLAGS, HOLD, QUIET)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"when": "stress >= 61.0"}, "cut_it may fire later", id="threshold up"),
        pytest.param({"when": "stress >= 59.0"}, "", id="threshold down"),
        pytest.param({"when": "stress > 60.0"}, "may fire later", id="no longer at the limit"),
        pytest.param(
            {
                "when": "stress >= 60.0 || leverage >= 5.0",
                "until": "stress <= 30.0 && leverage < 5.0",
            },
            "",
            id="one more reason to fire",
        ),
        pytest.param(
            {"when": "stress >= 60.0 && leverage >= 5.0"}, "fire later", id="one more condition"
        ),
        pytest.param({"until": "stress <= 31.0"}, "may end sooner: until", id="ends earlier"),
        pytest.param({"until": "stress <= 29.0"}, "", id="ends later"),
        pytest.param({"keep_firing_for": "23h"}, "shorter calm", id="shorter calm"),
        pytest.param({"keep_firing_for": "25h"}, "", id="longer calm"),
        pytest.param({"min_hold": "59m"}, "min_hold", id="shorter hold"),
        pytest.param({"reentry": "stress <= 31.0"}, "the way back sooner", id="way back"),
        pytest.param({"reentry": "stress <= 20.0"}, "", id="a harder way back"),
        pytest.param({"confirm": "{need: 3, of: 3, apart: 5m}"}, "more observations", id="confirm"),
        pytest.param({"confirm": "{need: 2, of: 2, apart: 1m}"}, "", id="confirmed faster"),
        pytest.param({"for": "1m"}, "waits longer", id="for"),
        pytest.param({"do": "{level: cut, gross_to: 0.8}"}, "cuts to 0.8", id="cuts less"),
        pytest.param({"do": "{level: cut, gross_to: 0.5}"}, "cuts to 0.5", id="cuts more"),
        pytest.param(
            {"do": "{level: cut, gross_to: gross_exposure_usd}"},
            "cuts to gross_exposure_usd, before 0.7",
            id="cuts to a measure",
        ),
        pytest.param({"do": "{level: block_new}"}, "no longer cut", id="a lower level"),
        pytest.param({"do": "{level: halt}"}, "asks for more: halt", id="a higher level"),
        pytest.param({"mode": "propose"}, "may propose, no longer act", id="only proposes"),
        pytest.param({"mode": "observe"}, "may observe, no longer act", id="only observes"),
        pytest.param({"max_staleness": "1m"}, "max_staleness", id="blind to older readings"),
        pytest.param({"enabled": "false"}, "cut_it is disabled", id="disabled"),
        pytest.param({"summary": "Other words", "help": "More words"}, "", id="words"),
    ],
)  # fmt: skip
def test_one_change(change: dict[str, str], said: str) -> None:
    """Of an acting rule, in one direction only."""
    flags = {**FLAGS, "flags": "{a: stress >= 35.0, b: leverage >= 3.0}"}
    before, after = book_of(CUT, flags), book_of({**CUT, **change}, flags)
    found = loosened(before, after)
    assert bool(found) is bool(said), found
    assert any(said in one for one in found) or not said


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param((FLAGS | {"at_least": "3"},), "needs 3 flags", id="more flags"),
        pytest.param((FLAGS | {"at_least": "1"},), "", id="fewer flags"),
        pytest.param((FLAGS | {"within": "29m"},), "shorter time", id="a shorter window"),
        pytest.param(
            (
                FLAGS
                | {"flags": "{a: stress >= 36.0, b: leverage >= 3.0, c: firing__cut_it > 0.5}"},
            ),
            "its flag a later",
            id="a flag that comes later",
        ),
        pytest.param(
            (FLAGS | {"flags": "{a: stress >= 35.0, b: leverage >= 3.0}"},),
            "lost its flag c",
            id="a flag less",
        ),
        pytest.param((HOLD | {"on_unknown": "hold"},), "missing data", id="unknown holds"),
        pytest.param((without(HOLD, "only"),), "other subjects", id="other subjects"),
        pytest.param((QUIET | {"when": "leverage >= 9.0"},), "", id="a rule that only pages"),
        pytest.param(
            (QUIET | {"severity": "high", "do": "{level: block_new}", "mode": "act"},),
            "page_it did not act and may now act block_new",
            id="one that begins to act",
        ),
        pytest.param(
            (QUIET | {"id": "new_one", "severity": "high", "do": "{level: hold}", "mode": "act"},),
            "new_one is new and may act hold",
            id="a new one that acts",
        ),
        pytest.param((QUIET | {"id": "new_one"},), "", id="a new one that pages"),
    ],
)
def test_other_changes(rules: tuple[dict[str, str], ...], said: str) -> None:
    """Later rules of the same id replace the earlier."""
    known = {one["id"]: one for one in (CUT, FLAGS, HOLD, QUIET, *rules)}
    found = loosened(BASE, book_of(*known.values()))
    assert bool(found) is bool(said), found
    assert any(said in one for one in found) or not said


def test_a_rule_that_an_acting_one_reads() -> None:
    """Silencing it silences the other, so it counts although it only pages."""
    quiet = {**CUT, "mode": "observe"}
    found = loosened(book_of(quiet, FLAGS), book_of({**quiet, "when": "stress >= 70.0"}, FLAGS))
    assert found == ("cut_it may fire later: stress >= 60.0 became stress >= 70.0.",)


def test_what_the_desk_says_of_modes_counts() -> None:
    """In the configuration, or in the rulebook."""
    observing = BASE.with_modes(dict.fromkeys(("cut_it", "two", "dark"), RuleMode.OBSERVE))
    looser = book_of({**CUT, "when": "stress >= 99.0"}, FLAGS, HOLD, QUIET)
    assert loosened(observing, looser.with_modes({"cut_it": RuleMode.OBSERVE})) == (
        "two did not act and may now act block_new.",
        "dark did not act and may now act hold.",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("data", "risk", "dark holds because of risk: at once", id="gone-at-once"),
        pytest.param("risk", "data", "dark holds because of data", id="for-longer"),
        pytest.param("risk", "risk", "", id="as-before"),
    ],
)
def test_why_a_scope_is_held_is_part_of_what_acts(old: str, new: str, said: str) -> None:
    """It says when the hold goes, and whether the desk may hedge meanwhile."""
    one, other = (
        book_of(
            {**without(without(HOLD, "on_unknown"), "do"), "do": f"{{level: hold, because: {why}}}"}
        )
        for why in (old, new)
    )
    found = loosened(one, other)
    assert [said in words for words in found] == [True] * bool(said)


def test_the_same_book() -> None:
    """Nothing waits."""
    assert loosened(BASE, book_of(QUIET, CUT, FLAGS, HOLD)) == ()


limits = st.sampled_from([1.0, 2.0, 3.0])
comparisons = st.builds(
    "{} {} {}".format, st.sampled_from("ab"), st.sampled_from(["<", "<=", ">", ">="]), limits
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=4,
)
values = st.one_of(st.none(), st.floats(0.0, 4.0))


@given(expressions, expressions, values, values)
def test_what_is_implied_is_at_least_as_true(
    first: str, second: str, a: float | None, b: float | None
) -> None:
    """At any values, unknown ones too: otherwise a looser condition would pass for a tighter."""
    one, other = Expression(first), Expression(second)
    order = (Verdict.FALSE, Verdict.UNKNOWN, Verdict.TRUE)
    if implies(one, other):
        seen = {"a": a, "b": b}
        assert order.index(one.evaluate(seen.get)) <= order.index(other.evaluate(seen.get))


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_a_threshold_moved_up_never_fires_earlier(low: float, high: float) -> None:
    """Whatever the value: where the higher one holds, the lower does."""
    low, high = sorted((low, high))
    higher, lower = (Expression(f"stress >= {one:.6f}") for one in (high, low))
    assert implies(higher, lower)
