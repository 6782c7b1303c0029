"""What market and venue events do to the risk state. One handler per event type, O(1). *Pure.*

The hot path of the process: no text is built and nothing allocated for a known market.
"""

from __future__ import annotations

from math import isfinite

from monitor.core.events import (
    ChainTimeSeen,
    ClockSkewSeen,
    FundingHistorySeen,
    FundingSettled,
    MarketListed,
    MarketStatusSeen,
    VenueStatusSeen,
)
from monitor.core.formulas.funding_stress import PAST_HOURS
from monitor.core.state.accruals import accrue_funding
from monitor.core.state.belief import tell_number
from monitor.core.state.facts import (
    AHEAD_MAX_NS,
    SETTLED_BIT,
    BlockFact,
    Channel,
    FlagFact,
    MarketBit,
    SettledFact,
    StatusFact,
    VenueBit,
)
from monitor.core.state.funding import KEPT_HOURS, FundingSeries, hour_of
from monitor.core.state.funding_past import MARKETS_MAX, PastFunding
from monitor.core.state.model import (
    MarginTerms,
    MarketState,
    RiskState,
    VenueState,
)
from monitor.core.state.series import HOUR_NS
from monitor.core.types import PORTFOLIO, EngineNs, MarketStatus, market_subject, venue_subject


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
    made.books.hours = state.kept_spreads.pop(made.subject, [])
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
    before = margin_terms(market)
    known, market.listed = market.listed, True
    market.asset = event.asset
    market.dex = event.dex
    market.has_mark = event.has_mark
    market.has_index = event.has_index
    market.only_isolated = event.only_isolated
    market.funding_interval_s = event.funding_interval_s
    market.margin_tiers = event.margin_tiers
    market.size_step = None if event.size_step is None else float(event.size_step)
    market.price_tick = None if event.price_tick is None else float(event.price_tick)
    market.max_leverage = event.max_leverage
    market.open_interest_lower_cap_usd = event.open_interest_lower_cap_usd
    market.open_interest_upper_cap_usd = event.open_interest_upper_cap_usd
    if known and margin_terms(market) != before:
        market.terms, market.terms_changed_ns = before, now
    if not event.has_mark:
        state.venues[event.venue].oracle_margined = True
    _tell_status(market.status, event.status, now, channel)
    _mark(state, market, MarketBit.PARAMETERS | MarketBit.STATUS)


def margin_terms(market: MarketState) -> MarginTerms:
    """What the venue asks of whoever holds the market now."""
    return MarginTerms(
        market.margin_tiers,
        market.max_leverage,
        market.open_interest_lower_cap_usd,
        market.open_interest_upper_cap_usd,
    )


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
        event.settled_at_ns > now + AHEAD_MAX_NS  # it would hide every settlement until then
        or not isfinite(event.funding_rate_hourly)
    ):
        return
    series = series_of(state, market)
    _mark_settled(state)
    # One told late fills its hour: what was told in order stands, and was not told again.
    in_order = event.settled_at_ns >= fact.settled_at_ns
    series.put(hour_of(event.settled_at_ns), event.funding_rate_hourly, live=in_order)
    if not in_order:
        return
    series.told_ns = now
    fresh = event.settled_at_ns > fact.settled_at_ns
    fact.settled_at_ns = event.settled_at_ns
    fact.value = event.funding_rate_hourly
    _told(fact, now, channel)
    _mark(state, market, MarketBit.SETTLED)
    if fresh:
        accrue_funding(state, market, event)


def funding_history(
    state: RiskState,
    event: FundingHistorySeen,
    now: EngineNs,
    _channel: Channel,
) -> None:
    """Settlements of before riskd watched, where none is known; those to come are refused."""
    market = market_of(state, event.venue, event.market)
    series = series_of(state, market)
    revision, newest = series.revision, series.newest
    told = {
        hour_of(settled_at_ns): rate
        for settled_at_ns, rate in event.rates
        if settled_at_ns <= now + AHEAD_MAX_NS
    }
    for hour, rate in told.items():
        series.put(hour, rate, live=False)
    series.told_ns = now
    older = {hour: rate for hour, rate in told.items() if series.newest - hour >= KEPT_HOURS}
    deep = _keep_past(state, market, older, now)
    if told and (deep or (series.revision, series.newest) != (revision, newest)):
        state.stress.learnt(min(told), max(told), now // HOUR_NS)
    _mark_settled(state)
    _mark(state, market, MarketBit.SETTLED)


def _keep_past(
    state: RiskState, market: MarketState, older: dict[int, float], now: EngineNs
) -> bool:
    """Whether settlements of before the last month were new: they are kept for as long as the index
    of ninety days is being found from them."""
    known = state.stress.deep
    oldest = now // HOUR_NS - PAST_HOURS
    wanted = {hour: rate for hour, rate in older.items() if hour >= oldest}
    if not wanted or market.subject not in state.funding:
        return False
    if market.subject not in known and len(known) >= MARKETS_MAX:
        return False
    known.setdefault(market.subject, PastFunding()).put(wanted)
    return True


def series_of(state: RiskState, market: MarketState) -> FundingSeries:
    """The market's settlements by the hour; of one that is ignored they are forgotten again."""
    found = state.funding.get(market.subject)
    if found is None:
        found = FundingSeries()
        if market.market in state.venues[market.venue].markets:
            state.funding[market.subject] = found
    return found


def _mark_settled(state: RiskState) -> None:
    state.dirty[PORTFOLIO] = state.dirty.get(PORTFOLIO, 0) | SETTLED_BIT


def heard(_state: RiskState, _event: object, _now: EngineNs, _channel: Channel) -> None:
    """Trades and bars: no measure reads them, so nothing is kept but that their channel lives,
    which was noted before."""


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


def _told(
    fact: StatusFact | SettledFact | FlagFact | BlockFact,
    now: EngineNs,
    channel: Channel,
) -> None:
    fact.seen_ns = now
    fact.channel = channel.name
    fact.generation = channel.generation


def _tell_status(fact: StatusFact, status: MarketStatus, now: EngineNs, channel: Channel) -> None:
    fact.value = status
    _told(fact, now, channel)


def _mark(state: RiskState, market: MarketState, bits: int) -> None:
    state.dirty[market.subject] = state.dirty.get(market.subject, 0) | bits


def _mark_venue(state: RiskState, venue: VenueState, bits: int) -> None:
    state.dirty[venue.subject] = state.dirty.get(venue.subject, 0) | bits
