"""What a rule asked for just before its process died is asked for again by the next one."""

from __future__ import annotations

import pytest

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.engine import Engine
from monitor.core.settings import EngineSettings
from monitor.core.types import AlertState
from tests.core.desk import BTC, HL, Desk

RULES = """
rules:
  - id: mark_low
    for_each: market
    when: mark_price <= 90.0
    until: mark_price >= 95.0
    keep_firing_for: 60s
    max_staleness: 60s
    severity: critical
    do: {level: LEVEL}
    scope: market
    mode: act
    summary: "mark {mark_price}"
    runbook: mark_low
"""


def desk_with(level: str, engine: Engine | None = None) -> Desk:
    """One rule about the mark."""
    return Desk((HL, "main"), rules="" if engine else RULES.replace("LEVEL", level), engine=engine)


def restarted(level: str, before: Desk) -> Desk:
    """The next process, with the rule's state as it was kept and nothing of what it led to."""
    rows, _ = before.engine.take_rule_rows()
    after = desk_with(level, Engine(EngineSettings(accounts=((HL, "main"),))))
    after.engine.restore(rows, before.engine.memories(), stopped_ns=before.now)
    after.now = before.now
    after.load(RULES.replace("LEVEL", level))
    return after


@pytest.mark.parametrize(
    ("level", "price", "asked"),
    [
        pytest.param("block_new", 80.0, [ActionLevel.BLOCK_NEW], id="still so"),
        pytest.param("hold", 80.0, [ActionLevel.HOLD], id="a hold"),
        pytest.param("block_new", 92.0, [], id="in between: nothing says that it is so"),
        pytest.param("block_new", 99.0, [], id="over"),
        pytest.param("page", 80.0, [], id="a page asks for nothing"),
    ],
)
def test_a_rule_that_fires_over_a_restart_asks_once_more(
    level: str, price: float, asked: list[ActionLevel]
) -> None:
    """Its state was kept and its request perhaps not; in the same episode, so that what was heard
    before changes nothing. Never before it is known to be so again, and once."""
    before = desk_with(level).context("BTC", mark_price=80.0)
    first = before.evaluate()
    epoch_ns = before.now
    assert bool(first.kill_requests) is (level != "page")
    after = restarted(level, before)
    assert not after.evaluate().kill_requests
    after.now += 10 * 10**9
    found = after.context("BTC", mark_price=price).evaluate()
    assert [one.level for one in found.kill_requests] == asked
    assert all(one.firing_epoch_ns == epoch_ns for one in found.kill_requests)
    after.now += 10 * 10**9
    again = after.context("BTC", mark_price=80.0).evaluate()
    assert after.engine.state.rules[f"mark_low|{BTC}"].state.state is AlertState.FIRING
    assert bool(again.kill_requests) is (not asked and level != "page"), "once it is so"


@pytest.mark.parametrize(
    ("mode", "price", "asked"),
    [
        pytest.param("observe", 80.0, [RuleMode.OBSERVE], id="taken back"),
        pytest.param("observe", 92.0, [], id="in between: nothing says that it is so"),
        pytest.param("propose", 80.0, [], id="the next episode is soon enough"),
    ],
)
def test_a_rule_that_is_to_observe_says_so_while_it_fires(
    mode: str, price: float, asked: list[RuleMode]
) -> None:
    """A rulebook loaded anew: what the kill switch has before people of it has to go, and what it
    was told stays of the same episode; once."""
    desk = desk_with("block_new").context("BTC", mark_price=80.0)
    assert desk.evaluate().kill_requests
    epoch_ns = desk.now
    desk.now += 10 * 10**9
    desk.context("BTC", mark_price=price).evaluate()
    desk.load(RULES.replace("LEVEL", "block_new").replace("mode: act", f"mode: {mode}"))
    found = list(desk.evaluate().kill_requests)
    for _ in range(2):
        desk.now += 10 * 10**9
        found += desk.context("BTC", mark_price=price).evaluate().kill_requests
    assert [one.mode for one in found] == asked
    assert all(one.firing_epoch_ns == epoch_ns for one in found)
