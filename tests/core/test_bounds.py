"""Bounds of what is kept, and rules of freshness and funding that nothing else pins down."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.state.accruals import ACCRUALS_MAX
from monitor.core.state.control import OPERATOR_RECORDS_MAX
from monitor.core.state.feeds import REJECTED_KEPT_MAX
from monitor.core.state.ledger import ITEMS_MAX
from monitor.core.types import FillKind, MarketStatus, TransferKind, asset_subject
from tests.core.desk import DMAIN, DYDX, HL, HL_VENUE, MAIN, Desk

STREAM = f"{HL}/account.stream/main"


def dydx_desk() -> Desk:
    """1 BTC-USD at an oracle of 100, cash of 1 000 stated at second 0."""
    desk = Desk((DYDX, "main")).list_market("BTC-USD", DYDX)
    desk.context("BTC-USD", DYDX, oracle_price=100.0)
    return desk.positions(("BTC-USD", 1), venue=DYDX).money(cash=1_000, venue=DYDX, time_s=0)


def settle(desk: Desk, at_s: float, rate: float = 0.01, price: float | None = None) -> None:
    """One settlement, told now."""
    desk.tell(
        e.FundingSettled(
            venue=DYDX,
            channel=f"{DYDX}/rest.funding/BTC-USD",
            market="BTC-USD",
            funding_rate_hourly=rate,
            native_funding_rate=rate,
            native_funding_interval_s=3600,
            settled_at_ns=desk.ns(at_s),
            oracle_price=price,
        ),
    )


@pytest.mark.parametrize(("settled_s", "equity"), [(-1, 1_100.0), (0, 1_100.0), (1, 1_099.0)])
def test_cash_newer_than_a_settlement_holds_it_already(settled_s: float, equity: float) -> None:
    """It is not accrued a second time."""
    desk = dydx_desk().at(2)
    settle(desk, settled_s)
    assert desk.after("equity_usd", DMAIN) == pytest.approx(equity)


def test_a_settlements_own_price_is_what_was_charged_at() -> None:
    """Not the oracle of when it is told."""
    desk = dydx_desk().at(2)
    settle(desk, 1, price=200.0)
    assert desk.after("equity_usd", DMAIN) == pytest.approx(1_098.0)


def test_accruals_are_bounded_and_lose_nothing() -> None:
    """Beyond the bound the oldest are added up."""
    desk = dydx_desk()
    for hour in range(1, ACCRUALS_MAX + 11):
        desk.at(hour * 3600)
        settle(desk, hour * 3600)
    kept = desk.engine.state.venues[DYDX].accounts["main"].accruals
    assert len(kept) == ACCRUALS_MAX
    assert sum(kept.values()) == pytest.approx(-(ACCRUALS_MAX + 10.0))


# ------------------------------------------------------------------------------- freshness


def reopened() -> Desk:
    """An account told before its channel was lost and opened again."""
    desk = Desk((HL, "main")).list_market().open(STREAM).open(f"{HL}/account.truth/main")
    desk.at(1).positions().positions(source="truth").money(100)
    desk.at(2).lose(STREAM).lose(f"{HL}/account.truth/main")
    desk.at(20).open(STREAM).open(f"{HL}/account.truth/main")
    return desk


def test_a_reopened_channel_does_not_freshen_old_positions() -> None:
    """What changed while it was closed was not heard."""
    desk = reopened()
    assert desk.at(31).alive(STREAM).after("gross_exposure_usd", MAIN) == 0.0
    assert desk.at(31.1).alive(STREAM).after("gross_exposure_usd", MAIN) is None


def test_a_reopened_channel_does_not_freshen_old_truth() -> None:
    """Its age counts from when it was told."""
    desk = reopened()
    desk.at(25).alive(f"{HL}/account.truth/main")
    assert desk.after("account_age_s", MAIN) == 24.0


@pytest.mark.parametrize(("later", "expected"), [(60, 200.0), (61, None)], ids=["young", "stale"])
@pytest.mark.parametrize("witness", ["oracle", "book"])
def test_a_stale_price_confirms_no_jump(witness: str, later: float, expected: float | None) -> None:
    """Another source's word counts for a minute."""
    desk = Desk().list_market().context(mark_price=100.0)
    if witness == "oracle":
        desk.context(oracle_price=200.0)
    else:
        desk.top(199.0, 201.0)
    desk.at(later).context(mark_price=200.0)
    assert desk.after("mark_price") == expected


def test_delisted_markets_are_not_in_the_funding_share() -> None:
    """Neither as expensive nor as known."""
    desk = Desk().list_market("A").list_market("B")
    desk.list_market("GONE", status=MarketStatus.DELISTED)
    for market, rate in (("A", 1e-3), ("B", 0.0), ("GONE", 1e-3)):
        desk.context(market, predicted_funding_rate_hourly=rate)
    assert desk.after("funding_expensive_share_ratio", HL_VENUE) == 0.5
    assert desk.value("funding_markets_known_ratio", HL_VENUE) == 1.0


@pytest.mark.parametrize("size", [1, 2], ids=["same size", "new size"])
def test_a_delta_keeps_no_liquidation_price_of_an_earlier_size(size: int) -> None:
    """What the venue computed for the earlier state of the position is gone."""
    desk = Desk((HL, "main")).list_market().positions(("BTC", 1), liquidation_price=50.0)
    desk.positions(("BTC", size), complete=False)
    held = desk.engine.state.venues[HL].accounts["main"].positions["BTC"]
    assert held.venue_liquidation_price is None


# ------------------------------------------------------------------------------- deadlines


def test_payments_leave_the_day_by_themselves() -> None:
    """The evaluation asks to be woken for it."""
    desk = Desk((HL, "main")).load(
        "- {id: paid, summary: x, for_each: account, severity: info,"
        " when: 'funding_paid_24h_usd > 0.5'}\n"
    )
    desk.open(f"{HL}/rest.userFunding/main")

    def pay(at_s: float) -> None:
        desk.tell(
            e.FundingPaid(
                venue=HL,
                channel=f"{HL}/rest.userFunding/main",
                account="main",
                history=False,
                payments=(
                    e.FundingPayment(market="BTC", amount_usd=Decimal(-1), time_ns=desk.ns(at_s)),
                ),
            ),
        )

    pay(-86_000)
    assert desk.after("funding_paid_24h_usd", MAIN) == 1.0
    wake = desk.evaluate().wake_at_ns
    while wake is not None and wake < desk.ns(400):  # for what else is looked at again
        wake = desk.engine.evaluate(wake).wake_at_ns
    assert wake == desk.ns(400)
    desk.at(400)
    assert desk.after("funding_paid_24h_usd", MAIN) == 0.0


def test_an_off_book_leg_wakes_the_engine_when_it_expires() -> None:
    """Nobody tells it that the leg is over."""
    desk = Desk((HL, "main")).list_market().context(mark_price=100.0, oracle_price=100.0)
    desk.load(
        "- {id: net, summary: x, for_each: asset, when: 'offbook_net_usd > 50.0', severity: info}\n"
    ).positions()
    leg = e.OffBookLeg(asset="BTC", size=Decimal(1), expires_at_ns=desk.ns(0.5))
    desk.tell(e.OffBookLegsDeclared(source="test", legs=(leg,)))
    assert desk.after("offbook_net_usd", asset_subject("BTC")) == 100.0
    wake = desk.evaluate().wake_at_ns
    assert wake is not None
    assert wake <= desk.ns(0.5)
    assert desk.at(0.5).after("offbook_net_usd", asset_subject("BTC")) == 0.0


# ---------------------------------------------------------------------------------- bounds


def test_rejected_frames_are_kept_up_to_a_bound() -> None:
    """The newest of them; all are counted."""
    desk = Desk()
    for number in range(REJECTED_KEPT_MAX + 5):
        desk.at(number * 0.001).tell(
            e.FrameRejected(venue=HL, channel=f"{HL}/bbo", feed="bbo", reason="x", sample=b"")
        )
    feed = desk.engine.state.venues[HL].feeds["bbo"]
    assert (len(feed.rejected_ns), feed.rejected_total) == (REJECTED_KEPT_MAX, 1_005)
    assert feed.rejected_ns[-1] == desk.now


def test_operator_records_are_kept_up_to_a_bound() -> None:
    """The newest of them."""
    desk = Desk()
    for number in range(OPERATOR_RECORDS_MAX + 5):
        desk.tell(e.OperatorCommanded(principal="ops", verb="note", reason=str(number)))
    kept = desk.engine.state.operator
    assert len(kept) == OPERATOR_RECORDS_MAX
    assert kept[-1].reason == str(OPERATOR_RECORDS_MAX + 4)


def test_the_ledger_is_kept_up_to_a_bound() -> None:
    """Payments, forced fills and transfers: the oldest told go first."""
    desk = Desk((HL, "main"))
    count = ITEMS_MAX + 3
    common = {"venue": HL, "channel": f"{HL}/ledger/main", "account": "main", "history": True}
    one = Decimal(1)
    desk.tell(
        e.FundingPaid(
            **common,  # type: ignore[arg-type]  # by field name
            payments=tuple(
                e.FundingPayment(market="BTC", amount_usd=one, time_ns=desk.now - count + number)
                for number in range(count)
            ),
        ),
        e.FillsReported(
            **common,  # type: ignore[arg-type]  # by field name
            fills=tuple(
                e.FillReport(
                    fill_id=str(number),
                    market="BTC",
                    size=one,
                    price=one,
                    time_ns=desk.now,
                    kind=FillKind.LIQUIDATION,
                )
                for number in range(count)
            ),
        ),
        e.TransfersReported(
            **common,  # type: ignore[arg-type]  # by field name
            transfers=tuple(
                e.TransferReport(
                    transfer_id=str(number),
                    amount_usd=one,
                    time_ns=desk.now - 1,
                    kind=TransferKind.OTHER,
                )
                for number in range(count)
            ),
        ),
    )
    account = desk.engine.state.venues[HL].accounts["main"]
    assert len(account.funding) == len(account.forced_fills) == len(account.transfers) == ITEMS_MAX
    assert "0" not in account.forced_fills
    assert str(count - 1) in account.forced_fills
