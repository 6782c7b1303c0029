"""What of the engine is kept: what changed, and that somebody watched."""

from __future__ import annotations

import pytest

from monitor.app.pages import WATCHING, EngineKeeper
from monitor.core.engine import Engine
from monitor.core.settings import EngineSettings
from tests.manual_clock import ManualClock


@pytest.mark.parametrize(
    ("after_s", "told"),
    [
        pytest.param(9.0, False, id="nothing new"),
        pytest.param(10.0, True, id="time to say so again"),
    ],
)
async def test_that_riskd_watches_is_kept_every_ten_seconds(after_s: float, told: bool) -> None:
    """On a quiet day no rule state changes for hours; a restart must not take these for a gap."""
    clock = ManualClock()
    keeper = EngineKeeper(Engine(EngineSettings()), clock)
    first = keeper()
    assert (first.memories, first.at_ns) == (((WATCHING, b""),), clock.now())
    await clock.advance(after_s)
    later = keeper()
    assert later.memories == (((WATCHING, b""),) if told else ())
    assert later.empty is not told
