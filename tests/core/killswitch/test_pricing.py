"""Prices that go into orders, against the venues' rules for writing them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.killswitch.book import Instrument, Quote
from monitor.core.killswitch.planning.pricing import (
    anchor_price,
    common_multiple,
    cost_bps,
    effective_bound_bps,
    limit_price,
    plain,
    reference_price,
)
from monitor.core.types import Side


def rules(tick: str, figures: int | None = 5, bound_bps: float = 150.0) -> Instrument:
    """Price rules of one market."""
    return Instrument(
        venue="hyperliquid",
        market="X",
        asset="X",
        size_step=Decimal("0.01"),
        price_tick=Decimal(tick),
        price_figures=figures,
        bound_bps=bound_bps,
    )


@pytest.mark.parametrize(
    ("reference", "side", "bound", "tick", "figures", "expected"),
    [
        pytest.param(100_000.0, Side.SELL, 150.0, "0.1", 5, "98500", id="exact"),
        pytest.param(100_000.0, Side.BUY, 150.0, "0.1", 5, "101500", id="exact, other side"),
        pytest.param(123_456.7, Side.SELL, 50.0, "0.1", 5, "122840", id="whole numbers always"),
        pytest.param(123_456.7, Side.BUY, 50.0, "0.1", 5, "124073", id="a buy rounds down"),
        pytest.param(2_345.67, Side.SELL, 50.0, "0.01", 5, "2334", id="figures beat the tick"),
        pytest.param(2_345.67, Side.BUY, 50.0, "0.01", 5, "2357.3", id="figures, other side"),
        pytest.param(2_345.67, Side.BUY, 50.0, "0.01", None, "2357.39", id="no figure rule"),
        pytest.param(1.23456, Side.SELL, 150.0, "0.001", 5, "1.217", id="the tick beats figures"),
        pytest.param(1.23456, Side.BUY, 150.0, "0.001", 5, "1.253", id="the tick, other side"),
        pytest.param(0.000_012_345, Side.SELL, 150.0, "0.000001", 5, None, id="tick over bound"),
        pytest.param(
            0.000_012_345, Side.SELL, 900.0, "0.000001", 5, "0.000012", id="a tick within it"
        ),
        pytest.param(0.5, Side.BUY, 150.0, "1", None, None, id="a buy never at zero"),
        pytest.param(100.0, Side.SELL, 10_000.0, "0.1", None, None, id="a sell never at zero"),
        pytest.param(10.1, Side.SELL, 100.0, "0.00001", 5, "9.999", id="below a power of ten"),
        pytest.param(10.100_99, Side.SELL, 99.0, "0.00001", 5, "10.001", id="up over a power"),
        pytest.param(20.0, Side.SELL, 0.0, "0.01", 5, "20", id="no zeros behind"),
        pytest.param(7_000_000.0, Side.BUY, 0.0, "0.1", 5, "7000000", id="no exponent"),
        pytest.param(33.0, Side.SELL, 150.0, "0.0025", None, "32.505", id="a tick of 25"),
    ],
)
def test_limits_are_valid_and_within_the_bound(
    reference: float,
    side: Side,
    bound: float,
    tick: str,
    figures: int | None,
    expected: str | None,
) -> None:
    """Rounded away from the market's other side, as the venue writes prices."""
    limit = limit_price(reference, side, bound, rules(tick, figures))
    assert (None if limit is None else str(limit)) == expected


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        pytest.param((), (None, 0), id="none"),
        pytest.param((5.0,), (5.0, 1), id="one"),
        pytest.param((6.0, 5.0), (5.5, 2), id="the middle of two"),
        pytest.param((9.0, 5.0, 6.0), (6.0, 3), id="the middle one of three"),
        pytest.param((float("nan"), 0.0, -1.0, float("inf"), 5.0), (5.0, 1), id="only prices"),
    ],
)
def test_the_reference_is_the_median(
    references: tuple[float, ...], expected: tuple[float | None, int]
) -> None:
    """Of those that are prices."""
    assert reference_price(Quote(venue="x", market="X", references=references)) == expected


@pytest.mark.parametrize(
    ("references", "sell", "buy"),
    [
        pytest.param((), None, None, id="none"),
        pytest.param((5.0,), 5.0, 5.0, id="one"),
        pytest.param((98.5, 101.5), 100.0, 100.0, id="twice the bound apart"),
        pytest.param((98.4, 101.6), 101.6, 98.4, id="further apart"),
        pytest.param((10.0, 100.0), 100.0, 10.0, id="one of them is wrong"),
        pytest.param((10.0, 100.0, 101.0), 100.0, 100.0, id="a third one decides"),
        pytest.param((10.0, 99.0, 101.0, 500.0), 100.0, 100.0, id="the middle two agree"),
        pytest.param((10.0, 11.0, 99.0, 101.0), 99.0, 11.0, id="two against two"),
    ],
)
def test_a_wrong_reference_cannot_widen_the_bound(
    references: tuple[float, ...], sell: float | None, buy: float | None
) -> None:
    """With a bound of 150 bp no limit lies further than that on the losing side of the reference
    that is right, whichever of two it is."""
    quote = Quote(venue="x", market="X", references=references)
    assert anchor_price(quote, Side.SELL, 150.0) == sell
    assert anchor_price(quote, Side.BUY, 150.0) == buy


def test_no_quote_is_no_reference() -> None:
    """A market nobody quotes."""
    assert reference_price(None) == (None, 0)


@pytest.mark.parametrize(("references", "expected"), [(1, 75.0), (2, 150.0), (3, 150.0)])
def test_a_price_that_nothing_confirms_gets_half_the_room(references: int, expected: float) -> None:
    """One reference only: half the bound."""
    assert effective_bound_bps(rules("0.1"), references) == expected


@pytest.mark.parametrize(
    ("notional", "side", "bid", "depth", "expected"),
    [
        pytest.param(0.0, Side.SELL, 99.99, 1e6, 1.0, id="half the spread"),
        pytest.param(5e5, Side.SELL, 99.99, 1e6, 7.25, id="and half the depth"),
        pytest.param(1e6, Side.SELL, 99.99, 1e6, 13.5, id="and all of the depth"),
        pytest.param(1e6 + 1, Side.SELL, 99.99, 1e6, 150.0, id="beyond the depth, the bound"),
        pytest.param(0.0, Side.SELL, 101.0, 1e6, 0.0, id="a better touch is no gain"),
        pytest.param(0.0, Side.SELL, 90.0, 1e6, 150.0, id="never beyond the bound"),
        pytest.param(1.0, Side.SELL, 99.99, 0.0, 150.0, id="no depth, the bound"),
        pytest.param(1.0, Side.SELL, None, 1e6, None, id="touch unknown"),
        pytest.param(1.0, Side.SELL, 99.99, None, None, id="depth unknown"),
        pytest.param(1.0, Side.BUY, 99.99, 1e6, None, id="a buy looks at the other side"),
    ],
)
def test_cost_is_spread_and_share_of_depth(
    notional: float, side: Side, bid: float | None, depth: float | None, expected: float | None
) -> None:
    """The documented estimate, at reference 100 and a bound of 150 bp."""
    quote = Quote(venue="x", market="X", references=(100.0,), bid_price=bid, bid_depth_usd=depth)
    cost = cost_bps(notional, 100.0, side, quote, 150.0)
    assert cost == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("0.001", "0.01", "0.01"),
        ("2", "0.5", "2"),
        ("0.02", "0.05", "0.1"),
        ("1000", "30", "3000"),
        ("1E+1", "1", "10"),
    ],
)
def test_a_common_lot_is_a_multiple_of_both(one: str, other: str, expected: str) -> None:
    """The coarser where one divides the other."""
    assert common_multiple(Decimal(one), Decimal(other)) == Decimal(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1.500", "1.5"), ("1E+3", "1000"), ("-0.0", "0"), ("0E-9", "0"), ("100", "100")],
)
def test_decimals_are_written_plainly(value: str, expected: str) -> None:
    """No exponent, no zeros behind, no minus zero."""
    assert str(plain(Decimal(value))) == expected
