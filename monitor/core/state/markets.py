"""What market and venue events do to the risk state. One handler per event type, O(1). *Pure.*

The hot path of the process: no text is built and nothing allocated for a known market.
"""

from __future__ import annotations

from math import isfinite

from monitor.core.events import (
    BookTopSeen,
    CandleSeen,
    ChainTimeSeen,
    ClockSkewSeen,
    DepthSeen,
    FundingSettled,
    LastTradeSeen,
    MarketContextSeen,
    MarketListed,
    MarketStatusSeen,
    VenueStatusSeen,
)
from monitor.core.state.accruals import accrue_funding
from monitor.core.state.facts import (
    AHEAD_MAX_NS,
    BlockFact,
    Channel,
    DepthFact,
    FlagFact,
    MarketBit,
    NumberFact,
    PriceFact,
    SettledFact,
    StatusFact,
    TopFact,
    VenueBit,
)
from monitor.core.state.model import Candle, MarketState, RiskState, VenueState
from monitor.core.types import EngineNs, MarketStatus, Side, market_subject, venue_subject

# Two prices "agree" when they are this close: wide enough for one fast second of a small coin,
# far narrower than the jump that made one of them suspect.
AGREEMENT_RATIO = 0.05
AGREEMENT_AGE_NS = 60 * 1_000_000_000
DEPTH_BAND_RATIO = 0.0025
_MARK, _ORACLE, _INDEX, _MID = MarketBit.MARK, MarketBit.ORACLE, MarketBit.INDEX, MarketBit.MID
_TOP, _PREDICTED = MarketBit.TOP, MarketBit.PREDICTED


def venue_of(state: RiskState, venue: str) -> VenueState:
    """The venue's state, made when first heard of."""
    found = state.venues.get(venue)
    if found is None:
        found = state.venues[venue] = VenueState(venue=venue, subject=venue_subject(venue))
        state.appeared.append(("venue", venue, "", ""))
    return found


def market_of(state: RiskState, venue: str, market: str) -> MarketState:
    """The market's state, made when first heard of, unless the venue has too many already."""
    owner = state.venues.get(venue)
    if owner is not None:
        known = owner.markets.get(market)
        if known is not None:
            return known
    owner = venue_of(state, venue)
    made = MarketState(venue=venue, market=market, subject=market_subject(venue, market))
    if len(owner.markets) >= state.markets_max:
        owner.markets_ignored += 1
        return made  # belongs to nothing and is forgotten with the message
    owner.markets[market] = made
    state.appeared.append(("market", venue, market, ""))
    return made


def market_listed(state: RiskState, event: MarketListed, now: EngineNs, channel: Channel) -> None:
    """Parameters as the venue states them now; every later statement replaces them."""
    market = market_of(state, event.venue, event.market)
    if event.market not in state.venues[event.venue].markets:
        return
    if not market.listed:
        state.assets.setdefault(event.asset, []).append((event.venue, event.market))
        state.appeared.append(("asset", event.venue, event.market, event.asset))
    market.listed = True
    market.asset = event.asset
    market.dex = event.dex
    market.has_mark = event.has_mark
    market.only_isolated = event.only_isolated
    market.funding_interval_s = event.funding_interval_s
    market.margin_tiers = event.margin_tiers
    market.size_step = None if event.size_step is None else float(event.size_step)
    market.price_tick = None if event.price_tick is None else float(event.price_tick)
    market.max_leverage = event.max_leverage
    market.open_interest_lower_cap_usd = event.open_interest_lower_cap_usd
    market.open_interest_upper_cap_usd = event.open_interest_upper_cap_usd
    if not event.has_mark:
        state.venues[event.venue].oracle_margined = True
    _tell_status(market.status, event.status, now, channel)
    _mark(state, market, MarketBit.PARAMETERS | MarketBit.STATUS)


def market_status(
    state: RiskState,
    event: MarketStatusSeen,
    now: EngineNs,
    channel: Channel,
) -> None:
    """What may be done in the market now."""
    market = market_of(state, event.venue, event.market)
    _tell_status(market.status, event.status, now, channel)
    _mark(state, market, MarketBit.STATUS)


def market_context(
    state: RiskState,
    event: MarketContextSeen,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Whichever of the slow numbers the message said."""
    owner = state.venues.get(event.venue)
    market = None if owner is None else owner.markets.get(event.market)
    if market is None:
        market = market_of(state, event.venue, event.market)
    bits = 0
    price = event.mark_price
    if price is not None:
        tell_price(state, market, market.mark, price, now, channel)
        bits = _MARK
    price = event.oracle_price
    if price is not None:
        tell_price(state, market, market.oracle, price, now, channel)
        bits |= _ORACLE
    price = event.index_price
    if price is not None:
        tell_price(state, market, market.index, price, now, channel)
        bits |= _INDEX
    price = event.mid_price
    if price is not None:
        tell_price(state, market, market.mid, price, now, channel)
        bits |= _MID
    number = event.predicted_funding_rate_hourly
    if number is not None:
        tell_number(market.predicted, number, now, channel)
        bits |= _PREDICTED
    number = event.open_interest_base
    if number is not None:
        tell_number(market.open_interest, number, now, channel)
        bits |= MarketBit.OPEN_INTEREST
    number = event.premium_ratio
    if number is not None:
        tell_number(market.premium, number, now, channel)
    number = event.volume_24h_usd
    if number is not None:
        tell_number(market.volume_24h, number, now, channel)
    if event.next_funding_time_ns is not None:
        market.next_funding_time_ns = event.next_funding_time_ns
    if event.complete:
        bits |= _unsay(market, event, channel)
    if bits:
        dirty = state.dirty
        subject = market.subject
        dirty[subject] = dirty.get(subject, 0) | bits


def _unsay(market: MarketState, event: MarketContextSeen, channel: Channel) -> int:
    """What this channel said before and says no longer is unknown: its progress must not vouch
    for it. The bits of what changed. A price that comes back is judged by the last one."""
    name = channel.name
    bits = 0
    price = market.mid
    if event.mid_price is None and price.value is not None and price.channel == name:
        price.reference, price.value, price.candidate = price.value, None, None
        bits = _MID
    price = market.mark
    if event.mark_price is None and price.value is not None and price.channel == name:
        price.reference, price.value, price.candidate = price.value, None, None
        bits |= _MARK
    price = market.oracle
    if event.oracle_price is None and price.value is not None and price.channel == name:
        price.reference, price.value, price.candidate = price.value, None, None
        bits |= _ORACLE
    price = market.index
    if event.index_price is None and price.value is not None and price.channel == name:
        price.reference, price.value, price.candidate = price.value, None, None
        bits |= _INDEX
    number = market.predicted
    if event.predicted_funding_rate_hourly is None and number.channel == name:
        number.value = None
        bits |= _PREDICTED
    number = market.open_interest
    if event.open_interest_base is None and number.channel == name:
        number.value = None
        bits |= MarketBit.OPEN_INTEREST
    if event.premium_ratio is None and market.premium.channel == name:
        market.premium.value = None
    if event.volume_24h_usd is None and market.volume_24h.channel == name:
        market.volume_24h.value = None
    return bits


def funding_settled(
    state: RiskState,
    event: FundingSettled,
    now: EngineNs,
    channel: Channel,
) -> None:
    """A settlement, once: polls tell the newest one again and again."""
    market = market_of(state, event.venue, event.market)
    fact = market.settled
    if (
        event.settled_at_ns < fact.settled_at_ns
        or event.settled_at_ns > now + AHEAD_MAX_NS  # it would hide every settlement until then
        or not isfinite(event.funding_rate_hourly)
    ):
        return
    fresh = event.settled_at_ns > fact.settled_at_ns
    fact.settled_at_ns = event.settled_at_ns
    fact.value = event.funding_rate_hourly
    _told(fact, now, channel)
    _mark(state, market, MarketBit.SETTLED)
    if fresh:
        accrue_funding(state, market, event)


def book_top(state: RiskState, event: BookTopSeen, now: EngineNs, channel: Channel) -> None:
    """Best bid and ask; a non-positive side counts as suspect, never as a price."""
    owner = state.venues.get(event.venue)
    market = None if owner is None else owner.markets.get(event.market)
    if market is None:
        market = market_of(state, event.venue, event.market)
    top = market.top
    bid, ask = event.bid_price, event.ask_price
    level = (bid + ask) * 0.5 if bid is not None and ask is not None else bid or ask
    last = top.level
    if (
        last is not None
        and level is not None
        and last * state.price_low <= level <= last * state.price_high
    ):
        top.level = level
    elif level is not None:
        _judge_level(state, market, top, level, now)
    # "not >" rather than "<=": a NaN is no price either.
    if (bid is not None and not bid > 0.0) or (ask is not None and not ask > 0.0):
        _suspect_top(state, market, top)
    top.bid, top.ask = bid, ask
    top.bid_size, top.ask_size = event.bid_size, event.ask_size
    top.seen_ns = now
    if top.channel is not channel.name:
        top.channel = channel.name
    if top.generation != channel.generation:
        top.generation = channel.generation
    dirty = state.dirty
    subject = market.subject
    dirty[subject] = dirty.get(subject, 0) | _TOP


def depth(state: RiskState, event: DepthSeen, now: EngineNs, channel: Channel) -> None:
    """Depth within 25 bp; other bands are not what the measures mean."""
    if abs(event.band_ratio - DEPTH_BAND_RATIO) > 1e-9:
        return
    owner = state.venues.get(event.venue)
    market = None if owner is None else owner.markets.get(event.market)
    if market is None:
        market = market_of(state, event.venue, event.market)
    fact: DepthFact = market.depth
    fact.bid_usd, fact.ask_usd = event.bid_depth_usd, event.ask_depth_usd
    _told(fact, now, channel)
    dirty = state.dirty
    subject = market.subject
    dirty[subject] = dirty.get(subject, 0) | MarketBit.DEPTH


def last_trade(state: RiskState, event: LastTradeSeen, now: EngineNs, channel: Channel) -> None:
    """The newest trade; no measure margins on it, so it dirties nothing."""
    market = market_of(state, event.venue, event.market)
    if event.last_price > 0.0 and event.side in {Side.BUY, Side.SELL}:
        tell_number(market.last_trade, event.last_price, now, channel)
    if event.liquidation:
        market.last_trade_liquidation_ns = now


def candle(state: RiskState, event: CandleSeen, now: EngineNs, _channel: Channel) -> None:
    """The newest bar of each interval, kept for later statistics."""
    market = market_of(state, event.venue, event.market)
    known = market.candles.get(event.interval_s)
    if known is not None and known.started_at_ns > event.started_at_ns:
        return
    if event.started_at_ns > now + AHEAD_MAX_NS:
        return
    market.candles[event.interval_s] = Candle(
        started_at_ns=event.started_at_ns,
        open=event.open,
        high=event.high,
        low=event.low,
        close=event.close,
        volume_base=event.volume_base,
        seen_ns=now,
    )


# -------------------------------------------------------------------------------- the venue


def chain_time(state: RiskState, event: ChainTimeSeen, now: EngineNs, channel: Channel) -> None:
    """The newest block or exchange time of one source; an older one of the same source is a
    message out of order and changes nothing."""
    venue = venue_of(state, event.venue)
    fact = venue.blocks.get(event.source)
    if fact is None:
        fact = venue.blocks[event.source] = BlockFact()
    time_ns = event.time_ns
    if (
        time_ns is not None
        and (fact.time_ns is None or time_ns >= fact.time_ns)
        and time_ns <= now + AHEAD_MAX_NS  # else no true time would ever be newer
    ):
        fact.time_ns = time_ns
    if event.height is not None and (fact.height is None or event.height >= fact.height):
        fact.height = event.height
    _told(fact, now, channel)
    _mark_venue(state, venue, VenueBit.BLOCKS)


def venue_status(state: RiskState, event: VenueStatusSeen, now: EngineNs, channel: Channel) -> None:
    """The venue's own word about itself."""
    venue = venue_of(state, event.venue)
    venue.health.value = event.healthy
    venue.health.detail = event.detail
    _told(venue.health, now, channel)
    _mark_venue(state, venue, VenueBit.HEALTH)


def clock_skew(state: RiskState, event: ClockSkewSeen, now: EngineNs, channel: Channel) -> None:
    """Venue clock minus ours."""
    venue = venue_of(state, event.venue)
    tell_number(venue.skew, event.skew_s, now, channel)
    _mark_venue(state, venue, VenueBit.SKEW)


# ------------------------------------------------------------------------------ facts told


def tell_price(
    state: RiskState,
    market: MarketState,
    fact: PriceFact,
    value: float,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Believe ``value`` if it moved plausibly; otherwise the fact is absent until confirmed."""
    last = fact.value
    # NaN fails both comparisons, and zero and below fail the first.
    if last is not None and last * state.price_low <= value <= last * state.price_high:
        fact.value = value
    else:
        _judge_price(state, market, fact, value, now)
    fact.seen_ns = now
    if fact.channel is not channel.name:
        fact.channel = channel.name
    if fact.generation != channel.generation:
        fact.generation = channel.generation


def tell_number(fact: NumberFact, value: float, now: EngineNs, channel: Channel) -> None:
    """A finite number replaces the last one; a NaN or infinity makes the fact absent."""
    fact.value = value if isfinite(value) else None
    fact.seen_ns = now
    if fact.channel is not channel.name:
        fact.channel = channel.name
    if fact.generation != channel.generation:
        fact.generation = channel.generation


def _told(
    fact: DepthFact | StatusFact | SettledFact | FlagFact | BlockFact,
    now: EngineNs,
    channel: Channel,
) -> None:
    fact.seen_ns = now
    fact.channel = channel.name
    fact.generation = channel.generation


def _tell_status(fact: StatusFact, status: MarketStatus, now: EngineNs, channel: Channel) -> None:
    fact.value = status
    _told(fact, now, channel)


def _judge_price(
    state: RiskState,
    market: MarketState,
    fact: PriceFact,
    value: float,
    now: EngineNs,
) -> None:
    """The slow path: first price, return to the last believed one, confirmation, or suspicion."""
    reference = fact.value if fact.value is not None else fact.reference
    if not (isfinite(value) and value > 0.0):
        fact.reference, fact.value, fact.candidate = reference, None, None
        _count_suspect(state, market)
        return
    if _believable(state, reference, fact.candidate, value) or _another_agrees(
        market,
        fact,
        value,
        now,
    ):
        fact.value, fact.reference, fact.candidate = value, None, None
        return
    fact.value, fact.reference, fact.candidate = None, reference, value
    _count_suspect(state, market)


def _judge_level(
    state: RiskState,
    market: MarketState,
    top: TopFact,
    level: float,
    now: EngineNs,
) -> None:
    """The same for a book: both sides stand or fall with their level."""
    reference = top.level if top.level is not None else top.reference
    if not (isfinite(level) and level > 0.0):
        _suspect_top(state, market, top)
        return
    if _believable(state, reference, top.candidate, level) or _another_agrees(
        market,
        top,
        level,
        now,
    ):
        top.level, top.reference, top.candidate = level, None, None
        return
    top.level, top.reference, top.candidate = None, reference, level
    _count_suspect(state, market)


def _suspect_top(state: RiskState, market: MarketState, top: TopFact) -> None:
    top.reference = top.level if top.level is not None else top.reference
    top.level, top.candidate = None, None
    _count_suspect(state, market)


def _believable(
    state: RiskState,
    reference: float | None,
    candidate: float | None,
    value: float,
) -> bool:
    if reference is None:
        return True
    if reference * state.price_low <= value <= reference * state.price_high:
        return True
    return candidate is not None and abs(value / candidate - 1.0) <= AGREEMENT_RATIO


def _another_agrees(
    market: MarketState,
    told: PriceFact | TopFact,
    value: float,
    now: EngineNs,
) -> bool:
    """Whether another, recently believed price of the same market is close to ``value``."""
    for fact in (market.oracle, market.mark, market.index, market.mid):
        other = fact.value
        if (
            fact is not told
            and other is not None
            and now - fact.seen_ns <= AGREEMENT_AGE_NS
            and abs(value / other - 1.0) <= AGREEMENT_RATIO
        ):
            return True
    top = market.top
    return (
        top is not told
        and top.level is not None
        and now - top.seen_ns <= AGREEMENT_AGE_NS
        and abs(value / top.level - 1.0) <= AGREEMENT_RATIO
    )


def _count_suspect(state: RiskState, market: MarketState) -> None:
    market.suspects += 1
    state.suspects_total += 1


def _mark(state: RiskState, market: MarketState, bits: int) -> None:
    state.dirty[market.subject] = state.dirty.get(market.subject, 0) | bits


def _mark_venue(state: RiskState, venue: VenueState, bits: int) -> None:
    state.dirty[venue.subject] = state.dirty.get(venue.subject, 0) | bits
