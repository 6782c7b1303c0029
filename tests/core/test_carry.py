"""Funding as an expense line: accrued, accruing and projected carry, its budget, caps and flips."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.formulas.funding import BUDGET_USED_MAX, project_rate_sum
from monitor.core.types import asset_subject, position_subject
from tests.core.desk import DMAIN, DYDX, HL, HL_VENUE, MAIN, PORTFOLIO, Desk
from tests.core.stress_desk import settlement

BTC = position_subject(HL, "main", "BTC")
ETH = position_subject(HL, "main", "ETH")
DBTC = position_subject(DYDX, "main", "BTC-USD")
HOUR = 3600


def book(equity: float = 1e6) -> Desk:
    """The worked book of the sheet: 120 000 of BTC long on dYdX and short on Hyperliquid, and
    50 000 of ETH long there; prices of one dollar."""
    desk = Desk((HL, "main"), (DYDX, "main"))
    desk.list_market("BTC").list_market("ETH").list_market("BTC-USD", DYDX)
    for market, rate in (("BTC", 4e-5), ("ETH", 6e-5)):
        desk.context(market, mark_price=1.0, oracle_price=1.0, predicted_funding_rate_hourly=rate)
    desk.context("BTC-USD", DYDX, oracle_price=1.0, predicted_funding_rate_hourly=1.25e-5)
    desk.positions(("BTC", -120_000), ("ETH", 50_000)).money(equity / 2)
    desk.positions(("BTC-USD", 120_000), venue=DYDX).money(
        cash=equity / 2 - 120_000, venue=DYDX, time_s=0
    )
    return desk


def test_accruing_is_the_part_of_the_interval_that_has_passed() -> None:
    """Nine seconds of 1.50 - 4.80 + 3.00 an hour; at the hour itself nothing."""
    assert book().after("funding_accruing_usd", PORTFOLIO) == 0.0
    desk, part = book().at(9), 9 / 3600
    assert desk.after("funding_accruing_usd", DBTC) == pytest.approx(1.5 * part)
    for subject, hourly in (
        (BTC, -4.8), (MAIN, -1.8), (HL_VENUE, -1.8), (asset_subject("BTC"), -3.3),
        (PORTFOLIO, -0.3),
    ):  # fmt: skip
        assert desk.value("funding_accruing_usd", subject) == pytest.approx(hourly * part)


def test_projection_falls_back_to_each_venues_floor() -> None:
    """dYdX to nothing, Hyperliquid to 1.25e-5."""
    desk = book()
    dydx = 120_000 * project_rate_sum(rate_now=1.25e-5, baseline=0.0, hours=720)
    short = -120_000 * project_rate_sum(rate_now=4e-5, baseline=1.25e-5, hours=720)
    eth = 50_000 * project_rate_sum(rate_now=6e-5, baseline=1.25e-5, hours=720)
    assert desk.after("funding_projected_30d_usd", DBTC) == pytest.approx(dydx)
    assert desk.value("funding_projected_30d_usd", BTC) == pytest.approx(short)
    assert desk.value("funding_projected_30d_usd", DMAIN) == pytest.approx(dydx)
    assert desk.value("funding_projected_30d_usd", PORTFOLIO) == pytest.approx(dydx + short + eth)
    # BTC as a whole receives, which pays nothing for ETH.
    assert desk.value("carry_budget_used_ratio", PORTFOLIO) == pytest.approx(eth / 10_000)


def test_without_equity_any_cost_is_beyond_the_budget() -> None:
    """A ratio over nothing is a breach, never fine."""
    assert book(0.0).after("carry_budget_used_ratio", PORTFOLIO) == BUDGET_USED_MAX
    assert book(-10.0).after("funding_notional_cap_ratio", ETH) == BUDGET_USED_MAX
    assert book(-10.0).after("funding_notional_cap_ratio", BTC) == 0.0


def test_a_rate_that_is_not_known_makes_the_sum_unknown() -> None:
    """Not smaller."""
    desk = book()
    desk.list_market("SOL").context("SOL", mark_price=1.0, oracle_price=1.0)
    desk.positions(("BTC", -120_000), ("ETH", 50_000), ("SOL", 1))
    assert desk.after("funding_projected_30d_usd", PORTFOLIO) is None
    assert desk.value("carry_budget_used_ratio", PORTFOLIO) is None
    assert "SOL" in desk.why("carry_budget_used_ratio", PORTFOLIO)


def test_a_cap_by_the_days_share_of_the_budget() -> None:
    """3 000 000 of equity have 1 000 a day; at 6e-5 that is 694 444."""
    desk = book(3e6)
    assert desk.after("funding_notional_cap_ratio", ETH) == pytest.approx(50_000 / 694_444.4)
    assert desk.value("funding_notional_cap_ratio", BTC) < 0.01  # it receives


def test_accrued_today() -> None:
    """Payments since midnight, by market; those of yesterday are another day's."""
    desk = book()
    midnight = -(desk.now // 10**9 % 86_400)
    payments = tuple(
        e.FundingPayment(market=market, amount_usd=Decimal(usd), time_ns=desk.ns(at))
        for market, usd, at in (
            ("BTC", "4.8", midnight + 1),
            ("ETH", "-3", midnight),
            ("ETH", "-9", midnight - 1),
        )
    )
    for venue, told in ((HL, payments), (DYDX, ())):
        desk.tell(
            e.FundingPaid(
                venue=venue, channel=f"{venue}/paid", account="main", history=True, payments=told
            )
        )
    assert desk.after("funding_accrued_today_usd", MAIN) == pytest.approx(-1.8)
    assert desk.value("funding_accrued_today_usd", ETH) == pytest.approx(3.0)
    assert desk.value("funding_accrued_today_usd", asset_subject("ETH")) == pytest.approx(3.0)
    assert desk.value("funding_accrued_today_usd", PORTFOLIO) == pytest.approx(-1.8)


@pytest.mark.parametrize(
    ("rates", "turned"),
    [
        pytest.param([-1e-5, 1e-5, 1e-5], 1.0, id="for two settlements"),
        pytest.param([-1e-5, 1e-5], 0.0, id="for one"),
        pytest.param([1e-5, 1e-5, 1e-5], 0.0, id="it never turned"),
        pytest.param([-1e-5, 4e-6, 4e-6], 0.0, id="to next to nothing"),
        pytest.param([1e-5, -1e-5, -1e-5], 0.0, id="to our favour"),
        pytest.param([-1e-5, *[1e-5] * 24], 1.0, id="a day ago"),
        pytest.param([-1e-5, *[1e-5] * 25], 0.0, id="more than a day ago"),
    ],
)
def test_funding_that_turned_against_us(rates: list[float], turned: float) -> None:
    """We are long ETH."""
    desk = book()
    hour = desk.now // (HOUR * 10**9)
    for back, rate in enumerate(reversed(rates)):
        desk.tell(settlement("ETH", rate, hour - back))
    assert desk.after("funding_flip_against", ETH) == turned
