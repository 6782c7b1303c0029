"""Feeds the price series: samples by the minute, hourly histories, and the basket of assets.

The source of an asset is its market with the most open interest (builder markets aside): that
one's mark, or its oracle where it has no mark. Another takes over when the source falls silent, and
at the start of an hour when its open interest is a quarter larger. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import fsum, isfinite, log
from typing import TypeVar

from monitor.core.events import PriceHistorySeen
from monitor.core.formulas.volatility import Ewma, follow_ewma
from monitor.core.state.facts import SERIES_BIT, Channel
from monitor.core.state.markets import market_of
from monitor.core.state.model import MarketState, RiskState
from monitor.core.state.series import (
    FED_RATIO_MIN,
    HISTORY_HOURS,
    HOUR_MINUTES,
    HOUR_NS,
    MINUTE_NS,
    HourSeries,
    PriceSeries,
    follow_slow,
    jumped,
    marked_bin,
)
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, asset_subject

_T = TypeVar("_T", float | None, int)

LARGER_RATIO = 1.25
# The basket's hour is taken up when its members' hours had time to close.
BASKET_MINUTE = 2
DAY_HOURS = 24
BASKET_KNOWN_RATIO = 0.60
BASKET_MEMBERS_MIN = 2
# Hours are too coarse for a half-life of two: three of them would decide. Until minutes take over,
# the fast volatility starts as one of a day.
FAST_SEED_HOURS = 48
FAST_SEED_HALF_LIFE_MINUTES = 24.0 * HOUR_MINUTES


def sample_price(state: RiskState, market: MarketState, now: EngineNs) -> None:
    """Take the price of a market that was just told into its asset's series, once a minute.

    A price that nobody has moved for ten minutes is no sample: who repeats it makes no prices.
    """
    fact = market.mark if market.has_mark else market.oracle
    price = fact.value
    if price is None or fact.seen_ns != now:
        return
    minute = now // MINUTE_NS
    market.sample_due_ns = (minute + 1) * MINUTE_NS
    if now - fact.changed_ns >= state.gap_minutes * MINUTE_NS or not _may_price(state, market):
        return
    series = series_of(state, market.asset)
    if (series.venue, series.market) != (market.venue, market.market):
        if not _takes_over(state, series, market, now):
            return
        series.take_source(market.venue, market.market)
        series.take(price, now, state.gap_minutes)
        if _begins(minute):
            series.hour_price = price
    elif minute > series.minute:
        series.take(price, now, state.gap_minutes)
    else:
        return
    _mark(state, market.asset)
    if market.asset in state.basket_assets:
        _follow_basket(state, series.hour - 1, now)


def series_of(state: RiskState, asset: str) -> PriceSeries:
    """The asset's series, made when first asked for."""
    found = state.prices.get(asset)
    if found is None:
        found = state.prices[asset] = PriceSeries(asset=asset)
        if asset in state.basket_assets:
            found.hours.keep = HISTORY_HOURS
    return found


def _may_price(state: RiskState, market: MarketState) -> bool:
    """Whether a market may speak for its asset: any that is listed, but a builder's, whose name may
    be anything, only where no venue of its own lists the asset."""
    if not market.dex:
        return market.listed
    places = state.assets.get(market.asset, [])
    return market.listed and all(state.venues[venue].markets[name].dex for venue, name in places)


def _takes_over(state: RiskState, series: PriceSeries, market: MarketState, now: EngineNs) -> bool:
    source = state.venues[series.venue].markets.get(series.market) if series.venue else None
    if source is None or now - series.seen.seen_ns >= state.gap_minutes * MINUTE_NS:
        return True
    if source.dex and not market.dex:
        return True
    # At the start of an hour, and in a broken one, a better source costs nothing.
    if series.hour_price is not None and not _begins(now // MINUTE_NS):
        return False
    return _open_interest(market) > LARGER_RATIO * _open_interest(source)


def _begins(minute: int) -> bool:
    return minute % HOUR_MINUTES < BASKET_MINUTE


def _open_interest(market: MarketState) -> float:
    price = market.oracle.value or market.mark.value
    held = market.open_interest.value
    return 0.0 if price is None or held is None else price * held


def _mark(state: RiskState, asset: str) -> None:
    subject = asset_subject(asset)
    state.dirty[subject] = state.dirty.get(subject, 0) | SERIES_BIT
    # Caps of a venue and of the book rest on the basket.
    state.dirty[PORTFOLIO] = state.dirty.get(PORTFOLIO, 0) | SERIES_BIT
    for venue in state.venues.values():
        state.dirty[venue.subject] = state.dirty.get(venue.subject, 0) | SERIES_BIT


# ----------------------------------------------------------------------------------- history


def price_history(
    state: RiskState,
    event: PriceHistorySeen,
    now: EngineNs,
    _channel: Channel,
) -> None:
    """Fill hours that are not known: what was seen live stays."""
    market = market_of(state, event.venue, event.market)
    if not _may_price(state, market):
        return
    closes = _hourly(event.closes, now)
    if not closes:
        return
    series = series_of(state, market.asset)
    returns = {
        hour: log(price / before)
        for (earlier, before), (hour, price) in pairwise(sorted(closes.items()))
        if hour == earlier + 1
    }
    if _merge(series, closes, returns):
        if market.asset in state.basket_assets:
            state.basket_renew = True
        _mark(state, market.asset)


def _hourly(closes: Iterable[tuple[int, float]], now: EngineNs) -> dict[int, float]:
    """Price by the hour that ended then; what is no full hour, no price, or not yet, is left."""
    found = {}
    for ended_ns, price in closes:
        hour, rest = divmod(ended_ns + SECOND_NS, HOUR_NS)
        if rest <= 2 * SECOND_NS and ended_ns <= now and isfinite(price) and price > 0.0:
            found[hour - 1] = price
    return found


def _merge(series: PriceSeries, closes: Mapping[int, float], returns: Mapping[int, float]) -> bool:
    """Whether anything was filled in. The slow volatility is followed anew through all hours, live
    returns first; a bin that is known stays, and so does what was judged a jump or none."""
    hours = series.hours
    newest = max(hours.hour, *closes)
    if series.hour >= 0:
        newest = min(newest, max(series.hour - 1, hours.hour))
    first = newest - HISTORY_HOURS + 1
    live = {
        hour: one
        for hour, one in _by_hour(hours.hour, hours.list_returns())
        if one is not None and hour >= first
    }
    bins = {hour: one for hour, one in _by_hour(hours.hour, hours.list_bins()) if one}
    levels = {hour: one for hour, one in _by_hour(hours.hour, hours.closes) if one is not None}
    news = {hour: one for hour, one in returns.items() if first <= hour <= newest}
    # An hour in the histogram was known, though its return may be kept no more.
    if not any(hour not in live and hour not in bins for hour in news) and hours.hour == newest:
        return False
    merged = {**news, **live}
    levels = {**closes, **levels}
    slow = Ewma()
    start = min((*merged, *bins), default=newest)
    new_returns: list[float | None] = []
    new_bins: list[int] = []
    kept_jumps, jumps = dict(hours.list_jumps()), []
    judged_from = max(start, first)
    for hour in range(max(start, first), newest + 1):
        one = merged.get(hour)
        new_returns.append(one)
        if hour in bins and 0 <= hours.judged_from <= hour:
            if hour in kept_jumps:
                jumps.append((hour, kept_jumps[hour]))
        elif one is not None:
            if jumped(slow, one):
                jumps.append((hour, one))
        elif hour in bins:
            judged_from = hour + 1  # its return is kept no more
        if one is not None:
            slow = follow_slow(slow, one)
        new_bins.append(bins.get(hour) or (0 if one is None else marked_bin(slow)))
    kept = [levels.get(hour) for hour in range(newest - len(new_returns), newest + 1)]
    hours.rewrite(newest, slow, new_returns, new_bins, kept, jumps=jumps, judged_from=judged_from)
    if series.fast.fed_ratio < FED_RATIO_MIN:
        series.fast = _seeded(new_returns[-FAST_SEED_HOURS:])
    return True


def _seeded(returns: Iterable[float | None]) -> Ewma:
    fast = Ewma()
    for one in returns:
        if one is not None:
            fast = follow_ewma(
                fast, one, elapsed=float(HOUR_MINUTES), half_life=FAST_SEED_HALF_LIFE_MINUTES
            )
    return fast


def _by_hour(last: int, values: list[_T]) -> Iterable[tuple[int, _T]]:
    return zip(range(last - len(values) + 1, last + 1), values, strict=True)


# ------------------------------------------------------------------------------------ basket


def _follow_basket(state: RiskState, hour: int, now: EngineNs) -> None:
    """The basket's return of ``hour``: the mean of its members'; early in the hour after, only once
    all that are not silent have closed it. After a history or a long absence it is made anew from
    what they remember."""
    basket = state.basket
    if basket.hour >= hour and not state.basket_renew:
        return
    series = [state.prices[name] for name in state.basket_assets if name in state.prices]
    members = [one.hours for one in series]
    since = now - state.gap_minutes * MINUTE_NS
    if _begins(now // MINUTE_NS) and any(
        one.hours.hour < hour and one.seen.seen_ns >= since for one in series
    ):
        return
    if hour - DAY_HOURS < basket.hour and not state.basket_renew:
        for at in range(basket.hour + 1, hour + 1):
            basket.close(at, basket_return(members, at))
        return
    state.basket_renew = False
    oldest = min((one.first for one in members if one.first >= 0), default=hour)
    first = max(oldest, hour - HISTORY_HOURS + 1)
    known = [dict(_by_hour(one.hour, one.list_returns())) for one in members]
    returns: list[float | None] = []
    bins: list[int] = []
    slow = Ewma()
    for at in range(first, hour + 1):
        started = sum(0 <= one.first <= at for one in members)
        one = _mean([values.get(at) for values in known], started)
        if one is not None:
            slow = follow_slow(slow, one)
        returns.append(one)
        bins.append(0 if one is None else marked_bin(slow))
    basket.rewrite(hour, slow, returns, bins, ())


def basket_return(members: Sequence[HourSeries], hour: int) -> float | None:
    """Mean log return of an hour over the members that know it; None where fewer than 60 % of
    those that ever knew one do, or fewer than two."""
    started = sum(0 <= one.first <= hour for one in members)
    return _mean([one.return_at(hour) for one in members], started)


def _mean(values: Iterable[float | None], started: int) -> float | None:
    known = [one for one in values if one is not None]
    if len(known) < max(BASKET_MEMBERS_MIN, BASKET_KNOWN_RATIO * started):
        return None
    return fsum(known) / len(known)
