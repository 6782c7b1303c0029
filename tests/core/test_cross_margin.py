"""What shares one margin pool, and hedges whose other leg is elsewhere."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.settings import EngineSettings, MarginSettings
from monitor.core.structure import Strategy, StructureSettings
from tests.core.desk import DMAIN, DYDX, HL, ISOLATED, MAIN, Desk

SHARING, OFF = "cross_margin_strategies_count", "hedges_off_venue_count"
CARRY = Strategy(name="carry", assets=("SOL",))
TREND = Strategy(name="trend", assets=("DOGE",))
ALL = Strategy(name="all", accounts=((HL, "main"),))


def desk(*strategies: Strategy) -> Desk:
    """SOL and DOGE at a dollar on both venues."""
    settings = EngineSettings(
        accounts=((HL, "main"), (DYDX, "main")),
        structure=StructureSettings(strategies=strategies),
        margin=MarginSettings(reach_minutes=((HL, 4.0),)),
    )
    made = Desk(settings=settings)
    for asset in ("SOL", "DOGE"):
        made.list_market(asset).context(asset, mark_price=1.0, oracle_price=1.0)
        made.list_market(f"{asset}-USD", DYDX).context(f"{asset}-USD", DYDX, oracle_price=1.0)
    return made.positions(("SOL", 10), ("DOGE", -10)).positions(("SOL-USD", 0), venue=DYDX)


@pytest.mark.parametrize(
    ("strategies", "count"),
    [
        pytest.param((CARRY, TREND), 2.0, id="two by asset"),
        pytest.param((CARRY,), 1.0, id="one"),
        pytest.param((ALL, TREND), 2.0, id="the account's own, and one by asset"),
        pytest.param((Strategy(name="other", assets=("XRP",)),), 0.0, id="one elsewhere"),
    ],
)
def test_strategies_that_share_a_pool(strategies: tuple[Strategy, ...], count: float) -> None:
    """Those with a position in it."""
    assert desk(*strategies).after(SHARING, MAIN) == count


def test_isolated_positions_share_nothing() -> None:
    """Nor does an empty pool."""
    made = desk(CARRY, TREND, ALL)
    assert made.after(SHARING, DMAIN) == 0.0
    made.at(6).positions(("SOL", 10), ("DOGE", -10), margin_mode=ISOLATED)
    assert made.after(SHARING, MAIN) == 0.0


def test_without_strategies_nothing_is_asked() -> None:
    """And what is not known is not called one."""
    made = desk()
    assert made.after(SHARING, MAIN) is None
    assert made.why(SHARING, MAIN).startswith("no source: `structure.strategies`")
    assert desk(CARRY).at(600).after(SHARING, MAIN) is None


def test_a_leg_elsewhere_is_against_ours() -> None:
    """On another venue or declared; not on this venue, not on our side, not dust."""
    made = desk(CARRY)
    assert made.after(OFF, MAIN) == 0.0
    made.positions(("SOL-USD", -10), venue=DYDX)
    assert (made.at(6).after(OFF, MAIN), made.value(OFF, DMAIN)) == (1.0, 1.0)
    assert made.at(12).positions(("SOL-USD", 10), venue=DYDX).after(OFF, MAIN) == 0.0
    assert made.at(18).positions(("SOL-USD", "-0.09"), venue=DYDX).after(OFF, MAIN) == 0.0
    leg = e.OffBookLeg(asset="DOGE", size=Decimal(5), expires_at_ns=made.ns(600))
    made.tell(e.OffBookLegsDeclared(source="file", legs=(leg,)))
    assert made.at(24).after(OFF, MAIN) == 1.0


def test_how_long_help_takes_is_what_was_rehearsed() -> None:
    """Four minutes here, an hour where nobody said."""
    made = desk()
    assert made.after("collateral_reach_s", MAIN) == 240.0
    assert made.value("collateral_reach_s", DMAIN) == 3_600.0
