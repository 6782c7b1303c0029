"""Market objects, oracle updates, books, trades, candles and funding rows as dYdX's indexer says.

The indexer refreshes a market's statistics (volume, trades, open interest, predicted funding) every
30 seconds and serves the last refresh in between; the oracle price is served as it is. Types follow
recorded payloads: money and sizes are strings, chain conversions and trade counts are integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from monitor.core.types import MarketStatus
from monitor.sim.books import Book, Level
from monitor.sim.dydx.chain import Stamp
from monitor.sim.dydx.payloads.text import event_id, iso, number
from monitor.sim.dydx.session import RESOLUTIONS
from monitor.sim.markets import SimMarket, Trade
from monitor.sim.past import Bar

DAY_S = 86_400
MAX_LEVELS = 100
QUANTUM_CONVERSION_EXPONENT = -9
STEP_BASE_QUANTUMS_EXPONENT = 6
# The indexer's baseOpenInterest has been frozen since late 2024: a number that once was true.
FROZEN_OPEN_INTEREST_FACTOR = Decimal("1.37")
PPM = Decimal("0.000001")


class Listing(msgspec.Struct, frozen=True, gc=False):
    """A market's numbers on the chain; ``market_id`` names its oracle and differs from the pair."""

    clob_pair_id: int
    market_id: int


class Statistics(msgspec.Struct, frozen=True, gc=False):
    """What the indexer recomputes every 30 seconds."""

    price_change: str
    volume: str
    trades: int
    open_interest: str
    next_funding_rate: str

    def fields(self) -> dict[str, object]:
        """By their names on the wire."""
        return {
            "priceChange24H": self.price_change,
            "volume24H": self.volume,
            "trades24H": self.trades,
            "nextFundingRate": self.next_funding_rate,
            "openInterest": self.open_interest,
        }


def statistics(market: SimMarket) -> Statistics:
    """The statistics of the last 24 hours, now."""
    since = market.now_s - DAY_S
    volume, trades, first = 0.0, 0, None
    for bar in market.bars:
        if bar.start_s < since:
            continue
        first = bar if first is None else first
        volume += bar.volume * bar.close
        trades += bar.trades
    change = 0.0 if first is None else float(market.oracle_price) - first.open
    return Statistics(
        price_change=number(round(change, 10)),
        volume=number(round(volume, 4)),
        trades=trades,
        open_interest=number(market.open_interest_base),
        next_funding_rate=number(market.funding_rate_hourly),
    )


def trading_diff(before: Statistics, after: Statistics) -> dict[str, object]:
    """Only the fields that changed, as the 30 s ``trading`` update carries them."""
    old = before.fields()
    return {name: value for name, value in after.fields().items() if value != old[name]}


def market_object(market: SimMarket, listing: Listing, stats: Statistics) -> dict[str, object]:
    """One market of ``/perpetualMarkets`` and of the ``v4_markets`` snapshot."""
    return {
        "clobPairId": str(listing.clob_pair_id),
        "ticker": market.symbol,
        "status": status_name(market.status),
        "oraclePrice": number(market.oracle_price),
        **stats.fields(),
        **_terms(market),
    }


def full_trading_object(
    market: SimMarket, listing: Listing, stats: Statistics
) -> dict[str, object]:
    """A market after a governance event: everything but the oracle price, with its ids."""
    whole = market_object(market, listing, stats)
    whole.pop("oraclePrice")
    return {"id": whole["clobPairId"], **whole, "marketId": listing.market_id}


def status_name(status: MarketStatus) -> str:
    """The venue's name of a status; a delisted market is one in final settlement."""
    if status in {MarketStatus.DELISTED, MarketStatus.UNKNOWN}:
        return "FINAL_SETTLEMENT"
    return status.value.upper()


def resolution_exponent(market: SimMarket) -> int:
    """``atomicResolution``: one size step is a million base quantums, so it follows from that."""
    return -(market.spec.size_decimals + STEP_BASE_QUANTUMS_EXPONENT)


def _terms(market: SimMarket) -> dict[str, object]:
    spec = market.spec
    resolution = resolution_exponent(market)
    exponent = resolution - QUANTUM_CONVERSION_EXPONENT + STEP_BASE_QUANTUMS_EXPONENT
    tier = spec.tiers[0]
    return {
        "initialMarginFraction": number(tier.initial_rate),
        "maintenanceMarginFraction": number(tier.maintenance_rate),
        "atomicResolution": resolution,
        "quantumConversionExponent": QUANTUM_CONVERSION_EXPONENT,
        "tickSize": number(market.tick),
        "stepSize": number(market.size_step),
        "stepBaseQuantums": 10**STEP_BASE_QUANTUMS_EXPONENT,
        "subticksPerTick": max(1, int(market.tick.scaleb(exponent))),
        "marketType": "ISOLATED" if spec.only_isolated else "CROSS",
        "openInterestLowerCap": number(spec.open_interest_lower_cap_usd or Decimal(0)),
        "openInterestUpperCap": number(spec.open_interest_upper_cap_usd or Decimal(0)),
        "baseOpenInterest": number(frozen_open_interest(market)),
        "defaultFundingRate1H": number(default_rate_hourly(market)),
    }


def frozen_open_interest(market: SimMarket) -> Decimal:
    """The number that ``baseOpenInterest`` has shown for a year, whatever happens."""
    spec = market.spec
    then = Decimal(repr(spec.open_interest_usd / market.asset.spec.price))
    return (then * FROZEN_OPEN_INTEREST_FACTOR / market.size_step).to_integral_value() * (
        market.size_step
    )


def default_rate_hourly(market: SimMarket) -> Decimal:
    """The interest component of funding, fraction per hour."""
    return Decimal(repr(market.spec.terms.interest_8h)) / 8


def oracle_update(markets: Iterable[tuple[SimMarket, Listing]], stamp: Stamp) -> dict[str, object]:
    """``oraclePrices`` contents; usually of one market."""
    return {
        "oraclePrices": {
            market.symbol: {
                "oraclePrice": number(market.oracle_price),
                "effectiveAt": iso(stamp.time_s),
                "effectiveAtHeight": str(stamp.height),
                "marketId": listing.market_id,
            }
            for market, listing in markets
        },
    }


def book_snapshot(book: Book) -> dict[str, object]:
    """Both sides as objects, best first, at most 100 levels."""
    return {
        side: [
            {"price": number(price), "size": number(size)} for price, size in levels[:MAX_LEVELS]
        ]
        for side, levels in (("bids", book.bids), ("asks", book.asks))
    }


def book_update(before: Book, after: Book) -> dict[str, object]:
    """Changed levels as ``[price, size]`` with absolute sizes, ``"0"`` removes; a side that did
    not change is left out."""
    changed: dict[str, object] = {}
    for side, is_bid, old, new in (
        ("bids", True, before.bids, after.bids),
        ("asks", False, before.asks, after.asks),
    ):
        levels = _level_changes(old[:MAX_LEVELS], new[:MAX_LEVELS], is_bid=is_bid)
        if levels:
            changed[side] = levels
    return changed


def _level_changes(
    before: tuple[Level, ...], after: tuple[Level, ...], *, is_bid: bool
) -> list[list[str]]:
    """First what is gone, then what is new or has another size, each best first as they came."""
    gone: list[list[str]] = []
    fresh: list[list[str]] = []
    at, end = 0, len(before)
    for price, size in after:
        while at < end and (before[at][0] > price if is_bid else before[at][0] < price):
            gone.append([number(before[at][0]), "0"])
            at += 1
        if at < end and before[at][0] == price:
            at += 1
            if before[at - 1][1] == size:
                continue
        fresh.append([number(price), number(size)])
    gone += [[number(price), "0"] for price, _ in before[at:]]
    return gone + fresh


def trade_object(trade: Trade, stamp: Stamp) -> dict[str, object]:
    """One print of the tape."""
    return {
        "id": event_id(stamp.height, trade.trade_id),
        "side": trade.side.upper(),
        "size": number(trade.size),
        "price": number(trade.price),
        "type": "LIQUIDATED" if trade.liquidation else "LIMIT",
        "createdAt": iso(stamp.time_s),
        "createdAtHeight": str(stamp.height),
    }


def candles(
    market: SimMarket,
    resolution: str,
    *,
    since_s: float | None = None,
    before_s: float | None = None,
    most: int | None = None,
) -> list[dict[str, object]]:
    """Candles of one resolution that start within the range, newest first, at most so many; folded
    from what is kept.

    Raises:
        KeyError: If the resolution is not one of the venue's.
    """
    length = RESOLUTIONS[resolution]
    groups: dict[int, list[Bar]] = {}
    for bar in market.bars_of(length):
        start = bar.start_s - bar.start_s % length
        if (since_s is None or start >= since_s) and (before_s is None or start < before_s):
            groups.setdefault(start, []).append(bar)
    newest_first = sorted(groups, reverse=True)[:most]
    return [_candle(market, resolution, start, groups[start]) for start in newest_first]


def newest_candle(market: SimMarket, resolution: str) -> dict[str, object] | None:
    """The running candle, or ``None`` before the first trade."""
    length = RESOLUTIONS[resolution]
    bars: list[Bar] = []
    for bar in reversed(market.bars):
        start = bar.start_s - bar.start_s % length
        if bars and start != bars[0].start_s - bars[0].start_s % length:
            break
        bars.insert(0, bar)
    if not bars:
        return None
    return _candle(market, resolution, bars[0].start_s - bars[0].start_s % length, bars)


def _candle(market: SimMarket, resolution: str, start_s: int, bars: list[Bar]) -> dict[str, object]:
    volume = sum(bar.volume for bar in bars)
    usd = sum(bar.volume * bar.close for bar in bars)
    decimals = max(0, market.spec.size_decimals)
    opened, closed = _price(market, bars[0].open), _price(market, bars[-1].close)
    return {
        "startedAt": iso(start_s),
        "ticker": market.symbol,
        "resolution": resolution,
        "low": _price(market, min(bar.low for bar in bars)),
        "high": _price(market, max(bar.high for bar in bars)),
        "open": opened,
        "close": closed,
        "baseTokenVolume": number(round(volume, decimals)),
        "usdVolume": number(round(usd, 4)),
        "trades": sum(bar.trades for bar in bars),
        "startingOpenInterest": number(market.open_interest_base),
        "orderbookMidPriceOpen": opened,
        "orderbookMidPriceClose": closed,
    }


def _price(market: SimMarket, price: float) -> str:
    decimals = market.spec.price_decimals  # a tick here is fixed
    return number(f"{price:.{decimals}f}" if decimals > 0 else round(price, decimals))


def newcomer(ticker: str, listing: Listing) -> dict[str, object]:
    """A market that has just been listed: initializing, and no oracle price yet.

    The venue sends ``null`` there; such a market has broken parsers (a recorded case).
    """
    zero: Mapping[str, str] = dict.fromkeys(
        ("priceChange24H", "volume24H", "nextFundingRate", "openInterest", "baseOpenInterest"), "0"
    )
    return {
        "clobPairId": str(listing.clob_pair_id),
        "ticker": ticker,
        "status": "INITIALIZING",
        "oraclePrice": None,
        **zero,
        "trades24H": 0,
        "initialMarginFraction": "0.2",
        "maintenanceMarginFraction": "0.1",
        "atomicResolution": -6,
        "quantumConversionExponent": QUANTUM_CONVERSION_EXPONENT,
        "tickSize": "0.0001",
        "stepSize": "1",
        "stepBaseQuantums": 1_000_000,
        "subticksPerTick": 100_000,
        "marketType": "ISOLATED",
        "openInterestLowerCap": "500000",
        "openInterestUpperCap": "1000000",
        "defaultFundingRate1H": "0.0000125",
    }
