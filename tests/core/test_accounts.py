"""Accounts: equity, margin, liquidation, sources that disagree, unknown that is never fine."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core import events as e
from monitor.core.settings import EngineSettings
from monitor.core.types import (
    AccountMode,
    FillKind,
    MarginMode,
    asset_subject,
    position_subject,
    venue_subject,
)
from tests.core.desk import (
    BTC,
    DMAIN,
    DYDX,
    HL,
    HL_VENUE,
    MAIN,
    PORTFOLIO,
    Desk,
    account_subject,
)

POSITION = position_subject(HL, "main", "BTC")
FIVE = (e.MarginTier(0.0, 0.05, 0.03),)
DAY_S = 86_400.0


def hl_desk(size: float = 2.0, price: float = 30_000.0, equity: float = 10_000.0) -> Desk:
    """One cross position on Hyperliquid, everything known."""
    desk = Desk((HL, "main")).list_market()
    desk.context(mark_price=price, oracle_price=price)
    desk.positions(("BTC", size), entry_price=Decimal(29000)).money(equity)
    desk.evaluate()
    return desk


def dydx_desk() -> Desk:
    """The recorded two-position account of dYdX."""
    desk = Desk((DYDX, "main"))
    for market, price in (("ETH-USD", 2630.88872), ("BTC-USD", 58759.36187)):
        desk.list_market(market, DYDX, tiers=FIVE).context(market, DYDX, oracle_price=price)
    desk.positions(("ETH-USD", "-0.007"), ("BTC-USD", "0.1036"), venue=DYDX)
    desk.money(cash="-5742.811799", venue=DYDX)
    return desk


# ------------------------------------------------------------------------------------- money


def test_dydx_equity_is_computed_to_the_last_digit() -> None:
    """Cash, positions and oracle give what the venue printed."""
    desk = dydx_desk()
    assert desk.after("equity_usd", DMAIN) == pytest.approx(326.241869692, abs=1e-8)
    assert desk.value("free_collateral_usd", DMAIN) == pytest.approx(20.9475641534, abs=1e-8)
    assert desk.value("gross_exposure_usd", DMAIN) == pytest.approx(6105.886110772)
    assert desk.value("maintenance_margin_usd", DMAIN) == pytest.approx(0.03 * 6105.886110772)


def test_dydx_free_collateral_scales_with_open_interest() -> None:
    """The chain's rule, which the indexer's number leaves out; unknown open interest is unknown."""
    desk = Desk((DYDX, "main")).list_market("X-USD", DYDX, tiers=FIVE, caps=(1e6, 3e6))
    desk.context("X-USD", DYDX, oracle_price=10.0).positions(("X-USD", 10), venue=DYDX)
    desk.money(cash=100, venue=DYDX)
    assert desk.after("initial_margin_usd", DMAIN) is None
    assert "open interest" in desk.why("initial_margin_usd", DMAIN)
    desk.at(1)  # positions are revalued every 20 ms at most
    desk.context("X-USD", DYDX, open_interest_base=2e5)  # 2 M USD, half way between the caps
    assert desk.after("initial_margin_usd", DMAIN) == pytest.approx(100 * (0.05 + 0.95 / 2))
    assert desk.value("free_collateral_usd", DMAIN) == pytest.approx(200 - 52.5)


def settle(desk: Desk, hour: int, rate: float, market: str = "BTC-USD") -> None:
    """One hourly settlement of dYdX, told now."""
    desk.tell(
        e.FundingSettled(
            venue=DYDX,
            channel=f"{DYDX}/rest.funding/{market}",
            market=market,
            funding_rate_hourly=rate,
            native_funding_rate=rate,
            native_funding_interval_s=3600,
            settled_at_ns=desk.ns(3600 * hour),
        ),
    )


def test_dydx_funding_accrues_until_cash_is_stated() -> None:
    """No message says that funding was charged: it is counted from settlements, once, and dropped
    when cash newer than the settlement is stated."""
    desk = dydx_desk().at(3605)
    for market, price in (("ETH-USD", 2630.88872), ("BTC-USD", 58759.36187)):
        desk.context(market, DYDX, oracle_price=price)
    desk.money(cash="-5742.811799", venue=DYDX, time_s=3599)
    desk.positions(("ETH-USD", "-0.007"), ("BTC-USD", "0.1036"), venue=DYDX)
    settle(desk, 1, 1e-5)
    settle(desk, 1, 1e-5)
    paid = 0.1036 * 58759.36187 * 1e-5
    assert desk.after("equity_usd", DMAIN) == pytest.approx(326.241869692 - paid, abs=1e-8)
    desk.money(cash="-5742.9", venue=DYDX, time_s=3604)
    plain = 326.241869692 - (5742.9 - 5742.811799)
    assert desk.after("equity_usd", DMAIN) == pytest.approx(plain, abs=1e-8)
    settle(desk, 1, 1e-5)
    assert desk.after("equity_usd", DMAIN) == pytest.approx(plain, abs=1e-8)


def test_a_settlement_told_late_is_in_the_cash_already() -> None:
    """Cash stated after the hour contains what the hour charged."""
    desk = dydx_desk().at(10)
    desk.money(cash="-5742.811799", venue=DYDX, time_s=9)
    before = desk.after("equity_usd", DMAIN)
    settle(desk, 0, 1e-3)
    assert before is not None
    assert desk.after("equity_usd", DMAIN) == before


def test_lagging_cash_does_not_forget_a_settlement() -> None:
    """Truth that was read before the hour keeps what the hour charged."""
    desk = dydx_desk()
    desk.money(cash="-5742.811799", venue=DYDX, time_s=-10, source="truth")
    settle(desk, 0, 1e-5)
    before = desk.after("equity_usd", DMAIN)
    desk.at(2).money(cash="-5742.811799", venue=DYDX, time_s=-1, source="truth")
    assert desk.after("equity_usd", DMAIN) == before


def test_hyperliquid_equity_is_the_venues() -> None:
    """To the cent as stated, and absent where the mode cannot be read."""
    desk = hl_desk()
    assert desk.value("equity_usd", MAIN) == 10_000.0
    desk.mode(AccountMode.UNREADABLE, reason="mode foo")
    assert desk.after("equity_usd", MAIN) is None
    assert "mode foo" in desk.why("equity_usd", MAIN)
    assert desk.value("leverage", MAIN) is None
    assert desk.value("equity_usd", PORTFOLIO) is None
    desk.mode(AccountMode.UNIFIED).money(12_000)
    assert desk.after("equity_usd", MAIN) == 12_000.0


@pytest.mark.parametrize(
    ("equity", "leverage", "usage"),
    [
        pytest.param(10_000.0, 6.0, 0.075, id="healthy"),
        pytest.param(0.0, 1000.0, 10.0, id="gone"),
        pytest.param(-1.0, 1000.0, 10.0, id="below zero"),
    ],
)
def test_gone_equity_is_a_breach(equity: float, leverage: float, usage: float) -> None:
    """Ratios over equity saturate instead of looking small."""
    desk = hl_desk(equity=equity)
    assert desk.value("leverage", MAIN) == pytest.approx(leverage)
    assert desk.value("margin_usage_ratio", MAIN) == pytest.approx(usage)
    assert desk.value("leverage", PORTFOLIO) == pytest.approx(leverage)
    assert desk.value("margin_usage_ratio", PORTFOLIO) == pytest.approx(usage)


# ------------------------------------------------------------------------------- liquidation


def test_liquidation_price_and_distance() -> None:
    """The venue's own worked example."""
    desk = hl_desk()
    assert desk.value("liquidation_price", POSITION) == pytest.approx(25_316.4556962)
    distance = 1 - 25_316.4556962 / 30_000
    assert desk.value("liquidation_distance_ratio", POSITION) == pytest.approx(distance)
    assert desk.value("liquidation_distance_ratio", MAIN) == pytest.approx(distance)
    assert desk.value("liquidation_distance_ratio", PORTFOLIO) == pytest.approx(distance)
    assert desk.value("notional_usd", POSITION) == 60_000.0
    assert desk.value("unrealized_pnl_usd", POSITION) == 2_000.0


def test_isolated_liquidation_price_recorded() -> None:
    """Judged by its own margin, exactly as the venue printed it; the rest by what is left."""
    desk = Desk((HL, "main"))
    desk.list_market("X", tiers=(e.MarginTier(0.0, 0.1, 0.05),)).context("X", mark_price=37.8259999)
    desk.positions(
        ("X", 2), margin_mode=MarginMode.ISOLATED, isolated_cash_usd=Decimal("-68.126246")
    ).money(1_000)
    desk.evaluate()
    position = position_subject(HL, "main", "X")
    assert desk.value("liquidation_price", position) == pytest.approx(35.8559189474, abs=1e-9)
    distance = 1 - 35.8559189474 / 37.8259999
    assert desk.value("liquidation_distance_ratio", position) == pytest.approx(distance)


@pytest.mark.parametrize(
    ("cash", "initial"),
    [
        # As recorded: the venue's totalMarginUsed, and the rest is what it calls withdrawable.
        pytest.param("-68.126246", 7.525754, id="as recorded"),
        pytest.param("-38.126246", 37.525754, id="its profit is locked with it"),
        pytest.param("-80", 0.0, id="nothing of its own is left"),
        pytest.param(None, 7.5652, id="not told: by its leverage"),
    ],
)
def test_what_is_isolated_is_locked(cash: str | None, initial: float) -> None:
    """Initial margin by the venue's own definition: by leverage, a gain would count as free."""
    desk = Desk((HL, "main"))
    desk.list_market("X", tiers=(e.MarginTier(0.0, 0.1, 0.05),)).context("X", mark_price=37.826)
    own = None if cash is None else Decimal(cash)
    desk.positions(("X", 2), margin_mode=MarginMode.ISOLATED, isolated_cash_usd=own, leverage=10.0)
    desk.money(83.307638).evaluate()
    assert desk.value("initial_margin_usd", MAIN) == pytest.approx(initial)
    assert desk.value("free_collateral_usd", MAIN) == pytest.approx(83.307638 - initial)


def test_a_small_isolated_position_does_not_fill_the_account() -> None:
    """It can lose its own margin and no more: the account is judged by all it has to lose."""
    desk = Desk((HL, "main"))
    desk.list_market("X", tiers=(e.MarginTier(0.0, 0.1, 0.05),)).context("X", mark_price=37.8259999)
    desk.positions(
        ("X", 2), margin_mode=MarginMode.ISOLATED, isolated_cash_usd=Decimal("-68.126246")
    ).money(1_000)
    desk.evaluate()
    assert desk.value("margin_usage_ratio", MAIN) == pytest.approx(0.05 * 2 * 37.8259999 / 1_000)


def test_isolated_without_its_margin_is_unknown() -> None:
    """A stream that forgets the isolated cash does not make the account look safe."""
    desk = Desk((HL, "main")).list_market().context(mark_price=100.0)
    desk.positions(("BTC", 2), margin_mode=MarginMode.ISOLATED).money(1_000)
    assert desk.after("margin_usage_ratio", MAIN) is None
    assert "isolated" in desk.why("margin_usage_ratio", MAIN)


def test_two_longs_die_together() -> None:
    """The account's distance is that of all prices moving, nearer than either alone."""
    desk = Desk((HL, "main")).list_market("BTC").list_market("ETH")
    desk.context("BTC", mark_price=100.0).context("ETH", mark_price=100.0)
    desk.positions(("BTC", 10), ("ETH", 10)).money(500)
    desk.evaluate()
    alone = desk.value("liquidation_distance_ratio", POSITION)
    together = desk.value("liquidation_distance_ratio", MAIN)
    assert alone == pytest.approx((500 - 25) / (1000 * (1 - 0.0125)))
    assert together == pytest.approx((500 - 25) / (2000 - 25))


def test_portfolio_margin_goes_by_the_venues_word() -> None:
    """Our formulas do not hold there: distance is absent, usage is what the venue states."""
    desk = hl_desk()
    desk.mode(AccountMode.PORTFOLIO_MARGIN)
    assert desk.after("margin_usage_ratio", MAIN) is None
    assert desk.value("liquidation_price", POSITION) is None
    desk.money(10_000, maintenance=4_000)
    assert desk.after("margin_usage_ratio", MAIN) == pytest.approx(0.4)
    assert desk.value("liquidation_distance_ratio", MAIN) is None


def test_a_closed_position_is_known_to_be_nothing() -> None:
    """Not absent: an alert about it can end."""
    desk = hl_desk().at(1).positions()
    assert desk.after("notional_usd", POSITION) == 0.0
    assert desk.value("liquidation_distance_ratio", POSITION) == 10.0
    assert desk.value("liquidation_price", POSITION) is None
    assert desk.value("positions_count", MAIN) == 0.0
    assert desk.value("gross_exposure_usd", MAIN) == 0.0
    assert desk.value("liquidation_distance_ratio", MAIN) == 10.0


def test_a_position_without_margin_tiers_has_unknown_margin() -> None:
    """Exposure is known, margin is not."""
    desk = Desk((HL, "main")).list_market(tiers=()).context(mark_price=100.0)
    desk.positions(("BTC", 1)).money(1_000)
    assert desk.after("gross_exposure_usd", MAIN) == 100.0
    assert desk.value("maintenance_margin_usd", MAIN) is None
    assert "tiers" in desk.why("maintenance_margin_usd", MAIN)


def test_positions_against_equity_and_book() -> None:
    """Ratios that rules may compare with a limit."""
    desk = hl_desk()
    desk.tell(
        e.DepthSeen(
            venue=HL,
            channel=f"{HL}/l2Book/BTC",
            market="BTC",
            band_ratio=0.0025,
            bid_depth_usd=120_000.0,
            ask_depth_usd=1.0,
        ),
    )
    assert desk.after("equity_share_ratio", POSITION) == pytest.approx(6.0)
    assert desk.value("exit_depth_ratio", POSITION) == pytest.approx(2.0)


# ---------------------------------------------------------------------------------- unknown


def test_one_unknown_account_makes_the_sum_unknown() -> None:
    """Not a smaller sum: a configured account that never spoke keeps the portfolio unknown."""
    desk = Desk((HL, "main"), (HL, "second")).list_market().context(mark_price=100.0)
    desk.positions(("BTC", 1)).money(1_000)
    assert desk.after("equity_usd", MAIN) == 1_000.0
    for name in ("equity_usd", "gross_exposure_usd", "net_exposure_usd", "leverage"):
        assert desk.value(name, HL_VENUE) is None
        assert desk.value(name, PORTFOLIO) is None
    assert "second" in desk.why("equity_usd", PORTFOLIO)
    assert desk.value("gross_exposure_usd", asset_subject("BTC")) is None
    desk.positions(account="second").money(500, account="second")
    assert desk.after("equity_usd", PORTFOLIO) == 1_500.0
    assert desk.value("gross_exposure_usd", asset_subject("BTC")) == 100.0


def test_a_discovered_pool_joins_the_sum() -> None:
    """A sub-account found later is expected from then on."""
    desk = hl_desk()
    assert desk.value("equity_usd", PORTFOLIO) == 10_000.0
    desk.tell(
        e.AccountDiscovered(
            venue=HL, channel=f"{HL}/role/main", account="main.xyz", parent="main", kind="dex"
        ),
    )
    assert desk.after("equity_usd", PORTFOLIO) is None
    desk.money(50, account="main.xyz").positions(account="main.xyz")
    assert desk.after("equity_usd", PORTFOLIO) == 10_050.0


def test_account_truth_ages() -> None:
    """Thirty seconds after the last word and the last sign of life, an account is unknown."""
    desk = hl_desk()
    desk.context(mark_price=30_000.0)
    assert desk.at(30).value("equity_usd", MAIN) is not None
    assert desk.at(30.001).after("equity_usd", MAIN) is None
    assert desk.value("account_age_s", MAIN) is None
    desk.money(10_000, source="truth")
    assert desk.after("account_age_s", MAIN) == 0.0
    assert desk.at(70).value("account_age_s", PORTFOLIO) == pytest.approx(39.999)


def test_a_dark_price_makes_exposure_unknown() -> None:
    """Never a smaller gross."""
    desk = Desk((HL, "main")).list_market("BTC").list_market("SOL")
    desk.context("BTC", mark_price=100.0).context("SOL", mark_price=10.0)
    desk.positions(("BTC", 1), ("SOL", 1)).money(1_000)
    assert desk.after("gross_exposure_usd", MAIN) == 110.0
    desk.at(20).positions(("BTC", 1), ("SOL", 1)).money(1_000)
    assert desk.after("gross_exposure_usd", MAIN) is None
    assert "BTC" in desk.why("gross_exposure_usd", MAIN)
    assert desk.value("notional_usd", position_subject(HL, "main", "SOL")) == 10.0
    assert desk.value("notional_usd", POSITION) is None


def test_positions_after_a_gap_need_a_new_report() -> None:
    """Truth older than the last change of the stream does not vouch for what the stream said."""
    desk = hl_desk()
    desk.positions(("BTC", 2), source="truth")
    desk.at(1).positions(("BTC", 3), complete=False)
    assert desk.after("gross_exposure_usd", MAIN) == 90_000.0
    desk.lose(f"{HL}/account.stream/main", gap=True)
    assert desk.after("gross_exposure_usd", MAIN) is None
    desk.at(2).positions(("BTC", 3), source="truth")
    assert desk.after("gross_exposure_usd", MAIN) == 90_000.0


def test_positions_told_piecemeal_are_not_a_list() -> None:
    """Deltas before any complete report leave the account unknown."""
    desk = Desk((HL, "main")).list_market().context(mark_price=100.0)
    desk.positions(("BTC", 1), complete=False)
    assert desk.after("gross_exposure_usd", MAIN) is None
    assert "completely" in desk.why("gross_exposure_usd", MAIN)


# -------------------------------------------------------------------------------- cross-check


@pytest.mark.parametrize(
    ("truth", "lot", "ratio"),
    [
        pytest.param("2", "0.001", 0.0, id="equal"),
        pytest.param("2.0005", "0.001", 0.0, id="less than a lot apart"),
        pytest.param("2.001", "0.001", 0.001 / 2.001, id="one lot apart"),
        pytest.param("2.009", None, 0.0, id="lot unknown, under half a per cent"),
        pytest.param("2.02", None, 0.02 / 2.02, id="lot unknown, over half a per cent"),
        pytest.param("-2", "0.001", 2.0, id="opposite signs"),
        pytest.param("0", "0.001", 1.0, id="truth says closed"),
    ],
)
def test_truth_against_stream(truth: str, lot: str | None, ratio: float) -> None:
    """A difference is an event and a measure, and the newer is adopted."""
    desk = Desk((HL, "main")).list_market(size_step=lot).context(mark_price=100.0)
    desk.positions(("BTC", 2)).money(1_000)
    assert desk.evaluate().cross_checks == ()
    desk.at(5).positions(("BTC", truth), source="truth")
    decision = desk.evaluate()
    assert len(decision.cross_checks) == (1 if ratio else 0)
    assert desk.value("cross_check_difference_ratio", MAIN) == pytest.approx(ratio)
    assert desk.engine.state.venues[HL].accounts["main"].positions["BTC"].size == float(truth)
    if ratio:
        check = decision.cross_checks[0]
        assert (check.subject, check.field, check.stream) == (POSITION, "size", "2.0")


def test_a_disagreement_stands_until_the_stream_speaks_anew() -> None:
    """It is told once; repeating the old size does not settle it, the right one does."""
    desk = Desk((HL, "main")).list_market(size_step="0.001").context(mark_price=100.0)
    desk.positions(("BTC", 2)).at(5).positions(("BTC", 3), source="truth")
    assert len(desk.evaluate().cross_checks) == 1
    desk.at(6).positions(("BTC", 2))
    assert desk.evaluate().cross_checks == ()
    assert desk.value("cross_check_difference_ratio", MAIN) == pytest.approx(1 / 3)
    desk.at(10).positions(("BTC", 3), source="truth")
    assert desk.evaluate().cross_checks == ()
    desk.at(11).positions(("BTC", 3)).evaluate()
    assert desk.value("cross_check_difference_ratio", MAIN) == 0.0


def test_news_from_the_stream_is_no_disagreement() -> None:
    """A fill that truth has not read yet."""
    desk = Desk((HL, "main")).list_market(size_step="0.001").context(mark_price=100.0)
    desk.positions(("BTC", 2)).positions(("BTC", 2), source="truth")
    desk.at(1).positions(("BTC", 5))
    assert desk.evaluate().cross_checks == ()
    assert desk.value("cross_check_difference_ratio", MAIN) == 0.0


def test_older_truth_is_not_adopted() -> None:
    """By height: a lagging indexer does not turn back what the stream has told."""
    desk = Desk((DYDX, "main")).list_market("BTC-USD", DYDX)
    desk.context("BTC-USD", DYDX, oracle_price=100.0)
    desk.positions(("BTC-USD", 2), venue=DYDX, height=100)
    desk.at(1).positions(("BTC-USD", 1), venue=DYDX, source="truth", height=98)
    assert desk.evaluate().cross_checks == ()
    assert desk.value("gross_exposure_usd", DMAIN) == 200.0
    desk.at(2).positions(("BTC-USD", 1), venue=DYDX, source="truth", height=101)
    assert len(desk.evaluate().cross_checks) == 1
    assert desk.value("gross_exposure_usd", DMAIN) == 100.0


# ------------------------------------------------------------------------------------ ledger


def payments(desk: Desk, *items: tuple[str, float, float]) -> None:
    """(market, seconds, USD received) each."""
    desk.tell(
        e.FundingPaid(
            venue=HL,
            channel=f"{HL}/funding/main",
            account="main",
            history=False,
            payments=tuple(
                e.FundingPayment(market=market, amount_usd=Decimal(str(usd)), time_ns=desk.ns(at))
                for market, at, usd in items
            ),
        ),
    )


def test_funding_paid_counts_each_payment_once_for_a_day() -> None:
    """Told twice counts once; paid is positive; a day later it is forgotten."""
    desk = hl_desk()
    assert desk.value("funding_paid_24h_usd", MAIN) is None
    payments(desk, ("BTC", -10, -3.0), ("ETH", -10, 1.0))
    payments(desk, ("BTC", -10, -3.0), ("BTC", -86_401, -50.0))
    assert desk.after("funding_paid_24h_usd", MAIN) == 2.0
    desk.at(86_380)
    payments(desk)
    assert desk.after("funding_paid_24h_usd", MAIN) == 2.0
    assert desk.at(86_390).after("funding_paid_24h_usd", MAIN) == 0.0


def test_projected_funding_is_a_cost() -> None:
    """A long at a positive rate pays: > 0."""
    desk = hl_desk().at(1)  # accounts sum it once a second
    desk.context(predicted_funding_rate_hourly=1e-5)
    assert desk.after("funding_projected_24h_usd", POSITION) == pytest.approx(60_000 * 24e-5)
    assert desk.value("funding_projected_24h_usd", PORTFOLIO) == pytest.approx(60_000 * 24e-5)
    assert desk.value("funding_cost_30d_ratio", PORTFOLIO) == pytest.approx(0.0432 * 30 / 30)


def test_forced_fills() -> None:
    """Liquidation and deleveraging count for a day, ordinary fills do not; none at all is known
    only while the channel of fills proves itself alive."""
    desk = hl_desk().open(f"{HL}/fills/main")
    assert desk.value("liquidations_24h", MAIN) is None

    def fill(fill_id: str, kind: FillKind) -> e.FillReport:
        return e.FillReport(
            fill_id=fill_id,
            market="BTC",
            size=Decimal(1),
            price=Decimal(1),
            time_ns=desk.now,
            kind=kind,
        )

    fills = (
        fill("1", FillKind.TRADE),
        fill("2", FillKind.LIQUIDATION),
        fill("3", FillKind.DELEVERAGING),
    )
    for _ in range(2):
        desk.tell(
            e.FillsReported(
                venue=HL, channel=f"{HL}/fills/main", account="main", history=False, fills=fills
            ),
        )
    assert desk.after("liquidations_24h", MAIN) == 2.0
    desk.tell(
        e.LiquidationSeen(
            venue=HL, channel=f"{HL}/events/main", account="main", notional_usd=None, detail="x"
        ),
    )
    assert desk.after("liquidations_24h", MAIN) == 2.0
    desk.at(86_399)
    assert desk.after("liquidations_24h", MAIN) == 2.0  # known, however long nobody spoke since
    assert desk.at(86_400).after("liquidations_24h", MAIN) is None
    assert desk.why("liquidations_24h", MAIN) == "news of fills is too old"
    assert desk.alive(f"{HL}/fills/main").after("liquidations_24h", MAIN) == 0.0
    desk.at(86_401).lose(f"{HL}/fills/main", gap=True)
    assert desk.after("liquidations_24h", MAIN) is None


# ---------------------------------------------------------------------------------- off-book


def leg(size: float, desk: Desk, until_s: float, asset: str = "BTC") -> e.OffBookLeg:
    """An off-book leg that expires."""
    return e.OffBookLeg(asset=asset, size=Decimal(str(size)), expires_at_ns=desk.ns(until_s))


def test_off_book_legs_count_until_they_expire() -> None:
    """In the asset and in the portfolio, not in the account; the end is a deadline."""
    desk = hl_desk().context(oracle_price=30_000.0)
    asset = asset_subject("BTC")
    desk.tell(e.OffBookLegsDeclared(source="file", legs=(leg(-1.5, desk, 20),)))
    desk.evaluate()
    assert desk.value("offbook_net_usd", asset) == -45_000.0
    assert desk.value("net_exposure_usd", asset) == 15_000.0
    assert desk.value("gross_exposure_usd", asset) == 105_000.0
    assert desk.value("net_exposure_usd", PORTFOLIO) == 15_000.0
    assert desk.value("gross_exposure_usd", PORTFOLIO) == 105_000.0
    assert desk.value("net_exposure_usd", MAIN) == 60_000.0
    desk.at(20).context(mark_price=30_000.0, oracle_price=30_000.0)
    assert desk.after("net_exposure_usd", PORTFOLIO) == 60_000.0
    assert desk.value("offbook_net_usd", asset) == 0.0


def test_net_and_gross_use_the_same_price() -> None:
    """Off-book prices are followed by the second; what is read in between agrees all the same."""
    desk = Desk((HL, "main")).list_market().context(oracle_price=100.0).positions().money(1_000)
    desk.tell(e.OffBookLegsDeclared(source="file", legs=(leg(3, desk, 99),)))
    assert desk.after("gross_exposure_usd", PORTFOLIO) == 300.0
    desk.at(0.5).context(oracle_price=120.0).evaluate()
    assert desk.value("net_exposure_usd", PORTFOLIO) == 360.0
    assert desk.value("gross_exposure_usd", PORTFOLIO) == 360.0


def test_an_unpriced_leg_makes_the_whole_unknown() -> None:
    """Declared exposure without a price is not zero."""
    desk = hl_desk()
    desk.tell(e.OffBookLegsDeclared(source="file", legs=(leg(1, desk, 99, "DOGE"),)))
    assert desk.after("net_exposure_usd", PORTFOLIO) is None
    assert "DOGE" in desk.why("net_exposure_usd", PORTFOLIO)
    assert desk.value("net_exposure_usd", asset_subject("BTC")) == 60_000.0
    desk.tell(e.OffBookLegsDeclared(source="file", legs=()))
    assert desk.after("net_exposure_usd", PORTFOLIO) == 60_000.0


# ---------------------------------------------------------------------------------- drawdown


def transfer(desk: Desk, name: str, usd: float, account: str = "main", *, own: bool) -> None:
    """Money in (> 0) or out, told now."""
    desk.tell(
        e.TransfersReported(
            venue=HL,
            channel=f"{HL}/ledger/{account}",
            account=account,
            history=False,
            transfers=(
                e.TransferReport(
                    transfer_id=name,
                    amount_usd=Decimal(str(usd)),
                    time_ns=desk.now,
                    kind="internal",  # type: ignore[arg-type]  # the enum's value
                    own=own,
                ),
            ),
        ),
    )


def two_accounts() -> Desk:
    """Two funded accounts without positions, a peak of 10 000 each."""
    desk = Desk((HL, "main"), (HL, "second"))
    for account in ("main", "second"):
        desk.positions(account=account).money(10_000, account=account)
    desk.evaluate()
    return desk


def both(desk: Desk, first: float, second: float) -> float | None:
    """State both equities and read the portfolio's drawdown."""
    desk.money(first).money(second, account="second").positions().positions(account="second")
    return desk.after("drawdown_ratio", PORTFOLIO)


def test_a_loss_is_a_drawdown() -> None:
    """From the peak, by account and over the book."""
    desk = two_accounts()
    desk.at(1)
    assert both(desk, 12_000, 10_000) == 0.0
    assert both(desk, 9_000, 10_000) == pytest.approx(3 / 22)
    assert desk.value("drawdown_ratio", MAIN) == pytest.approx(0.25)


@pytest.mark.parametrize("told_first", [True, False], ids=["told first", "shown first"])
def test_a_transfer_between_own_accounts_is_no_loss(told_first: bool) -> None:
    """Forty per cent of equity on its way for an hour, whichever side is told or shown first."""
    desk = two_accounts()
    settled: list[float | None] = []

    def leave() -> None:
        transfer(desk, "out", -8_000, own=True)

    def arrive() -> None:
        transfer(desk, "in", 8_000, "second", own=True)

    desk.at(10)
    if told_first:
        leave()
        settled.append(both(desk, 10_000, 10_000))
        desk.at(12)
        settled.append(both(desk, 2_000, 10_000))
    else:
        both(desk, 2_000, 10_000)  # a moment that only the rule's own hold can bridge
        leave()
        settled.append(both(desk, 2_000, 10_000))
    settled.extend(both(desk.at(60 * minute), 2_000, 10_000) for minute in (5, 30, 60))
    desk.at(3_700)
    if told_first:
        arrive()
        settled.append(both(desk, 2_000, 10_000))
        desk.at(3_702)
        settled.append(both(desk, 2_000, 18_000))
    else:
        settled.append(both(desk, 2_000, 18_000))
        desk.at(3_702)
        arrive()
        settled.append(both(desk, 2_000, 18_000))
    settled.extend(both(desk.at(3_600 * hour), 2_000, 18_000) for hour in (2, 5, 24))
    assert settled == [0.0] * len(settled)
    assert both(desk, 2_000, 16_000) == pytest.approx(0.1)


def test_money_that_never_arrives_becomes_a_loss() -> None:
    """In transit only up to the limit."""
    desk = two_accounts()
    desk.at(1)
    transfer(desk, "out", -8_000, own=True)
    assert both(desk, 2_000, 10_000) == 0.0
    assert both(desk.at(21_600), 2_000, 10_000) == 0.0
    assert both(desk.at(21_602), 2_000, 10_000) == pytest.approx(0.4)


@pytest.mark.parametrize("told_first", [True, False], ids=["told first", "shown first"])
@pytest.mark.parametrize("usd", [5_000.0, -5_000.0], ids=["deposit", "withdrawal"])
def test_deposits_and_withdrawals_shift_the_peak(usd: float, told_first: bool) -> None:
    """Neither a deposit nor a withdrawal is profit or loss, in either order of telling."""
    desk = two_accounts()
    desk.at(10)
    if told_first:
        transfer(desk, "x", usd, own=False)
        assert both(desk, 10_000, 10_000) == 0.0
        desk.at(12)
    else:
        both(desk, 10_000 + usd, 10_000)
        desk.at(12)
        transfer(desk, "x", usd, own=False)
    assert both(desk, 10_000 + usd, 10_000) == 0.0
    assert both(desk.at(500), 10_000 + usd, 10_000) == 0.0
    peak = 20_000 + usd
    assert both(desk.at(501), 9_000 + usd, 10_000) == pytest.approx(1_000 / peak)


@pytest.mark.parametrize("told_first", [True, False], ids=["told first", "shown first"])
@pytest.mark.parametrize("usd", [5_000.0, -5_000.0], ids=["deposit", "withdrawal"])
def test_a_flow_under_water_moves_no_ladder(usd: float, told_first: bool) -> None:
    """12 % of the last thirty days, which the cuts read, are 12 % after either."""
    desk = two_accounts()
    both(desk.at(10), 7_600, 10_000)
    assert desk.value("drawdown_30d_ratio", PORTFOLIO) == pytest.approx(0.12)
    if not told_first:
        both(desk.at(15), 7_600 + usd, 10_000)
    transfer(desk.at(20), "x", usd, own=False)
    for second in (20, 30, 60, 500):
        shown = usd if second > 20 or not told_first else 0.0
        both(desk.at(second), 7_600 + shown, 10_000)
        assert desk.value("drawdown_30d_ratio", PORTFOLIO) == pytest.approx(0.12)
    both(desk.at(510), 7_600 + usd - (17_600 + usd) / 10, 10_000)
    assert desk.value("drawdown_30d_ratio", PORTFOLIO) == pytest.approx(0.208)


@pytest.mark.parametrize(
    ("window", "within_s", "over_s"),
    [
        pytest.param("1h", 3_500.0, 3_700.0, id="an hour"),
        pytest.param("24h", 85_000.0, 87_500.0, id="a day"),
        pytest.param("7d", 6.9 * DAY_S, 7.1 * DAY_S, id="a week"),
        pytest.param("30d", 29.9 * DAY_S, 30.1 * DAY_S, id="thirty days"),
    ],
)
def test_a_peak_counts_for_the_length_of_its_window(
    window: str, within_s: float, over_s: float
) -> None:
    """The ladder of cuts reads thirty days: a rung that fell away after a week would let a book
    grow back into the fall."""
    desk, name = two_accounts(), f"drawdown_{window}_ratio"
    both(desk.at(10), 7_600, 10_000)
    assert desk.value(name, PORTFOLIO) == pytest.approx(0.12)
    for step in range(1, 11):  # looked at meanwhile: after a gap an old peak counts once more
        both(desk.at(within_s * step / 10), 7_600, 10_000)
        assert desk.value(name, PORTFOLIO) == pytest.approx(0.12)
    both(desk.at(over_s), 7_600, 10_000)
    assert desk.value(name, PORTFOLIO) == 0.0


def test_transfers_of_before_are_no_news() -> None:
    """A history told at the start, and the same transfer told again, shift nothing."""
    desk = two_accounts()
    desk.tell(
        e.TransfersReported(
            venue=HL,
            channel=f"{HL}/ledger/main",
            account="main",
            history=True,
            transfers=(
                e.TransferReport(
                    transfer_id="old",
                    amount_usd=Decimal(9_000),
                    time_ns=desk.ns(-3_600),
                    kind="deposit",  # type: ignore[arg-type]  # the enum's value
                ),
            ),
        ),
    )
    assert both(desk.at(300), 10_000, 10_000) == 0.0
    transfer(desk, "new", 1_000, own=False)
    transfer(desk, "new", 1_000, own=False)
    assert both(desk.at(600), 11_000, 10_000) == 0.0
    assert both(desk.at(601), 10_500, 10_000) == pytest.approx(500 / 21_000)


def test_drawdown_is_estimated_while_an_account_is_dark() -> None:
    """Of what was last stated; the peak outlives the darkness."""
    desk = two_accounts()
    desk.at(60)
    assert desk.after("drawdown_ratio", PORTFOLIO) == 0.0
    found = desk.engine.reading("drawdown_ratio", PORTFOLIO)
    assert found is not None
    assert found.estimated
    assert both(desk.at(61), 8_000, 10_000) == pytest.approx(0.1)


def test_rebaseline_by_a_person() -> None:
    """The peak starts anew where they say."""
    desk = two_accounts()
    assert both(desk.at(1), 8_000, 10_000) == pytest.approx(0.1)
    desk.tell(
        e.OperatorCommanded(
            principal="ops", verb="rebaseline", arguments=(("subject", "portfolio"),), reason="cut"
        ),
    )
    assert both(desk.at(2), 8_000, 10_000) == 0.0
    assert desk.value("drawdown_ratio", MAIN) == pytest.approx(0.2)


def test_venues_without_accounts_hold_nothing() -> None:
    """A venue watched for its market data alone adds zero, it is not unknown."""
    desk = Desk((HL, "main"), settings=EngineSettings(accounts=((HL, "main"),), venues=(DYDX, HL)))
    desk.positions().money(100)
    assert desk.after("equity_usd", venue_subject(DYDX)) == 0.0
    assert desk.value("equity_usd", PORTFOLIO) == 100.0
    assert desk.value("leverage", PORTFOLIO) == 0.0


def test_reading_what_does_not_exist() -> None:
    """Neither subject nor measure: absent with a reason, no exception."""
    desk = hl_desk()
    assert desk.value("equity_usd", BTC) is None
    assert "does not exist" in desk.why("equity_usd", BTC)
    assert "nothing is known" in desk.why("equity_usd", account_subject(HL, "nobody"))
    assert desk.value("_holdings", MAIN) is None
