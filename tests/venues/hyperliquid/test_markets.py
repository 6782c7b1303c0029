"""Universe, tiers, funding, book aggregation and depth: the arithmetic of markets."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from monitor.core.errors import DecodeError
from monitor.core.events import FrameRejected, MarketContextSeen, MarketListed
from monitor.core.types import SECOND_NS, MarketStatus
from monitor.venues.hyperliquid.decode import decode_body
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.market import MarketDecoder
from monitor.venues.hyperliquid.markets import (
    Aggregation,
    Markets,
    asset_of,
    book_tick,
    choose_aggregation,
    compute_depth_usd,
    compute_premium_ratio,
    dex_of,
    funding_interval_s,
    hourly_funding_rate,
    next_funding_time_ns,
)
from tests.venues.hyperliquid.helpers import META, NOW, context, encode, of_type

HOUR_NS = 3600 * SECOND_NS


def listed(meta: dict[str, object], dex: str = "") -> dict[str, MarketListed]:
    """What a meta lists, by market."""
    events = decode_body("meta", {"type": "meta", "dex": dex}, encode(meta))
    return {event.market: event for event in of_type(events, MarketListed)}


def test_margin_tiers_come_from_the_tables() -> None:
    """BTC 40x up to 150 M, then 20x; maintenance is half the initial rate."""
    tiers = listed(META)["BTC"].margin_tiers
    assert [
        (tier.lower_bound_usd, tier.initial_margin_rate, tier.maintenance_margin_rate)
        for tier in tiers
    ] == [(0.0, 1 / 40, 1 / 80), (150_000_000.0, 1 / 20, 1 / 40)]


@pytest.mark.parametrize(
    ("table", "rates"),
    [
        pytest.param(25, [1 / 50], id="below 50 a table is its own leverage"),
        pytest.param(49, [1 / 98], id="49 still is"),
        pytest.param(50, [], id="50 must be told, so its tiers are unknown"),
        pytest.param(None, [1 / 80], id="no table: the market's own limit"),
    ],
)
def test_margin_table_ids(table: int | None, rates: list[float]) -> None:
    """A table that was not told is unknown, never a single tier."""
    asset = {"name": "X", "szDecimals": 1, "maxLeverage": 40, "marginTableId": table}
    tiers = listed({"universe": [asset], "marginTables": []})["X"].margin_tiers
    assert [tier.maintenance_margin_rate for tier in tiers] == rates


def test_listing_says_what_may_be_done() -> None:
    """Delisted markets keep their place; sizes have steps; strict isolation is isolation."""
    markets = listed(META)
    assert list(markets) == ["BTC", "ETH", "HYPE", "OLD"]
    assert markets["OLD"].status is MarketStatus.DELISTED
    assert markets["BTC"].status is MarketStatus.ACTIVE
    assert markets["BTC"].size_step == Decimal("0.00001")
    assert markets["BTC"].has_mark
    strict = {"name": "S", "szDecimals": 0, "maxLeverage": 3, "marginMode": "strictIsolated"}
    plain = {"name": "P", "szDecimals": 0, "maxLeverage": 3, "marginMode": None}
    again = listed({"universe": [strict, plain]})
    assert (again["S"].only_isolated, again["P"].only_isolated) == (True, False)


@pytest.mark.parametrize(
    ("coin", "dex", "asset"),
    [
        pytest.param("BTC", "", "BTC", id="first dex"),
        pytest.param("xyz:AAPL", "xyz", "AAPL", id="builder dex"),
        pytest.param("kPEPE", "", "kPEPE", id="a thousand is not one"),
    ],
)
def test_names(coin: str, dex: str, asset: str) -> None:
    """Dex and base asset of a coin name."""
    assert (dex_of(coin), asset_of(coin)) == (dex, asset)


def test_builder_markets_carry_their_dex() -> None:
    """Prefixed on the wire; prefixed here where the wire forgets."""
    asset = {"name": "AAPL", "szDecimals": 3, "maxLeverage": 10}
    event = listed({"universe": [asset]}, dex="xyz")["xyz:AAPL"]
    assert (event.asset, event.dex) == ("AAPL", "xyz")


def test_contexts_are_zipped_by_position() -> None:
    """``metaAndAssetCtxs``: context i belongs to market i, delisted ones counted."""
    contexts = [context("84000"), context("2000"), context("30"), context("1", midPx=None)]
    body = encode([META, contexts])
    events = of_type(decode_body("metaAndAssetCtxs", None, body, now=NOW), MarketContextSeen)
    assert [(event.market, event.mark_price) for event in events] == [
        ("BTC", 84000.0),
        ("ETH", 2000.0),
        ("HYPE", 30.0),
        ("OLD", 1.0),
    ]
    assert events[0].next_funding_time_ns == (NOW // HOUR_NS + 1) * HOUR_NS


def decoder(*dexes: tuple[str, dict[str, object]]) -> MarketDecoder:
    """A decoder that knows some dexes."""
    markets = Markets()
    for dex, meta in dexes:
        markets.update(dex, msgspec.convert(meta, wire.Universe, strict=False), "test")
    return MarketDecoder(markets)


def test_a_dex_of_another_length_is_refused_and_the_others_told() -> None:
    """A shifted list would put one market's price on another."""
    one: dict[str, object] = {"universe": [{"name": "xyz:A", "szDecimals": 1, "maxLeverage": 5}]}
    data = {"ctxs": [["", [context()] * 3], ["xyz", [context("7")]], ["new", [context()]]]}
    events = decoder(("", META), ("xyz", one)).all_contexts(encode(data), NOW)
    (rejected,) = of_type(events, FrameRejected)
    assert "3 contexts for 4 markets" in rejected.reason
    assert [event.market for event in of_type(events, MarketContextSeen)] == ["xyz:A"]


def test_only_contexts_of_followed_dexes_are_read() -> None:
    """What stands in another's list is none of our business; what stands in ours is."""
    ours: dict[str, object] = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]}
    odd = [{**context(), "markPx": "dear"}]
    known = decoder(("", ours))
    events = known.all_contexts(encode({"ctxs": [["", [context()]], ["xyz", odd]]}), NOW)
    assert [event.market for event in of_type(events, MarketContextSeen)] == ["BTC"]
    with pytest.raises(msgspec.ValidationError, match="markPx"):
        known.all_contexts(encode({"ctxs": [["", odd]]}), NOW)


def test_a_meta_that_repeats_a_name_is_refused() -> None:
    """Positions would be ambiguous."""
    asset = {"name": "X", "szDecimals": 1, "maxLeverage": 5}
    with pytest.raises(DecodeError, match="repeats a name"):
        decode_body("meta", None, encode({"universe": [asset, asset]}))


# ------------------------------------------------------------------------------------- funding


@pytest.mark.parametrize(
    ("bid", "ask", "oracle", "premium"),
    [
        pytest.param(101.0, 102.0, 100.0, 0.01, id="above the oracle"),
        pytest.param(98.0, 99.0, 100.0, -0.01, id="below the oracle"),
        pytest.param(99.0, 101.0, 100.0, 0.0, id="around the oracle"),
        pytest.param(1.0, 1.0, 0.0, None, id="no oracle"),
    ],
)
def test_premium(bid: float, ask: float, oracle: float, premium: float | None) -> None:
    """Distance of the impact prices beyond the oracle."""
    assert compute_premium_ratio(bid, ask, oracle) == premium


@pytest.mark.parametrize(
    ("time_ms", "interval_s"),
    [
        pytest.param(1_689_389_999_999, 28_800, id="the last eight-hourly moment"),
        pytest.param(1_689_390_000_000, 3_600, id="the first hourly one"),
    ],
)
def test_the_hourly_era(time_ms: int, interval_s: int) -> None:
    """2023-07-15 03:00 UTC separates the eras."""
    assert funding_interval_s(time_ms) == interval_s
    assert hourly_funding_rate(0.0008, time_ms) == pytest.approx(0.0008 * 3600 / interval_s)


@pytest.mark.parametrize(
    ("now_ns", "next_ns"),
    [
        pytest.param(5 * HOUR_NS - 1, 5 * HOUR_NS, id="just before the hour"),
        pytest.param(5 * HOUR_NS, 6 * HOUR_NS, id="on the hour the next is due"),
    ],
)
def test_next_funding_is_the_next_full_hour(now_ns: int, next_ns: int) -> None:
    """Computed, since the venue names the settlement that already happened."""
    assert next_funding_time_ns(now_ns) == next_ns
    (event,) = MarketDecoder().active_context(
        encode({"coin": "BTC", "ctx": context()}),
        now_ns,
    )
    assert event.next_funding_time_ns == next_ns


def test_next_funding_follows_the_clock_both_ways() -> None:
    """One decoder over an hour's turn, and after a clock that was set back."""
    frames = MarketDecoder()
    data = encode({"coin": "BTC", "ctx": context()})
    for now in (HOUR_NS + 1, 2 * HOUR_NS + 1, HOUR_NS + 1):
        (event,) = frames.active_context(data, now)
        assert event.next_funding_time_ns == next_funding_time_ns(now)


def test_settled_funding() -> None:
    """Now hourly: the rate is the venue's own."""
    rows = [{"coin": "BTC", "fundingRate": "0.0000125", "premium": "0", "time": 1790000000018}]
    (event,) = decode_body("fundingHistory", {"coin": "BTC"}, encode(rows))
    assert msgspec.structs.asdict(event) | {"venue": ""} == {
        "venue": "",
        "channel": "hyperliquid/rest.fundingHistory/BTC",
        "venue_time_ns": 1790000000018_000_000,
        "market": "BTC",
        "funding_rate_hourly": 0.0000125,
        "native_funding_rate": 0.0000125,
        "native_funding_interval_s": 3600,
        "settled_at_ns": 1790000000018_000_000,
        "oracle_price": None,
    }


# --------------------------------------------------------------------------------------- books


@pytest.mark.parametrize(
    ("price", "size_decimals", "choice"),
    [
        pytest.param(84148.0, 5, Aggregation(3), id="84148: tick 10 covers 190 of 210"),
        pytest.param(60000.0, 5, Aggregation(4), id="60000: tick 10 covers 190 of 150"),
        pytest.param(2000.0, 4, Aggregation(5, 5), id="2000: tick 0.5 covers 9.5 of 5"),
        pytest.param(1.05, 0, Aggregation(5, 2), id="1.05: tick 0.0002 covers 0.0038 of 0.0026"),
        pytest.param(0.00105, 0, Aggregation(), id="coarse tick: the raw book reaches"),
        pytest.param(0.0, 0, Aggregation(), id="price unknown: the raw book"),
        pytest.param(float("nan"), 0, Aggregation(), id="no number: the raw book"),
        pytest.param(250_000.0, 5, Aggregation(5, 5), id="250000: tick 50 covers 950 of 625"),
    ],
)
def test_aggregation_reaches_the_band(
    price: float,
    size_decimals: int,
    choice: Aggregation,
) -> None:
    """The finest book whose 20 full levels reach 25 bp."""
    assert choose_aggregation(price, size_decimals, 0.0025) == choice


@pytest.mark.parametrize("price", [9.9999, 1.0, 84148.0, 0.5, 123.4, 99999.0, 7.7])
def test_chosen_books_reach_and_the_next_finer_does_not(price: float) -> None:
    """19 steps of the chosen bucket span the band; no finer choice would."""
    chosen = choose_aggregation(price, 0 if price < 1 else 5, 0.0025)
    figures = chosen.significant_figures
    if figures is None:
        return
    assert 19 * book_tick(price, figures, chosen.mantissa or 1) >= 0.0025 * price
    finer = {(5, 5): (5, 2), (4, None): (5, 5), (3, None): (4, None), (2, None): (3, None)}
    before = finer.get((figures, chosen.mantissa))
    if before is not None:
        assert 19 * book_tick(price, before[0], before[1] or 1) < 0.0025 * price


def levels(*pairs: tuple[float, float]) -> list[wire.Level]:
    """Levels from (price, size)."""
    return [wire.Level(price, size) for price, size in pairs]


@pytest.mark.parametrize(
    ("side", "bound", "depth"),
    [
        pytest.param([(100.0, 1.0), (99.0, 2.0), (98.0, 9.0)], 98.5, 298.0, id="ends inside"),
        pytest.param([(100.0, 1.0), (99.0, 2.0)], 99.0, 298.0, id="a level on the bound counts"),
        pytest.param([(100.0, 1.0), (99.0, 2.0)], 98.9, None, id="book ends before the bound"),
        pytest.param([(100.0, 1.0)], 101.0, 0.0, id="nobody within the band"),
        pytest.param([], 98.5, None, id="empty side"),
    ],
)
def test_bid_depth(side: list[tuple[float, float]], bound: float, depth: float | None) -> None:
    """Absent rather than cut off."""
    assert compute_depth_usd(levels(*side), bound, bids=True) == depth


@pytest.mark.parametrize(
    ("side", "bound", "depth"),
    [
        pytest.param([(100.0, 1.0), (101.0, 2.0), (102.0, 9.0)], 101.5, 302.0, id="ends inside"),
        pytest.param([(100.0, 1.0), (101.0, 2.0)], 101.0, 302.0, id="a level on the bound counts"),
        pytest.param([(100.0, 1.0), (101.0, 2.0)], 101.1, None, id="book ends before the bound"),
        pytest.param([], 98.5, None, id="empty side"),
    ],
)
def test_ask_depth(side: list[tuple[float, float]], bound: float, depth: float | None) -> None:
    """Mirrored."""
    assert compute_depth_usd(levels(*side), bound, bids=False) == depth


@pytest.mark.parametrize(
    ("special", "healthy"),
    [
        pytest.param(None, True, id="null is normal"),
        pytest.param([], True, id="an empty list is normal"),
        pytest.param({"anything": 1}, False, id="anything else is not"),
        pytest.param(["halted"], False, id="a word is not"),
    ],
)
def test_exchange_status(special: object, healthy: bool) -> None:
    """The non-null shapes are unknown, so everything not empty is unhealthy."""
    body = encode({"specialStatuses": special, "time": 1790231586439})
    clock, status = decode_body("exchangeStatus", None, body)
    assert msgspec.structs.asdict(clock)["time_ns"] == 1790231586439_000_000
    assert msgspec.structs.asdict(clock)["source"] == "exchange"
    assert msgspec.structs.asdict(status)["healthy"] is healthy


TWENTY_ASKS = [(100.2 + 0.1 * step, 1.0) for step in range(20)]
FEW_BIDS = [(100.0, 1.0), (99.9, 2.0)]


@pytest.mark.parametrize(
    ("bids", "asks", "bid_usd", "ask_usd"),
    [
        pytest.param([], TWENTY_ASKS, 0.0, None, id="no bids: nobody there, and no mid"),
        pytest.param(TWENTY_ASKS, [], None, 0.0, id="no offers"),
        pytest.param([], [], None, None, id="nobody at all: a delisted market looks like that"),
        pytest.param(FEW_BIDS, TWENTY_ASKS, 299.8, 200.5, id="two bids are all there are"),
        pytest.param(FEW_BIDS, [(100.2, 1.0)], None, None, id="a book cut to so few"),
    ],
)
def test_a_side_that_is_gone_or_almost(
    bids: list[tuple[float, float]],
    asks: list[tuple[float, float]],
    bid_usd: float | None,
    ask_usd: float | None,
) -> None:
    """Twenty levels on the other side show that this one was not cut off."""
    sides = levels(*bids), levels(*asks)
    (depth,) = MarketDecoder().book_events("ETH", 1, sides, 0.1, "hyperliquid/l2Book/ETH")
    assert depth.bid_depth_usd == (None if bid_usd is None else pytest.approx(bid_usd))
    assert depth.ask_depth_usd == (None if ask_usd is None else pytest.approx(ask_usd))
