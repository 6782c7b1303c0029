"""What may be told to the desk: the stricter of what is concluded and what is on record."""

from __future__ import annotations

import pytest

from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.state import Hold, KillState, Latch, Sight
from monitor.core.killswitch.trading import trading_state, with_kept
from monitor.core.types import PORTFOLIO, Subject, venue_subject

NOW = 1_800_000_000_000_000_000
SCOPE = venue_subject("hyperliquid")
LEG = ("hyperliquid", "main", "BTC", "BTC")


def latched(*levels: tuple[Subject, Level]) -> KillState:
    """A state with these latches, in sight of one position."""
    return KillState(
        latches={
            scope: Latch(trip_id=f"t-{level}", scope=scope, level=level, since_ns=NOW)
            for scope, level in levels
        },
        sight=Sight(legs=(LEG,)),
    )


def held() -> KillState:
    """A state with one hold."""
    hold = Hold(rule="stale", subject=PORTFOLIO, scope=SCOPE, since_ns=NOW, epoch_ns=NOW)
    return KillState(holds={"stale|portfolio": hold}, sight=Sight(legs=(LEG,)))


@pytest.mark.parametrize(
    ("live", "kept", "told"),
    [
        pytest.param(latched(), latched((SCOPE, Level.CUT)), ["REDUCE_ONLY"], id="a re-arm waits"),
        pytest.param(latched((SCOPE, Level.CUT)), latched(), ["REDUCE_ONLY"], id="a trip does not"),
        pytest.param(
            latched((SCOPE, Level.CUT)),
            latched((SCOPE, Level.HALT)),
            ["HALTED"],
            id="re-armed and tripped again, milder",
        ),
        pytest.param(
            latched((SCOPE, Level.HALT)), latched((SCOPE, Level.CUT)), ["HALTED"], id="raised"
        ),
        pytest.param(KillState(), held(), ["REDUCE_ONLY"], id="a release waits"),
        pytest.param(held(), KillState(), ["REDUCE_ONLY"], id="a hold does not"),
        pytest.param(KillState(), KillState(), [], id="nothing is nothing"),
    ],
)
def test_the_stricter_is_told(live: KillState, kept: KillState, told: list[str]) -> None:
    """By scope; and neither state is changed by it."""
    before = (dict(live.latches), dict(live.holds))
    found = trading_state(with_kept(live, kept), DaemonMode.ARMED, NOW)
    assert [one.trading for one in found.scopes] == told
    assert (live.latches, live.holds) == before


def test_hedges_follow_what_is_seen_now() -> None:
    """A hold that is not yet released on record keeps its assets unknown; sight is of now."""
    both = trading_state(
        with_kept(KillState(sight=Sight(legs=(LEG,))), held()), DaemonMode.ARMED, NOW
    )
    assert dict(both.hedge_allowed) == {"BTC": False}
    seen = with_kept(latched(), KillState())
    assert dict(trading_state(seen, DaemonMode.ARMED, NOW).hedge_allowed) == {"BTC": True}
