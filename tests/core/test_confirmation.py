"""What confirms an action, as the kill switch is told it: when it was observed, by whom, and which
version of the rule asks. Nothing of that is made up from the rule's text."""

from __future__ import annotations

import pytest

from monitor.core.decision import ActionLevel, Decision, KillRequest, RuleMode
from monitor.core.errors import ConfigError
from monitor.core.settings import EngineSettings
from tests.core.desk import DYDX, HL, Desk

LOW = """\
- id: low
  for_each: market
  only: {venue: [hyperliquid]}
  when: mark_price < 90.0
  confirm: {need: 2, of: 2, apart: 20s}
  severity: critical
  do: {level: cut, gross_to: 0.5}
  scope: market
  mode: act
  summary: Mark is low
"""
PAGE = """\
- id: %s
  for_each: market
  only: {venue: [%s]}
  when: %s < 90.0
  severity: warning
  summary: A price is low
"""
BOTH = """\
- id: both
  for_each: portfolio
  flags: {one: firing__one >= 1.0, other: firing__other >= 1.0}
  at_least: 2
  confirm: {sources: 2}
  severity: critical
  do: {level: cut, gross_to: 0.5}
  scope: portfolio
  mode: act
  summary: Both are low
"""


def desk(rules: str) -> Desk:
    """Bitcoin at two venues."""
    made = Desk((HL, "main"), (DYDX, "main"), rules=rules)
    return made.list_market("BTC").list_market("BTC-USD", DYDX)


def low(made: Desk, second: float, *, hl: float = 80.0, dydx: float = 80.0) -> Decision:
    """Prices at both venues, and the batch's decision."""
    made.at(second).context("BTC", mark_price=hl, oracle_price=hl)
    return made.context("BTC-USD", DYDX, oracle_price=dydx).evaluate()


def asked(decision: Decision) -> KillRequest:
    """The one request."""
    (request,) = decision.kill_requests
    return request


@pytest.mark.parametrize("second", [20.0, 27.5])
def test_observations_bear_their_own_times(second: float) -> None:
    """Not the rule's nominal distance but when the readings were told; repeats leave no trace."""
    made = desk(LOW)
    low(made, 0)
    assert not low(made, 19.999).kill_requests
    request = asked(low(made, second))
    assert request.observations_ns == (made.ns(0), made.ns(second))
    assert request.sources == (HL,)
    assert request.level is ActionLevel.CUT


def test_a_request_names_the_version_of_its_rule() -> None:
    """The same text the same hash; another threshold another one."""
    made, other = desk(LOW), desk(LOW.replace("90.0", "91.0"))
    for one in (made, other):
        low(one, 0)
    first, second = asked(low(made, 20)), asked(low(other, 20))
    assert first.rule_hash == made.engine.rulebook.rules[0].fingerprint
    assert len(first.rule_hash) == 12
    assert first.rule_hash != second.rule_hash


def two(one: tuple[str, str], other: tuple[str, str], *, wait: str = "0s") -> Desk:
    """A cut on two flags, each a rule about a price of one venue."""
    flags = [PAGE % (name, *about) for name, about in (("one", one), ("other", other))]
    return desk("".join(flags) + BOTH.replace("  confirm:", f"  for: {wait}\n  confirm:"))


def test_two_venues_are_two_sources_at_once() -> None:
    """Each says so by itself, so nobody waits for a second look."""
    made = two((HL, "mark_price"), (DYDX, "oracle_price"))
    assert not low(made, 0, dydx=100.0).kill_requests, "one flag is none"
    request = asked(low(made, 1))
    assert request.sources == (DYDX, HL)
    assert len(request.observations_ns) == 1
    for second in (10, 30, 60):
        assert not low(made, second).kill_requests, "asked once, with all that confirms it"


def test_two_feeds_of_one_venue_are_one_source_and_are_seen_again() -> None:
    """Asked at once with what there is, and once more when it is seen 20 s later, not before."""
    made = two((HL, "mark_price"), (HL, "oracle_price"))
    first = asked(low(made, 1))
    assert (first.sources, first.observations_ns) == ((HL,), (made.ns(1),))
    assert not low(made, 20.999).kill_requests
    again = asked(low(made, 21))
    assert again.observations_ns == (made.ns(1), made.ns(21))
    assert again.firing_epoch_ns == first.firing_epoch_ns
    assert not low(made, 60).kill_requests


def test_what_ended_meanwhile_begins_anew() -> None:
    """A second look at something else confirms nothing."""
    made = two((HL, "mark_price"), (HL, "oracle_price"))
    low(made, 1)
    low(made, 10, hl=100.0)
    assert asked(low(made, 30)).observations_ns == (made.ns(30),)
    assert asked(low(made, 50)).observations_ns == (made.ns(30), made.ns(50))


@pytest.mark.parametrize(("wait", "times"), [("19s", 1), ("20s", 2)])
def test_what_lasted_was_seen_when_it_began_and_now(wait: str, times: int) -> None:
    """A rule that waits has two observations: the one it began with, and that of its end."""
    made = two((HL, "mark_price"), (HL, "oracle_price"), wait=wait)
    low(made, 0)
    seconds = float(wait.removesuffix("s"))
    assert not low(made, seconds - 0.001).kill_requests
    request = asked(low(made, seconds))
    assert request.observations_ns == (made.ns(0), made.ns(seconds))
    assert bool(low(made, 41).kill_requests) is (times == 1), "asked again where it was too short"


def test_a_number_made_of_two_venues_is_one_source() -> None:
    """Either of them may have made it what it is."""
    rule = LOW.replace("for_each: market\n  only: {venue: [hyperliquid]}", "for_each: portfolio")
    rule = rule.replace("mark_price < 90.0", "gross_exposure_usd >= 100.0")
    made = desk(rule.replace("scope: market", "scope: portfolio"))
    for second in (0, 20):
        made.at(second).positions(("BTC", 1)).positions(("BTC-USD", 1), venue=DYDX)
        decision = low(made, second)
    assert asked(decision).sources == ("dydx+hyperliquid",)


@pytest.mark.parametrize(
    ("confirm", "says"),
    [
        pytest.param("{sources: 1}", "sources", id="one-is-no-confirmation"),
        pytest.param("{sources: 2, need: 2, of: 2}", "stands alone", id="not-both"),
    ],
)
def test_two_sources_are_written_alone(confirm: str, says: str) -> None:
    """Observations are the other way."""
    with pytest.raises(ConfigError, match=says):
        two_rules(confirm)


def test_two_sources_want_two_flags() -> None:
    """A single condition is one witness, whatever it reads."""
    with pytest.raises(ConfigError, match="single condition"):
        desk(LOW.replace("{need: 2, of: 2, apart: 20s}", "{sources: 2}"))


def two_rules(confirm: str) -> Desk:
    """The rules of ``two`` with another confirmation."""
    rules = PAGE % ("one", HL, "mark_price") + PAGE % ("other", DYDX, "oracle_price") + BOTH
    return desk(rules.replace("{sources: 2}", confirm))


@pytest.mark.parametrize(
    ("severity", "mode"),
    [
        pytest.param("high", RuleMode.PROPOSE, id="high: proposed"),
        pytest.param("critical", RuleMode.ACT, id="critical: acts"),
    ],
)
def test_the_engine_asks_in_no_wider_mode_than_the_rule_may_have(
    severity: str, mode: RuleMode
) -> None:
    """Where a desk's word came past every check, the request still says what it may be."""
    rules = LOW.replace("severity: critical", f"severity: {severity}")
    rules = rules.replace("mode: act", "mode: propose")
    settings = EngineSettings(acting=True, rule_modes=(("low", RuleMode.ACT),))
    made = Desk(settings=settings, rules=rules).list_market("BTC").list_market("BTC-USD", DYDX)
    low(made, 0)
    request = asked(low(made, 20.0))
    assert (request.mode, request.mode_max) == (mode, mode)
