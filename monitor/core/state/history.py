"""How far the past is known: what is being read from a venue, and what an earlier process left.

*Pure.*
"""

from __future__ import annotations

from monitor.core.events import HistoryProgressed
from monitor.core.formulas.funding_stress import KNOWN_HOURS_MIN, WINDOW_HOURS
from monitor.core.state.facts import Channel, VenueBit
from monitor.core.state.funding import carry_hours
from monitor.core.state.markets import venue_of
from monitor.core.state.model import HistoryState, MarketState, RiskState
from monitor.core.state.series import PERCENTILE_HOURS_MIN
from monitor.core.types import EngineNs
from monitor.core.warm_up import PRICES


def history_progressed(
    state: RiskState, event: HistoryProgressed, now: EngineNs, _channel: Channel
) -> None:
    """Keep the newest word of how far it is. A market that nothing was read of yet is known where
    what was kept over the restart suffices; that is looked at once."""
    venue = venue_of(state, event.venue)
    before = venue.histories.get(event.kind)
    seen, cold = (frozenset(before.unread), before.cold) if before else (frozenset[str](), ())
    venue.histories[event.kind] = HistoryState(
        told_ns=now,
        began_ns=event.began_ns,
        wanted=event.wanted,
        unread=event.unread,
        waiting=event.waiting,
        read=event.read,
        cold=tuple(
            name
            for name in event.unread
            if (name in cold if name in seen else not _kept(state, event.kind, event.venue, name))
        ),
    )
    state.dirty[venue.subject] = state.dirty.get(venue.subject, 0) | VenueBit.HISTORY


def _kept(state: RiskState, kind: str, venue: str, name: str) -> bool:
    market = state.venues[venue].markets.get(name)
    if market is None:
        return False
    return _prices_kept(state, market) if kind == PRICES else _funding_kept(state, market)


def _funding_kept(state: RiskState, market: MarketState) -> bool:
    series = state.funding.get(market.subject)
    if series is None or not series.rates:
        return False
    first = series.newest - WINDOW_HOURS + 1
    rates = series.hourly(first, series.newest, carry_hours(market.funding_interval_s))
    return sum(one is not None for one in rates) >= KNOWN_HOURS_MIN


def _prices_kept(state: RiskState, market: MarketState) -> bool:
    series = state.prices.get(market.asset)
    return series is not None and series.hours.known >= PERCENTILE_HOURS_MIN
