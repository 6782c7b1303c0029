"""Stream against truth: like is compared with like, and a fast market contradicts nobody."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.decision import AlertTransition
from monitor.core.types import AccountMode, AlertState, position_subject
from monitor.rulebook import builtin_files
from tests.core.desk import DMAIN, DYDX, HL, MAIN, Desk

DIFFERENCE = "cross_check_difference_ratio"
MISMATCH = "equity_difference_ratio"
POSITION = position_subject(HL, "main", "BTC")


def desk(rules: str = "") -> Desk:
    """One Hyperliquid account with 2 BTC at 30 000 and equity 10 000; both sources agree."""
    made = Desk((HL, "main"), rules=rules).list_market(size_step="0.001")
    made.context(mark_price=30_000.0, oracle_price=30_000.0)
    for source in ("stream", "truth"):
        state(made, source)
    return made


def state(
    made: Desk,
    source: str,
    *,
    size: float = 2.0,
    mark: float = 30_000.0,
    cash: float = -50_000.0,
    time_s: float | None = None,
) -> Desk:
    """One message of the venue: positions and money of the same moment."""
    made.positions(("BTC", size), source=source, time_s=time_s, mark_price=mark)
    return made.money(cash + size * mark, cash=cash, source=source, time_s=time_s)


# -------------------------------------------------------------------------------------- cash


@pytest.mark.parametrize(
    ("cash", "ratio", "told"),
    [
        pytest.param(-50_000.0, 0.0, 0, id="equal"),
        pytest.param(-50_049.0, 0.0, 0, id="under half a per cent of equity"),
        pytest.param(-50_060.0, 60 / 9_940, 1, id="over half a per cent of equity"),
        pytest.param(-40_000.0, 0.5, 1, id="a deposit that the stream did not tell"),
    ],
)
def test_cash_of_truth_against_the_stream(cash: float, ratio: float, told: int) -> None:
    """Held against equity, whatever the size of the cash: a long owes most of its value."""
    made = desk()
    made.evaluate()
    state(made.at(10), "truth", cash=cash)
    assert len(made.evaluate().cross_checks) == told
    assert made.value(DIFFERENCE, MAIN) == pytest.approx(ratio)


def test_the_stream_settles_it_by_saying_something_new() -> None:
    """Repeating the old amount does not; a fill that truth has not read yet is no difference."""
    made = desk()
    state(made.at(10), "truth", cash=-49_000.0)
    made.evaluate()
    state(made.at(11), "stream")
    assert made.after(DIFFERENCE, MAIN) == pytest.approx(1_000 / 11_000)
    state(made.at(12), "stream", cash=-49_000.0)
    assert made.after(DIFFERENCE, MAIN) == 0.0
    state(made.at(13), "stream", cash=-48_000.0)
    assert made.after(DIFFERENCE, MAIN) == 0.0


def test_an_older_truth_is_not_held_against_the_stream() -> None:
    """A re-read that lags says what was."""
    made = desk()
    state(made.at(10), "stream", cash=-48_000.0, time_s=10)
    state(made.at(11), "truth", cash=-50_000.0, time_s=9)
    assert made.after(DIFFERENCE, MAIN) == 0.0


def test_funding_that_dydx_charged_silently_is_no_difference() -> None:
    """The stream says no cash when funding accrues; truth, re-read later, has it taken off."""
    made = Desk((DYDX, "main")).list_market("BTC-USD", DYDX)
    made.context("BTC-USD", DYDX, oracle_price=30_000.0)
    made.positions(("BTC-USD", 2), venue=DYDX, height=100)
    made.money(cash=-50_000, venue=DYDX, height=100)
    made.positions(("BTC-USD", 2), venue=DYDX, source="truth", height=101)
    made.money(cash=-50_000, venue=DYDX, source="truth", height=101)
    made.at(3_600).tell(
        e.FundingSettled(
            venue=DYDX,
            channel=f"{DYDX}/v4_markets",
            market="BTC-USD",
            funding_rate_hourly=0.004,
            native_funding_rate=0.004,
            native_funding_interval_s=3_600,
            settled_at_ns=made.ns(3_600),
            oracle_price=30_000.0,
        ),
    )
    made.at(3_610).context("BTC-USD", DYDX, oracle_price=30_000.0)
    made.positions(("BTC-USD", 2), venue=DYDX, source="truth", height=900)
    made.money(cash=-50_240, venue=DYDX, source="truth", height=900)
    assert made.after(DIFFERENCE, DMAIN) == 0.0
    # As much again that nobody charged: the stream's 50 240 against 50 960, over the larger.
    made.at(3_620).money(cash=-50_960, venue=DYDX, source="truth", height=910)
    assert made.after(DIFFERENCE, DMAIN) == pytest.approx(720 / 50_960)


# -------------------------------------------------------------------------------- collateral


def tokens(made: Desk, source: str, **amounts: float) -> Desk:
    """All balances of the account, HYPE at 50 USD."""
    prices = {"USDC": 1.0, "HYPE": 50.0}
    return made.tell(
        e.CollateralReported(
            venue=HL,
            channel=f"{HL}/spot.{source}/main",
            account="main",
            source=source,
            balances=tuple(
                e.CollateralBalance(
                    token=token, amount=Decimal(str(amount)), price_usd=prices[token]
                )
                for token, amount in amounts.items()
            ),
        ),
    )


@pytest.mark.parametrize(
    ("truth", "ratio"),
    [
        pytest.param({"USDC": 5_000.0, "HYPE": 100.0}, 0.0, id="equal"),
        pytest.param({"USDC": 5_000.0, "HYPE": 100.9}, 0.0, id="45 USD of 10 000"),
        pytest.param({"USDC": 5_000.0, "HYPE": 120.0}, 0.1, id="1 000 USD of 10 000"),
        pytest.param({"USDC": 5_000.0}, 1.0, id="a token that is gone"),
    ],
)
def test_token_balances(truth: dict[str, float], ratio: float) -> None:
    """Compared by amount, so that the price of a token cannot make a difference."""
    made = Desk((HL, "main")).mode(AccountMode.UNIFIED)
    made.positions().positions(source="truth").money(10_000)
    tokens(made, "stream", USDC=5_000.0, HYPE=100.0)
    tokens(made.at(10), "truth", **truth).money(10_000)
    told = [check.field for check in made.evaluate().cross_checks]
    assert told == (["HYPE"] if ratio else [])
    assert made.value(DIFFERENCE, MAIN) == pytest.approx(ratio)


# ------------------------------------------------------------------------------------ equity


@pytest.mark.parametrize(
    ("apart_s", "told"),
    [
        pytest.param(0.1, 1, id="the same moment of the venue's clock"),
        pytest.param(0.11, 0, id="any later, and prices may have moved"),
        pytest.param(5.0, 0, id="seconds later"),
    ],
)
def test_equity_is_compared_only_for_the_same_moment(apart_s: float, told: int) -> None:
    """Prices move in between; what moved with them is no contradiction."""
    made = Desk((HL, "main")).positions().positions(source="truth")
    made.money(10_000, time_s=20)
    made.at(21).money(9_000, source="truth", time_s=20 + apart_s)
    assert [check.field for check in made.evaluate().cross_checks] == ["equity_usd"] * told


def test_equity_is_compared_at_the_same_height() -> None:
    """Where the venue gives heights they decide, not the time of arrival."""
    made = Desk((DYDX, "main")).positions(venue=DYDX).positions(venue=DYDX, source="truth")
    made.money(10_000, venue=DYDX, height=100)
    made.money(9_000, venue=DYDX, source="truth", height=101)
    assert made.evaluate().cross_checks == ()
    made.at(5).money(10_000, venue=DYDX, height=101)
    assert [check.field for check in made.evaluate().cross_checks] == ["equity_usd"]
    assert made.value(DIFFERENCE, DMAIN) == pytest.approx(0.1)
    made.at(6).money(9_500, venue=DYDX, height=102)
    assert made.after(DIFFERENCE, DMAIN) == 0.0


# ------------------------------------------------------------------- equity and its own parts


def test_equity_is_held_against_the_parts_of_its_own_statement() -> None:
    """Cash and positions at the prices that the venue stated them with, not at later ones."""
    made = Desk((HL, "main")).list_market().context(mark_price=100.0)
    made.positions(("BTC", 1), mark_price=100.0).money(1_000, cash=895)
    assert made.after(MISMATCH, MAIN) == pytest.approx(0.005)
    made.at(1).context(mark_price=120.0)
    assert made.after(MISMATCH, MAIN) == pytest.approx(0.005)
    made.at(2).positions(("BTC", 1), mark_price=120.0).money(1_015, cash=895)
    assert made.after(MISMATCH, MAIN) == 0.0


def test_parts_of_another_moment_leave_the_last_verdict_for_a_while() -> None:
    """A fill told alone is not compared with an older equity; what nobody tells together for
    longer than account truth may be old is unknown."""
    made = desk()
    assert made.after(MISMATCH, MAIN) == 0.0
    made.at(5).positions(("BTC", 4), mark_price=30_000.0).money(cash=-110_000)
    assert made.after(MISMATCH, MAIN) == 0.0
    for second in (10, 20, 30):
        made.at(second).money(10_000, source="truth")
        made.evaluate()
    made.at(31).money(10_000, source="truth")
    assert made.after(MISMATCH, MAIN) is None
    assert "not told together" in made.why(MISMATCH, MAIN)


@pytest.mark.parametrize("mode", [AccountMode.UNIFIED, AccountMode.PORTFOLIO_MARGIN])
def test_an_equity_of_spot_balances_has_no_parts(mode: AccountMode) -> None:
    """Whatever cash and positions the margin account shows: they do not make that equity."""
    made = desk().mode(mode)
    assert made.after(MISMATCH, MAIN) is None
    assert made.why(MISMATCH, MAIN) == (
        "the equity of a unified or portfolio-margin account is the worth of its spot balances; no"
        " cash and positions are stated with it"
    )
    assert made.mode(AccountMode.STANDARD).after(MISMATCH, MAIN) == 0.0


def test_prices_from_entry_and_profit() -> None:
    """dYdX states no mark: its price of a position is entry plus profit per unit."""
    made = Desk((DYDX, "main")).list_market("BTC-USD", DYDX)
    made.context("BTC-USD", DYDX, oracle_price=31_000.0)
    made.positions(
        ("BTC-USD", 2),
        venue=DYDX,
        source="truth",
        height=7,
        entry_price=Decimal(29_000),
        unrealized_pnl_usd=Decimal(2_000),
    )
    made.money(10_000, cash=-50_000, venue=DYDX, source="truth", height=7)
    assert made.after(MISMATCH, DMAIN) == 0.0


# ------------------------------------------------------------------------- the rules over them

DATA_RULES = dict(builtin_files())["data.yaml"]
RULES = ("cross_check", "equity_mismatch")


def changes(made: Desk) -> list[AlertTransition]:
    """What the two rules did in one batch."""
    return [one for one in made.evaluate().transitions if one.rule in RULES]


def fast_market(made: Desk, seconds: int, *, size_in_truth: float = 2.0) -> list[AlertTransition]:
    """A per cent a second, up and down: the stream tells the account every second, truth every ten
    with a price of two seconds ago, each true for its own moment."""
    seen: list[AlertTransition] = []
    marks = [30_000.0 * (1.0 + 0.01 * abs(second % 40 - 20)) for second in range(-2, seconds)]
    for second in range(seconds):
        mark, earlier = marks[second + 2], marks[second]
        made.at(100 + second).context(mark_price=mark, oracle_price=mark)
        state(made, "stream", mark=mark, time_s=100 + second)
        if second % 10 == 5:
            state(
                made,
                "truth",
                size=size_in_truth,
                mark=earlier,
                cash=-50_000.0 - (size_in_truth - 2.0) * 30_000.0,
                time_s=100 + second + 0.3,
            )
        seen += changes(made)
    return seen


def test_a_fast_market_alone_raises_nothing() -> None:
    """Ten minutes at a per cent a second on six times leverage: neither rule even waits."""
    made = desk(DATA_RULES)
    assert fast_market(made, 600) == []


def test_a_real_size_difference_is_raised_within_its_minute() -> None:
    """The same market, and truth holds one BTC more than the stream: out after sixty seconds."""
    made = desk(DATA_RULES)
    told = [one for one in fast_market(made, 80, size_in_truth=3.0) if one.rule == "cross_check"]
    assert [one.after for one in told] == [AlertState.PENDING, AlertState.FIRING]
    waiting, firing = told
    assert waiting.at_ns == made.ns(105)
    assert firing.at_ns == made.ns(165)
    assert firing.summary.startswith("Two sources disagree about the account: ")
