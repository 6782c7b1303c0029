"""Hedges, harvests and open orders, done again by hand from what is shown."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.settings import CarrySettings, EngineSettings, LeverageSettings, TradeSettings
from monitor.core.types import SECOND_NS, account_subject
from tests.core import test_harvest as harvest
from tests.core.by_hand import adds_up, right, worked
from tests.core.desk import DYDX, HL, MAIN
from tests.core.test_cross_margin import desk as pools
from tests.core.test_hedges import BTC_SET, Hedge
from tests.core.test_orders import BUY, FUNDING, HEDGES, LOSS, SELL, book, order, stop, working
from tests.core.test_slices import RATIO as SLICE
from tests.core.test_slices import deep

COSTS = TradeSettings(stops_required=True)


def test_legs_are_named_with_what_they_are_worth() -> None:
    """The biggest first, each at its size; then with its sign."""
    desk = Hedge()
    (line,) = adds_up(desk, "hedge_gross_usd", BTC_SET)
    assert line == (
        "legs, each at its size: 100,000.00 (hyperliquid/main/BTC) + 93000 "
        "(dydx/main/BTC-USD) = 193,000.00"
    )
    net, _ = adds_up(desk, "hedge_mismatch_ratio", BTC_SET)
    assert "100,000.00 (hyperliquid/main/BTC) - 93000 (dydx/main/BTC-USD) = 7000" in net


def test_net_and_gross_of_the_legs_are_of_one_moment() -> None:
    """Gross is kept for a rule that reads it, net is not: at a price of now both are computed anew,
    or the division would be of two moments."""
    desk = Hedge()
    desk.load(
        "- {id: worked, for_each: hedge_set, summary: legs, severity: info, "
        "when: hedge_mismatch_ratio > 0.0 && hedge_gross_usd > 0.0}\n"
    )
    desk.evaluate()
    desk.now += SECOND_NS // 4
    for market, venue in (("BTC", HL), ("BTC-USD", DYDX)):
        prices = {"oracle_price": 101_000.0} | ({"mark_price": 101_000.0} if venue == HL else {})
        desk.context(market, venue, **prices)
    desk.evaluate()
    seen = desk.engine.explain("worked", BTC_SET, desk.now)
    assert seen is not None
    gross, ratio = seen.inputs
    assert gross.reading.value == 193_000.0
    assert gross.arithmetic[0] == "as of now 194930; judged by what it was 0.25 s ago"
    assert right(ratio.arithmetic) == pytest.approx([7_070.0, 7 / 193])


def test_a_hedge_elsewhere_is_named_with_both_sides() -> None:
    """As many lines as the value counts."""
    made = pools().positions(("SOL-USD", -9), ("DOGE-USD", 12), venue=DYDX)
    value, lines = worked(made, "hedges_off_venue_count", MAIN)
    assert value == len(lines) == 2
    assert lines[0] == "1. DOGE: -10 USD in this pool, 12 elsewhere"
    none = pools()
    assert worked(none, "hedges_off_venue_count", MAIN)[1] == (
        "no asset of this pool has a leg elsewhere: 0",
    )


@pytest.mark.parametrize("persistence", [1.0, 0.95])
def test_an_edge_is_funding_as_it_falls_back_less_costs(persistence: float) -> None:
    """Of either leg, then what is left in round trips."""
    carry = CarrySettings(persistence_hourly=persistence)
    settings = EngineSettings(
        accounts=harvest.ACCOUNTS, carry=carry, leverage=harvest.SETTINGS.leverage
    )
    made = harvest.desk(low=-1e-5, settings=settings)
    lines = adds_up(made, harvest.EDGE, harvest.BTC)
    assert lines[0].startswith("short BTC on hyperliquid, longs pay in 168 h: 168 x ")
    assert lines[1].startswith("long BTC-USD on dydx, longs pay in 168 h: 168 x ")


def test_settlements_that_paid_are_counted() -> None:
    """Two of twenty-one are known and both paid."""
    made = harvest.desk()
    harvest.settled(made, "BTC", 2e-5, 2e-5)
    harvest.settled(made, "BTC-USD", 1e-5, 1e-5)
    (line,) = adds_up(made, harvest.STEADY, harvest.BTC)
    assert line.endswith("short BTC on hyperliquid (19 are not known): 2 / 21 = 0.095238095")


def test_a_pair_is_worked_out_as_it_is_held() -> None:
    """And what is held against nothing is said to be."""
    made = harvest.desk().positions(("BTC", 10.0)).positions(("BTC-USD", -10.0), venue=DYDX)
    lines = adds_up(made, harvest.LEG, harvest.HELD)
    assert lines[0].startswith("short BTC-USD on dydx")
    alone = harvest.desk().positions(("BTC", 10.0))
    _, said = worked(alone, harvest.LEG, harvest.HELD)
    assert said == ("nothing is held against it in another market: 1000",)


@pytest.mark.parametrize(
    ("orders", "named"),
    [
        pytest.param([order(BUY, 2)], "buy 2 BTC", id="a long pays"),
        pytest.param([order(BUY, 1, "ETH"), order(SELL, 3)], "buy 1 ETH", id="a short receives"),
    ],
)
def test_the_dearest_entry_is_named(orders: list[Any], named: str) -> None:
    """Its rate of an hour times the year and its side."""
    (line,) = adds_up(working(book(rate=1e-5), *orders), FUNDING, MAIN)
    assert line.startswith(named)


def test_an_entry_that_receives_pays_nothing() -> None:
    """The sum is there, and that it counts as nothing."""
    value, lines = worked(working(book(rate=1e-5), order(SELL, 3)), FUNDING, MAIN)
    assert value == 0.0
    assert lines[0].endswith("1e-05 x 8760 x -1 = -0.0876, which is received")


def test_orders_that_add_a_leg_are_added_up() -> None:
    """At their prices."""
    made = book(5.0, accounts=((HL, "main"), (HL, "other")))
    made.positions(account="other").money(1e6, account="other")
    working(working(made), order(SELL, 2), account="other")
    (line,) = adds_up(made, HEDGES, account_subject(HL, "other"))
    assert line == "orders that add a leg, size x price: 2 x 100 (BTC) = 200"
    assert worked(made, HEDGES, MAIN)[1] == ("no order adds a leg: 0",)


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([order(BUY, 11)], id="offers"),
        pytest.param([order(SELL, 1), order(BUY, 12)], id="the largest of two"),
        pytest.param([stop(SELL, 0, 96.0)], id="a stop for all of the position"),
    ],
)
def test_the_largest_order_over_a_slice(orders: list[Any]) -> None:
    """Size times price over a tenth of what rests there."""
    desk = working(deep(book(50.0), 20_000.0, 10_000.0), *orders)
    lines = adds_up(desk, SLICE, MAIN)
    assert len(lines) == len(orders)
    empty = working(deep(book(50.0), 0.0, 10_000.0), stop(SELL, 1, 96.0))
    assert worked(empty, SLICE, MAIN)[1] == ("sell 1 BTC: no bids within 25 bp",)


@pytest.mark.parametrize("rate", [1e-5, -1e-5], ids=["funding is paid", "funding is received"])
@pytest.mark.parametrize("fast", [True, False], ids=["an exit at once", "a slow exit"])
def test_a_planned_loss_is_the_sum_of_its_parts(rate: float, fast: bool) -> None:
    """Each stop by its distance, what no stop ends by all of it, over what one trade may lose."""
    leverage = LeverageSettings(exit_minutes_default=5.0 if fast else 600.0)
    made = book(40.0, rate=rate, trades=COSTS, leverage=leverage)
    lines = adds_up(working(made, stop(SELL, 10, 96.0), stop(SELL, 20, 90.0)), LOSS, MAIN)
    assert len(right(lines)) == 5
    assert lines[0].startswith("BTC, size x price x (stop x gap + costs")
    assert lines[2].startswith("BTC, size x price x (no stop, all + costs")
    assert ("funding" in lines[0]) == (rate > 0.0)


def test_nothing_at_risk_is_said() -> None:
    """And divides nothing."""
    made = working(book(0.0, trades=COSTS))
    made.evaluate()
    _, lines = worked(made, LOSS, MAIN)
    assert lines == ("nothing that is unhedged is at risk: 0",)
