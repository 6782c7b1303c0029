"""Recorded frames and bodies from third parties: all decode, a selection to exact events."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from monitor.core.errors import DecodeError
from monitor.core.events import (
    AccountReported,
    BookTopSeen,
    ChannelOpened,
    DepthSeen,
    FillReport,
    FillsReported,
    FundingPaid,
    FundingPayment,
    FundingSettled,
    LastTradeSeen,
    MarketContextSeen,
    MarketListed,
    OrderReport,
    OrdersReported,
    PositionReport,
    PositionsReported,
    RequestBudgetSeen,
    TransfersReported,
)
from monitor.core.types import FillKind, MarginMode, Side, TransferKind
from monitor.venues.hyperliquid.decode import decode_body, decode_recording
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.markets import compute_premium_ratio
from tests.shared_data import shared_data
from tests.venues.hyperliquid.helpers import of_type

FOLDER = "venues/hyperliquid"
SAY_NOTHING = {
    "info_extra_agents.json",
    "info_portfolio.json",
    "info_user_role.json",
}  # checked against their shape; no fact the risk state has a place for


def recorded(name: str) -> bytes:
    """One recorded file."""
    return shared_data(f"{FOLDER}/{name}").read_bytes()


def recordings() -> list[Path]:
    """Every recorded file; the signing vectors are generated, not received."""
    folder = shared_data(FOLDER)
    return sorted(path for path in folder.glob("*.json") if path.name != "signing_vectors.json")


def test_every_recording_decodes() -> None:
    """All recorded files, whatever their age and wrapper, without naming an endpoint."""
    files = recordings()
    assert len(files) == 28
    for path in files:
        events = decode_recording(path.read_bytes())
        assert bool(events) is (path.name not in SAY_NOTHING), path.name


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        pytest.param("jkorf_info_clearinghouseState_isolated.json", "clearinghouseState"),
        pytest.param("jkorf_info_userFunding.json", "userFunding"),
        pytest.param("nautilus_http_l2_book_btc.json", "l2Book"),
        pytest.param("nautilus_http_meta_perp_sample.json", "meta"),
    ],
)
def test_naming_the_endpoint_of_a_bare_body_changes_nothing(name: str, endpoint: str) -> None:
    """What the keys tell is what the operator would have named."""
    assert decode_recording(recorded(name), endpoint) == decode_recording(recorded(name))


class Impacted(wire.Context):
    """A context with what the venue makes its premium from, which riskd does not read."""

    impact_pxs: tuple[float, float] | None = None


class Impacts(msgspec.Struct):
    """``allDexsAssetCtxs`` likewise."""

    ctxs: list[tuple[str, list[Impacted]]]


def test_premium_of_every_context_is_reproduced() -> None:
    """179 of 179 first-dex contexts that state a premium."""
    document = msgspec.json.decode(recorded("nautilus_ws_all_dexs_asset_ctxs.json"))
    frame = msgspec.convert(document["data"], Impacts, strict=False)
    contexts = dict(frame.ctxs)[""]
    assert len(contexts) == 230
    assert sum(context.mid_px is None for context in contexts) == 51
    compared = 0
    for context in contexts:
        if context.premium is None or context.impact_pxs is None:
            continue
        premium = compute_premium_ratio(*context.impact_pxs, context.oracle_px)
        assert premium is not None
        assert premium == pytest.approx(context.premium, abs=6e-11)
        compared += 1
    assert compared == 179


def test_premium_of_builder_dexes_uses_the_mean_impact_price() -> None:
    """HIP-3 contexts follow the other formula, on every recorded dex."""
    document = msgspec.json.decode(recorded("nautilus_ws_all_dexs_asset_ctxs.json"))
    frame = msgspec.convert(document["data"], Impacts, strict=False)
    agreed = compared = 0
    for dex, contexts in frame.ctxs:
        for context in contexts:
            if not dex or context.premium is None or context.impact_pxs is None:
                continue
            premium = compute_premium_ratio(
                *context.impact_pxs, context.oracle_px, builder_dex=True
            )
            compared += 1
            agreed += premium == pytest.approx(context.premium, abs=6e-11)
    assert compared > 0
    assert agreed == compared


def test_contexts_without_meta_are_named_by_position() -> None:
    """First dex ``#i``, builder dexes ``dex:#i``; a delisted market keeps its place and nulls."""
    events = of_type(
        decode_recording(recorded("nautilus_ws_all_dexs_asset_ctxs.json")), MarketContextSeen
    )
    assert len(events) == 412
    assert events[0] == MarketContextSeen(
        venue="hyperliquid",
        channel="hyperliquid/allDexsAssetCtxs",
        market="#0",
        mark_price=77562.0,
        oracle_price=77605.0,
        mid_price=77558.5,
        predicted_funding_rate_hourly=-0.0000015186,
        native_funding_rate=-0.0000015186,
        native_funding_interval_s=3600,
        premium_ratio=-0.0005927453,
        open_interest_base=27353.17682,
        volume_24h_usd=1516669192.1953897476,
        complete=True,
    )
    assert events[3].market == "#3"
    assert (events[3].mid_price, events[3].premium_ratio) == (None, None)
    assert events[230].market == "abcd:#0"


def test_isolated_position_to_the_last_digit() -> None:
    """The recorded isolated position, whose margin and liquidation price are reproducible."""
    positions, money = decode_recording(recorded("jkorf_info_clearinghouseState_isolated.json"))
    assert isinstance(positions, PositionsReported)
    assert positions == PositionsReported(
        venue="hyperliquid",
        channel="hyperliquid/rest.clearinghouseState",
        venue_time_ns=1754467216357_000_000,
        account="account",
        source="truth",
        complete=True,
        positions=(
            PositionReport(
                market="HYPE",
                size=Decimal("2.0"),
                margin_mode=MarginMode.ISOLATED,
                entry_price=Decimal("37.829"),
                leverage=10.0,
                liquidation_price=35.8559189474,
                unrealized_pnl_usd=Decimal("-0.006"),
                margin_used_usd=Decimal("7.525754"),
                isolated_cash_usd=Decimal("-68.126246"),
                mark_price=37.826,
                funding_since_open_usd=Decimal("0.0"),
            ),
        ),
    )
    position = positions.positions[0]
    rate = 1.0 / (2 * 10)
    assert position.isolated_cash_usd is not None
    price = -float(position.isolated_cash_usd) / (float(position.size) * (1.0 - rate))
    assert price == pytest.approx(35.8559189474, abs=5e-11)
    assert money == AccountReported(
        venue="hyperliquid",
        channel="hyperliquid/rest.clearinghouseState",
        venue_time_ns=1754467216357_000_000,
        account="account",
        source="truth",
        equity_usd=Decimal("83.307638"),
        cash_usd=Decimal("7.655638"),
        free_collateral_usd=Decimal("75.781884"),
        initial_margin_usd=Decimal("7.525754"),
        maintenance_margin_usd=Decimal("3.7826"),  # 75.652 at 1 / (2 x 10), cross part 0
        withdrawable_usd=Decimal("75.781884"),
        complete=True,
    )


def test_state_of_2023_lacks_what_it_did_not_say() -> None:
    """Old shape: no time, no maintenance, no funding; a null liquidation price stays absent."""
    positions, money = decode_recording(recorded("info_get_user_state.json"))
    assert isinstance(positions, PositionsReported)
    assert isinstance(money, AccountReported)
    assert positions.venue_time_ns is None
    assert positions.positions[0].size == Decimal("-0.00785")
    assert positions.positions[0].liquidation_price == 173198.69592357
    assert positions.positions[1].liquidation_price is None
    assert positions.positions[1].funding_since_open_usd is None
    assert money.equity_usd == Decimal("1182.312496")
    assert money.maintenance_margin_usd is None


def test_reduced_state_has_no_equity() -> None:
    """Only the cross summary is there: what the whole account is worth was not said."""
    _, money = decode_recording(
        recorded("nautilus_http_clearinghouse_state_negative_total_raw_usd.json")
    )
    assert money == AccountReported(
        venue="hyperliquid",
        channel="hyperliquid/rest.clearinghouseState",
        venue_time_ns=1700000000000_000_000,
        account="account",
        source="truth",
        free_collateral_usd=Decimal("772.232111"),
        withdrawable_usd=Decimal("772.232111"),
        complete=True,
    )


def test_meta_of_2023_has_one_tier_each() -> None:
    """28 markets, 50x, no margin tables; kPEPE stays an asset of its own."""
    events = of_type(decode_recording(recorded("info_get_info.json")), MarketListed)
    assert len(events) == 28
    pepe = next(event for event in events if event.market == "kPEPE")
    assert pepe.asset == "kPEPE"
    assert pepe.size_step == Decimal(1)
    assert [tier.maintenance_margin_rate for tier in pepe.margin_tiers] == [0.01]
    assert pepe.funding_interval_s == 3600


def test_funding_of_the_eight_hourly_era_becomes_hourly() -> None:
    """May 2023: a rate of -0.00061334 was for eight hours."""
    events = of_type(
        decode_recording(recorded("info_get_funding_history_1684811870000.json")), FundingSettled
    )
    assert len(events) == 34
    assert events[0].native_funding_rate == -0.00061334
    assert events[0].native_funding_interval_s == 28800
    assert events[0].funding_rate_hourly == pytest.approx(-0.00061334 / 8)
    assert events[0].settled_at_ns == 1683849600048_000_000
    assert [event.settled_at_ns for event in events] == sorted(e.settled_at_ns for e in events)


def test_own_liquidation_and_anothers() -> None:
    """The same fills read as the liquidated address, and as somebody else."""
    document = msgspec.json.decode(recorded("ccxt_user_fills_with_liquidation.json"))
    body = msgspec.json.encode(document["fills"])
    victim = "0x193bd350ec838b1e22d6f302da5343b920aa1c2b"
    own = of_type(decode_body("userFills", {"user": victim}, body, alias="main"), FillsReported)
    kinds = {(event.account, fill.market): fill.kind for event in own for fill in event.fills}
    assert kinds[("main", "HYPE")] is FillKind.TRADE
    assert kinds[("main.flx", "flx:CRCL")] is FillKind.LIQUIDATION
    hype = next(event for event in own if event.account == "main")
    assert hype.fills[0] == FillReport(
        fill_id="345752513742025:298509207410:1768931202995:"
        "0xc0de326d5c05d659c2570433b86b0f02040d0052f708f52b64a6ddc01b09b044",
        market="HYPE",
        size=Decimal("-5.2"),
        price=Decimal("21.147"),
        time_ns=1768931202995_000_000,
        kind=FillKind.LIQUIDATION,
        fee_usd=Decimal("0.047504"),
        realized_pnl_usd=Decimal("-46.0356"),
        order_id="298509207410",
    )
    assert [fill.time_ns for fill in hype.fills] == sorted(f.time_ns for f in hype.fills)
    stranger = decode_body("userFills", {"user": "0x" + "11" * 20}, body)
    assert all(
        fill.kind is FillKind.TRADE
        for event in of_type(stranger, FillsReported)
        for fill in event.fills
    )


def test_fee_in_another_token_is_not_usd() -> None:
    """A USDH fee is not a USDC fee; it stays absent."""
    events = of_type(
        decode_recording(recorded("ccxt_user_fills_with_liquidation.json")), FillsReported
    )
    fees = {fill.market: fill.fee_usd for event in events for fill in event.fills}
    assert fees["flx:CRCL"] is None
    assert fees["HYPE"] == Decimal("0.012896")


def test_funding_payments() -> None:
    """2025 hourly, and 2023 eight-hourly; negative is paid."""
    (event,) = decode_recording(recorded("jkorf_info_userFunding.json"))
    assert event == FundingPaid(
        venue="hyperliquid",
        channel="hyperliquid/rest.userFunding",
        account="account",
        history=True,
        payments=(
            FundingPayment(
                market="HYPE",
                amount_usd=Decimal("-0.044263"),
                time_ns=1750172400033_000_000,
                funding_rate_hourly=0.0000369155,
                size=Decimal("30.0"),
            ),
        ),
    )
    (old,) = decode_recording(recorded("info_user_funding_history_with_end_time.json"))
    assert isinstance(old, FundingPaid)
    assert old.payments[1].amount_usd == Decimal("2.694388")
    assert old.payments[1].funding_rate_hourly == pytest.approx(0.0000125)


def test_ledger_flows_of_a_standard_account() -> None:
    """Deposits and moves to spot are flows; a spot transfer is not the perp side's business."""
    (event,) = decode_recording(
        recorded("info_user_non_funding_ledger_updates_without_end_time.json")
    )
    assert isinstance(event, TransfersReported)
    assert [(flow.kind, flow.amount_usd) for flow in event.transfers] == [
        (TransferKind.DEPOSIT, Decimal("2703997.4500000002")),
        (TransferKind.INTERNAL, Decimal("-12.0")),
        (TransferKind.INTERNAL, Decimal("-2684105.0099999998")),
        (TransferKind.DEPOSIT, Decimal("1099994.98")),
    ]


def test_orders_with_their_stops() -> None:
    """Two protective stops and the limit order; children count once, at the top level."""
    (event,) = decode_recording(recorded("info_get_frontend_open_orders.json"))
    assert isinstance(event, OrdersReported)
    assert event.orders == (
        OrderReport(
            order_id="3184595907",
            market="INJ",
            side=Side.SELL,
            size=Decimal("12.5"),
            limit_price=Decimal("9.2037"),
            trigger_price=Decimal("10.004"),
            reduce_only=True,
            status="open",
        ),
        OrderReport(
            order_id="3184595906",
            market="INJ",
            side=Side.SELL,
            size=Decimal("12.5"),
            limit_price=Decimal("9.1954"),
            trigger_price=Decimal("9.995"),
            reduce_only=True,
            status="open",
        ),
        OrderReport(
            order_id="3184595905",
            market="INJ",
            side=Side.BUY,
            size=Decimal("12.5"),
            limit_price=Decimal("10.0"),
            status="open",
        ),
    )


def test_historical_orders_are_all_gone() -> None:
    """``iocCancelRejected`` and ``canceled`` are terminal."""
    (event,) = decode_recording(recorded("info_historical_orders.json"))
    assert isinstance(event, OrdersReported)
    assert not event.complete
    assert [order.open for order in event.orders] == [False] * 5


def test_open_orders_of_2023() -> None:
    """196 orders without any flags."""
    (event,) = decode_recording(recorded("info_get_open_orders.json"))
    assert isinstance(event, OrdersReported)
    assert len(event.orders) == 196
    assert event.orders[0].side is Side.BUY


@pytest.mark.parametrize(
    ("name", "bid_usd", "ask_usd"),
    [
        pytest.param("nautilus_http_l2_book_btc.json", None, None, id="five levels do not reach"),
        pytest.param("jkorf_ws_OrderBook.json", None, None, id="two levels do not reach"),
    ],
)
def test_depth_is_absent_where_the_book_ends_early(
    name: str,
    bid_usd: float | None,
    ask_usd: float | None,
) -> None:
    """A cut-off sum would look like a thin book."""
    (depth,) = of_type(decode_recording(recorded(name)), DepthSeen)
    assert (depth.bid_depth_usd, depth.ask_depth_usd) == (bid_usd, ask_usd)


def test_depth_of_a_book_that_reaches() -> None:
    """DYDX, July 2023: levels within 25 bp of mid 2.1117, summed by hand."""
    events = decode_recording(recorded("info_get_l2_snapshot.json"))
    (top,) = of_type(events, BookTopSeen)
    (depth,) = of_type(events, DepthSeen)
    assert top.bid_price is not None
    assert top.ask_price is not None
    assert (top.bid_price, top.ask_price) == (2.111, 2.1124)
    bids = [(2.111, 134.4), (2.1105, 141.1), (2.1104, 125.8), (2.1081, 1379.2), (2.1075, 1417.0)]
    low = (top.bid_price + top.ask_price) / 2 * (1 - 0.0025)
    assert low > 2.1052  # the sixth level lies outside
    within = [price * size for price, size in bids if price >= low]
    assert depth.bid_depth_usd == pytest.approx(sum(within))


def test_socket_recordings() -> None:
    """Acknowledgement, then data, of what was recorded on sockets in 2025."""
    opened, top = decode_recording(recorded("jkorf_ws_BookTicker.json"))
    assert opened == ChannelOpened(
        venue="hyperliquid", channel="hyperliquid/bbo/HYPE", feed="bbo", cadence_s=None
    )
    assert top == BookTopSeen(
        venue="hyperliquid",
        channel="hyperliquid/bbo/HYPE",
        venue_time_ns=1766566375292_000_000,
        market="HYPE",
        bid_price=23.757,
        bid_size=42.09,
        ask_price=23.758,
        ask_size=100.26,
    )
    _, trade = decode_recording(recorded("jkorf_ws_Trades.json"))
    assert trade == LastTradeSeen(
        venue="hyperliquid",
        channel="hyperliquid/trades/HYPE",
        venue_time_ns=1764835613064_000_000,
        market="HYPE",
        last_price=35.276,
        size=5.78,
        side=Side.BUY,
    )
    _, mids = decode_recording(recorded("jkorf_ws_OrderBook.json"))[:2]
    assert isinstance(mids, BookTopSeen)
    spot = [
        event.market
        for event in of_type(
            decode_recording(recorded("nautilus_ws_allmids.json")), MarketContextSeen
        )
    ]
    assert spot == ["BTC", "ETH", "SOL"]  # not @142, not PURR/USDC


def test_rate_limit_without_surplus() -> None:
    """2025 payloads lack ``nRequestsSurplus``."""
    (event,) = decode_recording(recorded("info_user_rate_limit.json"))
    assert event == RequestBudgetSeen(
        venue="hyperliquid",
        channel="hyperliquid/rest.userRateLimit/0x31ca…974b",
        account="0x31ca…974b",
        used=36589831368,
        cap=170043731737,
    )


def test_no_full_address_leaves_the_decoder() -> None:
    """Nothing that looks like an address stands in any event of any recording."""
    for path in recordings():
        for event in decode_recording(path.read_bytes()):
            text = msgspec.json.encode(event).decode()
            found = [part for part in text.split('"') if part.startswith("0x") and len(part) == 42]
            assert not found, path.name


@pytest.mark.parametrize(
    ("data", "endpoint", "says"),
    [
        pytest.param(b'{"a":1}', None, "request.type", id="nothing tells the endpoint"),
        pytest.param(b"[]", "nope", "'nope'", id="unknown endpoint"),
        pytest.param(
            b'{"request":{"type":"meta"},"status":422,"response":"Failed to deserialize"}',
            None,
            "422",
            id="a recorded refusal",
        ),
        pytest.param(
            b'{"request":{"type":"meta"},"status":200,"response":{"universe":[{"name":1}]}}',
            None,
            "universe[0].name` (found 1)",
            id="a field of the wrong type",
        ),
        pytest.param(b'{"channel":"zzz","data":{}}', None, "'zzz'", id="unknown channel"),
        pytest.param(b"not json", None, "recording", id="no JSON"),
    ],
)
def test_unreadable_recordings_say_what_is_wrong(
    data: bytes,
    endpoint: str | None,
    says: str,
) -> None:
    """The message names the field and what was found there."""
    with pytest.raises(DecodeError) as caught:
        decode_recording(data, endpoint)
    assert says in str(caught.value)
    assert caught.value.sample in data
