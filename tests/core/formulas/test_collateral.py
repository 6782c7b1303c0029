"""Concentration, haircuts and depegs: the sheet's numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.formulas.collateral import (
    compute_concentration,
    compute_depeg,
    compute_depeg_add_on,
    compute_haircut_value,
    compute_worst_depeg,
    haircut_of,
)

COLLATERAL = {"USDC": 60_000.0, "stETH": 40_000.0, "USDe": 20_000.0}


@pytest.mark.parametrize(
    ("amounts", "expected", "effective"),
    [
        pytest.param((40, 30, 20, 10), 0.30, 3.33, id="of the sheet"),
        pytest.param((45, 25, 20, 10), 0.315, 3.17, id="by chain"),
        pytest.param((1,), 1.0, 1.0, id="one"),
        pytest.param((50, 50, -20), 0.5, 2.0, id="what is gone is no share"),
    ],
)
def test_concentration(amounts: tuple[float, ...], expected: float, effective: float) -> None:
    """And its effective number."""
    found = compute_concentration(amounts)
    assert found == pytest.approx(expected, abs=5e-4)
    assert 1.0 / found == pytest.approx(effective, abs=5e-3)


def test_nothing_is_not_concentrated() -> None:
    """No parts, no index."""
    assert compute_concentration(()) == compute_concentration((0.0, -1.0)) == 0.0


@given(parts=st.lists(st.floats(0.01, 1e9), min_size=1, max_size=20))
def test_concentration_lies_between_one_over_n_and_one(parts: list[float]) -> None:
    """However the parts are."""
    assert 1.0 / len(parts) - 1e-9 <= compute_concentration(parts) <= 1.0 + 1e-9


def test_haircut_value_of_the_sheet() -> None:
    """115 000; with USDC at 0.90, 109 000."""
    assert compute_haircut_value(COLLATERAL) == pytest.approx(115_000.0, abs=0.5)
    depegged = {**COLLATERAL, "USDC": 60_000.0 * 0.90}
    assert compute_haircut_value(depegged) == pytest.approx(109_000.0, abs=0.5)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("USDC", 0.0),
        ("USDC.e", 0.01),
        ("USDT", 0.01),
        ("USDe", 0.05),
        ("stETH", 0.10),
        ("HYPE", 0.40),
    ],
)
def test_default_haircuts(token: str, expected: float) -> None:
    """What nobody has judged is worth least."""
    assert haircut_of(token) == expected


def test_debts_and_own_haircuts() -> None:
    """A debt is owed in full; a desk's own number counts first."""
    assert compute_haircut_value({"HYPE": -100.0}) == -100.0
    assert compute_haircut_value({"HYPE": 100.0}, {"HYPE": 0.25}) == pytest.approx(75.0)


@pytest.mark.parametrize(
    ("prices", "by_median", "worst"),
    [
        pytest.param((0.65, 0.995, 1.0), 0.005, 0.35, id="one thin book prints nonsense"),
        pytest.param((0.8994, 0.90, 0.91), 0.10, 0.1006, id="March 2023"),
        pytest.param((0.97, 0.97), None, 0.03, id="two sources may warn, not act"),
        pytest.param((), None, None, id="nobody prices it"),
    ],
)
def test_depeg(prices: tuple[float, ...], by_median: float | None, worst: float | None) -> None:
    """The median of three or more; whichever is worst for a warning."""
    for found, expected in (
        (compute_depeg(prices), by_median),
        (compute_worst_depeg(prices), worst),
    ):
        assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param(0.95, 45.0, id="the sheet's 4.5 %"),
        pytest.param(0.98, 0.0, id="at the threshold"),
        pytest.param(1.01, 0.0, id="above its peg"),
        pytest.param(0.0, 1_470.0, id="worth nothing"),
    ],
)
def test_depeg_add_on(price: float, expected: float) -> None:
    """Of 1 000 USD of penalised positions."""
    assert compute_depeg_add_on(price, 1_000.0) == pytest.approx(expected)
