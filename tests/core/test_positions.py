"""What positions cost and could be left for: funding with our sign, depth, share of equity."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.types import position_subject
from tests.core.desk import HL, MAIN, Desk

BTC_LEG = position_subject(HL, "main", "BTC")
ETH_LEG = position_subject(HL, "main", "ETH")


def two_legs(btc: float, eth: float) -> Desk:
    """BTC at 30 000 with 0.01 %/h (87.6 %/yr), ETH at 2 000 with -0.005 %/h (-43.8 %/yr)."""
    desk = Desk((HL, "main"))
    for market, price, rate in (("BTC", 30_000.0, 1e-4), ("ETH", 2_000.0, -5e-5)):
        desk.list_market(market)
        desk.context(
            market, mark_price=price, oracle_price=price, predicted_funding_rate_hourly=rate
        )
    return desk.positions(("BTC", btc), ("ETH", eth)).money(10_000)


@pytest.mark.parametrize(
    ("btc", "eth", "btc_rate", "eth_rate", "account_rate"),
    [
        pytest.param(2, 0, 0.876, None, 0.876, id="a long pays a positive rate"),
        pytest.param(-2, 0, -0.876, None, -0.876, id="a short receives it"),
        pytest.param(0, -5, None, 0.438, 0.438, id="a short pays a negative rate"),
        # 60 000 x 0.876 - 30 000 x 0.438 over 90 000
        pytest.param(2, 15, 0.876, -0.438, 0.438, id="an account by value"),
        # 30 000 x 0.876 - 60 000 x 0.438 = 0
        pytest.param(1, 30, 0.876, -0.438, 0.0, id="what one leg pays the other receives"),
    ],
)
def test_funding_cost_has_our_sign(
    btc: float, eth: float, btc_rate: float | None, eth_rate: float | None, account_rate: float
) -> None:
    """Above zero is what we pay, whichever side we are on."""
    desk = two_legs(btc, eth)
    assert desk.after("funding_cost_annualized", MAIN) == pytest.approx(account_rate)
    for leg, rate in ((BTC_LEG, btc_rate), (ETH_LEG, eth_rate)):
        if rate is not None:
            assert desk.value("funding_cost_annualized", leg) == pytest.approx(rate)


def test_a_closed_position_costs_nothing() -> None:
    """Known to be closed is zero, not unknown; an account that holds nothing pays nothing."""
    desk = two_legs(2, 15)
    desk.evaluate()
    desk.at(1).positions()
    assert desk.after("funding_cost_annualized", BTC_LEG) == 0.0
    assert desk.value("funding_cost_annualized", MAIN) == 0.0


def test_an_unknown_rate_is_no_cost_of_zero() -> None:
    """One market without a prediction makes its position and its account unknown."""
    desk = Desk((HL, "main")).list_market()
    desk.context(mark_price=30_000.0, oracle_price=30_000.0)
    desk.positions(("BTC", 2)).money(10_000)
    assert desk.after("funding_cost_annualized", BTC_LEG) is None
    assert "predicted funding" in desk.why("funding_cost_annualized", BTC_LEG)
    assert desk.value("funding_cost_annualized", MAIN) is None
    desk.at(1).context(predicted_funding_rate_hourly=1e-4)  # accounts sum it once a second
    assert desk.after("funding_cost_annualized", MAIN) == pytest.approx(0.876)


def test_a_position_that_is_too_old_to_be_known() -> None:
    """Whether we hold it at all is unknown then, and so is what it costs."""
    desk = two_legs(2, 15)
    desk.evaluate()
    desk.at(3_600).context(
        mark_price=30_000.0, oracle_price=30_000.0, predicted_funding_rate_hourly=1e-4
    )
    assert desk.after("funding_cost_annualized", BTC_LEG) is None


@pytest.mark.parametrize(
    ("size", "bids", "asks", "ratio"),
    [
        pytest.param(2, 300_000.0, 1.0, 5.0, id="a long leaves into bids"),
        pytest.param(-2, 1.0, 180_000.0, 3.0, id="a short leaves into offers"),
        pytest.param(2, 0.0, 1e6, 0.0, id="nobody there is zero"),
        pytest.param(2, None, 1e6, None, id="a book that does not reach is unknown"),
    ],
)
def test_exit_depth(size: float, bids: float | None, asks: float, ratio: float | None) -> None:
    """USD within 25 bp on the side of the exit, over 60 000 of ours."""
    desk = two_legs(size, 0)
    desk.tell(
        e.DepthSeen(
            venue=HL,
            channel=f"{HL}/l2Book/BTC",
            market="BTC",
            band_ratio=0.0025,
            bid_depth_usd=bids,
            ask_depth_usd=asks,
        ),
    )
    assert desk.after("exit_depth_ratio", BTC_LEG) == ratio


@pytest.mark.parametrize(
    ("equity", "ratio"),
    [
        pytest.param(40_000, 1.5, id="60 000 over 40 000"),
        pytest.param(0, 1000.0, id="equity gone is a breach"),
        pytest.param(-5_000, 1000.0, id="equity below zero is a breach"),
    ],
)
def test_equity_share(equity: float, ratio: float) -> None:
    """Absolute value over the account's equity, long or short."""
    desk = two_legs(-2, 0).money(equity)
    assert desk.after("equity_share_ratio", BTC_LEG) == ratio
