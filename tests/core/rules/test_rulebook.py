"""Rulebook files: what a rule says, every mistake at once with its line, order and overriding."""

from __future__ import annotations

import pytest

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.errors import ConfigError, Problem
from monitor.core.rules.evidence import Confirm
from monitor.core.rules.fields import duration_ns
from monitor.core.rules.rule import OnUnknown, Rule, RuleInput, page_subject, scope_subject
from monitor.core.rules.rulebook import RuleBook, parse_rulebook
from monitor.core.types import (
    PORTFOLIO,
    Severity,
    Subject,
    SubjectKind,
    account_subject,
    asset_subject,
    feed_subject,
    market_subject,
    position_subject,
    venue_subject,
)
from tests.core.rules.catalogue import SMALL, at

BASE = {
    "id": "r",
    "for_each": "portfolio",
    "summary": "Under test",
    "when": "stress >= 60.0",
    "severity": "warning",
}
CONFIRMED: dict[str, str | None] = {"confirm": "{need: 2, of: 2, apart: 20s}"}
PROPOSED_CUT: dict[str, str | None] = {"severity": "high", "mode": "propose", **CONFIRMED}
PLAIN_CUT: dict[str, str | None] = {"do": "{level: cut, gross_to: 0.8}", **CONFIRMED}


def text(**fields: str | None) -> str:
    """One rule as YAML; None leaves a field out."""
    merged = {**BASE, **{key.rstrip("_"): value for key, value in fields.items()}}
    lines = [f"{key}: {value}" for key, value in merged.items() if value is not None]
    return "- " + "\n  ".join(lines) + "\n"


def parse(*texts: str) -> RuleBook:
    """Files named a.yaml, b.yaml, ..."""
    files = [(f"{chr(97 + index)}.yaml", each) for index, each in enumerate(texts)]
    return parse_rulebook(files, SMALL)


def problems(*texts: str) -> list[Problem]:
    """What is wrong with these files."""
    with pytest.raises(ConfigError) as caught:
        parse(*texts)
    return caught.value.problems


def test_the_whole_of_a_rule() -> None:
    """Every field of the design's example arrives where it belongs."""
    rule = parse(
        """
stress:
  - id: funding_stress
    for_each: portfolio
    summary: Funding stress
    help: Longer.
    when: stress >= 60.0
    for: 30s
    confirm: {need: 2, of: 2, apart: 5m}
    until: stress <= 30.0
    keep_firing_for: 24h
    min_hold: 1m
    reentry: leverage <= 1.0
    max_staleness: 5m
    on_unknown: hold
    severity: critical
    do: {level: cut, gross_to: 0.70}
    scope: portfolio
    mode: propose
"""
    ).rules[0]
    assert (rule.id, rule.family, rule.alert) == ("funding_stress", "stress", "FundingStress")
    assert rule.for_each is SubjectKind.PORTFOLIO
    assert rule.condition == "stress >= 60.0"
    assert (rule.for_ns, rule.keep_firing_for_ns, rule.min_hold_ns) == (at(30), at(86400), at(60))
    assert rule.confirm == Confirm(need=2, of=2, apart_ns=at(300))
    assert rule.max_staleness_ns == at(300)
    assert rule.on_unknown is OnUnknown.HOLD
    assert (rule.severity, rule.level, rule.gross_to_ratio) == (
        Severity.CRITICAL,
        ActionLevel.CUT,
        0.70,
    )
    assert (rule.mode, rule.scope) == (RuleMode.PROPOSE, SubjectKind.PORTFOLIO)
    assert rule.measures == {"stress", "leverage"}
    assert (rule.runbook, rule.where) == ("funding_stress", "a.yaml:3")


def test_defaults_are_the_careful_ones() -> None:
    """What is not said: observe, page only, hold on unknown, own scope, its id as runbook."""
    rule = parse(text()).rules[0]
    assert (rule.mode, rule.level, rule.on_unknown) == (
        RuleMode.OBSERVE,
        ActionLevel.PAGE,
        OnUnknown.HOLD,
    )
    assert (rule.scope, rule.runbook, rule.family) == (SubjectKind.PORTFOLIO, "r", "a")


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        pytest.param({"when": "stres >= 60.0"}, "r.when", "'stress'", id="unknown measure"),
        pytest.param({"when": "spread_ratio >= 0.1"}, "r.when", "does not see", id="not visible"),
        pytest.param({"when": "stress >= 60"}, "r.when", "decimal point", id="whole number"),
        pytest.param({"when": "true"}, "r.when", "as text", id="condition is a switch"),
        pytest.param({"when": None}, "r", "either when or flags", id="no condition"),
        pytest.param(
            {"flags": "{a: stress > 1.0}", "at_least": "1"},
            "r.when",
            "not both",
            id="two conditions",
        ),
        pytest.param({"when": "stress >= 600.0"}, "r.when", "never be true", id="out of range"),
        pytest.param({"when": "stress >= 0.0"}, "r.when", "always true", id="always true"),
        pytest.param(
            {"when": "margin_usage_ratio >= 15.0"}, "r.when", "never be true", id="percent as ratio"
        ),
        pytest.param({"until": "stress <= 61.0"}, "r.until", "both hold", id="until overlaps"),
        pytest.param({"until": "stress <= 60.0"}, "r.until", "both hold", id="until touches"),
        pytest.param({"for_": "300"}, "r.for", "no duration", id="duration without unit"),
        pytest.param({"for_": "5 minutes"}, "r.for", "no duration", id="duration in words"),
        pytest.param({"for_": "400d"}, "r.for", "at most 366d", id="duration beyond a year"),
        pytest.param({"seveirty": "high"}, "r.seveirty", "'severity'", id="unknown field"),
        pytest.param({"severity": "loud"}, "r.severity", "info, warning", id="unknown severity"),
        pytest.param({"severity": None}, "r", "severity is missing", id="no severity"),
        pytest.param({"summary": None}, "r", "summary is missing", id="no summary"),
        pytest.param({"summary": "x" * 46}, "r.summary", "at most 45", id="long summary"),
        pytest.param({"for_each": "portfolo"}, "r.for_each", "'portfolio'", id="unknown subject"),
        pytest.param({"for_each": "nexus"}, "r.for_each", "about", id="subject without measures"),
        pytest.param({"for_each": None}, "r", "for_each must say", id="no subject"),
        pytest.param({"id": "Bad-Id"}, "Bad-Id.id", "lower-case", id="bad id"),
        pytest.param({"max_staleness": "301s"}, "r.max_staleness", "300s", id="looser staleness"),
        pytest.param({"on_unknown": "fire"}, "r.on_unknown", "max_staleness", id="fire no limit"),
        pytest.param(
            {"on_unknown": "fire", "max_staleness": "1m", "confirm": "{need: 2, of: 2}"},
            "r.on_unknown",
            "exclude",
            id="fire and confirm",
        ),
        pytest.param(
            {
                "on_unknown": "fire",
                "max_staleness": "1m",
                "severity": "high",
                "do": "{level: block_new}",
            },
            "r.on_unknown",
            "never block_new",
            id="absence may not latch",
        ),
        pytest.param({"do": "page"}, "r.do", "mapping", id="do is a word"),
        pytest.param({"do": "{level: panic}"}, "r.do.level", "flatten", id="unknown action"),
        pytest.param({"do": "{}"}, "r.do.level", "missing", id="no level"),
        pytest.param({"do": "{level: block_new}"}, "r.severity", "too quiet", id="quiet block"),
        pytest.param(PLAIN_CUT | {"severity": "high"}, "r.mode", "only be proposed", id="high cut"),
        pytest.param(
            PLAIN_CUT | {"severity": "high", "mode": "act"},
            "r.mode",
            "mode: propose",
            id="high cut acts",
        ),
        pytest.param(
            PLAIN_CUT | {"severity": "info", "mode": "propose"},
            "r.severity",
            "critical; less with mode: propose",
            id="a cut nobody need look at",
        ),
        pytest.param(
            PLAIN_CUT | {"severity": "high", "mode": "propose", "confirm": None},
            "r.confirm",
            "two distinct observations",
            id="proposed on one reading",
        ),
        pytest.param(
            {"severity": "high", "mode": "propose", "do": "{level: halt}"} | CONFIRMED,
            "r.severity",
            "too quiet",
            id="a halt is never proposed quietly",
        ),
        pytest.param(
            {"do": "{level: hold, gross_to: 0.5}"}, "r.do", "belongs to", id="gross_to on hold"
        ),
        pytest.param(
            PLAIN_CUT | {"do": "{level: cut, gross_to: 70}", "severity": "critical"},
            "r.do.gross_to",
            "0 to 0.99",
            id="percent as share",
        ),
        pytest.param(
            PLAIN_CUT | {"severity": "warning"}, "r.mode", "only be proposed", id="quiet cut"
        ),
        pytest.param(
            PLAIN_CUT | {"do": "{level: cut, gross_to: net_exposure_us}", "severity": "critical"},
            "r.do",
            "'net_exposure_usd'",
            id="a target that is no measure",
        ),
        pytest.param(
            PLAIN_CUT | {"do": "{level: cut, gross_to: leverage}", "severity": "critical"},
            "r.do",
            "in USD",
            id="a target that is no amount",
        ),
        pytest.param(
            PLAIN_CUT | {"do": "{level: cut, gross_to: net_exposure_usd}", "severity": "critical"},
            "r.do",
            "can be below zero",
            id="a target with a sign",
        ),
        pytest.param(
            PLAIN_CUT | {"do": "{level: cut, gross_to: notional_usd}", "severity": "critical"},
            "r.do",
            "must be about what is cut",
            id="a target of something else",
        ),
        pytest.param(
            PLAIN_CUT | {"do": "{level: cut, gross_to: 'net exposure'}", "severity": "critical"},
            "r.do.gross_to",
            "must be a number",
            id="a target that is no name",
        ),
        pytest.param(
            {"do": "{level: hold, gross_to: gross_exposure_usd}"},
            "r.do",
            "belongs to",
            id="hold to",
        ),
        pytest.param(
            PLAIN_CUT
            | {"do": "{level: cut, gross_to: 0.7, because: risk}", "severity": "critical"},
            "r.do.because",
            "belongs to level hold",
            id="a cut because of something",
        ),
        pytest.param(
            PROPOSED_CUT | {"do": "{level: cut, gross_to: 0.7, over: 1h}"},
            "r.do.over",
            "to an amount",
            id="a share over a time",
        ),
        pytest.param(
            PROPOSED_CUT | {"do": "{level: cut, gross_to: gross_exposure_usd, over: 9m}"},
            "r.do.over",
            "10m to 24h",
            id="over no time",
        ),
        pytest.param(
            {"do": "{level: hold, over: 1h}"}, "r.do.over", "belongs to level cut", id="hold over"
        ),
        pytest.param(
            PLAIN_CUT
            | {"do": "{level: cut, gross_to: gross_exposure_usd, over: 1h}"}
            | {"severity": "critical"},
            "r.do",
            "what is critical is not spread",
            id="a critical cut over a time",
        ),
        pytest.param(
            {"do": "{level: hold, because: greed}"}, "r.do.because", "data, risk", id="because why"
        ),
        pytest.param(
            {
                "do": "{level: hold, because: risk}",
                "on_unknown": "fire",
                "max_staleness": "1m",
            },
            "r.on_unknown",
            "never because of risk",
            id="a risk that nobody knows",
        ),
        pytest.param({"scope": "account"}, "r.scope", "cannot act", id="scope not its own"),
        pytest.param({"only": "{venue: [dydx]}"}, "r.only.venue", "narrow", id="only on portfolio"),
        pytest.param({"confirm": "{need: 3, of: 2}"}, "r.confirm.need", "1 to 2", id="need > of"),
        pytest.param({"confirm": "{need: 2}"}, "r.confirm.of", "missing", id="no of"),
        pytest.param({"at_least": "2"}, "r.at_least", "belongs to flags", id="at_least alone"),
        pytest.param({"enabled": "maybe"}, "r.enabled", "true or false", id="enabled maybe"),
        pytest.param({"mode": "armed"}, "r.mode", "observe", id="unknown mode"),
        pytest.param({"when": "firing__x > 0.5"}, "r.when", "does not exist", id="unknown rule"),
        pytest.param({"when": "firing__r > 0.5"}, "r", "circle: r > r", id="reads itself"),
        pytest.param({"labels": "{price: x}"}, "r.labels", "not a field", id="labels do not exist"),
        pytest.param({"page_per": "venue"}, "r.page_per", "portfolio", id="told narrower"),
        pytest.param({"page_per": "venu"}, "r.page_per", "'venue'", id="told of nothing"),
        pytest.param({"covered_by": "q"}, "r.covered_by", "list of names", id="covered by a word"),
        pytest.param({"covered_by": "[q]"}, "r.covered_by", "does not exist", id="by a stranger"),
        pytest.param({"covered_by": "[r]"}, "r.covered_by", "not louder", id="by itself"),
    ],
)
def test_mistakes(fields: dict[str, str | None], field: str, says: str) -> None:
    """One mistake gives one problem, at its line, with what would be right."""
    found = problems(text(**fields))
    assert len(found) == 1, "\n".join(map(str, found))
    assert found[0].field == field
    assert says in str(found[0])
    assert found[0].where.startswith("a.yaml:")


@pytest.mark.parametrize(("left", "fine"), [(0.70, True), (0.71, False), (0.2, True)])
def test_the_cut_for_funding_stress_has_a_least_size(left: float, fine: bool) -> None:
    """30 % off or more, whoever rewrites the rule; the same of any other rule is its own affair."""
    cut = {"do": f"{{level: cut, gross_to: {left}}}", "severity": "critical", **CONFIRMED}
    rule = text(**cut).replace("id: r\n", "id: funding_stress\n")
    assert parse(text(**cut)).get("r") is not None
    if fine:
        assert parse(rule).get("funding_stress") is not None
        return
    (found,) = problems(rule)
    assert found.field == "funding_stress.do.gross_to"
    assert "Allowed: at most 0.7; for a smaller cut" in str(found)


def test_a_slip_in_a_condition_hides_no_misspelt_measure() -> None:
    """Both are told at once, each with what would be right."""
    found = problems(text(when="stres >= 60 && max(leverage) > 1.0"))
    assert [one.field for one in found] == ["r.when", "r.when"]
    said = " ".join(map(str, found))
    assert "60.0, not 60" in said
    assert "'stress'" in said


NAMES = {"stres", "leverag", "bogus"}
SLIPS = """\
- id: r
  for_each: portfolio
  summary: Under test
  severity: warning
  when: >
    stres >= 60 &&
    leverag > 5%
  until: stres < 50 && bogus < 1.0
- id: q
  for_each: portfolio
  summary: Under test
  severity: warning
  flags:
    one: stres >= 60.0 && leverag > 1
    two: leverag > 2.0
  at_least: 1
- id: p
  summary: Under test
  severity: warning
  when: stres >= 60.0 || spread_ratio > 0.1
"""


def test_every_slip_of_every_condition_is_told_with_its_line() -> None:
    """Each number and each name, in flags too, and where nobody said what the rule is about."""
    found = [(one.where, one.field, one.found, one.nearest) for one in problems(SLIPS)]
    names = [one for one in found if one[2] in NAMES]
    assert names == [
        ("a.yaml:6", "r.when", "stres", "stress"),
        ("a.yaml:7", "r.when", "leverag", "leverage"),
        ("a.yaml:8", "r.until", "bogus", None),
        ("a.yaml:8", "r.until", "stres", "stress"),
        ("a.yaml:14", "q.flags.one", "leverag", "leverage"),
        ("a.yaml:14", "q.flags.one", "stres", "stress"),
        ("a.yaml:15", "q.flags.two", "leverag", "leverage"),
        ("a.yaml:20", "p.when", "stres", "stress"),
    ]
    rest = [(one.field, one.message) for one in problems(SLIPS) if one.found not in NAMES]
    assert [field for field, _ in rest] == ["r.when"] * 3 + ["r.until", "q.flags.one", "p"]
    assert [words for field, words in rest if field == "r.when"] == [
        "'60' at character 10: write a decimal point: 60.0, not 60.",
        "'5' at character 26: write a decimal point: 5.0, not 5.",
        "'%' at character 27: write ratios as decimals: 5 % is 0.05.",
    ]


@pytest.mark.parametrize(
    ("severity", "mode", "most"),
    [
        pytest.param("high", "propose", RuleMode.PROPOSE, id="high"),
        pytest.param("critical", "propose", RuleMode.ACT, id="critical, proposed so far"),
        pytest.param("critical", "act", RuleMode.ACT, id="critical, acting"),
        pytest.param("critical", "observe", RuleMode.ACT, id="critical, observing"),
    ],
)
@pytest.mark.parametrize("said", list(RuleMode))
def test_a_cut_that_is_not_critical_is_at_most_proposed(
    severity: str, mode: str, most: RuleMode, said: RuleMode
) -> None:
    """Whatever the desk says of it; narrower it may always be."""
    book = parse(text(**PLAIN_CUT, severity=severity, mode=mode))
    assert book.rules[0].mode_max is most
    (rule,) = book.with_modes({"r": said}).rules
    assert rule.mode is (RuleMode.PROPOSE if said is RuleMode.ACT is not most else said)


def test_what_is_no_cut_may_act_at_its_own_severity() -> None:
    """Blocking new risk sells nothing."""
    book = parse(text(do="{level: block_new}", severity="high"))
    (rule,) = book.with_modes({"r": RuleMode.ACT}).rules
    assert (rule.mode_max, rule.mode) == (RuleMode.ACT, RuleMode.ACT)


CUT = {"severity": "critical", "do": "{level: cut, gross_to: 0.7}"}


@pytest.mark.parametrize(
    ("confirm", "accepted"),
    [
        pytest.param("{need: 2, of: 2, apart: 20s}", True, id="two, twenty seconds apart"),
        pytest.param("{need: 2, of: 3, apart: 5m}", True, id="two of three"),
        pytest.param("{need: 2, of: 2, apart: 19s}", False, id="too close"),
        pytest.param("{need: 1, of: 2, apart: 20s}", False, id="one is not enough"),
        pytest.param(None, False, id="no confirmation"),
    ],
)
def test_a_cut_needs_confirmation(confirm: str | None, accepted: bool) -> None:
    """One bad reading must not move the book."""
    rule = text(**CUT, confirm=confirm)
    if accepted:
        assert parse(rule).rules[0].level is ActionLevel.CUT
    else:
        assert [problem.field for problem in problems(rule)] == ["r.confirm"]


@pytest.mark.parametrize(
    ("cover", "says"),
    [
        pytest.param("for_each: venue, severity: high", "", id="louder, same place"),
        pytest.param("for_each: portfolio, severity: critical", "", id="louder, wider place"),
        pytest.param("for_each: market, page_per: venue, severity: high", "", id="told as wide"),
        pytest.param("for_each: venue, severity: warning", "not louder", id="its equal"),
        pytest.param("for_each: venue, severity: info", "not louder", id="quieter"),
        pytest.param("for_each: market, severity: high", "a whole venue", id="narrower place"),
    ],
)
def test_only_a_louder_rule_of_the_same_place_covers(cover: str, says: str) -> None:
    """Nothing silences its equal, and a market's trouble says nothing about its venue."""
    covered = (
        "- {id: r, for_each: venue, summary: Quiet, when: stress >= 30.0, severity: warning,"
        " covered_by: [q]}\n"
    )
    book = f"- {{id: q, summary: Loud, when: stress >= 60.0, {cover}}}\n{covered}"
    if not says:
        rule = parse(book).get("r")
        assert rule is not None
        assert rule.covered_by == ("q",)
        return
    (found,) = problems(book)
    assert found.field == "r.covered_by"
    assert says in str(found)


@pytest.mark.parametrize(
    "later",
    ["- {id: q, enabled: false}\n", text(id="q", severity="info")],
    ids=["taken out", "made quieter"],
)
def test_a_desk_may_take_a_cover_away(later: str) -> None:
    """In a file of its own: what it covered is told then, and the rulebook still loads."""
    book = text(id="q", severity="high") + text(covered_by="[q]")
    assert parse(book, later).get("r") is not None


@pytest.mark.parametrize(
    ("for_each", "page_per", "subject", "place"),
    [
        ("market", None, market_subject("dydx", "BTC-USD"), market_subject("dydx", "BTC-USD")),
        ("market", "venue", market_subject("dydx", "BTC-USD"), venue_subject("dydx")),
        ("feed", "venue", feed_subject("dydx", "rest.height"), venue_subject("dydx")),
        (
            "position",
            "account",
            position_subject("hyperliquid", "main.xyz", "xyz:NVDA"),
            account_subject("hyperliquid", "main.xyz"),
        ),
        ("account", "portfolio", account_subject("dydx", "main"), PORTFOLIO),
    ],
)
def test_whom_a_page_is_about(
    for_each: str, page_per: str | None, subject: Subject, place: Subject
) -> None:
    """The subject itself, or the wider one that folds several into one page."""
    rule = parse(text(for_each=for_each, page_per=page_per)).get("r")
    assert rule is not None
    assert page_subject(rule, subject) == place


def test_a_cut_must_say_how_far() -> None:
    """A cut without gross_to is refused."""
    found = problems(
        text(severity="critical", do="{level: cut}", confirm="{need: 2, of: 2, apart: 20s}")
    )
    assert ["gross_to" in str(problem) for problem in found] == [True]


TEN = """- id: first
  for_each: portfolio
  summary: First
  when: stres >= 60.0
  for: soon
  severity: loud
  colour: red
- id: second
  for_each: galaxy
  summary: Second
  when: stress / 2.0 > 1.0
  do: {level: cut}
- just text
- id: first
  when: stress > 1.0
"""


def test_all_mistakes_at_once_with_their_lines() -> None:
    """Ten mistakes in one file, and one in the next, are told together, in order."""
    found = problems(TEN, "- id: [\n")
    assert [(problem.where, problem.field) for problem in found] == [
        ("a.yaml:4", "first.when"),
        ("a.yaml:5", "first.for"),
        ("a.yaml:6", "first.severity"),
        ("a.yaml:7", "first.colour"),
        ("a.yaml:8", "second"),
        ("a.yaml:9", "second.for_each"),
        ("a.yaml:11", "second.when"),
        ("a.yaml:13", "rule"),
        ("a.yaml:14", "first.id"),
        ("b.yaml:2", "-"),
    ]
    assert found[0].nearest == "stress"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("just text", id="text"),
        pytest.param("rules: {id: x}", id="section is no list"),
        pytest.param("- 1\n", id="number for a rule"),
    ],
)
def test_files_that_are_no_rulebook(content: str) -> None:
    """A file of another shape is one clear problem."""
    assert len(problems(content)) == 1


def test_an_empty_file_holds_no_rules() -> None:
    """A rulebook of the desk may be empty."""
    assert parse("", "# nothing yet\n").rules == ()


def test_later_files_replace_and_remove_by_id() -> None:
    """A desk's own file changes or switches off a built-in rule."""
    one, two = text(id="one"), text(id="two")
    book = parse(one + two, text(id="one", when="stress >= 80.0") + "- {id: two, enabled: false}")
    assert [(rule.id, rule.condition, rule.where) for rule in book.rules] == [
        ("one", "stress >= 80.0", "b.yaml:1")
    ]
    assert book.disabled == ("two",)
    assert book.get("two") is None


def test_a_mistake_in_a_replaced_rule_is_still_told() -> None:
    """An earlier file must be right by itself, apart from what only exists in the whole book."""
    found = problems(text(for_="soon"), text())
    assert [problem.where for problem in found] == ["a.yaml:6"]


def test_rules_that_are_read_come_first() -> None:
    """Evaluation order follows who reads whom, else the order written."""
    book = parse(
        text(id="top", when="firing__middle > 0.5 && state_s__low > 60.0")
        + text(id="middle", when="firing__low > 0.5 || stress > 1.0")
        + text(id="low")
        + text(id="other")
    )
    assert [rule.id for rule in book.rules] == ["low", "middle", "top", "other"]
    top = book.rules[2]
    assert top.measures == frozenset()
    assert top.rule_inputs == (
        RuleInput("firing__middle", "rule_firing", "middle"),
        RuleInput("state_s__low", "rule_state_s", "low"),
    )


def test_circles_are_refused() -> None:
    """Two rules that read each other have no order."""
    found = problems(
        text(id="one", when="firing__two > 0.5") + text(id="two", when="firing__one > 0.5")
    )
    assert "one > two > one" in str(found[0])


def test_reading_a_disabled_rule_is_refused() -> None:
    """Switching a rule off must not silence the rules that read it."""
    found = problems(
        text() + text(id="reader", when="firing__r > 0.5"), "- {id: r, enabled: false}"
    )
    assert "r, which is disabled" in str(found[0])


@pytest.mark.parametrize(
    ("for_each", "only", "subject", "matches"),
    [
        pytest.param("portfolio", None, PORTFOLIO, True, id="portfolio"),
        pytest.param("venue", None, venue_subject("dydx"), True, id="any venue"),
        pytest.param("venue", None, PORTFOLIO, False, id="another kind"),
        pytest.param("venue", "{venue: [dydx]}", venue_subject("aevo"), False, id="another venue"),
        pytest.param(
            "account", "{account: [main]}", account_subject("dydx", "main"), True, id="account"
        ),
        pytest.param(
            "account", "{account: [main]}", account_subject("dydx", "main.128"), True, id="its pool"
        ),
        pytest.param(
            "account",
            "{account: [main]}",
            account_subject("dydx", "mainly"),
            False,
            id="not a pool",
        ),
        pytest.param(
            "account",
            "{account: [main.xyz]}",
            account_subject("hl", "main.abc"),
            False,
            id="another pool",
        ),
        pytest.param(
            "market",
            "{market: [PURR/USDC]}",
            market_subject("hyperliquid", "PURR/USDC"),
            True,
            id="slash in the symbol",
        ),
        pytest.param(
            "position",
            "{venue: [dydx], market: [BTC-USD]}",
            position_subject("dydx", "main", "BTC-USD"),
            True,
            id="position by venue and market",
        ),
        pytest.param(
            "position",
            "{venue: [dydx], market: [BTC-USD]}",
            position_subject("hyperliquid", "main", "BTC-USD"),
            False,
            id="position of another venue",
        ),
        pytest.param("feed", "{feed: [bbo]}", feed_subject("hl", "bbo"), True, id="feed"),
        pytest.param("asset", "{asset: [BTC]}", asset_subject("ETH"), False, id="another asset"),
    ],
)
def test_only(for_each: str, only: str | None, subject: Subject, matches: bool) -> None:
    """Rules are asked about the subjects they name."""
    measure = {
        "portfolio": "stress >= 60.0",
        "venue": "venue_healthy < 0.5",
        "account": "leverage > 5.0",
        "market": "spread_ratio > 0.1",
        "position": "notional_usd > 1.0",
        "feed": "feed_connected < 0.5",
        "asset": "net_exposure_usd > 1.0",
    }[for_each]
    rule = parse(text(for_each=for_each, when=measure, only=only)).rules[0]
    assert rule.matches(subject) is matches


@pytest.mark.parametrize(
    ("for_each", "scope", "subject", "target"),
    [
        ("position", "position", position_subject("hl", "main", "BTC"), "position:hl/main/BTC"),
        ("position", "account", position_subject("hl", "main", "BTC"), "account:hl/main"),
        ("position", "market", position_subject("hl", "main", "P/U"), "market:hl/P/U"),
        ("position", "venue", position_subject("hl", "main", "BTC"), "venue:hl"),
        ("account", "portfolio", account_subject("hl", "main.x"), "portfolio"),
        ("feed", None, feed_subject("hl", "bbo"), "venue:hl"),
    ],
)
def test_scope(for_each: str, scope: str | None, subject: Subject, target: str) -> None:
    """An action reaches what the rule's scope names around its subject."""
    when = {
        "position": "notional_usd > 1.0",
        "account": "leverage > 5.0",
        "feed": "feed_connected < 0.5",
    }[for_each]
    rule = parse(text(for_each=for_each, scope=scope, when=when)).rules[0]
    assert scope_subject(rule, subject) == target


def definition(**fields: str | None) -> str:
    """The definition of a rule with these fields."""
    return parse(text(**fields)).rules[0].definition


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        pytest.param({"summary": "Other words"}, True, id="summary"),
        pytest.param({"help": "More words"}, True, id="help"),
        pytest.param({"runbook": "elsewhere"}, True, id="runbook"),
        pytest.param({"for_": "0s"}, True, id="a default, written out"),
        pytest.param({"when": "stress >= 61.0"}, False, id="limit"),
        pytest.param({"for_": "1s"}, False, id="timer"),
        pytest.param({"severity": "high"}, False, id="severity"),
        pytest.param({"mode": "act"}, False, id="mode"),
        pytest.param({"max_staleness": "1m"}, False, id="staleness"),
    ],
)
def test_definition(fields: dict[str, str | None], same: bool) -> None:
    """What a reload compares: how a rule judges and acts, not its words."""
    assert (definition(**fields) == definition()) is same


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("250ms", at(0.25)),
        ("30s", at(30)),
        ("1.5m", at(90)),
        ("24h", at(86400)),
        ("7d", at(604800)),
        ("0s", 0),
        ("5", None),
        ("5 m", None),
        ("-5m", None),
        ("m", None),
        ("1h30m", None),
        ("٣s", None),
    ],
)
def test_durations(written: str, nanoseconds: int | None) -> None:
    """A number and one unit, nothing else."""
    assert duration_ns(written) == nanoseconds


def test_flags_without_a_count_are_refused() -> None:
    """At least how many must be said, and be possible."""
    flags = "{a: stress > 60.0, b: leverage > 5.0}"
    assert [p.field for p in problems(text(when=None, flags=flags))] == ["r.at_least"]
    assert [p.field for p in problems(text(when=None, flags=flags, at_least="3"))] == ["r.at_least"]
    rule: Rule = parse(text(when=None, flags=flags, at_least="2", within="30m")).rules[0]
    assert (rule.at_least, rule.within_ns) == (2, at(1800))
    assert rule.condition == "at least 2 of {a: stress > 60.0, b: leverage > 5.0}"


@pytest.mark.parametrize(
    ("flags", "at_least", "wait", "says"),
    [
        pytest.param(
            "{a: stress >= 35.0, b: leverage >= 3.0}", 2, "20s", "", id="two that share nothing"
        ),
        pytest.param(
            "{a: stress >= 35.0, b: leverage >= 3.0}", 2, "19s", "at least 20s", id="too short"
        ),
        pytest.param(
            "{a: stress >= 35.0, b: leverage >= 3.0}", 1, "5m", "two distinct", id="one of two"
        ),
        pytest.param(
            "{a: stress >= 35.0, b: stress >= 60.0}", 2, "5m", "a and b both read stress", id="same"
        ),
    ],
)
def test_flags_confirm_each_other(flags: str, at_least: int, wait: str, says: str) -> None:
    """A cut rests on two sources, or on two observations of one; never on one bad reading."""
    written = text(when=None, flags=flags, at_least=str(at_least), for_=wait, until=None, **CUT)
    if says:
        assert [says in str(one) for one in problems(written)] == [True]
    else:
        assert len(parse(written).rules) == 1
