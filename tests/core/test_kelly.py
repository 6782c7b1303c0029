"""How large a view may be held: Kelly net of carry and costs, the other caps, which one binds."""

from __future__ import annotations

import pytest

from monitor.core.settings import CarrySettings, EngineSettings, LeverageSettings, TradeSettings
from monitor.core.types import asset_subject
from tests.core.desk import HL, Desk
from tests.core.test_leverage_caps import CALM, warm

BTC, ETH = asset_subject("BTC"), asset_subject("ETH")
KELLY, FUNDING, RATIO = "leverage_cap_kelly", "leverage_cap_funding", "net_to_view_cap_ratio"
RULE = f"- {{id: big, summary: big, for_each: asset, when: {RATIO} > 1.0, severity: info}}\n"


def desk(
    drift: float, net: float, *, rate: float = 0.0, budget: float = 0.01, cost: float = 0.0
) -> Desk:
    """A view of BTC, at a volatility of 60 %, so much of it held over an equity of 1 000."""
    settings = EngineSettings(
        accounts=((HL, "main"),),
        carry=CarrySettings(
            persistence_hourly=1.0, baselines_hourly=(), baseline_hourly=0.0, budget_ratio=budget
        ),
        trades=TradeSettings(fee_ratio=cost, slippage_ratio=0.0, drifts=(("BTC", drift),)),
        leverage=LeverageSettings(basket=("BTC", "ETH")),
    )
    made = warm(Desk(settings=settings), BTC=(CALM, -CALM), ETH=(CALM, -CALM))
    for market in ("BTC", "ETH"):
        made.context(
            market, mark_price=100.0, oracle_price=100.0, predicted_funding_rate_hourly=rate
        )
    return made.positions(("BTC", net / 100), ("ETH", 1)).money(1_000)


@pytest.mark.parametrize(
    ("drift", "net", "rate", "cost", "cap"),
    [
        pytest.param(0.36, 100.0, 0.0, 0.0, 0.25, id="a quarter of Kelly"),
        pytest.param(0.36, -100.0, 0.0, 0.0, 0.0, id="held against the view"),
        pytest.param(-0.36, -100.0, 0.0, 0.0, 0.25, id="a view of a fall"),
        pytest.param(0.36, 100.0, 0.18 / 8760, 0.0, 0.125, id="half of it is carry"),
        pytest.param(0.36, -100.0, 0.9 / 8760, 0.0, 0.375, id="what is received is drift"),
        pytest.param(0.36, 100.0, 0.0, 0.36 * 168 / 8760 / 2, 0.0, id="costs eat all of it"),
        pytest.param(0.36, 0.0, 0.0, 0.0, 0.25, id="nothing held yet"),
    ],
)
def test_a_quarter_of_kelly_net_of_all(
    drift: float, net: float, rate: float, cost: float, cap: float
) -> None:
    """36 % a year at 60 % volatility is full leverage 1."""
    made = desk(drift, net, rate=rate, cost=cost)
    assert made.after(KELLY, BTC) == pytest.approx(cap, rel=0.02, abs=1e-3)


@pytest.mark.parametrize(
    ("drift", "net", "terms", "words"),
    [
        pytest.param(0.36, 500.0, {}, "Kelly binds at 0.25x", id="Kelly"),
        # A day's share of 1 % a month at 43.8 % a year is 0.278 of equity.
        pytest.param(
            9.0, 500.0, {"rate": 5e-5}, "the funding budget binds at 0.278x", id="funding"
        ),
        pytest.param(9.0, 2_000.0, {"budget": 1.0}, "volatility binds at", id="volatility"),
    ],
)
def test_the_least_cap_binds_and_is_named(
    drift: float, net: float, terms: dict[str, float], words: str
) -> None:
    """Whoever is told of the breach is told what to change."""
    made = desk(drift, net, **terms)
    assert made.after(RATIO, BTC) > 1.0
    (told,) = made.load(RULE).evaluate().transitions
    assert words in told.summary


def test_caps_in_numbers() -> None:
    """Half an equity held against a quarter."""
    assert desk(0.36, 500.0).after(RATIO, BTC) == pytest.approx(2.0, rel=0.02)
    paying = desk(9.0, 500.0, rate=5e-5)
    assert paying.after(FUNDING, BTC) == pytest.approx(0.01 / 30 / 24 / 5e-5)


def test_nothing_left_of_a_view_allows_nothing() -> None:
    """Any size is infinitely too large, and none is fine."""
    assert desk(-0.36, 100.0).after(RATIO, BTC) == 1e6
    assert desk(-0.36, 0.0).after(RATIO, BTC) == 0.0


def test_an_asset_without_a_view_is_not_judged() -> None:
    """Nobody knows its drift; that is a choice and no blindness."""
    made = desk(0.36, 100.0)
    assert made.after(RATIO, ETH) is None
    assert made.why(RATIO, ETH).endswith(
        "no source: `trades.drifts` says no expected return of ETH"
    )
