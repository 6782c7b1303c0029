"""What the demo says of the stress index: when it is known, and when it has moved."""

from __future__ import annotations

from monitor.cli.narrator import Narrator
from monitor.core.engine import Engine
from monitor.core.settings import EngineSettings
from monitor.core.types import PORTFOLIO
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
