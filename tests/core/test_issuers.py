"""Whose promises collateral is: by token and issuer, and what a swap could change."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.formulas.collateral import compute_issuer_values, issuer_of
from monitor.core.settings import EngineSettings, MarginSettings
from monitor.core.types import AccountMode
from tests.core.desk import DYDX, HL, PORTFOLIO, Desk

SHARE, FIXED = "collateral_issuer_share_ratio", "collateral_issuer_fixed_ratio"


def desk(
    pooled: dict[str, float],
    plain: float = 0.0,
    *,
    mode: AccountMode = AccountMode.PORTFOLIO_MARGIN,
    issuers: tuple[tuple[str, str], ...] = (),
) -> Desk:
    """One account with these tokens at a dollar each, and one whose venue takes USDC alone."""
    accounts = ((HL, "main"), (DYDX, "main"))
    made = Desk(settings=EngineSettings(accounts=accounts, margin=MarginSettings(issuers=issuers)))
    made.list_market("BTC-USD", DYDX).mode(mode)
    made.tell(
        e.CollateralReported(
            venue=HL,
            channel=f"{HL}/collateral/main",
            account="main",
            source="stream",
            balances=tuple(
                e.CollateralBalance(token=token, amount=Decimal(str(usd)), price_usd=1.0)
                for token, usd in pooled.items()
            ),
        )
    )
    made.positions().money(sum(pooled.values()), maintenance=0.0)
    made.positions(venue=DYDX).money(cash=plain, venue=DYDX)
    made.evaluate()
    return made


@pytest.mark.parametrize(
    ("pooled", "plain", "share", "fixed"),
    [
        pytest.param({"USDC": 600.0}, 400.0, 1.0, 0.4, id="all of one, of which six tenths may go"),
        pytest.param({"USDC": 200.0}, 800.0, 1.0, 0.8, id="hardly any of it may"),
        pytest.param({"USDT": 700.0}, 300.0, 0.7, 0.0, id="the larger is another's"),
        pytest.param({"USDC": 100.0, "USDT": 500.0}, 400.0, 0.5, 0.4, id="of equals the first"),
        pytest.param({"USDT": 300.0, "USDT0": 300.0}, 400.0, 0.6, 0.0, id="two tokens, one issuer"),
        pytest.param({"NEW": 600.0}, 400.0, 0.6, 0.0, id="nobody knows whose: its own"),
    ],
)
def test_shares(pooled: dict[str, float], plain: float, share: float, fixed: float) -> None:
    """Of all collateral, over both venues."""
    made = desk(pooled, plain)
    assert made.value(SHARE, PORTFOLIO) == pytest.approx(share)
    assert made.value(FIXED, PORTFOLIO) == pytest.approx(fixed)


@pytest.mark.parametrize("mode", [AccountMode.STANDARD, AccountMode.UNIFIED])
def test_where_one_token_margins_nothing_may_be_another(mode: AccountMode) -> None:
    """A desk in USDC at venues that take USDC has no choice."""
    made = desk({"USDC": 600.0}, 400.0, mode=mode)
    assert made.value(SHARE, PORTFOLIO) == pytest.approx(1.0)
    assert made.value(FIXED, PORTFOLIO) == pytest.approx(1.0)


def test_the_desk_names_an_issuer() -> None:
    """In any case of letters, as the configuration hands it on."""
    made = desk({"NEW": 600.0}, 400.0, issuers=(("NEW", "circle"),))
    assert made.value(SHARE, PORTFOLIO) == pytest.approx(1.0)
    assert issuer_of("new", {"NEW": "circle"}) == "circle"
    assert issuer_of("usdc") == "circle"


def test_debt_is_nobodys_promise() -> None:
    """What is owed does not make the rest smaller."""
    assert compute_issuer_values({"USDC": 50.0, "USDT": -20.0}) == {"circle": 50.0}


def test_nothing_at_all_is_no_share_and_an_unknown_account_makes_it_unknown() -> None:
    """Zero only where it is known to be."""
    assert desk({}, 0.0).value(SHARE, PORTFOLIO) == 0.0
    made = Desk((HL, "main"), (DYDX, "main"))
    made.positions().money(100.0)
    assert made.after(SHARE, PORTFOLIO) is None
    assert made.value(FIXED, PORTFOLIO) is None


def test_a_page_names_the_issuers() -> None:
    """The largest first."""
    made = desk({"USDC": 600.0, "USDT": 200.0}, 200.0)
    rule = f"{{id: one, summary: One, for_each: portfolio, when: {SHARE} > 0.7, severity: info}}"
    made.load(f"- {rule}\n")
    (told,) = made.at(1).evaluate().transitions
    assert "circle 80 %, tether 20 %" in told.summary
