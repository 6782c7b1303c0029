"""Recorded payloads of dYdX v4, read from ../shared/data: all decode, a selection exactly."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from monitor.core.events import (
    AccountDiscovered,
    AccountModeSeen,
    AccountReported,
    BookTopSeen,
    CandleSeen,
    ChainTimeSeen,
    ChannelLost,
    ChannelOpened,
    ChannelProgressed,
    ClockSkewSeen,
    DepthSeen,
    Event,
    FillReport,
    FillsReported,
    FundingSettled,
    LastTradeSeen,
    MarginTier,
    MarketContextSeen,
    MarketListed,
    OraclePricesSeen,
    OrderReport,
    OrdersReported,
    PositionReport,
    PositionsReported,
    TransferReport,
    TransfersReported,
)
from monitor.core.types import (
    AccountMode,
    FillKind,
    MarketStatus,
    Side,
    TransferKind,
)
from monitor.venues.dydx.decode import decode_recording
from tests.shared_data import SHARED, shared_data

FOLDER = "venues/dydx"
# Envelopes and readings that change nothing in the risk state, by name and reason.
EMPTY = {
    "connected.json",  # the driver says that a socket is open
    "unsubscribed.json",  # only ever our own wish
    # Withdrawal gates: checked, but no fact of this version carries them.
    "V4WithdrawalSafetyChecksMock.withdrawal_and_transfer_gating_status_data.json",
    "V4WithdrawalSafetyChecksMock.withdrawal_capacity_by_denom_data_daily_less_than_weekly.json",
}
RECORDED = sorted(
    str(path.relative_to(SHARED / FOLDER)) for path in (SHARED / FOLDER).rglob("*.json")
)
NOON_2025 = 1_765_210_316_000_000_000  # 2025-12-08T16:11:56Z


def recorded(name: str) -> bytes:
    """The bytes of one recorded file, by its path under the venue's folder."""
    return shared_data(f"{FOLDER}/{name}").read_bytes()


def decoded(name: str, now: int = NOON_2025) -> tuple[Event, ...]:
    """Its events."""
    return decode_recording(recorded(name), now=now)


def test_recordings_are_there() -> None:
    """The list below is not silently empty."""
    shared_data(FOLDER)
    assert len(RECORDED) >= 50


@pytest.mark.parametrize("name", RECORDED)
def test_every_recording_decodes(name: str) -> None:
    """No recorded frame or body is refused, and only the listed ones say nothing."""
    events = decoded(name)
    assert bool(events) == (Path(name).name not in EMPTY)


PARENT_CHANNEL = "dydx/v4_parent_subaccounts/dydx155v-6wvp5"


def standard(channel: str, account: str) -> AccountModeSeen:
    """What is said once of every pool."""
    return AccountModeSeen(
        venue="dydx", channel=channel, account=account, mode=AccountMode.STANDARD
    )


def child(channel: str, parent: str, number: int) -> tuple[Event, Event]:
    """What is said once of a child that was never heard of before."""
    name = f"{parent}.{number}"
    found = AccountDiscovered(
        venue="dydx", channel=channel, account=name, parent=parent, kind="child"
    )
    return found, standard(channel, name)


def ldo(size: int) -> PositionsReported:
    """The position of the recorded split event."""
    return PositionsReported(
        venue="dydx",
        channel=PARENT_CHANNEL,
        account="dydx155v-6wvp5.128",
        source="stream",
        complete=False,
        positions=(PositionReport(market="LDO-USD", size=Decimal(size)),),
    )


EXACT: list[tuple[str, tuple[Event, ...]]] = [
    (
        "recorded-nautilus/ws/v4_markets_oracle_price.json",
        (
            OraclePricesSeen(
                venue="dydx",
                channel="dydx/v4_markets/oracle",
                venue_time_ns=1_723_917_025_837_000_000,
                prices=(("FTM-USD", 0.3866273177),),
            ),
        ),
    ),
    (
        "recorded-nautilus/ws/v4_markets_channel_data_v8.json",
        (
            MarketListed(
                venue="dydx",
                channel="dydx/v4_markets",
                market="TRY-USD",
                asset="TRY",
                status=MarketStatus.ACTIVE,
                has_mark=False,
                funding_interval_s=3600,
                margin_tiers=(MarginTier(0.0, 0.01, 0.005),),
                only_isolated=True,
                size_step=Decimal(100),
                price_tick=Decimal("0.00001"),
                max_leverage=100.0,
                open_interest_lower_cap_usd=500_000.0,
                open_interest_upper_cap_usd=1_000_000.0,
            ),
            MarketContextSeen(
                venue="dydx",
                channel="dydx/v4_markets",
                market="TRY-USD",
                predicted_funding_rate_hourly=0.0,
                native_funding_rate=0.0,
                native_funding_interval_s=3600,
                open_interest_base=1_257_800.0,  # and not the frozen 408800
                volume_24h_usd=0.0,
                next_funding_time_ns=1_765_213_200_000_000_000,
            ),
        ),
    ),
    (
        "recorded-abacus/MarketsChannelMock.v4_next_funding_rate_update.json",
        tuple(
            MarketContextSeen(
                venue="dydx",
                channel="dydx/v4_markets",
                market=market,
                predicted_funding_rate_hourly=rate,
                native_funding_rate=rate,
                native_funding_interval_s=3600,
                next_funding_time_ns=1_765_213_200_000_000_000,
            )
            for market, rate in (("BTC-USD", -0.0085756875), ("ETH-USD", -0.0084455625))
        ),
    ),
    (
        "recorded-nautilus/ws/v4_block_height_subscribed.json",
        (
            ChannelOpened(
                venue="dydx",
                channel="dydx/v4_block_height",
                feed="v4_block_height",
                cadence_s=1.0,
            ),
            ChainTimeSeen(
                venue="dydx",
                channel="dydx/v4_block_height",
                venue_time_ns=1_733_165_131_771_000_000,
                source="stream",
                time_ns=1_733_165_131_771_000_000,
                height=26_543_048,
            ),
        ),
    ),
    (
        "recorded-nautilus/ws/v4_block_height_channel_data.json",
        (
            ChainTimeSeen(
                venue="dydx",
                channel="dydx/v4_block_height",
                venue_time_ns=1_733_165_133_548_000_000,
                source="stream",
                time_ns=1_733_165_133_548_000_000,
                height=26_543_049,
            ),
        ),
    ),
    (
        "recorded-abacus/HeightMock.validatorHeight.json",
        (
            ChainTimeSeen(
                venue="dydx",
                channel="dydx/rest.block/unknown",
                venue_time_ns=1_674_869_073_529_305_833,
                source="validator",
                time_ns=1_674_869_073_529_305_833,
                height=16_753,
            ),
        ),
    ),
    (
        "recorded-nautilus-2025-12/http_get_block_height.json",
        (
            ChainTimeSeen(
                venue="dydx",
                channel="dydx/rest.height/unknown",
                venue_time_ns=1_765_210_319_450_000_000,
                source="indexer",
                time_ns=1_765_210_319_450_000_000,
                height=66_624_132,
            ),
        ),
    ),
    (
        "recorded-nautilus-2025-12/http_get_time.json",
        (
            ClockSkewSeen(
                venue="dydx",
                channel="dydx/rest.time/unknown",
                venue_time_ns=1_765_210_316_125_000_000,
                skew_s=0.125,
            ),
        ),
    ),
    (
        "recorded-nautilus-2025-12/http_get_historical_funding.json",
        tuple(
            FundingSettled(
                venue="dydx",
                channel="dydx/rest.historicalFunding/unknown",
                market="BTC-USD",
                funding_rate_hourly=rate,
                native_funding_rate=rate,
                native_funding_interval_s=3600,
                settled_at_ns=at_ns,
                oracle_price=price,
            )
            for rate, at_ns, price in (
                (0.000000625, 1_765_202_400_112_000_000, 91459.59191),
                (0.000000375, 1_765_206_000_586_000_000, 90860.48604),
                (0.000002375, 1_765_209_600_219_000_000, 89993.8),
            )
        ),
    ),
    (
        "recorded-nautilus-2025-12/http_get_orderbook.json",
        (
            BookTopSeen(
                venue="dydx",
                channel="dydx/rest.orderbook/unknown",
                market="unknown",
                bid_price=89947.0,
                bid_size=0.0002,
                ask_price=89958.0,
                ask_size=0.1177,
            ),
            DepthSeen(
                venue="dydx",
                channel="dydx/rest.orderbook/unknown",
                market="unknown",
                band_ratio=0.0025,
                bid_depth_usd=15047.7981,
                ask_depth_usd=71707.84879999999,
            ),
        ),
    ),
    (
        "recorded-nautilus/ws/v4_orderbook.json",
        # One level is removed from a book that this recording does not hold: only a sign of life.
        (ChannelProgressed(venue="dydx", channel="dydx/v4_orderbook/BTC-USD"),),
    ),
    (
        "recorded-nautilus/ws/v4_trades.json",
        (
            LastTradeSeen(
                venue="dydx",
                channel="dydx/v4_trades/ETH-USD",
                venue_time_ns=1_721_848_355_705_000_000,
                market="ETH-USD",
                last_price=3392.9,
                size=1.738,
                side=Side.BUY,
            ),
        ),
    ),
    (
        "recorded-nautilus/ws/v4_candles_channel_data.json",
        (
            CandleSeen(
                venue="dydx",
                channel="dydx/v4_candles/ETH-USD/1MIN",
                market="ETH-USD",
                started_at_ns=1_722_016_440_000_000_000,
                interval_s=60,
                open=3246.5,
                high=3247.6,
                low=3246.5,
                close=3247.6,
                volume_base=6.364,
            ),
        ),
    ),
    (
        "recorded-nautilus/ws/error.json",
        (
            ChannelLost(
                venue="dydx",
                channel="dydx/v4_orderbook/",
                reason="Internal error, could not fetch data for subscription: v4_orderbook.",
            ),
        ),
    ),
    (
        "recorded-abacus/AccountsChannelMock.v4_position_closed.json",
        (
            standard("dydx/v4_subaccounts/dydx14zz-k6art", "dydx14zz-k6art"),
            PositionsReported(
                venue="dydx",
                channel="dydx/v4_subaccounts/dydx14zz-k6art",
                account="dydx14zz-k6art",
                source="stream",
                complete=False,
                positions=(PositionReport(market="ETH-USD", size=Decimal(0)),),
            ),
        ),
    ),
    (
        "recorded-abacus/TransfersMock.channel_data.json",
        (
            standard("dydx/v4_subaccounts/dydx1sxd-wskhg", "dydx1sxd-wskhg"),
            TransfersReported(
                venue="dydx",
                channel="dydx/v4_subaccounts/dydx1sxd-wskhg",
                account="dydx1sxd-wskhg",
                history=False,
                transfers=(
                    TransferReport(
                        transfer_id=(
                            "A9758D092415E36F4E0D80D323BC4EE472644548392489309333CA55E963431B"
                            ":out:dydx1pnv…2gsat:120"
                        ),
                        amount_usd=Decimal(-120),
                        time_ns=1_694_532_856_427_000_000,
                        kind=TransferKind.WITHDRAWAL,
                        counterparty="dydx1pnv…2gsat",
                    ),
                ),
            ),
        ),
    ),
    (
        "recorded-abacus/V4ParentSubaccountsMock.channel_batch_data_empty_childsubaccount.json",
        (
            *child(PARENT_CHANNEL, "dydx155v-6wvp5", 384),
            AccountReported(
                venue="dydx",
                channel=PARENT_CHANNEL,
                account="dydx155v-6wvp5.384",
                source="stream",
                cash_usd=Decimal("19.6"),
                height=15_494_678,
            ),
        ),
    ),
    (
        # The split event: size 17 first comes with entryPrice 0 and a profit of its whole
        # notional. Nothing but the size may be believed.
        "recorded-abacus/ParentSubaccountsChannelMock.real_channel_batch_data.json",
        (
            *child(PARENT_CHANNEL, "dydx155v-6wvp5", 128),
            ldo(17),
            AccountReported(
                venue="dydx",
                channel=PARENT_CHANNEL,
                account="dydx155v-6wvp5.128",
                source="stream",
                cash_usd=Decimal("367.891057"),
            ),
            ldo(17),
            OrdersReported(
                venue="dydx",
                channel=PARENT_CHANNEL,
                account="dydx155v-6wvp5.128",
                source="stream",
                complete=False,
                orders=(
                    OrderReport(
                        order_id="3a098370-6fa9-5791-b921-fdf4174978c9",
                        market="LDO-USD",
                        side=Side.BUY,
                        size=Decimal(0),
                        limit_price=Decimal("1.7"),
                        client_id="326692184",
                        open=False,
                        status="FILLED",
                    ),
                ),
            ),
            FillsReported(
                venue="dydx",
                channel=PARENT_CHANNEL,
                account="dydx155v-6wvp5.128",
                history=False,
                fills=(
                    FillReport(
                        fill_id="9051d9e5-b9b9-5431-9f8c-dd96e86760cf",
                        market="LDO-USD",
                        size=Decimal(11),
                        price=Decimal("1.7"),
                        time_ns=1_715_709_827_615_000_000,
                        kind=FillKind.TRADE,
                        fee_usd=Decimal("-0.002057"),
                        order_id="3a098370-6fa9-5791-b921-fdf4174978c9",
                    ),
                ),
            ),
        ),
    ),
    (
        "recorded-nautilus/ws/v4_accounts_channel_data_order_best_effort_canceled.json",
        (
            standard("dydx/v4_subaccounts/dydx1kzs-5hkm5", "dydx1kzs-5hkm5"),
            OrdersReported(
                venue="dydx",
                channel="dydx/v4_subaccounts/dydx1kzs-5hkm5",
                account="dydx1kzs-5hkm5",
                source="stream",
                complete=False,
                orders=(
                    OrderReport(
                        order_id="1a28b05a-eb97-5945-a786-12ba7320eb30",
                        market="ETH-USD",
                        side=Side.SELL,
                        size=Decimal(0),
                        limit_price=Decimal("2519.4"),
                        reduce_only=True,
                        client_id="1560051747",
                        open=True,  # one node's opinion, not final
                        status="BEST_EFFORT_CANCELED",
                    ),
                ),
                height=18_847_075,
            ),
        ),
    ),
    (
        "recorded-nautilus/http/asset_positions.json",
        (
            AccountReported(
                venue="dydx",
                channel="dydx/rest.assetPositions/unknown",
                account="unknown",
                source="truth",
                cash_usd=Decimal("90.461932"),
            ),
        ),
    ),
    (
        "recorded-nautilus/http/v4_fills.json",
        (
            FillsReported(
                venue="dydx",
                channel="dydx/rest.fills/unknown",
                account="unknown",
                history=True,
                fills=(
                    FillReport(
                        fill_id="ac2df5fb-b135-5bd6-bb5a-62487d9f67d3",
                        market="ETH-USD",
                        size=Decimal("-0.002"),
                        price=Decimal("2477.6"),
                        time_ns=1_728_745_756_874_000_000,
                        fee_usd=Decimal("0.000496"),
                        order_id="bdfa3018-6054-5a11-b4af-8873a0b3f801",
                    ),
                ),
            ),
        ),
    ),
]


@pytest.mark.parametrize(("name", "events"), EXACT, ids=[name for name, _ in EXACT])
def test_selected_recordings_decode_exactly(name: str, events: tuple[Event, ...]) -> None:
    """The events of each, in order and to the last field."""
    assert decoded(name) == events


def test_recorded_market_has_no_mark_and_hourly_funding() -> None:
    """SOL-USD of 2025-12: the oracle margins, caps are USD, the rate is per hour as told."""
    events = decoded("recorded-nautilus-2025-12/http_get_perpetual_markets.json")
    listed = [e for e in events if isinstance(e, MarketListed) and e.market == "SOL-USD"]
    context = [e for e in events if isinstance(e, MarketContextSeen) and e.market == "SOL-USD"]
    assert listed == [
        MarketListed(
            venue="dydx",
            channel="dydx/v4_markets",
            market="SOL-USD",
            asset="SOL",
            status=MarketStatus.ACTIVE,
            has_mark=False,
            funding_interval_s=3600,
            margin_tiers=(MarginTier(0.0, 0.05, 0.03),),
            size_step=Decimal("0.1"),
            price_tick=Decimal("0.01"),
            max_leverage=20.0,
            open_interest_lower_cap_usd=40e6,
            open_interest_upper_cap_usd=100e6,
        )
    ]
    assert context == [
        MarketContextSeen(
            venue="dydx",
            channel="dydx/v4_markets",
            market="SOL-USD",
            predicted_funding_rate_hourly=-0.00000143181818181818,
            native_funding_rate=-0.00000143181818181818,
            native_funding_interval_s=3600,
            open_interest_base=41917.9,
            volume_24h_usd=54043106.256,
            next_funding_time_ns=1_765_213_200_000_000_000,
        )
    ]
    (told,) = [e for e in events if isinstance(e, OraclePricesSeen)]
    assert told.channel == "dydx/v4_markets/oracle"
    assert dict(told.prices)["SOL-USD"] == 135.3


def test_a_cap_of_zero_means_no_scaling() -> None:
    """BTC's upper cap "0" is no cap, not a cap of nothing."""
    events = decoded("recorded-nautilus-2025-12/http_get_perpetual_markets.json")
    btc = next(e for e in events if isinstance(e, MarketListed) and e.market == "BTC-USD")
    assert (btc.open_interest_lower_cap_usd, btc.open_interest_upper_cap_usd) == (None, None)


def test_recorded_snapshot_knows_isolated_and_settling_markets() -> None:
    """98 markets of 2024, two of them in final settlement."""
    listed = [
        event
        for event in decoded("recorded-nautilus/ws/v4_markets_subscribed.json")
        if isinstance(event, MarketListed)
    ]
    settling = [e.market for e in listed if e.status is MarketStatus.FINAL_SETTLEMENT]
    assert len(listed) == 98
    assert len(settling) == 2
    assert any(event.only_isolated for event in listed)
    assert not any(event.has_mark for event in listed)


# ------------------------------------------------------------------------------------ equity

SNAPSHOTS = [
    "recorded-nautilus/ws/v4_accounts_balance.json",
    "recorded-nautilus/ws/v4_accounts_subscribed.json",
    "recorded-nautilus/http/subaccount.json",
    "recorded-nautilus-2025-12/http_get_subaccount.json",
    "recorded-abacus/ParentSubaccountsChannelMock.real_subscribed.json",
    "recorded-abacus/ParentSubaccountsChannelMock.real_subscribe_with_isolated_position.json",
]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_equity_of_every_recorded_snapshot_to_the_cent(name: str) -> None:
    """Signed cash plus signed size times oracle is what the venue states, for every pool."""
    events = decoded(name)
    money = [event for event in events if isinstance(event, AccountReported)]
    positions = {e.account: e.positions for e in events if isinstance(e, PositionsReported)}
    assert money
    for report in money:
        assert report.cash_usd is not None
        assert report.equity_usd is not None
        computed = report.cash_usd
        for position in positions[report.account]:
            # The snapshot holds no oracle price, but it follows from its own profit.
            assert position.entry_price is not None
            assert position.unrealized_pnl_usd is not None
            oracle = position.entry_price + position.unrealized_pnl_usd / position.size
            computed += position.size * oracle
        assert abs(computed - report.equity_usd) < Decimal("0.000001")


def test_a_short_dollar_balance_is_negative_cash() -> None:
    """USDC SHORT 5742.811799 is a debt: the vector of the venue sheet, §4."""
    events = decoded("recorded-nautilus/ws/v4_accounts_balance.json")
    report = next(event for event in events if isinstance(event, AccountReported))
    assert report.cash_usd == Decimal("-5742.811799")
    assert report.equity_usd == Decimal("326.241869692")
    assert report.free_collateral_usd == Decimal("20.9475641534")
    sizes = {p.market: p.size for e in events if isinstance(e, PositionsReported)
             for p in e.positions}  # fmt: skip
    assert sizes == {"ETH-USD": Decimal("-0.007"), "BTC-USD": Decimal("0.1036")}


def test_best_effort_cancels_of_long_ago_are_gone() -> None:
    """The snapshot lists cancels whose good-til-block passed millions of blocks ago."""
    events = decoded("recorded-nautilus/ws/v4_accounts_balance.json")
    orders = next(event for event in events if isinstance(event, OrdersReported))
    assert orders.complete
    assert orders.orders == ()


def test_no_full_address_reaches_an_event() -> None:
    """Events are logged and served; addresses are shortened before."""
    for name in RECORDED:
        assert not re.search("dydx1[a-z0-9]{10}", repr(decoded(name)))
