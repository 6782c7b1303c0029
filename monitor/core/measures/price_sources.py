"""Who speaks of an asset's price, beside the oracle that is judged by them. *Pure.*

A source of its own is:

- the oracle of every other venue. Its validators read outside exchanges for themselves; that two
  oracles read some of the same exchanges is no common cause, for each takes the middle of many;
- the book of every venue, its own included: what people really pay there. The middle of a tight
  book; the middle of a hole is no price.

None is: the judged oracle; a mark, which is made of its venue's oracle and book; an index, which is
what an oracle is made of; a builder's market, whose name may be anything; another venue's prices of
which our own book shows that they are of something else.
"""

from __future__ import annotations

from typing import NamedTuple

from monitor.core.measures.prices import absent_price
from monitor.core.measures.remark import LIKE_HIGH, LIKE_LOW
from monitor.core.measures.tree import MarketNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.state.facts import Lack
from monitor.core.state.model import MarketState
from monitor.core.types import MarketStatus

# A book is tight whose spread is no more than this share of what an oracle may be off by.
TIGHT_SHARE = 0.5
_ACTIVE = MarketStatus.ACTIVE


class Source(NamedTuple):
    """One that speaks of the price: quote per base."""

    venue: str
    what: str  # oracle | book
    price: float


class Heard(NamedTuple):
    """Who speaks of an asset's price now, and in words who should and does not, by venue."""

    sources: list[Source]
    missing: list[tuple[str, str]]
    unfit: int  # books that are there and make no price


def listen(node: MarketNode, use: Use) -> Heard:
    """All sources but the judged oracle; folds in the freshness of those that are taken."""
    own = node.market
    heard = Heard([], [], 0)
    heard = _hear_book(own, node, heard, use)
    told = heard.sources[0].price if heard.sources else own.mark.value
    venues = {own.venue}
    for venue, name in use.state.assets.get(own.asset, ()):
        place = use.state.venues[venue].markets[name]
        if venue in venues or place.dex or place.status.value is not _ACTIVE:
            continue
        venues.add(venue)
        if _is_like(place, told):
            _hear_oracle(place, node, heard, use)
            heard = _hear_book(place, node, heard, use)
    return heard


def _is_like(place: MarketState, told: float | None) -> bool:
    """Whether what another venue calls by the same name is worth about what ours is."""
    other = place.top.level or place.oracle.value
    return told is None or other is None or LIKE_LOW <= other / told <= LIKE_HIGH


def _hear_oracle(place: MarketState, node: MarketNode, heard: Heard, use: Use) -> None:
    fact, what = place.oracle, f"oracle price of {place.subject}"
    if fact.value is None:
        heard.missing.append((place.venue, absent_price(fact, what)))
    elif use.fresh(fact, node.oracle_limit, what):
        heard.sources.append(Source(place.venue, "oracle", fact.value))
    else:
        heard.missing.append((place.venue, use.reason))


def _hear_book(place: MarketState, node: MarketNode, heard: Heard, use: Use) -> Heard:
    """A book that is not watched is no source that fails; one that is wide is none for now."""
    top, what = place.top, f"book of {place.subject}"
    if not top.seen_ns:
        return heard
    bid, ask = top.bid, top.ask
    if not use.fresh(top, node.top_limit, what):
        heard.missing.append((place.venue, use.reason))
    elif top.level is None:
        heard.missing.append((place.venue, f"{what} is suspect"))
    elif bid is None or ask is None or bid > ask or not _is_tight(bid, ask, place.asset, use):
        return heard._replace(unfit=heard.unfit + 1)
    else:
        heard.sources.append(Source(place.venue, "book", (bid + ask) * 0.5))
    return heard


def _is_tight(bid: float, ask: float, asset: str, use: Use) -> bool:
    limit = use.settings.oracles.floor(asset)
    return (ask - bid) / ((ask + bid) * 0.5) <= TIGHT_SHARE * limit


def is_comparable(node: MarketNode, use: Use) -> bool:
    """Whether anybody else could speak of the same thing."""
    market = node.market
    if market.dex:
        use.absent(f"{NO_SOURCE}a builder's oracle has no peers", Lack.CHOICE)
    elif not market.asset or market.status.value is not _ACTIVE:
        use.absent(f"{market.subject} does not trade, so nobody speaks of its price", Lack.CHOICE)
    else:
        return True
    return False


def say_too_few(heard: Heard, needed: int, use: Use) -> None:
    """Say why the sources do not suffice: for what is not told now, or could never be."""
    count = len(heard.sources)
    known = f"{count} source{'' if count == 1 else 's'} beside the oracle, {needed} are needed"
    if count + len(heard.missing) < needed:
        wide = f"; {heard.unfit} books make no price" if heard.unfit else ""
        use.absent(f"{NO_SOURCE}{known}{wide}", Lack.CHOICE)
    else:
        use.absent(f"{known}: {heard.missing[0][1]}")
