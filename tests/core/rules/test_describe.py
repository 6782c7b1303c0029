"""The words of a page: 120 characters that suffice, the arithmetic, unknown drawn as unknown."""

from __future__ import annotations

import pytest

from monitor.core.decision import (
    ActionLevel,
    AlertTransition,
    CitedReading,
    KillRequest,
    RuleMode,
)
from monitor.core.measures.spec import Unit
from monitor.core.rules.describe import SUMMARY_CHARS_MAX, describe
from monitor.core.rules.expression import Comparison
from monitor.core.rules.lifecycle import step
from monitor.core.rules.rule import NEW, Rule, RuleState
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.rules.words import against, number, request_text
from monitor.core.types import (
    PORTFOLIO,
    AlertState,
    Severity,
    Subject,
    account_subject,
    feed_subject,
    position_subject,
    venue_subject,
)
from tests.core.rules.catalogue import SMALL, at, reading

USAGE = """
- id: margin_usage_high
  for_each: account
  summary: Margin usage is high
  help: How near the account is to liquidation.
  when: margin_usage_ratio >= 0.3
  until: margin_usage_ratio <= 0.25
  keep_firing_for: 10m
  severity: high
  do: {level: block_new}
"""
CUT = """
- id: stress_cut
  for_each: portfolio
  summary: Stress
  when: stress >= 60.0 && leverage >= 2.0
  confirm: {need: 2, of: 2, apart: 5m}
  until: stress <= 30.0
  reentry: leverage <= 1.0
  severity: critical
  do: {level: cut, gross_to: 0.70}
"""
ABSENCE = """
- id: truth
  for_each: account
  summary: Account truth is stale
  when: margin_usage_ratio >= 0.3
  max_staleness: 30s
  on_unknown: fire
  severity: high
  do: {level: hold}
"""
FLAGS = """
- id: any_two
  for_each: portfolio
  summary: Two flags
  flags: {stress: stress >= 35.0, leverage: leverage >= 5.0, usage: margin_usage_ratio >= 0.5}
  at_least: 2
  within: 30m
  severity: high
"""
MAIN = account_subject("hyperliquid", "main")


def tell(
    text: str,
    subject: Subject,
    values: dict[str, float | None],
    state: RuleState = NEW,
    allowed: RuleMode = RuleMode.ACT,
    estimated: bool = False,
) -> AlertTransition:
    """One step at t = 100 s with values two seconds old, described."""
    rule: Rule = parse_rulebook([("t.yaml", text)], SMALL).rules[0]
    readings = {
        name: reading(value, 98.0, estimated=estimated)
        for name, value in values.items()
        if value is not None
    }

    def cite(name: str) -> CitedReading:
        found = readings.get(name)
        return CitedReading(
            measure=name,
            subject=subject,
            value=None if found is None else found.value,
            unit=SMALL[name].unit,
            as_of_ns=None if found is None else found.as_of_ns,
            estimated=estimated,
            reason="" if found is not None else "channel lost",
            words=SMALL[name].words,
        )

    result = step(rule, state, readings.get, at(100))
    return describe(rule, state, result, subject, cite, at(100), allowed=allowed)


def test_a_firing_rule_says_number_limit_scope_and_action() -> None:
    """The first line alone tells what to know."""
    told = tell(USAGE, MAIN, {"margin_usage_ratio": 0.3245})
    assert told.summary == (
        "Margin usage is high: 32.45 % >= 30 %; account hyperliquid/main. "
        "WOULD HAVE blocked new risk on it"
    )
    assert told.action == "WOULD HAVE blocked new risk on account hyperliquid/main"
    assert (told.rule, told.alert, told.severity) == (
        "margin_usage_high",
        "MarginUsageHigh",
        Severity.HIGH,
    )
    assert (told.before, told.after) == (AlertState.INACTIVE, AlertState.FIRING)
    assert (told.at_ns, told.firing_epoch_ns) == (at(100), at(100))
    assert told.inputs[0].value == 0.3245
    assert told.runbook == "margin_usage_high"


def test_the_description_holds_the_arithmetic() -> None:
    """Value, unit, age, limit and verdict of each input; what ends it; what riskd did."""
    lines = tell(USAGE, MAIN, {"margin_usage_ratio": 0.3245}).description.splitlines()
    assert lines == [
        "Margin usage is high: account hyperliquid/main went inactive -> firing.",
        "How near the account is to liquidation.",
        "Condition: margin_usage_ratio >= 0.3; verdict true.",
        "  margin_usage_ratio 32.45 % >= 30 %: true",
        "Ends when: margin_usage_ratio <= 0.25.",
        "  margin_usage_ratio 32.45 % <= 25 %: false",
        "Input margin_usage_ratio of account:hyperliquid/main: 0.3245 ratio, 2 s old.",
        "riskd: WOULD HAVE blocked new risk on account hyperliquid/main.",
    ]


@pytest.mark.parametrize(
    ("mode", "allowed", "begins"),
    [
        ("observe", RuleMode.ACT, "WOULD HAVE cut gross of the portfolio to 70 %"),
        ("propose", RuleMode.ACT, "PROPOSES to cut gross of the portfolio to 70 %"),
        ("act", RuleMode.ACT, "ASKED to cut gross of the portfolio to 70 %"),
        ("act", RuleMode.PROPOSE, "PROPOSES to cut gross of the portfolio to 70 %"),
        ("act", RuleMode.OBSERVE, "WOULD HAVE cut gross of the portfolio to 70 %"),
    ],
)
def test_actions_are_told_as_what_they_are(mode: str, allowed: RuleMode, begins: str) -> None:
    """Never more is claimed than the rule and the daemon were allowed."""
    text = CUT.replace("  confirm", f"  mode: {mode}\n  confirm")
    leaving = RuleState(
        state=AlertState.RECOVERING, firing_epoch_ns=at(50), recovering_since_ns=at(60)
    )
    told = tell(text, PORTFOLIO, {"stress": 61.0, "leverage": 3.0}, leaving, allowed)
    assert told.action.startswith(begins.replace("the portfolio", "portfolio"))
    assert told.summary.endswith(f". {begins}")
    assert told.firing_epoch_ns == at(50)


def test_pending_says_what_is_still_missing() -> None:
    """A waiting rule has done nothing and says what it waits for."""
    told = tell(CUT, PORTFOLIO, {"stress": 61.0, "leverage": 3.0})
    assert told.after is AlertState.PENDING
    assert told.action == ""
    assert told.summary == "Stress: 61 >= 60; portfolio"
    assert "Confirmed by 1 of 2 distinct observations at least 5 min apart." in told.description


def test_the_end_says_so() -> None:
    """A resolved alert begins with it and tells how long it was out and what re-entry needs."""
    fired = RuleState(state=AlertState.FIRING, firing_epoch_ns=at(40), since_ns=at(40))
    told = tell(CUT, PORTFOLIO, {"stress": 20.0, "leverage": 1.5}, fired)
    assert told.after is AlertState.INACTIVE
    assert told.summary.startswith("Ended: Stress: ")
    assert told.firing_epoch_ns == at(40)
    assert "It was out for 60 s." in told.description
    assert "Re-entry is permitted when leverage <= 1.0, and a person re-arms." in told.description


def test_on_its_way_out_it_says_what_lets_it_go() -> None:
    """Not the condition that no longer holds: the one that must go on holding."""
    told = tell(USAGE, MAIN, {"margin_usage_ratio": 0.22}, FIRED)
    assert told.after is AlertState.RECOVERING
    assert told.summary == "Margin usage is high: now 22 % <= 25 %; account hyperliquid/main"
    assert "Ends after 10 min of this, unbroken and known" in told.description


def test_unknown_is_drawn_as_unknown() -> None:
    """A missing input has no number, and a reason."""
    waiting = RuleState(state=AlertState.RECOVERING, firing_epoch_ns=at(40), since_ns=at(50))
    told = tell(USAGE, MAIN, {"margin_usage_ratio": None}, waiting)
    assert told.after is AlertState.FIRING
    assert told.summary == (
        "Margin usage is high: margin usage unknown; account hyperliquid/main. "
        "WOULD HAVE blocked new risk on it"
    )
    assert "  margin_usage_ratio unknown >= 30 %: unknown" in told.description
    assert "Input margin_usage_ratio of account:hyperliquid/main: unknown (channel lost)." in (
        told.description
    )


def test_firing_by_absence_says_that_nothing_was_seen() -> None:
    """A protective rule names what is missing instead of a number."""
    lost = RuleState(unknown_since_ns=at(60))
    told = tell(ABSENCE, MAIN, {"margin_usage_ratio": None}, lost)
    assert told.after is AlertState.FIRING
    assert told.reason == "missing_data"
    assert told.summary == (
        "Account truth is stale: margin usage unknown for 40 s, limit 30 s; "
        "account hyperliquid/main. WOULD HAVE held it"
    )
    assert told.action == "WOULD HAVE held account hyperliquid/main (reduce only)"


SIDES = """
- id: against
  for_each: position
  summary: We pay
  when: notional_usd > 0.0 && spread_ratio >= 0.6 || notional_usd < 0.0 && spread_ratio >= 0.7
  severity: high
"""
THIN = """
- id: thin
  for_each: position
  summary: Too thin
  when: notional_usd > 0.0 && mark_price < notional_usd * 5.0
  severity: high
"""


@pytest.mark.parametrize(
    ("text", "values", "fact"),
    [
        pytest.param(
            SIDES, {"notional_usd": 5.0, "spread_ratio": 0.65}, "65 % >= 60 %", id="not the side"
        ),
        pytest.param(
            THIN,
            {"notional_usd": 50.0, "mark_price": 200.0},
            "mark price 200, notional $50",
            id="arithmetic tells its numbers",
        ),
    ],
)
def test_the_number_that_matters(text: str, values: dict[str, float | None], fact: str) -> None:
    """Which side of a position it is explains nothing; the number beyond its limit does."""
    told = tell(text, position_subject("hl", "main", "BTC"), values)
    assert told.after is AlertState.FIRING
    assert f": {fact}; position hl/main/BTC" in told.summary


def test_between_its_two_limits_it_says_where_it_is() -> None:
    """An alert that comes back although its condition does not hold: neither limit is crossed."""
    leaving = RuleState(state=AlertState.RECOVERING, firing_epoch_ns=at(40), since_ns=at(50))
    told = tell(USAGE, MAIN, {"margin_usage_ratio": 0.27}, leaving)
    assert told.after is AlertState.FIRING
    assert told.summary.startswith("Margin usage is high: 27 %, limit 30 %; account hyperliquid")


@pytest.mark.parametrize(
    ("value", "told"),
    [(-5.0, "notional -$5 < 0"), (5.0, "notional $5, limit 0"), (0.0, "notional $0")],
)
def test_a_limit_of_zero_is_said(value: float, told: str) -> None:
    """With whose number it is; at nothing, nothing more is to be said."""
    reading = CitedReading(
        measure="notional_usd", subject=MAIN, value=value, unit=Unit.USD, as_of_ns=1
    )
    assert against(Comparison("notional_usd", "<", 0.0), reading) == told


def test_flags_are_listed() -> None:
    """Which flags are true, and since when each is what it is."""
    told = tell(FLAGS, PORTFOLIO, {"stress": 40.0, "leverage": 6.0})
    assert told.summary == "Two flags: 2 of 3 flags (limit 2), stress, leverage; portfolio"
    assert "Flag stress: true for 0 ms, counts as true." in told.description
    assert "Flag usage: unknown for 0 ms, counts as unknown." in told.description


def test_estimates_are_marked() -> None:
    """A number made from peers carries a tilde and a sentence."""
    told = tell(USAGE, MAIN, {"margin_usage_ratio": 0.4}, estimated=True)
    assert "~40 % >= 30 %" in told.summary
    assert "may page and hold, never cut" in told.description


def test_long_names_give_way_before_the_number_and_the_action() -> None:
    """The summary never exceeds 120 characters and keeps both ends."""
    text = USAGE.replace("for_each: account", "for_each: position").replace(
        "id: margin_usage_high", "id: usage"
    )
    market = "FARTCOIN,RAYDIUM,9BB6NFECJBCTNNLFKO2FQVQBQ8HHM13KCYYCDQBGPUMP-USD"
    told = tell(text, position_subject("dydx", "main.128", market), {"margin_usage_ratio": 0.4})
    assert len(told.summary) <= SUMMARY_CHARS_MAX
    assert told.summary.startswith("Margin usage is high: 40 % >= 30 %; position ")
    assert told.summary.endswith("WOULD HAVE blocked new risk on it")
    assert market in told.description


@pytest.mark.parametrize(
    ("words", "summary"),
    [
        pytest.param("Long words of the kind that people use", "Long words of the kin…", id="long"),
        pytest.param("Short words", "Short words", id="short"),
    ],
)
def test_words_give_way_before_which_market_it_is(words: str, summary: str) -> None:
    """A measure's own text tells where to look: its beginning is worth the end of the words."""
    rule = parse_rulebook([("t.yaml", USAGE.replace("Margin usage is high", words))], SMALL).rules[
        0
    ]
    known = reading(0.3245, 98.0)

    def cite(name: str) -> CitedReading:
        text = "LINK-USD -13.1 %, of the least distance that there is"
        return CitedReading(
            measure=name, subject=MAIN, value=0.3245, unit=Unit.RATIO, as_of_ns=1, text=text
        )

    result = step(rule, NEW, {"margin_usage_ratio": known}.get, at(100))
    told = describe(rule, NEW, result, MAIN, cite, at(100)).summary
    assert told.startswith(f"{summary}: 32.45 % >= 30 %, LINK-USD -13.1 %")
    assert told.endswith("; account hyperliquid/main. WOULD HAVE blocked new risk on it")


LONGEST = """
- id: longest
  for_each: position
  scope: portfolio
  summary: All the words a desk may use, and no more
  when: margin_usage_ratio >= 0.3
  until: margin_usage_ratio <= 0.25
  severity: critical
  mode: {mode}
  do: {{{do}}}
"""
STRONG = "  confirm: {need: 2, of: 2, apart: 20s}\n  reentry: margin_usage_ratio <= 0.2\n"
PROTECTIVE = "  max_staleness: 30s\n  on_unknown: fire\n"


@pytest.mark.parametrize("mode", ["observe", "propose", "act"])
@pytest.mark.parametrize(
    ("do", "more", "value"),
    [
        pytest.param("level: hold", PROTECTIVE, None, id="hold by absence"),
        pytest.param("level: hold", PROTECTIVE, 0.4321, id="hold by a number"),
        pytest.param("level: block_new", "", 0.4321, id="block new"),
        pytest.param("level: cut, gross_to: 0.25", STRONG, 0.4321, id="cut"),
    ],
)
def test_the_action_is_never_cut(do: str, more: str, mode: str, value: float | None) -> None:
    """Whatever a desk calls its rule, venue and market, the first line ends with the action."""
    left = RuleState(state=AlertState.RECOVERING, firing_epoch_ns=at(10), unknown_since_ns=at(20))
    subject = position_subject("hyperliquid", "main.xyz", "X" * 60)
    text = LONGEST.format(mode=mode, do=do) + more
    told = tell(text, subject, {"margin_usage_ratio": value}, left)
    assert told.after is AlertState.FIRING
    assert len(told.summary) <= SUMMARY_CHARS_MAX
    brief = told.action.partition(" (")[0].partition(":")[0].replace("portfolio", "the portfolio")
    assert told.summary.endswith(f". {brief}")
    assert ("43.21 % >= 30 %" if value else "margin usage unknown") in told.summary


COUNTED = """
- id: counted
  for_each: venue
  summary: Market data is stale
  when: feeds_stale >= {limit}
  until: feeds_stale < {limit}
  severity: warning
"""
DOWN = """
- id: down
  for_each: feed
  summary: A connection is down
  when: feed_connected < 0.5
  severity: warning
"""
FIRED = RuleState(state=AlertState.FIRING, firing_epoch_ns=at(40), since_ns=at(40))
BBO, HL = feed_subject("hl", "bbo"), venue_subject("hl")


@pytest.mark.parametrize(
    ("text", "subject", "value", "state", "summary"),
    [
        pytest.param(
            COUNTED.format(limit="1.0"), HL, 1.0, NEW,
            "Market data is stale: 1 feed stale (limit 0); venue hl", id="one, none allowed",
        ),
        pytest.param(
            COUNTED.format(limit="1.0"), HL, 3.0, NEW,
            "Market data is stale: 3 feeds stale (limit 0); venue hl", id="several",
        ),
        pytest.param(
            COUNTED.format(limit="5.0"), HL, 7.0, NEW,
            "Market data is stale: 7 feeds stale (limit 5); venue hl", id="some allowed",
        ),
        pytest.param(
            COUNTED.format(limit="1.0"), HL, 0.0, FIRED,
            "Ended: Market data is stale: now 0 feeds stale (limit 0); venue hl", id="over",
        ),
        pytest.param(
            DOWN, BBO, 0.0, NEW,
            "A connection is down: disconnected; feed hl/bbo", id="false in words",
        ),
        pytest.param(
            DOWN, BBO, 1.0, FIRED,
            "Ended: A connection is down: now connected; feed hl/bbo", id="true in words",
        ),
    ],
)  # fmt: skip
def test_counts_and_flags_read_as_words(
    text: str, subject: Subject, value: float, state: RuleState, summary: str
) -> None:
    """Nobody has to translate ``feed_connected no`` or ``0 < 1`` at night."""
    name = "feeds_stale" if "feeds_stale" in text else "feed_connected"
    assert tell(text, subject, {name: value}, state).summary == summary


def test_missing_longer_than_tolerated_is_said_with_both_numbers() -> None:
    """A reading that exists but is too old for the rule: its age against what is tolerated."""
    text = ABSENCE.replace("max_staleness: 30s", "max_staleness: 1s")
    told = tell(text, MAIN, {"margin_usage_ratio": 0.1}, RuleState())
    assert told.summary == (
        "Account truth is stale: last known 2 s ago, limit 1 s; account hyperliquid/main. "
        "WOULD HAVE held it"
    )


@pytest.mark.parametrize(
    ("level", "gross", "capped", "text"),
    [
        (ActionLevel.HOLD, None, False, "held account hyperliquid/main (reduce only)"),
        (ActionLevel.BLOCK_NEW, None, False, "blocked new risk on account hyperliquid/main"),
        (ActionLevel.CUT, 0.7, False, "cut gross of account hyperliquid/main to 70 %"),
        (
            ActionLevel.HOLD, None, True,
            "held account hyperliquid/main (reduce only), held back: estimated numbers",
        ),
    ],
)  # fmt: skip
def test_requests_as_done(level: ActionLevel, gross: float | None, capped: bool, text: str) -> None:
    """The same words on the page, in the log and on the console."""
    request = KillRequest(
        rule="x", subject=MAIN, scope=MAIN, level=level, mode=RuleMode.OBSERVE,
        gross_to_ratio=gross, firing_epoch_ns=1, capped_by_estimate=capped,
    )  # fmt: skip
    assert request_text(request) == text


@pytest.mark.parametrize(
    ("value", "unit", "words", "text"),
    [
        (0.3245, Unit.RATIO, "", "32.45 %"),
        (-0.0005, Unit.RATIO, "", "-0.05 %"),
        (3.25, Unit.RATIO, "x", "3.25x"),
        (0.0000125, Unit.PER_HOUR, "", "0.00125 %/h"),
        (0.5, Unit.PER_YEAR, "", "50 %/yr"),
        (1234567.8, Unit.USD, "", "$1,234,568"),
        (-12.5, Unit.USD, "", "-$12.5"),
        (0.25, Unit.SECONDS, "", "250 ms"),
        (45.0, Unit.SECONDS, "", "45 s"),
        (600.0, Unit.SECONDS, "", "10 min"),
        (-1.5, Unit.SECONDS, "", "-1.5 s"),
        (36000.0, Unit.SECONDS, "", "10 h"),
        (259200.0, Unit.SECONDS, "", "3 d"),
        (1.0, Unit.BOOL, "", "yes"),
        (0.0, Unit.BOOL, "", "no"),
        (1.0, Unit.BOOL, "up down", "up"),
        (0.0, Unit.BOOL, "up down", "down"),
        (3.0, Unit.COUNT, "", "3"),
        (1.0, Unit.COUNT, "dog dogs", "1 dog"),
        (0.0, Unit.COUNT, "dog dogs", "0 dogs"),
        (64123.5, Unit.PRICE, "", "64,124"),
        (0.0123, Unit.PRICE, "", "0.0123"),
        (None, Unit.USD, "", "unknown"),
    ],
)
def test_numbers(value: float | None, unit: Unit, words: str, text: str) -> None:
    """Numbers as a trader reads them; percent only here."""
    assert number(value, unit, words.split()) == text


@pytest.mark.parametrize(
    ("subject", "text", "said"),
    [
        pytest.param("rule:book_thin", "book_thin about X", "book thin fires", id="one rule"),
        pytest.param("rule:a_b__c__d", "", "a b or 2 more fires", id="any of several"),
        pytest.param(
            "rule:a_b__c@asset:SOL",
            "c about hyperliquid/main/SOL for 3 min",
            "c about hyperliquid/main/SOL for 3 min",
            id="of several, about one asset",
        ),
        pytest.param("rule:a_b__c@asset:SOL", "", "a b or 1 more fires", id="none fires there"),
    ],
)
def test_other_rules_are_named(subject: str, text: str, said: str) -> None:
    """The first of several; of an asset, whom it is about."""
    cited = CitedReading(
        measure="rule_firing",
        subject=Subject(subject),
        value=1.0,
        unit=Unit.BOOL.value,
        as_of_ns=1,
        words=("fires", "does not fire"),
        text=text,
    )
    assert against(Comparison("x", ">", 0.5), cited) == said
