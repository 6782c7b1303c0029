"""Hedged accounts when all prices move: what is near, what is used, who is stressed at once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.types import AccountMode, position_subject
from tests.core.desk import HL, ISOLATED, MAIN, PORTFOLIO, Desk, account_subject

THREE = (e.MarginTier(0.0, 0.06, 0.03),)
POSITION = position_subject(HL, "main", "BTC")
MOVE = "liquidation_uniform_move_ratio"


def hedged(equity: float = 30_000.0) -> Desk:
    """The sheet's account: long 2 BTC, short 20 ETH, 3 %."""
    desk = Desk((HL, "main"))
    for market, price in (("BTC", 60_000.0), ("ETH", 3_000.0)):
        desk.list_market(market, tiers=THREE).context(market, mark_price=price, oracle_price=price)
    desk.positions(("BTC", 2), ("ETH", -20)).money(equity)
    desk.evaluate()
    return desk


def test_the_nearest_shock_breaks_the_hedge() -> None:
    """Together it takes 45 %; BTC down with ETH up takes 13.8 %. The page says which."""
    desk = hedged()
    expected = (30_000 - 5_400) / (180_000 - 0.03 * 60_000)
    assert desk.value(MOVE, MAIN) == pytest.approx(expected, abs=1e-6)
    assert desk.value(MOVE, PORTFOLIO) == pytest.approx(expected, abs=1e-6)
    rule = f"{{id: near, summary: near, for_each: account, when: {MOVE} < 0.2, severity: info}}"
    desk.load(f"- {rule}\n")
    (told,) = desk.at(1).evaluate().transitions
    assert "-13.8 % hedges break" in told.summary


@pytest.mark.parametrize(
    ("market", "least"),
    [
        # Longs of 1 000 with 100 of equity at 3 %: they end at a fall of 70 / 970.
        pytest.param("BTC", 70 / 970, id="the leader falls as far as it falls"),
        pytest.param("ETH", 70 / 970 / 1.3, id="the others 1.3 times as far"),
    ],
)
def test_others_move_further_than_the_leader(market: str, least: float) -> None:
    """The sheet's second direction: the smallest move of the leader that liquidates is told."""
    desk = Desk((HL, "main")).list_market(market, tiers=THREE)
    desk.context(market, mark_price=100.0, oracle_price=100.0)
    desk.positions((market, 10)).money(100.0)
    assert desk.after(MOVE, MAIN) == pytest.approx(least, abs=1e-6)


def test_stressed_usage_is_the_worse_way() -> None:
    """4 590 of 21 000 after the fall."""
    desk = hedged()
    assert desk.value("margin_usage_stressed_ratio", MAIN) == pytest.approx(4_590 / 21_000)
    assert desk.value("liquidation_buffer_usd", MAIN) == pytest.approx(24_600.0)
    assert desk.value("liquidation_buffer_usd", POSITION) == pytest.approx(24_600.0)


@pytest.mark.parametrize("equity", [5_400.0, 0.0, -1.0], ids=["at maintenance", "zero", "below"])
def test_gone_equity_is_a_breach(equity: float) -> None:
    """In every one of them."""
    desk = hedged(equity)
    assert desk.value(MOVE, MAIN) == 0.0
    assert (desk.value("margin_usage_stressed_ratio", MAIN) or 0.0) >= 1.0
    assert (desk.value("liquidation_buffer_usd", MAIN) or 0.0) <= 0.0
    assert desk.value("accounts_stressed_count", PORTFOLIO) == 1.0


def test_nothing_held_is_far_from_everything() -> None:
    """Known to be nothing."""
    desk = Desk((HL, "main")).positions().money(100)
    assert desk.after(MOVE, MAIN) == 10.0
    assert desk.value("margin_usage_stressed_ratio", MAIN) == 0.0
    assert desk.value("liquidation_buffer_usd", MAIN) == 100.0


def test_an_isolated_position_is_judged_apart() -> None:
    """Its own margin is its buffer, and the pool's move leaves it out; the whole account's usage
    counts it where that is worse."""
    desk = Desk((HL, "main")).list_market(tiers=THREE).context(mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 10), margin_mode=ISOLATED, isolated_cash_usd=Decimal(-900)).money(1_000)
    assert desk.after("liquidation_buffer_usd", POSITION) == pytest.approx(70.0)
    assert desk.value("liquidation_buffer_usd", MAIN) == pytest.approx(900.0)
    assert desk.value(MOVE, MAIN) == 10.0
    usage = desk.value("margin_usage_stressed_ratio", MAIN)
    assert usage == pytest.approx(max(0.03 * 850 / 850, 0.03 * 1_150 / 1_150))


def test_an_account_with_rules_of_its_own_is_not_guessed_at() -> None:
    """Portfolio margin: unknown."""
    desk = hedged().mode(AccountMode.PORTFOLIO_MARGIN)
    assert desk.after(MOVE, MAIN) is None
    assert "rules of its own" in desk.why("margin_usage_stressed_ratio", MAIN)


def two(first: float, second: float, *, opposite: bool = False, tell: int = 2) -> Desk:
    """Two accounts of 1 000 in BTC with these equities; ``tell`` of them are known."""
    names = ("main", "second")
    desk = Desk((HL, "main"), (HL, "second")).list_market(tiers=THREE)
    desk.context(mark_price=100.0, oracle_price=100.0)
    sizes = (10, -10 if opposite else 10)
    for name, equity, size in list(zip(names, (first, second), sizes, strict=True))[:tell]:
        desk.positions(("BTC", size), account=name).money(equity, account=name)
    desk.evaluate()
    return desk


@pytest.mark.parametrize(
    ("desk", "expected"),
    [
        pytest.param(two(181.0, 181.0), 2.0, id="both, by the same fall"),
        pytest.param(two(183.0, 181.0), 1.0, id="just one"),
        pytest.param(two(181.0, 181.0, opposite=True), 1.0, id="each by another move"),
        pytest.param(two(181.0, 181.0, tell=1), None, id="one that is not known"),
    ],
)
def test_stressed_accounts(desk: Desk, expected: float | None) -> None:
    """Usage of 80 % after the same 15 %: 25.5 of 31.875."""
    assert desk.value("accounts_stressed_count", PORTFOLIO) == expected


def test_two_are_enough_though_a_third_is_dark() -> None:
    """Removing data never makes it look better."""
    desk = Desk((HL, "main"), (HL, "second"), (HL, "third")).list_market(tiers=THREE)
    desk.context(mark_price=100.0, oracle_price=100.0)
    for name in ("main", "second"):
        desk.positions(("BTC", 10), account=name).money(160, account=name)
    assert desk.after("margin_usage_stressed_ratio", account_subject(HL, "third")) is None
    assert desk.value("accounts_stressed_count", PORTFOLIO) == 2.0
