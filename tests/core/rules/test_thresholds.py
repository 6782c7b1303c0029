"""What a limit is compared with, and which limits cannot have been meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.spec import MeasureSpec
from monitor.core.rules import Rule, parse_rulebook
from monitor.core.rules.thresholds import Live, always, nothing_live, thresholds
from monitor.core.types import SubjectKind
from monitor.rulebook import builtin_files
from tests.core.rules.catalogue import SMALL, spec

FUNDING = spec("funding_rate", (SubjectKind.PORTFOLIO,), typical=(0.001, 0.05))
MEASURES = {**SMALL, "funding_rate": FUNDING}


def rule_of(
    when: str,
    *,
    for_each: str = "portfolio",
    more: str = "",
    measures: Mapping[str, MeasureSpec] = MEASURES,
) -> Rule:
    """One rule with that condition."""
    text = (
        f"- id: one\n  for_each: {for_each}\n  summary: One\n  when: {when}\n  severity: warning\n"
        f"{more}"
    )
    return parse_rulebook([("own.yaml", text)], measures).rules[0]


def live_of(**values: Sequence[float]) -> Live:
    """Present values by measure, whatever the kind."""
    return lambda name, _: values.get(name, ())


@pytest.mark.parametrize(
    ("when", "live", "said"),
    [
        pytest.param("funding_rate >= 0.5", {}, "", id="ten times the stressed value"),
        pytest.param("funding_rate >= 0.51", {}, "never crossed: the highest", id="beyond that"),
        pytest.param("funding_rate >= 40.0", {}, "40 % is written 0.4.", id="percent for a ratio"),
        pytest.param(
            "funding_rate >= 0.51", {"funding_rate": (0.06,)}, "", id="what is seen counts too"
        ),
        pytest.param("funding_rate <= -0.5", {}, "", id="the other sign is as far"),
        pytest.param("funding_rate <= -0.51", {}, "never crossed", id="and as far beyond"),
        pytest.param("funding_rate <= 0.0001", {}, "", id="a tenth of the usual"),
        pytest.param("funding_rate <= 0.00009", {}, "never crossed: the lowest", id="below it"),
        pytest.param("funding_rate < 0.0", {}, "", id="only the sign is asked"),
        pytest.param("stress >= 70.0", {}, "", id="reached by the stressed value"),
    ],
)
def test_a_limit_out_of_reach(when: str, live: dict[str, Sequence[float]], said: str) -> None:
    """Both sides of ten times what is known."""
    (found,) = thresholds(rule_of(when), MEASURES, live_of(**live))
    assert said in found.warning
    assert bool(said) is bool(found.warning)


@pytest.mark.parametrize(
    ("when", "live", "said"),
    [
        pytest.param("stress >= 10.0", {}, "an ordinary day (stress 10)", id="at the usual value"),
        pytest.param("stress >= 10.1", {}, "", id="above it"),
        pytest.param(
            "stress >= 10.1", {"stress": (11.0,)}, "true now for every portfolio (1)", id="now"
        ),
        pytest.param("leverage >= 2.0", {"leverage": (3.0, 1.0)}, "", id="for one of two"),
        pytest.param(
            "leverage >= 2.0 && stress >= 20.0",
            {"leverage": (3.0,), "stress": (30.0,)},
            "true now for portfolio",
            id="both now",
        ),
        pytest.param(
            "leverage >= 2.0 && stress >= 20.0", {"leverage": (3.0,)}, "", id="one is unknown"
        ),
    ],
)
def test_a_condition_that_always_holds(
    when: str, live: dict[str, Sequence[float]], said: str
) -> None:
    """On an ordinary day, or on all that is seen."""
    found = list(always(rule_of(when), MEASURES, live_of(**live)))
    assert [where for where, _ in found] == (["when"] if said else [])
    assert all(said in text for _, text in found)


def test_the_end_of_an_alert_may_hold_on_an_ordinary_day() -> None:
    """It should; and other rules' states have no usual value."""
    rule = rule_of("stress >= 60.0", more="  until: stress <= 30.0\n  reentry: stress <= 30.0\n")
    assert list(always(rule, MEASURES)) == []
    assert [one.field for one in thresholds(rule, MEASURES)] == ["when", "until", "reentry"]


def test_the_nearest_subject_is_read() -> None:
    """An account's own leverage beside the account's limit, not the portfolio's."""
    asked: list[SubjectKind] = []

    def live(_: str, kind: SubjectKind) -> Sequence[float]:
        asked.append(kind)
        return (1.0, 2.0)

    (found,) = thresholds(rule_of("leverage >= 5.0", for_each="account"), MEASURES, live)
    assert (found.kind, found.live) == (SubjectKind.ACCOUNT, (1.0, 2.0))
    assert asked == [SubjectKind.ACCOUNT]


@pytest.mark.parametrize(
    ("limit", "said"),
    [("0.40", ""), ("26.0", ""), ("40.0", "40 % is written 0.4."), ("60.0", "is written 0.6.")],
    ids=["as meant", "2 600 % a year may be meant", "percent", "percent of a spike"],
)
def test_percent_written_for_a_rate_that_can_be_high(limit: str, said: str) -> None:
    """876 % a year was seen: ten times that is out of the question, and so is 40 for 0.40."""
    rule = rule_of(f"funding_rate_annualized >= {limit}", for_each="market", measures=CATALOGUE)
    (found,) = thresholds(rule, CATALOGUE)
    assert said in found.warning
    assert bool(said) is bool(found.warning)


BUILT_IN = parse_rulebook(builtin_files(), CATALOGUE).rules


@pytest.mark.parametrize("rule", BUILT_IN, ids=lambda rule: rule.id)
def test_built_in_limits_are_within_reach(rule: Rule) -> None:
    """Of the typical values that each measure declares; none holds on an ordinary day."""
    assert [one.warning for one in thresholds(rule, CATALOGUE) if one.warning] == []
    assert list(always(rule, CATALOGUE, nothing_live)) == []
