"""People hear within half a minute that a trip gets nowhere, while it goes on trying."""

from __future__ import annotations

import pytest

from monitor.core.killswitch.state import Stage
from monitor.sim.faults import FaultKind
from tests.killpath.rig import Rig, run


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(FaultKind.ACTIONS_LIMITED, id="429 to every action"),
        pytest.param(FaultKind.HALF_OPEN, id="no answer at all"),
    ],
)
def test_a_venue_that_lets_nothing_through_is_told_within_half_a_minute(kind: FaultKind) -> None:
    """INCOMPLETE with the reason, to a pager too; CONTAINED by itself once the venue is well."""

    async def story(rig: Rig) -> None:
        rig.inject(kind)
        began_s = rig.at_s
        await rig.pull()
        await rig.until(lambda: rig.stage() is Stage.INCOMPLETE, within_s=30.0)
        await rig.until(
            lambda: any("INCOMPLETE" in one.summary for one in rig.pages("KillSwitchTripped")),
            within_s=30.0 - (rig.at_s - began_s),
        )
        tried = len(rig.actions())
        await rig.passes(60.0)
        assert len(rig.actions()) > tried, "it goes on"
        rig.heal()
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=180.0)
        assert not rig.traded_twice()

    run(story)
