"""Funding as an expense line: accrued, accruing and projected carry, its budget, caps and flips."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.formulas.funding import BUDGET_USED_MAX, project_rate_sum
from monitor.core.formulas.volatility import Ewma
from monitor.core.settings import EngineSettings
from monitor.core.structure import Bucket, StructureSettings
from monitor.core.types import Subject, asset_subject, bucket_subject, position_subject
from tests.core.by_hand import worked
from tests.core.desk import DMAIN, DYDX, HL, HL_VENUE, MAIN, PORTFOLIO, Desk
from tests.core.stress_desk import settlement

BTC = position_subject(HL, "main", "BTC")
ETH = position_subject(HL, "main", "ETH")
DBTC = position_subject(DYDX, "main", "BTC-USD")
HOUR = 3600
BUDGET = """
test:
  - id: budget
    for_each: portfolio
    summary: Funding budget
    when: carry_budget_used_ratio >= 1.0
    severity: warning
"""


def book(equity: float = 1e6, *, buckets: tuple[Bucket, ...] = ()) -> Desk:
    """The worked book of the sheet: 120 000 of BTC long on dYdX and short on Hyperliquid, and
    50 000 of ETH long there; prices of one dollar; nothing paid yet."""
    accounts = ((HL, "main"), (DYDX, "main"))
    structure = StructureSettings(buckets=buckets)
    desk = Desk(settings=EngineSettings(accounts=accounts, structure=structure))
    desk.list_market("BTC").list_market("ETH").list_market("BTC-USD", DYDX)
    for market, rate in (("BTC", 4e-5), ("ETH", 6e-5)):
        desk.context(market, mark_price=1.0, oracle_price=1.0, predicted_funding_rate_hourly=rate)
    desk.context("BTC-USD", DYDX, oracle_price=1.0, predicted_funding_rate_hourly=1.25e-5)
    desk.positions(("BTC", -120_000), ("ETH", 50_000)).money(equity / 2)
    desk.positions(("BTC-USD", 120_000), venue=DYDX).money(
        cash=equity / 2 - 120_000, venue=DYDX, time_s=0
    )
    return paid(desk)


def paid(desk: Desk, *payments: tuple[str, str, float]) -> Desk:
    """Funding on Hyperliquid as (market, USD received, second); none on dYdX."""
    told = tuple(
        e.FundingPayment(market=market, amount_usd=Decimal(usd), time_ns=desk.ns(at))
        for market, usd, at in payments
    )
    for venue, of_venue in ((HL, told), (DYDX, ())):
        desk.tell(
            e.FundingPaid(
                venue=venue, channel=f"{venue}/paid", account="main", history=True,
                payments=of_venue,
            )
        )  # fmt: skip
    return desk


def midnight_s(desk: Desk) -> int:
    """The second that today began at."""
    return -(desk.now // 10**9 % 86_400)


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


@pytest.mark.parametrize(
    ("only_isolated", "usd"),
    [pytest.param(True, 900.0, id="isolated"), pytest.param(False, 41.67, id="cross")],
)
def test_isolated_markets_of_dydx_fall_back_to_their_interest(
    only_isolated: bool, usd: float
) -> None:
    """Thirty days of 100 000 USD at 0.125 bp an hour: they stay there, where those that may be
    held cross fall to nothing. The budget counts the same, and is told why."""
    desk = Desk(settings=EngineSettings(accounts=((DYDX, "main"),))).load(BUDGET)
    desk.list_market("BTC-USD", DYDX, only_isolated=only_isolated)
    desk.context("BTC-USD", DYDX, oracle_price=1.0, predicted_funding_rate_hourly=1.25e-5)
    desk.positions(("BTC-USD", 100_000), venue=DYDX).money(cash=0.0, venue=DYDX, time_s=0)
    desk.tell(
        e.FundingPaid(venue=DYDX, channel=f"{DYDX}/paid", account="main", history=True, payments=())
    )
    assert desk.after("funding_projected_30d_usd", DBTC) == pytest.approx(usd, abs=5e-3)
    used = desk.value("carry_budget_used_ratio", PORTFOLIO)
    assert used == pytest.approx(usd / 1_000, abs=1e-5)
    seen = desk.engine.explain("budget", PORTFOLIO, desk.now)
    assert seen is not None
    words = "BTC-USD on dydx, an isolated market: funding falls back to 1.25e-05 an hour"
    assert (words in seen.inputs[0].arithmetic) is only_isolated


def test_the_drift_of_an_isolated_market_is_its_own() -> None:
    """A day at 0.125 bp an hour over a day of 36.5 % a year, and the steps say why it stays."""
    desk = Desk(settings=EngineSettings(accounts=((DYDX, "main"),)))
    desk.list_market("BTC-USD", DYDX, only_isolated=True)
    desk.context("BTC-USD", DYDX, oracle_price=1.0, predicted_funding_rate_hourly=1.25e-5)
    desk.positions(("BTC-USD", 100_000), venue=DYDX).money(cash=0.0, venue=DYDX, time_s=0)
    slow = Ewma(variance=0.365**2 / 8760, fed_ratio=1.0)
    series = desk.engine.state.prices["BTC"]
    series.hours.rewrite(series.hour - 1, slow, [0.0] * 48, [0] * 48, [1.0] * 49)
    value, lines = worked(desk, "funding_drift_ratio", DBTC)
    assert value == pytest.approx(24 * 1.25e-5 / (0.365 / 365**0.5))
    assert lines[0].startswith("funding of 24 h, an isolated market: 24 x 1.25e-05 + ")


def test_budget_counts_what_was_paid_today_and_runs_up() -> None:
    """Beside thirty days to come: 3 000 paid for ETH, and nine seconds of 3 an hour. What BTC
    received today, and is to receive, is no allowance."""
    desk = book().load(BUDGET)
    eth = 50_000 * project_rate_sum(rate_now=6e-5, baseline=1.25e-5, hours=720)
    paid(desk, ("ETH", "-3000", midnight_s(desk)), ("BTC", "9000", midnight_s(desk)))
    running = 3.0 * 9 / 3600
    used = (eth + 3_000 + running) / 10_000
    assert desk.at(9).after("carry_budget_used_ratio", PORTFOLIO) == pytest.approx(used)
    seen = desk.engine.explain("budget", PORTFOLIO, desk.now)
    assert seen is not None
    (line, btc, total) = seen.inputs[0].arithmetic
    assert line == f"ETH {eth:,.2f} projected + 3,000.00 accrued + 0.01 accruing = {eth + 3e3:,.2f}"
    assert btc.startswith("BTC -")
    assert total == f"sum of what is above zero {eth + 3e3:,.2f} / (1,000,000.00 x 0.01)"


def test_budget_is_unknown_while_payments_are() -> None:
    """What was paid cannot be left out of what it costs."""
    desk = book()
    eth = 50_000 * project_rate_sum(rate_now=6e-5, baseline=1.25e-5, hours=720)
    assert desk.after("carry_budget_used_ratio", PORTFOLIO) == pytest.approx(eth / 10_000)
    desk.lose(f"{HL}/paid")
    assert desk.at(7200).after("carry_budget_used_ratio", PORTFOLIO) is None


def test_an_account_that_never_paid_hides_no_budget() -> None:
    """A pool beside one whose payments are told: the venue's list is of all an account's pools,
    in whichever of them it names none."""
    desk = book().load(BUDGET)
    known = desk.after("carry_budget_used_ratio", PORTFOLIO)
    assert known is not None
    desk.positions(account="main.xyz").money(0.0, account="main.xyz")
    assert desk.at(9).after("carry_budget_used_ratio", PORTFOLIO) is not None
    assert desk.value("funding_accrued_today_usd", Subject("account:hyperliquid/main.xyz")) == 0.0
    assert desk.value("funding_paid_24h_usd", Subject("account:hyperliquid/main.xyz")) == 0.0
    # An account of another name is not of that list.
    desk.positions(account="mainly").money(0.0, account="mainly")
    assert desk.at(14).after("carry_budget_used_ratio", PORTFOLIO) is None
    assert "never told" in desk.why("carry_budget_used_ratio", PORTFOLIO)


def test_payments_of_one_pool_are_asked_again_when_another_is_told() -> None:
    """The list that was awaited came, and named only the first."""
    desk = book().load(BUDGET.replace("portfolio", "account").replace(
        "carry_budget_used_ratio >= 1.0", "funding_accrued_today_usd < 1.0"
    ))  # fmt: skip
    desk.positions(("BTC", 1), account="second.xyz").money(10.0, account="second.xyz")
    assert desk.after("funding_accrued_today_usd", PORTFOLIO) is None
    told = e.FundingPaid(
        venue=HL, channel=f"{HL}/paid2", account="second", history=True, payments=()
    )
    fired = [one.subject for one in desk.at(1).tell(told).evaluate().transitions]
    assert "account:hyperliquid/second.xyz" in fired


def test_carry_by_bucket() -> None:
    """BTC of both accounts is the first bucket's, what is left of the Hyperliquid account of the
    second; a payment in a market that is held no more belongs where the market would."""
    hedges = Bucket(name="hedges", assets=("BTC",))
    rest = Bucket(name="rest", accounts=((HL, "main"),))
    desk = book(buckets=(hedges, rest))
    midnight = midnight_s(desk)
    paid(desk, ("BTC", "4.8", midnight), ("ETH", "-3", midnight), ("GONE", "-1", midnight))
    desk.at(9)
    part = 9 / 3600
    dydx = 120_000 * project_rate_sum(rate_now=1.25e-5, baseline=0.0, hours=720)
    short = -120_000 * project_rate_sum(rate_now=4e-5, baseline=1.25e-5, hours=720)
    for name, bucket, usd in (
        ("funding_accrued_today_usd", "hedges", -4.8),
        ("funding_accrued_today_usd", "rest", 4.0),
        ("funding_accruing_usd", "hedges", -3.3 * part),
        ("funding_accruing_usd", "rest", 3.0 * part),
        ("funding_projected_30d_usd", "hedges", dydx + short),
    ):
        assert desk.after(name, bucket_subject(bucket)) == pytest.approx(usd), (name, bucket)


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
    midnight = midnight_s(desk)
    paid(desk, ("BTC", "4.8", midnight + 1), ("ETH", "-3", midnight), ("ETH", "-9", midnight - 1))
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


@pytest.mark.parametrize(
    ("rates", "asked", "told"),
    [
        pytest.param(
            [-1e-5, 2e-5, 1e-5], "> 0.5", "8.76 %/yr > 4.38 %/yr, 2 times; position", id="turned"
        ),
        pytest.param(
            [1e-5, -1e-5, 1e-5], "< 0.5", "funding did not turn; position", id="it did not"
        ),
    ],
)
def test_the_page_says_how_far_funding_turned(rates: list[float], asked: str, told: str) -> None:
    """What the newest settlement charges, against what counts as being charged."""
    desk = book()
    hour = desk.now // (HOUR * 10**9)
    for back, rate in enumerate(reversed(rates)):
        desk.tell(settlement("ETH", rate, hour - back))
    when = f"funding_flip_against {asked}"
    desk.load(f"- {{id: a, summary: a, for_each: position, when: {when}, severity: info}}\n")
    (page,) = [one for one in desk.evaluate().transitions if one.subject == ETH]
    assert told in page.summary
