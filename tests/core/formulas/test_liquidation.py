"""Liquidation along shocks: the sheet's hedged account, and what must hold of any book."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.events import MarginTier
from monitor.core.formulas.liquidation import (
    OUT_OF_REACH_RATIO,
    SIGMAS_MAX,
    Exposed,
    compute_distance_sigmas,
    compute_liquidation_price,
    compute_shock_distance,
    compute_shocked_room,
    compute_stressed_usage,
    compute_uniform_move,
)
from monitor.core.formulas.margin import compute_tiered_maintenance, tier_at

THREE = (MarginTier(0.0, 0.06, 0.03),)
TWO_TIERS = (MarginTier(0.0, 0.025, 0.0125), MarginTier(150e6, 0.05, 0.025))
HEDGED = (Exposed(120_000.0, 1.0, THREE), Exposed(-60_000.0, 1.0, THREE))
EQUITY = 30_000.0


@pytest.mark.parametrize(
    ("size", "price", "others", "expected", "move"),
    [
        pytest.param(2.0, 60_000.0, 0.03 * 60_000, 47_319.59, -0.211, id="BTC alone"),
        pytest.param(-20.0, 3_000.0, 0.03 * 120_000, 4_194.17, 0.398, id="ETH alone"),
    ],
)
def test_single_markets_of_the_hedged_account(
    size: float, price: float, others: float, expected: float, move: float
) -> None:
    """Each alone looks near; the book as a whole is not."""
    found = compute_liquidation_price(
        size=size, price=price, equity_usd=EQUITY, other_maintenance_usd=others, tiers=THREE
    )
    assert found == pytest.approx(expected, abs=0.005)
    assert (found or 0.0) / price - 1.0 == pytest.approx(move, abs=5e-4)


def test_the_cross_long_meets_its_maintenance() -> None:
    """Equity at 25 773.196 is 1 546.39, and so is the requirement."""
    price = 25_773.195876
    assert 10_000 + 2 * (price - 30_000) == pytest.approx(1_546.39, abs=0.005)
    assert 2 * price * 0.03 == pytest.approx(1_546.39, abs=0.005)


def test_uniform_move_by_both_ways() -> None:
    """-45.1 % in closed form and by bisection; upward the account lives longer."""
    closed = compute_uniform_move(
        equity_usd=EQUITY, net_notional_usd=60_000.0, maintenance_usd=0.03 * 180_000
    )
    assert closed == pytest.approx(-0.451, abs=5e-4)
    down = compute_shock_distance(EQUITY, HEDGED, sign=-1.0)
    assert down == pytest.approx(-(closed or 0.0), abs=1e-6)
    assert compute_shock_distance(EQUITY, HEDGED, sign=1.0) == OUT_OF_REACH_RATIO


def test_the_hedge_breaks_first() -> None:
    """BTC down and ETH up at once is what this book dies of."""
    broken = (HEDGED[0], Exposed(-60_000.0, -1.0, THREE))
    found = compute_shock_distance(EQUITY, broken, sign=-1.0)
    assert found == pytest.approx((EQUITY - 5_400) / (180_000 - 0.03 * 60_000), abs=1e-6)
    assert found < 0.211


def test_tiers_of_the_sheet() -> None:
    """D = 1 875 000; the root of the tier in which its notional lies, not 91 139.24."""
    assert tier_at(200e6, TWO_TIERS) == (0.025, 1_875_000.0)
    assert compute_tiered_maintenance(100e6, TWO_TIERS) == pytest.approx(1_250_000, abs=0.5)
    assert compute_tiered_maintenance(200e6, TWO_TIERS) == pytest.approx(3_125_000, abs=0.5)

    def root(tiers: tuple[MarginTier, ...]) -> float | None:
        return compute_liquidation_price(
            size=2000.0, price=100_000.0, equity_usd=20e6, other_maintenance_usd=0.0, tiers=tiers
        )

    assert root(TWO_TIERS) == pytest.approx(91_346.15, abs=0.005)
    assert root(TWO_TIERS[:1]) == pytest.approx(91_139.24, abs=0.005)
    book = (Exposed(200e6, 1.0, TWO_TIERS),)
    move = compute_shock_distance(20e6, book, sign=-1.0)
    assert 100_000 * (1.0 - move) == pytest.approx(91_346.15, abs=0.02)


def test_a_price_that_reached_zero_falls_no_further() -> None:
    """A small long beside a big short: the fall costs no more than the long is worth, so that only
    a rise liquidates, beyond the point where prices touch zero too."""
    book = (Exposed(50.0, 3.0, THREE), Exposed(-1_000.0, 0.1, THREE))
    assert compute_shock_distance(100.0, book, sign=-1.0) == OUT_OF_REACH_RATIO
    room = compute_shocked_room(100.0, book, -5.0)
    assert room == pytest.approx(100.0 - 50.0 + 500.0 - 0.03 * 500.0)


@pytest.mark.parametrize(
    ("equity", "move", "expected"),
    [
        pytest.param(30_000.0, 0.0, 5_400 / 30_000, id="as it is"),
        pytest.param(30_000.0, -0.15, 4_590 / 21_000, id="down"),
        pytest.param(30_000.0, 0.15, 6_210 / 39_000, id="up"),
        pytest.param(8_000.0, -0.15, 10.0, id="equity gone"),
    ],
)
def test_stressed_usage(equity: float, move: float, expected: float) -> None:
    """Maintenance over equity after the move."""
    assert compute_stressed_usage(equity, HEDGED, move) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("distance", "daily", "up", "expected"),
    [
        pytest.param(0.0, 0.04, False, 0.0, id="liquidated"),
        pytest.param(0.1, 0.04, False, 2.634, id="a fall of ten percent"),
        pytest.param(0.1, 0.04, True, 2.383, id="a rise of ten percent"),
        pytest.param(1.0, 0.04, False, SIGMAS_MAX, id="to nothing"),
        pytest.param(0.1, 0.0, True, SIGMAS_MAX, id="what does not move"),
    ],
)
def test_distance_in_sigmas(distance: float, daily: float, up: bool, expected: float) -> None:
    """``|ln(p'/p)| / sigma``."""
    assert compute_distance_sigmas(distance, daily, up=up) == pytest.approx(expected, abs=5e-4)


NOTIONALS = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.sampled_from([1.0, 1.3, -1.0])), min_size=1, max_size=6
)


@given(positions=NOTIONALS, equity=st.floats(-1e5, 1e6), sign=st.sampled_from([1.0, -1.0]))
def test_before_the_distance_the_pool_lives(
    positions: list[tuple[float, float]], equity: float, sign: float
) -> None:
    """No smaller shock of that direction liquidates, however the book is; at the distance it is
    over. A pool without room is at distance zero."""
    book = [Exposed(notional, beta, THREE) for notional, beta in positions]
    found = compute_shock_distance(equity, book, sign=sign)
    if compute_shocked_room(equity, book, 0.0) <= 0.0:
        assert found == 0.0
        return
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        assert compute_shocked_room(equity, book, sign * found * share) > 0.0
    if found < OUT_OF_REACH_RATIO:
        assert compute_shocked_room(equity, book, sign * found) <= 1e-6


@given(
    positions=NOTIONALS,
    equity=st.floats(0.0, 1e6),
    sign=st.sampled_from([1.0, -1.0]),
    more=st.floats(0.0, 1e6),
)
def test_a_position_against_the_shock_widens_nothing(
    positions: list[tuple[float, float]], equity: float, sign: float, more: float
) -> None:
    """One that loses by the shock, or only needs margin, never widens the distance."""
    book = [Exposed(notional, beta, THREE) for notional, beta in positions]
    before = compute_shock_distance(equity, book, sign=sign)
    losing = [*book, Exposed(-sign * more, 1.0, THREE)]
    assert compute_shock_distance(equity, losing, sign=sign) <= before + 1e-6
