"""What prices, rates and books do to the risk state: nearly all that is ever told. *Pure.*

No text is built and nothing allocated for a known market. A value told again as it was proves
itself fresh, but asks for an evaluation only once in ``RiskState.restated_ns``: what would come of
it is known. Unless some rule counts observations (``heeds_all``): then each of them asks.
"""

from __future__ import annotations

from math import isfinite

from monitor.core.events import BookTopSeen, DepthSeen, MarketContextSeen, OraclePricesSeen
from monitor.core.state.belief import judge_level, suspect_top, tell_number, tell_price
from monitor.core.state.book_history import sample_depth, sample_spread
from monitor.core.state.facts import Channel, MarketBit, NumberFact, PriceFact, order_time
from monitor.core.state.markets import market_of
from monitor.core.state.model import MarketState, RiskState
from monitor.core.state.volatility import sample_price
from monitor.core.types import SECOND_NS, EngineNs

DEPTH_BAND_RATIO = 0.0025
VOLUME_EVERY_NS = 10 * SECOND_NS  # a day's volume hardly moves meanwhile
_MARK, _ORACLE, _INDEX, _MID = MarketBit.MARK, MarketBit.ORACLE, MarketBit.INDEX, MarketBit.MID
_TOP, _DEPTH = MarketBit.TOP, MarketBit.DEPTH
_PREDICTED, _OPEN_INTEREST = MarketBit.PREDICTED, MarketBit.OPEN_INTEREST


def market_context(  # noqa: C901, PLR0912 - fact by fact, as said below
    state: RiskState,
    event: MarketContextSeen,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Whichever of the slow numbers the message said; one that comes late changes nothing."""
    try:
        market = state.venues[event.venue].markets[event.market]
    except KeyError:
        market = market_of(state, event.venue, event.market)
    if event.venue_time_ns is not None and _comes_late(market, event.venue_time_ns, now):
        _prove_nothing(market, channel.name)
        return
    name, generation, complete = channel.name, channel.generation, event.complete
    bits = again = 0
    # Prices by hand, and rates below: a loop or a helper here would be the dearest of the process.
    price, fact = event.mark_price, market.mark
    if price is None:
        if complete:
            bits |= _unsay_price(fact, name, _MARK)
    elif price == fact.value and fact.channel == name and fact.generation == generation:
        fact.seen_ns = now
        again |= _MARK
    else:
        tell_price(state, market, fact, price, now, channel)
        bits |= _MARK
    price, fact = event.oracle_price, market.oracle
    if price is None:
        if complete:
            bits |= _unsay_price(fact, name, _ORACLE)
    elif price == fact.value and fact.channel == name and fact.generation == generation:
        fact.seen_ns = now
        again |= _ORACLE
    else:
        tell_price(state, market, fact, price, now, channel)
        bits |= _ORACLE
    price, fact = event.mid_price, market.mid
    if price is None:
        if complete:
            bits |= _unsay_price(fact, name, _MID)
    elif price == fact.value and fact.channel == name and fact.generation == generation:
        fact.seen_ns = now
        again |= _MID
    else:
        tell_price(state, market, fact, price, now, channel)
        bits |= _MID
    price = event.index_price
    if price is not None:
        tell_price(state, market, market.index, price, now, channel)
        bits |= _INDEX
    elif complete and market.index.value is not None:
        bits |= _unsay_price(market.index, name, _INDEX)
    if now >= market.sample_due_ns:
        sample_price(state, market, now)
    _rates(state, market, event, now, channel, bits, again)


def _comes_late(market: MarketState, said_ns: int, now: EngineNs) -> bool:
    """Whether a context newer by the venue's clock was taken before; if not, this is the newest."""
    said_ns = order_time(said_ns, now)
    if said_ns < market.context_said_ns:
        return True
    market.context_said_ns = said_ns
    return False


def _prove_nothing(market: MarketState, name: str) -> None:
    """A channel that speaks of what is past does not show that nothing has changed since: what it
    told is as fresh as when it told it, until it tells something newer."""
    told = (
        market.mark, market.oracle, market.index, market.mid, market.predicted, market.open_interest
    )  # fmt: skip
    for fact in told:
        if fact.channel == name:
            fact.channel = ""


def _rates(
    state: RiskState,
    market: MarketState,
    event: MarketContextSeen,
    now: EngineNs,
    channel: Channel,
    bits: int,
    again: int,
) -> None:
    """The context's numbers that may jump, and what all of it asks for."""
    name, generation, complete = channel.name, channel.generation, event.complete
    number, fact = event.predicted_funding_rate_hourly, market.predicted
    if number is None:
        if complete:
            bits |= _unsay_number(fact, name, _PREDICTED)
    elif number == fact.value and fact.channel == name and fact.generation == generation:
        fact.seen_ns = now
        again |= _PREDICTED
    else:
        # As ``tell_number``, by hand: these two move with nearly every context.
        fact.value = number if isfinite(number) else None
        fact.seen_ns, fact.channel, fact.generation = now, name, generation
        bits |= _PREDICTED
    number, fact = event.open_interest_base, market.open_interest
    if number is None:
        if complete:
            bits |= _unsay_number(fact, name, _OPEN_INTEREST)
    elif number == fact.value and fact.channel == name and fact.generation == generation:
        fact.seen_ns = now
        again |= _OPEN_INTEREST
    else:
        fact.value = number if isfinite(number) else None
        fact.seen_ns, fact.channel, fact.generation = now, name, generation
        bits |= _OPEN_INTEREST
    if now >= market.volume_due_ns and event.volume_24h_usd is not None:
        market.volume_due_ns = now + VOLUME_EVERY_NS
        tell_number(market.volume_24h, event.volume_24h_usd, now, channel)
    if event.next_funding_time_ns is not None:
        market.next_funding_time_ns = event.next_funding_time_ns
    if again and (now >= market.context_due_ns or state.heeds_all):
        market.context_due_ns = now + state.restated_ns
        bits |= again
    if bits:
        dirty, subject = state.dirty, market.subject
        dirty[subject] = dirty.get(subject, 0) | bits


def _unsay_price(fact: PriceFact, name: str, bit: int) -> int:
    """What this channel said before and says no longer is unknown: its progress must not vouch for
    it. The bit if so. A price that comes back is judged by the last one."""
    if fact.value is None or fact.channel not in (name, ""):
        return 0
    fact.reference, fact.value, fact.candidate = fact.value, None, None
    return bit


def _unsay_number(fact: NumberFact, name: str, bit: int) -> int:
    if fact.channel not in (name, ""):  # "": whoever told it spoke of the past since
        return 0
    fact.value = None
    return bit


def oracle_prices(
    state: RiskState,
    event: OraclePricesSeen,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Each price as if it had come by itself."""
    owner = state.venues.get(event.venue)
    markets = {} if owner is None else owner.markets
    name, generation = channel.name, channel.generation
    dirty = state.dirty
    for ticker, price in event.prices:
        market = markets.get(ticker)
        if market is None:
            market = market_of(state, event.venue, ticker)
        fact = market.oracle
        if price != fact.value or fact.channel != name or fact.generation != generation:
            tell_price(state, market, fact, price, now, channel)
        else:
            fact.seen_ns = now
            if now < market.context_due_ns and not state.heeds_all:
                continue
            market.context_due_ns = now + state.restated_ns
        if now >= market.sample_due_ns:
            sample_price(state, market, now)
        subject = market.subject
        dirty[subject] = dirty.get(subject, 0) | _ORACLE


def book_top(state: RiskState, event: BookTopSeen, now: EngineNs, channel: Channel) -> None:
    """Best bid and ask; a non-positive side counts as suspect, never as a price."""
    try:
        market = state.venues[event.venue].markets[event.market]
    except KeyError:
        market = market_of(state, event.venue, event.market)
    top = market.top
    if now >= market.spread_due_ns:
        market.spread_due_ns = sample_spread(market.books, top, now)
    bid, ask = event.bid_price, event.ask_price
    top.bid_size, top.ask_size = event.bid_size, event.ask_size
    if (
        bid == top.bid
        and ask == top.ask
        and top.level is not None
        and top.channel == channel.name
        and top.generation == channel.generation
    ):
        top.seen_ns = now
        if now < market.top_due_ns and not state.heeds_all:
            return
        market.top_due_ns = now + state.restated_ns
    else:
        _tell_top(state, market, bid, ask, now, channel)
    dirty, subject = state.dirty, market.subject
    dirty[subject] = dirty.get(subject, 0) | _TOP


def _tell_top(
    state: RiskState,
    market: MarketState,
    bid: float | None,
    ask: float | None,
    now: EngineNs,
    channel: Channel,
) -> None:
    top = market.top
    level = (bid + ask) * 0.5 if bid is not None and ask is not None else bid or ask
    last = top.level
    if (
        last is not None
        and level is not None
        and last * state.price_low <= level <= last * state.price_high
    ):
        top.level = level
    elif level is not None:
        judge_level(state, market, top, level, now)
    # "not >" rather than "<=": a NaN is no price either.
    if (bid is not None and not bid > 0.0) or (ask is not None and not ask > 0.0):
        suspect_top(state, market, top)
    top.bid, top.ask = bid, ask
    top.seen_ns, top.channel, top.generation = now, channel.name, channel.generation


def depth(state: RiskState, event: DepthSeen, now: EngineNs, channel: Channel) -> None:
    """Depth within 25 bp; other bands are not what the measures mean."""
    if abs(event.band_ratio - DEPTH_BAND_RATIO) > 1e-9:
        return
    try:
        market = state.venues[event.venue].markets[event.market]
    except KeyError:
        market = market_of(state, event.venue, event.market)
    fact = market.depth
    fact.bid_usd, fact.ask_usd = event.bid_depth_usd, event.ask_depth_usd
    fact.seen_ns, fact.channel, fact.generation = now, channel.name, channel.generation
    if now >= market.depth_due_ns:
        market.depth_due_ns = sample_depth(market.books, fact, now)
    dirty, subject = state.dirty, market.subject
    dirty[subject] = dirty.get(subject, 0) | _DEPTH
