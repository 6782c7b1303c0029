"""After a restart the more restrictive counts, and what cannot be read is REDUCE_ONLY."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.errors import StoreError
from monitor.core.killswitch.facts import ReduceOrder
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.restore import more_restrictive, state_after_restart
from monitor.core.killswitch.state import Hold, Intent, KillState, Latch, Run, pack, unpack
from monitor.core.types import PORTFOLIO, Side, Subject, venue_subject

NOW = 1_800_000_000_000_000_000
DYDX = venue_subject("dydx")


def latch(level: Level, scope: Subject = PORTFOLIO, ratio: float | None = None) -> Latch:
    """One trip."""
    return Latch(
        trip_id=f"{scope}-{level}", scope=scope, level=level, since_ns=NOW, gross_to_ratio=ratio
    )


def packed(*latches: Latch, held: bool = False) -> bytes:
    """A state with these."""
    state = KillState(latches={one.scope: one for one in latches})
    if held:
        state.holds["r|s"] = Hold(rule="r", subject=DYDX, scope=DYDX, since_ns=NOW, epoch_ns=NOW)
    return pack(state)


@pytest.mark.parametrize(
    ("newer", "older", "level", "ratio"),
    [
        pytest.param(
            [latch(Level.HALT)], [latch(Level.CUT, ratio=0.7)], Level.HALT, None, id="newer"
        ),
        pytest.param(
            [latch(Level.REDUCE_ONLY)],
            [latch(Level.CUT, ratio=0.7)],
            Level.CUT,
            0.7,
            id="the older is stricter",
        ),
        pytest.param([], [latch(Level.HALT)], Level.HALT, None, id="only the older latches"),
        pytest.param([latch(Level.HALT)], [], Level.HALT, None, id="only the newer latches"),
        pytest.param(
            [latch(Level.CUT, ratio=0.7)],
            [latch(Level.CUT, ratio=0.4)],
            Level.CUT,
            0.7,
            id="the same trip: the newer knows",
        ),
    ],
)
def test_the_higher_level_wins(
    newer: list[Latch], older: list[Latch], level: Level, ratio: float | None
) -> None:
    """By scope, whichever of the two states it stands in."""
    state = unpack(more_restrictive(packed(*newer), packed(*older)))
    assert (state.latches[PORTFOLIO].level, state.latches[PORTFOLIO].gross_to_ratio) == (
        level,
        ratio,
    )


def with_intent(one: Latch, client_id: str) -> Latch:
    """The trip with an order that may be out."""
    order = ReduceOrder(
        client_id=client_id,
        market="BTC",
        side=Side.SELL,
        size=Decimal(1),
        limit_price=Decimal(100),
        reference_price=100.0,
        expires_at_ns=NOW,
    )
    run = Run(venue="hyperliquid", account="main")
    run.intents.append(Intent(order=order, round=1, leg="l", notional_usd=100.0))
    one.runs[run.key] = run
    return one


@pytest.mark.parametrize("newer_level", [Level.REDUCE_ONLY, Level.HALT])
def test_orders_of_either_that_may_be_out_are_found_out_about(newer_level: Level) -> None:
    """Whichever of the two is stricter: forgotten, they would be sent again."""
    newer = with_intent(latch(newer_level), "0x01")
    older = with_intent(latch(Level.CUT, ratio=0.7), "0x02")
    state = unpack(more_restrictive(packed(newer), packed(older)))
    (run,) = state.latches[PORTFOLIO].runs.values()
    assert {intent.order.client_id for intent in run.intents} == {"0x01", "0x02"}


def test_other_scopes_and_holds_are_added() -> None:
    """Nothing that either of them restricts is lost."""
    state = unpack(
        more_restrictive(packed(latch(Level.CUT)), packed(latch(Level.HALT, DYDX), held=True))
    )
    assert {scope: one.level for scope, one in state.latches.items()} == {
        PORTFOLIO: Level.CUT,
        DYDX: Level.HALT,
    }
    assert list(state.holds) == ["r|s"]


def test_the_same_bytes_where_the_older_adds_nothing() -> None:
    """So that the store's own state is recognised."""
    newer = packed(latch(Level.HALT))
    assert more_restrictive(newer, packed()) is newer
    assert more_restrictive(newer, newer) is newer


def test_one_that_cannot_be_read_gives_way() -> None:
    """Two of them are an error."""
    good = packed(latch(Level.HALT))
    assert more_restrictive(b"damaged", good) is good
    assert more_restrictive(good, b"damaged") is good
    with pytest.raises(StoreError):
        more_restrictive(b"damaged", b"too")


@pytest.mark.parametrize(
    ("kept", "problem", "level", "observed"),
    [
        pytest.param(None, "", None, None, id="a first start"),
        pytest.param(packed(latch(Level.HALT)), "", Level.HALT, Level.HALT, id="as it was"),
        pytest.param(None, "no disk", Level.REDUCE_ONLY, None, id="unreadable: reduce only"),
        pytest.param(b"damaged", "", Level.REDUCE_ONLY, None, id="damaged: reduce only"),
        pytest.param(
            packed(latch(Level.HALT)),
            "no disk",
            Level.HALT,
            Level.HALT,
            id="never milder than kept",
        ),
        pytest.param(
            packed(latch(Level.HALT, DYDX)),
            "no disk",
            Level.REDUCE_ONLY,
            None,
            id="beside what is kept",
        ),
    ],
)
@pytest.mark.parametrize("acting", [True, False], ids=["acting", "observing"])
def test_what_a_restart_begins_with(
    kept: bytes | None,
    problem: str,
    level: Level | None,
    observed: Level | None,
    *,
    acting: bool,
) -> None:
    """Unknown is never clear; but who only observes latches nothing, and says why it should."""
    state, why = state_after_restart(kept, problem=problem, now=NOW, acting=acting)
    level = level if acting else observed
    held = state.latches.get(PORTFOLIO)
    assert (None if held is None else held.level) is level
    assert bool(why) is (bool(problem) or kept == b"damaged")
