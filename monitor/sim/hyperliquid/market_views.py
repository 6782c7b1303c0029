"""What the simulated Hyperliquid says about its markets: meta, contexts, books, mids, candles.

Each function reads the world and returns the JSON of one payload; nothing here knows whether it
goes out over HTTP or a socket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice

from monitor.core.types import MarketStatus
from monitor.sim.books import Level, aggregate
from monitor.sim.faults import FaultKind
from monitor.sim.funding import HOUR_S
from monitor.sim.hyperliquid.wire import (
    Json,
    JsonObject,
    from_float,
    make_hash,
    ms,
    number,
    plain,
    ratio,
)
from monitor.sim.market_spec import Tier
from monitor.sim.markets import SimMarket, Trade
from monitor.sim.past import Bar
from monitor.sim.world import SimVenue, World

BOOK_LEVELS = 20
FAST_LEVELS = 5
INTERVALS_S = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "2h": 7_200,
    "4h": 14_400, "8h": 28_800, "12h": 43_200, "1d": 86_400, "3d": 259_200, "1w": 604_800,
    "1M": 2_592_000,
}  # fmt: skip
# Spot pairs that exist so that clients (and collateral) find their prices: name, base token.
SPOT_TOKENS: tuple[tuple[str, int, int, int], ...] = (
    # name, token index, size decimals, wei decimals
    ("USDC", 0, 8, 8),
    ("PURR", 1, 0, 5),
    ("HYPE", 150, 2, 8),
)
SPOT_PAIRS: tuple[tuple[str, int, int], ...] = (("PURR/USDC", 0, 1), ("@107", 107, 150))
TOKEN_INDEX = {name: index for name, index, _, _ in SPOT_TOKENS}
SPOT_COINS = frozenset(name for name, _, _ in SPOT_PAIRS)
PURR_PRICE = Decimal("0.067131")


def venue_of(world: World) -> SimVenue:
    """The simulated Hyperliquid."""
    return world.venues["hyperliquid"]


def state_time_ms(world: World) -> int:
    """The time of the newest state: the last block's, so that a halted chain shows."""
    return ms(venue_of(world).block_time_s + clock_offset_s(world))


def clock_offset_s(world: World) -> float:
    """How far the venue's clock is ahead; zero unless a fault says otherwise."""
    fault = world.faults.find(FaultKind.CLOCK_OFFSET, "hyperliquid")
    return 0.0 if fault is None else fault.delay_s


# ------------------------------------------------------------------------------------------ meta


def margin_tables(world: World) -> dict[tuple[Tier, ...], int]:
    """Table id of each set of tiers: the leverage itself for a single tier, else from 51 up."""
    ids: dict[tuple[Tier, ...], int] = {}
    following = 51
    for market in venue_of(world).markets.values():
        tiers = market.spec.tiers
        if tiers in ids:
            continue
        if len(tiers) == 1:
            ids[tiers] = tiers[0].max_leverage
        else:
            ids[tiers], following = following, following + 1
    return ids


def margin_table(world: World, table_id: int) -> Json:
    """One table by id; None where there is none."""
    for tiers, known in margin_tables(world).items():
        if known == table_id:
            return _table(tiers)
    if 0 < table_id < 50:
        only: JsonObject = {"lowerBound": "0.0", "maxLeverage": table_id}
        return {"description": "", "marginTiers": [only]}
    return None


def _table(tiers: tuple[Tier, ...]) -> JsonObject:
    label = f"tiered {tiers[0].max_leverage}x" if len(tiers) > 1 else ""
    rows: list[Json] = [
        {"lowerBound": number(tier.lower_bound_usd), "maxLeverage": tier.max_leverage}
        for tier in tiers
    ]
    return {"description": label, "marginTiers": rows}


def meta(world: World, dex: str) -> JsonObject:
    """``meta``: the universe of one dex and its tiered margin tables."""
    ids = margin_tables(world)
    universe: list[Json] = []
    used: dict[int, tuple[Tier, ...]] = {}
    for market in venue_of(world).markets_of(dex):
        spec = market.spec
        table = ids[spec.tiers]
        if table > 50:
            used[table] = spec.tiers
        entry: JsonObject = {
            "szDecimals": spec.size_decimals,
            "name": spec.symbol,
            "maxLeverage": spec.tiers[0].max_leverage,
            "marginTableId": table,
        }
        if spec.only_isolated:
            entry["onlyIsolated"] = True
        if spec.strict_isolated:
            entry["marginMode"] = "strictIsolated"
        if market.status is MarketStatus.DELISTED:
            entry["isDelisted"] = True
        universe.append(entry)
    tables: list[Json] = [[table, _table(tiers)] for table, tiers in sorted(used.items())]
    return {"universe": universe, "marginTables": tables, "collateralToken": 0}


def context(market: SimMarket) -> JsonObject:
    """One perpetual's context; nulls where nobody quotes."""
    mid, impact = market.mid_price, market.impact_prices
    premium = market.premium_of(impact)
    notional, base, day_ago = _day(market)
    return {
        "funding": ratio(market.funding_rate_hourly),
        "openInterest": number(market.open_interest_base),
        "prevDayPx": number(_rounded(market, day_ago)),
        "dayNtlVlm": number(notional),
        "premium": None if premium is None else ratio(premium),
        "oraclePx": number(market.oracle_price),
        "markPx": number(market.mark_price),
        "midPx": None if mid is None else number(mid),
        "impactPxs": None if impact is None else [number(impact[0]), number(impact[1])],
        "dayBaseVlm": number(base),
    }


def contexts(world: World, dex: str) -> list[Json]:
    """All contexts of a dex, in the order of its universe."""
    return [context(market) for market in venue_of(world).markets_of(dex)]


def perp_dexs(world: World) -> Json:
    """``perpDexs``: null for the first dex, then the builders'."""
    rows: list[Json] = [None]
    for dex in venue_of(world).dexes()[1:]:
        markets = venue_of(world).markets_of(dex)
        rows.append(
            {
                "name": dex,
                "fullName": dex.upper(),
                "deployer": "0x51a00000000000000000000000000000000000d0",
                "oracleUpdater": None,
                "feeRecipient": None,
                "assetToStreamingOiCap": [[m.symbol, "150000000.0"] for m in markets],
                "subDeployers": [],
                "deployerFeeScale": "1.0",
                "lastDeployerFeeScaleChangeTime": "1970-01-01T00:00:00",
                "assetToFundingMultiplier": [
                    [m.symbol, number(from_float(m.spec.terms.multiplier))] for m in markets
                ],
                "assetToFundingInterestRate": [
                    [m.symbol, number(from_float(m.spec.terms.interest_8h))] for m in markets
                ],
            }
        )
    return rows


def perp_dex_limits(world: World, dex: str) -> Json:
    """``perpDexLimits`` of a builder dex; null for the first."""
    if not dex:
        return None
    return {
        "totalOiCap": "500000000.0",
        "oiSzCapPerPerp": "10000000000.0",
        "maxTransferNtl": "100000000.0",
        "coinToOiCap": [[m.symbol, "150000000.0"] for m in venue_of(world).markets_of(dex)],
    }


# ----------------------------------------------------------------------------------------- books


def l2_book(world: World, market: SimMarket, figures: int | None, mantissa: int | None) -> Json:
    """``l2Book``: 20 levels a side, merged to ``figures`` significant digits when given."""
    body: JsonObject = {"coin": market.symbol, "time": state_time_ms(world)}
    if figures is None:
        body["levels"] = [_levels(islice(side, BOOK_LEVELS)) for side in market.levels]
        return body
    tick = aggregation_tick(market, figures, mantissa)
    bids, asks = (
        aggregate(side, tick, is_bid=is_bid, most=BOOK_LEVELS)
        for side, is_bid in zip(market.levels, (True, False), strict=True)
    )
    body["levels"] = [
        [{"px": number(p), "sz": number(s), "n": n} for (p, s), n in side] for side in (bids, asks)
    ]
    if bids and asks:
        body["spread"] = number(asks[0][0][0] - bids[0][0][0])
    return body


def aggregation_tick(market: SimMarket, figures: int, mantissa: int | None) -> Decimal:
    """The price grid of an aggregated book; never finer than the market's own."""
    decimals = figures - 1 - math.floor(math.log10(market.mid))
    tick = Decimal(1).scaleb(-decimals) * (mantissa or 1)
    return max(tick, market.tick)


def fast_book(world: World, market: SimMarket) -> Json:
    """The five-level book of ``"fast":true``."""
    return {
        "coin": market.symbol,
        "time": state_time_ms(world),
        "levels": [_levels(islice(side, FAST_LEVELS)) for side in market.levels],
        "fast": True,
    }


def bbo(world: World, market: SimMarket) -> JsonObject:
    """Best bid and ask; null where a side is empty."""
    sides: list[Json] = [row for side in market.best for row in _levels(side) or [None]]
    return {"coin": market.symbol, "time": state_time_ms(world), "bbo": sides}


def _levels(levels: Iterable[Level]) -> list[Json]:
    return [
        {"px": number(price), "sz": number(size), "n": 1 + int(size * 100) % 9}
        for price, size in levels
    ]


def all_mids(world: World, dex: str) -> dict[str, Json]:
    """Mid by coin; the first dex also carries the spot pairs."""
    mids: dict[str, Json] = {}
    for market in venue_of(world).markets_of(dex):
        mid = market.mid_price
        if mid is not None:
            mids[market.symbol] = number(mid)
    if not dex:
        for name in SPOT_COINS:
            mids[name] = number(spot_price(world, name))
    return mids


def trade(market: SimMarket, row: Trade) -> JsonObject:
    """One print of the tape; ``side`` is the aggressor's."""
    hashed = make_hash("trade", market.symbol, row.trade_id)
    maker, taker = f"0x{hashed[2:42]}", f"0x{hashed[10:50]}"
    buys = row.side == "buy"
    return {
        "coin": market.symbol,
        "side": "B" if buys else "A",
        "px": number(row.price),
        "sz": number(row.size),
        "time": ms(row.time_s),
        "hash": hashed,
        "tid": (market.salt << 20) + row.trade_id,
        "users": [taker, maker] if buys else [maker, taker],
    }


def recent_trades(market: SimMarket) -> list[Json]:
    """``recentTrades``: the ten newest, newest first."""
    return [trade(market, row) for row in list(market.trades)[-10:][::-1]]


# --------------------------------------------------------------------------------------- candles


def candles(market: SimMarket, interval: str, start_ms: int, end_ms: int) -> list[Json]:
    """Bars of ``interval`` that start within the range, oldest first."""
    width = INTERVALS_S[interval]
    grouped: dict[int, list[Bar]] = {}
    for bar in market.bars_of(width):
        opens = bar.start_s // width * width
        if start_ms <= opens * 1_000 <= end_ms:
            grouped.setdefault(opens, []).append(bar)
    return [_candle(market, interval, opens, bars) for opens, bars in grouped.items()]


def open_candle(market: SimMarket, interval: str) -> Json:
    """The bar that is still open."""
    width = INTERVALS_S[interval]
    opens = market.bars[-1].start_s // width * width
    bars = [bar for bar in market.bars if bar.start_s >= opens]
    return _candle(market, interval, opens, bars)


def _candle(market: SimMarket, interval: str, opens: int, bars: list[Bar]) -> JsonObject:
    width = INTERVALS_S[interval]

    def price(value: float) -> str:
        return plain(value, market.decimals_at(value))

    volume = sum(bar.volume for bar in bars)
    return {
        "t": opens * 1_000,
        "T": (opens + width) * 1_000 - 1,
        "s": market.symbol,
        "i": interval,
        "o": price(bars[0].open),
        "c": price(bars[-1].close),
        "h": price(max(bar.high for bar in bars)),
        "l": price(min(bar.low for bar in bars)),
        "v": plain(volume, market.spec.size_decimals),
        "n": sum(bar.trades for bar in bars),
    }


def _day(market: SimMarket) -> tuple[Decimal, Decimal, float]:
    """(USD traded, base traded, price a day ago) over the last 24 hours."""
    notional, base, day_ago = market.day
    return (
        from_float(notional).quantize(Decimal("0.0000000001")),
        from_float(base).quantize(market.size_step),
        day_ago,
    )


def _rounded(market: SimMarket, price: float) -> Decimal:
    tick = market.tick_at(price)
    return (from_float(price) / tick).to_integral_value() * tick


# --------------------------------------------------------------------------------------- funding


def funding_history(market: SimMarket, start_ms: int, end_ms: int) -> list[Json]:
    """Settlements within the range, oldest first, at most 500."""
    rows: list[Json] = [
        {
            "coin": market.symbol,
            "fundingRate": ratio(row.rate_hourly),
            "premium": ratio(row.premium),
            "time": ms(row.time_s),
        }
        for row in market.settled
        if start_ms <= ms(row.time_s) <= end_ms
    ]
    return rows[:500]


def predicted_fundings(world: World) -> Json:
    """``predictedFundings`` of the first dex. As on the real venue, ``HlPerp.nextFundingTime``
    names the settlement that has already happened."""
    hour_ms = int(world.now_s // HOUR_S) * HOUR_S * 1_000
    eight_ms = (int(world.now_s // (8 * HOUR_S)) + 1) * 8 * HOUR_S * 1_000
    rows: list[Json] = []
    for market in venue_of(world).markets_of(""):
        if not market.tradable:
            continue
        rate = market.funding_rate_hourly
        rows.append(
            [
                market.symbol,
                [
                    [
                        "HlPerp",
                        {
                            "fundingRate": ratio(rate),
                            "nextFundingTime": hour_ms,
                            "fundingIntervalHours": 1,
                        },
                    ],
                    [
                        "BinPerp",
                        {
                            "fundingRate": ratio(rate * 8),
                            "nextFundingTime": eight_ms,
                            "fundingIntervalHours": 8,
                        },
                    ],
                    ["BybitPerp", None],
                ],
            ]
        )
    return rows


# ------------------------------------------------------------------------------------------ spot


def spot_price(world: World, name: str) -> Decimal:
    """Price of a spot pair, USD."""
    if name == "@107":
        market = venue_of(world).markets["HYPE"]
        return _rounded(market, market.asset.index)
    return PURR_PRICE


def spot_meta() -> JsonObject:
    """``spotMeta``: tokens and pairs."""
    tokens: list[Json] = [
        {
            "name": name,
            "szDecimals": size_decimals,
            "weiDecimals": wei,
            "index": index,
            "tokenId": "0x" + make_hash("token", name)[2:34],
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
            "deployerTradingFeeShare": "0.0",
        }
        for name, index, size_decimals, wei in SPOT_TOKENS
    ]
    universe: list[Json] = [
        {"tokens": [base, 0], "name": name, "index": index, "isCanonical": name == "PURR/USDC"}
        for name, index, base in SPOT_PAIRS
    ]
    return {"universe": universe, "tokens": tokens}


def spot_context(world: World, name: str) -> JsonObject:
    """One spot pair's context."""
    price = number(spot_price(world, name))
    return {
        "prevDayPx": price,
        "dayNtlVlm": "1250000.0",
        "markPx": price,
        "midPx": price,
        "circulatingSupply": "333928180.0",
        "coin": name,
        "totalSupply": "999990391.0",
        "dayBaseVlm": "39650.0",
    }
