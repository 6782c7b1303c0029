"""First passage, with and without jumps: the sheet's tables, and what must hold of any of them."""

from __future__ import annotations

import random
from math import exp, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas.first_passage import (
    YEAR_S,
    Jumps,
    compute_latency_move,
    compute_least_distance,
    compute_passage_probability,
    compute_passage_time,
    compute_quick_passage_probability,
)

DAY_S = 86_400.0
HOUR_S = 3600.0
CRASHES = Jumps(per_year=12.0, mean_log=-0.08, deviation_log=0.06)


@pytest.mark.parametrize(
    ("price", "barrier", "volatility", "days", "expected", "digit"),
    [
        pytest.param(30_000, 25_773.196, 0.6, 1, 1.432e-6, 1e-9, id="long of the sheet, 1 d"),
        pytest.param(30_000, 25_773.196, 0.6, 7, 0.07289, 1e-5, id="long of the sheet, 7 d"),
        pytest.param(30_000, 25_773.196, 0.6, 30, 0.40636, 1e-5, id="long of the sheet, 30 d"),
        pytest.param(100, 80, 0.8, 1, 1.104e-7, 1e-10, id="100 to 80, 1 d"),
        pytest.param(100, 80, 0.8, 7, 0.04913, 1e-5, id="100 to 80, 7 d"),
        pytest.param(100, 80, 0.8, 30, 0.36836, 1e-5, id="100 to 80, 30 d"),
        pytest.param(100, 120, 0.8, 1, 1.220e-5, 1e-8, id="100 to 120, 1 d"),
        pytest.param(100, 120, 0.8, 7, 0.09104, 1e-5, id="100 to 120, 7 d"),
        pytest.param(100, 120, 0.8, 30, 0.38832, 1e-5, id="100 to 120, 30 d"),
    ],
)
def test_first_passage_of_the_sheet(
    price: float, barrier: float, volatility: float, days: float, expected: float, digit: float
) -> None:
    """To half a unit in the last printed digit."""
    found = compute_passage_probability(
        price=price, barrier=barrier, volatility_annualized=volatility, horizon_s=days * DAY_S
    )
    assert found == pytest.approx(expected, abs=digit / 2)


def test_jumps_double_it() -> None:
    """9.4 % instead of 4.9 %, within the sheet's own tolerance."""
    found = compute_passage_probability(
        price=100.0, barrier=80.0, volatility_annualized=0.8, horizon_s=7 * DAY_S, jumps=CRASHES
    )
    assert found == pytest.approx(0.094, abs=0.001)


def simulate(barrier: float, volatility: float, years: float, jumps: Jumps, paths: int) -> float:
    """The same by plain simulation from 100, exact between jumps."""
    source = random.Random(4)  # noqa: S311 - a simulation, no secret
    bound, drift, hit = log(barrier / 100.0), -0.5 * volatility**2, 0.0
    for _ in range(paths):
        at, left, weight = 0.0, years, 1.0
        while weight:
            step = source.expovariate(jumps.per_year)
            last, step = step >= left, min(step, left)
            after = at + drift * step + volatility * sqrt(step) * source.gauss(0.0, 1.0)
            if (after - bound) * bound >= 0.0:
                weight = 0.0
                break
            weight *= 1.0 - exp(-2.0 * (at - bound) * (after - bound) / (volatility**2 * step))
            if last:
                break
            left -= step
            at = after + source.gauss(jumps.mean_log, jumps.deviation_log)
            if (at - bound) * bound >= 0.0:
                weight = 0.0
        hit += 1.0 - weight
    return hit / paths


@pytest.mark.parametrize(
    ("barrier", "volatility", "days", "mean"),
    [
        pytest.param(80.0, 0.8, 7, -0.08, id="a week, a fifth away"),
        pytest.param(90.0, 0.4, 1, -0.08, id="a day, jumps alone reach it"),
        pytest.param(110.0, 0.6, 7, 0.08, id="a short and jumps up"),
        pytest.param(80.0, 0.8, 30, -0.08, id="a month, where more than three jumps are usual"),
    ],
)
def test_paths_agree_with_simulation(
    barrier: float, volatility: float, days: float, mean: float
) -> None:
    """Two methods, one number: the error of both together is a few thousandths."""
    jumps = Jumps(12.0, mean, 0.06)
    found = compute_passage_probability(
        price=100.0,
        barrier=barrier,
        volatility_annualized=volatility,
        horizon_s=days * DAY_S,
        jumps=jumps,
    )
    simulated = simulate(barrier, volatility, days / 365.0, jumps, 40_000)
    assert found == pytest.approx(simulated, abs=0.004 if days < 30 else 0.008)


@pytest.mark.parametrize(
    ("hours", "expected"), [(0.25, 0.0132), (1.0, 0.0264), (6.0, 0.0647), (8.0, 0.0747)]
)
def test_latency_moves_of_the_sheet(hours: float, expected: float) -> None:
    """At 80 % a year."""
    found = compute_latency_move(volatility_annualized=0.8, latency_s=hours * HOUR_S)
    assert found == pytest.approx(expected, abs=5e-5)
    least = compute_least_distance(volatility_annualized=0.8, latency_s=hours * HOUR_S)
    assert least == pytest.approx(1.5 * found + 0.03)


@pytest.mark.parametrize(
    ("distance", "exact"),
    [
        pytest.param(-0.1287, False, id="a long, quick form"),
        pytest.param(0.1477, False, id="a short, quick form"),
        pytest.param(-0.1294, True, id="a long, exact"),
        pytest.param(0.1468, True, id="a short, exact"),
    ],
)
def test_distance_for_one_in_a_thousand(distance: float, exact: bool) -> None:
    """The sheet's least distances keep the chance of a day just at 0.1 %."""
    compute = compute_passage_probability if exact else compute_quick_passage_probability

    def chance(at: float) -> float:
        return compute(
            price=100.0,
            barrier=100.0 * (1.0 + at),
            volatility_annualized=0.8,
            horizon_s=DAY_S,
        )

    step = 5e-5 if distance > 0 else -5e-5
    assert chance(distance + step) <= 0.001 <= chance(distance - step)


def test_one_percent_runway() -> None:
    """The time at which the chance reaches one percent, found to a percent of it; the ends."""
    time_s = compute_passage_time(0.01, price=100.0, barrier=80.0, volatility_annualized=0.8)
    for factor, above in ((0.98, False), (1.02, True)):
        chance = compute_passage_probability(
            price=100.0, barrier=80.0, volatility_annualized=0.8, horizon_s=time_s * factor
        )
        assert (chance >= 0.01) is above
    sooner = compute_passage_time(
        0.01, price=100.0, barrier=80.0, volatility_annualized=0.8, jumps=CRASHES
    )
    assert sooner < time_s
    far = compute_passage_time(0.01, price=100.0, barrier=1.0, volatility_annualized=0.1)
    assert far == 30 * DAY_S
    assert compute_passage_time(0.01, price=1.0, barrier=1.0, volatility_annualized=0.8) == 0.0


def test_nothing_moves_and_nothing_is_touched() -> None:
    """No time or no volatility: certain ends, no division by zero."""
    for volatility, horizon_s in ((0.0, DAY_S), (0.8, 0.0)):
        found = compute_passage_probability(
            price=100.0, barrier=80.0, volatility_annualized=volatility, horizon_s=horizon_s
        )
        quick = compute_quick_passage_probability(
            price=100.0, barrier=80.0, volatility_annualized=volatility, horizon_s=horizon_s
        )
        assert found == quick == 0.0
    touched = compute_passage_probability(
        price=100.0, barrier=100.0, volatility_annualized=0.8, horizon_s=DAY_S
    )
    assert touched == 1.0


@given(
    barrier=st.floats(20.0, 400.0),
    volatility=st.floats(0.05, 2.0),
    days=st.floats(0.01, 30.0),
)
def test_longer_wilder_and_nearer_is_likelier(
    barrier: float, volatility: float, days: float
) -> None:
    """The chance is one, and grows with time; drift-free it is near the quick form's."""

    def chance(horizon_s: float, jumps: Jumps) -> float:
        return compute_passage_probability(
            price=100.0,
            barrier=barrier,
            volatility_annualized=volatility,
            horizon_s=horizon_s,
            jumps=jumps,
        )

    adverse = Jumps(12.0, -0.08 if barrier < 100.0 else 0.08, 0.06)
    now, later = chance(days * DAY_S, CRASHES), chance(2 * days * DAY_S, CRASHES)
    assert 0.0 <= now <= later + 0.003 <= 1.003
    plain = chance(days * DAY_S, Jumps(0.0, 0.0, 0.0))
    assert chance(days * DAY_S, adverse) >= plain - 0.003
    assert YEAR_S == 365 * DAY_S
