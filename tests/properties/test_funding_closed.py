"""A market that stops being active never cools the funding stress index or opens the way back."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.types import PORTFOLIO, MarketStatus
from tests.core.desk import DYDX, HL
from tests.core.stress_desk import StressDesk, Told, settlement

INDEX = "funding_stress_index"
WORST = "funding_stress_worst_index"
GATE = "funding_settlements_below_exit"
HOURS = 3
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def universes(draw: st.DrawFn) -> list[Told]:
    """Assets between calm and hot, some of them on both venues."""
    found = []
    for number in range(draw(st.integers(6, 9))):
        for venue in draw(st.sampled_from([(HL,), (DYDX,), (HL, DYDX)])):
            apr, z, change = draw(
                st.sampled_from([(0.1095, 0.0, 0.0), (0.3, 3.0, 3.0), (0.9, 9.0, 9.0)])
            )
            size = draw(st.sampled_from([1e5, 1e6]))
            name = f"A{number}-USD" if venue == DYDX else f"A{number}"
            found.append(Told(name, apr, z, change, open_interest_usd=size, venue=venue))
    return found


closed = st.sampled_from(
    [
        MarketStatus.PAUSED,
        MarketStatus.CANCEL_ONLY,
        MarketStatus.POST_ONLY,
        MarketStatus.INITIALIZING,
        MarketStatus.UNKNOWN,
    ]
)


@given(universes(), st.data())
@FEW
def test_a_market_that_closes_never_cools_the_index(told: list[Told], data: st.DataObject) -> None:
    """Whatever may still be done there, while the others stay as they were and then calm down: the
    index is unknown or, with what is not known at its worst, no lower than it would be, and the
    gate counts no more settlements."""
    gone = [one for one in told if data.draw(st.integers(0, 3)) == 0]
    desk, other = StressDesk(*told), StressDesk(*told)
    desk.evaluate()
    other.evaluate()
    for one in gone:
        desk.become(data.draw(closed), one)
    calms = data.draw(st.booleans())
    for hour in range(HOURS + 1):
        for each in (desk, other):
            each.later(3600 if hour else 5)
            for one in told if hour else ():
                # What closed is charged a default, which is calm.
                rate = 1.25e-5 if calms or one in gone else one.apr / 8760
                each.tell(settlement(one.market, rate, each.hour, one.venue))
            each.evaluate()
        index, worst = desk.value(INDEX, PORTFOLIO), desk.value(WORST, PORTFOLIO)
        assert (index is None) == (worst is None)
        if worst is not None:
            assert worst >= (other.value(INDEX, PORTFOLIO) or 0.0)
            assert worst >= (other.value(WORST, PORTFOLIO) or 0.0)
        assert (desk.value(GATE, PORTFOLIO) or 0.0) <= (other.value(GATE, PORTFOLIO) or 0.0)
