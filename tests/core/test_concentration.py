"""Where the money is, what it is made of, and whether a dollar is one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.measures.concentration import DOLLAR
from monitor.core.measures.use import NO_SOURCE
from monitor.core.types import AccountMode
from tests.core.desk import DYDX, HL, MAIN, PORTFOLIO, Desk

VENUES = "equity_concentration_hhi"
ASSETS = "asset_concentration_hhi"
TOKENS = "collateral_concentration_hhi"
Balance = tuple[str, float, float | None]  # token, amount, price


def collateral(desk: Desk, *balances: Balance, account: str = "main", equity: float = 0.0) -> Desk:
    """A pooled account's tokens; its equity is what they are worth, or ``equity``."""
    worth = sum(amount * (price or 0.0) for _, amount, price in balances)
    desk.mode(AccountMode.UNIFIED, account)
    desk.tell(
        e.CollateralReported(
            venue=HL,
            channel=f"{HL}/spot/{account}",
            account=account,
            source="stream",
            balances=tuple(
                e.CollateralBalance(
                    token=token,
                    amount=Decimal(str(amount)),
                    price_market=f"@{token}" if token != DOLLAR else None,
                    price_usd=price,
                )
                for token, amount, price in balances
            ),
        ),
    )
    return desk.positions(account=account).money(equity or worth, account=account)


def two_venues(first: float, second: float, *, held: float = 0.0) -> Desk:
    """Equity here and there."""
    desk = Desk((HL, "main"), (DYDX, "main")).list_market().context(mark_price=100.0)
    desk.list_market("BTC-USD", DYDX).context("BTC-USD", DYDX, oracle_price=100.0)
    desk.positions(("BTC", held)).money(first)
    desk.positions(venue=DYDX).money(cash=second, venue=DYDX)
    desk.evaluate()
    return desk


@pytest.mark.parametrize(
    ("first", "second", "held", "expected", "count"),
    [
        pytest.param(75.0, 25.0, 0.0, 0.625, 2.0, id="three to one"),
        pytest.param(75.0, -25.0, 0.0, 1.0, 1.0, id="one under water"),
        pytest.param(0.0, -25.0, 0.0, 1.0, 0.0, id="nothing left but debt"),
        pytest.param(0.0, 0.0, 1.0, 1.0, 0.0, id="nothing left, exposed"),
        pytest.param(0.0, 0.0, 0.0, 0.0, 0.0, id="nothing at all"),
    ],
)
def test_equity_over_venues(
    first: float, second: float, held: float, expected: float, count: float
) -> None:
    """Sum of squared shares; gone equity is a breach."""
    desk = two_venues(first, second, held=held)
    assert desk.value(VENUES, PORTFOLIO) == pytest.approx(expected)
    assert desk.value("equity_venues_count", PORTFOLIO) == count


def test_a_dark_venue_makes_it_unknown() -> None:
    """A share of what is not known is none."""
    desk = two_venues(75.0, 25.0).at(40).positions().money(75.0)
    desk.evaluate()
    assert desk.value(VENUES, PORTFOLIO) is None
    assert desk.value(TOKENS, PORTFOLIO) is None


def test_gross_over_assets() -> None:
    """Longs and shorts, whatever side: 60, 30 and 10."""
    desk = Desk((HL, "main"))
    for market in ("BTC", "ETH", "SOL"):
        desk.list_market(market).context(market, mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 6), ("ETH", -3), ("SOL", 1)).money(1_000)
    assert desk.after(ASSETS, PORTFOLIO) == pytest.approx(0.46)
    assert desk.value("assets_held_count", PORTFOLIO) == 3.0
    desk.at(5).positions(("BTC", 0), ("ETH", 0), ("SOL", 0)).money(-5)
    assert desk.after(ASSETS, PORTFOLIO) == 0.0


def test_who_is_large_is_told() -> None:
    """The largest three, by name."""
    rule = f"{{id: one, summary: one, for_each: portfolio, when: {VENUES} > 0.5, severity: info}}"
    desk = two_venues(75.0, 25.0).load(f"- {rule}\n")
    (told,) = desk.evaluate().transitions
    assert "hyperliquid 75 %, dydx 25 %" in told.summary


def test_haircuts_of_the_sheet() -> None:
    """115 000 of 120 000, on the account and above; profit beyond the tokens is in dollars."""
    desk = collateral(
        Desk((HL, "main")),
        ("USDC", 60_000.0, 1.0),
        ("stETH", 10.0, 4_000.0),
        ("USDe", 20_000.0, 1.0),
    )
    desk.evaluate()
    for subject in (MAIN, PORTFOLIO):
        assert desk.value("haircut_equity_usd", subject) == pytest.approx(115_000.0)
        assert desk.value("collateral_haircut_ratio", subject) == pytest.approx(5 / 120)
    shares = (0.5, 1 / 3, 1 / 6)
    expected = sum(share**2 for share in shares)
    assert desk.value(TOKENS, PORTFOLIO) == pytest.approx(expected)
    desk.money(150_000.0)
    assert desk.after("haircut_equity_usd", MAIN) == pytest.approx(145_000.0)


def test_an_account_without_listed_tokens_is_in_dollars() -> None:
    """And has no haircut; below zero it is a breach all the same."""
    desk = two_venues(75.0, 25.0)
    assert desk.value("haircut_equity_usd", PORTFOLIO) == pytest.approx(100.0)
    assert desk.value("collateral_haircut_ratio", PORTFOLIO) == 0.0
    assert desk.value(TOKENS, PORTFOLIO) == 1.0
    assert two_venues(-75.0, 25.0).value("collateral_haircut_ratio", PORTFOLIO) == 1.0


def priced(desk: Desk, *prices: float) -> Desk:
    """Markets of the token on so many venues."""
    for index, price in enumerate(prices):
        venue = f"venue{index}"
        desk.list_market("USDE", venue, asset="USDe").context("USDE", venue, mark_price=price)
    return desk


@pytest.mark.parametrize(
    ("prices", "by_median", "by_one"),
    [
        pytest.param((), None, 0.02, id="the account's own price alone may warn"),
        pytest.param((0.65,), None, 0.35, id="two are not enough"),
        pytest.param((0.65, 0.995), 0.02, 0.35, id="three: a silly book is outvoted"),
        pytest.param((0.96, 0.95), 0.04, 0.05, id="three that agree"),
    ],
)
def test_depeg(prices: tuple[float, ...], by_median: float | None, by_one: float) -> None:
    """The account's 0.98 is one source."""
    desk = priced(
        collateral(Desk((HL, "main")), ("USDC", 10.0, 1.0), ("USDe", 100.0, 0.98)), *prices
    )
    desk.evaluate()
    found = desk.value("stablecoin_depeg_ratio", PORTFOLIO)
    assert found == (None if by_median is None else pytest.approx(by_median))
    assert desk.value("stablecoin_depeg_single_ratio", PORTFOLIO) == pytest.approx(by_one)


def test_nobody_prices_the_dollar() -> None:
    """Absent, and said: a venue's own dollar at 1 is a definition."""
    desk = two_venues(75.0, 25.0)
    assert desk.value("stablecoin_depeg_single_ratio", PORTFOLIO) is None
    assert "no dollar token" in desk.why("stablecoin_depeg_ratio", PORTFOLIO)


@pytest.mark.parametrize(
    ("prices", "no_source"),
    [
        pytest.param((1.0,), True, id="two sources, however fresh"),
        pytest.param((1.0, 1.0), False, id="three that are old"),
    ],
)
def test_too_few_sources_are_told_from_old_ones(
    prices: tuple[float, ...], *, no_source: bool
) -> None:
    """What nobody could ever tell is a choice of venues; what nobody tells now is blindness."""
    desk = priced(collateral(Desk((HL, "main")), ("USDe", 100.0, 1.0)), *prices).at(400)
    collateral(desk, ("USDe", 100.0, 1.0)).evaluate()
    why = desk.why("stablecoin_depeg_ratio", PORTFOLIO)
    assert why.startswith(NO_SOURCE) is no_source, why
