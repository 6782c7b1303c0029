"""What the running peak remembers of its rises: enough to take back, and no more than that."""

from __future__ import annotations

import pytest

from monitor.core.formulas.drawdown import DrawdownMemory, Flows, follow_drawdown, start_drawdown
from monitor.core.types import SECOND_NS

SETTLING_S = 120


def follow(memory: DrawdownMemory, equity: float, at_s: float, told: float = 0.0) -> DrawdownMemory:
    """One more equity at a time, with all that was told to have come in so far."""
    known, _ = follow_drawdown(
        memory,
        equity,
        Flows(external_total_usd=told),
        exposed=True,
        now=round(at_s * SECOND_NS),
        settling_ns=SETTLING_S * SECOND_NS,
    )
    return known


def test_rising_for_an_hour_keeps_what_the_settling_time_holds() -> None:
    """A hundred new peaks a second are remembered as one a second, for two minutes."""
    memory = start_drawdown(1000.0, Flows(0.0))
    for step in range(1, 30_001):
        memory = follow(memory, 1000.0 + step * 0.01, step * 0.01)
    assert memory.peak_usd == pytest.approx(1300.0)
    assert len(memory.raised) <= SETTLING_S + 1
    assert sum(usd for _, usd in memory.raised) == pytest.approx(SETTLING_S, abs=1.0)


def test_deposit_seen_before_it_was_told_is_taken_back_from_rises_of_one_second() -> None:
    """The peak is lifted once, not twice, though the market rose in the same second."""
    memory = start_drawdown(1000.0, Flows(0.0))
    memory = follow(memory, 1010.0, 1.0)
    memory = follow(memory, 1510.0, 1.5)
    memory = follow(memory, 1510.0, 2.0, told=500.0)
    assert memory.peak_usd == pytest.approx(1510.0)
    assert memory.raised == ((SECOND_NS, 10.0),)


@pytest.mark.parametrize(
    ("at_s", "peak"),
    [(60.0, 1500.0), (121.0, 2000.0)],
    ids=["within the settling time", "after it"],
)
def test_rise_is_taken_back_only_within_the_settling_time(at_s: float, peak: float) -> None:
    """What was told two minutes later is another deposit."""
    memory = follow(start_drawdown(1000.0, Flows(0.0)), 1500.0, 1.0)
    assert follow(memory, 1500.0, at_s, told=500.0).peak_usd == pytest.approx(peak)
