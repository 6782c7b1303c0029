"""Flags that say that news is due or out: which of them concern a subject, and until when.

A flag falls by itself at its expiry; nobody has to take it away. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.events import NewsFlag, NewsFlagsDeclared
from monitor.core.state.model import RiskState
from monitor.core.types import PORTFOLIO, EngineNs, Subject, asset_subject, venue_subject

NEWS_BIT = 1 << 19  # of the portfolio, an asset or a venue


def news_declared(state: RiskState, event: NewsFlagsDeclared, _now: EngineNs) -> None:
    """The whole list of one source replaces its earlier one."""
    if event.flags:
        state.news[event.source] = event.flags
    else:
        state.news.pop(event.source, None)
    # Few and rare: everybody is told rather than those whom old and new flags concern.
    for subject in (
        PORTFOLIO,
        *map(asset_subject, state.assets),
        *map(venue_subject, state.venues),
    ):
        state.dirty[subject] = state.dirty.get(subject, 0) | NEWS_BIT


def flags_of(state: RiskState) -> Iterator[NewsFlag]:
    """All flags, expired ones too, by source."""
    for source in sorted(state.news):
        yield from state.news[source]


def concerns(flag: NewsFlag, subject: Subject, state: RiskState) -> bool:
    """Whether a flag is about a subject: its own, one of the whole book, or (for the book) one of
    an asset or venue where something is held. Where positions are not known, it may be."""
    if flag.scope in {subject, PORTFOLIO}:
        return True
    return subject == PORTFOLIO and _held(Subject(flag.scope), state)


def _held(scope: Subject, state: RiskState) -> bool:
    if any(asset_subject(leg.asset) == scope and leg.size for leg in state.off_book):
        return True
    for venue in state.venues.values():
        for account in venue.accounts.values():
            if not account.positions_complete:
                return True
            for position in account.positions.values():
                market = venue.markets.get(position.market)
                asset = "" if market is None else market.asset
                if position.size and scope in {venue.subject, asset_subject(asset)}:
                    return True
    return False
