"""What the demo says of the stress index, of proposals, and of the way back."""

from __future__ import annotations

import pytest

from monitor.app.way_back import unmet
from monitor.cli.gate_voice import GateVoice
from monitor.cli.narrator import Narrator
from monitor.core.decision import ActionLevel, Decision, KillRequest, RuleMode
from monitor.core.engine import Engine
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Cause, Latch
from monitor.core.settings import EngineSettings
from monitor.core.types import PORTFOLIO
from tests.core.desk import BTC, Desk
from tests.core.stress_desk import EXAMPLE, StressDesk


def test_the_stress_index_is_told_with_what_it_is_made_of_and_once() -> None:
    """Nothing while it is unknown; then its points; not again while it stands."""
    desk = StressDesk(*EXAMPLE)
    desk.after("funding_stress_index", PORTFOLIO)
    told: list[str] = []
    voice = Narrator(told.append, lambda: desk.now, desk.now)
    voice.tell_stress(Engine(EngineSettings()))
    assert told == []
    voice.tell_stress(desk.engine)
    voice.tell_stress(desk.engine)
    assert told == [
        (
            "[SIMULATED 0:00] riskd  funding stress index 69 of 100, by points: level 22, "
            "breadth 25, surprise 17, change 5, flips 0."
        )
    ]


def asking(mode: RuleMode, *, capped: bool = False) -> KillRequest:
    """A rule that asks for a cut."""
    return KillRequest(
        rule="funding_stress",
        subject=PORTFOLIO,
        scope=PORTFOLIO,
        level=ActionLevel.CUT,
        mode=mode,
        gross_to_ratio=0.7,
        firing_epoch_ns=1,
        capped_by_estimate=capped,
    )


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        pytest.param(
            asking(RuleMode.PROPOSE),
            "asks a person whether to cut gross of portfolio to 70 %, by funding_stress.",
            id="proposes",
        ),
        pytest.param(
            asking(RuleMode.OBSERVE),
            "WOULD HAVE cut gross of portfolio to 70 %, by funding_stress; that rule observes, "
            "so nothing was sent.",
            id="observes",
        ),
    ],
)
def test_a_proposal_is_not_called_observing(request_: KillRequest, told: str) -> None:
    """Nobody is told that a rule observes whose question is in the pager."""
    lines: list[str] = []
    voice = Narrator(lines.append, lambda: 0, 0)
    voice.decided(Decision(at_ns=0, kill_requests=(request_,)))
    assert lines == [f"[SIMULATED 0:00] riskd  {told}"]


GATED = """
- id: storm
  for_each: market
  when: mark_price >= 110.0
  until: mark_price <= 105.0
  keep_firing_for: 60s
  reentry: mark_price <= 101.0
  severity: critical
  do: {level: block_new}
  scope: market
  summary: A storm
"""


def test_a_gate_is_told_while_it_is_shut_and_when_it_opens() -> None:
    """Why, since when and what it wants; again only after a while or when that changes; not a
    word about what a person alone had latched."""
    desk = Desk(rules=GATED)
    desk.list_market().context(mark_price=112.0).evaluate()
    latches: dict[str, Latch] = {
        BTC: Latch(trip_id="t", scope=BTC, level=Level.REDUCE_ONLY, since_ns=desk.now),
        PORTFOLIO: Latch(trip_id="p", scope=PORTFOLIO, level=Level.HALT, since_ns=desk.now),
    }
    latches[BTC].causes.append(Cause(actor="rule:storm", level=Level.REDUCE_ONLY, at_ns=desk.now))
    latches[PORTFOLIO].causes.append(Cause(actor="person:a", level=Level.HALT, at_ns=desk.now))
    told: list[str] = []
    opened: list[int] = []
    voice = GateVoice(told.append, lambda: opened.append(1))

    def look(second: float, mark: float) -> list[str]:
        told.clear()
        desk.at(second).context(mark_price=mark).evaluate()
        voice.look(
            desk.engine, latches, lambda s: unmet(desk.engine, latches[s], desk.now), desk.now
        )
        return list(told)

    assert look(9, 112.0) == [
        (
            "the way back into market hyperliquid/BTC is shut since 9 s: storm is firing about "
            "market:hyperliquid/BTC. Now mark price 112."
        ),
        (
            "to open it, storm wants 60 s of mark_price <= 105.0, known without a break, then "
            "mark_price <= 101.0; then a person."
        ),
    ]
    assert look(18, 112.0) == []
    assert look(300, 112.0)[0].startswith(
        "the way back into market hyperliquid/BTC is shut since 5"
    )
    assert "storm is recovering" in look(310, 104.0)[0]
    assert "storm wants mark_price <= 101.0" in look(380, 104.0)[0]
    assert opened == []
    assert look(390, 100.0) == [
        (
            "the way back into market hyperliquid/BTC is open, 6.5 min after it was cut. It is "
            "offered, not taken: a person types riskd rearm --scope market:hyperliquid/BTC."
        )
    ]
    assert opened == [1]
    assert look(399, 100.0) == []
    del latches[BTC]
    assert look(408, 100.0) == []
