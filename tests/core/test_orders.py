"""What open orders would add: funding against it, legs of hedges, and the loss at the stops."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.measures.orders import Stop, Trade, cover, list_trades
from monitor.core.settings import CarrySettings, EngineSettings, LeverageSettings, TradeSettings
from monitor.core.state.model import AccountState
from monitor.core.types import PORTFOLIO, Side, account_subject
from tests.core.desk import DYDX, HL, MAIN, Desk

BUY, SELL = Side.BUY, Side.SELL
PER_YEAR = 8760.0
FUNDING, HEDGES = "entry_funding_against_apr", "hedge_orders_usd"
LOSS = "planned_loss_to_limit_ratio"
# No costs and no funding, so that a loss is size times distance times the gap factor.
PLAIN = TradeSettings(stops_required=True, fee_ratio=0.0, slippage_ratio=0.0)
STILL = CarrySettings(baselines_hourly=((HL, 0.0), (DYDX, 0.0)))


def order(
    side: Side,
    size: float | str,
    market: str = "BTC",
    *,
    trigger: float | None = None,
    reduce_only: bool = False,
) -> e.OrderReport:
    """One working order; its id is what it is."""
    return e.OrderReport(
        order_id=f"{market}{side}{size}{trigger}",
        market=market,
        side=side,
        size=Decimal(str(size)),
        trigger_price=None if trigger is None else Decimal(str(trigger)),
        reduce_only=reduce_only,
    )


def stop(side: Side, size: float, price: float) -> e.OrderReport:
    """A trigger that only reduces."""
    return order(side, size, trigger=price, reduce_only=True)


def working(desk: Desk, *orders: e.OrderReport, account: str = "main") -> Desk:
    """All open orders of an account on Hyperliquid."""
    return desk.tell(
        e.OrdersReported(
            venue=HL,
            channel=f"{HL}/account.orders/{account}",
            account=account,
            source="truth",
            complete=True,
            orders=orders,
        )
    )


def book(
    size: float = 0.0,
    *,
    rate: float = 0.0,
    trades: TradeSettings = PLAIN,
    leverage: LeverageSettings | None = None,
    accounts: tuple[tuple[str, str], ...] = ((HL, "main"),),
) -> Desk:
    """BTC at 100 dollars, so much of it held, and an equity of a million."""
    settings = EngineSettings(
        accounts=accounts, trades=trades, carry=STILL, leverage=leverage or LeverageSettings()
    )
    desk = Desk(settings=settings).list_market("BTC").list_market("ETH")
    for market in ("BTC", "ETH"):
        desk.context(
            market, mark_price=100.0, oracle_price=100.0, predicted_funding_rate_hourly=rate
        )
    return desk.positions(("BTC", size)).money(1e6)


@pytest.mark.parametrize(
    ("size", "orders", "expected"),
    [
        pytest.param(0.0, [order(BUY, 2)], [Trade("BTC", 1.0, 0.0, 2.0)], id="opens"),
        pytest.param(3.0, [order(BUY, 2)], [Trade("BTC", 1.0, 3.0, 2.0)], id="grows"),
        pytest.param(3.0, [order(SELL, 2)], [Trade("BTC", 1.0, 3.0, 0.0)], id="closes"),
        pytest.param(
            3.0,
            [order(SELL, 2), order(SELL, "2.5")],
            [Trade("BTC", 1.0, 3.0, 0.0), Trade("BTC", -1.0, 0.0, 1.5)],
            id="two that together go beyond it",
        ),
        pytest.param(0.0, [order(BUY, 2, reduce_only=True)], [], id="reduce-only adds nothing"),
        pytest.param(
            -1.0,
            [order(SELL, 1), order(BUY, 1)],
            [Trade("BTC", -1.0, 1.0, 1.0)],
            id="one side adds, the other closes",
        ),
    ],
)
def test_what_orders_add(size: float, orders: list[e.OrderReport], expected: list[Trade]) -> None:
    """What is left after closing the other side."""
    desk = working(book(size), *orders)
    desk.evaluate()
    account = desk.engine.state.venues[HL].accounts["main"]
    assert isinstance(account, AccountState)
    assert list_trades(account) == expected


@pytest.mark.parametrize(
    ("stops", "parts"),
    [
        pytest.param([], [(10.0, None)], id="none"),
        pytest.param([Stop(0.04, 10.0)], [(10.0, 0.04)], id="all of it"),
        pytest.param([Stop(0.04, 99.0)], [(10.0, 0.04)], id="more than is at risk"),
        pytest.param(
            [Stop(0.04, 4.0), Stop(0.1, 4.0)],
            [(4.0, 0.04), (4.0, 0.1), (2.0, None)],
            id="in parts, and a rest without",
        ),
        pytest.param([Stop(0.04, None)], [(10.0, 0.04)], id="of the whole position"),
    ],
)
def test_stops_cover_what_is_at_risk(
    stops: list[Stop], parts: list[tuple[float, float | None]]
) -> None:
    """The nearest first."""
    assert cover(10.0, stops) == parts


# ------------------------------------------------------------------------------ what orders add


@pytest.mark.parametrize(
    ("rate", "orders", "apr"),
    [
        pytest.param(0.30, [order(BUY, 1)], 0.30, id="a buy pays"),
        pytest.param(-0.30, [order(BUY, 1)], 0.0, id="a buy receives"),
        pytest.param(-0.30, [order(SELL, 1)], 0.30, id="a sale pays"),
        pytest.param(0.30, [order(BUY, 1, reduce_only=True)], 0.0, id="nothing added"),
        pytest.param(0.30, [], 0.0, id="no orders"),
    ],
)
def test_funding_against_an_entry(rate: float, orders: list[e.OrderReport], apr: float) -> None:
    """By our sign, per year."""
    desk = working(book(rate=rate / PER_YEAR), *orders)
    assert desk.after(FUNDING, MAIN) == pytest.approx(apr)


def test_an_entry_into_a_market_whose_funding_is_not_known_is_unknown() -> None:
    """Not free of funding; and orders that were never told are not none."""
    desk = book()
    assert desk.after(FUNDING, MAIN) is None
    desk.list_market("SOL").context("SOL", mark_price=1.0)
    assert working(desk, order(BUY, 1, "SOL")).after(FUNDING, MAIN) is None
    assert working(desk, order(BUY, 1, "NEW")).after(FUNDING, MAIN) is None
    assert "NEW" in desk.why(FUNDING, MAIN)


def test_a_new_leg_against_the_books_net_is_a_hedge() -> None:
    """An order that grows what the book is long of already is none; nor is one that closes."""
    desk = book(5.0, accounts=((HL, "main"), (HL, "other")))
    desk.positions(account="other").money(1e6, account="other")
    other = account_subject(HL, "other")
    working(desk)
    assert working(desk, order(SELL, 2), account="other").after(HEDGES, other) == 200.0
    assert desk.value(HEDGES, MAIN) == 0.0
    assert working(desk.at(2), order(BUY, 2), account="other").after(HEDGES, other) == 0.0
    assert working(desk.at(4), order(SELL, 2)).after(HEDGES, MAIN) == 0.0


@pytest.mark.parametrize(("size", "usd"), [(10, 1_000.0), (11, 0.0)])
def test_an_order_far_larger_than_the_net_is_an_entry(size: int, usd: float) -> None:
    """Beside a hedged book the side of what is left of its net is a matter of prices."""
    desk = book(5.0, accounts=((HL, "main"), (HL, "other")))
    desk.positions(account="other").money(1e6, account="other")
    working(desk)
    other = account_subject(HL, "other")
    assert working(desk, order(SELL, size), account="other").after(HEDGES, other) == usd


# ---------------------------------------------------------------------------------- planned loss


@pytest.mark.parametrize(
    ("size", "orders", "ratio"),
    [
        pytest.param(833.0, [stop(SELL, 833, 96)], 0.99960, id="the size of the sheet"),
        pytest.param(-833.0, [stop(BUY, 833, 104)], 0.99960, id="a short, its stop above"),
        pytest.param(834.0, [stop(SELL, 834, 96)], 1.00080, id="a little more"),
        pytest.param(833.0, [stop(SELL, 833, 104)], 16.66, id="a profit taken is no stop"),
        pytest.param(833.0, [stop(BUY, 833, 96)], 16.66, id="one of the other side is none"),
        pytest.param(833.0, [], 16.66, id="no stop: all of it"),
        pytest.param(833.0, [stop(SELL, 0, 96)], 0.99960, id="a stop of the whole position"),
        pytest.param(0.0, [order(BUY, 50)], 1.0, id="an entry without a stop"),
        pytest.param(
            0.0, [order(BUY, 833), stop(SELL, 833, 96)], 0.99960, id="an entry with its stop"
        ),
        pytest.param(0.0, [], 0.0, id="nothing held, nothing ordered"),
        pytest.param(50.0, [order(BUY, 50), stop(SELL, 50, 96)], 1.06, id="half of it stopped"),
    ],
)
def test_a_trade_at_its_stops(size: float, orders: list[e.OrderReport], ratio: float) -> None:
    """Over 0.5 % of a million, the distance counted one and a half times."""
    assert working(book(size), *orders).after(LOSS, MAIN) == pytest.approx(ratio, abs=1e-4)


def test_a_hedged_leg_needs_no_stop_and_its_rest_does() -> None:
    """Of 833 long, 783 are short elsewhere."""
    desk = book(833.0, accounts=((HL, "main"), (DYDX, "main")))
    desk.list_market("BTC-USD", DYDX).context("BTC-USD", DYDX, oracle_price=100.0)
    desk.positions(("BTC-USD", -783.0), venue=DYDX)
    working(desk.money(cash=1_078_300, venue=DYDX, time_s=0))
    assert desk.after(LOSS, MAIN) == pytest.approx(0.5)
    desk.at(2).positions(("BTC-USD", -833.0), venue=DYDX)
    assert desk.after(LOSS, MAIN) == 0.0


def test_slow_exits_costs_and_funding_make_it_worse() -> None:
    """Twice the distance, a round trip of 1 %, and what the holding time pays."""
    held, stopped = 500.0, stop(SELL, 500, 96)
    slow = LeverageSettings(exit_minutes_default=361.0)
    assert working(book(held, leverage=slow), stopped).after(LOSS, MAIN) == pytest.approx(0.8)
    dear = TradeSettings(stops_required=True, fee_ratio=0.003, slippage_ratio=0.002)
    assert working(book(held, trades=dear), stopped).after(LOSS, MAIN) == pytest.approx(0.7)
    pays = working(book(held, rate=1e-5), stopped).after(LOSS, MAIN)
    receives = working(book(held, rate=-1e-5), stopped).after(LOSS, MAIN)
    assert pays is not None
    assert pays > 0.6 == pytest.approx(receives)


def test_a_desk_that_does_not_trade_with_stops_is_not_judged_and_told_why() -> None:
    """Absent is not fine, and it is no blindness either."""
    desk = working(book(833.0, trades=TradeSettings()))
    assert desk.after(LOSS, MAIN) is None
    assert desk.why(LOSS, MAIN).startswith("no source: `trades.stops_required`")


def test_equity_that_is_gone_is_a_breach() -> None:
    """And without anything at risk it is none."""
    assert working(book(1.0).money(-1)).after(LOSS, MAIN) == 1000.0
    assert working(book(0.0).money(-1)).after(LOSS, MAIN) == 0.0
    assert book(1.0).after(LOSS, PORTFOLIO) is None  # it is of accounts


def test_the_books_equity_may_become_known_after_the_orders() -> None:
    """A rule that was loaded before the first batch is no longer unknown five seconds later,
    though nothing is held and no order comes."""
    rule = f"{{id: loss, summary: loss, for_each: account, when: {LOSS} > 1.0, severity: info}}"
    desk = working(book(0.0)).load(f"- {rule}\n")
    desk.evaluate()
    desk.at(5).evaluate()
    assert desk.value(LOSS, MAIN) == 0.0
    assert desk.engine.state.cells[f"{LOSS}|{MAIN}"].value == 0.0
