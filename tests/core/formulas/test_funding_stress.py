"""Every worked number of the sheet on funding: robust z, aggregates, the index of 69.31."""

from __future__ import annotations

from statistics import median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas.funding_stress import (
    ANCHORS,
    MAD_TO_SIGMA,
    WORST,
    AssetFunding,
    MarketFunding,
    RobustWindow,
    clip_z,
    combine_venues,
    compute_common_factor,
    compute_cut_score,
    compute_dispersion,
    compute_stress_parts,
    compute_stress_points,
    compute_weighted_apr,
    deviation_of_sorted,
    ramp,
    robust_z,
    score_asset,
)

SAMPLE = [1.25e-5, 1.25e-5, 1.3e-5, 1.4e-5, 2.0e-5, 1.1e-5, 1.25e-5, 9.0e-5]
EXAMPLE = [
    AssetFunding(apr, apr, z, change_z, flipped)
    for apr, z, change_z, flipped in (
        (0.48, 5.5, 3.0, True),
        (0.62, 7.0, 5.0, False),
        (0.35, 2.4, 1.0, False),
        (0.90, 8.0, 9.0, False),
        (0.55, 6.1, 4.0, False),
    )
]


def near(value: float, half_digit: float) -> object:
    """Equal to half a unit in the last printed digit."""
    return pytest.approx(value, abs=half_digit, rel=0)


def test_robust_z_with_and_without_its_floor() -> None:
    """Markets rest on the interest floor: without one of its own, z explodes."""
    spread = RobustWindow(SAMPLE).spread(known_min=8)
    assert spread is not None
    centre, deviation = spread
    assert centre == near(1.275e-5, 5e-9)
    assert deviation == near(7.5e-7, 5e-9)
    assert MAD_TO_SIGMA * deviation == near(1.112e-6, 5e-10)
    assert robust_z(9e-5, centre, deviation, floor=0.0) == near(69.5, 0.05)
    assert robust_z(9e-5, centre, deviation) == near(25.75, 5e-3)
    assert clip_z(25.75) == 10.0
    assert clip_z(-25.75) == -10.0


def test_the_example_of_the_index() -> None:
    """Five assets: five raw values, five ramps, five contributions, one index."""
    parts = compute_stress_parts(EXAMPLE)
    assert parts is not None
    assert parts.level_apr == near(0.55, 5e-3)
    assert parts.breadth_ratio == 4 / 5
    assert parts.surprise_z == near(6.1, 0.05)
    assert parts.change_z == near(4, 0.5)
    assert parts.flips_ratio == near(0.2, 0.05)
    assert ramp(parts.level_apr, 0.15, 0.60) == near(0.8889, 5e-5)
    assert ramp(parts.breadth_ratio, 0.2, 0.8) == near(1, 1e-9)
    assert ramp(parts.surprise_z, 2, 8) == near(0.6833, 5e-5)
    assert ramp(parts.change_z, 2, 8) == near(0.3333, 5e-5)
    assert ramp(parts.flips_ratio, 0.3, 0.8) == 0.0
    points = compute_stress_points(parts)
    assert tuple(points) == (
        near(22.22, 5e-3), near(25.00, 5e-3), near(17.08, 5e-3), near(5.00, 5e-3), 0.0,
    )  # fmt: skip
    assert points.total == near(69.31, 5e-3)


def test_weights_make_a_hundred() -> None:
    """Everything at its worst, and all of them unknown to be better."""
    parts = compute_stress_parts([WORST] * 5)
    assert parts is not None
    assert compute_stress_points(parts).total == 100.0
    assert score_asset(WORST) == 100.0
    limits = (ANCHORS.level, ANCHORS.breadth, ANCHORS.surprise, ANCHORS.change, ANCHORS.flips)
    assert sum(weight for _, _, weight in limits) == 100.0


def test_too_few_assets_make_no_index() -> None:
    """Four are not five; and without any sign of a day ago nothing is said of flips."""
    assert compute_stress_parts(EXAMPLE[:4]) is None
    assert compute_stress_parts([one._replace(flipped=None) for one in EXAMPLE]) is None


def test_dispersion_over_venues() -> None:
    """One asset on three venues; on one venue nobody disagrees."""
    aprs = [0.1095, 0.35, 0.22]
    assert compute_dispersion(aprs) == near(0.2405, 5e-5)
    assert pstdev(aprs) == near(0.0983, 5e-5)
    assert compute_dispersion(aprs[:1]) is None


def test_the_crowded_side() -> None:
    """Signed, weighted by open interest."""
    assert compute_weighted_apr([(3.0, 0.2), (1.0, -0.4)]) == pytest.approx(0.05)
    assert compute_weighted_apr([(0.0, 0.2)]) is None


def test_venues_of_one_asset_are_one_voice() -> None:
    """Means by open interest; opposite signs do not cancel what leverage costs."""
    one = combine_venues(
        [MarketFunding(1e-4, 1e-4, 25.0, 2.0, 3.0), MarketFunding(-1e-4, -1e-4, 2.0, 6.0, 1.0)]
    )
    assert one.apr == pytest.approx(0.876)
    assert one.signed_apr == pytest.approx(0.438)
    assert one.z == pytest.approx(8.0)  # 10 and 2: clipped before
    assert one.change_z == pytest.approx(3.0)
    assert one.flipped is False


@pytest.mark.parametrize(
    ("now", "before", "flipped"),
    [
        pytest.param(3e-6, -3e-6, True, id="turned"),
        pytest.param(2e-6, -3e-6, False, id="turned to next to nothing"),
        pytest.param(3e-6, 1e-9, False, id="same side"),
        pytest.param(3e-6, None, None, id="not known a day ago"),
    ],
)
def test_flips(now: float, before: float | None, flipped: bool | None) -> None:
    """Beyond 2e-6 per hour."""
    market = MarketFunding(now, before, 0.0, 0.0, 0.0)
    assert combine_venues([market]).flipped is flipped


@pytest.mark.parametrize(
    ("series", "share"),
    [
        pytest.param([[1.0, 2.0, 4.0], [2.0, 4.0, 8.0], [3.0, 6.0, 12.0]], 1.0, id="one thing"),
        pytest.param([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]], 0.5, id="two things"),
        pytest.param([[1.0, 2.0, 4.0], [-1.0, -2.0, -4.0]], 1.0, id="opposite is common too"),
        pytest.param([[1.0, 2.0, 4.0], [5.0, 5.0, 5.0]], None, id="one does not move"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_common_factor(series: list[list[float]], share: float | None) -> None:
    """Share of the first eigenvalue."""
    expected = None if share is None else pytest.approx(share)
    assert compute_common_factor(series) == expected


@pytest.mark.parametrize(
    ("carry", "volatility", "cost", "score"),
    [
        pytest.param(0.35, 0.55, 2, 0.2250, id="A"),
        pytest.param(0.90, 1.10, 6, 0.1667, id="C"),
        pytest.param(-0.20, 0.75, 3, 0.1250, id="B earns its carry"),
        pytest.param(0.60, 0.75, 8, 0.0844, id="D"),
    ],
)
def test_what_to_cut_first(carry: float, volatility: float, cost: float, score: float) -> None:
    """The third term left out, as in the sheet."""
    found = compute_cut_score(
        carry_cost_apr=carry, volatility=volatility, margin_pressure=0.0, unwind_cost_bps=cost
    )
    assert found == near(score, 5e-5)


numbers = st.floats(-1e-3, 1e-3, allow_subnormal=False)


@given(st.lists(numbers, min_size=1, max_size=60), numbers)
def test_deviation_without_a_sort(values: list[float], centre: float) -> None:
    """The same as sorting the distances, around any point."""
    slow = median(abs(one - centre) for one in values)
    assert deviation_of_sorted(sorted(values), centre) == slow


@given(st.lists(st.none() | st.sampled_from([1.0, 2.0, 2.0, 5.0]) | numbers, max_size=60))
def test_a_window_that_slides_is_a_window_made_anew(values: list[float | None]) -> None:
    """Hour by hour, or extended at once, or from what is left of the series."""
    sliding = RobustWindow((), 12)
    for value in values:
        sliding.push(value)
    anew = RobustWindow(values, 12)
    later = RobustWindow((), 12).extended(values)
    assert sliding.known == anew.known == later.known
    assert sliding.spread(1) == anew.spread(1) == later.spread(1)
    known = [one for one in values[-12:] if one is not None]
    if known:
        centre = median(known)
        assert anew.spread(1) == (centre, median(abs(one - centre) for one in known))
    assert anew.spread(len(known) + 1) is None
