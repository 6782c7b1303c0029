"""What the rules asked: lowest target, first baseline, and who gives what back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.backtest.restraint import HOLD_RELEASE_NS, Restraints, covers
from monitor.core.decision import ActionLevel, Because, KillRequest, RuleMode
from monitor.core.types import PORTFOLIO, SECOND_NS, Subject

HOUR_NS = 3600 * SECOND_NS


def request(
    rule: str, to: float | None, level: ActionLevel = ActionLevel.CUT, scope: Subject = PORTFOLIO
) -> KillRequest:
    """A rule asks about the whole book."""
    return KillRequest(
        rule=rule,
        subject=PORTFOLIO,
        scope=scope,
        level=level,
        mode=RuleMode.OBSERVE,
        gross_to_ratio=to,
        firing_epoch_ns=0,
    )


def test_the_baseline_is_of_the_first_entry() -> None:
    """A second rule cuts from the same gross; when all are gone the next starts anew."""
    asked = Restraints()
    asked.ask(request("a", 0.7), 0, 0, 1000.0)
    asked.ask(request("b", 0.4), HOUR_NS, 0, 700.0)
    assert asked.goals(HOUR_NS) == {PORTFOLIO: 400.0}
    asked.settle([("b", PORTFOLIO)], 2 * HOUR_NS, delay_ns=0)
    assert asked.goals(2 * HOUR_NS) == {PORTFOLIO: 700.0}
    asked.settle([("a", PORTFOLIO)], 3 * HOUR_NS, delay_ns=0)
    asked.ask(request("a", 0.7), 4 * HOUR_NS, 0, 500.0)
    assert asked.goals(4 * HOUR_NS) == {PORTFOLIO: 350.0}


def test_a_target_counts_from_the_reaction_on() -> None:
    """Asked at 0, obeyed after fifteen minutes."""
    asked = Restraints()
    asked.ask(request("a", 0.7), 0, HOUR_NS // 4, 1000.0)
    assert asked.goals(HOUR_NS // 4 - 1) == {}
    assert asked.goals(HOUR_NS // 4) == {PORTFOLIO: 700.0}
    assert asked.due(0, HOUR_NS) == [HOUR_NS // 4]
    assert asked.due(HOUR_NS // 4, HOUR_NS) == [HOUR_NS // 4]
    assert asked.due(HOUR_NS // 4 + 1, HOUR_NS) == []


@pytest.mark.parametrize(
    ("level", "delay_ns", "wait_ns"),
    [
        (ActionLevel.HOLD, HOUR_NS, HOLD_RELEASE_NS),
        (ActionLevel.CUT, 2 * HOUR_NS, 2 * HOUR_NS),
        (ActionLevel.BLOCK_NEW, 2 * HOUR_NS, 2 * HOUR_NS),
    ],
    ids=["a hold goes by itself", "a cut waits for a person", "so does a block"],
)
def test_who_waits_how_long(level: ActionLevel, delay_ns: int, wait_ns: int) -> None:
    """To the nanosecond, from when it may go."""
    asked = Restraints()
    asked.ask(request("a", 0.7, level), 0, 0, 1000.0)
    over = [("a", PORTFOLIO)]
    asked.settle(over, HOUR_NS, delay_ns=delay_ns)
    asked.settle(over, HOUR_NS + wait_ns - 1, delay_ns=delay_ns)
    assert asked.active
    asked.settle(over, HOUR_NS + wait_ns, delay_ns=delay_ns)
    assert not asked.active


def test_what_is_no_longer_permitted_waits_anew() -> None:
    """Permission for an hour, none, permission again: the wait starts over."""
    asked = Restraints()
    asked.ask(request("a", 0.7), 0, 0, 1000.0)
    over = [("a", PORTFOLIO)]
    asked.settle(over, 1 * HOUR_NS, delay_ns=2 * HOUR_NS)
    asked.settle([], 2 * HOUR_NS, delay_ns=2 * HOUR_NS)
    asked.settle(over, 3 * HOUR_NS, delay_ns=2 * HOUR_NS)
    asked.settle(over, 4 * HOUR_NS, delay_ns=2 * HOUR_NS)
    assert asked.active
    asked.settle(over, 5 * HOUR_NS, delay_ns=2 * HOUR_NS)
    assert not asked.active


def test_an_estimate_that_became_exact_cuts() -> None:
    """First a hold, then the cut that was capped."""
    asked = Restraints()
    asked.ask(request("a", None, ActionLevel.HOLD), 0, 0, 1000.0)
    assert asked.goals(0) == {}
    asked.ask(request("a", 0.7), 5, 0, 900.0)
    assert asked.goals(5) == {PORTFOLIO: pytest.approx(630.0)}


def test_an_amount_stands_beside_shares() -> None:
    """The lowest counts, and each goes by itself."""
    asked = Restraints()
    asked.ask(request("a", 0.7), 0, 0, 1000.0)
    asked.ask(replace(request("cap", None), gross_to_usd=600.0), 0, 0, 1000.0)
    assert (asked.goals(0), asked.due(0, 1)) == ({PORTFOLIO: 600.0}, [0])
    asked.settle([("cap", PORTFOLIO)], 1, delay_ns=0)
    assert asked.goals(1) == {PORTFOLIO: 700.0}
    asked.ask(replace(request("cap", None), gross_to_usd=2000.0), 2, 0, 700.0)
    asked.settle([("a", PORTFOLIO)], 3, delay_ns=0)
    assert asked.goals(3) == {PORTFOLIO: 1000.0}


def test_what_is_held_for_a_risk_goes_with_its_rule() -> None:
    """Nothing grows meanwhile, and there is nothing to wait for."""
    asked = Restraints()
    asked.ask(replace(request("a", None, ActionLevel.HOLD), because=Because.RISK), 0, 0, 1000.0)
    asked.settle([], HOUR_NS, delay_ns=HOUR_NS)
    assert asked.scopes(HOUR_NS) == {PORTFOLIO}
    asked.settle([("a", PORTFOLIO)], HOUR_NS, delay_ns=HOUR_NS)
    assert not asked.active


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        ("portfolio", True),
        ("venue:binance", True),
        ("venue:bybit", False),
        ("account:binance/main", True),
        ("account:binance/other", False),
        ("position:binance/main/BTC", True),
        ("market:binance/ETH", False),
        ("asset:BTC", True),
        ("chain:base", False),
    ],
)
def test_scopes(scope: str, inside: bool) -> None:
    """Every kind of scope, and one that holds no position."""
    assert covers(Subject(scope), "binance", "main", "BTC") is inside
