"""Strategies against the share of the book's bad hours that the desk means them to make."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.measures.risk_shares import HOURS_MIN, SHARE
from monitor.core.structure import Strategy
from monitor.core.types import Subject
from tests.core.by_hand import adds_up
from tests.core.desk import Desk
from tests.core.test_strategies import BASIS, BY_ACCOUNT, CARRY, RULES, desk_of, later, play, tell

OFF = "strategy_shortfall_off_ratio"
# In the worst hour of three carry loses 6 and basis 2; over all hours neither loses.
LOSING, LOSING_LESS = (5.0, -6.0, 1.0), (2.0, -2.0, 0.0)


def meant(carry: float | None, basis: float | None) -> tuple[Strategy, ...]:
    """Both strategies with these shares."""
    return tuple(
        msgspec.structs.replace(one, risk_share=share)
        for one, share in zip(BY_ACCOUNT, (carry, basis), strict=True)
    )


def book(carry: float | None = 0.4, basis: float | None = 0.6, hours: int = HOURS_MIN) -> Desk:
    """Two weeks of it."""
    desk = desk_of(*meant(carry, basis))
    play(desk, hours, LOSING, LOSING_LESS)
    return desk


def states(desk: Desk) -> dict[Subject, str]:
    """Of the rule, by strategy."""
    return {
        one.subject: one.state.state.value
        for one in desk.engine.rule_states()
        if one.rule == "budget_mix"
    }


def test_who_makes_the_worst_hours() -> None:
    """Six of eight lost in each of them is three quarters."""
    desk = book()
    assert desk.value(SHARE, CARRY) == pytest.approx(0.75)
    assert desk.value(SHARE, BASIS) == pytest.approx(0.25)
    assert desk.value(OFF, CARRY) == pytest.approx(0.35)
    assert desk.value(OFF, BASIS) == pytest.approx(-0.35)


def test_two_weeks_are_needed() -> None:
    """And it says how far that is."""
    desk = book(hours=HOURS_MIN - 25)
    assert desk.value(SHARE, CARRY) is None
    assert f"{HOURS_MIN - 25} of {HOURS_MIN} hours known" in desk.why(SHARE, CARRY)
    assert "1 days to go" in desk.why(SHARE, CARRY)
    assert desk.value(OFF, CARRY) is None


def test_a_profit_that_nobody_knows_for_hours_makes_it_unknown() -> None:
    """Never the share of yesterday."""
    desk = book()
    for _ in range(8):
        later(desk, 1).evaluate()
    assert desk.value(SHARE, CARRY) is None
    assert desk.value(OFF, BASIS) is None


def test_a_book_that_never_lost_has_no_shares() -> None:
    """There is nothing to share."""
    desk = desk_of(*meant(0.4, 0.6))
    play(desk, HOURS_MIN, (1.0,), (2.0,))
    assert desk.value(SHARE, CARRY) is None
    assert "lost nothing" in desk.why(SHARE, CARRY)


def test_what_is_not_configured_is_not_asked() -> None:
    """The share is shown all the same."""
    desk = book(None, None)
    assert desk.value(SHARE, CARRY) == pytest.approx(0.75)
    assert desk.value(OFF, CARRY) == 0.0


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        pytest.param((0.4, 0.6), "firing", id="one above, one below"),
        pytest.param((0.66, 0.34), "inactive", id="nine points off"),
        pytest.param((0.64, 0.36), "firing", id="eleven points off"),
    ],
)
def test_the_rule_tells_each_strategy(shares: tuple[float, float], told: str) -> None:
    """Ten points either way, an hour long."""
    desk = desk_of(*meant(*shares))
    desk.load(RULES)
    play(desk, HOURS_MIN + 3, LOSING, LOSING_LESS)
    assert states(desk) == {CARRY: told, BASIS: told}


def test_the_share_is_worked_out() -> None:
    """What all lost, what this one did, and what it is off."""
    desk = book()
    tell(later(desk, 0.1), 1.0, 1.0)
    lines = adds_up(desk, SHARE, CARRY)
    assert lines[0] == "mean loss of all in the worst 8 of 336 hours: 8"
    assert lines[-1] == "share: 6 / 8 = 0.75"
    lines = adds_up(desk, OFF, CARRY)
    assert lines[-1] == "off: 0.75 - 0.4 = 0.35"
