"""Whatever is listed or goes missing: no market hides another, no gap makes stress look less."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.formulas.funding_stress import (
    WORST,
    AssetFunding,
    compute_dispersion,
    compute_stress_parts,
    compute_stress_points,
)
from monitor.core.measures.funding_windows import MarketWindows, scores_of_past
from monitor.core.state.funding import KEPT_HOURS, FundingSeries
from monitor.core.types import PORTFOLIO, market_subject
from tests.core.desk import HL
from tests.core.stress_desk import EXAMPLE, StressDesk, Told

assets = st.builds(
    AssetFunding,
    apr=st.floats(0.0, 3.0),
    signed_apr=st.just(0.0),
    z=st.floats(-10.0, 10.0),
    change_z=st.floats(-10.0, 10.0),
    flipped=st.booleans(),
)
rates = st.none() | st.floats(-1e-3, 1e-3) | st.sampled_from([1.25e-5, -1.25e-5, 0.0])


def index(known: list[AssetFunding]) -> float:
    """0 to 100."""
    parts = compute_stress_parts(known)
    assert parts is not None
    return compute_stress_points(parts).total


@given(st.lists(assets, min_size=5, max_size=20), st.data())
def test_what_is_missing_counts_as_the_worst(
    known: list[AssetFunding], data: st.DataObject
) -> None:
    """The index that ends an alert never falls when something goes unknown, nor is it ever below
    what it would be were all known."""
    missing = data.draw(st.sets(st.integers(0, len(known) - 1), max_size=len(known)))
    worst = [WORST if place in missing else one for place, one in enumerate(known)]
    assert index(worst) >= index(known) - 1e-9
    more = data.draw(st.integers(0, len(known) - 1))
    less = [WORST if place in {*missing, more} else one for place, one in enumerate(known)]
    assert index(less) >= index(worst) - 1e-9


@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=8), st.floats(-5.0, 5.0))
def test_another_venue_never_hides_a_disagreement(aprs: list[float], more: float) -> None:
    """The widest gap stays."""
    assert (compute_dispersion([*aprs, more]) or 0.0) >= (compute_dispersion(aprs) or 0.0)


@given(st.floats(0.0, 2.0), st.floats(0.0, 9.0), st.sampled_from([1e3, 1e6, 1e9]), st.booleans())
@settings(max_examples=10, deadline=None)
def test_another_market_hides_none(apr: float, z: float, usd: float, elsewhere: bool) -> None:
    """Each market's own number stays as it was, whoever is listed beside it."""
    desk = StressDesk(*EXAMPLE)
    desk.evaluate()
    subjects = [market_subject(HL, told.market) for told in EXAMPLE]
    before = [desk.value("funding_z", subject) for subject in subjects]
    venue = "dydx" if elsewhere else HL
    desk.join(Told("AAA-USD" if elsewhere else "ZZZ", apr, z, 0.0, False, usd, venue))
    desk.later(5).evaluate()
    assert [desk.value("funding_z", subject) for subject in subjects] == before
    assert desk.value("funding_stress_index", PORTFOLIO) is not None


@given(st.lists(st.tuples(st.integers(0, 900), rates), max_size=60), st.sampled_from([2, 8]))
@settings(max_examples=60, deadline=None)
def test_windows_brought_along_are_windows_made_anew(
    told: list[tuple[int, float | None]], carry: int
) -> None:
    """Settlements in any order, live or from history: what was asked before changes nothing."""
    series, along = FundingSeries(), MarketWindows()
    base = FundingSeries()
    for hour in range(0, 900, carry):
        base.put(hour, 1e-5 + hour * 37 % 101 * 1e-7, live=True)
    series = base
    for hour, rate in told:
        if rate is not None:
            series.put(hour, rate, live=hour % 2 == 0)
        assert len(series.rates) <= KEPT_HOURS
        now = max(series.newest, hour)
        assert along.scores(series, now, carry) == MarketWindows().scores(series, now, carry)
    last = series.newest
    (past,) = scores_of_past(series, last, last, carry)
    found = MarketWindows().scores(series, last, carry)
    assert past == (None if isinstance(found, str) else found)
